# Right answers to `architectures`, written differently. Each must get full marks on every seed.


# %% alternative="one_walk" exercise="costs"
# both budgets in one walk over the layers, with dictionaries instead of branches
def walk(layers, input_shape):
    shapes = output_shapes(layers, input_shape)
    for before, after, layer in zip(shapes, shapes[1:], layers):
        inputs = {"conv": lambda: before[0] * layer[2] ** 2, "fc": lambda: math.prod(before)}.get(layer[0], int)()
        yield inputs, after


def parameters(layers, input_shape):
    return [after[0] * (inputs + 1) if inputs else 0 for inputs, after in walk(layers, input_shape)]


def multiply_adds(layers, input_shape):
    return [inputs * math.prod(after) for inputs, after in walk(layers, input_shape)]


# %% alternative="match" exercise="costs"
# pattern matching; NumPy for the products
import numpy as np


def parameters(layers, input_shape):
    counts = []
    for layer, shape in zip(layers, output_shapes(layers, input_shape)):
        match layer:
            case ("conv", out, k, *_):
                counts.append(out * shape[0] * k * k + out)
            case ("fc", units):
                counts.append(int(np.prod(shape)) * units + units)
            case _:
                counts.append(0)
    return counts


def multiply_adds(layers, input_shape):
    counts, shapes = [], output_shapes(layers, input_shape)
    for i, layer in enumerate(layers):
        match layer:
            case ("conv", out, k, *_):
                _, rows, columns = shapes[i + 1]
                counts.append(rows * columns * out * shapes[i][0] * k * k)
            case ("fc", units):
                counts.append(int(np.prod(shapes[i])) * units)
            case _:
                counts.append(0)
    return counts


# %% alternative="work_from_parameters" exercise="costs"
# takes the biases off the parameters and counts the places
def parameters(layers, input_shape):
    def one(layer, before):
        match layer:
            case ("conv", k, size, _, _):
                return k * before[0] * size * size + k
            case ("fc", units):
                return units * math.prod(before) + units
        return 0

    return [one(*pair) for pair in zip(layers, output_shapes(layers, input_shape))]


def multiply_adds(layers, input_shape):
    weights = parameters(layers, input_shape)
    shapes = output_shapes(layers, input_shape)
    result = []
    for layer, p, after in zip(layers, weights, shapes[1:]):
        if p == 0:
            result.append(0)
        else:
            places = after[1] * after[2] if len(after) == 3 else 1
            result.append((p - after[0]) * places)
    return result


# %% alternative="loop" exercise="memory"
# layer by layer
def memory(parameters, activations, batch):
    kept, largest = 0, 0
    for i in range(1, len(activations)):
        kept += batch * activations[i]
        largest = max(largest, batch * (activations[i - 1] + activations[i]))
    return [12 * parameters + 4 * kept, 4 * parameters + 4 * largest]


# %% alternative="tensors" exercise="memory"
# sums of neighbours in one tensor
def memory(parameters, activations, batch):
    sizes = torch.tensor(activations)
    training = 3 * parameters + batch * int(sizes[1:].sum())
    testing = parameters + batch * int((sizes[:-1] + sizes[1:]).max())
    return [4 * training, 4 * testing]


# %% alternative="from_the_end" exercise="receptive_fields"
# for each layer anew, from the layer back to the picture: one output needs k, and s pixels more for each further one
def receptive_fields(layers):
    fields = []
    for last in range(len(layers)):
        side = 1
        for kind, *sizes in reversed(layers[: last + 1]):
            if kind == "fc":
                side = None
                break
            if kind == "conv":
                side = (side - 1) * sizes[2] + sizes[1]
            elif kind == "pool":
                side = (side - 1) * sizes[1] + sizes[0]
        fields.append(side)
    return fields


# %% alternative="two_states" exercise="receptive_fields"
# the same recurrence with a flag
def receptive_fields(layers: list) -> list:
    r, j, whole, found = 1, 1, False, []
    for layer in layers:
        whole = whole or layer[0] == "fc"
        k, s = {"conv": layer[2:4], "pool": layer[1:3]}.get(layer[0], (1, 1))
        r, j = r + (k - 1) * j, j * s
        found.append(None if whole else r)
    return found


