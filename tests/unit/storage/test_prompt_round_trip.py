"""Rules of a prompt's way through ledger, journal and error log: every part of it is read back."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errors import ErrorKind
from models import Failed, Parameter, Prompt, StoredAnswer
from reports.error_log import build_error_log
from storage.journal import schema
from storage.output.ledger import Ledger
from tests.support.journal_harness import World, an_attempt, run_info, sha256_of
from tests.support.outcomes import BASE, START, attempt, content, job, succeeded
from tests.support.outcomes import run_info as run_of

MORE, LESS, ALONE = Parameter.MORE_OUTPUT_TOKENS, Parameter.LESS_THINKING, Parameter.PICTURE_ONLY

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
"""UTF-8 holds nothing else."""
prompts = st.builds(
    Prompt,
    text=texts,
    revision=st.integers(0, 9),
    edits=st.lists(texts, max_size=3).map(tuple),
    is_control=st.booleans(),
    parameters=st.lists(st.sampled_from(Parameter), unique=True).map(tuple),
)


def stored(prompt: Prompt) -> StoredAnswer:
    """Return the record of an answer to this prompt."""
    return StoredAnswer(
        key="a.jpg",
        size_bytes=1000,
        mtime_ns=1_700_000_000_123_456_789,
        sha256="a" * 64,
        fingerprint="f" * 64,
        artefacts=(),
        prompt=prompt,
        usage=succeeded().generation.usage,
        model_version="gemini-3.5-flash-lite-001",
        response_id="abc",
        answered_at=START,
    )


# Ledger


@settings(max_examples=50, deadline=None)
@given(prompt=prompts)
def test_a_ledger_line_gives_its_prompt_back(prompt: Prompt) -> None:
    """All but the control group, which is about a run and not about an answer."""
    with TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "results.jsonl", run_id="1")
        ledger.append(stored(prompt))

        assert [answer.prompt for answer in ledger] == [replace(prompt, is_control=False)]


def changed_lines(folder: Path, *changes: Callable[[dict[str, Any]], object]) -> Ledger:
    """Return a ledger of one good line and one for each change of its prompt's record."""
    path = folder / "results.jsonl"
    Ledger(path, run_id="1").append(stored(replace(BASE, parameters=(LESS,))))
    line = path.read_text(encoding="utf-8")
    with path.open("a", encoding="utf-8") as handle:
        for change in changes:
            record = json.loads(line)
            change(record["prompt"])
            handle.write(json.dumps(record) + "\n")
    return Ledger(path, run_id="2")


def test_a_line_of_an_older_version_has_no_changed_settings(tmp_path: Path) -> None:
    """It was written before there were parameters."""
    ledger = changed_lines(tmp_path, lambda prompt: prompt.pop("parameters"))

    assert [answer.prompt.parameters for answer in ledger] == [(LESS,), ()]


@pytest.mark.parametrize(
    "told",
    [["no_such_setting"], ["less_thinking", 7], [["less_thinking"]], [{}], "less_thinking", None, {}, 1],
)
def test_settings_that_nobody_knows_are_a_damaged_line(
    tmp_path: Path, told: object, caplog: pytest.LogCaptureFixture
) -> None:
    """It is skipped with a warning, and the lines around it are read."""
    ledger = changed_lines(
        tmp_path, lambda prompt: prompt.update(parameters=told), lambda prompt: prompt.update(parameters=[])
    )

    assert [answer.prompt.parameters for answer in ledger] == [(LESS,), ()]
    assert "1 damaged or unfinished lines" in caplog.text


# Journal


@given(prompt=prompts)
def test_a_row_gives_its_prompt_back(prompt: Prompt) -> None:
    """In any combination of its parts."""
    _, *row = schema.prompt_row(prompt)

    assert schema.prompt_from(*row) == prompt  # type: ignore[arg-type]


