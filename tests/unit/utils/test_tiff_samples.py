"""Rules of reading TIFFs of all kinds: what is sent is what the file shows, whatever Pillow makes of it."""

import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.support.sample_images import inspect, refusal
from tests.support.tiff_writer import Pixel, TiffKind, tiff
from utils.image_validator import load_for_upload

WIDTH, HEIGHT = 37, 23
Rows = list[list[Pixel]]


def ramps(*ramp: Callable[[float], float]) -> Rows:
    """Return a picture whose samples are given from left (0) to right (1)."""
    return [[tuple(one(x / (WIDTH - 1)) for one in ramp) for x in range(WIDTH)] for _ in range(HEIGHT)]


def grey(low: float, high: float) -> Rows:
    """Return one rising ramp."""
    return ramps(lambda share: low + share * (high - low))


def colours(high: float, *, low: float = 0, extra: int = 0) -> Rows:
    """Return red rising, green falling, blue in the middle."""
    span = high - low
    return ramps(
        lambda share: low + share * span,
        lambda share: high - share * span,
        lambda _: low + span / 2,
        *[lambda share: low + share * span] * extra,
    )


def sent(path: Path, data: bytes) -> Image.Image:
    """Return the picture that is sent."""
    facts = inspect(path, data)
    image = Image.open(io.BytesIO(load_for_upload(path, facts)))
    image.load()
    return image.convert("I") if image.mode == "I;16" else image


GREYS = {
    "16 bits": (TiffKind(bits=16), grey(0, 65_535)),
    "16 bits, white is zero": (TiffKind(bits=16, photometric=0), grey(65_535, 0)),
    "16 bits with another sample": (
        TiffKind(bits=16, extra_samples=1),
        ramps(lambda s: s * 65_535, lambda _: 9),
    ),
    "10 bits in 16": (TiffKind(bits=16), grey(0, 1_023)),
    "12 bits in 16": (TiffKind(bits=16), grey(0, 4_095)),
    "14 bits in 16": (TiffKind(bits=16), grey(0, 16_383)),
    "12 bits in 16, white is zero": (TiffKind(bits=16, photometric=0), grey(4_095, 0)),
    "signed 8 bits": (TiffKind(bits=8, sample_format="signed"), grey(-128, 127)),
    "signed 16 bits": (TiffKind(bits=16, sample_format="signed"), grey(-30_000, 30_000)),
    "32 bits": (TiffKind(bits=32), grey(0, 4_000_000_000)),
    "signed 32 bits": (TiffKind(bits=32, sample_format="signed"), grey(-(2**31), 2**31 - 1)),
    "64 bits": (TiffKind(bits=64), grey(0, 2.0**60)),
    "signed 64 bits": (TiffKind(bits=64, sample_format="signed"), grey(-(2.0**60), 2.0**60)),
    "half floats": (TiffKind(bits=16, sample_format="float"), grey(0, 1)),
    "floats": (TiffKind(bits=32, sample_format="float"), grey(-3.5, 0.25)),
    "floats, white is zero": (TiffKind(bits=32, sample_format="float", photometric=0), grey(1, 0)),
    "doubles": (TiffKind(bits=64, sample_format="float"), grey(0, 1e9)),
}
COLOURS = {
    "8 bits": (TiffKind(photometric=2), colours(255)),
    "16 bits": (TiffKind(bits=16, photometric=2), colours(65_535)),
    "12 bits in 16": (TiffKind(bits=16, photometric=2), colours(4_095)),
    "signed 16 bits": (TiffKind(bits=16, sample_format="signed", photometric=2), colours(32_000)),
    "32 bits": (TiffKind(bits=32, photometric=2), colours(4_000_000_000)),
    "half floats": (TiffKind(bits=16, sample_format="float", photometric=2), colours(1)),
    "floats": (TiffKind(bits=32, sample_format="float", photometric=2), colours(1)),
    "doubles": (TiffKind(bits=64, sample_format="float", photometric=2), colours(100, low=50)),
    "five samples of 8 bits": (TiffKind(extra_samples=4), colours(255, extra=2)),
    "seven samples of 16 bits": (TiffKind(bits=16, photometric=2, extra_samples=4), colours(65_535, extra=4)),
}
STORAGES: dict[str, dict[str, Any]] = {
    "plain": {},
    "big-endian": {"order": ">"},
    "deflated": {"is_deflated": True},
    "in tiles": {"tile": (16, 16)},
    "in deflated tiles, big-endian": {"tile": (16, 16), "is_deflated": True, "order": ">"},
    "a BigTIFF": {"is_big": True},
    "a big-endian BigTIFF": {"is_big": True, "order": ">"},
}  # fmt: skip


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("name", GREYS)
def test_grey_of_any_kind_is_sent_as_it_looks(tmp_path: Path, name: str, storage: str) -> None:
    """From left to right it goes from black to white, also if the values leave most of the range unused."""
    kind, rows = GREYS[name]

    image = sent(tmp_path / "image.tif", tiff(rows, kind_with(kind, storage)))

    white = 65_535 if image.mode == "I" else 255
    shades = [float(str(image.getpixel((x, 11)))) / white for x in (0, 18, 36)]
    assert image.size == (WIDTH, HEIGHT)
    assert shades == pytest.approx([0, 0.5, 1], abs=0.02)


