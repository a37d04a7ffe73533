"""Image files in and out: pixels, and everything else that a photo file holds."""

from revisage.images.formats import FORMATS, WRITABLE, has_image_extension
from revisage.images.read import Photo, read_image, read_photo, read_profile
from revisage.images.write import write_image

__all__ = [
    "FORMATS",
    "WRITABLE",
    "Photo",
    "has_image_extension",
    "read_image",
    "read_photo",
    "read_profile",
    "write_image",
]