# %% alternative="recursive_descent" exercise="blueprint"
# a function for every rule of the grammar
class Reader:
    def __init__(self, text):
        self.tokens, self.place = tokens_of(text), 0

    @property
    def next(self):
        return self.tokens[self.place][0]

    def expect(self, *wanted):
        token, column = self.tokens[self.place]
        if token in wanted or ("number" in wanted and token.isdecimal()):
            self.place += 1
            return token
        raise ValueError(f"At column {column} stands {token!r}, and it should be one of: {', '.join(wanted)}.")

    def repeated(self, layers):
        self.expect("*")
        return layers * int(self.expect("number"))

    def net(self):
        self.expect("INPUT")
        self.expect("->")
        layers = ["INPUT"]
        while self.expect("[", "FC") == "[":
            if self.expect("[", "FC") == "FC":
                return layers + self.head()
            layers += self.stage()
            self.expect("->")
        return self.finish(layers)

    def stage(self):
        for token in ("CONV", "->", "RELU", "]"):
            self.expect(token)
        inner = self.repeated(["CONV", "RELU"])
        if self.expect("->", "]") == "->":
            inner.append(self.expect("POOL"))
            self.expect("]")
        return self.repeated(inner)

    def head(self):
        for token in ("->", "RELU", "]"):
            self.expect(token)
        layers = self.repeated(["FC", "RELU"])
        self.expect("->")
        self.expect("FC")
        return self.finish(layers)

    def finish(self, layers):
        self.expect("the end")
        return [*layers, "FC"]


def blueprint(text):
    return Reader(text).net()


# %% alternative="automaton" exercise="blueprint"
# a table of states: what may come, and where it leads
STATES = {
    "start": {"INPUT": "input"},
    "input": {"->": "next"},
    "next": {"[": "open", "FC": "last"},
    "open": {"[": "stage", "FC": "head"},
    "stage": {"CONV": "conv"},
    "conv": {"->": "conv2"},
    "conv2": {"RELU": "conv3"},
    "conv3": {"]": "conv4"},
    "conv4": {"*": "inner"},
    "inner": {"number": "after"},
    "after": {"->": "pool", "]": "outer"},
    "pool": {"POOL": "pool2"},
    "pool2": {"]": "outer"},
    "outer": {"*": "outer2"},
    "outer2": {"number": "stage_done"},
    "stage_done": {"->": "next"},
    "head": {"->": "head2"},
    "head2": {"RELU": "head3"},
    "head3": {"]": "head4"},
    "head4": {"*": "head5"},
    "head5": {"number": "head_done"},
    "head_done": {"->": "only_last"},
    "only_last": {"FC": "last"},
    "last": {"the end": "done"},
}


def blueprint(text):
    state, layers, stage = "start", ["INPUT"], []
    for token, column in tokens_of(text):
        kind = "number" if token.isdecimal() else token
        moves = STATES[state]
        if kind not in moves:
            raise ValueError(f"{text} | column {column}: `{token}`, but wanted " + " / ".join(moves))
        if state == "inner":
            stage = ["CONV", "RELU"] * int(token)
        elif state == "pool":
            stage = [*stage, "POOL"]
        elif state == "outer2":
            layers = layers + stage * int(token)
        elif state == "head5":
            layers = layers + ["FC", "RELU"] * int(token)
        state = moves[kind]
    return (*layers, "FC")


# %% alternative="einsum" exercise="separable"
# every weight counted as one of a pair; einsum for the kernel
def separable_weights(fi, fo, k):
    depthwise, pointwise = fi * k**2, fi * fo
    return [fo * depthwise, depthwise + pointwise]


def separable_saves(fo, k):
    full, separable = separable_weights(1, fo, k)
    return separable < full


def full_kernel(depthwise, pointwise):
    return torch.einsum("oc,ckl->ockl", pointwise, depthwise)


# %% alternative="loops" exercise="separable"
# fractions instead of counts; the kernel channel by channel
def separable_weights(fi, fo, k):
    return (k**2 * fo * fi, (k**2 + fo) * fi)


def separable_saves(fo, k):
    return 1 / fo + 1 / k**2 < 1 - 1e-12


def full_kernel(depthwise, pointwise):
    kernel = torch.zeros(*pointwise.shape, *depthwise.shape[1:], dtype=depthwise.dtype, device=depthwise.device)
    for o in range(pointwise.shape[0]):
        for c in range(pointwise.shape[1]):
            kernel[o, c] = pointwise[o, c] * depthwise[c]
    return kernel


