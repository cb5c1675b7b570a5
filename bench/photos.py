"""Photographs of a given size, no two with the same bytes.

``python -m bench.photos FOLDER COUNT BYTES`` writes JPEGs of soft colours with grain, whose file size
is within a few per cent of the wanted one, and prints their hashes as JSON. A process of its own, since a
process that measures others must stay small.
"""

import hashlib
import json
import random
import sys
from io import BytesIO
from pathlib import Path

from PIL import Image

_BYTES_PER_PIXEL = 0.342
"""Of such a picture at this quality; those of cameras have 0.3 to 0.6."""
_QUALITY = 85


def photo(size_bytes: int, seed: int) -> Image.Image:
    """Return a picture whose JPEG has about so many bytes."""
    edge_px = max(16, round((size_bytes / _BYTES_PER_PIXEL) ** 0.5))
    small = Image.frombytes("RGB", (8, 8), random.Random(seed).randbytes(8 * 8 * 3))
    soft = small.resize((edge_px, edge_px), Image.Resampling.BICUBIC)
    grain = Image.effect_noise((edge_px, edge_px), 26.0)
    return Image.blend(soft, Image.merge("RGB", (grain, grain, grain)), 0.5)


def write_photos(folder: Path, count: int, size_bytes: int) -> dict[str, str]:
    """Write the pictures and return the hash of each name.

    The pixels are made once; a comment makes each file another one, which is what making 240 MB of
    pictures in reasonable time takes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    variants = [_encoded(size_bytes, seed) for seed in range(min(count, 8))]
    hashes = {}
    for number in range(count):
        plain = variants[number % len(variants)]
        comment = b"photo %07d" % number
        marker = b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment
        data = plain[:2] + marker + plain[2:]
        name = f"photo-{number:05d}.jpg"
        (folder / name).write_bytes(data)
        hashes[name] = hashlib.sha256(data).hexdigest()
    return hashes


def _encoded(size_bytes: int, seed: int) -> bytes:
    buffer = BytesIO()
    photo(size_bytes, seed).save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


if __name__ == "__main__":
    print(json.dumps(write_photos(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
