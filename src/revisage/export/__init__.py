"""Networks as files that other programs run: ONNX and torch.export, checked against torch before they appear."""

from revisage.errors import InputError

try:
    import onnx_ir as _onnx_ir
    import onnxscript as _onnxscript
    import torch as _torch
except ImportError as error:
    raise InputError(f"export needs torch, onnx and onnxscript ({error}): pip install 'revisage[export]'") from error

REQUIRED = (_onnx_ir, _onnxscript, _torch)
"""Packages of the extra ``export``: looked for here once, so that a missing one is one line."""
