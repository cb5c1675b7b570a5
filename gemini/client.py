"""How is one request put to the live service, and how does every way to fail come back as ours?

The SDK is told everything, so that no variable of the environment bends a run, and its own retries
are off, so that ``retry_handler`` is their one owner. Replies are taken raw: what they mean is decided
in ``answers`` and ``refusals``. This file does not know how bytes travel (``wire``).
"""

import asyncio
import json
import logging
import re
import warnings
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from errors import ApiFailure, ErrorKind, FatalError
from gemini.answers import read_answer
from gemini.refusals import HttpError, exception_for
from gemini.words import one_sentence, without_secret
from models import Generation, GenerationRequest

if TYPE_CHECKING:
    from google.genai import types
    from google.genai.client import AsyncClient
    from google.genai.errors import APIError

    from gemini.uploads import Uploads

API_VERSION = "v1beta"
"""The SDK's default, v1, lacks features this program uses (google-genai 3.x release notes, 2026-11)."""

GOOGLE_BASE_URL = "https://generativelanguage.googleapis.com"

MAX_INLINE_BYTES = 15_000_000
"""Larger images go through the Files API. The request limit is 20 MB on Google's image page and 100 MB
on its page about file input (both November 2026); base64 adds a third, so this is safe under either."""

OUTER_GRACE_S = 5.0
"""Our own deadline lies this much behind the SDK's, in case that one fails to fire."""

_READ_ON_LOOP_CHARACTERS = 500_000
"""Longer replies, which hold pictures, are read in a thread."""

_FILES_PATH = re.compile(rf"/{API_VERSION}/files(?:/|$)")

Problem = ApiFailure | FatalError


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
        self._uploads: Uploads | None = None

    def __repr__(self) -> str:
        """Show where the client points; never the key."""
        return f"GeminiClient(model={self._model!r}, base_url={self._base_url!r})"

    async def __aenter__(self) -> Self:
        """Open the client; the SDK is imported here, where it is first needed."""
        from google import genai  # noqa: PLC0415
        from google.genai import types  # noqa: PLC0415

        from gemini.uploads import Uploads  # noqa: PLC0415
        from gemini.wire import open_session  # noqa: PLC0415

        _quiet_the_sdk()
        session = await self._stack.enter_async_context(open_session(self._base_url))
        client = genai.Client(
            api_key=self._api_key,
            enterprise=False,  # else GOOGLE_GENAI_USE_ENTERPRISE would decide
            http_options=types.HttpOptions(
                api_version=API_VERSION,
                base_url=self._base_url,
                aiohttp_client=session,
                # Without this a lost connection is silently sent a second time (_api_client.py:2277
                # in 3.4.0), inside our slot, past our limiter and maybe billed twice.
                retry_options=types.HttpRetryOptions(attempts=1),
            ),
        )
        self._stack.callback(client.close)  # also keeps the client alive: a collected one closes itself
        self._client = await self._stack.enter_async_context(client.aio)
        self._uploads = await self._stack.enter_async_context(Uploads(self._client.files))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all connections."""
        await self._stack.aclose()
        self._client = self._uploads = None

    async def generate(self, request: GenerationRequest) -> Generation:
        """Put one request; return its answer.

        Raises:
            ApiFailure: this image got no answer.
            FatalError: no image will get one.
        """
        outcome = await self._outcome(request)
        if isinstance(outcome, Generation):
            return outcome
        # Raised here, where nothing is being handled, so that it drags along neither what the SDK
        # raised, whose words may hold the key, nor its reply, which may hold megabytes.
        try:
            raise _struck(outcome, self._api_key)
        finally:
            del outcome

    async def _outcome(self, request: GenerationRequest) -> Generation | Problem:
        """Turn everything that the SDK and its transport raise into ours, most specific first."""
        import aiohttp  # noqa: PLC0415
        from google.genai import errors  # noqa: PLC0415

        try:
            async with asyncio.timeout(request.timeout_s + OUTER_GRACE_S):
                return await self._answer(request)
        except (ApiFailure, FatalError) as error:
            return error.with_traceback(None)
        except errors.APIError as error:
            return exception_for(_http_error(error))
        except TimeoutError:
            return ApiFailure(kind=ErrorKind.TIMEOUT, detail=f"no answer within {request.timeout_s:.0f} s")
        except (aiohttp.ClientError, OSError) as error:
            reached = not isinstance(error, aiohttp.ClientConnectorError)
            what = "the connection was lost" if reached else "no connection"
            return _network(f"{what}: {str(error) or type(error).__name__}", reached=reached)
        except (ValueError, LookupError, RecursionError):
            # Not JSON, not UTF-8, nested without end, or JSON that the SDK cannot make sense of.
            return _network("the reply is not what the service would send (a proxy may have answered)")

    async def _answer(self, request: GenerationRequest) -> Generation:
        text = await (self._ask_about_file if self._is_big(request) else self._ask_inline)(request)
        if len(text) > _READ_ON_LOOP_CHARACTERS:
            return await asyncio.to_thread(self._read, text)
        return self._read(text)

    def _read(self, text: str) -> Generation:
        return read_answer(json.loads(text) if text.strip() else None, wants_images=self._wants_images)

    @staticmethod
    def _is_big(request: GenerationRequest) -> bool:
        return len(request.image) > MAX_INLINE_BYTES

    async def _ask_inline(self, request: GenerationRequest) -> str:
        from google.genai import types  # noqa: PLC0415

        from gemini.wire import in_place_of  # noqa: PLC0415

        with in_place_of(request.image) as stand_in:
            part = types.Part.from_bytes(data=stand_in, mime_type=request.mime_type)
            return await self._ask(request, part)

    async def _ask_about_file(self, request: GenerationRequest) -> str:
        if self._uploads is None:
            raise RuntimeError("the client is not open")
        # One deadline for upload, wait and answer together; the SDK would give it to each.
        async with (
            asyncio.timeout(request.timeout_s),
            self._uploads.lent(request.image, request.mime_type) as image,
        ):
            return await self._ask(request, image)

    async def _ask(self, request: GenerationRequest, image: "types.Part") -> str:
        """Return the reply's body."""
        from google.genai import types  # noqa: PLC0415

        if self._client is None:
            raise RuntimeError("the client is not open")
        response = await self._client.models.generate_content(
            model=self._model,
            # The image stands first: ``wire`` relies on it.
            contents=[types.Content(role="user", parts=[image, types.Part.from_text(text=request.prompt)])],
            config=self._config(request.timeout_s),
        )
        raw = response.sdk_http_response
        return (raw.body if raw else None) or ""

    def _config(self, timeout_s: float) -> "types.GenerateContentConfig":
        from google.genai import types  # noqa: PLC0415

        return types.GenerateContentConfig(
            http_options=types.HttpOptions(timeout=max(1, round(timeout_s * 1000))),  # milliseconds
            should_return_http_response=True,
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
            automatic_continuation=False,  # True would send further billed requests by itself
            response_modalities=["TEXT", "IMAGE"] if self._wants_images else None,
        )


