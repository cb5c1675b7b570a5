"""Clients for the tests of the emulator: the real SDK without its hidden retry, and plain HTTP."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiohttp
from google import genai
from google.genai import types

from tests.emulator.server import Emulator

_T = TypeVar("_T")

JPEG = b"\xff\xd8\xff" + b"a picture, more or less" * 9
SHA256 = hashlib.sha256(JPEG).hexdigest()
TEXT_MODEL, IMAGE_MODEL = "gemini-3.5-flash-lite", "gemini-nano-banana-2.1"
KEY = {"x-goog-api-key": "test-key"}
SDK_WARNING = "ignore:Inheritance class AiohttpClientSession:DeprecationWarning"
"""google-genai 3.4.0 subclasses aiohttp.ClientSession, which aiohttp frowns upon when it happens."""
PATIENCE_MS = 20_000
"""Longer than a busy machine takes for any answer."""
IMPATIENCE_MS = 300
"""For calls that are to hang."""


@asynccontextmanager
async def sdk(emulator: Emulator, key: str = "test-key") -> AsyncIterator[Any]:
    """Yield the real SDK's async client, without its hidden retry."""
    options = types.HttpOptions(
        base_url=emulator.base_url,
        api_version="v1beta",
        timeout=PATIENCE_MS,
        retry_options=types.HttpRetryOptions(attempts=1),
    )
    client = genai.Client(api_key=key, http_options=options)
    async with client.aio as service:
        yield service
    client.close()


async def ask(
    service: Any, *, model: str = TEXT_MODEL, prompt: str = "describe it", timeout_ms: int = PATIENCE_MS
) -> Any:
    """Send the picture; an image model is asked for words and a picture."""
    config = types.GenerateContentConfig(
        response_modalities=["TEXT", "IMAGE"] if model == IMAGE_MODEL else None,
        http_options=types.HttpOptions(timeout=timeout_ms),
    )
    contents = [types.Part.from_bytes(data=JPEG, mime_type="image/jpeg"), prompt]
    return await service.models.generate_content(model=model, contents=contents, config=config)


async def catch(attempt: Awaitable[_T]) -> _T | BaseException:
    """Return what came back or was raised."""
    return (await asyncio.gather(attempt, return_exceptions=True))[0]


def run_with_sdk(emulator: Emulator, scenario: Callable[[Any], Awaitable[_T]], key: str = "test-key") -> _T:
    """Run a scenario with the SDK against an emulator."""

    async def run() -> _T:
        async with emulator, sdk(emulator, key) as service:
            return await scenario(service)

    return asyncio.run(run())


def raw(
    emulator: Emulator, document: Any, headers: Mapping[str, str] = KEY, path: str = ""
) -> tuple[int, Any]:
    """POST a document as a plain HTTP client; return status and decoded body."""

    async def run() -> tuple[int, Any]:
        async with emulator, aiohttp.ClientSession(emulator.base_url) as session:
            url = path or f"/v1beta/models/{TEXT_MODEL}:generateContent"
            data = document if isinstance(document, bytes) else json.dumps(document).encode()
            async with session.post(url, data=data, headers=headers) as response:
                body = await response.read()
                return response.status, json.loads(body) if body.startswith(b"{") else body

    return asyncio.run(run())


def request_of(part: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Return a generateContent body with one part and a prompt."""
    return {"contents": [{"role": "user", "parts": [part, {"text": "describe it"}]}], **more}
