"""Images on disk: what can be read, what survives a rewrite, and one clear line for everything else."""

import contextlib
import functools
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import PIL.ImageCms
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL.ExifTags import IFD, Base
from PIL.PngImagePlugin import PngInfo

from revisage.errors import ImageError, InputError, OutputError
from revisage.images import FORMATS, read_image, tiff, write_image
from revisage.images.metadata import Metadata

WRITABLE = sorted({entry.name: extension for extension, entry in FORMATS.items() if entry.writable}.values())
LOSSLESS = [".png", ".tiff", ".bmp"]


since_pillow_13 = pytest.mark.skipif(
    int(PIL.__version__.split(".")[0]) < 13, reason="older ones cannot read such a TIFF, and limit no WebP"
)


def smooth(height=40, width=60, dtype=np.uint8):
    """A color gradient: little enough detail that lossy formats keep it."""
    top = np.iinfo(dtype).max
    rows, columns = np.mgrid[0:height, 0:width]
    red, green = rows / max(height - 1, 1), columns / max(width - 1, 1)
    return np.rint(np.dstack([red, green, 1 - red]) * top).astype(dtype)


def noise(height=40, width=60, dtype=np.uint8, channels=3):
    shape = (height, width, channels)
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


@functools.cache  # a new profile holds the time of day
def srgb_profile():
    return PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB")).tobytes()


def exif_bytes(orientation=1):
    exif = PIL.Image.Exif()
    exif[Base.Make] = "Camera & Co"
    exif[Base.Orientation] = orientation
    exif[IFD.Exif] = {Base.DateTimeOriginal: "2001:02:03 04:05:06", Base.ExifImageWidth: 7, Base.ExifImageHeight: 7}
    exif[IFD.GPSInfo] = {1: "N", 2: (46.0, 57.0, 3.5)}
    return exif.tobytes()


