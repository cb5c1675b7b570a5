"""Rules of disrupted runs: input that vanishes, a replaced output directory, a dead endpoint."""

import asyncio
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.emulator import Emulator
from tests.support.cli import Finished, document, files_below, finish, run_cli, start
from tests.support.cli_cases import PROMPT, make_images

pytestmark = pytest.mark.e2e


def arguments(folder: Path, url: str, *more: str | Path) -> list[str | Path]:
    """Return the arguments of a run over ``photos`` into ``out``, two at a time."""
    return [
        *("--input-dir", folder / "photos", "--prompt", PROMPT, "--output-dir", folder / "out"),
        *("--api-base-url", url, "--max-concurrent", "2", *more),
    ]


async def disturbed(folder: Path, emulator: Emulator, mishap: Callable[[], object]) -> Finished:
    """Run over the images and let the mishap happen while the third call is in flight."""
    process = await start(*arguments(folder, emulator.base_url))
    async with asyncio.timeout(60):
        await emulator.log.until_arrived(3)
    mishap()
    return await finish(process)


def test_images_that_were_gone_for_a_while_are_asked_about_later(tmp_path: Path) -> None:
    """A network share that is missing during a run fails its images for that run only, and says so."""
    make_images(tmp_path / "photos", 10)

    async def scenario() -> tuple[Finished, Finished, int]:
        async with Emulator(latency_s=0.3) as emulator:
            first = await disturbed(
                tmp_path, emulator, lambda: (tmp_path / "photos").rename(tmp_path / "away")
            )
            (tmp_path / "away").rename(tmp_path / "photos")
            second = await run_cli(*arguments(tmp_path, emulator.base_url))
            return first, second, len(emulator.calls)

    first, second, calls = asyncio.run(scenario())

    assert (first.code, second.code) == (3, 0)
    assert "file_unavailable" in first.stdout
    assert calls == 10
    assert len(files_below(tmp_path / "out" / "successful")) == 10
    assert not files_below(tmp_path / "out" / "failed")


def remove(folder: Path) -> None:
    """Remove a folder into which a run is writing, as ``rm -rf`` does when it is called until it is done."""
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize(
    "mishap",
    [remove, lambda out: out.rename(out.with_name("moved"))],
    ids=["removed", "moved"],
)
def test_a_run_does_not_go_on_in_another_output_directory(
    tmp_path: Path, mishap: Callable[[Path], object]
) -> None:
    """When the output directory is removed or moved the run stops with 1 and names what was lost."""
    make_images(tmp_path / "photos", 10)

    async def scenario() -> tuple[Finished, int]:
        async with Emulator(latency_s=0.3) as emulator:
            done = await disturbed(tmp_path, emulator, lambda: mishap(tmp_path / "out"))
            return done, len(emulator.calls)

    done, calls = asyncio.run(scenario())

    assert done.code == 1, done.stderr
    assert "removed, moved or unmounted" in done.stderr
    assert calls <= 6
    assert not files_below(tmp_path / "out") if (tmp_path / "out").exists() else True


def test_a_dead_endpoint_is_explained(tmp_path: Path) -> None:
    """If no server listens, the last line says what was tried and what to check, not only "later"."""
    make_images(tmp_path / "photos", 2)

    async def scenario() -> Finished:
        async with Emulator() as emulator:
            url = emulator.base_url
        return await run_cli(*arguments(tmp_path, url, "--max-retries", "0"))

    done = asyncio.run(scenario())

    assert done.code == 75
    assert "--api-base-url" in done.stderr.splitlines()[-1]
    assert "connect" in done.stderr.splitlines()[-1].lower()
    assert document(tmp_path / "out", "processing_stats.json")["deferred_because"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGUSR1, 0), (signal.SIGHUP, 0)])
def test_signals_while_waiting_for_the_lock(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """SIGTERM ends the wait with its own code and a line; the others do not kill."""
    make_images(tmp_path / "photos", 4)

    async def scenario() -> Finished:
        async with Emulator(latency_s=0.5) as emulator:
            first = await start(*arguments(tmp_path, emulator.base_url))
            async with asyncio.timeout(60):
                await emulator.log.until_arrived(1)
            second = await start(*arguments(tmp_path, emulator.base_url, "--wait-lock", "60", "-v"))
            assert second.stderr is not None
            await second.stderr.readline()  # it has begun, so it is waiting
            second.send_signal(number)
            done = await finish(second)
            await finish(first)
            return done

    done = asyncio.run(scenario())

    assert done.code == code, done.stderr
    assert number is not signal.SIGTERM or "SIGTERM" in done.stderr


def test_the_log_file_holds_the_end(tmp_path: Path) -> None:
    """The reason and the exit code are in the log file too, also if nothing is printed."""
    make_images(tmp_path / "photos", 1)

    async def scenario() -> Finished:
        async with Emulator() as emulator:
            more = ("--quiet", "--log-file", tmp_path / "run.log")
            return await run_cli(*arguments(tmp_path, emulator.base_url, *more))

    done = asyncio.run(scenario())

    assert (done.stdout, done.stderr) == ("", "")
    assert "exit code 0" in (tmp_path / "run.log").read_text(encoding="utf-8").splitlines()[-1]
