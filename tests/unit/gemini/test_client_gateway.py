"""Rules of gemini/client.py behind a gateway, and of what it never sends."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest
from aiohttp import web

import gemini.client
from errors import ApiFailure, ErrorKind, FatalError, StopReason
from gemini import files_api
from gemini.client import GeminiClient
from tests.emulator import Emulator, Fault, FaultPlan
from tests.support.gateway import Gateway, Handler, always_answer, serve
from tests.support.gemini_harness import IMAGE, KEY, SDK_WARNINGS, TEXT_MODEL, request

pytestmark = SDK_WARNINGS

K, S = ErrorKind, StopReason
T = TypeVar("T")
SMALL_LIMIT_BYTES = 1000
BIG = IMAGE + bytes(SMALL_LIMIT_BYTES)


@pytest.fixture(autouse=True)
def _small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send all but small images as files, so that the tests need no big ones."""
    monkeypatch.setattr(gemini.client, "MAX_INLINE_BYTES", SMALL_LIMIT_BYTES)


def client_of(url: str, key: str = KEY, model: str = TEXT_MODEL) -> GeminiClient:
    """Return a client of a text model."""
    return GeminiClient(api_key=key, model=model, base_url=url, wants_images=False)


async def catch_error(call: Awaitable[Any]) -> Any:
    """Return what came back or was raised."""
    return (await asyncio.gather(call, return_exceptions=True))[0]


def run_behind(gateway: Gateway, service: Emulator, scenario: Callable[[GeminiClient], Awaitable[T]]) -> T:
    """Run a scenario with a client that reaches the service through a gateway."""

    async def run() -> T:
        async with service, serve(gateway.handle) as url:
            gateway.target = service.base_url
            async with client_of(url + gateway.prefix) as client:
                return await scenario(client)

    return asyncio.run(run())


@pytest.mark.parametrize("prefix", ["/team/gemini", "/v1beta/deeper"])
def test_a_gateway_with_a_path(prefix: str) -> None:
    """All requests, those of an upload too, stay below the path of the base URL."""
    gateway = Gateway(target="", prefix=prefix)

    async def scenario(client: GeminiClient) -> list[str]:
        return [(await client.generate(request(image=image))).text for image in (IMAGE, BIG)]

    assert all(run_behind(gateway, Emulator(), scenario))
    assert all(path.startswith(gateway.prefix) for _, path in gateway.seen)


def test_chunks_go_to_the_base_url_whatever_the_reply_names() -> None:
    """A gateway that passes on the service's own upload address is not bypassed."""
    gateway = Gateway(target="")

    async def run() -> str:
        async with Emulator() as service, serve(gateway.handle) as url, client_of(url) as client:
            gateway.target = service.base_url
            return (await client.generate(request(image=BIG))).text

    assert asyncio.run(run())
    assert [method for method, path in gateway.seen if "upload" in path] == ["POST", "POST"]


@pytest.mark.parametrize("state", [b'"FAILED"', b'"ACTIVE", "uri": ""'], ids=["failed", "no address"])
def test_a_file_that_cannot_be_used_fails_its_image(state: bytes) -> None:
    """Nothing is asked about it, and it is deleted."""
    gateway = Gateway(target="", change=lambda _method, _path, body: body.replace(b'"ACTIVE"', state))

    failure = run_behind(gateway, Emulator(), lambda client: catch_error(client.generate(request(image=BIG))))

    assert isinstance(failure, ApiFailure)
    assert failure.kind is K.INVALID_REQUEST
    assert gateway.seen[-1][0] == "DELETE"
    assert not any("generateContent" in path for _, path in gateway.seen)


def test_an_upload_waits_until_the_file_can_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is still processed is asked for again, not used."""
    monkeypatch.setattr(files_api, "POLL_INTERVAL_S", 0.01)
    states = ["PROCESSING", "ACTIVE"]

    def change(method: str, _path: str, body: bytes) -> bytes:
        if method == "DELETE" or b'"state"' not in body:
            return body
        return body.replace(b'"ACTIVE"', json.dumps(states.pop(0)).encode())

    gateway = Gateway(target="", change=change)

    assert run_behind(gateway, Emulator(), lambda client: client.generate(request(image=BIG))).text
    methods = [method for method, path in gateway.seen if "generateContent" not in path]
    assert methods[-2:] == ["GET", "DELETE"]


def test_an_uploaded_file_is_deleted_after_a_failure_too() -> None:
    """Files count against the project's storage, whatever became of the call."""
    service = Emulator(plan=FaultPlan(per_call={0: Fault.SAFETY}))

    async def scenario() -> Any:
        async with service, client_of(service.base_url) as client:
            return await catch_error(client.generate(request(image=BIG)))

    failure = asyncio.run(scenario())

    assert isinstance(failure, ApiFailure)
    assert failure.kind is K.BLOCKED
    assert service.requests[-1].operation == "files.delete"
    assert service.files.listed() == []


