"""Videos in folders: names, resuming and refusals are those of photos. They are restored by a stand-in."""

import os
import shutil

import pytest
from plain_restorer import counting, digests_of, paths_of, photo, restorer

from revisage.batch import Kind, Options, Outcome, Status, check_files, collect, read_entries, restore_files
from revisage.errors import CancelledError, InputError, OutputError
from revisage.restore.controls import Controls


@pytest.fixture
def album(tmp_path):
    photo(tmp_path / "album" / "a.png", 10)
    for name in ("a.mp4", "a.avi", "a.mkv", "sub/b.MOV"):
        (tmp_path / "album" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "album" / name).write_text(name)
    return tmp_path / "album"


class Videos:
    """Restores videos by copying them; remembers what it was asked for."""

    def __init__(self):
        self.seen = []

    def __call__(self, _, source, target, controls, *, overwrite):
        self.seen.append((source.name, controls.scale, overwrite))
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        return Outcome(source, target, found=9, restored=8, frames=3, tracks=2, warnings=("sound is not copied",))


def run(tmp_path, album, how=None, **options):
    how = how or Videos()
    options = Options(**{"output": tmp_path / "out", "resume": True, **options})
    outcomes = list(restore_files(counting()[0], collect([album], tuple(Kind)), options, how))
    return how, outcomes


def test_photos_come_first_and_equal_names_are_numbered(tmp_path, album):
    how, outcomes = run(tmp_path, album)
    assert [outcome.path.name for outcome in outcomes] == ["a.png", "a.avi", "a.mkv", "a.mp4", "b.MOV"]
    assert [outcome.error for outcome in outcomes] == [""] * 5
    assert paths_of(tmp_path / "out") == ["a-2.mkv", "a.mkv", "a.mp4", "a.png", "sub/b.MOV"]
    assert {scale for _, scale, _ in how.seen} == {1.0}
    rows = {row.target: row for row in read_entries(tmp_path / "out")}
    assert (rows["a.mp4"].status, rows["a.mp4"].reason) == (Status.DONE, "sound is not copied")
    assert rows["a.mp4"].details == '{"found": 9, "restored": 8, "frames": 3, "tracks": 2}'


def test_a_second_run_restores_what_has_changed(tmp_path, album):
    run(tmp_path, album)
    assert run(tmp_path, album)[0].seen == []
    (album / "a.mp4").write_text("another")
    (tmp_path / "out" / "a.mkv").unlink()
    assert run(tmp_path, album)[0].seen == [("a.avi", 1.0, False), ("a.mp4", 1.0, True)]


def test_the_scale_of_videos_concerns_no_photo(tmp_path, album):
    run(tmp_path, album)
    how, outcomes = run(tmp_path, album, video_scale=2.0)
    assert len(how.seen) == 4
    assert outcomes[0].up_to_date


def test_options_act_on_videos(tmp_path, album):
    for name in ("a.avi", "a.mkv", "sub/b.MOV"):
        (album / name).unlink()
    os.utime(album / "a.mp4", (981_173_106, 981_173_106))
    _, outcomes = run(tmp_path, album, suffix="new", format="mkv", preserve_mtime=True)
    assert paths_of(tmp_path / "out") == ["a_new.mkv", "a_new.png"]
    assert outcomes[1].target.stat().st_mtime == 981_173_106


def test_existing_results_are_skipped(tmp_path, album):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.mp4").write_text("mine")
    how, _ = run(tmp_path, album)
    assert "a.mp4" not in {name for name, *_ in how.seen}
    how, _ = run(tmp_path, album, overwrite=True)
    assert how.seen == [("a.mp4", 1.0, True)]


def test_originals_are_never_replaced(tmp_path, album):
    """But for a.mkv, whose result is called otherwise, all would be: a.avi's result is called like an original."""
    before = digests_of(album)
    how, outcomes = run(tmp_path, album, output=album, overwrite=True)
    assert sum("would replace an original" in outcome.error for outcome in outcomes) == 4
    assert [name for name, *_ in how.seen] == ["a.mkv"]
    assert digests_of(album) == before | {"a-2.mkv": before["a.mkv"]}


def test_saving_faces_is_refused(tmp_path, album):
    how, outcomes = run(tmp_path, album, save_faces=True)
    assert how.seen == []
    assert sum("restore videos without --save-faces" in outcome.error for outcome in outcomes) == 4


