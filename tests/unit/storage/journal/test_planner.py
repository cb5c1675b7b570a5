"""Rules of planner.py: a run sends exactly the images that are not answered yet."""

import os
from pathlib import Path

import pytest

from storage.journal.plan import Selection, TodoReason
from tests.support.journal_harness import START, World, a_job, deferred, run_info, sha256_of


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Four images in two folders, all answered in a first run."""
    world = World(tmp_path)
    for name in ("b.png", "d.png", "sub/b.png", "sub/e.png"):
        world.put(name, f"bytes of {name}".encode())
    assert len(world.play_run().calls) == 4
    return world


def _hash(path: Path) -> str:
    return sha256_of(path.read_bytes())


def test_nothing_new_costs_nothing(world: World) -> None:
    """A second run over the same images makes no call and reads no image."""
    played = world.play_run()

    assert (played.calls, played.copied, played.hashed) == ([], [], [])
    assert (played.plan.found, played.plan.answered, played.plan.todo) == (4, 4, 0)


@pytest.mark.parametrize("name", ["a.png", "c.png", "sub/c.png", "z.png"])
def test_one_more_image_anywhere_is_one_more_call(world: World, name: str) -> None:
    """Only the new image is sent, at any place in the order."""
    world.put(name, b"something new")

    played = world.play_run()

    assert (played.calls, played.hashed) == ([name], [])
    assert (played.plan.todo, played.plan.new, played.plan.answered) == (1, 1, 4)


@pytest.mark.parametrize("data", [b"bytes of X.png", b"of another size"], ids=["same-size", "other-size"])
def test_changed_bytes_under_the_same_name_are_one_call(world: World, data: bytes) -> None:
    """A changed image is sent again, and its earlier answer moves to the history."""
    earlier = world.result_of("b.png")
    world.put("b.png", data, mtime_s=1_700_000_001)

    played = world.play_run()

    assert (played.calls, played.hashed) == (["b.png"], ["b.png"] if len(data) == 14 else [])
    assert (played.plan.changed, played.plan.answered) == (1, 3)
    moved = next((world.output / "metadata/history").rglob("b.png_result.txt"))
    assert moved.read_text() == earlier
    assert world.result_of("b.png") != earlier
    assert world.play_run().calls == []


@pytest.mark.parametrize("target", ["new.png", "sub/deeper/b.png"])
def test_a_renamed_or_moved_image_costs_nothing(world: World, target: str) -> None:
    """The same bytes under a new name get a copy of their answer without a call."""
    earlier = world.result_of("b.png")
    (world.images / target).parent.mkdir(exist_ok=True)
    (world.images / "b.png").rename(world.images / target)

    played = world.play_run()

    assert (played.calls, played.copied) == ([], [target])
    assert (played.plan.copyable, played.plan.todo) == (1, 0)
    assert world.result_of(target) == earlier
    assert world.play_run().plan.answered == 4


def test_a_copy_costs_nothing(world: World) -> None:
    """The same bytes under a second name get a copy of their answer, however new the file is."""
    world.put("copy.png", b"bytes of b.png", mtime_s=1_800_000_000)

    played = world.play_run()

    assert (played.calls, played.copied, played.hashed) == ([], ["copy.png"], ["copy.png"])
    assert world.result_of("copy.png") == world.result_of("b.png")


def test_copies_within_one_night_are_one_call(tmp_path: Path) -> None:
    """An answer of the present run is copied for the same bytes under later names."""
    world = World(tmp_path)
    for name in ("a.png", "b.png", "c.png"):
        world.put(name, b"the same bytes")

    played = world.play_run()

    assert (played.calls, played.copied) == (["a.png"], ["b.png", "c.png"])


def test_a_shifted_series_costs_nothing(tmp_path: Path) -> None:
    """If every image takes the name of the next, every answer follows its bytes."""
    world = World(tmp_path)
    for number in range(6):
        world.put(f"{number}.png", f"bytes {number}".encode())
    world.play_run()
    answers = [world.result_of(f"{number}.png") for number in range(6)]
    for number in range(6):
        world.put(f"{number + 1}.png", f"bytes {number}".encode(), mtime_s=1_700_000_009)
    (world.images / "0.png").unlink()

    played = world.play_run()

    assert (played.calls, played.plan.copyable) == ([], 6)
    assert [world.result_of(f"{number + 1}.png") for number in range(6)] == answers
    assert world.play_run().plan.answered == 6


def test_two_images_that_swap_names_cost_nothing(tmp_path: Path) -> None:
    """Each of the two answers is copied to the other name, although each replaces the other."""
    world = World(tmp_path)
    world.put("a.png", b"one")
    world.put("b.png", b"two")
    world.play_run()
    answers = world.result_of("a.png"), world.result_of("b.png")
    world.put("a.png", b"two", mtime_s=1_700_000_009)
    world.put("b.png", b"one", mtime_s=1_700_000_009)

    played = world.play_run()

    assert played.calls == []
    assert (world.result_of("b.png"), world.result_of("a.png")) == answers


def test_touch_costs_nothing_and_is_hashed_once(world: World) -> None:
    """A new time on the same bytes makes no call, and the next run does not read the image again."""
    for path in world.images.rglob("*.png"):
        os.utime(path, (1_800_000_000, 1_800_000_000))

    touched, after = world.play_run(), world.play_run()

    assert (touched.calls, len(touched.hashed)) == ([], 4)
    assert (after.calls, after.hashed) == ([], [])


def test_changed_settings_ask_again_and_keep_the_earlier_answers(world: World) -> None:
    """With another prompt all images are sent, and no earlier answer is overwritten."""
    earlier = world.result_of("sub/b.png")

    played = world.play_run(prompt="another")

    assert len(played.calls) == 4
    assert played.plan.reasons == {TodoReason.SETTINGS: 4}
    moved = next((world.output / "metadata/history").rglob("sub/b.png_result.txt"))
    assert moved.read_text() == earlier


def test_going_back_to_earlier_settings_costs_nothing(world: World) -> None:
    """Answers in the history are copied when the earlier prompt comes back."""
    earlier = world.result_of("d.png")
    world.play_run(prompt="another")

    played = world.play_run()

    assert (played.calls, played.plan.copyable) == ([], 4)
    assert world.result_of("d.png") == earlier


@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_an_answer_that_no_longer_stands_is_asked_for_again(world: World, damage: str) -> None:
    """A result that was deleted or cut short does not count as done."""
    result = world.output / "successful/d.png_result.txt"
    if damage == "gone":
        result.unlink()
    else:
        result.write_bytes(result.read_bytes()[:-1])

    played = world.play_run()

    assert played.calls == ["d.png"]
    assert played.plan.reasons == {TodoReason.LOST: 1}


def test_a_lost_answer_is_copied_where_the_same_bytes_are_answered(world: World) -> None:
    """A deleted result whose bytes are answered under another name costs no call."""
    world.put("twin.png", b"bytes of d.png")
    world.play_run()
    (world.output / "successful/d.png_result.txt").unlink()

    played = world.play_run()

    assert (played.calls, played.copied) == ([], ["d.png"])


def test_a_copy_whose_source_vanished_is_asked_about_after_all(world: World) -> None:
    """If the tree changes between the plan and the copy, the image becomes a job."""
    world.put("twin.png", b"bytes of d.png")
    with world.open(run_info(9)) as journal:
        assert journal.plan(world.find_images(), selection=Selection(), hash_file=_hash).copyable == 1
        (world.output / "successful/d.png_result.txt").unlink()

        assert list(journal.copies()) == []
        assert [job.key for job in journal.jobs()] == ["twin.png"]


def test_an_image_that_cannot_be_hashed_is_left_to_the_run(world: World) -> None:
    """A file that vanishes or cannot be read while the plan is made is to do; the run says what is wrong."""

    def hash_file(path: Path) -> str:
        raise PermissionError(path)

    world.put("b.png", b"bytes of X.png", mtime_s=1_800_000_000)
    with world.open(run_info(9)) as journal:
        plan = journal.plan(world.find_images(), selection=Selection(), hash_file=hash_file)

        assert plan.todo == 1
        assert [job.key for job in journal.jobs()] == ["b.png"]


def test_jobs_keep_names_that_are_not_utf8(tmp_path: Path) -> None:
    """A path goes through the plan byte for byte, and a time stamp beyond 64 bits does no harm."""
    world = World(tmp_path)
    path = Path(os.fsdecode(b"/images/caf\xe9\xff.png"))
    odd = a_job("caf.png", path=path, mtime_ns=2**64)
    with world.open(run_info()) as journal:
        journal.plan([odd], selection=Selection(), hash_file=lambda _: "")
        (job,) = journal.jobs()
        journal.record_one(deferred(odd), (), finished_at=START)

    assert job.path == path
    assert os.fsencode(job.path) == b"/images/caf\xe9\xff.png"


def test_a_new_plan_replaces_the_old_one(world: World) -> None:
    """Planning twice in one run does not add the lists up."""
    world.put("new.png", b"new")
    with world.open(run_info(9)) as journal:
        for _ in range(2):
            journal.plan(world.find_images(), selection=Selection(), hash_file=lambda _: "")

        assert [job.key for job in journal.jobs()] == ["new.png"]
