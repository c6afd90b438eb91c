# Mechanical changes of this lab's solutions that change nothing, with arguments of the function that each stands in.

# %% equivalent="torch.arange(k, device=w.device) → torch.arange(k)" exercise="filter_health"
# on the CPU, where labs are audited, the default device is that of the arguments; on a GPU it is an error


def inputs(generator: torch.Generator) -> tuple:
    return (torch.randn(6, 2, 5, 5, generator=generator),)


# %% equivalent="1 → 2" exercise="filter_health" at=4
# kernels are square: shape[-2] is shape[-1]


def inputs(generator: torch.Generator) -> tuple:
    return (torch.randn(6, 2, 5, 5, generator=generator),)


# %% equivalent="1 → 2" exercise="filter_health" at=6
# what stands for an energy of 0 divides 0


def inputs(generator: torch.Generator) -> tuple:
    w = torch.randn(6, 2, 5, 5, generator=generator)
    return (w * (torch.rand(6, 1, 1, 1, generator=generator) > 0.2),)


# %% equivalent="1 → 2" exercise="filter_health" at=16
# what stands for a length of 0 divides 0


def inputs(generator: torch.Generator) -> tuple:
    w = torch.randn(6, 2, 5, 5, generator=generator)
    return (w * (torch.rand(6, 1, 1, 1, generator=generator) > 0.2),)


# %% equivalent="1 → 0" exercise="filter_health" at=18
# the matrix of cosines is symmetric: the largest of a column is that of the row


def inputs(generator: torch.Generator) -> tuple:
    return (torch.randn(6, 2, 5, 5, generator=generator),)


# %% equivalent="length < 0.01 * length.median() → length <= 0.01 * length.median()" exercise="filter_health"
# a length of exactly a hundredth of the median, which rounding decides


def inputs(generator: torch.Generator) -> tuple:
    return (torch.randn(6, 2, 5, 5, generator=generator) * torch.rand(6, 1, 1, 1, generator=generator) ** 6,)


# %% equivalent="zip(x, classes, strict=True) → zip(x, classes)" exercise="occlusion"
# there is one class for each image; strict only says so


def inputs(generator: torch.Generator) -> tuple:
    return small_net(1), torch.rand(2, 3, 4, 4, generator=generator).to(here), torch.tensor([0, 3], device=here), 2, 2


# %% equivalent="True → False" exercise="occlusion"
# the same


def inputs(generator: torch.Generator) -> tuple:
    return small_net(1), torch.rand(2, 3, 4, 4, generator=generator).to(here), torch.tensor([0, 3], device=here), 2, 2


# %% equivalent="0 → -1" exercise="grad_cam"
# the hook ran once: the first of one is the last


def inputs(generator: torch.Generator) -> tuple:
    return small_net(1), "4", torch.rand(2, 3, 4, 4, generator=generator).to(here), torch.tensor([0, 3], device=here)


# %% equivalent="0 → -1" exercise="map_scores" at=5
# what was gathered has one column


def inputs(generator: torch.Generator) -> tuple:
    return torch.randn(3, 4, 5, generator=generator), torch.rand(3, 4, 5, generator=generator) > 0.5


# %% equivalent="high > low → high >= low" exercise="map_scores"
# of a map that is one number everywhere 0/0 is above no threshold, as 0 is not


def inputs(generator: torch.Generator) -> tuple:
    maps = torch.randn(3, 4, 5, generator=generator) * (torch.rand(3, 1, 1, generator=generator) > 0.3)
    return maps, torch.rand(3, 4, 5, generator=generator) > 0.5, [0.0, 0.4, 0.8]


# %% equivalent="1 → 2" exercise="map_scores" at=14
# what stands for a range of 0 divides 0


def inputs(generator: torch.Generator) -> tuple:
    maps = torch.randn(3, 4, 5, generator=generator) * (torch.rand(3, 1, 1, generator=generator) > 0.3)
    return maps, torch.rand(3, 4, 5, generator=generator) > 0.5, [0.0, 0.4, 0.8]


# %% equivalent="1 → 0" exercise="map_scores" at=14
# 0/0 is above no threshold, as 0 is not


def inputs(generator: torch.Generator) -> tuple:
    maps = torch.randn(3, 4, 5, generator=generator) * (torch.rand(3, 1, 1, generator=generator) > 0.3)
    return maps, torch.rand(3, 4, 5, generator=generator) > 0.5, [0.0, 0.4, 0.8]


# %% equivalent="1 → 2" exercise="map_scores" at=30
# what stands for a sum of 0 divides 0


def inputs(generator: torch.Generator) -> tuple:
    maps = torch.randn(3, 4, 5, generator=generator) * (torch.rand(3, 1, 1, generator=generator) > 0.3)
    return maps, torch.rand(3, 4, 5, generator=generator) > 0.5


# %% equivalent="1e-12 → 2e-12" exercise="inversion"
# a guard of the root's slope at 0, far below what is compared


def inputs(generator: torch.Generator) -> tuple:
    return torch.rand(2, 3, 5, 4, generator=generator), float(torch.rand((), generator=generator)) + 1.0
