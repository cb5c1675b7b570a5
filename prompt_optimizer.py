"""Which words might cure an image that keeps failing?

The naive answer gives every failure new words. But most failures are not the prompt's: a quota, an
outage, a bad image. Those never change a prompt here, and neither does a first failure; and every edit
is made from the user's own words and never from another edit, so that the intent is never two steps off.

``repair`` decides; this file carries the calls of real images there and its decisions back as prompts.
What each call came to is told to the one pool that all images of the run share. Where the edits there are
do too little, it says what a model should be asked for, and takes in the answer. This file makes no call
and knows nothing of retries, files or the wire.
"""

import random
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import assert_never

from errors import ErrorKind
from models import Attempt, Parameter, Prompt, Usage
from prompts.candidates import Proposal, Trials
from prompts.edit_stats import Pool
from prompts.edits import ASK_AGAIN, EditBook
from prompts.meta_prompt import UnusableAnswerError, question, usable
from prompts.policy import AskAgain as PlainCall
from prompts.policy import (
    ChangeParameter,
    Failure,
    GiveUp,
    ImageStory,
    Limits,
    Policy,
    Step,
    UseEdit,
)
from prompts.rules import CURABLE
from prompts.uplift import Comparison, Uplift

K = ErrorKind

RANDOM_KINDS = frozenset({K.EMPTY, K.NO_IMAGE, K.MALFORMED})
"""Kinds that often pass when the same question is simply asked again (gemini-api.md, section 2)."""

_WAITED_OUT = frozenset({K.RATE_LIMITED, K.SERVER, K.NETWORK, K.TIMEOUT})
"""What waiting cures: such a call says nothing about the words it carried."""

_PICTURE_WORDS = re.compile(
    r"\b(?:convert|turn\b.{0,30}\binto|transform|restyle|stylize|stylise|style|redraw|draw|paint|repaint|render|sketch"
    r"|illustrat\w+|colou?ri[sz]e|cartoon\w*|anime|watercolou?r|pixel art|remove the background"
    r"|replace the background|make it look|generate an? (?:image|picture))\b",
    re.IGNORECASE | re.DOTALL,
)


def asks_for_picture(prompt: str) -> bool:
    """Tell whether the words ask for a picture, as far as words can tell."""
    return _PICTURE_WORDS.search(prompt) is not None


class AskAgain:
    """What is done without optimization: one plain second try where the failure is often chance."""

    learns_from_others = False

    def begin(self) -> "AskAgain":
        """Return what serves one image; nothing is remembered, so it serves all."""
        return self

    def failed(self, attempts: Sequence[Attempt]) -> bool:  # noqa: ARG002
        """Hear that the last call failed."""
        return True

    def revise(self, prompt: Prompt, attempts: Sequence[Attempt]) -> Prompt | None:
        """Return the prompt for the next call, or None to give the image up."""
        random_failures = sum(attempt.kind in RANDOM_KINDS for attempt in attempts)
        return prompt if attempts[-1].kind in RANDOM_KINDS and random_failures == 1 else None

    def answered(self) -> None:
        """Hear that the image has its answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Words that a model should be asked for."""

    kind: ErrorKind
    """The class that they are to cure."""
    question: str
    """What to ask, in full."""


