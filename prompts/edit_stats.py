"""What have all images of this model and prompt taught about each class and edit, tonight and before?

The naive answer learns for each image alone, which teaches nothing: an image has four tries. Here all
images of a run share one pool, for one model and one base prompt, and a run begins with what the last one
knew. It leaves as plain rows and comes back from them: how they are stored is not known here.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from errors import ErrorKind
from prompts.edits import ASK_AGAIN
from prompts.posterior import ClassPosterior, OutcomeCount

PRIOR_NOTHING_HELPS = 0.05
"""How likely it is beforehand that nothing whatever rescues any image of this run."""
CARRIED_WEIGHT = 0.5
"""What is left of an outcome's weight in the next run, so that what once was hopeless is tried again."""
WHOLE_CLASS = ""
"""The arm of the row that counts images: ``rescues`` the curable ones, ``failures`` the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EditStatsRow:
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
class EditStats:
    """The beliefs of one model and one base prompt; shared by all images of a run."""

    model: str
    prompt_sha256: str
    _posteriors: dict[ErrorKind, ClassPosterior] = field(default_factory=dict)
    _failure_likelihood: float = 1.0
    """How likely so many failures without one rescue were, if there were hope."""
    _has_rescue: bool = False

    @classmethod
    def from_rows(cls, model: str, prompt_sha256: str, rows: Iterable[EditStatsRow]) -> "EditStats":
        """Return the pool that these rows were taken from; rows of other prompts or models are left out."""
        stats = cls(model, prompt_sha256)
        by_kind: dict[ErrorKind, dict[str, OutcomeCount]] = {}
        for row in rows:
            if (row.model, row.prompt_sha256) == (model, prompt_sha256):
                count = OutcomeCount(
                    CARRIED_WEIGHT * max(0.0, row.rescues), CARRIED_WEIGHT * max(0.0, row.failures)
                )
                by_kind.setdefault(row.kind, {})[row.arm] = count
        for kind, counts in by_kind.items():
            images = counts.pop(WHOLE_CLASS, OutcomeCount())
            posterior = stats.posterior(kind)
            posterior.restore(counts, curable=images.rescues, seen=images.rescues + images.failures)
        for kind in by_kind:
            stats._update(kind)
        return stats

    def posterior(self, kind: ErrorKind) -> ClassPosterior:
        """Return what is believed of a class."""
        known = self._posteriors.get(kind)
        if known is None:
            known = self._posteriors[kind] = ClassPosterior(ASK_AGAIN)
            known.update(other_classes=self._count_other_classes(known))
        return known

    def learn(self, kind: ErrorKind, failed_arms: Iterable[str], arm: str, *, rescued: bool) -> None:
        """Take in one outcome on an image of this class on which ``tried`` had failed before."""
        before, posterior = tuple(failed_arms), self.posterior(kind)
        self._has_rescue = self._has_rescue or rescued
        self._failure_likelihood *= 1.0 - posterior.chance_curable(before) * posterior.mean(arm)
        posterior.learn(before, arm, rescued=rescued)
        self._update(kind)

    @property
    def chance_of_any_success(self) -> float:
        """The chance that anything helps at all: 1 from the first rescue on, small after many failures."""
        if self._has_rescue:
            return 1.0
        return (
            (1.0 - PRIOR_NOTHING_HELPS)
            * self._failure_likelihood
            / (PRIOR_NOTHING_HELPS + (1.0 - PRIOR_NOTHING_HELPS) * self._failure_likelihood)
        )

    def _update(self, kind: ErrorKind) -> None:
        posterior = self.posterior(kind)
        posterior.update(other_classes=self._count_other_classes(posterior))

    def _count_other_classes(self, posterior: ClassPosterior) -> tuple[float, float]:
        others = [one for one in self._posteriors.values() if one is not posterior]
        return sum(one.curable for one in others), sum(one.seen for one in others)

    def rows(self) -> Iterator[EditStatsRow]:
        """Yield all that is believed now."""
        for kind in sorted(self._posteriors):
            yield from self.rows_for(kind)

    def rows_for(self, kind: ErrorKind) -> Iterator[EditStatsRow]:
        """Yield what is believed of one class now: a row for each arm, one for the class."""
        posterior = self.posterior(kind)
        images = OutcomeCount(posterior.curable, posterior.seen - posterior.curable)
        for arm, count in sorted({**posterior.counts, WHOLE_CLASS: images}.items()):
            yield EditStatsRow(
                model=self.model,
                prompt_sha256=self.prompt_sha256,
                kind=kind,
                arm=arm,
                rescues=count.rescues,
                failures=count.failures,
            )
