"""Which photos files, folders and patterns stand for."""

import os
import tracemalloc

import pytest
from plain_restorer import paths_of, photo, run

from revisage.errors import InputError
from revisage.jobs.collector import Kind, collect, count_unreadable


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def names_of(sources):
    return [source.path.name for source in sources]


def test_folder_keeps_its_tree(tmp_path):
    touch(tmp_path, "b.jpg", "a.PNG", "sub/deep/c.webp", "notes.txt", ".hidden.jpg", ".trash/d.jpg")
    found = [(source.path.name, str(source.below)) for source in collect([tmp_path])]
    assert found == [("a.PNG", "."), ("b.jpg", "."), ("c.webp", "sub/deep")]


def test_file_is_taken_whatever_its_name(tmp_path):
    touch(tmp_path, "scan")
    assert [source.path for source in collect([tmp_path / "scan"])] == [tmp_path / "scan"]


def test_pattern(tmp_path):
    touch(tmp_path, "a1.jpg", "a2.jpg", "a3.txt", "b.jpg")
    assert names_of(collect([f"{tmp_path}/a*"])) == ["a1.jpg", "a2.jpg"]


def test_recursive_pattern(tmp_path):
    touch(tmp_path, "x/y/a.jpg")
    assert names_of(collect([f"{tmp_path}/**/*.jpg"])) == ["a.jpg"]


def test_file_whose_name_looks_like_a_pattern(tmp_path):
    touch(tmp_path, "a[1].jpg")
    assert names_of(collect([f"{tmp_path}/a[1].jpg"])) == ["a[1].jpg"]


def test_folders_and_patterns_are_many_photos_and_files_are_not(tmp_path):
    touch(tmp_path, "a.jpg")
    asked = [tmp_path / "a.jpg"], [tmp_path], [f"{tmp_path}/*.jpg"]
    assert [collect(paths).many for paths in asked] == [False, True, True]


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0), (1, 2, 0)])
def test_each_photo_once(tmp_path, order):
    touch(tmp_path, "x/a.jpg")
    asked = tmp_path / "x" / "a.jpg", tmp_path, f"{tmp_path}/x/*.jpg"
    assert names_of(collect([asked[place] for place in order])) == ["a.jpg"]


def test_folder_below_another_is_searched_once(tmp_path):
    touch(tmp_path, "a.jpg", "x/b.jpg", "x/y/c.jpg")
    assert names_of(collect([tmp_path / "x", tmp_path])) == ["b.jpg", "c.jpg", "a.jpg"]
    assert names_of(collect([tmp_path, tmp_path / "x"])) == ["a.jpg", "b.jpg", "c.jpg"]


def test_hidden_photo_in_a_searched_folder_counts_where_it_is_named(tmp_path):
    touch(tmp_path, "a.jpg", ".trash/b.jpg")
    assert names_of(collect([tmp_path, tmp_path / ".trash" / "b.jpg"])) == ["a.jpg", "b.jpg"]


def test_loop_of_links_ends(tmp_path):
    touch(tmp_path, "album/a.jpg")
    (tmp_path / "album" / "again").symlink_to(tmp_path / "album")
    assert names_of(collect([tmp_path / "album"])) == ["a.jpg"]


def test_link_to_a_photo_that_is_found_anyway_is_left_out(tmp_path):
    touch(tmp_path, "album/sub/z.jpg", "elsewhere/e.jpg", "album/.hidden/h.jpg")
    for name, target in {"a": "album/sub/z.jpg", "b": "elsewhere/e.jpg", "c": "album/.hidden/h.jpg", "d": "no"}.items():
        (tmp_path / "album" / f"{name}.jpg").symlink_to(tmp_path / target)
    assert names_of(collect([tmp_path / "album"])) == ["b.jpg", "c.jpg", "d.jpg", "z.jpg"]


