import io
import json
import pickle
import struct
import tarfile
import zlib

import cv2
import numpy as np
import PIL.Image
import pytest
from torch.utils.data import DataLoader, Dataset

from revisage.errors import OutputError, RecipeError
from revisage.images import write_image
from revisage.jobs.collector import collect
from revisage.training.data.crops import Crop, read_crop
from revisage.training.data.sources import FolderSource, LmdbSource, TarSource, open_source, read_crops, write_lmdb


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
        (path / f"{crop.key}.png").write_bytes(png(crop))
    return FolderSource([path])


def database(path, crops):
    write_lmdb(path.with_suffix(".lmdb"), crops)
    return LmdbSource(path.with_suffix(".lmdb"))


def shards(path, crops):
    path.mkdir()
    for number, part in enumerate((crops[:3], crops[3:])):
        with tarfile.open(path / f"{number}.tar", "w") as archive:
            for crop in part:
                add(archive, f"part/{crop.key}.face.png", png(crop))
                add(archive, f"part/{crop.key}.json", json.dumps({"age": 3}).encode())
    return TarSource(sorted(path.iterdir()))


KINDS = pytest.mark.parametrize("make", [folder, database, shards], ids=["folder", "lmdb", "tar"])


@KINDS
def test_a_source_gives_each_crop_by_its_place(make, tmp_path):
    crops = faces()
    source = make(tmp_path / "a", crops)
    assert len(source) == 4
    for index in (2, 0, 3, 1, 3):
        assert source[index].key == crops[index].key
        np.testing.assert_array_equal(source[index].pixels, crops[index].pixels)


def test_crops_of_a_folder_named_more_than_once_are_kept_once(tmp_path):
    for name in "ab":
        folder(tmp_path / name, faces(2))
    crops = read_crops([tmp_path / name for name in "aba"])
    assert [crop.key for crop in crops] == ["face0", "face1"] * 3
    assert crops[0] is crops[4]
    assert crops[0] is not crops[2]


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
    assert source[0].key == "face0"
    order = sorted(range(12), key=lambda index: crops[index].key)
    order = order if not isinstance(source, TarSource) else list(range(12))
    found = list(DataLoader(Reading(source), batch_size=None, num_workers=2))
    for place, index in enumerate(order):
        np.testing.assert_array_equal(found[place], crops[index].pixels)


def test_a_folder_is_sorted_by_name_and_filtered_by_beginning(tmp_path):
    source = folder(tmp_path / "a", faces())
    assert [source[index].key for index in range(4)] == ["face0", "face1", "face2", "face3"]
    assert len(FolderSource([tmp_path / "a"], ["face2", "face3"])) == 2
    with pytest.raises(RecipeError, match="nobody"):
        FolderSource([tmp_path / "a"], ["nobody"])


