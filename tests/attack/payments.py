"""Comparison of what the service was paid for with what stands in the output."""

import hashlib
from collections import Counter
from pathlib import Path
from typing import Protocol

from tests.attack.tally import Harm, Tally
from tests.crash.checks import ledger_lines
from tests.emulator import Fault, LoggedRequest
from tests.emulator.log import ANSWERED
from utils.files import is_temporary

Question = tuple[str, str]
"""Hash of an image, and the prompt."""


class Service(Protocol):
    """What was asked: the emulator, or a server of exact bytes."""

    @property
    def calls(self) -> list[LoggedRequest]:
        """The calls so far."""


class Payments:
    """Paid answers by question, from one run to the next."""

    def __init__(self, emulator: Service, output: Path) -> None:
        self._emulator = emulator
        self._output = output
        self._paid_when_proven: dict[Question, int] = {}

    def record_proven(self) -> None:
        """Record the answers that stand now; their questions must not be asked again."""
        paid = self.count_paid()
        for question in self.find_proven():
            self._paid_when_proven.setdefault(question, paid[question])

    def count_paid(self) -> Counter[Question]:
        """Return the usable answers that the service gave, by question."""
        return Counter(
            (call.image_sha256, call.prompt) for call in self._emulator.calls if _is_answered(call)
        )

    def find_proven(self) -> set[Question]:
        """Return the questions whose answer stands."""
        return find_proven_questions(self._output)

    def note_harms(self, tally: Tally, *, may_repeat: int) -> None:
        """Note what was paid twice beyond ``may_repeat`` answers in flight, and what is gone at the end."""
        paid = self.count_paid()
        for question, count in self._paid_when_proven.items():
            again = paid[question] - count
            tally.note_if(
                again > 0, Harm.DOUBLED, f"{question} was paid {again} more times after its answer stood"
            )
        surplus = sum(count - 1 for count in paid.values())
        tally.note_if(
            surplus > may_repeat,
            Harm.DOUBLED,
            f"{surplus} answers were paid twice, {may_repeat} were in flight",
        )
        for question in set(paid) - self.find_proven():
            tally.note(Harm.LOST, f"the answer to {question} is neither in the tree nor in the history")


def find_proven_questions(output: Path) -> set[Question]:
    """Return the questions whose answer has a whole line in the ledger, and its files in tree or history."""
    hashes = hash_files(output)
    return {
        (line["sha256"], line["prompt"]["text"])
        for line in ledger_lines(output)
        if all(one["sha256"] in hashes for one in line["artefacts"])
    }


def hash_files(output: Path) -> set[str]:
    """Return the hashes of all result files of an output directory, replaced ones too."""
    folders = (output / "successful", output / "metadata" / "history")
    files = (path for folder in folders for path in folder.rglob("*"))
    files = (path for path in files if path.is_file() and not is_temporary(path.name))
    return {hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _is_answered(call: LoggedRequest) -> bool:
    return call.outcome == ANSWERED or (call.outcome in set(Fault) and Fault(call.outcome).still_answers)
