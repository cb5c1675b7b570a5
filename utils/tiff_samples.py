"""TIFF samples: decodes pictures of kinds that Pillow does not read, or reads wrongly.

Pillow unpacks the strips or tiles as if each byte were a grey pixel; their samples are put together here, a
few rows at a time. So all lossless compressions of libtiff work with all sizes of samples.
"""

import io
import struct
import sys
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from PIL import Image, ImageOps

from utils import image_brightness
from utils.image_brightness import Range
from utils.tiff_structure import Photometric, SampleFormat, TiffLayout

_LOSSLESS: Final = frozenset({1, 5, 8, 32_773, 32_946, 34_925, 50_000})
"""None, LZW, Deflate, PackBits, old Deflate, LZMA and Zstandard: what they unpack is the samples' bytes."""

_BAND_BYTES: Final = 8_000_000
"""About so many bytes of samples are put together at once."""
_SAMPLED_ROWS: Final = 400
_SAMPLED_COLUMNS: Final = 400
"""About so many rows and columns say what the range of measured values is."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """How samples of one size and format become floats."""

    raw_mode: str = ""
    """Pillow's word for them, or empty."""
    letter: str = ""
    """That of ``struct``, if Pillow has no word."""
    is_measured: bool = True
    """Their values have no natural black and white."""


_KINDS: Final = {
    (SampleFormat.UNSIGNED, 8): _Kind("F;8", is_measured=False),
    (SampleFormat.UNSIGNED, 16): _Kind("F;16N", is_measured=False),
    (SampleFormat.UNSIGNED, 32): _Kind("F;32N"),
    (SampleFormat.UNSIGNED, 64): _Kind(letter="Q"),
    (SampleFormat.SIGNED, 8): _Kind("F;8S"),
    (SampleFormat.SIGNED, 16): _Kind("F;16NS"),
    (SampleFormat.SIGNED, 32): _Kind("F;32NS"),
    (SampleFormat.SIGNED, 64): _Kind(letter="q"),
    (SampleFormat.FLOAT, 16): _Kind(letter="e"),
    (SampleFormat.FLOAT, 32): _Kind("F;32NF"),
    (SampleFormat.FLOAT, 64): _Kind("F;64NF"),
}
_ARRAYS: Final = {8: "B", 16: "H", 32: "I", 64: "Q"}
"""The kind of ``array`` that holds samples of so many bits, whatever they mean."""


def can_put_together(layout: TiffLayout) -> bool:
    """Return whether the samples can be put together here."""
    return (
        (layout.sample_format, layout.bits) in _KINDS
        and layout.compression in _LOSSLESS
        and layout.photometric in {*Photometric}
        and layout.fill_order == 1
        and layout.samples >= (3 if layout.photometric == Photometric.RGB else 1)
        and layout.predictor in ({1, 3} if layout.sample_format == SampleFormat.FLOAT else {1, 2})
    )


def is_misread(layout: TiffLayout) -> bool:
    """Return whether Pillow 13 decodes such a picture, but to something else than it shows.

    It takes white for black with more than 8 bits, signed 8 bits for unsigned and 32 bits for signed, reads
    half of the bytes of uncompressed planes, swaps those of compressed big-endian samples twice, and takes
    the first of many bands for the picture (tried with tests/unit/utils/test_tiff_samples.py, November 2026).
    """
    is_measured = layout.sample_format != SampleFormat.UNSIGNED
    if layout.bits == 8:
        return is_measured or (layout.photometric != Photometric.RGB and layout.samples >= 3)
    return layout.bits > 8 and (
        layout.photometric == Photometric.WHITE_IS_ZERO
        or (layout.bits == 32 and not is_measured)
        or (layout.is_planar and layout.compression == 1)
        or (is_measured and layout.is_big_endian and layout.compression != 1)
    )


def count_unsent(layout: TiffLayout) -> int:
    """Return how many samples of a pixel are left out besides transparency."""
    return max(0, layout.samples - len(_bands(layout)) - (layout.samples in {2, 4}))


