"""Facts about a model that its name alone gives."""

PICTURE_MODEL = "gemini-nano-banana-2.1"
"""Named to users whose prompt asks for pictures. Source: Google's list of models, November 2026."""


def produces_images(model: str) -> bool:
    """Return True if a model answers with pictures.

    Source: docs/api-facts.md, section 4.4, November 2026: every model with picture output has "image"
    or "banana" in its name, and no other model has.
    """
    return any(word in model.lower() for word in ("image", "banana"))
