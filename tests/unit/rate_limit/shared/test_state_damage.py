"""Rules of rate_limit/shared/: a run goes on without the shared file, whatever is wrong with it."""

import contextlib
import random
import resource
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from rate_limit.shared import QuotaMemory, Scope
from tests.support.fakes import START
from tests.support.privileges import unprivileged_folder
from tests.support.shared_state_runs import BUSY, FOUND, RunSequence, list_warnings


@pytest.fixture
def runs(tmp_path: Path) -> RunSequence:
    """No run yet."""
    return RunSequence(tmp_path)


@contextlib.contextmanager
def limit_file_size(size_bytes: int) -> Iterator[None]:
    """Let no file of this process grow beyond so many bytes, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_without_a_home_directory_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A relative path comes from an unknown home directory; no folder called ~ is made."""
    monkeypatch.chdir(tmp_path)
    scope = Scope(fingerprint="0", model="m")
    memory = QuotaMemory(Path("~/pacing.db"), scope=scope, run_id="run", utcnow=lambda: START)

    memory.save(FOUND)

    assert list(tmp_path.iterdir()) == []
    assert len(list_warnings(caplog)) == 1


def is_usable_without_file(memory: QuotaMemory) -> bool:
    """Use every method of the memory; return whether it behaved as an empty one."""
    memory.save(FOUND)
    nothing = memory.load() is None and not memory.exchange(BUSY, 0.0)
    memory.deregister()
    return nothing


def test_a_folder_that_cannot_be_written_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """The run works without memory, with one warning however often it tries."""
    with unprivileged_folder() as folder:
        folder.chmod(0o500)
        memory = RunSequence(folder).new_memory()

        assert is_usable_without_file(memory)
        assert is_usable_without_file(memory)

    assert len(list_warnings(caplog)) == 1


def test_a_file_that_cannot_be_written_is_read_at_least(caplog: pytest.LogCaptureFixture) -> None:
    """No permission is no damage."""
    with unprivileged_folder() as folder:
        runs = RunSequence(folder)
        runs.new_memory().save(FOUND)
        runs.path.chmod(0o400)
        reader = runs.new_memory()

        assert reader.load() == FOUND
        assert reader.exchange(BUSY, 0.0) == ()
        reader.deregister()
        assert [path.name for path in runs.path.parent.iterdir()] == ["pacing.db"]

    assert len(list_warnings(caplog)) == 1


def test_something_else_in_its_place_is_left_alone(
    runs: RunSequence, caplog: pytest.LogCaptureFixture
) -> None:
    """A directory of that name stays as it is."""
    runs.path.mkdir(parents=True)

    assert is_usable_without_file(runs.new_memory())
    assert runs.path.is_dir()
    assert len(list_warnings(caplog)) == 1


def test_a_newer_format_is_left_alone(runs: RunSequence, caplog: pytest.LogCaptureFixture) -> None:
    """The newer program finds its memory as it was."""
    runs.new_memory().save(FOUND)
    with closing(sqlite3.connect(runs.path)) as connection:
        connection.execute("PRAGMA user_version = 2")
    before = runs.path.read_bytes()

    assert is_usable_without_file(runs.new_memory())
    assert runs.path.read_bytes() == before
    assert len(list_warnings(caplog)) == 1


def test_a_held_file_costs_a_turn_and_no_warning(runs: RunSequence, caplog: pytest.LogCaptureFixture) -> None:
    """After another program has released the file, all is as before."""
    memory = runs.new_memory()
    memory.save(FOUND)
    with closing(sqlite3.connect(runs.path)) as connection:
        connection.execute("BEGIN EXCLUSIVE")

        assert memory.load() is None
        assert memory.exchange(BUSY, 0.0) == ()
    assert memory.load() == FOUND
    assert list_warnings(caplog) == []


def test_a_full_disk_is_no_damage(runs: RunSequence, caplog: pytest.LogCaptureFixture) -> None:
    """What was known before stays known."""
    runs.new_memory().save(FOUND)
    writer = runs.new_memory()
    with limit_file_size(4096):
        heard = writer.exchange(BUSY, 0.0)

    assert heard == ()
    assert len(list_warnings(caplog)) == 1
    assert runs.new_memory().load() == FOUND
    assert [path.name for path in runs.path.parent.iterdir()] == ["pacing.db"]


@pytest.mark.parametrize("rubbish", [b"", b"x", b"not a database " * 700, bytes(8192)])
def test_rubbish_is_put_aside_and_a_fresh_memory_begins(
    runs: RunSequence, caplog: pytest.LogCaptureFixture, rubbish: bytes
) -> None:
    """The run that finds the damage keeps what it learned itself."""
    runs.path.parent.mkdir()
    runs.path.write_bytes(rubbish)
    memory = runs.new_memory()

    memory.save(FOUND)

    assert memory.load() == FOUND
    assert list_warnings(caplog) == []


def test_other_tables_are_put_aside(runs: RunSequence) -> None:
    """A database of another program is kept beside."""
    runs.path.parent.mkdir()
    with closing(sqlite3.connect(runs.path)) as connection:
        connection.executescript("CREATE TABLE learned (other); PRAGMA user_version = 1")

    runs.new_memory().save(FOUND)

    assert runs.new_memory().load() == FOUND
    assert runs.path.with_name("pacing.damaged.db").exists()


def test_no_damage_is_ever_in_the_way(runs: RunSequence, caplog: pytest.LogCaptureFixture) -> None:
    """With bytes flipped or cut off anywhere, all calls work, and two runs later the memory works, too."""
    rng = random.Random(7)
    writer = runs.new_memory()
    writer.save(FOUND)
    writer.exchange(replace(BUSY, paused_until_s=30.0, limits=FOUND), 0.0)
    sound = runs.path.read_bytes()
    for attempt in range(150):
        damaged = bytearray(sound)
        used = [at for at, byte in enumerate(sound) if byte]
        for at in rng.sample(used, rng.randint(1, 6)):
            damaged[at] = rng.randrange(256)
        runs.path.write_bytes(damaged if attempt % 3 else damaged[: rng.randrange(len(damaged))])

        is_usable_without_file(runs.new_memory())
        runs.advance_clock(days=31)
        last = runs.new_memory()
        last.save(FOUND)

        assert last.load() is not None
    assert [one for one in list_warnings(caplog) if "newer" not in one] == []


def test_calls_from_several_threads_take_turns(runs: RunSequence) -> None:
    """A call whose caller was cancelled goes on; it does not bring a run back that has left."""
    leaving, other = runs.new_memory(), runs.new_memory()
    leaving.exchange(BUSY, 0.0)
    threads = [threading.Thread(target=leaving.exchange, args=(BUSY, 0.0)) for _ in range(8)]
    for thread in threads:
        thread.start()
    leaving.deregister()
    for thread in threads:
        thread.join()

    assert [one.demand_rpm for one in other.exchange(BUSY, 0.0)] == [0.0]
