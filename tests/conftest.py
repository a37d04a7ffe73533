import os

from hypothesis import settings

# The tests run side by side, one thread each: more threads than cores wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# How long an example takes depends on what else runs.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")
