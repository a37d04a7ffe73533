"""ONNX files by onnxruntime: networks of this project, and face restorers that others exported."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from threading import Lock
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from revisage.errors import CheckpointError, DeviceError
from revisage.models.checkpoint import METADATA_KEY, Header, stored_dtype
from revisage.models.describe_file import FOREIGN
from revisage.models.device import PROVIDERS, DeviceConfig
from revisage.models.onnx_file import read_onnx
from revisage.process import is_crowded, opening_model, thread_count
from revisage.types import Array

SIZES = (256, 512, 1024, 2048)
"""Sizes of aligned faces for restorers that others exported."""
_FORMATS = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}
_MAX_COPIED = 100_000_000
"""Bytes of the largest file that is opened a second time, for one thread."""
_IDENTITY = bytes.fromhex(
    "08081200 3a36 0a10 0a0178 120179 22084964656e74697479 1200 5a0f 0a0178 120a0a0808 0112040a020801"
    "620f 0a0179 120a0a0808 0112040a020801 42040a001012"
)
"""An ONNX model: y = Identity(x), one float32 each."""
_MAX_FOLDED = 2**30
"""Bytes of the largest tensor that is computed in advance: a small file must not fill the memory."""


@dataclass(frozen=True)
class Conventions:
    """How a restorer that others exported is used; see ``open_network``."""

    role: str = "restorer"
    input_range: tuple[float, float] | None = None
    channels: Literal["rgb", "bgr"] | None = None
    fidelity: float = 0.5


@dataclass(frozen=True)
class OnnxSignature:
    """Inputs and outputs of a graph, as far as the project uses them.

    Attributes:
        image: name of the first input.
        dtype: of the first input.
        batch: the fixed number of images; None if any.
        size: (height, width) of the images; None where any.
        scalar: name of a second input, which holds one number a call or a face; None if there is none.
        scalar_shape: of that input, -1 where any.
        scalar_dtype: of that input.
        outputs: names.
        output_shapes: their shapes, None where any.
    """

    image: str
    dtype: type
    batch: int | None
    size: tuple[int | None, int | None]
    scalar: str | None
    scalar_shape: tuple[int, ...]
    scalar_dtype: type
    outputs: tuple[str, ...]
    output_shapes: tuple[tuple[int | None, ...], ...]


@dataclass(frozen=True, eq=False)
class OnnxNetwork:
    """A network in an onnxruntime session; see ``backends.Network``."""

    path: Path
    threads: int | None
    header: Header
    device: DeviceConfig
    signature: OnnxSignature
    conventions: Conventions
    outputs: tuple[str, ...]
    session: Any
    lock: Lock | None

    def __repr__(self) -> str:
        return f"OnnxNetwork({self.path.name!r}, {self.header.architecture}, {self.device.device})"

    def __reduce__(self) -> tuple[Any, ...]:
        return open_onnx, (self.path, self.device, self.conventions, self.threads)

    @cached_property
    def _single(self) -> Any:
        """A session of one thread: several at once use the cores better than several of all threads each."""
        try:
            is_small = self.path.stat().st_size <= _MAX_COPIED
        except OSError:  # the file was temporary
            return self.session
        return _session(self.path, self.device, 1)[0] if is_small else self.session

    def __call__(self, images: NDArray[np.float32], *more: Array) -> tuple[NDArray[np.float32], ...]:
        """Run the network on float32 images; ``more`` may hold the fidelity of a restorer that has such an input."""
        ours = self.header.architecture != FOREIGN
        inputs = images if ours else _to_foreign(images, self.conventions)
        fidelity = float(more[0]) if more else self.conventions.fidelity
        size = self.signature.batch
        if size is None or size == len(inputs):
            outputs = self._run(inputs, fidelity)
        else:
            outputs = self._in_parts(inputs, size, fidelity)
        outputs = [np.asarray(output, np.float32) for output in outputs]
        return tuple(outputs if ours else _from_foreign(outputs, self.conventions))

    def _in_parts(self, images: Array, size: int, fidelity: float) -> list[Array]:
        """Run a graph whose batch is fixed; the last part is filled up with its last image."""
        parts: list[list[Array]] = []
        for start in range(0, len(images), size):
            part = images[start : start + size]
            filled = np.concatenate([part, *[part[-1:]] * (size - len(part))])
            parts.append([output[: len(part)] for output in self._run(filled, fidelity)])
        return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]

    def _run(self, images: Array, fidelity: float) -> list[Array]:
        signature = self.signature
        feeds: dict[str, Array] = {signature.image: np.ascontiguousarray(images, signature.dtype)}
        if signature.scalar:
            shape = tuple(len(images) if length < 0 else length for length in signature.scalar_shape)
            feeds[signature.scalar] = np.full(shape, fidelity, signature.scalar_dtype)
        try:
            with self.lock or nullcontext():
                session = self._single if is_crowded.get() and self.device.kind == "cpu" else self.session
                return session.run(list(self.outputs), feeds)
        except Exception as error:  # onnxruntime's errors have no common base
            message = _message(error)
            if re.search(r"allocate memory|bad_alloc|out of memory|bad allocation", message, re.IGNORECASE):
                raise MemoryError(message) from error
            raise CheckpointError(f"the network fails on images {images.shape}: {message}") from error


def open_onnx(path: Path, device: DeviceConfig, conventions: Conventions, threads: int | None = None) -> OnnxNetwork:
    """Open an ``.onnx`` file; see ``backends.open_network``."""
    file = read_onnx(path)
    header = Header.from_json(file.metadata.get(METADATA_KEY, "{}"), str(path))
    session, device = _session(path, device, threads)
    signature = describe_session(session, str(path))
    if (dtype := stored_dtype(header)) != "float32":
        device = replace(device, dtype=dtype, reason=device.reason.replace("float32", f"{dtype}, as the file is"))
    if header is None:
        size, outputs = check_role(signature, conventions.role, str(path))
        header = Header(FOREIGN, {}, size)
    else:
        outputs = signature.outputs
    lock = None if device.kind in ("cpu", "cuda") else Lock()  # the others run one call at a time
    return OnnxNetwork(path, threads, header, device, signature, conventions, outputs, session, lock)


def describe_session(session: Any, source: str) -> OnnxSignature:
    """The inputs and outputs of a session.

    CheckpointError: the first input takes no images, or the others are more than one number.
    """
    image, *others = session.get_inputs() or [None]
    told = "; ".join(f"{one.name} {one.shape}" for one in session.get_inputs()) or "none"
    if image is None or len(image.shape) != 4 or image.type not in _FORMATS or _fixed(image.shape[1]) not in (3, None):
        raise CheckpointError(f"{source}: the first input must be RGB images (N, 3, H, W); its inputs are {told}")
    scalar = others[0] if others else None
    if len(others) > 1 or (scalar and not _is_scalar(scalar)):
        raise CheckpointError(f"{source}: beside images only one number is given to a network; its inputs are {told}")
    batch, _, height, width = (_fixed(length) for length in image.shape)
    return OnnxSignature(
        image.name,
        _FORMATS[image.type],
        batch,
        (height, width),
        scalar.name if scalar else None,
        tuple(_fixed(length) or -1 for length in scalar.shape) if scalar else (),
        _FORMATS[scalar.type] if scalar else np.float32,
        tuple(output.name for output in session.get_outputs()),
        tuple(tuple(_fixed(length) for length in output.shape) for output in session.get_outputs()),
    )


def check_role(signature: OnnxSignature, role: str, source: str) -> tuple[int | None, tuple[str, ...]]:
    """(size of aligned faces or None; names of the outputs to ask for) of a network that others exported.

    CheckpointError: its inputs or outputs do not fit the role.
    """
    if role == "restorer":
        return _restorer(signature, source)
    shapes = dict(zip(signature.outputs, signature.output_shapes, strict=True))
    if role == "upscaler":
        images = [name for name, shape in shapes.items() if len(shape) == 4 and shape[1] in (3, None)]
        if images:
            return None, (images[0],)
        raise CheckpointError(f"{source} is no upscaler: none of its outputs are images (N, 3, H, W)")
    if role == "detector":
        by_length = {shape[-1]: name for name, shape in shapes.items() if len(shape) == 3}
        if {4, 2, 10} <= set(by_length):
            return None, (by_length[4], by_length[2], by_length[10])
        raise CheckpointError(f"{source} is no RetinaFace: its outputs are not (N, A, 4), (N, A, 2) and (N, A, 10)")
    raise CheckpointError(f"{source} was not exported by revisage; only restorers, detectors and upscalers may be")


def _restorer(signature: OnnxSignature, source: str) -> tuple[int, tuple[str, ...]]:
    height, width = signature.size
    size = height or width or 512  # that of all published networks
    if (height or size) != (width or size) or size not in SIZES:
        shown = " x ".join(str(length or "any") for length in signature.size)
        sizes = ", ".join(map(str, SIZES))
        raise CheckpointError(f"{source} takes images of {shown}; restorers take squares of {sizes} pixels")
    wanted = (None, 3, size, size)
    for name, shape in zip(signature.outputs, signature.output_shapes, strict=True):
        if len(shape) == 4 and all(a in (b, None) for a, b in zip(shape[1:], wanted[1:], strict=True)):
            return size, (name,)
    told = "; ".join(f"{n} {s}" for n, s in zip(signature.outputs, signature.output_shapes, strict=True))
    raise CheckpointError(f"{source} is no restorer: no output is an image (N, 3, {size}, {size}); they are {told}")


def _fixed(length: int | str | None) -> int | None:
    """A dimension of a shape; None where it may be any."""
    return length if isinstance(length, int) and length > 0 else None


def _is_scalar(value: Any) -> bool:
    return value.type in _FORMATS and len(value.shape) <= 2 and all(_fixed(n) in (1, None) for n in value.shape)


_RETINAFACE_MEAN = np.array([104, 117, 123], np.float32)[:, None, None]
"""Of blue, green and red, which published RetinaFaces subtract."""


def _to_foreign(images: NDArray[np.float32], conventions: Conventions) -> NDArray[np.float32]:
    """From the project's conventions to those of a network that others exported."""
    if conventions.role == "detector":
        return images[:, ::-1] - _RETINAFACE_MEAN
    if conventions.channels == "bgr":
        images = images[:, ::-1]
    if conventions.role != "restorer" or conventions.input_range in (None, (-1, 1)):
        return images
    low, high = conventions.input_range or (-1, 1)
    return (images + 1) * np.float32((high - low) / 2) + np.float32(low)


