"""Error body: the facts of an error, wherever in a reply they stand.

Gateways wrap Google's error: in a list, in an error of their own, or as text in a message, as JSON or as
Python prints a dictionary. Each object on the way is a layer; the innermost one of Google's form counts.
Source of the forms: docs/api-facts.md, section 3.8, November 2026.
"""

import ast
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MAX_SEARCHED = 20_000
"""At most so many characters of a message are searched for a fact."""

HTTP_STATUS_BY_CODE = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "INTERNAL": 500,
    "UNKNOWN": 500,
    "DATA_LOSS": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
"""The HTTP status of each of Google's status words. Source: google/rpc/code.proto."""

_MAX_DEPTH = 12
_MAX_ITEMS = 20
_MAX_STARTS = 8
_WRAPPERS = (
    "error",
    "errors",
    "message",
    "detail",
    "details",
    "cause",
    "body",
    "response",
    "metadata",
    "raw",
)
"""Members in which gateways put the error that they received."""
_MESSAGE_NAMES = ("message", "error", "detail", "title", "msg")
_IS_OF_TIER = re.compile(r"free.?tier|per.?day", re.IGNORECASE)
_START = re.compile(r"[\[{]")

Layer = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """A quota that a 429 names."""

    id: str
    """Empty if it has none."""
    limit: int | None
    """None if unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorFacts:
    """What an error reply says."""

    message: str
    status: str
    """Google's status word, or what a gateway puts in its place; empty if there is none."""
    code: int | None
    """HTTP status that an error of Google's form names; None if there is no such error."""
    named_code: int | None
    """HTTP status that any error names, of whatever form; None if there is none."""
    codes: frozenset[str]
    """Words that gateways use as codes and types, such as ``insufficient_quota``."""
    details: tuple[Layer, ...]

    @property
    def is_googles(self) -> bool:
        """True if the error has Google's form."""
        return self.code is not None

    @property
    def reasons(self) -> frozenset[str]:
        """Reasons in the details, such as ``API_KEY_INVALID``."""
        return frozenset(_text(detail.get("reason")) for detail in self.details) - {""}

    @property
    def searchable(self) -> str:
        """The message and the sentences in the details, to search for words that stand nowhere else."""
        sentences = (_text(detail.get(name)) for detail in self.details for name in ("detail", "message"))
        return "\n".join((self.message, *sentences))[:MAX_SEARCHED]

    def quotas(self) -> list[Quota]:
        """Return the exceeded quotas of ``QuotaFailure`` and of ``ErrorInfo``, in their order."""
        found = [
            Quota(id=_text(one.get("quotaId")), limit=_number(one.get("quotaValue")))
            for detail in self.details
            for one in _dicts(detail.get("violations"))
        ]
        for metadata in self.metadata():
            if name := _text(metadata.get("quota_limit")):
                limit = _number(metadata.get("quota_limit_value"))
                # 0 is mostly a region that is full, so that another call may be served; a tier has no region.
                is_of_tier = _IS_OF_TIER.search(name) is not None and "quota_location" not in metadata
                found.append(Quota(id=name, limit=limit if limit or is_of_tier else None))
        return found

    def metadata(self) -> Iterator[Layer]:
        """Yield the metadata of each ``ErrorInfo``."""
        for detail in self.details:
            metadata = detail.get("metadata")
            if isinstance(metadata, dict):
                yield metadata


def read_error(body: Any) -> ErrorFacts:
    """Return the facts of an error reply; never raises, whatever the body.

    Args:
        body: parsed JSON of any shape, or the text if it is no JSON.
    """
    layers = list(_walk(body, depth=0))
    speaking = [layer for layer in layers if "@type" not in layer and _message_of(layer)]
    googles = [layer for layer in layers if _googles_code(layer) is not None]
    coded = [layer for layer in layers if layer.get("status") or layer.get("code") is not None]
    best = next(reversed(googles or speaking or coded), {})
    named = (code for layer in reversed(layers) if (code := _named_code(layer)) is not None)
    return ErrorFacts(
        message=_message_of(best) or _message_of(next(reversed(speaking), {})) or _text(body),
        status=_text(best.get("status")),
        code=_googles_code(best),
        named_code=next(named, None),
        codes=frozenset(
            _text(layer.get(name)).lower() for layer in layers for name in ("code", "type", "status")
        )
        - {""},
        details=tuple(_details_of(layers)),
    )


def _walk(value: Any, *, depth: int) -> Iterator[Layer]:
    """Yield all objects of a body that can be an error or a detail of one, the outer ones first."""
    if isinstance(value, dict):
        yield value
    for inner in _inner_values(value) if depth < _MAX_DEPTH else ():
        yield from _walk(inner, depth=depth + 1)


def _inner_values(value: Any) -> Iterator[Any]:
    """Yield what stands within a text, a list, or an object that is no detail of Google's."""
    if isinstance(value, str):
        yield _parse_embedded(value[:MAX_SEARCHED])
    elif isinstance(value, list):
        yield from (item for item in value[:_MAX_ITEMS] if isinstance(item, dict))
    elif isinstance(value, dict) and "@type" not in value:
        yield from (value[name] for name in _WRAPPERS if value.get(name))


def _parse_embedded(text: str) -> Any:
    """Return the first object or list of objects within a text, as JSON or as Python prints it."""
    decoder = json.JSONDecoder()
    for number, found in enumerate(_START.finditer(text)):
        if number == _MAX_STARTS:
            break
        try:
            value, _ = decoder.raw_decode(text, found.start())
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) or (isinstance(value, list) and value and isinstance(value[0], dict)):
            return value
    return _parse_python(text)


def _parse_python(text: str) -> Any:
    """Return the dictionary in a text such as ``400 INVALID_ARGUMENT. {'error': {...}}``; None if none."""
    start, end = text.find("{'"), text.rfind("}")
    if not 0 <= start < end:
        return None
    try:
        return ast.literal_eval(text[start : end + 1])
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def _message_of(layer: Layer) -> str:
    """Return the message of an error; gateways put it under other names than Google."""
    return next((text for name in _MESSAGE_NAMES if (text := _text(layer.get(name))).strip()), "")


def _googles_code(layer: Layer) -> int | None:
    """Return the code of an error of Google's form; None for any other object."""
    code = layer.get("code")
    is_googles = type(code) is int and 400 <= code < 600 and layer.get("status") in HTTP_STATUS_BY_CODE
    return code if is_googles else None


def _named_code(layer: Layer) -> int | None:
    """Return the HTTP status that an object names as a number, as digits or by its status word."""
    code = layer.get("code")
    if isinstance(code, str) and len(code) == 3 and code.isdecimal():
        code = int(code)
    if type(code) is int and 400 <= code < 600:
        return code
    return HTTP_STATUS_BY_CODE.get(_text(layer.get("status")))


def _details_of(layers: list[Layer]) -> Iterator[Layer]:
    """Yield the details of all layers, each once; those without ``@type`` count as well."""
    seen: set[int] = set()
    for layer in layers:
        own = [layer] if "@type" in layer else []
        for detail in (*own, *_dicts(layer.get("details"))):
            if id(detail) not in seen:
                seen.add(id(detail))
                yield detail


def _dicts(value: Any) -> Iterator[Layer]:
    items = value if isinstance(value, list) else [value]
    yield from (item for item in items if isinstance(item, dict))


def _number(value: Any) -> int | None:
    """Return a quota's limit, which comes as text; None if it is no number or too large to store."""
    if isinstance(value, str) and value.isdecimal() and len(value) < 19:
        return int(value)
    return value if type(value) is int and 0 <= value < 10**18 else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
