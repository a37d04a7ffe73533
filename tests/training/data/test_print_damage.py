import numpy as np
import pytest

from revisage.training.data.degradations.lookalikes import LOOKALIKES, Lookalikes
from revisage.training.data.degradations.print_damage import PrintDamage

NONE = {"scratches": (0, 0), "creases": (0, 0), "specks": (0, 0), "hairs": (0, 0)}


def gray(side=96):
    return np.full((side, side, 3), 0.5, np.float32)


def changed(step, seed=0):
    return np.abs(step(gray(), np.random.default_rng(seed)) - gray()).max(axis=2) > 4 / 255


@pytest.mark.parametrize("kind", ["scratches", "creases", "specks", "hairs"])
def test_each_kind_of_damage_changes_a_few_pixels(kind):
    shares = [changed(PrintDamage(**{**NONE, kind: (2, 2)}), seed).mean() for seed in range(8)]
    assert 0 < np.mean(shares) < 0.25


def test_without_any_damage_nothing_changes():
    assert not changed(PrintDamage(**NONE)).any()


def test_damage_depends_on_the_generator_alone():
    step = PrintDamage()
    first, again, other = (step(gray(), np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_damage_is_bright_and_dark():
    results = np.stack([PrintDamage()(gray(), np.random.default_rng(seed)) for seed in range(12)])
    assert results.max() > 0.9
    assert results.min() < 0.2
    assert 0 <= results.min() <= results.max() <= 1


@pytest.mark.parametrize("draw", dict.fromkeys(LOOKALIKES), ids=lambda draw: draw.__name__)
def test_each_lookalike_draws_something(draw):
    drawn = [gray() for _ in range(6)]
    for seed, pixels in enumerate(drawn):
        draw(pixels, np.random.default_rng(seed))
    assert any(not np.array_equal(pixels, gray()) for pixels in drawn)


def test_lookalikes_leave_their_input_as_it_is():
    image = gray()
    Lookalikes(count=(3, 3))(image, np.random.default_rng(0))
    assert np.array_equal(image, gray())
