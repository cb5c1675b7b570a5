"""Rules of journal.py: what is recorded is read back whole, from any thread."""

import gc
import sqlite3
import threading
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from errors import ErrorKind, StopReason, StorageError
from models import Artefact, Attempt, ImageJob, Prompt, Reused, StoredAnswer, Usage
from storage.journal.connection import prefer_wal
from storage.journal.journal import Journal
from storage.journal.plan import Selection
from storage.journal.read_models import OutcomeCounts, UsageTotals
from tests.support.journal_harness import (
    START,
    USAGE,
    World,
    a_job,
    an_attempt,
    deferred,
    failed,
    run_info,
    sha256_of,
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


def test_a_fresh_journal_is_empty_and_needs_the_ledger(world: World) -> None:
    """A first run has no notice about the file, but a ledger may have answers."""
    with world.open(run_info()) as journal:
        assert (journal.notices, journal.was_rebuilt, journal.needs_ledger) == ((), False, True)
        assert journal.tree_counts().real == OutcomeCounts()


def test_an_answer_comes_back_whole(world: World, journal: Journal) -> None:
    """What was recorded about an answer is found again by the bytes of its image."""
    job = _jobs(world)[0]
    outcome = world.succeeded(job)
    outcome = replace(
        outcome,
        prompt=SOFTER,
        generation=replace(outcome.generation, model_version="gemini-3.5-flash", response_id="r1"),
    )
    artefacts, _ = world.store(journal, run_info(), outcome, START)

    journal.record_one(outcome, artefacts, finished_at=START + timedelta(seconds=1.5))

    assert journal.find_answer(sha256_of(b"a.png")) == StoredAnswer(
        key="a.png",
        size_bytes=5,
        mtime_ns=job.mtime_ns,
        sha256=sha256_of(b"a.png"),
        fingerprint=run_info().fingerprint,
        artefacts=artefacts,
        prompt=SOFTER,
        usage=USAGE,
        model_version="gemini-3.5-flash",
        response_id="r1",
        answered_at=START + timedelta(seconds=1.5),
        model="gemini-3.5-flash-lite",
    )
    assert journal.find_replaced("a.png") == artefacts
    assert journal.find_answer(sha256_of(b"other")) is None
    assert journal.find_replaced("b.png") == ()


def test_every_call_comes_back_whole(journal: Journal) -> None:
    """All fields of an attempt are read back, also those that only some failures have."""
    attempts = (
        Attempt(
            number=1,
            started_at=START,
            seconds=0.25,
            prompt=SOFTER,
            timeout_s=180.0,
            kind=ErrorKind.RATE_LIMITED,
            detail="quota of 10 a minute",
            http_status=429,
            api_status="RESOURCE_EXHAUSTED",
            unavailable=True,
            quota_ids=("GenerateRequestsPerMinute", "Other"),
            usage=Usage(input_tokens=3, output_tokens=4),
        ),
        Attempt(
            number=2,
            started_at=START,
            seconds=1.0,
            prompt=Prompt(text="describe"),
            timeout_s=288.0,
            ended_run=StopReason.KEY_INVALID,
        ),
    )

    journal.record_one(deferred(a_job("a.png"), attempts=attempts), (), finished_at=START)

    assert journal.attempts("a.png", run_info().run_id) == attempts
    assert journal.usage_totals() == UsageTotals(calls=2, usage=Usage(input_tokens=3, output_tokens=4))


def test_text_that_is_no_unicode_is_kept_readable(journal: Journal) -> None:
    """A lone surrogate from a broken reply or an odd command line does not stop the record."""
    odd = replace(an_attempt(kind=ErrorKind.MALFORMED), prompt=Prompt(text="caf\udce9"), api_status="\ud83d")
    outcome = replace(
        failed(a_job("a.png"), ErrorKind.MALFORMED), detail="got '\ud83d'", prompt=odd.prompt, attempts=(odd,)
    )

    journal.record_one(outcome, (), finished_at=START)

    (row,) = journal.failures()
    assert (row.detail, row.prompt.text) == ("got '\\ud83d'", "caf\\udce9")


def test_a_deferral_without_a_call_hides_nothing(world: World, journal: Journal) -> None:
    """An image that the run did not reach keeps its outcome of an earlier run."""
    job = _jobs(world)[0]
    journal.record_one(failed(job, ErrorKind.TIMEOUT), (), finished_at=START)

    journal.record_one(deferred(job), (), finished_at=START)

    assert journal.tree_counts().real == OutcomeCounts(failed={ErrorKind.TIMEOUT: 1})


def test_a_failure_under_other_settings_leaves_the_standing_answer_known(world: World) -> None:
    """The earlier answer is still current and can still be copied under its own settings."""
    world.play_run()
    other = run_info(5, prompt="another")
    with world.open(other) as journal:
        artefacts = journal.find_replaced("a.png")
        journal.record_one(failed(_jobs(world)[0], ErrorKind.BLOCKED), (), finished_at=START)
        assert journal.find_replaced("a.png") == artefacts

    assert world.play_run().calls == []


def test_an_answer_that_was_not_kept_is_forgotten(world: World, journal: Journal) -> None:
    """If the earlier files were overwritten, no row says that they still exist."""
    job = _jobs(world)[0]
    world.finish(journal, run_info(), world.succeeded(job))
    changed = replace(job, size_bytes=4)
    world.put("a.png", b"new!")

    journal.record_one(world.succeeded(changed), (), finished_at=START)

    assert journal.find_answer(sha256_of(b"a.png")) is None


def test_dry_answers_give_way_to_real_ones(world: World) -> None:
    """The files of a dry answer are to be replaced, and afterwards only the real answer is known."""
    world.play_run(dry_run=True)
    with world.open(run_info(5)) as journal:
        job = _jobs(world)[0]
        assert [artefact.path for artefact in journal.find_replaced("a.png")] == [
            "successful/a.png_result.txt"
        ]
        assert journal.find_answer(sha256_of(b"a.png")) is None

        world.finish(journal, run_info(5), world.succeeded(job))

        assert journal.find_answer(sha256_of(b"a.png"))
        assert journal.tree_counts().dry.succeeded == 2


def test_a_reused_answer_counts_as_an_answer_without_a_call(world: World, journal: Journal) -> None:
    """Recorded as an outcome or as a copy, it is current under both names and paid once."""
    first, second, third = _jobs(world)
    world.finish(journal, run_info(), world.succeeded(first))
    answer = journal.find_answer(sha256_of(b"a.png"))
    assert answer
    copied = (replace(answer.artefacts[0], path="successful/b.png_result.txt"),)

    journal.record_one(Reused(job=second, answer=answer), copied, finished_at=START)
    journal.record_copy(third, answer, copied)

    assert journal.tree_counts().real.succeeded == 3
    assert journal.usage_totals().calls == 1
    assert journal.find_replaced("b.png") == copied


def test_adopting_is_idempotent_and_needs_proof(world: World) -> None:
    """Known answers cost no check of the tree; lines without their files are skipped."""
    world.play_run()
    missing = replace(
        world.ledger[0], key="gone.png", artefacts=(Artefact(path="x", size_bytes=1, sha256=""),)
    )
    nothing = replace(world.ledger[0], key="nothing.png", artefacts=())
    asked: list[str] = []

    def check_hash(artefact: Artefact) -> bool:
        asked.append(artefact.path)
        return world.has_expected_hash(artefact)

    with world.open(run_info(5)) as journal:
        assert journal.import_ledger([*world.ledger, missing, nothing], check_hash) == 0

    assert asked == ["x"]


def test_an_old_ledger_line_does_not_undo_a_later_failure(world: World) -> None:
    """An imported answer under other settings leaves a known failure as it is."""
    world.play_run()
    world.journal_path.unlink()
    today = run_info(5, prompt="another")
    with Journal.open(
        world.journal_path, run=today, is_present=world.is_present, utcnow=lambda: START
    ) as journal:
        for job in _jobs(world):
            outcome = failed(job, ErrorKind.BLOCKED, data=job.path.read_bytes())
            journal.record_one(outcome, (), finished_at=START + timedelta(days=5))

        assert journal.import_ledger(world.ledger, world.has_expected_hash) == 3
        plan = journal.plan(world.find_images(), selection=Selection(), hash_file=lambda _: "")

    assert plan.known_failures == {ErrorKind.BLOCKED: 3}


def test_the_later_of_two_proven_ledger_lines_counts(world: World) -> None:
    """Changed bytes may have the very same answer text: the line written last says whose it is."""
    world.play_run()
    later = replace(world.ledger[0], sha256="f" * 64, size_bytes=7)

    with world.open(run_info(5)) as journal:
        assert journal.import_ledger([*world.ledger, later], world.has_expected_hash) == 1

        assert journal.find_answer("f" * 64) == later
        assert journal.find_answer(world.ledger[0].sha256) is None


def test_where_wal_is_refused_the_journal_works_with_a_notice(tmp_path: Path) -> None:
    """On a file system without shared memory SQLite falls back to the safe rollback journal."""
    uri = f"{(tmp_path / 'journal.db').as_uri()}?vfs=unix-dotfile"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None)

    notices = prefer_wal(connection)

    assert "rollback journal" in notices[0]
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    connection.close()


