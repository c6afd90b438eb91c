# The lab of the chapter "Looking inside". Thirteen exercises, 35 points, and one answer in words, 3 points.

# %% [markdown]
# # Looking inside
#
# In this lab you open a trained net: what flows through it, whether its filters are healthy, where it looks, what it
# would like to see, and how little it takes to fool it. Maps are not only pretty here. They are scored.
#
# 1. **What flows through**: activations by hooks that are taken off again, sparsity, dead units.
# 2. **Filters**: scores that tell healthy filters from four kinds of ill ones.
# 3. **Where it looks**: saliency, occlusion, CAM, Grad-CAM.
# 4. **Maps, scored**: the pointing game, intersection over union, energy inside.
# 5. **Images from the net**: class models, and images rebuilt from features.
# 6. **Fooling**: one step that each pixel takes, the smallest change, and training against it.
#
# How it works:
#
# - Write your answer where a cell says `raise NotImplementedError`. Then run the cell below it. If it says *passed*,
#   go on. If not, the last line of the error is a hint.
# - The tests you see show the idea. When your lab is graded, the same idea is tested on other nets and numbers.
# - **By hand means by hand.** `torch.autograd` and hooks are your tools; `unmagic.look`, captum and their like have the
#   answers ready and are not. The tests read your source for that. It is a rule, not a proof: it is there so that you
#   learn something.
# - **Leave a net as you found it**: its mode (`net.training`), its hooks, its weights, and no gradients left in
#   `.grad`. Who looks must not change what he looks at. Nets come in evaluation mode, unless an exercise says
#   otherwise.
# - No exercise needs your answer to another one. If you are stuck, go on and come back. Plan five to seven hours, best
#   in three sittings of two parts each.
# - Cells that begin with `# explore` are for your eyes: change the numbers in them, nothing there is graded. Most of
#   them use what you have written, so they run once that is done.
#
# Images have the shape (N, C, H, W): N images, C channels, H rows, W columns, with values from 0 to 1. A net maps them
# to scores $S$ (N, classes), **before** the softmax; $S_c$ is the score of class $c$. What you return has the dtype and
# the device of the arguments and no graph behind it, and the arguments stay as they were.

# %% setup="imports"
from unmagic import checks, data, device, look, trained

import math
from collections.abc import Callable

import matplotlib.pyplot as plt
import torch
from torch import Tensor

here = device()  # a GPU where there is one, else the CPU
torch.backends.cudnn.allow_tf32 = False  # on a GPU: full float32, which we compare with
print(f"This lab computes on: {here}")

# %% setup="nets"
# Small nets to try your answers on, and what tests look at. All weights come from the seed.

# what no answer may use: the answers themselves
READY = ("unmagic.look", "captum", "pytorch_grad_cam", "torchcam")


def beside(answer: Callable, function: Callable, *arguments, **options):
    """What `function(*arguments, **options)` gives in the process where `answer` lives.

    When the lab is graded your functions live in a process of their own, and nets that they are given must be made
    there. In your notebook this just calls the function.
    """
    answer.beside = function
    return answer.beside(*arguments, **options)


def attempt(hint: str, answer: Callable, *arguments):
    """`answer(*arguments)`; where that raises, an error with a hint."""
    try:
        return answer(*arguments)
    except NotImplementedError:
        raise
    except Exception as error:
        message = f"Your code raised {type(error).__name__}: {error}"
        raise checks.CheckError(message, kind="raises", hint=hint) from error


def with_weights(net: torch.nn.Module, seed: int, dtype: torch.dtype) -> torch.nn.Module:
    """The net in evaluation mode with all weights and biases drawn from the seed, and so batch norm's statistics."""
    generator = torch.Generator().manual_seed(seed)
    net = net.to(dtype)
    with torch.no_grad():
        for value in [*net.parameters(), *net.buffers()]:
            if value.is_floating_point():
                drawn = torch.randn(value.shape, generator=generator, dtype=torch.float64)
                value.copy_(drawn / max(1, value[0].numel()) ** 0.5 if value.ndim > 1 else drawn / 4)
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_var.abs_().add_(0.5)
    return net.eval().to(here)


def small_net(seed: int, channels: int = 3, classes: int = 4, dtype: torch.dtype = torch.float32):
    """Two convolutions, global average pooling, a linear classifier: layers "0" to "7"; 8 maps behind layer "4"."""
    nn = torch.nn
    layers = nn.Conv2d(channels, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3, padding=1), nn.ReLU()
    return with_weights(
        nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes)), seed, dtype
    )


def flat_net(seed: int, side: int = 6, classes: int = 3, dtype: torch.dtype = torch.float32):
    """Layers in groups: "stem.conv", "stem.relu" (in place), then all pixels of 5 maps into a classifier, "head.1"."""
    nn = torch.nn
    stem, head = nn.Sequential(), nn.Sequential(nn.Flatten(), nn.Linear(5 * side * side, classes))
    stem.add_module("conv", nn.Conv2d(2, 5, 3, padding=1))
    stem.add_module("relu", nn.ReLU(inplace=True))
    net = nn.Sequential()
    net.add_module("stem", stem)
    net.add_module("head", head)
    return with_weights(net, seed, dtype)


def norm_net(seed: int, dtype: torch.dtype = torch.float32):
    """A net with batch norm, for images of one channel, with global average pooling and 3 classes."""
    nn = torch.nn
    layers = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    return with_weights(nn.Sequential(*layers, nn.Linear(4, 3)), seed, dtype)


def linear_net(weights: Tensor):
    """Scores that are sums of weight times pixel: weights (classes, C, H, W)."""
    linear = torch.nn.Linear(weights[0].numel(), len(weights), bias=False)
    with torch.no_grad():
        linear.weight.copy_(weights.flatten(1))
    return torch.nn.Sequential(torch.nn.Flatten(), linear).to(weights).eval()


def deep_net(seed: int):
    """Forty layers, all small, for images of 8×8: a net that is not to be called more often than needed. 2 classes."""
    nn = torch.nn
    layers = [layer for _ in range(20) for layer in (nn.Conv2d(1, 1, 1), nn.Tanh())]
    return with_weights(nn.Sequential(*layers, nn.Flatten(), nn.Linear(64, 2)), seed, torch.float32)


class Narrow(torch.nn.Module):
    """A net with room for ten images at a time, as on a GPU that is full."""

    def __init__(self, net: torch.nn.Module):
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > 10:
            raise RuntimeError(f"out of memory: {len(x)} images at once, there is room for 10")
        return self.net(x)


def narrow_net(seed: int) -> Narrow:
    """`small_net` with room for ten images at a time."""
    return Narrow(small_net(seed)).eval()


def frozen_net(seed: int):
    """`flat_net` whose weights ask for no gradient, as those of a net that is only looked at."""
    return flat_net(seed).requires_grad_(False)


def hooks_on(net: torch.nn.Module) -> int:
    """How many hooks hang on the net's layers."""
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return sum(len(getattr(module, kind)) for module in net.modules() for kind in kinds)


def foreign_hook(module: torch.nn.Module, inputs: tuple, output: Tensor) -> None:
    """Somebody else's hook, which counts how often its layer has run."""
    module.runs = getattr(module, "runs", 0) + 1


def hooked_net(seed: int):
    """`small_net` with somebody else's hook on its first layer."""
    net = small_net(seed)
    net[0].register_forward_hook(foreign_hook)
    return net


def runs_of(net: torch.nn.Module) -> int:
    """How often a `hooked_net` has run."""
    return getattr(net[0], "runs", 0)


def traces(net: torch.nn.Module) -> dict:
    """What a careless look leaves on a net: hooks, gradients, another mode, weights that are no longer asked about."""
    return {
        "hooks": hooks_on(net),
        "gradients": sum(p.grad is not None for p in net.parameters()),
        "layers in training mode": sum(module.training for module in net.modules()),
        "frozen weights": sum(not p.requires_grad for p in net.parameters()),
    }


def state_of(net: torch.nn.Module) -> dict[str, Tensor]:
    """A copy of all weights and statistics."""
    return {name: value.detach().clone() for name, value in net.state_dict().items()}


def altered(answer: Callable, *arguments) -> list[int]:
    """Which of its arguments, by number from 0, an answer changes, or makes ask for gradients: tensors only."""
    kept = [value.clone() if isinstance(value, Tensor) else None for value in arguments]
    answer(*arguments)
    pairs = [(n, was, value) for n, (was, value) in enumerate(zip(kept, arguments, strict=True)) if was is not None]
    return [n for n, was, value in pairs if value.requires_grad or not torch.equal(was, value.detach())]


UNTOUCHED = {"hooks": 0, "gradients": 0, "layers in training mode": 0, "frozen weights": 0}


