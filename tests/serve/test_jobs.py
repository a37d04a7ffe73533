"""Jobs: accepted once whole, followed, cancelled, resumed after any end of the process."""

import errno
import io
import json
import time
import zipfile
from threading import Event

import pytest
from stand_ins_of_serve import embed, encoded, engine, flat, invert
from test_bad_requests import assert_problem

from revisage.errors import OutputError, WeightsError
from revisage.images import read_image
from revisage.serve.job_routes import safe_names
from revisage.serve.jobs import INCOMING, Jobs


def post(client, *levels, query="scale=1", **more):
    files = [("image", (f"{level}.png", encoded(flat(level)))) for level in levels]
    return client.post(f"/v1/jobs?{query}", **({"files": files} | more))


def finish(client, id):
    for _ in range(600):
        job = client.get(f"/v1/jobs/{id}").json()
        if job["state"] not in ("queued", "running"):
            return job
        time.sleep(0.02)
    raise AssertionError(job)


@pytest.fixture(scope="module")
def client(serve):
    return serve()


class Gate:
    """A network that waits at each face from the second on, until it is opened."""

    def __init__(self):
        self.begun, self.opened, self.count = Event(), Event(), 0

    def __call__(self, crops):
        self.count += 1
        if self.count > 1:
            self.begun.set()
            assert self.opened.wait(20)
        return invert(crops)


def test_each_file_has_its_own_result(client):
    reply = post(client, 10, 20, 30)
    assert reply.status_code == 202
    assert reply.headers["location"] == f"/v1/jobs/{reply.json()['id']}"
    job = finish(client, reply.json()["id"])
    assert (job["state"], job["total"], job["done"], job["fields"]) == ("done", 3, 3, {"scale": 1.0})
    for level, file in zip((10, 20, 30), job["files"], strict=True):
        assert (file["name"], file["result"], file["status"]) == (f"{level}.png", f"{level}.png", "done")
        assert file["faces"][0]["status"] == "restored"
        result = client.get(f"{reply.headers['location']}/results/{file['result']}")
        assert read_image(result.content)[12, 10, 0] == 255 - level


def test_all_results_come_in_one_zip_file(client):
    id = post(client, 40, 50).json()["id"]
    finish(client, id)
    archive = zipfile.ZipFile(io.BytesIO(client.get(f"/v1/jobs/{id}/results").content))
    assert {name: read_image(archive.read(name))[12, 10, 0] for name in archive.namelist()} == {
        "40.png": 215,
        "50.png": 205,
    }


def test_a_file_that_fails_costs_no_other(client):
    files = [("image", ("a.jpg", b"no image")), ("image", ("b.png", encoded(flat(10))))]
    job = finish(client, post(client, files=files).json()["id"])
    assert job["state"] == "done"
    assert [file["status"] for file in job["files"]] == ["failed", "done"]
    assert job["files"][0]["error"].startswith("cannot read a.jpg: not an image")


def test_events_follow_a_job_to_its_end(client):
    id = post(client, 10, 20).json()["id"]
    with client.stream("GET", f"/v1/jobs/{id}/events") as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        states = [json.loads(line[6:]) for line in reply.iter_lines() if line.startswith("data: ")]
    assert (states[-1]["state"], states[-1]["done"]) == ("done", 2)


def test_a_cancelled_job_ends_and_keeps_what_is_finished(serve):
    gate = Gate()
    client = serve(network=gate)
    id = post(client, 10, 20, 30).json()["id"]
    assert gate.begun.wait(20)
    assert client.post(f"/v1/jobs/{id}/cancel").json()["state"] == "cancelled"
    gate.opened.set()
    other = post(client, 60).json()["id"]  # jobs run one after another: then the cancelled one has ended
    finish(client, other)
    job = client.get(f"/v1/jobs/{id}").json()
    assert job["state"] == "cancelled"
    assert len(job["files"]) <= 2
    assert client.get(f"/v1/jobs/{id}/results").status_code == 200