def _upload_reply(body: str) -> Handler:
    return always_answer(200, body, X_Goog_Upload_URL="/elsewhere", X_Goog_Upload_Status="final")


UPLOADS: list[tuple[Handler, ErrorKind | StopReason]] = [
    (always_answer(404, "no such route", "text/plain"), S.UNKNOWN_MODEL),
    (always_answer(307, Location="/elsewhere"), K.NETWORK),
    (always_answer(200, "{}"), K.NETWORK),
    (_upload_reply("null"), K.NETWORK),
    (_upload_reply("[7]"), K.NETWORK),
    (_upload_reply("<html>"), K.NETWORK),
    (_upload_reply("[" * 200_000), K.NETWORK),
    (always_answer(503), K.SERVER),
    (always_answer(401), S.PERMISSION),
]


def test_an_upload_that_fails_is_classified_like_a_call() -> None:
    """Where nothing is behind the paths of uploads nor behind that of calls, the address is wrong."""
    left = [handler for handler, _ in reversed(UPLOADS)]

    async def handler(incoming: web.Request) -> web.StreamResponse:
        return await left[-1](incoming)

    async def scenario() -> list[Any]:
        found = []
        async with serve(handler) as url, client_of(url) as client:
            while left:
                found.append(await catch_error(client.generate(request(image=BIG))))
                left.pop()
        return found

    found = [
        error.kind if isinstance(error, ApiFailure) else error.reason for error in asyncio.run(scenario())
    ]

    assert found == [expected for _, expected in UPLOADS]


def refusal_of(client: GeminiClient, prompt: str = "describe it") -> ApiFailure | FatalError:
    """Return what a client raises that was never opened, so that it cannot send anything."""
    try:
        asyncio.run(client.generate(request(prompt)))
    except (ApiFailure, FatalError) as error:
        return error
    pytest.fail("it was not refused")


@pytest.mark.parametrize("key", ["", " ", "two\nlines", "with space", "schlüssel", "auth_tokens/abc"])
def test_an_impossible_key_is_not_sent(key: str) -> None:
    """A key that cannot be one ends the run before a request."""
    refusal = refusal_of(client_of("http://127.0.0.1:9", key))

    assert isinstance(refusal, FatalError)
    assert refusal.reason is S.KEY_INVALID
    assert not key.strip() or key not in refusal.detail


@pytest.mark.parametrize("other", ["", KEY], ids=["none", "another"])
def test_no_other_key_takes_the_place_of_an_empty_one(other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty key can be opened with, and is not made up for by one of the environment."""
    monkeypatch.delenv("GEMINI_API_KEY", raising=False)
    monkeypatch.setenv("GOOGLE_API_KEY", other)
    service = Emulator(keys=[KEY])

    async def scenario() -> Any:
        async with service, client_of(service.base_url, "") as client:
            return await catch_error(client.generate(request()))

    assert isinstance(asyncio.run(scenario()), FatalError)
    assert service.requests == []


@pytest.mark.parametrize(
    "model", ["", "two words", "../files", "a?b", "a&b", "models/x:y", "a\n", "x" * 999 + "#"]
)
def test_an_impossible_model_is_not_asked(model: str) -> None:
    """A name that would bend the request's path ends the run before a request."""
    refusal = refusal_of(client_of("http://127.0.0.1:9", model=model))

    assert isinstance(refusal, FatalError)
    assert refusal.reason is S.UNKNOWN_MODEL
    assert refusal.detail.isprintable()
    assert len(refusal.detail) <= 400


def test_a_prompt_that_is_no_text_is_refused_here() -> None:
    """Bytes of the command line that are not UTF-8 cannot be sent as JSON."""
    refusal = refusal_of(client_of("http://127.0.0.1:9"), "caf\udce9")

    assert isinstance(refusal, ApiFailure)
    assert (refusal.kind, refusal.reached_server) == (K.INVALID_REQUEST, False)
    assert refusal.__context__ is None
