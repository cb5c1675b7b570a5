"""Rules of requests without the SDK: they equal the SDK's, which is loaded only where it is needed."""

import asyncio
import base64
import json
import re
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

import gemini.client
from errors import ApiFailure, ErrorKind
from gemini.response_body import PIECE_CHARACTERS
from gemini.response_parser import parse_response
from models import Generation, GenerationOptions, GenerationRequest, ReferenceImage
from tests.emulator import Emulator
from tests.support.gateway import Gateway, serve
from tests.support.gemini_harness import (
    CLIENT_CLASSES,
    IMAGE,
    IMAGE_MODEL,
    KEY,
    SDK_WARNINGS,
    TEXT_MODEL,
    ClientClass,
    request,
)
from tests.support.paths import ROOT

pytestmark = SDK_WARNINGS

BIG = IMAGE + bytes(2000)
OWN_NAMES = {"Host", "User-Agent", "x-goog-api-client"}
"""Headers that name the sender; the SDK's name would be wrong in ours."""

QUESTIONS = {
    "plain": (TEXT_MODEL, request()),
    "odd words": (TEXT_MODEL, request(prompt='"quoted" \\ \n\x00 \u00e9\u2028 \U0001f600 </script>')),
    "a bound": (TEXT_MODEL, replace(request(), max_output_tokens=77)),
    "pictures": (IMAGE_MODEL, replace(request(), max_output_tokens=77)),
    "another type": ("models/gemini-x", replace(request(), mime_type="image/heic")),
    "a tuned model": ("tunedModels/mine-1", request(timeout_s=20.2)),
    "a publisher's": ("publishers/google/models/g@1", request(timeout_s=0.4)),
}


OPTIONS = {
    "temperature": GenerationOptions(temperature=0.4),
    "no temperature at all": GenerationOptions(temperature=0.0),
    "top_p": GenerationOptions(top_p=0.9),
    "seed": GenerationOptions(seed=-7),
    "system instruction": GenerationOptions(system_instruction='Say "é" \n briefly.'),
    "thinking level": GenerationOptions(thinking_level="MEDIUM"),
    "media resolution": GenerationOptions(media_resolution="LOW"),
    "media resolution of a part": GenerationOptions(media_resolution="ULTRA_HIGH"),
    "safety": GenerationOptions(
        safety=(
            ("HARM_CATEGORY_HARASSMENT", "BLOCK_NONE"),
            ("HARM_CATEGORY_HATE_SPEECH", "BLOCK_ONLY_HIGH"),
        )
    ),
    "references": GenerationOptions(
        reference_images=(
            ReferenceImage(data=b"\x89PNG one", mime_type="image/png", size=(1, 2)),
            ReferenceImage(data=b"", mime_type="image/jpeg", size=(3, 4)),
        )
    ),
}
PICTURE_OPTIONS = {
    "aspect ratio": GenerationOptions(aspect_ratio="16:9"),
    "image size": GenerationOptions(image_size="2K"),
    "both, with less thinking": GenerationOptions(
        aspect_ratio="1:8", image_size="4K", thinking_level="MINIMAL"
    ),
}
QUESTIONS |= {name: (TEXT_MODEL, replace(request(), options=one)) for name, one in OPTIONS.items()}
QUESTIONS |= {name: (IMAGE_MODEL, replace(request(), options=one)) for name, one in PICTURE_OPTIONS.items()}


def capture_request(
    client_class: ClientClass, model: str, asked: GenerationRequest
) -> tuple[str, dict[str, str], str]:
    """Return path, headers and body of a question, the body with every field in JSON's spelling."""
    seen: list[tuple[str, dict[str, str], str]] = []

    async def handler(incoming: web.Request) -> web.StreamResponse:
        body = (await incoming.read()).decode()
        kept = {name: value for name, value in incoming.headers.items() if name not in OWN_NAMES}
        spelled = re.sub(r'(?<=[a-z])_([a-z])(?=[a-z]*": ")', lambda found: found[1].upper(), body)
        seen.append((incoming.raw_path, kept, json.dumps(json.loads(spelled), sort_keys=True)))
        return web.json_response({"error": {"code": 400, "message": "no"}}, status=400)

    async def call() -> None:
        async with serve(handler) as url:
            client = client_class(
                api_key=KEY, model=model, base_url=url + "/team", wants_images=model == IMAGE_MODEL
            )
            async with client:
                await asyncio.gather(client.generate(asked), return_exceptions=True)

    asyncio.run(call())
    path, headers, body = seen[0]
    headers["Content-Length"] = str(len(body))  # as long as the body is, in either spelling
    return path, headers, body.replace("-", "+").replace("_", "/")


