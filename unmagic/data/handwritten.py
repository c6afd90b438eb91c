"""`digits`: small, real, and on every machine."""

from unmagic.data.splits import Images, divide

import torch

SIZES = {"train": 1197, "validation": 300, "test": 300}


def digits(split: str = "train", seed: int = 0) -> Images:
    """Handwritten digits of 43 people, 8×8 pixels: the UCI "Optical Recognition of Handwritten Digits" test set
    (Alpaydin and Kaynak 1998), as scikit-learn ships it.

    Args:
        split: "train" (1197 images), "validation" (300) or "test" (300).
        seed: another seed divides the 1797 images in another way.

    Returns:
        images (N, 1, 8, 8) float32 in [0, 1] (17 grey levels), labels (N,) int64, 0 to 9.
    """
    which = divide(sum(SIZES.values()), SIZES, split, "digits", seed)
    from sklearn.datasets import load_digits  # heavy, and needed here alone

    bunch = load_digits()
    images = torch.from_numpy(bunch.images).float().div_(16)[which, None]  # (N, 1, 8, 8)
    return Images(images, torch.from_numpy(bunch.target).long()[which])
