"""How do many tasks have small pieces of slow work done, without a thread and a turn of the disk for each?

A thread for each piece costs more than the piece: threads fight for the interpreter, and each waits for
the disk alone. Here one thread does all pieces that wait, at once, and takes the next when it is through:
nobody waits for a group to fill, and what comes meanwhile is the next group. This file must not know what
the work is.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Lock
from typing import Any, Generic, TypeVar

_Piece = TypeVar("_Piece")
_Result = TypeVar("_Result")


class Together(Generic[_Piece, _Result]):
    """Does pieces of work in one thread, those that wait together.

    Args:
        work: does some pieces and returns a result for each; called in one thread, never twice at a time.
        name: of the thread.
    """

    def __init__(self, work: Callable[[Sequence[_Piece]], Sequence[_Result]], *, name: str) -> None:
        self._work = work
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._lock = Lock()
        self._waiting: list[tuple[_Piece, asyncio.Future[_Result]]] = []
        self._is_working = False

    async def do(self, piece: _Piece) -> _Result:
        """Return the piece's result. A piece is done also when whoever waits for it is cancelled."""
        loop = asyncio.get_running_loop()
        result: asyncio.Future[_Result] = loop.create_future()
        with self._lock:
            self._waiting.append((piece, result))
            must_begin, self._is_working = not self._is_working, True
        if must_begin:
            loop.run_in_executor(self._thread, self._work_off, loop)
        return await result

    def _work_off(self, loop: asyncio.AbstractEventLoop) -> None:
        while group := self._next_group():
            pieces = [piece for piece, _ in group]
            futures = [future for _, future in group]
            try:
                results = self._work(pieces)
            except BaseException as error:  # a bug: everybody who waits hears of it
                loop.call_soon_threadsafe(_fail, futures, error)
                self._thread.submit(self._work_off, loop)  # for what came meanwhile
                raise
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_tell, futures, results)

    def _next_group(self) -> list[tuple[_Piece, "asyncio.Future[_Result]"]]:
        with self._lock:
            group, self._waiting = self._waiting, []
            self._is_working = bool(group)
            return group


async def to_its_end(work: Coroutine[Any, Any, _Result]) -> _Result:
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


def _tell(futures: "Sequence[asyncio.Future[_Result]]", results: Sequence[_Result]) -> None:
    for future, result in zip(futures, results, strict=True):
        if not future.done():
            future.set_result(result)


def _fail(futures: "Sequence[asyncio.Future[_Result]]", error: BaseException) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(error)
