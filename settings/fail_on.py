"""Value of ``--fail-on``: how many failed images make the exit code say so."""

import math
from typing import NamedTuple


class FailOn(NamedTuple):
    """How many failed images make the exit code say so."""

    at_least: float
    """Images, or percent of the images that came to an end in this run; infinite for never."""
    is_percent: bool = False
    text: str = "any"
    """As it was typed."""

    @classmethod
    def parse(cls, text: str) -> "FailOn":
        """Read ``any``, ``none``, ``N`` or ``P%``; the words have been checked before."""
        if text in {"any", "none"}:
            return cls(at_least=1.0 if text == "any" else math.inf, text=text)
        return cls(at_least=float(text.removesuffix("%")), is_percent=text.endswith("%"), text=text)

    def is_met(self, failed: int, ended: int) -> bool:
        """Return whether so many failures among so many images count."""
        share = 100.0 * failed / ended if self.is_percent and ended else float(failed)
        return failed > 0 and share >= self.at_least
