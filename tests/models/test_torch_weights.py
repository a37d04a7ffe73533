"""Files of PyTorch: every layout in use is read, nothing in them is run."""

import os
import sys
import types

import pytest
import torch

from revisage.errors import CheckpointError, MissingWeightsError, OutputError
from revisage.models.torch_pickle import read_torch_weights, save_torch_weights

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
    assert torch.equal(read_torch_weights(path)["a.weight"], torch.ones(2))


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
    state = read_torch_weights(saved(tmp_path / "w.pth", content))
    assert list(state) == ["a.weight"]
    assert torch.equal(state["a.weight"], torch.ones(2))
    assert not state["a.weight"].requires_grad


def test_either_of_two_sets_can_be_asked_for(tmp_path):
    path = saved(tmp_path / "w.pth", {"params_ema": EMA, "params": RAW})
    assert torch.equal(read_torch_weights(path, "params")["a.weight"], RAW["a.weight"])
    assert torch.equal(read_torch_weights(path, "params_ema")["a.weight"], EMA["a.weight"])


@pytest.mark.parametrize(("content", "held"), [({"params": RAW}, "it holds params"), (EMA, "one unnamed set")])
def test_a_set_that_is_not_there_is_refused(tmp_path, content, held):
    with pytest.raises(CheckpointError, match=f"no weights named params_ema; .*{held}"):
        read_torch_weights(saved(tmp_path / "w.pth", content), "params_ema")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(MissingWeightsError, match=r"none\.pth"):
        read_torch_weights(tmp_path / "none.pth")


@pytest.mark.parametrize("zipped", [True, False], ids=["present form", "older form"])
@pytest.mark.parametrize("place", [lambda it: it, lambda it: {"params": EMA, "x": it}], ids=["alone", "beside weights"])
def test_code_is_refused_by_name_and_not_run(tmp_path, monkeypatch, zipped, place):
    path = saved(tmp_path / "w.pth", place(Malice()), _use_new_zipfile_serialization=zipped)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=r"would run (posix|nt)\.mkdir") as caught:
        read_torch_weights(path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_whole_network_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"would run torch\.nn\.modules\.linear\.Linear"):
        read_torch_weights(saved(tmp_path / "w.pth", torch.nn.Linear(2, 2)))


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
    assert list(read_torch_weights(path)) == ["a.weight"]
    assert not [entry for entry in torch.serialization.get_safe_globals() if "Inert" in str(entry)]


def test_objects_of_other_packages_are_not_passed_over(tmp_path, monkeypatch):
    notes = lightning_class(monkeypatch, "my_own_trainer")
    with pytest.raises(CheckpointError, match=r"would run my_own_trainer\.callbacks\.ModelCheckpoint"):
        read_torch_weights(saved(tmp_path / "w.ckpt", {"state_dict": EMA, "callbacks": {notes: 1}}))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([torch.ones(2)], "holds a list, not a dictionary"),
        (torch.ones(2), "holds a Tensor, not a dictionary"),
        ({}, "holds no weights"),
        ({"params": {}}, "holds no weights"),
        ({"epoch": 3}, "'epoch' is a int, no tensor"),
        ({"params": {"a": [1]}}, "'a' is a list, no tensor"),
        ({1: torch.ones(2)}, "1 is a Tensor"),
    ],
)
def test_what_is_no_dictionary_of_tensors_is_refused(tmp_path, content, reason):
    with pytest.raises(CheckpointError, match=reason):
        read_torch_weights(saved(tmp_path / "w.pth", content))


@pytest.mark.parametrize("zipped", [True, False], ids=["present form", "older form"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused_in_one_line(tmp_path, zipped, share):
    path = saved(tmp_path / "w.pth", {"a": torch.ones(500)}, _use_new_zipfile_serialization=zipped)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(CheckpointError) as caught:
        read_torch_weights(path)
    assert str(caught.value).startswith(f"{path} is not a whole PyTorch file")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"hello", b"\x80\x02.", b"PK\x03\x04" + bytes(60), b"\xff\xd8\xff" * 50])
def test_what_is_no_pytorch_file_is_refused(tmp_path, content):
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"not a (whole PyTorch file|dictionary)"):
        read_torch_weights(tmp_path / "w.pth")


@pytest.mark.parametrize("entry", ["params_ema", "params", None])
def test_files_are_written_in_the_published_layout(tmp_path, entry):
    save_torch_weights(tmp_path / "w.pth", EMA, entry)
    content = torch.load(tmp_path / "w.pth", weights_only=True)
    assert list(content) == [entry or "a.weight"]
    assert torch.equal(read_torch_weights(tmp_path / "w.pth")["a.weight"], EMA["a.weight"])


def test_a_view_takes_no_more_room_than_it_shows(tmp_path):
    save_torch_weights(
        tmp_path / "w.pth", {"w": torch.zeros(1_000_000)[:10], "n": torch.tensor(3)}, dtype=torch.float16
    )
    assert (tmp_path / "w.pth").stat().st_size < 10_000
    state = read_torch_weights(tmp_path / "w.pth")
    assert (state["w"].dtype, state["n"].dtype) == (torch.float16, torch.int64)


def test_a_failed_write_leaves_the_earlier_file_whole(tmp_path, monkeypatch):
    save_torch_weights(tmp_path / "w.pth", EMA)

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("torch.save", full)
    with pytest.raises(OutputError, match="the disk is full"):
        save_torch_weights(tmp_path / "w.pth", RAW)
    assert torch.equal(read_torch_weights(tmp_path / "w.pth")["a.weight"], EMA["a.weight"])


def test_a_number_that_is_repeated_without_end_is_refused(tmp_path):
    """A tensor of a terabyte in a file of a kilobyte: converted to another type it would fill the memory."""
    path = saved(tmp_path / "w.pth", {"a": torch.ones(1, dtype=torch.float16).expand(2**20, 2**20)})
    with pytest.raises(CheckpointError, match="refused: it holds fewer numbers than a has"):
        read_torch_weights(path)


def test_keys_with_line_breaks_make_no_second_line(tmp_path):
    with pytest.raises(CheckpointError) as caught:
        read_torch_weights(saved(tmp_path / "w.pth", {"a\nb\x1b[2J": 3}))
    assert str(caught.value).isprintable()
