"""Posteriors of all classes for one model and one base prompt, shared by all images of a run.

An image has only a few tries, so nothing can be learned from one image alone. A run starts with the rows that
the last one left, at half their weight. Storing the rows is up to the caller.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from errors import ErrorKind
from prompts.edits import ASK_AGAIN, LEAVE_OUT
from prompts.posterior import ClassPosterior, OutcomeCount
from prompts.records import EditStatsRow

PRIOR_NOTHING_HELPS = 0.1
"""Prior probability that nothing rescues any image of this run."""
SECOND_CALL_RATE = 0.07
"""Expected rate of plain second calls where repair works at all."""
PRIOR_CLASS_HOPELESS = 0.15
"""Prior probability that nothing rescues any image of one class."""
CARRIED_WEIGHT = 0.5
"""Factor on an outcome's weight in the next run, so that a hopeless edit is tried again in some run."""
WHOLE_CLASS = ""
"""The arm of the row that counts images: ``rescues`` the curable ones, ``failures`` the others."""


@dataclass(slots=True)
class EditStats:
    """Posteriors for one model and one base prompt."""

    model: str
    prompt_sha256: str
    clause_rows: tuple[EditStatsRow, ...] = ()
    """Rows of earlier runs about parts of the prompt; ``clause_edits`` reads them."""
    _posteriors: dict[ErrorKind, ClassPosterior] = field(default_factory=dict)
    _failure_likelihood: float = 1.0
    """Probability of all failures so far if repair works at all."""
    _class_likelihoods: dict[ErrorKind, float] = field(default_factory=dict)
    """The same for each class in which nothing was rescued yet; 1.0 from its first rescue on."""
    _has_rescue: bool = False
    _second_calls: int = 0
    """Plain second calls; 0 from the first one on that was answered."""
    _is_second_call_answered: bool = False

    @classmethod
    def from_rows(cls, model: str, prompt_sha256: str, rows: Iterable[EditStatsRow]) -> "EditStats":
        """Return the statistics in these rows; rows of other prompts or models are left out."""
        own = [row for row in rows if (row.model, row.prompt_sha256) == (model, prompt_sha256)]
        stats = cls(model, prompt_sha256, tuple(row for row in own if " " in row.arm))
        by_kind: dict[ErrorKind, dict[str, OutcomeCount]] = {}
        for row in own:
            if " " not in row.arm:
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
        failure = 1.0 - posterior.chance_curable(before) * posterior.mean(arm)
        self._failure_likelihood *= failure if arm != LEAVE_OUT else 1.0
        if rescued or posterior.has_rescue:
            self._class_likelihoods[kind] = 1.0
        else:
            self._class_likelihoods[kind] = self._class_likelihoods.get(kind, 1.0) * (
                failure if arm != LEAVE_OUT else 1.0
            )
        posterior.learn(before, arm, rescued=rescued)
        self._update(kind)

    @property
    def chance_of_any_success(self) -> float:
        """Probability that repair works at all: 1 from the first rescue on, small after many failures."""
        if self._has_rescue:
            return 1.0
        silence = (1.0 - SECOND_CALL_RATE) ** self._second_calls
        return _update(PRIOR_NOTHING_HELPS, silence * self._failure_likelihood)

    def add_second_call(self, *, rescued: bool) -> None:
        """Record a plain second call: a run in which none is answered is more likely hopeless."""
        self._is_second_call_answered = self._is_second_call_answered or rescued
        self._second_calls = 0 if self._is_second_call_answered else self._second_calls + 1

    def chance_of_success(self, kind: ErrorKind) -> float:
        """Return the probability that repair works for a class: small after many failures and no rescue."""
        likelihood = self._class_likelihoods.get(kind, 1.0)
        works = 1.0 if likelihood == 1.0 else _update(PRIOR_CLASS_HOPELESS, likelihood)
        return self.chance_of_any_success * works

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


def _update(prior_hopeless: float, likelihood: float) -> float:
    """Return the probability that repair works, after failures that it would have with this likelihood."""
    works = (1.0 - prior_hopeless) * likelihood
    return works / (prior_hopeless + works)
