# Errors students really make in `descent`, each with the tests that must fail and a word of the hint they must read.


# %% mistake="half_forgotten" exercise="unit_loss" fails="unit_loss" hint="half"
# the mean squared error as every library has it
def unit_loss(w, X, t):
    y = torch.tanh(X @ w[:2] + w[2])
    return ((y - t) ** 2).mean()


# %% mistake="sum_not_mean" exercise="unit_loss" fails="unit_loss" hint="mean over the points"
# half the squared error, added up
def unit_loss(w, X, t):
    y = torch.tanh(X @ w[:2] + w[2])
    return 0.5 * ((y - t) ** 2).sum()


# %% mistake="no_tanh" exercise="unit_loss" fails="unit_loss" hint="tanh"
# linear regression by habit
def unit_loss(w, X, t):
    y = X @ w[:2] + w[2]
    return 0.5 * ((y - t) ** 2).mean()


# %% mistake="weights_swapped" exercise="unit_loss" fails="unit_loss" hint="its own coordinate"
# takes the bias for the first entry of w
def unit_loss(w, X, t):
    y = torch.tanh(X @ w[1:] + w[0])
    return 0.5 * ((y - t) ** 2).mean()


# %% mistake="no_bias" exercise="unit_loss" fails="unit_loss" hint="bias"
# two coordinates, two weights
def unit_loss(w, X, t):
    y = torch.tanh(X @ w[:2])
    return 0.5 * ((y - t) ** 2).mean()


# %% mistake="bias_outside" exercise="unit_loss" fails="unit_loss" hint="inside the tanh"
# adds the bias to what comes out
def unit_loss(w, X, t):
    y = torch.tanh(X @ w[:2]) + w[2]
    return 0.5 * ((y - t) ** 2).mean()


# %% mistake="one_loss_a_point" exercise="unit_loss" fails="unit_loss" hint="one number"
# forgets the mean: n losses instead of one
def unit_loss(w, X, t):
    y = torch.tanh(X @ w[:2] + w[2])
    return 0.5 * (y - t) ** 2


# %% mistake="python_number" exercise="unit_loss" fails="unit_loss" hint=".item()"
# a number looks tidier than a tensor, but has no gradient
def unit_loss(w, X, t):
    y = torch.tanh(X @ w[:2] + w[2])
    return (0.5 * ((y - t) ** 2).mean()).item()


# %% mistake="float64" exercise="unit_loss" fails="unit_loss" hint="dtype"
# computes in float64 "to be safe" and returns that
def unit_loss(w, X, t):
    w, X, t = w.double(), X.double(), t.double()
    y = torch.tanh(X @ w[:2] + w[2])
    return 0.5 * ((y - t) ** 2).mean()


# %% mistake="print_not_return" exercise="unit_loss" fails="unit_loss" hint="one number"
# shows the answer and returns nothing
def unit_loss(w, X, t):
    y = torch.tanh(X @ w[:2] + w[2])
    print(0.5 * ((y - t) ** 2).mean())


# %% mistake="bias_forgotten" exercise="unit_gradient" fails="unit_gradient" hint="the bias is a weight too"
# two coordinates, two slopes
def unit_gradient(w, X, t):
    y = torch.tanh(X @ w[:2] + w[2])
    return ((y - t) * (1 - y**2)) @ X / len(X)


# %% mistake="bias_zero" exercise="unit_gradient" fails="unit_gradient" hint="at the bias is 1"
# "nothing comes in at the bias"
def unit_gradient(w, X, t):
    y = torch.tanh(X @ w[:2] + w[2])
    slope = (y - t) * (1 - y**2)
    return torch.cat([slope @ X, torch.zeros_like(w[2:])]) / len(X)


# %% mistake="sign" exercise="unit_gradient" fails="unit_gradient" hint="sign"
# target minus answer
def unit_gradient(w, X, t):
    y = torch.tanh(X @ w[:2] + w[2])
    slope = (t - y) * (1 - y**2)
    return torch.cat([slope @ X, slope.sum()[None]]) / len(X)


# %% mistake="factor_two" exercise="unit_gradient" fails="unit_gradient" hint="cancels the half"
# differentiates the square and forgets the half
def unit_gradient(w, X, t):
    y = torch.tanh(X @ w[:2] + w[2])
    slope = 2 * (y - t) * (1 - y**2)
    return torch.cat([slope @ X, slope.sum()[None]]) / len(X)


# %% mistake="tanh_derivative_forgotten" exercise="unit_gradient" fails="unit_gradient" hint="derivative of tanh"
# the gradient of linear regression
def unit_gradient(w, X, t):
    y = torch.tanh(X @ w[:2] + w[2])
    slope = y - t
    return torch.cat([slope @ X, slope.sum()[None]]) / len(X)


# %% mistake="tanh_derivative_of_activation" exercise="unit_gradient" fails="unit_gradient" hint="derivative of tanh"
# 1 − a² in place of 1 − tanh²(a)
def unit_gradient(w, X, t):
    a = X @ w[:2] + w[2]
    slope = (torch.tanh(a) - t) * (1 - a**2)
    return torch.cat([slope @ X, slope.sum()[None]]) / len(X)


