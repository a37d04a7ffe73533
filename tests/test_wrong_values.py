"""Wrong Python values: an InputError in the caller's words, with a suggestion, instead of what happens further in."""

import numpy as np
import PIL.Image
import pytest

import revisage
from revisage.batch import Options, collect
from revisage.errors import did_you_mean
from revisage.restore.controls import Controls
from revisage.video.restore import restore_video

IMAGE = np.zeros((16, 16, 3), np.uint8)
FACE = revisage.Face(np.zeros(4, np.float32), np.zeros((5, 2), np.float32), 0.5)


def restorer():
    return revisage.Restorer("stand-in", lambda _: [], lambda batch: batch, 64)


def call(**options):
    return lambda: restorer()(IMAGE, **options)


def select(*which, **options):
    return lambda: revisage.Selection(*which, **options)


def load(*model, **options):
    return lambda: revisage.load(*model, **options)


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (call(strength="0.5"), "strength is a number between 0 and 1, not '0.5'"),
        (call(strength=np.zeros(2)), "strength is a number between 0 and 1, not of type ndarray"),
        (call(scale="2"), "scale is a number between 0.01 and 8, not '2'"),
        (call(scale=None), "scale is a number between 0.01 and 8, not None"),
        (call(selection="largest"), "write selection=revisage.Selection('largest')"),
        (call(selection=0), "selection is a revisage.Selection, not 0"),
        (call(profile="srgb.icc"), "profile is the content of an ICC profile in bytes"),
        (call(faces=FACE), "faces is a list of revisage.Face"),
        (call(faces=[np.zeros(4)]), "faces holds revisage.Face(box, landmarks, score), not ndarray"),
        (call(faces=[revisage.Face(np.zeros(3), FACE.landmarks, 1)]), "a box of shape (4,)"),
        (lambda: restorer()([IMAGE, IMAGE], faces=[[FACE]]), "one such list for each image"),
        (call(faces=[FACE], aligned=True), "leave out faces, or aligned"),
        (lambda: restorer()("photo.jpg"), "not str"),
        (select([0, 1]), "face numbers are a tuple, which=(0, 1), not [0, 1]"),
        (select(2), "face numbers are a tuple, which=(2,), not 2"),
        (select(roi="1,2,3,4"), "roi is (x1, y1, x2, y2)"),
        (select(roi=(1, "2", 3, 4)), "roi is (x1, y1, x2, y2)"),
        (select(roi=5), "roi is (x1, y1, x2, y2)"),
        (select(reference="bob.jpg"), "reference is a tuple of images"),
        (select(reference=IMAGE), "reference is a tuple of images"),
        (select(order="name"), "order is position or size or score, not 'name'"),
        (select(min_score=None), "min_score is a number between 0 and 1, not None"),
        (load(None), "model is a name (`revisage models` lists them), the path of a file, bytes or a file object"),
        (load(detector=None), "detector is a name"),
        (load(device=0), "device is a text, not of type int; write device='0'"),
        (load(dtype=np.float16), "dtype is a text"),
        (load(batch="2"), "batch is a whole number of faces from 1, not '2'"),
        (load(batch=0), "batch is a whole number of faces from 1, not 0"),
        (load(tile="400"), "tile is a whole number of pixels, not '400'"),
        (load(fidelity=2), "fidelity is a number between 0 and 1, not 2"),
        (load(input_range=(1, 0)), "input_range is (black, white), two numbers, not (1, 0)"),
        (load(channels="RGB"), "channels is 'rgb' or 'bgr', not 'RGB'"),
        (lambda: Options(output=None), "output is a path, not None"),
        (lambda: Options(output="out", controls={"scale": 2}), "controls is a revisage.restore.controls.Controls"),
        (lambda: collect(None), "paths are names of files and folders, or patterns, not None"),
        (lambda: restore_video(restorer(), None, "a.mp4"), "source is the path of a video, not None"),
        (lambda: restore_video(restorer(), "a.mp4", "b.mp4", {"scale": 1}), "controls is a revisage.restore.controls"),
        (lambda: restore_video(restorer(), "a.mp4", "b.mp4", crf=99), "crf is a whole number from 0 to 51, not 99"),
        (call(progress=3), "progress is a function of two numbers, not 3"),
        (lambda: restorer()("a.jpg"), "not str; read it with revisage.read_image"),
        (lambda: revisage.write_image(IMAGE, "a.png"), "write_image(target, image)"),
        (lambda: revisage.write_image("a.png", None), "an image is a numpy array or a Pillow image, not NoneType"),
        (lambda: revisage.write_image("a.png", []), "there is no image to write"),
        (lambda: revisage.write_image("a.jpg", IMAGE, quality=200), "quality is a whole number from 1 to 100, not 200"),
        (lambda: revisage.write_image("a.jpg", IMAGE, quality="90"), "quality is a whole number from 1 to 100"),
        (lambda: revisage.write_image("a.jpg", IMAGE, format=3), "format is an extension, 'png' say, not 3"),
        (lambda: revisage.read_image("a.jpg", max_pixels="1"), "max_pixels is a whole number, not '1'"),
        (lambda: revisage.tune_process("4"), "threads is a whole number from 1, not '4'"),
    ],
)
def test_a_wrong_value_is_named_in_the_callers_words(attempt, message):
    with pytest.raises(revisage.InputError) as caught:
        attempt()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("attempt", "suggestion"),
    [
        (call(weight=0.5), "strength"),
        (call(upscale=2), "scale"),
        (call(strenght=0.5), "strength"),
        (call(which="largest"), "selection=revisage.Selection(which=...)"),
        (call(min_size=40), "selection=revisage.Selection(min_size=...)"),
        (lambda: Controls(weight=0.5), "strength"),
        (select(faces=0), "which"),
        (select(wich="largest"), "which"),
        (load(devise="cpu"), "device"),
        (load(gpu=0), "device"),
        (load(model_path="a.pth"), "model"),
        (load(batch_size=4), "batch"),
        (load(weight=0.5), "strength= in the call of the restorer"),
        (lambda: revisage.tune_process(thread=2), "threads"),
        (lambda: revisage.write_image("a.png", IMAGE, qualty=90), "quality"),
        (lambda: Options(output="out", sufix="x"), "suffix"),
        (lambda: Options(output="out", scale=2), "controls=Controls(scale=...)"),
        (lambda: restore_video(restorer(), "a.mp4", "b.mp4", scale=2), "controls=Controls(scale=...)"),
        (lambda: revisage.read_image("a.png", alow_damaged=True), "allow_damaged"),
        (lambda: revisage.read_image(path="a.png"), "source"),
        (lambda: revisage.read_profile(file="a.png"), "source"),
    ],
)
def test_a_misspelt_keyword_gets_a_suggestion(attempt, suggestion):
    with pytest.raises(revisage.InputError) as caught:
        attempt()
    assert str(caught.value).startswith("unknown option ")
    assert str(caught.value).endswith(f"; did you mean {suggestion}?")


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("GFPGANv1.4", "gfpgan-1.4"),
        ("GFPGANv1.3.pth", "gfpgan-1.3"),
        ("gfpgan", "gfpgan-1.4"),
        ("RestoreFormer", "restoreformer"),
        ("RestoreFormer++", "restoreformer++"),
        ("embeded", "embedded"),
        (
            "CodeFormer",
            "the path of its .pth file (pip install 'revisage[spandrel]'), or of an exported .onnx file",
        ),
    ],
)
def test_the_name_of_a_model_elsewhere_gets_the_one_here(name, suggestion):
    with pytest.raises(revisage.UnknownModelError) as caught:
        revisage.load(name)
    assert f"; did you mean {suggestion}?" in str(caught.value)


