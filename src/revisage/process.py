"""Settings of the whole process that make networks on a CPU faster. Programs make them, the library never on its own.

Memory: glibc returns large blocks to the kernel as soon as they are free, and the kernel clears them again for the
next layer: up to half of the time of a network in torch. Two settings keep them.

There are two exceptions. Opening a model needs its weights several times for a moment, and all of that would be kept.
Blocks of whole photos are too large to be cleared often, and would leave gaps that nothing else fills: they go back,
unless torch computes on the CPU, whose layers may be as large.

Waiting threads: OpenMP threads spin for milliseconds while they wait. As soon as another program wants a core, they
hold it up, and one photo takes three times as long. A short spin costs nothing on a quiet machine.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from revisage.errors import InputError, suggest_keywords

SPIN_COUNT = 3000
"""Turns of a waiting OpenMP thread before it sleeps; libgomp's own default is 300,000."""
_THREADS, _PILLOW_BLOCKS = "OMP_NUM_THREADS", "PILLOW_BLOCK_SIZE"
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -3, -4, -8
_MAPPED_FROM, _MAX_MAPPED = 2**18, 2**16
"""Bytes from which on blocks lie apart while a model is opened, and how many at most (glibc's own default)."""
_LARGE = 2**25
"""Bytes from which on blocks go back when they are free; glibc allows no more."""
_settings = {"keep": False, "keep_large": False}
"""The settings made for this process; the C library does not tell them."""
is_crowded: ContextVar[bool] = ContextVar("is_crowded", default=False)
"""Whether other images are in progress: networks of onnxruntime then run in the thread that calls them alone."""


@suggest_keywords({"numthreads": "threads", "workers": "threads", "cores": "threads"})
def tune_process(threads: int | None = None) -> None:
    """Keep freed memory, let waiting threads sleep soon, and set the number of threads of networks on a CPU.

    Call it before torch is imported: the spin is read when its OpenMP library is loaded. Settings of the environment
    (``GOMP_SPINCOUNT``, ``OMP_WAIT_POLICY``, ``OMP_NUM_THREADS``) are kept unless ``threads`` is given.

    Args:
        threads: of each network; None: one per core that this process may use.

    Raises:
        InputError: ``threads`` is no whole number from 1.
    """
    if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InputError(f"threads is a whole number from 1, not {threads!r}")
    shorten_spin()
    if threads is not None:
        os.environ[_THREADS] = str(threads)
        if torch := sys.modules.get("torch"):
            torch.set_num_threads(threads)
    keep_freed_memory()


def shorten_spin() -> None:
    """Let waiting OpenMP threads sleep soon, unless the environment says something else."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", str(SPIN_COUNT))


def keep_freed_memory() -> bool:
    """Let glibc keep what is freed, for reuse. True if this system's C library knows how (Linux with glibc)."""
    glibc = _glibc()
    if glibc is None:
        return False
    os.environ.setdefault(_PILLOW_BLOCKS, "256m")  # so that large images of Pillow go back, too
    glibc.mallopt(_M_ARENA_MAX, 1)  # or each thread would keep what it freed for itself
    _settings["keep"] = bool(glibc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))
    _restore_settings(glibc)
    return _settings["keep"]


def keep_large_blocks() -> None:
    """Keep blocks of any size, for networks of torch on the CPU, if this process keeps what is freed at all."""
    _settings["keep_large"] = True
    if glibc := _glibc():
        _restore_settings(glibc)


def _restore_settings(glibc: Any) -> None:
    if _settings["keep"]:
        glibc.mallopt(_M_MMAP_THRESHOLD, _LARGE)
        glibc.mallopt(_M_MMAP_MAX, 0 if _settings["keep_large"] else _MAX_MAPPED)


@contextmanager
def opening_model() -> Generator[None]:
    """Within it memory that is freed is not kept; at its end what is free goes back to the system."""
    glibc = _glibc()
    if glibc is None:
        yield
        return
    if _settings["keep"]:
        glibc.mallopt(_M_MMAP_THRESHOLD, _MAPPED_FROM)
        glibc.mallopt(_M_MMAP_MAX, _MAX_MAPPED)
    try:
        yield
    finally:
        _restore_settings(glibc)
        glibc.malloc_trim(0)


def release_free_memory() -> None:
    """Give all memory that is free back to the system."""
    if glibc := _glibc():
        glibc.malloc_trim(0)


def _glibc() -> Any:
    """The C library if it is glibc, else None."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        library = ctypes.CDLL("libc.so.6")
        return library if library.mallopt and library.malloc_trim else None
    except (OSError, AttributeError):  # musl
        return None


def thread_count() -> int:
    """Threads for a network on the CPU: ``OMP_NUM_THREADS``, else cores that this process may use; 0: unknown."""
    asked = os.environ.get(_THREADS, "").partition(",")[0]
    if asked.isdecimal() and int(asked):
        return int(asked)
    if not sys.platform.startswith("linux"):
        return 0
    logical = len(os.sched_getaffinity(0))
    count = logical // 2 if _read("/sys/devices/system/cpu/smt/active") == "1" else logical
    quota, _, period = _read("/sys/fs/cgroup/cpu.max").partition(" ")  # of a container
    if quota.isdecimal() and period.isdecimal():
        count = min(count, -(-int(quota) // int(period)))
    return max(count, 1)


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
