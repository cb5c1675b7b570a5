"""What was learned about edits is saved for the next run with the same prompt and model."""

import asyncio
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from app.checkpoint import SAVE_INTERVAL_S, checkpointing
from errors import ErrorKind
from models import Attempt, Prompt, Usage
from prompt_optimizer import PromptOptimizer
from prompts.candidates import CandidatePool
from prompts.edit_stats import CARRIED_WEIGHT, EditStats
from prompts.edits import load
from prompts.records import CandidateRow, CandidateStatus, EditStatsRow
from storage.journal import schema
from storage.journal.journal import Journal
from tests.support.fakes import START
from tests.support.journal_harness import World, downgrade, run_info
from tests.support.virtual_loop import run_virtual

ROW = EditStatsRow(
    model="m", prompt_sha256="0" * 64, kind=ErrorKind.BLOCKED, arm="simplify", rescues=2.0, failures=3.5
)
PROPOSED = CandidateRow(
    kind=ErrorKind.BLOCKED,
    name="proposed_blocked_1",
    text="Say what stands in {prompt}",
    proposed_by="gemini-3.8-flash",
    status=CandidateStatus.ON_TRIAL,
)
BASE = Prompt(text="Describe the picture")


@pytest.fixture
def world(tmp_path: Path) -> World:
    """An input directory with one image."""
    world = World(tmp_path)
    world.put("a.png", b"a")
    return world


@pytest.fixture
def journal(world: World) -> Iterator[Journal]:
    """A journal in the middle of its first run."""
    with world.open(run_info()) as journal:
        journal.begin_run()
        yield journal


def new_optimizer() -> PromptOptimizer:
    """Return an optimizer without any lessons."""
    return PromptOptimizer(base=BASE, edits=load(), edit_stats=EditStats("m", "0" * 64), rng=random.Random(0))


def fail_thrice(optimizer: PromptOptimizer) -> None:
    """Let one image fail until something was learned from it."""
    repair = optimizer.begin_image()
    for number in range(1, 4):
        failed = Attempt(
            number=number,
            started_at=START,
            seconds=1.0,
            prompt=BASE,
            timeout_s=1.0,
            kind=ErrorKind.BLOCKED,
        )
        repair.on_failure([failed])
        repair.revise(BASE, [failed])


def test_lessons_come_back_and_replace_those_of_the_same_prompt_alone(world: World, journal: Journal) -> None:
    """They survive the closing of the file; those of other prompts and models stay."""
    other = replace(ROW, model="other")
    journal.save_lessons([ROW, replace(ROW, arm="ask_again"), other])
    journal.save_lessons([replace(ROW, failures=9.0)])
    journal.close()

    with world.open(run_info(2)) as again:
        assert again.lessons("m", "0" * 64) == (replace(ROW, failures=9.0),)
        assert again.lessons("other", "0" * 64) == (other,)
        assert again.lessons("m", "1" * 64) == ()


def test_what_is_learned_is_kept_every_so_often_and_at_the_end(journal: Journal) -> None:
    """A run that is killed has lost a minute of it at most."""
    optimizer = new_optimizer()

    async def run() -> None:
        async with checkpointing(optimizer, journal):
            assert journal.lessons("m", "0" * 64) == ()
            fail_thrice(optimizer)
            await asyncio.sleep(SAVE_INTERVAL_S + 1.0)
            assert journal.lessons("m", "0" * 64) == tuple(optimizer.edit_stats.rows())
            fail_thrice(optimizer)
        assert journal.lessons("m", "0" * 64) == tuple(optimizer.edit_stats.rows())

    run_virtual(run())
    rows = journal.lessons("m", "0" * 64)
    restored = EditStats.from_rows("m", "0" * 64, rows)
    known = {row.arm: row.failures for row in rows}
    assert known
    assert all(row.failures == pytest.approx(CARRIED_WEIGHT * known[row.arm]) for row in restored.rows())