def _from_foreign(outputs: Sequence[NDArray[np.float32]], conventions: Conventions) -> list[NDArray[np.float32]]:
    """Inverse of :func:`_to_foreign`, for outputs."""
    if conventions.role == "detector":
        return list(outputs)
    images = outputs[0]
    if conventions.role == "restorer" and conventions.input_range not in (None, (-1, 1)):
        low, high = conventions.input_range or (-1, 1)
        images = (images - np.float32(low)) * np.float32(2 / (high - low)) - 1
    return [images[:, ::-1] if conventions.channels == "bgr" else images]


def _session(path: Path, device: DeviceConfig, threads: int | None) -> tuple[Any, DeviceConfig]:
    """A session, and where it runs: on the CPU if the provider that "auto" chose cannot be loaded.

    Raises:
        CheckpointError: the file is no model that onnxruntime can run.
        DeviceError: the requested provider cannot be loaded.
    """
    import onnxruntime

    number = device.device.partition(":")[2]
    provider: Any = PROVIDERS[device.kind]
    if number:
        provider = (provider, {"device_id": number})
    providers = [provider] if device.kind == "cpu" else [provider, PROVIDERS["cpu"]]
    try:
        with opening_model():
            session = _open_prepared(path, threads) if device.kind == "cpu" else None
            session = session or onnxruntime.InferenceSession(str(path), _options(device.kind, threads), providers)
    except Exception as error:  # onnxruntime's errors have no common base
        raise CheckpointError(f"{path} is no model that onnxruntime can run: {_message(error)}") from error
    if session.get_providers()[0] != PROVIDERS[device.kind]:
        if "requested" in device.reason.partition(";")[0]:
            raise DeviceError(f"onnxruntime cannot load its {device.kind} provider; are its libraries installed?")
        reason = f"cpu: the {device.kind} provider of onnxruntime cannot be loaded; float32; by onnxruntime"
        device = replace(device, device="cpu", reason=reason)
    return session, device


