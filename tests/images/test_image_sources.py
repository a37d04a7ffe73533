"""Images come from paths, bytes and file objects, and go to paths and file objects."""

import io

import numpy as np
import PIL.Image
import pytest
from tests.images.test_images import smooth, srgb_profile

from revisage.errors import ImageError, InputError
from revisage.images import read_image, read_profile, write_image


@pytest.fixture
def path(tmp_path):
    PIL.Image.fromarray(smooth()).save(tmp_path / "a.png", icc_profile=srgb_profile())
    return tmp_path / "a.png"


@pytest.mark.parametrize("make", [str, lambda p: p, lambda p: p.read_bytes(), lambda p: io.BytesIO(p.read_bytes())])
def test_an_image_is_read_from_a_path_bytes_or_a_file_object(path, make):
    assert np.array_equal(read_image(make(path)), smooth())
    assert read_profile(make(path)) == srgb_profile()


def test_a_file_object_can_be_read_again(path):
    with path.open("rb") as file:
        assert np.array_equal(read_image(file), read_image(file))


def test_an_image_is_written_to_a_file_object(path):
    file = io.BytesIO()
    write_image(file, smooth(), like=io.BytesIO(path.read_bytes()))
    assert PIL.Image.open(file).format == "PNG"
    assert np.array_equal(read_image(file.getvalue()), smooth())
    assert read_profile(file.getvalue()) == srgb_profile()


@pytest.mark.parametrize(("like", "written"), [("JPEG", "JPEG"), ("WEBP", "WEBP"), ("GIF", "PNG")])
def test_a_file_object_gets_the_format_of_the_source(like, written):
    source, target = io.BytesIO(), io.BytesIO()
    PIL.Image.fromarray(smooth()).save(source, like)
    write_image(target, smooth(), like=source)
    assert PIL.Image.open(target).format == written


def test_the_format_can_be_named():
    file = io.BytesIO()
    write_image(file, smooth(), format="webp")
    assert PIL.Image.open(file).format == "WEBP"


def test_a_file_object_with_a_name_is_called_by_it(tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    with (tmp_path / "notes.txt").open("rb") as file, pytest.raises(ImageError, match=r"notes\.txt: not an image"):
        read_image(file)


@pytest.mark.parametrize("source", [None, 3, io.StringIO("text")])
def test_anything_else_is_an_input_error(source):
    with pytest.raises(InputError):
        read_image(source)


def test_empty_bytes_are_an_image_error():
    with pytest.raises(ImageError, match="empty"):
        read_image(b"")


@pytest.mark.parametrize("target", [None, io.StringIO()])
def test_an_image_is_written_to_nothing_else(target):
    with pytest.raises(InputError):
        write_image(target, smooth())


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16"])
def test_a_pillow_image_is_written_as_it_is(mode):
    image = PIL.Image.fromarray(smooth()[:, :, 0]).convert(mode)
    file = io.BytesIO()
    write_image(file, image, format="png")
    expected = np.asarray(image.convert("RGB")) if mode != "I;16" else np.repeat(np.asarray(image)[..., None], 3, 2)
    assert np.array_equal(read_image(file.getvalue()), expected)


@pytest.mark.parametrize("dtype", [">u2", ">f4"])
def test_an_array_of_the_other_byte_order_is_written_as_it_is(dtype):
    values = smooth().astype(dtype) / 255 if dtype == ">f4" else smooth().astype(dtype) * 257
    file = io.BytesIO()
    write_image(file, values.astype(dtype), format="png")
    written = read_image(file.getvalue())
    assert np.array_equal(written // 257 if dtype == ">u2" else written, smooth())


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_an_array_in_another_order_of_memory_is_written_as_it_is(dtype):
    image = smooth().astype(dtype)
    file = io.BytesIO()
    write_image(file, np.asfortranarray(image)[::-1, :, ::-1], format="png")
    assert np.array_equal(read_image(file.getvalue()), image[::-1, :, ::-1])
