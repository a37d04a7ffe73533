import torch

from revisage.models.nets.patch_discriminator import PatchDiscriminator


def test_every_scale_has_its_logits():
    logits = PatchDiscriminator(width=4, scales=2)(torch.zeros(2, 3, 64, 64))
    assert [tuple(scale.shape) for scale in logits] == [(2, 1, 8, 8), (2, 1, 4, 4)]


def test_a_logit_knows_only_its_neighbourhood():
    torch.manual_seed(0)
    network = PatchDiscriminator(width=4, scales=1).eval()
    picture = torch.rand(1, 3, 128, 128)
    changed = picture.clone()
    changed[..., :16, :16] = 0
    with torch.no_grad():
        difference = (network(picture)[0] - network(changed)[0]).abs()[0, 0]
    assert difference[0, 0] > 0
    assert difference[8:, 8:].max() == 0


def test_it_is_smooth_whatever_the_weights():
    """Spectral normalisation: large weights do not make it steeper."""
    torch.manual_seed(0)
    network = PatchDiscriminator(width=4, scales=1)
    steep = PatchDiscriminator(width=4, scales=1)
    state = network.state_dict()
    steep.load_state_dict({key: 100 * value if key.endswith("original") else value for key, value in state.items()})
    picture = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(network.eval()(picture)[0], steep.eval()(picture)[0], rtol=1e-3, atol=1e-4)
