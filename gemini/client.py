"""Client of the live Gemini API: sends one request and returns its answer, or raises its failure.

``generateContent`` is called over the HTTP session of ``transport``, without the SDK: that halves the CPU
of a call and shortens every start (docs/adr/0008). Only the Files API goes through ``sdk``.
"""

import asyncio
import logging
import math
import re
from collections.abc import Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from errors import ApiFailure, Cause, ErrorKind, FatalError, StopReason, UsageError
from gemini import API_VERSION
from gemini.error_mapping import is_files_api_missing, to_exception
from gemini.generation_config import build_generation_config
from gemini.model_catalogue import UNKNOWN, ModelFacts
from gemini.reply_parser import ReplyParser, redact_problem
from gemini.reply_room import ReplyLease, ReplyRoom
from gemini.text import repair_surrogates, sanitize_word
from models import Generation, GenerationRequest
from utils.interpreter import collector_paused

if TYPE_CHECKING:
    import aiohttp
    from aiohttp import payload

    from gemini.route import HttpRoute
    from gemini.sdk import LazySdk

GOOGLE_BASE_URL = "https://generativelanguage.googleapis.com"

MAX_INLINE_BYTES = 15_000_000
"""Larger images go through the Files API. Google's pages name 20 MB and 100 MB as the limit of a request;
base64 adds a third, so this is safe under both. Source: docs/api-facts.md, section 2.2."""

MAX_REQUEST_BYTES = 100_000_000
"""Longest request that Google takes since January 2026; used where an endpoint takes no uploads."""

OUTER_GRACE_S = 5.0
"""Our own deadline is this much later than the HTTP library's, in case that one does not fire."""

_CONNECT_TIMEOUT_S = 30.0
"""Most seconds for one attempt to connect: a firewall may drop it without a word. It is no slow answer."""

_KEY_PATTERN = re.compile(r"(?!auth_tokens/)[!-~]+")
"""Characters that a header can carry; with a key that begins with ``auth_tokens/`` the SDK acts otherwise."""
_MODEL_PATTERN = re.compile(r"(?!.*\.\.)[\w./@-]+", re.ASCII)
"""Names that cannot change the path of a request."""

Problem = ApiFailure | FatalError

_log = logging.getLogger(__name__)


