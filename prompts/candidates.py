"""Prompts that a model proposed: their trials, and when the model is asked for another one.

A model is asked only for a class that failed consistently on several images and has no good edit. A candidate
is tried on at most ``MAX_TRIAL_IMAGES`` images; one rescue makes it an edit like the others. An image given
to a candidate counts against that limit until its outcome is known. See docs/adr/0011.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from errors import ErrorKind
from models import Usage
from prompts.meta_prompt import CandidateEdit, FailureExamples
from prompts.records import CandidateRow, CandidateStatus
from prompts.rules import CURABLE_KINDS

MIN_FAILED_IMAGES = 4
"""Images of a class that must have failed consistently before a model is asked."""
GOOD_ENOUGH_RATE = 0.5
"""No model is asked while an edit is expected to rescue more than this share of the curable images."""
MAX_PER_CLASS = 2
"""Candidates for one class of one model and prompt, those of earlier runs included."""
MAX_TRIAL_IMAGES = 4
"""Images that a candidate is tried on before its first rescue."""
MIN_IMAGES_BEFORE_NEXT = 8
"""Images after which the worth of a newly accepted candidate is known; no other is requested before."""


@dataclass(slots=True, kw_only=True)
class Candidate:
    """One answer of a model that was asked for a prompt, with its outcomes so far."""

    name: str
    kind: ErrorKind
    proposed_by: str
    text: str
    """The prompt; empty if rejected."""
    status: CandidateStatus
    why: str
    """The reason for the status, as one clause for the user."""
    usage: Usage = field(default_factory=Usage)
    """Tokens of the question, with all its calls."""
    cost: Decimal | None = None
    """In US dollars; None if unknown."""
    is_new: bool = True
    """Whether it was requested in this run."""
    tried: int = 0
    """Images of this run that it was tried on while on trial."""
    rescued: int = 0
    finished: int = 0
    """Images of this run that it was tried on, on trial or accepted."""
    in_flight: int = 0
    """Images that were given to it and whose outcome is not known yet."""
    is_usable: bool = True
    """False for a prompt of an earlier run that fails a check now, with the words to keep of this run."""


class CandidatePool:
    """All candidates for one model and one base prompt.

    Args:
        prompt: the user's own prompt.
        keep: words of it that every candidate keeps.
        rows: candidates of earlier runs.
        reserved_names: names of the other edits.
        can_request: a model may be asked in this run; without it only accepted candidates are used.
    """

    def __init__(
        self,
        *,
        prompt: str = "",
        keep: Sequence[str] = (),
        rows: Iterable[CandidateRow] = (),
        reserved_names: Collection[str] = (),
        can_request: bool = False,
    ) -> None:
        self._prompt, self._keep = prompt, tuple(keep)
        self._can_request = can_request
        self._reserved_names = frozenset(reserved_names)
        self._by_name = {
            row.name: self._from_row(row) for row in rows if row.name not in self._reserved_names
        }
        self._failure_examples = FailureExamples()
        self._failed_images = Counter[ErrorKind]()
        self.changes = 0
        """Number of changes that have to be stored and were not known when the run began."""

    def reportable_candidates(self) -> Iterator[Candidate]:
        """Yield the candidates for the report: all of this run, and the usable ones of earlier runs."""
        for one in self._by_name.values():
            is_resumed = self._can_request and one.status is CandidateStatus.ON_TRIAL
            if one.is_new or one.tried or is_resumed or one.status is CandidateStatus.ACCEPTED:
                yield one

    def rows(self) -> tuple[CandidateRow, ...]:
        """Return the rows to be stored; rejected answers are not."""
        return tuple(
            CandidateRow(
                kind=one.kind, name=one.name, text=one.text, proposed_by=one.proposed_by, status=one.status
            )
            for one in self._by_name.values()
            if one.status is not CandidateStatus.REJECTED
        )

    def add_failure(self, kind: ErrorKind, words: str, *, is_new: bool) -> None:
        """Record the sentence of a consistent failure; ``is_new``: the image was not counted before."""
        if self._can_request:
            self._failed_images[kind] += is_new
            self._failure_examples.add(kind, words)

    def should_request(self, kind: ErrorKind, best_rate: float) -> bool:
        """Return whether a model should be asked for a prompt for this class now.

        Args:
            kind: the class.
            best_rate: share of the curable images that the best edit should rescue, 0 to 1.
        """
        of_kind = [one for one in self._by_name.values() if one.kind is kind]
        return (
            self._can_request
            and kind in CURABLE_KINDS
            and self._failed_images[kind] >= MIN_FAILED_IMAGES
            and best_rate <= GOOD_ENOUGH_RATE
            and len(of_kind) < MAX_PER_CLASS
            and not any(map(_is_undecided, of_kind))
        )

    def kinds_by_need(self) -> list[ErrorKind]:
        """Return the classes that failed consistently, the one with the most images first."""
        return [kind for kind, _ in self._failed_images.most_common()]

    def failure_examples(self, kind: ErrorKind) -> tuple[str, ...]:
        """Return the sentences of failed images of this class."""
        return self._failure_examples.of_kind(kind)

    def dropped_texts(self, kind: ErrorKind) -> tuple[str, ...]:
        """Return the prompts that were tried for this class and dropped."""
        of_kind = (one for one in self._by_name.values() if one.kind is kind)
        return tuple(one.text for one in of_kind if one.status is CandidateStatus.DROPPED)

    def texts(self) -> frozenset[str]:
        """Return all prompts that were ever proposed."""
        return frozenset(one.text for one in self._by_name.values() if one.text)

    def add_on_trial(
        self, kind: ErrorKind, text: str, *, proposed_by: str, usage: Usage, cost: Decimal | None
    ) -> Candidate:
        """Add a candidate on trial."""
        return self._add(
            Candidate(
                name=self._new_name(kind),
                kind=kind,
                proposed_by=proposed_by,
                text=text,
                status=CandidateStatus.ON_TRIAL,
                why="no image came to an end with it yet",
                usage=usage,
                cost=cost,
            )
        )

    def add_rejected(
        self, kind: ErrorKind, why: str, *, proposed_by: str, usage: Usage, cost: Decimal | None
    ) -> Candidate:
        """Add an answer that cannot be used, or a question without an answer."""
        return self._add(
            Candidate(
                name=self._new_name(kind),
                kind=kind,
                proposed_by=proposed_by,
                text="",
                status=CandidateStatus.REJECTED,
                why=why,
                usage=usage,
                cost=cost,
            )
        )

    def _add(self, candidate: Candidate) -> Candidate:
        self._by_name[candidate.name] = candidate
        self.changes += candidate.status is not CandidateStatus.REJECTED
        return candidate

    def _new_name(self, kind: ErrorKind) -> str:
        number, known = 1, self._reserved_names | self._by_name.keys()
        while f"proposed_{kind}_{number}" in known:
            number += 1
        return f"proposed_{kind}_{number}"

    def accepted_names(self, kind: ErrorKind) -> tuple[str, ...]:
        """Return the names of the candidates that are edits like any other now."""
        of_kind = (one for one in self._by_name.values() if one.kind is kind)
        return tuple(one.name for one in of_kind if one.status is CandidateStatus.ACCEPTED and one.is_usable)

    def is_candidate(self, name: str) -> bool:
        """Return whether the edit of this name is a candidate."""
        return name in self._by_name

    def edited_prompt(self, name: str) -> str | None:
        """Return the prompt of a candidate with all words to keep; None if it fails a check."""
        one = self._by_name[name]
        return CandidateEdit(name=name, kind=one.kind, text=one.text).apply(self._prompt, keep=self._keep)

    def next_candidate(self, kind: ErrorKind) -> str | None:
        """Return the candidate on trial that an image of this class should get; None if there is none."""
        for one in self._by_name.values():
            is_open = one.status is CandidateStatus.ON_TRIAL and one.tried + one.in_flight < MAX_TRIAL_IMAGES
            if self._can_request and one.kind is kind and is_open and one.is_usable:
                return one.name
        return None

    def reserve(self, name: str) -> None:
        """Reserve one of the trial's images; no effect unless the edit is on trial."""
        one = self._by_name.get(name)
        if one and one.status is CandidateStatus.ON_TRIAL:
            one.in_flight += 1

    def release(self, name: str) -> None:
        """Release a reserved image whose outcome will never be known."""
        one = self._by_name.get(name)
        if one and one.status is CandidateStatus.ON_TRIAL:
            one.in_flight = max(0, one.in_flight - 1)

    def learn(self, name: str, *, rescued: bool) -> None:
        """Record the outcome of an image that was given to an edit."""
        one = self._by_name.get(name)
        if one is None:
            return
        one.finished += 1
        if one.status is not CandidateStatus.ON_TRIAL:
            return
        one.in_flight = max(0, one.in_flight - 1)
        one.tried += 1
        one.rescued += rescued
        one.why = f"{one.tried} of {MAX_TRIAL_IMAGES} images came to an end with it, none was rescued"
        if rescued:
            one.status = CandidateStatus.ACCEPTED
            one.why = f"it rescued an image, number {one.tried} that it was tried on"
        elif one.tried >= MAX_TRIAL_IMAGES:
            one.status = CandidateStatus.DROPPED
            one.why = f"it rescued none of {one.tried} images"
        self.changes += one.status is not CandidateStatus.ON_TRIAL

    def _from_row(self, row: CandidateRow) -> Candidate:
        edit = CandidateEdit(name=row.name, kind=row.kind, text=row.text)
        return Candidate(
            name=row.name,
            kind=row.kind,
            proposed_by=row.proposed_by,
            text=row.text,
            status=row.status,
            why="proposed in an earlier run",
            is_new=False,
            is_usable=edit.apply(self._prompt, keep=self._keep) is not None,
        )


def _is_undecided(one: Candidate) -> bool:
    """Return whether it is on trial, or accepted in this run and tried on few images."""
    is_new_here = (
        one.status is CandidateStatus.ACCEPTED and one.is_new and one.finished < MIN_IMAGES_BEFORE_NEXT
    )
    return one.status is CandidateStatus.ON_TRIAL or is_new_here
