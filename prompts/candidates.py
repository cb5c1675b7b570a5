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
from prompts.meta_prompt import Cases, ProposedEdit
from prompts.rules import CURABLE

ENOUGH_IMAGES = 4
"""Images that a class must have failed on consistently before a model is asked."""
GOOD_ENOUGH = 0.5
"""No model is asked while an edit is expected to rescue a larger share of the curable images."""
MOST_FOR_CLASS = 2
"""Proposals for one class of one model and prompt, those of earlier nights included."""
MOST_IMAGES = 4
"""That a proposal is tried on before it rescued one."""
KNOWN_AFTER = 8
"""Images after which it is known what a proposal is worth that joined tonight; before, no other is wanted."""


class Standing(StrEnum):
    """What became of a proposal."""

    ON_TRIAL = "on_trial"
    JOINED = "joined"
    DROPPED = "dropped"
    REFUSED = "refused"
    """Its words were not fit to be sent, or none came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposedRow:
    """What is kept of a proposal for other nights."""

    kind: ErrorKind
    name: str
    text: str
    proposed_by: str
    """The model that was asked for it."""
    outcome: Standing
    """Any but ``refused``."""


@dataclass(slots=True, kw_only=True)
class Proposal:
    """One answer of a model that was asked for words, and how it fares."""

    name: str
    kind: ErrorKind
    proposed_by: str
    text: str
    """Empty where it is refused."""
    outcome: Standing
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
    ended: int = 0
    """Images that it was tried on, in this run, whether on trial or joined."""
    on_way: int = 0
    """Images that were given to it and of which nothing is known yet."""
    is_fit: bool = True
    """False for words of an earlier night that do not go with tonight's words to keep."""


