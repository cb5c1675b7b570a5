"""Another run in the output directory that the lock does not show, because its file was removed."""

from typing import TYPE_CHECKING

from app.output_folder import find_output_folder
from storage.journal.running_process import find_living_in
from storage.output.folders import JOURNAL
from utils.lock import LockHolder

if TYPE_CHECKING:
    from config import Settings


def find_other_run(settings: "Settings") -> str:
    """Return who writes the output directory now, by its journal; "" if it is free, and with ``--no-lock``.

    To be called before anything is changed there: unfinished files may be those of the other run.
    """
    if settings.no_lock:
        return ""
    other = find_living_in(find_output_folder(settings) / JOURNAL, dry_run=settings.dry_run)
    return describe_other_run(settings, other) if other else ""


def describe_other_run(settings: "Settings", other: LockHolder) -> str:
    """Return who writes the output directory, and what to do."""
    return (
        f"{find_output_folder(settings)} is written by process {other.pid} on {other.host} since"
        f" {other.started_at}, although the lock is free: its file was removed. Nothing was done."
        " Next: wait for that run, or stop it."
    )
