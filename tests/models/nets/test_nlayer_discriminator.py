import pytest
import torch

from revisage.models.nets.nlayer_discriminator import NLayerDiscriminator


def test_a_logit_judges_seventy_by_seventy_pixels():
    torch.manual_seed(0)
    network = NLayerDiscriminator().double().eval()  # in training, batch normalisation looks at everything
    x = torch.randn(1, 3, 128, 128, dtype=torch.float64, requires_grad=True)
    logits = network(x)
    assert logits.shape == (1, 1, 14, 14)
    logits[0, 0, 7, 7].backward()
    rows, columns = x.grad[0].abs().sum(0).nonzero().T
    assert (int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1) == (70, 70)


@pytest.mark.parametrize(("layers", "last"), [(1, 16), (2, 32), (5, 64)])
def test_channels_double_up_to_eightfold(layers, last):
    network = NLayerDiscriminator(ndf=8, n_layers=layers)
    assert network.main[-1].in_channels == last
