"""Many photos at once, with a restorer that is a plain function: naming, finding, and one bad photo among good ones."""

import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from revisage.batch import Options, Source, collect, plan, restore_files
from revisage.controls import Controls
from revisage.errors import DeviceError, InputError
from revisage.files.images import read_image, write_image
from revisage.types import FaceStatus, Restoration, RestoredFace

BOX, LANDMARKS = np.zeros(4, np.float32), np.zeros((5, 2), np.float32)
BEFORE, AFTER = np.full((8, 8, 3), 50, np.uint8), np.full((8, 8, 3), 200, np.uint8)


def face(status=FaceStatus.RESTORED, reason="", before=BEFORE):
    done = status is FaceStatus.RESTORED
    return RestoredFace(BOX, LANDMARKS, 0.9, status, reason, before if done else None, AFTER if done else None)


def restorer(*faces):
    """A restorer that turns every photo white at twice the size and reports ``faces``."""

    def restore(image, controls):
        size = int(image.shape[0] * controls.scale), int(image.shape[1] * controls.scale), 3
        return Restoration(np.full(size, 255, image.dtype), list(faces))

    return as_restorer(restore)


def as_restorer(restore):
    """``restore(image, controls)`` for one picture, in the form of a restorer."""
    return SimpleNamespace(restore=lambda images, controls: [restore(image, controls) for image in images])


def photo(path: Path):
    write_image(path, np.full((6, 9, 3), 100, np.uint8))
    return path


def paths_of(folder: Path):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