# %% alternative="list_of_pairs" exercise="vgg_stage"
# the channels as a list; a functional maximum is a module of its own
def stack_or_single(channels, n):
    side = 1
    for _ in range(n):
        side += 2
    return [side, n * (3 * channels) ** 2, (side * channels) ** 2]


def vgg_stage(in_channels, out_channels, n):
    channels = [in_channels] + [out_channels] * n
    stage = nn.Sequential()
    for i, (a, b) in enumerate(itertools.pairwise(channels)):
        stage.add_module(f"conv{i}", nn.Conv2d(a, b, kernel_size=(3, 3), padding="same"))
        stage.add_module(f"relu{i}", nn.ReLU(inplace=True))
    stage.add_module("pool", nn.MaxPool2d(kernel_size=2, stride=2))
    return stage


# %% alternative="pairs_inside" exercise="vgg_stage"
# a Sequential of Sequentials
def stack_or_single(channels, n):
    pair = channels * channels
    return 2 * n + 1, 9 * n * pair, (4 * n * n + 4 * n + 1) * pair


def vgg_stage(in_channels, out_channels, n):
    def pair(a):
        return nn.Sequential(nn.Conv2d(a, out_channels, 3, 1, 1), nn.ReLU())

    return nn.Sequential(pair(in_channels), *[pair(out_channels) for _ in range(n - 1)], nn.MaxPool2d(2, 2))


# %% alternative="named_layers" exercise="vgg_stage"
# layers with names; padding by its name
def stack_or_single(channels, n):
    side = 1
    row = 0
    for _ in range(n):
        side += 2
        row += 3 * 3 * channels * channels
    return [side, row, side * side * channels * channels]


def vgg_stage(in_channels, out_channels, n):
    net = nn.Sequential()
    for i in range(n):
        net.add_module(
            f"conv{i + 1}", nn.Conv2d((in_channels, out_channels)[i > 0], out_channels, (3, 3), padding="same")
        )
        net.add_module(f"relu{i + 1}", nn.ReLU())
    net.add_module("pool", nn.MaxPool2d(kernel_size=2, stride=2))
    return net


# %% alternative="modules" exercise="inception"
# ReLU and pooling as modules without weights; the counts by a helper
def convolution(come, to, kernel):
    return to + come * to * kernel * kernel


def inception_counts(channels, sizes, reduced):
    one, reduce3, three, reduce5, five, pool = sizes
    total = convolution(channels, one, 1)
    if not reduced:
        total += convolution(channels, three, 3) + convolution(channels, five, 5)
        return [one + three + five + channels, total]
    total += convolution(channels, reduce3, 1) + convolution(reduce3, three, 3)
    total += convolution(channels, reduce5, 1) + convolution(reduce5, five, 5)
    return [one + three + five + pool, total + convolution(channels, pool, 1)]


class Inception(nn.Module):
    def __init__(self, channels, sizes):
        super().__init__()
        self.pool, self.act = nn.MaxPool2d(3, stride=1, padding=1), nn.ReLU()
        self.project = nn.Conv2d(channels, sizes[5], kernel_size=1)
        self.reduce5 = nn.Conv2d(channels, sizes[3], kernel_size=1)
        self.five = nn.Conv2d(sizes[3], sizes[4], kernel_size=5, padding="same")
        self.reduce3 = nn.Conv2d(channels, sizes[1], kernel_size=1)
        self.three = nn.Conv2d(sizes[1], sizes[2], kernel_size=3, padding="same")
        self.one = nn.Conv2d(channels, sizes[0], kernel_size=1)

    def forward(self, x):
        branches = [
            self.one(x),
            self.three(self.act(self.reduce3(x))),
            self.five(self.act(self.reduce5(x))),
            self.project(self.pool(x)),
        ]
        return torch.cat([self.act(branch) for branch in branches], 1)


