"""Replies that are not what their status says.

A 200 without an answer, and codes that are neither success nor error.
Source: docs/api-facts.md, section 1.4, the rows "201 or 204" to "302".
"""

import dataclasses
import json
from collections.abc import Callable, Mapping

from tests.emulator.answers import answer, good_reply
from tests.emulator.bodies import error_reply
from tests.emulator.faults import Fault
from tests.emulator.replies import HTML_TYPE, Context, Reply, json_reply

_PORTAL = (
    b"<!DOCTYPE html>\n<html><head><title>Welcome to our Wi-Fi</title></head>"
    b"<body><form>Accept the terms to go on.</form></body></html>\n"
)


def _broken_json(context: Context) -> Reply:
    reply = good_reply(context)
    return dataclasses.replace(reply, body=reply.body[: len(reply.body) // 2])


def _error_inside(_: Context) -> Reply:
    document = json.loads(error_reply(500, "INTERNAL", "An internal error has occurred.").body)
    return json_reply(document)


def _bad_base64(context: Context) -> Reply:
    document = answer(context)
    blob = {"mimeType": "image/png", "data": "this is *not* base64!"}
    document["candidates"][0]["content"]["parts"].append({"inlineData": blob})
    return json_reply(document)


ODDITIES: Mapping[Fault, Callable[[Context], Reply]] = {
    Fault.CREATED: lambda context: dataclasses.replace(good_reply(context), status=201),
    Fault.NO_CONTENT: lambda _: Reply(status=204),
    Fault.REDIRECT: lambda context: Reply(
        status=302, headers={"Location": f"/v1beta/models/{context.model}"}, content_type=HTML_TYPE
    ),
    Fault.OK_BROKEN_JSON: _broken_json,
    Fault.CAPTIVE_PORTAL: lambda _: Reply(body=_PORTAL, content_type=HTML_TYPE),
    Fault.OK_EMPTY: lambda _: Reply(),
    Fault.OK_NULL: lambda _: Reply(body=b"null\n"),
    Fault.OK_LIST: lambda context: json_reply([answer(context)]),
    Fault.OK_ERROR: _error_inside,
    Fault.BAD_BASE64: _bad_base64,
}
