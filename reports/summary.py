"""Summary of a run for the user: lines for stdout, and the last line for stderr.

Both are made from ``ProcessingStats``, the document that is written to disk, so they cannot disagree with it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from errors import ErrorKind, ExitCode
from models import AnswerNote
from reports import prompt_suggestion
from reports.advice import RUN_AGAIN, advice_for, describe_next
from reports.cost_report import summary_line as cost_line
from reports.documents import Breakdown, ProcessingStats
from reports.earlier_answers import qualify_answered
from reports.formatting import WIDTH, deferral_lines, format_count, format_images, wrap_count, wrap_row
from reports.guilty_words import format_guilty_words
from reports.rate_limit_report import summary_line as pacing_line
from reports.tally import NOT_TRIED
from utils.image_discovery import PassedOverReason
from utils.printable import escape_unprintable


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputPaths:
    """Paths of what the run left, as shown to the user."""

    output_dir: str
    metadata: str
    archive: str | None = None


def build_summary(stats: ProcessingStats, paths: OutputPaths, *, dry_run: bool) -> str:
    """Return the summary: counts of images, reasons of failures, calls, costs, and paths."""
    return "\n".join(_summary_lines(stats, paths, dry_run=dry_run)) + "\n"


def build_last_line(stats: ProcessingStats) -> str:
    """Return one line: how the run ended, what to do next, and the exit code."""
    line = escape_unprintable(f"{_describe_end(stats)} (exit code {stats.exit_code:d}: {stats.exit_meaning})")
    return line[:1].upper() + line[1:]


def build_reminder(stats: ProcessingStats) -> str:
    """Return one line about the images that earlier runs failed on and this one left alone; "" if none."""
    known = stats.known_failures
    if not known.total:
        return ""
    return escape_unprintable(
        f"{format_images(known.total)} failed in earlier runs and {'was' if known.total == 1 else 'were'}"
        f" left alone ({_by_class(known)}). Next: {_describe_next(known, stats)}."
    )


def is_nothing_new(stats: ProcessingStats) -> bool:
    """Return whether the run succeeded and every image was answered before."""
    accounting = stats.accounting
    return stats.exit_code == ExitCode.DONE and accounting.found == accounting.already_answered


def _summary_lines(stats: ProcessingStats, paths: OutputPaths, *, dry_run: bool) -> Iterator[str]:
    if dry_run:
        yield "[DRY RUN] No call was made and nothing was paid: the results are simulated."
    yield from _image_lines(stats)
    yield from deferral_lines(stats.deferred_because)
    yield from _failure_lines(stats)
    yield from _note_lines(stats)
    yield from _skipped_lines(stats)
    yield from _page_lines(stats)
    yield from _edited_prompt_lines(stats, paths)
    yield from _call_lines(stats, dry_run=dry_run)
    yield from _path_lines(stats, paths)
    yield from _suggestion_lines(stats, paths)


def _image_lines(stats: ProcessingStats) -> Iterator[str]:
    accounting = stats.accounting
    yield f"{format_images(accounting.found)} found in {_format_duration(stats.seconds)}"
    rows = (
        (accounting.answered, f"answered by {stats.model}" if _is_repair(stats) else "answered"),
        (accounting.reused, "answered without a call: their bytes were answered before"),
        (accounting.already_answered, f"answered by an earlier run{qualify_answered(stats.earlier_answers)}"),
        (accounting.failed, f"failed{_describe_kept_answers(stats)}"),
        (accounting.known_failures, "failed in an earlier run, left alone"),
        (accounting.not_selected, "not selected, left alone"),
        (accounting.deferred, f"deferred: the next run asks about them ({_by_class(stats.deferred)})"),
        (accounting.lost, f"lost, could not be written: {', '.join(map(escape_unprintable, stats.lost))}"),
    )
    for count, what in rows:
        yield from wrap_count(count, what) if count else ()


def _is_repair(stats: ProcessingStats) -> bool:
    """Return whether the run asked only about images without an answer: its model may be another one."""
    return bool(stats.options.get("only") or stats.options.get("retry_failed"))


def _describe_kept_answers(stats: ProcessingStats) -> str:
    kept = stats.earlier_answers.kept_by_failures
    if not kept:
        return ""
    return f", {kept:,} of them {'keeps the answer it' if kept == 1 else 'keep the answers they'} had before"


def _failure_lines(stats: ProcessingStats) -> Iterator[str]:
    if stats.failed.total:
        yield "Failures"
    for kind, count in stats.failed.by.items():
        advice = advice_for(ErrorKind(kind), options=stats.options)
        yield from wrap_count(count, f"{kind}: {advice.cause} {advice.remedy}")


def _note_lines(stats: ProcessingStats) -> Iterator[str]:
    """Yield what a user should look at among the answers."""
    for note in AnswerNote:
        if count := stats.notes.get(note):
            yield from wrap_row("Look at", f"{format_images(count)}: {note}; each was named on the way")


def _skipped_lines(stats: ProcessingStats) -> Iterator[str]:
    if stats.passed_over.total:
        yield from wrap_row("Skipped", f"{stats.passed_over.total:,}, each named with --verbose")
    for reason, count in stats.passed_over.by.items():
        yield from wrap_count(count, _describe_reason(reason))


def _describe_reason(reason: str) -> str:
    try:
        return PassedOverReason(reason).meaning
    except ValueError:
        return reason.replace("_", " ")


def _page_lines(stats: ProcessingStats) -> Iterator[str]:
    """Yield how many pages were left out: a folder of scans may hold most of its text on them."""
    if stats.unsent_pages:
        images, pages = format_images(stats.unsent_pages.images), stats.unsent_pages.pages
        text = (
            f"{pages:,} not sent: only the first page of each TIFF is ({images});"
            " save the others as files of their own"
        )
        yield from wrap_row("Pages", text)


def _edited_prompt_lines(stats: ProcessingStats, paths: OutputPaths) -> Iterator[str]:
    """Yield how many images were asked again in another way, and how many of them were answered."""
    edited = stats.other_words
    if edited is None:
        return
    rows = (
        (edited.tried, "with an edited prompt", edited.answered),
        (edited.tried_with_settings, "with your prompt and other settings", edited.answered_with_settings),
    )
    parts = [
        f"{format_images(tried)} asked again {how}, {done:,} answered" for tried, how, done in rows if tried
    ]
    yield from wrap_row("Repair", f"{'; '.join(parts)} (see {paths.metadata}/{edited.see})")


def _suggestion_lines(stats: ProcessingStats, paths: OutputPaths) -> Iterator[str]:
    edited = stats.other_words
    document = f"{paths.metadata}/{edited.see}" if edited else ""
    if edited and edited.words_to_blame:
        yield from format_guilty_words(edited.words_to_blame, width=WIDTH, document=document)
    if edited and edited.suggestion:
        yield from prompt_suggestion.format_suggestion(edited.suggestion, width=WIDTH, document=document)


def _call_lines(stats: ProcessingStats, *, dry_run: bool) -> Iterator[str]:
    requests, tokens = stats.requests, stats.tokens
    again = f", {requests.retries.total:,} of them retries" if requests.retries.total else ""
    yield from wrap_row("Calls", f"{requests.total:,}{again}{', simulated' if dry_run else ''}")
    if tokens.total and not dry_run:
        yield from wrap_row("Tokens", f"{tokens.input:,} in, {tokens.output:,} out")
    yield from _picture_lines(stats)
    cost = cost_line(stats.cost, model=stats.model)
    if cost and requests.total:
        yield from wrap_row("Cost", cost)
    pacing = pacing_line(stats.pacing)
    if pacing:
        yield from wrap_row("Pacing", pacing)


def _picture_lines(stats: ProcessingStats) -> Iterator[str]:
    """Yield the number of pictures, and which model has some if the run's has none."""
    pictures = stats.pictures
    if pictures is None or not stats.requests.total:
        return
    advice = f"; {stats.model} answers in words, --model {pictures.model_to_take} returns pictures"
    count = format_count(pictures.made, "picture")
    yield from wrap_row("Pictures", f"{count}{advice if pictures.model_to_take else ''}")


