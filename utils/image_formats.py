"""Image formats: recognized by a file's first bytes, and what can be done with each.

Nothing is decoded here, because discovery calls this for many files.
"""

from dataclasses import dataclass
from enum import StrEnum

HEAD_BYTES = 64
"""Number of a file's first bytes that :func:`sniff` needs."""


class UnreadableImage(ValueError):
    """The image cannot be used; the message is one sentence for the user, without the path."""


class UnavailableImage(UnreadableImage):
    """The file is unavailable now; nothing is known about the image in it."""


class NotEnoughMemory(UnavailableImage):
    """There is not enough memory for the image now."""


class TooLargeImage(UnreadableImage):
    """The image has too many pixels to be decoded."""


class SystemShortage(UnavailableImage):
    """The system has no descriptor, or no memory for one, now: a later read may succeed."""


SHORTAGE = "The file cannot be read now: the system is short of descriptors or memory."


class BusyImage(UnavailableImage):
    """Another program holds the file for a moment (EAGAIN): a later read may succeed."""


class ImageFormat(StrEnum):
    """A format that can be sent, as it is or converted; the value is its MIME type."""

    JPEG = "image/jpeg"
    PNG = "image/png"
    WEBP = "image/webp"
    HEIC = "image/heic"
    HEIF = "image/heif"
    HEIF_SEQUENCE = "image/heif-sequence"
    GIF = "image/gif"
    BMP = "image/bmp"
    TIFF = "image/tiff"
    AVIF = "image/avif"
    JPEG_2000 = "image/jp2"

    @property
    def label(self) -> str:
        """The name for the user, with its article: "an AVIF"."""
        article = "an" if self is ImageFormat.AVIF else "a"
        return f"{article} {self.name.replace('_', ' ')}"


class Conversion(StrEnum):
    """A conversion before sending; the value is the MIME type of its result."""

    TO_JPEG = "image/jpeg"
    TO_PNG = "image/png"


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """Facts that decoding gives."""

    width: int
    """In pixels, seen upright."""
    height: int
    mode: str
    """The mode of the pixels as Pillow names it, such as ``CMYK``."""
    is_turned: bool
    """True if the EXIF orientation says that the picture must be turned or mirrored."""
    frames: int
    """Pages, or frames of an animation; for those, 2 stands for any number."""
    has_transparency: bool
    is_stretched: bool = False
    """True if the shades must be spread for people to see them: measured values, or 12 bits in 16."""
    unsent_samples: int = 0
    """Samples of each pixel that are left out, such as infrared."""


SENT_AS_IS = frozenset(
    {ImageFormat.PNG, ImageFormat.JPEG, ImageFormat.WEBP, ImageFormat.HEIC, ImageFormat.HEIF}
)
"""Source: https://ai.google.dev/gemini-api/docs/image-understanding, November 2026."""

SUFFIXES = {
    ".jpg": ImageFormat.JPEG,
    ".jpeg": ImageFormat.JPEG,
    ".jpe": ImageFormat.JPEG,
    ".jfif": ImageFormat.JPEG,
    ".png": ImageFormat.PNG,
    ".apng": ImageFormat.PNG,
    ".webp": ImageFormat.WEBP,
    ".heic": ImageFormat.HEIC,
    ".heif": ImageFormat.HEIF,
    ".hif": ImageFormat.HEIF,
    ".gif": ImageFormat.GIF,
    ".bmp": ImageFormat.BMP,
    ".dib": ImageFormat.BMP,
    ".tif": ImageFormat.TIFF,
    ".tiff": ImageFormat.TIFF,
    ".avif": ImageFormat.AVIF,
    ".jp2": ImageFormat.JPEG_2000,
}
"""The format that each suffix (in lower case) claims."""

_CAMERA_RAW = (
    ".3fr .arw .cr2 .cr3 .crw .dcr .dng .erf .iiq .k25 .kdc .mef .mos .mrw .nef .nrw .orf .pef .raf .raw"
    " .rw2 .rwl .sr2 .srf .srw .x3f"
)
_DRAWINGS_AND_RARITIES = (
    ".ai .cdr .dds .emf .eps .exr .hdr .ico .jxl .pcx .psb .psd .svg .svgz .tga .wmf .xcf"
)

RAW_SUFFIXES = frozenset(_CAMERA_RAW.split())
"""Suffixes of the raw data of cameras; most look like a TIFF whose only readable picture is a thumbnail."""

UNSUPPORTED_SUFFIXES = RAW_SUFFIXES | frozenset(_DRAWINGS_AND_RARITIES.split())
"""Suffixes of pictures that cannot be sent, unless the content is of another format."""

