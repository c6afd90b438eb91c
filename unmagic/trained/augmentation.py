"""What a training shows of an image besides the image itself. Draws come from torch's global generator."""

import math

import torch
from torch import Tensor, nn


def turned(images: Tensor) -> Tensor:
    """Each image mirrored or not and turned by a multiple of 90°, (N, C, S, S): for classes without up and down."""
    left, over, across = torch.rand(3, len(images), 1, 1, 1, device=images.device) < 0.5  # (N, 1, 1, 1) each
    images = torch.where(left, images.flip(3), images)
    images = torch.where(over, images.flip(2), images)
    return torch.where(across, images.transpose(2, 3), images)


def redrawn(images: Tensor) -> Tensor:
    """Each digit as another hand and another pen might have drawn it, (N, 1, 8, 8) in [0, 1].

    The data set's images are bitmaps of 32×32 whose black pixels were counted in blocks of 4×4 (Alpaydin and Kaynak
    1998). So the digit is enlarged to 32×32, turned, slanted, resized and moved by up to a block, made black and white
    at a level that makes the stroke thicker or thinner, and counted in blocks again. A quarter stays as it is.
    """
    n = len(images)

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(n, device=images.device) * (high - low) + low  # (N,)

    fine = nn.functional.interpolate(images, scale_factor=4, mode="bicubic", align_corners=False)  # (N, 1, 32, 32)
    angle, slant = uniform(-0.2, 0.2), uniform(-0.2, 0.2)  # radians, and columns a row
    wide, high = uniform(-0.3, 0.15).exp(), uniform(-0.3, 0.1).exp()
    cos, sin = angle.cos(), angle.sin()
    rows = [
        torch.stack([cos / wide, (slant - sin) / wide, uniform(-0.25, 0.25)], dim=1),  # a block is 0.25 of ±1
        torch.stack([sin / high, cos / high, uniform(-0.25, 0.25)], dim=1),
    ]
    grid = nn.functional.affine_grid(torch.stack(rows, dim=1), list(fine.shape), align_corners=False)
    fine = nn.functional.grid_sample(fine, grid, align_corners=False)
    level = uniform(math.log(0.15), math.log(0.6)).exp()[:, None, None, None]
    black = torch.sigmoid(24 * (fine - level))
    keep = (torch.rand(n, device=images.device) < 0.25)[:, None, None, None]
    return torch.where(keep, images, nn.functional.avg_pool2d(black, 4))


AUGMENTATIONS = {"turned": turned, "redrawn": redrawn}
