"""Answers that the ledger proves together with the tree, and lines for answers that it lacks."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from models import StoredAnswer
from storage.output.ledger import Ledger
from storage.output.ledger_state import LedgerState, read_ledger_state
from storage.output.tree import OutputTree, storage_errors, with_path


class ProvenAnswers:
    """The ledger of one output directory with its tree, read before a run.

    Args:
        path: the ledger.
        tree: where the files are.
        run_id: of the present run.
    """

    def __init__(self, path: Path, tree: OutputTree, *, run_id: str) -> None:
        self._path = path
        self._tree = tree
        self._ledger = Ledger(path, run_id=run_id)

    def __iter__(self) -> Iterator[StoredAnswer]:
        """Yield every real answer that was ever received, oldest first; damaged lines are skipped.

        Answers whose files may be in the history follow once more, with the paths they have there.

        Raises:
            StorageError: the ledger cannot be read.

        """
        with storage_errors("no answer was lost"), with_path(self._path):
            yield from self._ledger
            folders = self._tree.list_history_folders()
            for answer in self._ledger if folders else ():
                places = (self._tree.find_all_in_folder(answer.artefacts, folder) for folder in folders)
                yield from (replace(answer, artefacts=place) for place in places if place)

    def state(self) -> LedgerState:
        """Return the state of the ledger's file.

        Raises:
            StorageError: the file system does not say.

        """
        with storage_errors("no answer was lost"), with_path(self._path):
            return read_ledger_state(self._path)

    def add_missing(self, answers: Iterable[StoredAnswer]) -> int:
        """Add a line for each answer that the ledger lacks and whose files exist; return how many.

        Raises:
            StorageError: the ledger cannot be read or written.

        """
        with storage_errors("no answer was lost"), with_path(self._path):
            known = {_identify(answer) for answer in self}
            missing = [
                answer
                for answer in answers
                if _identify(answer) not in known and all(map(self._tree.has_expected_hash, answer.artefacts))
            ]
            if missing:
                self._ledger.append(*missing)
        return len(missing)


def _identify(answer: StoredAnswer) -> int:
    return hash((answer.key, answer.sha256, answer.fingerprint, answer.artefacts))
