"""The restorers of a server behind a bounded queue: requests, the page and jobs share them."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from threading import Event, Lock
from typing import TYPE_CHECKING, Any, Generic, TypeVar, Unpack

import numpy as np
from numpy.typing import NDArray

from revisage.errors import CancelledError, InputError, RevisageError, UnknownModelError, near_or_known
from revisage.loading import load
from revisage.models.registry import MODELS
from revisage.process import is_crowded
from revisage.restore.controls import RestoreOptions
from revisage.restore.enhance import RestoreNetwork
from revisage.restore.inputs import as_image
from revisage.restore.pipeline import Restorer
from revisage.serve.batching import MicroBatcher
from revisage.serve.settings import Settings
from revisage.types import Face, Image, Restoration

if TYPE_CHECKING:
    import PIL.Image

Result = TypeVar("Result")


class BusyError(RevisageError):
    """The queue is full; ``seconds`` is when to try again."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many images are waiting; try again in {seconds} s")
        self.seconds = seconds


class TooSlowError(RevisageError):
    """An image took longer than the server allows."""

    def __init__(self) -> None:
        super().__init__("the image took longer than this server allows; send a smaller one, or make it a job")


class TooManyFacesError(InputError):
    """An image has more faces than the server allows."""


@dataclass(frozen=True)
class ModelInfo:
    """A restorer that a server offers: its name, size of aligned faces, device, and what the registry says of it."""

    name: str
    size: int
    device: str
    description: str
    license: str
    is_default: bool


