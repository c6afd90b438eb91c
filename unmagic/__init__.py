"""Unmagic: what the pages and labs of the course import.

`import unmagic` needs torch, torchvision, numpy, matplotlib and scikit-learn only. It makes `import torchvision` work
beside a torch without CUDA, so import it first.
"""

from unmagic import _torchvision

_torchvision.ensure_importable()

from unmagic import checks, data  # noqa: E402  (torchvision must be importable before anything else asks for it)
from unmagic.devices import device  # noqa: E402
from unmagic.seeding import seed_everything  # noqa: E402

__all__ = ["checks", "data", "device", "seed_everything"]
