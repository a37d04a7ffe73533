"""How much a written file loses is taken from its source: JPEG quality and subsampling, lossless WebP, gray."""

import cv2
import numpy as np
import PIL.Image
import pytest
from PIL.JpegImagePlugin import get_sampling

from revisage.images import read_image, write_image
from revisage.images.encode import estimate_quality, find_nearest_quality, luminance_table


def sample():
    rows, columns = np.mgrid[0:40, 0:60]
    return np.dstack([rows * 6, columns * 4, 255 - rows * 6]).astype(np.uint8)


def detailed():
    return np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)


def restored(source, target, **options):
    write_image(target, read_image(source), like=source, **options)
    return PIL.Image.open(target)


class TestJpegQuality:
    @pytest.mark.parametrize("quality", [1, 24, 50, 75, 86, 92, 95, 98, 100])
    def test_is_estimated_exactly_from_a_usual_encoder(self, tmp_path, quality):
        PIL.Image.fromarray(sample()).save(tmp_path / "a.jpg", quality=quality)
        assert estimate_quality(PIL.Image.open(tmp_path / "a.jpg")) == quality

    def test_is_estimated_from_other_tables(self):
        """Cameras have tables of their own."""
        table = np.maximum(luminance_table(90) + np.tile([-1, 0, 1, 0], 16), 1)
        assert abs(find_nearest_quality(table.tolist()) - 90) <= 2

    @pytest.mark.parametrize(("quality", "written"), [(30, 85), (85, 85), (91, 91), (98, 98), (100, 98)])
    def test_of_the_source_is_taken_over_within_limits(self, tmp_path, quality, written):
        PIL.Image.fromarray(sample()).save(tmp_path / "a.jpg", quality=quality)
        assert estimate_quality(restored(tmp_path / "a.jpg", tmp_path / "b.jpg")) == written

    def test_asked_for_wins(self, tmp_path):
        PIL.Image.fromarray(sample()).save(tmp_path / "a.jpg", quality=91)
        assert estimate_quality(restored(tmp_path / "a.jpg", tmp_path / "b.jpg", quality=60)) == 60

    def test_of_another_format_plays_no_role(self, tmp_path):
        PIL.Image.fromarray(sample()).save(tmp_path / "a.png")
        assert estimate_quality(restored(tmp_path / "a.png", tmp_path / "b.jpg")) == 95


class TestSubsampling:
    @pytest.mark.parametrize("subsampling", [0, 1, 2])
    @pytest.mark.parametrize("quality", [None, 90])
    def test_is_that_of_the_source(self, tmp_path, subsampling, quality):
        PIL.Image.fromarray(sample()).save(tmp_path / "a.jpg", subsampling=subsampling)
        assert get_sampling(restored(tmp_path / "a.jpg", tmp_path / "b.jpg", quality=quality)) == subsampling

    def test_of_a_kind_that_is_not_written_becomes_none(self, tmp_path):
        """4:4:0, as cameras write that turned the image themselves."""
        options = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440]
        (tmp_path / "a.jpg").write_bytes(cv2.imencode(".jpg", sample(), options)[1].tobytes())
        assert get_sampling(restored(tmp_path / "a.jpg", tmp_path / "b.jpg")) == 0

    def test_there_is_none_without_a_jpeg_source(self, tmp_path):
        PIL.Image.fromarray(sample()).save(tmp_path / "a.png")
        assert get_sampling(restored(tmp_path / "a.png", tmp_path / "b.jpg")) == 0


