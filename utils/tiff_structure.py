"""TIFF structure: the layout of the first picture and the number of pages, read from the directories.

Nothing is decoded here. Sources: TIFF 6.0 (Adobe, 1992) and BigTIFF
(https://www.awaresystems.be/imaging/tiff/bigtiff.html, November 2026).
"""

import contextlib
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final


class SampleFormat(IntEnum):
    """How the bits of a sample are to be read; the values are those of the tag."""

    UNSIGNED = 1
    SIGNED = 2
    FLOAT = 3
    UNDEFINED = 4
    COMPLEX_INTEGER = 5
    COMPLEX_FLOAT = 6


class Photometric(IntEnum):
    """What a sample means; the values are those of the tag, the rarer ones left out."""

    WHITE_IS_ZERO = 0
    BLACK_IS_ZERO = 1
    RGB = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class TiffLayout:
    """The way in which a TIFF stores its first picture."""

    width: int
    """In pixels, as stored; ``orientation`` may swap width and height."""
    height: int
    bits: int
    """Bits of a sample; 0 if the samples differ."""
    samples: int
    """Samples of a pixel."""
    extra_samples: int
    """How many of them are neither grey nor a colour."""
    sample_format: int
    photometric: int
    compression: int
    predictor: int
    is_planar: bool
    """Each sample has strips or tiles of its own."""
    fill_order: int
    orientation: int
    is_big_endian: bool
    is_big_tiff: bool
    tile: tuple[int, int] | None
    """Width and height of a tile; None if the picture is stored in strips."""
    rows_per_strip: int
    offsets: tuple[int, ...]
    """Of the strips or tiles."""
    byte_counts: tuple[int, ...]
    no_data: float | None
    """Value of pixels without a measurement, as GDAL notes it; None if there is none."""

    @property
    def description(self) -> str:
        """The layout in words, for a user whose picture cannot be read."""
        what = _FORMAT_WORDS.get(self.sample_format, "")
        bits = f"{self.bits}-bit {what}" if self.bits else f"{what}mixed "
        return (
            f"{self.samples} {bits}sample{'' if self.samples == 1 else 's'} a pixel, "
            f"colour model {self.photometric}, compression {self.compression}"
        )

    def is_inside(self, length: int) -> bool:
        """Return whether all strips or tiles lie within a file of so many bytes."""
        ends = map(sum, zip(self.offsets, self.byte_counts, strict=False))
        return bool(self.offsets) and len(self.byte_counts) >= len(self.offsets) and max(ends) <= length


_FORMAT_WORDS: Final[Mapping[int, str]] = {
    SampleFormat.SIGNED: "signed ",
    SampleFormat.FLOAT: "floating-point ",
    SampleFormat.COMPLEX_INTEGER: "complex ",
    SampleFormat.COMPLEX_FLOAT: "complex ",
}

_MAX_DIRECTORIES: Final = 100_000
"""Most pages that are counted; a longer chain is damage."""
_MAX_ENTRIES: Final = 1_000_000
"""Most entries of all directories together, a second's work; pages that share their entries are no pages."""
_MAX_VALUES: Final = 10_000_000
"""Most values of a tag; strips of one row in the tallest picture are fewer."""

_REDUCED_OR_MASK: Final = 0b101
"""Bits of ``NewSubfileType``: a thumbnail, and a mask, are no pages."""
_OLD_REDUCED: Final = 2

_CODES: Final[Mapping[int, str]] = {
    1: "B", 2: "s", 3: "H", 4: "I", 6: "b", 7: "B", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q",
}  # fmt: skip
"""The types of a tag's values that are read here, in the letters of ``struct``."""

_Entry = tuple[int, int, int]
"""Type, count and position of a tag's values."""


def read_layout(data: bytes) -> TiffLayout | None:
    """Return the layout of the first picture; None if the first directory makes no sense."""
    with contextlib.suppress(struct.error, ValueError, OverflowError):
        reader = _Reader(data)
        directory = next(reader.directories(), None)
        return None if directory is None else _build_layout(reader, directory)
    return None


def count_pages(data: bytes) -> int:
    """Return the number of pages, thumbnails and masks not counted; at least 1."""
    pages = 0
    with contextlib.suppress(struct.error, ValueError, OverflowError):
        reader = _Reader(data)
        for number, directory in enumerate(reader.directories()):
            is_reduced = (
                reader.value(directory, 254, 0) & _REDUCED_OR_MASK
                or reader.value(directory, 255, 0) == _OLD_REDUCED
            )
            pages += number == 0 or not is_reduced
    return max(1, pages)


