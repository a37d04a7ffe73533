"""Residual bodies: shapes and structure; their values are held by the networks built on them."""

import pytest
import torch

from revisage.models.nets.resnet import BasicBlock, Bottleneck, ResNet, residual_layer


@pytest.mark.parametrize(("block", "layers"), [(BasicBlock, (2, 2, 2, 2)), (Bottleneck, (1, 1, 1, 1))])
def test_maps_are_an_eighth_a_sixteenth_and_a_thirty_second(block, layers):
    with torch.device("meta"):
        body = ResNet(block, layers)
        maps = body(torch.empty(1, 3, 64, 96))
    sizes = zip(body.channels, (8, 16, 32), strict=True)
    assert [tuple(m.shape) for m in maps] == [(1, c, 64 // s, 96 // s) for c, s in sizes]


@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
def test_only_a_block_that_changes_its_input_has_a_shortcut_of_its_own(block):
    expansion = block.expansion
    assert residual_layer(block, 8 * expansion, 8, 2, 1, expansion)[0].downsample is None
    assert residual_layer(block, 8, 16, 2, 1, expansion)[0].downsample is not None
    assert residual_layer(block, 8 * expansion, 8, 2, 2, expansion)[0].downsample is not None


@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
def test_a_block_adds_its_input(block):
    layer = block(8 * block.expansion, 8).eval()
    last = layer.bn3 if block is Bottleneck else layer.bn2
    torch.nn.init.zeros_(last.weight)
    x = torch.rand(1, 8 * block.expansion, 4, 4)
    torch.testing.assert_close(layer(x), x)
