"""What have all images of this model and prompt taught about each class and edit, tonight and before?

The naive answer learns for each image alone, which teaches nothing: an image has four tries. Here all
images of a run share one pool, for one model and one base prompt, and a run begins with what the last one
knew. It leaves as plain rows and comes back from them: how they are stored is not known here.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from errors import ErrorKind
from prompts.edits import ASK_AGAIN
from prompts.posterior import ClassBelief, Count

HOPELESS = 0.05
"""How likely it is beforehand that nothing whatever rescues any image of this run."""
OVERNIGHT = 0.5
"""What is left of an outcome's weight in the next run, so that what once was hopeless is tried again."""
WHOLE_CLASS = ""
"""The arm of the row that counts images: ``rescues`` the curable ones, ``failures`` the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRow:
    """What is believed of one arm in one class; weighted counts, no tallies for people."""

    model: str
    prompt_sha256: str
    """Of the user's own prompt, in hex."""
    kind: ErrorKind
    arm: str
    """An edit's name, ``ask_again``, or empty for the class as a whole."""
    rescues: float
    failures: float


@dataclass(slots=True)
class Pool:
    """The beliefs of one model and one base prompt; shared by all images of a run."""

    model: str
    prompt_sha256: str
    _classes: dict[ErrorKind, ClassBelief] = field(default_factory=dict)
    _unlikely: float = 1.0
    """How likely so many failures without one rescue were, if there were hope."""
    _rescued: bool = False

    @classmethod
    def from_rows(cls, model: str, prompt_sha256: str, rows: Iterable[PoolRow]) -> "Pool":
        """Return the pool that these rows were taken from; rows of other prompts or models are left out."""
        pool = cls(model, prompt_sha256)
        by_kind: dict[ErrorKind, dict[str, Count]] = {}
        for row in rows:
            if (row.model, row.prompt_sha256) == (model, prompt_sha256):
                count = Count(OVERNIGHT * max(0.0, row.rescues), OVERNIGHT * max(0.0, row.failures))
                by_kind.setdefault(row.kind, {})[row.arm] = count
        for kind, counts in by_kind.items():
            images = counts.pop(WHOLE_CLASS, Count())
            belief = pool.of(kind)
            belief.restore(counts, curable=images.rescues, seen=images.rescues + images.failures)
        for kind in by_kind:
            pool._revise(kind)
        return pool

    def of(self, kind: ErrorKind) -> ClassBelief:
        """Return what is believed of a class."""
        known = self._classes.get(kind)
        if known is None:
            known = self._classes[kind] = ClassBelief(ASK_AGAIN)
            known.revise(elsewhere=self._elsewhere(known))
        return known

    def learn(self, kind: ErrorKind, tried: Iterable[str], arm: str, *, rescued: bool) -> None:
        """Take in one outcome on an image of this class on which ``tried`` had failed before."""
        before, belief = tuple(tried), self.of(kind)
        self._rescued = self._rescued or rescued
        self._unlikely *= 1.0 - belief.still_curable(before) * belief.mean(arm)
        belief.learn(before, arm, rescued=rescued)
        self._revise(kind)

    @property
    def hope(self) -> float:
        """The chance that anything helps at all: 1 from the first rescue on, small after many failures."""
        if self._rescued:
            return 1.0
        return (1.0 - HOPELESS) * self._unlikely / (HOPELESS + (1.0 - HOPELESS) * self._unlikely)

    def _revise(self, kind: ErrorKind) -> None:
        belief = self.of(kind)
        belief.revise(elsewhere=self._elsewhere(belief))

    def _elsewhere(self, belief: ClassBelief) -> tuple[float, float]:
        others = [one for one in self._classes.values() if one is not belief]
        return sum(one.curable for one in others), sum(one.seen for one in others)

    def rows(self) -> Iterator[PoolRow]:
        """Yield all that is believed now."""
        for kind in sorted(self._classes):
            yield from self.rows_of(kind)

    def rows_of(self, kind: ErrorKind) -> Iterator[PoolRow]:
        """Yield what is believed of one class now: a row for each arm, one for the class."""
        belief = self.of(kind)
        images = Count(belief.curable, belief.seen - belief.curable)
        for arm, count in sorted({**belief.counts, WHOLE_CLASS: images}.items()):
            yield PoolRow(
                model=self.model,
                prompt_sha256=self.prompt_sha256,
                kind=kind,
                arm=arm,
                rescues=count.rescues,
                failures=count.failures,
            )
