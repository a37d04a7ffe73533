"""RestoreFormer and its relatives against the reference's outputs, their published keys, and their promises."""

import math

import pytest
import torch
from golden_weights import golden_arrays, golden_input, golden_state, manifest, shapes

from revisage.models.nets.restoreformer import VQVAEGAN, RestoreFormer
from revisage.models.nets.restoreformer_layers import (
    Downsample,
    MultiHeadAttnBlock,
    ResnetBlock,
    Upsample,
    VectorQuantizer,
)

SMALL = {"n_embed": 32, "embed_dim": 16, "ch": 32, "num_res_blocks": 1, "resolution": 32, "z_channels": 16}
PLAIN = SMALL | {"ch_mult": (1, 2), "attn_resolutions": (16,), "head_size": 4}
PLUS = SMALL | {"ch_mult": (1, 1, 2), "attn_resolutions": (8,), "head_size": 4, "ex_multi_scale_num": 1}
HALF = [(torch.float16, 0.005), (torch.bfloat16, 0.04)]


def network_of(arguments=PLAIN, kind=RestoreFormer):
    network = kind(**arguments).double().eval().requires_grad_(False)
    network.load_state_dict(golden_state(network.state_dict()))
    return network


@pytest.mark.parametrize(
    ("arguments", "name"), [(PLAIN, "restoreformer_small"), (PLUS, "restoreformerpp_small")], ids=["plain", "plus"]
)
def test_images_equal_the_reference(arguments, name):
    image, loss = network_of(arguments)(golden_input(1, 3, 32, 32))
    torch.testing.assert_close(image, torch.from_numpy(golden_arrays(name)["out"]), rtol=0, atol=1e-9)
    assert loss is None


def test_codes_and_loss_equal_the_reference():
    network, x = network_of(), golden_input(1, 3, 32, 32)
    expected = golden_arrays("restoreformer_small")
    assert network.encode(x).indices.flatten().tolist() == expected["indices"].flatten().tolist()
    assert network(x, return_loss=True)[1].item() == pytest.approx(expected["emb_loss"].item(), abs=1e-9)


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (RestoreFormer, "RestoreFormer"),
        (lambda: RestoreFormer(head_size=4, ex_multi_scale_num=1), "RestoreFormerPlusPlus"),
        (VQVAEGAN, "RestoreFormer"),
    ],
    ids=["plain", "plus", "dictionary"],
)
def test_keys_and_shapes_are_the_published_ones(build, name):
    with torch.device("meta"):
        network = build()
    published = manifest(name)
    assert shapes(network) == published["state_dict"]
    assert list(shapes(network)) == list(published["state_dict"])
    assert sum(parameter.numel() for parameter in network.parameters()) == published["num_params"]
    assert [name for name, _ in network.named_buffers()] == published["buffers"]


@pytest.mark.parametrize("size", [(64, 64), (32, 48)])
def test_any_size_of_whole_codes_is_taken(size):
    assert network_of(PLUS)(torch.zeros(1, 3, *size).double())[0].shape == (1, 3, *size)


def test_another_size_is_refused():
    with pytest.raises(ValueError, match="multiples of 4"):
        network_of(PLUS)(torch.zeros(1, 3, 34, 32).double())


def test_a_resolution_without_attention_anywhere_works():
    arguments = PLAIN | {"attn_resolutions": (), "enable_mid": False}
    assert RestoreFormer(**arguments)(torch.zeros(1, 3, 32, 32))[0].shape == (1, 3, 32, 32)


def test_results_do_not_depend_on_the_batch():
    network, x = network_of(PLUS), golden_input(3, 3, 32, 32)
    torch.testing.assert_close(network(x[1:2])[0], network(x)[0][1:2], rtol=0, atol=1e-12)


def test_the_decoder_asks_the_encoder_but_the_dictionary_s_does_not():
    x = golden_input(1, 3, 32, 32)
    for kind, asks in ((RestoreFormer, True), (VQVAEGAN, False)):
        network = network_of(PLAIN, kind)
        code = network.encode(x)
        other = {name: torch.randn_like(feature) for name, feature in code.features.items()}
        same = torch.equal(network.decode(code.quantized, code.features), network.decode(code.quantized, other))
        assert same != asks


def test_a_decoder_without_features_to_ask_says_so():
    network = network_of()
    with pytest.raises(ValueError, match="give them as hs"):
        network.decoder(torch.zeros(1, 16, 16, 16).double())


@pytest.mark.parametrize(
    ("fixed", "parts"),
    [
        ({"fix_codebook": False}, set()),
        ({}, {"quantize"}),
        ({"fix_decoder": True}, {"decoder", "post_quant_conv", "quantize"}),
        ({"fix_encoder": True}, {"encoder", "quant_conv", "quantize"}),
    ],
    ids=["nothing", "codebook", "decoder", "encoder"],
)
def test_fixed_parts_are_not_trained(fixed, parts):
    network = RestoreFormer(**PLAIN, **fixed)
    frozen = {name.partition(".")[0] for name, p in network.named_parameters() if not p.requires_grad}
    assert frozen == parts


def test_every_part_gets_a_gradient():
    network = VQVAEGAN(**PLAIN)
    image, loss = network(torch.rand(1, 3, 32, 32), return_loss=True)
    (image.square().sum() + loss).backward()
    unused = {name for name, p in network.named_parameters() if p.grad is None}
    assert all("norm2" in name and "attn" in name for name in unused)  # for queries from elsewhere


