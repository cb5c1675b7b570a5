"""Image brightness: spreads measured values, and 12 bits in 16, over 256 shades of grey.

Cut off at 255, most measurements would be all white, and 12 bits in 16 would be black.
"""

import math
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from PIL import Image

MEASURED_MODES: Final = frozenset({"I", "F"})
"""Pillow's modes whose values have no natural black and white."""
DEEP_MODES: Final = frozenset({"I;16", "I;16B", "I;16L", "I;16N"})
"""Pillow's modes of 16 bits of grey."""

_DARK_BITS: Final = 14
"""A picture of 16 bits that uses no more than these is a smaller range in a larger one."""
_DARK_SHADES: Final = 1 << (_DARK_BITS - 8)
"""The same after the lower eight bits were cut off."""

_MAX_SAMPLES: Final = 200_000
"""About so many pixels say what the range is."""
_MIN_CLIPPED: Final = 1_000
"""From so many samples on, one in a thousand at each end is taken for an outlier."""

_NO_VALUE: Final = 1e30
"""Larger numbers, infinity and what is no number stand for missing measurements."""

Range = tuple[float, float]
"""The values that become black and white."""


def is_dark(image: Image.Image) -> bool:
    """Return whether a picture that had 16 bits a sample uses 14 of them or fewer, and is not all black."""
    highest = max(int(high) for _, high in _extrema(image))
    limit = 1 << _DARK_BITS if image.mode in DEEP_MODES else _DARK_SHADES
    return 0 < highest < limit


def stretch(image: Image.Image, no_data: float | None = None) -> Image.Image:
    """Return a picture of measured values, or a dark one of 16 bits, in 256 shades of grey."""
    if image.mode in DEEP_MODES:
        (_, highest), *_ = _extrema(image)
        return spread(image.convert("I").convert("F"), range_of_bits(int(highest)))
    return spread(image.convert("F"), find_range(_sample(image), no_data))


def spread(image: Image.Image, bounds: Range | None) -> Image.Image:
    """Return a picture of mode ``F`` in grey; None as the range cuts off at 0 and 255."""
    if bounds is None:
        return image.convert("L")
    low, high = bounds
    scale = 255 / (high - low)
    return image.point(lambda value: value * scale - low * scale).convert("L")


def range_of_bits(highest: int, full_bits: int = 16) -> Range:
    """Return the range of unsigned values: the bits that are used if they are few, else all of them."""
    used = max(1, highest.bit_length())
    return 0.0, float((1 << (used if used <= full_bits - 2 else full_bits)) - 1)


def find_range(values: Sequence[float], no_data: float | None) -> Range | None:
    """Return the range of sampled values without outliers; None if they are all alike.

    Not a number, infinity and ``no_data`` are no values.
    """
    finite = sorted(value for value in values if abs(value) < _NO_VALUE)
    if no_data is not None:  # which was noted with more digits than the pixels have
        finite = [value for value in finite if not math.isclose(value, no_data, rel_tol=1e-6)]
    finite = finite[_count_fill(finite) :]
    for clipped in (len(finite) // 1_000 if len(finite) >= _MIN_CLIPPED else 0, 0):
        low, high = (finite[clipped], finite[-1 - clipped]) if finite else (0.0, 0.0)
        if high > low:
            return low, high
    return None


def _count_fill(values: Sequence[float]) -> int:
    """Return how many of the sorted values are a fill such as -9999 that lies far below all others."""
    fill = bisect_right(values, values[0]) if values else 0
    is_far = fill < len(values) and values[fill] - values[0] > values[-1] - values[fill] > 0
    return fill if is_far and fill * 1_000 >= len(values) else 0


def _sample(image: Image.Image) -> "array[float] | array[int]":
    """Return evenly spread pixels of a picture of mode ``I`` or ``F``."""
    step = max(1, math.isqrt(image.width * image.height // _MAX_SAMPLES))
    values: array[float] | array[int] = array("i") if image.mode == "I" else array("f")
    for row in range(0, image.height, step):
        line = memoryview(image.crop((0, row, image.width, row + 1)).tobytes())
        values.frombytes((line.cast("i") if image.mode == "I" else line.cast("f"))[::step].tobytes())
    return values


def _extrema(image: Image.Image) -> list[tuple[float, float]]:
    """Return the lowest and highest value of each band."""
    # Pillow 13 knows the extremes of one of the deep modes only.
    bounds = (image.convert("I") if image.mode in DEEP_MODES else image).getextrema()
    bands = bounds if isinstance(bounds[0], tuple) else (bounds,)
    return [(float(str(low)), float(str(high))) for low, high in bands]
