"""Access check: whether a refusal of key, place, page or model ends the run, or is one odd reply.

Good keys are refused now and then (docs/api-facts.md, section 3.5), and a firewall or a VPN refuses single
connections. So after answers in this run a refusal is first asked again, spaced. At the start it is believed.
"""

from errors import ApiFailure, Cause, ErrorKind, FatalError, StopReason

MIN_ANSWERS = 2
"""Answers of the run that speak against a refusal."""
EXTRA_TRIES = 4
"""Further calls for an image that was refused, and rounds of refusals that the run survives."""
MIN_SPAN_S = 15.0
"""The run also survives refusals of so many seconds, however many calls are refused at the same time."""

_DOUBTFUL_REASONS = frozenset({StopReason.KEY_INVALID, StopReason.PERMISSION, StopReason.UNKNOWN_MODEL})


class AccessCheck:
    """The answers and refusals of one run, which has one key, one model and one address.

    A round is a refusal of a call that was sent after the last round's reply.
    """

    def __init__(self) -> None:
        self._answers = 0
        self._rounds = 0
        self._first_refusal_s = 0.0
        self._last_refusal_s = 0.0

    def on_answer(self) -> None:
        """Record that a call was let through."""
        self._answers += 1
        self._rounds = 0

    def to_failure(self, error: FatalError, *, sent_s: float, now_s: float) -> ApiFailure | None:
        """Record a refusal; return the failure of its one call, or None if the refusal ends the run."""
        if error.reason not in _DOUBTFUL_REASONS or self._answers < MIN_ANSWERS:
            return None
        if not self._rounds:
            self._first_refusal_s = now_s
        if not self._rounds or sent_s >= self._last_refusal_s:
            self._rounds += 1
            self._last_refusal_s = now_s
        if self._rounds > EXTRA_TRIES and now_s - self._first_refusal_s >= MIN_SPAN_S:
            return None
        return ApiFailure(
            kind=ErrorKind.NETWORK,
            detail=f"refused although {self._answers:,} other calls were let through: {error.detail}",
            http_status=error.http_status,
            cause=Cause.GATEWAY,
            extra_tries=EXTRA_TRIES,
        )
