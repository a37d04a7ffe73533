"""Plots of evaluations and of training runs."""

import json
import math
import sys

import pytest

from revisage.cli import main
from revisage.errors import InputError, OutputError
from revisage.evaluation.plots import draw_curves, draw_distributions, read_records, write_figure

RECORDS = [
    {"images": 1000, "images_per_second": 4.0, "peak_gb": 1.5, "l1": 0.5},
    {"images": 1500, "validation": {"mild/psnr": 25.0, "mild/input_psnr": 23.0}, "seconds": 1.0},
    {"images": 2000, "images_per_second": 4.0, "peak_gb": 1.5, "l1": math.nan},
    {"images": 1000, "images_per_second": 4.0, "peak_gb": 1.5, "l1": 0.4},
]


@pytest.fixture
def run(tmp_path):
    (tmp_path / "run").mkdir()
    lines = [json.dumps(record) for record in RECORDS]
    (tmp_path / "run" / "metrics.jsonl").write_text("\n".join(lines) + '\n{"images": 20')
    return tmp_path / "run"


def panels(figure):
    return {axes.get_title(): axes for axes in figure.axes}


def test_a_distribution_has_a_dot_for_each_finite_value():
    rows = {
        "input": {"a": {"psnr": 20.0}, "b": {"psnr": math.nan}},
        "restored": {"a": {"psnr": 25.0}, "b": {"psnr": 27.0}},
    }
    figure = draw_distributions(rows, "mild")
    (axes,) = figure.axes
    assert axes.get_title() == "psnr (higher is better)"
    assert "dB" in axes.get_xlabel()
    assert [sorted(dots.get_offsets()[:, 0]) for dots in axes.collections] == [[20.0], [25.0, 27.0]]
    assert [text.get_text() for text in axes.texts] == ["20", "26"]


def test_curves_have_a_panel_each_and_the_last_record_of_an_image_count_wins(run):
    drawn = panels(draw_curves(read_records(run), "run"))
    assert [*drawn] == ["psnr (higher is better)", "l1", "speed", "peak memory"]
    (loss,) = drawn["l1"].lines
    assert list(loss.get_xdata()) == [1000, 2000]
    assert loss.get_ydata()[0] == 0.4
    assert math.isnan(loss.get_ydata()[1])
    legend = [text.get_text() for text in drawn["psnr (higher is better)"].get_legend().get_texts()]
    assert legend == ["mild", "mild input"]


def test_plot_writes_beside_the_run_and_leaves_pyplot_alone(run, monkeypatch, capsys):
    others = "matplotlib.pyplot" in sys.modules  # another test may have loaded it
    monkeypatch.setattr(sys, "argv", ["revisage", "plot", str(run)])
    with pytest.raises(SystemExit) as left:
        main()
    assert not left.value.code
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert ("matplotlib.pyplot" in sys.modules) == others
    assert capsys.readouterr().out == f"curves of {run} -> {run / 'curves.png'}\n"


def test_a_folder_without_metrics_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no metrics at .*; give the folder of a training run"):
        read_records(tmp_path)


def test_a_damaged_line_is_named(run):
    (run / "metrics.jsonl").write_text('{"images": 1}\nnonsense\n{"images": 2}\n')
    with pytest.raises(InputError, match="line 2 is not a record"):
        read_records(run)


def test_a_run_without_metrics_says_when_there_will_be_some():
    with pytest.raises(InputError, match="no metrics yet"):
        draw_curves([], "run")


def test_an_unknown_format_is_refused_with_those_there_are(tmp_path):
    with pytest.raises(OutputError, match=r"plots are .*png"):
        write_figure(tmp_path / "a.xyz", draw_curves(RECORDS, "run"))
    assert not [*tmp_path.iterdir()]