class PromptOptimizer:
    """Repairs the prompts of images that fail consistently, and learns from all of them.

    Args:
        base: the user's prompt.
        edits: the edits there are.
        pool: what is known of them; shared by all images of the run.
        rng: the source of every draw.
        keep: words of the prompt that every edit keeps.
        parameters: the settings that can be changed for the model.
        limits: what the user allows.
        trials: words that a model proposed, and whether one may be asked; None for neither.
    """

    def __init__(
        self,
        *,
        base: Prompt,
        edits: EditBook,
        pool: Pool,
        rng: random.Random,
        keep: Sequence[str] = (),
        parameters: Collection[Parameter] = (),
        limits: Limits | None = None,
        trials: Trials | None = None,
    ) -> None:
        self._base = base
        self._edits = edits
        self._keep = tuple(keep)
        self._may_edit = limits is None or limits.max_edits > 0
        self.trials = trials = trials or Trials()
        """What a model proposed."""
        self.on_wanted: Callable[[], None] = lambda: None
        """Called when a model should be asked for words; ``wanted`` tells which."""
        self._policy = Policy(
            pool=pool,
            offers=edits.offers(base.text, keep=keep),
            neutral=edits.neutral,
            parameters=parameters,
            limits=limits,
            rng=rng,
            trials=trials,
        )
        self._comparison = Comparison()
        self.pool = pool
        self.lessons = 0
        """Outcomes that were learned in this run."""

    def begin(self) -> "ImageRepair":
        """Return what serves one image."""
        return ImageRepair(self)

    def uplift(self) -> Uplift:
        """Return what edits were worth over asking again, in this run so far."""
        return self._comparison.uplift()

    def choose(self, story: ImageStory) -> Step:
        """Return what is done about an image now."""
        return self._policy.next(story)

    def learn(self, story: ImageStory, step: "_Call", *, rescued: bool) -> None:
        """Take in what a call came to that was decided on for this story."""
        if story.times > 1:
            self.lessons += 1
        self._policy.learn(story, step.arm, rescued=rescued)
        if isinstance(step, PlainCall | UseEdit) and step.trial is not None:
            self._comparison.add(step.trial, rescued=rescued)

    def hear(self, story: ImageStory, words: str) -> None:
        """Take in what a failing image said, for the model that may be asked for other words."""
        if story.times > 1 and not story.met_a_filter:
            self.trials.hear(story.kind, words, is_new=story.times == 2)
            if self._needy() is not None:
                self.on_wanted()

    def wanted(self) -> Wanted | None:
        """Return the words that a model should be asked for now; None for none."""
        kind = self._needy()
        if kind is None:
            return None
        asked = question(
            prompt=self._base.text,
            kind=kind,
            cases=self.trials.cases(kind),
            vain=(*self.trials.dropped(kind), *self._in_vain(kind)),
            keep=self._keep,
        )
        return Wanted(kind=kind, question=asked)

    def _needy(self) -> ErrorKind | None:
        """Return the class that needs words most; None where none does."""
        kinds = self.trials.by_need() if self._may_edit else ()
        return next((kind for kind in kinds if self.trials.wants(kind, self._policy.best(kind))), None)

    def propose(
        self, kind: ErrorKind, answer: str, *, proposed_by: str, usage: Usage, cost: Decimal | None
    ) -> Proposal:
        """Take in a model's answer: put its words on trial, or refuse them."""
        texts = [text for edit in self._edits.edits if (text := edit.apply(self._base.text, keep=self._keep))]
        known = {*texts, *self.trials.texts()}
        try:
            text = usable(answer, prompt=self._base.text, known=known, keep=self._keep)
        except UnusableAnswerError as error:
            return self.trials.refuse(kind, str(error), proposed_by=proposed_by, usage=usage, cost=cost)
        return self.trials.accept(kind, text, proposed_by=proposed_by, usage=usage, cost=cost)

    def _in_vain(self, kind: ErrorKind) -> Iterator[str]:
        """Yield the words of edits that failed on images of the class, the oftenest first."""
        counts = self.pool.of(kind).counts
        tried = [edit for edit in self._edits.edits if edit.name in counts]
        for edit in sorted(tried, key=lambda edit: -counts[edit.name].failures):
            text = edit.apply(self._base.text, keep=self._keep)
            if text:
                yield text

    def not_taken(self, parameter: Parameter) -> None:
        """Hear that the model refuses a request with this parameter."""
        self._policy.withdraw(parameter)

    def prompt_for(self, step: "_Call", story: ImageStory) -> Prompt | None:
        """Return words and settings of a call; None where the edit has none for this prompt."""
        kept = self._kept(step, story)
        match step:
            case PlainCall(trial=trial):
                return replace(self._base, is_control=trial is not None, parameters=kept)
            case ChangeParameter():
                return replace(self._base, parameters=kept)
            case UseEdit(name=name):
                text = self._words(name)
                if not text:
                    return None
                revision = 1 + sum(arm not in _NO_EDITS for arm in story.arms)
                return Prompt(text=text, revision=revision, edits=(name,), parameters=kept)
            case _:
                assert_never(step)

    def _kept(self, step: "_Call", story: ImageStory) -> tuple[Parameter, ...]:
        """Return the settings of a call: what is changed now, and what an answer cut off has kept."""
        changed = {step.parameter} if isinstance(step, ChangeParameter) else set[Parameter]()
        if story.kind is K.TRUNCATED:
            changed |= _ROOM.intersection(story.arms)
        if Parameter.LESS_THINKING in changed:
            # It may take both: thoughts that leave room, and room for what is said after them.
            changed.add(Parameter.MORE_OUTPUT_TOKENS)
        return tuple(sorted(parameter for parameter in changed if self._policy.takes(parameter)))

    def _words(self, name: str) -> str | None:
        if self.trials.is_ours(name):
            return self.trials.words(name)
        return self._edits[name].apply(self._base.text, keep=self._keep)

    def abandon(self, step: "_Call") -> None:
        """Hear that nothing will be known of a step that was chosen."""
        self._policy.abandon(step)


