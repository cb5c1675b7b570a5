"""Rules of the real program's edited prompts: only for failures that a prompt can cure.

Every claim is read from the emulator's own log of prompts, not from what the program says of itself.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.emulator import ContentRule, Emulator, Fault, FaultPlan
from tests.support.cli import Finished, document, run_cli
from tests.support.cli_cases import make_images

pytestmark = pytest.mark.e2e

PROMPT = "Describe this picture"
AT_ONCE = 3
"""Runs at a time of those that end early; they mostly wait."""
PARTS = 4
"""Runs that share the outages among them."""

QUOTAS = [fault for fault in Fault if fault.value.startswith(("rate-limit", "token-limit"))]
ENDS_THE_RUN = [
    *(Fault.DAILY_QUOTA, Fault.DAILY_AND_MINUTE, Fault.LIMIT_ZERO, Fault.SPENDING_CAP, Fault.CREDITS_429),
    *(Fault.PAYMENT_REQUIRED, Fault.API_KEY_INVALID, Fault.LOCATION, Fault.UNAUTHENTICATED),
    *(Fault.PERMISSION_DENIED, Fault.MODEL_NOT_FOUND, Fault.MODEL_GONE, Fault.PUP_LIMITED_DISABLED),
]
OUTAGES = [
    *(Fault.REQUEST_TIMEOUT, Fault.CANCELLED, Fault.INTERNAL, Fault.BAD_GATEWAY, Fault.UNAVAILABLE),
    *(Fault.OVERLOADED, Fault.UNAVAILABLE_BROKEN_JSON, Fault.UNAVAILABLE_EMPTY, Fault.DEADLINE_EXCEEDED),
    *(Fault.LIST_WRAPPED, Fault.CREATED, Fault.NO_CONTENT, Fault.RESET, Fault.CLOSE, Fault.CUT_BODY),
    *(Fault.RESET_BODY, Fault.HANG, Fault.OK_BROKEN_JSON, Fault.CAPTIVE_PORTAL, Fault.OK_EMPTY),
    *(Fault.OK_NULL, Fault.OK_ERROR, Fault.REDIRECT),
]
WRONG_REQUESTS = [
    *(Fault.INVALID_ARGUMENT, Fault.CORRUPT_IMAGE, Fault.DEADLINE_TOO_SHORT, Fault.FILE_NOT_FOUND),
    Fault.TOO_LARGE,
]
FORBIDDEN = [
    *(Fault.PROHIBITED_CONTENT, Fault.BLOCKLIST, Fault.SPII, Fault.ESCALATION, Fault.MODEL_ARMOR),
    *(Fault.IMAGE_PROHIBITED_CONTENT, Fault.BLOCK_BLOCKLIST, Fault.BLOCK_PROHIBITED),
    *(Fault.BLOCK_MODEL_ARMOR, Fault.BLOCK_JAILBREAK),
]
WITHHELD_FOR_SAFETY = [Fault.SAFETY, Fault.IMAGE_SAFETY, Fault.BLOCK_SAFETY, Fault.BLOCK_IMAGE_SAFETY]
CURABLE = [
    *(Fault.BAD_BASE64, Fault.CANDIDATES_STRING, Fault.NO_CANDIDATES, Fault.STOP_NO_PARTS, Fault.NO_ROLE),
    *(Fault.MAX_TOKENS_EMPTY, Fault.MAX_TOKENS_PARTIAL, Fault.FINISH_UNSPECIFIED, Fault.RECITATION),
    *(Fault.LANGUAGE, Fault.OTHER, Fault.CONTINUATION, Fault.MALFORMED_RESPONSE, Fault.REFUSAL),
    *(Fault.MALFORMED_FUNCTION_CALL, Fault.UNEXPECTED_TOOL_CALL, Fault.TOO_MANY_TOOL_CALLS),
    *(Fault.MISSING_THOUGHT_SIGNATURE, Fault.IMAGE_RECITATION, Fault.IMAGE_OTHER, Fault.NO_IMAGE),
    *(Fault.BLOCK_UNSPECIFIED, Fault.BLOCK_OTHER, Fault.BLOCK_UNKNOWN, Fault.FINISH_UNKNOWN),
    Fault.THOUGHTS_ONLY,
]
ANSWERED_AFTER_ALL = [*(fault for fault in Fault if fault.still_answers), Fault.TEXT_ONLY]
"""Faults that still end in an answer; the last one only if no picture was requested."""

Rule = ContentRule
Script = Sequence[Fault | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A run of the program, and the prompts of each image as the service saw them."""

    done: Finished
    prompts: Mapping[str, Sequence[str]]
    outcomes: Mapping[str, Sequence[str]]
    output: Path

    @property
    def failed(self) -> int:
        """Return how many images the program says have failed."""
        return int(document(self.output, "processing_stats.json")["failed"]["total"])

    @property
    def edited(self) -> set[str]:
        """Return every edited prompt."""
        return {prompt for prompts in self.prompts.values() for prompt in prompts} - {PROMPT}


