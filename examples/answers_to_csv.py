"""Write the answers in an output directory to a CSV table, one row for each image.

    python examples/answers_to_csv.py results answers.csv

Where answers are JSON objects, each member becomes a column. Needs nothing but Python.
"""

import csv
import json
import sys
from pathlib import Path
from typing import Any


def read_answers(output_dir: Path) -> dict[str, Path]:
    """Return the text file of each answered image by the image's path below the input directory."""
    answers: dict[str, Path] = {}
    with (output_dir / "metadata" / "results.jsonl").open("rb") as ledger:
        for line in ledger:
            try:
                record = json.loads(line)
            except ValueError:
                continue  # a line that a killed run left unfinished
            text_file = output_dir / record["artefacts"][-1]["path"]
            if text_file.is_file():  # other lines tell of answers that later ones have replaced
                answers[record["key"]] = text_file
    return dict(sorted(answers.items()))


def parse_object(text: str) -> dict[str, Any] | None:
    """Return the JSON object that an answer is, with or without a code fence; None if it is none."""
    lines = text.strip().splitlines()
    if len(lines) > 2 and lines[0].startswith("```") and lines[-1] == "```":
        lines = lines[1:-1]
    try:
        value = json.loads("\n".join(lines))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def main(output_dir: Path, table: Path) -> int:
    """Write the table; name the answers that are no JSON objects where others are."""
    files = read_answers(output_dir)
    texts = {key: path.read_text(encoding="utf-8") for key, path in files.items()}
    objects = {key: parse_object(text) for key, text in texts.items()}
    members = list(dict.fromkeys(member for value in objects.values() for member in value or ()))
    columns = ["image", *(members or ["answer"])]
    with table.open("w", encoding="utf-8-sig", newline="") as handle:  # the mark tells Excel that it is UTF-8
        writer = csv.writer(handle)
        writer.writerow(columns)
        for key, text in texts.items():
            value = objects[key]
            cells = [text.rstrip("\n")] if not members else [_cell((value or {}).get(one)) for one in members]
            writer.writerow([key, *cells])
    odd = [key for key, value in objects.items() if members and value is None]
    for key in odd:
        sys.stderr.write(f"not a JSON object: {files[key]}\n")
    sys.stdout.write(f"{table}: {len(texts)} images, {len(columns)} columns\n")
    return 1 if odd else 0


def _cell(value: object) -> object:
    """Return text and numbers as they are, nothing for null, anything else as JSON."""
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
