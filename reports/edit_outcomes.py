"""What came of other words, and of other settings, than the user's own?

The naive answer counts images that were answered in other words. That says neither what those words took
nor which of them helped, and a setting that was changed first would be credited to the words.

Each call goes to the one edit that it carried, or else to the setting that was changed last; each image
counts once for all that was tried on it, and its answer for what the last call carried. Beside that stands
what one has to know to say whether an edit should have been the prompt from the start (``better_prompt``).
Memory grows with the number of edits, not of images. Nothing is judged or shown here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from errors import TRANSIENT
from models import Attempt, Parameter, Usage


@dataclass(slots=True, eq=False)
class ArmCounts:
    """What one change came to: an edit, a setting, or all of a kind together."""

    tried: int = 0
    """Images."""
    rescued: int = 0
    """Of these, answered by a call with it."""
    calls: int = 0
    """That carried it, however they ended."""
    usage: Usage = field(default_factory=Usage)
    _paid: Decimal = Decimal(0)
    _unpriced_calls: int = 0

    def add_call(self, usage: Usage, cost: Decimal | None) -> None:
        """Count a call that carried it; a cost of None is one that nobody knows."""
        self.calls += 1
        self.usage += usage
        self._paid += cost or 0
        self._unpriced_calls += cost is None

    @property
    def cost(self) -> Decimal | None:
        """Of all its calls; None where the cost of one is not known, or there was none."""
        return self._paid if self.calls and not self._unpriced_calls else None


@dataclass(slots=True)
class SuggestionCandidate:
    """How an edit did on images that failed consistently, with the run's own settings."""

    text: str
    """The edited prompt."""
    tried: int = 0
    """Images."""
    rescued: int = 0
    saved_calls: int = 0
    """Calls of the images that it answered, but for one each: not made, had it been there from the start."""


@dataclass(slots=True)
class EditOutcomes:
    """The counters; owned by one thread."""

    edited: ArmCounts = field(default_factory=ArmCounts)
    """All calls that carried an edit."""
    changed_settings: ArmCounts = field(default_factory=ArmCounts)
    """All calls with the user's own words and other settings."""
    asked_again: ArmCounts = field(default_factory=ArmCounts)
    """The control: a coin kept the user's words where an edit would have had its turn."""
    by_edit: dict[str, ArmCounts] = field(default_factory=dict)
    by_parameter: dict[Parameter, ArmCounts] = field(default_factory=dict)
    suggestion_candidates: dict[str, SuggestionCandidate] = field(default_factory=dict)
    """By the edit's name."""
    images_asked: int = 0
    """Images asked about at all."""
    served_by_base: int = 0
    """Images answered in the user's own words, sooner or later."""
    hard_images: int = 0
    """Images that the user's words failed on consistently: an edit had its turn, or a control its coin."""
    hard_calls: int = 0
    """What these took, without calls that waiting would have cured."""

    def add(self, attempts: Sequence[Attempt], costs: Sequence[Decimal | None], *, answered: bool) -> None:
        """Count the calls of one image.

        Args:
            attempts: in order.
            costs: of each.
            answered: the last call was answered, and the answer is kept.
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
        """Return where a call belongs; ``changed`` has the settings in the order of their first change."""
        prompt = attempt.prompt
        if prompt.edits:
            return self.edited, self.by_edit.setdefault(prompt.edits[-1], ArmCounts())
        arms = (self.asked_again,) if prompt.is_control else ()
        if not prompt.parameters:
            return arms
        last = max(prompt.parameters, key=changed.index)
        return *arms, self.changed_settings, self.by_parameter.setdefault(last, ArmCounts())

    def _count_candidates(self, attempts: Sequence[Attempt], *, answered: bool) -> None:
        """Count what tells how an edit would have done as the prompt of the run."""
        if not any(attempt.prompt.edits or attempt.prompt.is_control for attempt in attempts):
            return
        informative = [attempt for attempt in attempts if _is_informative(attempt)]
        self.hard_images += 1
        self.hard_calls += len(informative)
        # With other settings as well nobody knows whether the words alone would have done.
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
