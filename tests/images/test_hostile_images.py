"""Image files made to harm: little memory is taken, and one line says what is wrong."""

import io
import struct
import time
import tracemalloc
import zlib
from functools import cache

import numpy as np
import PIL.Image
import PIL.PngImagePlugin
import pytest

from revisage.errors import ImageError
from revisage.images import exif, read_image, write_image, xmp
from revisage.images.jpeg import read_segments

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")
MEMORY = 64e6


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(*extra, width=8, height=8, rows=None):
    rows = zlib.compress(bytes((3 * width + 1) * height)) if rows is None else rows
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(extra) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@cache
def zeros(megabytes=100):
    """Compressed a thousand times."""
    packer = zlib.compressobj()
    return b"".join(packer.compress(bytes(10**6)) for _ in range(megabytes)) + packer.flush()


def tiff(*entries, order="<"):
    """A TIFF file of 8 x 8 gray pixels with these (tag, type, count, value) beside or instead of the usual ones."""
    usual = {256: (3, 1, 8), 257: (3, 1, 8), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1), 273: (4, 1, 500)}
    usual |= {277: (3, 1, 1), 278: (3, 1, 8), 279: (4, 1, 64)}
    tags = usual | {tag: rest for tag, *rest in entries}
    body = b"".join(struct.pack(order + "HHII", tag, *rest) for tag, rest in sorted(tags.items()))
    mark = b"II*\0" if order == "<" else b"MM\0*"
    head = mark + struct.pack(order + "IH", 8, len(tags)) + body + bytes(4)
    return head + bytes(564 - len(head))


@pytest.fixture
def peak():
    """Memory that Python and NumPy took at most."""
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()


@pytest.fixture
def soon():
    """Fails a test that takes the processor longer than some passes over a megabyte can."""
    start = time.process_time()
    yield
    assert time.process_time() - start < 2


def refused(path, data):
    path.write_bytes(data)
    with pytest.raises(ImageError) as caught:
        read_image(path)
    assert str(path) in str(caught.value)
    assert str(caught.value).isprintable()
    return str(caught.value)


def read_or_refused(path):
    """Whether the image of 8 x 8 pixels was read."""
    try:
        shape = read_image(path).shape
    except ImageError as refusal:
        shape = str(refusal)
    assert shape == (8, 8, 3) or str(path) in shape
    return shape == (8, 8, 3)


@pytest.mark.parametrize("size", [(60_000, 60_000), (2**31 - 1, 2**31 - 1), (2**31 - 1, 1), (1, 500_000_001)])
def test_a_png_of_billions_of_pixels_is_refused_by_its_header(tmp_path, peak, size):
    refused(tmp_path / "a.png", png(width=size[0], height=size[1], rows=zeros(1)))
    assert peak() < MEMORY


@pytest.mark.parametrize("size", [(0, 8), (8, 0), (2**32 - 1, 8)])
def test_a_png_of_no_size_is_refused(tmp_path, size):
    refused(tmp_path / "a.png", png(width=size[0], height=size[1], rows=zeros(1)))


@pytest.mark.parametrize(
    "extra",
    [
        lambda: chunk(b"iCCP", b"x\0\0" + zeros()),
        lambda: chunk(b"zTXt", b"x\0\0" + zeros()),
        lambda: chunk(b"iTXt", b"x\0\1\0\0\0" + zeros()),
        lambda: chunk(b"tEXt", b"x\0y") * 10_000,
    ],
    ids=["color profile", "text", "international text", "many texts"],
)
def test_metadata_that_unpack_to_gigabytes_take_no_memory(tmp_path, peak, extra):
    """The image may be read all the same, or the file refused."""
    (tmp_path / "a.png").write_bytes(png(extra()))
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    read_or_refused(tmp_path / "a.png")
    assert peak() - before < MEMORY


def test_pixels_that_go_on_after_the_last_row_are_not_unpacked(tmp_path, peak):
    (tmp_path / "a.png").write_bytes(png(rows=zeros()))
    assert read_image(tmp_path / "a.png").shape == (8, 8, 3)
    assert peak() < MEMORY


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    "entries",
    [
        [(256, 4, 1, 2**31), (257, 4, 1, 2**31)],
        [(256, 4, 1, 0)],
        [(258, 3, 2**31 - 1, 8)],
        [(277, 3, 1, 65_535)],
        [(273, 4, 2**31 - 1, 8)],
        [(278, 4, 1, 0)],
        [(258, 3, 1, 3)],
        [(259, 3, 1, 34_712)],
        [(273, 4, 1, 2**32 - 1)],
        [(273, 2, 1, 8)],
    ],
    ids=str,
)
def test_tiff_tags_that_make_no_sense_are_refused(tmp_path, peak, entries, order):
    refused(tmp_path / "a.tif", tiff(*entries, order=order))
    assert peak() < MEMORY


@pytest.mark.parametrize("kind", range(20))
@pytest.mark.parametrize("tag", [34_675, 700, 34_665, 274, 282, 33_432])
def test_metadata_of_a_tiff_that_lie_are_left_out(tmp_path, peak, tag, kind):
    (tmp_path / "a.tif").write_bytes(tiff((tag, kind, 2**30, 40)))
    if read_or_refused(tmp_path / "a.tif"):
        write_image(tmp_path / "b.png", np.zeros((8, 8, 3), np.uint8), like=tmp_path / "a.tif")
        assert read_or_refused(tmp_path / "b.png")
    assert peak() < MEMORY


