"""Posteriors of all classes for one model and one base prompt, shared by all images of a run.

An image has only a few tries, so nothing can be learned from one image alone. A run starts with the rows that
the last one left, at half their weight. Storing the rows is up to the caller.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from errors import ErrorKind
from prompts.edits import ASK_AGAIN
from prompts.posterior import ClassPosterior, OutcomeCount
from prompts.records import EditStatsRow

PRIOR_NOTHING_HELPS = 0.05
"""Prior probability that nothing rescues any image of this run."""
CARRIED_WEIGHT = 0.5
"""Factor on an outcome's weight in the next run, so that a hopeless edit is tried again in some run."""
WHOLE_CLASS = ""
"""The arm of the row that counts images: ``rescues`` the curable ones, ``failures`` the others."""


@dataclass(slots=True)
class EditStats:
    """Posteriors for one model and one base prompt."""

    model: str
    prompt_sha256: str
    _posteriors: dict[ErrorKind, ClassPosterior] = field(default_factory=dict)
    _failure_likelihood: float = 1.0
    """Probability of all failures so far if repair works at all."""
    _has_rescue: bool = False

    @classmethod
    def from_rows(cls, model: str, prompt_sha256: str, rows: Iterable[EditStatsRow]) -> "EditStats":
        """Return the statistics in these rows; rows of other prompts or models are left out."""
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
        """Return the posterior of a class."""
        known = self._posteriors.get(kind)
        if known is None:
            known = self._posteriors[kind] = ClassPosterior(ASK_AGAIN)
            known.update(other_classes=self._count_other_classes(known))
        return known

    def learn(self, kind: ErrorKind, failed_arms: Iterable[str], arm: str, *, rescued: bool) -> None:
        """Record one outcome on an image of this class on which ``failed_arms`` had failed before."""
        before, posterior = tuple(failed_arms), self.posterior(kind)
        self._has_rescue = self._has_rescue or rescued
        self._failure_likelihood *= 1.0 - posterior.chance_curable(before) * posterior.mean(arm)
        posterior.learn(before, arm, rescued=rescued)
        self._update(kind)

    @property
    def chance_of_any_success(self) -> float:
        """Probability that repair works at all: 1 from the first rescue on, small after many failures."""
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
        """Yield the rows of all classes."""
        for kind in sorted(self._posteriors):
            yield from self.rows_for(kind)

    def rows_for(self, kind: ErrorKind) -> Iterator[EditStatsRow]:
        """Yield the rows of one class: one for each arm, one for the class as a whole."""
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
