"""``revisage restore`` as people call it: real processes, the embedded model, good and bad photos."""

import os
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import PIL.Image
import pytest
from command import COMMAND, revisage
from PIL.ExifTags import Base
from portrait import head

from revisage.images import read_image, write_image


def gradient(height=30, width=40):
    rows, columns = np.mgrid[0:height, 0:width]
    return np.dstack([rows * 255 // height, columns * 255 // width, 255 - rows * 255 // height]).astype(np.uint8)


def hidden_files(folder):
    return [path for path in folder.rglob(".*") if path.is_file()]


GOOD = {  # name of the photo -> name of its result
    "Großmutter & 家族 1.jpg": None,
    "sub/face.png": None,
    "one pixel.png": None,
    "wide.jpg": None,
    "gray.png": None,
    "palette.png": None,
    "rgba.png": None,
    "cmyk.jpg": None,
    "deep.png": None,
    "animated.gif": "animated.gif",
    "rotated.jpg": None,
}
BAD = {  # name of the photo -> what the line says
    "text.jpg": "not an image",
    "empty.jpg": "the file is empty",
    "truncated.jpg": "truncated or damaged",
    "truncated.png": "truncated or damaged",
    "video.tif": "not an image",
}


@pytest.fixture(scope="module")
def album(tmp_path_factory):
    folder = tmp_path_factory.mktemp("my album")
    write_image(folder / "Großmutter & 家族 1.jpg", head())
    write_image(folder / "sub" / "face.png", head()[::2, ::2])
    write_image(folder / "one pixel.png", gradient(1, 1))
    write_image(folder / "wide.jpg", gradient(6, 20_000))
    image = PIL.Image.fromarray(gradient())
    image.convert("L").save(folder / "gray.png")
    image.convert("P").save(folder / "palette.png")
    PIL.Image.fromarray(np.dstack([gradient(), gradient()[:, :, 0]])).save(folder / "rgba.png")
    image.convert("CMYK").save(folder / "cmyk.jpg")
    write_image(folder / "deep.png", gradient().astype(np.uint16) * 257)
    image.save(folder / "animated.gif", save_all=True, append_images=[image.rotate(180)])
    exif = PIL.Image.Exif()
    exif[Base.Orientation] = 6
    image.save(folder / "rotated.jpg", exif=exif)
    (folder / "text.jpg").write_text("a shopping list")
    (folder / "empty.jpg").touch()
    for name in ("truncated.jpg", "truncated.png"):
        write_image(folder / name, head())
        (folder / name).write_bytes((folder / name).read_bytes()[:3000])
    (folder / "video.tif").write_bytes(bytes(1000))
    (folder / "notes.txt").write_text("not asked for")
    return folder


@pytest.fixture(scope="module")
def batch(album, tmp_path_factory):
    """The whole album in one run."""
    output = tmp_path_factory.mktemp("results")
    write_image(output / "gray.png", gradient(1, 1))
    done = revisage("restore", album, "-o", output, "--scale", "2", "--overwrite")
    return done, output


class TestAlbum:
    def test_exit_code_says_that_some_failed(self, batch):
        assert batch[0].returncode == 1

    @pytest.mark.parametrize(("name", "says"), BAD.items())
    def test_a_bad_photo_gets_one_clear_line(self, batch, album, name, says):
        lines = [line for line in batch[0].stderr.splitlines() if str(album / name) in line]
        assert len(lines) == 1
        assert lines[0].startswith("error: ")
        assert says in lines[0]

    def test_nothing_else_is_complained_about(self, batch):
        assert len(batch[0].stderr.splitlines()) == len(BAD)

    @pytest.mark.parametrize(("name", "result"), GOOD.items())
    def test_a_good_photo_is_restored(self, batch, album, name, result):
        before, after = read_image(album / name), read_image(batch[1] / (result or name))
        assert after.shape == (before.shape[0] * 2, before.shape[1] * 2, 3)
        assert after.dtype == before.dtype

    def test_nothing_more_is_written(self, batch):
        written = {str(path.relative_to(batch[1])) for path in batch[1].rglob("*.*") if path.is_file()}
        written -= {str(path.relative_to(batch[1])) for path in (batch[1] / ".revisage").iterdir()}
        assert written == {result or name for name, result in GOOD.items()}

    def test_every_photo_has_a_line(self, batch, album):
        lines = batch[0].stdout.splitlines()
        assert len(lines) == len(GOOD) + 1
        for name in GOOD:
            assert sum(line.startswith(f"{album / name} -> ") for line in lines) == 1

    def test_lines_tell_the_faces(self, batch, album):
        face, gray = (
            next(line for line in batch[0].stdout.splitlines() if line.startswith(str(album / name)))
            for name in ("Großmutter & 家族 1.jpg", "gray.png")
        )
        assert "1 face, 1 restored" in face
        assert gray.endswith("no faces")

    def test_closing_line_counts(self, batch):
        last = batch[0].stdout.splitlines()[-1]
        assert last.startswith(f"{len(GOOD) + len(BAD)} photos: {len(GOOD)} done, {len(BAD)} failed")

    def test_the_face_has_changed_and_the_corner_has_not(self, batch):
        after = read_image(batch[1] / "sub" / "face.png").astype(int)
        enlarged = cv2.resize(head()[::2, ::2], (200, 200), interpolation=cv2.INTER_LANCZOS4).astype(int)
        difference = np.abs(after - enlarged)
        assert difference[60:140, 60:140].mean() > 1
        assert difference[:4, :4].max() <= 1

    def test_kinds_of_pixels_survive(self, batch):
        modes = {name: PIL.Image.open(batch[1] / name).mode for name in ("gray.png", "rgba.png", "cmyk.jpg")}
        assert modes == {"gray.png": "L", "rgba.png": "RGBA", "cmyk.jpg": "RGB"}

    def test_rotated_photo_is_written_upright(self, batch):
        written = PIL.Image.open(batch[1] / "rotated.jpg")
        assert written.size == (60, 80)
        assert written.getexif()[Base.Orientation] == 1

    @pytest.mark.usefixtures("batch")
    def test_originals_are_untouched(self, album):
        assert np.array_equal(read_image(album / "sub" / "face.png"), head()[::2, ::2])

    def test_another_run_skips_what_is_there(self, batch, album):
        stamp = (batch[1] / "gray.png").stat().st_mtime_ns
        again = revisage("restore", album / "gray.png", "-o", batch[1])
        assert again.returncode == 0
        assert "exists already" in again.stdout
        assert (batch[1] / "gray.png").stat().st_mtime_ns == stamp


def test_saved_faces_and_names(tmp_path):
    write_image(tmp_path / "a.png", head())
    done = revisage(
        "restore",
        *(tmp_path / "a.png", "-o", tmp_path / "out", "--save-faces"),
        *("--only-center-face", "--strength", "0"),
        *("--suffix", "new", "--format", "webp"),
    )
    assert done.returncode == 0, done.stderr
    names = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*"))
    assert names == [
        "cmp/a_00.png",
        "cropped_faces/a_00.png",
        "restored_faces/a_00_new.png",
        "restored_imgs/a_new.webp",
    ]
    strip = read_image(tmp_path / "out" / "cmp" / "a_00.png")
    assert strip.shape == (512, 1024, 3)
    assert np.array_equal(strip[:, :512], strip[:, 512:])  # strength 0 changes nothing


def test_aligned_face(tmp_path):
    write_image(tmp_path / "a.png", head())
    assert revisage("restore", tmp_path / "a.png", "-o", tmp_path / "out", "--aligned").returncode == 0
    assert read_image(tmp_path / "out" / "a.png").shape == (512, 512, 3)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["none.jpg"], "no such file"),
        (["*.jpg"], "nothing matches"),
        (["."], "no images or videos"),
        ([], "Missing argument"),
        (["a.png", "--strength", "1.5"], "--strength"),
        (["a.png", "--scale", "0"], "--scale"),
        (["a.png", "--colour"], "No such option"),
        (["a.png", "--format", "gif"], "unknown format"),
        (["a.png", "--suffix", "../x"], "suffix"),
        (["a.png", "--model", "gfpgan-9"], "gfpgan-9"),
        (["a.png", "--device", "abacus"], "abacus"),
    ],
)
def test_a_wrong_call_is_exit_code_2_and_no_traceback(tmp_path, arguments, says):
    if "a.png" in arguments:
        write_image(tmp_path / "a.png", gradient())
    done = revisage("restore", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "restored").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
