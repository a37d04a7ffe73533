import threading

import numpy as np
import PIL.Image
import pytest

from revisage.errors import CancelledError, InputError
from revisage.models.device import DeviceConfig
from revisage.restore.align import TEMPLATE
from revisage.restore.pipeline import Restorer
from revisage.types import Face, FaceStatus

SIZE = 64


def face_at(x, y, width, score=0.9):
    """A face whose template position is a square of ``width`` pixels at (x, y)."""
    landmarks = (TEMPLATE * width / 512 + (x, y)).astype(np.float32)
    return Face(np.array([x, y, x + width, y + width], np.float32), landmarks, score)


def restorer(faces=(), network=lambda x: x, batch=2):
    return Restorer("test", lambda _: list(faces), network, SIZE, batch=batch)


def photo(height=120, width=160, dtype=np.uint8, seed=0):
    values = np.random.default_rng(seed).random((height, width, 3))
    return values.astype(np.float32) if dtype == np.float32 else (values * np.iinfo(dtype).max).astype(dtype)


def brighter(x):
    return np.clip(x + np.float32(0.5), -1, 1)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_network_that_changes_nothing_leaves_the_picture_as_it_is(dtype):
    image = photo(dtype=dtype)
    result = restorer([face_at(30, 20, 80)])(image, scale=1)
    assert result.image.dtype == dtype
    assert np.allclose(result.image, image, atol=0 if dtype != np.float32 else 1e-6)


@pytest.mark.parametrize("scale", [1, 1.5, 2, 3])
def test_the_result_has_the_asked_for_size(scale):
    image = photo(61, 47)
    assert restorer()(image, scale=scale).image.shape == (round(61 * scale), round(47 * scale), 3)


def test_only_the_face_changes():
    image = np.full((120, 160, 3), 100, np.uint8)
    result = restorer([face_at(30, 20, 80)], brighter)(image, scale=1).image
    assert result[60, 70].min() > 150
    assert (result[:, 115:] == 100).all()


def test_strength_mixes_between_nothing_and_all():
    image = np.full((120, 160, 3), 100, np.uint8)
    middle = [
        int(restorer([face_at(30, 20, 80)], brighter)(image, scale=1, strength=s).image[60, 70, 0])
        for s in (0, 0.25, 0.5, 0.75, 1)
    ]
    assert middle[0] == 100
    assert np.allclose(np.diff(middle), 16, atol=1)


def test_no_face_gives_the_enlarged_picture():
    image = np.full((20, 30, 3), 77, np.uint8)
    result = restorer()(image, scale=2)
    assert result.faces == []
    assert (result.image == 77).all()


def test_a_list_gives_the_results_of_single_calls():
    faces = [face_at(30, 20, 80), face_at(90, 30, 60)]
    many, images = restorer(faces, brighter, batch=3), [photo(seed=i) for i in range(3)]
    together = many(images, scale=1)
    for image, result in zip(images, together, strict=True):
        alone = many(image, scale=1)
        assert np.array_equal(alone.image, result.image)
        assert np.array_equal(alone.faces[1].restored, result.faces[1].restored)


def test_with_an_accelerator_the_next_image_is_prepared_while_the_network_runs():
    images, detected, second = [photo(seed=seed) for seed in range(3)], [], threading.Event()

    def detect(image):
        detected.append(image)
        if len(detected) == 2:
            second.set()
        return [face_at(30, 20, 80)]

    def network(batch):
        assert second.wait(20), "the second image is detected only after the first has been through the network"
        return brighter(batch)

    seen = []
    device = DeviceConfig("torch", "cuda", "float16", "as if")
    results = Restorer("test", detect, network, SIZE, device=device)(images, progress=lambda *done: seen.append(done))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    for image, result in zip(images, results, strict=True):
        assert np.array_equal(result.image, restorer([face_at(30, 20, 80)], brighter)(image).image)


def test_an_error_on_the_way_to_an_accelerator_is_raised():
    def fail(_):
        raise MemoryError("full")

    device = DeviceConfig("torch", "cuda", "float16", "as if")
    with pytest.raises(MemoryError, match="full"):
        Restorer("test", lambda _: [face_at(30, 20, 80)], fail, SIZE, device=device)([photo(), photo()])


def test_only_the_center_face_is_restored_on_request():
    result = restorer([face_at(0, 0, 60), face_at(55, 30, 60)], brighter)(photo(), scale=1, only_center_face=True)
    assert [face.status for face in result.faces] == [FaceStatus.NOT_SELECTED, FaceStatus.RESTORED]
    assert result.faces[0].restored is None


def test_a_face_too_small_to_restore_is_reported():
    result = restorer([face_at(10, 10, 18)], brighter)(photo(), scale=1)
    assert result.faces[0].status is FaceStatus.TOO_SMALL
    assert "px apart" in result.faces[0].reason


