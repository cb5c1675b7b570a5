"""Rules of gemini/repetition.py: answers that repeat one passage up to their end are pointed out."""

import random
import string
from dataclasses import replace

import pytest

from gemini.repetition import MIN_CHARACTERS, is_endless
from models import AnswerNote
from reports.summary import OutputPaths, build_summary
from tests.support.outcomes import succeeded
from tests.support.replies import failure_of, read, reply, words
from tests.support.reports import plan_for, stats_of, tally_of

ROW = "| Other | Other | Other |\n"
LONG_PASSAGE = "".join(random.Random(1).choices(string.ascii_lowercase + " \n", k=700))


@pytest.mark.parametrize(
    "text",
    [
        "Table of contents\n" + ROW * 1500,
        ROW * 1500,
        ROW * 1500 + ROW[:11],
        "A good beginning, of some length. " * 1 + "ha" * 3000,
        "x" * 3000,
        "Intro\n\n" + LONG_PASSAGE * 12,
        "One line.\n" + "The cat sat on the mat. " * 200 + "\n\n  ",
    ],
    ids=["table", "no beginning", "cut within", "syllable", "letter", "passage", "blanks after"],
)
def test_an_endless_answer_is_known(text: str) -> None:
    """Whatever it begins with, and wherever it was cut."""
    assert is_endless(text)
    answer = read(reply(words(text)))
    assert getattr(answer, "notes", None) == (AnswerNote.ENDLESS,)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A cat.",
        ROW * 30,
        "\n".join(f"| {number} | row |" for number in range(2000)),
        "".join(random.Random(2).choices(string.ascii_letters, k=50_000)),
        ROW * 1500
        + "So much for the table. "
        + "".join(random.Random(3).choices(string.ascii_letters, k=900)),
        LONG_PASSAGE * 3,
        "-" * (MIN_CHARACTERS - 1),
    ],
    ids=["nothing", "short", "few rows", "numbered", "noise", "goes on", "three times", "a line"],
)
def test_a_good_answer_is_left_in_peace(text: str) -> None:
    """Tables, lists and long texts have something new at their end."""
    assert not is_endless(text)


def test_a_cut_answer_says_that_it_repeats_itself() -> None:
    """More room would not help there, and the report tells why."""
    assert AnswerNote.ENDLESS in failure_of(reply(words(ROW * 1500), finish="MAX_TOKENS")).detail
    assert AnswerNote.ENDLESS not in failure_of(reply(words("A cat"), finish="MAX_TOKENS")).detail


def test_the_user_is_told_of_such_answers() -> None:
    """The document counts them, and the summary names them."""
    outcome = succeeded("a.jpg")
    outcome = replace(outcome, generation=replace(outcome.generation, notes=(AnswerNote.ENDLESS,)))
    tally = tally_of(outcome)
    stats = stats_of(tally, plan_for(tally))

    assert stats.notes[AnswerNote.ENDLESS] == 1
    text = build_summary(stats, OutputPaths(output_dir="out", metadata="out/metadata"), dry_run=False)
    assert "Look at      1 image: the answer repeats one passage" in text
