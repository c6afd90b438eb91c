"""Data sets of the course. Each comes in splits that never overlap, as tensors with the shapes, ranges and dtypes it
states.

| data set        | what                                        | images                     | needs |
|-----------------|---------------------------------------------|----------------------------|-------|
| `digits`        | handwritten digits, real                    | (N, 1, 8, 8)               | nothing: it comes with
scikit-learn | | `shapes`        | drawn scenes, ten outlines, with masks      | (N, 3, 32, 32)             | nothing:
it is drawn | | `typefaces`     | letters and digits in many faces of type    | (N, 1, 28, 28)             | nothing:
matplotlib's fonts | | `mnist`         | handwritten digits, real                    | (N, 1, 28, 28)             |
files, fetched once | | `fashion_mnist` | articles of clothing, real                  | (N, 1, 28, 28)             |
files, fetched once | | `cifar10`       | photographs of ten kinds of things, real    | (N, 3, 32, 32)             |
files, fetched once |

Images are float32 in [0, 1], labels int64 of shape (N,).
"""

from unmagic.data.drawn import SHAPE_NAMES, Shapes, shapes
from unmagic.data.files import CIFAR10_NAMES, FASHION_NAMES, DataError, cifar10, fashion_mnist, mnist
from unmagic.data.handwritten import digits
from unmagic.data.splits import SPLITS, Images
from unmagic.data.type import CHARACTERS, Typefaces, typefaces

__all__ = [
    "CHARACTERS",
    "CIFAR10_NAMES",
    "FASHION_NAMES",
    "SHAPE_NAMES",
    "SPLITS",
    "DataError",
    "Images",
    "Shapes",
    "Typefaces",
    "cifar10",
    "digits",
    "fashion_mnist",
    "mnist",
    "shapes",
    "typefaces",
]
