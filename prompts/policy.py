"""Choice of the next call for a failed image, by Thompson sampling and with a control group.

In this order: no call for a class that no prompt cures; a setting that may cure the class; on the first
failure of a class the same prompt again; on later ones a candidate on trial, else the most promising of edits
and asking again; no call if the chance of a rescue is too small. An image of the control group is asked again
with the user's own prompt in place of its first edit, drawn before any outcome is known. See docs/adr/0011.
"""

import random
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from errors import ErrorKind
from models import Parameter
from prompts.asking_again import AskingAgainRate
from prompts.candidates import CandidatePool
from prompts.clause_edits import ClauseChoice, ClauseEdits
from prompts.edit_stats import EditStats
from prompts.edits import ASK_AGAIN, LEAVE_OUT
from prompts.history import PARAMETERS, FailureHistory
from prompts.rules import Rule, rule_for

MIN_RESCUE_CHANCE = 0.025
"""Probability of a rescue below which a call is not made."""
UNKNOWN_CLASS_FACTOR = 0.4
"""Factor on ``MIN_RESCUE_CHANCE`` for a class that was never seen: early calls also teach."""
HALF_KNOWN_AFTER = 40.0
"""Images of a class after which half of that reduction is gone."""
CONTROLS_BEFORE_REDUCTION = 30
"""Controls after which the control share falls to a third."""
MAX_FAILED_CHANGES = 7
"""Failures after which a parameter that cured no image of a class is not changed for it any more."""

WORTH_OF_LATER_TRIES = 0.7
"""Factor on the chance that all words left out would have, where fewer are left out first to learn which."""


def _arm_in_statistics(arm: str) -> str:
    """Return the arm by which an outcome is counted: all that leave words out are one."""
    return LEAVE_OUT if ClauseEdits.is_clause_edit(arm) else arm


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlAssignment:
    """The group of an image in the comparison of edits with asking again."""

    kind: ErrorKind
    is_control: bool
    """True: the image is asked again in place of its first edit."""
    control_share: float
    """The control share when the group was drawn, 0 to 1; only images of equal shares are compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskAgain:
    """One more call with the user's own prompt."""

    assignment: ControlAssignment | None = None

    @property
    def arm(self) -> str:
        """The name in the record."""
        return ASK_AGAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeParameter:
    """One more call with the user's own prompt and one changed setting."""

    parameter: Parameter

    @property
    def arm(self) -> str:
        """The name in the record."""
        return self.parameter.value


@dataclass(frozen=True, slots=True, kw_only=True)
class UseEdit:
    """One more call with the prompt that this edit makes of the user's own."""

    name: str
    assignment: ControlAssignment | None = None

    @property
    def arm(self) -> str:
        """The name in the record."""
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """No further call for repair."""

    why: str
    """The reason, as one clause for the user."""


Step = AskAgain | ChangeParameter | UseEdit | GiveUp


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairLimits:
    """Limits on repair, as set by the user."""

    max_edits: int = 4
    """Edits tried on one image; 0 and more."""
    max_calls: int = 5
    """Calls for one image after its first one; calls with changed parameters do not count."""
    control_share: float = 0.15
    """Probability of the control group, 0 to 1."""


