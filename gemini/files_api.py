"""Files API: uploads an image for one request and deletes it afterwards.

A file that is not deleted expires after 48 hours. Source: docs/api-facts.md, section 2.8.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from io import BytesIO
from types import TracebackType
from typing import TYPE_CHECKING, Self

import aiohttp

from errors import ApiFailure, Cause, ErrorKind
from gemini.transport import BROKEN_REPLY_ERRORS, HttpStatusError, broken_reply_failure

if TYPE_CHECKING:
    from google.genai import types
    from google.genai.files import AsyncFiles

POLL_INTERVAL_S = 1.0
"""Time between two checks whether an upload can be used."""

DELETE_TIMEOUT_S = 5.0
"""Longest time for a deletion, and for the last deletions at the end of a run."""

_log = logging.getLogger(__name__)


class Uploads:
    """Temporary uploads of images; on exit it waits for the deletions that still run.

    Args:
        files: the SDK's Files API.
        base_url: where chunks go, whatever host the reply to the first request names.
    """

    def __init__(self, files: "AsyncFiles", base_url: str) -> None:
        self._files = files
        self._base_url = base_url
        self._deletions: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Return itself; nothing is open yet."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the last deletions, each of which has its own deadline."""
        if self._deletions:
            await asyncio.wait(self._deletions)

    @asynccontextmanager
    async def temporary_upload(self, image: bytes, mime_type: str, timeout_ms: int) -> AsyncIterator[str]:
        """Upload an image, yield its URI, and delete it after the block without waiting for that.

        Raises:
            ApiFailure: the service cannot use the image, or its reply cannot be understood.
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
        """Wait until the service has processed the file; return its URI."""
        name, uri = file.name or "", file.uri
        while file.state == "PROCESSING":
            await asyncio.sleep(POLL_INTERVAL_S)
            with _translate_sdk_errors():
                file = await self._files.get(name=name)
        uri = file.uri or uri
        if file.state == "FAILED" or not uri:
            detail = "the service could not use the uploaded image"
            raise ApiFailure(kind=ErrorKind.INVALID_REQUEST, detail=detail, cause=Cause.IMAGE)
        return uri

    async def _delete(self, name: str) -> None:
        try:
            async with asyncio.timeout(DELETE_TIMEOUT_S):
                with _translate_sdk_errors():
                    await self._files.delete(name=name)
        except (HttpStatusError, ApiFailure, aiohttp.ClientError, OSError):  # TimeoutError is an OSError
            _log.debug("an uploaded image could not be deleted; it expires in 48 h")


@contextmanager
def _translate_sdk_errors() -> Iterator[None]:
    """Raise a network failure in place of the SDK's errors about a reply of another shape.

    The SDK does not check replies, so a JSON list or a null ends in any of these errors.
    """
    try:
        yield
    except (*BROKEN_REPLY_ERRORS, TypeError, AttributeError) as error:
        # aiohttp's errors about a URL or a certificate are ValueErrors too; ``client`` maps those better.
        if isinstance(error, aiohttp.ClientError):
            raise
        raise broken_reply_failure() from None
