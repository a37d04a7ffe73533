"""``POST /v1/restore`` and ``/v1/detect``: bytes or a form in; an image like it, or JSON, out."""

import base64
import io
from functools import cache

import numpy as np
import PIL.Image
import pytest
from PIL import ImageCms
from stand_ins_of_serve import encoded, flat

from revisage.images import read_image

PNG = {"content-type": "image/png"}
JSON = {"accept": "application/json"}
CENTER = 12, 10


def restore(client, image=None, query="scale=1", headers=None, **form):
    return client.post(f"/v1/restore?{query}", files={"image": image or encoded(flat(10))}, data=form, headers=headers)


@pytest.fixture(scope="module")
def client(serve):
    return serve()


def with_exif():
    """A JPEG file whose EXIF names a camera and a place."""
    exif = PIL.Image.Exif()
    exif[271] = "Nikon"
    exif.get_ifd(0x8825)[1] = "N"
    data = io.BytesIO()
    PIL.Image.fromarray(flat(10)).save(data, "JPEG", exif=exif, comment=b"secret", icc_profile=srgb())
    return data.getvalue()


@cache
def srgb():
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize("kind", ["image/png", "application/octet-stream"])
def test_bytes_alone_are_an_image(client, kind):
    reply = client.post("/v1/restore?scale=2", content=encoded(flat(10)), headers={"content-type": kind})
    assert reply.headers["content-type"] == "image/png"
    assert reply.headers["x-faces"] == "1"
    assert read_image(reply.content).shape == (48, 40, 3)


@pytest.mark.parametrize("format", ["png", "jpg", "webp", "tif", "bmp", "avif"])
def test_the_result_has_the_format_of_the_upload(client, format):
    reply = restore(client, encoded(flat(10), format))
    image = PIL.Image.open(io.BytesIO(reply.content))
    assert image.format == PIL.Image.open(io.BytesIO(encoded(flat(10), format))).format
    assert reply.headers["content-type"] == PIL.Image.MIME[image.format]
    assert abs(int(np.asarray(image)[CENTER][0]) - 245) < 6


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "image/png"),
        ("image/*", "image/png"),
        ("image/webp", "image/webp"),
        ("text/html, image/webp;q=0.5, image/jpeg;q=0.8", "image/jpeg"),
        ("application/json;q=0.1, */*;q=0.5", "image/png"),
        ("application/json", "application/json"),
    ],
)
def test_accept_chooses_the_reply(client, accept, kind):
    assert restore(client, headers={"accept": accept}).headers["content-type"] == kind


def test_a_format_can_be_asked_for(client):
    assert restore(client, query="scale=1&format=webp").headers["content-type"] == "image/webp"


def test_json_tells_the_faces_and_no_image_unless_asked(client):
    fields = restore(client, headers=JSON).json()
    assert (fields["width"], fields["height"], fields["model"]) == (20, 24, "plain")
    (face,) = fields["faces"]
    assert (face["number"], face["status"], face["box"]) == (0, "restored", [2.0, 2.4, 18.0, 21.6])
    assert "image" not in fields
    assert "crop" not in face


def test_images_in_json_are_those_of_the_reply(client):
    fields = restore(client, query="scale=1&include=image,faces", headers=JSON).json()
    image, crop, restored = (
        read_image(base64.b64decode(text))
        for text in (fields["image"], fields["faces"][0]["crop"], fields["faces"][0]["restored"])
    )
    assert image[CENTER].tolist() == [245] * 3
    assert (crop[16, 16, 0], restored[16, 16, 0]) == (10, 245)


def test_controls_act_from_the_query_and_from_the_form(client):
    half = restore(client, strength="0.5")
    assert read_image(half.content)[CENTER].tolist() == [128] * 3
    assert half.content == restore(client, query="scale=1&strength=0.5").content
    assert read_image(restore(client, faces="7").content)[CENTER].tolist() == [10] * 3


def test_metadata_is_kept_unless_stripped(client):
    kept = PIL.Image.open(io.BytesIO(restore(client, with_exif()).content))
    assert kept.getexif()[271] == "Nikon"
    assert kept.info["comment"] == b"secret"
    stripped = restore(client, with_exif(), query="scale=1&metadata=strip")
    assert b"Nikon" not in stripped.content
    assert b"secret" not in stripped.content
    image = PIL.Image.open(io.BytesIO(stripped.content))
    assert not image.getexif()
    assert image.info["icc_profile"] == srgb()
    assert "x-left-out" not in stripped.headers


def test_transparency_and_16_bits_survive(client):
    for image in (np.dstack([flat(10), flat(99)[:, :, :1]]), np.full((24, 20, 3), 4000, np.uint16)):
        result = PIL.Image.open(io.BytesIO(restore(client, encoded(image)).content))
        assert result.mode == ("RGBA" if image.shape[2] == 4 else "RGB")
        assert restore(client, encoded(image), headers=JSON).json()["left_out"] == []


def test_animations_stay_animations(client):
    data = io.BytesIO()
    frames = [PIL.Image.fromarray(flat(level)) for level in (10, 60, 110, 160)]
    frames[0].save(data, "WEBP", save_all=True, append_images=frames[1:], duration=80, lossless=True)
    reply = restore(client, data.getvalue())
    assert reply.headers["content-type"] == "image/webp"
    assert PIL.Image.open(io.BytesIO(reply.content)).n_frames == 4


def test_detect_lists_the_faces(client):
    fields = client.post("/v1/detect", content=encoded(flat(10)), headers=PNG).json()
    assert (fields["width"], fields["height"]) == (20, 24)
    assert [(face["number"], face["score"]) for face in fields["faces"]] == [(0, 0.9)]
    few = client.post("/v1/detect?min_score=0.95", content=encoded(flat(10)), headers=PNG).json()
    assert few["faces"] == []


def test_the_models_are_listed(client):
    (model,) = client.get("/v1/models").json()["models"]
    assert (model["name"], model["is_default"]) == ("plain", True)
