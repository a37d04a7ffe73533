import pytest
import torch
from golden_weights import golden_arrays, golden_input, golden_state

from revisage.nets.restoreformer import RestoreFormer
from revisage.nets.restoreformer_layers import VectorQuantizer
from revisage.train.losses.codebook import codebook_loss


def test_it_equals_the_reference():
    network = RestoreFormer(32, 16, 32, 3, (1, 2), 1, (16,), resolution=32, z_channels=16, head_size=4).double().eval()
    network.load_state_dict(golden_state(network.state_dict()))
    with torch.no_grad():
        code = network.encode(golden_input(1, 3, 32, 32))
        loss = codebook_loss(code.vectors, network.quantize.get_codebook_entry(code.indices))
    assert float(loss) == pytest.approx(float(golden_arrays("restoreformer_small")["emb_loss"]), abs=1e-9)


def test_it_equals_the_quantizers_own():
    quantizer, vectors = VectorQuantizer(8, 4, beta=0.5), torch.rand(2, 4, 3, 3)
    indices = quantizer.nearest(vectors)
    expected = quantizer.loss(vectors, indices)
    torch.testing.assert_close(codebook_loss(vectors, quantizer.get_codebook_entry(indices), beta=0.5), expected)


def test_vectors_and_entries_are_drawn_to_each_other():
    vectors, entries = torch.full((1, 1, 1, 1), 3.0, requires_grad=True), torch.ones(1, 1, 1, 1, requires_grad=True)
    codebook_loss(vectors, entries, beta=0.25).backward()
    assert vectors.grad.item() == 2 * 2
    assert entries.grad.item() == -0.25 * 2 * 2


def test_half_precision_is_compared_in_float32():
    vectors = torch.full((1, 4, 2, 2), 300.0, dtype=torch.float16)
    assert float(codebook_loss(vectors, -vectors)) == pytest.approx(1.25 * 600**2)
