"""Options of the model that were given; they decide an answer as the prompt does."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from settings.model_options import CATEGORIES, THRESHOLDS

if TYPE_CHECKING:
    from settings.sources import Sources

_CATEGORY_PREFIX = "harm_category_"


class ReferenceFile(NamedTuple):
    """A reference image as it was when the settings were read."""

    path: Path
    sha256: str


class ModelOptions(NamedTuple):
    """The options that were given, in the service's spelling; None and empty for the others."""

    system_instruction: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed_model: int | None = None
    max_output_tokens: int | None = None
    thinking_level: str | None = None
    media_resolution: str | None = None
    safety: tuple[tuple[str, str], ...] = ()
    aspect_ratio: str | None = None
    image_size: str | None = None
    reference_image: tuple[ReferenceFile, ...] = ()

    def given(self) -> dict[str, Any]:
        """Return the options that were given, by name."""
        return {name: value for name, value in self._asdict().items() if value not in {None, ()}}

    def deciding(self) -> dict[str, Any]:
        """Return what of them decides an answer: of a reference image its bytes, not its path."""
        given = self.given()
        if self.reference_image:
            given["reference_image"] = [one.sha256 for one in self.reference_image]
        return given

    def public(self) -> dict[str, str | float]:
        """Return them as they stand in the metadata; the system instruction too, which is no secret."""
        texts: dict[str, str | float] = {
            name: value for name, value in self.given().items() if isinstance(value, str | float | int)
        }
        if self.safety:
            texts["safety"] = ",".join(f"{category}={threshold}" for category, threshold in self.safety)
        if self.reference_image:
            texts["reference_image"] = ",".join(
                str(one.path).encode("utf-8", "backslashreplace").decode() for one in self.reference_image
            )
        return texts


def read_model_options(values: Mapping[str, Any], sources: "Sources") -> ModelOptions:
    """Return the options of the model, checked.

    Raises:
        UsageError: one is not what it may be, or a reference image cannot be sent.
    """
    return ModelOptions(
        system_instruction=_read_instruction(values["system_instruction"], sources),
        temperature=values["temperature"],
        top_p=values["top_p"],
        seed_model=values["seed_model"],
        max_output_tokens=values["max_output_tokens"],
        thinking_level=_upper(values["thinking_level"]),
        media_resolution=_upper(values["media_resolution"]),
        safety=_read_safety(values["safety"], sources),
        aspect_ratio=values["aspect_ratio"] and values["aspect_ratio"].lower(),
        image_size=_upper(values["image_size"]),
        reference_image=tuple(_read_reference(path, sources) for path in values["reference_image"]),
    )


def _upper(word: str | None) -> str | None:
    return word and word.upper()


def _read_instruction(argument: str | None, sources: "Sources") -> str | None:
    if argument is None:
        return None
    from settings.prompt_text import read_prompt  # noqa: PLC0415 - not for --help

    return read_prompt(argument, sources, option="system_instruction")


def _read_safety(texts: Sequence[str], sources: "Sources") -> tuple[tuple[str, str], ...]:
    """Return categories and thresholds; a full name that begins with HARM_CATEGORY_ may be a new one."""
    found: dict[str, str] = {}
    for text in texts:
        category, _, threshold = text.strip().lower().partition("=")
        is_known = category.startswith(_CATEGORY_PREFIX) or category in CATEGORIES
        if not is_known or threshold not in THRESHOLDS:
            raise sources.build_error("safety")
        name = f"{_CATEGORY_PREFIX}{category.removeprefix(_CATEGORY_PREFIX)}".upper()
        if name in found:
            raise sources.build_error("safety", f"given once for each category; {category} is there twice")
        found[name] = threshold.upper()
    return tuple(sorted(found.items()))


def _read_reference(path: Path, sources: "Sources") -> ReferenceFile:
    """Return a reference image that was read whole."""
    from utils.image_validator import UnreadableImage, inspect_image  # noqa: PLC0415 - imports Pillow

    try:
        facts = inspect_image(path)
    except UnreadableImage as error:
        raise sources.build_error(
            "reference_image", f"an image that can be sent ({path}: {error})"
        ) from error
    return ReferenceFile(path=path.absolute(), sha256=facts.sha256)
