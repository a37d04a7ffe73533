"""Many photos with a restorer that is a plain function: what is written and said, and one bad photo among good ones."""

import os
import threading
from collections import defaultdict

import numpy as np
import pytest
from plain_restorer import as_restorer, digests_of, face, paths_of, photo, restorer, run

from revisage.batch import Options, collect, restore_files
from revisage.errors import CancelledError, DeviceError, InputError, OutputError
from revisage.images import read_image, read_photo, write_image
from revisage.jobs.collector import Kind
from revisage.jobs.ordered_prefetch import ordered_prefetch
from revisage.restore.controls import Controls
from revisage.restore.pipeline import Restorer
from revisage.types import FaceStatus, Restoration
from revisage.video.restore import restore_video


def test_outcome_counts_faces_and_says_why(tmp_path):
    faces = face(), face(), face(FaceStatus.TOO_SMALL, "eyes only 3.0 px apart"), face(FaceStatus.NOT_SELECTED)
    (outcome,) = run(tmp_path, [photo(tmp_path / "a.jpg")], *faces)
    assert (outcome.found, outcome.restored, outcome.error) == (4, 2, "")
    assert outcome.skipped == ("too small: eyes only 3.0 px apart", "not selected")
    assert read_image(outcome.target).shape == (12, 18, 3)


def test_one_bad_photo_does_not_stop_the_rest(tmp_path):
    (tmp_path / "bad.jpg").write_text("no")
    sources = [photo(tmp_path / "a.jpg"), tmp_path / "bad.jpg", tmp_path / "gone.jpg", photo(tmp_path / "b.jpg")]
    outcomes = run(tmp_path, sources)
    assert [bool(outcome.error) for outcome in outcomes] == [False, True, True, False]
    assert paths_of(tmp_path / "out") == ["a.jpg", "b.jpg"]


def test_photos_share_batches_and_the_bad_one_of_a_group_is_named(tmp_path):
    """Groups of three, in order; a group in which one photo fails is restored one by one."""
    seen = []

    def restore(image, controls):
        if image[0, 0, 0] == 90:
            raise RuntimeError("too odd")
        return Restoration(image, [])

    how = as_restorer(restore, batch=3)
    one_by_one = how.restore
    how.restore = lambda images, controls, **_: seen.append(len(images)) or one_by_one(images, controls)
    levels = (10, 20, 30, 40, 90, 50, 60)
    paths = [photo(tmp_path / f"{index}.png", level) for index, level in enumerate(levels)]
    outcomes = run(tmp_path, [*paths[:2], tmp_path / "gone.png", *paths[2:]], how=how)
    assert [outcome.path.name for outcome in outcomes] == [
        "0.png",
        "1.png",
        "gone.png",
        *(f"{n}.png" for n in range(2, 7)),
    ]
    assert [bool(outcome.error) for outcome in outcomes] == [False, False, True, False, False, True, False, False]
    assert "4.png: RuntimeError: too odd" in outcomes[5].error
    assert seen == [2, 3, 1, 1, 1, 2]
    assert all(read_image(one.target)[0, 0, 0] == level for one, level in zip(outcomes[3:5], levels[2:4], strict=True))


@pytest.mark.parametrize("error", [RuntimeError("two\nlines"), MemoryError(), DeviceError("gone"), KeyError("x")])
def test_any_error_of_the_restorer_is_one_line_with_the_path(tmp_path, error):
    def fail(image, controls):
        raise error

    path = photo(tmp_path / "a.jpg")
    (outcome,) = run(tmp_path, [path], how=as_restorer(fail))
    assert str(path) in outcome.error
    assert "\n" not in outcome.error
    assert outcome.target is None


def test_interrupt_is_not_an_error_of_a_photo(tmp_path):
    def interrupt(image, controls):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, [photo(tmp_path / "a.jpg")], how=as_restorer(interrupt))


