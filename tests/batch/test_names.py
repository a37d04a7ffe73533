"""What the results are called: apart from one another, and the same in every run."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plain_restorer import UNCHANGED, paths_of, photo, run

from revisage.batch import Options, Source, collect, plan
from revisage.errors import InputError
from revisage.images import read_image
from revisage.jobs.store import open_store


def jobs_of(paths, **options):
    """The plan for files, each in the folder of results that it has itself."""
    options = Options(output=Path("out"), **options)
    with open_store(options.output, "restore", {}, keep=False) as store:
        return list(plan([Source(Path(path), Path(path).parent) for path in paths], options, store))


def names(*paths, **options):
    return [str(job.target) for job in jobs_of(paths, **options)]


def test_format_of_the_source():
    assert names("a.jpg", "b.TIF", "c.gif", "scan") == ["out/a.jpg", "out/b.TIF", "out/c.png", "out/scan.png"]


def test_suffix_and_format():
    assert names("x/a.jpg", suffix="new", format="webp") == ["out/x/a_new.webp"]


def test_same_stem_with_its_own_format_stays():
    assert names("a.jpg", "a.png") == ["out/a.jpg", "out/a.png"]


def test_same_result_is_told_apart():
    assert names("a.jpg", "a.png", "A.webp", format="png") == ["out/a.png", "out/a-2.png", "out/A-3.png"]


def test_the_number_is_not_taken_from_another_photo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "a.png", "a-2.jpg"):
        Path(name).touch()
    assert names("a.jpg", "a.png", "a-2.jpg", format="png") == ["out/a.png", "out/a-3.png", "out/a-2.png"]


def test_faces_need_stems_of_their_own():
    assert names("a.jpg", "a.png", save_faces=True) == ["out/restored_imgs/a.jpg", "out/restored_imgs/a-2.png"]


def test_planning_touches_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names("a.jpg")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("options", [{"format": "gif"}, {"format": "exe"}, {"suffix": "../x"}, {"suffix": "a/b"}])
def test_impossible_names(options):
    with pytest.raises(InputError):
        Options(output=Path("out"), **options)


@given(
    files=st.lists(
        st.tuples(
            st.sampled_from(["", "x"]),
            st.sampled_from(["a", "A", "a-2", "a-2-2", "b"]),
            st.sampled_from([".jpg", ".png", ".gif", ".JPG", ""]),
        ),
        max_size=12,
    ),
    form=st.sampled_from([None, "png"]),
    suffix=st.sampled_from(["", "new"]),
    save_faces=st.booleans(),
)
def test_no_two_photos_share_a_result(files, form, suffix, save_faces):
    paths = [Path(below, stem + extension) for below, stem, extension in files]
    jobs = jobs_of(paths, format=form, suffix=suffix, save_faces=save_faces)
    assert len({str(job.target).casefold() for job in jobs}) == len(paths)
    assert not save_faces or len({job.output_stem.casefold() for job in jobs}) == len(paths)


class TestFromRunToRun:
    """Results of a folder of photos that gets more of them. A photo's level of gray tells whose result a file is."""

    @pytest.fixture
    def album(self, tmp_path):
        photo(tmp_path / "album" / "b.jpg", 10)
        photo(tmp_path / "album" / "b.png", 20)
        return tmp_path / "album"

    def restore(self, album):
        run(album.parent, collect([album]), how=UNCHANGED, resume=True, format="png")
        out = album.parent / "out"
        return {name: int(read_image(out / name)[0, 0, 0]) for name in paths_of(out)}

    def test_names_stay_when_photos_come_before(self, album):
        assert self.restore(album) == {"b.png": 10, "b-2.png": 20}
        photo(album / "B.gif.png", 30)
        photo(album / "b.avif", 40)
        assert self.restore(album) == {"b.png": 10, "b-2.png": 20, "b-3.png": 40, "B.gif.png": 30}

    def test_results_that_exist_give_no_other_names(self, album):
        first = self.restore(album)
        assert self.restore(album) == first

    def test_photos_and_results_can_move_together(self, tmp_path, album):
        first = self.restore(album)
        (tmp_path / "elsewhere").mkdir()
        for folder in ("album", "out"):
            (tmp_path / folder).rename(tmp_path / "elsewhere" / folder)
        moved = collect([tmp_path / "elsewhere" / "album"])
        outcomes = run(tmp_path / "elsewhere", moved, how=UNCHANGED, resume=True, format="png")
        assert all(outcome.up_to_date for outcome in outcomes)
        assert paths_of(tmp_path / "elsewhere" / "out") == sorted(first)

    def test_photos_under_another_path_keep_their_results(self, tmp_path, album):
        first = self.restore(album)
        (tmp_path / "link").symlink_to(album)
        run(tmp_path, collect([tmp_path / "link"]), resume=True, format="png")
        assert paths_of(tmp_path / "out") == sorted(first)

    def test_photos_that_moved_alone_keep_their_results(self, tmp_path, album):
        first = self.restore(album)
        album.rename(tmp_path / "moved")
        outcomes = run(tmp_path, collect([tmp_path / "moved"]), resume=True, format="png")
        assert [outcome.exists for outcome in outcomes] == [True, True]
        assert paths_of(tmp_path / "out") == sorted(first)

    def test_two_folders_into_one(self, tmp_path, album):
        photo(tmp_path / "other" / "b.png", 50)
        for _ in range(2):
            run(tmp_path, collect([album, tmp_path / "other"]), resume=True)
            assert paths_of(tmp_path / "out") == ["b-2.png", "b.jpg", "b.png"]
