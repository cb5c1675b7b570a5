"""Peer google-genai: the loop that its documentation shows.

``client.aio``, ``Part.from_bytes``, and its own retries switched on.
"""

from google import genai
from google.genai import types

from bench.task import RETRIES, Task, answer_all


async def answer(task: Task) -> None:
    """Ask about every image."""
    options = types.HttpOptions(
        base_url=task.base_url,
        api_version="v1beta",
        retry_options=types.HttpRetryOptions(attempts=RETRIES + 1),
    )
    async with genai.Client(api_key=task.key, http_options=options).aio as client:

        async def ask(image: bytes) -> str:
            part = types.Part.from_bytes(data=image, mime_type=task.mime_type)
            contents: list[types.PartUnion] = [part, task.prompt]
            response = await client.models.generate_content(model=task.model, contents=list(contents))
            if not response.text:
                raise ValueError("no text in the answer")
            return response.text

        await answer_all(task, ask)
