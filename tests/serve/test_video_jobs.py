"""Videos as jobs: restored frame by frame, followed, cancelled, and reported where they cannot be read."""

import json
import sys
from threading import Event

import numpy as np
import pytest
from stand_ins_of_serve import encoded, flat, invert
from test_bad_requests import assert_problem
from test_jobs import finish

from revisage.images import read_image

av = pytest.importorskip("av", reason="videos need PyAV")

FRAMES = 6


def video(path, level=80):
    """The bytes of a video of one gray level."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=5, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(FRAMES):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(flat(level, (48, 64)))))
        file.mux(stream.encode())
    return path.read_bytes()


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return video(tmp_path_factory.mktemp("clip") / "clip.mp4")


def post(client, *files):
    return client.post("/v1/jobs?scale=1", files=[("image", file) for file in files])


class HeldNetwork:
    """A network that waits in each call until ``go`` is set."""

    def __init__(self):
        self.begun, self.go, self.calls = Event(), Event(), 0

    def __call__(self, crops):
        self.calls += 1
        self.begun.set()
        assert self.go.wait(20)
        return invert(crops)


def test_a_video_and_a_photo_in_one_job(serve, clip, tmp_path):
    client = serve()
    id = post(client, ("clip.mp4", clip), ("photo.png", encoded(flat(10)))).json()["id"]
    job = finish(client, id)
    assert {file["name"]: (file["status"], file["error"]) for file in job["files"]} == {
        "clip.mp4": ("done", ""),
        "photo.png": ("done", ""),
    }
    (tmp_path / "result.mp4").write_bytes(client.get(f"/v1/jobs/{id}/results/clip.mp4").content)
    with av.open(str(tmp_path / "result.mp4")) as file:
        middles = [frame.to_ndarray(format="rgb24")[24, 32] for frame in file.decode(video=0)]
    assert len(middles) == FRAMES
    assert np.allclose(middles, 255 - 80, atol=6)
    assert read_image(client.get(f"/v1/jobs/{id}/results/photo.png").content)[12, 10, 0] == 245


def test_events_count_the_frames(serve, clip):
    network = HeldNetwork()
    client = serve(network=network)
    id = post(client, ("clip.mp4", clip)).json()["id"]
    assert network.begun.wait(20)
    network.go.set()
    with client.stream("GET", f"/v1/jobs/{id}/events") as reply:
        seen = [json.loads(line[6:]) for line in reply.iter_lines() if line.startswith("data: ")]
    assert seen[-1]["state"] == "done"
    assert all(one["frames"] <= FRAMES for one in seen)


def test_a_cancelled_video_ends_before_its_next_frame_and_leaves_no_half_result(serve, clip):
    network = HeldNetwork()
    client = serve(network=network)
    id = post(client, ("clip.mp4", clip)).json()["id"]
    assert network.begun.wait(20)
    client.post(f"/v1/jobs/{id}/cancel")
    network.go.set()
    finish(client, post(client, ("photo.png", encoded(flat(10)))).json()["id"])  # then the first one has ended
    assert client.get(f"/v1/jobs/{id}").json()["files"] == []
    assert client.get(f"/v1/jobs/{id}/results/clip.mp4").status_code == 404
    assert network.calls < FRAMES + 1


@pytest.mark.parametrize("kept", [0, 200], ids=["no video", "truncated"])
def test_a_video_that_cannot_be_read_is_one_line_and_costs_no_other(serve, clip, kept):
    client = serve()
    id = post(client, ("bad.mp4", clip[:kept] or b"no video"), ("photo.png", encoded(flat(10)))).json()["id"]
    job = finish(client, id)
    bad, good = (next(file for file in job["files"] if file["name"] == name) for name in ("bad.mp4", "photo.png"))
    assert (job["state"], bad["status"], good["status"]) == ("done", "failed", "done")
    assert "bad.mp4" in bad["error"]
    assert "\n" not in bad["error"]
    assert str(client.engine.settings.jobs_path) not in bad["error"]


@pytest.mark.parametrize("limit", [{"max_pixels": 3000}, {"max_output_pixels": 3000}], ids=str)
def test_a_video_of_frames_above_the_limit_is_refused_whatever_its_name(serve, clip, limit):
    client = serve(**limit)
    assert_problem(post(client, ("clip.mp4", clip)), 422, "clip.mp4")
    job = finish(client, post(client, ("clip.bin", clip)).json()["id"])
    assert "more than the limit" in job["files"][0]["error"]


def test_a_server_without_pyav_refuses_videos(serve, clip, monkeypatch):
    monkeypatch.delitem(sys.modules, "revisage.video.restore", raising=False)
    monkeypatch.setitem(sys.modules, "av.video.frame", None)
    assert_problem(post(serve(), ("clip.mp4", clip)), 422, "revisage[video]")