def test_the_journal_survives_a_power_cut_by_its_settings(tmp_path: Path) -> None:
    """WAL mode: each commit is synced, except those between a run's begin and its end."""
    with World(tmp_path).open(run_info()) as journal:
        levels = journal._fetch_all("PRAGMA synchronous")
        journal.begin_run()
        levels += journal._fetch_all("PRAGMA synchronous")
        journal.end_run(exit_code=0, ended_at=START)
        levels += journal._fetch_all("PRAGMA synchronous")

        assert journal._fetch_all("PRAGMA journal_mode") == [("wal",)]
        assert levels == [(2,), (1,), (2,)]


def test_threads_record_while_the_jobs_are_handed_out(tmp_path: Path) -> None:
    """With eight threads, every job is handed out once, in order, and every outcome is recorded."""
    world = World(tmp_path)
    source = world.put("source.png", b"source")
    found = [a_job(f"{number:05}.png", path=source, size_bytes=number) for number in range(1500)]
    run = run_info()
    outcome = world.succeeded(found[0])
    threads = set()

    def record(shared: Journal, job: ImageJob) -> str:
        threads.add(threading.get_ident())
        sha256 = sha256_of(job.key.encode())
        answered = replace(outcome, job=job, content=replace(outcome.content, sha256=sha256))
        shared.record_one(answered, (), finished_at=START)
        shared.find_answer(sha256)
        return job.key

    with world.open(run) as shared, ThreadPoolExecutor(8) as pool:
        shared._connection.execute("PRAGMA synchronous = OFF")
        shared.begin_run()
        shared.plan(found, selection=Selection(), hash_file=lambda _: "")
        done = list(pool.map(partial(record, shared), shared.jobs()))
        counts = shared.tree_counts()

    assert done == [job.key for job in found]
    assert counts.real.succeeded == 1500
    assert len(threads) > 1