# %% mistake="sigmoid_derivative" exercise="unit_gradient" fails="unit_gradient" hint="tanh has slope 1"
# y (1 − y) belongs to the sigmoid
def unit_gradient(w, X, t):
    y = torch.tanh(X @ w[:2] + w[2])
    slope = (y - t) * y * (1 - y)
    return torch.cat([slope @ X, slope.sum()[None]]) / len(X)


# %% mistake="inputs_forgotten" exercise="unit_gradient" fails="unit_gradient" hint="times what came in"
# stops the chain rule one link early
def unit_gradient(w, X, t):
    y = torch.tanh(X @ w[:2] + w[2])
    return ((y - t) * (1 - y**2)).mean().repeat(3)


# %% mistake="sum_not_mean" exercise="unit_gradient" fails="unit_gradient" hint="mean over the points"
# the loss is a mean, the gradient is not
def unit_gradient(w, X, t):
    y = torch.tanh(X @ w[:2] + w[2])
    slope = (y - t) * (1 - y**2)
    return torch.cat([slope @ X, slope.sum()[None]])


# %% mistake="mean_over_weights_only" exercise="unit_gradient" fails="unit_gradient" hint="mean over the points"
# divides the weights' slopes by n, and forgets the bias
def unit_gradient(w, X, t):
    y = torch.tanh(X @ w[:2] + w[2])
    slope = (y - t) * (1 - y**2)
    return torch.cat([slope @ X / len(X), slope.sum()[None]])


