"""Prompt repair of one run: calls of images go to ``Policy``, and its decisions come back as prompts.

A failure that waiting cures never changes a prompt, and neither does the first failure of a class. Every edit
is made from the user's own prompt and never from another edit. All images of a run share one ``EditStats``.
This module makes no calls. See docs/adr/0011 and docs/prompt-optimization.md.
"""

import random
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import assert_never

from errors import TRANSIENT, ErrorKind
from models import Attempt, Parameter, Prompt, Usage
from prompts.candidates import Candidate, CandidatePool
from prompts.clause_edits import ClauseEdits
from prompts.clause_findings import ClauseFinding, find_guilty_words
from prompts.clauses import PromptParts
from prompts.edit_stats import EditStats
from prompts.edits import ASK_AGAIN, EditBook
from prompts.history import Failure, FailureHistory
from prompts.meta_prompt import UnusableAnswerError, build_meta_prompt, parse_candidate
from prompts.policy import (
    AskAgain,
    ChangeParameter,
    GiveUp,
    Policy,
    RepairLimits,
    Step,
    UseEdit,
)
from prompts.records import EditStatsRow
from prompts.rules import CURABLE_KINDS
from prompts.uplift import Uplift, UpliftEstimator


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateRequest:
    """A request for a new prompt, to be sent to a model."""

    kind: ErrorKind
    """The class of failure that the new prompt should cure."""
    question: str
    """The whole question."""


