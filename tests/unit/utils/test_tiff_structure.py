"""Rules of reading the directories of a TIFF: pages are counted, and damage never ends in a loop."""

import struct
from random import Random

import pytest

from tests.support.tiff_writer import Pixel, TiffKind, tiff
from utils.tiff_structure import count_pages, read_layout

ROWS: list[list[Pixel]] = [[(x * 7 % 256,) for x in range(20)] for _ in range(15)]


@pytest.mark.parametrize("is_big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("subfiles", "pages"),
    [((), 1), ((0,), 2), ((2,) * 11, 12), ((1, 1, 1), 1), ((4,), 1), ((2, 1, 2, 5), 3)],
    ids=["one", "two", "twelve", "thumbnails", "a mask", "mixed"],
)
def test_pages_are_counted(subfiles: tuple[int, ...], pages: int, *, order: str, is_big: bool) -> None:
    """Every further picture is a page, but for thumbnails and masks of the same one."""
    first = TiffKind(order=order, is_big=is_big)
    more = [(ROWS, TiffKind(order=order, is_big=is_big, subfile=subfile)) for subfile in subfiles]

    assert count_pages(tiff(ROWS, first, *more)) == pages


@pytest.mark.parametrize("is_big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_layout_is_what_was_written(order: str, *, is_big: bool) -> None:
    """All that decides how the pixels are stored is read, in each byte order and size."""
    kind = TiffKind(
        order=order,
        is_big=is_big,
        bits=32,
        sample_format="float",
        tile=(16, 16),
        is_deflated=True,
        no_data="-1",
    )

    layout = read_layout(tiff(ROWS, kind))

    assert layout is not None
    assert (layout.width, layout.height, layout.bits, layout.samples) == (20, 15, 32, 1)
    assert (layout.sample_format, layout.compression, layout.tile) == (3, 8, (16, 16))
    assert (layout.is_big_endian, layout.is_big_tiff, layout.no_data) == (order == ">", is_big, -1.0)
    assert len(layout.offsets) == len(layout.byte_counts) == 2


def test_chain_that_bites_its_tail_ends() -> None:
    """A directory that names an earlier one as the next is the last page."""
    data = bytearray(tiff(ROWS, TiffKind(), (ROWS, TiffKind())))
    first = struct.unpack_from("<I", data, 4)[0]
    second_link = len(data) - 4
    struct.pack_into("<I", data, second_link, first)

    assert count_pages(bytes(data)) == 2


@pytest.mark.parametrize("is_big", [False, True])
def test_damage_never_raises(*, is_big: bool) -> None:
    """Wrong, missing and added bytes anywhere give a layout or none, and at least one page."""
    data, random = tiff(ROWS, TiffKind(is_big=is_big), (ROWS, TiffKind(is_big=is_big))), Random(is_big)
    for _ in range(3_000):
        wrong = bytearray(data[: random.randrange(len(data) + 1)] if random.random() < 0.3 else data)
        for _ in range(random.randrange(1, 6)):
            if wrong:
                wrong[random.randrange(len(wrong))] = random.choice([0, 1, 0xFF, random.randrange(256)])
        assert count_pages(bytes(wrong)) >= 1
        layout = read_layout(bytes(wrong))
        assert layout is None or layout.description
