"""Files of real picture folders that break programs, and the expected result for each.

``build(folder)`` writes them and returns the table of what is expected; it takes under a second. The
tests of the parts read the table, and so can one that runs the whole program.
"""

import io
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pillow_heif
from PIL import Image, ImageDraw

from utils.image_discovery import PassedOverReason

Fate = Literal["accepted", "refused", "passed over"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Nasty:
    """One entry of the folder and its expected result."""

    key: str
    """Its name in messages of the program."""
    fate: Fate
    sent_as: str = ""
    """The mime type of an accepted image when it is sent."""
    because: str = ""
    """Part of the message of an unreadable image, or a ``PassedOverReason``."""


def accepted(key: str, sent_as: str) -> Nasty:
    """Expect an image to be answered."""
    return Nasty(key=key, fate="accepted", sent_as=sent_as)


def refused(key: str, because: str) -> Nasty:
    """Expect an image to fail with a sentence that contains ``because``, without being sent."""
    return Nasty(key=key, fate="refused", because=because)


def passed_over(key: str, because: PassedOverReason) -> Nasty:
    """Expect something to be counted and otherwise left alone."""
    return Nasty(key=key, fate="passed over", because=because)


def picture(seed: int = 0, size: tuple[int, int] = (48, 32)) -> Image.Image:
    """Return an RGB picture in which up, down, left and right differ; no two seeds look alike."""
    width, height = size
    image = Image.new("RGB", size, (40 + seed * 7 % 200, 90, 160))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, width // 2, height // 2), fill=(230, 40 + seed % 200, 30))
    draw.line((0, height, width, 0), fill=(250, 250, 0), width=3)
    return image


def encoded(image: Image.Image, file_format: str, **options: Any) -> bytes:
    """Return the image as a file of this format."""
    if file_format == "HEIF":
        pillow_heif.register_heif_opener()
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def exif(orientation: int) -> bytes:
    """Return camera data with the rotation of the picture."""
    data = Image.Exif()
    data[0x0112] = orientation
    return data.tobytes()


def pixel_bomb(width: int = 50_000, height: int = 50_000) -> bytes:
    """Return a PNG of a hundred bytes that declares more pixels than fit into the memory."""

    def chunk(name: bytes, body: bytes) -> bytes:
        checksum = zlib.crc32(name + body)
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def build(folder: Path) -> tuple[Nasty, ...]:
    """Write all files into ``folder`` (created if missing) and return the expected result of each entry."""
    folder.mkdir(parents=True, exist_ok=True)
    builders = (
        _build_damaged,
        _build_strangers,
        _build_disguised,
        _build_unusual,
        _build_oddly_named,
        _build_same_names,
        _build_links,
        _build_clutter,
    )
    return tuple(nasty for builder in builders for nasty in builder(folder))


def _build_damaged(folder: Path) -> tuple[Nasty, ...]:
    jpeg, png = encoded(picture(1), "JPEG"), encoded(picture(2), "PNG")
    animation = encoded(picture(3), "GIF", save_all=True, append_images=[picture(4)])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "zeros.jpg").write_bytes(bytes(4096))
    (folder / "truncated.jpg").write_bytes(jpeg[: len(jpeg) // 2])
    (folder / "truncated_at_the_very_end.png").write_bytes(png[:-12])
    (folder / "truncated_after_first_frame.gif").write_bytes(animation[:-20])
    (folder / "pixel_bomb.png").write_bytes(pixel_bomb())
    (folder / "large_bomb.png").write_bytes(pixel_bomb(11_000, 11_000))
    return (
        refused("empty.jpg", "empty"),
        refused("zeros.jpg", "zero bytes"),
        refused("truncated.jpg", "cut off"),
        refused("truncated_at_the_very_end.png", "cut off"),
        refused("truncated_after_first_frame.gif", "cut off"),
        refused("pixel_bomb.png", "pixels"),
        refused("large_bomb.png", "11,000 x 11,000 pixels"),
    )


def _build_strangers(folder: Path) -> tuple[Nasty, ...]:
    (folder / "text.jpg").write_text("Dear diary, today I took no pictures.\n")
    (folder / "page.jpeg").write_text("<!DOCTYPE html><html><body>404</body></html>")
    (folder / "scan.png").write_bytes(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n")
    (folder / "drawing.png").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    (folder / "drawing.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    (folder / "camera.nef").write_bytes(encoded(picture(5), "TIFF"))
    (folder / "BMW.txt").write_text("BM is how a bitmap begins, and so does this text.\n")
    (folder / "notes.md").write_text("# Notes\n")
    return (
        refused("text.jpg", 'begins with "Dear diary'),
        refused("page.jpeg", "web page"),
        refused("scan.png", "PDF"),
        refused("drawing.png", "SVG"),
        passed_over("drawing.svg", PassedOverReason.UNSUPPORTED_FORMAT),
        passed_over("camera.nef", PassedOverReason.UNSUPPORTED_FORMAT),
        passed_over("BMW.txt", PassedOverReason.NOT_AN_IMAGE),
        passed_over("notes.md", PassedOverReason.NOT_AN_IMAGE),
    )


def _build_disguised(folder: Path) -> tuple[Nasty, ...]:
    (folder / "png_called.jpg").write_bytes(encoded(picture(6), "PNG"))
    (folder / "jpeg_without_suffix").write_bytes(encoded(picture(7), "JPEG"))
    (folder / "SHOUTING.JPG").write_bytes(encoded(picture(8), "JPEG"))
    (folder / "webp.bak").write_bytes(encoded(picture(9), "WEBP"))
    return (
        accepted("png_called.jpg", "image/png"),
        accepted("jpeg_without_suffix", "image/jpeg"),
        accepted("SHOUTING.JPG", "image/jpeg"),
        accepted("webp.bak", "image/webp"),
    )


def _build_unusual(folder: Path) -> tuple[Nasty, ...]:
    frames = [picture(seed) for seed in (10, 11, 12)]
    files = {
        "animated.gif": (encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]), "image/png"),
        "cmyk.jpg": (encoded(picture(13).convert("CMYK"), "JPEG"), "image/jpeg"),
        "sixteen_bit.png": (encoded(Image.new("I;16", (20, 10), 40_000), "PNG"), "image/png"),
        "sixteen_bit.tiff": (encoded(Image.new("I;16", (21, 10), 40_000), "TIFF"), "image/png"),
        "rotated.jpg": (encoded(picture(14), "JPEG", exif=exif(6)), "image/jpeg"),
        "phone.heic": (encoded(picture(15, (64, 64)), "HEIF"), "image/heic"),
        "old.bmp": (encoded(picture(16), "BMP"), "image/png"),
        "new.avif": (encoded(picture(17), "AVIF"), "image/png"),
        "palette.png": (encoded(picture(18).quantize(8), "PNG"), "image/png"),
        "one_pixel.png": (encoded(Image.new("RGB", (1, 1)), "PNG"), "image/png"),
    }
    for name, (data, _) in files.items():
        (folder / name).write_bytes(data)
    return tuple(accepted(name, sent_as) for name, (_, sent_as) in files.items())


def _build_oddly_named(folder: Path) -> tuple[Nasty, ...]:
    long_name = "n" * 246 + ".png"
    keys = {
        "\N{PARTY POPPER} f\u00eate \N{FAMILY}.png": "\N{PARTY POPPER} f\u00eate \N{FAMILY}.png",
        "line\nfeed.png": "line%0Afeed~868dc50f55a4.png",
        "-rf.png": "-rf.png",
        "--output-dir=x.png": "--output-dir=x.png",
        "100%.png": "100%.png",
        "$(reboot) `id` ;'\".png": "$(reboot) `id` ;'\".png",
        " spaces .png": " spaces .png",
        long_name: long_name,
        os.fsdecode(b"caf\xe9.png"): "caf%E9~507c1cbe909e.png",
    }
    for seed, name in enumerate(keys, start=20):
        (folder / name).write_bytes(encoded(picture(seed), "PNG"))
    return tuple(accepted(key, "image/png") for key in keys.values())


def _build_same_names(folder: Path) -> tuple[Nasty, ...]:
    names = ("same.png", "a/same.png", "a/same.jpg", "b/same.png", "same.png_result.txt/same.png")
    for seed, name in enumerate(names, start=40):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encoded(picture(seed), "PNG" if name.endswith("png") else "JPEG"))
    return tuple(accepted(name, "image/png" if name.endswith("png") else "image/jpeg") for name in names)


def _build_links(folder: Path) -> tuple[Nasty, ...]:
    links = folder / "links"
    links.mkdir()
    (links / "to_file.png").symlink_to(folder / "same.png")
    (links / "dangling.jpg").symlink_to(links / "nowhere.jpg")
    (links / "itself.jpg").symlink_to(links / "itself.jpg")
    (links / "loop").symlink_to(folder, target_is_directory=True)
    os.mkfifo(folder / "pipe.jpg")
    return (
        accepted("links/to_file.png", "image/png"),
        passed_over("links/dangling.jpg", PassedOverReason.DANGLING_LINK),
        passed_over("links/itself.jpg", PassedOverReason.LINK_LOOP),
        passed_over("links/loop", PassedOverReason.LINK_LOOP),
        passed_over("pipe.jpg", PassedOverReason.SPECIAL_FILE),
    )


def _build_clutter(folder: Path) -> tuple[Nasty, ...]:
    (folder / ".hidden.jpg").write_bytes(encoded(picture(50), "JPEG"))
    (folder / ".cache").mkdir()
    (folder / ".cache" / "inside.jpg").write_bytes(encoded(picture(51), "JPEG"))
    (folder / "._same.png").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X")
    (folder / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
    (folder / "folder.jpg").mkdir()
    (folder / "folder.jpg" / "inside.png").write_bytes(encoded(picture(52), "PNG"))
    (folder / "earlier" / "metadata").mkdir(parents=True)
    (folder / "earlier" / "metadata" / "journal.db").write_bytes(b"")
    (folder / "earlier" / "picture.png").write_bytes(encoded(picture(53), "PNG"))
    return (
        passed_over(".hidden.jpg", PassedOverReason.HIDDEN),
        passed_over(".cache", PassedOverReason.HIDDEN),
        passed_over("._same.png", PassedOverReason.APPLE_DOUBLE),
        passed_over("Thumbs.db", PassedOverReason.SYSTEM),
        passed_over("folder.jpg", PassedOverReason.DIRECTORY_NAMED_LIKE_IMAGE),
        accepted("folder.jpg/inside.png", "image/png"),
        passed_over("earlier", PassedOverReason.OTHER_OUTPUT_DIRECTORY),
    )
