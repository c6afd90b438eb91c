"""Where a net looks: saliency, occlusion, CAM, Grad-CAM, Grad-CAM++. Each map is (N, H, W), in the input's pixels or in
the layer's, before any resizing."""

from unmagic.look import covering
from unmagic.look.activations import evaluating, find_layer, recording

import contextlib
from collections.abc import Callable

import torch
from torch import Tensor, nn

MANY = 2**17  # covered pixels on a CPU: with fewer, following the net takes longer than it saves


def _classes(classes: Tensor | int | None, images: Tensor, logits: Callable[[], Tensor]) -> Tensor:
    """The class that each map explains, (N,): as given, or the one the net is surest of: then `logits` is asked."""
    if classes is None:
        return logits().argmax(dim=1)
    wanted = torch.as_tensor(classes, device=images.device)
    if wanted.ndim > 1 or wanted.numel() not in (1, len(images)):
        raise ValueError(
            f"classes of shape {tuple(wanted.shape)} for {len(images)} images; wanted one, or one for each."
        )
    return wanted.expand(len(images))


def _answers(model: nn.Module, images: Tensor) -> Tensor:
    """The model's logits, (N, classes). On a CPU a batch goes in channels last, where convolutions are faster there."""
    if images.device.type == "cpu" and images.ndim == 4 and len(images) >= 8:
        with contextlib.suppress(RuntimeError):  # a net that calls view() wants them plain; any other fault comes again
            return model(images.clone(memory_format=torch.channels_last))
    return model(images)


def saliency(model: nn.Module, images: Tensor, classes: Tensor | int | None = None) -> Tensor:
    """max over channels of |∂S_c/∂I|, (N, H, W), S_c the score before the softmax.

    K. Simonyan, A. Vedaldi, A. Zisserman: Deep inside convolutional networks, 2014, section 3.
    """
    with evaluating(model), torch.enable_grad():
        x = images.detach().clone().requires_grad_()
        logits = _answers(model, x)
        score = logits.gather(1, _classes(classes, images, lambda: logits)[:, None]).sum()
        (slope,) = torch.autograd.grad(score, x)  # (N, C, H, W)
    return slope.abs().amax(dim=1)


