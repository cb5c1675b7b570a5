"""Fields of a reply: reads members of any JSON by name and type, in either spelling."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

MAX_COUNT = 10_000_000
"""Tokens of one call beyond this are no count: the longest prompt of a model has two million."""

_WHOLE_NUMBER = re.compile(r"\s{0,4}\d{1,12}(?:\.0{1,6})?\s{0,4}", re.ASCII)


def get_field(mapping: Mapping[str, Any], name: str) -> Any:
    """Return a field by its JSON name, or by its snake_case name, which some gateways use."""
    value = mapping.get(name)
    return mapping.get(to_snake_case(name)) if value is None else value


@cache
def to_snake_case(name: str) -> str:
    """Return a name such as ``inlineData`` as ``inline_data``."""
    return re.sub(r"(?=[A-Z])", "_", name).lower()


def to_dict(value: Any) -> Mapping[str, Any]:
    """Return an object, or an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def to_text(value: Any) -> str:
    """Return a text, or an empty one for anything else."""
    return value if isinstance(value, str) else ""


def get_count(metadata: Mapping[str, Any], name: str) -> int | None:
    """Return a number of tokens, also from a text or a float that is a whole number; 0 if it is absent.

    None for anything else: a count that cannot be read or believed is not zero.
    """
    value = get_field(metadata, name)
    if type(value) is not int:
        value = _to_whole_number(value)
    return value if value is not None and 0 <= value <= MAX_COUNT else None


def _to_whole_number(value: Any) -> int | None:
    if value is None:
        return 0
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return int(float(value)) if isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value) else None
