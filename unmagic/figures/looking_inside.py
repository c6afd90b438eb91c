"""Looking inside, live: draw a digit or open a picture, and see what a trained net makes of it, layer by layer."""

from __future__ import annotations

from unmagic import look
from unmagic.figures import STATIC, looking_inside_still
from unmagic.figures.base import Figure, Still, _in_book
from unmagic.figures.looking_inside_export import packed
from unmagic.figures.looking_inside_nets import FILES, course_net, samples
from unmagic.figures.looking_inside_still import Seen
from unmagic.trained.files import header

import base64
import json
from collections.abc import Sequence

import torch
import traitlets as t
from torch import Tensor, nn

STYLE = "looking_inside.css"
# What the page says under "What you see", a paragraph each: read once, so it comes with the state, not with the script.
NOTES = [
    "A small net of this course runs in your browser, with all its weights, and gives what PyTorch gives.",
    "Saliency: how much the explained class’s score S moves with each pixel, |∂S/∂x|. Occlusion: how much its "
    "probability falls when a grey square covers the place. Grad-CAM: the maps of one layer, each times the mean "
    "of its gradient, added up; what is below zero is cut off. The strongest place of each has full colour.",
    "One step further: every number of the picture moves by ε, up or down, whichever raises the loss −log p of "
    "that class, and stays between 0 and 1 (the fast gradient sign method).",
    "A drawn digit is made as high as the picture and centred; then the white ones in each block of 4 × 4 are "
    "counted, as it was done for the digits the net has learnt from. Take the tick away and see what it makes of "
    "others.",
    "A net of your own: unmagic.figures.export(net) writes a file for “Open a net…”.",
]


