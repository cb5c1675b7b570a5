"""Catalogue of models: what is known of each, from ``models.toml`` and a file of the user's.

It never refuses a model: of one that it does not have, nothing is known.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import date
from fractions import Fraction
from functools import cache
from math import log
from pathlib import Path
from typing import Any, Final

from errors import UsageError

BUNDLED: Final = Path(__file__).with_name("models.toml")
MAX_BYTES: Final = 1_000_000
"""A longer file is no catalogue."""

COMMON_RATIOS: Final = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")
"""Shapes that every model of pictures has. Source: docs/api-facts.md, section 4.4, November 2026."""

_PREFIX: Final = ("publishers/google/", "models/")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What is known of one model; None and empty for what is not."""

    thinking_levels: tuple[str, ...] = ()
    """From the least to the most."""
    thinking_default: str | None = None
    aspect_ratios: tuple[str, ...] = ()
    picture_tokens: Mapping[str, int] | None = None
    """Output tokens of a picture by its size, such as ``2K``."""
    flex: bool | None = None
    retires: date | None = None
    """The day on which it was or will be shut down."""
    source: str = ""


UNKNOWN: Final = ModelFacts()


class ModelCatalogue:
    """Facts of models by name; those of a file of the user's go before the bundled ones, key by key.

    Args:
        path: the user's file; None if there is none.

    Raises:
        UsageError: the file cannot be read, or holds something else; one sentence that says where.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._facts = dict(_bundled())
        if path is not None:
            for name, values in _read(path):
                self._facts[name] = replace(self._facts.get(name, UNKNOWN), **values)

    def facts(self, model: str) -> ModelFacts:
        """Return what is known of a model."""
        name = model.lower()
        for prefix in _PREFIX:
            name = name.removeprefix(prefix)
        return self._facts.get(name, UNKNOWN)


def nearest_ratio(facts: ModelFacts, size: tuple[int, int]) -> str:
    """Return the model's aspect ratio that is nearest to a picture of this width and height, in pixels."""
    width, height = size

    def distance(ratio: str) -> float:
        return abs(log(_value_of(ratio)) - log(max(1, width) / max(1, height)))

    return min(facts.aspect_ratios or COMMON_RATIOS, key=distance)


def _value_of(ratio: str) -> Fraction:
    width, _, height = ratio.partition(":")
    return Fraction(int(width), int(height))


@cache
def _bundled() -> Mapping[str, ModelFacts]:
    return {name: ModelFacts(**values) for name, values in _read(BUNDLED)}


def _read(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the models of a file with the values of their keys."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise _fault(path, f"it has more than {MAX_BYTES:,} bytes")
        document = tomllib.loads(data.decode())
    except OSError as error:
        raise _fault(path, f"it cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _fault(path, f"it is no TOML: {error}") from error
    models = document.pop("models", {})
    if document or not isinstance(models, dict):
        raise _fault(path, 'it must hold tables such as [models."gemini-3.5-flash-lite"] and nothing else')
    for name, keys in models.items():
        if not isinstance(keys, dict):
            raise _fault(path, f"models.{name} must be a table")
        yield name.lower(), {key: _check(path, name, key, value) for key, value in keys.items()}


def _check(path: Path, model: str, key: str, value: object) -> object:
    """Return the value of a key as ``ModelFacts`` has it."""
    where = f"{key} of {model}"
    if key not in {field.name for field in fields(ModelFacts)}:
        raise _fault(path, f"{where} is no key of the catalogue")
    match key, value:
        case (("thinking_levels" | "aspect_ratios"), list()) if all(isinstance(one, str) for one in value):
            if key == "aspect_ratios" and not all(map(_is_ratio, value)):
                raise _fault(path, f"{where} must hold ratios such as 16:9")
            return tuple(value)
        case "picture_tokens", dict() if all(type(count) is int and count > 0 for count in value.values()):
            return value
        case "flex", bool():
            return value
        case "retires", date():
            return value
        case (("thinking_default" | "source"), str()):
            return value
        case _:
            raise _fault(path, f"{where} has a value of the wrong kind: {value!r}")


def _is_ratio(text: str) -> bool:
    width, _, height = text.partition(":")
    return all(part.isascii() and part.isdigit() and int(part) for part in (width, height))


def _fault(path: Path, what: str) -> UsageError:
    return UsageError(f"--model-catalogue: {path}: {what}")
