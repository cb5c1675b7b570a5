"""Posterior over the words of a prompt that are to blame for the failures of one class.

A hypothesis says which parts must be left out before an image is answered: one part, two, or "no words". Each
image of the class has one; their shares are learned from all images by expectation-maximisation, with a prior
that expects few guilty parts. So what answers without many parts narrows the blame (group testing), and the
next set of parts is the smallest that holds most of it. See docs/adr/0011 and
https://en.wikipedia.org/wiki/Group_testing.
"""

import random
from collections.abc import Iterable, Mapping
from itertools import combinations

CURE_RATE = 0.93
"""Probability of an answer once all guilty words are left out."""
CHANCE_RATE = 0.03
"""Probability of an answer otherwise."""
SINGLES_WEIGHT = 0.8
"""Prior weight, in images, of one guilty part in all."""
PAIRS_WEIGHT = 0.15
NOTHING_WEIGHT = 1.0
"""Prior weight, in images, of "no words are to blame"."""
TASK_WEIGHT = 0.05
"""Prior weight, in images, of the task itself."""
LISTED_FACTOR = 12.0
"""Factor on the prior weight of a part that holds a word of the class's list."""
MAX_PARTS_IN_PAIRS = 32
"""Parts among which pairs are thought of; more would take too long."""
COVERED = {1: 0.9, 2: 0.75}
"""Share of the blame that the next set of parts holds, by the tries that an image has left."""
COVERED_EARLY = 0.45
WHOLE_TRIES = 2
"""Images of a class on which all parts are left out first: they tell whether words matter at all."""
EXPLORED = 0.25
"""Probability that the only try of an image goes to a smaller set, so that other images gain from it."""
SHARE_WHERE_WORDS_MATTER = 0.6
"""Share of a class's images for which words are to blame, where they are for any."""
_REFRESH_FACTOR = 1.25
_NEGLIGIBLE = 0.02
"""Share of the largest share below which a hypothesis is not drawn."""

Masks = tuple[int, ...]


