"""Restore an aligned face by an exported network, with onnxruntime, numpy and Pillow alone: no revisage, no torch."""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image


def main(model: str, source: str, target: str) -> None:
    options = onnxruntime.SessionOptions()
    session = onnxruntime.InferenceSession(model, options, onnxruntime.get_available_providers())
    header = json.loads(session.get_modelmeta().custom_metadata_map["revisage"])
    size, (low, high) = header["size"], header["input_range"]
    print(f"{header['architecture']}, {header.get('license', 'license unknown')}, faces of {size} pixels")
    face = Image.open(source).convert("RGB").resize((size, size), Image.Resampling.BICUBIC)
    images = np.asarray(face, np.float32).transpose(2, 0, 1)[None] / 255 * (high - low) + low
    (restored,) = session.run(None, {session.get_inputs()[0].name: images})
    pixels = (restored[0].transpose(1, 2, 0) - low) / (high - low)
    Image.fromarray((pixels.clip(0, 1) * 255).round().astype(np.uint8)).save(target)


if __name__ == "__main__":
    main(*sys.argv[1:])
