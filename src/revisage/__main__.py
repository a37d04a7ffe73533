"""``python -m revisage`` is the command ``revisage``."""

from revisage.cli import main

main()
