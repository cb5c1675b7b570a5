"""Rules of a run for which the system has too few descriptors, from the start or for a while."""

import asyncio
import re
import resource
from pathlib import Path

import pytest

from tests.emulator import Emulator
from tests.support.cli import Finished, document, files_below, finish
from tests.support.cli_cases import arguments, make_images, until_calls
from tests.support.limits import lower_limit, run_limited, start_limited, unprivileged_user

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


async def limited_then_free(folder: Path, limits: dict[int, int], user: int) -> tuple[Finished, int, int]:
    """Run under limits, then without; return the first run, its calls, and the calls of both."""
    async with Emulator(latency_s=0.1) as emulator:
        first = await run_limited(*arguments(folder, emulator), limits=limits, user=user, within_s=60)
        calls = len(emulator.calls)
        second = await run_limited(*arguments(folder, emulator), limits={})
        assert second.code == 0, second.stderr
        return first, calls, len(emulator.calls)


@pytest.mark.parametrize("processes", [1, 2, 3, 4, 5, 6, 12])
def test_threads_that_cannot_start_end_the_run_before_it_pays(tmp_path: Path, processes: int) -> None:
    """With too few processes allowed nothing is asked, and one sentence says why; nothing hangs."""
    make_images(tmp_path / "photos", 8)
    user, limits = unprivileged_user(), {resource.RLIMIT_NPROC: processes}

    first, calls, all_calls = asyncio.run(limited_then_free(tmp_path, limits, user))

    assert (first.code, calls) in {(0, 8), (1, 0)}, first.stderr
    if processes in {1, 2, 3, 12}:  # between them it depends on how many of its threads have ended by then
        assert (first.code == 0) == (processes == 12)
    assert first.code == 0 or "too few threads" in first.stderr.splitlines()[-1]
    assert "Traceback" not in first.stderr
    assert all_calls == 8


@pytest.mark.parametrize("megabytes", [70, 90, 100, 110, 120, 130, 140, 150, 250])
def test_memory_that_does_not_suffice_costs_no_answer(tmp_path: Path, megabytes: int) -> None:
    """A call is made only when its answer can be kept; too little memory ends the run with a sentence."""
    make_images(tmp_path / "photos", 8)

    first, calls, all_calls = asyncio.run(
        limited_then_free(tmp_path, {resource.RLIMIT_AS: megabytes * 1_000_000}, 0)
    )

    assert first.code in {0, 1}, first.stderr
    assert first.code == 0 or "there is not enough memory" in first.stderr.splitlines()[-1]
    assert first.code == 1 or calls == 8
    assert "Traceback" not in first.stderr
    assert all_calls == 8
