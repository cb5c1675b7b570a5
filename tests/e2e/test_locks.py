"""Rules of runs on shares without locks: they work, one at a time, and say what stands for the locks."""

import asyncio
import errno
import json
import signal
import socket
from itertools import product
from pathlib import Path

import pytest

from tests.emulator import Emulator
from tests.support.cli import Finished, files_below, finish, run_cli, start
from tests.support.cli_cases import arguments, make_images, until_calls
from tests.support.faults import fault_environment

pytestmark = pytest.mark.e2e

ERRORS = ("ENOTSUP", "ENOLCK", "ENOSYS", "EINVAL", "EACCES", "EAGAIN", "EIO", "EPERM", "EBADF")
NO_LOCKS = {"flock": errno.ENOLCK, "posix_lock": errno.ENOLCK}
MARKER = ".gbp.lock.soft"


@pytest.mark.parametrize(
    ("kinds", "name"),
    [*(product([("flock", "posix_lock")], ERRORS)), (("flock",), "ENOLCK"), (("posix_lock",), "EACCES")],
)
def test_a_run_on_a_share_without_locks(tmp_path: Path, kinds: tuple[str, ...], name: str) -> None:
    """Whatever error comes in place of a lock: a run answers, says so, and the next one asks nothing."""
    make_images(tmp_path / "photos", 2)
    env = fault_environment(**dict.fromkeys(kinds, getattr(errno, name)))

    async def scenario() -> tuple[Finished, Finished, Finished, int]:
        async with Emulator() as emulator:
            first = await run_cli(*arguments(tmp_path, emulator), env=env)
            status = await run_cli("--status", "--output-dir", tmp_path / "out", env=env, key=None)
            second = await run_cli(*arguments(tmp_path, emulator), env=env)
            return first, status, second, len(emulator.calls)

    first, status, second, calls = asyncio.run(scenario())

    assert (first.code, status.code, second.code, calls) == (0, 0, 0, 2), first.stderr + status.stderr
    assert "no locks" in first.stderr
    assert ("--no-lock" in first.stderr) == ("flock" in kinds)
    assert "2  answered" in status.stdout
    assert "Running      no" in status.stdout
    assert not (tmp_path / "out" / MARKER).exists()


def test_the_journal_is_whole_with_and_without_locks(tmp_path: Path) -> None:
    """A journal goes from a disk with locks to a share without, and back; nothing is asked again."""
    make_images(tmp_path / "photos", 3)
    without = fault_environment(**NO_LOCKS)

    async def scenario() -> tuple[list[Finished], int]:
        async with Emulator() as emulator:
            nights = [await run_cli(*arguments(tmp_path, emulator), env=env) for env in (None, without, None)]
            return nights, len(emulator.calls)

    nights, calls = asyncio.run(scenario())

    assert ([night.code for night in nights], calls) == ([0, 0, 0], 3)


def test_a_kill_on_a_share_without_locks_costs_the_calls_in_flight(tmp_path: Path) -> None:
    """After kill -9 the next run takes the lock over, finds the answers and asks for the others."""
    make_images(tmp_path / "photos", 40)
    env = fault_environment(**NO_LOCKS)

    async def scenario() -> tuple[Finished, Finished, int]:
        async with Emulator(latency_s=0.3) as emulator:
            process = await start(*arguments(tmp_path, emulator, "--max-concurrent", "2"), env=env)
            await until_calls(emulator, 5)
            second = await run_cli(*arguments(tmp_path, emulator), env=env)
            process.send_signal(signal.SIGKILL)
            await process.communicate()
            third = await run_cli(*arguments(tmp_path, emulator), env=env)
            return second, third, len(emulator.calls)

    second, third, calls = asyncio.run(scenario())

    assert (second.code, third.code) == (11, 0), second.stderr + third.stderr
    assert f"remove {tmp_path / 'out' / MARKER}, or use --no-lock" in second.stderr
    assert calls <= 42
    assert len(files_below(tmp_path / "out" / "successful")) == 40


def leave_lock_of_another_machine(output: Path) -> None:
    """Leave what a run leaves that was killed on another machine."""
    output.mkdir()
    record = {"pid": 4321, "host": "elsewhere", "started_at": "2026-11-23T22:00:00Z"}
    (output / MARKER).write_text("4321\nelsewhere\n")
    (output / ".gbp.lock.holder").write_text(json.dumps(record))


def test_a_killed_run_of_another_machine_is_told_from_and_left_out(tmp_path: Path) -> None:
    """Its lock cannot be checked: the run ends with 11 and the ways out, and each of them works."""
    assert socket.gethostname() != "elsewhere"
    make_images(tmp_path / "photos", 2)
    leave_lock_of_another_machine(tmp_path / "out")
    env = fault_environment(**NO_LOCKS)

    async def scenario() -> tuple[Finished, Finished, Finished, int]:
        async with Emulator() as emulator:
            refused = await run_cli(*arguments(tmp_path, emulator), env=env)
            calls = len(emulator.calls)
            forced = await run_cli(*arguments(tmp_path, emulator, "--no-lock"), env=env)
            (tmp_path / "out" / MARKER).unlink()
            return refused, forced, await run_cli(*arguments(tmp_path, emulator), env=env), calls

    refused, forced, free, calls = asyncio.run(scenario())

    assert (refused.code, forced.code, free.code, calls) == (11, 0, 0, 0)
    assert "process 4321 on elsewhere" in refused.stderr
    assert "--no-lock" in refused.stderr
    assert "pay for the same images twice" in forced.stderr


def test_no_lock_lets_a_second_run_in(tmp_path: Path) -> None:
    """The price of ``--no-lock`` is what its help says; two such runs leave a journal that can be used."""
    make_images(tmp_path / "photos", 6)

    async def scenario() -> tuple[Finished, Finished, Finished, int]:
        async with Emulator(latency_s=0.3) as emulator:
            process = await start(*arguments(tmp_path, emulator, "--no-lock", "--max-concurrent", "1"))
            await until_calls(emulator, 1)
            other = await run_cli(*arguments(tmp_path, emulator, "--no-lock"))
            first = await finish(process)
            calls = len(emulator.calls)
            return first, other, await run_cli(*arguments(tmp_path, emulator)), len(emulator.calls) - calls

    first, other, last, calls = asyncio.run(scenario())

    assert (first.code, other.code, last.code, calls) == (0, 0, 0, 0), first.stderr + other.stderr


def test_the_state_directory_on_a_share_without_locks_is_left_out(tmp_path: Path) -> None:
    """What runs share on a key is not written without locks; the run says so and names another way."""
    make_images(tmp_path / "photos", 1)
    (tmp_path / "state").mkdir()
    env = fault_environment(posix_lock=errno.ENOLCK)

    async def scenario() -> Finished:
        async with Emulator() as emulator:
            return await run_cli(*arguments(tmp_path, emulator, "--state-dir", tmp_path / "state"), env=env)

    done = asyncio.run(scenario())

    assert done.code == 0
    assert "--state-dir names another place" in done.stderr
    assert not (tmp_path / "state/pacing.db").exists()
