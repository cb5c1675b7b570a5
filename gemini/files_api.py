"""How is an image that is too big for one request lent to the service, and taken back?

Files of the Files API live for 48 hours there, unless deleted. This file does not know what is asked
about an image, and leaves what is raised on the way to ``client``, but for the SDK's own slips.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from io import BytesIO
from types import TracebackType
from typing import TYPE_CHECKING, Self

import aiohttp

from errors import ApiFailure, ErrorKind
from gemini.transport import BROKEN_REPLY_ERRORS, HttpStatusError, broken_reply_failure

if TYPE_CHECKING:
    from google.genai import types
    from google.genai.files import AsyncFiles

POLL_INTERVAL_S = 1.0
"""Between two questions whether an upload can be used."""

DELETE_TIMEOUT_S = 5.0
"""What a deletion may take, and what the end of a run waits for the last ones."""

_log = logging.getLogger(__name__)


class Uploads:
    """The images that are lent just now; at its end it waits for what is still to be deleted.

    Args:
        files: the SDK's view of the Files API.
        base_url: where chunks go, whatever host the reply to the first request names.
    """

    def __init__(self, files: "AsyncFiles", base_url: str) -> None:
        self._files = files
        self._base_url = base_url
        self._deletions: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Do nothing yet."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the last deletions, each of which has its own deadline."""
        if self._deletions:
            await asyncio.wait(self._deletions)

    @asynccontextmanager
    async def temporary_upload(self, image: bytes, mime_type: str, timeout_ms: int) -> AsyncIterator[str]:
        """Upload an image for as long as the block lasts and yield its URI; deleting it holds up nobody.

        Raises:
            ApiFailure: the service cannot use it, or its reply makes no sense.
        """
        from google.genai import types  # noqa: PLC0415

        options = types.HttpOptions(base_url=self._base_url, timeout=timeout_ms)
        with _translate_sdk_errors():
            config = types.UploadFileConfig(mime_type=mime_type, http_options=options)
            file = await self._files.upload(file=BytesIO(image), config=config)
        try:
            yield await self._wait_until_active(file)
        finally:
            if file.name:
                deletion = asyncio.create_task(self._delete(file.name))
                self._deletions.add(deletion)
                deletion.add_done_callback(self._deletions.discard)

    async def _wait_until_active(self, file: "types.File") -> str:
        """Return the file's URI as soon as the service has looked at it."""
        name, uri = file.name or "", file.uri
        while file.state == "PROCESSING":
            await asyncio.sleep(POLL_INTERVAL_S)
            with _translate_sdk_errors():
                file = await self._files.get(name=name)
        uri = file.uri or uri
        if file.state == "FAILED" or not uri:
            detail = "the service could not use the uploaded image"
            raise ApiFailure(kind=ErrorKind.INVALID_REQUEST, detail=detail)
        return uri

    async def _delete(self, name: str) -> None:
        try:
            async with asyncio.timeout(DELETE_TIMEOUT_S):
                with _translate_sdk_errors():
                    await self._files.delete(name=name)
        except (HttpStatusError, ApiFailure, aiohttp.ClientError, OSError):  # a timeout is one of the latter
            _log.debug("an uploaded image could not be deleted; it expires in 48 h")


@contextmanager
def _translate_sdk_errors() -> Iterator[None]:
    """Turn the SDK's stumbling over a reply of another shape into a failure of the network.

    It takes replies apart unchecked, so a JSON list or a null ends in any of these.
    """
    try:
        yield
    except (*BROKEN_REPLY_ERRORS, TypeError, AttributeError) as error:
        # aiohttp's own errors about a URL or a certificate are values too, and have a better translation.
        if isinstance(error, aiohttp.ClientError):
            raise
        raise broken_reply_failure() from None
