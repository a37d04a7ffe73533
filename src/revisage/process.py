"""Memory that the process keeps instead of giving it back after every layer.

glibc returns large blocks to the kernel as soon as they are free, and the kernel clears them again for the next layer:
up to half of the time of a network on a CPU. Two settings stop it. They concern the whole process, so only programs
(the command line, a training run) make them, never the library on its own.
"""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4


def keep_freed_memory() -> bool:
    """Let glibc keep what is freed, for reuse. True if this system's C library knows how (Linux with glibc)."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # musl
        return False
    return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, 2**31 - 1))
