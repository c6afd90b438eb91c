"""DiracNets: deep nets without skip connections, whose filters are a scaled identity plus a normalised filter.

S. Zagoruyko, N. Komodakis: DiracNets: training very deep neural networks without skip-connections, 2017, section 3:
Ŵ = diag(a)·I + diag(b)·W_norm with a = 1 and b = 0.1 at the beginning. I is the identity of the convolution (the Dirac
delta), W_norm has filters of length 1. After training Ŵ is one ordinary filter.
"""

import torch
from torch import Tensor, nn

LAYERS = {18: (4, 4, 4, 4), 34: (6, 8, 12, 6)}  # 3×3 convolutions of each stage, as in the residual nets of that depth


class DiracConv2d(nn.Module):
    """A 3×3 convolution with Ŵ in place of W. Input (N, in_channels, H, W), output (N, out_channels, H, W).

    Where the numbers of channels differ, I leads the first min(in, out) of them on and the others nowhere.
    """

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 3, 3))
        self.a = nn.Parameter(torch.ones(out_channels))
        self.b = nn.Parameter(torch.full((out_channels,), 0.1))
        self.register_buffer("delta", nn.init.dirac_(torch.empty_like(self.weight)), persistent=False)

    def folded(self) -> Tensor:
        """Ŵ (out, in, 3, 3): what an ordinary convolution needs to do the same."""
        length = self.weight.flatten(1).norm(dim=1).clamp_min(1e-12)  # (out,)
        a, scale = self.a[:, None, None, None], (self.b / length)[:, None, None, None]
        return a * self.delta + scale * self.weight

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.conv2d(x, self.folded(), padding=1)


class DiracNet(nn.Module):
    """The ImageNet nets: as a plain ResNet, with pooling between the stages. Output (N, classes).

    About 11.5 million parameters with 18 layers and 21.6 with 34: those of the residual nets less their projections.

    Args:
        layers: DiracConv2d in each stage, or 18 or 34 for the paper's.
        widths: channels of each stage.
        stem: "imagenet": 7×7 with stride 2 and pooling; "small": one 3×3 convolution.
    """

    def __init__(
        self,
        layers: int | tuple[int, ...] = 18,
        widths: tuple[int, ...] = (64, 128, 256, 512),
        classes: int = 1000,
        in_channels: int = 3,
        stem: str = "imagenet",
    ):
        super().__init__()
        if stem not in ("imagenet", "small") or (isinstance(layers, int) and layers not in LAYERS):
            raise ValueError(
                f"DiracNet: layers {layers!r}, stem {stem!r}; wanted 18, 34 or a tuple, 'imagenet' or 'small'."
            )
        counts = LAYERS[layers] if isinstance(layers, int) else layers
        if len(counts) != len(widths):
            raise ValueError(
                f"DiracNet: {len(counts)} stages and {len(widths)} widths; wanted as many of one as of the other."
            )
        channels = widths[0]
        modules: list[nn.Module] = [nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)]
        if stem == "imagenet":
            modules = [nn.Conv2d(in_channels, channels, 7, 2, padding=3, bias=False), nn.MaxPool2d(3, 2, padding=1)]
        for number, (count, width) in enumerate(zip(counts, widths, strict=True)):
            if number:
                modules.append(nn.MaxPool2d(2))  # (N, C, H/2, W/2)
            for _ in range(count):
                modules += [nn.BatchNorm2d(channels), nn.ReLU(), DiracConv2d(channels, width)]
                channels = width
        self.features = nn.Sequential(*modules, nn.BatchNorm2d(channels), nn.ReLU())
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).mean(dim=(2, 3)))  # (N, classes)
