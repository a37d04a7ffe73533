"""Restore folders and buckets on an existing engine: Ray. Prints nothing.

::

    worker      Worker(load, ...)               inside an actor: restores batches of sources; knows nothing of Ray
    run         ray_restore(paths, output)      hands sources to a pool of actors, and keeps the job store
"""

from revisage.scale.run import Pool, ray_restore, ray_restore_files

__all__ = ["Pool", "ray_restore", "ray_restore_files"]
