"""Check of images before their first call, small ones a few at a time in one thread.

A thread for each image costs as much as the check of a small one. Images that are large, or have to be
decoded, take long enough for a thread of their own.
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
"""Threads for small images: on a slow disk several reads wait at the same time."""
_SMALL_BYTES: Final = 1_000_000
_FAST_SUFFIXES: Final = (".jpg", ".jpeg", ".png")
"""Formats that are mostly checked by their structure, in less than a millisecond."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectedImage:
    """An image that can be sent."""

    facts: ImageFacts
    image: bytes | None
    """The bytes to send; None if they have to be converted, or read again."""
    is_maybe_answered: bool
    """True if there may be an answer to these bytes already."""


class Inspector:
    """Checks images, and looks their hashes up among the answers.

    Args:
        filter_known: returns those of some SHA-256 for which there may be an answer; blocks.
    """

    def __init__(self, filter_known: Callable[[Sequence[str]], Collection[str]]) -> None:
        self._filter_known = filter_known
        self._batcher = MicroBatcher(
            self._inspect_all, name=None, max_workers=_MAX_WORKERS, max_batch=_MAX_BATCH
        )

    async def inspect(self, job: ImageJob) -> InspectedImage:
        """Return the facts about an image.

        Raises:
            UnreadableImage: it cannot be used, or its file is unavailable.
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
"""For a whole run: forty images of 200 KB, or two of 4 MB, whose second reading is little beside sending."""


class ImageCache:
    """Bytes of images by key until they are taken, up to a number of bytes."""

    def __init__(self, capacity_bytes: int = CAPACITY_BYTES) -> None:
        self._free_bytes = capacity_bytes
        self._images: dict[str, bytes] = {}

    def put(self, key: str, image: bytes | None) -> None:
        """Add an image, unless it exceeds the capacity."""
        if image is not None and len(image) <= self._free_bytes and key not in self._images:
            self._free_bytes -= len(image)
            self._images[key] = image

    def pop(self, key: str) -> bytes | None:
        """Remove and return an image; None if it is not cached."""
        image = self._images.pop(key, None)
        if image is not None:
            self._free_bytes += len(image)
        return image
