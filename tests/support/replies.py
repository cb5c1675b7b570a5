"""Replies of the service with status 200, and what the parser makes of them."""

import base64
from typing import Any

import pytest

from errors import ApiFailure, ErrorKind, FatalError, StopReason
from gemini.response_parser import parse_response
from models import Generation

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))

JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256))

USAGE = {
    "promptTokenCount": 1000,
    "toolUsePromptTokenCount": 5,
    "candidatesTokenCount": 30,
    "thoughtsTokenCount": 7,
    "cachedContentTokenCount": 900,
    "totalTokenCount": 1042,
}


def encoded(data: bytes) -> str:
    """Return standard base64."""
    return base64.b64encode(data).decode()


def picture(data: bytes = PNG, mime_type: str | None = "image/png", **more: Any) -> dict[str, Any]:
    """Return a part with a picture."""
    return {"inlineData": {"mimeType": mime_type, "data": encoded(data)}, **more}


def words(text: str = "A cat.", **more: Any) -> dict[str, Any]:
    """Return a part with text."""
    return {"text": text, **more}


def reply(*parts: Any, finish: str | None = "STOP", **more: Any) -> dict[str, Any]:
    """Return a reply with one candidate."""
    candidate = {"content": {"role": "model", "parts": list(parts)}, "finishReason": finish, "index": 0}
    return {"candidates": [candidate], "usageMetadata": USAGE, **more}


def read(body: Any, *, wants_images: bool = False) -> Generation | ErrorKind | StopReason:
    """Return the answer, or the failure in its place."""
    try:
        return parse_response(body, wants_images=wants_images)
    except ApiFailure as failure:
        return failure.kind
    except FatalError as error:
        return error.reason


def failure_of(body: Any, *, wants_images: bool = False) -> ApiFailure:
    """Return the failure that a reply is."""
    with pytest.raises(ApiFailure) as caught:
        parse_response(body, wants_images=wants_images)
    return caught.value
