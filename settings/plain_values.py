"""Values of settings as they stand in the metadata: texts, numbers, booleans and null."""

from datetime import time
from decimal import Decimal

from settings.fail_on import FailOn


def to_plain_value(value: object) -> str | int | float | bool | None:
    """Return ``value`` as JSON has it; a path that is not UTF-8 keeps its bytes as escapes."""
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, FailOn):  # before tuple, which it is
        return value.text
    if isinstance(value, frozenset | tuple):
        return ",".join(sorted(value) if isinstance(value, frozenset) else value) or None
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, time):
        return f"{value:%H:%M}"
    return str(value).encode("utf-8", "backslashreplace").decode()