# %% mistake="last_dropped" exercise="minibatches" fails="minibatches" hint="Keep the last batch"
# only full batches, as drop_last does
def minibatches(n, batch_size, epochs, generator):
    schedule = []
    for _ in range(epochs):
        order = torch.randperm(n, generator=generator)
        schedule.append([order[k * batch_size : (k + 1) * batch_size] for k in range(n // batch_size)])
    return schedule


# %% mistake="with_replacement" exercise="minibatches" fails="minibatches" hint="exactly once"
# draws every batch anew from all points
def minibatches(n, batch_size, epochs, generator):
    sizes = [min(batch_size, n - start) for start in range(0, n, batch_size)]
    return [[torch.randint(n, (size,), generator=generator) for size in sizes] for _ in range(epochs)]


# %% mistake="permutation_for_each_batch" exercise="minibatches" fails="minibatches" hint="exactly once"
# no point twice in a batch, but many twice in an epoch
def minibatches(n, batch_size, epochs, generator):
    sizes = [min(batch_size, n - start) for start in range(0, n, batch_size)]
    return [[torch.randperm(n, generator=generator)[:size] for size in sizes] for _ in range(epochs)]


# %% mistake="empty_last_batch" exercise="minibatches" fails="minibatches" hint="empty"
# n // batch_size + 1 batches, always
def minibatches(n, batch_size, epochs, generator):
    schedule = []
    for _ in range(epochs):
        order = torch.randperm(n, generator=generator)
        schedule.append([order[k * batch_size : (k + 1) * batch_size] for k in range(n // batch_size + 1)])
    return schedule


# %% mistake="flat_list" exercise="minibatches" fails="minibatches" hint="One list for each epoch"
# all batches of all epochs in one list
def minibatches(n, batch_size, epochs, generator):
    return [batch for _ in range(epochs) for batch in torch.randperm(n, generator=generator).split(batch_size)]


# %% mistake="one_epoch" exercise="minibatches" fails="minibatches" hint="epochs"
# returns inside the loop
def minibatches(n, batch_size, epochs, generator):
    for _ in range(epochs):
        return [list(torch.randperm(n, generator=generator).split(batch_size))]


# %% mistake="counts_from_one" exercise="minibatches" fails="minibatches" hint="exactly once"
# points 1 to n
def minibatches(n, batch_size, epochs, generator):
    return [list((torch.randperm(n, generator=generator) + 1).split(batch_size)) for _ in range(epochs)]


# %% mistake="float_indices" exercise="minibatches" fails="minibatches" hint="whole numbers"
# an empty tensor to be filled is float32 unless told otherwise
def minibatches(n, batch_size, epochs, generator):
    order = torch.zeros(n)
    schedule = []
    for _ in range(epochs):
        order[:] = torch.randperm(n, generator=generator)
        schedule.append(list(order.clone().split(batch_size)))
    return schedule


# %% mistake="batch_size_is_number_of_batches" exercise="minibatches" fails="minibatches" hint="4, 4 and 2"
# chunk cuts into so many pieces, split into pieces of that size
def minibatches(n, batch_size, epochs, generator):
    return [list(torch.randperm(n, generator=generator).chunk(batch_size)) for _ in range(epochs)]


# %% mistake="no_shuffle" exercise="minibatches" fails="minibatches:shuffled" hint="Shuffle"
# cuts the points in the order they lie in
def minibatches(n, batch_size, epochs, generator):
    return [list(torch.arange(n).split(batch_size)) for _ in range(epochs)]


# %% mistake="shuffled_once" exercise="minibatches" fails="minibatches:shuffled" hint="for every epoch"
# draws the order before the loop over epochs
def minibatches(n, batch_size, epochs, generator):
    order = torch.randperm(n, generator=generator)
    return [list(order.split(batch_size)) for _ in range(epochs)]


# %% mistake="batches_shuffled" exercise="minibatches" fails="minibatches:shuffled" hint="Shuffle the points"
# fixed batches in a random order
def minibatches(n, batch_size, epochs, generator):
    fixed = torch.arange(n).split(batch_size)
    return [[fixed[i] for i in torch.randperm(len(fixed), generator=generator)] for _ in range(epochs)]


# %% mistake="generator_ignored" exercise="minibatches" fails="minibatches:shuffled" hint="generator=generator"
# draws from the global generator
def minibatches(n, batch_size, epochs, generator):
    return [list(torch.randperm(n).split(batch_size)) for _ in range(epochs)]


# %% mistake="own_seed" exercise="minibatches" fails="minibatches:shuffled" hint="seed yourself"
# "reproducible" by a seed of its own
def minibatches(n, batch_size, epochs, generator):
    torch.manual_seed(0)
    return [list(torch.randperm(n).split(batch_size)) for _ in range(epochs)]


# %% mistake="seed_set_again" exercise="minibatches" fails="minibatches:shuffled" hint="Setting its seed again"
# starts the generator anew at every call
def minibatches(n, batch_size, epochs, generator):
    generator.manual_seed(generator.initial_seed())
    return [list(torch.randperm(n, generator=generator).split(batch_size)) for _ in range(epochs)]


# %% mistake="seed_set_each_epoch" exercise="minibatches" fails="minibatches:shuffled" hint="for every epoch"
# the same, inside the loop
def minibatches(n, batch_size, epochs, generator):
    schedule = []
    for _ in range(epochs):
        generator.manual_seed(generator.initial_seed())
        schedule.append(list(torch.randperm(n, generator=generator).split(batch_size)))
    return schedule


# %% mistake="no_start" exercise="sgd_path" fails="sgd_path" hint="the start, and one after each step"
# only the places after the steps
def sgd_path(gradient, w0, X, t, batches, rate):
    w, path = w0, []
    for batch in batches:
        w = w - rate * gradient(w, X[batch], t[batch])
        path.append(w)
    return torch.stack(path)


# %% mistake="only_the_end" exercise="sgd_path" fails="sgd_path" hint="three places"
# the weights that came out, as training loops return them
def sgd_path(gradient, w0, X, t, batches, rate):
    w = w0
    for batch in batches:
        w = w - rate * gradient(w, X[batch], t[batch])
    return w


# %% mistake="one_tensor_many_times" exercise="sgd_path" fails="sgd_path" hint="w.clone()"
# changes the one tensor that all entries of the list point to
def sgd_path(gradient, w0, X, t, batches, rate):
    w = w0.clone()
    path = [w]
    for batch in batches:
        w -= rate * gradient(w, X[batch], t[batch])
        path.append(w)
    return torch.stack(path)


# %% mistake="start_changed" exercise="sgd_path" fails="sgd_path" hint="changes w0 itself"
# keeps w0 in the path, then changes it in place
def sgd_path(gradient, w0, X, t, batches, rate):
    w = w0
    path = [w0]
    for batch in batches:
        w -= rate * gradient(w, X[batch], t[batch])
        path.append(w.clone())
    return torch.stack(path)


# %% mistake="uphill" exercise="sgd_path" fails="sgd_path" hint="Downhill"
# adds the gradient
def sgd_path(gradient, w0, X, t, batches, rate):
    path = [w0]
    for batch in batches:
        path.append(path[-1] + rate * gradient(path[-1], X[batch], t[batch]))
    return torch.stack(path)


# %% mistake="all_points" exercise="sgd_path" fails="sgd_path" hint="first batch only"
# loops over the batches, and uses all points in each step
def sgd_path(gradient, w0, X, t, batches, rate):
    path = [w0]
    for _ in batches:
        path.append(path[-1] - rate * gradient(path[-1], X, t))
    return torch.stack(path)


# %% mistake="gradient_at_the_start" exercise="sgd_path" fails="sgd_path" hint="take the gradient there"
# takes every gradient at w0
def sgd_path(gradient, w0, X, t, batches, rate):
    path = [w0]
    for batch in batches:
        path.append(path[-1] - rate * gradient(w0, X[batch], t[batch]))
    return torch.stack(path)


# %% mistake="one_over_largest" exercise="curvature" fails="curvature" hint="twice that"
# the rate that is best for the steepest direction, not the limit
def curvature(hessian):
    eigenvalues = torch.linalg.eigvalsh(hessian)
    return 1 / eigenvalues[-1].item(), (eigenvalues[-1] / eigenvalues[0]).item()


# %% mistake="smallest_eigenvalue" exercise="curvature" fails="curvature" hint="steepest"
# takes the first of the ascending eigenvalues for the largest
def curvature(hessian):
    eigenvalues = torch.linalg.eigvalsh(hessian)
    return 2 / eigenvalues[0].item(), (eigenvalues[-1] / eigenvalues[0]).item()


# %% mistake="condition_upside_down" exercise="curvature" fails="curvature" hint="largest eigenvalue divided by"
# smallest over largest
def curvature(hessian):
    eigenvalues = torch.linalg.eigvalsh(hessian)
    return 2 / eigenvalues[-1].item(), (eigenvalues[0] / eigenvalues[-1]).item()


# %% mistake="trace" exercise="curvature" fails="curvature" hint="2/λmax"
# the sum of the eigenvalues, which is easy to have
def curvature(hessian):
    eigenvalues = torch.linalg.eigvalsh(hessian)
    return 2 / hessian.trace().item(), (eigenvalues[-1] / eigenvalues[0]).item()


# %% mistake="diagonal" exercise="curvature" fails="curvature" hint="diagonal"
# right only where the axes are the eigenvectors
def curvature(hessian):
    diagonal = hessian.diagonal()
    return 2 / diagonal.max().item(), (diagonal.max() / diagonal.min()).item()


# %% mistake="rate_alone" exercise="curvature" fails="curvature" hint="return rate, condition"
# forgets the second number
def curvature(hessian):
    return 2 / torch.linalg.eigvalsh(hessian)[-1].item()


# %% mistake="distance_not_ratio" exercise="below_and_above" fails="below_and_above" hint="Divide the distance"
# returns how far it is, not compared with the start
def below_and_above(hessian, w0, limit, steps, margin=0.01):
    ratios = []
    for rate in ((1 - margin) * limit, (1 + margin) * limit):
        w = w0
        for _ in range(steps):
            w = w - rate * hessian @ w
        ratios.append(w.norm().item())
    return tuple(ratios)


# %% mistake="margin_not_a_fraction" exercise="below_and_above" fails="below_and_above" hint="limit"
# limit − margin
def below_and_above(hessian, w0, limit, steps, margin=0.01):
    ratios = []
    for rate in (limit - margin, limit + margin):
        w = w0
        for _ in range(steps):
            w = w - rate * hessian @ w
        ratios.append((w.norm() / w0.norm()).item())
    return tuple(ratios)


# %% mistake="second_run_goes_on" exercise="below_and_above" fails="below_and_above" hint="limit"
# the second run starts where the first ended
def below_and_above(hessian, w0, limit, steps, margin=0.01):
    ratios, w = [], w0
    for rate in ((1 - margin) * limit, (1 + margin) * limit):
        for _ in range(steps):
            w = w - rate * hessian @ w
        ratios.append((w.norm() / w0.norm()).item())
    return tuple(ratios)


# %% mistake="one_step_missing" exercise="below_and_above" fails="below_and_above" hint="limit"
# range(1, steps)
def below_and_above(hessian, w0, limit, steps, margin=0.01):
    ratios = []
    for rate in ((1 - margin) * limit, (1 + margin) * limit):
        w = w0
        for _ in range(1, steps):
            w = w - rate * hessian @ w
        ratios.append((w.norm() / w0.norm()).item())
    return tuple(ratios)


# %% mistake="statistics_of_other_set" exercise="standardise" fails="standardise" hint="training set only"
# each set by its own statistics
def standardise(train, other):
    def one(X):
        std = X.std(dim=0, correction=0)
        return (X - X.mean(dim=0)) / torch.where(std > 0, std, 1.0)

    return one(train), one(other)


# %% mistake="statistics_of_both_sets" exercise="standardise" fails="standardise" hint="training set only"
# "more data gives better statistics"
def standardise(train, other):
    both = torch.cat([train, other])
    mean, std = both.mean(dim=0), both.std(dim=0, correction=0)
    std = torch.where(std > 0, std, 1.0)
    return (train - mean) / std, (other - mean) / std


# %% mistake="divided_by_variance" exercise="standardise" fails="standardise" hint="square root of the variance"
# var for std
def standardise(train, other):
    mean, var = train.mean(dim=0), train.var(dim=0, correction=0)
    var = torch.where(var > 0, var, 1.0)
    return (train - mean) / var, (other - mean) / var


# %% mistake="divided_by_n_minus_1" exercise="standardise" fails="standardise" hint="correction=0"
# torch.std as it comes
def standardise(train, other):
    mean, std = train.mean(dim=0), train.std(dim=0)
    std = torch.where(std > 0, std, 1.0)
    return (train - mean) / std, (other - mean) / std


# %% mistake="constant_feature" exercise="standardise" fails="standardise" hint="constant feature"
# 0 / 0
def standardise(train, other):
    mean, std = train.mean(dim=0), train.std(dim=0, correction=0)
    return (train - mean) / std, (other - mean) / std


# %% mistake="one_mean_for_all_features" exercise="standardise" fails="standardise" hint="each feature"
# .mean() without dim
def standardise(train, other):
    mean, std = train.mean(), train.std(correction=0)
    return (train - mean) / std, (other - mean) / std


# %% mistake="along_the_features" exercise="standardise" fails="standardise" hint="dim=0"
# dim=1: each person to mean 0
def standardise(train, other):
    def one(X):
        std = X.std(dim=1, correction=0, keepdim=True)
        return (X - X.mean(dim=1, keepdim=True)) / torch.where(std > 0, std, 1.0)

    return one(train), one(other)


# %% mistake="not_centred" exercise="standardise" fails="standardise" hint="Centre"
# divides, and forgets to subtract
def standardise(train, other):
    std = train.std(dim=0, correction=0)
    std = torch.where(std > 0, std, 1.0)
    return train / std, other / std


# %% mistake="in_place" exercise="standardise" fails="standardise" hint="statistics of the training set"
# train is changed first, so that its mean is 0 by the time it is taken off the other set
def standardise(train, other):
    train -= train.mean(dim=0)
    other = other - train.mean(dim=0)
    std = train.std(dim=0, correction=0)
    std = torch.where(std > 0, std, 1.0)
    return train / std, other / std


# %% mistake="not_centred" exercise="whiten" fails="whiten" hint="Centre"
# the right matrix, on points that are not centred
def whiten(train, other):
    eigenvalues, V = torch.linalg.eigh(torch.cov(train.T, correction=0))
    M = V / eigenvalues.sqrt()
    return train @ M, other @ M


# %% mistake="only_scaled" exercise="whiten" fails="whiten" hint="Rotate"
# standardises
def whiten(train, other):
    mean, std = train.mean(dim=0), train.std(dim=0, correction=0)
    return (train - mean) / std, (other - mean) / std


# %% mistake="only_rotated" exercise="whiten" fails="whiten" hint="Divide each rotated coordinate"
# principal components, with their variances left in
def whiten(train, other):
    mean = train.mean(dim=0)
    _, V = torch.linalg.eigh(torch.cov(train.T, correction=0))
    return (train - mean) @ V, (other - mean) @ V


# %% mistake="no_square_root" exercise="whiten" fails="whiten" hint="square root"
# divides by the variance
def whiten(train, other):
    mean = train.mean(dim=0)
    eigenvalues, V = torch.linalg.eigh(torch.cov(train.T, correction=0))
    return (train - mean) @ (V / eigenvalues), (other - mean) @ (V / eigenvalues)


# %% mistake="multiplied" exercise="whiten" fails="whiten" hint="Divide each rotated coordinate"
# times the square root
def whiten(train, other):
    mean = train.mean(dim=0)
    eigenvalues, V = torch.linalg.eigh(torch.cov(train.T, correction=0))
    M = V * eigenvalues.sqrt()
    return (train - mean) @ M, (other - mean) @ M


# %% mistake="transposed_rotation" exercise="whiten" fails="whiten" hint="columns"
# takes the rows of V for the eigenvectors
def whiten(train, other):
    mean = train.mean(dim=0)
    eigenvalues, V = torch.linalg.eigh(torch.cov(train.T, correction=0))
    M = V.T / eigenvalues.sqrt()
    return (train - mean) @ M, (other - mean) @ M


# %% mistake="divided_by_n_minus_1" exercise="whiten" fails="whiten" hint="correction=0"
# torch.cov as it comes
def whiten(train, other):
    mean = train.mean(dim=0)
    eigenvalues, V = torch.linalg.eigh(torch.cov(train.T))
    M = V / eigenvalues.sqrt()
    return (train - mean) @ M, (other - mean) @ M


# %% mistake="statistics_of_other_set" exercise="whiten" fails="whiten" hint="same μ and M"
# each set by its own covariance
def whiten(train, other):
    def one(X):
        eigenvalues, V = torch.linalg.eigh(torch.cov(X.T, correction=0))
        return (X - X.mean(dim=0)) @ (V / eigenvalues.sqrt())

    return one(train), one(other)


# %% mistake="gradient_before_the_step" exercise="momentum_step" fails="momentum_step" hint="at the new w"
# takes the slope where it was, not where it arrives
def momentum_step(w, delta, gradient, rate, beta):
    slope = gradient(w)
    return w + delta, -rate * slope + beta * delta


# %% mistake="new_delta_first" exercise="momentum_step" fails="momentum_step" hint="Δw that came in"
# the two lines in the other order
def momentum_step(w, delta, gradient, rate, beta):
    delta = -rate * gradient(w) + beta * delta
    return w + delta, delta


# %% mistake="minus_delta" exercise="momentum_step" fails="momentum_step" hint="w ← w + Δw"
# subtracts the step, as if it were a gradient
def momentum_step(w, delta, gradient, rate, beta):
    w = w - delta
    return w, -rate * gradient(w) + beta * delta


# %% mistake="moving_average" exercise="momentum_step" fails="momentum_step" hint="1 − β"
# the exponential moving average of other texts
def momentum_step(w, delta, gradient, rate, beta):
    w = w + delta
    return w, -rate * (1 - beta) * gradient(w) + beta * delta


# %% mistake="momentum_sign" exercise="momentum_step" fails="momentum_step" hint="own sign"
# a minus for both terms
def momentum_step(w, delta, gradient, rate, beta):
    w = w + delta
    return w, -rate * gradient(w) - beta * delta


# %% mistake="no_memory" exercise="momentum_step" fails="momentum_step" hint="the step goes on"
# plain descent
def momentum_step(w, delta, gradient, rate, beta):
    w = w + delta
    return w, -rate * gradient(w)


# %% mistake="uphill" exercise="momentum_step" fails="momentum_step" hint="−ε∇J"
# the sign of the gradient
def momentum_step(w, delta, gradient, rate, beta):
    w = w + delta
    return w, rate * gradient(w) + beta * delta


# %% mistake="square_root_of_k" exercise="scaled_rate" fails="scaled_rate" hint="not √k"
# the square-root rule
def scaled_rate(step, base_rate, base_batch, batch, steps_per_epoch, warmup_epochs):
    k = (batch / base_batch) ** 0.5
    warmup_steps = steps_per_epoch * warmup_epochs
    return k * base_rate if step >= warmup_steps else base_rate * (1 + (k - 1) * step / warmup_steps)


# %% mistake="not_scaled" exercise="scaled_rate" fails="scaled_rate" hint="k times the rate"
# warms up to the base rate
def scaled_rate(step, base_rate, base_batch, batch, steps_per_epoch, warmup_epochs):
    warmup_steps = steps_per_epoch * warmup_epochs
    return base_rate if step >= warmup_steps else base_rate * (step + 1) / warmup_steps


# %% mistake="goes_on_rising" exercise="scaled_rate" fails="scaled_rate" hint="constant in the end"
# no end of the warm-up
def scaled_rate(step, base_rate, base_batch, batch, steps_per_epoch, warmup_epochs):
    k = batch / base_batch
    return base_rate * (1 + (k - 1) * step / max(1, steps_per_epoch * warmup_epochs))


# %% mistake="starts_at_zero" exercise="scaled_rate" fails="scaled_rate" hint="not at 0"
# the warm-up of other recipes
def scaled_rate(step, base_rate, base_batch, batch, steps_per_epoch, warmup_epochs):
    k = batch / base_batch
    warmup_steps = steps_per_epoch * warmup_epochs
    return k * base_rate if step >= warmup_steps else k * base_rate * step / warmup_steps


# %% mistake="starts_one_late" exercise="scaled_rate" fails="scaled_rate" hint="starts at the base rate"
# counts steps from 1: off by one
def scaled_rate(step, base_rate, base_batch, batch, steps_per_epoch, warmup_epochs):
    k = batch / base_batch
    warmup_steps = steps_per_epoch * warmup_epochs
    return k * base_rate if step >= warmup_steps else base_rate * (1 + (k - 1) * (step + 1) / warmup_steps)


# %% mistake="ends_one_early" exercise="scaled_rate" fails="scaled_rate" hint="one amount missing at step 19"
# reaches k·ε at the last step of the warm-up: off by one at the other end
def scaled_rate(step, base_rate, base_batch, batch, steps_per_epoch, warmup_epochs):
    k = batch / base_batch
    warmup_steps = steps_per_epoch * warmup_epochs
    return k * base_rate if step >= warmup_steps else base_rate * (1 + (k - 1) * step / (warmup_steps - 1))


# %% mistake="epochs_as_steps" exercise="scaled_rate" fails="scaled_rate" hint="steps_per_epoch"
# compares a step with a number of epochs
def scaled_rate(step, base_rate, base_batch, batch, steps_per_epoch, warmup_epochs):
    k = batch / base_batch
    return k * base_rate if step >= warmup_epochs else base_rate * (1 + (k - 1) * step / warmup_epochs)


# %% mistake="staircase" exercise="scaled_rate" fails="scaled_rate" hint="at every step"
# raises the rate once an epoch
def scaled_rate(step, base_rate, base_batch, batch, steps_per_epoch, warmup_epochs):
    k = batch / base_batch
    epoch = step // steps_per_epoch
    return k * base_rate if epoch >= warmup_epochs else base_rate * (1 + (k - 1) * epoch / warmup_epochs)


# %% mistake="exponential" exercise="scaled_rate" fails="scaled_rate" hint="Equal amounts"
# equal factors in place of equal amounts
def scaled_rate(step, base_rate, base_batch, batch, steps_per_epoch, warmup_epochs):
    k = batch / base_batch
    warmup_steps = steps_per_epoch * warmup_epochs
    return k * base_rate if step >= warmup_steps else base_rate * k ** (step / warmup_steps)


# %% mistake="not_normalised" exercise="sharpness" fails="sharpness" hint="overflows"
# v grows by λ at each turn
def sharpness(loss, w, X, t, steps, generator):
    w = w.clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss(w, X, t), w, create_graph=True)
    v = torch.randn(len(w), generator=generator).to(w.device)
    for _ in range(steps):
        before, v = v, torch.autograd.grad(slope @ v, w, retain_graph=True)[0]
    return (before @ v / (before @ before)).item()


# %% mistake="norm_not_quotient" exercise="sharpness" fails="sharpness" hint="keeps it"
# the length of Hv, which has no sign
def sharpness(loss, w, X, t, steps, generator):
    w = w.clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss(w, X, t), w, create_graph=True)
    v = torch.randn(len(w), generator=generator).to(w.device)
    for _ in range(steps):
        v = torch.autograd.grad(slope @ v, w, retain_graph=True)[0]
        size = v.norm()
        v = v / size
    return size.item()


# %% mistake="vector_returned" exercise="sharpness" fails="sharpness" hint="not the vector"
# the direction in place of its eigenvalue
def sharpness(loss, w, X, t, steps, generator):
    w = w.clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss(w, X, t), w, create_graph=True)
    v = torch.randn(len(w), generator=generator).to(w.device)
    for _ in range(steps):
        v = torch.autograd.grad(slope @ v, w, retain_graph=True)[0]
        v = v / v.norm()
    return v


# %% mistake="one_turn" exercise="sharpness" fails="sharpness" hint="do all the turns"
# returns inside the loop
def sharpness(loss, w, X, t, steps, generator):
    w = w.clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss(w, X, t), w, create_graph=True)
    v = torch.randn(len(w), generator=generator).to(w.device)
    for _ in range(steps):
        Hv = torch.autograd.grad(slope @ v, w, retain_graph=True)[0]
        return (v @ Hv / (v @ v)).item()


# %% mistake="quotient_not_divided" exercise="sharpness" fails="sharpness" hint="over v·v"
# v·Hv with a v of any length
def sharpness(loss, w, X, t, steps, generator):
    w = w.clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss(w, X, t), w, create_graph=True)
    v = torch.randn(len(w), generator=generator).to(w.device)
    for _ in range(steps):
        v = v / v.norm()
        v = torch.autograd.grad(slope @ v, w, retain_graph=True)[0]
    return (v @ torch.autograd.grad(slope @ v, w)[0]).item()


# %% mistake="fixed_start" exercise="sharpness" fails="sharpness" hint="Start at random"
# a start of ones, which has no part along the steepest direction
def sharpness(loss, w, X, t, steps, generator):
    w = w.clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss(w, X, t), w, create_graph=True)
    v = torch.ones(len(w), device=w.device)
    for _ in range(steps):
        v = torch.autograd.grad(slope @ v, w, retain_graph=True)[0]
        v = v / v.norm()
    return (v @ torch.autograd.grad(slope @ v, w)[0]).item()


