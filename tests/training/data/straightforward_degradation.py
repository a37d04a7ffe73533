"""FFHQDegradationDataset's order of operations done one after the other at full size: what ours is compared with.

The draws are those of the package's steps, so that both make the same image; the operations are the plain ones: a
correlation of the whole image with a 41 x 41 kernel, BGR images until the tensors, the color jitter on tensors.
"""

import cv2
import numpy as np
import torch

from revisage.training.data.degradations.blur import Downsample, MixedBlur


def straightforward(pixels, options, rng):
    """(H, W, 3) uint8 RGB -> (lq, gt), float32 tensors (3, H, W) in [-1, 1]."""
    gt = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR).astype(np.float32) / 255.0
    if rng.random() < 0.5:
        gt = cv2.flip(gt, 1)
    height, width = gt.shape[:2]
    size = options.blur_kernel_size
    kinds = dict(zip(options.kernel_list, options.kernel_prob, strict=True))
    lq = cv2.filter2D(gt, -1, MixedBlur(kinds, (size, size), options.blur_sigma).kernel(rng))
    small = Downsample(options.downsample_range).size(height, width, rng)
    lq = cv2.resize(lq, small, interpolation=cv2.INTER_LINEAR)
    noise = rng.standard_normal(lq.shape, dtype=np.float32)[..., ::-1]
    lq = np.clip(lq + noise * (rng.uniform(*options.noise_range) / 255.0), 0, 1).astype(np.float32)
    levels = np.rint(np.clip(lq, 0, 1) * 255.0).astype(np.uint8)
    _, data = cv2.imencode(".jpg", levels, [cv2.IMWRITE_JPEG_QUALITY, int(rng.uniform(*options.jpeg_range))])
    lq = np.float32(cv2.imdecode(data, cv2.IMREAD_COLOR)) / 255.0
    lq = cv2.resize(lq, (width, height), interpolation=cv2.INTER_LINEAR)
    if rng.random() < options.color_jitter_prob:
        limit = options.color_jitter_shift / 255.0
        lq = np.clip(lq + rng.uniform(-limit, limit, 3).astype(np.float32)[::-1], 0, 1)
    if rng.random() < options.gray_prob:
        lq = np.tile(cv2.cvtColor(lq, cv2.COLOR_BGR2GRAY)[..., None], (1, 1, 3))
    lq, gt = (torch.from_numpy(cv2.cvtColor(x, cv2.COLOR_BGR2RGB).transpose(2, 0, 1)).float() for x in (lq, gt))
    if rng.random() < options.color_jitter_pt_prob:
        changes = (brightness, contrast, saturation, hue)
        ranges = (options.brightness, options.contrast, options.saturation, options.hue)
        for index in rng.permutation(4):
            lq = changes[index](lq, rng.uniform(*ranges[index]))
    lq = torch.clamp((lq * 255.0).round(), 0, 255) / 255.0
    return (lq - 0.5) / 0.5, (gt - 0.5) / 0.5


def gray(image):
    return (0.2989 * image[0] + 0.587 * image[1] + 0.114 * image[2])[None]


def brightness(image, factor):
    return (factor * image).clamp(0, 1)


def contrast(image, factor):
    return (factor * image + (1 - factor) * gray(image).mean()).clamp(0, 1)


def saturation(image, factor):
    return (factor * image + (1 - factor) * gray(image)).clamp(0, 1)


def hue(image, turn):
    """RGB -> HSV, h + turn modulo 1, HSV -> RGB: the textbook's case distinctions, one plane each."""
    red, green, blue = image
    value, least = image.amax(dim=0), image.amin(dim=0)
    chroma = value - least
    divisor = torch.where(chroma > 0, chroma, torch.ones_like(chroma))
    sector = torch.where(
        value == red,
        (green - blue) / divisor,
        torch.where(value == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor),
    )
    sector = 6 * ((sector / 6 + turn) % 1)
    saturation = chroma / torch.where(value > 0, value, torch.ones_like(value))
    whole = sector.floor()
    rest = sector - whole
    p, q, t = value * (1 - saturation), value * (1 - saturation * rest), value * (1 - saturation * (1 - rest))
    cases = [(value, t, p), (q, value, p), (p, value, t), (p, q, value), (t, p, value), (value, p, q)]
    result = torch.zeros_like(image)
    for number, planes in enumerate(cases):
        result = torch.where(whole % 6 == number, torch.stack(planes), result)
    return result