def test_tags_of_a_tiff_that_follow_one_another_in_a_circle_end(tmp_path):
    data = tiff((34_665, 4, 1, 8), (330, 4, 1, 8))
    (tmp_path / "a.tif").write_bytes(data)
    read_or_refused(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.gif", b"GIF89a\xff\xff\xff\xff\x00\x00\x00,\x00\x00\x00\x00\xff\xff\xff\xff\x00\x08\x00;"),
        ("a.bmp", b"BM" + struct.pack("<IIIIiiHHIIiiII", 54, 0, 54, 40, 2**31 - 1, -(2**31), 1, 24, 0, 0, 0, 0, 0, 0)),
        ("a.webp", b"RIFF\xff\xff\xff\x7fWEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff" * 6),
        ("a.jpg", b"\xff\xd8\xff\xc0\x00\x11\x08\xff\xff\xff\xff\x03\x01\x22\x00\x02\x11\x01\x03\x11\x01\xff\xd9"),
        ("a.avif", b"\x00\x00\x00\x1cftypavif\0\0\0\0avifmif1miaf" + b"\xff\xff\xff\xffmeta" + bytes(40)),
    ],
)
def test_headers_of_enormous_images_without_pixels_are_refused(tmp_path, peak, name, data):
    refused(tmp_path / name, data)
    assert peak() < MEMORY


def test_a_file_that_is_cut_short_while_it_is_read_is_refused(tmp_path, monkeypatch):
    """All bytes are taken at once: what happens to the file afterwards plays no role."""
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    PIL.Image.fromarray(image).save(tmp_path / "a.png")
    factory, accepts = PIL.Image.OPEN["PNG"]

    def cut_first(*arguments):
        (tmp_path / "a.png").write_bytes(b"")
        return factory(*arguments)

    monkeypatch.setitem(PIL.Image.OPEN, "PNG", (cut_first, accepts))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), image)
    assert "empty" in refused(tmp_path / "a.png", b"")


def test_texts_that_pillow_stumbles_over_are_left_out(tmp_path, monkeypatch):
    """It looks for them after all frames of an animation; found by fuzzing a damaged one."""

    def stumble(self):
        raise AssertionError

    (tmp_path / "a.png").write_bytes(png())
    monkeypatch.setattr(PIL.PngImagePlugin.PngImageFile, "text", property(stumble))
    write_image(tmp_path / "b.png", np.zeros((8, 8, 3), np.uint8), like=tmp_path / "a.png")
    assert read_or_refused(tmp_path / "b.png")


@pytest.mark.parametrize("dpi", [(float("inf"), 72), (72, float("nan")), (0, 72), (-1, 1), "xy", None])
def test_a_resolution_that_is_none_is_left_out(tmp_path, monkeypatch, dpi):
    monkeypatch.setitem(PIL.Image.OPEN, "PNG", (stating(dpi), PIL.Image.OPEN["PNG"][1]))
    (tmp_path / "a.png").write_bytes(png())
    write_image(tmp_path / "b.tif", np.zeros((8, 8, 3), np.uint8), like=tmp_path / "a.png")
    assert read_or_refused(tmp_path / "b.tif")


def stating(dpi):
    """Pillow's reader of PNG that finds this resolution in every file."""
    reader = PIL.PngImagePlugin.PngImageFile

    def read(*arguments):
        opened = reader(*arguments)
        opened.info["dpi"] = dpi
        return opened

    return read


@pytest.mark.usefixtures("soon")
def test_a_jpeg_cut_and_filled_up_with_ones_takes_no_time(tmp_path):
    file = io.BytesIO()
    PIL.Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(file, "JPEG")
    data = file.getvalue()[: len(file.getvalue()) // 2] + b"\xff" * 1_000_000
    assert read_segments(data).end == len(data)
    assert "missing" in refused(tmp_path / "a.jpg", data)


def test_ones_that_fill_up_before_a_marker_belong_to_its_segment():
    """And those at the end of a segment to that one."""
    data = b"\xff\xd8" + b"\xff\xfe\x00\x04x\xff" + b"\xff\xff\xff\xfe\x00\x03y" + b"\xff\xff\xd9..."
    segments = read_segments(data)
    assert segments.found == ((0xFE, b"x\xff"), (0xFE, b"y"))
    assert (segments.last, segments.end) == (8, len(data) - 3)


def overlapping(directories, entries=60_000):
    """A TIFF file whose directories lie 4 bytes apart; each claims so many entries and names the next one."""
    starts = range(8, 8 + 4 * directories, 4)
    following = struct.pack(f"<{directories}I", *starts[1:], 0)
    body = (struct.pack("<H", entries) * 2 * directories).ljust(2 + 12 * entries, b"\0")
    return b"II*\0" + struct.pack("<I", 8) + body + following


def test_directories_that_overlap_take_no_memory(peak):
    data = overlapping(100)
    assert len(data) < 1e6
    assert exif.set_upright(data, (8, 8)) == b""
    assert peak() < 2 * MEMORY


HOSTILE_PACKETS = {
    "previews": b"<xmp:Thumbnails>" * 60_000,
    "open previews": b"<xmp:Thumbnails " * 60_000,
    "spaces": b"<x/>" + b" " * 1_000_000,
    "names": b"".join(b' xmlns:n%d="http://ns.apple.com/HDRGainMap/1.0/"' % i for i in range(20_000)),
}


@pytest.mark.parametrize("packet", HOSTILE_PACKETS.values(), ids=HOSTILE_PACKETS)
@pytest.mark.usefixtures("soon")
def test_an_xmp_packet_takes_time_by_its_length_at_most(packet):
    xmp.drop_padding(xmp.set_upright(packet, (8, 8)))
    xmp.drop_padding(packet + b"x<?xpacket end")