def _path_lines(stats: ProcessingStats, paths: OutputPaths) -> Iterator[str]:
    accounting = stats.accounting
    if accounting.answered + accounting.reused + accounting.already_answered:
        yield from wrap_row("Results", f"{paths.output_dir}/successful")
    if accounting.failed + accounting.known_failures:
        yield from wrap_row("Reports", f"{paths.output_dir}/failed")
    yield from wrap_row("Metadata", paths.metadata)
    if paths.archive:
        yield from wrap_row("Archive", paths.archive)


def _describe_end(stats: ProcessingStats) -> str:
    if stats.stopped:
        return (
            f"stopped: {stats.stopped.detail.rstrip('. ')}. Next: {stats.stopped.remedy}{_force_note(stats)}."
        )
    match stats.exit_code:
        case ExitCode.NO_INPUT:
            return "no image was found: check --input-dir."
        case ExitCode.SOME_FAILED:
            return f"{_describe_failed(stats)}."
        case ExitCode.TRY_LATER:
            because = next(iter(stats.deferred_because), "the service was unavailable")
            deferred = format_images(stats.accounting.deferred)
            return f"{deferred} deferred: {because.rstrip('. ')}. Next: {_describe_retry(stats)}."
        case _:
            return _describe_success(stats)


def _describe_success(stats: ProcessingStats) -> str:
    accounting = stats.accounting
    if accounting.found == (
        accounting.already_answered + accounting.known_failures + accounting.not_selected
    ):
        return _describe_no_calls(stats)
    answered = f"done: {format_images(accounting.answered + accounting.reused)} answered"
    # --fail-on may have decided that the failures do not count.
    return f"{answered}, {_describe_failed(stats)}." if accounting.failed else f"{answered}."


