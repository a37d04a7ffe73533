"""The package's own networks, prepared once and kept in the cache."""

import os
import time
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from revisage.models import backends
from revisage.models.backends.prepared import FOLDER, Prepared
from revisage.models.fetch import path_of


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("REVISAGE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / FOLDER


def run(path=None):
    network = backends.open_network(path or path_of("embedded-identity"), "cpu", role="embedder")
    return network(np.linspace(-1, 1, 3 * 150 * 150, dtype=np.float32).reshape(1, 3, 150, 150))[0]


def test_a_network_from_the_cache_computes_the_same(cache):
    first = run()
    assert [file.name for file in sorted(next(cache.iterdir()).iterdir())] == ["network.onnx", "weights.bin"]
    np.testing.assert_array_equal(run(), first)


def test_the_second_time_the_form_in_the_cache_is_opened(cache, monkeypatch):
    run()
    monkeypatch.setattr(Prepared, "keep", lambda *_: pytest.fail("it was prepared again"))
    run()


@pytest.mark.parametrize("name", ["network.onnx", "weights.bin"])
def test_a_damaged_form_is_made_anew(cache, name):
    first = run()
    damaged = next(cache.iterdir()) / name
    damaged.write_bytes(damaged.read_bytes()[:100])
    np.testing.assert_array_equal(run(), first)
    assert damaged.stat().st_size > 100


def test_without_a_cache_to_write_to_the_network_still_runs(cache):
    expected = run()
    for file in (folder := next(cache.iterdir())).iterdir():
        file.unlink()
    folder.rmdir()
    cache.rmdir()
    cache.write_bytes(b"no folder")
    np.testing.assert_array_equal(run(), expected)


def test_a_form_that_cannot_be_written_leaves_nothing_behind(cache, monkeypatch):
    expected = run()
    monkeypatch.setattr("revisage.models.backends.prepared._GRAPH", "no such folder/network.onnx")
    monkeypatch.setattr("revisage.models.backends.prepared._processor", lambda: "another")
    np.testing.assert_array_equal(run(), expected)
    assert len(list(cache.iterdir())) == 1


def test_of_two_processes_that_prepare_at_once_one_gives_way(cache):
    prepared = Prepared.of(path_of("embedded-identity"))
    with prepared.keep(options := onnxruntime.SessionOptions()):
        prepared.folder.mkdir()
        (prepared.folder / "network.onnx").write_bytes(b"the other's")
    assert options.optimized_model_filepath
    assert [folder.name for folder in cache.iterdir()] == [prepared.folder.name]
    assert (prepared.folder / "network.onnx").read_bytes() == b"the other's"


def test_forms_that_nobody_opened_for_months_are_removed(cache):
    old = cache / "restorer-0123456789abcdef"
    old.mkdir(parents=True)
    os.utime(old, (time.time() - 100 * 86400,) * 2)
    run()
    assert [folder.name.partition("-")[0] for folder in cache.iterdir()] == ["identity"]


def test_files_of_users_leave_nothing_in_the_cache(cache, tmp_path):
    own = tmp_path / "own.onnx"
    own.write_bytes(path_of("embedded-identity").read_bytes())
    run(own)
    assert not cache.exists()


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="users of POSIX")
def test_a_form_that_another_user_wrote_is_not_opened(cache, monkeypatch):
    run()
    prepared = Prepared.of(path_of("embedded-identity"))
    assert prepared.open(onnxruntime.SessionOptions())
    owner = (prepared.folder / "network.onnx").stat()
    monkeypatch.setattr(Path, "stat", lambda *_, **__: os.stat_result((*owner[:4], 54321, *owner[5:])))
    assert prepared.open(onnxruntime.SessionOptions()) is None


def test_a_user_without_a_home_gets_no_folder_called_tilde(tmp_path, monkeypatch):
    monkeypatch.delenv("REVISAGE_CACHE", raising=False)
    monkeypatch.setattr("revisage.models.backends.prepared.cache_folder", lambda: Path("~/.cache/revisage"))
    monkeypatch.chdir(tmp_path)
    run()
    assert not list(tmp_path.iterdir())
