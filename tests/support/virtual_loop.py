"""Event loop with a virtual clock: hours of waiting take no time, and instants are exact.

The clock stands still while anything can run. When the loop is idle: (1) if a thread works (`to_thread`,
`run_in_executor`), the clock waits for it; (2) else it jumps to the next timer; (3) without a timer a
`Deadlock` names what every task waits for. Real sockets and subprocesses cannot be used on this loop: it
would jump past them. See docs/adr/0005.
"""

import asyncio
import math
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, TypeVar, TypeVarTuple, Unpack

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")

_Ready = list[tuple[selectors.SelectorKey, int]]

_THREAD_LIMIT_S = 30.0
"""Real seconds a thread may keep the loop waiting; more is a hang (say, it waits for the loop itself)."""


class Deadlock(RuntimeError):
    """Error: no task can run, no timer is set and no thread works; real asyncio would wait forever."""


def run_virtual(
    main: Coroutine[Any, Any, _T], *, start_s: float = 0.0, thread_limit_s: float = _THREAD_LIMIT_S
) -> _T:
    """Run a coroutine to its end on a virtual clock that begins at `start_s`; return its result.

    Raises:
        Deadlock: nothing was left that could wake any task, or a thread kept the loop waiting for
            more than `thread_limit_s` real seconds.

    """
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(start_s, thread_limit_s)) as runner:
        return runner.run(main)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose `time()` moves only from timer to timer."""

    def __init__(self, start_s: float = 0.0, thread_limit_s: float = _THREAD_LIMIT_S) -> None:
        self._now_s = start_s
        self._thread_limit_s = thread_limit_s
        self._thread_is_stuck = False
        self._threads_at_work = 0
        self._executor: Executor | None = None
        super().__init__(_IdleSelector(self._idle))

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._now_s

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[_Ts]], _T], *args: *_Ts
    ) -> asyncio.Future[_T]:
        """Run a function in a thread, and stop the clock until it ends.

        Counted from the thread's side: a cancelled await does not end the thread's work.
        """
        job: Future[_T] = (executor or self._own_executor()).submit(func, *args)
        self._threads_at_work += 1
        result = asyncio.wrap_future(job, loop=self)
        # Added after wrap_future's own callback, so the result is always delivered first.
        job.add_done_callback(lambda _: self.call_soon_threadsafe(self._thread_is_through))
        return result

    def set_default_executor(self, executor: Executor) -> None:
        """Use these threads for jobs without an executor; they are closed with the loop."""
        self._executor = executor

    def close(self) -> None:
        """Wait for the threads unless one is stuck, then close the loop."""
        if self._executor is not None:
            self._executor.shutdown(wait=not self._thread_is_stuck)
        super().close()

    def _own_executor(self) -> Executor:
        # Not asyncio's default executor: its shutdown waits in a thread that this loop cannot count.
        # One thread, so that jobs end in the order in which they were begun: timetables stay exact.
        if self._executor is None:
            self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="virtual")
        return self._executor

    def _thread_is_through(self) -> None:
        self._threads_at_work -= 1

    def _idle(self, wait_for_thread: Callable[[float], _Ready]) -> _Ready:
        """Wait for a thread, or move the clock to the next timer; called when no task can run."""
        if self._threads_at_work:
            ready = wait_for_thread(self._thread_limit_s)
            self._thread_is_stuck = not ready
            if not ready:
                raise Deadlock(f"a thread kept the loop waiting for {self._thread_limit_s} real seconds")
            return ready
        # asyncio has no public view of its timers; the heap's head is the next that is not cancelled.
        timers: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        if not timers:
            raise Deadlock(f"nothing can run any more at {self._now_s} s: {self._waiting()}")
        self._jump_to(timers[0].when())
        return []

    def _jump_to(self, when_s: float) -> None:
        self._now_s = max(self._now_s, when_s)
        # asyncio runs timers that are due *before* now + resolution, which must differ from now.
        self._clock_resolution = max(1e-9, 2 * math.ulp(self._now_s))

    def _waiting(self) -> str:
        tasks = sorted(asyncio.all_tasks(self), key=lambda task: task.get_name())
        return "; ".join(_place(task) for task in tasks) or "no task is left"


def _place(task: asyncio.Task[Any]) -> str:
    frames = task.get_stack()
    if not frames:
        return f"{task.get_name()} waits"
    code = frames[-1].f_code
    return f"{task.get_name()} waits in {code.co_name} ({code.co_filename}:{frames[-1].f_lineno})"


class _IdleSelector(selectors.DefaultSelector):
    """Selector that lets the loop decide what to do if nothing is ready."""

    def __init__(self, on_idle: Callable[[Callable[[float], _Ready]], _Ready]) -> None:
        super().__init__()
        self._on_idle = on_idle

    def select(self, timeout: float | None = None) -> _Ready:
        """Return what is ready, without waiting for `timeout`, which is real time."""
        ready = super().select(0)
        return ready if ready or timeout == 0 else self._on_idle(super().select)
