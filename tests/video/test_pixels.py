import av
import numpy as np
import pytest
from clips import image

from revisage.video.pixels import Colors, frame_of, image_of, replace_changed

ALL = [("yuv420p", 8), ("yuv422p", 8), ("yuv444p", 8), ("yuv420p10le", 10), ("yuv422p10le", 10)]
MEANT = [Colors(1, 1), Colors(5, 1), Colors(6, 2), Colors(9, 1), Colors()]


def planes(frame):
    wide = 2 if max(component.bits for component in frame.format.components) > 8 else 1
    kind = np.uint16 if wide == 2 else np.uint8
    lines = [np.frombuffer(bytes(plane), kind).reshape(plane.height, -1)[:, : plane.width] for plane in frame.planes]
    return [line.astype(int) for line in lines]


@pytest.mark.parametrize(("layout", "bits"), ALL)
@pytest.mark.parametrize("colors", MEANT, ids=str)
def test_a_round_trip_shifts_no_colour(layout, bits, colors):
    """Of a smooth image of many colors, whose chroma can be halved."""
    x, y = np.meshgrid(np.arange(96) / 96, np.arange(64) / 64)
    before = np.rint(np.dstack([40 + 170 * x, 40 + 170 * y, 210 - 85 * (x + y)])).astype(np.uint8)
    before = before.astype(np.uint16) * 257 if bits > 8 else before
    after = image_of(frame_of(before, colors, layout), colors, (96, 64))
    assert after.dtype == before.dtype
    error = (after.astype(float) - before) / (257 if bits > 8 else 1)
    # swscale itself is half a level of chroma off where the range is full.
    assert np.abs(error.mean(axis=(0, 1))).max() < (1 if colors.range == 2 else 0.1)
    assert np.abs(error).mean() < 1.5


@pytest.mark.parametrize(("matrix", "value"), [(1, (63, 102, 240)), (5, (81, 90, 240))])
def test_the_matrix_is_the_one_the_video_names(matrix, value):
    """Pure red in BT.709 and in BT.601 (ITU-R recommendations), limited range."""
    frame = frame_of(np.full((16, 16, 3), (255, 0, 0), np.uint8), Colors(matrix, 1), "yuv444p")
    assert [int(np.median(plane)) for plane in planes(frame)] == pytest.approx(value, abs=1)
    assert image_of(frame, Colors(matrix, 1), (16, 16))[8, 8].astype(int) == pytest.approx([255, 0, 0], abs=2)


def test_an_untold_matrix_is_that_of_the_height():
    assert Colors().for_height(576)[0].name == "ITU601"
    assert Colors().for_height(720)[0].name == "ITU709"


@pytest.mark.parametrize("layout", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le"])
def test_samples_of_pixels_that_did_not_change_are_kept(layout):
    rng = np.random.default_rng(0)
    frame = av.VideoFrame(96, 64, layout)
    for plane in frame.planes:  # noise: far from any RGB image
        size = plane.buffer_size // 2
        top = 1023 if layout.endswith("10le") else 65535
        plane.update(rng.integers(0, top, size).astype(np.uint16).tobytes())
    colors = Colors(1, 1)
    before = image_of(frame, colors, (96, 64))
    after = before.copy()
    after[20:40, 30:61] = after[20:40, 30:61] // 2
    result = replace_changed(frame, before, after, colors, layout)
    for old, new in zip(planes(frame), planes(result), strict=True):
        rows, columns = 64 // len(old), 96 // old.shape[1]
        inside = np.zeros(old.shape, bool)
        inside[20 // rows : -(-40 // rows), 30 // columns : -(-61 // columns)] = True
        assert np.array_equal(new[~inside], old[~inside])
        assert (new[inside] != old[inside]).mean() > 0.8


def test_a_frame_in_which_nothing_changed_is_handed_on():
    frame = frame_of(image(), Colors(), "yuv420p")
    before = image_of(frame, Colors(), (96, 64))
    assert replace_changed(frame, before, before.copy(), Colors(), "yuv420p") is frame


def test_odd_sides_grow_by_their_edge():
    frame = frame_of(image()[:63, :95], Colors(), "yuv420p")
    assert (frame.width, frame.height) == (96, 64)
    grown = image_of(frame, Colors(), (96, 64)).astype(int)
    assert np.abs(grown[63] - grown[62]).mean() < 3


def test_a_frame_of_another_size_than_the_video_is_encoded_anew():
    """Its samples belong to other pixels than those of the images."""
    frame = frame_of(image(size=(64, 48)), Colors(), "yuv420p")
    before = image_of(frame, Colors(), (96, 64))
    after = before.copy()
    after[20:40, 30:60] //= 2
    for wanted in (after, before):
        result = replace_changed(frame, before, wanted.copy(), Colors(), "yuv420p")
        assert (result.width, result.height) == (96, 64)
        assert np.abs(image_of(result, Colors(), (96, 64)).astype(int) - wanted).mean() < 3
