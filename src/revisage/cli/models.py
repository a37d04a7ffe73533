"""``revisage models``."""

from __future__ import annotations


def models() -> None:
    """List the models that have a name."""
    from revisage.zoo import MODELS, weight_file

    width = max(map(len, MODELS)) + 2
    for name, spec in MODELS.items():
        size = f"{weight_file(name).stat().st_size / 1e6:.1f} MB"
        print(f"{name:<{width}}{spec.role} ({spec.architecture}, {size})")
        print(f"{'':<{width}}code {spec.licence.code}, weights {spec.licence.weights}; trained on {spec.licence.data}")
