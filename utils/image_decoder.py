"""Image decoder: decodes here, or in a process that can be ended where that may take long."""

from utils.image_conversion import Size, convert, judge
from utils.image_decoding import check_size, find_missing_end
from utils.image_effort import may_take_long
from utils.image_formats import CONTAINERS, Conversion, ImageFormat, Traits
from utils.image_structure import ImageStructure


def judge_safely(data: bytes, kind: ImageFormat, structure: ImageStructure | None) -> Traits:
    """Return and raise what ``image_conversion.judge`` does."""
    # With a structure there is only a picture of a few pixels to decode.
    if structure is None and may_take_long(data, kind):
        from utils.decoding_process import run_in_process  # noqa: PLC0415 -- hardly ever

        return Traits(**run_in_process("examine", data, {"kind": kind.value})[0])
    return judge(data, kind, structure)


def find_missing_end_safely(data: bytes) -> int | None:
    """Return what ``image_decoding.find_missing_end`` does."""
    if may_take_long(data, ImageFormat.JPEG):
        from utils.decoding_process import run_in_process  # noqa: PLC0415 -- as above

        end, _ = run_in_process("find_missing_end", data, {"kind": ImageFormat.JPEG.value})
        return int(end) if end is not None else None
    return find_missing_end(data)


def convert_safely(data: bytes, kind: ImageFormat, conversion: Conversion, size: Size | None = None) -> bytes:
    """Return and raise what ``image_conversion.convert`` does."""
    if may_take_long(data, kind):
        from utils.decoding_process import run_in_process  # noqa: PLC0415 -- as above

        request = {"kind": kind.value, "conversion": conversion.value, "size": size}
        return run_in_process("convert", data, request)[1]
    return convert(data, kind, conversion, size)


def check_decodable(data: bytes, kind: ImageFormat, traits: Traits) -> None:
    """Raise UnreadableImage for an image that has to be converted, and is too large or too slow for it."""
    if kind in CONTAINERS:
        check_size(traits, kind)
    may_take_long(data, kind)
