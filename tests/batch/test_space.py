"""Room on the disk for all results together, found before the first of them."""

import pytest
from plain_restorer import photo

from revisage.batch import Options, check_space, collect, space
from revisage.errors import OutputError
from revisage.jobs.collector import Kind
from revisage.restore.controls import Controls

VIDEO = 10_000_000


@pytest.fixture
def album(tmp_path):
    for level in (10, 20, 30):
        photo(tmp_path / "album" / f"{level}.bmp", level)
    for name in ("a.mp4", "b.mkv"):
        (tmp_path / "album" / name).write_bytes(b"video")
    return tmp_path / "album"


def check(album, monkeypatch, free, **options):
    monkeypatch.setattr(space, "free_bytes", lambda _: free)
    options = Options(output=album.parent / "out", controls=Controls(scale=2), **options)
    check_space(collect([album], (Kind.IMAGE, Kind.VIDEO)), options, lambda *_: VIDEO)


def photos(album):
    return sum(path.stat().st_size for path in album.glob("*.bmp")) * 2


def test_photos_and_videos_count_together(album, monkeypatch):
    needed = photos(album) + 3 * VIDEO  # the parts of one lie beside its result
    check(album, monkeypatch, needed)
    with pytest.raises(OutputError, match=r"about 30.0 MB are needed for 5 results, 30.0 MB are free"):
        check(album, monkeypatch, needed - 1)


def test_results_and_parts_that_are_there_need_no_room(album, monkeypatch):
    (album.parent / "out" / ".b.mkv.revisage").mkdir(parents=True)
    (album.parent / "out" / "a.mp4").write_bytes(b"done")
    (album.parent / "out" / ".b.mkv.revisage" / "000000.nut").write_bytes(bytes(6_000_000))
    check(album, monkeypatch, photos(album) + 2 * VIDEO - 6_000_000)
    with pytest.raises(OutputError, match="4 results"):
        check(album, monkeypatch, photos(album) + 2 * VIDEO - 6_000_001)
