"""Rules of archiver.py and the files behind it, on a real file system: results, history, copies."""

import hashlib
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import ErrorKind, StorageError
from models import Artefact, Deferred, Predecessor, Reused
from reports.advice import ADVICE
from storage.output.answer_text import format_answer_text
from storage.output.layout import Place
from tests.support.file_systems import second_file_system
from tests.support.outcomes import (
    SOFT,
    archiver,
    deferred,
    failed,
    files,
    full_disk,
    job,
    names,
    only_answer,
    picture,
    run_info,
    succeeded,
)

# Answers


def test_an_answer_stands_in_the_mirrored_folder(tmp_path: Path) -> None:
    """The text lies under the image's own path and whole name, ends with one line feed, and is returned."""
    (artefact,) = archiver(tmp_path).store(succeeded("trip/day 2/a.jpg", "Zwei Wörter\r\nund eins 🙂"))

    data = "Zwei Wörter\r\nund eins 🙂\n".encode()
    assert files(tmp_path) == {"successful/trip/day 2/a.jpg_result.txt": data}
    assert artefact == Artefact(
        path="successful/trip/day 2/a.jpg_result.txt",
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one", "one\n"),
        ("one\n", "one\n"),
        ("one\r\n\n", "one\n"),
        (" one ", " one \n"),
        ("\none", "\none\n"),
    ],
)
def test_a_text_ends_with_one_line_feed(text: str, expected: str) -> None:
    """The answer is kept as it is but for its end."""
    assert format_answer_text(text, []) == expected


def test_half_a_surrogate_pair_does_not_lose_an_answer(tmp_path: Path) -> None:
    """JSON can carry what UTF-8 cannot: halves that belong together are joined, others replaced."""
    archiver(tmp_path).store(succeeded("a.jpg", "\ud83d\ude42 and \udc80"))

    assert (tmp_path / "successful/a.jpg_result.txt").read_text(encoding="utf-8") == "🙂 and �\n"


@pytest.mark.parametrize(
    ("data", "suffix"),
    [
        (picture("PNG"), "png"),
        (picture("JPEG"), "jpg"),
        (picture("WEBP"), "webp"),
        (picture("GIF"), "gif"),
        (picture("AVIF"), "avif"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "heic"),
        (b"nobody knows", "bin"),
    ],
    ids=["png", "jpeg", "webp", "gif", "avif", "heic", "unknown"],
)
def test_a_pictures_suffix_is_what_its_bytes_are(tmp_path: Path, data: bytes, suffix: str) -> None:
    """The suffix follows the first bytes, whatever type the service claimed."""
    archiver(tmp_path).store(succeeded("a.jpg", "text", data))

    assert (tmp_path / f"successful/a.jpg_result.{suffix}").read_bytes() == data


def test_several_pictures_are_numbered(tmp_path: Path) -> None:
    """The first has no number; all stand before the text does, and are returned in that order."""
    stored = archiver(tmp_path).store(succeeded("a.jpg", "text", picture(), picture("JPEG"), picture("GIF")))

    expected = ["a.jpg_result.png", "a.jpg_result_2.jpg", "a.jpg_result_3.gif", "a.jpg_result.txt"]
    assert [artefact.path for artefact in stored] == [f"successful/{name}" for name in expected]
    assert names(tmp_path) == {artefact.path for artefact in stored}


def test_an_answer_of_pictures_alone_names_them(tmp_path: Path) -> None:
    """The text is one line that says so: a result without a text file would look like a missing one."""
    archiver(tmp_path).store(succeeded("a.jpg", " \n", picture(), picture("JPEG")))

    text = (tmp_path / "successful/a.jpg_result.txt").read_text(encoding="utf-8")
    assert text == "The answer has no text, only these 2 pictures: a.jpg_result.png, a.jpg_result_2.jpg\n"


def test_the_files_of_a_long_name_share_one_stem(tmp_path: Path) -> None:
    """Near the limit of 255 bytes the name is cut for all files alike, and still belongs to one image."""
    long = "ü" * 123 + ".jpg"
    store = archiver(tmp_path)
    store.store(failed(long, ErrorKind.TIMEOUT))
    assert len(names(tmp_path, "failed")) == 1
    store.store(succeeded(long, "one", picture(), picture()))
    store.store(succeeded("ü" * 123 + ".png", "two"))

    (stem,) = {name.partition("_result_2")[0] for name in names(tmp_path) if "_result_2" in name}
    assert {f"{stem}_result.png", f"{stem}_result_2.png", f"{stem}_result.txt"} < names(tmp_path)
    assert len(names(tmp_path)) == 4
    assert all(len(Path(name).name.encode()) <= 255 for name in names(tmp_path))


