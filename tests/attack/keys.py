"""Keys that look real, and the search for one in whatever a run left behind."""

import random
import re
import string

_ESCAPED = re.compile(rb"\\u00([0-9a-fA-F]{2})")
_LENGTH = 35


def draw_key(source: random.Random) -> str:
    """Return a key of Google's form."""
    return "AIza" + "".join(source.choices(string.ascii_letters + string.digits + "_-", k=_LENGTH))


def find_key(data: bytes, key: str) -> bool:
    """Return whether the data hold the key, plainly or with JSON's escapes."""
    plain = _ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), data) if b"\\u00" in data else data
    return key.encode() in data or key.encode() in plain


def escape_key(key: str) -> str:
    """Return the key as JSON may spell it."""
    return "".join(f"\\u{ord(char):04x}" for char in key)
