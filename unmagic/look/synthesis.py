"""Images made by descent on the image: class models, inverted features, and the loss that compares features."""

from unmagic.look.activations import evaluating, recording

import torch
from torch import Tensor, nn


def alpha_prior(images: Tensor, alpha: float = 6.0) -> Tensor:
    """‖x‖_α^α for each image, (N,): keeps intensities in range. Images are centred: 0 is grey.

    A. Mahendran, A. Vedaldi: Understanding deep image representations by inverting them. CVPR 2015, section 3.
    """
    return (images.abs() ** alpha).flatten(1).sum(dim=1)


def total_variation(images: Tensor, beta: float = 2.0) -> Tensor:
    """V^β = Σ_ij ((x_{i,j+1} − x_ij)² + (x_{i+1,j} − x_ij)²)^{β/2} for each image, (N,): keeps it smooth (the same
    paper)."""
    across = images[:, :, :-1, 1:] - images[:, :, :-1, :-1]
    down = images[:, :, 1:, :-1] - images[:, :, :-1, :-1]
    square = across**2 + down**2
    if beta == 2.0:
        return square.flatten(1).sum(dim=1)
    return ((square + 1e-12) ** (beta / 2)).flatten(1).sum(dim=1)  # the root of 0 has no slope


def class_model(
    model: nn.Module,
    classes: Tensor,
    shape: tuple[int, int, int],
    *,
    decay: float = 1e-2,
    steps: int = 200,
    rate: float = 0.1,
    start: Tensor | None = None,
    seed: int = 0,
) -> Tensor:
    """arg max over I of S_c(I) − λ‖I‖², by ascent: what the net means by each class, (N, C, H, W), 0 is grey.

    Simonyan, Vedaldi, Zisserman 2014, equation 1. S_c is the score before the softmax, `decay` is λ.

    Args:
        classes: (N,) int64.
        shape: of one image.
        rate: of Adam.
        start: images to begin with; if not given, faint noise from `seed`.
    """
    generator = torch.Generator().manual_seed(seed)
    place = next(model.parameters()).device
    x = 0.01 * torch.randn(len(classes), *shape, generator=generator) if start is None else start.clone()
    x = x.to(place).requires_grad_()
    classes = classes.to(place)
    optimizer = torch.optim.Adam([x], lr=rate)
    with evaluating(model), torch.enable_grad():
        for _ in range(steps):
            score = model(x).gather(1, classes[:, None])[:, 0]  # (N,)
            loss = (decay * (x**2).flatten(1).sum(dim=1) - score).sum()
            (x.grad,) = torch.autograd.grad(loss, x)
            optimizer.step()
    return x.detach()


def invert(
    model: nn.Module,
    layer: str | nn.Module,
    images: Tensor,
    *,
    alpha: float = 6.0,
    beta: float = 2.0,
    alpha_weight: float = 1e-4,
    variation_weight: float = 1e-4,
    steps: int = 300,
    rate: float = 0.05,
    seed: int = 0,
) -> tuple[Tensor, Tensor]:
    """Images with the same features as `images`, begun with noise: what the layer still knows.

    Minimises ‖Φ(x) − Φ(x₀)‖²/‖Φ(x₀)‖² + λ_α ‖x‖_α^α + λ_V V^β(x) (Mahendran and Vedaldi, equations 1 to 3).

    Returns:
        images (N, C, H, W) in the scale of `images`, and the relative error of the features at the end, (N,).
    """
    generator = torch.Generator().manual_seed(seed)
    with evaluating(model):
        with torch.no_grad(), recording(model, layer) as seen:
            model(images)
        wanted = seen.layer.flatten(1)  # (N, D)
        size = (wanted**2).sum(dim=1).clamp_min(1e-12)  # (N,)
        x = 0.1 * torch.randn(images.shape, generator=generator)
        x = (x.to(images) + images.mean()).requires_grad_()
        optimizer = torch.optim.Adam([x], lr=rate)
        with torch.enable_grad():
            for _ in range(steps):
                with recording(model, layer, gradients=True) as seen:
                    model(x)
                error = ((seen.layer.flatten(1) - wanted) ** 2).sum(dim=1) / size  # (N,)
                centred = x - images.mean()
                prior = alpha_weight * alpha_prior(centred, alpha) + variation_weight * total_variation(x, beta)
                (x.grad,) = torch.autograd.grad((error + prior).sum(), x)
                optimizer.step()
    return x.detach(), error.detach()


def perceptual_loss(model: nn.Module, layer: str | nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """Mean squared difference of a layer's features, (N,); its gradient reaches `images`.

    J. Johnson, A. Alahi, L. Fei-Fei: Perceptual losses for real-time style transfer and super-resolution. ECCV 2016,
    section 3.2.
    """
    with evaluating(model):
        with torch.no_grad(), recording(model, layer) as seen:
            model(targets)
        wanted = seen.layer
        with recording(model, layer, gradients=True) as seen:
            model(images)
        return ((seen.layer - wanted) ** 2).flatten(1).mean(dim=1)
