"""Threads for blocking work that make do with fewer if need be, and for whose end nothing waits.

They are started without the class of the standard library: its ``start`` waits for ever for a thread that
dies of a memory limit before its first line (CPython issue 88850), and the interpreter waits for its threads
at the end, whatever they do.
"""

import _thread
import logging
import os
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from threading import Event, Lock, Semaphore
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

log = logging.getLogger(__name__)

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

_START_TIMEOUT_S = 20.0
"""Longest wait for the first thread of a pool to run; it takes a fraction of a millisecond."""

_abandoned: "list[FrugalThreads]" = []
_has_left = Event()


class NoThreadError(Exception):
    """The system starts no thread: a limit on processes or memory is reached."""


@dataclass(slots=True)
class _Crew:
    """What a pool and its threads share; the threads keep no reference to the pool."""

    pieces: "SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None]" = field(default_factory=SimpleQueue)
    """None ends a thread, which puts it back for the next one."""
    idle: Semaphore = field(default_factory=lambda: Semaphore(0))
    is_running: Event = field(default_factory=Event)
    """Set once a thread runs."""


class FrugalThreads(ThreadPoolExecutor):
    """A pool whose work waits for a running thread if the system refuses another one.

    With a limit on memory or processes each further thread may be refused. The pool of the standard library
    then raises, although the work is queued and will be done. Of that class this one has the interface.
    """

    def __init__(self, max_workers: int | None = None) -> None:
        super().__init__(max_workers)
        self._most = max_workers or min(32, (os.cpu_count() or 1) + 4)
        self._crew = _Crew()
        self._thread_count = 0
        self._is_closed = False
        self._lock = Lock()
        self._unfinished: set[Future[Any]] = set()
        weakref.finalize(self, self._crew.pieces.put, None).atexit = False

    def start(self) -> None:
        """Start the first thread, and wait until it runs: from then on all work is done.

        Raises:
            NoThreadError: it cannot be started.
        """
        if self._crew.is_running.is_set():
            return
        try:
            self._add_thread()
        except (RuntimeError, MemoryError) as error:
            raise NoThreadError(str(error)) from error
        if not self._crew.is_running.wait(_START_TIMEOUT_S):
            raise NoThreadError("a thread ended before it began")

    def submit(
        self, work: Callable[_Arguments, _Result], /, *args: _Arguments.args, **kwargs: _Arguments.kwargs
    ) -> "Future[_Result]":
        """Start the work in a thread, as the pool of the standard library does."""
        future: Future[_Result] = Future()
        with self._lock:
            if self._is_closed:
                raise RuntimeError("no work is taken after the end")
            if self._thread_count < self._most and not self._crew.idle.acquire(blocking=False):
                self._try_add_thread()
            self._crew.pieces.put((future, partial(work, *args, **kwargs)))
        self._unfinished.add(future)
        future.add_done_callback(self._unfinished.discard)
        return future

    def abandon(self) -> None:
        """Drop the work that has not begun, and wait for none: see :func:`is_work_abandoned`."""
        self.shutdown(wait=False, cancel_futures=True)
        if self._unfinished:
            _abandoned.append(self)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002
        """Take no more work; see the pool of the standard library."""
        with self._lock:
            self._is_closed = True
            if cancel_futures:
                self._drop_waiting()
            self._crew.pieces.put(None)
        if wait:
            _wait_for_all(self._unfinished)

    def is_busy(self) -> bool:
        """Return whether work has not ended."""
        return bool(self._unfinished)

    @property
    def thread_count(self) -> int:
        """Number of threads that were started."""
        return self._thread_count

    def _drop_waiting(self) -> None:
        while True:
            try:
                piece = self._crew.pieces.get_nowait()
            except Empty:
                return
            if piece is not None:
                piece[0].cancel()

    def _try_add_thread(self) -> None:
        try:
            self._add_thread()
        except (RuntimeError, MemoryError):
            if not self._thread_count:
                raise
            log.debug("no further thread could be started: %d do the work", self._thread_count)

    def _add_thread(self) -> None:
        _thread.start_new_thread(_work, (self._crew,))
        self._thread_count += 1


def is_work_abandoned() -> bool:
    """Return whether threads are still at abandoned work, which ends with the process alone."""
    return _has_left.is_set() or any(threads.is_busy() for threads in _abandoned)


def leave_work() -> None:
    """Record that the process leaves whatever its threads are at."""
    _has_left.set()


def _wait_for_all(futures: "set[Future[Any]]") -> None:
    wait(list(futures))


def _work(crew: _Crew) -> None:
    """Do the pieces of work of a pool, as one of its threads."""
    crew.is_running.set()
    while (piece := _take_piece(crew)) is not None:
        _do(*piece)
        del piece
    crew.pieces.put(None)


def _take_piece(crew: _Crew) -> "tuple[Future[Any], Callable[[], Any]] | None":
    try:
        return crew.pieces.get_nowait()
    except Empty:
        crew.idle.release()
        return crew.pieces.get()


def _do(future: "Future[Any]", work: Callable[[], Any]) -> None:
    if future.set_running_or_notify_cancel():
        with _Delivery(future):
            future.set_result(work())


class _Delivery:
    """Gives whatever the block raises to a future, which raises it where the result is awaited."""

    def __init__(self, future: "Future[Any]") -> None:
        self._future = future

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Give the future what was raised, and end the block without it."""
        if error is not None and trace is not None:
            # Without the frame of the pool, which refers to the future: a circle would keep both alive.
            self._future.set_exception(error.with_traceback(trace.tb_next))
        return True
