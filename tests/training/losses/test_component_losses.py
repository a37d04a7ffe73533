import pytest
import torch
from golden_weights import golden_arrays, golden_input
from torch.autograd import gradcheck

from revisage.models.nets.discriminators import FacialComponentDiscriminator
from revisage.training.losses.components import component_crops, component_style_loss, roi_align
from revisage.training.losses.features import gram, gram_distance

BOXES = torch.tensor([[[152.0, 202, 231, 281], [280, 202, 359, 281], [196, 320, 315, 425]]])


def ramp(side):
    """A face's image at any size: at each place the same colour, linear in x and y."""
    places = (torch.arange(side) + 0.5) / side
    red, green = places.expand(side, side), places[:, None].expand(side, side)
    return torch.stack([red, green, red * 0])[None]


def test_crops_are_those_of_the_boxes():
    image = golden_input(1, 3, 512, 512).float()
    crops = component_crops(image, BOXES)
    assert [tuple(crop.shape) for crop in crops] == [(1, 3, 80, 80), (1, 3, 80, 80), (1, 3, 120, 120)]
    for place, crop in enumerate(crops):
        torch.testing.assert_close(crop, roi_align(image, BOXES[:, place : place + 1], crop.shape[-1])[:, 0])


@pytest.mark.parametrize(
    ("side", "eye", "mouth"), [(32, 4, 8), (64, 8, 16), (128, 20, 32), (256, 40, 60), (512, 80, 120), (1024, 160, 240)]
)
def test_faces_of_any_size_give_crops_in_proportion(side, eye, mouth):
    """The reference's ratio int(side / 512) made crops of no size below 512."""
    crops = component_crops(ramp(side), BOXES)
    assert [crop.shape[-1] for crop in crops] == [eye, eye, mouth]


@pytest.mark.parametrize("side", [256, 1024])
def test_crops_show_the_same_place_at_every_size(side):
    """The reference's boxes stayed those of 512 pixels whatever the face's size."""
    for crop, expected in zip(component_crops(ramp(side), BOXES), component_crops(ramp(512), BOXES), strict=True):
        resized = torch.nn.functional.interpolate(expected, crop.shape[-1], mode="area")
        inner = (slice(None), slice(None), slice(1, -1), slice(1, -1))
        if side > 512:
            resized, crop = expected, torch.nn.functional.avg_pool2d(crop, 2)
        torch.testing.assert_close(crop[inner], resized[inner], rtol=0, atol=1e-5)


@pytest.mark.parametrize("side", [256, 512, 1024])
def test_the_size_of_a_face_leaves_the_values_of_crops_alone(side):
    """The reference multiplied them by its ratio, 2 at 1024."""
    for crop in component_crops(torch.full((1, 3, side, side), 0.75), BOXES):
        torch.testing.assert_close(crop, torch.full_like(crop, 0.75))


def test_boxes_may_be_given_in_pixels_of_any_size():
    image = ramp(256)
    for own, standard in zip(
        component_crops(image, (BOXES + 0.5) / 2 - 0.5, boxes_size=256),
        component_crops(image, BOXES),
        strict=True,
    ):
        torch.testing.assert_close(own, standard)


def test_crops_leave_the_boxes_as_they_are():
    boxes = BOXES.clone()
    component_crops(ramp(256), boxes)
    assert torch.equal(boxes, BOXES)


def test_the_gram_matrix_counts_what_occurs_together():
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])  # two channels of two positions
    expected = torch.tensor([[[5.0, 11.0], [11.0, 25.0]]]) / 4
    torch.testing.assert_close(gram(features), expected)
    torch.testing.assert_close(gram(features), gram(features.flip(-1)))


def test_each_image_has_a_gram_matrix_of_its_own():
    features = golden_input(2, 3, 4, 4)
    torch.testing.assert_close(gram(features)[1:], gram(features[1:]))


def test_the_gram_matrix_of_half_precision_is_summed_in_float32():
    """100² * 64 * 64 is far beyond float16."""
    features = torch.full((1, 4, 64, 64), 100.0, dtype=torch.float16)
    with torch.autocast("cpu", torch.float16):
        actual = gram(features)
    torch.testing.assert_close(actual, torch.full((1, 4, 4), 2500.0))


def test_derivatives_of_style_are_right():
    x, y = golden_input(2, 3, 2, 2).requires_grad_(), golden_input(4, 3, 2, 2)[2:]
    assert gradcheck(gram, x)
    assert gradcheck(lambda x: gram_distance(x, y), x)


def test_fine_and_coarse_style_are_weighed():
    """Of the discriminator's golden features; the Gram matrices and weights written out."""
    golden = golden_arrays("comp_disc")
    features = [torch.from_numpy(golden[name]) for name in ("feat0", "feat1")]
    targets = [torch.zeros_like(feature) for feature in features]
    fine, coarse = (
        torch.einsum("nchw,ndhw->ncd", feature, feature).abs().mean() / feature[0].numel() for feature in features
    )
    torch.testing.assert_close(component_style_loss(features, targets), 0.5 * fine + coarse)


def test_style_teaches_the_restored_side_only():
    network = FacialComponentDiscriminator().requires_grad_(False)
    restored, gt = (golden_input(4, 3, 16, 16).float()[i : i + 2].requires_grad_() for i in (0, 2))
    features = [network(x, return_feats=True)[1] for x in (restored, gt)]
    component_style_loss(*features).backward()
    assert restored.grad.abs().sum() > 0
    assert gt.grad is None
