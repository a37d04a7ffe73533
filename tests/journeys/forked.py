"""Calls of ``revisage`` in forks of one warm process: what Python and the libraries need to start is paid for once.

Each call is a process of its own, with its own arguments, folder, environment and output. Reads a call a line, as JSON,
and answers with a line: its exit code.
"""

import contextlib
import importlib
import json
import os
import sys
import traceback

import cv2  # noqa: F401
import onnxruntime  # noqa: F401

from revisage.cli import main

COMMON = ("revisage.batch", "revisage.loading")
HEAVY = {
    "train": "revisage.training.loop",
    "evaluate": "revisage.evaluation.report",
    "convert": "revisage.models.convert",
    "prepare": "revisage.training.prepare.photos",
    "degrade": "revisage.training.degrade",
}
"""Command -> the module that it imports, for those that need torch."""


def serve() -> None:
    for line in sys.stdin:
        call = json.loads(line)
        for module in (*COMMON, HEAVY.get(next(iter(call["arguments"]), ""))):
            if module:
                importlib.import_module(module)
        child = os.fork()
        if not child:
            os._exit(run(**call))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def run(arguments: list[str], folder: str, environment: dict[str, str], output: str, errors: str) -> int:
    """What the call leaves with."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, path in ((1, output), (2, errors)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, mode, closefd=False, encoding="utf-8")  # noqa: SIM115
        for number, mode in ((0, "r"), (1, "w"), (2, "w"))
    )
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["revisage", *arguments]
    code = 0
    try:
        main()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
    except BaseException:
        traceback.print_exc()
        code = 1
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    return code


if __name__ == "__main__":
    serve()
