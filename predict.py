"""The Replicate entry point: ``cog predict -i img=@photo.jpg -i version=v1.4``.

Weights come from the cache; what is missing is downloaded and checked, the default version's when the server starts,
another's when it is first asked for.
"""

import sys
import tempfile
from functools import cache
from pathlib import Path as LocalPath

from cog import BasePredictor, Input, Path

sys.path.append(str(LocalPath(__file__).parent / "src"))  # cog installs requirements, not the repository

import revisage
from revisage.compat import strength_of
from revisage.images import FORMATS
from revisage.models.fetch import is_offline

VERSIONS = {
    "v1.2": "gfpgan-1.2",
    "v1.3": "gfpgan-1.3",
    "v1.4": "gfpgan-1.4",
    "RestoreFormer": "restoreformer",
    "embedded": "embedded",
}
"""Version -> name of the model. cog reads the choices below without running this file, hence a second time."""


class Predictor(BasePredictor):
    """Restores the faces of a photo. Every version is loaded once and kept; none takes another's place."""

    def setup(self) -> None:
        """Load the default version, lest the first photo wait for it; offline, every version when it is asked for."""
        self.restorer = cache(lambda version: revisage.load(VERSIONS[version], background="lanczos"))
        if not is_offline():
            self.restorer("v1.4")

    def predict(
        self,
        img: Path = Input(description="Photo, of any usual format"),  # noqa: B008
        version: str = Input(
            description="Model; embedded is small and needs no download",
            default="v1.4",
            choices=["v1.2", "v1.3", "v1.4", "RestoreFormer", "embedded"],
        ),
        scale: float = Input(description="Sides of the result over sides of the photo", default=2, ge=0.1, le=8),
        weight: float = Input(
            description="Up to 0.5 faces are restored fully; towards 1 they keep more and more of the photo",
            default=0.5,
            ge=0,
            le=1,
        ),
    ) -> Path:
        """Restore a photo; the result has its format, transparency and metadata.

        Raises:
            RevisageError: what went wrong, in one line.
        """
        if version not in VERSIONS:
            raise revisage.InputError(f"unknown version {version!r}; choose one of {', '.join(VERSIONS)}")
        strength = strength_of(weight)
        result = self.restorer(version)(revisage.read_image(img), scale=scale, strength=strength)
        for face in result.faces:
            if face.status is revisage.FaceStatus.FAILED:
                print(f"a face failed: {face.reason}", file=sys.stderr)
        extension = img.suffix.lower()
        known = FORMATS.get(extension)
        target = Path(tempfile.mkdtemp()) / f"out{extension if known and known.writable else '.png'}"
        revisage.write_image(target, result.image, like=img)
        return target
