"""A real server on a socket: under load, with faults and clients that leave, each gets its own reply."""

import asyncio
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event, Thread

import httpx
import numpy as np
import pytest
import uvicorn
from stand_ins_of_serve import encoded, engine, flat, invert, one_face
from test_bad_requests import assert_problem

from revisage.images import read_image
from revisage.serve.app import create_app


@contextmanager
def listening(tmp_path, **settings):
    """The address of a server in a thread, and its engine."""
    made = engine(jobs_folder=tmp_path, **settings)
    server = uvicorn.Server(uvicorn.Config(create_app(made.settings, made), log_level="error"))
    listener = socket.create_server(("127.0.0.1", 0))
    thread = Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", made
    finally:
        server.should_exit = True
        thread.join(30)
        listener.close()


def wait_for(condition):
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it never came")


BROKEN = 255
"""Level of images at which the network breaks."""


def breaking(crops):
    if crops.max() > 0.95:
        raise RuntimeError("broken")
    return invert(crops)


async def send(client, number):
    """One request; every fifth is no image, every seventh leaves before its reply, every eleventh breaks the network.

    True: the reply is its own.
    """
    level = BROKEN if number % 11 == 3 else number % 240
    body = b"no image" if number % 5 == 0 else encoded(flat(level, (20 + number % 7, 24)))
    timeout = 0.002 if number % 7 == 0 else 60
    try:
        reply = await client.post("/v1/restore?scale=1", content=body, timeout=timeout)
    except httpx.TimeoutException:
        return timeout < 1
    if number % 5 == 0:
        return reply.status_code == 422 and "not an image" in reply.text
    if level == BROKEN:
        return reply.status_code == 500 and "a fault of the server" in reply.text
    image = read_image(reply.content)
    return image.shape == (20 + number % 7, 24, 3) and image[12, 12].tolist() == [255 - level] * 3


@pytest.mark.parametrize("batch", [1, 4])
def test_no_reply_is_another_clients(tmp_path, batch):
    async def load(address):
        limits = httpx.Limits(max_connections=16)
        async with httpx.AsyncClient(base_url=address, limits=limits, timeout=60) as client:
            return await asyncio.gather(*(send(client, number) for number in range(96)))

    with listening(tmp_path, network=breaking, workers=4, queue=500, batch=batch) as (address, made):
        assert all(asyncio.run(load(address)))
        wait_for(lambda: made.pending == 0)


def test_a_client_that_leaves_cancels_its_work(tmp_path):
    seen, go = [], Event()

    def network(crops):
        seen.append(1)
        go.wait(20)
        return invert(crops)

    with listening(tmp_path, network=network, detect=lambda image: one_face(image) * 5) as (address, made):
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{address}/v1/restore", content=encoded(flat(1)), timeout=0.5)
        wait_for(lambda: seen)
        wait_for(lambda: 'status="499"' in httpx.get(f"{address}/metrics").text)
        go.set()
        wait_for(lambda: made.pending == 0)
    assert len(seen) == 1


def test_half_an_upload_leaves_nothing(tmp_path):
    with listening(tmp_path) as (address, made):
        host, port = address.removeprefix("http://").split(":")
        for path, kind in (("restore", "image/png"), ("jobs", "multipart/form-data; boundary=x")):
            head = (
                f"POST /v1/{path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: 9999\r\n\r\n"
            )
            with socket.create_connection((host, int(port))) as connection:
                connection.sendall(head.encode() + b"half")
        wait_for(lambda: not list(tmp_path.glob("incoming-*")))
        assert httpx.get(f"{address}/healthz").status_code == 200
        assert made.pending == 0
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


@pytest.mark.parametrize(
    ("path", "kind"), [("restore", "image/png"), ("jobs", "multipart/form-data; boundary=x"), ("detect", "image/png")]
)
def test_an_upload_that_takes_too_long_is_given_up(tmp_path, path, kind):
    with listening(tmp_path, max_seconds=0.3, max_job_seconds=0.3) as (address, made):
        host, port = address.removeprefix("http://").split(":")
        head = f"POST /v1/{path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: 9999\r\n\r\n"
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(head.encode() + b"--x\r\n")
            reply = connection.recv(10_000).decode()
        assert reply.startswith("HTTP/1.1 408 ")
        assert "application/problem+json" in reply
        assert made.pending == 0
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_a_network_that_hangs_does_not_hold_up_the_answer(tmp_path):
    go = Event()

    def network(crops):
        go.wait(20)
        return invert(crops)

    with listening(tmp_path, network=network, max_seconds=1) as (address, made):
        reply = httpx.post(f"{address}/v1/restore", content=encoded(flat(1)), timeout=15)
        assert_problem(reply, 503, "longer than this server allows")
        go.set()
        wait_for(lambda: made.pending == 0)


def test_a_client_that_leaves_within_its_reply_costs_no_other(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (700, 700, 3), np.uint8)  # 1.5 MB as PNG
    with listening(tmp_path, detect=lambda _: []) as (address, made):
        host, port = address.removeprefix("http://").split(":")
        body = encoded(noise)
        head = f"POST /v1/restore?scale=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        for _ in range(3):
            with socket.socket() as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                connection.connect((host, int(port)))
                connection.sendall(head.encode() + body)
                assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
        reply = httpx.post(f"{address}/v1/restore?scale=1", content=encoded(flat(9)), timeout=15)
        assert np.array_equal(read_image(reply.content), flat(9))
        wait_for(lambda: made.pending == 0)


def test_a_full_queue_answers_at_once_and_recovers(tmp_path):
    go = Event()

    def network(crops):
        go.wait(20)
        return invert(crops)

    with (
        listening(tmp_path, network=network, workers=1, queue=1) as (address, _),
        ThreadPoolExecutor(8) as pool,
        httpx.Client(base_url=address, timeout=60) as client,
    ):
        futures = [pool.submit(client.post, "/v1/restore", content=encoded(flat(level))) for level in range(8)]
        wait_for(lambda: sum(future.done() for future in futures) == 6)
        go.set()
        replies = [future.result(30) for future in futures]
    assert sorted(reply.status_code for reply in replies) == [200] * 2 + [429] * 6
    assert all(int(reply.headers["retry-after"]) >= 1 for reply in replies if reply.status_code == 429)
