"""Safe names: keys of images, and names of files and folders in the output directory.

All these functions are injective: different inputs give different outputs, also for names made to collide.
"""

import hashlib
import os
import re
from pathlib import PurePath, PurePosixPath

from utils.name_rules import ORDINARY, NameRules

# Control characters, line separators, marks that reverse the reading direction, and Python's
# placeholders for bytes that are not UTF-8. Joiners stay, because emoji are built from them.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_ESCAPED = re.compile(r"~[0-9a-f]{12}(\.[^.]*)?")
_SHORTENED = re.compile(r"~[0-9a-f]{12}")
_NOT_PORTABLE = re.compile(r"[^A-Za-z0-9]+")
_PORTABLE_LETTERS = 20

# Names of result files, the mark that ``output_folder`` appends, and names that mean another folder.
_RESERVED_FOLDER = re.compile(
    r".*(_result(_\d+)?(\.[^.]*)?|_error\.log|~dir)|\.\.?", re.IGNORECASE | re.DOTALL
)


def printable_key(relative: PurePath | str) -> str:
    """Return the key of the file at ``relative``: its path, joined by ``/``, in printable UTF-8.

    Almost every path is its own key. In a component with control characters or with bytes that are not
    UTF-8 these are written as ``%0A``, and a short hash is put before its suffix, so that it differs from
    every other key: ``a<line feed>b.jpg`` becomes ``a%0Ab~98e67617010d.jpg``.
    """
    parts = relative.split("/") if isinstance(relative, str) else relative.parts
    return "/".join(_escape_component(part) for part in parts if part not in {"", "."})


def output_name(name: str, suffix: str, *, rules: NameRules = ORDINARY, room_bytes: int = 0) -> str:
    """Return ``name + suffix``; a name that is not allowed is escaped or cut, and a hash is added.

    ``name`` is a key's last component; ``suffix`` is ASCII, such as ``_result.txt``. Names are injective for
    one suffix.

    Args:
        name: the name to keep.
        suffix: added to it.
        rules: those of the file system.
        room_bytes: length of what the caller adds; 0 if the name ends here.
    """
    escaped = rules.escape(name, is_whole=not suffix and not room_bytes)
    limit_bytes = rules.max_bytes - room_bytes
    is_unchanged = escaped == name and len(f"{name}{suffix}".encode()) <= limit_bytes
    if is_unchanged and not _ends_with(_SHORTENED, name):
        return f"{name}{suffix}"
    return _mark(escaped, f"~{_digest(name.encode())}{suffix}", limit_bytes)


def distinct_name(key: str, *, rules: NameRules = ORDINARY, room_bytes: int = 0) -> str:
    """Return a key's last component with a hash of the whole key, for one whose ``output_name`` is taken."""
    name = rules.escape(key.rpartition("/")[2], is_whole=False)
    return _mark(name, f"~{_digest(key.encode())}", rules.max_bytes - room_bytes)


def portable_name(key: str) -> str:
    """Return a short name for a key that every file system can take: ``IMG-5f3a0c77d1e2``."""
    stem = _NOT_PORTABLE.sub("-", key.rpartition("/")[2].partition(".")[0]).strip("-")[:_PORTABLE_LETTERS]
    return f"{stem or 'image'}-{_digest(key.encode())}"


def output_folder(key: str, rules: NameRules = ORDINARY) -> PurePosixPath:
    """Return the folder, relative to ``successful/`` or ``failed/``, for the results of the file ``key``.

    It mirrors the folder of the key: ``a/b/c.jpg`` gives ``a/b``, and ``c.jpg`` gives ``.``. A component
    that could be the name of a result file (``x.jpg_result.txt``) gets ``~dir`` appended, and a long one is
    shortened. The folder is never absolute and never leaves its root, whatever the key.
    """
    parents = [part for part in key.split("/")[:-1] if part]
    return PurePosixPath(
        *(output_name(part, "~dir" if _is_reserved(part) else "", rules=rules) for part in parents)
    )


def _mark(name: str, ending: str, limit_bytes: int) -> str:
    """Return the name with this ending, cut to fit; a character that the limit cuts in half is dropped."""
    return name.encode()[: limit_bytes - len(ending)].decode(errors="ignore") + ending


def _escape_component(part: str) -> str:
    """Return one component unchanged, or escaped and marked with a hash of its bytes."""
    if not _UNPRINTABLE.search(part) and not _ends_with(_ESCAPED, part):
        return part
    stem, suffix = os.path.splitext(_UNPRINTABLE.sub(_percent_encode, part.replace("%", "%25")))  # noqa: PTH122 -- of a name, not of a path
    return f"{stem}~{_digest(_to_bytes(part))}{suffix}"


def _percent_encode(match: re.Match[str]) -> str:
    """Return the bytes of one unprintable character as ``%XX``."""
    return "".join(f"%{byte:02X}" for byte in _to_bytes(match.group()))


def _to_bytes(text: str) -> bytes:
    """Return the bytes of a name in the file system; on Windows the nearest ones."""
    return text.encode(errors="surrogateescape" if os.name == "posix" else "surrogatepass")


def _ends_with(pattern: re.Pattern[str], name: str) -> bool:
    """Return True if ``name`` already ends with such a mark, so that it needs a mark itself."""
    return re.search(f"({pattern.pattern})\\Z", name, re.DOTALL) is not None


def _is_reserved(part: str) -> bool:
    """Return True if a folder of this name could take the place of a result file."""
    return _RESERVED_FOLDER.fullmatch(part) is not None


def _digest(raw: bytes) -> str:
    """Return twelve hexadecimal digits for ``raw``."""
    return hashlib.sha256(raw).hexdigest()[:12]