def images(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Noise from 0 to 1, on the lab's device."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(here, dtype)


def fresh_seed(generator: torch.Generator) -> int:
    """A seed for nets and images that nobody can foresee."""
    return int(torch.randint(2**31, (), generator=generator))


def measured_slopes(net: torch.nn.Module, x: Tensor, classes: Tensor) -> Tensor:
    """∂S_c/∂x in the shape of x, measured: nudge each number up and down, and see how the score changes. In float64."""
    slopes = []
    with torch.no_grad():
        for image, wish in zip(x, classes, strict=True):
            nudges = 1e-6 * torch.eye(image.numel(), dtype=x.dtype, device=x.device).reshape(-1, *image.shape)
            change = net(image + nudges)[:, wish] - net(image - nudges)[:, wish]
            slopes.append((change / 2e-6).reshape(image.shape))
    return torch.stack(slopes)


# %% setup="data"
digits_x, digits_t = (v.to(here) for v in data.digits("train"))  # (1197, 1, 8, 8), and (1197,) from 0 to 9
test_x, test_t = (v.to(here) for v in data.digits("test"))  # 300 others
scenes, scene_labels, scene_masks = data.shapes(
    40, split="test", device=here
)  # (40, 3, 32, 32), (40,), (40, 1, 32, 32)


def digits_net() -> torch.nn.Sequential:
    """The course's small net that reads digits, as it was trained: plain layers, ending with global average pooling."""
    return trained.load("digits_live").to(here)


def shapes_net() -> torch.nn.Sequential:
    """The course's small net that names what is drawn in a scene, of the same build."""
    return trained.load("shapes_live").to(here)


def share_right(net: torch.nn.Module, x: Tensor, t: Tensor) -> float:
    """The share of images x (N, C, H, W) whose class t (N,) the net names."""
    with torch.no_grad():
        return (net(x).argmax(dim=1) == t).float().mean().item()


# %% [markdown]
# ## Part 1. What flows through
#
# ### Exercise 1. Record activations (2 points)
#
# What a layer puts out is an **activation**. A net returns only the last one. To see the others, hang a **forward
# hook** on a layer: a function that `torch` calls as `hook(module, inputs, output)` each time the layer has run.
#
#     handle = layer.register_forward_hook(hook)     # handle.remove() takes it off again
#
# A hook that stays on keeps working, and keeps memory, for everybody who uses the net after you. So take yours off
# **however it ends**: also when the net raises, or when one of the layers does not exist. `try … finally` is made for
# that. Leave other people's hooks where they are.
#
# Run the net once, without gradients, and return what the named layers put out:
#
# | name | shape | what |
# |---|---|---|
# | `net` | | a module; `net.get_submodule("stem.conv")` is its layer of that name |
# | `layers` | list of str | names, as `net.named_modules()` has them |
# | `x` | (N, C, H, W) | images |
# | result | dict | name: what that layer put out, (N, …), for each name in `layers`, in their order |
#
# One trap: a later layer may work *in place*, as `ReLU(inplace=True)` does, and write over the tensor that you were
# shown. Keep a **copy**. A number: behind a ReLU at −2 you keep 0, and before it −2, in place or not.


# %% solution="record"
def record(net: torch.nn.Module, layers: list[str], x: Tensor) -> dict[str, Tensor]:
    """What the named layers put out for x, by hooks that are taken off again, however it ends.

    net: a module.   layers: names of its layers.   x: (N, C, H, W).   Returns name: activations (N, …), detached.
    """
    ### BEGIN SOLUTION
    kept = dict.fromkeys(layers)
    hooks = []

    def keep(name):
        def hook(module, inputs, output):
            kept[name] = output.detach().clone()

        return hook

    try:
        for name in layers:
            hooks.append(net.get_submodule(name).register_forward_hook(keep(name)))
        with torch.no_grad():
            net(x)
    finally:
        for hook in hooks:
            hook.remove()
    return kept
    ### END SOLUTION


# %% tests="record" points=1
checks.assert_by_hand("record", without=READY, hint="Hang the hooks yourself, with register_forward_hook.")
x = images(1, 2, 3, 8, 8)
answer = attempt(
    "A KeyError? Each hook in a loop must remember its own name: a function that is made in a loop sees the last.",
    record,
    beside(record, small_net, 1),
    ["4", "0"],
    x,
)
checks.assert_true(
    isinstance(answer, dict) and list(answer) == ["4", "0"],
    f"record: found {list(answer) if isinstance(answer, dict) else answer!r:.60}, wanted a dict with the names 4, 0.",
    hint="One entry for each name in layers, in their order, whatever the order in which the layers run. Each hook in "
    "a loop must remember its own name.",
)
checks.assert_shape(
    answer["0"],
    (2, 6, 8, 8),
    name='activations of layer "0"',
    hint="Keep what that very layer puts out, under its own name: each hook in a loop must remember its name.",
)
checks.assert_true(
    not answer["0"].requires_grad,
    'The activations of layer "0" hold on to the graph.',
    hint="Detach what you keep, and run the net under torch.no_grad().",
)
net = small_net(1)
with torch.no_grad():
    checks.assert_close(
        answer["0"],
        net[0](x),
        name='activations of layer "0"',
        hint="A hook gets (module, inputs, output): keep the output, under the name of that very layer.",
    )
    checks.assert_close(
        answer["4"], net[:5](x), name='activations of layer "4"', hint="Each layer's output under its own name."
    )
x = images(2, 1, 2, 6, 6) - 0.5
names = ["stem.conv", "stem.relu", "head.1"]
answer = attempt("Names have dots: net.get_submodule(name) finds them.", record, beside(record, flat_net, 2), names, x)
net = flat_net(2)
with torch.no_grad():
    convolved = net.stem.conv(x)
    checks.assert_close(
        answer["stem.conv"],
        convolved,
        name="activations of a convolution before a ReLU that works in place",
        hint="The ReLU wrote over the tensor that your hook was shown. Keep a copy: output.detach().clone().",
    )
    checks.assert_close(answer["stem.relu"], convolved.relu(), name="activations of that ReLU", hint="Names have dots.")
    checks.assert_close(
        answer["head.1"], net.head(convolved.relu()), name="activations of the last layer", hint="Run the net on x."
    )
print("record: passed")
### BEGIN HIDDEN TESTS
fresh_generator = checks.fresh("record")
fresh = fresh_seed(fresh_generator)
checks.assert_close(
    record(beside(record, flat_net, fresh), ["head.1", "stem.conv", "stem"], images(fresh, 3, 2, 6, 6)),
    reference.record(flat_net(fresh), ["head.1", "stem.conv", "stem"], images(fresh, 3, 2, 6, 6)),
    rtol=1e-3,
    atol=1e-5,
    name="activations of another net",
    hint="A copy of what each named layer puts out, also of a layer that is made of layers.",
)
### END HIDDEN TESTS

# %% tests="record:hooks_off" points=1
checks.assert_by_hand("record", without=READY, hint="Hang the hooks yourself, with register_forward_hook.")
net = beside(record, small_net, 1)
record(net, ["0", "4"], images(1, 1, 3, 8, 8))
checks.assert_equal(
    beside(record, traces, net),
    UNTOUCHED,
    name="what is left on the net",
    hint="Take every hook off again: handle.remove(). And leave mode and weights as they were.",
)
checks.assert_raises(
    RuntimeError,
    record,
    net,
    ["0", "4"],
    images(1, 1, 5, 8, 8),
    hint="Images of 5 channels do not fit: the net's error is for the caller. Do not swallow it.",
)
checks.assert_equal(
    beside(record, traces, net),
    UNTOUCHED,
    name="what is left on the net after it raised",
    hint="Take the hooks off in `finally`: that runs also when the net raises.",
)
checks.assert_raises(
    Exception,
    record,
    net,
    ["0", "no_such_layer"],
    images(1, 1, 3, 8, 8),
    hint="A name that the net does not have is an error; get_submodule raises one.",
)
checks.assert_equal(
    beside(record, traces, net),
    UNTOUCHED,
    name="what is left on the net after a name that it does not have",
    hint="The first hook was on already when the second name failed: hang them on inside of `try`.",
)
net = beside(record, hooked_net, 1)
record(net, ["0", "4"], images(1, 1, 3, 8, 8))
checks.assert_equal(
    beside(record, hooks_on, net),
    1,
    name="hooks on a net on which somebody else had hung one",
    hint="Remove your own hooks by their handles. Do not clear everybody's.",
)
checks.assert_in_range(
    beside(record, runs_of, net),
    0,
    1,
    name="how often the net has run for two layers",
    hint="Hang all hooks on, and then run the net once: not once for each layer.",
)
print("record:hooks_off: passed")
### BEGIN HIDDEN TESTS
net = beside(record, flat_net, fresh_seed(checks.fresh("record")))
for layers, shape in ((["stem", "head.1"], (2, 2, 6, 6)), (["head", "stem.conv"], (2, 3, 6, 6)), (["x"], (1, 2, 6, 6))):
    try:
        record(net, layers, images(3, *shape))
    except NotImplementedError:
        raise
    except Exception as error:
        print(f"record raised {type(error).__name__}, as it should")
    checks.assert_equal(
        beside(record, traces, net), UNTOUCHED, name="what is left on another net", hint="Every hook, in `finally`."
    )
### END HIDDEN TESTS

# %% explore="activations"
# explore: the first maps of a net that names drawn outlines, for one scene. Try other scenes and layers
net, place = shapes_net(), 7
first_relu = next(name for name, layer in net.named_modules() if isinstance(layer, torch.nn.ReLU))
maps = record(net, [first_relu], scenes[place : place + 1])[first_relu][0]  # (K, h, w)
figure, axes = plt.subplots(1, 9, figsize=(12, 1.7))
for axis, picture in zip(axes, [scenes[place].permute(1, 2, 0), *maps[:8]], strict=True):
    axis.imshow(picture.cpu(), cmap="gray")
    axis.axis("off")
plt.show()

# %% [markdown]
# ### Exercise 2. Sparsity and dead units (2 points)
#
# Behind a ReLU many activations are exactly 0. Their share is the **sparsity**. A unit (a channel of a convolution, or
# a neuron of a linear layer) that is 0 for *every* input, at every place, is **dead**: it says nothing, and since a
# ReLU at 0 passes no gradient, it learns nothing either.
#
# Activations of a data set come in batches, and the last batch is often shorter. Count over **all** of them:
#
# - `sparsity(batches)`: zeros divided by activations, over all batches; a Python number.
# - `dead_units(batches)`: for each of the C units whether it is 0 in all batches.
#
# A number: activations $(0, 2)$ and $(0)$ of one unit, in two batches, have the sparsity $2/3$, not the mean
# $(1/2 + 1)/2$ of the batches; and the unit is not dead.
#
# | name | shape | what |
# |---|---|---|
# | `batches` | list of (N, C, H, W) or of (N, C) | activations; each batch has its own N |
# | result of `dead_units` | (C,) bool | |


# %% solution="dead_units"
def sparsity(batches: list[Tensor]) -> float:
    """Share of all activations that are exactly 0, from 0 to 1.   batches: (N, C) or (N, C, H, W) each."""
    ### BEGIN SOLUTION
    zeros = sum((a == 0).sum().item() for a in batches)
    return zeros / sum(a.numel() for a in batches)
    ### END SOLUTION


def dead_units(batches: list[Tensor]) -> Tensor:
    """Which units are 0 for every input at every place, (C,) bool.   batches: (N, C) or (N, C, H, W) each."""
    ### BEGIN SOLUTION
    alive = [(a != 0).transpose(0, 1).flatten(1).any(dim=1) for a in batches]  # (C,) each
    return ~torch.stack(alive).any(dim=0)
    ### END SOLUTION


# %% tests="dead_units" points=1
for function in ("sparsity", "dead_units"):
    checks.assert_by_hand(function, without=READY, hint="Compare with 0 and count.")
two, one = torch.tensor([[0.0], [2.0]], device=here), torch.tensor([[0.0]], device=here)
share = sparsity([two, one])
checks.assert_true(
    isinstance(share, float), f"sparsity: found {share!r:.60}, wanted a Python number.", hint="Finish with .item()."
)
checks.assert_true(
    abs(share - 0.75) > 1e-6,
    "sparsity: found 0.75, wanted 2/3.",
    hint="That is the mean of the batches. Batches differ in size: add up zeros and activations over all, then divide.",
)
checks.assert_close(share, 2 / 3, name="sparsity of (0, 2) and (0)", hint="Zeros over activations: two of three.")
checks.assert_close(
    sparsity([torch.tensor([[-1.0, 0.0, 1e-9, 3.0]], device=here)]),
    0.25,
    name="sparsity of −1, 0, 1e-9 and 3",
    hint="Only what is exactly 0 counts: a == 0, not a <= 0 and not nearly 0.",
)
checks.assert_close(
    sparsity([images(1, 2, 3, 4, 4).sub(0.5).relu(), torch.zeros(5, 3, 4, 4, device=here)]),
    ((images(1, 2, 3, 4, 4) <= 0.5).sum().item() + 5 * 48) / (7 * 48),
    name="sparsity of maps",
    hint="Every activation counts: N·C·H·W of them in a batch.",
)
print("dead_units: passed")
### BEGIN HIDDEN TESTS
fresh = fresh_seed(checks.fresh("dead_units"))
fresh_batches = [images(fresh + n, n, 3, 2, 2).sub(0.3 * n / 5).relu() for n in (1, 2, 4)]
checks.assert_close(
    sparsity(fresh_batches), reference.sparsity(fresh_batches), name="sparsity of other maps", hint="Zeros over all."
)
### END HIDDEN TESTS

# %% tests="dead_units:dead" points=1
for function in ("sparsity", "dead_units"):
    checks.assert_by_hand(function, without=READY, hint="Compare with 0 and count.")
first, second = torch.zeros(2, 5, 3, 3, device=here), torch.zeros(1, 5, 3, 3, device=here)
first[0, 0, 1, 1], first[1, 1, 0, 0], second[0, 2, 2, 2] = 1.0, -1.0, 1.0
first[0, 3, 0, 0], first[0, 3, 1, 2] = 1.0, -1.0
dead = dead_units([first, second])
checks.assert_shape(
    dead, (5,), name="dead", hint="One answer for each unit: channels are the second axis, (N, C, H, W)."
)
checks.assert_dtype(dead, torch.bool, name="dead", hint="True or False for each unit.")
checks.assert_equal(
    dead.tolist(),
    [False, False, False, False, True],
    name="dead units of five, each alive in another place",
    hint="Dead is 0 for every input, at every place, in every batch. One number that is not 0, also −1, is life, and a "
    "sum can be 0 where the numbers are not.",
)
hint = "Activations (N, C) have no rows and columns. Look over all axes but the second, however many there are."
dead = attempt(hint, dead_units, [torch.tensor([[0.0, 0.0, 1.0], [0.0, 2.0, 1.0]], device=here)])
checks.assert_equal(dead.tolist(), [True, False, False], name="dead units of a linear layer", hint=hint)
print("dead_units:dead: passed")
### BEGIN HIDDEN TESTS
fresh = fresh_seed(checks.fresh("dead_units"))
fresh_batches = [images(fresh + n, n, 8, 2, 3).sub(0.97).relu() for n in (1, 3, 2)]
checks.assert_equal(
    dead_units(fresh_batches).tolist(),
    reference.dead_units(fresh_batches).tolist(),
    name="dead units of other maps",
    hint="0 everywhere, in all batches.",
)
### END HIDDEN TESTS

# %% explore="sparser_as_it_learns"
# explore: sparsity of each ReLU of the net that reads digits, before and after it was trained
net = digits_net()
relus = [name for name, layer in net.named_modules() if isinstance(layer, torch.nn.ReLU)]
untrained = digits_net()
for layer in untrained.modules():
    if hasattr(layer, "reset_parameters"):
        layer.reset_parameters()
for label, some in (("untrained", untrained), ("trained", net)):
    kept = record(some, relus, digits_x)
    print(f"{label:>9}: " + ", ".join(f"{sparsity([kept[r]]):.0%} ({dead_units([kept[r]]).sum()} dead)" for r in relus))

# %% [markdown]
# ## Part 2. Filters
#
# ### Exercise 3. Are these filters healthy? (3 points)
#
# The filters of a first layer can be looked at. Healthy ones are smooth, differ from each other, and have some
# structure: edges, blobs, stripes. Ill ones are noisy, or copies of each other, or one flat number, or nothing. Eyes
# see that at once; a program needs numbers. Score each filter $w_o$ of a weight (O, C, k, k), from 0 (good) to 1 (bad).
# Its **energy** is $\lVert w_o \rVert^2$, the sum of the squares of all its $C k^2$ numbers.
#
# - `noise`: a smooth filter has its energy in low frequencies. `cosines(k)` gives the matrix $B$ (k, k) whose row $u$
#   is a wave of $u$ half periods; $F = B\, w\, B^\top$ holds, for each channel, how much of the wave with $u$ half
#   periods down and $v$ across there is. The energy of all $F$ is that of $w$. **noise** is the share of it where
#   $u + v > k - 1$.
# - `flat`: how much is one number per channel: $k^2 \sum_c \bar w_{oc}^2$ divided by the energy, where $\bar w_{oc}$ is
#   the mean of channel $c$.
# - `alike`: take the mean of the **whole** filter off, and divide by the length that is left: directions. **alike** is
#   the largest |cosine| with another filter, 0 if there is none.
# - `dead`: 1 where the filter's length $\lVert w_o \rVert$ is below a hundredth of the median length, else 0.
#
# Where a share or a cosine would be $0/0$, it is 0. `filter_scores` returns them in a dict, each (O,). A number: three
# by three ones in one channel are all flat, `flat` 1, and have no noise.
#
# `diagnose` names the ailment of a layer. Take the **mean** of each score over the filters and go through the table
# from top to bottom; the first that is above its limit is the answer, and if none is, the layer is `"healthy"`:
#
# | score | limit | answer |
# |---|---|---|
# | `dead` | 0.25 | `"dead"` |
# | `flat` | 0.5 | `"flat"` |
# | `alike` | 0.8 | `"alike"` |
# | `noise` | 0.3 | `"noise"` |

# %% setup="filters"
AILMENTS = {"dead": 0.25, "flat": 0.5, "alike": 0.8, "noise": 0.3}  # limits of the mean scores, in this order


def cosines(k: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """The orthonormal cosine basis B (k, k): row u is a wave of u half periods."""
    place = torch.arange(k, dtype=torch.float64, device=here)
    basis = torch.cos(math.pi * (place + 0.5) * place[:, None] / k) * (2 / k) ** 0.5
    basis[0] /= 2**0.5
    return basis.to(dtype)


def filters(ailment: str, seed: int, count: int = 16, k: int = 7) -> Tensor:
    """First filters of a colour net, (count, 3, k, k): stripes that fade, if "healthy"; else they have that ailment."""
    generator = torch.Generator().manual_seed(seed)
    place = torch.arange(k) - (k - 1) / 2
    y, x = place[:, None], place[None]

    def number(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, 1, 1, generator=generator)

    if ailment == "noise":
        return torch.randn(count, 3, k, k, generator=generator).to(here)
    if ailment == "flat":
        flat = torch.randn(count, 3, 1, 1, generator=generator)
        return (flat + 0.1 * torch.randn(count, 3, k, k, generator=generator)).to(here)
    angle, wave, phase = number(0, math.pi), number(0.6, 1.3), number(0, 2 * math.pi)
    stripes = torch.cos(wave * (x * angle.cos() + y * angle.sin()) + phase) * torch.exp(-(x**2 + y**2) / 12)
    stripes = stripes - stripes.mean(dim=(1, 2), keepdim=True)
    colour = torch.randn(count, 3, 1, 1, generator=generator)
    w = stripes[:, None] * colour / colour.norm(dim=1, keepdim=True)
    if ailment == "alike":
        w = w[:1] * torch.randn(count, 1, 1, 1, generator=generator) + 0.01 * w
    if ailment == "dead":
        w[torch.randperm(count, generator=generator)[: 2 * count // 5]] *= 1e-4
    return w.to(here)


# %% solution="filter_health"
def filter_scores(w: Tensor) -> dict[str, Tensor]:
    """How ill each filter is, from 0 to 1: "noise", "flat", "alike" and "dead", each (O,).   w: (O, C, k, k)."""
    ### BEGIN SOLUTION
    k = w.shape[-1]
    energy = w.square().sum(dim=(1, 2, 3))  # (O,)
    safe = torch.where(energy > 0, energy, 1)
    B = cosines(k, w.dtype)
    waves = B @ w @ B.T  # (O, C, k, k)
    u = torch.arange(k, device=w.device)
    high = u[:, None] + u > k - 1  # (k, k)
    noise = (waves.square() * high).sum(dim=(1, 2, 3)) / safe
    flat = k * k * w.mean(dim=(2, 3)).square().sum(dim=1) / safe

    centred = w.flatten(1) - w.flatten(1).mean(dim=1, keepdim=True)  # (O, C·k·k)
    lengths = centred.norm(dim=1, keepdim=True)
    unit = centred / torch.where(lengths > 0, lengths, 1)
    cosine = (unit @ unit.T).abs()  # (O, O)
    alike = cosine.fill_diagonal_(0).amax(dim=1)

    length = energy.sqrt()
    dead = (length < 0.01 * length.median()).to(w.dtype)
    return {"noise": noise, "flat": flat, "alike": alike, "dead": dead}
    ### END SOLUTION


def diagnose(w: Tensor) -> str:
    """The ailment of a layer's filters (O, C, k, k): "dead", "flat", "alike", "noise", or "healthy"."""
    ### BEGIN SOLUTION
    scores = filter_scores(w)
    for ailment, limit in AILMENTS.items():
        if scores[ailment].mean() > limit:
            return ailment
    return "healthy"
    ### END SOLUTION


# %% tests="filter_health" points=2
for function in ("filter_scores", "diagnose"):
    checks.assert_by_hand(function, without=READY, hint="Compute the four scores yourself, from the formulas.")
ones = torch.ones(1, 1, 3, 3, device=here)
ramp = torch.tensor([-1.0, 0.0, 1.0], device=here).expand(1, 1, 3, 3).contiguous()
checks.assert_equal(
    beside(filter_scores, altered, filter_scores, torch.cat([ones, ramp + 1])),
    [],
    name="arguments that filter_scores changed (0 the weight)",
    hint="Compute with copies: w - mean makes one, w -= mean does not.",
)
board = torch.tensor([[1.0, -1.0, 1.0], [-1.0, 1.0, -1.0], [1.0, -1.0, 1.0]], device=here)[None, None]
answer = filter_scores(torch.cat([ones, ramp, board]))
checks.assert_true(
    isinstance(answer, dict) and sorted(answer) == ["alike", "dead", "flat", "noise"],
    "filter_scores: wanted a dict with noise, flat, alike and dead.",
    hint='Return {"noise": …, "flat": …, "alike": …, "dead": …}.',
)
for name, score in answer.items():
    checks.assert_shape(score, (3,), name=name, hint="One score for each filter: (O,).")
    checks.assert_dtype(score, torch.float32, name=name, hint="Scores are numbers in the dtype of w, also `dead`.")
    checks.assert_finite(score, name=name, hint="Where a share or a cosine would be 0/0, it is 0.")
checks.assert_close(
    answer["flat"],
    torch.tensor([1.0, 0.0, 1 / 81], device=here),
    atol=1e-5,
    name="flat of ones, of a ramp, of a checkerboard",
    hint="k²·Σ(mean of each channel)² over the energy: 9·1²/9, 0, and 9·(1/9)²/9 for the board, whose mean is 1/9.",
)
checks.assert_close(
    answer["noise"],
    torch.tensor([0.0, 0.0, 64 / 81], device=here),
    atol=1e-5,
    name="noise of ones, of a ramp, of a checkerboard",
    hint="F = B·w·Bᵀ, squared, where u + v > k − 1 (so > 2 here), over the energy of the filter. Only the board has "
    "any.",
)
B = cosines(3)
waves = torch.stack([B[u][:, None] * B[v] for u, v in ((1, 1), (1, 2), (2, 1), (0, 2))])[:, None]  # (4, 1, 3, 3)
checks.assert_close(
    filter_scores(waves)["noise"],
    torch.tensor([0.0, 1.0, 1.0, 0.0], device=here),
    atol=1e-5,
    name="noise of the waves with (u, v) = (1, 1), (1, 2), (2, 1), (0, 2)",
    hint="F = B·w·Bᵀ, squared, where u + v > k − 1. That is 2 here, and u + v is 2, 3, 3 and 2.",
)
checks.assert_close(
    answer["alike"],
    torch.tensor([0.0, 0.0, 0.0], device=here),
    atol=1e-5,
    name="alike of ones, of a ramp, of a checkerboard",
    hint="Nothing is left of ones when their mean is off: 0/0 is 0. A filter is not compared with itself.",
)
checks.assert_close(
    filter_scores(torch.cat([ramp, -3 * ramp + 5, ramp + board]))["alike"],
    torch.tensor([1.0, 1.0, math.sqrt(6 / (6 + 80 / 9))], device=here),
    atol=1e-5,
    name="alike of a ramp, of −3 ramps plus 5, of a ramp and a board",
    hint="Take each filter's mean off, then |cosine|: neither a constant, nor the sign, nor the length counts. And the "
    "largest with another filter.",
)
checks.assert_close(
    filter_scores(ramp)["alike"],
    torch.tensor([0.0], device=here),
    name="alike of the only filter of a layer",
    hint="There is no other filter: 0.",
)
lengths = torch.tensor([1.0, 2.0, 0.0, 0.0099, 0.0101, 3.0, 4.0], device=here)[:, None, None, None]
checks.assert_equal(
    filter_scores(lengths * ramp)["dead"].tolist(),
    [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0],
    name="dead of filters with lengths 1, 2, 0, 0.0099, 0.0101, 3 and 4 (times that of a ramp)",
    hint="Below a hundredth of the median length, which is 1 here. Length is the root of the energy; a median, no "
    "mean.",
)
for name, score in filter_scores(lengths * ramp).items():
    checks.assert_finite(score, name=f"{name} where a filter is 0", hint="Where a share or a cosine is 0/0, it is 0.")
w = torch.randn(4, 2, 5, 5, generator=torch.Generator().manual_seed(1)).to(here)
answer, theirs = filter_scores(w), look.health(w)
for name, wanted, hint in (
    ("noise", theirs.noise, "Add up over channels, rows and columns before you divide: one share a filter."),
    ("flat", theirs.structureless, "The mean is that of each channel, and the squares add up over the channels."),
    ("alike", theirs.likeness, "The mean that comes off is that of the whole filter, all channels at once."),
    ("dead", theirs.dead, "None of these is dead."),
):
    checks.assert_close(
        answer[name], wanted.to(here), rtol=1e-3, atol=1e-5, name=f"{name} of filters with 2 channels", hint=hint
    )
print("filter_health: passed")
### BEGIN HIDDEN TESTS
fresh = fresh_seed(checks.fresh("filter_health"))
for count, k in ((5, 3), (6, 4), (9, 7)):
    fresh_w = filters("healthy", fresh, count, k) + 0.2 * filters("noise", fresh, count, k)
    fresh_w[0] *= 0.001
    checks.assert_close(
        filter_scores(fresh_w),
        reference.filter_scores(fresh_w),
        rtol=1e-3,
        atol=1e-5,
        name=f"scores of {count} other filters of {k}×{k}",
        hint="Shares of each filter's energy; |cosine| with the most similar other filter.",
    )
### END HIDDEN TESTS

# %% tests="filter_health:diagnose" points=1
for function in ("filter_scores", "diagnose"):
    checks.assert_by_hand(function, without=READY, hint="Compute the four scores yourself, from the formulas.")
for seed, hint in (
    (1, "The mean of each score over the filters, and the first in the order of the table that is above its limit."),
    (2, "The same on other filters: a limit is passed when the mean is above it, not the largest score."),
):
    for ailment in ("healthy", "noise", "flat", "alike", "dead"):
        checks.assert_equal(
            diagnose(filters(ailment, seed)),
            ailment,
            name=f"diagnosis of filters that were made {ailment}, seed {seed}",
            hint=hint,
        )
half = torch.tensor([1.0, 1.0, 1.0, 0.0], device=here)[:, None, None, None] * filters("healthy", 3, 4)
checks.assert_equal(
    diagnose(half),
    "healthy",
    name="diagnosis where one filter of four is dead",
    hint="A mean of 0.25 is not above 0.25.",
)
both = filters("alike", 4)
both[:5] *= 1e-4
checks.assert_equal(
    diagnose(both),
    "dead",
    name="diagnosis of filters that are all alike, and five of sixteen dead",
    hint="Two means are above their limits. The first in the order of the table is the answer, not the one that is the "
    "furthest above.",
)
print("filter_health:diagnose: passed")
### BEGIN HIDDEN TESTS
fresh = fresh_seed(checks.fresh("filter_health"))
for ailment in ("dead", "alike", "flat", "noise", "healthy"):
    fresh_w = filters(ailment, fresh, 20)
    checks.assert_equal(
        diagnose(fresh_w),
        reference.diagnose(fresh_w),
        name=f"diagnosis of other filters that were made {ailment}",
        hint="Go through the table from top to bottom; the first mean above its limit is the answer.",
    )
### END HIDDEN TESTS

# %% explore="filter_grids"
# explore: what the five look like, with what you say of them; and the first layer of a net of the course
weights = {ailment: filters(ailment, 1) for ailment in ("healthy", *AILMENTS)}
weights["shapes_live"] = next(layer for layer in shapes_net() if isinstance(layer, torch.nn.Conv2d)).weight.detach()
said = {name: diagnose(w) for name, w in weights.items()}
figure, axes = plt.subplots(1, 6, figsize=(12, 2.6))
for axis, (name, w) in zip(axes, weights.items(), strict=True):
    shown = w * (1 - filter_scores(w)["dead"])[:, None, None, None]  # a dead filter is shown grey, as nothing
    axis.imshow(look.grid(shown.cpu(), columns=4))
    axis.set_title(f"{name}:\n{said[name]}", fontsize=9)
    axis.axis("off")
plt.show()

# %% [markdown]
# ## Part 3. Where it looks
#
# ### Exercise 4. Saliency (2 points)
#
# Which pixels does the score of class $c$ depend on? Near an image $I$ a net is almost linear, and the slope says how
# much each pixel counts:
#
# $$M_{ij} = \max_{\text{channels}} \left| \frac{\partial S_c}{\partial I_{\cdot ij}} \right|.$$
#
# In words: one backward pass from the score of the class down to the image; the size of the slope, of the colour in
# which it is largest (Simonyan, Vedaldi and Zisserman, 2014). The score is that **before** the softmax: a probability
# could also rise because another class falls. Every image of the batch has its own class and its own map. A number: for
# scores that are $2 I_{\text{red}} - 3 I_{\text{green}}$ at a pixel the map is 3 there.
#
# | name | shape | what |
# |---|---|---|
# | `net` | | images to scores (N, classes) |
# | `x` | (N, C, H, W) | images |
# | `classes` | (N,) `int64` | class of each image whose score is explained |
# | result | (N, H, W) | $M$ |


# %% solution="saliency"
def saliency(net: torch.nn.Module, x: Tensor, classes: Tensor) -> Tensor:
    """Largest |∂S_c/∂I| over the channels, (N, H, W).   x: images (N, C, H, W).   classes: (N,) int64."""
    ### BEGIN SOLUTION
    x = x.detach().clone().requires_grad_()
    score = net(x).gather(1, classes[:, None]).sum()  # images do not touch each other
    (slope,) = torch.autograd.grad(score, x)  # (N, C, H, W)
    return slope.abs().amax(dim=1)
    ### END SOLUTION


# %% tests="saliency" points=2
checks.assert_by_hand("saliency", without=READY, hint="One backward pass from the score to the image, yourself.")
weights = torch.zeros(2, 3, 1, 2, device=here)
weights[0, :, 0, 0] = torch.tensor([2.0, -3.0, 0.4])
weights[1, :, 0, 1] = torch.tensor([0.5, 0.0, 0.0])
net = beside(saliency, linear_net, weights)
x = images(1, 1, 3, 1, 2)
checks.assert_equal(
    beside(saliency, altered, saliency, net, x.clone(), torch.tensor([0], device=here)),
    [],
    name="arguments that saliency changed (0 the net, 1 the images, 2 the classes)",
    hint="Ask a copy for gradients: x.detach().clone().requires_grad_().",
)
answer = saliency(net, x, torch.tensor([0], device=here))
checks.assert_shape(answer, (1, 1, 2), name="map", hint="(N, H, W): the largest over the channels, one map an image.")
checks.assert_dtype(answer, torch.float32, name="map", hint="Keep the dtype of x.")
checks.assert_true(not answer.requires_grad, "The map holds on to the graph.", hint="Return slopes, without a graph.")
checks.assert_true(
    abs(answer[0, 0, 0].item() - 2) > 1e-4,
    "map: found 2 where the slopes are 2, −3 and 0.4, wanted 3.",
    hint="The largest absolute value over the channels: first .abs(), then the maximum.",
)
checks.assert_close(
    answer,
    torch.tensor([[[3.0, 0.0]]], device=here),
    name="map of a linear score with slopes (2, −3, 0.4) and (0, 0, 0)",
    hint="|∂S_c/∂I|, the largest over the channels (no sum, no mean), of the score before the softmax of the class "
    "that you are asked for.",
)
checks.assert_close(
    saliency(net, x.expand(2, 3, 1, 2).contiguous(), torch.tensor([1, 0], device=here)),
    torch.tensor([[[0.5, 0.0][::-1]], [[3.0, 0.0]]], device=here),
    name="maps of two images, of class 1 and of class 0",
    hint="Each image has its own class: scores.gather(1, classes[:, None]). Add the scores up; a mean would divide.",
)
checks.assert_equal(
    beside(saliency, traces, net),
    UNTOUCHED,
    name="what is left on the net",
    hint="`.backward()` also fills the .grad of every weight. torch.autograd.grad(score, x) leaves none, so no "
    "cleaning. Mode and weights stay as they were.",
)
x, classes = images(2, 2, 3, 6, 6, dtype=torch.float64), torch.tensor([3, 1], device=here)
checks.assert_close(
    saliency(beside(saliency, small_net, 2, dtype=torch.float64), x, classes),
    measured_slopes(small_net(2, dtype=torch.float64), x, classes).abs().amax(dim=1),
    rtol=1e-4,
    atol=1e-6,
    name="maps of a convolutional net, against slopes that were measured by nudging pixels",
    hint="The slope of the score before the softmax, not of the loss and not of the probability.",
)
print("saliency: passed")
### BEGIN HIDDEN TESTS
fresh = fresh_seed(checks.fresh("saliency"))
fresh_x, fresh_c = images(fresh, 5, 3, 8, 10), torch.tensor([0, 1, 2, 3, 1], device=here)
checks.assert_close(
    saliency(beside(saliency, small_net, fresh), fresh_x, fresh_c),
    reference.saliency(small_net(fresh), fresh_x, fresh_c),
    rtol=1e-3,
    atol=1e-6,
    name="maps of another net",
    hint="max over channels of |∂S_c/∂I|.",
)
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 5. Occlusion (3 points)
#
# A slope says what happens under a tiny change. What if a part of the image is **covered**? Slide a grey square of
# `window` × `window` pixels over the image in steps of `stride`, and note at each place the **probability** (after the
# softmax) that the net still gives to class $c$. Where it falls, the net had looked (Zeiler and Fergus, 2014).
#
# $$M_{ab} = p_c(\text{image covered from row } a\,s \text{ to } a\,s + w,\ \text{column } b\,s \text{ to } b\,s + w).$$
#
# Only places where the whole square lies inside count: $\lfloor (H - w)/s \rfloor + 1$ rows of them. The map belongs to
# the covered *places*, so it is a little smaller than the image.
#
# A loop that calls the net for each place is slow, and a GPU has nothing to do meanwhile. Make all covered images
# first, then send them through the net **in batches** of at most `batch_size`: no more, for memory is short. The
# second tests cell counts the work with `checks.torch_calls`. A number: a window of 2 on 6×4 pixels with stride 2 has
# 3×2 places.
#
# | name | shape | what |
# |---|---|---|
# | `net`, `x`, `classes` | | as in exercise 4 |
# | `window`, `stride` | whole numbers | side of the square and its step, pixels |
# | `fill` | a number | what it is filled with |
# | `batch_size` | whole number | how many images may go to the net at once |
# | result | (N, rows, columns) | probability of the class |


# %% solution="occlusion"
def occlusion(
    net: torch.nn.Module,
    x: Tensor,
    classes: Tensor,
    window: int,
    stride: int = 1,
    fill: float = 0.5,
    batch_size: int = 256,
) -> Tensor:
    """Probability of each image's class with a square covered, at each place, (N, rows, columns).

    x: images (N, C, H, W).   classes: (N,) int64.   window, stride: pixels.   batch_size: images at a time.
    """
    ### BEGIN SOLUTION
    H, W = x.shape[2:]
    tops, lefts = range(0, H - window + 1, stride), range(0, W - window + 1, stride)
    found = []
    for image, wish in zip(x, classes, strict=True):
        covered = image.repeat(len(tops) * len(lefts), 1, 1, 1)  # (places, C, H, W)
        for a, top in enumerate(tops):
            for b, left in enumerate(lefts):
                covered[a * len(lefts) + b, :, top : top + window, left : left + window] = fill
        with torch.no_grad():
            chances = torch.cat([net(part).softmax(dim=1)[:, wish] for part in covered.split(batch_size)])
        found.append(chances.reshape(len(tops), len(lefts)))
    return torch.stack(found)
    ### END SOLUTION


# %% tests="occlusion" points=2
checks.assert_by_hand("occlusion", without=READY, hint="Cover and ask the net yourself.")
# class 0 counts the pixel at row 2, column 1; class 1 has the score 0
weights = torch.zeros(2, 1, 6, 4, device=here)
weights[0, 0, 2, 1] = 2.0
net = beside(occlusion, linear_net, weights)
x = torch.ones(1, 1, 6, 4, device=here)
first = torch.tensor([0], device=here)
checks.assert_equal(
    beside(occlusion, altered, occlusion, net, x.clone(), first, 2, 2, 0.0),
    [],
    name="arguments that occlusion changed (0 the net, 1 the images, 2 the classes)",
    hint="Cover copies, not the image itself.",
)
answer = occlusion(net, x, first, 2, 2, 0.0)
checks.assert_shape(answer, (1, 3, 2), name="map", hint="(6 − 2)//2 + 1 rows and (4 − 2)//2 + 1 columns of places.")
checks.assert_dtype(answer, torch.float32, name="map", hint="Keep the dtype of x.")
checks.assert_true(not answer.requires_grad, "The map holds on to the graph.", hint="Work under torch.no_grad().")
open_, shut = 1 / (1 + math.exp(-2)), 0.5
checks.assert_true(
    abs(answer[0, 0, 0].item() - 2) > 1e-3,
    "map: found 2, the score; wanted a probability.",
    hint="Occlusion shows the probability: softmax over the classes, then the class.",
)
checks.assert_close(
    answer,
    torch.tensor([[[open_, open_], [shut, open_], [open_, open_]]], device=here),
    name="map for one pixel that counts, black squares of 2, stride 2",
    hint="Only the square at place (1, 0), filled with `fill`, covers the pixel at row 2, column 1: there the "
    "probability is 1/2. Each place covers a fresh copy of the image, the map has rows first, the softmax runs over "
    "the classes, and what counts is the probability, not its fall.",
)
hint = "Only places where the whole square lies inside count: 6 − 3 + 1 rows of them, and 4 − 3 + 1 columns."
checks.assert_shape(occlusion(net, x, first, 3, 1), (1, 4, 2), name="map for squares of 3, stride 1", hint=hint)
checks.assert_close(
    occlusion(net, x, torch.tensor([1], device=here), 3, 1, 0.0),
    1 - torch.tensor([[[shut, shut]] * 3 + [[open_, open_]]], device=here),
    name="map of class 1 for squares of 3, stride 1",
    hint="The probability of the class you are asked for; squares from row a to a + 3 (excluded), in steps of 1.",
)
grey = 1 / (1 + math.exp(-1))
checks.assert_close(
    occlusion(net, x, first, 2, 2)[0, 1, 0],
    torch.tensor(grey, device=here),
    name="probability under a square of the usual fill",
    hint="fill is what the square is filled with, 0.5 if nothing else is said.",
)
checks.assert_equal(beside(occlusion, traces, net), UNTOUCHED, name="what is left on the net", hint="Just call it.")
x, classes = images(2, 3, 3, 8, 12), torch.tensor([3, 0, 2], device=here)
checks.assert_close(
    occlusion(beside(occlusion, small_net, 2), x, classes, 4, 3),
    look.occlusion(small_net(2), x, classes, window=4, stride=3),
    rtol=1e-3,
    atol=1e-5,
    name="maps of three images of 8×12, squares of 4, stride 3",
    hint="Every image with its own class; all channels are covered; whole squares only, so (8 − 4)//3 + 1 rows and "
    "(12 − 4)//3 + 1 columns of places.",
)
print("occlusion: passed")
### BEGIN HIDDEN TESTS
fresh = fresh_seed(checks.fresh("occlusion"))
fresh_x, fresh_c = images(fresh, 2, 3, 7, 9), torch.tensor([1, 3], device=here)
for window, stride, fill in ((3, 2, 0.25), (7, 1, 1.0), (1, 4, 0.0)):
    checks.assert_close(
        occlusion(beside(occlusion, small_net, fresh), fresh_x, fresh_c, window, stride, fill),
        reference.occlusion(small_net(fresh), fresh_x, fresh_c, window, stride, fill),
        rtol=1e-3,
        atol=1e-5,
        name=f"maps of another net, window {window}, stride {stride}, fill {fill}",
        hint="The probability of the class with the square at row a·stride and column b·stride.",
    )
### END HIDDEN TESTS

# %% tests="occlusion:batched" points=1
checks.assert_by_hand("occlusion", without=READY, hint="Cover and ask the net yourself.")
net = beside(occlusion, deep_net, 1)
x, classes = images(1, 1, 1, 8, 8), torch.tensor([1], device=here)
answer, calls = checks.torch_calls(occlusion, net, x, classes, 3)
checks.assert_shape(answer, (1, 6, 6), name="map", hint="8 − 3 + 1 = 6 places each way.")
checks.assert_true(
    calls <= 600,
    f"occlusion: {calls} torch operations for 36 places, wanted 600 at most.",
    hint="The net of forty layers is called for each place. Make all covered images first, and call it on a batch.",
)
x, classes = images(2, 2, 3, 8, 8), torch.tensor([1, 2], device=here)
hint = "covered.split(batch_size) cuts all covered images into batches of at most batch_size, and a short last one."
checks.assert_close(
    attempt(hint, occlusion, beside(occlusion, narrow_net, 2), x.clone(), classes, 5, 1, 0.5, 10),
    look.occlusion(small_net(2), x, classes, window=5),
    rtol=1e-3,
    atol=1e-5,
    name="maps by a net that has room for ten images at a time",
    hint="If the tests cell above passes, it is how batches are cut and put together again, each image with its class.",
)
print(f"occlusion:batched: passed. {calls} torch operations for 36 places.")
### BEGIN HIDDEN TESTS
fresh = fresh_seed(checks.fresh("occlusion"))
fresh_x, fresh_c = images(fresh, 1, 3, 8, 8), torch.tensor([1], device=here)
checks.assert_close(
    occlusion(beside(occlusion, narrow_net, fresh), fresh_x.clone(), fresh_c, 2, 1, 0.5, 7),
    reference.occlusion(small_net(fresh), fresh_x, fresh_c, 2),
    rtol=1e-3,
    atol=1e-5,
    name="map of another net, seven images at a time",
    hint="Batches of batch_size, and a short last one.",
)
checks.assert_true(
    checks.torch_calls(occlusion, beside(occlusion, deep_net, fresh), images(fresh, 1, 1, 8, 8), fresh_c, 4)[1] <= 450,
    "occlusion: more than 450 torch operations for 25 places.",
    hint="Make all covered images first, and call the net on a batch.",
)
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 6. CAM (2 points)
#
# Many nets end like this: $K$ maps $f_k$ of $h \times w$ pixels, **global average pooling**, and one linear layer. Then
# the score of a class is a sum over maps and over places, and sums may be exchanged:
#
# $$S_c = b_c + \sum_k w_{ck} \frac{1}{hw} \sum_{ij} f_{kij}
#       = b_c + \frac{1}{hw} \sum_{ij} \underbrace{\sum_k w_{ck}\, f_{kij}}_{M_{ij}}.$$
#
# In words: the score is the mean of a picture $M$, plus a bias. $M$ is the **class activation map** (Zhou et al.,
# 2016): it shows where the score comes from, and it may be negative where a place speaks against the class. No
# gradient is needed. A number: maps with 3 and 1 at a place, weights $(2, -1)$, give 5 there.
#
# `net` is a `torch.nn.Sequential` whose last three layers are the pooling, a `Flatten` and a `Linear`; what is before
# them makes the maps. `net[:-3]` is the net without these three, `net[-1].weight` has the shape (classes, K).
#
# | name | shape | what |
# |---|---|---|
# | `x`, `classes` | (N, C, H, W), (N,) | images, and the class of each |
# | result | (N, h, w) | $M$ |


# %% solution="cam"
def cam(net: torch.nn.Sequential, x: Tensor, classes: Tensor) -> Tensor:
    """Class activation maps Σ_k w_ck f_k, (N, h, w), of a net that ends with pooling, Flatten and Linear.

    x: images (N, C, H, W).   classes: (N,) int64.
    """
    ### BEGIN SOLUTION
    with torch.no_grad():
        maps = net[:-3](x)  # (N, K, h, w)
        weights = net[-1].weight[classes]  # (N, K)
        return torch.einsum("nk,nkij->nij", weights, maps)
    ### END SOLUTION


# %% tests="cam" points=2
checks.assert_by_hand("cam", without=READY, hint="The weighted sum of the maps, yourself.")
x, classes = images(1, 2, 3, 8, 6), torch.tensor([3, 1], device=here)
net = beside(cam, small_net, 1)
answer = cam(net, x, classes)
checks.assert_shape(answer, (2, 4, 3), name="map", hint="As high and wide as the maps before the pooling: (N, h, w).")
checks.assert_true(not answer.requires_grad, "The map holds on to the graph.", hint="Work under torch.no_grad().")
trusted = small_net(1)
with torch.no_grad():
    scores = trusted(x)
checks.assert_true(
    answer.min().item() < 0,
    "map: no value is below 0.",
    hint="CAM is a plain sum over the maps and keeps what speaks against the class: no ReLU here, no absolute value, "
    "no largest map.",
)
wanted = scores[[0, 1], [3, 1]] - trusted[-1].bias.detach()[[3, 1]]
checks.assert_close(
    answer.mean(dim=(1, 2)),
    wanted,
    rtol=1e-3,
    atol=1e-5,
    name="mean of each map, which is the score without its bias",
    hint="M = Σ_k w_ck·f_k: the weights of that image's class, no bias, no division; maps are net[:-3](x).",
)
checks.assert_close(
    answer,
    look.cam(trusted, x, "4", "7", classes),
    rtol=1e-3,
    atol=1e-5,
    name="maps",
    hint="Every map weighted with the weight of its own channel, and the sum over channels, place by place.",
)
checks.assert_equal(beside(cam, traces, net), UNTOUCHED, name="what is left on the net", hint="Just call its layers.")
print("cam: passed")
### BEGIN HIDDEN TESTS
fresh = fresh_seed(checks.fresh("cam"))
fresh_x, fresh_c = images(fresh, 3, 3, 6, 10), torch.tensor([2, 0, 2], device=here)
checks.assert_close(
    cam(beside(cam, small_net, fresh), fresh_x, fresh_c),
    reference.cam(small_net(fresh), fresh_x, fresh_c),
    rtol=1e-3,
    atol=1e-5,
    name="maps of another net",
    hint="Σ_k w_ck·f_k.",
)
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 7. Grad-CAM (3 points)
#
# CAM needs that very end of a net. **Grad-CAM** (Selvaraju et al., 2017) needs none: it asks the gradient how much each
# map counts. With the maps $f_k$ of any convolutional layer,
#
# $$\alpha_k = \frac{1}{hw} \sum_{ij} \frac{\partial S_c}{\partial f_{kij}}, \qquad
#   M = \mathrm{ReLU}\Big( \sum_k \alpha_k f_k \Big).$$
#
# In words: a map's weight is the **mean** slope of the score over its places; the ReLU keeps what speaks for the class.
# (Some slides have a sum in place of the mean: a factor only.) Behind global average pooling every slope is
# $w_{ck}/(hw)$, so there
#
# $$\mathrm{ReLU}(\text{CAM}) = hw \cdot \text{Grad-CAM},$$
#
# and the tests hold you to it. A number: for slopes 1, 2, 3, 6 in a map of four places, $\alpha = 3$.
#
# Get the maps by a forward hook on the layer with the name `layer`, taken off again however it ends. This time they
# must stay part of the graph. The net may be frozen (its weights ask for no gradient), as nets that are only looked at
# often are: then the graph must begin at the image.
#
# | name | shape | what |
# |---|---|---|
# | `layer` | str | name of a layer that puts out maps (N, K, h, w) |
# | `x`, `classes` | (N, C, H, W), (N,) | images, and the class of each |
# | result | (N, h, w) | $M$, without a graph |


# %% solution="grad_cam"
def grad_cam(net: torch.nn.Module, layer: str, x: Tensor, classes: Tensor) -> Tensor:
    """ReLU of the layer's maps weighted by their mean slopes, (N, h, w).

    layer: its name.   x: images (N, C, H, W).   classes: (N,) int64.
    """
    ### BEGIN SOLUTION
    kept = []
    hook = net.get_submodule(layer).register_forward_hook(lambda module, inputs, output: kept.append(output))
    try:
        scores = net(x.detach().clone().requires_grad_())  # the graph begins here, also of a frozen net
    finally:
        hook.remove()
    maps = kept[0]  # (N, K, h, w)
    (slope,) = torch.autograd.grad(scores.gather(1, classes[:, None]).sum(), maps)
    alpha = slope.mean(dim=(2, 3))  # (N, K)
    return torch.einsum("nk,nkij->nij", alpha, maps.detach()).relu()
    ### END SOLUTION


# %% tests="grad_cam" points=2
checks.assert_by_hand("grad_cam", without=READY, hint="Maps by a hook, slopes by torch.autograd.grad, yourself.")
x, classes = images(1, 2, 3, 8, 6), torch.tensor([3, 1], device=here)
answer = attempt(
    "The slope is asked for the very tensor that the net went on with: let the hook keep output as it is, not detached "
    "and not cloned, and run the net with gradients.",
    grad_cam,
    beside(grad_cam, small_net, 1),
    "4",
    x,
    classes,
)
checks.assert_shape(answer, (2, 4, 3), name="map", hint="(N, h, w), as high and wide as the layer's maps.")
checks.assert_true(not answer.requires_grad, "The map holds on to the graph.", hint="Detach the maps at the end.")
checks.assert_true(
    answer.min().item() >= 0,
    "map: found values below 0.",
    hint="Grad-CAM ends with a ReLU, after the sum over the maps.",
)
from_cam = look.cam(small_net(1), x, "4", "7", classes).relu()
checks.assert_true(
    not torch.allclose(answer, from_cam, rtol=1e-2),
    "12·Grad-CAM = 12·ReLU(CAM): it is too large by the number of places, 4·3.",
    hint="α is the mean of the slopes over the places, not their sum.",
)
checks.assert_close(
    12 * answer,
    from_cam,
    rtol=1e-3,
    atol=1e-5,
    name="hw·Grad-CAM, which is ReLU(CAM) behind global average pooling",
    hint="α_k is the mean slope of the score before the softmax, each image with its own class; then the weighted sum "
    "of the maps, then the ReLU.",
)
# behind a layer whose pixels each have a weight of their own, and whose maps may be negative
x, classes = images(2, 3, 2, 6, 6, dtype=torch.float64) - 0.5, torch.tensor([2, 0, 1], device=here)
net = flat_net(2, dtype=torch.float64)
with torch.no_grad():
    maps = net.stem(x)  # (3, 5, 6, 6)
alpha = measured_slopes(net.head, maps, classes).mean(dim=(2, 3), keepdim=True)
found = attempt(
    "layer is a name: net.get_submodule(layer).",
    grad_cam,
    beside(grad_cam, flat_net, 2, dtype=torch.float64),
    "stem",
    x,
    classes,
)
checks.assert_close(
    found,
    (alpha * maps).sum(dim=1).relu(),
    rtol=1e-4,
    atol=1e-7,
    name="maps of a net without that pooling, against slopes that were measured by nudging",
    hint="Mean of the slopes over rows and columns, for each image and map; not over the batch.",
)
print("grad_cam: passed")
### BEGIN HIDDEN TESTS
fresh = fresh_seed(checks.fresh("grad_cam"))
fresh_x, fresh_c = images(fresh, 4, 3, 8, 10), torch.tensor([2, 0, 1, 3], device=here)
for layer in ("0", "3", "4"):
    checks.assert_close(
        grad_cam(beside(grad_cam, small_net, fresh), layer, fresh_x, fresh_c),
        reference.grad_cam(small_net(fresh), layer, fresh_x, fresh_c),
        rtol=1e-3,
        atol=1e-5,
        name=f"maps of layer {layer!r} of another net",
        hint="ReLU(Σ_k α_k f_k).",
    )
### END HIDDEN TESTS

# %% tests="grad_cam:left_as_found" points=1
checks.assert_by_hand("grad_cam", without=READY, hint="Maps by a hook, slopes by torch.autograd.grad, yourself.")
net = beside(grad_cam, small_net, 1)
x, classes = images(1, 2, 3, 8, 6), torch.tensor([3, 1], device=here)
checks.assert_equal(
    beside(grad_cam, altered, grad_cam, net, "4", x.clone(), classes),
    [],
    name="arguments that grad_cam changed (2 the images, 3 the classes)",
    hint="Let a copy of the image ask for gradients: x.detach().clone().requires_grad_().",
)
checks.assert_equal(
    beside(grad_cam, traces, net),
    UNTOUCHED,
    name="what is left on the net",
    hint="Take the hook off, and ask for the slope with torch.autograd.grad: backward() fills the weights' .grad. Mode "
    "and weights stay as they were.",
)
checks.assert_raises(
    RuntimeError,
    grad_cam,
    net,
    "4",
    images(1, 1, 5, 8, 6),
    classes[:1],
    hint="Images of 5 channels do not fit: the net's error is for the caller.",
)
checks.assert_equal(
    beside(grad_cam, traces, net),
    UNTOUCHED,
    name="what is left on the net after it raised",
    hint="Take the hook off in `finally`.",
)
net, x, classes = beside(grad_cam, frozen_net, 3), images(3, 2, 2, 6, 6), torch.tensor([0, 2], device=here)
hint = "No weight asks for a gradient, so let a copy of the image ask: x.detach().clone().requires_grad_()."
checks.assert_close(
    attempt(hint, grad_cam, net, "stem", x, classes),
    look.grad_cam(flat_net(3), x, "stem", classes),
    rtol=1e-3,
    atol=1e-6,
    name="maps of a frozen net",
    hint="If the tests cell above passes, it is that no weight asks for a gradient: let a copy of the image ask.",
)
checks.assert_equal(
    beside(grad_cam, traces, net),
    {**UNTOUCHED, "frozen weights": 4},
    name="what is left on the frozen net",
    hint="Its weights asked for no gradient, and should not do so now.",
)
print("grad_cam:left_as_found: passed")
### BEGIN HIDDEN TESTS
fresh = fresh_seed(checks.fresh("grad_cam"))
net, fresh_x, fresh_c = beside(grad_cam, frozen_net, fresh), images(fresh, 1, 2, 6, 6), torch.tensor([1], device=here)
checks.assert_close(
    grad_cam(net, "stem", fresh_x, fresh_c),
    reference.grad_cam(frozen_net(fresh), "stem", fresh_x, fresh_c),
    rtol=1e-3,
    atol=1e-6,
    name="map of another frozen net",
    hint="Let a copy of the image ask for gradients.",
)
checks.assert_equal(beside(grad_cam, hooks_on, net), 0, name="hooks left on it", hint="Take the hook off.")
### END HIDDEN TESTS

# %% explore="four_maps"
# explore: the four maps of some scenes, side by side. Try other scenes; which map would you trust?
net, chosen = shapes_net(), [3, 7, 12]
last_relu = [name for name, layer in net.named_modules() if isinstance(layer, torch.nn.ReLU)][-1]
x, classes = scenes[chosen], scene_labels[chosen]
rows = {
    "scene": x.permute(0, 2, 3, 1),
    "saliency": saliency(net, x, classes),
    "occlusion": -occlusion(net, x, classes, 6, 2),
    "CAM": cam(net, x, classes),
    "Grad-CAM": grad_cam(net, last_relu, x, classes),
}
figure, axes = plt.subplots(len(chosen), len(rows), figsize=(9, 5.5))
for column, (name, pictures) in enumerate(rows.items()):
    axes[0, column].set_title(name)
    for axis, picture in zip(axes[:, column], pictures, strict=True):
        axis.imshow(picture.cpu())
        axis.axis("off")
plt.show()

# %% [markdown]
# ## Part 4. Maps, scored
#
# ### Exercise 8. Is the map right? (3 points)
#
# A map that looks good proves nothing. The course's scenes come with a **mask** of the object, so a map can be right or
# wrong. Three scores, each one number an image:
#
# - `pointing_game`: 1 if the map's **largest** value lies on the object, else 0 (Zhang et al., 2016). Of equals the
#   first counts, in the order of reading.
# - `best_iou`: scale the map to run from 0 (its smallest value) to 1 (its largest). For each threshold $\tau$ take
#   what is **above** $\tau$ and compare it with the object: **intersection over union**, the pixels in both divided by
#   the pixels in either. The best over all thresholds counts. A map that is one number everywhere is 0 after scaling.
# - `energy_inside`: what is below 0 counts as 0; the share of the rest that lies on the object. 0 for a map without
#   any.
#
# A number: a map $(4, 3, 0, 1)$ and an object on the first two pixels: the pointing game 1, energy $7/8$; at
# $\tau = 1/2$ the IoU is $2/2 = 1$, at $\tau = 0$ it is $2/3$.
#
# | name | shape | what |
# |---|---|---|
# | `maps` | (N, H, W) | maps in the size of the image |
# | `masks` | (N, H, W) bool | the object; never empty |
# | `thresholds` | list of numbers | from 0 to below 1 |
# | result of each | (N,) in the dtype of `maps` | |


# %% solution="map_scores"
def pointing_game(maps: Tensor, masks: Tensor) -> Tensor:
    """1 where a map's largest value lies on the object, else 0, (N,).   maps: (N, H, W).   masks: (N, H, W) bool."""
    ### BEGIN SOLUTION
    peak = maps.flatten(1).argmax(dim=1)  # (N,)
    return masks.flatten(1).gather(1, peak[:, None])[:, 0].to(maps.dtype)
    ### END SOLUTION


def best_iou(maps: Tensor, masks: Tensor, thresholds: list[float]) -> Tensor:
    """Intersection over union of the object and the scaled map above the best threshold, (N,)."""
    ### BEGIN SOLUTION
    maps, masks = maps.flatten(1), masks.flatten(1)  # (N, P)
    low, high = maps.amin(dim=1, keepdim=True), maps.amax(dim=1, keepdim=True)
    scaled = (maps - low) / torch.where(high > low, high - low, 1)
    best = maps.new_zeros(len(maps))
    for threshold in thresholds:
        found = scaled > threshold
        iou = (found & masks).sum(dim=1) / (found | masks).sum(dim=1)
        best = torch.maximum(best, iou.to(maps.dtype))
    return best
    ### END SOLUTION


def energy_inside(maps: Tensor, masks: Tensor) -> Tensor:
    """Share of a map's positive part that lies on the object, (N,); 0 for a map without any."""
    ### BEGIN SOLUTION
    positive = maps.relu().flatten(1)  # (N, P)
    everything = positive.sum(dim=1)
    inside = (positive * masks.flatten(1)).sum(dim=1)
    return inside / torch.where(everything > 0, everything, 1)
    ### END SOLUTION


# %% tests="map_scores" points=1
checks.assert_by_hand("pointing_game", without=READY, hint="Find the largest value, and look it up in the mask.")
maps = torch.tensor([[[4.0, 3.0], [0.0, 1.0]], [[0.0, 1.0], [-9.0, 2.0]], [[-5.0, -4.0], [-3.0, -2.0]]], device=here)
masks = torch.tensor([[[True, True], [False, False]]] * 2 + [[[False, False], [False, True]]], device=here)
answer = pointing_game(maps, masks)
checks.assert_shape(answer, (3,), name="pointing game", hint="One number for each map, not their mean.")
checks.assert_dtype(answer, torch.float32, name="pointing game", hint="1 and 0 in the dtype of maps.")
checks.assert_close(
    answer,
    torch.tensor([1.0, 0.0, 1.0], device=here),
    name="pointing game of three maps",
    hint="The place of the largest value (not of the largest absolute value) of each map, looked up in its own mask.",
)
twice = torch.tensor([[1.0, 0.0, 2.0], [2.0, 1.0, 0.0]], device=here).expand(2, 2, 3).contiguous()
on_first = torch.tensor([[False, False, True], [False] * 3], device=here)
on_second = torch.tensor([[False] * 3, [True, False, False]], device=here)
checks.assert_close(
    pointing_game(twice, torch.stack([on_first, on_second])),
    torch.tensor([1.0, 0.0], device=here),
    name="pointing game of (1, 0, 2 / 2, 1, 0), the object below the first 2, and below the second",
    hint="Of equals the first counts, in the order of reading: row by row, so the 2 in the first row. The other never "
    "does.",
)
print("map_scores: passed")
### BEGIN HIDDEN TESTS
fresh = fresh_seed(checks.fresh("map_scores"))
fresh_maps, fresh_masks = images(fresh, 30, 5, 7) - 0.5, images(fresh + 1, 30, 5, 7) > 0.6
checks.assert_close(
    pointing_game(fresh_maps, fresh_masks),
    reference.pointing_game(fresh_maps, fresh_masks),
    name="pointing game of other maps",
    hint="1 where the largest value lies on the object.",
)
### END HIDDEN TESTS

# %% tests="map_scores:iou" points=1
checks.assert_by_hand("best_iou", without=READY, hint="Threshold, compare with the mask, divide.")
one = torch.tensor([[[4.0, 3.0], [0.0, 1.0]]], device=here)
mask = torch.tensor([[[True, True], [False, False]]], device=here)
answer = best_iou(one, mask, [0.0])
checks.assert_shape(answer, (1,), name="IoU", hint="One number for each map.")
checks.assert_dtype(answer, torch.float32, name="IoU", hint="In the dtype of maps.")
checks.assert_close(
    answer,
    torch.tensor([2 / 3], device=here),
    name="IoU of (4, 3 / 0, 1) at the threshold 0",
    hint="Above 0 are three pixels, two of them on the object: 2 in both, 3 in either. Above, not at.",
)
checks.assert_close(
    best_iou(torch.cat([3 * one - 7, one + 100]), mask.expand(2, 2, 2).contiguous(), [0.5]),
    torch.tensor([1.0, 1.0], device=here),
    name="IoU of the same map, stretched and moved",
    hint="Each map is scaled by its own smallest and largest value, to run from 0 to 1.",
)
for thresholds in ([0.0, 0.5, 0.9], [0.9, 0.5, 0.0]):
    checks.assert_close(
        best_iou(one, mask, thresholds),
        torch.tensor([1.0], device=here),
        name=f"IoU at the best of {thresholds}",
        hint="At 0.5 the two pixels of the object are above, and nothing else. The best counts, not the last.",
    )
checks.assert_close(
    best_iou(torch.full((1, 2, 2), 3.0, device=here), mask, [0.0, 0.5]),
    torch.tensor([0.0], device=here),
    name="IoU of a map that is 3 everywhere",
    hint="Scaled it is 0 everywhere: nothing is above a threshold, and nothing is divided by 0.",
)
checks.assert_close(
    best_iou(one, ~mask, [0.5, 0.8]),
    torch.tensor([0.0], device=here),
    name="IoU of a map that is high beside the object only",
    hint="Nothing in both: 0.",
)
checks.assert_close(
    best_iou(torch.cat([one, -one]), torch.cat([mask, mask]), [0.1, 0.6]),
    torch.tensor([1.0, 0.25], device=here),
    name="IoU of two maps, each at its own best threshold",
    hint="Each map has its own best; no mean over the maps.",
)
print("map_scores:iou: passed")
### BEGIN HIDDEN TESTS
fresh = fresh_seed(checks.fresh("map_scores"))
fresh_maps, fresh_masks = 3 * images(fresh, 12, 5, 7) - 1, images(fresh + 1, 12, 5, 7) > 0.7
fresh_maps += fresh_masks
checks.assert_close(
    best_iou(fresh_maps, fresh_masks, [0.0, 0.2, 0.45, 0.7]),
    reference.best_iou(fresh_maps, fresh_masks, [0.0, 0.2, 0.45, 0.7]),
    name="IoU of other maps",
    hint="Pixels in both over pixels in either, at each map's best threshold.",
)
### END HIDDEN TESTS

# %% tests="map_scores:energy" points=1
checks.assert_by_hand("energy_inside", without=READY, hint="Two sums and a division.")
maps = torch.tensor([[[4.0, 3.0], [0.0, 1.0]], [[-4.0, 3.0], [-2.0, 1.0]], [[-1.0, -2.0], [0.0, -3.0]]], device=here)
masks = torch.tensor([[[True, True], [False, False]]] * 3, device=here)
checks.assert_equal(
    beside(energy_inside, altered, energy_inside, maps.clone(), masks),
    [],
    name="arguments that energy_inside changed (0 the maps, 1 the masks)",
    hint="Cut off what is below 0 in a copy.",
)
answer = energy_inside(maps, masks)
checks.assert_shape(answer, (3,), name="energy inside", hint="One number for each map.")
checks.assert_dtype(answer, torch.float32, name="energy inside", hint="In the dtype of maps.")
checks.assert_finite(answer, name="energy inside", hint="A map without anything above 0 has the energy 0: no 0/0.")
checks.assert_close(
    answer,
    torch.tensor([7 / 8, 3 / 4, 0.0], device=here),
    name="energy inside of three maps",
    hint="What is below 0 counts as 0. Then what lies on the object over all of that map.",
)
checks.assert_close(
    energy_inside(maps / 1000, masks),
    torch.tensor([7 / 8, 3 / 4, 0.0], device=here),
    rtol=1e-3,
    name="energy inside of the same maps, a thousand times fainter",
    hint="A share does not depend on how bright a map is: divide by the sum itself.",
)
print("map_scores:energy: passed")
### BEGIN HIDDEN TESTS
fresh = fresh_seed(checks.fresh("map_scores"))
fresh_maps, fresh_masks = images(fresh, 9, 5, 7) - 0.5, images(fresh + 1, 9, 5, 7) > 0.6
checks.assert_close(
    energy_inside(fresh_maps, fresh_masks),
    reference.energy_inside(fresh_maps, fresh_masks),
    rtol=1e-4,
    name="energy inside of other maps",
    hint="Positive part on the object over positive part.",
)
### END HIDDEN TESTS

# %% explore="which_map_wins"
# explore: the three scores of your maps, over forty scenes. A map of noise shows what chance gives
net = shapes_net()
last_relu = [name for name, layer in net.named_modules() if isinstance(layer, torch.nn.ReLU)][-1]
contenders = {
    "noise": images(1, 40, 32, 32),
    "saliency": saliency(net, scenes, scene_labels),
    "CAM": look.resized(cam(net, scenes, scene_labels), (32, 32)),
    "Grad-CAM": look.resized(grad_cam(net, last_relu, scenes, scene_labels), (32, 32)),
}
levels = [step / 16 for step in range(16)]
print(f"{'':10} points  IoU   inside")
for name, maps in contenders.items():
    maps, masks = maps.detach(), scene_masks[:, 0]
    scores = pointing_game(maps, masks), best_iou(maps, masks, levels), energy_inside(maps, masks)
    print(f"{name:10} " + "  ".join(f"{score.mean().item():.2f} " for score in scores))

# %% [markdown]
# ## Part 5. Images from the net
#
# ### Exercise 9. A class model (2 points)
#
# What does the net mean by "3"? Ask for the image that it likes best, but not too bright (Simonyan et al., 2014):
#
# $$\arg\max_I\; S_c(I) - \lambda \lVert I \rVert^2.$$
#
# Climb: $I \leftarrow I + \varepsilon \nabla_I \big( S_c(I) - \lambda \lVert I \rVert^2 \big)$, `steps` times. The
# weights of the net stay as they are; it is the **image** that learns. $\lVert I \rVert^2$ is the sum of the squares
# of all its pixels. Again the score is that before the softmax. A number: a score of $6 I$ of one pixel,
# $\lambda = 1$, has its top at $I = 3$; the first step from 0 with $\varepsilon = 0.1$ leads to 0.6, the second to
# 1.08.
#
# | name | shape | what |
# |---|---|---|
# | `start` | (N, C, H, W) | where each climb begins |
# | `classes` | (N,) `int64` | class of each image |
# | `decay`, `steps`, `rate` | numbers | $\lambda$, how many steps, $\varepsilon$ |
# | result | (N, C, H, W) | the images after the last step, not cut to [0, 1] |


# %% solution="class_model"
def class_model(net: torch.nn.Module, classes: Tensor, start: Tensor, decay: float, steps: int, rate: float) -> Tensor:
    """Images (N, C, H, W) after `steps` steps of plain ascent on S_c(I) − λ‖I‖², from `start`.

    classes: (N,) int64.   decay: λ.   rate: ε.
    """
    ### BEGIN SOLUTION
    x = start.detach().clone()
    for _ in range(steps):
        x.requires_grad_()
        score = net(x).gather(1, classes[:, None]).sum() - decay * x.square().sum()
        (slope,) = torch.autograd.grad(score, x)
        x = (x + rate * slope).detach()
    return x
    ### END SOLUTION


# %% tests="class_model" points=2
checks.assert_by_hand("class_model", without=(*READY, "torch.optim"), hint="One line of plain ascent, yourself.")
weights = torch.tensor([6.0, -2.0], device=here).reshape(2, 1, 1, 1)
net = beside(class_model, linear_net, weights)
start, zero = torch.zeros(1, 1, 1, 1, device=here), torch.tensor([0], device=here)
checks.assert_equal(
    beside(class_model, altered, class_model, net, zero, start.clone(), 1.0, 1, 0.1),
    [],
    name="arguments that class_model changed (1 the classes, 2 start)",
    hint="Climb with a copy of start.",
)
checks.assert_close(
    class_model(net, zero, start + 1, 0.5, 0, 0.1), start + 1, name="image after no step", hint="Begin at start itself."
)
answer = class_model(net, zero, start, 1.0, 1, 0.1)
checks.assert_shape(answer, (1, 1, 1, 1), name="image", hint="The image itself, in the shape of start.")
checks.assert_true(not answer.requires_grad, "The image holds on to the graph.", hint="Detach it after each step.")
checks.assert_true(
    answer.item() >= 0,
    f"image: found {answer.item():.3f} after one step from 0, wanted 0.6.",
    hint="Climb: add rate times the slope of the score. Here you go down.",
)
checks.assert_close(
    answer,
    torch.full((1, 1, 1, 1), 0.6, device=here),
    name="image after one step from 0, score 6·I, ε = 0.1",
    hint="At 0 the slope is that of the score alone, 6, before the softmax: 0 + 0.1·6, the image after the last step.",
)
checks.assert_close(
    class_model(net, zero, start, 1.0, 2, 0.1),
    torch.full((1, 1, 1, 1), 1.08, device=here),
    name="image after two steps, λ = 1",
    hint="The slope at 0.6 is 6 − 2·0.6: −λ‖I‖² pulls back, with the square of the length. Do not cut it to [0, 1].",
)
checks.assert_close(
    class_model(net, zero, start, 1.0, 60, 0.1),
    torch.full((1, 1, 1, 1), 3.0, device=here),
    rtol=1e-3,
    name="image after sixty steps",
    hint="It comes to rest where 6 = 2λI: climb all the steps.",
)
start = torch.tensor([1.0, 2.0], device=here).reshape(2, 1, 1, 1)
checks.assert_close(
    class_model(net, torch.tensor([1, 0], device=here), start, 0.5, 1, 0.1),
    torch.tensor([0.7, 2.4], device=here).reshape(2, 1, 1, 1),
    name="images of classes 1 and 0 after one step from 1 and 2, λ = 0.5",
    hint="Each image has its own class and climbs as if it were alone: add the objectives up, no mean over the batch.",
)
checks.assert_equal(
    beside(class_model, traces, net),
    UNTOUCHED,
    name="what is left on the net",
    hint="Only the image learns: torch.autograd.grad with respect to it leaves no gradient in the weights. Mode and "
    "weights stay as they were.",
)
print("class_model: passed")
### BEGIN HIDDEN TESTS
fresh = fresh_seed(checks.fresh("class_model"))
fresh_c, fresh_start = torch.tensor([3, 0, 1], device=here), images(fresh, 3, 3, 6, 5) - 0.5
checks.assert_close(
    class_model(beside(class_model, small_net, fresh), fresh_c, fresh_start, 0.03, 5, 0.5),
    reference.class_model(small_net(fresh), fresh_c, fresh_start, 0.03, 5, 0.5),
    rtol=1e-3,
    atol=1e-5,
    name="images for another net after five steps",
    hint="I + ε·(∂S_c/∂I − 2λI), the score before the softmax.",
)
### END HIDDEN TESTS

# %% explore="what_it_means_by_digits"
# explore: what the net means by each digit. You would not have drawn them so: much of what it likes are patterns that
# we do not see, and exercise 11 makes use of that. Try other λ, more steps, a start of noise
classes = torch.arange(10, device=here)
models = class_model(digits_net(), classes, torch.zeros(10, 1, 8, 8, device=here), 0.3, 200, 0.05)
figure, axes = plt.subplots(1, 10, figsize=(12, 1.6))
for axis, picture, digit in zip(axes, models[:, 0], range(10), strict=True):
    axis.imshow(picture.cpu(), cmap="gray")
    axis.set_title(digit)
    axis.axis("off")
plt.show()

# %% [markdown]
# ### Exercise 10. Images from features (3 points)
#
# What does a layer still know of an image $I_0$? Take its features $\Phi_0 = \Phi(I_0)$, forget the image, and look for
# one with the same features (Mahendran and Vedaldi, 2015). Many images have them, most of them ugly, so ask for a
# smooth one as well, by its **total variation**: how much neighbours differ,
#
# $$V^\beta(I) = \sum_{\text{channels}} \sum_{i,j}
#       \Big( (I_{i,j+1} - I_{ij})^2 + (I_{i+1,j} - I_{ij})^2 \Big)^{\beta/2},$$
#
# over all pixels that have both neighbours (so not the last row and column). For $\beta < 2$ the slope at a flat place
# is $0 \cdot \infty$, which autograd makes not-a-number: add $10^{-12}$ inside of the power. A number: a single bright
# pixel 1 in the middle of a black 3×3 image has $V^2 = 2 + 1 + 1 = 4$: itself, its left and its upper neighbour see it.
#
# The features' error and the variation together,
#
# $$E(I) = \frac{\lVert \Phi(I) - \Phi_0 \rVert^2}{\lVert \Phi_0 \rVert^2} + \lambda V^2(I),$$
#
# are made small as in the paper, by descent with momentum 0.9: $\Delta \leftarrow 0.9\, \Delta - \varepsilon \nabla E$,
# $I \leftarrow I + \Delta$, with $\Delta = 0$ at the start. Every image of a batch has its own $E$, as if it were
# alone.
#
# | name | shape | what |
# |---|---|---|
# | `features` | module | $\Phi$: images to features of any shape (N, …), a part of a net |
# | `wanted` | (N, …) | $\Phi_0$ |
# | `start` | (N, C, H, W) | where the descent begins |
# | `weight`, `steps`, `rate` | numbers | $\lambda$, how many steps, $\varepsilon$ |
# | result of `total_variation` | (N,) | differentiable |
# | result of `invert` | (N, C, H, W) | the images after the last step, not cut to [0, 1] |


# %% solution="inversion"
def total_variation(x: Tensor, beta: float = 2.0) -> Tensor:
    """V^β of each image, (N,), differentiable, with a finite slope at flat places.   x: (N, C, H, W)."""
    ### BEGIN SOLUTION
    corner = x[:, :, :-1, :-1]
    across, down = x[:, :, :-1, 1:] - corner, x[:, :, 1:, :-1] - corner
    return (across.square() + down.square() + 1e-12).pow(beta / 2).sum(dim=(1, 2, 3))
    ### END SOLUTION


def invert(features: torch.nn.Module, wanted: Tensor, start: Tensor, weight: float, steps: int, rate: float) -> Tensor:
    """Images (N, C, H, W) whose features come near `wanted` (N, …), by descent with momentum 0.9 from `start`."""
    ### BEGIN SOLUTION
    x, delta = start.detach().clone(), torch.zeros_like(start)
    size = wanted.flatten(1).square().sum(dim=1)  # (N,)
    for _ in range(steps):
        x.requires_grad_()
        error = (features(x) - wanted).flatten(1).square().sum(dim=1) / size  # (N,)
        (slope,) = torch.autograd.grad((error + weight * total_variation(x)).sum(), x)
        delta = 0.9 * delta - rate * slope
        x = (x + delta).detach()
    return x
    ### END SOLUTION


# %% tests="inversion" points=1
checks.assert_by_hand("total_variation", without=READY, hint="Differences of neighbours, squared, added, to a power.")
spot = torch.zeros(1, 1, 3, 3, device=here)
spot[0, 0, 1, 1] = 1.0
checks.assert_equal(
    beside(total_variation, altered, total_variation, spot.clone()),
    [],
    name="arguments that total_variation changed (0 the images)",
    hint="Compute with copies.",
)
answer = total_variation(spot)
checks.assert_shape(answer, (1,), name="total variation", hint="One number for each image.")
checks.assert_dtype(answer, torch.float32, name="total variation", hint="Keep the dtype of x.")
checks.assert_close(
    answer,
    torch.tensor([4.0], device=here),
    rtol=1e-4,
    name="V² of a bright pixel in the middle",
    hint="Itself 1 + 1, its left neighbour 1, its upper neighbour 1. A sum over places, not a mean; squares, not "
    "roots.",
)
checks.assert_close(
    total_variation(spot, 1.0),
    torch.tensor([math.sqrt(2) + 2], device=here),
    rtol=1e-3,
    name="V¹ of a bright pixel in the middle",
    hint="The two squares are added first, then the power β/2: √(1 + 1) + √1 + √1.",
)
slope_image = torch.tensor([[[[0.0, 1.0, 3.0], [10.0, 20.0, 40.0]]]], device=here)
checks.assert_close(
    total_variation(slope_image, 2.0),
    torch.tensor([1.0 + 100 + 4 + 361], device=here),
    rtol=1e-4,
    name="V² of (0, 1, 3 / 10, 20, 40)",
    hint="Only pixels that have both a right and a lower neighbour: (0, 1, 10) and (1, 3, 20).",
)
pair = torch.cat([slope_image, slope_image]) * torch.tensor([1.0, 2.0], device=here)[:, None, None, None]
checks.assert_close(
    total_variation(torch.cat([pair, pair], dim=1), 4.0),
    torch.tensor([2.0, 32.0], device=here) * (101.0**2 + 365.0**2),
    rtol=1e-4,
    name="V⁴ of two images with two channels",
    hint="Channels add up after the power, each image by itself. β is an argument: (…)^(β/2).",
)
flat = torch.full((1, 1, 3, 3), 0.5, device=here, requires_grad=True)
answer = total_variation(flat, 1.0)
checks.assert_true(
    answer.requires_grad,
    "The total variation of an image that asks for gradients has no graph.",
    hint="It must be differentiable: no detach, no .item(), no torch.no_grad().",
)
(slope,) = torch.autograd.grad(answer.sum(), flat)
checks.assert_finite(
    slope, name="slope of V¹ at a flat image", hint="The root of 0 has an infinite slope: add 1e-12 before the power."
)
print("inversion: passed")
### BEGIN HIDDEN TESTS
fresh = fresh_seed(checks.fresh("inversion"))
for beta in (1.0, 2.0, 3.0):
    checks.assert_close(
        total_variation(images(fresh, 3, 2, 5, 7), beta),
        reference.total_variation(images(fresh, 3, 2, 5, 7), beta),
        rtol=1e-3,
        name=f"V^{beta:g} of other images",
        hint="Σ over channels and places of (across² + down²)^(β/2).",
    )
### END HIDDEN TESTS

# %% tests="inversion:invert" points=2
checks.assert_by_hand("invert", without=(*READY, "torch.optim"), hint="Descent with momentum in two lines, yourself.")
# four pixels that stay equal: the feature is half of their sum, E = (2·I − 4)²/16
features = beside(invert, linear_net, torch.full((1, 1, 2, 2), 0.5, device=here))
start, wanted = torch.zeros(1, 1, 2, 2, device=here), torch.tensor([[4.0]], device=here)
checks.assert_equal(
    beside(invert, altered, invert, features, wanted, start.clone(), 0.0, 1, 2.0),
    [],
    name="arguments that invert changed (1 the features, 2 start)",
    hint="Descend with a copy of start.",
)
answer = invert(features, wanted, start, 0.0, 1, 2.0)
checks.assert_shape(answer, (1, 1, 2, 2), name="image", hint="The image itself, in the shape of start.")
checks.assert_true(not answer.requires_grad, "The image holds on to the graph.", hint="Detach it after each step.")
checks.assert_close(
    answer,
    torch.full((1, 1, 2, 2), 0.5, device=here),
    name="image after one step",
    hint="∇E = 2·(0 − 4)·0.5/16 = −0.25, so I = 0 + 2·0.25. The error is divided by ‖Φ₀‖² = 16.",
)
checks.assert_close(
    invert(features, wanted, start, 0.0, 2, 2.0),
    torch.full((1, 1, 2, 2), 1.325, device=here),
    rtol=1e-4,
    name="image after two steps",
    hint="∇E = −0.1875 at 0.5: Δ = 0.9·0.5 + 2·0.1875, I = 0.5 + Δ. Momentum remembers the last Δ, and the image is "
    "not cut to [0, 1].",
)
halves = torch.tensor([0.5, 0.25], device=here)[:, None, None, None].expand(2, 1, 2, 2)
both = beside(invert, linear_net, halves)
checks.assert_close(
    invert(both, torch.tensor([[4.0, 2.0]], device=here), start, 0.0, 1, 2.0),
    torch.full((1, 1, 2, 2), 0.5, device=here),
    name="image after one step for two features",
    hint="∇E = (2·(0 − 4)·0.5 + 2·(0 − 2)·0.25)/(16 + 4) = −0.25. Both lengths add up the squares of all "
    "features: a sum, no mean, in either.",
)
pair = torch.cat([start, start + 1])
checks.assert_close(
    invert(features, torch.tensor([[4.0], [8.0]], device=here), pair, 0.0, 1, 2.0),
    torch.tensor([0.5, 1.1875], device=here)[:, None, None, None].expand(2, 1, 2, 2),
    rtol=1e-4,
    name="two images after one step",
    hint="Each image has its own ‖Φ₀‖² and descends as if it were alone: add the errors up, no mean over the batch.",
)
checks.assert_equal(
    beside(invert, traces, features),
    UNTOUCHED,
    name="what is left on the net",
    hint="Only the image learns: torch.autograd.grad with respect to it. Mode and weights stay as they were.",
)
# a feature that ignores the image: only the variation is left, of which a bright corner keeps a part
blind = beside(invert, linear_net, torch.zeros(1, 1, 2, 2, device=here))
corner = torch.zeros(1, 1, 2, 2, device=here)
corner[0, 0, 0, 0] = 1.0
checks.assert_close(
    invert(blind, torch.ones(1, 1, device=here), corner, 0.1, 1, 0.5),
    torch.tensor([[[[0.8, 0.1], [0.1, 0.0]]]], device=here),
    rtol=1e-4,
    atol=1e-5,
    name="image after one step where only the variation counts, λ = 0.1, ε = 0.5",
    hint="E has λ·V² added, and its slope pulls neighbours together: 0.05 · (4, −2 / −2, 0) is taken off.",
)
original = images(5, 2, 3, 8, 8)
with torch.no_grad():
    wanted = small_net(5)[:3](original)
found = invert(beside(invert, small_net, 5)[:3], wanted, torch.full_like(original, 0.5), 1e-4, 40, 0.3)
with torch.no_grad():
    left = ((small_net(5)[:3](found) - wanted).square().sum() / wanted.square().sum()).item()
checks.assert_in_range(
    left,
    0.0,
    0.2,
    name="error of the features after forty steps",
    hint="From grey, forty steps come near the features: is the slope that of E, downhill, at every step?",
)
print(f"inversion:invert: passed. {left:.1%} of the features' energy is still missing.")
### BEGIN HIDDEN TESTS
fresh = fresh_seed(checks.fresh("inversion"))
fresh_x = images(fresh, 2, 3, 6, 8)
fresh_wanted = small_net(fresh)[:4](fresh_x).detach()
checks.assert_close(
    invert(beside(invert, small_net, fresh)[:4], fresh_wanted, fresh_x.flip(0), 0.01, 6, 0.05),
    reference.invert(small_net(fresh)[:4], fresh_wanted, fresh_x.flip(0), 0.01, 6, 0.05),
    rtol=1e-3,
    atol=1e-4,
    name="images for other features after six steps",
    hint="Δ = 0.9·Δ − ε·∇E, I + Δ, with E = ‖Φ(I) − Φ₀‖²/‖Φ₀‖² + λV².",
)
### END HIDDEN TESTS

# %% explore="what_layers_still_know"
# explore: a digit, rebuilt from deeper and deeper layers. Which layer forgets it? Try a weight of 0
net, original = digits_net(), test_x[3:4]
depths = [n for n, layer in enumerate(net) if isinstance(layer, torch.nn.ReLU)]
pictures = [original]
for depth in depths:
    features = net[: depth + 1]
    with torch.no_grad():
        wanted = features(original)
    pictures.append(invert(features, wanted, torch.full_like(original, 0.5), 1e-3, 300, 0.05))
figure, axes = plt.subplots(1, len(pictures), figsize=(2 * len(pictures), 2.2))
for axis, picture, title in zip(axes, pictures, ["digit", *(f"layer {depth}" for depth in depths)], strict=True):
    axis.imshow(picture[0, 0].cpu(), cmap="gray", vmin=0, vmax=1)
    axis.set_title(title)
    axis.axis("off")
plt.show()

# %% [markdown]
# ## Part 6. Fooling
#
# ### Exercise 11. One step for every pixel (3 points)
#
# Now change the image, little, so that the answer is wrong. If no pixel may move by more than $\varepsilon$, how should
# each move to raise the loss $J$ (the cross-entropy with the true class) most? As far as it may, in the direction of
# its slope (Goodfellow, Shlens and Szegedy, 2015): the **fast gradient sign method**,
#
# $$x' = \mathrm{clip}_{[0, 1]}\big( x + \varepsilon \,\mathrm{sign}(\nabla_x J) \big).$$
#
# The clip keeps it an image. Why does so little do so much? For a linear score $w \cdot x$ the step changes it by
# $\varepsilon \sum_i |w_i|$, which grows with the number of pixels, while no pixel changes by more than $\varepsilon$.
# A number: slopes $(3, -0.2, 0)$ move pixels $(0.5, 0.5, 0.5)$ by $\varepsilon = 0.1$ to $(0.6, 0.4, 0.5)$.
#
# `accuracy_against` attacks all images with each $\varepsilon$ of a list and reports the share that the net still
# names.
#
# | name | shape | what |
# |---|---|---|
# | `net`, `x` | | images (N, C, H, W) in [0, 1] |
# | `t` | (N,) `int64` | true classes |
# | `epsilon` | number | the largest change of a pixel |
# | result of `fgsm` | (N, C, H, W) | attacked images, in [0, 1], without a graph |
# | result of `accuracy_against` | list of Python numbers | one for each of `epsilons`, in their order |


# %% solution="fgsm"
def fgsm(net: torch.nn.Module, x: Tensor, t: Tensor, epsilon: float) -> Tensor:
    """x + ε·sign(∇_x J), cut to [0, 1], (N, C, H, W).   x: images in [0, 1].   t: true classes (N,) int64."""
    ### BEGIN SOLUTION
    x = x.detach().clone().requires_grad_()
    loss = torch.nn.functional.cross_entropy(net(x), t)  # a mean: a factor, which the sign forgets
    (slope,) = torch.autograd.grad(loss, x)
    return (x + epsilon * slope.sign()).detach().clamp(0, 1)
    ### END SOLUTION


def accuracy_against(net: torch.nn.Module, x: Tensor, t: Tensor, epsilons: list[float]) -> list[float]:
    """Share of images whose class the net still names when they are attacked with each ε."""
    ### BEGIN SOLUTION
    shares = []
    for epsilon in epsilons:
        attacked = fgsm(net, x, t, epsilon)  # needs gradients
        with torch.no_grad():
            right = net(attacked).argmax(dim=1) == t
        shares.append(right.float().mean().item())
    return shares
    ### END SOLUTION


# %% tests="fgsm" points=2
checks.assert_by_hand("fgsm", without=READY, hint="One backward pass from the loss to the image, and one step.")
weights = torch.zeros(2, 1, 1, 3, device=here)
weights[1, 0, 0] = torch.tensor([3.0, -0.2, 0.0])
net = beside(fgsm, linear_net, weights)
x, zero = torch.full((1, 1, 1, 3), 0.5, device=here), torch.tensor([0], device=here)
checks.assert_equal(
    beside(fgsm, altered, fgsm, net, x.clone(), zero, 0.1),
    [],
    name="arguments that fgsm changed (0 the net, 1 the images, 2 the classes)",
    hint="Attack a copy, and ask a copy for gradients.",
)
answer = fgsm(net, x, zero, 0.1)
checks.assert_shape(answer, (1, 1, 1, 3), name="attacked image", hint="An image like x.")
checks.assert_dtype(answer, torch.float32, name="attacked image", hint="Keep the dtype of x.")
checks.assert_true(not answer.requires_grad, "The image holds on to the graph.", hint="Detach it at the end.")
checks.assert_true(
    answer[0, 0, 0, 0].item() >= 0.5,
    "attacked image: the first pixel went down, though class 1, which is wrong, likes it bright.",
    hint="An attack climbs the loss of the true class: plus ε·sign(∇J).",
)
checks.assert_true(
    answer[0, 0, 0, 0].item() > 0.5,
    "attacked image: the first pixel did not move, though class 1, which is wrong, likes it bright.",
    hint="J is the cross-entropy of the scores: all classes belong to it, not only the score of the true one.",
)
checks.assert_close(
    answer,
    torch.tensor([[[[0.6, 0.4, 0.5]]]], device=here),
    name="attacked image",
    hint="Every pixel moves by ε, up or down, or stays where the slope is 0: the sign of the slope, not the slope "
    "itself. What is cut to [0, 1] is the image, not the step.",
)
checks.assert_close(
    fgsm(net, x, torch.tensor([1], device=here), 0.7),
    torch.tensor([[[[0.0, 1.0, 0.5]]]], device=here),
    name="attacked image where class 1 is the true one, ε = 0.7",
    hint="Cut it to [0, 1] at the end: it must stay an image. t is the true class, whose loss is to rise.",
)
checks.assert_equal(
    beside(fgsm, traces, net),
    UNTOUCHED,
    name="what is left on the net",
    hint="torch.autograd.grad with respect to the image leaves no gradient in the weights. The mode stays as it was.",
)
x, t = images(2, 4, 3, 8, 8), torch.tensor([0, 1, 2, 3], device=here)
checks.assert_close(
    fgsm(beside(fgsm, small_net, 2), x, t, 0.05),
    look.fgsm(small_net(2), x, t, 0.05),
    name="four attacked images of a convolutional net",
    hint="The loss is the cross-entropy of the scores with the true classes, each image with its own.",
)
net, x, t = beside(fgsm, norm_net, 3), images(3, 4, 1, 5, 5), torch.tensor([0, 1, 2, 1], device=here)
answer = fgsm(net, x, t, 0.05)
checks.assert_close(
    beside(fgsm, state_of, net),
    state_of(norm_net(3)),
    name="statistics of a net with batch norm",
    hint="In training mode batch norm learns from every image that it sees. Attack the net in the mode it comes in.",
)
checks.assert_close(
    answer,
    look.fgsm(norm_net(3), x, t, 0.05),
    name="four attacked images of a net with batch norm",
    hint="Attack the net in the mode it comes in, which is evaluation mode.",
)
print("fgsm: passed")
### BEGIN HIDDEN TESTS
fresh = fresh_seed(checks.fresh("fgsm"))
fresh_x, fresh_t = images(fresh, 5, 3, 6, 8), torch.tensor([3, 1, 2, 0, 1], device=here)
checks.assert_close(
    fgsm(beside(fgsm, small_net, fresh), fresh_x, fresh_t, 0.11),
    reference.fgsm(small_net(fresh), fresh_x, fresh_t, 0.11),
    name="attacked images of another net",
    hint="clip(x + ε·sign(∇J)).",
)
### END HIDDEN TESTS

# %% tests="fgsm:accuracy" points=1
for function in ("fgsm", "accuracy_against"):
    checks.assert_by_hand(function, without=READY, hint="Attack with each ε, and count what is still right.")
# class 1 is named where the second pixel is above half of the first, which is 1 before an attack
weights = torch.tensor([[0.5, 0.0], [0.0, 1.0]], device=here).reshape(2, 1, 1, 2)
net = beside(accuracy_against, linear_net, weights)
pixels = torch.tensor([0.1, 0.35, 0.45, 0.6, 0.9], device=here)
x = torch.stack([torch.ones_like(pixels), pixels], dim=1).reshape(5, 1, 1, 2)
t = torch.tensor([0, 0, 0, 1, 1], device=here)
answer = attempt(
    "The attack needs gradients: call fgsm outside of torch.no_grad().", accuracy_against, net, x, t, [0.0, 0.08, 0.35]
)
checks.assert_true(
    isinstance(answer, list) and len(answer) == 3 and all(isinstance(share, int | float) for share in answer),
    f"accuracy_against: found {answer!r:.60}, wanted a list of three Python numbers.",
    hint="One number for each ε, by .item().",
)
checks.assert_close(
    answer[0],
    1.0,
    name="accuracy at ε = 0, where nothing is attacked",
    hint="The share of images whose largest score is that of the true class, after an attack that does nothing.",
)
checks.assert_close(
    answer[1:],
    [0.8, 0.2],
    name="accuracy at ε = 0.08 and ε = 0.35",
    hint="Every ε attacks the original images, and the true classes stay what they are. Count what is still right.",
)
checks.assert_close(
    accuracy_against(net, x, torch.tensor([0, 1, 0, 1, 1], device=here), [0.3, 0.0]),
    [0.2, 0.8],
    name="accuracy at ε = 0.3 and ε = 0, where one image is named wrongly from the start",
    hint="In the order of the ε; and an image that is wrong from the start is not right.",
)
x = images(16, 20, 1, 5, 5)
t = norm_net(16)(x).argmax(dim=1)
checks.assert_close(
    accuracy_against(beside(accuracy_against, norm_net, 16), x, t, [0.0]),
    [1.0],
    name="accuracy at ε = 0 of a net with batch norm, on classes that it names itself",
    hint="Count in the mode in which the net comes: in training mode batch norm sees the other images, too.",
)
print("fgsm:accuracy: passed")
### BEGIN HIDDEN TESTS
fresh = fresh_seed(checks.fresh("fgsm"))
fresh_x = images(fresh, 60, 3, 6, 6)
fresh_t = small_net(fresh)(fresh_x).argmax(dim=1)
fresh_t[:10] = (fresh_t[:10] + 1) % 4
checks.assert_close(
    accuracy_against(beside(accuracy_against, small_net, fresh), fresh_x, fresh_t, [0.0, 0.01, 0.03, 0.1]),
    reference.accuracy_against(small_net(fresh), fresh_x, fresh_t, [0.0, 0.01, 0.03, 0.1]),
    atol=0.04,
    name="accuracy of another net against four ε",
    hint="The share that is still right after an attack with each ε.",
)
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 12. The smallest change (3 points)
#
# FGSM moves every pixel. How *little* does it take, in all, to make the net say a class $l$ of our choice? Szegedy and
# others (2014) ask for a change $r$ that is short and that fools, with the image still an image:
#
# $$\min_r\; c \lVert r \rVert^2 + J(x + r,\, l), \qquad x + r \in [0, 1].$$
#
# (The paper has $\lVert r \rVert$; with the square there is a slope at $r = 0$ too.) $J$ is the cross-entropy with the
# class $l$: here it is to be made **small**. The price $c$ decides: where it is high $r$ is short but fools nobody,
# where it is low $r$ fools but is long. So take the **highest price that still fools**.
#
# 1. `fooled_at` solves it for one price, by descent that is pushed back into the box after every step:
#    $r \leftarrow r - \varepsilon \nabla_r(\dots)$, then $r \leftarrow \mathrm{clip}_{[0,1]}(x + r) - x$, from $r = 0$.
#    It takes all `steps` steps, also when the net is fooled earlier: the price then pulls $r$ back.
# 2. `minimal_change` tries the prices from the highest down. Each image keeps the change of the **first** price at
#    which the net says its class $l$ (the largest of its scores), and 0 if none does.
#
# Every image of a batch has its own $r$, as if it were alone. A number: one pixel at $x = 0.5$ and scores $(0, 4x)$,
# with $l = 0$: then $\nabla J = 4\, p_1 = 4 / (1 + e^{-2}) = 3.52$, and one step with $\varepsilon = 0.1$ leads to
# $r = -0.35$.
#
# | name | shape | what |
# |---|---|---|
# | `x` | (N, C, H, W) | images in [0, 1] |
# | `targets` | (N,) `int64` | the class $l$ that each image is to be taken for |
# | `price` / `prices` | number / list of numbers | $c$; the list in any order |
# | `steps`, `rate` | numbers | how many steps, $\varepsilon$ |
# | result of each | (N, C, H, W) | $r$ |


# %% solution="minimal_change"
def fooled_at(net: torch.nn.Module, x: Tensor, targets: Tensor, price: float, steps: int, rate: float) -> Tensor:
    """r (N, C, H, W) after `steps` steps on c‖r‖² + J(x + r, l) from r = 0, each followed by a push into the box.

    x: images in [0, 1].   targets: l (N,) int64.   price: c.
    """
    ### BEGIN SOLUTION
    r = torch.zeros_like(x)
    for _ in range(steps):
        r.requires_grad_()
        loss = torch.nn.functional.cross_entropy(net(x + r), targets, reduction="sum")
        (slope,) = torch.autograd.grad(loss + price * r.square().sum(), r)
        r = (x + r - rate * slope).detach().clamp(0, 1) - x
    return r
    ### END SOLUTION


def minimal_change(
    net: torch.nn.Module, x: Tensor, targets: Tensor, prices: list[float], steps: int, rate: float
) -> Tensor:
    """r (N, C, H, W) of the highest price at which the net says l of x + r, image by image; 0 where none does."""
    ### BEGIN SOLUTION
    best = torch.zeros_like(x)
    done = torch.zeros_like(targets, dtype=torch.bool)
    for price in sorted(prices, reverse=True):
        r = fooled_at(net, x, targets, price, steps, rate)
        with torch.no_grad():
            new = (net(x + r).argmax(dim=1) == targets) & ~done  # (N,)
        best[new] = r[new]
        done |= new
    return best
    ### END SOLUTION


# %% tests="minimal_change" points=2
checks.assert_by_hand("fooled_at", without=(*READY, "torch.optim"), hint="Plain descent on r, and a clip.")
weights = torch.tensor([0.0, 4.0], device=here).reshape(2, 1, 1, 1)
net = beside(fooled_at, linear_net, weights)
x, zero = torch.full((1, 1, 1, 1), 0.5, device=here), torch.tensor([0], device=here)
step = 0.4 / (1 + math.exp(-2))
checks.assert_equal(
    beside(fooled_at, altered, fooled_at, net, x.clone(), zero, 1.0, 1, 0.1),
    [],
    name="arguments that fooled_at changed (0 the net, 1 the images, 2 the classes)",
    hint="Only r changes.",
)
answer = fooled_at(net, x, zero, 1.0, 1, 0.1)
checks.assert_shape(answer, (1, 1, 1, 1), name="r", hint="A change for each pixel.")
checks.assert_true(not answer.requires_grad, "r holds on to the graph.", hint="Detach it after each step.")
checks.assert_true(
    abs(answer.item() - (0.5 - step)) > 1e-3,
    "r: found the changed image, wanted the change.",
    hint="Return r, not x + r: clip(x + r) − x.",
)
checks.assert_true(
    answer.item() <= 0,
    f"r: found {answer.item():.3f}, though class 0 likes the pixel dark.",
    hint="Descend: the loss of the class that you want to hear is to become small.",
)
checks.assert_true(
    answer.item() < 0,
    "r: found 0 after one step, though class 0 likes the pixel dark.",
    hint="r may be negative: clip the image x + r, not r. And J is the cross-entropy: all scores belong to it.",
)
checks.assert_close(
    answer,
    torch.full((1, 1, 1, 1), -step, device=here),
    name="r after one step from 0, ε = 0.1",
    hint="At r = 0 the price has no slope, and ∇J = 4·p₁ = 4/(1 + e⁻²): r = −0.1 of that.",
)
half = step / 2
second = -half - 0.05 * (4 / (1 + math.exp(-4 * (0.5 - half))) - 2 * 0.8 * half)
checks.assert_close(
    fooled_at(net, x, zero, 0.8, 2, 0.05),
    torch.full((1, 1, 1, 1), second, device=here),
    rtol=1e-3,
    name="r after two steps with the price 0.8, ε = 0.05",
    hint="The slope at r is that of J at x + r, plus 2·c·r: the square of the length, times the price.",
)
answer = fooled_at(net, x, torch.tensor([1], device=here), 0.0, 30, 1.0)
checks.assert_true(
    answer.item() != 0,
    "r: found 0 after thirty steps towards a class that the net says from the start.",
    hint="Take all steps, also when the net is fooled already.",
)
checks.assert_close(
    answer,
    torch.full((1, 1, 1, 1), 0.5, device=here),
    name="r after thirty long steps towards class 1",
    hint="x + r stays in [0, 1]: r = clip(x + r) − x, so 0.5 at most here. Clip the image, not the change.",
)
checks.assert_close(
    fooled_at(net, x, zero, 4.0, 2, 0.3),
    torch.full((1, 1, 1, 1), 0.1, device=here),
    rtol=1e-3,
    name="r after two steps with the price 4, ε = 0.3",
    hint="The first step ends at r = −0.5, pushed back into the box. There the slope is 4/2 − 2·4·0.5 = −2: r = 0.1. "
    "Push after every step, not only in the end.",
)
pair, both = torch.cat([x, x / 2]), torch.tensor([0, 1], device=here)
checks.assert_close(
    fooled_at(net, pair, both, 0.7, 3, 0.05),
    torch.cat([fooled_at(net, x, zero, 0.7, 3, 0.05), fooled_at(net, x / 2, both[1:], 0.7, 3, 0.05)]),
    rtol=1e-3,
    name="two images at once, against one at a time",
    hint="Each image descends as if it were alone: add the losses up, no mean over the batch.",
)
checks.assert_equal(
    beside(fooled_at, traces, net),
    UNTOUCHED,
    name="what is left on the net",
    hint="torch.autograd.grad with respect to r leaves no gradient in the weights. The mode stays as it was.",
)
print("minimal_change: passed")
### BEGIN HIDDEN TESTS
fresh = fresh_seed(checks.fresh("minimal_change"))
fresh_x, fresh_t = images(fresh, 3, 3, 6, 5), torch.tensor([3, 1, 0], device=here)
checks.assert_close(
    fooled_at(beside(fooled_at, small_net, fresh), fresh_x, fresh_t, 0.2, 6, 0.5),
    reference.fooled_at(small_net(fresh), fresh_x, fresh_t, 0.2, 6, 0.5),
    rtol=1e-3,
    atol=1e-5,
    name="r for other images after six steps",
    hint="r − ε·(∇J(x + r, l) + 2cr), and x + r pushed back into [0, 1].",
)
### END HIDDEN TESTS

# %% tests="minimal_change:price" points=1
for function in ("fooled_at", "minimal_change"):
    checks.assert_by_hand(function, without=(*READY, "torch.optim"), hint="Plain descent on r, price by price.")
# class 1 is named where the second pixel is above half of the first, which is 1 at the start
weights = torch.tensor([[2.0, 0.0], [0.0, 4.0]], device=here).reshape(2, 1, 1, 2)
net = beside(minimal_change, linear_net, weights)
pixels = torch.tensor([0.4, 0.1, 0.9], device=here)
x = torch.stack([torch.ones_like(pixels), pixels], dim=1).reshape(3, 1, 1, 2)
targets, prices = torch.tensor([1, 1, 1], device=here), [0.5, 8.0, 2.0]
trusted = linear_net(weights)
answer = minimal_change(net, x, targets, prices, 60, 0.05)
checks.assert_shape(answer, (3, 1, 1, 2), name="r", hint="A change for each pixel of each image.")
checks.assert_equal(
    trusted(x + answer).argmax(dim=1).tolist(),
    [1, 1, 1],
    name="what the net says of the changed images",
    hint="A lower price fools where a higher one does not: go on down the list for images that are not fooled yet.",
)
tried = {price: fooled_at(net, x, targets, price, 60, 0.05) for price in prices}
fools = {price: (trusted(x + r).argmax(dim=1) == 1).tolist() for price, r in tried.items()}
for n in range(3):
    highest = max((price for price in prices if fools[price][n]), default=min(prices))
    checks.assert_close(
        answer[n],
        tried[highest][n],
        rtol=1e-3,
        atol=1e-5,
        name=f"r of the image whose pixel is {pixels[n]:.1f}",
        hint=f"Its highest price that fools is {highest:g}: go from the highest down, whatever the order of the list, "
        "and keep the first that fools, image by image.",
    )
checks.assert_close(
    minimal_change(net, x[1:2], targets[:1], [8.0, 2.0], 3, 0.05),
    fooled_at(net, x[1:2], targets[:1], 2.0, 3, 0.05),
    rtol=1e-3,
    atol=1e-5,
    name="r of the second image after three steps at each price, of which the lower one fools",
    hint="Every price begins anew, from r = 0, not where the last one ended.",
)
checks.assert_close(
    minimal_change(net, x[1:2], targets[:1], [1000.0], 60, 1e-4),
    torch.zeros_like(x[1:2]),
    name="r of an image that no price fools",
    hint="A change that fools nobody is worth nothing: 0.",
)
print("minimal_change:price: passed")
### BEGIN HIDDEN TESTS
fresh = fresh_seed(checks.fresh("minimal_change"))
fresh_x = images(fresh, 6, 1, 1, 2)
fresh_l = 1 - linear_net(weights)(fresh_x).argmax(dim=1)
fresh_prices = [0.3, 6.0, 1.0, 3.0]
checks.assert_close(
    minimal_change(net, fresh_x, fresh_l, fresh_prices, 50, 0.05),
    reference.minimal_change(trusted, fresh_x, fresh_l, fresh_prices, 50, 0.05),
    rtol=1e-3,
    atol=1e-4,
    name="r for other images",
    hint="The r of the highest price that fools, image by image.",
)
### END HIDDEN TESTS

# %% explore="how_little_it_takes"
# explore: digits that are taken for the next higher one, and by how little. Try other targets and prices
net, x = digits_net(), test_x[:6]
targets = (test_t[:6] + 1) % 10
r = minimal_change(net, x, targets, [0.01, 0.03, 0.1, 0.3, 1.0], 200, 0.1)
says = net(x + r).argmax(dim=1)
figure, axes = plt.subplots(2, 6, figsize=(10, 3.6))
for n in range(6):
    axes[0, n].imshow(x[n, 0].cpu(), cmap="gray", vmin=0, vmax=1)
    axes[1, n].imshow((x + r)[n, 0].cpu(), cmap="gray", vmin=0, vmax=1)
    axes[0, n].set_title(f"{test_t[n].item()}")
    axes[1, n].set_title(f"{says[n].item()}, ‖r‖ = {r[n].norm().item():.2f}", fontsize=9)
for axis in axes.flat:
    axis.axis("off")
plt.show()

# %% [markdown]
# ### Exercise 13. Training against it (4 points)
#
# A net that has met attacks while it learned stands them better. **Adversarial training** (Goodfellow et al., 2015)
# minimises, on every batch,
#
# $$\alpha\, J(x, t) + (1 - \alpha)\, J(x', t), \qquad x' = \text{attack}(x).$$
#
# In words: a part of the loss on the images as they are, the rest on images that are attacked *now*, with the weights
# of this moment. Both $J$ are means over the batch. Write one epoch: for each batch
#
# 1. attack it, with the net in **evaluation** mode: the net that will be attacked later is one in that mode;
# 2. take one step of plain descent on the loss above, $w \leftarrow w - \varepsilon \nabla_w$, with the net in
#    **training** mode: a forward pass for $x$, then one for $x'$. Nothing is differentiated through the attack: $x'$ is
#    data, and gradients that an attack may have left in the weights do not belong to the step.
#
# In the end the net is in evaluation mode, and no gradient is left in its `.grad`. The net is changed, that is the
# point; what you return are the losses. `torch.optim.SGD` is welcome.
#
# | name | shape | what |
# |---|---|---|
# | `net` | | changed in place; with or without batch norm |
# | `attack` | function | `attack(net, x, t, strength)` gives attacked images, as `fgsm` does |
# | `X`, `t` | (n, C, H, W), (n,) | images and classes |
# | `batches` | list of (b,) `int64` | which images each step takes |
# | `strength` | number | handed to the attack |
# | `rate`, `share` | numbers | $\varepsilon$ of the descent, $\alpha$ |
# | result | (len(batches),) | the loss of each batch before its step |
#
# The second tests cell takes the course's net that reads digits and gives it one such epoch on `device()`. **Standard
# accuracy** is the share of untouched digits that it reads, **robust accuracy** that of attacked ones.

# %% setup="attacks"


def brighten(net: torch.nn.Module, x: Tensor, t: Tensor, strength: float) -> Tensor:
    """An attack to test with: all pixels get brighter, by twice as much if the net is in training mode."""
    return (x + strength * (1 + net.training)).clamp(0, 1)


def careless(net: torch.nn.Module, x: Tensor, t: Tensor, strength: float) -> Tensor:
    """`brighten`, which leaves gradients in the weights as well."""
    torch.nn.functional.cross_entropy(net(x), t).backward()
    return brighten(net, x, t, strength)


def glare(net: torch.nn.Module, x: Tensor, t: Tensor, strength: float) -> Tensor:
    """An attack whose result hangs on the net's weights, with a graph behind it: the surer the net, the brighter."""
    chance = net(x).softmax(dim=1).gather(1, t[:, None])  # (N, 1)
    return x * (1 + strength * chance[:, :, None, None])


def batches_of(size: int, n: int, seed: int) -> list[Tensor]:
    """All numbers below n in random order, `size` at a time."""
    return list(torch.randperm(n, generator=torch.Generator().manual_seed(seed)).to(here).split(size))


# %% solution="adversarial_epoch"
def adversarial_epoch(
    net: torch.nn.Module,
    attack: Callable,
    X: Tensor,
    t: Tensor,
    batches: list[Tensor],
    strength: float,
    rate: float,
    share: float = 0.5,
) -> Tensor:
    """One step of descent a batch on α·J(x) + (1 − α)·J(attacked x); the net is changed. Returns the losses.

    attack: (net, x, t, strength) to images.   X: (n, C, H, W).   t: (n,) int64.   batches: indices.   share: α.
    """
    ### BEGIN SOLUTION
    optimizer = torch.optim.SGD(net.parameters(), lr=rate)
    losses = []
    for batch in batches:
        x, classes = X[batch], t[batch]
        net.eval()
        attacked = attack(net, x, classes, strength).detach()
        net.train()
        loss = share * torch.nn.functional.cross_entropy(net(x), classes)
        loss = loss + (1 - share) * torch.nn.functional.cross_entropy(net(attacked), classes)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    optimizer.zero_grad()
    net.eval()
    return torch.stack(losses)
    ### END SOLUTION


# %% tests="adversarial_epoch" points=2
checks.assert_by_hand("adversarial_epoch", without=READY, hint="The attack is handed to you; the step is yours.")
# one pixel, two classes, weights 0: the first loss is log 2, whatever the image
pixel = torch.tensor([0.2, 0.6], device=here).reshape(2, 1, 1, 1)
t, one = torch.tensor([1, 0], device=here), [torch.tensor([0], device=here)]
net = beside(adversarial_epoch, linear_net, torch.zeros(2, 1, 1, 1, device=here))
other = beside(adversarial_epoch, linear_net, torch.zeros(2, 1, 1, 1, device=here))
checks.assert_equal(
    beside(adversarial_epoch, altered, adversarial_epoch, other, brighten, pixel.clone(), t, one, 0.3, 1.0, 0.25),
    [],
    name="arguments that adversarial_epoch changed (2 the images, 3 the classes)",
    hint="Images are data; only the net learns.",
)
losses = adversarial_epoch(net, brighten, pixel, t, one, 0.3, 1.0, 0.25)
checks.assert_shape(losses, (1,), name="losses", hint="One for each batch, before its step.")
checks.assert_true(not losses.requires_grad, "The losses hold on to the graph.", hint="Keep loss.detach().")
checks.assert_close(
    losses,
    torch.tensor([math.log(2)], device=here),
    rtol=1e-4,
    name="loss before the first step, all weights 0",
    hint="α of the one mean loss and 1 − α of the other: 0.25·log 2 + 0.75·log 2, measured before the step.",
)
checks.assert_close(
    beside(adversarial_epoch, state_of, net)["1.weight"].flatten(),
    torch.tensor([-1.0, 1.0], device=here) * 0.5 * (0.25 * 0.2 + 0.75 * 0.5),
    rtol=1e-4,
    name="weights after one step on the pixel 0.2, which is attacked to 0.5, α = 0.25, ε = 1",
    hint="∇ = (p − [class])·pixel: α of the clean pixel, 0.2, and 1 − α of the attacked one, 0.5 (0.8 if the net is "
    "attacked in training mode). Go down the slope.",
)
checks.assert_equal(
    beside(adversarial_epoch, traces, net),
    UNTOUCHED,
    name="what is left on the net",
    hint="At the end: evaluation mode, and no gradients, optimizer.zero_grad().",
)
x, t = images(5, 6, 1, 5, 5), torch.tensor([0, 1, 2, 2, 1, 3], device=here)
batches, other = list(torch.arange(6, device=here).split(3)), small_net(5, 1)
wanted = []  # losses of two steps against an attack that follows the weights, written out
for batch in batches:
    attacked = glare(other, x[batch], t[batch], 4.0).detach()
    loss = sum(torch.nn.functional.cross_entropy(other(v), t[batch]) for v in (x[batch], attacked)) / 2
    slopes = torch.autograd.grad(loss, list(other.parameters()))
    wanted.append(loss.detach())
    with torch.no_grad():
        for weight, slope in zip(other.parameters(), slopes, strict=True):
            weight -= 0.5 * slope
    if batch is batches[0]:
        net = beside(adversarial_epoch, small_net, 5, 1)
        checks.assert_close(
            adversarial_epoch(net, glare, x, t, batches[:1], 4.0, 0.5),
            torch.stack(wanted),
            rtol=1e-3,
            name="loss of the first batch",
            hint="Means over the batch; and α is 0.5 if nothing else is said.",
        )
        checks.assert_close(
            beside(adversarial_epoch, state_of, net),
            state_of(other),
            rtol=1e-3,
            atol=1e-5,
            name="weights after a step on images that an attack made with a graph behind them",
            hint="Nothing is differentiated through the attack: attack(…).detach(). And plain descent, on every weight "
            "and bias.",
        )
losses = adversarial_epoch(beside(adversarial_epoch, small_net, 5, 1), glare, x, t, batches, 4.0, 0.5)
checks.assert_shape(losses, (2,), name="losses of two batches", hint="A step for each batch, and the loss of each.")
checks.assert_close(
    losses,
    torch.stack(wanted),
    rtol=1e-3,
    name="losses of two batches against an attack that follows the weights",
    hint="Each batch is attacked with the weights of this moment, not with those of the beginning.",
)
before = norm_net(4)
start, x, t = state_of(before), images(4, 6, 1, 5, 5), torch.tensor([0, 1, 2, 2, 1, 0], device=here)
batches = [torch.tensor(numbers, device=here) for numbers in ([0, 1, 2], [5, 3, 4], [2, 4])]
net = beside(adversarial_epoch, norm_net, 4)
losses = adversarial_epoch(net, look.fgsm, x, t, batches, 0.1, 0.5)
state = beside(adversarial_epoch, state_of, net)
checks.assert_equal(
    state["1.num_batches_tracked"].item() - start["1.num_batches_tracked"].item(),
    6,
    name="batches that batch norm has seen in three steps",
    hint="Two forward passes a step in training mode, one for x and one for the attacked images; the attack itself is "
    "in evaluation mode and teaches batch norm nothing.",
)
# the same, once more, written out
for number, batch in enumerate(batches):
    attacked = look.fgsm(before.eval(), x[batch], t[batch], 0.1)
    before.train()
    clean, fooled = (torch.nn.functional.cross_entropy(before(v), t[batch]) for v in (x[batch], attacked))
    slopes = torch.autograd.grad((clean + fooled) / 2, list(before.parameters()))
    checks.assert_close(
        losses[number],
        ((clean + fooled) / 2).detach(),
        rtol=1e-3,
        name=f"loss of batch {number}",
        hint="Step by the gradient of this batch alone: zero_grad before each backward, for the last batch's are still "
        "there, and an attack may have left some too.",
    )
    with torch.no_grad():
        for weight, slope in zip(before.parameters(), slopes, strict=True):
            weight -= 0.5 * slope
checks.assert_close(
    state,
    state_of(before),
    rtol=1e-3,
    atol=1e-4,
    name="weights and statistics after three steps of a net with batch norm",
    hint="Every weight steps, batch norm's too; and its running statistics see x first, then the attacked images.",
)
net = beside(adversarial_epoch, linear_net, torch.zeros(2, 1, 1, 1, device=here))
adversarial_epoch(net, careless, pixel, torch.tensor([1, 0], device=here), one, 0.3, 1.0, 0.25)
checks.assert_close(
    beside(adversarial_epoch, state_of, net)["1.weight"].flatten(),
    torch.tensor([-1.0, 1.0], device=here) * 0.5 * (0.25 * 0.2 + 0.75 * 0.5),
    rtol=1e-4,
    name="weights after one step on the pixel 0.2, by an attack that left gradients in them",
    hint="What an attack leaves in .grad does not belong to the step: zero_grad() after the attack, before backward().",
)
print("adversarial_epoch: passed")
### BEGIN HIDDEN TESTS
fresh = fresh_seed(checks.fresh("adversarial_epoch"))
fresh_x, fresh_t = images(fresh, 20, 1, 6, 6), torch.arange(20, device=here) % 3
net, expected = beside(adversarial_epoch, norm_net, fresh), norm_net(fresh)
fresh_batches = batches_of(8, 20, fresh)
checks.assert_close(
    adversarial_epoch(net, brighten, fresh_x, fresh_t, fresh_batches, 0.1, 0.3, 0.7),
    reference.adversarial_epoch(expected, brighten, fresh_x, fresh_t, fresh_batches, 0.1, 0.3, 0.7),
    rtol=1e-3,
    atol=1e-4,
    name="losses of three steps of another net",
    hint="α·J(x) + (1 − α)·J(x′), before each step.",
)
checks.assert_close(
    beside(adversarial_epoch, state_of, net),
    state_of(expected),
    rtol=1e-3,
    atol=1e-4,
    name="weights and statistics of another net after three steps",
    hint="Attack in evaluation mode, step in training mode.",
)
### END HIDDEN TESTS

# %% tests="adversarial_epoch:digits" points=2
checks.assert_by_hand("adversarial_epoch", without=READY, hint="The attack is handed to you; the step is yours.")
attacked_x = look.fgsm(digits_net(), test_x, test_t, 0.1)
was = share_right(digits_net(), test_x, test_t), share_right(digits_net(), attacked_x, test_t)
net, judged = beside(adversarial_epoch, digits_net), digits_net()
adversarial_epoch(net, look.fgsm, digits_x, digits_t, batches_of(32, len(digits_x), 1), 0.1, 0.05)
judged.load_state_dict(beside(adversarial_epoch, state_of, net))
standard = share_right(judged, test_x, test_t)
robust = share_right(judged, look.fgsm(judged, test_x, test_t, 0.1), test_t)
print(f"standard accuracy {was[0]:.1%} → {standard:.1%}, robust accuracy at ε = 0.1: {was[1]:.1%} → {robust:.1%}")
checks.assert_in_range(
    robust,
    was[1] + 0.1,
    1.0,
    name="robust accuracy after one epoch",
    hint="It should rise by more than a tenth: is the attacked part in the loss, and the step downhill, at every "
    "batch?",
)
checks.assert_in_range(
    standard,
    0.93,
    1.0,
    name="standard accuracy after one epoch",
    hint="It should not fall much: is the clean part in the loss, with its share α?",
)
print("adversarial_epoch:digits: passed")
### BEGIN HIDDEN TESTS
fresh = fresh_seed(checks.fresh("adversarial_epoch"))
net, expected = beside(adversarial_epoch, digits_net), digits_net()
fresh_batches = batches_of(40, len(digits_x), fresh)[:8]
losses = adversarial_epoch(net, look.fgsm, digits_x, digits_t, fresh_batches, 0.08, 0.05, 0.6)
checks.assert_shape(losses, (8,), name="losses of eight batches", hint="One for each batch, before its step.")
checks.assert_close(
    losses[:2],
    reference.adversarial_epoch(expected, look.fgsm, digits_x, digits_t, fresh_batches, 0.08, 0.05, 0.6)[:2],
    rtol=1e-2,
    atol=1e-3,
    name="the first losses on digits in another order",
    hint="α·J(x) + (1 − α)·J(x′).",
)
judged.load_state_dict(beside(adversarial_epoch, state_of, net))
checks.assert_close(
    share_right(judged, look.fgsm(judged, test_x, test_t, 0.08), test_t),
    share_right(expected, look.fgsm(expected, test_x, test_t, 0.08), test_t),
    atol=0.05,
    name="robust accuracy after eight other batches",
    hint="One step a batch, on both parts of the loss.",
)
### END HIDDEN TESTS

# %% explore="two_curves"
# explore: the plot for the question below. Two nets that name what is drawn in a scene, of the same build: one trained
# as usual, one trained against attacks. Accuracy against ε, and what the two look at
nets = {"standard": shapes_net(), "robust": trained.load("shapes_robust").to(here)}
epsilons = [0.0, 0.005, 0.01, 0.02, 0.03, 0.04]
some = data.shapes(300, split="test", device=here)
accuracies = {name: accuracy_against(net, some.images, some.labels, epsilons) for name, net in nets.items()}
figure = plt.figure(figsize=(11, 4))
curves = figure.add_subplot(1, 2, 1, xlabel="ε", ylabel="accuracy", ylim=(0, 1), xticks=[0, 0.01, 0.02, 0.03, 0.04])
for row, (name, net) in enumerate(nets.items()):
    curves.plot(epsilons, accuracies[name], "o-", label=name)
    maps = saliency(net, some.images, some.labels)
    scores = pointing_game(maps, some.masks[:, 0]).mean(), energy_inside(maps, some.masks[:, 0]).mean()
    print(f"{name}: saliency points at the object in {scores[0]:.0%}, {scores[1]:.0%} of its energy is inside")
    for column, picture in enumerate([some.images[7].permute(1, 2, 0), maps[7]]):
        axis = figure.add_subplot(2, 4, 4 * row + column + 3)
        axis.imshow(picture.cpu())
        axis.set_title(name if column == 0 else "its saliency", fontsize=9)
        axis.axis("off")
curves.legend()
plt.show()

# %% [markdown]
# ### Question 14. Read your plot (3 points)
#
# Look at the two curves, the two saliency maps and the printed scores of the cell above. (It uses your answers to
# exercises 4, 8 and 11. Where you have none, write `look.saliency`, `look.pointing_game`, `look.energy_inside` or
# `look.fgsm` in its place there: the plot is not graded.) One point for each, in a few sentences:
#
# 1. What does the robust net lose at $\varepsilon = 0$, and what does it gain at larger $\varepsilon$? Give the numbers
#    that you read at three places of the curves.
# 2. An image has $3 \cdot 32 \cdot 32$ pixels. Why can a change that no eye notices turn the answer of a net that is
#    almost linear? (Exercise 11 says it.)
# 3. Does the robust net look at the object more? Say what the two pictures suggest, what the scores over three hundred
#    scenes say, and what you may claim.

# %% [markdown] manual="reading_the_curves" points=3
# 1. At ε = 0 the two name nearly the same share, 94 % and 93 %: one point is the price. At every other ε the robust net
#    is ahead: at 0.01 about 70 % against 53 %, at 0.02 about 47 % against 22 %. Up to 0.01 its curve falls little
#    more than half as steeply.
# 2. Every pixel moves by ε in the direction that its slope says, so a score changes by ε·Σ|∂S/∂x|: a sum of 3072 small
#    numbers, all with the same sign. It grows with the number of pixels, while no pixel changes by more than ε.
# 3. In the picture the robust net's map seems to follow the outline of the object. The scores say less: the pointing
#    game is about the same for both (56 % and 54 %), and only a little more of the robust map's energy lies inside
#    (34 % against 30 %). One may claim that its maps are somewhat more on the object, not that they find it better: one
#    picture proves nothing.

# %% [markdown]
# ## What you can do now
#
# You can record what flows through a net and leave no hook behind, find dead units, tell ill filters from healthy ones
# by numbers, make four maps of where a net looks and say how CAM and Grad-CAM are related, score a map against the
# truth, draw what a net means by a class and what a layer still knows of an image, fool a net with one step and with
# the smallest change that does it, and train one that stands it better.
