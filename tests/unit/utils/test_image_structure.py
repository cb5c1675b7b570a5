"""Rules of utils/image_structure.py: never milder than the decoder, never wrong about the image."""

import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
from PIL import Image

from tests.support.hostile_images import encoded, exif, picture
from tests.support.sample_images import WHOLE, inspect, refusal
from utils.image_conversion import decode_traits, examine
from utils.image_formats import ImageFormat, Traits, UnreadableImage, is_truncated
from utils.image_structure import find_scan_end, read_structure

_GRAIN = Image.merge("RGB", [Image.effect_noise((40, 24), 60.0)] * 3)

JPEGS = {
    "baseline": encoded(_GRAIN, "JPEG", quality=40),
    "with restart marks": encoded(_GRAIN, "JPEG", quality=40, restart_marker_blocks=2),
    "progressive": encoded(_GRAIN, "JPEG", quality=40, progressive=True),
    "progressive with restart marks": encoded(
        _GRAIN, "JPEG", quality=40, progressive=True, restart_marker_rows=1
    ),
    "grey": encoded(_GRAIN.convert("L"), "JPEG", quality=40),
    "four inks": encoded(_GRAIN.convert("CMYK"), "JPEG", quality=20),
    "turned": encoded(_GRAIN, "JPEG", quality=40, exif=exif(6), subsampling=0, optimize=True),
    "stereo": WHOLE["mpo"],
}
PNGS = {
    "colours": WHOLE["png"],
    "palette": WHOLE["palette png"],
    "deep": WHOLE["16-bit png"],
    "bits": encoded(picture().convert("1"), "PNG"),
    "see-through": encoded(picture().convert("LA"), "PNG"),
    "turned": encoded(picture(), "PNG", exif=exif(6)),
}
_MARKS = (0xD9, 0xD8, 0xC0, 0xC2, 0xC4, 0xDA, 0xDB, 0xDC, 0xDD, 0xD0, 0xE0, 0xFE, 0x01)


def chunk(name: bytes, body: bytes) -> bytes:
    """Return a chunk of a PNG with its right sum."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def damage_variants(data: bytes, position: int, random: Random) -> Iterator[bytes]:
    """Yield the file with something wrong at this place."""
    before, rest = data[:position], data[position + 1 :]
    length = random.randrange(2, 60)
    yield before + bytes([data[position] ^ 1 << random.randrange(8)]) + rest
    yield before + b"\xff" + bytes([random.choice(_MARKS)]) + rest[1:]
    yield before + rest
    yield before + random.randbytes(1) + data[position:]
    yield before + data[position + length :]
    yield before + bytes(length) + data[position + length :]
    yield before
    yield before + bytes(20 * len(data))


def verdict(judge: Callable[..., Traits], data: bytes, kind: ImageFormat) -> Traits | None:
    """Return what is found out about the file, None when it is refused."""
    try:
        return judge(data, kind)
    except UnreadableImage:
        return None


@pytest.mark.parametrize("name", JPEGS)
def test_damaged_jpeg_is_judged_as_the_decoder_judges_it(name: str) -> None:
    """Bytes flipped, lost, added, zeroed or made into marks anywhere: one verdict, and the same facts."""
    data, random = JPEGS[name], Random(name)
    judged = 0
    for position in range(3, len(data), max(5, len(data) // 250)):
        for wrong in damage_variants(data, position, random):
            if read_structure(wrong, ImageFormat.JPEG) is not None:
                judged += 1
                seen = verdict(examine, wrong, ImageFormat.JPEG)
                assert seen == verdict(decode_traits, wrong, ImageFormat.JPEG), (position, wrong)
                assert not is_truncated(wrong, ImageFormat.JPEG)

    assert judged > 300  # most damage leaves the structure whole, or nothing would be proven


@pytest.mark.parametrize("name", PNGS)
def test_no_damaged_png_is_judged_by_its_structure(name: str) -> None:
    """A checksum notices whatever happens to a PNG, wherever; what lies behind its end is no matter."""
    data, random = PNGS[name], Random(name)
    for position in range(len(data)):
        for wrong in damage_variants(data, position, random):
            assert wrong.startswith(data) or read_structure(wrong, ImageFormat.PNG) is None


@pytest.mark.parametrize(("kind", "files"), [(ImageFormat.JPEG, JPEGS), (ImageFormat.PNG, PNGS)])
def test_whole_file_is_not_decoded_and_described_alike(kind: ImageFormat, files: dict[str, bytes]) -> None:
    """The minimal file of a whole file gives the same facts as decoding."""
    for data in files.values():
        seen = read_structure(data, kind)
        assert seen is not None
        assert len(seen.minimal_file) < len(data)
        assert decode_traits(seen.minimal_file, kind).width == (8 if kind is ImageFormat.JPEG else 1)
        assert examine(data, kind) == decode_traits(data, kind)


@pytest.mark.parametrize("name", [name for name in JPEGS if name != "stereo"])
def test_jpeg_whose_end_is_zeros_is_refused(tmp_path: Path, name: str) -> None:
    """A download that allocated its file and broke off is refused, though its zeros can be decoded."""
    data = JPEGS[name]
    for position in range(3, len(data) - 3, 41):
        (tmp_path / "image").write_bytes(data[:position] + bytes(30 * len(data)))
        assert refusal(tmp_path / "image")


def test_end_of_a_thumbnail_is_not_the_end_of_the_picture(tmp_path: Path) -> None:
    """A camera's thumbnail is a JPEG with an end mark, which stands before the picture."""
    body = b"Exif\0\0" + encoded(picture(2, (8, 8)), "JPEG")
    data = JPEGS["baseline"]
    camera = data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]

    assert inspect(tmp_path / "image", camera).width == 40
    (tmp_path / "image").write_bytes(camera[:-100] + bytes(10_000))
    assert "cut off" in refusal(tmp_path / "image")


