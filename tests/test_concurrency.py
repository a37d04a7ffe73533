"""One restorer, many threads: everyone gets their own picture, and the bytes of a serial run."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from torch import nn

import revisage
from locations import EXAMPLES
from on_arrays import opened
from revisage.auxiliary import FirstOutput
from revisage.compat import GFPGANer
from revisage.images.pixels import to_float
from revisage.restore.align import TEMPLATE
from revisage.restore.pipeline import Restorer
from revisage.types import Face

PHOTO = EXAMPLES / "photo.jpg"
PEOPLE = 16


@pytest.fixture(scope="module")
def photos():
    """Sixteen different photos of 96 pixels with one face each, half of them mirrored, all in other colours."""
    head = cv2.resize(revisage.read_image(PHOTO)[10:170, 95:255], (96, 96), interpolation=cv2.INTER_AREA)
    tints = np.random.default_rng(0).uniform(0.6, 1, (PEOPLE, 3))
    variants = [(head * tint).astype(np.uint8) for tint in tints]
    return [np.ascontiguousarray(photo[:, :: (-1) ** place]) for place, photo in enumerate(variants)]


@pytest.fixture(scope="module")
def embedded():
    return revisage.load("embedded", device="cpu")


def at_once(work, count=PEOPLE):
    """work(0), work(1), ... each in a thread of its own, begun together."""
    start = threading.Barrier(count)

    def begin(place):
        start.wait()
        return work(place)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(begin, range(count)))


def same(a, b):
    return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_sixteen_threads_get_the_bytes_of_a_serial_run(embedded, photos):
    def restored(place):
        result = embedded(photos[place], scale=1)
        return [result.image, *(face.restored for face in result.faces)]

    serial = [restored(place) for place in range(PEOPLE)]
    parallel = at_once(restored)
    assert min(len(pictures) for pictures in serial) >= 2  # everyone has a face
    assert [same(*pair) for pair in zip(serial, parallel, strict=True)] == [True] * PEOPLE


class Slow(nn.Module):
    """Gives way to the other threads in the middle of its work, as a network on an accelerator does."""

    def forward(self, x):
        time.sleep(0.002)
        y = x * 0.5
        time.sleep(0.002)
        return y + 0.25, []


def marked(place):
    """A photo of one colour whose only face is its middle; the colour says whose it is."""
    return np.full((64, 64, 3), 10 + 10 * place, np.uint8)


def assert_is_of(place, crop, restored):
    """The face is the one of ``marked``, and ``Slow`` has restored it."""
    gray = 10 + 10 * place
    after = round(((gray / 127.5 - 1) * 0.5 + 0.25 + 1) * 127.5)
    middle = slice(4, -4)  # the border mixes with what is outside the photo
    assert (crop[middle, middle] == gray).all()
    assert np.abs(restored[middle, middle].astype(int) - after).max() <= 1


@pytest.fixture
def slow():
    def detect(picture):
        time.sleep(0.002)
        return [Face(np.array([0, 0, 64, 64], np.float32), (TEMPLATE / 8).astype(np.float32), 0.9)]

    return Restorer("slow", detect, FirstOutput(network := opened(Slow())), 64, device=network.device)


def test_no_face_ever_lands_in_the_picture_of_another_person(slow):
    """TencentARC/GFPGAN#519: one restorer behind a web service, and people got each other's faces."""

    def meet(place):
        for _ in range(10):
            (face,) = slow(marked(place), scale=1).faces
            assert_is_of(place, face.crop, face.restored)

    at_once(meet)


def test_no_face_ever_lands_in_the_picture_of_another_person_by_the_classic_interface(slow, monkeypatch):
    """The same for ``GFPGANer``, whose helper every caller once shared; also what callers read from it afterwards."""
    monkeypatch.setattr("revisage.compat.gfpganer.load", lambda *_, **__: slow)
    shared = GFPGANer("any.pth", upscale=1)

    def meet(place):
        for _ in range(10):
            cropped, restored, _ = shared.enhance(marked(place))
            time.sleep(0.001)
            helper = shared.face_helper
            assert_is_of(place, cropped[0], restored[0])
            assert (helper.input_img == marked(place)).all()
            assert same(helper.cropped_faces, cropped)
            assert same(helper.restored_faces, restored)

    at_once(meet)


def test_what_a_caller_does_to_the_helper_changes_no_other_restoration(slow, monkeypatch):
    monkeypatch.setattr("revisage.compat.gfpganer.load", lambda *_, **__: slow)
    shared = GFPGANer("any.pth", upscale=1)
    _, before, _ = shared.enhance(marked(3))
    shared.face_helper.clean_all()
    shared.face_helper.cropped_faces.append(marked(9))
    cropped, after, _ = shared.enhance(marked(3))
    assert len(cropped) == 1
    assert same(before, after)


def test_the_classic_interface_in_sixteen_threads_gives_the_bytes_of_a_serial_run(embedded, photos, monkeypatch):
    monkeypatch.setattr("revisage.compat.gfpganer.load", lambda *_, **__: embedded)
    shared = GFPGANer("embedded", upscale=1)

    def restored(place):
        cropped, faces, picture = shared.enhance(photos[place])
        return [*cropped, *faces, picture]

    serial = [restored(place) for place in range(PEOPLE)]
    assert [same(*pair) for pair in zip(serial, at_once(restored), strict=True)] == [True] * PEOPLE


def test_two_threads_may_load_at_the_same_time(photos):
    loaded = at_once(lambda _: revisage.load("embedded", device="cpu"), 2)
    first, second = (restorer(photos[0], scale=1).image for restorer in loaded)
    assert np.array_equal(first, second)
    assert not np.array_equal(first, photos[0])


def test_the_number_of_threads_of_the_networks_changes_hardly_a_bit(photos, monkeypatch):
    def restored(threads):
        monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
        embedded = revisage.load("embedded", device="cpu")
        (face,) = embedded(photos[0], aligned=True).faces
        found = embedded.detect(photos[0][10:86, 10:86])
        assert found
        return face.restored.astype(float), np.array([face.landmarks for face in found])

    (face, landmarks), (other_face, other_landmarks) = restored(1), restored(2)
    assert np.abs(face - other_face).max() <= 1
    assert np.abs(landmarks - other_landmarks).max() < 1e-3


def test_float_pictures_are_not_written_to(embedded, photos):
    picture = to_float(photos[0])
    before = picture.copy()
    embedded(picture, scale=1)
    assert np.array_equal(picture, before)
