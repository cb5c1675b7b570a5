"""Rules of opening pictures: what the library refuses is not damaged for it, and memory has an end."""

import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from tests.support.hostile_images import encoded, exif, picture
from tests.support.sample_images import WHOLE, inspect, refusal
from utils.image_decoding import open_picture
from utils.image_formats import ImageFormat, NotEnoughMemory, TooLargeImage, UnreadableImage
from utils.image_structure import is_container_whole, keep_picture_chunks
from utils.image_validator import load_for_upload

_TEXT = zlib.compress(b'{"nodes": [' + b'{"id": 1, "type": "KSampler"},' * 60_000 + b"]}")
_PROFILE = zlib.compress(bytes(range(256)) * 6_000)
_XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


def chunk(name: bytes, body: bytes, *, wrong_sum: int = 0) -> bytes:
    """Return a chunk of a PNG."""
    checksum = zlib.crc32(name + body) ^ wrong_sum
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", checksum)


REMARKS = {
    "a large compressed text": chunk(b"zTXt", b"workflow\0\0" + _TEXT),
    "a large international text": chunk(b"iTXt", b"prompt\0\1\0\0\0" + _TEXT),
    "a large plain text": chunk(b"tEXt", b"workflow\0" + bytes(b % 90 + 32 for b in range(256)) * 8_000),
    "seventy large texts": 70 * chunk(b"zTXt", b"workflow\0\0" + _TEXT),
    "a printer's profile": chunk(b"iCCP", b"printer\0\0" + _PROFILE),
    "a broken profile": chunk(b"iCCP", b"printer\0\0rubbish"),
    "a broken text": chunk(b"zTXt", b"workflow\0\0rubbish"),
    "a text with a wrong sum": chunk(b"tEXt", b"workflow\0x", wrong_sum=1),
    "an unknown chunk with a wrong sum": chunk(b"prVt", b"x", wrong_sum=1),
}


@pytest.mark.parametrize("place", ["before the pixels", "behind them"])
@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("name", REMARKS)
def test_what_a_png_says_besides_its_pixels_is_no_damage(
    tmp_path: Path, name: str, orientation: int, place: str
) -> None:
    """Texts and profiles of any size, and broken ones, leave the picture whole; it is turned if need be."""
    data = encoded(picture(), "PNG", exif=exif(orientation))
    at = 33 if place == "before the pixels" else len(data) - 12
    data = data[:at] + REMARKS[name] + data[at:]

    facts = inspect(tmp_path / "image.png", data)

    upload = load_for_upload(tmp_path / "image.png", facts)
    assert (facts.conversion is None) is (orientation == 1)
    assert (upload == data) is (orientation == 1)
    assert (facts.width, facts.height) == ((48, 32) if orientation == 1 else (32, 48))


def test_orientation_in_xmp_is_obeyed(tmp_path: Path) -> None:
    """Of all texts of a PNG one says how the picture is turned."""
    data = encoded(picture(), "PNG")
    xmp = chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + _XMP)
    facts = inspect(tmp_path / "image.png", data[:33] + xmp + REMARKS["a large compressed text"] + data[33:])

    assert (facts.width, facts.height) == (32, 48)


def test_damage_of_what_makes_the_picture_is_still_seen(tmp_path: Path) -> None:
    """A wrong sum over the pixels or the palette is damage, whatever else is skipped."""
    for name in ("png", "palette png"):
        for mark in (b"IHDR", b"PLTE", b"IDAT"):
            data = bytearray(WHOLE[name])
            at = data.find(mark)
            if at >= 0:
                data[at + 5] ^= 1
                (tmp_path / "image.png").write_bytes(REMARKS["a broken text"].join([data[:33], data[33:]]))
                assert "damaged or cut off" in refusal(tmp_path / "image.png")


def test_cut_off_chunks_stay_cut_off() -> None:
    """Skipping chunks never makes a whole file out of half of one."""
    data = WHOLE["png"]
    assert keep_picture_chunks(data) == data
    for keep in range(len(data)):
        assert len(keep_picture_chunks(data[:keep])) == keep


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_picture_that_is_sent_as_it_is_has_no_pixel_limit(tmp_path: Path, kind: str) -> None:
    """200 megapixels are checked by their structure and sent; nothing decodes them."""
    data = encoded(Image.new("L", (16_320, 12_240), 120), kind)

    facts = inspect(tmp_path / "image", data)

    assert (facts.width, facts.height, facts.conversion) == (16_320, 12_240, None)


@pytest.mark.parametrize("name", ["webp", "heic"])
def test_picture_too_large_to_decode_is_sent_by_its_container(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If only the check would decode it, its container must say that it is whole; a cut one is refused."""
    monkeypatch.setattr("utils.image_decoding.MAX_DECODED_BYTES", 1_000)

    facts = inspect(tmp_path / "image", encoded(picture(1, (64, 64)), {"webp": "WEBP", "heic": "HEIF"}[name]))
    (tmp_path / "image").write_bytes((tmp_path / "image").read_bytes()[:-1])

    assert (facts.width, facts.conversion) == (64, None)
    assert "cut off" in refusal(tmp_path / "image")


@pytest.mark.parametrize("name", ["bmp", "tiff", "gif", "avif", "jpeg 2000", "float tiff"])
def test_picture_too_large_to_convert_says_how_large_it_is(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What must be decoded has a limit by what it takes in memory, told before anything is decoded."""
    monkeypatch.setattr("utils.image_decoding.MAX_DECODED_BYTES", 500)
    (tmp_path / "image").write_bytes(WHOLE[name])

    sentence = refusal(tmp_path / "image")

    assert "48 x 32 pixels" in sentence
    assert "Save it smaller first." in sentence


def test_large_jpeg_is_decoded_at_a_fraction() -> None:
    """A JPEG is decoded at the smallest eighth part that has as many pixels as are needed."""
    data = encoded(Image.new("RGB", (1_600, 800)), "JPEG")
    sizes = {}
    for needed in (None, 1_600 * 800, 800 * 400 + 1, 800 * 400, 400 * 200, 0):
        with open_picture(data, ImageFormat.JPEG, min_pixels=needed) as opened:
            sizes[needed] = opened.image.width, opened.size

    assert {width for width, _ in sizes.values()} == {1_600, 800, 400, 200}
    assert {size for _, size in sizes.values()} == {(1_600, 800)}
    assert sizes[800 * 400 + 1][0] == 1_600
    assert sizes[800 * 400][0] == 800
    assert sizes[0][0] == 200


@pytest.mark.parametrize("name", ["webp", "lossless webp", "animated webp", "heic"])
def test_container_says_where_it_ends(name: str) -> None:
    """A container with its last byte missing is not whole."""
    kind = ImageFormat.HEIC if name == "heic" else ImageFormat.WEBP

    assert is_container_whole(WHOLE[name], kind)
    assert not is_container_whole(WHOLE[name][:-1], kind)
    assert not is_container_whole(WHOLE[name][:40], kind)


def test_errors_in_the_block_are_the_images() -> None:
    """What goes wrong while a picture is used is told like what goes wrong while it is opened."""

    def use(error: Exception) -> None:
        with open_picture(WHOLE["png"], ImageFormat.PNG):
            raise error

    with pytest.raises(TooLargeImage, match="mine"):
        use(TooLargeImage("mine"))
    with pytest.raises(UnreadableImage, match="cannot be decoded"):
        use(ValueError("the library's"))
    with pytest.raises(NotEnoughMemory, match="not enough memory"):
        use(MemoryError())
