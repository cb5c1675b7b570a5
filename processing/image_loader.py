"""How are images checked before anything is asked about them, a few at a time?

A thread for each image costs as much as to check a small one: it has to be woken, and to fight the event loop
for the interpreter. So small images that wait at the same time are checked a few in one go. A large one, or
one that has to be decoded, takes long enough to have a thread of its own, lest others wait for it. This file
must not know what becomes of an image.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from models import ImageJob
from utils.image_validator import ImageFacts, UnreadableImage, read_image
from utils.micro_batching import MicroBatcher

_MAX_BATCH: Final = 4
_MAX_WORKERS: Final = 4
"""At most, for small images: on a slow disk they wait for it side by side."""
_SMALL_BYTES: Final = 1_000_000
_FAST_SUFFIXES: Final = (".jpg", ".jpeg", ".png")
"""What such files hold is mostly known from their structure, in less than a millisecond."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectedImage:
    """An image that is whole."""

    facts: ImageFacts
    image: bytes | None
    """The bytes to send; None where they are to be made, or read again."""
    is_maybe_answered: bool
    """There may be an answer to these bytes already."""


class Inspector:
    """Checks images.

    Args:
        known_among: returns those of some SHA-256 to whose bytes there may be an answer; blocks.
    """

    def __init__(self, filter_known: Callable[[Sequence[str]], Collection[str]]) -> None:
        self._filter_known = filter_known
        self._batcher = MicroBatcher(
            self._inspect_all, name=None, max_workers=_MAX_WORKERS, max_batch=_MAX_BATCH
        )

    async def inspect(self, job: ImageJob) -> InspectedImage:
        """Return what the image is.

        Raises:
            UnreadableImage: it cannot be used, or its file cannot be had.
        """
        if job.size_bytes <= _SMALL_BYTES and job.path.suffix.lower() in _FAST_SUFFIXES:
            result = await self._batcher.submit(job)
        else:
            (result,) = await asyncio.to_thread(self._inspect_all, [job])
        if isinstance(result, UnreadableImage):
            raise result
        return result

    def _inspect_all(self, jobs: Sequence[ImageJob]) -> list[InspectedImage | UnreadableImage]:
        seen = [_try_read(job) for job in jobs]
        hashes = [one[0].sha256 for one in seen if not isinstance(one, UnreadableImage)]
        known = self._filter_known(hashes) if hashes else ()
        return [
            one
            if isinstance(one, UnreadableImage)
            else InspectedImage(facts=one[0], image=one[1], is_maybe_answered=one[0].sha256 in known)
            for one in seen
        ]


def _try_read(job: ImageJob) -> tuple[ImageFacts, bytes | None] | UnreadableImage:
    try:
        return read_image(job.path)
    except UnreadableImage as error:
        return error


CAPACITY_BYTES: Final = 8_000_000
"""For a whole run: forty images of 200 KB; of 4 MB two, for which reading again is little beside sending."""


class ImageCache:
    """Holds images by their keys until they are taken, up to a number of bytes."""

    def __init__(self, capacity_bytes: int = CAPACITY_BYTES) -> None:
        self._free_bytes = capacity_bytes
        self._images: dict[str, bytes] = {}

    def put(self, key: str, image: bytes | None) -> None:
        """Hold an image, where there is room for it."""
        if image is not None and len(image) <= self._free_bytes and key not in self._images:
            self._free_bytes -= len(image)
            self._images[key] = image

    def pop(self, key: str) -> bytes | None:
        """Return an image and hold it no longer; None when it is not here."""
        image = self._images.pop(key, None)
        if image is not None:
            self._free_bytes += len(image)
        return image
