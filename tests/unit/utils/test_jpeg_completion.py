"""Rules of JPEGs without an end mark: sent with one if all rows are there, refused otherwise."""

import io
import struct
from itertools import product
from pathlib import Path

import pytest
from PIL import Image

from tests.support.hostile_images import encoded, exif, picture
from tests.support.sample_images import WHOLE, inspect, refusal
from utils.image_decoding import find_missing_end
from utils.image_validator import load_for_upload
from utils.jpeg_completion import describe_rarity

_GRAIN = Image.merge("RGB", [Image.effect_noise((72, 40), 60.0)] * 3)

JPEGS = {
    "baseline": encoded(_GRAIN, "JPEG", quality=40),
    "with restart marks": encoded(_GRAIN, "JPEG", quality=40, restart_marker_blocks=1),
    "progressive": encoded(_GRAIN, "JPEG", quality=40, progressive=True),
    "progressive with restart marks": encoded(
        _GRAIN, "JPEG", quality=40, progressive=True, restart_marker_rows=1
    ),
    "grey": encoded(_GRAIN.convert("L"), "JPEG", quality=90),
    "four inks": encoded(_GRAIN.convert("CMYK"), "JPEG", quality=30),
    "turned": encoded(_GRAIN, "JPEG", quality=60, exif=exif(6)),
    "one colour": encoded(Image.new("RGB", (64, 64), (128, 128, 128)), "JPEG"),
    "panorama": encoded(picture(3, (640, 32)), "JPEG", subsampling=0),
}

_BLOCK = struct.pack("<HHI", 0, 0x0A01, 14) + b"Image_UTC_Data1641900000000"
_DIRECTORY = b"SEFH" + struct.pack("<IIHHII", 106, 1, 0, 0x0A01, 35, 35)
_SAMSUNG = _BLOCK + _DIRECTORY + struct.pack("<I", 24) + b"SEFT"
_FILM = _BLOCK + b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(range(256)) * 40 + _DIRECTORY
ENDINGS = {
    "nothing": b"",
    "half of the mark": b"\xff",
    "Samsung's trailer": _SAMSUNG,
    "Samsung's trailer with a film": _FILM,
    "zeros": bytes(5_000),
    "another picture": b"\xff\xd8" + WHOLE["jpeg"][2:],
}


@pytest.mark.parametrize(
    ("name", "ending"),
    # The rows of one colour are zeros themselves, which nothing tells from a download that broke off.
    sorted({*product(JPEGS, ENDINGS)} - {("one colour", "zeros")}),
)
def test_picture_with_all_rows_is_sent_with_an_end_mark(tmp_path: Path, name: str, ending: str) -> None:
    """Whatever stands in place of the end mark, the picture is sent whole, with the mark, and says so."""
    whole = JPEGS[name]
    facts = inspect(tmp_path / "image.jpg", whole[:-2] + ENDINGS[ending])
    if ending == "another picture":  # it has an end mark, which is the last thing looked for
        assert facts.end_mark_at in {None, len(whole) - 2}
        return

    upload = load_for_upload(tmp_path / "image.jpg", facts)

    assert "the missing end mark was added" in facts.notes
    assert Image.open(io.BytesIO(upload)).size == Image.open(io.BytesIO(whole)).size[:: _turn(name)]
    if facts.conversion is None:
        assert upload == whole


@pytest.mark.parametrize("ending", ["nothing", "Samsung's trailer", "zeros"])
@pytest.mark.parametrize("name", [name for name in JPEGS if name != "one colour"])
def test_picture_without_all_rows_is_refused(tmp_path: Path, name: str, ending: str) -> None:
    """A picture that is cut off in its rows is refused, also at a restart mark or between two scans."""
    whole = JPEGS[name]
    first = whole.index(b"\xff\xda") + 2
    restarts = [at for at in range(first, len(whole) - 4) if whole[at] == 0xFF and whole[at + 1] != 0]
    for cut in [*range(first + 20, len(whole) - 8, 37), *restarts[:-1]]:
        (tmp_path / "image.jpg").write_bytes(whole[:cut] + ENDINGS[ending])
        assert "cut off" in refusal(tmp_path / "image.jpg"), cut


def test_no_end_is_missing_in_rubbish() -> None:
    """What is no JPEG, or one without a picture, has no end to be added."""
    for data in (b"", b"\xff\xd8", b"\xff\xd8\xff\xe0\0\x10JFIF", JPEGS["baseline"][:200], WHOLE["png"]):
        assert find_missing_end(data) is None


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (b"\xff\xc1\0\x0b\x0c\0\x10\0\x10\1\1\x11\0", "of 12 bits"),
        (b"\xff\xc3\0\x0b\x08\0\x10\0\x10\1\1\x11\0", "lossless or arithmetic-coded"),
        (b"\xff\xc9\0\x0b\x08\0\x10\0\x10\1\1\x11\0", "lossless or arithmetic-coded"),
        (b"\xff\xc0\0\x0b\x08\0\x10\0\x10\1\1\x11\0", ""),
    ],
)
def test_rare_jpeg_is_told_from_a_damaged_one(tmp_path: Path, frame: bytes, words: str) -> None:
    """A JPEG that the decoder does not know is told by what is rare about it."""
    data = b"\xff\xd8" + frame + b"\xff\xda\0\x08\1\1\0\0\x3f\0rubbish\xff\xd9"
    (tmp_path / "image.jpg").write_bytes(data)

    assert words in describe_rarity(data)
    assert (words or "damaged or cut off") in refusal(tmp_path / "image.jpg")


def _turn(name: str) -> int:
    """Return the step that swaps width and height of a picture that lies on its side."""
    return -1 if name == "turned" else 1