def test_output_that_is_not_finite_is_a_failed_face_and_touches_nothing():
    image = photo()

    def broken(x):
        x = x.copy()
        x[0, 0, 5, 5] = float("nan")
        return x + 0.1

    result = restorer([face_at(10, 10, 60), face_at(90, 40, 60)], broken, batch=2)(image, scale=1)
    assert [face.status for face in result.faces] == [FaceStatus.FAILED, FaceStatus.RESTORED]
    assert np.array_equal(result.image[:80, :75], image[:80, :75])


def test_landmarks_in_one_place_are_a_failed_face():
    bad = Face(np.array([10, 10, 60, 60], np.float32), np.full((5, 2), 30, np.float32), 0.9)
    bad.landmarks[0] = 30 + 1e-4
    spread = Face(bad.box, np.array([[30, 30], [40, 30], [np.nan, 0], [0, 0], [0, 0]], np.float32), 0.9)
    result = restorer([spread])(photo(), scale=1)
    assert result.faces[0].status is FaceStatus.FAILED


def test_crops_come_in_the_dtype_of_the_picture():
    result = restorer([face_at(30, 20, 80)])(photo(dtype=np.uint16), scale=1)
    assert result.faces[0].crop.dtype == result.faces[0].restored.dtype == np.uint16
    assert result.faces[0].crop.shape == (SIZE, SIZE, 3)


def test_an_aligned_picture_becomes_the_restored_face():
    result = restorer(network=brighter)(np.full((32, 32, 3), 100, np.uint8), aligned=True)
    assert result.image.shape == (SIZE, SIZE, 3)
    assert (result.image == 164).all()
    assert result.faces[0].box is None


def test_an_aligned_picture_that_is_not_square_keeps_its_proportions():
    result = restorer()(photo(32, 16), aligned=True)
    assert result.image.shape == (64, 32, 3)


def test_pillow_images_are_taken_in_any_mode():
    for mode in ("1", "L", "P", "CMYK", "YCbCr", "HSV", "I", "I;16"):
        assert restorer()(PIL.Image.new(mode, (30, 20)), scale=1).image.shape == (20, 30, 3)


def test_sixteen_threads_get_the_bytes_of_a_serial_run():
    shared = restorer([face_at(30, 20, 80)], brighter)
    images = [photo(seed=i) for i in range(16)]
    serial = [shared(image, scale=1).image for image in images]
    parallel = [None] * 16

    def work(i):
        parallel[i] = shared(images[i], scale=1).image

    threads = [threading.Thread(target=work, args=(i,)) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(a, b) for a, b in zip(serial, parallel, strict=True))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4), np.uint8), r"shape \(height, width, 3\), or 4 with alpha, not \(4, 4\); make gray RGB"),
        (np.zeros((4, 4, 2), np.uint8), "shape"),
        (np.zeros((3, 8, 9), np.uint8), "transpose"),
        (np.full((4, 4, 3), 200, np.float32), "not 200 to 200; divide it by 255"),
        (np.full((4, 4, 3), -0.1, np.float32), "-0.1"),
        (np.zeros((4, 4, 3), np.int64), "int64"),
        (np.zeros((0, 4, 3), np.uint8), "shape"),
        (np.zeros((4, 4, 3), np.float64), "float64"),
        (np.full((4, 4, 3), np.nan, np.float32), "not finite"),
        ("photo.jpg", "str"),
    ],
)
def test_what_is_not_a_picture_is_refused(image, message):
    with pytest.raises(InputError, match=message):
        restorer()(image)


@pytest.mark.parametrize("settings", [{"strength": 1.1}, {"strength": -0.1}, {"scale": 0}, {"scale": 9}])
def test_values_out_of_range_are_refused(settings):
    with pytest.raises(InputError, match=next(iter(settings))):
        restorer()(photo(), **settings)


class TestProgressOfLists:
    IMAGES = tuple(photo(seed=seed) for seed in range(10))

    def test_a_callback_learns_of_each_image(self):
        seen = []
        restorer()(self.IMAGES, scale=1, progress=lambda *at: seen.append(at))
        assert seen == [(number, 10) for number in range(1, 11)]

    def test_a_callback_cancels_between_images(self):
        ran = []

        def network(batch):
            ran.extend(batch)
            return batch

        def cancel(done, total):
            raise CancelledError("enough")

        with pytest.raises(CancelledError, match="enough"):
            restorer([face_at(30, 20, 80)], network, batch=1)(self.IMAGES, scale=1, progress=cancel)
        assert 1 <= len(ran) < len(self.IMAGES)

    @pytest.mark.parametrize("batch", [1, 3])
    def test_groups_of_images_give_the_results_of_single_calls(self, batch):
        restore = restorer([face_at(30, 20, 80)], brighter, batch=batch)
        for image, result in zip(self.IMAGES, restore(self.IMAGES, scale=1), strict=True):
            assert np.array_equal(result.image, restore(image, scale=1).image)
