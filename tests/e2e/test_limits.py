"""Rules of caps, time limits and quotas that end a run of the real program."""

import asyncio
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.emulator import Emulator, Fault, FaultPlan
from tests.emulator.wire import DEFAULT_IMAGE_TOKENS, words_to_tokens
from tests.support.cli import Finished, document, files_below, run_cli
from tests.support.cli_cases import PROMPT, arguments, make_images, text_of

pytestmark = pytest.mark.e2e

INPUT_PRICE = Decimal("0.30") / 1_000_000
OUTPUT_PRICE = Decimal("2.50") / 1_000_000
"""Of the default model, in US dollars. Source: docs/api-facts.md, section 4.5, November 2026."""
PER_DAY = 20
"""The limit for a day in a 429 of the emulator."""


def last_line(done: Finished) -> str:
    """Return the last line on stderr."""
    return done.stderr.splitlines()[-1]


def stopped(folder: Path) -> Any:
    """Return the cause of the stop in the metadata."""
    return document(folder / "out", "processing_stats.json")["stopped"]


def answered(folder: Path) -> set[str]:
    """Return the results in the tree."""
    return files_below(folder / "out" / "successful")


def spent_after(answers: int) -> Callable[[str, str], Fault | None]:
    """Return a rule by which a day's quota is spent after so many answers."""
    served: set[str] = set()

    def rule(_prompt: str, sha256: str) -> Fault | None:
        if len(served) >= answers:
            return Fault.DAILY_QUOTA
        served.add(sha256)
        return None

    return rule


async def twice(folder: Path, emulator: Emulator, *more: str) -> tuple[Finished, int, Finished]:
    """Run under a limit and again without it; return both, and the calls of the first in between."""
    first = await run_cli(*arguments(folder, emulator, *more))
    calls = len(emulator.calls)
    return first, calls, await run_cli(*arguments(folder, emulator))


def test_a_cap_on_requests_is_never_overrun(tmp_path: Path) -> None:
    """Retries count, no more requests arrive than allowed, and the next run does the rest."""
    make_images(tmp_path / "photos", 20)
    plan = FaultPlan(per_call={0: Fault.UNAVAILABLE, 3: Fault.RESET})

    async def scenario() -> tuple[Finished, int, Finished]:
        async with Emulator(plan=plan, latency_s=0.05) as emulator:
            return await twice(tmp_path, emulator, "--max-requests", "9", "--max-concurrent", "8")

    first, calls, second = asyncio.run(scenario())

    assert first.code == 8, first.stderr
    assert calls == 9
    assert "the budget of 9 requests is used up" in last_line(first)
    assert "run the same command again" in last_line(first)
    assert second.code == 0, second.stderr
    assert len(answered(tmp_path)) == 20


def test_a_cap_on_money_is_never_overrun(tmp_path: Path) -> None:
    """By what the service counted the bill is below the cap; the next run does the rest."""
    hashes = make_images(tmp_path / "photos", 40)
    texts: dict[str, str] = {}

    async def scenario() -> tuple[Finished, int, Finished]:
        async with Emulator(latency_s=0.05) as emulator:
            more = ("--max-cost", "0.01", "--max-concurrent", "8")
            first = await run_cli(*arguments(tmp_path, emulator, *more))
            calls = len(emulator.calls)
            for key in hashes:
                if f"{key}_result.txt" in answered(tmp_path):
                    texts[key] = text_of(tmp_path / "out", key)
            return first, calls, await run_cli(*arguments(tmp_path, emulator))

    first, calls, second = asyncio.run(scenario())
    input_tokens = calls * (DEFAULT_IMAGE_TOKENS + words_to_tokens(PROMPT))
    bill = input_tokens * INPUT_PRICE + sum(map(words_to_tokens, texts.values())) * OUTPUT_PRICE

    assert first.code == 8, first.stderr
    assert len(texts) == calls < 40
    assert Decimal("0.005") < bill <= Decimal("0.01")
    assert f"${bill:.4f} of $0.01 is spent" in last_line(first)
    assert second.code == 0, second.stderr
    assert len(answered(tmp_path)) == 40


def test_no_cap_on_money_without_a_price(tmp_path: Path) -> None:
    """For a model without a known price ``--max-cost`` ends with 2 before anything is sent."""
    make_images(tmp_path / "photos", 2)

    async def scenario() -> tuple[Finished, int]:
        async with Emulator(models=["my-own-model"]) as emulator:
            more = ("--max-cost", "1", "--model", "my-own-model")
            return await run_cli(*arguments(tmp_path, emulator, *more)), len(emulator.requests)

    done, requests = asyncio.run(scenario())

    assert done.code == 2
    assert requests == 0
    assert "no price is known for my-own-model" in last_line(done)


