"""Play of batches over some processes: each with its seed, its folder and its launcher."""

import asyncio
import multiprocessing
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.util import Finalize
from pathlib import Path

from tests.attack.arena import Arena
from tests.attack.kinds import KINDS, Kind
from tests.attack.tally import Harm, Tally
from tests.crash.launched import Launcher


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One batch to play."""

    kind: str
    seed: int

    @property
    def command(self) -> str:
        """The command that repeats it."""
        return f"python -m tests.attack --only {self.kind} --seed {self.seed} --rounds 1"


def find_kind(name: str) -> Kind:
    """Return the kind with this name."""
    return next(kind for kind in KINDS if kind.name == name)


def play_all(jobs: Sequence[Job], *, parallel: int) -> Iterator[tuple[Job, Tally]]:
    """Play the batches, some at a time; yield what came of each as it ends."""
    if parallel == 1:
        yield from map(play_one, jobs)
        return
    with multiprocessing.get_context("spawn").Pool(parallel) as pool:
        yield from pool.imap_unordered(play_one, jobs)
        pool.close()
        pool.join()


_launchers: list[Launcher] = []


def play_one(job: Job) -> tuple[Job, Tally]:
    """Play one batch; whatever it raises is a harm, too."""
    with tempfile.TemporaryDirectory(prefix="attack-") as folder:
        arena = Arena(root=Path(folder), seed=job.seed, launcher=_find_launcher())
        kind = find_kind(job.kind)
        try:
            asyncio.run(_play(kind, arena))
        except (AssertionError, OSError, ValueError, KeyError, LookupError, TimeoutError, ExceptionGroup):
            arena.tally.note(Harm.WRONG, traceback.format_exc())
    arena.tally.batches += 1
    if kind.case == "batch":
        arena.tally.cases += 1
    return job, arena.tally


async def _play(kind: Kind, arena: Arena) -> None:
    await kind.play(arena)
    arena.check_left_over()
    arena.check_key()


def _find_launcher() -> Launcher:
    """Return the launcher of this process, a new one if there is none."""
    if not _launchers or not _launchers[-1].is_alive:
        _launchers.append(launcher := Launcher())
        launcher.__enter__()
        # At the end of this process, also of one of the pool's.
        Finalize(None, launcher.__exit__, args=(None, None, None), exitpriority=1)
    return _launchers[-1]


def report(job: Job, tally: Tally) -> None:
    """Print what did not hold in a batch, and the command that repeats it."""
    for failure in tally.failures:
        sys.stdout.write(f"{job.kind}, seed {job.seed}: {failure}\n  again: {job.command}\n")
    sys.stdout.flush()
