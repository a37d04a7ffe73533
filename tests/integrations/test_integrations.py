"""The packages and recipes of ``integrations/``, and the Spark example, without the programs they are for."""

import importlib.util
import runpy
import sys

import cv2
import numpy as np
import PIL.Image
import pytest
import torch

import revisage
from locations import ROOT
from revisage.errors import InputError, OutputError

FOLDER = ROOT / "integrations"


def recipe(name):
    return runpy.run_path(str(FOLDER / f"{name}.py"))


@pytest.fixture(scope="module")
def head():
    """A small photo that holds hardly more than a face, (100, 100, 3)."""
    return np.ascontiguousarray(
        revisage.read_image(ROOT / "tests" / "data" / "astronaut.jpg")[20:220, 125:325][::2, ::2]
    )


@pytest.fixture(scope="module")
def comfyui():
    """The package as ComfyUI imports it: by its folder, under any name."""
    path = FOLDER / "comfyui"
    spec = importlib.util.spec_from_file_location(
        "custom_node", path / "__init__.py", submodule_search_locations=[str(path)]
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules["custom_node"] = module
    spec.loader.exec_module(module)
    return module


class TestComfyUI:
    def run(self, comfyui, name, **inputs):
        """Call a node as ComfyUI does: with its declared inputs, by its declared function."""
        node = comfyui.NODE_CLASS_MAPPINGS[name]
        declared = node.INPUT_TYPES()
        assert set(inputs) <= {*declared["required"], *declared.get("optional", {})}
        settings = {k: spec[1]["default"] for k, spec in declared["required"].items() if len(spec) > 1}
        outputs = getattr(node(), node.FUNCTION)(**{**settings, **inputs})
        assert isinstance(outputs, tuple)
        assert len(outputs) == len(node.RETURN_TYPES) == len(node.RETURN_NAMES)
        for output, kind in zip(outputs, node.RETURN_TYPES, strict=True):
            if kind in ("IMAGE", "MASK"):
                assert (output.dtype, output.ndim) == (torch.float32, 4 if kind == "IMAGE" else 3)
                assert 0 <= output.min() <= output.max() <= 1
        return outputs

    def test_every_node_is_declared(self, comfyui):
        assert set(comfyui.NODE_CLASS_MAPPINGS) == set(comfyui.NODE_DISPLAY_NAME_MAPPINGS)
        for node in comfyui.NODE_CLASS_MAPPINGS.values():
            assert node.CATEGORY
            assert callable(getattr(node, node.FUNCTION))

    def test_restore(self, comfyui, head):
        batch = torch.from_numpy(np.stack([head, head])).float() / 255
        image, mask, faces = self.run(comfyui, "RevisageRestore", image=batch, scale=2.0)
        expected = revisage.load()(head.astype(np.float32) / 255, scale=2).image
        assert np.allclose(image[1].numpy(), expected, atol=1e-5)
        assert image.shape == (2, 200, 200, 3)
        assert mask.shape == (2, 200, 200)
        assert faces == 2
        assert 0.1 < mask.mean() < 0.9

    def test_detect(self, comfyui, head):
        batch = torch.from_numpy(head)[None].float() / 255
        mask, faces = self.run(comfyui, "RevisageDetect", image=batch)
        assert faces == 1
        assert mask[0, 50, 50] == 1
        assert self.run(comfyui, "RevisageDetect", image=torch.zeros(1, 64, 64, 3))[1] == 0

    def test_compare(self, comfyui):
        before, after = torch.zeros(1, 10, 20, 3), torch.ones(1, 20, 40, 3)
        (image,) = self.run(comfyui, "RevisageCompare", before=before, after=after)
        assert image.shape == (1, 20, 80, 3)
        assert (image[:, :, :40] == 0).all()
        assert (image[:, :, 40:] == 1).all()


def test_images_of_diffusers(head):
    images = recipe("diffusers_output")["restore_images"]([PIL.Image.fromarray(head)], strength=0.5)
    assert np.array_equal(np.asarray(images[0]), revisage.load()(head, strength=0.5).image)


class Capture:
    """``cv2.VideoCapture`` of four frames."""

    def __init__(self, image):
        self.frames = [np.roll(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), shift, axis=1) for shift in range(4)]

    def read(self):
        return (True, self.frames.pop(0)) if self.frames else (False, None)


def test_webcam_frames_come_all_in_order_and_restored(head):
    frames, images = Capture(head).frames, list(recipe("webcam")["restore_stream"](Capture(head), revisage.load()))
    assert len(images) == 4
    for frame, image in zip(frames, images, strict=True):
        assert (image.shape, image.dtype) == (frame.shape, np.uint8)
        assert 0.1 < np.abs(image.astype(float) - frame).mean() < 30


class TestTools:
    """Of the MCP server."""

    @pytest.fixture
    def tools(self, tmp_path, head):
        revisage.write_image(tmp_path / "allowed" / "a.png", head)
        revisage.write_image(tmp_path / "secret.png", head)
        (tmp_path / "allowed" / "link.png").symlink_to(tmp_path / "secret.png")
        (tmp_path / "allowed" / "out").symlink_to(tmp_path)
        return recipe("mcp_server")["Tools"](tmp_path / "allowed")

    def test_restore_detect_compare(self, tools, tmp_path):
        answer = tools.restore("a.png", "new/b.png")
        assert [face["status"] for face in answer["faces"]] == ["restored"]
        (face,) = tools.detect("new/b.png")
        assert face["score"] > 0.5
        tools.compare("a.png", "new/b.png", "both.png")
        assert revisage.read_image(tmp_path / "allowed" / "both.png").shape == (100, 200, 3)

    @pytest.mark.parametrize(
        "name", ["../secret.png", "/etc/passwd", "link.png", "out/secret.png", "new/../../secret.png"]
    )
    def test_ways_out_are_refused(self, tools, tmp_path, name):
        before = (tmp_path / "secret.png").read_bytes()
        for call in (
            lambda: tools.detect(name),
            lambda: tools.restore("a.png", name),
            lambda: tools.compare("a.png", "a.png", name),
        ):
            with pytest.raises(InputError, match="outside of the allowed folder, or a link"):
                call()
        assert (tmp_path / "secret.png").read_bytes() == before

    def test_nothing_is_overwritten(self, tools):
        with pytest.raises(OutputError):
            tools.restore("a.png", "a.png")

    def test_the_server_offers_them(self, tmp_path):
        pytest.importorskip("mcp")
        assert recipe("mcp_server")["make_server"](tmp_path)


def test_spark_function(head):
    pd = pytest.importorskip("pandas")
    module = runpy.run_path(str(ROOT / "examples" / "spark_restore.py"))
    _, buffer = cv2.imencode(".png", head[..., ::-1])
    table = pd.DataFrame({"path": ["a", "b"], "content": [buffer.tobytes(), b"no"]})
    (result,) = module["restore_batches"](iter([table]))
    assert list(result.columns) == [column.split()[0] for column in module["SCHEMA"].split(", ")]
    restored = cv2.imdecode(np.frombuffer(result["content"][0], np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert np.array_equal(restored, revisage.load()(head).image)
    assert result["faces"].tolist() == [1, 0]
    assert result["error"][1].startswith("b: ")
