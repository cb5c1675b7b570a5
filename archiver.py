"""How does an outcome come to stand in the output directory, so that a crash can lose no paid answer?

For an answer in the order that ``storage.output.commit`` keeps. At any instant a line of the ledger whose
files stand with their hashes proves an answer, and a line without its files proves nothing.

This file must not know how an answer was obtained, nor what the journal thinks of it.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import assert_never

from errors import StorageError
from models import (
    Artefact,
    Deferred,
    Failed,
    ImageJob,
    Outcome,
    Reused,
    RunInfo,
    StoredAnswer,
    Succeeded,
    Usage,
)
from storage.output.answer_files import (
    ResultFile,
    answer_files,
    copied_answer,
    copied_files,
    failure_file,
    stored_answer,
)
from storage.output.commit import NewAnswer, put_answers, results_among
from storage.output.layout import (
    DRY_RUN,
    FAILED,
    LEDGER,
    METADATA,
    SUCCESSFUL,
    WRITE_TEST,
    Place,
    stays_out_of_archive,
)
from storage.output.ledger import Ledger
from storage.output.tree import ResultTree, holds_real_run, naming, storing
from utils.archives import members, write_tar_gz, write_zip
from utils.files import open_atomic
from utils.json_encoding import json_document, json_stream, plain

__all__ = ["Archiver", "holds_real_run"]

PROGRAM = "gemini-batch-processor"
SCHEMA_VERSION = 1
"""Of the documents; see ``docs/schema/``."""

_LOST_ROOT = "was removed, moved or unmounted during the run"
_FOLDERS = (FAILED, METADATA, SUCCESSFUL)
_PACKERS = {"zip": (".zip", write_zip), "tar": (".tar.gz", write_tar_gz)}

Written = tuple[Artefact, ...] | StorageError
"""The files of an outcome, or why they do not stand."""


class Archiver:
    """Writes the output tree of one run. Its methods block; threads may share it.

    Args:
        output_dir: made when missing.
        run: the present run.
        beside_real: a dry run is to write its documents and its archive beside those of an earlier
            real run (see ``holds_real_run``); without meaning for a real run.
        price: what a call costs that took these tokens at this moment; None when nobody knows.
    """

    def __init__(
        self,
        *,
        output_dir: Path,
        run: RunInfo,
        beside_real: bool = False,
        price: Callable[[Usage, datetime], Decimal | None] = lambda *_: None,
    ) -> None:
        self._root = output_dir
        self._run = run
        self._price = price
        is_beside = run.dry_run and beside_real
        self.documents = output_dir / (DRY_RUN if is_beside else METADATA)
        """Where this run's documents go."""
        self._archive = "archive.dry-run" if is_beside else "archive"
        self._tree = ResultTree(output_dir, run_id=run.run_id, dry_run=run.dry_run)
        # The ledger of the real answers never holds a simulated one.
        name = f"{DRY_RUN}/{Path(LEDGER).name}" if run.dry_run else LEDGER
        self._ledger_path = output_dir / name
        self._ledger = Ledger(self._ledger_path, run_id=run.run_id, root=output_dir)
        self._identity: tuple[int, int] | None = None

    def check_writable(self) -> None:
        """Make the folders and try a write in each, before anything is paid for.

        Raises:
            StorageError: results could not be written.

        """
        results = (self._root / name for name in _FOLDERS)
        with storing("nothing was asked yet"):
            self._root.mkdir(parents=True, exist_ok=True)
            self._identity = _identity(self._root)
            for folder in (*results, self._ledger_path.parent, self.documents):
                with naming(folder):
                    folder.mkdir(parents=True, exist_ok=True)
                    (folder / WRITE_TEST).write_bytes(b"writable\n")
                    (folder / WRITE_TEST).unlink()

    def free_bytes(self) -> int:
        """Return how much room is left for an ordinary user where the results go.

        Raises:
            StorageError: the file system does not say.
        """
        with storing("nothing was asked yet"):
            return shutil.disk_usage(self._root).free

    def sweep(self) -> int:
        """Remove unfinished files that a killed run left; return how many. Only while no other run is on."""
        return self._tree.sweep()

    def ledger(self) -> Iterator[StoredAnswer]:
        """Yield every real answer that was ever received, oldest first; damaged lines are passed over.

        Those that may stand in the history follow once more, with their files as they are called there.

        Raises:
            StorageError: the ledger cannot be read.

        """
        path = self._root / LEDGER
        with storing("no answer was lost"), naming(path):
            lines = Ledger(path, run_id=self._run.run_id)
            yield from lines
            folders = self._tree.history()
            for answer in lines if folders else ():
                places = (self._tree.moved(answer.artefacts, folder) for folder in folders)
                yield from (replace(answer, artefacts=place) for place in places if place)

    def store(self, outcome: Outcome, *, replaces: Sequence[Artefact] = ()) -> tuple[Artefact, ...]:
        """Write an outcome's files and return them; a Deferred has none.

        A dry run leaves an image that has real files alone, and returns none. A Reused is put in place
        by ``put_copy``, and returns none where that does.

        Args:
            outcome: of this run.
            replaces: the files of the image's earlier answer, which move to the history; see ``kept``.

        Raises:
            StorageError: a file could not be written; the message names it and the image.

        """
        (stored,) = self.store_all([(outcome, replaces)])
        if isinstance(stored, StorageError):
            raise stored
        return stored

    def store_all(self, outcomes: Sequence[tuple[Outcome, Sequence[Artefact]]]) -> list[Written]:
        """Do what ``store`` does for some outcomes at once: answers share their turns of the disk.

        Each is an outcome and the files that it replaces. Returns the files of each, or why they do not
        stand; one that cannot be written takes no other along, unless it is the ledger that fails.
        """
        is_here = self._is_same_root()
        begun = [self._begin(outcome, replaces, is_here=is_here) for outcome, replaces in outcomes]
        answers = [one for one in begun if isinstance(one, NewAnswer)]
        failures = iter(put_answers(self._tree, self._ledger, self._ledger_path, answers))
        return [
            next(failures) or one.answer.artefacts if isinstance(one, NewAnswer) else one for one in begun
        ]

    def put_copy(
        self, job: ImageJob, answer: StoredAnswer, *, replaces: Sequence[Artefact] = ()
    ) -> tuple[Artefact, ...]:
        """Put a stored answer in place under the name of another image with the same bytes.

        Returns the new files; none when the stored ones are not what they were, and in a dry run.

        Raises:
            StorageError: a file could not be read or written.

        """
        loss = f"the answer for {job.key} was not put in place"
        self._check_root(loss)
        with storing(loss):
            stored = self._stored_files(answer)
        if self._run.dry_run or answer.dry_run or not stored:
            return ()
        place = Place.of(job.key)
        copy = copied_answer(job, answer, files := copied_files(place, stored))
        new = NewAnswer(place=place, answer=copy, files=files, replaces=replaces, loss=loss)
        for failure in filter(None, put_answers(self._tree, self._ledger, self._ledger_path, [new])):
            raise failure
        return copy.artefacts

    def kept(self, replaces: Iterable[Artefact]) -> tuple[Artefact, ...]:
        """Return where files that this run replaced stand now; files that did not stand are left out."""
        found = (self._tree.kept(artefact) for artefact in replaces)
        return tuple(artefact for artefact in found if artefact)

    def stands(self, artefact: Artefact) -> bool:
        """Return whether a file is there with the right size."""
        return self._tree.stands(artefact)

    def proves(self, artefact: Artefact) -> bool:
        """Return whether a file is there with the right bytes."""
        return self._tree.proves(artefact)

    def write_document(self, name: str, document: object) -> Path:
        """Write ``<name>.json`` from a dataclass and return its path.

        Raises:
            StorageError: it could not be written; an earlier one stands.

        """
        return self._write(name, (json_document({**self._head(), **plain(document)}),))

    def write_stream(self, name: str, head: object, list_name: str, items: Iterable[object]) -> Path:
        """Write ``<name>.json`` from a dataclass and, under ``list_name``, items as they come.

        Memory does not grow with the number of items.

        Raises:
            StorageError: it could not be written; an earlier one stands.

        """
        return self._write(name, json_stream({**self._head(), **plain(head)}, list_name, items))

    def pack(self, fmt: str) -> Path | None:
        """Write the archive and return its path; None for the format ``none``. Call it last.

        It holds the results and the metadata without journal, locks, logs and unfinished files. The
        same tree gives the same bytes.

        Raises:
            StorageError: it could not be written; an earlier one stands.

        """
        if fmt == "none":
            return None
        ending, write = _PACKERS[fmt]
        path = self._root / f"{self._archive}{ending}"
        with storing("the results stand unpacked"), naming(path), open_atomic(path) as handle:
            write(handle, members(self._root, _FOLDERS, skip=self._stays_out))
        return path

    def _check_root(self, consequence: str) -> None:
        """Refuse to go on in another directory than the run began in (removed, moved, unmounted)."""
        if not self._is_same_root():
            raise StorageError(f"{self._root} {_LOST_ROOT}: {consequence}")

    def _is_same_root(self) -> bool:
        try:  # without an identity nothing was checked before, so there is nothing to compare
            return self._identity in {None, _identity(self._root)}
        except OSError:
            return False

    def _begin(self, outcome: Outcome, replaces: Sequence[Artefact], *, is_here: bool) -> NewAnswer | Written:
        """Return an answer that is to be written; everything else is written now."""
        key = outcome.job.key
        if not is_here:
            return StorageError(f"{self._root} {_LOST_ROOT}: the outcome of {key} was lost")
        try:
            match outcome:
                case Succeeded():
                    with storing(f"the answer for {key} was lost"):
                        return self._new_answer(outcome, replaces)
                case Failed():
                    with storing(f"the failure of {key} was not noted"):
                        return self._store_failure(outcome, replaces)
                case Reused():
                    return self.put_copy(outcome.job, outcome.answer, replaces=replaces)
                case Deferred():
                    return ()
                case _:
                    assert_never(outcome)
        except StorageError as error:
            return error

    def _new_answer(self, outcome: Succeeded, replaces: Sequence[Artefact]) -> NewAnswer | Written:
        place = Place.of(outcome.job.key)
        if self._run.dry_run and self._tree.holds_real(place):
            return ()
        files = answer_files(place, outcome.generation, dry_run=self._run.dry_run)
        answer = stored_answer(outcome, self._run, files)
        cost = self._price(answer.usage, outcome.attempts[-1].started_at)
        if cost is not None:
            answer = replace(answer, cost_usd=float(round(cost, 6)))
        loss = f"the answer for {outcome.job.key} was lost"
        return NewAnswer(place=place, answer=answer, files=files, replaces=replaces, loss=loss)

    def _store_failure(self, outcome: Failed, replaces: Sequence[Artefact]) -> tuple[Artefact, ...]:
        place = Place.of(outcome.job.key)
        if self._run.dry_run and self._tree.holds_real(place):
            return ()
        file = failure_file(place, outcome, self._run)
        self._tree.put(file.path, file.data)
        # Not before: while the disk is full, an earlier answer stays where the journal knows it.
        for path in results_among(replaces):
            self._tree.retire(path)
        for path in filter(self._tree.is_dry, self._tree.present(place)):
            self._tree.remove(path)
        return (file.artefact,)

    def _stored_files(self, answer: StoredAnswer) -> list[ResultFile]:
        """Return the files of a stored answer, none when one of them is not what it was."""
        files = []
        for artefact in answer.artefacts:
            data = self._tree.read(artefact)
            if data is None:
                return []
            files.append(ResultFile(artefact.path, data))
        return files

    def _head(self) -> dict[str, object]:
        return {
            "schema_version": SCHEMA_VERSION,
            "program": {"name": PROGRAM, "version": self._run.version},
            "run_id": self._run.run_id,
            "dry_run": self._run.dry_run,
        }

    def _write(self, name: str, pieces: Iterable[bytes]) -> Path:
        self._check_root(f"{name}.json was not written")
        path = self.documents / f"{name}.json"
        with storing("the document was not written"), naming(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with open_atomic(path) as handle:
                handle.writelines(pieces)
        return path

    def _stays_out(self, name: str) -> bool:
        is_about_dry_runs = name == DRY_RUN and not self._run.dry_run
        return is_about_dry_runs or stays_out_of_archive(name)


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino
