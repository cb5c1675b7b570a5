"""Request body: the JSON of a request, with its image encoded in pieces while it is sent.

The event loop stands still for 8 ms with an image of 14 MB; the SDK takes 114 ms (docs/adr/0007).
Source of the fields: docs/api-facts.md, sections 1.3 and 2.1, and what google-genai 3.4 to 3.6 send.
"""

import asyncio
import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

from aiohttp import payload
from aiohttp.abc import AbstractStreamWriter

from gemini.generation_config import PART_RESOLUTION
from models import ByteCounter, GenerationRequest, ReferenceImage

_PIECE_BYTES = 3 * 2**14
"""Bytes of the image encoded at once; a multiple of 3, so that the pieces join. For larger ones the system
hands out new memory each time: 200 KB take 0.9 ms in one piece, 0.3 ms in these (docs/performance.md)."""
_PIECES_PER_TURN = 8
"""Pieces sent before other tasks get a turn: half a millisecond."""

GenerationConfig = Mapping[str, Any]
"""The ``generationConfig`` of a request."""

_IMAGE_PREFIX = b'"data": "'
"""The text before the image. The image is the first part, so that no prompt stands before it."""


def build_image_body(request: GenerationRequest, config: GenerationConfig) -> payload.Payload:
    """Return the body of a request that carries its image."""
    image = {"inlineData": {"data": "", "mime_type": request.mime_type}, **_resolution(request)}
    head, place, tail = _build_json([image], request, config).partition(_IMAGE_PREFIX)
    return _ImagePayload(head + place, request.image, tail, request.sent)


def build_file_body(request: GenerationRequest, file_uri: str, config: GenerationConfig) -> payload.Payload:
    """Return the body of a request about an uploaded image."""
    image = {
        "fileData": {"file_uri": file_uri, "mime_type": request.mime_type},
        **_resolution(request),
    }
    return _TextPayload(_build_json([image], request, config), request.sent)


def build_text_body(request: GenerationRequest, config: GenerationConfig) -> payload.Payload:
    """Return the body of a request without an image."""
    return _TextPayload(_build_json([], request, config), request.sent)


def _build_json(image: list[dict[str, Any]], request: GenerationRequest, config: GenerationConfig) -> bytes:
    """Return the JSON of a request, with the fields in the spelling of the SDK."""
    options = request.options
    # After the image in question, whose bytes take the place of the first empty data.
    references = [_build_reference(reference) for reference in options.reference_images]
    body: dict[str, Any] = {
        "contents": [{"parts": [*image, *references, {"text": request.prompt}], "role": "user"}]
    }
    if options.system_instruction is not None:
        body["systemInstruction"] = {"parts": [{"text": options.system_instruction}], "role": "user"}
    if options.safety:
        body["safetySettings"] = [
            {"category": category, "threshold": threshold} for category, threshold in options.safety
        ]
    return json.dumps(body | {"generationConfig": dict(config)}).encode()


def _build_reference(reference: ReferenceImage) -> dict[str, Any]:
    data = base64.b64encode(reference.data).decode()
    return {"inlineData": {"data": data, "mime_type": reference.mime_type}}


def _resolution(request: GenerationRequest) -> dict[str, Any]:
    """Return the resolution of an image that only a part can have, not the whole request."""
    is_of_part = request.options.media_resolution == PART_RESOLUTION
    return {"mediaResolution": {"level": f"MEDIA_RESOLUTION_{PART_RESOLUTION}"}} if is_of_part else {}


class _TextPayload(payload.BytesPayload):
    """A JSON body without an image."""

    def __init__(self, body: bytes, sent: ByteCounter) -> None:
        super().__init__(body, content_type="application/json")
        self._sent = sent

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Write the body and count it."""
        await super().write_with_length(writer, content_length)
        self._sent.count += self.size or 0


class _ImagePayload(payload.Payload):
    """A JSON body with an image in its middle, which is encoded while it is sent."""

    def __init__(self, head: bytes, image: bytes, tail: bytes, sent: ByteCounter) -> None:
        super().__init__(image, content_type="application/json")
        self._head, self._image, self._tail, self._sent = head, image, tail, sent
        self._size = len(head) + -(-len(image) // 3) * 4 + len(tail)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the whole body; not called while it is sent."""
        body = self._head + base64.b64encode(self._image) + self._tail
        return body.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write the body, with a turn for other tasks after every eighth piece."""
        image, before = memoryview(self._image), self._head
        starts = range(0, max(1, len(image)), _PIECE_BYTES)
        for number, start in enumerate(starts, start=1):
            piece = before + binascii.b2a_base64(image[start : start + _PIECE_BYTES], newline=False)
            is_last, before = number == len(starts), b""
            # Head and tail go along with a piece, because each write is a system call.
            piece += self._tail if is_last else b""
            await writer.write(piece)
            self._sent.count += len(piece)
            if number % _PIECES_PER_TURN == 0:
                await asyncio.sleep(0)