class _Reader:
    """The directories of a TIFF or BigTIFF; reading beyond the end raises ``struct.error``."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.is_big_endian = data[:2] == b"MM"
        self._order = ">" if self.is_big_endian else "<"
        self.is_big_tiff = self._unpack("H", 2) == 43
        # The head of a directory, one entry, and a position, in the two sizes.
        self._count, self._entry, self._position = (
            ("Q", "HHQQ", "Q") if self.is_big_tiff else ("H", "HHII", "I")
        )

    def directories(self) -> Iterator[dict[int, _Entry]]:
        """Yield the directory of each picture, by tag."""
        seen: set[int] = set()
        entries = 0
        at = self._unpack(self._position, 8 if self.is_big_tiff else 4)
        while at and at not in seen and len(seen) < _MAX_DIRECTORIES:
            seen.add(at)
            count = self._unpack(self._count, at)
            at += struct.calcsize(f"={self._count}")
            size = struct.calcsize(f"={self._entry}")
            entries += count
            if count > 65_535 or entries > _MAX_ENTRIES:
                raise ValueError("a directory without end")
            directory: dict[int, _Entry] = {}
            for start in range(at, at + count * size, size):
                tag, kind, values, _ = struct.unpack_from(f"{self._order}{self._entry}", self._data, start)
                directory.setdefault(
                    tag, (kind, values, start + size - struct.calcsize(f"={self._position}"))
                )
            yield directory
            at = self._unpack(self._position, at + count * size)

    def values(self, directory: Mapping[int, _Entry], tag: int) -> tuple[int, ...]:
        """Return the whole numbers of a tag; empty if it is absent or holds something else."""
        kind, count, at = directory.get(tag, (0, 0, 0))
        code = _CODES.get(kind, "s")
        if code == "s" or not 0 < count <= _MAX_VALUES:
            return ()
        return struct.unpack_from(f"{self._order}{count}{code}", self._data, self._locate(code, count, at))

    def value(self, directory: Mapping[int, _Entry], tag: int, default: int) -> int:
        """Return the first number of a tag, or the default."""
        return next(iter(self.values(directory, tag)), default)

    def text(self, directory: Mapping[int, _Entry], tag: int) -> str:
        """Return the text of a tag; empty if it is absent."""
        kind, count, at = directory.get(tag, (0, 0, 0))
        if _CODES.get(kind) != "s" or not 0 < count <= 1_000:
            return ""
        start = self._locate("s", count, at)
        return self._data[start : start + count].split(b"\0")[0].decode("ascii", "replace")

    def _locate(self, code: str, count: int, at: int) -> int:
        """Return where values begin: in the entry itself if they fit there."""
        inline = struct.calcsize(f"={self._position}")
        return at if struct.calcsize(f"={code}") * count <= inline else self._unpack(self._position, at)

    def _unpack(self, code: str, at: int) -> int:
        (value,) = struct.unpack_from(f"{self._order}{code}", self._data, at)
        return int(value)


def _build_layout(reader: _Reader, directory: Mapping[int, _Entry]) -> TiffLayout | None:
    def value(tag: int, default: int) -> int:
        return reader.value(directory, tag, default)

    width, height = value(256, 0), value(257, 0)
    bits = set(reader.values(directory, 258)) or {1}
    formats = set(reader.values(directory, 339)) or {1}
    if width <= 0 or height <= 0:
        return None
    is_tiled = 324 in directory
    return TiffLayout(
        width=width,
        height=height,
        bits=bits.pop() if len(bits) == 1 else 0,
        samples=value(277, 1),
        extra_samples=len(reader.values(directory, 338)),
        sample_format=formats.pop() if len(formats) == 1 else SampleFormat.UNDEFINED,
        photometric=value(262, 0),
        compression=value(259, 1),
        predictor=value(317, 1),
        is_planar=value(284, 1) == 2 and value(277, 1) > 1,
        fill_order=value(266, 1),
        orientation=value(274, 1),
        is_big_endian=reader.is_big_endian,
        is_big_tiff=reader.is_big_tiff,
        tile=(value(322, 0), value(323, 0)) if is_tiled else None,
        rows_per_strip=min(value(278, height), height),
        offsets=reader.values(directory, 324 if is_tiled else 273),
        byte_counts=reader.values(directory, 325 if is_tiled else 279),
        no_data=_parse_number(reader.text(directory, 42_113)),
    )


def _parse_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
