"""Rules of the real program's pace over real HTTP: alone, with other runs, and in an outage.

Real time passes here, so each rule is tested once; whole runs are simulated in virtual time
(``tests/simulation/test_long_runs.py``).
"""

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.emulator import Emulator, Fault, FaultPlan, LoggedRequest, Quota, TokenBucket
from tests.emulator.wire import DEFAULT_IMAGE_TOKENS, words_to_tokens
from tests.support.cli import Finished, document, files_below, run_cli
from tests.support.cli_cases import PROMPT, arguments, make_images
from tests.support.paths import SCHEMAS

pytestmark = pytest.mark.e2e

SCHEMA = SCHEMAS / "processing_stats.schema.json"
MINUTE = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"


def pacing(folder: Path) -> Any:
    """Return what the metadata say about the pace."""
    return document(folder / "out", "processing_stats.json")["pacing"]


def refused(calls: Sequence[LoggedRequest]) -> int:
    """Return how many of the calls a quota refused."""
    return sum(call.outcome == "quota" for call in calls)


def results(folder: Path) -> int:
    """Return how many answers are in the tree."""
    return len(files_below(folder / "out" / "successful"))


def busiest(at_s: Sequence[float], span_s: float) -> int:
    """Return the most arrivals within any stretch of so many seconds."""
    return max(sum(begin_s <= other_s < begin_s + span_s for other_s in at_s) for begin_s in at_s)


def down_for(seconds: float) -> Callable[[str, str], Fault | None]:
    """Return a rule by which all calls get a 503 until so long after the first."""
    healthy_at_s: list[float] = []

    def rule(_prompt: str, _sha256: str) -> Fault | None:
        now_s = asyncio.get_running_loop().time()
        healthy_at_s.append(now_s + seconds)
        return Fault.UNAVAILABLE if now_s < healthy_at_s[0] else None

    return rule


def check_short_outage(folder: Path, done: Finished, calls: Sequence[LoggedRequest]) -> None:
    """All images are answered some time after the service is back; few calls are made in vain."""
    assert done.code == 0, done.stderr
    assert results(folder) == 60
    assert sum(call.outcome == "unavailable" for call in calls) <= 30
    assert calls[-1].at_s - calls[0].at_s <= 45.0


def check_endless_outage(folder: Path, done: Finished, calls: Sequence[LoggedRequest]) -> None:
    """The run ends with 75 after the longest wait that the user allows; few calls, no failed image."""
    assert done.code == 75, done.stderr
    assert len(calls) <= 30
    assert calls[-1].at_s - calls[0].at_s <= 40.0
    assert "nothing was answered" in done.stderr.splitlines()[-1]
    stopped = document(folder / "out", "processing_stats.json")["stopped"]
    assert (stopped["reason"], stopped["images_left"]) == ("outage", 60)
    assert not files_below(folder / "out" / "failed")


def check_told_wait(folder: Path, done: Finished) -> None:
    """A line of the progress has the cause and the end of a wait; the metadata have its length."""
    assert done.code == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if "waiting for quota until" in line]
    assert len(lines) == 1
    assert re.match(r"[56] of 12, [56] done, .* waiting for quota until \d\d:\d\d:\d\d$", lines[0])
    assert 30.0 <= pacing(folder)["waited_seconds"]["quota"] <= 36.0


def test_long_waits_are_cheap_and_told(tmp_path: Path) -> None:
    """503 for 8 s, 503 for ever and a quota that asks for half a minute, side by side to save time."""
    short = Emulator(plan=FaultPlan(rules=[down_for(8.0)]), latency_s=0.02)
    endless = Emulator(plan=FaultPlan(rates={Fault.UNAVAILABLE: 1.0}))
    quota = Emulator(plan=FaultPlan(per_call={5: Fault.RATE_LIMIT}), hint_s=33.0)
    for name, images in (("short", 60), ("endless", 60), ("quota", 12)):
        make_images(tmp_path / name / "photos", images)
    slots = ("--max-concurrent", "8")

    async def scenario() -> tuple[Finished, Finished, Finished]:
        async with short, endless, quota:
            return await asyncio.gather(
                run_cli(*arguments(tmp_path / "short", short, *slots)),
                run_cli(*arguments(tmp_path / "endless", endless, *slots, "--outage-patience", "5s")),
                run_cli(*arguments(tmp_path / "quota", quota, "--max-concurrent", "2")),
            )

    waited, ended, told = asyncio.run(scenario())

    check_short_outage(tmp_path / "short", waited, short.calls)
    check_endless_outage(tmp_path / "endless", ended, endless.calls)
    check_told_wait(tmp_path / "quota", told)


