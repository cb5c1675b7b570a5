"""Section ``cost`` of ``processing_stats.json``, and the line about costs in the summary.

Tokens times list price is not the bill: prices change, and a call that timed out may be billed. So the
section names the price list, its day, and the most the run can have cost. A dry run gets an estimated range.
"""

from decimal import Decimal

from costs.price_book import Costs
from reports.documents import Cost, CostRange
from reports.tally import Tally

_CURRENCY = "USD"
_DIGITS = 6
"""Decimal places of a dollar: a call costs at least a few millionths."""


def build_cost_section(costs: Costs | None, tally: Tally) -> Cost | None:
    """Return the section about costs; None if no prices were looked up."""
    if costs is None:
        return None
    is_paid = costs.price_date is not None and costs.estimate is None
    total = tally.cost if is_paid else None
    each = total / tally.succeeded if total is not None and tally.succeeded else None
    by_result = sorted(tally.cost_by_result.items(), key=lambda item: (-item[1], item[0]))
    return Cost(
        currency=_CURRENCY,
        total_usd=_round(total),
        per_answer_usd=_round(each),
        by_result_usd={result: float(round(cost, _DIGITS)) for result, cost in by_result},
        reserved_at_most_usd=None if costs.at_most is None else _round(max(costs.at_most, tally.cost)),
        estimate_usd=_round_range(costs.estimate),
        price_source=costs.price_source,
        price_date=costs.price_date.isoformat() if costs.price_date else None,
    )


def summary_line(cost: Cost | None, *, model: str) -> str:
    """Return the cost for the summary; empty if there is nothing to say about it."""
    if cost is None:
        return ""
    if cost.price_date is None:
        return f"unknown: {cost.price_source}"
    by = f"({model}, prices of {cost.price_date} by {cost.price_source})"
    if cost.estimate_usd:
        low, high = cost.estimate_usd.low, cost.estimate_usd.high
        return f"a real run would cost about {_format_dollars(low)} to {_format_dollars(high)} {by}"
    if cost.total_usd is None:
        return ""
    upper_usd = cost.reserved_at_most_usd
    # A difference of up to half a percent may come from prices of another day.
    is_unsure = upper_usd is not None and upper_usd > 1.005 * cost.total_usd
    unsure = (
        f", at most {_format_dollars(upper_usd)} with the calls whose bill never came"
        if is_unsure and upper_usd
        else ""
    )
    return f"about {_format_dollars(cost.total_usd)}{unsure} {by}"


def _round_range(estimate: tuple[Decimal, Decimal] | None) -> CostRange | None:
    if estimate is None:
        return None
    low, high = estimate
    return CostRange(low=float(round(low, _DIGITS)), high=float(round(high, _DIGITS)))


def _round(cost: Decimal | None) -> float | None:
    return None if cost is None else float(round(cost, _DIGITS))


def _format_dollars(cost: float) -> str:
    """Return an amount with two, four or six decimal places: ``$12.30``, ``$0.0123``, ``$0.000040``."""
    if cost >= 1:
        return f"${cost:,.2f}"
    return f"${cost:.4f}" if cost >= 0.001 or not cost else f"${cost:.6f}"
