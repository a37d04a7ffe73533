"""How well the identity network tells faces from other people's: identity_figures.py originals/ restored/."""

import sys
from pathlib import Path

import numpy as np

import revisage
from revisage.auxiliary import load_embedder
from revisage.evaluation.metrics.faces import equal_error, roc_auc, threshold_at
from revisage.images.pixels import to_float


def main(originals: str, others: str) -> None:
    describe = load_embedder(device="cpu")
    folders = [sorted(Path(folder).glob("*.*")) for folder in (originals, others)]
    if len(folders[0]) != len(folders[1]) or len(folders[0]) < 2:
        sys.exit("both folders must hold the same people's aligned faces, at least two")
    first, second = (np.concatenate([describe([to_float(revisage.read_image(p))]) for p in ps]) for ps in folders)
    likeness = first @ second.T  # of everybody with everybody
    same, different = np.diag(likeness), likeness[~np.eye(len(first), dtype=bool)]
    rate, threshold = equal_error(same, different)
    print(f"same face       {same.mean():.3f} ({same.min():.3f} to {same.max():.3f})")
    print(f"other people    {different.mean():.3f} ({different.min():.3f} to {different.max():.3f})")
    print(f"ROC area        {roc_auc(same, different):.4f}")
    print(f"equal error     {rate:.4f} at {threshold:.3f}")
    print(f"1 % pass from   {threshold_at(different, 0.01):.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
