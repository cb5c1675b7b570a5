"""Types of the options' values, and what each value may be."""

from enum import Enum, auto
from typing import NamedTuple


class SecretText:
    """A credential, which shows only where ``get_secret_value`` is called."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def get_secret_value(self) -> str:
        """Return the text itself."""
        return self._text

    def __eq__(self, other: object) -> bool:
        """Return whether ``other`` is the same credential."""
        return isinstance(other, SecretText) and other._text == self._text

    def __hash__(self) -> int:
        """Return a hash of the text."""
        return hash(self._text)

    def __repr__(self) -> str:
        """Return stars, whatever the text is."""
        return "SecretText('**********')"


class ValueType(Enum):
    """What a value is, once it is converted."""

    TEXT = auto()
    SECRET = auto()
    BOOLEAN = auto()
    INTEGER = auto()
    NUMBER = auto()
    DURATION = auto()
    """Seconds, or such as ``30m`` and ``1h30m``."""
    TIME_OF_DAY = auto()
    MONEY = auto()
    PATH = auto()
    ARCHIVE_FORMAT = auto()
    VERBOSITY = auto()


class ValueSpec(NamedTuple):
    """What an option's value may be: its type, its bounds, and a sentence's end that says so."""

    type: ValueType
    allowed: str
    """Completes "X must be …"."""
    low: float | None = None
    high: float | None = None
    pattern: str | None = None
    is_secret: bool = False
    """A value that may hold a credential: it is never repeated in a message."""
