"""Response stream: a reply in chunks (events, lines, an array) becomes the one reply that it is.

Some gateways stream whatever was asked for. Such a reply is paid for like any other, so it is read, not asked
for again. Source of the forms: docs/api-facts.md, section 2.9, November 2026.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from gemini.fields import get_field, to_dict

_DONE = "[DONE]"
"""Marks the end in OpenAI's dialect; Google's own streams end with a finish reason."""

_MAX_LINES = 50_000
"""A stream has a chunk for some words; an answer has 65,536 tokens at most."""

_END_CHUNK = {"candidates": [{"finishReason": "STOP"}]}


class JoinedReply(NamedTuple):
    """The reply that the chunks of a stream amount to."""

    body: Mapping[str, Any]
    error: Any
    """The chunk that is an error, after which nothing counts; None if there is none."""
    is_cut: bool
    """True if no chunk ends the answer."""


def split_stream(text: str) -> list[str]:
    """Return the JSON texts of a stream of events or of lines; empty if it is neither, or of too many."""
    if text.count("\n") > _MAX_LINES or text.count("\r") > _MAX_LINES:
        return []
    if text.lstrip("\ufeff \r\n\t").startswith(("data:", "event:", "id:", "retry:", ":")):
        return list(_split_events(text))
    lines = [line for line in text.splitlines() if line.strip()]
    return lines if len(lines) > 1 and all(line.startswith("{") for line in lines) else []


def _split_events(text: str) -> Iterator[str]:
    """Yield the data of each event; an error may stand between them as bare JSON over several lines."""
    data: list[str] = []
    # Not splitlines: a JSON text may hold other separators of lines, which belong to it.
    for line in (*text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), ""):
        if line.startswith("data:"):
            data.append(line.removeprefix("data:").removeprefix(" "))
        elif not line.strip():
            if data:
                yield "\n".join(data)
            data = []
        elif not line.startswith(("event:", "id:", "retry:", ":")):
            data.append(line)


def parse_chunks(texts: Sequence[str], parse: Callable[[str], Any]) -> list[Any]:
    """Return the parsed chunks of a stream; a last one that broke off is left out.

    Raises:
        ValueError: the first chunk is no JSON.
    """
    chunks: list[Any] = []
    for text in texts:
        if text.strip() == _DONE:
            if not any(_finish_of(chunk) for chunk in chunks):
                chunks.append(_END_CHUNK)
            break
        try:
            chunks.append(parse(text))
        except json.JSONDecodeError:
            if not chunks:
                raise
            break
    return chunks


def join_chunks(chunks: Sequence[Any]) -> JoinedReply:
    """Return the one reply of some chunks: the parts of all, and the last of everything else."""
    parts: list[Any] = []
    candidate: dict[str, Any] = {}
    body: dict[str, Any] = {}
    error: Any = None
    for chunk in map(to_dict, chunks):
        if chunk.get("error"):
            error = chunk
            break
        body.update({name: value for name, value in chunk.items() if value and name != "candidates"})
        first = _first_candidate(chunk)
        own = to_dict(first.get("content")).get("parts")
        parts += own if isinstance(own, list) else []
        candidate.update({name: value for name, value in first.items() if value and name != "content"})
    if candidate or parts:
        body["candidates"] = [{**candidate, "content": {"role": "model", "parts": parts}}]
    is_blocked = bool(get_field(body, "promptFeedback")) and not parts
    is_cut = not is_blocked and not any(map(_finish_of, chunks))
    return JoinedReply(body=body, error=error, is_cut=is_cut)


def _first_candidate(chunk: Mapping[str, Any]) -> Mapping[str, Any]:
    candidates = chunk.get("candidates")
    return to_dict(candidates[0]) if isinstance(candidates, list) and candidates else {}


def _finish_of(chunk: Any) -> Any:
    return get_field(_first_candidate(to_dict(chunk)), "finishReason")
