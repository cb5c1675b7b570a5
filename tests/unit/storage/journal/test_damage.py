"""Rules of a damaged, cut or foreign journal: no answer is lost, and none is paid twice."""

import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from errors import ErrorKind, StorageError, UsageError
from storage.journal.journal import Journal
from storage.journal.reader import JournalReader
from tests.support.journal_harness import START, World, run_info

IMAGES = 20


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Runs with answered and failed images; tests work on copies of their journal."""
    world = World(tmp_path_factory.mktemp("sound"))
    for number in range(IMAGES):
        world.put(f"folder {number % 3}/image {number}.png", f"bytes {number}".encode())
    world.endings["folder 1/image 1.png"] = ErrorKind.BLOCKED
    world.play_run()
    return world


@pytest.fixture
def world(sound: World, tmp_path: Path) -> World:
    """A copy of the undamaged output, ready to be damaged."""
    copy = World(tmp_path)
    shutil.copytree(sound.images, copy.images, dirs_exist_ok=True)
    shutil.copytree(sound.output, copy.output)
    copy.ledger, copy.runs_played = list(sound.ledger), sound.runs_played
    return copy


def _flip(path: Path, positions: list[int], rng: random.Random) -> None:
    data = bytearray(path.read_bytes())
    for position in positions:
        data[position] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _cut_by_a_page(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4096])


def _cut_to_the_header(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def _garbage(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(path.stat().st_size))


def _zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def _foreign(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE somebody (elses)")
    connection.close()


def _other_tables(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("DROP INDEX answers_by_size")
    connection.close()


def _wipe_a_page(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:8192] + bytes(4096) + data[12288:])


@pytest.mark.parametrize(
    "damage",
    [
        _empty,
        _cut_in_half,
        _cut_by_a_page,
        _cut_to_the_header,
        _garbage,
        _zeros,
        _foreign,
        _other_tables,
        _wipe_a_page,
    ],
)
def test_a_damaged_journal_is_put_aside_and_rebuilt(world: World, damage: Callable[[Path], None]) -> None:
    """With any damage, the file is kept under another name and no answer is paid again."""
    damage(world.journal_path)
    damaged = world.journal_path.read_bytes()

    with world.open(run_info(5)) as journal:
        assert journal.was_rebuilt
        (notice,) = journal.notices

    aside = world.journal_path.with_name("journal.damaged-20261123T220000Z.db")
    assert aside.name in notice
    assert aside.read_bytes() == damaged
    played = world.play_run()
    assert played.calls == ["folder 1/image 1.png"]
    assert played.plan.answered == IMAGES - 1


def test_two_damages_in_one_second_keep_both_files(world: World) -> None:
    """A file that is moved aside never overwrites another one."""
    for _ in range(2):
        _garbage(world.journal_path)
        world.open(run_info(5)).close()

    assert len(list(world.journal_path.parent.glob("journal.damaged-*.db"))) == 2


@pytest.mark.parametrize("seed", range(20))
def test_flipped_bits_never_cost_a_call(world: World, seed: int) -> None:
    """Up to four flipped bits anywhere in the file: no crash, and no answered image is sent."""
    rng = random.Random(seed)
    size = world.journal_path.stat().st_size
    _flip(world.journal_path, [rng.randrange(size) for _ in range(rng.choice([1, 2, 4]))], rng)

    try:
        played = world.play_run()
    except UsageError:
        assert int.from_bytes(world.journal_path.read_bytes()[60:64], "big") > 1
        return

    assert set(played.calls) <= {"folder 1/image 1.png"}
    with JournalReader.read_only(world.journal_path) as reader:
        list(reader.failures())
        list(reader.prompt_chains())
        reader.runs()
        reader.usage_totals()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.1, 0.37, 0.62, 0.9, 0.99, 0.9999])
def test_a_cut_file_never_costs_a_call(world: World, share: float) -> None:
    """A file cut at any length, in whole pages or not: no answered image is sent."""
    data = world.journal_path.read_bytes()
    world.journal_path.write_bytes(data[: int(len(data) * share)])

    assert set(world.play_run().calls) <= {"folder 1/image 1.png"}


@pytest.mark.parametrize("position", [*range(16, 24), 28, 40, 44, 47, 52, 56, 59, 60, 62, 68, 100, 103, 105])
def test_a_flipped_bit_in_the_header_never_costs_a_call(world: World, position: int) -> None:
    """The header decides how everything else is read: each of its fields may be wrong."""
    _flip(world.journal_path, [position], random.Random(3))

    try:
        played = world.play_run()
    except UsageError:
        assert position in range(60, 64)
        return

    assert set(played.calls) <= {"folder 1/image 1.png"}


@pytest.mark.parametrize("column", ["key", "sha256", "fingerprint", "artefacts", "size", "standing"])
def test_a_wrong_value_in_an_answer_is_noticed(world: World, column: str) -> None:
    """A value that changed inside a sound page breaks the answer's seal."""
    with sqlite3.connect(world.journal_path) as connection:
        new = "0" if column in {"size", "standing"} else f"replace({column}, '1', 'x')"
        connection.execute(f"UPDATE answers SET {column} = {new} WHERE key LIKE '%1%'")  # noqa: S608
    connection.close()

    with world.open(run_info(5)) as journal:
        assert journal.was_rebuilt

    assert world.play_run().calls == ["folder 1/image 1.png"]


