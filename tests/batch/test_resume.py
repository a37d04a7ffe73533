"""What the job store keeps from run to run, and what is restored again."""

import json
import os
import sqlite3
import sys

import numpy as np
import PIL.Image
import pytest
from PIL.PngImagePlugin import PngInfo
from plain_restorer import as_restorer, counting, digests_of, face, paths_of, photo, run

from revisage.batch import Entry, Options, Status, collect, read_entries, restore_files
from revisage.batch.options import settings_of
from revisage.errors import InputError, OutputError
from revisage.images import read_image
from revisage.jobs.store import open_store
from revisage.restore.controls import Controls
from revisage.restore.select import Selection
from revisage.types import FaceStatus


@pytest.fixture
def album(tmp_path):
    for level in (10, 20, 30):
        photo(tmp_path / "album" / f"{level}.png", level)
    return tmp_path / "album"


def restored(tmp_path, how=None, **options):
    """First pixels of the photos that are restored in a run over the album, and the outcomes."""
    restorer, seen = counting(how)
    return seen, run(tmp_path, collect([tmp_path / "album"]), how=restorer, **{"resume": True, **options})


def statuses(tmp_path):
    return {entry.target: entry.status for entry in read_entries(tmp_path / "out")}


def store_file(tmp_path):
    return tmp_path / "out" / ".revisage" / "jobs.sqlite"


def test_rows_say_what_became_of_each_photo(tmp_path, album):
    (album / "text.png").write_text("no")
    run(tmp_path, collect([album]), face(), face(FaceStatus.TOO_SMALL, "eyes only 3 px apart"), resume=True)
    rows = {entry.target: entry for entry in read_entries(tmp_path / "out")}
    assert list(rows) == ["10.png", "20.png", "30.png", "text.png"]
    good, bad = rows["10.png"], rows["text.png"]
    assert (good.source, good.status, json.loads(good.details)) == (
        "../album/10.png",
        Status.DONE,
        {"found": 2, "restored": 1},
    )
    assert good.reason == "too small: eyes only 3 px apart"
    assert good.seconds > 0
    assert good.result_size == (tmp_path / "out" / "10.png").stat().st_size
    assert bad.status == Status.FAILED
    assert "not an image" in bad.reason


@pytest.mark.usefixtures("album")
class TestSecondRun:
    def test_nothing_is_done_twice_or_even_opened(self, tmp_path, monkeypatch):
        assert restored(tmp_path)[0] == [10, 20, 30]
        monkeypatch.setattr("revisage.batch.photos.read_photo", None)
        monkeypatch.setattr("PIL.Image.open", None)
        seen, outcomes = restored(tmp_path)
        assert seen == []
        assert all(outcome.exists and outcome.up_to_date for outcome in outcomes)

    @pytest.mark.parametrize("changed", [{"controls": Controls(strength=0.5)}, {"made_with": "another background"}])
    def test_other_settings_do_all_again(self, tmp_path, changed):
        restored(tmp_path)
        assert restored(tmp_path, **changed)[0] == [10, 20, 30]
        assert restored(tmp_path, **changed)[0] == []

    def test_a_changed_photo_is_done_again(self, tmp_path, album):
        restored(tmp_path)
        photo(album / "20.png", 99)
        assert restored(tmp_path)[0] == [99]

    def test_a_result_that_is_gone_is_made_again(self, tmp_path):
        restored(tmp_path)
        (tmp_path / "out" / "20.png").unlink()
        assert restored(tmp_path)[0] == [20]

    def test_a_result_that_somebody_changed_is_left_alone(self, tmp_path):
        restored(tmp_path)
        photo(tmp_path / "out" / "20.png", 77)
        seen, outcomes = restored(tmp_path, controls=Controls(strength=0.5))
        assert seen == [10, 30]
        assert [outcome.exists for outcome in outcomes] == [False, True, False]
        assert read_image(tmp_path / "out" / "20.png").max() == 77

    def test_overwriting_takes_only_what_is_not_up_to_date(self, tmp_path):
        restored(tmp_path)
        photo(tmp_path / "out" / "20.png", 77)
        assert restored(tmp_path, overwrite=True)[0] == [20]

    def test_what_failed_is_tried_again(self, tmp_path):
        def fail(image, controls):
            raise RuntimeError("no luck")

        restored(tmp_path, as_restorer(fail, "plain"))
        assert statuses(tmp_path) == dict.fromkeys(("10.png", "20.png", "30.png"), Status.FAILED)
        assert restored(tmp_path)[0] == [10, 20, 30]
        assert statuses(tmp_path) == dict.fromkeys(("10.png", "20.png", "30.png"), Status.DONE)

    def test_a_photo_of_which_a_face_failed_is_tried_again(self, tmp_path, album):
        run(tmp_path, collect([album]), face(FaceStatus.FAILED, "not finite"), resume=True)
        assert restored(tmp_path)[0] == [10, 20, 30]

    def test_a_photo_that_cannot_be_read_any_more_keeps_its_result(self, tmp_path, album):
        restored(tmp_path)
        (album / "20.png").write_text("no")
        restored(tmp_path)
        assert paths_of(tmp_path / "out") == ["10.png", "20.png", "30.png"]
        photo(album / "20.png", 44)
        assert restored(tmp_path)[0] == [44]

    def test_a_folder_that_can_be_listed_again_has_failed_no_longer(self, tmp_path, album, monkeypatch):
        photo(album / "sub" / "40.png", 40)
        listing = os.scandir

        def refuse(path):
            if str(path).endswith("sub"):
                raise PermissionError(13, "Permission denied")
            return listing(path)

        monkeypatch.setattr("os.scandir", refuse)
        restored(tmp_path)
        assert Status.FAILED in statuses(tmp_path).values()
        monkeypatch.undo()
        restored(tmp_path)
        assert set(statuses(tmp_path).values()) == {Status.DONE}

    def test_results_of_others_are_noted_and_left(self, tmp_path):
        photo(tmp_path / "out" / "20.png", 77)
        assert restored(tmp_path)[0] == [10, 30]
        assert statuses(tmp_path)["20.png"] == Status.SKIPPED

    def test_without_a_store_what_exists_is_left(self, tmp_path):
        assert restored(tmp_path, resume=False)[0] == [10, 20, 30]
        seen, outcomes = restored(tmp_path, resume=False)
        assert seen == []
        assert not any(outcome.up_to_date for outcome in outcomes)
        assert not store_file(tmp_path).exists()


