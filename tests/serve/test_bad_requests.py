"""Every wrong request gets one clear answer, as problem details (RFC 9457)."""

import errno
import io

import numpy as np
import PIL.Image
import pytest
from stand_ins_of_serve import encoded, flat, one_face

PNG = {"content-type": "image/png"}


def post(client, query="", **more):
    return client.post(f"/v1/restore?{query}", **({"files": {"image": encoded(flat(10))}} | more))


def assert_problem(reply, status, *words):
    assert reply.headers["content-type"] == "application/problem+json"
    problem = reply.json()
    assert (reply.status_code, problem["status"]) == (status, status)
    assert problem["type"] == "about:blank"
    assert "\n" not in problem["detail"]
    for word in words:
        assert word in problem["detail"]


@pytest.fixture(scope="module")
def client(serve):
    return serve()


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("strength=2", ["strength", "less than or equal to 1, not 2"]),
        ("strength=nan", ["strength"]),
        ("strenth=1", ["strenth", "unknown field; did you mean strength"]),
        ("weight=0.5", ["did you mean strength?"]),
        ("faces=first", ["faces", "largest"]),
        ("roi=1,2,3", ["roi", "x1,y1,x2,y2"]),
        ("min_face_size=9&max_face_size=5", ["no face is between 9 and 5"]),
        ("model=gfpgan-1.4", ["gfpgan-1.4", "plain"]),
        ("model=/etc/passwd", ["no model"]),
        ("format=exe", ["format"]),
        ("metadata=some", ["metadata"]),
        ("min_identity=0.5", ["identity"]),
    ],
)
def test_a_wrong_field_is_named(client, query, words):
    assert_problem(post(client, query), 422 if "min_identity" not in query else 501, *words)


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        ({"content": b"", "files": None, "headers": PNG}, 422, "no image"),
        ({"content": b"no image at all", "files": None, "headers": PNG}, 422, "not an image"),
        ({"content": encoded(flat(10))[:60], "files": None, "headers": PNG}, 422, "truncated"),
        ({"content": b"{}", "files": None, "headers": {"content-type": "application/json"}}, 415, "multipart"),
        ({"headers": {"content-encoding": "gzip"}}, 415, "Content-Encoding"),
        ({"headers": {"accept": "text/html"}}, 406, "text/html"),
        ({"content": b"x", "files": None, "headers": {"content-type": "multipart/form-data"}}, 400, "boundary"),
        ({"files": {"file": b"x"}}, 422, "'image'"),
        ({"files": [("image", b"x"), ("image", b"y")]}, 422, "2 files"),
        ({"data": {"strength": ["1", "0"]}}, 422, "twice"),
        ({"data": {"reference": "/etc/passwd"}}, 422, "unknown field"),
        ({"data": {"image": "http://127.0.0.1/"}, "files": None}, 415, "multipart"),
    ],
    ids=str,
)
def test_a_wrong_body_is_refused(client, body, status, word):
    assert_problem(post(client, **body), status, word)


def test_a_form_without_its_end_is_refused(client):
    whole = client.build_request("POST", "/v1/restore", files={"image": encoded(flat(10))})
    kind = whole.headers["content-type"]
    reply = client.post("/v1/restore", content=whole.read()[:-80], headers={"content-type": kind})
    assert reply.status_code in (400, 422)
    assert_problem(reply, reply.status_code)


def test_an_image_under_a_wrong_name_is_read_by_its_content(client):
    assert post(client, files={"image": ("photo.txt", encoded(flat(10)), "text/plain")}).status_code == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_a_large_upload_is_refused(serve, chunked):
    client = serve(max_bytes=500)
    body = iter([b"x" * 400, b"x" * 400]) if chunked else b"x" * 800
    assert_problem(post(client, files=None, content=body, headers=PNG), 413, "0.0005 MB")


def test_a_large_image_is_refused_before_it_is_decoded(serve):
    client = serve(max_pixels=400)
    assert_problem(post(client), 422, "limit")
    bomb = io.BytesIO()
    PIL.Image.new("1", (3000, 3000)).save(bomb, "PNG")
    assert_problem(post(client, files={"image": bomb.getvalue()}), 422, "limit")


def test_a_large_result_is_refused(serve):
    assert_problem(post(serve(max_output_pixels=1000), "scale=8"), 422, "choose a smaller scale")


def test_a_crowd_is_refused(serve):
    client = serve(detect=lambda image: one_face(image) * 3, max_faces=2)
    assert_problem(post(client), 422, "3 faces")


def test_a_full_queue_says_when_to_come_again(serve):
    client = serve(workers=1, queue=0)
    client.engine._pending = 1
    reply = post(client)
    assert_problem(reply, 429, "try again")
    assert int(reply.headers["retry-after"]) >= 1
    client.engine._pending = 0


def test_a_format_that_cannot_hold_the_image_is_refused(client):
    image = encoded(np.dstack([flat(10), flat(99)[:, :, :1]]))
    assert_problem(post(client, "format=jpg", files={"image": image}), 422, "transparency")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (MemoryError("2 GB"), 503),
        (OSError(errno.ENOSPC, "No space left on device"), 507),
        (RuntimeError("secret"), 500),
    ],
)
def test_faults_of_the_server_tell_no_details(serve, error, status):
    def fail(crops):
        raise error

    reply = post(serve(network=fail))
    assert_problem(reply, status)
    assert "secret" not in reply.text


def test_a_face_that_fails_is_reported(serve):
    client = serve(network=lambda crops: crops * np.nan)
    reply = post(client, headers={"accept": "application/json"})
    assert [face["status"] for face in reply.json()["faces"]] == ["failed"]


def test_unknown_paths_and_methods_are_problems(client):
    assert_problem(client.get("/v1/nothing"), 404)
    assert_problem(client.get("/v1/restore"), 405)
