"""Places of images in the output tree, on any file system; no I/O.

On most file systems an image's place follows from its key alone. Where several names stand for one file
(``After.jpg``, ``after.jpg``) the first image keeps the plain name, and others get one with a hash; who has
which name is read from the journal at the start of a run. Memory for 100,000 images: 10 MB, there alone.
"""

from collections.abc import Iterable
from pathlib import PurePosixPath
from threading import Lock

from storage.output.layout import Place, base_of
from utils.name_rules import ORDINARY, NameRules


class Places:
    """Places of the images of one output directory; safe to use from several threads.

    Args:
        rules: of all its file systems together.
        max_bytes: of a path relative to the output directory; None if unlimited.
    """

    def __init__(self, rules: NameRules = ORDINARY, *, max_bytes: int | None = None) -> None:
        self.rules = rules
        self._max_bytes = max_bytes
        self._lock = Lock()
        # Hashes in place of names: one image in 10^9 gets a name with a hash that it would not need.
        self._owners: dict[int, int] = {}
        self._distinct: set[int] = set()
        self._folders: dict[str, str] = {}

    def of(self, key: str) -> Place:
        """Return the place of an image, which no other image has."""
        place = self._find(key)
        if self._max_bytes is not None and place.longest_bytes > self._max_bytes:
            return Place.portable(key)
        return place

    def _find(self, key: str) -> Place:
        place = Place.of(key, self.rules)
        if not self.rules.has_aliases:
            return place
        with self._lock:
            if hash(key) in self._distinct or self._own(place.base, key) != hash(key):
                self._distinct.add(hash(key))
                place = Place.distinct(key, self.rules)
                self._own(place.base, key)
            return Place(self._spell(place.folder), place.stem)

    def adopt(self, images: Iterable[tuple[str, str]]) -> None:
        """Record which image has which name; the first one that is said to have it keeps it.

        Args:
            images: keys, each with the path of one of the image's files.
        """
        for key, path in images:
            base = base_of(path)
            with self._lock:
                self._spell(PurePosixPath(base).parent)
                if self._own(base, key) == hash(key) and PurePosixPath(base).name == self._distinct_stem(key):
                    self._distinct.add(hash(key))

    def _own(self, base: str, key: str) -> int:
        """Record the image as the owner of a name that has none; return the owner's hash."""
        return self._owners.setdefault(hash(self.rules.fold(base)), hash(key))

    def _distinct_stem(self, key: str) -> str:
        return Place.distinct(key, self.rules).stem

    def _spell(self, folder: PurePosixPath) -> PurePosixPath:
        """Return a folder as it was spelled first, which is what the file system calls it."""
        spelled = ""
        for part in folder.parts:
            path = f"{spelled}/{part}"
            spelled = self._folders.setdefault(self.rules.fold(path), path)
        return PurePosixPath(spelled.removeprefix("/"))
