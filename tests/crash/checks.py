"""Checks of an output directory: the promises of the program, at any instant and at the end.

Each check reads nothing but files, as a user would; ``PaymentCheck`` compares the calls that the service
received with the answers in the tree.
"""

import hashlib
import json
import sqlite3
import zipfile
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from storage.output.folders import WRITE_TEST
from tests.emulator import Emulator
from tests.support.cli import files_below
from utils.files import is_temporary

DOCUMENTS = ("processing_stats.json", "prompt_evolution.json", "error_analysis.json")


def ledger_lines(output: Path) -> list[dict[str, Any]]:
    """Return the lines of the ledger that are whole."""
    ledger = output / "metadata" / "results.jsonl"
    lines = ledger.read_bytes().splitlines() if ledger.exists() else []
    return [record for line in lines if (record := _parse(line)) is not None]


def find_proven(output: Path) -> set[str]:
    """Return the hashes of images with a paid answer: a line in the ledger, and whole files in the tree."""
    return {
        line["sha256"]
        for line in ledger_lines(output)
        if all(_hash(output / one["path"]) == one["sha256"] for one in line["artefacts"])
    }


def check_any_instant(output: Path) -> None:
    """No file under a final name is half: results are what the ledger says, documents and archive parse."""
    promised = {(one["path"], one["sha256"]) for line in ledger_lines(output) for one in line["artefacts"]}
    for name in _final_names(output / "successful"):
        path = f"successful/{name}"
        assert (path, _hash(output / path)) in promised, f"{path} is not what any answer was"
    for name in DOCUMENTS:
        if (output / "metadata" / name).exists():
            json.loads((output / "metadata" / name).read_bytes())
    if (output / "archive.zip").exists():
        with zipfile.ZipFile(output / "archive.zip") as archive:
            assert archive.testzip() is None


def check_finished(output: Path, hashes: Mapping[str, str], *, exit_code: int = 0) -> None:
    """Every image has exactly one answer, its own; nothing unfinished is left; all records agree."""
    check_any_instant(output)
    texts = {name for name in files_below(output / "successful") if name.endswith(".txt")}
    assert texts == {f"{key}_result.txt" for key in hashes}
    for key, sha256 in hashes.items():
        text = (output / "successful" / f"{key}_result.txt").read_text(encoding="utf-8")
        assert f"image {sha256}" in text, f"{key} has the answer of another image"
    assert not files_below(output / "failed")
    assert not [path for path in output.rglob("*") if _is_working_file(path.name)]
    assert set(hashes.values()) <= find_proven(output)
    _check_records(output, len(hashes), exit_code)


def check_archive(output: Path) -> None:
    """The archive holds every file of the tree that belongs into it."""
    with zipfile.ZipFile(output / "archive.zip") as archive:
        names = {name for name in archive.namelist() if name.startswith("successful/")}
    assert names == {f"successful/{name}" for name in files_below(output / "successful")}


def count_calls_by_image(emulator: Emulator) -> Counter[str]:
    """Return the number of calls for each image, by the hash of its bytes."""
    return Counter(call.image_sha256 for call in emulator.calls)


class PaymentCheck:
    """Comparison of the service's calls with the tree's answers, from one run to the next."""

    def __init__(self, emulator: Emulator, output: Path) -> None:
        self._emulator = emulator
        self._output = output
        self._calls_when_proven: dict[str, int] = {}

    def record_proven(self) -> None:
        """Record the answers proven now; their images must not be sent again."""
        calls = count_calls_by_image(self._emulator)
        for sha256 in find_proven(self._output):
            self._calls_when_proven.setdefault(sha256, calls[sha256])

    def find_paid_twice(self) -> Collection[str]:
        """Return the images that were sent although their answer was proven."""
        calls = count_calls_by_image(self._emulator)
        return [sha256 for sha256, paid in self._calls_when_proven.items() if calls[sha256] > paid]


def _check_records(output: Path, images: int, exit_code: int) -> None:
    stats = json.loads((output / "metadata" / "processing_stats.json").read_bytes())
    assert stats["exit_code"] == exit_code
    for name in DOCUMENTS:
        json.loads((output / "metadata" / name).read_bytes())
    with closing(sqlite3.connect(output / "metadata" / "journal.db")) as journal:
        assert journal.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        rows = journal.execute("SELECT outcome, count(*) FROM images GROUP BY outcome").fetchall()
        assert rows == [("succeeded", images)]
        standing = journal.execute("SELECT count(*) FROM answers WHERE standing = 1").fetchone()
        assert standing == (images,)


def _final_names(folder: Path) -> Iterator[str]:
    return (name for name in files_below(folder) if not _is_working_file(name.rpartition("/")[2]))


def _is_working_file(name: str) -> bool:
    return is_temporary(name) or name == WRITE_TEST


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
