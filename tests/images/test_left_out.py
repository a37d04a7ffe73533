"""What a result lacks is named; silence means that nothing was lost."""

import io
import struct
import zlib

import numpy as np
import PIL.Image
import pytest
from tests.images.test_images import exif_bytes, noise, smooth

from revisage.images import write_image, xmp

SMALL = PIL.Image.fromarray(smooth(16, 24)).convert("L")
GAIN_MAP = "the gain map (HDR)"


def container(*semantics):
    """XMP that lists what lies behind a photo, as phones write it."""
    items = "".join(
        f'<rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="{kind}" Item:Mime="image/jpeg"/></rdf:li>'
        for kind in semantics
    )
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" '
        'xmlns:dc="dc" dc:title="Mum" xmlns:Container="http://ns.google.com/photos/1.0/container/" '
        'xmlns:Item="http://ns.google.com/photos/1.0/container/item/" hdrgm:Version="1.0">'
        f"<Container:Directory><rdf:Seq>{items}</rdf:Seq></Container:Directory><hdrgm:GainMapMax>2</hdrgm:GainMapMax>"
        "</rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()


def jpeg(**options):
    file = io.BytesIO()
    PIL.Image.fromarray(smooth()).save(file, "JPEG", **options)
    return file.getvalue()


def multi_picture(packet):
    file = io.BytesIO()
    PIL.Image.fromarray(smooth()).save(file, "MPO", save_all=True, append_images=[SMALL], xmp=packet)
    return file.getvalue()


def left_out(source, extension="jpg", image=None):
    return write_image(io.BytesIO(), smooth() if image is None else image, like=source, format=extension)


def test_a_photo_that_loses_nothing_says_nothing():
    assert left_out(jpeg(exif=exif_bytes(), comment=b"hi", dpi=(300, 300))) == ()


def test_a_gain_map_is_named():
    assert left_out(multi_picture(container("Primary", "GainMap"))) == (GAIN_MAP,)


@pytest.mark.parametrize("mark", [b"http://ns.apple.com/HDRGainMap/1.0/", b"urn:iso:std:iso:ts:21496:-1"])
def test_gain_maps_of_other_makers_are_named(mark):
    assert left_out(jpeg() + jpeg(comment=mark)) == (GAIN_MAP,)


def test_a_gain_map_is_taken_out_of_xmp(tmp_path):
    write_image(tmp_path / "b.jpg", smooth(), like=multi_picture(container("Primary", "GainMap")))
    packet = PIL.Image.open(tmp_path / "b.jpg").info["xmp"]
    assert not any(word in packet for word in (b"GainMap", b"hdrgm", b"Container", b"Item:"))
    assert b'dc:title="Mum"' in packet


def test_xmp_under_another_prefix_is_taken_out_too():
    packet = container("Primary", "GainMap").replace(b"hdrgm", b"g").replace(b"Container", b"c")
    assert b"GainMap" not in xmp.set_upright(packet, (2, 2))


def test_xmp_that_is_no_xml_takes_no_time():
    packet = container() + b"".join(b"<hdrgm:a%d>" % i for i in range(50_000))
    assert xmp.set_upright(packet, (2, 2))


def test_the_video_of_a_motion_photo_is_named():
    video = struct.pack(">I", 24) + b"ftypmp42" + bytes(400)
    assert left_out(jpeg(xmp=container("Primary", "MotionPhoto")) + video) == ("the video of the motion photo",)


def test_further_images_of_a_jpeg_are_named():
    assert left_out(multi_picture(b"")) == ("1 further image",)


def test_bytes_behind_a_jpeg_are_named():
    assert left_out(jpeg() + b"SEFH" * 50) == ("200 bytes behind the image",)


def test_data_of_the_camera_are_named():
    thermal = jpeg(extra=b"\xff\xe4" + struct.pack(">H", 12) + b"THERMAL\0\1\2")
    assert left_out(thermal) == ("data of the camera (THERMAL)",)


@pytest.mark.parametrize(
    ("extension", "lost"), [("jpg", ("8 of 16 bits a channel",)), ("webp", ("8 of 16 bits a channel",)), ("png", ())]
)
def test_bits_are_named(tmp_path, extension, lost):
    write_image(tmp_path / "a.png", noise(dtype=np.uint16))
    assert left_out(tmp_path / "a.png", extension, noise(dtype=np.uint16)) == lost


@pytest.mark.parametrize(
    ("extension", "words"),
    [("bmp", {"EXIF", "the comment"}), ("webp", {"the comment", "the resolution"}), ("png", set())],
)
def test_metadata_without_a_place_are_named(extension, words):
    assert set(left_out(jpeg(exif=exif_bytes(), comment=b"hi", dpi=(300, 300)), extension)) == words


def test_malformed_exif_is_named():
    assert left_out(jpeg(exif=b"Exif\0\0II*\0\xff\xff\xff\xff")) == ("EXIF (malformed)",)


def test_inks_are_named():
    file = io.BytesIO()
    PIL.Image.new("CMYK", (60, 40)).save(file, "JPEG")
    assert left_out(file.getvalue()) == ("the inks (CMYK became RGB)",)


def test_content_credentials_are_named():
    box = b"JP\0\1\0\0\0\1" + b"\0\0\0\x40jumb\0\0\0\x18jumdc2pa" + bytes(30)
    signed = jpeg(extra=b"\xff\xeb" + struct.pack(">H", len(box) + 2) + box)
    assert left_out(signed) == ("the content credentials (C2PA)",)


def test_a_color_description_of_a_png_is_named(tmp_path):
    file = io.BytesIO()
    PIL.Image.fromarray(smooth()).save(file, "PNG")
    content = b"cICP" + bytes((9, 16, 0, 1))
    chunk = struct.pack(">I", 4) + content + struct.pack(">I", zlib.crc32(content))
    data = file.getvalue()
    assert left_out(data[:33] + chunk + data[33:], "png") == ("the color description (cICP)",)


def test_gain_map_and_depth_of_a_heic_are_named(tmp_path):
    pytest.importorskip("pillow_heif")
    write_image(tmp_path / "a.heic", smooth())
    data = (tmp_path / "a.heic").read_bytes()
    boxes = b"urn:com:apple:photos:2020:aux:hdrgainmap\0urn:mpeg:hevc:2015:auxid:2\0"
    free = struct.pack(">I", 8 + len(boxes)) + b"free" + boxes
    assert left_out(data + free) == (GAIN_MAP, "the depth map")


def test_further_images_of_a_heic_are_named(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    images = heif.from_pillow(PIL.Image.fromarray(smooth()))
    images.add_from_pillow(PIL.Image.fromarray(smooth()))
    images.save(file)
    assert left_out(file.getvalue(), "jpg") == ("1 further image",)


def test_layers_of_a_tiff_are_named(tmp_path):
    info = {37724: b"Adobe Photoshop Document Data Block\0" + bytes(20)}
    PIL.Image.fromarray(smooth()).save(tmp_path / "a.tif", tiffinfo=info)
    assert left_out(tmp_path / "a.tif", "tif") == ("the layers of Photoshop",)


def test_the_still_image_beside_an_animation_is_named():
    frames = [PIL.Image.fromarray(np.roll(smooth(), 7 * n, 1)) for n in range(3)]
    file = io.BytesIO()
    frames[0].save(file, "PNG", save_all=True, append_images=frames[1:], duration=90, default_image=True)
    two = [smooth(), smooth()]
    assert left_out(file.getvalue(), "png", two) == ("the still image for programs without animations",)
