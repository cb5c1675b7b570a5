"""Rules of app/batch.py: whole runs over real directories, with a scripted model."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from app.batch import Batch, Folders
from app.input_selection import InputFilters, InputSelection
from app.outcome_store import OutcomeStore
from errors import ErrorKind, StopReason
from processing.stop_signal import StopSignal
from processor import Processor
from reports.tally import Tally
from storage.journal.journal import Journal
from storage.journal.plan import Selection
from storage.output.folders import JOURNAL
from tests.support.batch_scenario import failure, new_caller, new_processor
from tests.support.fakes import START, ScriptedModel, utcnow
from tests.support.outcomes import archiver, names, run_info
from tests.support.virtual_loop import run_virtual
from utils.progress import LineProgress


class Run:
    """One run over the images of a folder."""

    def __init__(self, folder: Path, journal: Journal, number: int, model: ScriptedModel) -> None:
        self.tally, self.stop, self.stderr = Tally(), StopSignal(), io.StringIO()
        self.model = model
        self.archiver = archiver(folder / "out", number)
        self.store = OutcomeStore(
            journal=journal,
            archiver=self.archiver,
            tally=self.tally,
            stop=self.stop,
            utcnow=utcnow,
            load_prices=lambda: None,
        )
        self.batch = Batch(
            folders=Folders(input_dir=folder / "in", output_dir=folder / "out"),
            inputs=InputSelection(filters=InputFilters(), input_dir=folder / "in", now=START),
            journal=journal,
            archiver=self.archiver,
            tally=self.tally,
            progress=LineProgress(self.stderr, 30.0, clock=lambda: 0.0),
            stop=self.stop,
            store=self.store,
        )

    def process(self) -> None:
        """Plan, place copies, process."""
        plan = self.batch.plan(Selection())
        self.store.place_copies()

        async def main() -> None:
            await self.batch.process(self._new_processor(), plan)

        run_virtual(main())

    def _new_processor(self) -> Processor:
        caller = new_caller(self.model, self.stop, slots=2)
        return new_processor(caller, self.store, self.stop, slots=2)


@contextmanager
def opened(folder: Path, *, number: int = 1, model: ScriptedModel | None = None) -> Iterator[Run]:
    """Open the journal for a run."""
    run = replace(run_info(), run_id=run_info(number).run_id)
    is_present = archiver(folder / "out", number).is_present
    with Journal.open(
        folder / "out" / JOURNAL, run=run, is_present=is_present, utcnow=lambda: START
    ) as journal:
        journal.begin_run()
        yield Run(folder, journal, number, model or ScriptedModel())
        journal.end_run(exit_code=0, ended_at=START)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make an input directory of three images and a text."""
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    for number in range(3):
        Image.new("RGB", (2, 2), (number, 0, 0)).save(tmp_path / "in" / f"{number}.png")
    (tmp_path / "in" / "notes.txt").write_text("no image")
    return tmp_path


def test_every_image_is_answered_and_every_other_file_is_counted(folder: Path) -> None:
    """Answers stand in the output directory; a file that is no image is skipped with its reason."""
    with opened(folder) as run:
        run.process()

        assert names(folder / "out", "successful") == {f"successful/{n}.png_result.txt" for n in range(3)}
        assert (run.tally.succeeded, run.tally.skipped.total()) == (3, 1)
        assert run.batch.describe_progress().startswith("3 of 3: ")
        assert run.stderr.getvalue().splitlines()[-1].startswith("3 of 3")


def test_the_next_run_asks_about_new_images_only(folder: Path) -> None:
    """An image under a new name gets a copy of its answer without a call."""
    with opened(folder) as run:
        run.process()
    (folder / "in" / "0.png").rename(folder / "in" / "renamed.png")
    Image.new("RGB", (2, 2), "white").save(folder / "in" / "new.png")

    with opened(folder, number=2) as run:
        run.process()

        plan = run.batch.current_plan
        assert (plan.found, plan.answered, plan.copyable, plan.todo) == (4, 2, 1, 1)
        assert [call.key for call in run.model.calls] == ["new.png"]
        assert (run.tally.succeeded, run.tally.reused) == (1, 1)
        assert "successful/renamed.png_result.txt" in names(folder / "out")


def test_failures_too_few_for_a_verdict_are_stored_at_the_end(folder: Path) -> None:
    """A batch that ends before its first images prove anything records them as failed."""
    (folder / "in" / "2.png").unlink()
    model = ScriptedModel(default=[(1.0, failure(ErrorKind.INVALID_REQUEST))])

    with opened(folder, model=model) as run:
        run.process()

        assert run.tally.failed == {ErrorKind.INVALID_REQUEST: 2}
        assert run.stop.cause is None


def test_a_disk_that_is_far_too_small_stops_the_run(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Less than the answers may take is a warning, less than a tenth of it a stop before any call."""
    with opened(folder) as run:
        run.batch.plan(Selection())
        free = run.archiver.free_bytes()

        assert run.batch.has_space(1)
        assert not caplog.records
        assert run.batch.has_space(free)
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        run.stop.raise_if_requested()
        assert not run.batch.has_space(100 * free)
        assert run.stop.cause is not None
        assert run.stop.cause.reason is StopReason.STORAGE
