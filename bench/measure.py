"""Measurement of one client: its cost, and whether its answers are right.

The kernel counts CPU and memory of the client's process; the server's log says when calls came and
ended; the hash in every answer says whether it belongs to its image. Imports only what is small: on
Linux a process counts the memory of the one that started it as its own.
"""

import json
import os
import re
import signal
import statistics
import sys
import urllib.request
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from time import perf_counter  # noqa: TID251 - a benchmark has no event loop
from typing import Any

_MB = 1 << 20
_RSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024
"""Of ``ru_maxrss``: macOS counts bytes."""

_HASH = re.compile(r"sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What one process took."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the server saw of one client."""

    calls: int
    refused: int
    first_to_last_s: float
    """From the first answer to the last."""
    began_s: float
    """The first call's arrival and the last call's end, by the machine's monotonic clock."""
    ended_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One client in one round of one scenario."""

    used: Used
    seen: Seen
    images: int
    right: int
    wrong: int
    stall_ms: float | None = None
    """The longest while calls were under way; None if unknown: not watched, or not reported."""
    stall_cpu_ms: float | None = None
    """The longest by the loop's own CPU, which a busy machine does not stretch."""
    session: str = ""
    """Results of one session were measured in turn, so that what slows the machine slows all."""

    @property
    def stands(self) -> bool:
        """Return whether every image has its own answer."""
        return self.right == self.images and not self.wrong


def run(command: Sequence[str], env: Mapping[str, str], *, log: Path, within_s: float) -> Used:
    """Run a command to its end and return what the kernel counted; one that hangs is killed.

    So is what it leaves behind, which would work on in the next client's time.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    to_log = [(os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o644), (os.POSIX_SPAWN_DUP2, 1, 2)]
    started_s = perf_counter()
    pid = os.posix_spawn(command[0], list(command), dict(env), file_actions=to_log, setpgroup=0)
    killer = Timer(within_s, os.killpg, (pid, signal.SIGKILL))
    killer.start()
    try:
        _, status, used = os.wait4(pid, 0)
    finally:
        killer.cancel()
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
    return Used(
        wall_s=perf_counter() - started_s,
        cpu_s=used.ru_utime + used.ru_stime,
        peak_mb=used.ru_maxrss * _RSS_UNIT_BYTES / _MB,
        code=os.waitstatus_to_exitcode(status),
    )


def ask_server(url: str, document: Mapping[str, Any] | None = None) -> Any:
    """Return the server's JSON; with a document it is a POST."""
    data = None if document is None else json.dumps(document).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        return json.load(answer)


def seen_in(log: Iterable[Sequence[Any]]) -> Seen:
    """Make sense of the server's log; calls without an image (a client's own probes) count as calls too.

    Uploads are no calls, but the loop may stand still in them as well.
    """
    rows = [(float(row[0]), float(row[1]), str(row[3])) for row in log]
    answered = [ended_s for _, ended_s, outcome in rows if outcome in {"answered", "slow"}]
    return Seen(
        calls=sum(outcome != "uploaded" for _, _, outcome in rows),
        refused=sum(outcome == "quota" for _, _, outcome in rows),
        first_to_last_s=max(answered) - min(answered) if answered else 0.0,
        began_s=min((began_s for began_s, _, _ in rows), default=0.0),
        ended_s=max((ended_s for _, ended_s, _ in rows), default=0.0),
    )


def checked(answers: Mapping[str, str], hashes: Mapping[str, str]) -> tuple[int, int]:
    """Return how many answers belong to their images, and how many do not or belong to none."""
    right = 0
    for image, text in answers.items():
        found = _HASH.search(text)
        right += found is not None and hashes.get(image) == found[1]
    return right, len(answers) - right


def longest_stall(stalls: Iterable[Sequence[float]], seen: Seen) -> tuple[float, float]:
    """Return the longest stalls that began while calls were under way, by the clock and by CPU, in ms."""
    meant = [row for row in stalls if seen.began_s <= row[0] <= seen.ended_s]
    clock_s = max((row[1] for row in meant), default=0.0)
    return clock_s * 1e3, max((row[2] for row in meant), default=0.0) * 1e3


def median(results: Sequence[Result], figure: Callable[[Result], float]) -> float:
    """Return the middle of a figure over the rounds."""
    return statistics.median(map(figure, results))


def ratio(
    results: Sequence[Result], others: Sequence[Result], figure: Callable[[Result], float]
) -> float | None:
    """Return the middle of the ratios within each round: what slows the machine slows both."""
    pairs = [(figure(one), figure(other)) for one, other in zip(results, others, strict=False)]
    ratios = [one / other for one, other in pairs if other]
    return statistics.median(ratios) if ratios else None
