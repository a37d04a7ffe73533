"""The training step written plainly: what the package's is compared with.

Weights are modulated and each image convolved with its own, as StyleGAN2 is written down; NCHW; float32; AdamW and the
average go from parameter to parameter. Networks, losses and samples are the recipe's, so that the losses are equal.
"""

from contextlib import contextmanager
from unittest.mock import patch

import torch

from revisage.models.nets.modulation import ModulatedConv
from revisage.training.distributed import World
from revisage.training.state import State
from revisage.training.step import MicroBatch, step


@contextmanager
def plainly():
    """A context in which networks compute plainly."""
    with (
        patch.object(torch, "channels_last", torch.contiguous_format),
        patch.object(ModulatedConv, "forward", modulate),
    ):
        yield


def modulate(self, x, style, factor=1, bias=None):
    """``ModulatedConv.forward`` with modulated weights."""
    scale, gain = self._factors(style)
    weights = factor * self.weight[0] * scale[:, None, :, None, None] * gain[:, :, None, None, None]
    shift = () if bias is None else (bias,)
    return torch.cat([self.convolve(x[index : index + 1], weights[index], *shift) for index in range(len(x))])


class Stepper:
    """A training that makes one step at a time, on samples that are there already."""

    def __init__(self, recipe, *, plain):
        torch.manual_seed(recipe.seed)
        self.plain, self.recipe, self.task = plain, recipe, recipe.task.build(recipe.seed)
        self.training = recipe.training.model_copy(update={"precision": "float32"} if plain else {})
        order = torch.contiguous_format if plain else torch.channels_last
        for network in self.task.networks.values():
            network.to(memory_format=order).train()
        self.state = State.initial(self.task.networks, self.training)
        if plain:
            for optimizer in self.state.optimizers.values():
                for group in optimizer.param_groups:
                    group |= {"fused": False, "foreach": False}

    def __call__(self, samples):
        """Make a step -> loss terms by name."""
        if not self.plain:
            return self._step(samples)
        with plainly():
            return self._step(samples)

    def _step(self, samples):
        batch = MicroBatch(self.state.images, self.task.collate(samples))
        terms = step(self.task, self.state, [batch], self.recipe.seed, self.training, World())
        self.state.images += self.training.batch
        if self.plain:
            average(self.state.ema.network, self.state.network)
        else:
            self.state.ema.update(self.state.network, self.training.batch, self.state.images)
        return {name: float(term.detach()) for name, term in terms.items()}


@torch.no_grad()
def average(mine, theirs):
    """Follow weights one by one."""
    for own, other in zip(mine.parameters(), theirs.parameters(), strict=True):
        own.copy_(0.999 * own + 0.001 * other)
