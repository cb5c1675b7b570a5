"""Process identity: what tells a process from every other one, of this machine and of others.

A process id alone does not: after a reboot, or after some thousand processes, another one has it. What the
system does not say is empty, and then a process counts neither as ended nor as alive.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

_ENDED_STATES = frozenset({"Z", "X", "x"})
"""Of a process that was killed, and whose parent has not asked for its end yet."""


def describe_process(pid: int) -> dict[str, str]:
    """Return what tells a process from every other one.

    Source: proc_pid_stat(5), fields 3, the state, and 22, the start in clock ticks since the boot;
    random(4), boot_id.
    """
    status = _read_text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    is_running = len(status) > 19 and status[0] not in _ENDED_STATES
    return {
        "machine": _read_text("/etc/machine-id") or _read_text("/proc/sys/kernel/hostname"),
        "boot": _read_text("/proc/sys/kernel/random/boot_id"),
        "namespace": _read_link("/proc/self/ns/pid"),
        "start": status[19] if is_running else "",
    }


def has_ended(pid: int, then: Mapping[str, str]) -> bool:
    """Return True only if it was a process of this machine, and there is none like it any more.

    Args:
        pid: its number.
        then: from ``describe_process``, when it was alive.

    """
    now = describe_process(pid)
    if not then["machine"] or then["machine"] != now["machine"]:
        return False
    if then["boot"] != now["boot"]:
        return True
    return then["namespace"] == now["namespace"] and then["start"] != now["start"]


def is_alive(pid: int, then: Mapping[str, str]) -> bool:
    """Return True only if it is certainly alive: this machine, this boot, and the same start; see above."""
    return bool(then["machine"] and then["boot"] and then["start"]) and describe_process(pid) == dict(then)


def _read_text(path: str) -> str:
    with suppress(OSError, UnicodeDecodeError):
        return Path(path).read_text(encoding="utf-8").strip()
    return ""


def _read_link(path: str) -> str:
    with suppress(OSError):
        return str(Path(path).readlink())
    return ""
