"""Replies as plain values, before anything is sent."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.emulator.wire import GenerateCall

JSON_TYPE = "application/json; charset=UTF-8"
HTML_TYPE = "text/html; charset=UTF-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One HTTP reply."""

    status: int = 200
    body: bytes = b""
    content_type: str = JSON_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a reply may depend on."""

    call: GenerateCall
    model: str
    index: int
    """Of the call, from 0."""
    hint_s: float
    """The wait that scripted 429s ask for."""
    picture_px: int
    """Edge of generated pictures."""


class RejectedRequest(Exception):
    """A request that is itself wrong; carries the reply it gets."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"{reply.status} {reply.body[:300]!r}")
        self.reply = reply


def json_reply(document: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """Return a document the way Google's servers print it."""
    text = json.dumps(document, indent=2, ensure_ascii=False)
    return Reply(status=status, body=text.encode() + b"\n", headers=headers or {})
