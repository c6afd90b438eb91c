# The lab of the chapter "Convolution and pooling, forwards and backwards". Fifteen exercises, 32 points, and one answer
# in words, 3 points.

# %% [markdown]
# # Convolution and pooling, forwards and backwards
#
# In this lab you build a convolutional network out of additions and multiplications: every layer forwards, every layer
# backwards, nothing left to a library. At its end your own layers read handwritten digits.
#
# 1. **Sizes**: how many outputs a kernel has, and what does not tile.
# 2. **One dimension**: convolution and its two gradients, small enough to check with a pencil.
# 3. **Two dimensions**: stride, padding, channels, and three gradients.
# 4. **Fast**: the same as one product of matrices.
# 5. **Pooling**: maximum with switches, average, global average.
# 6. **Trust**: a checker that finds wrong gradients, and what moves along when the picture moves.
# 7. **A network** of your own layers.
#
# How it works:
#
# - Write your answer where a cell says `raise NotImplementedError`. Then run the cell below it. If it says *passed*,
#   go on. If not, the last line of the error is a hint.
# - The tests you see show the idea. When your lab is graded, the same idea is tested on other numbers.
# - **By hand means by hand.** An exercise about convolution is not answered by `torch.conv2d`, nor a gradient by
#   autograd. The tests read your source for that. It is a rule, not a proof: it is there so that you learn something.
# - No exercise needs your answer to another one. If you are stuck, go on and come back. The network at the end takes
#   each of your layers that works, and a ready one in the place of each that does not.
# - Cells that begin with `# explore` are for your eyes: change the numbers in them, nothing there is graded. Most of
#   them use what you have written, so they run once that is done.
#
# Pictures have the shape (N, C, H, W): N pictures, C channels, H rows, W columns. What you return has the dtype and
# the device of the arguments, and the arguments stay as they were. Indices in formulas count from 0, as in code.

# %% setup="imports"
from unmagic import checks, data, device

import time

import matplotlib.pyplot as plt
import torch
from torch import Tensor

here = device()  # a GPU where there is one, else the CPU
torch.backends.cudnn.allow_tf32 = False  # on a GPU: full float32 in torch's own convolutions, which we compare with
print(f"This lab computes on: {here}")

# %% setup="tools"
# What exercises may not use: the library's own version of what they are about.
CONVOLUTION = (
    *(f"torch.nn.functional.conv{d}d" for d in (1, 2, 3)),
    *(f"torch.nn.functional.conv_transpose{d}d" for d in (1, 2, 3)),
    *(f"torch.nn.Conv{d}d" for d in (1, 2, 3)),
    *(f"torch.nn.ConvTranspose{d}d" for d in (1, 2, 3)),
    "torch.convolution",
    "torch.nn.grad",
    "torch.ops",
    "numpy.convolve",
    "numpy.correlate",
    "scipy",
)
COLUMNS = ("torch.nn.functional.unfold", "torch.nn.functional.fold", "torch.nn.Unfold", "torch.nn.Fold")
POOLING = (
    "torch.nn.functional.max_pool2d",
    "torch.nn.functional.max_pool2d_with_indices",
    "torch.nn.functional.max_unpool2d",
    "torch.nn.functional.avg_pool2d",
    "torch.nn.functional.lp_pool2d",
    "torch.nn.functional.adaptive_max_pool2d",
    "torch.nn.functional.adaptive_avg_pool2d",
    "torch.nn.MaxPool2d",
    "torch.nn.MaxUnpool2d",
    "torch.nn.AvgPool2d",
    "torch.nn.AdaptiveMaxPool2d",
    "torch.nn.AdaptiveAvgPool2d",
    "torch.ops",
)
AUTOGRAD = ("torch.autograd", "torch.func", ".backward")


def whole(generator: torch.Generator, *shape: int) -> Tensor:
    """Whole numbers from −4 to 4 as float32: sums of their products are exact, in whatever order they are added."""
    return torch.randint(-4, 5, shape, generator=generator).float().to(here)


class ByHand(torch.autograd.Function):
    """A function whose gradient somebody wrote by hand."""

    @staticmethod
    def forward(ctx, forward, backward, *inputs):
        ctx.by_hand = backward
        ctx.save_for_backward(*inputs)
        return forward(*inputs)

    @staticmethod
    def backward(ctx, grad):
        return None, None, *ctx.by_hand(grad, *ctx.saved_tensors)


def gradients_agree(forward, backward, *inputs: Tensor) -> bool:
    """Does `backward(grad, *inputs)` give the gradients of `forward(*inputs)`, one for each input?

    torch's gradcheck, in float64 on the CPU.
    """
    return torch.autograd.gradcheck(
        lambda *xs: ByHand.apply(forward, backward, *xs),
        [x.detach().cpu().double().requires_grad_() for x in inputs],
        fast_mode=True,
        raise_exception=False,
        check_undefined_grad=False,
    )


# %% [markdown]
# ## Part 1. Sizes
#
# ### Exercise 1. How many outputs (1 point)
#
# A kernel of $F$ pixels slides over a row of $W$ pixels in steps of $S$, the **stride**, after $P$ zeros were put on
# **each** side, the **padding**. How many places does it visit?
#
# $$\frac{W - F + 2P}{S} + 1.$$
#
# In words: the room that is left once the kernel stands at the left edge, counted in steps, and the first place
# besides. A number: 32 pixels and a kernel of 5 leave room for 27 steps of 1, so 28 outputs.
#
# When the stride does not divide that room, the kernel **does not tile** the row: the last pixels are never looked at.
# AlexNet's paper has $W = 224$, $F = 11$, $S = 4$, where the room of 213 is 53 steps and one pixel over. Libraries say
# nothing and round down. Yours says so, unless it is told not to mind:
#
# - `exact=True`: what does not tile is a `ValueError` whose message holds **how many pixels are left over**.
# - `exact=False`: round down, as `torch` does.
# - A kernel larger than the padded row fits nowhere: a `ValueError` in both cases.
#
# All arguments are whole numbers, and so is the result (an `int`).


# %% solution="output_size"
def output_size(size: int, kernel: int, stride: int = 1, padding: int = 0, exact: bool = True) -> int:
    """Number of places that a kernel visits along one axis.

    size, kernel: pixels.   stride: pixels a step.   padding: zeros on each side.
    Raises ValueError if the kernel does not fit; with `exact` also if pixels are left over, and says how many.
    """
    ### BEGIN SOLUTION
    room = size + 2 * padding - kernel
    if room < 0:
        raise ValueError(f"a kernel of {kernel} does not fit into {size} pixels and {padding} on each side")
    left_over = room % stride
    if exact and left_over:
        raise ValueError(f"does not tile: with stride {stride}, {left_over} pixels are left over")
    return room // stride + 1
    ### END SOLUTION


# %% tests="output_size" points=1
answer = output_size(32, 5)
checks.assert_true(
    isinstance(answer, int),
    f"output_size: found {answer!r}, wanted a whole number (int).",
    hint="Divide with //, which keeps whole numbers whole. A size like 3.0 is no size.",
)
checks.assert_equal(
    answer,
    28,
    name="outputs of a kernel of 5 on 32 pixels",
    hint="27 steps of one pixel, and the place where the kernel starts counts as well: + 1.",
)
checks.assert_equal(
    output_size(32, 5, padding=2),
    32,
    name="outputs with padding 2",
    hint="The zeros are put on both sides, so the row grows by 2P. With P = (F − 1)/2 the size stays.",
)
checks.assert_equal(
    output_size(7, 3, stride=2),
    3,
    name="outputs of a kernel of 3 on 7 pixels with stride 2",
    hint="The room of 4 pixels is two steps of 2. Divide first, then add 1.",
)
checks.assert_equal(
    output_size(6, 4, stride=2, padding=1),
    3,
    name="outputs of a kernel of 4 on 6 pixels with stride 2 and padding 1",
    hint="Room: 6 − 4 + 2·1 = 4 pixels. Two steps, three places.",
)


def places(*arguments, **options):
    """The size, or the ValueError in words."""
    try:
        return output_size(*arguments, **options)
    except ValueError as error:
        return f"ValueError: {error}"


