"""Rules of prompts/clauses.py: which parts of a prompt can be left out, and what is left."""

import pytest

from prompts.clauses import MAX_PARTS, PromptParts

LEFT_OUT = [
    ("Write a graphic account of the scene.", "graphic", "Write an account of the scene."),
    ("Write a graphic and vivid account.", "vivid", "Write a graphic account."),
    ("Write a graphic, vivid account.", "vivid", "Write a graphic account."),
    ("Describe this photo, copying any text verbatim.", "copying any text verbatim", "Describe this photo."),
    ("Describe this photo, copying any text verbatim.", "verbatim", "Describe this photo, copying any text."),
    ("List the toys (name every brand). Be brief.", "(name every brand)", "List the toys. Be brief."),
    ("List the toys. Quote each label. Be brief.", "Quote each label", "List the toys. Be brief."),
    (
        "Describe it without leaving out a single detail.",
        "without leaving out a single detail",
        "Describe it.",
    ),
    ("In a lurid tone, describe the scene.", "In a lurid tone", "Describe the scene."),
    ("Transcribe the sign word for word.", "word for word", "Transcribe the sign."),
    ("Draw the hut as an old, grim barn.", "old", "Draw the hut as a grim barn."),
    ("Beschreibe das Bild, mit allen Logos.", "mit allen Logos", "Beschreibe das Bild."),
    ("Describe it.\n- Use plain words.\n- Quote it all.", "Quote it all", "Describe it.\n- Use plain words."),
]


@pytest.mark.parametrize(("prompt", "words", "left"), LEFT_OUT)
def test_a_part_is_left_out_and_the_gap_is_mended(prompt: str, words: str, left: str) -> None:
    """Commas, articles, capitals and full stops fit what is left."""
    parts = PromptParts(prompt, phrases=["word for word"])
    masks = {part.words.strip("() "): part.mask for part in parts.parts}

    assert parts.without(masks[words.strip("() ")]) == left


@pytest.mark.parametrize(
    ("prompt", "task"),
    [
        ("Write a graphic, bloody account of the fight, word for word.", "Write an account."),
        ("Please describe this photo in detail. Name every brand.", "Please describe this photo."),
        ("Turn the portrait into a nude statue, with gore.", "Turn the portrait into a statue."),
        ("Explain what happens here, in a lurid tone.", "Explain what happens here."),
        ("What do you see? Name all people.", "What do you see?"),
        ("For our archive, list the coins.", "List the coins."),
    ],
)
def test_the_task_stays_whatever_is_left_out(prompt: str, task: str) -> None:
    """A verb and its object are left even without all parts."""
    parts = PromptParts(prompt)

    assert parts.without((1 << len(parts)) - 1) == task


def test_nothing_left_out_is_the_prompt_to_the_letter() -> None:
    """Double blanks and line breaks of the user stay."""
    prompt = "Describe  it.\n\n  With   care, and a hour of work."

    assert PromptParts(prompt).without(0) == prompt


def test_words_to_keep_and_code_are_in_no_part() -> None:
    """Neither they nor the clause around them can be left out."""
    prompt = 'Describe it, with the blue door, on a lurid day. Return {"a": 1} as JSON.'
    parts = PromptParts(prompt, keep=["blue door"])
    left = parts.without((1 << len(parts)) - 1)

    assert "blue door" in left
    assert '{"a": 1}' in left
    assert "lurid" not in left


def test_the_number_of_parts_is_bounded() -> None:
    """However long the prompt."""
    prompt = "Describe it. " + "Use a very odd, dim, plain tone, with care, in red. " * 60

    assert 0 < len(PromptParts(prompt)) <= MAX_PARTS


@pytest.mark.parametrize("prompt", ["", "   ", "Caption", "Describe this picture", "?!", "(", "a, b; - c"])
def test_any_text_can_be_taken_apart(prompt: str) -> None:
    """Short and odd prompts have few parts or none, and no error."""
    parts = PromptParts(prompt)

    for part in parts.parts:
        parts.without(part.mask)
    assert parts.without(0) == prompt
