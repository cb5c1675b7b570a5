"""Image decoding: opens a picture of any format; every failure becomes one sentence for the user.

With ``image_conversion`` and the modules on brightness and TIFF samples the only one that uses Pillow.
Importing it takes 0.1 s, so ``image_validator`` does so at the first image.
"""

import contextlib
import io
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from PIL import ExifTags, Image, ImageChops, PngImagePlugin, UnidentifiedImageError

from utils.image_brightness import DEEP_MODES, MEASURED_MODES, is_dark, stretch
from utils.image_formats import (
    SHORTAGE,
    ImageFormat,
    NotEnoughMemory,
    SystemShortage,
    TooLargeImage,
    Traits,
    UnreadableImage,
)
from utils.image_structure import holds_its_pixels, keep_picture_chunks, read_webp_head
from utils.jpeg_completion import END_MARK, TAILS, describe_rarity, find_ends
from utils.memory import read_free_memory, release_free_heap
from utils.shortage import is_passing
from utils.tiff_samples import can_put_together, count_unsent, decode_samples, is_misread
from utils.tiff_structure import TiffLayout, count_pages, read_layout

PILLOW_FORMATS = {
    ImageFormat.JPEG: "JPEG",
    ImageFormat.PNG: "PNG",
    ImageFormat.WEBP: "WEBP",
    ImageFormat.HEIC: "HEIF",
    ImageFormat.HEIF: "HEIF",
    ImageFormat.HEIF_SEQUENCE: "HEIF",
    ImageFormat.GIF: "GIF",
    ImageFormat.BMP: "BMP",
    ImageFormat.TIFF: "TIFF",
    ImageFormat.AVIF: "AVIF",
    ImageFormat.JPEG_2000: "JPEG2000",
}

# All errors of Pillow's decoders on damaged bytes, as found by tests/unit/utils/test_image_damage.py.
DECODING_ERRORS: Final = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    RuntimeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    EOFError,
    struct.error,
    zlib.error,
)

MAX_DECODED_BYTES: Final = 2_000_000_000
"""Most that the pixels of one picture may take in memory: 500 megapixels in colour, 2,000 in grey."""

_SMALL_BYTES: Final = 50_000_000
"""Pixels that take less are decoded without a look at the free memory."""
_MAX_PROFILE_BYTES: Final = 32_000_000
"""Most that the colour profile of a PNG inflates to; Pillow's own limit of 1 MB rejects those of printers."""

_MODE_BYTES: Final = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2}
"""What a pixel takes in memory; 4 in all other modes."""
_DECODER_COPIES: Final = {
    ImageFormat.WEBP: 4,
    ImageFormat.AVIF: 3,
    ImageFormat.HEIC: 2,
    ImageFormat.HEIF: 2,
    ImageFormat.HEIF_SEQUENCE: 2,
    ImageFormat.JPEG_2000: 6,
}
"""How often a decoder holds the pixels while it works, if more than once (measured, November 2026)."""

_COMPARED_PIXELS: Final = 6_000_000
"""With so many it shows whether the last rows of a JPEG are all there."""

_PILLOW_MODULES = r"(PIL|pillow_heif)\."

_COLOURS: Final = frozenset({"RGB", "RGBA", "RGBX"})

# All sizes are checked here, by what they take in memory; texts of a PNG never reach Pillow.
Image.MAX_IMAGE_PIXELS = None
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY = _MAX_PROFILE_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """The (first) picture of a file, as stored: maybe not upright."""

    image: Image.Image
    size: tuple[int, int]
    """Of the whole picture; the image is smaller if it was decoded at a fraction of its size."""
    orientation: int
    """The EXIF orientation, 1 to 8."""
    frames: int = 1
    """Pages, or frames of an animation; for those, 2 stands for any number."""
    is_stretched: bool = False
    """Its shades were spread over those that a picture for people has."""
    unsent_samples: int = 0
    """Samples of each pixel that are left out."""


