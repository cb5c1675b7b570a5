"""Fields of a reply: reads members of any JSON by name and type, in either spelling."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any


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


def get_count(metadata: Mapping[str, Any], name: str) -> int:
    """Return a number of tokens; 0 if there is none."""
    value = get_field(metadata, name)
    # Bounded, because the journal cannot store larger integers.
    return value if type(value) is int and 0 <= value < 2**40 else 0
