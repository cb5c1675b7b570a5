"""In which order do answers come to stand, so that a crash at any instant can be explained?

One line in the ledger first; then what stands in an answer's way is moved to the history; then its files,
the text last, each synced before it has its name; then the ledger is synced, and the names; then an earlier
failure's report goes. Taken for each answer alone, these steps make a wave of answers wait for the disk three
times each. So answers that come together take each step together: one sync for all their lines, and one for
each folder.

This file must not know how an answer was obtained, nor in which words it is told.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from errors import StorageError
from models import Artefact, StoredAnswer
from storage.output.answer_files import ResultFile
from storage.output.layout import SUCCESSFUL, Place, is_text
from storage.output.ledger import Ledger
from storage.output.tree import OutputTree, to_storage_error, with_path


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingAnswer:
    """An answer that is to stand in the tree."""

    place: Place
    answer: StoredAnswer
    files: Sequence[ResultFile]
    replaced: Sequence[Artefact]
    """The files of the image's earlier answer."""
    consequence: str
    """What a failure to write it means, in words."""

    @property
    def folder(self) -> str:
        """Where all its files go."""
        return self.place.text.rpartition("/")[0]


def commit_answers(
    tree: OutputTree, ledger: Ledger, ledger_path: Path, answers: Sequence[PendingAnswer]
) -> list[StorageError | None]:
    """Write the answers; return for each why it does not stand, or None."""
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
    """Return the paths of results; a failure's report is no answer and is simply overwritten or removed."""
    return [artefact.path for artefact in artefacts if artefact.path.startswith(f"{SUCCESSFUL}/")]


def _run_step(step: Callable[[], None], pending: PendingAnswer) -> StorageError | None:
    try:
        step()
    except OSError as error:
        return to_storage_error(error, pending.consequence)
    return None


def _write(tree: OutputTree, pending: PendingAnswer) -> None:
    """Make room and write the files, whose names are not safe yet."""
    # A picture is looked for where it goes, since the tree may not know what others put there meanwhile.
    pictures = [file.path for file in pending.files if not is_text(file.path)]
    for path in dict.fromkeys(
        [*select_result_paths(pending.replaced), *tree.find_results(pending.place), *pictures]
    ):
        tree.move_to_history(path)
    for file in pending.files:
        tree.put(file.path, file.data, sync=False)


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
