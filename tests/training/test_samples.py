import io
import tarfile

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from revisage.errors import RecipeError
from revisage.training.data.sources import open_source
from revisage.training.tasks.samples import DegradedFacesConfig, FacesConfig, to_images


def shard(faces, path):
    with tarfile.open(path, "w") as archive:
        for face in sorted(faces.iterdir()):
            data = face.read_bytes()
            entry = tarfile.TarInfo(face.name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


def test_folders_and_shards_hold_the_same_faces(faces, tmp_path):
    folder, shards = open_source(str(faces)), open_source((str(shard(faces, tmp_path / "a.tar")),))
    assert len(folder) == len(shards) == 8
    for first, second in zip(folder, shards, strict=True):
        assert first.key == second.key
        assert (first.pixels == second.pixels).all()


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(RecipeError, match="nowhere"):
        FacesConfig(source=str(tmp_path / "nowhere")).build(32, 0)


def test_originals_are_not_damaged(faces):
    sample = FacesConfig(source=str(faces)).build(32, 0)[0]
    assert torch.equal(sample["lq"], sample["gt"])


def test_originals_may_become_gray(faces):
    gt = FacesConfig(source=str(faces), gray=1.0).build(32, 0)[0]["gt"]
    assert torch.equal(gt[0], gt[1])
    assert torch.equal(gt[0], gt[2])


@pytest.mark.parametrize(
    "degradation", [{"degradation": "ffhq"}, {"degradation": "extended"}, [{"step": "blur"}, {"step": "downsample"}]]
)
def test_degraded_faces_have_boxes_where_landmarks_are_given(faces, landmarks, degradation):
    without = DegradedFacesConfig.model_validate({"source": str(faces), "degradation": degradation}).build(32, 0)[0]
    given = DegradedFacesConfig(source=str(faces), landmarks=landmarks).build(32, 0)[0]
    assert not torch.equal(without["lq"], without["gt"])
    assert "mouth" not in without
    assert given["left_eye"].shape == given["right_eye"].shape == given["mouth"].shape == (4,)


def test_an_unknown_option_of_a_degradation_is_refused(faces):
    with pytest.raises(ValidationError, match="jpeg_rang"):
        DegradedFacesConfig.model_validate(
            {"source": str(faces), "degradation": {"degradation": "ffhq", "jpeg_rang": [1, 2]}}
        )


def test_half_precision_tensors_become_float32_images():
    assert to_images(torch.zeros(1, 3, 2, 2, dtype=torch.bfloat16))[0].dtype == np.float32
