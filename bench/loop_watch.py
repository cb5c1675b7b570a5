"""Watch of an event loop: how long it stands still, without a sampler that would take part in it.

The loop asks its selector what to do next, whatever happens. Between two such calls it works: the longest
of these times is the longest for which nothing else could go on. Standard library alone.
"""

import asyncio
import json
import selectors
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, thread_time  # noqa: TID251 - what is watched is the loop itself

NOTED_FROM_S = 0.005


class _Watched(selectors.DefaultSelector):  # type: ignore[misc, valid-type, unused-ignore]
    """A selector that notes how long its user was away."""

    def __init__(self, stalls: list[tuple[float, float, float]]) -> None:
        super().__init__()
        self._stalls = stalls
        self._left_s, self._left_cpu_s = monotonic(), thread_time()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait as the loop wants; note first for how long it worked."""
        worked_s = monotonic() - self._left_s
        if worked_s >= NOTED_FROM_S:
            self._stalls.append((self._left_s, worked_s, thread_time() - self._left_cpu_s))
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(timeout)
        self._left_s, self._left_cpu_s = monotonic(), thread_time()
        return ready


class _Policy(asyncio.DefaultEventLoopPolicy):
    """Makes loops that are watched; those of threads are not."""

    def __init__(self, stalls: list[tuple[float, float, float]]) -> None:
        super().__init__()
        self._stalls = stalls
        self.is_used = False

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """Return a loop for this thread."""
        if threading.current_thread() is not threading.main_thread():
            return super().new_event_loop()
        self.is_used = True
        return asyncio.SelectorEventLoop(_Watched(self._stalls))


@contextmanager
def watched(path: str | None) -> Iterator[None]:
    """Watch the main thread's loops of the block, and write when each stall began, its length and its CPU.

    All in seconds; the beginnings are of the machine's monotonic clock, as in the server's log. Where no
    loop was watched nothing is written: that does not mean that there was no stall.
    """
    if path is None:
        yield
        return
    stalls: list[tuple[float, float, float]] = []
    policy = _Policy(stalls)
    asyncio.set_event_loop_policy(policy)
    try:
        yield
    finally:
        asyncio.set_event_loop_policy(None)
        if policy.is_used:
            Path(path).write_text(json.dumps(stalls))
