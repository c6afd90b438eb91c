# The lab of the chapter "Normalizing inside the network". Thirteen exercises, 30 points,
# and one answer in words, 3 points.

# %% [markdown]
# # Normalization
#
# A deep network is a long product. If every layer makes its signal twice as large, twenty layers make it a million
# times as large; if every layer halves it, nothing arrives. In this lab you keep the signal at the same size, first in
# the data, then in the weights, then in the layers themselves, and you take batch normalization apart until its
# gradient is yours.
#
# 1. **Normalise the data**: standardise, whiten.
# 2. **Normalise the weights**: how large should they be at the start?
# 3. **Batch normalization**: forwards, in evaluation, and backwards by hand, twice.
# 4. **Other axes**: layer, instance and group norm, and local response normalization.
# 5. **Dropout**, forwards and backwards, and what it does to batch norm.
# 6. **A deep net** with and without normalization, at four learning rates.
#
# How it works:
#
# - Write your answer where a cell says `raise NotImplementedError`. Then run the cell below it. If it says *passed*,
#   go on. If not, the last line of the error is a hint.
# - The tests you see show the idea. When your lab is graded, the same idea is tested on other numbers.
# - No exercise needs your answer to another one. If you are stuck, go on and come back.
# - Where an exercise says **by hand**, `torch`'s own version of it is not for you, nor is autograd for a backward pass.
#   The tests read your source for it. That is a rule between us, not a proof.
# - Cells that begin with `# explore` are for your eyes: change the numbers in them, nothing there is graded. Most of
#   them use what you have written, so they run once that is done.
#
# Numbers are `float32` or `float64` and lie on the device that `unmagic.device()` found. What you return has the dtype
# and the device of the arguments, and the arguments stay as they were.
#
# Shapes: $N$ is the number of examples in a batch, $C$ the number of features or channels, $H$ and $W$ the height and
# the width of an image.

# %% setup="imports"
from unmagic import checks, data, device

import math

import matplotlib.pyplot as plt
import torch
from torch import Tensor

here = device()  # a GPU where there is one, else the CPU
print(f"This lab computes on: {here}")


