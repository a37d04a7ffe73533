"""What goes along from the source into the restored file, and what must not: previews of the old image."""

import os
import struct
import zlib

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL.ExifTags import IFD, Base
from PIL.PngImagePlugin import PngInfo

from revisage.errors import InputError
from revisage.images import exif, metadata, read_image, read_profile, tiff, write_image, xmp
from revisage.images.icc import (
    ADOBE_RGB_GAMMA,
    ADOBE_RGB_PRIMARIES,
    SRGB_PRIMARIES,
    make_rgb_profile,
    parse_color_space,
)
from revisage.images.metadata import Metadata

NOTE = b"Maker\0" + bytes(range(256))
NOTE_AT = 300
OLD_FACE = b"\xff\xd8" + b"old face" * 50 + b"\xff\xd9"
ADOBE_RGB = make_rgb_profile("Adobe RGB (1998)", ADOBE_RGB_GAMMA, primaries=ADOBE_RGB_PRIMARIES)


def sample():
    rows, columns = np.mgrid[0:40, 0:60]
    return np.dstack([rows * 6, columns * 4, 255 - rows * 6]).astype(np.uint8)


def larger():
    return sample().repeat(2, 0).repeat(2, 1)


def camera_exif(order="<", preview_at=1300, interoperability=b"R98\0"):
    """An EXIF block as cameras write it: with a maker's note, GPS, and a preview in a directory of its own."""
    block = bytearray(1300 if preview_at < 1300 else preview_at + len(OLD_FACE))

    def put(place, content):
        block[place : place + len(content)] = content

    def directory(place, entries, following=0):
        put(place, struct.pack(order + "H", len(entries)))
        for i, (tag, kind, count, value) in enumerate(entries):
            value = struct.pack(order + ("H" if kind == 3 else "L"), value) if isinstance(value, int) else value
            put(place + 2 + 12 * i, struct.pack(order + "HHL4s", tag, kind, count, value))
        put(place + 2 + 12 * len(entries), struct.pack(order + "L", following))

    put(0, (b"II" if order == "<" else b"MM") + struct.pack(order + "HL", 42, 8))
    directory(8, [(271, 2, 9, 180), (274, 3, 1, 6), (34665, 4, 1, 200), (34853, 4, 1, 1100)], following=1200)
    put(180, b"Camera A\0")
    camera = [(36867, 2, 20, 580), (37500, 7, len(NOTE), NOTE_AT), (40961, 3, 1, 65535), (40962, 3, 1, 60)]
    directory(200, [*camera, (40963, 4, 1, 40), (40965, 4, 1, 1060)])
    put(NOTE_AT, NOTE)
    put(580, b"2001:02:03 04:05:06\0")
    directory(1060, [(1, 2, 4, interoperability)])
    directory(1100, [(1, 2, 2, b"N\0"), (2, 5, 3, 1150)])
    put(1150, struct.pack(order + "6L", 46, 1, 57, 1, 7, 2))
    directory(1200, [(259, 3, 1, 6), (513, 4, 1, preview_at), (514, 4, 1, len(OLD_FACE))])
    put(preview_at, OLD_FACE)
    return bytes(block)


def segments(path):
    """Marker and content of the segments of a JPEG file, up to the pixels."""
    data, start, found = path.read_bytes(), 2, []
    while data[start + 1] != 0xDA:
        length = int.from_bytes(data[start + 2 : start + 4])
        found.append((data[start + 1], data[start + 4 : start + 2 + length]))
        start += 2 + length
    return found


def save(path, **options):
    PIL.Image.fromarray(sample()).save(path, **options)
    return path


def restored(source, target):
    """What a run writes for a source: upright, twice the size."""
    write_image(target, read_image(source).repeat(2, 0).repeat(2, 1), like=source)
    return PIL.Image.open(target)