def test_full_disk(tmp_path):
    """A limit on the size of files stands for the full disk: the write fails half way."""
    import resource

    write_image(tmp_path / "a.png", np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    write_image(tmp_path / "b.png", gradient(8, 8))
    done = subprocess.run(
        [*COMMAND, "restore", tmp_path / "a.png", tmp_path / "b.png", "-o", tmp_path / "out"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192)),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: cannot write {tmp_path / 'out' / 'a.png'}: ")
    assert len(done.stderr.splitlines()) == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.png"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_output(tmp_path):
    write_image(tmp_path / "a.png", gradient())
    (tmp_path / "out").mkdir(mode=0o500)
    done = revisage("restore", tmp_path / "a.png", "-o", tmp_path / "out")
    assert done.returncode == 1
    assert done.stderr == f"error: cannot write {tmp_path / 'out' / 'a.png'}: no permission to write there\n"


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_interrupt_leaves_no_half_file(tmp_path):
    for number in range(60):
        write_image(tmp_path / "album" / f"{number:02d}.png", gradient(300, 400))
    command = [*COMMAND, "restore", str(tmp_path / "album"), "-o", str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()  # the first photo is done
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=600)
    assert process.returncode == 130
    assert "Traceback" not in complaints
    written = sorted((tmp_path / "out").glob("*.*g"))
    assert 1 <= len(written) < 60
    assert not hidden_files(tmp_path / "out")
    assert all(read_image(path).shape == (600, 800, 3) for path in written)
