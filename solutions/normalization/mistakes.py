# Errors students really make in `normalization`, each with the tests that must fail and a word of the hint they read.


# %% mistake="own_statistics" exercise="standardise" fails="standardise" hint="never through its own"
# every set by its own mean and spread
def standardise(batches, x):
    mean = x.mean(dim=(0, 2, 3), keepdim=True)
    std = x.std(dim=(0, 2, 3), correction=0, keepdim=True)
    return (x - mean) / torch.where(std > 0, std, 1.0)


# %% mistake="mean_of_means" exercise="standardise" fails="standardise" hint="mean of their means"
# averages the batches' statistics, though the last batch is shorter
def standardise(batches, x):
    mean = torch.stack([b.mean(dim=(0, 2, 3), keepdim=True) for b in batches]).mean(dim=0)
    var = torch.stack([((b - mean) ** 2).mean(dim=(0, 2, 3), keepdim=True) for b in batches]).mean(dim=0)
    std = var.sqrt()
    return (x - mean) / torch.where(std > 0, std, 1.0)


# %% mistake="spread_within_batches" exercise="standardise" fails="standardise" hint="how far the batches lie apart"
# weighs the batches rightly, but takes each one's spread about its own mean
def standardise(batches, x):
    n = sum(len(b) for b in batches)
    mean = sum(len(b) * b.mean(dim=(0, 2, 3), keepdim=True) for b in batches) / n
    var = sum(len(b) * b.var(dim=(0, 2, 3), correction=0, keepdim=True) for b in batches) / n
    std = var.sqrt()
    return (x - mean) / torch.where(std > 0, std, 1.0)


# %% mistake="unbiased" exercise="standardise" fails="standardise" hint="correction=0"
# torch.std as it comes
def standardise(batches, x):
    train = torch.cat(list(batches))
    std = train.std(dim=(0, 2, 3), keepdim=True)
    return (x - train.mean(dim=(0, 2, 3), keepdim=True)) / torch.where(std > 0, std, 1.0)


# %% mistake="variance_not_root" exercise="standardise" fails="standardise" hint="root of the variance"
# divides by the variance
def standardise(batches, x):
    train = torch.cat(list(batches))
    var = train.var(dim=(0, 2, 3), correction=0, keepdim=True)
    return (x - train.mean(dim=(0, 2, 3), keepdim=True)) / torch.where(var > 0, var, 1.0)


# %% mistake="all_channels_together" exercise="standardise" fails="standardise" hint="for each channel"
# one mean and one spread for everything
def standardise(batches, x):
    train = torch.cat(list(batches))
    return (x - train.mean()) / train.std(correction=0)


# %% mistake="each_pixel" exercise="standardise" fails="standardise:hard_cases" hint="divide by 1"
# one mean and one spread for each pixel of each channel
def standardise(batches, x):
    train = torch.cat(list(batches))
    mean, std = train.mean(dim=0), train.std(dim=0, correction=0)
    return torch.where(std > 0, (x - mean) / torch.where(std > 0, std, 1.0), 0.0)


# %% mistake="each_image" exercise="standardise" fails="standardise" hint="root of the variance"
# each image by its own statistics, as instance norm does
def standardise(batches, x):
    std = x.std(dim=(2, 3), correction=0, keepdim=True)
    return (x - x.mean(dim=(2, 3), keepdim=True)) / torch.where(std > 0, std, 1.0)


# %% mistake="first_batch_only" exercise="standardise" fails="standardise" hint="mean of each channel"
# takes the first batch for the training set
def standardise(batches, x):
    train = batches[0]
    mean = train.mean(dim=(0, 2, 3), keepdim=True)
    std = train.std(dim=(0, 2, 3), correction=0, keepdim=True)
    return (x - mean) / torch.where(std > 0, std, 1.0)


# %% mistake="dark_channel" exercise="standardise" fails="standardise:hard_cases" hint="divide by 1"
# 0 divided by 0
def standardise(batches, x):
    train = torch.cat(list(batches))
    mean = train.mean(dim=(0, 2, 3), keepdim=True)
    return (x - mean) / train.std(dim=(0, 2, 3), correction=0, keepdim=True)


# %% mistake="small_number_added" exercise="standardise" fails="standardise:hard_cases" hint="only centred"
# a small number for safety makes the dark channel huge
def standardise(batches, x):
    train = torch.cat(list(batches))
    mean = train.mean(dim=(0, 2, 3), keepdim=True)
    return (x - mean) / (train.std(dim=(0, 2, 3), correction=0, keepdim=True) + 1e-7)