def _describe_failed(stats: ProcessingStats) -> str:
    failed = stats.failed
    return (
        f"{format_images(failed.total)} failed ({_by_class(failed)}). Next: {_describe_next(failed, stats)}"
    )


def _by_class(counts: Breakdown) -> str:
    names = {NOT_TRIED: "not tried"}
    return ", ".join(f"{count:,} {names.get(kind, kind)}" for kind, count in counts.by.items())


def _describe_next(counts: Breakdown, stats: ProcessingStats) -> str:
    output_dir, is_dry = stats.options.get("output_dir"), stats.options.get("dry_run")
    reports = f"{output_dir}/{'dry-run/' if is_dry else ''}failed" if output_dir else ""
    return describe_next([ErrorKind(kind) for kind in counts.by], options=stats.options, reports=reports)


def _describe_retry(stats: ProcessingStats) -> str:
    """Return what to do about deferred images; if no call got through, the address may be wrong."""
    if stats.requests.by_result.keys() == {ErrorKind.NETWORK}:
        return f"check the connection, the proxy and --api-base-url, then {RUN_AGAIN}{_force_note(stats)}"
    return f"{RUN_AGAIN} later{_force_note(stats)}"


def _force_note(stats: ProcessingStats) -> str:
    return "; with --force it asks about all images anew" if stats.options.get("force") else ""


def _describe_no_calls(stats: ProcessingStats) -> str:
    accounting = stats.accounting
    if is_nothing_new(stats):
        models = qualify_answered(stats.earlier_answers)
        return f"nothing new: {format_images(accounting.found)}, all answered before{models}, no call made."
    parts = [f"{format_images(accounting.already_answered)} answered before"]
    if accounting.known_failures:
        parts.append(f"{accounting.known_failures:,} failed before and left alone")
    if accounting.not_selected:
        parts.append(f"{accounting.not_selected:,} not selected")
    return f"nothing to ask: {', '.join(parts)}."


def _format_duration(seconds: float) -> str:
    """Return a duration in its two largest units."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest_s = divmod(round(seconds), 60)
    hours, rest_min = divmod(minutes, 60)
    return f"{hours} h {rest_min} min" if hours else f"{minutes} min {rest_s} s"
