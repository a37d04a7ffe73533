"""Damaged files: read with a warning where no pixel is missing; else an option reads what is there."""

import io
import struct
import zlib

import numpy as np
import PIL.Image
import pytest
from PIL.PngImagePlugin import PngInfo
from tests.images.test_images import noise, smooth

from locations import PORTRAIT
from revisage.errors import ImageError
from revisage.images import read_image, read_photo, write_image


def encoded(kind, image=None, **options):
    file = io.BytesIO()
    PIL.Image.fromarray(smooth(64, 96) if image is None else image).save(file, kind, **options)
    return file.getvalue()


def decoded(data):
    return np.asarray(PIL.Image.open(io.BytesIO(data)).convert("RGB"))


def warning_of(data, **options):
    with pytest.warns(UserWarning, match="missing|wrong|mark") as caught:
        image = read_image(data, **options)
    (warning,) = caught
    return image, str(warning.message)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_without_its_end_mark_lacks_no_pixel(progressive):
    whole = encoded("JPEG", quality=90, progressive=progressive)
    image, warning = warning_of(whole[:-2])
    assert np.array_equal(image, decoded(whole))
    assert "no pixel is missing" in warning


@pytest.mark.parametrize("share", [0.3, 0.9, 0.99])
def test_a_truncated_jpeg_is_refused_and_the_option_is_named(share):
    whole = encoded("JPEG", noise(64, 96), quality=90)
    with pytest.raises(ImageError, match=r"truncated .* of its rows are missing\); use --allow-damaged"):
        read_image(whole[: int(len(whole) * share)])


