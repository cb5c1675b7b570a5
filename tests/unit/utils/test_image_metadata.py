"""Rules of utils/image_metadata.py: nothing of the metadata is left, every pixel is."""

import hashlib
import io
import random
from collections.abc import Callable
from pathlib import Path

import pillow_heif
import pytest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from tests.support.hostile_images import picture
from tests.support.sample_images import WHOLE
from utils.image_formats import ImageFormat, sniff
from utils.image_metadata import remove_metadata
from utils.image_validator import load_for_upload, read_image

SECRETS = (b"SERIAL-4711", b"GPS-SECRET", b"CAPTION-SECRET")
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/">CAPTION-SECRET</x:xmpmeta>'
IMAGE = picture(5, (96, 64))


def exif() -> bytes:
    """Return EXIF data with a serial number and a place."""
    data = Image.Exif()
    data[0x010F] = "SERIAL-4711"
    data.get_ifd(0x8825)[1] = "GPS-SECRET"
    return data.tobytes()


def saved(kind: str, **options: object) -> bytes:
    """Return the picture in a format."""
    buffer = io.BytesIO()
    IMAGE.save(buffer, kind, **options)
    return buffer.getvalue()


def jpeg() -> bytes:
    """Return a JPEG with EXIF, XMP, IPTC, a comment, a profile and a second picture behind the first."""
    data = saved("JPEG", exif=exif(), comment=b"CAPTION-SECRET", icc_profile=PROFILE, xmp=XMP)
    iptc = b"Photoshop 3.0\0" + b"CAPTION-SECRET"
    segment = b"\xff\xed" + (len(iptc) + 2).to_bytes(2) + iptc
    return data[:2] + segment + data[2:] + saved("JPEG", exif=exif())


def png() -> bytes:
    """Return a PNG with EXIF, plain and compressed texts, a time and a profile."""
    texts = PngInfo()
    texts.add_text("Comment", "CAPTION-SECRET")
    texts.add_itxt("XML:com.adobe.xmp", XMP.decode())
    texts.add(b"tIME", bytes(7))
    texts.add(b"prVt", b"SERIAL-4711")
    return saved("PNG", pnginfo=texts, exif=exif(), icc_profile=PROFILE)


def heic() -> bytes:
    """Return a HEIC with EXIF and XMP."""
    file = pillow_heif.from_pillow(IMAGE)
    buffer = io.BytesIO()
    file.save(buffer, exif=exif(), xmp=XMP, quality=80)
    return buffer.getvalue()


MAKERS: dict[str, Callable[[], bytes]] = {
    "jpeg": jpeg,
    "progressive jpeg": lambda: saved("JPEG", progressive=True, exif=exif(), xmp=XMP),
    "plain jpeg": lambda: saved("JPEG", exif=exif()),
    "png": png,
    "webp": lambda: saved("WEBP", exif=exif(), xmp=XMP, icc_profile=PROFILE),
    "lossless webp": lambda: saved("WEBP", lossless=True, exif=exif(), xmp=XMP),
    "heic": heic,
}


def pixels(data: bytes) -> bytes:
    """Return the decoded pixels, not turned."""
    with Image.open(io.BytesIO(data)) as image:
        return image.convert("RGBA").tobytes()


def clean(data: bytes) -> bytes:
    """Return the file without metadata."""
    kind = sniff(data)
    assert kind
    stripped = remove_metadata(data, kind)
    assert stripped is not None
    assert sniff(stripped) is kind
    return stripped


@pytest.mark.parametrize("name", MAKERS)
def test_nothing_is_left_and_every_pixel_is(name: str) -> None:
    """No secret in the bytes, no EXIF to read, equal pixels, the same profile; twice is once."""
    data = MAKERS[name]()
    assert any(secret in data for secret in SECRETS)

    stripped = clean(data)

    assert not [secret for secret in SECRETS if secret in stripped]
    assert pixels(stripped) == pixels(data)
    with Image.open(io.BytesIO(stripped)) as after, Image.open(io.BytesIO(data)) as before:
        assert dict(after.getexif()) == {}
        assert after.info.get("icc_profile") == before.info.get("icc_profile")
    assert clean(stripped) == stripped


@pytest.mark.parametrize("name", [name for name in WHOLE if name not in {"gif", "bmp"}])
def test_ordinary_files_look_the_same(name: str) -> None:
    """Every kind of sample either keeps its pixels or is left to a conversion."""
    data = WHOLE[name]
    kind = sniff(data)
    assert kind

    stripped = remove_metadata(data, kind)

    if stripped is not None:
        assert pixels(stripped) == pixels(data)


@pytest.mark.parametrize("name", MAKERS)
def test_damaged_files_raise_nothing(name: str) -> None:
    """Cut off or with wrong bytes: a result or none, never an error."""
    data = MAKERS[name]()
    kind = sniff(data)
    assert kind
    rng = random.Random(4)
    for number in range(400):
        bad = bytearray(data[: rng.randrange(12, len(data))] if number % 2 else data)
        for _ in range(rng.randrange(1, 6)):
            bad[rng.randrange(len(bad))] = rng.randrange(256)
        remove_metadata(bytes(bad), kind)


def test_what_has_no_parts_is_left_to_a_conversion() -> None:
    """None means that the file cannot be sent as it is."""
    for kind in (ImageFormat.GIF, ImageFormat.TIFF, ImageFormat.AVIF):
        assert remove_metadata(b"x" * 100, kind) is None


def test_the_program_sends_what_is_left(tmp_path: Path) -> None:
    """The bytes to send are the same when they are loaded later, and the entry says what was done."""
    (tmp_path / "a.jpg").write_bytes(jpeg())

    facts, data = read_image(tmp_path / "a.jpg", strip_metadata=True)

    assert data == clean(jpeg()) == load_for_upload(tmp_path / "a.jpg", facts)
    assert facts.sha256 == hashlib.sha256(jpeg()).hexdigest()
    assert "sent without its metadata" in facts.notes


def test_an_unusual_file_is_sent_re_encoded(tmp_path: Path) -> None:
    """A HEIC whose places are stored in a way of its own gets other bytes, never its metadata."""
    data = heic().replace(b"iloc", b"ilox")
    assert remove_metadata(data, ImageFormat.HEIC) is None
    (tmp_path / "a.webp").write_bytes(saved("WEBP", exif=exif()) + b"trailing GPS-SECRET")

    _, sent = read_image(tmp_path / "a.webp", strip_metadata=True)

    assert sent is not None
    assert b"GPS-SECRET" not in sent