def test_no_new_call_once_the_time_is_over(tmp_path: Path) -> None:
    """After ``--max-duration`` nothing is sent, calls in flight are kept, and the next run goes on."""
    make_images(tmp_path / "photos", 20)

    async def scenario() -> tuple[Finished, list[datetime], Finished]:
        async with Emulator(latency_s=0.8) as emulator:
            more = ("--max-duration", "3s", "--max-concurrent", "3")
            first = await run_cli(*arguments(tmp_path, emulator, *more), env={"TZ": "Europe/Berlin"})
            sent = [datetime.fromisoformat(call.wall_time) for call in emulator.calls]
            emulator.latency_s = 0.0
            return first, sent, await run_cli(*arguments(tmp_path, emulator))

    first, sent, second = asyncio.run(scenario())

    assert first.code == 10, first.stderr
    said = re.search(r"no new work after (\S+ \S+) \(UTC(\S+)\)", first.stderr)
    assert said, first.stderr
    # The message has whole seconds, rounded down.
    over_at = datetime.fromisoformat(f"{said[1]}{said[2]}") + timedelta(seconds=1)
    assert 0 < len(sent) < 20
    assert max(sent) <= over_at
    assert "--max-duration 3s is over" in last_line(first)
    assert document(tmp_path / "out", "processing_stats.json")["accounting"]["already_answered"] == len(sent)
    assert second.code == 0, second.stderr
    assert len(answered(tmp_path)) == 20


def test_a_deadline_just_missed_is_tomorrows(tmp_path: Path) -> None:
    """Asked for the minute before this one, the run announces tomorrow's and does its work."""
    make_images(tmp_path / "photos", 2)
    missed = datetime.now(ZoneInfo("Europe/Berlin")) - timedelta(minutes=1)  # noqa: TID251 - as the user's clock
    tomorrow = missed.date() + timedelta(days=1)

    async def scenario() -> Finished:
        async with Emulator() as emulator:
            more = ("--deadline", f"{missed:%H:%M}")
            return await run_cli(*arguments(tmp_path, emulator, *more), env={"TZ": "Europe/Berlin"})

    done = asyncio.run(scenario())

    assert done.code == 0, done.stderr
    assert f"no new work after {tomorrow} {missed:%H:%M}:00 (UTC+0" in done.stderr
    assert len(answered(tmp_path)) == 2


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
def test_a_spent_day_says_when_it_goes_on(tmp_path: Path, zone: str) -> None:
    """75; answers are kept; last line, metadata and ``--status`` say when (local time) and for how long."""
    make_images(tmp_path / "photos", 50)
    plan = FaultPlan(rules=[spent_after(6)])

    async def scenario() -> tuple[Finished, Finished, int]:
        async with Emulator(plan=plan) as emulator:
            done = await run_cli(*arguments(tmp_path, emulator, "--max-concurrent", "4"), env={"TZ": zone})
            status = await run_cli("--status", "--output-dir", tmp_path / "out", key=None, env={"TZ": zone})
            return done, status, len(emulator.calls)

    done, status, calls = asyncio.run(scenario())
    ended_at = datetime.fromisoformat(document(tmp_path / "out", "processing_stats.json")["ended_at"])
    pacific = ended_at.astimezone(ZoneInfo("America/Los_Angeles"))
    midnight = pacific.replace(hour=0, minute=0, second=0, microsecond=0)
    resets_at = (midnight.replace(tzinfo=None) + timedelta(days=1)).replace(tzinfo=midnight.tzinfo)
    local = resets_at.astimezone(ZoneInfo(zone))
    when = f"{local:%H:%M} on {local.day} {local:%b} (local time)"

    assert done.code == 75, done.stderr
    assert calls <= 6 + 4 + 4
    assert len(answered(tmp_path)) == 6
    assert not files_below(tmp_path / "out" / "failed")
    why = stopped(tmp_path)
    assert (why["reason"], why["images_left"], why["nights_left"]) == ("daily_quota", 44, 3)
    assert why["images_per_night"] == PER_DAY
    assert datetime.fromisoformat(why["resets_at"]) == resets_at.astimezone(UTC)
    assert why["resets_at_local"] == local.isoformat(timespec="seconds")
    for said in (last_line(done), " ".join(status.stdout.split())):
        assert "quota for the day is used up" in said
        assert when in said
        assert f"at {PER_DAY} a day the remaining 44 images take 3 more days" in said


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        (Fault.PAYMENT_REQUIRED, 75, ("credit is spent", "top up")),
        (Fault.CREDITS_429, 75, ("credit is spent", "top up")),
        (Fault.SPENDING_CAP, 75, ("spending cap is reached", "raise the project's spending cap")),
        (Fault.LIMIT_ZERO, 5, ("not part of the project's tier", "waiting does not help")),
    ],
)
def test_what_waiting_cannot_mend_ends_the_run_at_once(
    tmp_path: Path, fault: Fault, code: int, words: tuple[str, str]
) -> None:
    """No credit, a spending cap, a quota of zero: each has its message, and no more requests than slots."""
    make_images(tmp_path / "photos", 20)

    async def scenario() -> tuple[Finished, int]:
        async with Emulator(plan=FaultPlan(rates={fault: 1.0}), latency_s=0.05) as emulator:
            done = await run_cli(*arguments(tmp_path, emulator, "--max-concurrent", "4"))
            return done, len(emulator.calls)

    done, calls = asyncio.run(scenario())

    assert done.code == code, done.stderr
    assert 1 <= calls <= 4
    assert all(word in last_line(done) for word in (*words, "20 images are left"))
    assert stopped(tmp_path)["images_left"] == 20
    assert not files_below(tmp_path / "out" / "failed")
