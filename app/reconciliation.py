"""Reconciliation: before a run, journal and ledger are made to agree, whichever of them is older.

Both may come from another moment than the tree: a crash, a backup that was restored, rows deleted by hand.
"""

import logging

from archiver import Archiver
from storage.journal.journal import Journal
from storage.journal.ledger_mark import LedgerRelation
from storage.output.tree import storage_errors, with_path

log = logging.getLogger(__name__)

_ADOPTED = {
    LedgerRelation.LONGER: "the journal is older than the ledger, as after the restore of a backup",
    LedgerRelation.OTHER: "journal and ledger are of different moments, as after the restore of a backup",
    LedgerRelation.ROWS_CHANGED: "rows of answers were removed from the journal",
}


def reconcile(journal: Journal, archiver: Archiver, *, dry_run: bool) -> None:
    """Update the journal from the ledger, and the ledger from the journal, where one has more than the other.

    Raises:
        StorageError: one of them cannot be read or written.
    """
    for notice in journal.notices:
        log.warning("%s", notice)
    ledger = archiver.proven_answers.state()
    with storage_errors("nothing was asked"), with_path(ledger.path):
        relation = journal.compare_ledger(ledger)
    if journal.needs_ledger or relation is not LedgerRelation.SAME:
        imported = journal.import_ledger(archiver.proven_answers, archiver.has_expected_hash)
        if imported and relation in _ADOPTED:
            log.warning(
                "%s: %d answers that the ledger proves were adopted, none of them is asked again",
                _ADOPTED[relation],
                imported,
            )
        elif imported:
            log.info("%d answers that the journal did not have were found in the output directory", imported)
    if relation is LedgerRelation.OTHER and not dry_run:
        added = archiver.proven_answers.add_missing(journal.answers())
        log.warning(
            "%s is not the one that the journal has seen, as after the restore of a backup: %d answers that"
            " it lacked were added to it",
            ledger.path,
            added,
        )
    archiver.adopt_names(journal.image_files())
    for key in () if dry_run else journal.outdated_reports:  # killed between an answer and its report's end
        archiver.remove_report(key)
