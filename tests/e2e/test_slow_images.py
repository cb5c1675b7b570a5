"""Rules of images that hold a program: bounded in time, no other image waits, and two signals end the run."""

import asyncio
import signal
from pathlib import Path

import pytest

from tests.emulator import Emulator
from tests.support.cli import Finished, document, files_below, finish, run_cli, start
from tests.support.cli_cases import arguments, make_images
from tests.support.faults import fault_environment
from tests.support.slow_images import SLOW_IMAGES

pytestmark = pytest.mark.e2e

GRACE_S = 1.0


@pytest.mark.parametrize("name", ["scans.jpg", "chunks.png", "pages.tiff", "tags.tiff", "blocks.gif"])
def test_an_image_of_countless_parts_is_done_in_seconds(tmp_path: Path, name: str) -> None:
    """It is counted before it is decoded: sent, or refused with a sentence, while the others are answered."""
    make_images(tmp_path / "photos", 4)
    (tmp_path / "photos" / name).write_bytes(SLOW_IMAGES[name]())

    async def scenario() -> Finished:
        async with Emulator() as emulator, asyncio.timeout(30):
            return await run_cli(*arguments(tmp_path, emulator))

    done = asyncio.run(scenario())
    failures = document(tmp_path / "out", "error_analysis.json")["failures"]

    assert done.code == (3 if failures else 0), done.stderr
    assert "Traceback" not in done.stderr
    assert [row["key"] for row in failures] == ([name] if name == "scans.jpg" else [])
    assert len(files_below(tmp_path / "out" / "successful")) == 5 - len(failures)
    assert all("10,001 scans" in row["detail"] for row in failures)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("name", ["layers.jp2", "runs.bmp"])
def test_two_signals_end_a_run_whose_decoder_works(tmp_path: Path, name: str, number: signal.Signals) -> None:
    """Within the grace and two seconds the process is gone, with the right code and documents."""
    make_images(tmp_path / "photos", 2)
    (tmp_path / "photos" / name).write_bytes(SLOW_IMAGES[name]())

    async def scenario() -> tuple[Finished, float]:
        async with Emulator() as emulator:
            process = await start(*arguments(tmp_path, emulator, "--grace", f"{GRACE_S:.0f}s"))
            async with asyncio.timeout(30):
                await emulator.log.until_arrived(2)
            await asyncio.sleep(1.0)
            clock = asyncio.get_running_loop().time
            began_s = clock()
            process.send_signal(number)
            await asyncio.sleep(0.2)
            process.send_signal(number)
            return await finish(process), clock() - began_s

    done, seconds = asyncio.run(scenario())

    assert done.code == (130 if number is signal.SIGINT else 143), done.stderr
    assert seconds < GRACE_S + 2.2
    assert document(tmp_path / "out", "processing_stats.json")["accounting"]["adds_up"]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_two_signals_end_a_run_whose_disk_hangs(tmp_path: Path, number: signal.Signals) -> None:
    """What cannot be ended is left: the lock is free, what stands is kept, and the next run does the rest."""
    make_images(tmp_path / "photos", 3)
    env = fault_environment(hang_sync=60)

    async def scenario() -> tuple[Finished, float, Finished]:
        async with Emulator() as emulator:
            process = await start(*arguments(tmp_path, emulator, "--grace", f"{GRACE_S:.0f}s"), env=env)
            async with asyncio.timeout(30):
                await emulator.log.until_arrived(3)
            await asyncio.sleep(1.0)
            clock = asyncio.get_running_loop().time
            began_s = clock()
            process.send_signal(number)
            await asyncio.sleep(0.2)
            process.send_signal(number)
            first = await finish(process)
            seconds = clock() - began_s
            return first, seconds, await run_cli(*arguments(tmp_path, emulator))

    first, seconds, second = asyncio.run(scenario())

    assert first.code == (130 if number is signal.SIGINT else 143), first.stderr
    assert seconds < GRACE_S + 2.2
    assert "did not end in time" in first.stderr.splitlines()[-1]
    assert second.code == 0, second.stderr
    assert len(files_below(tmp_path / "out" / "successful")) == 3
