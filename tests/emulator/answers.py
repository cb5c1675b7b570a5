"""Answers of the model as GenerateContentResponse documents, good and bad.

The plain answer, each finish and block reason, and answers whose parts need care.
Source: docs/api-facts.md, sections 2.3 to 2.5 (wire format; finish and block reasons of SDK 3.4.0).
"""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.emulator import pictures
from tests.emulator.faults import Fault
from tests.emulator.replies import Context, Reply, json_reply
from tests.emulator.wire import words_to_tokens

Document = dict[str, Any]

REFUSAL_TEXT = "I'm sorry, but I can't help with this image."
PICTURE_TOKENS = 1120
"""Output tokens of a 1K picture. Source: docs/api-facts.md, sections 2.7 and 4.4."""


def answer(context: Context) -> Document:
    """Return the plain answer: the image's hash and the prompt; and a picture where one is asked for."""
    return _finish_normally(context, _answer_parts(context))


def answer_text(context: Context) -> str:
    """Return the words of an answer, which name the image by the hash of the bytes received."""
    images = "\n".join(f"image {image.sha256}" for image in context.call.images) or "image none"
    text = f"{images}\nprompt {context.call.prompt}"
    return json.dumps({"answer": text}) if context.call.json_answer else text


def wants_picture(context: Context) -> bool:
    """Return whether the call asks for a picture and the model returns pictures."""
    return "IMAGE" in context.call.modalities and makes_pictures(context.model)


def makes_pictures(model: str) -> bool:
    """Return whether a model returns pictures, by its name."""
    return "image" in model or "banana" in model


def draw_picture(context: Context, variant: str = "") -> bytes:
    """Return the PNG that belongs to this image, prompt and variant."""
    return pictures.png(_seed(context, variant), context.picture_px)


def _seed(context: Context, variant: str) -> str:
    return f"{context.call.sha256}|{context.call.prompt}|{variant}"


def _answer_parts(context: Context) -> list[Document]:
    words = {"text": answer_text(context)}
    if not wants_picture(context):
        return [words]
    picture = _picture_part(draw_picture(context))
    return [words, picture] if "TEXT" in context.call.modalities else [picture]


def _picture_part(data: bytes, mime_type: str = "image/png") -> Document:
    return {"inlineData": {"mimeType": mime_type, "data": base64.b64encode(data).decode()}}


def _finish_normally(context: Context, parts: Sequence[Document]) -> Document:
    return _finish_with(context, "STOP", {"role": "model", "parts": list(parts)})


def _finish_with(context: Context, reason: str, content: Document | None = None, **more: Any) -> Document:
    candidate: Document = {"content": content} if content is not None else {}
    candidate |= {"finishReason": reason, "index": 0, **more}
    parts = (content or {}).get("parts", [])
    return {"candidates": [candidate], **_envelope(context, parts)}


def _envelope(context: Context, parts: Sequence[Document] = ()) -> Document:
    seed = f"{_seed(context, '')}|{context.index}".encode()
    identity = base64.urlsafe_b64encode(hashlib.sha256(seed).digest()[:15]).decode()
    return {"usageMetadata": _usage(context, parts), "modelVersion": context.model, "responseId": identity}


def _usage(context: Context, parts: Sequence[Document]) -> Document:
    call = context.call
    said = sum(_part_tokens(part) for part in parts if not part.get("thought"))
    thought = sum(_part_tokens(part) for part in parts if part.get("thought"))
    usage = {"promptTokenCount": call.input_tokens, "totalTokenCount": call.input_tokens + said + thought}
    if said:
        usage["candidatesTokenCount"] = said
    if thought:
        usage["thoughtsTokenCount"] = thought
    images = call.image_tokens * len(call.images)
    details = [{"modality": "TEXT", "tokenCount": call.prompt_tokens}]
    details += [{"modality": "IMAGE", "tokenCount": images}] if images else []
    return {**usage, "promptTokensDetails": details, "serviceTier": "standard"}


def _part_tokens(part: Document) -> int:
    return PICTURE_TOKENS if "inlineData" in part else words_to_tokens(part.get("text", ""))