def test_marker_across_two_searches_is_seen() -> None:
    """However a large scan is divided, its end is found where it is."""
    for data in JPEGS.values():
        begin = data.index(b"\xff\xda") + 2
        ends = {find_scan_end(data, begin, step=step) for step in (1, 2, 3, 7, 100, len(data))}
        assert len(ends) == 1
        assert data[ends.pop() :][:2] in {b"\xff\xd9", b"\xff\xc4", b"\xff\xda"}
    assert find_scan_end(b"\0" * 10, 0, step=3) == 10


def test_unusual_jpeg_is_left_to_the_decoder(tmp_path: Path) -> None:
    """What the structure's rules do not foresee but the decoder takes is taken, with the right facts."""
    data = JPEGS["baseline"]
    filled = data[:2] + b"\xff\xff" + data[2:]

    assert read_structure(filled, ImageFormat.JPEG) is None
    assert inspect(tmp_path / "image", filled).width == 40


def test_file_of_nothing_but_small_parts_is_left_to_the_decoder() -> None:
    """A file made of a million comments is no list of a million entries in memory."""
    jpeg, png = JPEGS["baseline"], PNGS["colours"]
    comments, texts = b"\xff\xfe\0\2" * 100_001, chunk(b"tEXt", b"") * 100_001

    assert read_structure(jpeg[:2] + comments + jpeg[2:], ImageFormat.JPEG) is None
    assert read_structure(png[:33] + texts + png[33:], ImageFormat.PNG) is None


@pytest.mark.parametrize(
    "pixels",
    [b"", zlib.compress(bytes(64)), zlib.compress(bytes(121 * 60))[2:], b"no compressed stream"],
    ids=["none", "too few", "without the stream's head", "rubbish"],
)
def test_png_that_cannot_hold_its_picture_is_refused(tmp_path: Path, pixels: bytes) -> None:
    """Right sums over pixels that cannot be there are no proof: the decoder is asked, and refuses."""
    header = struct.pack(">IIBBBBB", 4_000, 6_000, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    (tmp_path / "image").write_bytes(data)

    assert read_structure(data, ImageFormat.PNG) is None
    assert "cannot be decoded" in refusal(tmp_path / "image")


def test_right_sums_over_wrong_pixels_are_believed(tmp_path: Path) -> None:
    """What a faulty writer vouches for with every checksum passes as whole: the price of not decoding."""
    header = struct.pack(">IIBBBBB", 4, 4, 8, 2, 0, 0, 0)
    pixels = zlib.compress(Random(1).randbytes(52))[:-20]
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")

    assert verdict(decode_traits, data, ImageFormat.PNG) is None
    assert inspect(tmp_path / "image", data).width == 4


@pytest.mark.parametrize("header", [struct.pack(">IIBBBBB", 4, 4, 8, 5, 0, 0, 0), b"short"])
def test_png_with_an_impossible_header_is_refused(tmp_path: Path, header: bytes) -> None:
    """A right sum over a header that means nothing does not make an image."""
    pixels = zlib.compress(bytes(4 * 13))
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    (tmp_path / "image").write_bytes(data)

    assert refusal(tmp_path / "image")