@pytest.mark.usefixtures("album")
class TestFile:
    def test_a_damaged_store_is_set_aside(self, tmp_path, caplog):
        restored(tmp_path)
        store_file(tmp_path).write_text("not a database at all" * 100)
        seen, outcomes = restored(tmp_path)
        assert seen == []
        assert all(outcome.exists for outcome in outcomes)
        assert [record.message.endswith("resuming by the results that exist") for record in caplog.records] == [True]
        assert len(list(store_file(tmp_path).parent.glob("damaged-*-jobs.sqlite"))) == 1

    def test_an_empty_store_is_begun_anew(self, tmp_path, caplog):
        store_file(tmp_path).parent.mkdir(parents=True)
        store_file(tmp_path).touch()
        assert restored(tmp_path)[0] == [10, 20, 30]
        assert not caplog.records

    def test_a_store_damaged_in_its_middle_is_set_aside(self, tmp_path, caplog):
        with open_store(tmp_path / "out", "restore", {}):
            pass
        with sqlite3.connect(store_file(tmp_path)) as database:
            database.execute("PRAGMA journal_mode = DELETE")
            database.executemany("INSERT INTO runs (settings) VALUES (?)", [["x" * 1000]] * 100)
        database.close()
        content = bytearray(store_file(tmp_path).read_bytes())
        content[40_000:60_000] = b"\xff" * 20_000
        store_file(tmp_path).write_bytes(content)
        assert restored(tmp_path)[0] == [10, 20, 30]
        assert len(caplog.records) == 1

    def test_a_second_run_at_the_same_time_is_refused(self, tmp_path):
        with (
            open_store(tmp_path / "out", "restore", {}),
            pytest.raises(OutputError, match="another run is at work there"),
        ):
            restored(tmp_path)
        assert restored(tmp_path)[0] == [10, 20, 30]

    def test_it_can_be_read_during_the_run(self, tmp_path, album):
        outcomes = restore_files(counting()[0], collect([album]), Options(output=tmp_path / "out", resume=True))
        next(outcomes)
        assert statuses(tmp_path)["10.png"] == Status.DONE
        outcomes.close()

    def test_a_file_system_without_a_write_ahead_log(self, tmp_path, monkeypatch):
        connect = sqlite3.connect

        class Plain(sqlite3.Connection):
            def execute(self, statement, *values):
                if "WAL" in statement:
                    raise sqlite3.OperationalError("disk I/O error")
                return super().execute(statement, *values)

        monkeypatch.setattr("sqlite3.connect", lambda *paths, **options: connect(*paths, **options, factory=Plain))
        assert restored(tmp_path)[0] == [10, 20, 30]
        assert restored(tmp_path)[0] == []

    def test_a_full_disk_is_one_line(self, tmp_path, monkeypatch):
        """A limit on its pages stands for the full disk: the row of some photo no longer fits."""
        connect = sqlite3.connect

        def small(*paths, **options):
            database = connect(*paths, **options)
            database.execute("PRAGMA max_page_count = 6")
            return database

        for level in range(40, 100):
            photo(tmp_path / "album" / f"{level}{'long name' * 20}.png", level)
        monkeypatch.setattr("sqlite3.connect", small)
        with pytest.raises(OutputError, match=r"^cannot write .*: the disk is full$"):
            restored(tmp_path)
        monkeypatch.undo()
        assert len(restored(tmp_path)[0]) > 30
        assert len(paths_of(tmp_path / "out")) == 63

    def test_no_store_is_an_input_error(self, tmp_path):
        with pytest.raises(InputError, match="no job store in"):
            next(read_entries(tmp_path))

    @pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes")
    def test_names_that_are_no_text(self, tmp_path, album):
        (album / "10.png").rename(os.fsdecode(os.fsencode(album) + b"/\xff\xfe.png"))
        assert sorted(restored(tmp_path)[0]) == [10, 20, 30]
        assert restored(tmp_path)[0] == []


