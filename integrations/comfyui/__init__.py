"""Face restoration for ComfyUI: copy this folder into ``ComfyUI/custom_nodes``, and ``pip install revisage``."""

from .nodes import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
