"""Time the embedded restorer against the full-size GFPGANv1Clean, turn by turn, on this machine's CPU."""

import time

import torch

from revisage.models.build import build
from revisage.models.fetch import weight_file
from revisage.models.nets.gfpgan import GFPGANv1Clean
from revisage.process import keep_freed_memory

ROUNDS = 5  # of which the median is told
FULL = {"channel_multiplier": 2, "input_is_latent": True, "different_w": True, "sft_half": True}


def seconds(network: torch.nn.Module, crop: torch.Tensor) -> float:
    start = time.perf_counter()
    network(crop)
    return time.perf_counter() - start


@torch.inference_mode()
def main() -> None:
    keep_freed_memory()
    networks = {"embedded": build(weight_file("embedded"))[0], "GFPGANv1Clean": GFPGANv1Clean(512, **FULL)}
    crop = torch.zeros(1, 3, 512, 512).contiguous(memory_format=torch.channels_last)
    times: dict[str, list[float]] = {name: [] for name in networks}
    for _ in range(ROUNDS + 1):
        for name, network in networks.items():
            times[name].append(seconds(network.eval().to(memory_format=torch.channels_last), crop))
    for name, network in networks.items():
        middle = sorted(times[name][1:])[ROUNDS // 2]  # the first call warms up
        parameters = sum(parameter.numel() for parameter in network.parameters())
        print(f"{name:14} {parameters / 1e6:6.2f} M parameters  {middle * 1000:7.0f} ms a face (median of {ROUNDS})")


if __name__ == "__main__":
    main()