# %% mistake="no_graph" exercise="sharpness" fails="sharpness" hint="grad"
# the first backward pass without create_graph: torch itself says that nothing requires a gradient
def sharpness(loss, w, X, t, steps, generator):
    w = w.clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss(w, X, t), w)
    v = torch.randn(len(w), generator=generator).to(w.device)
    for _ in range(steps):
        v = torch.autograd.grad(slope @ v, w, retain_graph=True)[0]
        v = v / v.norm()
    return (v @ torch.autograd.grad(slope @ v, w)[0]).item()


# %% mistake="bias_not_scaled" exercise="rescale_relu" fails="rescale_relu" hint="bias b1 must grow"
# only the weights
def rescale_relu(W1, b1, W2, b2, alpha):
    return alpha * W1, b1, W2 / alpha, b2


# %% mistake="multiplied_twice" exercise="rescale_relu" fails="rescale_relu" hint="divide W2"
# W2 times α as well
def rescale_relu(W1, b1, W2, b2, alpha):
    return alpha * W1, alpha * b1, alpha * W2, b2


# %% mistake="second_layer_forgotten" exercise="rescale_relu" fails="rescale_relu" hint="divide W2"
# nothing makes up for it
def rescale_relu(W1, b1, W2, b2, alpha):
    return alpha * W1, alpha * b1, W2, b2


