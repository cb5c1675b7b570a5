"""Beta posteriors of one class: the share of curable images, and each arm's success rate among those.

A rescue proves that its image was curable, so each earlier failure on it counts fully. Failures of an image
that was never rescued count by its probability of being curable: one step of expectation-maximisation per
outcome. The prior of a rate mixes weak and good edits; the share of good ones is learned for the class.
See docs/adr/0011, https://en.wikipedia.org/wiki/Expectation-maximization_algorithm.
"""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from math import exp, lgamma

FailedArms = tuple[str, ...]
"""The arms that failed on one image, in alphabetical order; an arm may occur more than once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beta:
    """Beta distribution as the prior of a rate."""

    a: float
    b: float

    def mean(self, rescues: float, failures: float) -> float:
        """Return the posterior mean after these outcomes."""
        return (self.a + rescues) / (self.a + self.b + rescues + failures)

    def draw(self, rescues: float, failures: float, rng: random.Random) -> float:
        """Return a rate drawn from the posterior after these outcomes."""
        return rng.betavariate(self.a + rescues, self.b + failures)


WEAK = Beta(a=1.0, b=9.0)
GOOD = Beta(a=3.0, b=2.0)
PLAIN = Beta(a=1.0, b=7.0)
"""Of asking again: docs/prompt-repair-evidence.md, section 3.1 (simulated), has 5 to 25 %."""
GOOD_SHARE = Beta(a=1.0, b=4.0)
CURABLE_MEAN = 0.6
CURABLE_WEIGHT = 10.0
"""Weight, in images, of the other classes in the curable share of this one."""
FORGETTING_FACTOR = 0.999
"""Factor on the weight of earlier outcomes at each new one of the class, since services change; half the
weight is left after about 700 outcomes."""
DRAW_SPREAD = 0.6
"""Factor on the distance of a draw from the mean: an image has several tries, so it needs less exploration
than plain Thompson sampling."""
_NEGLIGIBLE = 0.01
_FULL_WEIGHT_AFTER = 4.0
"""Weighted tries after which an edit counts fully in the share of good edits."""


@dataclass(slots=True)
class OutcomeCount:
    """Weighted outcomes of one arm among curable images."""

    rescues: float = 0.0
    failures: float = 0.0


@dataclass(slots=True)
class ClassPosterior:
    """Posterior of one class; ``plain_arm`` names the arm that leaves the prompt unchanged."""

    plain_arm: str
    counts: dict[str, OutcomeCount] = field(default_factory=dict)
    """Weighted outcomes by arm, as of the last ``update``."""
    curable: float = 0.0
    """Expected number of curable images among those ``seen``."""
    seen: float = 0.0
    curable_share: float = CURABLE_MEAN
    good_share: float = GOOD_SHARE.a / (GOOD_SHARE.a + GOOD_SHARE.b)
    _curable_counts: dict[str, OutcomeCount] = field(default_factory=dict)
    """Outcomes on images known to be curable, and those of earlier runs."""
    _curable_images: float = 0.0
    _earlier_incurable: float = 0.0
    """Images of earlier runs that were not curable."""
    _chances_good: dict[str, float] = field(default_factory=dict)
    """Cache: for each arm the probability that it is a good one."""
    _mean_cache: dict[str, float] = field(default_factory=dict)
    """Cache: for each arm its expected rate."""
    _unrescued: dict[FailedArms, float] = field(default_factory=dict)
    """Number of images that failed on exactly these arms and are not rescued (yet)."""

    def restore(self, carried_counts: Mapping[str, OutcomeCount], *, curable: float, seen: float) -> None:
        """Start with the weighted counts of earlier runs."""
        self._curable_counts = {
            arm: OutcomeCount(one.rescues, one.failures) for arm, one in carried_counts.items()
        }
        self._curable_images, self._earlier_incurable = curable, max(0.0, seen - curable)

    @property
    def has_rescue(self) -> bool:
        """Whether an image of the class was rescued, in this run or an earlier one."""
        return self._curable_images > 0.0

    def learn(self, failed_arms: Iterable[str], arm: str, *, rescued: bool) -> None:
        """Record one outcome on an image on which ``failed_arms`` had failed before."""
        self._forget()
        before = tuple(sorted(failed_arms))
        if before:
            self._unrescued[before] = max(0.0, self._unrescued.get(before, 0.0) - 1.0)
        if rescued:
            self._curable_images += 1.0
            self._curable_counts.setdefault(arm, OutcomeCount()).rescues += 1.0
            for one in before:
                self._curable_counts.setdefault(one, OutcomeCount()).failures += 1.0
        else:
            after = tuple(sorted((*before, arm)))
            self._unrescued[after] = self._unrescued.get(after, 0.0) + 1.0

    def _forget(self) -> None:
        self._unrescued = {
            tried: n * FORGETTING_FACTOR for tried, n in self._unrescued.items() if n > _NEGLIGIBLE
        }
        for count in self._curable_counts.values():
            count.rescues *= FORGETTING_FACTOR
            count.failures *= FORGETTING_FACTOR
        self._curable_images *= FORGETTING_FACTOR
        self._earlier_incurable *= FORGETTING_FACTOR

    def update(self, *, other_classes: tuple[float, float]) -> None:
        """Update all rates; ``other_classes`` are the curable and the seen images of the other classes."""
        counts = {arm: OutcomeCount(one.rescues, one.failures) for arm, one in self._curable_counts.items()}
        means = {arm: self.mean(arm) for arm in set[str]().union(*self._unrescued)}
        curable, seen = self._curable_images, self._curable_images + self._earlier_incurable
        for tried, images in self._unrescued.items():
            withstood = 1.0
            for arm in tried:
                withstood *= 1.0 - means[arm]
            weight = images * _update_curable(self.curable_share, withstood)
            curable, seen = curable + weight, seen + images
            for arm in tried:
                counts.setdefault(arm, OutcomeCount()).failures += weight
        self.counts, self.curable, self.seen = counts, curable, seen
        self._chances_good.clear()
        self._mean_cache.clear()
        prior_share = (CURABLE_MEAN * 5.0 + other_classes[0]) / (5.0 + other_classes[1])
        self.curable_share = (CURABLE_WEIGHT * prior_share + curable) / (CURABLE_WEIGHT + seen)
        self.good_share = self._estimate_good_share()
        self._chances_good.clear()

    def _estimate_good_share(self) -> float:
        good = weight = 0.0
        for arm, count in self.counts.items():
            if arm != self.plain_arm:
                known = min(1.0, (count.rescues + count.failures) / _FULL_WEIGHT_AFTER)
                weight += known
                good += known * self._chance_good(arm)
        return GOOD_SHARE.mean(good, weight - good)

    def _chance_good(self, arm: str) -> float:
        """Return the probability that this edit is a good one, given its outcomes."""
        known = self._chances_good.get(arm)
        if known is None:
            count = self.counts.get(arm, _NO_OUTCOMES)
            odds = self.good_share / (1.0 - self.good_share) * _good_odds(count.rescues, count.failures)
            known = self._chances_good[arm] = odds / (1.0 + odds)
        return known

    def mean(self, arm: str) -> float:
        """Return the expected rate of an arm on a curable image."""
        known = self._mean_cache.get(arm)
        if known is None:
            known = self._mean_cache[arm] = self._mean(arm, self.counts.get(arm, _NO_OUTCOMES))
        return known

    def _mean(self, arm: str, count: OutcomeCount) -> float:
        if arm == self.plain_arm:
            return PLAIN.mean(count.rescues, count.failures)
        good, weak = (prior.mean(count.rescues, count.failures) for prior in (GOOD, WEAK))
        return weak + self._chance_good(arm) * (good - weak)

    def draw(self, arm: str, rng: random.Random) -> float:
        """Return a rate drawn from the arm's posterior, moved towards the mean (``DRAW_SPREAD``)."""
        count, mean = self.counts.get(arm, _NO_OUTCOMES), self.mean(arm)
        prior = PLAIN if arm == self.plain_arm else self._draw_prior(arm, rng)
        return mean + DRAW_SPREAD * (prior.draw(count.rescues, count.failures, rng) - mean)

    def _draw_prior(self, arm: str, rng: random.Random) -> Beta:
        return GOOD if rng.random() < self._chance_good(arm) else WEAK

    def chance_curable(self, failed_arms: Iterable[str]) -> float:
        """Return the probability that an image on which these arms failed is curable."""
        withstood = 1.0
        for arm in failed_arms:
            withstood *= 1.0 - self.mean(arm)
        return _update_curable(self.curable_share, withstood)


_NO_OUTCOMES = OutcomeCount()


def _update_curable(share: float, withstood: float) -> float:
    """Return the probability of being curable after failures; a curable image has them with ``withstood``."""
    return share * withstood / (1.0 - share + share * withstood)


def _good_odds(rescues: float, failures: float) -> float:
    """Return the likelihood ratio of these outcomes for a good arm over a weak one.

    Counts are rounded to a tenth of an outcome, so that the cache is hit.
    """
    return _cached_good_odds(round(rescues, 1), round(failures, 1))


@lru_cache(maxsize=65_536)
def _cached_good_odds(rescues: float, failures: float) -> float:
    good = _log_beta(GOOD.a + rescues, GOOD.b + failures) - _log_beta(GOOD.a, GOOD.b)
    weak = _log_beta(WEAK.a + rescues, WEAK.b + failures) - _log_beta(WEAK.a, WEAK.b)
    return exp(max(-50.0, min(50.0, good - weak)))


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)
