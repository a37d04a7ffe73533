import pytest
import torch

from revisage.errors import CheckpointError, InputError
from revisage.models.build import build, read_checkpoint, read_state
from revisage.models.checkpoint import Header, save_weights
from revisage.models.convert import convert
from revisage.models.nets.discriminators import FacialComponentDiscriminator
from revisage.models.nets.gfpgan import GFPGANv1Clean
from revisage.models.nets.gfpgan_fir import GFPGANBilinear
from revisage.models.nets.restoration_unet import RestorationUNet
from revisage.models.nets.retinaface import RetinaFace
from revisage.models.nets.stylegan2_fir import StyleGAN2GeneratorBilinear

SMALL = {"out_size": 32, "num_style_feat": 8, "num_mlp": 2, "narrow": 0.0625}


def small(kind=GFPGANv1Clean, **arguments):
    return kind(**SMALL, input_is_latent=True, different_w=True, sft_half=True, **arguments).eval()


def saved(path, content):
    torch.save(content, path)
    return path


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_there_and_back_nothing_changes(tmp_path):
    state = small().state_dict()
    source = saved(tmp_path / "a.pth", {"params_ema": state})
    done = convert(source, tmp_path / "b.safetensors")
    assert done.architecture == "GFPGANv1Clean"
    assert done.size == (tmp_path / "b.safetensors").stat().st_size
    found, header = read_checkpoint(tmp_path / "b.safetensors")
    assert same(found, state)
    assert (header.arguments["out_size"], header.size) == (32, 32)
    convert(tmp_path / "b.safetensors", tmp_path / "c.pth")
    assert same(torch.load(tmp_path / "c.pth", weights_only=True)["params_ema"], state)


@pytest.mark.parametrize(
    ("network", "entry"),
    [
        (RestorationUNet([8], [1]), "params_ema"),
        (RetinaFace(), None),
        (FacialComponentDiscriminator(), "params"),
    ],
    ids=["restorer", "detector", "discriminator"],
)
def test_each_network_gets_the_published_layout(tmp_path, network, entry):
    state = network.state_dict()
    convert(saved(tmp_path / "a.pth", state), tmp_path / "b.pth")
    content = torch.load(tmp_path / "b.pth", weights_only=True)
    assert same(content[entry] if entry else content, state)


def test_raw_weights_keep_their_name(tmp_path):
    ema, raw = small().state_dict(), small().state_dict()
    source = saved(tmp_path / "a.pth", {"params_ema": ema, "params": raw})
    convert(source, tmp_path / "raw.pth", parameter_set="params")
    assert same(torch.load(tmp_path / "raw.pth", weights_only=True)["params"], raw)
    convert(source, tmp_path / "either.safetensors")
    assert same(read_checkpoint(tmp_path / "either.safetensors")[0], ema)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_half_precision_takes_half_the_room(tmp_path, suffix):
    source = saved(tmp_path / "a.pth", {"params_ema": small().state_dict()})
    whole, half = (convert(source, tmp_path / f"{half}{suffix}", half=half) for half in (False, True))
    assert half.values == whole.values
    assert half.size < 0.75 * whole.size  # small tensors: headers count
    assert build(tmp_path / f"True{suffix}")[1].architecture == "GFPGANv1Clean"


def test_bilinear_becomes_clean_and_restores_the_same(tmp_path):
    bilinear = small(GFPGANBilinear)
    source = saved(tmp_path / "a.pth", {"params_ema": bilinear.state_dict()})
    done = convert(source, tmp_path / "b.pth", clean=True, architecture="GFPGANBilinear")
    assert done.architecture == "GFPGANv1Clean"
    x = torch.rand(1, 3, 32, 32) * 2 - 1
    torch.testing.assert_close(build(tmp_path / "b.pth")[0](x)[0], bilinear(x)[0], rtol=1e-4, atol=1e-4)


def test_a_header_that_says_bilinear_is_enough(tmp_path):
    arguments = SMALL | {"lr_mlp": 0.02}
    bilinear = StyleGAN2GeneratorBilinear(**arguments)
    header = Header("StyleGAN2GeneratorBilinear", arguments | {"interpolation_mode": "bilinear"})
    save_weights(tmp_path / "a.safetensors", bilinear.state_dict(), header)
    convert(tmp_path / "a.safetensors", tmp_path / "b.safetensors", clean=True)
    z = torch.randn(1, 8)
    clean = build(tmp_path / "b.safetensors")[0]
    torch.testing.assert_close(clean([z])[0], bilinear([z])[0], rtol=1e-4, atol=1e-4)


def test_original_weights_have_no_clean_form(tmp_path):
    source = saved(tmp_path / "a.pth", {"params_ema": small(GFPGANBilinear).state_dict()})
    with pytest.raises(CheckpointError, match=r"of a GFPGANv1, which have no clean form; .*--architecture GFPGANBil"):
        convert(source, tmp_path / "b.pth", clean=True)
    assert list(tmp_path.iterdir()) == [source]


def test_clean_weights_need_no_cleaning(tmp_path):
    with pytest.raises(CheckpointError, match=r"of a GFPGANv1Clean, which have no clean form$"):
        convert(saved(tmp_path / "a.pth", small().state_dict()), tmp_path / "b.pth", clean=True)


def test_a_network_that_repeats_pixels_has_no_clean_form(tmp_path):
    arguments = SMALL | {"interpolation_mode": "nearest"}
    header = Header("StyleGAN2GeneratorBilinear", arguments)
    save_weights(tmp_path / "a.safetensors", StyleGAN2GeneratorBilinear(**arguments).state_dict(), header)
    with pytest.raises(CheckpointError, match="repeats pixels"):
        convert(tmp_path / "a.safetensors", tmp_path / "b.pth", clean=True)


def test_weights_that_do_not_fit_are_not_written(tmp_path):
    state = small().state_dict()
    del state["final_conv.bias"]
    with pytest.raises(CheckpointError, match=r"1 missing: final_conv\.bias"):
        convert(saved(tmp_path / "a.pth", state), tmp_path / "b.safetensors")
    assert not (tmp_path / "b.safetensors").exists()


def test_files_are_replaced_only_on_request(tmp_path):
    source = saved(tmp_path / "a.pth", small().state_dict())
    with pytest.raises(InputError, match="exists already"):
        convert(source, source)
    convert(source, source, overwrite=True)
    assert list(read_state(source)) == list(small().state_dict())


def test_other_kinds_of_target_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"b\.onnx: weights are written as"):
        convert(tmp_path / "a.pth", tmp_path / "b.onnx")


def test_weights_that_are_no_numbers_are_not_converted(tmp_path):
    state = small().state_dict()
    state["final_conv.bias"][0] = float("inf")
    with pytest.raises(CheckpointError, match=r"a\.pth is damaged: final_conv\.bias holds values that are no numbers"):
        convert(saved(tmp_path / "a.pth", state), tmp_path / "b.safetensors")
    assert not (tmp_path / "b.safetensors").exists()