class TestForeignRows:
    """Rows that say something was in the making, where half files are removed: only ever below the output folder."""

    def begin(self, tmp_path, *targets):
        """Half files and whole ones in two folders, and a job store by which a run ended while it made ``targets``."""
        for folder in ("out", "elsewhere"):
            photo(tmp_path / folder / "20.png", 77)
            photo(tmp_path / folder / ".revisage-20-0a1b2c3d.png", 7)
        (tmp_path / "out" / "restored_imgs").mkdir()
        with open_store(tmp_path / "out", "restore", {}) as store:
            for target in targets:
                row = {"key": target, "source": "../album/gone.png", "target": target}
                store.put(Entry(**row, run=store.run, status=Status.STARTED))

    @pytest.mark.usefixtures("album")
    @pytest.mark.parametrize(
        "target",
        ["../elsewhere/20.png", "restored_imgs/../../elsewhere/20.png", "{}/elsewhere/20.png", "link/20.png"],
        ids=["above", "in and out", "absolute", "link"],
    )
    @pytest.mark.parametrize("save_faces", [False, True])
    def test_folders_outside_are_left_alone(self, tmp_path, target, save_faces):
        self.begin(tmp_path, "20.png", target.format(tmp_path))
        (tmp_path / "out" / "link").symlink_to(tmp_path / "elsewhere")
        before = digests_of(tmp_path / "elsewhere")
        restored(tmp_path, save_faces=save_faces, overwrite=True)
        assert digests_of(tmp_path / "elsewhere") == before
        assert not (tmp_path / "out" / ".revisage-20-0a1b2c3d.png").exists()

    @pytest.mark.usefixtures("album")
    def test_folders_of_faces_that_lead_outside_are_left_alone(self, tmp_path):
        self.begin(tmp_path, "restored_imgs/20.png")
        (tmp_path / "out" / "cropped_faces").symlink_to(tmp_path / "elsewhere")
        before = digests_of(tmp_path / "elsewhere")
        restored(tmp_path, save_faces=True)
        assert digests_of(tmp_path / "elsewhere") == before


class TestSettings:
    def text(self, tmp_path, **controls):
        return settings_of("model", Options(output=tmp_path, controls=Controls(**controls)))

    def test_what_is_not_chosen_does_not_count(self, tmp_path):
        assert self.text(tmp_path, strength=1.0, selection=Selection()) == self.text(tmp_path)

    @pytest.mark.parametrize(
        "chosen",
        [{"scale": 4.0}, {"eyes": 0.5}, {"face_strengths": {0: 0.5}}, {"selection": Selection("largest")}],
        ids=lambda chosen: next(iter(chosen)),
    )
    def test_what_is_chosen_counts(self, tmp_path, chosen):
        assert self.text(tmp_path, **chosen) != self.text(tmp_path)
        text = self.text(tmp_path, **chosen)
        assert text == json.loads(json.dumps({str(kind): values for kind, values in text.items()}))

    def test_reference_photos_count_by_what_they_show(self, tmp_path):
        one, like, other = np.full(512, 0.031), np.full(512, 0.031 + 1e-7), np.full(512, 0.05)
        texts = [self.text(tmp_path, selection=Selection(reference=(vector,))) for vector in (one, like, other)]
        assert texts[0] == texts[1] != texts[2]

    def test_a_weight_file_counts_by_its_content(self, tmp_path):
        weights, options = tmp_path / "my.safetensors", Options(output=tmp_path)
        texts = set()
        for content in ("a", "bb"):
            weights.write_text(content)
            texts.add(json.dumps(settings_of(str(weights), options)))
        assert len(texts) == 2


def test_strict_fails_for_earlier_results_that_lack_something(tmp_path):
    photo(tmp_path / "album" / "whole.png", 10)
    texts = PngInfo()
    texts.add_text("Author", "somebody")
    PIL.Image.new("RGB", (16, 16), "red").save(tmp_path / "album" / "a.png", pnginfo=texts)
    first = restored(tmp_path, format="jpg")[1]
    again = restored(tmp_path, format="jpg")[1]
    strict = restored(tmp_path, format="jpg", strict=True)[1]
    assert [bool(one.left_out) for one in first] == [True, False]
    assert [one.left_out for one in again] == [one.left_out for one in first]
    assert all(one.up_to_date for one in again)
    assert "a.jpg lacks the texts of a PNG file (--strict)" in strict[0].error
    assert strict[1].up_to_date
    assert not restored(tmp_path, format="jpg")[1][0].error  # nothing was lost by asking
