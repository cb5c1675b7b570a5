"""Commit of answers to the output directory, in an order that survives a crash; see docs/adr/0004.

The steps: write the ledger line; give older files a second name in the history; write the files, the text
last, each synced before it gets its name; sync the ledger and the folder; remove the report of an earlier
failure. If a file cannot be written, the older answer stands again.
Answers that come together share one sync of the ledger and one of each folder, which takes two waits for
the disk in place of four (docs/performance.md).
"""

import errno
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from errors import StorageError
from models import Artefact, StoredAnswer
from storage.output.answer_files import ResultFile
from storage.output.folders import SUCCESSFUL
from storage.output.layout import Place, is_text
from storage.output.ledger import Ledger
from storage.output.tree import (
    OutputTree,
    hits_all_images,
    ignoring_fault_of_one,
    to_storage_error,
    with_path,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingAnswer:
    """An answer to be written to the tree."""

    place: Place
    answer: StoredAnswer
    files: Sequence[ResultFile]
    replaced: Sequence[Artefact]
    """The files of the image's earlier answer."""
    consequence: str
    """Text for the user about what is lost if it cannot be written."""
    relocate: "Callable[[], PendingAnswer] | None" = None
    """Returns the same answer at a place that every file system takes; None if it is at one."""

    @property
    def folder(self) -> str:
        """The folder of all its files."""
        return self.place.text.rpartition("/")[0]


def commit_answers(
    tree: OutputTree, ledger: Ledger, ledger_path: Path, answers: Sequence[PendingAnswer]
) -> list[tuple[Artefact, ...] | StorageError]:
    """Write the answers; return for each its files, or why it is not written.

    One that the file system does not take under its own name is written under another.
    """
    errors = _commit(tree, ledger, ledger_path, answers)
    refused = {
        number: answers[number].relocate
        for number, error in enumerate(errors)
        if error is not None and not hits_all_images(error)
    }
    elsewhere = {number: relocate() for number, relocate in refused.items() if relocate is not None}
    again = _commit(tree, ledger, ledger_path, list(elsewhere.values()))
    for (number, pending), error in zip(elsewhere.items(), again, strict=True):
        if error is None:
            _report_other_name(pending, errors[number])
        errors[number] = error
    return [
        to_storage_error(error, pending.consequence)
        if error
        else elsewhere.get(number, pending).answer.artefacts
        for number, (pending, error) in enumerate(zip(answers, errors, strict=True))
    ]


def _commit(
    tree: OutputTree, ledger: Ledger, ledger_path: Path, answers: Sequence[PendingAnswer]
) -> list[OSError | None]:
    """Write the answers; return for each its error, or None if it is written."""
    if not answers:
        return []
    try:
        with with_path(ledger_path), ledger.appending(*(pending.answer for pending in answers)):
            failures = [_run_step(partial(_write, tree, pending)) for pending in answers]
    except OSError as error:
        return [error for _ in answers]
    written = {pending.folder for pending, failure in zip(answers, failures, strict=True) if failure is None}
    unsynced = {folder: cause for folder in written if (cause := _try_sync(tree, folder))}
    return [
        failure or unsynced.get(pending.folder) or _finish(tree, pending)
        for pending, failure in zip(answers, failures, strict=True)
    ]


def _report_other_name(pending: PendingAnswer, cause: OSError | None) -> None:
    reason = (cause and cause.strerror) or cause
    log.warning(
        "%s: its result is called %s, its own name is refused: %s",
        pending.answer.key,
        pending.place.text,
        reason,
    )


def put_report(tree: OutputTree, report: ResultFile, elsewhere: ResultFile) -> ResultFile:
    """Write the report of a failure, under its other name if the file system refuses the first; return it.

    Raises:
        OSError: neither could be written.
    """
    try:
        tree.put(report.path, report.data)
    except OSError as error:
        if hits_all_images(error):
            raise
        tree.put(elsewhere.path, elsewhere.data)
        return elsewhere
    return report


def select_result_paths(artefacts: Iterable[Artefact]) -> list[str]:
    """Return the paths of results, which go to the history; failure reports are overwritten or removed."""
    return [artefact.path for artefact in artefacts if artefact.path.startswith(f"{SUCCESSFUL}/")]


def _run_step(step: Callable[[], None]) -> OSError | None:
    try:
        step()
    except OSError as error:
        return error
    except MemoryError:
        return OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
    return None


def _write(tree: OutputTree, pending: PendingAnswer) -> None:
    """Write the new files, the older ones being in the history; their names are not synced yet."""
    # Other programs may have written pictures since the index was made, so each new path is checked too.
    pictures = [file.path for file in pending.files if not is_text(file.path)]
    older = [*select_result_paths(pending.replaced), *tree.find_results(pending.place), *pictures]
    in_history: dict[str, str] = {}
    written: list[str] = []
    try:
        for path in dict.fromkeys(older):
            with _leaving_what_cannot_move(pending):
                if name := tree.add_to_history(path):
                    in_history[path] = name
        _remove_replaced(tree, pending, in_history)
        for file in pending.files:
            tree.put(file.path, file.data, sync=False)
            written.append(file.path)
    except (OSError, MemoryError):
        _restore(tree, in_history, written)
        raise


@contextmanager
def _leaving_what_cannot_move(pending: PendingAnswer) -> Iterator[None]:
    """Let an older file stay where it is if it cannot be moved, once the new ones have other names."""
    with ignoring_fault_of_one() if pending.relocate is None else nullcontext():
        yield


def _remove_replaced(tree: OutputTree, pending: PendingAnswer, in_history: Iterable[str]) -> None:
    """Remove older files, the text first, so that no text stands beside pictures of another answer.

    A text alone stays until the new one replaces it in one step.
    """
    text = pending.place.text
    others = [path for path in in_history if path != text]
    for path in (text, *others) if others else ():
        with _leaving_what_cannot_move(pending):
            tree.remove(path)


def _restore(tree: OutputTree, in_history: Mapping[str, str], written: Iterable[str]) -> None:
    """Move the older answer back, and remove what was written of the new one."""
    for path in written:
        with suppress(OSError):
            tree.remove(path)
    for path, name in in_history.items():
        with suppress(OSError):  # it stays in the history, where it is found again
            tree.restore(path, name)


def _try_sync(tree: OutputTree, folder: str) -> OSError | None:
    return _run_step(partial(tree.sync, folder))


def _finish(tree: OutputTree, pending: PendingAnswer) -> OSError | None:
    """Remove the report of an earlier failure; where it cannot be removed it stays, and the answer stands."""

    def remove() -> None:
        with ignoring_fault_of_one():
            tree.remove_report(pending.answer.key, pending.place)

    return _run_step(remove)
