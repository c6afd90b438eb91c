# Right answers to `descent`, written differently. Each must get full marks on every seed.


# %% alternative="loop_over_points" exercise="unit_loss"
# plain Python, point by point
def unit_loss(w, X, t):
    total = torch.zeros((), dtype=w.dtype, device=w.device)
    for x, target in zip(X, t, strict=True):
        total = total + (torch.tanh(w[0] * x[0] + w[1] * x[1] + w[2]) - target) ** 2
    return total / (2 * len(X))


# %% alternative="library_loss" exercise="unit_loss"
# torch's own mean squared error, and a linear layer's function
def unit_loss(w, X, t):
    y = torch.tanh(torch.nn.functional.linear(X, w[None, :2], w[2:]))[:, 0]
    return torch.nn.functional.mse_loss(y, t) / 2


# %% alternative="float64_inside" exercise="unit_loss"
# computes wide, returns the dtype of w
def unit_loss(w, X, t):
    y = torch.tanh(X.double() @ w[:2].double() + w[2].double())
    return (0.5 * ((y - t.double()) ** 2).mean()).to(w.dtype)


# %% alternative="einsum" exercise="unit_loss"
# the bias as a weight for a column of ones
def unit_loss(w, X, t):
    inputs = torch.cat([X, X.new_ones(len(X), 1)], dim=1)
    error = torch.einsum("ij,j->i", inputs, w).tanh() - t
    return torch.einsum("i,i->", error, error) / (2 * len(t))


# %% alternative="loop_over_points" exercise="unit_gradient"
# the sum of the formula, written out
def unit_gradient(w, X, t):
    slopes = torch.zeros_like(w)
    for (x1, x2), target in zip(X, t, strict=True):
        y = torch.tanh(w[0] * x1 + w[1] * x2 + w[2])
        slopes += (y - target) * (1 - y * y) * torch.stack([x1, x2, torch.ones_like(x1)])
    return slopes / len(X)


# %% alternative="matrix_product" exercise="unit_gradient"
# a column of ones, and one product
def unit_gradient(w, X, t):
    inputs = torch.hstack([X, torch.ones(len(X), 1, dtype=X.dtype, device=X.device)])
    y = torch.tanh(inputs @ w)
    return inputs.T @ ((y - t) / torch.cosh(inputs @ w) ** 2) / len(X)


# %% alternative="autograd" exercise="unit_gradient"
# not by hand, but right
def unit_gradient(w, X, t):
    w = w.detach().clone().requires_grad_()
    loss = 0.5 * ((torch.tanh(X @ w[:2] + w[2]) - t) ** 2).mean()
    loss.backward()
    return w.grad


# %% alternative="in_place_on_a_copy" exercise="unit_gradient"
# fills a result, entry by entry
def unit_gradient(w, X, t):
    y = X.matmul(w[:2]).add_(w[2]).tanh_()
    slope = (y - t).mul_(1 - y.square())
    result = torch.empty_like(w)
    for k in range(2):
        result[k] = (slope * X[:, k]).mean()
    result[2] = slope.mean()
    return result


# %% alternative="slices" exercise="minibatches"
# a loop over the starts of the batches
def minibatches(n, batch_size, epochs, generator):
    schedule = []
    for _ in range(epochs):
        order = torch.randperm(n, generator=generator)
        batches = []
        for start in range(0, n, batch_size):
            batches.append(order[start : start + batch_size])
        schedule.append(batches)
    return schedule


# %% alternative="data_loader" exercise="minibatches"
# torch's own loader on the indices
def minibatches(n, batch_size, epochs, generator):
    loader = torch.utils.data.DataLoader(range(n), batch_size=batch_size, shuffle=True, generator=generator)
    return [list(loader) for _ in range(epochs)]


# %% alternative="sorted_random_numbers" exercise="minibatches"
# an order by sorting random keys
def minibatches(n, batch_size, epochs, generator):
    keys = torch.rand(epochs, n, generator=generator, dtype=torch.float64)
    return [list(row.split(batch_size)) for row in keys.argsort(dim=1)]


