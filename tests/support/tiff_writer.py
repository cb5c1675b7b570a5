"""A writer of TIFFs of all the kinds that cameras, scanners and scientists make."""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain

Pixel = tuple[float, ...]
"""The samples of a pixel, as they are stored."""

_LETTERS = {
    ("unsigned", 8): "B", ("unsigned", 16): "H", ("unsigned", 32): "I", ("unsigned", 64): "Q",
    ("signed", 8): "b", ("signed", 16): "h", ("signed", 32): "i", ("signed", 64): "q",
    ("float", 16): "e", ("float", 32): "f", ("float", 64): "d",
}  # fmt: skip
_FORMATS = {"unsigned": 1, "signed": 2, "float": 3}


@dataclass(frozen=True, kw_only=True)
class TiffKind:
    """How the samples of a picture are stored."""

    bits: int = 8
    sample_format: str = "unsigned"
    photometric: int = 1
    extra_samples: int = 0
    order: str = "<"
    is_planar: bool = False
    is_deflated: bool = False
    predictor: int = 1
    tile: tuple[int, int] | None = None
    is_big: bool = False
    orientation: int = 1
    no_data: str = ""
    subfile: int = 0
    other_tags: dict[int, int] = field(default_factory=dict)

    @property
    def letter(self) -> str:
        """The letter of ``struct`` for a sample."""
        return _LETTERS[self.sample_format, self.bits]


def tiff(
    rows: Sequence[Sequence[Pixel]], kind: TiffKind, *more: tuple[Sequence[Sequence[Pixel]], TiffKind]
) -> bytes:
    """Return a TIFF with the picture, and with further ones on pages of their own."""
    order, is_big = kind.order, kind.is_big
    mark = b"II" if order == "<" else b"MM"
    data = bytearray(
        mark + struct.pack(order + ("HHHQ" if is_big else "HI"), *((43, 8, 0, 0) if is_big else (42, 0)))
    )
    link = 8 if is_big else 4
    for picture, its in ((rows, kind), *more):
        link = _append_page(data, picture, its, link)
    return bytes(data)


def _append_page(data: bytearray, rows: Sequence[Sequence[Pixel]], kind: TiffKind, link: int) -> int:
    """Add a page whose directory the bytes at ``link`` point to; return where the next link is."""
    samples = len(rows[0][0])
    offsets, counts = [], []
    planes = [[[(pixel[band],) for pixel in row] for row in rows] for band in range(samples)]
    for plane in planes if kind.is_planar else [rows]:
        for part in _split(plane, kind.tile):
            packed = _pack(part, kind)
            packed = zlib.compress(packed) if kind.is_deflated else packed
            offsets.append(len(data))
            counts.append(len(packed))
            data += packed + bytes(len(packed) % 2)
    tags: dict[int, Sequence[int] | str] = {
        254: [kind.subfile], 256: [len(rows[0])], 257: [len(rows)], 258: [kind.bits] * samples,
        259: [8 if kind.is_deflated else 1], 262: [kind.photometric], 274: [kind.orientation], 277: [samples],
        284: [2 if kind.is_planar else 1], 317: [kind.predictor],
        339: [_FORMATS[kind.sample_format]] * samples,
        **{tag: [value] for tag, value in kind.other_tags.items()},
    }  # fmt: skip
    if kind.extra_samples:
        tags[338] = [0] * kind.extra_samples
    if kind.no_data:
        tags[42_113] = kind.no_data
    if kind.tile:
        tags |= {322: [kind.tile[0]], 323: [kind.tile[1]], 324: offsets, 325: counts}
    else:
        tags |= {273: offsets, 278: [_ROWS_PER_STRIP], 279: counts}
    return _append_directory(data, tags, kind, link)


_ROWS_PER_STRIP = 7


def _split(rows: Sequence[Sequence[Pixel]], tile: tuple[int, int] | None) -> list[Sequence[Sequence[Pixel]]]:
    """Return the strips, or the tiles, the last of a row or column filled up."""
    if tile is None:
        return [rows[top : top + _ROWS_PER_STRIP] for top in range(0, len(rows), _ROWS_PER_STRIP)]
    width, height = tile
    nothing = (0,) * len(rows[0][0])
    parts: list[Sequence[Sequence[Pixel]]] = []
    for top in range(0, len(rows), height):
        for left in range(0, len(rows[0]), width):
            part = [[*row[left : left + width]] for row in rows[top : top + height]]
            part = [row + [nothing] * (width - len(row)) for row in part]
            parts.append(part + [[nothing] * width] * (height - len(part)))
    return parts


def _pack(rows: Sequence[Sequence[Pixel]], kind: TiffKind) -> bytes:
    return b"".join(_pack_row([*chain.from_iterable(row)], len(row[0]), kind) for row in rows)


def _pack_row(values: list[float], samples: int, kind: TiffKind) -> bytes:
    if kind.sample_format != "float":
        values = [int(value) for value in values]
    if kind.predictor == 2:
        before = [0] * samples + values[:-samples]
        mask = (1 << kind.bits) - 1
        values = [(int(one) - int(other)) & mask for one, other in zip(values, before, strict=True)]
        return struct.pack(f"{kind.order}{len(values)}{_LETTERS['unsigned', kind.bits]}", *values)
    if kind.predictor == 3:
        size = kind.bits // 8
        packed = struct.pack(f">{len(values)}{kind.letter}", *values)
        planes = b"".join(packed[place::size] for place in range(size))
        before_bytes = bytes(samples) + planes[:-samples]
        return bytes((one - other) & 0xFF for one, other in zip(planes, before_bytes, strict=True))
    return struct.pack(f"{kind.order}{len(values)}{kind.letter}", *values)


def _append_directory(
    data: bytearray, tags: dict[int, Sequence[int] | str], kind: TiffKind, link: int
) -> int:
    order, number = kind.order, "Q" if kind.is_big else "I"
    entries = b""
    for tag, values in sorted(tags.items()):
        if isinstance(values, str):
            letter, type_, packed = "s", 2, values.encode() + b"\0"
        else:
            letter, type_ = ("H", 3) if max(values) < 1 << 16 and tag != 273 else ("I", 4)
            packed = struct.pack(f"{order}{len(values)}{letter}", *values)
        count = len(packed) if letter == "s" else len(values)
        if len(packed) <= struct.calcsize(number):
            place = packed.ljust(struct.calcsize(number), b"\0")
        else:
            place = struct.pack(order + number, len(data))
            data += packed + bytes(len(packed) % 2)
        entries += struct.pack(f"{order}HH{number}", tag, type_, count) + place
    start = len(data)
    data[link : link + struct.calcsize(number)] = struct.pack(order + number, start)
    data += struct.pack(f"{order}{'Q' if kind.is_big else 'H'}", len(tags)) + entries
    link = len(data)
    data += bytes(struct.calcsize(number))
    return link
