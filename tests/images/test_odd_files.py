"""Image files that are right but rare: every layout of 16-bit TIFF, odd JPEG and PNG, previews, planes, inks."""

import contextlib
import io
import struct
import zlib

import cv2
import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL.ExifTags import Base

from revisage.errors import ImageError
from revisage.images import read_image, write_image

PIXELS16 = np.random.default_rng(0).integers(0, 65536, (37, 53, 4), np.uint16)
NONE, DEFLATE, PACKBITS = 1, 8, 32773


def packed(data, compression):
    if compression == PACKBITS:
        return b"".join(bytes([len(data[i : i + 128]) - 1]) + data[i : i + 128] for i in range(0, len(data), 128))
    return zlib.compress(data) if compression == DEFLATE else data


def pieces_of(plane, tile, rows_per_strip):
    """The strips or tiles of an (H, W, C) plane, in order; tiles are filled up with zeros."""
    height, width, _ = plane.shape
    if tile is None:
        return [plane[top : top + rows_per_strip] for top in range(0, height, rows_per_strip)]
    filled = np.pad(plane, ((0, -height % tile), (0, -width % tile), (0, 0)))
    corners = [(top, left) for top in range(0, height, tile) for left in range(0, width, tile)]
    return [filled[top : top + tile, left : left + tile] for top, left in corners]


def tiff(
    pixels,
    *,
    order="<",
    big=False,
    planar=False,
    tile=None,
    compression=NONE,
    predictor=False,
    photometric=2,
    extra=(),
    before=(),
    tags=(),
):
    """A TIFF file, written by the letter of TIFF 6.0. ``before``: whole directories (tag dictionaries) ahead of it."""
    height, width, samples = pixels.shape
    planes = [pixels[:, :, i : i + 1] for i in range(samples)] if planar else [pixels]
    contents = []
    for plane in planes:
        for piece in pieces_of(plane, tile, 10):
            piece = piece.copy()
            if predictor:
                piece[:, 1:] -= piece[:, :-1].copy()
            contents.append(packed(piece.astype(piece.dtype.newbyteorder(order)).tobytes(), compression))
    layout = {256: width, 257: height, 258: [pixels.itemsize * 8] * samples, 259: compression, 262: photometric}
    layout |= {277: samples, 284: 2 if planar else 1, 317: 2 if predictor else 1} | dict(tags)
    layout |= {338: list(extra)} if extra else {}
    layout |= {322: tile, 323: tile} if tile else {278: 10}
    places, counts = (324, 325) if tile else (273, 279)
    layout |= {places: contents, counts: [len(content) for content in contents]}
    word, count, entry = ("Q", "Q", "HHQ") if big else ("L", "H", "HHL")
    mark = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "H", 43 if big else 42)
    file = bytearray(mark + (struct.pack(order + "HH", 8, 0) if big else b""))
    link = len(file)
    file += struct.pack(order + word, 0)
    for directory in [*before, layout]:
        values = {}
        for tag, numbers in directory.items():
            if isinstance(numbers, list) and isinstance(numbers[0], bytes):
                starts = []
                for content in numbers:
                    starts.append(len(file))
                    file += content
                numbers = starts
            numbers = numbers if isinstance(numbers, list) else [numbers]
            value = struct.pack(f"{order}{len(numbers)}{word}", *numbers)
            if len(numbers) > 1:
                value, start = struct.pack(order + word, len(file)), value
                file += start
            values[tag] = struct.pack(order + entry, tag, 16 if big else 4, len(numbers)) + value
        struct.pack_into(order + word, file, link, len(file))
        file += struct.pack(order + count, len(values)) + b"".join(values[tag] for tag in sorted(values))
        link = len(file)
        file += struct.pack(order + word, 0)
    return bytes(file)


def read_bytes(tmp_path, data, name="a"):
    (tmp_path / name).write_bytes(data)
    return read_image(tmp_path / name)