# %% alternative="python_shuffle" exercise="minibatches"
# Python's shuffle, seeded from the generator
def minibatches(n, batch_size, epochs, generator):
    import random

    rng = random.Random(torch.randint(2**60, (), generator=generator).item())
    schedule = []
    for _ in range(epochs):
        order = list(range(n))
        rng.shuffle(order)
        schedule.append(tuple(torch.tensor(order[k : k + batch_size]) for k in range(0, n, batch_size)))
    return schedule


# %% alternative="preallocated" exercise="sgd_path"
# one tensor for the path, filled row by row
def sgd_path(gradient, w0, X, t, batches, rate):
    path = torch.empty(len(batches) + 1, len(w0), dtype=w0.dtype, device=w0.device)
    path[0] = w0
    for k, batch in enumerate(batches):
        path[k + 1] = path[k] - rate * gradient(path[k], X[batch], t[batch])
    return path


# %% alternative="in_place_on_a_copy" exercise="sgd_path"
# one tensor that moves, and a copy of it for every row
def sgd_path(gradient, w0, X, t, batches, rate):
    w = w0.clone()
    path = [w.clone()]
    for batch in batches:
        w -= rate * gradient(w, X[batch], t[batch])
        path.append(w.clone())
    return torch.stack(path)


# %% alternative="torch_optim" exercise="sgd_path"
# torch's own descent, fed with the gradient
def sgd_path(gradient, w0, X, t, batches, rate):
    w = torch.nn.Parameter(w0.clone())
    optimizer = torch.optim.SGD([w], lr=rate)
    path = [w.detach().clone()]
    for batch in batches:
        w.grad = gradient(w.detach(), X[batch], t[batch])
        optimizer.step()
        path.append(w.detach().clone())
    return torch.stack(path)


# %% alternative="spectral_norm" exercise="curvature"
# norm and condition number as torch.linalg has them; tensors with no axes
def curvature(hessian):
    return 2 / torch.linalg.matrix_norm(hessian, ord=2), torch.linalg.cond(hessian)


# %% alternative="general_eigenvalues" exercise="curvature"
# for any matrix: complex, in no order
def curvature(hessian):
    eigenvalues = torch.linalg.eigvals(hessian.cpu().double()).real
    return (2 / eigenvalues.max()).item(), (eigenvalues.max() / eigenvalues.min()).item()


# %% alternative="singular_values" exercise="curvature"
# singular values of a symmetric positive matrix are its eigenvalues
def curvature(hessian):
    values = torch.linalg.svdvals(hessian).tolist()
    return [2 / max(values), max(values) / min(values)]


# %% alternative="matrix_power" exercise="below_and_above"
# all steps at once
def below_and_above(hessian, w0, limit, steps, margin=0.01):
    def ratio(rate):
        one_step = torch.eye(len(w0), dtype=w0.dtype, device=w0.device) - rate * hessian
        return float(torch.linalg.vector_norm(torch.linalg.matrix_power(one_step, steps) @ w0) / w0.norm())

    return ratio(limit * (1 - margin)), ratio(limit * (1 + margin))


# %% alternative="eigenvectors" exercise="below_and_above"
# in the eigenvectors' coordinates every step is a factor
def below_and_above(hessian, w0, limit, steps, margin=0.01):
    eigenvalues, V = torch.linalg.eigh(hessian.cpu().double())
    c = V.T @ w0.cpu().double()
    ends = [(c * (1 - f * limit * eigenvalues) ** steps).norm() / c.norm() for f in (1 - margin, 1 + margin)]
    return ends[0], ends[1]


# %% alternative="in_place_on_a_copy" exercise="below_and_above"
# moves a copy of w0
def below_and_above(hessian, w0, limit, steps, margin=0.01):
    results = []
    for sign in (-1, 1):
        w = w0.clone()
        for _ in range(steps):
            w -= (limit + sign * margin * limit) * (hessian @ w)
        results.append((w.dot(w).sqrt() / w0.dot(w0).sqrt()).item())
    return results


# %% alternative="scikit_learn" exercise="standardise"
# the library's scaler: biased variance, constant features divided by 1
def standardise(train, other):
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(train.cpu().numpy())
    return tuple(torch.from_numpy(scaler.transform(X.cpu().numpy())).to(X) for X in (train, other))


