"""The subjects of the bench, one a process: a restorer by one backend in one number format, or the plain formulation.

The functions here run in the child processes that ``measure`` starts. Nothing heavy is imported before the process is
tuned, as a program would do it; the plain formulation keeps the C library's own way with memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    import numpy as np
    from numpy.typing import NDArray

    from revisage.restore.enhance import RestoreNetwork
    from revisage.types import Face, Image

FACE = Path(__file__).parent / "face.jpg"
"""The head of NASA's portrait of Eileen Collins (public domain), 200 x 200."""
FACE_LANDMARKS = ((78.4, 98.4), (121.9, 101.6), (97.7, 125.2), (76.6, 138.9), (118.1, 142.0))
"""Its landmarks, as the embedded detector gives them."""
SIZE = 512
"""Side of aligned faces in the published networks."""
Backend = Literal["onnxruntime", "torch", "plain"]


@dataclass(frozen=True)
class Subject:
    """A restorer in a process of its own.

    Attributes:
        model: "embedded", or a weights file.
        backend: runtime; "plain" is the plain formulation in torch.
        dtype: number format.
    """

    model: str
    backend: Backend
    dtype: str = "float32"

    def __str__(self) -> str:
        return f"{Path(self.model).stem}, {self.backend} {self.dtype}"


@dataclass(frozen=True)
class Request:
    """One thing to do and to time.

    Attributes:
        what: "network" runs aligned faces, "photo" restores a photo step by step, "output" also returns the result.
        batch: faces at once ("network").
        threads: of the network; 0: the default.
        faces: in the photo, at most 12; the plain formulation restores the first of them only, see ``plain_faces``.
        pixels: (width, height) of the photo.
        scale: of the result.
        plain_faces: faces that the plain formulation restores; the time of one is taken for each of the others.
        processor: give processor seconds, which depend less on what else runs, instead of those of a clock.
    """

    what: Literal["network", "photo", "output"]
    batch: int = 1
    threads: int = 0
    faces: int = 12
    pixels: tuple[int, int] = (2000, 1333)
    scale: int = 2
    plain_faces: int = 2
    processor: bool = False


@dataclass
class Answer:
    """The answer to a request.

    Attributes:
        seconds: name of each step -> seconds.
        peak_mb: largest memory of the process so far.
        output: (1, 3, S, S) float32, of "output".
    """

    seconds: dict[str, float] = field(default_factory=dict[str, float])
    peak_mb: float = 0.0
    output: NDArray[np.float32] | None = None


def serve(connection: Connection, subject: Subject) -> None:
    """Answer requests until None comes: the main function of a child process. The first answer is that of loading."""
    start = time.perf_counter()
    try:
        respond = open_subject(subject)
        connection.send(Answer({"load": time.perf_counter() - start}, peak_memory()))
        while (request := connection.recv()) is not None:
            seconds, output = respond(request)
            connection.send(Answer(seconds, peak_memory(), output))
    except (EOFError, KeyboardInterrupt):
        return
    except Exception as error:  # told to the parent, which names what it leaves out
        connection.send(f"{type(error).__name__}: {error}")


