"""How does a frozen dataclass become JSON, also when it holds a list that is too long for memory?

This file knows no type by name: it goes by dataclass, mapping, sequence, enum, path and instant.
"""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from enum import Enum
from pathlib import PurePath
from typing import Any

_JSON_TYPES = frozenset({str, int, float, bool, type(None)})


def utc_isoformat(moment: datetime) -> str:
    """Return a moment as ``2026-11-23T22:00:00.000Z``.

    Raises:
        ValueError: when it does not say its zone.

    """
    if moment.tzinfo is None:
        raise ValueError("a moment without its zone")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_jsonable(value: object) -> Any:
    """Return ``value`` as dicts, lists, texts and numbers.

    Raises:
        TypeError: when it holds something that has no plain form.

    """
    if type(value) in _JSON_TYPES:  # most are, and the questions below take long
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_jsonable(getattr(value, field.name)) for field in dataclasses.fields(value)}
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
    """Return what ``plain`` made as one line of ASCII without its line feed, whatever characters it holds."""
    return json.dumps(value, allow_nan=False).encode()


def json_document(value: object) -> bytes:
    """Return ``value`` as an indented document in UTF-8, which ends with a line feed."""
    return _encode(_dump_indented(to_jsonable(value)) + "\n")


def json_stream(head: Mapping[str, object], list_name: str, items: Iterable[object]) -> Iterator[bytes]:
    """Yield a document piece by piece: the head, and under ``list_name`` one item a line, as they come.

    Raises:
        ValueError: when the head has a member of that name already.

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
    # Half a surrogate pair, which UTF-8 cannot hold, becomes \udxxx: in JSON that is the same half again.
    return text.encode("utf-8", "backslashreplace")
