"""Rules of repairs: an answer stays until a better one stands, and counts where it was missing."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from errors import ErrorKind
from storage.journal.plan import Difference, EarlierAnswers, Selection, TodoReason
from tests.support.journal_harness import USAGE, Ending, World, downgrade, run_info

CRON, BETTER, THIRD = "describe", "describe, with a better model", "describe otherwise"
"""Prompts; each stands for other settings."""

NIGHT = Selection()
ONLY = Selection(only=frozenset({ErrorKind.TRUNCATED, ErrorKind.RECITATION}))
RETRY = Selection(retry_failed=True)
FORCE = Selection(force=True)
KEEP = Selection(keep_answers=True)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Three images, of which the standing settings cannot answer one."""
    world = World(tmp_path)
    for name in ("good.png", "bad.png", "fine.png"):
        world.put(name, name.encode())
    world.endings_by_prompt["describe", "bad.png"] = ErrorKind.TRUNCATED
    return world


@dataclass(frozen=True)
class Step:
    """One run of a story, and the images that it may send."""

    prompt: str
    selection: Selection
    calls: tuple[str, ...] = ()
    endings: dict[str, Ending] = field(default_factory=dict)


ALL = ("bad.png", "fine.png", "good.png")
BAD = ("bad.png",)
FIRST = Step(CRON, NIGHT, ALL)
QUIET = Step(CRON, NIGHT)
STORIES = {
    "repaired with --only": [FIRST, Step(BETTER, ONLY, BAD), QUIET, Step(BETTER, ONLY), QUIET],
    "repaired with --retry-failed": [FIRST, Step(BETTER, RETRY, BAD), QUIET, Step(BETTER, RETRY), QUIET],
    "repaired in the standing settings": [
        FIRST,
        Step(CRON, RETRY, BAD, {"bad.png": "answered"}),
        QUIET,
    ],
    "a repair that fails too": [
        FIRST,
        Step(BETTER, ONLY, BAD, {"bad.png": ErrorKind.RECITATION}),
        QUIET,
        Step(BETTER, ONLY, BAD),
        QUIET,
    ],
    "two repairs in a row": [
        FIRST,
        Step(BETTER, ONLY, BAD, {"bad.png": ErrorKind.BLOCKED}),
        Step(THIRD, Selection(only=frozenset({ErrorKind.BLOCKED})), BAD),
        QUIET,
        Step(BETTER, NIGHT, ("fine.png", "good.png")),
        QUIET,
    ],
    "a repair that was put off goes on": [
        FIRST,
        Step(BETTER, ONLY, BAD, {"bad.png": "deferred"}),
        QUIET,
        Step(BETTER, ONLY, BAD),
        QUIET,
    ],
    "a repair that met an outage goes on": [
        FIRST,
        Step(BETTER, ONLY, BAD, {"bad.png": ErrorKind.TIMEOUT}),
        QUIET,
        Step(BETTER, ONLY, BAD),
        QUIET,
    ],
    "until --force": [
        FIRST,
        Step(BETTER, ONLY, BAD),
        Step(CRON, FORCE, ALL, {"bad.png": "answered"}),
        QUIET,
    ],
    "a forced try that fails leaves it": [FIRST, Step(BETTER, ONLY, BAD), Step(CRON, FORCE, ALL), QUIET],
    "another prompt for all": [
        FIRST,
        Step(BETTER, ONLY, BAD),
        Step(THIRD, NIGHT, ALL),
        Step(THIRD, NIGHT),
        QUIET,
    ],
    "failures under another prompt": [
        FIRST,
        Step(THIRD, NIGHT, ALL, {"good.png": ErrorKind.BLOCKED}),
        Step(THIRD, NIGHT),
        QUIET,
    ],
    "answers kept under another prompt": [FIRST, Step(THIRD, KEEP, BAD), Step(THIRD, KEEP), QUIET],
}


@pytest.mark.parametrize("story", STORIES.values(), ids=list(STORIES))
def test_nothing_is_bought_twice(world: World, story: list[Step]) -> None:
    """In no order of runs with the standing settings and repairs is an image sent without need."""
    for number, step in enumerate(story, start=1):
        for key, ending in step.endings.items():
            world.endings_by_prompt[step.prompt, key] = ending
        had = {path.name for path in world.output.glob("successful/*")}

        played = world.play_run(prompt=step.prompt, selection=step.selection)

        assert tuple(played.calls) == step.calls, f"run {number}"
        assert {path.name for path in world.output.glob("successful/*")} >= had, f"run {number}"
        for key, ending in step.endings.items():
            if ending in {"deferred", ErrorKind.TIMEOUT, ErrorKind.RECITATION}:
                del world.endings_by_prompt[step.prompt, key]


