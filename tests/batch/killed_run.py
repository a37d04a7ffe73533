"""Restore a folder, and be killed on the way: killed_run.py ALBUM OUTPUT MOMENT PHOTO.

Moments: ``writing`` with half of the bytes of PHOTO's result written, ``renaming`` before it gets its name, ``noting``
before the job store says that it is done.
"""

import os
import signal
import sys
from pathlib import Path

from plain_restorer import UNCHANGED

from revisage.batch import Options, collect, restore_files
from revisage.jobs.store import JobStore, Status

album, output, moment, photo = sys.argv[1:]
write, rename, put = Path.write_bytes, Path.replace, JobStore.put


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def write_bytes(self, data):
    if moment == "writing" and photo in self.stem:
        write(self, data[: len(data) // 2])
        die()
    write(self, data)


def replace(self, target):
    if moment == "renaming" and Path(target).stem == photo:
        die()
    rename(self, target)


def note(self, entry):
    if moment == "noting" and Path(entry.target).stem == photo and entry.status == Status.DONE:
        die()
    put(self, entry)


Path.write_bytes, Path.replace, JobStore.put = write_bytes, replace, note
for outcome in restore_files(UNCHANGED, collect([album]), Options(output=Path(output), resume=True)):
    print(outcome.path.name, flush=True)