class PromptOptimizer:
    """Repair of prompts for images that fail consistently, learned from all of them.

    Args:
        base: the user's prompt.
        edits: the edits of the run.
        edit_stats: what is known of them; shared by all images of the run.
        rng: the source of every draw.
        keep: words of the prompt that every edit keeps.
        parameters: the settings that can be changed for the model.
        limits: what the user allows.
        candidates: prompts that a model proposed, and whether one may be asked; None for neither.
    """

    def __init__(
        self,
        *,
        base: Prompt,
        edits: EditBook,
        edit_stats: EditStats,
        rng: random.Random,
        keep: Sequence[str] = (),
        parameters: Collection[Parameter] = (),
        limits: RepairLimits | None = None,
        candidates: CandidatePool | None = None,
    ) -> None:
        self._base = base
        self._edits = edits
        self._keep = tuple(keep)
        self._can_edit = limits is None or limits.max_edits > 0
        self.candidates = candidates = candidates or CandidatePool()
        """Prompts that a model proposed."""
        self.on_request: Callable[[], None] = lambda: None
        """Called when a model should be asked for a prompt; ``next_request`` returns the request."""
        self.clauses = self._build_clauses(edit_stats) if edits.leaves_out else None
        """The parts of the prompt that may be left out; None for none."""
        self._policy = Policy(
            edit_stats=edit_stats,
            edits_by_kind=edits.applicable_edits(base.text, keep=keep),
            neutral_edits=edits.neutral_names,
            parameters=parameters,
            limits=limits,
            rng=rng,
            candidates=candidates,
            clauses=self.clauses,
        )
        self._uplift_estimator = UpliftEstimator()
        self.edit_stats = edit_stats
        self.outcomes_learned = 0
        """Outcomes that changed ``edit_stats`` in this run."""

    def _build_clauses(self, edit_stats: EditStats) -> ClauseEdits:
        lists = self._edits.word_lists
        phrases = sorted({word for one in lists for word in one.words if " " in word}, key=len, reverse=True)
        parts = PromptParts(self._base.text, keep=self._keep, phrases=phrases)
        clauses = ClauseEdits(parts, word_lists=lists, rows=edit_stats.clause_rows)
        for edit in self._edits.edits:
            if text := edit.apply(self._base.text, keep=self._keep):
                clauses.add_shortening(edit.name, text)
        return clauses

    def begin_image(self) -> "OptimizedImageRepair":
        """Return the repair of one image."""
        return OptimizedImageRepair(self)

    def estimate_uplift(self) -> Uplift:
        """Return what edits are worth over asking again, in this run so far."""
        return self._uplift_estimator.estimate()

    def should_skip_asking_again(self, history: FailureHistory) -> bool:
        """Return whether the plain second call of a class is left out for an image."""
        return self._policy.should_skip_asking_again(history)

    def find_guilty_words(self) -> tuple[ClauseFinding, ...]:
        """Return the words of the prompt that cost images in this run."""
        return tuple(find_guilty_words(self.clauses)) if self.clauses is not None else ()

    def choose_step(self, history: FailureHistory) -> Step:
        """Return the next step for an image."""
        return self._policy.next_step(history)

    def learn(
        self,
        history: FailureHistory,
        step: "_CallStep",
        *,
        rescued: bool,
        next_kind: ErrorKind | None = None,
    ) -> None:
        """Record the outcome of a step that was chosen for this history; ``next_kind`` is its failure."""
        if history.is_repair(step.arm):
            self.outcomes_learned += 1
        self._policy.learn(history, step.arm, rescued=rescued, next_kind=next_kind)
        if isinstance(step, AskAgain | UseEdit) and step.assignment is not None:
            self._uplift_estimator.add(step.assignment, rescued=rescued)

    def add_failure(self, history: FailureHistory, words: str) -> None:
        """Record the failure's sentence for the question to a model; call ``on_request`` if one is due."""
        if history.times_of_kind > 1 and not history.has_met_filter:
            self.candidates.add_failure(history.kind, words, is_new=history.times_of_kind == 2)
            if self._kind_in_need() is not None:
                self.on_request()

    def next_request(self) -> CandidateRequest | None:
        """Return the question that a model should be asked now; None if there is none."""
        kind = self._kind_in_need()
        if kind is None:
            return None
        question = build_meta_prompt(
            prompt=self._base.text,
            kind=kind,
            examples=self.candidates.failure_examples(kind),
            failed_prompts=(*self.candidates.dropped_texts(kind), *self._failed_prompts(kind)),
            keep=self._keep,
        )
        return CandidateRequest(kind=kind, question=question)

    def _kind_in_need(self) -> ErrorKind | None:
        """Return the class that needs a new prompt most; None if none does."""
        kinds = self.candidates.kinds_by_need() if self._can_edit else ()
        return next(
            (kind for kind in kinds if self.candidates.should_request(kind, self._policy.best_rate(kind))),
            None,
        )

    def add_candidate(
        self, kind: ErrorKind, answer: str, *, proposed_by: str, usage: Usage, cost: Decimal | None
    ) -> Candidate:
        """Add a model's answer as a candidate: on trial, or rejected if it fails a check."""
        texts = [text for edit in self._edits.edits if (text := edit.apply(self._base.text, keep=self._keep))]
        known = {*texts, *self.candidates.texts()}
        try:
            text = parse_candidate(answer, prompt=self._base.text, known_texts=known, keep=self._keep)
        except UnusableAnswerError as error:
            return self.candidates.add_rejected(
                kind, str(error), proposed_by=proposed_by, usage=usage, cost=cost
            )
        return self.candidates.add_on_trial(kind, text, proposed_by=proposed_by, usage=usage, cost=cost)

    def _failed_prompts(self, kind: ErrorKind) -> Iterator[str]:
        """Yield the prompts of edits that failed on images of the class, the most failures first."""
        counts = self.edit_stats.posterior(kind).counts
        tried = [edit for edit in self._edits.edits if edit.name in counts]
        for edit in sorted(tried, key=lambda edit: -counts[edit.name].failures):
            text = edit.apply(self._base.text, keep=self._keep)
            if text:
                yield text

    def disable_parameter(self, parameter: Parameter) -> None:
        """Record that the model rejects requests with this parameter."""
        self._policy.disable_parameter(parameter)

    def lessons(self) -> tuple[EditStatsRow, ...]:
        """Return all that was learned, as the journal keeps it."""
        stats, clauses = self.edit_stats, self.clauses
        rows = list(stats.rows())
        for kind in sorted(CURABLE_KINDS) if clauses else ():
            rows += (
                clauses.rows_for(kind, model=stats.model, prompt_sha256=stats.prompt_sha256)
                if clauses
                else ()
            )
        return tuple(rows)

    def build_prompt(self, step: "_CallStep", history: FailureHistory) -> Prompt | None:
        """Return prompt and settings of a call; None if the edit does not change this prompt."""
        parameters = self._parameters_for(step, history)
        match step:
            case AskAgain(assignment=assignment):
                return replace(self._base, is_control=assignment is not None, parameters=parameters)
            case ChangeParameter():
                return replace(self._base, parameters=parameters)
            case UseEdit(name=name):
                text = self._edited_text(name, history.kind)
                if not text:
                    return None
                revision = 1 + sum(arm not in _UNEDITED_ARMS for arm in history.arms)
                return Prompt(text=text, revision=revision, edits=(name,), parameters=parameters)
            case _:
                assert_never(step)

    def _parameters_for(self, step: "_CallStep", history: FailureHistory) -> tuple[Parameter, ...]:
        """Return the settings of a call: the one changed now, and those that a truncated answer keeps."""
        changed = {step.parameter} if isinstance(step, ChangeParameter) else set[Parameter]()
        if history.kind is ErrorKind.TRUNCATED:
            changed |= _LONGER_OUTPUT.intersection(history.arms)
        if Parameter.LESS_THINKING in changed:
            # Less thinking alone may not suffice: the answer after the thoughts needs tokens too.
            changed.add(Parameter.MORE_OUTPUT_TOKENS)
        return tuple(sorted(parameter for parameter in changed if self._policy.accepts_parameter(parameter)))

    def _edited_text(self, name: str, kind: ErrorKind) -> str | None:
        if self.clauses is not None and self.clauses.is_clause_edit(name):
            return self.clauses.edited_prompt(name, kind)
        if self.candidates.is_candidate(name):
            return self.candidates.edited_prompt(name)
        return self._edits[name].apply(self._base.text, keep=self._keep)

    def abandon_step(self, step: "_CallStep") -> None:
        """Record that the outcome of a chosen step will never be known."""
        self._policy.abandon(step)


