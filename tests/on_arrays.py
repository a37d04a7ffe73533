"""Torch networks as the functions of numpy arrays that the library takes."""

from torch import nn

from revisage.models.backends.torch import TorchNetwork, inference_module
from revisage.models.checkpoint import Header
from revisage.models.device import DeviceConfig


class Lambda(nn.Module):
    """A function of tensors as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def opened(network, dtype="float32"):
    """A torch module or function as an opened network on the CPU."""
    module = network if isinstance(network, nn.Module) else Lambda(network)
    return TorchNetwork(Header("Test"), DeviceConfig("torch", "cpu", dtype, "test"), inference_module(module))


def on_arrays(network, dtype="float32"):
    """``network``: tensor -> tensor, or a tuple that begins with one; run on the CPU in ``dtype``."""
    network = opened(network, str(dtype).removeprefix("torch."))
    return lambda batch: network(batch)[0]
