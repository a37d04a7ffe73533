"""Rows of figures from pairs, with restorers and scores that are plain functions."""

from dataclasses import replace

import numpy as np
import pytest

from revisage.errors import InputError, RevisageError
from revisage.evaluation.examine import central_landmarks, eight_bit, examine, resized, restoring
from revisage.evaluation.pairs import Pair
from revisage.images import write_image
from revisage.types import Face, FaceStatus, Restoration, RestoredFace


def picture(value, side=16):
    return np.full((side, side, 3), value, np.uint8)


@pytest.fixture
def pair(tmp_path):
    write_image(tmp_path / "gt.png", picture(100))
    write_image(tmp_path / "lq.png", picture(80, side=4))
    return Pair("mild", "face", tmp_path / "gt.png", tmp_path / "lq.png")


def difference(restored, gt):
    return {"difference": float(np.abs(restored.astype(int) - gt).mean())}


def test_the_input_is_judged_beside_its_restoration(pair):
    (row,) = examine([pair], lambda lq: picture(int(lq[0, 0, 0]) + 15), difference)
    assert (row.input, row.restored) == ({"difference": 20}, {"difference": 5})
    assert [shown.shape for shown in row.pictures] == [(16, 16, 3)] * 3


def test_what_another_tool_restored_is_read(pair, tmp_path):
    write_image(tmp_path / "restored.png", picture(93))
    (row,) = examine([replace(pair, restored=tmp_path / "restored.png")], None, difference)
    assert row.restored == {"difference": 7}


def test_without_a_degraded_picture_only_the_restoration_is_judged(pair, tmp_path):
    (row,) = examine([replace(pair, lq=None, restored=pair.gt)], None, difference)
    assert (row.input, row.restored, row.pictures[0]) == (None, {"difference": 0}, None)


def test_sixteen_bits_are_judged_as_eight(pair, tmp_path):
    write_image(tmp_path / "gt.png", picture(100).astype(np.uint16) * 257)
    (row,) = examine([pair], lambda _: picture(100), difference)
    assert row.restored == {"difference": 0}


def test_a_restoration_of_another_size_is_named_with_both(pair):
    with pytest.raises(InputError, match=r"gt\.png: the restoration has 8 x 8 pixels, the original 16 x 16"):
        list(examine([pair], lambda _: picture(0, side=8), difference))


def test_figures_that_cannot_be_taken_name_the_picture(pair):
    def refuse(restored, gt):
        raise InputError("too small")

    with pytest.raises(InputError, match=r"gt\.png: too small"):
        list(examine([pair], lambda _: picture(0), refuse))


def test_a_pair_with_nothing_to_judge_is_refused(pair):
    with pytest.raises(InputError, match="neither"):
        list(examine([pair], None, difference))


class TestRestoring:
    def restorer(self, status):
        def restore(image, *, aligned):
            assert aligned
            face = RestoredFace(None, None, 1.0, status, "not finite")
            return Restoration(picture(7).astype(np.uint16) * 257, [face])

        restore.name = "mine"
        return restore

    def test_a_restored_face_is_returned_in_eight_bit(self):
        found = restoring(self.restorer(FaceStatus.RESTORED))(picture(0))
        assert (found.dtype, found.max()) == (np.uint8, 7)

    def test_a_failed_face_is_an_error_not_a_figure(self):
        with pytest.raises(RevisageError, match="mine restored nothing: not finite"):
            restoring(self.restorer(FaceStatus.FAILED))(picture(0))


class TestLandmarks:
    def face(self, x):
        return Face(np.zeros(4, np.float32), np.full((5, 2), x, np.float32), 0.9)

    def test_the_central_face_counts(self):
        find = central_landmarks(lambda _: [self.face(1), self.face(9), self.face(15)])
        assert find(picture(0)).mean() == 9

    def test_no_face_is_none(self):
        assert central_landmarks(lambda _: [])(picture(0)) is None


def test_enlarging_keeps_centres_of_pixels():
    """A ramp stays a ramp: linear interpolation half a pixel in."""
    ramp = (np.arange(8, dtype=np.uint8) * 16)[None, :, None].repeat(8, axis=0).repeat(3, axis=2)
    wide = resized(ramp, 32, 32)[0, :, 0].astype(float)
    inner = (np.arange(32) + 0.5) / 4 - 0.5
    np.testing.assert_allclose(wide[2:-2], 16 * inner[2:-2], atol=0.5)


def test_eight_bit_rounds():
    assert eight_bit(np.full((1, 1, 3), 0.5, np.float32)).tolist() == [[[128, 128, 128]]]