COMPONENTS = (
    *("a", "a.jpg", "a.jpg_result", "a.jpg_result_2", "a.jpg_result.png", "a.jpg_result.txt", "_result"),
    *("a_2", "a.jpg_error.log", "a.jpg_result.txt~dir", "~0123456789ab", "x" * 239, "x" * 240, "x" * 250),
)
KEYS = st.lists(st.sampled_from(COMPONENTS), min_size=1, max_size=3).map("/".join)


@given(st.lists(KEYS, min_size=2, max_size=2, unique=True))
def test_no_two_files_of_two_images_share_a_path(keys: list[str]) -> None:
    """With any names of images, no file of one can overwrite, or be a folder of, a file of another."""
    one, other = ({p.text, p.error_log, *next(p.iter_picture_names())} for p in map(Place.of, keys))
    place = Place.of(keys[1])
    other |= {place.picture(2, "png"), place.picture(13, "webp")}

    assert not one & other
    folders = {str(parent) for path in other for parent in Path(path).parents}
    assert not one & folders


# Failures


def test_a_failure_is_told_in_full(tmp_path: Path) -> None:
    """What happened, to which image, why, what to do, every call, the prompt, and what came of the answer."""
    kinds = (ErrorKind.SERVER, ErrorKind.TRUNCATED)
    outcome = failed("trip/a.jpg", *kinds, detail="Cut off.", partial_text="Once upon\n\ta time")
    last = replace(outcome.attempts[1], prompt=SOFT)
    archiver(tmp_path).store(replace(outcome, attempts=(outcome.attempts[0], last), prompt=SOFT))

    log = (tmp_path / "failed/trip/a.jpg_error.log").read_text(encoding="utf-8")
    advice = ADVICE[ErrorKind.TRUNCATED]
    for said in ("trip/a.jpg", "truncated", "Cut off.", advice.cause, advice.remedy, "8 x 6", "gemini-3.5"):
        assert said in log
    assert "1  2026-11-23T22:00:01.000Z      1.5  server            503  0 (as given)" in log
    assert "2  2026-11-23T22:00:02.000Z      1.5  truncated           -  1 (soften)" in log
    assert "\nPrompt 0 (as given)\n    Describe the picture\n" in log
    assert "\nPrompt 1 (soften)\n    Describe the picture\n\n    Stay friendly.\n" in log
    assert log.endswith("\nWhat came of the answer\n    Once upon\n            a time\n")


def test_an_unreadable_image_had_no_call(tmp_path: Path) -> None:
    """A failure before any call says that there was none."""
    archiver(tmp_path).store(failed("a.jpg", detail="The file is empty (0 bytes)."))

    log = (tmp_path / "failed/a.jpg_error.log").read_text(encoding="utf-8")
    assert "The file is empty (0 bytes)." in log
    assert "No call was made." in log


def test_nothing_in_a_report_can_forge_a_line(tmp_path: Path) -> None:
    """Control characters of names, details and texts are escaped."""
    outcome = failed("a.jpg", ErrorKind.REFUSED, detail="x\nWhat to do\x1b[2J", partial_text="\x1b[31mred")
    archiver(tmp_path).store(replace(outcome, job=replace(outcome.job, key="a\nb.jpg")))

    log = (tmp_path / "failed/a\nb.jpg_error.log").read_text(encoding="utf-8")
    assert "\x1b" not in log
    assert log.startswith("a\\x0ab.jpg has no answer: refused\n")
    assert "x\\x0aWhat to do\\x1b[2J" in log


def test_every_class_of_failure_has_its_advice() -> None:
    """The table has every kind, and no cause or remedy is empty."""
    assert set(ADVICE) == set(ErrorKind)
    assert all(advice.cause.endswith(".") and advice.remedy.endswith(".") for advice in ADVICE.values())


def test_a_later_success_removes_the_report(tmp_path: Path) -> None:
    """An answered image has no report of a failure."""
    archiver(tmp_path, 1).store(failed("a.jpg", ErrorKind.TIMEOUT))
    archiver(tmp_path, 2).store(succeeded("a.jpg"))

    assert names(tmp_path) == {"successful/a.jpg_result.txt"}


def test_a_deferred_image_leaves_nothing(tmp_path: Path) -> None:
    """A deferred image changes no file."""
    archiver(tmp_path, 1).store(succeeded("a.jpg"))
    before = files(tmp_path)
    outcome: Deferred = deferred("a.jpg", ErrorKind.RATE_LIMITED)

    assert archiver(tmp_path, 2).store(outcome) == ()
    assert files(tmp_path) == before


# Earlier answers