def test_an_unknown_limit_is_found_and_used_in_real_time(tmp_path: Path) -> None:
    """150 images, 600 a minute with a burst of 10, 32 slots: all done, 90 % of the limit, 3 % refused."""
    make_images(tmp_path / "photos", 150)

    async def scenario() -> tuple[Finished, list[LoggedRequest]]:
        quota = Quota(meter=TokenBucket(600, 60.0, 10))
        async with Emulator(quotas=[quota], latency_s=(0.2, 0.6)) as emulator:
            done = await run_cli(*arguments(tmp_path, emulator, "--max-concurrent", "32"))
            return done, emulator.calls

    done, calls = asyncio.run(scenario())
    took = [call.at_s for call in calls if call.outcome == "answered"]
    limit_s = (150 - 10) / 600 * 60.0

    assert done.code == 0, done.stderr
    assert results(tmp_path) == 150
    assert limit_s / (took[-1] - took[0]) >= 0.9
    assert 0 < refused(calls) <= 0.03 * len(calls)
    stats = document(tmp_path / "out", "processing_stats.json")
    Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8"))).validate(stats)
    told = stats["pacing"]
    assert (told["requests"], told["refused"]) == (len(calls), refused(calls))
    assert told["refused_by_quota"] == {MINUTE: refused(calls)}
    wasted = sum(call.bytes_received for call in calls if call.outcome == "quota")
    assert told["wasted_upload_bytes"] == wasted
    assert 0.6 * limit_s < told["waited_seconds"]["pace"] + told["waited_seconds"]["quota"] < 1.5 * limit_s
    assert stats["cost"]["total_usd"] > 0.0
    said = " ".join(done.stdout.split())
    assert "the service limited us:" in said
    assert re.search(rf"{refused(calls)} of {len(calls)} calls (was|were) refused", said)
    assert "Cost about $0.05" in said


def test_refusals_at_random_are_no_limit(tmp_path: Path) -> None:
    """If one call in twenty is throttled at random, 100 images still take less than half a minute."""
    make_images(tmp_path / "photos", 100)
    plan = FaultPlan(rates={Fault.RATE_LIMIT: 0.05}, seed=3)

    async def scenario() -> tuple[Finished, list[LoggedRequest]]:
        async with Emulator(plan=plan, latency_s=0.03) as emulator:
            return await run_cli(*arguments(tmp_path, emulator)), emulator.calls

    done, calls = asyncio.run(scenario())

    assert done.code == 0, done.stderr
    assert results(tmp_path) == 100
    assert sum(call.outcome == "rate-limit" for call in calls) >= 3
    assert calls[-1].at_s - calls[0].at_s <= 30.0  # 200 a minute


def test_the_users_own_ceilings_hold(tmp_path: Path) -> None:
    """At ``--rpm 120``, and at as many tokens by ``--tpm``, no stretch of time has more than its share."""
    tokens = DEFAULT_IMAGE_TOKENS + words_to_tokens(PROMPT)
    ceilings = {"rpm": "120", "tpm": str(120 * tokens)}
    for name in ceilings:
        make_images(tmp_path / name / "photos", 20)

    async def scenario(name: str) -> tuple[Finished, list[float]]:
        async with Emulator(latency_s=0.02) as emulator:
            more = ("--max-concurrent", "16", f"--{name}", ceilings[name])
            done = await run_cli(*arguments(tmp_path / name, emulator, *more))
            return done, [call.at_s for call in emulator.calls]

    async def both() -> list[tuple[Finished, list[float]]]:
        return await asyncio.gather(*map(scenario, ceilings))

    for (done, at_s), name in zip(asyncio.run(both()), ceilings, strict=True):
        assert done.code == 0, done.stderr
        assert len(at_s) == 20
        assert all(busiest(at_s, span_s) <= 2 * span_s + 1 for span_s in (1, 2, 5, 10))
        assert at_s[-1] - at_s[0] <= 12.0, f"--{name} is used"
        assert pacing(tmp_path / name)["waited_seconds"]["ceiling"] >= 8.0


