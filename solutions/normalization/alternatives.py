# Right answers to `normalization`, written differently. Each must get full marks on every seed.


# %% alternative="adds_up_as_it_goes" exercise="standardise"
# two passes over the batches, nothing put together
def standardise(batches, x):
    n = sum(b.numel() // b.shape[1] for b in batches)
    mean = sum(b.sum(dim=(0, 2, 3)) for b in batches) / n
    mean = mean[None, :, None, None]
    squares = sum(((b - mean) ** 2).sum(dim=(0, 2, 3)) for b in batches)
    std = (squares / n).sqrt()
    std[std == 0] = 1
    return (x - mean) / std[None, :, None, None]


# %% alternative="one_pass" exercise="standardise"
# merges means and sums of squares batch by batch (Chan et al.), in one pass
def standardise(batches, x):
    n, mean, squares = 0, 0.0, 0.0
    for b in batches:
        flat = b.transpose(0, 1).flatten(1)
        m, more = flat.shape[1], flat.mean(dim=1)
        delta = more - mean
        squares = squares + ((flat - more[:, None]) ** 2).sum(dim=1) + delta**2 * n * m / (n + m)
        mean = mean + delta * m / (n + m)
        n += m
    std = (squares / n).sqrt()
    std = std + (std == 0)
    return (x - mean[:, None, None]) / std[:, None, None]


# %% alternative="float64_inside" exercise="standardise"
# E[x²] − μ², in digits enough
def standardise(batches, x):
    train = torch.cat([b.double() for b in batches]).transpose(0, 1).flatten(1)
    mean = train.mean(dim=1)
    var = ((train**2).mean(dim=1) - mean**2).clamp_min(0)
    scale = torch.where(var > 0, var, torch.ones_like(var)).rsqrt()
    return ((x.double() - mean[:, None, None]) * scale[:, None, None]).to(x.dtype)


# %% alternative="channel_by_channel" exercise="standardise"
# a loop over the channels, into a copy
def standardise(batches, x):
    result = x.clone()
    for c in range(x.shape[1]):
        values = torch.cat([b[:, c].flatten() for b in batches])
        result[:, c] -= values.mean()
        if (values != values[0]).any():
            result[:, c] /= values.std(correction=0)
    return result


# %% alternative="singular_values" exercise="whitening"
# by the singular value decomposition of the data
def whitening(X, zca, eps):
    mean = X.mean(dim=0)
    _, values, rows = torch.linalg.svd(X - mean, full_matrices=len(X) < X.shape[1])
    eigenvalues = torch.zeros_like(mean)
    eigenvalues[: len(values)] = values**2 / len(X)
    if len(rows) < len(mean):
        rows = torch.linalg.svd(X - mean, full_matrices=True)[2]
    pca = rows / (eigenvalues + eps).sqrt()[:, None]
    return mean, rows.T @ pca if zca else pca


# %% alternative="float64_and_diagonal" exercise="whitening"
# the formula as it stands, with a diagonal matrix, in float64
def whitening(X, zca, eps):
    wide = X.double()
    eigenvalues, V = torch.linalg.eigh(torch.cov(wide.T, correction=0).reshape(X.shape[1], X.shape[1]))
    order = eigenvalues.argsort(descending=True)
    V = V[:, order]
    M = torch.diag((eigenvalues[order] + eps) ** -0.5) @ V.T
    if zca:
        M = V @ M
    return X.mean(0), M.to(X.dtype)


# %% alternative="signs_turned" exercise="whitening"
# each row begins with a positive number, as some libraries have it
def whitening(X, zca, eps):
    mean = X.mean(dim=0)
    eigenvalues, V = torch.linalg.eigh((X - mean).T @ (X - mean) / len(X))
    V = V * torch.where(V[0] < 0, -1.0, 1.0)
    if zca:
        return mean, torch.einsum("ij,j,kj->ik", V, (eigenvalues + eps).rsqrt(), V)
    return mean, torch.einsum("ij,j->ji", V, (eigenvalues + eps).rsqrt()).flip(0)


# %% alternative="torch_init" exercise="initialise"
# torch's own draw into an empty tensor
def initialise(shape, scheme, generator):
    weights = torch.empty(shape)
    if scheme == "standard":
        bound = weights[0].numel() ** -0.5
        return torch.nn.init.uniform_(weights, -bound, bound, generator=generator)
    if scheme == "xavier":
        return torch.nn.init.xavier_uniform_(weights, generator=generator)
    return torch.nn.init.kaiming_uniform_(weights, nonlinearity="relu", generator=generator)


# %% alternative="by_the_variance" exercise="initialise"
# from n·Var(w) to the bound, in Python's own numbers
def initialise(shape, scheme, generator):
    n_in = 1
    for size in shape[1:]:
        n_in *= size
    n_out = n_in // shape[1] * shape[0]
    variance = {"standard": 1 / (3 * n_in), "xavier": 2 / (n_in + n_out), "he": 2 / n_in}[scheme]
    bound = math.sqrt(3 * variance)
    return torch.empty(*shape).uniform_(-bound, bound, generator=generator)


# %% alternative="transposed" exercise="batch_norm"
# all values of a channel in a row
def batch_norm(x, gamma, beta, eps):
    rows = x.transpose(0, 1).flatten(1)
    rows = (rows - rows.mean(1, keepdim=True)) / torch.sqrt(rows.var(1, unbiased=False, keepdim=True) + eps)
    rows = rows * gamma[:, None] + beta[:, None]
    return rows.reshape(x.transpose(0, 1).shape).transpose(0, 1)


# %% alternative="channel_by_channel" exercise="batch_norm"
# a loop, into a result of the same shape
def batch_norm(x, gamma, beta, eps):
    y = torch.empty_like(x)
    for c in range(x.shape[1]):
        values = x[:, c]
        mean = values.sum() / values.numel()
        variance = ((values - mean) ** 2).sum() / values.numel()
        y[:, c] = gamma[c] * (values - mean) / (variance + eps) ** 0.5 + beta[c]
    return y


# %% alternative="scale_and_shift" exercise="batch_norm"
# one factor and one summand for each channel, in float64
def batch_norm(x, gamma, beta, eps):
    wide = x.double()
    axes = (0,) if x.dim() == 2 else (0, 2, 3)
    variance, mean = torch.var_mean(wide, axes, correction=0)
    factor = gamma.double() * torch.rsqrt(variance + eps)
    summand = beta.double() - factor * mean
    if x.dim() == 4:
        factor, summand = factor[:, None, None], summand[:, None, None]
    return (wide * factor + summand).to(x.dtype)


# %% alternative="lerp_and_no_grad" exercise="batch_norm_layer"
# the running statistics by lerp, under no_grad; evaluation in a branch of its own
class BatchNorm(torch.nn.Module):
    def __init__(self, channels, eps=1e-5, momentum=0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = torch.nn.Parameter(torch.ones(channels))
        self.bias = torch.nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def forward(self, x):
        rows = x.movedim(1, -1)
        if not self.training:
            y = (rows - self.running_mean) * torch.rsqrt(self.running_var + self.eps) * self.weight + self.bias
            return y.movedim(-1, 1)
        flat = rows.reshape(-1, x.shape[1])
        if len(flat) < 2:
            raise ValueError("training needs more than one value per channel")
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(flat.mean(0), self.momentum)
            self.running_var.lerp_(flat.var(0), self.momentum)
        y = (rows - flat.mean(0)) / (flat.var(0, correction=0) + self.eps).sqrt() * self.weight + self.bias
        return y.movedim(-1, 1)


# %% alternative="buffers_replaced" exercise="batch_norm_layer"
# the formulas as they stand: new tensors for the buffers
class BatchNorm(torch.nn.Module):
    def __init__(self, channels, eps=1e-5, momentum=0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = torch.nn.Parameter(torch.ones(channels))
        self.bias = torch.nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def forward(self, x):
        view = (1, -1, 1, 1) if x.dim() == 4 else (1, -1)
        axes = (0, 2, 3) if x.dim() == 4 else (0,)
        if self.training:
            n = x.numel() / x.shape[1]
            if n <= 1:
                raise ValueError(f"found {n:g} value per channel, wanted at least 2")
            mean = x.mean(dim=axes)
            var = ((x - mean.view(view)) ** 2).mean(dim=axes)
            m = self.momentum
            self.running_mean = (1 - m) * self.running_mean + m * mean.detach()
            self.running_var = (1 - m) * self.running_var + m * n / (n - 1) * var.detach()
            self.num_batches_tracked = self.num_batches_tracked + 1
        else:
            mean, var = self.running_mean, self.running_var
        xhat = (x - mean.view(view)) * (var.view(view) + self.eps) ** -0.5
        return self.weight.view(view) * xhat + self.bias.view(view)


# %% alternative="the_papers_terms" exercise="batch_norm_stages"
# with the term of the paper that is 0, and every name of the paper
def batch_norm_stages(dy, x, gamma, eps):
    m = x.shape[0]
    mu = x.sum(0) / m
    sigma2 = ((x - mu) ** 2).sum(0) / m
    xhat = (x - mu) / torch.sqrt(sigma2 + eps)
    d_xhat = dy * gamma
    d_sigma2 = (d_xhat * (x - mu) * -0.5 * (sigma2 + eps) ** -1.5).sum(0)
    d_mu = (d_xhat * -1 / torch.sqrt(sigma2 + eps)).sum(0) + d_sigma2 * (-2 * (x - mu)).sum(0) / m
    d_x = d_xhat / torch.sqrt(sigma2 + eps) + d_sigma2 * 2 * (x - mu) / m + d_mu / m
    return dict(x=d_x, mean=d_mu, var=d_sigma2, xhat=d_xhat, gamma=(dy * xhat).sum(0), beta=dy.sum(0))


# %% alternative="loops" exercise="batch_norm_stages"
# channel by channel and value by value
def batch_norm_stages(dy, x, gamma, eps):
    found = {key: torch.zeros_like(gamma) for key in ("beta", "gamma", "var", "mean")}
    found |= {"xhat": torch.zeros_like(x), "x": torch.zeros_like(x)}
    n = len(x)
    for c in range(x.shape[1]):
        mean = x[:, c].mean()
        root = (((x[:, c] - mean) ** 2).mean() + eps) ** 0.5
        for i in range(n):
            found["beta"][c] += dy[i, c]
            found["gamma"][c] += dy[i, c] * (x[i, c] - mean) / root
            found["xhat"][i, c] = gamma[c] * dy[i, c]
            found["var"][c] -= found["xhat"][i, c] * (x[i, c] - mean) / (2 * root**3)
            found["mean"][c] -= found["xhat"][i, c] / root
        for i in range(n):
            by_variance = 2 * (x[i, c] - mean) / n * found["var"][c]
            found["x"][i, c] = found["xhat"][i, c] / root + by_variance + found["mean"][c] / n
    return found


# %% alternative="float64_inside" exercise="batch_norm_stages"
# computes wide, returns what came in
def batch_norm_stages(dy, x, gamma, eps):
    g, wide, scale = dy.double(), x.double(), gamma.double()
    var, mean = torch.var_mean(wide, 0, correction=0)
    r = torch.rsqrt(var + eps)
    xhat = (wide - mean) * r
    found = {"beta": g.sum(0), "gamma": torch.einsum("nc,nc->c", g, xhat), "xhat": g * scale}
    found["var"] = -(found["xhat"] * xhat).sum(0) * r**2 / 2
    found["mean"] = -found["xhat"].sum(0) * r
    found["x"] = r * (found["xhat"] - found["xhat"].mean(0) - xhat * (found["xhat"] * xhat).mean(0))
    return {key: value.to(x.dtype) for key, value in found.items()}


# %% alternative="in_stages" exercise="batch_norm_backward"
# stage by stage, as in the exercise before
def batch_norm_backward(dy, x, gamma, eps):
    shape = x.transpose(0, 1).shape
    g, rows = dy.transpose(0, 1).flatten(1), x.transpose(0, 1).flatten(1)  # (C, n)
    n = rows.shape[1]
    centred = rows - rows.mean(1, keepdim=True)
    root = (centred.square().mean(1, keepdim=True) + eps).sqrt()
    dxhat = g * gamma[:, None]
    dvar = (dxhat * centred).sum(1, keepdim=True) * -0.5 / root**3
    dmean = -dxhat.sum(1, keepdim=True) / root
    dx = dxhat / root + dvar * 2 * centred / n + dmean / n
    return dx.reshape(shape).transpose(0, 1), (g * centred / root).sum(1), g.sum(1)


# %% alternative="means" exercise="batch_norm_backward"
# with means in place of sums over n, a list in place of a tuple
def batch_norm_backward(dy, x, gamma, eps):
    view = (1, -1) if x.dim() == 2 else (1, -1, 1, 1)
    axes = 0 if x.dim() == 2 else (0, 2, 3)
    var, mean = torch.var_mean(x, axes, correction=0)
    r = torch.rsqrt(var + eps)
    xhat = (x - mean.view(view)) * r.view(view)
    dx = dy - dy.mean(axes).view(view) - xhat * (dy * xhat).mean(axes).view(view)
    return [dx * (gamma * r).view(view), (dy * xhat).sum(axes), dy.sum(axes)]


# %% alternative="projection" exercise="batch_norm_backward"
# takes two directions away, channel by channel, in float64
def batch_norm_backward(dy, x, gamma, eps):
    dx, dgamma, dbeta = torch.empty_like(x), torch.empty_like(gamma), torch.empty_like(gamma)
    for c in range(x.shape[1]):
        values, g = x[:, c].double().flatten(), dy[:, c].double().flatten()
        centred = values - values.mean()
        root = (centred.dot(centred) / len(values) + eps).sqrt()
        xhat = centred / root
        dgamma[c], dbeta[c] = g.dot(xhat), g.sum()
        rest = g - g.mean() - xhat * g.dot(xhat) / len(values)
        dx[:, c] = (gamma[c] * rest / root).reshape(x[:, c].shape)
    return dx, dgamma, dbeta


# %% alternative="var_mean" exercise="normalise"
# torch's variance and mean in one call; the axes in another order, as a list
def normalise(x, axes, eps):
    variance, mean = torch.var_mean(x, axes, correction=0, keepdim=True)
    return (x - mean) * torch.rsqrt(variance + eps)


def axes_of(norm):
    if norm == "batch":
        return [3, 2, 0]
    return [3, 2, 1] if norm == "layer" else [3, 2]


# %% alternative="moved_and_flattened" exercise="normalise"
# the axes to the end, as one
def normalise(x, axes, eps):
    last = tuple(range(-len(axes), 0))
    moved = x.movedim(axes, last)
    flat = moved.flatten(-len(axes)) if len(axes) > 1 else moved
    mean = flat.sum(-1, keepdim=True) / flat.shape[-1]
    variance = ((flat - mean) ** 2).sum(-1, keepdim=True) / flat.shape[-1]
    return ((flat - mean) / (variance + eps) ** 0.5).reshape(moved.shape).movedim(last, axes)


def axes_of(norm):
    kept = {"batch": {1}, "layer": {0}, "instance": {0, 1}}
    return tuple(axis for axis in range(4) if axis not in kept[norm])


# %% alternative="chunks" exercise="group_norm"
# group by group, put together again
def group_norm(x, groups, gamma, beta, eps):
    size, rest = divmod(x.shape[1], groups)
    if rest:
        raise ValueError(f"{groups} groups do not fit into {x.shape[1]} channels")
    parts = []
    for part in x.split(size, dim=1):
        mean = part.mean(dim=(1, 2, 3), keepdim=True)
        parts.append((part - mean) / (((part - mean) ** 2).mean(dim=(1, 2, 3), keepdim=True) + eps).sqrt())
    return torch.cat(parts, dim=1) * gamma.view(1, -1, 1, 1) + beta.view(1, -1, 1, 1)


# %% alternative="five_axes" exercise="group_norm"
# (N, G, C/G, H, W), in float64
def group_norm(x, groups, gamma, beta, eps):
    if x.shape[1] % groups != 0:
        raise ValueError(f"found {x.shape[1]} channels and {groups} groups")
    grouped = x.double().unflatten(1, (groups, -1))
    variance, mean = torch.var_mean(grouped, (2, 3, 4), unbiased=False, keepdim=True)
    xhat = ((grouped - mean) * (variance + eps).rsqrt()).flatten(1, 2)
    return torch.einsum("nchw,c->nchw", xhat, gamma.double()).add(beta.double()[:, None, None]).to(x.dtype)


# %% alternative="padded_and_unfolded" exercise="local_response_norm"
# zeros at both ends, then windows
def local_response_norm(a, k=2.0, n=5, alpha=1e-4, beta=0.75):
    squares = (a**2).movedim(1, -1)
    windows = torch.nn.functional.pad(squares, (n // 2, n // 2)).unfold(-1, n, 1)
    return a * (k + alpha * windows.sum(-1).movedim(-1, 1)) ** -beta


def torch_alpha(alpha, n):
    return n * alpha


# %% alternative="band_matrix" exercise="local_response_norm"
# the sum over neighbours as a product with a band of ones
def local_response_norm(a, k=2.0, n=5, alpha=1e-4, beta=0.75):
    C = a.shape[1]
    place = torch.arange(C, device=a.device)
    band = ((place[:, None] - place).abs() <= (n - 1) / 2).to(a.dtype)
    total = torch.einsum("ij,nj...->ni...", band, a.square())
    return a / torch.pow(k + alpha * total, beta)


def torch_alpha(alpha, n):
    return torch.tensor(alpha, dtype=torch.float64) * n


# %% alternative="running_sums" exercise="local_response_norm"
# differences of cumulated sums, in float64
def local_response_norm(a, k=2.0, n=5, alpha=1e-4, beta=0.75):
    C = a.shape[1]
    sums = (a.double() ** 2).cumsum(dim=1)
    sums = torch.cat([torch.zeros_like(sums[:, :1]), sums], dim=1)
    upper = [min(C, i + n // 2 + 1) for i in range(C)]
    lower = [max(0, i - n // 2) for i in range(C)]
    return (a / (k + alpha * (sums[:, upper] - sums[:, lower])) ** beta).to(a.dtype)


def torch_alpha(alpha, n):
    return sum(alpha for _ in range(n))


# %% alternative="uniform_numbers" exercise="dropout"
# compares uniform numbers with p
def dropout(x, p, training, generator):
    mask = torch.ones_like(x)
    if training:
        drop = (torch.rand(x.shape, generator=generator) < p).to(x.device)
        mask = mask.masked_fill(drop, 0.0)
        if p < 1:
            mask = mask / (1 - p)
    return x * mask, mask


def dropout_backward(dy, mask):
    return torch.einsum("...,...->...", dy, mask)


# %% alternative="bernoulli_in_place" exercise="dropout"
# fills an empty mask, in float64 on the CPU
def dropout(x, p, training, generator):
    if not training:
        return x.clone(), torch.full_like(x, 1)
    mask = torch.empty(x.shape, dtype=torch.float64).bernoulli_(1 - p, generator=generator)
    mask *= 0 if p == 1 else 1 / (1 - p)
    mask = mask.to(device=x.device, dtype=x.dtype)
    return x.mul(mask), mask


def dropout_backward(dy, mask):
    dx = dy.clone()
    dx[mask == 0] = 0
    return dx * mask.max()


# %% alternative="uniform_numbers" exercise="variance_shift"
# a mask by uniform numbers, variances written out
def variance_shift(x, weights, p, generator):
    kept = (torch.rand(x.shape, generator=generator) >= p).to(x.device)
    noisy = torch.nn.functional.linear(torch.where(kept, x / (1 - p), 0.0), weights)
    clean = torch.nn.functional.linear(x, weights)
    noisy, clean = noisy - noisy.mean(0), clean - clean.mean(0)
    return (noisy**2).sum(0) / (clean**2).sum(0)


# %% alternative="many_masks" exercise="variance_shift"
# four masks for each example, so that less is left to chance
def variance_shift(x, weights, p, generator):
    draws = torch.empty(4, *x.shape, dtype=torch.float64).bernoulli_(1 - p, generator=generator).to(x.device)
    noisy = torch.einsum("knd,hd->knh", draws * x.double() / (1 - p), weights.double()).flatten(0, 1)
    clean = x.double() @ weights.double().T
    return (noisy.var(0, correction=0) / clean.var(0, correction=0)).to(x.dtype)


# %% alternative="by_hand" exercise="which_diverge"
# autograd.grad and a step on each parameter
def train_losses(build, rate, X, t, batches):
    net = build()
    parameters = list(net.parameters())
    losses = torch.empty(len(batches) + 1, dtype=X.dtype, device=X.device)
    for step, batch in enumerate(batches):
        loss = torch.nn.functional.cross_entropy(net(X[batch]), t[batch])
        losses[step] = loss.detach()
        with torch.no_grad():
            for p, slope in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
                p -= rate * slope
    losses[-1] = torch.nn.functional.cross_entropy(net(X[batches[-1]]), t[batches[-1]]).detach()
    return losses


def which_diverge(builds, rates, X, t, batches):
    report = {name: [] for name in builds}
    for name in builds:
        for rate in rates:
            losses = train_losses(builds[name], rate, X, t, batches).tolist()
            if not all(math.isfinite(loss) for loss in losses) or losses[-1] > losses[0]:
                report[name].append(rate)
    return report


# %% alternative="functional" exercise="which_diverge"
# torch.nn.CrossEntropyLoss, gradients to None, and a rule by “not below”
def train_losses(build, rate, X, t, batches):
    net, criterion = build().train(), torch.nn.CrossEntropyLoss()
    losses = []
    for batch in [*batches, batches[-1]]:
        net.zero_grad(set_to_none=True)
        loss = criterion(net(X[batch.to(X.device)]), t[batch.to(t.device)])
        losses.append(loss.item())
        loss.backward()
        if len(losses) <= len(batches):
            for p in net.parameters():
                p.data.add_(p.grad, alpha=-rate)
    return torch.tensor(losses, dtype=X.dtype, device=X.device)


def which_diverge(builds, rates, X, t, batches):
    def diverges(build, rate):
        losses = train_losses(build, rate, X, t, batches)
        return not (bool(losses.isfinite().all()) and bool(losses[-1] <= losses[0]))

    return {name: tuple(rate for rate in rates if diverges(build, rate)) for name, build in builds.items()}
