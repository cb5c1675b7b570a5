"""Rules of gemini/request_body.py and of a client in use: big images, many calls, keys, proxies."""

import asyncio
import base64
import gc
import hashlib
import itertools
import json
import logging
import socket
import traceback
from collections import Counter
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from errors import ApiFailure, ErrorKind, FatalError
from gemini.client import GeminiClient
from gemini.request_body import _IMAGE_PREFIX, _ImagePayload
from models import ByteCounter, Generation
from tests.emulator import Emulator, Fault, FaultPlan
from tests.support.gateway import Handler, serve
from tests.support.gemini_harness import (
    IMAGE,
    KEY,
    SDK_WARNINGS,
    TEXT_MODEL,
    ClientClass,
    ask,
    each_client_class,
    emulator_with,
    request,
)

pytestmark = SDK_WARNINGS

SECRET = "AIzaSyA-0123456789_abcdefghijklmnopqrst"  # noqa: S105 - made up
ANSWER = {"candidates": [{"content": {"parts": [{"text": "A cat."}]}, "finishReason": "STOP"}]}


def client_of(url: str, key: str = KEY, client_class: ClientClass = GeminiClient) -> GeminiClient:
    """Return a client of words."""
    return client_class(api_key=key, model=TEXT_MODEL, base_url=url, wants_images=False)


def outcome_of(handler: Handler, *, key: str = KEY, image: bytes = IMAGE) -> object:
    """Put one request to a server of one handler; return the answer or the exception."""

    async def call() -> object:
        async with serve(handler) as url, client_of(url, key) as client:
            (outcome,) = await asyncio.gather(
                client.generate(request(image=image, timeout_s=10)), return_exceptions=True
            )
            return outcome

    return asyncio.run(call())


