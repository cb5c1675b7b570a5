"""Rules of reports/prompt_suggestion.py: said only where it is sure to hold, and ready to be typed."""

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from errors import ErrorKind
from models import Failed, Prompt, Succeeded
from reports.documents import Suggestion
from reports.edit_outcomes import ArmCounts, EditOutcomes, SuggestionCandidate
from reports.prompt_evolution import build_prompt_evolution
from reports.prompt_suggestion import find_suggestion, format_suggestion
from reports.summary import OutputPaths, build_summary
from tests.support.attempts import CONTROL, MORE, STAMP, failed_twice, image, tally_of, with_settings
from tests.support.outcomes import BASE, SOFT, archiver, run_info
from tests.support.reports import load_checked, stats_of

BLOCKED = ErrorKind.BLOCKED
WHERE = OutputPaths(output_dir="out", metadata="out/metadata")


def candidate(rescued: int, tried: int, *, saved_calls: int = 1000) -> SuggestionCandidate:
    """Return the counts of an edit; by default it saved more than could be lost."""
    return SuggestionCandidate(SOFT.text, tried=tried, rescued=rescued, saved_calls=saved_calls)


def run_with(
    edit: SuggestionCandidate,
    *,
    hard: int = 40,
    served: int = 60,
    asked: int = 100,
    again: tuple[int, int] = (0, 30),
    **others: SuggestionCandidate,
) -> EditOutcomes:
    """Return a run in which nothing but the edit is in doubt; every hard image took three calls."""
    control = ArmCounts(rescued=again[0], tried=again[1])
    return EditOutcomes(
        suggestion_candidates={"soften": edit, **others},
        images_asked=asked,
        served_by_base=served,
        hard_images=hard,
        hard_calls=3 * hard,
        asked_again=control,
    )


def is_suggested(outcomes: EditOutcomes) -> bool:
    """Return whether any edit is named."""
    return find_suggestion(outcomes, calls=220) is not None


# When it is said


@pytest.mark.parametrize(
    ("said", "silent"),
    [
        # Ten images; nine of nine still has a lower end of 0.70.
        (run_with(candidate(10, 10)), run_with(candidate(9, 9))),
        # A lower end of one half: 15 of 20 has 0.53, 14 of 20 has 0.48.
        (run_with(candidate(15, 20)), run_with(candidate(14, 20))),
        # A tenth of the images asked about.
        (
            run_with(candidate(10, 10), hard=10, asked=100, served=90),
            run_with(candidate(10, 10), hard=10, asked=101, served=91),
        ),
        (
            run_with(candidate(10, 10), hard=7, asked=70, served=60),
            run_with(candidate(10, 10), hard=7, asked=71, served=60),
        ),
        # Beyond chance: ten of ten against 13 of 20 is better by at least 0.03, against 14 of 20 maybe not.
        (run_with(candidate(10, 10), again=(13, 20)), run_with(candidate(10, 10), again=(14, 20))),
        # One control that was in vain is enough for ten of ten, none is not.
        (run_with(candidate(10, 10), again=(0, 1)), run_with(candidate(10, 10), again=(0, 0))),
        # 19 of 20 may be 0.76: it may fail on 0.24 of 60, which is 14.2 images with two further calls each.
        (run_with(candidate(19, 20, saved_calls=30)), run_with(candidate(19, 20, saved_calls=29))),
        # The same 30 calls are not enough where more images are served: 0.24 of 64 is 15.1.
        (
            run_with(candidate(19, 20, saved_calls=30), served=63),
            run_with(candidate(19, 20, saved_calls=30), served=64),
        ),
    ],
    ids=["tries", "lower-end", "a-tenth", "a-tenth-of-70", "control", "any-control", "saved", "served"],
)
def test_both_sides_of_every_threshold(said: EditOutcomes, silent: EditOutcomes) -> None:
    """On one side an edit is named, on the other one nothing is."""
    assert is_suggested(said)
    assert not is_suggested(silent)


def test_a_run_without_images_suggests_nothing() -> None:
    """Nor does one in which nothing failed."""
    assert not is_suggested(EditOutcomes())
    assert find_suggestion(tally_of([image((BASE, None))]).edit_outcomes, calls=1) is None


def test_of_several_the_one_that_saves_the_most() -> None:
    """Not the one with the better share; the name decides where they are equal."""
    best = run_with(candidate(12, 12, saved_calls=90), zeal=candidate(30, 33, saved_calls=91))
    equal = run_with(candidate(12, 12), apt=candidate(12, 12))

    assert getattr(find_suggestion(best, calls=1), "edit", None) == "zeal"
    assert getattr(find_suggestion(equal, calls=1), "edit", None) == "apt"


counts = st.integers(0, 60)


