"""Error log of a failed image: what happened, why, what to do, and every call."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from models import Attempt, Failed, Prompt, RunInfo, StoredAnswer
from reports.advice import advice_for
from reports.formatting import format_count
from utils.json_encoding import utc_isoformat
from utils.printable import escape_unprintable

_INDENT = "    "


def build_error_log(failed: Failed, run: RunInfo, earlier: StoredAnswer | None = None) -> str:
    """Return the text of the error log.

    Args:
        failed: the failure.
        run: the run.
        earlier: the answer that the image had before and keeps; None if there is none.
    """
    return "\n".join(_report_lines(failed, run, earlier)) + "\n"


def _report_lines(failed: Failed, run: RunInfo, earlier: StoredAnswer | None) -> Iterator[str]:
    advice = advice_for(failed.kind, options=run.options, cause=failed.cause)
    missing = "no new answer" if earlier else "no answer"
    yield f"{escape_unprintable(failed.job.key)} has {missing}: {failed.kind}"
    yield ""
    yield f"What happened   {escape_unprintable(failed.detail)}"
    yield f"Why             {advice.cause}"
    yield f"What to do      {advice.remedy}"
    if earlier:
        yield from _earlier_lines(failed, earlier)
    yield ""
    yield from _fact_lines(failed, run)
    yield ""
    yield from _attempt_lines(failed.attempts)
    yield from _prompt_lines(failed)
    if failed.partial_text:
        yield ""
        yield "What came of the answer"
        yield from _indent_lines(failed.partial_text)


def _earlier_lines(failed: Failed, earlier: StoredAnswer) -> Iterator[str]:
    """Yield where the answer stands that the image has all the same, and what it is about."""
    is_other_image = failed.content is not None and failed.content.sha256 != earlier.sha256
    about = "given to other bytes of this name" if is_other_image else "given before"
    model = escape_unprintable(earlier.model or earlier.model_version or "an unknown model")
    yield f"What it keeps   the answer {about}, by {model} on {earlier.answered_at:%Y-%m-%d}:"
    yield from (f"                {escape_unprintable(artefact.path)}" for artefact in earlier.artefacts)


def _fact_lines(failed: Failed, run: RunInfo) -> Iterator[str]:
    content = failed.content
    yield f"Image           {escape_unprintable(failed.job.key)}"
    yield f"                {format_count(failed.job.size_bytes, 'byte')}" + (
        f", {content.mime_type}, {content.width} x {content.height} pixels" if content else ""
    )
    if content:
        yield f"                SHA-256 {content.sha256}"
        yield from (f"                {escape_unprintable(note)}" for note in content.notes)
    yield f"Model           {escape_unprintable(run.model)}"
    yield f"Run             {run.run_id}, version {run.version}"


def _attempt_lines(attempts: Sequence[Attempt]) -> Iterator[str]:
    if not attempts:
        yield "No call was made."
        return
    yield f"Calls           {len(attempts)}, times in UTC"
    yield f"{'no.':>7}  {'started':<24}  {'seconds':>7}  {'class':<15}  {'HTTP':>4}  prompt"
    for attempt in attempts:
        ended = attempt.kind or attempt.ended_run or "answered"
        yield (
            f"{attempt.number:>7}  {utc_isoformat(attempt.started_at):<24}  {attempt.seconds:>7.1f}"
            f"  {ended:<15}  {attempt.http_status or '-':>4}  {_format_prompt_name(attempt.prompt)}"
        )
        if attempt.detail:
            yield f"{'':>9}{escape_unprintable(attempt.detail)}{_format_status(attempt)}"


def _format_status(attempt: Attempt) -> str:
    words = (attempt.api_status or "", *attempt.quota_ids)
    details = ", ".join(escape_unprintable(word) for word in words if word)
    return f" [{details}]" if details else ""


def _prompt_lines(failed: Failed) -> Iterator[str]:
    """Yield every prompt once, in the order of the calls that carried it."""
    for prompt in _unique_prompts([*(attempt.prompt for attempt in failed.attempts), failed.prompt]):
        yield ""
        yield f"Prompt {_format_prompt_name(prompt)}"
        yield from _indent_lines(prompt.text)


def _unique_prompts(prompts: Iterable[Prompt]) -> Iterator[Prompt]:
    return iter(dict.fromkeys(replace(prompt, is_control=False) for prompt, _ in groupby(prompts)))


def _format_prompt_name(prompt: Prompt) -> str:
    """Return revision, edits and changed settings of a prompt: ``1 (soften)``, ``0 (less thinking)``."""
    changed = (*prompt.edits, *(parameter.replace("_", " ") for parameter in prompt.parameters))
    return f"{prompt.revision} ({' + '.join(changed) if changed else 'as given'})"


def _indent_lines(text: str) -> Iterator[str]:
    """Yield the lines of a text, indented, with control characters escaped."""
    for line in text.rstrip("\n").split("\n"):
        yield (_INDENT + escape_unprintable(line.removesuffix("\r").expandtabs())).rstrip()
