# A light lab for `autograder bench`: torch is imported, and everything else computes for less than 0.2 s.

# %% [markdown]
# # A linear classifier
# Scores, their loss, and a step down its slope.

# %% setup="imports"
from unmagic import checks

import torch
from torch import Tensor

# %% setup="data"
generator = torch.Generator().manual_seed(0)
images = torch.randn(200, 64, generator=generator)  # (N, D)
labels = (images[:, :10].argmax(1)).long()  # (N,)


# %% solution="scores"
def scores(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """Scores (N, C) of x (N, D) with weights w (D, C) and biases b (C,)."""
    ### BEGIN SOLUTION
    return x @ w + b
    ### END SOLUTION


# %% tests="scores" points=2
checks.assert_close(
    scores(torch.ones(2, 3), torch.eye(3), torch.zeros(3)), torch.ones(2, 3), name="scores", hint="x times w, plus b"
)
### BEGIN HIDDEN TESTS
fresh = checks.fresh("scores")
x, w, b = (torch.randn(*shape, generator=fresh) for shape in ((7, 5), (5, 3), (3,)))
checks.assert_close(scores(x, w, b), reference.scores(x, w, b), name="fresh scores", hint="x times w, plus b")
### END HIDDEN TESTS


# %% solution="cross_entropy"
def cross_entropy(s: Tensor, t: Tensor) -> Tensor:
    """Mean over N of -log softmax(s)[t], a scalar; s (N, C), t (N,)."""
    ### BEGIN SOLUTION
    return (s.logsumexp(1) - s.gather(1, t[:, None])[:, 0]).mean()
    ### END SOLUTION


# %% tests="cross_entropy" points=2
checks.assert_close(
    cross_entropy(torch.zeros(4, 2), torch.tensor([0, 1, 1, 0])), torch.tensor(2.0).log(), hint="log of the sum"
)
### BEGIN HIDDEN TESTS
s = torch.randn(9, 4, generator=checks.fresh("cross_entropy"))
t = torch.arange(9) % 4
checks.assert_close(cross_entropy(s, t), reference.cross_entropy(s, t), name="fresh loss", hint="log of the sum")
### END HIDDEN TESTS


# %% solution="fit"
def fit(x: Tensor, t: Tensor, steps: int, rate: float = 0.5) -> Tensor:
    """Weights (D, 10) after some steps of gradient descent from zero."""
    ### BEGIN SOLUTION
    w = torch.zeros(x.shape[1], 10, requires_grad=True)
    for _ in range(steps):
        (slope,) = torch.autograd.grad(cross_entropy(scores(x, w, torch.zeros(10)), t), w)
        w = (w - rate * slope).detach().requires_grad_()
    return w.detach()
    ### END SOLUTION


# %% tests="fit" points=3
found = fit(images, labels, 50)
checks.assert_true(bool((images @ found).argmax(1).eq(labels).float().mean() > 0.8), "it has not learned", hint="slope")
### BEGIN HIDDEN TESTS
checks.assert_close(fit(images, labels, 5), reference.fit(images, labels, 5), name="weights", hint="subtract the slope")
### END HIDDEN TESTS
