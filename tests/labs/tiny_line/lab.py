# A lab that is graded in a second: what the grader's tests hand in.

# %% [markdown]
# # A line
#
# Three exercises and one question. Nothing here needs more than plain numbers.

# %% setup="imports"
from unmagic import checks

# %% [markdown]
# ## The loss
#
# Compute the mean of the squared differences.


# %% solution="loss"
def loss(predictions, targets):
    """The mean of (prediction - target)² over the points."""
    ### BEGIN SOLUTION
    differences = [p - t for p, t in zip(predictions, targets, strict=True)]
    return sum(d * d for d in differences) / len(differences)
    ### END SOLUTION


# %% tests="loss" points=2
checks.assert_close(loss([1.0, 2.0], [0.0, 0.0]), 2.5, name="loss", hint="Take the mean over the points, not the sum.")
### BEGIN HIDDEN TESTS
numbers = [float(n) for n in range(3, 9)]
checks.assert_close(
    loss(numbers, [1.0] * 6), reference.loss(numbers, [1.0] * 6), name="loss", hint="Look at the mean again."
)
### END HIDDEN TESTS

# %% tests="loss:one_point" points=1
checks.assert_close(loss([3.0], [1.0]), 4.0, name="loss", hint="One point is a mean as well.")

# %% explore="table"
rows = [(p, loss([p], [0.0])) for p in (0.0, 1.0, 2.0)]
print(rows)


# %% solution="slope"
def slope(predictions, targets):
    """The derivative of the loss by a common shift of all predictions."""
    ### BEGIN SOLUTION
    return 2 * sum(p - t for p, t in zip(predictions, targets, strict=True)) / len(predictions)
    ### END SOLUTION


# %% tests="slope" points=2
checks.assert_close(slope([1.0], [0.0]), 2.0, name="slope", hint="The square brings a factor of two.")
### BEGIN HIDDEN TESTS
secret_predictions = [0.25, 4.5]
checks.assert_close(
    slope(secret_predictions, [0.0, 1.0]),
    reference.slope(secret_predictions, [0.0, 1.0]),
    name="slope",
    hint="Divide by the number of points.",
)
### END HIDDEN TESTS


# %% solution="step"
def step(value, rate):
    """One step of descent on value², with that rate."""
    ### BEGIN SOLUTION
    return value - rate * slope([value], [0.0])
    ### END SOLUTION


# %% tests="step" points=4
checks.assert_close(step(1.0, 0.25), 0.5, name="step", hint="Go against the slope.")

# %% [markdown] manual="why" points=3
# Why does a rate above 1 never arrive? One sentence.
#
# ### BEGIN SOLUTION
# Each step goes further past the minimum than it was away from it.
# ### END SOLUTION
