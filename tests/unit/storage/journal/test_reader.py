"""Rules of reader.py: the queries of the reports and of ``--status``."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from errors import ErrorKind, StorageError, UsageError
from models import Artefact, ImageJob, Prompt
from storage.journal.journal import Journal
from storage.journal.plan import Selection
from storage.journal.read_models import OutcomeCounts
from storage.journal.reader import JournalReader
from tests.support.journal_harness import (
    START,
    World,
    a_job,
    an_attempt,
    deferred,
    failed,
    run_info,
)

SOFTER = Prompt(text="describe gently", revision=1, edits=("soften",))


@pytest.fixture
def world(tmp_path: Path) -> World:
    """An input directory with three images."""
    world = World(tmp_path)
    for name in ("a.png", "b.png", "c.png"):
        world.put(name, name.encode())
    return world


@pytest.fixture
def journal(world: World) -> Iterator[Journal]:
    """A journal in the middle of its first run."""
    with world.open(run_info()) as journal:
        journal.begin_run()
        yield journal


def _jobs(world: World) -> list[ImageJob]:
    return list(world.find_images())


def test_images_are_counted_once_by_their_latest_outcome(world: World, journal: Journal) -> None:
    """A failure that is answered later is no failure any more, and dry outcomes are counted apart."""
    jobs = _jobs(world)
    journal.record_one(failed(jobs[0], ErrorKind.TIMEOUT), (), finished_at=START)
    journal.record_one(failed(jobs[1], ErrorKind.TIMEOUT), (), finished_at=START)
    world.finish(journal, run_info(), world.succeeded(jobs[0]))
    journal.record_one(deferred(jobs[2]), (), finished_at=START)
    with world.open(run_info(2, dry_run=True)) as dry:
        dry.record_one(world.succeeded(a_job("dry.png", path=jobs[0].path)), (), finished_at=START)
        dry.record_one(failed(jobs[0], ErrorKind.EMPTY), (), finished_at=START)

    counts = journal.tree_counts()

    assert counts.real == OutcomeCounts(succeeded=1, failed={ErrorKind.TIMEOUT: 1}, deferred=1)
    assert counts.dry == OutcomeCounts(succeeded=1)
    assert journal.tree_counts(run_id=run_info(2).run_id).real == OutcomeCounts()


def test_failures_are_listed_by_class_and_grouped(journal: Journal) -> None:
    """Failures come sorted by key, singly or in groups, the largest group first."""
    log = Artefact(path="failed/x_error.log", size_bytes=3, sha256="0" * 64)
    for number in range(1200):
        kind = ErrorKind.BLOCKED if number % 3 else ErrorKind.EMPTY
        journal._connection.execute("PRAGMA synchronous = OFF")
        journal.record_one(failed(a_job(f"{number:04}.png"), kind), (log,), finished_at=START)

    empty = [row.key for row in journal.failures(ErrorKind.EMPTY)]
    blocked, *others = journal.failure_groups(examples=2)

    assert empty == [f"{number:04}.png" for number in range(0, 1200, 3)]
    assert sum(1 for _ in journal.failures()) == 1200
    assert (blocked.kind, blocked.images, [group.images for group in others]) == (
        ErrorKind.BLOCKED,
        800,
        [400],
    )
    assert [row.key for row in blocked.examples] == ["0001.png", "0002.png"]
    first = blocked.examples[0]
    assert (first.artefacts, first.attempts, first.finished_at) == ((log,), 1, START)
    assert list(journal.failures(dry_run=True)) == []


def test_only_images_asked_in_several_wordings_have_a_chain(world: World, journal: Journal) -> None:
    """A retry with the same prompt is no chain; another prompt makes one, whether it helped or not."""
    jobs = _jobs(world)
    first = an_attempt(kind=ErrorKind.BLOCKED)
    rescued = (first, an_attempt(2, prompt=SOFTER))
    in_vain = (first, an_attempt(2, prompt=SOFTER, kind=ErrorKind.BLOCKED))
    again = (first, an_attempt(2, kind=ErrorKind.BLOCKED))
    journal.record_one(replace(world.succeeded(jobs[0]), attempts=rescued), (), finished_at=START)
    journal.record_one(replace(failed(jobs[1], ErrorKind.BLOCKED), attempts=in_vain), (), finished_at=START)
    journal.record_one(replace(failed(jobs[2], ErrorKind.BLOCKED), attempts=again), (), finished_at=START)

    one, two = journal.prompt_chains()

    assert (one.key, one.succeeded, one.kind, one.attempts) == ("a.png", True, None, rescued)
    assert (two.key, two.succeeded, two.kind, two.attempts) == ("b.png", False, ErrorKind.BLOCKED, in_vain)


def test_runs_come_back_whole_the_latest_first(world: World) -> None:
    """A run is remembered with its settings, its plan and its end."""
    world.play_run()
    world.put("d.png", b"d")
    world.play_run(prompt="another")

    with JournalReader.read_only(world.journal_path) as reader:
        latest, first = reader.runs()

    assert latest.info == run_info(2, prompt="another")
    assert (latest.found, latest.todo, latest.exit_code, latest.ended_at) == (4, 4, 0, START)
    assert (first.found, first.todo, first.was_killed) == (3, 3, False)


def test_a_reader_sees_a_run_that_goes_on(world: World, journal: Journal) -> None:
    """``--status`` reads beside the writing run, and cannot write."""
    journal.plan(world.find_images(), selection=Selection(), hash_file=lambda _: "")
    with JournalReader.read_only(world.journal_path) as reader:
        assert reader.tree_counts().real.succeeded == 0

        world.finish(journal, run_info(), world.succeeded(_jobs(world)[0]))

        run = reader.runs()[0]
        assert reader.tree_counts(run_id=run.info.run_id).real.succeeded == 1
        assert (run.todo, run.ended_at, run.was_killed) == (3, None, False)
        with pytest.raises(StorageError):
            reader._fetch_all("DELETE FROM runs")


def test_a_reader_leaves_no_file_of_its_own_behind(world: World) -> None:
    """Reading a journal at rest needs the main file alone, as from a read-only copy."""
    world.play_run()

    with JournalReader.read_only(world.journal_path) as reader:
        assert reader.tree_counts().real.succeeded == 3


def test_a_reader_without_a_journal_says_so(tmp_path: Path) -> None:
    """An output directory that no run has used is a usage error, and nothing is created."""
    with pytest.raises(UsageError, match="no run has used"):
        JournalReader.read_only(tmp_path / "metadata" / "journal.db")

    assert list(tmp_path.iterdir()) == []
