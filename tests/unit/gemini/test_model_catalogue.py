"""Rules of gemini/model_catalogue.py: dated facts, which a file of the user's may complete."""

from datetime import date
from pathlib import Path

import pytest

from errors import UsageError
from gemini.model_catalogue import (
    COMMON_RATIOS,
    MAX_BYTES,
    UNKNOWN,
    ModelCatalogue,
    ModelFacts,
    nearest_ratio,
)

WRONG = {
    "no TOML": ("[models", "it is no TOML"),
    "another table": ("[prices]\n", "and nothing else"),
    "a model that is a word": ('[models]\n"gemini-9" = "new"\n', "models.gemini-9 must be a table"),
    "an unknown key": ('[models."gemini-9"]\nsize = 1\n', "size of gemini-9 is no key of the catalogue"),
    "a number for a list": (
        '[models."gemini-9"]\nthinking_levels = 3\n',
        "thinking_levels of gemini-9 has a",
    ),
    "a ratio of nothing": ('[models."g"]\naspect_ratios = ["1:0"]\n', "must hold ratios such as 16:9"),
    "tokens of words": ('[models."g"]\npicture_tokens = { a = "b" }\n', "picture_tokens of g has a value"),
    "tokens below 1": ('[models."g"]\npicture_tokens = { "1K" = 0 }\n', "picture_tokens of g has a value"),
    "a day of words": ('[models."g"]\nretires = "soon"\n', "retires of g has a value of the wrong kind"),
    "deep nesting": ("x = " + "[" * 5_000, "it is no TOML"),
    "too long": ("#" * (MAX_BYTES + 1), "it has more than 1,000,000 bytes"),
}


def test_every_bundled_model_has_its_source() -> None:
    """A fact without its source and date is none."""
    bundled = ModelCatalogue()._facts

    assert len(bundled) > 8
    assert [name for name, facts in bundled.items() if "202" not in facts.source] == []


@pytest.mark.parametrize("name", ["gemini-3.8-flash", "models/gemini-3.8-flash", "Gemini-3.8-Flash"])
def test_a_model_is_found_under_each_of_its_names(name: str) -> None:
    """With or without the prefix, in any capitals."""
    assert ModelCatalogue().facts(name).thinking_levels == ("low", "medium", "high")


def test_of_a_stranger_nothing_is_known() -> None:
    """It is no error to ask for a model that the catalogue does not have."""
    assert ModelCatalogue().facts("gemini-99-neon") == UNKNOWN


def test_the_users_file_goes_first_key_by_key(tmp_path: Path) -> None:
    """What it says counts, what it leaves out stays, and new models come in."""
    path = tmp_path / "own.toml"
    path.write_text(
        '[models."gemini-nano-banana-2.1"]\naspect_ratios = ["1:1"]\n'
        '[models."gemini-9"]\nflex = true\nretires = 2027-01-02\n'
    )

    found = ModelCatalogue(path)

    assert found.facts("gemini-nano-banana-2.1").aspect_ratios == ("1:1",)
    assert found.facts("gemini-nano-banana-2.1").thinking_default == "medium"
    assert found.facts("gemini-9") == ModelFacts(flex=True, retires=date(2027, 1, 2))
    assert ModelCatalogue().facts("gemini-9") == UNKNOWN


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_is_refused_in_one_sentence(tmp_path: Path, case: str) -> None:
    """The file, the model and the key."""
    text, expected = WRONG[case]
    path = tmp_path / "own.toml"
    path.write_text(text)

    with pytest.raises(UsageError, match=r"^--model-catalogue: ") as caught:
        ModelCatalogue(path)

    assert str(path) in str(caught.value)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("size", "ratio"),
    [
        ((4000, 3000), "4:3"),
        ((3024, 4032), "3:4"),
        ((1920, 1080), "16:9"),
        ((1080, 1920), "9:16"),
        ((1000, 1010), "1:1"),
        ((9000, 1000), "21:9"),
        ((0, 0), "1:1"),
    ],
)
def test_the_nearest_ratio(size: tuple[int, int], ratio: str) -> None:
    """By proportion, so that a portrait and its landscape mirror each other."""
    assert nearest_ratio(UNKNOWN, size) == ratio
    turned = ":".join(reversed(ratio.split(":")))
    if turned in COMMON_RATIOS:
        assert nearest_ratio(UNKNOWN, (size[1], size[0])) == turned


def test_only_ratios_of_the_model_are_taken() -> None:
    """A strip gets 8:1 from a model that has it."""
    assert nearest_ratio(ModelCatalogue().facts("gemini-nano-banana-2.1"), (9000, 1000)) == "8:1"