class TestWebp:
    @pytest.mark.parametrize("mode", ["RGB", "RGBA"])
    def test_lossless_stays_lossless(self, tmp_path, mode):
        image = PIL.Image.fromarray(detailed()).convert(mode)
        if mode == "RGBA":
            image.putalpha(PIL.Image.fromarray(detailed()[:, :, 0]))
        image.save(tmp_path / "a.webp", lossless=True, exact=True)
        written = restored(tmp_path / "a.webp", tmp_path / "b.webp")
        assert np.array_equal(np.asarray(written), np.asarray(image))

    def test_animation_of_lossless_frames(self, tmp_path):
        frames = [PIL.Image.fromarray(detailed()), PIL.Image.fromarray(sample())]
        frames[0].save(tmp_path / "a.webp", lossless=True, save_all=True, append_images=frames[1:])
        assert np.array_equal(np.asarray(restored(tmp_path / "a.webp", tmp_path / "b.webp")), detailed())

    def test_lossy_stays_lossy(self, tmp_path):
        PIL.Image.fromarray(detailed()).save(tmp_path / "a.webp")
        written = restored(tmp_path / "a.webp", tmp_path / "b.webp")
        assert not np.array_equal(np.asarray(written), read_image(tmp_path / "a.webp"))

    def test_quality_asked_for_wins(self, tmp_path):
        PIL.Image.fromarray(detailed()).save(tmp_path / "a.webp", lossless=True)
        restored(tmp_path / "a.webp", tmp_path / "b.webp", quality=50)
        assert (tmp_path / "b.webp").stat().st_size < (tmp_path / "a.webp").stat().st_size / 2


class TestGray:
    """A network may bring a tint into a gray photo; the file has none."""

    def tinted(self, dtype=np.uint8):
        top = np.iinfo(dtype).max
        gray = np.linspace(0.1, 0.9, 2400).reshape(40, 60, 1)
        return np.rint(np.clip(gray + np.array([0.01, 0, -0.01]), 0, 1) * top).astype(dtype)

    @pytest.mark.parametrize("extension", [".jpg", ".png", ".tif", ".avif", ".heic", ".bmp"])
    @pytest.mark.parametrize("mode", ["L", "RGB"])
    def test_gray_stays_gray(self, tmp_path, extension, mode):
        PIL.Image.fromarray(detailed()[:, :, 0]).convert(mode).save(tmp_path / "a.png")
        write_image(tmp_path / f"b{extension}", self.tinted(), like=tmp_path / "a.png")
        image = read_image(tmp_path / f"b{extension}")
        assert (image == image[:, :, :1]).all()
        assert image.std() > 40

    def test_gray_in_lossy_webp_is_as_gray_as_the_format_has_it(self, tmp_path):
        PIL.Image.fromarray(detailed()[:, :, 0]).save(tmp_path / "a.png")
        write_image(tmp_path / "b.webp", self.tinted(), like=tmp_path / "a.png")
        assert np.ptp(read_image(tmp_path / "b.webp").astype(int), axis=2).max() <= 1

    @pytest.mark.parametrize("extension", [".png", ".tif", ".heic"])
    @pytest.mark.parametrize("channels", [1, 3])
    @pytest.mark.parametrize("alpha", [False, True])
    def test_16_bit_gray_stays_gray(self, tmp_path, extension, channels, alpha):
        source = np.repeat(detailed()[:, :, :1].astype(np.uint16) * 257, channels, 2)
        write_image(tmp_path / "a.png", np.repeat(source[:, :, :1], 3, 2))
        if alpha:
            source = np.dstack([np.repeat(source[:, :, :1], 3, 2), detailed()[:, :, 1].astype(np.uint16) * 257])
            (tmp_path / "a.png").write_bytes(cv2.imencode(".png", source)[1].tobytes())
        write_image(tmp_path / f"b{extension}", self.tinted(np.uint16), like=tmp_path / "a.png")
        image = read_image(tmp_path / f"b{extension}")
        assert image.dtype == np.uint16
        assert (image == image[:, :, :1]).all()
        assert image.std() > 40 * 257

    def test_almost_gray_keeps_its_colors(self, tmp_path):
        """A sepia tone is no gray."""
        PIL.Image.fromarray(self.tinted()).save(tmp_path / "a.png")
        assert np.array_equal(np.asarray(restored(tmp_path / "a.png", tmp_path / "b.png")), self.tinted())