@contextlib.contextmanager
def open_picture(
    data: bytes, kind: ImageFormat, *, min_pixels: int | None = None, max_bytes: int | None = None
) -> Iterator[Picture]:
    """Decode a picture; errors inside the block become ``UnreadableImage``, too.

    Args:
        data: the file.
        kind: its format.
        min_pixels: a JPEG may be decoded at a half, a quarter or an eighth of its size that has so many; None
            if it must not.
        max_bytes: of the decoded pixels; None for the limit of all images.

    Raises:
        UnreadableImage: it is damaged or cut off, of a kind that cannot be read here, or too large.
        NotEnoughMemory: it needs more memory than there is now.
    """
    prepare_pillow(kind)
    layout = read_layout(data) if kind is ImageFormat.TIFF else None
    try:
        if layout and can_put_together(layout) and (is_misread(layout) or not _can_open(data, kind)):
            yield _put_together(data, layout)
            return
        with Image.open(io.BytesIO(_prepare(data, kind, max_bytes)), formats=[PILLOW_FORMATS[kind]]) as image:
            size = image.size
            if kind is ImageFormat.JPEG and min_pixels is not None:
                image.draft(None, fraction_of(size, min_pixels))
            _check_size(image.size, decoded_bytes(image.size, image.mode, kind), kind, max_bytes)
            picture = _decode(image, data, kind, layout)
            yield picture if picture.image is not image else replace(picture, size=size)
    except UnreadableImage:
        raise
    except MemoryError as exc:
        raise NotEnoughMemory("There is not enough memory to decode the image.") from exc
    except DECODING_ERRORS as exc:
        if is_passing(exc):
            raise SystemShortage(SHORTAGE) from exc
        raise UnreadableImage(_explain(exc, data, kind, layout)) from exc


def find_missing_end(data: bytes) -> int | None:
    """Return where the end mark of a JPEG is missing behind a picture that is all there, else None."""
    for end in find_ends(data):
        with contextlib.suppress(UnreadableImage), contextlib.ExitStack() as stack:
            first, second = (
                stack.enter_context(
                    open_picture(data[:end] + tail + END_MARK, ImageFormat.JPEG, min_pixels=_COMPARED_PIXELS)
                ).image
                for tail in TAILS
            )
            if first.size == second.size and ImageChops.difference(first, second).getbbox() is None:
                return end
    return None


def decoded_bytes(size: tuple[int, int], mode: str, kind: ImageFormat) -> int:
    """Return about how much memory it takes to decode so many pixels."""
    return size[0] * size[1] * _MODE_BYTES.get(mode, 4) * _DECODER_COPIES.get(kind, 1)


def fraction_of(size: tuple[int, int], min_pixels: int) -> tuple[int, int]:
    """Return the smallest size with enough pixels at which a JPEG can be decoded."""
    for divisor in (8, 4, 2):
        width, height = size[0] // divisor, size[1] // divisor
        if width and height and width * height >= min_pixels:
            return width, height
    return size


def _decode(image: Image.Image, data: bytes, kind: ImageFormat, layout: TiffLayout | None) -> Picture:
    # Read before decoding, which closes the source.
    frames = _count_frames(image, data, kind)
    image.load()
    if (
        layout
        and layout.bits == 16
        and image.mode in _COLOURS
        and can_put_together(layout)
        and is_dark(image)
    ):
        # Pillow kept the upper eight bits alone, and in a dark picture there is little in them.
        return _put_together(data, layout)
    # Read after decoding: it turns a TIFF upright, and asking a PNG before would hide that it is damaged.
    picture = Picture(image=image, size=image.size, orientation=_orientation(image, kind), frames=frames)
    if image.mode in MEASURED_MODES or (image.mode in DEEP_MODES and is_dark(image)):
        no_data = layout.no_data if layout else None
        return replace(picture, image=stretch(image, no_data), is_stretched=True)
    return picture


def _count_frames(image: Image.Image, data: bytes, kind: ImageFormat) -> int:
    if kind is ImageFormat.TIFF:
        return count_pages(data)
    return 2 if getattr(image, "is_animated", False) else 1