@pytest.mark.parametrize("is_known", [True, False], ids=["journal-knows", "journal-lost"])
def test_an_earlier_answer_moves_to_the_history(tmp_path: Path, *, is_known: bool) -> None:
    """All its files go, also pictures that the new answer has no counterpart for; nothing is overwritten."""
    earlier = archiver(tmp_path, 1).store(succeeded("t/a.jpg", "old", picture(), picture("JPEG")))
    second = archiver(tmp_path, 2)
    stored = second.store(succeeded("t/a.jpg", "new"), replaced=earlier if is_known else ())

    history = f"metadata/history/{run_info(2).run_id}"
    moved = second.find_in_history(earlier)
    assert [artefact.path for artefact in moved] == [f"{history}/{artefact.path}" for artefact in earlier]
    assert all(map(second.has_expected_hash, (*moved, *stored)))
    assert names(tmp_path) == {artefact.path for artefact in (*moved, *stored)}


def test_what_others_put_in_the_way_during_the_run_is_not_overwritten(tmp_path: Path) -> None:
    """A picture that was written after the index was made moves to the history all the same."""
    ours = archiver(tmp_path)
    ours.check_writable()
    ours.remove_unfinished()
    for name in ("a.jpg_result.png", "a.jpg_result.txt"):
        (tmp_path / "successful" / name).write_bytes(b"somebody's")
    ours.store(succeeded("a.jpg", "text", picture()))

    history = tmp_path / f"metadata/history/{run_info().run_id}/successful"
    assert {path.name for path in history.iterdir()} == {"a.jpg_result.png", "a.jpg_result.txt"}
    assert {path.read_bytes() for path in history.iterdir()} == {b"somebody's"}


def test_what_the_journal_names_moves_even_behind_a_gap(tmp_path: Path) -> None:
    """If one picture is lost, the later ones in the journal's list are still found."""
    pictures = [picture(shade=number) for number in range(3)]
    earlier = archiver(tmp_path, 1).store(succeeded("a.jpg", "old", *pictures))
    (tmp_path / earlier[1].path).unlink()
    second = archiver(tmp_path, 2)
    second.store(succeeded("a.jpg", "new"), replaced=earlier)

    assert names(tmp_path, "successful") == {"successful/a.jpg_result.txt"}
    assert [moved.sha256 for moved in second.find_in_history(earlier)] == [
        earlier[number].sha256 for number in (0, 2, 3)
    ]


@pytest.mark.parametrize("is_known", [True, False], ids=["journal-knows", "journal-lost"])
def test_a_failure_never_displaces_an_answer(tmp_path: Path, *, is_known: bool) -> None:
    """The answer stays in its place beside the report, which names it; nothing goes to the history."""
    first, second = archiver(tmp_path, 1), archiver(tmp_path, 2)
    kept = first.store(succeeded("a.jpg", "old", picture()))
    before = Predecessor(artefacts=kept, answer=only_answer(first)) if is_known else Predecessor()

    second.store_all([(failed("a.jpg", ErrorKind.TIMEOUT), before)])

    assert all(map(second.has_expected_hash, kept))
    assert second.find_in_history(kept) == ()
    report = (tmp_path / "failed/a.jpg_error.log").read_text()
    assert all((artefact.path in report) == is_known for artefact in kept)


@pytest.mark.parametrize("in_the_way", ["picture", "text"])
def test_an_answer_moves_to_the_history_only_when_the_new_one_stands(tmp_path: Path, in_the_way: str) -> None:
    """If any file of the new answer cannot be written, the earlier one stands whole, and alone."""
    store = archiver(tmp_path, 1)
    kept = store.store(succeeded("a.jpg", "old", picture(), picture("JPEG")))
    before = files(tmp_path)
    pictures = [picture(shade=1), picture(shade=2), picture(shade=3)]
    if in_the_way == "picture":
        for place in (Place.of("a.jpg"), Place.portable("a.jpg")):
            (tmp_path / place.picture(3, "png")).mkdir()
        context: Any = nullcontext()
    else:
        context = full_disk(at_bytes=4000)

    with context, pytest.raises(StorageError, match=r"the answer for a\.jpg was lost"):
        archiver(tmp_path, 2).store(succeeded("a.jpg", "new" * 2000, *pictures), replaced=kept)

    assert files(tmp_path) == before


def test_a_history_on_another_file_system_gets_copies(tmp_path: Path) -> None:
    """Where an earlier answer cannot have a second name, it is copied; its bytes are the same."""
    with second_file_system() as elsewhere:
        (tmp_path / "metadata").mkdir()
        (tmp_path / "metadata/history").symlink_to(elsewhere)
        kept = archiver(tmp_path, 1).store(succeeded("a.jpg", "old", picture()))
        second = archiver(tmp_path, 2)
        second.store(succeeded("a.jpg", "new"), replaced=kept)

        moved = second.find_in_history(kept)
        assert len(moved) == 2
        assert all(map(second.has_expected_hash, moved))
        assert names(tmp_path, "successful") == {"successful/a.jpg_result.txt"}


