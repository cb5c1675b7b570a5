"""Has something of this name happened since a moment ago?

Who looked at a moment ago and found nothing need not look again, unless something happened since. To
remember all that ever happened takes memory without end; so only the last names are remembered, and of a
moment before them nothing is known. This file must not know what happens.
"""

from collections import deque
from itertools import islice
from typing import Final

REMEMBERED: Final = 1_000


class Lately:
    """Remembers the last names."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._names: deque[str] = deque(maxlen=remembered)
        self._remembered = remembered
        self.now = 0
        """The present moment: how many names were heard until now."""

    def add(self, name: str) -> None:
        """Hear that something of this name happened."""
        self._names.appendleft(name)
        self.now += 1

    def may_hold(self, name: str, since: int) -> bool:
        """Return False where nothing of this name happened since that moment, for certain."""
        heard = self.now - since
        return heard > self._remembered or name in islice(self._names, heard)