checks.assert_equal(
    places(5, 5),
    1,
    name="outputs of a kernel as large as the row",
    hint="A kernel that just fits has one place, and that is no error.",
)
checks.assert_raises(
    ValueError,
    output_size,
    28,
    5,
    4,
    hint="28 − 5 = 23 pixels in steps of 4: five steps, and some left over. That does not tile: raise ValueError.",
)
checks.assert_raises(
    ValueError,
    output_size,
    28,
    5,
    4,
    match=r"(?<![\d.])3(?![\d.])",
    hint="Say in the message how many pixels are left over: 23 − 5·4 = 3 here. A reader must know what to change.",
)
checks.assert_equal(
    places(28, 5, 4, exact=False),
    6,
    name="outputs of 28, 5, stride 4, when it need not be exact",
    hint="With exact=False round down: five whole steps, six places.",
)
checks.assert_raises(
    ValueError,
    output_size,
    5,
    6,
    hint="A kernel of 6 does not fit into 5 pixels: raise ValueError, before anything is divided.",
)
checks.assert_raises(
    ValueError,
    output_size,
    5,
    6,
    exact=False,
    hint="A kernel larger than the padded row fits nowhere, whether it must be exact or not.",
)
checks.assert_equal(
    places(3, 6, padding=2),
    2,
    name="outputs of a kernel of 6 on 3 pixels with padding 2",
    hint="The zeros count: the kernel must fit into the padded row, 3 + 2·2 = 7 pixels.",
)
print("output_size: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("output_size")
for _ in range(20):
    size, kernel, stride, padding = (
        int(torch.randint(low, high, (), generator=fresh_generator))
        for low, high in ((20, 300), (2, 12), (2, 6), (0, 4))
    )
    wanted = reference.output_size(size, kernel, stride, padding, exact=False)
    checks.assert_equal(
        output_size(size, kernel, stride, padding, exact=False),
        wanted,
        name=f"outputs of {size}, {kernel}, stride {stride}, padding {padding}, rounded down",
        hint="(W − F + 2P) // S + 1.",
    )
    left_over = (size + 2 * padding - kernel) % stride
    if left_over:
        checks.assert_raises(
            ValueError,
            output_size,
            size,
            kernel,
            stride,
            padding,
            match=rf"(?<![\d.]){left_over}(?![\d.])",
            hint="What does not tile is a ValueError that says how many pixels are left over.",
        )
    else:
        checks.assert_equal(
            output_size(size, kernel, stride, padding),
            wanted,
            name=f"outputs of {size}, {kernel}, stride {stride}, padding {padding}",
            hint="This one tiles: no error.",
        )
### END HIDDEN TESTS

# %% explore="torch_rounds_down"
# explore: where torch says nothing. The size it gives, and how many pixels at the right it never looks at
for size, kernel, stride, padding in [(224, 11, 4, 0), (227, 11, 4, 0), (224, 7, 2, 3), (28, 5, 4, 0)]:
    y = torch.nn.functional.conv1d(torch.ones(1, 1, size), torch.ones(1, 1, kernel), stride=stride, padding=padding)
    left_over = (size + 2 * padding - kernel) % stride
    print(f"W={size}, F={kernel}, S={stride}, P={padding}: {y.shape[-1]} outputs, {left_over} pixels left over")

# %% [markdown]
# ## Part 2. One dimension
#
# ### Exercise 2. Convolution (1 point)
#
# A fully connected layer has a weight for every pair of input and output. A **convolution** has one small set of
# weights, the **kernel**, and uses it at every place. For inputs $a_0 \dots a_{n-1}$ and weights $w_0 \dots w_{k-1}$:
#
# $$\mathrm{net}_i = \sum_{j=0}^{k-1} w_j\, a_{i+j}, \qquad i = 0 \dots n - k.$$
#
# In words: lay the kernel on the input at place $i$, multiply what lies on top of each other, add up. The weight with
# index 0 meets the leftmost input. (Mathematicians call this a *correlation*, and a convolution what has the kernel
# flipped. Deep learning says convolution and does not flip.) A number: $a = (1, 2, 4)$ and $w = (1, 10)$ give
# $1 \cdot 1 + 10 \cdot 2 = 21$ and $1 \cdot 2 + 10 \cdot 4 = 42$.
#
# | name | shape | what |
# |---|---|---|
# | `a` | (n,) | inputs |
# | `w` | (k,) | weights, $k \le n$ |
# | result | (n − k + 1,) | $\mathrm{net}$ |


# %% solution="conv1d"
def conv1d(a: Tensor, w: Tensor) -> Tensor:
    """Every place's sum of weight times input; the kernel is not flipped, stride 1, no padding.

    a: inputs (n,).   w: weights (k,).   Returns net (n − k + 1,).
    """
    ### BEGIN SOLUTION
    places = len(a) - len(w) + 1
    net = torch.zeros_like(a[:places])
    for j in range(len(w)):
        net += w[j] * a[j : j + places]  # what weight j meets, at every place
    return net
    ### END SOLUTION


# %% tests="conv1d" points=1
checks.assert_by_hand(
    "conv1d",
    without=CONVOLUTION,
    hint="Write the sum yourself: a loop over places or over weights, or slices of a.",
)
row, kernel = torch.tensor([1.0, 2.0, 4.0, 8.0], device=here), torch.tensor([1.0, 10.0], device=here)
net = conv1d(row, kernel)
checks.assert_shape(net, (3,), name="net", hint="A kernel of 2 has n − k + 1 places on 4 inputs: 4 − 2 + 1 = 3.")
checks.assert_dtype(net, torch.float32, name="net", hint="Keep the dtype of a.")
checks.assert_true(
    abs(net[0].item() - 12) > 1e-3,
    "net[0]: found 12 = 10·1 + 1·2.",
    hint="The kernel is flipped. Weight 0 meets the leftmost input of its place: 1·1 + 10·2.",
)
checks.assert_close(
    net,
    torch.tensor([21.0, 42.0, 84.0], device=here),
    name="net of (1, 2, 4, 8) with weights (1, 10)",
    hint="net[i] adds w[j]·a[i + j] over j: 1·1 + 10·2, then 1·2 + 10·4, then 1·4 + 10·8. Slide by one input a place.",
)
checks.assert_close(
    conv1d(row, torch.tensor([1.0, 10.0, 100.0, 1000.0], device=here)),
    torch.tensor([8421.0], device=here),
    name="net of a kernel as long as the input",
    hint="One place: 1·1 + 10·2 + 100·4 + 1000·8. Add over all weights.",
)
checks.assert_close(
    conv1d(row, torch.tensor([3.0], device=here)),
    3 * row,
    name="net of a kernel of one weight",
    hint="A kernel of one weight multiplies every input.",
)
checks.assert_unchanged(
    torch.tensor([1.0, 2.0, 4.0, 8.0], device=here), row, name="a", hint="Add into a new tensor, not into a."
)
checks.assert_dtype(
    conv1d(torch.ones(4, dtype=torch.float64), torch.ones(2, dtype=torch.float64)),
    torch.float64,
    name="net of float64 inputs",
    hint="A new tensor takes the dtype and device of the arguments: a.new_zeros(…) or torch.zeros_like(…).",
)
print("conv1d: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("conv1d")
for n, k in ((9, 4), (12, 5), (7, 7), (6, 1)):
    fresh_a, fresh_w = whole(fresh_generator, n), whole(fresh_generator, k)
    checks.assert_close(
        conv1d(fresh_a, fresh_w),
        reference.conv1d(fresh_a, fresh_w),
        name=f"net of {n} other inputs with {k} weights",
        hint="net[i] adds w[j]·a[i + j] over j, for i from 0 to n − k.",
    )
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 3. Its two gradients (2 points)
#
# Something above this layer has a loss $L$ and sends down $g_i = \partial L / \partial\, \mathrm{net}_i$, one number
# for each output. We want to know how $L$ depends on the weights and on the inputs.
#
# **The weights.** Weight $w_k$ is used at *every* place $i$, where it meets $a_{i+k}$. So by the chain rule it gathers
# from all of them:
#
# $$\frac{\partial L}{\partial w_k} = \sum_i g_i\, a_{i+k}.$$
#
# That is a convolution again: $g$ slides over $a$.
#
# **The inputs.** Input $a_m$ is met by weight $w_j$ at the place $i = m - j$, if there is such a place:
#
# $$\frac{\partial L}{\partial a_m} = \sum_j g_{m-j}\, w_j \qquad (g_i = 0 \text{ outside of } 0 \dots n-k).$$
#
# In words: each output sends its $g_i$ back to the inputs it was made of, times the weight that it met them with. The
# minus sign in $m - j$ says that here the kernel **is** flipped. Since an input at the edge was looked at by fewer
# places, $g$ gets zeros at both ends: a *full* convolution. Numbers: with $w = (1, 10)$ and $g = (1, 0, 0)$ only the
# first output counts, and $\partial L/\partial a = (1, 10, 0, 0)$.
#
# | name | shape | what |
# |---|---|---|
# | `grad` | (n − k + 1,) | $g = \partial L/\partial\, \mathrm{net}$ |
# | `a`, `w` | (n,), (k,) | as they were in the forward pass |
# | result | (k,), (n,) | $\partial L/\partial w$ and $\partial L/\partial a$, in this order |


# %% solution="conv1d_gradients"
def conv1d_gradients(grad: Tensor, a: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of a loss with respect to the weights and to the inputs of `conv1d`.

    grad: ∂L/∂net (n − k + 1,).   a: inputs (n,).   w: weights (k,).   Returns ∂L/∂w (k,) and ∂L/∂a (n,).
    """
    ### BEGIN SOLUTION
    places = len(grad)
    dw = torch.stack([(grad * a[j : j + places]).sum() for j in range(len(w))])
    da = torch.zeros_like(a)
    for j in range(len(w)):
        da[j : j + places] += grad * w[j]
    return dw, da
    ### END SOLUTION


# %% tests="conv1d_gradients" points=1
checks.assert_by_hand(
    "conv1d_gradients",
    without=(*CONVOLUTION, *AUTOGRAD),
    hint="Write the two sums yourself. That is the point of the exercise.",
)
row, kernel = torch.tensor([1.0, 2.0, 4.0, 8.0], device=here), torch.tensor([1.0, 10.0], device=here)
answer = conv1d_gradients(torch.tensor([1.0, 0.0, 0.0], device=here), row, kernel)
checks.assert_true(
    isinstance(answer, list | tuple) and len(answer) == 2,
    "conv1d_gradients: wanted two tensors.",
    hint="End with: return dw, da.",
)
checks.assert_shape(answer[0], (2,), name="∂L/∂w", hint="One slope for each weight; the weights come first, then a.")
checks.assert_true(
    not torch.equal(answer[0].cpu(), torch.tensor([2.0, 1.0])),
    "∂L/∂w: found (2, 1) where (1, 2) was wanted.",
    hint="The kernel is flipped: at place 0 weight 0 met a[0] and weight 1 met a[1].",
)
checks.assert_close(
    answer[0],
    torch.tensor([1.0, 2.0], device=here),
    name="∂L/∂w when only the first output counts",
    hint="Its slope for w[k] is what that weight met: a[0 + k]. Add up over places with +=: it is a sum, not a mean.",
)
checks.assert_close(
    conv1d_gradients(torch.tensor([1.0, 100.0, 10000.0], device=here), row, kernel)[0],
    torch.tensor([40201.0, 80402.0], device=here),
    name="∂L/∂w when all outputs count",
    hint="A weight is used at every place: sum g[i]·a[i + k] over all places i. It is a sum, not a mean.",
)
checks.assert_true(
    gradients_agree(
        lambda w: torch.nn.functional.conv1d(row[None, None].cpu().double(), w[None, None])[0, 0],
        lambda g, w: (conv1d_gradients(g, row.cpu().double(), w)[0],),
        whole(torch.Generator().manual_seed(1), 2),
    ),
    "∂L/∂w: gradcheck, which moves each weight a little in float64, finds other slopes.",
    hint="∂L/∂w[k] = Σ g[i]·a[i + k], and new tensors take the dtype of the arguments.",
)
checks.assert_dtype(
    conv1d_gradients(torch.ones(3).double(), row.cpu().double(), kernel.cpu().double())[0],
    torch.float64,
    name="∂L/∂w of float64 numbers",
    hint="A new tensor takes the dtype and device of the arguments: torch.zeros_like(…) or grad.new_zeros(…).",
)
print("conv1d_gradients: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("conv1d_gradients")
for n, k in ((9, 4), (12, 5), (7, 7), (6, 1)):
    fresh_a, fresh_w = whole(fresh_generator, n), whole(fresh_generator, k)
    fresh_g = whole(fresh_generator, n - k + 1)
    checks.assert_close(
        conv1d_gradients(fresh_g, fresh_a, fresh_w)[0],
        reference.conv1d_gradients(fresh_g, fresh_a, fresh_w)[0],
        name=f"∂L/∂w of {k} other weights on {n} inputs",
        hint="∂L/∂w[k] = Σ g[i]·a[i + k].",
    )
### END HIDDEN TESTS

# %% tests="conv1d_gradients:input" points=1
row, kernel = torch.tensor([1.0, 2.0, 4.0, 8.0], device=here), torch.tensor([1.0, 10.0], device=here)
down = conv1d_gradients(torch.tensor([1.0, 0.0, 0.0], device=here), row, kernel)[1]
checks.assert_shape(
    down, (4,), name="∂L/∂a", hint="One slope for each input: a full convolution, as long as a, not shorter than g."
)
checks.assert_true(
    not torch.equal(down.cpu(), torch.tensor([10.0, 1.0, 0.0, 0.0])),
    "∂L/∂a: found (10, 1, 0, 0) where (1, 10, 0, 0) was wanted.",
    hint="Output 0 met a[0] with w[0] and a[1] with w[1]. In ∂L/∂a[m] = Σ g[m − j]·w[j] the kernel is flipped once.",
)
checks.assert_close(
    down,
    torch.tensor([1.0, 10.0, 0.0, 0.0], device=here),
    name="∂L/∂a when only the first output counts",
    hint="It sends g times w back to its inputs. Other places, with g = 0, wipe nothing out: these add, +=.",
)
checks.assert_close(
    conv1d_gradients(torch.tensor([0.0, 0.0, 1.0], device=here), row, kernel)[1],
    torch.tensor([0.0, 0.0, 1.0, 10.0], device=here),
    name="∂L/∂a when only the last output counts",
    hint="The last output was made of the last two inputs. Nothing goes round the end.",
)
checks.assert_close(
    conv1d_gradients(torch.tensor([1.0, 2.0, 3.0], device=here), row, kernel)[1],
    torch.tensor([1.0, 12.0, 23.0, 30.0], device=here),
    name="∂L/∂a when all outputs count",
    hint="An input that several places looked at gets something from each of them, and these add: use +=, not =.",
)
checks.assert_true(
    gradients_agree(
        lambda a, w: torch.nn.functional.conv1d(a[None, None], w[None, None])[0, 0],
        lambda g, a, w: conv1d_gradients(g, a, w)[::-1],
        whole(torch.Generator().manual_seed(1), 7),
        whole(torch.Generator().manual_seed(2), 3),
    ),
    "gradcheck, which moves each number a little in float64, finds other slopes.",
    hint="∂L/∂a[m] = Σ g[m − j]·w[j], where g is 0 outside of its places.",
)
checks.assert_unchanged(
    torch.tensor([1.0, 2.0, 4.0, 8.0], device=here), row, name="a", hint="Add into a new tensor, not into a."
)
checks.assert_dtype(
    conv1d_gradients(torch.ones(3).double(), row.cpu().double(), kernel.cpu().double())[1],
    torch.float64,
    name="∂L/∂a of float64 numbers",
    hint="A new tensor takes the dtype and device of the arguments: torch.zeros_like(…) or grad.new_zeros(…).",
)
print("conv1d_gradients:input: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("conv1d_gradients")
for n, k in ((9, 4), (12, 5), (7, 7), (6, 1)):
    fresh_a, fresh_w = whole(fresh_generator, n), whole(fresh_generator, k)
    fresh_g = whole(fresh_generator, n - k + 1)
    checks.assert_close(
        conv1d_gradients(fresh_g, fresh_a, fresh_w)[1],
        reference.conv1d_gradients(fresh_g, fresh_a, fresh_w)[1],
        name=f"∂L/∂a of {n} other inputs with {k} weights",
        hint="∂L/∂a[m] = Σ g[m − j]·w[j], where g is 0 outside of its places.",
    )
### END HIDDEN TESTS

# %% [markdown]
# ## Part 3. Two dimensions
#
# ### Exercise 4. Convolution of pictures (2 points)
#
# A picture has rows, columns and channels. A kernel of $K \times M$ pixels looks at **all** $C$ channels at once and
# has its own weight for each. A layer has $O$ such kernels, each with a bias, and each makes one channel of the
# result. With stride $s$, on the picture $\tilde x$ that was padded with $p$ zeros on all four sides:
#
# $$y_{n,o,i,j} = b_o + \sum_{c=0}^{C-1} \sum_{k=0}^{K-1} \sum_{m=0}^{M-1} w_{o,c,k,m}\; \tilde x_{n,c,\,is+k,\,js+m}.$$
#
# In words: cut out the window whose corner is at row $is$ and column $js$, multiply it by the kernel, add up
# everything, add the bias. A number: on a picture of ones with 3 channels, a kernel of $5 \times 5$ ones answers $75$.
#
# | name | shape | what |
# |---|---|---|
# | `x` | (N, C, H, W) | pictures |
# | `w` | (O, C, K, M) | kernels; K rows and M columns need not be equal |
# | `b` | (O,) | biases |
# | result | (N, O, H', W') | $H' = \lfloor (H - K + 2p)/s \rfloor + 1$, and $W'$ likewise |
#
# Where the stride does not divide the room, round down, as `torch` does: the last rows are not looked at. Be naive:
# two loops over the places. `torch.nn.functional.pad(x, (p, p, p, p))` puts the zeros around.


# %% solution="conv2d"
def conv2d(x: Tensor, w: Tensor, b: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
    """Convolution of pictures, place by place.

    x: pictures (N, C, H, W).   w: kernels (O, C, K, M).   b: biases (O,).   stride, padding: in both directions.
    Returns (N, O, H', W').
    """
    ### BEGIN SOLUTION
    K, M = w.shape[2:]
    x = torch.nn.functional.pad(x, (padding, padding, padding, padding))  # (N, C, H + 2p, W + 2p)
    rows, columns = (x.shape[2] - K) // stride + 1, (x.shape[3] - M) // stride + 1
    y = x.new_zeros(len(x), len(w), rows, columns)
    for i in range(rows):
        for j in range(columns):
            window = x[:, :, i * stride : i * stride + K, j * stride : j * stride + M]  # (N, C, K, M)
            y[:, :, i, j] = torch.einsum("nckm,ockm->no", window, w) + b
    return y
    ### END SOLUTION


# %% tests="conv2d" points=2
checks.assert_by_hand(
    "conv2d",
    without=(*CONVOLUTION, *COLUMNS),
    hint="Two loops over the places, and the sum over the window yourself. torch.nn.functional.pad is fine.",
)
square = torch.arange(1.0, 10.0, device=here).reshape(1, 1, 3, 3)  # 1 2 3 / 4 5 6 / 7 8 9
digit_kernel = torch.tensor([[[[1.0, 10.0], [100.0, 1000.0]]]], device=here)
no_bias = torch.zeros(1, device=here)
y = conv2d(square, digit_kernel, no_bias)
checks.assert_shape(y, (1, 1, 2, 2), name="y", hint="(N, O, H', W'): a 2×2 kernel has 2×2 places on 3×3 pixels.")
checks.assert_dtype(y, torch.float32, name="y", hint="Keep the dtype of x.")
checks.assert_true(
    abs(y[0, 0, 0, 0].item() - 1245) > 1e-3,
    "y[0, 0, 0, 0]: found 1245, wanted 5421.",
    hint="The kernel is flipped. Its corner w[0, 0] meets the corner of the window: 1·1 + 10·2 + 100·4 + 1000·5.",
)
checks.assert_true(
    abs(y[0, 0, 0, 0].item() - 5241) > 1e-3,
    "y[0, 0, 0, 0]: found 5241, wanted 5421.",
    hint="Rows and columns of the kernel are exchanged: w[..., k, m] meets row i·s + k and column j·s + m.",
)
checks.assert_close(
    y,
    torch.tensor([[[[5421.0, 6532.0], [8754.0, 9865.0]]]], device=here),
    name="y of 1…9 with the kernel (1, 10 / 100, 1000)",
    hint="Each answer spells its window backwards: the window 1, 2, 4, 5 gives 5421. The kernel slides by one pixel.",
)
checks.assert_close(
    conv2d(square, digit_kernel, no_bias + 100),
    torch.tensor([[[[5521.0, 6632.0], [8854.0, 9965.0]]]], device=here),
    name="y with a bias of 100",
    hint="Every place adds the bias of its kernel, once.",
)
checks.assert_close(
    conv2d(square, digit_kernel, no_bias, stride=2),
    torch.tensor([[[[5421.0]]]], device=here),
    name="y with stride 2, which cuts",
    hint="A room of 1 pixel is no step of 2: one place in each direction, and the last row and column are not seen.",
)
checks.assert_close(
    conv2d(square, digit_kernel, no_bias, stride=2, padding=1),
    torch.tensor([[[[1000.0, 3200.0], [7040.0, 9865.0]]]], device=here),
    name="y with stride 2 and padding 1",
    hint="Zeros on all four sides make 5×5 pixels; the window of place (i, j) has its corner at (2·i, 2·j) of these.",
)
checks.assert_close(
    conv2d(torch.ones(1, 3, 5, 5, device=here), torch.ones(1, 3, 5, 5, device=here), no_bias),
    torch.full((1, 1, 1, 1), 75.0, device=here),
    name="y of ones with 3 channels and a kernel of 5×5",
    hint="A kernel looks at all channels at once: the sum runs over c as well, 3·25 here. A sum, not a mean.",
)
# batch, channels, kernels, odd and even, high and wide, stride that cuts, padding: against torch
for sizes, kernel, stride, padding, hint in (
    (
        (2, 1, 5, 5),
        (3, 1, 2, 2),
        1,
        0,
        "Two pictures, three kernels: every picture meets every kernel, with its bias.",
    ),
    ((2, 3, 6, 4), (2, 3, 3, 3), 1, 1, "H and W differ: count rows and columns apart."),
    (
        (1, 2, 5, 7),
        (2, 2, 3, 2),
        1,
        0,
        "The kernel has 3 rows and 2 columns: count its places each way apart.",
    ),
    ((1, 2, 8, 9), (2, 2, 3, 3), 3, 2, "Stride 3 with padding 2: corners at multiples of 3 of the padded picture."),
):
    x, w = whole(torch.Generator().manual_seed(1), *sizes), whole(torch.Generator().manual_seed(2), *kernel)
    b = whole(torch.Generator().manual_seed(3), kernel[0])
    kept = x.clone()
    checks.assert_close(
        conv2d(x, w, b, stride, padding),
        torch.nn.functional.conv2d(x, w, b, stride, padding),
        name=f"y of {sizes} with kernels {kernel}, stride {stride}, padding {padding}",
        hint=hint,
    )
    checks.assert_unchanged(kept, x, name="x", hint="Put the zeros around a copy, and write into a new tensor.")
checks.assert_dtype(
    conv2d(square.cpu().double(), digit_kernel.cpu().double(), no_bias.cpu().double()),
    torch.float64,
    name="y of float64 pictures",
    hint="A new tensor takes the dtype and device of the arguments: x.new_zeros(…).",
)
print("conv2d: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("conv2d")
for sizes, kernel, stride, padding in (
    ((2, 2, 6, 5), (3, 2, 2, 3), 2, 1),
    ((1, 1, 7, 4), (1, 1, 4, 1), 1, 0),
    ((3, 1, 4, 4), (2, 1, 1, 1), 3, 0),
    ((1, 3, 5, 6), (2, 3, 5, 6), 1, 2),
):
    x, w, b = (whole(fresh_generator, *shape) for shape in (sizes, kernel, kernel[:1]))
    checks.assert_close(
        conv2d(x, w, b, stride, padding),
        reference.conv2d(x, w, b, stride, padding),
        name=f"y of other pictures {sizes} with kernels {kernel}, stride {stride}, padding {padding}",
        hint="b[o] plus the sum over c, k, m of w[o, c, k, m]·x[n, c, i·s + k, j·s + m], on the padded picture.",
    )
### END HIDDEN TESTS

# %% explore="edges"
# explore: two kernels that see edges, on a handwritten digit. Try others
sobel = torch.tensor([[[[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]]]], device=here)
digit = data.digits("train").images[:1].to(here)  # (1, 1, 8, 8)
edges = conv2d(digit, torch.cat([sobel, sobel.mT]), torch.zeros(2, device=here), padding=1)  # (1, 2, 8, 8)
figure, axes = plt.subplots(1, 3, figsize=(8, 3))
for axis, picture, title in zip(
    axes, [digit[0, 0], *edges[0]], ["digit", "left and right", "top and bottom"], strict=True
):
    axis.imshow(picture.cpu(), cmap="gray")
    axis.set_title(title)
    axis.axis("off")
plt.show()

# %% [markdown]
# ### Exercise 5. Its three gradients (5 points)
#
# Again $g = \partial L/\partial y$ comes down, now of shape (N, O, H', W'). Look at one place $(i, j)$: there a window
# of the padded picture was multiplied by the kernels. So, going back,
#
# - each **bias** was added at every place of every picture: $\displaystyle \frac{\partial L}{\partial b_o} =
#   \sum_{n,i,j} g_{n,o,i,j}$;
# - each **weight** gathers what it met, at every place of every picture: $\displaystyle \frac{\partial L}{\partial
#   w_{o,c,k,m}} = \sum_{n,i,j} g_{n,o,i,j}\; \tilde x_{n,c,\,is+k,\,js+m}$;
# - each **pixel** gets something from every place that looked at it, through the weight that it was met with: place
#   $(i,j)$ adds $\displaystyle \sum_o g_{n,o,i,j}\, w_{o,c,k,m}$ to $\displaystyle \frac{\partial L}{\partial \tilde
#   x_{n,c,\,is+k,\,js+m}}$.
#
# The padded zeros get gradients as well, but nobody asked for them: **cut them off**, so that $\partial L/\partial x$
# has the shape of $x$. Pixels that a stride jumped over had no part in the loss, and their gradient is 0. A number:
# with $g = 1$ everywhere on $2 \times 2$ places of one picture, the bias has the slope 4.
#
# The loops are those of the forward pass. Inside them, one line for the weights and one for the pixels.
#
# | name | shape | what |
# |---|---|---|
# | `grad` | (N, O, H', W') | $\partial L/\partial y$ |
# | `x`, `w` | (N, C, H, W), (O, C, K, M) | as they were in the forward pass |
# | result | (N, C, H, W), (O, C, K, M), (O,) | $\partial L/\partial$ of $x$, $w$ and $b$ |


# %% solution="conv2d_gradients"
def conv2d_gradients(
    grad: Tensor, x: Tensor, w: Tensor, stride: int = 1, padding: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of a loss with respect to the pictures, the kernels and the biases of `conv2d`.

    grad: ∂L/∂y (N, O, H', W').   x: pictures (N, C, H, W).   w: kernels (O, C, K, M).
    Returns ∂L/∂x (N, C, H, W), ∂L/∂w (O, C, K, M), ∂L/∂b (O,).
    """
    ### BEGIN SOLUTION
    K, M = w.shape[2:]
    padded = torch.nn.functional.pad(x, (padding, padding, padding, padding))  # (N, C, H + 2p, W + 2p)
    d_padded, dw = torch.zeros_like(padded), torch.zeros_like(w)
    for i in range(grad.shape[2]):
        for j in range(grad.shape[3]):
            g = grad[:, :, i, j]  # (N, O)
            rows, columns = slice(i * stride, i * stride + K), slice(j * stride, j * stride + M)
            dw += torch.einsum("no,nckm->ockm", g, padded[:, :, rows, columns])
            d_padded[:, :, rows, columns] += torch.einsum("no,ockm->nckm", g, w)
    H, W = x.shape[2:]
    return d_padded[:, :, padding : padding + H, padding : padding + W], dw, grad.sum(dim=(0, 2, 3))
    ### END SOLUTION


# %% tests="conv2d_gradients" points=1
checks.assert_by_hand(
    "conv2d_gradients",
    without=(*CONVOLUTION, *COLUMNS, *AUTOGRAD),
    hint="The loops of the forward pass, and the two sums inside them, yourself.",
)
pictures, kernels = torch.ones(2, 1, 3, 3, device=here), torch.ones(3, 1, 2, 2, device=here)
grad = torch.tensor([1.0, 10.0, 100.0], device=here)[None, :, None, None].expand(2, 3, 2, 2).contiguous()
answer = conv2d_gradients(grad, pictures, kernels)
checks.assert_true(
    isinstance(answer, list | tuple) and len(answer) == 3,
    "conv2d_gradients: wanted three tensors.",
    hint="End with: return dx, dw, db.",
)
checks.assert_shape(
    answer[2], (3,), name="∂L/∂b", hint="One slope for each kernel: sum over the pictures of the batch, rows, columns."
)
checks.assert_close(
    answer[2],
    torch.tensor([8.0, 80.0, 800.0], device=here),
    name="∂L/∂b of 2 pictures with 2×2 places",
    hint="The bias was added at 4 places of each of the 2 pictures of the batch: a sum over all 8, not a mean.",
)
checks.assert_dtype(answer[2], torch.float32, name="∂L/∂b", hint="Keep the dtype of grad.")
print("conv2d_gradients: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("conv2d_gradients")
x, w = whole(fresh_generator, 3, 2, 5, 4), whole(fresh_generator, 4, 2, 3, 2)
fresh_g = whole(fresh_generator, 3, 4, 3, 3)
checks.assert_close(
    conv2d_gradients(fresh_g, x, w)[2],
    reference.conv2d_gradients(fresh_g, x, w)[2],
    name="∂L/∂b of another batch",
    hint="Sum over n, i and j.",
)
### END HIDDEN TESTS

# %% tests="conv2d_gradients:weight" points=2
square = torch.arange(1.0, 10.0, device=here).reshape(1, 1, 3, 3)  # 1 2 3 / 4 5 6 / 7 8 9
digit_kernel = torch.tensor([[[[1.0, 10.0], [100.0, 1000.0]]]], device=here)
corner = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]], device=here)  # only place (0, 0) counts
dw = conv2d_gradients(corner, square, digit_kernel)[1]
checks.assert_shape(dw, (1, 1, 2, 2), name="∂L/∂w", hint="One slope for each weight: the shape of w.")
checks.assert_true(
    not torch.equal(dw.cpu().flatten(), torch.tensor([5.0, 4.0, 2.0, 1.0])),
    "∂L/∂w: found the window 1, 2, 4, 5 backwards.",
    hint="The kernel is flipped. Forwards w[k, m] met row i·s + k and column j·s + m; here it meets the same.",
)
checks.assert_close(
    dw,
    torch.tensor([[[[1.0, 2.0], [4.0, 5.0]]]], device=here),
    name="∂L/∂w when only place (0, 0) counts",
    hint="There each weight met one pixel of 1, 2, 4, 5. Other places, with g = 0, wipe nothing out: use +=.",
)
checks.assert_close(
    conv2d_gradients(torch.ones(1, 1, 2, 2, device=here), square, digit_kernel)[1],
    torch.tensor([[[[12.0, 16.0], [24.0, 28.0]]]], device=here),
    name="∂L/∂w when all places count",
    hint="The four windows add up: 1 + 2 + 4 + 5 for the first weight. Add with +=, and do not take the mean.",
)
checks.assert_close(
    conv2d_gradients(torch.ones(2, 1, 2, 2, device=here), square.repeat(2, 1, 1, 1), digit_kernel)[1],
    torch.tensor([[[[24.0, 32.0], [48.0, 56.0]]]], device=here),
    name="∂L/∂w of the same picture twice in the batch",
    hint="Both pictures used the weights: sum over the batch.",
)
wide = torch.arange(1.0, 26.0, device=here).reshape(1, 1, 5, 5)
last = torch.tensor([[[[0.0, 0.0], [0.0, 1.0]]]], device=here)  # only place (1, 1) counts
checks.assert_close(
    conv2d_gradients(last, wide, torch.ones(1, 1, 3, 3, device=here), stride=2)[1],
    wide[:, :, 2:, 2:].contiguous(),
    name="∂L/∂w with stride 2 when only place (1, 1) counts",
    hint="The stride belongs here too: the window of place (i, j) has its corner at (i·stride, j·stride).",
)
checks.assert_close(
    conv2d_gradients(
        torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]], device=here), square, torch.ones(1, 1, 4, 4, device=here), padding=1
    )[1],
    torch.nn.functional.pad(square, (1, 0, 1, 0)),
    name="∂L/∂w with padding 1 when only place (0, 0) counts",
    hint="The kernel slid over the padded picture, and met zeros at the edge: pad x here as in the forward pass.",
)
for sizes, kernel, stride, padding in (((2, 3, 5, 4), (2, 3, 3, 2), 1, 1), ((1, 1, 6, 8), (2, 1, 3, 3), 2, 0)):
    x, b = whole(torch.Generator().manual_seed(1), *sizes), torch.zeros(kernel[0]).double()
    x = x.cpu().double()
    checks.assert_true(
        gradients_agree(
            lambda w, x=x, b=b, s=stride, p=padding: torch.nn.functional.conv2d(x, w, b, s, p),
            lambda g, w, x=x, s=stride, p=padding: (conv2d_gradients(g, x, w, s, p)[1],),
            whole(torch.Generator().manual_seed(2), *kernel),
        ),
        f"∂L/∂w of {sizes} with kernels {kernel}, stride {stride}, padding {padding}: gradcheck finds other slopes.",
        hint="Sum g[n, o, i, j]·x[n, c, i·s + k, j·s + m] over n, i, j. Every kernel has its g, every channel its x.",
    )