def test_runs_on_one_key_share_what_they_learned(tmp_path: Path) -> None:
    """A run begins with the 300 a minute that an earlier one learned; two runs at once share them."""
    images = {"first": 30, "second": 20, "left": 30, "right": 30}
    for name, count in images.items():
        make_images(tmp_path / name / "photos", count)
    env = {"GEMINI_BATCH_STATE_DIR": str(tmp_path / "state")}
    emulator = Emulator(quotas=[Quota(meter=TokenBucket(300, 60.0, 20))], latency_s=(0.1, 0.3))

    async def run(name: str) -> Finished:
        return await run_cli(*arguments(tmp_path / name, emulator, "--max-concurrent", "16"), env=env)

    async def scenario() -> tuple[list[Finished], list[int]]:
        async with emulator:
            runs, begun = [await run("first")], [len(emulator.calls)]
            runs.append(await run("second"))
            begun.append(len(emulator.calls))
            return [*runs, *await asyncio.gather(run("left"), run("right"))], begun

    runs, (second_from, pair_from) = asyncio.run(scenario())
    second, pair = emulator.calls[second_from:pair_from], emulator.calls[pair_from:]

    assert [run.code for run in runs] == [0, 0, 0, 0], [run.stderr for run in runs]
    assert {name: results(tmp_path / name) for name in images} == images
    assert refused(second) <= 1
    assert second[-1].at_s - second[0].at_s >= 3.0, "it begins at the learned pace, not with a burst"
    assert refused(pair) <= 0.05 * len(pair)
    assert pair[-1].at_s - pair[0].at_s <= 25.0, "60 images at 300 a minute take 12 s"
    assert "other runs use the same key and model" in runs[2].stderr + runs[3].stderr


def test_runs_that_know_nothing_share_a_limit(tmp_path: Path) -> None:
    """Two runs that begin together, with nothing learned, find 300 a minute for some twenty refusals at most.

    The search costs a number of calls, not a share: they learn of each other only after a second or two.
    """
    for name in ("left", "right"):
        make_images(tmp_path / name / "photos", 60)
    env = {"GEMINI_BATCH_STATE_DIR": str(tmp_path / "state")}

    async def scenario() -> tuple[list[Finished], list[LoggedRequest]]:
        quota = Quota(meter=TokenBucket(300, 60.0, 100))
        async with Emulator(quotas=[quota], latency_s=(0.2, 0.6)) as emulator:
            runs = await asyncio.gather(
                *(
                    run_cli(*arguments(tmp_path / name, emulator, "--max-concurrent", "16"), env=env)
                    for name in ("left", "right")
                )
            )
            return runs, emulator.calls

    runs, calls = asyncio.run(scenario())

    assert [run.code for run in runs] == [0, 0], [run.stderr for run in runs]
    assert results(tmp_path / "left") == results(tmp_path / "right") == 60
    assert 0 < refused(calls) <= 20


def test_an_image_that_always_hangs_holds_up_nothing(tmp_path: Path) -> None:
    """With the rest done it has no more than ``--max-timeout``; it alone has failed."""
    hashes = make_images(tmp_path / "photos", 12)
    hanging = "trip/photo004.png"
    plan = FaultPlan(per_image={hashes[hanging]: [Fault.HANG] * 20})

    async def scenario() -> tuple[Finished, list[LoggedRequest], float]:
        async with Emulator(plan=plan, latency_s=0.05) as emulator:
            more = ("--timeout", "1", "--max-timeout", "3", "--max-retries", "12")
            begun_s = asyncio.get_running_loop().time()
            done = await run_cli(*arguments(tmp_path, emulator, *more))
            return done, emulator.calls, asyncio.get_running_loop().time() - begun_s

    done, calls, took_s = asyncio.run(scenario())
    rest_done_s = max(call.at_s for call in calls if call.outcome == "answered")

    assert done.code == 3, done.stderr
    assert results(tmp_path) == 11
    assert files_below(tmp_path / "out" / "failed") == {f"{hanging}_error.log"}
    assert max(call.at_s for call in calls) <= rest_done_s + 3.0
    assert took_s <= rest_done_s + 3.0 + 3.0, "the program's own end takes a second"
