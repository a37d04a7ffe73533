"""What ``doctor`` finds out, and that one fault does not hide the rest."""

from dataclasses import replace

from revisage.doctor import examine
from revisage.models.registry import MODELS


def test_a_sound_installation_has_facts_and_no_faults():
    facts, faults = examine("cpu", "float32")
    assert not faults
    assert dict(facts)["device"] == "cpu"
    assert "CoarseToFineUNet" in dict(facts)["embedded"]


def test_a_device_that_is_not_there():
    facts, faults = examine("abacus")
    assert len(faults) == 1
    assert "abacus" in faults[0]
    assert "embedded" in dict(facts)


def test_published_models_that_are_not_here_are_no_fault(monkeypatch, tmp_path):
    monkeypatch.setenv("REVISAGE_CACHE", str(tmp_path))
    facts, faults = examine("cpu")
    assert not faults
    assert "gfpgan-1.4" in dict(facts)["not downloaded"]
    assert dict(facts)["cache"] == str(tmp_path)


def test_damaged_weights(monkeypatch, tmp_path):
    monkeypatch.setenv("REVISAGE_CACHE", str(tmp_path))
    (tmp_path / "GFPGANv1.pth").write_bytes(b"not weights")
    facts, faults = examine("cpu")
    assert len(faults) == 1
    assert "GFPGANv1.pth is not a whole PyTorch file" in faults[0]
    assert "gfpgan-1" not in dict(facts)
    assert "embedded" in dict(facts)


def test_a_file_that_only_looks_like_the_published_one(monkeypatch, tmp_path):
    monkeypatch.setenv("REVISAGE_CACHE", str(tmp_path))
    spec = replace(MODELS["bisenet"], size=4, sha256="0" * 64)
    monkeypatch.setitem(MODELS, "bisenet", spec)
    (tmp_path / spec.file).write_bytes(b"fake")
    _, faults = examine("cpu")
    assert "is not the published file of bisenet" in faults[0]
