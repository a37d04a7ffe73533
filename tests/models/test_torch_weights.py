"""Files of PyTorch: every layout in use is read, nothing in them is run."""

import argparse
import collections
import dataclasses
import datetime
import enum
import os
import re
import subprocess
import sys
import types
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from revisage.errors import CheckpointError, MissingWeightsError, OutputError
from revisage.models.build import read_checkpoint, read_state
from revisage.models.nets.discriminators import FacialComponentDiscriminator
from revisage.models.nets.gfpgan import GFPGANv1Clean
from revisage.models.nets.restoration_unet import RestorationUNet
from revisage.models.nets.rrdbnet import RRDBNet
from revisage.models.torch_pickle import save_torch_weights

EMA, RAW = {"a.weight": torch.ones(2)}, {"a.weight": torch.zeros(2)}


def saved(path, content, **options):
    torch.save(content, path, **options)
    return path


class Malice:
    def __reduce__(self):
        return os.mkdir, ("run",)


@pytest.mark.parametrize("zipped", [True, False], ids=["present form", "older form"])
def test_tensors_come_back(tmp_path, zipped):
    path = saved(tmp_path / "w.pth", EMA, _use_new_zipfile_serialization=zipped)
    assert torch.equal(read_state(path)["a.weight"], torch.ones(2))


@pytest.mark.parametrize(
    "content",
    [
        {"params_ema": EMA, "params": RAW},
        {"params_ema": EMA},
        {"params": EMA},
        {"params": EMA, "params_ema": None},
        {"module.a.weight": torch.ones(2)},
        {"params": {"module.a.weight": torch.ones(2)}},
        {"state_dict": EMA, "epoch": 3, "optimizer_states": [{}]},
        {"state_dict": {"vqvae.a.weight": torch.ones(2), "loss.discriminator.weight": torch.ones(3)}},
        {"state_dict": {"vqvae.a.weight": torch.ones(2), "vqvae.quantize.utility_counter": torch.ones(3)}},
        {"a.weight": torch.nn.Parameter(torch.ones(2))},
    ],
)
def test_every_layout_in_use_gives_the_same(tmp_path, content):
    state = read_state(saved(tmp_path / "w.pth", content))
    assert list(state) == ["a.weight"]
    assert torch.equal(state["a.weight"], torch.ones(2))
    assert not state["a.weight"].requires_grad


def test_either_of_two_sets_can_be_asked_for(tmp_path):
    path = saved(tmp_path / "w.pth", {"params_ema": EMA, "params": RAW})
    assert torch.equal(read_state(path, "params")["a.weight"], RAW["a.weight"])
    assert torch.equal(read_state(path, "params_ema")["a.weight"], EMA["a.weight"])


@pytest.mark.parametrize(("content", "held"), [({"params": RAW}, "it holds params"), (EMA, "one unnamed set")])
def test_a_set_that_is_not_there_is_refused(tmp_path, content, held):
    with pytest.raises(CheckpointError, match=f"no weights named params_ema; .*{held}"):
        read_state(saved(tmp_path / "w.pth", content), "params_ema")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(MissingWeightsError, match=r"none\.pth"):
        read_state(tmp_path / "none.pth")


@pytest.mark.parametrize("zipped", [True, False], ids=["present form", "older form"])
@pytest.mark.parametrize("place", [lambda it: it, lambda it: {"params": EMA, "x": it}], ids=["alone", "beside weights"])
def test_code_is_refused_by_name_and_not_run(tmp_path, monkeypatch, zipped, place):
    path = saved(tmp_path / "w.pth", place(Malice()), _use_new_zipfile_serialization=zipped)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=r"would run (posix|nt)\.mkdir") as caught:
        read_state(path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_whole_network_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="holds no weights: it is a Linear, not a dictionary"):
        read_state(saved(tmp_path / "w.pth", torch.nn.Linear(2, 2)))


def lightning_class(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, types.ModuleType(package))
    module = types.ModuleType(f"{package}.callbacks")
    notes = type("ModelCheckpoint", (), {"__module__": module.__name__, "__qualname__": "ModelCheckpoint"})
    module.ModelCheckpoint = notes
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return notes


def test_notes_of_a_lightning_run_are_passed_over(tmp_path, monkeypatch):
    notes = lightning_class(monkeypatch, "pytorch_lightning")
    content = {"state_dict": {"vqvae.a.weight": torch.ones(2)}, "callbacks": {notes: notes()}}
    path = saved(tmp_path / "w.ckpt", content)
    assert list(read_state(path)) == ["a.weight"]
    assert not [entry for entry in torch.serialization.get_safe_globals() if "ModelCheckpoint" in str(entry)]


