"""Faces drawn at random and degraded, all on one device: a batch has a value of its own for every image.

The steps are those of `revisage.training.data.degradations`: blur, resizing and noise are the same, JPEG differs from
libjpeg by less than a level on average (tests/training/test_accelerator_degradations.py).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

LUMA = (0.299, 0.587, 0.114)


class Faces:
    """Crops on the device, drawn at random, moved, bent and recolored."""

    def __init__(self, images: Tensor, device: torch.device) -> None:
        self.images = images.to(device)

    def draw(self, count: int, size: int, still: float) -> Tensor:
        """(count, 3, size, size) float32 in [0, 1]; a share of ``still`` is not moved (no pixel is resampled)."""
        images = self.images[torch.randint(len(self.images), (count,), device=self.images.device)].float() / 255
        device = images.device
        moved = (torch.rand(count, 1, device=device) >= still).float()
        angle = torch.randn(count, 1, device=device) * 0.035 * moved
        scale = 1 + (torch.rand(count, 1, device=device) * 0.12 - 0.05) * moved
        flip = torch.where(torch.rand(count, 1, device=device) < 0.5, -1.0, 1.0)
        shift = torch.randn(count, 2, device=device) * 0.014 * moved
        cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
        rows = [torch.cat([cos * flip, -sin, shift[:, :1]], 1), torch.cat([sin * flip, cos, shift[:, 1:]], 1)]
        grid = F.affine_grid(torch.stack(rows, 1), [count, 3, size, size], align_corners=False)
        bend = (
            torch.randn(count, 2, 5, 5, device=device)
            * 0.02
            * (moved * torch.rand(count, 1, device=device))[..., None, None]
        )
        grid = grid + F.interpolate(bend, (size, size), mode="bicubic").permute(0, 2, 3, 1)
        if size < images.shape[-1]:
            images = F.interpolate(images, (size, size), mode="area")
        drawn = F.grid_sample(images, grid, "bicubic", "reflection", align_corners=False)
        return recolor(drawn, 0.5, (0.85, 1.15), (0.85, 1.15), (0.6, 1.3), gamma=(0.8, 1.25)).clamp(0, 1)


def uniform(like: Tensor, low: float, high: float) -> Tensor:
    """(N, 1, 1, 1) numbers for N images."""
    return low + (high - low) * torch.rand(len(like), 1, 1, 1, device=like.device)


def happens(like: Tensor, probability: float) -> Tensor:
    """(N, 1, 1, 1) of 0 and 1."""
    return (torch.rand(len(like), 1, 1, 1, device=like.device) < probability).float()


def luma(x: Tensor) -> Tensor:
    return (x * x.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)


def recolor(x: Tensor, probability: float, brightness, contrast, saturation, gamma=(1.0, 1.0)) -> Tensor:
    """Change brightness, contrast and saturation of some images."""
    y = x.clamp(1e-4, 1) ** uniform(x, *gamma) * uniform(x, *brightness)
    mean = y.mean((1, 2, 3), keepdim=True)
    y = mean + (y - mean) * uniform(x, *contrast)
    gray = luma(y)
    y = gray + (y - gray) * uniform(x, *saturation)
    return torch.where(happens(x, probability) > 0, y.clamp(0, 1), x)


def blur(x: Tensor, low: float, high: float, taps: int) -> Tensor:
    """Gaussian blur, isotropic with probability 0.5, mirrored at the border."""
    n, size, radius = len(x), x.shape[-1], taps // 2
    sigma = torch.empty(2, n, device=x.device).uniform_(low, high)
    isotropic = torch.rand(n, device=x.device) < 0.5
    sx, sy = sigma[0], torch.where(isotropic, sigma[0], sigma[1])
    angle = torch.rand(n, device=x.device) * math.pi
    axis = torch.arange(-radius, radius + 1, device=x.device, dtype=torch.float32)
    yy, xx = torch.meshgrid(axis, axis, indexing="ij")
    cos, sin = torch.cos(angle).view(-1, 1, 1), torch.sin(angle).view(-1, 1, 1)
    u, v = (cos * xx + sin * yy) / sx.view(-1, 1, 1), (-sin * xx + cos * yy) / sy.view(-1, 1, 1)
    kernels = torch.exp(-0.5 * (u * u + v * v))
    kernels = kernels / kernels.sum((1, 2), keepdim=True)
    padded = F.pad(x, (radius,) * 4, mode="reflect")
    whole = 64 * math.ceil((size + taps - 1) / 64)
    spectrum = torch.fft.rfft2(padded, s=(whole, whole)) * torch.fft.rfft2(kernels, s=(whole, whole))[:, None]
    return torch.fft.irfft2(spectrum, s=(whole, whole))[..., taps - 1 : taps - 1 + size, taps - 1 : taps - 1 + size]


def bilinear(sizes_in: Tensor, sizes_out: Tensor, columns: int, rows: int) -> Tensor:
    """(N, rows, columns) matrices that resize lines of ``sizes_in`` to ``sizes_out``; later rows repeat the last."""
    row = torch.minimum(torch.arange(rows, device=sizes_in.device)[None].float(), sizes_out[:, None] - 1)
    source = ((row + 0.5) * (sizes_in / sizes_out)[:, None] - 0.5).clamp(min=0)
    source = torch.minimum(source, sizes_in[:, None] - 1)
    return (1 - (source[..., None] - torch.arange(columns, device=source.device)).abs()).clamp(min=0)


def resize(x: Tensor, matrix: Tensor) -> Tensor:
    return (matrix[:, None] @ x) @ matrix[:, None].mT


LUMA_TABLE = """16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62
18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112 100 103 99"""
CHROMA_TABLE = """17 18 24 47 99 99 99 99 18 21 26 66 99 99 99 99 24 26 56 99 99 99 99 99 47 66 99 99 99 99 99 99
99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99"""


def jpeg(x: Tensor, low: float, high: float) -> Tensor:
    """JPEG with 4:2:0 chroma (ITU-T T.81), of (N, 3, H, W) in [0, 1], H and W multiples of 16."""
    device = x.device
    quality = torch.empty(len(x), device=device).uniform_(low, high).floor()
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality).view(-1, 1, 1)
    tables = [
        torch.tensor([float(v) for v in text.split()], device=device).view(8, 8) for text in (LUMA_TABLE, CHROMA_TABLE)
    ]
    steps = [((table * scale + 50) / 100).floor().clamp(1, 255) for table in tables]
    k = torch.arange(8, device=device, dtype=torch.float32)
    dct = torch.cos((2 * k[None] + 1) * k[:, None] * math.pi / 16) * 0.5
    dct[0] *= math.sqrt(0.5)

    def code(plane: Tensor, step: Tensor) -> Tensor:
        blocks = plane.unflatten(-1, (-1, 8)).unflatten(-3, (-1, 8)).transpose(-3, -2)  # (N, C, h, w, 8, 8)
        step = step[:, None, None, None]
        levels = ((dct @ (blocks - 128) @ dct.T) / step).round() * step
        return (dct.T @ levels @ dct + 128).transpose(-3, -2).flatten(-2).flatten(-3, -2).round().clamp(0, 255)

    rgb = (x * 255).round().clamp(0, 255)
    y = luma(rgb)
    chroma = torch.cat([(rgb[:, 2:] - y) / 1.772, (rgb[:, :1] - y) / 1.402], 1) + 128
    y = code(y.round(), steps[0])
    chroma = F.interpolate(code(F.avg_pool2d(chroma, 2).round(), steps[1]), scale_factor=2, mode="bilinear") - 128
    blue, red = chroma[:, :1], chroma[:, 1:]
    rgb = torch.cat([y + 1.402 * red, y - 0.344136 * blue - 0.714136 * red, y + 1.772 * blue], 1)
    return rgb.round().clamp(0, 255) / 255


def noise(x: Tensor, low: float, high: float) -> Tensor:
    return (x + torch.randn_like(x) * uniform(x, low, high) / 255).clamp(0, 1)


class Degradation:
    """Blur, shrink, noise, JPEG and enlarge, for faces of ``unit`` pixels; old prints get marks before.

    ``unit`` scales what is given in pixels at 512.
    """

    def __init__(self, unit: int, masks: dict[str, Tensor]) -> None:
        self.unit, self.scale, self.masks = unit, unit / 512, masks
        self.taps = 41 if unit == 512 else 21

    def smaller(self, x: Tensor, blurs, factors, noises, qualities) -> Tensor:
        """One round: from ``unit`` pixels and back."""
        k = self.scale
        x = blur(x, max(blurs[0] * k, 0.05), blurs[1] * k, self.taps)
        low, high = max(factors[0] * k, 1.0), max(factors[1] * k, 1.0)
        sizes = (self.unit / torch.empty(len(x), device=x.device).uniform_(low, high)).floor()
        canvas = min(16 * math.ceil(self.unit / low / 16), self.unit)
        whole = torch.full_like(sizes, self.unit)
        x = resize(x, bilinear(whole, sizes, self.unit, canvas))
        x = jpeg(noise(x, *noises), *qualities)
        return resize(x, bilinear(sizes, whole, canvas, self.unit))

    def steps(self, gt: Tensor, kind: str) -> tuple[Tensor, Tensor]:
        """(original, degraded) of one kind, in [0, 1]."""
        if kind == "old":
            return self.old_print(gt)
        gray = happens(gt, 0.05)
        gt = gt + gray * (luma(gt) - gt)
        ranges = {
            "full": ((0.1, 10), (0.8, 10), (0, 25), (50, 100)),
            "mild": ((0.1, 3), (0.8, 3), (0, 10), (70, 100)),
            "medium": ((2, 6), (2.5, 5.5), (4, 16), (60, 90)),
            "hard": ((4, 10), (5, 10), (8, 25), (50, 85)),
        }[kind]
        return gt, self.smaller(gt, *ranges)

    def old_print(self, gt: Tensor) -> tuple[Tensor, Tensor]:
        gray = happens(gt, 0.2)
        gt = gt + gray * (luma(gt) - gt)
        sepia = happens(gt, 0.3) * uniform(gt, 0.5, 1.0)
        gt = gt + sepia * (luma(gt) * gt.new_tensor([1.07, 0.86, 0.61]).view(1, 3, 1, 1) - gt)
        yellow = uniform(gt, 0, 0.15) * gt.new_tensor([0.0, 0.3, 1.0]).view(1, 3, 1, 1)
        black = (uniform(gt, 0.02, 0.2) - yellow / 2).clamp(min=0)
        white = torch.maximum(uniform(gt, 0.75, 0.98) - yellow, black)
        gt = torch.where(happens(gt, 0.3) > 0, gt * (white - black) + black, gt)
        gt = recolor(gt, 0.3, (0.7, 1.3), (0.7, 1.3), (0.5, 1.4)).clamp(0, 1)
        k = self.scale
        x = blur(gt, 0.05, 4 * k, self.taps)
        x = self.shrunk_and_back(x, 3 * k)
        x = torch.where(happens(x, 0.6) > 0, self.grain(x), x)
        x = torch.where(happens(x, 0.2) > 0, self.halftone(x), x)
        x = torch.where(happens(x, 0.4) > 0, self.marks(x, "scratches", 0.75), x)
        x = torch.where(happens(x, 0.4) > 0, self.marks(x, "dust", 0.7), x)
        x = torch.where(happens(x, 0.4) > 0, self.paper(x), x)
        x = jpeg(x.clamp(0, 1), 50, 95)
        return gt, self.smaller(x, (0.1, 2), (0.8, 3), (0, 12), (50, 95))

    def shrunk_and_back(self, x: Tensor, high: float) -> Tensor:
        whole = torch.full((len(x),), float(self.unit), device=x.device)
        sizes = (self.unit / torch.empty(len(x), device=x.device).uniform_(1, max(high, 1.0))).floor()
        x = resize(x, bilinear(whole, sizes, self.unit, self.unit))
        return resize(x, bilinear(sizes, whole, self.unit, self.unit))

    def smooth_noise(self, x: Tensor, cells: tuple[int, int]) -> Tensor:
        noise = torch.randn(len(x), 1, *cells, device=x.device)
        return F.interpolate(noise, x.shape[-2:], mode="bicubic")

    def grain(self, x: Tensor) -> Tensor:
        size = float(torch.empty(()).uniform_(1, 2.5))
        cells = max(round(self.unit / size), 1)
        return x + self.smooth_noise(x, (cells, cells)) * uniform(x, 4, 20) / 255 * (0.3 + 2.8 * x * (1 - x))

    def paper(self, x: Tensor) -> Tensor:
        fine, broad = self.smooth_noise(x, (self.unit // 3, self.unit // 2)), self.smooth_noise(x, (5, 5))
        return x * (1 + uniform(x, 0.02, 0.1) * (0.6 * fine + 0.8 * broad))

    def halftone(self, x: Tensor) -> Tensor:
        frequency, hardness = 2 * math.pi / uniform(x, 2.5, 6)[:, 0], uniform(x, 0.2, 0.7)
        axis = torch.arange(self.unit, device=x.device, dtype=torch.float32)
        yy, xx = torch.meshgrid(axis, axis, indexing="ij")
        screens = []
        for degrees in (15, 75, 45):
            cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
            screens.append(torch.cos(frequency * (xx * cos + yy * sin)) + torch.cos(frequency * (yy * cos - xx * sin)))
        return x + hardness * 0.25 * torch.stack(screens, 1) * 4 * x * (1 - x)

    def marks(self, x: Tensor, kind: str, bright: float) -> Tensor:
        masks = self.masks[kind]
        alpha = masks[torch.randint(len(masks), (len(x),), device=x.device)].float()[:, None] / 255
        alpha = alpha if torch.rand(()) < 0.5 else alpha.flip(-1)
        alpha = alpha if torch.rand(()) < 0.5 else alpha.flip(-2)
        alpha = alpha if alpha.shape[-1] == self.unit else F.interpolate(alpha, (self.unit, self.unit), mode="area")
        level = torch.where(happens(x, bright) > 0, uniform(x, 0.75, 1.0), uniform(x, 0.0, 0.25))
        return x + alpha * (level - x)

    def __call__(self, gt: Tensor, shares: dict[str, int]) -> tuple[Tensor, Tensor]:
        """Originals -> (originals, degraded), in [-1, 1]; ``shares`` counts the images of each kind, in order."""
        parts = torch.split(gt, list(shares.values()))
        pairs = [self.steps(part, kind) for part, kind in zip(parts, shares, strict=True) if len(part)]
        gts, lqs = zip(*pairs, strict=True)
        lq = (torch.cat(lqs).clamp(0, 1) * 255).round() / 255
        return torch.cat(gts) * 2 - 1, lq * 2 - 1


def share(count: int, **parts: float) -> dict[str, int]:
    """Divide a batch; rounding goes to the first kind."""
    counts = {kind: int(count * part) for kind, part in parts.items()}
    counts[next(iter(counts))] += count - sum(counts.values())
    return counts