def test_a_deleted_job_leaves_nothing(client):
    id = post(client, 10).json()["id"]
    finish(client, id)
    assert client.delete(f"/v1/jobs/{id}").status_code == 204
    assert_problem(client.get(f"/v1/jobs/{id}"), 404)
    assert not (client.engine.settings.jobs_path / id).exists()


@pytest.mark.parametrize("name", ["..%2Fjob.json", "job.json", "%2Fetc%2Fpasswd", ".revisage"])
def test_only_results_can_be_fetched(client, name):
    id = post(client, 10).json()["id"]
    finish(client, id)
    assert client.get(f"/v1/jobs/{id}/results/{name}").status_code == 404


@pytest.mark.parametrize(
    ("more", "status", "word"),
    [
        ({"query": "strength=3"}, 422, "strength"),
        ({"query": "faces=no"}, 422, "faces"),
        ({"query": "model=none"}, 422, "plain"),
        ({"files": {"file": b"x"}}, 422, "'image'"),
        ({"files": None, "content": encoded(flat(1)), "headers": {"content-type": "image/png"}}, 415, "multipart"),
    ],
    ids=str,
)
def test_a_wrong_job_is_refused_and_leaves_nothing(client, more, status, word):
    before = set(client.engine.settings.jobs_path.iterdir())
    assert_problem(post(client, 10, **more), status, word)
    assert set(client.engine.settings.jobs_path.iterdir()) == before


def test_a_full_disk_is_said_and_leaves_nothing(client, monkeypatch):
    def fail(*files):
        raise OSError(errno.ENOSPC, "No space left on device")

    before = set(client.engine.settings.jobs_path.iterdir())
    monkeypatch.setattr("shutil.copyfileobj", fail)
    assert_problem(post(client, 10), 507, "disk")
    assert set(client.engine.settings.jobs_path.iterdir()) == before


