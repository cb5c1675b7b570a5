"""Rules of gemini/response_body.py: taking pictures out of a reply does not change what is read."""

import asyncio
import base64
import io
import json
import random
import threading
from typing import Any

import pytest
from aiohttp import web
from PIL import Image

import gemini.client
from gemini.client import GeminiClient
from gemini.reply_parser import ReplyParser
from gemini.response_body import (
    MIN_EXTRACTED_CHARACTERS,
    check_size,
    decode_base64,
    extract_base64,
    parse_json,
)
from models import GeneratedImage, Generation
from tests.support.gateway import Handler, always_answer, serve
from tests.support.gemini_harness import IMAGE_MODEL, KEY, request


def noise(side: int) -> bytes:
    """Return a PNG that no encoder can make small."""
    buffer = io.BytesIO()
    Image.frombytes("RGB", (side, side), random.Random(side).randbytes(3 * side * side)).save(buffer, "PNG")
    return buffer.getvalue()


PNG = noise(320)
BIG_PNG = noise(640)
LONG = base64.b64encode(PNG).decode()
assert len(LONG) > MIN_EXTRACTED_CHARACTERS

PICTURE = {"inlineData": {"mimeType": "image/png", "data": LONG}}
FOR_URLS = {"inline_data": {"mime_type": "image/png", "data": LONG.replace("+", "-").replace("/", "_")}}
TRAPS = {
    "one": [PICTURE],
    "two, with words between": [PICTURE, {"text": "Ä cat. 猫"}, FOR_URLS],
    "one that is short": [{"inlineData": {"data": "AAAA"}}, PICTURE, {"inlineData": {"data": ""}}],
    "words that look like one": [{"text": f'"data": "{LONG}"'}, PICTURE, {"text": '{"data": "x"}\\'}],
    "a key that ends like one": [{f'x"data": "{LONG}': 1, 'y\\"data': LONG, "data": 'y"data'}, PICTURE],
    "another value of that key": [{"data": [LONG]}, {"data": {"data": LONG}}, {"data": None}, {"data": LONG}],
    "escapes in it": [{"data": LONG + '"\n\\'}, PICTURE],
    "what stands in for it": [{"text": "-Infinity"}, {"number": float("-inf")}, PICTURE],
    "none": [{"text": LONG}],
}


def whole(document: Any) -> Any:
    """Return a document with what was cut out of it as strings."""
    if isinstance(document, memoryview):
        return bytes(document).decode()
    if isinstance(document, dict):
        return {name: whole(value) for name, value in document.items()}
    return [whole(value) for value in document] if isinstance(document, list) else document


@pytest.mark.parametrize("layout", [{}, {"indent": 2}, {"separators": (",", ":")}, {"ensure_ascii": False}])
@pytest.mark.parametrize("parts", TRAPS.values(), ids=TRAPS)
def test_a_reply_reads_as_if_nothing_were_cut_out(parts: list[Any], layout: dict[str, Any]) -> None:
    """Whatever stands around the pictures, and however the JSON is laid out."""
    body = json.dumps({"candidates": [{"content": {"parts": parts}}]}, **layout).encode()

    rest, pictures = extract_base64(body)

    assert whole(parse_json(rest.decode(), pictures)) == json.loads(body)


@pytest.mark.parametrize("piece", ['"data": "', '"data": ', '{"data": "A', f'{{"data": "{LONG}'])
def test_a_reply_that_breaks_off_is_left_to_the_parser(piece: str) -> None:
    """A string without its end is none that could be cut out."""
    body = f"[{json.dumps(PICTURE)}, {piece}".encode()

    with pytest.raises(json.JSONDecodeError):
        parse_json(extract_base64(body)[0].decode(), extract_base64(body)[1])


def test_the_parser_sees_no_picture() -> None:
    """What holds the interpreter's lock for as long as it takes is shown some hundred bytes."""
    body = json.dumps([PICTURE, FOR_URLS, {"text": "A cat."}]).encode()

    rest, pictures = extract_base64(body)

    assert len(rest) < 300
    assert [decode_base64(picture) for picture in pictures] == [PNG, PNG]


def test_an_escaped_slash_is_read_too() -> None:
    """Some encoders write it so; such a picture is left to the parser."""
    body = json.dumps(PICTURE).replace("/", "\\/").encode()

    assert extract_base64(body) == (body, [])


