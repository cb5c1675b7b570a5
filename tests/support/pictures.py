"""Real pictures for tests of answers, and the parts that carry them."""

import base64
import io
import random
from typing import Any

from PIL import Image


def picture_file(kind: str = "PNG", side: int = 24, seed: int = 0) -> bytes:
    """Return a picture of noise, which no encoder can make small."""
    pixels = random.Random(seed).randbytes(3 * side * side)
    buffer = io.BytesIO()
    Image.frombytes("RGB", (side, side), pixels).save(buffer, kind)
    return buffer.getvalue()


def png(side: int = 24, seed: int = 0) -> bytes:
    """Return a PNG."""
    return picture_file("PNG", side, seed)


def encode(data: bytes) -> str:
    """Return standard base64."""
    return base64.b64encode(data).decode()


def picture_part(data: bytes, mime_type: str = "image/png") -> dict[str, Any]:
    """Return a part with a picture."""
    return {"inlineData": {"mimeType": mime_type, "data": encode(data)}}
