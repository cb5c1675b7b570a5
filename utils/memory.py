"""Memory that this process may still take: of the machine, its control group and its own limits."""

import contextlib
import ctypes
import mmap
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from utils.shortage import is_passing
from utils.threads import NoThreadError

_ROOT: Final = Path("/")
_UNLIMITED: Final = 1 << 60
"""Limits of control groups at least this high are none."""


class FreeMemory(NamedTuple):
    """The tightest bound on what may still be taken."""

    size_bytes: int
    bound: str
    """What bounds it, in words for the user."""


def read_free_memory(root: Path = _ROOT) -> FreeMemory | None:
    """Return how much memory may still be taken; None if the system does not say.

    Args:
        root: where ``proc`` and ``sys`` are found.
    """
    return min(
        [*_read_process_limits(root), *_read_cgroup_limits(root), *_read_machine(root)],
        key=lambda free: free.size_bytes,
        default=None,
    )


def can_take(size_bytes: int) -> bool:
    """Return whether so much memory can be taken under the process's own limits, without taking it.

    True where it has none: a control group does not refuse memory, it ends the process.
    """
    if not _has_own_limit():
        return True
    try:
        mmap.mmap(-1, size_bytes).close()
    except (OSError, MemoryError):
        return False
    return True


@cache
def _has_own_limit() -> bool:
    try:
        import resource  # noqa: PLC0415 -- Windows has none
    except ImportError:
        return False
    limits = (resource.getrlimit(one)[0] for one in (resource.RLIMIT_AS, resource.RLIMIT_DATA))
    return any(limit != resource.RLIM_INFINITY for limit in limits)


def release_free_heap() -> None:
    """Give memory that was freed back to the system, where the C library is glibc."""
    with contextlib.suppress(OSError, AttributeError, TypeError):  # macOS, musl, Windows
        ctypes.CDLL(None).malloc_trim(0)


def is_shortage(error: BaseException | None) -> bool:
    """Return whether an exception, or one behind it, means that the system gave no more of its means."""
    if error is None:
        return False
    words = ("start new thread", "failed to map segment", "cannot allocate memory")
    return (
        is_passing(error)
        or isinstance(error, NoThreadError)
        or any(word in str(error).lower() for word in words)
        or any(map(is_shortage, (error.__cause__, error.__context__)))
        or (isinstance(error, BaseExceptionGroup) and any(map(is_shortage, error.exceptions)))
    )


def _read_process_limits(root: Path) -> Iterator[FreeMemory]:
    """Yield what the limits of ``ulimit -v`` and ``ulimit -d`` leave."""
    try:
        import resource  # noqa: PLC0415 -- Windows has none
    except ImportError:
        return
    in_use = _read_kilobytes(root / "proc/self/status")
    for limit, row, flag in ((resource.RLIMIT_AS, "VmSize", "-v"), (resource.RLIMIT_DATA, "VmData", "-d")):
        soft, _ = resource.getrlimit(limit)
        if soft != resource.RLIM_INFINITY and row in in_use:
            yield FreeMemory(max(0, soft - in_use[row]), f"ulimit {flag}")


def _read_cgroup_limits(root: Path) -> Iterator[FreeMemory]:
    """Yield what each control group of this process leaves, as containers and services have them."""
    for line in _read_text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if not controllers:
            base, names, prefix = root / "sys/fs/cgroup", ("memory.max", "memory.current"), ""
        elif "memory" in controllers.split(","):
            base, prefix = root / "sys/fs/cgroup/memory", "total_"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
        else:
            continue
        # A container may see its own group as the root, whatever path it is told.
        own = base / path.strip("/")
        for group in {base, *(one for one in (own, *own.parents) if one.is_relative_to(base))}:
            with contextlib.suppress(ValueError):
                most, used = (int(_read_text(group / name)) for name in names)
                rows = _parse_rows(_read_text(group / "memory.stat"))
                cached = sum(rows.get(f"{prefix}{kind}_file", 0) for kind in ("active", "inactive"))
                if most < _UNLIMITED:
                    free = max(0, most - max(0, used - cached))
                    yield FreeMemory(free, "the memory limit of the container or service")


def _read_machine(root: Path) -> Iterator[FreeMemory]:
    """Yield what all programs together leave."""
    rows = _read_kilobytes(root / "proc/meminfo")
    if "MemAvailable" in rows:
        yield FreeMemory(rows["MemAvailable"] + rows.get("SwapFree", 0), "the machine's free memory")


def _read_kilobytes(path: Path) -> dict[str, int]:
    rows = _parse_rows(_read_text(path).replace(":", " "))
    return {name: 1024 * size for name, size in rows.items()}


def _parse_rows(text: str) -> dict[str, int]:
    """Return the rows of a name and a number."""
    words = (line.split() for line in text.splitlines())
    return {word[0]: int(word[1]) for word in words if len(word) > 1 and word[1].isdigit()}


def _read_text(path: Path) -> str:
    """Return the text of a file; empty if it cannot be read."""
    try:
        return os.fsdecode(path.read_bytes())
    except OSError:
        return ""
