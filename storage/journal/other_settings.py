"""Counts of a plan's images that were answered under other settings, by model and by what differs."""

import sqlite3
from collections import Counter
from typing import NamedTuple

from errors import Usage
from models import RunInfo
from storage.journal.image_check import CurrentAnswerRow
from storage.journal.plan import Difference, EarlierAnswers

_UNKNOWN_MODEL = "another model"


class _AnswerSettings(NamedTuple):
    """What decided an earlier answer."""

    model: str
    prompt: str


class EarlierAnswersCounter:
    """Counter of the images that a plan finds answered under other settings.

    Args:
        connection: the journal.
        run: the present run.
    """

    def __init__(self, connection: sqlite3.Connection, run: RunInfo) -> None:
        rows = connection.execute("SELECT DISTINCT fingerprint, model, prompt FROM runs WHERE dry_run = 0")
        self._settings = {fingerprint: _AnswerSettings(model, prompt) for fingerprint, model, prompt in rows}
        self._run = run
        self._repaired: Counter[str] = Counter()
        self._kept: Counter[str] = Counter()
        self._asked_anew: Counter[str] = Counter()
        self._usage = Usage()

    def add_answered(self, answer: CurrentAnswerRow | None) -> None:
        """Count an answer that is left in its place, if it belongs to other settings."""
        if answer is None or answer.fingerprint == self._run.fingerprint:
            return
        is_repair = self._run.fingerprint in answer.counts_for
        (self._repaired if is_repair else self._kept)[self._find_model(answer)] += 1

    def add_asked_anew(self, answer: CurrentAnswerRow) -> None:
        """Count an image that is to be sent although it has this answer."""
        self._asked_anew[self._find_difference(answer)] += 1
        self._usage += Usage(input_tokens=answer.input_tokens, output_tokens=answer.output_tokens)

    def counts(self) -> EarlierAnswers:
        """Return the counts so far."""
        return EarlierAnswers(
            repaired=dict(self._repaired),
            kept=dict(self._kept),
            asked_anew=dict(self._asked_anew),
            usage=self._usage,
        )

    def _find_model(self, answer: CurrentAnswerRow) -> str:
        settings = self._settings.get(answer.fingerprint)
        return (settings.model if settings else answer.model) or _UNKNOWN_MODEL

    def _find_difference(self, answer: CurrentAnswerRow) -> Difference:
        settings = self._settings.get(answer.fingerprint)
        if settings is None:  # the journal was rebuilt from the ledger, which does not hold the settings
            is_other_model = answer.model not in {"", self._run.model}
            return Difference.MODEL if is_other_model else Difference.OTHER
        differs = settings.model != self._run.model, settings.prompt != self._run.prompt
        return {
            (True, False): Difference.MODEL,
            (False, True): Difference.PROMPT,
            (True, True): Difference.BOTH,
            (False, False): Difference.OTHER,
        }[differs]