@given(counts, counts, counts, counts, counts, counts)
def test_it_never_loses_by_its_own_reckoning(  # noqa: PLR0917 - six counts, all alike
    tried: int, failed: int, saved: int, hard: int, served: int, again: int
) -> None:
    """What is named was tried on ten images, and may fail on as many served ones as it may be feared to."""
    edit = candidate(max(0, tried - failed), tried, saved_calls=saved)
    said = find_suggestion(
        run_with(edit, hard=hard, served=served, asked=hard + served, again=(0, again)), calls=999
    )

    if said is not None:
        assert said.tried >= 10
        assert 2 * said.rescued > said.tried
        assert 0 <= said.may_fail_on <= said.not_tried_on == served
        assert said.may_fail_on * 2 <= said.saved_calls
        assert said.may_fail_on >= served * (1 - said.rescued / said.tried)


# What is counted for it


def test_only_calls_that_words_caused_are_saved() -> None:
    """Calls that waiting would have cured come with any words, and one call is needed anyway."""
    server, limited = (BASE, ErrorKind.SERVER), (SOFT, ErrorKind.RATE_LIMITED)
    seen = tally_of([image(server, (BASE, BLOCKED), (BASE, BLOCKED), limited, (SOFT, None))]).edit_outcomes

    assert (seen.hard_images, seen.hard_calls, seen.suggestion_candidates["soften"].saved_calls) == (1, 3, 2)


def test_words_that_were_never_judged_were_not_tried() -> None:
    """A call that a quota refused says nothing about the words it carried."""
    seen = tally_of([failed_twice((SOFT, ErrorKind.RATE_LIMITED), (STAMP, None))]).edit_outcomes

    assert list(seen.suggestion_candidates) == ["stamp"]
    assert seen.by_edit["soften"].tried == 1


def test_with_other_settings_nobody_knows() -> None:
    """An edit that helped together with a setting may be of no use alone."""
    seen = tally_of([failed_twice((with_settings(SOFT, MORE), None))]).edit_outcomes

    assert seen.suggestion_candidates == {}
    assert (seen.hard_images, seen.by_edit["soften"].rescued) == (1, 1)


def test_who_fails_consistently() -> None:
    """An image whose edit had its turn, or its control the coin; not one that a setting or patience cured."""
    seen = tally_of(
        [
            failed_twice((SOFT, None)),
            failed_twice((CONTROL, BLOCKED), (SOFT, BLOCKED)),
            failed_twice((CONTROL, None)),
            failed_twice((BASE, None)),
            image((BASE, ErrorKind.TRUNCATED), (with_settings(BASE, MORE), None)),
            image((BASE, None)),
        ]
    ).edit_outcomes

    assert (seen.images_asked, seen.hard_images, seen.hard_calls, seen.served_by_base) == (6, 3, 10, 4)
    assert (seen.asked_again.tried, seen.asked_again.rescued) == (2, 1)


# The words


def lines_of(said: Suggestion, width: int = 79) -> list[str]:
    """Return what the terminal shows."""
    return list(format_suggestion(said, width=width, document="m/prompt_evolution.json"))


SAID = Suggestion(
    edit="specific_style",
    prompt="Describe the stamp",
    tried=45,
    rescued=38,
    saved_calls=96,
    calls=1412,
    not_tried_on=251,
    may_fail_on=77,
)


def test_the_sentence_says_what_was_seen_and_what_was_not_tried() -> None:
    """Word by word, with the flag on a line of its own."""
    assert lines_of(SAID) == [
        '"specific_style" answered 38 of 45 images that your words failed on twice. As',
        "the prompt of the whole run it might have saved some 96 of 1,412 calls; it was",
        "not tried on the 251 images that your words served, and may fail on 77 of them",
        "before that is lost. To use it, which asks about all images anew:",
        "--prompt 'Describe the stamp'",
    ]


def test_where_the_users_words_served_nothing_nothing_is_left_untried() -> None:
    """Then there is nothing to be lost either."""
    said = " ".join(lines_of(replace(SAID, not_tried_on=0, may_fail_on=0)))

    assert "1,412 calls. To use it, which" in said
    assert "1 image that" in " ".join(lines_of(replace(SAID, not_tried_on=1, may_fail_on=1)))


def as_a_shell_reads(flag: str) -> str:
    """Return the value of the flag as it reaches a program."""
    script = f'show() {{ [ "$1" = --prompt ] && [ $# = 2 ] && printf %s "$2"; }}; show {flag}'
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, check=True, timeout=60)
    return done.stdout.decode()


def flag_in(lines: list[str]) -> list[str]:
    """Return the lines from the flag on."""
    (first,) = (number for number, line in enumerate(lines) if line.startswith("--prompt "))
    return lines[first:]


_plain = st.text(st.sampled_from("ab'\"\\$`!*# é中"), min_size=1, max_size=200)
_prompts = st.lists(_plain, min_size=1, max_size=4).map("\n".join)


