"""Runs by actors, without a cluster: what happens inside an actor, and what the calling process makes of it."""

import errno
from contextlib import nullcontext
from functools import partial

import fsspec
import numpy as np
import pytest
from fake_restorer import levels_in, load
from plain_restorer import digests_of, photo

from revisage.batch import Entry, Options, Status, collect, read_entries, restore_files
from revisage.errors import InputError, OutputError
from revisage.images import read_image
from revisage.jobs.buckets import Address
from revisage.scale import ray_restore_files, run
from revisage.scale.run import collect_sources
from revisage.scale.worker import Worker

BUCKET = "memory://album"


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch, tmp_path):
    """Actors are plain objects in this process; they are given batches of the size that real ones get."""

    def map_here(worker, pool, items, size):
        actor, size = Worker(*worker), size or pool.batch
        for start in range(0, len(items), size):
            yield from actor.restore(items[start : start + size])

    monkeypatch.setattr(run, "_cluster", nullcontext)
    monkeypatch.setattr(run, "_map", map_here)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log"


@pytest.fixture
def album(tmp_path):
    for level in range(10, 22):
        photo(tmp_path / "album" / "inner" / f"{level}.png", level)
    return tmp_path / "album"


@pytest.fixture
def bucket(album):
    """The album in memory."""
    files = fsspec.filesystem("memory")
    files.put(str(album), "/album", recursive=True)
    yield files
    files.rm("/", recursive=True)


def restore(log, source, output, **options):
    options = Options(output=output, **{"resume": True, **options})
    sources = collect_sources([source], options.output)
    return list(ray_restore_files(partial(load, log), "inverting", sources, options))


class TestFolders:
    def test_files_are_those_of_a_plain_run(self, tmp_path, album, log):
        restore(log, album, tmp_path / "out")
        list(restore_files(load(log), collect([album]), Options(output=tmp_path / "plain")))
        assert digests_of(tmp_path / "out") == digests_of(tmp_path / "plain")
        assert len(digests_of(tmp_path / "out")) == 12

    @pytest.mark.usefixtures("album")
    def test_relative_paths_mean_the_folder_of_the_call(self, tmp_path, log):
        outcomes = restore(log, "album", "out")
        assert "album/inner/10.png" in {str(outcome.path) for outcome in outcomes}
        assert (tmp_path / "out" / "inner" / "10.png").exists()

    def test_the_store_is_that_of_plain_runs(self, tmp_path, album, log):
        restore(log, album, tmp_path / "out")
        assert {entry.status for entry in read_entries(tmp_path / "out")} == {Status.DONE}
        options = Options(output=tmp_path / "out", resume=True)
        assert all(outcome.up_to_date for outcome in restore_files(load(log), collect([album]), options))

    def test_a_bad_file_is_one_line_and_the_rest_goes_on(self, tmp_path, album, log):
        (album / "inner" / "15.png").write_text("no")
        errors = [outcome.error for outcome in restore(log, album, tmp_path / "out") if outcome.error]
        assert len(errors) == 1
        assert "15.png" in errors[0]
        assert len(digests_of(tmp_path / "out")) == 11

    def test_a_full_disk_stops_the_run_with_one_line(self, tmp_path, album, log, monkeypatch):
        with monkeypatch.context() as patch:

            def full(path, *_, **__):
                raise OutputError(f"cannot write {path}: the disk is full") from OSError(errno.ENOSPC, "full")

            patch.setattr("revisage.batch.steps.write_image", full)
            with pytest.raises(OutputError, match=r"the disk is full; stopped, free some space and run the same again"):
                restore(log, album, tmp_path / "out")
        assert len([one for one in restore(log, album, tmp_path / "out") if one.target]) == 12

    def test_a_result_of_a_lost_actor_is_not_made_again(self, tmp_path, album, log, monkeypatch):
        """It wrote three files, and was lost before it reported: the batch is given to another."""
        real = run._map

        def map_twice(worker, pool, items, size):
            Worker(*worker).restore(items[:3])
            yield from real(worker, pool, items, size)

        monkeypatch.setattr(run, "_map", map_twice)
        outcomes = restore(log, album, tmp_path / "out")
        assert sorted(levels_in(log)) == list(range(10, 22))
        assert [bool(outcome.warnings) for outcome in outcomes].count(True) == 3
        assert {entry.status for entry in read_entries(tmp_path / "out")} == {Status.DONE}

    def test_what_no_actor_brings_back_is_tried_alone_and_then_named(self, tmp_path, album, log, monkeypatch):
        real, sizes = run._map, []

        def lossy(worker, pool, items, size):
            sizes.append((size, len(items)))
            yield from real(worker, pool, [item for item in items if "13" not in item.job.key], size)

        monkeypatch.setattr(run, "_map", lossy)
        outcomes = restore(log, album, tmp_path / "out")
        assert sizes == [(0, 12), (1, 1)]
        assert len(outcomes) == 12
        assert [outcome.path.name for outcome in outcomes if "every worker that took it was lost" in outcome.error] == [
            "13.png"
        ]

    def test_a_folder_that_a_machine_lacks_is_named(self, tmp_path, log):
        with pytest.raises(InputError, match=r"nowhere is not on every machine; share the folder, or use a bucket"):
            Worker(partial(load, log), Options(output=tmp_path), tmp_path / "nowhere")


