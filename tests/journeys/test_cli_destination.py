"""Where results go: -o with the name of a file, - for stdin and stdout, and folders that cannot take them."""

import io
import subprocess
import sys

import PIL.Image
import pytest
from typer.testing import CliRunner

from revisage.cli import app
from revisage.cli.destination import file_of, pipes, refuse_input_folder
from revisage.errors import InputError, OutputError
from revisage.jobs.collector import Kind, collect


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "album" / "a.jpg"
    path.parent.mkdir()
    PIL.Image.new("RGB", (40, 30), (200, 90, 30)).save(path)
    return path


def test_stdin_goes_to_stdout_and_lines_to_stderr(photo):
    command = [sys.executable, "-m", "revisage", "restore", "-"]
    done = subprocess.run(command, input=photo.read_bytes(), capture_output=True, check=True)
    result = PIL.Image.open(io.BytesIO(done.stdout))
    assert (result.format, result.size) == ("JPEG", (80, 60))
    assert b"stdin -> stdout/stdin.jpg: no faces" in done.stderr


@pytest.mark.parametrize("inputs", [["."], ["a.jpg", "b.jpg"], ["*.jpg"], ["a.jpg", "--save-faces"]])
def test_stdout_takes_one_result(photo, monkeypatch, inputs):
    """Of several it would be one file behind the other, of folders below nothing."""
    (photo.parent / "b.jpg").write_bytes(photo.read_bytes())
    monkeypatch.chdir(photo.parent)
    done = CliRunner().invoke(app, ["restore", *inputs, "-o", "-"])
    assert "stdout takes the result of one photo or video" in str(done.exception)
    assert done.stdout == ""


def test_one_photo_is_written_to_the_file_that_is_named(photo, tmp_path):
    target = tmp_path / "new" / "result.PNG"
    done = CliRunner().invoke(app, ["restore", str(photo), "-o", str(target)])
    assert done.exit_code == 0, done.output
    assert PIL.Image.open(target).format == "PNG"
    assert [path.name for path in target.parent.iterdir()] == ["result.PNG"]


def test_the_folder_of_the_originals_is_refused_before_anything_is_loaded(photo, monkeypatch):
    monkeypatch.setattr("revisage.loading.load", lambda *_, **__: pytest.fail("loaded"))
    done = CliRunner().invoke(app, ["restore", str(photo.parent), "-o", str(photo.parent)])
    assert "folder of the originals" in str(done.exception) + done.output


@pytest.mark.parametrize("pattern", ["", "*.jpg"])
def test_the_folder_of_the_originals_is_refused(photo, pattern):
    with pytest.raises(InputError, match="folder of the originals"):
        refuse_input_folder(collect([photo.parent / pattern]), photo.parent)


def test_several_photos_do_not_go_into_one_file(photo, tmp_path):
    with pytest.raises(InputError, match="one file, and there may be several results"):
        file_of(tmp_path / "b.png", collect([photo.parent]))


def test_a_photo_does_not_become_a_video(photo, tmp_path):
    with pytest.raises(InputError, match="kind video"):
        file_of(tmp_path / "b.mp4", collect([photo], (Kind.IMAGE, Kind.VIDEO)))


@pytest.mark.parametrize("option", [{"suffix": "x"}, {"format": "png"}, {"save_faces": True}])
def test_a_file_that_is_named_needs_no_options_for_names(photo, tmp_path, option):
    with pytest.raises(InputError, match=f"--{next(iter(option)).replace('_', '-')} is for folders"):
        file_of(tmp_path / "b.png", collect([photo]), **option)


def test_a_folder_that_exists_is_a_folder_whatever_its_name(photo, tmp_path):
    (tmp_path / "photos.jpg").mkdir()
    assert file_of(tmp_path / "photos.jpg", collect([photo])) is None


def test_stdin_beside_other_inputs_is_refused():
    with pytest.raises(InputError, match="stdin"), pipes(["-", "a.jpg"], None):
        pass


def test_no_image_is_written_to_a_terminal(monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    with pytest.raises(OutputError, match="terminal"), pipes(["-"], None):
        pass


def test_without_a_dash_nothing_is_redirected():
    stdout = sys.stdout
    with pipes(["a.jpg"], None) as (paths, output, send):
        send()
        assert (paths, str(output), sys.stdout) == (["a.jpg"], "restored", stdout)
