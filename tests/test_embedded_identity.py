"""What the identity network in the package can do, on the one face that is here: what changes it, and what does not."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

import revisage
from locations import PORTRAIT
from revisage.auxiliary import load_detector, load_embedder
from revisage.images.pixels import from_nchw, to_float, to_nchw
from revisage.restore.align import align
from revisage.training.data.degradations.steps import Jpeg, Noise
from revisage.training.embedded.contrastive_views import displace_features, swap_features
from revisage.types import FaceStatus


@pytest.fixture(scope="module")
def face():
    image = revisage.read_image(PORTRAIT)
    best = max(load_detector(device="cpu")(image), key=lambda found: found.score)
    return to_float(align(image, best.landmarks, 512).crop)


@pytest.fixture(scope="module")
def restorer():
    return revisage.load("embedded", device="cpu")


@pytest.fixture(scope="module")
def likeness(face):
    """Cosine to the face."""
    describe = load_embedder(device="cpu")

    def to_the_face(other):
        original, changed = describe([face, np.clip(other, 0, 1, dtype=np.float32)])
        return float(original @ changed)

    return to_the_face


def degraded(face, sigma, factor, noise, quality):
    generator = np.random.default_rng(0)
    side = face.shape[0] // factor
    small = cv2.resize(cv2.GaussianBlur(face, (0, 0), sigma), (side, side), interpolation=cv2.INTER_LINEAR)
    small = Jpeg((quality, quality))(Noise((noise, noise))(small, generator), generator)
    return cv2.resize(small, face.shape[:2], interpolation=cv2.INTER_LINEAR)


def another(face, seed):
    """The face with its features moved far, and in the mirror."""
    return displace_features(512, 16.0, np.random.default_rng(seed))(face[:, ::-1].copy())


MILD, MEDIUM, SEVERE = (1.5, 2, 5, 80), (4, 4, 10, 70), (8, 8, 20, 60)


@pytest.mark.parametrize(("damage", "least"), [(MILD, 0.99), (MEDIUM, 0.98), (SEVERE, 0.9)])
def test_a_degraded_photo_shows_the_same_face(face, likeness, damage, least):
    assert likeness(degraded(face, *damage)) > least


@pytest.mark.parametrize("seed", range(6))
def test_another_face_is_less_like_it_than_a_degraded_photo(face, likeness, seed):
    assert likeness(another(face, seed)) < likeness(degraded(face, *SEVERE)) - 0.4


def test_the_further_features_move_the_less_it_is_the_face(face, likeness):
    means = [
        np.mean([likeness(displace_features(512, deviation, np.random.default_rng(seed))(face)) for seed in range(6)])
        for deviation in (2.0, 5.0, 9.0, 14.0)
    ]
    assert (np.diff(means) < -0.03).all(), means
    assert means[0] > 0.95
    assert means[-1] < 0.7


def test_exchanged_features_are_noticed(face, likeness):
    values = [likeness(swap_features(another(face, seed), np.random.default_rng(seed))(face)) for seed in range(6)]
    assert max(values) < 0.9
    assert np.mean(values) < 0.7


def test_light_and_colour_hardly_count(face, likeness):
    gray = np.repeat(face.mean(axis=2, keepdims=True), 3, axis=2)
    for other in (0.7 * face, face**0.7, gray, face * np.array([1, 0.9, 0.75], np.float32)):
        assert likeness(other) > 0.95


def test_what_surrounds_the_face_does_not_count(face, likeness):
    other = face.copy()
    other[:100], other[:, :60], other[:, 452:] = 0, 1, 0.5
    assert likeness(other) > 0.995


def test_likeness_falls_with_the_strength(restorer, face):
    bad = (degraded(face, *SEVERE) * 255).round().astype(np.uint8)
    strengths = (0, 0.25, 0.5, 0.75, 1)
    found = [restorer(bad, aligned=True, strength=s, min_identity=-1).faces[0].similarity for s in strengths]
    assert found[0] == pytest.approx(1, abs=1e-4)
    assert (np.diff(found) < 0).all()
    assert found[-1] > 0.95


def test_the_guard_lets_an_honest_restoration_pass_and_holds_back_one_that_changes_the_face(restorer, face):
    """At the recommended limit: what the embedded restorer makes of a bad photo, and the same with features moved."""

    def changing(crops):
        restored = from_nchw(restorer.network(crops))
        return to_nchw([displace_features(512, 9.0, np.random.default_rng(0))(image) for image in restored])

    bad = (degraded(face, *MEDIUM) * 255).round().astype(np.uint8)
    kwargs = {"aligned": True, "min_identity": 0.95, "identity_action": "skip"}
    honest, changed = (one(bad, **kwargs).faces[0] for one in (restorer, replace(restorer, network=changing)))
    assert (honest.status, changed.status) == (FaceStatus.RESTORED, FaceStatus.KEPT)
    assert changed.similarity < 0.95 < honest.similarity
