"""Hunts for the key: a service that echoes it in every way, and a search through all that is left behind."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from tests.attack.arena import Arena
from tests.attack.keys import escape_key
from tests.attack.mutations import Parts, frame
from tests.attack.raw_server import RawReply, RawServer
from tests.attack.tally import Harm
from tests.emulator.answers import answer
from tests.emulator.log import ANSWERED
from tests.emulator.replies import Context
from tests.support.cli_cases import make_images

if TYPE_CHECKING:
    from pathlib import Path

_IMAGES = 6
_JSON = ("Content-Type", "application/json; charset=UTF-8")


def _in_message(key: str, _: Context) -> Parts:
    message = json.dumps({"error": {"code": 400, "message": f"API key {key} is odd", "status": "X"}})
    return Parts(document=None, status=400, body=message.encode())


def _in_text(key: str, context: Context) -> Parts:
    document = answer(context)
    document["candidates"][0]["content"]["parts"].append({"text": f" the key is {key}"})
    return Parts(document=None, body=json.dumps(document).encode())


def _escaped(build: Callable[[str, Context], Parts]) -> Callable[[str, Context], Parts]:
    """Spell the key of another echo with JSON's escapes."""

    def build_escaped(key: str, context: Context) -> Parts:
        parts = build(key, context)
        return dataclasses.replace(parts, body=parts.body.replace(key.encode(), escape_key(key).encode()))

    return build_escaped


def _split(key: str, context: Context) -> Parts:
    """Two parts of an answer, with a half in each."""
    document, half = answer(context), len(key) // 2
    document["candidates"][0]["content"]["parts"] += [{"text": key[:half]}, {"text": key[half:]}]
    return Parts(document=None, body=json.dumps(document).encode())


def _in_headers(key: str, context: Context) -> Parts:
    headers = (_JSON, ("Location", f"http://127.0.0.1/?key={key}"), ("Retry-After", key), ("X-Key", key))
    status = (302, 429, 503, 200)[context.index % 4]
    return Parts(document=None, status=status, headers=headers, body=json.dumps(answer(context)).encode())


def _in_page(key: str, _: Context) -> Parts:
    page = f"<html><title>{key}</title>{key}&#{ord(key[0])};{key[1:]}</html>".encode()
    return Parts(document=None, status=502, headers=(("Content-Type", f"text/html; x={key}"),), body=page)


def _in_fields(key: str, context: Context) -> Parts:
    """Reasons, versions and identities that are repeated in reports."""
    document = {**answer(context), "modelVersion": key, "responseId": key}
    document["candidates"][0] |= {"finishReason": key, "finishMessage": f"because of {key}"}
    return Parts(document=None, body=json.dumps(document).encode())


def _in_blocked(key: str, _: Context) -> Parts:
    document = {"promptFeedback": {"blockReason": key, "blockReasonMessage": key}}
    return Parts(document=None, body=json.dumps(document).encode())


def _in_names(key: str, context: Context) -> Parts:
    return Parts(document=None, body=json.dumps({**answer(context), key: {key: key}}).encode()[:-9])


def _in_status_line(key: str, _: Context) -> Parts:
    return Parts(document=None, status=500, reason=f"Bad {key}", body=b"")


HUNTS: Mapping[str, Callable[[str, Context], Parts]] = {
    "error": _in_message,
    "error, escaped": _escaped(_in_message),
    "answer": _in_text,
    "answer, escaped": _escaped(_in_text),
    "fields, escaped": _escaped(_in_fields),
    "answer, split": _split,
    "headers": _in_headers,
    "page": _in_page,
    "fields": _in_fields,
    "blocked": _in_blocked,
    "names": _in_names,
    "status line": _in_status_line,
}


async def play(arena: Arena) -> None:
    """Let the service echo the key; the referee searches all files, ``Arena`` the streams."""
    name = sorted(HUNTS)[arena.seed % len(HUNTS)]
    make_images(arena.photos, _IMAGES)

    def respond(context: Context) -> RawReply:
        if context.index < _IMAGES:
            return frame(HUNTS[name](arena.key, context))
        whole = frame(Parts(document=None, body=json.dumps(answer(context)).encode()))
        return dataclasses.replace(whole, outcome=ANSWERED)

    log = arena.folder / "cwd" / "run.log"
    flags: list[str | Path] = [
        "--verbose",
        "--log-file",
        log,
        "--max-retries",
        "1",
        "--enable-prompt-optimization",
    ]
    flags += ["--log-json"] if arena.random.random() < 0.5 else []
    async with RawServer(respond) as server:
        for more in ([], ["--retry-failed", "--archive-format", "zip"]):
            done = await arena.run(*arena.arguments(server.base_url, *flags, *more), watched=False)
        arena.tally.note_if(done.code not in {0, 3}, Harm.WRONG, f"{name}: {done.code}: {done.stderr[-300:]}")
