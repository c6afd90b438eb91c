# Right answers written differently.


# %% alternative="dot_product" exercise="loss"
def loss(x):
    return x @ x / len(x)


# %% alternative="by_hand" exercise="step"
def step(x, rate):
    return x - rate * 2 * x / len(x)