def draw(*shape: int, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> Tensor:
    """Standard normal numbers on the lab's device."""
    return torch.randn(shape, generator=generator, dtype=dtype).to(here)


# %% setup="by_hand"
# what "by hand" does without: torch's normalizations under all their names, and for a backward pass autograd
NORMS = (
    "torch.nn.functional.batch_norm",
    "torch.nn.functional.layer_norm",
    "torch.nn.functional.instance_norm",
    "torch.nn.functional.group_norm",
    "torch.nn.functional.rms_norm",
    "torch.nn.functional.local_response_norm",
    "torch.batch_norm",
    "torch.layer_norm",
    "torch.instance_norm",
    "torch.group_norm",
    "torch.rms_norm",
    "torch.native_batch_norm",
    "torch.native_layer_norm",
    "torch.native_group_norm",
    "torch.nn.BatchNorm1d",
    "torch.nn.BatchNorm2d",
    "torch.nn.BatchNorm3d",
    "torch.nn.SyncBatchNorm",
    "torch.nn.LazyBatchNorm1d",
    "torch.nn.LazyBatchNorm2d",
    "torch.nn.LayerNorm",
    "torch.nn.RMSNorm",
    "torch.nn.InstanceNorm1d",
    "torch.nn.InstanceNorm2d",
    "torch.nn.GroupNorm",
    "torch.nn.LocalResponseNorm",
    "torch.nn.CrossMapLRN2d",
    "torch.nn.modules",
    "torch.ops",
)
AUTOGRAD = ("torch.autograd", "torch.func", ".backward", ".grad", ".vjp", ".jacrev")


def gradients_agree(forward, backward, *inputs: Tensor) -> bool:
    """Whether `backward(dy, *inputs)` gives what central differences of `forward(*inputs)` give (torch's gradcheck).

    The inputs are float64 and lie on the CPU: differences need more digits than a GPU gladly computes with.
    """

    class Pair(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *tensors):
            ctx.save_for_backward(*tensors)
            return forward(*tensors)

        @staticmethod
        def backward(ctx, dy):
            return tuple(backward(dy, *ctx.saved_tensors))

    leaves = tuple(tensor.detach().clone().requires_grad_() for tensor in inputs)
    return torch.autograd.gradcheck(Pair.apply, leaves, raise_exception=False, check_undefined_grad=False)


# %% [markdown]
# ## Part 1. Normalise the data
#
# ### Exercise 1. Standardise images (2 points)
#
# A network should not have to learn that a camera counts from 0 to 4095. So each channel is shifted to mean 0 and
# scaled to variance 1, by the mean $\mu_c$ and the standard deviation $\sigma_c$ of channel $c$ over all images, rows
# and columns **of the training set**:
#
# $$x_{nchw} \leftarrow \frac{x_{nchw} - \mu_c}{\sigma_c}, \qquad
# \sigma_c^2 = \frac{1}{NHW} \sum_{n,h,w} (x_{nchw} - \mu_c)^2.$$
#
# In words: two numbers for each channel, both from the training set, and every image ever seen goes through the same
# two. A number: a training set with the grey values 1, 3 and 5 has $\mu = 3$ and $\sigma = \sqrt{8/3} \approx 1.63$, so
# a test image with the grey value 7 becomes $(7 - 3)/1.63 \approx 2.45$, not 0.
#
# - A training set seldom fits into one tensor: it comes as a list of batches, the last of which may be shorter. You
#   may put them together or add up as you go. But the mean of the batches' means is not the mean.
# - Divide by the number of values, not by one less (`correction=0` in `torch`).
# - A channel that is the same everywhere in the training set has $\sigma = 0$. It is only centred: divide it by 1.
#
# | name | shape | what |
# |---|---|---|
# | `batches` | list of (n, C, H, W) | the training set; n may differ |
# | `x` | (m, C, H, W) | images to standardise, of whatever set |
# | result | (m, C, H, W) | `x`, standardised |


# %% solution="standardise"
def standardise(batches: list[Tensor], x: Tensor) -> Tensor:
    """`x` with each channel shifted and scaled by the mean and standard deviation of the training set.

    batches: the training set, tensors (n, C, H, W); n may differ.   x: (m, C, H, W).   Returns (m, C, H, W).
    """
    ### BEGIN SOLUTION
    train = torch.cat(list(batches))  # (N, C, H, W)
    mean = train.mean(dim=(0, 2, 3), keepdim=True)  # (1, C, 1, 1)
    std = train.std(dim=(0, 2, 3), correction=0, keepdim=True)  # (1, C, 1, 1)
    return (x - mean) / torch.where(std > 0, std, 1.0)
    ### END SOLUTION


# %% tests="standardise" points=1
# three images of one row and two columns, with two channels: grey values 1, 3, 5 and 10, 10, 40
grey = torch.tensor([[1.0, 10.0], [3.0, 10.0], [5.0, 40.0]], device=here)[:, :, None, None].repeat(1, 1, 1, 2)
answer = standardise([grey[:2], grey[2:]], grey)
checks.assert_shape(answer, (3, 2, 1, 2), name="x", hint="Standardising changes numbers, not shapes.")
checks.assert_dtype(answer, torch.float32, name="x", hint="Return the dtype of x.")
checks.assert_finite(answer, name="x", hint="Is a σ of 0 or of one value only in there? It is taken over N, H and W.")
checks.assert_close(
    answer.mean(dim=(0, 2, 3)),
    torch.zeros(2, device=here),
    atol=1e-5,
    name="mean of each channel of the training set",
    hint="One mean for each channel, over images, rows and columns: dim=(0, 2, 3). With batches of different lengths "
    "the mean of their means is not the mean of all.",
)
mean_square = (answer**2).mean(dim=(0, 2, 3))
checks.assert_true(
    abs(mean_square[0].item() - 5 / 6) > 1e-3,
    "x: the mean square of a channel is (n − 1)/n, wanted 1.",
    hint="`torch.std` divides by n − 1 unless told otherwise. Divide by n: correction=0.",
)
checks.assert_close(
    mean_square,
    torch.ones(2, device=here),
    rtol=1e-3,
    name="mean square of each channel of the training set",
    hint="Divide by the standard deviation, the root of the variance, of **all** the training set: the spread within "
    "each batch leaves out how far the batches lie apart.",
)
seven = torch.full((1, 2, 1, 2), 7.0, device=here)
checks.assert_close(
    standardise([grey[:2], grey[2:]], seven)[:, 0],
    torch.full((1, 1, 2), 2.4494897, device=here),
    rtol=1e-3,
    name="a test image of grey value 7",
    hint="A test image goes through μ and σ of the training set, never through its own.",
)
print("standardise: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("standardise")
fresh_train = draw(13, 3, 4, 5, generator=fresh_generator) * 3 + 2
fresh_x = draw(4, 3, 4, 5, generator=fresh_generator) - 1
checks.assert_close(
    standardise(list(fresh_train.split(5)), fresh_x),
    reference.standardise(list(fresh_train.split(5)), fresh_x),
    rtol=1e-3,
    atol=1e-4,
    name="other images, standardised",
    hint="Subtract the mean and divide by the standard deviation of the channel over the training set.",
)
### END HIDDEN TESTS

# %% tests="standardise:hard_cases" points=1
dark = torch.zeros(4, 2, 3, 1, device=here)
dark[:, 0, :, 0] = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0], [1.0, 5.0, 9.0]], device=here)
answer = standardise([dark[:1], dark[1:]], dark + 3)
checks.assert_finite(
    answer, name="a channel that is dark everywhere", hint="Where σ = 0 divide by 1 instead: nothing is scaled there."
)
checks.assert_close(
    answer[:, 1],
    torch.full((4, 3, 1), 3.0, device=here),
    name="grey value 3 in a channel that is dark in the whole training set",
    hint="Where σ = 0 the channel is only centred, x − μ: divide by 1, exactly.",
)
# a sensor around 2000 with a spread of 1: float32 has 7 digits, and the square of 2000 takes them all
bright = 2000 + torch.randn(50, 1, 4, 4, generator=torch.Generator().manual_seed(1)).to(here)
spread = standardise(list(bright.split(16)), bright)
checks.assert_finite(spread, name="a bright sensor", hint="E[x²] − μ² may even come out below 0 here: centre first.")
checks.assert_close(
    (spread**2).mean().sqrt(),
    torch.ones((), device=here),
    rtol=5e-3,
    name="spread of a sensor around 2000",
    hint="E[x²] − μ² is the difference of two large numbers, and float32 loses its digits: subtract μ before squaring.",
)
print("standardise:hard_cases: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("standardise")
fresh_dark = draw(6, 4, 2, 3, generator=fresh_generator)
fresh_dark[:, 2] = 0
checks.assert_close(
    standardise(list(fresh_dark.split(4)), fresh_dark + 0.7),
    reference.standardise(list(fresh_dark.split(4)), fresh_dark + 0.7),
    rtol=1e-3,
    atol=1e-4,
    name="images with another channel that is dark in the training set",
    hint="A channel with σ = 0 is divided by 1, all others by their own σ.",
)
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 2. Whiten, two ways (2 points)
#
# Neighbouring pixels go together, and scaling cannot undo that. **Whitening** multiplies by a matrix $M$, so that the
# covariance of $z = M(x - \mu)$ is the identity. Let $\lambda_j$ and $v_j$ be the eigenvalues and eigenvectors of the
# covariance of the training set, the $v_j$ being the columns of $V$. There are many such $M$. Two have names:
#
# $$M_\text{PCA} = (\Lambda + \epsilon)^{-1/2}\, V^\top, \qquad
# M_\text{ZCA} = V\, (\Lambda + \epsilon)^{-1/2}\, V^\top.$$
#
# In words: rotate onto the eigenvectors, then divide each new coordinate by the root of its variance. PCA whitening
# stops there. ZCA whitening rotates back, and of all whitenings it changes the data least: every pixel of a whitened
# image still stands for its own place. The small number $\epsilon \ge 0$, inside the root, keeps pixels that never
# change from being divided by 0. A number: variances of 4 and 1/16 with $\epsilon = 0$ give
# $M = \mathrm{diag}(0.5, 4)$.
#
# The rows of $M_\text{PCA}$ come with the **largest** variance first; the sign of a row is free. Divide by $n$ in the
# covariance. `torch.linalg.eigh` gives the eigenvalues in ascending order.
#
# | name | shape | what |
# |---|---|---|
# | `X` | (n, d) | training set, one example a row |
# | `zca` | bool | `True` for ZCA, `False` for PCA |
# | `eps` | number | $\epsilon$, added to each eigenvalue |
# | result | (d,) and (d, d) | $\mu$ and $M$; then `(x - mean) @ M.T` whitens a set `x` |


# %% solution="whitening"
def whitening(X: Tensor, zca: bool, eps: float) -> tuple[Tensor, Tensor]:
    """Mean and whitening matrix of a training set: for `(x - mean) @ M.T` the covariance is I (but for eps).

    X: (n, d).   zca: rotate back.   eps: added to the eigenvalues.   Returns mean (d,) and M (d, d).
    """
    ### BEGIN SOLUTION
    mean = X.mean(dim=0)  # (d,)
    centred = X - mean  # (n, d)
    eigenvalues, V = torch.linalg.eigh(centred.T @ centred / len(X))  # (d,) ascending, (d, d)
    scaled = V / (eigenvalues + eps).sqrt()  # (d, d), each column by its own root
    return mean, scaled @ V.T if zca else scaled.T.flip(0)
    ### END SOLUTION


# %% tests="whitening" points=1
# four points on the axes: variances 4 and 1/16, and nothing to rotate
cross = torch.tensor([[8.0**0.5, 0.0], [-(8.0**0.5), 0.0], [0.0, 0.125**0.5], [0.0, -(0.125**0.5)]], device=here)
answer = whitening(cross + 3, False, 0.0)
checks.assert_true(
    isinstance(answer, list | tuple) and len(answer) == 2,
    "whitening: wanted two tensors.",
    hint="End with: return mean, M.",
)
checks.assert_close(
    answer[0], torch.full((2,), 3.0, device=here), name="mean", hint="The mean over the examples, dim=0."
)
checks.assert_shape(answer[1], (2, 2), name="M", hint="M takes d numbers to d numbers.")
checks.assert_dtype(answer[1], torch.float32, name="M", hint="Compute in float64 if you like, but return X's dtype.")
checks.assert_finite(answer[1], name="M", hint="The eigenvalues of a covariance are positive: what are yours of?")
checks.assert_close(
    answer[1].abs().sort(dim=1, descending=True).values[:, 0].sort().values,
    torch.tensor([0.5, 4.0], device=here),
    rtol=1e-3,
    name="the numbers of M for variances 4 and 1/16, in ascending order",
    hint="Divide by the root of the eigenvalue, 2 and 1/4, not by the eigenvalue; with n in the covariance, not n − 1.",
)
checks.assert_close(
    answer[1].abs(),
    torch.tensor([[0.5, 0.0], [0.0, 4.0]], device=here),
    rtol=1e-3,
    atol=1e-5,
    name="M for variances 4 and 1/16, signs aside",
    hint="The largest variance comes first: eigh gives it last, so turn the rows around, dim 0.",
)
checks.assert_close(
    whitening(cross, False, 2.0)[1].abs(),
    torch.tensor([[6.0**-0.5, 0.0], [0.0, 2.0625**-0.5]], device=here),
    rtol=1e-3,
    atol=1e-5,
    name="M for variances 4 and 1/16 with ε = 2, signs aside",
    hint="ε is added to the eigenvalue inside the root: 1/√(4 + 2) and 1/√(1/16 + 2).",
)
tilted = torch.tensor([[2.0, 2.0, 1.0], [-2.0, -2.0, -1.0], [1.0, -1.0, 0.0], [-1.0, 1.0, 3.0]], device=here)
mean, M = whitening(tilted, False, 0.0)
whitened = (tilted - mean) @ M.T
checks.assert_close(
    whitened.T @ whitened / 4,
    torch.eye(3, device=here),
    rtol=1e-3,
    atol=1e-3,
    name="covariance of whitened points",
    hint="M = (Λ + ε)^(−1/2)·Vᵀ: the eigenvectors are the columns of V, so they are the rows of M.",
)
products = M @ M.T
checks.assert_close(
    products - products.diagonal().diag(),
    torch.zeros(3, 3, device=here),
    atol=1e-3,
    name="products of two rows of M",
    hint="The rows of M for PCA are eigenvectors, at right angles to one another: stop before rotating back.",
)
print("whitening: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("whitening")
fresh_x = draw(60, 4, generator=fresh_generator)
fresh_x = fresh_x * torch.tensor([1.0, 2.0, 4.0, 8.0], device=here) + 2
fresh_x = fresh_x + fresh_x.flip(1) * 0.3
mean, M = whitening(fresh_x, False, 0.3)
expected_mean, expected = reference.whitening(fresh_x, False, 0.3)
signs = (M * expected).sum(dim=1, keepdim=True).sign()
checks.assert_close(
    (mean, M * signs),
    (expected_mean, expected),
    rtol=1e-2,
    atol=1e-3,
    name="mean and M of other points, signs aside",
    hint="Rows of M: eigenvectors, each divided by √(λ + ε), in the order of falling λ.",
)
### END HIDDEN TESTS

# %% tests="whitening:zca" points=1
tilted = torch.tensor([[2.0, 2.0, 1.0], [-2.0, -2.0, -1.0], [1.0, -1.0, 0.0], [-1.0, 1.0, 3.0]], device=here)
mean, M = whitening(tilted, True, 0.0)
checks.assert_close(
    M,
    M.T.contiguous(),
    rtol=1e-3,
    atol=1e-4,
    name="M for ZCA",
    hint="M = V (Λ + ε)^(−1/2) Vᵀ is symmetric: rotate there with Vᵀ and back with V.",
)
whitened = (tilted - mean) @ M.T
checks.assert_close(
    whitened.T @ whitened / 4,
    torch.eye(3, device=here),
    rtol=1e-3,
    atol=1e-3,
    name="covariance of points whitened by ZCA",
    hint="Between the two rotations each coordinate is divided by √(λ + ε), its own.",
)
checks.assert_true(
    bool((torch.linalg.eigvalsh(M.double().cpu()) > 0).all()),
    "M for ZCA turns some direction around.",
    hint="ZCA stretches along the eigenvectors and turns nothing: V on the left and Vᵀ on the right, in one order.",
)
narrow = torch.tensor([[1.0, 1.0], [-1.0, -1.0]], device=here)
checks.assert_close(
    whitening(narrow, True, 0.25)[1],
    torch.tensor([[4 / 3, -2 / 3], [-2 / 3, 4 / 3]], device=here),
    rtol=1e-3,
    name="M for ZCA of points on a line, with ε = 0.25",
    hint="λ is 2 along the line and 0 across; 1/√(2 + 0.25) and 1/√(0 + 0.25), half of their sum and difference.",
)
print("whitening:zca: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("whitening")
fresh_x = draw(60, 4, generator=fresh_generator) * torch.tensor([1.0, 2.0, 4.0, 8.0], device=here)
fresh_x = fresh_x + fresh_x.flip(1) * 0.3
checks.assert_close(
    whitening(fresh_x, True, 0.3),
    reference.whitening(fresh_x, True, 0.3),
    rtol=1e-2,
    atol=1e-3,
    name="mean and M for ZCA of other points",
    hint="M = V (Λ + ε)^(−1/2) Vᵀ.",
)
### END HIDDEN TESTS

# %% setup="digits"
images, labels = data.digits("train")  # (1197, 1, 8, 8) from 0 to 1, and (1197,) int64 from 0 to 9
digits_x = images.flatten(1).to(here)  # (1197, 64)
digits_t = labels.to(here)

# %% explore="whitened_digits"
# explore: digits, whitened both ways. Which of them can you still read? Try other eps
figure, axes = plt.subplots(3, 8, figsize=(8, 3.4))
rows = {"as they are": digits_x[:8]}
for name, zca in (("PCA", False), ("ZCA", True)):
    mean, M = whitening(digits_x, zca, 0.1)
    rows[name] = (digits_x[:8] - mean) @ M.T
for (name, pictures), row in zip(rows.items(), axes, strict=True):
    row[0].set_title(name, loc="left", fontsize=9)
    for picture, place in zip(pictures, row, strict=True):
        place.imshow(picture.reshape(8, 8).cpu(), cmap="gray")
        place.axis("off")
plt.show()

# %% [markdown]
# ## Part 2. Normalise the weights
#
# ### Exercise 3. How large should weights be? (2 points)
#
# A unit adds up $n$ inputs, $y = \sum_{i=1}^n w_i x_i$. For weights with mean 0 that know nothing of the inputs,
#
# $$\mathrm{E}[y^2] = n \,\mathrm{Var}(w)\; \mathrm{E}[x^2].$$
#
# In words: from layer to layer the mean square is multiplied by $n \mathrm{Var}(w)$, where $n$ is the number of inputs
# of a unit, its **fan-in**. Below 1 the signal fades, above 1 it explodes. On the way back the gradient meets the same
# weights, but adds up over the outputs, the **fan-out** $n_\text{out}$. Three common choices, all with weights drawn
# uniformly from $-b$ to $b$, whose variance is $b^2/3$:
#
# | scheme | $b$ | what it aims at |
# |---|---|---|
# | `"standard"` | $1/\sqrt{n_\text{in}}$ | was the habit; $n_\text{in}\mathrm{Var}(w) = 1/3$ |
# | `"xavier"` | $\sqrt{6/(n_\text{in} + n_\text{out})}$ | 1, there and back (Glorot and Bengio, 2010) |
# | `"he"` | $\sqrt{6/n_\text{in}}$ | 2, since a ReLU throws half of the mean square away (He et al., 2015) |
#
# A number: with $n_\text{in} = 300$ and $n_\text{out} = 100$, $b$ is 0.0577, 0.1225 and 0.1414. After 10 layers of
# the standard scheme the mean square has been multiplied by $(1/3)^{10} \approx 0.000017$.
#
# `shape` is that of a layer's weights in `torch`: (outputs, inputs) of a linear layer, or (output channels, input
# channels, height, width) of a convolution. There, a unit sees a patch of every input channel, so $n_\text{in}$ =
# input channels · height · width, and $n_\text{out}$ = output channels · height · width.
#
# Draw with the `generator`, which is on the CPU, and return the weights there: `float32`, of shape `shape`.


# %% solution="initialise"
def initialise(shape: tuple[int, ...], scheme: str, generator: torch.Generator) -> Tensor:
    """Weights drawn uniformly from −b to b, with the bound b of the scheme.

    shape: (out, in) or (out, in, height, width).   scheme: "standard", "xavier" or "he".   generator: draws them.
    """
    ### BEGIN SOLUTION
    patch = math.prod(shape[2:])
    n_in, n_out = shape[1] * patch, shape[0] * patch
    bound = {"standard": (1 / n_in) ** 0.5, "xavier": (6 / (n_in + n_out)) ** 0.5, "he": (6 / n_in) ** 0.5}[scheme]
    return bound * (2 * torch.rand(shape, generator=generator) - 1)
    ### END SOLUTION


# %% tests="initialise" points=1
weights = initialise((100, 300), "standard", torch.Generator().manual_seed(1))
checks.assert_shape(weights, (100, 300), name="weights", hint="The shape that was asked for: (outputs, inputs).")
checks.assert_dtype(weights, torch.float32, name="weights", hint="torch.rand gives float32 unless told otherwise.")
checks.assert_true(
    weights.min().item() < 0,
    "initialise: no weight is below 0.",
    hint="Uniformly from −b to b: torch.rand goes from 0 to 1, so stretch and shift it.",
)
checks.assert_true(
    not torch.equal(weights, initialise((100, 300), "standard", torch.Generator().manual_seed(2))),
    "initialise: two generators give the same weights.",
    hint="All randomness comes from the generator that you are given, and you set no seed yourself.",
)
checks.assert_equal(
    initialise((100, 300), "standard", torch.Generator().manual_seed(1)),
    weights,
    name="weights of a second run with the same seed",
    hint="Pass the generator on: torch.rand(shape, generator=generator).",
)
for scheme, bound in (("standard", 300**-0.5), ("xavier", (6 / 400) ** 0.5), ("he", (6 / 300) ** 0.5)):
    weights = initialise((100, 300), scheme, torch.Generator().manual_seed(3))
    checks.assert_close(
        weights.abs().max(),
        torch.tensor(bound),
        rtol=2e-3,
        name=f"largest of 30,000 weights of the {scheme} scheme with 300 inputs and 100 outputs",
        hint="The bound b of the table: a root is in each, n_in is the second entry of the shape, and uniform weights "
        "end at b, where normal ones would not.",
    )
    checks.assert_close(
        weights.mean() / bound,
        torch.tensor(0.0),
        atol=0.02,
        name=f"mean of the weights of the {scheme} scheme, in units of b",
        hint="From −b to b, the mean is 0.",
    )
    checks.assert_close(
        weights.var() * 3 / bound**2,
        torch.tensor(1.0),
        rtol=0.03,
        name=f"variance of the weights of the {scheme} scheme, in units of b²/3",
        hint="Uniform from −b to b has the variance b²/3: are all values between equally likely?",
    )
print("initialise: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("initialise")
fresh_out, fresh_in = (50 + torch.randint(150, (2,), generator=fresh_generator)).tolist()
for scheme in ("standard", "xavier", "he"):
    weights = initialise((fresh_out, fresh_in), scheme, fresh_generator)
    expected = reference.initialise((fresh_out, fresh_in), scheme, fresh_generator)
    checks.assert_close(
        [weights.abs().max(), weights.var().sqrt()],
        [expected.abs().max(), expected.var().sqrt()],
        rtol=0.05,
        name=f"largest weight and spread of the {scheme} scheme, {fresh_in} inputs and {fresh_out} outputs",
        hint="n_in is the number of inputs of one unit, n_out the number of units.",
    )
### END HIDDEN TESTS

# %% tests="initialise:convolution" points=1
for shape, n_in, n_out in (((16, 32, 5, 3), 480, 240), ((64, 32, 1, 1), 32, 64), ((8, 24, 7), 168, 56)):
    bounds = {"standard": n_in**-0.5, "xavier": (6 / (n_in + n_out)) ** 0.5, "he": (6 / n_in) ** 0.5}
    for scheme, bound in bounds.items():
        weights = initialise(shape, scheme, torch.Generator().manual_seed(4))
        checks.assert_shape(weights, shape, name="weights of a convolution", hint="The shape that was asked for.")
        checks.assert_close(
            weights.abs().max(),
            torch.tensor(bound),
            rtol=2e-2,
            name=f"largest weight of the {scheme} scheme, shape {shape}",
            hint="A unit of a convolution sees a patch of every input channel: n_in = channels · height · width, and "
            "n_out takes the patch as well.",
        )
print("initialise:convolution: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("initialise")
fresh_shape = (*(4 + torch.randint(12, (2,), generator=fresh_generator)).tolist(), 7, 5)
for scheme in ("standard", "xavier", "he"):
    checks.assert_close(
        initialise(fresh_shape, scheme, fresh_generator).abs().max(),
        reference.initialise(fresh_shape, scheme, fresh_generator).abs().max(),
        rtol=0.05,
        name=f"largest weight of the {scheme} scheme, shape {fresh_shape}",
        hint="n_in and n_out each times the height and the width of the patch.",
    )
### END HIDDEN TESTS

# %% explore="signal_through_depth"
# explore: spread of the signal through 30 layers of 100 units. Try torch.tanh, other widths, other factors
activation = torch.relu
for scheme in ("standard", "xavier", "he"):
    generator = torch.Generator().manual_seed(1)
    signal = torch.randn(500, 100, generator=generator)
    sizes = []
    for _ in range(30):
        signal = activation(signal @ initialise((100, 100), scheme, generator).T)
        sizes.append((signal**2).mean().sqrt().item())
    plt.semilogy(range(1, 31), sizes, ".-", label=scheme)
plt.xlabel("layer")
plt.ylabel("root mean square of the activations (log scale)")
plt.legend()
plt.show()

# %% [markdown]
# ## Part 3. Batch normalization
#
# ### Exercise 4. Forwards, in training (1 point)
#
# Good weights at the start do not stay good. **Batch normalization** (Ioffe and Szegedy, 2015) standardises inside the
# network, at every step, by the statistics of the minibatch. For every channel $c$
#
# $$\hat x = \frac{x - \mu_c}{\sqrt{\sigma_c^2 + \epsilon}}, \qquad y = \gamma_c\, \hat x + \beta_c.$$
#
# In words: centre, divide by the root of the variance, then let the network choose its own scale $\gamma$ and shift
# $\beta$, which are learned. $\mu_c$ and $\sigma_c^2$ are the mean and the **biased** variance (divided by the number
# of values) over the batch; for images over batch, rows and columns. $\epsilon$ stands under the root, so that a
# channel without any spread is not divided by 0.
#
# A number: the values 1 and 3 have mean 2 and variance 1. With $\epsilon = 0$ they become −1 and 1; with $\gamma = 10$
# and $\beta = 5$ then −5 and 15. Note what it does not do: two values stay two values. It standardises, it does not
# make anything Gaussian.
#
# Do it by hand: without `torch`'s own normalizations.
#
# | name | shape | what |
# |---|---|---|
# | `x` | (N, C) or (N, C, H, W) | what comes in |
# | `gamma`, `beta` | (C,) | $\gamma$ and $\beta$, one for each channel |
# | `eps` | number | $\epsilon$ |
# | result | as `x` | $y$ |


# %% solution="batch_norm"
def batch_norm(x: Tensor, gamma: Tensor, beta: Tensor, eps: float) -> Tensor:
    """Batch normalization in training: by the statistics of this batch, for each channel.

    x: (N, C) or (N, C, H, W).   gamma, beta: (C,).   eps: added to the variance.   Returns the shape of x.
    """
    ### BEGIN SOLUTION
    axes = [axis for axis in range(x.dim()) if axis != 1]  # all but the channels'
    shape = [1, -1] + [1] * (x.dim() - 2)  # (1, C) or (1, C, 1, 1)
    centred = x - x.mean(axes, keepdim=True)
    xhat = centred / ((centred**2).mean(axes, keepdim=True) + eps).sqrt()
    return gamma.reshape(shape) * xhat + beta.reshape(shape)
    ### END SOLUTION


# %% tests="batch_norm" points=1
checks.assert_by_hand(
    "batch_norm", without=NORMS, hint="Write it with mean, differences and a root: by hand, without torch's own norms."
)
two = torch.tensor([[1.0, 0.0], [3.0, 0.0]], device=here)
ones, zeros = torch.ones(2, device=here), torch.zeros(2, device=here)
answer = batch_norm(two, ones, zeros, 0.5)
checks.assert_shape(answer, (2, 2), name="y", hint="Normalizing changes numbers, not shapes.")
checks.assert_dtype(answer, torch.float32, name="y", hint="Return the dtype of x.")
checks.assert_finite(answer, name="y", hint="A channel without spread has variance 0: ε under the root is for it.")
checks.assert_close(
    answer.mean(dim=0),
    zeros,
    atol=1e-5,
    name="mean of each channel",
    hint="Centre each channel: the mean over the batch, dim=0, not over the channels.",
)
checks.assert_true(
    abs(answer[1, 0].item() - 2.5**-0.5) > 1e-4,
    "y: the variance of 1 and 3 was taken as 2.",
    hint="The variance in the batch is biased: divide by N, not N − 1 (correction=0).",
)
checks.assert_close(
    answer,
    torch.tensor([[-(1.5**-0.5), 0.0], [1.5**-0.5, 0.0]], device=here),
    name="1 and 3 with ε = 0.5",
    hint="Divide by √(σ² + ε) = √1.5: ε is added to the variance, under the root.",
)
checks.assert_close(
    batch_norm(two, torch.tensor([10.0, 2.0], device=here), torch.tensor([5.0, 7.0], device=here), 0.0)[:, 0],
    torch.tensor([-5.0, 15.0], device=here),
    name="1 and 3 with γ = 10 and β = 5",
    hint="y = γ·x̂ + β, each channel with its own γ and β, after it has been standardised.",
)
pictures = torch.arange(24.0, device=here).reshape(2, 2, 2, 3)
of_pictures = batch_norm(pictures, torch.tensor([1.0, 2.0], device=here), torch.tensor([0.0, 3.0], device=here), 1e-5)
checks.assert_shape(of_pictures, (2, 2, 2, 3), name="y of images", hint="γ and β are (1, C, 1, 1) for images.")
checks.assert_close(
    of_pictures,
    torch.nn.functional.batch_norm(
        pictures,
        None,
        None,
        torch.tensor([1.0, 2.0], device=here),
        torch.tensor([0.0, 3.0], device=here),
        training=True,
    ),
    rtol=1e-3,
    atol=1e-5,
    name="y of images",
    hint="For images a channel's mean and variance are taken over the batch, the rows and the columns: dim=(0, 2, 3).",
)
print("batch_norm: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("batch_norm")
for shape in ((7, 3), (4, 3, 5, 2), (1, 3, 2, 3), (5, 3, 1, 1)):
    fresh_x = draw(*shape, generator=fresh_generator) * 2 + 1
    fresh_gamma, fresh_beta = draw(2, 3, generator=fresh_generator)
    checks.assert_close(
        batch_norm(fresh_x, fresh_gamma, fresh_beta, 0.2),
        reference.batch_norm(fresh_x, fresh_gamma, fresh_beta, 0.2),
        rtol=1e-3,
        atol=1e-4,
        name=f"y of a batch of shape {shape}",
        hint="x̂ = (x − μ)/√(σ² + ε) with biased σ² over all axes but the channels', then γ·x̂ + β.",
    )
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 5. A layer that remembers (3 points)
#
# When the network is used, there may be one example and no batch. So the layer keeps **running statistics** while it
# trains, and in evaluation it normalises by them. After each training batch with mean $\mu$ and $n$ values per channel,
#
# $$\text{running\_mean} \leftarrow (1 - m)\,\text{running\_mean} + m\,\mu, \qquad
# \text{running\_var} \leftarrow (1 - m)\,\text{running\_var} + m\,\frac{n}{n-1}\sigma^2.$$
#
# In words: move a little, by the momentum $m = 0.1$, towards what this batch says. Two things to get right, both as
# `torch` has them. The momentum is the weight of the **new** value (in an optimizer it is that of the old one). And
# the running variance is **unbiased**, with $n - 1$, for it estimates the variance of all examples; while the batch
# itself is still divided by the biased one. A number: values 1 and 3 have $\sigma^2 = 1$, unbiased 2; a running
# variance of 1 becomes $0.9 \cdot 1 + 0.1 \cdot 2 = 1.1$.
#
# The constructor is written for you. Write `forward` (by hand again), for (N, C) and (N, C, H, W):
#
# | | normalises by | running statistics | `num_batches_tracked` |
# |---|---|---|---|
# | `self.training` is `True` | the batch, biased variance | move | counts up by 1 |
# | `self.training` is `False` | the running statistics | stay | stays |
#
# - Training with one value per channel ($n = 1$) makes no sense: everything would become $\beta$. Raise a `ValueError`
#   that says so, and leave the buffers alone.
# - The running statistics are no part of what is differentiated: they must not hold on to the graph (`detach`).
# - Buffers are on the layer's device and in its dtype; keep them so.


# %% setup="layer_state"


def layer_state(weight: list, bias: list, mean: list, var: list, count: int) -> dict[str, Tensor]:
    """What `load_state_dict` of a batch norm layer takes: γ, β, running mean, running variance, number of batches."""
    names = "weight", "bias", "running_mean", "running_var"
    state = {
        name: torch.tensor(values, device=here) for name, values in zip(names, (weight, bias, mean, var), strict=True)
    }
    return {**state, "num_batches_tracked": torch.tensor(count, device=here)}


# %% solution="batch_norm_layer"
class BatchNorm(torch.nn.Module):
    """Batch normalization with running statistics, for (N, C) and (N, C, H, W); buffers as torch.nn.BatchNorm2d."""

    def __init__(self, channels: int, eps: float = 1e-5, momentum: float = 0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = torch.nn.Parameter(torch.ones(channels))  # γ
        self.bias = torch.nn.Parameter(torch.zeros(channels))  # β
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def forward(self, x: Tensor) -> Tensor:
        """x, normalised: by the batch in training, by the running statistics in evaluation.

        x: (N, C) or (N, C, H, W).   Raises ValueError for one value per channel in training.
        """
        ### BEGIN SOLUTION
        axes = [axis for axis in range(x.dim()) if axis != 1]
        shape = [1, -1] + [1] * (x.dim() - 2)
        mean, var = self.running_mean, self.running_var
        if self.training:
            n = x.numel() / x.shape[1]  # values in a channel
            if n == 1:
                raise ValueError(f"found one value per channel in {tuple(x.shape)}; training needs more")
            mean, var = x.mean(axes), x.var(axes, correction=0)
            self.num_batches_tracked += 1
            self.running_mean += self.momentum * (mean.detach() - self.running_mean)
            self.running_var += self.momentum * (var.detach() * n / (n - 1) - self.running_var)
        xhat = (x - mean.reshape(shape)) / (var.reshape(shape) + self.eps).sqrt()
        return self.weight.reshape(shape) * xhat + self.bias.reshape(shape)
        ### END SOLUTION


# %% tests="batch_norm_layer" points=1
checks.assert_by_hand("BatchNorm", without=NORMS, hint="Write forward by hand, without torch's own normalizations.")
rows = torch.tensor([[1.0, 10.0, -4.0], [3.0, 10.0, 0.0], [5.0, 40.0, 1.0]], device=here)
layer, theirs = BatchNorm(3).to(here), torch.nn.BatchNorm1d(3).to(here)
answer = layer(rows)
checks.assert_shape(answer, (3, 3), name="y", hint="Normalizing changes numbers, not shapes.")
checks.assert_close(
    answer,
    theirs(rows),
    rtol=1e-3,
    atol=1e-5,
    name="y in training",
    hint="In training the batch is divided by the root of its own biased variance (plus ε), whatever has been before.",
)
checks.assert_close(
    layer(rows + 5),
    theirs(rows + 5),
    rtol=1e-3,
    atol=1e-5,
    name="y of a second batch in training",
    hint="In training every batch is normalised by its own mean and variance; the running ones are only kept.",
)
state = layer_state([1.0, -2.0, 0.5], [0.0, 3.0, 1.0], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0], 0)
layer, theirs = BatchNorm(3, eps=0.5).to(here), torch.nn.BatchNorm2d(3, eps=0.5).to(here)
layer.load_state_dict(state)
theirs.load_state_dict(state)
pictures = torch.arange(36.0, device=here).reshape(2, 3, 2, 3) ** 1.5 / 30
checks.assert_close(
    layer(pictures),
    theirs(pictures),
    rtol=1e-3,
    atol=1e-5,
    name="y of images, with γ, β and ε = 0.5",
    hint="γ is self.weight and β self.bias; ε, self.eps, is added to the variance under the root; for images the "
    "statistics are over batch, rows and columns.",
)
checks.assert_raises(
    ValueError,
    BatchNorm(3).to(here),
    rows[:1],
    hint="In training with one value per channel every x̂ would be 0: raise ValueError and say what was found.",
)
checks.assert_close(
    BatchNorm(3).to(here)(pictures[:1]),
    torch.nn.BatchNorm2d(3).to(here)(pictures[:1]),
    rtol=1e-3,
    atol=1e-5,
    name="y of one image in training",
    hint="One image has many values per channel: n counts rows and columns too, so there is nothing to raise.",
)
print("batch_norm_layer: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("batch_norm_layer")
for shape in ((2, 4), (3, 4, 2, 5), (1, 4, 1, 2)):
    fresh_x = draw(*shape, generator=fresh_generator) * 3 - 1
    numbers = draw(2, 4, generator=fresh_generator).tolist()
    state = layer_state(*numbers, [0.0] * 4, [1.0] * 4, 0)
    layer, expected = BatchNorm(4, eps=0.1).to(here), reference.BatchNorm(4, eps=0.1).to(here)
    layer.load_state_dict(state)
    expected.load_state_dict(state)
    checks.assert_close(
        layer(fresh_x),
        expected(fresh_x),
        rtol=1e-3,
        atol=1e-4,
        name=f"y in training of a batch of shape {shape}",
        hint="x̂ by the mean and biased variance of the batch, then self.weight · x̂ + self.bias.",
    )
### END HIDDEN TESTS

# %% tests="batch_norm_layer:running" points=1
checks.assert_by_hand("BatchNorm", without=NORMS, hint="Write forward by hand, without torch's own normalizations.")
twice = torch.tensor([[1.0, 0.0], [3.0, 0.0]], device=here)
layer = BatchNorm(2).to(here)
layer(twice)
checks.assert_equal(
    layer.num_batches_tracked.item(),
    1,
    name="num_batches_tracked after one batch",
    hint="Count every training batch: self.num_batches_tracked += 1.",
)
checks.assert_close(
    layer.running_mean,
    torch.tensor([0.2, 0.0], device=here),
    name="running_mean after a batch with the means 2 and 0",
    hint="The momentum is the weight of the new value: (1 − 0.1)·0 + 0.1·2. It does move in training.",
)
checks.assert_true(
    abs(layer.running_var[0].item() - 1.0) > 1e-4,
    "running_var is 1 still, as if the variance of 1 and 3 were 1 or not looked at.",
    hint="The running variance is unbiased: σ² · n/(n − 1) = 2 here, though the batch is divided by the biased one.",
)
checks.assert_close(
    layer.running_var,
    torch.tensor([1.1, 0.9], device=here),
    name="running_var after a batch with the unbiased variances 2 and 0",
    hint="The same step as for the mean: 0.9 · 1 + 0.1 · 2. A variance, unbiased, without ε and without a root.",
)
layer(twice.clone().requires_grad_())
checks.assert_true(
    not layer.running_mean.requires_grad and not layer.running_var.requires_grad,
    "The running statistics hold on to the graph of the batch.",
    hint="They are no part of what is differentiated. Detach what you add to them, or work under torch.no_grad().",
)
small_steps = BatchNorm(2, momentum=0.5).to(here)
small_steps(twice)
small_steps(twice + 2)
checks.assert_close(
    small_steps.running_mean,
    torch.tensor([2.5, 1.0], device=here),
    name="running_mean after two batches with the means 2 and 4, momentum 0.5",
    hint="Each batch moves it from where it is, by self.momentum: 0 → 1 → 2.5.",
)
pictures = torch.arange(36.0, device=here).reshape(2, 3, 2, 3) ** 1.5 / 30
layer, theirs = BatchNorm(3).double().to(here), torch.nn.BatchNorm2d(3).double().to(here)
for batch in (pictures.double(), pictures.double().square(), pictures[:1].double()):
    layer(batch)
    theirs(batch)
checks.assert_close(
    dict(layer.state_dict()),
    dict(theirs.state_dict()),
    rtol=1e-5,
    atol=1e-6,
    name="every parameter and buffer after three batches of images",
    hint="For images n counts batch, rows and columns: n/(n − 1) with n = N·H·W. Keep the dtypes of the buffers.",
)
print("batch_norm_layer:running: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("batch_norm_layer")
layer, expected = BatchNorm(3, momentum=0.3).to(here), reference.BatchNorm(3, momentum=0.3).to(here)
for shape in ((4, 3), (2, 3, 1, 4), (5, 3)):
    fresh_x = draw(*shape, generator=fresh_generator) * 3 - 1
    layer(fresh_x)
    expected(fresh_x)
checks.assert_close(
    dict(layer.state_dict()),
    dict(expected.state_dict()),
    rtol=1e-4,
    atol=1e-5,
    name="every parameter and buffer after three other batches",
    hint="running ← (1 − m)·running + m·new, with the mean and the unbiased variance of the batch.",
)
### END HIDDEN TESTS

# %% tests="batch_norm_layer:evaluation" points=1
checks.assert_by_hand("BatchNorm", without=NORMS, hint="Write forward by hand, without torch's own normalizations.")
layer = BatchNorm(2, eps=1.0).to(here)
layer.load_state_dict(layer_state([1.0, 2.0], [0.0, 10.0], [5.0, -1.0], [3.0, 8.0], 7))
layer.eval()
answer = layer(torch.tensor([[7.0, 2.0]], device=here))
checks.assert_close(
    answer,
    torch.tensor([[1.0, 12.0]], device=here),
    name="one example in evaluation",
    hint="In evaluation: (x − running_mean)/√(running_var + ε), here (7 − 5)/√(3 + 1) = 1; then γ and β as always.",
)
layer(torch.tensor([[1.0, 2.0], [3.0, 4.0]], device=here))
checks.assert_close(
    (layer.running_mean, layer.running_var),
    (torch.tensor([5.0, -1.0], device=here), torch.tensor([3.0, 8.0], device=here)),
    name="running statistics after evaluation",
    hint="In evaluation nothing is learned: the running statistics stay as they are.",
)
checks.assert_equal(
    layer.num_batches_tracked.item(),
    7,
    name="num_batches_tracked after evaluation",
    hint="Only training batches count.",
)
layer.train()
layer(torch.tensor([[1.0, 2.0], [3.0, 4.0]], device=here))
checks.assert_equal(
    layer.num_batches_tracked.item(),
    8,
    name="num_batches_tracked after evaluation and one more training batch",
    hint="After layer.train() the layer learns again: ask self.training at every call.",
)
print("batch_norm_layer:evaluation: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("batch_norm_layer")
numbers = (draw(4, 3, generator=fresh_generator).abs() + 0.1).tolist()
layer, expected = BatchNorm(3, eps=0.1).to(here), reference.BatchNorm(3, eps=0.1).to(here)
layer.load_state_dict(layer_state(*numbers, 4))
expected.load_state_dict(layer_state(*numbers, 4))
layer.eval()
expected.eval()
for shape in ((1, 3), (6, 3), (1, 3, 1, 1), (2, 3, 4, 3)):
    fresh_x = draw(*shape, generator=fresh_generator)
    checks.assert_close(
        layer(fresh_x),
        expected(fresh_x),
        rtol=1e-3,
        atol=1e-4,
        name=f"a batch of shape {shape} in evaluation",
        hint="By the running mean and variance, each channel's own, whatever is in the batch.",
    )
checks.assert_equal(
    dict(layer.state_dict()),
    dict(expected.state_dict()),
    name="every parameter and buffer after evaluation",
    hint="In evaluation nothing changes.",
)
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 6. Backwards, stage by stage (3 points)
#
# What is the gradient of batch norm? Every $x_i$ acts in three ways: directly, through the mean, and through the
# variance. Forget one, and the network learns, but worse. So we go back in stages, from the loss $L$ to the input, for
# one channel with $n$ values; $g_i = \partial L/\partial y_i$ comes in from above.
#
# $$\begin{aligned}
# \frac{\partial L}{\partial \beta} &= \sum_i g_i, &
# \frac{\partial L}{\partial \gamma} &= \sum_i g_i\, \hat x_i, &
# \frac{\partial L}{\partial \hat x_i} &= \gamma\, g_i, \\
# \frac{\partial L}{\partial \sigma^2} &= -\tfrac12 (\sigma^2+\epsilon)^{-3/2}
# \sum_i \frac{\partial L}{\partial \hat x_i}\,(x_i - \mu), &
# \frac{\partial L}{\partial \mu} &= -\frac{1}{\sqrt{\sigma^2+\epsilon}} \sum_i \frac{\partial L}{\partial \hat x_i},
# \end{aligned}$$
#
# $$\frac{\partial L}{\partial x_i} = \underbrace{\frac{1}{\sqrt{\sigma^2+\epsilon}}\frac{\partial L}{\partial \hat x_i}
# }_{\text{directly}} + \underbrace{\frac{2 (x_i-\mu)}{n}\frac{\partial L}{\partial \sigma^2}}_{\text{by the variance}}
# + \underbrace{\frac1n \frac{\partial L}{\partial \mu}}_{\text{by the mean}}.$$
#
# In words: what is used by all $n$ values ($\beta$, $\gamma$, $\mu$, $\sigma^2$) **collects** gradient from all of
# them, a sum; what is computed as a mean **hands it back** to each with a factor $1/n$. The paper has one more term in
# $\partial L/\partial\mu$, through the variance: it holds $\sum_i (x_i - \mu)$, which is 0.
#
# A number: let $x = (1, 3)$, $\gamma = 1$, $\epsilon = 3$ and $g = (1, 0)$. Then $\mu = 2$, $\sigma^2 = 1$,
# $\sqrt{\sigma^2 + \epsilon} = 2$, $\hat x = (-\tfrac12, \tfrac12)$, and $\partial L/\partial\sigma^2 = -\tfrac12 \cdot
# \tfrac18 \cdot (-1) = \tfrac1{16}$, $\partial L/\partial\mu = -\tfrac12$. So $\partial L/\partial x = (\tfrac12 -
# \tfrac1{16} - \tfrac14,\; \tfrac1{16} - \tfrac14) = (\tfrac3{16}, -\tfrac3{16})$.
#
# By hand: no autograd, and none of `torch`'s normalizations. For (N, C). Return a dict of all six, each by the name of
# what the loss is differentiated by:
#
# | key | shape | what |
# |---|---|---|
# | `"beta"`, `"gamma"` | (C,) | $\partial L/\partial\beta$, $\partial L/\partial\gamma$ |
# | `"xhat"`, `"x"` | (N, C) | $\partial L/\partial\hat x$, $\partial L/\partial x$ |
# | `"var"`, `"mean"` | (C,) | $\partial L/\partial\sigma^2$, $\partial L/\partial\mu$ |


# %% solution="batch_norm_stages"
def batch_norm_stages(dy: Tensor, x: Tensor, gamma: Tensor, eps: float) -> dict[str, Tensor]:
    """Gradients of a loss by every stage of batch normalization in training.

    dy: gradient by y (N, C).   x: (N, C).   gamma: (C,).   eps: added to the variance.
    Returns "beta", "gamma", "var", "mean", each (C,), and "xhat", "x", each (N, C).
    """
    ### BEGIN SOLUTION
    centred = x - x.mean(dim=0)  # (N, C)
    inverse_root = ((centred**2).mean(dim=0) + eps) ** -0.5  # (C,), 1/√(σ² + ε)
    dxhat = gamma * dy  # (N, C)
    dvar = -0.5 * inverse_root**3 * (dxhat * centred).sum(dim=0)  # (C,)
    dmean = -inverse_root * dxhat.sum(dim=0)  # (C,)
    dx = inverse_root * dxhat + (2 * centred * dvar + dmean) / len(x)  # (N, C)
    dgamma = (dy * centred * inverse_root).sum(dim=0)  # (C,)
    return {"beta": dy.sum(dim=0), "gamma": dgamma, "xhat": dxhat, "var": dvar, "mean": dmean, "x": dx}
    ### END SOLUTION


# %% tests="batch_norm_stages" points=1
checks.assert_by_hand(
    "batch_norm_stages", without=NORMS + AUTOGRAD, hint="Write each stage by its formula: by hand, without autograd."
)
# the example of the text, and beside it a channel with γ = −2 and other numbers
x_rows = torch.tensor([[1.0, 0.0], [3.0, 4.0]], device=here)
slopes = torch.tensor([[1.0, 3.0], [0.0, 1.0]], device=here)
scale = torch.tensor([1.0, -2.0], device=here)
answer = batch_norm_stages(slopes, x_rows, scale, 3.0)
checks.assert_true(
    isinstance(answer, dict) and sorted(answer) == ["beta", "gamma", "mean", "var", "x", "xhat"],
    "batch_norm_stages: wanted a dict with beta, gamma, xhat, var, mean and x.",
    hint="Return all six in one dict, by the names of the table.",
)
for key, shape in {"beta": (2,), "gamma": (2,), "xhat": (2, 2), "var": (2,), "mean": (2,), "x": (2, 2)}.items():
    checks.assert_shape(answer[key], shape, name=key, hint="A gradient has the shape of what it belongs to.")
    checks.assert_dtype(answer[key], torch.float32, name=key, hint="Keep the dtype of the arguments.")
checks.assert_close(
    answer["beta"],
    torch.tensor([1.0, 4.0], device=here),
    name="beta",
    hint="β is added to all n values of its channel, so it collects the gradient of all of them: a sum, not a mean.",
)
checks.assert_close(
    answer["gamma"],
    torch.tensor([-0.5, -4 / 7**0.5], device=here),
    name="gamma",
    hint="γ multiplies x̂, so it collects g·x̂ over the batch, with x̂ = (x − μ)/√(σ² + ε).",
)
checks.assert_close(
    answer["xhat"],
    torch.tensor([[1.0, -6.0], [0.0, -2.0]], device=here),
    name="xhat",
    hint="x̂ was multiplied by γ on the way there, so its gradient is multiplied by γ on the way back.",
)
print("batch_norm_stages: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("batch_norm_stages")
fresh_x, fresh_dy = draw(2, 7, 3, generator=fresh_generator)
fresh_gamma = draw(3, generator=fresh_generator)
found = batch_norm_stages(fresh_dy, fresh_x, fresh_gamma, 0.2)
expected = reference.batch_norm_stages(fresh_dy, fresh_x, fresh_gamma, 0.2)
for key in ("beta", "gamma", "xhat"):
    checks.assert_close(
        found[key],
        expected[key],
        rtol=1e-3,
        atol=1e-5,
        name=f"{key} for another batch",
        hint="∂β = Σg, ∂γ = Σg·x̂, both over the batch, and ∂x̂ = γ·g.",
    )
### END HIDDEN TESTS

# %% tests="batch_norm_stages:to_x" points=2
checks.assert_by_hand(
    "batch_norm_stages", without=NORMS + AUTOGRAD, hint="Write each stage by its formula: by hand, without autograd."
)
x_rows = torch.tensor([[1.0, 0.0], [3.0, 4.0]], device=here)
slopes = torch.tensor([[1.0, 3.0], [0.0, 1.0]], device=here)
scale = torch.tensor([1.0, -2.0], device=here)
answer = batch_norm_stages(slopes, x_rows, scale, 3.0)
checks.assert_close(
    answer["var"],
    torch.tensor([1 / 16, -4 / 7**1.5], device=here),
    name="var",
    hint="The derivative of (σ² + ε)^(−1/2) is −½(σ² + ε)^(−3/2); it meets x − μ, not x̂, and all n of them are summed.",
)
checks.assert_close(
    answer["mean"],
    torch.tensor([-0.5, 8 / 7**0.5], device=here),
    name="mean",
    hint="μ is subtracted from all n values: minus the sum of ∂x̂, divided by √(σ² + ε). Not a mean, and mind the sign.",
)
straight = slopes * scale / torch.tensor([4.0, 7.0], device=here).sqrt()
checks.assert_true(
    not torch.allclose(answer["x"], straight, rtol=1e-3),
    "x: the gradient comes by the direct path only.",
    hint="x acts through the mean and the variance as well: add ∂σ²·2(x − μ)/n and ∂μ/n.",
)
checks.assert_close(
    answer["x"].sum(dim=0),
    torch.zeros(2, device=here),
    atol=1e-5,
    name="sum of x's gradient over the batch",
    hint="Shifting all of x changes nothing, so the gradients of a channel add up to 0. The path by the mean, ∂μ/n, "
    "makes that so.",
)
checks.assert_close(
    answer["x"],
    torch.tensor([[3 / 16, -6 / 7**1.5], [-3 / 16, 6 / 7**1.5]], device=here),
    rtol=1e-3,
    name="x",
    hint="The path by the variance: ∂σ²·2(x − μ)/n, with the 2 of the square and the n of the mean.",
)
print("batch_norm_stages:to_x: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("batch_norm_stages")
fresh_x, fresh_dy = draw(2, 7, 3, generator=fresh_generator)
fresh_gamma, fresh_beta = draw(2, 3, generator=fresh_generator, dtype=torch.float64).cpu()
checks.assert_close(
    batch_norm_stages(fresh_dy, fresh_x, fresh_gamma.to(fresh_x), 0.2),
    reference.batch_norm_stages(fresh_dy, fresh_x, fresh_gamma.to(fresh_x), 0.2),
    rtol=1e-3,
    atol=1e-4,
    name="all stages for another batch",
    hint="Go through the stages one by one: ∂x̂, then ∂σ² and ∂μ from it, then the three paths to x.",
)
fresh_small = torch.randn(4, 3, generator=fresh_generator, dtype=torch.float64)


def by_stages(dy, x, gamma, beta):
    """Gradients by x, γ and β, as autograd wants them."""
    found = batch_norm_stages(dy, x, gamma, 0.2)
    return found["x"], found["gamma"], found["beta"]


checks.assert_true(
    gradients_agree(
        lambda x, gamma, beta: torch.nn.functional.batch_norm(x, None, None, gamma, beta, training=True, eps=0.2),
        by_stages,
        fresh_small,
        fresh_gamma,
        fresh_beta,
    ),
    "batch_norm_stages: central differences in float64 find another gradient.",
    hint="Is all of it computed in the dtype of the arguments, float64 here, and for any N and C?",
)
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 7. Backwards, in one line (3 points)
#
# Put the stages into each other, and most of it falls away. With $\partial\beta = \sum_i g_i$ and $\partial\gamma =
# \sum_i g_i \hat x_i$, the two sums that are wanted anyway,
#
# $$\frac{\partial L}{\partial x_i} = \frac{\gamma}{\sqrt{\sigma^2 + \epsilon}}
# \left( g_i - \frac1n\, \partial\beta - \frac1n\, \hat x_i\, \partial\gamma \right).$$
#
# In words: take from the incoming gradient its mean, and what goes along with $\hat x$. Batch norm will not let you
# change the mean or the spread of a channel, so those two directions carry no gradient. A number: the example above has
# $\partial\beta = 1$, $\partial\gamma = -\tfrac12$, and for the first value $\tfrac12 (1 - \tfrac12 \cdot 1 - \tfrac12
# \cdot (-\tfrac12)(-\tfrac12)) = \tfrac12 \cdot \tfrac38 = \tfrac3{16}$, as before.
#
# Write it for (N, C) and for (N, C, H, W), by hand. For images the $n = NHW$ values of a channel are its batch, and
# every sum runs over all of them. Return three gradients, by `x`, by `gamma` and by `beta`: the shape of `x`, (C,) and
# (C,).


# %% solution="batch_norm_backward"
def batch_norm_backward(dy: Tensor, x: Tensor, gamma: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of batch normalization in training by x, gamma and beta, in the compact form.

    dy: gradient by y.   x: (N, C) or (N, C, H, W), the shape of dy.   gamma: (C,).   eps: added to the variance.
    """
    ### BEGIN SOLUTION
    axes = [axis for axis in range(x.dim()) if axis != 1]
    n = x.numel() / x.shape[1]  # values in a channel
    centred = x - x.mean(axes, keepdim=True)
    inverse_root = ((centred**2).mean(axes, keepdim=True) + eps) ** -0.5  # (1, C) or (1, C, 1, 1)
    xhat = centred * inverse_root
    dbeta = dy.sum(axes, keepdim=True)
    dgamma = (dy * xhat).sum(axes, keepdim=True)
    dx = gamma.reshape(dbeta.shape) * inverse_root * (dy - (dbeta + xhat * dgamma) / n)
    return dx, dgamma.flatten(), dbeta.flatten()
    ### END SOLUTION


# %% tests="batch_norm_backward" points=2
checks.assert_by_hand(
    "batch_norm_backward", without=NORMS + AUTOGRAD, hint="Write the formula: by hand, without autograd."
)
x_rows = torch.tensor([[1.0, 0.0], [3.0, 4.0]], device=here)
slopes = torch.tensor([[1.0, 3.0], [0.0, 1.0]], device=here)
scale = torch.tensor([1.0, -2.0], device=here)
answer = batch_norm_backward(slopes, x_rows, scale, 3.0)
checks.assert_true(
    isinstance(answer, list | tuple) and len(answer) == 3,
    "batch_norm_backward: wanted three gradients.",
    hint="End with: return dx, dgamma, dbeta.",
)
for found, shape, name in zip(answer, ((2, 2), (2,), (2,)), ("dx", "dgamma", "dbeta"), strict=True):
    checks.assert_shape(found, shape, name=name, hint="A gradient has the shape of what it belongs to: x, γ, β.")
    checks.assert_dtype(found, torch.float32, name=name, hint="Keep the dtype of the arguments.")
checks.assert_close(
    answer[2],
    torch.tensor([1.0, 4.0], device=here),
    name="dbeta",
    hint="∂β is the sum of g over the batch. The order is dx, dgamma, dbeta.",
)
checks.assert_close(
    answer[1],
    torch.tensor([-0.5, -4 / 7**0.5], device=here),
    name="dgamma",
    hint="∂γ is the sum of g·x̂ over the batch, with x̂ = (x − μ)/√(σ² + ε), the normalised values and not x.",
)
checks.assert_close(
    answer[0].sum(dim=0),
    torch.zeros(2, device=here),
    atol=1e-5,
    name="sum of dx over the batch",
    hint="Shifting all of x changes nothing, so the gradients of a channel add up to 0: subtract ∂β/n, the mean of g.",
)
checks.assert_close(
    (answer[0] * x_rows).sum(dim=0),
    torch.tensor([-3 / 8, 24 / 7**1.5], device=here),
    rtol=1e-3,
    atol=1e-5,
    name="dx along x",
    hint="Stretching x changes next to nothing, so what goes along with x̂ is taken away: x̂·∂γ/n. And in front of it "
    "all stands γ/√(σ² + ε).",
)
checks.assert_close(
    answer[0],
    torch.tensor([[3 / 16, -6 / 7**1.5], [-3 / 16, 6 / 7**1.5]], device=here),
    rtol=1e-3,
    name="dx",
    hint="γ/√(σ² + ε) · (g − ∂β/n − x̂·∂γ/n), each channel with its own numbers.",
)
print("batch_norm_backward: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("batch_norm_backward")
fresh_gamma, fresh_beta = torch.randn(2, 3, generator=fresh_generator, dtype=torch.float64)
for n in (2, 5, 1):
    fresh_x, fresh_dy = draw(2, n, 3, generator=fresh_generator)
    checks.assert_close(
        batch_norm_backward(fresh_dy, fresh_x, fresh_gamma.to(fresh_x), 0.2),
        reference.batch_norm_backward(fresh_dy, fresh_x, fresh_gamma.to(fresh_x), 0.2),
        rtol=1e-3,
        atol=1e-4,
        name=f"gradients for a batch of {n}",
        hint="n is the number of examples in the batch, and biased is the variance.",
    )
checks.assert_true(
    gradients_agree(
        lambda x, gamma, beta: torch.nn.functional.batch_norm(x, None, None, gamma, beta, training=True, eps=0.2),
        lambda dy, x, gamma, beta: batch_norm_backward(dy, x, gamma, 0.2),
        torch.randn(4, 3, generator=fresh_generator, dtype=torch.float64),
        fresh_gamma,
        fresh_beta,
    ),
    "batch_norm_backward: central differences in float64 find another gradient.",
    hint="Is all of it computed in the dtype of the arguments, float64 here?",
)
### END HIDDEN TESTS

# %% tests="batch_norm_backward:images" points=1
checks.assert_by_hand(
    "batch_norm_backward", without=NORMS + AUTOGRAD, hint="Write the formula: by hand, without autograd."
)
pictures = (torch.arange(36.0, device=here).reshape(2, 3, 2, 3) ** 1.5 / 30).requires_grad_()
scale = torch.tensor([1.0, -2.0, 0.5], device=here, requires_grad=True)
shift = torch.zeros(3, device=here, requires_grad=True)
slopes = torch.arange(36.0, device=here).reshape(3, 2, 2, 3).transpose(0, 1).cos()
y = torch.nn.functional.batch_norm(pictures, None, None, scale, shift, training=True, eps=0.1)
expected = torch.autograd.grad(y, (pictures, scale, shift), slopes)
answer = batch_norm_backward(slopes, pictures.detach(), scale.detach(), 0.1)
checks.assert_shape(answer[0], (2, 3, 2, 3), name="dx of images", hint="The gradient by x has the shape of x.")
checks.assert_shape(answer[1], (3,), name="dgamma of images", hint="One γ for each channel: sum over N, H and W.")
checks.assert_shape(answer[2], (3,), name="dbeta of images", hint="One β for each channel: sum over N, H and W.")
checks.assert_close(
    answer[1:],
    expected[1:],
    rtol=1e-3,
    atol=1e-5,
    name="dgamma and dbeta of images",
    hint="Sum over batch, rows and columns, dim=(0, 2, 3), of g·x̂ and of g.",
)
checks.assert_close(
    answer[0],
    expected[0],
    rtol=1e-3,
    atol=1e-5,
    name="dx of images",
    hint="n is the number of values in a channel, N·H·W, and γ, ∂γ and ∂β belong to channels: (1, C, 1, 1).",
)
print("batch_norm_backward:images: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("batch_norm_backward")
fresh_gamma, fresh_beta = torch.randn(2, 2, generator=fresh_generator, dtype=torch.float64)
for shape in ((3, 2, 4, 5), (1, 2, 3, 3), (4, 2, 1, 1)):
    fresh_x, fresh_dy = draw(2, *shape, generator=fresh_generator)
    checks.assert_close(
        batch_norm_backward(fresh_dy, fresh_x, fresh_gamma.to(fresh_x), 0.2),
        reference.batch_norm_backward(fresh_dy, fresh_x, fresh_gamma.to(fresh_x), 0.2),
        rtol=1e-3,
        atol=1e-4,
        name=f"gradients for images of shape {shape}",
        hint="All sums over N, H and W, and n = N·H·W.",
    )
checks.assert_true(
    gradients_agree(
        lambda x, gamma, beta: torch.nn.functional.batch_norm(x, None, None, gamma, beta, training=True, eps=0.2),
        lambda dy, x, gamma, beta: batch_norm_backward(dy, x, gamma, 0.2),
        torch.randn(2, 2, 1, 3, generator=fresh_generator, dtype=torch.float64),
        fresh_gamma,
        fresh_beta,
    ),
    "batch_norm_backward: central differences in float64 find another gradient for images.",
    hint="Is all of it computed in the dtype of the arguments, float64 here?",
)
### END HIDDEN TESTS

# %% explore="what_autograd_does"
# explore: your backward pass against autograd's, and the three paths of the gradient apart
generator = torch.Generator().manual_seed(1)
x_rows, slopes = torch.randn(2, 6, 1, generator=generator)
scale = torch.ones(1)
leaf = x_rows.clone().requires_grad_()
y = torch.nn.functional.batch_norm(leaf, None, None, scale, torch.zeros(1), training=True)
(theirs,) = torch.autograd.grad(y, leaf, slopes)
stages = batch_norm_stages(slopes, x_rows, scale, 1e-5)
centred = x_rows - x_rows.mean(dim=0)
paths = {
    "directly": stages["xhat"] / (centred.square().mean(dim=0) + 1e-5).sqrt(),
    "by the variance": 2 * centred * stages["var"] / 6,
    "by the mean": stages["mean"].expand(6, 1) / 6,
    "all three": stages["x"],
    "in one line": batch_norm_backward(slopes, x_rows, scale, 1e-5)[0],
    "autograd": theirs,
}
for name, path in paths.items():
    print(f"{name:16s}", "  ".join(f"{value:7.3f}" for value in path.flatten().tolist()))

# %% [markdown]
# ## Part 4. Other axes
#
# ### Exercise 8. One function of axes (2 points)
#
# A batch of two gives batch norm poor statistics, a batch of one none at all. Others average over other axes, and all
# of them are one function:
#
# $$\hat x = \frac{x - \mathrm{E}[x]}{\sqrt{\mathrm{Var}[x] + \epsilon}}, \qquad
# \text{mean and (biased) variance over some axes.}$$
#
# | norm | averages over | so that what is left on its own is |
# |---|---|---|
# | batch norm | batch, rows, columns | each channel |
# | layer norm (Ba et al., 2016) | channels, rows, columns | each example |
# | instance norm (Ulyanov et al., 2016) | rows, columns | each channel of each example |
#
# In words: batch norm compares an image with the others, layer norm and instance norm only with itself. So these two
# do the same in training and in evaluation, and the size of the batch is nothing to them. A number: the image with one
# row, whose channels are (1, 3) and (10, 30), becomes (−1, 1) and (−1, 1) by instance norm: the contrast is gone, which
# is what style transfer wants. Layer norm leaves the channels different: (−0.87, −0.70) and (−0.09, 1.66).
#
# Write both functions, the first one by hand:
#
# | function | takes | returns |
# |---|---|---|
# | `normalise` | `x` of any shape, `axes` a tuple of its axes (negative ones count from the end), `eps` | $\hat x$ |
# | `axes_of` | `"batch"`, `"layer"` or `"instance"` | the axes of an (N, C, H, W) tensor, as a tuple of numbers |


# %% solution="normalise"
def normalise(x: Tensor, axes: tuple[int, ...], eps: float) -> Tensor:
    """`x` with mean 0 and variance 1 over `axes`, but for eps.

    x: any shape.   axes: what to average over.   eps: added to the biased variance.   Returns the shape of x.
    """
    ### BEGIN SOLUTION
    centred = x - x.mean(axes, keepdim=True)
    return centred / ((centred**2).mean(axes, keepdim=True) + eps).sqrt()
    ### END SOLUTION


def axes_of(norm: str) -> tuple[int, ...]:
    """The axes of an (N, C, H, W) tensor that "batch", "layer" or "instance" norm averages over."""
    ### BEGIN SOLUTION
    return {"batch": (0, 2, 3), "layer": (1, 2, 3), "instance": (2, 3)}[norm]
    ### END SOLUTION


# %% tests="normalise" points=1
checks.assert_by_hand("normalise", without=NORMS, hint="Write it with means and a root: by hand.")
table = torch.tensor([[1.0, 3.0, 8.0], [5.0, 5.0, 5.0]], device=here)
answer = normalise(table, (1,), 0.5)
checks.assert_shape(answer, (2, 3), name="x̂", hint="Normalizing changes numbers, not shapes: keepdim=True.")
checks.assert_dtype(answer, torch.float32, name="x̂", hint="Return the dtype of x.")
checks.assert_finite(answer, name="x̂", hint="Where all values are equal the variance is 0: ε under the root is for it.")
checks.assert_close(
    answer.mean(dim=1),
    torch.zeros(2, device=here),
    atol=1e-5,
    name="mean over the axis 1",
    hint="Centre over the axes that you are given, here 1 alone, and keep them (keepdim=True).",
)
checks.assert_close(
    answer[0],
    torch.tensor([-3.0, -1.0, 4.0], device=here) / (26 / 3 + 0.5) ** 0.5,
    rtol=1e-3,
    name="1, 3, 8 with ε = 0.5",
    hint="Divide by √(26/3 + 0.5): biased variance (correction=0), ε inside the root.",
)
pictures = torch.arange(120.0, device=here).reshape(2, 3, 4, 5) ** 1.5 / 90
for axes in ((1, 2, 3), (2, 3), (0, 2, 3), (-1,), (0, -2)):
    variances, means = torch.var_mean(pictures, axes, correction=0, keepdim=True)
    checks.assert_close(
        normalise(pictures, axes, 0.1),
        (pictures - means) / (variances + 0.1).sqrt(),
        rtol=1e-3,
        atol=1e-5,
        name=f"images, over the axes {axes}",
        hint="Mean and variance over all the axes that are given, at once: not one axis after the other.",
    )
small = torch.randn(2, 3, 2, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64).requires_grad_()
checks.assert_true(
    torch.autograd.gradcheck(
        lambda x: normalise(x, (1, 2), 0.3), small, raise_exception=False, check_undefined_grad=False
    ),
    "normalise: autograd finds another gradient than central differences in float64.",
    hint="Autograd must be able to go through mean and variance too: no detach, no .item(), no torch.tensor(…).",
)
print("normalise: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("normalise")
fresh_x = draw(3, 4, 2, 5, generator=fresh_generator) * 2 + 1
for axes in ((0,), (1, 3), (0, 1, 2, 3), (-3, -1)):
    checks.assert_close(
        normalise(fresh_x, axes, 0.3),
        reference.normalise(fresh_x, axes, 0.3),
        rtol=1e-3,
        atol=1e-4,
        name=f"other numbers, over the axes {axes}",
        hint="(x − mean)/√(biased variance + ε), both over the axes that are given.",
    )
### END HIDDEN TESTS

# %% tests="normalise:axes" points=1
checks.assert_equal(
    sorted(axes_of("batch")),
    [0, 2, 3],
    name="axes of batch norm, sorted",
    hint="Batch norm keeps the channels apart, and averages over everything else.",
)
checks.assert_equal(
    sorted(axes_of("layer")),
    [1, 2, 3],
    name="axes of layer norm, sorted",
    hint="Layer norm keeps the examples apart, and averages over everything else: channels, rows and columns.",
)
checks.assert_equal(
    sorted(axes_of("instance")),
    [2, 3],
    name="axes of instance norm, sorted",
    hint="Instance norm keeps examples and channels apart: rows and columns are left.",
)
print("normalise:axes: passed")
### BEGIN HIDDEN TESTS
for norm in ("layer", "batch", "instance"):
    checks.assert_equal(
        sorted(axes_of(norm)),
        sorted(reference.axes_of(norm)),
        name=f"axes of {norm} norm, sorted",
        hint="The table says what each norm averages over.",
    )
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 9. Group norm (2 points)
#
# Layer norm takes all channels together, instance norm each alone. **Group norm** (Wu and He, 2018) stands between: cut
# the $C$ channels into $G$ groups of neighbours, $C/G$ channels each, and normalise every group of every example. Then
# each channel gets its own $\gamma_c$ and $\beta_c$, as always:
#
# $$y_{nchw} = \gamma_c\, \frac{x_{nchw} - \mu_{ng}}{\sqrt{\sigma_{ng}^2 + \epsilon}} + \beta_c, \qquad g = \left\lfloor
# \frac{c}{C/G} \right\rfloor.$$
#
# In words: channels that lie side by side share a mean and a (biased) variance, over their rows and columns too. One
# group is layer norm, $C$ groups are instance norm. A number: 6 channels in 2 groups are (0, 1, 2) and (3, 4, 5). So an
# image of one pixel with the channels 1, 1, 4, 9, 9, 9 has the means 2 and 9.
#
# By hand. Channels that do not divide into the groups are an error: raise a `ValueError` that says both numbers.
#
# | name | shape | what |
# |---|---|---|
# | `x` | (N, C, H, W) | images |
# | `groups` | number | $G$, which divides $C$ |
# | `gamma`, `beta` | (C,) | one for each **channel** |
# | `eps` | number | $\epsilon$ |
# | result | (N, C, H, W) | $y$ |


# %% solution="group_norm"
def group_norm(x: Tensor, groups: int, gamma: Tensor, beta: Tensor, eps: float) -> Tensor:
    """Group normalization: mean and biased variance over C/groups neighbouring channels, rows and columns.

    x: (N, C, H, W).   groups: divides C, else ValueError.   gamma, beta: (C,).   Returns the shape of x.
    """
    ### BEGIN SOLUTION
    N, C, H, W = x.shape
    if C % groups:
        raise ValueError(f"found {C} channels, wanted a number that divides into {groups} groups")
    grouped = x.reshape(N, groups, C // groups * H * W)
    centred = grouped - grouped.mean(dim=2, keepdim=True)
    xhat = centred / ((centred**2).mean(dim=2, keepdim=True) + eps).sqrt()  # (N, G, C/G·H·W)
    return gamma.reshape(C, 1, 1) * xhat.reshape(x.shape) + beta.reshape(C, 1, 1)
    ### END SOLUTION


# %% tests="group_norm" points=2
checks.assert_by_hand("group_norm", without=NORMS, hint="Reshape, then means and a root: by hand.")
pixel = torch.tensor([1.0, 1.0, 4.0, 9.0, 9.0, 9.0], device=here).reshape(1, 6, 1, 1)
ones, zeros = torch.ones(6, device=here), torch.zeros(6, device=here)
answer = group_norm(pixel, 2, ones, zeros, 0.25)
checks.assert_shape(answer, (1, 6, 1, 1), name="y", hint="Back to the shape of x at the end.")
checks.assert_dtype(answer, torch.float32, name="y", hint="Return the dtype of x.")
checks.assert_finite(answer, name="y", hint="A group of equal values has variance 0: ε under the root is for it.")
checks.assert_close(
    answer.flatten()[3:],
    zeros[3:],
    atol=1e-5,
    name="the second group of 1, 1, 4 and 9, 9, 9",
    hint="Groups are neighbours: channels 0, 1, 2 and 3, 4, 5, so the second group is all 9. Reshape to (N, G, …).",
)
checks.assert_close(
    answer.flatten()[:3],
    torch.tensor([-1.0, -1.0, 2.0], device=here) / 1.5,
    rtol=1e-3,
    name="the first group of 1, 1, 4 and 9, 9, 9 with ε = 0.25",
    hint="Mean 2, biased variance 2, so divide by √(2 + 0.25): n, not n − 1, and ε inside the root.",
)
pictures = torch.arange(120.0, device=here).reshape(2, 6, 2, 5) ** 1.5 / 90
scale, shift = torch.arange(6.0, device=here) - 2, torch.arange(6.0, device=here) / 3
for groups in (1, 2, 3, 6):
    checks.assert_close(
        group_norm(pictures, groups, ones, zeros, 1e-5),
        torch.nn.functional.group_norm(pictures, groups, eps=1e-5),
        rtol=1e-3,
        atol=1e-4,
        name=f"images of 6 channels in {groups} group(s)",
        hint="Each group of each example by its own mean and variance, over its channels, rows and columns.",
    )
    checks.assert_close(
        group_norm(pictures, groups, scale, shift, 0.1),
        torch.nn.functional.group_norm(pictures, groups, scale, shift, eps=0.1),
        rtol=1e-3,
        atol=1e-4,
        name=f"images of 6 channels in {groups} group(s), with γ and β",
        hint="γ and β belong to channels, (C, 1, 1), not to groups; they come after the normalizing.",
    )
checks.assert_raises(
    ValueError,
    group_norm,
    pictures,
    4,
    ones,
    zeros,
    1e-5,
    match="6(.|\n)*4|4(.|\n)*6",
    hint="6 channels in 4 groups: raise ValueError and say both numbers.",
)
print("group_norm: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("group_norm")
for shape, groups in (((3, 8, 2, 3), 4), ((1, 4, 3, 1), 2), ((2, 3, 1, 4), 3), ((2, 5, 3, 3), 1)):
    fresh_x = draw(*shape, generator=fresh_generator) * 2 + 1
    fresh_gamma, fresh_beta = draw(2, shape[1], generator=fresh_generator)
    checks.assert_close(
        group_norm(fresh_x, groups, fresh_gamma, fresh_beta, 0.2),
        reference.group_norm(fresh_x, groups, fresh_gamma, fresh_beta, 0.2),
        rtol=1e-3,
        atol=1e-4,
        name=f"images of shape {shape} in {groups} group(s)",
        hint="Reshape to (N, G, rest), normalise over the rest, reshape back, γ and β by channel.",
    )
### END HIDDEN TESTS

# %% explore="a_batch_of_two"
# explore: how far a batch's statistics are from those of everyone, for batch norm; group norm does not look at others
generator = torch.Generator().manual_seed(1)
for size in (2, 8, 32, 128):
    picks = [torch.randperm(len(digits_x), generator=generator)[:size] for _ in range(200)]
    means = torch.stack([digits_x[pick].mean() for pick in picks])
    print(f"batch of {size:3d}: the mean of a batch is off by {means.std().item():.4f} (standard deviation)")

# %% [markdown]
# ### Exercise 10. Local response normalization (2 points)
#
# Before batch norm there was this one, in AlexNet (Krizhevsky et al., 2012). A unit with a large activation damps the
# units at the same place in the channels next to it. With $a^i$ the activation in channel $i$ at some place, and $C$
# channels,
#
# $$b^i = a^i \Big/ \Big( k + \alpha \sum_{j = \max(0,\, i - \lfloor n/2 \rfloor)}^{\min(C-1,\, i + \lfloor n/2
# \rfloor)} (a^j)^2 \Big)^{\beta}.$$
#
# In words: divide by a power of $k$ plus the squares of $n$ neighbouring channels, itself in the middle; at the edges
# there are fewer. The sum runs over **channels**, at one place; nothing is centred. The paper has $k = 2$, $n = 5$,
# $\alpha = 10^{-4}$, $\beta = 0.75$. A number: five channels with the activation 100 have $2 + 10^{-4} \cdot 5 \cdot
# 100^2 = 7$ in the middle and $2 + 3 = 5$ at the edges, so 100 becomes $100/7^{0.75} \approx 23.2$ and $100/5^{0.75}
# \approx 29.9$.
#
# The paper's $\alpha$ multiplies the **sum**. `torch.nn.LocalResponseNorm` multiplies the **mean** over $n$ channels by
# its `alpha` (missing ones at the edges count as 0, so it always divides by $n$). The second function says which
# `alpha` `torch` must be given for the paper's.
#
# By hand, for (N, C) and (N, C, H, W); $n$ is odd.


# %% solution="local_response_norm"
def local_response_norm(a: Tensor, k: float = 2.0, n: int = 5, alpha: float = 1e-4, beta: float = 0.75) -> Tensor:
    """Local response normalization of the AlexNet paper: over n neighbouring channels, alpha times their sum.

    a: (N, C) or (N, C, H, W).   n: channels in the sum, odd.   Returns the shape of a.
    """
    ### BEGIN SOLUTION
    sums = [(a[:, max(0, i - n // 2) : i + n // 2 + 1] ** 2).sum(dim=1) for i in range(a.shape[1])]
    return a / (k + alpha * torch.stack(sums, dim=1)) ** beta
    ### END SOLUTION


def torch_alpha(alpha: float, n: int) -> float:
    """The `alpha` for torch.nn.LocalResponseNorm(n, …) that does what the paper's alpha does."""
    ### BEGIN SOLUTION
    return alpha * n
    ### END SOLUTION


# %% tests="local_response_norm" points=1
checks.assert_by_hand("local_response_norm", without=NORMS, hint="Write the formula, sum and all: by hand.")
# one example with the channels 1, 2, 3: squares 1, 4, 9
row = torch.tensor([[1.0, 2.0, 3.0]], device=here)
answer = local_response_norm(row, k=0.0, n=1, alpha=4.0, beta=1.0)
checks.assert_shape(answer, (1, 3), name="b", hint="As many channels come out as go in.")
checks.assert_dtype(answer, torch.float32, name="b", hint="Return the dtype of a.")
checks.assert_finite(answer, name="b", hint="k + α·Σ is above 0 here: is a channel missing from its own sum?")
checks.assert_close(
    answer,
    torch.tensor([[0.25, 0.125, 1 / 12]], device=here),
    name="1, 2, 3 with n = 1, k = 0, α = 4 and β = 1",
    hint="With n = 1 each channel sees itself alone: a/(0 + 4·a²). Its square, and divided by, not multiplied.",
)
checks.assert_close(
    local_response_norm(row, k=1.0, n=3, alpha=1.0, beta=1.0),
    torch.tensor([[1 / 6, 2 / 15, 3 / 14]], device=here),
    name="1, 2, 3 with n = 3, k = 1, α = 1 and β = 1",
    hint="n = 3 is one neighbour to each side: sums 1 + 4, 1 + 4 + 9 and 4 + 9. The sum, not divided by n; and beyond "
    "the edges there is nothing.",
)
checks.assert_close(
    local_response_norm(row, k=2.0, n=1, alpha=3.0, beta=0.5),
    row / torch.tensor([[5.0, 14.0, 29.0]], device=here).sqrt(),
    name="1, 2, 3 with n = 1, k = 2, α = 3 and β = 0.5",
    hint="(k + α·Σ)^β: α multiplies the sum only, and the power is taken of all of it, k too.",
)
five = torch.full((1, 5, 2, 3), 100.0, device=here)
checks.assert_close(
    local_response_norm(five)[0, :, 1, 2],
    100 / torch.tensor([5.0, 6.0, 7.0, 6.0, 5.0], device=here) ** 0.75,
    rtol=1e-3,
    name="five channels of 100 with the paper's numbers",
    hint="For images the sum runs over channels at one place, not over rows and columns. β = 0.75 by default.",
)
pictures = torch.arange(84.0, device=here).reshape(2, 7, 2, 3).cos() * 5
checks.assert_close(
    local_response_norm(pictures, k=1.5, n=5, alpha=0.2, beta=0.75),
    torch.nn.functional.local_response_norm(pictures, 5, alpha=1.0, beta=0.75, k=1.5),
    rtol=1e-3,
    atol=1e-5,
    name="images with seven channels, against torch with 5·α",
    hint="Each of the seven channels by the sum of squares over itself and two neighbours on each side.",
)
print("local_response_norm: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("local_response_norm")
for shape, n in (((3, 6), 3), ((2, 9, 3, 2), 7), ((1, 2, 2, 2), 5), ((2, 1, 3, 1), 5)):
    fresh_a = draw(*shape, generator=fresh_generator) * 20
    checks.assert_close(
        local_response_norm(fresh_a, n=n),
        reference.local_response_norm(fresh_a, n=n),
        rtol=1e-4,
        atol=1e-5,
        name=f"activations of shape {shape} with n = {n} and the paper's other numbers",
        hint="a/(k + α·Σ)^β with the squares of up to n channels around each.",
    )
fresh_small = torch.randn(2, 4, 1, 2, generator=fresh_generator, dtype=torch.float64).requires_grad_()
checks.assert_true(
    torch.autograd.gradcheck(
        lambda a: local_response_norm(a, alpha=0.5, n=3), fresh_small, raise_exception=False, check_undefined_grad=False
    ),
    "local_response_norm: autograd finds another gradient than central differences in float64.",
    hint="Autograd must be able to go through it: no detach, no .item(), no torch.tensor(…).",
)
### END HIDDEN TESTS

# %% tests="local_response_norm:torch_alpha" points=1
activations = torch.arange(12.0, device=here).reshape(2, 6)[:, :, None] * 30
squares = activations.squeeze(2).square()
middle = squares[:, 1:4].sum(dim=1)  # of channel 2, with n = 3
theirs = torch.nn.functional.local_response_norm(activations, 3, alpha=torch_alpha(0.01, 3), beta=0.75, k=2.0)
checks.assert_close(
    theirs[:, 2, 0],
    activations[:, 2, 0] / (2 + 0.01 * middle) ** 0.75,
    rtol=1e-3,
    name="torch's answer for channel 2, given your alpha for the paper's α = 0.01 and n = 3",
    hint="torch divides its alpha by n, for it takes the mean of the squares where the paper takes the sum.",
)
checks.assert_close(
    torch_alpha(1e-4, 5),
    5e-4,
    name="torch's alpha for the paper's 1e-4 with n = 5",
    hint="alpha/n in torch stands where α stands in the paper.",
)
print("local_response_norm:torch_alpha: passed")
### BEGIN HIDDEN TESTS
fresh_alpha = 0.1 + torch.rand((), generator=checks.fresh("local_response_norm")).item()
for n in (1, 7, 9):
    checks.assert_close(
        torch_alpha(fresh_alpha, n),
        reference.torch_alpha(fresh_alpha, n),
        name=f"torch's alpha for n = {n}",
        hint="The mean over n channels is the sum divided by n; alpha makes up for it.",
    )
### END HIDDEN TESTS

# %% [markdown]
# ## Part 5. Dropout
#
# ### Exercise 11. Inverted dropout, forwards and backwards (3 points)
#
# **Dropout** (Srivastava et al., 2014) sets each unit to 0 with some probability, anew at every step, so that no unit
# can rely on another. In this lab **$p$ is the probability to drop**, as in `torch`; the papers write $p$ for the
# probability to keep, our $1 - p$. The *inverted* form scales what it keeps, in training:
#
# $$y_i = m_i\, x_i, \qquad m_i = \begin{cases} 0 & \text{with probability } p \\ \dfrac{1}{1 - p} &
# \text{with probability } 1 - p. \end{cases}$$
#
# In words: what is kept makes up for what is dropped, so that $\mathrm{E}[y_i] = x_i$, and in evaluation there is
# nothing to do: $y = x$. A number: with $p = 0.2$ one unit of five is dropped, and a 4 that is kept becomes
# $4/0.8 = 5$.
#
# Backwards, $y_i$ depends on $x_i$ by the factor $m_i$, so $\partial L/\partial x_i = m_i\, \partial L/\partial y_i$:
# **the same** mask, the one that was drawn on the way there. That is why `dropout` returns it.
#
# | function | takes | returns |
# |---|---|---|
# | `dropout` | `x` of any shape, `p` from 0 to 1, `training`, a CPU `generator` | `y` and `mask`, both as `x` |
# | `dropout_backward` | `dy`, the gradient by `y`, and that `mask` | the gradient by `x` |
#
# `mask` holds the factors $m_i$: 0 or $1/(1-p)$ in training, 1 in evaluation. With $p = 1$ everything is 0, and nothing
# is not-a-number. Each entry is dropped or kept on its own. By hand: without `torch`'s dropouts and without autograd.


# %% solution="dropout"
def dropout(x: Tensor, p: float, training: bool, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Inverted dropout: y and the factors by which it multiplied x, 0 or 1/(1 − p) in training, 1 in evaluation.

    x: any shape.   p: probability to drop.   training: False does nothing.   generator: on the CPU, draws the mask.
    """
    ### BEGIN SOLUTION
    if not training:
        return x, torch.ones_like(x)
    kept = torch.bernoulli(torch.full(x.shape, 1.0 - p), generator=generator).to(x)  # 0 or 1
    mask = kept / (1 - p) if p < 1 else kept
    return x * mask, mask
    ### END SOLUTION


def dropout_backward(dy: Tensor, mask: Tensor) -> Tensor:
    """Gradient by the input of `dropout`.   dy: gradient by its output.   mask: what it returned, the shape of dy."""
    ### BEGIN SOLUTION
    return dy * mask
    ### END SOLUTION


# %% setup="dropouts"
DROPOUTS = (
    "torch.nn.functional.dropout",
    "torch.nn.functional.dropout1d",
    "torch.nn.functional.dropout2d",
    "torch.nn.functional.alpha_dropout",
    "torch.nn.functional.feature_alpha_dropout",
    "torch.dropout",
    "torch.dropout_",
    "torch.native_dropout",
    "torch.nn.Dropout",
    "torch.nn.Dropout1d",
    "torch.nn.Dropout2d",
    "torch.nn.AlphaDropout",
    "torch.nn.modules",
    "torch.ops",
)

# %% tests="dropout" points=1
checks.assert_by_hand("dropout", without=DROPOUTS, hint="Draw the mask yourself: by hand.")
fours = torch.full((200, 150), 4.0, device=here)
answer = dropout(fours, 0.2, True, torch.Generator().manual_seed(1))
checks.assert_true(
    isinstance(answer, list | tuple) and len(answer) == 2,
    "dropout: wanted two tensors.",
    hint="End with: return y, mask.",
)
y, mask = answer
checks.assert_shape(y, (200, 150), name="y", hint="Dropped units become 0, they are not taken out.")
checks.assert_dtype(y, torch.float32, name="y", hint="Keep the dtype of x.")
checks.assert_shape(mask, (200, 150), name="mask", hint="One factor for each entry of x.")
checks.assert_dtype(mask, torch.float32, name="mask", hint="The mask holds factors, 0 or 1/(1 − p), in x's dtype.")
checks.assert_close(y, fours * mask, name="y", hint="y is x times the mask that you return: one mask, drawn once.")
dropped = (mask == 0).float().mean().item()
checks.assert_true(
    abs(dropped - 0.8) > 0.02,
    f"dropout: a share of {dropped:.3f} was dropped for p = 0.2.",
    hint="p is the probability to drop here, not to keep.",
)
checks.assert_close(
    dropped,
    0.2,
    atol=0.015,
    rtol=0,
    name="share of 30,000 units that is dropped for p = 0.2",
    hint="Each entry is dropped with probability p: compare a uniform number with p, or draw from torch.bernoulli.",
)
checks.assert_close(
    mask[mask != 0],
    torch.full_like(mask[mask != 0], 1.25),
    name="factors of what is kept for p = 0.2",
    hint="What is kept is multiplied by 1/(1 − p) in training, so that E[y] = x.",
)
for axis, what in ((0, "column"), (1, "row")):
    share = (mask == 0).float().mean(dim=axis)
    checks.assert_in_range(
        share,
        0.02,
        0.5,
        name=f"share that is dropped of each {what}",
        hint="Each entry is dropped or kept on its own, not whole rows, columns or channels.",
    )
checks.assert_true(
    not torch.equal(mask[:100], mask[100:]),
    "dropout: two halves of the batch have the same mask.",
    hint="Each entry is dropped or kept on its own.",
)
checks.assert_equal(
    dropout(fours, 0.2, True, torch.Generator().manual_seed(1))[1],
    mask,
    name="mask of a second run with the same seed",
    hint="All randomness comes from the generator: pass it on as generator=generator.",
)
again = torch.Generator().manual_seed(1)
dropout(fours, 0.2, True, again)
checks.assert_true(
    not torch.equal(dropout(fours, 0.2, True, torch.Generator().manual_seed(2))[1], mask),
    "dropout: another seed gives the same mask.",
    hint="Draw from the generator that you are given, and set no seed of your own.",
)
checks.assert_equal(
    dropout(fours, 0.0, True, torch.Generator().manual_seed(1))[1],
    torch.ones_like(fours),
    name="mask with p = 0",
    hint="With p = 0 nothing is dropped and nothing scaled.",
)
checks.assert_equal(
    dropout(fours, 1.0, True, torch.Generator().manual_seed(1)),
    (torch.zeros_like(fours), torch.zeros_like(fours)),
    name="y and mask with p = 1",
    hint="With p = 1 all is dropped, and 1/(1 − p) would be 1/0: everything is 0, not NaN.",
)
print("dropout: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("dropout")
fresh_x = draw(40, 5, 6, 10, generator=fresh_generator, dtype=torch.float64).cpu()
fresh_p = 0.3 + 0.4 * torch.rand((), generator=fresh_generator).item()
y, mask = dropout(fresh_x, fresh_p, True, fresh_generator)
checks.assert_close(
    y,
    fresh_x * mask,
    name="y of float64 images",
    hint="y is x times the mask, in the dtype of x.",
)
checks.assert_close(
    mask.max(),
    reference.dropout(fresh_x, fresh_p, True, fresh_generator)[1].max(),
    name=f"factor of what is kept for p = {fresh_p:.3f}",
    hint="1/(1 − p).",
)
checks.assert_close(
    mask.mean().item(),
    1.0,
    atol=0.08,
    rtol=0,
    name=f"mean of the mask for p = {fresh_p:.3f}",
    hint="E[y] = x: the factors have the mean 1.",
)
### END HIDDEN TESTS

# %% tests="dropout:evaluation" points=1
checks.assert_by_hand("dropout", without=DROPOUTS, hint="Draw the mask yourself: by hand.")
numbers = torch.tensor([[1.0, -2.0, 3.0], [0.0, 5.0, -6.0]], device=here)
for p in (0.0, 0.5, 1.0):
    y, mask = dropout(numbers, p, False, torch.Generator().manual_seed(1))
    checks.assert_close(
        y,
        numbers,
        name=f"y in evaluation, p = {p}",
        hint="The inverted form has scaled in training already: in evaluation y = x, with no factor and no zeros.",
    )
    checks.assert_close(
        mask,
        torch.ones_like(numbers),
        name=f"mask in evaluation, p = {p}",
        hint="In evaluation nothing is multiplied: all factors are 1.",
    )
print("dropout:evaluation: passed")
### BEGIN HIDDEN TESTS
fresh_x = draw(3, 4, 2, generator=checks.fresh("dropout"))
checks.assert_close(
    dropout(fresh_x, 0.7, False, checks.fresh("dropout")),
    reference.dropout(fresh_x, 0.7, False, checks.fresh("dropout")),
    name="y and mask in evaluation",
    hint="training=False: return x as it is, and a mask of ones.",
)
### END HIDDEN TESTS

# %% tests="dropout:backward" points=1
checks.assert_by_hand(
    "dropout_backward", without=DROPOUTS + AUTOGRAD, hint="One product of two tensors: by hand, without autograd."
)
slopes = torch.tensor([[1.0, -2.0, 3.0]], device=here)
factors = torch.tensor([[0.0, 1.25, 1.25]], device=here)
answer = dropout_backward(slopes, factors)
checks.assert_shape(answer, (1, 3), name="gradient by x", hint="It has the shape of x.")
checks.assert_close(
    answer[0, 0],
    torch.tensor(0.0, device=here),
    name="gradient by a unit that was dropped",
    hint="A unit that was dropped had no say in y, so its gradient is 0: multiply by the mask of the way there.",
)
checks.assert_close(
    answer,
    torch.tensor([[0.0, -2.5, 3.75]], device=here),
    name="gradient by x",
    hint="y = mask·x, so the gradient is mask·dy: the factor 1/(1 − p) is in the mask already, once.",
)
print("dropout:backward: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("dropout")
fresh_dy = draw(4, 3, 2, generator=fresh_generator)
fresh_mask = (draw(4, 3, 2, generator=fresh_generator) > 0).float() / 0.3
checks.assert_close(
    dropout_backward(fresh_dy, fresh_mask),
    reference.dropout_backward(fresh_dy, fresh_mask),
    name="gradient by x for another mask",
    hint="mask · dy, entry by entry.",
)
fixed = (torch.randn(3, 4, generator=fresh_generator) > 0).double() * 2
checks.assert_true(
    gradients_agree(
        lambda x: x * fixed,
        lambda dy, x: (dropout_backward(dy, fixed),),
        torch.randn(3, 4, generator=fresh_generator, dtype=torch.float64),
    ),
    "dropout_backward: central differences in float64 find another gradient.",
    hint="mask · dy, in the dtype of the arguments.",
)
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 12. The variance shift (2 points)
#
# Dropout keeps the mean, and it does not keep the variance. For one unit with input $x$, independent of the mask,
#
# $$\mathrm{Var}[m x] = \frac{\mathrm{E}[x^2]}{1-p} - \mathrm{E}[x]^2 \quad\text{in training}, \qquad \mathrm{Var}[x] =
# \mathrm{E}[x^2] - \mathrm{E}[x]^2 \quad\text{in evaluation}.$$
#
# In words: dropping and scaling up adds noise, and in evaluation the noise is gone. If batch norm comes **after**
# dropout, its running variance has learned the noisy one, and in evaluation it divides by a number that is too large.
# That is the **variance shift** (Li et al., 2019). With $\mathrm{E}[x] = 0$ the variances have the ratio $1/(1-p)$. A
# number: for $p = 0.5$ that is 2, and for the output of a ReLU on standard normal numbers, whose mean is not 0, it is
# 2.47.
#
# Measure it where batch norm would see it, behind a linear layer. Send `x` through dropout (inverted, with `p`, a mask
# of its own for every entry) and then through the weights; send `x` through the weights without dropout; and return
# for each of the $h$ units the ratio of the variances over the $n$ examples, training over evaluation.
#
# | name | shape | what |
# |---|---|---|
# | `x` | (n, d) | examples, as they come into dropout |
# | `weights` | (h, d) | of the linear layer: its output is `x @ weights.T`, (n, h) |
# | `p` | number | probability to drop, below 1 |
# | `generator` | | on the CPU, draws the mask |
# | result | (h,) | variance in training over variance in evaluation |


# %% solution="variance_shift"
def variance_shift(x: Tensor, weights: Tensor, p: float, generator: torch.Generator) -> Tensor:
    """Variance of each unit behind dropout and a linear layer, in training over in evaluation.

    x: (n, d).   weights: (h, d).   p: probability to drop.   generator: draws the mask.   Returns (h,).
    """
    ### BEGIN SOLUTION
    kept = torch.bernoulli(torch.full(x.shape, 1 - p), generator=generator).to(x)
    in_training = (x * kept / (1 - p)) @ weights.T  # (n, h)
    return in_training.var(dim=0) / (x @ weights.T).var(dim=0)
    ### END SOLUTION


# %% tests="variance_shift" points=1
# 20 units that each see one of 20 inputs, doubled: no mixing, so the formula of the text holds for each
generator = torch.Generator().manual_seed(1)
inputs = draw(5000, 20, generator=generator)
single = 2 * torch.eye(20, device=here)
shift = variance_shift(inputs, single, 0.2, torch.Generator().manual_seed(2))
checks.assert_shape(shift, (20,), name="ratios", hint="One ratio for each unit: the variance over the examples, dim=0.")
checks.assert_dtype(shift, torch.float32, name="ratios", hint="Return the dtype of x.")
checks.assert_finite(
    shift, name="ratios", hint="The variance in evaluation is above 0 here: which one do you divide by?"
)
mean_shift = shift.mean().item()
checks.assert_true(
    mean_shift > 1,
    f"variance_shift: the ratio is {mean_shift:.3f}, below 1.",
    hint="Training over evaluation: dropout adds noise and is inverted (scaled by 1/(1 − p)), so the ratio is above 1.",
)
checks.assert_close(
    mean_shift,
    1.25,
    rtol=0.03,
    name="mean ratio for inputs with mean 0 and p = 0.2",
    hint="Wanted 1/(1 − p): variances, not standard deviations; p is the probability to drop; and in evaluation "
    "nothing is dropped.",
)
offset = variance_shift(inputs.relu(), single, 0.5, torch.Generator().manual_seed(3)).mean().item()
checks.assert_close(
    offset,
    2.467,
    rtol=0.03,
    name="mean ratio behind a ReLU and p = 0.5",
    hint="Behind a ReLU the mean is not 0, so the variance is not the mean square: E[x²]/(1 − p) − E[x]².",
)
checks.assert_true(
    not torch.equal(shift, variance_shift(inputs, single, 0.2, torch.Generator().manual_seed(3))),
    "variance_shift: two seeds give exactly the same ratios.",
    hint="Measure it, do not compute it: draw a mask from the generator and take the variances.",
)
checks.assert_equal(
    variance_shift(inputs, single, 0.2, torch.Generator().manual_seed(2)),
    shift,
    name="ratios of a second run with the same seed",
    hint="All randomness comes from the generator: pass it on as generator=generator.",
)
print("variance_shift: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("variance_shift")
fresh_x = draw(6000, 12, generator=fresh_generator) + 1
fresh_weights = torch.eye(12, device=here) * 3
fresh_p = 0.3 + 0.4 * torch.rand((), generator=fresh_generator).item()
checks.assert_close(
    variance_shift(fresh_x, fresh_weights, fresh_p, fresh_generator).mean().item(),
    reference.variance_shift(fresh_x, fresh_weights, fresh_p, fresh_generator).mean().item(),
    rtol=0.05,
    name=f"mean ratio for inputs with mean 1 and p = {fresh_p:.3f}",
    hint="Variance of (x·mask) @ weights.T over variance of x @ weights.T, over the examples.",
)
### END HIDDEN TESTS

# %% tests="variance_shift:mixing" points=1
# mixing: the two inputs of each unit are the same number, so that in evaluation they add up or cancel
generator = torch.Generator().manual_seed(1)
inputs = draw(40000, 1, generator=generator).expand(40000, 2).contiguous()
mixing = torch.tensor([[1.0, 1.0], [1.0, -0.5], [0.0, 3.0]], device=here)
shift = variance_shift(inputs, mixing, 0.5, torch.Generator().manual_seed(2))
checks.assert_close(
    shift,
    torch.tensor([1.5, 6.0, 2.0], device=here),
    rtol=0.08,
    name="ratios of three units that see the same number twice, p = 0.5",
    hint="Dropout comes before the weights and drops each entry on its own: the noise of the inputs adds up in each "
    "unit, 1 + p/(1 − p)·Σw²E[x²]/Var.",
)
print("variance_shift:mixing: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("variance_shift")
fresh_x = draw(20000, 6, generator=fresh_generator)
fresh_x[:, 3:] += fresh_x[:, :3]
fresh_weights = draw(4, 6, generator=fresh_generator)
noise = fresh_x.square().mean(dim=0) @ fresh_weights.square().T
checks.assert_close(
    variance_shift(fresh_x, fresh_weights, 0.3, fresh_generator),
    1 + 3 / 7 * noise / (fresh_x @ fresh_weights.T).var(dim=0),
    rtol=0.1,
    name="ratios of four other units, p = 0.3",
    hint="x through dropout, then through the weights; and x through the weights alone.",
)
### END HIDDEN TESTS

# %% explore="two_cures"
# explore: a unit behind dropout and a ReLU, and the paper's two cures: dropout after the last batch norm, or a noise
# that is uniform, x·(1 + r) with r from −b to b, which shifts the variance less. Try other p and b
generator = torch.Generator().manual_seed(1)
hidden = torch.randn(5000, 50, generator=generator).relu().to(here)
weights = (torch.randn(200, 50, generator=generator) / 50**0.5).to(here)
for p in (0.1, 0.3, 0.5):
    print(f"dropout with p = {p}: ratio {variance_shift(hidden, weights, p, generator).mean().item():.3f}")
for b in (0.1, 0.5):
    noise = 1 + b * (2 * torch.rand(hidden.shape, generator=generator) - 1).to(here)
    ratio = ((hidden * noise) @ weights.T).var(dim=0) / (hidden @ weights.T).var(dim=0)
    print(f"uniform noise with b = {b}: ratio {ratio.mean().item():.3f}")
print("no batch norm after dropout: nothing has learned the wrong variance, and nothing is shifted")

# %% [markdown]
# ## Part 6. A deep net
#
# ### Exercise 13. Which learning rates diverge? (3 points)
#
# What does all this buy? Train the same deep net twice, without and with batch norm, at four learning rates, and see
# which runs diverge. The nets come from the next cell: ten layers of 64 ReLUs with He's weights, for the digits. A call
# of `plain_net()` or `normalised_net()` gives a new net on the lab's device, with the same weights every time.
#
# Write two functions:
#
# - `train_losses` makes **one new net** with `build()` and takes one step of stochastic descent per batch, `torch`'s
#   plain `torch.optim.SGD` or by your own hand: $w \leftarrow w - \varepsilon \nabla J(w)$. It returns the loss
#   (`torch.nn.functional.cross_entropy`, a mean) of every batch **before** its step, and after the last step once more
#   that of the last batch; the net stays in training mode throughout.
# - `which_diverge` runs it for every net of a dict and every rate, and reports for each name the list of the rates that
#   diverge, in the order they were given.
#
# We say that a run **diverges** when one of its losses is not a finite number, or when its last loss is above its
# first. A number: the losses 2.3, 5.0, 1.9 do not diverge, for they came back; 2.3, 1.9, 2.4 do.
#
# | name | shape | what |
# |---|---|---|
# | `build` | | function without arguments that returns a new net |
# | `X`, `t` | (n, 64) and (n,) | examples and their classes, `int64` |
# | `batches` | list of (b,) | which examples to show, step after step; `int64`, on the CPU |
# | result of `train_losses` | (len(batches) + 1,) | losses, without a graph, on the device of `X` |
# | `builds` | dict | name: `build` |
# | result of `which_diverge` | dict | name: list of rates |

# %% setup="deep_nets"


def deep_net(normalised: bool, depth: int = 10, width: int = 64) -> torch.nn.Sequential:
    """A ReLU net for the digits with He's weights, the same at every call; with batch norm before each ReLU or none."""
    generator = torch.Generator().manual_seed(1)
    layers = []
    for n_in in [64] + [width] * (depth - 1):
        linear = torch.nn.utils.skip_init(torch.nn.Linear, n_in, width)
        torch.nn.init.kaiming_uniform_(linear.weight, nonlinearity="relu", generator=generator)
        torch.nn.init.zeros_(linear.bias)
        layers += [linear, *([torch.nn.BatchNorm1d(width)] if normalised else []), torch.nn.ReLU()]
    last = torch.nn.utils.skip_init(torch.nn.Linear, width, 10)
    torch.nn.init.kaiming_uniform_(last.weight, nonlinearity="linear", generator=generator)
    torch.nn.init.zeros_(last.bias)
    return torch.nn.Sequential(*layers, last).to(here)


def plain_net() -> torch.nn.Sequential:
    """Ten layers without normalization."""
    return deep_net(False)


def normalised_net() -> torch.nn.Sequential:
    """The same ten layers with batch norm before each ReLU."""
    return deep_net(True)


def linear_net() -> torch.nn.Sequential:
    """One layer from one number to three classes, all weights 0: small enough to follow by hand."""
    layer = torch.nn.utils.skip_init(torch.nn.Linear, 1, 3)
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    return torch.nn.Sequential(layer).to(here)


def batches_of(size: int, steps: int, seed: int) -> list[Tensor]:
    """`steps` batches of `size` different digits each."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randperm(len(digits_x), generator=generator)[:size] for _ in range(steps)]


# %% solution="which_diverge"
def train_losses(build, rate: float, X: Tensor, t: Tensor, batches: list[Tensor]) -> Tensor:
    """Losses of a new net: of every batch before its step of descent, and of the last batch after it.

    build: makes the net.   X: (n, d).   t: (n,) int64.   batches: indices.   Returns (len(batches) + 1,).
    """
    ### BEGIN SOLUTION
    net = build()
    optimizer = torch.optim.SGD(net.parameters(), lr=rate)
    losses = []
    for batch in batches:
        loss = torch.nn.functional.cross_entropy(net(X[batch]), t[batch])
        losses.append(loss.detach())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        losses.append(torch.nn.functional.cross_entropy(net(X[batches[-1]]), t[batches[-1]]))
    return torch.stack(losses)
    ### END SOLUTION


def which_diverge(builds: dict, rates: list[float], X: Tensor, t: Tensor, batches: list[Tensor]) -> dict:
    """For each name of `builds`, the rates that diverge: a loss is not finite, or the last is above the first.

    builds: name: function that makes a net.   rates: learning rates.   X, t, batches: as for `train_losses`.
    """
    ### BEGIN SOLUTION
    report = {}
    for name, build in builds.items():
        runs = {rate: train_losses(build, rate, X, t, batches) for rate in rates}
        report[name] = [rate for rate, run in runs.items() if not run.isfinite().all() or run[-1] > run[0]]
    return report
    ### END SOLUTION


# %% tests="which_diverge" points=1
# one number, three classes and weights 0: the first loss is log 3, the first step can be followed by hand
one_x, one_t = torch.tensor([[2.0]], device=here), torch.tensor([0], device=here)
losses = train_losses(linear_net, 0.3, one_x, one_t, [torch.tensor([0])])
checks.assert_shape(losses, (2,), name="losses of one step", hint="One for each batch, and one more after the last.")
checks.assert_true(
    not losses.requires_grad, "The losses hold on to the graph.", hint="Keep loss.detach(), not the loss."
)
checks.assert_close(
    losses[0],
    torch.tensor(math.log(3), device=here),
    rtol=1e-3,
    name="loss before the first step",
    hint="All three classes are equally likely at first: measure the loss before the step.",
)
# gradient of the scores: (1/3 − 1, 1/3, 1/3); a step moves each score by 0.3·(2² + 1)·that
checks.assert_close(
    losses[1],
    torch.tensor(math.log(1 + 2 * math.exp(-1.5)), device=here),
    rtol=1e-3,
    name="loss after one step with the rate 0.3",
    hint="One step is w ← w − rate·gradient, for the weights and for the biases, and then the loss again.",
)
pair_x, pair_t = torch.tensor([[2.0], [-1.0]], device=here), torch.tensor([0, 1], device=here)
three = [torch.tensor([0]), torch.tensor([1, 0]), torch.tensor([1])]
losses = train_losses(linear_net, 0.3, pair_x, pair_t, three)
checks.assert_close(
    train_losses(linear_net, 0.3, pair_x, pair_t, three[:2])[:2],
    losses[:2],
    rtol=1e-3,
    name="the first losses of two runs that begin alike",
    hint="Each run begins with a new net: call build() inside of train_losses.",
)
values = torch.cat([pair_x, torch.ones(2, 1, device=here)], dim=1)  # (2, 2), each number with a 1 for the bias
layer = torch.zeros(3, 2, device=here)  # weight and bias of each class
by_hand = []
for batch in [*three, three[-1]]:
    scores = values[batch] @ layer.T  # (b, 3)
    wanted = torch.eye(3, device=here)[pair_t[batch]]
    by_hand.append((scores.logsumexp(dim=1) - (scores * wanted).sum(dim=1)).mean())
    layer = layer - 0.3 * (scores.softmax(dim=1) - wanted).T @ values[batch] / len(batch)
checks.assert_close(
    losses,
    torch.stack(by_hand),
    rtol=1e-3,
    name="losses of three steps, followed by hand",
    hint="Set the gradients to zero before each backward pass, step by plain SGD on the mean loss of the batch, and "
    "show the batches in their order; the last loss is that of the last batch.",
)
print("which_diverge: passed")
### BEGIN HIDDEN TESTS
fresh_batches = batches_of(64, 6, torch.randint(2**31, (), generator=checks.fresh("which_diverge")).item())
for build in (plain_net, normalised_net):
    checks.assert_close(
        train_losses(build, 0.02, digits_x, digits_t, fresh_batches),
        reference.train_losses(build, 0.02, digits_x, digits_t, fresh_batches),
        rtol=1e-2,
        name="losses of six steps of a deep net",
        hint="A new net in training mode, one step of plain SGD per batch, zero_grad before each backward.",
    )
### END HIDDEN TESTS

# %% tests="which_diverge:rule" points=1
# one step from weights 0: to the right class, or far past it; two batches with other answers
pair_x, pair_t = torch.tensor([[1.0], [1.0]], device=here), torch.tensor([0, 1], device=here)
report = which_diverge({"a": linear_net, "b": linear_net}, [0.1, 0.0, 0.5], pair_x, pair_t, [torch.tensor([0])] * 3)
checks.assert_true(
    isinstance(report, dict) and sorted(report) == ["a", "b"],
    "which_diverge: wanted a dict with the names of `builds`.",
    hint="One entry for each name of builds.",
)
checks.assert_equal(
    [list(report["a"]), list(report["b"])],
    [[], []],
    name="rates that diverge where the losses go down, or stay as they are (at the rate 0)",
    hint="A run diverges when a loss is not finite or the last is above the first. These go down or stay.",
)
# five steps towards class 0, one back towards class 1: at the rate 5 one step back is enough, at the others it is not
five_and_one = [torch.tensor([0])] * 5 + [torch.tensor([1])]
report = which_diverge({"a": linear_net}, [5.0, 0.5, 0.1], pair_x, pair_t, five_and_one)
checks.assert_equal(
    list(report["a"]),
    [0.5, 0.1],
    name="rates at which the last loss is above the first",
    hint="Compare the last loss with the first, not the largest, and keep the order of the rates. No loss is NaN here.",
)
far = torch.tensor([[1e30]], device=here)
checks.assert_equal(
    list(which_diverge({"a": linear_net}, [1e5, 1e-38], far, pair_t[:1], [torch.tensor([0])] * 3)["a"]),
    [1e5],
    name="rates at which the losses become infinite or not-a-number",
    hint="NaN is above nothing: nan > 2.3 is False. Ask isfinite as well.",
)
print("which_diverge:rule: passed")
### BEGIN HIDDEN TESTS
fresh_batches = batches_of(32, 3, torch.randint(2**31, (), generator=checks.fresh("which_diverge")).item())
fresh_rates = [30.0, 0.001]
checks.assert_equal(
    {
        name: list(found)
        for name, found in which_diverge({"plain": plain_net}, fresh_rates, digits_x, digits_t, fresh_batches).items()
    },
    reference.which_diverge({"plain": plain_net}, fresh_rates, digits_x, digits_t, fresh_batches),
    name="rates that diverge on other batches",
    hint="For each name the rates whose run has a loss that is not finite, or a last loss above the first.",
)
### END HIDDEN TESTS

# %% tests="which_diverge:deep_nets" points=1
nets, four_rates = {"plain": plain_net, "normalised": normalised_net}, [0.03, 0.3, 2.0, 3.0]
report = which_diverge(nets, four_rates, digits_x, digits_t, batches_of(128, 60, 2))
for name, rates in report.items():
    print(f"{name:10s} diverges at {', '.join(map(str, rates)) or 'none of them'}")
checks.assert_equal(
    list(report["plain"]),
    [2.0, 3.0],
    name="rates at which the plain net diverges",
    hint="60 steps, all rates from the same start: is there a new net for each run, and does a NaN count?",
)
checks.assert_equal(
    list(report["normalised"]),
    [],
    name="rates at which the normalised net diverges",
    hint="It survives all four: is it in training mode, so that it normalises by the batch?",
)
print("which_diverge:deep_nets: passed")
### BEGIN HIDDEN TESTS
fresh_batches = batches_of(128, 25, torch.randint(2**31, (), generator=checks.fresh("which_diverge")).item())
for name, rates, expected in (("plain", [8.0, 0.05], [8.0]), ("normalised", [1.0, 0.05], [])):
    found = which_diverge({name: nets[name]}, rates, digits_x, digits_t, fresh_batches)
    checks.assert_equal(
        list(found[name]),
        expected,
        name=f"rates at which the {name} net diverges on other batches",
        hint="The plain net at 8.0 and nothing else: a new net for each run, and every step as before.",
    )
### END HIDDEN TESTS

# %% explore="the_four_rates"
# explore: the losses for the question below. Try more rates, and deeper nets: deep_net(True, depth=20)
figure, axes = plt.subplots(1, 2, figsize=(9, 3.5), sharey=True)
for place, (name, build) in zip(axes, {"plain": plain_net, "normalised": normalised_net}.items(), strict=True):
    for rate in (0.03, 0.3, 2.0, 3.0):
        losses = train_losses(build, rate, digits_x, digits_t, batches_of(128, 60, 2))
        place.plot(losses.cpu(), label=f"ε = {rate}")
    place.set(title=name, xlabel="step", ylim=(0, 5))
axes[0].set_ylabel("loss of the batch")
axes[0].legend()
plt.show()

# %% [markdown]
# ### Question 14. Read your plot (3 points)
#
# Look at the plot of the two nets at four learning rates. Answer in three sentences:
#
# 1. Which runs diverge, how does that look on your plot, and what does the plain net do at the rate 0.3 instead?
# 2. Multiply all weights of a layer that is followed by batch norm by 10. What happens to the layer's output, and what
#    to the gradient of its weights? (Exercises 4 and 7 say it.)
# 3. So why does the normalised net stand rates at which the plain one explodes?

# %% [markdown] manual="reading_the_rates" points=3
# 1. The plain net diverges at rates of 2 and 3: its loss leaves the plot within a few steps and becomes not-a-number,
#    so that the curve ends; at 0.3 it does not diverge, but is thrown to a loss of about log 10 = 2.30, which is chance
#    among ten digits, while the normalised net learns at all four rates.
# 2. The output stays the same, since batch norm divides the factor out again (but for ε), and the gradient of the
#    weights becomes 10 times smaller, since the formula of exercise 7 divides by the standard deviation.
# 3. A step that is too large makes the weights large, and large weights have small gradients, so the next steps are
#    small compared with the weights: too large a rate slows itself down, where in the plain net larger weights make
#    larger gradients and the next step is worse still.

# %% [markdown]
# ## What you can do now
#
# You can normalise data by the training set alone and whiten it two ways, say from $n \mathrm{Var}(w)$ how large
# weights should be, write batch norm with everything `torch` remembers, derive its gradient in stages and in one line
# and check both, tell five normalizations apart by their axes, translate AlexNet's $\alpha$ into `torch`'s, write
# dropout in both directions and measure what it does to a variance, and show that a normalised net stands learning
# rates at which a plain one explodes.
