"""The error log of a failed image: what happened, why, what to do, and every call."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from models import Attempt, Failed, Prompt, RunInfo
from reports.advice import advice_for
from utils.json_encoding import instant
from utils.logger import one_line

_INDENT = "    "


def error_log(failed: Failed, run: RunInfo) -> str:
    """Return the report of a failure, for people."""
    return "\n".join(_report(failed, run)) + "\n"


def _report(failed: Failed, run: RunInfo) -> Iterator[str]:
    advice = advice_for(failed.kind, is_repaired=bool(run.options.get("enable_prompt_optimization")))
    yield f"{one_line(failed.job.key)} has no answer: {failed.kind}"
    yield ""
    yield f"What happened   {one_line(failed.detail)}"
    yield f"Why             {advice.cause}"
    yield f"What to do      {advice.remedy}"
    yield ""
    yield from _facts(failed, run)
    yield ""
    yield from _attempts(failed.attempts)
    yield from _prompts(failed)
    if failed.partial_text:
        yield ""
        yield "What came of the answer"
        yield from _block(failed.partial_text)


def _facts(failed: Failed, run: RunInfo) -> Iterator[str]:
    content = failed.content
    yield f"Image           {one_line(failed.job.key)}"
    unit = "byte" if failed.job.size_bytes == 1 else "bytes"
    yield f"                {failed.job.size_bytes:,} {unit}" + (
        f", {content.mime_type}, {content.width} x {content.height} pixels" if content else ""
    )
    if content:
        yield f"                SHA-256 {content.sha256}"
        yield from (f"                {one_line(note)}" for note in content.notes)
    yield f"Model           {one_line(run.model)}"
    yield f"Run             {run.run_id}, version {run.version}"


def _attempts(attempts: Sequence[Attempt]) -> Iterator[str]:
    if not attempts:
        yield "No call was made."
        return
    yield f"Calls           {len(attempts)}, times in UTC"
    yield f"{'no.':>7}  {'started':<24}  {'seconds':>7}  {'class':<15}  {'HTTP':>4}  prompt"
    for attempt in attempts:
        ended = attempt.kind or attempt.ended_run or "answered"
        yield (
            f"{attempt.number:>7}  {instant(attempt.started_at):<24}  {attempt.seconds:>7.1f}"
            f"  {ended:<15}  {attempt.http_status or '-':>4}  {_name(attempt.prompt)}"
        )
        if attempt.detail:
            yield f"{'':>9}{one_line(attempt.detail)}{_status(attempt)}"


def _status(attempt: Attempt) -> str:
    words = (attempt.api_status or "", *attempt.quota_ids)
    said = ", ".join(one_line(word) for word in words if word)
    return f" [{said}]" if said else ""


def _prompts(failed: Failed) -> Iterator[str]:
    """Yield every wording once, in the order of the calls that carried it."""
    for prompt in _each_once([*(attempt.prompt for attempt in failed.attempts), failed.prompt]):
        yield ""
        yield f"Prompt {_name(prompt)}"
        yield from _block(prompt.text)


def _each_once(prompts: Iterable[Prompt]) -> Iterator[Prompt]:
    return iter(dict.fromkeys(replace(prompt, is_control=False) for prompt, _ in groupby(prompts)))


def _name(prompt: Prompt) -> str:
    """Return a prompt's revision, edits and changed settings: ``1 (soften)``, ``0 (less thinking)``."""
    changed = (*prompt.edits, *(parameter.replace("_", " ") for parameter in prompt.parameters))
    return f"{prompt.revision} ({' + '.join(changed) if changed else 'as given'})"


def _block(text: str) -> Iterator[str]:
    """Yield the lines of a text, indented, with control characters shown and not obeyed."""
    for line in text.rstrip("\n").split("\n"):
        yield (_INDENT + one_line(line.removesuffix("\r").expandtabs())).rstrip()