# %% alternative="small_number_added" exercise="standardise"
# the variance from E[x²] of the centred points, and a tiny number against 0/0
def standardise(train, other):
    mean = train.sum(0) / len(train)
    std = ((train - mean) ** 2).mean(0).sqrt() + 1e-12
    return (train - mean) / std, (other - mean) / std


# %% alternative="column_by_column" exercise="standardise"
# in place, on copies, in float64
def standardise(train, other):
    a, b = train.cpu().double(), other.cpu().double()
    a, b = a.clone(), b.clone()
    for j in range(a.shape[1]):
        mean, std = a[:, j].mean(), a[:, j].std(correction=0)
        for X in (a, b):
            X[:, j] -= mean
            if std > 0:
                X[:, j] /= std
    return a.to(train), b.to(other)


# %% alternative="rotated_back" exercise="whiten"
# ZCA: rotate, scale, rotate back; the whitened point closest to the standardised one
def whiten(train, other):
    mean = train.mean(dim=0)
    eigenvalues, V = torch.linalg.eigh(torch.cov(train.T, correction=0))
    M = V @ torch.diag(eigenvalues**-0.5) @ V.T
    return (train - mean) @ M, (other - mean) @ M


# %% alternative="cholesky" exercise="whiten"
# a triangular matrix in place of a rotation
def whiten(train, other):
    mean = train.mean(dim=0)
    L = torch.linalg.cholesky(torch.cov(train.T, correction=0))
    a, b = (torch.linalg.solve_triangular(L, (X - mean).T, upper=False).T for X in (train, other))
    return a, b


# %% alternative="svd" exercise="whiten"
# no covariance at all: the singular values of the centred points
def whiten(train, other):
    mean = train.mean(dim=0)
    U, S, Vh = torch.linalg.svd(train - mean, full_matrices=False)
    root_n = len(train) ** 0.5
    return U * root_n, (other - mean) @ Vh.T / S * root_n


# %% alternative="float64_inside" exercise="whiten"
# computes wide, returns the dtype of the points
def whiten(train, other):
    a, b = train.cpu().double(), other.cpu().double()
    eigenvalues, V = torch.linalg.eigh(torch.cov(a.T, correction=0))
    M = (V / eigenvalues.sqrt()).flip(1)
    return ((a - a.mean(0)) @ M).to(train), ((b - a.mean(0)) @ M).to(other)


# %% alternative="in_place_on_copies" exercise="momentum_step"
# clones first, then as the formula has it
def momentum_step(w, delta, gradient, rate, beta):
    w = w.clone()
    w += delta
    delta = delta.clone()
    delta *= beta
    delta -= rate * gradient(w)
    return w, delta


# %% alternative="as_torch_has_it" exercise="momentum_step"
# a velocity v with Δw = −ε v, which is torch.optim.SGD's
def momentum_step(w, delta, gradient, rate, beta):
    velocity = -delta / rate
    w = w - rate * velocity
    velocity = beta * velocity + gradient(w)
    return w, -rate * velocity


# %% alternative="min_of_two" exercise="scaled_rate"
# one formula, with the fraction held at 1
def scaled_rate(step, base_rate, base_batch, batch, steps_per_epoch, warmup_epochs):
    fraction = min(1.0, step / (steps_per_epoch * warmup_epochs)) if warmup_epochs else 1.0
    target = base_rate * batch / base_batch
    return (1 - fraction) * base_rate + fraction * target


# %% alternative="added_up" exercise="scaled_rate"
# one amount after another
def scaled_rate(step, base_rate, base_batch, batch, steps_per_epoch, warmup_epochs):
    target = base_rate * (batch / base_batch)
    warmup_steps = steps_per_epoch * warmup_epochs
    rate = base_rate if warmup_steps else target
    for _ in range(min(step, warmup_steps)):
        rate += (target - base_rate) / warmup_steps
    return rate


# %% alternative="linspace" exercise="scaled_rate"
# a table of all rates, as a tensor
def scaled_rate(step, base_rate, base_batch, batch, steps_per_epoch, warmup_epochs):
    warmup_steps = steps_per_epoch * warmup_epochs
    table = torch.linspace(base_rate, base_rate * batch / base_batch, warmup_steps + 1)
    return table[min(step, warmup_steps)] if warmup_steps else table.new_tensor(base_rate * batch / base_batch)


