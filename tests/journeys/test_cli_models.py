"""``revisage models`` and ``fetch``, and a restoration with what they brought."""

import re
import subprocess
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import NamedTuple

import numpy as np
import pytest
import torch

import revisage
from revisage.cli import main
from revisage.models.nets.gfpgan_fir import GFPGANBilinear, GFPGANv1
from revisage.models.registry import MODELS

TINY = {
    "num_style_feat": 8,
    "num_mlp": 1,
    "narrow": 0.0625,
    "input_is_latent": True,
    "different_w": True,
    "sft_half": True,
}


class Done(NamedTuple):
    code: int
    stdout: str
    stderr: str


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("REVISAGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


@pytest.fixture
def run(monkeypatch, capsys):
    def run_command(*arguments):
        monkeypatch.setattr(sys, "argv", ["revisage", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        return Done(end.value.code or 0, *capsys.readouterr())

    return run_command


@pytest.fixture
def photo(tmp_path):
    revisage.write_image(tmp_path / "face.png", np.full((40, 40, 3), 90, np.uint8))
    return tmp_path / "face.png"


def test_the_table_says_what_is_present_and_under_which_licences(run, cache):
    (cache / "GFPGANv1.pth").write_bytes(b"1" * 2_500_000)
    done = run("models")
    assert done.code == 0
    assert all(re.search(rf"^{re.escape(name)} ", done.stdout, re.MULTILINE) for name in MODELS)
    assert re.search(r"^gfpgan-1 +present +2\.5 MB  GFPGANv1, 76\.2 M", done.stdout, re.MULTILINE)
    assert re.search(r"^gfpgan-1\.4 +absent +348\.6 MB", done.stdout, re.MULTILINE)
    assert re.search(r"^restoreformer +absent +size unknown", done.stdout, re.MULTILINE)
    assert "trained on FFHQ (CC BY-NC-SA 4.0)" in done.stdout
    assert str(cache) in done.stdout


def test_listing_the_models_does_not_load_torch():
    code = "import sys; from revisage.cli.models import models; models(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=600, capture_output=True)


def test_a_model_is_fetched_from_a_mirror_and_restores_offline(run, cache, photo, monkeypatch, tmp_path):
    shop, out = tmp_path / "shop", tmp_path / "out"
    shop.mkdir()
    torch.save({"params_ema": GFPGANv1(32, **TINY).state_dict()}, shop / "GFPGANv1.pth")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=shop)) as server:
        Thread(target=server.serve_forever, args=(0.01,)).start()
        monkeypatch.setenv("REVISAGE_MIRROR", f"http://127.0.0.1:{server.server_port}")
        done = run("fetch", "gfpgan-1")
        server.shutdown()
    assert done.code == 0, done.stderr
    assert done.stdout == f"gfpgan-1: {cache / 'GFPGANv1.pth'}\n"
    done = run("restore", photo, "-o", out, "--aligned", "--model", "gfpgan-1", "--offline")
    assert done.code == 0, done.stderr
    assert revisage.read_image(next(out.rglob("face*"))).shape == (32, 32, 3)


def test_offline_an_absent_model_is_one_line_that_says_where_to_get_it(run, cache, photo, tmp_path):
    done = run("restore", photo, "-o", tmp_path / "out", "--model", "gfpgan-1.4", "--offline")
    assert done.code == 1
    (line,) = done.stderr.splitlines()
    assert "gfpgan-1.4 is not here and downloads are off" in line
    assert line.endswith(f"GFPGANv1.4.pth (348.6 MB) and put it at {cache / 'GFPGANv1.4.pth'}")


def test_fetching_an_unknown_model_is_a_wrong_call(run):
    done = run("fetch", "gfpgan-1.5")
    assert done.code == 2
    assert "did you mean gfpgan-1 or gfpgan-1.4?" in done.stderr


def test_the_command_line_decides_what_two_networks_look_like(run, photo, tmp_path):
    torch.save({"params": GFPGANBilinear(32, **TINY).state_dict()}, tmp_path / "w.pth")
    results = []
    for options in ([], ["--architecture", "GFPGANBilinear"]):
        out = tmp_path / f"out{len(results)}"
        done = run("restore", photo, "-o", out, "--aligned", "--model", tmp_path / "w.pth", *options)
        assert done.code == 0, done.stderr
        results.append(revisage.read_image(next(out.rglob("face*"))))
    assert not np.array_equal(*results)
