"""Rules of reports/edit_outcomes.py and reports/prompt_evolution.py, by numbers counted by hand."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import ErrorKind, StopReason
from models import Failed, Succeeded, Usage
from prompts.policy import ControlAssignment
from prompts.uplift import Uplift, estimate_uplift
from reports.attempt_history import EvolutionEntry, build_evolution_entry
from reports.prompt_evolution import ProposalEntry, build_prompt_evolution
from reports.tally import Tally
from tests.support.attempts import (
    CONTROL,
    LESS,
    MORE,
    STAMP,
    Call,
    example_price,
    failed_twice,
    image,
    tally_of,
    with_settings,
)
from tests.support.outcomes import BASE, SOFT, START, archiver, attempt, run_info, stopped_attempt
from tests.support.reports import load_checked, stats_of

KIND = ErrorKind
BLOCKED = KIND.BLOCKED
TRUNCATED = KIND.TRUNCATED


def document_of(
    tmp_path: Path,
    tally: Tally,
    measured: Uplift | None = None,
    *,
    entries: Sequence[EvolutionEntry] = (),
    proposals: Sequence[ProposalEntry] = (),
) -> Any:
    """Write the document, check it by its schema and return it."""
    head = build_prompt_evolution(run_info(), tally, measured, proposals)
    return load_checked(archiver(tmp_path).write_stream("prompt_evolution", head, "images", entries))


def three_hard_ones() -> Tally:
    """Return a run with one image served and three that failed twice; two of them were rescued."""
    return tally_of(
        (
            failed_twice((SOFT, None)),
            failed_twice((SOFT, BLOCKED), (STAMP, None)),
            failed_twice((SOFT, KIND.SERVER), (SOFT, BLOCKED)),
            image((BASE, None)),
        )
    )


# Edits


def test_what_an_edit_took(tmp_path: Path) -> None:
    """Images count once, calls as often as they were made, and a rescue is credited to the last words."""
    document = document_of(tmp_path, three_hard_ones())

    assert (document["reworded"], document["rescued"]) == (3, 2)
    assert document["edits"] == {
        "soften": {
            "tried": 3, "rescued": 1, "share": {"estimate": 0.3333, "low": 0.0615, "high": 0.7923},
            "calls": 4, "input_tokens": 4000, "output_tokens": 40,
            "cost_usd": 0.004, "cost_per_rescue": 0.004,
        },
        "stamp": {
            "tried": 1, "rescued": 1, "share": {"estimate": 1.0, "low": 0.2065, "high": 1.0},
            "calls": 1, "input_tokens": 1000, "output_tokens": 10,
            "cost_usd": 0.001, "cost_per_rescue": 0.001,
        },
    }  # fmt: skip
    assert document["calls"] == {
        "total": 5, "input_tokens": 5000, "output_tokens": 50, "cost_usd": 0.005,
        "per_rescue": 2.5, "tokens_per_rescue": 2525.0, "cost_per_rescue": 0.0025,
    }  # fmt: skip


def test_a_rescue_that_could_not_be_kept_is_none() -> None:
    """The calls were made all the same."""
    tally = Tally(price=example_price)
    tally.record_unsaved(failed_twice((SOFT, None)))

    assert (tally.edit_outcomes.by_edit["soften"].tried, tally.edit_outcomes.by_edit["soften"].rescued) == (
        1,
        0,
    )
    assert (tally.edit_outcomes.edited.calls, tally.edit_outcomes.edited.cost) == (1, Decimal("0.001"))


def test_without_a_price_nothing_is_said_about_money(tmp_path: Path) -> None:
    """Not even where the price of a single call is not known: a part of a sum is no sum."""
    outcomes = [failed_twice((SOFT, None)), failed_twice((SOFT, BLOCKED), (SOFT, None))]
    known_at_first = tally_of(
        outcomes, price=lambda _, at: Decimal(1) if at < START + timedelta(seconds=4) else None
    )

    for tally in (tally_of(outcomes, price=lambda *_: None), known_at_first):
        document = document_of(tmp_path, tally)
        assert (document["calls"]["cost_usd"], document["calls"]["cost_per_rescue"]) == (None, None)
        assert document["edits"]["soften"]["cost_usd"] is None
        assert document["calls"]["per_rescue"] == 1.5


def test_nothing_rescued_has_no_price() -> None:
    """The money is gone; there is nothing to divide it among."""
    head = build_prompt_evolution(run_info(), tally_of([failed_twice((SOFT, BLOCKED))]))

    assert (head.calls.cost_usd, head.calls.per_rescue, head.calls.cost_per_rescue) == (0.001, None, None)
    assert (head.edits["soften"].cost_usd, head.edits["soften"].cost_per_rescue) == (0.001, None)


# Settings


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ([(with_settings(BASE, MORE), None)], {MORE: (1, 1, 1)}),
        ([(with_settings(BASE, MORE), TRUNCATED)], {MORE: (1, 0, 1)}),
        (
            # The settings of a call stand in the order of the alphabet: less before more.
            [(with_settings(BASE, MORE), TRUNCATED), (with_settings(BASE, LESS, MORE), None)],
            {MORE: (1, 0, 1), LESS: (1, 1, 1)},
        ),
        (
            [(with_settings(BASE, MORE), TRUNCATED)] * 2 + [(with_settings(BASE, MORE), None)],
            {MORE: (1, 1, 3)},
        ),
        ([(with_settings(BASE, MORE), TRUNCATED), (BASE, None)], {MORE: (1, 0, 1)}),
        ([(with_settings(BASE, MORE), TRUNCATED), (with_settings(SOFT, MORE), None)], {MORE: (1, 0, 1)}),
    ],
    ids=[
        "cured",
        "in-vain",
        "the-second-cured",
        "asked-again-with-it",
        "asked-without-it",
        "then-other-words",
    ],
)
def test_what_a_setting_came_to(
    tmp_path: Path, calls: list[Call], expected: dict[str, tuple[int, int, int]]
) -> None:
    """A call with the user's words counts for the setting that was changed last; tried, answered, calls."""
    document = document_of(tmp_path, tally_of([image((BASE, TRUNCATED), *calls)]))
    parameters = document["parameters"]

    assert {name: (of["tried"], of["answered"], of["calls"]) for name, of in parameters.items()} == expected
    for of in parameters.values():
        assert (of["input_tokens"], of["output_tokens"]) == (1000 * of["calls"], 10 * of["calls"])
        assert of["cost_usd"] == pytest.approx(0.001 * of["calls"])


