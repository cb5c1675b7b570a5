"""Rules of unattended runs of the real program: locks, signals, pings, exit codes, output."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest
from aiohttp import web

from tests.emulator import Emulator, Fault, FaultPlan
from tests.support.cli import MAIN, Finished, document, files_below, finish, run_cli, start
from tests.support.cli_cases import PROMPT, arguments, make_images, until_calls

pytestmark = pytest.mark.e2e


def test_a_second_run_makes_no_call(tmp_path: Path) -> None:
    """Two runs at once: as many calls as images; the second says who holds the directory and exits 11."""
    make_images(tmp_path / "photos", 20)

    async def scenario() -> tuple[Finished, Finished, Emulator]:
        async with Emulator(latency_s=0.3) as emulator:
            first = await start(*arguments(tmp_path, emulator, "--max-concurrent", "2"))
            await until_calls(emulator, 1)
            second = await run_cli(*arguments(tmp_path, emulator))
            return await finish(first), second, emulator

    first, second, emulator = asyncio.run(scenario())

    assert (first.code, second.code) == (0, 11)
    assert len(emulator.calls) == 20
    assert "process" in second.stderr
    assert "--wait-lock" in second.stderr


def test_a_second_run_can_wait(tmp_path: Path) -> None:
    """With ``--wait-lock`` the second run waits for the first, and finds everything done."""
    make_images(tmp_path / "photos", 6)

    async def scenario() -> tuple[Finished, Finished, Emulator]:
        async with Emulator(latency_s=0.2) as emulator:
            first = await start(*arguments(tmp_path, emulator, "--max-concurrent", "2"))
            await until_calls(emulator, 1)
            second = await run_cli(*arguments(tmp_path, emulator, "--wait-lock", "60"))
            return await finish(first), second, emulator

    first, second, emulator = asyncio.run(scenario())

    assert (first.code, second.code) == (0, 0)
    assert len(emulator.calls) == 6
    assert "nothing new" in second.stderr.lower()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_lets_paid_calls_finish(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """The first signal takes no new work; calls in flight are kept, metadata is written, the rest is left."""
    make_images(tmp_path / "photos", 12)

    async def scenario() -> tuple[Finished, Finished, Emulator, int]:
        async with Emulator(latency_s=1.0) as emulator:
            process = await start(*arguments(tmp_path, emulator, "--max-concurrent", "3"))
            await until_calls(emulator, 3)
            process.send_signal(number)
            stopped = await finish(process)
            calls = len(emulator.calls)
            return stopped, await run_cli(*arguments(tmp_path, emulator)), emulator, calls

    stopped, resumed, emulator, calls = asyncio.run(scenario())

    assert stopped.code == code, stopped.stderr
    assert calls == 3
    assert resumed.code == 0, resumed.stderr
    assert len(emulator.calls) == 12
    assert len(files_below(tmp_path / "out" / "successful")) == 12


def test_a_second_signal_cancels_now(tmp_path: Path) -> None:
    """The second signal does not wait for calls in flight; what is written stays consistent."""
    make_images(tmp_path / "photos", 4)

    async def scenario() -> Finished:
        async with Emulator(latency_s=30.0) as emulator:
            process = await start(*arguments(tmp_path, emulator))
            await until_calls(emulator, 4)
            process.send_signal(signal.SIGINT)
            assert process.stderr is not None
            async with asyncio.timeout(30):
                while b"again cancels" not in await process.stderr.readline():
                    pass
            process.send_signal(signal.SIGINT)
            return await finish(process, within_s=20)

    done = asyncio.run(scenario())

    assert done.code == 130, done.stderr
    stats = document(tmp_path / "out", "processing_stats.json")
    assert stats["exit_code"] == 130
    assert stats["accounting"]["adds_up"]
    assert not files_below(tmp_path / "out" / "successful")
    assert "4 calls were cancelled in flight" in done.stderr


def test_the_grace_ends(tmp_path: Path) -> None:
    """Calls that outlast ``--grace`` are cancelled."""
    make_images(tmp_path / "photos", 2)

    async def scenario() -> Finished:
        async with Emulator(latency_s=60.0) as emulator:
            process = await start(*arguments(tmp_path, emulator, "--grace", "0.2"))
            await until_calls(emulator, 2)
            process.send_signal(signal.SIGTERM)
            return await finish(process, within_s=20)

    assert asyncio.run(scenario()).code == 143


def test_the_state_is_told_on_request(tmp_path: Path) -> None:
    """SIGUSR1 prints one line and disturbs nothing; ``--status`` shows the run from outside."""
    make_images(tmp_path / "photos", 6)

    async def scenario() -> tuple[Finished, Finished]:
        async with Emulator(latency_s=0.5) as emulator:
            process = await start(*arguments(tmp_path, emulator, "--max-concurrent", "2", "--quiet"))
            await until_calls(emulator, 3)
            process.send_signal(signal.SIGUSR1)
            status = await run_cli("--status", "--output-dir", tmp_path / "out", key=None)
            return await finish(process), status

    done, status = asyncio.run(scenario())

    assert done.code == 0
    assert " of 6: " in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert status.code == 0, status.stderr
    assert str(tmp_path / "out") in status.stdout
    assert "running" in status.stdout.lower()


def test_an_error_that_no_image_can_cause_stops_the_run(tmp_path: Path) -> None:
    """The first three images fail alike with a 400: the run stops, nothing counts as failed."""
    make_images(tmp_path / "photos", 40)
    plan = FaultPlan(rates={Fault.INVALID_ARGUMENT: 1.0})

    async def scenario() -> tuple[Finished, Emulator]:
        async with Emulator(plan=plan) as emulator:
            done = await run_cli(*arguments(tmp_path, emulator, "--max-concurrent", "2"))
            return done, emulator

    done, emulator = asyncio.run(scenario())

    assert done.code == 2, done.stderr
    assert "all failed alike" in done.stderr
    assert 3 <= len(emulator.calls) <= 6
    assert not files_below(tmp_path / "out" / "failed")


@pytest.mark.parametrize(
    ("fail_on", "code"), [("any", 3), ("none", 0), ("2", 0), ("1", 3), ("50%", 0), ("10%", 3)]
)
def test_the_user_says_how_many_failures_matter(tmp_path: Path, fail_on: str, code: int) -> None:
    """One failed image of five ends with 3 only if the user sets it so."""
    make_images(tmp_path / "photos", 4)
    (tmp_path / "photos" / "bad.jpg").write_text("no image")

    async def scenario() -> Finished:
        return await run_cli(
            *("--input-dir", tmp_path / "photos", "--prompt", PROMPT, "--output-dir", tmp_path / "out"),
            *("--dry-run", "--fail-on", fail_on),
        )

    assert asyncio.run(scenario()).code == code


def test_a_quiet_night_says_nothing(tmp_path: Path) -> None:
    """With ``--quiet`` a run that goes well prints nothing, so that cron sends no mail."""
    make_images(tmp_path / "photos", 3)

    async def scenario() -> Finished:
        async with Emulator() as emulator:
            return await run_cli(*arguments(tmp_path, emulator, "--quiet"))

    assert asyncio.run(scenario()) == Finished(code=0, stdout="", stderr="")


def test_it_runs_from_an_empty_environment(tmp_path: Path) -> None:
    """No PATH, no HOME, another working directory: the key comes from a ``.env`` in that directory."""
    make_images(tmp_path / "photos", 2)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / ".env").write_text("GEMINI_API_KEY=test-key\n")

    async def scenario() -> Finished:
        async with Emulator() as emulator:
            process = await asyncio.create_subprocess_exec(
                *("/bin/sh", "-c", 'cd "$1" && shift && exec env -i "$@"', "sh", str(tmp_path / "elsewhere")),
                *(sys.executable, str(MAIN)),
                *map(str, arguments(tmp_path, emulator, "--quiet")),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            return await finish(process)

    assert asyncio.run(scenario()) == Finished(code=0, stdout="", stderr="")


@pytest.mark.parametrize(("fault", "ending"), [(None, ""), (Fault.SAFETY, "/3")], ids=["success", "failure"])
def test_the_dead_mans_switch_is_told(tmp_path: Path, fault: Fault | None, ending: str) -> None:
    """``--ping`` gets the start and the end, with the exit code if it is not 0."""
    make_images(tmp_path / "photos", 1)
    heard: list[str] = []

    async def hear(request: web.Request) -> web.Response:
        heard.append(request.path)
        return web.Response()

    async def scenario() -> Finished:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", hear)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        plan = FaultPlan(rates={fault: 1.0} if fault else {})
        async with Emulator(plan=plan) as emulator:
            done = await run_cli(
                *arguments(tmp_path, emulator, "--ping", f"http://127.0.0.1:{port}/secret-id")
            )
        await runner.cleanup()
        return done

    done = asyncio.run(scenario())

    assert heard == ["/secret-id/start", f"/secret-id{ending}"]
    assert "secret-id" not in done.stdout + done.stderr
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(b"secret-id" in content for content in written)


def test_the_log_can_be_json_and_rotated_away(tmp_path: Path) -> None:
    """Each line of ``--log-json`` is an object; after SIGHUP a log that was moved away is begun anew."""
    make_images(tmp_path / "photos", 6)
    log = tmp_path / "run.log"

    async def scenario() -> Finished:
        async with Emulator(latency_s=0.4) as emulator:
            more = ("--max-concurrent", "1", "--log-file", log, "--log-json", "--verbose")
            process = await start(*arguments(tmp_path, emulator, *more))
            await until_calls(emulator, 2)
            os.rename(log, tmp_path / "run.log.1")  # noqa: PTH104 - what logrotate does
            process.send_signal(signal.SIGHUP)
            return await finish(process)

    done = asyncio.run(scenario())

    assert done.code == 0
    lines = [line for name in ("run.log.1", "run.log") for line in (tmp_path / name).read_text().splitlines()]
    assert lines
    assert all({"time", "level", "message"} <= json.loads(line).keys() for line in lines)


def test_failures_are_done_again_when_asked(tmp_path: Path) -> None:
    """A blocked image is skipped in the next run, and sent again with --retry-failed or --only."""
    hashes = make_images(tmp_path / "photos", 3)
    blocked = hashes["photo000.png"]
    plan = FaultPlan(per_image={blocked: [Fault.SAFETY] * 3})

    async def scenario() -> list[tuple[int, int]]:
        seen = []
        async with Emulator(plan=plan) as emulator:
            for more in ((), (), ("--retry-failed",), ("--only", "timeout"), ("--only", "blocked"), ()):
                before = len(emulator.calls)
                done = await run_cli(*arguments(tmp_path, emulator, *more))
                seen.append((done.code, len(emulator.calls) - before))
        return seen

    assert asyncio.run(scenario()) == [(3, 3), (0, 0), (3, 1), (0, 0), (3, 1), (0, 0)]
