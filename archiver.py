"""Writer of outcomes, documents and the archive; a crash loses no paid answer.

A ledger line proves an answer if its files exist with their hashes: see docs/adr/0004.
"""

import logging
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import assert_never

from errors import StorageError
from models import (
    Artefact,
    Deferred,
    Failed,
    ImageJob,
    Outcome,
    Predecessor,
    Reused,
    RunInfo,
    StoredAnswer,
    Succeeded,
    Usage,
)
from storage.output import layout
from storage.output.answer_files import (
    ResultFile,
    build_answer_files,
    build_copied_answer,
    build_copied_files,
    build_failure_file,
    build_stored_answer,
)
from storage.output.commit import PendingAnswer, commit_answers, put_report
from storage.output.folders import FAILED, LEDGER, METADATA, SUCCESSFUL, working_dir
from storage.output.layout import Place
from storage.output.ledger import Ledger
from storage.output.places import Places
from storage.output.proven_answers import ProvenAnswers
from storage.output.root import OutputRoot
from storage.output.tree import OutputTree, ignoring_fault_of_one, storage_errors, with_path
from utils.files import open_atomic
from utils.json_encoding import json_document, json_stream, to_jsonable
from utils.name_rules import NameRules

log = logging.getLogger(__name__)

PROGRAM = "gemini-batch-processor"
SCHEMA_VERSION = 1
"""Version of the JSON documents; see ``docs/schema/``."""

_FOLDERS = (FAILED, METADATA, SUCCESSFUL)

StoreResult = tuple[Artefact, ...] | StorageError
"""The files of an outcome, or the error that kept them from being written."""


