"""What the page makes of a photo file, and what a session keeps."""

import asyncio
import zipfile

import numpy as np
import pytest
from stand_ins_of_serve import flat, restorer

from revisage import ImageError, InputError, read_image, write_image
from revisage.restore.controls import Controls, Selection
from revisage.serve.photos import Photo, Session
from revisage.serve.restored_file import Limits, restore_file

LIMITS = Limits(10**6, 10**6)


def restored(path, former=None, limits=LIMITS, detect=None, **controls):
    made = restorer() if detect is None else restorer(detect=detect)
    return restore_file(path, made, Controls(**controls), limits, former)


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo" / "Großmutter.jpeg"
    write_image(path, flat(50, (120, 100)))
    return path


class TestRestoredFile:
    def test_has_the_name_and_the_format_of_the_photo(self, photo):
        made = restored(photo, scale=2)
        assert made.path.name == "Großmutter_restored.jpeg"
        assert read_image(made.path).shape == (240, 200, 3)
        assert read_image(made.before).shape == read_image(made.after).shape == (240, 200, 3)

    def test_is_a_png_where_the_format_cannot_be_written(self, tmp_path):
        path = tmp_path / "a.gif"
        write_image(path, [flat(50), flat(90)])
        made = restored(path)
        assert made.path.name == "a_restored.png"
        assert "1 further frame" in made.left_out[0]

    def test_of_a_damaged_photo_shows_what_is_there_and_says_so(self, photo):
        photo.write_bytes(photo.read_bytes()[:-100])
        (warning,) = restored(photo).warnings
        assert warning.endswith("of its rows are missing")
        assert str(photo) not in warning

    def test_shows_each_face_before_and_after(self, photo):
        made = restored(photo)
        crops = read_image(made.crops[0]).astype(int)
        before, after = np.hsplit(crops, 2)
        middle = slice(40, 72)
        assert before[middle, middle].mean() == pytest.approx(50, abs=3)
        assert after[middle, middle].mean() == pytest.approx(205, abs=3)

    def test_does_not_detect_faces_again_unless_their_order_changes(self, photo):
        first = restored(photo)

        def fail(image):
            raise AssertionError

        assert len(restored(photo, first, detect=fail).faces) == 1
        with pytest.raises(AssertionError):
            restored(photo, first, detect=fail, selection=Selection(order="size"))

    def test_is_refused_above_the_limit_before_any_work(self, photo):
        with pytest.raises(InputError, match="choose a smaller scale"):
            restored(photo, limits=Limits(10**6, 10**4), scale=4)
        with pytest.raises(ImageError, match="pixels"):
            restored(photo, limits=Limits(1000, 10**6))
        assert [path.name for path in photo.parent.iterdir()] == [photo.name]


class TestSession:
    def test_each_has_a_folder_of_its_own_and_deletes_it(self, tmp_path, photo):
        ours, theirs = Session(tmp_path), Session(tmp_path)
        ours.add(photo)
        theirs.add(photo)
        ours.close()
        assert not ours.folder.exists()
        assert theirs.photos[0].source.read_bytes() == photo.read_bytes()

    def test_the_archive_holds_photos_of_the_same_name_side_by_side(self, tmp_path, photo):
        session = Session(tmp_path)
        for _ in range(2):
            session.add(photo)
            session.photos[-1].take(restored(session.photos[-1].source), "choices")
        session.pack()
        with zipfile.ZipFile(session.archive) as archive:
            assert archive.namelist() == ["Großmutter_restored.jpeg", "Großmutter_restored-2.jpeg"]

    def test_one_photo_needs_no_archive(self, tmp_path, photo):
        session = Session(tmp_path)
        session.add(photo)
        session.photos[0].take(restored(session.photos[0].source), "choices")
        session.pack()
        assert session.archive is None

    def test_a_new_run_cancels_the_one_before(self, tmp_path):
        session = Session(tmp_path)

        async def scenario():
            first = session.begin()
            waiting = asyncio.ensure_future(session.wait_for(asyncio.sleep(60)))
            await asyncio.sleep(0)
            second = session.begin()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            return session.is_current(first), session.is_current(second)

        assert asyncio.run(scenario()) == (False, True)

    def test_a_later_result_replaces_the_earlier_file(self, photo):
        kept = Photo(photo)
        kept.take(restored(photo), 1)
        former = kept.restored.path
        kept.take(restored(photo), 2)
        assert not former.exists()
        assert kept.restored.path.exists()

    def test_a_face_that_is_off_has_strength_0(self, photo):
        assert Photo(photo).face_strengths is None
        assert Photo(photo, {0: 0.5, 1: 0.7}, {1, 2}).face_strengths == {0: 0.5, 1: 0, 2: 0}
