"""Work in threads: order, room, errors, and an end whenever it is wanted."""

import threading
import time

import pytest

from revisage.jobs.ordered_prefetch import ordered_prefetch


class Gauge:
    """Work that takes a moment, and counts what is in memory: taken, and not yet handed on."""

    def __init__(self):
        self.held = self.most = 0
        self.lock = threading.Lock()

    def items(self, sizes):
        for size in sizes:
            self.held += size
            self.most = max(self.most, self.held)
            yield size

    def work(self, size):
        time.sleep(0.001 * (size % 3))
        return size


@pytest.mark.parametrize("prompt", [True, False])
@pytest.mark.parametrize("threads", [1, 4])
def test_results_come_in_order(prompt, threads):
    items = [3, "settled", 1, 2, "too", 4, 9, 1] * 10
    gauge = Gauge()
    assert list(ordered_prefetch(gauge.work, items, str, int, prompt=prompt, threads=threads)) == items


@pytest.mark.parametrize(("sizes", "most"), [([1] * 50, 10 + 1), ([4, 4, 4, 4] * 5, 8 + 4), ([100, 1, 100, 1], 101)])
def test_no_more_is_held_than_there_is_room_for_and_one(sizes, most):
    gauge = Gauge()
    for size in ordered_prefetch(gauge.work, gauge.items(sizes), str, int, threads=8, max_bytes=10):
        gauge.held -= size
    assert gauge.most == most


@pytest.mark.parametrize(("threads", "each"), [(1, 4), (3, 2)])
def test_however_light_they_are_only_a_few_items_a_thread_are_taken(threads, each):
    gauge = Gauge()
    results = ordered_prefetch(
        lambda item: -item, gauge.items([1] * 1000), str, lambda _: 0, threads=threads, per_thread=each
    )
    assert next(results) == -1
    assert gauge.held == threads * each + 1
    assert list(results) == [-1] * 999


def test_one_that_is_too_large_goes_through_alone():
    assert list(ordered_prefetch(lambda size: size, [5, 500, 5], str, int, max_bytes=10)) == [5, 500, 5]


def test_an_error_comes_out_in_its_turn():
    results = ordered_prefetch(lambda item: 1 / item, [1, 2, 0, 4], str, int)
    assert [next(results), next(results)] == [1, 0.5]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_closing_waits_for_what_has_begun_and_drops_the_rest():
    begun, finished = [], []

    def work(item):
        begun.append(item)
        time.sleep(0.05)
        finished.append(item)
        return item

    results = ordered_prefetch(work, range(100), str, int, threads=2)
    assert next(results) == 0
    results.close()
    assert sorted(begun) == sorted(finished)
    assert len(begun) < 6


def test_a_result_that_is_ready_is_handed_on_before_an_item_that_is_slow_to_come():
    finished, handed_on = threading.Event(), []

    def items():
        yield 0
        assert finished.wait(20)
        time.sleep(0.05)  # the pool notes it a moment later
        yield 1
        assert handed_on == [0]
        yield 2

    for result in ordered_prefetch(lambda item: finished.set() or item, items(), str, int, prompt=True):
        handed_on.append(result)
    assert handed_on == [0, 1, 2]
