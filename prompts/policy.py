"""What is the next call for an image that failed, if there is to be one?

The naive answer walks every image down one list of prompts. It pays the same five calls for an image that
nothing can rescue, learns nothing from a thousand others, and never knows whether asking again would
have done as well.

In this order, for each image:

1. A class that words cannot cure ends it. So does the end of its calls.
2. A parameter that may cure the class comes before any words, unless it cured none of several images.
3. The first failure of a class asks again with the same words: the cheapest cure. Only the same class
   twice is consistent, and only consistent failures see an edit.
4. Then the most promising of what was not yet tried on it, by Thompson sampling over what all images
   taught; asking again stays one of the choices. Words of a model's that are on trial go before that, on
   the few images that a trial takes (``trials``).
5. It is given up as soon as the chance of a rescue is less than what one call is worth.

The control: where step 4 comes to its first edit on an image, a coin decides, against the edit in 15 of 100
cases at first, and then the image is asked about once more with its own words instead. The coin falls
before anything is known of the outcome, for every class and every edit alike, so the two groups differ by
the edit alone. Its share goes down when a number of controls has been drawn, a rule that no outcome can
bend; the groups before and after are compared apart (``evidence``). Nothing here makes calls or reads files.
"""

import random
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from errors import ErrorKind
from models import Parameter
from prompts.candidates import CandidatePool
from prompts.edit_stats import EditStats
from prompts.edits import ASK_AGAIN
from prompts.rules import Rule, rule_for

MIN_RESCUE_CHANCE = 0.025
"""Rescues: a call is not made when its chance of a rescue is below this."""
UNKNOWN_CLASS_FACTOR = 0.4
"""Share of that worth which a class nobody knows yet must promise; early calls also teach."""
HALF_KNOWN_AFTER = 40.0
"""Images after which half of the difference is gone."""
CONTROLS_BEFORE_REDUCTION = 30
"""Controls after which the share of the control goes down to a third."""
MAX_FAILED_CHANGES = 7
"""Images of one class that a changed parameter did not cure, while it cured none: it is left out then."""

_PARAMETERS = frozenset[str](Parameter)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """How one call failed, for a reason that waiting does not cure."""

    kind: ErrorKind
    reason: str = ""
    """The service's own word, such as ``IMAGE_SAFETY``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureHistory:
    """What happened to one image so far."""

    failures: tuple[Failure, ...]
    """The first call's, then those of the further calls; never empty."""
    arms: tuple[str, ...] = ()
    """What each further call tried: ``ask_again``, a parameter, an edit; one fewer than failures."""

    @property
    def kind(self) -> ErrorKind:
        """The class of the last failure."""
        return self.failures[-1].kind

    @property
    def times_of_kind(self) -> int:
        """How often the image failed in its present class."""
        return sum(failure.kind is self.kind for failure in self.failures)

    def tried_arms(self) -> tuple[str, ...]:
        """Return what was tried on the image while its present class was already consistent."""
        return tuple(arm for kind, arm in self._consistent_failures() if kind is self.kind)

    @property
    def is_first_repair(self) -> bool:
        """True when nothing was tried yet after any class had become consistent."""
        return not any(self._consistent_failures())

    def _consistent_failures(self) -> Iterator[tuple[ErrorKind, str]]:
        """Yield each class and what was tried after its second failure and later ones."""
        seen = Counter[ErrorKind]()
        for failure, arm in zip(self.failures, self.arms, strict=False):
            seen[failure.kind] += 1
            if seen[failure.kind] > 1 and arm not in _PARAMETERS:
                yield failure.kind, arm

    @property
    def has_met_filter(self) -> bool:
        """True when the safety filter or a ban withheld it once: a model's words are never tried on it."""
        rules = [rule_for(failure.kind, failure.reason) for failure in self.failures]
        return any(rule.is_neutral_only or not rule.is_curable for rule in rules)

    def with_failure(self, arm: str, failure: Failure) -> "FailureHistory":
        """Return the story after one more call that failed."""
        return FailureHistory(failures=(*self.failures, failure), arms=(*self.arms, arm))


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlAssignment:
    """The image's part in the comparison of edits with asking again."""

    kind: ErrorKind
    is_control: bool
    """True: the coin was against the edit."""
    control_share: float
    """The share of the control when the coin was thrown; only equal shares are compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskAgain:
    """Call once more with the user's own words."""

    assignment: ControlAssignment | None = None

    @property
    def arm(self) -> str:
        """The name in the record."""
        return ASK_AGAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeParameter:
    """Call once more with the user's own words and another setting."""

    parameter: Parameter

    @property
    def arm(self) -> str:
        """The name in the record."""
        return self.parameter.value


