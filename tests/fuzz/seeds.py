"""Valid files to begin with, made when they are asked for: none is kept in the repository."""

import contextlib
import io
import json
import os
import pickle
import random
import struct
import tarfile
import zipfile
from collections import OrderedDict
from functools import cache

import cv2
import numpy as np
import PIL.Image
import PIL.ImageCms
import torch
from PIL.PngImagePlugin import PngInfo
from safetensors.torch import save

from revisage.models.build import construct_empty
from revisage.models.checkpoint import Header
from revisage.training.data.components import NAMES
from revisage.types import Array

SIDE = 20
GFPGAN = {
    "out_size": 32,
    "num_style_feat": 8,
    "num_mlp": 2,
    "narrow": 0.0625,
    "different_w": True,
    "input_is_latent": True,
}
UNET = {"widths": [8, 16], "blocks": [1, 1], "unshuffle": 4}
HEADERS = [
    Header("RestorationUNet", UNET, 512),
    Header("CoarseToFineUNet", {"coarse": UNET, "fine": UNET}, 512),
    Header("GFPGANv1Clean", GFPGAN, 32),
    Header("SRVGGNetCompact", {"num_feat": 4, "num_conv": 2, "upscale": 2}),
    Header("RRDBNet", {"num_in_ch": 3, "num_out_ch": 3, "num_feat": 4, "num_block": 1}),
]


class Malice:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


MALICE = [Malice(os.system, "echo"), Malice(os.mkdir, "run"), Malice(eval, "1"), Malice(bytearray, 10)]


def gradient(channels: int = 3, dtype: type = np.uint8, side: int = SIDE) -> Array:
    """(side, side, channels) with a little of everything."""
    values = np.mgrid[0:side, 0:side].sum(0)[:, :, None] * np.arange(1, channels + 1)
    return (values * (np.iinfo(dtype).max / values.max())).astype(dtype)


@cache
def images() -> tuple[bytes, ...]:
    """Every format that Pillow and OpenCV write, in its kinds, with metadata."""
    found = [cv2.imencode(end, gradient(n, np.uint16))[1].tobytes() for end in (".png", ".tiff") for n in (1, 3, 4)]
    exif = PIL.Image.Exif()
    exif[271], exif[274] = "Maker", 6
    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", "<x tiff:Orientation='6'/>", zip=True)
    text.add_text("Comment", "words " * 9, zip=True)
    text.add_text("Raw profile type exif", "\nexif\n8\n45786966")
    text.add(b"gAMA", struct.pack(">I", 45_000))
    text.add(b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000))
    rgb = PIL.Image.fromarray(gradient())
    profile = PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB")).tobytes()
    profile = profile[:24] + bytes(12) + profile[36:]  # the time of day is left out
    for form, modes, options in (
        (
            "JPEG",
            ("RGB", "L", "CMYK"),
            [{}, {"progressive": True, "exif": exif, "icc_profile": profile, "dpi": (300, 300), "comment": b"c"}],
        ),
        (
            "PNG",
            ("RGB", "L", "LA", "P", "RGBA", "1", "I;16"),
            [{}, {"pnginfo": text, "exif": exif, "icc_profile": profile}],
        ),
        (
            "TIFF",
            ("RGB", "L", "P", "RGBA", "CMYK", "1", "F", "I;16"),
            [{}, {"exif": exif}, {"compression": "tiff_lzw"}],
        ),
        ("TIFF", ("RGB", "YCbCr"), [{"compression": "jpeg"}, {"compression": "tiff_deflate"}, {"big_tiff": True}]),
        ("WEBP", ("RGB", "RGBA"), [{"exif": exif.tobytes(), "xmp": b"<x/>"}, {"lossless": True}]),
        ("AVIF", ("RGB",), [{"exif": exif.tobytes()}]),
        ("BMP", ("RGB", "L", "P", "1"), [{}]),
        ("GIF", ("P", "RGB"), [{}, {"save_all": True, "append_images": [rgb]}]),
    ):
        for mode in modes:
            image = rgb.convert("L").convert(mode) if mode in ("F", "I;16") else rgb.convert(mode)
            for chosen in options:
                file = io.BytesIO()
                with contextlib.suppress(OSError, KeyError):  # a codec that this Pillow lacks
                    image.save(file, form, **chosen)
                    found.append(file.getvalue())
    with contextlib.suppress(ImportError):
        import pillow_heif

        file = io.BytesIO()
        pillow_heif.from_pillow(rgb).save(file)
        found.append(file.getvalue())
    jpeg = next(data for data in found if data.startswith(b"\xff\xd8"))
    return (*found, _with_segments(jpeg))