checks.assert_dtype(
    conv2d_gradients(corner.cpu().double(), square.cpu().double(), digit_kernel.cpu().double())[1],
    torch.float64,
    name="∂L/∂w of float64 numbers",
    hint="A new tensor takes the dtype and device of the arguments: torch.zeros_like(…) or grad.new_zeros(…).",
)
print("conv2d_gradients:weight: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("conv2d_gradients")
for sizes, kernel, stride, padding in (
    ((2, 2, 6, 5), (3, 2, 2, 3), 2, 1),
    ((1, 1, 7, 4), (1, 1, 4, 1), 1, 0),
    ((2, 3, 8, 8), (2, 3, 3, 3), 3, 0),
):
    x, w = whole(fresh_generator, *sizes), whole(fresh_generator, *kernel)
    fresh_g = torch.nn.functional.conv2d(x, w, None, stride, padding)
    fresh_g = whole(fresh_generator, *fresh_g.shape)
    checks.assert_close(
        conv2d_gradients(fresh_g, x, w, stride, padding)[1],
        reference.conv2d_gradients(fresh_g, x, w, stride, padding)[1],
        name=f"∂L/∂w of other pictures {sizes} with kernels {kernel}, stride {stride}, padding {padding}",
        hint="Sum g[n, o, i, j]·x[n, c, i·s + k, j·s + m] over n, i, j, on the padded picture.",
    )
### END HIDDEN TESTS

# %% tests="conv2d_gradients:input" points=2
square = torch.arange(1.0, 10.0, device=here).reshape(1, 1, 3, 3)
digit_kernel = torch.tensor([[[[1.0, 10.0], [100.0, 1000.0]]]], device=here)
corner = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]], device=here)  # only place (0, 0) counts
dx = conv2d_gradients(corner, square, digit_kernel)[0]
checks.assert_shape(dx, (1, 1, 3, 3), name="∂L/∂x", hint="One slope for each pixel: the shape of x.")
checks.assert_true(
    abs(dx[0, 0, 0, 0].item() - 1000) > 1e-3,
    "∂L/∂x: the corner pixel has the slope 1000, wanted 1.",
    hint="The kernel is flipped. Pixel (0, 0) was met with w[0, 0] = 1.",
)
checks.assert_close(
    dx,
    torch.tensor([[[[1.0, 10.0, 0.0], [100.0, 1000.0, 0.0], [0.0, 0.0, 0.0]]]], device=here),
    name="∂L/∂x when only place (0, 0) counts",
    hint="It sends g times w back to its pixels. Other places, with g = 0, wipe nothing out: these add.",
)
checks.assert_close(
    conv2d_gradients(torch.ones(1, 1, 2, 2, device=here), square, digit_kernel)[0],
    torch.tensor([[[[1.0, 11.0, 10.0], [101.0, 1111.0, 1010.0], [100.0, 1100.0, 1000.0]]]], device=here),
    name="∂L/∂x when all places count",
    hint="All four windows hold the pixel in the middle, each with another weight: these add, use += and not =.",
)
checks.assert_close(
    conv2d_gradients(corner, square, torch.ones(1, 1, 2, 2, device=here), stride=2, padding=1)[0],
    torch.tensor([[[[1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]]], device=here),
    name="∂L/∂x with padding 1 when only place (0, 0) counts",
    hint="Three of these pixels are padding. Cut p rows and columns off on all sides, down to the shape of x.",
)
checks.assert_close(
    conv2d_gradients(
        torch.tensor([[[[0.0, 0.0], [0.0, 1.0]]]], device=here),
        torch.ones(1, 1, 6, 6, device=here),
        torch.ones(1, 1, 3, 3, device=here),
        stride=2,
    )[0],
    torch.nn.functional.pad(torch.ones(1, 1, 3, 3, device=here), (2, 1, 2, 1)),
    name="∂L/∂x with stride 2, which cuts, when only place (1, 1) counts",
    hint="The window of place (i, j) has its corner at (i·stride, j·stride). Row and column 5 are never looked at: 0.",
)
for sizes, kernel, stride, padding in (((2, 3, 5, 4), (2, 3, 3, 2), 1, 1), ((1, 1, 6, 8), (2, 1, 3, 3), 2, 0)):
    w, b = whole(torch.Generator().manual_seed(2), *kernel).cpu().double(), torch.zeros(kernel[0]).double()
    checks.assert_true(
        gradients_agree(
            lambda x, w=w, b=b, s=stride, p=padding: torch.nn.functional.conv2d(x, w, b, s, p),
            lambda g, x, w=w, s=stride, p=padding: (conv2d_gradients(g, x, w, s, p)[0],),
            whole(torch.Generator().manual_seed(1), *sizes),
        ),
        f"∂L/∂x of {sizes} with kernels {kernel}, stride {stride}, padding {padding}: gradcheck finds other slopes.",
        hint="Place (i, j) adds Σ g[n, o, i, j]·w[o, c, k, m] over the kernels to pixel (i·s + k, j·s + m).",
    )
checks.assert_dtype(
    conv2d_gradients(corner.cpu().double(), square.cpu().double(), digit_kernel.cpu().double())[0],
    torch.float64,
    name="∂L/∂x of float64 numbers",
    hint="A new tensor takes the dtype and device of the arguments: torch.zeros_like(…) or grad.new_zeros(…).",
)
print("conv2d_gradients:input: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("conv2d_gradients")
for sizes, kernel, stride, padding in (
    ((2, 2, 6, 5), (3, 2, 2, 3), 2, 1),
    ((1, 1, 7, 4), (1, 1, 4, 1), 1, 0),
    ((2, 3, 8, 8), (2, 3, 3, 3), 3, 2),
):
    x, w = whole(fresh_generator, *sizes), whole(fresh_generator, *kernel)
    fresh_g = torch.nn.functional.conv2d(x, w, None, stride, padding)
    fresh_g = whole(fresh_generator, *fresh_g.shape)
    checks.assert_close(
        conv2d_gradients(fresh_g, x, w, stride, padding)[0],
        reference.conv2d_gradients(fresh_g, x, w, stride, padding)[0],
        name=f"∂L/∂x of other pictures {sizes} with kernels {kernel}, stride {stride}, padding {padding}",
        hint="Every place adds g·w to the pixels of its window; then the padding is cut off.",
    )
### END HIDDEN TESTS

# %% [markdown]
# ## Part 4. Fast
#
# ### Exercise 6. Pictures to columns (2 points)
#
# Your convolution is right and slow: it asks `torch` for something at every place, thousands of times for one picture.
# The arithmetic is not the problem, the asking is. The cure is old: write every window as a **column** of a matrix,
# and *all* sums over windows become **one** product of matrices. The function that makes these columns is known as
# `im2col`.
#
# A window of $C$ channels, $K$ rows and $M$ columns has $C \cdot K \cdot M$ pixels: one column. The windows are taken
# in reading order, row by row:
#
# $$\mathrm{cols}_{n,\;(c K + k) M + m,\;\, i W' + j} = \tilde x_{n,c,\,is+k,\,js+m}.$$
#
# In words: column $iW' + j$ holds the window of place $(i, j)$; in it channel 0 comes first, row by row, then
# channel 1. A number: $3 \times 3$ pixels have four windows of $2 \times 2$, so 4 columns of 4.
#
# The points are for **counted work**, not for seconds: however large the picture, the number of `torch` calls must
# stay the same. So no loop over places. A loop over the $K \cdot L$ positions in the kernel is fine: for one position,
# the pixels of *all* places are one slice with steps, `x[:, :, k : … : s, m : … : s]`.
#
# | name | shape | what |
# |---|---|---|
# | `x` | (N, C, H, W) | pictures |
# | `kernel` | (K, M) | rows and columns of a window, two whole numbers |
# | result | (N, C·K·M, H'·W') | one window a column; H', W' rounded down as before |


# %% solution="im2col"
def im2col(x: Tensor, kernel: tuple[int, int], stride: int = 1, padding: int = 0) -> Tensor:
    """Every window of the padded pictures as a column.

    x: pictures (N, C, H, W).   kernel: rows K and columns M of a window.   Returns (N, C·K·M, H'·W').
    """
    ### BEGIN SOLUTION
    (N, C), (K, M) = x.shape[:2], kernel
    x = torch.nn.functional.pad(x, (padding, padding, padding, padding))  # (N, C, H + 2p, W + 2p)
    rows, columns = (x.shape[2] - K) // stride + 1, (x.shape[3] - M) // stride + 1
    positions = [
        x[:, :, k : k + (rows - 1) * stride + 1 : stride, m : m + (columns - 1) * stride + 1 : stride]
        for k in range(K)
        for m in range(M)
    ]  # K·M times (N, C, H', W'): what one position of the kernel sees, at all places
    return torch.stack(positions, dim=2).reshape(N, C * K * M, rows * columns)
    ### END SOLUTION


# %% tests="im2col" points=1
checks.assert_by_hand(
    "im2col", without=(*COLUMNS, *CONVOLUTION), hint="Slices of x, one for each position in the kernel, put together."
)
wide = torch.arange(1.0, 13.0, device=here).reshape(1, 1, 3, 4)  # 1 2 3 4 / 5 6 7 8 / 9 10 11 12
cols = im2col(wide, (2, 2))
checks.assert_shape(
    cols, (1, 4, 6), name="cols", hint="(N, C·K·M, H'·W'): six windows, each a column of four pixels and not a row."
)
checks.assert_dtype(cols, torch.float32, name="cols", hint="Keep the dtype of x.")
checks.assert_close(
    cols[0, :, 0],
    torch.tensor([1.0, 2.0, 5.0, 6.0], device=here),
    name="the first column",
    hint="The first window, row by row: 1, 2, 5, 6.",
)
checks.assert_close(
    cols[0, :, 1],
    torch.tensor([2.0, 3.0, 6.0, 7.0], device=here),
    name="the second column",
    hint="Places in reading order: the second window lies to the right of the first, not below it.",
)
square = torch.arange(1.0, 10.0, device=here).reshape(1, 1, 3, 3)  # 1 2 3 / 4 5 6 / 7 8 9
checks.assert_close(
    im2col(torch.stack([square[0, 0], 10 * square[0, 0]])[None], (3, 3))[0, :, 0],
    torch.cat([square.flatten(), 10 * square.flatten()]),
    name="the column of a window with two channels",
    hint="In a column all of channel 0 comes first, then all of channel 1: the axes go c, k, m.",
)
checks.assert_close(
    im2col(square, (2, 2), stride=2, padding=1)[0],
    torch.tensor([[0.0, 0, 0, 5], [0, 0, 4, 6], [0, 2, 0, 8], [1, 3, 7, 9]], device=here),
    name="cols with stride 2 and padding 1",
    hint="Zeros around first, then windows with corners at multiples of the stride. Row 0 holds their corners.",
)
for sizes, kernel, stride, padding, hint in (
    ((2, 3, 6, 5), (2, 3), 1, 0, "Rows and columns of pictures and kernels differ here: count each apart."),
    ((2, 1, 7, 8), (3, 3), 3, 1, "The stride cuts here: round down, and take no place that is not whole."),
    ((1, 2, 4, 4), (1, 1), 2, 0, "A kernel of one pixel takes every second pixel here."),
):
    x = whole(torch.Generator().manual_seed(1), *sizes)
    kept = x.clone()
    checks.assert_close(
        im2col(x, kernel, stride, padding),
        torch.nn.functional.unfold(x, kernel, stride=stride, padding=padding),
        name=f"cols of {sizes}, kernel {kernel}, stride {stride}, padding {padding}",
        hint=hint,
    )
    checks.assert_unchanged(kept, x, name="x", hint="Put the zeros around a copy.")
checks.assert_dtype(
    im2col(square.cpu().double(), (2, 2)),
    torch.float64,
    name="cols of float64 pictures",
    hint="A new tensor takes the dtype and device of the arguments: x.new_zeros(…).",
)
print("im2col: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("im2col")
for sizes, kernel, stride, padding in (
    ((2, 2, 6, 9), (3, 2), 2, 1),
    ((1, 1, 5, 5), (5, 5), 1, 0),
    ((1, 4, 4, 7), (2, 2), 3, 2),
):
    x = whole(fresh_generator, *sizes)
    checks.assert_close(
        im2col(x, kernel, stride, padding),
        reference.im2col(x, kernel, stride, padding),
        name=f"cols of other pictures {sizes}, kernel {kernel}, stride {stride}, padding {padding}",
        hint="Column i·W' + j holds the window of place (i, j), channel by channel, row by row.",
    )
### END HIDDEN TESTS

# %% tests="im2col:counted" points=1
small, large = (whole(torch.Generator().manual_seed(1), 1, 2, *size) for size in ((6, 6), (26, 31)))
few, many = (checks.torch_calls(im2col, x, (3, 3))[1] for x in (small, large))
checks.assert_true(
    many <= few + 10,
    f"im2col: {few} torch calls for 6×6 pixels, {many} for 26×31.",
    hint="The calls grow with the picture: somewhere a loop runs over places. Loop over the kernel's positions only.",
)
checks.assert_shape(
    im2col(large, (3, 3)), (1, 18, 696), name="cols of 26×31 pixels", hint="All windows, C·K·M pixels each."
)
print(f"im2col:counted: passed. {many} torch calls, however large the picture.")
### BEGIN HIDDEN TESTS
fresh_x = whole(checks.fresh("im2col"), 1, 1, 40, 23)
cols, many = checks.torch_calls(im2col, fresh_x, (2, 3), 2, 1)
checks.assert_close(
    cols,
    reference.im2col(fresh_x, (2, 3), 2, 1),
    name="cols of a large picture",
    hint="Column i·W' + j holds the window of place (i, j).",
)
few = checks.torch_calls(im2col, fresh_x[:, :, :6, :6], (2, 3), 2, 1)[1]
checks.assert_true(
    many <= few + 10,
    f"im2col: {few} torch calls for 6×6 pixels, {many} for 40×23, with stride 2.",
    hint="Loop over the kernel's positions, never over places.",
)
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 7. Columns to pictures (2 points)
#
# Going back we shall need the opposite. Every column brings a gradient for each pixel of its window, and a pixel that
# lay in several windows gets the **sum**:
#
# $$\tilde x_{n,c,u,v} = \sum_{i,j,k,m:\; is+k=u,\; js+m=v} \mathrm{cols}_{n,\;(cK+k)M+m,\; iW'+j},$$
#
# with the padding cut off at the end. So `col2im` is not the inverse of `im2col` but its **transpose** (adjoint): both
# are linear, and for all $x$ and $c$ the inner products $\langle \mathrm{im2col}(x), c \rangle$ and
# $\langle x, \mathrm{col2im}(c) \rangle$ are the same number. That is what a gradient needs. A number: $3 \times 3$
# ones, taken to columns with a $2 \times 2$ kernel and back, have a 4 in the middle, since four windows hold that
# pixel, and a 1 in each corner.
#
# Again the number of `torch` calls must not grow with the picture.
#
# | name | shape | what |
# |---|---|---|
# | `cols` | (N, C·K·M, H'·W') | one window a column |
# | `size` | (H, W) | rows and columns of the picture, without padding |
# | `kernel` | (K, M) | rows and columns of a window |
# | result | (N, C, H, W) | sums; pixels in no window are 0 |


# %% solution="col2im"
def col2im(cols: Tensor, size: tuple[int, int], kernel: tuple[int, int], stride: int = 1, padding: int = 0) -> Tensor:
    """Adds every column to the pixels that its window was made of: the transpose of `im2col`.

    cols: (N, C·K·M, H'·W').   size: (H, W) without padding.   kernel: (K, M).   Returns (N, C, H, W).
    """
    ### BEGIN SOLUTION
    (H, W), (K, M) = size, kernel
    height, width = H + 2 * padding, W + 2 * padding
    rows, columns = (height - K) // stride + 1, (width - M) // stride + 1
    windows = cols.unflatten(1, (-1, K, M)).unflatten(-1, (rows, columns))  # (N, C, K, M, H', W')
    x = cols.new_zeros(*windows.shape[:2], height, width)
    for k in range(K):
        for m in range(M):
            pixels = x[:, :, k : k + (rows - 1) * stride + 1 : stride, m : m + (columns - 1) * stride + 1 : stride]
            pixels += windows[:, :, k, m]  # a slice is a view: this adds into x
    return x[:, :, padding : padding + H, padding : padding + W]
    ### END SOLUTION


# %% tests="col2im" points=2
checks.assert_by_hand(
    "col2im", without=(*COLUMNS, *CONVOLUTION, *AUTOGRAD), hint="Add into slices of a picture of zeros."
)
ones = torch.ones(1, 4, 4, device=here)  # four windows of 2×2, all ones
picture = col2im(ones, (3, 3), (2, 2))
checks.assert_shape(picture, (1, 1, 3, 3), name="picture", hint="(N, C, H, W), with the H and W of `size`.")
checks.assert_dtype(picture, torch.float32, name="picture", hint="Keep the dtype of cols.")
checks.assert_true(
    abs(picture[0, 0, 1, 1].item() - 1) > 1e-3,
    "picture: the pixel in the middle is 1, wanted 4.",
    hint="Four windows hold it and their entries add. Assigning overwrites, and dividing undoes it: use +=.",
)
checks.assert_close(
    picture,
    torch.tensor([[[[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]]], device=here),
    name="picture of four windows of ones",
    hint="How many windows hold each pixel? One a corner, two a side, four the middle: all of them add.",
)
only = torch.zeros(1, 4, 4, device=here)
only[0, :, 1] = torch.tensor([1.0, 2.0, 3.0, 4.0])  # only the window at the top right
checks.assert_close(
    col2im(only, (3, 3), (2, 2)),
    torch.tensor([[[[0.0, 1.0, 2.0], [0.0, 3.0, 4.0], [0.0, 0.0, 0.0]]]], device=here),
    name="picture of the second window alone",
    hint="Column 1 is the window to the right of the first, and holds it row by row.",
)
checks.assert_close(
    col2im(ones, (3, 3), (2, 2), stride=2, padding=1),
    torch.ones(1, 1, 3, 3, device=here),
    name="picture with stride 2 and padding 1",
    hint="Add into the padded picture, corners at multiples of the stride; then cut p off: H and W as in `size`.",
)
checks.assert_close(
    col2im(ones, (5, 5), (2, 2), stride=2),
    torch.nn.functional.pad(torch.ones(1, 1, 4, 4, device=here), (0, 1, 0, 1)),
    name="picture whose last row and column are in no window",
    hint="The stride cuts: a pixel that no window held stays 0, and the picture still has the H and W of `size`.",
)
for sizes, kernel, stride, padding in (
    ((2, 3, 6, 5), (2, 3), 1, 0),
    ((2, 1, 7, 8), (3, 3), 2, 1),
    ((1, 2, 5, 9), (2, 4), 3, 1),
):
    x = whole(torch.Generator().manual_seed(1), *sizes)
    cols = torch.nn.functional.unfold(x, kernel, stride=stride, padding=padding)
    kept = cols.clone()
    checks.assert_close(
        col2im(cols, sizes[2:], kernel, stride, padding),
        torch.nn.functional.fold(cols, sizes[2:], kernel, stride=stride, padding=padding),
        name=f"picture of {sizes}, kernel {kernel}, stride {stride}, padding {padding}",
        hint="Entry (c·K + k)·M + m of column i·W' + j belongs to pixel (i·s + k, j·s + m). Rows and columns apart.",
    )
    checks.assert_unchanged(kept, cols, name="cols", hint="Add into a new tensor of zeros.")
few, many = (
    checks.torch_calls(col2im, torch.ones(1, 9, (n - 2) ** 2, device=here), (n, n), (3, 3))[1] for n in (6, 26)
)
checks.assert_true(
    many <= few + 10,
    f"col2im: {few} torch calls for 6×6 pixels, {many} for 26×26.",
    hint="The calls grow with the picture: somewhere a loop runs over places. Loop over the kernel's positions only.",
)
checks.assert_dtype(
    col2im(ones.cpu().double(), (3, 3), (2, 2)),
    torch.float64,
    name="picture of float64 columns",
    hint="A new tensor takes the dtype and device of the arguments: cols.new_zeros(…).",
)
print("col2im: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("col2im")
for channels, size, kernel, stride, padding in (
    (2, (6, 9), (3, 2), 2, 1),
    (1, (5, 5), (5, 5), 1, 0),
    (3, (4, 7), (2, 2), 3, 2),
):
    places = torch.nn.functional.unfold(torch.ones(1, 1, *size), kernel, stride=stride, padding=padding).shape[2]
    cols = whole(fresh_generator, 2, channels * kernel[0] * kernel[1], places)
    checks.assert_close(
        col2im(cols, size, kernel, stride, padding),
        reference.col2im(cols, size, kernel, stride, padding),
        name=f"picture of other columns, {size}, kernel {kernel}, stride {stride}, padding {padding}",
        hint="Every entry is added to its pixel of the padded picture; then the padding is cut off.",
    )
### END HIDDEN TESTS

# %% explore="there_and_back"
# explore: how many numbers the columns hold, and what comes back: how many windows hold each pixel
one = torch.ones(1, 1, 5, 5, device=here)
cols = im2col(one, (3, 3), padding=1)  # (1, 9, 25)
print(f"A picture of {one.numel()} numbers has columns of {cols.numel()}: {cols.numel() // one.numel()} times as many.")
print(col2im(cols, (5, 5), (3, 3), padding=1)[0, 0].long().tolist())

# %% [markdown]
# ### Exercise 8. The fast convolution (2 points)
#
# With all windows as columns, the layer of exercise 4 is a product of matrices. Write the kernels as the rows of a
# matrix $W$ of shape (O, C·K·M). Then
#
# $$Y = W \,\mathrm{cols} + b, \qquad Y \text{ of shape } (N, O, H' W'),$$
#
# and only the shape must be put right. In words: one row of $W$ times one column of $\mathrm{cols}$ is one kernel on
# one window. A number: 16 kernels on 1,000 windows are 16,000 such sums, and one call.
#
# So that this exercise does not need your answers above, the next cell has `columns` and `uncolumns`, which do what
# `im2col` and `col2im` do. Take these or your own. Arguments, result and rounding are those of `conv2d`; the number of
# `torch` calls must not grow with the picture.

# %% setup="columns"


def columns(x: Tensor, kernel: tuple[int, int], stride: int = 1, padding: int = 0) -> Tensor:
    """What `im2col` does: (N, C, H, W) to (N, C·K·M, H'·W'), one window a column."""
    return torch.nn.functional.unfold(x, kernel, stride=stride, padding=padding)


def uncolumns(
    cols: Tensor, size: tuple[int, int], kernel: tuple[int, int], stride: int = 1, padding: int = 0
) -> Tensor:
    """What `col2im` does: (N, C·K·M, H'·W') to (N, C, H, W), every entry added to its pixel."""
    return torch.nn.functional.fold(cols, size, kernel, stride=stride, padding=padding)


# %% solution="fast_conv2d"
def fast_conv2d(x: Tensor, w: Tensor, b: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
    """Convolution of pictures as one product of matrices.

    x: pictures (N, C, H, W).   w: kernels (O, C, K, M).   b: biases (O,).   stride, padding: in both directions.
    Returns (N, O, H', W').
    """
    ### BEGIN SOLUTION
    K, M = w.shape[2:]
    rows = (x.shape[2] + 2 * padding - K) // stride + 1
    y = w.flatten(1) @ columns(x, (K, M), stride, padding) + b[:, None]  # (O, CKM) @ (N, CKM, H'W') → (N, O, H'W')
    return y.unflatten(2, (rows, -1))
    ### END SOLUTION


# %% tests="fast_conv2d" points=2
checks.assert_by_hand(
    "fast_conv2d", without=CONVOLUTION, hint="columns(x, …), then one product with w.flatten(1), then the bias."
)
square = torch.arange(1.0, 10.0, device=here).reshape(1, 1, 3, 3)
digit_kernel = torch.tensor([[[[1.0, 10.0], [100.0, 1000.0]]]], device=here)
no_bias = torch.zeros(1, device=here)
y = fast_conv2d(square, digit_kernel, no_bias)
checks.assert_shape(y, (1, 1, 2, 2), name="y", hint="The product is (N, O, H'·W'): give it rows and columns.")
checks.assert_close(
    y,
    torch.tensor([[[[5421.0, 6532.0], [8754.0, 9865.0]]]], device=here),
    name="y of 1…9 with the kernel (1, 10 / 100, 1000)",
    hint="A row of w.flatten(1) meets a column of columns(x, …). The kernel is not flipped.",
)
checks.assert_close(
    fast_conv2d(square, digit_kernel.repeat(2, 1, 1, 1), torch.tensor([500.0, 300.0], device=here)),
    torch.tensor([[[5421.0, 6532.0], [8754.0, 9865.0]]], device=here)
    + torch.tensor([[[[500.0]], [[300.0]]]], device=here),
    name="y of two kernels with the biases 500 and 300",
    hint="The bias belongs to the kernel, axis 1 of y: b[:, None] beside (O, H'·W').",
)
for sizes, kernel, stride, padding, hint in (
    (
        (2, 3, 6, 4),
        (2, 3, 3, 3),
        1,
        1,
        "H' and W' differ: (N, O, H'·W') has the rows one after the other.",
    ),
    ((3, 2, 5, 7), (4, 2, 3, 2), 1, 0, "Rows and columns of the kernel differ: K = w.shape[2], M = w.shape[3]."),
    ((1, 2, 8, 9), (2, 2, 3, 3), 3, 2, "Stride and padding belong into columns(…) and into the number of rows."),
):
    x, w = whole(torch.Generator().manual_seed(1), *sizes), whole(torch.Generator().manual_seed(2), *kernel)
    b = whole(torch.Generator().manual_seed(3), kernel[0])
    checks.assert_close(
        fast_conv2d(x, w, b, stride, padding),
        torch.nn.functional.conv2d(x, w, b, stride, padding),
        name=f"y of {sizes} with kernels {kernel}, stride {stride}, padding {padding}",
        hint=hint,
    )
few, many = (
    checks.torch_calls(fast_conv2d, torch.ones(2, 1, n, n, device=here), digit_kernel, no_bias)[1] for n in (6, 26)
)
checks.assert_true(
    many <= few + 10,
    f"fast_conv2d: {few} torch calls for 6×6 pixels, {many} for 26×26.",
    hint="The calls grow with the picture: somewhere a loop runs over places. One product does all of them.",
)
print(f"fast_conv2d: passed. {many} torch calls, however large the picture.")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("fast_conv2d")
for sizes, kernel, stride, padding in (
    ((2, 2, 6, 5), (3, 2, 2, 3), 2, 1),
    ((1, 1, 7, 4), (1, 1, 4, 1), 1, 0),
    ((1, 3, 5, 6), (2, 3, 5, 6), 1, 2),
):
    x, w, b = (whole(fresh_generator, *shape) for shape in (sizes, kernel, kernel[:1]))
    checks.assert_close(
        fast_conv2d(x, w, b, stride, padding),
        reference.fast_conv2d(x, w, b, stride, padding),
        name=f"y of other pictures {sizes} with kernels {kernel}, stride {stride}, padding {padding}",
        hint="w.flatten(1) @ columns(x, (K, M), stride, padding), plus the bias, as (N, O, H', W').",
    )
### END HIDDEN TESTS

# %% explore="how_much_faster"
# explore: seconds, which cost nothing and earn nothing here. Larger pictures make the difference larger
for sizes in [(1, 1, 16, 16), (2, 3, 32, 32), (2, 3, 64, 64)]:
    x, w = torch.randn(sizes, device=here), torch.randn(8, sizes[1], 3, 3, device=here)
    b, seconds = torch.zeros(8, device=here), []
    for convolution, times in [(conv2d, 1), (fast_conv2d, 20)]:
        convolution(x, w, b, 1, 1)  # once to warm up
        if here.type == "cuda":
            torch.cuda.synchronize()
        started = time.perf_counter()
        for _ in range(times):
            convolution(x, w, b, 1, 1)
        if here.type == "cuda":
            torch.cuda.synchronize()
        seconds.append((time.perf_counter() - started) / times)
    naive, fast = seconds
    print(f"{sizes}: naive {1000 * naive:.1f} ms, fast {1000 * fast:.2f} ms: {naive / fast:.0f} times as fast")

# %% [markdown]
# ### Exercise 9. Its gradients (2 points)
#
# $Y = W \,\mathrm{cols} + b$ is a linear layer for every window. With $G = \partial L/\partial Y$ of shape
# (N, O, H'·W'), going back is two products and what you have already:
#
# $$\frac{\partial L}{\partial W} = \sum_n G_n\, \mathrm{cols}_n^\top, \qquad
# \frac{\partial L}{\partial\, \mathrm{cols}} = W^\top G, \qquad
# \frac{\partial L}{\partial x} = \mathrm{col2im}\!\left(\frac{\partial L}{\partial\, \mathrm{cols}}\right).$$
#
# In words: the weights gather what they met; every column gets its gradient from all kernels; and since `im2col`
# copied a pixel into several columns, `col2im` adds up what comes back. The bias is as before. A number: with $G = 1$
# at one place and one kernel, the column of that place gets exactly the kernel.
#
# Arguments and results are those of `conv2d_gradients`. `columns` and `uncolumns` are there, and the number of
# `torch` calls must not grow with the picture.


# %% solution="fast_conv2d_gradients"
def fast_conv2d_gradients(
    grad: Tensor, x: Tensor, w: Tensor, stride: int = 1, padding: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of a loss with respect to the pictures, the kernels and the biases of `fast_conv2d`.

    grad: ∂L/∂y (N, O, H', W').   x: pictures (N, C, H, W).   w: kernels (O, C, K, M).
    Returns ∂L/∂x (N, C, H, W), ∂L/∂w (O, C, K, M), ∂L/∂b (O,).
    """
    ### BEGIN SOLUTION
    kernel, g = w.shape[2:], grad.flatten(2)  # (K, M) and (N, O, H'W')
    cols = columns(x, kernel, stride, padding)  # (N, CKM, H'W')
    dw = torch.einsum("nop,nqp->oq", g, cols).reshape(w.shape)
    dx = uncolumns(w.flatten(1).T @ g, x.shape[2:], kernel, stride, padding)  # (CKM, O) @ (N, O, H'W')
    return dx, dw, grad.sum(dim=(0, 2, 3))
    ### END SOLUTION


# %% tests="fast_conv2d_gradients" points=2
checks.assert_by_hand(
    "fast_conv2d_gradients",
    without=(*CONVOLUTION, *AUTOGRAD),
    hint="Two products of matrices, and uncolumns for the pictures.",
)
square = torch.arange(1.0, 10.0, device=here).reshape(1, 1, 3, 3)
digit_kernel = torch.tensor([[[[1.0, 10.0], [100.0, 1000.0]]]], device=here)
answer = fast_conv2d_gradients(torch.ones(1, 1, 2, 2, device=here), square, digit_kernel)
checks.assert_true(
    isinstance(answer, list | tuple) and len(answer) == 3,
    "fast_conv2d_gradients: wanted three tensors.",
    hint="End with: return dx, dw, db.",
)
checks.assert_shape(answer[0], (1, 1, 3, 3), name="∂L/∂x", hint="One slope for each pixel: the shape of x, and first.")
checks.assert_shape(answer[1], (1, 1, 2, 2), name="∂L/∂w", hint="One slope for each weight: the shape of w.")
checks.assert_shape(answer[2], (1,), name="∂L/∂b", hint="One slope for each kernel: sum over pictures, rows, columns.")
checks.assert_close(
    answer[0],
    torch.tensor([[[[1.0, 11.0, 10.0], [101.0, 1111.0, 1010.0], [100.0, 1100.0, 1000.0]]]], device=here),
    name="∂L/∂x when all places count",
    hint="W transposed times G gives a gradient for every column; uncolumns adds them up where windows overlap.",
)
checks.assert_close(
    answer[1],
    torch.tensor([[[[12.0, 16.0], [24.0, 28.0]]]], device=here),
    name="∂L/∂w when all places count",
    hint="G times cols transposed: a weight gathers what it met at every place, 1 + 2 + 4 + 5 for the first.",
)
twice = fast_conv2d_gradients(torch.ones(2, 1, 2, 2, device=here), square.repeat(2, 1, 1, 1), digit_kernel)
checks.assert_close(
    twice[1],
    torch.tensor([[[[24.0, 32.0], [48.0, 56.0]]]], device=here),
    name="∂L/∂w of the same picture twice in the batch",
    hint="Both pictures used the weights: sum over the batch, no mean.",
)
checks.assert_close(
    twice[2],
    torch.tensor([8.0], device=here),
    name="∂L/∂b of the same picture twice in the batch",
    hint="The bias was added at 4 places of each of the 2 pictures of the batch: a sum over all 8.",
)
for sizes, kernel, stride, padding in (((2, 3, 5, 4), (2, 3, 3, 2), 1, 1), ((1, 1, 6, 8), (2, 1, 3, 3), 2, 0)):
    checks.assert_true(
        gradients_agree(
            lambda x, w, b, s=stride, p=padding: torch.nn.functional.conv2d(x, w, b, s, p),
            lambda g, x, w, b, s=stride, p=padding: fast_conv2d_gradients(g, x, w, s, p),
            whole(torch.Generator().manual_seed(1), *sizes),
            whole(torch.Generator().manual_seed(2), *kernel),
            whole(torch.Generator().manual_seed(3), kernel[0]),
        ),
        f"pictures {sizes}, kernels {kernel}, stride {stride}, padding {padding}: gradcheck finds other slopes.",
        hint="Stride and padding belong into columns(…) and uncolumns(…). Every kernel o has its own row of G.",
    )
few, many = (
    checks.torch_calls(
        fast_conv2d_gradients,
        torch.ones(2, 1, n - 1, n - 1, device=here),
        torch.ones(2, 1, n, n, device=here),
        digit_kernel,
    )[1]
    for n in (6, 26)
)
checks.assert_true(
    many <= few + 10,
    f"fast_conv2d_gradients: {few} torch calls for 6×6 pixels, {many} for 26×26.",
    hint="The calls grow with the picture: somewhere a loop runs over places. Two products do all of them.",
)
print("fast_conv2d_gradients: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("fast_conv2d_gradients")
for sizes, kernel, stride, padding in (
    ((2, 2, 6, 5), (3, 2, 2, 3), 2, 1),
    ((1, 1, 7, 4), (1, 1, 4, 1), 1, 0),
    ((2, 3, 8, 8), (2, 3, 3, 3), 3, 2),
):
    x, w = whole(fresh_generator, *sizes), whole(fresh_generator, *kernel)
    fresh_g = torch.nn.functional.conv2d(x, w, None, stride, padding)
    fresh_g = whole(fresh_generator, *fresh_g.shape)
    checks.assert_close(
        fast_conv2d_gradients(fresh_g, x, w, stride, padding),
        reference.fast_conv2d_gradients(fresh_g, x, w, stride, padding),
        name=f"∂L/∂x, ∂L/∂w, ∂L/∂b of other pictures {sizes}, kernels {kernel}, stride {stride}, padding {padding}",
        hint="∂L/∂W = Σ G·colsᵀ, ∂L/∂x = uncolumns(Wᵀ·G), ∂L/∂b = the sum of G over all but the kernels.",
    )
### END HIDDEN TESTS

# %% [markdown]
# ## Part 5. Pooling
#
# ### Exercise 10. Max pooling with switches (2 points)
#
# A convolution says at every place how well its kernel fits. Often we want to know only whether it fits *somewhere
# around here*. **Max pooling** keeps the largest number of every window, for each channel apart:
#
# $$y_{n,c,i,j} = \max_{0 \le k,m < F} x_{n,c,\,is+k,\,js+m}.$$
#
# Windows of $F = 2$ with stride 2 do not overlap and keep one pixel in four. AlexNet took $F = 3$ with stride 2,
# which overlap. Round sizes down as before; there is no padding.
#
# Going back we must know *who won*. So also return the **switches**: for every window the index of its winner in its
# channel, counted in reading order: $\mathrm{row} \cdot W + \mathrm{column}$, in the whole picture and not in the
# window. When several pixels share the maximum, **the first in reading order wins**, as in `torch`. (The maximum has
# no derivative there; somebody must decide.) A number: the winner at row 2, column 3 of a picture 8 pixels wide has
# the switch 19.
#
# | name | shape | what |
# |---|---|---|
# | `x` | (N, C, H, W) | pictures |
# | `size`, `stride` | numbers | $F$ and $s$, in both directions |
# | result | (N, C, H', W') twice | maxima; switches, `torch.int64` |


# %% solution="max_pool"
def max_pool(x: Tensor, size: int, stride: int) -> tuple[Tensor, Tensor]:
    """The largest number of every window, and where it stood.

    x: pictures (N, C, H, W).   size: side of the square windows.
    Returns maxima (N, C, H', W') and switches (N, C, H', W') int64: row·W + column of the first winner.
    """
    ### BEGIN SOLUTION
    W = x.shape[3]
    windows = x.unfold(2, size, stride).unfold(3, size, stride).flatten(4)  # (N, C, H', W', F·F)
    best, winner = windows.max(dim=4)  # of equals, torch gives the first
    corner_row = stride * torch.arange(best.shape[2], device=x.device)[:, None]  # (H', 1)
    corner_column = stride * torch.arange(best.shape[3], device=x.device)  # (W',)
    return best, (corner_row + winner // size) * W + corner_column + winner % size
    ### END SOLUTION


# %% tests="max_pool" points=2
checks.assert_by_hand("max_pool", without=POOLING, hint="Windows as slices or x.unfold; max and argmax are fine.")
hills = torch.tensor(
    [[[[1.0, 2.0, 5.0, 6.0], [3.0, 4.0, 7.0, 8.0], [9.0, 8.0, 1.0, 0.0], [7.0, 6.0, 2.0, 3.0]]]], device=here
)
answer = max_pool(hills, 2, 2)
checks.assert_true(
    isinstance(answer, list | tuple) and len(answer) == 2,
    "max_pool: wanted two tensors, maxima and switches.",
    hint="End with: return best, switches.",
)
checks.assert_shape(answer[0], (1, 1, 2, 2), name="maxima", hint="One number for each window: (N, C, H', W').")
checks.assert_close(
    answer[0],
    torch.tensor([[[[4.0, 8.0], [9.0, 3.0]]]], device=here),
    name="maxima of four windows",
    hint="The largest number of each window of 2×2.",
)
checks.assert_shape(answer[1], (1, 1, 2, 2), name="switches", hint="One index for each window: (N, C, H', W').")
checks.assert_dtype(answer[1], torch.int64, name="switches", hint="Indices are whole numbers: torch.int64.")
checks.assert_true(
    not torch.equal(answer[1].cpu().flatten(), torch.tensor([3, 3, 0, 3])),
    "switches: found 3, 3, 0, 3, which are places in the window.",
    hint="Count in the whole picture: row·W + column, with the row and column of the window's corner added.",
)
checks.assert_equal(
    answer[1],
    torch.tensor([[[[5, 7], [8, 15]]]], device=here),
    name="switches of four windows",
    hint="The 4 stands at row 1, column 1 of a picture 4 wide: 1·4 + 1 = 5. An index, not the value.",
)
flat = max_pool(torch.zeros(1, 1, 4, 4, device=here), 2, 2)
checks.assert_equal(
    flat[1],
    torch.tensor([[[[0, 2], [8, 10]]]], device=here),
    name="switches where all pixels are equal",
    hint="A tie: the first in reading order wins, and it alone.",
)
checks.assert_close(
    max_pool(-hills, 2, 2)[0],
    torch.tensor([[[[-1.0, -5.0], [-6.0, 0.0]]]], device=here),
    name="maxima of negative numbers",
    hint="The largest of negative numbers is negative: start from the first pixel or from −inf, not from 0.",
)
checks.assert_close(
    max_pool(hills, 3, 1),
    (
        torch.tensor([[[[9.0, 8.0], [9.0, 8.0]]]], device=here),
        torch.tensor([[[[8, 7], [8, 7]]]], device=here),
    ),
    name="maxima and switches with overlap, windows of 3 with stride 1",
    hint="Windows may overlap: they begin at multiples of the stride, and one pixel may win several of them.",
)
wide = torch.arange(30.0, device=here).reshape(1, 1, 5, 6)
checks.assert_close(
    max_pool(wide, 2, 2),
    (
        torch.tensor([[[[7.0, 9.0, 11.0], [19.0, 21.0, 23.0]]]], device=here),
        torch.tensor([[[[7, 9, 11], [19, 21, 23]]]], device=here),
    ),
    name="maxima and switches of 5 rows and 6 columns, which do not tile",
    hint="Round down: row 4 is in no window. A switch is row·W + column, with W = 6 here, the width of the picture.",
)
for sizes, size, stride in (((2, 3, 6, 6), 2, 2), ((3, 2, 7, 5), 3, 2), ((1, 2, 8, 9), 2, 3), ((2, 1, 4, 6), 4, 1)):
    x = whole(torch.Generator().manual_seed(1), *sizes)
    kept = x.clone()
    checks.assert_close(
        max_pool(x, size, stride),
        torch.nn.functional.max_pool2d(x, size, stride, return_indices=True),
        name=f"maxima and switches of {sizes}, windows of {size}, stride {stride}",
        hint="Every picture and channel apart, switches from 0 in each. Of equals the first in reading order wins.",
    )
    checks.assert_unchanged(kept, x, name="x", hint="Write into new tensors.")
checks.assert_dtype(
    max_pool(hills.cpu().double(), 2, 2)[0], torch.float64, name="maxima of float64 pictures", hint="Keep x's dtype."
)
print("max_pool: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("max_pool")
for sizes, size, stride in (((2, 2, 8, 7), 3, 2), ((1, 1, 5, 9), 2, 2), ((2, 1, 6, 6), 3, 3), ((1, 3, 7, 8), 2, 1)):
    x = whole(fresh_generator, *sizes)
    checks.assert_close(
        max_pool(x, size, stride),
        reference.max_pool(x, size, stride),
        name=f"maxima and switches of other pictures {sizes}, windows of {size}, stride {stride}",
        hint="The maximum of each window, and row·W + column of the first pixel that has it.",
    )
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 11. Max pooling, backwards (1 point)
#
# Only the winner of a window had a say in its output, so only the winner gets a gradient:
#
# $$\frac{\partial L}{\partial x_{n,c,q}} = \sum_{(i,j)\,:\ \mathrm{switch}_{n,c,i,j} = q} g_{n,c,i,j},$$
#
# with $q$ counting the pixels of a channel in reading order. In words: send every $g$ to the pixel that its switch
# names. Where windows overlap, one pixel may win several of them: its gradients **add**. All others get 0. A number:
# a pixel that wins windows with $g = 2$ and $g = 5$ gets 7.
#
# | name | shape | what |
# |---|---|---|
# | `grad`, `switches` | (N, C, H', W') | $\partial L/\partial y$; where each maximum stood, `torch.int64` |
# | `height`, `width` | numbers | H and W of the picture that was pooled |
# | result | (N, C, H, W) | $\partial L/\partial x$ |


# %% solution="max_pool_gradient"
def max_pool_gradient(grad: Tensor, switches: Tensor, height: int, width: int) -> Tensor:
    """Gradient of a loss with respect to the pictures that went into `max_pool`.

    grad: ∂L/∂y (N, C, H', W').   switches: (N, C, H', W') int64, row·W + column.   Returns (N, C, height, width).
    """
    ### BEGIN SOLUTION
    dx = grad.new_zeros(*grad.shape[:2], height * width)
    dx = dx.scatter_add(2, switches.flatten(2), grad.flatten(2))  # adds where an index comes twice
    return dx.unflatten(2, (height, width))
    ### END SOLUTION


# %% tests="max_pool_gradient" points=1
checks.assert_by_hand(
    "max_pool_gradient", without=(*POOLING, *AUTOGRAD), hint="Zeros, and every g added where its switch says."
)
grad = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]], device=here)
dx = max_pool_gradient(grad, torch.tensor([[[[5, 7], [8, 15]]]], device=here), 4, 4)
checks.assert_shape(dx, (1, 1, 4, 4), name="∂L/∂x", hint="One slope for each pixel that was pooled: (N, C, H, W).")
checks.assert_dtype(dx, torch.float32, name="∂L/∂x", hint="Keep the dtype of grad, not that of the switches.")
checks.assert_close(
    dx,
    torch.tensor([[[[0.0, 0, 0, 0], [0, 1, 0, 2], [3, 0, 0, 0], [0, 0, 0, 4]]]], device=here),
    name="∂L/∂x without overlap",
    hint="Switch 5 of a picture 4 wide is row 1, column 1. All who did not win get 0.",
)
one_winner = max_pool_gradient(grad, torch.full((1, 1, 2, 2), 4, device=here), 3, 3)
checks.assert_close(
    one_winner[0, 0, 1, 1],
    torch.tensor(10.0, device=here),
    name="∂L/∂x of a pixel that wins all four windows",
    hint="With overlap one pixel may win several windows, and their gradients add. Assigning keeps only one of them.",
)
checks.assert_close(
    max_pool_gradient(grad, torch.tensor([[[[1, 4], [5, 9]]]], device=here), 2, 5),
    torch.tensor([[[[0.0, 1, 0, 0, 2], [3, 0, 0, 0, 4]]]], device=here),
    name="∂L/∂x of 2 rows and 5 columns",
    hint="A switch is row·W + column: 5 is the first pixel of row 1 when the picture is 5 wide.",
)
planes = torch.arange(1.0, 7.0, device=here).reshape(3, 2, 1, 1)
checks.assert_close(
    max_pool_gradient(planes, torch.tensor([0, 1, 2, 3, 3, 0], device=here).reshape(3, 2, 1, 1), 2, 2).flatten(2),
    torch.tensor([[[1, 0, 0, 0], [0, 2, 0, 0]], [[0, 0, 3, 0], [0, 0, 0, 4]], [[0, 0, 0, 5], [6, 0, 0, 0]]]).to(planes),
    name="∂L/∂x of 3 pictures with 2 channels",
    hint="Every picture and every channel has its own pixels: switches count from 0 in each of them.",
)
_, switches = torch.nn.functional.max_pool2d(
    torch.randn(2, 2, 5, 6, generator=torch.Generator().manual_seed(1)), 3, 2, return_indices=True
)
checks.assert_true(
    gradients_agree(
        lambda x: x.flatten(2).gather(2, switches.flatten(2)).reshape(switches.shape),
        lambda g, x: (max_pool_gradient(g, switches, 5, 6),),
        whole(torch.Generator().manual_seed(2), 2, 2, 5, 6),
    ),
    "∂L/∂x of overlapping windows: gradcheck, which moves each pixel a little in float64, finds other slopes.",
    hint="Add every g to the pixel that its switch names, and return the dtype of grad.",
)
checks.assert_dtype(
    max_pool_gradient(grad.cpu().double(), torch.zeros(1, 1, 2, 2, dtype=torch.int64), 2, 2),
    torch.float64,
    name="∂L/∂x of float64 numbers",
    hint="A new tensor takes the dtype and device of the arguments: torch.zeros_like(…) or grad.new_zeros(…).",
)
print("max_pool_gradient: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("max_pool_gradient")
for sizes, size, stride in (((2, 3, 7, 6), 3, 1), ((1, 1, 5, 9), 2, 2)):
    x = whole(fresh_generator, *sizes).cpu()
    switches = torch.nn.functional.max_pool2d(x, size, stride, return_indices=True)[1].to(here)
    fresh_g = whole(fresh_generator, *switches.shape)
    checks.assert_close(
        max_pool_gradient(fresh_g, switches, *sizes[2:]),
        reference.max_pool_gradient(fresh_g, switches, *sizes[2:]),
        name=f"∂L/∂x of other pictures {sizes}, windows of {size}, stride {stride}",
        hint="Every g is added to the pixel that its switch names.",
    )
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 12. Average and global average (2 points)
#
# **Average pooling** takes the mean of every window. LeNet-5 did, with a trainable factor and bias. **Global average
# pooling** takes the mean of a whole channel: whatever the size of the picture, what comes out has one number a
# channel, so a classifier behind it fits pictures of any size.
#
# $$y_{n,c,i,j} = \frac{1}{F^2} \sum_{k,m} x_{n,c,\,is+k,\,js+m}, \qquad
# z_{n,c} = \frac{1}{HW} \sum_{u,v} x_{n,c,u,v}.$$
#
# Backwards, every pixel of a window gets an equal share, $g / F^2$, and again a pixel in several windows gets several
# shares, which add; in the global mean every pixel gets $g / (HW)$. A number: with $F = 2$ and $g = 8$ every pixel of
# that window gets 2.
#
# Four short functions, no padding, sizes rounded down.
#
# | function | arguments | result |
# |---|---|---|
# | `average_pool` | `x` (N, C, H, W), `size`, `stride` | (N, C, H', W') |
# | `average_pool_gradient` | `grad` (N, C, H', W'), `height`, `width`, `size`, `stride` | (N, C, H, W) |
# | `global_average_pool` | `x` (N, C, H, W) | (N, C) |
# | `global_average_pool_gradient` | `grad` (N, C), `height`, `width` | (N, C, H, W) |


# %% solution="average_pool"
def average_pool(x: Tensor, size: int, stride: int) -> Tensor:
    """The mean of every window. x: pictures (N, C, H, W).   size: side of the windows.   Returns (N, C, H', W')."""
    ### BEGIN SOLUTION
    return x.unfold(2, size, stride).unfold(3, size, stride).mean(dim=(4, 5))
    ### END SOLUTION


def average_pool_gradient(grad: Tensor, height: int, width: int, size: int, stride: int) -> Tensor:
    """Gradient with respect to the pictures that went into `average_pool`.

    grad: ∂L/∂y (N, C, H', W').   Returns (N, C, height, width).
    """
    ### BEGIN SOLUTION
    dx = grad.new_zeros(*grad.shape[:2], height, width)
    for i in range(grad.shape[2]):
        for j in range(grad.shape[3]):
            share = grad[:, :, i, j, None, None] / size**2  # (N, C, 1, 1)
            dx[:, :, i * stride : i * stride + size, j * stride : j * stride + size] += share
    return dx
    ### END SOLUTION


def global_average_pool(x: Tensor) -> Tensor:
    """The mean of every channel of every picture. x: (N, C, H, W).   Returns (N, C)."""
    ### BEGIN SOLUTION
    return x.mean(dim=(2, 3))
    ### END SOLUTION


def global_average_pool_gradient(grad: Tensor, height: int, width: int) -> Tensor:
    """Gradient with respect to what went into `global_average_pool`. grad: (N, C).   Returns (N, C, height, width)."""
    ### BEGIN SOLUTION
    return (grad[:, :, None, None] / (height * width)).repeat(1, 1, height, width)
    ### END SOLUTION


# %% tests="average_pool" points=1
for function in ("average_pool", "average_pool_gradient"):
    checks.assert_by_hand(function, without=(*POOLING, *AUTOGRAD), hint="Windows and their means, by yourself.")
hills = torch.tensor(
    [[[[1.0, 3.0, 5.0, 7.0], [3.0, 5.0, 7.0, 9.0], [8.0, 8.0, 1.0, 0.0], [7.0, 5.0, 3.0, 4.0]]]], device=here
)
y = average_pool(hills, 2, 2)
checks.assert_shape(y, (1, 1, 2, 2), name="means", hint="One number for each window: (N, C, H', W').")
checks.assert_close(
    y,
    torch.tensor([[[[3.0, 7.0], [7.0, 2.0]]]], device=here),
    name="means of four windows",
    hint="The mean is the sum over the window divided by F², 4 here.",
)
checks.assert_close(
    average_pool(torch.arange(30.0, device=here).reshape(1, 1, 5, 6), 3, 2),
    torch.tensor([[[[7.0, 9.0], [19.0, 21.0]]]], device=here),
    name="means with overlap, windows of 3 with stride 2, which cut",
    hint="Windows begin at multiples of the stride, may overlap, and are whole: round their number down.",
)
dx = average_pool_gradient(torch.full((1, 1, 2, 2), 8.0, device=here), 5, 4, 2, 2)
checks.assert_shape(dx, (1, 1, 5, 4), name="∂L/∂x", hint="One slope for each pixel that was pooled: (N, C, H, W).")
checks.assert_close(
    dx,
    torch.nn.functional.pad(torch.full((1, 1, 4, 4), 2.0, device=here), (0, 0, 0, 1)),
    name="∂L/∂x with g = 8, windows of 2",
    hint="Every pixel of a window gets the share g/F² = 2: divide, as the mean did. A pixel in no window gets 0.",
)
checks.assert_close(
    average_pool_gradient(torch.full((1, 1, 2, 2), 4.0, device=here), 3, 3, 2, 1),
    torch.tensor([[[[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]]], device=here),
    name="∂L/∂x with overlap, g = 4, windows of 2 with stride 1",
    hint="The pixel in the middle lies in four windows and gets a share from each: these add, use += and not =.",
)
for sizes, size, stride in (((2, 3, 6, 6), 2, 2), ((1, 2, 7, 5), 3, 2), ((2, 1, 5, 8), 2, 3)):
    x = whole(torch.Generator().manual_seed(1), *sizes)
    checks.assert_close(
        average_pool(x, size, stride),
        torch.nn.functional.avg_pool2d(x, size, stride),
        name=f"means of {sizes}, windows of {size}, stride {stride}",
        hint="Every picture and channel apart.",
    )
    checks.assert_true(
        gradients_agree(
            lambda x, size=size, stride=stride: torch.nn.functional.avg_pool2d(x, size, stride),
            lambda g, x, size=size, stride=stride: (average_pool_gradient(g, *x.shape[2:], size, stride),),
            x,
        ),
        f"∂L/∂x of {sizes}, windows of {size}, stride {stride}: gradcheck finds other slopes.",
        hint="Window (i, j) begins at row i·stride, column j·stride, and gives each of its pixels g/F².",
    )
checks.assert_dtype(
    average_pool_gradient(torch.ones(1, 1, 2, 2).double(), 4, 4, 2, 2),
    torch.float64,
    name="∂L/∂x of float64 numbers",
    hint="A new tensor takes the dtype and device of the arguments: torch.zeros_like(…) or grad.new_zeros(…).",
)
print("average_pool: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("average_pool")
for sizes, size, stride in (((2, 2, 8, 7), 3, 2), ((1, 3, 5, 9), 2, 2), ((1, 1, 6, 4), 4, 1)):
    x = whole(fresh_generator, *sizes)
    means = reference.average_pool(x, size, stride)
    checks.assert_close(
        average_pool(x, size, stride),
        means,
        name=f"means of other pictures {sizes}, windows of {size}, stride {stride}",
        hint="The sum of each window divided by F².",
    )
    fresh_g = whole(fresh_generator, *means.shape)
    checks.assert_close(
        average_pool_gradient(fresh_g, *sizes[2:], size, stride),
        reference.average_pool_gradient(fresh_g, *sizes[2:], size, stride),
        name=f"∂L/∂x of other pictures {sizes}, windows of {size}, stride {stride}",
        hint="Every pixel of a window gets g/F², and shares add.",
    )
### END HIDDEN TESTS

# %% tests="average_pool:global" points=1
for function in ("global_average_pool", "global_average_pool_gradient"):
    checks.assert_by_hand(function, without=(*POOLING, *AUTOGRAD), hint="One mean for each channel, by yourself.")
wide = torch.arange(24.0, device=here).reshape(2, 2, 2, 3)
z = global_average_pool(wide)
checks.assert_shape(z, (2, 2), name="global means", hint="One number for each channel of each picture: (N, C).")
checks.assert_close(
    z,
    torch.tensor([[2.5, 8.5], [14.5, 20.5]], device=here),
    name="global means of 2×3 pixels",
    hint="The mean over rows and columns: the sum divided by H·W = 6.",
)
dx = global_average_pool_gradient(torch.tensor([[6.0, 12.0], [18.0, 24.0]], device=here), 2, 3)
checks.assert_shape(dx, (2, 2, 2, 3), name="∂L/∂x", hint="One slope for each pixel: (N, C, height, width).")
checks.assert_close(
    dx,
    torch.tensor([[1.0, 2.0], [3.0, 4.0]], device=here)[:, :, None, None].repeat(1, 1, 2, 3),
    name="∂L/∂x of the global mean",
    hint="Every pixel gets the share g/(H·W), 6/6 in the first channel: divide, as the mean did.",
)
checks.assert_true(
    gradients_agree(
        lambda x: torch.nn.functional.adaptive_avg_pool2d(x, 1).flatten(1),
        lambda g, x: (global_average_pool_gradient(g, *x.shape[2:]),),
        whole(torch.Generator().manual_seed(1), 2, 3, 5, 4),
    ),
    "∂L/∂x of the global mean: gradcheck, which moves each pixel a little in float64, finds other slopes.",
    hint="g/(H·W) for every pixel, in the dtype of grad.",
)
print("average_pool:global: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("average_pool")
x, fresh_g = whole(fresh_generator, 3, 2, 7, 4), whole(fresh_generator, 3, 2)
checks.assert_close(
    (global_average_pool(x), global_average_pool_gradient(fresh_g, 7, 4)),
    (reference.global_average_pool(x), reference.global_average_pool_gradient(fresh_g, 7, 4)),
    name="global means and their gradient for other pictures",
    hint="The mean over rows and columns; backwards g/(H·W) for every pixel.",
)
### END HIDDEN TESTS

# %% [markdown]
# ## Part 6. Trust
#
# ### Exercise 13. A gradient checker (2 points)
#
# A wrong gradient rarely crashes. The network just learns a little worse, and nobody knows why. So check every
# gradient that you write by hand, before you train with it. A layer maps $x$ to $y$. Take the loss $L = \sum_m g_m
# y_m$ with some fixed numbers $g$: its gradient with respect to $y$ is $g$, and `backward(g, x)` claims to know the
# one with respect to $x$. Measure it instead, with **central differences**: for each entry $m$ of $x$
#
# $$\frac{\partial L}{\partial x_m} \approx \frac{L(x + h e_m) - L(x - h e_m)}{2h},$$
#
# where $e_m$ is 1 at entry $m$ and 0 elsewhere. In words: nudge one number up, nudge it down, see how much the loss
# changed. Its error is of the order $h^2$; that of the one-sided difference is of the order $h$. Then compare the
# claimed gradient $a$ with the measured one $b$, as vectors, by one number without units:
#
# $$\text{error} = \frac{\lVert a - b \rVert}{\max(\lVert a \rVert, \lVert b \rVert)}, \qquad
# 0 \text{ if both are } 0.$$
#
# Compute in `float64`, whatever you are given: a nudge of $10^{-6}$ is lost in the 7 digits of `float32`. Then a right
# gradient has an error around $10^{-9}$, and a wrong one mostly above $10^{-3}$. A number: for $y = x^3$ at $x = 2$,
# $h = 0.1$, the measured slope is 12.01 and the true one 12.
#
# | name | shape | what |
# |---|---|---|
# | `forward` | function | $x$ (any shape) to $y$ |
# | `backward` | function | `backward(grad, x)`, in this order, to $\partial L/\partial x$, in the shape of $x$ |
# | `x` | any | where the gradient is checked |
# | `grad` | shape of $y$ | the numbers $g$ |
# | result | a Python number | the relative error |


# %% solution="gradient_error"
def gradient_error(forward, backward, x: Tensor, grad: Tensor, step: float = 1e-6) -> float:
    """Relative error of `backward(grad, x)` against central differences of L = (grad · forward(x)).sum(), in float64.

    forward: x to y.   backward: (grad, x) to ∂L/∂x.   x: any shape.   grad: shape of y.   step: h.
    """
    ### BEGIN SOLUTION
    x, grad = x.double(), grad.double()
    claimed, slopes = backward(grad, x), []
    for m in range(x.numel()):
        nudge = torch.zeros_like(x)
        nudge.view(-1)[m] = step
        change = (grad * (forward(x + nudge) - forward(x - nudge))).sum()
        slopes.append(change / (2 * step))
    measured = torch.stack(slopes).reshape(x.shape)
    scale = max(claimed.norm().item(), measured.norm().item())
    return (claimed - measured).norm().item() / scale if scale > 0 else 0.0
    ### END SOLUTION


# %% setup="suspects"
# Functions to try a checker on. Three of the six layers below have a wrong gradient. Which? Let yours find out; only
# then read them.


def cube(x):
    return x**3


def cube_backward(grad, x):
    return 3 * grad * x**2


def cube_sign(grad, x):
    return -3 * grad * x**2


def zero(x):
    return 0 * x


def zero_backward(grad, x):
    return 0 * grad * x


def squash(x):
    return torch.tanh(x)


def squash_backward(grad, x):
    return grad * (1 - torch.tanh(x) ** 2)


blur_kernel = torch.tensor([[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 10.0]]]]) / 46


def blur(x):
    return torch.nn.functional.conv2d(x, blur_kernel.to(x))


def blur_backward(grad, x):
    return torch.nn.functional.conv2d(grad, blur_kernel.to(x).flip(2, 3), padding=2)


def skid(x):
    return torch.nn.functional.conv2d(x, blur_kernel.to(x), padding=1)


def skid_backward(grad, x):
    return torch.nn.functional.conv2d(grad, blur_kernel.to(x), padding=1)


def mean3(x):
    return torch.nn.functional.avg_pool2d(x, 3, 1)


def mean3_backward(grad, x):
    return torch.nn.functional.conv2d(grad, torch.ones(1, 1, 3, 3).to(x), padding=2) / 9


def mean2(x):
    return torch.nn.functional.avg_pool2d(x, 2)


def mean2_backward(grad, x):
    return grad.repeat_interleave(2, 2).repeat_interleave(2, 3) / 2


def peak(x):
    return torch.nn.functional.max_pool2d(x, 3, 1)


def peak_backward(grad, x):
    _, switches = torch.nn.functional.max_pool2d(x, 3, 1, return_indices=True)
    dx = torch.zeros_like(x).flatten(2)
    return dx.scatter(2, switches.flatten(2), grad.flatten(2)).reshape(x.shape)


suspects = {
    "squash": (squash, squash_backward),
    "blur": (blur, blur_backward),
    "skid": (skid, skid_backward),
    "mean3": (mean3, mean3_backward),
    "mean2": (mean2, mean2_backward),
    "peak": (peak, peak_backward),
}

# %% tests="gradient_error" points=1
checks.assert_by_hand(
    "gradient_error", without=AUTOGRAD, hint="Nudge every entry of x up and down, and look at the loss. No autograd."
)
two, one = torch.tensor([2.0]), torch.tensor([1.0])
error = gradient_error(cube, cube_backward, two, one, 0.1)
checks.assert_shape(error, (), name="error", hint="One number for all of x: norms of vectors.")
checks.assert_true(
    isinstance(error, float), f"error: found {error!r:.60}, wanted a Python number.", hint="Finish with .item()."
)
checks.assert_true(
    abs(error - 0.61 / 12.61) > 1e-4,
    "error: found 0.048 for x³ at 2 with h = 0.1, wanted 0.00083.",
    hint="That is the one-sided difference. Go to both sides: L(x + h) − L(x − h), divided by 2h.",
)
checks.assert_close(
    error,
    0.01 / 12.01,
    name="error for x³ at 2 with h = 0.1",
    hint="Measured 12.01, claimed 12: |12 − 12.01| divided by the larger of the two. Divide the difference by 2h.",
)
checks.assert_in_range(
    gradient_error(cube, cube_backward, two, one),
    0.0,
    1e-6,
    name="error of the right gradient of x³ at 2",
    hint="Compute in float64, whatever you are given: in float32 a step of 1e-6 is lost in rounding.",
)
checks.assert_close(
    gradient_error(cube, cube_sign, two, one),
    2.0,
    rtol=1e-3,
    name="error of a gradient with the wrong sign",
    hint="Claimed −12, measured 12: the norm of the difference is 24. Take the norm after subtracting.",
)
checks.assert_close(
    gradient_error(cube, cube_sign, two / 20, one),
    2.0,
    rtol=1e-3,
    name="error of a gradient with the wrong sign, where it is small",
    hint="Claimed −0.03, measured 0.03: still 2. The error is relative; answer 0 only where both norms are 0.",
)
checks.assert_close(
    gradient_error(cube, zero_backward, two, one),
    1.0,
    rtol=1e-3,
    name="error of a gradient that is claimed to be 0",
    hint="Divide by the larger of the two norms, so that 0 against 12 is an error of 1.",
)
nothing = gradient_error(zero, zero_backward, two, one)
checks.assert_finite(nothing, name="error where both gradients are 0", hint="0/0: answer 0 when both are 0.")
checks.assert_close(nothing, 0.0, name="error where both gradients are 0", hint="Nothing claimed, nothing measured: 0.")
x, grad = torch.tensor([[1.0, -2.0, 3.0]]), torch.tensor([[1.0, 10.0, -100.0]])
kept = x.clone()
checks.assert_in_range(
    gradient_error(cube, cube_backward, x, grad),
    0.0,
    1e-6,
    name="error of the right gradient of x³ at three places",
    hint="Compute in float64, nudge one entry at a time, and weigh every output with its g: L = (grad · y).sum().",
)
checks.assert_unchanged(kept, x, name="x", hint="Nudge a copy; adding h to x itself and taking it off leaves rounding.")
print("gradient_error: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("gradient_error")
fresh_x, fresh_g = torch.rand(2, 3, generator=fresh_generator) + 1, torch.randn(2, 3, generator=fresh_generator)
for backward in (cube_backward, cube_sign, zero_backward):
    checks.assert_close(
        gradient_error(cube, backward, fresh_x, fresh_g, 0.05),
        reference.gradient_error(cube, backward, fresh_x, fresh_g, 0.05),
        rtol=1e-3,
        name="error at other places, with h = 0.05",
        hint="Central differences with the given step, and norms over all entries.",
    )
### END HIDDEN TESTS

# %% tests="gradient_error:suspects" points=1
picture = torch.randn(1, 1, 4, 6, generator=torch.Generator().manual_seed(1))
for name in ("squash", "blur", "mean3"):
    forward, backward = suspects[name]
    grad = torch.randn(forward(picture).shape, generator=torch.Generator().manual_seed(2))
    checks.assert_in_range(
        gradient_error(forward, backward, picture, grad),
        0.0,
        1e-6,
        name=f"error of the layer {name!r}, which is right",
        hint="A right gradient is not to be blamed. Do you compute in float64, and with a step of 1e-6?",
    )
for name in ("skid", "mean2", "peak"):
    forward, backward = suspects[name]
    grad = torch.randn(forward(picture).shape, generator=torch.Generator().manual_seed(2))
    checks.assert_in_range(
        gradient_error(forward, backward, picture, grad),
        1e-2,
        2.0,
        name=f"error of the layer {name!r}, which has a bug",
        hint="This bug must be found: compare with what you measure, at every entry of x, not with the claim itself.",
    )
print("gradient_error:suspects: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("gradient_error")
fresh_x = torch.randn(2, 1, 4, 6, generator=fresh_generator)
for forward, backward in suspects.values():
    fresh_g = torch.randn(forward(fresh_x).shape, generator=fresh_generator)
    checks.assert_close(
        gradient_error(forward, backward, fresh_x, fresh_g),
        reference.gradient_error(forward, backward, fresh_x, fresh_g),
        rtol=1e-3,
        atol=1e-6,
        name="error of a layer on another picture",
        hint="Measure every entry in float64, with all of grad.",
    )
### END HIDDEN TESTS

# %% explore="check_your_own"
# explore: your own layers under your own checker. Right is around 1e-9
x, w = torch.randn(2, 2, 5, 6, dtype=torch.float64), torch.randn(3, 2, 3, 3, dtype=torch.float64)
g = torch.randn(2, 3, 3, 3, dtype=torch.float64)
b = torch.zeros(3, dtype=torch.float64)
for name, forward, backward in [
    ("conv2d", conv2d, conv2d_gradients),
    ("fast_conv2d", fast_conv2d, fast_conv2d_gradients),
]:
    error_x = gradient_error(lambda x, f=forward: f(x, w, b, 2, 1), lambda g, x, f=backward: f(g, x, w, 2, 1)[0], x, g)
    error_w = gradient_error(lambda w, f=forward: f(x, w, b, 2, 1), lambda g, w, f=backward: f(g, x, w, 2, 1)[1], w, g)
    print(f"{name}: error {error_x:.1e} for the pictures, {error_w:.1e} for the kernels")

# %% [markdown]
# ### Exercise 14. What moves along (2 points)
#
# A layer $f$ is **equivariant** to shifts if moving its input moves its output: $f(T x) = T' f(x)$, where $T$ shifts
# the picture and $T'$ shifts the result. It is **invariant** if the output does not change at all: $f(T x) = f(x)$.
# Convolution is said to be the first, pooling to be the second. Measure both claims.
#
# Shift *in a ring*: what leaves on one side comes in on the other, `torch.roll(x, (down, right), dims=(2, 3))`. A
# layer with stride $s$ has one output for $s$ pixels, so a shift of the picture by $d$ pixels is one of $d/s$ outputs.
#
# - `equivariance_error(layer, x, shift, stride)`: the largest $|f(Tx) - T'f(x)|$, a Python number. If the stride does
#   not divide both parts of the shift there is no $T'$: a `ValueError`.
# - `changed_share(layer, x, shift)`: the share of entries of $f(Tx)$ that differ from those of $f(x)$ at the same
#   place by more than $10^{-6}$: a Python number from 0 (invariant) to 1.
#
# A number: max pooling windows of 2 turn $(9, 1, 2, 3)$ into $(9, 3)$; shifted by one, $(3, 9, 1, 2)$ gives $(9, 2)$:
# one output of two has changed.
#
# `layer` is a function of one tensor, (N, C, H, W) to (N, C', H', W'); `shift` two whole numbers, pixels down and to
# the right.

# %% setup="movers"
mover_kernel = torch.randn(2, 1, 3, 3, generator=torch.Generator().manual_seed(5)).to(here)


def ring_conv(x: Tensor, stride: int = 1) -> Tensor:
    """A convolution that wraps around: what lies left of the left edge is the right edge."""
    return torch.nn.functional.conv2d(torch.nn.functional.pad(x, (1, 1, 1, 1), "circular"), mover_kernel, stride=stride)


def ring_conv_2(x: Tensor) -> Tensor:
    """The same with stride 2."""
    return ring_conv(x, 2)


def zeros_conv(x: Tensor) -> Tensor:
    """The same kernel with zeros around the picture."""
    return torch.nn.functional.conv2d(x, mover_kernel, padding=1)


def by_column(x: Tensor) -> Tensor:
    """Every column times its number, 0 to W − 1: weights that are not shared."""
    return x * torch.arange(x.shape[3], device=x.device)


def pool_2(x: Tensor) -> Tensor:
    """Max pooling, windows of 2×2, stride 2."""
    return torch.nn.functional.max_pool2d(x, 2)


def pool_row_2(x: Tensor) -> Tensor:
    """Max pooling in windows of one row and two columns."""
    return torch.nn.functional.max_pool2d(x, (1, 2))


# %% solution="equivariance"
def equivariance_error(layer, x: Tensor, shift: tuple[int, int], stride: int = 1) -> float:
    """How far the layer of a shifted picture is from the shifted layer of the picture: the largest difference.

    layer: (N, C, H, W) to (N, C', H', W').   shift: pixels down and to the right, in a ring.   stride: the layer's.
    Raises ValueError if the stride does not divide the shift.
    """
    ### BEGIN SOLUTION
    down, right = shift
    if down % stride or right % stride:
        raise ValueError(f"a shift of {shift} pixels is no whole number of outputs with stride {stride}")
    moved_after = torch.roll(layer(x), (down // stride, right // stride), dims=(2, 3))
    return (layer(torch.roll(x, shift, dims=(2, 3))) - moved_after).abs().max().item()
    ### END SOLUTION


def changed_share(layer, x: Tensor, shift: tuple[int, int]) -> float:
    """Share of the layer's outputs that change by more than 1e-6 when the picture is shifted, from 0 to 1."""
    ### BEGIN SOLUTION
    change = layer(torch.roll(x, shift, dims=(2, 3))) - layer(x)
    return (change.abs() > 1e-6).float().mean().item()
    ### END SOLUTION


# %% tests="equivariance" points=1
line = torch.ones(1, 1, 3, 4, device=here)
error = equivariance_error(by_column, line, (0, 1))
checks.assert_true(
    isinstance(error, float), f"error: found {error!r:.60}, wanted a Python number.", hint="Finish with .item()."
)
checks.assert_close(
    error,
    3.0,
    name="largest difference for a layer that multiplies column j by j, shift (0, 1)",
    hint="f(Tx) is 0 1 2 3, T'f(x) is 3 0 1 2. Shift the output as well; (down, right) is dims=(2, 3).",
)
checks.assert_close(
    equivariance_error(by_column, line, (1, 0)),
    0.0,
    name="error of that layer for a shift of one row",
    hint="It treats all rows alike. shift is (down, right): dims=(2, 3).",
)
x = torch.randn(2, 1, 6, 8, generator=torch.Generator().manual_seed(1)).to(here)
kept = x.clone()
checks.assert_in_range(
    equivariance_error(ring_conv, x, (1, 3)),
    0.0,
    1e-4,
    name="error of a convolution that wraps around",
    hint="It is exactly equivariant, up to rounding: f(Tx) = T'f(x), the same shift on both sides.",
)
checks.assert_unchanged(kept, x, name="x", hint="torch.roll makes a new tensor; take that.")
checks.assert_in_range(
    equivariance_error(zeros_conv, x, (1, 3)),
    0.1,
    None,
    name="error of a convolution with zeros around",
    hint="At the border zeros are not what wraps around: a large error there. Take the largest, .abs().max().",
)
checks.assert_in_range(
    equivariance_error(ring_conv_2, x, (2, -4), stride=2),
    0.0,
    1e-4,
    name="error of a convolution with stride 2, shift (2, −4)",
    hint="Two pixels down are one output down: shift the output by shift // stride.",
)
for odd in ((1, 2), (2, 1)):
    checks.assert_raises(
        ValueError,
        equivariance_error,
        ring_conv_2,
        x,
        odd,
        2,
        hint="A shift of 1 pixel is half an output with stride 2, which does not exist: raise ValueError.",
    )
print("equivariance: passed")
### BEGIN HIDDEN TESTS
fresh_x = torch.randn(1, 1, 8, 6, generator=checks.fresh("equivariance")).to(here)
for layer, shift, stride in (
    (zeros_conv, (3, 1), 1),
    (ring_conv_2, (4, 2), 2),
    (pool_2, (2, 4), 2),
    (by_column, (2, 3), 1),
):
    checks.assert_close(
        equivariance_error(layer, fresh_x, shift, stride),
        reference.equivariance_error(layer, fresh_x, shift, stride),
        atol=1e-4,
        name=f"error on another picture, shift {shift}, stride {stride}",
        hint="The largest absolute difference of layer(shifted x) and shifted layer(x).",
    )
### END HIDDEN TESTS

# %% tests="equivariance:invariance" points=1
share = changed_share(pool_row_2, torch.tensor([[[[9.0, 1.0, 2.0, 3.0]]]], device=here), (0, 1))
checks.assert_true(
    isinstance(share, float), f"share: found {share!r:.60}, wanted a Python number.", hint="Finish with .item()."
)
checks.assert_close(
    share,
    0.5,
    name="share of pooled outputs that change from (9, 3) to (9, 2)",
    hint="One output of two: the mean over outputs of whether it changed, not of how much. Do not shift the output.",
)
checks.assert_close(
    changed_share(pool_2, torch.ones(1, 1, 4, 6, device=here), (0, 1)),
    0.0,
    name="share of outputs that change when all pixels are equal",
    hint="Shifting a picture of ones changes nothing: 0, not 1. Compare f(Tx) with f(x), at the same places.",
)
x = torch.randn(4, 1, 16, 16, generator=torch.Generator().manual_seed(1)).to(here)
checks.assert_close(
    changed_share(pool_2, x, (0, 0)), 0.0, name="share without a shift", hint="No shift, no change: 0, not 1."
)
checks.assert_in_range(
    changed_share(pool_2, x, (0, 1)),
    0.4,
    0.99,
    name="share of outputs of 2×2 max pooling that change when noise moves by one pixel",
    hint="Most of them change: the share of all outputs whose change is larger than 1e-6 in absolute value.",
)
checks.assert_close(
    changed_share(by_column, 1e-9 * x, (0, 1)),
    0.0,
    name="share when nothing changes by more than 1e-6",
    hint="Rounding is no change: count only what differs by more than 1e-6.",
)
checks.assert_close(
    changed_share(by_column, torch.tensor([[[[0.0, 0.0, 0.0, 5e-7]]]], device=here), (0, 1)),
    0.25,
    name="share when one output of four changes by 1.5e-6",
    hint="More than 1e-6 is a change.",
)
print("equivariance:invariance: passed")
### BEGIN HIDDEN TESTS
fresh_x = torch.randn(2, 1, 8, 12, generator=checks.fresh("equivariance")).to(here)
for layer, shift in ((pool_2, (1, 1)), (pool_row_2, (0, 3)), (pool_2, (1, 0)), (ring_conv, (2, 0))):
    checks.assert_close(
        changed_share(layer, fresh_x, shift),
        reference.changed_share(layer, fresh_x, shift),
        name=f"share on another picture, shift {shift}",
        hint="The share of outputs at the same place that differ by more than 1e-6.",
    )
### END HIDDEN TESTS

# %% explore="how_much_changes"
# explore: how invariant is pooling? On noise, on digits, with larger windows, with larger shifts
noise = torch.randn(20, 1, 32, 32, device=here)
shapes_x = data.shapes(20).images.to(here)
for size in (2, 4, 8, 32):
    shares = [
        changed_share(lambda x, size=size: torch.nn.functional.max_pool2d(x, size), pictures, (0, 1))
        for pictures in (noise, shapes_x)
    ]
    print(f"windows of {size:2d}: {shares[0]:.0%} of the outputs change on noise, {shares[1]:.0%} on drawn scenes")
print(f"zeros around: largest error {equivariance_error(zeros_conv, noise, (0, 1)):.2f}")

# %% [markdown]
# ## Part 7. A network
#
# ### Exercise 15. Train it (4 points)
#
# Now put the layers together. The network has two convolutions, each with a ReLU and a max pooling behind it, and a
# linear layer:
#
# | step | weights | result for 8×8 digits |
# |---|---|---|
# | convolution 3×3, padding 1 | `w1` (16, 1, 3, 3), `b1` (16,) | (N, 16, 8, 8) |
# | ReLU, max pooling 2×2, stride 2 | | (N, 16, 4, 4) |
# | convolution 3×3, padding 1 | `w2` (32, 16, 3, 3), `b2` (32,) | (N, 32, 4, 4) |
# | ReLU, max pooling 2×2, stride 2 | | (N, 32, 2, 2) |
# | flatten, linear: $z = W_3 h + b_3$ | `w3` (10, 128), `b3` (10,) | (N, 10) |
#
# The loss is the mean cross-entropy, $L = -\frac1N \sum_n \log p_{n,t_n}$ with $p = \mathrm{softmax}(z)$. Going back
# begins with its tidy gradient,
#
# $$\frac{\partial L}{\partial z_{n,c}} = \frac{p_{n,c} - [c = t_n]}{N},$$
#
# in words: the probability that was given to each class, minus 1 for the right one, divided by the number of pictures.
# A ReLU lets a gradient pass where its input was above 0. The rest are layers that you know, in the opposite order.
#
# **1. `network_gradients`**: the loss of a batch and the six gradients, in the order of the weights. It is given its
# layers in a dict, with the arguments of your exercises 8 to 11:
# `layers["conv"](x, w, b, stride, padding)`, `layers["conv_gradients"](grad, x, w, stride, padding)`,
# `layers["max_pool"](x, size, stride)` and `layers["max_pool_gradient"](grad, switches, height, width)`.
# Take all sizes from the tensors: later the pictures will be larger.
#
# **2. `train_network`**: stochastic descent with momentum 0.9 and a rate that falls to 0. With $K$ steps in all, step
# $\kappa = 0 \dots K - 1$ does for each of the six tensors
#
# $$\Delta \leftarrow 0.9\, \Delta - \varepsilon \left(1 - \frac{\kappa}{K}\right) \nabla L, \qquad
# w \leftarrow w + \Delta,$$
#
# with $\Delta = 0$ at the start. An epoch shows every picture once, in a new random order from `generator`, in batches
# of `batch_size`; the short last batch is kept and counts as a step. `weights` stay as they were; return six new ones.
#
# The second tests cell trains on real handwritten digits, **with your own layers** from exercises 8 to 11. Each is
# first compared with a ready one; where yours is missing or differs, the ready one is taken and the cell says so. So
# your points here do not depend on your other answers.

# %% setup="network"


def given_conv(x: Tensor, w: Tensor, b: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
    """A ready convolution, for those who miss exercise 8."""
    return torch.nn.functional.conv2d(x, w, b, stride, padding)


def given_conv_gradients(grad: Tensor, x: Tensor, w: Tensor, stride: int = 1, padding: int = 0):
    """Ready gradients of a convolution, for those who miss exercise 9."""
    dx = torch.nn.grad.conv2d_input(x.shape, w, grad, stride, padding)
    dw = torch.nn.grad.conv2d_weight(x, w.shape, grad, stride, padding)
    return dx, dw, grad.sum(dim=(0, 2, 3))


def given_max_pool(x: Tensor, size: int, stride: int):
    """Ready max pooling with switches, for those who miss exercise 10."""
    return torch.nn.functional.max_pool2d(x, size, stride, return_indices=True)


def given_max_pool_gradient(grad: Tensor, switches: Tensor, height: int, width: int) -> Tensor:
    """The ready gradient of max pooling without overlap, for those who miss exercise 11."""
    return torch.nn.functional.max_unpool2d(grad, switches, 2, output_size=(height, width))


given_layers = {
    "conv": given_conv,
    "conv_gradients": given_conv_gradients,
    "max_pool": given_max_pool,
    "max_pool_gradient": given_max_pool_gradient,
}


def start_weights(generator: torch.Generator, channels: int = 1, side: int = 8, classes: int = 10) -> list[Tensor]:
    """w1, b1, w2, b2, w3, b3 for square pictures: random numbers as He et al. (2015) scale them; biases 0."""
    w1 = torch.randn(16, channels, 3, 3, generator=generator) * (2 / (9 * channels)) ** 0.5
    w2 = torch.randn(32, 16, 3, 3, generator=generator) * (2 / (9 * 16)) ** 0.5
    pixels = 32 * (side // 4) ** 2
    w3 = torch.randn(classes, pixels, generator=generator) * (1 / pixels) ** 0.5
    return [v.to(here) for w in (w1, w2, w3) for v in (w, torch.zeros(len(w)))]


def network_logits(weights: list[Tensor], x: Tensor) -> Tensor:
    """What the network answers, by torch's own layers: z (N, classes) for pictures (N, C, H, W)."""
    w1, b1, w2, b2, w3, b3 = weights
    F = torch.nn.functional
    h = F.max_pool2d(F.relu(F.conv2d(x, w1, b1, padding=1)), 2)
    h = F.max_pool2d(F.relu(F.conv2d(h, w2, b2, padding=1)), 2)
    return F.linear(h.flatten(1), w3, b3)


def accuracy(weights: list[Tensor], x: Tensor, t: Tensor) -> float:
    """The share of pictures x (N, C, H, W) whose class t (N,) the network names, by torch's own layers."""
    return (network_logits(weights, x).argmax(1) == t).float().mean().item()


digits_x, digits_t = (v.to(here) for v in data.digits("train"))  # (1197, 1, 8, 8), and (1197,) from 0 to 9
test_x, test_t = (v.to(here) for v in data.digits("test"))  # 300 others


# %% solution="digit_network"
def network_gradients(layers: dict, weights: list[Tensor], x: Tensor, t: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Loss of the network on a batch, and its gradient with respect to each of the weights.

    layers: "conv", "conv_gradients", "max_pool", "max_pool_gradient".   weights: w1, b1, w2, b2, w3, b3.
    x: pictures (N, C, H, W).   t: classes (N,).   Returns the mean cross-entropy () and six gradients.
    """
    ### BEGIN SOLUTION
    w1, b1, w2, b2, w3, b3 = weights
    net1 = layers["conv"](x, w1, b1, 1, 1)  # (N, 16, H, W)
    h1, switches1 = layers["max_pool"](net1.relu(), 2, 2)  # (N, 16, H/2, W/2)
    net2 = layers["conv"](h1, w2, b2, 1, 1)  # (N, 32, H/2, W/2)
    h2, switches2 = layers["max_pool"](net2.relu(), 2, 2)  # (N, 32, H/4, W/4)
    z = h2.flatten(1) @ w3.T + b3  # (N, classes)
    loss = torch.nn.functional.cross_entropy(z, t)

    dz = (z.softmax(1) - torch.nn.functional.one_hot(t, z.shape[1])) / len(x)  # (N, classes)
    dw3, db3 = dz.T @ h2.flatten(1), dz.sum(0)
    dh2 = (dz @ w3).reshape(h2.shape)
    dnet2 = layers["max_pool_gradient"](dh2, switches2, *net2.shape[2:]) * (net2 > 0)
    dh1, dw2, db2 = layers["conv_gradients"](dnet2, h1, w2, 1, 1)
    dnet1 = layers["max_pool_gradient"](dh1, switches1, *net1.shape[2:]) * (net1 > 0)
    _, dw1, db1 = layers["conv_gradients"](dnet1, x, w1, 1, 1)
    return loss, [dw1, db1, dw2, db2, dw3, db3]
    ### END SOLUTION


def train_network(
    layers: dict,
    weights: list[Tensor],
    x: Tensor,
    t: Tensor,
    rate: float,
    batch_size: int,
    epochs: int,
    generator: torch.Generator,
) -> list[Tensor]:
    """Stochastic descent with momentum 0.9 and a rate that falls from `rate` towards 0, step by step.

    layers, weights, x, t: as in `network_gradients`, all pictures.   Returns six new weights.
    """
    ### BEGIN SOLUTION
    deltas = [torch.zeros_like(w) for w in weights]
    steps, step = epochs * -(-len(x) // batch_size), 0  # batches, rounded up
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=generator).split(batch_size):
            _, gradients = network_gradients(layers, weights, x[batch], t[batch])
            now = rate * (1 - step / steps)
            for k, gradient in enumerate(gradients):
                deltas[k] = 0.9 * deltas[k] - now * gradient
            weights = [w + deltas[k] for k, w in enumerate(weights)]
            step += 1
    return weights
    ### END SOLUTION


# %% tests="digit_network" points=2
for function in ("network_gradients", "train_network"):
    checks.assert_by_hand(
        function,
        without=(*CONVOLUTION, *POOLING, *AUTOGRAD, "torch.optim"),
        hint="Backwards through the layers yourself: from the loss to w3, then layer by layer down to w1.",
    )
for classes, channels, side, n, blank in ((10, 1, 8, 5, False), (3, 2, 12, 1, False), (10, 1, 8, 2, True)):
    start = start_weights(torch.Generator().manual_seed(1), channels, side, classes)
    start[1::2] = [torch.randn(len(b), generator=torch.Generator().manual_seed(2)).to(here) / 4 for b in start[1::2]]
    x = torch.rand(n, channels, side, side, generator=torch.Generator().manual_seed(3)).to(here)
    if blank:  # inputs of exactly 0 to both ReLUs: nothing may pass back through them
        x, start[1], start[2], start[3][:16] = 0 * x, 0 * start[1], 0 * start[2], 0.0
    kept = [w.clone() for w in start]
    t = torch.arange(n, device=here) % classes
    answer = network_gradients(given_layers, start, x, t)
    checks.assert_true(
        isinstance(answer, list | tuple) and len(answer) == 2,
        "network_gradients: wanted the loss and a list of gradients.",
        hint="End with: return loss, [dw1, db1, dw2, db2, dw3, db3].",
    )
    leaves = [w.clone().requires_grad_() for w in start]
    wanted_loss = torch.nn.functional.cross_entropy(network_logits(leaves, x), t)
    wanted = dict(zip(("w1", "b1", "w2", "b2", "w3", "b3"), torch.autograd.grad(wanted_loss, leaves), strict=True))
    size = f"{n} {'blank ' if blank else ''}pictures of {side}×{side} pixels in {classes} classes"
    checks.assert_close(
        answer[0],
        wanted_loss.detach(),
        rtol=1e-3,
        name=f"loss of {size}",
        hint="Forwards first: convolution with padding 1, ReLU, pooling, twice, then linear; the mean of −log p[t].",
    )
    checks.assert_true(
        isinstance(answer[1], list | tuple) and len(answer[1]) == 6,
        "network_gradients: wanted six gradients.",
        hint="One for each of w1, b1, w2, b2, w3, b3, in this order.",
    )
    found = dict(zip(wanted, answer[1], strict=True))
    for name, weight in zip(wanted, start, strict=True):
        checks.assert_shape(
            found[name],
            weight.shape,
            name=f"∂L/∂{name} for {size}",
            hint="In the order w1, b1, w2, b2, w3, b3, each in the shape of its weights; w3 is (classes, pixels).",
        )
    for name, hint in (
        ("b3", "(p − [c = t])/N, summed over the batch. The mean over the batch belongs to the loss: divide by N."),
        ("w3", "The gradient of z times what came into the linear layer: dzᵀ·h, (classes, pixels)."),
        ("b2", "dz·w3 in the shape of the pooled pictures, through the switches, then the ReLU: 0 where net2 ≤ 0."),
        ("w2", "The gradient of net2 meets what came into the second convolution: the first pooling's output."),
        ("b1", "conv_gradients gives ∂L/∂h1; send it through the first pooling's own switches and the first ReLU."),
        ("w1", "The gradient of net1 meets the pictures x."),
    ):
        checks.assert_close(found[name], wanted[name], rtol=1e-3, atol=1e-5, name=f"∂L/∂{name} for {size}", hint=hint)
    checks.assert_close(start, kept, rtol=0, atol=0, name="weights", hint="The weights stay as they were.")
print("digit_network: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("digit_network")
fresh_start = start_weights(fresh_generator, 3, 16, 4)
fresh_x = torch.rand(6, 3, 16, 16, generator=fresh_generator).to(here)
fresh_t = torch.randint(4, (6,), generator=fresh_generator).to(here)
checks.assert_close(
    network_gradients(given_layers, fresh_start, fresh_x, fresh_t),
    reference.network_gradients(given_layers, fresh_start, fresh_x, fresh_t),
    rtol=1e-3,
    atol=1e-5,
    name="loss and gradients on other pictures",
    hint="Take all sizes from the tensors, and go back through every layer.",
)
### END HIDDEN TESTS

# %% tests="digit_network:training" points=2
small_x, small_t = digits_x[:40], digits_t[:40]
start = start_weights(torch.Generator().manual_seed(1))
kept = [w.clone() for w in start]
order = torch.Generator().manual_seed(1)
trained = train_network(given_layers, start, small_x, small_t, 0.1, 40, 1, order)
checks.assert_close(
    start,
    kept,
    rtol=0,
    atol=0,
    name="weights",
    hint="`w += …` changes what you were given; `w = w + …` does not.",
)
checks.assert_true(
    isinstance(trained, list | tuple) and len(trained) == 6,
    "train_network: wanted six new weights.",
    hint="Return w1, b1, w2, b2, w3, b3 as they are after the last step.",
)
leaves = [w.clone().requires_grad_() for w in start]
slopes = torch.autograd.grad(torch.nn.functional.cross_entropy(network_logits(leaves, small_x), small_t), leaves)
stepped = [w - 0.1 * slope for w, slope in zip(start, slopes, strict=True)]
checks.assert_close(
    list(trained),
    stepped,
    rtol=1e-3,
    atol=1e-5,
    name="weights after one step",
    hint="The first of K steps has the full rate, (1 − 0/K)·ε, and goes downhill: Δ = −ε·gradient, w + Δ.",
)
leaves = [w.clone().requires_grad_() for w in stepped]
again = torch.autograd.grad(torch.nn.functional.cross_entropy(network_logits(leaves, small_x), small_t), leaves)
checks.assert_close(
    list(train_network(given_layers, start, small_x, small_t, 0.1, 40, 2, order)),
    [w - 0.1 * 0.9 * first - 0.05 * second for w, first, second in zip(stepped, slopes, again, strict=True)],
    rtol=1e-3,
    atol=1e-5,
    name="weights after two steps",
    hint="The second of two steps: Δ = 0.9·(last Δ) − ε/2·gradient at the new weights. The rate falls each step.",
)
# fifty times one picture: the order does not matter, and two epochs in batches of 20, 20 and 10 are six steps
same_x, same_t = small_x[:1].repeat(50, 1, 1, 1), small_t[:1].repeat(50)
walked, deltas = start, [torch.zeros_like(w) for w in start]
for step in range(6):
    leaves = [w.clone().requires_grad_() for w in walked]
    loss = torch.nn.functional.cross_entropy(network_logits(leaves, same_x), same_t)
    slopes = torch.autograd.grad(loss, leaves)
    deltas = [0.9 * delta - 0.02 * (1 - step / 6) * slope for delta, slope in zip(deltas, slopes, strict=True)]
    walked = [w + delta for w, delta in zip(walked, deltas, strict=True)]
checks.assert_close(
    list(train_network(given_layers, start, same_x, same_t, 0.02, 20, 2, order)),
    walked,
    rtol=1e-3,
    atol=1e-5,
    name="weights after two epochs of 20, 20 and 10 pictures",
    hint="Six steps: the short last batch counts, Δ goes on from epoch to epoch, and the rate falls at every step.",
)
sums = []  # of all weights after three steps, for three generators
for seed in (4, 5, 4):
    trained = train_network(given_layers, start, small_x, small_t, 0.1, 16, 1, torch.Generator().manual_seed(seed))
    sums.append([float(w.sum()) for w in trained])
checks.assert_true(
    any(abs(a - b) > 1e-4 for a, b in zip(sums[0], sums[1], strict=True)),
    "train_network: two generators with other seeds give the same weights.",
    hint="Draw the order of the pictures from the generator that you are given, anew for every epoch.",
)
checks.assert_close(
    sums[2],
    sums[0],
    rtol=1e-3,
    atol=1e-4,
    name="sums of the weights with the same seed",
    hint="All randomness comes from the generator: pass it on as generator=generator.",
)

# your own layers, each where it agrees with a ready one
generator = torch.Generator().manual_seed(1)
x, w, b = whole(generator, 4, 2, 6, 6), whole(generator, 3, 2, 3, 3), whole(generator, 3)
pooled, switches = given_max_pool(x, 2, 2)
samples = {
    "conv": (lambda: fast_conv2d, (x, w, b, 1, 1)),
    "conv_gradients": (lambda: fast_conv2d_gradients, (whole(generator, 4, 3, 6, 6), x, w, 1, 1)),
    "max_pool": (lambda: max_pool, (x, 2, 2)),
    "max_pool_gradient": (lambda: max_pool_gradient, (pooled, switches, 6, 6)),
}
layers = dict(given_layers)
for name, (own, arguments) in samples.items():
    try:
        checks.assert_close(own()(*arguments), given_layers[name](*arguments), hint="The ready layer takes its place.")
        layers[name] = own()
    except Exception as error:  # whatever is wrong with it, the ready one is there
        print(f"{name}: a ready layer takes the place of yours ({type(error).__name__}).")
trained = train_network(layers, start, digits_x, digits_t, 0.05, 32, 8, torch.Generator().manual_seed(1))
for w in trained:
    checks.assert_finite(w, name="trained weights", hint="It diverged: check the sign, the rate and the momentum.")
reached = accuracy(trained, test_x, test_t)
checks.assert_in_range(
    reached,
    0.95,
    1.0,
    name="share of 300 other digits that it reads",
    hint="Eight epochs suffice for 95 %. Does every epoch show every picture, in a new order, and the rate fall to 0?",
)
print(f"digit_network:training: passed. It reads {reached:.1%} of digits that it has never seen.")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("digit_network")
fresh_start = start_weights(fresh_generator)
fresh_x, fresh_t = (
    v.to(here) for v in data.digits("train", seed=int(torch.randint(1000, (), generator=fresh_generator)))
)
checks.assert_close(
    train_network(given_layers, fresh_start, fresh_x[:30], fresh_t[:30], 0.1, 30, 3, fresh_generator),
    reference.train_network(given_layers, fresh_start, fresh_x[:30], fresh_t[:30], 0.1, 30, 3, fresh_generator),
    rtol=1e-2,
    atol=1e-4,
    name="weights after three steps on other digits",
    hint="Δ = 0.9·Δ − ε·(1 − step/steps)·gradient, then w + Δ.",
)
trained = train_network(given_layers, fresh_start, fresh_x, fresh_t, 0.05, 32, 8, fresh_generator)
checks.assert_in_range(
    accuracy(trained, fresh_x, fresh_t),
    0.98,
    1.0,
    name="share of other digits that it reads after training on them",
    hint="Every epoch shows every picture once, in a new order, short last batch too.",
)
### END HIDDEN TESTS

# %% explore="scenes"
# explore: the same network, of your own layers only, on drawn scenes (32×32, in colour): a disc or a frame? Only the
# outline tells, among clutter. Chance is 50 %; wanted: above 70 %. Try other pairs, more scenes, more epochs
own_layers = {
    "conv": fast_conv2d,
    "conv_gradients": fast_conv2d_gradients,
    "max_pool": max_pool,
    "max_pool_gradient": max_pool_gradient,
}
pair = [data.SHAPE_NAMES.index(name) for name in ("disc", "frame")]


def scenes(n: int, split: str) -> tuple[Tensor, Tensor]:
    """The scenes of the two kinds among n drawn ones, around 0, and their class, 0 or 1."""
    drawn = data.shapes(n, split=split, device=here)
    kept = (drawn.labels == pair[0]) | (drawn.labels == pair[1])
    return drawn.images[kept] - 0.5, (drawn.labels[kept] == pair[1]).long()


started = time.perf_counter()
scenes_x, scenes_t = scenes(8000, "train")
start = start_weights(torch.Generator().manual_seed(1), channels=3, side=32, classes=2)
trained = train_network(own_layers, start, scenes_x, scenes_t, 0.03, 32, 3, torch.Generator().manual_seed(1))
share = accuracy(trained, *scenes(3000, "test"))
print(f"{share:.1%} of other scenes, after {time.perf_counter() - started:.0f} s: wanted above 70 %.")

# %% [markdown]
# ### Question 16. What you have built (3 points)
#
# Answer in a few sentences each, with numbers from your own cells above:
#
# 1. How many times as many numbers as a picture do its columns hold, for a kernel of $3 \times 3$, stride 1 and
#    padding 1? Why is it faster all the same, and when would you rather not do it?
# 2. "Convolution is equivariant to shifts, pooling makes it invariant." What did you measure, and which exceptions to
#    each half of the sentence did you find?
# 3. A pixel that wins two pooling windows, and a pixel that lies in four windows of a convolution: what happens to
#    their gradients, and which rule of calculus says so?

# %% [markdown] manual="what_you_built" points=3
# 1. Nine times: every pixel lies in nine windows (a few less at the border). It is faster because one large product
#    of matrices replaces thousands of small calls. When memory is short, for large kernels or large pictures, nine (or
#    25) copies are too many.
# 2. The convolution that wraps around is equivariant up to rounding with stride 1, and with stride 2 for even shifts
#    only. With zeros around, the border differs. Pooling is only roughly invariant: most outputs of 2×2 windows change
#    when the picture moves by one pixel, noise or drawn scene, fewer with larger windows, none with one window over
#    all.
# 3. They add. The loss depends on the pixel along several paths, and the chain rule sums over all paths.

# %% [markdown]
# ## What you can do now
#
# You can say how many outputs a layer has and what does not tile, write a convolution forwards and backwards in one
# and two dimensions, turn it into one product of matrices and say why that is fast, pool by maximum and by mean and
# send gradients back through both, find a wrong gradient without reading it, measure what a shift does to a layer, and
# train a network in which nothing is anybody's but yours.