def test_other_words_with_other_settings_are_other_words(tmp_path: Path) -> None:
    """What the user did not say weighs more than what he did not set."""
    tally = tally_of([image((BASE, TRUNCATED), (with_settings(SOFT, MORE), None))])
    document = document_of(tmp_path, tally)

    assert (document["rescued"], document["edits"]["soften"]["rescued"]) == (1, 1)
    assert document["parameters"] == {}
    assert stats_of(tally).other_words is not None


# The sums, whatever happens


_PROMPTS = [
    prompt
    for words in (BASE, CONTROL, SOFT, STAMP)
    for prompt in (words, with_settings(words, MORE), with_settings(words, LESS, MORE))
]
_CALLS = st.tuples(st.sampled_from(_PROMPTS), st.sampled_from([BLOCKED, TRUNCATED, KIND.RATE_LIMITED]))


@st.composite
def _images(draw: st.DrawFn) -> Succeeded | Failed:
    failures = draw(st.lists(_CALLS, max_size=5))
    last = draw(st.sampled_from(_PROMPTS)), draw(st.sampled_from([None, BLOCKED]))
    return image(*failures, last)


@given(st.lists(_images(), max_size=8))
def test_the_parts_add_up(outcomes: list[Succeeded | Failed]) -> None:
    """Every call in other words has one edit, every image one end; nothing rescues what it did not try."""
    tally = tally_of(outcomes)
    seen = tally.edit_outcomes

    for whole, parts in ((seen.edited, seen.by_edit), (seen.changed_settings, seen.by_parameter)):
        assert whole.calls == sum(arm.calls for arm in parts.values())
        assert whole.rescued == sum(arm.rescued for arm in parts.values())
        assert whole.usage == sum((arm.usage for arm in parts.values()), Usage())
        assert (whole.cost or 0) == sum(arm.cost or 0 for arm in parts.values())
        for arm in (whole, *parts.values()):
            assert arm.rescued <= arm.tried <= arm.calls
    assert (seen.images_asked, seen.served_by_base + seen.edited.rescued) == (len(outcomes), tally.succeeded)
    assert seen.hard_images <= seen.images_asked
    for name, candidate in seen.suggestion_candidates.items():
        assert candidate.rescued <= candidate.tried <= seen.by_edit[name].tried
        assert candidate.saved_calls <= seen.hard_calls
    assert len(seen.by_edit) <= 2  # as many as there are names, whatever the number of images


# The uplift


def measured(edited: tuple[int, int], asked_again: tuple[int, int]) -> Uplift:
    """Return the comparison of so many rescues in so many trials on each side."""
    return estimate_uplift(
        (ControlAssignment(kind=BLOCKED, is_control=control, control_share=0.15), number < rescues)
        for control, (rescues, tries) in ((False, edited), (True, asked_again))
        for number in range(tries)
    )


