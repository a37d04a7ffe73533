"""The detector's loss and its training task."""

import json

import cv2
import numpy as np
import pytest
import torch

from revisage.errors import RecipeError
from revisage.models.checkpoint import Header, save_weights
from revisage.models.nets.retinaface import RetinaFace, anchors, encode
from revisage.training.distributed import World
from revisage.training.embedded.detector import DetectorConfig, corners, match, multibox_loss
from revisage.training.task import Progress

SIDE = 96


def scene(*boxes, kinds=None):
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(1, -1, 4) / SIDE
    center = (boxes[..., :2] + boxes[..., 2:]) / 2
    kinds = torch.tensor([kinds or [1] * boxes.shape[1]])
    return {"boxes": boxes, "landmarks": center.repeat(1, 1, 5), "kinds": kinds}


def matched(**batch):
    return match(batch["boxes"], batch["kinds"], anchors(SIDE, SIDE))


def test_an_anchor_that_is_a_face_stands_for_it():
    priors = corners(anchors(SIDE, SIDE)) * SIDE
    matches = matched(**scene(priors[37].tolist()))
    assert matches.positive[0, 37]
    assert not matches.negative[0, 37]
    assert matches.face[0, 37] == 0


def test_every_face_gets_an_anchor_even_if_none_overlaps_enough():
    matches = matched(**scene((10, 10, 14, 15), (60, 60, 64, 65)))
    assert sorted(set(matches.face[matches.positive].tolist())) == [0, 1]


def test_anchors_inside_uncertain_faces_are_not_background():
    box = (20, 20, 70, 80)
    certain, uncertain = matched(**scene(box)), matched(**scene(box, kinds=[0]))
    inside = certain.positive
    assert inside.any()
    assert not uncertain.positive.any()
    assert not uncertain.negative[inside].any()


def test_fillers_do_not_count():
    matches = matched(**scene((20, 20, 70, 80), kinds=[-1]))
    assert not matches.positive.any()
    assert matches.negative.all()


def perfect(batch):
    priors = anchors(SIDE, SIDE)
    matches = match(batch["boxes"], batch["kinds"], priors)
    face = matches.face[0]
    boxes, landmarks = encode(batch["boxes"][0, face], batch["landmarks"][0, face], priors)
    logits = torch.where(matches.positive[0][:, None], torch.tensor([-20.0, 20.0]), torch.tensor([20.0, -20.0]))
    return boxes[None], logits[None], landmarks[None]


def test_the_loss_of_perfect_outputs_is_zero():
    batch = scene((20, 20, 70, 80), (70, 5, 90, 30))
    terms = multibox_loss(perfect(batch), anchors(SIDE, SIDE), batch)
    assert all(float(term.detach()) == pytest.approx(0, abs=1e-5) for term in terms.values())


def test_each_term_sees_its_own_fault():
    batch = scene((20, 20, 70, 80))
    for position, name in enumerate(("box", "score", "landmark")):
        outputs = list(perfect(batch))
        outputs[position] = outputs[position] + torch.tensor([1.0, -1.0]).repeat(outputs[position].shape[-1] // 2) * 30
        terms = multibox_loss(tuple(outputs), anchors(SIDE, SIDE), batch)
        assert {key for key, term in terms.items() if float(term) > 0.1} == {name}


def test_a_batch_without_faces_still_teaches_the_background():
    batch = scene((0, 0, 1, 1), kinds=[-1])
    count = len(anchors(SIDE, SIDE))
    outputs = torch.zeros(1, count, 4), torch.zeros(1, count, 2, requires_grad=True), torch.zeros(1, count, 10)
    terms = multibox_loss(outputs, anchors(SIDE, SIDE), batch)
    assert terms["score"].item() > 0
    assert float(terms["box"]) == float(terms["landmark"]) == 0


@pytest.fixture
def config(tmp_path):
    """Six photos of one painted face each."""
    points = np.array([[44, 50], [76, 50], [60, 68], [48, 86], [72, 86]], float)
    pixels = np.full((120, 120, 3), 90, np.uint8)
    cv2.ellipse(pixels, (60, 64), (28, 40), 0, 0, 360, (200, 170, 150), -1)
    for x, y in points.astype(int):
        cv2.circle(pixels, (int(x), int(y)), 4, (20, 20, 20), -1)
    (tmp_path / "a").mkdir()
    labels = {}
    for index in range(6):
        cv2.imwrite(str(tmp_path / "a" / f"p{index}.png"), pixels)
        labels[f"a/p{index}.png"] = {"faces": [{"box": [32, 24, 88, 104], "landmarks": points.tolist()}]}
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    names = [f"{point}_{axis}" for point in ("eye1", "eye2", "nose", "mouth1", "mouth2") for axis in "xy"]
    (tmp_path / "index.csv").write_text(f"file,{','.join(names)}\n")
    return DetectorConfig(
        kind="detector", photos=tmp_path / "labels.json", crops=tmp_path / "index.csv", size=96, folds=2,
        validation_scenes=16, backgrounds=20,
    )  # fmt: skip


def test_a_few_steps_lower_the_loss(config):
    torch.manual_seed(0)
    task = config.build(seed=0)
    batch = task.collate([task.dataset[index] for index in range(8)])
    optimizer = torch.optim.AdamW(task.network.parameters(), 3e-3)
    totals = []
    for _ in range(12):
        ((_, terms),) = task.optimizer_steps(batch, Progress(0, 0))
        loss = sum(terms.values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        totals.append(loss.item())
    assert totals[-1] < 0.7 * totals[0]


def test_a_validation_has_metrics_and_a_grid(config):
    task = config.build(seed=0)
    found = task.validate(task.network, World())
    assert 0 <= found.metrics["recall"] <= 1
    assert found.image_grid.shape[2] == 3
    assert task.header() == Header("RetinaFace", {"network_name": "mobile0.25"})


def test_people_kept_aside_are_not_learnt(config):
    task = config.build(seed=0)
    learnt, kept = ({photo.name for photo in scenes.photos} for scenes in (task.dataset, task.validation_scenes))
    assert learnt
    assert kept
    assert not learnt & kept


def test_too_few_photos_are_refused(config):
    with pytest.raises(RecipeError, match="too few"):
        config.model_copy(update={"folds": 10**6}).build(seed=0)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_a_run_can_start_from_weights(config, tmp_path, name):
    network = RetinaFace()
    if name.endswith(".pth"):
        torch.save(network.state_dict(), tmp_path / name)
    else:
        save_weights(tmp_path / name, network.state_dict())
    task = config.model_copy(update={"initial_weights": tmp_path / name}).build(seed=5)
    assert torch.equal(task.network.state_dict()["fpn.merge1.0.weight"], network.state_dict()["fpn.merge1.0.weight"])


def test_weights_to_begin_with_that_are_not_there_are_named(config, tmp_path):
    with pytest.raises(RecipeError, match=r"^task\.initial_weights: .*none\.safetensors"):
        config.model_copy(update={"initial_weights": tmp_path / "none.safetensors"}).build(seed=0)