class Watched(ReplyParser):
    """Notes where replies are read, and how many at a time."""

    most = reading = 0

    def __init__(self, api_key: str) -> None:
        super().__init__(api_key)
        self.threads: set[int] = set()

    def parse_body(
        self, body: bytes | bytearray, charset: str, *, wants_images: bool, prompt: str
    ) -> Generation:
        """Parse a reply, and note where."""
        self.threads.add(threading.get_ident())
        self.reading += 1
        self.most = max(self.most, self.reading)
        try:
            return super().parse_body(body, charset, wants_images=wants_images, prompt=prompt)
        finally:
            self.reading -= 1


def answers_of(handler: Handler, calls: int) -> tuple[list[Generation], Watched]:
    """Return what so many calls at a time are answered."""

    async def run() -> tuple[list[Generation], Watched]:
        async with asyncio.timeout(60), serve(handler) as url:
            client = GeminiClient(api_key=KEY, model=IMAGE_MODEL, base_url=url, wants_images=True)
            client._parser = watched = Watched(KEY)
            async with client:
                return list(
                    await asyncio.gather(*(client.generate(request(timeout_s=60)) for _ in range(calls)))
                ), watched

    return asyncio.run(run())


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=UTF-8", "text/html"])
def test_big_replies_are_read_off_the_loop_and_one_at_a_time(content_type: str, *, is_chunked: bool) -> None:
    """However they are sent and called; the picture is what the service made."""
    picture = BIG_PNG
    part = {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(picture).decode()}}
    body = json.dumps({"candidates": [{"content": {"parts": [part]}, "finishReason": "STOP"}]}).encode()

    async def handler(_: web.Request) -> web.Response:
        response = web.Response(body=body, headers={"Content-Type": content_type})
        if is_chunked:
            response.enable_chunked_encoding()
        return response

    answers, watched = answers_of(handler, 6)

    assert [answer.images for answer in answers] == [
        (GeneratedImage(data=picture, mime_type="image/png"),)
    ] * 6
    assert threading.get_ident() not in watched.threads
    assert watched.most == 1


class Slow(ReplyParser):
    """Parses only when released, as when many replies wait for their turn."""

    def __init__(self, api_key: str) -> None:
        super().__init__(api_key)
        self.may_parse = threading.Event()

    def parse_body(
        self, body: bytes | bytearray, charset: str, *, wants_images: bool, prompt: str
    ) -> Generation:
        """Parse a reply when it is released."""
        assert self.may_parse.wait(60)
        return super().parse_body(body, charset, wants_images=wants_images, prompt=prompt)


def test_an_answer_that_came_in_time_is_read_however_long_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is paid for: a deadline that passes while it waits to be read does not throw it away."""
    monkeypatch.setattr(gemini.client, "OUTER_GRACE_S", 0.0)
    deadline_s = 0.5
    part = {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(BIG_PNG).decode()}}
    body = json.dumps({"candidates": [{"content": {"parts": [part]}, "finishReason": "STOP"}]})

    async def run() -> Generation:
        async with serve(always_answer(200, body)) as url:
            client = GeminiClient(api_key=KEY, model=IMAGE_MODEL, base_url=url, wants_images=True)
            client._parser = slow = Slow(KEY)
            async with client:
                asyncio.get_running_loop().call_later(1.5 * deadline_s, slow.may_parse.set)
                return await client.generate(request(timeout_s=deadline_s))

    assert asyncio.run(run()).images[0].data == BIG_PNG


@pytest.mark.parametrize(
    ("body", "is_parsed"),
    [
        (b'{"a":[' + b"[]," * 1_300_000 + b"0]}", True),
        (b'{"a":[' + b"[]," * 1_400_000 + b"0]}", False),
        (b'{"text":"' + b"A" * 23_000_000 + b'"}', True),
        (b'{"text":"' + b"QUJD\\n" * 3_500_000 + b'"}', True),
        (b'{"text":"' + b"A" * 25_000_000 + b'"}', False),
        (b'{"text":"' + b"a word " * 800_000 + b'"}', False),
    ],
    ids=["4 MB", "more", "base64", "base64 in lines", "more of it", "words"],
)
def test_what_is_parsed_is_bounded(body: bytes, *, is_parsed: bool) -> None:
    """A text may hold a picture; what becomes objects, or is no base64, may not be as long."""
    if is_parsed:
        check_size(body)
    else:
        with pytest.raises(ValueError, match="more than any answer"):
            check_size(body)
