"""Rules of gemini/client.py behind a gateway that has no Files API: big images go within the request."""

import asyncio
import logging
from typing import Any

import pytest
from aiohttp import web

import gemini.client
from errors import ApiFailure, Cause, ErrorKind
from gemini.client import GeminiClient
from models import Generation
from reports.advice import advice_for
from tests.emulator import Emulator
from tests.support.gateway import Gateway, Handler, always_answer, serve
from tests.support.gemini_harness import IMAGE, KEY, SDK_WARNINGS, TEXT_MODEL, request

pytestmark = SDK_WARNINGS

K = ErrorKind
LIMIT_BYTES = 1000
BIG = IMAGE + bytes(LIMIT_BYTES)
OPENAI = '{"error": {"message": "Invalid URL (POST /upload)", "type": "invalid_request_error", "code": ""}}'


@pytest.fixture(autouse=True)
def _small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Upload all but small images, so that the tests need no big ones."""
    monkeypatch.setattr(gemini.client, "MAX_INLINE_BYTES", LIMIT_BYTES)


def play(refusal: Handler, images: list[bytes]) -> tuple[list[Any], list[str]]:
    """Ask about images behind a gateway that refuses uploads so; return the results and the paths seen."""
    paths: list[str] = []

    async def run() -> list[Any]:
        async with Emulator() as service:
            gateway = Gateway(target=service.base_url)

            async def handler(incoming: web.Request) -> web.StreamResponse:
                paths.append(incoming.path)
                is_call = incoming.path.endswith(":generateContent")
                return await (gateway.handle if is_call else refusal)(incoming)

            async with (
                serve(handler) as url,
                GeminiClient(api_key=KEY, model=TEXT_MODEL, base_url=url, wants_images=False) as client,
            ):
                return [
                    (await asyncio.gather(client.generate(request(image=image)), return_exceptions=True))[0]
                    for image in images
                ]

    return asyncio.run(run()), paths


@pytest.mark.parametrize(
    "refusal",
    [
        always_answer(404, OPENAI),
        always_answer(404, '{"detail": "Not Found"}'),
        always_answer(404, "404 page not found", "text/plain"),
        always_answer(404, "<html>Error 404 (Not Found)!!1</html>", "text/html"),
        always_answer(405, "Method Not Allowed", "text/plain"),
        always_answer(403, '{"error": "path is not allowed"}'),
        always_answer(401, '{"error": {"message": "no token", "code": "invalid_token"}}'),
        always_answer(400, OPENAI),
        always_answer(307, Location="/login"),
        always_answer(501, '{"error": {"code": 501, "message": "no files", "status": "UNIMPLEMENTED"}}'),
    ],
    ids=["OpenAI", "FastAPI", "Go", "page", "405", "403", "401", "400", "redirect", "501"],
)
def test_a_big_image_goes_within_the_request(refusal: Handler, caplog: pytest.LogCaptureFixture) -> None:
    """The gateway is asked for an upload once in a run, and the user is told once; no image is lost."""
    with caplog.at_level(logging.WARNING):
        results, paths = play(refusal, [IMAGE, BIG, BIG + b"1", IMAGE])

    assert all(isinstance(result, Generation) for result in results)
    assert sum(path.endswith(":generateContent") for path in paths) == 4
    assert len(paths) == 5
    assert sum("takes no uploads" in record.message for record in caplog.records) == 1


def test_an_image_that_no_request_can_hold_fails_with_a_remedy_that_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is sent in vain, others go on, and the endpoint is named, not the image."""
    monkeypatch.setattr(gemini.client, "MAX_REQUEST_BYTES", 1_350_000)
    results, paths = play(always_answer(404, OPENAI), [IMAGE + bytes(20_000), BIG, IMAGE])

    failure = results[0]
    assert isinstance(failure, ApiFailure)
    assert (failure.kind, failure.cause) == (K.INVALID_REQUEST, Cause.NO_FILES_API)
    advice = advice_for(failure.kind, options={}, cause=failure.cause)
    assert "--api-base-url" in advice.cause
    assert "Repair the image" not in advice.remedy
    assert all(isinstance(result, Generation) for result in results[1:])
    assert sum(path.endswith(":generateContent") for path in paths) == 2


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        (always_answer(503, "busy"), K.SERVER),
        (always_answer(429, "slow down"), K.RATE_LIMITED),
        (always_answer(413, "too large"), K.INVALID_REQUEST),
        (
            always_answer(404, '{"error": {"code": 404, "message": "File files/x", "status": "NOT_FOUND"}}'),
            K.INVALID_REQUEST,
        ),
    ],
    ids=["503", "429", "413", "Google's 404"],
)
def test_other_failures_of_an_upload_are_what_they_are(refusal: Handler, kind: ErrorKind) -> None:
    """A Files API that is busy, or refuses this file, is there: the next image is uploaded again."""
    results, paths = play(refusal, [BIG, BIG])

    assert [getattr(result, "kind", result) for result in results] == [kind, kind]
    assert len(paths) == 2
