"""Hand the sources of a run to a pool of Ray actors, and keep the job store in the process that calls."""

from __future__ import annotations

import logging
import os
import pickle
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from platformdirs import user_state_path

from revisage.batch.options import Options
from revisage.batch.restore import Progress, remove_leftovers, run_engine
from revisage.batch.steps import InProgress, RestoreVideo, Settle
from revisage.errors import InputError, OutputError, RevisageError
from revisage.jobs.buckets import Address, Objects, collect_objects, parse_location
from revisage.jobs.collector import Kind, Sources, collect
from revisage.jobs.outcome import Outcome
from revisage.jobs.store import FOLDER, NO_FILE
from revisage.loading import load
from revisage.restore.pipeline import Restorer
from revisage.scale.worker import Report, Stop, Worker

WINDOW = 10_000
"""Sources that are handed to the actors at once; the pool starts anew for each window."""
LOST = "every worker that took it was lost (out of memory, perhaps); `revisage restore` on it alone says more"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The actors of a run.

    Attributes:
        actors: their number; None: as many as the cluster has room for.
        cpus: processors of each; on a CPU its network runs in as many threads.
        gpus: GPUs of each, or parts of one.
        batch: photos that an actor takes at a time. After a lost actor these are looked through again.
        retries: how often a batch is tried again after its actor was lost.
    """

    actors: int | None = None
    cpus: int = 2
    gpus: float = 0
    batch: int = 8
    retries: int = 1


def ray_restore(
    paths: str | Path | Sequence[str | Path],
    output: str | Path,
    model: str | Path = "embedded",
    *,
    pool: Pool | None = None,
    networks: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Generator[Outcome]:
    """Restore the images of folders or buckets on a Ray cluster; the same call resumes.

    The cluster is that of ``ray.init`` if it was called, else of ``$RAY_ADDRESS``, else one on this machine.

    Args:
        paths: files, folders and patterns, or URLs of such in buckets.
        output: folder of the results, or its URL.
        model: as for ``revisage.load``.
        pool: the actors.
        networks: further arguments of ``revisage.load``: device, background, ...
        progress: as for ``batch.restore_files``.
        **options: of ``batch.Options``: controls, suffix, format, overwrite, ...

    Yields:
        One outcome a source, in the order in which they are finished.

    Raises:
        InputError: nothing to restore, a bucket that cannot be reached, or Ray is missing.
        OutputError: the disk is full, the connection to a bucket is lost, or another run is at work in the output
            folder. Finished results stay, and the same call resumes.
    """
    inputs = [paths] if isinstance(paths, str | Path) else paths
    made_with = ", ".join(f"{name} {value}" for name, value in (networks or {}).items())
    given: dict[str, Any] = {"resume": True, "made_with": made_with, **options}
    settled = Options(output=parse_location(output), **given)
    sources = collect_sources(inputs, settled.output)
    make = partial(load, model, **(networks or {}))
    return ray_restore_files(make, str(model), sources, settled, progress=progress, pool=pool)


def collect_sources(paths: Sequence[str | Path], output: Path, kinds: Sequence[Kind] = (Kind.IMAGE,)) -> Sources:
    """Find the files that paths, or the objects that URLs stand for; see ``collect`` and ``collect_objects``.

    Raises:
        InputError: nothing is there; or paths and URLs are mixed.
    """
    places = [parse_location(path) for path in paths]
    if not any(isinstance(place, Address) for place in places):
        return collect(
            [str(place) for place in places], kinds, leave_out=None if isinstance(output, Address) else output
        )
    if not all(isinstance(place, Address) for place in places):
        raise InputError("files and objects in buckets cannot be restored in one run; call it twice")
    return collect_objects(places, leave_out=output if isinstance(output, Address) else None)


def ray_restore_files(
    make: Callable[[], Restorer],
    model: str,
    sources: Sources,
    options: Options,
    *,
    restore_video: RestoreVideo | None = None,
    progress: Progress | None = None,
    pool: Pool | None = None,
) -> Generator[Outcome]:
    """``batch.restore_files`` on a Ray cluster.

    Args:
        make: makes the restorer of each actor; can be pickled.
        model: name or file of the model.
        sources: what ``collect_sources`` returns.
        options: how, and where to; controls resolved.
        restore_video: restores a video; can be pickled.
        progress: as for ``batch.restore_files``.
        pool: the actors.
    """
    options = _check(options, isinstance(sources, Objects))
    local = not (isinstance(sources, Objects) and isinstance(options.output, Address))
    worker = (make, options, Path.cwd() if local else None, restore_video)

    def engine(items: Iterable[InProgress | Outcome], settle: Settle) -> Generator[Outcome]:
        folders: set[Path] = set()

        def note(item: InProgress | Outcome) -> InProgress | Outcome:
            if isinstance(item, InProgress) and not isinstance(item.job.target, Address):
                folders.add(Path.cwd() / item.job.target.parent)
            return item

        with _cluster(), _plainly():
            yield from _restore(map(note, items), settle, partial(_map, worker, pool or Pool()))
        remove_leftovers(folders, options)  # of lost actors

    return run_engine(engine, model, sources, options, progress)


def _check(options: Options, from_bucket: bool) -> Options:
    """Options that hold for buckets, with a place for the job store.

    Raises:
        InputError: an option is for files.
    """
    into_bucket = isinstance(options.output, Address)
    if into_bucket and options.save_faces:
        raise InputError("single faces are not written to buckets; leave out --save-faces")
    if options.preserve_mtime and (into_bucket or from_bucket):
        raise InputError("objects in buckets keep no modification time; leave out --preserve-mtime")
    return replace(options, store=store_folder(options.output) / FOLDER) if into_bucket else options


def store_folder(output: Path) -> Path:
    """The folder on this machine that holds the job store of results in a bucket; ``revisage status`` takes it."""
    return user_state_path("revisage", appauthor=False) / "jobs" / sha256(str(output).encode()).hexdigest()[:16]


Map = Callable[[Sequence[InProgress], int], Iterator[Report | Stop]]
"""Restores sources in batches of a size; reports come in any order."""


def _restore(items: Iterable[InProgress | Outcome], settle: Settle, map_batches: Map) -> Generator[Outcome]:
    """Restore in windows; what comes back from no actor is tried once more by itself, then given up."""
    rest = iter(items)
    while True:
        waiting: dict[str, InProgress] = {}
        for item in rest:
            if isinstance(item, Outcome):
                yield item
                continue
            waiting[item.job.key] = item
            if len(waiting) == WINDOW:
                break
        if not waiting:
            return
        for size in (0, 1):  # 0: of the pool
            for report in map_batches([*waiting.values()], size) if waiting else ():
                if isinstance(report, Stop):
                    raise OutputError(report.reason)
                if item := waiting.pop(report.key, None):
                    yield settle(replace(item, seconds=report.seconds), report.outcome, report.written)
        for item in waiting.values():
            yield settle(item, Outcome(item.job.source.path, error=f"{item.job.source.path}: {LOST}"), NO_FILE)


def _map(worker: tuple[Any, ...], pool: Pool, items: Sequence[InProgress], size: int) -> Iterator[Report | Stop]:
    """Restore sources by ``map_batches`` over an actor pool."""
    import ray  # pyright: ignore[reportMissingImports]
    import ray.data  # pyright: ignore[reportMissingImports]

    size = size or pool.batch
    batches = -(-len(items) // size)
    free = ray.cluster_resources()
    room = min(free.get("CPU", 1) // pool.cpus, *([free.get("GPU", 0) // pool.gpus] if pool.gpus else []), batches)
    rows = ray.data.from_items([{"item": pickle.dumps(item)} for item in items], override_num_blocks=batches)
    with warnings.catch_warnings():
        # Without a limit on retries, which has no other way in, a photo that kills its actor would kill one for ever.
        warnings.filterwarnings("ignore", message=".*ray_remote_args")
        mapped = rows.map_batches(
            Worker,
            fn_constructor_args=worker,
            batch_size=size,
            compute=ray.data.ActorPoolStrategy(size=pool.actors or max(int(room), 1)),
            num_cpus=pool.cpus,
            num_gpus=pool.gpus,
            max_task_retries=pool.retries,
        )
    for batch in mapped.iter_batches(batch_size=None, prefetch_batches=0):
        for report in batch["report"]:
            yield pickle.loads(report)


@contextmanager
def _cluster() -> Generator[None]:
    """Connect to a cluster; one that was started here is stopped afterwards. Nothing is reported to Ray's makers.

    Raises:
        InputError: Ray is not installed, or its cluster cannot be reached.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")  # on a busy machine Ray's own 30 are not enough
    try:
        import ray  # pyright: ignore[reportMissingImports]
        import ray.data  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise InputError("--engine ray needs Ray: pip install 'revisage[scale]'") from error
    started, address = not ray.is_initialized(), os.environ.get("RAY_ADDRESS", "local")
    if started:
        try:
            ray.init(
                address,
                include_dashboard=False if address == "local" else None,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        except Exception as error:  # a bare one, among others
            raise InputError(f"no Ray cluster at {address}: {' '.join(str(error).split())}") from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.max_errored_blocks = -1  # their sources are tried by themselves
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        if started:
            ray.shutdown()


@contextmanager
def _plainly() -> Generator[None]:
    """Errors from inside actors as they were raised there, in one line; anything else of Ray as an OutputError."""
    try:
        yield
    except RevisageError:
        raise
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(inner := getattr(cause, "cause", cause), RevisageError):
                raise inner from None
            cause = cause.__cause__
        raise OutputError(f"the run on Ray has failed: {next(iter(str(error).splitlines()), '')}") from error