def test_what_an_additional_rescue_took(tmp_path: Path) -> None:
    """Half of the first edits' rescues are beyond chance: two calls for one of them, and their price."""
    document = document_of(tmp_path, three_hard_ones(), measured((30, 40), (10, 40)))

    assert document["uplift"] == {
        "edited": {"tried": 40, "rescued": 30},
        "asked_again": {"tried": 40, "rescued": 10},
        "difference": {"estimate": 0.5, "low": 0.2851, "high": 0.6529},
        "calls_per_additional_rescue": {"estimate": 2.0, "low": 1.53, "high": 3.51},
        "cost_per_additional_rescue": {"estimate": 0.002, "low": 0.001532, "high": 0.003507},
    }


@pytest.mark.parametrize(
    "comparison",
    [measured((3, 4), (1, 4)), measured((0, 40), (30, 40)), measured((9, 9), (0, 0))],
    ids=["by-chance", "worse", "no-control"],
)
def test_what_is_not_shown_has_no_price(comparison: Uplift) -> None:
    """If the difference is not significant, no cost of an additional rescue is given."""
    section = build_prompt_evolution(run_info(), three_hard_ones(), comparison).uplift

    assert section is not None
    assert (section.calls_per_additional_rescue, section.cost_per_additional_rescue) == (None, None)


def test_without_a_price_an_additional_rescue_took_calls() -> None:
    """They are counted, though their price is unknown."""
    tally = tally_of([failed_twice((SOFT, None))], price=lambda *_: None)
    section = build_prompt_evolution(run_info(), tally, measured((30, 40), (10, 40))).uplift

    assert section is not None
    assert section.calls_per_additional_rescue is not None
    assert section.cost_per_additional_rescue is None


# The whole document


def entry(*, succeeded_at_last: bool) -> EvolutionEntry:
    """Return an image that was blocked twice and then asked about in softer words."""
    last = None if succeeded_at_last else BLOCKED
    outcome = failed_twice((replace(SOFT, parameters=(MORE,)), last))
    return build_evolution_entry(
        "a.jpg", outcome.attempts, succeeded=succeeded_at_last, kind=last, price=example_price
    )


def test_prompt_evolution_fits_its_schema(tmp_path: Path) -> None:
    """The whole chain: every call with its words and settings, how it ended, and what it cost."""
    stopped = [attempt(1, BLOCKED), stopped_attempt(StopReason.CREDIT_SPENT)]
    entries = (
        entry(succeeded_at_last=True),
        entry(succeeded_at_last=False),
        build_evolution_entry("b.jpg", stopped, succeeded=False, kind=None),
    )
    document = document_of(tmp_path, three_hard_ones(), measured((3, 4), (1, 4)), entries=entries)

    rescued, lost, put_off = document["images"]
    assert [call["prompt"] for call in rescued["attempts"]] == [BASE.text, BASE.text, SOFT.text]
    assert [call["parameters"] for call in rescued["attempts"]] == [[], [], ["more_output_tokens"]]
    assert [call["result"] for call in rescued["attempts"]] == ["blocked", "blocked", "answered"]
    assert [call["cost_usd"] for call in rescued["attempts"]] == [0.001] * 3
    assert (rescued["outcome"], lost["outcome"], put_off["outcome"]) == ("succeeded", "failed", "deferred")
    assert put_off["attempts"][-1]["result"] == "credit_spent"
    assert [call["cost_usd"] for call in put_off["attempts"]] == [None, None]


@pytest.mark.parametrize("outcome", ["joined", "on_trial", "dropped", "refused"])
def test_proposals_are_told(tmp_path: Path, outcome: str) -> None:
    """Whatever became of them."""
    proposal = ProposalEntry(
        name="proposed_1", kind=BLOCKED, model="gemini-3.5-pro", prompt="Describe it kindly",
        outcome=outcome, why="it rescued 3 of 4", tried=4, rescued=3,
        input_tokens=900, output_tokens=80, cost_usd=0.0021,
    )  # fmt: skip
    (told_of,) = document_of(tmp_path, three_hard_ones(), proposals=[proposal])["proposals"]

    assert (told_of["name"], told_of["kind"], told_of["outcome"]) == ("proposed_1", "blocked", outcome)
    assert (told_of["tried"], told_of["rescued"], told_of["cost_usd"]) == (4, 3, 0.0021)


def test_questions_about_words_are_calls_that_cost(tmp_path: Path) -> None:
    """They are in every sum, under a name of their own, and belong to no image."""
    tally = tally_of([image((BASE, None))])
    tally.add_proposal(Usage(input_tokens=900, output_tokens=80), Decimal("0.0021"))
    tally.add_proposal(Usage(input_tokens=900), None)
    document = load_checked(archiver(tmp_path).write_document("processing_stats", stats_of(tally)))

    assert document["requests"]["by_result"] == {"proposal": 2, "answered": 1}
    assert (document["requests"]["total"], document["tokens"]["input"]) == (3, 2800)
    assert (tally.cost, tally.cost_by_result["proposal"]) == (Decimal("0.0031"), Decimal("0.0021"))
    assert (tally.edit_outcomes.images_asked, tally.edit_outcomes.edited.calls) == (1, 0)