def test_a_newer_journal_is_left_alone(world: World) -> None:
    """A newer version's file is rejected with a message that says what to do, and not one byte changes."""
    with sqlite3.connect(world.journal_path) as connection:
        connection.execute("PRAGMA user_version = 7")
    connection.close()
    before = world.journal_path.read_bytes()

    with pytest.raises(UsageError, match=r"format 7.* up to 5.*newer version"):
        world.open(run_info(5))
    with pytest.raises(UsageError, match="format 7"):
        JournalReader.read_only(world.journal_path)

    assert world.journal_path.read_bytes() == before
    assert [path.name for path in world.journal_path.parent.glob("journal*")] == ["journal.db"]


def test_a_deleted_journal_is_rebuilt_from_the_ledger(world: World) -> None:
    """Without any file at all the ledger proves what the tree holds."""
    world.journal_path.unlink()

    assert world.play_run().calls == ["folder 1/image 1.png"]


def test_a_side_file_without_its_main_file_is_put_aside(world: World) -> None:
    """The changes of a lost file are never applied to a fresh one."""
    world.journal_path.unlink()
    side = world.journal_path.with_name("journal.db-wal")
    side.write_bytes(b"changes to a file that is gone")

    with world.open(run_info(5)) as journal:
        assert journal.was_rebuilt

    assert [path.name for path in side.parent.glob("*-wal")] == ["journal.damaged-20261123T220000Z.db-wal"]


@pytest.mark.parametrize("obstacle", ["a directory", "a file for a parent"])
def test_a_path_that_cannot_be_a_journal_is_a_storage_error(tmp_path: Path, obstacle: str) -> None:
    """An output directory that cannot hold the file gives a clear message, and no file is moved aside."""
    path = tmp_path / "metadata" / "journal.db"
    if obstacle == "a directory":
        path.mkdir(parents=True)
    else:
        path.parent.write_text("in the way")

    with pytest.raises(StorageError, match=r"journal\.db cannot be opened"):
        Journal.open(path, run=run_info(), is_present=lambda _: True, utcnow=lambda: START)


@pytest.mark.parametrize("damage", [_empty, _cut_in_half, _garbage])
def test_a_reader_of_a_damaged_journal_is_told_so(world: World, damage: Callable[[Path], None]) -> None:
    """``--status`` neither repairs nor crashes."""
    damage(world.journal_path)

    with pytest.raises(StorageError, match=r"journal\.db"):
        JournalReader.read_only(world.journal_path).close()