def test_suggestions_rank_meaning_before_case_and_case_before_spelling():
    known = ["like", "quality", "Weight"]
    assert did_you_mean("quiet", known, {"quiet": "silent"}) == "; did you mean silent?"
    assert did_you_mean("WEIGHT", known) == "; did you mean Weight?"
    assert did_you_mean("qualitty", known) == "; did you mean quality?"
    assert did_you_mean("nothing-near", known) == ""


def test_an_option_that_is_known_passes_as_before():
    assert restorer()(IMAGE, scale=1, strength=np.float32(0.5)).faces == []


def test_one_path_is_taken_as_well_as_a_list_of_them(tmp_path):
    revisage.write_image(tmp_path / "a.png", IMAGE)
    for paths in (tmp_path, str(tmp_path), [tmp_path], (str(tmp_path),), tmp_path.glob("*")):
        assert [source.path.name for source in collect(paths)] == ["a.png"]


def test_a_format_is_taken_in_any_writing(tmp_path):
    assert {Options(output=tmp_path, format=one).format for one in ("jpg", ".jpg", "JPG")} == {"jpg"}


def test_an_identity_network_that_is_not_there_is_missed_before_its_first_use():
    with pytest.raises(revisage.UnknownModelError, match="did you mean arcface-resnet18"):
        revisage.load(identity="arcface")


def test_a_gray_image_of_mode_i_that_is_nearly_black_is_not_taken_silently():
    levels = PIL.Image.fromarray(np.full((16, 16), 200, np.int32))
    with pytest.warns(UserWarning, match="convert it to L if 8 bits are meant"):
        restorer()(levels, scale=1)
