"""Store of the uploaded files, behind the Files API."""

import base64
import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tests.emulator.wire import UnknownFile

_LIFETIME = timedelta(hours=48)
"""Source: docs/api-facts.md, section 2.8."""


@dataclass(kw_only=True)
class Upload:
    """A file on its way, or arrived."""

    name: str
    mime_type: str
    display_name: str
    uri: str
    created: datetime
    content: bytearray
    complete: bool = False
    looks: int = 0
    """How often its state was shown."""

    def document(self, state: str = "ACTIVE") -> dict[str, Any]:
        """Return the File resource of the API."""
        digest = hashlib.sha256(self.content).hexdigest()
        return {
            "name": self.name,
            "displayName": self.display_name,
            "mimeType": self.mime_type,
            "sizeBytes": str(len(self.content)),
            "createTime": _stamp(self.created),
            "updateTime": _stamp(self.created),
            "expirationTime": _stamp(self.created + _LIFETIME),
            "sha256Hash": base64.b64encode(digest.encode()).decode(),
            "uri": self.uri,
            "state": state,
            "source": "UPLOADED",
        }


class FileStore:
    """All uploads of a project; nothing expires by itself."""

    def __init__(self) -> None:
        self._uploads: dict[str, Upload] = {}
        self._count = 0

    def begin(self, base_url: str, wanted: dict[str, Any], created: datetime) -> Upload:
        """Start an upload under the wanted name, or under a new one."""
        self._count += 1
        name = str(wanted.get("name") or f"files/emulated{self._count:04d}")
        upload = Upload(
            name=name,
            mime_type=str(wanted.get("mimeType") or "application/octet-stream"),
            display_name=str(wanted.get("displayName") or ""),
            uri=f"{base_url}/v1beta/{name}",
            created=created,
            content=bytearray(),
        )
        self._uploads[name] = upload
        return upload

    def get(self, name: str) -> Upload:
        """Return a complete upload.

        Raises:
            UnknownFile: there is none of this name.

        """
        upload = self.uploading(name)
        if not upload.complete:
            raise UnknownFile(name)
        return upload

    def uploading(self, name: str) -> Upload:
        """Return an upload, complete or not.

        Raises:
            UnknownFile: there is none of this name.

        """
        if name not in self._uploads:
            raise UnknownFile(name)
        return self._uploads[name]

    def delete(self, name: str) -> None:
        """Remove a file.

        Raises:
            UnknownFile: there is none of this name.

        """
        del self._uploads[self.get(name).name]

    def listed(self) -> list[Upload]:
        """Return the complete uploads in order of arrival."""
        return [upload for upload in self._uploads.values() if upload.complete]

    def content(self, reference: str) -> bytes:
        """Return a file's bytes by name (``files/x``) or by URI.

        Raises:
            UnknownFile: there is none of this name.

        """
        return bytes(self.get("files/" + reference.rpartition("files/")[2]).content)


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
