"""Input directory of very many images, and an output directory that answers them all.

A process of its own (``python -m bench.filled`` and the flags of the program), since the memory of the
process that starts the measured program counts as the program's. It uses the program's own parts; only the
syncing of every write to the disk is left out.
"""

import asyncio
import hashlib
import os
import sys
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import config
from app import composition
from archiver import Archiver
from bench.images import EDGE_PX
from gemini.simulated import SimulatedModel
from models import Attempt, GenerationRequest, ImageContent, ImageJob, Prompt, RunInfo, Succeeded
from storage.journal import connection
from storage.journal.journal import Journal
from storage.output.folders import JOURNAL
from utils.held_lock import HeldLock
from utils.image_discovery import FoundImage, discover

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

_NOW = datetime(2026, 11, 23, 22, 0, tzinfo=UTC)


def fill(arguments: Sequence[str]) -> None:
    """Answer every image as a run of the program with these arguments would, without any call."""
    settings = config.load(arguments, env={"GEMINI_API_KEY": "bench-key"}, dotenv_paths=[])
    if not isinstance(settings, config.Settings):
        raise SystemExit("a request without a run answers nothing")
    os.fsync = _leave_unsynced
    context = composition.build_context(settings, lambda: _NOW, HeldLock(settings.output_dir / "lock"))
    info, archiver = context.info, composition.build_archiver(context)
    archiver.check_writable()
    opened = connection.open_for_writing(settings.output_dir / JOURNAL, lambda: _NOW)
    opened.connection.execute("PRAGMA synchronous = OFF")
    path = settings.output_dir / JOURNAL
    with closing(Journal(path, opened, run=info, is_present=archiver.is_present)) as journal:
        journal.begin_run()
        asyncio.run(_answer(settings.input_dir, info, archiver, journal))
        journal.end_run(exit_code=0, ended_at=_NOW, ledger=archiver.proven_answers.state())


def _leave_unsynced(fd: "FileDescriptorLike") -> None:
    """Stand in for ``os.fsync``: what a power cut takes from a benchmark may go."""


async def _answer(input_dir: Path, info: RunInfo, archiver: Archiver, journal: Journal) -> None:
    async with SimulatedModel(model=info.model, wants_images=False) as model:
        for image in discover(input_dir, exclude=[]):
            if isinstance(image, FoundImage):
                outcome = await _succeeded(image, info, model)
                journal.record_one(outcome, archiver.store(outcome), finished_at=_NOW)


async def _succeeded(image: FoundImage, info: RunInfo, model: SimulatedModel) -> Succeeded:
    data, prompt = image.path.read_bytes(), Prompt(text=info.prompt)
    request = GenerationRequest(
        key=image.relative, image=data, mime_type="image/png", prompt=prompt.text, timeout_s=180.0
    )
    generation = await model.generate(request)
    return Succeeded(
        job=ImageJob(
            key=image.relative,
            path=image.path,
            size_bytes=image.size_bytes,
            mtime_ns=image.mtime_ns,
            ctime_ns=image.ctime_ns,
            inode=image.inode,
        ),
        content=ImageContent(
            sha256=hashlib.sha256(data).hexdigest(), mime_type="image/png", width=EDGE_PX, height=EDGE_PX
        ),
        prompt=prompt,
        generation=generation,
        attempts=(
            Attempt(
                number=1,
                started_at=_NOW,
                seconds=1.0,
                prompt=prompt,
                timeout_s=180.0,
                http_status=200,
                usage=generation.usage,
            ),
        ),
    )


if __name__ == "__main__":
    fill(sys.argv[1:])