@settings(max_examples=40, deadline=None)
@given(_prompts)
@example('It\'s\n\n  "my" $HOME `pwd` \\ \\\n')
@example("Describe every stamp of this collection " * 12)
def test_what_is_shown_can_be_typed(prompt: str) -> None:
    """A shell makes of the lines the very prompt, to the last blank and quote."""
    assert as_a_shell_reads("\n".join(flag_in(lines_of(replace(SAID, prompt=prompt))))) == prompt


@given(st.lists(st.text(st.sampled_from("ab'z"), min_size=1, max_size=9), min_size=1, max_size=60))
def test_lines_are_no_wider_than_the_terminal(words: list[str]) -> None:
    """Where no word is wider itself."""
    lines = lines_of(replace(SAID, prompt=" ".join(words)))

    assert max(map(len, lines)) <= 79


@pytest.mark.parametrize("character", ["\x1b[2J", "\x00", "\r", "\x9b", "\u202e", "\ud800"])
def test_a_terminal_is_never_commanded(character: str) -> None:
    """Words that a terminal would obey, or cannot show, are only named; the document has them."""
    lines = lines_of(replace(SAID, prompt=f"Describe {character} it"))

    assert "".join(lines).isprintable()
    assert " ".join(lines).endswith("It stands in m/prompt_evolution.json under suggestion.")


# In a whole run


def run_outcomes(served: int) -> Iterator[Succeeded | Failed]:
    """Twenty images of which an edit rescues 19, four controls in vain, and so many that are no trouble."""
    for _ in range(19):
        yield failed_twice((SOFT, None))
    yield failed_twice((SOFT, BLOCKED))
    for _ in range(4):
        yield failed_twice((CONTROL, BLOCKED))
    for _ in range(served):
        yield image((BASE, None))


def documents_of(tmp_path: Path, outcomes: Iterator[Succeeded | Failed]) -> tuple[Any, Any, str]:
    """Return both documents and the words at the end."""
    tally, writes = tally_of(outcomes), archiver(tmp_path)
    stats, head = stats_of(tally), build_prompt_evolution(run_info(), tally)
    return (
        load_checked(writes.write_document("processing_stats", stats)),
        load_checked(writes.write_stream("prompt_evolution", head, "images", ())),
        build_summary(stats, WHERE, dry_run=False),
    )


def test_a_run_that_another_prompt_would_have_served_better(tmp_path: Path) -> None:
    """The sentence ends the summary; both documents hold the same."""
    stats, evolution, words = documents_of(tmp_path, run_outcomes(served=60))

    assert evolution["suggestion"] == {
        "edit": "soften", "prompt": SOFT.text, "tried": 20, "rescued": 19,
        "saved_calls": 38, "calls": 132, "not_tried_on": 60, "may_fail_on": 19,
    }  # fmt: skip
    assert stats["other_words"]["suggestion"] == evolution["suggestion"]
    assert words.endswith("all images anew:\n--prompt 'Describe the picture\n\n'\\\n'Stay friendly.'\n")
    assert "it might have saved some 38 of 132 calls; it was not tried on the 60" in " ".join(words.split())


def test_a_run_that_was_served_well_enough(tmp_path: Path) -> None:
    """With 81 images served, the edit might fail on more of them than it can make good."""
    stats, evolution, words = documents_of(tmp_path, run_outcomes(served=81))

    assert (stats["other_words"]["suggestion"], evolution["suggestion"]) == (None, None)
    assert "--prompt" not in words


@pytest.mark.parametrize(
    ("outcomes", "said"),
    [
        (
            [failed_twice((SOFT, None)), failed_twice((SOFT, BLOCKED))],
            "2 images asked again with an edited prompt, 1 answered",
        ),
        (
            [failed_twice((with_settings(BASE, MORE), None))],
            "1 image asked again with your prompt and other settings, 1 answered (see out/metadata/",
        ),
        (
            [failed_twice((with_settings(BASE, MORE), BLOCKED), (SOFT, BLOCKED)), failed_twice((SOFT, None))],
            "2 images asked again with an edited prompt, 1 answered; 1 image asked again with your prompt",
        ),
    ],
    ids=["words", "settings", "both"],
)
def test_answers_to_something_else_are_told(outcomes: list[Succeeded | Failed], said: str) -> None:
    """How many, and where the details are."""
    words = build_summary(stats_of(tally_of(outcomes)), WHERE, dry_run=False)

    assert f"Repair {said}" in " ".join(words.split())
    assert max(map(len, words.splitlines())) <= 79


@pytest.mark.parametrize("prompt", [BASE, CONTROL])
def test_the_users_own_words_need_no_telling(tmp_path: Path, prompt: Prompt) -> None:
    """Asked again or not: nothing of all this appears."""
    stats, _, words = documents_of(tmp_path, iter([failed_twice((prompt, None))]))

    assert stats["other_words"] is None
    assert "Repair" not in words
