"""One option: its flag, its variable, its default, its bounds and its words in ``--help``.

Named tuples, since importing dataclasses takes 10 ms of the 50 that ``--help`` has (docs/performance.md).
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple, Self

from settings.value_spec import ValueSpec, ValueType


class _CaselessEnum(StrEnum):
    """A word out of a few, in any mixture of capitals."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        word = str(value).lower()
        return next((member for member in cls if member == word), None)


class ArchiveFormat(_CaselessEnum):
    """What the finished output directory is packed into."""

    ZIP = "zip"
    TAR = "tar"
    NONE = "none"


class Verbosity(_CaselessEnum):
    """How much is said while the program works."""

    QUIET = "quiet"
    NORMAL = "normal"
    VERBOSE = "verbose"

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        """Understand the level names of other programs, which often share ``LOG_LEVEL``."""
        word = str(value).lower()
        return super()._missing_(_VERBOSITY_BY_LEVEL.get(word, word))


_VERBOSITY_BY_LEVEL = {
    "debug": "verbose",
    "info": "normal",
    "warn": "quiet",
    "warning": "quiet",
    "error": "quiet",
    "critical": "quiet",
}


TEXTS_OR_FILES = {"prompt", "system_instruction"}
"""Options for whose text ``@`` names a file."""


class Group(StrEnum):
    """The headings of ``--help``, in their order."""

    INPUT = "Input and prompt"
    FILES = "Which files of the input directory (default: all images)"
    SELECTION = "Which images are asked about (default: those without an answer)"
    OUTPUT = "Output"
    CALLS = "Calls and limits"
    MODEL = "Options of the model (sent only when given)"
    UNATTENDED = "Running unattended"
    LOGGING = "What is said"
    OTHER = "Other"


Typed = str | bool | Sequence[str]
"""What was typed for an option; a sequence for a repeatable one."""


class Option(NamedTuple):
    """One setting: a flag, an environment variable, or both."""

    name: str
    """The field it fills."""
    spec: ValueSpec
    group: Group = Group.OTHER
    flag: str | None = None
    """None: only a variable sets it."""
    metavar: str | None = None
    variable: str | None = None
    """None: only a flag sets it."""
    default: str | float | None = None
    unset: str = ""
    """What holds without a value, in words, where there is no default to print."""
    is_required: bool = False
    is_repeatable: bool = False
    """The flag may be given several times; the variable takes values with commas between them."""
    help: str = ""


def integer_spec(low: int, high: int) -> ValueSpec:
    """Return the spec of a whole number within these bounds."""
    return ValueSpec(
        type=ValueType.INTEGER, low=low, high=high, allowed=f"a whole number from {low} to {high}"
    )


def number_spec(low: float, high: float, unit: str = "") -> ValueSpec:
    """Return the spec of a number within these bounds."""
    words = f"a number{unit and f' of {unit}'} from {low:g} to {high:g}"
    return ValueSpec(type=ValueType.NUMBER, low=low, high=high, allowed=words)


def duration_spec(low_s: float, high_s: float, from_to: str) -> ValueSpec:
    """Return the spec of a duration within these bounds."""
    words = f"a duration {from_to}, such as 90s, 30m or 1h30m"
    return ValueSpec(type=ValueType.DURATION, low=low_s, high=high_s, allowed=words)
