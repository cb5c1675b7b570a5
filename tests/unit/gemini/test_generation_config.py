"""Rules of gemini/generation_config.py.

Which settings a model may be offered, and how they stand on the wire.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, combinations

import pytest
from aiohttp import web

from costs.token_estimates import answer_length
from gemini.generation_config import build_generation_config, changeable_parameters
from gemini.model_info import produces_images
from models import GenerationRequest, Parameter
from tests.support.gateway import serve
from tests.support.gemini_harness import CLIENT_CLASSES, KEY, LOWER_LEVELS, SDK_WARNINGS, ClientClass, request

pytestmark = SDK_WARNINGS

MORE, LESS, ALONE = Parameter.MORE_OUTPUT_TOKENS, Parameter.LESS_THINKING, Parameter.PICTURE_ONLY
COMBINATIONS = tuple(chain.from_iterable(combinations(Parameter, size) for size in range(len(Parameter) + 1)))

OFFERED = {
    # words, and a thinking level to come down to
    "gemini-3.6-flash": {MORE, LESS},
    "gemini-3.7-flash": {MORE, LESS},
    "gemini-3.8-flash": {MORE, LESS},
    "gemini-3.1-pro-preview": {MORE, LESS},
    "gemini-4-hydrogen": {MORE, LESS},
    "gemini-4-argon": {MORE, LESS},
    "gemini-4-carbon": {MORE, LESS},
    "gemini-flash-latest": {MORE, LESS},
    # words, and the least thinking by default
    "gemini-3.1-flash-lite": {MORE},
    "gemini-3.5-flash-lite": {MORE},
    "gemini-flash-lite-latest": {MORE},
    # words, and a budget in place of levels
    "gemini-2.5-flash": {MORE},
    "gemini-2.5-pro": {MORE},
    # pictures
    "gemini-nano-banana-2.1": {MORE, LESS, ALONE},
    "gemini-3.1-flash-lite-image": {MORE, ALONE},
    "gemini-3.1-flash-image": {MORE, ALONE},
    "gemini-3-pro-image": {MORE, ALONE},
    "gemini-2.5-flash-image": {MORE, ALONE},
    "nano-banana-pro-preview": {MORE, ALONE},
}
"""Every model of docs/api-facts.md, sections 4.3 and 4.5 (November 2026), with its changeable settings."""
STRANGERS = [
    *("gemini-2.0-flash", "gemma-3-27b-it", "tunedModels/mine-1", "tunedModels/from-gemini-3.8-flash"),
    *(
        "tunedModels/nano-banana-2.1",
        "somebody/gemini-3.8-flash-clone",
        "not-gemini-4-argon",
        "gemini-5-flash",
        "gpt-9",
        "",
    ),
]


def offered_parameters(model: str) -> frozenset[Parameter]:
    """Return the settings that a run with this model may change."""
    return changeable_parameters(model, wants_images=produces_images(model))


def config_for(model: str, *parameters: Parameter) -> dict[str, object]:
    """Return what stands beside the question, with as many tokens as a call with these settings gets."""
    wants_images = produces_images(model)
    longest = answer_length(model, wants_images=wants_images).maximum if MORE in parameters else None
    asked = replace(request(), parameters=parameters, max_output_tokens=longest)
    return build_generation_config(asked, model=model, wants_images=wants_images)


@pytest.mark.parametrize("model", OFFERED)
def test_a_model_is_offered_what_it_is_known_to_take(model: str) -> None:
    """Under each of its names; and the level is the one that it takes."""
    names = (model, f"models/{model}", f"publishers/google/models/{model}")
    assert [offered_parameters(name) for name in names] == [OFFERED[model]] * 3
    assert config_for(model, LESS).get("thinkingConfig", {}) == (
        {"thinking_level": LOWER_LEVELS[model]} if LESS in OFFERED[model] else {}
    )


def test_the_levels_are_those_of_the_offers() -> None:
    """Neither table of this test forgets a model of the other."""
    assert set(LOWER_LEVELS) == {model for model, parameters in OFFERED.items() if LESS in parameters}


@pytest.mark.parametrize("model", STRANGERS)
def test_a_model_that_nobody_knows_is_offered_no_lower_level(model: str) -> None:
    """Also a tuned model named after another one: it would reject the whole request."""
    assert LESS not in offered_parameters(model)
    assert "thinkingConfig" not in config_for(model, *Parameter)


@pytest.mark.parametrize("model", [*OFFERED, *STRANGERS])
@pytest.mark.parametrize("others", COMBINATIONS, ids="+".join)
def test_every_setting_that_is_offered_makes_another_call(model: str, others: Sequence[Parameter]) -> None:
    """Alone, and together with any others: a call that is the same as before is paid for in vain."""
    for parameter in offered_parameters(model).difference(others):
        assert config_for(model, parameter, *others) != config_for(model, *others)


@pytest.mark.parametrize("model", [*OFFERED, *STRANGERS])
def test_without_a_changed_setting_only_the_pictures_are_spoken_of(model: str) -> None:
    """A plain call leaves length and thinking to the model, and asks for words beside a picture."""
    assert config_for(model) == ({"responseModalities": ["TEXT", "IMAGE"]} if produces_images(model) else {})


# The wire

WIRED = [
    *("gemini-3.8-flash", "models/gemini-4-argon", "gemini-3.5-flash-lite", "gemini-2.5-pro"),
    *("gemini-nano-banana-2.1", "models/gemini-3.1-flash-lite-image", "tunedModels/mine-1"),
]


def configs_sent(client_class: ClientClass, model: str, asked: Sequence[GenerationRequest]) -> list[str]:
    """Return the ``generationConfig`` of each question as a server received it, to the letter."""
    seen: list[str] = []

    async def handler(incoming: web.Request) -> web.StreamResponse:
        seen.append(json.dumps(json.loads(await incoming.read())["generationConfig"]))
        return web.json_response({"error": {"code": 400, "message": "no"}}, status=400)

    async def calls() -> None:
        wants_images = produces_images(model)
        async with serve(handler) as url:
            client = client_class(api_key=KEY, model=model, base_url=url, wants_images=wants_images)
            async with client:
                for one in asked:
                    await asyncio.gather(client.generate(one), return_exceptions=True)

    asyncio.run(calls())
    return seen


@pytest.mark.parametrize("model", WIRED)
def test_every_combination_of_settings_is_sent_as_the_sdk_sends_it(model: str) -> None:
    """Names, spelling, values and their order; with a bound on the answer and without."""
    asked = [
        replace(request(), parameters=parameters, max_output_tokens=bound)
        for parameters in COMBINATIONS
        for bound in (None, 77)
    ]
    ours, theirs = (configs_sent(client_class, model, asked) for client_class in CLIENT_CLASSES)

    assert len(ours) == len(asked) == 16
    assert ours == theirs
    kinds = 2 * (1 + (LESS in offered_parameters(model))) * (1 + (ALONE in offered_parameters(model)))
    assert len(set(ours)) == kinds
