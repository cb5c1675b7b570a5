"""Peer curator: its litellm backend and images named by path, as its documentation shows.

It keeps a cache of its own, which makes it the nearest relative of a journal.
"""

import json
from pathlib import Path
from typing import Any

from bespokelabs import curator  # type: ignore[import-not-found, import-untyped, unused-ignore]

from bench.task import RETRIES, Task

_NO_LIMIT = 1_000_000_000
_MODEL = "gemini/gemini-2.5-flash"
"""The version of litellm that it is pinned to knows no newer model that sees; the server minds no name."""


def answer(task: Task) -> None:
    """Ask about every image; the library brings its own event loop."""

    class Describer(curator.LLM):  # type: ignore[misc, unused-ignore]
        """Asks the task's prompt about the image of a row."""

        def prompt(self, row: dict[str, Any]) -> Any:
            """Return what is asked."""
            return task.prompt, curator.types.Image(url=row["path"])

        def parse(self, row: dict[str, Any], response: str) -> dict[str, str]:
            """Return what is kept."""
            return {"image": row["image"], "text": response}

    asks = Describer(
        model_name=_MODEL,
        backend="litellm",
        backend_params={
            "base_url": task.base_url,
            "max_requests_per_minute": _NO_LIMIT,
            "max_tokens_per_minute": _NO_LIMIT,
            "max_concurrent_requests": task.in_flight,
            "max_retries": RETRIES,
            "require_all_responses": False,
        },
    )
    root = Path(task.images)
    rows = [{"image": path.relative_to(root).as_posix(), "path": str(path)} for path in task.open_images()]
    with Path(task.answers).open("a") as answers:
        answers.writelines(json.dumps(dict(row)) + "\n" for row in asks(rows).dataset)
