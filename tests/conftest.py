import os

# The tests run side by side, one thread each: more threads than cores wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")
