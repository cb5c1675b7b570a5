"""Which images are answered, which are still to do, and what did every call end in?

The journal is one SQLite file, ``metadata/journal.db``. It must not know how an image is sent, how a
result is named or written, or what a run means to the user: it is told where answers stand and asks
(through callbacks) whether they still do.

    schema.py     the tables, and how values are laid into them
    opening.py    open, check, put a damaged file aside, start afresh
    views.py      the types that reports read
    reader.py     what the reports ask; also for ``--status`` beside a running run
    answers.py    which answers were paid for, and where they stand
    records.py    write one outcome, copy or ledger line
    plan.py       what the user wants done, and what the plan says
    look.py       has an image still the bytes that are known?
    planning.py   the split: answered, to copy, to do, known to fail
    writer.py     ``Journal``: the above behind one lock, for the one process that writes
"""

from storage.journal.journal import Journal
from storage.journal.plan import Plan, Selection, TodoReason
from storage.journal.read_models import (
    FailureGroup,
    FailureRow,
    OutcomeCounts,
    PromptChain,
    RunRow,
    TreeCounts,
    UsageTotals,
)
from storage.journal.reader import JournalReader
from storage.journal.writes import FinishedImage

__all__ = [
    "FailureGroup",
    "FailureRow",
    "FinishedImage",
    "Journal",
    "JournalReader",
    "OutcomeCounts",
    "Plan",
    "PromptChain",
    "RunRow",
    "Selection",
    "TodoReason",
    "TreeCounts",
    "UsageTotals",
]