# %% mistake="difference_of_squares" exercise="standardise" fails="standardise:hard_cases" hint="before squaring"
# E[x²] − μ² in float32
def standardise(batches, x):
    n = sum(b.numel() // b.shape[1] for b in batches)
    mean = sum(b.sum(dim=(0, 2, 3), keepdim=True) for b in batches) / n
    var = sum((b**2).sum(dim=(0, 2, 3), keepdim=True) for b in batches) / n - mean**2
    std = var.clamp_min(0).sqrt()
    return (x - mean) / torch.where(std > 0, std, 1.0)


# %% mistake="only_centred" exercise="standardise" fails="standardise" hint="Divide by the standard deviation"
# forgets the scale
def standardise(batches, x):
    return x - torch.cat(list(batches)).mean(dim=(0, 2, 3), keepdim=True)


# %% mistake="eigenvalue_not_root" exercise="whitening" fails="whitening" hint="root of the eigenvalue"
# divides by the variance
def whitening(X, zca, eps):
    mean = X.mean(dim=0)
    centred = X - mean
    eigenvalues, V = torch.linalg.eigh(centred.T @ centred / len(X))
    scaled = V / (eigenvalues + eps)
    return mean, scaled @ V.T if zca else scaled.T.flip(0)


# %% mistake="times_root" exercise="whitening" fails="whitening" hint="Divide by the root"
# multiplies where it must divide
def whitening(X, zca, eps):
    mean = X.mean(dim=0)
    centred = X - mean
    eigenvalues, V = torch.linalg.eigh(centred.T @ centred / len(X))
    scaled = V * (eigenvalues + eps).sqrt()
    return mean, scaled @ V.T if zca else scaled.T.flip(0)


# %% mistake="n_minus_one" exercise="whitening" fails="whitening" hint="not n − 1"
# torch.cov as it comes
def whitening(X, zca, eps):
    eigenvalues, V = torch.linalg.eigh(torch.cov(X.T))
    scaled = V / (eigenvalues + eps).sqrt()
    return X.mean(dim=0), scaled @ V.T if zca else scaled.T.flip(0)


# %% mistake="not_centred" exercise="whitening" fails="whitening" hint="not n − 1"
# the mean square in place of the covariance
def whitening(X, zca, eps):
    eigenvalues, V = torch.linalg.eigh(X.T @ X / len(X))
    scaled = V / (eigenvalues + eps).sqrt()
    return X.mean(dim=0), scaled @ V.T if zca else scaled.T.flip(0)


# %% mistake="ascending" exercise="whitening" fails="whitening" hint="largest variance comes first"
# the order in which eigh gives them
def whitening(X, zca, eps):
    mean = X.mean(dim=0)
    centred = X - mean
    eigenvalues, V = torch.linalg.eigh(centred.T @ centred / len(X))
    scaled = V / (eigenvalues + eps).sqrt()
    return mean, scaled @ V.T if zca else scaled.T


# %% mistake="eps_outside_root" exercise="whitening" fails="whitening" hint="inside the root"
# adds ε to the standard deviation
def whitening(X, zca, eps):
    mean = X.mean(dim=0)
    centred = X - mean
    eigenvalues, V = torch.linalg.eigh(centred.T @ centred / len(X))
    scaled = V / (eigenvalues.sqrt() + eps)
    return mean, scaled @ V.T if zca else scaled.T.flip(0)


# %% mistake="eps_forgotten" exercise="whitening" fails="whitening" hint="ε is added"
# no ε at all
def whitening(X, zca, eps):
    mean = X.mean(dim=0)
    centred = X - mean
    eigenvalues, V = torch.linalg.eigh(centred.T @ centred / len(X))
    scaled = V / eigenvalues.clamp_min(1e-12).sqrt()
    return mean, scaled @ V.T if zca else scaled.T.flip(0)


# %% mistake="columns_for_rows" exercise="whitening" fails="whitening" hint="rows of M"
# takes the rows of V for the eigenvectors
def whitening(X, zca, eps):
    mean = X.mean(dim=0)
    centred = X - mean
    eigenvalues, V = torch.linalg.eigh(centred.T @ centred / len(X))
    scaled = V.T / (eigenvalues + eps).sqrt()
    return mean, scaled @ V.T if zca else (V / (eigenvalues + eps).sqrt()[:, None]).flip(0)


# %% mistake="zca_for_pca" exercise="whitening" fails="whitening" hint="stop before rotating back"
# always rotates back
def whitening(X, zca, eps):
    mean = X.mean(dim=0)
    centred = X - mean
    eigenvalues, V = torch.linalg.eigh(centred.T @ centred / len(X))
    return mean, V / (eigenvalues + eps).sqrt() @ V.T


# %% mistake="pca_for_zca" exercise="whitening" fails="whitening:zca" hint="rotate there with Vᵀ and back with V"
# never rotates back
def whitening(X, zca, eps):
    mean = X.mean(dim=0)
    centred = X - mean
    eigenvalues, V = torch.linalg.eigh(centred.T @ centred / len(X))
    return mean, (V / (eigenvalues + eps).sqrt()).T.flip(0)


# %% mistake="rotates_back_the_wrong_way" exercise="whitening" fails="whitening:zca" hint="back with V"
# Vᵀ on the left once more
def whitening(X, zca, eps):
    mean = X.mean(dim=0)
    centred = X - mean
    eigenvalues, V = torch.linalg.eigh(centred.T @ centred / len(X))
    pca = (V / (eigenvalues + eps).sqrt()).T
    return mean, V.T @ pca if zca else pca.flip(0)


# %% mistake="order_mixed_up" exercise="whitening" fails="whitening:zca" hint="back with V"
# turns the rows around, and rotates back with vectors in the old order
def whitening(X, zca, eps):
    mean = X.mean(dim=0)
    centred = X - mean
    eigenvalues, V = torch.linalg.eigh(centred.T @ centred / len(X))
    pca = (V / (eigenvalues + eps).sqrt()).T.flip(0)
    return mean, V @ pca if zca else pca


# %% mistake="zca_without_scaling" exercise="whitening" fails="whitening:zca" hint="divided by √(λ + ε)"
# there and back, and nothing in between
def whitening(X, zca, eps):
    mean = X.mean(dim=0)
    centred = X - mean
    eigenvalues, V = torch.linalg.eigh(centred.T @ centred / len(X))
    return mean, V @ V.T if zca else (V / (eigenvalues + eps).sqrt()).T.flip(0)


# %% mistake="zero_to_b" exercise="initialise" fails="initialise" hint="stretch and shift"
# torch.rand, only stretched
def initialise(shape, scheme, generator):
    patch = math.prod(shape[2:])
    n_in, n_out = shape[1] * patch, shape[0] * patch
    bound = {"standard": n_in**-0.5, "xavier": (6 / (n_in + n_out)) ** 0.5, "he": (6 / n_in) ** 0.5}[scheme]
    return bound * torch.rand(shape, generator=generator)


# %% mistake="normal" exercise="initialise" fails="initialise" hint="uniform"
# normal weights with the bound as standard deviation
def initialise(shape, scheme, generator):
    patch = math.prod(shape[2:])
    n_in, n_out = shape[1] * patch, shape[0] * patch
    bound = {"standard": n_in**-0.5, "xavier": (6 / (n_in + n_out)) ** 0.5, "he": (6 / n_in) ** 0.5}[scheme]
    return bound * torch.randn(shape, generator=generator)


# %% mistake="half_the_bound" exercise="initialise" fails="initialise" hint="bound b of the table"
# from −b/2 to b/2
def initialise(shape, scheme, generator):
    patch = math.prod(shape[2:])
    n_in, n_out = shape[1] * patch, shape[0] * patch
    bound = {"standard": n_in**-0.5, "xavier": (6 / (n_in + n_out)) ** 0.5, "he": (6 / n_in) ** 0.5}[scheme]
    return bound * (torch.rand(shape, generator=generator) - 0.5)


# %% mistake="times_root_n" exercise="initialise" fails="initialise" hint="bound b of the table"
# multiplies by √n where it must divide
def initialise(shape, scheme, generator):
    patch = math.prod(shape[2:])
    n_in, n_out = shape[1] * patch, shape[0] * patch
    bound = {"standard": n_in**0.5, "xavier": (6 * (n_in + n_out)) ** 0.5, "he": (6 * n_in) ** 0.5}[scheme]
    return bound * (2 * torch.rand(shape, generator=generator) - 1)


# %% mistake="in_and_out_swapped" exercise="initialise" fails="initialise" hint="second entry of the shape"
# takes (outputs, inputs) for (inputs, outputs)
def initialise(shape, scheme, generator):
    patch = math.prod(shape[2:])
    n_out, n_in = shape[1] * patch, shape[0] * patch
    bound = {"standard": n_in**-0.5, "xavier": (6 / (n_in + n_out)) ** 0.5, "he": (6 / n_in) ** 0.5}[scheme]
    return bound * (2 * torch.rand(shape, generator=generator) - 1)


# %% mistake="no_root" exercise="initialise" fails="initialise" hint="root"
# 6/(n_in + n_out) without the root
def initialise(shape, scheme, generator):
    patch = math.prod(shape[2:])
    n_in, n_out = shape[1] * patch, shape[0] * patch
    bound = {"standard": 1 / n_in, "xavier": 6 / (n_in + n_out), "he": 6 / n_in}[scheme]
    return bound * (2 * torch.rand(shape, generator=generator) - 1)


# %% mistake="he_as_standard_deviation" exercise="initialise" fails="initialise" hint="he scheme"
# √(2/n) is He's standard deviation, not the bound of a uniform draw
def initialise(shape, scheme, generator):
    patch = math.prod(shape[2:])
    n_in, n_out = shape[1] * patch, shape[0] * patch
    bound = {"standard": n_in**-0.5, "xavier": (6 / (n_in + n_out)) ** 0.5, "he": (2 / n_in) ** 0.5}[scheme]
    return bound * (2 * torch.rand(shape, generator=generator) - 1)


# %% mistake="xavier_with_inputs_only" exercise="initialise" fails="initialise" hint="xavier scheme"
# √(3/n_in), Xavier's when inputs and outputs are as many
def initialise(shape, scheme, generator):
    n_in = math.prod(shape[1:])
    bound = {"standard": n_in**-0.5, "xavier": (3 / n_in) ** 0.5, "he": (6 / n_in) ** 0.5}[scheme]
    return bound * (2 * torch.rand(shape, generator=generator) - 1)


# %% mistake="signs_only" exercise="initialise" fails="initialise" hint="equally likely"
# weights of one size, with random signs
def initialise(shape, scheme, generator):
    patch = math.prod(shape[2:])
    n_in, n_out = shape[1] * patch, shape[0] * patch
    bound = {"standard": n_in**-0.5, "xavier": (6 / (n_in + n_out)) ** 0.5, "he": (6 / n_in) ** 0.5}[scheme]
    return bound * (2 * torch.rand(shape, generator=generator) - 1).sign()


# %% mistake="generator_ignored" exercise="initialise" fails="initialise" hint="generator=generator"
# draws from the global generator
def initialise(shape, scheme, generator):
    patch = math.prod(shape[2:])
    n_in, n_out = shape[1] * patch, shape[0] * patch
    bound = {"standard": n_in**-0.5, "xavier": (6 / (n_in + n_out)) ** 0.5, "he": (6 / n_in) ** 0.5}[scheme]
    return bound * (2 * torch.rand(shape) - 1)


# %% mistake="own_seed" exercise="initialise" fails="initialise" hint="set no seed"
# the same weights whatever the generator
def initialise(shape, scheme, generator):
    torch.manual_seed(0)
    patch = math.prod(shape[2:])
    n_in, n_out = shape[1] * patch, shape[0] * patch
    bound = {"standard": n_in**-0.5, "xavier": (6 / (n_in + n_out)) ** 0.5, "he": (6 / n_in) ** 0.5}[scheme]
    return bound * (2 * torch.rand(shape) - 1)


# %% mistake="patch_forgotten" exercise="initialise" fails="initialise:convolution" hint="channels · height · width"
# the channels alone
def initialise(shape, scheme, generator):
    n_out, n_in = shape[:2]
    bound = {"standard": n_in**-0.5, "xavier": (6 / (n_in + n_out)) ** 0.5, "he": (6 / n_in) ** 0.5}[scheme]
    return bound * (2 * torch.rand(shape, generator=generator) - 1)


# %% mistake="patch_for_inputs_only" exercise="initialise" fails="initialise:convolution" hint="patch as well"
# n_out without the patch
def initialise(shape, scheme, generator):
    n_out, n_in = shape[0], math.prod(shape[1:])
    bound = {"standard": n_in**-0.5, "xavier": (6 / (n_in + n_out)) ** 0.5, "he": (6 / n_in) ** 0.5}[scheme]
    return bound * (2 * torch.rand(shape, generator=generator) - 1)


# %% mistake="library" exercise="batch_norm" fails="batch_norm" hint="by hand"
# calls what it is to write
def batch_norm(x, gamma, beta, eps):
    return torch.nn.functional.batch_norm(x, None, None, gamma, beta, training=True, eps=eps)


# %% mistake="library_under_another_name" exercise="batch_norm" fails="batch_norm" hint="by hand"
# the same by way of an import
def batch_norm(x, gamma, beta, eps):
    import torch.nn.functional as F

    return F.batch_norm(x, None, None, gamma, beta, True, 0.1, eps)


# %% mistake="unbiased" exercise="batch_norm" fails="batch_norm" hint="biased"
# torch.var as it comes
def batch_norm(x, gamma, beta, eps):
    axes = [axis for axis in range(x.dim()) if axis != 1]
    shape = [1, -1] + [1] * (x.dim() - 2)
    xhat = (x - x.mean(axes, keepdim=True)) / (x.var(axes, keepdim=True) + eps).sqrt()
    return gamma.reshape(shape) * xhat + beta.reshape(shape)


# %% mistake="eps_outside_root" exercise="batch_norm" fails="batch_norm" hint="under the root"
# adds ε to the standard deviation
def batch_norm(x, gamma, beta, eps):
    axes = [axis for axis in range(x.dim()) if axis != 1]
    shape = [1, -1] + [1] * (x.dim() - 2)
    xhat = (x - x.mean(axes, keepdim=True)) / (x.std(axes, correction=0, keepdim=True) + eps)
    return gamma.reshape(shape) * xhat + beta.reshape(shape)


# %% mistake="eps_forgotten" exercise="batch_norm" fails="batch_norm" hint="ε under the root"
# 0/0 in a channel without spread
def batch_norm(x, gamma, beta, eps):
    axes = [axis for axis in range(x.dim()) if axis != 1]
    shape = [1, -1] + [1] * (x.dim() - 2)
    xhat = (x - x.mean(axes, keepdim=True)) / x.std(axes, correction=0, keepdim=True)
    return gamma.reshape(shape) * xhat + beta.reshape(shape)


# %% mistake="variance_not_root" exercise="batch_norm" fails="batch_norm" hint="√(σ² + ε)"
# divides by the variance
def batch_norm(x, gamma, beta, eps):
    axes = [axis for axis in range(x.dim()) if axis != 1]
    shape = [1, -1] + [1] * (x.dim() - 2)
    xhat = (x - x.mean(axes, keepdim=True)) / (x.var(axes, correction=0, keepdim=True) + eps)
    return gamma.reshape(shape) * xhat + beta.reshape(shape)


# %% mistake="over_the_features" exercise="batch_norm" fails="batch_norm" hint="not over the channels"
# layer norm
def batch_norm(x, gamma, beta, eps):
    axes = list(range(1, x.dim()))
    shape = [1, -1] + [1] * (x.dim() - 2)
    xhat = (x - x.mean(axes, keepdim=True)) / (x.var(axes, correction=0, keepdim=True) + eps).sqrt()
    return gamma.reshape(shape) * xhat + beta.reshape(shape)


# %% mistake="over_the_batch_only" exercise="batch_norm" fails="batch_norm" hint="the rows and the columns"
# each pixel of an image on its own
def batch_norm(x, gamma, beta, eps):
    shape = [1, -1] + [1] * (x.dim() - 2)
    xhat = (x - x.mean(0)) / (x.var(0, correction=0) + eps).sqrt()
    return gamma.reshape(shape) * xhat + beta.reshape(shape)


# %% mistake="scale_and_shift_forgotten" exercise="batch_norm" fails="batch_norm" hint="γ·x̂ + β"
# stops at x̂
def batch_norm(x, gamma, beta, eps):
    axes = [axis for axis in range(x.dim()) if axis != 1]
    return (x - x.mean(axes, keepdim=True)) / (x.var(axes, correction=0, keepdim=True) + eps).sqrt()


# %% mistake="shift_before_scale" exercise="batch_norm" fails="batch_norm" hint="γ·x̂ + β"
# γ·(x̂ + β)
def batch_norm(x, gamma, beta, eps):
    axes = [axis for axis in range(x.dim()) if axis != 1]
    shape = [1, -1] + [1] * (x.dim() - 2)
    xhat = (x - x.mean(axes, keepdim=True)) / (x.var(axes, correction=0, keepdim=True) + eps).sqrt()
    return gamma.reshape(shape) * (xhat + beta.reshape(shape))


# %% mistake="not_centred" exercise="batch_norm" fails="batch_norm" hint="Centre"
# scales only
def batch_norm(x, gamma, beta, eps):
    axes = [axis for axis in range(x.dim()) if axis != 1]
    shape = [1, -1] + [1] * (x.dim() - 2)
    xhat = x / (x.var(axes, correction=0, keepdim=True) + eps).sqrt()
    return gamma.reshape(shape) * xhat + beta.reshape(shape)


# %% mistake="gamma_on_the_columns" exercise="batch_norm" fails="batch_norm" hint="your code raised"
# γ lands on the last axis of an image
def batch_norm(x, gamma, beta, eps):
    axes = [axis for axis in range(x.dim()) if axis != 1]
    xhat = (x - x.mean(axes, keepdim=True)) / (x.var(axes, correction=0, keepdim=True) + eps).sqrt()
    return gamma * xhat + beta


# %% mistake="unbiased_in_the_batch" exercise="batch_norm_layer" fails="batch_norm_layer" hint="biased"
# torch.var as it comes
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
        axes = [axis for axis in range(x.dim()) if axis != 1]
        shape = [1, -1] + [1] * (x.dim() - 2)
        mean, var = self.running_mean, self.running_var
        if self.training:
            n = x.numel() // x.shape[1]
            if n == 1:
                raise ValueError(f"one value per channel in {tuple(x.shape)}")
            mean, var = x.mean(axes), x.var(axes)
            self.num_batches_tracked += 1
            self.running_mean += self.momentum * (mean.detach() - self.running_mean)
            self.running_var += self.momentum * (var.detach() - self.running_var)
        xhat = (x - mean.reshape(shape)) / (var.reshape(shape) + self.eps).sqrt()
        return self.weight.reshape(shape) * xhat + self.bias.reshape(shape)


# %% mistake="running_statistics_in_training" exercise="batch_norm_layer" fails="batch_norm_layer" hint="own"
# normalises by the running statistics always
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
        axes = [axis for axis in range(x.dim()) if axis != 1]
        shape = [1, -1] + [1] * (x.dim() - 2)
        mean, var = self.running_mean, self.running_var
        if self.training:
            n = x.numel() // x.shape[1]
            if n == 1:
                raise ValueError(f"one value per channel in {tuple(x.shape)}")
            batch_mean, batch_var = x.mean(axes), x.var(axes, correction=0)
            self.num_batches_tracked += 1
            self.running_mean += self.momentum * (batch_mean.detach() - self.running_mean)
            self.running_var += self.momentum * (batch_var.detach() * n / (n - 1) - self.running_var)
        xhat = (x - mean.reshape(shape)) / (var.reshape(shape) + self.eps).sqrt()
        return self.weight.reshape(shape) * xhat + self.bias.reshape(shape)


# %% mistake="eps_outside_root" exercise="batch_norm_layer" fails="batch_norm_layer" hint="under the root"
# adds ε to the standard deviation
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
        axes = [axis for axis in range(x.dim()) if axis != 1]
        shape = [1, -1] + [1] * (x.dim() - 2)
        mean, var = self.running_mean, self.running_var
        if self.training:
            n = x.numel() // x.shape[1]
            if n == 1:
                raise ValueError(f"one value per channel in {tuple(x.shape)}")
            mean, var = x.mean(axes), x.var(axes, correction=0)
            self.num_batches_tracked += 1
            self.running_mean += self.momentum * (mean.detach() - self.running_mean)
            self.running_var += self.momentum * (var.detach() * n / (n - 1) - self.running_var)
        xhat = (x - mean.reshape(shape)) / (var.reshape(shape).sqrt() + self.eps)
        return self.weight.reshape(shape) * xhat + self.bias.reshape(shape)


# %% mistake="default_eps" exercise="batch_norm_layer" fails="batch_norm_layer" hint="self.eps"
# ε of its own
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
        axes = [axis for axis in range(x.dim()) if axis != 1]
        shape = [1, -1] + [1] * (x.dim() - 2)
        mean, var = self.running_mean, self.running_var
        if self.training:
            n = x.numel() // x.shape[1]
            if n == 1:
                raise ValueError(f"one value per channel in {tuple(x.shape)}")
            mean, var = x.mean(axes), x.var(axes, correction=0)
            self.num_batches_tracked += 1
            self.running_mean += self.momentum * (mean.detach() - self.running_mean)
            self.running_var += self.momentum * (var.detach() * n / (n - 1) - self.running_var)
        xhat = (x - mean.reshape(shape)) / (var.reshape(shape) + 1e-5).sqrt()
        return self.weight.reshape(shape) * xhat + self.bias.reshape(shape)


# %% mistake="weight_and_bias_forgotten" exercise="batch_norm_layer" fails="batch_norm_layer" hint="self.weight"
# stops at x̂
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
        axes = [axis for axis in range(x.dim()) if axis != 1]
        shape = [1, -1] + [1] * (x.dim() - 2)
        mean, var = self.running_mean, self.running_var
        if self.training:
            n = x.numel() // x.shape[1]
            if n == 1:
                raise ValueError(f"one value per channel in {tuple(x.shape)}")
            mean, var = x.mean(axes), x.var(axes, correction=0)
            self.num_batches_tracked += 1
            self.running_mean += self.momentum * (mean.detach() - self.running_mean)
            self.running_var += self.momentum * (var.detach() * n / (n - 1) - self.running_var)
        xhat = (x - mean.reshape(shape)) / (var.reshape(shape) + self.eps).sqrt()
        return xhat


# %% mistake="one_value_allowed" exercise="batch_norm_layer" fails="batch_norm_layer" hint="raise ValueError"
# divides 0 by n − 1 = 0 in silence
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
        axes = [axis for axis in range(x.dim()) if axis != 1]
        shape = [1, -1] + [1] * (x.dim() - 2)
        mean, var = self.running_mean, self.running_var
        if self.training:
            n = x.numel() // x.shape[1]
            mean, var = x.mean(axes), x.var(axes, correction=0)
            self.num_batches_tracked += 1
            self.running_mean += self.momentum * (mean.detach() - self.running_mean)
            self.running_var += self.momentum * (var.detach() * n / (n - 1) - self.running_var)
        xhat = (x - mean.reshape(shape)) / (var.reshape(shape) + self.eps).sqrt()
        return self.weight.reshape(shape) * xhat + self.bias.reshape(shape)


# %% mistake="one_image_refused" exercise="batch_norm_layer" fails="batch_norm_layer" hint="raised ValueError"
# takes the batch size for the number of values
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
        axes = [axis for axis in range(x.dim()) if axis != 1]
        shape = [1, -1] + [1] * (x.dim() - 2)
        mean, var = self.running_mean, self.running_var
        if self.training:
            n = x.numel() // x.shape[1]
            if len(x) == 1:
                raise ValueError(f"one value per channel in {tuple(x.shape)}")
            mean, var = x.mean(axes), x.var(axes, correction=0)
            self.num_batches_tracked += 1
            self.running_mean += self.momentum * (mean.detach() - self.running_mean)
            self.running_var += self.momentum * (var.detach() * n / (n - 1) - self.running_var)
        xhat = (x - mean.reshape(shape)) / (var.reshape(shape) + self.eps).sqrt()
        return self.weight.reshape(shape) * xhat + self.bias.reshape(shape)


# %% mistake="batch_axis_only" exercise="batch_norm_layer" fails="batch_norm_layer" hint="rows and columns"
# each pixel on its own
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
        axes = [0]
        if x.dim() == 4:
            return (x - x.mean(0)) / (x.var(0, correction=0) + self.eps).sqrt()
        shape = [1, -1] + [1] * (x.dim() - 2)
        mean, var = self.running_mean, self.running_var
        if self.training:
            n = x.numel() // x.shape[1]
            if n == 1:
                raise ValueError(f"one value per channel in {tuple(x.shape)}")
            mean, var = x.mean(axes), x.var(axes, correction=0)
            self.num_batches_tracked += 1
            self.running_mean += self.momentum * (mean.detach() - self.running_mean)
            self.running_var += self.momentum * (var.detach() * n / (n - 1) - self.running_var)
        xhat = (x - mean.reshape(shape)) / (var.reshape(shape) + self.eps).sqrt()
        return self.weight.reshape(shape) * xhat + self.bias.reshape(shape)


# %% mistake="momentum_reversed" exercise="batch_norm_layer" fails="batch_norm_layer:running" hint="of the new value"
# the momentum of an optimizer
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
        axes = [axis for axis in range(x.dim()) if axis != 1]
        shape = [1, -1] + [1] * (x.dim() - 2)
        mean, var = self.running_mean, self.running_var
        if self.training:
            n = x.numel() // x.shape[1]
            if n == 1:
                raise ValueError(f"one value per channel in {tuple(x.shape)}")
            mean, var = x.mean(axes), x.var(axes, correction=0)
            self.num_batches_tracked += 1
            self.running_mean += (1 - self.momentum) * (mean.detach() - self.running_mean)
            self.running_var += (1 - self.momentum) * (var.detach() * n / (n - 1) - self.running_var)
        xhat = (x - mean.reshape(shape)) / (var.reshape(shape) + self.eps).sqrt()
        return self.weight.reshape(shape) * xhat + self.bias.reshape(shape)


# %% mistake="momentum_of_its_own" exercise="batch_norm_layer" fails="batch_norm_layer:running" hint="self.momentum"
# 0.1, whatever was asked for
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
        axes = [axis for axis in range(x.dim()) if axis != 1]
        shape = [1, -1] + [1] * (x.dim() - 2)
        mean, var = self.running_mean, self.running_var
        if self.training:
            n = x.numel() // x.shape[1]
            if n == 1:
                raise ValueError(f"one value per channel in {tuple(x.shape)}")
            mean, var = x.mean(axes), x.var(axes, correction=0)
            self.num_batches_tracked += 1
            self.running_mean += 0.1 * (mean.detach() - self.running_mean)
            self.running_var += 0.1 * (var.detach() * n / (n - 1) - self.running_var)
        xhat = (x - mean.reshape(shape)) / (var.reshape(shape) + self.eps).sqrt()
        return self.weight.reshape(shape) * xhat + self.bias.reshape(shape)


# %% mistake="biased_running_variance" exercise="batch_norm_layer" fails="batch_norm_layer:running" hint="unbiased"
# the same variance for both
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
        axes = [axis for axis in range(x.dim()) if axis != 1]
        shape = [1, -1] + [1] * (x.dim() - 2)
        mean, var = self.running_mean, self.running_var
        if self.training:
            n = x.numel() // x.shape[1]
            if n == 1:
                raise ValueError(f"one value per channel in {tuple(x.shape)}")
            mean, var = x.mean(axes), x.var(axes, correction=0)
            self.num_batches_tracked += 1
            self.running_mean += self.momentum * (mean.detach() - self.running_mean)
            self.running_var += self.momentum * (var.detach() - self.running_var)
        xhat = (x - mean.reshape(shape)) / (var.reshape(shape) + self.eps).sqrt()
        return self.weight.reshape(shape) * xhat + self.bias.reshape(shape)


# %% mistake="running_std" exercise="batch_norm_layer" fails="batch_norm_layer:running" hint="without a root"
# keeps the standard deviation
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
        axes = [axis for axis in range(x.dim()) if axis != 1]
        shape = [1, -1] + [1] * (x.dim() - 2)
        mean, var = self.running_mean, self.running_var
        if self.training:
            n = x.numel() // x.shape[1]
            if n == 1:
                raise ValueError(f"one value per channel in {tuple(x.shape)}")
            mean, var = x.mean(axes), x.var(axes, correction=0)
            self.num_batches_tracked += 1
            self.running_mean += self.momentum * (mean.detach() - self.running_mean)
            self.running_var += self.momentum * ((var.detach() * n / (n - 1)).sqrt() - self.running_var)
        xhat = (x - mean.reshape(shape)) / (var.reshape(shape) + self.eps).sqrt()
        return self.weight.reshape(shape) * xhat + self.bias.reshape(shape)


# %% mistake="eps_in_the_running_variance" exercise="batch_norm_layer" fails="batch_norm_layer:running" hint="without ε"
# keeps σ² + ε
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
        axes = [axis for axis in range(x.dim()) if axis != 1]
        shape = [1, -1] + [1] * (x.dim() - 2)
        mean, var = self.running_mean, self.running_var
        if self.training:
            n = x.numel() // x.shape[1]
            if n == 1:
                raise ValueError(f"one value per channel in {tuple(x.shape)}")
            mean, var = x.mean(axes), x.var(axes, correction=0)
            self.num_batches_tracked += 1
            self.running_mean += self.momentum * (mean.detach() - self.running_mean)
            self.running_var += self.momentum * ((var.detach() * n / (n - 1) + 1e-2) - self.running_var)
        xhat = (x - mean.reshape(shape)) / (var.reshape(shape) + self.eps).sqrt()
        return self.weight.reshape(shape) * xhat + self.bias.reshape(shape)


# %% mistake="n_is_the_batch_size" exercise="batch_norm_layer" fails="batch_norm_layer:running" hint="N·H·W"
# forgets rows and columns in n/(n − 1)
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
        axes = [axis for axis in range(x.dim()) if axis != 1]
        shape = [1, -1] + [1] * (x.dim() - 2)
        mean, var = self.running_mean, self.running_var
        if self.training:
            n = x.numel() // x.shape[1]
            if n == 1:
                raise ValueError(f"one value per channel in {tuple(x.shape)}")
            mean, var = x.mean(axes), x.var(axes, correction=0)
            self.num_batches_tracked += 1
            self.running_mean += self.momentum * (mean.detach() - self.running_mean)
            self.running_var += self.momentum * (var.detach() * len(x) / max(len(x) - 1, 1) - self.running_var)
        xhat = (x - mean.reshape(shape)) / (var.reshape(shape) + self.eps).sqrt()
        return self.weight.reshape(shape) * xhat + self.bias.reshape(shape)


# %% mistake="only_the_last_batch" exercise="batch_norm_layer" fails="batch_norm_layer:running" hint="of the new value"
# keeps the last batch's mean
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
        axes = [axis for axis in range(x.dim()) if axis != 1]
        shape = [1, -1] + [1] * (x.dim() - 2)
        mean, var = self.running_mean, self.running_var
        if self.training:
            n = x.numel() // x.shape[1]
            if n == 1:
                raise ValueError(f"one value per channel in {tuple(x.shape)}")
            mean, var = x.mean(axes), x.var(axes, correction=0)
            self.num_batches_tracked += 1
            self.running_mean.copy_(mean.detach())
            self.running_var += self.momentum * (var.detach() * n / (n - 1) - self.running_var)
        xhat = (x - mean.reshape(shape)) / (var.reshape(shape) + self.eps).sqrt()
        return self.weight.reshape(shape) * xhat + self.bias.reshape(shape)


# %% mistake="added_up" exercise="batch_norm_layer" fails="batch_norm_layer:running" hint="0.9 · 1"
# adds without letting the old one fade
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
        axes = [axis for axis in range(x.dim()) if axis != 1]
        shape = [1, -1] + [1] * (x.dim() - 2)
        mean, var = self.running_mean, self.running_var
        if self.training:
            n = x.numel() // x.shape[1]
            if n == 1:
                raise ValueError(f"one value per channel in {tuple(x.shape)}")
            mean, var = x.mean(axes), x.var(axes, correction=0)
            self.num_batches_tracked += 1
            self.running_mean += self.momentum * (mean.detach() - self.running_mean)
            self.running_var += self.momentum * (var.detach() * n / (n - 1))
        xhat = (x - mean.reshape(shape)) / (var.reshape(shape) + self.eps).sqrt()
        return self.weight.reshape(shape) * xhat + self.bias.reshape(shape)


# %% mistake="running_mean_not_moved" exercise="batch_norm_layer" fails="batch_norm_layer:running" hint="It does move"
# counts and forgets the mean
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
        axes = [axis for axis in range(x.dim()) if axis != 1]
        shape = [1, -1] + [1] * (x.dim() - 2)
        mean, var = self.running_mean, self.running_var
        if self.training:
            n = x.numel() // x.shape[1]
            if n == 1:
                raise ValueError(f"one value per channel in {tuple(x.shape)}")
            mean, var = x.mean(axes), x.var(axes, correction=0)
            self.num_batches_tracked += 1
            self.running_var += self.momentum * (var.detach() * n / (n - 1) - self.running_var)
        xhat = (x - mean.reshape(shape)) / (var.reshape(shape) + self.eps).sqrt()
        return self.weight.reshape(shape) * xhat + self.bias.reshape(shape)


# %% mistake="not_counted" exercise="batch_norm_layer" fails="batch_norm_layer:running" hint="Count every"
# no counting
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
        axes = [axis for axis in range(x.dim()) if axis != 1]
        shape = [1, -1] + [1] * (x.dim() - 2)
        mean, var = self.running_mean, self.running_var
        if self.training:
            n = x.numel() // x.shape[1]
            if n == 1:
                raise ValueError(f"one value per channel in {tuple(x.shape)}")
            mean, var = x.mean(axes), x.var(axes, correction=0)
            self.running_mean += self.momentum * (mean.detach() - self.running_mean)
            self.running_var += self.momentum * (var.detach() * n / (n - 1) - self.running_var)
        xhat = (x - mean.reshape(shape)) / (var.reshape(shape) + self.eps).sqrt()
        return self.weight.reshape(shape) * xhat + self.bias.reshape(shape)


# %% mistake="graph_kept" exercise="batch_norm_layer" fails="batch_norm_layer:running" hint="Detach"
# the running mean remembers every batch
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
        axes = [axis for axis in range(x.dim()) if axis != 1]
        shape = [1, -1] + [1] * (x.dim() - 2)
        mean, var = self.running_mean, self.running_var
        if self.training:
            n = x.numel() // x.shape[1]
            if n == 1:
                raise ValueError(f"one value per channel in {tuple(x.shape)}")
            mean, var = x.mean(axes), x.var(axes, correction=0)
            self.num_batches_tracked += 1
            self.running_mean = self.running_mean + self.momentum * (mean - self.running_mean)
            self.running_var += self.momentum * (var.detach() * n / (n - 1) - self.running_var)
        xhat = (x - mean.reshape(shape)) / (var.reshape(shape) + self.eps).sqrt()
        return self.weight.reshape(shape) * xhat + self.bias.reshape(shape)


# %% mistake="batch_in_evaluation" exercise="batch_norm_layer" fails="batch_norm_layer:evaluation" hint="running_mean"
# evaluation as training, without the counting
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
        axes = [axis for axis in range(x.dim()) if axis != 1]
        shape = [1, -1] + [1] * (x.dim() - 2)
        mean, var = x.mean(axes), x.var(axes, correction=0)
        if self.training:
            n = x.numel() // x.shape[1]
            if n == 1:
                raise ValueError(f"one value per channel in {tuple(x.shape)}")
            self.num_batches_tracked += 1
            self.running_mean += self.momentum * (mean.detach() - self.running_mean)
            self.running_var += self.momentum * (var.detach() * n / (n - 1) - self.running_var)
        xhat = (x - mean.reshape(shape)) / (var.reshape(shape) + self.eps).sqrt()
        return self.weight.reshape(shape) * xhat + self.bias.reshape(shape)


# %% mistake="moves_in_evaluation" exercise="batch_norm_layer" fails="batch_norm_layer:evaluation" hint="nothing is"
# moves the statistics whenever it is called
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
        axes = [axis for axis in range(x.dim()) if axis != 1]
        shape = [1, -1] + [1] * (x.dim() - 2)
        mean, var = self.running_mean, self.running_var
        if self.training:
            n = x.numel() // x.shape[1]
            if n == 1:
                raise ValueError(f"one value per channel in {tuple(x.shape)}")
            mean, var = x.mean(axes), x.var(axes, correction=0)
            self.num_batches_tracked += 1
            self.running_mean += self.momentum * (mean.detach() - self.running_mean)
            self.running_var += self.momentum * (var.detach() * n / (n - 1) - self.running_var)
        if not self.training and len(x) > 1:
            self.running_mean += self.momentum * (x.mean(axes).detach() - self.running_mean)
        xhat = (x - mean.reshape(shape)) / (var.reshape(shape) + self.eps).sqrt()
        return self.weight.reshape(shape) * xhat + self.bias.reshape(shape)


# %% mistake="counts_in_evaluation" exercise="batch_norm_layer" fails="batch_norm_layer:evaluation" hint="Only training"
# counts every call
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
        axes = [axis for axis in range(x.dim()) if axis != 1]
        shape = [1, -1] + [1] * (x.dim() - 2)
        self.num_batches_tracked += 1
        mean, var = self.running_mean, self.running_var
        if self.training:
            n = x.numel() // x.shape[1]
            if n == 1:
                raise ValueError(f"one value per channel in {tuple(x.shape)}")
            mean, var = x.mean(axes), x.var(axes, correction=0)
            self.running_mean += self.momentum * (mean.detach() - self.running_mean)
            self.running_var += self.momentum * (var.detach() * n / (n - 1) - self.running_var)
        xhat = (x - mean.reshape(shape)) / (var.reshape(shape) + self.eps).sqrt()
        return self.weight.reshape(shape) * xhat + self.bias.reshape(shape)


# %% mistake="no_scale_in_evaluation" exercise="batch_norm_layer" fails="batch_norm_layer:evaluation" hint="γ and β"
# γ and β in training only
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
        axes = [axis for axis in range(x.dim()) if axis != 1]
        shape = [1, -1] + [1] * (x.dim() - 2)
        mean, var = self.running_mean, self.running_var
        if self.training:
            n = x.numel() // x.shape[1]
            if n == 1:
                raise ValueError(f"one value per channel in {tuple(x.shape)}")
            mean, var = x.mean(axes), x.var(axes, correction=0)
            self.num_batches_tracked += 1
            self.running_mean += self.momentum * (mean.detach() - self.running_mean)
            self.running_var += self.momentum * (var.detach() * n / (n - 1) - self.running_var)
        xhat = (x - mean.reshape(shape)) / (var.reshape(shape) + self.eps).sqrt()
        if not self.training:
            return xhat
        return self.weight.reshape(shape) * xhat + self.bias.reshape(shape)


# %% mistake="no_eps_in_use" exercise="batch_norm_layer" fails="batch_norm_layer:evaluation" hint="running_var + ε"
# divides by the bare running deviation
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
        axes = [axis for axis in range(x.dim()) if axis != 1]
        shape = [1, -1] + [1] * (x.dim() - 2)
        mean, var = self.running_mean, self.running_var
        if self.training:
            n = x.numel() // x.shape[1]
            if n == 1:
                raise ValueError(f"one value per channel in {tuple(x.shape)}")
            mean, var = x.mean(axes), x.var(axes, correction=0)
            self.num_batches_tracked += 1
            self.running_mean += self.momentum * (mean.detach() - self.running_mean)
            self.running_var += self.momentum * (var.detach() * n / (n - 1) - self.running_var)
        xhat = (x - mean.reshape(shape)) / (var.reshape(shape) + self.eps * self.training).sqrt()
        return self.weight.reshape(shape) * xhat + self.bias.reshape(shape)


# %% mistake="library" exercise="batch_norm_layer" fails="batch_norm_layer" hint="by hand"
# inherits what it is to write
class BatchNorm(torch.nn.BatchNorm2d):
    def __init__(self, channels, eps=1e-5, momentum=0.1):
        super().__init__(channels, eps, momentum)

    def _check_input_dim(self, x):
        pass


# %% mistake="beta_mean" exercise="batch_norm_stages" fails="batch_norm_stages" hint="a sum, not a mean"
# averages where it must collect
def batch_norm_stages(dy, x, gamma, eps):
    centred = x - x.mean(dim=0)
    inverse_root = ((centred**2).mean(dim=0) + eps) ** -0.5
    dxhat = gamma * dy
    dvar = -0.5 * inverse_root**3 * (dxhat * centred).sum(dim=0)
    dmean = -inverse_root * dxhat.sum(dim=0)
    dx = inverse_root * dxhat + (2 * centred * dvar + dmean) / len(x)
    dgamma = (dy * centred * inverse_root).sum(dim=0)
    return {"beta": dy.mean(dim=0), "gamma": dgamma, "xhat": dxhat, "var": dvar, "mean": dmean, "x": dx}


# %% mistake="gamma_without_xhat" exercise="batch_norm_stages" fails="batch_norm_stages" hint="g·x̂"
# multiplies with x, not with x̂
def batch_norm_stages(dy, x, gamma, eps):
    centred = x - x.mean(dim=0)
    inverse_root = ((centred**2).mean(dim=0) + eps) ** -0.5
    dxhat = gamma * dy
    dvar = -0.5 * inverse_root**3 * (dxhat * centred).sum(dim=0)
    dmean = -inverse_root * dxhat.sum(dim=0)
    dx = inverse_root * dxhat + (2 * centred * dvar + dmean) / len(x)
    dgamma = (dy * x).sum(dim=0)
    return {"beta": dy.sum(dim=0), "gamma": dgamma, "xhat": dxhat, "var": dvar, "mean": dmean, "x": dx}


# %% mistake="gamma_centred_only" exercise="batch_norm_stages" fails="batch_norm_stages" hint="g·x̂"
# forgets to divide
def batch_norm_stages(dy, x, gamma, eps):
    centred = x - x.mean(dim=0)
    inverse_root = ((centred**2).mean(dim=0) + eps) ** -0.5
    dxhat = gamma * dy
    dvar = -0.5 * inverse_root**3 * (dxhat * centred).sum(dim=0)
    dmean = -inverse_root * dxhat.sum(dim=0)
    dx = inverse_root * dxhat + (2 * centred * dvar + dmean) / len(x)
    dgamma = (dy * centred).sum(dim=0)
    return {"beta": dy.sum(dim=0), "gamma": dgamma, "xhat": dxhat, "var": dvar, "mean": dmean, "x": dx}


# %% mistake="gamma_not_summed" exercise="batch_norm_stages" fails="batch_norm_stages" hint="of what it belongs to"
# one gradient of γ for each example
def batch_norm_stages(dy, x, gamma, eps):
    centred = x - x.mean(dim=0)
    inverse_root = ((centred**2).mean(dim=0) + eps) ** -0.5
    dxhat = gamma * dy
    dvar = -0.5 * inverse_root**3 * (dxhat * centred).sum(dim=0)
    dmean = -inverse_root * dxhat.sum(dim=0)
    dx = inverse_root * dxhat + (2 * centred * dvar + dmean) / len(x)
    dgamma = dy * centred * inverse_root
    return {"beta": dy.sum(dim=0), "gamma": dgamma, "xhat": dxhat, "var": dvar, "mean": dmean, "x": dx}


# %% mistake="gamma_missing_in_xhat" exercise="batch_norm_stages" fails="batch_norm_stages" hint="multiplied by γ"
# passes g on as it is
def batch_norm_stages(dy, x, gamma, eps):
    centred = x - x.mean(dim=0)
    inverse_root = ((centred**2).mean(dim=0) + eps) ** -0.5
    dxhat = dy + 0 * gamma
    dvar = -0.5 * inverse_root**3 * (dxhat * centred).sum(dim=0)
    dmean = -inverse_root * dxhat.sum(dim=0)
    dx = inverse_root * dxhat + (2 * centred * dvar + dmean) / len(x)
    dgamma = (dy * centred * inverse_root).sum(dim=0)
    return {"beta": dy.sum(dim=0), "gamma": dgamma, "xhat": dxhat, "var": dvar, "mean": dmean, "x": dx}


# %% mistake="unbiased_variance" exercise="batch_norm_stages" fails="batch_norm_stages" hint="x̂ = (x − μ)/√(σ² + ε)"
# torch.var as it comes
def batch_norm_stages(dy, x, gamma, eps):
    centred = x - x.mean(dim=0)
    inverse_root = (x.var(dim=0) + eps) ** -0.5
    dxhat = gamma * dy
    dvar = -0.5 * inverse_root**3 * (dxhat * centred).sum(dim=0)
    dmean = -inverse_root * dxhat.sum(dim=0)
    dx = inverse_root * dxhat + (2 * centred * dvar + dmean) / len(x)
    dgamma = (dy * centred * inverse_root).sum(dim=0)
    return {"beta": dy.sum(dim=0), "gamma": dgamma, "xhat": dxhat, "var": dvar, "mean": dmean, "x": dx}


# %% mistake="half_forgotten" exercise="batch_norm_stages" fails="batch_norm_stages:to_x" hint="−½"
# the derivative of the root without its half
def batch_norm_stages(dy, x, gamma, eps):
    centred = x - x.mean(dim=0)
    inverse_root = ((centred**2).mean(dim=0) + eps) ** -0.5
    dxhat = gamma * dy
    dvar = -(inverse_root**3) * (dxhat * centred).sum(dim=0)
    dmean = -inverse_root * dxhat.sum(dim=0)
    dx = inverse_root * dxhat + (2 * centred * dvar + dmean) / len(x)
    dgamma = (dy * centred * inverse_root).sum(dim=0)
    return {"beta": dy.sum(dim=0), "gamma": dgamma, "xhat": dxhat, "var": dvar, "mean": dmean, "x": dx}


# %% mistake="var_sign" exercise="batch_norm_stages" fails="batch_norm_stages:to_x" hint="−½"
# plus where the exponent is −1/2
def batch_norm_stages(dy, x, gamma, eps):
    centred = x - x.mean(dim=0)
    inverse_root = ((centred**2).mean(dim=0) + eps) ** -0.5
    dxhat = gamma * dy
    dvar = 0.5 * inverse_root**3 * (dxhat * centred).sum(dim=0)
    dmean = -inverse_root * dxhat.sum(dim=0)
    dx = inverse_root * dxhat + (2 * centred * dvar + dmean) / len(x)
    dgamma = (dy * centred * inverse_root).sum(dim=0)
    return {"beta": dy.sum(dim=0), "gamma": dgamma, "xhat": dxhat, "var": dvar, "mean": dmean, "x": dx}


# %% mistake="var_power" exercise="batch_norm_stages" fails="batch_norm_stages:to_x" hint="(σ² + ε)^(−3/2)"
# the exponent stays −1/2
def batch_norm_stages(dy, x, gamma, eps):
    centred = x - x.mean(dim=0)
    inverse_root = ((centred**2).mean(dim=0) + eps) ** -0.5
    dxhat = gamma * dy
    dvar = -0.5 * inverse_root * (dxhat * centred).sum(dim=0)
    dmean = -inverse_root * dxhat.sum(dim=0)
    dx = inverse_root * dxhat + (2 * centred * dvar + dmean) / len(x)
    dgamma = (dy * centred * inverse_root).sum(dim=0)
    return {"beta": dy.sum(dim=0), "gamma": dgamma, "xhat": dxhat, "var": dvar, "mean": dmean, "x": dx}


# %% mistake="var_meets_xhat" exercise="batch_norm_stages" fails="batch_norm_stages:to_x" hint="not x̂"
# x̂ in place of x − μ
def batch_norm_stages(dy, x, gamma, eps):
    centred = x - x.mean(dim=0)
    inverse_root = ((centred**2).mean(dim=0) + eps) ** -0.5
    dxhat = gamma * dy
    dvar = -0.5 * inverse_root**3 * (dxhat * centred * inverse_root).sum(dim=0)
    dmean = -inverse_root * dxhat.sum(dim=0)
    dx = inverse_root * dxhat + (2 * centred * dvar + dmean) / len(x)
    dgamma = (dy * centred * inverse_root).sum(dim=0)
    return {"beta": dy.sum(dim=0), "gamma": dgamma, "xhat": dxhat, "var": dvar, "mean": dmean, "x": dx}


# %% mistake="mean_sign" exercise="batch_norm_stages" fails="batch_norm_stages:to_x" hint="mind the sign"
# μ is subtracted
def batch_norm_stages(dy, x, gamma, eps):
    centred = x - x.mean(dim=0)
    inverse_root = ((centred**2).mean(dim=0) + eps) ** -0.5
    dxhat = gamma * dy
    dvar = -0.5 * inverse_root**3 * (dxhat * centred).sum(dim=0)
    dmean = inverse_root * dxhat.sum(dim=0)
    dx = inverse_root * dxhat + (2 * centred * dvar + dmean) / len(x)
    dgamma = (dy * centred * inverse_root).sum(dim=0)
    return {"beta": dy.sum(dim=0), "gamma": dgamma, "xhat": dxhat, "var": dvar, "mean": dmean, "x": dx}


# %% mistake="mean_averaged" exercise="batch_norm_stages" fails="batch_norm_stages:to_x" hint="Not a mean"
# the mean in place of the sum
def batch_norm_stages(dy, x, gamma, eps):
    centred = x - x.mean(dim=0)
    inverse_root = ((centred**2).mean(dim=0) + eps) ** -0.5
    dxhat = gamma * dy
    dvar = -0.5 * inverse_root**3 * (dxhat * centred).sum(dim=0)
    dmean = -inverse_root * dxhat.mean(dim=0)
    dx = inverse_root * dxhat + (2 * centred * dvar + dmean) / len(x)
    dgamma = (dy * centred * inverse_root).sum(dim=0)
    return {"beta": dy.sum(dim=0), "gamma": dgamma, "xhat": dxhat, "var": dvar, "mean": dmean, "x": dx}


# %% mistake="direct_path_only" exercise="batch_norm_stages" fails="batch_norm_stages:to_x" hint="direct path only"
# takes mean and variance for constants
def batch_norm_stages(dy, x, gamma, eps):
    centred = x - x.mean(dim=0)
    inverse_root = ((centred**2).mean(dim=0) + eps) ** -0.5
    dxhat = gamma * dy
    dvar = -0.5 * inverse_root**3 * (dxhat * centred).sum(dim=0)
    dmean = -inverse_root * dxhat.sum(dim=0)
    dx = inverse_root * dxhat
    dgamma = (dy * centred * inverse_root).sum(dim=0)
    return {"beta": dy.sum(dim=0), "gamma": dgamma, "xhat": dxhat, "var": dvar, "mean": dmean, "x": dx}


# %% mistake="mean_path_forgotten" exercise="batch_norm_stages" fails="batch_norm_stages:to_x" hint="path by the mean"
# takes the mean for a constant
def batch_norm_stages(dy, x, gamma, eps):
    centred = x - x.mean(dim=0)
    inverse_root = ((centred**2).mean(dim=0) + eps) ** -0.5
    dxhat = gamma * dy
    dvar = -0.5 * inverse_root**3 * (dxhat * centred).sum(dim=0)
    dmean = -inverse_root * dxhat.sum(dim=0)
    dx = inverse_root * dxhat + (2 * centred * dvar) / len(x)
    dgamma = (dy * centred * inverse_root).sum(dim=0)
    return {"beta": dy.sum(dim=0), "gamma": dgamma, "xhat": dxhat, "var": dvar, "mean": dmean, "x": dx}


# %% mistake="variance_path_forgotten" exercise="batch_norm_stages" fails="batch_norm_stages:to_x" hint="variance"
# takes the variance for a constant
def batch_norm_stages(dy, x, gamma, eps):
    centred = x - x.mean(dim=0)
    inverse_root = ((centred**2).mean(dim=0) + eps) ** -0.5
    dxhat = gamma * dy
    dvar = -0.5 * inverse_root**3 * (dxhat * centred).sum(dim=0)
    dmean = -inverse_root * dxhat.sum(dim=0)
    dx = inverse_root * dxhat + dmean / len(x)
    dgamma = (dy * centred * inverse_root).sum(dim=0)
    return {"beta": dy.sum(dim=0), "gamma": dgamma, "xhat": dxhat, "var": dvar, "mean": dmean, "x": dx}


# %% mistake="square_without_two" exercise="batch_norm_stages" fails="batch_norm_stages:to_x" hint="the 2 of the square"
# differentiates the square to itself
def batch_norm_stages(dy, x, gamma, eps):
    centred = x - x.mean(dim=0)
    inverse_root = ((centred**2).mean(dim=0) + eps) ** -0.5
    dxhat = gamma * dy
    dvar = -0.5 * inverse_root**3 * (dxhat * centred).sum(dim=0)
    dmean = -inverse_root * dxhat.sum(dim=0)
    dx = inverse_root * dxhat + (centred * dvar + dmean) / len(x)
    dgamma = (dy * centred * inverse_root).sum(dim=0)
    return {"beta": dy.sum(dim=0), "gamma": dgamma, "xhat": dxhat, "var": dvar, "mean": dmean, "x": dx}


# %% mistake="mean_path_whole" exercise="batch_norm_stages" fails="batch_norm_stages:to_x" hint="∂μ/n"
# the gradient of a mean without its 1/n
def batch_norm_stages(dy, x, gamma, eps):
    centred = x - x.mean(dim=0)
    inverse_root = ((centred**2).mean(dim=0) + eps) ** -0.5
    dxhat = gamma * dy
    dvar = -0.5 * inverse_root**3 * (dxhat * centred).sum(dim=0)
    dmean = -inverse_root * dxhat.sum(dim=0)
    dx = inverse_root * dxhat + 2 * centred * dvar / len(x) + dmean
    dgamma = (dy * centred * inverse_root).sum(dim=0)
    return {"beta": dy.sum(dim=0), "gamma": dgamma, "xhat": dxhat, "var": dvar, "mean": dmean, "x": dx}


# %% mistake="variance_path_whole" exercise="batch_norm_stages" fails="batch_norm_stages:to_x" hint="the n of the mean"
# the same for the variance
def batch_norm_stages(dy, x, gamma, eps):
    centred = x - x.mean(dim=0)
    inverse_root = ((centred**2).mean(dim=0) + eps) ** -0.5
    dxhat = gamma * dy
    dvar = -0.5 * inverse_root**3 * (dxhat * centred).sum(dim=0)
    dmean = -inverse_root * dxhat.sum(dim=0)
    dx = inverse_root * dxhat + 2 * centred * dvar + dmean / len(x)
    dgamma = (dy * centred * inverse_root).sum(dim=0)
    return {"beta": dy.sum(dim=0), "gamma": dgamma, "xhat": dxhat, "var": dvar, "mean": dmean, "x": dx}


# %% mistake="autograd" exercise="batch_norm_stages" fails="batch_norm_stages" hint="by hand"
# lets autograd do it
def batch_norm_stages(dy, x, gamma, eps):
    x = x.detach().requires_grad_()
    var, mean = torch.var_mean(x, 0, correction=0)
    xhat = (x - mean) / (var + eps).sqrt()
    dvar, dmean, dxhat, dx = torch.autograd.grad(gamma * xhat, (var, mean, xhat, x), dy)
    dgamma = (dy * xhat.detach()).sum(dim=0)
    return {"beta": dy.sum(dim=0), "gamma": dgamma, "xhat": dxhat, "var": dvar, "mean": dmean, "x": dx}


# %% mistake="mean_path_forgotten" exercise="batch_norm_backward" fails="batch_norm_backward" hint="add up to 0"
# takes the mean for a constant
def batch_norm_backward(dy, x, gamma, eps):
    axes = [axis for axis in range(x.dim()) if axis != 1]
    n = x.numel() / x.shape[1]
    centred = x - x.mean(axes, keepdim=True)
    inverse_root = ((centred**2).mean(axes, keepdim=True) + eps) ** -0.5
    xhat = centred * inverse_root
    dbeta = dy.sum(axes, keepdim=True)
    dgamma = (dy * xhat).sum(axes, keepdim=True)
    dx = gamma.reshape(dbeta.shape) * inverse_root * (dy - (xhat * dgamma) / n)
    return dx, dgamma.flatten(), dbeta.flatten()


# %% mistake="variance_path_forgotten" exercise="batch_norm_backward" fails="batch_norm_backward" hint="along with x̂"
# takes the variance for a constant
def batch_norm_backward(dy, x, gamma, eps):
    axes = [axis for axis in range(x.dim()) if axis != 1]
    n = x.numel() / x.shape[1]
    centred = x - x.mean(axes, keepdim=True)
    inverse_root = ((centred**2).mean(axes, keepdim=True) + eps) ** -0.5
    xhat = centred * inverse_root
    dbeta = dy.sum(axes, keepdim=True)
    dgamma = (dy * xhat).sum(axes, keepdim=True)
    dx = gamma.reshape(dbeta.shape) * inverse_root * (dy - dbeta / n)
    return dx, dgamma.flatten(), dbeta.flatten()


# %% mistake="direct_path_only" exercise="batch_norm_backward" fails="batch_norm_backward" hint="add up to 0"
# takes both for constants
def batch_norm_backward(dy, x, gamma, eps):
    axes = [axis for axis in range(x.dim()) if axis != 1]
    n = x.numel() / x.shape[1]
    centred = x - x.mean(axes, keepdim=True)
    inverse_root = ((centred**2).mean(axes, keepdim=True) + eps) ** -0.5
    xhat = centred * inverse_root
    dbeta = dy.sum(axes, keepdim=True)
    dgamma = (dy * xhat).sum(axes, keepdim=True)
    dx = gamma.reshape(dbeta.shape) * inverse_root * (dy)
    return dx, dgamma.flatten(), dbeta.flatten()


# %% mistake="gamma_forgotten" exercise="batch_norm_backward" fails="batch_norm_backward" hint="γ/√(σ² + ε)"
# x̂ in place of y
def batch_norm_backward(dy, x, gamma, eps):
    axes = [axis for axis in range(x.dim()) if axis != 1]
    n = x.numel() / x.shape[1]
    centred = x - x.mean(axes, keepdim=True)
    inverse_root = ((centred**2).mean(axes, keepdim=True) + eps) ** -0.5
    xhat = centred * inverse_root
    dbeta = dy.sum(axes, keepdim=True)
    dgamma = (dy * xhat).sum(axes, keepdim=True)
    dx = inverse_root * (dy - (dbeta + xhat * dgamma) / n)
    return dx, dgamma.flatten(), dbeta.flatten()


# %% mistake="inverse_root_forgotten" exercise="batch_norm_backward" fails="batch_norm_backward" hint="γ/√(σ² + ε)"
# forgets what x was divided by
def batch_norm_backward(dy, x, gamma, eps):
    axes = [axis for axis in range(x.dim()) if axis != 1]
    n = x.numel() / x.shape[1]
    centred = x - x.mean(axes, keepdim=True)
    inverse_root = ((centred**2).mean(axes, keepdim=True) + eps) ** -0.5
    xhat = centred * inverse_root
    dbeta = dy.sum(axes, keepdim=True)
    dgamma = (dy * xhat).sum(axes, keepdim=True)
    dx = gamma.reshape(dbeta.shape) * (dy - (dbeta + xhat * dgamma) / n)
    return dx, dgamma.flatten(), dbeta.flatten()


# %% mistake="divided_by_the_variance" exercise="batch_norm_backward" fails="batch_norm_backward" hint="γ/√(σ² + ε)"
# σ² + ε without the root
def batch_norm_backward(dy, x, gamma, eps):
    axes = [axis for axis in range(x.dim()) if axis != 1]
    n = x.numel() / x.shape[1]
    centred = x - x.mean(axes, keepdim=True)
    inverse_root = ((centred**2).mean(axes, keepdim=True) + eps) ** -0.5
    xhat = centred * inverse_root
    dbeta = dy.sum(axes, keepdim=True)
    dgamma = (dy * xhat).sum(axes, keepdim=True)
    dx = gamma.reshape(dbeta.shape) * inverse_root**2 * (dy - (dbeta + xhat * dgamma) / n)
    return dx, dgamma.flatten(), dbeta.flatten()


# %% mistake="not_divided_by_n" exercise="batch_norm_backward" fails="batch_norm_backward" hint="the mean of g"
# sums where means are wanted
def batch_norm_backward(dy, x, gamma, eps):
    axes = [axis for axis in range(x.dim()) if axis != 1]
    n = x.numel() / x.shape[1]
    centred = x - x.mean(axes, keepdim=True)
    inverse_root = ((centred**2).mean(axes, keepdim=True) + eps) ** -0.5
    xhat = centred * inverse_root
    dbeta = dy.sum(axes, keepdim=True)
    dgamma = (dy * xhat).sum(axes, keepdim=True)
    dx = gamma.reshape(dbeta.shape) * inverse_root * (dy - (dbeta + xhat * dgamma))
    return dx, dgamma.flatten(), dbeta.flatten()


# %% mistake="sign_of_dgamma" exercise="batch_norm_backward" fails="batch_norm_backward" hint="taken away"
# adds what it must take away
def batch_norm_backward(dy, x, gamma, eps):
    axes = [axis for axis in range(x.dim()) if axis != 1]
    n = x.numel() / x.shape[1]
    centred = x - x.mean(axes, keepdim=True)
    inverse_root = ((centred**2).mean(axes, keepdim=True) + eps) ** -0.5
    xhat = centred * inverse_root
    dbeta = dy.sum(axes, keepdim=True)
    dgamma = (dy * xhat).sum(axes, keepdim=True)
    dx = gamma.reshape(dbeta.shape) * inverse_root * (dy - (dbeta - xhat * dgamma) / n)
    return dx, dgamma.flatten(), dbeta.flatten()


# %% mistake="x_for_xhat" exercise="batch_norm_backward" fails="batch_norm_backward" hint="not x"
# sums g·x for γ
def batch_norm_backward(dy, x, gamma, eps):
    axes = [axis for axis in range(x.dim()) if axis != 1]
    n = x.numel() / x.shape[1]
    centred = x - x.mean(axes, keepdim=True)
    inverse_root = ((centred**2).mean(axes, keepdim=True) + eps) ** -0.5
    xhat = centred * inverse_root
    dbeta = dy.sum(axes, keepdim=True)
    dgamma = (dy * x).sum(axes, keepdim=True)
    dx = gamma.reshape(dbeta.shape) * inverse_root * (dy - (dbeta + xhat * dgamma) / n)
    return dx, dgamma.flatten(), dbeta.flatten()


# %% mistake="unbiased_variance" exercise="batch_norm_backward" fails="batch_norm_backward" hint="normalised values"
# torch.var as it comes
def batch_norm_backward(dy, x, gamma, eps):
    axes = [axis for axis in range(x.dim()) if axis != 1]
    n = x.numel() / x.shape[1]
    centred = x - x.mean(axes, keepdim=True)
    inverse_root = (x.var(axes, keepdim=True) + eps) ** -0.5
    xhat = centred * inverse_root
    dbeta = dy.sum(axes, keepdim=True)
    dgamma = (dy * xhat).sum(axes, keepdim=True)
    dx = gamma.reshape(dbeta.shape) * inverse_root * (dy - (dbeta + xhat * dgamma) / n)
    return dx, dgamma.flatten(), dbeta.flatten()


# %% mistake="eps_forgotten" exercise="batch_norm_backward" fails="batch_norm_backward" hint="√(σ² + ε)"
# the bare variance
def batch_norm_backward(dy, x, gamma, eps):
    axes = [axis for axis in range(x.dim()) if axis != 1]
    n = x.numel() / x.shape[1]
    centred = x - x.mean(axes, keepdim=True)
    inverse_root = ((centred**2).mean(axes, keepdim=True)) ** -0.5
    xhat = centred * inverse_root
    dbeta = dy.sum(axes, keepdim=True)
    dgamma = (dy * xhat).sum(axes, keepdim=True)
    dx = gamma.reshape(dbeta.shape) * inverse_root * (dy - (dbeta + xhat * dgamma) / n)
    return dx, dgamma.flatten(), dbeta.flatten()


# %% mistake="means_for_beta_and_gamma" exercise="batch_norm_backward" fails="batch_norm_backward" hint="sum of g"
# means for the sums of β and γ
def batch_norm_backward(dy, x, gamma, eps):
    axes = [axis for axis in range(x.dim()) if axis != 1]
    n = x.numel() / x.shape[1]
    centred = x - x.mean(axes, keepdim=True)
    inverse_root = ((centred**2).mean(axes, keepdim=True) + eps) ** -0.5
    xhat = centred * inverse_root
    dbeta = dy.sum(axes, keepdim=True)
    dgamma = (dy * xhat).sum(axes, keepdim=True)
    dx = gamma.reshape(dbeta.shape) * inverse_root * (dy - (dbeta + xhat * dgamma) / n)
    return dx, dgamma.flatten() / n, dbeta.flatten() / n


# %% mistake="order_of_results" exercise="batch_norm_backward" fails="batch_norm_backward" hint="The order is"
# β before γ
def batch_norm_backward(dy, x, gamma, eps):
    axes = [axis for axis in range(x.dim()) if axis != 1]
    n = x.numel() / x.shape[1]
    centred = x - x.mean(axes, keepdim=True)
    inverse_root = ((centred**2).mean(axes, keepdim=True) + eps) ** -0.5
    xhat = centred * inverse_root
    dbeta = dy.sum(axes, keepdim=True)
    dgamma = (dy * xhat).sum(axes, keepdim=True)
    dx = gamma.reshape(dbeta.shape) * inverse_root * (dy - (dbeta + xhat * dgamma) / n)
    return dx, dbeta.flatten(), dgamma.flatten()


# %% mistake="kept_axes" exercise="batch_norm_backward" fails="batch_norm_backward" hint="of what it belongs to"
# returns (1, C)
def batch_norm_backward(dy, x, gamma, eps):
    axes = [axis for axis in range(x.dim()) if axis != 1]
    n = x.numel() / x.shape[1]
    centred = x - x.mean(axes, keepdim=True)
    inverse_root = ((centred**2).mean(axes, keepdim=True) + eps) ** -0.5
    xhat = centred * inverse_root
    dbeta = dy.sum(axes, keepdim=True)
    dgamma = (dy * xhat).sum(axes, keepdim=True)
    dx = gamma.reshape(dbeta.shape) * inverse_root * (dy - (dbeta + xhat * dgamma) / n)
    return dx, dgamma, dbeta


# %% mistake="n_is_the_batch_size" exercise="batch_norm_backward" fails="batch_norm_backward:images" hint="N·H·W"
# forgets rows and columns in n
def batch_norm_backward(dy, x, gamma, eps):
    axes = [axis for axis in range(x.dim()) if axis != 1]
    n = len(x)
    centred = x - x.mean(axes, keepdim=True)
    inverse_root = ((centred**2).mean(axes, keepdim=True) + eps) ** -0.5
    xhat = centred * inverse_root
    dbeta = dy.sum(axes, keepdim=True)
    dgamma = (dy * xhat).sum(axes, keepdim=True)
    dx = gamma.reshape(dbeta.shape) * inverse_root * (dy - (dbeta + xhat * dgamma) / n)
    return dx, dgamma.flatten(), dbeta.flatten()


# %% mistake="sums_over_the_batch_only" exercise="batch_norm_backward" fails="batch_norm_backward:images" hint="One γ"
# sums over the batch, as for (N, C)
def batch_norm_backward(dy, x, gamma, eps):
    axes = [0]
    n = len(x)
    centred = x - x.mean(axes, keepdim=True)
    inverse_root = ((centred**2).mean(axes, keepdim=True) + eps) ** -0.5
    xhat = centred * inverse_root
    dbeta = dy.sum(axes, keepdim=True)
    dgamma = (dy * xhat).sum(axes, keepdim=True)
    dx = gamma.reshape([1, -1] + [1] * (x.dim() - 2)) * inverse_root * (dy - (dbeta + xhat * dgamma) / n)
    return dx, dgamma.flatten(), dbeta.flatten()


# %% mistake="instance_norm" exercise="batch_norm_backward" fails="batch_norm_backward:images" hint="rows and columns"
# mean and variance over rows and columns only
def batch_norm_backward(dy, x, gamma, eps):
    axes = [axis for axis in range(x.dim()) if axis != 1]
    n = x.numel() / x.shape[1]
    own = [2, 3] if x.dim() == 4 else [0]
    centred = x - x.mean(own, keepdim=True)
    inverse_root = ((centred**2).mean(own, keepdim=True) + eps) ** -0.5
    xhat = centred * inverse_root
    dbeta = dy.sum(axes, keepdim=True)
    dgamma = (dy * xhat).sum(axes, keepdim=True)
    dx = gamma.reshape(dbeta.shape) * inverse_root * (dy - (dbeta + xhat * dgamma) / n)
    return dx, dgamma.flatten(), dbeta.flatten()


# %% mistake="autograd" exercise="batch_norm_backward" fails="batch_norm_backward" hint="by hand"
# lets autograd do it
def batch_norm_backward(dy, x, gamma, eps):
    leaves = [x.detach().requires_grad_(), gamma.detach().requires_grad_(), torch.zeros_like(gamma).requires_grad_()]
    axes = [axis for axis in range(x.dim()) if axis != 1]
    shape = [1, -1] + [1] * (x.dim() - 2)
    var, mean = torch.var_mean(leaves[0], axes, correction=0, keepdim=True)
    y = leaves[1].reshape(shape) * (leaves[0] - mean) / (var + eps).sqrt() + leaves[2].reshape(shape)
    y.backward(dy)
    return tuple(leaf.grad for leaf in leaves)


# %% mistake="library" exercise="normalise" fails="normalise" hint="by hand"
# calls torch's layer norm where the axes are the last ones
def normalise(x, axes, eps):
    if all(axis < 0 for axis in axes):
        return torch.nn.functional.layer_norm(x, x.shape[min(axes) :], eps=eps)
    centred = x - x.mean(axes, keepdim=True)
    return centred / ((centred**2).mean(axes, keepdim=True) + eps).sqrt()


def axes_of(norm):
    return {"batch": (0, 2, 3), "layer": (1, 2, 3), "instance": (2, 3)}[norm]


# %% mistake="unbiased" exercise="normalise" fails="normalise" hint="biased variance"
# torch.var as it comes
def normalise(x, axes, eps):
    return (x - x.mean(axes, keepdim=True)) / (x.var(axes, keepdim=True) + eps).sqrt()


def axes_of(norm):
    return {"batch": (0, 2, 3), "layer": (1, 2, 3), "instance": (2, 3)}[norm]


# %% mistake="eps_outside_root" exercise="normalise" fails="normalise" hint="ε inside the root"
# adds ε to the standard deviation
def normalise(x, axes, eps):
    return (x - x.mean(axes, keepdim=True)) / (x.std(axes, correction=0, keepdim=True) + eps)


def axes_of(norm):
    return {"batch": (0, 2, 3), "layer": (1, 2, 3), "instance": (2, 3)}[norm]


# %% mistake="eps_forgotten" exercise="normalise" fails="normalise" hint="ε under the root"
# 0/0 where all values are equal
def normalise(x, axes, eps):
    return (x - x.mean(axes, keepdim=True)) / x.std(axes, correction=0, keepdim=True)


def axes_of(norm):
    return {"batch": (0, 2, 3), "layer": (1, 2, 3), "instance": (2, 3)}[norm]


# %% mistake="axes_kept_apart" exercise="normalise" fails="normalise" hint="the axes that you are given"
# everything but the axes, the other way round
def normalise(x, axes, eps):
    axes = [axis for axis in range(x.dim()) if axis not in axes]
    return (x - x.mean(axes, keepdim=True)) / (x.var(axes, correction=0, keepdim=True) + eps).sqrt()


def axes_of(norm):
    return {"batch": (0, 2, 3), "layer": (1, 2, 3), "instance": (2, 3)}[norm]


# %% mistake="one_axis_after_the_other" exercise="normalise" fails="normalise" hint="at once"
# normalises again for each axis
def normalise(x, axes, eps):
    for axis in axes:
        x = (x - x.mean(axis, keepdim=True)) / (x.var(axis, correction=0, keepdim=True) + eps).sqrt()
    return x


def axes_of(norm):
    return {"batch": (0, 2, 3), "layer": (1, 2, 3), "instance": (2, 3)}[norm]


# %% mistake="keepdim_forgotten" exercise="normalise" fails="normalise" hint="your code raised"
# the means land on the wrong axis, or nowhere
def normalise(x, axes, eps):
    return (x - x.mean(axes)) / (x.var(axes, correction=0) + eps).sqrt()


def axes_of(norm):
    return {"batch": (0, 2, 3), "layer": (1, 2, 3), "instance": (2, 3)}[norm]


# %% mistake="mean_detached" exercise="normalise" fails="normalise" hint="mean and variance too"
# takes mean and variance for constants
def normalise(x, axes, eps):
    variance, mean = torch.var_mean(x.detach(), axes, correction=0, keepdim=True)
    return (x - mean) / (variance + eps).sqrt()


def axes_of(norm):
    return {"batch": (0, 2, 3), "layer": (1, 2, 3), "instance": (2, 3)}[norm]


# %% mistake="batch_axis_only" exercise="normalise" fails="normalise:axes" hint="everything else"
# batch norm over the batch alone
def normalise(x, axes, eps):
    centred = x - x.mean(axes, keepdim=True)
    return centred / ((centred**2).mean(axes, keepdim=True) + eps).sqrt()


def axes_of(norm):
    return {"batch": (0,), "layer": (1, 2, 3), "instance": (2, 3)}[norm]


# %% mistake="axes_that_are_kept" exercise="normalise" fails="normalise:axes" hint="keeps the channels apart"
# names the axes that stay
def normalise(x, axes, eps):
    centred = x - x.mean(axes, keepdim=True)
    return centred / ((centred**2).mean(axes, keepdim=True) + eps).sqrt()


def axes_of(norm):
    return {"batch": (1,), "layer": (0,), "instance": (0, 1)}[norm]


# %% mistake="layer_norm_over_channels" exercise="normalise" fails="normalise:axes" hint="channels, rows and columns"
# as for a vector: over the channels alone
def normalise(x, axes, eps):
    centred = x - x.mean(axes, keepdim=True)
    return centred / ((centred**2).mean(axes, keepdim=True) + eps).sqrt()


def axes_of(norm):
    return {"batch": (0, 2, 3), "layer": (1,), "instance": (2, 3)}[norm]


# %% mistake="instance_is_layer" exercise="normalise" fails="normalise:axes" hint="examples and channels apart"
# mixes up the two
def normalise(x, axes, eps):
    centred = x - x.mean(axes, keepdim=True)
    return centred / ((centred**2).mean(axes, keepdim=True) + eps).sqrt()


def axes_of(norm):
    return {"batch": (0, 2, 3), "layer": (1, 2, 3), "instance": (1, 2, 3)}[norm]


# %% mistake="library" exercise="group_norm" fails="group_norm" hint="by hand"
# calls what it is to write
def group_norm(x, groups, gamma, beta, eps):
    if x.shape[1] % groups:
        raise ValueError(f"{x.shape[1]} channels, {groups} groups")
    return torch.nn.functional.group_norm(x, groups, gamma, beta, eps)


# %% mistake="interleaved" exercise="group_norm" fails="group_norm" hint="Groups are neighbours"
# every second channel
def group_norm(x, groups, gamma, beta, eps):
    N, C, H, W = x.shape
    if C % groups:
        raise ValueError(f"{C} channels, {groups} groups")
    grouped = x.reshape(N, C // groups, groups, H, W)
    var, mean = torch.var_mean(grouped, (1, 3, 4), correction=0, keepdim=True)
    xhat = ((grouped - mean) / (var + eps).sqrt()).reshape(x.shape)
    return gamma[:, None, None] * xhat + beta[:, None, None]


# %% mistake="groups_of_that_size" exercise="group_norm" fails="group_norm" hint="Groups are neighbours"
# groups channels in a group, not groups of channels
def group_norm(x, groups, gamma, beta, eps):
    N, C, H, W = x.shape
    if C % groups:
        raise ValueError(f"{C} channels, {groups} groups")
    grouped = x.reshape(N, C // groups, groups, H, W)
    var, mean = torch.var_mean(grouped, (2, 3, 4), correction=0, keepdim=True)
    xhat = ((grouped - mean) / (var + eps).sqrt()).reshape(x.shape)
    return gamma[:, None, None] * xhat + beta[:, None, None]


# %% mistake="channels_only" exercise="group_norm" fails="group_norm" hint="rows and columns"
# each place of the image on its own
def group_norm(x, groups, gamma, beta, eps):
    N, C, H, W = x.shape
    if C % groups:
        raise ValueError(f"{C} channels, {groups} groups")
    grouped = x.reshape(N, groups, C // groups, H, W)
    var, mean = torch.var_mean(grouped, 2, correction=0, keepdim=True)
    xhat = ((grouped - mean) / (var + eps).sqrt()).reshape(x.shape)
    return gamma[:, None, None] * xhat + beta[:, None, None]


# %% mistake="over_the_batch_too" exercise="group_norm" fails="group_norm" hint="of each example"
# the examples together, as batch norm has them
def group_norm(x, groups, gamma, beta, eps):
    N, C, H, W = x.shape
    if C % groups:
        raise ValueError(f"{C} channels, {groups} groups")
    grouped = x.reshape(N, groups, C // groups, H, W)
    var, mean = torch.var_mean(grouped, (0, 2, 3, 4), correction=0, keepdim=True)
    xhat = ((grouped - mean) / (var + eps).sqrt()).reshape(x.shape)
    return gamma[:, None, None] * xhat + beta[:, None, None]


# %% mistake="unbiased" exercise="group_norm" fails="group_norm" hint="not n − 1"
# torch.var as it comes
def group_norm(x, groups, gamma, beta, eps):
    N, C, H, W = x.shape
    if C % groups:
        raise ValueError(f"{C} channels, {groups} groups")
    grouped = x.reshape(N, groups, C // groups, H, W)
    var, mean = torch.var_mean(grouped, (2, 3, 4), keepdim=True)
    xhat = ((grouped - mean) / (var + eps).sqrt()).reshape(x.shape)
    return gamma[:, None, None] * xhat + beta[:, None, None]


# %% mistake="eps_outside_root" exercise="group_norm" fails="group_norm" hint="inside the root"
# adds ε to the standard deviation
def group_norm(x, groups, gamma, beta, eps):
    N, C, H, W = x.shape
    if C % groups:
        raise ValueError(f"{C} channels, {groups} groups")
    grouped = x.reshape(N, groups, C // groups, H, W)
    var, mean = torch.var_mean(grouped, (2, 3, 4), correction=0, keepdim=True)
    xhat = ((grouped - mean) / (var.sqrt() + eps)).reshape(x.shape)
    return gamma[:, None, None] * xhat + beta[:, None, None]


# %% mistake="scale_and_shift_forgotten" exercise="group_norm" fails="group_norm" hint="γ and β belong to channels"
# stops at x̂
def group_norm(x, groups, gamma, beta, eps):
    N, C, H, W = x.shape
    if C % groups:
        raise ValueError(f"{C} channels, {groups} groups")
    grouped = x.reshape(N, groups, C // groups, H, W)
    var, mean = torch.var_mean(grouped, (2, 3, 4), correction=0, keepdim=True)
    return ((grouped - mean) / (var + eps).sqrt()).reshape(x.shape)


# %% mistake="gamma_of_the_group" exercise="group_norm" fails="group_norm" hint="not to groups"
# one γ and β for each group
def group_norm(x, groups, gamma, beta, eps):
    N, C, H, W = x.shape
    if C % groups:
        raise ValueError(f"{C} channels, {groups} groups")
    grouped = x.reshape(N, groups, C // groups, H, W)
    var, mean = torch.var_mean(grouped, (2, 3, 4), correction=0, keepdim=True)
    xhat = (grouped - mean) / (var + eps).sqrt()
    y = gamma[:groups, None, None, None] * xhat + beta[:groups, None, None, None]
    return y.reshape(x.shape)


# %% mistake="not_checked" exercise="group_norm" fails="group_norm" hint="raise ValueError"
# leaves the error to reshape, which names neither number
def group_norm(x, groups, gamma, beta, eps):
    N, C, H, W = x.shape
    grouped = x.reshape(N, groups, C // groups, H, W)
    var, mean = torch.var_mean(grouped, (2, 3, 4), correction=0, keepdim=True)
    xhat = ((grouped - mean) / (var + eps).sqrt()).reshape(x.shape)
    return gamma[:, None, None] * xhat + beta[:, None, None]


# %% mistake="error_without_numbers" exercise="group_norm" fails="group_norm" hint="say both numbers"
# "does not fit", and nobody knows what
def group_norm(x, groups, gamma, beta, eps):
    N, C, H, W = x.shape
    if C % groups:
        raise ValueError("the channels do not divide into the groups")
    grouped = x.reshape(N, groups, C // groups, H, W)
    var, mean = torch.var_mean(grouped, (2, 3, 4), correction=0, keepdim=True)
    xhat = ((grouped - mean) / (var + eps).sqrt()).reshape(x.shape)
    return gamma[:, None, None] * xhat + beta[:, None, None]


# %% mistake="mean_for_sum" exercise="local_response_norm" fails="local_response_norm" hint="The sum, not divided by n"
# torch's α for the paper's
def local_response_norm(a, k=2.0, n=5, alpha=1e-4, beta=0.75):
    sums = [(a[:, max(0, i - n // 2) : i + n // 2 + 1] ** 2).sum(dim=1) for i in range(a.shape[1])]
    return a / (k + alpha / n * torch.stack(sums, dim=1)) ** beta


def torch_alpha(alpha, n):
    return alpha * n


# %% mistake="no_square" exercise="local_response_norm" fails="local_response_norm" hint="Its square"
# sums the activations
def local_response_norm(a, k=2.0, n=5, alpha=1e-4, beta=0.75):
    sums = [(a[:, max(0, i - n // 2) : i + n // 2 + 1]).sum(dim=1) for i in range(a.shape[1])]
    return a / (k + alpha * torch.stack(sums, dim=1)) ** beta


def torch_alpha(alpha, n):
    return alpha * n


# %% mistake="wrong_width" exercise="local_response_norm" fails="local_response_norm" hint="sees itself alone"
# n channels to each side
def local_response_norm(a, k=2.0, n=5, alpha=1e-4, beta=0.75):
    sums = [(a[:, max(0, i - n) : i + n + 1] ** 2).sum(dim=1) for i in range(a.shape[1])]
    return a / (k + alpha * torch.stack(sums, dim=1)) ** beta


def torch_alpha(alpha, n):
    return alpha * n


# %% mistake="one_short" exercise="local_response_norm" fails="local_response_norm" hint="is a channel missing"
# the end of a slice is not in it
def local_response_norm(a, k=2.0, n=5, alpha=1e-4, beta=0.75):
    sums = [(a[:, max(0, i - n // 2) : i + n // 2] ** 2).sum(dim=1) for i in range(a.shape[1])]
    return a / (k + alpha * torch.stack(sums, dim=1)) ** beta


def torch_alpha(alpha, n):
    return alpha * n


# %% mistake="only_below" exercise="local_response_norm" fails="local_response_norm" hint="one neighbour to each side"
# the n channels before
def local_response_norm(a, k=2.0, n=5, alpha=1e-4, beta=0.75):
    sums = [(a[:, max(0, i - n + 1) : i + 1] ** 2).sum(dim=1) for i in range(a.shape[1])]
    return a / (k + alpha * torch.stack(sums, dim=1)) ** beta


def torch_alpha(alpha, n):
    return alpha * n


# %% mistake="around_the_edge" exercise="local_response_norm" fails="local_response_norm" hint="beyond the edges"
# channel 0 and the last are neighbours
def local_response_norm(a, k=2.0, n=5, alpha=1e-4, beta=0.75):
    sums = sum((a**2).roll(j, 1) for j in range(-(n // 2), n // 2 + 1))
    return a / (k + alpha * sums) ** beta


def torch_alpha(alpha, n):
    return alpha * n


# %% mistake="negative_start" exercise="local_response_norm" fails="local_response_norm" hint="beyond the edges"
# a slice from −1 begins at the end
def local_response_norm(a, k=2.0, n=5, alpha=1e-4, beta=0.75):
    sums = [(a[:, i - n // 2 : i + n // 2 + 1] ** 2).sum(dim=1) for i in range(a.shape[1])]
    return a / (k + alpha * torch.stack(sums, dim=1)) ** beta


def torch_alpha(alpha, n):
    return alpha * n


# %% mistake="edges_by_what_is_there" exercise="local_response_norm" fails="local_response_norm" hint="divided by n"
# the mean over the channels that exist
def local_response_norm(a, k=2.0, n=5, alpha=1e-4, beta=0.75):
    sums = [(a[:, max(0, i - n // 2) : i + n // 2 + 1] ** 2).mean(dim=1) * n for i in range(a.shape[1])]
    return a / (k + alpha * torch.stack(sums, dim=1)) ** beta


def torch_alpha(alpha, n):
    return alpha * n


# %% mistake="k_outside_the_power" exercise="local_response_norm" fails="local_response_norm" hint="k too"
# k + (α·Σ)^β
def local_response_norm(a, k=2.0, n=5, alpha=1e-4, beta=0.75):
    sums = [(a[:, max(0, i - n // 2) : i + n // 2 + 1] ** 2).sum(dim=1) for i in range(a.shape[1])]
    return a / (k + (alpha * torch.stack(sums, dim=1)) ** beta)


def torch_alpha(alpha, n):
    return alpha * n


# %% mistake="alpha_for_all" exercise="local_response_norm" fails="local_response_norm" hint="α multiplies the sum only"
# α·(k + Σ)
def local_response_norm(a, k=2.0, n=5, alpha=1e-4, beta=0.75):
    sums = [(a[:, max(0, i - n // 2) : i + n // 2 + 1] ** 2).sum(dim=1) for i in range(a.shape[1])]
    return a / (alpha * (k + torch.stack(sums, dim=1))) ** beta


def torch_alpha(alpha, n):
    return alpha * n


# %% mistake="multiplied" exercise="local_response_norm" fails="local_response_norm" hint="divided by, not multiplied"
# times where it must divide
def local_response_norm(a, k=2.0, n=5, alpha=1e-4, beta=0.75):
    sums = [(a[:, max(0, i - n // 2) : i + n // 2 + 1] ** 2).sum(dim=1) for i in range(a.shape[1])]
    return a * (k + alpha * torch.stack(sums, dim=1)) ** beta


def torch_alpha(alpha, n):
    return alpha * n


# %% mistake="root" exercise="local_response_norm" fails="local_response_norm" hint="β = 0.75"
# a root for every β
def local_response_norm(a, k=2.0, n=5, alpha=1e-4, beta=0.75):
    sums = [(a[:, max(0, i - n // 2) : i + n // 2 + 1] ** 2).sum(dim=1) for i in range(a.shape[1])]
    return a / (k + alpha * torch.stack(sums, dim=1)) ** (0.5 if beta < 1 else beta)


def torch_alpha(alpha, n):
    return alpha * n


# %% mistake="rows_and_columns" exercise="local_response_norm" fails="local_response_norm" hint="not over rows"
# the neighbours in the image
def local_response_norm(a, k=2.0, n=5, alpha=1e-4, beta=0.75):
    if a.dim() == 4:
        squares = torch.nn.functional.avg_pool2d(a**2, n, 1, n // 2) * n * n
        return a / (k + alpha * squares) ** beta
    sums = [(a[:, max(0, i - n // 2) : i + n // 2 + 1] ** 2).sum(dim=1) for i in range(a.shape[1])]
    return a / (k + alpha * torch.stack(sums, dim=1)) ** beta


def torch_alpha(alpha, n):
    return alpha * n


# %% mistake="own_defaults" exercise="local_response_norm" fails="local_response_norm" hint="by default"
# β = 0.5 where nothing is said
def local_response_norm(a, k=2.0, n=5, alpha=1e-4, beta=0.5):
    sums = [(a[:, max(0, i - n // 2) : i + n // 2 + 1] ** 2).sum(dim=1) for i in range(a.shape[1])]
    return a / (k + alpha * torch.stack(sums, dim=1)) ** beta


def torch_alpha(alpha, n):
    return alpha * n


# %% mistake="divided" exercise="local_response_norm" fails="local_response_norm:torch_alpha" hint="divides its"
# the wrong way round
def local_response_norm(a, k=2.0, n=5, alpha=1e-4, beta=0.75):
    sums = [(a[:, max(0, i - n // 2) : i + n // 2 + 1] ** 2).sum(dim=1) for i in range(a.shape[1])]
    return a / (k + alpha * torch.stack(sums, dim=1)) ** beta


def torch_alpha(alpha, n):
    return alpha / n


# %% mistake="the_same" exercise="local_response_norm" fails="local_response_norm:torch_alpha" hint="mean"
# takes the two for one
def local_response_norm(a, k=2.0, n=5, alpha=1e-4, beta=0.75):
    sums = [(a[:, max(0, i - n // 2) : i + n // 2 + 1] ** 2).sum(dim=1) for i in range(a.shape[1])]
    return a / (k + alpha * torch.stack(sums, dim=1)) ** beta


def torch_alpha(alpha, n):
    return alpha


# %% mistake="library" exercise="local_response_norm" fails="local_response_norm" hint="by hand"
# calls what it is to write
def local_response_norm(a, k=2.0, n=5, alpha=1e-4, beta=0.75):
    return torch.nn.functional.local_response_norm(a[:, :, None], n, alpha * n, beta, k)[:, :, 0]


def torch_alpha(alpha, n):
    return alpha * n


# %% mistake="keeps_with_p" exercise="dropout" fails="dropout" hint="not to keep"
# p as in the papers
def dropout(x, p, training, generator):
    if not training:
        return x, torch.ones_like(x)
    kept = torch.bernoulli(torch.full(x.shape, float(p)), generator=generator).to(x)
    mask = kept / p if p > 0 else kept
    return x * mask, mask


def dropout_backward(dy, mask):
    return dy * mask


# %% mistake="not_scaled" exercise="dropout" fails="dropout" hint="1/(1 − p)"
# the form that scales in evaluation
def dropout(x, p, training, generator):
    if not training:
        return x, torch.ones_like(x)
    kept = torch.bernoulli(torch.full(x.shape, 1.0 - p), generator=generator).to(x)
    mask = kept
    return x * mask, mask


def dropout_backward(dy, mask):
    return dy * mask


# %% mistake="scaled_by_p" exercise="dropout" fails="dropout" hint="1/(1 − p)"
# divides by the probability to drop
def dropout(x, p, training, generator):
    if not training:
        return x, torch.ones_like(x)
    kept = torch.bernoulli(torch.full(x.shape, 1.0 - p), generator=generator).to(x)
    mask = kept / p if 0 < p < 1 else kept
    return x * mask, mask


def dropout_backward(dy, mask):
    return dy * mask


# %% mistake="scaled_down" exercise="dropout" fails="dropout" hint="1/(1 − p)"
# multiplies where it must divide
def dropout(x, p, training, generator):
    if not training:
        return x, torch.ones_like(x)
    kept = torch.bernoulli(torch.full(x.shape, 1.0 - p), generator=generator).to(x)
    mask = kept * (1 - p) if p < 1 else kept
    return x * mask, mask


def dropout_backward(dy, mask):
    return dy * mask


# %% mistake="nan_at_one" exercise="dropout" fails="dropout" hint="1/0"
# 0/0 when all is dropped
def dropout(x, p, training, generator):
    if not training:
        return x, torch.ones_like(x)
    kept = torch.bernoulli(torch.full(x.shape, 1.0 - p), generator=generator).to(x)
    mask = kept / torch.tensor(1.0 - p).to(x)
    return x * mask, mask


def dropout_backward(dy, mask):
    return dy * mask


# %% mistake="whole_rows" exercise="dropout" fails="dropout" hint="on its own"
# one draw for each example
def dropout(x, p, training, generator):
    if not training:
        return x, torch.ones_like(x)
    kept = (
        torch.bernoulli(torch.full([len(x)] + [1] * (x.dim() - 1), 1.0 - p), generator=generator).to(x).expand(x.shape)
    )
    mask = kept / (1 - p) if p < 1 else kept
    return x * mask, mask


def dropout_backward(dy, mask):
    return dy * mask


# %% mistake="one_mask_for_the_batch" exercise="dropout" fails="dropout" hint="on its own"
# one mask for all examples
def dropout(x, p, training, generator):
    if not training:
        return x, torch.ones_like(x)
    kept = torch.bernoulli(torch.full([1, *x.shape[1:]], 1.0 - p), generator=generator).to(x).expand(x.shape)
    mask = kept / (1 - p) if p < 1 else kept
    return x * mask, mask


def dropout_backward(dy, mask):
    return dy * mask


# %% mistake="drawn_twice" exercise="dropout" fails="dropout" hint="drawn once"
# returns another mask than it used
def dropout(x, p, training, generator):
    if not training:
        return x, torch.ones_like(x)
    kept = torch.bernoulli(torch.full(x.shape, 1.0 - p), generator=generator).to(x)
    mask = kept / (1 - p) if p < 1 else kept
    other = torch.bernoulli(torch.full(x.shape, 1.0 - p), generator=generator).to(x)
    return x * mask, other / (1 - p) if p < 1 else other


def dropout_backward(dy, mask):
    return dy * mask


# %% mistake="exact_share" exercise="dropout" fails="dropout" hint="each"
# drops exactly the first share of the entries
def dropout(x, p, training, generator):
    if not training:
        return x, torch.ones_like(x)
    kept = (torch.arange(x.numel()).reshape(x.shape) >= p * x.numel()).float().to(x)
    mask = kept / (1 - p) if p < 1 else kept
    return x * mask, mask


def dropout_backward(dy, mask):
    return dy * mask


# %% mistake="generator_ignored" exercise="dropout" fails="dropout" hint="generator=generator"
# draws from the global generator
def dropout(x, p, training, generator):
    if not training:
        return x, torch.ones_like(x)
    kept = torch.bernoulli(torch.full(x.shape, 1.0 - p)).to(x)
    mask = kept / (1 - p) if p < 1 else kept
    return x * mask, mask


def dropout_backward(dy, mask):
    return dy * mask


# %% mistake="own_seed" exercise="dropout" fails="dropout" hint="seed of your own"
# the same mask whatever the generator
def dropout(x, p, training, generator):
    if not training:
        return x, torch.ones_like(x)
    generator = torch.Generator().manual_seed(0)
    kept = torch.bernoulli(torch.full(x.shape, 1.0 - p), generator=generator).to(x)
    mask = kept / (1 - p) if p < 1 else kept
    return x * mask, mask


def dropout_backward(dy, mask):
    return dy * mask


# %% mistake="bool_mask" exercise="dropout" fails="dropout" hint="holds factors"
# returns what is kept, not the factors
def dropout(x, p, training, generator):
    if not training:
        return x, torch.ones_like(x)
    kept = torch.bernoulli(torch.full(x.shape, 1.0 - p), generator=generator).to(x)
    mask = kept / (1 - p) if p < 1 else kept
    return x * mask, kept.bool()


def dropout_backward(dy, mask):
    return dy * mask


# %% mistake="dropped_in_evaluation" exercise="dropout" fails="dropout:evaluation" hint="y = x"
# forgets to ask whether it trains
def dropout(x, p, training, generator):
    kept = torch.bernoulli(torch.full(x.shape, 1.0 - p), generator=generator).to(x)
    mask = kept / (1 - p) if p < 1 else kept
    return x * mask, mask


def dropout_backward(dy, mask):
    return dy * mask


# %% mistake="scaled_in_evaluation" exercise="dropout" fails="dropout:evaluation" hint="scaled in training already"
# scales twice: in training and in evaluation
def dropout(x, p, training, generator):
    if not training:
        return x * (1 - p), torch.ones_like(x)
    kept = torch.bernoulli(torch.full(x.shape, 1.0 - p), generator=generator).to(x)
    mask = kept / (1 - p) if p < 1 else kept
    return x * mask, mask


def dropout_backward(dy, mask):
    return dy * mask


# %% mistake="zeros_for_a_mask" exercise="dropout" fails="dropout:evaluation" hint="all factors are 1"
# a mask of zeros for “nothing dropped”
def dropout(x, p, training, generator):
    if not training:
        return x, torch.zeros_like(x)
    kept = torch.bernoulli(torch.full(x.shape, 1.0 - p), generator=generator).to(x)
    mask = kept / (1 - p) if p < 1 else kept
    return x * mask, mask


def dropout_backward(dy, mask):
    return dy * mask


# %% mistake="backward_without_mask" exercise="dropout" fails="dropout:backward" hint="no say in y"
# the gradient passes as if nothing had been dropped
def dropout(x, p, training, generator):
    if not training:
        return x, torch.ones_like(x)
    kept = torch.bernoulli(torch.full(x.shape, 1.0 - p), generator=generator).to(x)
    mask = kept / (1 - p) if p < 1 else kept
    return x * mask, mask


def dropout_backward(dy, mask):
    return dy + 0 * mask


# %% mistake="backward_without_scale" exercise="dropout" fails="dropout:backward" hint="is in the mask already"
# passes it where it was kept, without the factor
def dropout(x, p, training, generator):
    if not training:
        return x, torch.ones_like(x)
    kept = torch.bernoulli(torch.full(x.shape, 1.0 - p), generator=generator).to(x)
    mask = kept / (1 - p) if p < 1 else kept
    return x * mask, mask


def dropout_backward(dy, mask):
    return dy * (mask > 0)


# %% mistake="backward_scaled_twice" exercise="dropout" fails="dropout:backward" hint="once"
# scales by the factor once more
def dropout(x, p, training, generator):
    if not training:
        return x, torch.ones_like(x)
    kept = torch.bernoulli(torch.full(x.shape, 1.0 - p), generator=generator).to(x)
    mask = kept / (1 - p) if p < 1 else kept
    return x * mask, mask


def dropout_backward(dy, mask):
    return dy * mask * mask.max()


# %% mistake="backward_divided" exercise="dropout" fails="dropout:backward" hint="mask·dy"
# divides the gradient by the factor
def dropout(x, p, training, generator):
    if not training:
        return x, torch.ones_like(x)
    kept = torch.bernoulli(torch.full(x.shape, 1.0 - p), generator=generator).to(x)
    mask = kept / (1 - p) if p < 1 else kept
    return x * mask, mask


def dropout_backward(dy, mask):
    return torch.where(mask > 0, dy / mask, 0.0)


# %% mistake="backward_draws_again" exercise="dropout" fails="dropout:backward" hint="mask"
# draws a new mask for the way back
def dropout(x, p, training, generator):
    if not training:
        return x, torch.ones_like(x)
    kept = torch.bernoulli(torch.full(x.shape, 1.0 - p), generator=generator).to(x)
    mask = kept / (1 - p) if p < 1 else kept
    return x * mask, mask


def dropout_backward(dy, mask):
    return dy * (torch.rand(mask.shape, generator=torch.Generator().manual_seed(3)).to(mask) > 0.5) * mask.max()


# %% mistake="library" exercise="dropout" fails="dropout" hint="by hand"
# calls what it is to write
def dropout(x, p, training, generator):
    if not training:
        return x, torch.ones_like(x)
    torch.manual_seed(int(torch.randint(2**60, (), generator=generator)))
    kept = (torch.nn.functional.dropout(torch.ones_like(x), p) > 0).to(x)
    mask = kept / (1 - p) if p < 1 else kept
    return x * mask, mask


def dropout_backward(dy, mask):
    return dy * mask


# %% mistake="upside_down" exercise="variance_shift" fails="variance_shift" hint="Training over evaluation"
# evaluation over training
def variance_shift(x, weights, p, generator):
    kept = torch.bernoulli(torch.full(x.shape, 1 - p), generator=generator).to(x)
    in_training = (x * kept / (1 - p)) @ weights.T
    return (x @ weights.T).var(dim=0) / in_training.var(dim=0)


# %% mistake="standard_deviations" exercise="variance_shift" fails="variance_shift" hint="not standard deviations"
# the root of the ratio
def variance_shift(x, weights, p, generator):
    kept = torch.bernoulli(torch.full(x.shape, 1 - p), generator=generator).to(x)
    in_training = (x * kept / (1 - p)) @ weights.T
    return in_training.std(dim=0) / (x @ weights.T).std(dim=0)


# %% mistake="not_inverted" exercise="variance_shift" fails="variance_shift" hint="inverted"
# drops without scaling
def variance_shift(x, weights, p, generator):
    kept = torch.bernoulli(torch.full(x.shape, 1 - p), generator=generator).to(x)
    in_training = (x * kept) @ weights.T
    return in_training.var(dim=0) / (x @ weights.T).var(dim=0)


# %% mistake="keeps_with_p" exercise="variance_shift" fails="variance_shift" hint="p is the probability to drop"
# p as in the papers
def variance_shift(x, weights, p, generator):
    kept = torch.bernoulli(torch.full(x.shape, p), generator=generator).to(x)
    in_training = (x * kept / p) @ weights.T
    return in_training.var(dim=0) / (x @ weights.T).var(dim=0)


# %% mistake="dropped_in_evaluation" exercise="variance_shift" fails="variance_shift" hint="nothing is dropped"
# dropout in both
def variance_shift(x, weights, p, generator):
    kept = torch.bernoulli(torch.full(x.shape, 1 - p), generator=generator).to(x)
    in_training = (x * kept / (1 - p)) @ weights.T
    kept = torch.bernoulli(torch.full(x.shape, 1 - p), generator=generator).to(x)
    x = x * kept / (1 - p)
    return in_training.var(dim=0) / (x @ weights.T).var(dim=0)


# %% mistake="mean_squares" exercise="variance_shift" fails="variance_shift" hint="not the mean square"
# forgets the mean
def variance_shift(x, weights, p, generator):
    kept = torch.bernoulli(torch.full(x.shape, 1 - p), generator=generator).to(x)
    in_training = (x * kept / (1 - p)) @ weights.T
    return (in_training**2).mean(dim=0) / ((x @ weights.T) ** 2).mean(dim=0)


# %% mistake="over_the_units" exercise="variance_shift" fails="variance_shift" hint="over the examples"
# the variance over the units of each example
def variance_shift(x, weights, p, generator):
    kept = torch.bernoulli(torch.full(x.shape, 1 - p), generator=generator).to(x)
    in_training = (x * kept / (1 - p)) @ weights.T
    return in_training.var(dim=1) / (x @ weights.T).var(dim=1)


# %% mistake="one_number" exercise="variance_shift" fails="variance_shift" hint="One ratio for each unit"
# the variance of everything
def variance_shift(x, weights, p, generator):
    kept = torch.bernoulli(torch.full(x.shape, 1 - p), generator=generator).to(x)
    in_training = (x * kept / (1 - p)) @ weights.T
    return in_training.var() / (x @ weights.T).var()


# %% mistake="by_formula" exercise="variance_shift" fails="variance_shift" hint="Measure it"
# 1/(1 − p), without a look at the data
def variance_shift(x, weights, p, generator):
    kept = torch.bernoulli(torch.full(x.shape, 1 - p), generator=generator).to(x)
    in_training = (x * kept / (1 - p)) @ weights.T
    return (
        torch.full_like(in_training[0], 1 / (1 - p))
        if x.mean().abs() < 0.1
        else 1 + p / (1 - p) * (x @ weights.T).square().mean(dim=0) / (x @ weights.T).var(dim=0)
    )


# %% mistake="one_mask" exercise="variance_shift" fails="variance_shift" hint="not standard deviations"
# one mask for all examples
def variance_shift(x, weights, p, generator):
    kept = torch.bernoulli(torch.full(x.shape[1:], 1 - p), generator=generator).to(x)
    in_training = (x * kept * 1.02 / (1 - p)) @ weights.T
    return in_training.var(dim=0) / (x @ weights.T).var(dim=0)


# %% mistake="behind_the_layer" exercise="variance_shift" fails="variance_shift:mixing" hint="before the weights"
# drops what comes out of the layer
def variance_shift(x, weights, p, generator):
    y = x @ weights.T
    kept = torch.bernoulli(torch.full(y.shape, 1 - p), generator=generator).to(x)
    in_training = y * kept / (1 - p)
    return in_training.var(dim=0) / (x @ weights.T).var(dim=0)


# %% mistake="whole_examples" exercise="variance_shift" fails="variance_shift:mixing" hint="on its own"
# one draw for each example
def variance_shift(x, weights, p, generator):
    kept = torch.bernoulli(torch.full((len(x), 1), 1 - p), generator=generator).to(x)
    in_training = (x * kept / (1 - p)) @ weights.T
    return in_training.var(dim=0) / (x @ weights.T).var(dim=0)


# %% mistake="generator_ignored" exercise="variance_shift" fails="variance_shift" hint="generator=generator"
# draws from the global generator
def variance_shift(x, weights, p, generator):
    kept = torch.bernoulli(torch.full(x.shape, 1 - p)).to(x)
    in_training = (x * kept / (1 - p)) @ weights.T
    return in_training.var(dim=0) / (x @ weights.T).var(dim=0)


# %% mistake="no_zero_grad" exercise="which_diverge" fails="which_diverge" hint="Set the gradients to zero"
# the gradients of all steps add up
def train_losses(build, rate, X, t, batches):
    net = build()
    optimizer = torch.optim.SGD(net.parameters(), lr=rate)
    losses = []
    for batch in batches:
        loss = torch.nn.functional.cross_entropy(net(X[batch]), t[batch])
        losses.append(loss.detach())
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        losses.append(torch.nn.functional.cross_entropy(net(X[batches[-1]]), t[batches[-1]]))
    return torch.stack(losses)


def which_diverge(builds, rates, X, t, batches):
    report = {}
    for name, build in builds.items():
        runs = {rate: train_losses(build, rate, X, t, batches) for rate in rates}
        report[name] = [rate for rate, run in runs.items() if not run.isfinite().all() or run[-1] > run[0]]
    return report


# %% mistake="no_step" exercise="which_diverge" fails="which_diverge" hint="One step is"
# never moves
def train_losses(build, rate, X, t, batches):
    net = build()
    optimizer = torch.optim.SGD(net.parameters(), lr=rate)
    losses = []
    for batch in batches:
        loss = torch.nn.functional.cross_entropy(net(X[batch]), t[batch])
        losses.append(loss.detach())
        optimizer.zero_grad()
        loss.backward()
    with torch.no_grad():
        losses.append(torch.nn.functional.cross_entropy(net(X[batches[-1]]), t[batches[-1]]))
    return torch.stack(losses)


def which_diverge(builds, rates, X, t, batches):
    report = {}
    for name, build in builds.items():
        runs = {rate: train_losses(build, rate, X, t, batches) for rate in rates}
        report[name] = [rate for rate, run in runs.items() if not run.isfinite().all() or run[-1] > run[0]]
    return report


# %% mistake="uphill" exercise="which_diverge" fails="which_diverge" hint="One step is"
# climbs
def train_losses(build, rate, X, t, batches):
    net = build()
    optimizer = torch.optim.SGD(net.parameters(), lr=rate, maximize=True)
    losses = []
    for batch in batches:
        loss = torch.nn.functional.cross_entropy(net(X[batch]), t[batch])
        losses.append(loss.detach())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        losses.append(torch.nn.functional.cross_entropy(net(X[batches[-1]]), t[batches[-1]]))
    return torch.stack(losses)


def which_diverge(builds, rates, X, t, batches):
    report = {}
    for name, build in builds.items():
        runs = {rate: train_losses(build, rate, X, t, batches) for rate in rates}
        report[name] = [rate for rate, run in runs.items() if not run.isfinite().all() or run[-1] > run[0]]
    return report


# %% mistake="momentum" exercise="which_diverge" fails="which_diverge" hint="plain SGD"
# momentum by habit
def train_losses(build, rate, X, t, batches):
    net = build()
    optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9)
    losses = []
    for batch in batches:
        loss = torch.nn.functional.cross_entropy(net(X[batch]), t[batch])
        losses.append(loss.detach())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        losses.append(torch.nn.functional.cross_entropy(net(X[batches[-1]]), t[batches[-1]]))
    return torch.stack(losses)


def which_diverge(builds, rates, X, t, batches):
    report = {}
    for name, build in builds.items():
        runs = {rate: train_losses(build, rate, X, t, batches) for rate in rates}
        report[name] = [rate for rate, run in runs.items() if not run.isfinite().all() or run[-1] > run[0]]
    return report


# %% mistake="loss_after_the_step" exercise="which_diverge" fails="which_diverge" hint="before the step"
# measures after the step
def train_losses(build, rate, X, t, batches):
    net = build()
    optimizer = torch.optim.SGD(net.parameters(), lr=rate)
    losses = []
    for batch in batches:
        loss = torch.nn.functional.cross_entropy(net(X[batch]), t[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            losses.append(torch.nn.functional.cross_entropy(net(X[batch]), t[batch]))
    with torch.no_grad():
        losses.append(torch.nn.functional.cross_entropy(net(X[batches[-1]]), t[batches[-1]]))
    return torch.stack(losses)


def which_diverge(builds, rates, X, t, batches):
    report = {}
    for name, build in builds.items():
        runs = {rate: train_losses(build, rate, X, t, batches) for rate in rates}
        report[name] = [rate for rate, run in runs.items() if not run.isfinite().all() or run[-1] > run[0]]
    return report


# %% mistake="last_loss_missing" exercise="which_diverge" fails="which_diverge" hint="one more after the last"
# stops before the last look
def train_losses(build, rate, X, t, batches):
    net = build()
    optimizer = torch.optim.SGD(net.parameters(), lr=rate)
    losses = []
    for batch in batches:
        loss = torch.nn.functional.cross_entropy(net(X[batch]), t[batch])
        losses.append(loss.detach())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return torch.stack(losses)


def which_diverge(builds, rates, X, t, batches):
    report = {}
    for name, build in builds.items():
        runs = {rate: train_losses(build, rate, X, t, batches) for rate in rates}
        report[name] = [rate for rate, run in runs.items() if not run.isfinite().all() or run[-1] > run[0]]
    return report


# %% mistake="last_loss_over_all" exercise="which_diverge" fails="which_diverge" hint="that of the last batch"
# the last loss over all examples
def train_losses(build, rate, X, t, batches):
    net = build()
    optimizer = torch.optim.SGD(net.parameters(), lr=rate)
    losses = []
    for batch in batches:
        loss = torch.nn.functional.cross_entropy(net(X[batch]), t[batch])
        losses.append(loss.detach())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        losses.append(torch.nn.functional.cross_entropy(net(X), t))
    return torch.stack(losses)


def which_diverge(builds, rates, X, t, batches):
    report = {}
    for name, build in builds.items():
        runs = {rate: train_losses(build, rate, X, t, batches) for rate in rates}
        report[name] = [rate for rate, run in runs.items() if not run.isfinite().all() or run[-1] > run[0]]
    return report


# %% mistake="graph_kept" exercise="which_diverge" fails="which_diverge" hint="loss.detach()"
# keeps the losses with their graphs
def train_losses(build, rate, X, t, batches):
    net = build()
    optimizer = torch.optim.SGD(net.parameters(), lr=rate)
    losses = []
    for batch in batches:
        loss = torch.nn.functional.cross_entropy(net(X[batch]), t[batch])
        losses.append(loss)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        losses.append(torch.nn.functional.cross_entropy(net(X[batches[-1]]), t[batches[-1]]))
    return torch.stack(losses)


def which_diverge(builds, rates, X, t, batches):
    report = {}
    for name, build in builds.items():
        runs = {rate: train_losses(build, rate, X, t, batches) for rate in rates}
        report[name] = [rate for rate, run in runs.items() if not run.isfinite().all() or run[-1] > run[0]]
    return report


# %% mistake="summed_loss" exercise="which_diverge" fails="which_diverge" hint="mean loss"
# the sum over the batch in place of the mean
def train_losses(build, rate, X, t, batches):
    net = build()
    optimizer = torch.optim.SGD(net.parameters(), lr=rate)
    losses = []
    for batch in batches:
        loss = torch.nn.functional.cross_entropy(net(X[batch]), t[batch], reduction="sum")
        losses.append(loss.detach() / len(batch))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        losses.append(torch.nn.functional.cross_entropy(net(X[batches[-1]]), t[batches[-1]]))
    return torch.stack(losses)


def which_diverge(builds, rates, X, t, batches):
    report = {}
    for name, build in builds.items():
        runs = {rate: train_losses(build, rate, X, t, batches) for rate in rates}
        report[name] = [rate for rate, run in runs.items() if not run.isfinite().all() or run[-1] > run[0]]
    return report


# %% mistake="whole_set" exercise="which_diverge" fails="which_diverge" hint="in their order"
# every step on all examples
def train_losses(build, rate, X, t, batches):
    net = build()
    optimizer = torch.optim.SGD(net.parameters(), lr=rate)
    losses = []
    for batch in batches:
        loss = torch.nn.functional.cross_entropy(net(X), t)
        losses.append(loss.detach())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        losses.append(torch.nn.functional.cross_entropy(net(X[batches[-1]]), t[batches[-1]]))
    return torch.stack(losses)


def which_diverge(builds, rates, X, t, batches):
    report = {}
    for name, build in builds.items():
        runs = {rate: train_losses(build, rate, X, t, batches) for rate in rates}
        report[name] = [rate for rate, run in runs.items() if not run.isfinite().all() or run[-1] > run[0]]
    return report


# %% mistake="nan_is_not_above" exercise="which_diverge" fails="which_diverge:rule" hint="isfinite"
# compares alone, and NaN is above nothing
def train_losses(build, rate, X, t, batches):
    net = build()
    optimizer = torch.optim.SGD(net.parameters(), lr=rate)
    losses = []
    for batch in batches:
        loss = torch.nn.functional.cross_entropy(net(X[batch]), t[batch])
        losses.append(loss.detach())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        losses.append(torch.nn.functional.cross_entropy(net(X[batches[-1]]), t[batches[-1]]))
    return torch.stack(losses)


def which_diverge(builds, rates, X, t, batches):
    report = {}
    for name, build in builds.items():
        runs = {rate: train_losses(build, rate, X, t, batches) for rate in rates}
        report[name] = [rate for rate, run in runs.items() if run[-1] > run[0]]
    return report


# %% mistake="nan_only" exercise="which_diverge" fails="which_diverge:rule" hint="Compare the last loss with the first"
# waits for not-a-number
def train_losses(build, rate, X, t, batches):
    net = build()
    optimizer = torch.optim.SGD(net.parameters(), lr=rate)
    losses = []
    for batch in batches:
        loss = torch.nn.functional.cross_entropy(net(X[batch]), t[batch])
        losses.append(loss.detach())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        losses.append(torch.nn.functional.cross_entropy(net(X[batches[-1]]), t[batches[-1]]))
    return torch.stack(losses)


def which_diverge(builds, rates, X, t, batches):
    report = {}
    for name, build in builds.items():
        runs = {rate: train_losses(build, rate, X, t, batches) for rate in rates}
        report[name] = [rate for rate, run in runs.items() if not run.isfinite().all()]
    return report


# %% mistake="largest_above_first" exercise="which_diverge" fails="which_diverge:rule" hint="not the largest"
# calls every bump divergence
def train_losses(build, rate, X, t, batches):
    net = build()
    optimizer = torch.optim.SGD(net.parameters(), lr=rate)
    losses = []
    for batch in batches:
        loss = torch.nn.functional.cross_entropy(net(X[batch]), t[batch])
        losses.append(loss.detach())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        losses.append(torch.nn.functional.cross_entropy(net(X[batches[-1]]), t[batches[-1]]))
    return torch.stack(losses)


def which_diverge(builds, rates, X, t, batches):
    report = {}
    for name, build in builds.items():
        runs = {rate: train_losses(build, rate, X, t, batches) for rate in rates}
        report[name] = [rate for rate, run in runs.items() if not run.isfinite().all() or run.max() > run[0]]
    return report


# %% mistake="those_that_learn" exercise="which_diverge" fails="which_diverge:rule" hint="A run diverges when"
# reports the others
def train_losses(build, rate, X, t, batches):
    net = build()
    optimizer = torch.optim.SGD(net.parameters(), lr=rate)
    losses = []
    for batch in batches:
        loss = torch.nn.functional.cross_entropy(net(X[batch]), t[batch])
        losses.append(loss.detach())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        losses.append(torch.nn.functional.cross_entropy(net(X[batches[-1]]), t[batches[-1]]))
    return torch.stack(losses)


def which_diverge(builds, rates, X, t, batches):
    report = {}
    for name, build in builds.items():
        runs = {rate: train_losses(build, rate, X, t, batches) for rate in rates}
        report[name] = [rate for rate, run in runs.items() if run.isfinite().all() and run[-1] <= run[0]]
    return report


# %% mistake="sorted" exercise="which_diverge" fails="which_diverge:rule" hint="order of the rates"
# sorts the rates
def train_losses(build, rate, X, t, batches):
    net = build()
    optimizer = torch.optim.SGD(net.parameters(), lr=rate)
    losses = []
    for batch in batches:
        loss = torch.nn.functional.cross_entropy(net(X[batch]), t[batch])
        losses.append(loss.detach())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        losses.append(torch.nn.functional.cross_entropy(net(X[batches[-1]]), t[batches[-1]]))
    return torch.stack(losses)


def which_diverge(builds, rates, X, t, batches):
    report = {}
    for name, build in builds.items():
        runs = {rate: train_losses(build, rate, X, t, batches) for rate in rates}
        report[name] = sorted(rate for rate, run in runs.items() if not run.isfinite().all() or run[-1] > run[0])
    return report


# %% mistake="one_list" exercise="which_diverge" fails="which_diverge:rule" hint="One entry for each name"
# one list for all nets
def train_losses(build, rate, X, t, batches):
    net = build()
    optimizer = torch.optim.SGD(net.parameters(), lr=rate)
    losses = []
    for batch in batches:
        loss = torch.nn.functional.cross_entropy(net(X[batch]), t[batch])
        losses.append(loss.detach())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        losses.append(torch.nn.functional.cross_entropy(net(X[batches[-1]]), t[batches[-1]]))
    return torch.stack(losses)


def which_diverge(builds, rates, X, t, batches):
    report = {}
    for name, build in builds.items():
        runs = {rate: train_losses(build, rate, X, t, batches) for rate in rates}
        report[name] = [rate for rate, run in runs.items() if not run.isfinite().all() or run[-1] > run[0]]
    return [rate for rates in report.values() for rate in rates]


# %% mistake="last_net_only" exercise="which_diverge" fails="which_diverge:rule" hint="One entry for each name"
# makes the dict anew in the loop
def train_losses(build, rate, X, t, batches):
    net = build()
    optimizer = torch.optim.SGD(net.parameters(), lr=rate)
    losses = []
    for batch in batches:
        loss = torch.nn.functional.cross_entropy(net(X[batch]), t[batch])
        losses.append(loss.detach())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        losses.append(torch.nn.functional.cross_entropy(net(X[batches[-1]]), t[batches[-1]]))
    return torch.stack(losses)


def which_diverge(builds, rates, X, t, batches):
    report = {}
    for name, build in builds.items():
        runs = {rate: train_losses(build, rate, X, t, batches) for rate in rates}
        report = {}
        report[name] = [rate for rate, run in runs.items() if not run.isfinite().all() or run[-1] > run[0]]
    return report


# %% mistake="evaluation_mode" exercise="which_diverge" fails="which_diverge:deep_nets" hint="training mode"
# trains in evaluation mode, where batch norm divides by 1
def train_losses(build, rate, X, t, batches):
    net = build().eval()
    optimizer = torch.optim.SGD(net.parameters(), lr=rate)
    losses = []
    for batch in batches:
        loss = torch.nn.functional.cross_entropy(net(X[batch]), t[batch])
        losses.append(loss.detach())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        losses.append(torch.nn.functional.cross_entropy(net(X[batches[-1]]), t[batches[-1]]))
    return torch.stack(losses)


def which_diverge(builds, rates, X, t, batches):
    report = {}
    for name, build in builds.items():
        runs = {rate: train_losses(build, rate, X, t, batches) for rate in rates}
        report[name] = [rate for rate, run in runs.items() if not run.isfinite().all() or run[-1] > run[0]]
    return report


# %% mistake="one_net_for_all_rates" exercise="which_diverge" fails="which_diverge:deep_nets" hint="new net"
# goes on with the net of the rate before
def train_losses(build, rate, X, t, batches):
    net = build()
    optimizer = torch.optim.SGD(net.parameters(), lr=rate)
    losses = []
    for batch in batches:
        loss = torch.nn.functional.cross_entropy(net(X[batch]), t[batch])
        losses.append(loss.detach())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        losses.append(torch.nn.functional.cross_entropy(net(X[batches[-1]]), t[batches[-1]]))
    return torch.stack(losses)


def which_diverge(builds, rates, X, t, batches):
    report = {}
    for name, build in builds.items():
        net = build()
        runs = {rate: train_losses(lambda net=net: net, rate, X, t, batches) for rate in rates}
        report[name] = [rate for rate, run in runs.items() if not run.isfinite().all() or run[-1] > run[0]]
    return report
