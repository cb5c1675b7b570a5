"""Tables of the comparison, in Markdown.

Medians of the rounds, and ratios within each round, since the machine is not the same from one to the
next. A row that lost or mixed up a result shows that in place of its speed.
"""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence

from bench.arena import Results
from bench.clients import BARE, PACED, SDK
from bench.measure import Result, median, ratio
from bench.scenarios import RESUME, START, Scenario

_NONE = "-"
_DISQUALIFIED = "disqualified"


def tables(found: Mapping[Scenario, Results]) -> Iterator[str]:
    """Yield the lines of one table for each scenario."""
    starts = next((results for scenario, results in found.items() if scenario.name == START.name), {})
    for scenario, results in found.items():
        rounds = max(map(len, results.values()), default=0)
        yield f"### {scenario.title} (`{scenario.name}`, rounds: {rounds})"
        yield ""
        if scenario.name in {START.name, RESUME.name}:
            yield from _start_up(results)
        elif scenario.watched:
            yield from _stalls(results)
        else:
            yield from _load(scenario, results, starts)
        yield ""


def _start_up(results: Results) -> Iterator[str]:
    yield from _table("client", "right", "calls", "wall s", "against sdk s", "CPU s", "peak MB")
    sdk = _standing(results, SDK)
    for name, rows in results.items():
        calls = f"{median(rows, lambda one: one.seen.calls):.0f}"
        if not _stands(rows):
            yield _row(name, _right(rows), calls, _DISQUALIFIED, *[_NONE] * 3)
            continue
        wall = median(rows, _wall_s)
        yield _row(
            name,
            _right(rows),
            calls,
            f"{wall:.2f}",
            f"{_mark(rows, sdk)}{wall - median(sdk, _wall_s):+.2f}" if sdk else _NONE,
            f"{median(rows, _cpu_s):.2f}",
            f"{median(rows, _peak_mb):.0f}",
        )


def _stalls(results: Results) -> Iterator[str]:
    yield from _table("client", "right", "longest stall ms", "its CPU ms", "peak MB")
    for name, rows in results.items():
        if not _stands(rows):
            yield _row(name, _right(rows), _DISQUALIFIED, *[_NONE] * 2)
            continue
        clock = [row.stall_ms for row in rows if row.stall_ms is not None]
        own = [row.stall_cpu_ms for row in rows if row.stall_cpu_ms is not None]
        # The stall that one round did not record may have been its longest.
        is_known = len(clock) == len(own) == len(rows)
        yield _row(
            name,
            _right(rows),
            f"{statistics.median(clock):.0f}" if is_known else "not watched",
            f"{statistics.median(own):.0f}" if is_known else _NONE,
            f"{median(rows, _peak_mb):.0f}",
        )


def _load(scenario: Scenario, results: Results, starts: Results) -> Iterator[str]:
    pacer = PACED if scenario.paced else BARE
    yield from _table(
        "client",
        "right",
        "calls an image",
        "first to last s",
        f"speed : {pacer}",
        "of the bound",
        "CPU ms an image",
        "CPU : sdk",
        "peak MB",
        "against sdk MB",
    )
    for name, rows in results.items():
        yield _row(
            name, _right(rows), f"{median(rows, _calls):.2f}", *_figures(scenario, results, name, starts)
        )


def _figures(scenario: Scenario, results: Results, name: str, starts: Results) -> Iterator[str]:
    rows = results[name]
    if not _stands(rows):
        yield _DISQUALIFIED
        yield from [_NONE] * 6
        return
    spread = median(rows, _spread_s)
    yield f"{spread:.2f}"
    pacer = _standing(results, PACED if scenario.paced else BARE)
    yield _times(ratio(pacer, rows, _spread_s), _mark(rows, pacer))
    yield f"{scenario.bound_s / spread:.2f}" if scenario.bound_s and spread else _NONE
    own, sdk, sdk_rows = _cpu_ms(name, starts), _cpu_ms(SDK, starts), _standing(results, SDK)
    yield f"{median(rows, own):.2f}" if own else _NONE
    ratios = [own(one) / sdk(two) for one, two in zip(rows, sdk_rows, strict=False)] if own and sdk else []
    yield _times(statistics.median(ratios) if ratios else None, _mark(rows, sdk_rows))
    peak = median(rows, _peak_mb)
    yield f"{peak:.0f}"
    yield f"{peak - median(sdk_rows, _peak_mb):+.0f}" if sdk_rows else _NONE


def _standing(results: Results, name: str) -> Sequence[Result]:
    """Return what others are compared with; a client that failed is no measure."""
    rows = results.get(name, [])
    return rows if _stands(rows) else []


def _stands(rows: Sequence[Result]) -> bool:
    return all(row.stands for row in rows)


def _mark(rows: Sequence[Result], others: Sequence[Result]) -> str:
    """Return what stands before a comparison of what was not measured in turn."""
    return "" if {row.session for row in rows} == {row.session for row in others} else "~"


def _cpu_ms(name: str, starts: Results) -> Callable[[Result], float] | None:
    """Return how to take the start-up, that is a run with one image, off the CPU of a run.

    None where that is not known: with its start-up, one client would look worse than another, or better.
    """
    alone = _standing(starts, name.partition(",")[0])
    if not alone:
        return None
    start_s = median(alone, _cpu_s)

    def figure(result: Result) -> float:
        return max(1e-6, (result.used.cpu_s - start_s) / max(1, result.images - 1) * 1e3)

    return figure


def _right(rows: Sequence[Result]) -> str:
    worst = min(rows, key=lambda row: row.right - row.wrong)
    wrong = f", {worst.wrong} wrong" if worst.wrong else ""
    return f"{worst.right} of {worst.images}{wrong}"


def _table(*names: str) -> Iterator[str]:
    yield _row(*names)
    yield "|---|" + "---:|" * (len(names) - 1)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _times(value: float | None, mark: str) -> str:
    return _NONE if value is None else f"{mark}{value:.2f} x"


def _wall_s(result: Result) -> float:
    return result.used.wall_s


def _cpu_s(result: Result) -> float:
    return result.used.cpu_s


def _peak_mb(result: Result) -> float:
    return result.used.peak_mb


def _spread_s(result: Result) -> float:
    return result.seen.first_to_last_s


def _calls(result: Result) -> float:
    return result.seen.calls / result.images
