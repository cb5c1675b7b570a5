"""Command line of the simulation.

`python -m tests.simulation.rate_limit --scenario 300 --kind bucket --seeds 3` prints one line for each seed
and policy.
"""

import argparse
from collections.abc import Iterator, Sequence

from tests.simulation.rate_limit.clients import CLIENTS
from tests.simulation.rate_limit.scenarios import SCENARIOS, Hints, Kind, Scenario
from tests.simulation.rate_limit.simulation import Result, simulate

_HEAD = (
    "scenario  kind     hints    client         seed  share  refused  answered  lost  often  others  stopped"
)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    arguments = _parser().parse_args(argv)
    print(_HEAD)  # noqa: T201 - the command's purpose
    for line in _lines(arguments):
        print(line, flush=True)  # noqa: T201


def _lines(arguments: argparse.Namespace) -> Iterator[str]:
    for name in arguments.scenario:
        for kind in arguments.kind:
            for hints in arguments.hints:
                scenario = SCENARIOS[name].with_service(kind, hints)
                if arguments.slots:
                    scenario = scenario.with_slots(arguments.slots)
                yield from _scenario_lines(scenario, arguments)


def _scenario_lines(scenario: Scenario, arguments: argparse.Namespace) -> Iterator[str]:
    for client in arguments.client:
        for seed in range(arguments.seeds):
            first = simulate(CLIENTS[client], scenario, seed, arguments.minutes)
            yield _line(client, str(seed), first)
            if arguments.second:
                second = simulate(
                    CLIENTS[client], scenario, seed + 1_000, arguments.minutes, learned=first.learned
                )
                yield _line(client, f"{seed}'", second)
            if arguments.series:
                yield f"  accepted {first.accepted_per_minute}\n  refused  {first.refused_per_minute}"


def _line(client: str, seed: str, result: Result) -> str:
    scenario, lost = result.scenario, result.images_failed + result.images_deferred
    return (
        f"{scenario.name:9} {scenario.kind:8} {scenario.hints:8} {client:14} {seed:>4}"
        f" {result.share_of_limit:6.1%} {result.refused_share:8.2%} {result.images_answered:9} {lost:5}"
        f" {result.images_refused_often:6} {result.others_share:7.0%}  {result.stopped or '-'}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.rate_limit", description=__doc__)
    parser.add_argument("--scenario", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument("--kind", nargs="+", type=Kind, choices=Kind, default=list(Kind))
    parser.add_argument("--hints", nargs="+", type=Hints, choices=Hints, default=[Hints.UNNAMED])
    parser.add_argument("--client", nargs="+", choices=CLIENTS, default=["ours"])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--slots", type=int, help="--max-concurrent in place of the scenario's")
    parser.add_argument("--second", action="store_true", help="play the next night too (seed')")
    parser.add_argument("--series", action="store_true", help="print the calls of each minute")
    return parser


if __name__ == "__main__":
    main()