def test_proposed_words_come_back_as_they_fared(world: World, journal: Journal) -> None:
    """Each under its name, of its model and prompt alone; what becomes of it replaces what was known."""
    other = replace(PROPOSED, name="proposed_blocked_2", status=CandidateStatus.DROPPED)
    journal.save_proposed_edits("m", "0" * 64, [PROPOSED, other])
    journal.save_proposed_edits("m", "1" * 64, [PROPOSED])
    journal.save_proposed_edits("m", "0" * 64, [replace(PROPOSED, status=CandidateStatus.ACCEPTED)])
    journal.close()

    with world.open(run_info(2)) as again:
        joined = replace(PROPOSED, status=CandidateStatus.ACCEPTED)
        assert again.proposed_edits("m", "0" * 64) == (joined, other)
        assert again.proposed_edits("m", "1" * 64) == (PROPOSED,)
        assert again.proposed_edits("other", "0" * 64) == ()


def test_a_proposal_is_kept_though_nothing_was_learned(journal: Journal) -> None:
    """A paid answer is kept; the lessons of earlier runs stay as they were."""
    journal.save_lessons([ROW])
    optimizer = PromptOptimizer(
        base=BASE,
        edits=load(),
        edit_stats=EditStats("m", "0" * 64),
        rng=random.Random(0),
        candidates=CandidatePool(can_request=True),
    )

    async def run() -> None:
        async with checkpointing(optimizer, journal):
            optimizer.add_candidate(
                ErrorKind.BLOCKED, PROPOSED.text, proposed_by=PROPOSED.proposed_by, usage=Usage(), cost=None
            )

    run_virtual(run())
    assert journal.proposed_edits("m", "0" * 64) == (PROPOSED,)
    assert journal.lessons("m", "0" * 64) == (ROW,)


def test_a_run_that_learned_nothing_changes_nothing(journal: Journal) -> None:
    """A run that learned nothing leaves the lessons of earlier runs as they were."""
    journal.save_lessons([ROW])

    async def run() -> None:
        async with checkpointing(new_optimizer(), journal):
            await asyncio.sleep(2 * SAVE_INTERVAL_S)

    run_virtual(run())
    assert journal.lessons("m", "0" * 64) == (ROW,)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_an_older_journal_opens_with_all_it_knows(world: World, version: int) -> None:
    """It gets the new tables; no answer is bought twice, no lesson is lost, and nothing is put aside."""
    world.play_run()
    with world.open(run_info(2)) as journal:
        journal.save_lessons([ROW])
    downgrade(world.journal_path, version)

    last = world.play_run()

    assert (last.calls, last.plan.answered) == ([], 1)
    assert not list(world.journal_path.parent.glob("*.damaged-*"))
    with world.open(run_info(3)) as journal:
        assert journal.notices == ()
        assert journal.lessons("m", "0" * 64) == (() if version == 1 else (ROW,))
        journal.save_lessons([ROW])
        journal.save_proposed_edits("m", "0" * 64, [PROPOSED])
        assert journal.lessons("m", "0" * 64) == (ROW,)
        assert journal.proposed_edits("m", "0" * 64) == (PROPOSED,)


def test_an_older_journal_with_other_tables_is_damaged(world: World) -> None:
    """A file that only says it is older is put aside like any other that is not sound."""
    world.play_run()
    with closing(sqlite3.connect(world.journal_path, isolation_level=None)) as connection:
        connection.execute("PRAGMA user_version = 1")

    with world.open(run_info(2)) as journal:
        assert journal.was_rebuilt


def test_a_control_comes_back_from_the_journal_as_one() -> None:
    """The control group is kept apart from plain retries with the same prompt."""
    control = Prompt(text=BASE.text, is_control=True)
    rows = [schema.prompt_row(prompt) for prompt in (BASE, control)]

    assert [schema.prompt_from(*row[1:]) for row in rows] == [BASE, control]
    assert rows[0][0] != rows[1][0]
