# The lab of the chapter "Architectures: the blueprint, the budget, the line of nets". Fourteen exercises, 32 points,
# and one answer in words, 3 points.

# %% [markdown]
# # Architectures: what a net costs, and how it is put together
#
# In this lab you count what a net costs before it is built, write the modules that the famous nets are made of, take a
# trained net apart, and train two deep nets that differ in nothing but their shortcuts.
#
# 1. **Budgets**: parameters, multiply–adds, memory, and how much of the picture a layer sees.
# 2. **The blueprint**: a line of text that describes a net, and an error that points at what is wrong in it.
# 3. **Cheaper convolutions**: depthwise separable, small kernels in a row, inception, groups, weights of one bit.
# 4. **Ways around**: residual blocks, highways, dense blocks.
# 5. **Does it matter?** A trained net that loses a block; plain and residual twins, side by side.
#
# How it works:
#
# - Write your answer where a cell says `raise NotImplementedError`. Then run the cell below it. If it says *passed*,
#   go on. If not, the last line of the error is a hint.
# - The tests you see show the idea. When your lab is graded, the same idea is tested on other numbers.
# - **By hand means by hand.** An exercise about counting is not answered by building the net and counting, nor an
#   inception module by somebody else's. The tests read your source for that. It is a rule, not a proof: it is there so
#   that you learn something.
# - No exercise needs your answer to another one. If you are stuck, go on and come back. Plan four to six hours, in
#   more than one sitting: the end of each part is a good place to stop.
# - Cells that begin with `# explore` are for your eyes: change the numbers in them, nothing there is graded. Most of
#   them use what you have written, so they run once that is done.
#
# Pictures have the shape (N, C, H, W): N pictures, C channels, H rows, W columns. A convolution's weights have the
# shape (out, in, k, k). What you return has the dtype and the device of the arguments, and the arguments stay as they
# were. Multiply–adds are counted as one each (FLOPs are twice that).

# %% setup="imports"
from unmagic import checks, data, device, trained, zoo
from unmagic.zoo.googlenet import Inception as ReadyInception
from unmagic.zoo.highway import HighwayLayer as ReadyHighwayLayer
from unmagic.zoo.resnet import BasicBlock as ReadyBasicBlock
from unmagic.zoo.resnet import Bottleneck as ReadyBottleneck

import itertools
import math
import re

import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

here = device()  # a GPU where there is one, else the CPU
torch.set_num_threads(1)  # a second thread only slows nets this small down
torch.backends.cudnn.allow_tf32 = False  # on a GPU: full float32 in convolutions, which we compare
print(f"This lab computes on: {here}")

# %% setup="tools"
# What exercises may not use: what counts or builds for you.
READY = ("unmagic.zoo", "unmagic.trained", "torchvision")
COUNTING = (*READY, "torch.nn", ".numel", ".parameters")
CONVOLUTION = (
    "torch.nn.functional.conv2d",
    "torch.nn.functional.conv_transpose2d",
    "torch.nn.Conv2d",
    "torch.nn.ConvTranspose2d",
    "torch.convolution",
    "torch.ops",
    *READY,
)
AUTOGRAD = ("torch.autograd", "torch.func", ".backward", ".requires_grad_", *READY)


def beside(answer, function, *arguments):
    """What `function(*arguments)` gives in the process where `answer` lives.

    When the lab is graded your functions live in a process of their own, and nets that they are given must be made
    there. In your notebook this just calls the function.
    """
    answer.beside = function
    return answer.beside(*arguments)


def altered(answer, x: Tensor) -> Tensor:
    """What has become of `x` after `answer(x)`. Beside your answer: what crosses from process to process is a copy."""
    with torch.no_grad():
        answer(x)
    return x


def attempt(hint: str, answer, *arguments):
    """`answer(*arguments)`; where that raises, an error with a hint."""
    try:
        return answer(*arguments)
    except NotImplementedError:
        raise
    except Exception as error:
        raise checks.CheckError(f"Your code raised an error: {error}", kind="raises", hint=hint) from error


Layer = tuple  # ("conv", out channels, kernel, stride, padding), ("pool", kernel, stride), ("relu",) or ("fc", units)


