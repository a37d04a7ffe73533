"""Objects in buckets as paths and sources."""

import pickle
from pathlib import Path

import fsspec
import pytest

from revisage.errors import InputError
from revisage.jobs.buckets import Address, UnreachableError, collect_objects, parse_location
from revisage.jobs.store import NO_FILE, stamp_of


@pytest.fixture
def files():
    memory = fsspec.filesystem("memory")
    yield memory
    memory.rm("/", recursive=True)


def names(urls, **options):
    return [str(source.path) for source in collect_objects(urls, **options)]


class TestAddress:
    def test_parts_are_those_of_a_path(self):
        address = Address("s3://bucket/a/b.jpg")
        assert str(address.parent / "c.png") == "s3://bucket/a/c.png"
        assert str(address.with_name("d.jpg")) == "s3://bucket/a/d.jpg"
        assert address.suffix == ".jpg"

    def test_it_can_be_pickled(self):
        assert str(pickle.loads(pickle.dumps(Address("s3://bucket/a.jpg")))) == "s3://bucket/a.jpg"

    def test_the_stamp_changes_with_the_content(self, files):
        assert stamp_of(Address("memory://b/a.jpg")) == NO_FILE
        files.pipe("/b/a.jpg", b"one")
        before = stamp_of(Address("memory://b/a.jpg"))
        assert before == stamp_of(Address("memory://b/a.jpg"))
        files.pipe("/b/a.jpg", b"two")
        assert stamp_of(Address("memory://b/a.jpg")) != before


@pytest.mark.parametrize(
    ("text", "kind"), [("s3://b/a", Address), ("a/b.jpg", Path), ("file:///a/b.jpg", Path), (Path("a"), Path)]
)
def test_locations(text, kind):
    assert isinstance(parse_location(text), kind)
    assert isinstance(parse_location(text), Address) == (kind is Address)
    assert not str(parse_location(text)).startswith("file:")


class TestCollecting:
    def test_images_are_found_to_any_depth(self, files):
        for name in ("b.jpg", "a/c.PNG", "a/text.txt", "a/.hidden.jpg"):
            files.pipe(f"/album/{name}", b"1")
        assert names(["memory://album"]) == ["memory://album/b.jpg", "memory://album/a/c.PNG"]
        assert [str(source.below) for source in collect_objects(["memory://album"])] == [".", "a"]

    def test_patterns_and_single_objects(self, files):
        for name in ("1.jpg", "2.jpg", "3.png"):
            files.pipe(f"/album/{name}", b"1")
        assert names(["memory://album/*.jpg"]) == ["memory://album/1.jpg", "memory://album/2.jpg"]
        assert names(["memory://album/3.png"]) == ["memory://album/3.png"]

    def test_the_folder_of_the_results_is_left_out(self, files):
        files.pipe("/album/1.jpg", b"1")
        files.pipe("/album/out/1.jpg", b"1")
        assert names(["memory://album"], leave_out=Address("memory://album/out")) == ["memory://album/1.jpg"]

    @pytest.mark.parametrize(
        ("url", "message"),
        [
            ("memory://none", r"^no object or folder memory://none$"),
            ("memory://texts", r"^no images in memory://texts$"),
            ("nonsense://x", r"^cannot reach nonsense://x: Protocol not known: nonsense"),
        ],
    )
    def test_one_line_says_what_is_wrong(self, files, url, message):
        files.pipe("/texts/a.txt", b"1")
        with pytest.raises(InputError, match=message):
            collect_objects([url])

    def test_an_unreachable_bucket_is_one_line(self, files, monkeypatch):
        def fail(*_, **__):
            raise OSError("Could not connect to the endpoint URL")

        files.pipe("/album/1.jpg", b"1")
        monkeypatch.setattr(type(files), "ls", fail)
        with pytest.raises(UnreachableError, match=r"^cannot reach memory://album: Could not connect to the"):
            collect_objects(["memory://album"])
