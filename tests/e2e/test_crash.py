"""Rules of a SIGKILL at any point of a run: no answer lost, none paid twice, no file half written."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.checks import count_calls_by_image, find_proven
from tests.crash.launched import NO_FAULT, Launcher
from tests.crash.launcher import Fault as Crash
from tests.crash.points import (
    CONCURRENT,
    IMAGES,
    KILLED,
    PICTURE_MODEL,
    TEXT_MODEL,
    Scene,
    check_killed,
    sweep,
)
from tests.crash.rounds import play
from tests.emulator import Emulator, Fault, FaultPlan
from tests.support.cli import Finished, document, files_below
from tests.support.cli_cases import make_images

pytestmark = pytest.mark.e2e

INTERRUPTED = 130
SOME_FAILED = 3
ROUNDS = 6
STRIDE = 17
"""The suite tests every 17th point, ``make crash-test`` every one."""


def test_rounds_of_random_kills_lose_and_repeat_nothing() -> None:
    """Killed at random and started again until done: one right result each, calls within the promise."""
    totals = asyncio.run(play(ROUNDS, seed=1))

    assert not totals.failures, "\n".join(totals.failures)
    assert totals.kills >= ROUNDS / 2
    assert totals.calls <= totals.allowed


@pytest.mark.parametrize("model", [TEXT_MODEL, PICTURE_MODEL])
def test_a_kill_at_any_change_of_a_file_is_survived(tmp_path: Path, model: str) -> None:
    """Killed before any file operation or journal statement: the next run completes, nothing paid again."""
    points, failures = asyncio.run(sweep(tmp_path, "kill", check_killed, stride=STRIDE, model=model))

    assert points >= 7
    assert not failures, "\n\n".join(failures)


@pytest.mark.parametrize("act", ["kill", "full", "full once"])
@pytest.mark.parametrize("model", [TEXT_MODEL, PICTURE_MODEL])
def test_a_replaced_answer_is_never_lost(tmp_path: Path, act: str, model: str) -> None:
    """Killed, or with a full disk, at any point of a run with another prompt: going back costs no call."""

    async def replace_answers(scene: Scene, fault: Crash) -> None:
        await scene.run()
        answers = find_proven(scene.output)
        await scene.run(fault, prompt="list colours")
        before = len(scene.emulator.calls)
        done = await scene.run()
        assert (done.code, len(scene.emulator.calls) - before) == (0, 0), f"{fault}: {done.stderr}"
        assert find_proven(scene.output) >= answers, f"{fault}"

    async def story() -> None:
        with Launcher() as launcher:
            async with Emulator(latency_s=0.01) as emulator:
                scene = Scene(folder=tmp_path, emulator=emulator, launcher=launcher, model=model)
                await scene.run()
                await scene.run(prompt="list colours")
                for nth in range(1, launcher.points + 1, 2 * STRIDE):
                    scene = Scene(folder=tmp_path, emulator=emulator, launcher=launcher, model=model)
                    await replace_answers(scene, Crash(act=act, nth=nth))

    asyncio.run(story())


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    """The launcher of the program, for all tests of this file."""
    with Launcher() as launcher:
        yield launcher


async def _killed(launcher: Launcher, folder: Path, fault: Crash) -> tuple[set[str], int]:
    """Kill a run, start it again; return the answers proven at the kill, and the number of all calls."""
    async with Emulator(latency_s=0.01) as emulator:
        scene = Scene(folder=folder, emulator=emulator, launcher=launcher)
        done = await scene.run(fault)
        assert done.code == KILLED, done.stderr
        left = find_proven(scene.output)
        await scene.finish()
        return left, count_calls_by_image(emulator).total()


def test_between_ledger_line_and_artefact_the_answer_is_asked_for_again(
    launcher: Launcher, tmp_path: Path
) -> None:
    """A line without its files proves nothing: its image is sent once more, no other is."""
    left, calls = asyncio.run(
        _killed(launcher, tmp_path, Crash(act="kill", at="before storage.output.tree:OutputTree.put"))
    )

    assert not left
    assert IMAGES < calls <= IMAGES + CONCURRENT


@pytest.mark.parametrize("nth", range(1, IMAGES + 1))
def test_between_artefact_and_journal_row_the_answer_is_kept(
    launcher: Launcher, tmp_path: Path, nth: int
) -> None:
    """Line and files prove the answer without a row: it is imported and not sent again."""
    at = "before storage.journal.writes:write_outcome"
    left, calls = asyncio.run(_killed(launcher, tmp_path, Crash(act="kill", nth=nth, at=at)))

    assert len(left) >= nth
    assert calls <= 2 * IMAGES - len(left)


@pytest.mark.parametrize("nth", [1, 2, 5])
def test_a_kill_while_packing_leaves_no_half_archive(launcher: Launcher, tmp_path: Path, nth: int) -> None:
    """Killed in the middle of the archive: no half one is left, and the next run packs without a call."""
    left, calls = asyncio.run(
        _killed(launcher, tmp_path, Crash(act="kill", nth=nth, at="before utils.archives:_zip_entry"))
    )

    assert len(left) == IMAGES
    assert calls == IMAGES


def test_a_slow_disk_puts_no_more_answers_at_risk_than_calls_in_flight(
    launcher: Launcher, tmp_path: Path
) -> None:
    """Answers not written yet count as in flight: a kill repeats at most ``--max-concurrent`` calls."""
    fault = Crash(act="kill", at="before storage.output.ledger:Ledger.appending", slow_s=0.4)
    left, calls = asyncio.run(_killed(launcher, tmp_path, fault))

    assert not left
    assert calls <= IMAGES + CONCURRENT


@pytest.mark.parametrize(
    "at",
    [
        "before storage.output.ledger:Ledger.appending",
        "before storage.output.tree:OutputTree.put",
        "before storage.journal.writes:write_outcome",
    ],
)
def test_a_second_interrupt_while_answers_are_written_loses_and_repeats_none(
    launcher: Launcher, tmp_path: Path, at: str
) -> None:
    """Answers on their way to the disk are written and counted, and are not sent again."""

    async def scenario() -> None:
        async with Emulator(latency_s=0.01) as emulator:
            scene = Scene(folder=tmp_path, emulator=emulator, launcher=launcher)
            done = await scene.run(Crash(act="interrupt", at=at, slow_s=0.5))
            assert done.code == INTERRUPTED, done.stderr
            standing = find_proven(scene.output)
            assert standing
            assert document(scene.output, "processing_stats.json")["accounting"]["answered"] == len(standing)
            await scene.finish()

    asyncio.run(scenario())


def test_a_second_interrupt_loses_no_answer_that_waits_behind_an_earlier_failure(
    launcher: Launcher, tmp_path: Path
) -> None:
    """Failures that were held back are written before the answer that clears them; the answer is kept."""
    refused = make_images(tmp_path / "photos", 3)["photo000.png"]
    plan = FaultPlan(per_image={refused: [Fault.INVALID_ARGUMENT]})

    async def scenario() -> Finished:
        async with Emulator(plan=plan, latency_s=0.01) as emulator:
            return await launcher.run(
                *("--input-dir", tmp_path / "photos", "--output-dir", tmp_path / "out", "--prompt", "x"),
                *("--api-base-url", emulator.base_url, "--max-concurrent", "1"),
                fault=Crash(act="interrupt", at="before storage.output.tree:OutputTree.put", slow_s=0.5),
            )

    done = asyncio.run(scenario())

    assert done.code == INTERRUPTED, done.stderr
    accounting = document(tmp_path / "out", "processing_stats.json")["accounting"]
    assert (accounting["failed"], accounting["answered"]) == (1, len(find_proven(tmp_path / "out")))
    assert accounting["answered"] >= 1


def test_a_kill_between_an_answer_and_the_end_of_its_report_leaves_no_report(
    launcher: Launcher, tmp_path: Path
) -> None:
    """An image failed; the run that answers it is killed before the report goes: the next one removes it."""
    refused = make_images(tmp_path / "photos", 3)["photo000.png"]
    plan = FaultPlan(per_image={refused: [Fault.PROHIBITED_CONTENT]})
    fault = Crash(act="kill", at="before storage.output.tree:OutputTree.remove_report")

    async def scenario() -> list[int]:
        async with Emulator(plan=plan, latency_s=0.01) as emulator:
            arguments: list[str | Path] = [
                *("--input-dir", tmp_path / "photos", "--output-dir", tmp_path / "out", "--prompt", "x"),
                *("--api-base-url", emulator.base_url, "--retry-failed"),
            ]
            runs = [await launcher.run(*arguments, fault=one) for one in (NO_FAULT, fault, NO_FAULT)]
            assert emulator.answered(refused) == 1
            return [run.code for run in runs]

    assert asyncio.run(scenario()) == [SOME_FAILED, KILLED, 0]
    assert not files_below(tmp_path / "out" / "failed")
