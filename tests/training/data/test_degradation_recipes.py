import numpy as np
import pytest
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from revisage.training.data.degradations.published import FFHQDegradation
from revisage.training.data.degradations.recipes import (
    DEGRADATIONS,
    STEPS,
    DegradationSettings,
    Steps,
    build_degradation,
    build_step,
    to_settings,
)

NEEDED = {
    "random_apply": {"probability": 0.5, "steps": [{"step": "gray"}]},
    "random_choice": {"steps": [{"step": "gray"}, {"step": "sepia"}]},
    "random_order": {"steps": [{"step": "gray"}, {"step": "sepia"}]},
}


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    degradation: DegradationSettings


def make_image(height=48, width=40):
    rng = np.random.default_rng(0)
    return (0.5 + 0.3 * rng.standard_normal((height, width, 3))).clip(0, 1).astype(np.float32)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("name", STEPS)
def test_a_step_keeps_the_form_of_images_and_leaves_its_input_alone(name):
    step = build_step({"step": name, **NEEDED.get(name, {})})
    image = make_image()
    before = image.copy()
    for seed in range(6):
        result = step(image, rng(seed))
        assert result.dtype == np.float32
        assert result.shape[2:] == (3,)
        assert result.min() >= -1e-6
        assert result.max() <= 1 + 1e-6
        assert np.array_equal(result, step(image, rng(seed)))
    assert np.array_equal(image, before)


@pytest.mark.parametrize("name", STEPS)
def test_a_step_says_its_settings_and_is_made_of_them_again(name):
    step = build_step({"step": name, **NEEDED.get(name, {})})
    assert to_settings(step)["step"] == name
    assert build_step(to_settings(step)) == step


@pytest.mark.parametrize("name", sorted(DEGRADATIONS.keys() - {"steps"}))
def test_a_degradation_returns_two_images_of_the_size_of_the_original(name):
    lq, gt = build_degradation({"degradation": name})(make_image(), rng())
    assert lq.shape == gt.shape == (48, 40, 3)
    assert np.allclose(lq * 255, np.rint(lq * 255), atol=1e-4)


def test_a_list_in_yaml_is_a_degradation():
    text = "[{step: exposure, factor: [0.5, 0.5]}, {step: random_apply, probability: 0, steps: [{step: gray}]}]"
    lq, gt = build_degradation(yaml.safe_load(text))(make_image(), rng())
    np.testing.assert_allclose(lq, 0.5 * gt, atol=0.5 / 255 + 1e-6)


def test_settings_go_through_json_unchanged():
    settings = Settings(degradation=[{"step": "mixed_blur", "kinds": {"sinc": 1}}, {"step": "second_order"}])
    assert Settings.model_validate_json(settings.model_dump_json()) == settings
    assert Settings(degradation={"degradation": "ffhq"}).degradation == FFHQDegradation()


def test_a_function_is_a_step_too():
    def darker(image, rng):
        return image / 2

    lq, gt = build_degradation([darker, {"step": "gray"}])(make_image(), rng())
    assert lq.mean() == pytest.approx(gt.mean() / 2, abs=0.02)
    degradation = Steps(steps=())
    assert build_degradation(degradation) is degradation


def test_blur_and_downsampling_of_a_recipe_are_done_at_once_and_look_the_same():
    image = np.repeat(make_image(24, 20), 4, axis=0).repeat(4, axis=1)
    steps = [{"step": "blur", "sigma": [2, 4]}, {"step": "downsample"}]
    quick, _ = build_degradation(steps)(image, rng(3))
    plain, _ = Steps(tuple(build_step(step) for step in steps), 0.0)(image, rng(3))
    assert np.abs(quick - plain).mean() * 255 < 1.5


@pytest.mark.parametrize(
    ("settings", "place", "message"),
    [
        ([{"step": "blurr"}], ("steps", 0), "unknown step 'blurr'; did you mean blur"),
        ([{"step": "blur", "sgma": 3}], ("steps", 0), "unknown key 'sgma' of blur; did you mean sigma"),
        ([{"step": "gray", "strength": 3}], ("steps", 0), "known: none"),
        ([{"sigma": 3}], ("steps", 0), "the key step is needed"),
        ([{"step": "blur", "sigma": [3, 1]}], ("steps", 0, "sigma"), "from low to high"),
        ([{"step": "blur", "size": 40}], ("steps", 0, "size"), "odd"),
        (
            [{"step": "random_apply", "probability": 2, "steps": []}],
            ("steps", 0, "probability"),
            "less than or equal to 1",
        ),
        ([{"step": "random_choice", "steps": []}], ("steps", 0, "steps"), "at least 1 item"),
        (
            [{"step": "random_apply", "probability": 1, "steps": [{"step": "sepia", "x": 1}]}],
            ("steps", 0, "steps", 0),
            "unknown key 'x' of sepia",
        ),
        ({"degradation": "ffhq", "kernel_prob": [1]}, (), "as many entries"),
        ({"degradation": "fhq"}, (), "did you mean ffhq"),
        (3, (), "the key degradation is needed"),
    ],
)
def test_a_wrong_setting_is_named_with_its_place(settings, place, message):
    with pytest.raises(ValidationError) as caught:
        Settings(degradation=settings)
    (error,) = caught.value.errors()
    assert error["loc"] == ("degradation", *place)
    assert message in error["msg"]


def test_steps_are_applied_as_often_as_said():
    step = build_step({"step": "random_apply", "probability": 0.3, "steps": [{"step": "exposure", "factor": [0, 0]}]})
    assert np.mean([step(make_image(), rng(seed)).max() == 0 for seed in range(400)]) == pytest.approx(0.3, abs=0.07)
