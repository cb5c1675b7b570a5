"""How do the tests of the Gemini client put one request to an emulator?"""

import asyncio
from collections.abc import Callable

import pytest

from gemini import produces_images
from gemini.client import GeminiClient
from models import Generation, GenerationRequest
from tests.emulator import Emulator, Fault, FaultPlan

SDK_WARNINGS = [
    # google-genai 3.4.0 subclasses aiohttp's session, and aiohttp warns of bodies above 1 MiB.
    pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning"),
]

TEXT_MODEL = "gemini-3.5-flash-lite"
IMAGE_MODEL = "gemini-nano-banana-2.1"
KEY = "test-key"
IMAGE = b"\xff\xd8\xff\xe0 a small picture \xfb\xff\xfe"


def request(prompt: str = "describe it", image: bytes = IMAGE, timeout_s: float = 20.0) -> GenerationRequest:
    """Return a request for a small picture."""
    return GenerationRequest(
        key="a.jpg", image=image, mime_type="image/jpeg", prompt=prompt, timeout_s=timeout_s
    )


def ask(
    emulator: Emulator,
    *,
    model: str = TEXT_MODEL,
    key: str = KEY,
    url: Callable[[str], str] = str,
    asked: GenerationRequest | None = None,
) -> Generation:
    """Put one request to an emulator and return the answer, or raise what the client raises."""

    async def call() -> Generation:
        async with emulator:
            client = GeminiClient(
                api_key=key,
                model=model,
                base_url=url(emulator.base_url),
                wants_images=produces_images(model),
            )
            async with client:
                return await client.generate(asked or request())

    return asyncio.run(call())


def one(fault: Fault, **options: object) -> Emulator:
    """Return an emulator whose first call meets this fault."""
    return Emulator(plan=FaultPlan(per_call={0: fault}), **options)  # type: ignore[arg-type]