# %% alternative="functional_hvp" exercise="sharpness"
# torch's own Hessian–vector product
def sharpness(loss, w, X, t, steps, generator):
    def product(v):
        return torch.autograd.functional.hvp(lambda u: loss(u, X, t), w, v)[1]

    v = torch.randn(w.shape, generator=generator).to(w)
    for _ in range(steps):
        v = torch.nn.functional.normalize(product(v), dim=0)
    return v @ product(v)


# %% alternative="forward_over_reverse" exercise="sharpness"
# the derivative of the gradient along v
def sharpness(loss, w, X, t, steps, generator):
    def product(v):
        return torch.func.jvp(lambda u: torch.func.grad(loss)(u, X, t), (w,), (v,))[1]

    v = torch.randn(w.shape, generator=generator).to(w)
    for _ in range(steps):
        v = product(v)
        v = v / v.abs().max()
    return ((v @ product(v)) / (v @ v)).item()


# %% alternative="whole_matrix" exercise="sharpness"
# fine for a few weights: all eigenvalues, and the one of largest magnitude
def sharpness(loss, w, X, t, steps, generator):
    matrix = torch.autograd.functional.hessian(lambda u: loss(u, X, t), w)
    eigenvalues = torch.linalg.eigvalsh(matrix)
    return eigenvalues[eigenvalues.abs().argmax()].item()


# %% alternative="backward_twice" exercise="sharpness"
# .backward() and .grad
def sharpness(loss, w, X, t, steps, generator):
    w = w.detach().clone().requires_grad_()
    v = torch.randn(len(w), generator=generator).to(w)
    for _ in range(steps + 1):
        v = v / v.norm()
        (slope,) = torch.autograd.grad(loss(w, X, t), w, create_graph=True)
        w.grad = None
        (slope * v).sum().backward()
        quotient, v = torch.dot(v, w.grad), w.grad.clone()
    return quotient.item()


# %% alternative="row_by_row" exercise="rescale_relu"
# unit by unit, in place on copies
def rescale_relu(W1, b1, W2, b2, alpha):
    W1, b1, W2 = W1.clone(), b1.clone(), W2.clone()
    for j in range(len(b1)):
        W1[j] *= alpha
        b1[j] *= alpha
        W2[j] /= alpha
    return [W1, b1, W2, b2.clone()]


# %% alternative="autograd_grad" exercise="loss_curve"
# autograd on a leaf, points and losses filled in
def loss_curve(loss, w0, X, t, rate, batch_size, epochs, generator):
    n = len(X)
    per_epoch = -(-n // batch_size)
    points = torch.zeros(epochs * per_epoch + 1, dtype=torch.int64)
    losses = torch.empty(epochs * per_epoch + 1, dtype=w0.dtype, device=w0.device)
    w = w0.detach().clone().requires_grad_()
    losses[0] = loss(w, X, t).detach()
    k = 0
    for _ in range(epochs):
        order = torch.randperm(n, generator=generator)
        for start in range(0, n, batch_size):
            batch = order[start : start + batch_size]
            (slope,) = torch.autograd.grad(loss(w, X[batch], t[batch]), w)
            with torch.no_grad():
                w -= rate * slope
            k += 1
            points[k] = points[k - 1] + len(batch)
            losses[k] = loss(w, X, t).detach()
    return points, losses


# %% alternative="loader_and_optimizer" exercise="loss_curve"
# the training loop as everybody writes it
def loss_curve(loss, w0, X, t, rate, batch_size, epochs, generator):
    data = torch.utils.data.TensorDataset(X, t)
    loader = torch.utils.data.DataLoader(data, batch_size=batch_size, shuffle=True, generator=generator)
    w = torch.nn.Parameter(w0.clone())
    optimizer = torch.optim.SGD([w], lr=rate)
    shown, points, losses = 0, [0], [loss(w, X, t).item()]
    for _ in range(epochs):
        for x, target in loader:
            optimizer.zero_grad()
            loss(w, x, target).backward()
            optimizer.step()
            shown += len(x)
            points.append(shown)
            with torch.no_grad():
                losses.append(loss(w, X, t).item())
    return torch.tensor(points), torch.tensor(losses, dtype=w0.dtype, device=w0.device)
