"""Rules of reports/cost_report.py, and of the costs in reports/tally.py and reports/summary.py."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from errors import ErrorKind
from models import Usage
from reports.run_report import (
    Costs,
    PlanCounts,
    ProcessingStats,
    Tally,
    TreeTotals,
    build_processing_stats,
)
from reports.summary import OutputPaths, build_summary
from tests.support.outcomes import START, archiver, deferred, failed, run_info, succeeded
from tests.support.reports import load_checked

DAY = date(2026, 11, 23)
COSTS = Costs(price_source="genai-prices 0.2.3", price_date=DAY)
WHERE = OutputPaths(output_dir="out", metadata="out/metadata")
TREE = TreeTotals(answered=0, failed=0, deferred=0, input_tokens=0, output_tokens=0)


def price(usage: Usage, at: datetime) -> Decimal:
    """Return a millionth of a dollar for an input token; the double from the fourth call of a run on."""
    each = Decimal("0.000001") * (1 if at < START + timedelta(seconds=4) else 2)
    return usage.input_tokens * each


def tally(*, is_priced: bool = True) -> Tally:
    """Return the tally of two answers, one after three refusals, one of which was billed."""
    counted = Tally(price=price) if is_priced else Tally()
    dear = succeeded("b.jpg", kinds=(ErrorKind.SERVER, ErrorKind.BLOCKED, ErrorKind.SERVER))
    first, refused, *rest = dear.attempts
    billed = replace(refused, usage=Usage(input_tokens=500))
    for outcome in (
        succeeded("a.jpg"),
        replace(dear, attempts=(first, billed, *rest)),
        failed("c.jpg", ErrorKind.TIMEOUT),
        deferred("d.jpg"),
    ):
        counted.add(outcome)
    return counted


def stats_of(counted: Tally, costs: Costs | None = COSTS) -> ProcessingStats:
    """Return the document about a run."""
    return build_processing_stats(
        run=run_info(),
        ended_at=START + timedelta(seconds=90),
        tally=counted,
        plan=PlanCounts(
            found=counted.finished,
            already_answered=0,
            known_failures=0,
            not_selected=0,
            to_do=counted.finished,
        ),
        tree=TREE,
        stop=None,
        costs=costs,
    )


def document_of(tmp_path: Path, stats: ProcessingStats) -> Any:
    """Write the document, check it by its schema, and return what it says about money."""
    return load_checked(archiver(tmp_path).write_document("processing_stats", stats))["cost"]


def closing_of(stats: ProcessingStats, *, dry_run: bool = False) -> str:
    """Return the summary as one line."""
    return " ".join(build_summary(stats, WHERE, dry_run=dry_run).split())


def test_every_call_is_priced_by_its_own_moment(tmp_path: Path) -> None:
    """Failed calls count, under how they ended; what cost nothing is not named."""
    assert document_of(tmp_path, stats_of(tally())) == {
        "currency": "USD",
        "total_usd": 0.00386,
        "per_answer_usd": 0.00193,
        "by_result_usd": {"answered": 0.00336, "blocked": 0.0005},
        "calls_without_usage": 0,
        "reserved_at_most_usd": None,
        "estimate_usd": None,
        "price_source": "genai-prices 0.2.3",
        "price_date": "2026-11-23",
    }


def test_calls_of_a_lost_answer_are_paid_all_the_same() -> None:
    """They are in the sum, though their answer is nowhere."""
    counted = Tally(price=price)
    counted.record_unsaved(succeeded())

    assert counted.cost == Decimal("0.00112")


def test_a_run_that_looked_up_no_prices_says_nothing(tmp_path: Path) -> None:
    """Null in the document, no row at the end."""
    stats = stats_of(tally(is_priced=False), None)

    assert document_of(tmp_path, stats) is None
    assert "Cost" not in closing_of(stats)


def test_a_model_without_a_price(tmp_path: Path) -> None:
    """The sentence stands where the list would, and no number does."""
    costs = Costs(price_source="no price is known for x: --max-cost cannot hold")
    stats = stats_of(tally(is_priced=False), costs)
    cost = document_of(tmp_path, stats)

    assert (cost["total_usd"], cost["per_answer_usd"], cost["by_result_usd"]) == (None, None, {})
    assert (cost["price_source"], cost["price_date"]) == (costs.price_source, None)
    assert "Cost unknown: no price is known for x" in closing_of(stats)


def test_a_dry_run_tells_two_numbers(tmp_path: Path) -> None:
    """It paid nothing, and says about what a real run would cost, marked as no more than that."""
    estimate = Decimal("0.0123"), Decimal("1234.5")
    stats = stats_of(tally(is_priced=False), Costs(price_source="l", price_date=DAY, estimate=estimate))
    cost = document_of(tmp_path, stats)

    assert (cost["total_usd"], cost["estimate_usd"]) == (None, {"low": 0.0123, "high": 1234.5})
    assert (
        "Cost a real run would cost about $0.0123 to $1,234.50 (gemini-3.5-flash-lite, prices of"
        " 2026-11-23 by l)"
    ) in closing_of(stats, dry_run=True)


@pytest.mark.parametrize(
    ("at_most", "said", "told"),
    [
        (Decimal("0.50"), "about $0.0039, at most $0.5000 with the calls whose bill never came (gem", 0.5),
        (Decimal("0.00386"), "about $0.0039 (gemini-3.5-flash-lite, prices of 2026-11-23 by", 0.00386),
        (Decimal(0), "about $0.0039 (gem", 0.00386),
    ],
)
def test_calls_without_a_bill(tmp_path: Path, at_most: Decimal, said: str, told: float) -> None:
    """What was reserved for them is reported beside the sum; it is never below the sum."""
    stats = stats_of(tally(), Costs(price_source="a list", price_date=DAY, at_most=at_most))

    assert f"Cost {said}" in closing_of(stats)
    assert document_of(tmp_path, stats)["reserved_at_most_usd"] == told


@pytest.mark.parametrize(
    ("dollars", "said"),
    [("0", "$0.0000"), ("0.00004", "$0.000040"), ("0.0123", "$0.0123"), ("12.3", "$12.30")],
)
def test_amounts(dollars: str, said: str) -> None:
    """In as many digits as say something."""
    counted = Tally(price=lambda usage, _: Decimal(dollars) if usage.input_tokens else Decimal(0))
    counted.add(succeeded())

    assert f"Cost about {said} (" in closing_of(stats_of(counted))


def test_a_run_without_a_call_has_no_cost() -> None:
    """Nothing was asked, so nothing is said."""
    assert "Cost" not in closing_of(stats_of(Tally(price=price)))
