"""How fast this machine restores: every stage and network, beside the plain formulation in the same run.

``plan`` says what is timed, ``subjects`` is timed in processes of its own, ``measure`` takes turns between them, and
``report`` makes tables and comparisons of the result.
"""
