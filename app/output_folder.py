"""The output directory before a run: which folder of it the run writes to."""

from pathlib import Path
from typing import TYPE_CHECKING

from storage.output.folders import working_dir

if TYPE_CHECKING:
    from config import Settings


def find_output_folder(settings: "Settings") -> Path:
    """Return the folder that the run holds and writes to: dry runs have one of their own."""
    return working_dir(settings.output_dir, dry_run=settings.dry_run)