@given(one=prompts, other=prompts)
def test_different_prompts_have_different_rows(one: Prompt, other: Prompt) -> None:
    """Otherwise a chain of calls would lose a step: it lists images sent with more than one prompt."""
    assert (schema.prompt_row(one)[0] == schema.prompt_row(other)[0]) == (one == other)


@pytest.mark.parametrize("parameters", [(), (LESS,), (LESS, MORE)])
@pytest.mark.parametrize("is_control", [False, True])
def test_the_same_words_with_other_settings_are_another_row(
    parameters: tuple[Parameter, ...], *, is_control: bool
) -> None:
    """Their ids differ, so that the seal of an answer covers its settings."""
    prompt = replace(BASE, parameters=parameters, is_control=is_control)
    others = [replace(prompt, parameters=(ALONE,)), replace(prompt, is_control=not is_control)]

    assert schema.prompt_row(prompt)[0] not in {schema.prompt_row(other)[0] for other in others}


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        ("[]", Prompt(text="words")),
        ('["one", "two"]', Prompt(text="words", edits=("one", "two"))),
        ('{"control": true}', Prompt(text="words", is_control=True)),
    ],
)
def test_rows_of_older_versions_are_read(edits: str, expected: Prompt) -> None:
    """They are a list of edits, or the mark of a control; such prompts are still written in this form."""
    assert schema.prompt_from("words", 0, edits) == expected
    assert schema.prompt_row(expected)[1:] == ("words", 0, edits)


numbers = count()


@settings(max_examples=15, deadline=None)
@given(prompt=prompts)
def test_answers_and_calls_give_their_prompt_back_from_the_database(
    tmp_path_factory: pytest.TempPathFactory, prompt: Prompt
) -> None:
    """Written in one run, read in the next."""
    world = World(tmp_path_factory.mktemp(f"journal{next(numbers)}"))
    world.put("a.png", b"bytes")
    (image,) = world.find_images()
    calls = (an_attempt(prompt=BASE, kind=ErrorKind.TRUNCATED), an_attempt(2, prompt=prompt))
    with world.open(run_info()) as journal:
        journal.begin_run()
        world.finish(journal, run_info(), replace(world.succeeded(image), prompt=prompt, attempts=calls))

    with world.open(run_info(2)) as journal:
        answer = journal.find_answer(sha256_of(b"bytes"))
        found = journal.attempts("a.png", run_info().run_id)
        chains = [*journal.prompt_chains()]

    assert not journal.was_rebuilt
    assert answer is not None
    assert answer.prompt == prompt
    assert [call.prompt for call in found] == [BASE, prompt]
    assert [chain.key for chain in chains] == (["a.png"] if prompt != BASE else [])


# Error log


def never_answered(*used: Prompt) -> Failed:
    """Return an image that was cut off with each of these prompts."""
    calls = tuple(attempt(n, ErrorKind.TRUNCATED, prompt=prompt) for n, prompt in enumerate(used, start=1))
    return Failed(
        job=job(),
        content=content(),
        prompt=used[-1],
        kind=ErrorKind.TRUNCATED,
        detail="cut off",
        attempts=calls,
    )


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        (BASE, "0 (as given)"),
        (replace(BASE, is_control=True), "0 (as given)"),
        (replace(BASE, parameters=(MORE,)), "0 (more output tokens)"),
        (replace(BASE, parameters=(LESS, MORE)), "0 (less thinking + more output tokens)"),
        (replace(BASE, parameters=(ALONE,)), "0 (picture only)"),
        (
            replace(BASE, revision=1, edits=("shorten_answer",), parameters=(MORE,)),
            "1 (shorten_answer + more output tokens)",
        ),
    ],
)
def test_an_error_log_names_the_changed_settings(prompt: Prompt, name: str) -> None:
    """At the call that had them, and above its prompt."""
    first = Prompt(text="Something else")
    text = build_error_log(never_answered(first, prompt), run_of())
    (call,) = [line for line in text.splitlines() if line.startswith("      2  ")]

    assert call.endswith(f"  {name}")
    assert f"\nPrompt {name}\n" in text
