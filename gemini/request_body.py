"""How does one question become the body of a request, without holding up everything else?

Made by the SDK, or by ``json.dumps`` over an image, it stops the event loop: 35 ms for an image of 4 MB,
114 ms for one of 14 MB (google-genai 3.4.0, 2 cores, November 2026; 6 and 8 ms this way). So the JSON
is made without the image, which is encoded piece by piece between its two halves while it is sent.
This file knows neither who is asked nor what is answered.

Source of the fields: Google's page on generateContent, and what google-genai 3.4 to 3.6 send, 2026-11.
"""

import asyncio
import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

from aiohttp import payload
from aiohttp.abc import AbstractStreamWriter

from models import GenerationRequest

_PIECE_BYTES = 3 * 2**14
"""Of the image, encoded at once; a multiple of 3, so that pieces join. Larger ones take new memory from the
system for each, which costs more than to encode them (200 KB in one: 0.9 ms, in these pieces: 0.3)."""
_PIECES_PER_TURN = 8
"""Pieces between which nobody else has a turn: half a millisecond."""

GenerationConfig = Mapping[str, Any]
"""The ``generationConfig`` of a request."""

_IMAGE_PREFIX = b'"data": "'
"""What the image follows. It is the first part, so that nothing a user writes comes before it."""


def build_image_body(request: GenerationRequest, config: GenerationConfig) -> payload.Payload:
    """Return the body of a question that carries its image."""
    image = {"inlineData": {"data": "", "mime_type": request.mime_type}}
    head, place, tail = _build_json([image], request, config).partition(_IMAGE_PREFIX)
    return _ImagePayload(head + place, request.image, tail)


def build_file_body(request: GenerationRequest, file_uri: str, config: GenerationConfig) -> payload.Payload:
    """Return the body of a question about an image that was uploaded."""
    image = {"fileData": {"file_uri": file_uri, "mime_type": request.mime_type}}
    body = _build_json([image], request, config)
    return payload.BytesPayload(body, content_type="application/json")


def build_text_body(request: GenerationRequest, config: GenerationConfig) -> payload.Payload:
    """Return the body of a question without an image."""
    return payload.BytesPayload(_build_json([], request, config), content_type="application/json")


def _build_json(image: list[dict[str, Any]], request: GenerationRequest, config: GenerationConfig) -> bytes:
    """Return the JSON of a question, with the fields in the spelling and order of the SDK."""
    parts = [*image, {"text": request.prompt}]
    contents = [{"parts": parts, "role": "user"}]
    return json.dumps({"contents": contents, "generationConfig": dict(config)}).encode()


class _ImagePayload(payload.Payload):
    """A JSON body with an image in its middle, which is encoded while it is sent."""

    def __init__(self, head: bytes, image: bytes, tail: bytes) -> None:
        super().__init__(image, content_type="application/json")
        self._head, self._image, self._tail = head, image, tail
        self._size = len(head) + -(-len(image) // 3) * 4 + len(tail)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the whole body; nobody asks for it while sending."""
        body = self._head + base64.b64encode(self._image) + self._tail
        return body.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send the body, giving way to others after each piece but the last."""
        image, before = memoryview(self._image), self._head
        starts = range(0, max(1, len(image)), _PIECE_BYTES)
        for number, start in enumerate(starts, start=1):
            piece = before + binascii.b2a_base64(image[start : start + _PIECE_BYTES], newline=False)
            is_last, before = number == len(starts), b""
            # The ends go along with a piece, since each write is a system call.
            await writer.write(piece + self._tail if is_last else piece)
            if number % _PIECES_PER_TURN == 0:
                await asyncio.sleep(0)
