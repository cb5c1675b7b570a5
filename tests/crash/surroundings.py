"""Surroundings of a launched run: environment, folder, limits, and the instant at which it is killed."""

import contextlib
import os
import resource
import signal
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_STEP_S = 0.02
_SOON_S = 0.001
_GONE_WITHIN_S = 3.0
"""Time that the processes of a run have to end after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a run finds around it; the default changes nothing."""

    env: Mapping[str, str] = field(default_factory=dict)
    """The whole environment; empty: that of the launcher."""
    cwd: str = ""
    limits: Mapping[str, int] = field(default_factory=dict)
    """Name of a limit (``NOFILE``) -> its soft and hard value."""
    uid: int = 0
    """The user that it runs as; 0: the same."""
    kill_after_s: float = 0.0
    """When SIGKILL comes from outside; 0: never."""
    signals: Sequence[tuple[float, int]] = ()
    """Other signals from outside: after so many seconds, this one."""

    def enter(self) -> None:
        """Change this process, which is the run's own."""
        os.setsid()
        if self.env:
            os.environ.clear()  # noqa: TID251 - of the process that becomes the program
            os.environ.update(self.env)  # noqa: TID251 - as above
            tempfile.tempdir = None  # found anew
        if self.cwd:
            os.chdir(self.cwd)
        for name, value in self.limits.items():
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))
        if self.uid:
            os.setgroups([])
            os.setgid(self.uid)
            os.setuid(self.uid)


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a run ended."""

    code: int
    """Its exit code, negative for a signal."""
    peak_kb: int
    """The most memory that it took."""
    seconds: float
    """How long it took."""


def wait_and_signal(child: int, surroundings: Surroundings) -> End:
    """Wait for a process, send it its signals from outside, kill it when its time is over."""
    started_s = time.monotonic()  # noqa: TID251 - no event loop
    to_send = [(float(after_s), int(number)) for after_s, number in surroundings.signals]
    to_send = sorted([*to_send, (surroundings.kill_after_s, int(signal.SIGKILL))])
    to_send = [(after_s, number) for after_s, number in to_send if after_s]

    def arm() -> None:
        passed_s = time.monotonic() - started_s  # noqa: TID251 - as above
        signal.setitimer(signal.ITIMER_REAL, max(_SOON_S, to_send[0][0] - passed_s) if to_send else 0)

    def on_alarm(*_: object) -> None:
        with contextlib.suppress(ProcessLookupError):  # it ends just now
            os.kill(child, to_send.pop(0)[1])
        arm()

    signal.signal(signal.SIGALRM, on_alarm)
    arm()
    try:
        _, status, usage = os.wait4(child, 0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    seconds = time.monotonic() - started_s  # noqa: TID251 - as above
    return End(code=os.waitstatus_to_exitcode(status), peak_kb=usage.ru_maxrss, seconds=seconds)


def find_left_over(session: int, sleep: Callable[[float], None]) -> list[str]:
    """Return the commands of processes that a run started and that do not end after it; they are killed."""
    waited_s = 0.0
    while (left := _processes_of(session)) and waited_s < _GONE_WITHIN_S:
        sleep(_STEP_S)
        waited_s += _STEP_S
    commands = []
    for pid in left:
        commands.append(_read(pid, "cmdline").replace("\0", " ").strip() or str(pid))
        os.kill(pid, signal.SIGKILL)
    return commands


def _processes_of(session: int) -> list[int]:
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [pid for pid in pids if _is_alive_in(_read(pid, "stat"), session)]


def _is_alive_in(stat: str, session: int) -> bool:
    """Return whether a line of /proc/PID/stat is of a process of this session that has not ended."""
    fields = stat.rpartition(")")[2].split()
    return len(fields) > 3 and fields[0] not in "ZX" and fields[3] == str(session)


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text(encoding="utf-8", errors="replace")
    except OSError:  # it ended in between
        return ""
