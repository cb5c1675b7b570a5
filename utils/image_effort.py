"""Effort: whether an image may take long to decode, counted from what its format says of its parts.

Ordinary images are far below every bound here, and counting takes a millisecond or less for them. What is
counted is what made a decoder work long for few bytes (measured, December 2026).
"""

import struct
from collections.abc import Callable, Mapping
from typing import Final

from utils.image_formats import ImageFormat, UnreadableImage

MAX_SCANS: Final = 1_000
"""Most scans of a JPEG that is decoded; encoders write up to about twenty."""
_MANY_SCANS: Final = 100
_MANY_SCANNED_PIXELS: Final = 2_000_000_000
"""Pixels times scans that take about two seconds."""
_MANY_PARTS: Final = 300_000
"""Parts that a loop in Python takes about a second for."""
_MANY_PIXELS: Final = 50_000_000
"""Pixels of a format that takes about 0.1 s for a million."""
_MANY_RUN_BYTES: Final = 2_000_000
"""Of a BMP whose pixels are runs, which Pillow reads in Python."""
_MANY_TILE_LAYERS: Final = 20_000
_MANY_ITEMS: Final = 2_000
_MANY_STRIP_SCANS: Final = 3_000
"""Scans of all strips of a TIFF whose strips are JPEGs, of one to three scans each."""


def may_take_long(data: bytes, kind: ImageFormat) -> bool:
    """Return whether decoding a file may take more than some seconds.

    Raises:
        UnreadableImage: it certainly does, and no program writes such files.
    """
    return _CHECKS.get(kind, _is_long_container)(data)


def _is_long_png(data: bytes) -> bool:
    return _count_png_chunks(data) > _MANY_PARTS


def _is_long_gif(data: bytes) -> bool:
    return _count_gif_blocks(data) > _MANY_PARTS


def _is_long_bmp(data: bytes) -> bool:
    is_of_runs = int.from_bytes(data[30:34], "little") in {1, 2}
    return is_of_runs and len(data) > _MANY_RUN_BYTES


def _is_long_tiff(data: bytes) -> bool:
    return data.count(b"\xff\xda") > _MANY_STRIP_SCANS


def _is_long_container(data: bytes) -> bool:
    """Return whether a HEIF or AVIF has large or many pictures, or lays one of them over itself again."""
    is_composed = b"iovl" in data or data.count(b"infe") > _MANY_ITEMS
    return is_composed or _read_box_pixels(data) > _MANY_PIXELS


def _is_long_jpeg(data: bytes) -> bool:
    # Within a scan FF is never followed by DA; a thumbnail adds a few.
    scans = data.count(b"\xff\xda")
    if scans > MAX_SCANS:
        raise UnreadableImage(
            f"The JPEG has {scans:,} scans, and has to be decoded; at most {MAX_SCANS:,} are. It is damaged"
            " or made to hold programs up: save it anew as an ordinary JPEG."
        )
    if scans <= _MANY_SCANS:
        return False
    return scans * _read_jpeg_pixels(data) > _MANY_SCANNED_PIXELS


def _read_jpeg_pixels(data: bytes) -> int:
    """Return the most pixels that a frame in the file declares."""
    most = 0
    for marker in (b"\xff\xc0", b"\xff\xc1", b"\xff\xc2"):
        at = data.find(marker)
        while 0 <= at <= len(data) - 9:
            height, width = struct.unpack_from(">HH", data, at + 5)
            most = max(most, height * width)
            at = data.find(marker, at + 2)
    return most


def _count_png_chunks(data: bytes) -> int:
    """Return how many chunks a PNG has, up to a few more than many."""
    count, position = 0, 8
    while position + 12 <= len(data) and count <= _MANY_PARTS:
        position += 12 + int.from_bytes(data[position : position + 4], "big")
        count += 1
    return count


def _count_gif_blocks(data: bytes) -> int:
    """Return how many sub-blocks a GIF has before its second picture, up to a few more than many."""
    position = 13 + _read_table_bytes(data[10:11])
    count = pictures = 0
    while position < len(data) and count <= _MANY_PARTS:
        mark = data[position]
        if mark == 0x2C:
            pictures += 1
            if pictures == 2:
                break
            position += 11 + _read_table_bytes(data[position + 9 : position + 10])
        elif mark == 0x21:
            position += 2
        else:
            break
        while position < len(data) and data[position] and count <= _MANY_PARTS:
            position += 1 + data[position]
            count += 1
        position += 1
    return count


def _read_table_bytes(flags: bytes) -> int:
    """Return the length of the colour table that a byte of flags announces."""
    bits = flags[0] if flags else 0
    return 3 * 2 ** ((bits & 7) + 1) if bits & 0x80 else 0


def _is_long_jpeg_2000(data: bytes) -> bool:
    at = data.find(b"\xff\x4f\xff\x51")
    style_at = data.find(b"\xff\x52", at)
    if at < 0 or style_at < 0 or len(data) < at + 40:
        return True
    width, height, left, top, tile_width, tile_height = struct.unpack_from(">6I", data, at + 8)
    tiles = -(-(width - left) // max(1, tile_width)) * -(-(height - top) // max(1, tile_height))
    layers = int.from_bytes(data[style_at + 6 : style_at + 8], "big")
    return bool(tiles * layers > _MANY_TILE_LAYERS or width * height > _MANY_PIXELS)


def _read_box_pixels(data: bytes) -> int:
    """Return the most pixels that a property of a HEIF or AVIF declares."""
    most, at = 0, data.find(b"ispe")
    while 0 <= at <= len(data) - 16 and most <= _MANY_PIXELS:
        width, height = struct.unpack_from(">II", data, at + 8)
        most = max(most, width * height)
        at = data.find(b"ispe", at + 4)
    return most


_CHECKS: Final[Mapping[ImageFormat, Callable[[bytes], bool]]] = {
    ImageFormat.JPEG: _is_long_jpeg,
    ImageFormat.PNG: _is_long_png,
    ImageFormat.GIF: _is_long_gif,
    ImageFormat.BMP: _is_long_bmp,
    ImageFormat.TIFF: _is_long_tiff,
    ImageFormat.JPEG_2000: _is_long_jpeg_2000,
    ImageFormat.WEBP: lambda _: False,  # at most 268 megapixels, which take seconds
}
"""What is counted; other formats are containers of boxes."""
