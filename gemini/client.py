"""How is one request put to the live service, and how does every way to fail come back as ours?

The SDK is told everything, so that no variable of the environment bends a run, and its own retries
are off, so that ``retry_handler`` is their one owner. Replies are taken raw: what they mean is decided
in ``answers`` and ``refusals``. This file does not know how bytes travel (``transport``, ``wire``).
"""

import asyncio
import json
import logging
import re
import warnings
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

from errors import ApiFailure, ErrorKind, FatalError, StopReason, UsageError
from gemini.answers import read_answer
from gemini.refusals import exception_for
from gemini.words import well_formed, without_secret, word
from models import Generation, GenerationRequest
from utils.logger import redactor

if TYPE_CHECKING:
    import aiohttp
    from google import genai
    from google.genai import types
    from google.genai.client import AsyncClient

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

_KEY = re.compile(r"(?!auth_tokens/)[!-~]+")
"""Anything that can stand in a header; what begins otherwise makes the SDK take another road."""
_MODEL = re.compile(r"(?!.*\.\.)[\w./@-]+", re.ASCII)
"""Anything that cannot bend the path of a request."""

Problem = ApiFailure | FatalError


class GeminiClient:
    """One client for the whole run; enter it with ``async with``.

    Args:
        api_key: sent as a header, and nowhere else.
        model: the model's id, with or without ``models/``.
        base_url: another endpoint, with or without a path; None for Google's own.
        wants_images: ask for pictures as well as words.
    """

    def __init__(self, *, api_key: str, model: str, base_url: str | None, wants_images: bool) -> None:
        self._api_key = api_key.strip()
        self._strike = redactor([self._api_key])
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
        """Open the client; the SDK is imported here, where it is first needed.

        Raises:
            UsageError: the SDK cannot be imported, or a variable asks it for a library that it lacks.
        """
        async with AsyncExitStack() as opening:
            try:
                from gemini.transport import open_session, reason_of  # noqa: PLC0415
                from gemini.uploads import Uploads  # noqa: PLC0415

                session = await opening.enter_async_context(open_session())
                client = self._sdk(session)
            except ImportError as error:
                raise UsageError(f"the Gemini SDK cannot be used: {error}") from error
            except OSError as error:
                what = "the certificates that SSL_CERT_FILE or SSL_CERT_DIR names cannot be read"
                raise UsageError(f"{what}: {reason_of(error)}") from error
            opening.callback(client.close)  # also keeps the client alive: a collected one closes itself
            service = await opening.enter_async_context(client.aio)
            uploads = await opening.enter_async_context(Uploads(service.files, self._base_url))
            self._stack = opening.pop_all()
        self._client, self._uploads = service, uploads
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
        self._check(request.prompt)
        outcome = await self._outcome(request)
        if isinstance(outcome, Generation):
            return outcome
        # Raised here, where nothing is being handled, so that it drags along neither what the SDK
        # raised, whose words may hold the key, nor its reply, which may hold megabytes.
        try:
            raise _struck(outcome, self._api_key)
        finally:
            del outcome

    def _check(self, prompt: str) -> None:
        """Refuse what cannot be sent, before anything is."""
        if not _KEY.fullmatch(self._api_key):
            what = "holds characters that no key has" if self._api_key else "is empty"
            raise FatalError(StopReason.KEY_INVALID, f"the API key {what}")
        if not _MODEL.fullmatch(self._model):
            raise FatalError(StopReason.UNKNOWN_MODEL, f'"{word(self._model)}" cannot be the name of a model')
        if well_formed(prompt) != prompt:
            detail = "the prompt holds bytes that are no text"
            raise ApiFailure(kind=ErrorKind.INVALID_REQUEST, detail=detail, reached_server=False)

    async def _outcome(self, request: GenerationRequest) -> Generation | Problem:
        """Turn everything that the SDK and its transport raise into ours, most specific first."""
        import aiohttp  # noqa: PLC0415

        from gemini.transport import BROKEN_REPLIES, Refused, broken_reply, lost  # noqa: PLC0415

        try:
            async with asyncio.timeout(request.timeout_s + OUTER_GRACE_S):
                return await self._answer(request)
        except (ApiFailure, FatalError) as error:
            return error.with_traceback(None)
        except Refused as error:
            return exception_for(error.http)
        except TimeoutError:
            return ApiFailure(kind=ErrorKind.TIMEOUT, detail=f"no answer within {request.timeout_s:g} s")
        except (aiohttp.ClientError, OSError) as error:
            return lost(error)
        except BROKEN_REPLIES:
            return broken_reply()

    async def _answer(self, request: GenerationRequest) -> Generation:
        text = await (self._ask_about_file if self._is_big(request) else self._ask_inline)(request)
        if len(text) > _READ_ON_LOOP_CHARACTERS:
            return await asyncio.to_thread(self._read, text)
        return self._read(text)

    def _read(self, text: str) -> Generation:
        """Read a reply in which the key, which a gateway may echo, is struck out."""
        if self._api_key in text:  # else a search for all its spellings would take long in a picture
            text = self._strike(text)
        document = json.loads(text) if text.strip() else None
        return read_answer(document, wants_images=self._wants_images)

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
            self._uploads.lent(request.image, request.mime_type, _milliseconds(request.timeout_s)) as image,
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
            http_options=types.HttpOptions(timeout=_milliseconds(timeout_s)),
            should_return_http_response=True,
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
            automatic_continuation=False,  # True would send further billed requests by itself
            response_modalities=["TEXT", "IMAGE"] if self._wants_images else None,
        )

    def _sdk(self, session: "aiohttp.ClientSession") -> "genai.Client":
        """Return the SDK's client; whatever it would else take from the environment is given."""
        from google import genai  # noqa: PLC0415
        from google.genai import client, types  # noqa: PLC0415

        _quiet_the_sdk()
        return genai.Client(
            api_key=self._api_key or "none",  # an empty one would make it look for GOOGLE_API_KEY
            enterprise=False,  # GOOGLE_GENAI_USE_ENTERPRISE
            debug_config=client.DebugConfig(client_mode=None),  # GOOGLE_GENAI_CLIENT_MODE: recordings
            http_options=types.HttpOptions(
                api_version=API_VERSION,  # GOOGLE_GENAI_API_VERSION
                base_url=self._base_url,  # GOOGLE_GEMINI_BASE_URL
                # The clients of the library that is not used would else stumble over ALL_PROXY.
                client_args={"trust_env": False},
                async_client_args={"trust_env": False},
                aiohttp_client=session,
                # Without this a lost connection is silently sent a second time (_api_client.py:2277
                # in 3.4.0), inside our slot, past our limiter and maybe billed twice.
                retry_options=types.HttpRetryOptions(attempts=1),
            ),
        )


def _quiet_the_sdk() -> None:
    # It logs a line about "automatic function calling" for each call, and warns on stderr of every
    # word that its list of states lacks.
    logging.getLogger("google_genai").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message=".* is not a valid", module=r"google\.genai\.")


def _struck(problem: Problem, key: str) -> Problem:
    """Return the problem without the key, which a gateway may echo in its reply."""
    if isinstance(problem, FatalError):
        detail = without_secret(problem.detail, key)
        return FatalError(problem.reason, detail, retry_after_s=problem.retry_after_s)
    problem.detail = without_secret(problem.detail, key)
    problem.api_status = without_secret(problem.api_status, key) if problem.api_status else None
    problem.quota_ids = tuple(without_secret(quota, key) for quota in problem.quota_ids)
    return problem


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _without_version(base_url: str) -> str:
    """Accept a base URL that names the version already, as other programs want it."""
    return base_url.rstrip("/").removesuffix(f"/{API_VERSION}")