class TestExif:
    @pytest.mark.parametrize("order", ["<", ">"])
    @pytest.mark.parametrize("extension", [".jpg", ".png", ".webp", ".avif", ".heic"])
    def test_a_camera_block_survives(self, tmp_path, order, extension):
        source = save(tmp_path / "a.jpg", exif=exif.MARK + camera_exif(order))
        if extension == ".heic":
            import pillow_heif

            write_image(tmp_path / "b.heic", larger(), like=source)
            info = pillow_heif.open_heif(tmp_path / "b.heic").info
        else:
            info = restored(source, tmp_path / f"b{extension}").info
        tags = PIL.Image.Exif()
        tags.load(info["exif"])
        camera = tags.get_ifd(IFD.Exif)
        assert tags[Base.Make] == "Camera A"
        assert tags.get(Base.Orientation, 1) == 1
        assert camera[Base.DateTimeOriginal] == "2001:02:03 04:05:06"
        assert camera[Base.MakerNote] == NOTE
        assert tags.get_ifd(IFD.GPSInfo)[2] == (46.0, 57.0, 3.5)
        assert b"old face" not in info["exif"]

    def test_dimensions_are_those_of_the_result(self, tmp_path):
        source = save(tmp_path / "a.jpg", exif=exif.MARK + camera_exif())
        result = restored(source, tmp_path / "b.jpg")
        camera = result.getexif().get_ifd(IFD.Exif)
        assert result.size == (80, 120)  # the source is to be turned
        assert (camera[Base.ExifImageWidth], camera[Base.ExifImageHeight]) == result.size

    @pytest.mark.parametrize("order", ["<", ">"])
    def test_nothing_in_the_block_moves(self, order):
        """Maker's notes refer to places counted from the block's beginning."""
        before, after = camera_exif(order), exif.set_upright(camera_exif(order), (80, 120))
        changed = [i for i in range(len(after)) if before[i] != after[i]]
        assert len(changed) <= 16
        assert after[NOTE_AT : NOTE_AT + len(NOTE)] == NOTE

    @pytest.mark.parametrize("preview_at", [1300, 620])
    def test_the_old_preview_is_gone_wherever_it_lies(self, preview_at):
        after = exif.set_upright(camera_exif(preview_at=preview_at), (80, 120))
        assert b"old face" not in after
        assert struct.unpack_from("<L", after, 8 + 2 + 4 * 12) == (0,)  # no second directory
        assert after[580:600] == b"2001:02:03 04:05:06\0"

    def test_size_over_65535_fits(self):
        tags = PIL.Image.Exif()
        tags.load(exif.set_upright(camera_exif(), (70_000, 3)))
        assert tags.get_ifd(IFD.Exif)[Base.ExifImageWidth] == 70_000

    @given(st.data())
    def test_damaged_blocks_are_kept_or_left_out_but_never_fail(self, data):
        block = bytearray(camera_exif())
        for _ in range(data.draw(st.integers(1, 5))):
            block[data.draw(st.integers(0, 260))] = data.draw(st.integers(0, 255))
        cut = data.draw(st.integers(0, len(block)))
        assert len(exif.set_upright(bytes(block[:cut]), (80, 120))) <= cut

    def test_block_too_long_for_jpeg_loses_its_bulk_only(self, tmp_path):
        tags = PIL.Image.Exif()
        tags[Base.Make] = "Camera A"
        tags[IFD.Exif] = {Base.MakerNote: bytes(70_000), Base.DateTimeOriginal: "2001:02:03 04:05:06"}
        source = save(tmp_path / "a.png", exif=tags.tobytes())
        written = restored(source, tmp_path / "b.jpg").getexif()
        assert written[Base.Make] == "Camera A"
        assert written.get_ifd(IFD.Exif)[Base.DateTimeOriginal] == "2001:02:03 04:05:06"
        assert Base.MakerNote not in written.get_ifd(IFD.Exif)

    def test_layers_of_a_tiff_do_not_come_along(self, tmp_path):
        tags = PIL.Image.Exif()
        tags[Base.Make], tags[37724] = "Scanner B", b"old layers" * 10_000
        PIL.Image.fromarray(sample()).save(tmp_path / "a.tif", tiffinfo=tags)
        for extension in (".jpg", ".tif", ".png"):
            assert restored(tmp_path / "a.tif", tmp_path / f"b{extension}").getexif()[Base.Make] == "Scanner B"
            assert b"old layers" not in (tmp_path / f"b{extension}").read_bytes()


