import numpy as np
import pytest

from revisage.errors import MissingWeightsError
from revisage.geometry import resizing
from revisage.restore.blend import blend
from revisage.restore.controls import Controls
from revisage.restore.face_job import FaceJob
from revisage.types import AlignedFace, FaceStatus

SIZE = 32
DARK, BRIGHT = (np.full((SIZE, SIZE, 3), value, np.float32) for value in (0.2, 0.8))


def embed(crops):
    """Faces differ by their brightness: 0.2 and 0.8 are at a right angle."""
    angles = np.array([(crop.mean() - 0.2) / 0.6 * np.pi / 2 for crop in crops])
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def job(after, before=DARK):
    return FaceJob(0, None, aligned=AlignedFace(before, resizing(1, 1)), output=after)


def blended(*afters, parse=None, embed=None, **options):
    return blend([job(after) for after in afters], Controls(**options), parse, embed)


def guarded(least, action="reduce", **choices):
    (face,) = blended(BRIGHT, embed=embed, min_identity=least, identity_action=action, **choices)
    return face


def test_without_a_guard_nobody_asks_for_the_identity():
    (face,) = blended(BRIGHT, strength=0.5)
    assert face.similarity is None
    assert face.composite() == pytest.approx(0.5)
    assert face.strength == 0.5


def test_a_face_that_stays_like_itself_is_restored_as_asked():
    face = guarded(-0.5)
    assert face.strength == 1
    assert face.similarity == pytest.approx(0, abs=1e-6)
    assert np.array_equal(face.composite(), BRIGHT)


@pytest.mark.parametrize(("least", "share"), [(0.1, 7 / 8), (0.5, 5 / 8), (0.9, 2 / 8), (0.98, 1 / 8)])
def test_the_guard_takes_the_largest_share_that_passes(least, share):
    face = guarded(least)
    assert face.strength == pytest.approx(share)
    assert face.similarity == pytest.approx(np.cos(share * np.pi / 2), abs=1e-5)
    assert face.similarity >= least
    assert face.composite() == pytest.approx(0.2 + 0.6 * share, abs=1e-6)


def test_the_share_is_one_of_the_strength_asked_for():
    assert guarded(0.9, strength=0.5).strength == pytest.approx(0.5 * 4 / 8)


def test_the_guard_holds_back_regions_in_the_same_proportion():
    free = blended(BRIGHT, strength=0.2, skin=1.0)[0]
    held = guarded(0.95, strength=0.2, skin=1.0)
    ratio = (held.composite() - DARK) / (free.composite() - DARK)
    assert 0 < ratio.min() < 0.9
    assert ratio.min() == pytest.approx(ratio.max(), abs=1e-4)


def test_a_face_that_no_share_leaves_like_itself_is_left_alone_and_says_why():
    face = guarded(0.9999)
    assert np.array_equal(face.composite(), DARK)
    assert face.strength == 0
    assert face.reason == "restoring would change the face: similarity 0.000, below 1.000"


def test_skip_leaves_the_face_alone_at_once():
    face = guarded(0.5, "skip")
    assert np.array_equal(face.composite(), DARK)
    assert face.similarity == pytest.approx(0, abs=1e-6)
    assert "would change the face" in face.reason


def test_each_face_is_judged_by_itself():
    faces = blended(BRIGHT, DARK, embed=embed, min_identity=0.5)
    assert [face.strength for face in faces] == [pytest.approx(5 / 8), 1]


def test_a_guard_without_an_identity_network_is_one_clear_line():
    with pytest.raises(MissingWeightsError, match=r"identity embedder.*identity=") as caught:
        blended(BRIGHT, min_identity=0.5)
    assert "\n" not in str(caught.value)


def test_a_parsing_says_where_the_regions_are():
    def parse(crops):
        labels = np.zeros((len(crops), SIZE, SIZE), np.uint8)
        labels[:, :, : SIZE // 2] = 13  # hair
        return labels

    (face,) = blended(BRIGHT, parse=parse, strength=0.0, hair=1.0)
    after = face.composite()
    assert after[:, :10] == pytest.approx(0.8)
    assert after[:, -10:] == pytest.approx(0.2)


def test_grain_is_the_same_at_every_strength():
    noisy = (DARK + np.random.default_rng(0).normal(0, 0.03, DARK.shape)).astype(np.float32)
    levels = []
    for strength in (0.0, 0.5, 1.0):
        (face,) = blend([job(BRIGHT, noisy)], Controls(strength=strength, keep_grain=1.0))
        levels.append(face.composite().std())
    assert levels == pytest.approx([levels[0]] * 3, rel=0.1)


def test_a_face_is_restored_only_once_it_is_blended():
    (face,) = blended(BRIGHT)
    assert job(BRIGHT).status is FaceStatus.DETECTED
    assert face.status is FaceStatus.RESTORED


def test_a_face_that_left_the_way_passes_unchanged():
    failed = job(BRIGHT).stop(FaceStatus.FAILED, "no reason")
    assert blend([failed, job(BRIGHT)], Controls())[0] is failed
