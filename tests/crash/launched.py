"""The tests' side of ``launcher``: start runs that meet a fault at an exact point.

One process forks a program for each order, one after another.
"""

import asyncio
import dataclasses
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from tests.crash.launcher import Fault
from tests.crash.surroundings import Surroundings
from tests.support.cli import Finished, environment
from tests.support.paths import ROOT

NO_FAULT = Fault()
AS_HERE = Surroundings()
LIMIT_S = 60.0
"""Longest time of a run in seconds; a longer one hangs."""


class Launcher:
    """Process that starts the program again and again; needs no event loop, ends with its ``with`` block."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.points = 0
        """Points that the last run passed; 0 if it was killed."""
        self.peak_mb = 0.0
        """Most memory that the last run took."""
        self.seconds = 0.0
        """Duration of the last run."""
        self.left_over: list[str] = []
        """Commands of processes that the last run left running."""

    def __enter__(self) -> Self:
        """Start the process, which imports the program."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.launcher"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
            cwd=ROOT,
        )
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()
        self._folder.cleanup()

    async def run(
        self, *arguments: str | Path, fault: Fault = NO_FAULT, surroundings: Surroundings = AS_HERE
    ) -> Finished:
        """Run the program with this fault; return its exit code, which is negative for a signal."""
        files = {name: Path(self._folder.name) / name for name in ("stdout", "stderr", "points")}
        for path in files.values():
            path.unlink(missing_ok=True)
        ended = await self._order(
            {
                **{name: str(path) for name, path in files.items()},
                "argv": [str(argument) for argument in arguments],
                "fault": dataclasses.asdict(fault),
                "surroundings": dataclasses.asdict(surroundings),
            },
            within_s=max(LIMIT_S, surroundings.kill_after_s + LIMIT_S),
        )
        self.points = int(_text(files["points"]) or 0)
        self.peak_mb, self.seconds = ended["peak_kb"] / 1024, ended["seconds"]
        self.left_over = ended["left_over"]
        return Finished(code=ended["code"], stdout=_text(files["stdout"]), stderr=_text(files["stderr"]))

    @property
    def is_alive(self) -> bool:
        """Whether it can start further runs; it is killed with a run that hangs."""
        return self._process.poll() is None

    async def _order(self, order: Mapping[str, Any], *, within_s: float) -> Any:
        stop = asyncio.get_running_loop().call_later(within_s, self._process.kill)
        try:
            return json.loads(await asyncio.to_thread(self._answer, json.dumps(order)))
        finally:
            stop.cancel()

    def _answer(self, order: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{order}\n")
        self._process.stdin.flush()
        return self._process.stdout.readline()


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
