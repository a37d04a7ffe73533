import pytest

from revisage.cli.classic import BACKGROUNDS, VERSIONS, modern
from revisage.errors import InputError
from revisage.models.registry import MODELS


@pytest.mark.parametrize(
    ("classic", "present"),
    [
        ("-o results", "--output results"),
        ("-v 1", "--model gfpgan-1"),
        ("-v 1.4", "--model gfpgan-1.4"),
        ("--version RestoreFormer", "--model restoreformer"),
        ("-s 4", "--scale 4"),
        ("--upscale 4", "--scale 4"),
        ("--bg_upsampler realesrgan", "--background realesrgan-x2plus"),
        ("--bg_upsampler None", "--background lanczos"),
        ("--bg_tile 0", "--tile 0"),
        ("--suffix better", "--suffix better"),
        ("--only_center_face", "--only-center-face"),
        ("--aligned", "--aligned"),
        ("--ext png", "--format png"),
        ("-w 0.5", "--strength 1"),
        ("--weight 0.75", "--strength 0.5"),
    ],
)
def test_every_classic_flag_has_its_present_form(classic, present):
    assert modern(["restore", "photo.jpg", *classic.split()]) == ["restore", "photo.jpg", *present.split()]


@pytest.mark.parametrize("form", ["-s2", "-s=2", "-s 2", "--upscale=2", "--upscale 2", "-upscale 2", "-upscale=2"])
def test_values_may_be_written_in_any_usual_way(form):
    assert modern(["restore", *form.split()]) == ["restore", "--scale", "2"]


@pytest.mark.parametrize("form", ["-i", "--input", "-input"])
def test_photos_given_by_input_ask_for_the_classic_folders(form):
    assert modern(["restore", form, "inputs/my photos", "-s", "2"]) == [
        "restore", "inputs/my photos", "--scale", "2", "--save-faces",
    ]  # fmt: skip


def test_the_classic_readmes_usage_is_understood():
    usage = (
        "restore -i inputs/whole_imgs -o results -v 1.3 -s 2 -bg_upsampler realesrgan -bg_tile 400 -only_center_face"
    )
    present = (
        "restore inputs/whole_imgs --output results --model gfpgan-1.3 --scale 2 "
        "--background realesrgan-x2plus --tile 400 --only-center-face --save-faces"
    )
    assert " ".join(modern(usage.split())) == present


def test_what_has_a_present_form_stays_as_it_is():
    line = "restore a.jpg --output out --model m.pth --scale 2 --strength 0.5 --reference=b.jpg --faces 0,1 -"
    assert " ".join(modern(line.split())) == line


def test_underscores_stand_for_dashes_in_names_but_not_in_values():
    assert modern(["restore", "--save_faces", "--min_identity=0_5", "a_b.jpg", "--suffix", "x_y"]) == [
        "restore", "--save-faces", "--min-identity=0_5", "a_b.jpg", "--suffix", "x_y",
    ]  # fmt: skip


def test_a_value_that_looks_like_a_flag_is_a_value():
    assert modern(["restore", "-o", "-v"]) == ["restore", "--output", "-v"]


def test_after_two_dashes_everything_is_a_photo():
    assert modern(["restore", "-i", "a.jpg", "--", "-v", "-s"]) == [
        "restore",
        "a.jpg",
        "--save-faces",
        "--",
        "-v",
        "-s",
    ]


@pytest.mark.parametrize("line", [[], ["--version"], ["train", "-v", "1.4"], ["models", "--dry_run"]])
def test_other_commands_are_left_alone(line):
    assert modern(line) == line


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("-v 1.5", "unknown version '1.5'; choose one of 1, 1.2, 1.3, 1.4, RestoreFormer, or any model by --model"),
        ("-w much", "weight must be a number from 0 to 1, not 'much'; its present name is --strength"),
        ("-w 7", "weight must be between 0"),
        ("-s", "-s needs a value; its present name is --scale"),
        ("-i", "-i needs a value"),
    ],
)
def test_what_means_nothing_is_answered_with_the_present_name(line, message):
    with pytest.raises(InputError) as caught:
        modern(["restore", *line.split()])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_present_option_without_value_is_not_told_its_own_name():
    with pytest.raises(InputError, match=r"^--output needs a value$"):
        modern(["restore", "photo.jpg", "--output"])


def test_versions_and_backgrounds_are_names_of_the_catalogue():
    assert {*VERSIONS.values(), *BACKGROUNDS.values()} - {"lanczos"} <= set(MODELS)
