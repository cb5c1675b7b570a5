"""What does the run know about prices, and what does it say about costs at its end?

Looking prices up takes a quarter of a second, so it is done when there is something to pay for, and every
part that wants a price asks here. A dry run pays nothing: it has no price of a call, only an estimate of
what a real run would cost. This file must not know how a cap is kept.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from budget import Budget
from models import Usage
from reporting.costs import Costs
from reporting.tally import Tally
from spending.estimate import estimate
from spending.prices import Tariff, required_tariff, tariff_of, unknown


@dataclass(slots=True, kw_only=True)
class Money:
    """The prices of one run, once they are looked up."""

    model: str
    dry_run: bool
    utcnow: Callable[[], datetime]
    optimizer_model: str | None = None
    """Who may be asked for other words, at prices of its own."""
    tariff: Tariff | None = None
    optimizer_tariff: Tariff | None = None
    is_looked_up: bool = False

    def require(self) -> None:
        """Look the prices up.

        Raises:
            UsageError: they are not known, so that no cap on money can hold.
        """
        self.tariff, self.is_looked_up = required_tariff(self.model), True
        self.optimizer_tariff = required_tariff(self._asked) if self._asked else None

    def look_up(self) -> None:
        """Look the prices up, if that was not done before; blocks for a moment."""
        if not self.is_looked_up:
            self.tariff, self.is_looked_up = tariff_of(self.model), True
            self.optimizer_tariff = tariff_of(self._asked) if self._asked else None

    @property
    def _asked(self) -> str | None:
        return None if self.dry_run else self.optimizer_model

    def price(self, usage: Usage, at: datetime) -> Decimal | None:
        """Return what a call costs that took these tokens; None when nobody knows, and in a dry run."""
        return None if self.tariff is None or self.dry_run else self.tariff.cost(usage, at)

    def costs(self, tally: Tally, budget: Budget | None) -> Costs | None:
        """Return what is to be said about money at the end; None when nothing was asked."""
        if not self.is_looked_up:
            return None
        if self.tariff is None:
            return Costs(price_source=unknown(self.model))
        now = self.utcnow()
        estimated = (
            estimate(self.tariff, answers=tally.succeeded, simulated=tally.usage, at=now)
            if self.dry_run
            else None
        )
        return Costs(
            price_source=self.tariff.source,
            price_date=now.astimezone(UTC).date(),
            at_most=budget.committed() if budget else None,
            estimate=estimated,
        )
