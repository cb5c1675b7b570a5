"""Benchmark of the rate limiter and the usual clients against limits that are unknown to them.

Plays them all through the same twenty minutes of virtual time (tests/simulation/rate_limit), under three
ways to count and several seeds, prints the tables in Markdown, and puts them and the plot into docs/. The
figures rank clients against quota models; they do not measure Google.
"""

import argparse
import os
import platform
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bench.pacing_plot import draw
from tests.simulation.rate_limit.clients import CLIENTS, USUAL_CLIENTS
from tests.simulation.rate_limit.scenarios import SCENARIOS, Hints, Kind
from tests.simulation.rate_limit.simulation import Result, simulate

DOCS = Path(__file__).resolve().parent.parent / "docs"
BEGIN, END = "<!-- figures: make bench-pacing -->", "<!-- end of figures -->"
OURS = "ours"
SLOTS = (1, 2, 5, 20, 50, 100, 200)
SECOND_NIGHT = 1_000
_TITLES = {
    Kind.FIXED: "Fixed windows of a minute, with a phase that nobody knows",
    Kind.SLIDING: "Sliding window of a minute",
    Kind.BUCKET: "Token bucket that holds ten seconds' worth",
}
_COLUMNS = {
    "10": "10/min",
    "60": "60/min, 18 s",
    "300": "300/min",
    "2000": "2,000/min",
    "tokens": "250 k tokens/min",
    "halved": "300/min, halved for 7 min",
    "shared": "300/min, half taken",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """One run to play."""

    client: str
    scenario: str
    kind: Kind
    seed: int
    hints: Hints = Hints.UNNAMED
    slots: int = 0
    """--max-concurrent; 0 for the scenario's own."""
    is_second: bool = False
    """Play it after another one, with what that one learned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Figures of a run."""

    share: float
    refused: float
    given_up: int
    others_share: float


Played = Mapping[Night, Figures]


def play(night: Night) -> Figures:
    """Play one run; in a process of its own, hence small in what it takes and returns."""
    scenario = SCENARIOS[night.scenario].with_service(night.kind, night.hints)
    if night.slots:
        scenario = scenario.with_slots(night.slots)
    maker, learned, seed = CLIENTS[night.client], None, night.seed
    if night.is_second:
        learned, seed = simulate(maker, scenario, seed).learned, seed + SECOND_NIGHT
    return _figures(simulate(maker, scenario, seed, learned=learned))


def _figures(result: Result) -> Figures:
    return Figures(
        share=result.share_of_limit,
        refused=result.refused_share,
        given_up=result.images_failed + result.images_deferred + bool(result.stopped),
        others_share=result.others_share,
    )


def nights(seeds: int, few: int) -> Iterator[Night]:
    """Yield all that is to be played; the largest limit, which takes longest, with few seeds."""
    for scenario in SCENARIOS:
        for kind in Kind:
            for seed in range(few if scenario == "2000" else seeds):
                yield from (Night(client=name, scenario=scenario, kind=kind, seed=seed) for name in CLIENTS)
                yield Night(client=OURS, scenario=scenario, kind=kind, seed=seed, is_second=True)
                for hints in (Hints.NAMED, Hints.SILENT):
                    yield Night(client=OURS, scenario=scenario, kind=kind, seed=seed, hints=hints)
    for scenario in SCENARIOS:
        yield from (
            Night(client=OURS, scenario=scenario, kind=kind, seed=0, slots=slots)
            for kind in Kind
            for slots in SLOTS
            if scenario != "2000"
        )


def play_all(wanted: Sequence[Night], jobs: int) -> Played:
    """Play them, so many at a time; the order of the results does not depend on it."""
    played = {}
    with ProcessPoolExecutor(max_workers=jobs) as pool:
        for night, figures in zip(wanted, pool.map(play, wanted), strict=True):
            played[night] = figures
            if len(played) % 25 == 0:
                print(f"{len(played)} of {len(wanted)} nights", file=sys.stderr)
    return played


def report(played: Played) -> Iterator[str]:
    """Yield all tables."""
    yield "Each cell: share of the limit / share of calls that were refused, means over the seeds."
    for kind in Kind:
        yield f"\n**{_TITLES[kind]}**, knowing nothing; refusals do not name the limit:\n"
        yield from table({name: _chosen(played, kind, client=name) for name in CLIENTS})
    yield "\n**Images given up**, all seeds and ways to count together:\n"
    yield from table({name: _given_up(played, name) for name in CLIENTS})
    yield "\n**Ours in other runs**:\n"
    yield from table(_ours(played))
    yield "\n**The worst seed of ours**, knowing nothing; share and refusals may be of different seeds:\n"
    yield from table({str(kind): _worst(played, kind) for kind in Kind})
    yield "\n**What the other client gets** of what it asks for, where it takes half:\n"
    yield from _others(played)
    given_up = sum(figures.given_up for night, figures in played.items() if night.slots)
    count = sum(bool(night.slots) for night in played)
    yield (
        f"\nImages given up by ours at concurrency {', '.join(map(str, SLOTS))} in {count} further runs,"
        f" all but 2,000/min under all three ways to count: {given_up}."
    )


def table(rows: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Yield the lines of a table with one column for each scenario."""
    yield f"| | {' | '.join(_COLUMNS.values())} |"
    yield f"|---|{'---:|' * len(_COLUMNS)}"
    for name, cells in rows.items():
        yield f"| {name} | {' | '.join(cells.get(column, '') for column in _COLUMNS)} |"


def _select(
    played: Played,
    kind: Kind,
    *,
    client: str = OURS,
    hints: Hints = Hints.UNNAMED,
    is_second: bool = False,
) -> Iterator[tuple[str, list[Figures]]]:
    for scenario in _COLUMNS:
        found = [
            figures
            for night, figures in played.items()
            if (night.client, night.scenario, night.kind, night.hints) == (client, scenario, kind, hints)
            and night.is_second is is_second
            and not night.slots
        ]
        if found:
            yield scenario, found


def _chosen(
    played: Played,
    kind: Kind,
    *,
    client: str = OURS,
    hints: Hints = Hints.UNNAMED,
    is_second: bool = False,
) -> dict[str, str]:
    found = _select(played, kind, client=client, hints=hints, is_second=is_second)
    return {scenario: _cell(of_it) for scenario, of_it in found}


def _cell(found: Sequence[Figures]) -> str:
    share = statistics.mean(figures.share for figures in found)
    return f"{100 * share:.1f} / {_percent(statistics.mean(figures.refused for figures in found))}"


def _percent(share: float) -> str:
    return f"{100 * share:.{0 if share >= 0.1 else 1}f}"


def _given_up(played: Played, client: str) -> dict[str, str]:
    sums = dict.fromkeys(_COLUMNS, 0)
    for kind in Kind:
        for scenario, found in _select(played, kind, client=client):
            sums[scenario] += sum(figures.given_up for figures in found)
    return {scenario: f"{total:,}" for scenario, total in sums.items()}


def _ours(played: Played) -> dict[str, dict[str, str]]:
    rows = {}
    for kind in Kind:
        rows[f"second run, {kind}"] = _chosen(played, kind, is_second=True)
    for kind in Kind:
        rows[f"limit named, {kind}"] = _chosen(played, kind, hints=Hints.NAMED)
    for kind in Kind:
        rows[f"no hint at all, {kind}"] = _chosen(played, kind, hints=Hints.SILENT)
    return rows


def _worst(played: Played, kind: Kind) -> dict[str, str]:
    worst = {}
    for scenario, found in _select(played, kind):
        share, refused = min(one.share for one in found), max(one.refused for one in found)
        worst[scenario] = f"{100 * share:.1f} / {_percent(refused)}"
    return worst


def _others(played: Played) -> Iterator[str]:
    yield f"| | {' | '.join(Kind)} |"
    yield f"|---|{'---:|' * len(Kind)}"
    for client in (OURS, *USUAL_CLIENTS):
        shares = [dict(_select(played, kind, client=client)).get("shared", []) for kind in Kind]
        cells = [f"{statistics.mean(one.others_share for one in found):.0%}" for found in shares if found]
        yield f"| {client} | {' | '.join(cells)} |"


def write_docs(lines: Sequence[str]) -> None:
    """Put the figures between their marks in docs/pacing.md."""
    page = DOCS / "pacing.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    if not after:
        raise SystemExit(f"{page.name} lacks the marks that the figures go between")
    page.write_text("\n".join([before + BEGIN, *lines, END]) + after, encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> None:
    """Play, print, and write."""
    parser = argparse.ArgumentParser(prog="python -m bench.pacing", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="for each scenario (default: 5)")
    parser.add_argument("--few", type=int, default=2, help="for 2,000 a minute (default: 2)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: all CPUs)")
    parser.add_argument("--print-only", action="store_true", help="leave docs/ as it is")
    asked = parser.parse_args(argv)
    played = play_all(list(nights(asked.seeds, asked.few)), asked.jobs)
    head = f"{asked.seeds} seeds ({asked.few} at 2,000/min), Python {platform.python_version()}."
    lines = [head, "", *report(played)]
    print("\n".join(lines))
    if not asked.print_only:
        write_docs(lines)
        draw(DOCS / "img" / "pacing.svg")


if __name__ == "__main__":
    main()
