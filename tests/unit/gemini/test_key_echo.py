"""Rules of gemini/reply_parser.py: a reply that echoes the key does not bring it into any text."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from errors import ApiFailure
from gemini.client import GeminiClient
from tests.support.gateway import always_answer, serve
from tests.support.gemini_harness import SDK_WARNINGS, TEXT_MODEL, request

pytestmark = SDK_WARNINGS

KEY = "AIzaSy-Secret_4242"
HALVES = (KEY[:9], KEY[9:])


def said_about(body: str, status: int = 200) -> str:
    """Return all that the client says about a reply."""

    async def ask() -> str:
        async with serve(always_answer(status, body)) as url:
            client = GeminiClient(api_key=KEY, model=TEXT_MODEL, base_url=url, wants_images=False)
            async with client:
                try:
                    answer = await client.generate(request())
                except ApiFailure as failure:
                    texts = (failure.detail, failure.partial_text, failure.api_status)
                    return repr((*texts, failure.quota_ids))
                return repr((answer.text, answer.model_version, answer.response_id, answer.finish_reason))

    return asyncio.run(ask())


def document(*texts: str, finish: str = "STOP", **members: Any) -> str:
    """Return a reply with a part for each text."""
    parts = [{"text": text} for text in texts]
    return json.dumps({"candidates": [{"content": {"parts": parts}, "finishReason": finish}], **members})


def escaped(body: str) -> str:
    """Return the JSON with the key in escapes."""
    return body.replace(KEY, "".join(f"\\u{ord(sign):04x}" for sign in KEY))


@pytest.mark.parametrize("spell", [str, escaped], ids=["plain", "escaped"])
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (document(f"The key is {KEY}."), 200),
        (document("The key is ", *HALVES, "."), 200),
        (document("A cat.", modelVersion=KEY, responseId=f"id {KEY}"), 200),
        (document("The key is ", *HALVES, finish="MAX_TOKENS"), 200),
        (document("I'm sorry, but I can't help with that. ", *HALVES), 200),
        (document(f"A cat. {KEY}", finish=KEY), 200),
        (json.dumps({"error": {"code": 400, "message": f"bad key {KEY}", "status": KEY}}), 400),
        (json.dumps({"error": {"code": 500, "message": json.dumps({"key": KEY})}}), 500),
        (json.dumps({"error": {"code": 503, "message": escaped(json.dumps({"key": KEY}))}}), 503),
    ],
    ids=["text", "parts", "ids", "partial", "refusal", "reason", "error", "error in error", "escaped twice"],
)
def test_no_text_has_the_key(body: str, status: int, spell: Callable[[str], str]) -> None:
    """However it is echoed, and whatever becomes of the call."""
    said = said_about(spell(body), status)

    assert KEY not in said
    assert "".join(f"\\u{ord(sign):04x}" for sign in KEY[:6]) not in said.replace("\\\\", "\\")
