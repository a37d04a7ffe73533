"""Time and memory of loading a GFPGANv1Clean of random weights, and of reading its file (Linux): [SIZE [NARROW]]."""

import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from timeit import repeat

from revisage.models.build import build
from revisage.models.checkpoint import save_weights
from revisage.models.nets.gfpgan import GFPGANv1Clean
from revisage.models.torch_pickle import save_torch_weights


def measure(path: Path) -> None:
    size, before = path.stat().st_size, peak()
    load = repeat(lambda: [weight.sum() for weight in build(path)[0].state_dict().values()], number=1)  # reads them all
    growth, buffer = peak() - before, bytearray(size)
    read = min(repeat(lambda: path.open("rb", buffering=0).readinto(buffer), number=1))
    loaded = f"loaded in {min(load):.3f} s ({load[0]:.3f} s at first)"
    print(f"{path.name}, {size / 1e6:.0f} MB: read in {read:.3f} s, {loaded}, memory + {growth / size:.2f} of its size")


def peak() -> int:
    return 1024 * int(re.findall(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())[0])


def main(size: str = "512", narrow: str = "1") -> None:
    network = GFPGANv1Clean(int(size), channel_multiplier=2, narrow=float(narrow), different_w=True, sft_half=True)
    with TemporaryDirectory() as folder:
        save_torch_weights(Path(folder, "w.pth"), network.state_dict())
        save_weights(Path(folder, "w.safetensors"), network.state_dict())
        for path in sorted(Path(folder).iterdir()):  # each in a process of its own: a peak does not fall
            subprocess.run([sys.executable, __file__, "--measure", path], check=True)


if __name__ == "__main__":
    measure(Path(sys.argv[2])) if sys.argv[1:2] == ["--measure"] else main(*sys.argv[1:])
