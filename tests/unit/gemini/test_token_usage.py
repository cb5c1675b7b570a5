"""Rules of tokens in gemini/: how many an answer took, and how many it may take."""

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web

from gemini.client import GeminiClient
from gemini.response_parser import parse_response
from gemini.simulated import PICTURE_TOKENS, SimulatedModel
from models import GenerationRequest, Usage
from tests.support.gateway import serve
from tests.support.gemini_harness import IMAGE, KEY, SDK_WARNINGS, TEXT_MODEL

pytestmark = SDK_WARNINGS

WORDS = {"text": "A cat."}
PICTURE = {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}
DRAFT = {**PICTURE, "thought": True}


def usage_of(*parts: dict[str, Any], **metadata: Any) -> Usage:
    """Return the usage in an answer of these parts."""
    candidate = {"content": {"parts": list(parts)}, "finishReason": "STOP"}
    answer = parse_response({"candidates": [candidate], "usageMetadata": metadata}, wants_images=False)
    return answer.usage


def details(**counts: object) -> list[dict[str, Any]]:
    """Return what each modality took, as the service writes it."""
    return [{"modality": name, "tokenCount": count} for name, count in counts.items()]


@pytest.mark.parametrize(
    ("parts", "said", "expected"),
    [
        ([WORDS], {"candidatesTokensDetails": details(TEXT=1200)}, 0),
        ([WORDS], {}, 0),
        ([WORDS, PICTURE], {"candidatesTokensDetails": details(TEXT=80, IMAGE=1120)}, 1120),
        ([PICTURE], {"candidatesTokensDetails": details(IMAGE=1120)}, 1120),
        ([PICTURE], {"candidatesTokensDetails": details(image=1120)}, 1120),
        ([PICTURE], {"candidates_tokens_details": [{"modality": "IMAGE", "token_count": 1120}]}, 1120),
        ([PICTURE], {"candidatesTokensDetails": details(TEXT=80)}, 1120),
        ([PICTURE], {}, 1200),
        ([PICTURE], {"candidatesTokensDetails": "oops"}, 1200),
        ([PICTURE], {"candidatesTokensDetails": [7, None, {"modality": 3}]}, 1200),
        ([PICTURE], {"candidatesTokensDetails": details(IMAGE=99_999)}, 1200),
        ([PICTURE], {"candidatesTokensDetails": details(TEXT=99_999)}, 0),
        ([PICTURE], {"candidatesTokensDetails": details(IMAGE=-5)}, 1200),
        ([WORDS, DRAFT], {}, 0),
    ],
    ids=repr,
)
def test_what_pictures_took(parts: list[dict[str, Any]], said: dict[str, Any], expected: int) -> None:
    """By the service's own account; without one, all that is not words, and never more than there was."""
    usage = usage_of(*parts, promptTokenCount=1150, candidatesTokenCount=1200, thoughtsTokenCount=9, **said)

    assert usage == Usage(input_tokens=1150, output_tokens=1209, image_output_tokens=expected)


def test_usages_add_up() -> None:
    """Each count by itself."""
    one = Usage(input_tokens=1, output_tokens=20, image_output_tokens=3)

    assert one + one == Usage(input_tokens=2, output_tokens=40, image_output_tokens=6)


@pytest.mark.parametrize("wants_images", [True, False])
def test_a_simulated_picture_takes_tokens(*, wants_images: bool) -> None:
    """A dry run's counts say what a picture would take."""
    request = GenerationRequest(key="a", image=IMAGE, mime_type="image/jpeg", prompt="x", timeout_s=1)
    model = SimulatedModel(model="gemini-nano-banana-2.1", wants_images=wants_images)

    usage = asyncio.run(model.generate(request)).usage

    assert usage.image_output_tokens == (PICTURE_TOKENS if wants_images else 0)
    assert usage.output_tokens > usage.image_output_tokens


@pytest.mark.parametrize("bound", [None, 2048])
def test_the_bound_of_an_answer_is_sent(bound: int | None) -> None:
    """As ``maxOutputTokens``; where there is none, the word is not on the wire at all."""
    seen: list[dict[str, Any]] = []

    async def handler(incoming: web.Request) -> web.StreamResponse:
        seen.append(json.loads(await incoming.read()))
        return web.json_response({"candidates": [{"content": {"parts": [WORDS]}, "finishReason": "STOP"}]})

    async def ask() -> None:
        request = GenerationRequest(
            key="a", image=IMAGE, mime_type="image/jpeg", prompt="x", timeout_s=10, max_output_tokens=bound
        )
        async with serve(handler) as url:
            client = GeminiClient(api_key=KEY, model=TEXT_MODEL, base_url=url, wants_images=False)
            async with client:
                await client.generate(request)

    asyncio.run(ask())

    (body,) = seen
    assert body.get("generationConfig", {}).get("maxOutputTokens") == bound
