"""Head of ``prompt_evolution.json``: what edits and changed settings were worth, and what they cost.

Each share has its interval, and edits are compared with a control group. What one additional rescue took is
given only if the difference is significant. See docs/adr/0011.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from errors import ErrorKind
from models import Parameter, RunInfo
from prompts.uplift import Interval, Uplift, wilson_interval
from reports import prompt_suggestion
from reports.documents import Suggestion
from reports.edit_outcomes import ArmCounts
from reports.formatting import USD_DIGITS, round_dollars
from reports.guilty_words import GuiltyWords
from reports.share import Share, build_share
from reports.tally import Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class UpliftArm:
    """One side of the comparison of edits with asking again."""

    tried: int
    """Images."""
    rescued: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UpliftSection:
    """Rescues by the first edit and by asking again, among images that failed consistently."""

    edited: UpliftArm
    asked_again: UpliftArm
    """The control group."""
    difference: Share | None
    """Difference of the shares of rescues; None if there is nothing to compare."""
    calls_per_additional_rescue: Share | None
    """First edits for one rescue that asking again would not have brought; None if not significant."""
    cost_per_additional_rescue: Share | None
    """The same in US dollars, at the average cost of a call with an edit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EditedPromptCalls:
    """Calls with an edited prompt, and what they cost."""

    total: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    """None if unknown, or if there was no call."""
    per_rescue: float | None
    """Calls for one rescue; None if nothing was rescued."""
    tokens_per_rescue: float | None
    cost_per_rescue: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EditCount:
    """Counts of one edit in this run."""

    tried: int
    """Images."""
    rescued: int
    share: Share
    """Share of rescues."""
    calls: int
    """Calls that carried it."""
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    cost_per_rescue: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterCount:
    """Counts of one changed setting in this run, with the user's own prompt."""

    tried: int
    """Images."""
    answered: int
    calls: int
    """Calls for which it was the last setting changed."""
    input_tokens: int
    output_tokens: int
    cost_usd: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalEntry:
    """An edit that a model proposed during the run."""

    name: str
    kind: ErrorKind
    """The class it was proposed for."""
    model: str
    prompt: str
    """The proposed prompt; empty if there is none."""
    outcome: str
    """``joined``, ``on_trial``, ``dropped`` or ``refused``."""
    why: str
    """The reason for the outcome, as one clause for the user."""
    tried: int
    """Images, while it was on trial."""
    rescued: int
    input_tokens: int
    """Tokens of the question to the model; the next two fields are about the question too."""
    output_tokens: int
    cost_usd: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptEvolution:
    """Document ``prompt_evolution.json`` without its list ``images``."""

    prompt: str
    """The user's own prompt."""
    reworded: int
    """Images of this run that were asked with an edited prompt."""
    rescued: int
    """How many of these were answered by it."""
    edits: Mapping[str, EditCount]
    parameters: Mapping[str, ParameterCount]
    calls: EditedPromptCalls
    uplift: UpliftSection | None
    """None if prompt optimization is off."""
    proposals: tuple[ProposalEntry, ...]
    words_to_blame: tuple[GuiltyWords, ...]
    """Words of the user's prompt that cost images, the most first."""
    suggestion: Suggestion | None
    """An edited prompt for the whole run; None if no edit meets the conditions."""


def build_prompt_evolution(
    run: RunInfo,
    tally: Tally,
    uplift: Uplift | None = None,
    proposals: Sequence[ProposalEntry] = (),
    *,
    words_to_blame: Sequence[GuiltyWords] = (),
) -> PromptEvolution:
    """Return the head of the document; the caller streams its list of images."""
    outcomes = tally.edit_outcomes
    return PromptEvolution(
        prompt=run.prompt,
        reworded=outcomes.edited.tried,
        rescued=outcomes.edited.rescued,
        edits={name: _build_edit_count(arm) for name, arm in _most_tried_first(outcomes.by_edit)},
        parameters={
            name: _build_parameter_count(arm) for name, arm in _most_tried_first(outcomes.by_parameter)
        },
        calls=_build_calls(outcomes.edited),
        uplift=_build_uplift(uplift, outcomes.edited) if uplift else None,
        proposals=tuple(proposals),
        words_to_blame=tuple(words_to_blame),
        suggestion=prompt_suggestion.find_suggestion(outcomes, calls=tally.requests),
    )


def _most_tried_first(
    arms: Mapping[str, ArmCounts] | Mapping[Parameter, ArmCounts],
) -> list[tuple[str, ArmCounts]]:
    return sorted(
        ((str(name), arm) for name, arm in arms.items()), key=lambda item: (-item[1].tried, item[0])
    )


def _build_edit_count(arm: ArmCounts) -> EditCount:
    return EditCount(
        tried=arm.tried,
        rescued=arm.rescued,
        share=build_share(wilson_interval(arm.rescued, arm.tried)),
        calls=arm.calls,
        input_tokens=arm.usage.input_tokens,
        output_tokens=arm.usage.output_tokens,
        cost_usd=round_dollars(arm.cost),
        cost_per_rescue=_cost_per_rescue(arm),
    )


def _build_parameter_count(arm: ArmCounts) -> ParameterCount:
    return ParameterCount(
        tried=arm.tried,
        answered=arm.rescued,
        calls=arm.calls,
        input_tokens=arm.usage.input_tokens,
        output_tokens=arm.usage.output_tokens,
        cost_usd=round_dollars(arm.cost),
    )


def _build_calls(arm: ArmCounts) -> EditedPromptCalls:
    used, rescued = arm.usage, arm.rescued
    tokens = used.input_tokens + used.output_tokens
    return EditedPromptCalls(
        total=arm.calls,
        input_tokens=used.input_tokens,
        output_tokens=used.output_tokens,
        cost_usd=round_dollars(arm.cost),
        per_rescue=round(arm.calls / rescued, 2) if rescued else None,
        tokens_per_rescue=round(tokens / rescued, 1) if rescued else None,
        cost_per_rescue=_cost_per_rescue(arm),
    )


def _build_uplift(measured: Uplift, edited_arm: ArmCounts) -> UpliftSection:
    edited, asked_again, difference = measured.edited, measured.asked_again, measured.difference
    each = None if edited_arm.cost is None else float(edited_arm.cost) / edited_arm.calls
    shown = difference if measured.is_significant else None
    return UpliftSection(
        edited=UpliftArm(tried=edited.tries, rescued=edited.rescues),
        asked_again=UpliftArm(tried=asked_again.tries, rescued=asked_again.rescues),
        difference=build_share(difference) if difference else None,
        calls_per_additional_rescue=_invert(shown) if shown else None,
        cost_per_additional_rescue=_invert(shown, times=each, digits=USD_DIGITS) if shown and each else None,
    )


def _invert(difference: Interval, *, times: float = 1.0, digits: int = 2) -> Share:
    """Return what one additional rescue takes: the inverse of estimate and bounds of the difference.

    Source: D. G. Altman, Confidence intervals for the number needed to treat, BMJ 317 (1998) 1309.
    """
    return Share(
        estimate=round(times / difference.estimate, digits),
        low=round(times / difference.high, digits),
        high=round(times / difference.low, digits),
    )


def _cost_per_rescue(arm: ArmCounts) -> float | None:
    return round_dollars(arm.cost / arm.rescued) if arm.cost is not None and arm.rescued else None
