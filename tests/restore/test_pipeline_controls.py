"""What the controls do on the way through the pipeline."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from on_arrays import on_arrays
from revisage.errors import InputError, MissingWeightsError
from revisage.restore.align import TEMPLATE
from revisage.restore.controls import Controls, Selection
from revisage.restore.pipeline import Restorer
from revisage.restore.upscale import lanczos
from revisage.types import Face, FaceStatus

SIZE = 64


def face_at(x, y, width, score=0.9):
    landmarks = (TEMPLATE * width / 512 + (x, y)).astype(np.float32)
    return Face(np.array([x, y, x + width, y + width], np.float32), landmarks, score)


def brighter(x):
    return np.clip(x + np.float32(0.5), -1, 1)


def describe(crops):
    """People differ by their brightness."""
    angles = np.array([crop.mean() for crop in crops], np.float32) * np.pi / 2
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def restorer(*faces, network=brighter, **fields):
    return Restorer("test", lambda _: list(faces), network, SIZE, batch=2, **fields)


def gray(level=100, height=120, width=160):
    return np.full((height, width, 3), level, np.uint8)


class TestSelection:
    def test_what_is_not_selected_is_reported_with_its_reason_and_not_touched(self):
        faces = face_at(0, 0, 50), face_at(60, 20, 80)
        result = restorer(*faces)(gray(), scale=1, selection=Selection("largest"))
        assert [face.status for face in result.faces] == [FaceStatus.NOT_SELECTED, FaceStatus.RESTORED]
        assert [face.reason for face in result.faces] == ["not the largest face", ""]
        assert (result.image[:50, :50] == 100).all()

    def test_only_the_person_in_the_reference_photo_is_restored(self):
        photo = gray()
        photo[:, 80:] = 200
        faces = face_at(5, 20, 70), face_at(85, 20, 70)
        everyone = restorer(*faces, embed=describe)
        bright = replace(everyone, detect=lambda _: [face_at(0, 0, 40), face_at(40, 20, 80)])
        someone = Controls(scale=1, selection=Selection(reference=(gray(200),), min_similarity=0.95))
        (result,) = everyone.restore([photo], bright.resolve(someone))
        assert [face.status for face in result.faces] == [FaceStatus.NOT_SELECTED, FaceStatus.RESTORED]
        assert result.faces[0].reason.startswith("not the person asked for (similarity 0.8")

    def test_a_reference_photo_without_a_face_is_a_clear_error(self):
        with pytest.raises(InputError, match="no face is found in the reference image"):
            restorer(embed=describe)(gray(), selection=Selection(reference=(gray(),)))

    def test_a_face_that_cannot_be_aligned_is_nobody(self):
        hopeless = Face(np.array([10, 10, 60, 60], np.float32), np.full((5, 2), np.nan, np.float32), 0.9)
        person = describe([np.full((4, 4, 3), 0.4)])[0]
        result = restorer(hopeless, embed=describe)(gray(), selection=Selection(reference=(person,)))
        assert result.faces[0].status is FaceStatus.NOT_SELECTED


class TestIdentity:
    def test_a_face_that_would_change_too_much_is_kept_and_says_why(self):
        image = gray()
        kept = restorer(face_at(30, 20, 80), embed=describe)(image, scale=1, min_identity=0.99, identity_action="skip")
        assert kept.faces[0].status is FaceStatus.KEPT
        assert "would change the face" in kept.faces[0].reason
        assert kept.faces[0].similarity < 0.99
        assert kept.faces[0].restored is None
        assert np.array_equal(kept.image, image)

    def test_or_it_is_restored_less(self):
        result = restorer(face_at(30, 20, 80), embed=describe)(gray(), scale=1, min_identity=0.99)
        (face,) = result.faces
        assert face.status is FaceStatus.RESTORED
        assert 0 < face.strength < 1
        assert face.similarity >= 0.99
        assert result.image[60, 70, 0] == pytest.approx(100 + 63.75 * face.strength, abs=1)

    def test_an_aligned_picture_is_guarded_too(self):
        image = gray(100, 32, 32)
        result = restorer(embed=describe)(image, aligned=True, min_identity=0.9999, identity_action="skip")
        assert result.faces[0].status is FaceStatus.KEPT
        assert np.array_equal(result.image, image)

    @pytest.mark.parametrize("choices", [{"min_identity": 0.5}, {"selection": Selection(reference=(gray(),))}])
    def test_without_an_identity_network_it_fails_before_the_first_picture(self, choices):
        def detect(_):
            raise AssertionError("must not be called")

        with pytest.raises(MissingWeightsError, match="identity embedder"):
            replace(restorer(), detect=detect)(gray(), **choices)

    def test_nobody_asks_for_identities_without_need(self):
        def forbidden(_):
            raise AssertionError("must not be called")

        result = restorer(face_at(30, 20, 80), embed=forbidden)(gray(), strength=0.5)
        assert result.faces[0].similarity is None
        assert result.faces[0].strength == 0.5


class TestStrengthOfSingleFaces:
    faces = face_at(0, 20, 70), face_at(80, 20, 70)

    def test_a_face_with_a_strength_of_its_own_has_that_and_others_the_common_one(self):
        result = restorer(*self.faces)(gray(), scale=1, strength=0.5, face_strengths={1: 0.25})
        assert [face.strength for face in result.faces] == [0.5, 0.25]
        left, right = (result.image[55, x, 0] - 100.0 for x in (35, 115))
        assert left == pytest.approx(2 * right, abs=1)

    def test_strength_0_leaves_a_face_as_it_was_to_the_last_bit(self):
        image = gray()
        result = restorer(*self.faces)(image, scale=1, face_strengths={0: 0})
        assert np.array_equal(result.image[:, :78], image[:, :78])
        assert result.image[55, 115, 0] > 150

    def test_an_aligned_image_is_face_0(self):
        result = restorer()(gray(100, 64, 64), aligned=True, face_strengths={0: 0.5})
        assert result.faces[0].strength == 0.5


class TestRegions:
    def test_only_the_region_that_is_named_changes(self):
        image = gray(100, 512, 512)
        result = restorer(face_at(0, 0, 512))(image, scale=1, strength=0, mouth=1)
        assert result.image[371, 256].min() > 150
        assert (result.image[240, 190] == 100).all()
        assert (result.image[450:, 20:60] == 100).all()


class TestHalfPrecision:
    def network(self, x):
        """Overflows wherever convolutions run in half precision."""
        kernel = torch.zeros(3, 3, 1, 1)
        if torch.nn.functional.conv2d(x, kernel).dtype == torch.float32:
            return (x + 0.5).clamp(-1, 1)
        self.seen.append(len(x))
        return torch.where(x.mean((1, 2, 3), keepdim=True) > 0, torch.inf, (x + 0.5).clamp(-1, 1))

    def test_what_overflows_is_computed_again_in_full_precision(self):
        self.seen = []
        photo = gray(30)
        photo[:, 80:] = 180
        faces = face_at(5, 20, 70), face_at(85, 20, 70)
        half = restorer(*faces, network=on_arrays(self.network, torch.bfloat16))(photo, scale=1)
        full = restorer(*faces, network=on_arrays(self.network))(photo, scale=1)
        assert self.seen == [2]
        assert [face.status for face in half.faces] == [FaceStatus.RESTORED] * 2
        assert np.array_equal(half.image, full.image)

    def test_what_is_not_finite_in_full_precision_either_is_a_failed_face(self):
        broken = restorer(face_at(30, 20, 80), network=on_arrays(lambda x: x * torch.nan, torch.bfloat16))
        assert broken(gray()).faces[0].status is FaceStatus.FAILED


class TestBackground:
    def darker(self, image, scale):
        return (lanczos(image, scale) * 0.5).astype(image.dtype)

    def test_the_background_is_what_the_upscaler_makes_of_it(self):
        result = restorer(upscale=self.darker)(gray(), scale=2)
        assert (result.image == 50).all()

    @pytest.mark.parametrize("strength", [0, 0.5, 1])
    def test_on_it_a_face_looks_as_restored_and_not_twice_enhanced(self, strength):
        result = restorer(face_at(30, 20, 80), upscale=self.darker)(gray(), scale=2, strength=strength)
        assert result.image[120, 140, 0] == pytest.approx(50 + strength * (100 + 63.75 - 50), abs=1)
        assert (result.image[:, 240:] == 50).all()
