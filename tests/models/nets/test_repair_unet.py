import torch

from revisage.models.nets.repair_unet import RepairUNet


def test_a_new_network_fills_nothing_and_is_in_doubt():
    x = torch.rand(2, 3, 16, 24)
    filled, probability = RepairUNet((8, 12), (1, 1)).eval()(x).split((3, 1), 1)
    assert torch.equal(filled, x)
    assert torch.equal(probability, torch.full((2, 1, 16, 24), 0.5))


def test_in_training_it_returns_logits():
    x = torch.rand(1, 3, 16, 16)
    net = RepairUNet((8, 12), (1, 1))
    torch.nn.init.normal_(net.finder.tail.weight)
    logits = net(x)[:, 3]
    assert torch.allclose(torch.sigmoid(logits), net.eval()(x)[:, 3])
    assert logits.min() < 0
