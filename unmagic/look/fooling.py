"""Small changes that change the answer, and training against them."""

from unmagic.look.activations import evaluating

from collections.abc import Callable

import torch
from torch import Tensor, nn

Attack = Callable[[nn.Module, Tensor, Tensor, float], Tensor]  # of (model, images, labels, ε): images to be fooled by


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


def pgd(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    epsilon: float,
    *,
    steps: int = 10,
    rate: float | None = None,
    low: float = 0.0,
    high: float = 1.0,
    seed: int = 0,
) -> Tensor:
    """As `fgsm`, in many small steps from a random place, no pixel ever further than ε: the attack to measure with.

    A net trained against one step can hide its gradient from one step alone; this one finds it.

    A. Madry, A. Makelov, L. Schmidt, D. Tsipras, A. Vladu: Towards deep learning models resistant to adversarial
    attacks. ICLR 2018, section 2.1. `rate` is the step, 2.5·ε/steps if not given (the authors' choice).
    """
    rate = 2.5 * epsilon / steps if rate is None else rate
    noise = torch.rand(images.shape, generator=torch.Generator().manual_seed(seed)).to(images)
    x = (images + epsilon * (2 * noise - 1)).clamp(low, high)
    for _ in range(steps):
        x = fgsm(model, x, labels, rate, low=low, high=high)
        x = torch.minimum(torch.maximum(x, images - epsilon), images + epsilon)
    return x


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


def adversarial(epsilon: float, *, share: float = 0.5, attack: Attack = fgsm) -> Callable:
    """Adversarial training, as an objective of `unmagic.train`: `fit(net, data, 20, objective=look.adversarial(0.03))`.

    α·J(x, y) + (1 − α)·J(x′, y), α = `share` of clean images, x′ attacked anew in each step. With `fgsm` it is
    Goodfellow, Shlens, Szegedy 2015, section 6; with `share=0` and `attack=look.pgd` it is equation 2.1 of Madry and
    others 2018. Clean and attacked images go through the net as one batch, so that batch norm's statistics are of both.

    Returns:
        a function of (model, images, labels) which gives the loss, (), whose gradient reaches the parameters, and the
        logits of the clean images (of the attacked ones when `share` is 0), (N, classes).
    """

    def objective(model: nn.Module, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        attacked = attack(model, images, labels, epsilon)
        if share == 0:
            logits = model(attacked)
            return nn.functional.cross_entropy(logits, labels), logits
        clean, fooled = model(torch.cat([images, attacked])).chunk(2)  # each (N, classes)
        losses = [nn.functional.cross_entropy(logits, labels) for logits in (clean, fooled)]
        return share * losses[0] + (1 - share) * losses[1], clean

    return objective


def adversarial_loss(model: nn.Module, images: Tensor, labels: Tensor, epsilon: float, *, share: float = 0.5) -> Tensor:
    """The loss alone of `adversarial`, (), for a loop of one's own; its gradient reaches the parameters."""
    return adversarial(epsilon, share=share)(model, images, labels)[0]


def _length(change: Tensor) -> Tensor:
    return change.flatten(1).norm(dim=1)