def test_the_history_never_overwrites(tmp_path: Path) -> None:
    """Two answers replaced under one run's name are both kept."""
    store = archiver(tmp_path)
    for text in ("one", "two", "three"):
        store.store(succeeded("a.jpg", text))

    assert sorted(files(tmp_path, "metadata/history").values()) == [b"one\n", b"two\n"]


def test_nothing_outside_the_tree_is_ever_touched(tmp_path: Path) -> None:
    """A path from a manipulated ledger cannot lead out of the tree."""
    root, mine = tmp_path / "out", tmp_path / "mine.txt"
    mine.write_bytes(b"mine")
    root.mkdir()
    digest = hashlib.sha256(b"mine").hexdigest()
    outside = [
        Artefact(path=path, size_bytes=4, sha256=digest)
        for path in ("successful/../../mine.txt", str(mine), "../mine.txt", "a\0b")
    ]
    store = archiver(root)
    store.store(succeeded("a.jpg"), replaced=outside)

    assert mine.read_bytes() == b"mine"
    assert not any(map(store.is_present, outside))
    assert not any(map(store.has_expected_hash, outside))


def test_stands_and_proves(tmp_path: Path) -> None:
    """``is_present`` compares the size, ``has_expected_hash`` the bytes; neither follows a link."""
    store = archiver(tmp_path)
    (artefact,) = store.store(succeeded("a.jpg", "An answer."))
    path = tmp_path / artefact.path
    assert store.is_present(artefact)
    assert store.has_expected_hash(artefact)

    path.write_bytes(b"X" * artefact.size_bytes)
    assert store.is_present(artefact)
    assert not store.has_expected_hash(artefact)

    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert not store.is_present(artefact)


# Copies


def test_a_copy_puts_an_answer_under_another_name(tmp_path: Path) -> None:
    """Same bytes, no call: the files exist under the new name, the ledger has a line, the old ones stay."""
    first = archiver(tmp_path, 1)
    first.store(succeeded("a.jpg", "text", picture(), picture("JPEG")))
    answer = only_answer(first)
    second = archiver(tmp_path, 2)
    second.store(failed("new/b.jpg", ErrorKind.TIMEOUT))
    copied = second.store(Reused(job=job("new/b.jpg"), answer=answer))

    expected = ["b.jpg_result.png", "b.jpg_result_2.jpg", "b.jpg_result.txt"]
    assert [artefact.path for artefact in copied] == [f"successful/new/{name}" for name in expected]
    assert [artefact.sha256 for artefact in copied] == [artefact.sha256 for artefact in answer.artefacts]
    assert all(map(second.has_expected_hash, (*copied, *answer.artefacts)))
    assert names(tmp_path, "failed") == set()
    lines = list(second.proven_answers)
    assert [line.key for line in lines] == ["a.jpg", "new/b.jpg"]
    assert lines[1] == replace(answer, key="new/b.jpg", artefacts=copied)


def test_a_copy_of_pictures_alone_names_its_own_pictures(tmp_path: Path) -> None:
    """The text that names picture files has the new names."""
    store = archiver(tmp_path)
    store.store(succeeded("a.jpg", "", picture()))
    store.put_copy(job("b.jpg"), only_answer(store))

    text = (tmp_path / "successful/b.jpg_result.txt").read_text(encoding="utf-8")
    assert text == "The answer has no text, only this picture: b.jpg_result.png\n"


def test_a_shifted_series_is_copied_through_the_history(tmp_path: Path) -> None:
    """1 becomes 2 while 2 becomes 3: what a copy replaces can itself still be copied."""
    first, second = archiver(tmp_path, 1), archiver(tmp_path, 2)
    first.store(succeeded("1.jpg", "one"))
    first.store(succeeded("2.jpg", "two"))
    one, two = first.proven_answers

    second.put_copy(job("2.jpg"), one, replaced=two.artefacts)
    second.put_copy(job("3.jpg"), replace(two, artefacts=second.find_in_history(two.artefacts)))

    texts = {name: data.decode().strip() for name, data in files(tmp_path, "successful").items()}
    assert texts == {
        f"successful/{key}_result.txt": text
        for key, text in [("1.jpg", "one"), ("2.jpg", "one"), ("3.jpg", "two")]
    }


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_a_damaged_answer_is_not_copied(tmp_path: Path, damage: str) -> None:
    """A stored answer that has changed is not copied: nothing is written, moved or returned."""
    store = archiver(tmp_path)
    store.store(succeeded("a.jpg", "text"))
    store.store(succeeded("b.jpg", "other"))
    answer, other = store.proven_answers
    path = tmp_path / answer.artefacts[0].path
    path.write_bytes(b"tex!\n") if damage == "changed" else path.unlink()
    before = files(tmp_path)

    assert store.put_copy(job("b.jpg"), answer, replaced=other.artefacts) == ()
    assert files(tmp_path) == before
    assert len(list(store.proven_answers)) == 2
