"""How do many tasks have small pieces of slow work done, without a thread and a turn of the disk for each?

A thread for each piece costs more than the piece: threads fight for the interpreter, and each waits for
the disk alone. Here one thread does all pieces that wait, at once, and takes the next when it is through:
nobody waits for a group to fill, and what comes meanwhile is the next group. Where pieces may be done side
by side there are a few such threads. This file must not know what the work is.
"""

import asyncio
import sys
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Lock
from typing import Any, Generic, TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class MicroBatcher(Generic[_Item, _Result]):
    """Does pieces of work in a thread, those that wait together.

    Args:
        work: does some pieces and returns a result for each; with one lane never called twice at a time.
        name: of a thread of its own, which is the one lane; None for the event loop's threads.
        lanes: how many threads may be at it.
        most: pieces in one group; when more wait, the next lane is opened.
    """

    def __init__(
        self,
        work: Callable[[Sequence[_Item]], Sequence[_Result]],
        *,
        name: str | None,
        max_workers: int = 1,
        max_batch: int = sys.maxsize,
    ) -> None:
        self._work = work
        self._executor = None if name is None else ThreadPoolExecutor(max_workers, thread_name_prefix=name)
        self._max_workers, self._max_batch = max_workers, max_batch
        self._lock = Lock()
        self._waiting: deque[tuple[_Item, asyncio.Future[_Result]]] = deque()
        self._active_workers = 0

    async def submit(self, item: _Item) -> _Result:
        """Return the piece's result. A piece is done also when whoever waits for it is cancelled."""
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
            loop.run_in_executor(self._executor, self._run_worker, loop)
        return await result

    def _run_worker(self, loop: asyncio.AbstractEventLoop) -> None:
        while batch := self._take_batch():
            items = [piece for piece, _ in batch]
            futures = [future for _, future in batch]
            try:
                results = self._work(items)
            except BaseException as error:  # a bug: everybody who waits hears of it
                loop.call_soon_threadsafe(self._fail, loop, futures, error)
                raise
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
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
        loop.run_in_executor(self._executor, self._run_worker, loop)  # for what came meanwhile

    def _take_batch(self) -> list[tuple[_Item, "asyncio.Future[_Result]"]]:
        with self._lock:
            size = min(self._max_batch, len(self._waiting))
            batch = [self._waiting.popleft() for _ in range(size)]
            self._active_workers -= not batch
            return batch


async def run_to_completion(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Do the work wholly; whoever is cancelled meanwhile hears of it when it is done, not before."""
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
