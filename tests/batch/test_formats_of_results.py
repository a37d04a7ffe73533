"""The format of a result: by content, able to hold it, refused before the network runs; losses named or refused."""

import sys

import numpy as np
import PIL.Image
import pytest

from revisage.batch import Options, collect, restore_files
from revisage.images import read_photo, write_image
from revisage.jobs.json_fields import outcome_fields
from revisage.restore.controls import Controls
from revisage.restore.pipeline import Restorer
from revisage.types import Face


def restorer():
    return Restorer("test", lambda _: [], lambda x: x, 64)


def forbidden():
    return Restorer("test", lambda _: pytest.fail("the network ran"), lambda x: x, 64)


def cutout(mode="RGBA", size=(30, 20)):
    image = PIL.Image.new("RGB", size, (200, 90, 30)).convert(mode)
    image.putalpha(PIL.Image.linear_gradient("L").resize(size))
    return image


def run(tmp_path, path, made_by=None, scale=1.0, **options):
    options = Options(output=tmp_path / "out", controls=Controls(scale=scale), **options)
    (outcome,) = restore_files(made_by or restorer(), collect([path]), options)
    return outcome


@pytest.mark.parametrize(("kind", "name", "written"), [("PNG", "a.jpg", "a.png"), ("JPEG", "a.png", "a.jpg")])
def test_the_format_follows_what_the_file_is(tmp_path, kind, name, written):
    PIL.Image.new("RGB", (9, 9)).save(tmp_path / name, kind)
    outcome = run(tmp_path, tmp_path / name)
    assert (outcome.target.name, outcome.note) == (written, f"it is a {kind} file")
    assert PIL.Image.open(outcome.target).format == kind


def test_a_file_without_an_extension_gets_that_of_its_format(tmp_path):
    PIL.Image.new("RGB", (9, 9)).save(tmp_path / "photo", "JPEG")
    assert run(tmp_path, tmp_path / "photo").target.name == "photo.jpg"


def test_transparency_goes_to_a_format_that_holds_it(tmp_path):
    cutout().save(tmp_path / "a.jpg", "PNG")
    outcome = run(tmp_path, tmp_path / "a.jpg")
    assert outcome.error == ""
    assert PIL.Image.open(outcome.target).mode == "RGBA"


def test_an_image_too_large_for_its_format_goes_to_png(tmp_path):
    PIL.Image.new("RGB", (9000, 2)).save(tmp_path / "a.webp")
    outcome = run(tmp_path, tmp_path / "a.webp", scale=2.0)
    assert (outcome.target.name, outcome.note) == ("a.png", "WEBP holds at most 16383 pixels a side")
    assert PIL.Image.open(outcome.target).size == (18_000, 4)


@pytest.mark.parametrize("format", ["jpg", "bmp"])
def test_a_format_asked_for_that_holds_no_transparency_is_refused_before_the_network_runs(tmp_path, format):
    cutout().save(tmp_path / "a.png")
    outcome = run(tmp_path, tmp_path / "a.png", forbidden(), format=format)
    assert "holds no transparency; choose png, tif or webp" in outcome.error


def test_a_format_asked_for_that_is_too_small_is_refused_before_the_network_runs(tmp_path):
    PIL.Image.new("RGB", (9000, 2)).save(tmp_path / "a.png")
    outcome = run(tmp_path, tmp_path / "a.png", forbidden(), scale=2.0, format="webp")
    assert "WEBP holds at most 16383 pixels a side" in outcome.error


@pytest.mark.parametrize("format", ["jpg", "webp", "avif", "bmp"])
def test_a_format_asked_for_that_holds_fewer_bits_is_refused_before_the_network_runs(tmp_path, format):
    write_image(tmp_path / "a.png", np.zeros((9, 9, 3), np.uint16))
    assert "holds 8 bits a channel" in run(tmp_path, tmp_path / "a.png", forbidden(), format=format).error


