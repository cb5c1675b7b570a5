"""How is one request put to the live service, and how does every way to fail come back as ours?

The only file that names the vendor's SDK. The SDK is told everything, so that no variable of the
environment bends a run, and its own retries are off, so that ``retry_handler`` is their one owner.
Replies are taken raw: what they mean is decided in ``answers`` and ``refusals``.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from errors import ApiFailure, ErrorKind
from gemini.answers import read_answer
from gemini.refusals import HttpError, exception_for, one_sentence
from models import Generation, GenerationRequest

if TYPE_CHECKING:
    from google.genai import types
    from google.genai.client import AsyncClient
    from google.genai.errors import APIError

API_VERSION = "v1beta"
"""The SDK's default, v1, lacks features this program uses (google-genai 3.x release notes, 2026-11)."""

GOOGLE_BASE_URL = "https://generativelanguage.googleapis.com"

MAX_INLINE_BYTES = 15_000_000
"""Larger images go through the Files API. The request limit is 20 MB on Google's image page and 100 MB
on its page about file input (both November 2026); base64 adds a third, so this is safe under either."""

OUTER_GRACE_S = 5.0
"""Our own deadline lies this much behind the SDK's, in case that one fails to fire."""

FILE_POLL_S = 1.0


class GeminiClient:
    """One client for the whole run; enter it with ``async with``.

    Args:
        api_key: sent as a header, and nowhere else.
        model: the model's id, without ``models/``.
        base_url: another endpoint, with or without a path; None for Google's own.
        wants_images: ask for pictures as well as words.
    """

    def __init__(self, *, api_key: str, model: str, base_url: str | None, wants_images: bool) -> None:
        self._api_key = api_key
        self._model = model
        self._base_url = _without_version(base_url or GOOGLE_BASE_URL)
        self._wants_images = wants_images
        self._stack = AsyncExitStack()
        self._client: AsyncClient | None = None

    def __repr__(self) -> str:
        """Show where the client points; never the key."""
        return f"GeminiClient(model={self._model!r}, base_url={self._base_url!r})"

    async def __aenter__(self) -> Self:
        """Open the client; the SDK is imported here, where it is first needed."""
        from google import genai  # noqa: PLC0415
        from google.genai import types  # noqa: PLC0415

        # It logs a line about "automatic function calling" for each call.
        logging.getLogger("google_genai").setLevel(logging.WARNING)
        client = genai.Client(
            api_key=self._api_key,
            enterprise=False,  # else GOOGLE_GENAI_USE_ENTERPRISE would decide
            http_options=types.HttpOptions(
                api_version=API_VERSION,
                base_url=self._base_url,
                # Without this a lost connection is silently sent a second time (_api_client.py:2277
                # in 3.4.0), inside our slot, past our limiter and maybe billed twice.
                retry_options=types.HttpRetryOptions(attempts=1),
            ),
        )
        self._stack.callback(client.close)  # also keeps the client alive: a collected one closes itself
        self._client = await self._stack.enter_async_context(client.aio)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all connections."""
        await self._stack.aclose()
        self._client = None

    async def generate(self, request: GenerationRequest) -> Generation:
        """Put one request; return its answer.

        Raises:
            ApiFailure: this image got no answer.
            FatalError: no image will get one.
        """
        async with _translated(request.timeout_s):
            if len(request.image) > MAX_INLINE_BYTES:
                body = await self._ask_about_file(request)
            else:
                body = await self._ask(request, self._inline_part(request))
        return read_answer(body, wants_images=self._wants_images)

    async def _ask(self, request: GenerationRequest, image: "types.Part") -> Any:
        """Return the reply's body as parsed JSON of any shape."""
        response = await self._open_client.models.generate_content(
            model=self._model,
            contents=[self._content(image, request.prompt)],
            config=self._config(request.timeout_s),
        )
        raw = response.sdk_http_response
        return _parsed(raw.body if raw else None)

    async def _ask_about_file(self, request: GenerationRequest) -> Any:
        async with self._uploaded(request) as image:
            return await self._ask(request, image)

    @asynccontextmanager
    async def _uploaded(self, request: GenerationRequest) -> AsyncIterator["types.Part"]:
        """Lend the image to the Files API for one call (files live 48 h there if we cannot delete)."""
        from io import BytesIO  # noqa: PLC0415

        from google.genai import types  # noqa: PLC0415

        files = self._open_client.files
        file = await files.upload(
            file=BytesIO(request.image), config=types.UploadFileConfig(mime_type=request.mime_type)
        )
        name = file.name or ""
        try:
            while file.state == types.FileState.PROCESSING:
                await asyncio.sleep(FILE_POLL_S)
                file = await files.get(name=name)
            if file.state == types.FileState.FAILED or not file.uri:
                raise ApiFailure(
                    kind=ErrorKind.INVALID_REQUEST, detail="the service could not read the uploaded image"
                )
            yield types.Part.from_uri(file_uri=file.uri, mime_type=request.mime_type)
        finally:
            await self._forget(name)

    async def _forget(self, name: str) -> None:
        from google.genai import errors  # noqa: PLC0415

        try:
            await self._open_client.files.delete(name=name)
        except (errors.APIError, OSError, TimeoutError, ValueError):
            logging.getLogger(__name__).debug("an uploaded image could not be deleted; it expires in 48 h")

    def _inline_part(self, request: GenerationRequest) -> "types.Part":
        from google.genai import types  # noqa: PLC0415

        return types.Part.from_bytes(data=request.image, mime_type=request.mime_type)

    @staticmethod
    def _content(image: "types.Part", prompt: str) -> "types.Content":
        from google.genai import types  # noqa: PLC0415

        return types.Content(role="user", parts=[image, types.Part.from_text(text=prompt)])

    def _config(self, timeout_s: float) -> "types.GenerateContentConfig":
        from google.genai import types  # noqa: PLC0415

        return types.GenerateContentConfig(
            http_options=types.HttpOptions(timeout=round(timeout_s * 1000)),  # milliseconds
            should_return_http_response=True,
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
            automatic_continuation=False,  # True would send further billed requests by itself
            response_modalities=["TEXT", "IMAGE"] if self._wants_images else None,
        )

    @property
    def _open_client(self) -> "AsyncClient":
        if self._client is None:
            raise RuntimeError("the client is not open")
        return self._client


