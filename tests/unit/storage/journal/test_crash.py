"""Rules of the journal after a kill, a power cut or a full disk: no answer is lost."""

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from errors import ErrorKind, StorageError
from storage.journal.connection import sync_each_commit
from storage.journal.journal import Journal
from tests.support.journal_harness import START, World, a_job, failed, run_info


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Three images: two answered, one a known failure."""
    world = World(tmp_path)
    for name in ("a.png", "b.png", "c.png"):
        world.put(name, name.encode())
    world.endings["c.png"] = ErrorKind.BLOCKED
    world.play_run()
    return world


def _killed(world: World, tmp_path: Path, work: Callable[[Journal], None]) -> World:
    """Return a copy of all files as a kill after ``work`` would leave them: nothing is closed."""
    journal = world.open(run_info(5))
    journal.begin_run()
    work(journal)
    recovered = World(tmp_path / "left")
    shutil.copytree(world.images, recovered.images, dirs_exist_ok=True)
    shutil.copytree(world.output, recovered.output)
    recovered.ledger, recovered.runs_played = list(world.ledger), 5
    journal.close()
    return recovered


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A place for what the killed run leaves."""
    (tmp_path / "left").mkdir()
    return tmp_path


def test_what_was_recorded_survives_a_kill(world: World, folder: Path) -> None:
    """Every outcome that ``record`` returned for is there after the process died at once."""
    world.put("new.png", b"new")
    job = next(job for job in world.find_images() if job.key == "new.png")

    recovered = _killed(
        world, folder, lambda journal: world.finish(journal, run_info(5), world.succeeded(job))
    )

    assert recovered.journal_path.with_name("journal.db-wal").exists()
    assert recovered.play_run().calls == []


def test_a_kill_between_artefact_and_row_costs_nothing(world: World, folder: Path) -> None:
    """The ledger's line proves an answer whose row was never written."""
    world.put("new.png", b"new")
    job = next(job for job in world.find_images() if job.key == "new.png")

    recovered = _killed(
        world, folder, lambda journal: world.store(journal, run_info(5), world.succeeded(job), START) and None
    )

    assert recovered.play_run().calls == []


def test_a_ledger_line_without_its_artefact_proves_nothing(world: World, folder: Path) -> None:
    """Killed after the ledger line and before the artefact, the image is sent again."""
    world.put("new.png", b"new")
    job = next(job for job in world.find_images() if job.key == "new.png")

    def store_then_lose(journal: Journal) -> None:
        world.store(journal, run_info(5), world.succeeded(job), START)
        (world.output / "successful/new.png_result.txt").unlink()

    recovered = _killed(world, folder, store_then_lose)

    assert recovered.play_run().calls == ["new.png"]


def test_torn_changes_at_the_end_of_the_wal_are_made_good(world: World, folder: Path) -> None:
    """If the last commits are unreadable, the unfinished run makes the next one read the ledger."""
    world.put("new.png", b"new")
    job = next(job for job in world.find_images() if job.key == "new.png")
    recovered = _killed(
        world, folder, lambda journal: world.finish(journal, run_info(5), world.succeeded(job))
    )
    wal = recovered.journal_path.with_name("journal.db-wal")
    frame = 4096 + 24
    wal.write_bytes(wal.read_bytes()[: 32 + frame * 3 + 100])

    assert recovered.play_run().calls == []


def test_a_power_cut_that_takes_all_rows_of_a_run_costs_nothing(world: World, folder: Path) -> None:
    """Once the run's begin is synced, its rows need not be: the ledger has its answers."""
    lengths: list[int] = []
    for name in ("new.png", "newer.png"):
        world.put(name, name.encode())
    new = [job for job in world.find_images() if job.key.startswith("new")]

    def finish(journal: Journal) -> None:
        lengths.append(world.journal_path.with_name("journal.db-wal").stat().st_size)
        for job in new:
            world.finish(journal, run_info(5), world.succeeded(job))

    recovered = _killed(world, folder, finish)
    wal = recovered.journal_path.with_name("journal.db-wal")
    wal.write_bytes(wal.read_bytes()[: lengths[0]])

    assert recovered.play_run().calls == []


@pytest.mark.parametrize(("mode", "level"), [("WAL", 1), ("DELETE", 2)])
def test_only_a_wal_may_do_without_syncs(tmp_path: Path, mode: str, level: int) -> None:
    """A rollback journal that is not synced could leave half a commit."""
    connection = sqlite3.connect(tmp_path / "journal.db")
    connection.execute(f"PRAGMA journal_mode = {mode}")
    levels = []
    for is_enabled in (True, False, True):
        sync_each_commit(connection, enabled=is_enabled)
        levels += connection.execute("PRAGMA synchronous").fetchone()
    connection.close()

    assert levels == [2, level, 2]


def test_a_run_that_was_cut_is_told_apart(world: World, folder: Path) -> None:
    """A later run finds the killed one unfinished, reads the ledger once, and remembers it as cut."""
    recovered = _killed(world, folder, lambda _: None)

    with recovered.open(run_info(6)) as journal:
        assert journal.needs_ledger
        journal.begin_run()
        journal.end_run(exit_code=3, ended_at=START)
        latest, killed, _ = journal.runs()
    with recovered.open(run_info(7)) as journal:
        assert not journal.needs_ledger

    assert (killed.was_killed, killed.ended_at, latest.was_killed, latest.exit_code) == (True, None, False, 3)


def test_a_file_without_tables_is_a_first_run_that_was_killed(tmp_path: Path) -> None:
    """A journal whose first run was killed before its tables were created gets them now."""
    world = World(tmp_path)
    world.journal_path.parent.mkdir(parents=True)
    connection = sqlite3.connect(world.journal_path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()

    with world.open(run_info()) as journal:
        assert (journal.was_rebuilt, journal.notices, journal.needs_ledger) == (False, (), True)


def test_a_full_disk_is_a_storage_error_and_leaves_nothing_half(world: World) -> None:
    """If SQLite finds no space, the message names the file and nothing of the record is written."""
    with world.open(run_info(5)) as journal:
        before = journal.tree_counts()
        (pages,) = journal._fetch_all("PRAGMA page_count")[0]
        journal._fetch_all(f"PRAGMA max_page_count = {pages}")

        def fill() -> None:
            for number in range(1000):
                journal.record_one(failed(a_job(f"{number}.png"), ErrorKind.EMPTY), (), finished_at=START)

        with pytest.raises(StorageError, match=r"journal\.db.*full"):
            fill()

        counts = journal.tree_counts().real.failed[ErrorKind.EMPTY]
        journal._fetch_all("PRAGMA max_page_count = 100000")
        journal.record_one(failed(a_job("last.png"), ErrorKind.EMPTY), (), finished_at=START)

        assert journal.tree_counts().real.failed[ErrorKind.EMPTY] == counts + 1
        assert before.real.failed == {ErrorKind.BLOCKED: 1}
