"""Text for the user: wrapped lines, labelled rows, counts with their noun, and US dollars."""

import textwrap
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import islice
from typing import overload

from utils.printable import escape_unprintable

WIDTH = 79
"""Columns of a line; only a path or a word without a blank can be longer."""
USD_DIGITS = 6
"""Decimal places of a dollar in documents: a call costs at least a few millionths."""
MAX_REASONS = 3
"""Most reasons that are listed for deferred images."""

_LABEL_WIDTH = 13


def wrap(text: str, *, indent: int = 0, width: int = WIDTH) -> list[str]:
    """Return the text as lines; long words stay whole, so that a path can be copied."""
    return textwrap.wrap(
        text, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
    )


def wrap_row(label: str, text: str) -> list[str]:
    """Return the lines of a label and a text, whose control characters are escaped."""
    return wrap(f"{label:<{_LABEL_WIDTH}}{escape_unprintable(text)}", indent=_LABEL_WIDTH)


def wrap_count(count: int, text: str) -> list[str]:
    """Return the lines of a right-aligned count and what it counts."""
    return wrap(f"{count:>7,}  {text}", indent=9)


def deferral_lines(deferred_because: Mapping[str, int]) -> Iterator[str]:
    """Yield why images were deferred, the most common reasons first, each with its number of images."""
    if deferred_because:
        yield "Deferred because"
    for reason, count in islice(deferred_because.items(), MAX_REASONS):
        yield from wrap_count(count, escape_unprintable(reason))


def format_count(count: int, noun: str) -> str:
    """Return a count with its noun: ``1 byte``, ``2,000 bytes``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def format_images(count: int) -> str:
    """Return a number of images: ``1 image``, ``2 images``."""
    return format_count(count, "image")


def format_dollars(amount: float) -> str:
    """Return an amount with two, four or six decimal places: ``$12.30``, ``$0.0123``, ``$0.000040``."""
    if amount >= 1:
        return f"${amount:,.2f}"
    return f"${amount:.4f}" if amount >= 0.001 or not amount else f"${amount:.6f}"


@overload
def round_dollars(amount: Decimal) -> float: ...
@overload
def round_dollars(amount: Decimal | None) -> float | None: ...
def round_dollars(amount: Decimal | None) -> float | None:
    """Return an amount as in documents, with ``USD_DIGITS``; None if unknown."""
    return None if amount is None else float(round(amount, USD_DIGITS))