class TestTiff16:
    @pytest.mark.parametrize("order", ["<", ">"])
    @pytest.mark.parametrize("planar", [False, True])
    @pytest.mark.parametrize("tile", [None, 16])
    @pytest.mark.parametrize(("compression", "predictor"), [(NONE, 0), (PACKBITS, 0), (DEFLATE, 0), (DEFLATE, 1)])
    def test_every_layout(self, tmp_path, order, planar, tile, compression, predictor):
        rgb = PIXELS16[:, :, :3]
        data = tiff(rgb, order=order, planar=planar, tile=tile, compression=compression, predictor=bool(predictor))
        assert np.array_equal(read_bytes(tmp_path, data), rgb)

    @pytest.mark.parametrize("planar", [False, True])
    def test_big_tiff(self, tmp_path, planar):
        rgb = PIXELS16[:, :, :3]
        assert np.array_equal(read_bytes(tmp_path, tiff(rgb, big=True, planar=planar)), rgb)

    def test_big_tiff_of_the_other_byte_order_is_refused_by_name(self, tmp_path):
        """Pillow takes it for a plain TIFF."""
        with pytest.raises(ImageError, match="big-endian BigTIFF"):
            read_bytes(tmp_path, tiff(PIXELS16[:, :, :3], order=">", big=True))

    def test_lzw(self, tmp_path):
        data = cv2.imencode(".tiff", PIXELS16[:, :, 2::-1], [cv2.IMWRITE_TIFF_COMPRESSION, 5])[1].tobytes()
        assert np.array_equal(read_bytes(tmp_path, data), PIXELS16[:, :, :3])

    def test_gray_white_is_zero(self, tmp_path):
        data = tiff(PIXELS16[:, :, :1], photometric=0)
        assert np.array_equal(read_bytes(tmp_path, data)[:, :, 1], 65535 - PIXELS16[:, :, 0])

    @pytest.mark.parametrize("planar", [False, True])
    def test_gray_with_alpha_stays_that(self, tmp_path, planar):
        image = read_bytes(tmp_path, tiff(PIXELS16[:, :, :2], photometric=1, extra=[2], planar=planar))
        assert np.array_equal(image, np.repeat(PIXELS16[:, :, :1], 3, 2))
        write_image(tmp_path / "b.tif", image, like=tmp_path / "a")
        write_image(tmp_path / "c.png", read_image(tmp_path / "b.tif"), like=tmp_path / "b.tif")
        stored = cv2.imdecode(np.fromfile(tmp_path / "c.png", np.uint8), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(stored[:, :, [0, 3]], PIXELS16[:, :, :2])

    @pytest.mark.parametrize(("extra", "alpha"), [([2], True), ([0], False), ([], True), ([2, 0], True)])
    def test_extra_channels(self, tmp_path, extra, alpha):
        pixels = np.dstack([PIXELS16, PIXELS16[:, :, :1]]) if len(extra) == 2 else PIXELS16
        assert np.array_equal(read_bytes(tmp_path, tiff(pixels, extra=extra)), PIXELS16[:, :, :3])
        write_image(tmp_path / "b.png", PIXELS16[:, :, :3], like=tmp_path / "a")
        stored = cv2.imdecode(np.fromfile(tmp_path / "b.png", np.uint8), cv2.IMREAD_UNCHANGED)
        assert stored.shape[2] == (4 if alpha else 3)
        assert not alpha or np.array_equal(stored[:, :, 3], PIXELS16[:, :, 3])

    def test_alpha_that_was_multiplied_in(self, tmp_path):
        alpha = np.full((37, 53, 1), 32768, np.uint16)
        multiplied = np.rint(PIXELS16[:, :, :3] * (alpha / 65535)).astype(np.uint16)
        image = read_bytes(tmp_path, tiff(np.dstack([multiplied, alpha]), extra=[1]))
        assert np.abs(image.astype(int) - PIXELS16[:, :, :3]).max() <= 1

    @pytest.mark.parametrize("order", ["<", ">"])
    def test_orientation(self, tmp_path, order):
        data = tiff(PIXELS16[:, :, :3], order=order, tags={274: 6}, planar=True)
        assert np.array_equal(read_bytes(tmp_path, data), np.rot90(PIXELS16[:, :, :3], -1))

    @pytest.mark.parametrize("pixels", [PIXELS16[:, :, :3], (PIXELS16[:, :, :3] >> 8).astype(np.uint8)])
    def test_preview_before_the_image(self, tmp_path, pixels):
        small = {254: 1, 256: 2, 257: 2, 258: 8, 259: 1, 262: 1, 273: [b"1234"], 277: 1, 278: 2, 279: 4}
        assert np.array_equal(read_bytes(tmp_path, tiff(pixels, before=[small])), pixels)

    def test_raw_file_with_a_preview_only(self, tmp_path):
        with pytest.raises(ImageError, match="holds only a preview"):
            read_bytes(tmp_path, tiff(PIXELS16[:, :, :3], tags={254: 1}))

    def test_directories_in_a_circle(self, tmp_path):
        small = {254: 1, 256: 2, 257: 2, 258: 8, 259: 1, 262: 1, 273: [b"1234"], 277: 1, 278: 2, 279: 4}
        data = bytearray(tiff(PIXELS16[:, :, :3], before=[small], tags={254: 1}))
        data[-4:] = data[4:8]
        with pytest.raises(ImageError, match="holds only a preview"):
            read_bytes(tmp_path, bytes(data))

    @pytest.mark.parametrize(
        ("kind", "sample_format", "words"),
        [(np.float32, 3, "32-bit floating point"), (np.uint32, 1, "32-bit integers"), (np.int16, 2, "16-bit signed")],
    )
    def test_other_numbers_are_refused_by_name(self, tmp_path, kind, sample_format, words):
        with pytest.raises(ImageError, match=words):
            read_bytes(tmp_path, tiff(PIXELS16[:, :, :3].astype(kind), tags={339: [sample_format] * 3}))

    def test_inks_come_down_to_8_bit(self, tmp_path):
        assert read_bytes(tmp_path, tiff(PIXELS16, photometric=5)).dtype == np.uint8

    @pytest.mark.parametrize("tile", [None, 16])
    def test_uncompressed_ycbcr(self, tmp_path, tile):
        rgb = PIL.Image.linear_gradient("L").resize((53, 37)).convert("RGB")
        content = tiff(np.asarray(rgb.convert("YCbCr")), tile=tile, photometric=6, tags={530: [1, 1]}.items())
        assert np.abs(read_bytes(tmp_path, content).astype(int) - np.asarray(rgb)).max() <= 1

    @pytest.mark.parametrize(("planar", "subsampling"), [(False, [2, 2]), (True, [1, 1])])
    def test_uncompressed_ycbcr_of_another_layout_is_refused_by_name(self, tmp_path, planar, subsampling):
        content = tiff(np.zeros((37, 53, 3), np.uint8), planar=planar, photometric=6, tags={530: subsampling}.items())
        with pytest.raises(ImageError, match=r"uncompressed YCbCr .* save it with 8 or 16 bits as RGB"):
            read_bytes(tmp_path, content)

    def test_bomb(self, tmp_path):
        data = tiff(PIXELS16[:, :, :3], tags={256: 300_000, 257: 300_000})
        with pytest.raises(ImageError, match="300000 x 300000 pixels"):
            read_bytes(tmp_path, data)

    @pytest.mark.filterwarnings("ignore::UserWarning:PIL")
    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.data())
    def test_damaged_tags_give_an_image_or_an_image_error(self, tmp_path, data):
        choice = data.draw(st.sampled_from([{"planar": True}, {"tile": 16, "big": True}, {"order": ">", "extra": [2]}]))
        whole = bytearray(tiff(PIXELS16[:11, :9], **{"extra": [2]} | choice))
        for _ in range(data.draw(st.integers(1, 4))):
            place = data.draw(st.integers(max(len(whole) - 400, 0), len(whole) - 1))
            whole[place] = data.draw(st.integers(0, 255))
        (tmp_path / "damaged").write_bytes(whole)
        with contextlib.suppress(ImageError):  # anything else fails the test
            assert read_image(tmp_path / "damaged", max_pixels=10**6).shape[2] == 3


