"""How do result files come to stand, get recognised and make room, without one ever being lost?

Nothing real is ever deleted or overwritten here, but moved to the history of the run that replaces it.
What a dry run wrote is recognised by its own mark, in the file itself: that holds without a journal,
with a damaged one, and after a copy of the tree. This file must not know why a file is written, nor
in which order; every OSError that leaves it names the file that it is about.
"""

import contextlib
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

from errors import StorageError
from models import Artefact
from storage.output.answer_text import DRY_RUN_LINE, DRY_RUN_TRAILER
from storage.output.cleanup import ExistingFiles, remove_unfinished
from storage.output.layout import FAILED, HISTORY, LEDGER, METADATA, SUCCESSFUL, Place, common_path
from utils.files import is_temporary, make_folder, sync_directory, write_atomic
from utils.logger import escape_unprintable

_STATS = "processing_stats.json"
_FIRST_LINE = DRY_RUN_LINE.encode()


class OutputTree:
    """The files below one output directory, by their path relative to it.

    Args:
        root: the output directory.
        run_id: of the present run; what it replaces goes to the history under this name.
        dry_run: the run is dry: it touches nothing real.
    """

    def __init__(self, root: Path, *, run_id: str, dry_run: bool) -> None:
        self._root = root
        self._prefix = os.path.join(root, "")  # noqa: PTH118 -- what comes before all paths, as a text
        self._run_id = run_id
        self._dry_run = dry_run
        self._existing = ExistingFiles()

    def remove_unfinished(self) -> int:
        """Remove unfinished files that a killed run left; return how many. Only while no other run is on.

        What stands beside the texts is noted, so that nobody has to look for it: from here on, what
        others put into the tree beside an answer's text stays where it is.
        """
        existing = self._existing
        existing.reset()
        below = sum(
            remove_unfinished(self._prefix, name, existing, recursive=True)
            for name in (FAILED, METADATA, SUCCESSFUL)
        )
        return below + remove_unfinished(self._prefix, "", existing, recursive=False)

    def put(self, path: str, data: bytes, *, sync: bool = True) -> None:
        """Write a file in one step, with the folders above it; without ``sync`` see ``sync``.

        Raises:
            OSError: it could not be written; nothing is left of it.

        """
        target = f"{self._prefix}{path}"  # a Path costs ten times as much
        self._existing.add(path)
        with with_path(target):
            try:
                write_atomic(target, data, sync=sync)
            except (FileNotFoundError, NotADirectoryError):
                make_folder(Path(target).parent, root=self._root)
                write_atomic(target, data, sync=sync)

    def sync(self, folder: str) -> None:
        """Let the names of the files that were put into a folder survive a power cut.

        Raises:
            OSError: it could not be done.

        """
        with with_path(f"{self._prefix}{folder}"):
            sync_directory(f"{self._prefix}{folder}")

    def find_results(self, place: Place) -> list[str]:
        """Return the result files that stand under an image's name, whoever wrote them."""
        found = [place.text] if self._is_file(place.text) else []
        if not self._existing.may_have(common_path(place.text)):
            return found
        for names in place.iter_picture_names():
            # No picture has the number: then none has a higher one.
            present = [name for name in names if self._is_file(name)]
            if not present:
                return found
            found += present
        return found

    def has_real_result(self, place: Place) -> bool:
        """Return whether a real run answered this image or reported its failure here."""
        paths = self.find_results(place)
        if self._is_file(place.error_log):
            paths.append(place.error_log)
        return any(not self.is_dry(path) for path in paths)

    def is_dry(self, path: str) -> bool:
        """Return whether a dry run wrote this file."""
        with with_path(self._root / path), (self._root / path).open("rb") as handle:
            if handle.read(len(_FIRST_LINE)) == _FIRST_LINE:
                return True
            handle.seek(max(handle.seek(0, os.SEEK_END) - len(DRY_RUN_TRAILER), 0))
            return handle.read() == DRY_RUN_TRAILER

    def move_to_history(self, path: str) -> None:
        """Make room where a result file stands, if one does: a dry one is removed, a real one kept.

        A real one moves to the history of this run; in a dry run it stays.

        Raises:
            OSError: it could not be moved; it stands as it stood.

        """
        if not self._is_file(path):
            return
        if self.is_dry(path):
            self.remove(path)
        elif not self._dry_run:
            self._move(path)

    def remove_report(self, place: Place) -> None:
        """Remove the report of an image's failure, if it is there."""
        if self._existing.may_have(common_path(place.error_log)):
            self.remove(place.error_log)

    def remove(self, path: str) -> None:
        """Remove a file, if it is there."""
        with with_path(self._root / path):
            (self._root / path).unlink(missing_ok=True)

    def find_in_history(self, artefact: Artefact) -> Artefact | None:
        """Return the artefact where this run's history has it, or None when it was not moved there."""
        for path in self._history_paths(artefact.path):
            moved = Artefact(path=path, size_bytes=artefact.size_bytes, sha256=artefact.sha256)
            if self.is_present(moved):
                return moved
            if not self._is_file(path):
                return None
        return None

    def list_history_folders(self) -> list[str]:
        """Return the folders of the history, one for each run that replaced something, oldest first."""
        try:
            return sorted(f"{HISTORY}/{folder.name}" for folder in (self._root / HISTORY).iterdir())
        except OSError:
            return []

    def find_all_in_folder(self, artefacts: Sequence[Artefact], folder: str) -> tuple[Artefact, ...]:
        """Return where an answer's files may stand in a folder of the history; none when they do not.

        Goes by size alone: whether they are the very ones, ``proves`` must tell.
        """
        there = tuple(replace(artefact, path=f"{folder}/{artefact.path}") for artefact in artefacts)
        return there if all(map(self.is_present, there)) else ()

    def is_present(self, artefact: Artefact) -> bool:
        """Return whether the file is there with the right size; one ``stat``, nothing is read."""
        status = self._status(artefact.path)
        return status is not None and status.st_size == artefact.size_bytes

    def has_expected_hash(self, artefact: Artefact) -> bool:
        """Return whether the file is there with the very bytes it should have."""
        if not self.is_present(artefact):
            return False
        try:
            with (self._root / artefact.path).open("rb") as handle:
                return hashlib.file_digest(handle, "sha256").hexdigest() == artefact.sha256
        except OSError:
            return False

    def read(self, artefact: Artefact) -> bytes | None:
        """Return the file's bytes, or None when they are not the ones that it should have."""
        if not self.is_present(artefact):
            return None
        with with_path(self._root / artefact.path):
            data = (self._root / artefact.path).read_bytes()
        return data if hashlib.sha256(data).hexdigest() == artefact.sha256 else None

    def _move(self, path: str) -> None:
        free = next(option for option in self._history_paths(path) if not self._is_file(option))
        target = self._root / free
        with with_path(target):
            make_folder(target.parent, root=self._root)
            (self._root / path).rename(target)

    def _history_paths(self, path: str) -> Iterator[str]:
        """Yield where the file may go: under the run's own name, then under numbered ones."""
        yield f"{HISTORY}/{self._run_id}/{path}"
        yield from (f"{HISTORY}/{self._run_id}-{number}/{path}" for number in count(2))

    def _is_file(self, path: str) -> bool:
        return self._status(path) is not None

    def _status(self, path: str) -> os.stat_result | None:
        """Return the status of a regular file below the root, None for anything else."""
        # A ledger is a text file that anybody may edit: it must not lead out of the tree.
        if path.startswith("/") or ".." in path.split("/"):
            return None
        try:
            status = os.lstat(f"{self._prefix}{path}")  # a Path costs ten times as much
        except (OSError, ValueError):
            return None
        return status if stat.S_ISREG(status.st_mode) else None


def has_real_run(output_dir: Path) -> bool:
    """Return whether a real run has left answers or documents here, which a dry run must not replace."""
    with contextlib.suppress(OSError):
        if (output_dir / LEDGER).stat().st_size > 0:
            return True
    try:
        document = json.loads((output_dir / METADATA / _STATS).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and document.get("dry_run") is False


@contextlib.contextmanager
def with_path(path: Path | str) -> Iterator[None]:
    """Let an OSError name ``path``: a full disk names nothing, and a temporary name tells nobody anything."""
    try:
        yield
    except OSError as error:
        if error.filename is None or is_temporary(Path(os.fsdecode(error.filename)).name):
            error.filename, error.filename2 = str(path), None
        raise


@contextlib.contextmanager
def storage_errors(consequence: str) -> Iterator[None]:
    """Turn an OSError into a StorageError that says which file, for which reason, and what is lost."""
    try:
        yield
    except OSError as error:
        raise to_storage_error(error, consequence) from error


def to_storage_error(error: OSError, consequence: str) -> StorageError:
    """Return what ``storing`` raises."""
    where = os.fsdecode(error.filename) if error.filename else "a file"
    return StorageError(escape_unprintable(f"{where}: {error.strerror or error}; {consequence}"))