_CallStep = AskAgain | UseEdit | ChangeParameter
_UNEDITED_ARMS = frozenset({ASK_AGAIN, *Parameter})
_LONGER_OUTPUT = frozenset({Parameter.MORE_OUTPUT_TOKENS, Parameter.LESS_THINKING})
"""Changed settings that an image keeps for its next calls once an answer was truncated."""


class OptimizedImageRepair:
    """The repair of one image; owned by one worker."""

    def __init__(self, optimizer: PromptOptimizer) -> None:
        self._optimizer = optimizer
        self._history: FailureHistory | None = None
        self._pending_step: _CallStep | None = None
        """The step that was chosen and whose outcome is not known yet; None if there is none."""
        self._is_over = False

    @property
    def should_wait_for_others(self) -> bool:
        """Whether edits are tried next: mostly from the second failure of a curable class on."""
        return (
            self._history is not None
            and self._history.kind in CURABLE_KINDS
            and (self._history.times_of_kind > 1 or self._optimizer.should_skip_asking_again(self._history))
        )

    def on_failure(self, attempts: Sequence[Attempt]) -> bool:
        """Record that the last of these calls failed; a failure that waiting cures teaches nothing.

        Returns:
            False if the model rejected the changed setting and not the image: that call does not count.
        """
        last = attempts[-1]
        self._is_over = last.kind is None or last.kind in TRANSIENT
        if last.kind is None or self._is_over:
            self._abandon_step()
            return True
        if isinstance(self._pending_step, ChangeParameter) and last.kind is ErrorKind.INVALID_REQUEST:
            self._optimizer.disable_parameter(self._pending_step.parameter)
            self._pending_step = None
            return False
        failure = Failure(kind=last.kind, reason=last.api_status or "")
        if self._history is None or self._pending_step is None:
            self._history = FailureHistory(failures=(failure,))
        else:
            self._optimizer.learn(self._history, self._pending_step, rescued=False, next_kind=last.kind)
            self._history = self._history.with_failure(self._pending_step.arm, failure)
        self._pending_step = None
        self._optimizer.add_failure(self._history, last.detail)
        return True

    def _abandon_step(self) -> None:
        if self._pending_step is not None:
            self._optimizer.abandon_step(self._pending_step)
        self._pending_step = None

    def revise(self, prompt: Prompt, attempts: Sequence[Attempt]) -> Prompt | None:  # noqa: ARG002
        """Return the prompt for the next call; None to give the image up. Called once for each failure."""
        if self._is_over or self._history is None or self._history.kind not in CURABLE_KINDS:
            return None
        step = self._optimizer.choose_step(self._history)
        if isinstance(step, GiveUp):
            return None
        self._pending_step = step
        return self._optimizer.build_prompt(step, self._history)

    def on_success(self) -> None:
        """Record that the image was answered."""
        if self._history is not None and self._pending_step is not None:
            self._optimizer.learn(self._history, self._pending_step, rescued=True)
        self._pending_step = None