@pytest.mark.parametrize("is_planar", [False, True], ids=["together", "planes"])
@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("name", COLOURS)
def test_colours_of_any_kind_are_sent_as_they_look(
    tmp_path: Path, name: str, storage: str, *, is_planar: bool
) -> None:
    """Red rises, green falls, blue stays half: no channel is lost, swapped or stretched alone."""
    kind, rows = COLOURS[name]

    image = sent(tmp_path / "image.tif", tiff(rows, kind_with(kind, storage, is_planar=is_planar)))

    pixels = [image.convert("RGB").getpixel((x, 11)) for x in (0, 18, 36)]
    expected = [(0, 255, 127), (127, 127, 127), (255, 0, 127)]
    assert image.size == (WIDTH, HEIGHT)
    for seen, wanted in zip(pixels, expected, strict=True):
        assert seen == pytest.approx(wanted, abs=5)


@pytest.mark.parametrize("storage", ["deflated", "in deflated tiles, big-endian"])
@pytest.mark.parametrize(
    "kind",
    [
        TiffKind(bits=16, photometric=2, predictor=2),
        TiffKind(bits=32, photometric=2, predictor=2),
        TiffKind(bits=16, sample_format="signed", photometric=2, predictor=2),
        TiffKind(bits=16, sample_format="float", photometric=2, predictor=3),
        TiffKind(bits=32, sample_format="float", photometric=2, predictor=3),
        TiffKind(bits=64, sample_format="float", photometric=2, predictor=3),
    ],
    ids=lambda kind: f"{kind.sample_format} {kind.bits}",
)
def test_predictors_are_undone(tmp_path: Path, kind: TiffKind, storage: str) -> None:
    """A picture that was stored as differences of neighbours has its own values again."""
    high = {"float": 1.0, "signed": 32_000}.get(kind.sample_format, 2**kind.bits - 1)

    image = sent(tmp_path / "image.tif", tiff(colours(high), kind_with(kind, storage)))

    assert image.getpixel((18, 11)) == pytest.approx((127, 127, 127), abs=5)
    assert image.getpixel((36, 22)) == pytest.approx((255, 0, 127), abs=5)


@pytest.mark.parametrize(
    ("no_value", "no_data"),
    [(math.nan, ""), (math.inf, ""), (-3.4e38, ""), (-9999, "-9999"), (-9999, ""), (1e20, "1e20")],
)
def test_missing_measurements_do_not_darken_the_others(tmp_path: Path, no_value: float, no_data: str) -> None:
    """What stands for "no value" has no say in what is black and what is white."""
    rows: Rows = [[(no_value,) if x > 30 else (100 + x,) for x in range(WIDTH)] for _ in range(HEIGHT)]
    kind = TiffKind(bits=32, sample_format="float", no_data=no_data)

    image = sent(tmp_path / "image.tif", tiff(rows, kind))

    assert [image.getpixel((x, 11)) for x in (0, 15, 30)] == pytest.approx([0, 127, 255], abs=3)


