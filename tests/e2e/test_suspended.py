"""Rules of the real program that is stopped for a while: no answer is lost, no call is bought again."""

import asyncio
import signal
from pathlib import Path

import pytest
from aiohttp import web

from tests.emulator import Emulator
from tests.support.cli import Finished, document, finish, start
from tests.support.cli_cases import PROMPT, arguments, make_images, until_calls
from tests.support.gateway import serve

pytestmark = pytest.mark.e2e

STOP_S = 12.0
"""Longer than the deadline of a call, the patience with an outage, and what counts as a busy loop."""
FLAGS = ("--timeout", "4s", "--max-retries", "0", "--outage-patience", "4s", "--max-concurrent", "3")
ANSWER = {"candidates": [{"content": {"parts": [{"text": "A cat."}]}, "finishReason": "STOP"}]}


async def stop_for_a_while(process: asyncio.subprocess.Process) -> None:
    """Stop the process as Ctrl-Z and a paused container do, and let it go on."""
    process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(STOP_S)
    process.send_signal(signal.SIGCONT)


def test_answers_that_came_meanwhile_are_kept(tmp_path: Path) -> None:
    """Answers that lie ready after the stop are read: each image is asked about once."""
    make_images(tmp_path / "photos", 9)

    async def scenario() -> tuple[Finished, Emulator]:
        async with Emulator(latency_s=1.0) as emulator:
            process = await start(*arguments(tmp_path, emulator, *FLAGS))
            await until_calls(emulator, 3)
            await stop_for_a_while(process)
            return await finish(process), emulator

    done, emulator = asyncio.run(scenario())

    assert done.code == 0, done.stderr
    assert len(emulator.calls) == 9
    assert "the program was stopped for" in done.stderr


def test_connections_that_were_given_up_meanwhile(tmp_path: Path) -> None:
    """Calls whose connections the server gave up are made again; that costs no retry and is no outage."""
    make_images(tmp_path / "photos", 4)
    arrived, go_on, calls = asyncio.Event(), asyncio.Event(), 0

    async def answer(incoming: web.Request) -> web.StreamResponse:
        nonlocal calls
        await incoming.read()
        calls += 1
        if calls == 3:
            arrived.set()
        if calls <= 3:
            await go_on.wait()
            assert incoming.transport is not None
            incoming.transport.abort()
        return web.json_response(ANSWER)

    async def scenario() -> Finished:
        async with serve(answer) as url:
            process = await start(
                *("--input-dir", tmp_path / "photos", "--prompt", PROMPT, "--output-dir", tmp_path / "out"),
                *("--api-base-url", url, *FLAGS),
            )
            await arrived.wait()
            asyncio.get_running_loop().call_later(1.0, go_on.set)
            await stop_for_a_while(process)
            return await finish(process)

    done = asyncio.run(scenario())

    assert done.code == 0, done.stderr
    assert calls == 3 + 4
    assert document(tmp_path / "out", "processing_stats.json")["accounting"]["answered"] == 4