class Color(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Settings:
    widths: tuple[int, ...]
    color: Color
    ran: ClassVar[list[str]] = []

    def __setstate__(self, state):
        self.ran.append("setstate")


@dataclasses.dataclass(slots=True)
class Slots:
    a: int


class Config(dict):
    pass


@pytest.mark.parametrize("zipped", [True, False], ids=["present form", "older form"])
@pytest.mark.parametrize(
    "note",
    [
        Settings((1, 2), Color.RED),
        Slots(3),
        argparse.Namespace(path=Path("runs"), lr=0.1),
        Config(a=Config(b=1)),
        collections.defaultdict(list, a=[1]),
        np.float64(0.3),
        np.arange(3),
        datetime.datetime(2026, 1, 2),
        {Color.RED: 1},
        {Settings: 1},
        len,
    ],
    ids=lambda note: type(note).__name__,
)
def test_objects_beside_the_weights_are_passed_over_and_not_run(tmp_path, note, zipped):
    path = saved(
        tmp_path / "w.pth", {"model": {"weights": EMA}, "notes": [note]}, _use_new_zipfile_serialization=zipped
    )
    assert list(read_state(path)) == ["a.weight"]
    assert not Settings.ran
    assert not [entry for entry in torch.serialization.get_safe_globals() if "StandIn" in str(entry)]


def test_weights_in_a_dictionary_of_another_class_are_found(tmp_path):
    path = saved(tmp_path / "w.pth", Config(state=Config({"a.weight": torch.ones(2)})))
    assert torch.equal(read_state(path)["a.weight"], torch.ones(2))


class Process:
    """Calls a class that does things."""

    def __reduce__(self):
        return subprocess.Popen, (["touch", "run"],)


def test_a_class_that_does_things_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=r"would run subprocess\.Popen"):
        read_state(saved(tmp_path / "w.pth", {"params": EMA, "x": Process()}))
    assert not (tmp_path / "run").exists()


GFPGAN = {"out_size": 32, "num_style_feat": 8, "num_mlp": 2, "narrow": 0.0625, "different_w": True}


@pytest.fixture(scope="module")
def weights():
    """Of a small restorer."""
    torch.manual_seed(0)
    return GFPGANv1Clean(**GFPGAN).state_dict()


@pytest.fixture(scope="module")
def discriminator():
    return dict(FacialComponentDiscriminator().state_dict())


def behind(prefix, state):
    return {prefix + key: value for key, value in state.items()}


LAYOUTS = {
    "compiled": lambda w: behind("_orig_mod.", w),
    "parallel and compiled": lambda w: behind("module._orig_mod.", w),
    "any prefix": lambda w: {"state_dict": behind("generator.", w), "epoch": 1},
    "two prefixes": lambda w: {"state_dict": behind("model.net_g.", w)},
    "any name": lambda w: {"g_ema": w, "iter": 5},
    "nested": lambda w: {"net_g": {"params_ema": w}, "iter": 1},
    "in a list": lambda w: {"models": [{"weights": w}]},
    "empty average": lambda w: {"params_ema": {}, "params": w},
    "averaged model": lambda w: behind("module.", w) | {"n_averaged": torch.tensor(5)},
    "with an optimizer": lambda w: {
        "model": w,
        "optimizer": {"state": {0: {"exp_avg": torch.ones(2), "step": torch.tensor(1)}}, "param_groups": [{"lr": 1}]},
    },
    "averaged and raw": lambda w: {"g_ema": w, "g": {key: torch.zeros_like(value) for key, value in w.items()}},
    "numbers between": lambda w: w | {"epoch": 3, "name": "x"},
    "the same twice": lambda w: {"model": w, "state_dict": w},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["w.pth", "w.pth.tar", "w.bin", "w", "w.safetensors"])
def test_weights_are_found_by_structure_whatever_the_file_is_called(tmp_path, weights, layout, name):
    state, header = read_checkpoint(saved(tmp_path / name, LAYOUTS[layout](weights)))
    assert (header.architecture, header.size) == ("GFPGANv1Clean", 32)
    assert state.keys() == weights.keys()
    assert all(torch.equal(state[key], weights[key]) for key in weights)


@pytest.mark.parametrize("first", [b"\x08", b"P", b"\x80"], ids=["ONNX", "archive", "pickle"])
@pytest.mark.parametrize("name", ["w.pth", "w.safetensors", "w"])
def test_a_safetensors_file_of_any_name_that_begins_like_another(tmp_path, weights, first, name):
    """Its first bytes are the length of its header."""
    for padding in range(0, 256, 8):
        save_file(weights, tmp_path / name, {"note": "x" * padding})
        if (tmp_path / name).read_bytes().startswith(first):
            break
    assert (tmp_path / name).read_bytes().startswith(first)
    assert read_checkpoint(tmp_path / name)[1].architecture == "GFPGANv1Clean"


@pytest.mark.parametrize("layout", ["names", "prefixes"])
def test_a_discriminator_beside_a_restorer_is_passed_over(tmp_path, weights, discriminator, layout):
    both = {"g": weights, "d": discriminator}
    if layout == "prefixes":
        both = {"state_dict": behind("g.", weights) | behind("d.", discriminator)}
    path = saved(tmp_path / "w.ckpt", both)
    assert read_checkpoint(path)[1].architecture == "GFPGANv1Clean"
    assert read_checkpoint(path, "FacialComponentDiscriminator")[0].keys() == discriminator.keys()


