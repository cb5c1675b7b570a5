"""Rules of a lock whose file is removed or replaced: no image is paid for twice, and both runs say why."""

import asyncio
import errno
import json
import os
import signal
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.emulator import Emulator
from tests.support.cli import Finished, finish, run_cli, start
from tests.support.cli_cases import arguments, make_images, text_of, until_calls
from tests.support.faults import fault_environment

pytestmark = pytest.mark.e2e

IMAGES = 24
LOCK = ".gbp.lock"


def _remove(lock: Path) -> None:
    lock.unlink()


def _replace(lock: Path) -> None:
    lock.with_name("new").write_bytes(b"")
    lock.with_name("new").replace(lock)


def _remove_all_hidden(lock: Path) -> None:
    for path in lock.parent.glob(".gbp.lock*"):
        path.unlink()


async def _two_runs(
    folder: Path, emulator: Emulator, lose: Callable[[Path], None], env: dict[str, str] | None
) -> list[Finished]:
    """Start a run, lose its lock, start a second one, and one more when both have ended."""
    first = await start(*arguments(folder, emulator, "--max-concurrent", "4"), env=env)
    await until_calls(emulator, 5)
    lose(folder / "out" / (f"{LOCK}.soft" if env else LOCK))
    second = await run_cli(*arguments(folder, emulator), env=env)
    return [await finish(first), second, await run_cli(*arguments(folder, emulator), env=env)]


WITHOUT_LOCKS = fault_environment(flock=errno.ENOLCK, posix_lock=errno.ENOLCK)


@pytest.mark.parametrize(
    ("lose", "env"),
    [
        pytest.param(_remove, None, id="removed"),
        pytest.param(_replace, None, id="replaced"),
        pytest.param(_remove_all_hidden, None, id="all-removed"),
        pytest.param(_remove, WITHOUT_LOCKS, id="removed-without-locks"),
        pytest.param(_remove_all_hidden, WITHOUT_LOCKS, id="all-removed-without-locks"),
    ],
)
def test_a_lost_lock_costs_nothing(
    tmp_path: Path, lose: Callable[[Path], None], env: dict[str, str] | None
) -> None:
    """The first run stops with its answers kept; the second does not begin; the third asks for the rest."""
    make_images(tmp_path / "photos", IMAGES)

    async def scenario() -> tuple[list[Finished], Counter[str]]:
        async with Emulator(latency_s=1.0) as emulator:
            runs = await _two_runs(tmp_path, emulator, lose, env)
            return runs, Counter(call.image_sha256 for call in emulator.calls)

    (first, second, third), calls = asyncio.run(scenario())

    assert (first.code, third.code) == (11, 0), first.stderr + second.stderr + third.stderr
    # On a slow machine the first run has ended before the second one looks.
    assert second.code in {0, 11}, second.stderr
    assert second.code == 0 or "is written by process" in second.stderr
    assert "was removed or replaced during the run" in first.stderr
    assert "every answer that was paid for is kept" in first.stderr
    assert set(calls.values()) == {1}
    assert len(calls) == IMAGES


def _forge(out: Path, **changed: object) -> None:
    """Leave the journal of a run that has not ended, with another process."""
    with closing(sqlite3.connect(out / "metadata/journal.db", isolation_level=None)) as connection:
        ((process,),) = connection.execute("SELECT process FROM runs LIMIT 1").fetchall()
        record = json.dumps({**json.loads(process), **changed})
        connection.execute("UPDATE runs SET state = 'running', process = ?", (record,))


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({}, id="killed"),
        pytest.param({"pid": os.getpid()}, id="number-used-again"),
        pytest.param({"pid": os.getpid(), "boot": "0-0-0"}, id="rebooted"),
        pytest.param({"pid": os.getpid(), "machine": "another", "host": "another"}, id="another-machine"),
        pytest.param({"pid": os.getpid(), "namespace": "pid:[1]"}, id="another-container"),
        pytest.param({"pid": "many"}, id="no-number"),
        pytest.param({"start": ""}, id="unknown-start"),
    ],
)
def test_the_dead_hold_nothing(tmp_path: Path, changed: dict[str, object]) -> None:
    """A run that ended without a word keeps no other one from beginning, whatever has its number now."""
    make_images(tmp_path / "photos", 2)

    async def scenario() -> tuple[Finished, int]:
        async with Emulator() as emulator:
            await run_cli(*arguments(tmp_path, emulator))
            _forge(tmp_path / "out", **changed)
            return await run_cli(*arguments(tmp_path, emulator)), len(emulator.calls)

    again, calls = asyncio.run(scenario())

    assert (again.code, calls) == (0, 2), again.stderr


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGSTOP])
def test_only_the_living_keep_others_out(tmp_path: Path, signum: signal.Signals) -> None:
    """A killed run, not waited for by its parent, is dead; one that is only stopped is alive."""
    hashes = make_images(tmp_path / "photos", 12)

    async def scenario() -> tuple[Finished, Counter[str]]:
        async with Emulator(latency_s=0.2) as emulator:
            first = await start(*arguments(tmp_path, emulator, "--max-concurrent", "1"))
            await until_calls(emulator, 3)
            os.kill(first.pid, signum)
            (tmp_path / "out" / LOCK).unlink()
            second = await run_cli(*arguments(tmp_path, emulator))
            if signum == signal.SIGSTOP:
                first.kill()
            await first.communicate()
            return second, Counter(call.image_sha256 for call in emulator.calls)

    second, calls = asyncio.run(scenario())

    assert second.code == (0 if signum == signal.SIGKILL else 11), second.stderr
    assert ("is written by process" in second.stderr) == (signum == signal.SIGSTOP)
    assert sum(calls.values()) <= len(hashes) + 1
    if second.code == 0:
        assert all(text_of(tmp_path / "out", key) for key in hashes)