class TestCollect:
    def test_folder_keeps_its_tree(self, tmp_path):
        for name in ("b.jpg", "a.PNG", "sub/deep/c.webp", "notes.txt", ".hidden.jpg", ".trash/d.jpg"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        found = [(source.path.name, str(source.below)) for source in collect([tmp_path])]
        assert found == [("a.PNG", "."), ("b.jpg", "."), ("c.webp", "sub/deep")]

    def test_file_is_taken_whatever_its_name(self, tmp_path):
        (tmp_path / "scan").touch()
        assert [source.path for source in collect([tmp_path / "scan"])] == [tmp_path / "scan"]

    def test_pattern(self, tmp_path):
        for name in ("a1.jpg", "a2.jpg", "a3.txt", "b.jpg"):
            (tmp_path / name).touch()
        assert [source.path.name for source in collect([f"{tmp_path}/a*"])] == ["a1.jpg", "a2.jpg"]

    def test_recursive_pattern(self, tmp_path):
        (tmp_path / "x" / "y").mkdir(parents=True)
        (tmp_path / "x" / "y" / "a.jpg").touch()
        assert [source.path.name for source in collect([f"{tmp_path}/**/*.jpg"])] == ["a.jpg"]

    def test_file_whose_name_looks_like_a_pattern(self, tmp_path):
        (tmp_path / "a[1].jpg").touch()
        assert [source.path.name for source in collect([f"{tmp_path}/a[1].jpg"])] == ["a[1].jpg"]

    def test_each_photo_once(self, tmp_path):
        (tmp_path / "a.jpg").touch()
        assert len(collect([tmp_path / "a.jpg", tmp_path, f"{tmp_path}/*.jpg"])) == 1

    def test_loop_of_links_ends(self, tmp_path):
        (tmp_path / "album").mkdir()
        (tmp_path / "album" / "a.jpg").touch()
        (tmp_path / "album" / "again").symlink_to(tmp_path / "album")
        assert len(collect([tmp_path / "album"])) == 1

    def test_earlier_results_are_no_sources(self, tmp_path):
        photo(tmp_path / "a.jpg")
        photo(tmp_path / "restored" / "a.jpg")
        assert [source.path.name for source in collect([tmp_path], leave_out=tmp_path / "restored")] == ["a.jpg"]
        assert len(collect([tmp_path / "restored"], leave_out=tmp_path / "restored")) == 1

    @pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
    def test_unreadable_folder(self, tmp_path):
        (tmp_path / "locked").mkdir(mode=0)
        photo(tmp_path / "a.jpg")
        assert [source.fault for source in collect([tmp_path])] == [
            "",
            f"cannot read {tmp_path / 'locked'}: Permission denied",
        ]

    def test_unreadable_folder_as_the_system_says_it(self, tmp_path, monkeypatch):
        locked = tmp_path / "locked"
        locked.mkdir()
        photo(tmp_path / "a.jpg")
        listing = Path.iterdir

        def refuse(self):
            if self == locked:
                raise PermissionError(13, "Permission denied", str(self))
            return listing(self)

        monkeypatch.setattr(Path, "iterdir", refuse)
        sources = collect([tmp_path])
        outcomes = list(restore_files(restorer(), sources, Options(output=tmp_path / "out")))
        assert [outcome.error for outcome in outcomes] == ["", f"cannot read {locked}: Permission denied"]
        assert paths_of(tmp_path / "out") == ["a.jpg"]

    @pytest.mark.parametrize("pattern", ["none.jpg", "*.jpg", "empty"])
    def test_nothing_there(self, tmp_path, pattern):
        (tmp_path / "empty").mkdir()
        with pytest.raises(InputError, match=r"nothing matches|no such file|no pictures"):
            collect([f"{tmp_path}/{pattern}"])


class TestPlan:
    def names(self, *paths, **options):
        sources = [Source(Path(path), Path(path).parent) for path in paths]
        return [str(job.target) for job in plan(sources, Options(output=Path("out"), **options))]

    def test_format_of_the_source(self):
        assert self.names("a.jpg", "b.TIF", "c.gif", "scan") == ["out/a.jpg", "out/b.TIF", "out/c.png", "out/scan.png"]

    def test_suffix_and_format(self):
        assert self.names("x/a.jpg", suffix="new", format="webp") == ["out/x/a_new.webp"]

    def test_same_stem_with_its_own_format_stays(self):
        assert self.names("a.jpg", "a.png") == ["out/a.jpg", "out/a.png"]

    def test_same_result_is_told_apart(self):
        assert self.names("a.jpg", "a.png", "A.webp", format="png") == ["out/a.png", "out/a-2.png", "out/A-3.png"]

    def test_the_number_is_not_taken_from_another_photo(self):
        assert self.names("a.jpg", "a.png", "a-2.jpg", format="png") == ["out/a.png", "out/a-3.png", "out/a-2.png"]

    def test_faces_need_stems_of_their_own(self):
        names = self.names("a.jpg", "a.png", save_faces=True)
        assert names == ["out/restored_imgs/a.jpg", "out/restored_imgs/a-2.png"]

    @pytest.mark.parametrize("options", [{"format": "gif"}, {"format": "exe"}, {"suffix": "../x"}, {"suffix": "a/b"}])
    def test_impossible_names(self, options):
        with pytest.raises(InputError):
            self.names("a.jpg", **options)

    stems = st.sampled_from(["a", "A", "a-2", "a-2-2", "b"])
    extensions = st.sampled_from([".jpg", ".png", ".gif", ".JPG", ""])

    @given(
        files=st.lists(st.tuples(st.sampled_from(["", "x"]), stems, extensions), max_size=12),
        form=st.sampled_from([None, "png"]),
        suffix=st.sampled_from(["", "new"]),
        save_faces=st.booleans(),
    )
    def test_no_two_photos_share_a_result(self, files, form, suffix, save_faces):
        sources = [Source(Path(below, stem + extension), Path(below)) for below, stem, extension in files]
        jobs = plan(sources, Options(output=Path("o"), format=form, suffix=suffix, save_faces=save_faces))
        assert len({str(job.target).casefold() for job in jobs}) == len(sources)
        assert not save_faces or len({str(job.stem).casefold() for job in jobs}) == len(sources)


class TestRestoreFiles:
    def run(self, tmp_path, sources, *faces, how=None, **options):
        options = Options(output=tmp_path / "out", **options)
        return list(restore_files(how or restorer(*faces), [Source(path) for path in sources], options))

    def test_outcome_counts_faces_and_says_why(self, tmp_path):
        faces = face(), face(), face(FaceStatus.TOO_SMALL, "eyes only 3.0 px apart"), face(FaceStatus.NOT_SELECTED)
        (outcome,) = self.run(tmp_path, [photo(tmp_path / "a.jpg")], *faces)
        assert (outcome.found, outcome.restored, outcome.error) == (4, 2, "")
        assert outcome.skipped == ("too small: eyes only 3.0 px apart", "not selected")
        assert read_image(outcome.target).shape == (12, 18, 3)

    def test_one_bad_photo_does_not_stop_the_rest(self, tmp_path):
        (tmp_path / "bad.jpg").write_text("no")
        sources = [photo(tmp_path / "a.jpg"), tmp_path / "bad.jpg", tmp_path / "gone.jpg", photo(tmp_path / "b.jpg")]
        outcomes = self.run(tmp_path, sources)
        assert [bool(outcome.error) for outcome in outcomes] == [False, True, True, False]
        assert paths_of(tmp_path / "out") == ["a.jpg", "b.jpg"]

    @pytest.mark.parametrize("error", [RuntimeError("two\nlines"), MemoryError(), DeviceError("gone"), KeyError("x")])
    def test_any_error_of_the_restorer_is_one_line_with_the_path(self, tmp_path, error):
        def fail(image, controls):
            raise error

        path = photo(tmp_path / "a.jpg")
        (outcome,) = self.run(tmp_path, [path], how=as_restorer(fail))
        assert str(path) in outcome.error
        assert "\n" not in outcome.error
        assert outcome.target is None

    def test_interrupt_is_not_an_error_of_a_photo(self, tmp_path):
        def interrupt(image, controls):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            self.run(tmp_path, [photo(tmp_path / "a.jpg")], how=as_restorer(interrupt))

    def test_failed_face_makes_the_photo_an_error_but_is_written(self, tmp_path):
        faces = face(), face(FaceStatus.FAILED, "not finite")
        (outcome,) = self.run(tmp_path, [photo(tmp_path / "a.jpg")], *faces)
        assert "1 of 2 faces failed: not finite" in outcome.error
        assert outcome.target.exists()

    def test_existing_result_is_kept_unless_overwritten(self, tmp_path):
        source = photo(tmp_path / "a.png")
        photo(tmp_path / "out" / "a.png")
        (kept,) = self.run(tmp_path, [source])
        assert kept.exists
        assert read_image(tmp_path / "out" / "a.png").max() == 100
        (replaced,) = self.run(tmp_path, [source], overwrite=True)
        assert not replaced.exists
        assert read_image(tmp_path / "out" / "a.png").max() == 255

    def test_original_is_never_replaced(self, tmp_path):
        source = photo(tmp_path / "out" / "a.png")
        (outcome,) = self.run(tmp_path, [source], overwrite=True)
        assert "would replace an original" in outcome.error
        assert read_image(source).max() == 100

    def test_saved_face_is_never_both_source_and_result(self, tmp_path):
        source = photo(tmp_path / "out" / "cropped_faces" / "a_00.png")
        (outcome,) = self.run(tmp_path, [source], face(), overwrite=True, save_faces=True)
        assert "lies among the results" in outcome.error

    def test_faces_are_saved_as_the_classic_tool_lays_them_out(self, tmp_path):
        faces = face(), face(FaceStatus.NOT_SELECTED), face(before=np.full((8, 8, 3), 60, np.uint8))
        self.run(tmp_path, [photo(tmp_path / "a.jpg")], *faces, save_faces=True, suffix="new")
        assert paths_of(tmp_path / "out") == [
            "cmp/a_00.png",
            "cmp/a_01.png",
            "cropped_faces/a_00.png",
            "cropped_faces/a_01.png",
            "restored_faces/a_00_new.png",
            "restored_faces/a_01_new.png",
            "restored_imgs/a_new.jpg",
        ]
        strip = read_image(tmp_path / "out" / "cmp" / "a_01.png")
        assert strip.shape == (8, 16, 3)
        assert (strip[:, :8] == 60).all()
        assert (strip[:, 8:] == 200).all()

    def test_options_reach_the_restorer(self, tmp_path):
        seen = {}

        def restore(image, controls):
            seen["controls"] = controls
            return Restoration(image, [])

        chosen = Controls(scale=3.0, strength=0.25, aligned=True, only_center_face=True)
        self.run(tmp_path, [photo(tmp_path / "a.jpg")], how=as_restorer(restore), controls=chosen)
        assert seen["controls"] == chosen

    def test_wrong_options_come_to_light_at_once(self, tmp_path):
        with pytest.raises(InputError, match="unknown format"):
            restore_files(restorer(), [Source(tmp_path / "a.jpg")], Options(output=tmp_path, format="gif"))
