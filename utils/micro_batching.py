"""Micro-batching: threads that do small pieces of blocking work, all pieces that wait at once.

No piece waits for a group to fill: pieces that arrive while a thread works are its next group. It saves a
thread, and where files are written a sync, per piece; checks in groups of four take 0.87 to 0.90 x the CPU
of an image (docs/performance.md).
"""

import asyncio
import sys
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from threading import Lock
from typing import Any, Generic, TypeVar

from utils.threads import FrugalThreads

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class MicroBatcher(Generic[_Item, _Result]):
    """Worker threads that do pieces of work in groups.

    Args:
        work: does some pieces and returns a result for each; with one worker, never called concurrently.
        has_own_threads: False for the event loop's threads.
        max_workers: most threads that work at the same time.
        max_batch: most pieces in one group; if more wait, the next worker starts.
    """

    def __init__(
        self,
        work: Callable[[Sequence[_Item]], Sequence[_Result]],
        *,
        has_own_threads: bool,
        max_workers: int = 1,
        max_batch: int = sys.maxsize,
    ) -> None:
        self._work = work
        self._executor = FrugalThreads(max_workers) if has_own_threads else None
        self._max_workers, self._max_batch = max_workers, max_batch
        self._lock = Lock()
        self._waiting: deque[tuple[_Item, asyncio.Future[_Result]]] = deque()
        self._active_workers = 0

    def start(self) -> None:
        """Start its own first thread, so that no piece of work can fail for want of one.

        Raises:
            NoThreadError: it cannot be started.
        """
        if self._executor is not None:
            self._executor.start()

    async def submit(self, item: _Item) -> _Result:
        """Return the result of a piece; the work is done even if the caller is cancelled."""
        loop = asyncio.get_running_loop()
        result: asyncio.Future[_Result] = loop.create_future()
        with self._lock:
            self._waiting.append((item, result))
            should_start = (
                self._active_workers < self._max_workers
                and len(self._waiting) > self._active_workers * self._max_batch
            )
            self._active_workers += should_start
        if should_start:
            try:
                self._start_worker(loop)
            except RuntimeError:  # no thread can be started: the next piece tries again
                with self._lock:
                    self._active_workers -= 1
                raise
        return await result

    def _start_worker(self, loop: asyncio.AbstractEventLoop) -> None:
        done = loop.run_in_executor(self._executor, self._run_worker, loop)
        # Its error was raised in the callers; asyncio would log it once more.
        done.add_done_callback(lambda future: future.cancelled() or future.exception())

    def _run_worker(self, loop: asyncio.AbstractEventLoop) -> None:
        while batch := self._take_batch():
            items = [piece for piece, _ in batch]
            futures = [future for _, future in batch]
            try:
                results = self._work(items)
            except BaseException as error:  # a bug: raised in all callers of the group
                loop.call_soon_threadsafe(self._fail, loop, futures, error)
                raise
            with suppress(RuntimeError):  # the loop is closed: no caller waits
                loop.call_soon_threadsafe(_set_results, futures, results)

    def _fail(
        self,
        loop: asyncio.AbstractEventLoop,
        futures: "Sequence[asyncio.Future[_Result]]",
        error: BaseException,
    ) -> None:
        for future in futures:
            if not future.done():
                future.set_exception(error)
        self._start_worker(loop)  # for pieces that arrived meanwhile

    def _take_batch(self) -> list[tuple[_Item, "asyncio.Future[_Result]"]]:
        with self._lock:
            size = min(self._max_batch, len(self._waiting))
            batch = [self._waiting.popleft() for _ in range(size)]
            self._active_workers -= not batch
            return batch


async def run_to_completion(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Wait for the work to end; a cancellation of the caller is raised only after that."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
    result = task.result()
    if cancelled is not None:
        raise cancelled
    return result


def _set_results(futures: "Sequence[asyncio.Future[_Result]]", results: Sequence[_Result]) -> None:
    for future, result in zip(futures, results, strict=True):
        if not future.done():
            future.set_result(result)
