"""What did the run cost, and what would a dry one have cost?

A sum of tokens times a price looks exact and is not: list prices change, and of a call that timed out
nobody knows whether it is billed. So the document says which prices of which day it goes by, and beside
the sum of the bills what the run can have cost at most; a dry run gives two numbers, and calls them an
estimate. Nothing is priced here, and nothing is known of the model but its name.
"""

from decimal import Decimal

from costs.price_book import Costs
from reports.documents import Cost, CostRange
from reports.tally import Tally

_CURRENCY = "USD"
_DIGITS = 6
"""Of a dollar: a call costs at least a few millionths."""


def build_cost_section(costs: Costs | None, tally: Tally) -> Cost | None:
    """Return what a run's document says about money; None when nobody looked prices up."""
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
    """Return the cost for the closing lines; empty when nothing is to be said about it."""
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
    # Half a percent of it may be another day's price.
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
    """Return an amount in as many digits as say something: ``$12.30``, ``$0.0123``, ``$0.00004``."""
    if cost >= 1:
        return f"${cost:,.2f}"
    return f"${cost:.4f}" if cost >= 0.001 or not cost else f"${cost:.6f}"