@pytest.mark.parametrize(("dtype", "tolerance"), HALF, ids=str)
@pytest.mark.parametrize("autocast", [False, True], ids=["half weights", "autocast"])
def test_half_precision_is_close_and_flips_no_code(dtype, tolerance, autocast):
    network, x = network_of(PLUS).float(), golden_input(2, 3, 32, 32).float()
    expected, codes = network(x)[0], network.encode(x).indices
    if autocast:
        with torch.autocast("cpu", dtype):
            actual, again = network(x)[0], network.encode(x).indices
    else:
        network.to(dtype)
        actual, again = network(x)[0], network.encode(x).indices
    assert torch.equal(codes, again)
    assert actual.dtype == dtype
    assert torch.isfinite(actual).all()
    error = (actual.float() - expected).square().mean().sqrt() / expected.square().mean().sqrt()
    assert error < tolerance


def test_encoder_and_dictionary_are_never_rounded():
    network = network_of().float()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.half()
    for name, value in network.state_dict().items():
        whole = name.partition(".")[0] in {"encoder", "quant_conv", "quantize"}
        assert value.dtype == (torch.float32 if whole else torch.float16)
        assert not whole or torch.equal(value, before[name])
    assert network.double().encoder.conv_in.weight.dtype == torch.float64


def test_weights_in_half_precision_can_be_assigned():
    network, x = network_of().half(), golden_input(1, 3, 32, 32).half()
    state = {name: value.half() for name, value in network.state_dict().items()}
    with torch.device("meta"):
        assigned = RestoreFormer(**PLAIN)
    assigned.load_state_dict(state, assign=True)
    assert assigned.encoder.conv_in.weight.dtype == torch.float32
    assert assigned.decoder.conv_in.weight.dtype == torch.float16
    assert assigned.eval()(x)[0].isfinite().all()


def test_attention_is_the_definition_s():
    torch.manual_seed(0)
    block = MultiHeadAttnBlock(64, head_size=4).double()
    x, y = torch.randn(2, 64, 3, 5).double(), torch.randn(2, 64, 3, 5).double()
    q, k, v = (
        conv(h).flatten(2)
        for conv, h in ((block.q, block.norm2(y)), (block.k, block.norm1(x)), (block.v, block.norm1(x)))
    )
    heads = []
    for i in range(4):
        part = slice(16 * i, 16 * (i + 1))
        weights = (q[:, part].transpose(1, 2) @ k[:, part] / math.sqrt(16)).softmax(-1)
        heads.append(v[:, part] @ weights.transpose(1, 2))
    expected = x + block.proj_out(torch.cat(heads, 1).view_as(x))
    torch.testing.assert_close(block(x, y), expected, rtol=0, atol=1e-12)


def test_channels_that_heads_cannot_share_are_refused():
    with pytest.raises(ValueError, match="3 heads"):
        MultiHeadAttnBlock(64, head_size=3)


def test_each_vector_becomes_its_nearest_entry():
    torch.manual_seed(0)
    quantizer = VectorQuantizer(10, 4).double()
    z = torch.randn(2, 4, 3, 5).double() * 0.1
    quantized, indices = quantizer(z)
    vectors = z.permute(0, 2, 3, 1)
    distances = (vectors[..., None, :] - quantizer.embedding.weight).square().sum(-1)
    assert torch.equal(indices, distances.argmin(-1))
    torch.testing.assert_close(quantized, quantizer.get_codebook_entry(indices), rtol=0, atol=1e-12)


def test_gradients_pass_the_codebook_straight_through():
    z = torch.randn(1, 4, 2, 2, requires_grad=True)
    quantized, _ = VectorQuantizer(10, 4)(z)
    weight = torch.randn_like(quantized)
    (gradient,) = torch.autograd.grad((quantized * weight).sum(), z)
    torch.testing.assert_close(gradient, weight)


def test_perplexity_counts_the_entries_in_use():
    quantizer = VectorQuantizer(10, 4)
    assert quantizer.perplexity(torch.zeros(2, 3, 3, dtype=torch.long)).item() == pytest.approx(1, abs=1e-4)
    assert quantizer.perplexity(torch.arange(10).view(1, 2, 5)).item() == pytest.approx(10, abs=1e-4)


@pytest.mark.parametrize("with_conv", [True, False])
def test_resizing_halves_and_doubles(with_conv):
    x = torch.randn(1, 32, 4, 6)
    assert Upsample(32, with_conv)(x).shape == (1, 32, 8, 12)
    assert Downsample(32, with_conv)(x).shape == (1, 32, 2, 3)


@pytest.mark.parametrize(("conv_shortcut", "key"), [(False, "nin_shortcut"), (True, "conv_shortcut")])
def test_a_block_that_changes_its_width_has_a_shortcut(conv_shortcut, key):
    block = ResnetBlock(in_channels=32, out_channels=64, conv_shortcut=conv_shortcut)
    x = torch.randn(1, 32, 4, 4)
    torch.nn.init.zeros_(block.conv2.weight)
    torch.nn.init.zeros_(block.conv2.bias)
    assert torch.equal(block(x), block.get_submodule(key)(x))
