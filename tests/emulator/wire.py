"""Parser of a generateContent request as any client may send it.

CamelCase and snake_case keys, both base64 alphabets, inline data and file references.
Source: docs/api-facts.md, sections 1.3 (both spellings, both base64 alphabets) and 2.1.
"""

import base64
import binascii
import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

KNOWN_FIELDS = frozenset(
    [
        "contents",
        "systemInstruction",
        "generationConfig",
        "safetySettings",
        "serviceTier",
        "cachedContent",
        "store",
        "tools",
        "toolConfig",
        "model",
        "labels",
        "generateContentRequest",
    ]
)
IMAGE_TYPES = frozenset({"image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"})
TOKENS_OF_RESOLUTION = {"LOW": 280, "MEDIUM": 560, "HIGH": 1120, "ULTRA_HIGH": 2240}
"""Input tokens of one image on Gemini 3 and 4. Source: docs/api-facts.md, section 2.7."""
DEFAULT_IMAGE_TOKENS = 1120

_STANDARD_ALPHABET = str.maketrans("-_", "+/")


class MalformedRequest(ValueError):
    """A body that Google's servers answer with 400 INVALID_ARGUMENT; the text is their message."""


class UnknownFile(LookupError):
    """A file reference that leads nowhere; the text is the file's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedImage:
    """One image of a request."""

    sha256: str
    mime_type: str
    """As declared by the client."""
    size_bytes: int
    looks_real: bool
    """Whether it begins like a picture of a supported format."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateCall:
    """What a call asks for."""

    prompt: str = ""
    images: tuple[ReceivedImage, ...] = ()
    modalities: frozenset[str] = field(default_factory=frozenset)
    image_tokens: int = DEFAULT_IMAGE_TOKENS
    """For each image."""
    json_answer: bool = False
    system_instruction: str = ""

    @property
    def sha256(self) -> str:
        """Return the hash of the first image, or an empty string."""
        return self.images[0].sha256 if self.images else ""

    @property
    def mime_type(self) -> str:
        """Return the declared type of the first image, or an empty string."""
        return self.images[0].mime_type if self.images else ""

    @property
    def prompt_tokens(self) -> int:
        """Return a plausible number of tokens of the words alone."""
        return words_to_tokens(self.prompt)

    @property
    def input_tokens(self) -> int:
        """Return a plausible number of tokens of the whole request."""
        words = self.prompt_tokens + words_to_tokens(self.system_instruction)
        return words + self.image_tokens * len(self.images)


FileLookup = Callable[[str], bytes]
"""Name or URI of an uploaded file -> its bytes; raises UnknownFile."""


def words_to_tokens(text: str) -> int:
    """Estimate tokens: about four for three words."""
    return math.ceil(len(text.split()) * 4 / 3)


def parse(body: bytes | bytearray, find_file: FileLookup) -> GenerateCall:
    """Read a request body.

    Raises:
        MalformedRequest: no JSON, an unknown field, bad base64, an unsupported type.
        UnknownFile: it refers to a file that was never uploaded.

    """
    document = camel_keys(_load(body))
    document = document.get("generateContentRequest", document)
    _check_fields(document)
    config = _mapping(document.get("generationConfig", {}), "generation_config")
    parts = list(_parts(document))
    images = tuple(_image(part, find_file) for part in parts if "inlineData" in part or "fileData" in part)
    return GenerateCall(
        prompt="\n".join(part["text"] for part in parts if isinstance(part.get("text"), str)),
        images=images,
        modalities=frozenset(config.get("responseModalities") or ()),
        image_tokens=_image_tokens(config),
        json_answer=config.get("responseMimeType") == "application/json",
        system_instruction=_texts_of(document.get("systemInstruction")),
    )


def _texts_of(content: Any) -> str:
    """Return the words of a content."""
    parts = _mapping(content or {}, "system_instruction").get("parts", [])
    return "\n".join(part["text"] for part in parts if isinstance(part.get("text"), str))


def camel_keys(value: Any) -> Any:
    """Return the value with every key of every object in camelCase."""
    if isinstance(value, dict):
        return {_camel(key): camel_keys(item) for key, item in value.items()}
    if isinstance(value, list):
        return [camel_keys(item) for item in value]
    return value


def decode_base64(text: str) -> bytes:
    """Decode either alphabet, padded or not.

    Raises:
        MalformedRequest: it is neither.

    """
    padded = text.translate(_STANDARD_ALPHABET) + "=" * (-len(text) % 4)
    try:
        return base64.b64decode(padded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedRequest(
            "Invalid value at 'contents[0].parts[0].inline_data.data' (TYPE_BYTES),"
            f' Base64 decoding failed for "{text[:40]}"'
        ) from error


def _camel(key: str) -> str:
    return re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), key)


def _load(body: bytes | bytearray) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError as error:
        raise MalformedRequest(f"Invalid JSON payload received. {error}") from error
    return _mapping(document, "")


def _mapping(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MalformedRequest(f"Invalid value at '{name}' (it must be an object)")
    return value


def _check_fields(document: Mapping[str, Any]) -> None:
    for name in document:
        if name not in KNOWN_FIELDS:
            raise MalformedRequest(
                f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.'
            )
    if not document.get("contents"):
        raise MalformedRequest("* GenerateContentRequest.contents: contents is not specified\n")


def _parts(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    contents = document["contents"]
    for content in contents if isinstance(contents, list) else [contents]:
        for part in _mapping(content, "contents").get("parts", []):
            yield _mapping(part, "contents[0].parts[0]")


def _image(part: Mapping[str, Any], find_file: FileLookup) -> ReceivedImage:
    blob = part.get("inlineData") or part.get("fileData")
    blob = _mapping(blob, "contents[0].parts[0].inline_data")
    mime_type = str(blob.get("mimeType", ""))
    if mime_type not in IMAGE_TYPES:
        raise MalformedRequest(f"Unsupported MIME type: {mime_type}")
    data = decode_base64(str(blob.get("data", ""))) if "data" in blob else find_file(str(blob.get("fileUri")))
    return ReceivedImage(
        sha256=hashlib.sha256(data).hexdigest(),
        mime_type=mime_type,
        size_bytes=len(data),
        looks_real=_looks_real(data[:16]),
    )


def _looks_real(head: bytes) -> bool:
    return (
        head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"))
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        or head[4:8] == b"ftyp"
    )


def _image_tokens(config: Mapping[str, Any]) -> int:
    resolution = str(config.get("mediaResolution", "")).removeprefix("MEDIA_RESOLUTION_")
    return TOKENS_OF_RESOLUTION.get(resolution, DEFAULT_IMAGE_TOKENS)
