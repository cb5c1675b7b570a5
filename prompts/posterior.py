"""How likely does one more try rescue an image of this class, given all that was seen of the class?

The naive answer counts tries and rescues of each edit. It is wrong twice. Some images nothing can rescue:
they pass through every edit, and an edit that is mostly tried late, on images that others have failed
on, looks worse than it is. And an edit that was never tried has no rate at all.

Each class holds two unknowns: the share of images that can be cured at all, and for each edit its rate
among those. A rescue proves that its image was curable, so the edits that failed on it before failed
fully. The failures of an image that was never rescued count as much as the image was probably curable
(one step of expectation-maximisation for each outcome). So rates are Beta posteriors over weighted counts.

Most edits do little and a few do much, so the prior of a rate has two parts, weak and good; how many are
good is learned for the class. That is why one failure tells little about the next edit, and twenty tell
a lot about all of them. This file knows neither prompts nor rules of when to stop.
"""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from math import exp, lgamma

FailedArms = tuple[str, ...]
"""The arms that failed on one image, in alphabetical order; an arm may stand in it more than once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beta:
    """The prior of a rate."""

    a: float
    b: float

    def mean(self, rescues: float, failures: float) -> float:
        """Return the mean after so many outcomes."""
        return (self.a + rescues) / (self.a + self.b + rescues + failures)

    def draw(self, rescues: float, failures: float, rng: random.Random) -> float:
        """Return a rate drawn from what is known after so many outcomes."""
        return rng.betavariate(self.a + rescues, self.b + failures)


WEAK = Beta(a=1.0, b=9.0)
GOOD = Beta(a=3.0, b=2.0)
PLAIN = Beta(a=1.0, b=7.0)
"""Of asking again with the same words: field-notes.md, section 2.4, has 5 to 25 %."""
GOOD_SHARE = Beta(a=1.0, b=4.0)
CURABLE_MEAN = 0.6
CURABLE_WEIGHT = 10.0
"""How many images' worth the other classes tell about the curable share of this one."""
FORGETTING_FACTOR = 0.999
"""What is left of an outcome's weight at the next one of its class, since services change: the weight is
halved after some 700 outcomes."""
DRAW_SPREAD = 0.6
"""How far a draw lies from the mean, as a share of how far it would: fewer tries of what is only
uncertain, since an image has several tries anyway."""
_NEGLIGIBLE = 0.01
_FULL_WEIGHT_AFTER = 4.0
"""Weighted tries after which an edit counts fully for the share of good ones."""


@dataclass(slots=True)
class OutcomeCount:
    """Weighted outcomes of one arm among curable images."""

    rescues: float = 0.0
    failures: float = 0.0


@dataclass(slots=True)
class ClassPosterior:
    """What is known of one class; ``plain`` names the arm that leaves the words as they are."""

    plain_arm: str
    counts: dict[str, OutcomeCount] = field(default_factory=dict)
    """What is believed now."""
    curable: float = 0.0
    """Images that were probably curable, among those ``seen``."""
    seen: float = 0.0
    curable_share: float = CURABLE_MEAN
    good_share: float = GOOD_SHARE.a / (GOOD_SHARE.a + GOOD_SHARE.b)
    _curable_counts: dict[str, OutcomeCount] = field(default_factory=dict)
    """Outcomes on images known to be curable, and those of earlier runs."""
    _curable_images: float = 0.0
    _earlier_incurable: float = 0.0
    """Images of earlier runs that were not curable."""
    _chances_good: dict[str, float] = field(default_factory=dict)
    """For each arm the chance that it is a good one; worked out when asked for."""
    _mean_cache: dict[str, float] = field(default_factory=dict)
    """For each arm its expected rate; worked out when asked for."""
    _unrescued: dict[FailedArms, float] = field(default_factory=dict)
    """How many images failed on exactly these arms and were not rescued, or not yet."""

    def restore(self, carried_counts: Mapping[str, OutcomeCount], *, curable: float, seen: float) -> None:
        """Begin with what an earlier run believed."""
        self._curable_counts = {
            arm: OutcomeCount(one.rescues, one.failures) for arm, one in carried_counts.items()
        }
        self._curable_images, self._earlier_incurable = curable, max(0.0, seen - curable)

    def learn(self, failed_arms: Iterable[str], arm: str, *, rescued: bool) -> None:
        """Take in one outcome on an image on which the arms in ``tried`` had failed before."""
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
        """Bring the beliefs up to date; ``elsewhere`` are curable and seen images of the other classes."""
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
        """Return the chance that an edit with these outcomes is a good one."""
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
        """Return a rate drawn from what is known of an arm (Thompson sampling), nearer to the mean."""
        count, mean = self.counts.get(arm, _NO_OUTCOMES), self.mean(arm)
        prior = PLAIN if arm == self.plain_arm else self._draw_prior(arm, rng)
        return mean + DRAW_SPREAD * (prior.draw(count.rescues, count.failures, rng) - mean)

    def _draw_prior(self, arm: str, rng: random.Random) -> Beta:
        return GOOD if rng.random() < self._chance_good(arm) else WEAK

    def chance_curable(self, failed_arms: Iterable[str]) -> float:
        """Return the chance that an image on which these arms failed can be cured at all."""
        withstood = 1.0
        for arm in failed_arms:
            withstood *= 1.0 - self.mean(arm)
        return _update_curable(self.curable_share, withstood)


_NO_OUTCOMES = OutcomeCount()


def _update_curable(share: float, withstood: float) -> float:
    """Return the chance to be curable after failures that a curable image has with this chance."""
    return share * withstood / (1.0 - share + share * withstood)


def _good_odds(rescues: float, failures: float) -> float:
    """Return how much likelier these outcomes are for a good arm than for a weak one.

    Rounded to a tenth of an outcome: finer is not worth its time.
    """
    return _cached_good_odds(round(rescues, 1), round(failures, 1))


@lru_cache(maxsize=65_536)
def _cached_good_odds(rescues: float, failures: float) -> float:
    good = _log_beta(GOOD.a + rescues, GOOD.b + failures) - _log_beta(GOOD.a, GOOD.b)
    weak = _log_beta(WEAK.a + rescues, WEAK.b + failures) - _log_beta(WEAK.a, WEAK.b)
    return exp(max(-50.0, min(50.0, good - weak)))


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)
