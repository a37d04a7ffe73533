"""Every network is recognised by its keys and shapes alone."""

import pytest
import torch
from torch import nn

from revisage.errors import CheckpointError
from revisage.models.architectures import ARCHITECTURES, network_class
from revisage.models.detect_architecture import detect_architecture, lookalikes

GFPGAN = {"num_style_feat": 8, "num_mlp": 2, "narrow": 0.0625}
LATENT = {"input_is_latent": True, "different_w": True}
FORMER = {"n_embed": 32, "embed_dim": 16, "ch": 32, "num_res_blocks": 1, "resolution": 32, "z_channels": 8}
PLUS = FORMER | {"ch_mult": (1, 1, 2), "attn_resolutions": (8,), "head_size": 4, "ex_multi_scale_num": 1}

ALIGNED = {"position_sizes": [0, 8, 4], "attention": [0, 1, 2], "normalized": [False, False, True]}

SMALL = [
    ("GFPGANv1Clean", {"out_size": 32} | GFPGAN | LATENT | {"sft_half": True}),
    ("GFPGANv1Clean", {"out_size": 128, "channel_multiplier": 2} | GFPGAN | LATENT),
    ("GFPGANv1Clean", {"out_size": 64, "channel_multiplier": 0.7} | GFPGAN),
    ("GFPGANv1", {"out_size": 64, "channel_multiplier": 2} | GFPGAN | LATENT | {"sft_half": True}),
    ("GFPGANBilinear", {"out_size": 32} | GFPGAN | {"sft_half": True}),
    ("RestoreFormer", FORMER | {"ch_mult": (1, 2), "attn_resolutions": (16,), "head_size": 8}),
    ("RestoreFormer", FORMER | {"ch_mult": (1, 2), "attn_resolutions": (16,), "enable_mid": False, "double_z": True}),
    ("RestoreFormer", PLUS),
    ("RestorationUNet", {"widths": [8, 16, 24], "blocks": [1, 2, 3], "unshuffle": 4}),
    ("RestorationUNet", {"widths": [8, 16], "blocks": [1, 2], "inputs": 3}),
    ("RestorationUNet", {"widths": [8, 16, 24], "blocks": [1, 1, 1], **ALIGNED}),
    (
        "CoarseToFineUNet",
        {
            "coarse": {"widths": [8, 12], "blocks": [1, 2], "unshuffle": 4},
            "fine": {"widths": [8, 16, 24], "blocks": [1, 2, 3]},
        },
    ),
    (
        "CoarseToFineUNet",
        {
            "coarse": {"widths": [8, 12, 16], "blocks": [1, 2, 1], **ALIGNED},
            "fine": {"widths": [8, 16, 24], "blocks": [1, 2, 3], "noise": 16},
        },
    ),
    ("StyleGAN2GeneratorClean", {"out_size": 64, "channel_multiplier": 1} | GFPGAN),
    ("StyleGAN2Generator", {"out_size": 16} | GFPGAN),
    ("StyleGAN2GeneratorBilinear", {"out_size": 128, "channel_multiplier": 1} | GFPGAN),
    ("StyleGAN2Discriminator", {"out_size": 32, "narrow": 0.0625}),
    ("StyleGAN2Discriminator", {"out_size": 256, "channel_multiplier": 0.5, "narrow": 0.0625}),
    ("FacialComponentDiscriminator", {}),
    ("ResNetArcFace", {"block": "IRBlock", "layers": (2, 2, 2, 2), "use_se": False}),
    ("ResNetArcFace", {"block": "IRBlock", "layers": (1, 2, 3, 1), "use_se": True}),
    ("FaceEmbedder", {"widths": [8, 12, 16, 24], "blocks": [0, 1, 3, 2], "size": 32}),
    ("RetinaFace", {"network_name": "mobile0.25"}),
    ("RetinaFace", {"network_name": "resnet50"}),
    ("ParseNet", {"in_size": 64, "out_size": 64, "base_ch": 8, "parsing_ch": 5, "res_depth": 2, "ch_range": (8, 12)}),
    ("ParseNet", {"in_size": 512, "out_size": 512}),
    ("ParseNet", {"in_size": 64, "out_size": 128, "norm_type": "none"}),
    ("BiSeNet", {"num_class": 7}),
    ("BackgroundUNet", {"widths": [4, 8], "blocks": [1, 2]}),
    ("RepairUNet", {"widths": [4, 8], "blocks": [1, 2]}),
    ("RRDBNet", {"num_in_ch": 3, "num_out_ch": 3, "scale": 1, "num_feat": 8, "num_block": 2, "num_grow_ch": 4}),
    ("RRDBNet", {"num_in_ch": 3, "num_out_ch": 3, "scale": 2, "num_feat": 8, "num_block": 1}),
    ("RRDBNet", {"num_in_ch": 3, "num_out_ch": 3, "scale": 4, "num_feat": 8, "num_block": 1}),
    ("SRVGGNetCompact", {"num_feat": 8, "num_conv": 3, "upscale": 2}),
]
PUBLISHED = [
    ("GFPGANv1Clean", {"out_size": 512, "channel_multiplier": 2, "sft_half": True} | LATENT),
    ("GFPGANv1", {"out_size": 512, "channel_multiplier": 1, "sft_half": True} | LATENT),
    ("RestoreFormer", {}),
    ("RestoreFormer", {"head_size": 4, "ex_multi_scale_num": 1}),
    ("VQVAEGAN", {}),
    ("StyleGAN2Generator", {"out_size": 512, "channel_multiplier": 1}),
    ("StyleGAN2Discriminator", {"out_size": 512, "channel_multiplier": 1}),
    ("RRDBNet", {"num_in_ch": 3, "num_out_ch": 3, "scale": 2}),
    ("SRVGGNetCompact", {"num_conv": 32}),
]


