"""Status of an output directory: the page that ``--status`` prints.

It is read from the journal, and from the last run's document if that run was stopped, without a key, beside a
run at work, and without changing a byte. A quota that was used up then may have been reset since.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from errors import ErrorKind, ExitCode, StopReason
from reports.advice import RUN_AGAIN, Options, advice_for, describe_next
from reports.formatting import MAX_REASONS, deferral_lines, format_count, wrap, wrap_count, wrap_row
from storage.journal.read_models import OutcomeCounts, RunRow, UsageTotals, count_deferred
from storage.journal.reader import JournalReader
from storage.output.folders import FAILED, JOURNAL, METADATA, working_dir

_DOCUMENT = f"{METADATA}/processing_stats.json"
_NEXT_STEPS: Mapping[int | None, str] = {
    ExitCode.UNEXPECTED: f"see what its last line or its log says, then {RUN_AGAIN}",
    ExitCode.USAGE: "correct the flag, the variable or the model's name, then run again",
    ExitCode.NO_INPUT: "check --input-dir",
    ExitCode.KEY_REFUSED: "check the key, its permissions and its project's billing, then run again",
    ExitCode.BUDGET: StopReason.BUDGET.remedy,
    ExitCode.TRY_LATER: f"{RUN_AGAIN} later",
}
"""Next steps that follow from the exit code alone; after other codes the images left decide."""
_REMEDY_IN_DOCUMENT = {ExitCode.USAGE, ExitCode.KEY_REFUSED, ExitCode.TRY_LATER}
"""The document of a run that ended so has a remedy that fits its cause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningProcess:
    """The process that holds the lock of the output directory."""

    pid: int
    host: str
    started_at: datetime
    """When it took the lock, before it began its run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppedRun:
    """The end of a run that was stopped, as its document has it."""

    run_id: str
    detail: str
    remedy: str
    resets_at: datetime | None
    """When there is quota again; None if unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Status:
    """All that the page is made of, read once."""

    counts: OutcomeCounts
    deferred_because: Mapping[str, int]
    running: RunningProcess | None
    current: RunRow | None
    """The run at work; None if there is none, or not in the journal yet."""
    newest: RunRow | None
    """The newest real run; a dry one only if there is no other."""
    last: RunRow | None
    """The newest of these that has ended."""
    stopped: StoppedRun | None
    """The end of ``last``; None if it was not stopped."""
    images_left: int | None
    """Images that the newest run has not finished; None if unknown."""
    deferred: int
    total_usage: UsageTotals
    newest_usage: UsageTotals
    is_only_dry: bool
    reports: str
    """Path of the reports about failed images, as it is shown."""
    now: datetime


def find_status_folder(output_dir: Path) -> Path:
    """Return the output directory; if only dry runs have used it, the folder of these."""
    dry_run = working_dir(output_dir, dry_run=True)
    is_only_dry = (dry_run / JOURNAL).exists() and not (output_dir / JOURNAL).exists()
    return dry_run if is_only_dry else output_dir


def open_status(output_dir: Path) -> JournalReader:
    """Open the journal for ``format_status``.

    Raises:
        UsageError: no run has used this directory yet, or a newer version wrote its journal.
        StorageError: the journal cannot be read.
    """
    return JournalReader.read_only(output_dir / JOURNAL)


