"""The output tree: write, find and replace result files without losing one.

Files of real runs are never deleted or overwritten before they are in the history of the run that replaces
them. Files of dry runs have a mark in themselves, which a model can write as well: so only in the tree of dry
runs is a file with it one of theirs. Every OSError names the file that it is about.
"""

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

from errors import ShortageError, StorageError
from models import Artefact
from storage.output.answer_text import DRY_RUN_LINE, DRY_RUN_TRAILER
from storage.output.cleanup import ExistingFiles, remove_unfinished
from storage.output.folders import FAILED, HISTORY, METADATA, SUCCESSFUL
from storage.output.layout import Place, common_path, result_ending
from utils.files import is_temporary, link_file, make_folder, move_file, sync_directory, write_atomic
from utils.printable import escape_unprintable
from utils.safe_names import portable_name
from utils.shortage import PASSING_ERRNOS, is_passing

_FAULTS_OF_ALL = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.ENODEV, errno.ENXIO, errno.ESTALE}
    | {errno.ENOTCONN, errno.EHOSTDOWN, errno.ETIMEDOUT, *PASSING_ERRNOS}
)

_FIRST_LINE = DRY_RUN_LINE.encode()


class OutputTree:
    """The files below one output directory, by their path relative to it.

    Args:
        root: the output directory.
        run_id: of the present run; files that it replaces go to the history under this name.
        dry_run: the run is dry: it changes no file of a real run.
    """

    def __init__(self, root: Path, *, run_id: str, dry_run: bool) -> None:
        self._root = root
        self._prefix = os.path.join(root, "")  # noqa: PTH118 -- a str: a Path costs ten times as much
        self._run_id = run_id
        self._dry_run = dry_run
        self._existing = ExistingFiles()
        self._renamed: dict[str, str] = {}
        """Files that the history could not take under their own names."""

    def remove_unfinished(self) -> int:
        """Remove the unfinished files of a killed run and return how many; no other run may be active.

        Pictures and reports that exist now are noted. Those that other programs add later are not found
        again: ``find_results`` and ``remove_report`` may miss them.
        """
        existing = self._existing
        existing.reset()
        below = sum(
            remove_unfinished(self._prefix, name, existing, recursive=True)
            for name in (FAILED, METADATA, SUCCESSFUL)
        )
        return below + remove_unfinished(self._prefix, "", existing, recursive=False)

    def put(self, path: str, data: bytes, *, sync: bool = True) -> None:
        """Write a file in one step, with the folders above it.

        Without ``sync`` its name may be lost in a power cut until the method ``sync`` is called.

        Raises:
            OSError: it could not be written; nothing is left of it.

        """
        target = f"{self._prefix}{path}"
        self._existing.add(path)
        with with_path(target):
            try:
                write_atomic(target, data, sync=sync)
            except (FileNotFoundError, NotADirectoryError):
                make_folder(Path(target).parent, root=self._root)
                write_atomic(target, data, sync=sync)

    def sync(self, folder: str) -> None:
        """Write the names of a folder's files to the disk, so that they survive a power cut.

        Raises:
            OSError: they could not be written.

        """
        with with_path(f"{self._prefix}{folder}"):
            sync_directory(f"{self._prefix}{folder}")

    def find_results(self, place: Place) -> list[str]:
        """Return the result files that exist under an image's name, of any run or program."""
        found = [place.text] if self._is_file(place.text) else []
        if not self._existing.may_have(common_path(place.text)):
            return found
        for names in place.iter_picture_names():
            # Pictures are numbered without gaps.
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
        """Return whether a file has the mark of a dry run; an answer can have it, too."""
        with with_path(self._root / path), (self._root / path).open("rb") as handle:
            if handle.read(len(_FIRST_LINE)) == _FIRST_LINE:
                return True
            handle.seek(max(handle.seek(0, os.SEEK_END) - len(DRY_RUN_TRAILER), 0))
            return handle.read() == DRY_RUN_TRAILER

    def add_to_history(self, path: str) -> str | None:
        """Give a result file a second name in the history of this run, if it exists, and return that.

        A dry run has no history: its own files are removed, all others stay. Both return None.

        Raises:
            OSError: it could not be done; the file is unchanged.

        """
        if not self._is_file(path):
            return None
        if self._dry_run:
            if self.is_dry(path):
                self.remove(path)
            return None
        name = next(option for option in self._history_paths(path) if not self._is_file(option))
        try:
            self._link(path, name)
        except OSError as error:
            if hits_all_images(error):
                raise
            name = f"{HISTORY}/{self._run_id}/{portable_name(path)}{result_ending(path) or ''}"
            self._link(path, name)
            self._renamed[path] = name
        return name

    def move_marked(self, place: Place, *, but: Collection[str]) -> None:
        """Move results with the mark of a dry run to the history, as earlier versions left them.

        Args:
            place: of the image.
            but: paths of its answer, which is real whatever it says.
        """
        for path in self.find_results(place):
            if path not in but and self.is_dry(path):
                self.add_to_history(path)
                self.remove(path)

    def restore(self, path: str, name: str) -> None:
        """Move a file of the history back to where it was.

        Raises:
            OSError: it could not be moved; it is in the history.

        """
        move_file(self._root / name, self._root / path)
        (self._root / name).unlink(missing_ok=True)  # two names of one file both outlive a rename

    def remove_report(self, key: str, place: Place) -> None:
        """Remove the report of an image's failure, if it exists, here or where its own name was refused."""
        for path in (place.error_log, Place.portable(key).error_log):
            if self._existing.may_have(common_path(path)) and self._is_file(path):
                self.remove(path)

    def remove(self, path: str) -> None:
        """Remove a file, if it exists."""
        with with_path(self._root / path):
            (self._root / path).unlink(missing_ok=True)

    def find_in_history(self, artefact: Artefact) -> Artefact | None:
        """Return the artefact with its path in this run's history; None if it was not moved there."""
        renamed = self._renamed.get(artefact.path)
        for path in [renamed] if renamed else self._history_paths(artefact.path):
            moved = Artefact(path=path, size_bytes=artefact.size_bytes, sha256=artefact.sha256)
            if self.is_present(moved):
                return moved
            if not self._is_file(path):
                return None
        return None

    def list_history_folders(self) -> list[str]:
        """Return the folders of the history, one for each run that replaced files, oldest first."""
        try:
            return sorted(f"{HISTORY}/{folder.name}" for folder in (self._root / HISTORY).iterdir())
        except OSError as error:
            if is_passing(error):
                raise
            return []

    def find_all_in_folder(self, artefacts: Sequence[Artefact], folder: str) -> tuple[Artefact, ...]:
        """Return an answer's files with their paths in a folder of the history; none if one is missing.

        Only sizes are compared; ``has_expected_hash`` compares the bytes.
        """
        there = tuple(replace(artefact, path=f"{folder}/{artefact.path}") for artefact in artefacts)
        return there if all(map(self.is_present, there)) else ()

    def is_present(self, artefact: Artefact) -> bool:
        """Return whether the file exists with the right size; one ``stat``, nothing is read."""
        status = self._status(artefact.path)
        return status is not None and status.st_size == artefact.size_bytes

    def has_expected_hash(self, artefact: Artefact) -> bool:
        """Return whether the file exists with the right bytes."""
        if not self.is_present(artefact):
            return False
        try:
            with (self._root / artefact.path).open("rb") as handle:
                return hashlib.file_digest(handle, "sha256").hexdigest() == artefact.sha256
        except OSError as error:
            if is_passing(error):  # "no" would mean that the answer is paid for again
                raise to_storage_error(error, "nothing was asked about it") from error
            return False

    def read(self, artefact: Artefact) -> bytes | None:
        """Return the file's bytes; None if they are not the right ones."""
        if not self.is_present(artefact):
            return None
        with with_path(self._root / artefact.path):
            data = (self._root / artefact.path).read_bytes()
        return data if hashlib.sha256(data).hexdigest() == artefact.sha256 else None

    def _link(self, path: str, name: str) -> None:
        target = self._root / name
        with with_path(target):
            make_folder(target.parent, root=self._root)
            link_file(self._root / path, target)

    def _history_paths(self, path: str) -> Iterator[str]:
        """Yield the paths a file may get in the history: below the run's id, then below numbered ones."""
        yield f"{HISTORY}/{self._run_id}/{path}"
        yield from (f"{HISTORY}/{self._run_id}-{number}/{path}" for number in count(2))

    def _is_file(self, path: str) -> bool:
        return self._status(path) is not None

    def _status(self, path: str) -> os.stat_result | None:
        """Return the status of a regular file below the root; None for anything else."""
        # Paths come from the ledger, a text file that can be edited: they must not lead out of the tree.
        if path.startswith("/") or ".." in path.split("/"):
            return None
        try:
            status = os.lstat(f"{self._prefix}{path}")
        except (OSError, ValueError):
            return None
        return status if stat.S_ISREG(status.st_mode) else None


