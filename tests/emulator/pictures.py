"""Small valid pictures whose bytes depend on nothing but a seed text.

PNG is made by hand from zlib; a JPEG is one fixed grey picture with the seed's hash in a comment.
"""

import base64
import hashlib
import struct
import zlib
from collections.abc import Iterator

_GREY_JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDACgcHiMeGSgjISMtKygwPGRBPDc3PHtYXUlkkYCZlo+AjIqgtObDoKrarYqMyP/L2u71"
    "////m8H////6/+b9//j/wAALCAAIAAgBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAAAP/EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAI"
    "AQEAAD8AP//Z"
)


def png(seed: str, edge_px: int) -> bytes:
    """Return a square picture of coloured noise in 8-bit RGB; about 3 * edge_px**2 bytes."""
    header = struct.pack(">IIBBBBB", edge_px, edge_px, 8, 2, 0, 0, 0)
    noise = hashlib.shake_256(seed.encode()).digest(edge_px * edge_px * 3)
    rows = b"".join(b"\x00" + row for row in _rows(noise, edge_px * 3))
    chunks = (_chunk(b"IHDR", header), _chunk(b"IDAT", zlib.compress(rows, 1)), _chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def jpeg(seed: str) -> bytes:
    """Return a grey picture of 8 x 8 pixels that differs from seed to seed by its comment only."""
    comment = hashlib.sha256(seed.encode()).hexdigest().encode()
    segment = b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment
    return _GREY_JPEG[:2] + segment + _GREY_JPEG[2:]


def _rows(noise: bytes, row_bytes: int) -> Iterator[bytes]:
    return (noise[at : at + row_bytes] for at in range(0, len(noise), row_bytes))


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)
