"""Rules of gemini/transport.py: what becomes of replies that are no answer, and of none at all."""

import asyncio
import gc
import gzip
import json
import subprocess
import sys
import traceback
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any

import pytest
from aiohttp import web

import gemini.client
from errors import ApiFailure, ErrorKind
from gemini import transport
from gemini.client import GeminiClient
from gemini.transport import broken_reply_failure
from models import Generation
from tests.emulator import Emulator, Fault, FaultPlan
from tests.support.gateway import Handler, always_answer, serve
from tests.support.gemini_harness import (
    KEY,
    SDK_WARNINGS,
    TEXT_MODEL,
    ClientClass,
    each_client_class,
    request,
)
from tests.support.paths import ROOT

pytestmark = SDK_WARNINGS

ANSWER = {"candidates": [{"content": {"parts": [{"text": "A cat."}]}, "finishReason": "STOP"}]}
K = ErrorKind


def client_of(url: str, client_class: ClientClass = GeminiClient) -> GeminiClient:
    """Return a client of a text model."""
    return client_class(api_key=KEY, model=TEXT_MODEL, base_url=url, wants_images=False)


async def catch_error(call: Awaitable[Any]) -> Any:
    """Return what came back or was raised."""
    return (await asyncio.gather(call, return_exceptions=True))[0]


def failures_at(*handlers: Handler, client_class: ClientClass = GeminiClient) -> list[ApiFailure]:
    """Return what one client raises whose requests these handlers answer, each one."""

    async def turn(incoming: web.Request) -> web.StreamResponse:
        asked = json.loads(await incoming.read())
        return await handlers[int(asked["contents"][0]["parts"][1]["text"])](incoming)

    async def calls() -> list[Any]:
        # The time limit only turns a hang into a failure before the client's own deadline does.
        async with asyncio.timeout(60), serve(turn) as url, client_of(url, client_class) as client:
            asked = [request(str(number), timeout_s=600) for number in range(len(handlers))]
            return [await catch_error(client.generate(one)) for one in asked]

    failures = asyncio.run(calls())
    assert all(isinstance(failure, ApiFailure) for failure in failures), failures
    return failures


def failure_at(url: str) -> ApiFailure:
    """Return what a client raises for this base URL."""

    async def call() -> Any:
        async with client_of(url) as client:
            return await catch_error(client.generate(request()))

    failure = asyncio.run(call())
    assert isinstance(failure, ApiFailure)
    return failure


@each_client_class
def test_a_redirect_is_not_followed(client_class: ClientClass) -> None:
    """The key would go along to whatever host the redirect names."""
    visits: list[str] = []
    statuses = (301, 302, 303, 307, 308)

    async def elsewhere(incoming: web.Request) -> web.StreamResponse:
        visits.append(incoming.path)
        return web.json_response({})

    async def call() -> list[ApiFailure]:
        async with serve(elsewhere) as other:
            places = [always_answer(status, Location=f"{other}/login?session=7") for status in statuses]
            return await asyncio.to_thread(failures_at, *places, client_class=client_class)

    failures = asyncio.run(call())

    assert [failure.kind for failure in failures] == [K.NETWORK] * len(statuses)
    assert [failure.http_status for failure in failures] == list(statuses)
    assert all("redirects to http://127.0.0.1:" in failure.detail for failure in failures)
    assert visits == []


@each_client_class
def test_a_lost_call_is_not_sent_again(client_class: ClientClass) -> None:
    """On a fresh connection and on one that was used before, a call is one request: it may be billed."""
    faults = [Fault.RESET, Fault.CLOSE, Fault.CUT_BODY, Fault.RESET_BODY]
    script = [meets for fault in faults for meets in (fault, None, fault)]
    service = Emulator(plan=FaultPlan(per_call={at: fault for at, fault in enumerate(script) if fault}))

    async def scenario() -> list[Any]:
        async with service, client_of(service.base_url, client_class) as client:
            return [await catch_error(client.generate(request())) for _ in script]

    for fault, outcome in zip(script, asyncio.run(scenario()), strict=True):
        assert (outcome.kind is K.NETWORK) if fault else isinstance(outcome, Generation)
    assert len(service.calls) == len(script)


DEEP = "[" * 200_000
ODD: list[tuple[Handler, ErrorKind]] = [
    (always_answer(503, b"\xff\xfe not UTF-8"), K.SERVER),
    (always_answer(503, "{}", "application/json; charset=hex"), K.SERVER),
    (always_answer(503, DEEP), K.SERVER),
    (always_answer(500, '[{"error": 7}, 8]'), K.SERVER),
    (always_answer(500, '{"error": "as words"}'), K.SERVER),
    (always_answer(529, "overloaded", "text/plain"), K.SERVER),
    (always_answer(502, b"not gzip at all", Content_Encoding="gzip"), K.SERVER),
    (always_answer(503, b"x" * 3_000_000), K.SERVER),
    (always_answer(407, "who are you?", "text/html"), K.NETWORK),
    (always_answer(511, "log in first", "text/html"), K.NETWORK),
    (always_answer(206, "{}"), K.NETWORK),
    (always_answer(418, "{}"), K.INVALID_REQUEST),
    (always_answer(200, b'{"candidates": "\xff"}'), K.NETWORK),
    (always_answer(200, "{}", "application/json; charset=hex"), K.NETWORK),
    (always_answer(200, DEEP), K.NETWORK),
    (always_answer(200, '{"name": "models/x"}'), K.NETWORK),
    (always_answer(200, "7" * 5000), K.NETWORK),
    (always_answer(200, " \n"), K.NETWORK),
    (
        always_answer(200, b"\xef\xbb\xbf" + json.dumps(ANSWER).encode()),
        K.NETWORK,
    ),  # a sign that JSON does not have
    (always_answer(201, json.dumps(ANSWER)), K.NETWORK),
    (always_answer(204), K.NETWORK),
]


