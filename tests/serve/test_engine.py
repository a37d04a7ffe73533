"""The engine: what it returns is the caller's own, it refuses what it cannot hold, and it stops what nobody awaits."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest
from stand_ins_of_serve import engine, flat, invert, one_face

from revisage.errors import CancelledError, UnknownModelError
from revisage.models.device import DeviceConfig
from revisage.process import is_crowded
from revisage.serve.engine import BusyError, TooManyFacesError, TooSlowError

GPU = DeviceConfig("torch", "cuda", "float16", "test")


@pytest.fixture
def held():
    """An engine of one worker whose network waits for ``go``; ``begun`` is set once it runs."""
    begun, go = Event(), Event()

    def wait(crops):
        begun.set()
        assert go.wait(10)
        return invert(crops)

    made = engine(wait, workers=1, queue=1, max_seconds=30)
    yield made, begun, go
    go.set()
    made.close()


@pytest.mark.parametrize("batch", [1, 4])
def test_each_caller_gets_its_own_image(batch):
    made = engine(workers=4, queue=100, batch=batch)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda level: made.restore(flat(level), scale=1), range(0, 250, 5)))
    made.close()
    for level, result in zip(range(0, 250, 5), results, strict=True):
        assert result.image[12, 10].tolist() == [255 - level] * 3


def test_a_full_queue_refuses_and_says_when_to_come_again(held):
    made, begun, _ = held
    made.submit(lambda one: one(flat(1)))
    assert begun.wait(10)
    made.submit(lambda one: one(flat(2)))
    with pytest.raises(BusyError) as caught:
        made.restore(flat(3))
    assert caught.value.seconds >= 1


def test_there_is_room_again_after_a_cancel(held):
    made, begun, _ = held
    made.submit(lambda one: one(flat(1)))
    assert begun.wait(10)
    made.submit(lambda one: one(flat(2))).cancel()
    assert made.pending == 1
    made.submit(lambda one: one(flat(3)))


def cancel_at(begun, go, task):
    """Cancel it in the middle of a step."""
    assert begun.wait(10)
    task.cancel()
    go.set()
    with pytest.raises(CancelledError):
        task.future.result(10)


def test_cancelled_work_ends_before_its_next_step():
    seen, begun, go = [], Event(), Event()

    def wait(crops):
        seen.append(len(crops))
        begun.set()
        go.wait(10)
        return invert(crops)

    made = engine(wait, detect=lambda image: one_face(image) * 3)
    task = made.submit(lambda one: one(flat(1)))
    cancel_at(begun, go, task)
    made.close()
    assert len(seen) == 1


@pytest.mark.parametrize("step", ["detect", "network"])
def test_cancelled_work_ends_on_an_accelerator_too_where_threads_work_ahead(step):
    seen, begun, go = [], Event(), Event()

    def hold(name, value):
        seen.append(name)
        if name == step:
            begun.set()
            assert go.wait(10)
        return value

    made = engine(
        lambda crops: hold("network", invert(crops)),
        lambda image: hold("detect", one_face(image)),
        of_restorer={"device": GPU},
        batch=1,
    )
    task = made.submit(lambda one: one([flat(level) for level in range(9)]))
    cancel_at(begun, go, task)
    made.close()
    assert seen.count(step) == 1


def test_an_image_that_takes_too_long_is_given_up_on_an_accelerator_too():
    seen = []

    def slow(crops):
        seen.append(len(crops))
        time.sleep(0.15)
        return invert(crops)

    made = engine(slow, of_restorer={"device": GPU}, batch=1, max_seconds=0.1)
    with pytest.raises(TooSlowError):
        made.submit(lambda one: one([flat(1)] * 9)).future.result(10)
    made.close()
    assert len(seen) <= 1


def test_leaving_an_await_cancels_the_work(held):
    made, begun, _ = held

    async def leave():
        first = asyncio.ensure_future(made.restore_async(flat(1)))
        await asyncio.to_thread(begun.wait, 10)
        second = asyncio.ensure_future(made.restore_async(flat(2)))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        pending = made.pending
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        return pending

    assert asyncio.run(leave()) == 1


@pytest.mark.parametrize(("workers", "crowded"), [(2, [False, True]), (1, [False, False])])
def test_networks_know_whether_other_images_are_in_progress(workers, crowded):
    seen, begun, go = [], Event(), Event()

    def network(crops):
        seen.append(is_crowded.get())
        begun.set()
        assert go.wait(10)
        return invert(crops)

    made = engine(network, workers=workers)
    first = made.submit(lambda one: one(flat(1)))
    assert begun.wait(10)
    second = made.submit(lambda one: one(flat(2)))
    go.set()
    for task in (first, second):
        task.future.result(10)
    made.close()
    assert sorted(seen) == crowded


def test_an_image_that_takes_too_long_is_given_up():
    def slow(crops):
        time.sleep(0.06)
        return invert(crops)

    made = engine(slow, detect=lambda image: one_face(image) * 9, max_seconds=0.1)
    with pytest.raises(TooSlowError):
        made.restore(flat(1))
    made.close()


@pytest.mark.parametrize(("batch", "sizes"), [(0, [8, 4]), (3, [3, 3, 3, 3]), (1, [1] * 12)])
def test_an_accelerator_takes_as_many_faces_in_a_call_as_the_settings_say(batch, sizes):
    seen = []

    def network(crops):
        seen.append(len(crops))
        return invert(crops)

    of_restorer = {"device": GPU, "batch": 8}
    made = engine(network, lambda image: one_face(image) * 12, of_restorer=of_restorer, batch=batch)
    made.restore(flat(1), scale=1)
    made.close()
    assert seen == sizes


def test_a_crowd_is_refused():
    made = engine(detect=lambda image: one_face(image) * 3, max_faces=2)
    with pytest.raises(TooManyFacesError, match="3 faces are more than the limit of 2"):
        made.restore(flat(1))
    made.close()


def test_closing_finishes_what_was_accepted():
    made = engine(workers=1)
    tasks = [made.submit(lambda one, level=level: one(flat(level), scale=1)) for level in (1, 2, 3)]
    made.close()
    assert [task.future.result(0).image[12, 10, 0] for task in tasks] == [254, 253, 252]
    with pytest.raises(BusyError):
        made.restore(flat(1))


def test_it_offers_the_models_that_it_has():
    made = engine()
    (model,) = made.models()
    assert (model.name, model.is_default) == ("plain", True)
    with pytest.raises(UnknownModelError, match="plain"):
        made.restore(flat(1), model="plane")
    assert np.array_equal(made.detect(flat(1))[0].box, one_face(flat(1))[0].box)
    made.close()
