"""The real program as a process of its own, over real HTTP, on real files."""

import asyncio
import re
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from tests.emulator import Emulator, Fault, FaultPlan
from tests.support.cli import KEY, document, files_below, run_cli
from tests.support.cli_cases import PROMPT, make_images, text_of

pytestmark = pytest.mark.e2e

FAULTS = {
    Fault.RATE_LIMIT: 0.05,
    Fault.UNAVAILABLE: 0.05,
    Fault.RESET: 0.05,
    Fault.CUT_BODY: 0.05,
}


def test_every_image_is_answered_once_through_all_faults(tmp_path: Path) -> None:
    """100 images, 5 % each of 429, 503, reset, cut body, one hang: 100 right results, none paid twice."""
    hashes = make_images(tmp_path / "photos", 100)
    plan = FaultPlan(rates=FAULTS, max_random_per_image=3, counted={Fault.HANG: 1}, seed=7)

    async def scenario() -> tuple[int, Emulator]:
        async with Emulator(plan=plan, latency_s=(0.01, 0.05)) as emulator:
            done = await run_cli(
                *("--input-dir", tmp_path / "photos", "--prompt", PROMPT, "--output-dir", tmp_path / "out"),
                *("--api-base-url", emulator.base_url, "--max-concurrent", "10", "--max-retries", "8"),
                *("--timeout", "3"),
            )
            assert done.code == 0, done.stderr
            return done.code, emulator

    _, emulator = asyncio.run(scenario())

    outcomes = Counter(request.outcome for request in emulator.requests)
    assert outcomes["hang"] == 1
    assert sum(outcomes[str(fault)] for fault in FAULTS) >= 10
    assert emulator.max_in_flight <= 10
    for key, sha256 in hashes.items():
        assert sha256 in text_of(tmp_path / "out", key)
        assert emulator.answered(sha256) == 1
    assert files_below(tmp_path / "out" / "successful") == {f"{key}_result.txt" for key in hashes}
    assert not files_below(tmp_path / "out" / "failed")


@pytest.mark.parametrize("flags", [[], ["--verbose"]], ids=["counted", "named"])
def test_what_is_skipped_is_counted_and_can_be_named(tmp_path: Path, flags: list[str]) -> None:
    """The summary has each reason in words; with --verbose every file is named with its reason."""
    photos = tmp_path / "photos"
    make_images(photos, 1)
    reasons = {
        "._a.jpg": "a Mac's notes on another file",
        ".hidden.png": "hidden, its name begins with a dot",
        "notes.txt": "not an image",
        "more.txt": "not an image",
        "dead.png": "a link to nothing",
    }
    for name in reasons:
        (photos / name).write_bytes(b"x")
    (photos / "dead.png").unlink()
    (photos / "dead.png").symlink_to(tmp_path / "nowhere")

    done = asyncio.run(
        run_cli(
            *("--input-dir", photos, "--prompt", PROMPT, "--output-dir", tmp_path / "out", "--dry-run"),
            *flags,
        )
    )

    assert "Skipped      5, each named with --verbose" in done.stdout
    for reason in {*reasons.values()}:
        assert f"{[*reasons.values()].count(reason):>7}  {reason}\n" in done.stdout
    named = {name for name, reason in reasons.items() if f"{name} skipped: {reason}" in done.stderr}
    assert named == ({*reasons} if flags else set())
    assert not re.search("apple_double|dangling_link|not_an_image", done.stdout + done.stderr)


def test_a_bad_request_fails_one_image_and_no_other(tmp_path: Path) -> None:
    """A 400 for one image: one request, one error log, exit code 3, the rest done."""
    hashes = make_images(tmp_path / "photos", 7)
    bad = "trip/photo001.png"
    plan = FaultPlan(per_image={hashes[bad]: [Fault.INVALID_ARGUMENT] * 5})

    async def scenario() -> Emulator:
        async with Emulator(plan=plan) as emulator:
            done = await run_cli(
                *("--input-dir", tmp_path / "photos", "--prompt", PROMPT, "--output-dir", tmp_path / "out"),
                *("--api-base-url", emulator.base_url),
            )
            assert done.code == 3, done.stderr
            return emulator

    emulator = asyncio.run(scenario())

    assert sum(request.image_sha256 == hashes[bad] for request in emulator.requests) == 1
    assert files_below(tmp_path / "out" / "failed") == {f"{bad}_error.log"}
    assert len(files_below(tmp_path / "out" / "successful")) == 6
    log = (tmp_path / "out" / "failed" / f"{bad}_error.log").read_text(encoding="utf-8")
    assert "invalid_request" in log
    assert PROMPT in log


