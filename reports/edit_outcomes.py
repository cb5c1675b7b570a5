"""Counts of what edits and changed settings achieved in one run, and what they took.

A call counts for the one edit that it carried, else for the setting that was changed last. An image counts
once for each arm tried on it; its answer counts for the arm of the last call. Memory grows with the number of
edits, not of images. The counts for ``prompt_suggestion`` are kept here too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from errors import TRANSIENT
from models import Attempt, Parameter, Usage


@dataclass(slots=True, eq=False)
class ArmCounts:
    """Counts of one arm: an edit, a setting, or all of a kind together."""

    tried: int = 0
    """Images."""
    rescued: int = 0
    """How many of these were answered by a call with it."""
    calls: int = 0
    """Calls that carried it, however they ended."""
    usage: Usage = field(default_factory=Usage)
    _paid: Decimal = Decimal(0)
    _unpriced_calls: int = 0

    def add_call(self, usage: Usage, cost: Decimal | None) -> None:
        """Add a call that carried it; ``cost`` is None if unknown."""
        self.calls += 1
        self.usage += usage
        self._paid += cost or 0
        self._unpriced_calls += cost is None

    @property
    def cost(self) -> Decimal | None:
        """US dollars for all its calls; None if one is unknown, or if there was no call."""
        return self._paid if self.calls and not self._unpriced_calls else None


@dataclass(slots=True)
class SuggestionCandidate:
    """Counts of an edit on images that failed consistently, with the run's own settings."""

    text: str
    """The edited prompt."""
    tried: int = 0
    """Images."""
    rescued: int = 0
    saved_calls: int = 0
    """Calls of the images that it answered, minus one each: what it would have saved as the run's prompt."""


@dataclass(slots=True)
class EditOutcomes:
    """Counters of a run; owned by one thread."""

    edited: ArmCounts = field(default_factory=ArmCounts)
    """All calls that carried an edit."""
    changed_settings: ArmCounts = field(default_factory=ArmCounts)
    """All calls with the user's own prompt and changed settings."""
    asked_again: ArmCounts = field(default_factory=ArmCounts)
    """The control group: asked again with the user's own prompt in place of a first edit."""
    by_edit: dict[str, ArmCounts] = field(default_factory=dict)
    by_parameter: dict[Parameter, ArmCounts] = field(default_factory=dict)
    suggestion_candidates: dict[str, SuggestionCandidate] = field(default_factory=dict)
    """By the edit's name."""
    images_asked: int = 0
    """Images with at least one call."""
    served_by_base: int = 0
    """Images answered with the user's own prompt, at any call."""
    hard_images: int = 0
    """Images that failed consistently with the user's prompt: an edit was tried, or they were a control."""
    hard_calls: int = 0
    """Calls of these images, without failures that waiting cures."""

    def add(self, attempts: Sequence[Attempt], costs: Sequence[Decimal | None], *, answered: bool) -> None:
        """Add the calls of one image.

        Args:
            attempts: all calls, in order.
            costs: US dollars of each; None if unknown.
            answered: the last call was answered, and the answer was saved.
        """
        if not attempts:
            return
        changed: list[Parameter] = []
        tried: dict[ArmCounts, None] = {}
        arms: tuple[ArmCounts, ...] = ()
        for attempt, cost in zip(attempts, costs, strict=True):
            changed += (one for one in attempt.prompt.parameters if one not in changed)
            arms = self._find_arms(attempt, changed)
            tried.update(dict.fromkeys(arms))
            for arm in arms:
                arm.add_call(attempt.usage, cost)
        for arm in tried:
            arm.tried += 1
        for arm in arms if answered else ():
            arm.rescued += 1
        self.images_asked += 1
        self.served_by_base += answered and not attempts[-1].prompt.edits
        self._count_candidates(attempts, answered=answered)

    def _find_arms(self, attempt: Attempt, changed: Sequence[Parameter]) -> tuple[ArmCounts, ...]:
        """Return the arms of a call; ``changed`` has the settings in the order of their first change."""
        prompt = attempt.prompt
        if prompt.edits:
            return self.edited, self.by_edit.setdefault(prompt.edits[-1], ArmCounts())
        arms = (self.asked_again,) if prompt.is_control else ()
        if not prompt.parameters:
            return arms
        last = max(prompt.parameters, key=changed.index)
        return *arms, self.changed_settings, self.by_parameter.setdefault(last, ArmCounts())

    def _count_candidates(self, attempts: Sequence[Attempt], *, answered: bool) -> None:
        """Update the counts that say how an edit would have done as the prompt of the whole run."""
        if not any(attempt.prompt.edits or attempt.prompt.is_control for attempt in attempts):
            return
        informative = [attempt for attempt in attempts if _is_informative(attempt)]
        self.hard_images += 1
        self.hard_calls += len(informative)
        # With changed settings as well it is unknown whether the edit alone would have sufficed.
        edited_prompts = [one.prompt for one in informative if one.prompt.edits and not one.prompt.parameters]
        texts = {prompt.edits[-1]: prompt.text for prompt in edited_prompts}
        for name, text in texts.items():
            self.suggestion_candidates.setdefault(name, SuggestionCandidate(text)).tried += 1
        last = attempts[-1].prompt
        if answered and last.edits and not last.parameters:
            rescuer = self.suggestion_candidates[last.edits[-1]]
            rescuer.rescued += 1
            rescuer.saved_calls += len(informative) - 1


def _is_informative(attempt: Attempt) -> bool:
    return attempt.kind not in TRANSIENT and attempt.ended_run is None