async def run(folder: Path, name: str, plan: FaultPlan, *more: str | Path, prompt: str = PROMPT) -> Seen:
    """Run the program on the images of a folder, with optimization; keep what the emulator saw."""
    async with Emulator(plan=plan, hint_s=0.1) as emulator:
        done = await run_cli(
            *("--input-dir", folder / "photos", "--prompt", prompt, "--output-dir", folder / name),
            *("--api-base-url", emulator.base_url, "--max-concurrent", "20", *more),
        )
        hashes = {row.image_sha256 for row in emulator.calls}
        rows = {sha256: [row for row in emulator.calls if row.image_sha256 == sha256] for sha256 in hashes}
        return Seen(
            done=done,
            prompts={sha256: [row.prompt for row in calls] for sha256, calls in rows.items()},
            outcomes={sha256: [row.outcome for row in calls] for sha256, calls in rows.items()},
            output=folder / name,
        )


OPTIMIZED = "--enable-prompt-optimization"


@dataclass(slots=True, kw_only=True)
class Met:
    """Prompts and outcome of the image that met a fault; by fault."""

    prompts: dict[Fault, Sequence[str]] = field(default_factory=dict)
    outcomes: dict[Fault, Sequence[str]] = field(default_factory=dict)


async def meet(met: Met, folder: Path, scripts: Mapping[Fault, Script], *more: str, company: int = 0) -> None:
    """Let one image meet each script in one run, beside ``company`` images that are answered at once."""
    hashes = list(make_images(folder / "photos", len(scripts) + company).values())
    plan = FaultPlan(per_image=dict(zip(hashes, scripts.values(), strict=False)))
    seen = await run(folder, "out", plan, OPTIMIZED, *more)
    assert seen.done.code in {0, 3}, seen.done.stderr
    for sha256, fault in zip(hashes, scripts, strict=False):
        met.prompts[fault], met.outcomes[fault] = seen.prompts[sha256], seen.outcomes[sha256]
    assert all(seen.prompts[sha256] == [PROMPT] for sha256 in hashes[len(scripts) :])


async def end_the_run(met: Met, folder: Path, fault: Fault, free: asyncio.Semaphore) -> None:
    """Let every call of a run meet a fault that ends it."""
    async with free:
        make_images(folder / "photos", 3)
        plan = FaultPlan(rules=[Rule(fault=fault)])
        seen = await run(folder, "out", plan, OPTIMIZED, "--max-retries", "1", "--max-duration", "30s")
    met.prompts[fault] = [prompt for prompts in seen.prompts.values() for prompt in prompts]
    met.outcomes[fault] = [outcome for outcomes in seen.outcomes.values() for outcome in outcomes]


@pytest.fixture(scope="module")
def met(tmp_path_factory: pytest.TempPathFactory) -> Met:
    """Return the results of images that together meet every fault."""
    met, folder = Met(), tmp_path_factory.mktemp("kinds")

    def passing(faults: Iterable[Fault], then: Fault | None = None) -> dict[Fault, Script]:
        return {fault: [fault, then or fault, None] for fault in faults}

    async def all_runs() -> None:
        free = asyncio.Semaphore(AT_ONCE)
        lasting = [*WRONG_REQUESTS, *FORBIDDEN, *WITHHELD_FOR_SAFETY, *CURABLE]
        for_ever: dict[Fault, Script] = {fault: [fault] * 20 for fault in lasting}
        short = ("--timeout", "1s", "--max-timeout", "6s", "--max-retries", "4")
        async with asyncio.TaskGroup() as group:
            for n in range(PARTS):  # so that the service never looks as if it were down
                part = passing(OUTAGES[n::PARTS])
                group.create_task(meet(met, folder / f"outages {n}", part, *short, company=60))
            # Each quota met slows the run down, so they come once, and then a failure of another kind.
            quotas = passing(QUOTAS, Fault.BLOCK_OTHER)
            group.create_task(meet(met, folder / "quotas", quotas, company=20))
            group.create_task(meet(met, folder / "for ever", for_ever, company=5))
            for fault in ENDS_THE_RUN:
                group.create_task(end_the_run(met, folder / fault.value, fault, free))

    asyncio.run(all_runs())
    return met