def output_shapes(layers: list[Layer], input_shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The shape of the input and of what each layer gives, without the batch: one entry more than there are layers."""
    shapes = [tuple(input_shape)]
    for kind, *sizes in layers:
        if kind in ("conv", "pool"):
            channels, rows, columns = shapes[-1]
            out, kernel, stride, padding = sizes if kind == "conv" else (channels, *sizes, 0)
            shapes.append((out, *((side + 2 * padding - kernel) // stride + 1 for side in (rows, columns))))
        elif kind == "fc":
            shapes.append((sizes[0],))
        else:
            shapes.append(shapes[-1])
    return shapes


def as_torch(layers: list[Layer], input_shape: tuple[int, ...]) -> nn.Sequential:
    """The net itself, built by torch, in shapes alone (on the meta device): what your counts are compared with."""
    modules, shapes = [], output_shapes(layers, input_shape)
    with torch.device("meta"):
        for (kind, *sizes), before in zip(layers, shapes, strict=False):
            if kind == "conv":
                modules.append(nn.Conv2d(before[0], *sizes))
            elif kind == "pool":
                modules.append(nn.MaxPool2d(*sizes))
            elif kind == "fc":
                modules.append(nn.Sequential(nn.Flatten(), nn.Linear(math.prod(before), sizes[0])))
            else:
                modules.append(nn.ReLU())
    return nn.Sequential(*modules)


def conv(out: int, kernel: int = 3, stride: int = 1, padding: int = 1) -> list[Layer]:
    """A convolution and its ReLU."""
    return [("conv", out, kernel, stride, padding), ("relu",)]


HALVE = ("pool", 2, 2)
DIGITS_NET = [*conv(8), HALVE, *conv(16), HALVE, ("fc", 10)]  # for (1, 8, 8)
VGG16 = [
    *(conv(64) * 2 + [HALVE] + conv(128) * 2 + [HALVE]),
    *(layer for width in (256, 512, 512) for layer in (*conv(width) * 3, HALVE)),
    *(("fc", 4096), ("relu",), ("fc", 4096), ("relu",), ("fc", 1000)),
]  # for (3, 224, 224)


def drawn(generator: torch.Generator, *shape: int) -> Tensor:
    """Standard normal numbers, float32, on the lab's device."""
    return torch.randn(*shape, generator=generator).to(here)


def random_state(shapes: dict[str, tuple[int, ...]], generator: torch.Generator) -> dict[str, Tensor]:
    """A tensor of each shape, to be loaded into a module: as large as weights are, and variances above 0."""
    state = {}
    for name, shape in shapes.items():
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(3, device=here)
        elif name.endswith("running_var"):
            state[name] = (0.5 + torch.rand(*shape, generator=generator)).to(here)
        else:
            state[name] = drawn(generator, *shape) / max(1, math.prod(shape[1:])) ** 0.5
    return state


def shapes_of(module) -> dict[str, tuple[int, ...]]:
    """Name and shape of every parameter and buffer of a module."""
    return {name: tuple(value.shape) for name, value in dict(module.state_dict()).items()}


def renamed(state: dict[str, Tensor], names: dict[str, str]) -> dict[str, Tensor]:
    """The same tensors under other names: the part up to the last dot is looked up in `names`."""
    parts = {name: name.rpartition(".") for name in state}
    return {f"{names[front]}.{end}": state[name] for name, (front, _, end) in parts.items()}


# %% [markdown]
# ## Part 1. Budgets
#
# A net is a list of layers, each a tuple, for one input of a known shape:
#
# | layer | what it does |
# |---|---|
# | `("conv", out, k, stride, padding)` | a convolution of $k \times k$ to `out` channels, with a bias for each |
# | `("pool", k, stride)` | maximum over windows of $k \times k$ |
# | `("relu",)` | $\max(0, x)$ |
# | `("fc", units)` | all numbers of its input, to `units` outputs, with a bias for each |
#
# `output_shapes(layers, input_shape)` is given: the shape of the input, and then that of each layer's output. You
# wrote what is inside of it in an earlier lab.
#
# ### Exercise 1. Parameters and multiply–adds (2 points)
#
# A convolution from $C$ to $K$ channels has a weight for every input channel and place of its kernel, and a bias for
# each output channel. It uses each weight once at every place of its $H' \times W'$ outputs:
#
# $$\text{parameters} = K\,(C k^2 + 1), \qquad \text{multiply–adds} = H' W' \cdot K\, C k^2.$$
#
# In words: parameters do not know how large the picture is, multiply–adds do. A fully connected layer is the case of
# one place that sees all $n$ inputs: $K (n + 1)$ parameters and $K n$ multiply–adds. Pooling and ReLU have no
# parameters, and as in the papers they cost no multiply–adds; nor do the biases.
#
# A number: 3×3 from 64 to 128 channels has $128 \cdot (64 \cdot 9 + 1) = 73{,}856$ parameters; on $112 \times 112$ it
# costs $112^2 \cdot 128 \cdot 576 \approx 925$ million multiply–adds, on $7 \times 7$ 256 times fewer.
#
# Both functions return a list with one whole number for each layer.


# %% solution="costs"
def parameters(layers: list[Layer], input_shape: tuple[int, ...]) -> list[int]:
    """Weights and biases of each layer.

    layers: see above.   input_shape: (C, H, W).   Returns a list as long as `layers`.
    """
    ### BEGIN SOLUTION
    shapes, counts = output_shapes(layers, input_shape), []
    for i, (kind, *sizes) in enumerate(layers):
        if kind == "conv":
            out, kernel = sizes[:2]
            counts.append(out * (shapes[i][0] * kernel**2 + 1))
        elif kind == "fc":
            (units,) = sizes
            counts.append(units * (math.prod(shapes[i]) + 1))
        else:
            counts.append(0)
    return counts
    ### END SOLUTION


def multiply_adds(layers: list[Layer], input_shape: tuple[int, ...]) -> list[int]:
    """Multiply–adds of each layer for one input; biases, pooling and ReLU cost none.

    layers: see above.   input_shape: (C, H, W).   Returns a list as long as `layers`.
    """
    ### BEGIN SOLUTION
    shapes, counts = output_shapes(layers, input_shape), []
    for i, (kind, *sizes) in enumerate(layers):
        if kind == "conv":
            counts.append(math.prod(shapes[i + 1]) * shapes[i][0] * sizes[1] ** 2)
        elif kind == "fc":
            (units,) = sizes
            counts.append(units * math.prod(shapes[i]))
        else:
            counts.append(0)
    return counts
    ### END SOLUTION


# %% tests="costs" points=1
checks.assert_by_hand(
    "parameters",
    without=COUNTING,
    hint="Count by the formula: do not build the net. output_shapes says what each layer gets.",
)
answer = parameters([("conv", 128, 3, 1, 1)], (64, 112, 112))
checks.assert_true(
    isinstance(answer, list | tuple),
    f"parameters: found {answer!r}, wanted a list of whole numbers.",
    hint="One count for each layer, in a list, also when it is 0.",
)
checks.assert_equal(
    list(answer),
    [73_856],
    name="parameters of a 3×3 convolution from 64 to 128 channels",
    hint="Each of the 128 filters looks at all 64 channels, 64·3·3 weights, and has one bias: out·(in·k² + 1).",
)
checks.assert_equal(
    list(parameters([("conv", 96, 11, 4, 0), ("relu",), ("pool", 3, 2)], (3, 227, 227))),
    [34_944, 0, 0],
    name="parameters of a convolution, a ReLU and a pooling",
    hint="A ReLU and a pooling have none: an entry of 0 in the list. 96 filters of 3·11·11 weights and a bias.",
)
checks.assert_equal(
    list(parameters([("pool", 2, 2), ("fc", 10), ("relu",), ("fc", 7)], (4, 6, 10))),
    [0, 10 * (60 + 1), 0, 7 * (10 + 1)],
    name="parameters of pooling and two fully connected layers on (4, 6, 10)",
    hint="A fully connected layer sees all numbers of its input, here 4·3·5 = 60 after the pooling, then 10; each "
    "unit has a bias.",
)
built = as_torch(DIGITS_NET, (1, 8, 8))
checks.assert_equal(
    list(parameters(DIGITS_NET, (1, 8, 8))),
    [sum(p.numel() for p in layer.parameters()) for layer in built],
    name="parameters of DIGITS_NET",
    hint="The channels that a convolution gets are those of the layer before it, not of the picture.",
)
checks.assert_equal(
    sum(parameters(VGG16, (3, 224, 224))),
    138_357_544,
    name="parameters of VGG-16 in all",
    hint="The paper says 138 million. A bias for every filter and every unit counts.",
)
print("costs: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("costs")
for _ in range(5):
    a, b, c, kernel, side, stride = (
        int(torch.randint(low, high, (), generator=fresh_generator))
        for low, high in ((1, 30), (1, 30), (2, 30), (1, 6), (30, 60), (1, 4))
    )
    net = [("conv", a, kernel, stride, 1), ("relu",), ("pool", 3, 2), ("conv", b, 2, 1, 2), ("fc", c), ("fc", 3)]
    checks.assert_equal(
        list(parameters(net, (a + 1, side, side + 3))),
        reference.parameters(net, (a + 1, side, side + 3)),
        name=f"parameters of {net}",
        hint="out·(in·k² + 1) for a convolution, units·(inputs + 1) for a fully connected layer, 0 for the others.",
    )
### END HIDDEN TESTS

# %% tests="costs:multiply_adds" points=1
checks.assert_by_hand(
    "multiply_adds",
    without=COUNTING,
    hint="Count by the formula: do not build the net. output_shapes says what each layer gets and gives.",
)
answer = multiply_adds([("conv", 128, 3, 1, 1)], (64, 112, 112))
checks.assert_true(
    isinstance(answer, list | tuple),
    f"multiply_adds: found {answer!r}, wanted a list of whole numbers.",
    hint="One count for each layer, in a list, also when it is 0.",
)
checks.assert_true(
    len(answer) != 1 or answer[0] != 2 * 924_844_032,
    "multiply_adds: these are FLOPs.",
    hint="A multiplication with its addition counts once here. FLOPs are twice that.",
)
checks.assert_equal(
    list(answer),
    [924_844_032],
    name="multiply–adds of a 3×3 convolution from 64 to 128 channels on 112×112",
    hint="Every one of the out·in·k² weights is used once at every place of the output, H′·W′; biases are not counted.",
)
checks.assert_equal(
    list(multiply_adds([("conv", 96, 11, 4, 0), ("relu",), ("pool", 3, 2)], (3, 227, 227))),
    [105_415_200, 0, 0],
    name="multiply–adds of a convolution with stride 4, a ReLU and a pooling",
    hint="Count the places of the **output**, 55·55 here, not of the input. ReLU and pooling cost none.",
)
checks.assert_equal(
    list(multiply_adds([("conv", 2, 3, 1, 1)], (1, 4, 6))),
    [432],
    name="multiply–adds of a convolution on a picture of 4 rows and 6 columns",
    hint="Rows times columns, 4·6 = 24 places: pictures need not be square.",
)
checks.assert_equal(
    list(multiply_adds([("pool", 2, 2), ("fc", 10), ("relu",), ("fc", 7)], (4, 6, 10))),
    [0, 600, 0, 70],
    name="multiply–adds of pooling and two fully connected layers",
    hint="One for each weight, units · inputs; the bias is no multiplication.",
)
rows = zoo.budget(as_torch(VGG16, (3, 224, 224)), (3, 224, 224)).rows
checks.assert_equal(
    [count for count in multiply_adds(VGG16, (3, 224, 224)) if count],
    [row.macs for row in rows if row.macs],
    name="multiply–adds of VGG-16's layers with weights",
    hint="H′·W′·out·in·k²: the shapes before and after each layer are in output_shapes(layers, input_shape).",
)
print("costs:multiply_adds: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("costs")
for _ in range(5):
    a, b, c, kernel, side, stride = (
        int(torch.randint(low, high, (), generator=fresh_generator))
        for low, high in ((1, 30), (1, 30), (2, 30), (1, 6), (30, 60), (1, 4))
    )
    net = [("conv", a, kernel, stride, 1), ("relu",), ("pool", 3, 2), ("conv", b, 2, 1, 2), ("fc", c), ("fc", 3)]
    checks.assert_equal(
        list(multiply_adds(net, (a + 1, side, side + 3))),
        reference.multiply_adds(net, (a + 1, side, side + 3)),
        name=f"multiply–adds of {net}",
        hint="H′·W′·out·in·k² for a convolution, units·inputs for a fully connected layer, 0 for the others.",
    )
### END HIDDEN TESTS

# %% explore="where_the_budget_goes"
# explore: where VGG-16 has its parameters, and where it spends its time. Try another list of layers
shapes = output_shapes(VGG16, (3, 224, 224))
weights, work = parameters(VGG16, (3, 224, 224)), multiply_adds(VGG16, (3, 224, 224))
for layer, shape, p, m in zip(VGG16, shapes[1:], weights, work, strict=True):
    if p:
        print(f"{layer!s:25} {shape!s:16} {p / sum(weights):7.1%} of the parameters {m / sum(work):7.1%} of the work")

# %% [markdown]
# ### Exercise 2. Memory (1 point)
#
# Parameters are not all that has to fit. With numbers of 4 bytes, **training** on a batch of $B$ inputs by descent with
# momentum keeps for every parameter its value, its gradient and its momentum, and, for the way back, what every layer
# gave to every input of the batch. **Testing** keeps the parameters, and at any time only one layer's input and its
# output:
#
# $$\text{training} = 4\,\Big(3 P + B \sum_{i=1}^{L} a_i\Big), \qquad
# \text{testing} = 4\,\Big(P + B \max_{i=1 \dots L} (a_{i-1} + a_i)\Big) \quad \text{bytes},$$
#
# with $P$ parameters, $a_0$ numbers in one input and $a_i$ numbers in what layer $i$ gives to it. In words: in training
# everything is kept, in testing the largest neighbours decide. The input itself is part of the data and does not count
# in training. A number: 10 parameters and $a = (4, 6, 2)$ take, for one input,
# $4 \cdot (30 + 8) = 152$ bytes in training and $4 \cdot (10 + 10) = 80$ in testing.


# %% solution="memory"
def memory(parameters: int, activations: list[int], batch: int) -> tuple[int, int]:
    """Bytes in float32 for training with momentum and for testing.

    parameters: P.   activations: a_0 … a_L, numbers in one input and in each layer's output.   batch: inputs, B.
    """
    ### BEGIN SOLUTION
    training = 4 * (3 * parameters + batch * sum(activations[1:]))
    largest = max(before + after for before, after in itertools.pairwise(activations))
    return training, 4 * (parameters + batch * largest)
    ### END SOLUTION


# %% tests="memory" points=1
answer = memory(10, [4, 6, 2], 1)
checks.assert_true(
    isinstance(answer, list | tuple) and len(answer) == 2,
    f"memory: found {answer!r}, wanted the bytes of training and of testing.",
    hint="End with: return training, testing.",
)
for numbers, wanted, name, hint in (
    (
        (10, [0, 0, 0, 0], 1),
        120,
        "training bytes of 10 parameters alone",
        "Value, gradient and momentum of each parameter: three numbers of 4 bytes each.",
    ),
    (
        (10, [4, 6, 2], 1),
        152,
        "training bytes for one input",
        "What every layer gave is kept, 6 + 2 numbers; the input a_0 is part of the data and does not count.",
    ),
    (
        (10, [4, 6, 2], 5),
        280,
        "training bytes for a batch of 5",
        "Each input of the batch has activations of its own; the parameters are there once.",
    ),
):
    checks.assert_equal(memory(*numbers)[0], wanted, name=name, hint=hint)
for numbers, wanted, name, hint in (
    (
        (10, [4, 6, 2], 1),
        80,
        "testing bytes for one input",
        "Parameters once, 40 bytes, and one layer's input with its output: the largest a_{i−1} + a_i, 4 + 6.",
    ),
    (
        (10, [4, 6, 2], 5),
        240,
        "testing bytes for a batch of 5",
        "The activations of every input of the batch, the parameters once.",
    ),
    (
        (1, [1, 3, 5, 4, 8], 1),
        52,
        "testing bytes where the largest neighbours come last",
        "A layer's input and its output are neighbours: 4 + 8 here. Not the two largest of all, nor twice the largest.",
    ),
):
    checks.assert_equal(memory(*numbers)[1], wanted, name=name, hint=hint)
budget = zoo.budget(as_torch(DIGITS_NET, (1, 8, 8)), (1, 8, 8))
sizes = [64, *(row.activations for row in budget.rows)]
checks.assert_equal(
    list(memory(budget.parameters, sizes, 1)),
    [budget.training_bytes, budget.testing_bytes],
    name="bytes of DIGITS_NET in training and testing",
    hint="4·(3P + B·Σ a_i) and 4·(P + B·max(a_{i−1} + a_i)).",
)
print("memory: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("memory")
for _ in range(10):
    fresh_sizes = torch.randint(1, 10**6, (6,), generator=fresh_generator).tolist()
    p, fresh_batch = torch.randint(1, 300, (2,), generator=fresh_generator).tolist()
    checks.assert_equal(
        list(memory(p, fresh_sizes, fresh_batch)),
        list(reference.memory(p, fresh_sizes, fresh_batch)),
        name=f"bytes of {p} parameters, activations {fresh_sizes}, batch {fresh_batch}",
        hint="4·(3P + B·Σ a_i) and 4·(P + B·max(a_{i−1} + a_i)).",
    )
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 3. What a layer sees (1 point)
#
# One number of a layer's output depends on a square of the input picture, its **receptive field**. Two numbers follow
# it from layer to layer: its side $r$, and the **jump** $j$, how many input pixels lie between neighbours of this
# layer's output. At the input $r = 1$ and $j = 1$; a layer with a kernel of $k$ and stride $s$ makes
#
# $$r \leftarrow r + (k - 1)\, j, \qquad j \leftarrow j \cdot s.$$
#
# In words: a kernel reaches over $k - 1$ more neighbours, which lie $j$ pixels apart; and after a stride neighbours lie
# further apart. First $r$ with the old $j$, then $j$. A number: two 3×3 convolutions see $3$, then $3 + 2 = 5$ pixels;
# with a pooling of 2×2 and stride 2 between them, $3$, $4$, and then $4 + 2 \cdot 2 = 8$.
#
# Padding changes nothing about it. A fully connected layer sees all of the picture: its entry is `None`, and so is that
# of all layers after it.


# %% solution="receptive_fields"
def receptive_fields(layers: list[Layer]) -> list[int | None]:
    """Side in pixels of the square that one output of each layer depends on; None from a fully connected layer on.

    layers: as in exercise 1.   Returns a list as long as `layers`.
    """
    ### BEGIN SOLUTION
    side, jump, sides = 1, 1, []
    for kind, *sizes in layers:
        if kind == "fc":
            side = None
        elif kind != "relu":
            kernel, stride = sizes[1:3] if kind == "conv" else sizes
            side += (kernel - 1) * jump
            jump *= stride
        sides.append(side)
    return sides
    ### END SOLUTION


# %% tests="receptive_fields" points=1
checks.assert_by_hand("receptive_fields", without=COUNTING, hint="Follow r and j from layer to layer yourself.")
answer = receptive_fields([("conv", 8, 3, 1, 0)])
checks.assert_true(
    isinstance(answer, list | tuple),
    f"receptive_fields: found {answer!r}, wanted a list.",
    hint="One entry for each layer, in a list that is returned at the end.",
)
for layers, wanted, name, hint in (
    (
        [("conv", 8, 3, 1, 0), ("relu",), ("conv", 8, 3, 1, 0)],
        [3, 3, 5],
        "fields of two 3×3 convolutions with a ReLU between them",
        "r + (k − 1)·j: the first sees 3 pixels, the second reaches 2 further. A ReLU sees what came in, and has an "
        "entry.",
    ),
    (
        [("conv", 8, 3, 1, 0), ("conv", 8, 5, 1, 9)],
        [3, 7],
        "fields of 3×3 and 5×5 convolutions with paddings of 0 and 9",
        "r + (k − 1)·j, whatever the padding.",
    ),
    (
        [("conv", 8, 3, 1, 1), ("pool", 2, 2), ("conv", 8, 3, 1, 1)],
        [3, 4, 8],
        "fields with a pooling between two convolutions",
        "The pooling reaches over k − 1 neighbours too, and after its stride of 2 neighbours lie 2 pixels apart. "
        "Change r with the old j, then j.",
    ),
    (
        [("conv", 8, 7, 2, 3), ("pool", 3, 2), ("conv", 8, 3, 3, 1), ("conv", 8, 2, 1, 1)],
        [7, 11, 19, 31],
        "fields of layers with strides 2, 2 and 3",
        "Strides multiply: after 2 and 2 the jump is 4, and after 3 more it is 12.",
    ),
    (
        [("conv", 8, 3, 1, 1), ("fc", 10), ("relu",), ("fc", 10)],
        [3, None, None, None],
        "fields with fully connected layers",
        "A fully connected layer sees everything: None, and for all layers after it too.",
    ),
):
    checks.assert_equal(list(receptive_fields(layers)), wanted, name=name, hint=hint)
rows = zoo.budget(as_torch(VGG16, (3, 224, 224)), (3, 224, 224)).rows
seen = [row.receptive_field for row in rows if row.kind in ("Conv2d", "MaxPool2d")]
checks.assert_equal(
    [side for side, (kind, *_) in zip(receptive_fields(VGG16), VGG16, strict=True) if kind in ("conv", "pool")],
    seen,
    name="fields of VGG-16's convolutions and poolings",
    hint="r ← r + (k − 1)·j, then j ← j·s.",
)
print("receptive_fields: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("receptive_fields")
for _ in range(5):
    draws = torch.randint(1, 8, (5, 2), generator=fresh_generator).tolist()
    net = [("conv", 4, k, s, 2) if i % 2 else ("pool", k, s) for i, (k, s) in enumerate(draws)]
    net = [*net[:3], ("relu",), *net[3:], ("fc", 2), ("relu",)]
    checks.assert_equal(
        list(receptive_fields(net)),
        reference.receptive_fields(net),
        name=f"fields of {net}",
        hint="r ← r + (k − 1)·j with the old jump, then j ← j·s; None from a fully connected layer on.",
    )
### END HIDDEN TESTS

# %% [markdown]
# ## Part 2. The blueprint
#
# ### Exercise 4. Read a blueprint (3 points)
#
# Most nets from LeNet to VGG follow one pattern, which is often written in one line:
#
#     INPUT -> [[CONV -> RELU]*N -> POOL?]*M -> [FC -> RELU]*K -> FC
#
# Here N, M and K are whole numbers, `*N` says how many times, and `?` that the pooling may be left out. Write
# `blueprint(text)`, which reads such a line and returns the layers one after the other:
#
#     blueprint("INPUT -> [[CONV -> RELU]*2 -> POOL]*1 -> FC")
#     ["INPUT", "CONV", "RELU", "CONV", "RELU", "POOL", "FC"]
#
# Exactly, where `( … )` is for what may be left out and `{ … }` for what may come any number of times, also never:
#
#     net   = INPUT -> { stage -> } ( head -> ) FC
#     stage = [ [ CONV -> RELU ] * number ( -> POOL ) ] * number
#     head  = [ FC -> RELU ] * number
#
# There may be several stages, so that VGG-16 can be written, and at most one head; a number may be 0. Spaces mean
# nothing.
#
# Users of a language make mistakes in it, so half of its worth lies in its errors. For anything else raise a
# `ValueError` whose message holds, for **the first token that cannot stand where it stands**:
#
# - `column 19`: where it begins; the first character of the text has column 0;
# - every token that could stand there instead, as it is written: `INPUT`, `->`, `[`, `CONV`, …; `number`; and `end`
#   where the text should end;
# - of the other words of the language none but the token that was found. You may quote the whole text, but not what
#   came before: whoever reads the message takes each word in it for an offer.
#
# `tokens_of(text)` is given: a list of pairs, token and column, the last of which is `("the end", len(text))`. A
# text that stops too soon thus has an end that cannot stand where it stands.
#
# An idea: a function `take(*wanted)` inside of yours that moves on by one token and returns it, or raises the error. At
# every place of the grammar one look at the next token is enough to know how it goes on: after `[` comes `[` or `FC`.


# %% setup="tokens"
def tokens_of(text: str) -> list[tuple[str, int]]:
    """Each token of a blueprint and the column where it begins; the last is ("the end", len(text))."""
    found = [(match.group(), match.start()) for match in re.finditer(r"->|[A-Za-z]+|\d+|\S", text)]
    return [*found, ("the end", len(text))]


# %% solution="blueprint"
def blueprint(text: str) -> list[str]:
    """The layers that a blueprint describes, one after the other, from "INPUT" to the last "FC".

    Raises ValueError for the first token that cannot stand where it stands: its column, and what could stand there.
    """
    ### BEGIN SOLUTION
    tokens, layers = tokens_of(text), []

    def take(*wanted: str) -> str:
        """The next token, which must be one of those wanted; "a number" stands for any whole number."""
        token, column = tokens[0]
        if ("a number" if token.isdecimal() else token) not in wanted:
            raise ValueError(f"{text}\n{' ' * column}^ column {column}: found {token}, wanted {' or '.join(wanted)}")
        del tokens[0]
        return token

    def times(part: list[str]) -> list[str]:
        take("*")
        return part * int(take("a number"))

    layers.append(take("INPUT"))
    take("->")
    opening = ("[", "FC")
    while take(*opening) == "[":
        if take(*opening) == "FC":
            take("->")
            take("RELU")
            take("]")
            layers += times(["FC", "RELU"])
            opening = ("FC",)
        else:
            take("CONV")
            take("->")
            take("RELU")
            take("]")
            stage = times(["CONV", "RELU"])
            if take("->", "]") == "->":
                stage.append(take("POOL"))
                take("]")
            layers += times(stage)
        take("->")
    take("the end")
    return [*layers, "FC"]
    ### END SOLUTION


# %% tests="blueprint" points=1


def layers_of(text: str):
    """The layers, or the ValueError in words."""
    try:
        return blueprint(text)
    except ValueError as error:
        return [f"ValueError: {error}"]


for text, wanted, hint in (
    ("INPUT -> FC", "INPUT FC", "The shortest net: no stage and no head."),
    (
        "INPUT -> [[CONV -> RELU]*1]*1 -> FC",
        "INPUT CONV RELU FC",
        "A stage without pooling: after the inner ]*number comes ] at once.",
    ),
    (
        "INPUT -> [[CONV -> RELU]*2 -> POOL]*1 -> FC",
        "INPUT CONV RELU CONV RELU POOL FC",
        "The inner number repeats CONV and RELU, the pooling comes once after them.",
    ),
    (
        "INPUT -> [[CONV -> RELU]*1 -> POOL]*2 -> FC",
        "INPUT CONV RELU POOL CONV RELU POOL FC",
        "The outer number repeats the whole stage with its pooling.",
    ),
    (
        "INPUT -> [FC -> RELU]*2 -> FC",
        "INPUT FC RELU FC RELU FC",
        "The head may come without stages: after [ comes [ for a stage or FC for a head.",
    ),
    (
        "INPUT->[[CONV->RELU]*1->POOL]*1->[FC->RELU]*1->FC",
        "INPUT CONV RELU POOL FC RELU FC",
        "Spaces mean nothing: take the tokens of tokens_of(text).",
    ),
    (
        "INPUT -> [[CONV -> RELU]*0 -> POOL]*1 -> [FC -> RELU]*0 -> FC",
        "INPUT POOL FC",
        "A number may be 0: then its part is left out.",
    ),
    (
        "INPUT -> [[CONV -> RELU]*10]*1 -> FC",
        "INPUT" + " CONV RELU" * 10 + " FC",
        "A number may have several digits.",
    ),
):
    answer = layers_of(text)
    checks.assert_true(
        isinstance(answer, list | tuple),
        f"blueprint: found {answer!r}, wanted a list of strings.",
        hint="Return the layers one after the other in a list.",
    )
    checks.assert_equal(" ".join(map(str, answer)), wanted, name=f"layers of {text}", hint=hint)
vgg = "INPUT -> [[CONV -> RELU]*2 -> POOL]*2 -> [[CONV -> RELU]*3 -> POOL]*3 -> [FC -> RELU]*2 -> FC"
checks.assert_equal(
    list(layers_of(vgg)),
    ["INPUT", *({"conv": "CONV", "pool": "POOL", "relu": "RELU", "fc": "FC"}[kind] for kind, *_ in VGG16)],
    name="layers of VGG-16",
    hint="Several stages may follow each other: after a stage comes -> and then a stage, a head or the last FC.",
)
print("blueprint: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("blueprint")
for _ in range(10):
    n = torch.randint(0, 4, (6,), generator=fresh_generator).tolist()
    text = f"INPUT -> [[CONV -> RELU]*{n[0]} -> POOL]*{n[1]} -> [[CONV -> RELU]*{n[2]}]*{n[3]}"
    text += f" -> [FC->RELU]*{n[4]}->FC" if n[5] else "->FC"
    checks.assert_equal(
        list(layers_of(text)),
        reference.blueprint(text),
        name=f"layers of {text}",
        hint="Repeat the inner part, then add the pooling, then repeat the stage.",
    )
### END HIDDEN TESTS

# %% tests="blueprint:errors" points=2


def complaint(text: str) -> str:
    """The message of the ValueError."""
    try:
        return f"no error, but {blueprint(text)}"
    except ValueError as error:
        return str(error)
    except NotImplementedError:
        raise
    except Exception as error:
        return f"another error, {type(error).__name__}: {error}"


errors = [  # text, column, what could stand there
    ("INPUT -> [[CONV -> POOL]*2]*3 -> FC", 19, "RELU"),
    ("CONV -> FC", 0, "INPUT"),
    ("", 0, "INPUT"),
    ("INPUT [[CONV -> RELU]*2]*3 -> FC", 6, "->"),
    ("INPUT -> CONV -> FC", 9, "[ FC"),
    ("INPUT -> [CONV -> RELU]*2 -> FC", 10, "[ FC"),
    ("INPUT -> [[POOL -> RELU]*2]*3 -> FC", 11, "CONV"),
    ("INPUT -> [[CONV RELU]*2]*3 -> FC", 16, "->"),
    ("INPUT -> [[CONV -> RELU*2]*3 -> FC", 23, "]"),
    ("INPUT -> [[CONV -> RELU]2]*3 -> FC", 24, "*"),
    ("INPUT -> [[CONV -> RELU]*N]*3 -> FC", 25, "number"),
    ("INPUT -> [[CONV -> RELU]*-1]*3 -> FC", 25, "number"),
    ("INPUT -> [[CONV -> RELU]*2 POOL]*3 -> FC", 27, "-> ]"),
    ("INPUT -> [[CONV -> RELU]*2 -> CONV]*3 -> FC", 30, "POOL"),
    ("INPUT -> [[CONV -> RELU]*2 -> POOL -> POOL]*3 -> FC", 35, "]"),
    ("INPUT -> [[CONV -> RELU]*2 -> POOL?]*3 -> FC", 34, "]"),
    ("INPUT -> [[CONV -> RELU]*2 -> POOL] -> FC", 36, "*"),
    ("INPUT -> [[CONV -> RELU]*2 -> POOL]*M -> FC", 36, "number"),
    ("INPUT -> [[CONV -> RELU]*2 -> POOL]*3 FC", 38, "->"),
    ("INPUT -> [[CONV -> RELU]*2 -> POOL]*3 -> POOL -> FC", 41, "[ FC"),
    ("INPUT -> [FC RELU]*2 -> FC", 13, "->"),
    ("INPUT -> [FC -> POOL]*2 -> FC", 16, "RELU"),
    ("INPUT -> [FC -> RELU*2 -> FC", 20, "]"),
    ("INPUT -> [FC -> RELU] -> FC", 22, "*"),
    ("INPUT -> [FC -> RELU]*K -> FC", 22, "number"),
    ("INPUT -> [FC -> RELU]*1 FC", 24, "->"),
    ("INPUT -> [FC -> RELU]*1 -> [FC -> RELU]*1 -> FC", 27, "FC"),
    ("INPUT -> [FC -> RELU]*1 -> [[CONV -> RELU]*1]*1 -> FC", 27, "FC"),
    ("INPUT -> FC -> FC", 12, "end"),
    ("INPUT -> [[CONV -> RELU]*2 -> POOL]*3 ->", 40, "[ FC"),
    ("INPUT -> [[CONV -> RELU]*2 -> POOL]*3", 37, "->"),
    ("INPUT -> [FC -> RELU]*2 ->", 26, "FC"),
    ("input -> FC", 0, "INPUT"),
]
for text, column, could in errors:
    wrong = dict((place, token) for token, place in tokens_of(text))[column]
    found = complaint(text)
    checks.assert_true(
        not found.startswith("no error, but"),
        f"The blueprint {text!r} is accepted: {found[14:]}.",
        hint=f"`{wrong}` cannot stand at column {column}: raise ValueError. After a head only the last FC may come, "
        "and then the text ends.",
    )
    checks.assert_true(
        not found.startswith("another error"),
        f"The blueprint {text!r} gives {found}.",
        hint="Raise a ValueError: that is what the caller wants to catch. The token `the end` closes every text.",
    )
    checks.assert_true(
        re.search(rf"column {column}\b", found) is not None,
        f"The blueprint {text!r} is wrong at column {column}, at `{wrong}`. Your message: {found!r}",
        hint="Point at the first token that cannot stand where it stands: `column` and the number that tokens_of gives "
        "with it.",
    )
    said = found.replace(text, "")
    for token in could.split():
        checks.assert_true(
            token in said,
            f"The message about {text!r} does not say that `{token}` could stand at column {column}: {found!r}",
            hint="Say every token that could stand there, as it is written.",
        )
    for token in {"INPUT", "CONV", "POOL", "RELU", "number"} - {*could.split(), wrong}:
        checks.assert_true(
            token not in said,
            f"The message about {text!r} offers `{token}`, which cannot stand at column {column} either: {found!r}",
            hint="Offer only what the grammar allows at this place, and name no other token but the one found.",
        )
print("blueprint:errors: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("blueprint")
whole = "INPUT -> [[CONV -> RELU]*2 -> POOL]*3 -> [[CONV -> RELU]*1]*12 -> [FC -> RELU]*2 -> FC"
parts = tokens_of(whole)[:-1]
for _ in range(20):
    place = int(torch.randint(len(parts), (), generator=fresh_generator))
    stranger = ("BATCHNORM", "+", ")", "Conv")[int(torch.randint(4, (), generator=fresh_generator))]
    column = parts[place][1] + 1
    text = f"{whole[: column - 1]} {stranger} {whole[column - 1 :]}"
    found = complaint(text)
    checks.assert_true(
        not found.startswith(("no error, but", "another error"))
        and re.search(rf"column {column}\b", found) is not None,
        f"The blueprint {text!r} is wrong at column {column}, at `{stranger}`. Found {found!r}",
        hint="Whatever cannot stand where it stands is a ValueError, at its own column.",
    )
### END HIDDEN TESTS

# %% [markdown]
# ## Part 3. Cheaper convolutions
#
# ### Exercise 5. Depthwise separable (2 points)
#
# A convolution of $k \times k$ from $f_i$ to $f_o$ channels mixes places and channels at once. A **depthwise
# separable** one does it in two steps: one $k \times k$ filter for each channel (depthwise), and then a $1 \times 1$
# convolution that mixes the channels at each place (pointwise). Weights, without biases:
#
# $$\text{full} = k^2 f_i f_o, \qquad \text{separable} = k^2 f_i + f_i f_o.$$
#
# In words: a product became a sum. A number: 3×3 from 128 to 256 channels has 294,912 weights in full and
# $1{,}152 + 32{,}768 = 33{,}920$ as two steps. It does **not** always save: 1×1 has 32,768 weights in full, and
# $128 + 32{,}768 = 32{,}896$ as two steps, of which the first does nothing useful. Write
#
# - `separable_weights(fi, fo, k)`: both counts, first the full one;
# - `separable_saves(fo, k)`: is the separable one smaller? Whether it is does not depend on $f_i$: divide by it.
#
# And what is given up for that? Both steps together are one full convolution, but a special one: its kernel from
# channel $c$ to channel $o$ is
#
# $$W_{oc} = p_{oc} \, D_c,$$
#
# the same $k \times k$ picture $D_c$ for every $o$, only scaled by $p_{oc}$. Write
#
# - `full_kernel(depthwise, pointwise)`: that kernel.
#
# | name | shape | what |
# |---|---|---|
# | `depthwise` | (fi, k, k) | a filter for each input channel, $D$ |
# | `pointwise` | (fo, fi) | the mixture, $p$ |
# | result | (fo, fi, k, k) | weights of the full convolution, $W$ |


# %% solution="separable"
def separable_weights(fi: int, fo: int, k: int) -> tuple[int, int]:
    """Weights of a k×k convolution from fi to fo channels: in full, and as depthwise and pointwise steps."""
    ### BEGIN SOLUTION
    return k * k * fi * fo, k * k * fi + fi * fo
    ### END SOLUTION


def separable_saves(fo: int, k: int) -> bool:
    """Has the separable convolution of k×k to fo channels fewer weights than the full one?"""
    ### BEGIN SOLUTION
    return k > 1 and fo > 1  # k² + fo < k²·fo is (k² − 1)(fo − 1) > 1
    ### END SOLUTION


def full_kernel(depthwise: Tensor, pointwise: Tensor) -> Tensor:
    """The kernel of the full convolution that equals the two steps.

    depthwise: (fi, k, k).   pointwise: (fo, fi).   Returns (fo, fi, k, k).
    """
    ### BEGIN SOLUTION
    return pointwise[:, :, None, None] * depthwise
    ### END SOLUTION


# %% tests="separable" points=1
for function in ("separable_weights", "separable_saves"):
    checks.assert_by_hand(function, without=COUNTING, hint="Two products and a sum; nothing needs to be built.")
answer = separable_weights(128, 256, 3)
checks.assert_true(
    isinstance(answer, list | tuple) and len(answer) == 2,
    f"separable_weights: found {answer!r}, wanted two numbers.",
    hint="Return the full count and the separable one.",
)
checks.assert_equal(
    answer[0],
    294_912,
    name="weights of a full 3×3 convolution from 128 to 256 channels",
    hint="k² weights for each pair of an input and an output channel, no biases. The full count comes first.",
)
checks.assert_equal(
    answer[1],
    33_920,
    name="weights of a separable 3×3 convolution from 128 to 256 channels",
    hint="The depthwise step has one k×k filter for each of the fi channels, 1,152; the pointwise one has a weight for "
    "each **pair** of channels, fi·fo = 32,768, and it is 1×1 whatever k.",
)
checks.assert_equal(
    list(separable_weights(128, 256, 1)),
    [32_768, 32_896],
    name="weights of 1×1, full and separable",
    hint="The depthwise step of 1×1 has a weight for each channel too: 128 + 32,768.",
)
for fo, k, wanted in ((256, 3, True), (256, 1, False), (1, 3, False), (2, 2, True), (1, 1, False), (2, 5, True)):
    answer = separable_saves(fo, k)
    checks.assert_true(
        isinstance(answer, bool) and answer == wanted,
        f"separable_saves of {k}×{k} to {fo} channels: found {answer!r}, wanted {wanted}.",
        hint="True or False: k² + fo < k²·fo, both sides divided by fi. 1×1 never saves, nor does one output channel.",
    )
print("separable: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("separable")
for _ in range(10):
    fi, fo = torch.randint(1, 300, (2,), generator=fresh_generator).tolist()
    k = int(torch.randint(1, 8, (), generator=fresh_generator))
    checks.assert_equal(
        list(separable_weights(fi, fo, k)),
        list(reference.separable_weights(fi, fo, k)),
        name=f"weights of {k}×{k} from {fi} to {fo}, full and separable",
        hint="k²·fi·fo and k²·fi + fi·fo.",
    )
    checks.assert_equal(
        separable_saves(fo, k),
        reference.separable_saves(fo, k),
        name=f"does {k}×{k} to {fo} channels save",
        hint="k² + fo < k²·fo.",
    )
### END HIDDEN TESTS

# %% tests="separable:kernel" points=1
generator = torch.Generator().manual_seed(1)
for fi, fo, k in ((3, 5, 3), (2, 2, 2), (4, 1, 5)):
    depthwise, pointwise = drawn(generator, fi, k, k), drawn(generator, fo, fi)
    kernel = full_kernel(depthwise, pointwise)
    checks.assert_shape(
        kernel,
        (fo, fi, k, k),
        name=f"kernel from {fi} to {fo} channels",
        hint="A k×k picture for every pair: first the output channel, then the input channel.",
    )
    x = drawn(generator, 2, fi, 8, 7)
    steps = F.conv2d(F.conv2d(x, depthwise[:, None], groups=fi), pointwise[:, :, None, None])
    checks.assert_close(
        F.conv2d(x, kernel),
        steps,
        rtol=1e-3,
        atol=1e-4,
        name=f"the full convolution from {fi} to {fo} channels, against the two steps",
        hint="The picture of input channel c, scaled by pointwise[o, c]: W[o, c] = pointwise[o, c]·depthwise[c].",
    )
print("separable:kernel: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("separable")
fresh_depthwise, fresh_pointwise = drawn(fresh_generator, 4, 4, 4).double(), drawn(fresh_generator, 4, 4).double()
checks.assert_close(
    full_kernel(fresh_depthwise, fresh_pointwise),
    reference.full_kernel(fresh_depthwise, fresh_pointwise),
    name="another kernel, in float64",
    hint="W[o, c] = pointwise[o, c]·depthwise[c], in the dtype of the arguments.",
)
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 6. A stage of VGG (2 points)
#
# VGG asked: why 7×7? Three 3×3 convolutions in a row see $7 \times 7$ pixels too. In general $n$ of them see a square
# of side $2n + 1$. With $C$ channels in and out everywhere, and without biases, the row has $9 n C^2$ weights, one
# layer of the same field $(2n + 1)^2 C^2$. In words: the row grows with its length, the single layer with the area; and
# the row has a ReLU after every layer. A number: $n = 3$ has 27 against 49 weights for every pair of channels.
#
# Write `stack_or_single(channels, n)`: the side of the field, the weights of the row, the weights of the single layer.
#
# And write `vgg_stage(in_channels, out_channels, n)`: an `nn.Sequential` of $n$ times a 3×3 convolution that keeps the
# sides (with bias) and a ReLU, and at last maximum pooling of 2×2 that halves them. The first convolution changes the
# number of channels, the others keep it.


# %% solution="vgg_stage"
def stack_or_single(channels: int, n: int) -> tuple[int, int, int]:
    """For n 3×3 convolutions in a row: the side of what they see, their weights, the weights of one such layer."""
    ### BEGIN SOLUTION
    side = 2 * n + 1
    return side, 9 * n * channels**2, side**2 * channels**2
    ### END SOLUTION


def vgg_stage(in_channels: int, out_channels: int, n: int) -> nn.Sequential:
    """n times 3×3 convolution and ReLU, then pooling: (N, in_channels, H, W) to (N, out_channels, H/2, W/2)."""
    ### BEGIN SOLUTION
    layers = []
    for place in range(n):
        layers.append(nn.Conv2d(out_channels if place else in_channels, out_channels, 3, padding=1))
        layers.append(nn.ReLU())
    return nn.Sequential(*layers, nn.MaxPool2d(2))
    ### END SOLUTION


# %% tests="vgg_stage" points=1
checks.assert_by_hand("stack_or_single", without=COUNTING, hint="Three formulas; nothing needs to be built.")
answer = stack_or_single(1, 3)
checks.assert_true(
    isinstance(answer, list | tuple) and len(answer) == 3,
    f"stack_or_single: found {answer!r}, wanted three numbers.",
    hint="Return the side, the weights of the row and those of the single layer.",
)
for place, wanted, name, hint in (
    (0, 7, "side of what three 3×3 see", "Each 3×3 reaches one pixel further on both sides: 2n + 1."),
    (1, 27, "weights of three 3×3 between one channel", "n layers of 9·C² weights."),
    (2, 49, "weights of one 7×7 between one channel", "The square of the side, times C²."),
):
    checks.assert_equal(answer[place], wanted, name=name, hint=hint)
checks.assert_equal(
    list(stack_or_single(64, 2)),
    [5, 73_728, 102_400],
    name="two 3×3 with 64 channels against one 5×5",
    hint="A weight for every pair of channels: times C², 64·64. The side has nothing to do with the channels.",
)
print("vgg_stage: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("vgg_stage")
for _ in range(8):
    channels, n = torch.randint(2, 40, (2,), generator=fresh_generator).tolist()
    checks.assert_equal(
        list(stack_or_single(channels, n)),
        list(reference.stack_or_single(channels, n)),
        name=f"{n} times 3×3 with {channels} channels",
        hint="2n + 1, 9·n·C² and (2n + 1)²·C².",
    )
### END HIDDEN TESTS

# %% tests="vgg_stage:module" points=1
checks.assert_by_hand("vgg_stage", without=READY, hint="Put the layers into the Sequential yourself.")
for in_channels, out_channels, n in ((3, 8, 1), (4, 6, 3), (5, 5, 2)):
    name = f"stage of {n} convolutions from {in_channels} to {out_channels} channels"
    stage = vgg_stage(in_channels, out_channels, n)
    checks.assert_true(
        stage is not None,
        f"{name}: found None, wanted an nn.Sequential.",
        hint="End with: return nn.Sequential(*layers).",
    )
    stage = stage.to(here)
    wanted = [
        shape
        for place in range(n)
        for shape in ((out_channels, out_channels if place else in_channels, 3, 3), (out_channels,))
    ]
    checks.assert_equal(
        [tuple(p.shape) for p in stage.parameters()],
        wanted,
        name=f"shapes of the weights and biases of a {name}",
        hint="n convolutions of 3×3, each with a bias; the first changes the channels, the others go from out to out.",
    )
    state = random_state(shapes_of(stage), torch.Generator().manual_seed(n))
    stage.load_state_dict(state)
    y = drawn(torch.Generator().manual_seed(2), 2, in_channels, 8, 12)
    weights = list(state.values())
    checks.assert_shape(
        stage(y),
        (2, out_channels, 4, 6),
        name=f"output of a {name}",
        hint="Padding 1 keeps the sides through every convolution; one pooling of 2×2 halves them at the end.",
    )
    found = stage(y)
    for place in range(n):
        y = F.conv2d(y, weights[2 * place], weights[2 * place + 1], padding=1).relu()
    checks.assert_close(
        found,
        F.max_pool2d(y, 2),
        rtol=1e-3,
        atol=1e-4,
        name=f"output of a {name}",
        hint="A ReLU after **every** convolution, also the last, and then the maximum (not the mean) of 2×2.",
    )
print("vgg_stage:module: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("vgg_stage")
stage, expected = vgg_stage(3, 7, 4).to(here), reference.vgg_stage(3, 7, 4).to(here)
fresh_state = random_state(shapes_of(expected), fresh_generator)
names = list(shapes_of(stage))
stage.load_state_dict(dict(zip(names, fresh_state.values(), strict=True)))
expected.load_state_dict(fresh_state)
fresh_x = drawn(fresh_generator, 3, 3, 6, 4)
checks.assert_close(
    stage(fresh_x),
    expected(fresh_x),
    rtol=1e-3,
    atol=1e-4,
    name="output of another stage",
    hint="Convolution and ReLU four times, then pooling.",
)
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 7. Inception (3 points)
#
# GoogLeNet's module does not choose a kernel size: it computes 1×1, 3×3 and 5×5 convolutions and a 3×3 maximum pooling
# (stride 1, padding 1: the sides stay) next to each other, and puts their channels one after the other. Done naively
# that **grows**: the pooling keeps all channels that come in, so that what comes out is always more than what came in,
# and the 5×5 convolutions pay for it in the next module. The cure is a **bottleneck**: a 1×1 convolution to fewer
# channels, before the 3×3 and the 5×5, and after the pooling.
#
# The sizes of a module are six numbers, a row of table 1 in the paper:
# $(n_1, r_3, n_3, r_5, n_5, p)$: 1×1, reduce 3×3, 3×3, reduce 5×5, 5×5, pool projection. With $C$ channels that come
# in,
#
# | | naive | reduced |
# |---|---|---|
# | channels out | $n_1 + n_3 + n_5 + C$ | $n_1 + n_3 + n_5 + p$ |
# | layers | $C \to n_1$, $C \to n_3$, $C \to n_5$ | $C \to n_1$, $C \to r_3 \to n_3$, $C \to r_5 \to n_5$, $C \to p$ |
#
# and every convolution has a bias. A number: module 3a has $C = 192$ and the sizes (64, 96, 128, 16, 32, 32). Naive it
# has 416 channels and 387,296 parameters, reduced 256 and 163,696.
#
# Write `inception_counts`, and the reduced module, with **these names** for its six layers of type `nn.Conv2d`:
# `one`, `reduce3`, `three`, `reduce5`, `five`, `project`. A ReLU follows each of the six. The channels come in the
# order 1×1, 3×3, 5×5, pooling.


# %% solution="inception"
def inception_counts(channels: int, sizes: tuple[int, ...], reduced: bool) -> tuple[int, int]:
    """Channels that come out of an inception module, and its parameters.

    channels: that come in.   sizes: (n1, r3, n3, r5, n5, p).   reduced: with bottlenecks, else naive.
    """
    ### BEGIN SOLUTION
    n1, r3, n3, r5, n5, p = sizes
    layers = [(channels, n1, 1), (channels, n3, 3), (channels, n5, 5)]  # from, to, kernel
    if reduced:
        layers = [(channels, n1, 1), (channels, r3, 1), (r3, n3, 3), (channels, r5, 1), (r5, n5, 5), (channels, p, 1)]
    out = n1 + n3 + n5 + (p if reduced else channels)
    return out, sum(to * (come * kernel**2 + 1) for come, to, kernel in layers)
    ### END SOLUTION


class Inception(nn.Module):
    """The reduced module: (N, channels, H, W) to (N, n1 + n3 + n5 + p, H, W)."""

    def __init__(self, channels: int, sizes: tuple[int, ...]):
        super().__init__()
        ### BEGIN SOLUTION
        n1, r3, n3, r5, n5, p = sizes
        self.one = nn.Conv2d(channels, n1, 1)
        self.reduce3, self.three = nn.Conv2d(channels, r3, 1), nn.Conv2d(r3, n3, 3, padding=1)
        self.reduce5, self.five = nn.Conv2d(channels, r5, 1), nn.Conv2d(r5, n5, 5, padding=2)
        self.project = nn.Conv2d(channels, p, 1)
        ### END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        ### BEGIN SOLUTION
        three = self.three(self.reduce3(x).relu())  # (N, n3, H, W)
        five = self.five(self.reduce5(x).relu())  # (N, n5, H, W)
        pooled = self.project(F.max_pool2d(x, 3, 1, padding=1))  # (N, p, H, W)
        return torch.cat([self.one(x), three, five, pooled], dim=1).relu()
        ### END SOLUTION


# %% tests="inception" points=1
checks.assert_by_hand("inception_counts", without=COUNTING, hint="Count layer by layer; nothing needs to be built.")
sizes_3a = (64, 96, 128, 16, 32, 32)
answer = inception_counts(192, sizes_3a, False)
checks.assert_true(
    isinstance(answer, list | tuple) and len(answer) == 2,
    f"inception_counts: found {answer!r}, wanted channels and parameters.",
    hint="End with: return channels, parameters.",
)
for reduced, channels, parameter_count, hint_channels, hint_parameters in (
    (
        False,
        416,
        387_296,
        "Pooling keeps the channels that come in: n1 + n3 + n5 + C.",
        "Three layers, all from C channels, of 1×1, 3×3 and 5×5, each with a bias. The pooling has none.",
    ),
    (
        True,
        256,
        163_696,
        "The pooling's channels are projected to p: n1 + n3 + n5 + p. What the reductions give goes no further.",
        "Six layers, each with a bias: three reductions 1×1 from C, one 1×1 from C, 3×3 from r3 and 5×5 from r5.",
    ),
):
    answer, name = inception_counts(192, sizes_3a, reduced), f"{'reduced' if reduced else 'naive'} module 3a"
    checks.assert_equal(answer[0], channels, name=f"channels of the {name}", hint=hint_channels)
    checks.assert_equal(answer[1], parameter_count, name=f"parameters of the {name}", hint=hint_parameters)
print("inception: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("inception")
for _ in range(5):
    fresh_channels, *fresh_sizes = torch.randint(1, 200, (7,), generator=fresh_generator).tolist()
    for reduced in (False, True):
        checks.assert_equal(
            list(inception_counts(fresh_channels, tuple(fresh_sizes), reduced)),
            list(reference.inception_counts(fresh_channels, tuple(fresh_sizes), reduced)),
            name=f"channels and parameters for {fresh_channels} channels, {fresh_sizes}, reduced={reduced}",
            hint="out·(in·k² + 1) for each layer of the table.",
        )
### END HIDDEN TESTS

# %% tests="inception:module" points=2
checks.assert_by_hand("Inception", without=READY, hint="Make the six layers in __init__ and join them in forward.")
ready_names = {
    "one": "one.0",
    "reduce3": "three.0.0",
    "three": "three.1.0",
    "reduce5": "five.0.0",
    "five": "five.1.0",
    "project": "pool.1.0",
}
for channels, sizes in ((5, (3, 2, 4, 1, 6, 7)), (4, (1, 4, 2, 5, 3, 2))):
    n1, r3, n3, r5, n5, p = sizes
    layer = Inception(channels, sizes).to(here)
    weights = {
        "one": (n1, channels, 1, 1),
        "reduce3": (r3, channels, 1, 1),
        "three": (n3, r3, 3, 3),
        "reduce5": (r5, channels, 1, 1),
        "five": (n5, r5, 5, 5),
        "project": (p, channels, 1, 1),
    }
    found = shapes_of(layer)
    checks.assert_equal(
        sorted(found),
        sorted(f"{name}.{part}" for name in weights for part in ("weight", "bias")),
        name="names of the module's weights",
        hint="Six layers nn.Conv2d with bias: self.one, reduce3, three, reduce5, five and project.",
    )
    for name, shape in weights.items():
        checks.assert_equal(
            list(found[f"{name}.weight"]),
            list(shape),
            name=f"shape of {name}.weight for the sizes {sizes}",
            hint="(out, in, k, k): the reductions and the projection are 1×1 from the channels that come in; 3×3 gets "
            "what reduce3 gives, 5×5 what reduce5 gives.",
        )
    state = random_state(found, torch.Generator().manual_seed(channels))
    ready = ReadyInception(channels, sizes).to(here)
    ready.load_state_dict(renamed(state, ready_names))
    layer.load_state_dict(state)
    x = drawn(torch.Generator().manual_seed(1), 2, channels, 7, 6) - 0.5
    sides_stay = (
        "The sides stay: padding 1 for 3×3 and pooling, 2 for 5×5, stride 1, for the pooling as well (its default is "
        "another). The channels are put one after the other along dim=1."
    )
    answer = attempt(sides_stay, layer, x)
    checks.assert_shape(answer, (2, n1 + n3 + n5 + p, 7, 6), name=f"output for the sizes {sizes}", hint=sides_stay)
    edges = list(itertools.accumulate((0, n1, n3, n5, p)))
    for (start, end), branch, hint in zip(
        itertools.pairwise(edges),
        ("1×1", "3×3", "5×5", "pooling"),
        (
            "The 1×1 convolution comes first, straight from x, with a ReLU.",
            "reduce3, ReLU, three, ReLU: a ReLU follows the reduction as well. It comes second.",
            "reduce5, ReLU, five, ReLU: a ReLU follows the reduction as well. It comes third.",
            "The maximum of 3×3 with stride 1 and padding 1, **then** the projection, ReLU. It comes last.",
        ),
        strict=True,
    ):
        checks.assert_close(
            answer[:, start:end],
            ready(x)[:, start:end],
            rtol=1e-3,
            atol=1e-4,
            name=f"channels of the {branch} branch, for the sizes {sizes}",
            hint=hint,
        )
print("inception:module: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("inception")
fresh_channels, *fresh_sizes = torch.randint(1, 9, (7,), generator=fresh_generator).tolist()
layer = Inception(fresh_channels, tuple(fresh_sizes)).to(here)
expected = reference.Inception(fresh_channels, tuple(fresh_sizes)).to(here)
fresh_state = random_state(shapes_of(expected), fresh_generator)
layer.load_state_dict(fresh_state)
expected.load_state_dict(fresh_state)
fresh_x = drawn(fresh_generator, 3, fresh_channels, 5, 9)
checks.assert_close(
    layer(fresh_x),
    expected(fresh_x),
    rtol=1e-3,
    atol=1e-4,
    name=f"output of a module with the sizes {fresh_sizes}",
    hint="Four branches, each with its ReLUs, side by side along the channels.",
)
### END HIDDEN TESTS

# %% explore="why_the_naive_one_grows"
# explore: all nine modules of GoogLeNet in a row, with bottlenecks and naively. Watch the channels
from unmagic.zoo.googlenet import TABLE

naive = reduced = 192
for place, sizes in TABLE.items():
    (naive, naive_weights), (reduced, weights) = (
        inception_counts(c, sizes, kind) for c, kind in ((naive, False), (reduced, True))
    )
    print(f"{place}: naive {naive:5d} channels {naive_weights:10,} parameters; reduced {reduced:4d}, {weights:9,}")

# %% [markdown]
# ### Exercise 8. Groups (2 points)
#
# AlexNet did not fit on one GPU of 2012, so half of its filters saw half of the channels. That is a convolution in two
# **groups**. With $g$ groups, the channels that come in are cut into $g$ parts, one after the other, and so are the
# filters; part $i$ of the filters sees part $i$ of the channels, and the outputs are put one after the other again:
#
# $$\mathrm{net}^{(i)} = w^{(i)} * x^{(i)}, \qquad i = 0 \dots g - 1.$$
#
# In words: $g$ convolutions side by side that know nothing of each other. The weights have the shape
# (out, in/g, k, k): $g$ times fewer, and as many fewer multiply–adds. A number: 3×3 from 256 to 256 channels has
# 589,824 weights, in 32 groups (ResNeXt) 18,432, in 256 groups (depthwise) 2,304.
#
# - `grouped_conv2d`: by splitting and putting together. Its first argument is a convolution without groups, to be
#   called as `conv(x, w, padding)`; no other may be used.
# - `block_kernel`: the weights of **one** full convolution that does the same: (out, in, k, k), zero wherever a filter
#   and a channel are of different groups.
# - `grouped_conv2d` raises a `ValueError` where sizes do not fit, and says both numbers: the channels, or the filters,
#   and the groups, where they cannot be cut into equal parts; the channels of `x` and those that the weights are made
#   for, $g$ times what one filter sees, where these differ.
#
# | name | shape | what |
# |---|---|---|
# | `conv` | | function, a convolution without groups |
# | `x` | (N, C, H, W) | pictures |
# | `w` | (K, C/g, k, k) | weights, no biases |
# | result of `grouped_conv2d` | (N, K, H′, W′) | |
# | result of `block_kernel` | (K, C, k, k) | |


# %% setup="convolve"
def convolve(x: Tensor, w: Tensor, padding: int = 0) -> Tensor:
    """A convolution with stride 1, without biases or groups. x: (N, C, H, W).   w: (K, C, k, k)."""
    return F.conv2d(x, w, padding=padding)


# %% solution="groups"
def grouped_conv2d(conv, x: Tensor, w: Tensor, groups: int, padding: int = 0) -> Tensor:
    """A convolution in groups, by convolutions without.

    conv: conv(x, w, padding), without groups.   x: (N, C, H, W).   w: (K, C/groups, k, k).
    Returns (N, K, H′, W′).   Raises ValueError where sizes do not fit.
    """
    ### BEGIN SOLUTION
    for count, of in ((x.shape[1], "channels"), (w.shape[0], "filters")):
        if count % groups:
            raise ValueError(f"{count} {of} cannot be cut into {groups} groups of equal size")
    if x.shape[1] != w.shape[1] * groups:
        raise ValueError(f"found {x.shape[1]} channels; the weights are for {w.shape[1] * groups}")
    parts, filters = x.chunk(groups, dim=1), w.chunk(groups)
    return torch.cat([conv(parts[i], filters[i], padding) for i in range(groups)], dim=1)
    ### END SOLUTION


def block_kernel(w: Tensor, groups: int) -> Tensor:
    """The full convolution's weights that do what the grouped ones do.

    w: (K, C/groups, k, k).   Returns (K, C, k, k), zero between groups.
    """
    ### BEGIN SOLUTION
    out, come, *sides = w.shape
    full = w.new_zeros(out, come * groups, *sides)
    for i, filters in enumerate(w.chunk(groups)):
        rows = slice(i * len(filters), (i + 1) * len(filters))
        full[rows, i * come : (i + 1) * come] = filters
    return full
    ### END SOLUTION


# %% tests="groups" points=1
checks.assert_by_hand(
    "grouped_conv2d",
    without=CONVOLUTION,
    hint="Cut x along its channels and w along its filters, convolve each pair of parts with conv, and join.",
)
generator = torch.Generator().manual_seed(1)
for channels, filters, groups, k, padding in ((4, 6, 2, 3, 1), (6, 6, 3, 1, 0), (4, 8, 4, 3, 2), (3, 2, 1, 2, 0)):
    x, w = drawn(generator, 2, channels, 6, 5), drawn(generator, filters, channels // groups, k, k)
    kept = x.clone(), w.clone()
    name = f"{channels} channels, {filters} filters, {groups} groups, padding {padding}"
    answer = attempt(
        "Part i of the channels of x, C/g of them, meets part i of the filters, K/g of them; what the parts give is "
        "joined along dim=1.",
        *(grouped_conv2d, convolve, x, w, groups, padding),
    )
    wanted = F.conv2d(x, w, padding=padding, groups=groups)
    checks.assert_shape(
        answer,
        wanted.shape,
        name=name,
        hint="One output channel for each filter, joined along dim=1; pass the padding on.",
    )
    checks.assert_close(
        answer,
        wanted,
        rtol=1e-3,
        atol=1e-4,
        name=name,
        hint="Neighbouring channels form a group: the first C/g channels meet the first K/g filters, and so on, in "
        "this order.",
    )
    checks.assert_close((x, w), kept, rtol=0, atol=0, name="arguments", hint="x and w stay as they were.")
for channels, shape, groups, number in ((5, (4, 2, 3, 3), 2, 5), (4, (5, 2, 3, 3), 2, 5), (6, (4, 2, 3, 3), 2, 6)):
    checks.assert_raises(
        ValueError,
        grouped_conv2d,
        convolve,
        drawn(generator, 1, channels, 5, 5),
        drawn(generator, *shape),
        groups,
        match=rf"\b{number}\b",
        hint=f"{channels} channels, {shape[0]} filters of {shape[1]} channels and {groups} groups do not fit: raise "
        "ValueError and say both numbers.",
    )
checks.assert_raises(
    ValueError,
    grouped_conv2d,
    convolve,
    drawn(generator, 1, 6, 5, 5),
    drawn(generator, 4, 2, 3, 3),
    2,
    match=r"\b4\b",
    hint="Two groups of filters that see 2 channels each are made for 2·2 = 4 channels, and x has 6: say 4 and 6.",
)
print("groups: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("groups")
for _ in range(4):
    a, b, fresh_groups, k = torch.randint(1, 4, (4,), generator=fresh_generator).tolist()
    fresh_x = drawn(fresh_generator, 2, a * fresh_groups, 5, 6).double()
    fresh_w = drawn(fresh_generator, b * fresh_groups, a, k, k).double()
    checks.assert_close(
        grouped_conv2d(convolve, fresh_x, fresh_w, fresh_groups),
        reference.grouped_conv2d(convolve, fresh_x, fresh_w, fresh_groups),
        name=f"{fresh_groups} groups of {a} channels and {b} filters, in float64",
        hint="Part i of the filters sees part i of the channels.",
    )
### END HIDDEN TESTS

# %% tests="groups:block_kernel" points=1
checks.assert_by_hand("block_kernel", without=CONVOLUTION, hint="Put each group's weights at its place among zeros.")
checks.assert_dtype(
    block_kernel(torch.ones(2, 1, 1, 1, dtype=torch.float64, device=here), 2),
    torch.float64,
    name="kernel of weights in float64",
    hint="The zeros between the blocks have the dtype of w: w.new_zeros, or dtype=w.dtype.",
)
generator = torch.Generator().manual_seed(2)
for channels, filters, groups, k in ((4, 6, 2, 3), (6, 3, 3, 1), (2, 4, 1, 2), (4, 4, 4, 3)):
    x, w = drawn(generator, 2, channels, 6, 5), drawn(generator, filters, channels // groups, k, k)
    name = f"kernel of {filters} filters on {channels} channels in {groups} groups"
    kernel = block_kernel(w, groups)
    checks.assert_shape(
        kernel,
        (filters, channels, k, k),
        name=name,
        hint="A full convolution's weights see every channel: (K, C, k, k) with C = g·(C/g).",
    )
    checks.assert_equal(
        int((kernel != 0).sum()),
        w.numel(),
        name=f"weights other than 0 in the {name}",
        hint="As many as the grouped convolution has; all others are between groups, and 0.",
    )
    checks.assert_close(
        F.conv2d(x, kernel),
        F.conv2d(x, w, groups=groups),
        rtol=1e-3,
        atol=1e-4,
        name=f"a full convolution with the {name}",
        hint="Blocks along the diagonal: filters of group i, channels of group i.",
    )
print("groups:block_kernel: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("groups")
fresh_w = drawn(fresh_generator, 6, 2, 3, 3).double()
for fresh_groups in (1, 2, 3, 6):
    checks.assert_close(
        block_kernel(fresh_w, fresh_groups),
        reference.block_kernel(fresh_w, fresh_groups),
        name=f"kernel of {fresh_groups} groups, in float64",
        hint="Blocks along the diagonal, zeros elsewhere, in the dtype of w.",
    )
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 9. Weights of one bit (3 points)
#
# How little is enough for a weight? One bit, if each filter may keep one number more. A filter $W$ of $n$ weights is
# replaced by
#
# $$\tilde W_j = \alpha\, s_j, \qquad s_j = \mathrm{sign}(W_j) \in \{-1, +1\}, \qquad
# \alpha = \frac{1}{n} \sum_{j=1}^{n} |W_j|.$$
#
# In words: the signs, times the mean size. No other scale comes closer to $W$ in squares. Zero has the sign $+1$, for
# a bit has no third value. A number: $(0.5, -1.5, 0, 2)$ becomes $(1, -1, 1, 1)$.
#
# Training needs a gradient, and the derivative of the sign is 0 almost everywhere. So we cheat: backwards, the sign is
# treated as if it were $W$ itself, where $|W| \le 1$; this is the **straight-through** estimate. With the gradient $g$
# that comes back to $\tilde W$, the product rule gives
#
# $$\frac{\partial L}{\partial W_j} = \alpha\, g_j\, [\,|W_j| \le 1\,] + \frac{s_j}{n} \sum_{i=1}^{n} g_i s_i .$$
#
# In words: through the sign, straight, where the weight is not large; and through $\alpha$, in which the whole filter
# shares. Write these without autograd:
#
# | function | shape | what |
# |---|---|---|
# | `binary_filters(w)` | (K, C, k, k) | $\tilde W$, with an $\alpha$ for each of the K filters |
# | `binary_filters_gradient(grad, w)` | (K, C, k, k) | $\partial L/\partial W$ |
# | `packed_bytes(shape)` | `int` | bytes in a file: a bit for each weight, 4 bytes for each $\alpha$ |
#
# `shape` is that of `w`; the bits of all filters follow each other without gaps, and the last byte is filled up.


# %% solution="binary"
def binary_filters(w: Tensor) -> Tensor:
    """Each filter's signs times its mean absolute weight.

    w: (K, C, k, k).   Returns (K, C, k, k).
    """
    ### BEGIN SOLUTION
    alpha = w.abs().mean(dim=(1, 2, 3), keepdim=True)  # (K, 1, 1, 1)
    return torch.where(w >= 0, alpha, -alpha)
    ### END SOLUTION


def binary_filters_gradient(grad: Tensor, w: Tensor) -> Tensor:
    """The gradient of w, straight through the sign where |w| ≤ 1, and through the scale.

    grad: of the loss to the binary filters (K, C, k, k).   w: (K, C, k, k).   Returns (K, C, k, k).
    """
    ### BEGIN SOLUTION
    alpha = w.abs().mean(dim=(1, 2, 3), keepdim=True)  # (K, 1, 1, 1)
    to_alpha = torch.where(w >= 0, grad, -grad).mean(dim=(1, 2, 3), keepdim=True)  # (K, 1, 1, 1), over n
    return alpha * grad * (w.abs() <= 1) + torch.where(w >= 0, to_alpha, -to_alpha)
    ### END SOLUTION


def packed_bytes(shape: tuple[int, int, int, int]) -> int:
    """Bytes of a layer with weights of one bit: the bits, filled up to a whole byte, and 4 bytes for each filter."""
    ### BEGIN SOLUTION
    return math.ceil(math.prod(shape) / 8) + 4 * shape[0]
    ### END SOLUTION


# %% tests="binary" points=1
checks.assert_by_hand("binary_filters", without=READY, hint="Signs times the mean of the absolute weights.")
w = torch.tensor([[0.5, -1.5, 0.0, 2.0], [0.1, 0.1, -0.1, -0.5]], device=here).reshape(2, 1, 2, 2)
kept = w.clone()
checks.assert_shape(binary_filters(w), (2, 1, 2, 2), name="binary filters", hint="A number for every weight.")
stays = "The real weights stay as they were, for they are what is trained: write into a new tensor, not into w."
checks.assert_close(
    beside(binary_filters, altered, binary_filters, kept.clone()), kept, rtol=0, atol=0, name="w", hint=stays
)
w = kept.clone()
checks.assert_dtype(binary_filters(w), torch.float32, name="binary filters", hint="Return the dtype of w.")
checks.assert_close(
    binary_filters(w[:1]).flatten(),
    torch.tensor([1.0, -1.0, 1.0, 1.0], device=here),
    name="the filter (0.5, −1.5, 0, 2), binary",
    hint="α is the mean of the absolute weights, 4/4 = 1 here; and 0 has the sign +1, where torch.sign gives 0.",
)
checks.assert_close(
    binary_filters(w)[1].flatten(),
    torch.tensor([0.2, 0.2, -0.2, -0.2], device=here),
    name="the filter (0.1, 0.1, −0.1, −0.5), binary",
    hint="Each filter has an α of its own: the mean over (1, 2, 3), not over all filters, nor one for each channel. "
    "With keepdim=True it has the shape (K, 1, 1, 1), and meets its own filter.",
)
w = drawn(torch.Generator().manual_seed(1), 3, 2, 3, 3)
checks.assert_close(
    binary_filters(w),
    w.abs().mean(dim=(1, 2, 3), keepdim=True) * w.sign(),
    name="three filters of two channels, binary",
    hint="The mean is over channels, rows and columns of the filter.",
)
print("binary: passed")
### BEGIN HIDDEN TESTS
fresh_w = drawn(checks.fresh("binary"), 5, 3, 2, 3).double()
fresh_w[0, 0] = 0
checks.assert_close(
    binary_filters(fresh_w),
    reference.binary_filters(fresh_w),
    name="other filters, in float64",
    hint="α·sign(W), with the sign +1 for 0, in the dtype of w.",
)
### END HIDDEN TESTS

# %% tests="binary:gradient" points=1
checks.assert_by_hand(
    "binary_filters_gradient", without=AUTOGRAD, hint="Two terms, by the formula: through the sign, and through α."
)
w = torch.tensor([0.5, -1.5, 0.0, 2.0], device=here).reshape(1, 1, 2, 2)
kept = w.clone()
zero, one = torch.zeros_like(w), torch.tensor([0.0, 1.0, 0.0, 0.0], device=here).reshape(1, 1, 2, 2)
checks.assert_close(
    binary_filters_gradient(zero, w),
    zero,
    name="gradient where nothing comes back",
    hint="Both terms hold grad. Where it is 0 there is nothing to pass on.",
)
checks.assert_close(w, kept, rtol=0, atol=0, name="w", hint="grad and w stay as they were: write into new tensors.")
kept = one.clone(), w.clone()
answer = binary_filters_gradient(one, w)
checks.assert_shape(answer, (1, 1, 2, 2), name="∂L/∂W", hint="A number for every weight.")
checks.assert_close(
    answer.flatten(),
    torch.tensor([-0.25, 0.25, -0.25, -0.25], device=here),
    name="∂L/∂W where 1 comes back to the weight −1.5 alone",
    hint="|−1.5| > 1, so nothing passes through the sign; through α comes s_j/n·Σ g_i·s_i = s_j/4·(−1), to all four. "
    "0 has the sign +1.",
)
checks.assert_close((one, w), kept, rtol=0, atol=0, name="arguments", hint="grad and w stay as they were.")
checks.assert_close(
    binary_filters_gradient(one.flip(2, 3), w).flatten(),
    torch.tensor([0.25, -0.25, 1.25, 0.25], device=here),
    name="∂L/∂W where 1 comes back to the weight 0 alone",
    hint="α·g = 1 through the sign at that weight, and s_j/4·(+1) to all four: 0 has the sign +1 in the sum too.",
)
w = torch.tensor([[0.5, -0.5, 1.0, 1.0], [0.2, 0.2, 0.2, 3.4]], device=here).reshape(2, 1, 2, 2)
grad = torch.tensor([[2.0, 2.0, 0.0, 0.0], [4.0, 0.0, 0.0, 0.0]], device=here).reshape(2, 1, 2, 2)
answer = binary_filters_gradient(grad, w)
checks.assert_close(
    answer[0].flatten(),
    torch.tensor([1.5, 1.5, 0.0, 0.0], device=here),
    name="∂L/∂W of (0.5, −0.5, 1, 1) where (2, 2, 0, 0) comes back",
    hint="α = 0.75, and through the sign comes α·g. What comes to α is 2 − 2 = 0: other filters have no part in it.",
)
checks.assert_close(
    answer[1].flatten(),
    torch.tensor([5.0, 1.0, 1.0, 1.0], device=here),
    name="∂L/∂W of (0.2, 0.2, 0.2, 3.4) where (4, 0, 0, 0) comes back",
    hint="α = 1 here. Every filter has its own α and its own sum, 4/4 here, which reaches all its weights.",
)
edge = torch.tensor([1.0, -1.0], device=here).reshape(1, 2, 1, 1)
checks.assert_close(
    binary_filters_gradient(edge.new_tensor([1.0, 1.0]).reshape(1, 2, 1, 1), edge).flatten(),
    torch.ones(2, device=here),
    name="∂L/∂W of weights of exactly 1 and −1",
    hint="It passes where |w| ≤ 1, the edge included.",
)
# where all weights are large nothing passes through the sign, and what is left is a true derivative
w = 2 + drawn(torch.Generator().manual_seed(1), 2, 2, 3, 3).abs().double()
w[0], grad = -w[0], drawn(torch.Generator().manual_seed(2), 2, 2, 3, 3).double()
slopes = torch.zeros_like(w)
for place in itertools.product(*map(range, w.shape)):
    step = torch.zeros_like(w)
    step[place] = 1e-4
    up, down = ((grad * (w + d).abs().mean(dim=(1, 2, 3), keepdim=True) * w.sign()).sum() for d in (step, -step))
    slopes[place] = (up - down) / 2e-4
checks.assert_close(
    binary_filters_gradient(grad, w),
    slopes,
    rtol=1e-3,
    atol=1e-5,
    name="∂L/∂W of large weights, against differences",
    hint="Through α: s_j/n·Σ g_i·s_i over the filter, n = C·k·k.",
)
print("binary:gradient: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("binary")
fresh_w, fresh_grad = (drawn(fresh_generator, 4, 3, 2, 3) for _ in range(2))
checks.assert_close(
    binary_filters_gradient(fresh_grad, fresh_w),
    reference.binary_filters_gradient(fresh_grad, fresh_w),
    rtol=1e-3,
    atol=1e-5,
    name="∂L/∂W of other filters",
    hint="α·g where |w| ≤ 1, and s_j/n·Σ g_i·s_i everywhere, filter by filter.",
)
### END HIDDEN TESTS

# %% tests="binary:packed" points=1
answer = packed_bytes((1, 2, 2, 2))
checks.assert_true(
    isinstance(answer, int),
    f"packed_bytes: found {answer!r}, wanted a whole number (int).",
    hint="There are no parts of bytes: math.ceil, or // of what is filled up.",
)
checks.assert_equal(
    answer,
    5,
    name="bytes of one filter with 8 weights",
    hint="Eight bits are one byte, and α takes 4 bytes: no more than that.",
)
checks.assert_equal(
    packed_bytes((2, 1, 3, 3)),
    11,
    name="bytes of two filters with 9 weights",
    hint="18 bits fill 3 bytes, the last one partly: round up once, at the end. And 4 bytes for each filter's α.",
)
checks.assert_equal(
    packed_bytes((256, 96, 5, 5)),
    77_824,
    name="bytes of AlexNet's second layer without groups",
    hint="A bit for every weight, out·in·k·k of them: eight to a byte. In float32 they take 2,457,600 bytes.",
)
print("binary:packed: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("binary")
for _ in range(5):
    fresh_shape = tuple(torch.randint(1, 12, (4,), generator=fresh_generator).tolist())
    checks.assert_equal(
        packed_bytes(fresh_shape),
        reference.packed_bytes(fresh_shape),
        name=f"bytes of weights {fresh_shape}",
        hint="⌈K·C·k·k/8⌉ + 4·K.",
    )
### END HIDDEN TESTS

# %% [markdown]
# ## Part 4. Ways around
#
# ### Exercise 10. Residual blocks (3 points)
#
# Deep plain nets train badly. He and others let every few layers compute only what is to be **added** to their input:
#
# $$y = \mathrm{relu}\big(\mathcal F(x) + \mathrm{shortcut}(x)\big).$$
#
# In words: a block that has nothing to say can say nothing, by $\mathcal F = 0$, where a plain layer must learn to
# copy. Write two blocks. Convolutions have no bias, since each is followed by batch norm, which has one:
#
# - `BasicBlock(in_channels, width, stride=1)` has $\mathcal F$ = `conv1` 3×3 with the stride, `norm1`, ReLU, `conv2`
#   3×3, `norm2`;
# - `Bottleneck(in_channels, width, stride=1)` has $\mathcal F$ = `conv1` 1×1, `norm1`, ReLU, `conv2` 3×3 with the
#   stride, `norm2`, ReLU, `conv3` 1×1 to $4 \cdot$ width, `norm3`.
#
# The 3×3 have padding 1. The shortcut is `nn.Identity()` wherever that fits; where the stride is not 1 or the number of
# channels changes, it is a **projection**: an `nn.Sequential` of a 1×1 convolution with the stride, without bias, and
# batch norm. Use these names for the layers (type `nn.Conv2d` and `nn.BatchNorm2d`), and `shortcut` for the way around.
#
# Last: a block should **begin as the identity**. Set the weight γ of the last batch norm to 0 in the constructor; then
# $\mathcal F(x) = 0$, and a block without projection gives $\mathrm{relu}(x)$. After a ReLU no number is negative, so
# that is $x$ itself: a net of fifty such blocks begins as a net of none. A number: two 3×3 from 64 to 64 channels have
# 73,728 weights and $2 \cdot 128$ for batch norm; the bottleneck from 256 over 64 channels has 69,632 and 768.


# %% solution="residual"
def way_around(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """The identity, or a projection where sizes change: for both blocks, if you like."""
    ### BEGIN SOLUTION
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    convolution = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels))
    ### END SOLUTION


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a way around: (N, in_channels, H, W) to (N, width, H/stride, W/stride)."""

    def __init__(self, in_channels: int, width: int, stride: int = 1):
        super().__init__()
        ### BEGIN SOLUTION
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut = way_around(in_channels, width, stride)
        nn.init.zeros_(self.norm2.weight)
        ### END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        ### BEGIN SOLUTION
        y = self.norm1(self.conv1(x)).relu()  # (N, width, H/stride, W/stride)
        return (self.norm2(self.conv2(y)) + self.shortcut(x)).relu()
        ### END SOLUTION


class Bottleneck(nn.Module):
    """1×1 down, 3×3, 1×1 up, and a way around: (N, in_channels, H, W) to (N, 4·width, H/stride, W/stride)."""

    def __init__(self, in_channels: int, width: int, stride: int = 1):
        super().__init__()
        ### BEGIN SOLUTION
        self.conv1, self.norm1 = nn.Conv2d(in_channels, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv3, self.norm3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.shortcut = way_around(in_channels, 4 * width, stride)
        nn.init.zeros_(self.norm3.weight)
        ### END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        ### BEGIN SOLUTION
        y = self.norm1(self.conv1(x)).relu()  # (N, width, H, W)
        y = self.norm2(self.conv2(y)).relu()  # (N, width, H/stride, W/stride)
        return (self.norm3(self.conv3(y)) + self.shortcut(x)).relu()
        ### END SOLUTION


# %% setup="residual_names"
READY_NAMES = {
    "conv1": "residual.0.0",
    "norm1": "residual.0.1",
    "conv2": "residual.2.0",
    "norm2": "residual.2.1",
    "conv3": "residual.4.0",
    "norm3": "residual.4.1",
    "shortcut.0": "shortcut.0",
    "shortcut.1": "shortcut.1",
}
INTO_ITS_INPUT = (
    "Where the shortcut is the identity it gives x itself, so `shortcut += …` writes into the block's input: make a "
    "new tensor, F(x) + shortcut(x)."
)
RESIDUAL_SIZES = ((3, 3, 1), (4, 2, 1), (8, 2, 1), (3, 3, 2), (3, 5, 2))  # in_channels, width, stride


def residual_shapes(in_channels: int, width: int, stride: int, bottleneck: bool) -> dict[str, tuple[int, ...]]:
    """Name and shape of every weight of convolutions and batch norms that a block has to have."""
    if bottleneck:
        out = 4 * width
        shapes = {
            "conv1": (width, in_channels, 1, 1),
            "norm1": (width,),
            "conv2": (width, width, 3, 3),
            "norm2": (width,),
            "conv3": (out, width, 1, 1),
            "norm3": (out,),
        }
    else:
        out = width
        shapes = {
            "conv1": (width, in_channels, 3, 3),
            "norm1": (width,),
            "conv2": (width, width, 3, 3),
            "norm2": (width,),
        }
    if stride != 1 or in_channels != out:
        shapes |= {"shortcut.0": (out, in_channels, 1, 1), "shortcut.1": (out,)}
    state = {}
    for name, shape in shapes.items():
        state[f"{name}.weight"] = shape
        if len(shape) == 1:
            state |= {f"{name}.{part}": shape for part in ("bias", "running_mean", "running_var")}
            state[f"{name}.num_batches_tracked"] = ()
    return state


# %% tests="residual" points=1
checks.assert_by_hand("BasicBlock", without=READY, hint="Make the layers in __init__ and join them in forward.")
for in_channels, width, stride in RESIDUAL_SIZES:
    name = f"BasicBlock({in_channels}, {width}, {stride})"
    block, wanted = BasicBlock(in_channels, width, stride).to(here), residual_shapes(in_channels, width, stride, False)
    found = shapes_of(block)
    checks.assert_true(
        not any("conv" in key and key.endswith("bias") for key in found) and "shortcut.0.bias" not in found,
        f"{name}: its convolutions have biases.",
        hint="bias=False: batch norm follows and takes any bias out again; it has one of its own.",
    )
    checks.assert_equal(
        [key for key in sorted(found) if key.startswith("shortcut")],
        [key for key in sorted(wanted) if key.startswith("shortcut")],
        name=f"weights of the shortcut of {name}",
        hint="The identity where nothing changes; else Sequential(Conv2d 1×1, BatchNorm2d): where the stride is not 1, "
        "and where the channels change.",
    )
    checks.assert_equal(
        {key: list(shape) for key, shape in sorted(found.items())},
        {key: list(shape) for key, shape in sorted(wanted.items())},
        name=f"names and shapes of the weights of {name}",
        hint="conv1 and conv2 are 3×3, from in_channels to width and from width to width; norm1 and norm2 follow them; "
        "the projection is 1×1.",
    )
    state = random_state(wanted, torch.Generator().manual_seed(width))
    ready = ReadyBasicBlock(in_channels, width, stride, "B").to(here)
    ready.load_state_dict(renamed(state, READY_NAMES))
    block.load_state_dict(state)
    x = drawn(torch.Generator().manual_seed(1), 2, in_channels, 6, 8)
    sides = "The first convolution and the projection have the stride, padding 1 keeps the sides otherwise."
    checks.assert_shape(
        attempt(sides, block, x), (2, width, -(-6 // stride), -(-8 // stride)), name=f"output of {name}", hint=sides
    )
    x = drawn(torch.Generator().manual_seed(1), 2, in_channels, 6, 8)
    checks.assert_close(
        beside(BasicBlock, altered, block, x.clone()),
        x,
        rtol=0,
        atol=0,
        name=f"what came into {name}, afterwards",
        hint=INTO_ITS_INPUT,
    )
    block.load_state_dict(state)
    block.eval()
    ready.eval()
    for shift in (0.0, -1.0):
        checks.assert_close(
            block(x + shift),
            ready(x + shift),
            rtol=1e-3,
            atol=1e-4,
            name=f"output of {name} for testing",
            hint="conv1 (it has the stride, conv2 has none), norm1, ReLU, conv2, norm2; add the shortcut of the "
            "block's **input**; the ReLU comes after the sum, and none before it.",
        )
    block.train()
    ready.train()
    checks.assert_close(
        block(x),
        ready(x),
        rtol=1e-3,
        atol=1e-4,
        name=f"output of {name} in training",
        hint="The layers are modules of the block, so that batch norm knows of block.train() and block.eval().",
    )
print("residual: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("residual")
for stride in (1, 2):
    fresh_in, fresh_width = torch.randint(1, 7, (2,), generator=fresh_generator).tolist()
    block = BasicBlock(fresh_in, fresh_width, stride).to(here)
    expected = reference.BasicBlock(fresh_in, fresh_width, stride).to(here)
    fresh_state = random_state(shapes_of(expected), fresh_generator)
    block.load_state_dict(fresh_state)
    expected.load_state_dict(fresh_state)
    fresh_x = drawn(fresh_generator, 3, fresh_in, 5, 4)
    checks.assert_close(
        block(fresh_x),
        expected(fresh_x),
        rtol=1e-3,
        atol=1e-4,
        name=f"output of BasicBlock({fresh_in}, {fresh_width}, {stride})",
        hint="relu(F(x) + shortcut(x)).",
    )
### END HIDDEN TESTS

# %% tests="residual:bottleneck" points=1
checks.assert_by_hand("Bottleneck", without=READY, hint="Make the layers in __init__ and join them in forward.")
for in_channels, width, stride in RESIDUAL_SIZES:
    name = f"Bottleneck({in_channels}, {width}, {stride})"
    block, wanted = Bottleneck(in_channels, width, stride).to(here), residual_shapes(in_channels, width, stride, True)
    found = shapes_of(block)
    checks.assert_true(
        not any("conv" in key and key.endswith("bias") for key in found) and "shortcut.0.bias" not in found,
        f"{name}: its convolutions have biases.",
        hint="bias=False: batch norm follows and takes any bias out again; it has one of its own.",
    )
    checks.assert_equal(
        [key for key in sorted(found) if key.startswith("shortcut")],
        [key for key in sorted(wanted) if key.startswith("shortcut")],
        name=f"weights of the shortcut of {name}",
        hint="What comes out has 4·width channels: the identity fits where in_channels is 4·width and the stride 1.",
    )
    checks.assert_equal(
        {key: list(shape) for key, shape in sorted(found.items())},
        {key: list(shape) for key, shape in sorted(wanted.items())},
        name=f"names and shapes of the weights of {name}",
        hint="conv1: 1×1 to width; conv2: 3×3 from width to width; conv3: 1×1 to 4·width; norm1 to norm3 follow them.",
    )
    state = random_state(wanted, torch.Generator().manual_seed(width))
    ready = ReadyBottleneck(in_channels, width, stride, "B", stride_on_3x3=True).to(here)
    ready.load_state_dict(renamed(state, READY_NAMES))
    block.load_state_dict(state)
    x = drawn(torch.Generator().manual_seed(1), 2, in_channels, 6, 8)
    sides = "The 3×3 convolution and the projection have the stride; conv3 gives 4·width channels."
    checks.assert_shape(
        attempt(sides, block, x), (2, 4 * width, -(-6 // stride), -(-8 // stride)), name=f"output of {name}", hint=sides
    )
    x = drawn(torch.Generator().manual_seed(1), 2, in_channels, 6, 8)
    checks.assert_close(
        beside(Bottleneck, altered, block, x.clone()),
        x,
        rtol=0,
        atol=0,
        name=f"what came into {name}, afterwards",
        hint=INTO_ITS_INPUT,
    )
    block.load_state_dict(state)
    block.eval()
    ready.eval()
    for shift in (0.0, -1.0):
        checks.assert_close(
            block(x + shift),
            ready(x + shift),
            rtol=1e-3,
            atol=1e-4,
            name=f"output of {name} for testing",
            hint="A ReLU after norm1 and after norm2, the stride in conv2 (not in conv1), then the sum with the "
            "shortcut of the block's input, and the ReLU after it.",
        )
    block.train()
    ready.train()
    checks.assert_close(
        block(x),
        ready(x),
        rtol=1e-3,
        atol=1e-4,
        name=f"output of {name} in training",
        hint="The layers are modules of the block, so that batch norm knows of block.train() and block.eval().",
    )
print("residual:bottleneck: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("residual")
for stride in (1, 2):
    fresh_in, fresh_width = torch.randint(1, 7, (2,), generator=fresh_generator).tolist()
    block = Bottleneck(fresh_in, fresh_width, stride).to(here)
    expected = reference.Bottleneck(fresh_in, fresh_width, stride).to(here)
    fresh_state = random_state(shapes_of(expected), fresh_generator)
    block.load_state_dict(fresh_state)
    expected.load_state_dict(fresh_state)
    fresh_x = drawn(fresh_generator, 3, fresh_in, 5, 4)
    checks.assert_close(
        block(fresh_x),
        expected(fresh_x),
        rtol=1e-3,
        atol=1e-4,
        name=f"output of Bottleneck({fresh_in}, {fresh_width}, {stride})",
        hint="relu(F(x) + shortcut(x)).",
    )
### END HIDDEN TESTS

# %% tests="residual:identity" points=1
for make, name, channels in ((BasicBlock, "BasicBlock", 4), (Bottleneck, "Bottleneck", 16)):
    block = make(channels, 4).to(here)
    x = drawn(torch.Generator().manual_seed(1), 2, channels, 5, 5)
    checks.assert_close(
        block(x.abs()),
        x.abs(),
        rtol=0,
        atol=1e-6,
        name=f"what a new {name} gives, of inputs that are not negative",
        hint="Set the weight γ of the **last** batch norm to 0 in the constructor: then F(x) = 0, and relu(0 + x) = x.",
    )
    checks.assert_close(
        block(x),
        x.relu(),
        rtol=0,
        atol=1e-6,
        name=f"what a new {name} gives, of any inputs",
        hint="The ReLU comes after the sum: what is negative in x is cut even where F(x) = 0.",
    )
    checks.assert_true(
        all(p.requires_grad for p in block.parameters()),
        f"{name}: a weight is not trained (its requires_grad is False).",
        hint="The last γ begins with 0 and is trained from there like any other weight: nn.init.zeros_, and no more.",
    )
    state = dict(block.state_dict())
    for key in ("conv1.weight", "conv2.weight", "norm1.weight"):
        checks.assert_true(
            bool((state[key] != 0).all()),
            f"{name}: {key} begins with zeros.",
            hint="Only the last γ is 0. With weights of 0 before it no gradient would ever come through.",
        )
    wide = make(channels, 8).to(here)
    checks.assert_true(
        bool((attempt("Channels change here, so the shortcut is a projection.", wide, x) != 0).any()),
        f"{name}: with a projection it gives nothing but 0.",
        hint="The projection's batch norm keeps its γ of 1: only the last one of F begins with 0.",
    )
print("residual:identity: passed")

# %% [markdown]
# ### Exercise 11. Highways (2 points)
#
# Before residual nets there were **highways**. There a gate decides, unit by unit, how much is transformed and how much
# is carried:
#
# $$y = T(x)\, H(x) + \big(1 - T(x)\big)\, x, \qquad H(x) = \mathrm{relu}(W_H x + b_H), \qquad
# T(x) = \sigma(W_T x + b_T).$$
#
# In words: two limits and all between them. With $T \to 0$ the layer is the identity, with $T \to 1$ an ordinary layer.
# Which one it is at the start is said by the gate's bias: for weights $W_T$ around 0 the gate is about
# $\sigma(b_T)$. So $b_T$ begins negative, and the deeper the net the more negative it should be: through $L$ layers
# the share $(1 - \sigma(b_T))^L$ of a unit is carried. A number: with $b_T = -2$, $\sigma = 0.119$, ten layers carry
# 28 %, and fifty 0.2 %.
#
# Write the layer, with the names `transform` ($W_H$, $b_H$) and `gate` ($W_T$, $b_T$) for its two `nn.Linear`; every
# entry of the gate's bias begins with `gate_bias`. And write two functions: `carried(gate_bias, depth)`, the share
# above, and `gate_bias_for(share, depth)`, the bias with which `depth` layers carry that share. For the second solve
# $(1 - \sigma(b))^L = s$; it helps that $1 - \sigma(b) = \sigma(-b)$.


# %% solution="highway"
class HighwayLayer(nn.Module):
    """T·H + (1 − T)·x, each from (N, width) to (N, width)."""

    def __init__(self, width: int, gate_bias: float = -2.0):
        super().__init__()
        ### BEGIN SOLUTION
        self.transform, self.gate = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.constant_(self.gate.bias, gate_bias)
        ### END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        ### BEGIN SOLUTION
        T = self.gate(x).sigmoid()  # (N, width)
        return T * self.transform(x).relu() + (1 - T) * x
        ### END SOLUTION


def carried(gate_bias: float, depth: int) -> float:
    """The share of a unit that `depth` layers carry when their gates are σ(gate_bias)."""
    ### BEGIN SOLUTION
    return (1 / (1 + math.exp(gate_bias))) ** depth
    ### END SOLUTION


def gate_bias_for(share: float, depth: int) -> float:
    """The gate's bias with which `depth` layers carry that share, 0 < share < 1."""
    ### BEGIN SOLUTION
    return math.log(share ** (-1 / depth) - 1)
    ### END SOLUTION


# %% tests="highway" points=1
checks.assert_by_hand("HighwayLayer", without=READY, hint="Two linear layers in __init__, the formula in forward.")
layer = HighwayLayer(4, gate_bias=-3.0).to(here)
checks.assert_equal(
    {key: list(shape) for key, shape in sorted(shapes_of(layer).items())},
    {"gate.bias": [4], "gate.weight": [4, 4], "transform.bias": [4], "transform.weight": [4, 4]},
    name="names and shapes of the layer's weights",
    hint="Two nn.Linear(width, width): self.transform and self.gate.",
)
state = dict(layer.state_dict())
checks.assert_close(
    state["gate.bias"],
    torch.full((4,), -3.0, device=here),
    name="the gate's bias at the start",
    hint="Every entry of the gate's bias begins with gate_bias: nn.init.constant_.",
)
checks.assert_true(
    bool((state["transform.bias"] != -3).any()),
    "The bias of the transform begins with gate_bias as well.",
    hint="gate_bias is the gate's alone.",
)
checks.assert_close(
    dict(HighwayLayer(2).to(here).state_dict())["gate.bias"],
    torch.full((2,), -2.0, device=here),
    name="the gate's bias when nothing is said",
    hint="The default of gate_bias is −2, a net that begins by carrying.",
)
x = 2 * drawn(torch.Generator().manual_seed(1), 5, 4)
state = random_state(shapes_of(layer), torch.Generator().manual_seed(2))
H = (x @ state["transform.weight"].T + state["transform.bias"]).relu()
for bias, wanted, name, hint in (
    (-100.0, x, "T → 0", "With the gate closed the layer is the identity: (1 − T)·x, without a ReLU over it."),
    (100.0, H, "T → 1", "With the gate open the layer is H(x) = relu(W_H x + b_H), and nothing of x is added."),
):
    layer.load_state_dict({**state, "gate.weight": 0 * state["gate.weight"], "gate.bias": torch.full_like(H[0], bias)})
    checks.assert_close(layer(x), wanted, rtol=1e-3, atol=1e-5, name=f"output in the limit {name}", hint=hint)
ready = ReadyHighwayLayer(4).to(here)
ready.load_state_dict(state)
layer.load_state_dict(state)
checks.assert_close(
    layer(x),
    ready(x),
    rtol=1e-3,
    atol=1e-5,
    name="output with gates between the limits",
    hint="T = σ(W_T x + b_T): the sigmoid of its own linear layer, of x, and T·H + (1 − T)·x unit by unit.",
)
print("highway: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("highway")
layer, expected = HighwayLayer(6).to(here), reference.HighwayLayer(6).to(here)
fresh_state = random_state(shapes_of(expected), fresh_generator)
layer.load_state_dict(fresh_state)
expected.load_state_dict(fresh_state)
fresh_x = drawn(fresh_generator, 7, 6)
checks.assert_close(
    layer(fresh_x),
    expected(fresh_x),
    rtol=1e-3,
    atol=1e-5,
    name="output for other weights",
    hint="T·H + (1 − T)·x.",
)
### END HIDDEN TESTS

# %% tests="highway:carried" points=1
for arguments, wanted, name, hint in (
    ((0.0, 1), 0.5, "share that one layer with b = 0 carries", "σ(0) = 1/2 is transformed, 1 − σ(0) carried."),
    (
        (-2.0, 1),
        0.880797,
        "share that one layer with b = −2 carries",
        "1 − σ(b): the share of the gate is not carried.",
    ),
    (
        (-2.0, 10),
        0.281023,
        "share that ten layers with b = −2 carry",
        "Each layer carries a share of what is left: to the power of the depth.",
    ),
):
    checks.assert_close(carried(*arguments), wanted, rtol=1e-4, name=name, hint=hint)
for arguments, wanted, name, hint in (
    ((0.5, 1), 0.0, "bias with which one layer carries half", "σ(−b) = s for one layer: b = 0 for a half."),
    ((0.880797, 1), -2.0, "bias with which one layer carries 88 %", "σ(−b) = s: b = ln(1/s − 1), negative here."),
    ((0.5, 50), -4.27, "bias with which fifty layers carry half", "One layer must carry s^(1/L), the L-th root of s."),
):
    checks.assert_close(gate_bias_for(*arguments), wanted, rtol=1e-3, atol=1e-3, name=name, hint=hint)
print("highway:carried: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("highway")
for _ in range(5):
    fresh_bias, fresh_depth = -4 * float(torch.rand((), generator=fresh_generator)), 20
    fresh_share = 0.1 + 0.8 * float(torch.rand((), generator=fresh_generator))
    checks.assert_close(
        carried(fresh_bias, fresh_depth),
        reference.carried(fresh_bias, fresh_depth),
        name=f"share that {fresh_depth} layers with b = {fresh_bias:.3f} carry",
        hint="(1 − σ(b)) to the power of the depth.",
    )
    checks.assert_close(
        gate_bias_for(fresh_share, fresh_depth),
        reference.gate_bias_for(fresh_share, fresh_depth),
        name=f"bias with which {fresh_depth} layers carry {fresh_share:.3f}",
        hint="ln(s^(−1/L) − 1).",
    )
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 12. Dense blocks (2 points)
#
# DenseNet goes further: every layer sees **all** feature maps before it, and adds $k$ of its own, the **growth rate**.
# Nothing is added up, all is put next to each other. With $x_0$ of $C$ channels,
#
# $$x_{i+1} = \big[\, x_i,\; w_i * \mathrm{relu}(x_i) \,\big], \qquad i = 0 \dots L - 1,$$
#
# where $[\cdot, \cdot]$ joins channels and the convolutions are 3×3 with padding 1. (The paper has batch norm before
# each ReLU; we leave it out here.) In words: layer $i$ gets $C + i k$ channels and gives $k$; in the end there are
# $C + L k$. A number: $C = 24$, $k = 12$ and $L = 16$ give 216 channels; the last layer gets 204.
#
# With a **bottleneck** each layer has a 1×1 convolution to $4k$ channels before the 3×3. Write
#
# - `dense_shapes(channels, growth, layers, bottleneck)`: the shapes (out, in, k, k) of all weights, in the order they
#   are used;
# - `dense_block(x, weights)`: the block without bottlenecks. `weights` is a list of tensors (k, C + i·k, 3, 3).


# %% solution="dense_block"
def dense_shapes(channels: int, growth: int, layers: int, bottleneck: bool = False) -> list[tuple[int, int, int, int]]:
    """Shapes of a dense block's weights, in the order they are used: one a layer, or two with bottlenecks."""
    ### BEGIN SOLUTION
    shapes = []
    for i in range(layers):
        come = channels + i * growth
        if bottleneck:
            shapes.append((4 * growth, come, 1, 1))
            come = 4 * growth
        shapes.append((growth, come, 3, 3))
    return shapes
    ### END SOLUTION


def dense_block(x: Tensor, weights: list[Tensor]) -> Tensor:
    """Each layer adds its maps to all before it.

    x: (N, C, H, W).   weights: L tensors (k, C + i·k, 3, 3).   Returns (N, C + L·k, H, W).
    """
    ### BEGIN SOLUTION
    for w in weights:
        x = torch.cat([x, F.conv2d(x.relu(), w, padding=1)], dim=1)  # (N, C + (i + 1)·k, H, W)
    return x
    ### END SOLUTION


# %% tests="dense_block" points=1
checks.assert_by_hand(
    "dense_shapes", without=COUNTING, hint="Layer i gets C + i·k channels; nothing needs to be built."
)
answer = dense_shapes(24, 12, 1)
checks.assert_true(
    isinstance(answer, list | tuple),
    f"dense_shapes: found {answer!r}, wanted a list of shapes.",
    hint="Shapes (out, in, k, k), one after the other in a list that is returned at the end.",
)
for arguments, wanted, name, hint in (
    ((24, 12, 1), [[12, 24, 3, 3]], "one layer", "(out, in, 3, 3): it gives k = 12 channels and gets all 24."),
    (
        (5, 2, 3),
        [[2, 5, 3, 3], [2, 7, 3, 3], [2, 9, 3, 3]],
        "three layers",
        "Each layer before adds k channels to what the next one gets: C + i·k, with i from 0.",
    ),
    (
        (5, 2, 2, True),
        [[8, 5, 1, 1], [2, 8, 3, 3], [8, 7, 1, 1], [2, 8, 3, 3]],
        "two layers with bottlenecks",
        "Each layer has two: 1×1 from all channels to 4k, then 3×3 from 4k to k. Only the k are added to the block.",
    ),
    ((7, 3, 0), [], "no layers", "A block of no layers has no weights: an empty list."),
):
    checks.assert_equal(
        [list(shape) for shape in dense_shapes(*arguments)], wanted, name=f"shapes of {name}", hint=hint
    )
print("dense_block: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("dense_block")
for bottleneck in (False, True):
    c, k, n = torch.randint(1, 20, (3,), generator=fresh_generator).tolist()
    checks.assert_equal(
        [list(shape) for shape in dense_shapes(c, k, n, bottleneck)],
        [list(shape) for shape in reference.dense_shapes(c, k, n, bottleneck)],
        name=f"shapes for {c} channels, growth {k}, {n} layers, bottleneck={bottleneck}",
        hint="C + i·k channels come into layer i.",
    )
### END HIDDEN TESTS

# %% tests="dense_block:forward" points=1
checks.assert_by_hand("dense_block", without=READY, hint="A loop over the weights, with torch.cat.")
generator = torch.Generator().manual_seed(1)
for channels, growth, layers in ((3, 2, 1), (2, 3, 4), (1, 1, 2)):
    name = f"dense block of {layers} layers with growth {growth} on {channels} channels"
    weights = [drawn(generator, growth, channels + i * growth, 3, 3) / 3 for i in range(layers)]
    x = drawn(generator, 2, channels, 5, 4)
    kept = [x.clone(), *(w.clone() for w in weights)]
    answer = attempt(
        "Padding 1 keeps the sides, and channels are joined along dim=1: nothing is added up.", dense_block, x, weights
    )
    checks.assert_shape(
        answer,
        (2, channels + layers * growth, 5, 4),
        name=name,
        hint="What came in stays, and every layer adds k channels; padding 1 keeps the sides.",
    )
    checks.assert_close(
        answer[:, :channels],
        x,
        rtol=0,
        atol=0,
        name=f"first channels of a {name}",
        hint="What came in is passed on as it is, first, and not through the ReLU.",
    )
    for i, w in enumerate(weights):
        end = channels + i * growth
        checks.assert_close(
            answer[:, end : end + growth],
            F.conv2d(answer[:, :end].relu(), w, padding=1),
            rtol=1e-3,
            atol=1e-4,
            name=f"what layer {i} adds in a {name}",
            hint="The ReLU comes **before** the convolution, of all channels so far; the new ones come last, and keep "
            "what is negative.",
        )
    checks.assert_close([x, *weights], kept, rtol=0, atol=0, name="arguments", hint="x and the weights stay.")
print("dense_block:forward: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("dense_block")
fresh_weights = [drawn(fresh_generator, 2, 3 + 2 * i, 3, 3).double() / 3 for i in range(3)]
fresh_x = drawn(fresh_generator, 2, 3, 4, 6).double()
checks.assert_close(
    dense_block(fresh_x, fresh_weights),
    reference.dense_block(fresh_x, fresh_weights),
    name="another dense block, in float64",
    hint="[x, w * relu(x)], layer after layer.",
)
### END HIDDEN TESTS

# %% [markdown]
# ## Part 5. Does it matter?
#
# ### Exercise 13. Lesions (2 points)
#
# Take a trained net and cut something out: what happens says what the thing was for. Veit and others did that to
# residual nets. Multiply out what $n$ blocks compute, and there are $2^n$ **paths** from the input to the output: each
# block is gone through or gone around. Of these, $\binom{n}{k}$ go through $k$ blocks. Cut one block, and every path
# that went through it is gone: half of all paths, while the other half is as it was. In a plain net there is one path.
#
# - `paths(blocks, cut)`: a list with the number of paths that are left when `cut` of the blocks are cut, by their
#   length: entry $k$ for paths through $k$ blocks, from 0 to what is left. A number: of 3 blocks none cut $1, 3, 3, 1$;
#   one cut $1, 2, 1$.
# - `lesion_study(build, x, t)`: the accuracy of the net that `build()` gives, and then its accuracy with each block
#   cut, one at a time. To cut a block is to make its residual branch 0: it gives $\mathrm{relu}(\mathrm{shortcut}(x))$.
#
# The net is ready for testing (`eval()`). `blocks_of(net)` is given: the list of its blocks, each a module with
# `residual`, the branch, and `shortcut`. **After your study the net is as it was before**: others may hold it too.
#
# | name | shape | what |
# |---|---|---|
# | `x`, `t` | (N, C, H, W) and (N,) | pictures and their classes, `int64` |
# | result of `lesion_study` | 1 + blocks `float` | shares from 0 to 1: whole, without block 0, without block 1, … |
#
# An idea: a forward hook that returns something replaces what a module gave. It can be taken off again:
# `hook = module.register_forward_hook(lambda module, inputs, output: …)`, and later `hook.remove()`.

# %% setup="lesions"
lesion_pictures = data.shapes(150, split="test", device=here)


def blocks_of(net: nn.Module) -> list[nn.Module]:
    """The residual blocks of a net, in the order they run."""
    return [block for stage in net.stages for block in stage]


def trained_net() -> nn.Module:
    """A residual net of 20 layers that was trained on `shapes`."""
    return trained.load("shapes_resnet").to(here)


def small_net() -> nn.Module:
    """Four blocks with random weights, the same net with every call; for pictures (N, 2, H, W), five classes."""
    net = zoo.ResNet(
        ReadyBasicBlock, (2, 1, 1), widths=(4, 6, 8), classes=5, in_channels=2, stem="small", shortcut="B"
    ).to(here)
    net.load_state_dict(random_state(shapes_of(net), torch.Generator().manual_seed(5)))
    return net.eval()


_shared = []


def shared_net() -> nn.Module:
    """Not a net like it: the very same one with every call."""
    if not _shared:
        _shared.append(small_net())
    return _shared[0]


def left_on_shared_net() -> list[int]:
    """What a study could leave on it: hooks, weights that can be trained, modules in training mode."""
    modules = list(shared_net().modules())
    hooks = sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in modules)
    return [hooks, sum(p.requires_grad for p in modules[0].parameters()), sum(module.training for module in modules)]


# %% solution="lesions"
def paths(blocks: int, cut: int = 0) -> list[int]:
    """How many paths go through 0, 1, … blocks when `cut` of the blocks are cut."""
    ### BEGIN SOLUTION
    left = blocks - cut
    return [math.comb(left, k) for k in range(left + 1)]
    ### END SOLUTION


def lesion_study(build, x: Tensor, t: Tensor) -> list[float]:
    """Accuracy of a net, whole and with each of its blocks cut, one at a time. The net is afterwards as it was.

    build: gives the net.   x: (N, C, H, W).   t: (N,) int64.   Returns 1 + blocks shares.
    """
    ### BEGIN SOLUTION
    net = build()

    @torch.no_grad()
    def accuracy() -> float:
        return (net(x).argmax(dim=1) == t).float().mean().item()

    shares = [accuracy()]
    for block in blocks_of(net):
        hook = block.residual.register_forward_hook(lambda module, inputs, output: torch.zeros_like(output))
        shares.append(accuracy())
        hook.remove()
    return shares
    ### END SOLUTION


# %% tests="lesions" points=1
answer = paths(1)
checks.assert_true(
    isinstance(answer, list | tuple),
    f"paths: found {answer!r}, wanted a list of numbers.",
    hint="Not all paths in one number: a number for each length, from 0 to the blocks that are left.",
)
for arguments, wanted, name, hint in (
    ((1,), [1, 1], "one block", "Around it or through it: one path of length 0 and one of length 1."),
    ((3,), [1, 3, 3, 1], "three blocks", "Choose the k blocks that are gone through: n over k, for k = 0 … n."),
    ((3, 1), [1, 2, 1], "three blocks, one cut", "Whoever went through the cut block is gone: paths of two blocks."),
    ((3, 3), [1], "three blocks, all cut", "One path is left, around everything."),
):
    checks.assert_equal(list(paths(*arguments)), wanted, name=f"paths of {name}", hint=hint)
checks.assert_true(
    all(isinstance(number, int) for number in paths(20)),
    f"paths: found {paths(20)!r:.60}…, wanted whole numbers (int).",
    hint="Numbers of paths are whole, exactly: math.comb.",
)
checks.assert_equal(
    [sum(paths(54)), sum(paths(54, 2))],
    [2**54, 2**52],
    name="all paths of ResNet-110, whole and with two blocks cut",
    hint="Every block that is cut takes half of the paths that are left.",
)
print("lesions: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("lesions")
for _ in range(5):
    cut, more = torch.randint(0, 12, (2,), generator=fresh_generator).tolist()
    checks.assert_equal(
        list(paths(cut + more, cut)),
        reference.paths(cut + more, cut),
        name=f"paths of {cut + more} blocks, {cut} cut",
        hint="n − cut over k, for k from 0 to n − cut.",
    )
### END HIDDEN TESTS

# %% tests="lesions:study" points=1
x = drawn(torch.Generator().manual_seed(1), 300, 2, 6, 6)
with torch.no_grad():
    t = small_net()(x).argmax(dim=1)  # what the whole net says, so that it is right about everything
kept = x.clone()
found = attempt(
    "The net's answer is the class of the largest logit along dim=1, (N,) like t; a hook gives a tensor of the shape "
    "of the module's output.",
    *(lesion_study, small_net, x, t),
)
checks.assert_true(
    isinstance(found, list | tuple) and len(found) == 5,
    f"lesion_study: found {found!r}, wanted a list of 5 shares: whole, and without each of four blocks.",
    hint="One entry for the whole net and one for each of blocks_of(net).",
)
checks.assert_close(
    found[0],
    1.0,
    name="accuracy of the whole net, with its own answers as classes",
    hint="First the net as it is, ready for testing: the share of pictures whose largest logit is that of the class t.",
)
wanted = []
for block in range(4):
    net = small_net()
    last = blocks_of(net)[block].residual[-1][1]  # with γ = β = 0 the branch gives 0
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    with torch.no_grad():
        wanted.append((net(x).argmax(dim=1) == t).float().mean().item())
for block in range(4):
    checks.assert_close(
        found[1 + block],
        wanted[block],
        atol=0.01,
        name=f"accuracy without block {block}",
        hint="One block at a time: its residual branch gives 0, its shortcut and the ReLU stay, and all other blocks "
        "are whole (take off what you did to the block before).",
    )
before = beside(lesion_study, left_on_shared_net)
first = lesion_study(shared_net, x, t)
again = lesion_study(shared_net, x, t)
checks.assert_close(
    list(again),
    list(first),
    name="a second study of the very same net",
    hint="The net is afterwards as it was before: remove every hook, put everything back.",
)
checks.assert_equal(
    beside(lesion_study, left_on_shared_net),
    before,
    name="hooks, trainable weights and modules in training mode of the net, after two studies",
    hint="The net is afterwards as it was before: no hook is left, it is as ready for testing as it came, and its "
    "weights can be trained as before (torch.no_grad() spares the graph without touching them).",
)
checks.assert_close(x, kept, rtol=0, atol=0, name="x", hint="The pictures stay as they were.")
images, labels = lesion_pictures.images, lesion_pictures.labels
found = lesion_study(trained_net, images, labels)
checks.assert_in_range(
    found[0],
    0.6,
    1.0,
    name="accuracy of the trained net",
    hint="Compare the class of the largest logit with t.",
)
print(f"lesions:study: passed. Whole {found[0]:.0%}; without one block: {', '.join(f'{f:.0%}' for f in found[1:])}.")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("lesions")
fresh_x = drawn(fresh_generator, 300, 2, 5, 7)
with torch.no_grad():
    fresh_t = small_net()(fresh_x + 0.3 * drawn(fresh_generator, 300, 2, 5, 7)).argmax(dim=1)
checks.assert_close(
    lesion_study(small_net, fresh_x, fresh_t),
    reference.lesion_study(small_net, fresh_x, fresh_t),
    atol=0.01,
    name="lesions of a net on other pictures",
    hint="One block at a time, and the net is whole again before the next.",
)
### END HIDDEN TESTS

# %% explore="what_a_lesion_does"
# explore: cut one block of a trained residual net, and one of its plain twin, where a block that is cut gives its input
# (the two blocks that change the sizes cannot be cut there). Chance is 10 %
study = lesion_study(trained_net, lesion_pictures.images, lesion_pictures.labels)
twin = trained.load("shapes_plain").to(here)
plain_study = []
for block in [nn.Identity(), *blocks_of(twin)]:
    fits = []
    hook = block.register_forward_hook(
        lambda module, inputs, output, fits=fits: (
            fits.append(inputs[0].shape == output.shape) or (inputs[0] if fits[0] else output)
        )
    )
    with torch.no_grad():
        answers = twin(lesion_pictures.images).argmax(dim=1)
    hook.remove()
    share = (answers == lesion_pictures.labels).float().mean().item()
    plain_study.append(share if all(fits) else math.nan)
print("residual:", "  ".join(f"{share:4.0%}" for share in study))
print("plain:   ", "  ".join(f"{share:4.0%}" for share in plain_study))
figure, axes = plt.subplots(figsize=(7, 3))
axes.plot(study, "o-", label="residual")
axes.plot(plain_study, "s--", label="plain")
axes.set(xlabel="0: whole; n: without block n", ylabel="accuracy", ylim=(0, 1))
axes.legend()
plt.show()

# %% [markdown]
# ### Exercise 14. Twins (4 points)
#
# A net of 42 layers, without and with shortcuts: which one trains better? A comparison is worth something only if
# **nothing else differs**. The twins have the same number of parameters, begin with the same weights, and see the same
# batches in the same order at the same rate. `TwinNet(depth, width, shortcuts, generator)` is given: a net for the
# digits of $2 + 2n$ layers, whose weights are drawn from the generator.
#
# - `make_twins(depth, width, generator)`: the residual twin (`shortcuts=True`) and the plain one, with the **same**
#   values in all weights and buffers, and each with weights **of its own**, so that training one leaves the other
#   alone. On the lab's device, `here`.
# - `train_twins(twins, x, t, batches, rate)`: for each batch of indices a step for each twin, by
#   `torch.optim.SGD` with momentum 0.9 on the mean cross-entropy of the batch, in training mode. It returns the losses
#   **before** each step, shape (2, steps), without a graph; first row the residual twin.
# - `gap(losses, last)`: how much larger the plain twin's mean loss over the last `last` steps is than the residual
#   twin's. A number: losses (2, 1, 1) and (2, 3, 4) have, over the last two, a gap of $3.5 - 1 = 2.5$.
#
# The judge is the gap in **training** loss. That the plain twin is worse at that shows that it is not a matter of
# generalising: it could do what its twin does, and does not find it.
#
# | name | shape | what |
# |---|---|---|
# | `twins` | pair of modules | the residual and the plain twin |
# | `x`, `t` | (n, 1, 8, 8) and (n,) | digits and their classes, `int64` |
# | `batches` | list of (b,) | which digits to show, step after step; `int64` |
# | result of `train_twins` | (2, steps) | losses before each step |

# %% setup="twins"
digits_x, digits_t = (value.to(here) for value in data.digits("train"))  # (1078, 1, 8, 8), (1078,)


class TwinNet(nn.Module):
    """A net for digits, 2 + 2n layers, with shortcuts around every two of them or without: (N, 1, 8, 8) to (N, 10)."""

    def __init__(self, depth: int, width: int, shortcuts: bool, generator: torch.Generator):
        super().__init__()
        stem = nn.Conv2d(1, width, 3, padding=1, bias=False)
        self.stem = nn.Sequential(stem, nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2))  # (N, width, 4, 4)
        kind = "B" if shortcuts else "none"
        self.blocks = nn.Sequential(*(ReadyBasicBlock(width, width, 1, kind) for _ in range((depth - 2) // 2)))
        self.classifier = nn.Linear(width, 10)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.blocks(self.stem(x)).mean(dim=(2, 3)))


def batches_of(size: int, steps: int, seed: int) -> list[Tensor]:
    """`steps` batches of `size` different digits each."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randperm(len(digits_x), generator=generator)[:size].to(here) for _ in range(steps)]


# %% solution="twins"
def make_twins(depth: int, width: int, generator: torch.Generator) -> tuple[nn.Module, nn.Module]:
    """The residual and the plain net, on `here`: the same values in all weights and buffers, each with its own."""
    ### BEGIN SOLUTION
    residual = TwinNet(depth, width, True, generator)
    plain = TwinNet(depth, width, False, generator)
    plain.load_state_dict(residual.state_dict())
    return residual.to(here), plain.to(here)
    ### END SOLUTION


def train_twins(twins, x: Tensor, t: Tensor, batches: list[Tensor], rate: float) -> Tensor:
    """Train both on the same batches; their losses before each step.

    twins: two nets.   x: (n, 1, 8, 8).   t: (n,) int64.   batches: indices.   Returns (2, len(batches)).
    """
    ### BEGIN SOLUTION
    rows = []
    for net in twins:
        net.train()
        optimizer, losses = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9), []
        for batch in batches:
            loss = F.cross_entropy(net(x[batch]), t[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        rows.append(torch.stack(losses))
    return torch.stack(rows)
    ### END SOLUTION


def gap(losses: Tensor, last: int) -> float:
    """How much larger the second row's mean over the last `last` steps is than the first row's.

    losses: (2, steps).
    """
    ### BEGIN SOLUTION
    residual, plain = losses[:, -last:].mean(dim=1).tolist()
    return plain - residual
    ### END SOLUTION


# %% tests="twins" points=1
twins = make_twins(8, 4, torch.Generator().manual_seed(1))
both = "End with: return residual, plain."
checks.assert_true(attempt(both, len, twins) == 2, "make_twins: wanted two nets.", hint=both)
states = [dict(net.state_dict()) for net in twins]
wanted = (
    TwinNet(8, 4, True, torch.Generator().manual_seed(0)).to(here),
    TwinNet(8, 4, False, torch.Generator().manual_seed(0)).to(here),
)
checks.assert_equal(
    [sum(p.numel() for p in net.parameters()) for net in twins],
    [sum(p.numel() for p in net.parameters()) for net in wanted],
    name="parameters of the residual and of the plain twin",
    hint="Both have the given depth and width: the identity costs nothing, so the twins have equally many.",
)
checks.assert_close(
    states[1],
    states[0],
    rtol=0,
    atol=0,
    name="weights and buffers of the plain twin, against those of the residual one",
    hint="Two nets drawn from one generator differ. Copy: plain.load_state_dict(residual.state_dict()).",
)
other = dict(make_twins(8, 4, torch.Generator().manual_seed(2))[0].state_dict())
same = dict(make_twins(8, 4, torch.Generator().manual_seed(1))[0].state_dict())
checks.assert_true(
    bool((other["stem.0.weight"] != states[0]["stem.0.weight"]).any()),
    "make_twins: two generators with other seeds give the same weights.",
    hint="Pass the generator that you are given on to TwinNet.",
)
checks.assert_close(
    same, states[0], rtol=0, atol=0, name="weights with the same seed", hint="All randomness is the generator's."
)
x = digits_x[:16]
for row, name in enumerate(("residual", "plain")):
    wanted[row].load_state_dict(states[row])
    checks.assert_close(
        twins[row](x),
        wanted[row](x),
        rtol=1e-3,
        atol=1e-4,
        name=f"logits of the {name} twin",
        hint="First the twin with shortcuts=True, then the one with shortcuts=False.",
    )
twins = make_twins(4, 2, torch.Generator().manual_seed(1))
twins[0].load_state_dict({key: 0 * value for key, value in dict(twins[0].state_dict()).items()})
checks.assert_true(
    bool((dict(twins[1].state_dict())["stem.0.weight"] != 0).any()),
    "make_twins: what is done to the weights of one twin is done to the other's too.",
    hint="Each has weights of its own: load_state_dict copies values. Do not share modules or tensors.",
)
print("twins: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("twins")
fresh_seed = int(torch.randint(2**31, (), generator=fresh_generator))
found = make_twins(10, 3, torch.Generator().manual_seed(fresh_seed))
expected = reference.make_twins(10, 3, torch.Generator().manual_seed(fresh_seed))
for row in range(2):
    expected[row].load_state_dict(dict(found[row].state_dict()))
    checks.assert_close(
        found[row](digits_x[20:30]),
        expected[row](digits_x[20:30]),
        rtol=1e-3,
        atol=1e-4,
        name="logits of other twins",
        hint="The residual twin first, then the plain one, each with the depth and width that are asked for.",
    )
### END HIDDEN TESTS


# %% tests="twins:training" points=2
def two_nets(depth: int, width: int) -> list:
    """A residual and a plain net with the same weights. Not by your make_twins: that has tests of its own."""
    generators = torch.Generator().manual_seed(1), torch.Generator().manual_seed(1)
    return [beside(train_twins, TwinNet, depth, width, row == 0, generators[row]).to(here) for row in range(2)]


losses = train_twins(two_nets(4, 3), digits_x, digits_t, batches_of(8, 1, 1), 0.1)
checks.assert_shape(losses, (2, 1), name="losses of one step", hint="A row for each twin, an entry for each batch.")
checks.assert_true(
    not losses.requires_grad, "The losses hold on to the graph.", hint="Keep loss.detach(), not the loss."
)
batches, rate = batches_of(12, 4, 3), 0.2
twins = two_nets(6, 4)
starts = [{key: value.clone() for key, value in dict(net.state_dict()).items()} for net in twins]
twins[0].eval()
losses = train_twins(twins, digits_x, digits_t, batches, rate)
for row, name in enumerate(("residual", "plain")):
    net = TwinNet(6, 4, row == 0, torch.Generator().manual_seed(0)).to(here)
    net.load_state_dict(starts[row])
    deltas, by_hand = [torch.zeros_like(p) for p in net.parameters()], []
    for batch in batches:
        loss = F.cross_entropy(net(digits_x[batch]), digits_t[batch])
        slopes = torch.autograd.grad(loss, list(net.parameters()))
        by_hand.append(loss.detach())
        with torch.no_grad():
            for p, delta, slope in zip(net.parameters(), deltas, slopes, strict=True):
                delta.mul_(0.9).add_(slope)
                p.sub_(rate * delta)
    for step in range(4):
        checks.assert_close(
            losses[row, step],
            by_hand[step],
            rtol=1e-2,
            name=f"loss of the {name} twin before step {step}",
            hint=(
                "The mean cross-entropy of the first batch before its step, in training mode: call net.train().",
                "One step of SGD at the given rate, on this twin's own parameters, on the very batches that you are "
                "given, in their order.",
                "Each twin has an optimizer of its own, with momentum 0.9; gradients are set to zero before each "
                "backward pass.",
                "Momentum 0.9 goes on from step to step: one optimizer for all steps of a twin.",
            )[step],
        )
    after = dict(twins[row].state_dict())
    checks.assert_close(
        [after[key] for key, _ in net.named_parameters()],
        [p.detach() for p in net.parameters()],
        rtol=1e-2,
        atol=1e-3,
        name=f"weights of the {name} twin after the last step",
        hint="Train the nets that you are given, not copies, and take a step after the last batch as well.",
    )
twins = two_nets(4, 2)
before = [dict(net.state_dict())["stem.0.weight"].clone() for net in twins]
train_twins(twins, torch.zeros_like(digits_x[:6]), digits_t[:6], [torch.arange(6, device=here)] * 2, 0.5)
checks.assert_close(
    [dict(net.state_dict())["stem.0.weight"] for net in twins],
    before,
    rtol=0,
    atol=0,
    name="first filters after two steps on empty pictures",
    hint="Where a picture is 0 no gradient comes back, and the filters stay: SGD with momentum 0.9 and nothing else, "
    "no weight decay.",
)
print("twins:training: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("twins")
fresh_seed = int(torch.randint(2**31, (), generator=fresh_generator))
fresh_twins = two_nets(4, 4)
fresh_copies = [TwinNet(4, 4, row == 0, torch.Generator().manual_seed(0)).to(here) for row in range(2)]
for row in range(2):
    fresh_copies[row].load_state_dict(dict(fresh_twins[row].state_dict()))
checks.assert_close(
    train_twins(fresh_twins, digits_x, digits_t, batches_of(20, 3, fresh_seed), 0.03),
    reference.train_twins(fresh_copies, digits_x, digits_t, batches_of(20, 3, fresh_seed), 0.03),
    rtol=1e-2,
    name="losses of three steps of other twins",
    hint="Both on the same batches, SGD with momentum 0.9, the loss before each step.",
)
### END HIDDEN TESTS

# %% tests="twins:gap" points=1
checks.assert_close(
    gap(torch.tensor([[2.0, 1.0, 1.0], [2.0, 3.0, 4.0]], device=here), 2),
    2.5,
    name="gap over the last two steps",
    hint="The mean of the plain row minus the mean of the residual row, over the last steps only.",
)
checks.assert_close(
    gap(torch.tensor([[3.0, 2.0, 5.0], [2.0, 9.0, 1.0]], device=here), 1),
    -4.0,
    name="gap over the last step",
    hint="Negative where the residual twin is worse: it is a difference with a sign.",
)
gaps = {}
for depth in (6, 42):
    losses = train_twins(
        make_twins(depth, 8, torch.Generator().manual_seed(1)), digits_x, digits_t, batches_of(32, 40, 2), 0.05
    )
    checks.assert_finite(
        losses, name=f"losses of twins of {depth} layers", hint="They diverged: the rate as given, in training mode?"
    )
    gaps[depth] = float(gap(losses, 10))
checks.assert_in_range(
    gaps[42],
    0.4,
    None,
    name="gap of twins of 42 layers after 40 steps",
    hint="The shortcuts are worth more than that: is the first twin the residual one, and each trained by its steps?",
)
checks.assert_true(
    gaps[6] < gaps[42] - 0.2,
    f"The gap is {gaps[6]:.2f} for 6 layers and {gaps[42]:.2f} for 42: wanted a gap that grows with depth.",
    hint="At 6 layers the plain twin trains nearly as well. Is the depth that is asked for the depth of the nets?",
)
print(f"twins:gap: passed. The gap is {gaps[6]:.2f} for twins of 6 layers, and {gaps[42]:.2f} for twins of 42.")
### BEGIN HIDDEN TESTS
fresh_losses = torch.rand(2, 12, generator=checks.fresh("twins")).to(here)
for last in (1, 5, 12):
    checks.assert_close(
        gap(fresh_losses, last),
        reference.gap(fresh_losses, last),
        name=f"gap over the last {last} steps",
        hint="Means over the last steps, plain minus residual.",
    )
### END HIDDEN TESTS

# %% explore="side_by_side"
# explore: the curves of the twins at three depths. Try another rate, or other widths
figure, axes = plt.subplots(1, 3, figsize=(10, 3), sharey=True)
for place, depth in zip(axes, (6, 22, 42), strict=True):
    losses = train_twins(
        make_twins(depth, 8, torch.Generator().manual_seed(1)), digits_x, digits_t, batches_of(32, 50, 2), 0.05
    ).cpu()
    place.plot(losses[0], label="residual")
    place.plot(losses[1], "--", label="plain")
    place.set(title=f"{depth} layers: gap {gap(losses, 10):.2f}", xlabel="step", ylim=(0, 4))
axes[0].set_ylabel("loss of the batch")
axes[0].legend()
plt.show()

# %% [markdown]
# ### To look at: filters without labels
#
# Filters need no labels to begin with. Let the columns of $W$ be patches, those of $D$ filters of length 1, and let
# each patch give its answer $D^\top w$ to the one filter where it is largest in size, 0 to the others: the columns of
# $S$. Then repeat
#
# $$D := W S^\top + D, \qquad D^{(j)} := D^{(j)} / \lVert D^{(j)} \rVert.$$
#
# In words: each filter moves to the patches that chose it. That is k-means for filters. Is it worth it? The cell trains
# a linear classifier on the answers of 16 such filters, and of 16 that stay as they were drawn.

# %% explore="filters_without_labels"
# explore: k-means filters against random ones, by the number of labels. Try other sides, or fewer filters
side, number = 5, 16
train, test = data.digits("train"), data.digits("test")
patches = F.unfold(train.images, side).transpose(0, 1).flatten(1)  # (side², m)
patches = patches - patches.mean(dim=0)
patches = patches / (patches.std(dim=0) + 0.1)


def answers_of(filters: Tensor, images: Tensor) -> Tensor:
    """What the classifier sees: the positive and the negative part of each map, averaged over four quarters, and 1."""
    maps = F.conv2d(images, filters.T.reshape(-1, 1, side, side), padding=side // 2)
    means = F.avg_pool2d(torch.cat([maps.relu(), (-maps).relu()], dim=1), 4).flatten(1)
    return torch.cat([means, torch.ones(len(means), 1)], dim=1)


def right_with(filters: Tensor, labels: Tensor) -> float:
    """Accuracy on the test digits of a linear classifier (least squares, slightly damped) fitted to those labels."""
    seen, unseen = answers_of(filters, train.images), answers_of(filters, test.images)
    scale = seen[labels].std(dim=0) + 0.001
    seen, unseen = seen[labels] / scale, unseen / scale
    targets = F.one_hot(train.labels[labels], 10).float()
    damped = seen.T @ seen + 3 * torch.eye(seen.shape[1])
    return (unseen @ torch.linalg.solve(damped, seen.T @ targets)).argmax(dim=1).eq(test.labels).float().mean().item()


rows = {}
for seed in range(5):
    generator = torch.Generator().manual_seed(seed)
    random_filters = F.normalize(torch.randn(side**2, number, generator=generator), dim=0)
    filters = random_filters
    for _ in range(10):
        scores = filters.T @ patches  # (number, m)
        scores = scores * (scores.abs() == scores.abs().max(dim=0).values)
        filters = F.normalize(patches @ scores.T + filters, dim=0)
    order = torch.randperm(len(train.images), generator=generator)
    for count in (100, 300, 1000):
        pair = right_with(random_filters, order[:count]), right_with(filters, order[:count])
        rows.setdefault(count, []).append(pair)
print("labels   random  k-means, means of 5 seeds")
for count, pairs in rows.items():
    print(f"{count:6}   " + "   ".join(f"{sum(column) / 5:6.1%}" for column in zip(*pairs, strict=True)))
figure, axes = plt.subplots(2, number, figsize=(8, 1.6))
for row, kind, shown in zip(axes, ("random", "k-means"), (random_filters, filters), strict=True):
    for axis, column in zip(row, shown.T, strict=True):
        axis.imshow(column.reshape(side, side), cmap="gray", vmin=-0.5, vmax=0.5)
        axis.set(xticks=[], yticks=[])
    row[0].set_ylabel(kind, rotation=0, ha="right", va="center")
plt.show()

# %% [markdown]
# The k-means filters look like strokes and edges, the random ones like nothing. Now compare the columns of the table
# before you believe in looks: random filters are the comparison that any way of learning filters has to beat.

# %% [markdown]
# ### Question 15. What the numbers say (3 points)
#
# Answer in a few sentences each, with numbers from your own cells above. One point for each; every one asks two things,
# half a point for either.
#
# 1. Where does VGG-16 have its parameters, and where does it spend its multiply–adds? Name two things of this lab that
#    would make it cheaper, and say of each what it does to the parameters and to the multiply–adds of the **whole**
#    net.
# 2. You cut one block of a trained residual net. What happened to its accuracy, and which block hurt most? How do $2^n$
#    paths explain that?
# 3. Your plain twin of 42 layers lost to its residual twin. Why is that neither overfitting nor a lack of parameters?
#    What does it have to do with a block that can be the identity?

# %% [markdown] manual="what_the_numbers_say" points=3
# 1. Most parameters, nearly nine tenths, lie in the fully connected layers, three quarters in the first of them alone;
#    nearly all multiply–adds are in the convolutions, because they are used at every place. Depthwise separable
#    convolutions, groups or bottlenecks make the convolutions cheaper in both, so they remove most of the work, but
#    at most a tenth of the parameters. For those, take the mean over all places before one last layer, as TwinNet does:
#    it removes most of the parameters and hardly any work. Weights of one bit leave both counts as they are, and make
#    the file smaller. (Half a point: both places, with their shares. Half: two things, each with both of its effects.)
# 2. Whole it reads 93 %. Without one block it reads between a quarter and nearly all of what it read before, and always
#    more than chance, 10 %, to which the plain twin falls at once. The block that hurts most is the last one at which
#    sides and channels change; some cost a few points only. One block less leaves half of the paths untouched, and the
#    classifier still gets what they bring; in the plain net there is only one path. (Half: the whole accuracy, that of
#    the worst block, and which it is. Half: half of the paths are left; a plain net has one.)
# 3. It is worse at the **training** loss, so it is not overfitting; both twins have the same number of parameters and
#    begin with the same weights. With shortcuts the deep net contains the shallow one: a block with F = 0 is the
#    identity, so more blocks need not hurt. The plain net could represent that too, but has to learn it through all
#    its layers, and the descent does not find it. (Half: training loss, with the gap, and equal parameters. Half: the
#    deep net contains the shallow one, and finds it only with shortcuts.)

# %% [markdown]
# ## What you can do now
#
# You can say what a net costs before it is built, and which of its layers costs it; read and write blueprints; put
# together VGG's stages, inception modules, residual blocks, highways and dense blocks; say what groups, depthwise steps
# and single bits save, and what they give up; and compare two nets so that the comparison means something.
