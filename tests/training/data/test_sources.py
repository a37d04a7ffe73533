import io
import json
import pickle
import struct
import tarfile
import zlib

import cv2
import numpy as np
import pytest
from torch.utils.data import DataLoader, Dataset

from revisage.errors import OutputError, RecipeError
from revisage.training.data.lmdb_source import LmdbSource, write_lmdb
from revisage.training.data.sources import CachedSource, Crop, FolderSource, read_crop
from revisage.training.data.tar_source import TarSource


def faces(count=4, side=16):
    rng = np.random.default_rng(0)
    return [Crop(f"face{index}", rng.integers(0, 256, (side, side, 3), np.uint8)) for index in range(count)]


def png(crop):
    return cv2.imencode(".png", crop.pixels[..., ::-1])[1].tobytes()


def add(archive, name, data):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def folder(path, crops):
    path.mkdir()
    for crop in reversed(crops):
        (path / f"{crop.name}.png").write_bytes(png(crop))
    return FolderSource([path])


def database(path, crops):
    write_lmdb(path.with_suffix(".lmdb"), crops)
    return LmdbSource(path.with_suffix(".lmdb"))


def shards(path, crops):
    path.mkdir()
    for number, part in enumerate((crops[:3], crops[3:])):
        with tarfile.open(path / f"{number}.tar", "w") as archive:
            for crop in part:
                add(archive, f"part/{crop.name}.face.png", png(crop))
                add(archive, f"part/{crop.name}.json", json.dumps({"age": 3}).encode())
    return TarSource(sorted(path.iterdir()))


KINDS = pytest.mark.parametrize("make", [folder, database, shards], ids=["folder", "lmdb", "tar"])


@KINDS
def test_a_source_gives_each_crop_by_its_place(make, tmp_path):
    crops = faces()
    source = make(tmp_path / "a", crops)
    assert len(source) == 4
    for index in (2, 0, 3, 1, 3):
        assert source[index].name == crops[index].name
        np.testing.assert_array_equal(source[index].pixels, crops[index].pixels)


@KINDS
def test_a_source_can_be_sent_to_another_process_after_use(make, tmp_path):
    source = make(tmp_path / "a", faces())
    first = source[1]
    again = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(again[1].pixels, first.pixels)


class Reading(Dataset):
    def __init__(self, source):
        self.source = source

    def __len__(self):
        return len(self.source)

    def __getitem__(self, index):
        return self.source[index].pixels.copy()


@KINDS
def test_processes_forked_while_a_source_is_open_do_not_disturb_each_other(make, tmp_path):
    crops = faces(12)
    source = make(tmp_path / "a", crops)
    assert source[0].name == "face0"
    order = sorted(range(12), key=lambda index: crops[index].name)
    order = order if not isinstance(source, TarSource) else list(range(12))
    found = list(DataLoader(Reading(source), batch_size=None, num_workers=2))
    for place, index in enumerate(order):
        np.testing.assert_array_equal(found[place], crops[index].pixels)


def test_a_folder_is_sorted_by_name_and_filtered_by_beginning(tmp_path):
    source = folder(tmp_path / "a", faces())
    assert [source[index].name for index in range(4)] == ["face0", "face1", "face2", "face3"]
    assert len(FolderSource([tmp_path / "a"], ["face2", "face3"])) == 2
    with pytest.raises(RecipeError, match="nobody"):
        FolderSource([tmp_path / "a"], ["nobody"])


class Counting:
    def __init__(self, crops):
        self.crops = crops
        self.decoded = []

    def __len__(self):
        return len(self.crops)

    def __getitem__(self, index):
        self.decoded.append(index)
        return self.crops[index]


def test_a_cache_decodes_what_it_has_room_for_only_once():
    counting = Counting(faces())
    source = CachedSource(counting, megabytes=2.5 * 16 * 16 * 3 / 1e6)  # two of four
    for index in (0, 1, 0, 1):
        source[index]
    assert counting.decoded == [0, 1]
    source[2]  # the least recently used, 0, has to go
    source[1]
    assert counting.decoded == [0, 1, 2]
    source[0]
    assert counting.decoded == [0, 1, 2, 0]