def _open_prepared(path: Path, threads: int | None) -> Any:
    """A session of one of the package's own networks, prepared once for all; None for other files."""
    import onnxruntime

    from revisage.models.backends.prepared import Prepared

    prepared = Prepared.of(path)
    if prepared is None:
        return None
    if session := prepared.open(_options("cpu", threads)):
        return session
    options = _options("cpu", threads)
    try:
        with prepared.keep(options):
            return onnxruntime.InferenceSession(str(path), options, [PROVIDERS["cpu"]])
    except Exception:  # above all, the disk is full; without a form to keep the caller tells what else there is
        return None


def _options(kind: str, threads: int | None) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = thread_count() if threads is None else threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors are raised; what else it would print is for its developers
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("optimization.constant_folding_max_output_size_in_bytes", str(_MAX_FOLDED))
    options.enable_mem_pattern = False  # it keeps a second copy of the working memory, and DirectML cannot have it
    if kind == "cpu":
        _share_memory()
        options.add_session_config_entry("session.use_env_allocators", "1")
        options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
    return options


@cache
def _share_memory() -> None:
    """Let all networks on the CPU draw their working memory from one arena: they rarely run at the same time."""
    import onnxruntime

    kind: Any = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR
    memory = onnxruntime.OrtMemoryInfo("Cpu", kind, 0, onnxruntime.OrtMemType.DEFAULT)
    unlimited, as_requested, default = 0, 1, -1
    onnxruntime.create_and_register_allocator(
        memory, onnxruntime.OrtArenaCfg(unlimited, as_requested, default, default)
    )


def shrink_shared_memory() -> None:
    """Free what the networks on the CPU share and do not use just now; the next call of each takes it anew."""
    import onnxruntime

    options = onnxruntime.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    _identity().run(None, {"x": np.zeros(1, np.float32)}, options)


@cache
def _identity() -> Any:
    """A session of the shared memory that computes nothing: memory is freed at the end of some call."""
    import onnxruntime

    _share_memory()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.use_env_allocators", "1")
    return onnxruntime.InferenceSession(_IDENTITY, options, [PROVIDERS["cpu"]])


def _message(error: Exception) -> str:
    """The message of an error of onnxruntime, without its codes and places in the source."""
    text = re.sub(r"\[ONNXRuntimeError\] : \d+ : \w+ : ", "", " ".join(str(error).split()))
    return re.sub(r"/\S*onnxruntime_src\S*|\S*\.(?:cc|h):\d+ ", "", text).strip()