def test_failed_face_makes_the_photo_an_error_but_is_written(tmp_path):
    faces = face(), face(FaceStatus.FAILED, "not finite")
    (outcome,) = run(tmp_path, [photo(tmp_path / "a.jpg")], *faces)
    assert "1 of 2 faces failed: not finite" in outcome.error
    assert outcome.target.exists()


def test_existing_result_is_kept_unless_overwritten(tmp_path):
    source = photo(tmp_path / "a.png")
    photo(tmp_path / "out" / "a.png")
    (kept,) = run(tmp_path, [source])
    assert kept.exists
    assert read_image(tmp_path / "out" / "a.png").max() == 100
    (replaced,) = run(tmp_path, [source], overwrite=True)
    assert not replaced.exists
    assert read_image(tmp_path / "out" / "a.png").max() == 255


def test_original_is_never_replaced(tmp_path):
    source = photo(tmp_path / "out" / "a.png")
    (outcome,) = run(tmp_path, [source], overwrite=True)
    assert "would replace an original" in outcome.error
    assert read_image(source).max() == 100


def test_saved_face_is_never_both_source_and_result(tmp_path):
    source = photo(tmp_path / "out" / "cropped_faces" / "a_00.png")
    (outcome,) = run(tmp_path, [source], face(), overwrite=True, save_faces=True)
    assert "lies among the results" in outcome.error


def test_faces_are_saved_as_the_classic_tool_lays_them_out(tmp_path):
    """But numbered by their places among all faces: the second of three was not restored."""
    faces = face(), face(FaceStatus.NOT_SELECTED), face(before=np.full((8, 8, 3), 60, np.uint8))
    run(tmp_path, [photo(tmp_path / "a.jpg")], *faces, save_faces=True, suffix="new")
    assert paths_of(tmp_path / "out") == [
        "cmp/a_00.png",
        "cmp/a_02.png",
        "cropped_faces/a_00.png",
        "cropped_faces/a_02.png",
        "restored_faces/a_00_new.png",
        "restored_faces/a_02_new.png",
        "restored_imgs/a_new.jpg",
    ]
    strip = read_image(tmp_path / "out" / "cmp" / "a_02.png")
    assert strip.shape == (8, 16, 3)
    assert (strip[:, :8] == 60).all()
    assert (strip[:, 8:] == 200).all()


def test_options_reach_the_restorer(tmp_path):
    seen = {}

    def restore(image, controls):
        seen["controls"] = controls
        return Restoration(image, [])

    chosen = Controls(scale=3.0, strength=0.25, aligned=True, only_center_face=True)
    run(tmp_path, [photo(tmp_path / "a.jpg")], how=as_restorer(restore), controls=chosen)
    assert seen["controls"] == chosen


def test_wrong_options_come_to_light_at_once(tmp_path):
    with pytest.raises(InputError, match="unknown format"):
        Options(output=tmp_path, format="gif")


@pytest.fixture
def noise(tmp_path):
    """A folder of 24 noisy photos of three kinds, the first ones much larger, and a damaged one."""
    rng = np.random.default_rng(0)
    for number in range(24):
        size = (300, 400, 3) if number < 4 else (30, 40, 3)
        path = tmp_path / "album" / f"{number:02d}.{('png', 'jpg', 'webp')[number % 3]}"
        write_image(path, rng.integers(0, 256, size, np.uint8))
    (tmp_path / "album" / "07b.jpg").write_text("no")
    return tmp_path / "album"


def brighter(image, controls):
    return Restoration(np.maximum(image, 20).repeat(2, 0), [face()])


def test_threads_change_no_byte_and_no_order(tmp_path, noise, monkeypatch):
    ways = {}

    def serial(function, items, passed, bytes_of, *, prompt=False):
        yield from (item if isinstance(item, passed) else function(item) for item in items)

    for name, how in (("threads", ordered_prefetch), ("serial", serial)):
        monkeypatch.setattr("revisage.batch.steps.ordered_prefetch", how)
        outcomes = run(
            tmp_path, collect([noise]), how=as_restorer(brighter), output=tmp_path / name, resume=True, save_faces=True
        )
        ways[name] = digests_of(tmp_path / name), [(outcome.path, bool(outcome.error)) for outcome in outcomes]
    assert ways["threads"] == ways["serial"]
    assert len(ways["serial"][0]) == 24 * 4


