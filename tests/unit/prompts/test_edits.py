"""Rules of prompts/edits.py, prompts/transforms.py and the bundled edits."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from errors import ErrorKind, UsageError
from prompts.edits import (
    MAX_TEMPLATE_CHARACTERS,
    Edit,
    add_missing_words,
    check_kept_words,
    load,
    max_prompt_length,
)
from prompts.rules import CURABLE_KINDS
from prompts.transforms import TRANSFORMS, extract_core, list_sentences, replace_words
from tests.support.paths import ROOT

PROMPT = "Please convert this photo to anime style. Use bright colours (but not too bright)!"
ONE = """
[[edit]]
name = "mine"
serves = ["blocked"]
template = "Mine: {prompt}"
"""
BOOK = load()

WriteFile = Callable[[str], Path]


@pytest.fixture
def edits_file(tmp_path: Path) -> WriteFile:
    """Return a function that writes a file of edits."""

    def write(text: str) -> Path:
        path = tmp_path / "edits.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def plain(text: str) -> str:
    """Return the text in small letters with single spaces."""
    return " ".join(text.lower().split())


def test_there_are_eight_to_twelve_edits() -> None:
    """Few enough to be learned in one run."""
    assert 8 <= len(BOOK.edits) <= 12


@pytest.mark.parametrize("kind", sorted(CURABLE_KINDS))
@pytest.mark.parametrize("prompt", [PROMPT, "anime style", "Describe this photo."])
def test_every_curable_class_has_two_edits_for_any_prompt(kind: ErrorKind, prompt: str) -> None:
    """A class whose edits all change nothing could never be repaired."""
    assert len(BOOK.applicable_edits(prompt)[kind]) >= 2


def test_no_other_class_is_offered_an_edit() -> None:
    """A quota, an outage, a bad image or prohibited content has no edits at all."""
    assert set(BOOK.applicable_edits(PROMPT)) == CURABLE_KINDS


@pytest.mark.parametrize(
    ("prompt", "simple"),
    [
        ("anime style", "simple anime illustration, clean lines, minimal background"),
        ("Anime  Style", "simple anime illustration, clean lines, minimal background"),
        (
            PROMPT,
            "Convert this photo into a simple anime illustration with clean lines and a minimal background",
        ),
        ("could you describe the dog?", "describe the dog"),
        ("Draw it (small), as a stamp (of 1900).", "Draw it, as a stamp"),
        ("Could you describe the dog? Then the cat.", "Describe the dog"),
    ],
    ids=["the-words-alone", "any-case", "in-a-sentence", "as-small", "no-gap", "the-first-task"],
)
def test_simplify(prompt: str, simple: str) -> None:
    """The edit asked for by name: vague words become a concrete picture, the rest becomes one sentence."""
    assert BOOK["simplify"].apply(prompt) == simple


def test_an_edit_that_changes_nothing_is_not_offered() -> None:
    """A plain short prompt cannot be simplified, so no call is spent on pretending."""
    assert BOOK["simplify"].apply("describe the dog") is None
    assert "simplify" not in BOOK.applicable_edits("describe the dog")[ErrorKind.BLOCKED]


def test_edits_that_come_to_the_same_words_are_offered_once(edits_file: WriteFile) -> None:
    """No image is asked the same words twice under two names."""
    twin = ONE.replace("mine", "twin")
    book = load(edits_file(f"replace_all = true\n{ONE}{twin}"))

    assert book.applicable_edits("x")[ErrorKind.BLOCKED] == ("mine",)


@pytest.mark.parametrize("edit", BOOK.edits, ids=lambda edit: edit.name)
@given(prompt=st.text(min_size=1, max_size=400).filter(str.strip))
@example(prompt="{core} {prompt} {x}")
@example(prompt="a. b")
@example(prompt="word " * 200)
def test_an_edited_prompt_is_changed_and_not_much_longer(edit: Edit, prompt: str) -> None:
    """Whatever the prompt: no empty one, no unchanged one, no overgrown one."""
    text = edit.apply(prompt)

    assert text is None or (text.strip() and plain(text) != plain(prompt))
    assert text is None or len(text) <= max_prompt_length(prompt)


@pytest.mark.parametrize("edit", BOOK.edits, ids=lambda edit: edit.name)
@given(
    words=st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1), min_size=1, max_size=30),
    data=st.data(),
)
def test_kept_words_survive_every_edit(edit: Edit, words: list[str], data: st.DataObject) -> None:
    """Wherever they stand, also where the edit cuts."""
    begin = data.draw(st.integers(0, len(words) - 1))
    kept = " ".join(words[begin : begin + 3])
    prompt = f"Please do it. {' '.join(words)}. And (also) this."

    text = edit.apply(prompt, keep=[kept])

    assert text is None or plain(kept) in plain(text)


def test_dropped_words_come_back_in_a_sentence() -> None:
    """The model reads them as a wish of the user, not as litter."""
    text = BOOK["simplify"].apply(PROMPT, keep=["anime style", "bright colours"])

    assert text is not None
    assert text.endswith("minimal background. Be sure to observe: anime style, bright colours.")


def test_words_that_are_still_there_are_not_said_twice() -> None:
    """Nothing is appended where nothing was lost."""
    assert add_missing_words("Draw the  Red dog", ["red dog"]) == "Draw the  Red dog"


@pytest.mark.parametrize(("words", "complaint"), [("blue", "does not say"), ("  ", "needs words")])
def test_only_words_of_the_prompt_can_be_kept(words: str, complaint: str) -> None:
    """A word that is not in the prompt is a mistake that is reported before the run."""
    with pytest.raises(UsageError, match=complaint):
        check_kept_words(PROMPT, [words])


def test_a_prompt_with_braces_stays_as_it_is_written() -> None:
    """What looks like a placeholder in the user's prompt is the user's."""
    assert BOOK["shorten_answer"].apply("Fill {core}") == "Fill {core}\n\nAnswer in at most 80 words."


def test_a_users_file_extends_the_bundled_edits(edits_file: WriteFile) -> None:
    """One more edit beside those that are there."""
    book = load(edits_file(ONE))

    assert [edit.name for edit in book.edits] == [*(edit.name for edit in BOOK.edits), "mine"]
    assert book["mine"].apply("draw") == "Mine: draw"


def test_a_users_edit_replaces_the_one_of_its_name(edits_file: WriteFile) -> None:
    """In its place, so that the order stays."""
    book = load(edits_file(ONE.replace('"mine"', '"simplify"')))

    assert [edit.name for edit in book.edits] == [edit.name for edit in BOOK.edits]
    assert book["simplify"].template == "Mine: {prompt}"


def test_replace_all_leaves_only_the_users_edits(edits_file: WriteFile) -> None:
    """The bundled ones are out."""
    assert [edit.name for edit in load(edits_file(f"replace_all = true\n{ONE}")).edits] == ["mine"]


def test_the_example_in_the_documentation_works(edits_file: WriteFile) -> None:
    """What a user copies from there is accepted, and does what it shows."""
    page = (ROOT / "docs" / "prompt-optimization.md").read_text(encoding="utf-8")
    example = page.split("```toml\n")[1].split("```")[0]

    assert load(edits_file(example))["as_a_stamp"].apply("Draw it.") == "Draw it, as a postage stamp"


def test_a_byte_order_mark_does_no_harm(edits_file: WriteFile) -> None:
    """Editors on Windows put one in front."""
    assert load(edits_file(f"\ufeff{ONE}"))["mine"].name == "mine"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[edit]", "is not TOML"),
        ("", "there is no edit in it"),
        ("edit = 3", "there is no edit in it"),
        (f"{ONE}{ONE}", 'two edits are called "mine"'),
        (f'replace_all = "yes"\n{ONE}', "replace_all must be true or false"),
        (f"replaceall = true\n{ONE}", '"replaceall" is not known'),
        (ONE.replace('"blocked"', '"rate_limited"'), '"mine" serves "rate_limited", which is none of'),
        (ONE.replace('"blocked"', '"prohibited"'), '"mine" serves "prohibited"'),
        (ONE.replace('["blocked"]', "[]"), '"mine" serves no class'),
        (ONE.replace('["blocked"]', '"blocked"'), '"serves" that is not a list'),
        (ONE.replace("{prompt}", "{promt}"), '"mine" has a placeholder {promt}'),
        (ONE.replace("{prompt}", ""), "the user's words would be lost"),
        (ONE.replace("Mine: {prompt}", "  "), "needs a template"),
        (ONE.replace("Mine", "x" * MAX_TEMPLATE_CHARACTERS), "more than 600"),
        (ONE.replace('"mine"', '"Mine!"'), "needs a name"),
        (ONE.replace('name = "mine"', ""), "edit 1 needs a name"),
        (ONE.replace('"mine"', '"ask_again"'), "means something else"),
        (ONE.replace('"mine"', '"less_thinking"'), "means something else"),
        (f'{ONE}transforms = ["eval"]', 'names a transform "eval"'),
        (f"{ONE}neutral = 1", "neither true nor false"),
        (f'{ONE}class = "x"', 'has a field "class"'),
        (f'{ONE}replace = {{ "" = "x" }}', "replaces nothing"),
        (f'{ONE}replace = {{ a = "{"x" * 700}" }}', "puts in more than 600"),
        (f"{ONE}replace = {{ a = 1 }}", "not a table of words"),
        ("".join(ONE.replace("mine", f"mine_{n}") for n in range(60)), "more than the 50"),
        ("#" * 300_000, "larger than 256 KB"),
    ],
)
def test_a_mistake_in_the_file_is_named_in_one_sentence(
    edits_file: WriteFile, text: str, complaint: str
) -> None:
    """The file, the edit and what is wrong with it."""
    path = edits_file(text)

    with pytest.raises(UsageError) as caught:
        load(path)

    assert str(caught.value).startswith(f"{path}: ")
    assert complaint in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Missing, or not UTF-8."""
    odd = tmp_path / "odd.toml"
    odd.write_bytes(b"\xff")

    with pytest.raises(UsageError, match=r"missing\.toml: cannot be read"):
        load(tmp_path / "missing.toml")
    with pytest.raises(UsageError, match=r"odd\.toml: is not UTF-8"):
        load(odd)


@pytest.mark.parametrize("name", sorted(TRANSFORMS))
@given(text=st.text(min_size=1).filter(str.strip))
def test_a_transform_never_takes_everything(name: str, text: str) -> None:
    """Something to ask for is always left."""
    assert TRANSFORMS[name](text).strip()


@given(prompt=st.text(min_size=1).filter(str.strip))
def test_the_core_is_never_empty(prompt: str) -> None:
    """Also of courtesies, brackets and punctuation alone."""
    assert extract_core(prompt).strip()


def test_sentences_become_lines() -> None:
    """Where there are two of them."""
    assert list_sentences("Draw it. Sign it.") == "- Draw it.\n- Sign it."
    assert list_sentences("Draw it.") == "Draw it."


def test_only_whole_words_are_replaced() -> None:
    """The longest phrase first, in any case, across line ends."""
    table = {"shot": "photo", "shot in the dark": "night photo"}

    assert (
        replace_words("A SHOT of a shotgun, a shot in\nthe dark", table)
        == "A photo of a shotgun, a night photo"
    )