def test_earlier_results_are_no_sources(tmp_path):
    photo(tmp_path / "a.jpg")
    photo(tmp_path / "restored" / "a.jpg")
    assert names_of(collect([tmp_path], leave_out=tmp_path / "restored")) == ["a.jpg"]
    assert len(list(collect([tmp_path / "restored"], leave_out=tmp_path / "restored"))) == 1


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_unreadable_folder(tmp_path):
    (tmp_path / "locked").mkdir(mode=0)
    photo(tmp_path / "a.jpg")
    faults = [source.fault for source in collect([tmp_path])]
    assert faults == ["", f"cannot read {tmp_path / 'locked'}: Permission denied"]


def test_unreadable_folder_as_the_system_says_it(tmp_path, monkeypatch):
    locked = tmp_path / "album" / "locked"
    locked.mkdir(parents=True)
    photo(tmp_path / "album" / "a.jpg")
    listing = os.scandir

    def refuse(path):
        if path == locked:
            raise PermissionError(13, "Permission denied", str(path))
        return listing(path)

    monkeypatch.setattr("os.scandir", refuse)
    outcomes = run(tmp_path, collect([tmp_path / "album"]))
    assert [outcome.error for outcome in outcomes] == ["", f"cannot read {locked}: Permission denied"]
    assert paths_of(tmp_path / "out") == ["a.jpg"]


@pytest.mark.parametrize("pattern", ["none.jpg", "*.jpg", "empty"])
def test_nothing_there(tmp_path, pattern):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"nothing matches|no such file|no images"):
        collect([f"{tmp_path}/{pattern}"])


def test_only_one_folder_is_in_memory_at_a_time(tmp_path):
    for folder in range(20):
        touch(tmp_path, *(f"{folder:03d}/{'long name ' * 10}{number:03d}.jpg" for number in range(30)))
    sources = collect([tmp_path])

    def peak(take):
        tracemalloc.start()
        try:
            assert sum(1 for _ in take()) == 600
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(lambda: sources) * 10 < peak(lambda: list(sources))


def test_sources_can_be_taken_again(tmp_path):
    touch(tmp_path, "a.jpg", "x/b.jpg")
    sources = collect([tmp_path])
    assert list(sources) == list(sources)


