"""Selection of images: which files of the input directory belong to the run.

The filters hold together: listed, included, not excluded, new enough; then a sample, then a limit. What is
left out is counted as not selected, and is neither done nor failed.
"""

import heapq
import logging
import random
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from app.path_list import PathList
from errors import UsageError
from utils.image_discovery import FoundImage, PassedOver

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

Found = FoundImage | PassedOver
Walk = Callable[[], Iterator[Found]]
"""Walks through the input directory from its beginning."""

_FOLDER_GROUPS = 1_024
"""The folders of a sample fall into so many groups, so that memory does not grow with their number."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFilters:
    """What the user said about the files of the input directory."""

    include: tuple[str, ...] = ()
    """Patterns as in a ``.gitignore``, of which one must match; empty for all images."""
    exclude: tuple[str, ...] = ()
    """Patterns of which none may match."""
    newer_than_s: float | None = None
    """An image must have been changed within so many seconds before the run."""
    input_list: str | None = None
    """File with the paths of the images, or ``-`` for the standard input."""
    null_separated: bool = False
    """The paths of the list end with a NUL byte, not with a line feed."""
    sample: int | None = None
    seed: int = 0
    limit: int | None = None


@dataclass(slots=True, kw_only=True)
class InputSelection:
    """Selection of the images of one run.

    Args:
        filters: what the user said.
        input_dir: the directory that is walked.
        now: the moment from which ``newer_than_s`` counts.
    """

    filters: InputFilters
    input_dir: Path
    now: datetime
    left_out: int = field(default=0, init=False)
    """Images that were left out of the last walk."""

    def select(self, walk: Walk) -> Iterator[Found]:
        """Yield the images that are selected, and what is passed over; a sample walks twice.

        Raises:
            UsageError: a pattern is none, or the list cannot be read or names a file elsewhere.
        """
        filters = self.filters
        accepts = self._build_filter()
        paths = None
        if filters.input_list is not None:
            paths = PathList(self.input_dir)
            yield from paths.read(filters.input_list, separator=b"\0" if filters.null_separated else b"\n")

        def chosen() -> Iterator[Found]:
            self.left_out = 0
            return self._filter(walk(), accepts, paths)

        items = chosen() if filters.sample is None else self._draw(chosen, filters.sample)
        yield from items if filters.limit is None else self._cut(items, filters.limit)
        if paths is not None and (unseen := paths.count_unseen()):
            log.warning(
                "%d paths of --input-list are in folders that are skipped: hidden, system, output",
                unseen,
            )

    def _build_filter(self) -> Callable[[FoundImage], bool]:
        filters = self.filters
        included, excluded = _compile("--include", filters.include), _compile("--exclude", filters.exclude)
        after_ns = -float("inf")
        if filters.newer_than_s is not None:
            after_ns = (self.now.timestamp() - filters.newer_than_s) * 1e9

        def accepts(image: FoundImage) -> bool:
            if included is not None and not included.match_file(image.relative):
                return False
            return image.mtime_ns > after_ns and not (excluded and excluded.match_file(image.relative))

        return accepts

    def _filter(
        self, items: Iterator[Found], accepts: Callable[[FoundImage], bool], paths: PathList | None
    ) -> Iterator[Found]:
        for item in items:
            is_listed = paths is None or paths.check(item.relative)
            if is_listed and (isinstance(item, PassedOver) or accepts(item)):
                yield item
            else:
                self.left_out += isinstance(item, FoundImage)

    def _cut(self, items: Iterator[Found], limit: int) -> Iterator[Found]:
        """Yield the first images; what is passed over does not count."""
        taken = 0
        for item in items:
            if isinstance(item, FoundImage):
                taken += 1
                if taken > limit:
                    self.left_out += 1
                    continue
            yield item

    def _draw(self, walk: Walk, size: int) -> Iterator[Found]:
        """Yield a sample that is spread over folders, formats and sizes.

        Systematic sampling: the groups stand in a row, each as long as it has images, and every n-th place
        is drawn. Within a group the images of the lowest ranks are taken. The same seed draws the same.
        """
        groups = Counter(_group_of(item) for item in walk() if isinstance(item, FoundImage))
        wanted = _spread(groups, size, random.Random(self.filters.seed))  # noqa: S311 - a sample, no secret
        drawn: dict[tuple[int, str, int], list[tuple[int, int, FoundImage]]] = {group: [] for group in wanted}
        for number, item in enumerate(walk()):
            if isinstance(item, PassedOver):
                yield item
                continue
            self.left_out += 1
            if (group := _group_of(item)) in wanted:
                heapq.heappush(drawn[group], (-self._rank(item), number, item))
                if len(drawn[group]) > wanted[group]:
                    heapq.heappop(drawn[group])
        chosen = sorted((number, item) for heap in drawn.values() for _, number, item in heap)
        self.left_out -= len(chosen)
        yield from (item for _, item in chosen)

    def _rank(self, image: FoundImage) -> int:
        seeded = f"{self.filters.seed}:{image.relative}".encode("utf-8", "surrogatepass")
        return int.from_bytes(blake2b(seeded, digest_size=8).digest())


def _compile(flag: str, patterns: Sequence[str]) -> "GitIgnoreSpec | None":
    """Return the patterns compiled; None if there are none."""
    if not patterns:
        return None
    from pathspec import GitIgnoreSpec  # noqa: PLC0415 - only for those who select

    for pattern in patterns:
        try:
            is_one = any(one.include is not None for one in GitIgnoreSpec.from_lines([pattern]).patterns)
        except ValueError:
            is_one = False
        if not is_one:
            raise UsageError(f"{flag}: {pattern!r} is no pattern as in a .gitignore")
    return GitIgnoreSpec.from_lines(patterns)


def _group_of(image: FoundImage) -> tuple[int, str, int]:
    """Return the group of a sample: folder, format by name, size to a factor of two."""
    folder, _, name = image.relative.rpartition("/")
    group = zlib.crc32(folder.encode("utf-8", "surrogatepass")) % _FOLDER_GROUPS
    return group, Path(name).suffix.lower(), image.size_bytes.bit_length()


def _spread(
    groups: Counter[tuple[int, str, int]], size: int, rng: random.Random
) -> Counter[tuple[int, str, int]]:
    """Return how many images each group gives to the sample; together ``size``, or all there are."""
    total = groups.total()
    if size >= total:
        return groups
    row, step = sorted(groups), total / size
    start = rng.random()
    places = iter([int((number + start) * step) for number in range(size)])
    wanted: Counter[tuple[int, str, int]] = Counter()
    end, place = 0, next(places, None)
    for group in row:
        end += groups[group]
        while place is not None and place < end:
            wanted[group] += wanted[group] < groups[group]
            place = next(places, None)
    return wanted
