"""Many photos: what to restore, where the results go, and what became of each. Prints nothing.

::

    sources     collect(paths)                  which photos files, folders and patterns stand for
    names       plan(sources)                   what their results are called
    originals                                   which files no result may replace
    journal                                     what became of each, so that the next run goes on
    restoring   restore_files(restorer, ...)    read, restore, write, side by side
"""

from revisage.batch.journal import Entry, Journal, Status, entries
from revisage.batch.names import Job, plan
from revisage.batch.options import FOLDERS, Options
from revisage.batch.outcome import Outcome
from revisage.batch.restoring import restore_files
from revisage.jobs.sources import Source, Sources, collect

__all__ = [
    "FOLDERS",
    "Entry",
    "Job",
    "Journal",
    "Options",
    "Outcome",
    "Source",
    "Sources",
    "Status",
    "collect",
    "entries",
    "plan",
    "restore_files",
]
