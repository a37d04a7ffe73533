from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from on_arrays import on_arrays
from revisage.errors import DeviceError, InputError, WeightsError
from revisage.models.device import is_out_of_memory
from revisage.models.nets.rrdbnet import RRDBNet
from revisage.models.nets.srvggnet import SRVGGNetCompact
from revisage.restore.upscale import TiledUpscaler, choose_grid


def photo(height=150, width=210, dtype=np.float32):
    """Smooth enough that a network's random weights see structure, and different everywhere."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    picture = np.stack([np.sin(x / 7) * np.cos(y / 9), np.sin((x + y) / 5), np.cos(x * y / 900)], -1) / 2 + 0.5
    return picture.astype(np.float32) if dtype == np.float32 else (picture * np.iinfo(dtype).max).astype(dtype)


def seeing(pixels, factor=2):
    """A network that looks exactly ``pixels`` far."""
    torch.manual_seed(0)
    blur = nn.Conv2d(3, 3, 2 * pixels + 1, padding=pixels, groups=3, bias=False)
    blur.weight.data.uniform_(0, 2 / (2 * pixels + 1) ** 2)
    return on_arrays(lambda x: nn.functional.interpolate(blur(x), scale_factor=factor, mode="nearest"))


def nearest(factor):
    return lambda x: x.repeat(factor, axis=2).repeat(factor, axis=3)


@pytest.mark.parametrize("size", [(150, 210), (64, 401), (65, 130), (7, 300)])
def test_tiles_give_the_picture_that_the_network_gives_of_the_whole(size):
    network, image = seeing(16), photo(*size)
    whole = TiledUpscaler(network, 2, tile=0)(image, 2)
    assert np.abs(TiledUpscaler(network, 2, tile=64)(image, 2) - whole).max() < 1e-5


@pytest.mark.parametrize(
    "network", [RRDBNet(3, 3, scale=2, num_feat=8, num_block=1, num_grow_ch=4), SRVGGNetCompact(num_feat=8, num_conv=4)]
)
def test_the_known_networks_run_by_tiles_as_they_run_on_the_whole(network):
    torch.manual_seed(0)
    factor = getattr(network, "upscale", 2)
    whole, tiled = (TiledUpscaler(on_arrays(network.eval()), factor, tile=tile)(photo(), factor) for tile in (0, 64))
    assert np.abs(whole - tiled).max() < 1e-5


def test_a_network_that_looks_further_than_the_overlap_leaves_no_seam():
    """It gives each tile another brightness; the step at the borders must not be greater than elsewhere."""
    image = np.full((150, 300, 3), 0.5, np.float32)
    levels = iter(np.linspace(0.2, 0.8, 100))
    enlarged = TiledUpscaler(lambda x: np.full_like(x, next(levels)), 1, tile=64)(image, 1)
    rows, columns = (len(side) for side in choose_grid(150, 300, 64, 32))
    largest_step = max(np.abs(np.diff(enlarged, axis=axis)).max() for axis in (0, 1))
    assert rows > 1
    whole_step = 0.6 / 99 * (columns + 1)  # between a tile and the one below it
    assert largest_step < 1.1 * whole_step / 32


@pytest.mark.parametrize("factor", [1, 2, 4])
@pytest.mark.parametrize("scale", [0.7, 1, 1.1, 2, 3, 4])
def test_pixel_centres_go_where_the_docstring_says(scale, factor):
    y, x = np.mgrid[:60, :70]
    spot = np.exp(-((x - 33) ** 2 + (y - 26) ** 2) / (2 * 4.0**2)).astype(np.float32)
    enlarged = TiledUpscaler(nearest(factor), factor)(np.repeat(spot[..., None], 3, 2), scale)[..., 0]
    assert enlarged.shape == (round(60 * scale), round(70 * scale))
    rows, columns = np.mgrid[: enlarged.shape[0], : enlarged.shape[1]]
    centre = (columns * enlarged).sum() / enlarged.sum(), (rows * enlarged).sum() / enlarged.sum()
    shift = (scale - 1) / 2
    assert centre == pytest.approx((33 * scale + shift, 26 * scale + shift), abs=0.03)


@pytest.mark.parametrize("height", range(1, 20))
def test_the_size_is_that_of_the_plain_enlargement_also_where_halves_are_rounded(height):
    upscaler = TiledUpscaler(nearest(4), 4)
    assert upscaler(photo(height, 5), 1.1).shape == (round(height * 1.1), round(5 * 1.1), 3)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_the_result_has_the_dtype_of_the_picture(dtype):
    image = photo(dtype=dtype)
    enlarged = TiledUpscaler(nearest(2), 2, tile=64)(image, 2)
    assert enlarged.dtype == dtype
    assert np.allclose(enlarged[::2, ::2], image, rtol=0, atol=1e-6 if dtype == np.float32 else 0)


@pytest.mark.parametrize("size", [(600, 800), (3000, 4000), (100, 5000), (5000, 70), (20, 20), (601, 803)])
def test_tiles_of_one_size_cover_the_image_with_their_overlap(size):
    grid = choose_grid(*size, 400, 64)
    sides = [max(part.stop - part.start for part in parts) for parts in grid]
    assert sides[0] * sides[1] <= 528**2
    for parts, length, side in zip(grid, size, sides, strict=True):
        assert (parts[0].start, parts[0].own_start) == (0, 0)
        assert (parts[-1].stop, parts[-1].own_stop) == (length, length)
        assert all(part.start % 16 == 0 and side - 16 < part.stop - part.start <= side for part in parts)
        for left, right in pairwise(parts):
            assert left.own_stop == right.own_start
            assert min(left.stop - left.own_stop, right.own_start - right.start) >= 56  # 64, less half of a rounding


def test_a_photo_that_fits_into_two_tiles_is_not_cut_into_four():
    rows, columns = choose_grid(600, 800, 432, 56)
    assert (len(rows), len(columns)) == (1, 2)


def short_of_memory_above(pixels, error):
    def network(x):
        seen.append(x.shape[-1])
        if x.shape[-1] > pixels:
            raise error
        return nn.functional.interpolate(x, scale_factor=2, mode="nearest")

    seen = []
    return on_arrays(network), seen


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_where_memory_is_short_tiles_are_halved(error):
    network, seen = short_of_memory_above(220, error)
    image = photo(300, 500)
    enlarged = TiledUpscaler(network, 2, tile=0)(image, 2)
    assert np.allclose(enlarged[::2, ::2], image, atol=1e-6)
    assert seen[0] == 512  # a multiple of STEP
    assert [width for width in seen if width > 220] == [512]


def test_not_even_room_for_the_smallest_tiles_is_a_clear_error():
    network, seen = short_of_memory_above(0, MemoryError())
    with pytest.raises(DeviceError, match="not enough memory for tiles of 64 pixels"):
        TiledUpscaler(network, 2)(photo(), 2)
    assert len(seen) == 2  # whole, then 64


def test_another_error_is_not_taken_for_a_shortage():
    def network(x):
        raise RuntimeError("weights on another device")

    with pytest.raises(RuntimeError, match="another device"):
        TiledUpscaler(network, 2)(photo(), 2)
    assert not is_out_of_memory(RuntimeError("weights on another device"))


def overflowing(x):
    """A network that is finite in full precision only."""
    weight = torch.full((3, 3, 1, 1), 1.0)
    finite = torch.nn.functional.conv2d(x, weight).dtype == torch.float32
    enlarged = nn.functional.interpolate(x, scale_factor=2, mode="nearest")
    return enlarged if finite else enlarged * float("inf")


def test_what_overflows_in_half_precision_is_computed_again_in_full():
    image = photo()
    enlarged = TiledUpscaler(on_arrays(overflowing, torch.bfloat16), 2, tile=64)(image, 2)
    assert np.allclose(enlarged[::2, ::2], image, atol=1e-6)


def test_output_that_is_never_finite_is_an_error():
    with pytest.raises(WeightsError, match="not finite"):
        TiledUpscaler(lambda x: nearest(2)(x) * float("nan"), 2)(photo(), 2)


@pytest.mark.parametrize("tile", [-1, 1, 63])
def test_tiles_too_small_are_refused(tile):
    with pytest.raises(InputError, match="at least 64"):
        TiledUpscaler(nearest(2), 2, tile=tile)


@pytest.mark.parametrize("scale", [0, 9, 0.001])
def test_scales_out_of_range_are_refused(scale):
    with pytest.raises(InputError):
        TiledUpscaler(nearest(2), 2)(photo(), scale)
