"""Peer langchain-google-genai: ``ainvoke`` and an image block, as its documentation shows."""

import base64

from langchain_core.messages import HumanMessage  # type: ignore[import-not-found, unused-ignore]
from langchain_google_genai import (  # type: ignore[import-not-found, unused-ignore]
    ChatGoogleGenerativeAI,
)

from bench.task import RETRIES, Task, answer_all


async def answer(task: Task) -> None:
    """Ask about every image."""
    model = ChatGoogleGenerativeAI(
        model=task.model, google_api_key=task.key, base_url=task.base_url, max_retries=RETRIES + 1
    )

    async def ask(image: bytes) -> str:
        block = {"type": "image", "base64": base64.b64encode(image).decode(), "mime_type": task.mime_type}
        message = HumanMessage(content=[{"type": "text", "text": task.prompt}, block])
        text = (await model.ainvoke([message])).text
        if not text:
            raise ValueError("no text in the answer")
        return str(text)

    await answer_all(task, ask)