@dataclass(frozen=True, slots=True, kw_only=True)
class UseEdit:
    """Call with the words that this edit makes of the user's own."""

    name: str
    assignment: ControlAssignment | None = None

    @property
    def arm(self) -> str:
        """The name in the record."""
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """Make no further call."""

    why: str
    """One clause for people."""


Step = AskAgain | ChangeParameter | UseEdit | GiveUp


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairLimits:
    """What the user allows."""

    max_edits: int = 4
    """On one image; 0 and more."""
    max_calls: int = 5
    """On one image, after its first call; those with changed parameters are not counted."""
    control_share: float = 0.15
    """From 0 to 1."""


class Policy:
    """Decides for all images of a run; they may be in flight at the same time, in any order.

    Args:
        pool: what is known, and where outcomes go.
        offers: for each class the edits that change this prompt, by name.
        neutral: those of them that the safety filter may be tried with.
        parameters: the settings that can be changed in this run.
        limits: what the user allows.
        trials: words that a model proposed; None for none.
        rng: the source of every draw; the same draws and outcomes give the same steps.
    """

    def __init__(
        self,
        *,
        edit_stats: EditStats,
        edits_by_kind: Mapping[ErrorKind, Sequence[str]],
        rng: random.Random,
        neutral_edits: Collection[str] = (),
        parameters: Collection[Parameter] = (),
        limits: RepairLimits | None = None,
        candidates: CandidatePool | None = None,
    ) -> None:
        self._edit_stats = edit_stats
        self._edits_by_kind = edits_by_kind
        self._neutral_edits = neutral_edits
        self._parameters = parameters
        self._limits = limits or RepairLimits()
        self._candidates = candidates or CandidatePool()
        self._rng = rng
        self._control_count = 0
        self._failed_changes = Counter[tuple[ErrorKind, str]]()
        self._successful_changes = set[tuple[ErrorKind, str]]()
        self._disabled_parameters = set[str]()

    def next_step(self, history: FailureHistory) -> Step:
        """Return what is done about the image now."""
        last = history.failures[-1]
        rule = rule_for(last.kind, last.reason)
        if not rule.is_curable:
            return GiveUp(why=rule.why)
        for parameter in rule.parameters:
            if parameter not in history.arms and self._can_change(last.kind, parameter):
                return ChangeParameter(parameter=parameter)
        if sum(arm not in _PARAMETERS for arm in history.arms) >= self._limits.max_calls:
            return GiveUp(why="all calls for one image are made")
        return AskAgain() if history.times_of_kind == 1 else self._choose_repair(history, rule)

    def learn(self, history: FailureHistory, arm: str, *, rescued: bool) -> None:
        """Take in how a step ended; ``story`` is the one it was chosen for."""
        if arm in _PARAMETERS:
            self._failed_changes[history.kind, arm] += not rescued
            if rescued:
                self._successful_changes.add((history.kind, arm))
        elif history.times_of_kind > 1:
            self._candidates.learn(arm, rescued=rescued)
            self._edit_stats.learn(history.kind, history.tried_arms(), arm, rescued=rescued)

    def abandon(self, step: Step) -> None:
        """Hear that nothing will be known of a step that was chosen."""
        if isinstance(step, UseEdit):
            self._candidates.release(step.name)

    def best_rate(self, kind: ErrorKind) -> float:
        """Return the share of a class's curable images that the best edit there is should rescue."""
        posterior = self._edit_stats.posterior(kind)
        return max(map(posterior.mean, self._edits_for(kind)), default=0.0)

    def disable_parameter(self, parameter: Parameter) -> None:
        """Never change this parameter again: the model does not take it."""
        self._disabled_parameters.add(parameter)

    def accepts_parameter(self, parameter: Parameter) -> bool:
        """Tell whether the model takes this parameter, as far as is known."""
        return parameter in self._parameters and parameter not in self._disabled_parameters

    def _can_change(self, kind: ErrorKind, parameter: Parameter) -> bool:
        if not self.accepts_parameter(parameter):
            return False
        has_cured = (kind, parameter) in self._successful_changes
        return has_cured or self._failed_changes[kind, parameter] < MAX_FAILED_CHANGES

    def _choose_repair(self, history: FailureHistory, rule: Rule) -> Step:
        """Choose for an image that fails consistently."""
        proposed = self._candidates.next_candidate(history.kind)
        if proposed and not history.has_met_filter and proposed in self._filter_allowed(history, (proposed,)):
            return self._try_edit(history, proposed)
        posterior, tried_arms = self._edit_stats.posterior(history.kind), history.tried_arms()
        # To ask a filter the same once more, after it said no twice, would be arguing.
        names = (*(() if rule.is_neutral_only else (ASK_AGAIN,)), *self._untried_edits(history, rule))
        if not names:
            return GiveUp(why="the safety filter had its one neutral try")
        drawn = {name: posterior.draw(name, self._rng) for name in names}
        best = max(names, key=lambda name: drawn[name])
        chance = self._edit_stats.chance_of_any_success * posterior.chance_curable(tried_arms) * drawn[best]
        if chance < self._required_chance(posterior.seen):
            return GiveUp(why="the chance of a rescue is not worth another call")
        return AskAgain() if best == ASK_AGAIN else self._try_edit(history, best)

    def _try_edit(self, history: FailureHistory, name: str) -> Step:
        """Try an edit, unless it would be the image's first and the coin is against it."""
        step = self._assign(history.kind, name) if history.is_first_repair else UseEdit(name=name)
        if isinstance(step, UseEdit):
            self._candidates.reserve(name)
        return step

    def _untried_edits(self, history: FailureHistory, rule: Rule) -> list[str]:
        """Return the edits that may be tried on the image now."""
        offered = self._edits_for(history.kind)
        if rule.is_neutral_only:
            used = any(arm in self._neutral_edits for arm in history.arms)
            offered = () if used else tuple(name for name in offered if name in self._neutral_edits)
        elif history.has_met_filter:
            offered = tuple(self._edits_by_kind.get(history.kind, ()))
        return self._filter_allowed(history, offered)

    def _edits_for(self, kind: ErrorKind) -> tuple[str, ...]:
        return (*self._edits_by_kind.get(kind, ()), *self._candidates.accepted_names(kind))

    def _filter_allowed(self, history: FailureHistory, names: Sequence[str]) -> list[str]:
        """Return those that the image had not, unless it had as many edits as it may have."""
        edits = sum(arm != ASK_AGAIN and arm not in _PARAMETERS for arm in history.arms)
        return [name for name in names if name not in history.arms] if edits < self._limits.max_edits else []

    @staticmethod
    def _required_chance(seen: float) -> float:
        """Return the chance of a rescue that a call must have, by how many images taught of the class."""
        known = seen / (seen + HALF_KNOWN_AFTER)
        return MIN_RESCUE_CHANCE * (UNKNOWN_CLASS_FACTOR + (1.0 - UNKNOWN_CLASS_FACTOR) * known)

    def _assign(self, kind: ErrorKind, name: str) -> Step:
        share = self._limits.control_share / (1.0 if self._control_count < CONTROLS_BEFORE_REDUCTION else 3.0)
        is_control = self._rng.random() < share
        self._control_count += is_control
        assignment = ControlAssignment(kind=kind, is_control=is_control, control_share=share)
        return AskAgain(assignment=assignment) if is_control else UseEdit(name=name, assignment=assignment)
