# The lab of the chapter "Batch vs stochastic descent". Twelve exercises, 22 points, and one answer in words, 3 points.

# %% [markdown]
# # Descent
#
# Everything a network learns, it learns by walking downhill. In this lab you build the walk yourself, from one unit
# with three weights to a race on real digits, and you find out what decides how fast it can go.
#
# 1. **One unit by hand**: its loss, its gradient.
# 2. **Batch or stochastic**: minibatches, and a descent that remembers its whole path.
# 3. **How fast is too fast**: the largest stable learning rate, momentum, and what normalising the data does.
# 4. **Large batches**: the linear scaling rule, and how sharp a minimum is.
# 5. **The race**: batch against stochastic on handwritten digits.
#
# How it works:
#
# - Write your answer where a cell says `raise NotImplementedError`. Then run the cell below it. If it says *passed*,
#   go on. If not, the last line of the error is a hint.
# - The tests you see show the idea. When your lab is graded, the same idea is tested on other numbers.
# - No exercise needs your answer to another one. If you are stuck, go on and come back.
# - Cells that begin with `# explore` are for your eyes: change the numbers in them, nothing there is graded. Most of
#   them use what you have written, so they run once that is done.
#
# Numbers are `float32` and lie on the device that `unmagic.device()` found. What you return has the dtype and the
# device of the arguments, and the arguments stay as they were.

# %% setup="imports"
from unmagic import checks, data, device

import matplotlib.pyplot as plt
import torch
from torch import Tensor

here = device()  # a GPU where there is one, else the CPU
print(f"This lab computes on: {here}")

# %% [markdown]
# ## Part 1. One unit by hand
#
# The classic picture of batch against stochastic descent is a unit with only three weights: two for the coordinates of
# a point, one for the bias. We keep them in one vector $w = (w_1, w_2, b)$. For a point $x = (x_1, x_2)$ the unit
# answers
#
# $$y = \tanh(w_1 x_1 + w_2 x_2 + b).$$
#
# The two classes have the targets $t = +0.7$ and $t = -0.7$. Why not $\pm 1$? Because $\tanh$ reaches $\pm 1$ only
# with infinitely large weights.
#
# The next cell draws 60 points.

# %% setup="points"


