"""What is fuzzed: a row a reader of files that strangers make. Each takes bytes and a folder, see `containment`."""

import email.message
import io
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import seeds
import torch
from containment import Target

from revisage.errors import DownloadError, RecipeError
from revisage.evaluation.metrics.fid import read_statistics
from revisage.evaluation.metrics.networks import read_channel_weights
from revisage.evaluation.metrics.niqe import read_model
from revisage.images import read, read_image, write_image
from revisage.jobs.store import Entry, open_store
from revisage.models import download
from revisage.models.build import build, construct_empty, read_checkpoint, read_state
from revisage.models.checkpoint import Header, read_weights
from revisage.models.detect_architecture import detect_architecture
from revisage.models.download import Partial, TransferError, receive
from revisage.training.data.components import read_components
from revisage.training.data.sources import FolderSource, LmdbSource, TarSource
from revisage.training.embedded.labeled_photos import BoxFromLandmarks, read_crops, read_false_positives, read_photos
from revisage.training.prepare.photos import open_settled
from revisage.training.prepare.records import Options
from revisage.training.recipe import read_recipe

PIXELS = 4_000_000
"""Larger images are refused: the guard on memory is below that of an image of the usual limit."""


@dataclass(frozen=True)
class Subject:
    """A reader and valid files for it."""

    run: Target
    seeds: Callable[[], tuple[bytes, ...]]