_HEIF_BRANDS = {
    b"heic": ImageFormat.HEIC,
    b"heix": ImageFormat.HEIC,
    b"heim": ImageFormat.HEIC,
    b"heis": ImageFormat.HEIC,
    b"hevc": ImageFormat.HEIF_SEQUENCE,
    b"hevx": ImageFormat.HEIF_SEQUENCE,
    b"avif": ImageFormat.AVIF,
    b"avis": ImageFormat.AVIF,
}
_CONTAINER_BRANDS = {b"mif1": ImageFormat.HEIF, b"msf1": ImageFormat.HEIF_SEQUENCE}

_MAGIC = (
    (b"\xff\xd8\xff", ImageFormat.JPEG),
    (b"\x89PNG\r\n\x1a\n", ImageFormat.PNG),
    (b"GIF87a", ImageFormat.GIF),
    (b"GIF89a", ImageFormat.GIF),
    (b"II*\0", ImageFormat.TIFF),
    (b"MM\0*", ImageFormat.TIFF),
    (b"II+\0\x08\0", ImageFormat.TIFF),
    (b"MM\0+\0\x08", ImageFormat.TIFF),
    (b"\0\0\0\x0cjP  \r\n\x87\n", ImageFormat.JPEG_2000),
)

# Sizes that the second header of a BMP can have; "BM" alone may be the beginning of a text.
_BMP_HEADER_SIZES = frozenset({12, 40, 52, 56, 64, 108, 124})


def sniff(head: bytes) -> ImageFormat | None:
    """Return the format of an image by its first bytes (``HEAD_BYTES`` or more), or None if it is none."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return ImageFormat.WEBP
    if head[4:8] == b"ftyp":
        return _heif_kind(head)
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES:
        return ImageFormat.BMP
    if head[:4] == b"II*\0" and head[8:10] == b"CR":
        return None  # Canon's raw data, which begin like a TIFF
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), None)


def is_truncated(data: bytes, kind: ImageFormat) -> bool:
    """Return True if a file is cut off in a way that a decoder does not notice.

    A PNG or GIF can lose its last bytes or later frames. A download that allocates its file first leaves
    zeros in place of a JPEG's missing half: they decode, but hold no end mark.
    """
    if kind is ImageFormat.JPEG:
        return data.rfind(b"\xff\xd9") < _find_first_scan(data)
    if kind is ImageFormat.PNG:
        # The last chunk's name is followed by four bytes of checksum.
        position = data.rfind(b"IEND")
        return position < 0 or position + 8 > len(data)
    return kind is ImageFormat.GIF and not _is_gif_complete(data)


def _heif_kind(head: bytes) -> ImageFormat | None:
    """Return the format by the brands in the first box of a HEIF or AVIF file; None for other containers."""
    major = head[8:12]
    if major in _HEIF_BRANDS:
        return _HEIF_BRANDS[major]
    if major not in _CONTAINER_BRANDS:
        return None
    end = int.from_bytes(head[:4], "big")
    compatible = (head[start : start + 4] for start in range(16, min(end, len(head)), 4))
    is_avif = any(brand in {b"avif", b"avis"} for brand in compatible)
    return ImageFormat.AVIF if is_avif else _CONTAINER_BRANDS[major]


def _find_first_scan(data: bytes) -> int:
    """Return where the picture of a JPEG begins, or how far its segments can be followed.

    The segments before it may hold a thumbnail, which has its own end mark.
    """
    position = 2
    while data[position : position + 1] == b"\xff" and (mark := data[position + 1 : position + 2]) != b"\xda":
        is_padding = mark == b"\xff"
        position += 1 if is_padding else 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return position


def _is_gif_complete(data: bytes) -> bool:
    """Return True if the blocks of a GIF lead to its trailer."""
    try:
        position = 13 + _gif_table_bytes(data[10])
        while (block := data[position]) != 0x3B:
            position += 1
            if block == 0x2C:  # a frame: descriptor, palette, code size
                position += 10 + _gif_table_bytes(data[position + 8])
            elif block == 0x21:  # an extension: its kind
                position += 1
            else:
                continue  # stray bytes between blocks, which all readers skip
            while data[position]:
                position += data[position] + 1
    except IndexError:
        return False
    return True


def _gif_table_bytes(flags: int) -> int:
    """Return the size of the palette that these flags announce."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


CONTAINERS = frozenset({ImageFormat.WEBP, ImageFormat.HEIC, ImageFormat.HEIF})
"""Formats that are sent as they are and say themselves how long they are."""
