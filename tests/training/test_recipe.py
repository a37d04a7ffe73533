"""Recipes made to harm, and wrong ones: one line that names the file; nothing is run, nothing takes long."""

from pathlib import Path

import pytest
import yaml

from locations import RECIPES
from revisage.errors import RecipeError
from revisage.training.config import weights_file
from revisage.training.recipe import MAX_SIZE, read_recipe

SMOKE = RECIPES / "smoke.yml"


def error_of(tmp_path, text, *overrides):
    path = tmp_path / "own.yml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    with pytest.raises(RecipeError) as caught:
        read_recipe(path, overrides)
    message = str(caught.value)
    assert "own.yml" in message or "--set" in message
    assert message.isprintable()
    return message


def test_a_billion_laughs_are_refused(tmp_path):
    levels = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30))
    assert "unfold to" in error_of(tmp_path, f"a0: &a0 [ha]\n{levels}name: *a29\n")


def test_a_billion_laughs_in_an_override_are_refused(tmp_path):
    levels = ", ".join(f"&a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30))
    assert "unfold to" in error_of(tmp_path, SMOKE.read_text(), f"name=[&a0 [ha], {levels}]")


def test_a_reference_is_no_harm(tmp_path):
    content = yaml.safe_load(SMOKE.read_text())
    (tmp_path / "own.yml").write_text(f"x: &s {content['seed']}\n" + SMOKE.read_text().replace("seed:", "seed: *s #"))
    with pytest.raises(RecipeError, match="unknown key 'x'"):
        read_recipe(tmp_path / "own.yml")


@pytest.mark.parametrize(
    "text",
    [
        "name: !!python/object/apply:os.mkdir [ran]",
        "!!python/object/new:os.system [mkdir ran]",
        "name: !!python/name:os.system",
        "name: !!python/module:antigravity",
    ],
)
def test_objects_of_python_are_refused_and_not_made(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    assert "could not determine a constructor" in error_of(tmp_path, text)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("text", ["[" * 5_000, "{a: " * 5_000, "- " * 5_000, "a: &a [*a]\nname: *a"])
def test_what_is_nested_too_deeply_or_in_itself_is_refused(tmp_path, text):
    assert "nested too deeply" in error_of(tmp_path, text)


@pytest.mark.parametrize(
    "value", ["2001-99-99", "9" * 5000, "!!int x", "!!float x", "!!timestamp x", "!!bool x", "!!binary é", "!!set 3"]
)
def test_values_that_are_none_are_refused(tmp_path, value):
    assert "own.yml" in error_of(tmp_path, f"name: {value}")


@pytest.mark.parametrize(
    "override", ["a=[", "name=2001-99-99", "name=\udcff", "=", "seed.x=1", "a", "", f"seed={'9' * 5000}"]
)
def test_wrong_overrides_are_refused(tmp_path, override):
    error_of(tmp_path, SMOKE.read_text(), override)


@pytest.mark.parametrize("text", ["", "3", "- a", "a\0b", b"\xff\xfe", b"\xed\xa0\x80: 1", "\x1b[2J: 1", "? [a]\n: b"])
def test_what_is_no_recipe_is_refused(tmp_path, text):
    error_of(tmp_path, text)


def test_a_recipe_of_a_gigabyte_is_not_read(tmp_path):
    assert f"more than the {MAX_SIZE}" in error_of(tmp_path, b"#" * (MAX_SIZE + 1))


@pytest.mark.parametrize("name", ["../../../etc/passwd", "/dev/zero", "/etc"])
def test_paths_in_a_recipe_are_not_touched_by_reading_it(name):
    recipe = read_recipe(RECIPES / "embedded_detector.yml", [f"task.photos={name}"])
    assert recipe.task.photos == Path(name)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("task.crops=x", "task.crops: a list, such as [x], not the text 'x'"),
        ("training.batch=many", "training.batch: a whole number, not the text 'many'"),
        ("training.compile=maybe", "training.compile: true or false, not the text 'maybe'"),
        ("task.network=3", "task.network: a group of settings, not the number 3"),
        ("task.network.type=Restoration", "task.network.type: unknown 'Restoration'; did you mean RestorationUNet?"),
        ("task.losses.pixel.distance=l3", "task.losses.pixel.distance: should be 'l1', 'l2' or 'charbonnier', not"),
        ("task.degradation=[[{step: blurr}]]", "task.degradation.0.0: unknown step 'blurr'; did you mean blur"),
        ("task.degradation=[]", "task.degradation: needs at least 1 entries, not 0"),
        ("task.patch=128", "task: patch is 128, larger than size, 64"),
        ("task={kind: restorer}", "task.network: is missing"),
    ],
)
def test_a_wrong_value_gets_one_line_in_our_words(tmp_path, override, message):
    text = error_of(tmp_path, SMOKE.read_text(), override)
    assert message in text
    assert ";" not in text.replace("; did", "")