# %% mistake="output_bias_divided" exercise="rescale_relu" fails="rescale_relu" hint="b2 stays"
# divides the whole second layer
def rescale_relu(W1, b1, W2, b2, alpha):
    return alpha * W1, alpha * b1, W2 / alpha, b2 / alpha


# %% mistake="steps_for_points" exercise="loss_curve" fails="loss_curve" hint="not steps"
# counts steps
def loss_curve(loss, w0, X, t, rate, batch_size, epochs, generator):
    w, points, losses = w0, [0], [loss(w0, X, t)]
    for _ in range(epochs):
        for batch in torch.randperm(len(X), generator=generator).split(batch_size):
            w = w - rate * torch.func.grad(loss)(w, X[batch], t[batch])
            points.append(points[-1] + 1)
            losses.append(loss(w, X, t))
    return torch.tensor(points), torch.stack(losses)


# %% mistake="short_batch_counted_full" exercise="loss_curve" fails="loss_curve" hint="what it really holds"
# every batch counts batch_size points
def loss_curve(loss, w0, X, t, rate, batch_size, epochs, generator):
    w, points, losses = w0, [0], [loss(w0, X, t)]
    for _ in range(epochs):
        for batch in torch.randperm(len(X), generator=generator).split(batch_size):
            w = w - rate * torch.func.grad(loss)(w, X[batch], t[batch])
            points.append(points[-1] + batch_size)
            losses.append(loss(w, X, t))
    return torch.tensor(points), torch.stack(losses)


