"""Faults of the classic packages that no other test is about; docs/notes/classic-faults.md lists them all."""

import re
import tomllib
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from threading import Thread

import numpy as np
import pytest
import torch

from locations import ROOT
from revisage import loading
from revisage.compat import GFPGANer
from revisage.models.nets.gfpgan import GFPGANv1Clean
from revisage.restore.controls import Controls
from revisage.restore.pipeline import Restorer

CLASSIC = {"basicsr", "facexlib", "gfpgan", "realesrgan", "torchvision", "numba", "filterpy", "tb-nightly", "yapf"}


@pytest.fixture
def weights(tmp_path):
    """A ``.pth`` of a small clean GFP-GAN, in a folder of its own."""
    torch.manual_seed(0)
    network = GFPGANv1Clean(32, 8, num_mlp=2, narrow=0.0625, input_is_latent=True, different_w=True, sft_half=True)
    (tmp_path / "shop").mkdir()
    torch.save({"params_ema": network.state_dict()}, tmp_path / "shop" / "tiny.pth")
    return tmp_path / "shop" / "tiny.pth"


def test_weights_that_were_saved_on_a_gpu_load_without_one(weights, monkeypatch):
    state = torch.load(weights, weights_only=True)
    monkeypatch.setattr("torch.serialization.location_tag", lambda _: "cuda:0")  # as torch.save notes it on a GPU
    torch.save(state, weights)
    monkeypatch.undo()
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeError, match="CUDA"):
            torch.load(weights, weights_only=True)  # what the classic loader does
    assert loading.load(weights, device="cpu").size == 32


def test_a_classic_address_fills_the_cache_and_not_the_current_folder(weights, tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("REVISAGE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    quiet = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(quiet, directory=weights.parent)) as server:
        Thread(target=server.serve_forever, args=(0.01,)).start()
        address = f"http://127.0.0.1:{server.server_port}/tiny.pth"
        row = replace(loading.MODELS["gfpgan-1.2"], file="tiny.pth", urls=(address,), sha256=None)
        monkeypatch.setitem(loading.MODELS, "tiny", row)
        made = [GFPGANer(address, device="cpu")]
        server.shutdown()
    monkeypatch.chdir(tmp_path)
    made.append(GFPGANer(address, device="cpu"))  # from the cache: there is no server any more
    assert all(isinstance(restorer.gfpgan, GFPGANv1Clean) for restorer in made)
    assert [path.name for path in (tmp_path / "cache").glob("*.pth")] == ["tiny.pth"]
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_faces_go_through_the_network_together():
    batches = []

    def network(crops):
        batches.append(len(crops))
        return crops

    restorer = Restorer("test", lambda _: [], network, 32, batch=4)
    restorer.restore([np.zeros((32, 32, 3), np.uint8)] * 6, Controls(aligned=True))
    assert batches == [4, 2]


def test_none_of_the_classic_packages_is_asked_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    assert not {name for name in CLASSIC for requirement in wanted if requirement.lower().startswith(name)}


def test_none_of_the_classic_packages_is_imported():
    imports = re.compile(rf"^\s*(?:import|from)\s+(?:{'|'.join(CLASSIC)})\b", re.MULTILINE)
    sources = [ROOT / "predict.py", *(ROOT / "src").rglob("*.py")]
    assert not [path for path in sources if imports.search(path.read_text(encoding="utf-8"))]


def test_every_test_that_a_page_names_is_there():
    pages = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs").rglob("*.md"))
    named = set(re.findall(r"(tests/[\w/]+\.py)::(?:\w+::)?(\w+)", pages))
    assert named
    gone = [
        f"{file}::{name}" for file, name in named if f"def {name}(" not in (ROOT / file).read_text(encoding="utf-8")
    ]
    assert not gone
