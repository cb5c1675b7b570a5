"""JSON encoding: dataclasses as JSON, also with a list that is too long for memory."""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from enum import Enum
from pathlib import PurePath
from typing import Any

_JSON_TYPES = frozenset({str, int, float, bool, type(None)})


def utc_isoformat(moment: datetime) -> str:
    """Return a time in UTC as ``2026-11-23T22:00:00.000Z``.

    Raises:
        ValueError: ``moment`` has no time zone.

    """
    if moment.tzinfo is None:
        raise ValueError("a moment without its zone")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_jsonable(value: object) -> Any:
    """Return ``value`` as dicts, lists, strings, numbers, booleans and None.

    Raises:
        TypeError: it holds a value of a type without a JSON form.

    """
    if type(value) in _JSON_TYPES:  # most are, and the checks below are slow
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_jsonable(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):  # a named one
        return to_jsonable(value._asdict())
    if isinstance(value, Mapping):
        return {str(to_jsonable(key)): to_jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_jsonable(item) for item in value]
    return _leaf_to_jsonable(value)


def _leaf_to_jsonable(value: object) -> str | float | None:
    match value:
        case Enum():
            return _leaf_to_jsonable(value.value)
        case None | bool() | int() | float() | str():
            return value
        case datetime():
            return utc_isoformat(value)
        case PurePath():
            return str(value)
        case _:
            raise TypeError(f"no plain form for {type(value).__name__}")


def json_line(value: object) -> bytes:
    """Return a result of ``to_jsonable`` as one line of ASCII, without a line feed."""
    return json.dumps(value, allow_nan=False).encode()


def json_document(value: object) -> bytes:
    """Return ``value`` as an indented document in UTF-8 that ends with a line feed."""
    return _encode(_dump_indented(to_jsonable(value)) + "\n")


def json_stream(head: Mapping[str, object], list_name: str, items: Iterable[object]) -> Iterator[bytes]:
    """Yield a document in pieces: the head, and under ``list_name`` one line for each item.

    Raises:
        ValueError: ``head`` has a member ``list_name`` already.

    """
    if list_name in head:
        raise ValueError(f"the head has a member {list_name!r} of its own")
    prefix = _dump_indented({**to_jsonable(head), list_name: []})
    yield _encode(prefix.removesuffix("]\n}"))
    separator = "\n    "
    for item in items:
        yield _encode(separator + json.dumps(to_jsonable(item), ensure_ascii=False, allow_nan=False))
        separator = ",\n    "
    yield b"]\n}\n" if separator == "\n    " else b"\n  ]\n}\n"


def _dump_indented(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=2)


def _encode(text: str) -> bytes:
    # UTF-8 cannot encode half a surrogate pair; it becomes \udxxx, which JSON reads as the same half.
    return text.encode("utf-8", "backslashreplace")
