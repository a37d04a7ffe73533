"""Restorers and results as programs pass and print them: spawned workers, logs, interactive sessions."""

import pickle

import numpy as np
import pytest

import revisage
from locations import ROOT
from revisage import Face


@pytest.fixture(scope="module")
def restorer():
    return revisage.load(device="cpu")


@pytest.fixture(scope="module")
def image():
    return revisage.read_image(ROOT / "examples" / "photo.jpg")


def test_a_restorer_survives_pickling_and_gives_the_same_bytes(restorer, image):
    copy = pickle.loads(pickle.dumps(restorer))
    ours, theirs = (one(image, scale=1, min_identity=0.1) for one in (restorer, copy))
    assert np.array_equal(ours.image, theirs.image)
    assert ours.faces[0].similarity == theirs.faces[0].similarity


def test_a_pickled_restorer_refers_to_its_files_instead_of_holding_them(restorer):
    assert len(pickle.dumps(restorer)) < 10_000


def test_representations_are_short(restorer, image):
    result = restorer(image, scale=1)
    assert repr(restorer) == "Restorer(name='embedded', size=512)"
    assert repr(result).startswith("Restoration(image=<(400, 400, 3) uint8>, faces=[RestoredFace(restored, box=[")
    assert repr(restorer.detect(image)[0]).startswith("Face(box=[")
    assert repr(Face([1, 2, 3, 4], [[0, 0]] * 5, 0.5)) == "Face(box=[1, 2, 3, 4], score=0.50)"
    texts = [repr(result), repr(restorer.detect), repr(restorer.network), repr(restorer.embed)]
    assert max(map(len, texts)) < 200
