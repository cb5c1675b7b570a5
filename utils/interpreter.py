"""Settings of the interpreter and the C library for one event loop and a few threads."""

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_SWITCH_INTERVAL_S = 0.0005
"""Python's default is 5 ms: while a thread decodes a picture, 14 MB that arrive then stop the event loop for
50 ms, because it needs the interpreter's lock again after every piece (docs/performance.md)."""

_GC_THRESHOLD = 10_000
"""New objects before the collector runs, in place of 700: nearly all objects of imported modules stay, and
those of a call are freed without it."""

_M_ARENA_MAX = -8
"""Source: malloc.h of glibc 2.36, and mallopt(3)."""


def configure_interpreter() -> None:
    """Update all settings; call it before the first thread, because an existing heap stays."""
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    gc.set_threshold(_GC_THRESHOLD)
    use_single_heap()


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the garbage collector for imports: it finds nothing (docs/performance.md)."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def use_single_heap() -> bool:
    """Make all threads share one heap; return True if the C library (glibc) does.

    With a heap for each thread, free memory of one is lost to the others: a dry run over 10,000 images
    grew by 15 MB, and by 7 MB with one heap. The interpreter's lock lets one thread allocate at a time
    anyway. See docs/performance.md, "What helped".
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # macOS, musl, Windows
        return False
    return bool(mallopt(_M_ARENA_MAX, 1))
