"""Response parser: the JSON of a reply with status 200 becomes a ``Generation`` or a failure.

JSON of any shape gives a ``Generation``, an ``ApiFailure`` or a ``FatalError``, and no other exception.
Source of the reasons: docs/api-facts.md, section 2.5, November 2026.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from errors import ApiFailure, ErrorKind, FatalError, StopReason
from gemini.error_mapping import find_error, to_exception
from gemini.fields import get_field, to_dict, to_snake_case, to_text
from gemini.refusal_detection import is_refusal
from gemini.repetition import is_endless
from gemini.response_body import Encoded
from gemini.response_pictures import is_picture_type, take_pictures, unwrap
from gemini.response_stream import join_chunks
from gemini.text import repair_surrogates, sanitize_sentence, sanitize_word
from gemini.token_usage import parse_usage
from models import DRY_RUN_MARK, AnswerNote, GeneratedImage, Generation
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
    # To go on would take further billed requests, which are not made unasked.
    "CONTINUATION": K.TRUNCATED,
    "PROHIBITED_CONTENT": K.PROHIBITED,
    "IMAGE_PROHIBITED_CONTENT": K.PROHIBITED,
    "BLOCKLIST": K.PROHIBITED,
    "SPII": K.PROHIBITED,
    "MODEL_ARMOR": K.PROHIBITED,
    "ESCALATION": K.PROHIBITED,
}
"""All finish reasons that fail the image; other than those of an answer or of the run's end."""

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
"""All reasons for which the service blocks a prompt before it answers."""

_NORMAL_FINISHES = frozenset({"STOP", "FINISH_REASON_UNSPECIFIED", ""})
_RUN_ENDING = "PUP_LIMITED_DISABLED"
_MAX_REASON = 60
_MAX_TEXT = 4_000_000
_RESPONSE_MEMBERS = ("candidates", "promptFeedback", "usageMetadata", "modelVersion", "responseId")

_SENTENCES = {
    K.TRUNCATED: "the answer was cut off at the token limit",
    K.BLOCKED: "the safety filter withheld the answer",
    K.RECITATION: "the answer was withheld because it repeats protected material",
    K.NO_IMAGE: "no picture came",
    K.MALFORMED: "the model did not finish its answer properly",
    K.PROHIBITED: "the content is prohibited",
}


def parse_response(body: Any, *, wants_images: bool, prompt: str = "") -> Generation:
    """Return the answer in a reply with status 200.

    Args:
        body: parsed JSON of any shape, with pictures as ``parse_json`` returns them.
        wants_images: True if a picture was asked for, so that words alone are no answer.
        prompt: the question, whose tokens are held against the count; empty if it is not known.

    Raises:
        ApiFailure: it is no answer; billed tokens and partial text are in the failure.
        FatalError: it says that the run cannot go on.
    """
    if error := find_error(body):
        raise to_exception(error)
    stream = join_chunks(body) if isinstance(body, list) else None
    reply = stream.body if stream else body
    if stream and stream.error and "candidates" not in reply:
        return parse_response(stream.error, wants_images=wants_images, prompt=prompt)
    if not isinstance(reply, dict) or not any(
        name in reply or to_snake_case(name) in reply for name in _RESPONSE_MEMBERS
    ):
        shape = type(body).__name__ if body else "nothing"
        raise ApiFailure(
            kind=K.NETWORK, detail=f"the reply has status 200 but no answer in it ({shape})", http_status=200
        )
    response = _Response(reply, prompt)
    if stream and (stream.error or stream.is_cut):
        response.fail_broken_off(stream.error)
    return response.to_generation(wants_images=wants_images)