class TestJpeg:
    def rgb(self):
        rows, columns = np.mgrid[0:64, 0:96]
        return np.dstack([rows * 4, columns * 2, 255 - rows * 4]).astype(np.uint8)

    def written(self, image, form="JPEG", **options):
        file = io.BytesIO()
        image.save(file, form, **{"quality": 95} | options)
        return file.getvalue()

    def test_progressive(self, tmp_path):
        image = PIL.Image.fromarray(self.rgb())
        baseline = read_bytes(tmp_path, self.written(image))
        assert np.array_equal(read_bytes(tmp_path, self.written(image, progressive=True)), baseline)

    def test_of_a_phone_with_more_images_behind(self, tmp_path):
        image, other = (PIL.Image.fromarray(pixels) for pixels in (self.rgb(), self.rgb()[::-1]))
        data = self.written(image, "MPO", save_all=True, append_images=[other])
        assert np.array_equal(read_bytes(tmp_path, data), read_bytes(tmp_path, self.written(image), "b"))
        write_image(tmp_path / "c.jpg", self.rgb(), like=tmp_path / "a")
        result = PIL.Image.open(tmp_path / "c.jpg")
        assert result.format == "JPEG"
        assert b"MPF\0" not in (tmp_path / "c.jpg").read_bytes()

    def test_ycck_has_the_colors_of_the_rgb(self, tmp_path):
        """Adobe's JPEG of inks, stored inverted, as YCbCr and black."""
        inks = PIL.Image.fromarray(self.rgb()).convert("CMYK")
        data = bytearray(self.written(inks))
        place = data.index(b"Adobe") + 11
        assert data[place] in (0, 2)
        plain = read_bytes(tmp_path, bytes(data))
        assert np.abs(plain.astype(int) - self.rgb()).mean() < 4
        assert read_bytes(tmp_path, bytes(data)).dtype == np.uint8

    def test_orientation_in_xmp_only(self, tmp_path):
        packet = b"<x:xmpmeta xmlns:tiff='http://ns.adobe.com/tiff/1.0/' tiff:Orientation=\"6\"></x:xmpmeta>"
        (tmp_path / "a.jpg").write_bytes(self.written(PIL.Image.fromarray(self.rgb()), xmp=packet))
        image = read_image(tmp_path / "a.jpg")
        assert image.shape == (96, 64, 3)
        write_image(tmp_path / "b.jpg", image, like=tmp_path / "a.jpg")
        assert b'tiff:Orientation="1"' in PIL.Image.open(tmp_path / "b.jpg").info["xmp"]
        assert read_image(tmp_path / "b.jpg").shape == (96, 64, 3)


