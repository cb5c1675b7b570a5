"""Bulk insert: collects rows and writes those of one table in one statement.

Each statement releases and takes the interpreter's lock several times, which costs more than SQLite's own
work. One statement for many rows saves a tenth of the CPU of images of 20 KB (docs/performance.md).
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

from models import Prompt
from storage.journal import schema

_T = TypeVar("_T")

_ROWS_PER_STATEMENT = 16
"""Most rows in one statement; SQLite prepares and caches one statement for each number of rows."""


class BulkInsert:
    """Rows that wait for ``flush``, within one transaction of the caller.

    Args:
        connection: the journal; callers may use it for statements that cannot wait.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._pending: dict[tuple[str, str], list[schema.Row]] = {}
        self._prompts: set[str] = set()

    def add(self, insert: str, row: schema.Row, conflict: str = "") -> None:
        """Add a row.

        Args:
            insert: the statement up to its VALUES.
            row: the values.
            conflict: the statement after its VALUES.
        """
        self._pending.setdefault((insert, conflict), []).append(row)

    def add_prompt(self, prompt: Prompt) -> str:
        """Add the prompt's row, unless it was added before, and return its id."""
        row = schema.prompt_row(prompt)
        if row[0] not in self._prompts:
            self._prompts.add(row[0])
            self.add("INSERT OR IGNORE INTO prompts", row)
        return row[0]

    def flush(self) -> None:
        """Write the waiting rows, table after table, in the order in which each got its first row."""
        pending, self._pending = self._pending, {}
        for (insert, conflict), rows in pending.items():
            remaining = iter(rows)
            while batch := list(islice(remaining, _ROWS_PER_STATEMENT)):
                values = ", ".join([f"({placeholders(batch[0])})"] * len(batch))
                self.connection.execute(
                    f"{insert} VALUES {values} {conflict}", [value for row in batch for value in row]
                )


def placeholders(values: Sequence[object]) -> str:
    """Return one placeholder for each value."""
    return ", ".join("?" * len(values))


def batched(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Yield the items in lists of ``size``, the last one shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
