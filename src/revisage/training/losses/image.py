"""Distances between images: of pixels, of a pyramid of sizes, of structure, of spectra and of wavelet coefficients.

Transforms are linear, so the difference of two images is transformed, once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from revisage.models.nets.precision import accurate, without_autocast

Distance: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""Two tensors (N, ...) of one shape -> (N,)."""
PixelDistance: TypeAlias = Literal["l1", "l2", "charbonnier"]


def l1(x: Tensor, y: Tensor) -> Tensor:
    """(N, ...), (N, ...) -> (N,) mean of |x - y|."""
    return _difference(x, y).abs().flatten(1).mean(1)


def l2(x: Tensor, y: Tensor) -> Tensor:
    """(N, ...), (N, ...) -> (N,) mean of (x - y)²."""
    return _difference(x, y).square().flatten(1).mean(1)


def charbonnier(x: Tensor, y: Tensor, eps: float = 1e-3) -> Tensor:
    """(N, ...), (N, ...) -> (N,) mean of sqrt((x - y)² + eps²), smooth at 0 (Lai et al. 2017, arXiv 1710.01992)."""
    return (_difference(x, y).square() + eps**2).sqrt().flatten(1).mean(1)


DISTANCES: Mapping[PixelDistance, Distance] = {"l1": l1, "l2": l2, "charbonnier": charbonnier}
"""Names that recipes may use."""


def pixel_loss(restored: Tensor, gt: Tensor, detail: Tensor, distance: Distance = l1) -> Tensor:
    """Mean distance of images (N, 3, H, W), at the resolution that each original really has.

    ``detail`` (N,) is 1 where ``gt`` has detail at full size, 0 where it was enlarged from half, and is compared there.
    """
    coarse = distance(F.avg_pool2d(restored, 2), F.avg_pool2d(gt, 2))
    return (detail * distance(restored, gt) + (1 - detail) * coarse).mean()


def chroma_loss(restored: Tensor, gt: Tensor) -> Tensor:
    """Mean absolute difference of Cb and Cr (ITU-R BT.601, full range as in JFIF) of RGB images (N, 3, H, W), a scalar.

    What a network has to guess should have no false color. Features of VGG16 hardly notice hue where it is dark, so
    terms that compare them leave irises blue or purple. The median, which this loss asks for, is a likely color.
    """
    red, green, blue = _difference(restored, gt).unbind(1)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return torch.stack([(blue - luma) / 1.772, (red - luma) / 1.402]).abs().mean()


def _difference(x: Tensor, y: Tensor) -> Tensor:
    if x.shape != y.shape:
        raise ValueError(f"expected tensors of one shape, got {tuple(x.shape)} and {tuple(y.shape)}")
    return x.to(accurate(x.dtype)) - y.to(accurate(y.dtype))


def image_pyramid(image: Tensor, levels: int) -> list[Tensor]:
    """An image (N, 3, H, W) at ``levels`` falling sizes, the coarsest first, itself last.

    Each is the next finer one halved bilinearly (pixel centers at half integers, no antialias), which is the mean of
    2x2 pixels (ValueError: the sides are no multiples of 2^(levels - 1)).
    """
    if levels < 1 or any(side % 2 ** (levels - 1) for side in image.shape[-2:]):
        raise ValueError(f"{tuple(image.shape)} cannot be halved into a pyramid of {levels} levels")
    pyramid = [image]
    while len(pyramid) < levels:
        pyramid.append(F.avg_pool2d(pyramid[-1], 2))
    return pyramid[::-1]


def pyramid_loss(drawn: Sequence[Tensor], gt: Tensor, distance: Distance = l1) -> Tensor:
    """Sum over levels of the mean distance, a scalar (ValueError: the sizes do not double up to that of ``gt``).

    ``drawn`` is what each level draws, the coarsest first, (N, 3, S, S) for S = 8, 16, ...: the second output of
    :class:`revisage.models.nets.gfpgan.GFPGANv1Clean`.
    """
    pairs = zip(drawn, image_pyramid(gt, len(drawn)), strict=True)
    return torch.stack([distance(mine, theirs).mean() for mine, theirs in pairs]).sum()