def decode_samples(data: bytes, layout: TiffLayout) -> tuple[Image.Image, bool]:
    """Return the picture in grey or in colours, and whether its values were stretched.

    The picture is not turned upright. Raises what Pillow raises for damaged data.
    """
    source = _Source(data, layout)
    bounds = _find_range(source)
    bands = [Image.new("L", (layout.width, layout.height)) for _ in _bands(layout)]
    for top, planes in source.rows():
        for band, plane in zip(bands, planes, strict=True):
            band.paste(image_brightness.spread(plane, bounds), (0, top))
    if layout.photometric == Photometric.WHITE_IS_ZERO:
        bands = [ImageOps.invert(band) for band in bands]
    picture = bands[0] if len(bands) == 1 else Image.merge("RGB", bands)
    full = (0.0, float((1 << layout.bits) - 1))
    return picture, bounds != full


def _bands(layout: TiffLayout) -> range:
    """Return the samples that make the picture: one grey, or three taken for red, green and blue."""
    return range(3 if layout.samples >= 3 else 1)


def _find_range(source: "_Source") -> Range | None:
    """Return the values that become black and white, the same for all samples so that colours stay."""
    layout = source.layout
    if source.kind.is_measured:
        values = [
            value for _, planes in source.sampled_rows() for plane in planes for value in source.sample(plane)
        ]
        return image_brightness.find_range(values, layout.no_data)
    if layout.bits == 8:
        return 0.0, 255.0
    highest = max(int(float(str(plane.getextrema()[1]))) for _, planes in source.rows() for plane in planes)
    return image_brightness.range_of_bits(highest)


