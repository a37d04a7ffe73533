"""The optimizer of a network: AdamW, and Muon for the matrices that a recipe names."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from revisage.training.distributed import current_world

if TYPE_CHECKING:  # recipes/accelerator runs without pydantic
    from revisage.training.config import OptimizerConfig


def build_optimizer(network: nn.Module, settings: OptimizerConfig) -> torch.optim.AdamW:
    """One group of parameters for each factor on the learning rate; the step multiplies ``lr`` by its ``factor``."""
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for key, parameter in network.named_parameters():
        if parameter.requires_grad:
            uses_muon = parameter.dim() > 1 and settings.uses_muon(key)
            groups.setdefault((settings.factor(key), uses_muon), []).append(parameter)
    parameters = [
        {"params": members, "factor": factor, "muon": uses_muon} for (factor, uses_muon), members in groups.items()
    ]
    common: dict[str, Any] = {
        "lr": settings.learning_rate,
        "betas": settings.betas,
        "weight_decay": settings.weight_decay,
    }
    if any(uses_muon for _, uses_muon in groups):
        return Muon(parameters, **common)
    return torch.optim.AdamW(parameters, **common, fused=True)  # one pass over the weights instead of ten


class Muon(torch.optim.AdamW):
    """Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon) for groups with ``muon``, AdamW for others.

    A weight of shape (outputs, ...) is seen as a matrix of ``outputs`` rows. Its Nesterov momentum is replaced by the
    nearest matrix whose singular values are all about 1, so that directions that rarely appear in gradients are learnt
    as fast as the common ones. The update is scaled to the size of an AdamW update, 0.2 for an element on average (Liu
    et al. 2025, arXiv 2502.16982), hence one learning rate suits both. The momentum is the first beta.

    :class:`torch.optim.Muon` does the same to two-dimensional parameters alone, so not to convolutions. Here, the
    processes of a run divide the matrices among themselves.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Update all parameters that have a gradient."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        world = current_world()
        matrices = [
            (parameter, group)
            for group in self.param_groups
            if group["muon"]
            for parameter in group["params"]
            if parameter.grad is not None
        ]
        updates: list[Tensor] = []
        for index, (parameter, group) in enumerate(matrices):
            momentum = self._momentum(parameter, group["betas"][0])
            own = index % world.size == world.rank
            updates.append(orthogonalize(momentum.flatten(1)) if own else torch.zeros_like(momentum).flatten(1))
            parameter.grad = None  # so that AdamW passes it over
        world.average(updates)  # each is zero in all processes but one
        for (parameter, group), update in zip(matrices, updates, strict=True):
            size = 0.2 * max(update.shape) ** 0.5 * world.size
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            parameter.sub_(update.view_as(parameter), alpha=group["lr"] * size)
        super().step()
        return loss

    def _momentum(self, parameter: nn.Parameter, beta: float) -> Tensor:
        """Nesterov momentum of the gradient; its average is kept where AdamW keeps one, so states load as AdamW's."""
        gradient, state = parameter.grad, self.state[parameter]
        assert gradient is not None
        if not state:
            state.update(step=torch.zeros(()), exp_avg=torch.zeros_like(parameter))
        state["step"] += 1
        state["exp_avg"].lerp_(gradient, 1 - beta)
        return gradient.lerp(state["exp_avg"], beta)


def orthogonalize(matrix: Tensor) -> Tensor:
    """The nearest matrix with singular values of about 1, within 0.7 and 1.2 for most: (M, N) -> (M, N).

    Five Newton-Schulz iterations of the fifth order, with Jordan's coefficients, in bfloat16.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix).bfloat16()
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.775 * gram + 2.0315 * gram @ gram) @ x
    return (x.T if tall else x).to(matrix.dtype)
