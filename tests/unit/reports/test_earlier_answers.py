"""Rules of reports/earlier_answers.py: what happens to paid answers is said in one sentence."""

import pytest

from reports.documents import Breakdown, EarlierAnswers
from reports.earlier_answers import describe_asked_anew, describe_kept, describe_repaired, qualify_answered
from storage.journal.plan import Difference

_TAIL = "the earlier answers go to the history; --keep-answers leaves them"


@pytest.mark.parametrize(
    ("counts", "cost_usd", "sentence"),
    [
        ({}, 1.0, ""),
        (
            {Difference.PROMPT: 7},
            0.0021,
            f"7 images were answered with another prompt: they are asked anew (about $0.0021), {_TAIL}",
        ),
        (
            {Difference.MODEL: 1},
            None,
            f"1 image was answered by another model: it is asked anew, {_TAIL}",
        ),
        (
            {Difference.PROMPT: 1200, Difference.BOTH: 3, Difference.OTHER: 1},
            3.5,
            (
                "1,204 images were answered before, 1,200 with another prompt, 3 by another model with"
                f" another prompt, 1 under other settings: they are asked anew (about $3.50), {_TAIL}"
            ),
        ),
    ],
    ids=["none", "prompt", "one-model", "several"],
)
def test_what_is_bought_anew(counts: dict[str, int], cost_usd: float | None, sentence: str) -> None:
    """How many images, why, what it costs where that is known, where the answers go, and the way out."""
    assert describe_asked_anew(counts, cost_usd=cost_usd) == sentence


@pytest.mark.parametrize("difference", Difference)
def test_every_difference_has_its_words(difference: Difference) -> None:
    """No plan can name one that cannot be said."""
    assert describe_asked_anew({difference: 2}, cost_usd=None)


def test_what_is_left_in_place() -> None:
    """Number, flag and model are named; nothing is said about nothing."""
    assert (describe_kept({}, flag="--x"), describe_repaired({})) == ("", "")
    assert describe_kept({"m": 1}, flag="--x") == "1 answer of other settings is left in place (--x): 1 by m"
    assert describe_kept({"m": 2, "n": 1}, flag="--x").endswith("left in place (--x): 2 by m, 1 by n")
    assert describe_repaired({"m": 2}).endswith("2 by m")


def test_the_summary_names_the_models() -> None:
    """Answers of other settings, by model and why they count; nothing where there are none."""

    def earlier(repaired: dict[str, int], kept: dict[str, int]) -> EarlierAnswers:
        return EarlierAnswers(
            repaired=Breakdown(total=sum(repaired.values()), by=repaired),
            kept=Breakdown(total=sum(kept.values()), by=kept),
            asked_anew=Breakdown(total=0, by={}),
            kept_by_failures=0,
        )

    assert qualify_answered(earlier({}, {})) == ""
    assert qualify_answered(earlier({"m": 5}, {"n": 1})) == (
        ", 5 of them by m in a repair, 1 of them by n under other settings"
    )
