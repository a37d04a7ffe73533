"""What users may rely on: the names that ``import revisage`` offers."""

import inspect

import pytest

import revisage
from revisage.restore.controls import RestoreOptions

NAMES = {
    *("load", "read_image", "read_profile", "write_image", "Restorer", "Selection", "__version__", "tune_process"),
    *("AlignedFace", "Face", "FaceStatus", "Image", "Restoration", "RestoredFace"),
    *("RevisageError", "InputError", "ImageError", "RecipeError", "WeightsError", "UnknownModelError"),
    *("CheckpointError", "MissingWeightsError", "DownloadError", "OutputError", "DeviceError", "TrainingError"),
    "CancelledError",
}


def test_the_names_are_these():
    assert set(revisage.__all__) == NAMES
    assert dir(revisage) == sorted(revisage.__all__)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_name_is_there(name):
    assert getattr(revisage, name) is not None


@pytest.mark.parametrize("name", sorted(NAMES - {"__version__", "Image"}))
def test_every_name_is_described(name):
    assert inspect.getdoc(getattr(revisage, name))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        revisage.nonsense  # noqa: B018


def test_every_error_can_be_caught_as_one():
    errors = [getattr(revisage, name) for name in NAMES if name.endswith("Error")]
    assert all(issubclass(error, revisage.RevisageError) for error in errors)


def test_keyword_arguments_of_load_and_call():
    assert {"device", "dtype"} <= set(inspect.signature(revisage.load).parameters)
    assert {"scale", "strength", "aligned", "only_center_face"} <= set(RestoreOptions.__annotations__)
    assert "profile" in inspect.signature(revisage.Restorer.__call__).parameters
    assert {"like", "quality", "preserve_mtime"} <= set(inspect.signature(revisage.write_image).parameters)
