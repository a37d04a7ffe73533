import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from graphs import FLOAT, half_of, image_input, write
from onnx import helper

import revisage
from revisage.errors import CheckpointError, MissingWeightsError
from revisage.models.backends.yunet import open_yunet


@pytest.fixture
def path(tmp_path):
    """A graph with the outputs of YuNet: each bright cell is a face, as large as the cell."""
    nodes, outputs = [], []
    constants = {"zero": np.zeros(1, np.float32), "start": np.array([0]), "end": np.array([1]), "axis": np.array([1])}
    nodes.append(helper.make_node("Slice", ["input", "start", "end", "axis"], ["blue"]))
    for stride in (8, 16, 32):
        pool = {"kernel_shape": [stride] * 2, "strides": [stride] * 2}
        nodes.append(helper.make_node("AveragePool", ["blue"], [f"mean{stride}"], **pool))
        nodes.append(helper.make_node("Mul", [f"mean{stride}", "scale"], [f"bright{stride}"]))
        nodes.append(helper.make_node("Mul", [f"mean{stride}", "zero"], [f"dark{stride}"]))
        for name, length in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
            source = f"bright{stride}" if length == 1 else f"dark{stride}"
            constants[f"shape{length}"] = np.array([1, -1, length])
            nodes.append(helper.make_node("Concat", [source] * length, [f"{name}{stride}"], axis=1))
            nodes.append(helper.make_node("Transpose", [f"{name}{stride}"], [f"{name}t{stride}"], perm=[0, 2, 3, 1]))
            nodes.append(helper.make_node("Reshape", [f"{name}t{stride}", f"shape{length}"], [f"{name}_{stride}"]))
    for name, length in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
        outputs += [helper.make_tensor_value_info(f"{name}_{s}", FLOAT, ["n", "a", length]) for s in (8, 16, 32)]
    constants["scale"] = np.array([1 / 255], np.float32)
    return write(tmp_path / "y.onnx", nodes, [image_input(1, "s")], outputs, constants)


@pytest.fixture
def detector(path):
    return open_yunet(path)


def test_load_takes_a_yunet_file_and_numbers_its_faces_from_left_to_right(path):
    image = np.zeros((96, 160, 3), np.uint8)
    for left, level in ((16, 200), (64, 255), (120, 230)):
        image[40:48, left : left + 8] = level
    restorer = revisage.load(detector=path, device="cpu")
    assert [round(float(face.box[0])) for face in restorer.detect(image)] == [12, 60, 116]
    assert [face.box.tolist() for face in pickle.loads(pickle.dumps(restorer)).detect(image)] == [
        face.box.tolist() for face in restorer.detect(image)
    ]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_faces_lie_where_they_are(detector, dtype, capfd):
    image = np.zeros((96, 160, 3), np.uint8)
    image[40:48, 64:72] = 255
    (face,) = detector(
        {np.uint8: image, np.uint16: image.astype(np.uint16) * 257}.get(dtype, (image / 255).astype("f"))
    )
    assert face.score == pytest.approx(1, abs=0.01)
    np.testing.assert_allclose(face.box, [60, 36, 68, 44], atol=1)  # the cell's corner is the middle of the face
    assert face.landmarks.shape == (5, 2)
    assert detector(np.zeros_like(image)) == []
    assert not capfd.readouterr().err


def test_large_images_are_reduced_and_faces_scaled_back(detector):
    image = np.zeros((2400, 1600, 3), np.uint8)
    image[1280:1408, 640:768] = 255
    boxes = np.array([face.box for face in detector(image)])
    assert (boxes[:, :2].min(axis=0) > (560, 1200)).all()
    assert (boxes[:, 2:].max(axis=0) < (850, 1490)).all()


def test_many_threads_share_a_detector(detector):
    images = np.zeros((16, 96, 160, 3), np.uint8)
    for index, image in enumerate(images):
        image[40:48, 8 * index : 8 * index + 8] = 255
    with ThreadPoolExecutor(4) as pool:
        found = [face.box[0] for (face,) in pool.map(detector, images)]
    np.testing.assert_allclose(found, [8 * index - 4 for index in range(16)], atol=1)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(MissingWeightsError):
        open_yunet(tmp_path / "absent.onnx")
    with pytest.raises(CheckpointError, match=r"r\.onnx is no YuNet"):
        open_yunet(half_of(tmp_path / "r.onnx"))
    (tmp_path / "r.onnx").write_bytes(b"not a model")
    with pytest.raises(CheckpointError, match=r"r\.onnx"):
        open_yunet(tmp_path / "r.onnx")
