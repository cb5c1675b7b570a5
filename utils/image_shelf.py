"""Where do the bytes of checked images wait for their turn, so that each file is read only once?

The naive answers are two: to keep them all, and then a hundred images wait in memory while a quota lets
one go a minute; or to keep none, and then every file is read and hashed twice, which for small images is
a quarter of all that is done for them. So there is room for so many bytes: whoever finds none reads the
file again. This file knows neither files nor requests.
"""

from typing import Final

ROOM_BYTES: Final = 8_000_000
"""For a whole run: forty images of 200 KB; of 4 MB two, for which reading again is little beside sending."""


class ImageShelf:
    """Holds images by their keys until they are taken, up to a number of bytes."""

    def __init__(self, room_bytes: int = ROOM_BYTES) -> None:
        self._room_bytes = room_bytes
        self._images: dict[str, bytes] = {}

    def put(self, key: str, image: bytes | None) -> None:
        """Hold an image, where there is room for it."""
        if image is not None and len(image) <= self._room_bytes and key not in self._images:
            self._room_bytes -= len(image)
            self._images[key] = image

    def take(self, key: str) -> bytes | None:
        """Return an image and hold it no longer; None when it is not here."""
        image = self._images.pop(key, None)
        if image is not None:
            self._room_bytes += len(image)
        return image
