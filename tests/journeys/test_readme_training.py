"""The README's Train block, line by line as a reader pastes it, on two photos and a few images."""

import re
import shlex

import cv2
import numpy as np
from command import revisage
from portrait import PORTRAIT

from locations import RECIPES, ROOT
from revisage.images import read_image, write_image

FEW = ["training.images=16", "training.validate_every=16", "training.save_every=16"]


def commands():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"## Train\n+```console\n(.*?)```", text, flags=re.DOTALL)[1]
    lines = block.replace("\\\n", " ").splitlines()
    return [shlex.split(line.removeprefix("$ "), comments=True)[1:] for line in lines]


def test_every_line_of_the_training_block_runs(tmp_path):
    (tmp_path / "recipes").symlink_to(RECIPES, target_is_directory=True)
    head = cv2.resize(np.ascontiguousarray(read_image(PORTRAIT)[:260, 90:370]), None, fx=2, fy=2)
    write_image(tmp_path / "photos" / "a.jpg", head)
    write_image(tmp_path / "photos" / "b.jpg", np.ascontiguousarray(head[:, ::-1]))
    block = commands()
    assert [command for command, *_ in block] == ["prepare", "degrade", "train", "evaluate"]
    for command, *arguments in block:
        if command == "prepare":
            arguments[arguments.index("--validation") + 1] = "1"  # of two photos
        if command == "train":
            arguments += [argument for setting in FEW for argument in ("--set", setting)]
        result = revisage(command, *arguments, cwd=tmp_path)
        assert result.returncode == 0, f"{command}: {result.stderr}"
    assert (tmp_path / "runs" / "first" / "model.safetensors").is_file()
