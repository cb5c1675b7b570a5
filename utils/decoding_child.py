"""Program of the process that decodes one image for ``decoding_process``: bytes in, a result out.

It reads a line of JSON and the file on stdin, and writes a line of JSON and bytes on stdout.
"""

import json
import resource
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any


def main() -> None:
    """Do the work that the first line names."""
    request, data = json.loads(sys.stdin.buffer.readline()), sys.stdin.buffer.read()
    # The folder of this file holds modules with names of others; the program's own list has the right ones.
    sys.path[:] = [str(Path(__file__).resolve().parent.parent), *filter(None, request["path"])]
    _limit(resource.RLIMIT_CPU, max(1, round(request["cpu_s"])))
    _limit(resource.RLIMIT_CORE, 0)
    if request["memory"]:
        _limit(resource.RLIMIT_AS, request["memory"])
    from utils.image_formats import NotEnoughMemory, UnreadableImage  # noqa: PLC0415 -- see above

    result: dict[str, Any]
    content = b""
    try:
        value, content = _do(request, data)
        result = {"value": value}
    except UnreadableImage as error:
        result = {"error": type(error).__name__, "text": str(error)}
    except MemoryError:
        text = "There is not enough memory to decode the image."
        result = {"error": NotEnoughMemory.__name__, "text": text}
    sys.stdout.buffer.write(json.dumps(result).encode() + b"\n" + content)
    sys.stdout.buffer.flush()


def _do(request: dict[str, Any], data: bytes) -> tuple[Any, bytes]:
    from utils.image_conversion import convert, examine  # noqa: PLC0415 -- see above
    from utils.image_decoding import find_missing_end  # noqa: PLC0415
    from utils.image_formats import Conversion, ImageFormat  # noqa: PLC0415

    kind = ImageFormat(request["kind"])
    if request["work"] == "find_missing_end":
        return find_missing_end(data), b""
    if request["work"] == "examine":
        return asdict(examine(data, kind)), b""
    size = request["size"] and tuple(request["size"])
    return None, convert(data, kind, Conversion(request["conversion"]), size)


def _limit(number: int, value: int) -> None:
    with suppress(ValueError, OSError):  # a lower one is set already
        resource.setrlimit(number, (value, value))


if __name__ == "__main__":
    main()