class Policy:
    """Next steps for all images of a run, which may be in flight at the same time, in any order.

    Edits are chosen by Thompson sampling: https://en.wikipedia.org/wiki/Thompson_sampling.

    Args:
        edit_stats: what is known of the edits; outcomes are recorded there.
        edits_by_kind: for each class the names of the edits that change this prompt.
        neutral_edits: those of them that are allowed after the safety filter withheld an answer.
        parameters: the settings that can be changed in this run.
        limits: what the user allows; None for the defaults.
        candidates: prompts that a model proposed; None for none.
        clauses: the parts of the prompt that may be left out; None for none.
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
        clauses: ClauseEdits | None = None,
    ) -> None:
        self._edit_stats = edit_stats
        self._edits_by_kind = edits_by_kind
        self._neutral_edits = neutral_edits
        self._parameters = parameters
        self._limits = limits or RepairLimits()
        self._candidates = candidates or CandidatePool()
        self._clauses = clauses
        self._first_asks = AskingAgainRate()
        self._rng = rng
        self._control_count = 0
        self._failed_changes = Counter[tuple[ErrorKind, str]]()
        self._successful_changes = set[tuple[ErrorKind, str]]()
        self._disabled_parameters = set[str]()

    def next_step(self, history: FailureHistory) -> Step:
        """Return the next step for the image."""
        last = history.failures[-1]
        rule = rule_for(last.kind, last.reason)
        if not rule.is_curable:
            return GiveUp(why=rule.why)
        for parameter in rule.parameters:
            if parameter not in history.arms and self._can_change(last.kind, parameter):
                return ChangeParameter(parameter=parameter)
        if sum(arm not in PARAMETERS for arm in history.arms) >= self._limits.max_calls:
            return GiveUp(why="all calls for one image are made")
        if history.times_of_kind == 1 and not self.should_skip_asking_again(history):
            return AskAgain()
        return self._choose_repair(history, rule)

    def should_skip_asking_again(self, history: FailureHistory) -> bool:
        """Return whether the plain second call of a class is left out.

        It is once it helped too few images of the class, and where other words were left out already.
        """
        if self._always_left_out(history):
            return True
        return self._first_asks.is_futile(history.kind) and self._limits.max_edits > 0

    def learn(
        self, history: FailureHistory, arm: str, *, rescued: bool, next_kind: ErrorKind | None = None
    ) -> None:
        """Record how a step ended.

        Args:
            history: the one that the step was chosen for.
            arm: what the step tried.
            rescued: the image was answered.
            next_kind: the class of its failure, if it was not.
        """
        if arm in PARAMETERS:
            self._failed_changes[history.kind, arm] += not rescued
            if rescued:
                self._successful_changes.add((history.kind, arm))
        elif not history.is_repair(arm):
            self._first_asks.learn(history.kind, rescued=rescued)
            self._edit_stats.add_second_call(rescued=rescued)
        else:
            self._candidates.learn(arm, rescued=rescued)
            before = map(_arm_in_statistics, history.tried_arms())
            self._edit_stats.learn(history.kind, before, _arm_in_statistics(arm), rescued=rescued)
            self._learn_clauses(history, arm, rescued=rescued, next_kind=next_kind)

    def _learn_clauses(
        self, history: FailureHistory, arm: str, *, rescued: bool, next_kind: ErrorKind | None
    ) -> None:
        if self._clauses is None or not self._clauses.mask_of(arm):
            return
        cured = rescued or next_kind not in {None, history.kind}
        failed = history.arms_that_left(history.kind)
        self._clauses.learn(history.kind, failed, arm, cured=cured, answered=rescued)

    def abandon(self, step: Step) -> None:
        """Record that the outcome of a chosen step will never be known."""
        if isinstance(step, UseEdit):
            self._candidates.release(step.name)

    def best_rate(self, kind: ErrorKind) -> float:
        """Return the expected success rate of the best edit on curable images of a class, 0 to 1."""
        posterior = self._edit_stats.posterior(kind)
        return max(map(posterior.mean, self._edits_for(kind)), default=0.0)

    def disable_parameter(self, parameter: Parameter) -> None:
        """Record that the model does not accept this parameter; it is never changed again in this run."""
        self._disabled_parameters.add(parameter)

    def accepts_parameter(self, parameter: Parameter) -> bool:
        """Return whether the model accepts this parameter, as far as is known."""
        return parameter in self._parameters and parameter not in self._disabled_parameters

    def _can_change(self, kind: ErrorKind, parameter: Parameter) -> bool:
        if not self.accepts_parameter(parameter):
            return False
        has_cured = (kind, parameter) in self._successful_changes
        return has_cured or self._failed_changes[kind, parameter] < MAX_FAILED_CHANGES

    def _choose_repair(self, history: FailureHistory, rule: Rule) -> Step:
        """Return the next step for an image that fails consistently."""
        proposed = self._candidates.next_candidate(history.kind)
        if proposed and not history.has_met_filter and proposed in self._filter_allowed(history, (proposed,)):
            return self._try_edit(history, proposed)
        posterior, tried_arms = self._edit_stats.posterior(history.kind), history.tried_arms()
        # The safety filter withheld this prompt twice: a third identical call would put the account at risk.
        names = (*(() if rule.is_neutral_only else (ASK_AGAIN,)), *self._untried_edits(history, rule))
        if self._always_left_out(history):
            # Every other prompt says the words again that were to blame for another class.
            names = ()
        clause = self._choose_clauses(history, rule)
        if not names and clause is None:
            return GiveUp(why="the safety filter had its one neutral try")
        drawn = {name: posterior.draw(name, self._rng) for name in names}
        if ASK_AGAIN in drawn and self._first_asks.is_known(history.kind):
            # A later plain call is answered no more often than the second one.
            drawn[ASK_AGAIN] = min(drawn[ASK_AGAIN], self._first_asks.rate(history.kind))
        best = max(names, key=lambda name: self._worth(name, drawn[name]), default="")
        works = self._edit_stats.chance_of_success(history.kind)
        chance = works * posterior.chance_curable(map(_arm_in_statistics, tried_arms)) * drawn.get(best, 0.0)
        if clause is not None and max(
            clause.chance, WORTH_OF_LATER_TRIES * clause.chance_of_all
        ) >= self._worth(best, chance):
            best, chance = clause.arm, clause.chance
        if chance < self._required_chance(posterior.seen):
            return GiveUp(why="the chance of a rescue is not worth another call")
        return AskAgain() if best == ASK_AGAIN else self._try_edit(history, best)

    def _worth(self, name: str, chance: float) -> float:
        """Return a chance as far as it counts: less for an edit that leaves out much of the user's words."""
        return chance * (1.0 - (self._clauses.share_left_out(name) if self._clauses else 0.0))

    def _choose_clauses(self, history: FailureHistory, rule: Rule) -> ClauseChoice | None:
        """Return the parts of the prompt to leave out next; None if there are none."""
        clauses, left = self._clauses, self._limits.max_edits - history.edit_count
        calls = self._limits.max_calls - sum(arm not in PARAMETERS for arm in history.arms)
        if clauses is None:
            return None
        if rule.is_neutral_only and any(self._is_neutral(arm) for arm in history.arms):
            return None
        return clauses.choose(
            history.kind,
            history.arms_that_left(history.kind),
            tried=history.arms,
            always=self._always_left_out(history),
            tries_left=min(left, calls, 1 if rule.is_neutral_only else left),
            rng=self._rng,
        )

    def _always_left_out(self, history: FailureHistory) -> int:
        """Return the parts without which the image failed in another class than before."""
        mask = 0
        for arm in history.arms_that_cured_others() if self._clauses else ():
            mask |= self._clauses.mask_of(arm) if self._clauses else 0
        return mask

    def _is_neutral(self, arm: str) -> bool:
        """Return whether an arm is what the safety filter gets once; words that are left out are."""
        return arm in self._neutral_edits or (self._clauses is not None and self._clauses.is_clause_edit(arm))

    def _try_edit(self, history: FailureHistory, name: str) -> Step:
        """Return the edit as next step, or the control in its place if it is the image's first edit."""
        step = self._assign(history.kind, name) if history.is_first_repair else UseEdit(name=name)
        if isinstance(step, UseEdit):
            self._candidates.reserve(name)
        return step

    def _untried_edits(self, history: FailureHistory, rule: Rule) -> list[str]:
        """Return the names of the edits that may be tried on the image now."""
        offered = self._edits_for(history.kind)
        if rule.is_neutral_only:
            used = any(self._is_neutral(arm) for arm in history.arms)
            offered = () if used else tuple(name for name in offered if name in self._neutral_edits)
        elif history.has_met_filter:
            offered = tuple(self._edits_by_kind.get(history.kind, ()))
        return self._filter_allowed(history, offered)

    def _edits_for(self, kind: ErrorKind) -> tuple[str, ...]:
        return (*self._edits_by_kind.get(kind, ()), *self._candidates.accepted_names(kind))

    def _filter_allowed(self, history: FailureHistory, names: Sequence[str]) -> list[str]:
        """Return the names not yet tried on the image; none if it had ``max_edits`` edits."""
        is_open = history.edit_count < self._limits.max_edits
        return [name for name in names if name not in history.arms] if is_open else []

    @staticmethod
    def _required_chance(seen: float) -> float:
        """Return the least probability of a rescue for a call, after ``seen`` images of the class."""
        known = seen / (seen + HALF_KNOWN_AFTER)
        return MIN_RESCUE_CHANCE * (UNKNOWN_CLASS_FACTOR + (1.0 - UNKNOWN_CLASS_FACTOR) * known)

    def _assign(self, kind: ErrorKind, name: str) -> Step:
        share = self._limits.control_share / (1.0 if self._control_count < CONTROLS_BEFORE_REDUCTION else 3.0)
        is_control = self._rng.random() < share
        self._control_count += is_control
        assignment = ControlAssignment(kind=kind, is_control=is_control, control_share=share)
        return AskAgain(assignment=assignment) if is_control else UseEdit(name=name, assignment=assignment)
