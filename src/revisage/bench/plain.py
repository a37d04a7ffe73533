"""The plain formulation, as published implementations compute it: the yardstick of ``revisage bench`` only.

Weights are modulated and convolved in groups, one per face; tensors are NCHW in float32; each face passes alone through
the restorer and the face parser; the detector is RetinaFace with a ResNet-50 on the whole image; faces are pasted by
masks and blends over the whole image in float64. The functions take the modules of this project for their weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from revisage.geometry import Affine
from revisage.models.nets import retinaface
from revisage.models.nets.parsenet import ParseNet
from revisage.types import Array

Pixels = NDArray[np.uint8]
KEPT_CLASSES = (*range(1, 14), 15)
"""Classes of the face parser that are pasted: all of the head."""


def _lrelu(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.2)


def _resize(x: Tensor, factor: float) -> Tensor:
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


def gfpgan(network: Any, x: Tensor) -> Tensor:
    """GFPGANv1Clean: (N, 3, S, S) RGB in [-1, 1] -> the same shape, with the stored noise."""
    features = _lrelu(F.conv2d(x, network.conv_body_first.weight, network.conv_body_first.bias))
    skips: list[Tensor] = []
    for block in network.conv_body_down:
        features = _res_block(block, features, 0.5)
        skips.insert(0, features)
    final = network.final_conv
    features = _lrelu(F.conv2d(features, final.weight, final.bias, padding=1))
    styles = network.final_linear(features.flatten(1)).unflatten(1, (-1, network.num_style_feat))
    conditions: list[tuple[Tensor, Tensor]] = []
    levels = zip(network.conv_body_up, skips, network.condition_scale, network.condition_shift, strict=True)
    for block, skip, scale, shift in levels:
        features = _res_block(block, features + skip, 2)
        conditions.append((scale(features), shift(features)))
    return _decode(network.stylegan_decoder, styles, conditions)


def _res_block(block: Any, x: Tensor, factor: float) -> Tensor:
    y = _lrelu(block.conv1(x))
    y = _lrelu(block.conv2(_resize(y, factor)))
    return y + block.skip(_resize(x, factor))


def _decode(decoder: Any, styles: Tensor, conditions: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    noise = [decoder.noises.get_buffer(f"noise{layer}") for layer in range(decoder.num_layers)]
    x = decoder.constant_input.weight.repeat(len(styles), 1, 1, 1)
    x = _style_conv(decoder.style_conv1, x, styles[:, 0], noise[0])
    rgb = _to_rgb(decoder.to_rgb1, x, styles[:, 1])
    for level, (scale, shift) in enumerate(conditions):
        at = 2 * level + 1
        x = _style_conv(decoder.style_convs[at - 1], x, styles[:, at], noise[at])
        same, changed = x.split([x.shape[1] - scale.shape[1], scale.shape[1]], dim=1)
        x = torch.cat([same, changed * scale + shift], dim=1)
        x = _style_conv(decoder.style_convs[at], x, styles[:, at + 1], noise[at + 1])
        rgb = _to_rgb(decoder.to_rgbs[level], x, styles[:, at + 2]) + _resize(rgb, 2)
    return rgb


def _style_conv(layer: Any, x: Tensor, style: Tensor, noise: Tensor) -> Tensor:
    x = _modulated_conv(layer.modulated_conv, x, style) * 2**0.5
    return _lrelu(x + layer.weight * noise + layer.bias)


def _to_rgb(layer: Any, x: Tensor, style: Tensor) -> Tensor:
    return _modulated_conv(layer.modulated_conv, x, style) + layer.bias


def _modulated_conv(conv: Any, x: Tensor, style: Tensor) -> Tensor:
    """Weights of each face, convolved in one group per face."""
    count = len(x)
    weight = conv.weight * conv.modulation(style)[:, None, :, None, None]
    if conv.demodulate:
        weight = weight * torch.rsqrt(weight.square().sum((2, 3, 4), keepdim=True) + conv.eps)
    if conv.sample_mode == "upsample":
        x = _resize(x, 2)
    size = conv.kernel_size
    y = F.conv2d(x.reshape(1, -1, *x.shape[2:]), weight.flatten(0, 1), padding=size // 2, groups=count)
    return y.view(count, -1, *y.shape[2:])


def restoreformer(network: Any, x: Tensor) -> Tensor:
    """RestoreFormer: (N, 3, H, W) RGB in [-1, 1] -> the same shape."""
    encoder, decoder = network.encoder, network.decoder
    x = encoder.conv_in(x)
    features: dict[str, Tensor] = {}
    for level, down in enumerate(encoder.down):
        x = features[f"block_{level}"] = _refine(down, x, None)
        x = down.downsample(x)
    x = features[f"block_{len(encoder.down) - 1}_atten"] = _resnet_block(encoder.mid.block_1, x)
    x = features["mid_atten"] = _resnet_block(encoder.mid.block_2, _attend(encoder.mid.attn_1, x, x))
    z = network.quant_conv(encoder.conv_out(_swish(encoder.norm_out(x))))
    x = decoder.conv_in(network.post_quant_conv(_quantize(network.quantize, z)))
    x = _attend(decoder.mid.attn_1, _resnet_block(decoder.mid.block_1, x), features["mid_atten"])
    x = _resnet_block(decoder.mid.block_2, x)
    for level in reversed(range(len(decoder.up))):
        queries = features.get(f"block_{level}_atten", features.get(f"block_{level}"))
        x = decoder.up[level].upsample(_refine(decoder.up[level], x, queries))
    return decoder.conv_out(_swish(decoder.norm_out(x)))


def _swish(x: Tensor) -> Tensor:
    return x * torch.sigmoid(x)


def _refine(level: Any, x: Tensor, queries: Tensor | None) -> Tensor:
    for index, block in enumerate(level.block):
        x = _resnet_block(block, x)
        if level.attn:
            x = _attend(level.attn[index], x, x if queries is None else queries)
    return x


def _resnet_block(block: Any, x: Tensor) -> Tensor:
    y = block.conv1(_swish(block.norm1(x)))
    y = block.conv2(_swish(block.norm2(y)))
    return y + (block.get_submodule(block.shortcut_name)(x) if block.shortcut_name else x)


def _attend(block: Any, x: Tensor, y: Tensor) -> Tensor:
    """Multi-head attention with its whole matrix of weights; y gives the queries."""
    h = block.norm1(x)
    queries = h if y is x else block.norm2(y)
    q, k, v = (
        part.flatten(2).unflatten(1, (block.head_size, -1)) for part in (block.q(queries), block.k(h), block.v(h))
    )
    weights = torch.softmax(q.transpose(2, 3) @ k * q.shape[2] ** -0.5, dim=-1)
    return x + block.proj_out((v @ weights.transpose(2, 3)).reshape(x.shape))


def _quantize(quantizer: Any, z: Tensor) -> Tensor:
    """By the distances to all entries, and a one-hot code of the nearest."""
    codebook = quantizer.embedding.weight
    vectors = z.permute(0, 2, 3, 1).reshape(-1, codebook.shape[1])
    distances = vectors.square().sum(1, keepdim=True) + codebook.square().sum(1) - 2 * vectors @ codebook.t()
    one_hot = torch.zeros_like(distances).scatter_(1, distances.argmin(1, keepdim=True), 1)
    quantized = (one_hot @ codebook).view(z.shape[0], *z.shape[2:], -1).permute(0, 3, 1, 2)
    return z + (quantized - z)


FORWARD: Mapping[str, Any] = {"GFPGANv1Clean": gfpgan, "RestoreFormer": restoreformer}
"""Architecture -> its plain forward pass."""


@dataclass(frozen=True)
class PlainPipeline:
    """Everything that becomes of a photo, face by face.

    Attributes:
        architecture: of the restorer, a key of ``FORWARD``.
        network: the restorer.
        detector: RetinaFace with a ResNet-50; random weights take the same time, and find nothing.
        parser: ParseNet at 512 pixels.
    """

    architecture: str
    network: nn.Module
    detector: nn.Module
    parser: nn.Module

    @classmethod
    def build(cls, architecture: str, network: nn.Module) -> PlainPipeline:
        """With a detector and a parser of random weights."""
        detector = retinaface.RetinaFace("resnet50").eval()
        return cls(architecture, network, detector, ParseNet(512, 512).eval())

    def detect(self, image: Pixels) -> None:
        """Search the whole image (H, W, 3) at its full resolution."""
        batch = torch.from_numpy(image.transpose(2, 0, 1)[None].astype(np.float32))
        retinaface.propose(self.detector, batch)  # pyright: ignore[reportArgumentType]

    def upscale(self, image: Pixels, scale: int) -> Array:
        """The background."""
        height, width = image.shape[:2]
        return cv2.resize(image, (width * scale, height * scale), interpolation=cv2.INTER_LANCZOS4)

    def restore(self, image: Pixels, crop_from_image: Affine, size: int) -> Pixels:
        """One face: cut out, through the network, as (size, size, 3)."""
        crop: Array = cv2.warpAffine(image, crop_from_image, (size, size), borderValue=(135, 133, 132))
        output = FORWARD[self.architecture](self.network, _to_tensor(crop))[0].clamp(-1, 1)
        return ((output + 1) / 2 * 255).round().byte().numpy().transpose(1, 2, 0)

    def paste(self, background: Array, restored: Pixels, crop_from_image: Affine, scale: int) -> Array:
        """Blend one face with the whole background; returns it in float64."""
        labels = self.parser(_to_tensor(restored))[0].argmax(1)[0].numpy()
        mask = np.isin(labels, KEPT_CLASSES) * 255.0
        for _ in range(2):
            mask = cv2.GaussianBlur(mask, (101, 101), 11)
        mask[:10] = mask[-10:] = mask[:, :10] = mask[:, -10:] = 0
        inverse = cv2.invertAffineTransform(crop_from_image) * scale
        inverse[:, 2] += 0.5 * scale if scale > 1 else 0
        size = background.shape[1::-1]
        soft = cv2.warpAffine(mask / 255, inverse, size, flags=3)[..., None]
        pasted = cv2.warpAffine(restored, inverse, size)
        return soft * pasted + (1 - soft) * background


def _to_tensor(image: Pixels) -> Tensor:
    return torch.from_numpy((image.transpose(2, 0, 1)[None] / 255.0).astype(np.float32)) * 2 - 1
