"""How do the rows of some outcomes get into the tables, without a statement for each?

Every statement gives the interpreter's lock away several times and has to fight for it again, which costs
more than what SQLite does meanwhile. So rows of one table wait for each other and go in one statement. It
must not know what a row means.
"""

import sqlite3
from collections.abc import Sequence
from itertools import islice

from models import Prompt
from storage.journal import schema

_AT_ONCE = 16
"""Rows in one statement; each number of them is a statement of its own for SQLite to prepare and keep."""


class Rows:
    """Rows on their way into the tables, within one transaction of the caller's.

    Args:
        connection: where statements go that cannot wait.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._waiting: dict[tuple[str, str], list[schema.Row]] = {}
        self._prompts: set[str] = set()

    def add(self, insert: str, row: schema.Row, conflict: str = "") -> None:
        """Have a row inserted: what stands before its values in the statement, the values, what follows."""
        self._waiting.setdefault((insert, conflict), []).append(row)

    def keep_prompt(self, prompt: Prompt) -> str:
        """Return the id of the prompt's row, which is made when it is the first of its kind."""
        row = schema.prompt_row(prompt)
        if row[0] not in self._prompts:
            self._prompts.add(row[0])
            self.add("INSERT OR IGNORE INTO prompts", row)
        return row[0]

    def write(self) -> None:
        """Insert what waits, table after table, in the order in which they were first added to."""
        waiting, self._waiting = self._waiting, {}
        for (insert, conflict), rows in waiting.items():
            left = iter(rows)
            while some := list(islice(left, _AT_ONCE)):
                values = ", ".join([f"({marks(some[0])})"] * len(some))
                self.connection.execute(
                    f"{insert} VALUES {values} {conflict}", [value for row in some for value in row]
                )


def marks(values: Sequence[object]) -> str:
    """Return as many placeholders as there are values."""
    return ", ".join("?" * len(values))
