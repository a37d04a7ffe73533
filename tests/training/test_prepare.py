"""Preparing photos with a detector that is a plain function: what is kept, why not, and going on after anything."""

import csv
import inspect
import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from revisage.cli.prepare import prepare
from revisage.errors import InputError, OutputError
from revisage.geometry import magnification
from revisage.images import read_image, write_image
from revisage.jobs.collector import Source, collect
from revisage.jobs.store import open_store, read_entries
from revisage.restore.align import OUTSIDE, TEMPLATE, align
from revisage.training.data.components import read_components, write_components
from revisage.training.data.sources import LmdbSource
from revisage.training.prepare.faces import align_mirrored, extract_faces
from revisage.training.prepare.photos import KeptFaces, prepare_photos
from revisage.training.prepare.records import Limits, Options, PhotoRecord, photo_from_json
from revisage.types import Face

SCALE = 0.6
"""Of the faces in the photos: a native side of 512 x 0.6 = 307."""


def texture(seed, side=320):
    """A photo unlike any other, with something to see at all sizes."""
    rng = np.random.default_rng(seed)
    levels = [rng.uniform(-60, 60, (n, n, 3)) for n in (8, 32, side)]
    summed = 128 + sum(cv2.resize(level, (side, side), interpolation=cv2.INTER_LINEAR) for level in levels)
    return np.clip(summed, 0, 255).astype(np.uint8)


def face(x=3.0, y=3.0, scale=SCALE, score=0.95, nose=0.0):
    points = TEMPLATE * scale + [x, y]
    points[2, 0] += nose * scale * 126
    centre, half = points.mean(axis=0), 140 * scale
    box = np.concatenate([centre - half, centre + half])
    return Face(box.astype(np.float32), points.astype(np.float32), score)


def detect(image):
    """One face in each photo, none in those that are black."""
    return [face()] if image.any() else []


@pytest.fixture
def album(tmp_path):
    for number in range(5):
        write_image(tmp_path / "album" / f"{number}.png", texture(number))
    return tmp_path / "album"


def options(tmp_path, **changes):
    return Options(output=tmp_path / "out", **{"size": 256, **changes})


def run(how, *paths, detect=detect):
    with closing(prepare_photos(detect, collect(paths), how)) as outcomes:
        return list(outcomes)