class GeminiClient:
    """One client for the whole run; enter it with ``async with``.

    Args:
        api_key: sent as a header, and nowhere else.
        model: the model's id, with or without ``models/``.
        base_url: another endpoint, with or without a path; None for Google's own.
        wants_images: ask for pictures as well as words.
        facts: what is known of the model.
        on_connected: called with the seconds that each of the first connections took.
    """

    def __init__(
        self,
        *,
        api_key: str,
        model: str,
        base_url: str | None,
        wants_images: bool,
        facts: ModelFacts = UNKNOWN,
        on_connected: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._api_key = api_key.strip()
        self._model = model
        self._base_url = _strip_version(base_url or GOOGLE_BASE_URL)
        self._wants_images = wants_images
        self._facts = facts
        self._on_connected = on_connected
        self._has_connected = False
        self._stack = AsyncExitStack()
        self._session: aiohttp.ClientSession | None = None
        self._sdk: LazySdk | None = None
        self._parser = ReplyParser(self._api_key)
        self._room = ReplyRoom()
        self._takes_uploads = True

    def __repr__(self) -> str:
        """Return the model and the address; never the key."""
        return f"GeminiClient(model={self._model!r}, base_url={self._base_url!r})"

    async def __aenter__(self) -> Self:
        """Open the client; the HTTP library is imported here, in a thread.

        Raises:
            UsageError: the library cannot be imported, or a variable names an unusable proxy or certificates.
        """
        route = await asyncio.to_thread(_load_route, self._base_url)
        from gemini.sdk import LazySdk  # noqa: PLC0415
        from gemini.transport import open_session  # noqa: PLC0415

        async with AsyncExitStack() as opening:
            session = await opening.enter_async_context(open_session(route, self._note_connection))
            sdk = LazySdk(api_key=self._api_key, base_url=self._base_url, session=session)
            self._sdk = await opening.enter_async_context(sdk)
            self._session = session
            self._stack = opening.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all connections."""
        await self._stack.aclose()
        self._session = self._sdk = None

    async def generate(self, request: GenerationRequest) -> Generation:
        """Send one request and return its answer.

        Raises:
            ApiFailure: this image got no answer.
            FatalError: no image of this run can get one.
        """
        self._check(request)
        outcome = await self._generate_or_problem(request)
        if isinstance(outcome, Generation):
            return outcome
        # Raised outside of any except block: so it carries neither the library's error, whose text
        # may hold the key, nor its reply, which may hold megabytes.
        try:
            raise redact_problem(outcome, self._api_key)
        finally:
            del outcome

    def _note_connection(self, seconds: float) -> None:
        self._has_connected = True
        self._on_connected(seconds)

    def _check(self, request: GenerationRequest) -> None:
        """Raise for a key, a model or a prompt that cannot be sent, before anything is."""
        if not _KEY_PATTERN.fullmatch(self._api_key):
            what = "holds characters that no key has" if self._api_key else "is empty"
            raise FatalError(StopReason.KEY_INVALID, f"the API key {what}")
        model = request.model or self._model
        if not _MODEL_PATTERN.fullmatch(model):
            raise FatalError(
                StopReason.UNKNOWN_MODEL, f'"{sanitize_word(model)}" cannot be the name of a model'
            )
        if repair_surrogates(request.prompt) != request.prompt:
            detail = "the prompt holds bytes that are no text"
            raise ApiFailure(
                kind=ErrorKind.INVALID_REQUEST, detail=detail, reached_server=False, cause=Cause.REQUEST
            )

    async def _generate_or_problem(self, request: GenerationRequest) -> Generation | Problem:
        """Return the answer, or our error for whatever transport and SDK raise, most specific first."""
        import aiohttp  # noqa: PLC0415

        from gemini.connection_errors import to_network_problem  # noqa: PLC0415
        from gemini.transport import BROKEN_REPLY_ERRORS, HttpStatusError, broken_reply_failure  # noqa: PLC0415

        wants_images = self._wants_images and bool(request.mime_type)
        try:
            with ReplyLease(self._room) as lease:
                async with asyncio.timeout(request.timeout_s + OUTER_GRACE_S):
                    body, charset = await self._send(request, lease)
                # Not under the deadline: this reply is paid for, and may wait until others are parsed.
                return await self._parser.parse(
                    body, charset, wants_images=wants_images, prompt=request.prompt
                )
        except (ApiFailure, FatalError) as error:
            return error.with_traceback(None)
        except HttpStatusError as error:
            return to_exception(error.http)
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ConnectionTimeoutError):
                detail = f"no answer within {request.timeout_s:g} s"
                return ApiFailure(kind=ErrorKind.TIMEOUT, detail=detail)
            host = urlsplit(self._base_url).netloc.rpartition("@")[2]
            return to_network_problem(error, host=host, has_connected=self._has_connected)
        except (*BROKEN_REPLY_ERRORS, MemoryError):
            return broken_reply_failure()

    async def _send(self, request: GenerationRequest, lease: ReplyLease) -> tuple[bytes | bytearray, str]:
        """Send a request; a big image is uploaded first, unless a gateway is found to take no uploads."""
        from gemini.transport import HttpStatusError  # noqa: PLC0415

        if self._is_big(request) and self._takes_uploads:
            try:
                return await self._send_with_file(request, lease)
            except HttpStatusError as error:
                if not is_files_api_missing(error.http):
                    raise
            if self._takes_uploads:
                limit = f"{MAX_INLINE_BYTES / 1e6:.0f} MB"
                _log.warning("the endpoint takes no uploads: images above %s go within the request", limit)
            self._takes_uploads = False
        if self._is_big(request):
            _check_length(request)
        return await self._send_inline(request, lease)

    @staticmethod
    def _is_big(request: GenerationRequest) -> bool:
        return len(request.image) > MAX_INLINE_BYTES

    async def _send_inline(
        self, request: GenerationRequest, lease: ReplyLease
    ) -> tuple[bytes | bytearray, str]:
        from gemini.request_body import build_image_body, build_text_body  # noqa: PLC0415

        build = build_image_body if request.mime_type else build_text_body
        return await self._post(build(request, self._generation_config(request)), request, lease)

    async def _send_with_file(
        self, request: GenerationRequest, lease: ReplyLease
    ) -> tuple[bytes | bytearray, str]:
        from gemini.request_body import build_file_body  # noqa: PLC0415

        if self._sdk is None:
            raise RuntimeError("the client is not open")
        # One deadline for upload, wait and answer together.
        async with asyncio.timeout(request.timeout_s):
            uploads = await self._sdk.open_uploads()
            upload = uploads.temporary_upload(
                request.image, request.mime_type, _to_milliseconds(request.timeout_s)
            )
            async with upload as uri:
                request.sent.count += len(request.image)
                body = build_file_body(request, uri, self._generation_config(request))
                return await self._post(body, request, lease)

    def _generation_config(self, request: GenerationRequest) -> dict[str, Any]:
        model, wants_images = request.model or self._model, self._wants_images and bool(request.mime_type)
        return build_generation_config(request, model=model, wants_images=wants_images, facts=self._facts)

    async def _post(
        self, body: "payload.Payload", request: GenerationRequest, lease: ReplyLease
    ) -> tuple[bytes | bytearray, str]:
        """Return the reply's body and its charset."""
        import aiohttp  # noqa: PLC0415

        from gemini.transport import read_body  # noqa: PLC0415

        if self._session is None:
            raise RuntimeError("the client is not open")
        timeout_ms = _to_milliseconds(request.timeout_s)
        timeout = aiohttp.ClientTimeout(total=timeout_ms / 1000, sock_connect=_CONNECT_TIMEOUT_S)
        headers = {
            "x-goog-api-key": self._api_key,
            "X-Server-Timeout": str(math.ceil(timeout_ms / 1000)),  # as the SDK sends it
        }
        url = f"{self._base_url}/{API_VERSION}/{_path_of(request.model or self._model)}:generateContent"
        exchange = self._session.post(url, data=body, headers=headers, timeout=timeout, allow_redirects=False)
        async with exchange as response:
            return await read_body(response, lease)


def _check_length(request: GenerationRequest) -> None:
    """Raise for an image that is too large for a request."""
    limit = MAX_REQUEST_BYTES * 3 // 4 - 1_000_000  # base64 adds a third; the rest is for the prompt
    if len(request.image) > limit:
        size = f"{len(request.image) / 1e6:,.0f} MB"
        raise ApiFailure(
            kind=ErrorKind.INVALID_REQUEST,
            detail=f"the endpoint takes no uploads, and {size} are more than a request holds",
            reached_server=False,
            cause=Cause.NO_FILES_API,
        )


def _load_route(base_url: str) -> "HttpRoute":
    """Import all that a call needs, also for its answer, and return the route; takes 0.2 s in a thread."""
    try:
        with collector_paused():
            from gemini import response_body, response_parser, response_pictures  # noqa: F401, PLC0415
            from gemini.connection_errors import reason_of  # noqa: PLC0415
            from gemini.route import UnusableNetrc, UnusableProxy, find_route  # noqa: PLC0415
    except ImportError as error:
        raise UsageError(f"the HTTP library cannot be used: {error}") from error
    try:
        return find_route(base_url)
    except OSError as error:
        what = "the certificates that SSL_CERT_FILE or SSL_CERT_DIR names cannot be read"
        raise UsageError(f"{what}: {reason_of(error)}") from error
    except UnusableNetrc as error:
        what = "the .netrc file (in your home, or where NETRC points) cannot be used"
        why = "it is no UTF-8 text, or holds a name or password that fits into no HTTP header"
        raise UsageError(f"{what}: {why}") from error
    except UnusableProxy as error:
        raise UsageError(error.sentence) from error


def _path_of(model: str) -> str:
    return model if model.startswith(("models/", "tunedModels/")) else f"models/{model}"


def _to_milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _strip_version(base_url: str) -> str:
    """Return a base URL without the version, which other programs want in it."""
    return base_url.rstrip("/").removesuffix(f"/{API_VERSION}")
