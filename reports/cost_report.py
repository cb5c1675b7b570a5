"""Section ``cost`` of ``processing_stats.json``, and the line about costs in the summary.

Tokens times list price is not the bill: prices change, and a call that timed out may be billed. So the
section names the price list, its day, and the most the run can have cost. A dry run gets an estimated range.
"""

from costs.price_book import Costs
from reports.documents import Cost, CostRange
from reports.formatting import format_count, format_dollars, round_dollars
from reports.tally import Tally

_CURRENCY = "USD"
_UNKNOWN_USAGE = "the service did not say how many tokens the answers took, or what cannot be believed"


def build_cost_section(costs: Costs | None, tally: Tally) -> Cost | None:
    """Return the section about costs; None if no prices were looked up."""
    if costs is None:
        return None
    unknown = tally.answers_without_usage
    is_paid = costs.price_date is not None and costs.estimate is None
    total = tally.cost if is_paid and (tally.cost or not unknown) else None
    each = total / tally.succeeded if total is not None and tally.succeeded and not unknown else None
    by_result = sorted(tally.cost_by_result.items(), key=lambda item: (-item[1], item[0]))
    return Cost(
        currency=_CURRENCY,
        total_usd=round_dollars(total),
        per_answer_usd=round_dollars(each),
        by_result_usd={result: round_dollars(cost) for result, cost in by_result},
        calls_without_usage=unknown,
        reserved_at_most_usd=None if costs.at_most is None else round_dollars(max(costs.at_most, tally.cost)),
        estimate_usd=CostRange(low=round_dollars(costs.estimate[0]), high=round_dollars(costs.estimate[1]))
        if costs.estimate
        else None,
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
        return f"a real run would cost about {format_dollars(low)} to {format_dollars(high)} {by}"
    if cost.total_usd is None:
        return _unknown_line(cost, by) if cost.calls_without_usage else ""
    upper_usd, unknown = cost.reserved_at_most_usd, cost.calls_without_usage
    # A difference of up to half a percent may come from prices of another day.
    is_unsure = upper_usd is not None and upper_usd > 1.005 * cost.total_usd
    unsure = (
        f", at most {format_dollars(upper_usd)} with the calls whose bill never came"
        if is_unsure and upper_usd
        else ""
    )
    more = (
        f", and {format_count(unknown, 'answer')} whose tokens were not told, or cannot be believed"
        if unknown
        else ""
    )
    return f"about {format_dollars(cost.total_usd)}{unsure}{more} {by}"


def _unknown_line(cost: Cost, by: str) -> str:
    """Return what is known where no call said credibly what it took."""
    upper_usd = cost.reserved_at_most_usd
    return (
        f"at most {format_dollars(upper_usd)}, {_UNKNOWN_USAGE} {by}"
        if upper_usd
        else f"unknown: {_UNKNOWN_USAGE}"
    )
