"""Types of a plan: what the user selects, and how many images are to do; ``planner`` makes it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from errors import ErrorKind, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Options of the user that change which images are sent."""

    retry_failed: bool = False
    """Send known failures again, although that is not expected to help; answered images are left."""
    only: frozenset[ErrorKind] = frozenset()
    """Send only images whose latest outcome is a failure of one of these kinds; empty if unlimited."""
    force: bool = False
    """Send every image again, answered or not."""
    keep_answers: bool = False
    """Leave images whose bytes are answered under any settings."""

    @property
    def is_repair(self) -> bool:
        """True if only images without an answer are meant; see ``repairs``."""
        return self.retry_failed or bool(self.only)


class TodoReason(StrEnum):
    """Why an image is to be sent or copied."""

    NEW = "new"
    """Its name is new."""
    CHANGED = "changed"
    """Its name is known, its bytes are others."""
    SETTINGS = "settings"
    """Its outcome belongs to another model, prompt or option."""
    LOST = "lost"
    """Files of its answer are missing."""
    AGAIN = "again"
    """It was deferred, or failed in a way that is tried again."""
    FORCED = "forced"
    """``Selection.force`` is set."""


class Difference(StrEnum):
    """What differs between the present settings and those of an earlier answer; words for users."""

    MODEL = "another model"
    PROMPT = "another prompt"
    BOTH = "another model and prompt"
    OTHER = "other settings"


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierAnswers:
    """Images that were answered under other settings, and what the plan does with them."""

    repaired: Mapping[str, int] = field(default_factory=dict)
    """Answered by a repair that counts for the present settings: images by model, part of ``answered``."""
    kept: Mapping[str, int] = field(default_factory=dict)
    """Left as they are, because the user wants it: images by model, part of ``answered``."""
    asked_anew: Mapping[str, int] = field(default_factory=dict)
    """To be sent, although they have an answer: images by ``Difference``, part of ``todo``."""
    usage: Usage = field(default_factory=Usage)
    """Tokens of the answers of ``asked_anew``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Number of images in each part; ``reasons`` aside, the parts add up to ``found``."""

    found: int
    answered: int
    """Answered: under the present settings, by a repair, or kept."""
    copyable: int
    """The same bytes are answered under another name, or in the history: no call."""
    todo: int
    """To be sent."""
    known_failures: Mapping[ErrorKind, int]
    """Skipped, by kind of error, because another try is not expected to help."""
    not_selected: int
    """Skipped because of ``Selection.only``."""
    reasons: Mapping[TodoReason, int]
    """Number of images to send or to copy, by reason."""
    earlier: EarlierAnswers = field(default_factory=EarlierAnswers)

    @property
    def new(self) -> int:
        """Images with a new name."""
        return self.reasons.get(TodoReason.NEW, 0)

    @property
    def changed(self) -> int:
        """Images whose bytes have changed."""
        return self.reasons.get(TodoReason.CHANGED, 0)
