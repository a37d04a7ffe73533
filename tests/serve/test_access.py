"""Who may use a server: keys, names, other origins, and what is said without one."""

import base64

import pytest
from stand_ins_of_serve import encoded, flat
from test_bad_requests import assert_problem

KEY = "correct horse"


def basic(key):
    return {"authorization": f"Basic {base64.b64encode(f'me:{key}'.encode()).decode()}"}


@pytest.fixture(scope="module")
def client(serve):
    return serve(api_key=KEY)


@pytest.mark.parametrize(
    "headers",
    [{}, {"x-api-key": "wrong"}, {"authorization": "Bearer wrong"}, basic("wrong"), {"authorization": "Basic !"}],
    ids=str,
)
@pytest.mark.parametrize("path", ["/v1/models", "/metrics", "/docs", "/nothing"])
def test_without_the_key_nothing_is_said(client, path, headers):
    reply = client.get(path, headers=headers)
    assert_problem(reply, 401, "key")
    assert reply.headers["www-authenticate"].startswith("Basic")


@pytest.mark.parametrize("headers", [{"x-api-key": KEY}, {"authorization": f"Bearer {KEY}"}, basic(KEY)], ids=str)
def test_the_key_opens(client, headers):
    assert client.post("/v1/restore", files={"image": encoded(flat(1))}, headers=headers).status_code == 200


def test_a_watcher_needs_no_key(client):
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ready"}


def test_other_origins_are_let_in_only_where_they_are_named(serve):
    origin = {"origin": "https://photos.example", "access-control-request-method": "POST"}
    assert "access-control-allow-origin" not in serve().get("/v1/models", headers=origin).headers
    open_ = serve(cors_origins=("https://photos.example",), api_key=KEY)
    assert open_.options("/v1/restore", headers=origin).headers["access-control-allow-origin"] == origin["origin"]
    other = open_.options("/v1/restore", headers=origin | {"origin": "https://else.example"})
    assert "access-control-allow-origin" not in other.headers


@pytest.mark.parametrize("host", ["localhost:8000", "LOCALHOST.", "192.168.1.7:80", "[::1]:8000", "photos.example"])
def test_addresses_and_names_that_are_allowed_lead_to_the_server(serve, host):
    client = serve(allowed_hosts=("Photos.example",))
    assert client.get("/healthz", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:8000", "[", "a b"])
@pytest.mark.parametrize("path", ["/v1/models", "/healthz", "/nothing"])
def test_names_of_others_are_refused(serve, host, path):
    assert_problem(serve().get(path, headers={"host": host}), 421, "--allow-host")


def test_a_key_makes_names_unimportant(client):
    assert client.get("/healthz", headers={"host": "evil.example"}).status_code == 200


def test_metrics_count_by_route_and_status(serve):
    client = serve()
    client.post("/v1/restore", files={"image": encoded(flat(1))})
    client.post("/v1/restore", files={"image": b"x"})
    client.get("/made-up")
    text = client.get("/metrics").text
    assert 'revisage_requests_total{route="/v1/restore",status="200"} 1.0' in text
    assert 'revisage_requests_total{route="/v1/restore",status="422"} 1.0' in text
    assert 'revisage_requests_total{route="other",status="404"} 1.0' in text
    assert "made-up" not in text
    assert "revisage_pending_images 0.0" in text


def test_a_server_that_ends_is_not_ready(serve):
    client = serve()
    client.stop()
    assert client.get("/readyz").status_code == 503
    assert client.get("/healthz").status_code == 200
