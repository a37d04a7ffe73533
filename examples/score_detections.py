"""How well detections agree with true faces: score_detections.py truth.json faces.json.

Truth: ``{"name.jpg": {"faces": [{"box": [x1, y1, x2, y2], "landmarks": [[x, y] * 5]}]}}`` in pixels of the image;
detections as ``detect_faces.py`` writes them.
"""

import json
import sys
from pathlib import Path

import numpy as np

from revisage.evaluation.metrics.faces import DetectionEvaluator


def arrays(faces: list[dict]) -> tuple[np.ndarray, np.ndarray]:
    faces = sorted(faces, key=lambda face: -face.get("score", 0))  # the best first
    boxes = np.array([face["box"] for face in faces], float).reshape(-1, 4)
    return boxes, np.array([face["landmarks"] for face in faces], float).reshape(-1, 5, 2)


def main(truth: str, detections: str) -> None:
    found = json.loads(Path(detections).read_text())
    evaluator = DetectionEvaluator()
    for name, entry in json.loads(Path(truth).read_text()).items():
        boxes, landmarks = arrays(entry["faces"])
        evaluator.add(boxes, landmarks, np.ones(len(boxes), bool), *arrays(found.get(name, [])))
    for name, value in evaluator.metrics().items():
        print(f"{name:20} {value:.4f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
