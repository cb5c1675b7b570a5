"""Rules of what a plan repeats: by default, on request, and in a dry run."""

from pathlib import Path

import pytest

from errors import ErrorKind
from storage.journal.plan import Selection, TodoReason
from tests.support.journal_harness import START, World, failed, run_info, sha256_of


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


def test_an_answer_in_its_place_is_preferred_to_one_in_the_history(world: World) -> None:
    """After a forced run the history has an answer with the same settings; the new one is used."""
    world.play_run(selection=Selection(force=True))

    with world.open(run_info(9)) as journal:
        answer = journal.find_answer(sha256_of(b"bytes of b.png"))

    assert answer
    assert answer.artefacts[0].path == "successful/b.png_result.txt"


def test_force_asks_about_everything_again(world: World) -> None:
    """``force`` takes no earlier answer for any image, but still sends the same bytes only once."""
    world.put("twin.png", b"bytes of b.png")

    played = world.play_run(selection=Selection(force=True))

    assert played.calls == ["b.png", "d.png", "sub/b.png", "sub/e.png"]
    assert played.plan.reasons == {TodoReason.FORCED: 5}
    assert world.play_run().calls == []


@pytest.mark.parametrize("kind", ErrorKind)
def test_which_failures_are_tried_again(world: World, kind: ErrorKind) -> None:
    """By default only transient failures are sent again; with ``retry_failed`` all are."""
    transient = {ErrorKind.RATE_LIMITED, ErrorKind.SERVER, ErrorKind.NETWORK, ErrorKind.TIMEOUT}
    transient.add(ErrorKind.FILE_UNAVAILABLE)
    world.put("bad.png", b"bad")
    world.endings["bad.png"] = kind
    world.play_run()

    by_default = world.play_run()
    insisting = world.play_run(selection=Selection(retry_failed=True))

    assert by_default.calls == (["bad.png"] if kind in transient else [])
    assert by_default.plan.known_failures == ({} if kind in transient else {kind: 1})
    assert insisting.calls == ["bad.png"]


def test_a_deferred_image_is_done_the_next_night(world: World) -> None:
    """A ``Deferred`` image is still to do."""
    world.put("late.png", b"late")
    world.endings["late.png"] = "deferred"
    world.play_run()
    del world.endings["late.png"]

    played = world.play_run()

    assert played.calls == ["late.png"]
    assert played.plan.reasons == {TodoReason.AGAIN: 1}


@pytest.mark.parametrize("how", ["bytes", "settings"])
def test_a_known_failure_is_tried_again_when_something_changed(world: World, how: str) -> None:
    """A permanent failure holds for its bytes and its settings; with others the image is to do."""
    world.put("bad.png", b"bad")
    world.endings["bad.png"] = ErrorKind.INVALID_REQUEST
    world.play_run()
    if how == "bytes":
        world.put("bad.png", b"mended", mtime_s=1_800_000_000)

    played = world.play_run(prompt="another" if how == "settings" else "describe")

    assert "bad.png" in played.calls


def test_a_touched_known_failure_is_still_known(world: World) -> None:
    """A new time on the bytes that failed: hashed once, never sent."""
    world.put("bad.png", b"bad")
    world.endings["bad.png"] = ErrorKind.BLOCKED
    world.play_run()
    world.put("bad.png", b"bad", mtime_s=1_800_000_000)

    touched, after = world.play_run(), world.play_run()

    assert (touched.calls, touched.hashed) == ([], ["bad.png"])
    assert (after.calls, after.hashed) == ([], [])


def test_only_takes_the_named_classes_and_nothing_else(world: World) -> None:
    """``only`` selects failures of these kinds, of any settings, and no new images."""
    for name, kind in [
        ("x.png", ErrorKind.BLOCKED),
        ("y.png", ErrorKind.TIMEOUT),
        ("z.png", ErrorKind.EMPTY),
    ]:
        world.put(name, name.encode())
        world.endings[name] = kind
    world.play_run()
    world.put("new.png", b"new")

    played = world.play_run(
        prompt="milder", selection=Selection(only=frozenset({ErrorKind.BLOCKED, ErrorKind.TIMEOUT}))
    )

    assert played.calls == ["x.png", "y.png"]
    assert (played.plan.todo, played.plan.not_selected, played.plan.found) == (2, 6, 8)


def test_an_answer_that_stands_outweighs_a_later_failure(world: World) -> None:
    """If a forced try fails and the answer was left in place, the image is answered, not failed."""
    job = next(job for job in world.find_images() if job.key == "b.png")
    run = run_info(9)
    with world.open(run) as journal:
        journal.record_one(failed(job, ErrorKind.BLOCKED, data=b"bytes of b.png"), (), finished_at=START)

    played = world.play_run()

    assert (played.calls, played.plan.answered) == ([], 4)
    with world.open(run) as journal:
        assert journal.tree_counts().real.failed == {}


def test_a_dry_run_never_counts_as_done(tmp_path: Path) -> None:
    """After a dry run every image is still to do; after the real one a dry run has nothing to do."""
    world = World(tmp_path)
    world.put("a.png", b"a")

    dry, dry_again = world.play_run(dry_run=True), world.play_run(dry_run=True)
    real, dry_after = world.play_run(), world.play_run(dry_run=True)

    assert (dry.calls, dry_again.calls, real.calls) == (["a.png"], ["a.png"], ["a.png"])
    assert (dry_after.calls, dry_after.plan.answered) == ([], 1)


def test_a_dry_run_neither_replaces_nor_copies_real_answers(world: World) -> None:
    """Under other settings a dry run plays all images; the real answers stay in the journal."""
    world.put("copy.png", b"bytes of b.png")
    with world.open(run_info(7, dry_run=True)) as journal:
        assert journal.plan(world.find_images(), selection=Selection(), hash_file=_hash).copyable == 1
        assert list(journal.copies()) == []
        assert list(journal.jobs()) == []
        assert journal.find_answer(sha256_of(b"bytes of b.png")) is None

    with world.open(run_info(8, prompt="another", dry_run=True)) as journal:
        job = next(world.find_images())
        assert journal.find_replaced(job.key) == ()
        journal.record_one(world.succeeded(job, "another"), (), finished_at=START)
        assert journal.tree_counts().dry.succeeded == 0

    assert world.play_run().calls == []
