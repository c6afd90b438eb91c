# The lab that the attacks hand in: three small exercises, and in its hidden tests a word that nobody may ever read.

# %% [markdown]
# # Three functions of a tensor

# %% setup="imports"
from unmagic import checks

import torch
from torch import Tensor


# %% solution="total"
def total(x: Tensor) -> Tensor:
    """The sum of the squares of x (n,), a scalar."""
    ### BEGIN SOLUTION
    return (x**2).sum()
    ### END SOLUTION


# %% tests="total" points=2
checks.assert_close(total(torch.tensor([1.0, 2.0])), torch.tensor(5.0), name="total", hint="square, then sum")
### BEGIN HIDDEN TESTS
canary_hidden = "canary-hidden-test"
numbers = torch.randn(7, generator=checks.fresh("total"))
checks.assert_close(total(numbers), reference.total(numbers), name="total of fresh numbers", hint="square, then sum")
### END HIDDEN TESTS


# %% solution="halve"
def halve(x: Tensor) -> Tensor:
    """Half of x (n,), and x itself unchanged."""
    ### BEGIN SOLUTION
    return x / 2
    ### END SOLUTION


# %% tests="halve" points=2
checks.assert_close(halve(torch.tensor([4.0])), torch.tensor([2.0]), name="halve", hint="divide by two")
### BEGIN HIDDEN TESTS
more = torch.randn(5, generator=checks.fresh("halve"))
kept = more.clone()
checks.assert_close(halve(more), reference.halve(more), name="half of fresh numbers", hint="divide by two")
checks.assert_unchanged(kept, more, name="x", hint="work on a copy")
### END HIDDEN TESTS

# %% tests="halve:in_part" points=1
points = [torch.equal(torch.as_tensor(halve(torch.tensor([n]))), torch.tensor([n / 2])) for n in (2.0, 6.0)]
sum(points) / 2


# %% solution="steps"
def steps(x: Tensor, n: int) -> list[Tensor]:
    """x, 2x, ..., nx."""
    ### BEGIN SOLUTION
    return [x * (k + 1) for k in range(n)]
    ### END SOLUTION


# %% tests="steps" points=2
found = list(steps(torch.tensor([1.0]), 2))
checks.assert_close(found, [torch.tensor([1.0]), torch.tensor([2.0])], name="steps", hint="the first is x itself")
### BEGIN HIDDEN TESTS
begin = torch.randn(3, generator=checks.fresh("steps"))
checks.assert_close(list(steps(begin, 4)), reference.steps(begin, 4), name="steps of fresh numbers", hint="1x, 2x, 3x")
### END HIDDEN TESTS