@torch.no_grad()
def occlusion(
    model: nn.Module,
    images: Tensor,
    classes: Tensor | int | None = None,
    *,
    window: int = 5,
    stride: int = 1,
    fill: float | Tensor = 0.5,
    batch_size: int | None = None,
) -> Tensor:
    """The probability of the class with a window of the image covered, (N, rows, columns): low where it matters.

    M. Zeiler, R. Fergus: Visualizing and understanding convolutional networks. ECCV 2014, section 4.2.

    On a CPU layers compute only what a window can change, where `unmagic.look.covering` can follow the net: the same
    probabilities to 1e-5. Else, and where hooks watch the net, it is asked as it is.

    Args:
        window, stride: of the square that is covered, in pixels; places are those where it lies inside.
        fill: what covers: a number, or a tensor that broadcasts to (C, window, window).
        batch_size: covered images at a time, those of several images together. If not given, as many as hold 2¹⁶ pixels
            on a CPU (64 of 32×32: what lies in its cache), 2²² elsewhere.
    """
    _, C, H, W = images.shape
    if window > min(H, W):
        raise ValueError(f"occlusion: a window of {window} pixels on images of {H}×{W}; wanted a smaller one.")
    rows, columns = (H - window) // stride + 1, (W - window) // stride + 1
    places = rows * columns
    # cover[p] is 1 on the window of place p
    y, x = torch.arange(H, device=images.device), torch.arange(W, device=images.device)
    top = torch.arange(rows, device=images.device)[:, None] * stride
    left = torch.arange(columns, device=images.device)[:, None] * stride
    vertical = (y >= top) & (y < top + window)  # (rows, H)
    horizontal = (x >= left) & (x < left + window)  # (columns, W)
    cover = (vertical[:, None, :, None] & horizontal[None, :, None, :]).reshape(places, 1, H, W)
    given = filling = torch.as_tensor(fill, dtype=images.dtype, device=images.device)
    if filling.ndim:
        filling = _spread(filling.expand(C, window, window), vertical, horizontal, stride)  # (places, C, H, W)
    if batch_size is None:
        batch_size = max(8, (2**16 if images.device.type == "cpu" else 2**22) // (H * W))
    found = []
    with evaluating(model):
        wanted = _classes(classes, images, lambda: _answers(model, images))  # (N,)
        if images.device.type == "cpu" and len(images) * places * H * W >= MANY:
            quickly = covering.probabilities(model, images, wanted, window, stride, given, batch_size)
            if quickly is not None:
                return quickly
        for part in torch.arange(len(images) * places, device=images.device).split(batch_size):
            image, place = part // places, part % places
            under = filling[place] if filling.ndim else filling
            covered = torch.where(cover[place], under, images[image])  # (B, C, H, W)
            found.append(_answers(model, covered).softmax(dim=1).gather(1, wanted[image, None]))
    return torch.cat(found).reshape(len(images), rows, columns)


def _spread(filling: Tensor, vertical: Tensor, horizontal: Tensor, stride: int) -> Tensor:
    """A window's filling (C, w, w) laid at each place, (places, C, H, W)."""
    C, window, _ = filling.shape
    rows, columns = len(vertical), len(horizontal)
    laid = filling.new_zeros(rows, columns, C, vertical.shape[1], horizontal.shape[1])
    for i in range(rows):
        for j in range(columns):
            laid[i, j, :, i * stride : i * stride + window, j * stride : j * stride + window] = filling
    return laid.flatten(0, 1)


def cam(model: nn.Module, images: Tensor, layer: str | nn.Module, classifier: str | nn.Module, classes=None) -> Tensor:
    """Σ_k w_k f_k, (N, h, w): for a net whose `classifier`, linear, follows global average pooling of `layer`'s maps.

    B. Zhou, A. Khosla, A. Lapedriza, A. Oliva, A. Torralba: Learning deep features for discriminative localization.
    CVPR 2016.
    """
    _, linear = find_layer(model, classifier)
    if not isinstance(linear, nn.Linear):
        raise ValueError(
            f"cam: the classifier is a {type(linear).__name__}; wanted a Linear after global average pooling."
        )
    with evaluating(model), torch.no_grad(), recording(model, layer) as seen:
        logits = _answers(model, images)
        wanted = _classes(classes, images, lambda: logits)
        maps = seen.layer  # (N, K, h, w)
        if maps.shape[1] != linear.in_features:
            raise ValueError(
                f"cam: {maps.shape[1]} maps and {linear.in_features} weights; wanted the maps before pooling."
            )
        return torch.einsum("nk,nkhw->nhw", linear.weight[wanted], maps)


def grad_cam(model: nn.Module, images: Tensor, layer: str | nn.Module, classes: Tensor | int | None = None) -> Tensor:
    """ReLU(Σ_k α_k f_k), α_k = mean over places of ∂S_c/∂f_k, (N, h, w).

    R. Selvaraju and others: Grad-CAM: visual explanations from deep networks via gradient-based localization. ICCV
    2017, equations 1 and 2.
    """
    maps, slope = _maps_and_gradients(model, images, layer, classes)
    alpha = slope.mean(dim=(2, 3))  # (N, K)
    return torch.relu(torch.einsum("nk,nkhw->nhw", alpha, maps))


def grad_cam_plus_plus(
    model: nn.Module, images: Tensor, layer: str | nn.Module, classes: Tensor | int | None = None
) -> Tensor:
    """ReLU(Σ_k w_k f_k) with w_k = Σ_ij α_ij^k ReLU(∂S_c/∂f_ij^k), (N, h, w).

    A. Chattopadhay, A. Sarkar, P. Howlader, V. Balasubramanian: Grad-CAM++: generalized gradient-based visual
    explanations for deep convolutional networks. WACV 2018, equations 10 to 19, for Y = exp(S): α = g² / (2g² + g³ Σ_ab
    f_ab). The factor exp(S) of w is left out: it only scales the map.
    """
    maps, slope = _maps_and_gradients(model, images, layer, classes)
    # α with g² divided out, 1/(2 + g Σ f): no small number that guards a division decides how small gradients count
    below = 2 + slope * maps.sum(dim=(2, 3), keepdim=True)
    alpha = torch.where(slope > 0, 1 / below, torch.zeros_like(slope))  # (N, K, h, w); where g ≤ 0 it weighs nothing
    weights = (alpha * torch.relu(slope)).sum(dim=(2, 3))  # (N, K)
    return torch.relu(torch.einsum("nk,nkhw->nhw", weights, maps))


def _maps_and_gradients(model, images, layer, classes) -> tuple[Tensor, Tensor]:
    """A layer's maps, and the gradients of each image's score to them, both (N, K, h, w).

    The graph begins at the layer: what comes before it is run as for testing, and nothing is kept of it.
    """
    name, module = find_layer(model, layer)
    found: list[Tensor] = []

    def cut(module: nn.Module, inputs: tuple, output: Tensor) -> Tensor:
        if not isinstance(output, Tensor) or output.ndim != 4:
            what = f"shape {tuple(output.shape)}" if isinstance(output, Tensor) else f"type {type(output).__name__}"
            raise ValueError(f"the layer {name!r} has an output of {what}; wanted maps (N, K, h, w).")
        found[:] = [output.detach().requires_grad_()]
        return found[0].clone()  # the layer after it may work in place, and these maps stay

    hook = module.register_forward_hook(cut)
    try:
        with evaluating(model), torch.enable_grad():
            logits = _answers(model, images.detach())
            wanted = _classes(classes, images, lambda: logits)
            (slope,) = torch.autograd.grad(logits.gather(1, wanted[:, None]).sum(), found)
    finally:
        hook.remove()
    return found[0].detach(), slope


def resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps (N, h, w) in the input's pixels, (N, H, W), bilinear."""
    return nn.functional.interpolate(maps[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]
