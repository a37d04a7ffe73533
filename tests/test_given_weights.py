"""Restorers from bytes and file objects, as from the path of a file."""

import io
import pickle

import numpy as np
import pytest

import revisage
from locations import ROOT
from revisage.errors import CheckpointError, InputError
from revisage.models.backends import given

WEIGHTS = ROOT / "src" / "revisage" / "weights"
CONTENT = (WEIGHTS / "restorer.onnx").read_bytes()


@pytest.fixture(scope="module")
def restorer():
    return revisage.load(CONTENT, device="cpu")


@pytest.fixture(scope="module")
def crop():
    rng = np.random.default_rng(0)
    return rng.uniform(-1, 1, (1, 3, 512, 512)).astype(np.float32)


def test_bytes_and_file_objects_give_what_the_file_gives(restorer, crop):
    with (WEIGHTS / "restorer.onnx").open("rb") as file:
        by_object = revisage.load(file, device="cpu")
    by_path = revisage.load(WEIGHTS / "restorer.onnx", device="cpu")
    assert np.array_equal(restorer.network(crop), by_path.network(crop))
    assert np.array_equal(by_object.network(crop), by_path.network(crop))
    assert by_object.name == str(WEIGHTS / "restorer.onnx")
    assert restorer.name.startswith("weights-")  # and a digest, by which a run is resumed


def test_such_a_restorer_survives_pickling(restorer, crop):
    copy = pickle.loads(pickle.dumps(restorer))
    assert np.array_equal(copy.network(crop), restorer.network(crop))
    assert pickle.loads(pickle.dumps(copy)).name == restorer.name


def test_more_bytes_than_are_kept_are_said_in_one_line(restorer, monkeypatch):
    monkeypatch.setattr(given, "MAX_KEPT", 1000)
    with pytest.raises(InputError, match=r"MB of bytes cannot be pickled; load it from a file"):
        pickle.dumps(restorer)


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (b"", CheckpointError, "the weights are empty"),
        (io.BytesIO(), CheckpointError, "the weights are empty"),
        (io.StringIO("text"), InputError, "open it with 'rb'"),
        (3, InputError, "the path of a file, bytes or a file object, not 3"),
        (b"no weights at all", CheckpointError, "weights-"),
        (CONTENT[:5000], CheckpointError, "weights-"),
    ],
    ids=["no bytes", "empty file", "text file", "number", "nonsense", "cut short"],
)
def test_what_is_no_weights_is_one_line_without_a_temporary_file(model, error, message):
    with pytest.raises(error) as caught:
        revisage.load(model, device="cpu")
    assert message in str(caught.value)
    assert "tmp" not in str(caught.value)


def test_weights_of_another_network_are_refused(crop):
    with pytest.raises(revisage.UnknownModelError, match=r"weights-\w+ is a RetinaFace, not a restorer"):
        revisage.load((WEIGHTS / "detector.onnx").read_bytes(), device="cpu")
