"""File descriptors: the process's own limit is raised as far as needed; the rest of it is counted."""

import os
from contextlib import suppress
from typing import Final

_UNLIMITED: Final = 1 << 30


def make_room(wanted: int) -> int:
    """Return how many more descriptors can be opened, after the soft limit was raised for so many.

    The hard limit is the administrator's and stays; a soft one of 256, as on macOS, is only a default.
    """
    try:
        import resource  # noqa: PLC0415 -- Windows has none, and no such limit
    except ImportError:
        return _UNLIMITED
    in_use = _count_open()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _UNLIMITED
    needed = in_use + wanted
    # macOS takes no more than its own constant, whatever the hard limit says (getrlimit(2)).
    for limit in (needed, 10_240):
        target = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        if target > soft:
            with suppress(ValueError, OSError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
                soft = target
    return max(0, soft - in_use)


def _count_open() -> int:
    """Return how many descriptors are open; a guess where the system does not say."""
    try:
        return len(os.listdir("/dev/fd")) - 1  # noqa: PTH208 -- the listing itself takes one
    except OSError:
        return 32
