"""How often the plain second call of a class is answered, learned from all images of the run."""

from collections import Counter

from errors import ErrorKind

MIN_TRIES = 16
"""Second calls of a class from which they may be left out."""
MIN_TRIES_BESIDE_OTHERS = 3
"""The same where ``MIN_TRIES_OF_ALL`` images of all classes were asked again."""
MIN_TRIES_OF_ALL = 32
FUTILE_RATE = 0.12
"""Expected rate below which they are left out where an edit is much better."""
_PRIOR_RATE = 0.1
_PRIOR_WEIGHT = 6.0


class AskingAgainRate:
    """Counts of plain second calls by class."""

    def __init__(self) -> None:
        self._tries = Counter[ErrorKind]()
        self._rescues = Counter[ErrorKind]()

    def learn(self, kind: ErrorKind, *, rescued: bool) -> None:
        """Record one second call."""
        self._tries[kind] += 1
        self._rescues[kind] += rescued

    def rate(self, kind: ErrorKind) -> float:
        """Return the expected rate of a class, 0 to 1; other classes count a little."""
        prior = (_PRIOR_RATE * 10.0 + self._rescues.total()) / (10.0 + self._tries.total())
        return (_PRIOR_WEIGHT * prior + self._rescues[kind]) / (_PRIOR_WEIGHT + self._tries[kind])

    def is_known(self, kind: ErrorKind) -> bool:
        """Return whether enough images were asked again to say."""
        tries = self._tries[kind]
        return tries >= MIN_TRIES or (
            tries >= MIN_TRIES_BESIDE_OTHERS and self._tries.total() >= MIN_TRIES_OF_ALL
        )

    def is_futile(self, kind: ErrorKind) -> bool:
        """Return whether the second call of a class is known to help too few images."""
        return self.is_known(kind) and self.rate(kind) < FUTILE_RATE
