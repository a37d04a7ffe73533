"""Restore folders of images and videos into a folder of results; resumable. Prints nothing.

::

    jobs.collector  collect(paths)                  the files that paths, folders and patterns stand for
    options         Options                         how to restore, how to name the results
    names           plan(sources)                   names of the results, and the files that none may replace
    jobs.store                                      status of each source, so that the next run resumes
    steps           Steps(restorer, ...)            read, restore, write, side by side
    restore         restore_files(restorer, ...)    all of it
                    check_files(restorer, ...)      the same, without restoring or writing
    space           check_space(sources, ...)       room on the disk for all results
"""

from revisage.batch.names import Job, plan
from revisage.batch.options import FOLDERS, Options
from revisage.batch.restore import check_files, restore_files
from revisage.batch.space import check_space
from revisage.jobs.collector import Kind, Source, Sources, collect
from revisage.jobs.outcome import Outcome
from revisage.jobs.store import Entry, Status, read_entries

__all__ = [
    "FOLDERS",
    "Entry",
    "Job",
    "Kind",
    "Options",
    "Outcome",
    "Source",
    "Sources",
    "Status",
    "check_files",
    "check_space",
    "collect",
    "plan",
    "read_entries",
    "restore_files",
]