def _put_together(data: bytes, layout: TiffLayout) -> Picture:
    """Return a picture of a kind that Pillow does not know."""
    size = (layout.width, layout.height)
    need = layout.width * layout.height * (2 * layout.samples * layout.bits // 8 + 4)
    _check_size(size, need, ImageFormat.TIFF)
    image, is_stretched = decode_samples(data, layout)
    return Picture(
        image=image,
        size=size,
        orientation=layout.orientation,
        frames=count_pages(data),
        is_stretched=is_stretched,
        unsent_samples=count_unsent(layout),
    )


def _can_open(data: bytes, kind: ImageFormat) -> bool:
    """Return whether Pillow knows the kind of picture."""
    try:
        Image.open(io.BytesIO(data), formats=[PILLOW_FORMATS[kind]]).close()
    except DECODING_ERRORS:
        return False
    return True


def _prepare(data: bytes, kind: ImageFormat, max_bytes: int | None) -> bytes:
    """Return what the decoder is given; raise if its memory would be filled before it can be asked."""
    if kind is ImageFormat.WEBP and (head := read_webp_head(data)):
        # Pillow takes the memory for all pixels to tell how many there are.
        _check_size(head.size, decoded_bytes(head.size, "RGBA", kind), kind, max_bytes)
    if kind is not ImageFormat.PNG:
        return data
    if not holds_its_pixels(data):
        width, height = struct.unpack_from(">II", data, 16)
        raise UnreadableImage(
            f"The image declares {width:,} x {height:,} pixels, which cannot be decoded from its"
            f" {len(data):,} bytes: it is damaged or cut off."
        )
    return keep_picture_chunks(data)


def _check_size(size: tuple[int, int], need: int, kind: ImageFormat, max_bytes: int | None = None) -> None:
    """Raise for a picture that is too large to be decoded, or to be decoded now."""
    _check_limit(size, need, kind, max_bytes)
    check_memory(size, need)


def check_size(traits: Traits, kind: ImageFormat) -> None:
    """Raise TooLargeImage for a WebP or HEIF that has to be converted and is too large for it."""
    size, mode = (traits.width, traits.height), "RGBA" if kind is ImageFormat.WEBP else traits.mode
    _check_limit(size, decoded_bytes(size, mode, kind), kind)


def _check_limit(size: tuple[int, int], need: int, kind: ImageFormat, max_bytes: int | None = None) -> None:
    width, height = size
    if need > (max_bytes or MAX_DECODED_BYTES) * _DECODER_COPIES.get(kind, 1):
        limit = MAX_DECODED_BYTES // 1_000_000
        raise TooLargeImage(
            f"The image has {width:,} x {height:,} pixels, which take {need / 1e6:,.0f} MB when decoded,"
            f" and {kind.label} has to be; at most {limit:,} MB are decoded. Save it smaller first."
        )


def check_memory(size: tuple[int, int], need: int) -> None:
    """Raise NotEnoughMemory if there is less than so many bytes for a picture of this size."""
    free = read_free_memory() if need > _SMALL_BYTES else None
    if free is not None and need > free.size_bytes:
        release_free_heap()
        free = read_free_memory()
    if free is not None and need > free.size_bytes:
        raise NotEnoughMemory(
            f"There is not enough memory to decode the image: its {size[0]:,} x {size[1]:,} pixels take"
            f" {need / 1e6:,.0f} MB, {free.size_bytes / 1e6:,.0f} MB are left ({free.bound})."
        )


def _explain(error: Exception, data: bytes, kind: ImageFormat, layout: TiffLayout | None) -> str:
    """Return one sentence on why a picture cannot be decoded; the library's refusal alone is no damage."""
    is_unknown = isinstance(error, UnidentifiedImageError | LookupError)
    if layout and is_unknown and layout.is_inside(len(data)):
        return (
            f"The TIFF holds its picture in a way that cannot be read here ({layout.description}): save it"
            " as a PNG, or as a TIFF with 8 bits a sample."
        )
    if kind is ImageFormat.JPEG and (rarity := describe_rarity(data)):
        return f"The JPEG is {rarity}, which cannot be read here: save it as an ordinary JPEG or a PNG."
    doubt = "" if kind in {ImageFormat.JPEG, ImageFormat.PNG} else ", or of a kind that cannot be read here"
    return (
        f"The image is damaged or cut off{doubt}: it begins as {kind.label} but cannot be decoded to its end."
    )


def _orientation(image: Image.Image, kind: ImageFormat) -> int:
    """Return the EXIF orientation (1 to 8); 1 if there is none or the EXIF data are damaged."""
    if PILLOW_FORMATS[kind] == "HEIF":
        return 1  # the decoder has turned it as the container says
    try:
        return parse_orientation(image.getexif())
    except DECODING_ERRORS:
        return 1


def parse_orientation(exif: Image.Exif) -> int:
    """Return the EXIF orientation (1 to 8); 1 if there is none."""
    try:
        value = exif.get(ExifTags.Base.Orientation, 1)
    except DECODING_ERRORS:
        return 1
    return value if isinstance(value, int) else 1


def prepare_pillow(kind: ImageFormat) -> None:
    """Add HEIC to Pillow at the first such image, and a filter for its warnings (odd tags, large sizes).

    What matters is checked here. The filter is looked for each time, because code that restores the filters
    (such as pytest) removes it.
    """
    ours = ("ignore", None, Warning, re.compile(_PILLOW_MODULES), 0)
    if ours not in warnings.filters:
        warnings.filterwarnings("ignore", module=_PILLOW_MODULES)
    if PILLOW_FORMATS[kind] == "HEIF":
        import pillow_heif  # noqa: PLC0415 -- a heavy library that most runs never need

        pillow_heif.register_heif_opener()