class TestXmp:
    def packet(self, extra=b"", padding=0):
        return (
            b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
            b'<rdf:Description tiff:Orientation="8" tiff:ImageWidth="60" exif:PixelYDimension="40" dc:title="Mum" '
            b'GCamera:MotionPhoto="1">'
            + extra
            + b"</rdf:Description></x:xmpmeta>"
            + b" " * padding
            + b'<?xpacket end="w"?>'
        )

    def test_values_fit_the_result(self):
        packet = xmp.set_upright(self.packet(), (80, 120))
        wanted = b'tiff:Orientation="1"', b'tiff:ImageWidth="80"', b'exif:PixelYDimension="120"', b'dc:title="Mum"'
        assert all(value in packet for value in wanted)

    def test_the_video_behind_a_phone_photo_is_no_longer_announced(self):
        assert b'GCamera:MotionPhoto="0"' in xmp.set_upright(self.packet(), (80, 120))

    def test_old_preview_is_gone(self):
        preview = b"<xmp:Thumbnails><rdf:Alt><xmpGImg:image>/9j/4AAQ</xmpGImg:image></rdf:Alt></xmp:Thumbnails>"
        plain = xmp.set_upright(self.packet(), (80, 120))
        assert xmp.set_upright(self.packet(preview), (80, 120)) == plain

    def test_previews_that_are_empty_or_of_the_old_name_take_nothing_else_along(self):
        packet = xmp.set_upright(
            self.packet(b"<xmp:Thumbnails/><a/><xap:Thumbnails a='b'>x</xap:Thumbnails>"), (80, 120)
        )
        assert b"<a/>" in packet
        assert b"xap:Thumbnails" not in packet

    def test_extended_packet_stays_with_a_jpeg(self, tmp_path):
        extension = b"http://ns.adobe.com/xmp/extension/\0" + b"G" * 32 + struct.pack(">LL", 5, 0) + b"<x/>!"
        segment = b"\xff\xe1" + struct.pack(">H", len(extension) + 2) + extension
        source = save(tmp_path / "a.jpg", xmp=self.packet(), extra=segment)
        restored(source, tmp_path / "b.jpg")
        assert (0xE1, extension) in segments(tmp_path / "b.jpg")

    @pytest.mark.parametrize(("padding", "kept"), [(70_000, True), (0, False)])
    def test_packet_too_long_for_jpeg_loses_its_padding(self, tmp_path, padding, kept):
        packet = self.packet(b"" if kept else b"<a>" + b"long " * 20_000 + b"</a>", padding)
        source = save(tmp_path / "a.webp", xmp=packet)
        assert (b"Mum" in restored(source, tmp_path / "b.jpg").info.get("xmp", b"")) is kept


