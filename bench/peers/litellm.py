"""Peer litellm: ``acompletion`` and an image as a data URL, as its documentation shows."""

import base64

import litellm  # type: ignore[import-not-found, unused-ignore]

from bench.task import RETRIES, Task, answer_all


async def answer(task: Task) -> None:
    """Ask about every image."""
    litellm.suppress_debug_info = True

    async def ask(image: bytes) -> str:
        url = f"data:{task.mime_type};base64,{base64.b64encode(image).decode()}"
        content = [{"type": "text", "text": task.prompt}, {"type": "image_url", "image_url": {"url": url}}]
        response = await litellm.acompletion(
            model=f"gemini/{task.model}",
            messages=[{"role": "user", "content": content}],
            api_base=task.base_url,
            api_key=task.key,
            num_retries=RETRIES,
        )
        text = response.choices[0].message.content
        if not text:
            raise ValueError("no text in the answer")
        return str(text)

    await answer_all(task, ask)