def two_clouds(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Points of two classes in the plane: X (n, 2) and targets t (n,), +0.7 and -0.7 in turn; float32."""
    t = torch.full((n,), 0.7)
    t[1::2] = -0.7
    centres = t[:, None] * torch.tensor([1.5, 1.0])  # (n, 2)
    X = centres + 0.8 * torch.randn(n, 2, generator=generator)  # (n, 2)
    return X.to(here), t.to(here)


X, t = two_clouds(60, torch.Generator().manual_seed(1))

# %% explore="the_points"
# explore: the 60 points
plt.scatter(*X[t > 0].T.cpu(), marker="o", label="t = +0.7")
plt.scatter(*X[t < 0].T.cpu(), marker="x", label="t = −0.7")
plt.xlabel("x₁")
plt.ylabel("x₂")
plt.legend()
plt.show()

# %% [markdown]
# ### Exercise 1. The loss (1 point)
#
# Before we can go down, something must say how high we are. Ours is half the mean squared error over the $n$ points:
#
# $$J(w) = \frac{1}{2n} \sum_{i=1}^{n} (y_i - t_i)^2.$$
#
# In words: how far is the unit's answer from the target, squared, on average, and half of that. The half makes the
# gradient tidier. The mean makes the loss of 10 points comparable with the loss of 10,000. A number: with $w = 0$ the
# unit answers 0, and a point with $t = 0.7$ costs $\tfrac12 \cdot 0.7^2 = 0.245$.
#
# | name | shape | what |
# |---|---|---|
# | `w` | (3,) | $w_1$, $w_2$, $b$ |
# | `X` | (n, 2) | points |
# | `t` | (n,) | targets |
# | result | () | $J(w)$, a tensor with no axes |


# %% solution="unit_loss"
def unit_loss(w: Tensor, X: Tensor, t: Tensor) -> Tensor:
    """Half the mean squared error of the tanh unit.

    w: weights (3,): w1, w2, b.   X: points (n, 2).   t: targets (n,).   Returns J(w), a tensor of shape ().
    """
    ### BEGIN SOLUTION
    y = torch.tanh(X @ w[:2] + w[2])  # (n,)
    return ((y - t) ** 2).mean() / 2
    ### END SOLUTION


# %% tests="unit_loss" points=1
one_x, one_t = torch.tensor([[1.0, 2.0]], device=here), torch.tensor([0.7], device=here)
at_zero = unit_loss(torch.zeros(3, device=here), one_x, one_t)
checks.assert_shape(at_zero, (), name="loss", hint="The loss is one number: take the mean over all points.")
checks.assert_dtype(at_zero, torch.float32, name="loss", hint="Return a tensor of w's dtype; no .item(), no float().")
checks.assert_close(
    at_zero,
    torch.tensor(0.245, device=here),
    name="loss of one point with w = 0",
    hint="With w = 0 the unit answers y = 0, so a point with t = 0.7 costs half of 0.7². Look at the half.",
)
checks.assert_close(
    unit_loss(torch.tensor([0.5, -1.0, 0.0], device=here), one_x, one_t),
    torch.tensor((-0.9051483 - 0.7) ** 2 / 2, device=here),
    name="loss of one point without a bias",
    hint="Here y = tanh(0.5·1 − 1·2) = tanh(−1.5). Is the tanh there, and does each weight meet its own coordinate?",
)
checks.assert_close(
    unit_loss(torch.tensor([0.0, 0.0, 1.0], device=here), one_x, one_t),
    torch.tensor((0.7615942 - 0.7) ** 2 / 2, device=here),
    name="loss of one point with a bias only",
    hint="The bias w[2] is added inside the tanh: y = tanh(1) here.",
)
checks.assert_close(
    unit_loss(torch.tensor([0.5, -1.0, 0.5], device=here), one_x.repeat(4, 1), one_t.repeat(4)),
    unit_loss(torch.tensor([0.5, -1.0, 0.5], device=here), one_x, one_t),
    name="loss of the same point four times",
    hint="Showing a point four times must not change the loss: take the mean over the points, not the sum.",
)
print("unit_loss: passed")
### BEGIN HIDDEN TESTS
fresh_w = torch.randn(3, generator=checks.fresh("unit_loss")).to(here)
fresh_x, fresh_t = two_clouds(23, checks.fresh("unit_loss"))
checks.assert_close(
    unit_loss(fresh_w, fresh_x, fresh_t),
    reference.unit_loss(fresh_w, fresh_x, fresh_t),
    name="loss of 23 other points",
    hint="J is the mean over all points of half (y − t)², with y = tanh(w1·x1 + w2·x2 + b).",
)
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 2. Its gradient, by hand (2 points)
#
# The gradient says which way is up, and how steep. With the chain rule, and $\tanh'(a) = 1 - \tanh^2(a)$:
#
# $$\nabla J(w) = \frac{1}{n} \sum_{i=1}^{n} (y_i - t_i)\,(1 - y_i^2)
# \begin{pmatrix} x_{i1} \\ x_{i2} \\ 1 \end{pmatrix}.$$
#
# In words: *how wrong* times *how steep the tanh is there* times *what came in*. What comes in at the bias is always
# the number 1. Do it by hand, without autograd: you will see that there is nothing behind the curtain.
#
# `w`, `X`, `t` as before; the result has shape (3,), one slope for each weight, in units of loss per unit of weight.


# %% solution="unit_gradient"
def unit_gradient(w: Tensor, X: Tensor, t: Tensor) -> Tensor:
    """Gradient of `unit_loss` with respect to w.

    w: weights (3,).   X: points (n, 2).   t: targets (n,).   Returns (3,): the slopes for w1, w2 and b.
    """
    ### BEGIN SOLUTION
    y = torch.tanh(X @ w[:2] + w[2])  # (n,)
    slope = (y - t) * (1 - y**2)  # (n,), dJ/da of each point, times n
    return torch.cat([slope @ X, slope.sum()[None]]) / len(X)  # (3,)
    ### END SOLUTION


# %% tests="unit_gradient" points=2
one_x, one_t = torch.tensor([[1.0, 2.0]], device=here), torch.tensor([0.7], device=here)
slopes = unit_gradient(torch.zeros(3, device=here), one_x, one_t)
checks.assert_shape(slopes, (3,), name="gradient", hint="Three weights, three slopes: the bias is a weight too.")
checks.assert_dtype(slopes, torch.float32, name="gradient", hint="Keep the dtype of w.")
checks.assert_finite(slopes, name="gradient", hint="Nothing here divides but the mean: divide by the number of points.")
checks.assert_true(
    bool(slopes[2] <= 0),
    f"gradient: the slope for the bias is {slopes[2].item():.4g}, wanted a negative number.",
    hint="The sign. Here y = 0 is below t = 0.7, and a larger bias would lower the loss: it is (y − t), not (t − y).",
)
checks.assert_close(
    slopes[2],
    torch.tensor(-0.7, device=here),
    name="slope for the bias with w = 0",
    hint="What comes in at the bias is 1, the tanh has slope 1 at 0, and the 2 of the square cancels the half in J.",
)
checks.assert_close(
    slopes,
    torch.tensor([-0.7, -1.4, -0.7], device=here),
    name="gradient with w = 0",
    hint="The slope for a weight is the slope for the bias times what came in: x1 = 1 and x2 = 2.",
)
checks.assert_close(
    unit_gradient(torch.tensor([0.0, 0.0, 1.0], device=here), one_x, -one_t),
    torch.tensor([1.0, 2.0, 1.0], device=here) * 0.6138303,
    name="gradient where the tanh bends",
    hint="The derivative of tanh is 1 − y² with y = tanh(a): 0.42 here. Not 1 − a², not y·(1 − y), and not 1.",
)
checks.assert_close(
    unit_gradient(torch.tensor([0.5, -1.0, 0.5], device=here), one_x.repeat(4, 1), one_t.repeat(4)),
    unit_gradient(torch.tensor([0.5, -1.0, 0.5], device=here), one_x, one_t),
    name="gradient of the same point four times",
    hint="Showing a point four times must not change the gradient: the loss is a mean over the points, so this is too.",
)
print("unit_gradient: passed")
### BEGIN HIDDEN TESTS
fresh_w = torch.randn(3, generator=checks.fresh("unit_gradient")).to(here)
fresh_x, fresh_t = two_clouds(23, checks.fresh("unit_gradient"))
checks.assert_close(
    unit_gradient(fresh_w, fresh_x, fresh_t),
    reference.unit_gradient(fresh_w, fresh_x, fresh_t),
    name="gradient on 23 other points",
    hint="The mean over all points of (y − t)·(1 − y²)·(x1, x2, 1).",
)
### END HIDDEN TESTS

# %% explore="ask_autograd"
# explore: does autograd agree with your hand?
w = torch.tensor([0.3, -0.2, 0.1], device=here, requires_grad=True)
unit_loss(w, X, t).backward()
print("autograd:", w.grad.tolist())
print("by hand: ", unit_gradient(w.detach(), X, t).tolist())

# %% [markdown]
# ## Part 2. Batch or stochastic
#
# **Batch descent** looks at all $n$ points, then takes one step. **Stochastic descent** takes a step after every
# point. In between lie **minibatches**. One batch step costs about as much as $n$ stochastic steps.
#
# ### Exercise 3. Minibatches (2 points)
#
# One **epoch** shows every point exactly once, in an order that is drawn anew for every epoch. With $n = 10$ points
# and batches of 4 an epoch has batches of 4, 4 and 2: the short last one is kept, or two points would never be seen in
# that epoch.
#
# Randomness that cannot be repeated cannot be debugged. So all of it comes from the `generator` that you are given:
# `torch.randperm(n, generator=generator)` and the like take it.
#
# Return one list for each epoch. Its entries are the batches, tensors of indices from 0 to n − 1 (`torch.int64`, on
# the CPU like the generator), each of shape (batch_size,) or shorter at the end of the epoch.


# %% solution="minibatches"
def minibatches(n: int, batch_size: int, epochs: int, generator: torch.Generator) -> list[list[Tensor]]:
    """For each epoch a list of batches: index tensors that together hold 0 … n−1 once, in a new random order.

    n: number of points.   batch_size: points in a batch; the last may be shorter.   epochs: how many lists to return.
    generator: the only source of randomness.
    """
    ### BEGIN SOLUTION
    return [list(torch.randperm(n, generator=generator).split(batch_size)) for _ in range(epochs)]
    ### END SOLUTION


# %% tests="minibatches" points=1
schedule = minibatches(10, 4, 3, torch.Generator().manual_seed(1))
checks.assert_true(
    isinstance(schedule, list | tuple) and all(isinstance(epoch, list | tuple) for epoch in schedule),
    "minibatches: wanted a list of lists.",
    hint="One list for each epoch, and in it the batches of that epoch.",
)
checks.assert_equal(
    len(schedule), 3, name="number of epochs", hint="One list for each of the 3 epochs, not of batches."
)
for epoch in schedule:
    for batch in epoch:
        checks.assert_shape(
            batch, (None,), name="a batch", hint="A batch is a tensor with one axis: indices of points."
        )
        checks.assert_dtype(batch, torch.int64, name="a batch", hint="Indices are whole numbers, torch.int64.")
    sizes = [len(batch) for batch in epoch]
    checks.assert_true(
        sizes != [4, 4],
        "minibatches: an epoch of 10 points has batches of 4 and 4: two points are missing.",
        hint="Keep the last batch, though it is short.",
    )
    checks.assert_equal(sizes, [4, 4, 2], name="sizes of the batches", hint="10 points in batches of 4: 4, 4 and 2.")
    checks.assert_equal(
        sorted(torch.cat(list(epoch)).tolist()),
        list(range(10)),
        name="the points of one epoch, sorted",
        hint="An epoch shows every point exactly once: a permutation, cut in pieces. Batches drawn singly repeat.",
    )
even = minibatches(8, 4, 1, torch.Generator().manual_seed(1))
checks.assert_equal(
    [len(batch) for batch in even[0]],
    [4, 4],
    name="sizes of the batches of 8 points",
    hint="When the batches come out even, there is no empty one at the end.",
)
large = minibatches(5, 100, 2, torch.Generator().manual_seed(1))
checks.assert_equal(
    [[len(batch) for batch in epoch] for epoch in large],
    [[5], [5]],
    name="sizes of the batches when all points fit in one",
    hint="A batch size above n gives one batch an epoch, with all n points: batch descent.",
)
print("minibatches: passed")
### BEGIN HIDDEN TESTS
fresh_n = torch.randint(20, 200, (), generator=checks.fresh("minibatches")).item()
fresh_schedule = minibatches(fresh_n, 7, 4, checks.fresh("minibatches"))
expected = reference.minibatches(fresh_n, 7, 4, checks.fresh("minibatches"))
checks.assert_equal(
    [[len(batch) for batch in epoch] for epoch in fresh_schedule],
    [[len(batch) for batch in epoch] for epoch in expected],
    name=f"sizes of the batches of {fresh_n} points",
    hint="Full batches of 7, and a short last one with what is left.",
)
for epoch in fresh_schedule:
    checks.assert_equal(
        torch.cat(list(epoch)).sort().values,
        torch.arange(fresh_n),
        name="the points of one epoch, sorted",
        hint="An epoch shows every point exactly once.",
    )
### END HIDDEN TESTS

# %% tests="minibatches:shuffled" points=1
schedule = minibatches(48, 8, 3, torch.Generator().manual_seed(1))
orders = [torch.cat(list(epoch)).tolist() for epoch in schedule]
checks.assert_true(
    orders[0] != list(range(48)),
    "minibatches: the points come in their own order, 0, 1, 2, …",
    hint="Shuffle: draw a random order of the points.",
)
checks.assert_true(
    not all(bool((batch.sort().values.diff() == 1).all()) for batch in schedule[0]),
    "minibatches: every batch is a run of neighbours, such as 8, 9, … 15.",
    hint="Shuffle the points, then cut into batches. You shuffled the batches.",
)
checks.assert_true(
    orders[0] != orders[1] and orders[1] != orders[2] and orders[0] != orders[2],
    "minibatches: two epochs show the points in the same order.",
    hint="Draw a new order for every epoch: the shuffling belongs inside the loop over epochs.",
)
again = minibatches(48, 8, 3, torch.Generator().manual_seed(1))
checks.assert_true(
    orders == [torch.cat(list(epoch)).tolist() for epoch in again],
    "minibatches: two generators with the same seed gave different orders.",
    hint="All randomness comes from the generator that you are given: pass it on as generator=generator.",
)
other = minibatches(48, 8, 3, torch.Generator().manual_seed(2))
checks.assert_true(
    orders != [torch.cat(list(epoch)).tolist() for epoch in other],
    "minibatches: two generators with different seeds gave the same orders.",
    hint="Do not set a seed yourself: the randomness comes from the generator that you are given.",
)
used = torch.Generator().manual_seed(1)
torch.rand(100, generator=used)  # a generator that has been drawn from stands elsewhere
later = minibatches(48, 8, 3, used)
checks.assert_true(
    orders != [torch.cat(list(epoch)).tolist() for epoch in later],
    "minibatches: a generator that has moved on gave the same orders as a new one.",
    hint="Use the generator as it is. Setting its seed again makes every call the same.",
)
print("minibatches:shuffled: passed")
### BEGIN HIDDEN TESTS
orders = [torch.cat(list(epoch)).tolist() for epoch in minibatches(60, 9, 5, checks.fresh("minibatches"))]
again = [torch.cat(list(epoch)).tolist() for epoch in minibatches(60, 9, 5, checks.fresh("minibatches"))]
checks.assert_true(
    len({tuple(order) for order in orders}) == 5,
    "minibatches: some of five epochs show the points in the same order.",
    hint="Draw a new order for every epoch.",
)
checks.assert_true(
    orders == again,
    "minibatches: two generators in the same state gave different orders.",
    hint="All randomness comes from the generator that you are given.",
)
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 4. A descent that returns its whole path (2 points)
#
# Batch, stochastic and everything between are one and the same loop. They differ only in the points that a step sees:
#
# $$w_{k+1} = w_k - \varepsilon\, \nabla J_{B_k}(w_k)$$
#
# In words: from where you stand, go against the gradient, $\varepsilon$ (the **learning rate**) times as far as it is
# long. $J_{B_k}$ is the loss on the points of batch $B_k$ only. Batches of all indices make it batch descent, batches
# of one index stochastic descent.
#
# To see what a descent does we keep every place it has been: row 0 of the path is the start `w0`, row $k$ is where it
# stands after $k$ steps.
#
# The function `gradient(w, X, t)` is given to you as an argument. Two that you can use: your `unit_gradient`, and
# `line_gradient` from the next cell, for a unit with no tanh. It answers $y = w_1 x_1 + \dots + w_d x_d + b$, with the
# same loss as before. Its loss is a perfect bowl, which is why we will come back to it.
#
# | name | shape | what |
# |---|---|---|
# | `w0` | (p,) | start; it must not be changed |
# | `X`, `t` | (n, d), (n,) | all points and targets |
# | `batches` | list of (m,) | one index tensor a step |
# | `rate` | number | $\varepsilon$ |
# | result | (len(batches) + 1, p) | the path |

# %% setup="line"


def with_one(X: Tensor) -> Tensor:
    """(n, d) to (n, d + 1): a last column of ones, which is what comes in at the bias."""
    return torch.cat([X, torch.ones_like(X[:, :1])], dim=1)


def line_loss(w: Tensor, X: Tensor, t: Tensor) -> Tensor:
    """Half the mean squared error of a linear unit; w (d + 1,), the bias last."""
    return ((with_one(X) @ w - t) ** 2).mean() / 2


def line_gradient(w: Tensor, X: Tensor, t: Tensor) -> Tensor:
    """Gradient of `line_loss`, (d + 1,)."""
    return (with_one(X) @ w - t) @ with_one(X) / len(X)


def line_hessian(X: Tensor) -> Tensor:
    """Hessian of `line_loss`, (d + 1, d + 1): the mean of x xᵀ, x with a one at its end. The same for every w."""
    return with_one(X).T @ with_one(X) / len(X)


# %% solution="sgd_path"
def sgd_path(gradient, w0: Tensor, X: Tensor, t: Tensor, batches: list[Tensor], rate: float) -> Tensor:
    """Every place a descent has been, one step for each batch.

    gradient: function of (w, X, t) that returns (p,).   w0: start (p,).   X: points (n, d).   t: targets (n,).
    batches: index tensors.   rate: learning rate.   Returns (len(batches) + 1, p); row 0 is w0.
    """
    ### BEGIN SOLUTION
    path = [w0]
    for batch in batches:
        w = path[-1]
        path.append(w - rate * gradient(w, X[batch], t[batch]))
    return torch.stack(path)
    ### END SOLUTION


# %% tests="sgd_path" points=2
# two points on a line: x = 1 with t = 1, and x = 2 with t = 2; one step on the first, then one on the second
two_x, two_t = torch.tensor([[1.0], [2.0]], device=here), torch.tensor([1.0, 2.0], device=here)
start = torch.zeros(2, device=here)
path = sgd_path(line_gradient, start, two_x, two_t, [torch.tensor([0]), torch.tensor([1])], 0.1)
checks.assert_unchanged(
    torch.zeros(2, device=here), start, name="w0", hint="`w -= …` changes w0 itself; `w = w - …` makes a new tensor."
)
checks.assert_shape(path, (3, 2), name="path", hint="Two steps make three places: the start, and one after each step.")
checks.assert_true(
    not bool((path == path[-1]).all()),
    "path: all rows are the same.",
    hint="`w -= …` changes the one tensor that every row of your list points to. Make a new one, or append w.clone().",
)
checks.assert_close(
    path[0],
    torch.zeros(2, device=here),
    name="path[0]",
    hint="Row 0 is the start, as it was before the first step: `w -= …` changes w0 itself.",
)
checks.assert_close(
    path[1],
    torch.tensor([0.1, 0.1], device=here),
    name="path[1]",
    hint="Downhill: w − rate · gradient, with the gradient at w0, over the points of the first batch only.",
)
checks.assert_close(
    path[2],
    torch.tensor([0.44, 0.27], device=here),
    name="path[2]",
    hint="The second step starts where the first ended: take the gradient there, over the second batch.",
)
stay = sgd_path(line_gradient, torch.ones(2, device=here), two_x, two_t, [], 0.1)
checks.assert_close(
    stay,
    torch.ones(1, 2, device=here),
    name="path of no steps",
    hint="Without a batch there is no step: only the start.",
)
print("sgd_path: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("sgd_path")
fresh_x, fresh_t = two_clouds(20, fresh_generator)
fresh_w = torch.randn(3, generator=fresh_generator).to(here)
fresh_batches = [torch.randperm(20, generator=fresh_generator)[: 1 + k % 6] for k in range(30)]
checks.assert_close(
    sgd_path(line_gradient, fresh_w, fresh_x, fresh_t, fresh_batches, 0.1),
    reference.sgd_path(line_gradient, fresh_w, fresh_x, fresh_t, fresh_batches, 0.1),
    rtol=1e-3,
    atol=1e-4,
    name="path of 30 steps with batches of 1 to 6 points",
    hint="Each step: w − rate · gradient(w, the batch's points, the batch's targets), and its place joins the path.",
)
### END HIDDEN TESTS

# %% explore="batch_and_stochastic"
# explore: the classic picture. The same unit, the same start, 20 epochs of batch and of stochastic descent
start = torch.tensor([-0.5, -0.5, 0.5], device=here)
batch_steps = [torch.arange(len(X))] * 20
point_steps = [batch for epoch in minibatches(len(X), 1, 20, torch.Generator().manual_seed(1)) for batch in epoch]
for label, steps, rate in [("batch, ε = 0.5", batch_steps, 0.5), ("stochastic, ε = 0.1", point_steps, 0.1)]:
    losses = [unit_loss(w, X, t).item() for w in sgd_path(unit_gradient, start, X, t, steps, rate)]
    epochs = torch.linspace(0, 20, len(losses))
    plt.plot(epochs, losses, label=label)
plt.xlabel("epochs")
plt.ylabel("loss J")
plt.legend()
plt.show()

# %% [markdown]
# ## Part 3. How fast is too fast
#
# ### Exercise 5. The largest stable learning rate (2 points)
#
# Too small a rate wastes time, too large a one flies off. Where is the edge? Close to a minimum every smooth loss
# looks like a bowl, $J(w) = \tfrac12 w^\top H w$, with $w$ measured from the minimum and the **Hessian** $H$, the
# matrix of second derivatives. Its gradient is $Hw$, so a step is $w \leftarrow w - \varepsilon H w$. Along an
# eigenvector of $H$ with eigenvalue $\lambda$ that is
#
# $$w \leftarrow (1 - \varepsilon\lambda)\, w.$$
#
# In words: each step multiplies the distance to the minimum by $1 - \varepsilon\lambda$. It shrinks as long as that
# factor lies between $-1$ and $1$, which is $\varepsilon < 2/\lambda$. The steepest direction sets the limit for all:
#
# $$\varepsilon_\text{max} = \frac{2}{\lambda_\text{max}}, \qquad
# \kappa = \frac{\lambda_\text{max}}{\lambda_\text{min}}.$$
#
# $\kappa$ is the **condition number**: while the steepest direction limits the rate, the flattest one crawls, and the
# number of steps grows like $\kappa$. At $\varepsilon = 1/\lambda_\text{max}$ the flattest distance shrinks by $1 -
# 1/\kappa$ a step.
#
# `hessian` has shape (p, p), is symmetric, and all its eigenvalues are positive. Return two Python numbers,
# $\varepsilon_\text{max}$ and $\kappa$. `torch.linalg.eigvalsh` gives the eigenvalues of a symmetric matrix.


# %% solution="curvature"
def curvature(hessian: Tensor) -> tuple[float, float]:
    """The largest stable learning rate 2/λmax of gradient descent in this bowl, and its condition number λmax/λmin.

    hessian: symmetric (p, p), all eigenvalues positive.
    """
    ### BEGIN SOLUTION
    eigenvalues = torch.linalg.eigvalsh(hessian)  # (p,), ascending
    smallest, largest = eigenvalues[0].item(), eigenvalues[-1].item()
    return 2 / largest, largest / smallest
    ### END SOLUTION


# %% tests="curvature" points=2
answer = curvature(torch.diag(torch.tensor([4.0, 10.0, 1.0], device=here)))
checks.assert_true(
    isinstance(answer, list | tuple) and len(answer) == 2,
    "curvature: wanted two numbers, the rate and the condition number.",
    hint="End with: return rate, condition.",
)
rate_limit, condition = answer
checks.assert_shape(rate_limit, (), name="rate", hint="One number: only the largest eigenvalue limits the rate.")
checks.assert_true(
    abs(float(rate_limit) - 0.1) > 1e-4,
    "rate: found 0.1 = 1/λmax for eigenvalues 4, 10 and 1.",
    hint="ε = 1/λmax takes the steepest direction to the minimum in one step. The limit is twice that: 2/λmax.",
)
checks.assert_true(
    abs(float(rate_limit) - 2.0) > 1e-4,
    "rate: found 2 = 2/λmin for eigenvalues 4, 10 and 1.",
    hint="The steepest direction sets the limit: divide by the largest eigenvalue.",
)
checks.assert_close(
    rate_limit, 0.2, name="rate for eigenvalues 4, 10 and 1", hint="Stable means |1 − ελ| < 1 for every λ: ε < 2/λmax."
)
checks.assert_close(
    condition,
    10.0,
    name="condition number for eigenvalues 4, 10 and 1",
    hint="The condition number is the largest eigenvalue divided by the smallest.",
)
checks.assert_close(
    curvature(torch.tensor([[2.0, 1.0], [1.0, 2.0]], device=here)),
    (2 / 3, 3.0),
    name="rate and condition number of [[2, 1], [1, 2]]",
    hint="Its eigenvalues are 1 and 3. They are not what stands on the diagonal.",
)
print("curvature: passed")
### BEGIN HIDDEN TESTS
fresh_x, _ = two_clouds(50, checks.fresh("curvature"))
checks.assert_close(
    curvature(line_hessian(fresh_x)),
    reference.curvature(line_hessian(fresh_x)),
    rtol=1e-3,
    name="rate and condition number of a linear unit on other points",
    hint="2/λmax and λmax/λmin, from the eigenvalues of the Hessian.",
)
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 6. Is it really the limit? (1 point)
#
# A formula is a claim. Check it: run descent in the bowl $J(w) = \tfrac12 w^\top H w$ just below and just above the
# limit, and see how far from the minimum (which is at 0) it ends, compared with where it began:
#
# $$\text{ratio}(\varepsilon) = \frac{\lVert w_\text{steps} \rVert}{\lVert w_0 \rVert}, \qquad
# w_{k+1} = w_k - \varepsilon H w_k.$$
#
# Return two Python numbers: the ratio for $\varepsilon = (1 - \text{margin}) \cdot \text{limit}$ and for $\varepsilon
# = (1 + \text{margin}) \cdot \text{limit}$. `hessian` is (p, p), `w0` (p,), `limit` and `margin` are numbers.


# %% solution="below_and_above"
def below_and_above(hessian: Tensor, w0: Tensor, limit: float, steps: int, margin: float = 0.01) -> tuple[float, float]:
    """How far descent ends from the minimum at 0, as a multiple of where it began: below the limit, and above it.

    hessian: (p, p).   w0: start (p,).   limit: learning rate.   margin: 0.01 runs at 0.99 and at 1.01 of the limit.
    """
    ### BEGIN SOLUTION
    ratios = []
    for rate in ((1 - margin) * limit, (1 + margin) * limit):
        w = w0
        for _ in range(steps):
            w = w - rate * hessian @ w
        ratios.append((w.norm() / w0.norm()).item())
    return ratios[0], ratios[1]
    ### END SOLUTION


# %% tests="below_and_above" points=1
bowl = torch.diag(torch.tensor([1.0, 10.0], device=here))
steep, start = torch.tensor([0.0, 3.0], device=here), torch.tensor([3.0, 4.0], device=here)
answer = below_and_above(bowl, steep, 0.2, 1)
checks.assert_true(
    isinstance(answer, list | tuple) and len(answer) == 2,
    "below_and_above: wanted two numbers.",
    hint="End with: return below, above.",
)
checks.assert_close(
    answer,
    (0.98, 1.02),
    rtol=1e-3,
    name="ratios after one step down the steepest direction",
    hint="1 − ελ is −0.98 just below the limit, −1.02 just above. Divide the distance at the end by the first one.",
)
checks.assert_close(
    below_and_above(bowl, steep, 0.2, 50),
    (0.98**50, 1.02**50),
    rtol=1e-3,
    name="ratios after 50 steps",
    hint="Each step multiplies the distance by one factor: 0.98⁵⁰ and 1.02⁵⁰. Count steps, start both at w0.",
)
checks.assert_close(
    below_and_above(bowl, start, 0.2, 3, margin=0.5),
    ((3**2 * 0.9**6 + 0) ** 0.5 / 5, (3**2 * 0.7**6 + 4**2 * 2**6) ** 0.5 / 5),
    rtol=1e-3,
    name="ratios with a margin of one half",
    hint="The margin is a fraction of the limit: (1 − margin)·limit and (1 + margin)·limit.",
)
print("below_and_above: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("below_and_above")
fresh_x, _ = two_clouds(30, fresh_generator)
fresh_w = torch.randn(3, generator=fresh_generator).to(here)
fresh_limit = 2 / torch.linalg.eigvalsh(line_hessian(fresh_x))[-1].item()
checks.assert_close(
    below_and_above(line_hessian(fresh_x), fresh_w, fresh_limit, 40, margin=0.05),
    reference.below_and_above(line_hessian(fresh_x), fresh_w, fresh_limit, 40, margin=0.05),
    rtol=1e-2,
    atol=1e-4,
    name="ratios in another bowl",
    hint="Run w − rate·H·w from w0 with both rates, and divide the norms.",
)
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 7. Standardise (2 points)
#
# What decides $\kappa$? Often just the units of the data. For the linear unit of exercise 4 the Hessian is $H =
# \mathrm{E}[x x^\top]$, the mean of $x x^\top$ over the points (each $x$ with a 1 at its end, for the bias), and
#
# $$\mathrm{E}[x x^\top] = \mathrm{Cov}(x) + \mu \mu^\top.$$
#
# In words: the mean $\mu$ of the data adds a steep direction of its own. So **centring** alone helps, and **scaling**
# each feature to variance 1 helps again. The next cell draws people: height in cm, weight in kg, age in years, and
# their shoe size as the target. In these units the bowl is a canyon.
#
# For every feature (column), with mean $\mu$ and standard deviation $\sigma$ **of the training set**:
#
# $$x \leftarrow \frac{x - \mu}{\sigma}, \qquad \sigma^2 = \frac{1}{n}\sum_i (x_i - \mu)^2.$$
#
# - The other set (validation or test) goes through the same $\mu$ and $\sigma$. You may not look at it: it stands for
#   people you have not met yet.
# - Divide by $n$ in the variance, not $n - 1$ (`correction=0` in `torch`), so that the mean square becomes exactly 1.
# - A feature that is the same for everyone, like a pixel that is always dark, has $\sigma = 0$. It becomes 0, not NaN.
#
# `train` (n, d) and `other` (m, d) are points; return both, standardised, in the same shapes.

# %% setup="people"


def people(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Drawn adults: (n, 3) height in cm, weight in kg, age in years; and (n,) shoe size (EU)."""
    z = torch.randn(n, 4, generator=generator)
    height = 172 + 10 * z[:, 0]
    age = 45 + 12 * z[:, 1]
    weight = 72 + 9 * z[:, 0] + 4 * z[:, 1] + 7 * z[:, 2]  # tall people weigh more, and so do older ones
    shoe = 42 + 0.25 * (height - 172) + 0.05 * (weight - 72) + z[:, 3]
    return torch.stack([height, weight, age], dim=1).to(here), shoe.to(here)


bodies, shoes = people(200, torch.Generator().manual_seed(2))


# %% solution="standardise"
def standardise(train: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Every feature to mean 0 and variance 1, by the statistics of `train`; a constant feature becomes 0.

    train: (n, d).   other: (m, d).   Returns both, standardised.
    """
    ### BEGIN SOLUTION
    mean = train.mean(dim=0)  # (d,)
    std = train.std(dim=0, correction=0)  # (d,)
    std = torch.where(std > 0, std, 1.0)
    return (train - mean) / std, (other - mean) / std
    ### END SOLUTION


# %% tests="standardise" points=2
# three people, three features; the last is 0 for everyone
three = torch.tensor([[1.0, 10.0, 0.0], [3.0, 10.0, 0.0], [5.0, 40.0, 0.0]], device=here)
kept = three.clone()
answer = standardise(three, three)
checks.assert_unchanged(
    kept,
    three,
    name="train",
    hint="`train -= …` changes the argument, and its mean is gone: you still need the statistics of the training set.",
)
checks.assert_true(
    isinstance(answer, list | tuple) and len(answer) == 2,
    "standardise: wanted two tensors.",
    hint="Return the training set and the other set, both standardised.",
)
checks.assert_shape(answer[0], (3, 3), name="train", hint="Standardising changes numbers, not shapes.")
checks.assert_finite(
    answer[0], name="train", hint="A constant feature has σ = 0. Divide it by 1 instead: it is 0 after centring."
)
checks.assert_close(
    answer[0].mean(dim=0),
    torch.zeros(3, device=here),
    atol=1e-5,
    name="mean of each feature",
    hint="Centre each feature: subtract the mean over the points (dim=0), not over the features.",
)
mean_square = (answer[0] ** 2).mean(dim=0)
checks.assert_true(
    abs(mean_square[0].item() - 2 / 3) > 1e-3,
    "train: the mean square of a feature is (n − 1)/n, wanted 1.",
    hint="`torch.std` divides by n − 1 unless told otherwise. Divide by n: correction=0.",
)
checks.assert_close(
    mean_square,
    torch.tensor([1.0, 1.0, 0.0], device=here),
    name="mean square of each feature",
    hint="Divide by the standard deviation, which is the square root of the variance; each feature by its own.",
)
alone = standardise(three, three[2:])
checks.assert_shape(alone[1], (1, 3), name="other", hint="The second result is the other set.")
checks.assert_close(
    alone,
    (answer[0], answer[0][2:]),
    name="one person of the training set as the other set",
    hint="The same person must get the same numbers in either set: statistics of the training set only, for both.",
)
print("standardise: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("standardise")
in_metres = torch.tensor([0.01, 1.0, 1.0], device=here)  # a feature whose standard deviation is far below 1
fresh_train = people(37, fresh_generator)[0] * in_metres
fresh_other = (people(11, fresh_generator)[0] + 5) * in_metres
checks.assert_close(
    standardise(fresh_train, fresh_other),
    reference.standardise(fresh_train, fresh_other),
    rtol=1e-3,
    atol=1e-4,
    name="other people, standardised",
    hint="Subtract the mean and divide by the standard deviation of the training set, in both sets.",
)
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 8. Whiten (2 points)
#
# Height and weight go together, and scaling cannot undo that. **Whitening** also rotates: find a matrix $M$ so that
# for the training set
#
# $$z = M (x - \mu), \qquad \mathrm{Cov}(z) = I.$$
#
# In words: after whitening no feature tells anything (linear) about another, and each has variance 1. The bowl is
# round, $\kappa = 1$. The usual way goes through the eigenvectors $V$ and eigenvalues $\lambda$ of the training set's
# covariance (`torch.linalg.eigh`): rotate by $V^\top$, then divide each new coordinate by $\sqrt{\lambda}$. Any $M$
# with that property is right: you may rotate back, or not.
#
# It costs more than scaling: $nd^2 + d^3$ operations instead of $nd$.
#
# Divide by $n$ in the covariance. `train` (n, d), `other` (m, d), and both go through the same $\mu$ and $M$.


# %% solution="whiten"
def whiten(train: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Mean 0 and covariance I for `train`; `other` goes through the same shift and matrix.

    train: (n, d), with a covariance of full rank.   other: (m, d).   Returns both, whitened.
    """
    ### BEGIN SOLUTION
    mean = train.mean(dim=0)  # (d,)
    centred = train - mean  # (n, d)
    covariance = centred.T @ centred / len(train)  # (d, d)
    eigenvalues, V = torch.linalg.eigh(covariance)  # (d,), (d, d)
    M = V / eigenvalues.sqrt()  # (d, d), columns divided
    return centred @ M, (other - mean) @ M
    ### END SOLUTION


# %% tests="whiten" points=2
first, second = bodies[:150], bodies[150:]
answer = whiten(first, second)
checks.assert_true(
    isinstance(answer, list | tuple) and len(answer) == 2,
    "whiten: wanted two tensors.",
    hint="Return the training set and the other set, both whitened.",
)
checks.assert_shape(answer[0], (150, 3), name="train", hint="Whitening changes numbers, not shapes.")
checks.assert_shape(answer[1], (50, 3), name="other", hint="The second result is the other set.")
checks.assert_dtype(answer[0], torch.float32, name="train", hint="Compute in float64 if you like, but return float32.")
checks.assert_finite(answer[0], name="train", hint="The eigenvalues of a covariance are positive: what are yours of?")
checks.assert_close(
    answer[0].mean(dim=0),
    torch.zeros(3, device=here),
    atol=1e-3,
    name="mean of the whitened features",
    hint="Centre the points before you multiply: z = M(x − μ).",
)
covariance = answer[0].T @ answer[0] / 150
spread = covariance.diagonal().sqrt()
together = (covariance / spread / spread[:, None] - torch.eye(3, device=here)).abs().max().item()
checks.assert_true(
    together < 1e-3,
    f"train: two of the whitened features have the correlation ±{together:.3g}, wanted 0.",
    hint="The features still go together. Rotate: multiply by the eigenvectors, which are the columns of V.",
)
checks.assert_true(
    bool(((covariance.diagonal() - 149 / 150).abs() > 1e-3).any()),
    "train: the variances are (n − 1)/n, wanted 1.",
    hint="`torch.cov` divides by n − 1 unless told otherwise. Divide by n: correction=0.",
)
checks.assert_close(
    covariance.diagonal(),
    torch.ones(3, device=here),
    rtol=1e-3,
    name="variances of the whitened features",
    hint="Divide each rotated coordinate by the square root of its eigenvalue: not by the eigenvalue itself.",
)
halfway = whiten(first, (first[:10] + first[10:20]) / 2)
checks.assert_close(
    halfway[1],
    (halfway[0][:10] + halfway[0][10:20]) / 2,
    rtol=1e-3,
    atol=1e-3,
    name="people halfway between two of the training set",
    hint="The other set goes through the same μ and M as the training set: no statistics of its own.",
)
print("whiten: passed")
### BEGIN HIDDEN TESTS
fresh_x = torch.randn(80, 4, generator=checks.fresh("whiten"))
fresh_x[:, 1] += fresh_x[:, 0]
fresh_x[:, 3] -= 2 * fresh_x[:, 2]
fresh_x = (fresh_x * torch.tensor([1.0, 3.0, 0.5, 1.0]) + torch.tensor([5.0, -2.0, 0.0, 1.0])).to(here)
answer = whiten(fresh_x, (fresh_x[:10] + fresh_x[10:20]) / 2)
checks.assert_close(
    answer[0].mean(dim=0),
    torch.zeros(4, device=here),
    atol=1e-3,
    name="mean of four whitened features",
    hint="Centre the points before you multiply.",
)
checks.assert_close(
    answer[0].T @ answer[0] / 80,
    torch.eye(4, device=here),
    rtol=1e-3,
    atol=1e-3,
    name="covariance of four whitened features",
    hint="Cov(z) = I: rotate by the eigenvectors, divide by the square roots of the eigenvalues.",
)
checks.assert_close(
    answer[1],
    (answer[0][:10] + answer[0][10:20]) / 2,
    rtol=1e-3,
    atol=1e-3,
    name="points halfway between two of the training set",
    hint="The other set goes through the same μ and M as the training set.",
)
### END HIDDEN TESTS

# %% explore="condition_numbers"
# explore: what each step does to the condition number, and to a descent at half of the largest stable rate
target = shoes - shoes.mean()  # so that the race is about the features, not about finding the mean shoe
versions = {
    "as measured": bodies,
    "centred": bodies - bodies.mean(dim=0),
    "standardised": standardise(bodies, bodies)[0],
    "whitened": whiten(bodies, bodies)[0],
}
for label, features in versions.items():
    limit, condition = curvature(line_hessian(features.cpu().double()))  # float32 is too coarse for the first one
    everyone = [torch.arange(len(features))] * 100
    path = sgd_path(line_gradient, torch.zeros(4, device=here), features, target, everyone, limit / 2)
    plt.semilogy([line_loss(w, features, target).item() for w in path], label=f"{label}, κ = {condition:,.0f}")
    print(f"{label:13s}  largest stable rate {limit:8.5f}   condition number {condition:12,.1f}")
plt.xlabel("steps")
plt.ylabel("loss J (log scale)")
plt.legend()
plt.show()

# %% [markdown]
# ### Exercise 9. Momentum (1 point)
#
# Where the valley cannot be made round, momentum helps: the step remembers the one before. In the course's convention
#
# $$\Delta w \leftarrow -\varepsilon \nabla J(w); \qquad \text{repeat:}\quad w \leftarrow w + \Delta w,
# \quad \Delta w \leftarrow -\varepsilon \nabla J(w) + \beta\, \Delta w.$$
#
# In words: go where you were going, then bend the direction by the slope that you find **there**. What points the same
# way step after step adds up; what goes back and forth across the valley cancels. $\beta$ lies from 0 (plain descent)
# to below 1. Start with 0.5, go to 0.9 later; with a large $\beta$ take a smaller $\varepsilon$.
#
# Write one turn of *repeat*. `w` and `delta` have shape (p,), `gradient` is a function of `w` that returns (p,).
# Return the new `w` and the new `delta`.

# %% setup="valley"


def valley_gradient(w: Tensor) -> Tensor:
    """Gradient of J(w) = (w1² + 25 w2²) / 2, a valley 25 times as steep across as along; w (2,)."""
    return w * torch.tensor([1.0, 25.0], device=w.device)


# %% solution="momentum_step"
def momentum_step(w: Tensor, delta: Tensor, gradient, rate: float, beta: float) -> tuple[Tensor, Tensor]:
    """One turn of descent with momentum: the new w and the new delta.

    w: weights (p,).   delta: the step to take (p,).   gradient: function of w.   rate: ε.   beta: β.
    """
    ### BEGIN SOLUTION
    w = w + delta
    delta = -rate * gradient(w) + beta * delta
    return w, delta
    ### END SOLUTION


# %% tests="momentum_step" points=1
here_w, here_delta = torch.tensor([1.0, 1.0], device=here), torch.tensor([0.5, 0.0], device=here)
answer = momentum_step(here_w, here_delta, valley_gradient, 0.1, 0.0)
checks.assert_unchanged(
    torch.tensor([1.0, 1.0], device=here), here_w, name="w", hint="`w += …` changes the argument; `w = w + …` does not."
)
checks.assert_true(
    isinstance(answer, list | tuple) and len(answer) == 2,
    "momentum_step: wanted two tensors.",
    hint="End with: return w, delta.",
)
checks.assert_close(
    answer[0],
    torch.tensor([1.5, 1.0], device=here),
    name="new w",
    hint="First w ← w + Δw, with the Δw that came in.",
)
checks.assert_close(
    answer[1],
    torch.tensor([-0.15, -2.5], device=here),
    name="new delta with β = 0",
    hint="With β = 0 it is −ε∇J at the new w, after the step.",
)
checks.assert_close(
    momentum_step(torch.ones(2, device=here), torch.zeros(2, device=here), valley_gradient, 0.1, 0.9)[1],
    torch.tensor([-0.1, -2.5], device=here),
    name="new delta from rest",
    hint="β multiplies only the old Δw. The gradient counts in full: no factor (1 − β) in this convention.",
)
checks.assert_close(
    momentum_step(torch.ones(2, device=here), -torch.ones(2, device=here), valley_gradient, 0.1, 0.9)[1],
    torch.tensor([-0.9, -0.9], device=here),
    name="new delta where the gradient is 0",
    hint="Where the ground is level the step goes on: β·Δw, with its own sign, and the old Δw.",
)
print("momentum_step: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("momentum_step")
fresh_w, fresh_delta = torch.randn(2, 2, generator=fresh_generator).to(here)
fresh_rate, fresh_beta = torch.rand(2, generator=fresh_generator).tolist()
checks.assert_close(
    momentum_step(fresh_w, fresh_delta, valley_gradient, fresh_rate, fresh_beta),
    reference.momentum_step(fresh_w, fresh_delta, valley_gradient, fresh_rate, fresh_beta),
    atol=1e-5,
    name="w and delta from another place",
    hint="w ← w + Δw, then Δw ← −ε∇J(w) + βΔw with the new w.",
)
### END HIDDEN TESTS

# %% explore="momentum_in_the_valley"
# explore: the same rate with and without momentum. Try β = 0.5 and 0.99, and other rates
for beta in (0.0, 0.8):
    w = torch.tensor([10.0, 1.0], device=here)
    delta = -0.03 * valley_gradient(w)
    places = [w]
    for _ in range(60):
        w, delta = momentum_step(w, delta, valley_gradient, 0.03, beta)
        places.append(w)
    plt.plot(*torch.stack(places).T.cpu(), ".-", label=f"β = {beta}")
plt.xlabel("w₁, along the valley")
plt.ylabel("w₂, across the valley")
plt.legend()
plt.show()

# %% [markdown]
# ## Part 4. Large batches
#
# ### Exercise 10. The linear scaling rule, with warm-up (2 points)
#
# With more machines you take larger batches. What happens to the learning rate? The **linear scaling rule** (Goyal et
# al., 2017): when the batch grows by a factor $k$, multiply the rate by $k$. One step then stands for $k$ small steps,
# and should go as far. At the start of training the slopes change so fast that a rate of $k\varepsilon$ can diverge,
# so they **warm up**: from $\varepsilon$ to $k\varepsilon$ in equal amounts, a little at *every step*, over the first
# epochs.
#
# With $S$ = steps_per_epoch · warmup_epochs steps of warm-up, and steps counted from 0:
#
# $$\varepsilon_s = \varepsilon + (k - 1)\,\varepsilon\,\frac{s}{S} \;\text{ for } s < S, \qquad
# \varepsilon_s = k\,\varepsilon \;\text{ from } s = S \text{ on}, \qquad k = \frac{\text{batch}}{\text{base\_batch}}.$$
#
# They trained ImageNet with batches of 8,192 instead of 256: $k = 32$, and $\varepsilon$ went from 0.1 to 3.2 in 5
# epochs. All arguments are numbers, and so is the result. With 0 epochs of warm-up the rate is $k\varepsilon$ at once.


# %% solution="scaled_rate"
def scaled_rate(
    step: int, base_rate: float, base_batch: int, batch: int, steps_per_epoch: int, warmup_epochs: int
) -> float:
    """Learning rate at a step (from 0): base_rate · batch / base_batch, after a linear warm-up from base_rate."""
    ### BEGIN SOLUTION
    k = batch / base_batch
    warmup_steps = steps_per_epoch * warmup_epochs
    if step >= warmup_steps:
        return k * base_rate
    return base_rate * (1 + (k - 1) * step / warmup_steps)
    ### END SOLUTION


# %% tests="scaled_rate" points=2
# batches of 1,024 instead of 64: k = 16; 10 steps an epoch, 2 epochs of warm-up: 20 steps
recipe = dict(base_rate=0.1, base_batch=64, batch=1024, steps_per_epoch=10, warmup_epochs=2)
checks.assert_shape(scaled_rate(0, **recipe), (), name="rate", hint="Return one number.")
checks.assert_close(
    scaled_rate(1000, **recipe),
    1.6,
    name="rate long after the warm-up",
    hint="Linear scaling: a batch k times as large, k = 1024/64, gives k times the rate, not √k; constant in the end.",
)
checks.assert_close(
    scaled_rate(0, **recipe),
    0.1,
    name="rate at step 0",
    hint="The warm-up starts at the base rate, not at 0 and not later.",
)
checks.assert_true(
    abs(float(scaled_rate(2, **recipe)) - 1.6) > 1e-3,
    "scaled_rate: at step 2 the rate is k·ε already.",
    hint="The warm-up lasts 2 epochs, which are 20 steps here: multiply by steps_per_epoch.",
)
checks.assert_true(
    float(scaled_rate(1, **recipe)) > 0.1 + 1e-6,
    "scaled_rate: the rate is the same at steps 0 and 1.",
    hint="The warm-up rises a little at every step, not once an epoch.",
)
checks.assert_close(
    [scaled_rate(s, **recipe) for s in (10, 19, 20, 21)],
    [0.85, 1.525, 1.6, 1.6],
    name="rates at steps 10, 19, 20 and 21",
    hint="Equal amounts: halfway at step 10, one amount missing at step 19, k·ε at step 20 (count: steps start at 0).",
)
checks.assert_close(
    scaled_rate(0, 0.1, 64, 1024, 10, 0),
    1.6,
    name="rate at step 0 with no warm-up",
    hint="Without warm-up: k·ε at once.",
)
print("scaled_rate: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("scaled_rate")
k, per_epoch, warmup = (torch.randint(2, 9, (3,), generator=fresh_generator)).tolist()
base = torch.rand((), generator=fresh_generator).item()
checks.assert_close(
    [scaled_rate(s, base, 32, 32 * k, per_epoch, warmup) for s in range(per_epoch * warmup + 5)],
    [reference.scaled_rate(s, base, 32, 32 * k, per_epoch, warmup) for s in range(per_epoch * warmup + 5)],
    name=f"rates of every step, k = {k}, {per_epoch} steps an epoch, {warmup} epochs of warm-up",
    hint="From ε at step 0 in equal amounts to k·ε at step steps_per_epoch · warmup_epochs, then constant.",
)
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 11. How sharp is this minimum? (2 points)
#
# Large batches tend to end in **sharp** minima, small ones in flat ones (Keskar et al., 2017). A common measure of
# sharpness is the top eigenvalue of the Hessian, $\lambda_\text{max}$ of exercise 5: the sharper the minimum, the
# smaller the rate it can stand. But a net with a million weights has a Hessian with $10^{12}$ entries. Nobody builds
# it. It is enough to multiply by it:
#
# $$H v = \nabla \big( \nabla J(w) \cdot v \big).$$
#
# In words: the gradient of *the gradient's component along v*. Two backward passes, no matrix. For the second one to
# work, autograd must remember how it made the first: `torch.autograd.grad(…, create_graph=True)`.
#
# **Power iteration** does the rest. Start with a random $v$, then `steps` times: $v \leftarrow Hv$, and divide by its
# length. The direction with the largest $|\lambda|$ wins. Its eigenvalue, with the right sign, is the **Rayleigh
# quotient**
#
# $$\lambda = \frac{v^\top H v}{v^\top v}.$$
#
# So on a saddle, where the strongest curvature may point down, the answer is negative.
#
# `loss(w, X, t)` is a function that returns a tensor of shape (), `w` has shape (p,). Draw the start with
# `torch.randn(p, generator=generator)`, which is on the CPU: move it to the device of `w`. Return a Python number, in
# units of loss per squared unit of weight.

# %% setup="losses"


def softmax_loss(w: Tensor, X: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of a linear classifier; X (n, d), labels (n,) int64, w (c·(d + 1),) for c classes."""
    W = w.reshape(X.shape[1] + 1, -1)  # (d + 1, c), the biases last
    return torch.nn.functional.cross_entropy(X @ W[:-1] + W[-1], labels)


def saddle_loss(w: Tensor, X: Tensor, t: Tensor) -> Tensor:
    """`line_loss` with a ridge: it curves down along w1."""
    return line_loss(w, X, t) - 10 * w[0] ** 2


# %% solution="sharpness"
def sharpness(loss, w: Tensor, X: Tensor, t: Tensor, steps: int, generator: torch.Generator) -> float:
    """Eigenvalue of the Hessian of `loss` at w that is largest in magnitude, by power iteration.

    loss: function of (w, X, t).   w: (p,).   steps: products Hv to take.   generator: draws the first v.
    """
    ### BEGIN SOLUTION
    w = w.detach().clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss(w, X, t), w, create_graph=True)  # (p,)

    def times_hessian(v: Tensor) -> Tensor:
        return torch.autograd.grad(slope @ v, w, retain_graph=True)[0]  # (p,)

    v = torch.randn(len(w), generator=generator, dtype=w.dtype).to(w.device)  # (p,)
    for _ in range(steps):
        v = times_hessian(v)
        v = v / v.norm()
    return (v @ times_hessian(v)).item()
    ### END SOLUTION


# %% tests="sharpness" points=2
# four points on the axes, a linear unit: the Hessian has the eigenvalues 8, 0.5 and 1
cross = torch.tensor([[4.0, 0.0], [-4.0, 0.0], [0.0, 1.0], [0.0, -1.0]], device=here)
level, weights = torch.zeros(4, device=here), torch.tensor([0.1, -0.2, 0.3], device=here)
top = sharpness(line_loss, weights, cross, level, 20, torch.Generator().manual_seed(1))
checks.assert_shape(top, (), name="sharpness", hint="One number: the eigenvalue, not the vector.")
checks.assert_close(
    top,
    8.0,
    rtol=1e-2,
    name="sharpness of a bowl with eigenvalues 8, 0.5 and 1",
    hint="Rayleigh quotient v·Hv over v·v at the end; normalise v in each turn, and do all the turns.",
)
long_walk = sharpness(line_loss, weights, cross, level, 100, torch.Generator().manual_seed(1))
checks.assert_finite(
    long_walk,
    name="sharpness after 100 steps",
    hint="v grows by λ in each turn until it overflows: normalise it each time.",
)
slanted = torch.tensor([[3.0, -3.0], [-3.0, 3.0]], device=here)
checks.assert_close(
    sharpness(line_loss, weights, slanted, level[:2], 8, torch.Generator().manual_seed(1)),
    18.0,
    rtol=1e-2,
    name="sharpness across the diagonal",
    hint="A fixed start can be blind: (1, 1, 1) has no part along (1, −1, 0), the steepest direction. Start at random.",
)
checks.assert_close(
    sharpness(saddle_loss, weights, cross, level, 20, torch.Generator().manual_seed(1)),
    -12.0,
    rtol=1e-2,
    name="sharpness of a saddle with eigenvalues −12, 0.5 and 1",
    hint="The length of Hv is |λ| and loses the sign. The Rayleigh quotient v·Hv keeps it: a saddle curves down.",
)
print("sharpness: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("sharpness")
fresh_x = two_clouds(40, fresh_generator)[0] * torch.tensor([6.0, 1.0], device=here)
fresh_labels = torch.randint(2, (40,), generator=fresh_generator).to(here)
fresh_w = 0.1 * torch.randn(6, generator=fresh_generator).to(here)
matrix = torch.autograd.functional.hessian(lambda w: softmax_loss(w, fresh_x, fresh_labels), fresh_w)  # (6, 6)
eigenvalues = torch.linalg.eigvalsh(matrix.cpu().double())
checks.assert_close(
    sharpness(softmax_loss, fresh_w, fresh_x, fresh_labels, 60, fresh_generator),
    eigenvalues[eigenvalues.abs().argmax()].item(),
    rtol=1e-2,
    name="sharpness of a classifier at other weights",
    hint="The Hessian depends on w here: take both backward passes at the w that you are given.",
)
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 12. The same function, another sharpness (1 point)
#
# Is a sharp minimum a worse function? Not always (Dinh et al., 2017). Take a net with one hidden ReLU layer,
#
# $$y = W_2\, \mathrm{relu}(W_1 x + b_1) + b_2.$$
#
# For $\alpha > 0$, $\mathrm{relu}(\alpha a) = \alpha\, \mathrm{relu}(a)$. So what goes into the hidden units can be
# multiplied by $\alpha$ and what comes out of them divided by it: **every answer stays the same**, but the sharpness
# does not. A large sharpness alone proves nothing.
#
# Return the four rescaled tensors, with $W_1$ multiplied by $\alpha$ and whatever else it takes. `W1` (h, 2), `b1`
# (h,), `W2` (h,), `b2` (), `alpha` a number above 0.

# %% setup="relu_net"


def relu_net(X: Tensor, W1: Tensor, b1: Tensor, W2: Tensor, b2: Tensor) -> Tensor:
    """Answers (n,) of a net with h hidden ReLUs for X (n, 2); W1 (h, 2), b1 (h,), W2 (h,), b2 ()."""
    return torch.relu(X @ W1.T + b1) @ W2 + b2


def pack(W1: Tensor, b1: Tensor, W2: Tensor, b2: Tensor) -> Tensor:
    """All weights of `relu_net` in one vector, (4h + 1,)."""
    return torch.cat([W1.flatten(), b1, W2, b2.reshape(1)])


def relu_loss(w: Tensor, X: Tensor, t: Tensor) -> Tensor:
    """Half the mean squared error of `relu_net` with the packed weights w (4h + 1,)."""
    h = len(w) // 4
    y = relu_net(X, w[: 2 * h].reshape(h, 2), w[2 * h : 3 * h], w[3 * h : 4 * h], w[-1])  # (n,)
    return ((y - t) ** 2).mean() / 2


def draw_net(h: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Random weights of a `relu_net` with h hidden units."""
    shapes = (h, 2), (h,), (h,), ()
    W1, b1, W2, b2 = (torch.randn(shape, generator=generator).to(here) for shape in shapes)
    return W1, b1, W2, b2


# %% solution="rescale_relu"
def rescale_relu(W1: Tensor, b1: Tensor, W2: Tensor, b2: Tensor, alpha: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Other weights of the same function: W1 is multiplied by alpha, and the rest makes up for it.

    W1: (h, 2).   b1: (h,).   W2: (h,).   b2: ().   alpha: above 0.
    """
    ### BEGIN SOLUTION
    return alpha * W1, alpha * b1, W2 / alpha, b2
    ### END SOLUTION


# %% tests="rescale_relu" points=1
net = draw_net(5, torch.Generator().manual_seed(3))
answer = rescale_relu(*net, 4.0)
checks.assert_true(
    isinstance(answer, list | tuple) and len(answer) == 4,
    "rescale_relu: wanted four tensors.",
    hint="Return W1, b1, W2 and b2, all four, though one of them stays as it is.",
)
checks.assert_close(answer[0], 4 * net[0], name="W1", hint="W1 is multiplied by alpha.")
checks.assert_close(
    answer[1], 4 * net[1], name="b1", hint="relu(αW1·x + b1) is not α·relu(W1·x + b1): the bias b1 must grow as well."
)
checks.assert_close(
    answer[3], net[3], name="b2", hint="b2 is added after the hidden layer, which is made up for already: b2 stays."
)
checks.assert_close(
    relu_net(X, *answer),
    relu_net(X, *net),
    rtol=1e-3,
    atol=1e-4,
    name="answers of the rescaled net",
    hint="The hidden units now send out α times as much: divide W2 by alpha.",
)
print("rescale_relu: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("rescale_relu")
fresh_net = draw_net(7, fresh_generator)
fresh_alpha = 1.5 + torch.rand((), generator=fresh_generator).item()
checks.assert_close(
    rescale_relu(*fresh_net, fresh_alpha),
    reference.rescale_relu(*fresh_net, fresh_alpha),
    name="the rescaled weights of another net",
    hint="What goes into the hidden units times alpha, bias too; what comes out divided by it.",
)
### END HIDDEN TESTS

# %% explore="sharpness_of_one_function"
# explore: one function, many sharpnesses
net = draw_net(5, torch.Generator().manual_seed(3))
alphas = [2 ** (k / 4) for k in range(-12, 13)]
tops = [
    sharpness(relu_loss, pack(*rescale_relu(*net, alpha)), X, t, 30, torch.Generator().manual_seed(1))
    for alpha in alphas
]
plt.plot(alphas, tops, ".-")
plt.xscale("log", base=2)
plt.yscale("log")
plt.xlabel("α (log scale)")
plt.ylabel("sharpness λ (log scale)")
plt.show()
print(f"The loss is {relu_loss(pack(*net), X, t).item():.4f} for every one of them.")

# %% [markdown]
# ## Part 5. The race
#
# ### Exercise 13. Batch against stochastic (2 points)
#
# Many pictures of the digit 9 say much the same. Batch descent looks at all of them before it moves; stochastic
# descent has moved long before it has seen the last one. How much does that matter? Measure it, fairly: by the number
# of points that each has been **shown**, which is what costs time.
#
# The next cell loads real handwritten digits. A linear classifier for them, whose loss is `softmax_loss` from above,
# has 650 weights. You need no gradient by hand now: `torch.func.grad(loss)(w, X, t)` is the gradient of `loss` with
# respect to its first argument.
#
# Write a descent as in exercise 4 that draws its own minibatches as in exercise 3 (from `generator`, anew in every
# epoch, short last batch kept) and keeps two records, each with an entry for the start and one after every step:
#
# | record | shape | what |
# |---|---|---|
# | `points` | (steps + 1,) `torch.int64`, on the CPU | how many points it has been shown so far |
# | `losses` | (steps + 1,) | loss over **all** of `X`, `t`, not just the batch; dtype and device of `w0` |
#
# An epoch has as many steps as it has batches. With `batch_size` = n this is batch descent.

# %% setup="digits"
images, labels = data.digits("train")  # (1197, 1, 8, 8) from 0 to 1, and (1197,) int64 from 0 to 9
digits_x = images.flatten(1).to(here)  # (1197, 64)
digits_t = labels.to(here)


# %% solution="loss_curve"
def loss_curve(
    loss, w0: Tensor, X: Tensor, t: Tensor, rate: float, batch_size: int, epochs: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Descend with minibatches; how many points have been shown, and the loss over all points, after every step.

    loss: function of (w, X, t).   w0: start (p,).   X: points (n, d).   t: targets (n,).
    Returns points (steps + 1,) int64 and losses (steps + 1,), each with the start first.
    """
    ### BEGIN SOLUTION
    gradient = torch.func.grad(loss)
    w = w0
    points, losses = [0], [loss(w, X, t)]
    for _ in range(epochs):
        for batch in torch.randperm(len(X), generator=generator).split(batch_size):
            w = w - rate * gradient(w, X[batch], t[batch])
            points.append(points[-1] + len(batch))
            losses.append(loss(w, X, t))
    return torch.tensor(points), torch.stack(losses)
    ### END SOLUTION


# %% tests="loss_curve" points=1
two_x, two_t = torch.tensor([[1.0], [2.0]], device=here), torch.tensor([1.0, 2.0], device=here)
start = torch.zeros(2, device=here)
answer = loss_curve(line_loss, start, two_x, two_t, 0.1, 2, 3, torch.Generator().manual_seed(1))
checks.assert_unchanged(
    torch.zeros(2, device=here), start, name="w0", hint="`w -= …` changes w0 itself; `w = w - …` makes a new tensor."
)
checks.assert_true(
    isinstance(answer, list | tuple) and len(answer) == 2,
    "loss_curve: wanted two tensors, points and losses.",
    hint="End with: return points, losses.",
)
points_shown, losses = answer
checks.assert_shape(
    losses, (4,), name="losses of 3 epochs of batch descent", hint="Three steps and the start: four entries."
)
checks.assert_equal(
    points_shown,
    torch.tensor([0, 2, 4, 6]),
    name="points",
    hint="Count points, not steps or epochs: 0 at the start, and as many more as the batch holds after each step.",
)
checks.assert_close(
    losses,
    torch.tensor([1.25, 0.545625, 0.241228, 0.109638], device=here),
    rtol=1e-3,
    name="losses of batch descent",
    hint="The first entry is the loss at w0, each other one the loss at the weights after that step.",
)
odd_x, odd_t = two_clouds(10, torch.Generator().manual_seed(1))
points_shown, losses = loss_curve(
    line_loss, torch.zeros(3, device=here), odd_x, odd_t, 0.1, 4, 2, torch.Generator().manual_seed(1)
)
checks.assert_equal(
    points_shown,
    torch.tensor([0, 4, 8, 10, 14, 18, 20]),
    name="points of two epochs of 10 points in batches of 4",
    hint="Batches of 4, 4 and 2 in each epoch: keep the short last one, and count what it really holds.",
)
# one step on one of the two points: 0.66 or 0.165 if the loss is taken over both of them
points_shown, losses = loss_curve(line_loss, start, two_x, two_t, 0.1, 1, 1, torch.Generator().manual_seed(1))
over_both = [line_loss(start - 0.1 * line_gradient(start, two_x[[i]], two_t[[i]]), two_x, two_t).item() for i in (0, 1)]
checks.assert_true(
    min(abs(losses[1].item() - value) for value in over_both) < 1e-4,
    f"losses: one step on one point gives {losses[1].item():.4g}, wanted {over_both[0]:.4g} or {over_both[1]:.4g}.",
    hint="Take the gradient on the batch, but measure the loss over all points.",
)
# with a tiny rate, the large drops of the loss tell when the point x = 2 was shown: first or second in its epoch
points_shown, losses = loss_curve(line_loss, start, two_x, two_t, 1e-3, 1, 24, torch.Generator().manual_seed(1))
drops = -losses.diff().reshape(24, 2)
large_first = int((drops[:, 0] > drops[:, 1]).sum())
checks.assert_true(
    0 < large_first < 24,
    "loss_curve: 24 epochs show two points in the same order.",
    hint="Draw a new random order for every epoch.",
)
again = loss_curve(line_loss, start, two_x, two_t, 1e-3, 1, 24, torch.Generator().manual_seed(1))
checks.assert_close(
    again[1],
    losses,
    name="losses of a second run with the same seed",
    hint="All randomness comes from the generator that you are given: pass it on as generator=generator.",
)
print("loss_curve: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("loss_curve")
fresh_x, fresh_t = two_clouds(30, fresh_generator)
fresh_w = torch.randn(3, generator=fresh_generator).to(here)
checks.assert_close(
    loss_curve(line_loss, fresh_w, fresh_x, fresh_t, 0.1, 30, 10, fresh_generator),
    reference.loss_curve(line_loss, fresh_w, fresh_x, fresh_t, 0.1, 30, 10, fresh_generator),
    rtol=1e-3,
    name="points and losses of batch descent on other points",
    hint="One step an epoch, w − rate · gradient over all points, and the loss after it.",
)
### END HIDDEN TESTS

# %% tests="loss_curve:race" points=1
batch_points, batch_losses = loss_curve(
    softmax_loss, torch.zeros(650, device=here), digits_x, digits_t, 2.0, len(digits_x), 10, torch.Generator()
)
for seed in (1, 2, 3):
    sgd_points, sgd_losses = loss_curve(
        softmax_loss, torch.zeros(650, device=here), digits_x, digits_t, 0.5, 16, 2, torch.Generator().manual_seed(seed)
    )
    checks.assert_finite(sgd_losses, name="losses of stochastic descent", hint="It diverged: is it the mean gradient?")
    checks.assert_equal(sgd_points[-1].item(), 2 * len(digits_x), name="points in 2 epochs", hint="Every point, twice.")
    checks.assert_in_range(
        sgd_losses[-1],
        0.15,
        0.4,
        name="loss after 2 epochs in batches of 16",
        hint="A step after every batch, with the gradient on that batch, at the weights that the last step left.",
    )
    by_then, goal = sgd_losses[len(sgd_losses) // 2], batch_losses[-1]  # after one epoch, and after ten
    checks.assert_true(
        bool((by_then < goal).item()),
        f"race: {by_then.item():.3f} after 1 epoch in batches of 16, {goal.item():.3f} after 10 of batch descent.",
        hint="One epoch of stochastic descent goes further than ten of batch descent here. Which one steps wrongly?",
    )
    reached = sgd_points[sgd_losses <= goal][0].item()
    print(
        f"Batch descent was shown {batch_points[-1].item()} points to get to a loss of {batch_losses[-1].item():.3f}, "
        f"stochastic descent {reached}."
    )
print("loss_curve:race: passed")

# %% explore="the_race"
# explore: plot the race for the question below. Change rates, batch sizes and the number of epochs
for label, rate, batch_size in [("batch", 2.0, len(digits_x)), ("batches of 16", 0.5, 16), ("one point", 0.1, 1)]:
    points_shown, losses = loss_curve(
        softmax_loss,
        torch.zeros(650, device=here),
        digits_x,
        digits_t,
        rate,
        batch_size,
        3,
        torch.Generator().manual_seed(1),
    )
    plt.semilogy(points_shown / len(digits_x), losses.cpu(), label=f"{label}, ε = {rate}")
plt.xlabel("points shown, in epochs")
plt.ylabel("loss over all points (log scale)")
plt.legend()
plt.show()

# %% [markdown]
# ### Question 14. Read your plot (3 points)
#
# Look at the plot of the race that you have just made, with at least two rates for each batch size. Answer in three
# sentences:
#
# 1. After the same number of points shown, who is ahead, and by how much on your plot?
# 2. Why, when both have been shown the same points?
# 3. What does the curve of single points do that the batch curve does not, what causes it, and what would calm it?

# %% [markdown] manual="reading_the_race" points=3
# 1. After one epoch the batches of 16 stand at a loss of about 0.5, while batch descent, after its one step, is still
#    near 1.9.
# 2. The digits are redundant: a few of them already give nearly the direction that all of them give, so in one epoch
#    the batches of 16 take 75 useful steps while batch descent takes one.
# 3. The curve of single points jitters, because each point pulls in its own direction even where the mean gradient is
#    zero; a smaller rate towards the end, or larger batches, would calm it.

# %% [markdown]
# ## What you can do now
#
# You can write a unit's gradient by hand, cut an epoch into minibatches that can be repeated, say from the Hessian how
# fast a descent may go and check it, mend a bad condition number by normalising, add momentum, scale the rate with the
# batch, measure sharpness without ever building a Hessian (and distrust it), and race batch against stochastic descent
# fairly.
