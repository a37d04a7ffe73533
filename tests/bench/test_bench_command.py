"""``revisage bench``: the comparison decides the exit code."""

import json
from importlib import import_module

import pytest
import typer

from locations import ROOT
from revisage.bench.plan import _quick_plan
from revisage.errors import InputError

command = import_module("revisage.cli.bench")  # the package has the function under this name


def report(ratio):
    return {"machine": {}, "busy": 0.0, "ratios": {"network": ratio}, "rows": [], "left_out": []}


@pytest.fixture
def earlier(tmp_path):
    path = tmp_path / "earlier.json"
    path.write_text(json.dumps(report(2.0)))
    return path


def run(monkeypatch, earlier, *ratios, quick=True):
    """Exit code, and how many of the runs were needed."""
    runs = iter(ratios)
    monkeypatch.setattr(command, "_run", lambda *_: report(next(runs)))
    with pytest.raises(typer.Exit) as left:
        command.bench(compare=earlier, quick=quick)
    return left.value.exit_code, len(ratios) - len(list(runs))


@pytest.mark.parametrize(("ratios", "code", "needed"), [((2, 0), 0, 1), ((1, 2, 0), 0, 2), ((1, 1.2, 1.1), 1, 3)])
def test_a_regression_of_the_quick_check_is_measured_up_to_twice_more(monkeypatch, earlier, ratios, code, needed):
    assert run(monkeypatch, earlier, *ratios) == (code, needed)


def test_a_regression_of_a_whole_run_fails_at_once(monkeypatch, earlier):
    assert run(monkeypatch, earlier, 1, 2, quick=False) == (1, 1)


@pytest.mark.parametrize("content", [None, "no JSON", "[]", "{}"])
def test_a_file_that_is_no_run_is_refused_before_anything_is_timed(tmp_path, content):
    path = tmp_path / "earlier.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=r"earlier\.json is no JSON of"):
        command.bench(compare=path)


def test_the_limits_of_the_quick_check_are_those_of_what_it_times(tmp_path):
    limits = json.loads((ROOT / ".ci" / "bench.json").read_text())["ratios"]
    assert set(limits) == {ratio.name for ratio in _quick_plan(tmp_path, {"GFPGANv1Clean": "a"}).ratios}
