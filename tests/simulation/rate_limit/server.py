"""A call in virtual time: the emulator's quota models and rejections, without HTTP.

A call waits on the event loop as a real one would, and ends in tokens or in the ApiFailure that the
program's own client would raise for that body.
"""

import asyncio
import json
import random
from array import array

from errors import ApiFailure
from gemini.error_mapping import HttpError, to_exception
from tests.emulator import bodies
from tests.emulator.quotas import Quota, QuotaBook, QuotaRejection
from tests.emulator.replies import Reply, json_reply
from tests.simulation.rate_limit.scenarios import MINUTE_S, Hints, Scenario, loop_clock

MODEL = "gemini-3.6-flash"
_FAULT_S = (0.3, 3.0)
_LATENCY_SPREAD = 0.6
"""Sigma of the logarithm."""
_OVERLOADED = bodies.error_reply(503, "UNAVAILABLE", "The model is overloaded. Please try again later.")
_SILENCE = bodies.error_reply(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota).")
_OTHERS_TOKENS = 1_500


class Server:
    """One project at the service, from the moment zero of the loop's clock."""

    def __init__(self, scenario: Scenario, rng: random.Random) -> None:
        self._scenario = scenario
        self._rng = rng
        self._book = QuotaBook(scenario.quotas(loop_clock))
        # Windows of the service do not begin when we do.
        self._phase_s = rng.uniform(0.0, MINUTE_S)
        self._others_every_s = MINUTE_S / scenario.others_rpm if scenario.others_rpm else 0.0
        self._others_next_s = rng.uniform(0.0, self._others_every_s)
        self._refusals: dict[tuple[tuple[Quota, int], ...], ApiFailure] = {}
        self._overloaded = _failure(_OVERLOADED)
        self.others_asked = 0
        self.others_accepted = 0
        self.accepted_at_s = array("d")
        self.refused_at_s = array("d")
        self.accepted_tokens = 0
        for _ in range(scenario.requests_before):
            self._book.admit(self._phase_s, _OTHERS_TOKENS)

    async def call(self, tokens: int) -> int:
        """Return the input tokens that an answered call is billed for.

        Raises:
            ApiFailure: the quota was exceeded, or the service is overloaded.
        """
        upload_s = self._rng.uniform(*self._scenario.distance.upload_s)
        await asyncio.sleep(upload_s)
        refusal = self._admit(loop_clock(), tokens)
        if refusal:
            await asyncio.sleep(self._scenario.distance.refused_after_s - upload_s)
            raise self._refused(refusal)
        if self._rng.random() < self._scenario.fault_share:
            await asyncio.sleep(self._rng.uniform(*_FAULT_S))
            raise ApiFailure(**vars(self._overloaded))
        await asyncio.sleep(self._latency_s())
        return tokens

    def _admit(self, now_s: float, tokens: int) -> QuotaRejection | None:
        self._serve_others(now_s)
        refusal = self._book.admit(now_s + self._phase_s, tokens)
        if refusal:
            self.refused_at_s.append(now_s)
        else:
            self.accepted_at_s.append(now_s)
            self.accepted_tokens += tokens
        return refusal

    def _serve_others(self, now_s: float) -> None:
        """Let the other client have its turns up to now; done when we come, so that it needs no timer."""
        while self._others_every_s and self._others_next_s <= now_s:
            at_s = self._others_next_s
            self.others_asked += 1
            self.others_accepted += self._book.admit(at_s + self._phase_s, _OTHERS_TOKENS) is None
            self._others_next_s += self._others_every_s

    def _latency_s(self) -> float:
        drawn_s = self._scenario.median_s * self._rng.lognormvariate(0.0, _LATENCY_SPREAD)
        lowest_s, highest_s = self._scenario.distance.latency_s
        return min(max(drawn_s, lowest_s), highest_s)

    def _refused(self, refusal: QuotaRejection) -> ApiFailure:
        """Return the rejection; each body is read once, and only its hint differs from then on."""
        limits = tuple((quota, quota.meter.limit) for quota in refusal.violations)
        if limits not in self._refusals:
            self._refusals[limits] = _failure(_body(self._scenario.hints, refusal))
        known = self._refusals[limits]
        hinted = known.retry_after_s is not None
        return ApiFailure(**(vars(known) | {"retry_after_s": refusal.retry_s if hinted else None}))


def _body(hints: Hints, refusal: QuotaRejection) -> Reply:
    if hints is Hints.SILENT:
        return _SILENCE
    reply = bodies.quota_reply(MODEL, refusal.violations, refusal.retry_s)
    if hints is Hints.NAMED:
        return reply
    document = json.loads(reply.body)
    error = document["error"]
    for violation in error["details"][0]["violations"]:
        error["message"] = error["message"].replace(f", limit: {violation.pop('quotaValue')}", "")
    return json_reply(document, status=reply.status)


def _failure(reply: Reply) -> ApiFailure:
    failure = to_exception(HttpError(status=reply.status, body=json.loads(reply.body)))
    if not isinstance(failure, ApiFailure):
        raise TypeError(f"the world has no such failure: {failure!r}")
    return failure