def test_every_fault_is_in_one_class() -> None:
    """A new fault of the emulator must get its class here."""
    classes = [QUOTAS, ENDS_THE_RUN, OUTAGES, WRONG_REQUESTS, FORBIDDEN, WITHHELD_FOR_SAFETY, CURABLE]
    listed = [fault for faults in (*classes, ANSWERED_AFTER_ALL) for fault in faults]

    assert len(listed) == len(set(listed))
    assert set(listed) == set(Fault)


@pytest.mark.parametrize("fault", [*QUOTAS, *OUTAGES])
def test_what_waiting_cures_never_changes_the_prompt(met: Met, fault: Fault) -> None:
    """Quotas beside another failure; outages and timeouts twice, which would be enough for an edit."""
    assert met.outcomes[fault] == [fault, Fault.BLOCK_OTHER if fault in QUOTAS else fault, "answered"]
    assert met.prompts[fault] == [PROMPT] * 3


@pytest.mark.parametrize("fault", ENDS_THE_RUN)
def test_what_ends_the_run_never_changes_the_prompt(met: Met, fault: Fault) -> None:
    """Wrong keys, missing models, spent quotas and empty accounts."""
    assert str(fault) in met.outcomes[fault]
    assert set(met.prompts[fault]) == {PROMPT}


@pytest.mark.parametrize("fault", WRONG_REQUESTS)
def test_a_wrong_request_never_changes_the_prompt(met: Met, fault: Fault) -> None:
    """Requests that are refused are sent once, or twice where the service says "please retry"."""
    assert met.prompts[fault] == [PROMPT] * (2 if fault is Fault.CORRUPT_IMAGE else 1)


@pytest.mark.parametrize("fault", FORBIDDEN)
def test_what_is_forbidden_is_asked_about_once(met: Met, fault: Fault) -> None:
    """Exactly one call, whatever the name of the prohibition."""
    assert met.outcomes[fault] == [fault]
    assert met.prompts[fault] == [PROMPT]


@pytest.mark.parametrize("fault", WITHHELD_FOR_SAFETY)
def test_the_safety_filter_sees_one_other_prompt_at_most(met: Met, fault: Fault) -> None:
    """The user's prompt (twice, or three times in the control group) and at most one neutral edit."""
    edited = [prompt for prompt in met.prompts[fault] if prompt != PROMPT]

    assert len(met.prompts[fault]) <= 4
    assert met.prompts[fault][:2] == [PROMPT, PROMPT]
    assert len(edited) <= 1
    assert all("neutral" in prompt for prompt in edited)


@pytest.mark.parametrize("fault", CURABLE)
def test_what_words_may_cure_is_first_asked_again(met: Met, fault: Fault) -> None:
    """The user's prompt twice before any edited one, and at most four of these, each once."""
    edited = [prompt for prompt in met.prompts[fault] if prompt != PROMPT]

    assert met.prompts[fault][:2] == [PROMPT, PROMPT]
    assert len(edited) == len(set(edited)) <= 4


BROKEN_FILES = {
    "empty.png": b"",
    "words.jpg": b"this is no picture",
    "cut.png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
    "zeros.webp": bytes(500),
}


def test_broken_files_are_never_asked_about(tmp_path: Path) -> None:
    """An unreadable image makes no call, and changes nothing for the other images."""
    hashes = make_images(tmp_path / "photos", 3)
    for name, data in BROKEN_FILES.items():
        (tmp_path / "photos" / name).write_bytes(data)

    seen = asyncio.run(run(tmp_path, "out", FaultPlan(), OPTIMIZED))

    assert seen.failed == len(BROKEN_FILES)
    assert seen.prompts == {sha256: [PROMPT] for sha256 in hashes.values()}


WORDY = (
    "Could you please have a good look at this picture (we took it last summer, when all of us were at the"
    " lake), and would you then be so kind as to tell us what there is to be seen in it?"
)
HIDDEN_RULES = {
    "short enough": (WORDY, Rule(fault=Fault.BLOCK_OTHER, share=0.5, max_words=28)),
    "names the output": (
        PROMPT,
        Rule(fault=Fault.REFUSAL, share=0.5, needs=["one thing", "result", "common words"]),
    ),
    "avoids a word": (WORDY, Rule(fault=Fault.BLOCK_UNSPECIFIED, share=0.5, avoids=["please"])),
}