# %% mistake="once_an_epoch" exercise="loss_curve" fails="loss_curve" hint="each epoch"
# records at the end of the epochs only
def loss_curve(loss, w0, X, t, rate, batch_size, epochs, generator):
    w, points, losses = w0, [0], [loss(w0, X, t)]
    for _ in range(epochs):
        for batch in torch.randperm(len(X), generator=generator).split(batch_size):
            w = w - rate * torch.func.grad(loss)(w, X[batch], t[batch])
        points.append(points[-1] + len(X))
        losses.append(loss(w, X, t))
    return torch.tensor(points), torch.stack(losses)


# %% mistake="loss_before_the_step" exercise="loss_curve" fails="loss_curve" hint="after that step"
# the usual training loop records the loss it has just differentiated
def loss_curve(loss, w0, X, t, rate, batch_size, epochs, generator):
    w, points, losses = w0, [0], [loss(w0, X, t)]
    for _ in range(epochs):
        for batch in torch.randperm(len(X), generator=generator).split(batch_size):
            losses.append(loss(w, X, t))
            w = w - rate * torch.func.grad(loss)(w, X[batch], t[batch])
            points.append(points[-1] + len(batch))
    return torch.tensor(points), torch.stack(losses)


# %% mistake="start_missing" exercise="loss_curve" fails="loss_curve" hint="Three steps and the start"
# nothing before the first step
def loss_curve(loss, w0, X, t, rate, batch_size, epochs, generator):
    w, shown, points, losses = w0, 0, [], []
    for _ in range(epochs):
        for batch in torch.randperm(len(X), generator=generator).split(batch_size):
            w = w - rate * torch.func.grad(loss)(w, X[batch], t[batch])
            shown += len(batch)
            points.append(shown)
            losses.append(loss(w, X, t))
    return torch.tensor(points), torch.stack(losses)