def test_a_refused_key_stops_the_run(tmp_path: Path) -> None:
    """A bad key: at most ``--max-concurrent`` requests, exit code 5, nothing failed, the key nowhere."""
    make_images(tmp_path / "photos", 30)
    secret = "AIzaSy-this-is-not-a-real-key-0123456789"  # noqa: S105 - made up

    async def scenario() -> tuple[str, Emulator]:
        async with Emulator(keys=[KEY]) as emulator:
            done = await run_cli(
                *("--input-dir", tmp_path / "photos", "--prompt", PROMPT, "--output-dir", tmp_path / "out"),
                *("--api-base-url", emulator.base_url, "--max-concurrent", "4", "--verbose"),
                *("--log-file", tmp_path / "run.log"),
                key=secret,
            )
            assert done.code == 5, done.stderr
            return done.stdout + done.stderr, emulator

    said, emulator = asyncio.run(scenario())

    assert 1 <= len(emulator.requests) <= 4
    assert not files_below(tmp_path / "out" / "failed")
    assert document(tmp_path / "out", "processing_stats.json")["exit_code"] == 5
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(secret.encode() in content for content in [said.encode(), *written])


def test_an_image_model_leaves_pictures(tmp_path: Path) -> None:
    """A model with picture output: the picture lies beside the text, with the extension of its bytes."""
    hashes = make_images(tmp_path / "photos", 3)
    several = next(iter(hashes.values()))
    plan = FaultPlan(per_image={several: [Fault.SEVERAL_PICTURES]})

    async def scenario() -> None:
        async with Emulator(plan=plan) as emulator:
            done = await run_cli(
                *(
                    "--input-dir",
                    tmp_path / "photos",
                    "--prompt",
                    "anime style",
                    "--output-dir",
                    tmp_path / "out",
                ),
                *("--api-base-url", emulator.base_url, "--model", "gemini-nano-banana-2.1"),
            )
            assert done.code == 0, done.stderr

    asyncio.run(scenario())

    written = files_below(tmp_path / "out" / "successful")
    assert {f"{key}_result.txt" for key in hashes} <= written
    assert "photo000.png_result_2.png" in written
    for name in written:
        if not name.endswith(".txt"):
            with Image.open(tmp_path / "out" / "successful" / name) as picture:
                picture.load()


def test_a_dry_run_needs_no_key_and_no_network(tmp_path: Path) -> None:
    """The whole tree is written below dry-run/, marked as dry; a bad image is rejected as in real runs."""
    make_images(tmp_path / "photos", 4)
    (tmp_path / "photos" / "bad.jpg").write_text("no image")

    async def scenario() -> str:
        done = await run_cli(
            *("--input-dir", tmp_path / "photos", "--prompt", PROMPT, "--output-dir", tmp_path / "out"),
            *("--dry-run", "--archive-format", "zip"),
            key=None,
        )
        assert done.code == 3, done.stderr
        return done.stdout

    said = asyncio.run(scenario())

    assert "dry run" in said.lower()
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"dry-run"}
    out = tmp_path / "out" / "dry-run"
    for name in files_below(out):
        if name.endswith((".txt", ".log")):
            assert "DRY RUN" in (out / name).read_text(encoding="utf-8").splitlines()[0]
    for name in ("processing_stats.json", "prompt_evolution.json", "error_analysis.json"):
        assert document(out, name)["dry_run"] is True
    assert (out / "archive.zip").is_file()


def test_optimization_rescues_what_is_blocked_by_its_words(tmp_path: Path) -> None:
    """With optimization an image blocked for its wording is rescued, and the whole chain is on record."""
    from tests.emulator import ContentRule  # noqa: PLC0415 - only this test speaks of hidden rules

    hashes = make_images(tmp_path / "photos", 6)
    touchy = sorted(hashes.values())[:2]
    plan = FaultPlan(
        rules=[ContentRule(fault=Fault.SAFETY, images=touchy, needs=["illustration", "neutral"])]
    )

    async def scenario(output: str, *more: str) -> int:
        async with Emulator(plan=plan) as emulator:
            done = await run_cli(
                *("--input-dir", tmp_path / "photos", "--prompt", PROMPT, "--output-dir", tmp_path / output),
                *("--api-base-url", emulator.base_url, *more),
            )
            return done.code

    assert asyncio.run(scenario("without")) == 3
    assert asyncio.run(scenario("with", "--enable-prompt-optimization")) == 0

    evolution = document(tmp_path / "with", "prompt_evolution.json")
    assert len(evolution["images"]) == 2
    for entry in evolution["images"]:
        assert [attempt["prompt"] for attempt in entry["attempts"]][:2] == [PROMPT, PROMPT]
        assert entry["attempts"][-1]["prompt"] != PROMPT


