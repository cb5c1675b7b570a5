"""Removal of unfinished files, and an index of the images that have pictures or reports.

One walk does both. The index saves twelve ``lstat`` for each answer (docs/performance.md), since nearly no
image has older pictures or a report. It has no texts: there may be millions.
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from storage.output.folders import FAILED, SUCCESSFUL
from storage.output.layout import common_path, is_text
from utils.files import is_temporary

_TRACKED_FOLDERS = (f"{SUCCESSFUL}/", f"{FAILED}/")
_MAX_IMAGES = 10_000
"""Most images in the index, which then takes one or two MB."""


class ExistingFiles:
    """Index of images with pictures or a report; may report false positives, never false negatives."""

    def __init__(self) -> None:
        self._images: set[str] | None = None

    def reset(self) -> None:
        """Start an empty index: no file exists but those added from now on."""
        self._images = set()

    def invalidate(self) -> None:
        """Remove the index: from now on any file may exist."""
        self._images = None

    def add(self, path: str) -> None:
        """Add a file that exists or is about to be written."""
        if self._images is None or is_text(path) or not path.startswith(_TRACKED_FOLDERS):
            return
        self._images.add(_fold_case(common_path(path)))
        if len(self._images) > _MAX_IMAGES:
            self.invalidate()

    def may_have(self, image: str) -> bool:
        """Return False only if the image (a ``common_path``) certainly has no picture and no report."""
        # Some file systems take two spellings as one name (case, Unicode normal forms).
        return self._images is None or not image.isascii() or _fold_case(image) in self._images


def remove_unfinished(root: str, folder: str, existing: ExistingFiles, *, recursive: bool) -> int:
    """Remove the unfinished files of a killed run from ``folder``, add the others to ``existing``.

    Returns how many were removed. Only names count; files that cannot be read or removed stay.
    """
    removed, folders = 0, [folder]
    while folders:  # not by recursion: a path of 4,096 bytes can have 2,000 folders
        current = folders.pop()
        try:
            with os.scandir(f"{root}{current}") as entries:
                for entry in entries:
                    path = f"{current}/{entry.name}" if current else entry.name
                    if not is_temporary(entry.name) and entry.is_dir(follow_symlinks=False):
                        folders += [path] if recursive else []
                    else:
                        removed += _visit(path, entry, existing)
        except FileNotFoundError:
            continue
        except OSError:
            existing.invalidate()
    return removed


def _visit(path: str, entry: "os.DirEntry[str]", existing: ExistingFiles) -> int:
    """Remove an unfinished file, and return 1; note any other file, and return 0."""
    if is_temporary(entry.name):
        if entry.is_dir(follow_symlinks=False):  # of the probe for names
            shutil.rmtree(entry.path, ignore_errors=True)
            return 1
        with suppress(OSError):
            Path(entry.path).unlink()
            return 1
    elif entry.is_symlink():
        existing.invalidate()
    else:
        existing.add(path)
    return 0


def _fold_case(image: str) -> str:
    return image.lower()
