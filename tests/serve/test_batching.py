"""Faces of several threads share calls of the network; none gets another's, and a failure stays its own."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest

from revisage.serve.batching import MicroBatcher


def crop(value, count=1):
    return np.full((count, 3, 2, 2), value, np.float32)


class Network:
    """Doubles crops; the first call waits until the others have queued."""

    def __init__(self):
        self.sizes, self.go = [], Event()

    def __call__(self, crops):
        self.go.wait(10)
        self.sizes.append(len(crops))
        if (crops == 13).any():
            raise MemoryError("unlucky")
        return crops * 2


@pytest.fixture
def network():
    return Network()


@pytest.fixture
def batcher(network):
    made = MicroBatcher(network, 4)
    yield made
    network.go.set()
    made.close()


def call_together(batcher, network, values):
    with ThreadPoolExecutor(len(values)) as pool:
        futures = [pool.submit(batcher, value) for value in values]
        while len(batcher._waiting) < len(values) - 4:
            pass
        network.go.set()
        return [future.exception(10) or future.result() for future in futures]


def test_each_caller_gets_its_own_faces(batcher, network):
    values = [crop(value, 1 + value % 3) for value in range(12)]
    for given, got in zip(values, call_together(batcher, network, values), strict=True):
        assert np.array_equal(got, given * 2)


def test_what_waits_goes_through_together(batcher, network):
    call_together(batcher, network, [crop(value) for value in range(9)])
    assert sum(network.sizes) == 9
    assert len(network.sizes) < 9


def test_no_call_takes_more_faces_than_its_limit_unless_one_caller_has_more(batcher, network):
    values = [crop(1, count) for count in (3, 3, 2, 6, 1, 3, 2, 2)]
    call_together(batcher, network, values)
    assert sum(network.sizes) == 22
    assert [size for size in network.sizes if size > 4] == [6]


def test_a_failure_costs_only_the_one_that_failed(batcher, network):
    results = call_together(batcher, network, [crop(value) for value in (1, 2, 13, 4, 5, 6, 7)])
    assert isinstance(results.pop(2), MemoryError)
    assert [result.mean() for result in results] == [2, 4, 8, 10, 12, 14]
