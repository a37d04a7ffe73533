"""The degradations of recipes/accelerator, which run on a GPU, against OpenCV."""

import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def degrade():
    spec = importlib.util.spec_from_file_location("degrade", ROOT / "recipes/accelerator/degrade.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def portrait():
    """(256, 256, 3) uint8 RGB."""
    image = cv2.imread(str(ROOT / "tests/data/astronaut.jpg"))[..., ::-1]
    return cv2.resize(np.ascontiguousarray(image), (256, 256), interpolation=cv2.INTER_AREA)


def to_batch(image):
    return torch.from_numpy(np.asarray(image, np.float32) / 255).permute(2, 0, 1)[None]


def to_levels(batch):
    return batch[0].permute(1, 2, 0).numpy() * 255


@pytest.mark.parametrize("quality", [40, 75, 95])
def test_jpeg_is_that_of_opencv_within_a_level_on_average(degrade, portrait, quality):
    data = cv2.imencode(".jpg", portrait[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    expected = cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1].astype(float)

    found = to_levels(degrade.jpeg(to_batch(portrait), quality + 0.1, quality + 0.2))

    damage = np.abs(expected - portrait).mean()
    assert np.abs(found - expected).mean() < min(1.0, 0.6 * damage)


def test_every_image_of_a_batch_is_shrunk_and_enlarged_to_its_own_size_as_by_opencv(degrade, portrait):
    sizes, whole = torch.tensor([77.0, 130.0]), torch.full((2,), 256.0)
    batch = to_batch(portrait).expand(2, -1, -1, -1)

    small = degrade.resize(batch, degrade.bilinear(whole, sizes, 256, 144))
    large = degrade.resize(small, degrade.bilinear(sizes, whole, 144, 256))

    for index, size in enumerate((77, 130)):
        expected = cv2.resize(portrait.astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
        expected = cv2.resize(expected, (256, 256), interpolation=cv2.INTER_LINEAR)
        assert np.abs(to_levels(large[index : index + 1]) - expected).max() < 0.05


def test_isotropic_blur_is_that_of_opencv(degrade, portrait):
    found = to_levels(degrade.blur(to_batch(portrait), 3.0, 3.00001, 41))

    expected = cv2.GaussianBlur(portrait.astype(np.float32), (41, 41), 3, borderType=cv2.BORDER_REFLECT_101)
    assert np.abs(found - expected).max() < 0.05


def test_original_and_input_of_each_kind_stay_within_range(degrade, portrait):
    torch.manual_seed(0)
    masks = {kind: torch.randint(0, 256, (3, 512, 512), dtype=torch.uint8) for kind in ("scratches", "dust")}
    shares = degrade.share(10, full=0.2, mild=0.2, medium=0.2, hard=0.2, old=0.2)

    gt, lq = degrade.Degradation(256, masks)(to_batch(portrait).expand(10, -1, -1, -1), shares)

    assert shares == {"full": 2, "mild": 2, "medium": 2, "hard": 2, "old": 2}
    for batch in (gt, lq):
        assert batch.shape == (10, 3, 256, 256)
        assert torch.isfinite(batch).all()
        assert batch.abs().max() <= 1.001
    assert ((lq - gt).abs().mean((1, 2, 3)) > 0.005).all()
