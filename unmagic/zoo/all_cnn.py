"""All-CNN: what is lost when pooling is replaced by convolutions with stride? Twelve nets, from one table.

J. T. Springenberg, A. Dosovitskiy, T. Brox, M. Riedmiller: Striving for simplicity: the all convolutional net. ICLR
workshop 2015, tables 1 and 2. The table gives Model C 1.3 million parameters; counted, it has 954,730.
"""

from unmagic.zoo.initialization import he_

from torch import Tensor, nn

# Table 1: kernel and channels of the convolutions between poolings; the last two of 1×1 are the same for all
MODELS = {
    "A": (((5, 96),), ((5, 192),)),
    "B": (((5, 96), (1, 96)), ((5, 192), (1, 192))),
    "C": (((3, 96), (3, 96)), ((3, 192), (3, 192))),
}
VARIANTS = ("base", "strided", "conv-pool", "all-conv")


class AllCNN(nn.Module):
    """Input (N, in_channels, 32, 32), output (N, classes). All-CNN-C, `AllCNN("C", "all-conv")`: 1,369,738 parameters.

    Args:
        model: "A", "B" or "C".
        variant: how the map gets smaller: "base", 3×3 max pooling with stride 2; "strided", no pooling, and stride 2 in
            the convolution before; "conv-pool", a 3×3 convolution more before each pooling; "all-conv", a 3×3
            convolution with stride 2 in its place.
        width: factor of all channels, for small variants.
        dropout: 0.2 of the input and 0.5 after each pooling (or what replaces it) in the paper; 0 leaves all out.
    """

    def __init__(
        self,
        model: str = "C",
        variant: str = "all-conv",
        classes: int = 10,
        in_channels: int = 3,
        width: float = 1.0,
        dropout: tuple[float, float] = (0.2, 0.5),
    ):
        super().__init__()
        if model not in MODELS or variant not in VARIANTS:
            wanted = f"one of {', '.join(MODELS)} and one of {', '.join(VARIANTS)}"
            raise ValueError(f"AllCNN: found the model {model!r} and the variant {variant!r}; wanted {wanted}.")
        channels = in_channels
        layers: list[nn.Module] = [nn.Dropout(dropout[0])]

        def add(kernel: int, out: int, stride: int = 1) -> None:
            nonlocal channels
            layers.extend([nn.Conv2d(channels, out, kernel, stride, padding=kernel // 2), nn.ReLU()])
            channels = out

        for block in MODELS[model]:
            for number, (kernel, out) in enumerate(block, 1):
                strided = variant == "strided" and number == len(block)
                add(kernel, max(1, round(out * width)), 2 if strided else 1)
            if variant == "conv-pool":
                add(3, channels)
            if variant == "all-conv":
                add(3, channels, 2)
            if variant in ("base", "conv-pool"):
                layers.append(nn.MaxPool2d(3, 2, padding=1))
            layers.append(nn.Dropout(dropout[1]))  # (N, 96, 16, 16), then (N, 192, 8, 8)
        add(3, channels)  # (N, 192, 8, 8)
        add(1, channels)  # (N, 192, 8, 8)
        add(1, classes)  # (N, classes, 8, 8)
        self.features = nn.Sequential(*layers)
        he_(self.features)

    def forward(self, x: Tensor) -> Tensor:
        return self.features(x).mean(dim=(2, 3))  # (N, classes)