def test_optimization_lowers_the_failing_share_by_15_points(tmp_path: Path) -> None:
    """With hidden rules about the prompt, on the same images: at least 15 points fewer fail than without it.

    A third of the images is withheld until the prompt is other than it was, in three ways that no edit
    was written for; those answered at once are asked once, in the user's words; what is forbidden, once.
    """
    from tests.emulator import ContentRule  # noqa: PLC0415 - only the tests of hidden rules speak of them

    hashes = make_images(tmp_path / "photos", 60)
    ordered = sorted(hashes.values())
    blocked, declined, forbidden = ordered[:16], ordered[16:24], ordered[24:26]
    plan = FaultPlan(
        rules=[
            ContentRule(fault=Fault.BLOCK_OTHER, images=blocked, avoids=["could", "please"]),
            ContentRule(fault=Fault.REFUSAL, images=declined, needs=["friendly", "editorial", "only"]),
            ContentRule(fault=Fault.PROHIBITED_CONTENT, images=forbidden),
        ]
    )
    prompt = "Could you please describe this picture? Say what is in it."

    async def scenario(output: str, *more: str) -> Emulator:
        async with Emulator(plan=plan) as emulator:
            done = await run_cli(
                *("--input-dir", tmp_path / "photos", "--prompt", prompt, "--output-dir", tmp_path / output),
                *("--api-base-url", emulator.base_url, *more),
            )
            assert done.code == 3, done.stderr
            return emulator

    def failing_share(output: str) -> float:
        stats = document(tmp_path / output, "processing_stats.json")
        return float(stats["failed"]["total"]) / 60.0

    without = asyncio.run(scenario("without"))
    emulator = asyncio.run(scenario("with", "--enable-prompt-optimization"))

    assert failing_share("without") - failing_share("with") >= 0.15
    for seen in (without, emulator):
        assert Counter(one.image_sha256 for one in seen.requests)[forbidden[0]] == 1
    prompts = {
        sha256: [one.prompt for one in emulator.requests if one.image_sha256 == sha256] for sha256 in ordered
    }
    assert all(prompts[sha256] == [prompt] for sha256 in ordered[24:])
    evolution = document(tmp_path / "with", "prompt_evolution.json")
    assert evolution["calls"]["per_rescue"] >= 1.0
    assert sum(one["rescued"] for one in evolution["edits"].values()) == evolution["rescued"] > 0
    assert all(
        0.0 <= one["share"]["low"] < one["share"]["high"] <= 1.0 for one in evolution["edits"].values()
    )
    compared = evolution["uplift"]
    marked = sum(step["control"] for entry in evolution["images"] for step in entry["attempts"])
    assert marked == compared["asked_again"]["tried"]


def test_the_next_night_knows_what_the_last_one_learned(tmp_path: Path) -> None:
    """What rescued images in one run is in the journal for the next; a dry run does not use it."""
    from tests.emulator import ContentRule  # noqa: PLC0415 - only the tests of hidden rules speak of them

    make_images(tmp_path / "photos", 12)
    plan = FaultPlan(rules=[ContentRule(fault=Fault.REFUSAL, needs=["editorial"])])

    def lessons() -> dict[str, float]:
        journal = tmp_path / "out" / "metadata" / "journal.db"
        if not journal.exists():
            return {}
        with closing(sqlite3.connect(journal)) as connection:
            rows = connection.execute("SELECT arm, rescues FROM lessons WHERE arm <> ''").fetchall()
        return dict(rows)

    async def night(*more: str) -> None:
        async with Emulator(plan=plan) as emulator:
            done = await run_cli(
                *("--input-dir", tmp_path / "photos", "--prompt", PROMPT, "--output-dir", tmp_path / "out"),
                *("--api-base-url", emulator.base_url, "--enable-prompt-optimization", "--force", *more),
            )
            assert done.code in {0, 3}, done.stderr

    asyncio.run(night("--dry-run"))
    assert lessons() == {}
    asyncio.run(night())
    first = lessons()
    assert max(first, key=lambda arm: first[arm]) == "state_purpose"
    asyncio.run(night("--dry-run"))
    assert lessons() == first
    asyncio.run(night())
    assert lessons()["state_purpose"] > first["state_purpose"] * 0.5 + 3.0


def test_nothing_found_is_said_clearly(tmp_path: Path) -> None:
    """A directory without images: a clear message and exit code 4."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "notes.txt").write_text("no images here")

    async def scenario() -> tuple[int, str]:
        done = await run_cli(
            *(
                "--input-dir",
                tmp_path / "photos",
                "--prompt",
                PROMPT,
                "--output-dir",
                tmp_path / "out",
                "--dry-run",
            )
        )
        return done.code, done.stderr

    code, said = asyncio.run(scenario())

    assert code == 4
    assert "no image" in said.lower()
    assert "Traceback" not in said
