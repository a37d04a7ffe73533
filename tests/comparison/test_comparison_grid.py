"""A comparison as one image."""

import numpy as np
import pytest

from revisage.comparison.grid import GAP, draw_grid
from revisage.comparison.versions import Row


def row(name, height, width, *values):
    return Row(name, tuple(np.full((height, width, 3), value, np.uint8) for value in values))


def test_without_labels_a_grid_is_images_and_gaps():
    grid = draw_grid([], [row("x", 20, 30, 50, 200)])
    assert grid.shape == (20 + 2 * GAP, 2 * 30 + 3 * GAP, 3)
    assert (grid[GAP : GAP + 20, GAP : GAP + 30] == 50).all()
    assert (grid[GAP : GAP + 20, 2 * GAP + 30 : 2 * GAP + 60] == 200).all()


def test_narrow_images_stand_in_the_middle_of_their_column():
    grid = draw_grid([], [row("wide", 10, 40, 90), row("narrow", 10, 20, 180)])
    assert grid.shape == (20 + 3 * GAP, 40 + 2 * GAP, 3)
    assert (grid[2 * GAP + 10 : 2 * GAP + 20, GAP + 10 : GAP + 30] == 180).all()


@pytest.mark.parametrize("label", ["restored", "Grüße 写真 \udce9", "a label that is much wider than its column"])
def test_labels_are_drawn_above_their_column(label):
    plain, labeled = draw_grid(["", ""], [row("x", 60, 60, 50, 60)]), draw_grid(["", label], [row("x", 60, 60, 50, 60)])
    changed = np.argwhere((plain != labeled).any(axis=2))
    assert changed[:, 0].max() < 28
    assert changed[:, 1].min() >= 2 * GAP + 60 - 2
    assert changed[:, 1].max() < labeled.shape[1]
