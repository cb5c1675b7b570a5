"""Rules of a run for which the system has too few descriptors, from the start or for a while."""

import asyncio
import re
import resource
from pathlib import Path

import pytest

from tests.emulator import Emulator
from tests.support.cli import Finished, document, files_below, finish
from tests.support.cli_cases import arguments, make_images, until_calls
from tests.support.limits import lower_limit, run_limited, start_limited

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(
    ("soft", "hard", "most"),
    [
        pytest.param(40, 4_096, 60, id="the default of the system is low"),
        pytest.param(40, 40, 20, id="the administrator's limit is low"),
        pytest.param(16, 16, 6, id="hardly any"),
    ],
)
def test_few_descriptors_lose_no_answer(tmp_path: Path, soft: int, hard: int, most: int) -> None:
    """The soft limit is raised as far as needed; else fewer calls are in flight, which is said."""
    make_images(tmp_path / "photos", 60)

    async def scenario() -> tuple[Finished, Emulator]:
        async with Emulator(latency_s=0.3) as emulator:
            more = ("--max-concurrent", "60", "--rpm", "100000", "--max-retries", "0")
            limits = {resource.RLIMIT_NOFILE: (soft, hard)}
            return await run_limited(*arguments(tmp_path, emulator, *more), limits=limits), emulator

    done, emulator = asyncio.run(scenario())
    said = re.search(r"(\d+) calls at a time, not 60\. Next: raise the limit", done.stderr)

    assert done.code == 0, done.stderr
    assert len(emulator.calls) == len(files_below(tmp_path / "out" / "successful")) == 60
    assert emulator.max_in_flight <= most
    assert (said is not None) == (hard < 4_096)
    assert said is None or int(said[1]) <= most


def test_descriptors_that_are_missing_for_a_while_are_waited_for(tmp_path: Path) -> None:
    """No answer on its way is lost, no image fails, no call is repeated; it is said once."""
    make_images(tmp_path / "photos", 30)

    async def scenario() -> tuple[Finished, int]:
        async with Emulator(latency_s=0.5) as emulator:
            more = ("--max-concurrent", "4", "--max-retries", "0")
            process = await start_limited(*arguments(tmp_path, emulator, *more), limits={})
            await until_calls(emulator, 6)
            lower_limit(process.pid, resource.RLIMIT_NOFILE, 4)
            await asyncio.sleep(3.0)
            during = len(emulator.calls)
            lower_limit(process.pid, resource.RLIMIT_NOFILE, 1_024)
            done = await finish(process)
            assert len(emulator.calls) == 30
            return done, during

    done, during = asyncio.run(scenario())

    assert done.code == 0, done.stderr
    assert during < 20
    assert len(files_below(tmp_path / "out" / "successful")) == 30
    assert done.stderr.count("this is waited out") in {1, 2}
    assert document(tmp_path / "out", "processing_stats.json")["accounting"]["adds_up"]