def test_several_restorers_in_a_file_are_named(tmp_path, weights):
    other = RestorationUNet([8], [1]).state_dict()
    path = saved(tmp_path / "w.pth", {"first": weights, "second": {"net": other}})
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    assert "first (GFPGANv1Clean), second.net (RestorationUNet)" in str(caught.value)
    assert read_checkpoint(path, "RestorationUNet")[0].keys() == other.keys()


@pytest.mark.parametrize("layout", ["first", "second"])
def test_old_keys_of_esrgan(tmp_path, layout):
    network = RRDBNet(3, 3, num_feat=8, num_block=2, num_grow_ch=4)
    state = network.state_dict()
    names = {
        "first": ("model.0", "model.1.sub.2", "model.3", "model.6", "model.8", "model.10"),
        "second": ("conv_first", "trunk_conv", "upconv1", "upconv2", "HRconv", "conv_last"),
    }[layout]
    renamed = dict(zip(("conv_first", "conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last"), names, strict=True))
    block = r"model.1.sub.\1.RDB\2.conv\3.0." if layout == "first" else r"RRDB_trunk.\1.RDB\2.conv\3."
    old = {re.sub(r"body\.(\d)\.rdb(\d)\.conv(\d)\.", block, key): value for key, value in state.items()}
    old = {re.sub(r"^conv_\w+", lambda match: renamed[match[0]], key): value for key, value in old.items()}
    assert not old.keys() & {key for key in state if "rdb" in key}
    found, header = read_checkpoint(saved(tmp_path / "w.pth", behind("module.", old)))
    assert header.architecture == "RRDBNet"
    assert all(torch.equal(found[key], state[key]) for key in state)


def test_a_list_that_holds_itself_many_times_is_searched_once(tmp_path):
    nested: list[object] = [EMA]
    for _ in range(60):
        nested = [nested, nested]
    assert list(read_state(saved(tmp_path / "w.pth", {"a": nested}))) == ["a.weight"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([torch.ones(2)], "holds no weights: it is a list, not a dictionary"),
        (torch.ones(2), "holds no weights: it is a Tensor, not a dictionary"),
        ({}, "holds no weights"),
        ({"params": {}}, "holds no weights"),
        ({"epoch": 3}, "holds no weights"),
        ({"params": {"a": [1]}}, "holds no weights"),
        ({1: torch.ones(2)}, "holds no weights"),
    ],
)
def test_what_is_no_dictionary_of_tensors_is_refused(tmp_path, content, reason):
    with pytest.raises(CheckpointError, match=reason):
        read_state(saved(tmp_path / "w.pth", content))


@pytest.mark.parametrize("zipped", [True, False], ids=["present form", "older form"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused_in_one_line(tmp_path, zipped, share):
    path = saved(tmp_path / "w.pth", {"a": torch.ones(500)}, _use_new_zipfile_serialization=zipped)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(CheckpointError) as caught:
        read_state(path)
    assert str(caught.value).startswith(f"{path} is not a whole PyTorch file")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"hello", b"\x80\x02.", b"PK\x03\x04" + bytes(60), b"\xff\xd8\xff" * 50])
def test_what_is_no_pytorch_file_is_refused(tmp_path, content):
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"not a (whole PyTorch file|dictionary)"):
        read_state(tmp_path / "w.pth")


@pytest.mark.parametrize("entry", ["params_ema", "params", None])
def test_files_are_written_in_the_published_layout(tmp_path, entry):
    save_torch_weights(tmp_path / "w.pth", EMA, entry)
    content = torch.load(tmp_path / "w.pth", weights_only=True)
    assert list(content) == [entry or "a.weight"]
    assert torch.equal(read_state(tmp_path / "w.pth")["a.weight"], EMA["a.weight"])


def test_a_view_takes_no_more_room_than_it_shows(tmp_path):
    save_torch_weights(
        tmp_path / "w.pth", {"w": torch.zeros(1_000_000)[:10], "n": torch.tensor(3)}, dtype=torch.float16
    )
    assert (tmp_path / "w.pth").stat().st_size < 10_000
    state = read_state(tmp_path / "w.pth")
    assert (state["w"].dtype, state["n"].dtype) == (torch.float16, torch.int64)


def test_a_failed_write_leaves_the_earlier_file_whole(tmp_path, monkeypatch):
    save_torch_weights(tmp_path / "w.pth", EMA)

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("torch.save", full)
    with pytest.raises(OutputError, match="the disk is full"):
        save_torch_weights(tmp_path / "w.pth", RAW)
    assert torch.equal(read_state(tmp_path / "w.pth")["a.weight"], EMA["a.weight"])


def test_a_number_that_is_repeated_without_end_is_refused(tmp_path):
    """A tensor of a terabyte in a file of a kilobyte: converted to another type it would fill the memory."""
    path = saved(tmp_path / "w.pth", {"a": torch.ones(1, dtype=torch.float16).expand(2**20, 2**20)})
    with pytest.raises(CheckpointError, match="refused: it holds fewer numbers than a has"):
        read_state(path)


def test_keys_with_line_breaks_make_no_second_line(tmp_path):
    with pytest.raises(CheckpointError) as caught:
        read_state(saved(tmp_path / "w.pth", {"a\nb\x1b[2J": 3}))
    assert str(caught.value).isprintable()