def table(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def contents(folder):
    """Every file but those of the job store, by name, and the rows of the store."""
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    found = {name: path.read_bytes() for name, path in files.items() if not name.startswith(".")}
    return found | {"rows": [(row.key, row.source, row.details) for row in read_entries(folder)]}


def reasons(tmp_path):
    return [(Path(row["photo"]).name, row["reason"]) for row in table(tmp_path / "out" / "rejected.csv")]


class TestKept:
    def test_crops_are_numbered_in_the_order_of_the_photos(self, tmp_path, album):
        run(options(tmp_path), album)
        rows = table(tmp_path / "out" / "manifest.csv")
        assert [row["file"] for row in rows] == [f"256/{number:08d}.png" for number in range(5)]
        assert [row["photo"] for row in rows] == [str(album / f"{number}.png") for number in range(5)]

    def test_crop_is_the_aligned_face(self, tmp_path, album):
        run(options(tmp_path), album / "2.png")
        crop = read_image(tmp_path / "out" / "256" / "00000000.png")
        expected = align(read_image(album / "2.png"), face().landmarks, 256).crop
        assert np.abs(crop / 255 - expected).max() < 0.003

    def test_manifest_says_what_is_in_the_crop(self, tmp_path, album):
        run(options(tmp_path), album / "0.png")
        (row,) = table(tmp_path / "out" / "manifest.csv")
        assert float(row["native_size"]) == pytest.approx(512 * SCALE, rel=1e-3)
        assert (row["size"], row["enlarged"], row["face"]) == ("256", "0", "0")
        assert float(row["inside"]) == 1
        assert float(row["score"]) == 0.95
        points = [[float(row[f"{point}_{axis}"]) for axis in "xy"] for point in ("eye1", "nose", "mouth2")]
        np.testing.assert_allclose(points, (TEMPLATE[[0, 2, 4]] + 0.5) / 2 - 0.5, atol=0.05)
        mouth = [float(row[f"mouth_{value}"]) for value in ("x", "y", "half")]
        np.testing.assert_allclose(mouth, [128.3, 185.4, 0.38 * 111.8 / 2], atol=0.1)

    def test_enlarged_crop_is_marked(self, tmp_path, album):
        run(options(tmp_path, size=512), album / "0.png")
        (row,) = table(tmp_path / "out" / "manifest.csv")
        assert row["enlarged"] == "1"

    @pytest.mark.parametrize(("scale", "side", "enlarged"), [(0.99, 256, "0"), (1.01, 512, "0"), (0.49, 256, "1")])
    def test_native_size_enlarges_nothing_unmarked(self, tmp_path, scale, side, enlarged):
        write_image(tmp_path / "a.png", texture(0, 540))
        run(options(tmp_path, size=None), tmp_path / "a.png", detect=lambda _: [face(scale=scale)])
        (row,) = table(tmp_path / "out" / "manifest.csv")
        assert (row["file"], row["enlarged"]) == (f"{side}/00000000.png", enlarged)

    def test_jpeg(self, tmp_path, album):
        run(options(tmp_path, format="jpg"), album / "0.png")
        assert read_image(tmp_path / "out" / "256" / "00000000.jpg").shape == (256, 256, 3)

    def test_what_lies_outside_is_mirrored(self):
        image = texture(0)
        moved = face(x=-30, y=10).landmarks
        aligned, plain = align_mirrored(image, moved, 256), align(image, moved, 256)
        np.testing.assert_allclose(aligned.crop_from_image, plain.crop_from_image, atol=1e-4)
        outside = np.abs(plain.crop - np.float32(OUTSIDE)).max(axis=2) < 1e-6
        assert 0.05 < outside.mean() < 0.2
        assert np.abs(aligned.crop[~outside] - plain.crop[~outside]).mean() < 1e-3
        assert aligned.crop[outside].std() > 0.05

    def test_a_classic_landmarks_file_is_taken_up(self, tmp_path, album):
        other = np.arange(9.0).reshape(3, 3) + 1
        write_components(tmp_path / "boxes.pth", {"other": other})
        run(options(tmp_path, landmarks=tmp_path / "boxes.pth"), album / "0.png")
        found = read_components(tmp_path / "boxes.pth")
        assert sorted(found) == ["00000000", "other"]
        np.testing.assert_allclose(found["other"], other)
        np.testing.assert_allclose(found["00000000"][2], [257.1, 371.3, 42.5], atol=0.2)  # in pixels of 512

    def test_lmdb_holds_the_crops_and_is_brought_up_to_date(self, tmp_path, album):
        for photos in (album / "0.png", album):
            run(options(tmp_path, lmdb=True), photos)
        source = LmdbSource(tmp_path / "out" / "256.lmdb")
        assert source.names == [f"{number:08d}" for number in range(5)]
        assert np.array_equal(source[3].pixels, read_image(tmp_path / "out" / "256" / "00000003.png"))
        assert not list((tmp_path / "out").glob(".*.lmdb"))


class TestRejected:
    @pytest.mark.parametrize(
        ("found", "reason"),
        [
            (face(scale=0.3), "too small"),
            (face(score=0.7), "unsure"),
            (face(x=-150), "cut off"),
            (face(nose=0.6), "turned"),
            (replace(face(), landmarks=np.zeros((5, 2), np.float32)), "landmarks coincide"),
        ],
    )
    def test_faces_are_rejected_for_a_reason(self, tmp_path, album, found, reason):
        run(options(tmp_path), album / "0.png", detect=lambda _: [face(), found])
        (row,) = table(tmp_path / "out" / "rejected.csv")
        assert (row["photo"], row["face"], row["reason"]) == (str(album / "0.png"), "1", reason)
        assert len(table(tmp_path / "out" / "manifest.csv")) == 1

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            (lambda image: image // 20, "too dark"),
            (lambda image: image | 254, "over-exposed"),
            (lambda image: cv2.GaussianBlur(image, (0, 0), 6), "blurred"),
        ],
    )
    def test_images_are_rejected_for_a_reason(self, tmp_path, change, reason):
        write_image(tmp_path / "a.png", change(texture(0)))
        run(options(tmp_path), tmp_path / "a.png")
        assert reasons(tmp_path) == [("a.png", reason)]
        assert not (tmp_path / "out" / "256").exists()

    def test_limits_are_options(self, tmp_path, album):
        how = options(tmp_path, limits=Limits(min_width=50))
        run(how, album / "0.png", detect=lambda _: [face(scale=0.3)])
        assert len(table(tmp_path / "out" / "manifest.csv")) == 1

    def test_photo_without_a_face(self, tmp_path):
        write_image(tmp_path / "a.png", np.zeros((20, 20, 3), np.uint8))
        run(options(tmp_path), tmp_path / "a.png")
        assert reasons(tmp_path) == [("a.png", "no face")]

    def test_the_same_file_twice(self, tmp_path, album):
        (album / "9.png").write_bytes((album / "0.png").read_bytes())
        run(options(tmp_path), album)
        (row,) = table(tmp_path / "out" / "rejected.csv")
        assert (row["reason"], row["duplicate_of"]) == ("duplicate photo", str(album / "0.png"))

    def test_the_same_face_in_another_file(self, tmp_path, album):
        write_image(album / "9.jpg", read_image(album / "1.png"), quality=60)
        run(options(tmp_path), album)
        (row,) = table(tmp_path / "out" / "rejected.csv")
        assert (Path(row["photo"]).name, row["reason"], row["duplicate_of"]) == (
            "9.jpg",
            "duplicate face",
            "256/00000001.png",
        )

    def test_the_same_face_in_a_later_call(self, tmp_path, album):
        run(options(tmp_path), album)
        write_image(tmp_path / "new" / "0.jpg", read_image(album / "3.png"), quality=60)
        (tmp_path / "new" / "1.png").write_bytes((album / "4.png").read_bytes())
        run(options(tmp_path), tmp_path / "new")
        assert reasons(tmp_path) == [("0.jpg", "duplicate face"), ("1.png", "duplicate photo")]

    @pytest.mark.parametrize("content", [b"", b"no image", None])
    def test_bad_photos_are_reported_and_the_rest_is_done(self, tmp_path, album, content):
        whole = (album / "1.png").read_bytes()
        (album / "1.png").write_bytes(whole[: len(whole) // 2] if content is None else content)
        outcomes = run(options(tmp_path), album)
        assert [bool(outcome.error) for outcome in outcomes] == [False, True, False, False, False]
        assert str(album / "1.png") in outcomes[1].error
        assert len(table(tmp_path / "out" / "manifest.csv")) == 4
        ((name, reason),) = reasons(tmp_path)
        assert name == "1.png"
        assert reason.startswith("not settled: ")

    @pytest.mark.parametrize("error", [RuntimeError("two\nlines"), MemoryError(), KeyError("x")])
    def test_any_error_of_the_detector_is_one_line_with_the_path(self, tmp_path, album, error):
        def fail(image):
            raise error

        (outcome,) = run(options(tmp_path), album / "0.png", detect=fail)
        assert str(album / "0.png") in outcome.error
        assert "\n" not in outcome.error

    def test_a_folder_that_cannot_be_listed(self, tmp_path):
        source = Source(tmp_path, fault=f"cannot read {tmp_path}: no permission")
        (outcome,) = prepare_photos(detect, [source], options(tmp_path))
        assert outcome.error == source.fault


class TestValidation:
    def test_photos_are_held_out_by_the_hash_of_their_names(self, tmp_path, album):
        write_image(album / "2.png", np.zeros((20, 20, 3), np.uint8))  # comes second, but has no face
        run(options(tmp_path, validation=2), album)
        rows = table(tmp_path / "out" / "manifest.csv")
        assert [row["file"] for row in rows] == [
            "val/00000000.png", "val/00000001.png", "256/00000002.png", "256/00000003.png",
        ]  # fmt: skip
        assert [Path(row["photo"]).name for row in rows] == ["0.png", "1.png", "4.png", "3.png"]
        assert all((tmp_path / "out" / row["file"]).is_file() for row in rows)

    def test_all_faces_of_a_photo_are_on_one_side(self, tmp_path, album):
        def two(image):
            return [face(), face(x=8, y=20)]

        run(options(tmp_path, validation=1, duplicate_bits=0), album, detect=two)
        assert len(list((tmp_path / "out" / "val").iterdir())) == 2
        assert len(list((tmp_path / "out" / "256").iterdir())) == 8

    @pytest.mark.parametrize("done", [1, 3])
    def test_an_interrupted_call_that_is_resumed_holds_out_the_same_photos(self, tmp_path, album, done):
        whole = options(tmp_path, validation=2)
        run(whole, album)
        stopped = replace(whole, output=tmp_path / "stopped")
        with closing(prepare_photos(detect, collect([album]), stopped)) as outcomes:
            for _ in range(done):
                next(outcomes)
        run(stopped, album)
        assert contents(whole.output) == contents(stopped.output)

    def test_photos_added_later_are_for_training(self, tmp_path, album):
        run(options(tmp_path, validation=2), album)
        for number in range(20, 24):
            write_image(album / f"{number}.png", texture(number))
        run(options(tmp_path, validation=2), album)
        assert len(list((tmp_path / "out" / "val").iterdir())) == 2
        assert len(list((tmp_path / "out" / "256").iterdir())) == 7

    def test_an_lmdb_of_its_own(self, tmp_path, album):
        run(options(tmp_path, validation=2, lmdb=True), album)
        assert [len(LmdbSource(tmp_path / "out" / f"{name}.lmdb")) for name in ("val", "256")] == [2, 3]

    def test_photos_to_train_on_must_be_left(self, tmp_path, album):
        with pytest.raises(InputError, match="5 of 5 photos leaves none"):
            run(options(tmp_path, validation=5), album)
        run(options(tmp_path, validation=2), album)  # the refused call does not bind the folder to its settings
        run(options(tmp_path, validation=2), album)


class TestResuming:
    @pytest.mark.parametrize("workers", [2, 5])
    def test_results_do_not_depend_on_the_number_of_workers(self, tmp_path, album, workers):
        write_image(album / "9.jpg", read_image(album / "1.png"), quality=60)
        one = options(tmp_path)
        run(one, album)
        many = replace(one, output=tmp_path / "many", workers=workers)
        run(many, album)
        assert contents(one.output) == contents(many.output)

    @pytest.mark.parametrize("done", [0, 1, 3])
    @pytest.mark.parametrize("torn", [b"", b"half a row"])
    def test_an_interrupted_call_that_goes_on_ends_like_a_whole_one(self, tmp_path, album, done, torn):
        whole = options(tmp_path)
        run(whole, album)
        stopped = replace(whole, output=tmp_path / "stopped")
        with closing(prepare_photos(detect, collect([album]), stopped)) as outcomes:
            for _ in range(done):
                next(outcomes)
        if done:
            assert len(table(stopped.output / "manifest.csv")) == done
            with (stopped.output / ".revisage" / "jobs.sqlite-wal").open("ab") as log:
                log.write(torn)
        outcomes = run(stopped, album)
        assert sum(outcome.before for outcome in outcomes) == done
        assert contents(whole.output) == contents(stopped.output)

    def test_what_is_settled_is_not_looked_at_again(self, tmp_path, album):
        run(options(tmp_path), album)
        before = contents(tmp_path / "out")

        def never(image):
            raise AssertionError

        outcomes = run(options(tmp_path), album, detect=never)
        assert all(outcome.before for outcome in outcomes)
        assert contents(tmp_path / "out") == before

    def test_a_photo_that_failed_is_tried_again(self, tmp_path, album):
        whole = (album / "1.png").read_bytes()
        (album / "1.png").write_bytes(b"")
        run(options(tmp_path), album)
        (album / "1.png").write_bytes(whole)
        outcomes = run(options(tmp_path), album)
        assert [outcome.error for outcome in outcomes] == [""] * 5
        assert [Path(row["photo"]).name for row in table(tmp_path / "out" / "manifest.csv")][-1] == "1.png"
        assert reasons(tmp_path) == []

    def test_other_settings_are_refused_with_the_differences(self, tmp_path, album):
        run(options(tmp_path), album)
        with pytest.raises(InputError, match=r"max_yaw 0\.4, not 0\.2"):
            run(options(tmp_path, limits=Limits(max_yaw=0.2)), album)

    @pytest.mark.parametrize("content", [b"[]\n", b"hello\n", b"SQLite format 3\0" * 99, b"[" * 9000 + b"\n"])
    def test_a_damaged_store_is_refused(self, tmp_path, album, content):
        path = tmp_path / "out" / ".revisage" / "jobs.sqlite"
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        with pytest.raises(InputError, match="damaged"):
            run(options(tmp_path), album)
        assert path.read_bytes() == content

    @pytest.mark.parametrize("row", ["", "[]", "hello", '{"photo":3}', "[" * 9000])
    def test_a_damaged_row_is_refused(self, tmp_path, album, row):
        run(options(tmp_path), album)
        with open_store(tmp_path / "out", "prepare", options(tmp_path).settings()) as store:
            store.put(replace(store.entries()[0], details=row))
        with pytest.raises(InputError, match="damaged"):
            run(options(tmp_path), album)

    def test_a_folder_of_another_command_is_refused(self, tmp_path, album):
        with open_store(tmp_path / "out", "restore", {}):
            pass
        with pytest.raises(InputError, match="holds results of `revisage restore`; use another folder"):
            run(options(tmp_path), album)

    def test_output_that_cannot_be_written(self, tmp_path, album):
        (tmp_path / "out").write_text("a file where the folder should be")
        with pytest.raises(OutputError, match="cannot write"):
            run(options(tmp_path), album)

    def test_a_disk_that_fills_up_leaves_what_was_settled(self, tmp_path, album, monkeypatch):
        write = Path.write_bytes

        def full(self, data):
            if "-00000002-" in self.name:
                raise OSError(28, "No space left on device")
            return write(self, data)

        with monkeypatch.context() as patched:
            patched.setattr(Path, "write_bytes", full)
            with pytest.raises(OutputError, match="the disk is full"):
                run(options(tmp_path), album)
        assert len(table(tmp_path / "out" / "manifest.csv")) == 2
        assert len(run(options(tmp_path), album)) == 5
        assert len(table(tmp_path / "out" / "manifest.csv")) == 5


def test_a_known_photo_is_not_decoded(tmp_path):
    (tmp_path / "a.jpg").write_text("not even an image")
    extracted = extract_faces(detect, tmp_path / "a.jpg", options(tmp_path), lambda _: True)
    assert (extracted.error, extracted.faces, len(extracted.sha256)) == ("", (), 64)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"256/', '"../../'),
        ('"256/', '"/etc/'),
        ('"fingerprint": "', '"fingerprint": "x'),
        ('"fingerprint": "', '"x": "'),
    ],
)
def test_a_store_names_crops_of_its_own_folder_only(tmp_path, album, before, after):
    (outcome,) = run(options(tmp_path), album / "0.png")
    line = json.dumps(outcome.record.as_json())
    assert before in line
    with pytest.raises(ValueError, match=r"is no crop of this program|fingerprint"):
        photo_from_json(line.replace(before, after))