def test_all_missing_files_are_in_one_message_with_the_command_that_fetches_them(tmp_path, monkeypatch):
    monkeypatch.setenv("REVISAGE_CACHE", str(tmp_path))
    with pytest.raises(RecipeError) as caught:
        read_recipe(RECIPES / "gfpgan_v1.yml", ["task.losses.perceptual.file=weights/vgg19-dcbb9e9d.pth"]).build()
    message = str(caught.value)
    assert "task.data.source: data/ffhq/512" in message
    assert "task.data.landmarks: data/ffhq/FFHQ_eye_mouth_landmarks_512.pth" in message
    assert "task.network.decoder_weights: stylegan2-ffhq-512 (`revisage fetch stylegan2-ffhq-512`)" in message
    assert "weights/vgg19-dcbb9e9d.pth (`revisage fetch vgg19`, then give vgg19 here)" in message
    assert "task.losses.identity.file: arcface-resnet18 (`revisage fetch arcface-resnet18`)" in message
    assert "task.validation.validation.gt: data/validation/reference" in message


def test_a_name_of_published_weights_is_their_file_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("REVISAGE_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert weights_file(Path("vgg19")) == tmp_path / "vgg19-dcbb9e9d.pth"
    assert weights_file(Path("vgg19.pth")) == Path("vgg19.pth")
    (tmp_path / "vgg19").touch()  # a file of one's own goes first
    assert weights_file(Path("vgg19")) == Path("vgg19")


def test_urls_are_not_looked_for_on_the_disk(tmp_path):
    recipe = read_recipe(RECIPES / "stylegan2.yml", ["task.data.source=[s3://bucket/a.tar, b.tar]"])
    with pytest.raises(RecipeError) as caught:
        recipe.build()
    assert str(caught.value).endswith("missing: task.data.source: b.tar")


def test_a_key_that_comes_twice_is_refused(tmp_path):
    assert "the key seed comes twice" in error_of(tmp_path, SMOKE.read_text() + "seed: 2\n")


def test_unknown_keys_do_not_hide_what_else_is_wrong(tmp_path):
    overrides = "foo=1", "task.netwrk=1", "task.network.widths=8", "training.images=oops", "seed=-1"
    message = error_of(tmp_path, SMOKE.read_text(), *overrides)
    for part in (
        "recipe: unknown key 'foo'",
        "task: unknown key 'netwrk'; did you mean network?",
        "task.network.widths: a list, such as [8], not the number 8",
        "training.images: a whole number, not the text 'oops'",
        "seed: should be greater than or equal to 0",
    ):
        assert message.count(part) == 1


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("{step: jpeg, quality: [0, 95]}", "quality.0: should be greater than or equal to 1"),
        ("{step: jpeg, quality: [60, 101]}", "quality.1: should be less than or equal to 100"),
        ("{step: blur, sigma: [0, 3]}", "sigma.0: should be greater than 0"),
        ("{step: downsample, factor: [-1, 4]}", "factor.0: should be greater than 0"),
        ("{step: resize, scale: [0, 1.5]}", "scale.0: should be greater than 0"),
        ("{step: noise, sigma: [-1, 4]}", "sigma.0: should be greater than or equal to 0"),
        ("{step: noise, sigma: [0, .inf]}", "sigma.1: should be a finite number"),
    ],
)
def test_ranges_that_would_fail_in_the_middle_of_a_training_are_refused(tmp_path, step, message):
    assert message in error_of(tmp_path, SMOKE.read_text(), f"task.degradation=[[{step}]]")
