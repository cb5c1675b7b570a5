"""Commit of answers to the output directory, in an order that survives a crash; see docs/adr/0004.

The steps: write the ledger line; give older files a second name in the history; write the files, the text
last, each synced before it gets its name; sync the ledger and the folder; remove the report of an earlier
failure. If a file cannot be written, the older answer stands again.
Answers that come together share one sync of the ledger and one of each folder, which takes two waits for
the disk in place of four (docs/performance.md).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from errors import StorageError
from models import Artefact, StoredAnswer
from storage.output.answer_files import ResultFile
from storage.output.folders import SUCCESSFUL
from storage.output.layout import Place, is_text
from storage.output.ledger import Ledger
from storage.output.tree import OutputTree, to_storage_error, with_path


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

    @property
    def folder(self) -> str:
        """The folder of all its files."""
        return self.place.text.rpartition("/")[0]


def commit_answers(
    tree: OutputTree, ledger: Ledger, ledger_path: Path, answers: Sequence[PendingAnswer]
) -> list[StorageError | None]:
    """Write the answers; return for each its error, or None if it is written."""
    if not answers:
        return []
    try:
        with with_path(ledger_path), ledger.appending(*(pending.answer for pending in answers)):
            failures = [_run_step(partial(_write, tree, pending), pending) for pending in answers]
    except OSError as error:
        return [to_storage_error(error, pending.consequence) for pending in answers]
    written = {pending.folder for pending, failure in zip(answers, failures, strict=True) if failure is None}
    unsynced = {folder: cause for folder in written if (cause := _try_sync(tree, folder))}
    return [
        failure or _run_step(partial(_finish, tree, pending, unsynced), pending)
        for pending, failure in zip(answers, failures, strict=True)
    ]


def select_result_paths(artefacts: Iterable[Artefact]) -> list[str]:
    """Return the paths of results, which go to the history; failure reports are overwritten or removed."""
    return [artefact.path for artefact in artefacts if artefact.path.startswith(f"{SUCCESSFUL}/")]


def _run_step(step: Callable[[], None], pending: PendingAnswer) -> StorageError | None:
    try:
        step()
    except OSError as error:
        return to_storage_error(error, pending.consequence)
    return None


def _write(tree: OutputTree, pending: PendingAnswer) -> None:
    """Write the new files, the older ones being in the history; their names are not synced yet."""
    # Other programs may have written pictures since the index was made, so each new path is checked too.
    new = [file.path for file in pending.files]
    pictures = [path for path in new if not is_text(path)]
    older = [*select_result_paths(pending.replaced), *tree.find_results(pending.place), *pictures]
    in_history: dict[str, str] = {}
    try:
        for path in dict.fromkeys(older):
            if name := tree.add_to_history(path):
                in_history[path] = name
        for file in pending.files:
            if is_text(file.path):  # from now on the older answer no longer stands
                for path in in_history.keys() - new:
                    tree.remove(path)
            tree.put(file.path, file.data, sync=False)
    except OSError:
        _restore(tree, in_history, new)
        raise


def _restore(tree: OutputTree, in_history: Mapping[str, str], new: Iterable[str]) -> None:
    """Move the older answer back, and remove what was written of the new one."""
    for path in new if in_history else ():
        if path not in in_history:
            with suppress(OSError):
                tree.remove(path)
    for path, name in in_history.items():
        with suppress(OSError):  # it stays in the history, where it is found again
            tree.restore(path, name)


def _try_sync(tree: OutputTree, folder: str) -> OSError | None:
    try:
        tree.sync(folder)
    except OSError as error:
        return error
    return None


def _finish(tree: OutputTree, pending: PendingAnswer, unsynced: dict[str, OSError]) -> None:
    if error := unsynced.get(pending.folder):
        raise error
    tree.remove_report(pending.place)
