"""The classic interface of GFPGAN and facexlib on top of this library: same names, same arguments, none of the faults.

::

    from revisage.compat import GFPGANer

    restorer = GFPGANer(model_path="GFPGANv1.4.pth", upscale=2)
    cropped_faces, restored_faces, restored_image = restorer.enhance(cv2.imread("photo.jpg"))

Images are BGR here, as OpenCV has them; everywhere else in this library they are RGB.
"""

from revisage.compat.face_restore_helper import FaceRestoreHelper
from revisage.compat.gfpganer import GFPGANer, strength_of

__all__ = ["FaceRestoreHelper", "GFPGANer", "strength_of"]
