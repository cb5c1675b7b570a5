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
from storage.output.tree import ResultTree, lost, naming


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAnswer:
    """An answer that is to stand in the tree."""

    place: Place
    answer: StoredAnswer
    files: Sequence[ResultFile]
    replaces: Sequence[Artefact]
    """The files of the image's earlier answer."""
    loss: str
    """What a failure to write it means, in words."""

    @property
    def folder(self) -> str:
        """Where all its files go."""
        return self.place.text.rpartition("/")[0]


def put_answers(
    tree: ResultTree, ledger: Ledger, ledger_path: Path, answers: Sequence[NewAnswer]
) -> list[StorageError | None]:
    """Write the answers; return for each why it does not stand, or None."""
    if not answers:
        return []
    try:
        with naming(ledger_path), ledger.appended(*(one.answer for one in answers)):
            failures = [_failure(partial(_write, tree, one), one) for one in answers]
    except OSError as error:
        return [lost(error, one.loss) for one in answers]
    standing = {one.folder for one, failure in zip(answers, failures, strict=True) if failure is None}
    unsafe = {folder: cause for folder in standing if (cause := _unsynced(tree, folder))}
    return [
        failure or _failure(partial(_finish, tree, one, unsafe), one)
        for one, failure in zip(answers, failures, strict=True)
    ]


def results_among(artefacts: Iterable[Artefact]) -> list[str]:
    """Return the paths of results; a failure's report is no answer and is simply overwritten or removed."""
    return [artefact.path for artefact in artefacts if artefact.path.startswith(f"{SUCCESSFUL}/")]


def _failure(step: Callable[[], None], one: NewAnswer) -> StorageError | None:
    try:
        step()
    except OSError as error:
        return lost(error, one.loss)
    return None


def _write(tree: ResultTree, one: NewAnswer) -> None:
    """Make room and write the files, whose names are not safe yet."""
    # A picture is looked for where it goes, since the tree may not know what others put there meanwhile.
    pictures = [file.path for file in one.files if not is_text(file.path)]
    for path in dict.fromkeys([*results_among(one.replaces), *tree.present(one.place), *pictures]):
        tree.retire(path)
    for file in one.files:
        tree.put(file.path, file.data, sync=False)


def _unsynced(tree: ResultTree, folder: str) -> OSError | None:
    try:
        tree.sync(folder)
    except OSError as error:
        return error
    return None


def _finish(tree: ResultTree, one: NewAnswer, unsafe: dict[str, OSError]) -> None:
    if error := unsafe.get(one.folder):
        raise error
    tree.remove_report(one.place)
