"""Small images that are quick to make, no two with the same bytes.

Standard library alone: a process that imports this measures other processes, and must stay small.
"""

import random
import struct
import zlib
from pathlib import Path

EDGE_PX = 8


def write_images(folder: Path, *, first: int, count: int, per_folder: int) -> None:
    """Write ``count`` PNGs, numbered from ``first``, with at most ``per_folder`` in one folder."""
    for number in range(first, first + count):
        below = folder / f"{number // per_folder:05d}"
        if number in {first, number // per_folder * per_folder}:
            below.mkdir(parents=True, exist_ok=True)
        (below / f"photo-{number:07d}.png").write_bytes(png(number))


def png(number: int) -> bytes:
    """Return a small picture with a text chunk that no other number has."""
    header = struct.pack(">IIBBBBB", EDGE_PX, EDGE_PX, 8, 2, 0, 0, 0)
    rows = (b"\0" + b"\x40\x80\xc0" * EDGE_PX) * EDGE_PX
    chunks = (
        (b"IHDR", header),
        (b"tEXt", b"Comment\0photo %07d" % number),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def noise_png(size_bytes: int) -> bytes:
    """Return a whole PNG of noise with about so many bytes, as a model would draw it."""
    edge_px = max(1, round((size_bytes / 3) ** 0.5))
    rng = random.Random(1)
    rows = b"".join(b"\0" + rng.randbytes(3 * edge_px) for _ in range(edge_px))
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", edge_px, edge_px, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows, 0)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