def test_a_cache_without_room_still_reads():
    source = CachedSource(Counting(faces()), megabytes=0)
    assert [source[index].name for index in (0, 0, 3)] == ["face0", "face0", "face3"]


def test_the_database_is_the_one_that_classic_tools_write(tmp_path):
    lmdb = pytest.importorskip("lmdb")
    crops = faces(2, 8)
    write_lmdb(tmp_path / "x.lmdb", crops)
    assert (tmp_path / "x.lmdb" / "meta_info.txt").read_text() == "face0.png (8,8,3) 1\nface1.png (8,8,3) 1\n"
    with lmdb.open(str(tmp_path / "x.lmdb"), readonly=True, lock=False) as environment, environment.begin() as view:
        stored = cv2.imdecode(np.frombuffer(view.get(b"face1"), np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(stored[..., ::-1], crops[1].pixels)


def test_a_missing_key_is_named_instead_of_failing_to_decode(tmp_path):
    """The reference's client returned None, and the decoder's error said nothing."""
    write_lmdb(tmp_path / "x.lmdb", faces(2))
    meta = tmp_path / "x.lmdb" / "meta_info.txt"
    meta.write_text(meta.read_text() + "ghost.png (8,8,3) 1\n")
    with pytest.raises(RecipeError, match="no picture ghost"):
        LmdbSource(tmp_path / "x.lmdb")[2]


def test_what_is_no_database_is_named(tmp_path):
    with pytest.raises(RecipeError, match=r"ends in \.lmdb"):
        LmdbSource(tmp_path / "faces")
    with pytest.raises(RecipeError, match="meta_info"):
        LmdbSource(tmp_path / "faces.lmdb")
    (tmp_path / "faces.lmdb").mkdir()
    (tmp_path / "faces.lmdb" / "meta_info.txt").write_text("a.png (8,8,3) 1\n")
    (tmp_path / "faces.lmdb" / "data.mdb").write_bytes(b"rubbish" * 1000)
    with pytest.raises(RecipeError, match="not a whole LMDB"):
        LmdbSource(tmp_path / "faces.lmdb")[0]


def test_a_database_is_written_whole_or_not_at_all(tmp_path):
    def broken():
        yield from faces(2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_lmdb(tmp_path / "x.lmdb", broken())
    assert not list(tmp_path.iterdir())
    with pytest.raises(OutputError, match="face0 comes twice"):
        write_lmdb(tmp_path / "x.lmdb", [*faces(2), *faces(1)])
    with pytest.raises(OutputError, match="no name"):
        write_lmdb(tmp_path / "x.lmdb", [Crop("a.b", faces(1)[0].pixels)])
    assert not list(tmp_path.iterdir())
    write_lmdb(tmp_path / "x.lmdb", faces(1))
    with pytest.raises(OutputError, match="new folder"):
        write_lmdb(tmp_path / "x.lmdb", faces(1))


def test_a_shard_s_url_is_opened_with_fsspec(tmp_path):
    shards(tmp_path / "a", faces())
    source = TarSource([f"file://{tmp_path}/a/1.tar"])
    assert source[0].name == "face3"


def test_what_is_no_shard_is_named(tmp_path):
    with pytest.raises(RecipeError, match="nowhere"):
        TarSource([tmp_path / "nowhere.tar"])
    (tmp_path / "a.tar").write_bytes(b"no tar" * 200)
    with pytest.raises(RecipeError, match=r"a\.tar"):
        TarSource([tmp_path / "a.tar"])
    with tarfile.open(tmp_path / "b.tar.gz", "w:gz") as archive:
        add(archive, "a.png", png(faces(1)[0]))
    with pytest.raises(RecipeError, match="uncompressed"):
        TarSource([tmp_path / "b.tar.gz"])
    with tarfile.open(tmp_path / "c.tar", "w") as archive:
        add(archive, "a.txt", b"3")
    with pytest.raises(RecipeError, match="holds no pictures"):
        TarSource([tmp_path / "c.tar"])
    with pytest.raises(RecipeError, match="cannot open nothing://"):
        TarSource(["nothing://bucket/a.tar"])


def test_a_damaged_picture_is_named(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        add(archive, "anna.png", b"no picture")
    with pytest.raises(RecipeError, match=r"anna in .*a\.tar is not a picture"):
        TarSource([tmp_path / "a.tar"])[0]


def test_names_in_a_shard_lead_nowhere(tmp_path):
    (tmp_path / "own").mkdir()
    with tarfile.open(tmp_path / "own" / "a.tar", "w") as archive:
        for name in ("../../up.png", "/etc/absolute.png", "a/../../../b.png"):
            add(archive, name, png(faces(1)[0]))
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    source = TarSource([tmp_path / "own" / "a.tar"])
    assert [source[index].name for index in range(len(source))] == ["up", "absolute", "b"]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.tar", "own"]


def test_a_member_that_states_more_than_the_shard_has_is_refused(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        info = tarfile.TarInfo("a.png")
        info.size = 2**50
        archive.addfile(info)
    with pytest.raises(RecipeError, match=r"a\.tar is not a readable, uncompressed tar file"):
        TarSource([tmp_path / "a.tar"])


def test_a_member_too_large_for_a_picture_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("revisage.training.data.tar_source.LARGEST_PICTURE", 1000)
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        add(archive, "a.png", bytes(1001))
    with pytest.raises(RecipeError, match="states a picture of more than 1000 bytes"):
        TarSource([tmp_path / "a.tar"])


def test_a_small_file_of_many_pixels_is_refused(tmp_path):
    """Nine hundred million zeros in a file of a few kilobytes, refused by its header."""
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(10_000))), (b"IEND", b""))
    body = b"".join(struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in chunks)
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    with pytest.raises(RecipeError, match=r"a\.png is refused: .* up to 8192 pixels a side"):
        read_crop(tmp_path / "a.png")


def test_a_database_cut_short_is_refused_before_it_is_read(tmp_path):
    """It is mapped into memory: to read a page beyond the end of the file kills the process."""
    write_lmdb(tmp_path / "x.lmdb", faces(40, 64))
    path = tmp_path / "x.lmdb" / "data.mdb"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(RecipeError, match=r"not a whole LMDB: data\.mdb has fewer than"):
        LmdbSource(tmp_path / "x.lmdb")[0]


@pytest.mark.parametrize("meta", [b"\xff\xfe.png", "é.png".encode(), b"\n\n", b""])
def test_a_list_of_names_that_is_none_is_refused(tmp_path, meta):
    write_lmdb(tmp_path / "x.lmdb", faces(1))
    (tmp_path / "x.lmdb" / "meta_info.txt").write_bytes(meta)
    with pytest.raises(RecipeError, match=r"meta_info\.txt"):
        LmdbSource(tmp_path / "x.lmdb")


@pytest.mark.parametrize("name", ["x" * 600, "", "../../etc/passwd", "\x01"])
def test_a_name_that_is_no_key_of_a_database_is_named(tmp_path, name):
    write_lmdb(tmp_path / "x.lmdb", faces(1))
    (tmp_path / "x.lmdb" / "meta_info.txt").write_text(f"{name}.png (8,8,3) 1\n")
    with pytest.raises(RecipeError, match=r"x\.lmdb"):
        LmdbSource(tmp_path / "x.lmdb")[0]


@pytest.mark.parametrize("name", ["a\nb", "", "\x1b[2J"])
def test_names_that_would_break_the_list_of_names_are_refused(tmp_path, name):
    with pytest.raises(OutputError, match="is no name for a picture"):
        write_lmdb(tmp_path / "x.lmdb", [Crop(name, faces(1)[0].pixels)])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"\xff\xd8\xff\xff", bytes(100), b"P6 9 4294967295 255 "], ids=str)
def test_what_opencv_stumbles_over_is_no_picture(tmp_path, data):
    """A header that states more rows than OpenCV takes made it raise an error of its own."""
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(RecipeError, match=r"a\.png is (not a picture|refused)"):
        read_crop(tmp_path / "a.png")