class LookingInside(Figure):
    """A trained net runs in the page: activations, probabilities, where it looks, and a step that fools it.

    The reader draws, opens a picture of their own, which stays in the page, or takes one of the net's samples. Maps are
    those of `unmagic.look`: `saliency`, `occlusion`, `grad_cam`, and `fgsm` for the step.

    Args:
        net: "digits" (8×8, grey) or "shapes" (32×32, colour), small nets of the course; "own": `model`.
        model: a net of your own, as `unmagic.figures.export` takes it; input_shape, classes, samples, labels as there.
        picture: what is shown, a tensor (C, H, W) or as many numbers, in [0, 1]; if not given, the net's first sample.
        target: the class that the maps explain and that the step leads away from, −1: the one the net is surest of.
        epsilon: how far the step moves each number of the picture, 0 to 0.5.
        layer: whose maps Grad-CAM weighs: its place in the net, from 0; −1: the last that has maps.

    Once the reader rests, the browser tells `picture` and `probabilities` (a number a class).
    Raises TraitError for a value that is out of range, TypeError for a name that is not here, ValueError as `export`.

    >>> figure = LookingInside("digits", target=3, epsilon=0.1)
    >>> figure.image().shape
    torch.Size([1, 8, 8])
    >>> round(sum(figure.seen().probabilities.tolist()), 3)
    1.0
    """

    module = "looking_inside"

    net = t.Enum([*FILES, "own"], default_value="digits").tag(sync=True)
    weights = t.Dict(t.Unicode()).tag(sync=True)  # {net: its file in base64}; on a page those of the course are fetched
    files = t.Dict(t.Unicode()).tag(sync=True)  # {net: the file beside the module}, on a page
    picture = t.List(t.Float(min=0.0, max=1.0)).tag(sync=True)
    target = t.Int(-1, min=-1).tag(sync=True)
    epsilon = t.Float(0.1, min=0.0, max=0.5).tag(sync=True)
    layer = t.Int(-1, min=-1).tag(sync=True)
    notes = t.List(t.Unicode(), NOTES, read_only=True).tag(sync=True)
    probabilities = t.List(t.Float()).tag(sync=True)

    def __init__(
        self,
        net: str | None = None,
        model: nn.Module | None = None,
        *,
        input_shape: Sequence[int] | None = None,
        classes: Sequence[str] | None = None,
        samples: Tensor | None = None,
        labels: Tensor | None = None,
        **state,
    ) -> None:
        if unknown := sorted(set(state) - {"picture", "target", "epsilon", "layer"}):
            raise TypeError(
                f"LookingInside has no {', '.join(unknown)}; it has net, model, input_shape, classes, samples, labels, "
                "picture, target, epsilon, layer"
            )
        net = net or ("digits" if model is None else "own")
        if (net == "own") != (model is not None):
            raise ValueError(f"LookingInside: net={net!r} {'without' if model is None else 'with'} a model; "
                             "wanted net='digits' or 'shapes', or model=a net of your own.")  # fmt: skip
        self._models: dict[str, nn.Module] = {}
        own = {}
        if model is not None:
            self._models["own"] = model
            file = packed(model, input_shape=input_shape, classes=classes, samples=samples, labels=labels)
            own["own"] = base64.b64encode(file).decode()
        picture = state.pop("picture", [])
        if isinstance(picture, Tensor):
            picture = picture.flatten().tolist()
        files = {**FILES, "style": STYLE} if _in_book() else {}
        super().__init__(net=net, weights=own, files=files, picture=picture, **state)
        self._send_weights()
        self.observe(lambda change: self._send_weights(), "net")

    def _send_weights(self) -> None:
        """A notebook's page cannot fetch what lies beside the module: what is shown goes there as a trait."""
        if self.net in FILES and self.net not in self.weights and self.net not in self.files:
            file = (STATIC / FILES[self.net]).read_bytes()
            self.weights = {**self.weights, self.net: base64.b64encode(file).decode()}

    def _description(self) -> dict:
        """What the net's file says of it."""
        if self.net in self.weights:
            file = base64.b64decode(self.weights[self.net])
        elif self.net not in FILES:
            raise ValueError(
                "LookingInside: the net was opened in the page, which keeps it to itself; to compute with it here, "
                "make the figure with model=your net."
            )
        else:
            file = (STATIC / FILES[self.net]).read_bytes()
        entries, _ = header(file)
        return json.loads(entries["__metadata__"]["unmagic"])

    def image(self) -> Tensor:
        """What is shown, (C, H, W). A picture that does not fit the net counts as none, and the first sample is it."""
        shape = self._description()["input"]
        if len(self.picture) == torch.Size(shape).numel():
            return torch.tensor(self.picture).reshape(shape)
        return samples(self.net)[0][0] if self.net in FILES else torch.zeros(shape)

    def seen(self) -> Seen:
        """What the browser shows of it, computed here by torch and `unmagic.look`."""
        described = self._description()
        net = self._models[self.net] if self.net in self._models else course_net(self.net)
        x = self.image()[None].to(next(net.parameters()).device)  # (1, C, H, W)
        with look.evaluating(net), torch.no_grad():
            probabilities = net(x).softmax(dim=1)[0]  # (classes,)
        target = min(self.target, len(probabilities) - 1) if self.target >= 0 else int(probabilities.argmax())
        y = torch.tensor([target], device=x.device)
        window, stride = looking_inside_still.occluder(x.shape[2:])
        attacked = look.fgsm(net, x, y, self.epsilon)
        with look.evaluating(net), torch.no_grad():
            afterwards = net(attacked).softmax(dim=1)[0]
        layer = looking_inside_still.layer_with_maps(net, x, self.layer)
        return Seen(
            picture=x[0].cpu(),
            classes=described["classes"],
            target=target,
            probabilities=probabilities.cpu(),
            saliency=look.saliency(net, x, y)[0].cpu(),
            occlusion=look.occlusion(net, x, y, window=window, stride=stride)[0].cpu(),
            grad_cam=None if layer is None else look.grad_cam(net, x, layer, y)[0].cpu(),
            layer=layer,
            attacked=attacked[0].cpu(),
            afterwards=afterwards.cpu(),
        )

    def still(self) -> Still:
        seen = self.seen()
        light, dark = (looking_inside_still.address(seen, self.epsilon, theme) for theme in ("light", "dark"))
        return Still(looking_inside_still.words(seen, self.epsilon), light, dark)


LookingInside._css += (STATIC / STYLE).read_text(encoding="utf-8")
