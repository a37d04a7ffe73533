"""From file to network: quickly, and without what the file does not need."""

import subprocess
import sys

from revisage.architectures.recognise import NETWORKS


def test_building_a_network_does_not_load_the_compiler():
    """Which takes seconds; initialising weights that are not there would."""
    arguments = {name: {"out_size": 32} for name in NETWORKS if "GAN" in name and name != "VQVAEGAN"}
    arguments |= {
        "RRDBNet": {"num_in_ch": 3, "num_out_ch": 3},
        "ResNetArcFace": {"block": "IRBlock", "layers": [1] * 4},
    }
    code = f"""
import sys
from revisage.architectures.build import construct_empty
from revisage.architectures.recognise import NETWORKS
arguments = {arguments}
for name in NETWORKS:
    network = construct_empty({{"architecture": name, "arguments": arguments.get(name, {{}})}}, "w.pth")
    assert all(tensor.is_meta for tensor in network.state_dict().values()), name
    assert "torch._dynamo" not in sys.modules, name
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
