"""Is this body an answer, and if not, what is it?

Pure: parsed JSON of a reply with status 200 in, a ``Generation`` out, or an ``ApiFailure`` raised.
Whatever the shape of the JSON, nothing else comes out. This file knows no SDK and no HTTP library.

Source of the reasons: google-genai 3.4.0, types.py (FinishReason, BlockedReason), and Google's page on
generateContent, November 2026.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from errors import ApiFailure, ErrorKind, FatalError, StopReason
from gemini.refusals import HttpError, exception_for, one_sentence
from models import GeneratedImage, Generation, Usage
from utils.image_formats import HEAD_BYTES, sniff

K = ErrorKind

FINISH_KINDS: Mapping[str, ErrorKind] = {
    "MAX_TOKENS": K.TRUNCATED,
    "SAFETY": K.BLOCKED,
    "IMAGE_SAFETY": K.BLOCKED,
    "RECITATION": K.RECITATION,
    "IMAGE_RECITATION": K.RECITATION,
    "NO_IMAGE": K.NO_IMAGE,
    "IMAGE_OTHER": K.NO_IMAGE,
    "LANGUAGE": K.MALFORMED,
    "OTHER": K.MALFORMED,
    "MALFORMED_RESPONSE": K.MALFORMED,
    "MALFORMED_FUNCTION_CALL": K.MALFORMED,
    "UNEXPECTED_TOOL_CALL": K.MALFORMED,
    "TOO_MANY_TOOL_CALLS": K.MALFORMED,
    "MISSING_THOUGHT_SIGNATURE": K.MALFORMED,
    # The answer would go on in further billed requests, which we do not make unasked.
    "CONTINUATION": K.TRUNCATED,
    "PROHIBITED_CONTENT": K.PROHIBITED,
    "IMAGE_PROHIBITED_CONTENT": K.PROHIBITED,
    "BLOCKLIST": K.PROHIBITED,
    "SPII": K.PROHIBITED,
    "MODEL_ARMOR": K.PROHIBITED,
    "ESCALATION": K.PROHIBITED,
}
"""Every finish reason that is not an answer and not the end of the run."""

BLOCK_KINDS: Mapping[str, ErrorKind] = {
    "BLOCKED_REASON_UNSPECIFIED": K.BLOCKED,
    "BLOCK_REASON_UNSPECIFIED": K.BLOCKED,
    "SAFETY": K.BLOCKED,
    "OTHER": K.BLOCKED,
    "IMAGE_SAFETY": K.BLOCKED,
    "BLOCKLIST": K.PROHIBITED,
    "PROHIBITED_CONTENT": K.PROHIBITED,
    "MODEL_ARMOR": K.PROHIBITED,
    "JAILBREAK": K.PROHIBITED,
}
"""Every reason for which a prompt is blocked before any answer is made."""

_ANSWERED = frozenset({"STOP", "FINISH_REASON_UNSPECIFIED", ""})
_RUN_ENDING = "PUP_LIMITED_DISABLED"

_SENTENCES = {
    K.TRUNCATED: "the answer was cut off at the token limit",
    K.BLOCKED: "the safety filter withheld the answer",
    K.RECITATION: "the answer was withheld because it repeats protected material",
    K.NO_IMAGE: "no picture came",
    K.MALFORMED: "the model did not finish its answer properly",
    K.PROHIBITED: "the content is prohibited",
}


def read_answer(body: Any, *, wants_images: bool) -> Generation:
    """Return the answer in a reply with status 200.

    Args:
        body: parsed JSON of any shape.
        wants_images: the model was asked for a picture, so that words alone are no answer.

    Raises:
        ApiFailure: it is not an answer; billed tokens and partial text are in it.
        FatalError: it says that the run cannot go on.
    """
    if not isinstance(body, dict) or not body:
        shape = type(body).__name__ if body else "nothing"
        raise ApiFailure(
            kind=K.NETWORK, detail=f"the reply has status 200 but no answer in it ({shape})", http_status=200
        )
    if "error" in body and not body.get("candidates"):
        raise exception_for(HttpError(status=_code_of(body["error"]), body=body))
    return _Reply(body).generation(wants_images=wants_images)


class _Reply:
    """One reply, taken apart with every shape distrusted."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        candidates = body.get("candidates")
        first = candidates[0] if isinstance(candidates, list) and candidates else None
        self.has_candidate = isinstance(first, dict)
        self.candidates_are_odd = candidates is not None and not isinstance(candidates, list)
        self.candidate = _dict(first)
        self.feedback = _dict(body.get("promptFeedback"))
        self.finish = _text(self.candidate.get("finishReason"))
        self.said = one_sentence(
            _text(self.candidate.get("finishMessage")) or _text(self.feedback.get("blockReasonMessage"))
        )
        self.usage = _usage(_dict(body.get("usageMetadata")))
        self.model_version = _text(body.get("modelVersion"))
        self.response_id = _text(body.get("responseId"))
        parts = _dict(self.candidate.get("content")).get("parts")
        self.parts = [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
        # Thoughts are the model's notes; they are billed, but never the answer.
        spoken = [part for part in self.parts if part.get("thought") is not True]
        self.text = "".join(_text(part.get("text")) for part in spoken)

    def generation(self, *, wants_images: bool) -> Generation:
        self._check_reasons()
        images = self._images()
        if not self.text.strip() and not images:
            self._fail(K.EMPTY, "the model finished without an answer")
        if wants_images and not images:
            self._fail(K.NO_IMAGE, f"a picture was asked for, only words came: {one_sentence(self.text)}")
        return Generation(
            text=self.text,
            images=images,
            usage=self.usage,
            finish_reason=self.finish,
            model_version=self.model_version,
            response_id=self.response_id,
        )

    def _check_reasons(self) -> None:
        block = _text(self.feedback.get("blockReason"))
        if block and not self.has_candidate:
            self._fail_for(block, BLOCK_KINDS, "the prompt was blocked")
        if self.candidates_are_odd or not self.has_candidate:
            kind = K.MALFORMED if self.candidates_are_odd else K.EMPTY
            self._fail(kind, "the reply holds no answer and no reason")
        if self.finish == _RUN_ENDING:
            detail = f"the service has disabled this use of the model ({_RUN_ENDING}) {self.said}".rstrip()
            raise FatalError(StopReason.PERMISSION, detail)
        if self.finish not in _ANSWERED:
            self._fail_for(self.finish, FINISH_KINDS, "the answer ended")

    def _fail_for(self, reason: str, kinds: Mapping[str, ErrorKind], what: str) -> NoReturn:
        """An unknown reason fails the image for good: nothing is known that could help."""
        kind = kinds.get(reason, K.INVALID_REQUEST)
        sentence = _SENTENCES.get(kind, f"{what} for a reason this program does not know")
        words = f": {self.said}" if self.said else ""
        self._fail(kind, f"{sentence} ({reason[:60]}){words}", reason)

    def _fail(self, kind: ErrorKind, detail: str, reason: str = "") -> NoReturn:
        raise ApiFailure(
            kind=kind,
            detail=detail,
            http_status=200,
            api_status=reason or self.finish or None,
            input_tokens=self.usage.input_tokens,
            output_tokens=self.usage.output_tokens,
            partial_text=self.text,
        )

    def _images(self) -> tuple[GeneratedImage, ...]:
        """Return the pictures; drafts, which come as thoughts, count only where there is nothing else."""
        final = list(self._pictures(thoughts=False))
        return tuple(final or list(self._pictures(thoughts=True))[-1:])

    def _pictures(self, *, thoughts: bool) -> Iterator[GeneratedImage]:
        for part in self.parts:
            inline = _dict(part.get("inlineData") or part.get("inline_data"))
            if inline and (part.get("thought") is True) is thoughts:
                declared = _text(inline.get("mimeType") or inline.get("mime_type"))
                if declared.startswith("image/") or not declared:
                    yield self._picture(_text(inline.get("data")), declared)

    def _picture(self, encoded: str, declared: str) -> GeneratedImage:
        try:
            padded = encoded.replace("-", "+").replace("_", "/") + "=" * (-len(encoded) % 4)
            data = base64.b64decode(padded, validate=True)
        except (binascii.Error, ValueError):
            data = b""
        if not data:
            self._fail(K.MALFORMED, "a picture came whose data cannot be read")
        # Declared types were seen to be wrong (a JPEG called image/png), so the bytes decide.
        return GeneratedImage(data=data, mime_type=sniff(data[:HEAD_BYTES]) or declared)


def _usage(metadata: Mapping[str, Any]) -> Usage:
    return Usage(
        input_tokens=_count(metadata, "promptTokenCount") + _count(metadata, "toolUsePromptTokenCount"),
        output_tokens=_count(metadata, "candidatesTokenCount") + _count(metadata, "thoughtsTokenCount"),
    )


def _count(metadata: Mapping[str, Any], name: str) -> int:
    value = metadata.get(name)
    # Bounded so that no wrong number can break the journal's integers.
    return value if type(value) is int and 0 <= value < 2**40 else 0


def _code_of(error: Any) -> int:
    code = _dict(error).get("code")
    return code if type(code) is int and 400 <= code < 600 else 500


def _dict(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
