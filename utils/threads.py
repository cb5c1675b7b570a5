"""Threads for blocking work that make do with fewer if need be, and for whose end nothing waits."""

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

log = logging.getLogger(__name__)

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

_abandoned: "list[FrugalThreads]" = []


class FrugalThreads(ThreadPoolExecutor):
    """A pool whose work waits for a running thread if the system refuses another one.

    With a limit on memory or processes each further thread may be refused. The pool of the standard library
    then raises, although the work is queued and will be done.
    """

    def __init__(self, max_workers: int | None = None, *, name: str = "") -> None:
        super().__init__(max_workers, thread_name_prefix=name)
        self._unfinished: set[Future[Any]] = set()

    def submit(
        self, work: Callable[_Arguments, _Result], /, *args: _Arguments.args, **kwargs: _Arguments.kwargs
    ) -> "Future[_Result]":
        """Start the work in a thread, as the pool of the standard library does."""
        future = super().submit(work, *args, **kwargs)
        self._unfinished.add(future)
        future.add_done_callback(self._unfinished.discard)
        return future

    def abandon(self) -> None:
        """Drop the work that has not begun, and wait for none: see :func:`is_work_abandoned`."""
        self.shutdown(wait=False, cancel_futures=True)
        if self._unfinished:
            _abandoned.append(self)

    def is_busy(self) -> bool:
        """Return whether work has not ended."""
        return bool(self._unfinished)

    def _adjust_thread_count(self) -> None:
        try:
            super()._adjust_thread_count()
        except (RuntimeError, MemoryError):
            if not self._threads:
                raise
            log.debug("no further thread could be started: %d do the work", len(self._threads))


def is_work_abandoned() -> bool:
    """Return whether threads are still at abandoned work; the end of the process would wait for it."""
    return any(threads.is_busy() for threads in _abandoned)