# %% mistake="loss_of_the_batch" exercise="loss_curve" fails="loss_curve" hint="over all points"
# measures the loss on the batch that it has just used
def loss_curve(loss, w0, X, t, rate, batch_size, epochs, generator):
    w, points, losses = w0, [0], [loss(w0, X, t)]
    for _ in range(epochs):
        for batch in torch.randperm(len(X), generator=generator).split(batch_size):
            w = w - rate * torch.func.grad(loss)(w, X[batch], t[batch])
            points.append(points[-1] + len(batch))
            losses.append(loss(w, X[batch], t[batch]))
    return torch.tensor(points), torch.stack(losses)


# %% mistake="shuffled_once" exercise="loss_curve" fails="loss_curve" hint="new random order"
# the same order in all epochs
def loss_curve(loss, w0, X, t, rate, batch_size, epochs, generator):
    w, points, losses = w0, [0], [loss(w0, X, t)]
    batches = torch.randperm(len(X), generator=generator).split(batch_size)
    for _ in range(epochs):
        for batch in batches:
            w = w - rate * torch.func.grad(loss)(w, X[batch], t[batch])
            points.append(points[-1] + len(batch))
            losses.append(loss(w, X, t))
    return torch.tensor(points), torch.stack(losses)


# %% mistake="gradient_on_all_points" exercise="loss_curve" fails="loss_curve" hint="gradient on the batch"
# many batch steps an epoch: n times the work, and not stochastic
def loss_curve(loss, w0, X, t, rate, batch_size, epochs, generator):
    w, points, losses = w0, [0], [loss(w0, X, t)]
    for _ in range(epochs):
        for batch in torch.randperm(len(X), generator=generator).split(batch_size):
            w = w - rate * torch.func.grad(loss)(w, X, t)
            points.append(points[-1] + len(batch))
            losses.append(loss(w, X, t))
    return torch.tensor(points), torch.stack(losses)