def save(path, pixels=None, size=(16, 16), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(faces(1)[0].pixels if pixels is None else pixels).resize(size).save(path, **options)


class TestFilesOfTraining:
    """They follow the rules for photos: `revisage restore` and a training find the same images in a folder."""

    def test_nested_folders_as_ffhq_has_them(self, tmp_path):
        for name in ("00000/00000", "00000/00001", "01000/01000", "00001"):
            save(tmp_path / f"{name}.png")
        source = FolderSource([tmp_path])
        assert [source[index].key for index in range(4)] == ["00001", "00000", "00001", "01000"]

    @pytest.mark.parametrize("suffix", ["jpg", "jpeg", "jfif", "png", "bmp", "tif", "tiff", "webp", "avif", "PNG"])
    def test_all_formats_that_photos_may_have(self, tmp_path, suffix):
        format = {"jfif": "JPEG", "tif": "TIFF"}.get(suffix.lower())
        save(tmp_path / f"a.{suffix}", np.full((16, 16, 3), (200, 30, 30), np.uint8), format=format)
        (crop,) = read_crops([tmp_path])
        assert np.abs(crop.pixels.astype(int) - (200, 30, 30)).max() < 6

    def test_heif(self, tmp_path):
        pytest.importorskip("pillow_heif")
        write_image(tmp_path / "a.heic", np.full((16, 16, 3), (200, 30, 30), np.uint8))
        (crop,) = read_crops([tmp_path])
        assert crop.pixels.dtype == np.uint8
        assert np.abs(crop.pixels.astype(int) - (200, 30, 30)).max() < 6

    def test_hidden_files_of_macos_are_skipped(self, tmp_path):
        save(tmp_path / "a.jpg")
        (tmp_path / "._a.jpg").write_bytes(b"\0\5\x16\7")
        assert [crop.key for crop in read_crops([tmp_path])] == ["a"]

    def test_the_same_files_as_the_other_commands_find(self, tmp_path):
        for name in ("b/2.bmp", "b/c/3.tif", "1.jpg", ".hidden/4.png", "notes.txt"):
            save(tmp_path / name, format="PNG" if name.endswith("txt") else None)
        assert FolderSource([tmp_path]).paths == [source.path for source in collect([tmp_path])]

    @pytest.mark.parametrize("kind", ["folder", "lmdb", "tar", "pattern", "file"])
    def test_crops_are_read_from_any_source(self, tmp_path, kind):
        crops = faces()
        {"lmdb": database, "tar": shards}.get(kind, folder)(tmp_path / "a", crops)
        place = {"lmdb": "a.lmdb", "tar": "a/0.tar", "pattern": "a/*.png", "file": "a/face1.png"}.get(kind, "a")
        found = read_crops([tmp_path / place], ["face1", "face2"])
        assert [crop.key for crop in found] == ["face1", "face2"][: 1 if kind == "file" else 2]
        np.testing.assert_array_equal(found[0].pixels, crops[1].pixels)

    def test_sources_of_several_kinds_come_one_after_the_other(self, tmp_path):
        folder(tmp_path / "a", faces(2))
        database(tmp_path / "b", faces(3))
        source = open_source([tmp_path / "a", tmp_path / "b.lmdb", tmp_path / "a"])
        assert [source[index].key for index in range(len(source))] == [
            "face0", "face1", "face0", "face1", "face2", "face0", "face1",
        ]  # fmt: skip

    @pytest.mark.parametrize("kind", ["folder", "lmdb", "tar"])
    def test_a_source_without_such_names_is_named_with_them(self, tmp_path, kind):
        {"lmdb": database, "tar": shards}.get(kind, folder)(tmp_path / "a", faces())
        place = {"lmdb": "a.lmdb", "tar": "a/0.tar"}.get(kind, "a")
        with pytest.raises(RecipeError, match=rf"{place}.* with names that begin with nobody or none"):
            open_source([tmp_path / place], ["nobody", "none"])

    def test_a_folder_without_images_is_named(self, tmp_path):
        (tmp_path / "empty").mkdir()
        with pytest.raises(RecipeError, match="empty"):
            read_crops([tmp_path / "empty"])


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
    with pytest.raises(RecipeError, match="no image ghost"):
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
    assert source[0].key == "face3"


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
    with pytest.raises(RecipeError, match="holds no images"):
        TarSource([tmp_path / "c.tar"])
    with pytest.raises(RecipeError, match="cannot open nothing://"):
        TarSource(["nothing://bucket/a.tar"])


def test_a_damaged_image_is_named(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        add(archive, "anna.png", b"no image")
    with pytest.raises(RecipeError, match=r"anna in .*a\.tar is not a readable image"):
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
    assert [source[index].key for index in range(len(source))] == ["up", "absolute", "b"]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.tar", "own"]


def test_a_member_that_states_more_than_the_shard_has_is_refused(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        info = tarfile.TarInfo("a.png")
        info.size = 2**50
        archive.addfile(info)
    with pytest.raises(RecipeError, match=r"a\.tar is not a readable, uncompressed tar file"):
        TarSource([tmp_path / "a.tar"])


def test_a_member_too_large_for_an_image_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("revisage.training.data.sources.MAX_IMAGE_BYTES", 1000)
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        add(archive, "a.png", bytes(1001))
    with pytest.raises(RecipeError, match="states an image of more than 1000 bytes"):
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
    with pytest.raises(OutputError, match="is no name for an image"):
        write_lmdb(tmp_path / "x.lmdb", [Crop(name, faces(1)[0].pixels)])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"\xff\xd8\xff\xff", bytes(100), b"P6 9 4294967295 255 "], ids=str)
def test_what_opencv_stumbles_over_is_no_image(tmp_path, data):
    """A header that states more rows than OpenCV takes made it raise an error of its own."""
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(RecipeError, match=r"a\.png is (not a readable image|refused)"):
        read_crop(tmp_path / "a.png")
