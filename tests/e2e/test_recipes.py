"""The recipes of the README, typed as they stand against a server that speaks Google's protocol."""

import asyncio
import csv
import json
import os
import re
import sys
from pathlib import Path

import pytest

from tests.emulator import Emulator
from tests.support.cli import KEY, environment, files_below
from tests.support.cli_cases import make_images
from tests.support.paths import ROOT

pytestmark = pytest.mark.e2e

MAKES_CSV = ROOT / "examples" / "answers_to_csv.py"
OCR_PROMPT = "Transcribe all text in this scan. Keep the line breaks."


def recipe(title: str) -> list[str]:
    """Return the commands of a recipe; of a crontab's line what follows the five fields of time."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(rf"^### {title}\n(.*?)^#", text, re.DOTALL | re.MULTILINE)
    assert found, title
    (block,) = re.findall(r"^```\n(.*?)^```", found.group(1), re.DOTALL | re.MULTILINE)
    return [re.sub(r"^15 0 \* \* \*  ", "", line) for line in block.splitlines()]


def make_folder(tmp_path: Path) -> None:
    """Make what the recipes find: the program's folder, and three images below each name that they use."""
    (tmp_path / "main.py").symlink_to(ROOT / "main.py")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "ocr.txt").write_text(OCR_PROMPT, encoding="utf-8")
    for name in ("photos", "products", "in"):
        make_images(tmp_path / name, 3)


async def shell(folder: Path, command: str, env: dict[str, str]) -> tuple[int, str]:
    """Type a command; return its exit code and all that it said."""
    typed = command.replace("/srv/scans", str(folder)).replace(
        "/opt/gemini-batch/main.py", str(folder / "main.py")
    )
    typed = re.sub(
        r"(/opt/gemini-batch/\.venv/bin/python|\bpython(?= main| examples)) ", f"{sys.executable} ", typed
    )
    process = await asyncio.create_subprocess_shell(
        typed, cwd=folder, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def type_all(folder: Path, commands: list[str], *, twice: bool = False) -> tuple[list[str], Emulator]:
    """Type the commands, and the first of them again; return what was said and the server."""
    async with Emulator() as emulator:
        env = environment({"GEMINI_API_BASE_URL": emulator.base_url}, key=KEY)
        said = []
        for command in [*commands, *(commands[:1] if twice else [])]:
            code, output = await shell(folder, command, env)
            assert code == 0, output
            said.append(output)
        return said, emulator


@pytest.mark.parametrize(
    ("title", "output", "files"),
    [
        ("Captions to a table", "captions", 3),
        ("OCR overnight", "text", 3),
        ("Pictures", "anime", 6),
        ("Structured answers", "data", 3),
    ],
)
def test_a_recipe_works_as_typed(tmp_path: Path, title: str, output: str, files: int) -> None:
    """Each command ends with 0, all images are answered, and the same command again asks nothing."""
    make_folder(tmp_path)

    _, emulator = asyncio.run(type_all(tmp_path, recipe(title), twice=True))

    assert len(emulator.calls) == 3
    assert len(files_below(tmp_path / output / "successful")) == files


def test_the_night_is_silent(tmp_path: Path) -> None:
    """The recipe for cron says nothing when all went well, so that no mail is sent."""
    make_folder(tmp_path)

    said, _ = asyncio.run(type_all(tmp_path, recipe("OCR overnight")))

    assert said == [""]


def test_captions_become_rows(tmp_path: Path) -> None:
    """The table has one row for each answered image, with its path and its answer."""
    make_folder(tmp_path)

    asyncio.run(type_all(tmp_path, recipe("Captions to a table")))

    with (tmp_path / "captions.csv").open(encoding="utf-8-sig", newline="") as handle:
        rows = list(csv.reader(handle))
    assert rows[0] == ["image", "answer"]
    assert [row[0] for row in rows[1:]] == ["photo000.png", "trip/day 2/photo002.png", "trip/photo001.png"]
    assert all(row[1].endswith("prompt Describe this photo in one sentence.") for row in rows[1:])


def test_a_deleted_result_is_asked_again_alone(tmp_path: Path) -> None:
    """What the recipe for structured answers says: without its result file an image is asked about again."""
    make_folder(tmp_path)

    async def scenario() -> Emulator:
        async with Emulator() as emulator:
            env = environment({"GEMINI_API_BASE_URL": emulator.base_url}, key=KEY)
            command = recipe("Structured answers")[0]
            await shell(tmp_path, command, env)
            await asyncio.to_thread(os.remove, tmp_path / "data/successful/trip/photo001.png_result.txt")
            await shell(tmp_path, command, env)
            return emulator

    emulator = asyncio.run(scenario())

    assert len(emulator.calls) == 4
    assert len(files_below(tmp_path / "data" / "successful")) == 3


def test_members_of_json_answers_become_columns(tmp_path: Path) -> None:
    """Objects become columns, fenced or not; what is none keeps its row, is named, and the code is 1."""
    answers = {
        "a.jpg": '{"product": "lamp", "price": 12.5, "tags": ["a", "b"]}',
        "b.jpg": '```json\n{"product": "chair", "colour": "red", "price": null}\n```',
        "c.jpg": "It is a table.",
        "d.jpg": "[1, 2]",
    }
    successful = tmp_path / "successful"
    successful.mkdir()
    (tmp_path / "metadata").mkdir()
    lines = ['{"key": "gone.jpg", "artefacts": [{"path": "successful/gone.jpg_result.txt"}]}', '{"key": "cut']
    for key, text in answers.items():
        (successful / f"{key}_result.txt").write_text(text + "\n", encoding="utf-8")
        lines.insert(1, json.dumps({"key": key, "artefacts": [{"path": f"successful/{key}_result.txt"}]}))
    (tmp_path / "metadata" / "results.jsonl").write_text("\n".join(lines), encoding="utf-8")

    code, said = asyncio.run(
        shell(tmp_path, f"{sys.executable} {MAKES_CSV} {tmp_path} {tmp_path / 'table.csv'}", environment())
    )

    with (tmp_path / "table.csv").open(encoding="utf-8-sig", newline="") as handle:
        assert list(csv.reader(handle)) == [
            ["image", "product", "price", "tags", "colour"],
            ["a.jpg", "lamp", "12.5", '["a", "b"]', ""],
            ["b.jpg", "chair", "", "", "red"],
            ["c.jpg", "", "", "", ""],
            ["d.jpg", "", "", "", ""],
        ]
    assert code == 1
    assert [line for line in said.splitlines() if line.startswith("not a JSON object")] == [
        f"not a JSON object: {successful / name}_result.txt" for name in ("c.jpg", "d.jpg")
    ]