def test_a_disk_that_is_full_ends_a_job_with_one_line(serve, monkeypatch):
    gate = Gate()
    client = serve(network=gate)
    id = post(client, 10, 20, 30).json()["id"]
    assert gate.begun.wait(20)

    def fail(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    gate.opened.set()
    job = finish(client, id)
    assert (job["state"], job["error"]) == ("failed", "the disk of the server is full")
    assert job["done"] < 3


def test_limits_of_jobs(serve):
    client = serve(max_job_files=2, max_pixels=2000, max_job_bytes=20_000)
    assert_problem(post(client, 1, 2, 3), 422, "3 files")
    large = {"image": ("large.png", encoded(flat(1, (80, 80))))}
    assert_problem(post(client, files=large), 422, "large.png")
    assert_problem(post(client, files={"image": b"x" * 30_000}), 413, "MB")


def test_all_pages_of_a_file_count_towards_the_limit_of_a_job(serve):
    client = serve(max_pixels=3000)
    pages = encoded([flat(1, (10, 10)), flat(1, (60, 60))], "tif")
    assert_problem(post(client, files={"image": ("pages.tif", pages)}), 422, "pages.tif")


def test_a_reference_above_the_limit_is_refused_with_the_job(serve):
    client = serve(max_pixels=2000, embed=embed)
    files = [("image", ("a.png", encoded(flat(1)))), ("reference", ("b.png", encoded(flat(1, (80, 80)))))]
    assert_problem(post(client, files=files), 422, "80 x 80")


def test_a_job_reads_within_the_limit_whatever_was_checked_before(serve, monkeypatch):
    monkeypatch.setattr("revisage.serve.job_routes.check_upload", lambda *_: None)
    monkeypatch.setattr("revisage.serve.job_routes.check_reference", lambda *_: None)
    client = serve(max_pixels=2000, embed=embed)
    large = encoded(flat(1, (80, 80)))
    job = finish(client, post(client, files={"image": ("large.png", large)}).json()["id"])
    assert "80 x 80 pixels are more than the limit" in job["files"][0]["error"]
    files = [("image", ("a.png", encoded(flat(1)))), ("reference", ("b.png", large))]
    job = finish(client, post(client, files=files).json()["id"])
    assert (job["state"], job["files"]) == ("failed", [])
    assert "80 x 80 pixels are more than the limit" in job["error"]


@pytest.mark.parametrize("folder", [".", "results", "uploads"])
@pytest.mark.parametrize("error", [OutputError, WeightsError])
def test_the_error_of_a_job_tells_nothing_of_the_servers_folders(serve, monkeypatch, error, folder):
    def fail(restorer, sources, options, *more):
        folder_of_job = options.output.parent
        raise error(f"cannot write {folder_of_job / folder / 'a.png'} in {folder_of_job}: no permission")

    monkeypatch.setattr("revisage.serve.job_run.restore_files", fail)
    client = serve()
    job = finish(client, post(client, 10).json()["id"])
    assert (job["state"], job["error"]) == ("failed", "cannot write a.png in the job's folder: no permission")


def test_too_many_jobs_are_refused(serve):
    gate = Gate()
    client = serve(network=gate, max_jobs=1)
    post(client, 1, 2)
    assert gate.begun.wait(20)
    reply = post(client, 3)
    assert_problem(reply, 429)
    assert reply.headers["retry-after"] == "60"
    gate.opened.set()


def test_a_results_archive_waits_for_the_end(serve):
    gate = Gate()
    client = serve(network=gate)
    id = post(client, 1, 2).json()["id"]
    assert gate.begun.wait(20)
    assert_problem(client.get(f"/v1/jobs/{id}/results"), 409, "running")
    gate.opened.set()


def test_a_stopped_server_resumes_its_jobs(serve, tmp_path):
    gate = Gate()
    first = serve(network=gate, jobs_folder=tmp_path)
    id = post(first, *range(10, 60, 10)).json()["id"]
    assert gate.begun.wait(20)
    first.stop()
    gate.opened.set()
    first.close_server()
    lines = tmp_path / id / "outcomes.jsonl"  # the first may be restored, and not be noted yet
    done = len(lines.read_text().splitlines()) if lines.exists() else 0
    assert done < 5

    calls = []
    second = serve(network=lambda crops: calls.append(1) or invert(crops), jobs_folder=tmp_path)
    job = finish(second, id)
    assert (job["state"], job["done"]) == ("done", 5)
    assert len(calls) == 5 - done
    for level, file in zip(range(10, 60, 10), job["files"], strict=True):
        assert file["faces"][0]["status"] == "restored"
        assert read_image(second.get(f"/v1/jobs/{id}/results/{file['result']}").content)[12, 10, 0] == 255 - level


def test_half_an_upload_of_a_killed_server_is_removed(tmp_path):
    (tmp_path / f"{INCOMING}x" / "uploads").mkdir(parents=True)
    (tmp_path / "y").mkdir()
    made = engine(jobs_folder=tmp_path)
    jobs = Jobs(made)
    with pytest.raises(OutputError, match="another server"):
        Jobs(made)
    jobs.close()
    made.close()
    assert {path.name for path in tmp_path.iterdir()} == {"y", "lock"}


def test_finished_jobs_expire(serve, tmp_path):
    client = serve(jobs_folder=tmp_path, job_hours=1e-9)
    id = post(client, 10).json()["id"]
    finish(client, id)
    client.close_server()
    again = serve(jobs_folder=tmp_path, job_hours=1e-9)
    for _ in range(600):
        if not (tmp_path / id).exists():
            break
        time.sleep(0.02)
    assert again.get(f"/v1/jobs/{id}").status_code == 404


def test_names_of_clients_become_names_of_files():
    given = [
        "../../etc/passwd",
        "C:\\a\\b.jpg",
        ".hidden.png",
        "",
        "a\x00b\n.png",
        "x" * 300 + ".jpg",
        "B.JPG",
        "b.jpg",
    ]
    made = safe_names(given)
    assert made[:5] == ["passwd", "b.jpg", "hidden.png", "image", "a_b_.png"]
    assert made[5] == "x" * 120 + ".jpg"
    assert made[6:] == ["B-2.JPG", "b-3.jpg"]
