"""RandWire: the wiring of a net drawn at random, from three models of random graphs.

S. Xie, A. Kirillov, R. Girshick, K. He: Exploring randomly wired neural networks for image recognition. ICCV 2019,
section 3 (a node: weighted sum, then ReLU, 3×3 separable convolution, BN; edges from a lower to a higher number),
table 1 (the small and the regular net).
"""

import networkx
import torch
from torch import Tensor, nn

GENERATORS = ("WS", "ER", "BA")


def random_graph(kind: str, nodes: int, seed: int) -> list[tuple[int, ...]]:
    """For each node the nodes that lead to it, all of lower number. Drawn anew until the graph is connected.

    kind: "WS", Watts–Strogatz with 4 neighbours and rewiring probability 0.75; "ER", Erdős–Rényi with edge probability
    0.2; "BA", Barabási–Albert with 5 edges a node: the paper's best of each.
    """
    if kind not in GENERATORS:
        raise ValueError(f"random_graph: kind is {kind!r}; wanted one of {', '.join(GENERATORS)}.")
    for attempt in range(1000):
        number = seed * 1000 + attempt
        if kind == "WS":
            graph = networkx.connected_watts_strogatz_graph(nodes, min(4, nodes - 1), 0.75, seed=number)
        elif kind == "ER":
            graph = networkx.erdos_renyi_graph(nodes, 0.2, seed=number)
        else:
            graph = networkx.barabasi_albert_graph(nodes, min(5, nodes - 1), seed=number)
        if networkx.is_connected(graph):
            break
    else:
        raise ValueError(f"random_graph: no connected {kind} graph of {nodes} nodes was found; wanted more nodes.")
    before: list[list[int]] = [[] for _ in range(nodes)]
    for one, other in graph.edges:
        before[max(one, other)].append(min(one, other))
    return [tuple(sorted(entries)) for entries in before]


class Node(nn.Module):
    """ReLU of the weighted sum of what comes in, 3×3 separable convolution, batch norm.

    The weights of the sum are positive: a sigmoid of what is learned. A node that the stage's input leads to halves the
    sides where the stage does.
    """

    def __init__(self, inputs: int, in_channels: int, out_channels: int, stride: int):
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(inputs))
        self.convolution = nn.Sequential(
            nn.Conv2d(in_channels, in_channels, 3, stride, padding=1, groups=in_channels, bias=False),
            nn.Conv2d(in_channels, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )

    def forward(self, inputs: list[Tensor]) -> Tensor:
        total = sum(w * x for w, x in zip(torch.sigmoid(self.weights), inputs, strict=True))
        return self.convolution(torch.relu(total))


class RandomStage(nn.Module):
    """A random graph. Input (N, in_channels, H, W), output (N, out_channels, H/2, W/2): the mean of the last nodes.

    Nodes to which no other leads take the stage's input; the mean goes over those that lead nowhere.
    """

    def __init__(self, before: list[tuple[int, ...]], in_channels: int, out_channels: int, stride: int = 2):
        super().__init__()
        self.before = before
        self.last = sorted(set(range(len(before))) - {i for entries in before for i in entries})
        self.nodes = nn.ModuleList(
            Node(len(entries), out_channels, out_channels, 1) if entries else Node(1, in_channels, out_channels, stride)
            for entries in before
        )

    def forward(self, x: Tensor) -> Tensor:
        done: list[Tensor] = []
        for node, entries in zip(self.nodes, self.before, strict=True):
            done.append(node([done[i] for i in entries] if entries else [x]))
        return torch.stack([done[i] for i in self.last]).mean(dim=0)


class RandWire(nn.Module):
    """The small net of table 1: two convolutions, three random stages of C, 2C and 4C channels. Output (N, classes).

    With C = 78 and 32 nodes about 5.6 million parameters; the number depends a little on the graphs.

    Args:
        kind: "WS", "ER" or "BA".
        channels: C.
        nodes: of each graph.
        seed: of the graphs.
        stem_strides: of the two convolutions; (1, 1) for images of 32 pixels.
        hidden: channels of the 1×1 convolution at the end.
    """

    def __init__(
        self,
        kind: str = "WS",
        channels: int = 78,
        nodes: int = 32,
        seed: int = 0,
        classes: int = 1000,
        in_channels: int = 3,
        stem_strides: tuple[int, int] = (2, 2),
        hidden: int = 1280,
    ):
        super().__init__()
        if channels < 2 or nodes < 2:
            raise ValueError(f"RandWire: {channels} channels and {nodes} nodes; wanted 2 or more of each.")
        C, (first, second) = channels, stem_strides
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, C // 2, 3, first, padding=1, bias=False),
            nn.BatchNorm2d(C // 2),  # (N, C/2, 112, 112)
            nn.ReLU(),
            nn.Conv2d(C // 2, C, 3, second, padding=1, bias=False),
            nn.BatchNorm2d(C),  # (N, C, 56, 56)
        )
        widths = (C, C, 2 * C, 4 * C)
        self.stages = nn.Sequential(
            *(RandomStage(random_graph(kind, nodes, seed + i), widths[i], widths[i + 1]) for i in range(3))
        )  # (N, 4C, 7, 7)
        self.top = nn.Sequential(nn.ReLU(), nn.Conv2d(4 * C, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU())
        self.classifier = nn.Linear(hidden, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.top(self.stages(self.stem(x)))  # (N, 1280, 7, 7)
        return self.classifier(x.mean(dim=(2, 3)))  # (N, classes)
