"""What do earlier runs leave in the tree: unfinished files, which go, and what else stands there?

Before an answer in words is put in place, each of eleven kinds of picture might stand in its way, and a
report of its image's failure. To look for them costs more than to write the answer, and nearly never finds
one. So the one walk that looks for unfinished files notes which images have any. Texts it does not note:
there may be millions, and each is looked for. This file must not know why a file is written.
"""

import os
from contextlib import suppress
from pathlib import Path

from storage.output.layout import FAILED, SUCCESSFUL, common_path, is_text
from utils.files import is_temporary

_TRACKED_FOLDERS = (f"{SUCCESSFUL}/", f"{FAILED}/")
_MAX_IMAGES = 10_000
"""Images with pictures or reports that are noted, which take a megabyte or two."""


class ExistingFiles:
    """Which images have pictures or a report, as far as that is known."""

    def __init__(self) -> None:
        self._images: set[str] | None = None

    def reset(self) -> None:
        """Take it that nothing stands there but what is noted from now on."""
        self._images = set()

    def invalidate(self) -> None:
        """Take it that anything may stand anywhere."""
        self._images = None

    def add(self, path: str) -> None:
        """Hear of a file that stands, or is about to."""
        if self._images is None or is_text(path) or not path.startswith(_TRACKED_FOLDERS):
            return
        self._images.add(_fold_case(common_path(path)))
        if len(self._images) > _MAX_IMAGES:
            self.invalidate()

    def may_have(self, image: str) -> bool:
        """Return False where an image, called as ``image_of`` does, surely has nothing but a text."""
        # A file system may take two spellings for one name; whether it does is not known.
        return self._images is None or not image.isascii() or _fold_case(image) in self._images


def remove_unfinished(root: str, folder: str, existing: ExistingFiles, *, recursive: bool) -> int:
    """Remove the unfinished files that a killed run left in ``folder``; return how many went.

    Looks at names only; what cannot be read or removed is left.
    """
    try:
        with os.scandir(f"{root}{folder}") as entries:
            return sum(_visit(root, folder, entry, existing, recursive=recursive) for entry in entries)
    except FileNotFoundError:
        return 0
    except OSError:
        existing.invalidate()
        return 0


def _visit(
    root: str, folder: str, entry: "os.DirEntry[str]", existing: ExistingFiles, *, recursive: bool
) -> int:
    path = f"{folder}/{entry.name}" if folder else entry.name
    if entry.is_dir(follow_symlinks=False):
        return remove_unfinished(root, path, existing, recursive=True) if recursive else 0
    if is_temporary(entry.name):
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
