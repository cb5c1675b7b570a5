"""What is a file called in reports and in the output tree, so that two files never share a name?

This file never touches the disk and knows no file's content. All three functions are injective:
different inputs give different outputs, also for names made to collide.
"""

import hashlib
import os
import re
from pathlib import PurePath, PurePosixPath

# Control characters, line separators, marks that reverse the reading direction, and what Python
# puts in place of bytes that are not UTF-8. Joiners stay: emoji are built from them.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_ESCAPED = re.compile(r"~[0-9a-f]{12}(\.[^.]*)?")
_SHORTENED = re.compile(r"~[0-9a-f]{12}")

# The names that results take, the mark appended below, and the names that mean another folder.
_RESERVED_FOLDER = re.compile(
    r".*(_result(_\d+)?(\.[^.]*)?|_error\.log|~dir)|\.\.?", re.IGNORECASE | re.DOTALL
)


def printable_key(relative: PurePath | str) -> str:
    """Return the name by which everything speaks of the file at ``relative``: ``/``-joined, valid UTF-8.

    Almost every path is its own key. A component with a line feed or other control characters, or
    with bytes that are not UTF-8, has these written as ``%0A`` and a short hash put before its suffix,
    ``a<line feed>b.jpg`` becoming ``a%0Ab~98e67617010d.jpg``, so that it cannot be taken for another file.
    """
    parts = relative.split("/") if isinstance(relative, str) else relative.parts
    return "/".join(_escape_component(part) for part in parts if part not in {"", "."})


def output_name(name: str, suffix: str, limit_bytes: int = 255) -> str:
    """Return ``name + suffix``, with ``name`` cut and a hash put in when it is longer than ``limit_bytes``.

    ``name`` is a key's last component; ``suffix`` is ASCII, such as ``_result.txt``. The limit is
    that of ext4, XFS, NTFS and APFS. Names are injective for one suffix.
    """
    full_name = name + suffix
    if len(full_name.encode()) <= limit_bytes and not _ends_with(_SHORTENED, name):
        return full_name
    ending = f"~{_digest(name.encode())}{suffix}"
    # A character cut in half is dropped, never left as half a character.
    return name.encode()[: limit_bytes - len(ending)].decode(errors="ignore") + ending


def output_folder(key: str) -> PurePosixPath:
    """Return the folder, relative to ``successful/`` or ``failed/``, for the results of the file ``key``.

    It mirrors the folder of the key, ``a/b/c.jpg`` giving ``a/b`` and ``c.jpg`` giving ``.``, but a
    component that a result file could be called (``x.jpg_result.txt``) gets ``~dir`` appended, and one
    too long is shortened. The folder is never absolute and never leaves its root, whatever the key.
    """
    parents = [part for part in key.split("/")[:-1] if part]
    return PurePosixPath(*(output_name(part, "~dir" if _is_reserved(part) else "") for part in parents))


def _escape_component(part: str) -> str:
    """Return one component as it is, or escaped and marked with a hash of its bytes."""
    if not _UNPRINTABLE.search(part) and not _ends_with(_ESCAPED, part):
        return part
    stem, suffix = os.path.splitext(_UNPRINTABLE.sub(_percent_encode, part.replace("%", "%25")))  # noqa: PTH122 -- of a name, not of a path
    return f"{stem}~{_digest(_to_bytes(part))}{suffix}"


def _percent_encode(match: re.Match[str]) -> str:
    """Return one unprintable character as its bytes in ``%XX``."""
    return "".join(f"%{byte:02X}" for byte in _to_bytes(match.group()))


def _to_bytes(text: str) -> bytes:
    """Return the bytes that a name stands for: those the file system has, on Windows as near as can be."""
    return text.encode(errors="surrogateescape" if os.name == "posix" else "surrogatepass")


def _ends_with(pattern: re.Pattern[str], name: str) -> bool:
    """Return whether ``name`` already ends like one of ours; it then needs a mark of its own."""
    return re.search(f"({pattern.pattern})\\Z", name, re.DOTALL) is not None


def _is_reserved(part: str) -> bool:
    """Return whether a folder of this name could stand where a result file must."""
    return _RESERVED_FOLDER.fullmatch(part) is not None


def _digest(raw: bytes) -> str:
    """Return twelve hexadecimal digits for ``raw``."""
    return hashlib.sha256(raw).hexdigest()[:12]
