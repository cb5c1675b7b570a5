"""Rules of a connection on which something comes between its reuse and the first byte of the next request."""

import asyncio
import contextlib
import dataclasses
import hashlib
import json

from errors import ApiFailure
from gemini.client import GeminiClient
from tests.attack.mutations import NO_IMAGE, Parts, frame
from tests.attack.raw_server import RawReply, RawServer
from tests.emulator.answers import answer
from tests.emulator.replies import Context
from tests.support.gemini_harness import KEY, TEXT_MODEL, request

_IMAGES = 200
_AT_A_TIME = 12
_STRAY = {"candidates": [{"content": {"parts": [{"text": f"image {NO_IMAGE}"}]}, "finishReason": "STOP"}]}


def _respond(context: Context) -> RawReply:
    """Answer, and send another reply a moment later, where the connection is idle then."""
    stray, right = (
        frame(Parts(document=None, body=json.dumps(document).encode()))
        for document in (_STRAY, answer(context))
    )
    return dataclasses.replace(right, later=stray.data)


async def _ask(client: GeminiClient, image: bytes, gate: asyncio.Semaphore) -> str:
    """Return the text of the first answer; a connection that is dropped is asked on again."""
    while True:
        async with gate:
            with contextlib.suppress(ApiFailure):
                return (await client.generate(request(image=image))).text


def test_no_reply_to_no_request_is_taken_for_an_answer() -> None:
    """Each image has its own answer, although every connection has a stray reply while it is idle."""
    images = [b"\xff\xd8\xff %d" % number for number in range(_IMAGES)]

    async def scenario() -> list[str]:
        gate = asyncio.Semaphore(_AT_A_TIME)
        async with RawServer(_respond) as server:
            client = GeminiClient(api_key=KEY, model=TEXT_MODEL, base_url=server.base_url, wants_images=False)
            async with client:
                return await asyncio.gather(*(_ask(client, image, gate) for image in images))

    texts = asyncio.run(scenario())

    hashes = [hashlib.sha256(image).hexdigest() for image in images]
    assert [f"image {sha256}" in text for sha256, text in zip(hashes, texts, strict=True)] == [True] * _IMAGES