@pytest.mark.parametrize("name", HIDDEN_RULES)
def test_a_hidden_rule_costs_at_least_15_points_less(tmp_path: Path, name: str) -> None:
    """The same images, with and without optimization; those answered at once get only the user's prompt."""
    prompt, rule = HIDDEN_RULES[name]
    hashes = make_images(tmp_path / "photos", 40)
    plan = FaultPlan(rules=[rule])

    async def both() -> tuple[Seen, Seen]:
        return await asyncio.gather(
            run(tmp_path, "without", plan, prompt=prompt),
            run(tmp_path, "with", plan, OPTIMIZED, prompt=prompt),
        )

    without, optimized = asyncio.run(both())

    assert without.failed - optimized.failed >= 0.15 * len(hashes)
    assert {prompt} == {words for prompts in without.prompts.values() for words in prompts}
    at_once = [sha256 for sha256, told in without.outcomes.items() if told[0] == "answered"]
    assert len(at_once) >= 10
    assert all(optimized.prompts[sha256] == [prompt] for sha256 in at_once)


UNHEARD = [Fault.BLOCK_OTHER, Fault.REFUSAL, Fault.RECITATION, Fault.NO_IMAGE, Fault.NO_ROLE, Fault.LANGUAGE]


def never_pleased(hashes: Sequence[str]) -> FaultPlan:
    """Return a plan by which images always fail, in all the ways that a prompt may cure."""
    return FaultPlan(per_image={sha256: [UNHEARD[n % 6]] * 20 for n, sha256 in enumerate(hashes)})


@pytest.mark.parametrize("most", [0, 2, 10])
def test_no_image_gets_more_edits_than_the_user_allows(tmp_path: Path, most: int) -> None:
    """Counted for each image in the emulator's log; with a limit of 0 it gets only the user's prompt."""
    hashes = list(make_images(tmp_path / "photos", 18).values())

    seen = asyncio.run(
        run(tmp_path, "out", never_pleased(hashes), OPTIMIZED, "--max-prompt-edits", str(most))
    )

    edits = {sha256: [prompt for prompt in seen.prompts[sha256] if prompt != PROMPT] for sha256 in hashes}
    assert all(len(edited) == len(set(edited)) <= most for edited in edits.values())
    assert max(map(len, edits.values())) >= min(most, 3)
    assert all(len(prompts) <= 1 + most + 1 + 1 for prompts in seen.prompts.values())


def test_words_to_keep_stand_in_every_edit_that_was_sent(tmp_path: Path) -> None:
    """With a prompt that many edits would shorten, every prompt that the service got has both parts."""
    hashes = list(make_images(tmp_path / "photos", 48).values())
    prompt = "Please tell me what you see (look at the blue door). Mention the Old Mill too, if you can!"

    seen = asyncio.run(
        run(
            *(tmp_path, "out", never_pleased(hashes), OPTIMIZED, "--prompt-keep", "blue door, Old Mill"),
            prompt=prompt,
        )
    )

    assert len(seen.edited - {prompt}) >= 8
    assert [words for words in seen.edited if "blue door" not in words or "Old Mill" not in words] == []


OWN_EDITS = """
replace_all = true

[[edit]]
name = "as_a_list"
serves = ["blocked", "refused", "recitation", "no_image", "empty", "malformed"]
template = "{prompt}, as a list"

[[edit]]
name = "for_a_museum"
serves = ["blocked", "refused", "recitation", "no_image", "empty", "malformed"]
template = "For a museum: {prompt}"
"""


def test_only_the_users_edits_are_sent_where_they_replace_all(tmp_path: Path) -> None:
    """The bundled edits are left out, both of the user's are tried, and no other prompt is sent."""
    hashes = list(make_images(tmp_path / "photos", 18).values())
    (tmp_path / "edits.toml").write_text(OWN_EDITS, encoding="utf-8")

    seen = asyncio.run(
        run(tmp_path, "out", never_pleased(hashes), OPTIMIZED, "--prompt-edits", tmp_path / "edits.toml")
    )

    assert seen.edited == {f"{PROMPT}, as a list", f"For a museum: {PROMPT}"}
