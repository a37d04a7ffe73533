"""The nodes. IMAGE is a float32 tensor (B, H, W, 3) in [0, 1], MASK one (B, H, W) in [0, 1]."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

import revisage

load = lru_cache(2)(revisage.load)
"""One model in memory, and the one before it."""


def to_arrays(images: Tensor) -> list[np.ndarray]:
    """(B, H, W, 3 or 4) -> B float32 images (H, W, 3)."""
    return [np.ascontiguousarray(image[..., :3].clamp(0, 1).float().cpu().numpy()) for image in images]


def to_tensor(images: list[np.ndarray]) -> Tensor:
    """B images of one size -> (B, H, W, C) or (B, H, W), float32."""
    return torch.from_numpy(np.stack(images).astype(np.float32))


class Restore:
    """Restores the faces of images; the mask says where the faces are that were restored."""

    CATEGORY = "image/faces"
    FUNCTION = "restore"
    RETURN_TYPES = ("IMAGE", "MASK", "INT")
    RETURN_NAMES = ("image", "mask", "faces")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Inputs as ComfyUI asks for them."""
        return {
            "required": {
                "image": ("IMAGE",),
                "model": ("STRING", {"default": "embedded"}),
                "strength": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.05}),
                "scale": ("FLOAT", {"default": 1.0, "min": 1.0, "max": 4.0, "step": 0.5}),
            },
            "optional": {"only_center_face": ("BOOLEAN", {"default": False})},
        }

    def restore(
        self, image: Tensor, model: str, strength: float, scale: float, only_center_face: bool = False
    ) -> tuple[Tensor, Tensor, int]:
        """Restore a batch of images."""
        arrays = to_arrays(image)
        results = load(model)(arrays, strength=strength, scale=scale, only_center_face=only_center_face)
        restored = [[face for face in result.faces if str(face.status) == "restored"] for result in results]
        masks = [boxes_mask(result.image.shape, faces, scale) for result, faces in zip(results, restored, strict=True)]
        return to_tensor([one.image for one in results]), to_tensor(masks), sum(map(len, restored))


class Detect:
    """Finds faces: a mask of their boxes, and their number."""

    CATEGORY = "image/faces"
    FUNCTION = "detect"
    RETURN_TYPES = ("MASK", "INT")
    RETURN_NAMES = ("mask", "faces")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Inputs as ComfyUI asks for them."""
        score: dict[str, Any] = {"default": 0.5, "min": 0.0, "max": 1.0, "step": 0.05}
        return {"required": {"image": ("IMAGE",), "min_score": ("FLOAT", score)}}

    def detect(self, image: Tensor, min_score: float) -> tuple[Tensor, int]:
        """Detect the faces of a batch of images."""
        arrays = to_arrays(image)
        found = [[face for face in load("embedded").detect(one) if face.score >= min_score] for one in arrays]
        masks = [boxes_mask(one.shape, faces) for one, faces in zip(arrays, found, strict=True)]
        return to_tensor(masks), sum(map(len, found))


class Compare:
    """Puts images side by side, the first one enlarged to the size of the second."""

    CATEGORY = "image/faces"
    FUNCTION = "compare"
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("image",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Inputs as ComfyUI asks for them."""
        return {"required": {"before": ("IMAGE",), "after": ("IMAGE",)}}

    def compare(self, before: Tensor, after: Tensor) -> tuple[Tensor]:
        """Two batches of the same length -> one, twice as wide."""
        size = after.shape[2], after.shape[1]
        left = [cv2.resize(one, size, interpolation=cv2.INTER_CUBIC).clip(0, 1) for one in to_arrays(before)]
        return (torch.cat([to_tensor(left), after[..., :3].float().cpu()], dim=2),)


def boxes_mask(shape: tuple[int, ...], faces: list[Any], scale: float = 1) -> np.ndarray:
    """(H, W) float32: 1 in the boxes of faces, whose pixels are ``scale`` times as large here."""
    mask = np.zeros(shape[:2], np.float32)
    for face in faces:
        x1, y1, x2, y2 = (round(max(float(value) * scale, 0)) for value in face.box)
        mask[y1:y2, x1:x2] = 1
    return mask


NODE_CLASS_MAPPINGS = {
    "RevisageRestore": Restore,
    "RevisageDetect": Detect,
    "RevisageCompare": Compare,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "RevisageRestore": "Restore faces",
    "RevisageDetect": "Detect faces",
    "RevisageCompare": "Before and after",
}