def test_what_is_there_of_a_truncated_jpeg_is_read_on_request():
    whole = encoded("JPEG", noise(64, 96), quality=90)
    image, warning = warning_of(whole[: len(whole) * 3 // 4], allow_damaged=True)
    assert image.shape == (64, 96, 3)
    assert np.array_equal(image[:30], decoded(whole)[:30])
    assert "% of its rows are missing" in warning


def test_a_progressive_jpeg_cut_between_two_scans_is_not_taken_for_whole():
    whole = encoded("JPEG", quality=90, progressive=True)
    last_scan = whole.rindex(b"\xff\xda")
    with pytest.raises(ImageError, match="last scans are missing"):
        read_image(whole[:last_scan])


def test_a_text_with_a_wrong_checksum_costs_no_pixel():
    texts = PngInfo()
    texts.add_text("Comment", "hello")
    data = bytearray(encoded("PNG", pnginfo=texts))
    at = data.index(b"tEXt")
    (length,) = struct.unpack_from(">I", data, at - 4)
    data[at + 4 + length] ^= 0xFF
    image, warning = warning_of(bytes(data))
    assert np.array_equal(image, smooth(64, 96))
    assert "checksum of tEXt is wrong" in warning


def test_a_png_whose_pixels_are_damaged_is_not_taken_for_whole():
    """Damaged packed data may unpack to as many bytes as there should be, or more."""
    whole = encoded("PNG", noise(64, 96))
    at = whole.index(b"IDAT")
    (length,) = struct.unpack_from(">I", whole, at - 4)
    for place in range(at + 10, at + 4 + length - 4, 997):
        data = bytearray(whole)
        data[place] ^= 0x55
        with pytest.raises(ImageError, match="truncated or damaged"):
            read_image(bytes(data))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_png_without_its_end_is_read(tmp_path, dtype):
    write_image(tmp_path / "a.png", noise(dtype=dtype))
    image, warning = warning_of((tmp_path / "a.png").read_bytes()[:-12])
    assert np.array_equal(image, noise(dtype=dtype))
    assert "no end mark" in warning


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_rows_that_are_there_of_a_truncated_png_are_read_on_request(tmp_path, dtype):
    write_image(tmp_path / "a.png", noise(dtype=dtype))
    data = (tmp_path / "a.png").read_bytes()
    with pytest.raises(ImageError, match="use --allow-damaged"):
        read_image(data[: len(data) // 2])
    image, _ = warning_of(data[: len(data) // 2], allow_damaged=True)
    assert np.array_equal(image[:15], noise(dtype=dtype)[:15])
    assert (image[-5:] == 0).all()


def test_an_interlaced_png_is_repaired(tmp_path):
    rows = noise(8, 8)
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    raw = b"".join(b"\0" + row.tobytes() for x, y, dx, dy in passes for row in rows[y::dy, x::dx] if row.size)

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 1))
    image, _ = warning_of(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(raw)))
    assert np.array_equal(image, rows)


def test_pixels_with_a_wrong_checksum_are_refused():
    data = bytearray(encoded("PNG", noise()))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(ImageError, match="use --allow-damaged"):
        read_image(bytes(data))


def test_a_truncated_bmp_is_read_on_request():
    data = encoded("BMP", noise())
    image, _ = warning_of(data[: len(data) // 2], allow_damaged=True)
    assert np.array_equal(image[-15:], noise()[-15:])  # it is stored from below


def test_nothing_can_be_read_of_a_header_alone():
    with pytest.raises(ImageError, match="truncated or damaged"):
        read_image(encoded("JPEG")[:40], allow_damaged=True)


def test_an_animation_cut_in_a_frame_gives_the_frames_before_on_request():
    frames = [PIL.Image.fromarray(np.roll(noise(), i, 1)) for i in range(4)]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=50)
    cut = file.getvalue()[: len(file.getvalue()) * 5 // 8]
    with pytest.raises(ImageError, match="use --allow-damaged"):
        read_photo(cut)
    photo = read_photo(cut, allow_damaged=True)
    assert len(photo.frames) == 2
    assert any("frame 3" in warning for warning in photo.warnings)


def test_a_whole_file_is_read_without_a_warning(recwarn):
    read_image(encoded("JPEG"))
    assert not recwarn


END = b"\xff\xd9"
KINDS_OF_JPEG = [
    {},
    {"subsampling": 2},
    {"progressive": True},
    {"restart_marker_blocks": 3},
    {"optimize": True},
]


@pytest.mark.parametrize("options", KINDS_OF_JPEG, ids=str)
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_jpeg_that_was_cut_and_then_closed_is_refused_and_read_on_request(options, share):
    whole = encoded("JPEG", noise(64, 96), quality=90, **options)
    cut = whole[: int(len(whole) * share)] + END
    with pytest.raises(ImageError, match=r"are missing.*use --allow-damaged"):
        read_image(cut)
    image, warning = warning_of(cut, allow_damaged=True)
    assert image.shape == (64, 96, 3)
    assert "missing" in warning


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_a_cut_jpeg_of_other_channels_is_refused(mode):
    file = io.BytesIO()
    PIL.Image.fromarray(noise(64, 96)).convert(mode).save(file, "JPEG", quality=90)
    with pytest.raises(ImageError, match="are missing"):
        read_image(file.getvalue()[: len(file.getvalue()) // 2] + END)


@pytest.mark.parametrize("options", KINDS_OF_JPEG, ids=str)
def test_a_gray_image_that_is_whole_is_not_taken_for_a_cut_one(options, recwarn):
    gray = np.full((64, 96, 3), 128, np.uint8)
    assert (read_image(encoded("JPEG", gray, **options)) == 128).all()
    assert not recwarn


def test_room_that_was_never_filled_counts_as_missing():
    whole = encoded("JPEG", noise(64, 96), quality=90)
    with pytest.raises(ImageError, match=r"the last \d+ % of its rows are missing"):
        read_image(whole[: len(whole) // 2] + bytes(len(whole) // 2))


@pytest.mark.parametrize(
    ("kind", "options"), [("WEBP", {"quality": 90}), ("WEBP", {"lossless": True}), ("AVIF", {}), ("HEIF", {})], ids=str
)
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_what_is_there_of_a_truncated_file_of_a_newer_format_is_read_on_request(kind, options, share):
    if kind == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    photo = np.asarray(PIL.Image.open(PORTRAIT).convert("RGB").resize((128, 192)))
    whole = encoded(kind, photo, **options)
    cut = whole[: int(len(whole) * share)]
    with pytest.raises(ImageError, match=r"truncated or damaged .* are missing.*use --allow-damaged"):
        read_image(cut)
    image, _ = warning_of(cut, allow_damaged=True)
    assert image.shape == (192, 128, 3)


def test_a_webp_cut_behind_its_pixels_is_read_with_a_warning():
    exif = PIL.Image.Exif()
    exif[0x010E] = "a description " * 20
    whole = encoded("WEBP", quality=90, exif=exif)
    image, warning = warning_of(whole[:-40])
    assert np.array_equal(image, decoded(whole))
    assert "metadata may be missing" in warning


def test_the_whole_frames_of_a_truncated_webp_are_read_on_request():
    frames = [PIL.Image.fromarray(np.roll(noise(32, 48), place, 0)) for place in range(4)]
    file = io.BytesIO()
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:], lossless=True, duration=80)
    data = file.getvalue()[: len(file.getvalue()) * 6 // 10]
    with pytest.raises(ImageError, match=r"frames are missing.*use --allow-damaged"):
        read_photo(data)
    photo = read_photo(data, allow_damaged=True)
    assert [np.asarray(one).tolist() for one in frames[:2]] == [frame.tolist() for frame in photo.frames]


def test_no_option_is_offered_for_a_tiff_whose_directory_is_gone():
    data = encoded("TIFF", noise(64, 96), compression="tiff_lzw")  # it lies at the end
    with pytest.raises(ImageError, match=r"truncated or damaged$"):
        read_image(data[: len(data) // 2])
