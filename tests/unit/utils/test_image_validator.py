"""Rules of utils/image_validator.py: checks of an image, and the bytes that are sent for it."""

import hashlib
import io
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from examples.make_samples import make_samples
from tests.support.hostile_images import build, encoded, exif, picture
from tests.support.paths import ROOT
from tests.support.sample_images import WHOLE, inspect, refusal
from utils.image_decoding import PILLOW_FORMATS
from utils.image_discovery import FoundImage, discover
from utils.image_formats import SUFFIXES, Conversion, ImageFormat, sniff
from utils.image_validator import UnreadableImage, inspect_image, load_for_upload


def load_sent_image(path: Path, data: bytes) -> Image.Image:
    """Return the picture as the model would see it."""
    facts = inspect(path, data)
    image = Image.open(io.BytesIO(load_for_upload(path, facts)))
    image.load()
    return image


def corners(image: Image.Image) -> list[bool]:
    """Return where the red quarter of ``picture()`` is: which of the four corners are reddish."""
    rgb = image.convert("RGB")
    right, bottom = rgb.width - 3, rgb.height - 3
    reddish = []
    for spot in ((3, 3), (right, 3), (3, bottom), (right, bottom)):
        pixel = rgb.getpixel(spot)
        assert isinstance(pixel, tuple)
        reddish.append(pixel[0] > 180 and pixel[1] < 120)
    return reddish


def test_nasty_files_are_sent_truly_or_refused_with_a_sentence(tmp_path: Path) -> None:
    """Each file of the nasty folder is judged as its table says, and what is sent is what it is called."""
    expected = {nasty.key: nasty for nasty in build(tmp_path)}

    for found in discover(tmp_path, exclude=[]):
        if not isinstance(found, FoundImage):
            continue
        nasty = expected[found.relative]
        if nasty.fate == "refused":
            assert nasty.because in refusal(found.path)
        else:
            facts = inspect_image(found.path)
            assert facts.send_mime_type == nasty.sent_as
            assert sniff(load_for_upload(found.path, facts)) == nasty.sent_as


def test_bundled_samples_are_all_good_and_made_alike_each_time(tmp_path: Path) -> None:
    """The samples are accepted and small, and the generator makes the same bytes twice."""
    first, second = make_samples(tmp_path / "1"), make_samples(tmp_path / "2")
    bundled = sorted(path for path in (ROOT / "examples" / "images").rglob("*.*"))

    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert [path.name for path in bundled] == [path.name for path in first]
    assert sum(path.stat().st_size for path in bundled) < 150_000
    assert {inspect_image(path).mime_type for path in bundled} == {"image/jpeg", "image/png", "image/webp"}


@pytest.mark.parametrize(
    ("name", "mime_type", "sent_as"),
    [
        ("png", "image/png", None),
        ("16-bit png", "image/png", None),
        ("animated png", "image/png", None),
        ("progressive jpeg", "image/jpeg", None),
        ("mpo", "image/jpeg", None),
        ("lossless webp", "image/webp", None),
        ("heic", "image/heic", None),
        ("cmyk jpeg", "image/jpeg", Conversion.TO_JPEG),
        ("jpeg", "image/jpeg", Conversion.TO_JPEG),
        ("webp", "image/webp", Conversion.TO_JPEG),
        ("animated webp", "image/webp", Conversion.TO_PNG),
        ("animated gif", "image/gif", Conversion.TO_PNG),
        ("bmp", "image/bmp", Conversion.TO_PNG),
        ("tiff", "image/tiff", Conversion.TO_PNG),
        ("avif", "image/avif", Conversion.TO_PNG),
        ("jpeg 2000", "image/jp2", Conversion.TO_PNG),
    ],
)
def test_only_what_the_service_cannot_take_is_converted(
    tmp_path: Path, name: str, mime_type: str, sent_as: Conversion | None
) -> None:
    """A file that the service reads rightly is sent byte for byte; the others in a form that it reads."""
    path = tmp_path / "image"
    facts = inspect(path, WHOLE[name])
    upload = load_for_upload(path, facts)

    assert (facts.mime_type, facts.conversion) == (mime_type, sent_as)
    assert facts.send_mime_type == (sent_as or mime_type)
    assert (upload == WHOLE[name]) is (sent_as is None)
    assert sniff(upload) == facts.send_mime_type
    assert upload == load_for_upload(path, facts)


def test_facts_are_of_the_original_bytes(tmp_path: Path) -> None:
    """The hash is that of the file, not of what is sent; the size is that of the upright picture."""
    data = WHOLE["jpeg"]
    facts = inspect(tmp_path / "image.jpg", data)

    assert facts.sha256 == hashlib.sha256(data).hexdigest()
    assert (facts.width, facts.height) == (32, 48)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_picture_is_sent_upright(tmp_path: Path, file_format: str, orientation: int) -> None:
    """However the camera was held, the model sees what a person sees, without an orientation to apply."""
    back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    upright = picture(4)
    stored = upright.transpose(back[orientation]) if orientation in back else upright
    data = encoded(stored, file_format, exif=exif(orientation))

    seen = load_sent_image(tmp_path / "image", data)

    facts = inspect_image(tmp_path / "image")
    assert corners(seen) == [True, False, False, False]
    assert seen.size == upright.size == (facts.width, facts.height)
    assert seen.getexif().get(0x0112, 1) == 1


