"""InceptionV3 against the reference's features and its published keys."""

import pytest
import torch
from golden_weights import golden_arrays, golden_input, golden_state, manifest, shapes

from revisage.models.nets.inception import InceptionV3


@pytest.fixture(scope="module")
def network():
    with torch.device("meta"):
        network = InceptionV3()
    state = {
        key: value if "num_batches" in key else value.float()
        for key, value in golden_state(network.state_dict()).items()
    }
    network.load_state_dict(state, assign=True)
    return network.eval().requires_grad_(False)


def test_features_equal_the_reference(network):
    """Of a image of another size: the resizing is part of the definition."""
    expected = torch.from_numpy(golden_arrays("inception")["features"])
    found = network(golden_input(1, 3, 64, 64).float())
    assert torch.linalg.norm(found - expected) < 1e-4 * torch.linalg.norm(expected)


def test_keys_and_shapes_are_the_published_ones(network):
    published = manifest("InceptionV3")
    assert shapes(network) == published["state_dict"]
    assert sum(parameter.numel() for parameter in network.parameters()) == published["num_params"]
    assert [name for name, _ in network.named_buffers()] == published["buffers"]