def hits_all_images(error: OSError) -> bool:
    """Return False if another name could help: the disk has room and works, but not for this one."""
    return error.errno in _FAULTS_OF_ALL


@contextlib.contextmanager
def ignoring_fault_of_one() -> Iterator[None]:
    """End the block at an OSError, unless it hits all images."""
    try:
        yield
    except OSError as error:
        if hits_all_images(error):
            raise


@contextlib.contextmanager
def with_path(path: Path | str) -> Iterator[None]:
    """Add ``path`` to an OSError that has no path (a full disk) or that of a temporary file."""
    try:
        yield
    except OSError as error:
        if error.filename is None or is_temporary(Path(os.fsdecode(error.filename)).name):
            error.filename, error.filename2 = str(path), None
        raise


@contextlib.contextmanager
def storage_errors(consequence: str) -> Iterator[None]:
    """Raise a StorageError for an OSError, with the file, the reason and the consequence."""
    try:
        yield
    except OSError as error:
        raise to_storage_error(error, consequence) from error


def to_storage_error(error: OSError, consequence: str) -> StorageError:
    """Return the StorageError for an OSError; see ``storage_errors``."""
    where = os.fsdecode(error.filename) if error.filename else "a file"
    kind = ShortageError if is_passing(error) else StorageError
    return kind(escape_unprintable(f"{where}: {error.strerror or error}; {consequence}"))
