"""What are the interpreter and the C library told, so that one event loop and a few threads get on?

As they come, both are set for threads that are all alike. This file does not know what is run.
"""

import ctypes
import gc
import sys

_SWITCH_INTERVAL_S = 0.0005
"""The event loop wants the interpreter's lock back after every piece that it receives. With Python's own
5 ms for each, 14 MB that arrive while a thread decodes a picture are a standstill of 50 ms."""

_GC_THRESHOLD = 10_000
"""So many new objects before the collector looks for circles among them, in place of 700: nearly all that is
made while modules are loaded stays, and what a call makes is freed without it."""

_M_ARENA_MAX = -8
"""Source: malloc.h of glibc 2.36, and mallopt(3)."""


def configure_interpreter() -> None:
    """Set both up; before any thread has begun, since a heap that is there stays."""
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    gc.set_threshold(_GC_THRESHOLD)
    use_single_heap()


def use_single_heap() -> bool:
    """Have all threads share one heap, where the C library is glibc; return whether they do.

    It gives each thread one of its own, in which what is free is of no use to the others: a dry run over
    10,000 images grew by 15 MB, and by 7 with one heap. The interpreter's lock lets only one allocate
    at a time anyway.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # macOS, musl, Windows
        return False
    return bool(mallopt(_M_ARENA_MAX, 1))