class Archiver:
    """Writer of the output tree of one run. Its methods block; threads may share it.

    A dry run reads the answers of real runs in the output directory, and writes to its folder there alone.

    Args:
        output_dir: created if missing.
        run: the present run.
        price: returns the cost of a call in US dollars, by its tokens and its start; None if unknown.
    """

    def __init__(
        self,
        *,
        output_dir: Path,
        run: RunInfo,
        price: Callable[[Usage, datetime], Decimal | None] = lambda *_: None,
    ) -> None:
        self._root = working_dir(output_dir, dry_run=run.dry_run)
        self._run = run
        self._price = price
        self.documents = self._root / METADATA
        """Folder of this run's documents."""
        self._tree = OutputTree(self._root, run_id=run.run_id, dry_run=run.dry_run)
        self._ledger_path = self._root / LEDGER
        self._ledger = Ledger(self._ledger_path, run_id=run.run_id, root=self._root)
        self._real_tree = (
            OutputTree(output_dir, run_id=run.run_id, dry_run=True) if run.dry_run else self._tree
        )
        """Where the answers of real runs are; a dry run changes nothing there."""
        self.proven_answers = ProvenAnswers(output_dir / LEDGER, self._real_tree, run_id=run.run_id)
        """Of real runs; a dry run only reads them."""
        self._here = OutputRoot(self._root)
        self._places = Places()

    def check_writable(self) -> NameRules:
        """Check that every folder can be written to, before anything is paid for; create missing ones.

        Returns which names the file system takes; those of the results keep to it.

        Raises:
            StorageError: results could not be written.

        """
        rules = self._here.prepare(self._root / name for name in _FOLDERS)
        self._places = Places(rules, max_bytes=self._here.max_path_bytes())
        return self._places.rules

    def adopt_names(self, images: Iterable[tuple[str, str]]) -> None:
        """Record the images' keys, each with a file of its own, where one name can stand for several."""
        if self._places.rules.has_aliases:
            self._places.adopt(images)

    def free_bytes(self) -> int:
        """Return how many bytes an ordinary user can still write to the output directory.

        Raises:
            StorageError: the file system does not say.
        """
        with storage_errors("nothing was asked yet"):
            return shutil.disk_usage(self._root).free

    def remove_unfinished(self) -> int:
        """Remove the unfinished files of a killed run and return how many; no other run may be active."""
        return self._tree.remove_unfinished()

    def store(self, outcome: Outcome, *, replaced: Sequence[Artefact] = ()) -> tuple[Artefact, ...]:
        """Write an outcome's files and return them; see ``store_all``.

        Raises:
            StorageError: a file could not be written; the message names it and the image.

        """
        (stored,) = self.store_all([(outcome, Predecessor(artefacts=tuple(replaced)))])
        if isinstance(stored, StorageError):
            raise stored
        return stored

    def store_all(self, outcomes: Sequence[tuple[Outcome, Predecessor]]) -> list[StoreResult]:
        """Write the files of several outcomes; answers share the waits for the disk.

        A Deferred has no files. A Reused is written by ``put_copy``, which may return none. A dry run
        writes nothing over files without its mark.

        Args:
            outcomes: each with the image's earlier answer, whose files move to the history when a new
                answer stands; see ``find_in_history``.

        Returns the files of each, or its error. An error concerns one outcome alone, unless the ledger fails.
        """
        is_here = self._here.is_same()
        prepared = [self._prepare(outcome, before, is_here=is_here) for outcome, before in outcomes]
        answers = [one for one in prepared if isinstance(one, PendingAnswer)]
        stored = iter(commit_answers(self._tree, self._ledger, self._ledger_path, answers))
        return [next(stored) if isinstance(one, PendingAnswer) else one for one in prepared]

    def put_copy(
        self, job: ImageJob, answer: StoredAnswer, *, replaced: Sequence[Artefact] = ()
    ) -> tuple[Artefact, ...]:
        """Write a stored answer under the name of another image with the same bytes.

        Returns the new files; none if a stored file has changed or cannot be read, and in a dry run.

        Raises:
            StorageError: the files could not be written, or the disk fails.

        """
        consequence = f"the answer for {job.key} was not put in place"
        self._here.check(consequence)
        stored: list[ResultFile] = []
        with storage_errors(consequence), ignoring_fault_of_one():
            stored = self._read_stored_files(answer)
        if self._run.dry_run or answer.dry_run or not stored:
            return ()

        def build(place: Place) -> PendingAnswer:
            copy = build_copied_answer(job, answer, files := build_copied_files(place, stored))
            return PendingAnswer(
                place=place, answer=copy, files=files, replaced=replaced, consequence=consequence
            )

        new = self._with_other_place(job.key, build)
        (result,) = commit_answers(self._tree, self._ledger, self._ledger_path, [new])
        if isinstance(result, StorageError):
            raise result
        return result

    def remove_report(self, key: str) -> None:
        """Remove the report of an image's failure, if there is one; one that cannot be removed stays."""
        with storage_errors("the answer stands beside it"), ignoring_fault_of_one():
            self._tree.remove_report(key, self._places.of(key))

    def find_in_history(self, replaced: Iterable[Artefact]) -> tuple[Artefact, ...]:
        """Return the replaced files with their paths in the history; files not moved there are left out."""
        found = (self._tree.find_in_history(artefact) for artefact in replaced)
        return tuple(artefact for artefact in found if artefact)

    def is_present(self, artefact: Artefact) -> bool:
        """Return whether a file of a real answer exists with the right size."""
        return self._real_tree.is_present(artefact)

    def is_answer_present(self, answer: StoredAnswer) -> bool:
        """Return whether a real answer's files are in their places."""
        return not answer.dry_run and all(map(self.is_present, answer.artefacts))

    def has_expected_hash(self, artefact: Artefact) -> bool:
        """Return whether a file of a real answer exists with the right bytes."""
        return self._real_tree.has_expected_hash(artefact)

    def write_document(self, name: str, document: object) -> Path:
        """Write ``<name>.json`` from a dataclass and return its path.

        Raises:
            StorageError: it could not be written; an earlier one is unchanged.

        """
        return self._write_pieces(name, (json_document({**self._document_head(), **to_jsonable(document)}),))

    def write_stream(self, name: str, head: object, list_name: str, items: Iterable[object]) -> Path:
        """Write ``<name>.json`` from a dataclass and, under ``list_name``, items as they come.

        Memory does not grow with the number of items.

        Raises:
            StorageError: it could not be written; an earlier one is unchanged.

        """
        return self._write_pieces(
            name, json_stream({**self._document_head(), **to_jsonable(head)}, list_name, items)
        )

    def pack(self, fmt: str) -> Path | None:
        """Write the archive and return its path; None for the format ``none``. Call it last.

        The archive holds the results and the metadata, without journal, locks, logs and unfinished files.
        The same tree gives the same bytes.

        Raises:
            StorageError: it could not be written; an earlier one is unchanged.

        """
        if fmt == "none":
            return None
        from utils.archives import list_members, write_tar_gz, write_zip  # noqa: PLC0415 - 7 ms, at the end

        ending, write = {"zip": (".zip", write_zip), "tar": (".tar.gz", write_tar_gz)}[fmt]
        path = self._root / f"archive{ending}"
        with storage_errors("the results stand unpacked"), with_path(path), open_atomic(path) as handle:
            write(handle, list_members(self._root, _FOLDERS, skip=layout.is_excluded_from_archive))
        return path

    def _prepare(
        self, outcome: Outcome, before: Predecessor, *, is_here: bool
    ) -> PendingAnswer | StoreResult:
        """Return an answer as pending; write every other outcome now and return its files or its error."""
        key = outcome.job.key
        if not is_here:
            return self._here.describe_loss(f"the outcome of {key} was lost")
        try:
            match outcome:
                case Succeeded():
                    with storage_errors(f"the answer for {key} was lost"):
                        return self._build_pending_answer(outcome, before)
                case Failed():
                    with storage_errors(f"the failure of {key} was not noted"):
                        return self._store_failure(outcome, before)
                case Reused():
                    return self.put_copy(outcome.job, outcome.answer, replaced=before.artefacts)
                case Deferred():
                    return ()
                case _:
                    assert_never(outcome)
        except StorageError as error:
            return error

    def _build_pending_answer(self, outcome: Succeeded, before: Predecessor) -> PendingAnswer | StoreResult:
        key = outcome.job.key
        if self._run.dry_run and self._tree.has_real_result(self._places.of(key)):
            return ()
        attempt = outcome.attempts[-1]
        cost = None if attempt.is_usage_missing else self._price(attempt.usage, attempt.started_at)

        def build(place: Place) -> PendingAnswer:
            files = build_answer_files(place, outcome.generation, dry_run=self._run.dry_run)
            answer = build_stored_answer(outcome, self._run, files, counts_for=before.counts_for)
            return PendingAnswer(
                place=place,
                answer=replace(answer, cost_usd=None if cost is None else float(round(cost, 6))),
                files=files,
                replaced=before.artefacts,
                consequence=f"the answer for {key} was lost",
            )

        return self._with_other_place(key, build)

    def _with_other_place(self, key: str, build: Callable[[Place], PendingAnswer]) -> PendingAnswer:
        """Return an answer for the image's own place, and for one that every file system takes."""
        place, portable = self._places.of(key), Place.portable(key)
        if place == portable:
            log.warning(
                "%s: its result is called %s, since its own path is too long for the system", key, place.text
            )
        return replace(build(place), relocate=lambda: build(portable))

    def _store_failure(self, outcome: Failed, before: Predecessor) -> tuple[Artefact, ...]:
        place = self._places.of(outcome.job.key)
        if self._run.dry_run and self._tree.has_real_result(place):
            return ()
        kept = before.answer if before.answer and self.is_answer_present(before.answer) else None
        build = partial(build_failure_file, failed=outcome, run=self._run, earlier=kept)
        file = put_report(self._tree, build(place), build(Place.portable(outcome.job.key)))
        answer = before.answer if before.answer and not before.answer.dry_run else None
        self._tree.move_marked(place, but={one.path for one in answer.artefacts} if answer else ())
        return (file.artefact,)

    def _read_stored_files(self, answer: StoredAnswer) -> list[ResultFile]:
        """Return the files of a stored answer; none if one of them has changed."""
        files = []
        for artefact in answer.artefacts:
            data = self._real_tree.read(artefact)
            if data is None:
                return []
            files.append(ResultFile(artefact.path, data))
        return files

    def _document_head(self) -> dict[str, object]:
        return {
            "schema_version": SCHEMA_VERSION,
            "program": {"name": PROGRAM, "version": self._run.version},
            "run_id": self._run.run_id,
            "dry_run": self._run.dry_run,
        }

    def _write_pieces(self, name: str, pieces: Iterable[bytes]) -> Path:
        self._here.check(f"{name}.json was not written")
        path = self.documents / f"{name}.json"
        with storage_errors("the document was not written"), with_path(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with open_atomic(path) as handle:
                handle.writelines(pieces)
        return path
