# Right answers to `cnn_backprop`, written differently. Each must get full marks on every seed.


# %% alternative="counting" exercise="output_size"
# walks the row instead of dividing
def output_size(size, kernel, stride=1, padding=0, exact=True):
    row = size + 2 * padding
    if kernel > row:
        raise ValueError(f"kernel {kernel} > {row} pixels: it fits nowhere")
    corners = list(range(0, row - kernel + 1, stride))
    over = row - kernel - corners[-1]
    if exact and over:
        raise ValueError(f"{over} of {row} pixels left over")
    return len(corners)


# %% alternative="divmod" exercise="output_size"
# both parts of the division at once; the message in other words
def output_size(size: int, kernel: int, stride: int = 1, padding: int = 0, exact: bool = True) -> int:
    if size + 2 * padding < kernel:
        raise ValueError("too large a kernel")
    steps, rest = divmod(size + 2 * padding - kernel, stride)
    if rest and exact:
        raise ValueError(f"rest={rest}")
    return steps + 1


# %% alternative="unfold" exercise="conv1d"
# all windows as a view, one product
def conv1d(a, w):
    return a.unfold(0, len(w), 1) @ w


# %% alternative="python_loops" exercise="conv1d"
# the formula, letter by letter
def conv1d(a, w):
    net = torch.zeros(len(a) - len(w) + 1, dtype=a.dtype, device=a.device)
    for i in range(len(net)):
        for j in range(len(w)):
            net[i] += w[j] * a[i + j]
    return net


# %% alternative="toeplitz" exercise="conv1d"
# the matrix of the layer, with the kernel along its diagonals; float64 inside
def conv1d(a, w):
    n, k = len(a), len(w)
    matrix = torch.zeros(n - k + 1, n, dtype=torch.float64, device=a.device)
    for i in range(n - k + 1):
        matrix[i, i : i + k] = w.double()
    return (matrix @ a.double()).to(a.dtype)


# %% alternative="polynomials" exercise="conv1d"
# a correlation by the fast Fourier transform
def conv1d(a, w):
    n = len(a) + len(w) - 1
    product = torch.fft.ifft(torch.fft.fft(a.double(), n) * torch.fft.fft(w.double().flip(0), n)).real
    return product[len(w) - 1 : len(a)].to(a.dtype)


# %% alternative="convolutions" exercise="conv1d_gradients"
# both gradients as convolutions: one of a with g, one of g with the flipped kernel, full
def conv1d_gradients(grad, a, w):
    k = len(w)
    full = torch.nn.functional.pad(grad, (k - 1, k - 1))
    return a.unfold(0, len(grad), 1) @ grad, full.unfold(0, k, 1) @ w.flip(0)


# %% alternative="python_loops" exercise="conv1d_gradients"
# the sums, letter by letter
def conv1d_gradients(grad, a, w):
    dw = [sum(grad[i] * a[i + k] for i in range(len(grad))) for k in range(len(w))]
    da = []
    for m in range(len(a)):
        terms = [grad[m - j] * w[j] for j in range(len(w)) if 0 <= m - j < len(grad)]
        da.append(sum(terms))
    return torch.stack(dw), torch.stack(da)


# %% alternative="matrix" exercise="conv1d_gradients"
# the transpose of the layer's matrix; a list for a tuple
def conv1d_gradients(grad, a, w):
    places = torch.arange(len(grad), device=a.device)
    matrix = a.new_zeros(len(grad), len(a))
    for j in range(len(w)):
        matrix[places, places + j] = w[j]
    return [torch.einsum("i,ik->k", grad, a.unfold(0, len(w), 1)), matrix.T @ grad]


