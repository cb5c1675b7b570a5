"""Where do the sample images come from? From this script: run it to make them again.

Usage: python examples/make_samples.py [FOLDER]

The same Pillow makes the same bytes on every run. It knows nothing of the program.
"""

import math
import random
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

_FOLDER = Path(__file__).parent / "images"
_ORIENTATION = 0x0112
_SEED = 20261123


def gradient() -> Image.Image:
    """Return a sunset of colours that run into each other."""
    image = Image.new("RGB", (320, 200))
    for y in range(image.height):
        share = y / image.height
        colour = (250 - int(60 * share), 90 + int(120 * share), 60 + int(160 * math.sin(share * math.pi)))
        ImageDraw.Draw(image).line((0, y, image.width, y), fill=colour)
    return image


def shapes() -> Image.Image:
    """Return a circle, a square and a triangle on a transparent ground."""
    image = Image.new("RGBA", (300, 200), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    draw.ellipse((20, 50, 110, 140), fill=(220, 60, 60, 255))
    draw.rectangle((125, 60, 195, 130), fill=(60, 140, 220, 255))
    draw.polygon(((245, 50), (285, 135), (205, 135)), fill=(250, 200, 40, 255))
    return image


def landscape() -> Image.Image:
    """Return hills under a sun, softened and grained like a photograph."""
    rng = random.Random(_SEED)
    image = Image.new("RGB", (480, 320), (150, 200, 240))
    draw = ImageDraw.Draw(image)
    draw.ellipse((350, 30, 420, 100), fill=(255, 240, 180))
    for row, colour in enumerate(((110, 140, 170), (80, 130, 100), (50, 100, 60))):
        ridge = [
            (x, 170 + 45 * row + 25 * math.sin(x / (70 - 15 * row) + 2 * row)) for x in range(0, 490, 10)
        ]
        draw.polygon([(0, 320), *ridge, (480, 320)], fill=colour)
    for _ in range(2500):
        x, y, shade = rng.randrange(480), rng.randrange(265, 320), rng.randrange(-25, 25)
        red, green, blue = (60 + shade, 110 + shade, 70 + shade)
        draw.point((x, y), fill=(red, green, blue))
    return image.filter(ImageFilter.GaussianBlur(1.2))


def portrait() -> Image.Image:
    """Return a simple face."""
    image = Image.new("RGB", (240, 300), (235, 225, 210))
    draw = ImageDraw.Draw(image)
    draw.ellipse((60, 50, 180, 210), fill=(245, 205, 175), outline=(120, 80, 60), width=3)
    draw.chord((55, 35, 185, 150), 180, 360, fill=(90, 60, 40))
    for x in (95, 135):
        draw.ellipse((x, 115, x + 14, 129), fill=(40, 60, 90))
    draw.arc((95, 145, 145, 185), 20, 160, fill=(170, 60, 60), width=4)
    draw.polygon(((40, 300), (85, 215), (155, 215), (200, 300)), fill=(70, 110, 150))
    return image


def still_life() -> Image.Image:
    """Return three fruits on a table."""
    image = Image.new("RGB", (320, 240), (200, 180, 160))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 150, 320, 240), fill=(130, 90, 60))
    fruits = ((60, 90, (200, 40, 40)), (130, 85, (240, 150, 30)), (200, 95, (110, 170, 50)))
    for x, y, (red, green, blue) in fruits:
        draw.ellipse((x, y, x + 80, y + 80), fill=(red, green, blue))
        draw.ellipse((x + 18, y + 14, x + 34, y + 30), fill=(255, 250, 240))
    return image.filter(ImageFilter.GaussianBlur(0.8))


def checkerboard() -> Image.Image:
    """Return a board of 8 by 8 squares."""
    image = Image.new("RGB", (160, 160), (245, 240, 225))
    draw = ImageDraw.Draw(image)
    for square in range(64):
        x, y = square % 8 * 20, square // 8 * 20
        if (square % 8 + square // 8) % 2:
            draw.rectangle((x, y, x + 19, y + 19), fill=(60, 45, 40))
    return image


def make_samples(folder: Path) -> list[Path]:
    """Write all samples below ``folder`` and return their paths."""
    travel = folder / "travel"
    travel.mkdir(parents=True, exist_ok=True)
    camera_data = Image.Exif()
    camera_data[_ORIENTATION] = (
        6  # stored lying on its side: it must be turned to the right to be seen upright
    )
    gradient().save(folder / "gradient.jpg", quality=88)
    shapes().save(folder / "shapes.png")
    portrait().save(folder / "portrait.webp", quality=85)
    checkerboard().save(folder / "checkerboard-is-a-png.jpg", format="PNG")
    landscape().save(travel / "landscape.jpg", quality=88)
    still_life().save(travel / "still-life.png")
    on_its_side = portrait().transpose(Image.Transpose.ROTATE_90)
    on_its_side.save(travel / "turned-by-the-camera.jpg", quality=88, exif=camera_data)
    return sorted(path for path in folder.rglob("*") if path.is_file())


def main() -> None:
    """Make the samples where the first argument says, else beside this script."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else _FOLDER
    for path in make_samples(folder):
        print(f"{path.stat().st_size:>7,}  {path}")


if __name__ == "__main__":
    main()
