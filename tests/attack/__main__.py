"""The whole attack, ``make attack-test``: every kind at full scale, and the table of what it found."""

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

from tests.attack.kinds import KINDS, Kind
from tests.attack.page import count_words, put_table
from tests.attack.referee import Job, play_all, report
from tests.attack.tally import Tally


def main() -> int:
    """Return 1 if anything did not hold."""
    flags = _parse()
    tallies = {kind.name: _play(kind, flags) for kind in KINDS if not flags.only or kind.name in flags.only}
    if flags.markdown:
        today = datetime.now(UTC).date()  # noqa: TID251 - the day of the figures
        put_table(flags.markdown, tallies, day=today.isoformat())
    return 1 if any(tally.harms for tally in tallies.values()) else 0


def _play(kind: Kind, flags: argparse.Namespace) -> Tally:
    """Play the batches of a kind, and print what came of them."""
    number = flags.rounds or max(1, round(kind.batches * flags.scale))
    jobs = [Job(kind=kind.name, seed=flags.seed + index) for index in range(number)]
    tally = Tally()
    for job, played in play_all(jobs, parallel=min(flags.parallel, number)):
        report(job, played)
        tally.add(played)
    harms = ", ".join(f"{count} {harm}" for harm, count in sorted(tally.harms.items())) or "all held"
    counts = "".join(f", {count} {what}" for what, count in sorted(tally.what.items()))
    absent = "".join(f"\n  not tried: {what}" for what in sorted(tally.not_tried))
    sys.stdout.write(f"{kind.name}: {count_words(tally.cases, kind.case)}{counts}: {harms}{absent}\n")
    sys.stdout.flush()
    return tally


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.attack", description=__doc__)
    names = [kind.name for kind in KINDS]
    parser.add_argument("--only", action="append", choices=names, help="only this kind; repeatable")
    parser.add_argument("--seed", type=int, default=1, help="of the first batch of each kind")
    parser.add_argument("--rounds", type=int, help="so many batches of each kind")
    parser.add_argument("--scale", type=float, default=1.0, help="this part of the full number of batches")
    parser.add_argument("--parallel", type=int, default=2, help="batches at a time")
    parser.add_argument("--markdown", type=Path, help="put the table into this page (docs/reliability.md)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