def error_of(path, **options):
    with pytest.raises(ImageError) as caught:
        read_image(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


class TestReading:
    @pytest.mark.parametrize("extension", LOSSLESS)
    def test_lossless_8_bit_round_trip(self, tmp_path, extension):
        path = tmp_path / f"a{extension}"
        write_image(path, noise())
        assert np.array_equal(read_image(path), noise())

    @pytest.mark.parametrize("extension", [".jpg", ".webp", ".avif"])
    def test_lossy_round_trip_is_close(self, tmp_path, extension):
        path = tmp_path / f"a{extension}"
        write_image(path, smooth())
        assert np.abs(read_image(path).astype(int) - smooth()).mean() < 2

    @pytest.mark.parametrize("extension", [".png", ".tiff"])
    def test_16_bit_round_trip(self, tmp_path, extension):
        path = tmp_path / f"a{extension}"
        write_image(path, noise(dtype=np.uint16))
        assert np.array_equal(read_image(path), noise(dtype=np.uint16))

    @pytest.mark.parametrize("extension", [".png", ".tiff"])
    def test_16_bit_of_other_software(self, tmp_path, extension):
        path = tmp_path / f"a{extension}"
        path.write_bytes(cv2.imencode(extension, noise(dtype=np.uint16)[:, :, ::-1])[1].tobytes())
        assert np.array_equal(read_image(path), noise(dtype=np.uint16))

    def test_16_bit_file_is_right_for_other_software(self, tmp_path):
        for extension in (".png", ".tiff"):
            write_image(tmp_path / f"a{extension}", noise(dtype=np.uint16))
            theirs = cv2.imdecode(np.fromfile(tmp_path / f"a{extension}", np.uint8), cv2.IMREAD_UNCHANGED)
            assert np.array_equal(theirs[:, :, ::-1], noise(dtype=np.uint16))

    @pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGBA", "RGBX", "CMYK", "I;16"])
    def test_every_kind_of_pixels_becomes_rgb(self, tmp_path, mode):
        path = tmp_path / "a.tiff"
        PIL.Image.fromarray(smooth()).convert("L" if mode == "I;16" else "RGB").convert(mode).save(path)
        image = read_image(path)
        assert image.shape == (40, 60, 3)
        assert image.dtype == (np.uint16 if mode == "I;16" else np.uint8)
        assert image.std() > 10 or mode == "I;16"

    @since_pillow_13
    def test_luma_and_chroma_become_rgb(self, tmp_path):
        PIL.Image.fromarray(smooth()).convert("YCbCr").save(tmp_path / "a.tiff")
        assert read_image(tmp_path / "a.tiff").std() > 10

    def test_transparent_palette(self, tmp_path):
        palette = PIL.Image.fromarray(smooth()).convert("P", palette=PIL.Image.Palette.ADAPTIVE)
        palette.save(tmp_path / "a.png", transparency=3)
        assert np.abs(read_image(tmp_path / "a.png").astype(int) - smooth()).mean() < 8

    def test_transparency_leaves_the_colors_alone(self, tmp_path):
        rgba = np.dstack([noise(), np.zeros((40, 60), np.uint8)])
        PIL.Image.fromarray(rgba).save(tmp_path / "a.png")
        assert np.array_equal(read_image(tmp_path / "a.png"), noise())

    def test_cmyk_jpeg_has_the_colors_of_the_rgb(self, tmp_path):
        PIL.Image.fromarray(smooth()).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
        assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - smooth()).mean() < 4

    def test_cmyk_with_an_unusable_profile(self, tmp_path):
        PIL.Image.fromarray(smooth()).convert("CMYK").save(tmp_path / "a.jpg", icc_profile=b"no profile at all")
        assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - smooth()).mean() < 6

    @pytest.mark.parametrize("extension", [".gif", ".webp", ".png"])
    def test_animation_gives_its_first_frame(self, tmp_path, extension):
        frames = [PIL.Image.new("RGB", (9, 7), color) for color in ((200, 0, 0), (0, 200, 0))]
        frames[0].save(tmp_path / f"a{extension}", save_all=True, append_images=frames[1:], duration=50)
        red, green, _ = read_image(tmp_path / f"a{extension}")[3, 4].tolist()
        assert red > 190
        assert green < 10

    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("extension", [".png", ".tiff", ".webp"])
    def test_exif_orientation_is_applied_once(self, tmp_path, orientation, extension):
        path = tmp_path / f"a{extension}"
        exif = PIL.Image.Exif()
        exif[Base.Orientation] = orientation
        stored = PIL.Image.fromarray(noise())
        stored.save(path, exif=exif, **({"lossless": True} if extension == ".webp" else {}))
        turned = {
            1: lambda a: a,
            2: np.fliplr,
            3: lambda a: np.rot90(a, 2),
            4: np.flipud,
            5: lambda a: a.swapaxes(0, 1),
            6: lambda a: np.rot90(a, -1),
            7: lambda a: np.rot90(a.swapaxes(0, 1), 2),
            8: np.rot90,
        }[orientation](noise())
        assert np.array_equal(read_image(path), turned)

    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("extension", [".jpg", ".avif"])
    def test_exif_orientation_of_formats_that_lose(self, tmp_path, orientation, extension):
        """AVIF states it in its own words; Pillow gives both as EXIF."""
        exif = PIL.Image.Exif()
        exif[Base.Orientation] = orientation
        block = exif.tobytes()  # Pillow takes the tag out of an object
        PIL.Image.fromarray(smooth()).save(tmp_path / f"a{extension}", exif=block, quality=95)
        PIL.Image.fromarray(smooth()).save(tmp_path / "a.png", exif=block)
        upright = read_image(tmp_path / "a.png")
        assert np.abs(read_image(tmp_path / f"a{extension}").astype(int) - upright).mean() < 3
        write_image(tmp_path / f"b{extension}", upright, like=tmp_path / f"a{extension}")
        assert np.abs(read_image(tmp_path / f"b{extension}").astype(int) - upright).mean() < 3

    def test_16_bit_orientation(self, tmp_path):
        source = tmp_path / "a.png"
        write_image(source, noise(dtype=np.uint16))
        exif = exif_bytes(orientation=6)[6:]
        chunk = struct.pack(">I", len(exif)) + b"eXIf" + exif + struct.pack(">I", zlib.crc32(b"eXIf" + exif))
        data = source.read_bytes()
        source.write_bytes(data[:33] + chunk + data[33:])
        assert np.array_equal(read_image(source), np.rot90(noise(dtype=np.uint16), -1))

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_turned_tiff(self, tmp_path, dtype):
        path = tmp_path / "a.tiff"
        path.write_bytes(tiff.encode([(noise(dtype=dtype), Metadata(exif=exif_bytes(orientation=6)))]))
        assert np.array_equal(read_image(path), np.rot90(noise(dtype=dtype), -1))

    def test_one_pixel(self, tmp_path):
        write_image(tmp_path / "a.png", noise(1, 1))
        assert read_image(tmp_path / "a.png").shape == (1, 1, 3)

    def test_twenty_thousand_pixels_wide(self, tmp_path):
        write_image(tmp_path / "a.jpg", smooth(12, 20_000))
        assert read_image(tmp_path / "a.jpg").shape == (12, 20_000, 3)

    def test_unicode_and_spaces_in_the_path(self, tmp_path):
        path = tmp_path / "Ömer & Ünsal 家族" / "foto \U0001f600 1.jpg"
        write_image(path, smooth())
        assert read_image(path).shape == (40, 60, 3)

    def test_content_counts_not_the_extension(self, tmp_path):
        write_image(tmp_path / "a.png", noise())
        renamed = (tmp_path / "a.png").rename(tmp_path / "a.jpg")
        assert np.array_equal(read_image(renamed), noise())