class TestKinds:
    """Images and videos: by the name, and by the content where the name does not tell."""

    ANY = tuple(Kind)

    def kinds_of(self, *paths, kinds=ANY):
        return {source.path.name: source.kind.value for source in collect(paths, kinds)}

    def test_a_folder_holds_both_and_each_is_found_where_it_is_looked_for(self, tmp_path):
        touch(tmp_path, "a.jpg", "sub/GOPR1.MP4", "b.webm", "c.txt", "d.m4a", "e.thm")
        both = {"a.jpg": "image", "b.webm": "video", "GOPR1.MP4": "video"}
        assert self.kinds_of(tmp_path) == both
        assert self.kinds_of(tmp_path, kinds=[Kind.IMAGE]) == {"a.jpg": "image"}
        assert self.kinds_of(tmp_path, kinds=[Kind.VIDEO]) == {"b.webm": "video", "GOPR1.MP4": "video"}

    @pytest.mark.parametrize("pattern", ["*.MP4", "**/*.MP4", "*"])
    def test_a_quoted_pattern_finds_videos(self, tmp_path, pattern):
        touch(tmp_path, "GOPR1.MP4", "notes.txt")
        assert self.kinds_of(f"{tmp_path}/{pattern}") == {"GOPR1.MP4": "video"}

    @pytest.mark.parametrize(
        ("head", "kind"),
        [
            (b"\xff\xd8\xff\xe0", "image"),
            (b"\x89PNG\r\n\x1a\n", "image"),
            (b"RIFF\0\0\0\0WEBP", "image"),
            (b"\0\0\0\x1cftypavif", "image"),
            (b"\0\0\0\x1cftypheic", "image"),
            (b"\0\0\0\x1cftypqt  ", "video"),
            (b"\0\0\0\x1cftypisom", "video"),
            (b"\x1a\x45\xdf\xa3", "video"),
            (b"RIFF\0\0\0\0AVI ", "video"),
            ((b"G" + bytes(187)) * 3, "video"),
            ((bytes(4) + b"G" + bytes(187)) * 3, "video"),
        ],
    )
    def test_without_an_extension_the_content_decides(self, tmp_path, head, kind):
        (tmp_path / "scan").write_bytes(head)
        (tmp_path / "README").write_text("BMW, a shopping list")
        assert self.kinds_of(tmp_path) == {"scan": kind}
        assert self.kinds_of(tmp_path / "scan") == {"scan": kind}
        assert self.kinds_of(f"{tmp_path}/*") == {"scan": kind}

    def test_under_an_unknown_extension_the_content_decides(self, tmp_path):
        for name in ("a.jpe", "b.mpo", "c.jpg_large"):
            (tmp_path / name).write_bytes(b"\xff\xd8\xff\xe0")
        (tmp_path / "d.apng").write_bytes(b"\x89PNG\r\n\x1a\n")
        (tmp_path / "e.qt").write_bytes(b"\0\0\0\x14ftypqt  ")
        (tmp_path / "f.asf").write_bytes(b"\x30\x26\xb2\x75\x8e\x66\xcf\x11")
        found = dict.fromkeys(("a.jpe", "b.mpo", "c.jpg_large", "d.apng"), "image")
        assert self.kinds_of(tmp_path) == found | {"e.qt": "video", "f.asf": "video"}
        assert self.kinds_of(tmp_path, kinds=[Kind.IMAGE]) == found

    @pytest.mark.parametrize(
        ("name", "head"),
        [
            ("IMG_1.nef", b"MM\0*"),
            ("IMG_1.cr2", b"II*\0"),
            ("GOPR1.THM", b"\xff\xd8\xff\xe0"),
            ("GOPR1.LRV", b"\0\0\0\x14ftypmp41"),
            ("song.m4a", b"\0\0\0\x14ftypmp42"),
            ("song.wma", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),
            ("words.mks", b"\x1a\x45\xdf\xa3"),
            ("notes.txt", b"hello"),
        ],
    )
    def test_raw_files_previews_and_sound_are_left_out(self, tmp_path, name, head):
        (tmp_path / name).write_bytes(head)
        touch(tmp_path, "a.jpg")
        assert self.kinds_of(tmp_path) == {"a.jpg": "image"}

    def test_formats_that_are_not_read_are_counted(self, tmp_path):
        touch(tmp_path, "a.jpg", "a.CR2", "sub/b.cr2", "sub/c.jp2", "notes.txt", ".hidden.cr2", "out/d.cr2")
        assert count_unreadable(collect([tmp_path], self.ANY, leave_out=tmp_path / "out")) == {".cr2": 2, ".jp2": 1}
        assert not count_unreadable(collect([tmp_path / "a.jpg"], self.ANY))

    def test_a_given_file_of_an_unknown_name_is_taken_by_its_content_else_as_an_image(self, tmp_path):
        (tmp_path / "clip.dat").write_bytes(b"\0\0\0\x1cftypisom")
        touch(tmp_path, "text.dat")
        paths = tmp_path / "clip.dat", tmp_path / "text.dat"
        assert self.kinds_of(*paths) == {"clip.dat": "video", "text.dat": "image"}

    def test_sources_of_programs_are_no_videos(self, tmp_path):
        """TypeScript has the extension of MPEG transport streams."""
        (tmp_path / "index.ts").write_text("export {}\n" * 99)
        (tmp_path / "stream.ts").write_bytes((b"G" + bytes(187)) * 3)
        assert self.kinds_of(tmp_path) == {"stream.ts": "video"}
        assert self.kinds_of(tmp_path / "index.ts") == {"index.ts": "video"}  # refused when it is read

    @pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
    def test_a_pipe_is_not_waited_for(self, tmp_path):
        os.mkfifo(tmp_path / "pipe")
        touch(tmp_path, "a.jpg")
        assert self.kinds_of(tmp_path) == {"a.jpg": "image"}

    def test_nothing_there_names_what_was_looked_for(self, tmp_path):
        with pytest.raises(InputError, match="no images or videos in"):
            self.kinds_of(tmp_path)