def test_rotated_transparent_webp_keeps_its_transparency(tmp_path: Path) -> None:
    """What is turned is re-encoded in a format that loses nothing the picture has."""
    data = encoded(Image.new("RGBA", (20, 10), (255, 0, 0, 0)), "WEBP", exif=exif(6))

    assert load_sent_image(tmp_path / "image", data).getchannel("A").getextrema() == (0, 0)


@pytest.mark.parametrize("mode", ["I", "F"])
def test_measurements_are_stretched_not_cut(tmp_path: Path, mode: str) -> None:
    """A picture of heights between 0 and 1, or of millions, is not sent as a black or a white square."""
    image = Image.new("F", (16, 16))
    factor = 1_000_000 if mode == "I" else 1 / 300
    for x in range(16):
        for y in range(16):
            image.putpixel((x, y), (x * 16 + y) * factor)

    seen = load_sent_image(tmp_path / "image.tiff", encoded(image.convert(mode), "TIFF"))

    assert seen.convert("L").getextrema() == (0, 255)


def test_conversion_drops_what_a_camera_tells(tmp_path: Path) -> None:
    """A re-encoded picture carries no place and no camera, yet its colour profile."""
    camera_data = Image.Exif()
    camera_data[0x0112], camera_data[0x010F] = 6, "SecretCamera"
    data = encoded(picture(), "JPEG", exif=camera_data.tobytes(), icc_profile=b"profile" * 20)

    seen = load_sent_image(tmp_path / "image", data)

    assert seen.info["icc_profile"] == b"profile" * 20
    assert not seen.getexif()


def test_profile_of_inks_is_not_kept_for_light(tmp_path: Path) -> None:
    """A CMYK profile on RGB pixels would distort every colour."""
    data = encoded(picture().convert("CMYK"), "JPEG", icc_profile=b"profile of four inks")

    seen = load_sent_image(tmp_path / "image", data)

    assert seen.mode == "RGB"
    assert "icc_profile" not in seen.info


@pytest.mark.parametrize(
    ("file_name", "name", "notes"),
    [
        ("x.png", "png", ()),
        ("x", "png", ()),
        ("x.JPG", "png", ("a PNG named .jpg",)),
        ("x.heif", "heic", ()),
        ("x.png", "avif", ("an AVIF named .png", "sent as a PNG")),
        ("x.jpg", "jpeg", ("turned upright",)),
        ("x.jpg", "cmyk jpeg", ("colours converted from CMYK to RGB",)),
        ("x.gif", "animated gif", ("animated: only the first frame is sent", "sent as a PNG")),
        ("x.tif", "float tiff", ("brightness stretched to 256 shades of grey", "sent as a PNG")),
    ],
)
def test_notes_say_what_is_done(tmp_path: Path, file_name: str, name: str, notes: tuple[str, ...]) -> None:
    """Whatever is unusual or changed before sending is said, and nothing else."""
    assert inspect(tmp_path / file_name, WHOLE[name]).notes == notes


def test_odd_camera_data_are_no_reason_to_refuse(tmp_path: Path) -> None:
    """Broken EXIF neither warns on the terminal nor keeps a good picture from being sent."""
    broken = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<HHHII", 9, 0x010F, 2, 5000, 90_000)

    assert inspect(tmp_path / "image", encoded(picture(), "JPEG", exif=broken)).conversion is None


def test_stray_bytes_after_the_end_are_harmless(tmp_path: Path) -> None:
    """A file to which something was appended is still whole."""
    for name in ("png", "jpeg", "gif", "animated gif"):
        assert inspect(tmp_path / "image", WHOLE[name] + b"\0\0trailing").sha256


def test_changed_file_is_never_sent(tmp_path: Path) -> None:
    """What was not checked is not sent: a file that changed since, or went, is refused in its own words."""
    path = tmp_path / "image.png"
    facts = inspect(path, WHOLE["png"])

    path.write_bytes(WHOLE["palette png"])
    with pytest.raises(UnreadableImage, match="changed after it was checked"):
        load_for_upload(path, facts)
    path.unlink()
    with pytest.raises(UnreadableImage, match="no longer there"):
        load_for_upload(path, facts)


def test_importing_the_validator_does_not_import_pillow() -> None:
    """``--help`` does not import the imaging library."""
    code = "import sys, utils.image_validator, utils.image_discovery; sys.exit('PIL' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_every_kind_has_a_decoder() -> None:
    """A kind that discovery lets in is one that the decoder knows."""
    assert set(PILLOW_FORMATS) == set(ImageFormat)
    assert set(SUFFIXES.values()) <= set(ImageFormat)
