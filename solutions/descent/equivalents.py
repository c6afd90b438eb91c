# Mechanical changes of this lab's solutions that change nothing.

# %% equivalent="0 → -1" exercise="sharpness"
# `torch.autograd.grad` of one tensor gives a tuple with one entry: its first is its last


def inputs(generator: torch.Generator) -> tuple:
    points = torch.randn(6, 2, generator=generator).to(here)
    weights, targets = torch.randn(3, generator=generator).to(here), torch.randn(6, generator=generator).to(here)
    return line_loss, weights, points, targets, 5, torch.Generator().manual_seed(3)
