"""Cases take turns; what cannot be timed is named."""

from typing import ClassVar

import pytest

from revisage.bench import measure
from revisage.bench.measure import Case, Command, Group, Worker
from revisage.bench.subjects import Answer, Request, Subject

ONE, OTHER = Subject("one", "torch"), Subject("other", "torch")


class FakeWorker:
    calls: ClassVar[list[str]] = []
    closed: ClassVar[list[str]] = []

    def __init__(self, subject):
        if subject.model == "broken":
            raise RuntimeError("no such file")
        self.subject = subject
        self.loaded = Answer({"load": 1.0})

    def ask(self, _request):
        self.calls.append(self.subject.model)
        return Answer({"network": 0.01})

    def close(self):
        self.closed.append(self.subject.model)


@pytest.fixture
def calls(monkeypatch):
    monkeypatch.setattr(measure, "Worker", FakeWorker)
    monkeypatch.setattr(FakeWorker, "calls", [])
    monkeypatch.setattr(FakeWorker, "closed", [])
    return FakeWorker.calls


def quiet(text, share):
    pass


def run(*cases, seconds=100.0):
    return measure.measure([Group("group", cases, 1)], seconds, quiet)


def test_subjects_take_turns(calls):
    found = run(Case("one", ONE, Request("network")), Case("other", OTHER, Request("network")))
    assert calls == ["one", "other"] * (1 + measure.MAX_ROUNDS)
    assert [len(row.samples) for row in found.rows if row.group == "group"] == [measure.MAX_ROUNDS] * 2
    assert FakeWorker.closed == ["one", "other"]


def test_the_first_call_stands_in_where_there_is_no_time_for_more(calls):
    found = run(Case("one", ONE, Request("network")), seconds=0.0)
    assert calls == ["one"]
    assert found.rows[-1].samples == [found.rows[-1].first]


def test_what_would_take_too_long_is_left_out_and_named(calls):
    found = run(Case("one", ONE, Request("network")), Case("batch", ONE, Request("network"), cost=1e6))
    assert found.left_out == ["group, batch: no time"]


def test_what_fails_is_left_out_and_named(calls):
    found = run(Case("broken", Subject("broken", "torch"), Request("network")), Case("one", ONE, Request("network")))
    assert found.left_out == ["group, broken: no such file"]
    assert found.rows[-1].name == "one"


def test_a_subject_keeps_its_process_until_no_later_group_needs_it(calls):
    groups = [Group(title, (Case("one", ONE, Request("network")),), 1) for title in ("first", "second")]
    measure.measure(groups, 100.0, quiet)
    assert FakeWorker.closed == ["one"]


def test_a_command_is_timed_with_its_memory():
    answer = measure.run_command(Command(("-c", "pass")))
    assert answer.seconds["run"] > 0
    assert answer.peak_mb > 1


def test_a_command_that_fails_is_told():
    with pytest.raises(RuntimeError, match="python -c 1/0"):
        measure.run_command(Command(("-c", "1/0")))


def test_a_subject_that_cannot_be_loaded_says_why(tmp_path):
    with pytest.raises(RuntimeError, match="no model or file"):
        Worker(Subject(str(tmp_path / "none.onnx"), "onnxruntime"))