def ssim(restored: Tensor, gt: Tensor) -> Tensor:
    """Structural similarity of images (N, C, H, W) in [-1, 1], (N,), at most 1, with a gradient.

    The mean over channels and the valid region of an 11 x 11 Gaussian window of sigma 1.5 (Wang et al. 2004, IEEE TIP
    13(4), equation 13; ValueError: the images are smaller). Of 8-bit images, that of
    :func:`revisage.evaluation.metrics.image.ssim`.
    """
    if min(restored.shape[-2:]) < 11:
        raise ValueError(f"SSIM needs at least 11 x 11 pixels, got {tuple(restored.shape[-2:])}")
    with without_autocast(restored):
        x, y = (images.to(accurate(images.dtype)).contiguous() for images in (restored, gt))
        mean_x, mean_y, mean_xx, mean_yy, mean_xy = _gaussian_window(torch.cat([x, y, x * x, y * y, x * y], 1)).chunk(
            5, 1
        )
        var_x, var_y = mean_xx - mean_x**2, mean_yy - mean_y**2
        covariance = mean_xy - mean_x * mean_y
        # Means count from black, which is -1.
        mean_x, mean_y = mean_x + 1, mean_y + 1
        c1, c2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2
        similarity = ((2 * mean_x * mean_y + c1) * (2 * covariance + c2)) / (
            (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
        )
        return similarity.flatten(1).mean(1)


def ssim_shortfall(restored: Tensor, gt: Tensor, degraded: Tensor, margin: float) -> Tensor:
    """By how much the SSIM of restored images fails to be ``margin`` above that of the degraded ones, a scalar.

    All (N, C, H, W); 0 for an image that is as much like its original as asked. No gradient is taken of ``degraded``.
    """
    with torch.no_grad():
        asked = ssim(degraded, gt) + margin
    return F.relu(asked - ssim(restored, gt)).mean()


def _gaussian_window(images: Tensor) -> Tensor:
    """Weighted means of (N, C, H, W) over 11 x 11 pixels, sigma 1.5, where they fit: (N, C, H - 10, W - 10)."""
    offsets = torch.arange(-5, 6, dtype=images.dtype, device=images.device)
    window = F.normalize((offsets / 1.5).square().mul(-0.5).exp(), p=1, dim=0)
    channels = images.shape[1]
    rows, columns = (window.view(shape).expand(channels, 1, *shape[2:]) for shape in ((1, 1, -1, 1), (1, 1, 1, -1)))
    return F.conv2d(F.conv2d(images, rows, groups=channels), columns, groups=channels)


def fft_loss(restored: Tensor, gt: Tensor) -> Tensor:
    """Mean magnitude of the difference of orthonormal spectra of images (N, C, H, W), a scalar."""
    return _spectrum(restored, gt).abs().mean()


def focal_frequency_loss(restored: Tensor, gt: Tensor, alpha: float = 1.0) -> Tensor:
    """Mean squared difference of spectra in which badly missed frequencies count more, a scalar.

    mean w |D|² with D = FFT(restored) - FFT(gt), orthonormal, and w = (|D| / max |D|)^alpha, the maximum of each
    channel of each image; w is a constant to the gradient (Jiang et al. 2021, arXiv 2012.12821). ``alpha`` 0 is the
    mean squared difference of pixels.
    """
    difference = torch.view_as_real(_spectrum(restored, gt)).square().sum(-1)  # |D|², smooth at 0 as |D| is not
    size = difference.detach().sqrt()
    weight = (size / size.amax((-2, -1), keepdim=True).clamp(min=torch.finfo(size.dtype).tiny)) ** alpha
    return (weight * difference).mean()


def wavelet_loss(restored: Tensor, gt: Tensor, levels: int = 3) -> Tensor:
    """Mean absolute difference of wavelet details, a scalar; flat differences cost nothing, leave them to a pixel loss.

    On the stationary Haar transform (Korkmaz et al. 2024, arXiv 2402.19215, with another wavelet) at scales of 2, 4,
    ... 2^``levels`` pixels; all levels and orientations count alike.
    """
    difference = restored.to(accurate(restored.dtype)) - gt.to(accurate(gt.dtype))
    details, _ = stationary_haar(difference, levels)
    return torch.stack([detail.abs().mean() for detail in details]).mean()


LATTICE_WINDOW = 64
"""Side of the squares in which :func:`lattice_loss` looks for what repeats, and of the smallest image it takes."""


def lattice_loss(restored: Tensor, gt: Tensor, period: int = 8, window: int = LATTICE_WINDOW) -> Tensor:
    """Mean absolute value of what repeats every ``period`` pixels in restored - gt, (N, C, H, W), a scalar.

    Networks that enlarge features step by step draw lattices of such periods in smooth areas. The difference of the
    images without its local mean is cut into tiles of ``period`` pixels. Their mean over each ``window`` keeps
    what repeats, and of the rest the less the more tiles there are. Borders that fill no window are left out
    (ValueError: the images are smaller than a window).
    """
    difference = _difference(restored, gt)
    fine = difference - F.avg_pool2d(difference, 5, 1, 2, count_include_pad=False)
    rows, columns = (side // window for side in fine.shape[-2:])
    if not rows or not columns:
        raise ValueError(f"images of {tuple(fine.shape[-2:])} are smaller than a window of {window}")
    windows = fine[..., : rows * window, : columns * window].unflatten(-1, (columns, -1, period))
    tiles = windows.unflatten(-4, (rows, -1, period))  # (N, C, rows, tiles, period, columns, tiles, period)
    return tiles.mean((3, 6)).abs().mean()


def stationary_haar(x: Tensor, levels: int) -> tuple[list[Tensor], Tensor]:
    """The stationary (undecimated) Haar transform of (N, C, H, W): means and half differences 1, 2, 4, ... apart.

    Pixels beyond the right and lower border are those of the border. Returns details [(N, 3, C, H, W) ...], finest
    first: horizontal, vertical, diagonal differences; and what is left, like x. Their sum is x.
    """
    details: list[Tensor] = []
    for level in range(levels):
        left, across = _mean_and_half_difference(x, -1, 2**level)
        rest, down = _mean_and_half_difference(left, -2, 2**level)
        across_mean, diagonal = _mean_and_half_difference(across, -2, 2**level)
        details.append(torch.stack([across_mean, down, diagonal], dim=1))
        x = rest
    return details, x


def _mean_and_half_difference(x: Tensor, axis: int, step: int) -> tuple[Tensor, Tensor]:
    """Of each pixel and the one ``step`` further along the axis: (x + next) / 2 and (x - next) / 2."""
    padding = (0, step, 0, 0) if axis == -1 else (0, 0, 0, step)
    further = F.pad(x, padding, mode="replicate").narrow(axis, step, x.shape[axis])
    return (x + further) / 2, (x - further) / 2


def _spectrum(restored: Tensor, gt: Tensor) -> Tensor:
    """FFT(restored - gt), (N, C, H, W) complex."""
    with without_autocast(restored):
        difference = restored.to(accurate(restored.dtype)) - gt.to(accurate(gt.dtype))
        return torch.fft.fft2(difference, norm="ortho")
