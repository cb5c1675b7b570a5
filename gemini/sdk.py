"""How does the Gemini SDK come in, for the few images that need it?

Imported at the start it costs every run 0.7 s, 40 MB and a standstill of the event loop. So it is
imported and made in a thread when the first image comes that is too big for one request. It is told
everything, so that no variable of the environment bends a run, and its own retries are off, so that
``retry_handler`` is their one owner. This file does not know what is asked about an image.
"""

import asyncio
import gc
import logging
import warnings
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

import aiohttp

from errors import ApiFailure, ErrorKind
from gemini.files_api import Uploads
from gemini.transport import reason_of

if TYPE_CHECKING:
    from google import genai

API_VERSION = "v1beta"
"""The SDK's default, v1, lacks features this program uses (google-genai 3.x release notes, 2026-11)."""


class LazySdk:
    """The SDK's Files API, opened when it is first asked for.

    Args:
        api_key: sent as a header, and nowhere else.
        base_url: where everything goes.
        session: sends what the SDK sends; not closed here.
    """

    def __init__(self, *, api_key: str, base_url: str, session: aiohttp.ClientSession) -> None:
        self._api_key = api_key
        self._base_url = base_url
        self._session = session
        self._open_lock = asyncio.Lock()
        self._stack = AsyncExitStack()
        self._uploads: Uploads | None = None

    async def __aenter__(self) -> Self:
        """Do nothing yet."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close what was opened; waits for the last deletions."""
        await self._stack.aclose()

    async def open_uploads(self) -> Uploads:
        """Return what lends images to the service.

        Raises:
            ApiFailure: the SDK cannot be used; whoever does not need it goes on.
        """
        async with self._open_lock:
            if self._uploads is None:
                self._uploads = await self._open()
        return self._uploads

    async def _open(self) -> Uploads:
        try:
            client = await asyncio.to_thread(open_sdk, self._api_key, self._base_url, self._session)
        except (ImportError, OSError) as error:
            what = "an image of this size is uploaded by the Gemini SDK, which cannot be used"
            why = f"{what}: {reason_of(error)}"
            raise ApiFailure(kind=ErrorKind.INVALID_REQUEST, detail=why, reached_server=False) from None
        # What the import brought, 85,000 objects, stays to the end; each full collection would
        # look at all of it, and the event loop would stand still for 70 ms.
        gc.freeze()
        self._stack.callback(client.close)  # also keeps the client alive: a collected one closes itself
        service = await self._stack.enter_async_context(client.aio)
        return await self._stack.enter_async_context(Uploads(service.files, self._base_url))


def open_sdk(api_key: str, base_url: str, session: aiohttp.ClientSession) -> "genai.Client":
    """Return the SDK's client; whatever it would else take from the environment is given.

    Raises:
        ImportError: it is not there, or a variable asks it for a library that is not.
        OSError: the certificates that a variable names cannot be read.
    """
    from google import genai  # noqa: PLC0415
    from google.genai import client, types  # noqa: PLC0415

    _silence_sdk()
    return genai.Client(
        api_key=api_key or "none",  # an empty one would make it look for GOOGLE_API_KEY
        enterprise=False,  # GOOGLE_GENAI_USE_ENTERPRISE
        debug_config=client.DebugConfig(client_mode=None),  # GOOGLE_GENAI_CLIENT_MODE: recordings
        http_options=types.HttpOptions(
            api_version=API_VERSION,  # GOOGLE_GENAI_API_VERSION
            base_url=base_url,  # GOOGLE_GEMINI_BASE_URL
            # The clients of the library that is not used would else stumble over ALL_PROXY.
            client_args={"trust_env": False},
            async_client_args={"trust_env": False},
            aiohttp_client=session,
            # Without this a lost connection is silently sent a second time (_api_client.py:2277
            # in 3.4.0), inside our slot, past our limiter and maybe billed twice.
            retry_options=types.HttpRetryOptions(attempts=1),
        ),
    )


def _silence_sdk() -> None:
    # It warns on stderr of every word that its list of states lacks.
    logging.getLogger("google_genai").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message=".* is not a valid", module=r"google\.genai\.")