def test_a_record_survives_the_store(tmp_path, album):
    (outcome,) = run(options(tmp_path), album / "0.png", detect=lambda _: [face(), face(scale=0.2)])
    line = json.dumps(outcome.record.as_json())
    again = photo_from_json(line)
    assert isinstance(again, PhotoRecord)
    assert repr(again) == repr(outcome.record)  # NaN is not equal to itself


@given(st.lists(st.integers(0, 2**64 - 1), min_size=4, max_size=4), st.integers(0, 255), st.integers(0, 3))
@settings(max_examples=30, deadline=None)
def test_kept_faces_are_found_up_to_the_given_distance(words, bit, bits):
    kept = KeptFaces()
    first = np.array(words, np.uint64)
    kept.add(first, "first")
    kept.add(~first, "opposite")
    other = first.copy()
    other[bit // 64] ^= np.uint64(1) << np.uint64(bit % 64)
    assert kept.find_duplicate(first, 0) == "first"
    assert kept.find_duplicate(~first, bits) == "opposite"
    assert kept.find_duplicate(other, bits) == ("first" if bits else "")


def test_the_faces_of_the_tests_are_as_large_as_they_say():
    assert magnification(align(texture(0), face().landmarks, 512).crop_from_image) == pytest.approx(1 / SCALE, rel=1e-3)


def test_the_command_has_the_defaults_of_the_library():
    of_command = {name: parameter.default for name, parameter in inspect.signature(prepare).parameters.items()}
    library = Options(output=Path("prepared")).settings() | {"size": "512"}
    assert {name: of_command[name] for name in library} == library
