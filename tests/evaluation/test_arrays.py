"""Files of arrays: what is no such file, holds objects or unpacks without end is refused in one line."""

import io
import os
import zipfile

import numpy as np
import pytest

from revisage.errors import CheckpointError
from revisage.evaluation import arrays
from revisage.evaluation.arrays import read_arrays


class Malice:
    def __reduce__(self):
        return os.mkdir, ("ran",)


def test_arrays_come_back(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", x=np.arange(3), y=np.eye(2))
    found = read_arrays(tmp_path / "a.npz")
    np.testing.assert_array_equal(found["x"], [0, 1, 2])
    np.testing.assert_array_equal(found["y"], np.eye(2))


def test_objects_are_never_unpickled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "a.npz", x=np.array([Malice()], object))
    with pytest.raises(CheckpointError, match=r"a\.npz is not a whole file of arrays"):
        read_arrays(tmp_path / "a.npz")
    assert not (tmp_path / "ran").exists()


def test_a_file_that_unpacks_to_more_than_any_use_is_refused(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros(100_000))
    monkeypatch.setattr(arrays, "MAX_UNPACKED_BYTES", 800_000)
    with pytest.raises(CheckpointError, match="refused: it unpacks to"):
        read_arrays(tmp_path / "a.npz")


@pytest.mark.parametrize("shape", ["(1000000000000000,)", "(-1,)", "(" * 5000, "(1,"])
def test_a_header_that_lies_is_refused(tmp_path, shape):
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".encode()
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(16))
    with pytest.raises(CheckpointError, match="not a whole file of arrays"):
        read_arrays(tmp_path / "a.npz")


@pytest.mark.parametrize("damage", [lambda _: b"", lambda data: data[:-30], lambda data: data.replace(b"PK", b"QK")])
def test_damaged_archives_are_refused(tmp_path, damage):
    file = io.BytesIO()
    np.savez(file, x=np.zeros(3))
    (tmp_path / "a.npz").write_bytes(damage(file.getvalue()))
    with pytest.raises(CheckpointError, match=r"a\.npz"):
        read_arrays(tmp_path / "a.npz")


def test_a_single_array_is_no_such_file(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(3))
    with pytest.raises(CheckpointError, match="not a whole file of arrays"):
        read_arrays(tmp_path / "a.npy")