@pytest.mark.parametrize("question", QUESTIONS)
def test_our_question_is_the_sdks(question: str) -> None:
    """Path, headers and fields are those that the SDK sends for the same question."""
    ours, theirs = (capture_request(client_class, *QUESTIONS[question]) for client_class in CLIENT_CLASSES)

    assert ours == theirs
    assert ours[1]["x-goog-api-key"] == KEY


def test_the_key_travels_in_its_header_alone() -> None:
    """Neither path, nor body, nor another header holds it."""
    path, headers, body = capture_request(CLIENT_CLASSES[0], *QUESTIONS["plain"])

    assert headers.pop("x-goog-api-key") == KEY
    assert KEY not in path + body + str(headers)


def test_a_question_about_a_file_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the image was uploaded, the question holds its address and not its bytes."""
    monkeypatch.setattr(gemini.client, "MAX_INLINE_BYTES", 1000)
    questions: list[dict[str, Any]] = []
    gateway = Gateway(target="")

    async def handler(incoming: web.Request) -> web.StreamResponse:
        if incoming.path.endswith(":generateContent"):
            questions.append(json.loads(await incoming.read()))
        return await gateway.handle(incoming)

    async def call() -> Generation:
        async with Emulator() as service, serve(handler) as url:
            gateway.target = service.base_url
            client = CLIENT_CLASSES[0](api_key=KEY, model=TEXT_MODEL, base_url=url, wants_images=False)
            async with client:
                return await client.generate(replace(request(image=BIG), max_output_tokens=5000))

    assert asyncio.run(call()).text
    (question,) = questions
    (part, words) = question["contents"][0]["parts"]
    assert part["fileData"]["file_uri"].endswith(gateway.seen[-1][1].rpartition("/")[2])
    assert part["fileData"]["mime_type"] == "image/jpeg"
    assert words == {"text": "describe it"}
    assert question["generationConfig"] == {"maxOutputTokens": 5000}


SMALL_ONLY = """
import asyncio, sys
from tests.emulator import Emulator
from tests.support.gemini_harness import ask
assert ask(Emulator()).text
print({"google.genai", "pydantic"} & {*sys.modules})
"""


def test_small_images_need_no_sdk() -> None:
    """A run without big images pays neither its time nor its memory."""
    result = subprocess.run(
        [sys.executable, "-c", SMALL_ONLY], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )

    assert result.stdout.strip() == "set()"


def test_without_the_sdk_small_images_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it cannot be used, an image too big for one request fails with the reason; no other does."""
    monkeypatch.setattr(gemini.client, "MAX_INLINE_BYTES", 1000)
    monkeypatch.setenv("GOOGLE_GENAI_HTTP_CLIENT", "httpx")

    async def call() -> list[object]:
        async with Emulator() as service:
            client = CLIENT_CLASSES[0](
                api_key=KEY, model=TEXT_MODEL, base_url=service.base_url, wants_images=False
            )
            async with client:
                asked = [client.generate(request(image=image)) for image in (BIG, IMAGE, BIG)]
                return list(await asyncio.gather(*asked, return_exceptions=True))

    first, small, last = asyncio.run(call())

    assert isinstance(small, Generation)
    for failure in (first, last):
        assert isinstance(failure, ApiFailure)
        assert failure.kind is ErrorKind.INVALID_REQUEST
        assert not failure.reached_server
        assert "httpx" in failure.detail


def picture_of(encoded: str) -> bytes | None:
    """Return the picture of a reply, or nothing where it cannot be read."""
    part = {"inlineData": {"mimeType": "image/png", "data": encoded}}
    try:
        answer = parse_response({"candidates": [{"content": {"parts": [part]}}]}, wants_images=True)
    except ApiFailure:
        return None
    return answer.images[0].data


@pytest.mark.parametrize("extra", [-2, -1, 0, 1, 2, 3, PIECE_CHARACTERS])
def test_a_picture_decoded_in_pieces_is_whole(extra: int) -> None:
    """Whatever its length, padded or not, in either alphabet."""
    picture = bytes(range(256)) * (PIECE_CHARACTERS // 256)
    picture = picture[: PIECE_CHARACTERS // 4 * 3 + extra] if extra < 4 else picture
    plain, for_urls = base64.b64encode(picture).decode(), base64.urlsafe_b64encode(picture).decode()

    assert picture_of(plain) == picture_of(for_urls) == picture_of(plain.rstrip("=")) == picture


def test_what_follows_the_padding_of_a_piece_is_noticed() -> None:
    """Two pictures in one, of which each piece by itself would be well."""
    piece = "A" * (PIECE_CHARACTERS - 2) + "=="

    assert picture_of(piece)
    assert picture_of(piece + "AAAA") is None
    assert picture_of(piece + "====") is None
