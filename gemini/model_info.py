"""What the name of a model tells about it."""


def produces_images(model: str) -> bool:
    """Tell whether a model answers with pictures.

    Source: the names in the SDK's list of models and Google's price page, November 2026: every model
    with picture output has "image" or "banana" in its name, and no other has.
    """
    return any(word in model.lower() for word in ("image", "banana"))