def put(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def image(data: bytes, folder: Path) -> None:
    pixels = read_image(put(folder, "input.bin", data), max_pixels=PIXELS)
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    assert pixels.dtype in (np.uint8, np.uint16)


def rewritten_image(data: bytes, folder: Path) -> None:
    source = put(folder, "input.bin", data)
    end = (".png", ".jpg", ".tiff", ".webp")[len(data) % 4]
    depth = (np.uint8, np.uint16)[len(data) // 4 % 2]
    with mock.patch.object(read, "MAX_PIXELS", PIXELS):
        write_image(folder / f"output{end}", seeds.gradient(dtype=depth), like=source)
    assert read_image(folder / f"output{end}").shape == (seeds.SIDE, seeds.SIDE, 3)


def safetensors(data: bytes, folder: Path) -> None:
    path = put(folder, "input.safetensors", data)
    state, header = read_weights(path)
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    assert header is None or isinstance(header, Header)
    network, _ = build(path)
    assert all(bool(value.isfinite().all()) for value in network.state_dict().values())


def checkpoint(data: bytes, folder: Path) -> None:
    path = put(folder, "input.pth" if len(data) % 2 else "input.ckpt", data)
    assert all(isinstance(value, torch.Tensor) for value in read_state(path).values())
    build(path)


def shapes(data: bytes, folder: Path) -> None:
    found = seeds.shapes(random.Random(data))
    header = detect_architecture(found, "input.pth")
    construct_empty(header, "input.pth")


def header(data: bytes, folder: Path) -> None:
    """The text of a safetensors header, with the right length before it."""
    path = put(folder, "input.safetensors", seeds.header_of(len(data), data) + bytes(64))
    state, found = read_checkpoint(path)
    construct_empty(found, str(path))
    assert state


def landmarks(data: bytes, folder: Path) -> None:
    for components in read_components(put(folder, "input.pth", data)).values():
        assert components.shape == (3, 3)
        assert np.isfinite(components).all()


def labels(data: bytes, folder: Path) -> None:
    put(folder, "p.png", seeds.images()[1])
    for photo in read_photos(put(folder, "input.json", data), [""]):
        assert np.isfinite(photo.boxes).all()
        assert np.isfinite(photo.landmarks).all()


def crop_list(data: bytes, folder: Path) -> None:
    put(folder, "x_p.png", seeds.images()[1])
    box = BoxFromLandmarks(np.ones((12, 4), np.float32), np.random.default_rng(0).random((12, 5, 2), np.float32))
    for photo in read_crops(put(folder, "input.csv", data), [""], box):
        assert np.isfinite(photo.landmarks).all()


def detections(data: bytes, folder: Path) -> None:
    put(folder, "p.png", seeds.images()[1])
    photos = read_photos(put(folder, "labels.json", seeds.texts("labels")[0]), [""])
    for boxes in read_false_positives(put(folder, "input.json", data), photos).values():
        assert np.isfinite(boxes).all()


def preparation(data: bytes, folder: Path) -> None:
    """A row of the job store of a preparation."""
    options = Options(output=folder)
    with open_store(folder, "prepare", options.settings()) as store:
        row = data.decode("utf-8", "surrogateescape")
        store.put(Entry(key="0", source="a.jpg", target="", run=store.run, status="done", details=row))
    with open_settled(options) as settled:
        for record in settled.records:
            assert all(face.words.shape == (4,) for face in record.kept)


def recipe(data: bytes, folder: Path) -> None:
    read_recipe(put(folder, "input.yml", data))


def override(data: bytes, folder: Path) -> None:
    path = put(folder, "input.yml", seeds.texts("recipe")[0])
    overrides = data.decode("utf-8", "surrogateescape").split("\n")
    try:
        read_recipe(path, overrides)
    except RecipeError as error:  # its messages name the override, which has no file
        raise RecipeError(f"{path}: {error}") from error


def database(data: bytes, folder: Path) -> None:
    path = folder / "input.lmdb"
    path.mkdir(exist_ok=True)
    put(path, "meta_info.txt", data)
    source = LmdbSource(path)
    assert len(source) > 0
    source[0]  # there is no data.mdb beside the list


def shard(data: bytes, folder: Path) -> None:
    source = TarSource([put(folder, "input.tar", data)])
    for index in range(min(len(source), 3)):
        crop = source[index]
        assert crop.pixels.shape[0] == crop.pixels.shape[1]


def crop(data: bytes, folder: Path) -> None:
    put(folder, "input.png", data)
    assert FolderSource([folder])[0].pixels.ndim == 3


def response(data: bytes, folder: Path) -> None:
    """What a server answers: status, extent, length, validator and content, a line each; the note is the same."""
    status, extent, length, validator, content = (data.split(b"\n", 4) + [b""] * 5)[:5]
    headers = email.message.Message()
    for name, value in (("Content-Range", extent), ("Content-Length", length), ("ETag", validator)):
        headers[name] = value.decode("latin1").replace("\r", "")
    answer = io.BytesIO(content)
    answer.status, answer.reason, answer.headers = int(status) if status in (b"206", b"416") else 200, "", headers
    _receive(folder, b"abc", data, mock.Mock(return_value=answer))


def note(data: bytes, folder: Path) -> None:
    """The note beside half a download."""
    _receive(folder, b"abc", data, mock.Mock(side_effect=OSError("no network")))


def _receive(folder: Path, begun: bytes, noted: bytes, answer: mock.Mock) -> None:
    partial = Partial(folder / "input.bin")
    partial.begin("https://x.org/f", None)
    partial.path.write_bytes(begun)
    put(folder, "input.part.json", noted)
    try:
        with mock.patch.object(download, "urlopen", answer):
            receive("https://x.org/f", partial, size=10, same_everywhere=False, progress=lambda *_: None, timeout=1)
    except TransferError as error:  # `download` catches these
        raise DownloadError(f"input.bin: {error}") from error


def statistics(data: bytes, folder: Path) -> None:
    read_statistics(put(folder, "input.npz" if data.startswith(b"PK") and len(data) % 2 else "input.pth", data))


def natural_model(data: bytes, folder: Path) -> None:
    read_model(put(folder, "input.npz", data))


def channel_weights(data: bytes, folder: Path) -> None:
    read_channel_weights(put(folder, "input.npz", data))


def _texts(kind: str) -> Callable[[], tuple[bytes, ...]]:
    return lambda: seeds.texts(kind)


SUBJECTS = {
    "image": Subject(image, seeds.images),
    "rewritten_image": Subject(rewritten_image, seeds.images),
    "crop": Subject(crop, seeds.images),
    "safetensors": Subject(safetensors, seeds.safetensors),
    "header": Subject(header, seeds.headers),
    "checkpoint": Subject(checkpoint, seeds.checkpoints),
    "shapes": Subject(shapes, lambda: (b"1", b"2", b"3")),
    "landmarks": Subject(landmarks, seeds.landmark_files),
    "labels": Subject(labels, _texts("labels")),
    "crop_list": Subject(crop_list, _texts("crops")),
    "detections": Subject(detections, _texts("detections")),
    "preparation": Subject(preparation, lambda: (seeds.photo_record(),)),
    "recipe": Subject(recipe, _texts("recipe")),
    "override": Subject(override, _texts("override")),
    "database": Subject(database, _texts("meta")),
    "shard": Subject(shard, seeds.shards),
    "note": Subject(note, _texts("note")),
    "response": Subject(response, _texts("response")),
    "statistics": Subject(statistics, lambda: (*seeds.arrays(), *seeds.landmark_files())),
    "natural_model": Subject(natural_model, seeds.arrays),
    "channel_weights": Subject(channel_weights, seeds.arrays),
}
"""Name -> what is fuzzed."""
