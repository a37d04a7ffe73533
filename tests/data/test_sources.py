import io
import json
import pickle
import tarfile

import cv2
import numpy as np
import pytest
from torch.utils.data import DataLoader, Dataset

from revisage.data.lmdb_source import LmdbSource, write_lmdb
from revisage.data.sources import CachedSource, Crop, FolderSource
from revisage.data.tar_source import TarSource
from revisage.errors import OutputError, RecipeError


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
    with pytest.raises(RecipeError, match=r"anna in .*a\.tar is not a square picture"):
        TarSource([tmp_path / "a.tar"])[0]