def test_picture_of_one_value_is_no_failure(tmp_path: Path) -> None:
    """Nothing can be stretched where nothing differs."""
    for value in (0.0, 0.5, -7.0, 1e9):
        kind = TiffKind(bits=32, sample_format="float", photometric=2)
        assert sent(tmp_path / "image.tif", tiff(ramps(*[lambda _, value=value: value] * 3), kind)).size


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_rare_kind_is_sent_upright(tmp_path: Path, orientation: int) -> None:
    """What the scanner noted about the turn holds for pictures that Pillow does not read, too."""
    kind = TiffKind(bits=32, sample_format="float", photometric=2, orientation=orientation)
    data = tiff(colours(1), kind)

    image = sent(tmp_path / "image.tif", data)

    facts = inspect(tmp_path / "image.tif", data)
    red_at = {3: (0, 11), 6: (11, 36), 8: (11, 0)}[orientation]
    assert image.size == (facts.width, facts.height) == ((37, 23) if orientation == 3 else (23, 37))
    assert image.getpixel(red_at) == pytest.approx((255, 0, 127), abs=2)
    assert "turned upright" in facts.notes


_STRETCHED = "brightness stretched to 256 shades of each colour"
_THREE_OF_MANY = "more than three channels: the first three are sent as red, green and blue"


@pytest.mark.parametrize(
    ("kind", "rows", "note"),
    [
        (TiffKind(bits=16), grey(0, 4_095), "brightness stretched to 256 shades of grey"),
        (TiffKind(bits=16), grey(0, 65_535), None),
        (TiffKind(bits=16, photometric=2), colours(4_095), _STRETCHED),
        (TiffKind(bits=16, photometric=2), colours(65_535), None),
        (TiffKind(bits=32, sample_format="float", photometric=2), colours(1), _STRETCHED),
        (TiffKind(extra_samples=4), colours(255, extra=2), _THREE_OF_MANY),
        (TiffKind(photometric=2, extra_samples=1), colours(255, extra=1), None),
    ],
)
def test_what_is_done_to_samples_is_said(
    tmp_path: Path, kind: TiffKind, rows: Rows, note: str | None
) -> None:
    """A stretched or reduced picture says so, and no other does."""
    notes = inspect(tmp_path / "image.tif", tiff(rows, kind)).notes

    assert notes == ((note, "sent as a PNG") if note else ("sent as a PNG",))


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({262: 32_803}, "colour model 32803"),
        ({259: 34_887}, "compression 34887"),
        ({339: 6}, "complex"),
        ({258: 64, 339: 1, 262: 8}, "64-bit sample"),
    ],
)
def test_kind_that_nothing_here_reads_is_not_called_damaged(
    tmp_path: Path, tags: dict[int, int], words: str
) -> None:
    """The library's refusal of a whole file is told as what it is, with what to do."""
    kind = TiffKind(bits=32, other_tags=tags)
    path = tmp_path / "image.tif"
    path.write_bytes(tiff(grey(0, 1_000), kind))

    sentence = refusal(path)

    assert words in sentence
    assert "cannot be read here" in sentence
    assert "save it as a PNG" in sentence
    assert "damaged" not in sentence


@pytest.mark.parametrize("keep", [0.2, 0.5, 0.9])
def test_cut_off_rare_kind_is_called_cut_off(tmp_path: Path, keep: float) -> None:
    """A TIFF whose strips lie behind its end is damaged, whatever its kind."""
    kind = TiffKind(bits=32, sample_format="float", photometric=2)
    data = tiff(colours(1), kind)
    strips_first = data[: int(keep * len(data))]
    path = tmp_path / "image.tif"
    path.write_bytes(strips_first)

    assert "damaged or cut off" in refusal(path)


def kind_with(kind: TiffKind, storage: str, **more: bool) -> TiffKind:
    """Return the kind in another storage."""
    return TiffKind(**{**kind.__dict__, **STORAGES[storage], **more})
