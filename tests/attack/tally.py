"""Counts of an attack: its cases, and what did not hold."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum


class Harm(StrEnum):
    """What an attack may do; the columns of the table in docs/reliability.md."""

    LOST = "lost"
    """A paid answer that is neither in the tree nor in the journal's history."""
    DOUBLED = "doubled"
    """A call beyond what the promise allows: the same image and prompt paid twice."""
    WRONG = "wrong"
    """An answer beside another image, a success that is none, an exit code that is not true."""
    LEFT_OVER = "left over"
    """Temporary files, processes or locks after the end; a run that does not end."""
    OUTSIDE = "outside"
    """Anything written, changed or removed outside of the output."""
    KEY_SEEN = "key seen"
    """The key in a file, a log or on a stream."""
    TRACEBACK = "traceback"
    """A traceback in place of a sentence."""


@dataclass(slots=True, kw_only=True)
class Tally:
    """Results of some batches; two of them can be added."""

    batches: int = 0
    cases: int = 0
    what: Counter[str] = field(default_factory=Counter)
    """Further counts for the table, such as ``kill -9``."""
    harms: Counter[Harm] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    """A sentence for each harm."""
    not_tried: set[str] = field(default_factory=set)
    """What could not be tried here, and why."""

    def note(self, harm: Harm, sentence: str) -> None:
        """Record something that did not hold."""
        self.harms[harm] += 1
        self.failures.append(f"{harm}: {sentence}")

    def note_if(self, condition: object, harm: Harm, sentence: str) -> None:
        """Record it where the condition holds."""
        if condition:
            self.note(harm, sentence)

    def add(self, other: "Tally") -> None:
        """Add the results of other batches."""
        self.batches += other.batches
        self.cases += other.cases
        self.what += other.what
        self.harms += other.harms
        self.failures += other.failures
        self.not_tried |= other.not_tried
