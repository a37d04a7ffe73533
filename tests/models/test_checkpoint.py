import json
import struct

import pytest
import torch

from revisage.errors import CheckpointError, MissingWeightsError, OutputError
from revisage.models.checkpoint import Header, check_finite, load_strictly, read_weights, save_weights

HEADER = Header("Linear", {"in_features": 2, "out_features": 3}, 64, {"recipe": "small"})


def test_tensors_and_header_come_back(tmp_path):
    state = torch.nn.Linear(2, 3).state_dict()
    save_weights(tmp_path / "w.safetensors", state, HEADER)
    found, header = read_weights(tmp_path / "w.safetensors")
    assert header == HEADER
    assert all(torch.equal(found[key], state[key]) for key in state)


def test_only_floating_point_is_stored_in_half(tmp_path):
    save_weights(tmp_path / "w.safetensors", {"w": torch.ones(2), "n": torch.tensor(3)}, dtype=torch.float16)
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
    save_weights(tmp_path / "w.safetensors", {"w": torch.ones(100)})
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
    save_weights(path, {"w": torch.ones(2)})

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(OutputError, match="the disk is full"):
        save_weights(path, {"w": torch.zeros(2)})
    assert torch.equal(read_weights(path)[0]["w"], torch.ones(2))
    assert list(tmp_path.iterdir()) == [path]


def with_header(path, header, length=None, data=bytes(64)):
    """A safetensors file with any header at all, and any length stated for it."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def tensor(start, end, shape=(4,), dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


@pytest.mark.parametrize(
    ("header", "length"),
    [
        (b"{}", 2**31),
        (b"{}", 2**63 + 1),
        ({"a": tensor(0, 16), "b": tensor(8, 24)}, None),
        ({"a": tensor(-16, 0)}, None),
        ({"a": tensor(16, 0)}, None),
        ({"a": tensor(0, 16, (2**62, 2**62))}, None),
        ({"a": tensor(0, 16, (-4,))}, None),
        ({"a": tensor(0, 2**40)}, None),
        ({"a": tensor(0, 16, dtype="F128")}, None),
        (b'{"a":' * 5000, None),
        (b"[" * 100_000, None),
        (b'{"__metadata__": {"revisage": 3}}', None),
        (b"\xff\xfe", None),
    ],
    ids=str,
)
def test_headers_made_to_harm_are_refused(tmp_path, header, length):
    """Of two gigabytes, with tensors that overlap, lie before the file or beyond it, or overflow; nested, no text."""
    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        read_weights(with_header(tmp_path / "w.safetensors", header, length))


@pytest.mark.parametrize("config", ["[" * 100_000, "{", "3", "NaN", "9" * 5000])
def test_a_header_that_is_no_json_object_is_refused(tmp_path, config):
    header = {"__metadata__": {"revisage": config}, "a": tensor(0, 64, (16,))}
    with pytest.raises(CheckpointError, match=r"w\.safetensors"):
        read_weights(with_header(tmp_path / "w.safetensors", header))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float8_e5m2])
def test_weights_that_are_no_numbers_are_named(value, dtype):
    state = {"first": torch.ones(3), "second": torch.tensor([1.0, value, 2.0]).to(dtype)}
    with pytest.raises(CheckpointError, match=r"w\.pth is damaged: second holds values that are no numbers"):
        check_finite(state, "w.pth")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.int64])
def test_large_weights_are_numbers(dtype):
    """Their sum may be none."""
    largest = torch.finfo(dtype).max if dtype.is_floating_point else 2**62
    check_finite({"a": torch.full((4,), largest, dtype=dtype), "none": torch.ones(0)}, "w.pth")
