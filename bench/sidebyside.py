"""Benchmark of this program beside others that do the same, or less.

``python -m bench.sidebyside`` lets every client that is installed answer the same images from the same
server, in interleaved rounds, and prints medians and ratios in Markdown; ``--markdown FILE`` also puts
them into that file's section "Side by side". Imports only what is small: on Linux a process counts the
memory of the one that started it as its own.
"""

import argparse
import os
import platform
import re
import shlex
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from bench import figures
from bench.arena import Arena, Results, server
from bench.clients import Client, present
from bench.resume import resumed
from bench.scenarios import RESUME, SCENARIOS, START, Scenario
from bench.tables import tables

HEADING = "## Side by side"
_SECTION = re.compile(rf"^{HEADING}\n.*?(?=^## |\Z)", re.DOTALL | re.MULTILINE)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, and print the tables."""
    arguments = _parser().parse_args(argv)
    clients, missing = present()
    wanted = arguments.client or list(clients)
    chosen = [client for name, client in clients.items() if name in wanted]
    for name in missing:
        print(f"{name} is not installed: make bench-peers", file=sys.stderr)
    found = figures.load(arguments.json)
    if not arguments.only_tables:
        known = {name for name, rows in found.get(START, {}).items() if rows}
        for scenario, results in _measured(arguments, chosen, known):
            found = figures.merged(found, {scenario: results})
            if arguments.json:  # at once: the rest may take an hour
                figures.save(arguments.json, found)
    section = _section(found, missing)
    print(section)
    if arguments.markdown:
        put(arguments.markdown, section)


def _measured(
    arguments: argparse.Namespace, clients: Sequence[Client], known: Collection[str]
) -> Iterator[tuple[Scenario, Results]]:
    with tempfile.TemporaryDirectory(prefix="bench-", dir=arguments.folder) as folder, server() as base_url:
        arena = Arena(
            folder=Path(folder),
            base_url=base_url,
            warm_ups=arguments.warm_ups,
            ours=tuple(shlex.split(arguments.ours)),
        )
        if not _is_wanted(START, arguments.scenario):
            # The costs of one image are taken off those of many.
            unknown = [client for client in clients if client.name not in known]
            yield START, arena.compare(START, unknown, arguments.rounds)
        for scenario in SCENARIOS:
            if _is_wanted(scenario, arguments.scenario):
                yield scenario, arena.compare(scenario, clients, arguments.rounds)
        if _is_wanted(RESUME, arguments.scenario):
            yield RESUME, resumed(arena, clients, arguments.rounds)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.sidebyside", description=__doc__)
    names = [scenario.name for scenario in (*SCENARIOS, RESUME)]
    clients, _ = present()
    add = parser.add_argument
    add("--scenario", action="append", choices=names, help="only this one; repeatable")
    add("--client", action="append", choices=list(clients), help="only this one; repeatable")
    add("--rounds", type=int, default=3)
    add("--warm-ups", type=int, default=1, help="runs of our program before those that count")
    add("--ours", default="", help="further arguments of our program, in one word")
    add("--folder", type=Path, help="where images and results go (needs 3 GB)")
    add("--json", type=Path, help="file of all figures: what is not measured now is taken from there")
    add("--only-tables", action="store_true", help="measure nothing: the tables of what --json holds")
    add("--markdown", type=Path, help="also put the tables into this file's section")
    return parser


def _is_wanted(scenario: Scenario, names: Sequence[str] | None) -> bool:
    return not names or scenario.name in names


def _section(found: Mapping[Scenario, Results], missing: Sequence[str]) -> str:
    absent = f" Not installed: {', '.join(missing)}." if missing else ""
    head = (
        "Made by `python -m bench.sidebyside --markdown docs/performance.md` (`make bench-peers` installs\n"
        "the others): medians of interleaved rounds, ratios within each round; Python "
        f"{platform.python_version()}, {os.cpu_count()} CPUs.{absent}\n\n"
        "Every answer carries the hash of the image that the server received. A client whose results are\n"
        "not all there, each with its own image's hash, is disqualified. CPU an image leaves the start-up\n"
        "out, which is what a run with one image takes. A ~ is before what was not measured in turn with\n"
        "what it is compared with, but at another time.\n"
    )
    return "\n".join([HEADING, "", head, *tables(found)])


def put(path: Path, section: str) -> None:
    """Put the section in the place of the earlier one, or at the end."""
    text, body = path.read_text(), section.rstrip("\n") + "\n"
    if _SECTION.search(text):
        text = _SECTION.sub(lambda found: body if found.end() == len(text) else f"{body}\n", text)
    else:
        text = f"{text.rstrip()}\n\n{body}"
    path.write_text(text)


if __name__ == "__main__":
    main()
