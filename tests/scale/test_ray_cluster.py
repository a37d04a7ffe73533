"""Runs on a Ray cluster of this machine."""

import os
import sys
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
from fake_restorer import levels_in, load
from plain_restorer import digests_of, photo

from revisage.batch import Options, Status, collect, read_entries, restore_files
from revisage.scale import Pool, ray_restore_files
from revisage.scale.run import collect_sources

pytest.importorskip("ray")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def importable():
    """Actors import the tests' modules as this process does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
        yield


@pytest.fixture
def album(tmp_path):
    for level in range(10, 40):
        photo(tmp_path / "album" / f"{level}.png", level)
    return tmp_path / "album"


def restore(tmp_path, album, make):
    options = Options(output=tmp_path / "out", resume=True)
    sources, pool = collect_sources([album], options.output), Pool(cpus=1, batch=4)
    return list(ray_restore_files(make, "inverting", sources, options, pool=pool))


def plain(tmp_path, album):
    list(restore_files(load(tmp_path / "plain.log"), collect([album]), Options(output=tmp_path / "plain")))
    return digests_of(tmp_path / "plain")


def test_an_actor_that_is_killed_midway_costs_nothing(tmp_path, album):
    """It dies while it has photos in its threads: those are begun again, and nothing that was written."""
    log = tmp_path / "log"
    outcomes = restore(tmp_path, album, partial(load, log, dies_at=25))
    assert Path(f"{log}.died").exists()
    assert len(outcomes) == 30
    assert not [outcome.error for outcome in outcomes if outcome.error]
    assert digests_of(tmp_path / "out") == plain(tmp_path, album)
    begun = Counter(levels_in(log))
    assert begun[25] == 2
    assert sum(begun.values()) - 30 <= 4  # no more than the batch of the actor
    assert {entry.status for entry in read_entries(tmp_path / "out")} == {Status.DONE}
    assert all(outcome.up_to_date for outcome in restore(tmp_path, album, partial(load, log)))


def test_a_photo_that_kills_every_actor_is_named_and_costs_no_other(tmp_path, album):
    log = tmp_path / "log"
    outcomes = restore(tmp_path, album, partial(load, log, dies_at=25, always=True))
    assert [outcome.path.name for outcome in outcomes if outcome.error] == ["25.png"]
    assert sorted(digests_of(tmp_path / "out")) == [f"{level}.png" for level in range(10, 40) if level != 25]
    outcomes = restore(tmp_path, album, partial(load, log))
    assert sum(outcome.up_to_date for outcome in outcomes) == 29
    assert digests_of(tmp_path / "out") == plain(tmp_path, album)
