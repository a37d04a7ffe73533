import pytest
import torch

from revisage.errors import CheckpointError, MissingWeightsError, OutputError
from revisage.files.checkpoint import load_strictly, read_weights, save_weights

CONFIG = {"architecture": "Linear", "arguments": {"in_features": 2, "out_features": 3}}


def test_tensors_and_configuration_come_back(tmp_path):
    state = torch.nn.Linear(2, 3).state_dict()
    save_weights(tmp_path / "w.safetensors", state, CONFIG)
    found, config = read_weights(tmp_path / "w.safetensors")
    assert config == CONFIG
    assert all(torch.equal(found[key], state[key]) for key in state)


def test_only_floating_point_is_stored_in_half(tmp_path):
    save_weights(tmp_path / "w.safetensors", {"w": torch.ones(2), "n": torch.tensor(3)}, {}, torch.float16)
    found, _ = read_weights(tmp_path / "w.safetensors")
    assert found["w"].dtype == torch.float16
    assert found["n"].dtype == torch.int64


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(MissingWeightsError, match=r"none.safetensors"):
        read_weights(tmp_path / "none.safetensors")


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff" * 64])
def test_what_is_not_safetensors_is_refused(tmp_path, content):
    (tmp_path / "w.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        read_weights(tmp_path / "w.safetensors")


def test_a_truncated_file_is_refused(tmp_path):
    save_weights(tmp_path / "w.safetensors", {"w": torch.ones(100)}, {})
    content = (tmp_path / "w.safetensors").read_bytes()
    (tmp_path / "w.safetensors").write_bytes(content[:-10])
    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        read_weights(tmp_path / "w.safetensors")


def test_a_pickle_is_never_run(tmp_path):
    torch.save({"w": torch.ones(2)}, tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        read_weights(tmp_path / "w.safetensors")


def test_a_mismatch_is_told_precisely():
    state = {"weight": torch.ones(3, 5), "gain": torch.ones(1)}
    with pytest.raises(CheckpointError) as caught:
        load_strictly(torch.nn.Linear(2, 3), state, "some.pth")
    assert str(caught.value) == (
        "some.pth does not fit Linear: 1 missing: bias; 1 unexpected: gain; "
        "1 of another shape: weight is (3, 5), not (3, 2)"
    )


def test_integers_for_fractions_are_refused():
    state = {"weight": torch.ones(3, 2, dtype=torch.int64), "bias": torch.ones(3)}
    with pytest.raises(CheckpointError, match=r"1 of another kind of number: weight in torch\.int64"):
        load_strictly(torch.nn.Linear(2, 3), state, "some.pth")


def test_a_failed_write_leaves_the_earlier_file_whole(tmp_path, monkeypatch):
    path = tmp_path / "w.safetensors"
    save_weights(path, {"w": torch.ones(2)}, {})

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(OutputError, match="the disk is full"):
        save_weights(path, {"w": torch.zeros(2)}, {})
    assert torch.equal(read_weights(path)[0]["w"], torch.ones(2))
    assert list(tmp_path.iterdir()) == [path]
