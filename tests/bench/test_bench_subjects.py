"""What is timed is what users get."""

import numpy as np

import revisage
from revisage.bench.subjects import Request, Subject, example_crops, example_photo, open_subject


def test_the_photo_has_faces_where_it_says():
    image, faces = example_photo(Request("photo", faces=3, pixels=(450, 200)))
    found = revisage.load().detect(image)
    assert len(found) == len(faces) == 3
    for here, there in zip(sorted(found, key=lambda face: face.box[0]), faces, strict=True):
        assert np.abs(here.landmarks - there.landmarks).max() < 4


def test_a_photo_is_restored_step_by_step():
    respond = open_subject(Subject("embedded", "onnxruntime"))
    seconds, _ = respond(Request("photo", faces=1, pixels=(200, 200), scale=1))
    assert list(seconds) == ["detect", "align", "network", "paste", "encode"]
    assert all(seconds.values())
    _, output = respond(Request("output"))
    assert np.array_equal(output, revisage.load().network(example_crops(1, 512)))
