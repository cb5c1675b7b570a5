"""Rules of gemini/connector.py: a reply to no request is never taken for the answer to another image."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from errors import ApiFailure
from gemini.client import GeminiClient
from tests.support.gemini_harness import KEY, SDK_WARNINGS, TEXT_MODEL, request

pytestmark = SDK_WARNINGS

IMAGES = 12
Send = Callable[[asyncio.StreamWriter, bytes], Awaitable[None]]


def reply_of(text: str) -> bytes:
    """Return a whole reply."""
    candidate = {"content": {"parts": [{"text": text}]}, "finishReason": "STOP"}
    body = json.dumps({"candidates": [candidate]}).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )


STRAY = reply_of("stray")


async def _at_once(writer: asyncio.StreamWriter, reply: bytes) -> None:
    writer.write(reply + STRAY)


async def _right_after(writer: asyncio.StreamWriter, reply: bytes) -> None:
    writer.write(reply)
    await writer.drain()
    writer.write(STRAY)


async def _later(writer: asyncio.StreamWriter, reply: bytes) -> None:
    writer.write(reply)
    await asyncio.sleep(0.02)
    writer.write(STRAY)


async def _half(writer: asyncio.StreamWriter, reply: bytes) -> None:
    writer.write(reply + STRAY[:40])
    await asyncio.sleep(0.02)
    writer.write(STRAY[40:])


async def _three(writer: asyncio.StreamWriter, reply: bytes) -> None:
    writer.write(reply + STRAY * 3)


async def _junk(writer: asyncio.StreamWriter, reply: bytes) -> None:
    writer.write(reply + b"\r\n\r\n")


async def _ask_all(send: Send, *, pause_s: float) -> tuple[list[str], int]:
    """Ask about images one after the other; return the answers, and the number of connections."""
    connections = 0
    ended = asyncio.Semaphore(0)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                (length,) = [
                    int(line.partition(b":")[2])
                    for line in head.lower().splitlines()
                    if line.startswith(b"content-length")
                ]
                prompt = json.loads(await reader.readexactly(length))["contents"][0]["parts"][-1]["text"]
                await send(writer, reply_of(prompt))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            await _close(writer)
            ended.release()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = GeminiClient(
        api_key=KEY, model=TEXT_MODEL, base_url=f"http://127.0.0.1:{port}", wants_images=False
    )
    answers = []
    async with server, client:
        for number in range(IMAGES):
            try:
                answers.append((await client.generate(request(prompt=f"question {number}"))).text)
            except ApiFailure:
                answers.append("failed")
            await asyncio.sleep(pause_s)
    for _ in range(connections):
        await ended.acquire()
    return answers, connections


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


@pytest.mark.parametrize(
    ("send", "pause_s"),
    [(_at_once, 0), (_at_once, 0.05), (_right_after, 0.05), (_later, 0.1), (_half, 0.1), (_three, 0)],
    ids=["at once", "at once, seen late", "right after", "later", "in halves", "three"],
)
def test_no_image_gets_a_stray_reply(send: Send, pause_s: float) -> None:
    """Every connection on which one came is dropped, so each answer is that of its own question."""
    answers, connections = asyncio.run(_ask_all(send, pause_s=pause_s))

    assert answers == [f"question {number}" for number in range(IMAGES)]
    assert connections == IMAGES


def test_the_rest_of_a_stray_reply_is_no_answer() -> None:
    """Where its beginning came along with a reply, the next request may fail, and is sent again."""
    answers, _ = asyncio.run(_ask_all(_half, pause_s=0))

    assert all(answer in {f"question {number}", "failed"} for number, answer in enumerate(answers))
    assert answers.count("failed") <= IMAGES // 2


def test_an_ordinary_connection_is_kept() -> None:
    """Without stray bytes all requests share one; blank lines after a reply cost one as well."""

    async def send(writer: asyncio.StreamWriter, reply: bytes) -> None:
        writer.write(reply)

    assert asyncio.run(_ask_all(send, pause_s=0)) == ([f"question {number}" for number in range(IMAGES)], 1)
    answers, _ = asyncio.run(_ask_all(_junk, pause_s=0))
    assert answers == [f"question {number}" for number in range(IMAGES)]


def test_an_answer_before_its_question_is_none() -> None:
    """A reply that comes while the request is still being sent answers another one."""

    async def ask() -> ApiFailure:
        ended = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1000)
            writer.write(STRAY)
            await reader.read()
            await _close(writer)
            ended.set()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=2**16)
        port = server.sockets[0].getsockname()[1]
        base_url = f"http://127.0.0.1:{port}"
        async with (
            server,
            GeminiClient(api_key=KEY, model=TEXT_MODEL, base_url=base_url, wants_images=False) as client,
        ):
            with pytest.raises(ApiFailure) as caught:
                await client.generate(request(image=b"\xff\xd8\xff\xe0" * 3_500_000))
        await ended.wait()
        return caught.value

    assert "an answer came before its question was sent" in asyncio.run(ask()).detail