@pytest.mark.usefixtures("bucket")
class TestBuckets:
    def test_objects_are_those_of_a_plain_run(self, tmp_path, album, bucket, log):
        restore(log, BUCKET, "memory://restored")
        bucket.get("/restored", str(tmp_path / "out"), recursive=True)
        list(restore_files(load(log), collect([album]), Options(output=tmp_path / "plain")))
        assert digests_of(tmp_path / "out") == digests_of(tmp_path / "plain")

    def test_a_bucket_can_go_to_a_folder_and_back(self, tmp_path, log):
        restore(log, BUCKET, tmp_path / "out")
        assert (read_image(tmp_path / "out" / "inner" / "12.png") == 255 - 12).all()
        restore(log, tmp_path / "out", "memory://back")
        assert Address("memory://back/inner/12.png").stat().st_size > 0

    def test_outcomes_and_rows_name_urls(self, log):
        (outcome,) = [one for one in restore(log, BUCKET, "memory://restored") if one.path.name == "10.png"]
        assert (str(outcome.path), str(outcome.target)) == (
            "memory://album/inner/10.png",
            "memory://restored/inner/10.png",
        )
        entries = list(read_entries(run.store_folder(Address("memory://restored"))))
        assert (entries[0].source, entries[0].status) == ("memory://album/inner/10.png", Status.DONE)

    def test_a_second_run_does_nothing(self, log):
        restore(log, BUCKET, "memory://restored")
        outcomes = restore(log, BUCKET, "memory://restored")
        assert len(levels_in(log)) == 12
        assert all(outcome.up_to_date for outcome in outcomes)

    def test_changed_and_missing_objects_are_done_again(self, tmp_path, bucket, log):
        restore(log, BUCKET, "memory://restored")
        bucket.put(str(photo(tmp_path / "new.png", 99)), "/album/inner/10.png")
        bucket.rm("/restored/inner/20.png")
        restore(log, BUCKET, "memory://restored")
        assert sorted(levels_in(log)[12:]) == [20, 99]

    def test_a_foreign_object_is_left_alone(self, bucket, log):
        bucket.pipe("/restored/inner/10.png", b"mine")
        outcomes = restore(log, BUCKET, "memory://restored")
        assert [outcome.path.name for outcome in outcomes if outcome.exists] == ["10.png"]
        assert bucket.cat("/restored/inner/10.png") == b"mine"

    def test_results_below_the_sources_are_no_sources(self, log):
        restore(log, BUCKET, "memory://album/restored")
        assert len(restore(log, BUCKET, "memory://album/restored")) == 12

    def test_originals_are_never_replaced(self, bucket, log):
        before = bucket.cat("/album/inner/10.png")
        outcomes = restore(log, "memory://album/inner", "memory://album/inner", overwrite=True)
        assert all("would replace an original" in outcome.error for outcome in outcomes)
        assert bucket.cat("/album/inner/10.png") == before

    def test_a_bad_object_is_one_line_that_names_it(self, bucket, log):
        bucket.pipe("/album/inner/15.png", b"no")
        errors = [outcome.error for outcome in restore(log, BUCKET, "memory://restored") if outcome.error]
        assert len(errors) == 1
        assert errors[0].startswith("cannot read memory://album/inner/15.png: not an image")

    @pytest.mark.parametrize("step", ["get_file", "put_file"])
    def test_a_lost_connection_stops_the_run_which_then_resumes(self, bucket, log, monkeypatch, step):
        real, calls = getattr(type(bucket), step), []

        def failing(self, *paths, **options):
            calls.append(paths)
            if len(calls) > 4:
                raise ConnectionError("no route to host")
            return real(self, *paths, **options)

        with monkeypatch.context() as patch:
            patch.setattr(type(bucket), step, failing)
            with pytest.raises(
                OutputError, match=r"cannot reach memory://\S+: no route to host; stopped, run the same again"
            ):
                restore(log, BUCKET, "memory://restored")
        outcomes = restore(log, BUCKET, "memory://restored")
        assert len(outcomes) == 12
        assert not [outcome.error for outcome in outcomes if outcome.error]

    @pytest.mark.parametrize("source", [BUCKET, f"{BUCKET}/inner/*.png"])
    def test_a_bucket_that_cannot_be_reached_is_one_line_before_the_run(self, bucket, log, monkeypatch, source):
        def fail(self, path, **options):
            raise ConnectionError("no route to host")

        with monkeypatch.context() as patch:
            patch.setattr(type(bucket), "info", fail)
            with pytest.raises(InputError, match=r"cannot reach memory://\S+: no route to host"):
                restore(log, source, "memory://restored")

    @pytest.mark.parametrize("option", [{"save_faces": True}, {"preserve_mtime": True}])
    def test_options_for_files_are_refused(self, log, option):
        with pytest.raises(InputError, match="buckets"):
            restore(log, BUCKET, "memory://restored", **option)


def test_files_and_objects_in_one_run_are_refused(album, bucket, tmp_path):
    with pytest.raises(InputError, match="cannot be restored in one run"):
        collect_sources([album, BUCKET], tmp_path / "out")


def test_actors_take_columns_of_pickles(tmp_path, album, log):
    """The form in which Ray Data passes them."""
    import pickle

    from revisage.batch.names import Job
    from revisage.batch.steps import InProgress
    from revisage.jobs.collector import Source

    path, target = album / "inner" / "10.png", tmp_path / "out.png"
    item = InProgress(
        Job(Source(path), target, "10", "10.png"),
        Entry(key="10.png", source="", target="", run=1, status="started"),
        False,
    )
    answer = Worker(partial(load, log), Options(output=tmp_path))({"item": np.array([pickle.dumps(item)], object)})
    (report,) = map(pickle.loads, answer["report"])
    assert (report.key, report.outcome.target, report.written.size) == ("10.png", target, target.stat().st_size)