def _quiet_the_sdk() -> None:
    # It logs a line about "automatic function calling" for each call, and warns on stderr of every
    # word that its list of states lacks.
    logging.getLogger("google_genai").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".* is not a valid", module=r"google\.genai\.")


def _network(detail: str, *, reached: bool = True) -> ApiFailure:
    return ApiFailure(kind=ErrorKind.NETWORK, detail=one_sentence(detail), reached_server=reached)


def _struck(problem: Problem, key: str) -> Problem:
    """Return the problem without the key, which a gateway may echo in its reply."""
    if isinstance(problem, FatalError):
        detail = without_secret(problem.detail, key)
        return FatalError(problem.reason, detail, retry_after_s=problem.retry_after_s)
    problem.detail = without_secret(problem.detail, key)
    problem.api_status = without_secret(problem.api_status, key) if problem.api_status else None
    problem.quota_ids = tuple(without_secret(quota, key) for quota in problem.quota_ids)
    return problem


def _http_error(error: "APIError") -> HttpError:
    """Take the SDK's error apart; where it did not see JSON it keeps the body's text as the message."""
    body: Any = error.details
    if isinstance(body, dict) and "error" not in body:
        body = _json_or_text(body.get("message")) or body
    # The SDK's annotation forgets aiohttp's response; both kinds have headers.
    headers = getattr(error.response, "headers", None) or {}
    path = urlsplit(str(getattr(error.response, "url", ""))).path
    return HttpError(
        status=error.code,
        body=body,
        headers={str(name).lower(): str(value) for name, value in headers.items()},
        about_file=bool(_FILES_PATH.search(path)),
    )


def _json_or_text(text: Any) -> Any:
    if not isinstance(text, str):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _without_version(base_url: str) -> str:
    """Accept a base URL that names the version already, as other programs want it."""
    return base_url.rstrip("/").removesuffix(f"/{API_VERSION}")
