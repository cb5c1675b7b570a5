"""Rules of the real program with a damaged journal: no answer is lost or paid twice."""

import asyncio
import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.crash.checks import check_finished
from tests.crash.launched import Launcher
from tests.crash.launcher import Fault
from tests.crash.points import KILLED, Scene
from tests.emulator import Emulator
from tests.support.cli import files_below

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    """The launcher of the program, for all tests of this file."""
    with Launcher() as launcher:
        yield launcher


def _flip(journal: Path) -> None:
    rng, data = random.Random(5), bytearray(journal.read_bytes())
    for _ in range(40):
        data[rng.randrange(100, len(data))] ^= 1 << rng.randrange(8)
    journal.write_bytes(data)


def _cut(journal: Path) -> None:
    journal.write_bytes(journal.read_bytes()[: journal.stat().st_size // 3])


def _empty(journal: Path) -> None:
    journal.write_bytes(b"")


def _remove(journal: Path) -> None:
    journal.unlink()


def _newer(journal: Path) -> None:
    with closing(sqlite3.connect(journal)) as connection:
        connection.execute("PRAGMA user_version = 7")


Story = Callable[[Scene], None]


def _journal(scene: Scene) -> Path:
    return scene.output / "metadata" / "journal.db"


@pytest.mark.parametrize("damage", [_flip, _cut, _empty, _remove])
def test_no_answer_is_lost_or_bought_again(
    launcher: Launcher, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    """Any damage: a message, the file is moved aside, and the next run makes no call."""

    async def scenario() -> None:
        async with Emulator() as emulator:
            scene = Scene(folder=tmp_path, emulator=emulator, launcher=launcher)
            await scene.run()
            before = files_below(scene.output / "successful")
            calls = len(emulator.calls)
            damage(_journal(scene))
            done = await scene.run()
            assert done.code == 0, done.stderr
            assert "Traceback" not in done.stderr
            if damage is not _remove:
                assert "was put aside as journal.damaged-" in done.stderr
            assert "were found in the output directory" in done.stderr
            assert len(emulator.calls) == calls
            assert files_below(scene.output / "successful") == before
            check_finished(scene.output, scene.hashes)

    asyncio.run(scenario())


def test_a_journal_of_a_newer_version_is_left_alone(launcher: Launcher, tmp_path: Path) -> None:
    """A newer schema: exit code 2 with a clear message, not a byte changed, no call."""

    async def scenario() -> None:
        async with Emulator() as emulator:
            scene = Scene(folder=tmp_path, emulator=emulator, launcher=launcher)
            await scene.run()
            _newer(_journal(scene))
            before, calls = _journal(scene).read_bytes(), len(emulator.calls)
            done = await scene.run()
            assert (done.code, len(emulator.calls)) == (2, calls)
            assert "newer version" in done.stderr.splitlines()[-1]
            assert _journal(scene).read_bytes() == before

    asyncio.run(scenario())


def _lose_the_journal(scene: Scene) -> None:
    _empty(_journal(scene))


def _change_nothing(_: Scene) -> None:
    pass


@pytest.mark.parametrize("damage", [_lose_the_journal, _change_nothing])
def test_answers_in_the_history_serve_again_all_the_same(
    launcher: Launcher, tmp_path: Path, damage: Story
) -> None:
    """Back to the first prompt after the journal was lost: its answers are not paid again."""

    async def scenario() -> None:
        async with Emulator() as emulator:
            scene = Scene(folder=tmp_path, emulator=emulator, launcher=launcher)
            await scene.run()
            await scene.run(prompt="list the colours")
            calls = len(emulator.calls)
            damage(scene)
            done = await scene.run()
            assert done.code == 0, done.stderr
            assert len(emulator.calls) == calls
            check_finished(scene.output, scene.hashes)

    asyncio.run(scenario())


def test_a_kill_while_an_answer_is_replaced_forgets_neither(launcher: Launcher, tmp_path: Path) -> None:
    """Killed before the row of a new answer: the replaced one still counts as paid."""

    async def scenario() -> None:
        async with Emulator() as emulator:
            scene = Scene(folder=tmp_path, emulator=emulator, launcher=launcher)
            await scene.run()
            fault = Fault(act="kill", at="before storage.journal.journal:Journal.record")
            killed = await scene.run(fault, prompt="list the colours")
            assert killed.code == KILLED
            calls = len(emulator.calls)
            assert (await scene.run()).code == 0
            assert len(emulator.calls) == calls
            check_finished(scene.output, scene.hashes)

    asyncio.run(scenario())
