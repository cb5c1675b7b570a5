"""Folder of one batch: images, output, home and state, the runs in it, and what they may not do."""

import random
import shutil
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from errors import ExitCode
from storage.output.folders import WRITE_TEST
from tests.attack.keys import draw_key, find_key
from tests.attack.tally import Harm, Tally
from tests.crash.launched import NO_FAULT, Launcher
from tests.crash.launcher import Fault
from tests.crash.surroundings import Surroundings
from tests.emulator import Emulator
from tests.support.cli import Finished, environment
from utils.files import is_temporary

ENDS_WITHIN_S = 90.0
"""A run that takes longer hangs; it is killed and counted."""
KILLED = -9
PROMPT = "describe"
_DEEP = "a/b/c/d"
"""Folders above the batch's own, so that a path with ``../..`` stays in sight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What a file outside of the output looks like."""

    size: int
    mtime_ns: int
    inode: int


@dataclass(kw_only=True)
class Arena:
    """One batch; its parameters come from the seed alone."""

    root: Path
    seed: int
    launcher: Launcher
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        """Make the folders."""
        self.random = random.Random(self.seed)
        self.key = draw_key(self.random)
        self.folder = self.root / _DEEP
        for name in ("photos", "home", "tmp", "cwd", "state"):
            (self.folder / name).mkdir(parents=True)
        self.output = self.folder / "out"

    @property
    def photos(self) -> Path:
        """The input directory."""
        return self.folder / "photos"

    def arguments(self, base_url: str, *more: str | Path, prompt: str = PROMPT) -> list[str | Path]:
        """Return the arguments of a run over the photos into the output."""
        return [
            *("--input-dir", self.photos, "--output-dir", self.output, "--prompt", prompt),
            *("--api-base-url", base_url, "--state-dir", self.folder / "state", *more),
        ]

    def env(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the environment of a run, whose home and temporary folder are the batch's own."""
        own = {"HOME": str(self.folder / "home"), "TMPDIR": str(self.folder / "tmp")}
        return {**environment(key=self.key), **own, **(extra or {})}

    async def run(
        self,
        *arguments: str | Path,
        fault: Fault = NO_FAULT,
        surroundings: Surroundings | None = None,
        kill_after_s: float = 0.0,
        watched: bool = True,
    ) -> Finished:
        """Run the program once, and note what it may never do.

        ``watched`` compares the files outside of the output before and after.
        """
        around = replace(
            surroundings or Surroundings(env=self.env()),
            kill_after_s=kill_after_s or ENDS_WITHIN_S,
            cwd=str(self.folder / "cwd"),
        )
        before = self._outside() if watched else {}
        done = await self.launcher.run(*arguments, fault=fault, surroundings=around)
        if watched:
            for path in _differences(before, self._outside()):
                self.tally.note(Harm.OUTSIDE, f"{path} was written, changed or removed")
        is_hanging = done.code == KILLED and not kill_after_s and fault.act != "kill"
        self.tally.note_if(is_hanging, Harm.LEFT_OVER, f"a run did not end within {ENDS_WITHIN_S:.0f} s")
        for command in self.launcher.left_over:
            self.tally.note(Harm.LEFT_OVER, f"a process went on after the run: {command}")
        self.check_words(done)
        return done

    def check_words(self, done: Finished) -> None:
        """Check an exit code and the streams: known, no traceback, no key."""
        known = {code.value for code in ExitCode} | {KILLED, -signal.SIGINT, -signal.SIGTERM}
        self.tally.note_if(done.code not in known, Harm.WRONG, f"exit code {done.code}: {done.stderr[-300:]}")
        for stream in (done.stdout, done.stderr):
            self.tally.note_if(
                "Traceback (most" in stream or "this is a bug" in stream, Harm.TRACEBACK, stream[-1500:]
            )
            self.tally.note_if(
                find_key(stream.encode(), self.key), Harm.KEY_SEEN, f"on a stream: {stream[-300:]}"
            )

    def check_left_over(self) -> None:
        """Check after the last run: no temporary file in the output or in TMPDIR."""
        left = [path for path in self.output.rglob("*") if _is_working_file(path.name)]
        left += (self.folder / "tmp").iterdir()
        for path in left:
            self.tally.note(Harm.LEFT_OVER, f"{path.relative_to(self.folder)} after the last run")

    def check_key(self) -> None:
        """Check that no file of the batch holds the key."""
        for path in self.folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                seen = find_key(path.read_bytes(), self.key)
                self.tally.note_if(seen, Harm.KEY_SEEN, f"in {path.relative_to(self.folder)}")

    def clear(self) -> None:
        """Remove the output and the state: the next run begins anew."""
        for folder in (self.output, self.folder / "state"):
            shutil.rmtree(folder, ignore_errors=True)
        (self.folder / "state").mkdir()

    def emulator(self, **options: Any) -> Emulator:
        """Return an emulator that takes the key of this batch."""
        return Emulator(keys=(self.key,), seed=self.seed, **options)

    def _outside(self) -> dict[str, Trace]:
        """Return all files of the batch but those in the output, the state and TMPDIR."""
        own = {self.output, self.folder / "state", self.folder / "tmp"}
        return dict(_traces(self.root, skipped=own))


def _traces(folder: Path, *, skipped: set[Path]) -> list[tuple[str, Trace]]:
    found: list[tuple[str, Trace]] = []
    for path in folder.iterdir():
        if path in skipped:
            continue
        stat = path.lstat()
        if path.is_dir() and not path.is_symlink():
            found += [
                (str(path), Trace(size=0, mtime_ns=0, inode=stat.st_ino)),
                *_traces(path, skipped=skipped),
            ]
        else:
            trace = Trace(size=stat.st_size, mtime_ns=stat.st_mtime_ns, inode=stat.st_ino)
            found.append((str(path), trace))
    return found


def _differences(before: Mapping[str, Trace], after: Mapping[str, Trace]) -> Sequence[str]:
    return sorted(path for path in {*before, *after} if before.get(path) != after.get(path))


def _is_working_file(name: str) -> bool:
    return is_temporary(name) or name == WRITE_TEST
