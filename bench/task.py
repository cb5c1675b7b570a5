"""Task of a peer, and the plain script that does it.

The loop that documentation shows: a semaphore, one coroutine for each image, a line of JSON for each
answer. Standard library alone, since it runs in every peer's environment.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path

Ask = Callable[[bytes], Awaitable[str]]
"""Returns the words of the answer to an image; may raise anything."""

RETRIES = 5
"""Retries for every peer that has such a setting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One run of a peer."""

    images: str
    answers: str
    """File of JSON lines; images that it names are skipped, as a script does that was stopped."""
    base_url: str
    key: str
    model: str
    prompt: str
    in_flight: int
    mime_type: str = "image/jpeg"
    per_minute: float = 0.0
    """The pace for a script with the limit configured; 0 for none."""
    stalls: str | None = None
    """Where to write how long the event loop stood still; None to leave it unwatched."""

    @classmethod
    def read(cls, path: Path) -> "Task":
        """Read what ``write`` wrote."""
        return cls(**json.loads(path.read_text()))

    def write(self, path: Path) -> None:
        """Write the task for another process."""
        path.write_text(json.dumps(asdict(self)))

    def open_images(self) -> list[Path]:
        """Return the images that have no answer yet."""
        answers = Path(self.answers)
        lines = answers.read_text().splitlines() if answers.exists() else []
        known = {json.loads(line)["image"] for line in lines}
        root = Path(self.images)
        paths = sorted(path for path in root.rglob("*") if path.is_file())
        return [path for path in paths if path.relative_to(root).as_posix() not in known]


async def answer_all(task: Task, ask: Ask) -> None:
    """Ask about every image, so many at a time; a failure costs its image and nothing else."""
    slots = asyncio.Semaphore(task.in_flight)
    with Path(task.answers).open("a") as answers:  # noqa: ASYNC230 - as scripts do

        async def one(path: Path) -> None:
            async with slots:
                try:
                    text = await ask(path.read_bytes())  # noqa: ASYNC240 - as scripts do
                except Exception as error:  # noqa: BLE001 - whatever the library raises: its image failed
                    print(f"{path.name}: {type(error).__name__}: {str(error)[:200]}")
                    return
            image = path.relative_to(task.images).as_posix()
            answers.write(json.dumps({"image": image, "text": text}) + "\n")

        await asyncio.gather(*(one(path) for path in task.open_images()))