class Trials:
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
        rows: Iterable[ProposedRow] = (),
        taken: Collection[str] = (),
        asks: bool = False,
    ) -> None:
        self._prompt, self._keep = prompt, tuple(keep)
        self._asks = asks
        self._taken = frozenset(taken)
        self._by_name = {row.name: self._from_earlier(row) for row in rows if row.name not in self._taken}
        self._cases = Cases()
        self._images = Counter[ErrorKind]()
        self.changes = 0
        """Things that are to be kept and were not known when the run began."""

    def proposals(self) -> Iterator[Proposal]:
        """Yield what there is to tell: all of this run, and what was on offer from earlier ones."""
        for one in self._by_name.values():
            is_resumed = self._asks and one.outcome is Standing.ON_TRIAL
            if one.is_new or one.tried or is_resumed or one.outcome is Standing.JOINED:
                yield one

    def rows(self) -> tuple[ProposedRow, ...]:
        """Return what is to be kept; refused answers are not."""
        return tuple(
            ProposedRow(
                kind=one.kind, name=one.name, text=one.text, proposed_by=one.proposed_by, outcome=one.outcome
            )
            for one in self._by_name.values()
            if one.outcome is not Standing.REFUSED
        )

    def hear(self, kind: ErrorKind, words: str, *, is_new: bool) -> None:
        """Take in what an image said that fails consistently; ``is_new``: it did not fail so before."""
        if self._asks:
            self._images[kind] += is_new
            self._cases.add(kind, words)

    def wants(self, kind: ErrorKind, best: float) -> bool:
        """Tell whether a model should be asked for words for this class now.

        ``best`` is the share of the curable images that the best edit there is should rescue.
        """
        ours = [one for one in self._by_name.values() if one.kind is kind]
        return (
            self._asks
            and kind in CURABLE
            and self._images[kind] >= ENOUGH_IMAGES
            and best <= GOOD_ENOUGH
            and len(ours) < MOST_FOR_CLASS
            and not any(map(_is_young, ours))
        )

    def by_need(self) -> list[ErrorKind]:
        """Return the classes heard of, the one with the most images first."""
        return [kind for kind, _ in self._images.most_common()]

    def cases(self, kind: ErrorKind) -> tuple[str, ...]:
        """Return what failing images of this class said."""
        return self._cases.of(kind)

    def dropped(self, kind: ErrorKind) -> tuple[str, ...]:
        """Return the words that were tried for this class and dropped."""
        ours = (one for one in self._by_name.values() if one.kind is kind)
        return tuple(one.text for one in ours if one.outcome is Standing.DROPPED)

    def texts(self) -> frozenset[str]:
        """Return all words that were ever proposed."""
        return frozenset(one.text for one in self._by_name.values() if one.text)

    def accept(
        self, kind: ErrorKind, text: str, *, proposed_by: str, usage: Usage, cost: Decimal | None
    ) -> Proposal:
        """Put words on trial."""
        return self._enter(
            Proposal(
                name=self._new_name(kind),
                kind=kind,
                proposed_by=proposed_by,
                text=text,
                outcome=Standing.ON_TRIAL,
                why="no image came to an end with it yet",
                usage=usage,
                cost=cost,
            )
        )

    def refuse(
        self, kind: ErrorKind, why: str, *, proposed_by: str, usage: Usage, cost: Decimal | None
    ) -> Proposal:
        """Note an answer that cannot be used, or a question without an answer."""
        return self._enter(
            Proposal(
                name=self._new_name(kind),
                kind=kind,
                proposed_by=proposed_by,
                text="",
                outcome=Standing.REFUSED,
                why=why,
                usage=usage,
                cost=cost,
            )
        )

    def _enter(self, proposal: Proposal) -> Proposal:
        self._by_name[proposal.name] = proposal
        self.changes += proposal.outcome is not Standing.REFUSED
        return proposal

    def _new_name(self, kind: ErrorKind) -> str:
        number, known = 1, self._taken | self._by_name.keys()
        while f"proposed_{kind}_{number}" in known:
            number += 1
        return f"proposed_{kind}_{number}"

    def joined(self, kind: ErrorKind) -> tuple[str, ...]:
        """Return the names of the proposals that are edits like any other now."""
        ours = (one for one in self._by_name.values() if one.kind is kind)
        return tuple(one.name for one in ours if one.outcome is Standing.JOINED and one.is_fit)

    def is_ours(self, name: str) -> bool:
        """Tell whether an edit of this name is a model's."""
        return name in self._by_name

    def words(self, name: str) -> str | None:
        """Return the words of an edit that is a model's, with all words to keep; None for none to be used."""
        one = self._by_name[name]
        return ProposedEdit(name=name, kind=one.kind, text=one.text).apply(self._prompt, keep=self._keep)

    def next_for(self, kind: ErrorKind) -> str | None:
        """Return the name of the proposal that an image of this class should be given; None for none."""
        for one in self._by_name.values():
            is_open = one.outcome is Standing.ON_TRIAL and one.tried + one.on_way < MOST_IMAGES
            if self._asks and one.kind is kind and is_open and one.is_fit:
                return one.name
        return None

    def give(self, name: str) -> None:
        """Hear that an image was given to an edit."""
        one = self._by_name.get(name)
        if one and one.outcome is Standing.ON_TRIAL:
            one.on_way += 1

    def give_back(self, name: str) -> None:
        """Hear that nothing will be known of an image that was given to an edit."""
        one = self._by_name.get(name)
        if one and one.outcome is Standing.ON_TRIAL:
            one.on_way = max(0, one.on_way - 1)

    def learn(self, name: str, *, rescued: bool) -> None:
        """Hear how an image ended that was given to an edit."""
        one = self._by_name.get(name)
        if one is None:
            return
        one.ended += 1
        if one.outcome is not Standing.ON_TRIAL:
            return
        one.on_way = max(0, one.on_way - 1)
        one.tried += 1
        one.rescued += rescued
        one.why = f"{one.tried} of {MOST_IMAGES} images came to an end with it, none was rescued"
        if rescued:
            one.outcome = Standing.JOINED
            one.why = f"it rescued an image, number {one.tried} that it was tried on"
        elif one.tried >= MOST_IMAGES:
            one.outcome = Standing.DROPPED
            one.why = f"it rescued none of {one.tried} images"
        self.changes += one.outcome is not Standing.ON_TRIAL

    def _from_earlier(self, row: ProposedRow) -> Proposal:
        edit = ProposedEdit(name=row.name, kind=row.kind, text=row.text)
        return Proposal(
            name=row.name,
            kind=row.kind,
            proposed_by=row.proposed_by,
            text=row.text,
            outcome=row.outcome,
            why="proposed on an earlier night",
            is_new=False,
            is_fit=edit.apply(self._prompt, keep=self._keep) is not None,
        )


def _is_young(one: Proposal) -> bool:
    """Tell whether it has yet to show what it can do."""
    is_new_here = one.outcome is Standing.JOINED and one.is_new and one.ended < KNOWN_AFTER
    return one.outcome is Standing.ON_TRIAL or is_new_here