@pytest.mark.parametrize(
    ("format", "says"), [("heic", "pip install 'revisage[heif]'"), ("avif", "this build of Pillow")]
)
def test_a_missing_encoder_is_found_before_the_network_runs(tmp_path, monkeypatch, format, says):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    PIL.Image.init()
    monkeypatch.delitem(PIL.Image.SAVE, "AVIF", raising=False)
    PIL.Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    assert says in run(tmp_path, tmp_path / "a.png", forbidden(), format=format).error


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_every_frame_is_restored_into_the_same_kind_of_file(tmp_path, kind):
    frames = [PIL.Image.new("RGB", (30, 20), (60 * i, 90, 200 - 60 * i)) for i in range(4)]
    more = {} if kind == "TIFF" else {"duration": 80}
    frames[0].save(tmp_path / f"a.{kind.lower()}", kind, save_all=True, append_images=frames[1:], **more)
    outcome = run(tmp_path, tmp_path / f"a.{kind.lower()}", scale=2.0)
    assert (outcome.frames, outcome.left_out, outcome.error) == (4, (), "")
    assert outcome.target.name == f"a.{kind.lower()}"
    written = read_photo(outcome.target)
    assert [frame.shape for frame in written.frames] == [(40, 60, 3)] * 4
    assert abs(int(written.frames[3][20, 30, 0]) - 180) < 6


@pytest.mark.parametrize("kind", ["GIF", "TIFF"])
def test_faces_of_several_frames_have_their_frame_and_number(tmp_path, kind):
    points = np.array([[8, 10], [16, 10], [12, 14], [9, 18], [15, 18]], np.float32)
    faces = [
        Face(np.array([4 + x, 2, 20 + x, 22], np.float32), points + np.array([x, 0], np.float32), 0.9) for x in (0, 40)
    ]
    frames = [PIL.Image.new("RGB", (80, 24), (60 * i, 90, 30)) for i in range(3)]
    frames[0].save(tmp_path / "a", kind, save_all=True, append_images=frames[1:])
    outcome = run(tmp_path, tmp_path / "a", Restorer("test", lambda _: faces, lambda x: x, 64))
    found = [(face["frame"], face["number"], face["box"][0]) for face in outcome_fields(outcome)["faces"]]
    assert found == [(frame, number, 4 + 40 * number) for frame in range(3) for number in range(2)]


def test_frames_without_room_are_named(tmp_path):
    frames = [PIL.Image.new("RGB", (30, 20), (60 * i, 90, 30)) for i in range(4)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    outcome = run(tmp_path, tmp_path / "a.gif", format="jpg")
    assert outcome.left_out == ("3 further frames (JPEG holds one)",)


def test_strict_refuses_losses_before_the_network_runs(tmp_path):
    frames = [PIL.Image.new("RGB", (30, 20), (60 * i, 90, 30)) for i in range(4)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    outcome = run(tmp_path, tmp_path / "a.gif", forbidden(), format="jpg", strict=True)
    assert "it would lack 3 further frames" in outcome.error


def test_what_was_wrong_with_a_file_is_a_warning(tmp_path):
    PIL.Image.new("RGB", (30, 20)).save(tmp_path / "whole.jpg")
    (tmp_path / "a.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:-2])
    outcome = run(tmp_path, tmp_path / "a.jpg")
    assert (outcome.error, outcome.warnings) == (
        "",
        (f"{tmp_path / 'a.jpg'}: it has no end mark; no pixel is missing",),
    )


def test_damaged_photos_are_restored_on_request(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    PIL.Image.fromarray(noise).save(tmp_path / "whole.jpg")
    data = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(data[: len(data) * 9 // 10])
    assert "use --allow-damaged" in run(tmp_path, tmp_path / "a.jpg").error
    assert run(tmp_path, tmp_path / "a.jpg", allow_damaged=True).error == ""


def test_a_second_run_opens_nothing_to_find_the_formats(tmp_path, monkeypatch):
    PIL.Image.new("RGB", (9, 9)).save(tmp_path / "a.jpg")
    assert not run(tmp_path, tmp_path / "a.jpg", resume=True).error
    monkeypatch.setattr("revisage.batch.names.choose_extension", lambda *_: pytest.fail("it was opened"))
    assert run(tmp_path, tmp_path / "a.jpg", resume=True).up_to_date
