"""Rules of the cost of an answer in the ledger, and of the tokens of a failed call."""

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from archiver import Archiver
from errors import ApiFailure
from gemini.response_parser import parse_response
from models import Usage
from tests.support.outcomes import run_info, succeeded
from tests.support.reports import schema


def test_a_line_of_the_ledger_tells_its_cost(tmp_path: Path) -> None:
    """A line fits the schema; its pictures' tokens are read back, and older lines without them are read."""
    outcome = succeeded("a.jpg")
    usage = Usage(input_tokens=1120, output_tokens=1130, image_output_tokens=1120)
    outcome = replace(outcome, generation=replace(outcome.generation, usage=usage))
    store = Archiver(output_dir=tmp_path, run=run_info(), price=lambda *_: Decimal("0.03361234"))
    store.store(outcome)
    (line,) = (tmp_path / "metadata/results.jsonl").read_text().splitlines()
    document = json.loads(line)
    Draft202012Validator(schema("results")).validate(document)
    assert document["cost_usd"] == 0.033612
    (answer,) = store.proven_answers
    assert (answer.usage, answer.cost_usd) == (usage, None)
    del document["usage"]["image_output_tokens"], document["cost_usd"]
    (tmp_path / "metadata/results.jsonl").write_text(json.dumps(document))
    (answer,) = store.proven_answers
    assert answer.usage.image_output_tokens == 0


def test_a_failed_call_tells_what_its_pictures_took() -> None:
    """Tokens of pictures were billed, at a high price."""
    picture = {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}
    candidate = {"content": {"parts": [picture]}, "finishReason": "IMAGE_OTHER"}
    body = {"candidates": [candidate], "usageMetadata": {"candidatesTokenCount": 1120}}
    with pytest.raises(ApiFailure) as caught:
        parse_response(body, wants_images=True)
    assert caught.value.usage.image_output_tokens == 1120
