"""Harness of the Gemini client's tests: one request to an emulator, by our client or by the SDK."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from gemini.client import GeminiClient
from gemini.model_info import produces_images
from gemini.reply_room import ReplyLease
from models import Generation, GenerationOptions, GenerationRequest, Parameter
from tests.emulator import Emulator, Fault, FaultPlan

if TYPE_CHECKING:
    from google import genai
    from google.genai import types

SDK_WARNINGS = [
    # google-genai 3.4.0 subclasses aiohttp's session, and aiohttp warns of bodies above 1 MiB.
    pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning"),
]

TEXT_MODEL = "gemini-3.5-flash-lite"
IMAGE_MODEL = "gemini-nano-banana-2.1"
KEY = "test-key"
LOWER_LEVELS = {
    "gemini-3.6-flash": "LOW",
    "gemini-3.7-flash": "LOW",
    "gemini-3.8-flash": "LOW",
    "gemini-3.1-pro-preview": "LOW",
    "gemini-4-hydrogen": "LOW",
    "gemini-4-argon": "LOW",
    "gemini-4-carbon": "LOW",
    "gemini-flash-latest": "LOW",
    "gemini-nano-banana-2.1": "MINIMAL",
}
"""The lower thinking level to change to, for every model that has one below its default.

Source: docs/api-facts.md, section 4.3."""
IMAGE = b"\xff\xd8\xff\xe0 a small picture \xfb\xff\xfe"


class SdkClient(GeminiClient):
    """The client with the SDK for small images too, to compare our own requests with."""

    _genai: "genai.Client | None" = None

    async def _send_inline(self, request: GenerationRequest, lease: ReplyLease) -> tuple[bytes, str]:  # noqa: ARG002
        from google.genai import types  # noqa: PLC0415

        from gemini.sdk import open_sdk  # noqa: PLC0415

        assert self._session
        if self._genai is None:
            self._genai = open_sdk(self._api_key, self._base_url, self._session)
            self._stack.callback(self._genai.close)
        options = request.options
        level = types.PartMediaResolutionLevel.MEDIA_RESOLUTION_ULTRA_HIGH
        image = types.Part.from_bytes(
            data=request.image,
            mime_type=request.mime_type,
            media_resolution=level if options.media_resolution == "ULTRA_HIGH" else None,
        )
        references = [
            types.Part.from_bytes(data=one.data, mime_type=one.mime_type) for one in options.reference_images
        ]
        text = types.Part.from_text(text=request.prompt)
        response = await self._genai.aio.models.generate_content(
            model=self._model,
            contents=[types.Content(role="user", parts=[image, *references, text])],
            config=types.GenerateContentConfig(
                http_options=types.HttpOptions(timeout=round(request.timeout_s * 1000)),
                should_return_http_response=True,
                automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
                automatic_continuation=False,
                max_output_tokens=request.max_output_tokens,
                response_modalities=self._modalities(request),
                thinking_config=self._thinking(request),
                **_sdk_options(options),
            ),
        )
        raw = response.sdk_http_response
        return ((raw.body if raw else None) or "").encode(), "utf-8"

    def _modalities(self, request: GenerationRequest) -> list[str] | None:
        words = [] if Parameter.PICTURE_ONLY in request.parameters else ["TEXT"]
        return [*words, "IMAGE"] if self._wants_images else None

    def _thinking(self, request: GenerationRequest) -> "types.ThinkingConfig | None":
        from google.genai import types  # noqa: PLC0415

        level = request.options.thinking_level
        if Parameter.LESS_THINKING in request.parameters:
            level = LOWER_LEVELS.get(self._model.removeprefix("models/"))
        if level is None:
            return None
        return types.ThinkingConfig(thinking_level=types.ThinkingLevel(level))


def _sdk_options(options: GenerationOptions) -> dict[str, Any]:
    """Return the options as the SDK has them."""
    from google.genai import types  # noqa: PLC0415

    found: dict[str, Any] = {
        "temperature": options.temperature,
        "top_p": options.top_p,
        "seed": options.seed,
        "system_instruction": options.system_instruction,
    }
    if options.media_resolution not in {None, "ULTRA_HIGH"}:
        found["media_resolution"] = types.MediaResolution(f"MEDIA_RESOLUTION_{options.media_resolution}")
    if options.aspect_ratio or options.image_size:
        found["image_config"] = types.ImageConfig(
            aspect_ratio=options.aspect_ratio, image_size=options.image_size
        )
    if options.safety:
        found["safety_settings"] = [
            types.SafetySetting(
                category=types.HarmCategory(category), threshold=types.HarmBlockThreshold(threshold)
            )
            for category, threshold in options.safety
        ]
    return found


ClientClass = type[GeminiClient]
CLIENT_CLASSES: tuple[ClientClass, ...] = (GeminiClient, SdkClient)
each_client_class = pytest.mark.parametrize("client_class", CLIENT_CLASSES, ids=["our own body", "the SDK's"])
"""Both clients; a test of both shows that our own requests behave like the SDK's."""


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
    question: GenerationRequest | None = None,
    client_class: ClientClass = GeminiClient,
) -> Generation:
    """Send one request to an emulator and return the answer, or raise what the client raises."""

    async def call() -> Generation:
        async with emulator:
            client = client_class(
                api_key=key,
                model=model,
                base_url=url(emulator.base_url),
                wants_images=produces_images(model),
            )
            async with client:
                return await client.generate(question or request())

    return asyncio.run(call())


def emulator_with(fault: Fault, **options: object) -> Emulator:
    """Return an emulator whose first call meets this fault."""
    return Emulator(plan=FaultPlan(per_call={0: fault}), **options)  # type: ignore[arg-type]
