"""Lazy Gemini SDK: imported and opened in a thread at the first image that needs the Files API.

Runs without such an image save 0.7 s and 40 MB (docs/adr/0008). Every option is set here, so that no
environment variable changes a run; the SDK's retries are off, because ``retry_handler`` owns retries.
See docs/adr/0006.
"""

import asyncio
import gc
import logging
import warnings
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

import aiohttp

from errors import ApiFailure, Cause, ErrorKind
from gemini import API_VERSION
from gemini.connection_errors import reason_of
from gemini.files_api import Uploads
from utils.shortage import is_passing

if TYPE_CHECKING:
    from google import genai


class LazySdk:
    """The SDK's Files API, opened at its first use.

    Args:
        api_key: sent as a header, and nowhere else.
        base_url: the address of every request.
        session: the HTTP session for the SDK's requests; its owner closes it.
    """

    def __init__(self, *, api_key: str, base_url: str, session: aiohttp.ClientSession) -> None:
        self._api_key = api_key
        self._base_url = base_url
        self._session = session
        self._open_lock = asyncio.Lock()
        self._stack = AsyncExitStack()
        self._uploads: Uploads | None = None

    async def __aenter__(self) -> Self:
        """Return itself; nothing is open yet."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the SDK, if it was opened, after the last deletions."""
        await self._stack.aclose()

    async def open_uploads(self) -> Uploads:
        """Return the temporary uploads; the first call imports and opens the SDK.

        Raises:
            ApiFailure: the SDK cannot be used; it fails only the images that need it.
        """
        async with self._open_lock:
            if self._uploads is None:
                self._uploads = await self._open()
        return self._uploads

    async def _open(self) -> Uploads:
        try:
            client = await asyncio.to_thread(open_sdk, self._api_key, self._base_url, self._session)
        except (ImportError, OSError) as error:
            if is_passing(error):
                raise ApiFailure(
                    kind=ErrorKind.NETWORK,
                    detail=f"the Gemini SDK cannot be loaded now: {reason_of(error)}",
                    reached_server=False,
                    cause=Cause.SHORTAGE,
                ) from None
            what = "an image of this size is uploaded by the Gemini SDK, which cannot be used"
            why = f"{what}: {reason_of(error)}"
            raise ApiFailure(kind=ErrorKind.INVALID_REQUEST, detail=why, reached_server=False) from None
        # The import makes 85,000 objects that stay; each full collection would look at all of them
        # and stop the event loop for 70 ms (docs/adr/0008).
        gc.freeze()
        self._stack.callback(client.close)  # also a reference: a collected client closes itself
        service = await self._stack.enter_async_context(client.aio)
        return await self._stack.enter_async_context(Uploads(service.files, self._base_url))


def open_sdk(api_key: str, base_url: str, session: aiohttp.ClientSession) -> "genai.Client":
    """Return the SDK's client, with every option that it would otherwise take from the environment.

    Raises:
        ImportError: the SDK, or a library that a variable asks it to use, is not installed.
        OSError: the certificates that a variable names cannot be read.
    """
    from google import genai  # noqa: PLC0415
    from google.genai import client, types  # noqa: PLC0415

    _silence_sdk()
    return genai.Client(
        api_key=api_key or "none",  # with an empty one it would read GOOGLE_API_KEY
        enterprise=False,  # GOOGLE_GENAI_USE_ENTERPRISE
        debug_config=client.DebugConfig(client_mode=None),  # GOOGLE_GENAI_CLIENT_MODE: recordings
        http_options=types.HttpOptions(
            api_version=API_VERSION,  # GOOGLE_GENAI_API_VERSION
            base_url=base_url,  # GOOGLE_GEMINI_BASE_URL
            # The SDK makes httpx clients as well, which would otherwise fail over ALL_PROXY.
            client_args={"trust_env": False},
            async_client_args={"trust_env": False},
            aiohttp_client=session,
            # Otherwise the SDK repeats a call whose connection was lost (docs/api-facts.md, section 1.2):
            # past the rate limiter, and maybe billed twice.
            retry_options=types.HttpRetryOptions(attempts=1),
        ),
    )


def _silence_sdk() -> None:
    # It warns on stderr of every state that is not in its list.
    logging.getLogger("google_genai").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message=".* is not a valid", module=r"google\.genai\.")
