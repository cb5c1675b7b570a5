"""Peer pydantic-ai: an agent and ``BinaryContent``, as its documentation shows."""

from google.genai.types import HttpRetryOptions
from pydantic_ai import Agent, BinaryContent  # type: ignore[import-not-found, unused-ignore]
from pydantic_ai.models.google import GoogleModel  # type: ignore[import-not-found, unused-ignore]
from pydantic_ai.providers.google import GoogleProvider  # type: ignore[import-not-found, unused-ignore]

from bench.task import RETRIES, Task, answer_all


async def answer(task: Task) -> None:
    """Ask about every image."""
    provider = GoogleProvider(
        api_key=task.key,
        base_url=task.base_url,
        retry_options=HttpRetryOptions(attempts=RETRIES + 1),
    )
    agent = Agent(GoogleModel(task.model, provider=provider), retries=RETRIES)

    async def ask(image: bytes) -> str:
        result = await agent.run([task.prompt, BinaryContent(data=image, media_type=task.mime_type)])
        return str(result.output)

    await answer_all(task, ask)
