"""Repetition: finds answers that say one passage over and over, up to their end.

Models fall into such loops now and then, and finish them like an answer. Source: google-gemini/cookbook#327,
2024 to 2026.
"""

MIN_CHARACTERS = 2_000
"""Shorter repetitions occur in good answers, such as tables with empty rows."""
MIN_TIMES = 10
_PROBE = 200


def is_endless(text: str) -> bool:
    """Return whether a text ends in one passage that is repeated many times."""
    text = text.rstrip()
    size = len(text)
    if size < MIN_CHARACTERS:
        return False
    period = size - _PROBE - text.rfind(text[-_PROBE:], 0, size - 1)
    if period > size // MIN_TIMES:
        return False
    # The longest end that equals itself one period earlier: if one is equal, all shorter ones are.
    low, high = 0, size - period
    while low < high:
        middle = (low + high + 1) // 2
        is_equal = text[size - middle :] == text[size - middle - period : size - period]
        low, high = (middle, high) if is_equal else (low, middle - 1)
    repeated = low + period
    return repeated >= MIN_CHARACTERS and repeated >= MIN_TIMES * period
