"""Memory and speed of a folder run, with a restorer that only enlarges: folder_memory.py [IMAGES] (on Linux)."""

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np

import revisage
from revisage.batch import Options, collect, restore_files


def enlarged(photos, *_, **__):
    return [revisage.Restoration(photo.repeat(2, 1), []) for photo in photos]


def main(images: int = 10_000) -> None:
    with tempfile.TemporaryDirectory() as folder:
        album, options = Path(folder, "album"), Options(output=Path(folder, "restored"), resume=True)
        revisage.write_image(album / "0.jpg", np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8))
        for number in range(1, images):
            shutil.copyfile(album / "0.jpg", album / f"{number}.jpg")
        restorer = SimpleNamespace(name="enlarging", restore=enlarged, batch=1, has_accelerator=False)
        for what in "restored", "left out, being up to date":
            start, curve = time.perf_counter(), []
            for number, outcome in enumerate(restore_files(restorer, collect([album]), options), 1):
                assert not outcome.error
                if number % (images // 10) == 0:
                    pages = int(Path("/proc/self/statm").read_text().split()[1])
                    curve.append(f"{pages * os.sysconf('SC_PAGE_SIZE') / 2**20:.1f}")
            print(f"{images / (time.perf_counter() - start):.0f} a second {what}; MiB: {' '.join(curve)}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
