"""Rules of app/outcome_store.py, on a real journal and a real output tree."""

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.fail_fast import DECIDING_IMAGES
from app.outcome_store import OutcomeStore
from errors import ErrorKind, StopReason
from models import Artefact, Reused
from processing.stop_signal import StopSignal
from reports.tally import Tally
from storage.journal import connection
from storage.journal.journal import Journal
from storage.journal.writes import FinishedImage
from storage.output.folders import JOURNAL
from tests.support.outcomes import START, archiver, failed, full_disk, job, names, run_info, succeeded


class HeldJournal(Journal):
    """A journal that writes no rows while it is held."""

    def __init__(self, folder: Path, is_present: Callable[[Artefact], bool]) -> None:
        opened = connection.open_for_writing(folder / JOURNAL, lambda: START)
        super().__init__(folder / JOURNAL, opened, run=run_info(), is_present=is_present)
        self._may_write = threading.Event()
        self._may_write.set()

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Let no row be written while the block lasts."""
        self._may_write.clear()
        try:
            yield
        finally:
            self._may_write.set()

    def record(self, finished: Iterable[FinishedImage]) -> None:
        """Write the rows as soon as the journal is not held."""
        self._may_write.wait()
        super().record(finished)


class Fixture:
    """A store of the first run over an empty output directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.archiver = archiver(folder)
        self.journal = HeldJournal(folder, self.archiver.is_present)
        self.journal.begin_run()
        self.tally, self.stop = Tally(), StopSignal()
        self.store = OutcomeStore(
            journal=self.journal,
            archiver=self.archiver,
            tally=self.tally,
            stop=self.stop,
            utcnow=lambda: START,
            load_prices=lambda: None,
        )

    def count_rows(self) -> int:
        """Return how many images have their row."""
        return self.journal.count_finished(run_info())


@pytest.fixture
def fixture(tmp_path: Path) -> Iterator[Fixture]:
    """Open a store."""
    fixture = Fixture(tmp_path)
    with fixture.journal:
        yield fixture


def test_files_stand_before_the_row_is_awaited(fixture: Fixture) -> None:
    """``store`` returns when the files stand; the row may follow later."""

    async def scenario() -> None:
        async with fixture.store.draining():
            with fixture.journal.hold():
                recorded = await fixture.store.store(succeeded("a.jpg"))
                assert names(fixture.folder, "successful") == {"successful/a.jpg_result.txt"}
                assert (fixture.count_rows(), fixture.tally.succeeded) == (0, 0)
            await recorded
            assert (fixture.count_rows(), fixture.tally.succeeded) == (1, 1)

    asyncio.run(scenario())


def test_a_cancelled_caller_cancels_no_storing(fixture: Fixture) -> None:
    """An answer is stored, recorded and counted, although the worker that brought it was cancelled."""

    async def scenario() -> None:
        async with fixture.store.draining():
            caller = asyncio.create_task(fixture.store.store(succeeded("a.jpg")))
            await asyncio.sleep(0)
            caller.cancel()
            await asyncio.wait([caller])
            assert caller.cancelled()

    asyncio.run(scenario())
    assert (fixture.count_rows(), fixture.tally.succeeded) == (1, 1)


def test_a_cancelled_run_waits_for_the_rows(fixture: Fixture) -> None:
    """The end of the block is later than the row of every file that stands, also after a cancellation."""

    async def run(stored: asyncio.Event) -> None:
        async with fixture.store.draining():
            recorded = await fixture.store.store(succeeded("a.jpg"))
            stored.set()
            await recorded

    async def scenario() -> None:
        stored = asyncio.Event()
        with fixture.journal.hold():
            task = asyncio.create_task(run(stored))
            await stored.wait()
            for _ in range(3):
                task.cancel()
                await asyncio.sleep(0)
            assert not task.done()
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(scenario())
    assert (fixture.count_rows(), fixture.tally.succeeded) == (1, 1)


