"""What ``doctor`` finds out, and that one fault does not hide the rest."""

from revisage.doctor import examine


def test_a_sound_installation_has_facts_and_no_faults():
    facts, faults = examine("cpu", "float32")
    assert not faults
    assert dict(facts)["device"] == "cpu"
    assert "RestorationUNet" in dict(facts)["embedded"]


def test_a_device_that_is_not_there():
    facts, faults = examine("abacus")
    assert len(faults) == 1
    assert "abacus" in faults[0]
    assert "embedded" in dict(facts)


def test_damaged_weights(monkeypatch, tmp_path):
    (tmp_path / "damaged.safetensors").write_bytes(b"not weights")
    monkeypatch.setattr("revisage.zoo.weight_file", lambda _: tmp_path / "damaged.safetensors")
    facts, faults = examine("cpu")
    assert "damaged.safetensors" in faults[0]
    assert "embedded" not in dict(facts)
