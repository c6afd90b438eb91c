# Errors students make in `two_small_steps`.


# %% mistake="sum_not_mean" exercise="loss" fails="loss" hint="mean"
# "the loss is the sum of squares", from a course that sums
def loss(x):
    return (x**2).sum()


# %% mistake="float32_inside" exercise="loss" fails="loss:dtype" hint="dtype"
# converts first, because the data was float32 anyway
def loss(x):
    return (x.float() ** 2).mean()


# %% mistake="uphill" exercise="step" fails="step" hint="subtract"
# the sign of the gradient
def step(x, rate):
    x = x.detach().clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss(x), x)
    return (x + rate * slope).detach()