@asynccontextmanager
async def _translated(timeout_s: float) -> AsyncIterator[None]:
    """Turn everything the SDK and its transport raise into ours, most specific first."""
    import aiohttp  # noqa: PLC0415
    from google.genai import errors  # noqa: PLC0415

    try:
        async with asyncio.timeout(timeout_s + OUTER_GRACE_S):
            yield
    except errors.APIError as error:
        raise exception_for(_http_error(error)) from error
    except TimeoutError as error:
        detail = f"no answer within {timeout_s:.0f} s"
        raise ApiFailure(kind=ErrorKind.TIMEOUT, detail=detail) from error
    except aiohttp.ClientConnectorError as error:
        raise _network(f"no connection: {error}", reached=False) from error
    except (aiohttp.ClientError, OSError) as error:
        words = str(error) or type(error).__name__
        raise _network(f"the connection was lost: {words}") from error
    except (ValueError, KeyError) as error:
        # Not JSON, not UTF-8, or JSON that the SDK cannot make sense of: its three ways to say so.
        raise _network("the reply is not what the service would send (a proxy may have answered)") from error


def _network(detail: str, *, reached: bool = True) -> ApiFailure:
    return ApiFailure(kind=ErrorKind.NETWORK, detail=one_sentence(detail), reached_server=reached)


def _http_error(error: "APIError") -> HttpError:
    """Take the SDK's error apart; where it did not see JSON it keeps the body's text as the message."""
    body: Any = error.details
    if isinstance(body, dict) and "error" not in body:
        body = _json_or_text(body.get("message"))
    # The SDK's annotation forgets aiohttp's response; both kinds have headers.
    headers = getattr(error.response, "headers", None) or {}
    return HttpError(
        status=error.code,
        body=body,
        headers={str(name).lower(): str(value) for name, value in headers.items()},
        about_file="/files" in urlsplit(str(getattr(error.response, "url", ""))).path,
    )


def _json_or_text(text: Any) -> Any:
    if not isinstance(text, str):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _parsed(body: str | None) -> Any:
    return json.loads(body) if body and body.strip() else None


def _without_version(base_url: str) -> str:
    """Accept a base URL that names the version already, as other programs want it."""
    return base_url.rstrip("/").removesuffix(f"/{API_VERSION}")