def built(name: str, arguments: dict) -> nn.Module:
    with torch.device("meta"):
        return network_class(name)(**arguments)


def shapes_of(network: nn.Module) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in network.state_dict().items()}


@pytest.mark.parametrize(("name", "arguments"), [*SMALL, *PUBLISHED], ids=lambda value: str(value)[:40])
def test_the_detected_network_has_the_same_keys_and_shapes(name, arguments):
    expected = shapes_of(built(name, arguments))
    header = detect_architecture(expected, "w.pth", name)
    assert header.architecture == name
    assert shapes_of(built(name, header.arguments)) == expected


def test_every_network_is_tried():
    assert {name for name, _ in SMALL + PUBLISHED} == set(ARCHITECTURES)


@pytest.mark.parametrize(("name", "arguments"), [*SMALL, *PUBLISHED], ids=lambda value: str(value)[:40])
def test_no_other_network_claims_the_weights(name, arguments):
    shapes = shapes_of(built(name, arguments))
    for other in ARCHITECTURES.keys() - set(lookalikes(name)):
        with pytest.raises(CheckpointError, match=f"not of a {other}"):
            detect_architecture(shapes, "w.pth", other)


@pytest.mark.parametrize(("name", "arguments"), PUBLISHED[:4], ids=lambda value: str(value)[:40])
def test_arguments_of_published_restorers_are_the_published_ones(name, arguments):
    header = detect_architecture(shapes_of(built(name, arguments)), "w.pth")
    assert header.size == 512
    defaults = {"num_style_feat": 512, "num_mlp": 8, "narrow": 1} if name.startswith("GFPGAN") else {}
    for argument, value in {**defaults, **arguments}.items():
        assert header.arguments[argument] == value
    if name == "RestoreFormer":
        assert header.arguments["head_size"] == arguments.get("head_size", 8)
        assert header.arguments["ch_mult"] == [1, 2, 2, 4, 4, 8]
        assert header.arguments["attn_resolutions"] == [16]


@pytest.mark.parametrize(("name", "arguments"), PUBLISHED + SMALL[-7:-1], ids=lambda value: str(value)[:40])
def test_all_tensors_of_a_network_are_in_its_file(name, arguments):
    """Networks are built without memory and take over the file's tensors: others would stay empty."""
    network = built(name, arguments)
    assert {key for key, _ in [*network.named_parameters(), *network.named_buffers()]} == set(network.state_dict())


@pytest.mark.parametrize(
    ("default", "other"),
    [("GFPGANv1", "GFPGANBilinear"), ("StyleGAN2Generator", "StyleGAN2GeneratorBilinear")],
)
def test_of_two_that_look_alike_the_published_one_is_meant(default, other):
    shapes = shapes_of(built(other, {"out_size": 32} | GFPGAN))
    assert detect_architecture(shapes, "w.pth").architecture == default
    assert detect_architecture(shapes, "w.pth", other).architecture == other


def test_what_restores_no_faces_has_no_face_size():
    assert detect_architecture(shapes_of(built("RetinaFace", {})), "w.pth").size is None


def test_weights_of_nothing_known_are_refused():
    with pytest.raises(CheckpointError, match=r"w\.pth holds weights of no known network .*begin with fc\.weight"):
        detect_architecture({"fc.weight": (3, 2)}, "w.pth")


def test_another_architecture_than_asked_for_is_refused():
    shapes = shapes_of(built("RetinaFace", {}))
    with pytest.raises(CheckpointError, match="weights of a RetinaFace, not of a BiSeNet"):
        detect_architecture(shapes, "w.pth", "BiSeNet")


def test_a_missing_key_is_named():
    shapes = shapes_of(built("GFPGANv1Clean", {"out_size": 32} | GFPGAN))
    del shapes["final_linear.weight"]
    with pytest.raises(CheckpointError, match=r"looks like a GFPGANv1Clean but lacks final_linear\.weight"):
        detect_architecture(shapes, "w.pth")


def test_shapes_that_make_no_sense_are_refused():
    shapes = shapes_of(built("RRDBNet", {"num_in_ch": 3, "num_out_ch": 3, "num_feat": 8, "num_block": 1}))
    with pytest.raises(CheckpointError, match="no sizes fit"):
        detect_architecture(shapes | {"conv_first.weight": (8,)}, "w.pth")
