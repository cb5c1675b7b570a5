"""Rules of spreading values over shades of grey: what people could see in them is seen."""

import math
from random import Random

import pytest
from PIL import Image

from utils.image_brightness import find_range, is_dark, range_of_bits, stretch


@pytest.mark.parametrize(
    ("values", "no_data", "expected"),
    [
        ([0, 1, 2], None, (0, 2)),
        ([-5, 10], None, (-5, 10)),
        ([3, 3, 3], None, None),
        ([], None, None),
        ([math.nan, math.inf, -math.inf], None, None),
        ([math.nan, 1, 2], None, (1, 2)),
        ([-9999, 1, 2], -9999.0, (1, 2)),
        ([-9999, -9999, 1, 2, 3], None, (1, 3)),
        ([0, 0, 0, 1, 1], None, (0, 1)),
        ([0, 0, 1, 2, 3], None, (0, 3)),
        ([-3.4e38, 5, 6], None, (5, 6)),
    ],
)
def test_range_is_that_of_the_measurements(
    values: list[float], no_data: float | None, expected: tuple[float, float] | None
) -> None:
    """The range goes from the lowest to the highest measurement; what stands for none has no say."""
    assert find_range(values, no_data) == expected


def test_a_few_outliers_do_not_flatten_all_others() -> None:
    """Of many values one in a thousand at each end is cut off."""
    random = Random(1)
    values = [random.uniform(100, 200) for _ in range(10_000)] + [1e6, 2e6, -1e6]

    bounds = find_range(values, None)

    assert bounds is not None
    assert 99 < bounds[0] < bounds[1] < 201


@pytest.mark.parametrize(
    ("highest", "white"),
    [(1, 1), (900, 1_023), (4_095, 4_095), (16_383, 16_383), (16_384, 65_535), (65_535, 65_535)],
)
def test_smaller_range_in_sixteen_bits_is_found(highest: int, white: int) -> None:
    """As many bits as are used make white, unless nearly all are."""
    assert range_of_bits(highest) == (0, white)


@pytest.mark.parametrize("mode", ["I;16", "I;16B"])
@pytest.mark.parametrize(
    ("highest", "dark"), [(0, False), (1, True), (4_095, True), (16_383, True), (16_384, False)]
)
def test_dark_means_that_most_bits_are_unused(mode: str, highest: int, *, dark: bool) -> None:
    """A black picture is black; one with little in it is dark."""
    image = Image.new(mode, (4, 4), 0)
    image.putpixel((1, 1), highest)

    assert is_dark(image) is dark
    if dark:
        assert stretch(image).getextrema() == (0, 255)