class _Response:
    """The members of one reply, each checked for its type."""

    def __init__(self, body: Mapping[str, Any], prompt: str) -> None:
        candidates = body.get("candidates")
        first = candidates[0] if isinstance(candidates, list) and candidates else None
        self.has_candidate = isinstance(first, dict)
        self.has_malformed_candidates = candidates is not None and not isinstance(candidates, list)
        self.candidate = to_dict(first)
        self.feedback = to_dict(get_field(body, "promptFeedback"))
        self.block_reason = sanitize_word(to_text(get_field(self.feedback, "blockReason")), _MAX_REASON)
        self.finish_reason = sanitize_word(to_text(get_field(self.candidate, "finishReason")), _MAX_REASON)
        self.block_message = sanitize_sentence(to_text(get_field(self.feedback, "blockReasonMessage")))
        self.message = (
            sanitize_sentence(to_text(get_field(self.candidate, "finishMessage"))) or self.block_message
        )
        self.model_version = sanitize_word(to_text(get_field(body, "modelVersion")))
        self.response_id = sanitize_word(to_text(get_field(body, "responseId")))
        parts = to_dict(self.candidate.get("content")).get("parts")
        self.parts = [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
        # Thoughts are billed, but are never part of the answer.
        answer_parts = [part for part in self.parts if part.get("thought") is not True]
        text = "".join(to_text(part.get("text")) for part in answer_parts)
        if len(text) > _MAX_TEXT and not text.isascii():  # it takes four bytes a character, several times
            raise ValueError("a text is longer than any answer")
        text = repair_surrogates(text)
        self.text, self.pictures_in_text = take_pictures(text)
        self.notes = tuple(_iter_notes(self.text))
        inline = [found for part in answer_parts if (found := get_field(part, "inlineData"))]
        self.usage = parse_usage(
            to_dict(get_field(body, "usageMetadata")),
            text=self.text,
            has_pictures=bool(self.pictures_in_text or inline),
            picture_bytes=sum(map(_count_bytes, (*inline, *self.pictures_in_text))),
            prompt=prompt,
        )

    def to_generation(self, *, wants_images: bool) -> Generation:
        self._check_reasons()
        images = self._images(include_drafts=wants_images)
        if not self.text.strip() and not images:
            self._fail(K.EMPTY, "the model finished without an answer")
        if wants_images and not images:
            self._fail(
                K.NO_IMAGE, f"a picture was asked for, only words came: {sanitize_sentence(self.text)}"
            )
        if not images and is_refusal(self.text):
            self._fail(K.REFUSED, f"the model declined the task: {sanitize_sentence(self.text)}")
        return Generation(
            text=self.text,
            images=images,
            usage=self.usage,
            finish_reason=self.finish_reason,
            model_version=self.model_version,
            response_id=self.response_id,
            notes=self.notes,
        )

    def fail_broken_off(self, error: Any) -> NoReturn:
        """Raise the failure of an answer that came in part, because of an error or without one."""
        if http := find_error(error):
            self._fail(K.NETWORK, f"the answer broke off: {to_exception(http).detail}")
        self._fail(K.MALFORMED, "the answer broke off before its end")

    def _check_reasons(self) -> None:
        # A blocked prompt has no candidates; some gateways send an empty one.
        if not self.parts and self.finish_reason in _NORMAL_FINISHES:
            if self.block_reason:
                self._fail_with_reason(self.block_reason, BLOCK_KINDS, K.BLOCKED, "the prompt was blocked")
            if self.block_message:
                self._fail(K.BLOCKED, f"the prompt was blocked: {self.block_message}")
        if self.has_malformed_candidates or not self.has_candidate:
            kind = K.MALFORMED if self.has_malformed_candidates else K.EMPTY
            self._fail(kind, "the reply holds no answer and no reason")
        if self.finish_reason == _RUN_ENDING:
            detail = f"the service has disabled this use of the model ({_RUN_ENDING}) {self.message}".rstrip()
            raise FatalError(StopReason.PERMISSION, detail)
        if self.finish_reason not in _NORMAL_FINISHES:
            self._fail_with_reason(self.finish_reason, FINISH_KINDS, K.MALFORMED, "the answer ended")

    def _fail_with_reason(
        self, reason: str, kinds: Mapping[str, ErrorKind], unknown: ErrorKind, what: str
    ) -> NoReturn:
        """Raise the failure of this reason, of the class ``unknown`` if the reason is."""
        kind = kinds.get(reason, unknown)
        is_known = reason in kinds
        sentence = _SENTENCES[kind] if is_known else f"{what} for a reason this program does not know"
        words = f": {self.message}" if self.message else ""
        if kind is K.TRUNCATED and AnswerNote.ENDLESS in self.notes:
            words += f"; {AnswerNote.ENDLESS}"
        self._fail(kind, f"{sentence} ({reason}){words}", reason)

    def _fail(self, kind: ErrorKind, detail: str, reason: str = "") -> NoReturn:
        raise ApiFailure(
            kind=kind,
            detail=detail,
            http_status=200,
            api_status=reason or self.finish_reason or None,
            usage=self.usage,
            partial_text=self.text,
        )

    def _images(self, *, include_drafts: bool) -> tuple[GeneratedImage, ...]:
        """Return the pictures; the last draft (a thought) only if there is no other picture."""
        final = (*self._decode_pictures(thoughts=False), *map(self._decode_picture, self.pictures_in_text))
        return final or (tuple(self._decode_pictures(thoughts=True))[-1:] if include_drafts else ())

    def _decode_pictures(self, *, thoughts: bool) -> Iterator[GeneratedImage]:
        for part in self.parts:
            inline = to_dict(get_field(part, "inlineData"))
            if inline and (part.get("thought") is True) is thoughts:
                declared = sanitize_word(to_text(get_field(inline, "mimeType")).lower())
                data = inline.get("data")
                if is_picture_type(declared, data):
                    yield self._decode_picture(data, declared)

    def _decode_picture(self, encoded: Any, declared: str = "") -> GeneratedImage:
        data = unwrap(encoded) if isinstance(encoded, Encoded) else b""
        if not data:
            self._fail(K.MALFORMED, "a picture came whose data cannot be read")
        # Declared types can be wrong (a JPEG called image/png; docs/api-facts.md, section 2.3).
        return GeneratedImage(data=data, mime_type=sniff(data[:HEAD_BYTES]) or declared)


def _iter_notes(text: str) -> Iterator[AnswerNote]:
    if is_endless(text):
        yield AnswerNote.ENDLESS
    if text.startswith(DRY_RUN_MARK):
        yield AnswerNote.LIKE_DRY_RUN


def _count_bytes(picture: Any) -> int:
    """Return about how many bytes a picture has, by its base64."""
    encoded = to_dict(picture).get("data") if isinstance(picture, dict) else picture
    return len(encoded) * 3 // 4 if isinstance(encoded, Encoded) else 0