def test_planning_needs_no_more_memory_for_more_images(tmp_path: Path) -> None:
    """Ten times as many images, lazily found, do not raise the peak."""
    world = World(tmp_path)
    path = Path("/nowhere")
    peaks = []
    for images in (3_000, 30_000):
        with world.open(run_info()) as journal:
            found = (a_job(f"{number:06}.png", path=path, size_bytes=number) for number in range(images))
            gc.collect()  # what earlier tests left is no part of either peak
            tracemalloc.start()
            journal.plan(found, selection=Selection(), hash_file=lambda _: "")
            count = sum(1 for _ in journal.jobs())
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        assert count == images

    assert peaks[1] - peaks[0] < 27_000 * 10  # bytes for each further image: less than any trace of one


def test_a_closed_journal_says_so(world: World) -> None:
    """Closing twice is harmless; using it afterwards is our own kind of error."""
    journal = world.open(run_info())
    journal.close()
    journal.close()

    with pytest.raises(StorageError, match="closed"):
        journal.begin_run()


def test_a_writer_waits_for_a_reader_that_locks(world: World, journal: Journal) -> None:
    """Another process in a read transaction does not stop the run."""
    other = sqlite3.connect(world.journal_path, isolation_level=None)
    other.execute("BEGIN")
    other.execute("SELECT count(*) FROM images").fetchone()

    journal.record_one(failed(_jobs(world)[0], ErrorKind.EMPTY), (), finished_at=START)
    other.close()

    assert journal.tree_counts().real.failed == {ErrorKind.EMPTY: 1}
