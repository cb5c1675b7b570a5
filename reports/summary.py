"""What does the user read when the run is over?

A few plain lines for stdout and one for stderr, from the very document that is written to disk, so that
they cannot disagree with it. This file must not know how anything was counted.
"""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from errors import ErrorKind, ExitCode
from reports import prompt_suggestion
from reports.advice import advice_for
from reports.cost_report import closing_words as cost_words
from reports.documents import ProcessingStats
from reports.rate_limit_report import closing_words as pace_words
from utils.logger import one_line

WIDTH = 79
"""Columns; only a path without a blank can be longer."""

_LABEL = 13


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Where the user finds what the run left; paths for people."""

    output_dir: str
    metadata: str
    archive: str | None = None


def summary(stats: ProcessingStats, where: Where, *, dry_run: bool) -> str:
    """Return the closing lines: what came of the images, why some failed, where everything lies."""
    return "\n".join(_summary(stats, where, dry_run=dry_run)) + "\n"


def last_line(stats: ProcessingStats) -> str:
    """Return one line: how the run ended, what to do next, and the exit code."""
    said = one_line(f"{_end(stats)} (exit code {stats.exit_code:d}: {stats.exit_meaning})")
    return said[:1].upper() + said[1:]


def is_nothing_new(stats: ProcessingStats) -> bool:
    """Tell a run that went well and found every image answered already."""
    went = stats.accounting
    return stats.exit_code == ExitCode.DONE and went.found == went.already_answered


def _summary(stats: ProcessingStats, where: Where, *, dry_run: bool) -> Iterator[str]:
    if dry_run:
        yield "[DRY RUN] No call was made and nothing was paid: the results are simulated."
    yield from _images(stats)
    yield from _failures(stats)
    yield from _passed_over(stats)
    yield from _other_words(stats, where)
    yield from _calls(stats, dry_run=dry_run)
    yield from _places(stats, where)
    yield from _suggestion(stats, where)


def _images(stats: ProcessingStats) -> Iterator[str]:
    went = stats.accounting
    yield f"{_images_word(went.found)} found in {_duration(stats.seconds)}"
    rows = (
        (went.answered, "answered"),
        (went.reused, "answered without a call: their bytes were answered before"),
        (went.already_answered, "answered by an earlier run"),
        (went.failed, "failed"),
        (went.known_failures, "failed in an earlier run, left alone"),
        (went.not_selected, "not selected, left alone"),
        (went.deferred, "put off: nothing is wrong with them, the next run does them"),
        (went.lost, f"lost, could not be written: {', '.join(map(one_line, stats.lost))}"),
        (went.not_started, "not started: the next run does them"),
    )
    for count, what in rows:
        yield from _wrapped(f"{count:>7,}  {what}", indent=9) if count else ()


def _failures(stats: ProcessingStats) -> Iterator[str]:
    if stats.failed.total:
        yield "Failures"
    for kind, count in stats.failed.by.items():
        advice = advice_for(
            ErrorKind(kind), is_repaired=bool(stats.options.get("enable_prompt_optimization"))
        )
        yield from _wrapped(f"{count:>7,}  {kind}: {advice.cause} {advice.remedy}", indent=9)


def _passed_over(stats: ProcessingStats) -> Iterator[str]:
    if stats.passed_over.total:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in stats.passed_over.by.items())
        yield from _row("Passed over", reasons)


def _other_words(stats: ProcessingStats, where: Where) -> Iterator[str]:
    """Nobody takes an answer to other words for one to his own without having been told."""
    went = stats.other_words
    if went is None:
        return
    counts = (
        (went.answered, went.tried, "in other words than yours"),
        (went.answered_with_settings, went.tried_with_settings, "in your words with other settings"),
    )
    said = [f"{done:,} of {_images_word(tried)} answered {how}" for done, tried, how in counts if tried]
    yield from _row("Other words", f"{', '.join(said)}; see {where.metadata}/{went.see}")


def _suggestion(stats: ProcessingStats, where: Where) -> Iterator[str]:
    went = stats.other_words
    if went and went.suggestion:
        document = f"{where.metadata}/{went.see}"
        yield from prompt_suggestion.closing_lines(went.suggestion, width=WIDTH, document=document)


def _calls(stats: ProcessingStats, *, dry_run: bool) -> Iterator[str]:
    made, tokens = stats.requests, stats.tokens
    again = f", {made.retries.total:,} of them retries" if made.retries.total else ""
    yield from _row("Calls", f"{made.total:,}{again}{', simulated' if dry_run else ''}")
    if tokens.total and not dry_run:
        yield from _row("Tokens", f"{tokens.input:,} in, {tokens.output:,} out")
    said = cost_words(stats.cost, model=stats.model)
    if said and made.total:
        yield from _row("Cost", said)
    limited = pace_words(stats.pacing)
    if limited:
        yield from _row("Pacing", limited)


def _places(stats: ProcessingStats, where: Where) -> Iterator[str]:
    went = stats.accounting
    if went.answered + went.reused + went.already_answered:
        yield from _row("Results", f"{where.output_dir}/successful")
    if went.failed + went.known_failures:
        yield from _row("Reports", f"{where.output_dir}/failed")
    yield from _row("Metadata", where.metadata)
    if where.archive:
        yield from _row("Archive", where.archive)


def _end(stats: ProcessingStats) -> str:
    went = stats.accounting
    if stats.stopped:
        return f"stopped: {stats.stopped.detail.rstrip('. ')}. Next: {stats.stopped.remedy}."
    match stats.exit_code:
        case ExitCode.NO_INPUT:
            return "no image was found: check --input-dir."
        case ExitCode.SOME_FAILED:
            return f"{_images_word(went.failed)} failed. Next: read the reports, then run again."
        case ExitCode.TRY_LATER:
            because = next(iter(stats.deferred_because), "the service was not to be had")
            return f"{_images_word(went.deferred)} put off: {because.rstrip('. ')}. Next: {_later(stats)}."
        case _ if went.found == went.already_answered + went.known_failures + went.not_selected:
            return _nothing_asked(stats)
        case _:
            return f"done: {_images_word(went.answered + went.reused)} answered."


def _later(stats: ProcessingStats) -> str:
    """A service that was never reached may be a wrong address, which no waiting mends."""
    if stats.requests.by_result.keys() == {ErrorKind.NETWORK}:
        return "check the connection, the proxy and --api-base-url, then run the same command again"
    return "run the same command again later"


def _nothing_asked(stats: ProcessingStats) -> str:
    went = stats.accounting
    if is_nothing_new(stats):
        return f"nothing new: {_images_word(went.found)}, all answered before, no call made."
    parts = [f"{_images_word(went.already_answered)} answered before"]
    if went.known_failures:
        parts.append(f"{went.known_failures:,} failed before and left alone (--retry-failed asks again)")
    if went.not_selected:
        parts.append(f"{went.not_selected:,} not selected")
    return f"nothing to ask: {', '.join(parts)}."


def _images_word(count: int) -> str:
    return f"{count:,} image{'' if count == 1 else 's'}"


def _duration(seconds: float) -> str:
    """Return a length of time in the two units that matter."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest_s = divmod(round(seconds), 60)
    hours, rest_min = divmod(minutes, 60)
    return f"{hours} h {rest_min} min" if hours else f"{minutes} min {rest_s} s"


def _row(label: str, text: str) -> list[str]:
    return _wrapped(f"{label:<{_LABEL}}{one_line(text)}", indent=_LABEL)


def _wrapped(text: str, *, indent: int) -> list[str]:
    # A path is never broken: it is there to be copied.
    return textwrap.wrap(
        text,
        WIDTH,
        subsequent_indent=" " * indent,
        drop_whitespace=True,
        break_long_words=False,
        break_on_hyphens=False,
    )
