"""The journal: one SQLite file that records the outcome of each image and every call made for it.

Callbacks of the caller say whether an answer's files still exist. See docs/adr/0004.
Import from the modules: ``--status`` pays for the reader alone.

    schema.py         tables, and values as they are stored
    connection.py     open, check, replace a damaged file
    integrity.py      checks of the file, its pages and seals
    snapshot.py       copy for a dry run
    ledger_mark.py    how far the ledger was seen, and what has changed since
    running_process.py  a living run that the lock does not show
    read_models.py    types that reports read
    reader.py         queries of the reports and of ``--status``
    answers.py        paid answers, and where their files are
    writes.py         write outcomes, copies and ledger lines
    bulk_insert.py    insert rows in groups
    repairs.py        answers that count for other settings too
    plan.py           selection and plan of a run
    other_settings.py counts of answers of other settings
    planner.py        sort images: answered, to copy, to ask, known failure
    learned.py        what runs learned about prompts; the transaction of all writes
    journal.py        ``Journal``: all of this behind one lock, for the one process that writes
"""