def test_reading_and_writing_go_on_while_the_network_works(tmp_path, monkeypatch):
    """No photo is restored before the next one is read, and before the last one is written."""
    levels = range(0, 100, 10)
    for level in levels:
        photo(tmp_path / "album" / f"{level:02d}.png", level)
    read, written = (defaultdict(threading.Event) for _ in range(2))

    def reading(path, **options):
        picture = read_photo(path, **options)
        read[int(path.stem)].set()
        return picture

    def writing(path, image, **options):
        left_out = write_image(path, image, **options)
        written[int(path.stem)].set()
        return left_out

    monkeypatch.setattr("revisage.batch.photos.read_photo", reading)
    monkeypatch.setattr("revisage.batch.steps.write_image", writing)

    def restore(image, controls):
        level = int(image[0, 0, 0])
        assert level == levels[-1] or read[level + 10].wait(20)
        assert level == levels[0] or written[level - 10].wait(20)
        return Restoration(image, [])

    outcomes = run(tmp_path, collect([tmp_path / "album"]), how=as_restorer(restore))
    assert [outcome.error for outcome in outcomes] == [""] * 10


def test_full_disk_stops_the_run(tmp_path, noise, monkeypatch):
    begun = []

    def full(*arguments, **options):
        begun.append(arguments)
        try:
            raise OSError(28, "No space left on device")
        except OSError as error:
            raise OutputError(f"cannot write {arguments[0]}: the disk is full") from error

    monkeypatch.setattr("revisage.batch.steps.write_image", full)
    with pytest.raises(OutputError, match=r"00\.png: the disk is full; stopped, free some space and run"):
        run(tmp_path, collect([noise]), resume=True)
    assert len(begun) < 20
    monkeypatch.undo()
    outcomes = run(tmp_path, collect([noise]), resume=True)
    assert sum(not outcome.error for outcome in outcomes) == 24


class TestProgress:
    def album(self, folder, number=3):
        for index in range(number):
            write_image(folder / "album" / f"{index}.png", np.zeros((8, 8, 3), np.uint8))
        return collect([folder / "album"])

    def test_a_callback_learns_what_is_done(self, tmp_path):
        seen = []
        options = Options(output=tmp_path / "out")
        list(restore_files(restorer(), list(self.album(tmp_path)), options, progress=lambda *at: seen.append(at)))
        assert seen == [(1, 3), (2, 3), (3, 3)]

    def test_a_callback_cancels_and_the_same_call_resumes(self, tmp_path):
        def cancel(done, total):
            raise CancelledError("enough")

        sources, options = self.album(tmp_path), Options(output=tmp_path / "out", resume=True)
        with pytest.raises(CancelledError, match="enough"):
            list(restore_files(restorer(), sources, options, progress=cancel))
        outcomes = list(restore_files(restorer(), sources, options))
        assert outcomes[0].up_to_date
        assert len(list((tmp_path / "out").glob("*.png"))) == 3
        assert not list((tmp_path / "out").glob(".*.png*"))


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
@pytest.mark.parametrize("name", ["pipe", "pipe.jpg", "pipe.mp4"])
def test_a_pipe_is_refused_and_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    photo(tmp_path / "a.png")
    sources = collect([tmp_path / name, tmp_path / "a.png"], tuple(Kind))
    made_by = Restorer("test", lambda _: [], lambda x: x, 64)
    options = Options(output=tmp_path / "out")
    outcomes = {one.path.name: one for one in restore_files(made_by, sources, options, restore_video)}
    assert outcomes["a.png"].target
    assert f"cannot read {tmp_path / name}: " in outcomes[name].error
