"""Reply parser: the bytes of a reply become an answer or a failure, without the key and within bounds.

A reply may come from a gateway or from a stranger on the way: what of it is parsed as JSON is bounded, its
pictures being taken out, and the key, which it may echo, is removed from every text.
"""

import asyncio
from dataclasses import replace
from functools import partial

from errors import ApiFailure, FatalError
from gemini.text import remove_secret
from models import Generation
from utils.logger import make_redactor

_PARSE_ON_LOOP_BYTES = 500_000
"""Longer replies hold pictures. They, and all of a model of pictures, are parsed in a thread, one at a time:
the event loop then competes with one thread for the interpreter's lock, and not with six."""

_EXTRACTABLE_CHARSETS = {"utf-8", "ascii"}

Problem = ApiFailure | FatalError


class ReplyParser:
    """Parser of the replies of one client; long ones are parsed one after the other.

    Args:
        api_key: removed from all that a reply says.
    """

    def __init__(self, api_key: str) -> None:
        self._api_key = api_key
        self._redact = make_redactor([api_key])
        self._lock = asyncio.Lock()

    async def parse(
        self, body: bytes | bytearray, charset: str, *, wants_images: bool, prompt: str
    ) -> Generation:
        """Return the answer in a reply with status 200; see ``parse_response``.

        Raises:
            ApiFailure: it is no answer.
            FatalError: the run cannot go on.
            ValueError: it is no JSON, or more than any answer.
            LookupError: its charset is unknown.
            RecursionError: it is nested too deeply.
        """
        parse = partial(self.parse_body, body, charset, wants_images=wants_images, prompt=prompt)
        if len(body) > _PARSE_ON_LOOP_BYTES or wants_images:
            async with self._lock:
                return await asyncio.to_thread(parse)
        return parse()

    def parse_body(
        self, body: bytes | bytearray, charset: str, *, wants_images: bool, prompt: str
    ) -> Generation:
        """Parse a reply; blocks."""
        from gemini.response_body import check_size, extract_base64, parse_json  # noqa: PLC0415
        from gemini.response_parser import parse_response  # noqa: PLC0415
        from gemini.response_pictures import leave_out_damaged  # noqa: PLC0415

        rest, pictures = extract_base64(body) if charset in _EXTRACTABLE_CHARSETS else (body, [])
        check_size(rest)
        text = rest.decode(charset)
        del rest
        if self._api_key in text:  # a search for all its spellings takes long
            text = self._redact(text)
        answer = parse_response(parse_json(text, pictures), wants_images=wants_images, prompt=prompt)
        del text
        return self._redact_answer(
            leave_out_damaged(answer, wants_images=wants_images) if answer.images else answer
        )

    def _redact_answer(self, answer: Generation) -> Generation:
        """Return the answer without the key, which may come with escapes or in parts."""
        texts = (answer.text, answer.model_version, answer.response_id, answer.finish_reason)
        if not any(self._api_key in text for text in texts):
            return answer
        text, version, identity, reason = map(self._redact, texts)
        return replace(answer, text=text, model_version=version, response_id=identity, finish_reason=reason)


def redact_problem(problem: Problem, key: str) -> Problem:
    """Return the problem without the key, which a gateway may echo in its reply."""
    if isinstance(problem, FatalError):
        return FatalError(
            problem.reason,
            remove_secret(problem.detail, key),
            retry_after_s=problem.retry_after_s,
            http_status=problem.http_status,
            cause=problem.cause,
        )
    problem.detail = remove_secret(problem.detail, key)
    problem.partial_text = remove_secret(problem.partial_text, key) if problem.partial_text else ""
    problem.api_status = remove_secret(problem.api_status, key) if problem.api_status else None
    problem.quota_ids = tuple(remove_secret(quota, key) for quota in problem.quota_ids)
    return problem
