"""Residual networks, for ImageNet and for small images, and their plain twins.

K. He, X. Zhang, S. Ren, J. Sun: Deep residual learning for image recognition. CVPR 2016, table 1 (ImageNet), section
4.2 (CIFAR-10: 6n + 2 layers) and section 3.3 (shortcuts: A pads with zeros and has no parameters, B projects where
sizes change, C projects everywhere). ResNeXt: S. Xie, R. Girshick, P. Dollár, Z. Tu, K. He: Aggregated residual
transformations for deep neural networks. CVPR 2017, table 1 (32 paths of width 4). Pre-activation: K. He, X. Zhang, S.
Ren, J. Sun: Identity mappings in deep residual networks. ECCV 2016, figure 4(e).
"""

from unmagic.zoo.initialization import he_

import typing

import torch
from torch import Tensor, nn

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}  # table 1
Shortcut = typing.Literal["A", "B", "C", "none"]


def conv_norm(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution without bias, then batch norm, which has one."""
    padding = kernel_size // 2
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(out_channels),
    )


class ZeroPad(nn.Module):
    """Shortcut A: every second pixel, and zeros for the new channels. No parameters."""

    def __init__(self, in_channels: int, out_channels: int, stride: int):
        super().__init__()
        self.more, self.stride = out_channels - in_channels, stride

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, :, :: self.stride, :: self.stride]  # (N, in_channels, H/stride, W/stride)
        return nn.functional.pad(x, (0, 0, 0, 0, self.more // 2, self.more - self.more // 2))


def make_shortcut(kind: Shortcut, in_channels: int, out_channels: int, stride: int) -> nn.Module | None:
    """What goes round a block: None for a plain net, the identity where sizes allow and the kind asks for it."""
    if kind == "none":
        return None
    changes = in_channels != out_channels or stride != 1
    if kind == "C" or (kind == "B" and changes):
        return conv_norm(in_channels, out_channels, 1, stride)
    return ZeroPad(in_channels, out_channels, stride) if changes else nn.Identity()


class BasicBlock(nn.Module):
    """Two 3×3 convolutions. Input (N, in_channels, H, W), output (N, width, H/stride, W/stride)."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int, shortcut: Shortcut):
        super().__init__()
        self.residual = nn.Sequential(
            conv_norm(in_channels, width, 3, stride),  # (N, width, H/stride, W/stride)
            nn.ReLU(),
            conv_norm(width, width, 3),
        )
        self.shortcut = make_shortcut(shortcut, in_channels, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.residual(x)
        return torch.relu(y if self.shortcut is None else y + self.shortcut(x))


class PreActivationBlock(nn.Module):
    """BN, ReLU, 3×3 convolution, twice, and nothing after the sum. Shapes as BasicBlock's.

    y = x + F(x), exactly: so the output of a stage is the sum of its input and of what each block adds, and a block
    that adds nothing is the identity for every input, where BasicBlock's ReLU after the sum stops negative numbers.
    """

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int, shortcut: Shortcut):
        super().__init__()
        self.residual = nn.Sequential(
            norm_conv(in_channels, width, stride),  # (N, width, H/stride, W/stride)
            norm_conv(width, width),
        )
        self.shortcut = make_shortcut(shortcut, in_channels, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.residual(x)
        return y if self.shortcut is None else y + self.shortcut(x)


def norm_conv(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    """Batch norm and ReLU, then a 3×3 convolution without bias."""
    convolution = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
    return nn.Sequential(nn.BatchNorm2d(in_channels), nn.ReLU(), convolution)


class Bottleneck(nn.Module):
    """1×1 down, 3×3, 1×1 up. Input (N, in_channels, H, W), output (N, 4·width, H/stride, W/stride).

    groups, group_width: of the 3×3 convolution; 32 and 4 make the block of ResNeXt 32×4d, whose middle is
    width/64·4·32 wide.
    stride_on_3x3: where the stride is: False, in the first 1×1, as the paper has it; True, in the 3×3, as torchvision
    and most others do ("v1.5").
    """

    expansion = 4

    def __init__(
        self,
        in_channels: int,
        width: int,
        stride: int,
        shortcut: Shortcut,
        groups: int = 1,
        group_width: int = 64,
        stride_on_3x3: bool = False,
    ):
        super().__init__()
        middle = max(1, int(width * group_width / 64)) * groups
        first, second = (1, stride) if stride_on_3x3 else (stride, 1)
        self.residual = nn.Sequential(
            conv_norm(in_channels, middle, 1, first),
            nn.ReLU(),
            conv_norm(middle, middle, 3, second, groups),
            nn.ReLU(),
            conv_norm(middle, 4 * width, 1),
        )
        self.shortcut = make_shortcut(shortcut, in_channels, 4 * width, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.residual(x)
        return torch.relu(y if self.shortcut is None else y + self.shortcut(x))


class ResNet(nn.Module):
    """Stages of residual blocks between a stem and global average pooling. Output (N, classes).

    Args:
        block: BasicBlock, Bottleneck or PreActivationBlock; after blocks of the last kind come BN and ReLU.
        blocks: how many in each stage; each stage but the first halves the sides.
        widths: of each stage; a bottleneck's output is four times as wide.
        stem: "imagenet": 7×7 with stride 2 and 3×3 pooling with stride 2 (224 → 56); "small": one 3×3 convolution.
        shortcut: "A", "B", "C" (see the module), or "none" for the plain twin.
        zero_last_gamma: the last batch norm of each block begins with γ = 0, so that the block begins as the identity
            (up to the ReLU after the sum). A PreActivationBlock ends in a convolution: then that begins with 0.
        options: of the block, such as `groups` of a Bottleneck. TypeError names one that the block does not have.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck] | type[PreActivationBlock],
        blocks: tuple[int, ...],
        widths: tuple[int, ...] = (64, 128, 256, 512),
        classes: int = 1000,
        in_channels: int = 3,
        stem: str = "imagenet",
        shortcut: Shortcut = "B",
        zero_last_gamma: bool = False,
        **options: typing.Any,
    ):
        super().__init__()
        if stem not in ("imagenet", "small") or shortcut not in typing.get_args(Shortcut):
            found = f"the stem {stem!r} and the shortcut {shortcut!r}"
            raise ValueError(f"ResNet: found {found}; wanted 'imagenet' or 'small', and 'A', 'B', 'C' or 'none'.")
        if len(blocks) != len(widths):
            found = f"{len(blocks)} stages and {len(widths)} widths"
            raise ValueError(f"ResNet: {found}; wanted as many of one as of the other.")
        channels = widths[0]
        if stem == "imagenet":
            self.stem = nn.Sequential(
                conv_norm(in_channels, channels, 7, 2),  # (N, 64, 112, 112)
                nn.ReLU(),
                nn.MaxPool2d(3, 2, padding=1),  # (N, 64, 56, 56)
            )
        else:
            self.stem = nn.Sequential(conv_norm(in_channels, channels, 3), nn.ReLU())  # (N, 16, 32, 32)
        stages = []
        for number, (count, width) in enumerate(zip(blocks, widths, strict=True)):
            stage = []
            for place in range(count):
                stride = 2 if number and not place else 1
                stage.append(block(channels, width, stride, shortcut, **options))
                channels = width * block.expansion
            stages.append(nn.Sequential(*stage))
        self.stages = nn.Sequential(*stages)
        preactivated = block is PreActivationBlock
        self.last = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU()) if preactivated else nn.Identity()
        self.classifier = nn.Linear(channels, classes)
        he_(self, "fan_out")
        if zero_last_gamma:
            for module in self.modules():
                if isinstance(module, BasicBlock | Bottleneck | PreActivationBlock):
                    nn.init.zeros_(module.residual[-1][-1].weight)  # γ, or the convolution that stands last

    def forward(self, x: Tensor) -> Tensor:
        x = self.last(self.stages(self.stem(x)))  # (N, C, H, W)
        return self.classifier(x.mean(dim=(2, 3)))  # (N, classes)


def resnet(depth: int = 50, **options: typing.Any) -> ResNet:
    """The nets of table 1 for 224×224: 18 and 34 with basic blocks, 50, 101 and 152 with bottlenecks.

    Parameters: 11,689,512, 21,797,672, 25,557,032, 44,549,160, 60,192,808 with shortcut B. Options are ResNet's.
    """
    if depth not in BLOCKS:
        raise ValueError(f"resnet: depth is {depth}; wanted one of {', '.join(map(str, BLOCKS))}.")
    return ResNet(BasicBlock if depth < 50 else Bottleneck, BLOCKS[depth], **options)


def cifar_resnet(depth: int = 20, width: int = 16, preactivation: bool = False, **options: typing.Any) -> ResNet:
    """The nets of section 4.2 for 32×32: 6n + 2 layers (20, 32, 44, 56, 110, 1202), three stages, shortcut A.

    Parameters: 269,722 for 20 layers, 853,018 for 56, 1,727,962 for 110. `shortcut="none"` gives the plain twin, with
    as many, `preactivation=True` the blocks of 2016. Options are ResNet's.
    """
    n, rest = divmod(depth - 2, 6)
    if rest or n < 1:
        raise ValueError(f"cifar_resnet: depth is {depth}; wanted 6n + 2, such as 20, 32, 44, 56 or 110.")
    defaults = {"classes": 10, "stem": "small", "shortcut": "A"}
    block = PreActivationBlock if preactivation else BasicBlock
    return ResNet(block, (n, n, n), (width, 2 * width, 4 * width), **(defaults | options))


def plain(depth: int = 20, **options: typing.Any) -> ResNet:
    """The same net without shortcuts: of table 1 for 18 to 152 layers of that list, else of section 4.2."""
    make = resnet if depth in BLOCKS else cifar_resnet
    return make(depth, **(options | {"shortcut": "none"}))


def resnext(depth: int = 50, paths: int = 32, path_width: int = 4, **options: typing.Any) -> ResNet:
    """ResNeXt 32×4d for 224×224, with 50 or 101 layers: 25,028,904 and 44,177,704 parameters. Options are ResNet's.

    The paths of a block are one grouped convolution: a split into `paths`, each on its own, side by side again. The
    stride is on the 3×3, as the authors' code has it.
    """
    if depth not in (50, 101):
        raise ValueError(f"resnext: depth is {depth}; wanted 50 or 101.")
    defaults = {"stride_on_3x3": True}
    return ResNet(Bottleneck, BLOCKS[depth], groups=paths, group_width=path_width, **(defaults | options))
