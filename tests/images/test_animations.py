"""Animations and pages: every frame is read, and written into the same kind of file, or named."""

import io

import numpy as np
import PIL.Image
import pytest
from tests.images.test_images import noise, smooth

from revisage.errors import ImageError
from revisage.images import read_photo, write_image

COUNT = 4
FRAMES = [PIL.Image.fromarray(np.roll(smooth(), 7 * i, 1)) for i in range(COUNT)]
DURATIONS = [50, 100, 150, 200]


def animation(kind, frames=FRAMES, **options):
    file = io.BytesIO()
    options = {} if kind == "TIFF" else {"duration": DURATIONS, "loop": 0} | options
    frames[0].save(file, kind, save_all=True, append_images=frames[1:], **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF", "TIFF"])
def test_every_frame_is_read(kind):
    photo = read_photo(animation(kind))
    assert len(photo.frames) == COUNT
    for frame, expected in zip(photo.frames, FRAMES, strict=True):
        assert np.abs(frame.astype(int) - np.asarray(expected)).mean() < 8


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF"])
def test_frames_are_shown_when_they_were(kind):
    photo = read_photo(animation(kind))
    assert photo.seconds == pytest.approx([0, 0.05, 0.15, 0.3])


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF", "TIFF"])
def test_every_frame_is_written(tmp_path, kind):
    source = animation(kind)
    larger = [np.repeat(np.repeat(frame, 2, 0), 2, 1) for frame in read_photo(source).frames]
    assert write_image(tmp_path / f"a.{kind.lower()}", larger, like=source) == ()
    written = read_photo(tmp_path / f"a.{kind.lower()}")
    assert written.seconds == pytest.approx(read_photo(source).seconds)
    for frame, expected in zip(written.frames, larger, strict=True):
        assert np.abs(frame.astype(int) - expected).mean() < 8


@pytest.mark.parametrize(("kind", "loop"), [("GIF", 0), ("GIF", 3), ("WEBP", 2), ("PNG", 5)])
def test_an_animation_is_repeated_as_often(tmp_path, kind, loop):
    source = animation(kind, loop=loop)
    write_image(tmp_path / f"a.{kind.lower()}", read_photo(source).frames, like=source)
    assert PIL.Image.open(tmp_path / f"a.{kind.lower()}").info["loop"] == loop


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_transparency_of_each_frame_is_kept(tmp_path, kind):
    masks = [np.full((40, 60), 255, np.uint8) for _ in FRAMES]
    for i, mask in enumerate(masks):
        mask[:, 12 * i : 12 * i + 10] = 0
    frames = [PIL.Image.fromarray(np.dstack([np.asarray(one), mask])) for one, mask in zip(FRAMES, masks, strict=True)]
    source = animation(kind, frames, disposal=2) if kind != "WEBP" else animation(kind, frames)
    write_image(tmp_path / f"a.{kind.lower()}", read_photo(source).frames, like=source)
    written = PIL.Image.open(tmp_path / f"a.{kind.lower()}")
    for i, mask in enumerate(masks):
        written.seek(i)
        assert np.array_equal(np.asarray(written.convert("RGBA"))[:, :, 3], mask)


def test_pages_keep_their_sizes_depths_and_metadata(tmp_path):
    file = io.BytesIO()
    pages = [PIL.Image.fromarray(noise(20, 30)), PIL.Image.fromarray(noise(50, 10)).convert("L")]
    pages.append(PIL.Image.fromarray(noise(9, 9, np.uint16)[:, :, 0]))
    pages[0].save(file, "TIFF", save_all=True, append_images=pages[1:], description="Pages")
    images = read_photo(file).frames
    assert [image.shape for image in images] == [(20, 30, 3), (50, 10, 3), (9, 9, 3)]
    assert write_image(tmp_path / "a.tif", images, like=file) == ()
    written = PIL.Image.open(tmp_path / "a.tif")
    assert written.n_frames == 3
    assert written.tag_v2[270] == "Pages"
    for index, page in enumerate(pages):
        written.seek(index)
        assert written.mode == page.mode
        assert np.array_equal(np.asarray(written), np.asarray(page))


@pytest.mark.parametrize(("kind", "word"), [("GIF", "frames"), ("TIFF", "pages")])
def test_frames_that_are_not_written_are_named(kind, word):
    assert write_image(io.BytesIO(), smooth(), like=animation(kind), format="png") == (f"3 further {word}",)


def test_a_format_of_one_image_takes_the_first_frame_and_names_the_rest(tmp_path):
    source = animation("GIF")
    left_out = write_image(tmp_path / "a.jpg", read_photo(source).frames, like=source)
    assert left_out == ("3 further frames (JPEG holds one)",)
    assert np.abs(read_photo(tmp_path / "a.jpg").frames[0].astype(int) - np.asarray(FRAMES[0])).mean() < 8


def test_a_still_has_one_frame_and_no_times():
    photo = read_photo(animation("PNG", FRAMES[:1]))
    assert len(photo.frames) == 1
    assert photo.seconds == ()


def test_a_png_shows_its_default_image_to_other_programs_only():
    assert len(read_photo(animation("PNG", default_image=True)).frames) == COUNT - 1


def test_frames_count_together_towards_the_limit_of_pixels():
    assert read_photo(animation("GIF"), max_pixels=COUNT * 2400).frames
    with pytest.raises(ImageError, match="4 frames of 60 x 40 pixels are more than the limit"):
        read_photo(animation("GIF"), max_pixels=COUNT * 2400 - 1)


def test_pages_count_with_their_own_sizes_towards_the_limit_of_pixels():
    file = io.BytesIO()
    small, large = (PIL.Image.fromarray(np.zeros((side, side), np.uint8)) for side in (10, 60))
    small.save(file, "TIFF", save_all=True, append_images=[large])
    assert len(read_photo(file, max_pixels=3700).frames) == 2
    with pytest.raises(ImageError, match=r"2 pages of 0\.0037 million pixels together are more than the limit"):
        read_photo(file, max_pixels=3699)


def test_a_page_that_cannot_be_restored_is_named():
    file = io.BytesIO()
    numbers = PIL.Image.fromarray(np.zeros((8, 8), np.float32))
    FRAMES[0].save(file, "TIFF", save_all=True, append_images=[numbers, FRAMES[1]])
    assert len(read_photo(file).frames) == 2
    left_out = write_image(io.BytesIO(), read_photo(file).frames, like=file, format="tif")
    assert left_out == ("a page of pixels of 32-bit floating point numbers",)
