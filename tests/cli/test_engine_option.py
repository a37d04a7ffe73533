"""``revisage restore --engine ray``: wrong calls, found before a cluster is asked for."""

import pytest
from typer.testing import CliRunner

from revisage.cli import app
from revisage.cli.restore_on_ray import run_on_ray
from revisage.errors import InputError


def call(*arguments):
    CliRunner().invoke(app, ["restore", *map(str, arguments)], catch_exceptions=False, standalone_mode=False)


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"")
    return path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--engine", "spark"], "--engine is local or ray, not 'spark'"),
        (["--engine", "ray", "--dry-run"], "--dry-run opens the files here; leave out --engine ray"),
        (["--engine", "ray", "-o", "-"], "cannot be used with --engine ray"),
        (["--engine", "ray", "memory://nothing"], "cannot be restored in one run"),
    ],
)
def test_wrong_calls_are_one_line(photo, monkeypatch, arguments, message):
    monkeypatch.setattr("revisage.cli.restore_on_ray.find_spec", lambda _: object())  # wherever Ray is not installed
    with pytest.raises(InputError, match=message):
        call(photo, *arguments)


def test_without_ray_the_extra_is_named(photo, monkeypatch):
    monkeypatch.setattr("revisage.cli.restore_on_ray.find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"pip install 'revisage\[scale\]'"):
        call(photo, "--engine", "ray")


@pytest.mark.parametrize("strict", [True, False])
def test_videos_obey_strict_and_no_resume_on_ray(strict):
    pytest.importorskip("av", reason="videos need PyAV")
    run = run_on_ray("embedded", {}, None, resume=not strict, strict=strict)
    assert run.keywords["restore_video"].keywords == {"resume": not strict, "strict": strict}