@dataclass(frozen=True, eq=False)
class Task(Generic[Result]):
    """Work that was accepted.

    Attributes:
        deadline: of ``time.monotonic``.
        future: its result.
    """

    deadline: float
    future: Future[Result] = field(default_factory=Future[Any])
    _stopped: Event = field(default_factory=Event)

    def cancel(self) -> None:
        """Drop the work if it waits, else stop it before its next step."""
        self._stopped.set()
        self.future.cancel()

    def check(self) -> None:
        """Raise CancelledError or TooSlowError if the work is to end."""
        if self._stopped.is_set():
            raise CancelledError("the request was cancelled")
        if time.monotonic() > self.deadline:
            raise TooSlowError

    @contextmanager
    def as_current(self) -> Generator[None]:
        """Let restorations within end when the work is to end; they raise what :meth:`check` raises."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)


_current: ContextVar[Task[Any] | None] = ContextVar("_current", default=None)


def check_task() -> None:
    """End the current task, if it is to end; called between the steps of a restoration."""
    if task := _current.get():
        task.check()


class Engine:
    """Restores images of many callers at the same time, within limits.

    ``restore`` and ``detect`` block; ``restore_async`` and ``detect_async`` are for event loops. All of them may be
    called from any number of threads.

    Args:
        settings: models, workers, queue and limits.
        restorers: name -> restorer, the first is the default; None loads those of ``settings``.

    Raises:
        WeightsError, DeviceError: a model cannot be loaded, see ``revisage.load``.
    """

    def __init__(self, settings: Settings, restorers: Mapping[str, Restorer] | None = None) -> None:
        self.settings = settings
        if restorers is None:
            how: dict[str, Any] = settings.model_dump(include={"device", "dtype", "offline"})
            restorers = {name: load(name, **how) for name in settings.models}
        self._batchers: list[MicroBatcher] = []
        self._restorers = {name: self._guard(restorer) for name, restorer in restorers.items()}
        self._pool = ThreadPoolExecutor(settings.worker_count, thread_name_prefix="restore")
        self._lock = Lock()
        self._pending = 0
        self._mean_seconds = 1.0
        self._is_closed = False

    @property
    def is_ready(self) -> bool:
        """Whether work is accepted."""
        return not self._is_closed

    @property
    def pending(self) -> int:
        """Images that wait or are in progress."""
        return self._pending

    def models(self) -> list[ModelInfo]:
        """The restorers that requests can choose, the default first."""
        return [self._describe(name, restorer) for name, restorer in self._restorers.items()]

    def restorer(self, model: str = "") -> Restorer:
        """A restorer by name; "" for the default.

        Raises:
            UnknownModelError: this server does not offer it.
        """
        name = model or next(iter(self._restorers))
        if name not in self._restorers:
            raise UnknownModelError(f"no model {name!r} here; {near_or_known(name, self._restorers)}")
        return self._restorers[name]

    def restore(
        self,
        image: Image | PIL.Image.Image,
        *,
        model: str = "",
        faces: Sequence[Face] | None = None,
        profile: bytes | None = None,
        **controls: Unpack[RestoreOptions],
    ) -> Restoration:
        """Restore an image; arguments as for a ``Restorer`` call.

        Raises:
            BusyError: the queue is full.
            TooSlowError: it took too long.
            TooManyFacesError: it has more faces than allowed.
            InputError, WeightsError: as a restorer raises them.
        """
        return self.submit(lambda one: one(image, faces=faces, profile=profile, **controls), model).future.result()

    async def restore_async(
        self,
        image: Image | PIL.Image.Image,
        *,
        model: str = "",
        faces: Sequence[Face] | None = None,
        profile: bytes | None = None,
        **controls: Unpack[RestoreOptions],
    ) -> Restoration:
        """Restore an image as ``restore`` does; cancelling it cancels the work."""
        return await self.run(lambda one: one(image, faces=faces, profile=profile, **controls), model)

    def detect(self, image: Image | PIL.Image.Image) -> list[Face]:
        """Detect faces, in the order of their numbers. Raises as ``restore`` does."""
        return self.submit(lambda one: one.detect(as_image(image))).future.result()

    async def detect_async(self, image: Image | PIL.Image.Image) -> list[Face]:
        """Detect faces as ``detect`` does; cancelling it cancels the work."""
        return await self.run(lambda one: one.detect(as_image(image)))

    async def run(self, work: Callable[[Restorer], Result], model: str = "") -> Result:
        """Run work in a thread; cancelling it cancels the work. Raises as ``submit`` and the work do."""
        task = self.submit(work, model)
        try:
            return await asyncio.wrap_future(task.future)
        except asyncio.CancelledError:
            task.cancel()
            raise

    def submit(self, work: Callable[[Restorer], Result], model: str = "") -> Task[Result]:
        """Put work into the queue.

        Args:
            work: called in a thread with a restorer that ends the work when its task is cancelled or too slow.
            model: name; "" for the default.

        Raises:
            BusyError: the queue is full.
            UnknownModelError: this server does not offer the model.
        """
        restorer = self.restorer(model)
        with self._lock:
            if self._is_closed or self._pending >= self.settings.worker_count + self.settings.queue:
                raise BusyError(self.retry_after())
            self._pending += 1
        task = Task[Result](time.monotonic() + self.settings.max_seconds)
        task.future.add_done_callback(self._settle)
        self._pool.submit(self._run, task, work, restorer)
        return task

    def retry_after(self) -> int:
        """Seconds until there is probably room again."""
        return max(math.ceil(self._pending * self._mean_seconds / self.settings.worker_count), 1)

    def close(self) -> None:
        """Accept no more work, finish what was accepted, and end the threads."""
        self._is_closed = True
        self._pool.shutdown()
        for batcher in self._batchers:
            batcher.close()

    def _run(self, task: Task[Result], work: Callable[[Restorer], Result], restorer: Restorer) -> None:
        if not task.future.set_running_or_notify_cancel():
            return
        start = time.monotonic()
        is_crowded.set(min(self._pending, self.settings.worker_count) > 1)
        try:
            with task.as_current():
                task.check()
                result = work(restorer)
        except BaseException as error:
            task.future.set_exception(error)
        else:
            task.future.set_result(result)
        finally:
            self._mean_seconds += 0.1 * (time.monotonic() - start - self._mean_seconds)

    def _settle(self, future: Future[Any]) -> None:  # noqa: ARG002
        with self._lock:
            self._pending -= 1

    def _guard(self, restorer: Restorer) -> Restorer:
        """The restorer with limits, and with a network that requests share."""
        network: RestoreNetwork = restorer.network
        on_cpu = restorer.device is None or restorer.device.kind == "cpu"
        batch = self.settings.batch or (1 if on_cpu else 8)
        if batch > 1:
            network = MicroBatcher(network, batch)
            self._batchers.append(network)

        def detect(image: Image) -> list[Face]:
            check_task()
            faces = restorer.detect(image)
            if len(faces) > self.settings.max_faces:
                told = f"{len(faces)} faces are more than the limit of {self.settings.max_faces}"
                raise TooManyFacesError(told)
            return faces

        def restore_faces(crops: NDArray[np.float32]) -> NDArray[np.float32]:
            check_task()
            return network(crops)

        return replace(restorer, detect=detect, network=restore_faces, batch=batch)

    def _describe(self, name: str, restorer: Restorer) -> ModelInfo:
        spec = MODELS.get(name)
        device = "cpu" if restorer.device is None else restorer.device.device
        told = ("", "not known") if spec is None else (spec.description, spec.license.weights)
        return ModelInfo(name, restorer.size, device, *told, is_default=name == next(iter(self._restorers)))
