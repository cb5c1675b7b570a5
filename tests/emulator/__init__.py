"""An HTTP server that speaks the Gemini REST protocol v1beta, with every fault on request.

In a test: ``async with Emulator(plan=FaultPlan(...)) as emulator: ... emulator.base_url``. As a
process: ``python -m tests.emulator --port 0``, which prints one JSON line with its ``base_url``.
"""

from tests.emulator.faults import Fault
from tests.emulator.log import LoggedRequest
from tests.emulator.plan import ContentRule, FaultPlan
from tests.emulator.quotas import FixedWindow, Quota, QuotaBook, SlidingWindow, TokenBucket, Unit
from tests.emulator.server import Emulator

__all__ = [
    "ContentRule",
    "Emulator",
    "Fault",
    "FaultPlan",
    "FixedWindow",
    "LoggedRequest",
    "Quota",
    "QuotaBook",
    "SlidingWindow",
    "TokenBucket",
    "Unit",
]
