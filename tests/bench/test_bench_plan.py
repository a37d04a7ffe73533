"""What is timed, and what is left out."""

import pytest

from revisage.bench import plan as plans

WEIGHTS = {"GFPGANv1Clean": "gfpgan.safetensors", "RestoreFormer": "restoreformer.safetensors"}


@pytest.mark.parametrize("quick", [False, True])
def test_ratios_are_of_cases_that_are_timed(tmp_path, quick):
    plan = plans._quick_plan(tmp_path, {"GFPGANv1Clean": "a"}) if quick else plans._full_plan(tmp_path, WEIGHTS, ())
    timed = {(group.title, case.name) for group in plan.groups for case in group.cases}
    assert plan.ratios
    for ratio in plan.ratios:
        assert {(ratio.group, ratio.slow), (ratio.group, ratio.fast)} <= timed


def test_the_quick_check_leaves_nothing_out_for_want_of_time(tmp_path):
    plan = plans._quick_plan(tmp_path, {"GFPGANv1Clean": "a"})
    assert all(case.cost == 0 and case.request.processor for group in plan.groups for case in group.cases)
    assert all(group.least == 2 for group in plan.groups)


def test_without_torch_the_embedded_network_is_timed_and_the_rest_named(tmp_path, monkeypatch):
    monkeypatch.setattr(plans, "find_spec", {}.get)
    plan = plans.make_plan(tmp_path, quick=False, models=[tmp_path / "mine.onnx"])
    subjects = {case.subject for group in plan.groups for case in group.cases if case.subject}
    assert {(subject.backend, subject.dtype) for subject in subjects} == {("onnxruntime", "float32")}
    assert "mine.onnx, onnxruntime" in [group.title for group in plan.groups]
    assert "torch is not installed" in plan.left_out[0]
