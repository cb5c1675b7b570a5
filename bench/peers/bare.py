"""Peer bare: the least that is possible with aiohttp, JSON made by hand, a semaphore and no checks.

The practical limit. With a configured limit per minute it spaces its calls evenly, which is the best that
can be done with one; it learns nothing and does not retry.
"""

import asyncio
import base64
import json

import aiohttp

from bench.task import Task, answer_all


class _Pace:
    """Lets calls start at even distances."""

    def __init__(self, per_minute: float) -> None:
        self._spacing_s = 60.0 / per_minute if per_minute else 0.0
        self._next_s = 0.0

    async def turn(self) -> None:
        """Return when the next call may start."""
        now_s = asyncio.get_running_loop().time()
        self._next_s = max(self._next_s, now_s)
        wait_s = self._next_s - now_s
        self._next_s += self._spacing_s
        await asyncio.sleep(wait_s)


async def answer(task: Task) -> None:
    """Ask about every image."""
    url = f"{task.base_url}/v1beta/models/{task.model}:generateContent"
    headers = {"x-goog-api-key": task.key, "Content-Type": "application/json"}
    pace = _Pace(task.per_minute)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def ask(image: bytes) -> str:
            data = base64.b64encode(image).decode()
            parts = [
                {"inlineData": {"mimeType": task.mime_type, "data": data}},
                {"text": task.prompt},
            ]
            await pace.turn()
            body = json.dumps({"contents": [{"role": "user", "parts": parts}]})
            async with session.post(url, data=body, headers=headers) as response:
                response.raise_for_status()
                document = await response.json()
            return str(document["candidates"][0]["content"]["parts"][0]["text"])

        await answer_all(task, ask)
