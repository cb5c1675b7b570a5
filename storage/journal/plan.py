"""What does the user want done, and what does the plan of a run say?

Only types: the sorting is in ``planning``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from errors import ErrorKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What the user wants done beyond, or instead of, what is not answered yet."""

    retry_failed: bool = False
    """Ask again also where asking again is not expected to help."""
    only: frozenset[ErrorKind] = frozenset()
    """Do nothing but images whose latest outcome has one of these classes; empty: no such limit."""
    force: bool = False
    """Ask again about everything, answered or not."""


class TodoReason(StrEnum):
    """Why an image is not simply done."""

    NEW = "new"
    """Never seen under this name."""
    CHANGED = "changed"
    """Other bytes under a known name."""
    SETTINGS = "settings"
    """Its outcome belongs to another model, prompt or option."""
    LOST = "lost"
    """Its answer no longer stands in the tree."""
    AGAIN = "again"
    """It was deferred, or failed in a way that is tried again."""
    FORCED = "forced"
    """The user wants it asked again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How many images fall into which part; the parts add up to ``found``."""

    found: int
    answered: int
    """Done under today's settings."""
    copyable: int
    """Their bytes are answered under another name, or in the history: no call."""
    todo: int
    """To be asked about."""
    known_failures: Mapping[ErrorKind, int]
    """Left alone, by class, because asking again is not expected to help."""
    not_selected: int
    """Left alone because ``Selection.only`` names other images."""
    reasons: Mapping[TodoReason, int]
    """Of those to do or to copy."""

    @property
    def new(self) -> int:
        """Images never seen under their name."""
        return self.reasons.get(TodoReason.NEW, 0)

    @property
    def changed(self) -> int:
        """Images whose bytes have changed."""
        return self.reasons.get(TodoReason.CHANGED, 0)
