"""Muon: against the library's for matrices, by its singular values, and beside AdamW."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from revisage.training.config import OptimizerConfig
from revisage.training.optimizers import Muon, build_optimizer, orthogonalize

SIDES = st.integers(2, 48)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 16, 3), nn.LeakyReLU(), nn.Conv2d(16, 24, 3), nn.LeakyReLU(), nn.Conv2d(24, 3, 1))


def learn(net, optimizer, steps, seed=1):
    for step in range(steps):
        torch.manual_seed(seed + step)
        x = torch.randn(4, 3, 12, 12)
        optimizer.zero_grad()
        (net(x) - x[..., 2:-2, 2:-2]).square().mean().backward()
        optimizer.step()


@given(SIDES, SIDES, st.integers(0, 2**31), st.floats(1e-6, 1e6))
def test_singular_values_become_about_one(rows, columns, seed, size):
    generator = torch.Generator().manual_seed(seed)
    # Far from square, so that the smallest singular value is not nearly zero: that one takes more iterations.
    matrix = size * torch.randn(rows, 4 * columns + rows, generator=generator)
    for each in (matrix, matrix.T):
        values = torch.linalg.svdvals(orthogonalize(each))
        assert values.min() > 0.6
        assert values.max() < 1.25


def test_directions_stay():
    torch.manual_seed(0)
    matrix = torch.randn(24, 96)
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    nearest = left @ right
    assert torch.cosine_similarity(orthogonalize(matrix).flatten(), nearest.flatten(), dim=0) > 0.98


def test_zero_gradients_change_nothing():
    assert torch.equal(orthogonalize(torch.zeros(4, 9)), torch.zeros(4, 9))


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this version of PyTorch has no Muon")
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_matrices_are_updated_as_by_the_library(weight_decay):
    torch.manual_seed(0)
    ours, theirs = (nn.Parameter(torch.ones(20, 30)) for _ in range(2))
    settings = {"lr": 0.01, "weight_decay": weight_decay}
    mine = Muon([{"params": [ours], "muon": True}], betas=(0.95, 0.99), **settings)
    library = torch.optim.Muon([theirs], momentum=0.95, adjust_lr_fn="match_rms_adamw", **settings)
    for _ in range(4):
        ours.grad = torch.randn(20, 30)
        theirs.grad = ours.grad.clone()
        mine.step()
        library.step()
    assert (ours - theirs).norm() < 0.03 * (theirs - 1).norm()  # both round to bfloat16, in other places


def test_a_convolution_is_the_matrix_of_its_outputs():
    torch.manual_seed(0)
    convolution, matrix = nn.Parameter(torch.zeros(8, 5, 3, 3)), nn.Parameter(torch.zeros(8, 45))
    convolution.grad = torch.randn(8, 5, 3, 3)
    matrix.grad = convolution.grad.flatten(1).clone()
    Muon([{"params": [convolution, matrix], "muon": True}], lr=0.1).step()
    assert torch.equal(convolution.flatten(1), matrix)


def test_weights_that_are_not_named_and_biases_are_updated_by_adamw():
    net = network()
    other = copy.deepcopy(net)
    optimizer = build_optimizer(net, OptimizerConfig(muon=r"^2\.", learning_rate=1e-3))
    adamw = build_optimizer(other, OptimizerConfig(learning_rate=1e-3))
    assert isinstance(optimizer, Muon)
    assert type(adamw) is torch.optim.AdamW
    learn(net, optimizer, 1)
    learn(other, adamw, 1)
    changed = {
        key
        for (key, value), same in zip(net.named_parameters(), other.parameters(), strict=True)
        if not torch.allclose(value, same, atol=1e-7)
    }
    assert changed == {"2.weight"}


def test_updates_are_as_large_as_said():
    net = network()
    before = net[2].weight.detach().clone()
    learn(net, build_optimizer(net, OptimizerConfig(muon=r"^2\.", learning_rate=1e-3)), 1)
    assert (net[2].weight.detach() - before).square().mean().sqrt() == pytest.approx(0.2 * 1e-3, rel=0.2)


def test_factors_apply_to_matrices_too():
    settings = OptimizerConfig(muon="weight", factors={r"^2\.": 0.5})
    groups = build_optimizer(network(), settings).param_groups
    assert sorted((group["factor"], group["muon"], len(group["params"])) for group in groups) == [
        (0.5, False, 1), (0.5, True, 1), (1.0, False, 2), (1.0, True, 2),
    ]  # fmt: skip


def test_a_loaded_state_goes_on_as_if_nothing_had_happened():
    settings = OptimizerConfig(muon="weight", learning_rate=1e-3)
    net = network()
    optimizer = build_optimizer(net, settings)
    learn(net, optimizer, 3)
    resumed = copy.deepcopy(net)
    loaded = build_optimizer(resumed, settings)
    loaded.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    learn(net, optimizer, 3, seed=9)
    learn(resumed, loaded, 3, seed=9)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), resumed.parameters(), strict=True))