def _with_segments(jpeg: bytes) -> bytes:
    """With Photoshop's block of IPTC data, an XMP packet, and a second part of one."""
    parts = [b"\xff\xd8"]
    for marker, content in (
        (b"\xff\xed", b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0\0\0\0\x0a\x1c\x02\x05\0\x05title"),
        (b"\xff\xe1", b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta tiff:Orientation='8'/>"),
        (b"\xff\xe1", b"http://ns.adobe.com/xmp/extension/\0" + b"0" * 32 + bytes(8) + b"<more/>"),
    ):
        parts += [marker, struct.pack(">H", len(content) + 2), content]
    return b"".join(parts) + jpeg[2:]


@cache
def states() -> tuple[dict[str, torch.Tensor], ...]:
    """The weights of a small network for each of `HEADERS`."""
    networks = [construct_empty(header, "a seed") for header in HEADERS]
    return tuple(network.to_empty(device="cpu").apply(_zeroed).state_dict() for network in networks)


def _zeroed(module: torch.nn.Module) -> None:
    for value in (*module.parameters(), *module.buffers()):
        value.data.zero_()


@cache
def safetensors() -> tuple[bytes, ...]:
    """Small networks with and without a header, tensors of no network."""
    found = [save({"a": torch.ones(3), "b": torch.zeros(2, 2).half()}, {"revisage": '{"size": 1}'})]
    for header, state in zip(HEADERS, states(), strict=True):
        found += [save(state, {"revisage": header.to_json()}), save(state)]
    return tuple(sorted(found, key=len))[
        :6
    ]  # the large ones are slow and say nothing new; their headers do, see `headers`


@cache
def headers() -> tuple[bytes, ...]:
    """The headers alone."""
    files = [save(state, {"revisage": header.to_json()}) for header, state in zip(HEADERS, states(), strict=True)]
    return tuple(file[8 : 8 + int.from_bytes(file[:8], "little")] for file in files)


@cache
def checkpoints() -> tuple[bytes, ...]:
    """What `torch.save` writes: both forms, every layout, with code beside and instead; and an old tar."""
    weights = {"a.weight": torch.ones(2, 3), "b": torch.zeros(4).bfloat16()}
    small = states()[2]
    contents = [{"params_ema": weights, "params": small}, small, {"state_dict": OrderedDict(weights), "epoch": 3}]
    contents += [{"params": weights, "x": bad} for bad in MALICE] + [{"a": torch.ones(1).expand(3, 4)}]
    return (
        *(_saved(content, zipped) for content in contents for zipped in (True, False)),
        pickle.dumps({"a": 1}, 2),
        pickle.dumps({"a": MALICE[0]}, 4),
        _tar({"pickle": b"\x80\x02.", "storages": b"", "../../tensors": b""}),
    )


def _saved(content: object, zipped: bool) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    if not zipped:
        return file.getvalue()
    packed = io.BytesIO()  # anew, with sizes where `mutation.repaired` finds them
    with zipfile.ZipFile(file) as source, zipfile.ZipFile(packed, "w") as target:
        for member in source.infolist():
            target.writestr(member.filename, source.read(member))
    return packed.getvalue()


def _tar(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


@cache
def landmark_files() -> tuple[bytes, ...]:
    """FFHQ's file of eyes and mouths, its numbers NumPy's and plain ones."""
    rows = [[1.5, 2.5, 3.5]] * 3
    plain = {"00000000": dict(zip(NAMES, rows, strict=True))}
    scalars = {key: {name: list(np.array(row)) for name, row in entry.items()} for key, entry in plain.items()}
    contents = [plain, scalars, scalars | {"x": MALICE[1]}]
    return tuple(_saved(content, zipped) for content in contents for zipped in (True, False))


@cache
def shards() -> tuple[bytes, ...]:
    """Tar files of images, one with names that lead elsewhere and a link."""
    image = images()[1]
    plain = _tar({"a.png": image, "a.json": b"{}", "b.jpg": image})
    return plain, _tar({"../../a.png": image, "/etc/b.png": image, "c\n.png": b"", "x/.png": image})


def texts(kind: str) -> tuple[bytes, ...]:
    """Files of labels, lists and settings in text."""
    entry = {"faces": [{"box": [1, 2, 9, 9], "landmarks": [[1, 2]] * 5}]}
    points = ",".join(f"{point}_{axis}" for point in ("eye1", "eye2", "nose", "mouth1", "mouth2") for axis in "xy")
    recipe = (
        "name: x\nseed: 1\ntask:\n  kind: detector\n  photos: a.json\n  crops: b.csv\n  only: [a/]\n  side: 320\n"
        "training:\n  images: 10\n  batch: 2\n  optimizer: {learning_rate: 2.0e-3}\n  schedule: {warmup: 30}\n"
    )
    return {
        "labels": (
            json.dumps({"p.png": entry}).encode(),
            json.dumps({"../p.png": entry, "p.png": {"faces": []}}).encode(),
        ),
        "crops": (f"file,{points}\nx_p.png,{','.join('5' * 10)}\n".encode(),),
        "detections": (json.dumps({"p.jpg": [{"box": [1, 2, 3, 4]}]}).encode(),),
        "recipe": (recipe.encode(), recipe.replace("side: 320", "side: &s 320\n  box: *s").encode()),
        "override": (
            b"training.images=5",
            b"task.only=[a, b]",
            b"x.y.z={a: &b [1], c: *b}",
            b"=",
            b"name=!!binary YQ==",
        ),
        "meta": (b"p.png (20,20,3) 1\nq.png (20,20,3) 1\n",),
        "note": (b'{"url": "https://x.org/f", "validator": "\\"e\\""}', b"[]", b'{"validator": 3}'),
        "response": (b'206\nbytes 3-9/10\n7\n"e"\nabcdefg', b"200\n\n10\n\nabcdefghij", b"416\nbytes */3\n\n\n"),
    }[kind]


def photo_record() -> bytes:
    """A photo in the job store of a preparation."""
    face = {
        "place": 0,
        "side": 512,
        "measures": {"width": 1.5, "score": 1, "native_side": 1, "inside": 1, "yaw": 0},
        "landmarks": [[1, 2]] * 5,
        "fingerprint": "0" * 64,
        "file": "512/0.png",
    }
    record = {"photo": "/a.jpg", "sha256": "0", "reason": "", "like": "", "faces": [face]}
    return json.dumps(record).encode()


def arrays() -> tuple[bytes, ...]:
    """`.npz` files: statistics, parameters of NIQE, weights in 8 bits; and one that is a pickle inside."""
    contents = [
        {"mu": np.zeros(2), "sigma": np.eye(2)},
        {"mu_pris_param": np.zeros((1, 36)), "cov_pris_param": np.eye(36), "gaussian_window": np.ones((7, 7))},
        {"w": np.zeros(3, np.uint8), "quantisation": np.array('{"w": {"scale": 2, "min": 1}}')},
        {"mu": np.array([None, {}], object), "sigma": np.eye(2)},
    ]
    found = []
    for content in contents:
        file = io.BytesIO()
        np.savez(file, **content)
        found.append(file.getvalue())
    return tuple(found)


def shapes(rng: random.Random) -> dict[str, tuple[int, ...]]:
    """Shapes of a network with a few of them changed."""
    found = {key: tuple(value.shape) for key, value in rng.choice(states()).items()}
    for _ in range(rng.randrange(6)):
        key = rng.choice(list(found))
        found[key] = tuple(rng.choice((0, 1, 3, 7, 64, 2**31, 2**62)) for _ in range(rng.randrange(6)))
        if rng.random() < 0.3:
            del found[key]
        if rng.random() < 0.3:
            found[key.replace("0", str(rng.choice((1, 9, 10**9)))) or "x"] = (rng.randrange(99),)
    return found


def header_of(length: int, text: bytes) -> bytes:
    """A safetensors file with this stated length and this text for a header."""
    return struct.pack("<Q", length) + text
