"""What the tests of batch runs share: a restorer that is a plain function, photos, and what lies in a folder."""

import hashlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from revisage.batch import Options, Source, restore_files
from revisage.images import write_image
from revisage.types import FaceStatus, Restoration, RestoredFace

BOX, LANDMARKS = np.zeros(4, np.float32), np.zeros((5, 2), np.float32)
BEFORE, AFTER = np.full((8, 8, 3), 50, np.uint8), np.full((8, 8, 3), 200, np.uint8)


def face(status=FaceStatus.RESTORED, reason="", before=BEFORE):
    done = status is FaceStatus.RESTORED
    return RestoredFace(BOX, LANDMARKS, 0.9, status, reason, before if done else None, AFTER if done else None)


def restorer(*faces):
    """A restorer that turns every photo white at twice the size and reports ``faces``."""

    def restore(image, controls):
        size = int(image.shape[0] * controls.scale), int(image.shape[1] * controls.scale), 3
        return Restoration(np.full(size, 255, image.dtype), list(faces))

    return as_restorer(restore)


def as_restorer(restore, name="plain", batch=1):
    """``restore(image, controls)`` for one picture, in the form of a restorer."""
    return SimpleNamespace(
        name=name,
        batch=batch,
        has_accelerator=False,
        restore=lambda images, controls, **_: [restore(image, controls) for image in images],
    )


def counting(how=None):
    """A restorer, and the list of the first pixels of what it was asked to restore."""
    seen, how = [], how or restorer()

    def restore(image, controls):
        seen.append(int(image[0, 0, 0]))
        return how.restore([image], controls)[0]

    return as_restorer(restore, how.name), seen


def run(tmp_path, sources, *faces, how=None, **options):
    """The outcomes of restoring files into ``tmp_path/out``, or another ``output``."""
    options = Options(**{"output": tmp_path / "out", **options})
    sources = [Source(Path(path)) for path in sources] if isinstance(sources, list) else sources
    return list(restore_files(how or restorer(*faces), sources, options))


UNCHANGED = SimpleNamespace(
    name="unchanged",
    batch=1,
    has_accelerator=False,
    restore=lambda images, *_, **__: [Restoration(image, []) for image in images],
)


def photo(path: Path, level=100):
    write_image(path, np.full((6, 9, 3), level, np.uint8))
    return path


def paths_of(folder: Path):
    """Files in a folder and below, the job store left out."""
    names = (str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in names if not name.startswith(".revisage/"))


def digests_of(folder: Path):
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in paths_of(folder)}
