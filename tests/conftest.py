import os
import signal

from hypothesis import settings

# The tests run side by side, one thread each: more threads than cores wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell that starts the tests in the background makes them, and all that they start, deaf to Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes depends on what else runs.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")