_Call = PlainCall | UseEdit | ChangeParameter
_NO_EDITS = frozenset({ASK_AGAIN, *Parameter})
_ROOM = frozenset({Parameter.MORE_OUTPUT_TOKENS, Parameter.LESS_THINKING})
"""What an answer that was cut off once keeps for its next tries."""


class ImageRepair:
    """The repair of one image; owned by one worker."""

    def __init__(self, optimizer: PromptOptimizer) -> None:
        self._optimizer = optimizer
        self._story: ImageStory | None = None
        self._open: _Call | None = None
        """What was decided for the story and has not come to anything yet."""
        self._is_over = False

    @property
    def learns_from_others(self) -> bool:
        """True from the second failure of a class on, when edits are tried."""
        return self._story is not None and self._story.kind in CURABLE and self._story.times > 1

    def failed(self, attempts: Sequence[Attempt]) -> bool:
        """Hear that the last of these calls failed; one that waiting would have cured teaches nothing.

        Returns False where the model refused the setting and not the image: as if there had been no call.
        """
        last = attempts[-1]
        self._is_over = last.kind is None or last.kind in _WAITED_OUT
        if last.kind is None or self._is_over:
            self._abandon()
            return True
        if isinstance(self._open, ChangeParameter) and last.kind is K.INVALID_REQUEST:
            self._optimizer.not_taken(self._open.parameter)
            self._open = None
            return False
        failure = Failure(kind=last.kind, reason=last.api_status or "")
        if self._story is None or self._open is None:
            self._story = ImageStory(failures=(failure,))
        else:
            self._optimizer.learn(self._story, self._open, rescued=False)
            self._story = self._story.then(self._open.arm, failure)
        self._open = None
        self._optimizer.hear(self._story, last.detail)
        return True

    def _abandon(self) -> None:
        if self._open is not None:
            self._optimizer.abandon(self._open)
        self._open = None

    def revise(self, prompt: Prompt, attempts: Sequence[Attempt]) -> Prompt | None:  # noqa: ARG002
        """Return the prompt for the next call, or None to give the image up; once for each failure."""
        if self._is_over or self._story is None or self._story.kind not in CURABLE:
            return None
        step = self._optimizer.choose(self._story)
        if isinstance(step, GiveUp):
            return None
        self._open = step
        return self._optimizer.prompt_for(step, self._story)

    def answered(self) -> None:
        """Hear that the image has its answer."""
        if self._story is not None and self._open is not None:
            self._optimizer.learn(self._story, self._open, rescued=True)
        self._open = None
