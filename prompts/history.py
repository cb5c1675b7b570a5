"""Failures of one image so far, and what each call tried."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from errors import ErrorKind
from models import Parameter
from prompts.edits import ASK_AGAIN
from prompts.rules import rule_for

PARAMETERS = frozenset[str](Parameter)
"""The arms that change a setting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """How one call failed, for a reason that waiting does not cure."""

    kind: ErrorKind
    reason: str = ""
    """Raw reason of the service, such as ``IMAGE_SAFETY``; empty if unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureHistory:
    """Failures of one image so far, and what each further call tried."""

    failures: tuple[Failure, ...]
    """One for each call, in order; never empty."""
    arms: tuple[str, ...] = ()
    """What each call after the first tried: ``ask_again``, a parameter or an edit."""

    @property
    def kind(self) -> ErrorKind:
        """The class of the last failure."""
        return self.failures[-1].kind

    @property
    def times_of_kind(self) -> int:
        """Number of failures in the class of the last one."""
        return sum(failure.kind is self.kind for failure in self.failures)

    def tried_arms(self) -> tuple[str, ...]:
        """Return the arms tried on the image since its present class became consistent."""
        return tuple(arm for kind, arm in self._consistent_failures() if kind is self.kind)

    @property
    def edit_count(self) -> int:
        """Number of edits tried on the image."""
        return sum(arm != ASK_AGAIN and arm not in PARAMETERS for arm in self.arms)

    @property
    def is_first_repair(self) -> bool:
        """Whether nothing was tried yet after a class became consistent."""
        return not any(self._consistent_failures())

    def _consistent_failures(self) -> Iterator[tuple[ErrorKind, str]]:
        """Yield class and arm of each call of repair: all but settings and plain second calls."""
        seen = Counter[ErrorKind]()
        for failure, arm in zip(self.failures, self.arms, strict=False):
            seen[failure.kind] += 1
            if arm not in PARAMETERS and (seen[failure.kind] > 1 or arm != ASK_AGAIN):
                yield failure.kind, arm

    def is_repair(self, arm: str) -> bool:
        """Return whether a call with this arm is more than the plain second call of a class."""
        return self.times_of_kind > 1 or arm != ASK_AGAIN

    def arms_that_left(self, kind: ErrorKind) -> list[str]:
        """Return the arms after which the image failed in this class."""
        after = zip(self.arms, self.failures[1:], strict=False)
        return [arm for arm, failure in after if failure.kind is kind]

    def arms_that_cured_others(self) -> list[str]:
        """Return the arms after which the image failed in another class than before."""
        steps = zip(self.failures, self.arms, self.failures[1:], strict=False)
        return [arm for before, arm, after in steps if before.kind is not after.kind]

    @property
    def has_met_filter(self) -> bool:
        """Whether the safety filter or a ban withheld an answer once; candidates are not tried on it then."""
        rules = [rule_for(failure.kind, failure.reason) for failure in self.failures]
        return any(rule.is_neutral_only or not rule.is_curable for rule in rules)

    def with_failure(self, arm: str, failure: Failure) -> "FailureHistory":
        """Return the history after one more failed call."""
        return FailureHistory(failures=(*self.failures, failure), arms=(*self.arms, arm))