@each_client_class
def test_no_reply_is_too_odd(client_class: ClientClass) -> None:
    """Whatever the bytes of a reply, the call ends in a class and a sentence of one line."""
    failures = failures_at(*(handler for handler, _ in ODD), client_class=client_class)

    assert [failure.kind for failure in failures] == [kind for _, kind in ODD]
    for failure in failures:
        assert failure.detail.isprintable()
        assert len(failure.detail) <= 400


@each_client_class
def test_a_status_counts_even_when_its_body_does_not_come(
    client_class: ClientClass, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A 503 that loses its body on the way, or never gets to its end, is still a 503, with its hint."""
    monkeypatch.setattr(transport, "_ERROR_BODY_TIMEOUT_S", 0.2)

    async def begin(incoming: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=503, headers={"Content-Length": "1000", "Retry-After": "9"})
        await response.prepare(incoming)
        await response.write(b'{"error')
        return response

    async def cut(incoming: web.Request) -> web.StreamResponse:
        response = await begin(incoming)
        assert incoming.transport
        incoming.transport.close()
        return response

    async def hang(incoming: web.Request) -> web.StreamResponse:
        await begin(incoming)
        await asyncio.Event().wait()
        raise AssertionError

    for failure in failures_at(cut, hang, cut, client_class=client_class):
        assert (failure.kind, failure.http_status, failure.retry_after_s) == (K.SERVER, 503, 9.0)


@pytest.mark.parametrize("is_packed", [False, True], ids=["without end", "a small one, zipped"])
def test_no_reply_fills_the_memory(monkeypatch: pytest.MonkeyPatch, *, is_packed: bool) -> None:
    """One that is longer than any answer is a failure as soon as that is seen, long before the deadline."""
    monkeypatch.setattr(transport, "_MAX_BODY_BYTES", 2**20)
    piece = b" " * 2**16

    async def flood(incoming: web.Request) -> web.StreamResponse:
        await incoming.read()
        if is_packed:
            zipped = gzip.compress(40 * piece + json.dumps(ANSWER).encode())
            return web.Response(body=zipped, headers={"Content-Encoding": "gzip"})
        response = web.StreamResponse()
        await response.prepare(incoming)
        with suppress(ConnectionError):
            while True:
                await response.write(piece)
        return response

    (failure,) = failures_at(flood)

    assert (failure.kind, failure.detail) == (K.NETWORK, broken_reply_failure().detail)


def test_a_connection_that_is_not_encrypted_says_so() -> None:
    """TLS with a server that has none fails before anything was sent, in words for people."""

    async def call() -> ApiFailure:
        async with serve(always_answer(200)) as url:
            return await asyncio.to_thread(failure_at, url.replace("http:", "https:"))

    failure = asyncio.run(call())

    assert (failure.kind, failure.reached_server) == (K.NETWORK, False)
    assert failure.detail.startswith("no connection to 127.0.0.1:")
    assert "TLS failed: " in failure.detail
    assert not set(failure.detail) & set("[_")


def test_a_name_that_nobody_knows() -> None:
    """A host that cannot be found was not reached."""
    failure = failure_at("http://no-such-host.invalid")

    assert failure.detail.startswith("no connection to no-such-host.invalid:80 (")
    assert not failure.reached_server


def test_a_reply_that_is_no_http_does_not_give_the_key_away() -> None:
    """The library's error for it holds the request's headers, so that it may not be chained."""

    async def call() -> ApiFailure:
        async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 two hundred\r\n\r\n")
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(babble, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            return await asyncio.to_thread(failure_at, f"http://127.0.0.1:{port}")

    failure = asyncio.run(call())

    assert failure.kind is K.NETWORK
    assert KEY not in "".join(traceback.format_exception(failure)) + repr(failure.__context__)


def test_nothing_is_left_open() -> None:
    """After the block no connection and no session is left for the collector to complain about."""
    service = Emulator(plan=FaultPlan(per_call={1: Fault.CUT_BODY, 2: Fault.UNAVAILABLE}))

    async def scenario() -> None:
        async with service, client_of(service.base_url) as client:
            await asyncio.gather(*(catch_error(client.generate(request())) for _ in range(4)))
        gc.collect()

    asyncio.run(scenario())  # a ResourceWarning is an error in this suite
    gc.collect()

    assert len(service.calls) == 4


def test_importing_the_client_is_cheap() -> None:
    """A wrong flag and a dry run pay neither for the SDK nor for its transport."""
    heavy = "{'google', 'aiohttp', 'pydantic', 'PIL'} & {*sys.modules}"
    code = f"import sys, gemini.client, gemini.simulated; print({heavy})"

    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )

    assert result.stdout.strip() == "set()"


def test_no_reply_about_a_file_fills_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK would read one to its end, and this one has none."""
    monkeypatch.setattr(gemini.client, "MAX_INLINE_BYTES", 8)

    async def flood(incoming: web.Request) -> web.StreamResponse:
        await incoming.read()
        response = web.StreamResponse(headers={"X-Goog-Upload-URL": str(incoming.url)})
        await response.prepare(incoming)
        with suppress(ConnectionError):
            while True:
                await response.write(b" " * 2**16)
        return response

    async def call() -> Any:
        async with asyncio.timeout(60), serve(flood) as url, client_of(url) as client:
            return await catch_error(client.generate(request(timeout_s=600)))

    failure = asyncio.run(call())

    assert isinstance(failure, ApiFailure)
    assert (failure.kind, failure.detail) == (K.NETWORK, broken_reply_failure().detail)