def peak_memory() -> float:
    """Largest resident memory of this process in MB, 0 where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


def open_subject(subject: Subject) -> Callable[[Request], tuple[dict[str, float], Any]]:
    """Load a subject -> function that does what a request asks for and gives (seconds of each step, output)."""
    from revisage.process import shorten_spin, tune_process

    if subject.backend == "plain":
        shorten_spin()  # as for ours: on a busy machine it makes more of a difference than all the rest
        return _open_plain(subject)
    tune_process()
    import revisage
    from revisage.auxiliary import FirstOutput
    from revisage.models.backends import open_network
    from revisage.models.fetch import weight_file

    backend = subject.backend

    def network(threads: int) -> RestoreNetwork:
        path = weight_file(subject.model)
        return FirstOutput(open_network(path, "cpu", subject.dtype, backend=backend, threads=threads or None))

    by_torch = backend == "torch"
    other = by_torch and subject.model == "embedded"
    restorer = revisage.load(subject.model, device="cpu", dtype="float32" if other else subject.dtype)
    restorer = replace(restorer, network=network(0)) if other else restorer
    networks = {0: restorer.network}
    default = _torch_threads() if by_torch else 0

    def respond(request: Request) -> tuple[dict[str, float], Any]:
        if by_torch:
            import torch

            torch.set_num_threads(request.threads or default)
        elif request.threads not in networks:  # onnxruntime cannot change it
            networks[request.threads] = network(request.threads)
        if request.what == "photo":
            return _photo_steps(restorer, request), None
        return _run(networks[0 if by_torch else request.threads], request, restorer.size)

    return respond


def _torch_threads() -> int:
    import torch

    return torch.get_num_threads()


def _open_plain(subject: Subject) -> Callable[[Request], tuple[dict[str, float], Any]]:
    import torch

    from revisage.bench.plain import FORWARD, PlainPipeline
    from revisage.models.build import build

    network, header = build(Path(subject.model))
    pipeline: list[PlainPipeline] = []  # its other networks are built when a photo comes
    threads = torch.get_num_threads()

    def run(crops: NDArray[np.float32]) -> NDArray[np.float32]:
        return FORWARD[header.architecture](network.eval(), torch.from_numpy(crops)).numpy()

    def respond(request: Request) -> tuple[dict[str, float], Any]:
        torch.set_num_threads(request.threads or threads)
        with torch.no_grad():
            if request.what != "photo":
                return _run(run, request, header.size or SIZE)
            if not pipeline:
                pipeline.append(PlainPipeline.build(header.architecture, network.eval()))
            return _plain_photo_steps(pipeline[0], request, header.size or SIZE), None

    return respond


def _run(network: RestoreNetwork, request: Request, size: int) -> tuple[dict[str, float], Any]:
    crops = example_crops(request.batch, size)
    clock = _Clock(request)
    output = network(crops)
    clock.step("network")
    return clock.seconds, output if request.what == "output" else None


class _Clock:
    """Seconds of steps that follow each other."""

    def __init__(self, request: Request) -> None:
        self.seconds: dict[str, float] = {}
        self._now = time.process_time if request.processor else time.perf_counter
        self._last = self._now()

    def step(self, name: str, times: float = 1) -> None:
        now = self._now()
        self.seconds[name] = self.seconds.get(name, 0) + (now - self._last) * times
        self._last = now


def _photo_steps(restorer: Any, request: Request) -> dict[str, float]:
    from revisage.restore.controls import Controls

    image, faces = example_photo(request)
    controls = restorer.resolve(Controls(scale=request.scale))
    clock = _Clock(request)
    restorer.detect(image)
    clock.step("detect")
    jobs = restorer.prepare([image], controls, [faces])
    clock.step("align")
    jobs = restorer.enhance(jobs)
    clock.step("network")
    result = restorer.finish([image], jobs, controls)[0]
    clock.step("paste")
    _encode(result.image)
    clock.step("encode")
    return clock.seconds


def _plain_photo_steps(pipeline: Any, request: Request, size: int) -> dict[str, float]:
    from revisage.restore.align import similarity_from_landmarks

    image, faces = example_photo(request)
    matrices = [similarity_from_landmarks(face.landmarks, size) for face in faces]
    clock = _Clock(request)
    pipeline.detect(image)
    clock.step("detect")
    background = pipeline.upscale(image, request.scale)
    clock.step("paste")
    done = min(request.plain_faces, len(faces))
    for matrix in matrices[:done]:
        restored = pipeline.restore(image, matrix, size)
        clock.step("network", len(faces) / done)
        background = pipeline.paste(background, restored, matrix, request.scale)
        clock.step("paste", len(faces) / done)
    _encode(background.astype("uint8"))
    clock.step("encode")
    return clock.seconds


def _encode(image: Image) -> None:
    import io

    from revisage.images import write_image

    write_image(io.BytesIO(), image, format="jpg")


def example_crops(batch: int, size: int) -> NDArray[np.float32]:
    """(batch, 3, size, size) the same face, in [-1, 1]."""
    import cv2
    import numpy as np

    from revisage.images import read_image

    face = cv2.resize(read_image(FACE), (size, size), interpolation=cv2.INTER_CUBIC)
    crop = np.ascontiguousarray(face.transpose(2, 0, 1)[None], np.float32) / 127.5 - 1
    return np.repeat(crop, batch, axis=0)


def example_photo(request: Request) -> tuple[Image, list[Face]]:
    """A photo of smooth noise with the same face in rows of four: (H, W, 3) uint8, and its faces."""
    import cv2
    import numpy as np

    from revisage.images import read_image
    from revisage.types import Array, Face

    width, height = request.pixels
    rng = np.random.default_rng(0)
    coarse = rng.integers(40, 200, (8, 12, 3), np.uint8)
    image: Array = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    columns, rows = min(request.faces, 4), -(-request.faces // 4)
    side = min(width // columns, height // rows) * 9 // 10
    head, points = cv2.resize(read_image(FACE), (side, side)), np.array(FACE_LANDMARKS, np.float32) * side / 200
    faces: list[Face] = []
    for index in range(request.faces):
        x = (2 * (index % 4) + 1) * width // (2 * columns) - side // 2
        y = (2 * (index // 4) + 1) * height // (2 * rows) - side // 2
        image[y : y + side, x : x + side] = head
        box = np.array([x + side * 0.265, y + side * 0.25, x + side * 0.735, y + side * 0.89], np.float32)
        faces.append(Face(box, np.asarray(points + np.array([x, y]), np.float32), 1.0))
    return image, faces
