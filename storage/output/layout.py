"""Names and places of all files in the output directory; no I/O.

successful/<folder>/<file name>_result.txt        the answer's text
successful/<folder>/<file name>_result.<ext>      its picture; _result_2.<ext>, … if there are several
failed/<folder>/<file name>_error.log             why there is no answer
metadata/                                         documents, ledger, journal, history
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import PurePosixPath

from storage.output.folders import FAILED, METADATA, OLD_DRY_RUN, SUCCESSFUL, WRITE_TEST
from utils.files import TEMPORARY_BYTES, is_temporary
from utils.image_formats import HEAD_BYTES, ImageFormat, sniff
from utils.name_rules import ORDINARY, NameRules
from utils.safe_names import distinct_name, output_folder, output_name, portable_name

UNKNOWN_SUFFIX = "bin"
PICTURE_SUFFIXES = {
    ImageFormat.PNG: "png",
    ImageFormat.JPEG: "jpg",
    ImageFormat.WEBP: "webp",
    ImageFormat.GIF: "gif",
    ImageFormat.AVIF: "avif",
    ImageFormat.HEIC: "heic",
    ImageFormat.HEIF: "heif",
    ImageFormat.HEIF_SEQUENCE: "heif",
    ImageFormat.BMP: "bmp",
    ImageFormat.TIFF: "tif",
    ImageFormat.JPEG_2000: "jp2",
}
_ALL_SUFFIXES = (*dict.fromkeys(PICTURE_SUFFIXES.values()), UNKNOWN_SUFFIX)

_TEXT_ENDING = "_result.txt"
_LOG_ENDING = "_error.log"
_WORKING_FILE = re.compile(
    rf"{METADATA}/(journal\.db[^/]*|logs?|[^/]*\.lock|[^/]*\.log(\.[0-9]+)?|\.[^/]*)", re.DOTALL
)
_ENDING = re.compile(r"_result(_[0-9]+)?\.[a-z0-9]+\Z")

# Space for the longest ending, so that all files of an image share one shortened stem.
_ENDING_BYTES = len("_result_9999.webp")


@dataclass(frozen=True, slots=True)
class Place:
    """Paths of the files of one image, relative to the output directory; they share folder and stem."""

    folder: PurePosixPath
    stem: str
    """The image's file name; escaped or shortened, with a hash, if the file system cannot take it."""

    @classmethod
    def of(cls, key: str, rules: NameRules = ORDINARY) -> "Place":
        """Return the place of the image with this key."""
        name = key.rpartition("/")[2]
        return cls(output_folder(key, rules), output_name(name, "", rules=rules, room_bytes=_ENDING_BYTES))

    @classmethod
    def distinct(cls, key: str, rules: NameRules) -> "Place":
        """Return the place for a key whose own place, for this file system, is that of another one."""
        return cls(output_folder(key, rules), distinct_name(key, rules=rules, room_bytes=_ENDING_BYTES))

    @classmethod
    def portable(cls, key: str) -> "Place":
        """Return the place for a key whose own place the file system refuses; it is in no folder."""
        return cls(PurePosixPath(), portable_name(key))

    @property
    def text(self) -> str:
        """The answer's text file."""
        return self.result(_TEXT_ENDING)

    @property
    def error_log(self) -> str:
        """The report of a failure."""
        return f"{self._base(FAILED)}{_LOG_ENDING}"

    def result(self, ending: str) -> str:
        """Return the result file with this ending, which includes ``_result``."""
        return f"{self._base(SUCCESSFUL)}{ending}"

    def picture(self, number: int, suffix: str) -> str:
        """Return the answer's picture of this number (from 1) and suffix (without a dot)."""
        return self.result(f"_result.{suffix}" if number == 1 else f"_result_{number}.{suffix}")

    def iter_picture_names(self) -> Iterator[tuple[str, ...]]:
        """Yield, without end, all names that the first picture can have, then the second, and so on."""
        base = self._base(SUCCESSFUL)
        for number in count(1):
            numbered = f"{base}_result" if number == 1 else f"{base}_result_{number}"
            yield tuple(f"{numbered}.{suffix}" for suffix in _ALL_SUFFIXES)

    @property
    def longest_bytes(self) -> int:
        """Length of the longest path of its files, unfinished ones too, relative to the output directory."""
        path = self._base(SUCCESSFUL)
        folder_bytes = len(path.rpartition("/")[0].encode()) + 1
        return max(len(path.encode()) + _ENDING_BYTES, folder_bytes + TEMPORARY_BYTES)

    @property
    def base(self) -> str:
        """The common path of all files, without their root and their endings."""
        folder = str(self.folder)
        return self.stem if folder == "." else f"{folder}/{self.stem}"

    def _base(self, root: str) -> str:
        return f"{root}/{self.base}"


def picture_suffix(data: bytes) -> str:
    """Return the suffix (no dot) of a picture's format by its bytes; ``bin`` if unknown."""
    kind = sniff(data[:HEAD_BYTES])
    return PICTURE_SUFFIXES[kind] if kind else UNKNOWN_SUFFIX


def result_ending(path: str) -> str | None:
    """Return the ending of a result file's name (``_result_2.png``); None if it is no result file."""
    match = _ENDING.search(path)
    return match.group() if match else None


def common_path(path: str) -> str:
    """Return the part of a path that all results of an image share, or all of its failure reports."""
    return path.rpartition(_LOG_ENDING if path.endswith(_LOG_ENDING) else "_result")[0]


def base_of(path: str) -> str:
    """Return the ``Place.base`` of the image that a result or a failure report belongs to."""
    return common_path(path).partition("/")[2]


def is_text(path: str) -> bool:
    """Return whether a result file holds the answer's text."""
    return path.endswith(_TEXT_ENDING)


def is_excluded_from_archive(path: str) -> bool:
    """Return whether a file or folder is the journal, a lock, a log, unfinished, or about old dry runs."""
    name = path.rpartition("/")[2]
    is_working_file = name == WRITE_TEST or is_temporary(name) or _WORKING_FILE.fullmatch(path) is not None
    return is_working_file or path == OLD_DRY_RUN
