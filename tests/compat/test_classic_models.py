import pytest

from revisage.compat.gfpganer import resolve_model
from revisage.errors import InputError, UnknownModelError

RELEASES = "https://github.com/TencentARC/GFPGAN/releases/download"


@pytest.mark.parametrize(
    ("address", "name"),
    [
        (f"{RELEASES}/v1.3.0/GFPGANv1.4.pth", "gfpgan-1.4"),
        (f"{RELEASES}/v0.2.0/GFPGANCleanv1-NoCE-C2.pth", "gfpgan-1.2"),
        ("https://mirror.example/weights/GFPGANv1.3.pth?download=true", "gfpgan-1.3"),
    ],
)
def test_a_classic_address_is_a_known_model(address, name):
    assert resolve_model(address, "clean") == (name, None)


def test_an_address_with_escapes_is_understood():
    assert resolve_model("https://example.org/RestoreFormer%2B%2B.ckpt", "RestoreFormer++") == ("restoreformer++", None)


def test_an_unknown_address_is_refused():
    with pytest.raises(UnknownModelError, match=r"no known model is published as 'own\.pth'"):
        resolve_model("https://example.org/own.pth", "clean")


def test_an_address_of_another_arch_is_refused_before_anything_is_downloaded():
    with pytest.raises(InputError, match="gfpgan-1 is a GFPGANv1, not of arch 'clean'"):
        resolve_model(f"{RELEASES}/v0.1.0/GFPGANv1.pth", "clean")


def test_a_name_needs_no_arch():
    assert resolve_model("embedded", "clean") == ("embedded", None)


@pytest.mark.parametrize(("arch", "architecture"), [("bilinear", "GFPGANBilinear"), ("auto", None)])
def test_the_arch_says_what_a_file_must_hold(arch, architecture):
    assert resolve_model("w.pth", arch) == ("w.pth", architecture)


def test_an_unknown_arch_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match="unknown arch 'codeformer'; choose one of clean, bilinear, original"):
        resolve_model("w.pth", "codeformer")
