"""Try an extra in the environment that runs this: `python .ci/smoke.py EXTRA`, in a folder that may be written to."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PHOTO = ROOT / "examples" / "photo.jpg"


def revisage(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "revisage", *map(str, arguments)], check=True)


def core() -> None:
    revisage("restore", PHOTO, "-o", "restored.jpg")
    revisage("compare", PHOTO, "restored.jpg", "-o", "compare.html")
    assert "torch" not in installed(), "the core brings torch along"


def heif() -> None:
    revisage("restore", PHOTO, "-o", "out", "--format", "heic")
    revisage("restore", "out/photo.heic", "-o", "again.heic")


def video() -> None:
    import av
    import numpy as np

    import revisage as library

    pixels = np.ascontiguousarray(library.read_image(PHOTO)[40:240, 60:260])
    with av.open("clip.mp4", "w") as file:
        stream = file.add_stream("libx264", rate=5, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 200, 200, "yuv420p"
        for _ in range(3):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels)))
        file.mux(stream.encode())
    revisage("restore", "clip.mp4", "-o", "restored.mp4")


def plots() -> None:
    Path("run").mkdir()
    Path("run/metrics.jsonl").write_text('{"images": 1000, "l1": 0.5}\n{"images": 2000, "l1": 0.4}\n')
    revisage("plot", "run")
    assert Path("run/curves.png").stat().st_size > 5000


def torch() -> None:
    import torch as library

    from revisage.models.checkpoint import Header, save_weights
    from revisage.models.nets.restoration_unet import RestorationUNet

    arguments = {"widths": [4, 4], "blocks": [1, 1], "unshuffle": 2}
    state = {key: library.zeros_like(value) for key, value in RestorationUNet(**arguments).state_dict().items()}
    save_weights(Path("model.safetensors"), state, Header("RestorationUNet", arguments, 64))
    revisage("restore", PHOTO, "--model", "model.safetensors", "-o", "restored.png")


def train() -> None:
    torch()
    import lmdb
    import tensorboard

    assert lmdb
    assert tensorboard
    revisage("prepare", PHOTO, ROOT / "tests" / "data" / "astronaut.jpg", "-o", "prepared")


def export() -> None:
    torch()
    revisage("export", "model.safetensors", "-o", "model.onnx")
    revisage("restore", PHOTO, "--model", "model.onnx", "-o", "again.png")


def serve() -> None:
    import time
    import urllib.request

    command = [sys.executable, "-m", "revisage", "serve", "--port", "8765", "--jobs", "jobs"]
    server = subprocess.Popen(command)
    try:
        for _ in range(120):
            time.sleep(1)
            assert server.poll() is None, "the server stopped"
            try:
                with urllib.request.urlopen("http://127.0.0.1:8765/healthz", timeout=5) as answer:
                    assert answer.status == 200
                    break
            except OSError:
                continue
        else:
            raise TimeoutError("the server does not answer")
        with urllib.request.urlopen("http://127.0.0.1:8765/", timeout=30) as page:
            assert b"gradio" in page.read()
        client = [sys.executable, ROOT / "examples" / "http_client.py", PHOTO, "restored.jpg", "http://127.0.0.1:8765"]
        subprocess.run(client, check=True)
        assert Path("restored.jpg").stat().st_size > 5000
    finally:
        server.terminate()
        server.wait(60)


def scale() -> None:
    Path("photos").mkdir()
    Path("photos/photo.jpg").write_bytes(PHOTO.read_bytes())
    revisage("restore", "photos", "-o", "out", "--engine", "ray")
    assert Path("out/photo.jpg").exists()


def spandrel() -> None:
    import spandrel as library

    assert library.MAIN_REGISTRY
    torch()


def installed() -> set[str]:
    from importlib.metadata import distributions

    return {distribution.metadata["Name"] for distribution in distributions()}


if __name__ == "__main__":
    globals()[sys.argv[1]]()