class TestIptcAndComments:
    caption = b"\x1c\x02\x78\x00\x0aOur family"

    def blocks(self):
        old = b"8BIM" + struct.pack(">HHL", 1036, 0, len(OLD_FACE)) + OLD_FACE
        return metadata.make_iptc_block(self.caption) + old + b"8BIM\x04\x0b\0\0" + struct.pack(">L", 3) + b"url\0"

    def jpeg(self, path):
        content = metadata.IPTC_MARK + self.blocks()
        segment = b"\xff\xed" + struct.pack(">H", len(content) + 2) + content
        return save(path, extra=segment, comment=b"for Grandma")

    def test_iptc_stays_and_its_preview_goes(self, tmp_path):
        result = restored(self.jpeg(tmp_path / "a.jpg"), tmp_path / "b.jpg")
        assert result.info["photoshop"][metadata.IPTC] == self.caption
        assert 1036 not in result.info["photoshop"]
        assert b"old face" not in (tmp_path / "b.jpg").read_bytes()

    def test_iptc_goes_between_jpeg_and_tiff(self, tmp_path):
        restored(self.jpeg(tmp_path / "a.jpg"), tmp_path / "b.tif")
        assert self.caption in PIL.Image.open(tmp_path / "b.tif").tag_v2[34377]
        back = restored(tmp_path / "b.tif", tmp_path / "c.jpg")
        assert back.info["photoshop"][metadata.IPTC] == self.caption

    def test_blocks_longer_than_a_segment(self, tmp_path):
        long = metadata.make_iptc_block(b"\x1c\x02\x78" + b"x" * 100_000)
        tags = PIL.Image.Exif()
        tags[34377] = long
        PIL.Image.fromarray(sample()).save(tmp_path / "a.tif", tiffinfo=tags)
        restored(tmp_path / "a.tif", tmp_path / "b.jpg")
        parts = [content for marker, content in segments(tmp_path / "b.jpg") if marker == 0xED]
        assert len(parts) == 2
        assert b"".join(part.removeprefix(metadata.IPTC_MARK) for part in parts) == long

    @given(st.binary(max_size=60))
    def test_damaged_blocks_never_fail(self, junk):
        sound = metadata.make_iptc_block(self.caption)
        assert metadata.drop_iptc_previews(sound + junk).startswith(sound)

    def test_comment_of_a_jpeg(self, tmp_path):
        assert restored(self.jpeg(tmp_path / "a.jpg"), tmp_path / "b.jpg").info["comment"] == b"for Grandma"
        assert restored(tmp_path / "a.jpg", tmp_path / "c.png").text["Comment"] == "for Grandma"
        assert restored(tmp_path / "c.png", tmp_path / "d.jpg").info["comment"] == b"for Grandma"

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_remarks_of_a_png(self, tmp_path, dtype):
        texts = PngInfo()
        texts.add_text("Author", "Jean")
        texts.add_itxt("Title", "Großmutter 祖母", lang="de")
        source = save(tmp_path / "a.png", pnginfo=texts)
        write_image(tmp_path / "b.png", larger().astype(dtype), like=source)
        assert PIL.Image.open(tmp_path / "b.png").text == {"Author": "Jean", "Title": "Großmutter 祖母"}

    @pytest.mark.parametrize("keyword", ["bbox", "transparency"])
    @pytest.mark.parametrize("mode", ["L", "RGB", "P"])
    def test_a_text_by_the_name_of_a_setting_does_not_spoil_a_png(self, tmp_path, keyword, mode):
        """Pillow takes it for its own note on the pixels, and fails over it."""
        texts = PngInfo()
        texts.add_text(keyword, "seen from the left")
        texts.add_text("Author", "Jean")
        image = PIL.Image.fromarray(sample()).convert(mode)
        image.save(tmp_path / "a.png", pnginfo=texts)
        with pytest.warns(UserWarning, match="a text by the name of a setting is left out; no pixel is missing"):
            pixels = read_image(tmp_path / "a.png")
        with pytest.warns(UserWarning, match="left out"):
            result = restored(tmp_path / "a.png", tmp_path / "b.png")
        assert result.text == {"Author": "Jean"}
        assert np.array_equal(pixels, np.asarray(image.convert("RGB")))

    @pytest.mark.parametrize("keyword", ["comment", "Comment"])
    def test_a_comment_among_the_remarks_of_a_png_is_kept_once(self, tmp_path, keyword):
        """Pillow puts texts among what it says itself of a file: under "comment" it has bytes of other formats."""
        texts = PngInfo()
        texts.add_text(keyword, "for Grandma")
        source = save(tmp_path / "a.png", pnginfo=texts)
        assert restored(source, tmp_path / "b.png").text == {keyword: "for Grandma"}
        restored(source, tmp_path / "c.jpg").load()


