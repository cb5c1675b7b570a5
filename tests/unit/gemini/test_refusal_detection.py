"""Rules of gemini/refusal_detection.py.

No good description is lost, and plain refusals are found.
"""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import ErrorKind
from gemini.refusal_detection import _REFUSAL_CLAUSE, is_refusal, may_be_refusal
from tests.emulator.answers import REFUSAL_TEXT
from tests.support.replies import USAGE, failure_of, picture, read, reply, words

REFUSALS = [
    REFUSAL_TEXT,
    "I cannot help with that.",
    "I can\u2019t assist with this request.",
    "I'm sorry, but I can't assist with that.",
    "Sorry, I can't do that.",
    "I am unable to fulfill this request.",
    "I'm not able to describe this image.",
    "I cannot fulfill this request. I am programmed to be a helpful and harmless assistant.",
    "Unfortunately, I cannot process this image as it may contain sensitive content.",
    "I apologize, but I'm unable to identify people in photographs.",
    "As an AI language model, I cannot provide a description of this picture.",
    "I'm afraid I won't be able to help with this one.",
    "I must decline to describe this picture.",
    "**I'm sorry,** but I am not able to generate that kind of content.",
    "This request violates our usage policies.",
    "I'm not comfortable describing this photo. Is there anything else I can help you with?",
    "We cannot comply with this request.",
    "  I won't create that image.\n",
    "I'm sorry, but I'm not able to analyze this photo. Please try another one.",
    "I can't discuss the identity of this individual.",
]
DESCRIPTIONS = [
    "A ginger cat asleep on a windowsill, in warm evening light.",
    'A shop door with a hand-written sign: "Sorry, we\'re closed".',
    "The sign reads: I CANNOT HELP YOU, PLEASE ASK AT THE DESK.",
    '"I can\'t help it" is printed in red letters on a grey T-shirt.',
    "Sorry state of a wooden shed with a collapsed roof.",
    "I can't make out the number plate, but the car is a blue estate from the nineties.",
    "I cannot identify the person, but the image shows a man in a grey suit at a lectern.",
    "I'm unable to identify who this is. The woman is wearing a green dress and holds a trophy.",
    "I can't identify the people, however there are four of them around a table.",
    "I am sorry to say the photo is blurred; a dog runs across a lawn.",
    "Unfortunately the left half is overexposed. A lighthouse stands on a cliff.",
    "I cannot see any text in the picture.",
    "I can't see a dog in this photo; it is an empty beach at low tide.",
    "No, I do not think that this is a mushroom one can eat.",
    "A screenshot of a chat. The assistant answers: I'm sorry, but I can't help with that.",
    "The man in the picture cannot help laughing.",
    "As an aid to memory, the poster lists the planets in their order.",
    "We can see two children who help each other up a wall.",
    "I couldn't help but notice the tiny bird in the background, on the fence.",
    "Unable to swim, a toddler with armbands sits at the edge of a pool.",
    "This request form has three fields: name, address and date.",
    "An error dialog: 'Your request violates the quota.'",
    '{"caption": "I cannot help you", "kind": "meme"}',
    "7",
    "",
    "I can't provide an exact count. There are about 200 people on the square.",
    "I'm sorry, I can't answer with certainty: it looks like a kestrel, seen from below.",
    "I cannot help " + "but admire the many details of this wide harbour scene with boats. " * 9,
]


@pytest.mark.parametrize("text", REFUSALS)
def test_a_refusal_is_seen(text: str) -> None:
    """Short sentences that decline the whole task."""
    assert is_refusal(text)


@pytest.mark.parametrize("text", DESCRIPTIONS)
def test_no_good_description_counts_as_a_refusal(text: str) -> None:
    """Signs that say sorry, quoted refusals, honest doubts with a description after them."""
    assert not is_refusal(text)


def test_a_declining_answer_fails_its_image_and_keeps_what_was_paid() -> None:
    """It is of the class that other words may cure; its text and tokens are on record."""
    failure = failure_of(reply(words(REFUSAL_TEXT)))

    assert failure.kind is ErrorKind.REFUSED
    assert failure.partial_text == REFUSAL_TEXT
    assert failure.usage.output_tokens == USAGE["candidatesTokenCount"] + USAGE["thoughtsTokenCount"]


def test_words_beside_a_picture_are_no_refusal() -> None:
    """Where the picture came, the task was done, whatever is said about it."""
    assert not isinstance(read(reply(words(REFUSAL_TEXT), picture()), wants_images=True), ErrorKind)
    assert read(reply(words(REFUSAL_TEXT)), wants_images=True) is ErrorKind.NO_IMAGE


@given(st.from_regex(re.compile(_REFUSAL_CLAUSE.compiled.pattern, re.IGNORECASE | re.ASCII)))
def test_no_clause_declines_without_one_of_the_words_that_are_looked_for_first(clause: str) -> None:
    """What the first, quick look lets go is no refusal for the patterns either."""
    assert may_be_refusal(clause)