@pytest.mark.parametrize("version", [None, 3])
def test_a_repair_of_an_earlier_version_counts(world: World, version: int | None) -> None:
    """An upgraded journal knows from its runs which answers were repairs, and which failures are known."""
    world.play_run()
    world.play_run(prompt=BETTER, selection=ONLY)
    if version:
        downgrade(world.journal_path, version)

    played = world.play_run()

    assert (played.calls, played.plan.answered) == ([], 3)
    assert played.plan.earlier.repaired == {"gemini-3.5-flash-lite": 1}


def test_an_answer_that_an_earlier_version_moved_away_comes_back(world: World) -> None:
    """A repaired answer in the history, displaced by a paid failure, is copied back without a call."""
    world.play_run()
    world.play_run(prompt=BETTER, selection=ONLY)
    text = world.result_of("bad.png")
    downgrade(world.journal_path, 3)
    world.displace("bad.png", run_info(3))

    played = world.play_run()

    assert (played.calls, played.copied) == ([], ["bad.png"])
    assert world.result_of("bad.png") == text


def test_known_failures_of_an_earlier_version_stay_known(world: World) -> None:
    """The upgrade asks no failed image again."""
    world.play_run()
    downgrade(world.journal_path, 3)

    played = world.play_run()

    assert (played.calls, played.plan.known_failures) == ([], {ErrorKind.TRUNCATED: 1})


@pytest.mark.parametrize("rebuilt", [False, True], ids=["journal", "ledger"])
def test_a_repair_follows_its_bytes(world: World, *, rebuilt: bool) -> None:
    """A repaired image that is renamed costs nothing under the standing settings, also without a journal."""
    world.play_run()
    world.play_run(prompt=BETTER, selection=ONLY)
    (world.images / "bad.png").rename(world.images / "renamed.png")
    if rebuilt:
        world.journal_path.unlink()

    played = world.play_run()

    assert (played.calls, played.copied) == ([], ["renamed.png"])


def test_a_new_image_in_a_repair_counts_for_the_standing_settings(world: World) -> None:
    """What came between the night and the repair by hand is not bought again the next night."""
    world.play_run()
    world.put("new.png", b"new")

    assert world.play_run(prompt=BETTER, selection=RETRY).calls == ["bad.png", "new.png"]
    assert world.play_run().calls == []


def test_a_deleted_answer_of_a_repair_is_asked_again(world: World) -> None:
    """It is lost like any other, and no failure before it hides that."""
    world.play_run()
    world.play_run(prompt=BETTER, selection=ONLY)
    (world.output / "successful/bad.png_result.txt").unlink()

    played = world.play_run()

    assert (played.calls, played.plan.reasons) == (["bad.png"], {TodoReason.LOST: 1})


@pytest.mark.parametrize(
    ("selection", "earlier"),
    [
        (NIGHT, EarlierAnswers(asked_anew={Difference.PROMPT: 2}, usage=USAGE + USAGE)),
        (KEEP, EarlierAnswers(kept={"gemini-3.5-flash-lite": 2})),
        (RETRY, EarlierAnswers(kept={"gemini-3.5-flash-lite": 2})),
        (ONLY, EarlierAnswers()),
        (FORCE, EarlierAnswers()),
    ],
    ids=["night", "keep", "retry", "only", "force"],
)
def test_a_plan_tells_what_becomes_of_earlier_answers(
    world: World, selection: Selection, earlier: EarlierAnswers
) -> None:
    """Under other settings it counts what is asked anew, with its tokens, and what is left."""
    world.play_run()

    assert world.play_run(prompt=THIRD, selection=selection).plan.earlier == earlier


def test_an_image_answered_again_is_named(world: World) -> None:
    """Its report is about a later try; the program removes it."""
    world.play_run()
    world.endings_by_prompt[THIRD, "good.png"] = ErrorKind.BLOCKED
    world.play_run(prompt=THIRD)
    with world.open(run_info(7)) as journal:
        journal.plan(world.find_images(), selection=Selection(), hash_file=lambda _: "")

        assert list(journal.answered_again()) == ["good.png"]
