import math

import pytest
import torch
from torch.nn import functional as F

from revisage.training.losses.features import supervised_contrastive_loss

LABELS = torch.tensor([0, 0, 1, 1])


def test_the_value_for_two_pairs_by_hand():
    """Partners are equal, the others at right angles: -log(e^(1/t) / (e^(1/t) + 2))."""
    vectors = torch.eye(2).repeat_interleave(2, 0)
    expected = -math.log(math.exp(2) / (math.exp(2) + 2))
    assert supervised_contrastive_loss(vectors, LABELS, 0.5).item() == pytest.approx(expected)


def test_several_partners_are_averaged_outside_of_the_logarithm():
    torch.manual_seed(0)
    vectors = F.normalize(torch.randn(6, 4))
    labels = torch.tensor([0, 0, 0, 1, 1, 2])
    terms = []
    for i in range(5):  # the last has no partner
        others = [j for j in range(6) if j != i]
        total = sum(math.exp(float(vectors[i] @ vectors[j]) / 0.1) for j in others)
        logs = [float(vectors[i] @ vectors[j]) / 0.1 - math.log(total) for j in others if labels[j] == labels[i]]
        terms.append(-sum(logs) / len(logs))
    assert supervised_contrastive_loss(vectors, labels).item() == pytest.approx(sum(terms) / 5, rel=1e-4)


def test_going_down_brings_partners_together():
    torch.manual_seed(0)
    raw = torch.randn(4, 8, requires_grad=True)
    optimizer = torch.optim.SGD([raw], 0.5)
    for _ in range(50):
        optimizer.zero_grad()
        supervised_contrastive_loss(F.normalize(raw), LABELS, 0.5).backward()
        optimizer.step()
    x = F.normalize(raw.detach())
    assert x[0] @ x[1] > 0.9
    assert x[0] @ x[2] < 0


def test_autocast_does_not_round_the_cosines():
    torch.manual_seed(0)
    vectors = F.normalize(torch.randn(8, 64))
    labels = torch.arange(8) // 2
    with torch.autocast("cpu", torch.bfloat16):
        rounded = supervised_contrastive_loss(vectors, labels)
    torch.testing.assert_close(rounded, supervised_contrastive_loss(vectors, labels))


def test_without_partners_there_is_nothing_to_learn():
    with pytest.raises(ValueError, match="no two vectors share a label"):
        supervised_contrastive_loss(torch.eye(3), torch.arange(3))