class TestRefusals:
    def test_missing(self, tmp_path):
        assert "No such file" in error_of(tmp_path / "none.jpg")

    def test_folder(self, tmp_path):
        assert "folder" in error_of(tmp_path)

    def test_zero_bytes(self, tmp_path):
        (tmp_path / "a.jpg").touch()
        assert "empty" in error_of(tmp_path / "a.jpg")

    def test_not_an_image(self, tmp_path):
        (tmp_path / "a.jpg").write_text("hello, I am a shopping list")
        assert "not an image" in error_of(tmp_path / "a.jpg")

    @pytest.mark.parametrize("extension", [*WRITABLE, ".gif"])
    @pytest.mark.parametrize("part", [0.05, 0.5, 0.9])
    def test_truncated(self, tmp_path, extension, part):
        PIL.Image.fromarray(noise()).save(tmp_path / "whole", "GIF")
        if extension != ".gif":
            write_image(tmp_path / f"whole{extension}", noise())
        data = (tmp_path / ("whole" if extension == ".gif" else f"whole{extension}")).read_bytes()
        (tmp_path / "a").write_bytes(data[: max(int(len(data) * part), 20)])
        assert "truncated or damaged" in error_of(tmp_path / "a")

    @pytest.mark.parametrize("extension", [".png", ".tiff"])
    def test_truncated_16_bit(self, tmp_path, extension):
        path = tmp_path / f"a{extension}"
        write_image(path, noise(dtype=np.uint16))
        path.write_bytes(path.read_bytes()[:-2000])
        assert "truncated or damaged" in error_of(path)

    def test_too_many_pixels_are_refused_by_the_header_alone(self, tmp_path):
        header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
        chunk = b"IHDR" + header
        bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
        idat = struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
        (tmp_path / "bomb.png").write_bytes(bomb + idat)
        assert "100000 x 100000" in error_of(tmp_path / "bomb.png")

    def test_limit_of_the_caller(self, tmp_path):
        write_image(tmp_path / "a.png", noise(40, 60))
        assert "limit" in error_of(tmp_path / "a.png", max_pixels=2399)
        assert read_image(tmp_path / "a.png", max_pixels=2400).shape == (40, 60, 3)

    @pytest.mark.parametrize("extension", [".png", ".jpg", ".tiff"])
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_pillows_own_limit_plays_no_role(self, tmp_path, monkeypatch, extension, dtype):
        write_image(tmp_path / f"a{extension}", noise(dtype=dtype))
        monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 10)
        assert read_image(tmp_path / f"a{extension}").shape == (40, 60, 3)

    @since_pillow_13
    def test_limit_of_a_decoder(self, tmp_path, monkeypatch):
        def refuse(*_):
            raise PIL.Image.DecompressionBombError("too many")

        write_image(tmp_path / "a.webp", noise())
        monkeypatch.setitem(PIL.Image.OPEN, "WEBP", (refuse, PIL.Image.OPEN["WEBP"][1]))
        assert "more pixels than the decoder of WEBP takes" in error_of(tmp_path / "a.webp")

    def test_floating_point_pixels(self, tmp_path):
        PIL.Image.fromarray(smooth()).convert("L").convert("F").save(tmp_path / "a.tiff")
        assert "32-bit floating point" in error_of(tmp_path / "a.tiff")

    @pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
    def test_unreadable_file(self, tmp_path):
        write_image(tmp_path / "a.png", noise())
        (tmp_path / "a.png").chmod(0)
        assert "Permission denied" in error_of(tmp_path / "a.png")

    def test_unreadable_file_as_the_system_says_it(self, tmp_path, monkeypatch):
        def refuse(path):
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr("revisage.images.sources.safe_read", refuse)
        assert "Permission denied" in error_of(tmp_path / "a.png")

    @pytest.mark.filterwarnings("ignore::UserWarning:PIL")
    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.data())
    def test_damaged_files_give_an_image_or_an_image_error(self, tmp_path, data):
        extension = data.draw(st.sampled_from([".jpg", ".png", ".tiff", ".webp", ".bmp"]))
        depth = data.draw(st.sampled_from([np.uint8, np.uint16]))
        source, path = tmp_path / f"source{extension}", tmp_path / "damaged"
        if not (tmp_path / f"{depth.__name__}{extension}").exists():
            write_image(source, noise(9, 11, depth))
            source.rename(tmp_path / f"{depth.__name__}{extension}")
        damaged = bytearray((tmp_path / f"{depth.__name__}{extension}").read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(damaged)
        with contextlib.suppress(ImageError):  # anything else fails the test
            assert read_image(path, max_pixels=10**6).shape[2] == 3


class TestWriting:
    def test_float_is_rounded_to_8_bit(self, tmp_path):
        write_image(tmp_path / "a.png", noise().astype(np.float32) / 255)
        assert np.array_equal(read_image(tmp_path / "a.png"), noise())

    def test_16_bit_is_rounded_where_only_8_fit(self, tmp_path):
        write_image(tmp_path / "a.bmp", np.maximum(noise().astype(np.uint16) * 257, 100) - 100)
        assert np.array_equal(read_image(tmp_path / "a.bmp"), noise())

    def test_quality_acts(self, tmp_path):
        write_image(tmp_path / "small.jpg", noise(), quality=30)
        write_image(tmp_path / "large.jpg", noise())
        assert (tmp_path / "small.jpg").stat().st_size < (tmp_path / "large.jpg").stat().st_size / 2

    def test_existing_file_is_kept_unless_overwritten(self, tmp_path):
        path = tmp_path / "a.png"
        write_image(path, noise())
        with pytest.raises(OutputError, match="exists already"):
            write_image(path, smooth(), overwrite=False)
        assert np.array_equal(read_image(path), noise())
        write_image(path, smooth())
        assert np.array_equal(read_image(path), smooth())

    @pytest.mark.parametrize("name", ["a.gif", "a.psd", "a"])
    def test_unsupported_extension(self, tmp_path, name):
        with pytest.raises(OutputError, match="not one of the formats"):
            write_image(tmp_path / name, noise())

    def test_too_wide_for_the_format(self, tmp_path):
        with pytest.raises(OutputError, match="WEBP holds at most 16383 pixels a side"):
            write_image(tmp_path / "a.webp", smooth(2, 16_384))

    def test_not_an_image(self, tmp_path):
        with pytest.raises(InputError, match="an image"):
            write_image(tmp_path / "a.png", np.zeros((4, 4), np.uint8))

    def test_folder_in_the_way(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(OutputError, match="cannot write"):
            write_image(tmp_path / "file" / "a.png", noise())

    def test_disk_full(self, tmp_path, monkeypatch):
        path = tmp_path / "a.png"
        write_image(path, noise())

        def full(self, data):
            with Path("/dev/full").open("wb") as device:
                device.write(data)

        if not Path("/dev/full").exists():
            pytest.skip("no /dev/full on this system")
        monkeypatch.setattr(Path, "write_bytes", full)
        with pytest.raises(OutputError, match="the disk is full"):
            write_image(path, smooth())
        monkeypatch.undo()
        assert np.array_equal(read_image(path), noise())
        assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]

    @pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
    def test_read_only_folder(self, tmp_path):
        tmp_path.chmod(0o500)
        with pytest.raises(OutputError, match="no permission"):
            write_image(tmp_path / "a.png", noise())

    def test_read_only_folder_as_the_system_says_it(self, tmp_path, monkeypatch):
        def refuse(*args, **options):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "touch", refuse)
        with pytest.raises(OutputError, match="no permission"):
            write_image(tmp_path / "a.png", noise())


