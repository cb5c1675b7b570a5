"""Rules of the real program's changed settings: before any edit, and only if that may help.

Every claim about calls is read from what the emulator received, not from what the program says of itself.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from processor import WORKERS_PER_SLOT
from tests.emulator import Fault, FaultPlan
from tests.emulator.log import ANSWERED
from tests.emulator.particular import (
    REFUSED,
    ConfigurableEmulator,
    ReceivedConfig,
    SettingRule,
    has_room_for,
    has_thinking_level,
    never,
    wants_picture_only,
)
from tests.support.cli import Finished, document, run_cli
from tests.support.cli_cases import make_images

pytestmark = pytest.mark.e2e

PROMPT = "Describe this picture"
WORDS = "gemini-3.8-flash"
PICTURES = "gemini-nano-banana-2.1"

PLAIN: dict[str, Any] = {}
LONGEST = {"maxOutputTokens": 65536}
LOW = {"thinkingConfig": {"thinkingLevel": "LOW"}}
BOTH, ALONE = {"responseModalities": ["TEXT", "IMAGE"]}, {"responseModalities": ["IMAGE"]}

Names = Mapping[str, str]
"""SHA-256 by key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A run of the program, and what the service received."""

    done: Finished
    emulator: ConfigurableEmulator
    names: Names
    output: Path

    def told(self, key: str) -> list[ReceivedConfig]:
        """Return the calls for an image."""
        return self.emulator.configs_of(self.names[key])

    def configs(self, key: str) -> list[Mapping[str, Any]]:
        """Return the generation config of each call for an image."""
        return [dict(told.config) for told in self.told(key)]

    @property
    def chains(self) -> dict[str, list[Any]]:
        """Return the calls in ``prompt_evolution.json`` for each image that it lists."""
        images = document(self.output, "prompt_evolution.json")["images"]
        return {entry["key"]: entry["attempts"] for entry in images}

    @property
    def failed(self) -> Any:
        """Return the counts of failed images, by kind of error."""
        return document(self.output, "processing_stats.json")["failed"]


def run(
    folder: Path,
    *more: str,
    rules: Sequence[SettingRule] = (),
    script: Sequence[Fault] = (),
    images: int = 6,
    model: str = WORDS,
    refuses: Sequence[str] = (),
    at_once: int = 4,
) -> Seen:
    """Run the program with optimization on so many images; each meets the script, then the rules."""
    names = make_images(folder / "photos", images)
    plan = FaultPlan(per_image=dict.fromkeys(names.values(), script))
    emulated = ConfigurableEmulator(plan=plan, setting_rules=rules, refuses=frozenset(refuses))

    async def scenario() -> Seen:
        async with emulated as emulator:
            done = await run_cli(
                *("--input-dir", folder / "photos", "--prompt", PROMPT, "--output-dir", folder / "out"),
                *("--api-base-url", emulator.base_url, "--max-concurrent", str(at_once), "--model", model),
                *("--enable-prompt-optimization", *more),
            )
            return Seen(done=done, emulator=emulator, names=names, output=folder / "out")

    return asyncio.run(scenario())


def changed(chain: Sequence[Any]) -> list[list[str]]:
    """Return the settings that each call of a chain had changed."""
    return [step["parameters"] for step in chain]


CURES: dict[str, tuple[str, Fault, Any, list[Any], list[list[str]]]] = {
    "more room": (
        *(WORDS, Fault.MAX_TOKENS_PARTIAL, has_room_for(20_000)),
        *([PLAIN, LONGEST], [[], ["more_output_tokens"]]),
    ),
    "less thinking": (
        *(WORDS, Fault.MAX_TOKENS_EMPTY, has_thinking_level("LOW")),
        [PLAIN, LONGEST, {**LONGEST, **LOW}],
        [[], ["more_output_tokens"], ["less_thinking", "more_output_tokens"]],
    ),
    "a picture alone": (
        *(PICTURES, Fault.NO_IMAGE, wants_picture_only),
        *([BOTH, ALONE], [[], ["picture_only"]]),
    ),
}


@pytest.mark.parametrize("cure", CURES)
def test_a_setting_rescues_images_with_the_users_own_words(tmp_path: Path, cure: str) -> None:
    """The chains name it, the run succeeds, and images answered at once have no changed setting."""
    model, fault, pleased_by, configs, parameters = CURES[cure]
    rule = SettingRule(fault=fault, accepts=pleased_by, share=0.4)

    seen = run(tmp_path, rules=[rule], images=9, model=model)

    assert seen.done.code == 0, seen.done.stderr
    assert {told.prompt for told in seen.emulator.received} == {PROMPT}
    concerned = {key for key, sha256 in seen.names.items() if rule.applies_to(sha256)}
    assert 3 <= len(concerned) <= 6
    for key in seen.names:
        assert seen.configs(key) == (configs if key in concerned else configs[:1])
    assert {key: changed(chain) for key, chain in seen.chains.items()} == dict.fromkeys(concerned, parameters)
    steps = [step for chain in seen.chains.values() for step in chain]
    assert {(step["prompt"], step["revision"], len(step["edits"])) for step in steps} == {(PROMPT, 0, 0)}


def test_a_setting_that_cures_nobody_is_left_out_for_the_rest(tmp_path: Path) -> None:
    """If thinking is the cause, the longest answer is soon not tried any more, but less thinking is."""
    rule = SettingRule(fault=Fault.MAX_TOKENS_PARTIAL, accepts=has_thinking_level("LOW"))

    seen = run(tmp_path, rules=[rule], images=20, at_once=2)

    assert seen.done.code == 0, seen.done.stderr
    kinds = Counter(len(seen.configs(key)) for key in seen.names)
    assert set(kinds) == {2, 3}
    assert kinds[3] < 15
    assert {told.prompt for told in seen.emulator.received} == {PROMPT}


def test_a_setting_that_is_refused_does_not_stop_the_run(tmp_path: Path) -> None:
    """Only calls in flight at the first rejection are lost; images go on with the longest answer."""
    script = [Fault.MAX_TOKENS_PARTIAL] * 2

    seen = run(tmp_path, script=script, refuses=["thinkingConfig"], at_once=1)

    assert seen.done.code == 0, seen.done.stderr
    refused = [told for told in seen.emulator.received if told.outcome == REFUSED]
    assert [dict(told.config) for told in refused] == [{**LONGEST, **LOW}] * len(refused)
    assert 1 <= len({told.sha256 for told in refused}) == len(refused) <= WORKERS_PER_SLOT
    for key in seen.names:
        plain, roomy, last = [told for told in seen.told(key) if told.outcome != REFUSED]
        assert [dict(told.config) for told in (plain, roomy, last)] == [PLAIN, LONGEST, LONGEST]
        assert (plain.prompt, roomy.prompt, last.outcome) == (PROMPT, PROMPT, ANSWERED)


def test_a_refused_setting_never_becomes_the_reason_of_a_failure(tmp_path: Path) -> None:
    """If nothing is left to try, the images failed as cut off, and the run does not fail fast."""
    script = [Fault.STOP_NO_PARTS, *[Fault.MAX_TOKENS_PARTIAL] * 9]

    seen = run(
        *(tmp_path, "--max-prompt-edits", "0"), script=script, refuses=["thinkingConfig"], images=4, at_once=4
    )

    assert seen.done.code == 3, seen.done.stderr
    assert seen.failed == {"total": 4, "by": {"truncated": 4}}


OTHERS = [Fault.BLOCK_OTHER, Fault.REFUSAL, Fault.STOP_NO_PARTS, Fault.RECITATION, Fault.MALFORMED_RESPONSE]


def test_other_failures_never_change_a_setting(tmp_path: Path) -> None:
    """For any other failure the settings stay those of every call."""
    seen = run(tmp_path, script=[fault for fault in OTHERS for _ in "123"], images=4)

    assert {told.outcome for told in seen.emulator.received} >= {*OTHERS[:2]}
    assert [dict(told.config) for told in seen.emulator.received if told.config] == []


def test_a_cap_on_money_leaves_the_wider_answer_its_bound(tmp_path: Path) -> None:
    """Then every call has a limit; that of the call for a longer answer is higher."""
    rule = SettingRule(fault=Fault.MAX_TOKENS_PARTIAL, accepts=has_room_for(20_000))

    seen = run(tmp_path, "--max-cost", "0.20", rules=[rule], images=3, at_once=1)

    assert seen.done.code == 0, seen.done.stderr
    for key in seen.names:
        plain, wide = (config["maxOutputTokens"] for config in seen.configs(key))
        assert plain <= 8192
        assert 20_000 <= wide <= 65_536


def test_the_report_of_a_failure_names_the_settings(tmp_path: Path) -> None:
    """The error log of a failed image has the settings of each call beside its prompt."""
    rule = SettingRule(fault=Fault.MAX_TOKENS_PARTIAL, accepts=never)

    seen = run(tmp_path, rules=[rule], images=1)

    assert seen.done.code == 3, seen.done.stderr
    (log,) = (seen.output / "failed").rglob("*_error.log")
    text = log.read_text(encoding="utf-8")
    assert "0 (as given)" in text
    assert "0 (more output tokens)" in text
    assert "0 (less thinking + more output tokens)" in text
