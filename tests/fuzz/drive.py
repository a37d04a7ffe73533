"""Long fuzzing: `python tests/fuzz/drive.py [TARGET ...] --seconds 60`, or `make fuzz SECONDS=60`.

With atheris (`pip install 'revisage[fuzz]'`, Linux) the coverage of revisage's own code leads; with `--blind` damage is
drawn at random from valid files. Each target has so many seconds. A finding is kept in `fuzz-findings/TARGET/`, and
`drive.py TARGET --again FILE` runs that case once more.
"""

import argparse
import random
import re
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

from containment import ViolationError, attempt
from mutation import damaged, repaired

from revisage.errors import RevisageError

FINDINGS = Path("fuzz-findings")
MEMORY = 3000
"""Megabytes that the process may take, torch included."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", help="all, if none is named")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--blind", action="store_true", help="without atheris")
    parser.add_argument("--again", type=Path, metavar="FILE", help="run this one case")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)  # one target, in this process
    arguments = parser.parse_args()
    if arguments.here:
        _guided(arguments.targets[0], arguments.seconds, arguments.seed)
    from targets import SUBJECTS

    targets = arguments.targets or list(SUBJECTS)
    if arguments.again:
        print(_case(targets[0], arguments.again.read_bytes()) or "taken")
        return 0
    run = _blind if arguments.blind else _apart
    return max(run(target, arguments.seconds, arguments.seed) for target in targets)


def _case(target: str, data: bytes) -> RevisageError | None:
    from targets import SUBJECTS

    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        return attempt(SUBJECTS[target].run, data, Path(folder))


def _told(target: str, cases: int, findings: int) -> int:
    print(f"{target:20}{cases:>10,} cases{findings:>5} findings", flush=True)
    return 1 if findings else 0


def _apart(target: str, seconds: int, seed: int) -> int:
    """A target in a process of its own: a crash of the interpreter is a finding as well."""
    command = [sys.executable, __file__, target, "--here", f"--seconds={seconds}", f"--seed={seed}"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    counted = re.findall(r"(?:^Done |^#)(\d+)", done.stdout + done.stderr, re.MULTILINE)
    if done.returncode:
        _keep(target, "report.txt", (done.stdout + done.stderr)[-20_000:].encode())
    return _told(target, int(counted[-1]) if counted else 0, int(done.returncode != 0))


def _keep(target: str, name: str, content: bytes) -> None:
    folder = FINDINGS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def _blind(target: str, seconds: int, seed: int) -> int:
    from targets import SUBJECTS

    warnings.simplefilter("ignore")  # of damaged files Pillow and NumPy have much to say
    originals, rng = list(SUBJECTS[target].seeds()), random.Random(seed)
    end, cases, findings = time.monotonic() + seconds, 0, set[str]()
    while time.monotonic() < end:
        data = damaged(rng.choice(originals), originals, rng)
        data = repaired(data) if rng.random() < 0.8 else data
        cases += 1
        try:
            _case(target, data)
        except ViolationError as violation:
            place = traceback.extract_tb((violation.__cause__ or violation).__traceback__)[-1]
            known = f"{Path(place.filename).stem}-{place.lineno}"
            if known not in findings:
                findings.add(known)
                _keep(target, known, data)
                print(f"{target}: {violation} ({known})", flush=True)
    return _told(target, cases, len(findings))


def _guided(target: str, seconds: int, seed: int) -> None:
    """Hand over to atheris, which ends the process."""
    import atheris

    with atheris.instrument_imports(include=["revisage"]):
        from targets import SUBJECTS
    originals = list(SUBJECTS[target].seeds())

    def mutate(data: bytes, longest: int, number: int) -> bytes:
        rng = random.Random(number)
        changed = atheris.Mutate(data, len(data)) if rng.random() < 0.5 else damaged(data, originals, rng)
        return (repaired(changed) if rng.random() < 0.8 else changed)[:longest]

    (FINDINGS / target).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as corpus:
        for number, data in enumerate(originals):
            (Path(corpus) / str(number)).write_bytes(data)
        options = [f"-max_total_time={seconds}", f"-seed={seed}", "-max_len=200000", "-len_control=0", "-timeout=60"]
        options += [
            f"-rss_limit_mb={MEMORY}",
            f"-malloc_limit_mb={MEMORY // 2}",
            f"-artifact_prefix={FINDINGS}/{target}/",
        ]
        atheris.Setup([sys.argv[0], *options, corpus], lambda data: _case(target, data) and None, custom_mutator=mutate)
        atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
