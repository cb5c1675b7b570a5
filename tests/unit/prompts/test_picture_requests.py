"""Rules of prompts/picture_requests.py: prompts for pictures are told from prompts for text."""

import pytest

from prompts.picture_requests import asks_for_picture

PICTURES = [
    "Convert this to anime style",
    "anime style illustration",
    "Turn the dog into a knight",
    "draw it as a comic",
    "Convert this photo into a watercolor painting, keep the faces.",
    "Transform this image to look like an oil painting by Van Gogh",
    "Make it look like a vintage postcard",
    "Make this photo black and white",
    "Remove the background",
    "Please add a red hat to the dog",
    "Put her on a beach at sunset",
    "Enhance this old photo",
    "Restore the scratched photo and colorize it",
    "Colourise",
    "Create a cute sticker of this cat",
    "Generate a new image of the same person with short hair",
    "Give me a studio portrait of this person",
    "Stylize as pixel art",
    "Upscale to 4K",
    "Replace the sky with a sunset",
    "Change the background to white",
    "Convert",
    "Restyle this room in Scandinavian style",
    "Erstelle ein Bild im Comicstil",
    "Verwandle das Foto in ein Ölgemälde",
    "Génère une image dans le style manga",
    "Dibuja este paisaje como acuarela",
    "把这张照片变成动漫风格",
    "この写真をアニメ風にして",
]
TEXTS = [
    "Describe this photo",
    "List every object",
    "What does the sign say?",
    "Convert the receipt to JSON",
    "Convert the table in this image to a clean CSV",
    "Transform the handwriting into plain text",
    "Turn this page into Markdown",
    "Turn this whiteboard into a bulleted list of action items",
    "Convert to LaTeX",
    "Describe the painting's style in two sentences",
    "Which cartoon is this?",
    "Is this a watercolor or an oil painting?",
    "Draw conclusions from the chart",
    "Write a caption for this picture in the style of a newspaper",
    "Create a caption for this image",
    "Create a short title for the photo",
    "Make a list of the items in the picture",
    "Give me a description of the image",
    "Add alt text for this image",
    "Extract the text, remove line breaks",
    "Caption this black and white photo",
    "Translate the menu into English",
    "Generate alt text",
    "Count the people in the drawing",
    "OCR",
    "Rate the illustration from 1 to 10",
    "Beschreibe das Bild im Stil eines Reiseführers",
    "Transcribe this sketch of an equation",
]


@pytest.mark.parametrize("prompt", PICTURES)
def test_prompts_for_pictures_are_recognized(prompt: str) -> None:
    """Whoever asks for a picture is warned of a model that has none."""
    assert asks_for_picture(prompt)


@pytest.mark.parametrize("prompt", TEXTS)
def test_prompts_for_text_are_left_alone(prompt: str) -> None:
    """A question about a picture brings no advice about models with pictures, night after night."""
    assert not asks_for_picture(prompt)