def test_the_first_failures_wait_for_the_end_of_the_block(fixture: Fixture) -> None:
    """Too few for a verdict, they are stored as failures when no further image comes."""

    async def scenario() -> None:
        async with fixture.store.draining():
            await (await fixture.store.store(failed("a.jpg", ErrorKind.INVALID_REQUEST)))
            assert fixture.count_rows() == 0

    asyncio.run(scenario())
    assert fixture.count_rows() == 1
    assert fixture.tally.failed == {ErrorKind.INVALID_REQUEST: 1}


def test_first_failures_that_are_all_alike_are_deferred_and_stop_the_run(fixture: Fixture) -> None:
    """The verdict turns the failures into deferrals before the run is stopped."""

    async def scenario() -> None:
        async with fixture.store.draining():
            for number in range(DECIDING_IMAGES):
                await (await fixture.store.store(failed(f"{number}.jpg", ErrorKind.INVALID_REQUEST)))

    asyncio.run(scenario())
    assert fixture.stop.cause is not None
    assert fixture.stop.cause.reason is StopReason.ALL_ALIKE
    assert not fixture.tally.failed
    assert fixture.tally.deferred.total() == DECIDING_IMAGES


def test_an_answer_behind_held_back_failures_is_stored_with_them(fixture: Fixture) -> None:
    """The answer clears the run: nothing is deferred, nothing is lost."""

    async def scenario() -> None:
        async with fixture.store.draining():
            await fixture.store.store(failed("a.jpg", ErrorKind.INVALID_REQUEST))
            await fixture.store.store(succeeded("b.jpg"))
            assert "successful/b.jpg_result.txt" in names(fixture.folder)

    asyncio.run(scenario())
    assert (fixture.tally.failed.total(), fixture.tally.succeeded, fixture.count_rows()) == (1, 1, 2)


def test_an_answer_that_cannot_be_stored_stops_the_run_and_is_named(fixture: Fixture) -> None:
    """A full disk ends the run; the images whose answers are lost are listed."""

    async def scenario() -> None:
        async with fixture.store.draining():
            with full_disk(at_bytes=2_000):
                await (await fixture.store.store(succeeded("a.jpg", "x" * 4_000)))

    asyncio.run(scenario())
    assert fixture.stop.cause is not None
    assert fixture.stop.cause.reason is StopReason.STORAGE
    assert fixture.tally.unsaved == ["a.jpg"]
    assert fixture.tally.succeeded == 0


def test_an_answer_whose_file_was_changed_is_not_found(fixture: Fixture) -> None:
    """An answer is taken over only while its files have the bytes that were stored."""
    answer = succeeded("a.jpg")

    async def scenario() -> None:
        async with fixture.store.draining():
            await (await fixture.store.store(answer))
        found = await fixture.store.find_answer(answer.content.sha256)
        assert found is not None
        assert found.key == "a.jpg"
        (fixture.folder / "successful" / "a.jpg_result.txt").write_text("something else")
        assert await fixture.store.find_answer(answer.content.sha256) is None

    assert not fixture.store.filter_known([answer.content.sha256])
    asyncio.run(scenario())
    assert set(fixture.store.filter_known([answer.content.sha256])) == {answer.content.sha256}
    assert fixture.stop.cause is None


def test_an_answer_that_changes_while_it_is_copied_stops_nothing(fixture: Fixture) -> None:
    """Its copy is left to the next run, which is told; the images after it are stored."""
    answer = succeeded("a.jpg")

    async def scenario() -> None:
        async with fixture.store.draining():
            await (await fixture.store.store(answer))
            found = await fixture.store.find_answer(answer.content.sha256)
            assert found is not None
            (fixture.folder / "successful" / "a.jpg_result.txt").write_text("something else")
            await (await fixture.store.store(Reused(job=job("b.jpg"), answer=found)))
            await (await fixture.store.store(succeeded("c.jpg")))

    asyncio.run(scenario())
    assert fixture.stop.cause is None
    assert (fixture.tally.succeeded, fixture.tally.deferred.total(), fixture.tally.unsaved) == (2, 1, [])
    assert names(fixture.folder, "successful") == {f"successful/{n}.jpg_result.txt" for n in "ac"}
