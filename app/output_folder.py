"""The output directory before a run: where the run writes, and whether what it should hold is there.

An unmounted share is an empty directory. What was answered there is remembered in the state directory, so
that an empty one ends the run before all images are paid for again.
"""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from errors import StorageError
from rate_limit.shared import state_path
from storage.output.folders import JOURNAL, LEDGER, working_dir
from storage.output.own_tree import find_own_parts
from storage.output_memory import OutputMemory
from utils.image_discovery import FoundImage, discover

if TYPE_CHECKING:
    from config import Settings
    from storage.journal.reader import JournalReader

_NEXT = (
    "is a share or a disk not mounted? Nothing was asked. Next: mount it and run the same command again, or"
    " add --new-output once to begin anew there and pay for all images again"
)


def find_output_folder(settings: "Settings") -> Path:
    """Return the folder that the run holds and writes to: dry runs have one of their own."""
    return working_dir(settings.output_dir, dry_run=settings.dry_run)


def open_memory(settings: "Settings") -> OutputMemory:
    """Return what is remembered of the output directory."""
    shared = state_path(settings.state_dir)
    return OutputMemory(
        shared.parent if shared else None, input_dir=settings.input_dir, output_dir=settings.output_dir
    )


def describe_missing_output(settings: "Settings") -> str:
    """Return why the run must not begin, if the directory holds nothing of earlier runs; "" if it may.

    Creates nothing: a folder made below a mount point would be hidden once the share is back.

    Raises:
        StorageError: the directory cannot be read.
    """
    if settings.new_output or settings.dry_run or _has_trace(settings.output_dir):
        return ""
    return _describe(settings, answers=0, is_unused=True)


def describe_lost_output(settings: "Settings", journal: "JournalReader") -> str:
    """Return why the run must not begin, if the journal lacks the answers that there were; "" if it may."""
    if settings.new_output:
        return ""
    return _describe(settings, answers=journal.count_answers(), is_unused=journal.is_unused())


def describe_fewer_answers(settings: "Settings", journal: "JournalReader") -> str:
    """Return that answers are missing, if there are fewer than there were; "" otherwise."""
    known = None if settings.new_output else open_memory(settings).recall()
    answers = journal.count_answers()
    if known is None or answers >= known.answers:
        return ""
    return (
        f"{settings.output_dir} had {known.answers:,} answers for {settings.input_dir} on"
        f" {known.at:%Y-%m-%d}, and journal and ledger know {answers:,} now, as after the restore of a"
        f" backup: the others are asked again, unless the newest {LEDGER} is put back first"
    )


def _describe(settings: "Settings", *, answers: int, is_unused: bool) -> str:
    known = open_memory(settings).recall()
    if known and answers < known.answers / 2 and _has_image_from_before(settings, known.at):
        held = "none of them is" if not answers else f"only {answers:,} are"
        return (
            f"{settings.output_dir} had {known.answers:,} answers for {settings.input_dir} on"
            f" {known.at:%Y-%m-%d}, and {held} there now: {_NEXT}"
        )
    if settings.expect_output and is_unused:
        return f"{settings.output_dir} holds nothing of an earlier run, and --expect-output is set: {_NEXT}"
    return ""


def _has_image_from_before(settings: "Settings", at: datetime) -> bool:
    """Return False if all images are newer than the answers that are remembered: they are of another set."""
    images = discover(settings.input_dir, exclude=[settings.output_dir], find_own_parts=find_own_parts)
    return any(isinstance(one, FoundImage) and one.mtime_ns < at.timestamp() * 1e9 for one in images)


def _has_trace(output_dir: Path) -> bool:
    try:
        return any((output_dir / name).exists() for name in (JOURNAL, LEDGER))
    except OSError as error:
        raise StorageError(f"{output_dir} cannot be read: {error.strerror}; nothing was asked") from error
