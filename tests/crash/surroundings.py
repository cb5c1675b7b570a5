"""Surroundings of a launched run: environment, folder, limits, and the instant at which it is killed."""

import os
import resource
import signal
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_STEP_S = 0.02
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


def wait_or_kill(child: int, kill_after_s: float) -> int:
    """Wait for a process, kill it when its time is over; return its exit code, negative for a signal."""

    def on_alarm(*_: object) -> None:
        os.kill(child, signal.SIGKILL)

    signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, kill_after_s)
    try:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


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
