"""Edits that leave out parts of the prompt, or soften them, and what they taught about each class.

The user's task always stays (``clauses``). A part with a word that is often to blame for a class is only the
first guess; what counts is which images are answered without it (``clause_posterior``).
"""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from errors import ErrorKind
from prompts.clause_posterior import ClausePosterior
from prompts.clauses import PromptParts
from prompts.edits import LEAVE_OUT
from prompts.records import EditStatsRow
from prompts.word_lists import WordList

SOFTEN = "softer"
SOFTEN_FROM = 0.6
"""Chance of a rescue from which a part is softened in place of being left out: its guilt is known."""
CARRIED_WEIGHT = 0.5
"""Factor on an image's weight in the next run."""
_PREFIX = f"{LEAVE_OUT} "


@dataclass(frozen=True, slots=True, kw_only=True)
class ClauseChoice:
    """The next parts to leave out for an image."""

    arm: str
    """The name in the record, such as ``without:3+7``."""
    chance: float
    """Probability that the image is answered."""
    chance_of_all: float
    """The same if all parts were left out: what further tries can reach."""


class ClauseEdits:
    """Parts of one prompt, and the posterior of each class over them.

    Args:
        parts: the parts that can be left out.
        word_lists: words that are often to blame.
        rows: what earlier runs learned.
    """

    def __init__(
        self, parts: PromptParts, *, word_lists: Sequence[WordList] = (), rows: Iterable[EditStatsRow] = ()
    ) -> None:
        self.parts = parts
        self._word_lists = word_lists
        self._posteriors: dict[ErrorKind, ClausePosterior] = {}
        self._softened: dict[ErrorKind, list[int]] = {}
        """For each class the images that softer words rescued, and those they did not."""
        self._shortening: dict[str, int] = {}
        """For each other edit the parts that its prompt does not say, where there are any."""
        self._outcomes: dict[tuple[ErrorKind, int], list[int]] = {}
        """For each class and set of parts the images asked without it, and those answered."""
        self._rows = [row for row in rows if row.arm.startswith(_PREFIX)]

    def __len__(self) -> int:
        """Return the number of parts."""
        return len(self.parts)

    def add_shortening(self, name: str, text: str) -> None:
        """Record the prompt of another edit: what is answered with it tells of the parts it does not say."""
        if mask := self.parts.missing_in(text):
            self._shortening[name] = mask

    def share_left_out(self, arm: str) -> float:
        """Return which share of the prompt's words an edit leaves out, 0 to 1."""
        return self.parts.share_of_words(self.mask_of(arm))

    def posterior(self, kind: ErrorKind) -> ClausePosterior:
        """Return the posterior of a class."""
        known = self._posteriors.get(kind)
        if known is None:
            listed = [part.number - 1 for part in self.parts.parts if self._is_listed(kind, part.words)]
            known = ClausePosterior((part.mask for part in self.parts.parts), listed=listed)
            self._posteriors[kind] = known
            self._restore(kind, known)
        return known

    def _is_listed(self, kind: ErrorKind, words: str) -> bool:
        return any(kind in one.serves and one.find_in(words) for one in self._word_lists)

    def _softer(self, kind: ErrorKind) -> dict[int, str]:
        """Return for each part that is one listed word or phrase what may stand in its place."""
        found = {}
        for part in self.parts.parts:
            for one in self._word_lists:
                text = one.softer.get(" ".join(part.words.lower().split()))
                if text and kind in one.serves:
                    found[part.number] = text
        return found

    def choose(
        self,
        kind: ErrorKind,
        failed: Sequence[str],
        *,
        tried: Sequence[str],
        always: int,
        tries_left: int,
        rng: random.Random,
    ) -> ClauseChoice | None:
        """Return the next parts to leave out; None if there is nothing new to try.

        Args:
            kind: the class of the failure.
            failed: arms after which the image failed in this class.
            tried: all arms tried on the image.
            always: parts without which it failed in another class.
            tries_left: edits that the image may still get.
            rng: the source of draws.
        """
        if not self.parts or tries_left < 1:
            return None
        masks = [mask for arm in failed if (mask := self.mask_of(arm)) and not arm.startswith(SOFTEN)]
        mask, chance, chance_of_all = self.posterior(kind).choose(
            masks, always=always, tries_left=tries_left, rng=rng
        )
        arm = self._name(kind, mask, chance)
        if arm in tried:
            arm = f"{LEAVE_OUT}:{self._numbers(mask)}"
        if not mask or arm in tried:
            return None
        works = self._chance_words_matter(kind)
        return ClauseChoice(arm=arm, chance=works * chance, chance_of_all=works * chance_of_all)

    def _chance_words_matter(self, kind: ErrorKind) -> float:
        """Return the probability that words are to blame for any image of a class."""
        others = [one for other, one in self._posteriors.items() if other is not kind]
        good = sum(one.has_rescue for one in others)
        bad = sum(1.0 - one.failure_likelihood for one in others if not one.has_rescue)
        prior = (1.0 + good) / (2.0 + good + bad)
        return self.posterior(kind).chance_words_matter(prior)

    def _name(self, kind: ErrorKind, mask: int, chance: float) -> str:
        numbers = self._numbers(mask)
        rescued, failed = self._softened.get(kind, [0, 0])
        softer = self._softer(kind) if chance >= SOFTEN_FROM and failed <= 2 + 2 * rescued else {}
        softens = any(int(number) in softer for number in numbers.split("+"))
        return f"{SOFTEN if softens else LEAVE_OUT}:{numbers}"

    def _numbers(self, mask: int) -> str:
        """Return the numbers of the parts in a mask that lie in no other part of it."""
        numbers = []
        inside = 0
        for part in sorted(self.parts.parts, key=lambda one: -one.mask.bit_count()):
            bit = 1 << (part.number - 1)
            if mask & bit and not inside & bit:
                numbers.append(part.number)
                inside |= part.mask
        return "+".join(map(str, sorted(numbers)))

    @staticmethod
    def is_clause_edit(arm: str) -> bool:
        """Return whether an arm leaves out or softens parts of the prompt."""
        return arm.startswith((f"{LEAVE_OUT}:", f"{SOFTEN}:"))

    def mask_of(self, arm: str) -> int:
        """Return the parts that an arm leaves out or softens; 0 for other arms."""
        if arm in self._shortening:
            return self._shortening[arm]
        return sum({1 << (number - 1) for number in self._all_numbers(arm)})

    def _all_numbers(self, arm: str) -> set[int]:
        if not self.is_clause_edit(arm):
            return set()
        masks = [self.parts.by_number[int(one)].mask for one in arm.partition(":")[2].split("+")]
        return {
            part.number for part in self.parts.parts if any(mask >> (part.number - 1) & 1 for mask in masks)
        }

    def edited_prompt(self, arm: str, kind: ErrorKind) -> str:
        """Return the prompt of an arm."""
        softer = self._softer(kind) if arm.startswith(SOFTEN) else None
        return self.parts.without(self.mask_of(arm), softer=softer)

    def words_of(self, arm: str) -> tuple[str, ...]:
        """Return the words of each part that an arm leaves out or softens, in the order of the prompt."""
        numbers = arm.partition(":")[2].split("+") if self.is_clause_edit(arm) else []
        return tuple(self.parts.by_number[int(number)].words for number in numbers)

    def kinds(self) -> list[ErrorKind]:
        """Return the classes about which anything is known."""
        return sorted(self._posteriors)

    def count_outcomes(self, kind: ErrorKind, bit: int, *, within: int) -> tuple[int, int]:
        """Return the images asked without a part and no other parts than ``within``, and those answered."""
        found = [
            counts
            for (one, mask), counts in self._outcomes.items()
            if one is kind and mask & bit and not mask & ~within
        ]
        return sum(counts[0] for counts in found), sum(counts[1] for counts in found)

    def learn(self, kind: ErrorKind, failed: Sequence[str], arm: str, *, cured: bool, answered: bool) -> None:
        """Record how an image ended on which ``failed`` had not helped.

        Args:
            kind: its class of failure.
            failed: arms after which it failed in this class.
            arm: what was tried.
            cured: it did not fail in this class again.
            answered: it did not fail at all.
        """
        outcomes = self._outcomes.setdefault((kind, self.mask_of(arm)), [0, 0])
        outcomes[0] += 1
        outcomes[1] += answered
        if arm.startswith(SOFTEN):
            self._softened.setdefault(kind, [0, 0])[not cured] += 1
        masks = [self.mask_of(one) for one in failed if not one.startswith(SOFTEN)]
        mask = self.mask_of(arm)
        if mask and (cured or not arm.startswith(SOFTEN)):
            self.posterior(kind).learn([one for one in masks if one], mask, rescued=cured)

    # Rows between runs.

    def rows_for(self, kind: ErrorKind, *, model: str, prompt_sha256: str) -> Iterator[EditStatsRow]:
        """Yield one row for each part that explains an image, and one for images that no words explain."""
        known = self._posteriors.get(kind)
        if known is None:
            return
        images = {part.words: found for part, found in zip(self.parts.parts, known.blame(), strict=True)}
        for words, found in ({"": 0.0} | images).items():
            if found >= _LEAST_STORED or not words:
                yield EditStatsRow(
                    model=model,
                    prompt_sha256=prompt_sha256,
                    kind=kind,
                    arm=f"{_PREFIX}{words}",
                    rescues=found,
                    failures=0.0 if words else known.unexplained,
                )

    def _restore(self, kind: ErrorKind, posterior: ClausePosterior) -> None:
        places: Mapping[str, int] = {part.words: part.number - 1 for part in self.parts.parts}
        rows = [row for row in self._rows if row.kind is kind]
        found = {
            places[words]: CARRIED_WEIGHT * max(0.0, row.rescues)
            for row in rows
            if (words := row.arm.removeprefix(_PREFIX)) in places
        }
        nothing = sum(CARRIED_WEIGHT * max(0.0, row.failures) for row in rows)
        if rows:
            posterior.restore(found, nothing=nothing)


_LEAST_STORED = 0.05
