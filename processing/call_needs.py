"""What a call needs from others: a model that answers, a permit, money, an estimate of tokens."""

from typing import Protocol

from errors import ApiFailure
from models import Generation, GenerationRequest, Usage


class GenerativeModel(Protocol):
    """A model that answers requests."""

    async def generate(self, request: GenerationRequest) -> Generation:
        """Return the answer; raise ApiFailure for this request or FatalError for the run."""
        ...


class Permit(Protocol):
    """Permission to send one request; exactly one of its three ends is called."""

    def on_sent(self) -> None:
        """Record that the request leaves now."""
        ...

    def on_success(self, *, input_tokens: int, seconds: float) -> None:
        """Record the answer."""
        ...

    def on_failure(self, failure: ApiFailure, *, seconds: float, upload_bytes: int = 0) -> None:
        """Record the failure; raise FatalError if the run cannot go on."""
        ...

    def release(self) -> None:
        """Record that the request was not sent, or was cut off."""
        ...


class Limiter(Protocol):
    """Rate limiter: decides when a request may start."""

    async def acquire(self, *, tokens: int, retry: bool = False) -> Permit:
        """Wait until one request of about so many input tokens may be sent."""
        ...


class Reservation(Protocol):
    """Money reserved for one request; exactly one of its three ends is called."""

    @property
    def max_output_tokens(self) -> int | None:
        """Bound of the answer, so that it costs no more than is reserved; None if unlimited."""
        ...

    def settle(self, usage: Usage) -> None:
        """Record what was billed."""
        ...

    def settle_unknown(self) -> None:
        """Record that the request was sent and may be billed, by an unknown amount."""
        ...

    def release(self, *, sent: bool) -> None:
        """Record that nothing was billed."""
        ...


class Budget(Protocol):
    """Money and requests that the run may still spend."""

    async def reserve(self, *, input_tokens: int, wants_long_answer: bool = False) -> Reservation:
        """Return a reservation of the worst case; raise FatalError if that would overrun the cap.

        Args:
            input_tokens: more than the request can take.
            wants_long_answer: bound the answer by the model's limit, as far as there is money for it.
        """
        ...


class TokenEstimator(Protocol):
    """Estimate of a request's input tokens."""

    def __call__(self, *, width: int, height: int, prompt: str) -> int:
        """Return the tokens of an image of so many pixels together with the prompt."""
        ...