def _partial(context: Context, reason: str) -> Document:
    text = answer_text(context)
    return _finish_with(context, reason, {"role": "model", "parts": [{"text": text[: len(text) // 2]}]})


def _blocked(context: Context, reason: str) -> Document:
    feedback = {"blockReason": reason, "safetyRatings": _RATINGS if reason == "SAFETY" else []}
    return {"promptFeedback": feedback, **_envelope(context)}


def _safety(context: Context) -> Document:
    return _finish_with(context, "SAFETY", safetyRatings=_RATINGS)


def _recitation(context: Context) -> Document:
    citation = {"startIndex": 0, "endIndex": 9, "uri": "https://example.com/poem"}
    return _finish_with(context, "RECITATION", citationMetadata={"citationSources": [citation]})


def _thought_first(context: Context) -> Document:
    thought = {"text": "**Looking at the image**", "thought": True}
    last = {**_answer_parts(context)[-1], "thoughtSignature": "AVSoXO4="}
    return _finish_normally(context, [thought, *_answer_parts(context)[:-1], last])


def _draft_images(context: Context) -> Document:
    drafts = [{**_picture_part(draw_picture(context, f"draft {n}")), "thought": True} for n in (1, 2)]
    return _finish_normally(
        context, [{"text": "Sketching", "thought": True}, *drafts, *_answer_parts(context)]
    )


def _thoughts_only(context: Context) -> Document:
    return _finish_normally(context, [{**part, "thought": True} for part in _answer_parts(context)])


def _several_pictures(context: Context) -> Document:
    more = [_picture_part(draw_picture(context, f"no {n}")) for n in (2, 3)] if wants_picture(context) else []
    return _finish_normally(context, [*_answer_parts(context), *more])


def _jpeg_as_png(context: Context) -> Document:
    if not wants_picture(context):
        return answer(context)
    words = _answer_parts(context)[:-1]
    return _finish_normally(context, [*words, _picture_part(pictures.jpeg(_seed(context, "")))])


def _finish(reason: str, message: str = "") -> Callable[[Context], Document]:
    more: Document = {"finishMessage": message} if message else {}
    return lambda context: _finish_with(context, reason, None, **more)


def _block(reason: str) -> Callable[[Context], Document]:
    return lambda context: _blocked(context, reason)


_RATINGS = [
    {"category": "HARM_CATEGORY_SEXUALLY_EXPLICIT", "probability": "HIGH", "blocked": True},
    {"category": "HARM_CATEGORY_HARASSMENT", "probability": "NEGLIGIBLE"},
]
_UNSHOWN = (
    "Unable to show the generated image. The image was filtered out because it violated Google's Generative"
    " AI Prohibited Use policy. You will not be charged for blocked images."
)
_REASONS_BY_THEIR_OWN_NAME = [
    "PROHIBITED_CONTENT",
    "BLOCKLIST",
    "SPII",
    "LANGUAGE",
    "OTHER",
    "ESCALATION",
    "MODEL_ARMOR",
    "PUP_LIMITED_DISABLED",
    "MALFORMED_RESPONSE",
    "MALFORMED_FUNCTION_CALL",
    "UNEXPECTED_TOOL_CALL",
    "TOO_MANY_TOOL_CALLS",
    "MISSING_THOUGHT_SIGNATURE",
    "IMAGE_RECITATION",
    "IMAGE_OTHER",
    "NO_IMAGE",
]

DOCUMENTS: Mapping[Fault, Callable[[Context], Document]] = {
    **{Fault[reason]: _finish(reason) for reason in _REASONS_BY_THEIR_OWN_NAME},
    Fault.SAFETY: _safety,
    Fault.RECITATION: _recitation,
    Fault.IMAGE_SAFETY: _finish("IMAGE_SAFETY", _UNSHOWN),
    Fault.IMAGE_PROHIBITED_CONTENT: _finish("IMAGE_PROHIBITED_CONTENT", _UNSHOWN),
    Fault.FINISH_UNSPECIFIED: _finish("FINISH_REASON_UNSPECIFIED"),
    Fault.FINISH_UNKNOWN: _finish("A_REASON_OF_TOMORROW"),
    Fault.CONTINUATION: lambda context: _partial(context, "CONTINUATION"),
    Fault.MAX_TOKENS_EMPTY: _finish("MAX_TOKENS"),
    Fault.MAX_TOKENS_PARTIAL: lambda context: _partial(context, "MAX_TOKENS"),
    Fault.STOP_NO_PARTS: lambda context: _finish_with(context, "STOP", {"role": "model"}),
    Fault.NO_ROLE: lambda context: _finish_with(context, "STOP", {}),
    Fault.NO_CANDIDATES: lambda context: {"candidates": [], **_envelope(context)},
    Fault.CANDIDATES_STRING: lambda context: {"candidates": "oops", **_envelope(context)},
    Fault.BLOCK_UNSPECIFIED: _block("BLOCKED_REASON_UNSPECIFIED"),
    Fault.BLOCK_UNKNOWN: _block("A_REASON_OF_TOMORROW"),
    Fault.BLOCK_SAFETY: _block("SAFETY"),
    Fault.BLOCK_OTHER: _block("OTHER"),
    Fault.BLOCK_BLOCKLIST: _block("BLOCKLIST"),
    Fault.BLOCK_PROHIBITED: _block("PROHIBITED_CONTENT"),
    Fault.BLOCK_IMAGE_SAFETY: _block("IMAGE_SAFETY"),
    Fault.BLOCK_MODEL_ARMOR: _block("MODEL_ARMOR"),
    Fault.BLOCK_JAILBREAK: _block("JAILBREAK"),
    Fault.THOUGHTS_ONLY: _thoughts_only,
    Fault.THOUGHT_FIRST: _thought_first,
    Fault.DRAFT_IMAGES: _draft_images,
    Fault.SEVERAL_PICTURES: _several_pictures,
    Fault.JPEG_AS_PNG: _jpeg_as_png,
    Fault.TEXT_ONLY: lambda context: _finish_normally(context, [{"text": answer_text(context)}]),
    Fault.REFUSAL: lambda context: _finish_normally(context, [{"text": REFUSAL_TEXT}]),
}


def good_reply(context: Context) -> Reply:
    """Return the plain answer as a reply."""
    return json_reply(answer(context))
