"""Rules of downscaling: what is sent is no larger than it needs to be, in the right form, and says so."""

import io
from pathlib import Path

import pytest
from PIL import Image

from tests.support.hostile_images import encoded, exif, picture
from utils.image_formats import Conversion
from utils.image_validator import ImageFacts, inspect_image, load_for_upload, read_image

SIZE = (1_000, 600)
_PICTURE = picture(1, SIZE)


def sent(path: Path, data: bytes, max_edge: int | None) -> tuple[ImageFacts, Image.Image]:
    """Return the facts, and the picture that is sent."""
    path.write_bytes(data)
    facts = inspect_image(path, max_edge=max_edge)
    upload = load_for_upload(path, facts)
    assert upload == load_for_upload(path, facts)
    return facts, Image.open(io.BytesIO(upload))


@pytest.mark.parametrize(
    ("data", "conversion"),
    [
        (encoded(_PICTURE, "JPEG"), Conversion.TO_JPEG),
        (encoded(_PICTURE, "PNG"), Conversion.TO_PNG),
        (encoded(_PICTURE, "WEBP"), Conversion.TO_JPEG),
        (encoded(_PICTURE, "HEIF"), Conversion.TO_JPEG),
        (encoded(_PICTURE, "BMP"), Conversion.TO_JPEG),
        (encoded(_PICTURE, "TIFF"), Conversion.TO_JPEG),
        (encoded(_PICTURE.convert("CMYK"), "TIFF"), Conversion.TO_JPEG),
        (encoded(_PICTURE.convert("I;16"), "TIFF"), Conversion.TO_JPEG),
        (encoded(_PICTURE.convert("1"), "TIFF"), Conversion.TO_PNG),
        (encoded(_PICTURE.quantize(8), "PNG"), Conversion.TO_PNG),
        (encoded(_PICTURE.quantize(8), "GIF"), Conversion.TO_PNG),
        (encoded(_PICTURE.convert("RGBA"), "WEBP"), Conversion.TO_JPEG),
        (encoded(Image.new("RGBA", SIZE, (255, 0, 0, 9)), "WEBP"), Conversion.TO_PNG),
        (encoded(Image.new("LA", SIZE, (9, 9)), "PNG"), Conversion.TO_PNG),
        (encoded(_PICTURE.convert("CMYK"), "JPEG"), Conversion.TO_JPEG),
        (encoded(_PICTURE, "AVIF"), Conversion.TO_JPEG),
        (encoded(_PICTURE, "JPEG2000"), Conversion.TO_JPEG),
    ],
)
def test_larger_image_is_downscaled_to_the_size_asked_for(
    tmp_path: Path, data: bytes, conversion: Conversion
) -> None:
    """The longer side is as long as asked; a photo becomes a JPEG, a drawing or what is transparent a PNG."""
    facts, image = sent(tmp_path / "image", data, 250)

    assert image.size == facts.sent_size == facts.upload_size == (250, 150)
    assert (facts.width, facts.height) == SIZE
    assert facts.conversion is conversion
    assert facts.send_mime_type == conversion.value == Image.MIME[image.format or ""]
    assert "downscaled for sending (1,000 x 600 to 250 x 150 pixels)" in facts.notes
    corner = image.convert("RGB").getpixel((5, 5)) if "A" not in image.mode else (255, 0, 0)
    assert isinstance(corner, tuple)
    assert corner[0] > 0


@pytest.mark.parametrize("max_edge", [1_000, 5_000, None])
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "HEIF"])
def test_smaller_image_goes_as_it_is(tmp_path: Path, file_format: str, max_edge: int | None) -> None:
    """An image that is not larger than asked for is sent byte for byte."""
    data = encoded(_PICTURE, file_format)

    facts, _ = sent(tmp_path / "image", data, max_edge)

    assert (facts.conversion, facts.sent_size, facts.upload_size) == (None, None, SIZE)
    assert load_for_upload(tmp_path / "image", facts) == data


