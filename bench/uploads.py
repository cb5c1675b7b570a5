"""Files API of the benchmark's server: the part that a client needs for a big image.

Only the hash of a file is kept, or a long run would fill the server's memory.
"""

import asyncio
import hashlib
from itertools import count
from typing import Any

from aiohttp import web

UPLOADED = "uploaded"
"""What the log says of a part of an upload, which is no call about an image."""


class Uploads:
    """The uploads since the server began."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._begun: dict[str, Any] = {}
        self._types: dict[str, str] = {}
        self._whole: dict[str, str] = {}
        self.log: list[tuple[float, float, str, str]] = []
        """As the server's."""

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Add the routes."""
        router.add_post("/upload/v1beta/files", self._noted)
        router.add_get("/v1beta/files/{name}", self._get)
        router.add_delete("/v1beta/files/{name}", self._delete)

    def sha256(self, uri: str) -> str:
        """Return the hash of an uploaded file; empty for one that is not known."""
        return self._whole.get(uri.rpartition("/")[2], "")

    async def _noted(self, request: web.Request) -> web.Response:
        clock = asyncio.get_running_loop().time
        arrived_s = clock()
        response = await self._upload(request)
        self.log.append((arrived_s, clock(), "", UPLOADED))
        return response

    async def _upload(self, request: web.Request) -> web.Response:
        name = request.query.get("upload_id")
        if name is None:
            name = f"file{next(self._numbers)}"
            self._begun[name] = hashlib.sha256()
            self._types[name] = request.headers.get("X-Goog-Upload-Header-Content-Type", "image/jpeg")
            url = f"{request.url.origin()}/upload/v1beta/files?upload_id={name}"
            headers = {"X-Goog-Upload-URL": url, "X-Goog-Upload-Status": "active"}
            return web.json_response({}, headers=headers)
        async for piece in request.content.iter_any():
            self._begun[name].update(piece)
        if "finalize" not in request.headers.get("X-Goog-Upload-Command", ""):
            return web.json_response({}, headers={"X-Goog-Upload-Status": "active"})
        self._whole[name] = self._begun.pop(name).hexdigest()
        document = {"file": self._shown(request, name)}
        return web.json_response(document, headers={"X-Goog-Upload-Status": "final"})

    async def _get(self, request: web.Request) -> web.Response:
        return web.json_response(self._shown(request, request.match_info["name"]))

    async def _delete(self, request: web.Request) -> web.Response:
        self._whole.pop(request.match_info["name"], None)
        return web.json_response({})

    def _shown(self, request: web.Request, name: str) -> dict[str, str]:
        uri = f"{request.url.origin()}/v1beta/files/{name}"
        return {"name": f"files/{name}", "uri": uri, "mimeType": self._types[name], "state": "ACTIVE"}
