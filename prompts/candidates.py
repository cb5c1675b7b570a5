"""Which words of a model's are on offer, on trial, or done with; and is it time to ask for more?

The naive answer asks as soon as anything fails and believes what it gets: it pays for an answer to each
bad image, and a prompt that does nothing reaches every image of the night. Here a class must have failed
consistently on several images, with no edit that is good enough; few are asked for; and what comes is tried
on at most four images before the first rescue. Only a rescue lets it join the other edits.

An image that was given to a trial holds one of its four places until it is known what came of it. Nothing
here decides about an image, makes a call, or judges words (``proposals``).
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from errors import ErrorKind
from models import Usage
from prompts.meta_prompt import CandidateEdit, FailureExamples
from prompts.rules import CURABLE_KINDS

MIN_FAILED_IMAGES = 4
"""Images that a class must have failed on consistently before a model is asked."""
GOOD_ENOUGH_RATE = 0.5
"""No model is asked while an edit is expected to rescue a larger share of the curable images."""
MAX_PER_CLASS = 2
"""Proposals for one class of one model and prompt, those of earlier nights included."""
MAX_TRIAL_IMAGES = 4
"""That a proposal is tried on before it rescued one."""
MIN_IMAGES_BEFORE_NEXT = 8
"""Images after which it is known what a proposal is worth that joined tonight; before, no other is wanted."""


class CandidateStatus(StrEnum):
    """What became of a proposal."""

    ON_TRIAL = "on_trial"
    ACCEPTED = "joined"
    DROPPED = "dropped"
    REJECTED = "refused"
    """Its words were not fit to be sent, or none came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateRow:
    """What is kept of a proposal for other nights."""

    kind: ErrorKind
    name: str
    text: str
    proposed_by: str
    """The model that was asked for it."""
    status: CandidateStatus
    """Any but ``refused``."""


@dataclass(slots=True, kw_only=True)
class Candidate:
    """One answer of a model that was asked for words, and how it fares."""

    name: str
    kind: ErrorKind
    proposed_by: str
    text: str
    """Empty where it is refused."""
    status: CandidateStatus
    why: str
    """One clause for people."""
    usage: Usage = field(default_factory=Usage)
    """Of the question, with all its calls."""
    cost: Decimal | None = None
    """In US dollars; None when nobody knows."""
    is_new: bool = True
    """Asked for in this run."""
    tried: int = 0
    """Images that it was tried on, in this run, while on trial."""
    rescued: int = 0
    finished: int = 0
    """Images that it was tried on, in this run, whether on trial or joined."""
    in_flight: int = 0
    """Images that were given to it and of which nothing is known yet."""
    is_usable: bool = True
    """False for words of an earlier night that do not go with tonight's words to keep."""


class CandidatePool:
    """All proposals for one model and one base prompt.

    Args:
        prompt: the user's own.
        keep: words of it that stay.
        rows: those of earlier nights.
        taken: names of other edits.
        asks: a model may be asked in this run; without it, only what joined on an earlier night serves.
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
        """Things that are to be kept and were not known when the run began."""

    def reportable_candidates(self) -> Iterator[Candidate]:
        """Yield what there is to tell: all of this run, and what was on offer from earlier ones."""
        for one in self._by_name.values():
            is_resumed = self._can_request and one.status is CandidateStatus.ON_TRIAL
            if one.is_new or one.tried or is_resumed or one.status is CandidateStatus.ACCEPTED:
                yield one

    def rows(self) -> tuple[CandidateRow, ...]:
        """Return what is to be kept; refused answers are not."""
        return tuple(
            CandidateRow(
                kind=one.kind, name=one.name, text=one.text, proposed_by=one.proposed_by, status=one.status
            )
            for one in self._by_name.values()
            if one.status is not CandidateStatus.REJECTED
        )

    def add_failure(self, kind: ErrorKind, words: str, *, is_new: bool) -> None:
        """Take in what an image said that fails consistently; ``is_new``: it did not fail so before."""
        if self._can_request:
            self._failed_images[kind] += is_new
            self._failure_examples.add(kind, words)

    def should_request(self, kind: ErrorKind, best_rate: float) -> bool:
        """Tell whether a model should be asked for words for this class now.

        ``best`` is the share of the curable images that the best edit there is should rescue.
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
        """Return the classes heard of, the one with the most images first."""
        return [kind for kind, _ in self._failed_images.most_common()]

    def failure_examples(self, kind: ErrorKind) -> tuple[str, ...]:
        """Return what failing images of this class said."""
        return self._failure_examples.of_kind(kind)

    def dropped_texts(self, kind: ErrorKind) -> tuple[str, ...]:
        """Return the words that were tried for this class and dropped."""
        of_kind = (one for one in self._by_name.values() if one.kind is kind)
        return tuple(one.text for one in of_kind if one.status is CandidateStatus.DROPPED)

    def texts(self) -> frozenset[str]:
        """Return all words that were ever proposed."""
        return frozenset(one.text for one in self._by_name.values() if one.text)

    def add_on_trial(
        self, kind: ErrorKind, text: str, *, proposed_by: str, usage: Usage, cost: Decimal | None
    ) -> Candidate:
        """Put words on trial."""
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
        """Note an answer that cannot be used, or a question without an answer."""
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
        """Return the names of the proposals that are edits like any other now."""
        of_kind = (one for one in self._by_name.values() if one.kind is kind)
        return tuple(one.name for one in of_kind if one.status is CandidateStatus.ACCEPTED and one.is_usable)

    def is_candidate(self, name: str) -> bool:
        """Tell whether an edit of this name is a model's."""
        return name in self._by_name

    def edited_prompt(self, name: str) -> str | None:
        """Return the words of an edit that is a model's, with all words to keep; None for none to be used."""
        one = self._by_name[name]
        return CandidateEdit(name=name, kind=one.kind, text=one.text).apply(self._prompt, keep=self._keep)

    def next_candidate(self, kind: ErrorKind) -> str | None:
        """Return the name of the proposal that an image of this class should be given; None for none."""
        for one in self._by_name.values():
            is_open = one.status is CandidateStatus.ON_TRIAL and one.tried + one.in_flight < MAX_TRIAL_IMAGES
            if self._can_request and one.kind is kind and is_open and one.is_usable:
                return one.name
        return None

    def reserve(self, name: str) -> None:
        """Hear that an image was given to an edit."""
        one = self._by_name.get(name)
        if one and one.status is CandidateStatus.ON_TRIAL:
            one.in_flight += 1

    def release(self, name: str) -> None:
        """Hear that nothing will be known of an image that was given to an edit."""
        one = self._by_name.get(name)
        if one and one.status is CandidateStatus.ON_TRIAL:
            one.in_flight = max(0, one.in_flight - 1)

    def learn(self, name: str, *, rescued: bool) -> None:
        """Hear how an image ended that was given to an edit."""
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
            why="proposed on an earlier night",
            is_new=False,
            is_usable=edit.apply(self._prompt, keep=self._keep) is not None,
        )


def _is_undecided(one: Candidate) -> bool:
    """Tell whether it has yet to show what it can do."""
    is_new_here = (
        one.status is CandidateStatus.ACCEPTED and one.is_new and one.finished < MIN_IMAGES_BEFORE_NEXT
    )
    return one.status is CandidateStatus.ON_TRIAL or is_new_here
