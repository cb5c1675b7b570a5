"""Simulated model: answers the requests of a dry run inside this process, without network or key.

Every answer says that it is simulated. The same image and prompt give the same answer.
"""

import hashlib
import struct
import zlib
from types import TracebackType
from typing import Protocol, Self

from models import (
    CHARACTERS_PER_TOKEN,
    IMAGE_INPUT_TOKENS,
    IMAGE_OUTPUT_TOKENS,
    GeneratedImage,
    Generation,
    GenerationRequest,
    Usage,
)

PICTURE_TOKENS = IMAGE_OUTPUT_TOKENS["1K"]

_PICTURE_PX = 64
_STRIPE_PX = 8


class InputEstimate(Protocol):
    """Estimate of the input tokens of a call."""

    def __call__(self, *, width: int, height: int, prompt: str) -> int:
        """Return the tokens of an image of so many pixels together with the prompt."""
        ...


def _estimate_tokens(*, width: int, height: int, prompt: str) -> int:  # noqa: ARG001 - of Gemini 3, any size
    return IMAGE_INPUT_TOKENS + len(prompt) // CHARACTERS_PER_TOKEN


class SimulatedModel:
    """A model that answers at once and costs nothing.

    Args:
        model: the model whose place it takes.
        wants_images: add a picture to every answer.
        estimate_tokens: input tokens that a real call would take.
        picture_tokens: output tokens that the picture of a real answer would take.
    """

    def __init__(
        self,
        *,
        model: str,
        wants_images: bool,
        picture_tokens: int = PICTURE_TOKENS,
        estimate_tokens: InputEstimate = _estimate_tokens,
    ) -> None:
        self._model = model
        self._wants_images = wants_images
        self._picture_tokens = picture_tokens
        self._estimate_tokens = estimate_tokens

    async def __aenter__(self) -> Self:
        """Return itself; there is nothing to open."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing; there is nothing to close."""

    async def generate(self, request: GenerationRequest) -> Generation:
        """Return a simulated answer; never fails."""
        sha256 = hashlib.sha256(request.image).hexdigest()
        text = (
            f"Simulated answer of a dry run: {self._model} was not asked.\n"
            f"image {sha256} ({request.mime_type}, {len(request.image)} bytes)\n"
            f"prompt {request.prompt}"
        )
        picture_tokens = self._picture_tokens if self._wants_images else 0
        return Generation(
            text=text,
            images=(_draw_picture(sha256 + request.prompt),) if self._wants_images else (),
            usage=Usage(
                input_tokens=self._estimate_tokens(
                    width=request.size[0], height=request.size[1], prompt=request.prompt
                ),
                output_tokens=len(text) // CHARACTERS_PER_TOKEN + picture_tokens,
                image_output_tokens=picture_tokens,
            ),
            finish_reason="STOP",
            model_version=f"{self._model} (simulated)",
            response_id=f"simulated-{sha256[:16]}",
        )


def _draw_picture(seed: str) -> GeneratedImage:
    """Return a small PNG of diagonal stripes, coloured by ``seed``, with a comment that says what it is."""
    red, green, blue = hashlib.sha256(seed.encode("utf-8", "surrogatepass")).digest()[:3]
    colours = bytes((red, green, blue)), b"\xff\xff\xff"
    rows = (
        b"\0" + b"".join(colours[(x + y) // _STRIPE_PX % 2] for x in range(_PICTURE_PX))
        for y in range(_PICTURE_PX)
    )
    header = struct.pack(">IIBBBBB", _PICTURE_PX, _PICTURE_PX, 8, 2, 0, 0, 0)
    chunks = (
        (b"IHDR", header),
        (b"tEXt", b"Comment\0dry run: simulated picture"),
        (b"IDAT", zlib.compress(b"".join(rows), 9)),
        (b"IEND", b""),
    )
    data = b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, content) for name, content in chunks)
    return GeneratedImage(data=data, mime_type="image/png")


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
