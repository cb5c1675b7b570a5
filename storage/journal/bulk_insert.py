"""How do the rows of some outcomes get into the tables, without a statement for each?

Every statement gives the interpreter's lock away several times and has to fight for it again, which costs
more than what SQLite does meanwhile. So rows of one table wait for each other and go in one statement. It
must not know what a row means.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

from models import Prompt
from storage.journal import schema

_T = TypeVar("_T")

_ROWS_PER_STATEMENT = 16
"""Rows in one statement; each number of them is a statement of its own for SQLite to prepare and keep."""


class BulkInsert:
    """Rows on their way into the tables, within one transaction of the caller's.

    Args:
        connection: where statements go that cannot wait.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._pending: dict[tuple[str, str], list[schema.Row]] = {}
        self._prompts: set[str] = set()

    def add(self, insert: str, row: schema.Row, conflict: str = "") -> None:
        """Have a row inserted: what stands before its values in the statement, the values, what follows."""
        self._pending.setdefault((insert, conflict), []).append(row)

    def add_prompt(self, prompt: Prompt) -> str:
        """Return the id of the prompt's row, which is made when it is the first of its kind."""
        row = schema.prompt_row(prompt)
        if row[0] not in self._prompts:
            self._prompts.add(row[0])
            self.add("INSERT OR IGNORE INTO prompts", row)
        return row[0]

    def flush(self) -> None:
        """Insert what waits, table after table, in the order in which they were first added to."""
        pending, self._pending = self._pending, {}
        for (insert, conflict), rows in pending.items():
            remaining = iter(rows)
            while batch := list(islice(remaining, _ROWS_PER_STATEMENT)):
                values = ", ".join([f"({placeholders(batch[0])})"] * len(batch))
                self.connection.execute(
                    f"{insert} VALUES {values} {conflict}", [value for row in batch for value in row]
                )


def placeholders(values: Sequence[object]) -> str:
    """Return as many placeholders as there are values."""
    return ", ".join("?" * len(values))


def batched(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Yield the items in lists of ``size``, the last one shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
