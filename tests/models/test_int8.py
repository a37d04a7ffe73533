import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from revisage.errors import CheckpointError
from revisage.models.checkpoint import Header, dequantize_int8, quantize_int8, read_weights, save_weights


@given(seed=st.integers(0, 1000), spread=st.floats(1e-6, 1e6))
def test_no_weight_moves_by_more_than_half_a_step_of_its_channel(seed, spread):
    kernel = spread * torch.randn(5, 3, 3, 3, generator=torch.Generator().manual_seed(seed))
    kernel[2] = 0
    back = dequantize_int8(quantize_int8({"kernel": kernel}), "here")["kernel"]
    step = kernel.flatten(1).abs().amax(1) / 127
    assert ((back - kernel).flatten(1).abs().amax(1) <= 0.501 * step).all()


def test_a_second_round_changes_nothing():
    once = dequantize_int8(quantize_int8({"kernel": torch.randn(4, 7)}), "here")
    twice = dequantize_int8(quantize_int8(once), "here")
    torch.testing.assert_close(twice, once, rtol=1e-6, atol=0)


def test_vectors_are_float16_and_counts_stay():
    state = {"bias": torch.tensor([0.1, 3.0]), "number": torch.tensor(70000), "table": torch.tensor([[1, 2]])}
    packed = quantize_int8(state)
    assert packed["bias"].dtype == torch.float16
    assert torch.equal(packed["number"], state["number"])
    assert torch.equal(dequantize_int8(packed, "here")["table"], state["table"])


def test_a_file_holds_a_byte_a_weight_and_comes_back_as_floats(tmp_path):
    weights = {"conv.weight": torch.randn(64, 64, 3, 3), "conv.bias": torch.randn(64)}
    save_weights(tmp_path / "small.safetensors", weights, Header("X"), torch.int8)
    assert (tmp_path / "small.safetensors").stat().st_size < 1.03 * 64 * 64 * 9
    state, header = read_weights(tmp_path / "small.safetensors")
    assert (set(state), header) == (set(weights), Header("X"))
    assert state["conv.weight"].dtype == torch.float32
    assert (state["conv.weight"] - weights["conv.weight"]).abs().max() < 0.03


@pytest.mark.parametrize("scale", [torch.ones(3), torch.ones(2, 1), torch.ones(2, dtype=torch.int64)])
def test_scales_that_do_not_fit_are_refused(scale):
    state = {"kernel": torch.zeros(2, 5, dtype=torch.int8), "kernel.scale": scale}
    with pytest.raises(CheckpointError, match="scales of kernel do not fit"):
        dequantize_int8(state, "here")
