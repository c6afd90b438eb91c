"""Small changes that change the answer, and training against them."""

from unmagic.look.activations import evaluating

import torch
from torch import Tensor, nn


def fgsm(
    model: nn.Module, images: Tensor, labels: Tensor, epsilon: float, *, low: float = 0.0, high: float = 1.0
) -> Tensor:
    """x + ε·sign(∇_x J), cut to [low, high], (N, C, H, W): one step that each pixel takes as far as it may.

    I. Goodfellow, J. Shlens, C. Szegedy: Explaining and harnessing adversarial examples. ICLR 2015, section 4.
    """
    with evaluating(model), torch.enable_grad():
        x = images.detach().clone().requires_grad_()
        loss = nn.functional.cross_entropy(model(x), labels, reduction="sum")
        (slope,) = torch.autograd.grad(loss, x)
    return (images + epsilon * slope.sign()).clamp(low, high)


def minimal_change(
    model: nn.Module, images: Tensor, targets: Tensor, *, steps: int = 100, rate: float = 0.02, searches: int = 8
) -> Tensor:
    """A small r with class `targets` for I + r in [0, 1], (N, C, H, W): minimises c‖r‖ + loss(I + r, l).

    C. Szegedy and others: Intriguing properties of neural networks. ICLR 2014, section 4.1: the largest c that still
    fools, found by halving, image by image; here with Adam where the paper has L-BFGS. The change of an image that is
    never fooled is 0.
    """
    low, high = torch.zeros(len(images), device=images.device), torch.full((len(images),), 4.0, device=images.device)
    best = torch.zeros_like(images)
    with evaluating(model), torch.enable_grad():
        for _ in range(searches):
            c = (low + high) / 2  # (N,)
            r = torch.full_like(images, 1e-4).requires_grad_()
            optimizer = torch.optim.Adam([r], lr=rate)
            for _ in range(steps):
                inside = (images + r).clamp(0, 1)
                length = ((inside - images) ** 2).flatten(1).sum(dim=1).add(1e-12).sqrt()  # (N,)
                losses = nn.functional.cross_entropy(model(inside), targets, reduction="none")
                (r.grad,) = torch.autograd.grad((c * length + losses).sum(), r)
                optimizer.step()
            with torch.no_grad():
                inside = (images + r).clamp(0, 1)
                fooled = model(inside).argmax(dim=1) == targets  # (N,)
                shorter = _length(inside - images) < _length(best)
                better = fooled & (shorter | (_length(best) == 0))
                best[better] = (inside - images)[better]
                low, high = torch.where(fooled, c, low), torch.where(fooled, high, c)
    return best


def fooling_image(
    model: nn.Module,
    classes: Tensor,
    shape: tuple[int, int, int],
    *,
    steps: int = 100,
    rate: float = 0.02,
    seed: int = 0,
) -> Tensor:
    """Noise that the net is sure about, (N, C, H, W) in [0, 1]: ascent on the log-probability of a class.

    A. Nguyen, J. Yosinski, J. Clune: Deep neural networks are easily fooled. CVPR 2015, section 3.4 (gradient ascent).
    """
    place = next(model.parameters()).device
    x = torch.rand(len(classes), *shape, generator=torch.Generator().manual_seed(seed)).to(place).requires_grad_()
    optimizer = torch.optim.Adam([x], lr=rate)
    with evaluating(model), torch.enable_grad():
        for _ in range(steps):
            loss = nn.functional.cross_entropy(model(x), classes.to(place), reduction="sum")
            (x.grad,) = torch.autograd.grad(loss, x)
            optimizer.step()
            with torch.no_grad():
                x.clamp_(0, 1)
    return x.detach()


def adversarial_loss(model: nn.Module, images: Tensor, labels: Tensor, epsilon: float, *, share: float = 0.5) -> Tensor:
    """α·J(x, y) + (1 − α)·J(x + ε sign ∇_x J, y), α = `share` of clean images: what adversarial training minimises.

    Goodfellow, Shlens, Szegedy 2015, section 6. Its gradient reaches the parameters.
    """
    attacked = fgsm(model, images, labels, epsilon)
    clean = nn.functional.cross_entropy(model(images), labels)
    return share * clean + (1 - share) * nn.functional.cross_entropy(model(attacked), labels)


def _length(change: Tensor) -> Tensor:
    return change.flatten(1).norm(dim=1)
