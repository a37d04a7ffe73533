"""Write the faces of all images in a folder as JSON: detect_faces.py FOLDER faces.json.

``{"name.jpg": [{"box": [x1, y1, x2, y2], "score": 0.98, "landmarks": [[x, y] * 5]}]}`` in pixels, by number.
"""

import json
import sys
from pathlib import Path

import revisage


def main(folder: str, target: str) -> None:
    detect = revisage.load("embedded").detect
    found = {
        path.name: [
            {"box": face.box.tolist(), "score": round(face.score, 4), "landmarks": face.landmarks.tolist()}
            for face in detect(revisage.read_image(path))
        ]
        for path in sorted(Path(folder).iterdir())
        if path.suffix.lower() in (".jpg", ".jpeg", ".png")
    }
    Path(target).write_text(json.dumps(found, indent=1))
    print(f"{sum(map(len, found.values()))} faces in {len(found)} images")


if __name__ == "__main__":
    main(*sys.argv[1:])