class TestLikeTheSource:
    """``like`` carries over what the source file says besides its colors."""

    @pytest.fixture(params=[".jpg", ".png", ".tiff", ".webp", ".avif"])
    def source(self, request, tmp_path):
        path = tmp_path / f"source{request.param}"
        xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/' tiff:Orientation='6'>Mum</x:xmpmeta>"
        options = {"exif": exif_bytes(6), "icc_profile": srgb_profile(), "dpi": (300, 300), "xmp": xmp}
        if request.param == ".png":
            options["pnginfo"] = PngInfo()
            options["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp.decode())
        if request.param == ".tiff":
            options["tiffinfo"] = PIL.Image.Exif()
            options["tiffinfo"].load(exif_bytes(6))
            options["tiffinfo"][700] = xmp
        PIL.Image.fromarray(smooth()).save(path, **options)
        return path

    @pytest.mark.parametrize("extension", [".jpg", ".png", ".tiff", ".webp", ".avif"])
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_metadata_goes_along(self, source, tmp_path, extension, dtype):
        target = tmp_path / f"target{extension}"
        write_image(target, smooth(120, 80, dtype), like=source)
        written = PIL.Image.open(target)
        exif = written.getexif()
        camera = exif.get_ifd(IFD.Exif)
        assert exif[Base.Make] == "Camera & Co"
        assert exif.get(Base.Orientation, 1) == 1
        assert camera[Base.DateTimeOriginal] == "2001:02:03 04:05:06"
        assert (camera[Base.ExifImageWidth], camera[Base.ExifImageHeight]) == (80, 120)
        assert exif.get_ifd(IFD.GPSInfo)[2] == (46.0, 57.0, 3.5)
        assert written.info["icc_profile"] == srgb_profile()
        assert b"Mum" in written.info["xmp"]
        assert b"tiff:Orientation='1'" in written.info["xmp"]
        if {source.suffix, extension} <= {".jpg", ".png", ".tiff"}:
            assert written.info["dpi"] == pytest.approx((300, 300), abs=0.1)

    def test_result_is_not_turned_twice(self, source, tmp_path):
        upright = read_image(source)
        write_image(tmp_path / "target.png", upright, like=source)
        assert upright.shape == (60, 40, 3)
        assert np.array_equal(read_image(tmp_path / "target.png"), upright)

    @pytest.mark.parametrize("extension", [".png", ".tiff", ".webp", ".avif"])
    def test_alpha_is_scaled_along(self, tmp_path, extension):
        alpha = np.zeros((40, 60), np.uint8)
        alpha[:, 30:] = 200
        PIL.Image.fromarray(np.dstack([smooth(), alpha])).save(tmp_path / "source.png")
        write_image(tmp_path / f"target{extension}", smooth(80, 120), like=tmp_path / "source.png")
        written = np.asarray(PIL.Image.open(tmp_path / f"target{extension}"))
        assert written.shape == (80, 120, 4)
        assert written[:, :50, 3].max() <= 2
        assert np.abs(written[:, 70:, 3].astype(int) - 200).max() <= 2

    @pytest.mark.parametrize("extension", [".png", ".tiff"])
    def test_alpha_of_a_16_bit_source(self, tmp_path, extension):
        rgba = noise(dtype=np.uint16, channels=4)
        source = tmp_path / f"source{extension}"
        source.write_bytes(cv2.imencode(extension, np.ascontiguousarray(rgba[:, :, [2, 1, 0, 3]]))[1].tobytes())
        write_image(tmp_path / f"target{extension}", read_image(source), like=source)
        theirs = cv2.imdecode(np.fromfile(tmp_path / f"target{extension}", np.uint8), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(theirs[:, :, [2, 1, 0, 3]], rgba)

    @pytest.mark.parametrize("extension", [".jpg", ".bmp"])
    def test_transparency_into_a_format_without(self, tmp_path, extension):
        PIL.Image.fromarray(noise(channels=4)).save(tmp_path / "source.png")
        with pytest.raises(OutputError, match="no transparency"):
            write_image(tmp_path / f"target{extension}", noise(), like=tmp_path / "source.png")
        assert not (tmp_path / f"target{extension}").exists()

    def test_opaque_alpha_is_no_transparency(self, tmp_path):
        PIL.Image.fromarray(np.dstack([smooth(), np.full((40, 60), 255, np.uint8)])).save(tmp_path / "source.png")
        write_image(tmp_path / "target.jpg", smooth(), like=tmp_path / "source.png")
        assert PIL.Image.open(tmp_path / "target.jpg").mode == "RGB"

    @pytest.mark.parametrize(("mode", "written"), [("1", "L"), ("L", "L"), ("LA", "LA"), ("I;16", "I;16")])
    def test_gray_stays_gray(self, tmp_path, mode, written):
        gray = PIL.Image.fromarray(smooth()[:, :, 1])
        (gray.convert(mode) if mode != "LA" else PIL.Image.merge("LA", [gray, gray])).save(tmp_path / "source.png")
        image = read_image(tmp_path / "source.png")
        for extension in (".png", ".tiff"):
            write_image(tmp_path / f"target{extension}", image, like=tmp_path / "source.png")
            assert PIL.Image.open(tmp_path / f"target{extension}").mode == written
            assert np.array_equal(read_image(tmp_path / f"target{extension}"), image)

    def test_gray_with_alpha_in_16_bit(self, tmp_path):
        gray = PIL.Image.fromarray(smooth()[:, :, 1])
        PIL.Image.merge("LA", [gray, gray]).save(tmp_path / "source.png")
        image16 = np.repeat(smooth(dtype=np.uint16)[:, :, 1:2], 3, 2)
        write_image(tmp_path / "target.png", image16, like=tmp_path / "source.png")
        write_image(tmp_path / "again.png", read_image(tmp_path / "target.png"), like=tmp_path / "target.png")
        assert (tmp_path / "again.png").read_bytes()[25] == 4  # the PNG header's word for gray with alpha
        hidden = smooth()[:, :, 1] == 0
        assert np.array_equal(read_image(tmp_path / "again.png")[~hidden], image16[~hidden])
        assert (tmp_path / "again.png").read_bytes() == (tmp_path / "target.png").read_bytes()

    def test_float_takes_the_depth_of_the_source(self, tmp_path):
        image16 = noise(dtype=np.uint16)
        write_image(tmp_path / "source.png", image16)
        write_image(
            tmp_path / "target.png", (image16 / np.float32(65535)).astype(np.float32), like=tmp_path / "source.png"
        )
        assert np.array_equal(read_image(tmp_path / "target.png"), image16)

    def test_cmyk_profile_does_not_go_onto_rgb(self, tmp_path):
        profile = bytearray(srgb_profile())
        profile[16:20] = b"CMYK"
        PIL.Image.fromarray(smooth()).convert("CMYK").save(tmp_path / "source.jpg", icc_profile=bytes(profile))
        write_image(tmp_path / "target.jpg", smooth(), like=tmp_path / "source.jpg")
        assert "icc_profile" not in PIL.Image.open(tmp_path / "target.jpg").info

    @pytest.mark.filterwarnings("ignore::UserWarning:PIL")
    def test_malformed_exif_is_left_out(self, tmp_path):
        PIL.Image.fromarray(smooth()).save(tmp_path / "source.jpg", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff garbage")
        write_image(tmp_path / "target.jpg", read_image(tmp_path / "source.jpg"), like=tmp_path / "source.jpg")
        assert read_image(tmp_path / "target.jpg").shape == (40, 60, 3)

    def test_source_that_is_gone(self, tmp_path):
        with pytest.raises(ImageError, match="No such file"):
            write_image(tmp_path / "target.jpg", smooth(), like=tmp_path / "gone.jpg")
