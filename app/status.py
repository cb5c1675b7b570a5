"""How does the work in this output directory stand: what is done, what failed, what is left, what now?

What ``--status`` prints, from the journal, and from the document of the last run where that was stopped:
without a key, beside a run that is going on, and without changing a byte. What the document advised is
not repeated blindly: a quota that was used up then may have been reset since. This file must not know how
a lock is held, nor how anything is counted.
"""

import json
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from errors import ExitCode, StopReason
from reports.advice import ADVICE
from reports.summary import WIDTH
from storage.journal import JournalReader, OutcomeCounts, RunRow, Spending
from storage.journal.plan import TRANSIENT
from storage.output.layout import JOURNAL, METADATA
from utils.logger import one_line

_DOCUMENT = f"{METADATA}/processing_stats.json"
_LABEL = 13
_AGAIN = "run the same command again"
_NEXT: Mapping[int | None, str] = {
    ExitCode.UNEXPECTED: f"see what its last line or its log says, then {_AGAIN}",
    ExitCode.USAGE: "correct the flag, the variable or the model's name, then run again",
    ExitCode.NO_INPUT: "check --input-dir",
    ExitCode.KEY_REFUSED: "check the key, its permissions and its project's billing, then run again",
    ExitCode.BUDGET: StopReason.BUDGET.remedy,
    ExitCode.TRY_LATER: f"{_AGAIN} later",
}
"""What no look at the images can tell; a run that ended otherwise is judged by what it left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """The process that holds the output directory, as its lock tells."""

    pid: int
    host: str
    started_at: datetime
    """Before it began its run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppedRun:
    """What the document of a run that was stopped says about its end."""

    run_id: str
    detail: str
    remedy: str
    resets_at: datetime | None
    """When there is quota again; None when no clock decides it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Picture:
    """What is known, looked up once."""

    counts: OutcomeCounts
    running: Running | None
    current: RunRow | None
    """The run that is going on, once the journal knows it."""
    newest: RunRow | None
    """The newest run that counts: a dry one only where there is nothing else."""
    last: RunRow | None
    """The newest of these that is over."""
    stopped: StoppedRun | None
    """How that one ended, where its own document says that it was stopped."""
    left: int | None
    """Images that the newest run has still to do, or left; None when that cannot be known."""
    spent: Spending
    spent_newest: Spending
    only_dry: bool
    now: datetime


def open_status(output_dir: Path) -> JournalReader:
    """Open what ``status_report`` reads.

    Raises:
        UsageError: no run has used this directory yet, or a newer version wrote its journal.
        StorageError: the journal cannot be read.
    """
    return JournalReader.read_only(output_dir / JOURNAL)


def read_stopped(output_dir: Path) -> StoppedRun | None:
    """Read how the run ended whose document lies there; None when it was not stopped, or cannot be read."""
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
        return None  # a comfort only: the journal has told all that is needed


def status_report(
    reader: JournalReader,
    *,
    output_dir: str,
    running: Running | None,
    now: datetime,
    stopped: StoppedRun | None = None,
) -> str:
    """Return what to print: plain lines of at most ``closing.WIDTH`` columns but for a longer path.

    Args:
        reader: from ``open_status``, or the journal of the very run that is going on.
        output_dir: for people.
        running: who holds the lock; None when nobody does.
        now: UTC.
        stopped: from ``read_stopped``; what it says counts only where it is about the last run.
    """
    picture = _look(reader, running=running, now=now, stopped=stopped)
    return "\n".join(_report(picture, output_dir)) + "\n"


def _look(
    reader: JournalReader, *, running: Running | None, now: datetime, stopped: StoppedRun | None
) -> _Picture:
    runs, counts = reader.runs(), reader.tree_counts()
    real = [run for run in runs if not run.info.dry_run]
    only_dry = bool(runs) and not real and counts.real == OutcomeCounts()
    counted = list(runs) if only_dry else real
    current = _current(runs, running)
    newest = counted[0] if counted else None
    last = next((run for run in counted if run is not current), None)
    return _Picture(
        counts=counts.dry if only_dry else counts.real,
        running=running,
        current=current,
        newest=newest,
        last=last,
        stopped=stopped if stopped and last and stopped.run_id == last.info.run_id else None,
        left=_left(reader, newest),
        spent=reader.spending(),
        spent_newest=reader.spending(run_id=newest.info.run_id if newest else ""),
        only_dry=only_dry,
        now=now,
    )


def _current(runs: tuple[RunRow, ...], running: Running | None) -> RunRow | None:
    """A run is killed without a word, so that only the lock tells whether it is still going on."""
    if running is None or not runs:
        return None
    newest = runs[0]
    is_it = newest.ended_at is None and newest.info.started_at >= running.started_at
    return newest if is_it else None


def _left(reader: JournalReader, newest: RunRow | None) -> int | None:
    if newest is None or newest.todo is None:
        return None
    return max(0, newest.todo - reader.finished(newest.info))


def _report(picture: _Picture, output_dir: str) -> Iterator[str]:
    yield from _row("Output", output_dir)
    if picture.only_dry:
        yield from _wrapped(
            "[DRY RUN] Only dry runs have used this directory: nothing was asked, nothing was paid, and"
            " every answer counted here is simulated."
        )
    yield from _row("Running", _running(picture))
    yield from _images(picture.counts)
    yield from _failures(picture.counts)
    yield from _row("Left to do", _left_words(picture))
    yield from _spending(picture)
    yield from _row("Last run", _last_run(picture))
    if picture.stopped:
        yield from _row("Stopped", f"{picture.stopped.detail.rstrip('. ')}.")
    yield from _row("Next", f"{_next(picture)}.")


def _running(picture: _Picture) -> str:
    holder, current = picture.running, picture.current
    if holder is None:
        return "no"
    dry = "a dry run, " if current and current.info.dry_run else ""
    since = _moment(holder.started_at, picture.now)
    return f"yes: {dry}process {holder.pid} on {holder.host}, since {since}"


def _images(counts: OutcomeCounts) -> Iterator[str]:
    failed = sum(counts.failed.values())
    yield from _counted(counts.succeeded, "answered")
    yield from _counted(failed, "failed")
    yield from _counted(counts.deferred, "put off: nothing is wrong with them, the next run does them")


def _failures(counts: OutcomeCounts) -> Iterator[str]:
    if counts.failed:
        yield "Failures"
    for kind, count in sorted(counts.failed.items(), key=lambda item: (-item[1], item[0])):
        yield from _counted(count, f"{kind}: {ADVICE[kind].cause} {ADVICE[kind].remedy}")


def _left_words(picture: _Picture) -> str:
    newest = picture.newest
    if picture.running and picture.current is None:
        return "not known yet: the run has only just begun"
    if newest is None:
        return "not known: no run has begun here"
    if picture.left is None and newest is picture.current:
        return "not known yet: the run is still looking at the images"
    if picture.left is None:
        return "not known: the newest run ended before it had looked at all images"
    return f"{picture.left:,} of the {newest.todo:,} that the newest run set out to ask about"


def _spending(picture: _Picture) -> Iterator[str]:
    if picture.only_dry:
        return
    whole, newest = picture.spent, picture.spent_newest
    yield from _row("Calls", f"{whole.calls:,} in all, {newest.calls:,} in the newest run")
    for way, in_all, in_newest in (
        ("in", whole.usage.input_tokens, newest.usage.input_tokens),
        ("out", whole.usage.output_tokens, newest.usage.output_tokens),
    ):
        yield from _row(f"Tokens {way}", f"{in_all:,} in all, {in_newest:,} in the newest run")


def _last_run(picture: _Picture) -> str:
    last = picture.last
    if last is None:
        return "none has ended yet" if picture.running else "none"
    if last.ended_at is None:
        began = _moment(last.info.started_at, picture.now)
        return f"cut off (killed, or the power failed); it began {began}"
    ended = _moment(last.ended_at, picture.now)
    meaning = next((code.meaning for code in ExitCode if code == last.exit_code), "unknown")
    return f"ended {ended}, exit code {last.exit_code}: {meaning}"


def _next(picture: _Picture) -> str:
    last, counts = picture.last, picture.counts
    if picture.running:
        return "wait; a second run here would ask nothing"
    if picture.only_dry:
        return "run the command without --dry-run"
    if last is None:
        return "run the command"
    if last.ended_at is None:
        return f"{_AGAIN}: it goes on where the last run was cut off"
    if picture.stopped and last.exit_code == ExitCode.TRY_LATER:
        return _next_after_stop(picture.stopped, picture.now)
    return _NEXT.get(last.exit_code) or _next_by_images(picture, counts)


def _next_after_stop(stopped: StoppedRun, now: datetime) -> str:
    if stopped.resets_at is not None and stopped.resets_at <= now:
        return f"{_AGAIN}: there is quota again since {_moment(stopped.resets_at, now)}"
    return stopped.remedy


def _next_by_images(picture: _Picture, counts: OutcomeCounts) -> str:
    if picture.left or counts.deferred:
        return f"{_AGAIN} to go on"
    if not counts.failed:
        return "nothing; every image of the last run is answered"
    if counts.failed.keys() <= TRANSIENT:
        return _AGAIN
    # Without a flag only what another night may cure is asked again.
    curable = ",".join(sorted(kind for kind in counts.failed if ADVICE[kind].worth_repeating))
    flag = f"with --only {curable}" if curable else "for the repaired images"
    return f"do what is said beside the failures, then {_AGAIN} {flag}"


def _moment(moment: datetime, now: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC ({_ago((now - moment).total_seconds())})"


def _ago(seconds: float) -> str:
    for unit, length_s in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        count = int(seconds // length_s)
        if count > 0:
            return f"{count:,} {unit}{'' if count == 1 else 's'} ago"
    return "just now"  # also for a clock that was set back


def _row(label: str, text: str) -> list[str]:
    return _wrapped(f"{label:<{_LABEL}}{one_line(text)}", indent=_LABEL)


def _counted(count: int, what: str) -> list[str]:
    return _wrapped(f"{count:>7,}  {what}", indent=9)


def _wrapped(text: str, *, indent: int = 0) -> list[str]:
    # A path is never broken: it is there to be copied.
    return textwrap.wrap(
        text, WIDTH, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
    )
