"""What a run says: ratios, tables, and the comparison with an earlier one."""

import io

import pytest
from rich.console import Console

from revisage.bench import report as reports
from revisage.bench.measure import Measured, Row
from revisage.bench.plan import Plan, Ratio

PLAIN, OURS = [3.0, 9.0, 3.0], [1.0, 3.0, 1.5]


def measured():
    rows = [
        Row("net", "plain", 1, {"network": 5.0}, [{"network": seconds} for seconds in PLAIN], 900),
        Row("net", "torch", 1, {"network": 2.0}, [{"network": seconds} for seconds in OURS], 500, 52.5),
        Row("photo", "torch", 1, {"detect": 1, "network": 3}, [{"detect": 1, "network": 3}], 500),
    ]
    return Measured(rows, ["onnxruntime: not installed"], 0.02)


@pytest.fixture
def report():
    return reports.make_report(Plan((), (Ratio("network", "net", "plain", "torch"),), ()), measured(), 12)


def test_a_ratio_is_the_median_of_calls_made_side_by_side(report):
    assert report["ratios"] == {"network": 3.0}  # of the medians it would be 2


def test_a_ratio_may_count_some_steps_only():
    photo = [
        Row("photo", "plain", 1, {}, [{"detect": 4, "network": 9}], 0),
        Row("photo", "torch", 1, {}, [{"detect": 1, "network": 3}], 0),
    ]
    plan = Plan((), (Ratio("detect", "photo", "plain", "torch", ("detect",)),), ())
    assert reports.make_report(plan, Measured(photo), 1)["ratios"] == {"detect": 4.0}


def test_a_ratio_of_what_was_left_out_is_missing():
    plan = Plan((), (Ratio("network", "net", "plain", "onnxruntime"),), ())
    assert reports.make_report(plan, measured(), 1)["ratios"] == {}


def test_times_a_face_are_those_of_a_batch_divided():
    assert Row("net", "batch 4", 4, {}, [{"network": 2.0}]).median() == 0.5


def test_tables_show_median_spread_memory_and_share_of_the_rest(report):
    stream = io.StringIO()
    console = Console(file=stream, width=160)
    for table in reports.make_tables(report):
        console.print(table)
    text = stream.getvalue()
    for expected in ("1.50 s", "1.00 s", "3.00 s", "52.5 dB", "500 MB", "25.0%", "3.00"):
        assert expected in text


@pytest.mark.parametrize(("share", "told"), [(0.05, False), (None, False), (0.4, True)])
def test_a_busy_machine_is_told(share, told):
    assert ("40%" in reports.describe_busy({"busy": share})) is told


@pytest.mark.parametrize(("before", "failed"), [(3.5, False), (4.5, True)])
def test_a_ratio_may_fall_within_the_bound(report, before, failed):
    lines, regressions = reports.compare(report, {"ratios": {"network": before}})
    assert len(lines) == 1
    assert bool(regressions) is failed


def test_a_ratio_that_is_no_longer_measured_is_a_regression(report):
    assert reports.compare(report, {"ratios": {"gone": 2.0}})[1] == ["gone: not measured now, 2.00 times before"]


def test_times_count_on_the_same_quiet_machine_only(report):
    slower = make_slower(report)
    assert len(reports.compare(slower, report)[1]) == 2
    assert not reports.compare({**slower, "busy": 0.5}, report)[1]
    other = {**slower, "machine": {**report["machine"], "processor": "another"}}
    assert not reports.compare(other, report)[1]


def make_slower(report):
    return {
        **report,
        "rows": [{**row, "median": row["median"] * (2 if row["group"] == "net" else 1)} for row in report["rows"]],
    }
