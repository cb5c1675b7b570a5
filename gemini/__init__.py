"""Talks to the model: the live service in ``client``, a stand-in for dry runs in ``simulated``.

``answers`` and ``refusals`` say what a reply means. Importing any of them does not import the SDK.
"""


def produces_images(model: str) -> bool:
    """Tell whether a model answers with pictures.

    Source: the names in the SDK's list of models and Google's price page, November 2026: every model
    with picture output has "image" or "banana" in its name, and no other has.
    """
    return any(word in model.lower() for word in ("image", "banana"))
