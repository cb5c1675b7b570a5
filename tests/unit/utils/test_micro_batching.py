"""Rules of utils/micro_batching.py.

Whatever comes while work is done is the next group, and nothing is lost.
"""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from utils.micro_batching import MicroBatcher, run_to_completion


def test_pieces_that_wait_are_done_in_one_go_and_each_gets_its_own_result() -> None:
    """The first begins at once, alone; those that come meanwhile are one group, in their order."""
    groups: list[list[int]] = []
    may_go_on = threading.Event()

    def work(pieces: Sequence[int]) -> list[int]:
        groups.append(list(pieces))
        may_go_on.wait()
        return [2 * piece for piece in pieces]

    async def scenario() -> list[int]:
        together = MicroBatcher(work, has_own_threads=True)
        tasks = [asyncio.create_task(together.submit(piece)) for piece in range(5)]
        await asyncio.sleep(0)
        may_go_on.set()
        return await asyncio.gather(*tasks)

    assert asyncio.run(scenario()) == [0, 2, 4, 6, 8]
    assert [piece for group in groups for piece in group] == [0, 1, 2, 3, 4]
    assert len(groups) <= 2


def test_a_piece_is_done_though_nobody_waits_for_it_any_more() -> None:
    """Cancelled waits cancel no work, neither what has begun nor what is next."""
    done: list[int] = []
    may_go_on = threading.Event()

    def work(pieces: Sequence[int]) -> list[None]:
        may_go_on.wait()
        done.extend(pieces)
        return [None for _ in pieces]

    async def scenario() -> None:
        together = MicroBatcher(work, has_own_threads=True)
        tasks = [asyncio.create_task(together.submit(piece)) for piece in range(3)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        may_go_on.set()
        await together.submit(3)

    asyncio.run(scenario())
    assert done == [0, 1, 2, 3]


def test_a_bug_reaches_everybody_who_waits_and_the_next_piece_is_done() -> None:
    """No caller waits forever, and the next piece finds a thread."""

    def work(pieces: Sequence[int]) -> list[int]:
        if 0 in pieces:
            raise RuntimeError("a bug")
        return list(pieces)

    async def scenario() -> int:
        together = MicroBatcher(work, has_own_threads=True)
        with pytest.raises(RuntimeError, match="a bug"):
            await together.submit(0)
        return await together.submit(1)

    assert asyncio.run(scenario()) == 1


@pytest.mark.parametrize("times", [1, 3])
def test_work_to_its_end_is_done_before_its_cancellation_is_heard(times: int) -> None:
    """However often the caller is cancelled, all work is done before it goes on."""

    async def scenario() -> bool:
        may_end, has_ended = asyncio.Event(), asyncio.Event()

        async def work() -> None:
            await may_end.wait()
            has_ended.set()

        task = asyncio.create_task(run_to_completion(work()))
        for _ in range(times):
            await asyncio.sleep(0)
            task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        return has_ended.is_set()

    assert asyncio.run(scenario())


def test_work_to_its_end_fails_as_it_fails_though_it_was_cancelled() -> None:
    """An error is raised in place of a cancellation, because it would otherwise be lost."""

    async def work() -> None:
        await asyncio.sleep(0)
        raise RuntimeError("a bug")

    async def scenario() -> None:
        task = asyncio.create_task(run_to_completion(work()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(RuntimeError, match="a bug"):
            await task

    asyncio.run(scenario())


def test_what_is_too_much_for_one_group_is_done_side_by_side() -> None:
    """With more pieces than a group may have the next worker starts, up to the limit of workers."""
    groups: list[list[int]] = []
    both_work = threading.Barrier(2, timeout=30)

    def work(pieces: Sequence[int]) -> list[int]:
        groups.append(list(pieces))
        if pieces[0] < 2:
            both_work.wait()
        return list(pieces)

    async def scenario() -> list[int]:
        together = MicroBatcher(work, has_own_threads=True, max_workers=2, max_batch=1)
        return await asyncio.gather(*(together.submit(piece) for piece in range(3)))

    assert asyncio.run(scenario()) == [0, 1, 2]
    assert sorted(groups) == [[0], [1], [2]]