@pytest.mark.parametrize("error", [InputError("videos need PyAV"), RuntimeError("x"), None])
def test_one_bad_video_does_not_stop_the_rest(tmp_path, album, error):
    class Failing(Videos):
        def __call__(self, _, source, target, controls, *, overwrite):
            if source.name == "a.avi":
                raise error
            return super().__call__(_, source, target, controls, overwrite=overwrite)

    if error is None:  # no function was given
        options = Options(output=tmp_path / "out", controls=Controls(scale=1))
        outcomes = list(restore_files(restorer(), collect([album], tuple(Kind)), options))
        assert [bool(outcome.error) for outcome in outcomes] == [False, True, True, True, True]
        return
    _, outcomes = run(tmp_path, album, Failing())
    assert [bool(outcome.error) for outcome in outcomes] == [False, True, False, False, False]
    assert str(album / "a.avi") in outcomes[1].error
    assert run(tmp_path, album)[0].seen == [("a.avi", 1.0, False)]


def test_an_interrupted_video_is_in_progress_and_resumed(tmp_path, album):
    class Interrupted(Videos):
        def __call__(self, _, source, target, controls, *, overwrite):
            if source.name == "a.mkv":
                raise KeyboardInterrupt
            return super().__call__(_, source, target, controls, overwrite=overwrite)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, album, Interrupted())
    started = [row.source for row in read_entries(tmp_path / "out") if row.status == Status.STARTED]
    assert started == ["../album/a.mkv", "../album/a.mp4", "../album/sub/b.MOV"]
    assert [name for name, *_ in run(tmp_path, album)[0].seen] == ["a.mkv", "a.mp4", "b.MOV"]


def test_a_full_disk_stops_the_run(tmp_path, album):
    def full(_, source, target, controls, *, overwrite):
        try:
            raise OSError(28, "No space left on device")
        except OSError as error:
            raise OutputError(f"cannot write {target}: the disk is full") from error

    with pytest.raises(OutputError, match="the disk is full; stopped"):
        run(tmp_path, album, full)


def test_a_check_says_what_a_run_would_do_and_writes_nothing(tmp_path, album):
    run(tmp_path, album)
    (tmp_path / "out" / "a.mp4").unlink()
    (album / "c.mkv").write_text("bad")
    before = digests_of(tmp_path / "out")

    def check(source, target, controls):
        assert controls.scale == (1 if source.kind is Kind.VIDEO else 2)
        if source.path.name == "c.mkv":
            raise OutputError(f"cannot write {target}: it is full")
        return ("transparency",)

    options = Options(output=tmp_path / "out", resume=True)
    outcomes = {one.path.name: one for one in check_files(restorer(), collect([album], tuple(Kind)), options, check)}
    assert [name for name, one in outcomes.items() if one.up_to_date] == ["a.avi", "a.mkv", "a.png", "b.MOV"]
    assert outcomes["a.mp4"].left_out == ("transparency",)
    assert outcomes["c.mkv"].error.endswith("c.mkv: it is full")
    assert digests_of(tmp_path / "out") == before


def test_a_cancelled_video_ends_the_run_and_is_resumed(tmp_path, album):
    def cancelling(_, source, target, controls, *, overwrite):
        raise CancelledError

    with pytest.raises(CancelledError):
        run(tmp_path, album, cancelling)
    assert paths_of(tmp_path / "out") == ["a.png"]
    how, outcomes = run(tmp_path, album)
    assert len(how.seen) == 4
    assert outcomes[0].up_to_date


@pytest.mark.parametrize(
    ("head", "extension"),
    [
        (b"\0\0\0\x14ftypqt  ", "mov"),
        (b"\0\0\0\x20ftypisom", "mp4"),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm", "webm"),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x88matroska", "mkv"),
        (b"RIFF\0\0\0\0AVI ", "mkv"),
    ],
)
def test_a_video_whose_name_says_nothing_keeps_its_format(tmp_path, head, extension):
    for name in ("clip", "clip.dat"):
        (tmp_path / name).write_bytes(head)
        options = Options(output=tmp_path / "out" / name)
        (outcome,) = restore_files(counting()[0], collect([tmp_path / name], tuple(Kind)), options, Videos())
        assert outcome.target.name == f"clip.{extension}"