# %% alternative="windows" exercise="inception"
# the pooling by windows of a padded picture, each ReLU where it belongs
def inception_counts(channels, sizes, reduced):
    n1, r3, n3, r5, n5, p = sizes

    def c(i, o, k):
        return o * (i * k * k + 1)

    if reduced:
        return n1 + n3 + n5 + p, (
            c(channels, n1, 1)
            + c(channels, r3, 1)
            + c(r3, n3, 3)
            + c(channels, r5, 1)
            + c(r5, n5, 5)
            + c(channels, p, 1)
        )
    return n1 + n3 + n5 + channels, c(channels, n1, 1) + c(channels, n3, 3) + c(channels, n5, 5)


class Inception(nn.Module):
    def __init__(self, channels, sizes):
        super().__init__()
        n1, r3, n3, r5, n5, p = sizes
        self.one = nn.Conv2d(channels, n1, 1)
        self.reduce3 = nn.Conv2d(channels, r3, 1)
        self.three = nn.Conv2d(r3, n3, 3, padding=1)
        self.reduce5 = nn.Conv2d(channels, r5, 1)
        self.five = nn.Conv2d(r5, n5, 5, padding=2)
        self.project = nn.Conv2d(channels, p, 1)

    def forward(self, x):
        a = F.relu(self.one(x))
        b = F.relu(self.three(F.relu(self.reduce3(x))))
        c = F.relu(self.five(F.relu(self.reduce5(x))))
        d = F.relu(self.project(F.pad(x, (1, 1, 1, 1), value=-math.inf).unfold(2, 3, 1).unfold(3, 3, 1).amax((-1, -2))))
        return torch.cat([a, b, c, d], dim=1)


# %% alternative="slices" exercise="groups"
# slices written into a tensor; the kernel by a Kronecker-like einsum
def grouped_conv2d(conv, x, w, groups, padding=0):
    (_, channels, _, _), (filters, each, _, _) = x.shape, w.shape
    if channels % groups != 0:
        raise ValueError(f"{channels} channels in {groups} groups")
    if filters % groups != 0:
        raise ValueError(f"{filters} filters in {groups} groups")
    if channels // groups != each:
        raise ValueError(f"x has {channels} channels, w is for {groups} × {each} = {groups * each}")
    outputs, share = [], filters // groups
    for g in range(groups):
        outputs.append(conv(x[:, g * each : (g + 1) * each], w[g * share : (g + 1) * share], padding))
    return torch.cat(outputs, 1)