@pytest.mark.parametrize("orientation", [1, 3, 5, 6, 8])
@pytest.mark.parametrize("file_format", ["JPEG", "TIFF", "WEBP"])
def test_downscaled_image_is_upright(tmp_path: Path, file_format: str, orientation: int) -> None:
    """The longer side is that of the upright picture, however it is stored."""
    facts, image = sent(tmp_path / "image", encoded(_PICTURE, file_format, exif=exif(orientation)), 100)

    is_sideways = orientation >= 5
    assert image.size == facts.sent_size == ((60, 100) if is_sideways else (100, 60))
    assert (facts.width, facts.height) == (SIZE[::-1] if is_sideways else SIZE)


@pytest.mark.parametrize(
    ("data", "max_edge", "size"),
    [
        (encoded(Image.new("L", (700, 990)), "TIFF"), None, (420, 594)),
        (encoded(Image.new("1", (990, 700)), "TIFF", compression="group4"), None, (594, 420)),
        (encoded(Image.new("L", (1_200, 900)), "JPEG", exif=exif(6)), None, (433, 577)),
        (encoded(Image.new("L", (1_632, 1_224)), "JPEG", exif=exif(6)), None, (433, 577)),
        (encoded(Image.new("L", (1_200, 900)), "JPEG", exif=exif(6)), 900, (675, 900)),
        (encoded(Image.new("L", (1_200, 900)), "JPEG"), None, (1_200, 900)),
        (encoded(Image.new("L", (500, 500)), "BMP"), None, (500, 500)),
        (encoded(Image.new("L", (4_000, 70)), "BMP"), None, (3_779, 66)),
    ],
    ids=["scan", "bilevel scan", "108 MP", "200 MP", "size asked for", "not turned", "25 MP", "panorama"],
)
def test_what_has_to_be_converted_is_sent_with_25_megapixels(
    tmp_path: Path,
    data: bytes,
    max_edge: int | None,
    size: tuple[int, int],
    *,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A scan and a turned photo are downscaled if no size is asked for (here at a tenth of the edge)."""
    monkeypatch.setattr("utils.image_upload.MAX_SENT_PIXELS", 250_000)

    facts, image = sent(tmp_path / "image", data, max_edge)

    assert image.size == facts.upload_size == size
    assert any("downscaled" in note for note in facts.notes) is (facts.sent_size is not None)


def test_a_photo_of_108_megapixels_is_turned_and_sent(tmp_path: Path) -> None:
    """What phones write goes, in its real size."""
    facts, image = sent(
        tmp_path / "image", encoded(Image.new("L", (12_000, 9_000)), "JPEG", exif=exif(6)), None
    )

    assert (facts.width, facts.height) == (9_000, 12_000)
    assert image.size == (4_330, 5_773)


@pytest.mark.parametrize(
    ("memory_bytes", "size"),
    [(None, None), (10_000_000, None), (2_000_000, (200, 300)), (900_000, (100, 150)), (1, (50, 75))],
)
def test_a_jpeg_is_made_smaller_where_memory_is_short(
    tmp_path: Path, memory_bytes: int | None, size: tuple[int, int] | None
) -> None:
    """A JPEG is decoded at a fraction that fits; if none does, at the smallest there is."""
    path = tmp_path / "image.jpg"
    path.write_bytes(encoded(picture(1, (600, 400)), "JPEG", exif=exif(6)))

    facts, _ = read_image(path, memory_bytes=memory_bytes)

    assert facts.sent_size == size
    assert memory_bytes in {None, 1} or facts.upload_memory <= memory_bytes
    assert Image.open(io.BytesIO(load_for_upload(path, facts))).size == (size or (400, 600))


def test_image_too_heavy_for_one_request_is_encoded_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A PNG of hundreds of megabytes is no failure: it is sent as what it shows."""
    data = encoded(Image.effect_noise((300, 200), 60.0), "PNG")
    monkeypatch.setattr("utils.image_upload.MAX_SENT_BYTES", len(data) - 1)

    facts, image = sent(tmp_path / "image.png", data, None)

    assert facts.conversion is Conversion.TO_PNG
    assert image.size == (300, 200)


def test_extreme_shapes_keep_a_pixel(tmp_path: Path) -> None:
    """A line of pixels stays one, however far it is downscaled."""
    facts, image = sent(tmp_path / "image", encoded(Image.new("RGB", (5_000, 2)), "PNG"), 64)

    assert image.size == facts.sent_size == (64, 1)
