"""What do earlier runs leave in the tree: unfinished files, which go, and what else stands there?

Before an answer in words is put in place, each of eleven kinds of picture might stand in its way, and a
report of its image's failure. To look for them costs more than to write the answer, and nearly never finds
one. So the one walk that looks for unfinished files notes which images have any. Texts it does not note:
there may be millions, and each is looked for. This file must not know why a file is written.
"""

import os
from contextlib import suppress
from pathlib import Path

from storage.output.layout import FAILED, SUCCESSFUL, image_of, is_text
from utils.files import is_temporary

_WHERE = (f"{SUCCESSFUL}/", f"{FAILED}/")
_MOST = 10_000
"""Images with pictures or reports that are noted, which take a megabyte or two."""


class Bystanders:
    """Which images have pictures or a report, as far as that is known."""

    def __init__(self) -> None:
        self._images: set[str] | None = None

    def begin(self) -> None:
        """Take it that nothing stands there but what is noted from now on."""
        self._images = set()

    def forget(self) -> None:
        """Take it that anything may stand anywhere."""
        self._images = None

    def note(self, path: str) -> None:
        """Hear of a file that stands, or is about to."""
        if self._images is None or is_text(path) or not path.startswith(_WHERE):
            return
        self._images.add(_plain(image_of(path)))
        if len(self._images) > _MOST:
            self.forget()

    def may_have(self, image: str) -> bool:
        """Return False where an image, called as ``image_of`` does, surely has nothing but a text."""
        # A file system may take two spellings for one name; whether it does is not known.
        return self._images is None or not image.isascii() or _plain(image) in self._images


def sweep(root: str, folder: str, seen: Bystanders, *, recursive: bool) -> int:
    """Remove the unfinished files that a killed run left in ``folder``; return how many went.

    Looks at names only; what cannot be read or removed is left.
    """
    try:
        with os.scandir(f"{root}{folder}") as entries:
            return sum(_swept(root, folder, entry, seen, recursive=recursive) for entry in entries)
    except FileNotFoundError:
        return 0
    except OSError:
        seen.forget()
        return 0


def _swept(root: str, folder: str, entry: "os.DirEntry[str]", seen: Bystanders, *, recursive: bool) -> int:
    path = f"{folder}/{entry.name}" if folder else entry.name
    if entry.is_dir(follow_symlinks=False):
        return sweep(root, path, seen, recursive=True) if recursive else 0
    if is_temporary(entry.name):
        with suppress(OSError):
            Path(entry.path).unlink()
            return 1
    elif entry.is_symlink():
        seen.forget()
    else:
        seen.note(path)
    return 0


def _plain(image: str) -> str:
    return image.lower()
