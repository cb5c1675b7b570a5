"""Images are checked before their first call, and loaded for each.

Small ones are checked a few at a time in one thread, which costs as much as the check of one. Images that are
large, or have to be decoded, get a thread of their own, and wait until there is memory for them.
"""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from typing import Final, ParamSpec, TypeVar

from models import ImageJob
from processing.memory_gate import MemoryGate
from processing.shortage_wait import RETRY_S
from utils.image_formats import SHORTAGE, NotEnoughMemory
from utils.image_validator import (
    BusyImage,
    ImageFacts,
    SystemShortage,
    UnreadableImage,
    estimate_inspection,
    load_decoder,
    load_for_upload,
    read_image,
)
from utils.micro_batching import MicroBatcher
from utils.shortage import is_passing
from utils.standard_streams import read_library_output
from utils.threads import FrugalThreads

log = logging.getLogger(__name__)

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

_MAX_BATCH: Final = 4
_MAX_WORKERS: Final = 4
"""Threads for small images: on a slow disk several reads wait at the same time."""
_SMALL_BYTES: Final = 1_000_000
_FAST_SUFFIXES: Final = (".jpg", ".jpeg", ".png")
"""Formats that are mostly checked by their structure, in less than a millisecond."""

_BUSY_WAITS_S: Final = (0.5, 2.0, 8.0)
"""A file server asks the holder of a file to let it go, which takes seconds; see fcntl(2), leases."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectedImage:
    """An image that can be sent."""

    facts: ImageFacts
    image: bytes | None
    """The bytes to send; None if they have to be converted, or read again."""
    is_maybe_answered: bool
    """True if there may be an answer to these bytes already."""


class ImageLoader:
    """Reads images in threads, never more at a time than there is memory for.

    Args:
        memory: what images may take; None if unlimited.
        max_edge: pixels of the longer side of what is sent; None if images go as they are, if they can.
        strip_metadata: send images without EXIF data, texts and the like.
    """

    def __init__(
        self, memory: MemoryGate | None = None, *, max_edge: int | None = None, strip_metadata: bool = False
    ) -> None:
        self.cache = ImageCache()
        """Bytes of images that were checked and wait for their first call."""
        self._memory = memory or MemoryGate()
        self._max_edge = max_edge
        self._strip_metadata = strip_metadata
        self._threads = FrugalThreads()

    async def start(self) -> None:
        """Start the first thread, and load what checks images, before anything is paid for.

        Raises:
            NoThreadError: the thread cannot be started.
            MemoryError: or an ImportError: there is not enough memory.
        """
        self._threads.start()
        await self.run(load_decoder)

    def close(self) -> None:
        """Stop without waiting: the conversions of a run that was cancelled are of no use."""
        self._threads.abandon()
        if processes := sys.modules.get("utils.decoding_process"):
            processes.end_processes()

    def read(self, job: ImageJob) -> tuple[ImageFacts, bytes | None] | UnreadableImage:
        """Read and check an image; blocks. See ``utils.image_validator.read_image``."""
        result = _try(
            read_image,
            job.path,
            max_edge=self._max_edge,
            memory_bytes=self._memory.total_bytes,
            strip_metadata=self._strip_metadata,
        )
        if said := read_library_output():
            log.debug("%s: its decoder says: %s", job.key, " / ".join(said.splitlines()))
        return result

    async def run(
        self, work: Callable[_Arguments, _Result], *args: _Arguments.args, **kwargs: _Arguments.kwargs
    ) -> _Result:
        """Return the result of blocking work."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(work, *args, **kwargs))

    async def hold_for_inspection(self, job: ImageJob) -> AbstractAsyncContextManager[None]:
        """Return what holds the memory that it takes to check an image."""
        return self._memory.hold(await self.run(estimate_inspection, job.path, job.size_bytes))

    def hold_for_upload(self, facts: ImageFacts) -> AbstractAsyncContextManager[None]:
        """Return what holds the memory that it takes to load and send an image."""
        return self._memory.hold(facts.upload_memory)

    async def load(self, job: ImageJob, facts: ImageFacts) -> bytes:
        """Return the bytes to send.

        Raises:
            UnreadableImage: the file changed or vanished since it was checked, or memory is short.
        """
        data = self.cache.pop(job.key)
        result = await self.run(_try, load_for_upload, job.path, facts) if data is None else data
        if isinstance(result, UnreadableImage):
            raise result
        return result


def _try(
    work: Callable[_Arguments, _Result], *args: _Arguments.args, **kwargs: _Arguments.kwargs
) -> "_Result | UnreadableImage":
    """Return the result of some work, or why there is none, without what the work held in memory."""
    try:
        return work(*args, **kwargs)
    except UnreadableImage as error:
        # A new one, since the frames of the first hold the file's bytes and the pixels.
        return type(error)(*error.args)
    except MemoryError:
        return NotEnoughMemory("There is not enough memory to check the image.")
    except OSError as error:  # a library that is loaded at the first such image
        if not is_passing(error):
            raise
        return SystemShortage(SHORTAGE)


class Inspector:
    """Checks images, and looks their hashes up among the answers.

    Args:
        filter_known: returns those of some SHA-256 for which there may be an answer; blocks.
        loader: reads the images.
        sleep: waits before a busy file is read again; raises RunStoppedError if the run stops.
    """

    def __init__(
        self,
        filter_known: Callable[[Sequence[str]], Collection[str]],
        loader: ImageLoader | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._filter_known = filter_known
        self._loader = loader or ImageLoader()
        self._sleep = sleep
        self._batcher = MicroBatcher(
            self._inspect_all, has_own_threads=False, max_workers=_MAX_WORKERS, max_batch=_MAX_BATCH
        )

    async def inspect(self, job: ImageJob) -> InspectedImage:
        """Return the facts about an image.

        Raises:
            UnreadableImage: it cannot be used, its file is unavailable, or memory is short.
            RunStoppedError: the run stopped while the image waited for memory or for its file.
        """
        result = await self._inspect(job)
        while isinstance(result, SystemShortage):
            await self._sleep(RETRY_S)
            result = await self._inspect(job)
        for wait_s in _BUSY_WAITS_S:
            if not isinstance(result, BusyImage):
                break
            await self._sleep(wait_s)
            result = await self._inspect(job)
        if isinstance(result, UnreadableImage):
            raise result
        if result.facts.unsent_pages:
            pages = result.facts.unsent_pages + 1
            log.warning("%s has %d pages: only the first is sent", job.key, pages)
        return result

    async def _inspect(self, job: ImageJob) -> InspectedImage | UnreadableImage:
        if job.size_bytes <= _SMALL_BYTES and job.path.suffix.lower() in _FAST_SUFFIXES:
            return await self._batcher.submit(job)
        async with await self._loader.hold_for_inspection(job):
            (result,) = await self._loader.run(self._inspect_all, [job])
        return result

    def _inspect_all(self, jobs: Sequence[ImageJob]) -> list[InspectedImage | UnreadableImage]:
        seen = [self._loader.read(job) for job in jobs]
        hashes = [one[0].sha256 for one in seen if not isinstance(one, UnreadableImage)]
        known = self._filter_known(hashes) if hashes else ()
        return [
            one
            if isinstance(one, UnreadableImage)
            else InspectedImage(facts=one[0], image=one[1], is_maybe_answered=one[0].sha256 in known)
            for one in seen
        ]


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
