"""HTTP routes of the emulator's Files API: upload, list, delete.

The resumable upload as google-genai 3.4.0 performs it (`_api_client._async_upload_fd`): a start request
that returns an upload URL, then chunks at offsets, the last with `finalize`.
"""

import dataclasses
import json
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any

from aiohttp import web

from tests.emulator import bodies
from tests.emulator.faults import Fault
from tests.emulator.files import Upload
from tests.emulator.replies import Context, RejectedRequest, json_reply
from tests.emulator.service import REPLIES, Service
from tests.emulator.transport import Pace, as_response, send
from tests.emulator.wire import GenerateCall, UnknownFile, camel_keys


class FilesApi:
    """The routes of the Files API over a service's file store."""

    def __init__(self, service: Service, utcnow: Callable[[], datetime], pace: Pace) -> None:
        self._service = service
        self._utcnow = utcnow
        self._pace = pace
        self._turns: Counter[str] = Counter()

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Add the routes."""
        router.add_route("POST", "/upload/v1beta/files", self._upload, name="files.upload")
        router.add_route("GET", "/v1beta/files", self._list, name="files.list")
        router.add_route("GET", "/v1beta/{name:files/[^/:]+}", self._get, name="files.get")
        router.add_route("DELETE", "/v1beta/{name:files/[^/:]+}", self._delete, name="files.delete")

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        if "upload_id" in request.query:
            if fault := self._fault("chunk"):
                async for _ in request.content.iter_any():
                    pass  # else the client meets the reply while it is still sending
                return await self._apply_fault(fault, request, {"X-Goog-Upload-Status": "final"})
            # The SDK sends no key with the chunks: the upload's URL is the permission.
            return await self._chunk(request, self._find(request.query["upload_id"], complete=False))
        self._check_key(request)
        if request.headers.get("X-Goog-Upload-Protocol") != "resumable":
            raise RejectedRequest(
                bodies.unsupported_path("uploads other than X-Goog-Upload-Protocol: resumable")
            )
        fault = self._fault("start")
        return await (self._apply_fault(fault, request) if fault else self._start(request))

    async def _start(self, request: web.Request) -> web.StreamResponse:
        wanted = camel_keys(json.loads(await request.read() or b"{}")).get("file", {})
        wanted.setdefault("mimeType", request.headers.get("X-Goog-Upload-Header-Content-Type"))
        base_url = str(request.url.origin())
        upload = self._service.files.begin(base_url, wanted, self._utcnow())
        url = f"{base_url}/upload/v1beta/files?upload_id={upload.name}&upload_protocol=resumable"
        headers = {"X-Goog-Upload-URL": url, "X-Goog-Upload-Status": "active"}
        return as_response(json_reply({}, headers=headers))

    async def _chunk(self, request: web.Request, upload: Upload) -> web.StreamResponse:
        if request.headers.get("X-Goog-Upload-Offset") != str(len(upload.content)):
            raise RejectedRequest(bodies.invalid_argument(f"The upload goes on at {len(upload.content)}."))
        async for piece in request.content.iter_any():
            upload.content += piece
        upload.complete = "finalize" in request.headers.get("X-Goog-Upload-Command", "")
        status = "final" if upload.complete else "active"
        document = {"file": self._document_of(upload)} if upload.complete else {}
        return as_response(json_reply(document, headers={"X-Goog-Upload-Status": status}))

    async def _list(self, request: web.Request) -> web.StreamResponse:
        self._check_key(request)
        files = [upload.document() for upload in self._service.files.listed()]
        return as_response(json_reply({"files": files}))

    async def _get(self, request: web.Request) -> web.StreamResponse:
        self._check_key(request)
        if fault := self._fault("get"):
            return await self._apply_fault(fault, request)
        return as_response(json_reply(self._document_of(self._find(request.match_info["name"]))))

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        self._check_key(request)
        if fault := self._fault("delete"):
            return await self._apply_fault(fault, request)
        self._service.files.delete(self._find(request.match_info["name"]).name)
        return as_response(json_reply({}))

    def _document_of(self, upload: Upload) -> dict[str, Any]:
        states = self._service.file_states
        state = states[min(upload.looks, len(states) - 1)]
        upload.looks += 1
        return upload.document(state)

    def _fault(self, step: str) -> Fault | None:
        turn = self._turns[step]
        self._turns[step] += 1
        script = self._service.file_faults.get(step, ())
        return script[turn] if turn < len(script) else None

    async def _apply_fault(
        self, fault: Fault, request: web.Request, headers: dict[str, str] | None = None
    ) -> web.StreamResponse:
        """Answer with a fault; `headers` are those without which a 200 is not read at all."""
        context = Context(call=GenerateCall(), model="", index=0, hint_s=self._service.hint_s, picture_px=8)
        reply = REPLIES[fault](context) if fault in REPLIES else json_reply({})
        if reply.status == 200:
            reply = dataclasses.replace(reply, headers={**reply.headers, **(headers or {})})
        return await send(request, reply, fault, self._pace)

    def _find(self, name: str, *, complete: bool = True) -> Upload:
        files = self._service.files
        try:
            return files.get(name) if complete else files.uploading(name)
        except UnknownFile as error:
            raise RejectedRequest(bodies.file_not_found(name)) from error

    def _check_key(self, request: web.Request) -> None:
        self._service.check_key(request.headers.get("x-goog-api-key") or request.query.get("key"))
