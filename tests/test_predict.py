"""The Replicate entry point, loaded as cog loads it; and once behind cog's own server."""

import base64
import inspect
import json
import os
import socket
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
import yaml

from locations import ROOT
from revisage.errors import ImageError, InputError, MissingWeightsError
from revisage.images import read_image, write_image
from revisage.models.nets.gfpgan import GFPGANv1Clean
from revisage.models.nets.restoreformer import RestoreFormer

cog = pytest.importorskip("cog")  # there is none for Windows
pytestmark = pytest.mark.filterwarnings("ignore:.* is deprecated; use :DeprecationWarning")  # older cogs know no other

PORTRAIT = ROOT / "tests" / "data" / "astronaut.jpg"


@pytest.fixture
def predictor(monkeypatch, tmp_path):
    """Set up without a network, in an empty folder, with small weights of two versions in the cache."""
    from cog.predictor import load_predictor_from_ref

    monkeypatch.setenv("REVISAGE_OFFLINE", "1")
    monkeypatch.setenv("REVISAGE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    torch.manual_seed(0)
    form = {"num_mlp": 2, "narrow": 0.0625, "input_is_latent": True, "different_w": True, "sft_half": True}
    former = {"n_embed": 8, "embed_dim": 32, "ch": 32, "ch_mult": [1] * 6, "num_res_blocks": 1, "z_channels": 32}
    for name, network in {"GFPGANv1.2": GFPGANv1Clean(32, 8, **form), "RestoreFormer": RestoreFormer(**former)}.items():
        torch.save({"params_ema": network.state_dict()}, tmp_path / "cache" / f"{name}.pth")
    made = load_predictor_from_ref(f"{ROOT / 'predict.py'}:Predictor")
    made.setup()
    return made


@pytest.fixture
def predict(predictor):
    """predict(picture, **inputs): the embedded model on a file or an array -> the path of the result."""
    defaults = {
        name: value.default.default
        for name, value in inspect.signature(predictor.predict).parameters.items()
        if name != "img"
    }

    def call(picture, name="photo.png", **inputs):
        if not isinstance(picture, Path):
            PIL.Image.fromarray(picture).save(name)
            picture = Path(name)
        return predictor.predict(img=cog.Path(picture), **(defaults | {"version": "embedded"} | inputs))

    return call


def gradient(*channels):
    values = np.arange(40 * 50).reshape(40, 50, *[1] * len(channels)) // 10
    return np.broadcast_to(values, (40, 50, *channels)).astype(np.uint8)


@pytest.fixture
def head(tmp_path):
    write_image(tmp_path / "head.png", read_image(PORTRAIT)[20:220:2, 125:325:2])
    return tmp_path / "head.png"


def test_the_inputs_are_the_classic_ones(predictor):
    inputs = {name: field.default for name, field in inspect.signature(predictor.predict).parameters.items()}
    assert list(inputs) == ["img", "version", "scale", "weight"]
    assert [field.default for field in inputs.values()] == [None, "v1.4", 2, 0.5]
    assert inputs["version"].choices == list(sys.modules["predict"].VERSIONS)


def test_loading_and_setting_up_runs_and_writes_nothing(predictor):
    assert list(Path.cwd().iterdir()) == []
    assert "subprocess" not in vars(sys.modules["predict"])


@pytest.mark.parametrize("scale", [1, 1.5, 2, 4])
def test_scale_is_that_of_the_input_however_small_it_is(predict, scale):
    assert read_image(predict(gradient(3), scale=scale)).shape == (round(40 * scale), round(50 * scale), 3)


@pytest.mark.parametrize(
    ("name", "out"),
    [("photo.jpg", "out.jpg"), ("photo.PNG", "out.png"), ("photo.gif", "out.png"), ("photo.v2.webp", "out.webp")],
)
def test_the_result_has_the_format_of_the_input_and_one_dot(predict, name, out):
    assert predict(gradient(3), name).name == out


def test_an_input_without_an_extension_becomes_a_png(predict):
    PIL.Image.fromarray(gradient(3)).save("upload.png")
    assert predict(Path("upload.png").rename("upload")).name == "out.png"


@pytest.mark.parametrize(("channels", "mode"), [((), "L"), ((4,), "RGBA")])
def test_gray_and_transparency_stay(predict, channels, mode):
    with PIL.Image.open(predict(gradient(*channels))) as result:
        assert result.mode == mode
        assert np.atleast_1d(np.asarray(result)[0, 0])[-1] == 0  # gray or transparency, as it was


def test_every_result_has_a_folder_of_its_own_and_none_is_emptied(predict):
    (Path.cwd() / "output").mkdir()
    (Path.cwd() / "output" / "mine.txt").touch()
    first, second = predict(gradient(3)), predict(gradient(3))
    assert first != second
    assert first.is_file()
    assert second.is_file()
    assert (Path.cwd() / "output" / "mine.txt").is_file()


def test_a_version_stays_what_it_is_after_another_was_used(predict, predictor, head):
    first = predict(head, version="v1.2").read_bytes()
    predict(gradient(3), version="RestoreFormer")
    assert predict(head, version="v1.2").read_bytes() == first
    assert isinstance(predictor.restorer("RestoreFormer").network.network.module.network, RestoreFormer)
    assert isinstance(predictor.restorer("v1.2").network.network.module.network, GFPGANv1Clean)
    assert predictor.restorer("v1.2") is predictor.restorer("v1.2")


def test_weight_acts(predict, head):
    results = (predict(head, version="v1.2", weight=weight, scale=1) for weight in (1, 0.75, 0.5))
    none, half, full = (read_image(result).astype(int) for result in results)
    assert (none == read_image(head)).all()
    assert 0 < np.abs(half - none).mean() < np.abs(full - none).mean()


class TestErrors:
    def test_of_the_picture(self, predict):
        Path("text.jpg").write_text("no picture")
        with pytest.raises(ImageError, match=r"cannot read text\.jpg: not an image"):
            predict(Path("text.jpg"))

    def test_of_the_weights(self, predict):
        with pytest.raises(MissingWeightsError, match=r"gfpgan-1\.3 is not here and downloads are off"):
            predict(gradient(3), version="v1.3")

    def test_of_the_version(self, predict):
        with pytest.raises(InputError, match=r"unknown version 'v9'; choose one of v1\.2, v1\.3"):
            predict(gradient(3), version="v9")


def test_the_image_is_built_with_the_dependencies_of_the_package():
    build = yaml.safe_load((ROOT / "cog.yaml").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert build["build"]["python_packages"] == project["dependencies"] + project["optional-dependencies"]["torch"]
    assert f">={build['build']['python_version']}" == project["requires-python"]
    assert build["predict"] == "predict.py:Predictor"


@pytest.fixture
def server(tmp_path):
    """cog's own server with the predictor behind it, offline: its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        # cog starts its worker as `python`, whichever comes first in PATH: it must be the one that has cog.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "COG_PREDICT_TYPE_STUB": f"{ROOT / 'predict.py'}:Predictor",
        "PORT": str(port),
        "REVISAGE_OFFLINE": "1",
        "REVISAGE_CACHE": str(tmp_path),
        "no_proxy": "*",
    }
    command = [sys.executable, "-m", "cog.server.http", "--host", "127.0.0.1"]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def asked(address, body=None):
    """What the server answers; errors are answers too."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=600) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return json.load(error)


def until_ready(address, seconds=60):
    for _ in range(10 * seconds):
        try:
            if asked(f"{address}/health-check")["status"] == "READY":
                return
        except (urllib.error.URLError, ConnectionError):
            pass
        time.sleep(0.1)
    raise TimeoutError(f"no server at {address}")


@pytest.mark.slow
def test_cogs_server_restores_a_photo_and_says_what_is_wrong(server, head):
    until_ready(server)
    uri = "data:image/png;base64," + base64.b64encode(head.read_bytes()).decode()
    inputs = {"img": uri, "version": "embedded", "scale": 2, "weight": 0.5}
    done = asked(f"{server}/predictions", {"input": inputs})
    assert done["status"] == "succeeded"
    assert done["output"].startswith("data:image/png;base64,")
    failed = asked(f"{server}/predictions", {"input": inputs | {"version": "v1.4"}})
    assert failed["status"] == "failed"
    assert "gfpgan-1.4 is not here and downloads are off" in failed["error"]
