"""Printable text: control characters escaped, so that no file name forges a line."""

import re

# C0 and C1 controls, line and paragraph separators, marks that reorder or annotate text, lone surrogates.
UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufff9-\ufffb\ud800-\udfff]"
)


def escape_unprintable(text: str) -> str:
    r"""Return ``text`` with line breaks and terminal commands escaped, as ``\x0a`` for example."""
    return UNPRINTABLE.sub(lambda found: _escape_code(ord(found.group())), text)


def _escape_code(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def escape_lines(text: str) -> str:
    """Return a text of several lines with everything else escaped that ``escape_unprintable`` escapes."""
    return "\n".join(map(escape_unprintable, text.split("\n")))
