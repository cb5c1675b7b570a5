"""Fault plan: which call meets which fault.

`FaultPlan` is frozen data and says what shall happen; `Chooser` walks through it and counts.
The order of precedence, first that applies: the script of the call's index, the script of the call's image,
the counted faults, the random ones, the rules about content.
"""

import random
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from tests.emulator.faults import Fault

Rule = Callable[[str, str], Fault | None]
"""(prompt, sha256 of the image) -> the fault it meets, or None; hidden from the client."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentRule:
    """A declarative `Rule`: the fault is met until the prompt pleases in every respect that is set."""

    fault: Fault
    images: Collection[str] = ()
    """sha256 (or a beginning of it) of the images concerned; empty = all."""
    share: float = 1.0
    """The part of the images concerned, 0..1, chosen by their hash."""
    max_words: int | None = None
    """Pleases with at most so many words."""
    needs: Collection[str] = ()
    """Pleases with at least one of these words in it (in any case)."""
    avoids: Collection[str] = ()
    """Pleases without any of these words."""

    def __call__(self, prompt: str, sha256: str) -> Fault | None:
        """Return the fault unless the image is not concerned or the prompt pleases."""
        if not self._concerns(sha256) or self._accepts(prompt.lower()):
            return None
        return self.fault

    def _concerns(self, sha256: str) -> bool:
        named = not self.images or any(sha256.startswith(image) for image in self.images)
        return named and int(sha256[-8:] or "0", 16) < self.share * 2**32

    def _accepts(self, prompt: str) -> bool:
        if self.max_words is None and not self.needs and not self.avoids:
            return False
        short = self.max_words is None or len(prompt.split()) <= self.max_words
        named = not self.needs or any(word.lower() in prompt for word in self.needs)
        return short and named and not any(word.lower() in prompt for word in self.avoids)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPlan:
    """What shall go wrong; everything that is not planned is answered."""

    per_image: Mapping[str, Sequence[Fault | None]] = field(default_factory=dict)
    """sha256 of the image as received -> what its successive calls meet (None = answered). A call
    after its end meets what the rest of the plan says."""
    per_call: Mapping[int, Fault] = field(default_factory=dict)
    """Index of the generateContent call, from 0, in order of arrival -> what it meets."""
    counted: Mapping[Fault, int] = field(default_factory=dict)
    """Faults met exactly so many times, as early as possible, at most one for each image."""
    rates: Mapping[Fault, float] = field(default_factory=dict)
    """Fault -> its share of the calls, 0..1; the sum is at most 1."""
    caps: Mapping[Fault, int] = field(default_factory=dict)
    """Fault -> how often it happens at most by its rate."""
    max_random_per_image: int | None = None
    """At most so many faults by rate for one image, so that a run with enough retries always ends well."""
    rules: Sequence[Rule] = ()
    """Asked in turn; the first fault counts."""
    seed: int = 0

    def chooser(self) -> "Chooser":
        """Return a fresh walk through this plan."""
        return Chooser(self)


class Chooser:
    """One walk through a plan; not shared between servers.

    Raises:
        ValueError: a rate is outside 0..1, or the rates add up to more than 1.

    """

    def __init__(self, plan: FaultPlan) -> None:
        if any(not 0 <= rate <= 1 for rate in plan.rates.values()) or sum(plan.rates.values()) > 1 + 1e-9:
            raise ValueError("the rates of a fault plan lie in 0..1 and add up to at most 1")
        self._plan = plan
        self._random = random.Random(plan.seed)
        self._calls_of_image: Counter[str] = Counter()
        self._counted_left = Counter(dict(plan.counted))
        self._counted_images: set[str] = set()
        self._by_rate: Counter[Fault] = Counter()
        self._random_of_image: Counter[str] = Counter()

    def choose(self, index: int, prompt: str, sha256: str) -> Fault | None:
        """Decide what the call with this index meets; each call is asked about once."""
        scripted = self._scripted(index, sha256)
        if scripted:
            return scripted[0]
        return (
            self._choose_by_count(sha256)
            or self._choose_at_random(sha256)
            or self._choose_by_content(prompt, sha256)
        )

    def _scripted(self, index: int, sha256: str) -> Sequence[Fault | None]:
        """Return the one verdict of a script, or nothing if no script applies."""
        if index in self._plan.per_call:
            return [self._plan.per_call[index]]
        script = self._plan.per_image.get(sha256, ())
        turn = self._calls_of_image[sha256]
        self._calls_of_image[sha256] += 1
        return script[turn : turn + 1]

    def _choose_by_count(self, sha256: str) -> Fault | None:
        left = sorted(fault for fault, times in self._counted_left.items() if times > 0)
        if not left or sha256 in self._counted_images:
            return None
        fault = self._random.choice(left)
        self._counted_left[fault] -= 1
        self._counted_images.add(sha256)
        return fault

    def _choose_at_random(self, sha256: str) -> Fault | None:
        # Drawn before the limits are looked at, so that a limit does not shift the draws after it.
        fault = self._draw()
        if fault is None or self._is_exhausted(fault, sha256):
            return None
        self._by_rate[fault] += 1
        self._random_of_image[sha256] += 1
        return fault

    def _draw(self) -> Fault | None:
        draw = self._random.random()
        for fault, rate in self._plan.rates.items():
            draw -= rate
            if draw < 0:
                return fault
        return None

    def _is_exhausted(self, fault: Fault, sha256: str) -> bool:
        limit = self._plan.max_random_per_image
        if limit is not None and self._random_of_image[sha256] >= limit:
            return True
        return self._by_rate[fault] >= self._plan.caps.get(fault, 2**63)

    def _choose_by_content(self, prompt: str, sha256: str) -> Fault | None:
        return next((fault for rule in self._plan.rules if (fault := rule(prompt, sha256))), None)