class TestPng:
    def png(self, color_type, pixels, *chunks):
        """16 bits a channel."""

        def chunk(kind, content):
            return struct.pack(">L", len(content)) + kind + content + struct.pack(">L", zlib.crc32(kind + content))

        height, width = pixels.shape[:2]
        rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
        header = chunk(b"IHDR", struct.pack(">LLBBBBB", width, height, 16, color_type, 0, 0, 0))
        body = b"".join(chunk(*one) for one in chunks) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
        return b"\x89PNG\r\n\x1a\n" + header + body

    def test_16_bit_gray_with_a_transparent_value(self, tmp_path):
        key = int(PIXELS16[3, 4, 0])
        image = read_bytes(tmp_path, self.png(0, PIXELS16[:, :, 0], (b"tRNS", struct.pack(">H", key))))
        write_image(tmp_path / "b.png", image, like=tmp_path / "a")
        stored = cv2.imdecode(np.fromfile(tmp_path / "b.png", np.uint8), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(stored[:, :, 3] == 0, PIXELS16[:, :, 0] == key)
        assert np.array_equal(stored[:, :, 0], PIXELS16[:, :, 0])

    def test_16_bit_color_with_a_transparent_one(self, tmp_path):
        key = struct.pack(">3H", *PIXELS16[3, 4, :3].tolist())
        image = read_bytes(tmp_path, self.png(2, PIXELS16[:, :, :3], (b"tRNS", key)))
        visible = np.ones(image.shape[:2], bool)
        visible[3, 4] = False
        assert np.array_equal(image[visible], PIXELS16[:, :, :3][visible])
        write_image(tmp_path / "b.tif", image, like=tmp_path / "a")
        assert PIL.Image.open(tmp_path / "b.tif").getpixel((4, 3))[3] == 0

    @pytest.mark.parametrize(("mode", "kept"), [("P", "RGBA"), ("L", "LA"), ("1", "LA")])
    def test_transparent_entry_stays_transparent(self, tmp_path, mode, kept):
        image = PIL.Image.fromarray((PIXELS16[:, :, :3] >> 8).astype(np.uint8)).convert(mode)
        image.save(tmp_path / "a.png", transparency=int(np.asarray(image)[3, 4]))
        theirs = np.asarray(PIL.Image.open(tmp_path / "a.png").convert("RGBA"))[:, :, 3]
        write_image(tmp_path / "b.png", read_image(tmp_path / "a.png"), like=tmp_path / "a.png")
        written = PIL.Image.open(tmp_path / "b.png")
        assert written.mode == kept
        assert 0 < (theirs == 0).mean() < 1
        assert np.array_equal(np.asarray(written)[:, :, -1], theirs)

    def test_exif_in_a_text_as_older_programs_write_it(self, tmp_path):
        exif = PIL.Image.Exif()
        exif[Base.Orientation] = 6
        exif[Base.Make] = "Camera & Co"
        digits = exif.tobytes().hex()
        text = f"\nexif\n{len(digits) // 2:8d}\n" + "\n".join(digits[i : i + 72] for i in range(0, len(digits), 72))
        raw = b"Raw profile type exif\0\0" + zlib.compress(text.encode())
        image = read_bytes(tmp_path, self.png(2, PIXELS16[:, :, :3], (b"zTXt", raw)))
        assert np.array_equal(image, np.rot90(PIXELS16[:, :, :3], -1))
        write_image(tmp_path / "b.png", image, like=tmp_path / "a")
        written = PIL.Image.open(tmp_path / "b.png")
        assert written.getexif()[Base.Make] == "Camera & Co"
        assert written.getexif().get(Base.Orientation, 1) == 1
        assert np.array_equal(read_image(tmp_path / "b.png"), image)
