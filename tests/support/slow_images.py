"""Images that are small on the disk and take a program long to read: made to hold it, not to be seen.

Each builder returns the bytes of one file; ``SLOW_IMAGES`` names them all, with the suffix they take. They
are whole and valid as far as their formats say, but for their numbers.
"""

import io
import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Final

from PIL import Image


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, 2 + len(body)) + body


def _bits_to_bytes(bits: str) -> bytes:
    """Return coded bits as bytes of a scan, filled up with ones and with FF stuffed."""
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")


def jpeg_of_scans(*, scans: int = 10_000, edge: int = 8_192, orientation: int = 6) -> bytes:
    """Return a grey progressive JPEG of so many scans, each of which passes over all blocks.

    With an orientation but 1 it has to be decoded, because it is turned before it is sent.
    """
    blocks = (edge // 8) ** 2
    tables = (
        _segment(0xDB, b"\0" + bytes([1] * 64)),
        _segment(0xC2, struct.pack(">BHHB", 8, edge, edge, 1) + b"\1\x11\0"),
        _segment(0xC4, b"\0" + bytes([1] + [0] * 15) + b"\0"),  # DC: one code, no difference
        _segment(0xC4, b"\x10" + bytes([1] + [0] * 15) + b"\xe0"),  # AC: one code, a run of empty blocks
    )
    dc_scan = _segment(0xDA, b"\1\1\0\0\0\0") + _bits_to_bytes("0" * blocks)
    runs, left = [], blocks
    while left:
        run = min(left, 32_767)
        left -= run
        runs.append("0" + format(max(run, 16_384) - 16_384, "014b"))
    ac_scan = _segment(0xDA, b"\1\1\0\1\x3f\0") + _bits_to_bytes("".join(runs))
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1" + struct.pack(">HH", orientation, 0) + bytes(4)
    return b"".join((b"\xff\xd8", _segment(0xE1, exif), *tables, dc_scan, ac_scan * scans, b"\xff\xd9"))


def _chunk(name: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_of_chunks(*, chunks: int = 400_000, name: bytes = b"IDAT") -> bytes:
    """Return a PNG of so many chunks without content before the one that holds the picture."""
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0))
    pixels = _chunk(b"IDAT", zlib.compress((b"\0" + bytes(192)) * 64))
    return b"\x89PNG\r\n\x1a\n" + header + _chunk(name) * chunks + pixels + _chunk(b"IEND")


def tiff_of_pages(*, pages: int = 2_000, entries: int = 65_000) -> bytes:
    """Return a TIFF whose pages share one region of entries, so that few bytes are many directories."""
    tags = {256: 8, 257: 8, 258: 8, 259: 1, 262: 1, 277: 1, 278: 8, 279: 64}
    first_at = 8 + 64
    own = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted({**tags, 273: 8}.items()))
    filler_at = first_at + 2 + len(own) + 4
    # Directory k begins 2 bytes after the one before; all bytes between are the entries of all.
    starts = [filler_at + 14 * number for number in range(pages)]
    length = 14 * pages + 12 * entries + 64
    body = bytearray(length)
    for at, following in zip(starts, [*starts[1:], 0], strict=True):
        struct.pack_into("<H", body, at - filler_at, entries)
        end = at - filler_at + 2 + 12 * entries
        struct.pack_into("<I", body, end, following)
    head = b"II*\0" + struct.pack("<I", first_at) + bytes(64)
    return head + struct.pack("<H", 9) + own + struct.pack("<I", starts[0]) + bytes(body)


def tiff_of_large_tags(*, tags: int = 30_000, value_bytes: int = 1_000_000) -> bytes:
    """Return a TIFF whose tags all name the same megabyte: a reader that keeps each fills the memory."""
    at = 8 + value_bytes
    entries = [(256, 4, 1, 8), (257, 4, 1, 8), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8)]
    entries += [(277, 3, 1, 1), (278, 4, 1, 8), (279, 4, 1, 64)]
    entries += [(30_000 + number, 7, value_bytes, 8) for number in range(tags)]
    directory = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return (
        b"II*\0" + struct.pack("<I", at) + bytes(value_bytes) + struct.pack("<H", len(entries)) + directory
    ) + bytes(4)


def gif_of_blocks(*, blocks: int = 4_000_000) -> bytes:
    """Return a GIF with a comment of so many sub-blocks of one byte before its picture."""
    buffer = io.BytesIO()
    Image.new("P", (8, 8), 3).save(buffer, "GIF")
    data = buffer.getvalue()
    at = 13 + 3 * 2 ** ((data[10] & 7) + 1) if data[10] & 0x80 else 13
    return data[:at] + b"\x21\xfe" + b"\1x" * blocks + b"\0" + data[at:]


def bmp_of_runs(*, edge: int = 7_000) -> bytes:
    """Return a BMP whose rows are runs of one pixel, which a decoder in Python takes minutes for."""
    rows = (b"\1\0" * edge + b"\0\0") * edge + b"\0\1"
    head = struct.pack("<IiiHHIIiiII", 40, edge, edge, 1, 8, 1, len(rows), 2_835, 2_835, 256, 0)
    offset = 14 + len(head) + 1_024
    return b"BM" + struct.pack("<IHHI", offset + len(rows), 0, 0, offset) + head + bytes(1_024) + rows


def jp2_of_layers(*, edge: int = 2_048, layers: int = 2_000) -> bytes:
    """Return a JPEG 2000 of many small tiles, whose header claims so many layers."""
    buffer = io.BytesIO()
    Image.new("L", (edge, edge), 77).save(buffer, "JPEG2000", tile_size=(16, 16), no_jp2=False)
    data = buffer.getvalue()
    at = data.index(b"\xff\x52") + 6
    return data[:at] + struct.pack(">H", layers) + data[at + 2 :]


SLOW_IMAGES: Final[Mapping[str, Callable[[], bytes]]] = {
    "scans.jpg": jpeg_of_scans,
    "chunks.png": png_of_chunks,
    "texts.png": lambda: png_of_chunks(name=b"tEXt"),
    "pages.tiff": tiff_of_pages,
    "tags.tiff": tiff_of_large_tags,
    "blocks.gif": gif_of_blocks,
    "runs.bmp": bmp_of_runs,
    "layers.jp2": jp2_of_layers,
}
