"""Memory, outside of an output directory, of the answers that an input directory had there.

A share that is not mounted is an empty directory: without this memory all images would be paid for again. One
small file stands for each pair of directories; it is found by the paths as they were given and as they
resolve, since a link on the share leads nowhere while the share is gone. A memory that cannot be read or
written is none: the run goes on.
"""

import hashlib
import json
import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from utils.files import write_atomic
from utils.json_encoding import utc_isoformat

log = logging.getLogger(__name__)

FOLDER = "outputs"
"""In the state directory."""
MAX_FILES = 2_000
"""Pairs of directories that are remembered; 4 KB of the disk each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RememberedOutput:
    """What an output directory is known to have held."""

    answers: int
    """To images of the same input directory or others, current and in the history."""
    at: datetime
    """When this was written, in UTC."""


class OutputMemory:
    """The memory of one pair of directories; its methods block.

    Args:
        state_dir: of the user; created if missing. None if the user has none: then nothing is remembered.
        input_dir: where the images are.
        output_dir: where the answers go.
        max_files: pairs of directories that are remembered.
    """

    def __init__(
        self, state_dir: Path | None, *, input_dir: Path, output_dir: Path, max_files: int = MAX_FILES
    ) -> None:
        self._max_files = max_files
        self._folder = (state_dir or Path()) / FOLDER
        given = os.path.abspath(input_dir), os.path.abspath(output_dir)  # noqa: PTH100 - links stay
        resolved = os.path.realpath(input_dir), os.path.realpath(output_dir)
        self._pairs = tuple(dict.fromkeys((given, resolved))) if state_dir else ()

    def recall(self) -> RememberedOutput | None:
        """Return what is remembered of the output directory; None if unknown."""
        found = (self._read(self._path(pair)) for pair in self._pairs)
        return next(filter(None, found), None)

    def remember(self, answers: int, now: datetime) -> None:
        """Write how many answers the output directory holds now, unless that is known."""
        known = self.recall()
        if not self._pairs or (known and known.answers == answers):
            return
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for pair in self._pairs:
                is_new = not self._path(pair).exists()
                write_atomic(self._path(pair), _encode(pair, answers, now), sync=False)
                if is_new:
                    self._remove_oldest()
        except OSError as error:
            log.info("what the output directory holds cannot be remembered: %s: %s", self._folder, error)

    def note_first_answer(self, now: datetime) -> None:
        """Write that there is an answer, unless more is known: the run may be killed before its end."""
        if self.recall() is None:
            self.remember(1, now)

    def forget(self) -> None:
        """Remove what is remembered of the output directory."""
        for pair in self._pairs:
            with suppress(OSError):
                self._path(pair).unlink(missing_ok=True)

    def _path(self, pair: tuple[str, str]) -> Path:
        digest = hashlib.sha256(json.dumps(pair).encode()).hexdigest()
        return self._folder / f"{digest[:32]}.json"

    @staticmethod
    def _read(path: Path) -> RememberedOutput | None:
        try:
            record = json.loads(path.read_bytes())
            answers = int(record["answers"])
            return (
                RememberedOutput(answers=answers, at=datetime.fromisoformat(record["at"]))
                if answers > 0
                else None
            )
        except (OSError, ValueError, LookupError, TypeError):
            return None

    def _remove_oldest(self) -> None:
        files = sorted(self._iter_files(), reverse=True)
        for _, path in files[self._max_files :]:
            with suppress(OSError):
                path.unlink()

    def _iter_files(self) -> Iterator[tuple[int, Path]]:
        """Yield the time and the path of each file."""
        for path in self._folder.glob("*.json"):
            with suppress(OSError):
                yield path.stat().st_mtime_ns, path


def _encode(pair: tuple[str, str], answers: int, now: datetime) -> bytes:
    record = {
        "schema_version": 1,
        "input_dir": pair[0],
        "output_dir": pair[1],
        "answers": answers,
        "at": utc_isoformat(now),
    }
    return json.dumps(record).encode() + b"\n"