def read_stopped_run(output_dir: Path) -> StoppedRun | None:
    """Return the end of the run whose document lies there; None if it was not stopped, or if unknown."""
    try:
        document = json.loads((output_dir / _DOCUMENT).read_bytes())
        stopped = document["stopped"]
        resets_at = stopped.get("resets_at")
        return StoppedRun(
            run_id=str(document["run_id"]),
            detail=str(stopped["detail"]),
            remedy=str(stopped["remedy"]),
            resets_at=datetime.fromisoformat(resets_at).astimezone(UTC) if resets_at else None,
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None  # optional: the journal holds the exit code


def format_status(
    reader: JournalReader,
    *,
    output_dir: str,
    running: RunningProcess | None,
    now: datetime,
    stopped: StoppedRun | None = None,
) -> str:
    """Return the page: lines of at most ``formatting.WIDTH`` columns, but for a longer path.

    Args:
        reader: from ``open_status``, or the journal of the run at work.
        output_dir: as it is shown.
        running: the process that holds the lock; None if not held.
        now: UTC.
        stopped: from ``read_stopped_run``; used only if it is about the last run.
    """
    status = _gather(reader, output_dir, running=running, now=now, stopped=stopped)
    return "\n".join(_report_lines(status, output_dir)) + "\n"


def _gather(
    reader: JournalReader,
    output_dir: str,
    *,
    running: RunningProcess | None,
    now: datetime,
    stopped: StoppedRun | None,
) -> _Status:
    runs, counts = reader.runs(), reader.tree_counts()
    real = [run for run in runs if not run.info.dry_run]
    is_only_dry = bool(runs) and not real and counts.real == OutcomeCounts()
    counted = list(runs) if is_only_dry else real
    current = _find_current(runs, running)
    newest = counted[0] if counted else None
    last = next((run for run in counted if run is not current), None)
    left = _count_left(reader, newest)
    own = counts.dry if is_only_dry else counts.real
    return _Status(
        counts=own,
        deferred_because=reader.deferral_reasons(most=MAX_REASONS, dry_run=is_only_dry),
        running=running,
        current=current,
        newest=newest,
        last=last,
        stopped=stopped if stopped and last and stopped.run_id == last.info.run_id else None,
        images_left=left,
        deferred=count_deferred(own, newest.info if newest else None, None if running else left),
        total_usage=reader.usage_totals(),
        newest_usage=reader.usage_totals(run_id=newest.info.run_id if newest else ""),
        is_only_dry=is_only_dry,
        reports=f"{output_dir}/{FAILED}",
        now=now,
    )


def _find_current(runs: tuple[RunRow, ...], running: RunningProcess | None) -> RunRow | None:
    """Return the newest run if the process that holds the lock began it; None otherwise."""
    if running is None or not runs:
        return None
    newest = runs[0]
    is_current = newest.ended_at is None and newest.info.started_at >= running.started_at
    return newest if is_current else None


def _count_left(reader: JournalReader, newest: RunRow | None) -> int | None:
    if newest is None or newest.todo is None:
        return None
    return max(0, newest.todo - reader.count_finished(newest.info))


def _report_lines(status: _Status, output_dir: str) -> Iterator[str]:
    yield from wrap_row("Output", output_dir)
    if status.is_only_dry:
        yield from wrap(
            "[DRY RUN] Only dry runs have used this directory: nothing was asked, nothing was paid, and"
            " every answer counted here is simulated."
        )
    yield from wrap_row("Running", _running_text(status))
    yield from _image_lines(status)
    yield from deferral_lines(status.deferred_because if status.deferred else {})
    yield from _failure_lines(status)
    yield from wrap_row("Left to do", _left_text(status))
    yield from _usage_lines(status)
    yield from wrap_row("Last run", _last_run_text(status))
    if status.stopped:
        yield from wrap_row("Stopped", f"{status.stopped.detail.rstrip('. ')}.")
    yield from wrap_row("Next", f"{_next_step(status)}.")


def _running_text(status: _Status) -> str:
    holder, current = status.running, status.current
    if holder is None:
        return "no"
    dry = "a dry run, " if current and current.info.dry_run else ""
    since = _format_instant(holder.started_at, status.now)
    return f"yes: {dry}process {holder.pid} on {holder.host}, since {since}"


def _image_lines(status: _Status) -> Iterator[str]:
    yield from wrap_count(status.counts.succeeded, "answered")
    yield from wrap_count(sum(status.counts.failed.values()), "failed")
    yield from wrap_count(status.deferred, "deferred: the next run asks about them")


def _failure_lines(status: _Status) -> Iterator[str]:
    if status.counts.failed:
        yield "Failures"
    for kind in _largest_first(status.counts):
        advice = advice_for(kind, options=_options(status))
        yield from wrap_count(status.counts.failed[kind], f"{kind}: {advice.cause} {advice.remedy}")


def _largest_first(counts: OutcomeCounts) -> list[ErrorKind]:
    return sorted(counts.failed, key=lambda kind: (-counts.failed[kind], kind))


def _options(status: _Status) -> Options:
    """Return the settings of the newest run."""
    return status.newest.info.options if status.newest else {}


def _left_text(status: _Status) -> str:
    newest = status.newest
    if status.running and status.current is None:
        return "not known yet: the run has only just begun"
    if newest is None:
        return "not known: no run has begun here"
    if status.images_left is None and newest is status.current:
        return "not known yet: the run is still looking at the images"
    if status.images_left is None:
        return "not known: the newest run ended before it had looked at all images"
    return f"{status.images_left:,} of the {newest.todo:,} that the newest run set out to ask about"


def _usage_lines(status: _Status) -> Iterator[str]:
    if status.is_only_dry:
        return
    total, newest = status.total_usage, status.newest_usage
    yield from wrap_row("Calls", f"{total.calls:,} in all, {newest.calls:,} in the newest run")
    for direction, in_all, in_newest in (
        ("in", total.usage.input_tokens, newest.usage.input_tokens),
        ("out", total.usage.output_tokens, newest.usage.output_tokens),
    ):
        yield from wrap_row(f"Tokens {direction}", f"{in_all:,} in all, {in_newest:,} in the newest run")


def _last_run_text(status: _Status) -> str:
    last = status.last
    if last is None:
        return "none has ended yet" if status.running else "none"
    if last.ended_at is None:
        began = _format_instant(last.info.started_at, status.now)
        return f"cut off (killed, or the power failed); it began {began}"
    ended = _format_instant(last.ended_at, status.now)
    meaning = next((code.meaning for code in ExitCode if code == last.exit_code), "unknown")
    return f"ended {ended}, exit code {last.exit_code}: {meaning}"


def _next_step(status: _Status) -> str:
    last, counts = status.last, status.counts
    if status.running:
        return "wait; a second run here would ask nothing"
    if status.is_only_dry:
        return "run the command without --dry-run"
    if last is None:
        return "run the command"
    if last.ended_at is None:
        return f"{RUN_AGAIN}: it goes on where the last run was cut off"
    if status.stopped and last.exit_code in _REMEDY_IN_DOCUMENT:
        return _next_after_stop(status.stopped, status.now)
    return _NEXT_STEPS.get(last.exit_code) or _next_by_images(status, counts)


def _next_after_stop(stopped: StoppedRun, now: datetime) -> str:
    if stopped.resets_at is not None and stopped.resets_at <= now:
        return f"{RUN_AGAIN}: there is quota again since {_format_instant(stopped.resets_at, now)}"
    return stopped.remedy


def _next_by_images(status: _Status, counts: OutcomeCounts) -> str:
    if status.images_left or status.deferred:
        return f"{RUN_AGAIN} to go on"
    if not counts.failed:
        return "nothing; every image of the last run is answered"
    return describe_next(_largest_first(counts), options=_options(status), reports=status.reports)


def _format_instant(instant: datetime, now: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M} UTC ({_format_ago((now - instant).total_seconds())})"


def _format_ago(seconds: float) -> str:
    for unit, length_s in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        count = int(seconds // length_s)
        if count > 0:
            return f"{format_count(count, unit)} ago"
    return "just now"  # also for a clock that was set back
