"""Rules of utils/decoding_process.py: a real process decodes, fails and is ended."""

import threading

import pytest

from tests.support.hostile_images import encoded, picture
from tests.support.slow_images import jp2_of_layers
from utils.decoding_process import end_processes, run_in_process
from utils.image_conversion import convert, examine
from utils.image_formats import Conversion, ImageFormat, UnreadableImage

JPEG = {"kind": ImageFormat.JPEG.value}


def test_the_process_gives_what_the_program_would() -> None:
    """Traits and bytes are the same as those of a thread."""
    data = encoded(picture(1), "JPEG")
    request = {**JPEG, "conversion": Conversion.TO_PNG.value, "size": (24, 16)}

    traits, _ = run_in_process("examine", data, JPEG)
    _, converted = run_in_process("convert", data, request)

    ours = examine(data, ImageFormat.JPEG)
    assert (traits["width"], traits["mode"], traits["frames"]) == (ours.width, ours.mode, ours.frames)
    assert converted == convert(data, ImageFormat.JPEG, Conversion.TO_PNG, (24, 16))


def test_a_damaged_image_is_told_as_here() -> None:
    """The sentence of the decoder arrives with its class."""
    with pytest.raises(UnreadableImage, match="damaged or cut off"):
        run_in_process("examine", encoded(picture(1), "JPEG")[:300], JPEG)


def test_work_that_takes_too_long_is_ended() -> None:
    """A second of CPU ends a decoder that would take twenty; the sentence says what to do."""
    kind = {"kind": ImageFormat.JPEG_2000.value}

    with pytest.raises(UnreadableImage, match=r"longer than 1 s to read.*Save it anew"):
        run_in_process("examine", jp2_of_layers(), kind, max_cpu_s=1.0)


def test_processes_are_ended_when_the_run_is() -> None:
    """The thread that waits goes on at once."""
    ended: list[Exception] = []

    def decode() -> None:
        try:
            run_in_process("examine", jp2_of_layers(), {"kind": ImageFormat.JPEG_2000.value})
        except UnreadableImage as error:
            ended.append(error)

    thread = threading.Thread(target=decode)
    thread.start()
    for _ in range(200):
        end_processes()
        thread.join(0.05)
        if not thread.is_alive():
            break

    assert len(ended) == 1