class _Source:
    """The samples of a picture, as planes of mode ``F``, some rows at a time."""

    def __init__(self, data: bytes, layout: TiffLayout) -> None:
        self.layout = layout
        self.kind = _KINDS[SampleFormat(layout.sample_format), layout.bits]
        self._step = max(1, layout.width // _SAMPLED_COLUMNS)
        self._in_pixel = 1 if layout.is_planar else layout.samples
        segment = layout.tile[0] if layout.tile else layout.width
        self._width = -(-layout.width // segment) * segment
        self._segment = segment * self._in_pixel
        self._raw = [
            _unpack_bytes(data, layout, part, width=self._width, in_pixel=self._in_pixel)
            for part in _parts(layout)
        ]

    def rows(self) -> Iterator[tuple[int, list[Image.Image]]]:
        """Yield the number of a row, and the planes of some rows from there on; all rows in the end."""
        height = max(1, _BAND_BYTES // self._raw[0].width)
        return self._rows(height, height)

    def sampled_rows(self) -> Iterator[tuple[int, list[Image.Image]]]:
        """Yield the same of rows that are evenly spread."""
        return self._rows(1, max(1, self.layout.height // _SAMPLED_ROWS))

    def _rows(self, height: int, step: int) -> Iterator[tuple[int, list[Image.Image]]]:
        width = self._raw[0].width
        for top in range(0, self.layout.height, step):
            bottom = min(self.layout.height, top + height)
            parts = [self._samples(raw.crop((0, top, width, bottom)).tobytes()) for raw in self._raw]
            if not self.layout.is_planar:
                parts = [parts[0][band :: self._in_pixel] for band in _bands(self.layout)]
            yield top, [self._plane(part, bottom - top) for part in parts]

    def sample(self, plane: Image.Image) -> "array[float]":
        """Return evenly spread values of a plane."""
        values = array("f")
        values.frombytes(memoryview(plane.tobytes()).cast("f")[:: self._step].tobytes())
        return values

    def _samples(self, data: bytes) -> "array[int]":
        """Return the samples of some rows in the processor's byte order, without the predictor."""
        layout, is_big_endian = self.layout, self.layout.is_big_endian
        if layout.predictor == 3:
            data, is_big_endian = self._undo_float_predictor(data), True
        samples: array[int] = array(_ARRAYS[layout.bits])
        samples.frombytes(data)
        if is_big_endian != (sys.byteorder == "big"):
            samples.byteswap()
        if layout.predictor == 2:
            self._undo_predictor(samples)
        return samples

    def _plane(self, samples: "array[int]", height: int) -> Image.Image:
        data = samples.tobytes()
        if self.kind.letter:
            data = array("f", struct.unpack(f"={len(samples)}{self.kind.letter}", data)).tobytes()
        size = (self._width, height)
        plane = Image.frombytes("F", size, data, "raw", self.kind.raw_mode or "F;32NF")
        return plane if self._width == self.layout.width else plane.crop((0, 0, self.layout.width, height))

    def _undo_predictor(self, samples: "array[int]") -> None:
        """Replace each difference from the sample of the pixel before by the sample itself."""
        mask = (1 << self.layout.bits) - 1
        for start in range(0, len(samples), self._segment):
            end = start + self._segment
            for band in range(start, start + self._in_pixel):
                sums = accumulate(samples[band : end : self._in_pixel])
                samples[band : end : self._in_pixel] = array(samples.typecode, [one & mask for one in sums])

    def _undo_float_predictor(self, data: bytes) -> bytes:
        """Return floats in big-endian order; each row of a segment has all first bytes, then all second ones.

        Source: Adobe Photoshop TIFF Technical Note 3, 2005.
        """
        size = self.layout.bits // 8
        rows = bytearray(data)
        for start in range(0, len(rows), self._segment * size):
            end = start + self._segment * size
            for band in range(start, start + self._in_pixel):
                sums = accumulate(rows[band : end : self._in_pixel])
                rows[band : end : self._in_pixel] = bytes(one & 0xFF for one in sums)
            planes = bytes(rows[start:end])
            for place in range(size):
                rows[start + place : end : size] = planes[place * self._segment :][: self._segment]
        return bytes(rows)


def _parts(layout: TiffLayout) -> Iterator[range]:
    """Yield the numbers of the strips or tiles that belong together."""
    if not layout.is_planar:
        yield range(len(layout.offsets))
        return
    count = len(layout.offsets) // layout.samples
    yield from (range(band * count, (band + 1) * count) for band in _bands(layout))


def _unpack_bytes(
    data: bytes, layout: TiffLayout, segments: range, *, width: int, in_pixel: int
) -> Image.Image:
    """Return the bytes of some strips or tiles, unpacked, as the pixels of a grey picture."""
    bytes_in_pixel = in_pixel * layout.bits // 8
    tags: dict[int, Sequence[int]] = {
        256: [width * bytes_in_pixel],
        257: [layout.height],
        258: [8],
        259: [layout.compression],
        262: [Photometric.BLACK_IS_ZERO],
        277: [1],
    }
    offsets, byte_counts = (
        list(values[segments.start : segments.stop]) for values in (layout.offsets, layout.byte_counts)
    )
    if layout.tile:
        tags |= {
            322: [layout.tile[0] * bytes_in_pixel],
            323: [layout.tile[1]],
            324: offsets,
            325: byte_counts,
        }
    else:
        tags |= {273: offsets, 278: [layout.rows_per_strip], 279: byte_counts}
    with Image.open(io.BytesIO(_with_directory(data, tags)), formats=["TIFF"]) as image:
        image.load()
        return image


def _with_directory(data: bytes, tags: dict[int, Sequence[int]]) -> bytes:
    """Return a TIFF with the bytes of ``data`` and a directory of these tags, all of them longs."""
    values, entries = b"", b""
    start = len(data) + len(data) % 2
    for tag in sorted(tags):
        packed = struct.pack(f"<{len(tags[tag])}I", *tags[tag])
        is_inline = len(packed) == 4
        place = packed if is_inline else struct.pack("<I", start + len(values))
        entries += struct.pack("<HHI", tag, 4, len(tags[tag])) + place
        values += b"" if is_inline else packed
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    head = b"II*\0" + struct.pack("<I", start + len(values))
    return b"".join((head, memoryview(data)[8:], bytes(start - len(data)), values, directory))