# %% alternative="every_loop" exercise="conv2d"
# a loop over places and kernels, and a sum over the window
def conv2d(x, w, b, stride=1, padding=0):
    N, _, H, W = x.shape
    kernels, _, K, M = w.shape
    padded = x.new_zeros(N, x.shape[1], H + 2 * padding, W + 2 * padding)
    padded[:, :, padding : padding + H, padding : padding + W] = x
    y = x.new_empty(N, kernels, (H + 2 * padding - K) // stride + 1, (W + 2 * padding - M) // stride + 1)
    for o in range(kernels):
        for i in range(y.shape[2]):
            for j in range(y.shape[3]):
                window = padded[:, :, i * stride : i * stride + K, j * stride : j * stride + M]
                y[:, o, i, j] = (window * w[o]).sum(dim=(1, 2, 3)) + b[o]
    return y


# %% alternative="patches" exercise="conv2d"
# a view of all windows and one einsum
def conv2d(x, w, b, stride=1, padding=0):
    padded = torch.nn.functional.pad(x, [padding] * 4)
    patches = padded.unfold(2, w.shape[2], stride).unfold(3, w.shape[3], stride)
    return torch.einsum("ncijkm,ockm->noij", patches, w) + b.view(1, -1, 1, 1)


# %% alternative="kernel_positions" exercise="conv2d"
# a loop over the kernel's positions, in place on the result, float64 inside
def conv2d(x, w, b, stride=1, padding=0):
    padded = torch.nn.functional.pad(x.double(), (padding, padding, padding, padding))
    rows = (padded.shape[2] - w.shape[2]) // stride + 1
    places = (padded.shape[3] - w.shape[3]) // stride + 1
    y = b.double()[None, :, None, None].repeat(len(x), 1, rows, places)
    for k in range(w.shape[2]):
        for m in range(w.shape[3]):
            seen = padded[:, :, k:, m:][:, :, ::stride, ::stride][:, :, :rows, :places]
            y += torch.einsum("ncij,oc->noij", seen, w[:, :, k, m].double())
    return y.to(x.dtype)


# %% alternative="patches" exercise="conv2d_gradients"
# einsum for the weights, a loop over the kernel's positions for the pictures
def conv2d_gradients(grad, x, w, stride=1, padding=0):
    (H, W), (K, M), (rows, places) = x.shape[2:], w.shape[2:], grad.shape[2:]
    padded = torch.nn.functional.pad(x, [padding] * 4)
    dw = torch.empty_like(w)
    d_padded = torch.zeros_like(padded)
    for k in range(K):
        for m in range(M):
            index = (..., slice(k, k + rows * stride, stride), slice(m, m + places * stride, stride))
            dw[:, :, k, m] = torch.einsum("noij,ncij->oc", grad, padded[index][:, :, :rows, :places])
            d_padded[index][:, :, :rows, :places] += torch.einsum("noij,oc->ncij", grad, w[:, :, k, m])
    return d_padded[:, :, padding : H + padding, padding : W + padding], dw, grad.flatten(2).sum(2).sum(0)


# %% alternative="full_convolution" exercise="conv2d_gradients"
# spread the gradient by the stride, pad it fully, and slide the flipped kernel over it
def conv2d_gradients(grad, x, w, stride=1, padding=0):
    (N, kernels, rows, places), (H, W), (K, M) = grad.shape, x.shape[2:], w.shape[2:]
    height, width = H + 2 * padding, W + 2 * padding
    spread = grad.new_zeros(N, kernels, height - K + 1, width - M + 1)
    spread[:, :, : (rows - 1) * stride + 1 : stride, : (places - 1) * stride + 1 : stride] = grad
    padded = torch.nn.functional.pad(x, [padding] * 4)
    dw = torch.einsum("noij,nckmij->ockm", spread, padded.unfold(2, spread.shape[2], 1).unfold(3, spread.shape[3], 1))
    full = torch.nn.functional.pad(spread, (M - 1, M - 1, K - 1, K - 1)).unfold(2, K, 1).unfold(3, M, 1)
    d_padded = torch.einsum("noijkm,ockm->ncij", full, w.flip(2, 3))
    return d_padded[:, :, padding : padding + H, padding : padding + W], dw, grad.sum((0, 2, 3))


# %% alternative="place_by_place" exercise="conv2d_gradients"
# picture by picture, kernel by kernel; only whole windows, cut at the end; float64 inside
def conv2d_gradients(grad, x, w, stride=1, padding=0):
    K, M = w.shape[2:]
    padded = torch.nn.functional.pad(x.double(), (padding, padding, padding, padding))
    d_padded, dw, db = torch.zeros_like(padded), w.double() * 0, grad.double().sum((2, 3)).sum(0)
    for o in range(len(w)):
        for i in range(grad.shape[2]):
            for j in range(grad.shape[3]):
                g = grad[:, o, i, j].double()[:, None, None, None]
                window = (..., slice(i * stride, i * stride + K), slice(j * stride, j * stride + M))
                dw[o] += (g * padded[window]).sum(0)
                d_padded[window] += g * w[o].double()
    if padding:
        d_padded = d_padded[:, :, padding:-padding, padding:-padding]
    return d_padded.to(x.dtype), dw.to(x.dtype), db.to(x.dtype)


# %% alternative="views" exercise="im2col"
# two views, one permutation
def im2col(x, kernel, stride=1, padding=0):
    padded = torch.nn.functional.pad(x, [padding] * 4)
    patches = padded.unfold(2, kernel[0], stride).unfold(3, kernel[1], stride)  # (N, C, H', W', K, M)
    return patches.permute(0, 1, 4, 5, 2, 3).flatten(4).flatten(1, 3)


# %% alternative="index" exercise="im2col"
# all rows and columns as indices, as in the lectures of CS231n
def im2col(x, kernel, stride=1, padding=0):
    (N, C, H, W), (K, M) = x.shape, kernel
    padded = x.new_zeros(N, C, H + 2 * padding, W + 2 * padding)
    padded[:, :, padding : padding + H, padding : padding + W] = x
    corner_i = torch.arange(0, H + 2 * padding - K + 1, stride, device=x.device)
    corner_j = torch.arange(0, W + 2 * padding - M + 1, stride, device=x.device)
    i = torch.arange(K, device=x.device)[:, None, None, None] + corner_i[:, None]  # (K, 1, H', 1)
    j = torch.arange(M, device=x.device)[:, None, None] + corner_j  # (M, 1, W')
    return padded[:, :, i, j].reshape(N, C * K * M, -1)


# %% alternative="preallocated" exercise="im2col"
# fills the matrix, position by position and channel by channel
def im2col(x, kernel, stride=1, padding=0):
    K, M = kernel
    x = torch.nn.functional.pad(x, (padding, padding, padding, padding))
    rows, places = (x.shape[2] - K) // stride + 1, (x.shape[3] - M) // stride + 1
    cols = torch.empty(len(x), x.shape[1] * K * M, rows * places, dtype=x.dtype, device=x.device)
    for c in range(x.shape[1]):
        for k in range(K):
            for m in range(M):
                seen = x[:, c, k : k + rows * stride : stride, m : m + places * stride : stride]
                cols[:, (c * K + k) * M + m] = seen[:, :rows, :places].flatten(1)
    return cols


# %% alternative="as_strided" exercise="im2col"
# the windows by strides in memory alone
def im2col(x, kernel, stride=1, padding=0):
    (N, C), (K, M) = x.shape[:2], kernel
    x = torch.nn.functional.pad(x, [padding] * 4).contiguous()
    rows, places = (x.shape[2] - K) // stride + 1, (x.shape[3] - M) // stride + 1
    n, c, h, w = x.stride()
    windows = x.as_strided((N, C, K, M, rows, places), (n, c, h, w, h * stride, w * stride))
    return windows.reshape(N, C * K * M, rows * places)


# %% alternative="index_add" exercise="col2im"
# every entry's pixel as an index, and one addition
def col2im(cols, size, kernel, stride=1, padding=0):
    (H, W), (K, M) = size, kernel
    height, width = H + 2 * padding, W + 2 * padding
    pixels = torch.arange(height * width, device=cols.device).reshape(height, width)
    pixels = pixels.unfold(0, K, stride).unfold(1, M, stride).permute(2, 3, 0, 1).flatten()  # (K·M·H'·W',)
    channels = cols.shape[1] // (K * M)
    x = cols.new_zeros(len(cols), channels, height * width)
    x.index_add_(2, pixels, cols.reshape(len(cols), channels, -1))
    return x.reshape(len(cols), channels, height, width)[:, :, padding : padding + H, padding : padding + W]


# %% alternative="shifted_sums" exercise="col2im"
# position by position: spread by the stride, shift by padding, add; a new tensor every time
def col2im(cols, size, kernel, stride=1, padding=0):
    (H, W), (K, M) = size, kernel
    height, width = H + 2 * padding, W + 2 * padding
    rows, places = (height - K) // stride + 1, (width - M) // stride + 1
    windows = cols.double().reshape(len(cols), -1, K, M, rows, places)
    total = 0
    for k in range(K):
        for m in range(M):
            layer = windows.new_zeros(len(cols), windows.shape[1], height, width)
            layer[:, :, k:, m:][:, :, ::stride, ::stride][:, :, :rows, :places] = windows[:, :, k, m]
            total = total + layer
    return total.to(cols.dtype)[:, :, padding : H + padding, padding : W + padding].contiguous()


# %% alternative="matrix" exercise="col2im"
# the transpose of im2col's own matrix, which views of an identity give
def col2im(cols, size, kernel, stride=1, padding=0):
    (H, W), (K, M) = size, kernel
    pixels = torch.eye(H * W, dtype=cols.dtype, device=cols.device).reshape(H * W, 1, H, W)
    padded = torch.nn.functional.pad(pixels, [padding] * 4).unfold(2, K, stride).unfold(3, M, stride)
    matrix = padded.permute(0, 4, 5, 1, 2, 3).reshape(H * W, -1)  # (H·W, K·M·H'·W')
    channels = cols.shape[1] // (K * M)
    return (cols.reshape(len(cols), channels, -1) @ matrix.T).reshape(len(cols), channels, H, W)


# %% alternative="own_patches" exercise="fast_conv2d"
# views in the place of columns, one matrix product over the whole batch
def fast_conv2d(x, w, b, stride=1, padding=0):
    x = torch.nn.functional.pad(x, [padding] * 4)
    patches = x.unfold(2, w.shape[2], stride).unfold(3, w.shape[3], stride)  # (N, C, H', W', K, M)
    rows = patches.permute(0, 2, 3, 1, 4, 5).flatten(3)  # (N, H', W', CKM)
    return (torch.nn.functional.linear(rows, w.flatten(1), b)).permute(0, 3, 1, 2).contiguous()


# %% alternative="einsum" exercise="fast_conv2d"
# the product by letters
def fast_conv2d(x, w, b, stride=1, padding=0):
    N, _, H, W = x.shape
    kernels, _, K, M = w.shape
    cols = columns(x, (K, M), stride=stride, padding=padding)
    y = torch.einsum("oq,nqp->nop", w.reshape(kernels, -1), cols)
    y = y.reshape(N, kernels, (H + 2 * padding - K) // stride + 1, (W + 2 * padding - M) // stride + 1)
    return y + b.reshape(1, kernels, 1, 1)


# %% alternative="batched_in_place" exercise="fast_conv2d"
# bmm with the kernels expanded, the bias added in place, float64 inside
def fast_conv2d(x, w, b, stride=1, padding=0):
    cols = columns(x.double(), tuple(w.shape[2:]), stride, padding)
    y = torch.bmm(w.double().flatten(1).expand(len(x), -1, -1), cols)
    y.add_(b.double()[:, None])
    places = (x.shape[3] + 2 * padding - w.shape[3]) // stride + 1
    return y.unflatten(2, (-1, places)).to(x.dtype)


# %% alternative="batched" exercise="fast_conv2d_gradients"
# products picture by picture in one call, summed afterwards
def fast_conv2d_gradients(grad, x, w, stride=1, padding=0):
    kernel, g = tuple(w.shape[2:]), grad.reshape(*grad.shape[:2], -1)
    cols = columns(x, kernel, stride, padding)
    dw = (g @ cols.transpose(1, 2)).sum(0).view_as(w)
    d_cols = torch.einsum("oq,nop->nqp", w.reshape(len(w), -1), g)
    return uncolumns(d_cols, tuple(x.shape[2:]), kernel, stride, padding), dw, g.sum(2).sum(0)


# %% alternative="own_patches" exercise="fast_conv2d_gradients"
# views, and a loop over the kernel's positions
def fast_conv2d_gradients(grad, x, w, stride=1, padding=0):
    (rows, places), (H, W) = grad.shape[2:], x.shape[2:]
    padded = torch.nn.functional.pad(x, [padding] * 4)
    patches = padded.unfold(2, w.shape[2], stride).unfold(3, w.shape[3], stride)
    dw = torch.einsum("noij,ncijkm->ockm", grad, patches)
    d_padded = torch.zeros_like(padded)
    for k in range(w.shape[2]):
        for m in range(w.shape[3]):
            seen = d_padded[:, :, k:, m:][:, :, ::stride, ::stride][:, :, :rows, :places]
            seen += torch.einsum("noij,oc->ncij", grad, w[:, :, k, m])
    return [d_padded[:, :, padding : padding + H, padding : padding + W], dw, grad.sum((0, 2, 3))]


# %% alternative="float64_inside" exercise="fast_conv2d_gradients"
# tensordot, computed wide
def fast_conv2d_gradients(grad, x, w, stride=1, padding=0):
    g = grad.double().flatten(2)
    cols = columns(x.double(), w.shape[2:], stride, padding)
    dw = torch.tensordot(g, cols, dims=([0, 2], [0, 2])).reshape(w.shape)
    dx = uncolumns(w.double().flatten(1).mT @ g, x.shape[2:], w.shape[2:], stride, padding)
    return dx.to(x.dtype), dw.to(w.dtype), g.sum((0, 2)).to(w.dtype)


# %% alternative="place_by_place" exercise="max_pool"
# two loops, argmax of every window
def max_pool(x, size, stride):
    N, C, H, W = x.shape
    rows, places = (H - size) // stride + 1, (W - size) // stride + 1
    best = torch.empty(N, C, rows, places, dtype=x.dtype, device=x.device)
    switches = torch.empty(N, C, rows, places, dtype=torch.int64, device=x.device)
    for i in range(rows):
        for j in range(places):
            window = x[:, :, i * stride : i * stride + size, j * stride : j * stride + size].flatten(2)
            winner = window.argmax(2)
            best[:, :, i, j] = window.gather(2, winner[:, :, None])[:, :, 0]
            switches[:, :, i, j] = (i * stride + winner // size) * W + j * stride + winner % size
    return best, switches


# %% alternative="running_maximum" exercise="max_pool"
# position by position: a later pixel must be larger to win
def max_pool(x, size, stride):
    H, W = x.shape[2:]
    rows, places = (H - size) // stride + 1, (W - size) // stride + 1
    numbers = torch.arange(H * W, device=x.device).reshape(H, W).expand_as(x)

    def seen(v, k, m):
        return v[:, :, k : k + stride * (rows - 1) + 1 : stride, m : m + stride * (places - 1) + 1 : stride]

    best, switches = seen(x, 0, 0).clone(), seen(numbers, 0, 0).clone()
    for k in range(size):
        for m in range(size):
            larger = seen(x, k, m) > best
            best = torch.where(larger, seen(x, k, m), best)
            switches = torch.where(larger, seen(numbers, k, m), switches)
    return best, switches


# %% alternative="indices_beside_values" exercise="max_pool"
# unfolds a picture of indices as well, and picks from both
def max_pool(x, size, stride):
    H, W = x.shape[2:]
    index = torch.arange(H * W, device=x.device).reshape(1, 1, H, W)
    windows = x.unfold(2, size, stride).unfold(3, size, stride).flatten(4)
    places = index.unfold(2, size, stride).unfold(3, size, stride).flatten(4).expand(windows.shape)
    winner = windows.argmax(4, keepdim=True)
    return [windows.gather(4, winner).squeeze(4), places.gather(4, winner).squeeze(4)]


# %% alternative="loop_over_windows" exercise="max_pool_gradient"
# one plane and one window after the other
def max_pool_gradient(grad, switches, height, width):
    dx = torch.zeros(*grad.shape[:2], height, width, dtype=grad.dtype, device=grad.device)
    for n in range(grad.shape[0]):
        for c in range(grad.shape[1]):
            for g, switch in zip(grad[n, c].flatten(), switches[n, c].flatten().tolist(), strict=True):
                dx[n, c, switch // width, switch % width] += g
    return dx


# %% alternative="accumulating_put" exercise="max_pool_gradient"
# one long vector, with an offset for every plane
def max_pool_gradient(grad, switches, height, width):
    N, C = grad.shape[:2]
    plane = torch.arange(N * C, device=grad.device).reshape(N, C, 1, 1) * (height * width)
    dx = grad.new_zeros(N * C * height * width)
    dx.index_put_(((switches + plane).flatten(),), grad.flatten(), accumulate=True)
    return dx.view(N, C, height, width)


# %% alternative="one_hot" exercise="max_pool_gradient"
# a matrix that says who won what
def max_pool_gradient(grad, switches, height, width):
    won = torch.nn.functional.one_hot(switches.flatten(2), height * width).to(grad.dtype)  # (N, C, H'·W', H·W)
    return torch.einsum("ncp,ncpq->ncq", grad.flatten(2), won).unflatten(2, (height, width))


# %% alternative="kernel_positions" exercise="average_pool"
# loops over positions in the window only
def average_pool(x, size, stride):
    rows, places = (x.shape[2] - size) // stride + 1, (x.shape[3] - size) // stride + 1
    total = x.new_zeros(*x.shape[:2], rows, places)
    for k in range(size):
        for m in range(size):
            total += x[:, :, k:, m:][:, :, ::stride, ::stride][:, :, :rows, :places]
    return total / (size * size)


def average_pool_gradient(grad, height, width, size, stride):
    rows, places = grad.shape[2:]
    dx = torch.zeros(*grad.shape[:2], height, width, dtype=grad.dtype, device=grad.device)
    for k in range(size):
        for m in range(size):
            dx[:, :, k:, m:][:, :, ::stride, ::stride][:, :, :rows, :places] += grad / size / size
    return dx


def global_average_pool(x):
    return x.flatten(2).mean(-1)


def global_average_pool_gradient(grad, height, width):
    return grad.div(height * width).view(*grad.shape, 1, 1).expand(*grad.shape, height, width)


# %% alternative="matrices" exercise="average_pool"
# a matrix from the left for rows, one from the right for columns, and their transposes; float64 inside
def average_pool(x, size, stride):
    left, right = (_means(n, size, stride, x.device) for n in x.shape[2:])
    return (left @ x.double() @ right.T).to(x.dtype)


def _means(n, size, stride, device):
    eye = torch.eye(n, dtype=torch.float64, device=device)
    return eye.unfold(0, size, stride).mean(2)  # (places, n)


def average_pool_gradient(grad, height, width, size, stride):
    left, right = (_means(n, size, stride, grad.device) for n in (height, width))
    return (left.T @ grad.double() @ right).to(grad.dtype)


def global_average_pool(x):
    return torch.einsum("ncij->nc", x) / (x.shape[2] * x.shape[3])


def global_average_pool_gradient(grad, height, width):
    return torch.ones(height, width, dtype=grad.dtype, device=grad.device) * grad[..., None, None] / height / width


# %% alternative="flat" exercise="gradient_error"
# works on a flat copy, in place, and puts every entry back
def gradient_error(forward, backward, x, grad, step=1e-6):
    flat, g = x.double().flatten().clone(), grad.double()
    claimed = backward(g, x.double()).flatten()
    measured = torch.empty_like(flat)
    for m in range(len(flat)):
        kept = flat[m].clone()
        losses = []
        for h in (step, -step):
            flat[m] = kept + h
            losses.append((forward(flat.reshape(x.shape)) * g).sum())
        flat[m] = kept
        measured[m] = (losses[0] - losses[1]) / (2 * step)
    larger = float(torch.maximum(claimed.norm(), measured.norm()))
    return float((claimed - measured).norm()) / larger if larger else 0.0


# %% alternative="unit_vectors" exercise="gradient_error"
# the rows of an identity as nudges
def gradient_error(forward, backward, x, grad, step=1e-6):
    x, grad = x.to(torch.float64), grad.to(torch.float64)

    def loss(v):
        return float((grad * forward(v)).sum())

    nudges = torch.eye(x.numel(), dtype=torch.float64, device=x.device).mul(step).unflatten(1, x.shape)
    measured = torch.tensor([(loss(x + e) - loss(x - e)) / (2 * step) for e in nudges], dtype=torch.float64)
    claimed = backward(grad, x).flatten().cpu()
    largest = max(float(claimed.norm()), float(measured.norm()))
    return 0.0 if largest == 0 else float(torch.dist(claimed, measured)) / largest


# %% alternative="by_index" exercise="equivariance"
# shifts by indices modulo the size
def equivariance_error(layer, x, shift, stride=1):
    down, rest_down = divmod(shift[0], stride)
    right, rest_right = divmod(shift[1], stride)
    if rest_down or rest_right:
        raise ValueError("not a whole number of outputs")

    def moved(v, d, r):
        i = (torch.arange(v.shape[2], device=v.device) - d) % v.shape[2]
        j = (torch.arange(v.shape[3], device=v.device) - r) % v.shape[3]
        return v[:, :, i][:, :, :, j]

    return float(torch.max(torch.abs(layer(moved(x, *shift)) - moved(layer(x), down, right))))


def changed_share(layer, x, shift):
    before, after = layer(x), layer(x.roll(shift, (2, 3)))
    changed = int(((after - before).abs() > 1e-6).sum())
    return changed / before.numel()


# %% alternative="one_axis_after_the_other" exercise="equivariance"
# two rolls, an exception from a comparison, Python's own mean
def equivariance_error(layer, x, shift, stride=1):
    outputs = [pixels / stride for pixels in shift]
    if any(o != int(o) for o in outputs):
        raise ValueError(f"shift {shift}, stride {stride}")
    there = layer(x.roll(shift[0], 2).roll(shift[1], 3))
    back = there.roll(-int(outputs[0]), 2).roll(-int(outputs[1]), 3)
    return (back - layer(x)).abs().amax().item()


def changed_share(layer, x, shift):
    change = (layer(x.roll(shift[0], 2).roll(shift[1], 3)) - layer(x)).abs().flatten().tolist()
    return sum(c > 1e-6 for c in change) / len(change)


# %% alternative="layer_by_layer" exercise="digit_network"
# the cross-entropy by hand, masks kept from the forward pass, lists and loops
def network_gradients(layers, weights, x, t):
    inputs, masks, switches = [x], [], []
    for w, b in (weights[0:2], weights[2:4]):
        net = layers["conv"](inputs[-1], w, b, stride=1, padding=1)
        masks.append((net > 0).to(x.dtype))
        pooled, where = layers["max_pool"](net * masks[-1], 2, 2)
        inputs.append(pooled)
        switches.append(where)
    h = inputs.pop()
    z = torch.nn.functional.linear(h.flatten(1), weights[4], weights[5])
    logs = z - torch.logsumexp(z, dim=1, keepdim=True)
    rows = torch.arange(len(x), device=x.device)
    loss = -logs[rows, t].mean()
    dz = logs.exp()
    dz[rows, t] -= 1
    dz /= len(x)
    gradients = [torch.einsum("nc,nq->cq", dz, h.flatten(1)), dz.sum(0)]
    down = dz.matmul(weights[4]).view_as(h)
    for layer in (1, 0):
        mask = masks[layer]
        dnet = layers["max_pool_gradient"](down, switches[layer], mask.shape[2], mask.shape[3]) * mask
        down, dw, db = layers["conv_gradients"](dnet, inputs[layer], weights[2 * layer], 1, 1)
        gradients = [dw, db, *gradients]
    return loss, gradients


def train_network(layers, weights, x, t, rate, batch_size, epochs, generator):
    weights = [w.clone() for w in weights]
    deltas = [0 * w for w in weights]
    batches = []
    for _ in range(epochs):
        order = torch.randperm(len(x), generator=generator)
        batches += [order[k : k + batch_size] for k in range(0, len(x), batch_size)]
    for step, batch in enumerate(batches):
        gradients = network_gradients(layers, weights, x[batch.to(x.device)], t[batch.to(x.device)])[1]
        for w, delta, gradient in zip(weights, deltas, gradients, strict=True):
            delta.mul_(0.9).sub_(gradient, alpha=rate * (len(batches) - step) / len(batches))
            w.add_(delta)
    return weights


# %% alternative="sorted_keys" exercise="digit_network"
# batches by sorting random keys; the gradient of the loss from one-hot targets; tuples
def network_gradients(layers, weights, x, t):
    w1, b1, w2, b2, w3, b3 = weights
    a1 = layers["conv"](x, w1, b1, 1, 1).clamp(min=0)
    p1, s1 = layers["max_pool"](a1, 2, 2)
    a2 = layers["conv"](p1, w2, b2, 1, 1).clamp(min=0)
    p2, s2 = layers["max_pool"](a2, 2, 2)
    h = p2.reshape(len(x), -1)
    p = torch.softmax(torch.addmm(b3, h, w3.T), dim=1)
    target = torch.zeros_like(p).scatter_(1, t[:, None], 1.0)
    loss = -(target * p.log()).sum() / len(x)
    dz = (p - target) / len(x)
    d2 = layers["max_pool_gradient"]((dz @ w3).reshape(p2.shape), s2, a2.shape[2], a2.shape[3])
    d2 = torch.where(a2 > 0, d2, 0.0)
    d1, dw2, db2 = layers["conv_gradients"](d2, p1, w2, 1, 1)
    d1 = torch.where(a1 > 0, layers["max_pool_gradient"](d1, s1, a1.shape[2], a1.shape[3]), 0.0)
    _, dw1, db1 = layers["conv_gradients"](d1, x, w1, 1, 1)
    return loss, (dw1, db1, dw2, db2, dz.T @ h, dz.sum(dim=0))


def train_network(layers, weights, x, t, rate, batch_size, epochs, generator):
    n = len(x)
    steps = epochs * ((n + batch_size - 1) // batch_size)
    deltas, done = [torch.zeros_like(w) for w in weights], 0
    for keys in torch.rand(epochs, n, generator=generator):
        for batch in keys.argsort().split(batch_size):
            now = rate - rate * done / steps
            _, gradients = network_gradients(layers, weights, x[batch], t[batch])
            deltas = [0.9 * d - now * g for d, g in zip(deltas, gradients, strict=True)]
            weights = [w + d for w, d in zip(weights, deltas, strict=True)]
            done += 1
    return tuple(weights)
