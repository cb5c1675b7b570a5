"""Safe names: keys of images, and names of files and folders in the output directory.

All three functions are injective: different inputs give different outputs, also for names made to collide.
"""

import hashlib
import os
import re
from pathlib import PurePath, PurePosixPath

# Control characters, line separators, marks that reverse the reading direction, and Python's
# placeholders for bytes that are not UTF-8. Joiners stay, because emoji are built from them.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_ESCAPED = re.compile(r"~[0-9a-f]{12}(\.[^.]*)?")
_SHORTENED = re.compile(r"~[0-9a-f]{12}")

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


def output_name(name: str, suffix: str, limit_bytes: int = 255) -> str:
    """Return ``name + suffix``; if longer than ``limit_bytes``, ``name`` is cut and a hash is added.

    ``name`` is a key's last component; ``suffix`` is ASCII, such as ``_result.txt``. The limit is
    that of ext4, XFS, NTFS and APFS. Names are injective for one suffix.
    """
    full_name = name + suffix
    if len(full_name.encode()) <= limit_bytes and not _ends_with(_SHORTENED, name):
        return full_name
    ending = f"~{_digest(name.encode())}{suffix}"
    # A character that the limit cuts in half is dropped.
    return name.encode()[: limit_bytes - len(ending)].decode(errors="ignore") + ending


def output_folder(key: str) -> PurePosixPath:
    """Return the folder, relative to ``successful/`` or ``failed/``, for the results of the file ``key``.

    It mirrors the folder of the key: ``a/b/c.jpg`` gives ``a/b``, and ``c.jpg`` gives ``.``. A component
    that could be the name of a result file (``x.jpg_result.txt``) gets ``~dir`` appended, and a long one is
    shortened. The folder is never absolute and never leaves its root, whatever the key.
    """
    parents = [part for part in key.split("/")[:-1] if part]
    return PurePosixPath(*(output_name(part, "~dir" if _is_reserved(part) else "") for part in parents))


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