def outcomes_of(
    handler: Handler, count: int, *, key: str = KEY, client_class: ClientClass = GeminiClient
) -> list[object]:
    """Put requests whose prompts are their numbers, all at once, to a server of one handler."""

    async def calls() -> list[object]:
        async with serve(handler) as url, client_of(url, key, client_class) as client:
            asked = (client.generate(request(str(number))) for number in range(count))
            return list(await asyncio.gather(*asked, return_exceptions=True))

    return asyncio.run(calls())


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 393_215, 393_216, 393_217, 1_000_000])
def test_an_image_of_any_size_arrives_whole(size: int) -> None:
    """Pieces join without a seam, and the length is said beforehand, as front ends like it."""
    seen = []

    async def handler(incoming: web.Request) -> web.StreamResponse:
        body = json.loads(await incoming.read())
        part = body["contents"][0]["parts"][0]["inlineData"]
        seen.append((base64.b64decode(part["data"], validate=True), incoming.headers))
        return web.json_response(ANSWER)

    image = bytes(range(256)) * (size // 256) + bytes(size % 256)
    assert isinstance(outcome_of(handler, image=image), Generation)

    ((arrived, headers),) = seen
    assert arrived == image
    assert "Content-Length" in headers
    assert "Transfer-Encoding" not in headers
    assert headers["Content-Type"] == "application/json"


def test_the_place_of_the_image_is_no_trap() -> None:
    """A prompt that holds the words before which the JSON is cut arrives as it is."""
    prompt = f'{_IMAGE_PREFIX.decode()} {{"inlineData": {_IMAGE_PREFIX.decode()}'

    answer = ask(Emulator(), question=request(prompt=prompt))

    assert prompt in answer.text
    assert hashlib.sha256(IMAGE).hexdigest() in answer.text


def test_twenty_calls_at_once_get_their_own_answers() -> None:
    """One client serves them together, and no image goes to another's call."""
    images = [IMAGE + bytes([number]) * 500_000 for number in range(20)]

    async def call() -> list[Generation]:
        async with Emulator(latency_s=0.5) as emulator, client_of(emulator.base_url) as client:
            answers = await asyncio.gather(*(client.generate(request(image=image)) for image in images))
        assert emulator.max_in_flight == 20
        return answers

    for image, answer in zip(images, asyncio.run(call()), strict=True):
        assert hashlib.sha256(image).hexdigest() in answer.text


class Writer(AbstractStreamWriter):
    """Notes how big each piece of a body is, and how often another task had its turn before it."""

    def __init__(self) -> None:
        self.turns = 0
        self.pieces: list[tuple[int, int]] = []

    async def write(self, chunk: Any) -> None:
        """Take a piece without waiting, as a socket with a free buffer does."""
        self.pieces.append((len(chunk), self.turns))

    async def take_turns(self) -> None:
        """Be the other task."""
        while True:
            self.turns += 1
            await asyncio.sleep(0)

    async def write_eof(self, chunk: bytes = b"") -> None:
        """Do nothing."""

    async def drain(self) -> None:
        """Do nothing."""

    def enable_compression(self, encoding: str = "deflate", strategy: int | None = None) -> None:
        """Do nothing."""

    def enable_chunking(self) -> None:
        """Do nothing."""

    async def write_headers(self, status_line: str, headers: Any) -> None:
        """Do nothing."""


def test_a_big_image_gives_way_to_other_tasks() -> None:
    """No more than half a megabyte is sent until every other task had its turn, in pieces of an eighth."""
    image = bytes(14_000_000)

    async def write() -> Writer:
        writer = Writer()
        other = asyncio.create_task(writer.take_turns())
        await _ImagePayload(b"head", image, b"tail", ByteCounter()).write(writer)
        other.cancel()
        return writer

    pieces = asyncio.run(write()).pieces

    in_turn = Counter[int]()
    for size, turn in pieces:
        in_turn[turn] += size
    ends = len(b"head") + len(b"tail")
    assert in_turn.total() == ends + -(-len(image) // 3) * 4
    assert max(size for size, _ in pieces) <= 2**16 + ends
    assert max(in_turn.values()) <= 2**19 + ends


@each_client_class
def test_a_key_that_is_echoed_is_struck_out(
    client_class: ClientClass, caplog: pytest.LogCaptureFixture
) -> None:
    """A gateway that repeats the key puts it in no sentence, no field, no chain of exceptions and no log."""
    caplog.set_level(logging.DEBUG)
    cases = list(itertools.product((200, 302, 400, 403, 404, 429, 500), (0, 230, 240, 250)))

    async def handler(incoming: web.Request) -> web.StreamResponse:
        asked = json.loads(await incoming.read())
        status, padding = cases[int(asked["contents"][0]["parts"][1]["text"])]
        said = "x" * padding + incoming.headers["x-goog-api-key"]
        violation = {"quotaId": said, "quotaValue": "3"}
        error = {"code": status, "message": said, "status": said, "details": [{"violations": [violation]}]}
        return web.json_response({"error": error}, status=status, headers={"Location": f"/{said}?k={said}"})

    for error in outcomes_of(handler, len(cases), key=SECRET, client_class=client_class):
        assert isinstance(error, ApiFailure | FatalError)
        shown = "".join(traceback.format_exception(error)) + repr(error) + repr(error.args)
        assert SECRET[:8] not in shown
    assert SECRET not in caplog.text


def test_a_key_in_an_answer_is_struck_out() -> None:
    """What goes into files and documents does not hold it either, whole or cut off."""

    async def handler(incoming: web.Request) -> web.StreamResponse:
        part = {"text": f"the key is {incoming.headers['x-goog-api-key']}."}
        return web.json_response({"candidates": [{"content": {"parts": [part]}, "finishReason": "STOP"}]})

    answer = outcome_of(handler, key=SECRET)

    assert isinstance(answer, Generation)
    assert answer.text == "the key is [secret]."


BODIES = (
    *(b"", b"null", b"17", b'"x"', b"[[[", b"{" * 9, b"[null]", b"{}", b"\xff\xfe"),
    *(b"[" * 100_000, b"9" * 9000),
)
KINDS = ("application/json", "text/html; charset=klingon", "text/event-stream", "")


@each_client_class
def test_no_body_is_too_odd(client_class: ClientClass) -> None:
    """Whatever is sent under whatever type, it is a failure of ours that may be tried again."""
    cases = list(itertools.product((200, 429, 503), BODIES, KINDS))

    async def handler(incoming: web.Request) -> web.StreamResponse:
        asked = json.loads(await incoming.read())
        status, body, kind = cases[int(asked["contents"][0]["parts"][1]["text"])]
        return web.Response(status=status, body=body, headers={"Content-Type": kind} if kind else {})

    for error in outcomes_of(handler, len(cases), client_class=client_class):
        assert isinstance(error, ApiFailure)
        assert error.kind in {ErrorKind.NETWORK, ErrorKind.RATE_LIMITED, ErrorKind.SERVER}
        assert error.detail.isprintable()


def test_a_cancelled_call_leaves_nothing_behind(recwarn: pytest.WarningsRecorder) -> None:
    """No task, no warning, and the client goes on."""

    async def call() -> Generation:
        plan = FaultPlan(per_call={0: Fault.HANG})
        async with Emulator(plan=plan) as emulator, client_of(emulator.base_url) as client:
            hanging = asyncio.create_task(client.generate(request()))
            await emulator.log.until_arrived(1)
            hanging.cancel()
            await asyncio.gather(hanging, return_exceptions=True)
            assert hanging.cancelled()
            return await client.generate(request())

    assert asyncio.run(call()).text
    gc.collect()
    assert [str(one.message) for one in recwarn if "Unclosed" in str(one.message)] == []


def test_the_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the machine has a proxy, there is no way around it; a dead one means: never reached."""
    with socket.socket() as dead:
        dead.bind(("127.0.0.1", 0))  # bound and not listening: refuses
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{dead.getsockname()[1]}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        emulator = Emulator()

        with pytest.raises(ApiFailure) as caught:
            ask(emulator)

    assert caught.value.kind is ErrorKind.NETWORK
    assert not caught.value.reached_server
    assert emulator.requests == []


def test_our_deadline_holds() -> None:
    """A server that trickles is cut off at the deadline of the call."""
    with pytest.raises(ApiFailure) as caught:
        ask(emulator_with(Fault.SLOW_DRIP, drip_s=30.0), question=request(timeout_s=0.5))

    assert caught.value.kind is ErrorKind.TIMEOUT
    assert caught.value.reached_server


def test_a_long_reply_is_read_like_a_short_one() -> None:
    """A reply of megabytes, read in a thread, fails and answers as any other."""

    def handler_of(reply: dict[str, object]) -> Handler:
        async def handler(incoming: web.Request) -> web.StreamResponse:
            await incoming.read()
            return web.json_response({**reply, "padding": "x" * 3_000_000})

        return handler

    answer = outcome_of(handler_of(dict(ANSWER)))
    failure = outcome_of(handler_of({"candidates": [{"finishReason": "SAFETY"}]}))

    assert isinstance(answer, Generation)
    assert isinstance(failure, ApiFailure)
    assert failure.kind is ErrorKind.BLOCKED
    assert failure.__context__ is None
