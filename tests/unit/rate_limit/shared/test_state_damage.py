"""Can the memory of the quota, whatever is wrong with it, ever be in the way of a run?"""

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
from tests.support.shared_state_runs import BUSY, FOUND, Nights, warnings


@pytest.fixture
def nights(tmp_path: Path) -> Nights:
    """No run yet."""
    return Nights(tmp_path)


@contextlib.contextmanager
def no_file_longer_than(size_bytes: int) -> Iterator[None]:
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
    """A relative path comes from a home that is not known: a folder called ~ helps nobody."""
    monkeypatch.chdir(tmp_path)
    scope = Scope(fingerprint="0", model="m")
    memory = QuotaMemory(Path("~/pacing.db"), scope=scope, run_id="run", utcnow=lambda: START)

    memory.save(FOUND)

    assert list(tmp_path.iterdir()) == []
    assert len(warnings(caplog)) == 1


def works_without(memory: QuotaMemory) -> bool:
    """Use everything the memory can do; tell whether it behaved as one that knows nothing."""
    memory.save(FOUND)
    nothing = memory.load() is None and not memory.meet(BUSY, 0.0)
    memory.leave()
    return nothing


def test_a_folder_that_cannot_be_written_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """The run works without memory, with one warning however often it tries."""
    with unprivileged_folder() as folder:
        folder.chmod(0o500)
        memory = Nights(folder).run()

        assert works_without(memory)
        assert works_without(memory)

    assert len(warnings(caplog)) == 1


def test_a_file_that_cannot_be_written_is_read_at_least(caplog: pytest.LogCaptureFixture) -> None:
    """No permission is no damage."""
    with unprivileged_folder() as folder:
        nights = Nights(folder)
        nights.run().save(FOUND)
        nights.path.chmod(0o400)
        reader = nights.run()

        assert reader.load() == FOUND
        assert reader.meet(BUSY, 0.0) == ()
        reader.leave()
        assert [path.name for path in nights.path.parent.iterdir()] == ["pacing.db"]

    assert len(warnings(caplog)) == 1


def test_something_else_in_its_place_is_left_alone(nights: Nights, caplog: pytest.LogCaptureFixture) -> None:
    """A directory of that name is somebody's."""
    nights.path.mkdir(parents=True)

    assert works_without(nights.run())
    assert nights.path.is_dir()
    assert len(warnings(caplog)) == 1


def test_a_newer_format_is_left_alone(nights: Nights, caplog: pytest.LogCaptureFixture) -> None:
    """The newer program finds its memory as it was."""
    nights.run().save(FOUND)
    with closing(sqlite3.connect(nights.path)) as connection:
        connection.execute("PRAGMA user_version = 2")
    before = nights.path.read_bytes()

    assert works_without(nights.run())
    assert nights.path.read_bytes() == before
    assert len(warnings(caplog)) == 1


def test_a_held_file_costs_a_turn_and_no_warning(nights: Nights, caplog: pytest.LogCaptureFixture) -> None:
    """What holds it lets it go again, and then all is as before."""
    memory = nights.run()
    memory.save(FOUND)
    with closing(sqlite3.connect(nights.path)) as connection:
        connection.execute("BEGIN EXCLUSIVE")

        assert memory.load() is None
        assert memory.meet(BUSY, 0.0) == ()
    assert memory.load() == FOUND
    assert warnings(caplog) == []


def test_a_full_disk_is_no_damage(nights: Nights, caplog: pytest.LogCaptureFixture) -> None:
    """What was known before stays known."""
    nights.run().save(FOUND)
    writer = nights.run()
    with no_file_longer_than(4096):
        heard = writer.meet(BUSY, 0.0)

    assert heard == ()
    assert len(warnings(caplog)) == 1
    assert nights.run().load() == FOUND
    assert [path.name for path in nights.path.parent.iterdir()] == ["pacing.db"]


@pytest.mark.parametrize("rubbish", [b"", b"x", b"not a database " * 700, bytes(8192)])
def test_rubbish_is_put_aside_and_a_fresh_memory_begins(
    nights: Nights, caplog: pytest.LogCaptureFixture, rubbish: bytes
) -> None:
    """The run that meets it does not lose its own night's knowledge."""
    nights.path.parent.mkdir()
    nights.path.write_bytes(rubbish)
    memory = nights.run()

    memory.save(FOUND)

    assert memory.load() == FOUND
    assert warnings(caplog) == []


def test_other_tables_are_put_aside(nights: Nights) -> None:
    """A database of somebody else is kept beside."""
    nights.path.parent.mkdir()
    with closing(sqlite3.connect(nights.path)) as connection:
        connection.executescript("CREATE TABLE learned (other); PRAGMA user_version = 1")

    nights.run().save(FOUND)

    assert nights.run().load() == FOUND
    assert nights.path.with_name("pacing.damaged.db").exists()


def test_no_damage_is_ever_in_the_way(nights: Nights, caplog: pytest.LogCaptureFixture) -> None:
    """With bytes flipped or cut off anywhere, all calls work, and two nights later so does the memory."""
    rng = random.Random(7)
    writer = nights.run()
    writer.save(FOUND)
    writer.meet(replace(BUSY, paused_until_s=30.0, limits=FOUND), 0.0)
    sound = nights.path.read_bytes()
    for attempt in range(150):
        damaged = bytearray(sound)
        used = [at for at, byte in enumerate(sound) if byte]
        for at in rng.sample(used, rng.randint(1, 6)):
            damaged[at] = rng.randrange(256)
        nights.path.write_bytes(damaged if attempt % 3 else damaged[: rng.randrange(len(damaged))])

        works_without(nights.run())
        nights.later(days=31)
        last = nights.run()
        last.save(FOUND)

        assert last.load() is not None
    assert [one for one in warnings(caplog) if "newer" not in one] == []


def test_calls_from_several_threads_take_turns(nights: Nights) -> None:
    """A call whose caller was cancelled goes on; it does not bring a run back that has left."""
    leaving, other = nights.run(), nights.run()
    leaving.meet(BUSY, 0.0)
    threads = [threading.Thread(target=leaving.meet, args=(BUSY, 0.0)) for _ in range(8)]
    for thread in threads:
        thread.start()
    leaving.leave()
    for thread in threads:
        thread.join()

    assert [one.demand_rpm for one in other.meet(BUSY, 0.0)] == [0.0]
