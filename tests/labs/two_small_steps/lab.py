# A lab of two exercises, the second of which uses the first: what release, audit and grading are tested on.

# %% [markdown]
# # Two small steps
# We take the mean of squares $\frac{1}{n}\sum_i x_i^2$, then one step down its slope.

# %% setup="imports"
from unmagic import checks

import torch
from torch import Tensor

# %% setup="data"
points = torch.tensor([1.0, 2.0, 3.0])  # (3,)

# %% [markdown]
# ## 1. The loss
# For $x$ of shape (n,), return the mean of squares, a scalar.


# %% solution="loss"
def loss(x: Tensor) -> Tensor:
    """Mean of squares of x (n,), a scalar of x's dtype."""
    ### BEGIN SOLUTION
    mean_square = (x**2).mean()
    return mean_square
    ### END SOLUTION


# %% tests="loss" points=2
checks.assert_close(loss(points), torch.tensor(14 / 3), name="loss(points)", hint="divide by n: the mean, not the sum")
### BEGIN HIDDEN TESTS
x = torch.randn(7, generator=checks.fresh("loss"))
checks.assert_close(loss(x), reference.loss(x), name="loss of fresh numbers", hint="the mean over all n numbers")
### END HIDDEN TESTS

# %% tests="loss:dtype" points=1
checks.assert_close(loss(points.double()), torch.tensor(14 / 3).double(), rtol=1e-6, hint="keep the dtype of x")

# %% explore="many_losses"
losses = [loss(points * scale).item() for scale in range(3)]

# %% [markdown]
# ## 2. A step
# Return $x - \eta \nabla L(x)$. Autograd gives the gradient of your loss.


# %% solution="step"
def step(x: Tensor, rate: float) -> Tensor:
    """One step of gradient descent from x (n,); x itself is not changed."""
    ### BEGIN SOLUTION
    x = x.detach().clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss(x), x)
    return (x - rate * slope).detach()
    ### END SOLUTION


# %% tests="step" points=2
checks.assert_close(step(points, 0.75), points * 0.5, name="step", hint="go down the slope: subtract rate · gradient")
### BEGIN HIDDEN TESTS
x = torch.randn(5, generator=checks.fresh("step"))
checks.assert_close(step(x, 0.1), reference.step(x, 0.1), name="step from fresh numbers", hint="subtract rate · slope")
### END HIDDEN TESTS

# %% [markdown] manual="in_words" points=3
# A step that is too long climbs the other side of the bowl.