class ClausePosterior:
    """Posterior of one class.

    Args:
        parts: for each part the mask of the bits that go with it, itself among them, in the order of bits.
        listed: numbers of parts, from 0, that hold a word of the class's list.
    """

    def __init__(self, parts: Iterable[int], *, listed: Iterable[int] = ()) -> None:
        self._closures = tuple(parts)
        self._task = 1 << len(self._closures)
        """The bit of the task, which only other edits shorten; it may be to blame as well."""
        suspicious = set(listed)
        weights = [LISTED_FACTOR if at in suspicious else 1.0 for at in range(len(self._closures))]
        self._hypotheses = [1 << at for at in range(len(weights))]
        prior = _scale(weights, SINGLES_WEIGHT)
        likely = sorted(range(len(weights)), key=lambda at: -weights[at])[:MAX_PARTS_IN_PAIRS]
        pairs = list(combinations(sorted(likely), 2))
        self._hypotheses += [1 << one | 1 << other for one, other in pairs]
        prior += _scale([weights[one] * weights[other] for one, other in pairs], PAIRS_WEIGHT)
        # The last hypothesis is "no words", the one before it the words of the task.
        self._hypotheses.append(self._task)
        self._prior = [*prior, TASK_WEIGHT, NOTHING_WEIGHT]
        self._found = [0.0] * len(self._prior)
        self._carried = [0.0] * len(self._prior)
        self._images: dict[tuple[Masks, int], float] = {}
        """Images by the sets on which they failed, and the set that rescued them (0: none did)."""
        self._cached: dict[tuple[Masks, int], list[float]] = {}
        """What each kind of image says about the hypotheses, as of the last refresh."""
        self._now: dict[Masks, list[float]] = {}
        self._hits: dict[int, list[bool]] = {}
        self.has_rescue = False
        self._silence = _scale(self._prior[:-2], 1.0)
        """For each hypothesis its prior, times the probability of all failures if it held for many images."""
        self._whole_tries = 0
        self._outcomes = 0
        self._refresh_at = 1.0

    def __len__(self) -> int:
        """Return the number of parts."""
        return len(self._closures)

    def restore(self, found: Mapping[int, float], *, nothing: float) -> None:
        """Start with the images of earlier runs: for each part, from 0, and those that no words cured."""
        for at, images in found.items():
            self._carried[at] += images
        self._carried[-1] += nothing
        self.has_rescue = sum(found.values()) >= 1.0
        self._refresh()

    def learn(self, failed: Iterable[int], mask: int, *, rescued: bool) -> None:
        """Record what came of leaving out ``mask`` on an image that had failed without ``failed``."""
        before = tuple(sorted(failed))
        self._now.clear()
        self.has_rescue = self.has_rescue or rescued
        if not self.has_rescue:
            # All images may have the same guilty words: one set that fails on many says little of others.
            factor = 1.0 - SHARE_WHERE_WORDS_MATTER / (1.0 + len(before))
            self._silence = [
                one * factor if hit else one for one, hit in zip(self._silence, self._hit(mask), strict=False)
            ]
        if self._images.get((before, 0), 0.0) >= 1.0:
            self._count((before, 0), -1.0)
        self._count((before, mask) if rescued else (tuple(sorted((*before, mask))), 0), 1.0)
        self._outcomes += 1
        if self._outcomes >= self._refresh_at:
            self._refresh()
            self._refresh_at = max(self._outcomes + 2.0, self._outcomes * _REFRESH_FACTOR)

    def _count(self, image: tuple[Masks, int], by: float) -> None:
        if image not in self._cached:
            self._cached[image] = self._explain(*image)
        self._images[image] = max(0.0, self._images.get(image, 0.0) + by)
        self._found = [one + by * share for one, share in zip(self._found, self._cached[image], strict=True)]

    def _refresh(self) -> None:
        """Explain all images anew with what is known by now."""
        for _ in range(2):
            self._images = {image: number for image, number in self._images.items() if number > 0.0}
            self._cached = {image: self._explain(*image) for image in self._images}
            found = list(self._carried)
            for image, number in self._images.items():
                for at, share in enumerate(self._cached[image]):
                    found[at] += number * share
            self._found = found

    def _explain(self, failed: Masks, rescuer: int) -> list[float]:
        """Return how probable each hypothesis is for an image with these outcomes."""
        shares = [prior + max(0.0, found) for prior, found in zip(self._prior, self._found, strict=True)]
        for mask in failed:
            shares = [
                share * ((1.0 - CURE_RATE) if hit else (1.0 - CHANCE_RATE))
                for share, hit in zip(shares, self._hit(mask), strict=True)
            ]
        if rescuer:
            shares = [
                share * (CURE_RATE if hit else CHANCE_RATE)
                for share, hit in zip(shares, self._hit(rescuer), strict=True)
            ]
        total = sum(shares)
        return [share / total for share in shares]

    def _explain_now(self, failed: Masks) -> list[float]:
        """Return what is known of an image that failed so, computed once between two outcomes."""
        if failed not in self._now:
            self._now[failed] = self._explain(failed, 0)
        return self._now[failed]

    def _hit(self, mask: int) -> list[bool]:
        """Return for each hypothesis whether all its parts are in the mask."""
        known = self._hits.get(mask)
        if known is None:
            known = self._hits[mask] = [not one & ~mask for one in self._hypotheses] + [False]
        return known

    @property
    def failure_likelihood(self) -> float:
        """Probability of all failures so far if words are to blame for many images."""
        return sum(self._silence) if self._silence else 1.0

    def chance_words_matter(self, prior: float) -> float:
        """Return the probability that words are to blame for any image: 1 from the first rescue on."""
        if self.has_rescue:
            return 1.0
        return prior * self.failure_likelihood / (1.0 - prior + prior * self.failure_likelihood)

    def choose(
        self, failed: Iterable[int], *, always: int, tries_left: int, rng: random.Random
    ) -> tuple[int, float, float]:
        """Return the next set of parts, its chance, and the chance of leaving out all of them.

        Args:
            failed: the sets on which the image failed.
            always: parts that are left out in any case.
            tries_left: sets that may still be tried on the image, this one among them.
            rng: the source of draws.
        """
        failed = tuple(sorted(failed))
        shares = self._explain_now(failed)[:-2]
        blame = sum(shares)
        is_exploring = tries_left == 1 and not failed and rng.random() < EXPLORED
        wanted = (COVERED_EARLY if is_exploring else COVERED.get(tries_left, COVERED_EARLY)) * blame
        if not self.has_rescue and self._whole_tries < WHOLE_TRIES:
            self._whole_tries += 1
            return self._task - 1, CURE_RATE * blame, CURE_RATE * blame
        drawn = self._draw(shares, rng)
        mask = self._close(always)
        covered, added = 0.0, list[int]()
        for at in sorted(range(len(shares)), key=lambda one: -drawn[one]):
            if covered >= wanted and mask:
                break
            if self._hypotheses[at] & ~mask:
                mask = self._close(mask | self._hypotheses[at])
                added.append(self._hypotheses[at])
                covered = sum(share for share, hit in zip(shares, self._hit(mask), strict=False) if hit)
        if len(added) > 1 and tries_left > 1 and self.has_rescue and rng.random() < EXPLORED:
            # Parts that always go together are never told apart: one of them alone does that.
            mask = self._close(always | rng.choice(added))
            covered = sum(share for share, hit in zip(shares, self._hit(mask), strict=False) if hit)
        return mask, CURE_RATE * covered, CURE_RATE * blame

    def _draw(self, shares: list[float], rng: random.Random) -> list[float]:
        """Return the shares as drawn: what few images said is drawn far from its mean."""
        least = _NEGLIGIBLE * max(shares, default=0.0)
        drawn = []
        for share, found in zip(shares, self._found, strict=False):
            if share >= least:
                shape = min(50.0, 1.0 + max(0.0, found))
                share *= rng.gammavariate(shape, 1.0) / shape  # noqa: PLW2901 - the same quantity
            drawn.append(share)
        return drawn

    def _close(self, mask: int) -> int:
        closed = mask
        for at, closure in enumerate(self._closures):
            if mask >> at & 1:
                closed |= closure
        return closed

    def blame(self) -> list[float]:
        """Return for each part, from 0, how many images it explains; a pair counts for both."""
        images = [0.0] * len(self._closures)
        for hypothesis, found in zip(self._hypotheses, self._found, strict=False):
            for at in range(len(images)):
                images[at] += max(0.0, found) * (hypothesis >> at & 1)
        return images

    @property
    def unexplained(self) -> float:
        """Images for which no words are to blame."""
        return max(0.0, self._found[-1])


def _scale(weights: list[float], total: float) -> list[float]:
    whole = sum(weights)
    return [total * weight / whole for weight in weights] if whole else []