class TestProfile:
    @pytest.mark.parametrize("extension", [".jpg", ".png", ".tif", ".webp", ".avif", ".heic"])
    def test_the_profile_is_read_and_goes_along(self, tmp_path, extension):
        source = save(tmp_path / "a.jpg", icc_profile=ADOBE_RGB)
        assert read_profile(source) == ADOBE_RGB
        write_image(tmp_path / f"b{extension}", larger(), like=source)
        assert read_profile(tmp_path / f"b{extension}") == ADOBE_RGB

    @pytest.mark.parametrize("extension", [".png", ".tif"])
    def test_of_16_bit_files(self, tmp_path, extension):
        source = save(tmp_path / "a.png", icc_profile=ADOBE_RGB)
        write_image(tmp_path / f"b{extension}", larger().astype(np.uint16) * 257, like=source)
        assert read_profile(tmp_path / f"b{extension}") == ADOBE_RGB

    def test_none_means_srgb(self, tmp_path):
        assert read_profile(save(tmp_path / "a.png")) == b""

    def test_inks_are_read_as_srgb_and_have_none(self, tmp_path):
        inks = bytearray(ADOBE_RGB)
        inks[16:20] = b"CMYK"
        PIL.Image.fromarray(sample()).convert("CMYK").save(tmp_path / "a.jpg", icc_profile=bytes(inks))
        assert read_profile(tmp_path / "a.jpg") == b""

    def test_cameras_that_say_adobe_rgb_without_a_profile(self, tmp_path):
        block = exif.MARK + camera_exif(interoperability=b"R03\0")
        assert read_profile(save(tmp_path / "a.jpg", exif=block)) == ADOBE_RGB
        assert read_profile(save(tmp_path / "b.jpg", exif=exif.MARK + camera_exif())) == b""

    @pytest.mark.parametrize(
        ("gamma", "primaries", "srgb"),
        [(1.0, SRGB_PRIMARIES, False), (1 / 2.2, SRGB_PRIMARIES, True), (1 / 2.2, ADOBE_RGB_PRIMARIES, False)],
    )
    def test_gamma_and_chromaticities_of_a_png(self, tmp_path, gamma, primaries, srgb):
        points = [0.3127, 0.3290, *np.ravel(primaries)]
        chunks = (b"gAMA", [gamma]), (b"cHRM", points)
        data = save(tmp_path / "a.png").read_bytes()
        body = b""
        for kind, numbers in chunks:
            content = b"".join(round(number * 100_000).to_bytes(4) for number in numbers)
            body += len(content).to_bytes(4) + kind + content + zlib.crc32(kind + content).to_bytes(4)
        (tmp_path / "a.png").write_bytes(data[:33] + body + data[33:])
        assert (read_profile(tmp_path / "a.png") == b"") is srgb
        assert (parse_color_space(read_profile(tmp_path / "a.png")) is None) is srgb
        restored(tmp_path / "a.png", tmp_path / "b.jpg")
        assert read_profile(tmp_path / "b.jpg") == read_profile(tmp_path / "a.png")


class TestTiff16:
    """Of a 16-bit TIFF Pillow sees the bytes only; the metadata is none the worse for it."""

    def test_its_metadata_goes_along(self, tmp_path):
        packet = TestXmp().packet()
        tags = PIL.Image.Exif()
        tags[Base.Make], tags[34377] = "Scanner B", metadata.make_iptc_block(TestIptcAndComments.caption)
        tags[IFD.Exif] = {Base.DateTimeOriginal: "2001:02:03 04:05:06"}
        known = Metadata(exif.MARK + tags.tobytes(), ADOBE_RGB, packet, dpi=(600, 600), iptc=tags[34377])
        (tmp_path / "a.tif").write_bytes(tiff.encode([(larger().astype(np.uint16) * 257, known)]))
        written = restored(tmp_path / "a.tif", tmp_path / "b.jpg")
        assert written.getexif()[Base.Make] == "Scanner B"
        assert written.getexif().get_ifd(IFD.Exif)[Base.DateTimeOriginal] == "2001:02:03 04:05:06"
        assert written.info["icc_profile"] == ADOBE_RGB
        assert b"Mum" in written.info["xmp"]
        assert written.info["dpi"] == pytest.approx((600, 600), abs=0.1)
        assert written.info["photoshop"][metadata.IPTC] == TestIptcAndComments.caption
        assert written.size == (240, 160)


class TestTime:
    def test_is_kept_when_asked_for(self, tmp_path):
        source = save(tmp_path / "a.jpg")
        os.utime(source, ns=(1_000_000_000_000_000_000, 981_173_106_000_000_000))
        write_image(tmp_path / "b.jpg", larger(), like=source, preserve_mtime=True)
        write_image(tmp_path / "c.jpg", larger(), like=source)
        assert (tmp_path / "b.jpg").stat().st_mtime_ns == 981_173_106_000_000_000
        assert (tmp_path / "c.jpg").stat().st_mtime > 1_700_000_000

    def test_of_nothing_cannot_be_kept(self, tmp_path):
        with pytest.raises(InputError, match="preserve_mtime"):
            write_image(tmp_path / "b.jpg", larger(), preserve_mtime=True)