def block_kernel(w, groups):
    filters, each, *sides = w.shape
    same = torch.eye(groups, dtype=w.dtype, device=w.device)
    parts = w.reshape(groups, filters // groups, each, *sides)
    return torch.einsum("gh,gfckl->gfhckl", same, parts).reshape(filters, groups * each, *sides)


# %% alternative="full_kernel" exercise="groups"
# one convolution with the block kernel; the kernel by block_diag of matrices
def block_kernel(w, groups):
    filters, each, rows, columns = w.shape
    places = w.permute(2, 3, 0, 1).reshape(rows * columns, groups, filters // groups, each)
    blocks = torch.stack([torch.block_diag(*place) for place in places])
    return blocks.reshape(rows, columns, filters, groups * each).permute(2, 3, 0, 1).contiguous()


def grouped_conv2d(conv, x, w, groups, padding=0):
    c, k, per = x.shape[1], w.shape[0], w.shape[1]
    if c % groups or k % groups or c != per * groups:
        raise ValueError(f"{c} channels, {k} filters, {groups} groups; w is for {per * groups} channels")
    return conv(x, block_kernel(w, groups), padding)


# %% alternative="block_diagonal" exercise="groups"
# blocks by torch.block_diag, place by place of the kernel
def grouped_conv2d(conv, x, w, groups, padding=0):
    C, K = x.shape[1], w.shape[0]
    if C % groups:
        raise ValueError(f"{C} channels cannot be cut into {groups} groups")
    if K % groups:
        raise ValueError(f"{K} filters cannot be cut into {groups} groups")
    if w.shape[1] * groups != C:
        raise ValueError(f"weights are made for {w.shape[1] * groups} channels, x has {C}")
    xs, ws = x.chunk(groups, dim=1), w.chunk(groups, dim=0)
    return torch.cat([conv(a, b, padding) for a, b in zip(xs, ws)], dim=1)


def block_kernel(w, groups):
    K, c, k, _ = w.shape
    places = [torch.block_diag(*w[:, :, a, b].chunk(groups)) for a in range(k) for b in range(k)]
    return torch.stack(places, dim=-1).reshape(K, c * groups, k, k)


# %% alternative="einsum" exercise="groups"
# an identity matrix says who sees whom
def grouped_conv2d(conv, x, w, groups, padding=0):
    C, K = x.shape[1], w.shape[0]
    if C % groups:
        raise ValueError(f"{C} channels cannot be cut into {groups} groups")
    if K % groups:
        raise ValueError(f"{K} filters cannot be cut into {groups} groups")
    if w.shape[1] * groups != C:
        raise ValueError(f"weights are made for {w.shape[1] * groups} channels, x has {C}")
    xs, ws = x.chunk(groups, dim=1), w.chunk(groups, dim=0)
    return torch.cat([conv(a, b, padding) for a, b in zip(xs, ws)], dim=1)


def block_kernel(w, groups):
    K, c, k, _ = w.shape
    eye = torch.eye(groups, dtype=w.dtype, device=w.device)
    parts = w.reshape(groups, K // groups, c, k, k)
    return torch.einsum("gh,gfcyx->gfhcyx", eye, parts).reshape(K, groups * c, k, k)


# %% alternative="flattened" exercise="binary"
# filters as rows; float64 inside; the gradient as one expression
def rows_of(w):
    return w.double().flatten(1)


def binary_filters(w):
    rows = rows_of(w)
    signs = (rows >= 0).double() * 2 - 1
    return (signs * rows.abs().mean(1, keepdim=True)).reshape(w.shape).to(w.dtype)


def binary_filters_gradient(grad, w):
    rows, g = rows_of(w), rows_of(grad)
    signs = 2 * (rows >= 0).double() - 1
    n = rows.shape[1]
    through_sign = rows.abs().sum(1, keepdim=True) / n * g * (rows.abs() <= 1)
    return (through_sign + signs * (g * signs).sum(1, keepdim=True) / n).reshape(w.shape).to(w.dtype)


def packed_bytes(shape):
    bits = shape[0] * shape[1] * shape[2] * shape[3]
    return (bits + 7) // 8 + shape[0] * 4


# %% alternative="filter_by_filter" exercise="binary"
# a loop over filters; NumPy packs the bits
import numpy as np


def binary_filters(w):
    result = w.clone()
    for filter in result:
        scale = filter.abs().mean()
        filter[filter >= 0], filter[filter < 0] = scale, -scale
    return result


def binary_filters_gradient(grad, w):
    result = torch.empty_like(w)
    for k in range(len(w)):
        signs = torch.ones_like(w[k])
        signs[w[k] < 0] = -1
        passes = torch.zeros_like(w[k])
        passes[(w[k] >= -1) & (w[k] <= 1)] = 1
        result[k] = w[k].abs().mean() * grad[k] * passes + signs * (grad[k] * signs).mean()
    return result


def packed_bytes(shape):
    return len(np.packbits(np.zeros(shape, dtype=bool).ravel())) + 4 * shape[0]


# %% alternative="one_parent" exercise="residual"
# both blocks from one class that takes a list of layers
class Residual(nn.Module):
    def __init__(self, in_channels, plan, stride):
        super().__init__()
        self.depth, come = len(plan), in_channels
        for i, (to, kernel, step) in enumerate(plan, start=1):
            setattr(self, f"conv{i}", nn.Conv2d(come, to, kernel, step, kernel // 2, bias=False))
            setattr(self, f"norm{i}", nn.BatchNorm2d(to))
            come = to
        getattr(self, f"norm{self.depth}").weight.data.zero_()
        self.shortcut = nn.Identity()
        if stride != 1 or come != in_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, come, kernel_size=1, stride=stride, bias=False), nn.BatchNorm2d(come)
            )

    def forward(self, x):
        y = x
        for i in range(1, self.depth + 1):
            y = getattr(self, f"norm{i}")(getattr(self, f"conv{i}")(y))
            if i < self.depth:
                y = torch.relu(y)
        return torch.relu(self.shortcut(x) + y)


class BasicBlock(Residual):
    def __init__(self, in_channels, width, stride=1):
        super().__init__(in_channels, [(width, 3, stride), (width, 3, 1)], stride)


class Bottleneck(Residual):
    def __init__(self, in_channels, width, stride=1):
        super().__init__(in_channels, [(width, 1, 1), (width, 3, stride), (4 * width, 1, 1)], stride)


# %% alternative="in_place" exercise="residual"
# as torchvision writes it: in place, no helper
class BasicBlock(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.relu = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(in_channels, width, kernel_size=3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, kernel_size=3, stride=1, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        nn.init.constant_(self.norm2.weight, 0)
        if stride == 1 and in_channels == width:
            self.shortcut = nn.Sequential()
        else:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, width, kernel_size=1, stride=stride, bias=False), nn.BatchNorm2d(width)
            )

    def forward(self, x):
        out = self.relu(self.norm1(self.conv1(x)))
        out = self.norm2(self.conv2(out))
        out += self.shortcut(x)
        return self.relu(out)


class Bottleneck(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.relu = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(in_channels, width, kernel_size=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, kernel_size=3, stride=stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, width * 4, kernel_size=1, bias=False)
        self.norm3 = nn.BatchNorm2d(width * 4)
        nn.init.constant_(self.norm3.weight, 0)
        if stride == 1 and in_channels == 4 * width:
            self.shortcut = nn.Sequential()
        else:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, 4 * width, kernel_size=1, stride=stride, bias=False), nn.BatchNorm2d(4 * width)
            )

    def forward(self, x):
        out = self.relu(self.norm1(self.conv1(x)))
        out = self.relu(self.norm2(self.conv2(out)))
        out = self.norm3(self.conv3(out))
        out += self.shortcut(x)
        return self.relu(out)


# %% alternative="lerp" exercise="highway"
# x plus the gate's share of the way to H; logarithms for the functions
class HighwayLayer(nn.Module):
    def __init__(self, width, gate_bias=-2.0):
        super().__init__()
        self.gate = nn.Linear(width, width)
        self.transform = nn.Linear(width, width)
        with torch.no_grad():
            self.gate.bias.fill_(gate_bias)

    def forward(self, x):
        return torch.lerp(x, F.relu(self.transform(x)), torch.sigmoid(self.gate(x)))


def carried(gate_bias, depth):
    return math.exp(-depth * math.log1p(math.exp(gate_bias)))


def gate_bias_for(share, depth):
    one = share ** (1 / depth)
    return math.log((1 - one) / one)


# %% alternative="tensors" exercise="highway"
# torch for the functions too: shares as tensors without axes
class HighwayLayer(nn.Module):
    def __init__(self, width, gate_bias=-2.0):
        super().__init__()
        self.transform = nn.Linear(width, width)
        self.gate = nn.Linear(width, width)
        self.gate.bias.data[:] = gate_bias

    def forward(self, x):
        T = 1 / (1 + (-self.gate(x)).exp())
        return x - T * (x - self.transform(x).clamp(min=0))


def carried(gate_bias, depth):
    return torch.sigmoid(torch.tensor(-gate_bias, dtype=torch.float64)).pow(depth).item()


def gate_bias_for(share, depth):
    return -torch.logit(torch.tensor(share ** (1 / depth), dtype=torch.float64)).item()


# %% alternative="halves_the_interval" exercise="highway"
# the inverse by bisection
class HighwayLayer(nn.Module):
    def __init__(self, width, gate_bias=-2.0):
        super().__init__()
        self.transform = nn.Linear(width, width)
        self.gate = nn.Linear(width, width)
        nn.init.constant_(self.gate.bias, gate_bias)

    def forward(self, x):
        H = torch.relu(self.transform(x))
        T = torch.sigmoid(self.gate(x))
        return T * H + (1 - T) * x


def carried(gate_bias, depth):
    return (1 - 1 / (1 + math.exp(-gate_bias))) ** depth


def gate_bias_for(share, depth):
    low, high = -60.0, 60.0
    for _ in range(200):
        mid = (low + high) / 2
        if carried(mid, depth) > share:
            low = mid
        else:
            high = mid
    return mid


# %% alternative="list_of_maps" exercise="dense_block"
# keeps the maps in a list, as memory-lean implementations do
def dense_shapes(channels, growth, layers, bottleneck=False):
    come = [channels + growth * i for i in range(layers)]
    if not bottleneck:
        return [(growth, c, 3, 3) for c in come]
    return [shape for c in come for shape in ((4 * growth, c, 1, 1), (growth, 4 * growth, 3, 3))]


def dense_block(x, weights):
    maps = [x]
    for w in weights:
        maps.append(F.conv2d(F.relu(torch.cat(maps, 1)), w, padding=w.shape[2] // 2))
    return torch.cat(maps, 1)


# %% alternative="one_tensor" exercise="dense_block"
# everything written into one tensor; shapes as lists
def dense_shapes(channels, growth, layers, bottleneck=False):
    if layers == 0:
        return []
    first = [[4 * growth, channels, 1, 1], [growth, 4 * growth, 3, 3]] if bottleneck else [[growth, channels, 3, 3]]
    return first + dense_shapes(channels + growth, growth, layers - 1, bottleneck)


def dense_block(x, weights):
    n, c, rows, columns = x.shape
    k = weights[0].shape[0]
    full = torch.empty(n, c + len(weights) * k, rows, columns, dtype=x.dtype, device=x.device)
    full[:, :c] = x
    for i, w in enumerate(weights):
        end = c + i * k
        full[:, end : end + k] = F.conv2d(full[:, :end].clamp(min=0), w, padding=1)
    return full


# %% alternative="by_patches" exercise="dense_block"
# the convolution as a product with patches
def dense_shapes(channels, growth, layers, bottleneck=False):
    shapes = []
    for i in range(layers):
        come = channels + i * growth
        if bottleneck:
            shapes.append((4 * growth, come, 1, 1))
            come = 4 * growth
        shapes.append((growth, come, 3, 3))
    return shapes


def dense_block(x, weights):
    from functools import reduce

    def step(x, w):
        patches = F.unfold(x.relu(), 3, padding=1)
        return torch.cat([x, (w.flatten(1) @ patches).view(len(x), len(w), *x.shape[2:])], 1)

    return reduce(step, weights, x)


# %% alternative="zeroed_weights" exercise="lesions"
# sets the last batch norm of a branch to 0, and puts its values back
def paths(blocks, cut=0):
    row = [1]
    for _ in range(blocks - cut):
        row = [a + b for a, b in zip([0, *row], [*row, 0])]
    return row


def lesion_study(build, x, t):
    net = build()

    def accuracy():
        with torch.no_grad():
            return float((net(x).argmax(1) == t).double().mean())

    shares = [accuracy()]
    for block in blocks_of(net):
        norm = block.residual[-1][1]
        kept = {name: value.clone() for name, value in norm.state_dict().items()}
        try:
            norm.weight.data.zero_()
            norm.bias.data.zero_()
            shares.append(accuracy())
        finally:
            norm.load_state_dict(kept)
    return shares


# %% alternative="other_branch" exercise="lesions"
# puts another module in the place of the branch, in a copy of the net
import copy


class Nothing(nn.Module):
    def __init__(self, like):
        super().__init__()
        self.like = like

    def forward(self, x):
        return 0 * self.like(x)


def paths(blocks, cut=0):
    n = blocks - cut
    return [math.factorial(n) // math.factorial(k) // math.factorial(n - k) for k in range(n + 1)]


@torch.inference_mode()
def lesion_study(build, x, t):
    original = build()
    shares = [(original(x).max(dim=1).indices == t).sum().item() / len(t)]
    for place in range(len(blocks_of(original))):
        net = copy.deepcopy(original)
        block = blocks_of(net)[place]
        block.residual = Nothing(block.residual)
        shares.append((net(x).max(dim=1).indices == t).sum().item() / len(t))
    return shares


# %% alternative="module_in_its_place" exercise="lesions"
# another module in the place of the branch, and the branch put back
class Nothing(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return 0 * self.inner(x)


def paths(blocks, cut=0):
    left = blocks - cut
    return [math.comb(left, k) for k in range(left + 1)]


def lesion_study(build, x, t):
    net = build()

    def accuracy():
        with torch.no_grad():
            return (net(x).argmax(dim=1) == t).float().mean().item()

    result = [accuracy()]
    for block in blocks_of(net):
        kept = block.residual
        block.residual = Nothing(kept)
        result.append(accuracy())
        block.residual = kept
    return result


# %% alternative="net_by_net" exercise="lesions"
# asks for the net anew for each block
def paths(blocks, cut=0):
    left = blocks - cut
    return [math.comb(left, k) for k in range(left + 1)]


def lesion_study(build, x, t):
    net = build()

    def accuracy():
        with torch.no_grad():
            return (net(x).argmax(dim=1) == t).float().mean().item()

    result = [accuracy()]
    for n in range(len(blocks_of(net))):
        net = build()
        block = blocks_of(net)[n]
        hook = block.residual.register_forward_hook(lambda m, i, o: torch.zeros_like(o))
        result.append(accuracy())
        hook.remove()
    return result


# %% alternative="step_by_step" exercise="twins"
# both twins in each step, as the name says; values copied parameter by parameter
def make_twins(depth, width, generator):
    twins = [TwinNet(depth, width, shortcuts, generator).to(here) for shortcuts in (True, False)]
    with torch.no_grad():
        for a, b in zip(twins[0].state_dict().values(), twins[1].state_dict().values()):
            b.copy_(a)
    return twins


def train_twins(twins, x, t, batches, rate):
    optimizers = [torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9) for net in twins]
    losses = torch.zeros(2, len(batches), device=x.device)
    for step, batch in enumerate(batches):
        for row, (net, optimizer) in enumerate(zip(twins, optimizers)):
            net.train()
            net.zero_grad()
            loss = F.cross_entropy(net(x[batch]), t[batch])
            losses[row, step] = loss.item()
            loss.backward()
            optimizer.step()
    return losses


def gap(losses, last):
    difference = losses[1] - losses[0]
    return difference[len(difference) - last :].mean().item()


# %% alternative="momentum_by_hand" exercise="twins"
# the second net from a copy's values; momentum without torch.optim
import copy


def make_twins(depth, width, generator):
    residual = TwinNet(depth, width, True, generator).to(here)
    plain = copy.deepcopy(residual)
    for block in plain.blocks:
        block.shortcut = None
    return residual, plain


def train_twins(twins, x, t, batches, rate):
    rows = []
    for net in twins:
        net.train(True)
        weights = list(net.parameters())
        velocity = [torch.zeros_like(w) for w in weights]
        row = []
        for batch in batches:
            loss = F.cross_entropy(net(x[batch]), t[batch])
            row.append(loss.detach().clone())
            slopes = torch.autograd.grad(loss, weights)
            with torch.no_grad():
                for w, v, slope in zip(weights, velocity, slopes):
                    v.mul_(0.9).add_(slope)
                    w.sub_(rate * v)
        rows.append(row)
    return torch.tensor([[float(value) for value in row] for row in rows], device=x.device)


def gap(losses, last):
    return float(sum(losses[1, -last:]) / last - sum(losses[0, -last:]) / last)


# %% alternative="both_at_once" exercise="twins"
# one optimizer for both, one backward pass for the sum of the losses
def make_twins(depth, width, generator):
    nets = tuple(TwinNet(depth, width, s, generator) for s in (True, False))
    with torch.no_grad():
        for a, b in zip(nets[0].parameters(), nets[1].parameters()):
            b.copy_(a)
    return nets[0].to(here), nets[1].to(here)


def train_twins(twins, x, t, batches, rate):
    losses = torch.zeros(2, len(batches), device=x.device)
    params = [p for net in twins for p in net.train().parameters()]
    opt = torch.optim.SGD(params, rate, 0.9)
    for step, batch in enumerate(batches):
        both = [F.cross_entropy(net(x[batch]), t[batch]) for net in twins]
        for row in range(2):
            losses[row, step] = both[row].item()
        opt.zero_grad(set_to_none=False)
        sum(both).backward()
        opt.step()
    return losses


def gap(losses, last):
    means = losses[:, losses.shape[1] - last :].mean(dim=1)
    return means[1] - means[0]


# %% alternative="drawn_twice" exercise="twins"
# the generator put back, so that both nets are drawn alike
def make_twins(depth, width, generator):
    state = generator.get_state()
    residual = TwinNet(depth, width, True, generator).to(here)
    generator.set_state(state)
    plain = TwinNet(depth, width, False, generator).to(here)
    return residual, plain


def train_twins(twins, x, t, batches, rate):
    rows = []
    for net in twins:
        net.train()
        optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9)
        losses = []
        for b in batches:
            loss = F.cross_entropy(net(x[b]), t[b])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        rows.append(torch.stack(losses))
    return torch.stack(rows)


def gap(losses, last):
    return (losses[1, -last:].mean() - losses[0, -last:].mean()).item()