# %% mistake="step_once_an_epoch" exercise="loss_curve" fails="loss_curve:race" hint="A step after every batch"
# adds up the gradients of the batches and steps at the end of the epoch
def loss_curve(loss, w0, X, t, rate, batch_size, epochs, generator):
    w, points, losses = w0, [0], [loss(w0, X, t)]
    for _ in range(epochs):
        start = w
        for batch in torch.randperm(len(X), generator=generator).split(batch_size):
            w = w - rate * torch.func.grad(loss)(start, X[batch], t[batch]) * len(batch) / len(X)
            points.append(points[-1] + len(batch))
            losses.append(loss(w, X, t))
    return torch.tensor(points), torch.stack(losses)


# %% mistake="generator_ignored" exercise="loss_curve" fails="loss_curve" hint="generator=generator"
# draws from the global generator, and no run can be repeated
def loss_curve(loss, w0, X, t, rate, batch_size, epochs, generator):
    w, points, losses = w0, [0], [loss(w0, X, t)]
    for _ in range(epochs):
        for batch in torch.randperm(len(X)).split(batch_size):
            w = w - rate * torch.func.grad(loss)(w, X[batch], t[batch])
            points.append(points[-1] + len(batch))
            losses.append(loss(w, X, t))
    return torch.tensor(points), torch.stack(losses)
