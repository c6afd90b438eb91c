# Errors students really make in `cnn_backprop`, each with the tests that must fail and a word of its hint.


# %% mistake="no_plus_one" exercise="output_size" fails="output_size" hint="+ 1"
# counts steps, not places
def output_size(size, kernel, stride=1, padding=0, exact=True):
    room = size + 2 * padding - kernel
    if room < 0 or (exact and room % stride):
        raise ValueError(f"does not tile, {room % stride} left over")
    return room // stride


# %% mistake="padding_once" exercise="output_size" fails="output_size" hint="both sides"
# padding on one side only
def output_size(size, kernel, stride=1, padding=0, exact=True):
    room = size + padding - kernel
    if room < 0 or (exact and room % stride):
        raise ValueError(f"does not tile, {room % stride} left over")
    return room // stride + 1


# %% mistake="one_added_before_division" exercise="output_size" fails="output_size" hint="Divide first"
# the + 1 inside of the fraction
def output_size(size, kernel, stride=1, padding=0, exact=True):
    room = size + 2 * padding - kernel
    if room < 0 or (exact and room % stride):
        raise ValueError(f"does not tile, {room % stride} left over")
    return (room + 1) // stride


# %% mistake="float_size" exercise="output_size" fails="output_size" hint="//"
# a size of 28.0 pixels
def output_size(size, kernel, stride=1, padding=0, exact=True):
    room = size + 2 * padding - kernel
    if room < 0 or (exact and room % stride):
        raise ValueError(f"does not tile, {room % stride} left over")
    return room / stride + 1


# %% mistake="never_complains" exercise="output_size" fails="output_size" hint="does not tile"
# rounds down and says nothing, as libraries do
def output_size(size, kernel, stride=1, padding=0, exact=True):
    return (size + 2 * padding - kernel) // stride + 1


# %% mistake="says_nothing_about_how_many" exercise="output_size" fails="output_size" hint="how many pixels"
# an error nobody can act upon
def output_size(size, kernel, stride=1, padding=0, exact=True):
    room = size + 2 * padding - kernel
    if room < 0 or (exact and room % stride):
        raise ValueError("does not tile")
    return room // stride + 1


# %% mistake="prints_instead_of_raising" exercise="output_size" fails="output_size" hint="raise ValueError"
# a warning that nobody reads
def output_size(size, kernel, stride=1, padding=0, exact=True):
    room = size + 2 * padding - kernel
    if exact and room % stride:
        print(f"does not tile: {room % stride} left over")
    return room // stride + 1


# %% mistake="exact_ignored" exercise="output_size" fails="output_size" hint="does not tile"
# complains also when it was told not to mind
def output_size(size, kernel, stride=1, padding=0, exact=True):
    room = size + 2 * padding - kernel
    if room < 0 or room % stride:
        raise ValueError(f"does not tile: {room % stride} left over")
    return room // stride + 1


# %% mistake="rounds_up" exercise="output_size" fails="output_size" hint="round down"
# ceil mode
def output_size(size, kernel, stride=1, padding=0, exact=True):
    room = size + 2 * padding - kernel
    if room < 0 or (exact and room % stride):
        raise ValueError(f"does not tile, {room % stride} left over")
    return -(-room // stride) + 1


# %% mistake="too_large_is_no_error" exercise="output_size" fails="output_size" hint="fits nowhere"
# a kernel larger than the row gives 0 or −2 places when it need not be exact
def output_size(size, kernel, stride=1, padding=0, exact=True):
    room = size + 2 * padding - kernel
    if exact and (room < 0 or room % stride):
        raise ValueError(f"does not tile, {room % stride} left over")
    return room // stride + 1


# %% mistake="just_fits_is_an_error" exercise="output_size" fails="output_size" hint="no error"
# <= for <
def output_size(size, kernel, stride=1, padding=0, exact=True):
    room = size + 2 * padding - kernel
    if room <= 0 or (exact and room % stride):
        raise ValueError(f"does not tile, {room % stride} left over")
    return room // stride + 1


# %% mistake="fit_without_padding" exercise="output_size" fails="output_size" hint="padded row"
# compares the kernel with the row without its zeros
def output_size(size, kernel, stride=1, padding=0, exact=True):
    room = size + 2 * padding - kernel
    if size < kernel or (exact and room % stride):
        raise ValueError(f"does not tile, {room % stride} left over")
    return room // stride + 1


# %% mistake="flipped" exercise="conv1d" fails="conv1d" hint="flipped"
# the convolution of the mathematicians
def conv1d(a, w):
    return a.unfold(0, len(w), 1) @ w.flip(0)


# %% mistake="library" exercise="conv1d" fails="conv1d" hint="yourself"
# torch has that already
def conv1d(a, w):
    return torch.nn.functional.conv1d(a[None, None], w[None, None])[0, 0]


# %% mistake="one_place_short" exercise="conv1d" fails="conv1d" hint="n − k + 1"
# range(n − k)
def conv1d(a, w):
    return torch.stack([(w * a[i : i + len(w)]).sum() for i in range(len(a) - len(w))])


# %% mistake="as_long_as_the_input" exercise="conv1d" fails="conv1d" hint="n − k + 1"
# pads with zeros, though nobody asked
def conv1d(a, w):
    padded = torch.cat([a, a.new_zeros(len(w) - 1)])
    return padded.unfold(0, len(w), 1) @ w


# %% mistake="stride_of_the_kernel" exercise="conv1d" fails="conv1d" hint="n − k + 1"
# windows side by side
def conv1d(a, w):
    return a.unfold(0, len(w), len(w)) @ w


# %% mistake="mean_not_sum" exercise="conv1d" fails="conv1d" hint="adds w[j]"
# a moving average
def conv1d(a, w):
    return (a.unfold(0, len(w), 1) * w).mean(1)


# %% mistake="no_sum" exercise="conv1d" fails="conv1d" hint="n − k + 1"
# keeps the products apart
def conv1d(a, w):
    return a.unfold(0, len(w), 1) * w


# %% mistake="float32_always" exercise="conv1d" fails="conv1d" hint="dtype"
# torch.zeros without a dtype
def conv1d(a, w):
    net = torch.zeros(len(a) - len(w) + 1, device=a.device)
    for i in range(len(net)):
        net[i] = (w * a[i : i + len(w)]).sum()
    return net


# %% mistake="list_of_numbers" exercise="conv1d" fails="conv1d" hint="n − k + 1"
# a list is no tensor
def conv1d(a, w):
    return [(w * a[i : i + len(w)]).sum().item() for i in range(len(a) - len(w) + 1)]


# %% mistake="weights_flipped" exercise="conv1d_gradients" fails="conv1d_gradients" hint="flipped"
# flips ∂L/∂w, since something had to be flipped
def conv1d_gradients(grad, a, w):
    dw = a.unfold(0, len(grad), 1) @ grad
    da = torch.zeros_like(a)
    for i in range(len(grad)):
        da[i : i + len(w)] += grad[i] * w
    return dw.flip(0), da


# %% mistake="mean_over_places" exercise="conv1d_gradients" fails="conv1d_gradients" hint="sum, not a mean"
# divides by the number of places
def conv1d_gradients(grad, a, w):
    dw = a.unfold(0, len(grad), 1) @ grad / len(grad)
    da = torch.zeros_like(a)
    for i in range(len(grad)):
        da[i : i + len(w)] += grad[i] * w
    return dw, da


# %% mistake="overwritten_weights" exercise="conv1d_gradients" fails="conv1d_gradients" hint="+="
# = where += is needed: only the last place counts
def conv1d_gradients(grad, a, w):
    dw, da = torch.zeros_like(w), torch.zeros_like(a)
    for i in range(len(grad)):
        dw = grad[i] * a[i : i + len(w)]
        da[i : i + len(w)] += grad[i] * w
    return dw, da


# %% mistake="other_order" exercise="conv1d_gradients" fails="conv1d_gradients" hint="weights come first"
# returns the inputs' gradient first
def conv1d_gradients(grad, a, w):
    dw = a.unfold(0, len(grad), 1) @ grad
    da = torch.zeros_like(a)
    for i in range(len(grad)):
        da[i : i + len(w)] += grad[i] * w
    return da, dw


# %% mistake="only_the_weights" exercise="conv1d_gradients" fails="conv1d_gradients" hint="return dw, da"
# forgets that there are two
def conv1d_gradients(grad, a, w):
    return a.unfold(0, len(grad), 1) @ grad


# %% mistake="autograd" exercise="conv1d_gradients" fails="conv1d_gradients" hint="two sums yourself"
# right, but nothing was learnt
def conv1d_gradients(grad, a, w):
    leaves = [v.clone().requires_grad_() for v in (w, a)]
    with torch.enable_grad():
        net = leaves[1].unfold(0, len(w), 1) @ leaves[0]
    return torch.autograd.grad(net, leaves, grad)


# %% mistake="inputs_not_flipped" exercise="conv1d_gradients" fails="conv1d_gradients:input" hint="flipped once"
# slides the kernel over the padded gradient, as in the forward pass
def conv1d_gradients(grad, a, w):
    dw = a.unfold(0, len(grad), 1) @ grad
    padded = torch.nn.functional.pad(grad, (len(w) - 1, len(w) - 1))
    return dw, padded.unfold(0, len(w), 1) @ w


# %% mistake="valid_not_full" exercise="conv1d_gradients" fails="conv1d_gradients:input" hint="full convolution"
# forgets the zeros at both ends
def conv1d_gradients(grad, a, w):
    dw = a.unfold(0, len(grad), 1) @ grad
    return dw, grad.unfold(0, len(w), 1) @ w.flip(0)


# %% mistake="overwritten_inputs" exercise="conv1d_gradients" fails="conv1d_gradients:input" hint="these add"
# = where += is needed
def conv1d_gradients(grad, a, w):
    dw, da = a.unfold(0, len(grad), 1) @ grad, torch.zeros_like(a)
    for i in range(len(grad)):
        da[i : i + len(w)] = grad[i] * w
    return dw, da


# %% mistake="round_the_end" exercise="conv1d_gradients" fails="conv1d_gradients:input" hint="round the end"
# an index m − j below 0 means the end in Python
def conv1d_gradients(grad, a, w):
    dw = a.unfold(0, len(grad), 1) @ grad
    da = torch.zeros_like(a)
    for m in range(len(a)):
        for j in range(len(w)):
            if m - j < len(grad):
                da[m] += grad[m - j] * w[j]
    return dw, da


# %% mistake="library" exercise="conv2d" fails="conv2d" hint="Two loops"
# torch has that already
def conv2d(x, w, b, stride=1, padding=0):
    return torch.nn.functional.conv2d(x, w, b, stride=stride, padding=padding)


# %% mistake="library_by_another_name" exercise="conv2d" fails="conv2d" hint="loops"
# the same through an import of one's own
def conv2d(x, w, b, stride=1, padding=0):
    import torch.nn.functional as F

    return F.conv2d(x, w, b, stride, padding)


# %% mistake="flipped" exercise="conv2d" fails="conv2d" hint="flipped"
# the convolution of the mathematicians
def conv2d(x, w, b, stride=1, padding=0):
    x, w = torch.nn.functional.pad(x, (padding,) * 4), w.flip(2, 3)
    patches = x.unfold(2, w.shape[2], stride).unfold(3, w.shape[3], stride)
    return torch.einsum("nchwkm,ockm->nohw", patches, w) + b[:, None, None]


# %% mistake="kernel_transposed" exercise="conv2d" fails="conv2d" hint="Rows and columns of the kernel"
# takes the first axis of the kernel for x
def conv2d(x, w, b, stride=1, padding=0):
    x, w = torch.nn.functional.pad(x, (padding,) * 4), w.mT
    patches = x.unfold(2, w.shape[2], stride).unfold(3, w.shape[3], stride)
    return torch.einsum("nchwkm,ockm->nohw", patches, w) + b[:, None, None]


# %% mistake="bias_forgotten" exercise="conv2d" fails="conv2d" hint="bias"
# no bias
def conv2d(x, w, b, stride=1, padding=0):
    x = torch.nn.functional.pad(x, (padding,) * 4)
    patches = x.unfold(2, w.shape[2], stride).unfold(3, w.shape[3], stride)
    return torch.einsum("nchwkm,ockm->nohw", patches, w)


# %% mistake="bias_at_every_weight" exercise="conv2d" fails="conv2d" hint="once"
# adds the bias inside of the sum
def conv2d(x, w, b, stride=1, padding=0):
    x = torch.nn.functional.pad(x, (padding,) * 4)
    patches = x.unfold(2, w.shape[2], stride).unfold(3, w.shape[3], stride)
    return torch.einsum("nchwkm,ockm->nohw", patches, w) + b[:, None, None] * w[0].numel()


# %% mistake="bias_along_columns" exercise="conv2d" fails="conv2d" hint="its bias"
# lets broadcasting put the bias on the last axis
def conv2d(x, w, b, stride=1, padding=0):
    x = torch.nn.functional.pad(x, (padding,) * 4)
    patches = x.unfold(2, w.shape[2], stride).unfold(3, w.shape[3], stride)
    y = torch.einsum("nchwkm,ockm->nohw", patches, w)
    return y + b.repeat(y.shape[3])[: y.shape[3]]


# %% mistake="stride_of_size_only" exercise="conv2d" fails="conv2d" hint="corner at (2·i, 2·j)"
# the result has the right size, the windows are those of stride 1
def conv2d(x, w, b, stride=1, padding=0):
    K, M = w.shape[2:]
    x = torch.nn.functional.pad(x, (padding,) * 4)
    y = x.new_zeros(len(x), len(w), (x.shape[2] - K) // stride + 1, (x.shape[3] - M) // stride + 1)
    for i in range(y.shape[2]):
        for j in range(y.shape[3]):
            y[:, :, i, j] = torch.einsum("nckm,ockm->no", x[:, :, i : i + K, j : j + M], w) + b
    return y


# %% mistake="stride_ignored" exercise="conv2d" fails="conv2d" hint="stride 2"
# always stride 1
def conv2d(x, w, b, stride=1, padding=0):
    x = torch.nn.functional.pad(x, (padding,) * 4)
    patches = x.unfold(2, w.shape[2], 1).unfold(3, w.shape[3], 1)
    return torch.einsum("nchwkm,ockm->nohw", patches, w) + b[:, None, None]


# %% mistake="padding_ignored" exercise="conv2d" fails="conv2d" hint="four sides"
# never pads
def conv2d(x, w, b, stride=1, padding=0):
    patches = x.unfold(2, w.shape[2], stride).unfold(3, w.shape[3], stride)
    return torch.einsum("nchwkm,ockm->nohw", patches, w) + b[:, None, None]


# %% mistake="padding_at_two_sides" exercise="conv2d" fails="conv2d" hint="four sides"
# pads left and right, not above and below
def conv2d(x, w, b, stride=1, padding=0):
    x = torch.nn.functional.pad(x, (padding, padding))
    patches = x.unfold(2, w.shape[2], stride).unfold(3, w.shape[3], stride)
    return torch.einsum("nchwkm,ockm->nohw", patches, w) + b[:, None, None]


# %% mistake="padding_with_the_edge" exercise="conv2d" fails="conv2d" hint="Zeros on all four sides"
# repeats the border in place of zeros
def conv2d(x, w, b, stride=1, padding=0):
    x = torch.nn.functional.pad(x, (padding,) * 4, mode="replicate")
    patches = x.unfold(2, w.shape[2], stride).unfold(3, w.shape[3], stride)
    return torch.einsum("nchwkm,ockm->nohw", patches, w) + b[:, None, None]


# %% mistake="first_channel_only" exercise="conv2d" fails="conv2d" hint="all channels"
# forgets the sum over channels
def conv2d(x, w, b, stride=1, padding=0):
    x = torch.nn.functional.pad(x, (padding,) * 4)
    patches = x[:, 0].unfold(1, w.shape[2], stride).unfold(2, w.shape[3], stride)
    return torch.einsum("nhwkm,okm->nohw", patches, w[:, 0]) + b[:, None, None]


# %% mistake="mean_over_channels" exercise="conv2d" fails="conv2d" hint="not a mean"
# averages over the channels
def conv2d(x, w, b, stride=1, padding=0):
    x = torch.nn.functional.pad(x, (padding,) * 4)
    patches = x.unfold(2, w.shape[2], stride).unfold(3, w.shape[3], stride)
    return torch.einsum("nchwkm,ockm->nohw", patches, w) / x.shape[1] + b[:, None, None]


# %% mistake="first_picture_only" exercise="conv2d" fails="conv2d" hint="every picture"
# computes the first picture and repeats it
def conv2d(x, w, b, stride=1, padding=0):
    n, x = len(x), torch.nn.functional.pad(x[:1], (padding,) * 4)
    patches = x.unfold(2, w.shape[2], stride).unfold(3, w.shape[3], stride)
    return (torch.einsum("nchwkm,ockm->nohw", patches, w) + b[:, None, None]).repeat(n, 1, 1, 1)


# %% mistake="square_pictures" exercise="conv2d" fails="conv2d" hint="H and W differ"
# one size for both directions
def conv2d(x, w, b, stride=1, padding=0):
    K, M = w.shape[2:]
    x = torch.nn.functional.pad(x, (padding,) * 4)
    places = (min(x.shape[2:]) - max(K, M)) // stride + 1
    y = x.new_zeros(len(x), len(w), places, places)
    for i in range(places):
        for j in range(places):
            window = x[:, :, i * stride : i * stride + K, j * stride : j * stride + M]
            y[:, :, i, j] = torch.einsum("nckm,ockm->no", window, w) + b
    return y


# %% mistake="square_kernels" exercise="conv2d" fails="conv2d" hint="3 rows and 2 columns"
# counts the columns with the kernel's rows
def conv2d(x, w, b, stride=1, padding=0):
    K, M = w.shape[2:]
    x = torch.nn.functional.pad(x, (padding,) * 4)
    rows, columns = (x.shape[2] - K) // stride + 1, (x.shape[3] - K) // stride + 1
    y = x.new_zeros(len(x), len(w), rows, columns)
    for i in range(rows):
        for j in range(columns):
            window = x[:, :, i * stride : i * stride + K, j * stride : j * stride + M]
            y[:, :, i, j] = torch.einsum("nckm,ockm->no", window, w) + b
    return y


# %% mistake="float32_always" exercise="conv2d" fails="conv2d" hint="dtype"
# torch.zeros without a dtype
def conv2d(x, w, b, stride=1, padding=0):
    K, M = w.shape[2:]
    x = torch.nn.functional.pad(x, (padding,) * 4)
    y = torch.zeros(len(x), len(w), (x.shape[2] - K) // stride + 1, (x.shape[3] - M) // stride + 1, device=x.device)
    for i in range(y.shape[2]):
        for j in range(y.shape[3]):
            window = x[:, :, i * stride : i * stride + K, j * stride : j * stride + M]
            y[:, :, i, j] = torch.einsum("nckm,ockm->no", window, w) + b
    return y


# %% mistake="bias_of_each_picture" exercise="conv2d_gradients" fails="conv2d_gradients" hint="of the batch"
# sums over rows and columns only
def conv2d_gradients(grad, x, w, stride=1, padding=0):
    K, M = w.shape[2:]
    padded = torch.nn.functional.pad(x, (padding,) * 4)
    d_padded, dw = torch.zeros_like(padded), torch.zeros_like(w)
    for i in range(grad.shape[2]):
        for j in range(grad.shape[3]):
            rows, columns = slice(i * stride, i * stride + K), slice(j * stride, j * stride + M)
            dw += torch.einsum("no,nckm->ockm", grad[:, :, i, j], padded[:, :, rows, columns])
            d_padded[:, :, rows, columns] += torch.einsum("no,ockm->nckm", grad[:, :, i, j], w)
    dx = d_padded[:, :, padding : padding + x.shape[2], padding : padding + x.shape[3]]
    return dx, dw, grad.sum(dim=(2, 3))


# %% mistake="bias_mean" exercise="conv2d_gradients" fails="conv2d_gradients" hint="not a mean"
# a mean over the batch
def conv2d_gradients(grad, x, w, stride=1, padding=0):
    K, M = w.shape[2:]
    padded = torch.nn.functional.pad(x, (padding,) * 4)
    d_padded, dw = torch.zeros_like(padded), torch.zeros_like(w)
    for i in range(grad.shape[2]):
        for j in range(grad.shape[3]):
            rows, columns = slice(i * stride, i * stride + K), slice(j * stride, j * stride + M)
            dw += torch.einsum("no,nckm->ockm", grad[:, :, i, j], padded[:, :, rows, columns])
            d_padded[:, :, rows, columns] += torch.einsum("no,ockm->nckm", grad[:, :, i, j], w)
    dx = d_padded[:, :, padding : padding + x.shape[2], padding : padding + x.shape[3]]
    return dx, dw, grad.mean(0).sum(dim=(1, 2))


# %% mistake="one_bias_for_all" exercise="conv2d_gradients" fails="conv2d_gradients" hint="each kernel"
# sums over the kernels as well
def conv2d_gradients(grad, x, w, stride=1, padding=0):
    K, M = w.shape[2:]
    padded = torch.nn.functional.pad(x, (padding,) * 4)
    d_padded, dw = torch.zeros_like(padded), torch.zeros_like(w)
    for i in range(grad.shape[2]):
        for j in range(grad.shape[3]):
            rows, columns = slice(i * stride, i * stride + K), slice(j * stride, j * stride + M)
            dw += torch.einsum("no,nckm->ockm", grad[:, :, i, j], padded[:, :, rows, columns])
            d_padded[:, :, rows, columns] += torch.einsum("no,ockm->nckm", grad[:, :, i, j], w)
    dx = d_padded[:, :, padding : padding + x.shape[2], padding : padding + x.shape[3]]
    return dx, dw, grad.sum()


# %% mistake="no_bias" exercise="conv2d_gradients" fails="conv2d_gradients" hint="dx, dw, db"
# forgets the bias altogether
def conv2d_gradients(grad, x, w, stride=1, padding=0):
    K, M = w.shape[2:]
    padded = torch.nn.functional.pad(x, (padding,) * 4)
    d_padded, dw = torch.zeros_like(padded), torch.zeros_like(w)
    for i in range(grad.shape[2]):
        for j in range(grad.shape[3]):
            rows, columns = slice(i * stride, i * stride + K), slice(j * stride, j * stride + M)
            dw += torch.einsum("no,nckm->ockm", grad[:, :, i, j], padded[:, :, rows, columns])
            d_padded[:, :, rows, columns] += torch.einsum("no,ockm->nckm", grad[:, :, i, j], w)
    return d_padded[:, :, padding : padding + x.shape[2], padding : padding + x.shape[3]], dw


# %% mistake="autograd" exercise="conv2d_gradients" fails="conv2d_gradients" hint="yourself"
# lets autograd do it, through patches
def conv2d_gradients(grad, x, w, stride=1, padding=0):
    leaves = [v.clone().requires_grad_() for v in (x, w)]
    with torch.enable_grad():
        padded = torch.nn.functional.pad(leaves[0], (padding,) * 4)
        patches = padded.unfold(2, w.shape[2], stride).unfold(3, w.shape[3], stride)
        y = torch.einsum("nchwkm,ockm->nohw", patches, leaves[1])
    y.backward(grad)
    return leaves[0].grad, leaves[1].grad, grad.sum((0, 2, 3))


# %% mistake="library" exercise="conv2d_gradients" fails="conv2d_gradients" hint="yourself"
# the library has the gradients too
def conv2d_gradients(grad, x, w, stride=1, padding=0):
    dx = torch.nn.grad.conv2d_input(x.shape, w, grad, stride, padding)
    return dx, torch.nn.grad.conv2d_weight(x, w.shape, grad, stride, padding), grad.sum((0, 2, 3))


# %% mistake="weights_flipped" exercise="conv2d_gradients" fails="conv2d_gradients:weight" hint="flipped"
# flips ∂L/∂w, since something had to be flipped
def conv2d_gradients(grad, x, w, stride=1, padding=0):
    K, M = w.shape[2:]
    padded = torch.nn.functional.pad(x, (padding,) * 4)
    d_padded, dw = torch.zeros_like(padded), torch.zeros_like(w)
    for i in range(grad.shape[2]):
        for j in range(grad.shape[3]):
            rows, columns = slice(i * stride, i * stride + K), slice(j * stride, j * stride + M)
            dw += torch.einsum("no,nckm->ockm", grad[:, :, i, j], padded[:, :, rows, columns])
            d_padded[:, :, rows, columns] += torch.einsum("no,ockm->nckm", grad[:, :, i, j], w)
    dx = d_padded[:, :, padding : padding + x.shape[2], padding : padding + x.shape[3]]
    return dx, dw.flip(2, 3), grad.sum((0, 2, 3))


# %% mistake="stride_missing_in_dw" exercise="conv2d_gradients" fails="conv2d_gradients:weight" hint="stride belongs"
# the gradient slides over the picture with stride 1, as if the stride had been 1
def conv2d_gradients(grad, x, w, stride=1, padding=0):
    K, M = w.shape[2:]
    padded = torch.nn.functional.pad(x, (padding,) * 4)
    d_padded, dw = torch.zeros_like(padded), torch.zeros_like(w)
    for i in range(grad.shape[2]):
        for j in range(grad.shape[3]):
            rows, columns = slice(i * stride, i * stride + K), slice(j * stride, j * stride + M)
            dw += torch.einsum("no,nckm->ockm", grad[:, :, i, j], padded[:, :, i : i + K, j : j + M])
            d_padded[:, :, rows, columns] += torch.einsum("no,ockm->nckm", grad[:, :, i, j], w)
    dx = d_padded[:, :, padding : padding + x.shape[2], padding : padding + x.shape[3]]
    return dx, dw, grad.sum((0, 2, 3))


# %% mistake="weights_mean_over_batch" exercise="conv2d_gradients" fails="conv2d_gradients:weight" hint="batch"
# the mean over the pictures belongs to the loss, not here
def conv2d_gradients(grad, x, w, stride=1, padding=0):
    K, M = w.shape[2:]
    padded = torch.nn.functional.pad(x, (padding,) * 4)
    d_padded, dw = torch.zeros_like(padded), torch.zeros_like(w)
    for i in range(grad.shape[2]):
        for j in range(grad.shape[3]):
            rows, columns = slice(i * stride, i * stride + K), slice(j * stride, j * stride + M)
            dw += torch.einsum("no,nckm->ockm", grad[:, :, i, j], padded[:, :, rows, columns]) / len(x)
            d_padded[:, :, rows, columns] += torch.einsum("no,ockm->nckm", grad[:, :, i, j], w)
    dx = d_padded[:, :, padding : padding + x.shape[2], padding : padding + x.shape[3]]
    return dx, dw, grad.sum((0, 2, 3))


# %% mistake="weights_overwritten" exercise="conv2d_gradients" fails="conv2d_gradients:weight" hint="use +="
# = where += is needed: only the last place counts
def conv2d_gradients(grad, x, w, stride=1, padding=0):
    K, M = w.shape[2:]
    padded = torch.nn.functional.pad(x, (padding,) * 4)
    d_padded, dw = torch.zeros_like(padded), torch.zeros_like(w)
    for i in range(grad.shape[2]):
        for j in range(grad.shape[3]):
            rows, columns = slice(i * stride, i * stride + K), slice(j * stride, j * stride + M)
            dw = torch.einsum("no,nckm->ockm", grad[:, :, i, j], padded[:, :, rows, columns])
            d_padded[:, :, rows, columns] += torch.einsum("no,ockm->nckm", grad[:, :, i, j], w)
    dx = d_padded[:, :, padding : padding + x.shape[2], padding : padding + x.shape[3]]
    return dx, dw, grad.sum((0, 2, 3))


# %% mistake="weights_met_bare_picture" exercise="conv2d_gradients" fails="conv2d_gradients:weight" hint="pad x here"
# takes windows of x where the forward pass took them of the padded x
def conv2d_gradients(grad, x, w, stride=1, padding=0):
    K, M = w.shape[2:]
    padded = torch.nn.functional.pad(x, (0, 2 * padding, 0, 2 * padding))
    d_padded, dw = torch.zeros_like(padded), torch.zeros_like(w)
    for i in range(grad.shape[2]):
        for j in range(grad.shape[3]):
            rows, columns = slice(i * stride, i * stride + K), slice(j * stride, j * stride + M)
            dw += torch.einsum("no,nckm->ockm", grad[:, :, i, j], padded[:, :, rows, columns])
            d_padded[:, :, rows, columns] += torch.einsum("no,ockm->nckm", grad[:, :, i, j], w)
    dx = d_padded[:, :, padding : padding + x.shape[2], padding : padding + x.shape[3]]
    return dx, dw, grad.sum((0, 2, 3))


# %% mistake="padding_not_cut" exercise="conv2d_gradients" fails="conv2d_gradients:input" hint="Cut p rows"
# returns the gradient of the padded picture, or its first rows
def conv2d_gradients(grad, x, w, stride=1, padding=0):
    K, M = w.shape[2:]
    padded = torch.nn.functional.pad(x, (padding,) * 4)
    d_padded, dw = torch.zeros_like(padded), torch.zeros_like(w)
    for i in range(grad.shape[2]):
        for j in range(grad.shape[3]):
            rows, columns = slice(i * stride, i * stride + K), slice(j * stride, j * stride + M)
            dw += torch.einsum("no,nckm->ockm", grad[:, :, i, j], padded[:, :, rows, columns])
            d_padded[:, :, rows, columns] += torch.einsum("no,ockm->nckm", grad[:, :, i, j], w)
    return d_padded, dw, grad.sum((0, 2, 3))


# %% mistake="padding_cut_at_one_end" exercise="conv2d_gradients" fails="conv2d_gradients:input" hint="Cut p rows"
# the right size, from the wrong corner
def conv2d_gradients(grad, x, w, stride=1, padding=0):
    K, M = w.shape[2:]
    padded = torch.nn.functional.pad(x, (padding,) * 4)
    d_padded, dw = torch.zeros_like(padded), torch.zeros_like(w)
    for i in range(grad.shape[2]):
        for j in range(grad.shape[3]):
            rows, columns = slice(i * stride, i * stride + K), slice(j * stride, j * stride + M)
            dw += torch.einsum("no,nckm->ockm", grad[:, :, i, j], padded[:, :, rows, columns])
            d_padded[:, :, rows, columns] += torch.einsum("no,ockm->nckm", grad[:, :, i, j], w)
    return d_padded[:, :, : x.shape[2], : x.shape[3]], dw, grad.sum((0, 2, 3))


# %% mistake="minus_padding_slice" exercise="conv2d_gradients" fails="conv2d_gradients:input" hint="the shape of x"
# padding : -padding is empty when the padding is 0
def conv2d_gradients(grad, x, w, stride=1, padding=0):
    K, M = w.shape[2:]
    padded = torch.nn.functional.pad(x, (padding,) * 4)
    d_padded, dw = torch.zeros_like(padded), torch.zeros_like(w)
    for i in range(grad.shape[2]):
        for j in range(grad.shape[3]):
            rows, columns = slice(i * stride, i * stride + K), slice(j * stride, j * stride + M)
            dw += torch.einsum("no,nckm->ockm", grad[:, :, i, j], padded[:, :, rows, columns])
            d_padded[:, :, rows, columns] += torch.einsum("no,ockm->nckm", grad[:, :, i, j], w)
    return d_padded[:, :, padding:-padding, padding:-padding], dw, grad.sum((0, 2, 3))


# %% mistake="pixels_overwritten" exercise="conv2d_gradients" fails="conv2d_gradients:input" hint="these add"
# = where += is needed
def conv2d_gradients(grad, x, w, stride=1, padding=0):
    K, M = w.shape[2:]
    padded = torch.nn.functional.pad(x, (padding,) * 4)
    d_padded, dw = torch.zeros_like(padded), torch.zeros_like(w)
    for i in range(grad.shape[2]):
        for j in range(grad.shape[3]):
            rows, columns = slice(i * stride, i * stride + K), slice(j * stride, j * stride + M)
            dw += torch.einsum("no,nckm->ockm", grad[:, :, i, j], padded[:, :, rows, columns])
            d_padded[:, :, rows, columns] = torch.einsum("no,ockm->nckm", grad[:, :, i, j], w)
    dx = d_padded[:, :, padding : padding + x.shape[2], padding : padding + x.shape[3]]
    return dx, dw, grad.sum((0, 2, 3))


# %% mistake="pixels_flipped" exercise="conv2d_gradients" fails="conv2d_gradients:input" hint="flipped"
# flips the kernel where it is scattered: that flip belongs to the form with a full convolution
def conv2d_gradients(grad, x, w, stride=1, padding=0):
    K, M = w.shape[2:]
    padded = torch.nn.functional.pad(x, (padding,) * 4)
    d_padded, dw = torch.zeros_like(padded), torch.zeros_like(w)
    for i in range(grad.shape[2]):
        for j in range(grad.shape[3]):
            rows, columns = slice(i * stride, i * stride + K), slice(j * stride, j * stride + M)
            dw += torch.einsum("no,nckm->ockm", grad[:, :, i, j], padded[:, :, rows, columns])
            d_padded[:, :, rows, columns] += torch.einsum("no,ockm->nckm", grad[:, :, i, j], w.flip(2, 3))
    dx = d_padded[:, :, padding : padding + x.shape[2], padding : padding + x.shape[3]]
    return dx, dw, grad.sum((0, 2, 3))


# %% mistake="stride_ignored_in_dx" exercise="conv2d_gradients" fails="conv2d_gradients:input" hint="(i·stride"
# scatters to the windows of stride 1
def conv2d_gradients(grad, x, w, stride=1, padding=0):
    K, M = w.shape[2:]
    padded = torch.nn.functional.pad(x, (padding,) * 4)
    d_padded, dw = torch.zeros_like(padded), torch.zeros_like(w)
    for i in range(grad.shape[2]):
        for j in range(grad.shape[3]):
            rows, columns = slice(i * stride, i * stride + K), slice(j * stride, j * stride + M)
            dw += torch.einsum("no,nckm->ockm", grad[:, :, i, j], padded[:, :, rows, columns])
            d_padded[:, :, i : i + K, j : j + M] += torch.einsum("no,ockm->nckm", grad[:, :, i, j], w)
    dx = d_padded[:, :, padding : padding + x.shape[2], padding : padding + x.shape[3]]
    return dx, dw, grad.sum((0, 2, 3))


# %% mistake="first_kernel_only" exercise="conv2d_gradients" fails="conv2d_gradients:input" hint="over the kernels"
# forgets that all kernels looked at a pixel
def conv2d_gradients(grad, x, w, stride=1, padding=0):
    K, M = w.shape[2:]
    padded = torch.nn.functional.pad(x, (padding,) * 4)
    d_padded, dw = torch.zeros_like(padded), torch.zeros_like(w)
    for i in range(grad.shape[2]):
        for j in range(grad.shape[3]):
            rows, columns = slice(i * stride, i * stride + K), slice(j * stride, j * stride + M)
            dw += torch.einsum("no,nckm->ockm", grad[:, :, i, j], padded[:, :, rows, columns])
            d_padded[:, :, rows, columns] += grad[:, 0, i, j][:, None, None, None] * w[0]
    dx = d_padded[:, :, padding : padding + x.shape[2], padding : padding + x.shape[3]]
    return dx, dw, grad.sum((0, 2, 3))


# %% mistake="size_of_what_tiles" exercise="conv2d_gradients" fails="conv2d_gradients:input" hint="the shape of x"
# the picture's size from the formula backwards: too small where the stride cuts
def conv2d_gradients(grad, x, w, stride=1, padding=0):
    K, M = w.shape[2:]
    padded = torch.nn.functional.pad(x, (padding,) * 4)
    height, width = (grad.shape[2] - 1) * stride + K, (grad.shape[3] - 1) * stride + M
    d_padded, dw = padded.new_zeros(*x.shape[:2], height, width), torch.zeros_like(w)
    for i in range(grad.shape[2]):
        for j in range(grad.shape[3]):
            rows, columns = slice(i * stride, i * stride + K), slice(j * stride, j * stride + M)
            dw += torch.einsum("no,nckm->ockm", grad[:, :, i, j], padded[:, :, rows, columns])
            d_padded[:, :, rows, columns] += torch.einsum("no,ockm->nckm", grad[:, :, i, j], w)
    dx = d_padded[:, :, padding : height - padding, padding : width - padding]
    return dx, dw, grad.sum((0, 2, 3))


# %% mistake="library" exercise="im2col" fails="im2col" hint="Slices of x"
# torch calls it unfold
def im2col(x, kernel, stride=1, padding=0):
    return torch.nn.functional.unfold(x, kernel, stride=stride, padding=padding)


# %% mistake="windows_as_rows" exercise="im2col" fails="im2col" hint="not a row"
# the transpose
def im2col(x, kernel, stride=1, padding=0):
    x = torch.nn.functional.pad(x, (padding,) * 4)
    patches = x.unfold(2, kernel[0], stride).unfold(3, kernel[1], stride)  # (N, C, H', W', K, M)
    return patches.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)


# %% mistake="reshaped_not_permuted" exercise="im2col" fails="im2col" hint="first window"
# the right shape, the wrong numbers: reshape does not exchange axes
def im2col(x, kernel, stride=1, padding=0):
    x = torch.nn.functional.pad(x, (padding,) * 4)
    patches = x.unfold(2, kernel[0], stride).unfold(3, kernel[1], stride)  # (N, C, H', W', K, M)
    return patches.reshape(len(x), x.shape[1] * kernel[0] * kernel[1], -1)


# %% mistake="windows_down_first" exercise="im2col" fails="im2col" hint="to the right"
# places column by column
def im2col(x, kernel, stride=1, padding=0):
    x = torch.nn.functional.pad(x, (padding,) * 4)
    patches = x.unfold(2, kernel[0], stride).unfold(3, kernel[1], stride)  # (N, C, H', W', K, M)
    return patches.permute(0, 1, 4, 5, 3, 2).flatten(4).flatten(1, 3)


# %% mistake="window_column_by_column" exercise="im2col" fails="im2col" hint="row by row"
# the pixels of a window in the wrong order
def im2col(x, kernel, stride=1, padding=0):
    x = torch.nn.functional.pad(x, (padding,) * 4)
    patches = x.unfold(2, kernel[0], stride).unfold(3, kernel[1], stride)  # (N, C, H', W', K, M)
    return patches.permute(0, 1, 5, 4, 2, 3).flatten(4).flatten(1, 3)


# %% mistake="channels_last" exercise="im2col" fails="im2col" hint="c, k, m"
# the channels of a pixel side by side
def im2col(x, kernel, stride=1, padding=0):
    x = torch.nn.functional.pad(x, (padding,) * 4)
    patches = x.unfold(2, kernel[0], stride).unfold(3, kernel[1], stride)  # (N, C, H', W', K, M)
    return patches.permute(0, 4, 5, 1, 2, 3).flatten(4).flatten(1, 3)


# %% mistake="padding_forgotten" exercise="im2col" fails="im2col" hint="Zeros around"
# never pads
def im2col(x, kernel, stride=1, padding=0):
    patches = x.unfold(2, kernel[0], stride).unfold(3, kernel[1], stride)  # (N, C, H', W', K, M)
    return patches.permute(0, 1, 4, 5, 2, 3).flatten(4).flatten(1, 3)


# %% mistake="stride_forgotten" exercise="im2col" fails="im2col" hint="multiples of the stride"
# always stride 1
def im2col(x, kernel, stride=1, padding=0):
    x = torch.nn.functional.pad(x, (padding,) * 4)
    patches = x.unfold(2, kernel[0], 1).unfold(3, kernel[1], 1)  # (N, C, H', W', K, M)
    return patches.permute(0, 1, 4, 5, 2, 3).flatten(4).flatten(1, 3)


# %% mistake="square_kernels" exercise="im2col" fails="im2col" hint="differ here"
# takes the kernel's rows for its columns
def im2col(x, kernel, stride=1, padding=0):
    x = torch.nn.functional.pad(x, (padding,) * 4)
    patches = x.unfold(2, kernel[0], stride).unfold(3, kernel[0], stride)  # (N, C, H', W', K, K)
    return patches.permute(0, 1, 4, 5, 2, 3).flatten(4).flatten(1, 3)


# %% mistake="float32_always" exercise="im2col" fails="im2col" hint="dtype"
# torch.zeros without a dtype
def im2col(x, kernel, stride=1, padding=0):
    x = torch.nn.functional.pad(x, (padding,) * 4)
    patches = x.unfold(2, kernel[0], stride).unfold(3, kernel[1], stride).permute(0, 1, 4, 5, 2, 3)
    cols = torch.zeros(patches.flatten(4).flatten(1, 3).shape, device=x.device)
    cols[:] = patches.flatten(4).flatten(1, 3)
    return cols


# %% mistake="loop_over_places" exercise="im2col" fails="im2col:counted" hint="over places"
# right, and slow: one call for every window
def im2col(x, kernel, stride=1, padding=0):
    (K, M), x = kernel, torch.nn.functional.pad(x, (padding,) * 4)
    places = [
        x[:, :, i : i + K, j : j + M].flatten(1)
        for i in range(0, x.shape[2] - K + 1, stride)
        for j in range(0, x.shape[3] - M + 1, stride)
    ]
    return torch.stack(places, dim=2)


# %% mistake="loop_over_rows" exercise="im2col" fails="im2col:counted" hint="over places"
# faster, but still a call for every row of places
def im2col(x, kernel, stride=1, padding=0):
    (K, M), x = kernel, torch.nn.functional.pad(x, (padding,) * 4)
    rows = [
        x[:, :, i : i + K].unfold(3, M, stride).permute(0, 1, 2, 4, 3).flatten(1, 3)  # (N, CKM, W')
        for i in range(0, x.shape[2] - K + 1, stride)
    ]
    return torch.cat(rows, dim=2)


# %% mistake="library" exercise="col2im" fails="col2im" hint="Add into slices"
# torch calls it fold
def col2im(cols, size, kernel, stride=1, padding=0):
    return torch.nn.functional.fold(cols, size, kernel, stride=stride, padding=padding)


# %% mistake="overwrites" exercise="col2im" fails="col2im" hint="+="
# = where += is needed: the inverse of im2col, not its transpose
def col2im(cols, size, kernel, stride=1, padding=0):
    (H, W), (K, M) = size, kernel
    rows, columns = (H + 2 * padding - K) // stride + 1, (W + 2 * padding - M) // stride + 1
    windows = cols.reshape(len(cols), -1, K, M, rows, columns)
    x = cols.new_zeros(len(cols), windows.shape[1], H + 2 * padding, W + 2 * padding)
    for k in range(K):
        for m in range(M):
            x[:, :, k : k + rows * stride : stride, m : m + columns * stride : stride][:, :, :rows, :columns] = windows[
                :, :, k, m
            ]
    return x[:, :, padding : padding + H, padding : padding + W]


# %% mistake="mean_of_windows" exercise="col2im" fails="col2im" hint="dividing undoes it"
# divides by how many windows hold a pixel
def col2im(cols, size, kernel, stride=1, padding=0):
    (H, W), (K, M) = size, kernel
    rows, columns = (H + 2 * padding - K) // stride + 1, (W + 2 * padding - M) // stride + 1
    windows = cols.reshape(len(cols), -1, K, M, rows, columns)
    x = cols.new_zeros(len(cols), windows.shape[1], H + 2 * padding, W + 2 * padding)
    count = torch.zeros_like(x)
    for k in range(K):
        for m in range(M):
            place = (
                ...,
                slice(k, k + (rows - 1) * stride + 1, stride),
                slice(m, m + (columns - 1) * stride + 1, stride),
            )
            x[place] += windows[:, :, k, m]
            count[place] += 1
    return (x / count.clamp_min(1))[:, :, padding : padding + H, padding : padding + W]


# %% mistake="padding_not_cut" exercise="col2im" fails="col2im" hint="cut p"
# the padded picture
def col2im(cols, size, kernel, stride=1, padding=0):
    (H, W), (K, M) = size, kernel
    rows, columns = (H + 2 * padding - K) // stride + 1, (W + 2 * padding - M) // stride + 1
    windows = cols.reshape(len(cols), -1, K, M, rows, columns)
    x = cols.new_zeros(len(cols), windows.shape[1], H + 2 * padding, W + 2 * padding)
    for k in range(K):
        for m in range(M):
            x[:, :, k : k + (rows - 1) * stride + 1 : stride, m : m + (columns - 1) * stride + 1 : stride] += windows[
                :, :, k, m
            ]
    return x


# %% mistake="size_of_what_tiles" exercise="col2im" fails="col2im" hint="as in `size`"
# as large as the windows reach
def col2im(cols, size, kernel, stride=1, padding=0):
    (H, W), (K, M) = size, kernel
    rows, columns = (H + 2 * padding - K) // stride + 1, (W + 2 * padding - M) // stride + 1
    windows = cols.reshape(len(cols), -1, K, M, rows, columns)
    height, width = (rows - 1) * stride + K, (columns - 1) * stride + M
    x = cols.new_zeros(len(cols), windows.shape[1], height, width)
    for k in range(K):
        for m in range(M):
            x[:, :, k : k + (rows - 1) * stride + 1 : stride, m : m + (columns - 1) * stride + 1 : stride] += windows[
                :, :, k, m
            ]
    return x[:, :, padding : height - padding, padding : width - padding]


# %% mistake="places_down_first" exercise="col2im" fails="col2im" hint="to the right"
# takes the columns for places one below the other
def col2im(cols, size, kernel, stride=1, padding=0):
    (H, W), (K, M) = size, kernel
    rows, columns = (H + 2 * padding - K) // stride + 1, (W + 2 * padding - M) // stride + 1
    windows = cols.reshape(len(cols), -1, K, M, columns, rows).mT
    x = cols.new_zeros(len(cols), windows.shape[1], H + 2 * padding, W + 2 * padding)
    for k in range(K):
        for m in range(M):
            x[:, :, k : k + (rows - 1) * stride + 1 : stride, m : m + (columns - 1) * stride + 1 : stride] += windows[
                :, :, k, m
            ]
    return x[:, :, padding : padding + H, padding : padding + W]


# %% mistake="loop_over_places" exercise="col2im" fails="col2im" hint="over places"
# right, and slow: one call for every window
def col2im(cols, size, kernel, stride=1, padding=0):
    (H, W), (K, M) = size, kernel
    rows, columns = (H + 2 * padding - K) // stride + 1, (W + 2 * padding - M) // stride + 1
    windows = cols.reshape(len(cols), -1, K, M, rows, columns)
    x = cols.new_zeros(len(cols), windows.shape[1], H + 2 * padding, W + 2 * padding)
    for i in range(rows):
        for j in range(columns):
            x[:, :, i * stride : i * stride + K, j * stride : j * stride + M] += windows[..., i, j]
    return x[:, :, padding : padding + H, padding : padding + W]


# %% mistake="float32_always" exercise="col2im" fails="col2im" hint="dtype"
# torch.zeros without a dtype
def col2im(cols, size, kernel, stride=1, padding=0):
    (H, W), (K, M) = size, kernel
    rows, columns = (H + 2 * padding - K) // stride + 1, (W + 2 * padding - M) // stride + 1
    windows = cols.reshape(len(cols), -1, K, M, rows, columns)
    x = torch.zeros(len(cols), windows.shape[1], H + 2 * padding, W + 2 * padding, device=cols.device)
    for k in range(K):
        for m in range(M):
            x[:, :, k : k + (rows - 1) * stride + 1 : stride, m : m + (columns - 1) * stride + 1 : stride] += windows[
                :, :, k, m
            ]
    return x[:, :, padding : padding + H, padding : padding + W]


# %% mistake="library" exercise="fast_conv2d" fails="fast_conv2d" hint="one product"
# torch is faster still
def fast_conv2d(x, w, b, stride=1, padding=0):
    return torch.conv2d(x, w, b, stride, padding)


# %% mistake="flipped" exercise="fast_conv2d" fails="fast_conv2d" hint="not flipped"
# the convolution of the mathematicians
def fast_conv2d(x, w, b, stride=1, padding=0):
    rows = (x.shape[2] + 2 * padding - w.shape[2]) // stride + 1
    y = w.flip(2, 3).flatten(1) @ columns(x, w.shape[2:], stride, padding) + b[:, None]
    return y.unflatten(2, (rows, -1))


# %% mistake="bias_on_columns" exercise="fast_conv2d" fails="fast_conv2d" hint="belongs to the kernel"
# adds the biases in the wrong order
def fast_conv2d(x, w, b, stride=1, padding=0):
    rows = (x.shape[2] + 2 * padding - w.shape[2]) // stride + 1
    y = w.flatten(1) @ columns(x, w.shape[2:], stride, padding)
    y = y + b.repeat(y.shape[2])[: y.shape[2]]
    return y.unflatten(2, (rows, -1))


# %% mistake="bias_forgotten" exercise="fast_conv2d" fails="fast_conv2d" hint="bias"
# no bias
def fast_conv2d(x, w, b, stride=1, padding=0):
    rows = (x.shape[2] + 2 * padding - w.shape[2]) // stride + 1
    return (w.flatten(1) @ columns(x, w.shape[2:], stride, padding)).unflatten(2, (rows, -1))


# %% mistake="not_reshaped" exercise="fast_conv2d" fails="fast_conv2d" hint="rows and columns"
# leaves the places in one axis
def fast_conv2d(x, w, b, stride=1, padding=0):
    return w.flatten(1) @ columns(x, w.shape[2:], stride, padding) + b[:, None]


# %% mistake="rows_for_columns" exercise="fast_conv2d" fails="fast_conv2d" hint="H' and W' differ"
# (W', H') instead of (H', W'), which a square picture does not show
def fast_conv2d(x, w, b, stride=1, padding=0):
    width = (x.shape[3] + 2 * padding - w.shape[3]) // stride + 1
    y = w.flatten(1) @ columns(x, w.shape[2:], stride, padding) + b[:, None]
    return y.unflatten(2, (width, -1))


# %% mistake="square_kernels" exercise="fast_conv2d" fails="fast_conv2d" hint="Rows and columns of the kernel"
# takes K for both
def fast_conv2d(x, w, b, stride=1, padding=0):
    K = w.shape[2]
    rows = (x.shape[2] + 2 * padding - K) // stride + 1
    w = w[:, :, :, :K] if w.shape[3] >= K else torch.nn.functional.pad(w, (0, K - w.shape[3]))
    y = w.flatten(1) @ columns(x, (K, K), stride, padding) + b[:, None]
    return y.unflatten(2, (rows, -1))


# %% mistake="no_stride_no_padding" exercise="fast_conv2d" fails="fast_conv2d" hint="H' and W' differ"
# columns with their defaults
def fast_conv2d(x, w, b, stride=1, padding=0):
    y = w.flatten(1) @ columns(x, w.shape[2:]) + b[:, None]
    return y.unflatten(2, (x.shape[2] - w.shape[2] + 1, -1))


# %% mistake="stride_forgotten" exercise="fast_conv2d" fails="fast_conv2d" hint="Stride and padding"
# columns without the stride
def fast_conv2d(x, w, b, stride=1, padding=0):
    y = w.flatten(1) @ columns(x, w.shape[2:], 1, padding) + b[:, None]
    return y.unflatten(2, (x.shape[2] + 2 * padding - w.shape[2] + 1, -1))


# %% mistake="one_column_after_the_other" exercise="fast_conv2d" fails="fast_conv2d" hint="One product does all"
# a product for every place: right, and not fast
def fast_conv2d(x, w, b, stride=1, padding=0):
    rows = (x.shape[2] + 2 * padding - w.shape[2]) // stride + 1
    cols = columns(x, w.shape[2:], stride, padding)
    y = torch.stack([cols[:, :, p] @ w.flatten(1).T + b for p in range(cols.shape[2])], dim=2)
    return y.unflatten(2, (rows, -1))


# %% mistake="naive_again" exercise="fast_conv2d" fails="fast_conv2d" hint="over places"
# the answer to exercise 4 under another name
def fast_conv2d(x, w, b, stride=1, padding=0):
    K, M = w.shape[2:]
    x = torch.nn.functional.pad(x, (padding,) * 4)
    y = x.new_zeros(len(x), len(w), (x.shape[2] - K) // stride + 1, (x.shape[3] - M) // stride + 1)
    for i in range(y.shape[2]):
        for j in range(y.shape[3]):
            window = x[:, :, i * stride : i * stride + K, j * stride : j * stride + M]
            y[:, :, i, j] = torch.einsum("nckm,ockm->no", window, w) + b
    return y


# %% mistake="library" exercise="fast_conv2d_gradients" fails="fast_conv2d_gradients" hint="Two products"
# the library's transposed convolution
def fast_conv2d_gradients(grad, x, w, stride=1, padding=0):
    g = grad.flatten(2)
    dw = torch.einsum("nop,nqp->oq", g, columns(x, w.shape[2:], stride, padding)).reshape(w.shape)
    dx = torch.nn.functional.conv_transpose2d(grad, w, stride=stride, padding=padding)
    return dx, dw, grad.sum(dim=(0, 2, 3))


# %% mistake="other_order" exercise="fast_conv2d_gradients" fails="fast_conv2d_gradients" hint="the shape of x"
# the weights first
def fast_conv2d_gradients(grad, x, w, stride=1, padding=0):
    kernel, g = w.shape[2:], grad.flatten(2)
    dw = torch.einsum("nop,nqp->oq", g, columns(x, kernel, stride, padding)).reshape(w.shape)
    dx = uncolumns(w.flatten(1).T @ g, x.shape[2:], kernel, stride, padding)
    return dw, dx, grad.sum(dim=(0, 2, 3))


# %% mistake="dw_of_each_picture" exercise="fast_conv2d_gradients" fails="fast_conv2d_gradients" hint="the shape of w"
# forgets the sum over the batch
def fast_conv2d_gradients(grad, x, w, stride=1, padding=0):
    kernel, g = w.shape[2:], grad.flatten(2)
    dw = (g @ columns(x, kernel, stride, padding).mT).reshape(len(x), *w.shape)
    dx = uncolumns(w.flatten(1).T @ g, x.shape[2:], kernel, stride, padding)
    return dx, dw, grad.sum(dim=(0, 2, 3))


# %% mistake="weights_mean" exercise="fast_conv2d_gradients" fails="fast_conv2d_gradients" hint="sum over the batch"
# a mean over the pictures
def fast_conv2d_gradients(grad, x, w, stride=1, padding=0):
    kernel, g = w.shape[2:], grad.flatten(2)
    dw = (g @ columns(x, kernel, stride, padding).mT).mean(0).reshape(w.shape)
    dx = uncolumns(w.flatten(1).T @ g, x.shape[2:], kernel, stride, padding)
    return dx, dw, grad.sum(dim=(0, 2, 3))


# %% mistake="bias_of_each_picture" exercise="fast_conv2d_gradients" fails="fast_conv2d_gradients" hint="pictures"
# sums over places only
def fast_conv2d_gradients(grad, x, w, stride=1, padding=0):
    kernel, g = w.shape[2:], grad.flatten(2)
    dw = torch.einsum("nop,nqp->oq", g, columns(x, kernel, stride, padding)).reshape(w.shape)
    dx = uncolumns(w.flatten(1).T @ g, x.shape[2:], kernel, stride, padding)
    return dx, dw, g.sum(2)


# %% mistake="bias_mean" exercise="fast_conv2d_gradients" fails="fast_conv2d_gradients" hint="a sum over all 8"
# a mean over the batch
def fast_conv2d_gradients(grad, x, w, stride=1, padding=0):
    kernel, g = w.shape[2:], grad.flatten(2)
    dw = torch.einsum("nop,nqp->oq", g, columns(x, kernel, stride, padding)).reshape(w.shape)
    dx = uncolumns(w.flatten(1).T @ g, x.shape[2:], kernel, stride, padding)
    return dx, dw, g.sum(2).mean(0)


# %% mistake="kernel_flipped" exercise="fast_conv2d_gradients" fails="fast_conv2d_gradients" hint="W transposed"
# flips the kernel, which belongs to another form
def fast_conv2d_gradients(grad, x, w, stride=1, padding=0):
    kernel, g = w.shape[2:], grad.flatten(2)
    dw = torch.einsum("nop,nqp->oq", g, columns(x, kernel, stride, padding)).reshape(w.shape)
    dx = uncolumns(w.flip(2, 3).flatten(1).T @ g, x.shape[2:], kernel, stride, padding)
    return dx, dw, grad.sum(dim=(0, 2, 3))


# %% mistake="stride_missing_in_dw" exercise="fast_conv2d_gradients" fails="fast_conv2d_gradients" hint="Stride"
# columns with stride 1, cut to fit
def fast_conv2d_gradients(grad, x, w, stride=1, padding=0):
    kernel, g = w.shape[2:], grad.flatten(2)
    cols = columns(x, kernel, 1, padding)[:, :, : g.shape[2]]
    dw = torch.einsum("nop,nqp->oq", g, cols).reshape(w.shape)
    dx = uncolumns(w.flatten(1).T @ g, x.shape[2:], kernel, stride, padding)
    return dx, dw, grad.sum(dim=(0, 2, 3))


# %% mistake="product_a_place" exercise="fast_conv2d_gradients" fails="fast_conv2d_gradients" hint="over places"
# right, and slow
def fast_conv2d_gradients(grad, x, w, stride=1, padding=0):
    kernel, g = w.shape[2:], grad.flatten(2)
    cols = columns(x, kernel, stride, padding)
    dw = sum(g[:, :, p].T @ cols[:, :, p] for p in range(cols.shape[2])).reshape(w.shape)
    dx = uncolumns(w.flatten(1).T @ g, x.shape[2:], kernel, stride, padding)
    return dx, dw, grad.sum(dim=(0, 2, 3))


# %% mistake="library" exercise="max_pool" fails="max_pool" hint="Windows as slices"
# torch has that already
def max_pool(x, size, stride):
    return torch.nn.functional.max_pool2d(x, size, stride, return_indices=True)


# %% mistake="no_switches" exercise="max_pool" fails="max_pool" hint="return best, switches"
# only the maxima
def max_pool(x, size, stride):
    return x.unfold(2, size, stride).unfold(3, size, stride).amax((4, 5))


# %% mistake="switches_in_the_window" exercise="max_pool" fails="max_pool" hint="whole picture"
# the winner's place in its window
def max_pool(x, size, stride):
    return tuple(x.unfold(2, size, stride).unfold(3, size, stride).flatten(4).max(dim=4))


# %% mistake="switches_by_value" exercise="max_pool" fails="max_pool" hint="whole numbers"
# keeps the value of the winner, to look for it later
def max_pool(x, size, stride):
    best = x.unfold(2, size, stride).unfold(3, size, stride).amax((4, 5))
    return best, best


# %% mistake="switches_searched_by_value" exercise="max_pool" fails="max_pool" hint="An index"
# looks for the value in the whole picture, where it may stand earlier
def max_pool(x, size, stride):
    best = x.unfold(2, size, stride).unfold(3, size, stride).amax((4, 5))  # (N, C, H', W')
    same = x.flatten(2)[:, :, None, None] == best[..., None]  # (N, C, H', W', H·W)
    return best, same.long().argmax(-1)


# %% mistake="width_of_the_output" exercise="max_pool" fails="max_pool" hint="switches of four windows"
# row·W' + column
def max_pool(x, size, stride):
    best, winner = x.unfold(2, size, stride).unfold(3, size, stride).flatten(4).max(dim=4)
    row = stride * torch.arange(best.shape[2], device=x.device)[:, None] + winner // size
    column = stride * torch.arange(best.shape[3], device=x.device) + winner % size
    return best, row * best.shape[3] + column


# %% mistake="height_for_width" exercise="max_pool" fails="max_pool" hint="the width of the picture"
# row·H + column, which a square picture does not show
def max_pool(x, size, stride):
    best, winner = x.unfold(2, size, stride).unfold(3, size, stride).flatten(4).max(dim=4)
    row = stride * torch.arange(best.shape[2], device=x.device)[:, None] + winner // size
    column = stride * torch.arange(best.shape[3], device=x.device) + winner % size
    return best, row * x.shape[2] + column


# %% mistake="last_wins" exercise="max_pool" fails="max_pool" hint="tie"
# of equals the last
def max_pool(x, size, stride):
    best, winner = x.unfold(2, size, stride).unfold(3, size, stride).flatten(4).flip(4).max(dim=4)
    winner = size * size - 1 - winner
    row = stride * torch.arange(best.shape[2], device=x.device)[:, None] + winner // size
    column = stride * torch.arange(best.shape[3], device=x.device) + winner % size
    return best, row * x.shape[3] + column


# %% mistake="starts_from_zero" exercise="max_pool" fails="max_pool" hint="not from 0"
# the maximum of negative numbers becomes 0
def max_pool(x, size, stride):
    best, winner = x.unfold(2, size, stride).unfold(3, size, stride).flatten(4).max(dim=4)
    row = stride * torch.arange(best.shape[2], device=x.device)[:, None] + winner // size
    column = stride * torch.arange(best.shape[3], device=x.device) + winner % size
    return best.clamp_min(0), row * x.shape[3] + column


# %% mistake="stride_is_size" exercise="max_pool" fails="max_pool" hint="overlap"
# ignores the stride: windows side by side
def max_pool(x, size, stride):
    best, winner = x.unfold(2, size, size).unfold(3, size, size).flatten(4).max(dim=4)
    row = size * torch.arange(best.shape[2], device=x.device)[:, None] + winner // size
    column = size * torch.arange(best.shape[3], device=x.device) + winner % size
    return best, row * x.shape[3] + column


# %% mistake="over_all_channels" exercise="max_pool" fails="max_pool" hint="channel apart"
# one winner for all channels
def max_pool(x, size, stride):
    windows = x.unfold(2, size, stride).unfold(3, size, stride).flatten(4)
    winner = windows.amax(1, keepdim=True).argmax(4).expand(windows.shape[:4])
    best = windows.gather(4, winner[..., None])[..., 0]
    row = stride * torch.arange(best.shape[2], device=x.device)[:, None] + winner // size
    column = stride * torch.arange(best.shape[3], device=x.device) + winner % size
    return best, row * x.shape[3] + column


# %% mistake="switches_through_the_batch" exercise="max_pool" fails="max_pool" hint="from 0 in each"
# counts on from picture to picture and from channel to channel
def max_pool(x, size, stride):
    best, winner = x.unfold(2, size, stride).unfold(3, size, stride).flatten(4).max(dim=4)
    row = stride * torch.arange(best.shape[2], device=x.device)[:, None] + winner // size
    column = stride * torch.arange(best.shape[3], device=x.device) + winner % size
    plane = torch.arange(len(x) * x.shape[1], device=x.device).reshape(len(x), -1, 1, 1)
    return best, (plane * x.shape[2] + row) * x.shape[3] + column


# %% mistake="row_and_column_apart" exercise="max_pool" fails="max_pool" hint="One index for each window"
# two numbers for a switch
def max_pool(x, size, stride):
    best, winner = x.unfold(2, size, stride).unfold(3, size, stride).flatten(4).max(dim=4)
    row = stride * torch.arange(best.shape[2], device=x.device)[:, None] + winner // size
    column = stride * torch.arange(best.shape[3], device=x.device) + winner % size
    return best, torch.stack([row, column])


# %% mistake="overwrites" exercise="max_pool_gradient" fails="max_pool_gradient" hint="their gradients add"
# scatter assigns: one of the windows wins
def max_pool_gradient(grad, switches, height, width):
    dx = grad.new_zeros(*grad.shape[:2], height * width)
    return dx.scatter(2, switches.flatten(2), grad.flatten(2)).reshape(*grad.shape[:2], height, width)


# %% mistake="indexed_plus_equals" exercise="max_pool_gradient" fails="max_pool_gradient" hint="their gradients add"
# x[index] += … counts an index that comes twice only once
def max_pool_gradient(grad, switches, height, width):
    dx = grad.new_zeros(grad.shape[0] * grad.shape[1], height * width)
    planes = torch.arange(len(dx), device=grad.device)[:, None]
    dx[planes, switches.reshape(len(dx), -1)] += grad.reshape(len(dx), -1)
    return dx.reshape(*grad.shape[:2], height, width)


# %% mistake="library" exercise="max_pool_gradient" fails="max_pool_gradient" hint="Zeros"
# unpooling overwrites, too
def max_pool_gradient(grad, switches, height, width):
    return torch.nn.functional.max_unpool2d(grad, switches, 2, output_size=(height, width))


# %% mistake="ones_for_winners" exercise="max_pool_gradient" fails="max_pool_gradient" hint="without overlap"
# marks the winners and forgets g
def max_pool_gradient(grad, switches, height, width):
    dx = grad.new_zeros(*grad.shape[:2], height * width)
    return dx.scatter_add(2, switches.flatten(2), torch.ones_like(grad).flatten(2)).unflatten(2, (height, width))


# %% mistake="rows_for_columns" exercise="max_pool_gradient" fails="max_pool_gradient" hint="5 wide"
# (W, H), transposed back: a square picture does not show it
def max_pool_gradient(grad, switches, height, width):
    row, column = switches // height, switches % height
    dx = grad.new_zeros(*grad.shape[:2], height * width)
    index = (row * width + column).clamp(0, height * width - 1)
    return dx.scatter_add(2, index.flatten(2), grad.flatten(2)).unflatten(2, (height, width))


# %% mistake="one_plane_for_all" exercise="max_pool_gradient" fails="max_pool_gradient" hint="its own pixels"
# all pictures and channels into the first one
def max_pool_gradient(grad, switches, height, width):
    dx = grad.new_zeros(height * width).scatter_add(0, switches.flatten(), grad.flatten())
    return dx.reshape(1, 1, height, width).repeat(*grad.shape[:2], 1, 1) / (grad.shape[0] * grad.shape[1])


# %% mistake="mean_of_windows" exercise="max_pool_gradient" fails="max_pool_gradient" hint="their gradients add"
# divides by the number of windows won
def max_pool_gradient(grad, switches, height, width):
    dx = grad.new_zeros(*grad.shape[:2], height * width)
    index = switches.flatten(2)
    wins = dx.scatter_add(2, index, torch.ones_like(grad).flatten(2)).clamp_min(1)
    return (dx.scatter_add(2, index, grad.flatten(2)) / wins).unflatten(2, (height, width))


# %% mistake="float32_always" exercise="max_pool_gradient" fails="max_pool_gradient" hint="dtype and device"
# torch.zeros without a dtype
def max_pool_gradient(grad, switches, height, width):
    dx = torch.zeros(*grad.shape[:2], height * width, device=grad.device)
    return dx.scatter_add(2, switches.flatten(2), grad.flatten(2).float()).unflatten(2, (height, width))


# %% mistake="sum_not_mean" exercise="average_pool" fails="average_pool" hint="divided by F²"
# sum pooling
def average_pool(x, size, stride):
    return x.unfold(2, size, stride).unfold(3, size, stride).sum((4, 5))


def average_pool_gradient(grad, height, width, size, stride):
    dx = grad.new_zeros(*grad.shape[:2], height, width)
    for i in range(grad.shape[2]):
        for j in range(grad.shape[3]):
            dx[:, :, i * stride : i * stride + size, j * stride : j * stride + size] += grad[:, :, i, j, None, None]
    return dx


def global_average_pool(x):
    return x.mean((2, 3))


def global_average_pool_gradient(grad, height, width):
    return (grad / (height * width))[:, :, None, None].expand(-1, -1, height, width)


# %% mistake="gradient_not_divided" exercise="average_pool" fails="average_pool" hint="divide, as the mean did"
# every pixel gets all of g
def average_pool(x, size, stride):
    return x.unfold(2, size, stride).unfold(3, size, stride).mean((4, 5))


def average_pool_gradient(grad, height, width, size, stride):
    dx = grad.new_zeros(*grad.shape[:2], height, width)
    for i in range(grad.shape[2]):
        for j in range(grad.shape[3]):
            dx[:, :, i * stride : i * stride + size, j * stride : j * stride + size] += grad[:, :, i, j, None, None]
    return dx


def global_average_pool(x):
    return x.mean((2, 3))


def global_average_pool_gradient(grad, height, width):
    return (grad / (height * width))[:, :, None, None].expand(-1, -1, height, width)


# %% mistake="divided_by_side" exercise="average_pool" fails="average_pool" hint="divided by F²"
# F instead of F²
def average_pool(x, size, stride):
    return x.unfold(2, size, stride).unfold(3, size, stride).sum((4, 5)) / size


def average_pool_gradient(grad, height, width, size, stride):
    dx = grad.new_zeros(*grad.shape[:2], height, width)
    for i in range(grad.shape[2]):
        for j in range(grad.shape[3]):
            share = grad[:, :, i, j, None, None] / size
            dx[:, :, i * stride : i * stride + size, j * stride : j * stride + size] += share
    return dx


def global_average_pool(x):
    return x.mean((2, 3))


def global_average_pool_gradient(grad, height, width):
    return (grad / (height * width))[:, :, None, None].expand(-1, -1, height, width)


# %% mistake="overwrites" exercise="average_pool" fails="average_pool" hint="these add"
# = where += is needed
def average_pool(x, size, stride):
    return x.unfold(2, size, stride).unfold(3, size, stride).mean((4, 5))


def average_pool_gradient(grad, height, width, size, stride):
    dx = grad.new_zeros(*grad.shape[:2], height, width)
    for i in range(grad.shape[2]):
        for j in range(grad.shape[3]):
            share = grad[:, :, i, j, None, None] / size**2
            dx[:, :, i * stride : i * stride + size, j * stride : j * stride + size] = share
    return dx


def global_average_pool(x):
    return x.mean((2, 3))


def global_average_pool_gradient(grad, height, width):
    return (grad / (height * width))[:, :, None, None].expand(-1, -1, height, width)


# %% mistake="repeated" exercise="average_pool" fails="average_pool" hint="(N, C, H, W)"
# repeats every g, which is right only where windows tile without overlap
def average_pool(x, size, stride):
    return x.unfold(2, size, stride).unfold(3, size, stride).mean((4, 5))


def average_pool_gradient(grad, height, width, size, stride):
    return grad.repeat_interleave(size, 2).repeat_interleave(size, 3) / size**2


def global_average_pool(x):
    return x.mean((2, 3))


def global_average_pool_gradient(grad, height, width):
    return (grad / (height * width))[:, :, None, None].expand(-1, -1, height, width)


# %% mistake="stride_is_size" exercise="average_pool" fails="average_pool" hint="may overlap"
# ignores the stride
def average_pool(x, size, stride):
    return x.unfold(2, size, size).unfold(3, size, size).mean((4, 5))


def average_pool_gradient(grad, height, width, size, stride):
    dx = grad.new_zeros(*grad.shape[:2], height, width)
    for i in range(grad.shape[2]):
        for j in range(grad.shape[3]):
            share = grad[:, :, i, j, None, None] / size**2
            dx[:, :, i * size : i * size + size, j * size : j * size + size] += share
    return dx


def global_average_pool(x):
    return x.mean((2, 3))


def global_average_pool_gradient(grad, height, width):
    return (grad / (height * width))[:, :, None, None].expand(-1, -1, height, width)


# %% mistake="over_channels_too" exercise="average_pool" fails="average_pool:global" hint="each channel"
# one mean for a picture
def average_pool(x, size, stride):
    return x.unfold(2, size, stride).unfold(3, size, stride).mean((4, 5))


def average_pool_gradient(grad, height, width, size, stride):
    dx = grad.new_zeros(*grad.shape[:2], height, width)
    for i in range(grad.shape[2]):
        for j in range(grad.shape[3]):
            share = grad[:, :, i, j, None, None] / size**2
            dx[:, :, i * stride : i * stride + size, j * stride : j * stride + size] += share
    return dx


def global_average_pool(x):
    return x.mean((1, 2, 3))


def global_average_pool_gradient(grad, height, width):
    return (grad / (height * width))[:, :, None, None].expand(-1, -1, height, width)


# %% mistake="global_not_divided" exercise="average_pool" fails="average_pool:global" hint="divide, as the mean did"
# the whole g for every pixel
def average_pool(x, size, stride):
    return x.unfold(2, size, stride).unfold(3, size, stride).mean((4, 5))


def average_pool_gradient(grad, height, width, size, stride):
    dx = grad.new_zeros(*grad.shape[:2], height, width)
    for i in range(grad.shape[2]):
        for j in range(grad.shape[3]):
            share = grad[:, :, i, j, None, None] / size**2
            dx[:, :, i * stride : i * stride + size, j * stride : j * stride + size] += share
    return dx


def global_average_pool(x):
    return x.mean((2, 3))


def global_average_pool_gradient(grad, height, width):
    return grad[:, :, None, None].repeat(1, 1, height, width)


# %% mistake="keeps_axes" exercise="average_pool" fails="average_pool:global" hint="(N, C)"
# (N, C, 1, 1), as torch's adaptive pooling gives
def average_pool(x, size, stride):
    return x.unfold(2, size, stride).unfold(3, size, stride).mean((4, 5))


def average_pool_gradient(grad, height, width, size, stride):
    dx = grad.new_zeros(*grad.shape[:2], height, width)
    for i in range(grad.shape[2]):
        for j in range(grad.shape[3]):
            share = grad[:, :, i, j, None, None] / size**2
            dx[:, :, i * stride : i * stride + size, j * stride : j * stride + size] += share
    return dx


def global_average_pool(x):
    return x.mean((2, 3), keepdim=True)


def global_average_pool_gradient(grad, height, width):
    return (grad / (height * width))[:, :, None, None].expand(-1, -1, height, width)


# %% mistake="library" exercise="average_pool" fails="average_pool:global" hint="by yourself"
# torch's adaptive pooling
def average_pool(x, size, stride):
    return x.unfold(2, size, stride).unfold(3, size, stride).mean((4, 5))


def average_pool_gradient(grad, height, width, size, stride):
    dx = grad.new_zeros(*grad.shape[:2], height, width)
    for i in range(grad.shape[2]):
        for j in range(grad.shape[3]):
            share = grad[:, :, i, j, None, None] / size**2
            dx[:, :, i * stride : i * stride + size, j * stride : j * stride + size] += share
    return dx


def global_average_pool(x):
    return torch.nn.functional.adaptive_avg_pool2d(x, 1).flatten(1)


def global_average_pool_gradient(grad, height, width):
    return (grad / (height * width))[:, :, None, None].expand(-1, -1, height, width)


# %% mistake="one_sided" exercise="gradient_error" fails="gradient_error" hint="one-sided"
# L(x + h) − L(x), divided by h
def gradient_error(forward, backward, x, grad, step=1e-6):
    x, grad = x.double(), grad.double()
    claimed, measured = backward(grad, x), torch.zeros_like(x)
    for m in range(x.numel()):
        nudge = torch.zeros_like(x)
        nudge.view(-1)[m] = step
        measured.view(-1)[m] = (grad * (forward(x + nudge) - forward(x))).sum() / step
    scale = max(claimed.norm().item(), measured.norm().item())
    return (claimed - measured).norm().item() / scale if scale > 0 else 0.0


# %% mistake="divided_by_h" exercise="gradient_error" fails="gradient_error" hint="2h"
# central differences over h
def gradient_error(forward, backward, x, grad, step=1e-6):
    x, grad = x.double(), grad.double()
    claimed, measured = backward(grad, x), torch.zeros_like(x)
    for m in range(x.numel()):
        nudge = torch.zeros_like(x)
        nudge.view(-1)[m] = step
        measured.view(-1)[m] = (grad * (forward(x + nudge) - forward(x - nudge))).sum() / step
    scale = max(claimed.norm().item(), measured.norm().item())
    return (claimed - measured).norm().item() / scale if scale > 0 else 0.0


# %% mistake="in_float32" exercise="gradient_error" fails="gradient_error" hint="float64"
# computes in the dtype it was given
def gradient_error(forward, backward, x, grad, step=1e-6):
    claimed, measured = backward(grad, x), torch.zeros_like(x)
    for m in range(x.numel()):
        nudge = torch.zeros_like(x)
        nudge.view(-1)[m] = step
        measured.view(-1)[m] = (grad * (forward(x + nudge) - forward(x - nudge))).sum() / (2 * step)
    scale = max(claimed.norm().item(), measured.norm().item())
    return (claimed - measured).norm().item() / scale if scale > 0 else 0.0


# %% mistake="zero_by_zero" exercise="gradient_error" fails="gradient_error" hint="0/0"
# divides whatever the norms are
def gradient_error(forward, backward, x, grad, step=1e-6):
    x, grad = x.double(), grad.double()
    claimed, measured = backward(grad, x), torch.zeros_like(x)
    for m in range(x.numel()):
        nudge = torch.zeros_like(x)
        nudge.view(-1)[m] = step
        measured.view(-1)[m] = (grad * (forward(x + nudge) - forward(x - nudge))).sum() / (2 * step)
    return ((claimed - measured).norm() / torch.maximum(claimed.norm(), measured.norm())).item()


# %% mistake="absolute" exercise="gradient_error" fails="gradient_error" hint="divided by the larger"
# a difference with units
def gradient_error(forward, backward, x, grad, step=1e-6):
    x, grad = x.double(), grad.double()
    claimed, measured = backward(grad, x), torch.zeros_like(x)
    for m in range(x.numel()):
        nudge = torch.zeros_like(x)
        nudge.view(-1)[m] = step
        measured.view(-1)[m] = (grad * (forward(x + nudge) - forward(x - nudge))).sum() / (2 * step)
    return (claimed - measured).norm().item()


# %% mistake="divided_by_the_claim" exercise="gradient_error" fails="gradient_error" hint="larger of the two norms"
# a claim of 0 makes the error infinite
def gradient_error(forward, backward, x, grad, step=1e-6):
    x, grad = x.double(), grad.double()
    claimed, measured = backward(grad, x), torch.zeros_like(x)
    for m in range(x.numel()):
        nudge = torch.zeros_like(x)
        nudge.view(-1)[m] = step
        measured.view(-1)[m] = (grad * (forward(x + nudge) - forward(x - nudge))).sum() / (2 * step)
    scale = claimed.norm().item()
    return (claimed - measured).norm().item() / (scale + 1e-12) if measured.norm() > 0 else 0.0


# %% mistake="norms_subtracted" exercise="gradient_error" fails="gradient_error" hint="after subtracting"
# compares lengths: a gradient with the wrong sign passes
def gradient_error(forward, backward, x, grad, step=1e-6):
    x, grad = x.double(), grad.double()
    claimed, measured = backward(grad, x), torch.zeros_like(x)
    for m in range(x.numel()):
        nudge = torch.zeros_like(x)
        nudge.view(-1)[m] = step
        measured.view(-1)[m] = (grad * (forward(x + nudge) - forward(x - nudge))).sum() / (2 * step)
    a, b = claimed.norm().item(), measured.norm().item()
    return abs(a - b) / max(a, b) if max(a, b) > 0 else 0.0


# %% mistake="all_entries_at_once" exercise="gradient_error" fails="gradient_error" hint="one entry at a time"
# nudges everything together
def gradient_error(forward, backward, x, grad, step=1e-6):
    x, grad = x.double(), grad.double()
    claimed = backward(grad, x)
    measured = grad * (forward(x + step) - forward(x - step)).sum() / (2 * step)
    scale = max(claimed.norm().item(), measured.norm().item())
    return (claimed - measured).norm().item() / scale if scale > 0 else 0.0


# %% mistake="grad_forgotten" exercise="gradient_error" fails="gradient_error" hint="weigh every output"
# the loss is the plain sum of the outputs
def gradient_error(forward, backward, x, grad, step=1e-6):
    x, grad = x.double(), grad.double()
    claimed, measured = backward(grad, x), torch.zeros_like(x)
    for m in range(x.numel()):
        nudge = torch.zeros_like(x)
        nudge.view(-1)[m] = step
        measured.view(-1)[m] = (forward(x + nudge) - forward(x - nudge)).sum() / (2 * step)
    scale = max(claimed.norm().item(), measured.norm().item())
    return (claimed - measured).norm().item() / scale if scale > 0 else 0.0


# %% mistake="autograd" exercise="gradient_error" fails="gradient_error" hint="No autograd"
# compares with autograd, which is what should be checked
def gradient_error(forward, backward, x, grad, step=1e-6):
    x, grad = x.double().requires_grad_(), grad.double()
    with torch.enable_grad():
        (forward(x) * grad).sum().backward()
    claimed, measured = backward(grad, x.detach()), x.grad
    scale = max(claimed.norm().item(), measured.norm().item())
    return (claimed - measured).norm().item() / scale if scale > 0 else 0.0


# %% mistake="first_entries_only" exercise="gradient_error" fails="gradient_error:suspects" hint="every entry of x"
# measures ten entries, to save time
def gradient_error(forward, backward, x, grad, step=1e-6):
    x, grad = x.double(), grad.double()
    claimed = backward(grad, x)
    measured = claimed.clone()
    for m in range(min(3, x.numel())):
        nudge = torch.zeros_like(x)
        nudge.view(-1)[m] = step
        measured.view(-1)[m] = (grad * (forward(x + nudge) - forward(x - nudge))).sum() / (2 * step)
    scale = max(claimed.norm().item(), measured.norm().item())
    return (claimed - measured).norm().item() / scale if scale > 0 else 0.0


# %% mistake="output_not_shifted" exercise="equivariance" fails="equivariance" hint="Shift the output as well"
# that is the question of invariance
def equivariance_error(layer, x, shift, stride=1):
    if shift[0] % stride or shift[1] % stride:
        raise ValueError("no whole number of outputs")
    return (layer(torch.roll(x, shift, dims=(2, 3))) - layer(x)).abs().max().item()


def changed_share(layer, x, shift):
    change = layer(torch.roll(x, shift, dims=(2, 3))) - layer(x)
    return (change.abs() > 1e-6).double().mean().item()


# %% mistake="axes_exchanged" exercise="equivariance" fails="equivariance" hint="dims=(2, 3)"
# (right, down)
def equivariance_error(layer, x, shift, stride=1):
    if shift[0] % stride or shift[1] % stride:
        raise ValueError("no whole number of outputs")
    after = torch.roll(layer(x), (shift[0] // stride, shift[1] // stride), dims=(3, 2))
    return (layer(torch.roll(x, shift, dims=(3, 2))) - after).abs().max().item()


def changed_share(layer, x, shift):
    change = layer(torch.roll(x, shift, dims=(2, 3))) - layer(x)
    return (change.abs() > 1e-6).double().mean().item()


# %% mistake="mean_difference" exercise="equivariance" fails="equivariance" hint="largest"
# the mean hides the border
def equivariance_error(layer, x, shift, stride=1):
    if shift[0] % stride or shift[1] % stride:
        raise ValueError("no whole number of outputs")
    after = torch.roll(layer(x), (shift[0] // stride, shift[1] // stride), dims=(2, 3))
    return (layer(torch.roll(x, shift, dims=(2, 3))) - after).abs().mean().item()


def changed_share(layer, x, shift):
    change = layer(torch.roll(x, shift, dims=(2, 3))) - layer(x)
    return (change.abs() > 1e-6).double().mean().item()


# %% mistake="no_absolute_value" exercise="equivariance" fails="equivariance" hint="largest"
# the largest difference, not the largest absolute one
def equivariance_error(layer, x, shift, stride=1):
    if shift[0] % stride or shift[1] % stride:
        raise ValueError("no whole number of outputs")
    after = torch.roll(layer(x), (shift[0] // stride, shift[1] // stride), dims=(2, 3))
    return (layer(torch.roll(x, shift, dims=(2, 3))) - after).max().item()


def changed_share(layer, x, shift):
    change = layer(torch.roll(x, shift, dims=(2, 3))) - layer(x)
    return (change.abs() > 1e-6).double().mean().item()


# %% mistake="stride_ignored" exercise="equivariance" fails="equivariance" hint="shift // stride"
# shifts the output by pixels
def equivariance_error(layer, x, shift, stride=1):
    if shift[0] % stride or shift[1] % stride:
        raise ValueError("no whole number of outputs")
    return (layer(torch.roll(x, shift, dims=(2, 3))) - torch.roll(layer(x), shift, dims=(2, 3))).abs().max().item()


def changed_share(layer, x, shift):
    change = layer(torch.roll(x, shift, dims=(2, 3))) - layer(x)
    return (change.abs() > 1e-6).double().mean().item()


# %% mistake="half_an_output" exercise="equivariance" fails="equivariance" hint="does not exist"
# rounds a shift of half an output down
def equivariance_error(layer, x, shift, stride=1):
    after = torch.roll(layer(x), (shift[0] // stride, shift[1] // stride), dims=(2, 3))
    return (layer(torch.roll(x, shift, dims=(2, 3))) - after).abs().max().item()


def changed_share(layer, x, shift):
    change = layer(torch.roll(x, shift, dims=(2, 3))) - layer(x)
    return (change.abs() > 1e-6).double().mean().item()


# %% mistake="a_tensor" exercise="equivariance" fails="equivariance" hint=".item()"
# a tensor where a number is wanted
def equivariance_error(layer, x, shift, stride=1):
    if shift[0] % stride or shift[1] % stride:
        raise ValueError("no whole number of outputs")
    after = torch.roll(layer(x), (shift[0] // stride, shift[1] // stride), dims=(2, 3))
    return (layer(torch.roll(x, shift, dims=(2, 3))) - after).abs().max()


def changed_share(layer, x, shift):
    change = layer(torch.roll(x, shift, dims=(2, 3))) - layer(x)
    return (change.abs() > 1e-6).double().mean()


# %% mistake="share_of_unchanged" exercise="equivariance" fails="equivariance:invariance" hint="0, not 1"
# counts what stays
def equivariance_error(layer, x, shift, stride=1):
    if shift[0] % stride or shift[1] % stride:
        raise ValueError("no whole number of outputs")
    after = torch.roll(layer(x), (shift[0] // stride, shift[1] // stride), dims=(2, 3))
    return (layer(torch.roll(x, shift, dims=(2, 3))) - after).abs().max().item()


def changed_share(layer, x, shift):
    change = layer(torch.roll(x, shift, dims=(2, 3))) - layer(x)
    share = (change.abs() <= 1e-6).double().mean().item()
    return share


# %% mistake="how_much_not_whether" exercise="equivariance" fails="equivariance:invariance" hint="not of how much"
# the mean change
def equivariance_error(layer, x, shift, stride=1):
    if shift[0] % stride or shift[1] % stride:
        raise ValueError("no whole number of outputs")
    after = torch.roll(layer(x), (shift[0] // stride, shift[1] // stride), dims=(2, 3))
    return (layer(torch.roll(x, shift, dims=(2, 3))) - after).abs().max().item()


def changed_share(layer, x, shift):
    return (layer(torch.roll(x, shift, dims=(2, 3))) - layer(x)).abs().double().mean().item() / 2


# %% mistake="exactly_equal" exercise="equivariance" fails="equivariance:invariance" hint="Rounding"
# != counts rounding as a change
def equivariance_error(layer, x, shift, stride=1):
    if shift[0] % stride or shift[1] % stride:
        raise ValueError("no whole number of outputs")
    after = torch.roll(layer(x), (shift[0] // stride, shift[1] // stride), dims=(2, 3))
    return (layer(torch.roll(x, shift, dims=(2, 3))) - after).abs().max().item()


def changed_share(layer, x, shift):
    return (layer(torch.roll(x, shift, dims=(2, 3))) != layer(x)).double().mean().item()


# %% mistake="output_shifted_too" exercise="equivariance" fails="equivariance:invariance" hint="not shift the output"
# that is the question of equivariance
def equivariance_error(layer, x, shift, stride=1):
    if shift[0] % stride or shift[1] % stride:
        raise ValueError("no whole number of outputs")
    after = torch.roll(layer(x), (shift[0] // stride, shift[1] // stride), dims=(2, 3))
    return (layer(torch.roll(x, shift, dims=(2, 3))) - after).abs().max().item()


def changed_share(layer, x, shift):
    change = layer(torch.roll(x, shift, dims=(2, 3))) - torch.roll(layer(x), shift, dims=(2, 3))
    return (change.abs() > 1e-6).double().mean().item()


# %% mistake="gradient_not_divided" exercise="digit_network" fails="digit_network" hint="divide by N"
# the mean belongs to the loss, and its gradient was forgotten
def network_gradients(layers, weights, x, t):
    w1, b1, w2, b2, w3, b3 = weights
    net1 = layers["conv"](x, w1, b1, 1, 1)
    h1, switches1 = layers["max_pool"](net1.relu(), 2, 2)
    net2 = layers["conv"](h1, w2, b2, 1, 1)
    h2, switches2 = layers["max_pool"](net2.relu(), 2, 2)
    z = h2.flatten(1) @ w3.T + b3
    loss = torch.nn.functional.cross_entropy(z, t)

    dz = z.softmax(1) - torch.nn.functional.one_hot(t, z.shape[1])
    dw3, db3 = dz.T @ h2.flatten(1), dz.sum(0)
    dh2 = (dz @ w3).reshape(h2.shape)
    dnet2 = layers["max_pool_gradient"](dh2, switches2, *net2.shape[2:]) * (net2 > 0)
    dh1, dw2, db2 = layers["conv_gradients"](dnet2, h1, w2, 1, 1)
    dnet1 = layers["max_pool_gradient"](dh1, switches1, *net1.shape[2:]) * (net1 > 0)
    _, dw1, db1 = layers["conv_gradients"](dnet1, x, w1, 1, 1)
    return loss, [dw1, db1, dw2, db2, dw3, db3]


def train_network(layers, weights, x, t, rate, batch_size, epochs, generator):
    deltas = [torch.zeros_like(w) for w in weights]
    steps, step = epochs * -(-len(x) // batch_size), 0  # batches, rounded up
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=generator).split(batch_size):
            _, gradients = network_gradients(layers, weights, x[batch], t[batch])
            now = rate * (1 - step / steps)
            deltas = [0.9 * delta - now * gradient for delta, gradient in zip(deltas, gradients, strict=True)]
            weights = [w + delta for w, delta in zip(weights, deltas, strict=True)]
            step += 1
    return weights


# %% mistake="one_hot_forgotten" exercise="digit_network" fails="digit_network" hint="b3"
# the probabilities, without the minus 1 for the right class
def network_gradients(layers, weights, x, t):
    w1, b1, w2, b2, w3, b3 = weights
    net1 = layers["conv"](x, w1, b1, 1, 1)
    h1, switches1 = layers["max_pool"](net1.relu(), 2, 2)
    net2 = layers["conv"](h1, w2, b2, 1, 1)
    h2, switches2 = layers["max_pool"](net2.relu(), 2, 2)
    z = h2.flatten(1) @ w3.T + b3
    loss = torch.nn.functional.cross_entropy(z, t)

    dz = z.softmax(1) / len(x)
    dw3, db3 = dz.T @ h2.flatten(1), dz.sum(0)
    dh2 = (dz @ w3).reshape(h2.shape)
    dnet2 = layers["max_pool_gradient"](dh2, switches2, *net2.shape[2:]) * (net2 > 0)
    dh1, dw2, db2 = layers["conv_gradients"](dnet2, h1, w2, 1, 1)
    dnet1 = layers["max_pool_gradient"](dh1, switches1, *net1.shape[2:]) * (net1 > 0)
    _, dw1, db1 = layers["conv_gradients"](dnet1, x, w1, 1, 1)
    return loss, [dw1, db1, dw2, db2, dw3, db3]


def train_network(layers, weights, x, t, rate, batch_size, epochs, generator):
    deltas = [torch.zeros_like(w) for w in weights]
    steps, step = epochs * -(-len(x) // batch_size), 0  # batches, rounded up
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=generator).split(batch_size):
            _, gradients = network_gradients(layers, weights, x[batch], t[batch])
            now = rate * (1 - step / steps)
            deltas = [0.9 * delta - now * gradient for delta, gradient in zip(deltas, gradients, strict=True)]
            weights = [w + delta for w, delta in zip(weights, deltas, strict=True)]
            step += 1
    return weights


# %% mistake="sign" exercise="digit_network" fails="digit_network" hint="b3"
# target minus probability
def network_gradients(layers, weights, x, t):
    w1, b1, w2, b2, w3, b3 = weights
    net1 = layers["conv"](x, w1, b1, 1, 1)
    h1, switches1 = layers["max_pool"](net1.relu(), 2, 2)
    net2 = layers["conv"](h1, w2, b2, 1, 1)
    h2, switches2 = layers["max_pool"](net2.relu(), 2, 2)
    z = h2.flatten(1) @ w3.T + b3
    loss = torch.nn.functional.cross_entropy(z, t)

    dz = (torch.nn.functional.one_hot(t, z.shape[1]) - z.softmax(1)) / len(x)
    dw3, db3 = dz.T @ h2.flatten(1), dz.sum(0)
    dh2 = (dz @ w3).reshape(h2.shape)
    dnet2 = layers["max_pool_gradient"](dh2, switches2, *net2.shape[2:]) * (net2 > 0)
    dh1, dw2, db2 = layers["conv_gradients"](dnet2, h1, w2, 1, 1)
    dnet1 = layers["max_pool_gradient"](dh1, switches1, *net1.shape[2:]) * (net1 > 0)
    _, dw1, db1 = layers["conv_gradients"](dnet1, x, w1, 1, 1)
    return loss, [dw1, db1, dw2, db2, dw3, db3]


def train_network(layers, weights, x, t, rate, batch_size, epochs, generator):
    deltas = [torch.zeros_like(w) for w in weights]
    steps, step = epochs * -(-len(x) // batch_size), 0  # batches, rounded up
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=generator).split(batch_size):
            _, gradients = network_gradients(layers, weights, x[batch], t[batch])
            now = rate * (1 - step / steps)
            deltas = [0.9 * delta - now * gradient for delta, gradient in zip(deltas, gradients, strict=True)]
            weights = [w + delta for w, delta in zip(weights, deltas, strict=True)]
            step += 1
    return weights


# %% mistake="sum_of_losses" exercise="digit_network" fails="digit_network" hint="the mean of"
# adds the losses up
def network_gradients(layers, weights, x, t):
    w1, b1, w2, b2, w3, b3 = weights
    net1 = layers["conv"](x, w1, b1, 1, 1)
    h1, switches1 = layers["max_pool"](net1.relu(), 2, 2)
    net2 = layers["conv"](h1, w2, b2, 1, 1)
    h2, switches2 = layers["max_pool"](net2.relu(), 2, 2)
    z = h2.flatten(1) @ w3.T + b3
    loss = torch.nn.functional.cross_entropy(z, t, reduction="sum")

    dz = (z.softmax(1) - torch.nn.functional.one_hot(t, z.shape[1])) / len(x)
    dw3, db3 = dz.T @ h2.flatten(1), dz.sum(0)
    dh2 = (dz @ w3).reshape(h2.shape)
    dnet2 = layers["max_pool_gradient"](dh2, switches2, *net2.shape[2:]) * (net2 > 0)
    dh1, dw2, db2 = layers["conv_gradients"](dnet2, h1, w2, 1, 1)
    dnet1 = layers["max_pool_gradient"](dh1, switches1, *net1.shape[2:]) * (net1 > 0)
    _, dw1, db1 = layers["conv_gradients"](dnet1, x, w1, 1, 1)
    return loss, [dw1, db1, dw2, db2, dw3, db3]


def train_network(layers, weights, x, t, rate, batch_size, epochs, generator):
    deltas = [torch.zeros_like(w) for w in weights]
    steps, step = epochs * -(-len(x) // batch_size), 0  # batches, rounded up
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=generator).split(batch_size):
            _, gradients = network_gradients(layers, weights, x[batch], t[batch])
            now = rate * (1 - step / steps)
            deltas = [0.9 * delta - now * gradient for delta, gradient in zip(deltas, gradients, strict=True)]
            weights = [w + delta for w, delta in zip(weights, deltas, strict=True)]
            step += 1
    return weights


# %% mistake="relu_forgotten_forwards" exercise="digit_network" fails="digit_network" hint="Forwards first"
# pools the bare convolution
def network_gradients(layers, weights, x, t):
    w1, b1, w2, b2, w3, b3 = weights
    net1 = layers["conv"](x, w1, b1, 1, 1)
    h1, switches1 = layers["max_pool"](net1, 2, 2)
    net2 = layers["conv"](h1, w2, b2, 1, 1)
    h2, switches2 = layers["max_pool"](net2.relu(), 2, 2)
    z = h2.flatten(1) @ w3.T + b3
    loss = torch.nn.functional.cross_entropy(z, t)

    dz = (z.softmax(1) - torch.nn.functional.one_hot(t, z.shape[1])) / len(x)
    dw3, db3 = dz.T @ h2.flatten(1), dz.sum(0)
    dh2 = (dz @ w3).reshape(h2.shape)
    dnet2 = layers["max_pool_gradient"](dh2, switches2, *net2.shape[2:]) * (net2 > 0)
    dh1, dw2, db2 = layers["conv_gradients"](dnet2, h1, w2, 1, 1)
    dnet1 = layers["max_pool_gradient"](dh1, switches1, *net1.shape[2:]) * (net1 > 0)
    _, dw1, db1 = layers["conv_gradients"](dnet1, x, w1, 1, 1)
    return loss, [dw1, db1, dw2, db2, dw3, db3]


def train_network(layers, weights, x, t, rate, batch_size, epochs, generator):
    deltas = [torch.zeros_like(w) for w in weights]
    steps, step = epochs * -(-len(x) // batch_size), 0  # batches, rounded up
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=generator).split(batch_size):
            _, gradients = network_gradients(layers, weights, x[batch], t[batch])
            now = rate * (1 - step / steps)
            deltas = [0.9 * delta - now * gradient for delta, gradient in zip(deltas, gradients, strict=True)]
            weights = [w + delta for w, delta in zip(weights, deltas, strict=True)]
            step += 1
    return weights


# %% mistake="relu_forgotten_backwards" exercise="digit_network" fails="digit_network" hint="then the ReLU"
# lets the gradient through where the unit was off
def network_gradients(layers, weights, x, t):
    w1, b1, w2, b2, w3, b3 = weights
    net1 = layers["conv"](x, w1, b1, 1, 1)
    h1, switches1 = layers["max_pool"](net1.relu(), 2, 2)
    net2 = layers["conv"](h1, w2, b2, 1, 1)
    h2, switches2 = layers["max_pool"](net2.relu(), 2, 2)
    z = h2.flatten(1) @ w3.T + b3
    loss = torch.nn.functional.cross_entropy(z, t)

    dz = (z.softmax(1) - torch.nn.functional.one_hot(t, z.shape[1])) / len(x)
    dw3, db3 = dz.T @ h2.flatten(1), dz.sum(0)
    dh2 = (dz @ w3).reshape(h2.shape)
    dnet2 = layers["max_pool_gradient"](dh2, switches2, *net2.shape[2:])
    dh1, dw2, db2 = layers["conv_gradients"](dnet2, h1, w2, 1, 1)
    dnet1 = layers["max_pool_gradient"](dh1, switches1, *net1.shape[2:]) * (net1 > 0)
    _, dw1, db1 = layers["conv_gradients"](dnet1, x, w1, 1, 1)
    return loss, [dw1, db1, dw2, db2, dw3, db3]


def train_network(layers, weights, x, t, rate, batch_size, epochs, generator):
    deltas = [torch.zeros_like(w) for w in weights]
    steps, step = epochs * -(-len(x) // batch_size), 0  # batches, rounded up
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=generator).split(batch_size):
            _, gradients = network_gradients(layers, weights, x[batch], t[batch])
            now = rate * (1 - step / steps)
            deltas = [0.9 * delta - now * gradient for delta, gradient in zip(deltas, gradients, strict=True)]
            weights = [w + delta for w, delta in zip(weights, deltas, strict=True)]
            step += 1
    return weights


# %% mistake="first_relu_forgotten_backwards" exercise="digit_network" fails="digit_network" hint="first ReLU"
# forgets it in the first layer only
def network_gradients(layers, weights, x, t):
    w1, b1, w2, b2, w3, b3 = weights
    net1 = layers["conv"](x, w1, b1, 1, 1)
    h1, switches1 = layers["max_pool"](net1.relu(), 2, 2)
    net2 = layers["conv"](h1, w2, b2, 1, 1)
    h2, switches2 = layers["max_pool"](net2.relu(), 2, 2)
    z = h2.flatten(1) @ w3.T + b3
    loss = torch.nn.functional.cross_entropy(z, t)

    dz = (z.softmax(1) - torch.nn.functional.one_hot(t, z.shape[1])) / len(x)
    dw3, db3 = dz.T @ h2.flatten(1), dz.sum(0)
    dh2 = (dz @ w3).reshape(h2.shape)
    dnet2 = layers["max_pool_gradient"](dh2, switches2, *net2.shape[2:]) * (net2 > 0)
    dh1, dw2, db2 = layers["conv_gradients"](dnet2, h1, w2, 1, 1)
    dnet1 = layers["max_pool_gradient"](dh1, switches1, *net1.shape[2:])
    _, dw1, db1 = layers["conv_gradients"](dnet1, x, w1, 1, 1)
    return loss, [dw1, db1, dw2, db2, dw3, db3]


def train_network(layers, weights, x, t, rate, batch_size, epochs, generator):
    deltas = [torch.zeros_like(w) for w in weights]
    steps, step = epochs * -(-len(x) // batch_size), 0  # batches, rounded up
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=generator).split(batch_size):
            _, gradients = network_gradients(layers, weights, x[batch], t[batch])
            now = rate * (1 - step / steps)
            deltas = [0.9 * delta - now * gradient for delta, gradient in zip(deltas, gradients, strict=True)]
            weights = [w + delta for w, delta in zip(weights, deltas, strict=True)]
            step += 1
    return weights


# %% mistake="relu_mask_of_the_gradient" exercise="digit_network" fails="digit_network" hint="then the ReLU"
# masks by the sign of the gradient
def network_gradients(layers, weights, x, t):
    w1, b1, w2, b2, w3, b3 = weights
    net1 = layers["conv"](x, w1, b1, 1, 1)
    h1, switches1 = layers["max_pool"](net1.relu(), 2, 2)
    net2 = layers["conv"](h1, w2, b2, 1, 1)
    h2, switches2 = layers["max_pool"](net2.relu(), 2, 2)
    z = h2.flatten(1) @ w3.T + b3
    loss = torch.nn.functional.cross_entropy(z, t)

    dz = (z.softmax(1) - torch.nn.functional.one_hot(t, z.shape[1])) / len(x)
    dw3, db3 = dz.T @ h2.flatten(1), dz.sum(0)
    dh2 = (dz @ w3).reshape(h2.shape)
    dnet2 = layers["max_pool_gradient"](dh2, switches2, *net2.shape[2:]).relu()
    dh1, dw2, db2 = layers["conv_gradients"](dnet2, h1, w2, 1, 1)
    dnet1 = layers["max_pool_gradient"](dh1, switches1, *net1.shape[2:]) * (net1 > 0)
    _, dw1, db1 = layers["conv_gradients"](dnet1, x, w1, 1, 1)
    return loss, [dw1, db1, dw2, db2, dw3, db3]


def train_network(layers, weights, x, t, rate, batch_size, epochs, generator):
    deltas = [torch.zeros_like(w) for w in weights]
    steps, step = epochs * -(-len(x) // batch_size), 0  # batches, rounded up
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=generator).split(batch_size):
            _, gradients = network_gradients(layers, weights, x[batch], t[batch])
            now = rate * (1 - step / steps)
            deltas = [0.9 * delta - now * gradient for delta, gradient in zip(deltas, gradients, strict=True)]
            weights = [w + delta for w, delta in zip(weights, deltas, strict=True)]
            step += 1
    return weights


# %% mistake="no_padding" exercise="digit_network" fails="digit_network" hint="padding 1"
# pictures shrink
def network_gradients(layers, weights, x, t):
    w1, b1, w2, b2, w3, b3 = weights
    net1 = layers["conv"](torch.nn.functional.pad(x, (0, 2, 0, 2)), w1, b1, 1, 0)
    h1, switches1 = layers["max_pool"](net1.relu(), 2, 2)
    net2 = layers["conv"](h1, w2, b2, 1, 1)
    h2, switches2 = layers["max_pool"](net2.relu(), 2, 2)
    z = h2.flatten(1) @ w3.T + b3
    loss = torch.nn.functional.cross_entropy(z, t)

    dz = (z.softmax(1) - torch.nn.functional.one_hot(t, z.shape[1])) / len(x)
    dw3, db3 = dz.T @ h2.flatten(1), dz.sum(0)
    dh2 = (dz @ w3).reshape(h2.shape)
    dnet2 = layers["max_pool_gradient"](dh2, switches2, *net2.shape[2:]) * (net2 > 0)
    dh1, dw2, db2 = layers["conv_gradients"](dnet2, h1, w2, 1, 1)
    dnet1 = layers["max_pool_gradient"](dh1, switches1, *net1.shape[2:]) * (net1 > 0)
    _, dw1, db1 = layers["conv_gradients"](dnet1, x, w1, 1, 1)
    return loss, [dw1, db1, dw2, db2, dw3, db3]


def train_network(layers, weights, x, t, rate, batch_size, epochs, generator):
    deltas = [torch.zeros_like(w) for w in weights]
    steps, step = epochs * -(-len(x) // batch_size), 0  # batches, rounded up
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=generator).split(batch_size):
            _, gradients = network_gradients(layers, weights, x[batch], t[batch])
            now = rate * (1 - step / steps)
            deltas = [0.9 * delta - now * gradient for delta, gradient in zip(deltas, gradients, strict=True)]
            weights = [w + delta for w, delta in zip(weights, deltas, strict=True)]
            step += 1
    return weights


# %% mistake="w2_meets_the_wrong_input" exercise="digit_network" fails="digit_network" hint="second convolution"
# gives conv_gradients what came out, shifted by a layer
def network_gradients(layers, weights, x, t):
    w1, b1, w2, b2, w3, b3 = weights
    net1 = layers["conv"](x, w1, b1, 1, 1)
    h1, switches1 = layers["max_pool"](net1.relu(), 2, 2)
    net2 = layers["conv"](h1, w2, b2, 1, 1)
    h2, switches2 = layers["max_pool"](net2.relu(), 2, 2)
    z = h2.flatten(1) @ w3.T + b3
    loss = torch.nn.functional.cross_entropy(z, t)

    dz = (z.softmax(1) - torch.nn.functional.one_hot(t, z.shape[1])) / len(x)
    dw3, db3 = dz.T @ h2.flatten(1), dz.sum(0)
    dh2 = (dz @ w3).reshape(h2.shape)
    dnet2 = layers["max_pool_gradient"](dh2, switches2, *net2.shape[2:]) * (net2 > 0)
    dh1, dw2, db2 = layers["conv_gradients"](dnet2, h1.roll(1, 2), w2, 1, 1)
    dnet1 = layers["max_pool_gradient"](dh1, switches1, *net1.shape[2:]) * (net1 > 0)
    _, dw1, db1 = layers["conv_gradients"](dnet1, x, w1, 1, 1)
    return loss, [dw1, db1, dw2, db2, dw3, db3]


def train_network(layers, weights, x, t, rate, batch_size, epochs, generator):
    deltas = [torch.zeros_like(w) for w in weights]
    steps, step = epochs * -(-len(x) // batch_size), 0  # batches, rounded up
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=generator).split(batch_size):
            _, gradients = network_gradients(layers, weights, x[batch], t[batch])
            now = rate * (1 - step / steps)
            deltas = [0.9 * delta - now * gradient for delta, gradient in zip(deltas, gradients, strict=True)]
            weights = [w + delta for w, delta in zip(weights, deltas, strict=True)]
            step += 1
    return weights


# %% mistake="w3_transposed" exercise="digit_network" fails="digit_network" hint="(classes, pixels)"
# the transpose
def network_gradients(layers, weights, x, t):
    w1, b1, w2, b2, w3, b3 = weights
    net1 = layers["conv"](x, w1, b1, 1, 1)
    h1, switches1 = layers["max_pool"](net1.relu(), 2, 2)
    net2 = layers["conv"](h1, w2, b2, 1, 1)
    h2, switches2 = layers["max_pool"](net2.relu(), 2, 2)
    z = h2.flatten(1) @ w3.T + b3
    loss = torch.nn.functional.cross_entropy(z, t)

    dz = (z.softmax(1) - torch.nn.functional.one_hot(t, z.shape[1])) / len(x)
    dw3, db3 = h2.flatten(1).T @ dz, dz.sum(0)
    dh2 = (dz @ w3).reshape(h2.shape)
    dnet2 = layers["max_pool_gradient"](dh2, switches2, *net2.shape[2:]) * (net2 > 0)
    dh1, dw2, db2 = layers["conv_gradients"](dnet2, h1, w2, 1, 1)
    dnet1 = layers["max_pool_gradient"](dh1, switches1, *net1.shape[2:]) * (net1 > 0)
    _, dw1, db1 = layers["conv_gradients"](dnet1, x, w1, 1, 1)
    return loss, [dw1, db1, dw2, db2, dw3, db3]


def train_network(layers, weights, x, t, rate, batch_size, epochs, generator):
    deltas = [torch.zeros_like(w) for w in weights]
    steps, step = epochs * -(-len(x) // batch_size), 0  # batches, rounded up
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=generator).split(batch_size):
            _, gradients = network_gradients(layers, weights, x[batch], t[batch])
            now = rate * (1 - step / steps)
            deltas = [0.9 * delta - now * gradient for delta, gradient in zip(deltas, gradients, strict=True)]
            weights = [w + delta for w, delta in zip(weights, deltas, strict=True)]
            step += 1
    return weights


# %% mistake="b3_mean" exercise="digit_network" fails="digit_network" hint="summed over the batch"
# a mean where a sum is needed
def network_gradients(layers, weights, x, t):
    w1, b1, w2, b2, w3, b3 = weights
    net1 = layers["conv"](x, w1, b1, 1, 1)
    h1, switches1 = layers["max_pool"](net1.relu(), 2, 2)
    net2 = layers["conv"](h1, w2, b2, 1, 1)
    h2, switches2 = layers["max_pool"](net2.relu(), 2, 2)
    z = h2.flatten(1) @ w3.T + b3
    loss = torch.nn.functional.cross_entropy(z, t)

    dz = (z.softmax(1) - torch.nn.functional.one_hot(t, z.shape[1])) / len(x)
    dw3, db3 = dz.T @ h2.flatten(1), dz.mean(0)
    dh2 = (dz @ w3).reshape(h2.shape)
    dnet2 = layers["max_pool_gradient"](dh2, switches2, *net2.shape[2:]) * (net2 > 0)
    dh1, dw2, db2 = layers["conv_gradients"](dnet2, h1, w2, 1, 1)
    dnet1 = layers["max_pool_gradient"](dh1, switches1, *net1.shape[2:]) * (net1 > 0)
    _, dw1, db1 = layers["conv_gradients"](dnet1, x, w1, 1, 1)
    return loss, [dw1, db1, dw2, db2, dw3, db3]


def train_network(layers, weights, x, t, rate, batch_size, epochs, generator):
    deltas = [torch.zeros_like(w) for w in weights]
    steps, step = epochs * -(-len(x) // batch_size), 0  # batches, rounded up
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=generator).split(batch_size):
            _, gradients = network_gradients(layers, weights, x[batch], t[batch])
            now = rate * (1 - step / steps)
            deltas = [0.9 * delta - now * gradient for delta, gradient in zip(deltas, gradients, strict=True)]
            weights = [w + delta for w, delta in zip(weights, deltas, strict=True)]
            step += 1
    return weights


# %% mistake="gradients_in_another_order" exercise="digit_network" fails="digit_network" hint="order w1, b1"
# from the last layer to the first
def network_gradients(layers, weights, x, t):
    w1, b1, w2, b2, w3, b3 = weights
    net1 = layers["conv"](x, w1, b1, 1, 1)
    h1, switches1 = layers["max_pool"](net1.relu(), 2, 2)
    net2 = layers["conv"](h1, w2, b2, 1, 1)
    h2, switches2 = layers["max_pool"](net2.relu(), 2, 2)
    z = h2.flatten(1) @ w3.T + b3
    loss = torch.nn.functional.cross_entropy(z, t)

    dz = (z.softmax(1) - torch.nn.functional.one_hot(t, z.shape[1])) / len(x)
    dw3, db3 = dz.T @ h2.flatten(1), dz.sum(0)
    dh2 = (dz @ w3).reshape(h2.shape)
    dnet2 = layers["max_pool_gradient"](dh2, switches2, *net2.shape[2:]) * (net2 > 0)
    dh1, dw2, db2 = layers["conv_gradients"](dnet2, h1, w2, 1, 1)
    dnet1 = layers["max_pool_gradient"](dh1, switches1, *net1.shape[2:]) * (net1 > 0)
    _, dw1, db1 = layers["conv_gradients"](dnet1, x, w1, 1, 1)
    return loss, [dw3, db3, dw2, db2, dw1, db1]


def train_network(layers, weights, x, t, rate, batch_size, epochs, generator):
    deltas = [torch.zeros_like(w) for w in weights]
    steps, step = epochs * -(-len(x) // batch_size), 0  # batches, rounded up
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=generator).split(batch_size):
            _, gradients = network_gradients(layers, weights, x[batch], t[batch])
            now = rate * (1 - step / steps)
            deltas = [0.9 * delta - now * gradient for delta, gradient in zip(deltas, gradients, strict=True)]
            weights = [w + delta for w, delta in zip(weights, deltas, strict=True)]
            step += 1
    return weights


# %% mistake="only_gradients" exercise="digit_network" fails="digit_network" hint="return loss"
# forgets the loss
def network_gradients(layers, weights, x, t):
    w1, b1, w2, b2, w3, b3 = weights
    net1 = layers["conv"](x, w1, b1, 1, 1)
    h1, switches1 = layers["max_pool"](net1.relu(), 2, 2)
    net2 = layers["conv"](h1, w2, b2, 1, 1)
    h2, switches2 = layers["max_pool"](net2.relu(), 2, 2)
    z = h2.flatten(1) @ w3.T + b3
    loss = torch.nn.functional.cross_entropy(z, t)

    dz = (z.softmax(1) - torch.nn.functional.one_hot(t, z.shape[1])) / len(x)
    dw3, db3 = dz.T @ h2.flatten(1), dz.sum(0)
    dh2 = (dz @ w3).reshape(h2.shape)
    dnet2 = layers["max_pool_gradient"](dh2, switches2, *net2.shape[2:]) * (net2 > 0)
    dh1, dw2, db2 = layers["conv_gradients"](dnet2, h1, w2, 1, 1)
    dnet1 = layers["max_pool_gradient"](dh1, switches1, *net1.shape[2:]) * (net1 > 0)
    _, dw1, db1 = layers["conv_gradients"](dnet1, x, w1, 1, 1)
    return [dw1, db1, dw2, db2, dw3, db3]


def train_network(layers, weights, x, t, rate, batch_size, epochs, generator):
    deltas = [torch.zeros_like(w) for w in weights]
    steps, step = epochs * -(-len(x) // batch_size), 0  # batches, rounded up
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=generator).split(batch_size):
            _, gradients = network_gradients(layers, weights, x[batch], t[batch])
            now = rate * (1 - step / steps)
            deltas = [0.9 * delta - now * gradient for delta, gradient in zip(deltas, gradients, strict=True)]
            weights = [w + delta for w, delta in zip(weights, deltas, strict=True)]
            step += 1
    return weights


# %% mistake="sizes_of_digits" exercise="digit_network" fails="digit_network" hint="output_size"
# only for 8×8 pixels
def network_gradients(layers, weights, x, t):
    w1, b1, w2, b2, w3, b3 = weights
    net1 = layers["conv"](x, w1, b1, 1, 1)
    h1, switches1 = layers["max_pool"](net1.relu(), 2, 2)
    net2 = layers["conv"](h1, w2, b2, 1, 1)
    h2, switches2 = layers["max_pool"](net2.relu(), 2, 2)
    z = h2.flatten(1) @ w3.T + b3
    loss = torch.nn.functional.cross_entropy(z, t)

    dz = (z.softmax(1) - torch.nn.functional.one_hot(t, z.shape[1])) / len(x)
    dw3, db3 = dz.T @ h2.flatten(1), dz.sum(0)
    dh2 = (dz @ w3).reshape(h2.shape)
    dnet2 = layers["max_pool_gradient"](dh2, switches2, 4, 4) * (net2 > 0)
    dh1, dw2, db2 = layers["conv_gradients"](dnet2, h1, w2, 1, 1)
    dnet1 = layers["max_pool_gradient"](dh1, switches1, 8, 8) * (net1 > 0)
    _, dw1, db1 = layers["conv_gradients"](dnet1, x, w1, 1, 1)
    return loss, [dw1, db1, dw2, db2, dw3, db3]


def train_network(layers, weights, x, t, rate, batch_size, epochs, generator):
    deltas = [torch.zeros_like(w) for w in weights]
    steps, step = epochs * -(-len(x) // batch_size), 0  # batches, rounded up
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=generator).split(batch_size):
            _, gradients = network_gradients(layers, weights, x[batch], t[batch])
            now = rate * (1 - step / steps)
            deltas = [0.9 * delta - now * gradient for delta, gradient in zip(deltas, gradients, strict=True)]
            weights = [w + delta for w, delta in zip(weights, deltas, strict=True)]
            step += 1
    return weights


# %% mistake="autograd" exercise="digit_network" fails="digit_network" hint="Backwards"
# lets autograd do it
def network_gradients(layers, weights, x, t):
    leaves = [w.clone().requires_grad_() for w in weights]
    with torch.enable_grad():
        h = torch.nn.functional.max_pool2d(torch.relu(torch.conv2d(x, leaves[0], leaves[1], padding=1)), 2)
        h = torch.nn.functional.max_pool2d(torch.relu(torch.conv2d(h, leaves[2], leaves[3], padding=1)), 2)
        loss = torch.nn.functional.cross_entropy(h.flatten(1) @ leaves[4].T + leaves[5], t)
    loss.backward()
    return loss.detach(), [w.grad for w in leaves]


def train_network(layers, weights, x, t, rate, batch_size, epochs, generator):
    deltas = [torch.zeros_like(w) for w in weights]
    steps, step = epochs * -(-len(x) // batch_size), 0  # batches, rounded up
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=generator).split(batch_size):
            _, gradients = network_gradients(layers, weights, x[batch], t[batch])
            now = rate * (1 - step / steps)
            deltas = [0.9 * delta - now * gradient for delta, gradient in zip(deltas, gradients, strict=True)]
            weights = [w + delta for w, delta in zip(weights, deltas, strict=True)]
            step += 1
    return weights


# %% mistake="uphill" exercise="digit_network" fails="digit_network:training" hint="downhill"
# adds the gradient
def network_gradients(layers, weights, x, t):
    w1, b1, w2, b2, w3, b3 = weights
    net1 = layers["conv"](x, w1, b1, 1, 1)
    h1, switches1 = layers["max_pool"](net1.relu(), 2, 2)
    net2 = layers["conv"](h1, w2, b2, 1, 1)
    h2, switches2 = layers["max_pool"](net2.relu(), 2, 2)
    z = h2.flatten(1) @ w3.T + b3
    loss = torch.nn.functional.cross_entropy(z, t)

    dz = (z.softmax(1) - torch.nn.functional.one_hot(t, z.shape[1])) / len(x)
    dw3, db3 = dz.T @ h2.flatten(1), dz.sum(0)
    dh2 = (dz @ w3).reshape(h2.shape)
    dnet2 = layers["max_pool_gradient"](dh2, switches2, *net2.shape[2:]) * (net2 > 0)
    dh1, dw2, db2 = layers["conv_gradients"](dnet2, h1, w2, 1, 1)
    dnet1 = layers["max_pool_gradient"](dh1, switches1, *net1.shape[2:]) * (net1 > 0)
    _, dw1, db1 = layers["conv_gradients"](dnet1, x, w1, 1, 1)
    return loss, [dw1, db1, dw2, db2, dw3, db3]


def train_network(layers, weights, x, t, rate, batch_size, epochs, generator):
    deltas = [torch.zeros_like(w) for w in weights]
    steps, step = epochs * -(-len(x) // batch_size), 0  # batches, rounded up
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=generator).split(batch_size):
            _, gradients = network_gradients(layers, weights, x[batch], t[batch])
            now = rate * (1 - step / steps)
            deltas = [0.9 * delta + now * gradient for delta, gradient in zip(deltas, gradients, strict=True)]
            weights = [w + delta for w, delta in zip(weights, deltas, strict=True)]
            step += 1
    return weights


# %% mistake="no_momentum" exercise="digit_network" fails="digit_network:training" hint="0.9"
# plain descent
def network_gradients(layers, weights, x, t):
    w1, b1, w2, b2, w3, b3 = weights
    net1 = layers["conv"](x, w1, b1, 1, 1)
    h1, switches1 = layers["max_pool"](net1.relu(), 2, 2)
    net2 = layers["conv"](h1, w2, b2, 1, 1)
    h2, switches2 = layers["max_pool"](net2.relu(), 2, 2)
    z = h2.flatten(1) @ w3.T + b3
    loss = torch.nn.functional.cross_entropy(z, t)

    dz = (z.softmax(1) - torch.nn.functional.one_hot(t, z.shape[1])) / len(x)
    dw3, db3 = dz.T @ h2.flatten(1), dz.sum(0)
    dh2 = (dz @ w3).reshape(h2.shape)
    dnet2 = layers["max_pool_gradient"](dh2, switches2, *net2.shape[2:]) * (net2 > 0)
    dh1, dw2, db2 = layers["conv_gradients"](dnet2, h1, w2, 1, 1)
    dnet1 = layers["max_pool_gradient"](dh1, switches1, *net1.shape[2:]) * (net1 > 0)
    _, dw1, db1 = layers["conv_gradients"](dnet1, x, w1, 1, 1)
    return loss, [dw1, db1, dw2, db2, dw3, db3]


def train_network(layers, weights, x, t, rate, batch_size, epochs, generator):
    deltas = [torch.zeros_like(w) for w in weights]
    steps, step = epochs * -(-len(x) // batch_size), 0  # batches, rounded up
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=generator).split(batch_size):
            _, gradients = network_gradients(layers, weights, x[batch], t[batch])
            now = rate * (1 - step / steps)
            deltas = [-now * gradient for delta, gradient in zip(deltas, gradients, strict=True)]
            weights = [w + delta for w, delta in zip(weights, deltas, strict=True)]
            step += 1
    return weights


# %% mistake="momentum_one" exercise="digit_network" fails="digit_network:training" hint="0.9"
# keeps all of the last step
def network_gradients(layers, weights, x, t):
    w1, b1, w2, b2, w3, b3 = weights
    net1 = layers["conv"](x, w1, b1, 1, 1)
    h1, switches1 = layers["max_pool"](net1.relu(), 2, 2)
    net2 = layers["conv"](h1, w2, b2, 1, 1)
    h2, switches2 = layers["max_pool"](net2.relu(), 2, 2)
    z = h2.flatten(1) @ w3.T + b3
    loss = torch.nn.functional.cross_entropy(z, t)

    dz = (z.softmax(1) - torch.nn.functional.one_hot(t, z.shape[1])) / len(x)
    dw3, db3 = dz.T @ h2.flatten(1), dz.sum(0)
    dh2 = (dz @ w3).reshape(h2.shape)
    dnet2 = layers["max_pool_gradient"](dh2, switches2, *net2.shape[2:]) * (net2 > 0)
    dh1, dw2, db2 = layers["conv_gradients"](dnet2, h1, w2, 1, 1)
    dnet1 = layers["max_pool_gradient"](dh1, switches1, *net1.shape[2:]) * (net1 > 0)
    _, dw1, db1 = layers["conv_gradients"](dnet1, x, w1, 1, 1)
    return loss, [dw1, db1, dw2, db2, dw3, db3]


def train_network(layers, weights, x, t, rate, batch_size, epochs, generator):
    deltas = [torch.zeros_like(w) for w in weights]
    steps, step = epochs * -(-len(x) // batch_size), 0  # batches, rounded up
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=generator).split(batch_size):
            _, gradients = network_gradients(layers, weights, x[batch], t[batch])
            now = rate * (1 - step / steps)
            deltas = [delta - now * gradient for delta, gradient in zip(deltas, gradients, strict=True)]
            weights = [w + delta for w, delta in zip(weights, deltas, strict=True)]
            step += 1
    return weights


# %% mistake="rate_stays" exercise="digit_network" fails="digit_network:training" hint="rate falls"
# the full rate to the end
def network_gradients(layers, weights, x, t):
    w1, b1, w2, b2, w3, b3 = weights
    net1 = layers["conv"](x, w1, b1, 1, 1)
    h1, switches1 = layers["max_pool"](net1.relu(), 2, 2)
    net2 = layers["conv"](h1, w2, b2, 1, 1)
    h2, switches2 = layers["max_pool"](net2.relu(), 2, 2)
    z = h2.flatten(1) @ w3.T + b3
    loss = torch.nn.functional.cross_entropy(z, t)

    dz = (z.softmax(1) - torch.nn.functional.one_hot(t, z.shape[1])) / len(x)
    dw3, db3 = dz.T @ h2.flatten(1), dz.sum(0)
    dh2 = (dz @ w3).reshape(h2.shape)
    dnet2 = layers["max_pool_gradient"](dh2, switches2, *net2.shape[2:]) * (net2 > 0)
    dh1, dw2, db2 = layers["conv_gradients"](dnet2, h1, w2, 1, 1)
    dnet1 = layers["max_pool_gradient"](dh1, switches1, *net1.shape[2:]) * (net1 > 0)
    _, dw1, db1 = layers["conv_gradients"](dnet1, x, w1, 1, 1)
    return loss, [dw1, db1, dw2, db2, dw3, db3]


def train_network(layers, weights, x, t, rate, batch_size, epochs, generator):
    deltas = [torch.zeros_like(w) for w in weights]
    steps, step = epochs * -(-len(x) // batch_size), 0  # batches, rounded up
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=generator).split(batch_size):
            _, gradients = network_gradients(layers, weights, x[batch], t[batch])
            now = rate
            deltas = [0.9 * delta - now * gradient for delta, gradient in zip(deltas, gradients, strict=True)]
            weights = [w + delta for w, delta in zip(weights, deltas, strict=True)]
            step += 1
    return weights


# %% mistake="rate_falls_by_epoch" exercise="digit_network" fails="digit_network:training" hint="at every step"
# counts epochs in place of steps
def network_gradients(layers, weights, x, t):
    w1, b1, w2, b2, w3, b3 = weights
    net1 = layers["conv"](x, w1, b1, 1, 1)
    h1, switches1 = layers["max_pool"](net1.relu(), 2, 2)
    net2 = layers["conv"](h1, w2, b2, 1, 1)
    h2, switches2 = layers["max_pool"](net2.relu(), 2, 2)
    z = h2.flatten(1) @ w3.T + b3
    loss = torch.nn.functional.cross_entropy(z, t)

    dz = (z.softmax(1) - torch.nn.functional.one_hot(t, z.shape[1])) / len(x)
    dw3, db3 = dz.T @ h2.flatten(1), dz.sum(0)
    dh2 = (dz @ w3).reshape(h2.shape)
    dnet2 = layers["max_pool_gradient"](dh2, switches2, *net2.shape[2:]) * (net2 > 0)
    dh1, dw2, db2 = layers["conv_gradients"](dnet2, h1, w2, 1, 1)
    dnet1 = layers["max_pool_gradient"](dh1, switches1, *net1.shape[2:]) * (net1 > 0)
    _, dw1, db1 = layers["conv_gradients"](dnet1, x, w1, 1, 1)
    return loss, [dw1, db1, dw2, db2, dw3, db3]


def train_network(layers, weights, x, t, rate, batch_size, epochs, generator):
    deltas = [torch.zeros_like(w) for w in weights]
    for epoch in range(epochs):
        for batch in torch.randperm(len(x), generator=generator).split(batch_size):
            _, gradients = network_gradients(layers, weights, x[batch], t[batch])
            now = rate * (1 - epoch / epochs)
            deltas = [0.9 * delta - now * gradient for delta, gradient in zip(deltas, gradients, strict=True)]
            weights = [w + delta for w, delta in zip(weights, deltas, strict=True)]
    return weights


# %% mistake="rate_already_lower" exercise="digit_network" fails="digit_network:training" hint="full rate"
# counts steps from 1
def network_gradients(layers, weights, x, t):
    w1, b1, w2, b2, w3, b3 = weights
    net1 = layers["conv"](x, w1, b1, 1, 1)
    h1, switches1 = layers["max_pool"](net1.relu(), 2, 2)
    net2 = layers["conv"](h1, w2, b2, 1, 1)
    h2, switches2 = layers["max_pool"](net2.relu(), 2, 2)
    z = h2.flatten(1) @ w3.T + b3
    loss = torch.nn.functional.cross_entropy(z, t)

    dz = (z.softmax(1) - torch.nn.functional.one_hot(t, z.shape[1])) / len(x)
    dw3, db3 = dz.T @ h2.flatten(1), dz.sum(0)
    dh2 = (dz @ w3).reshape(h2.shape)
    dnet2 = layers["max_pool_gradient"](dh2, switches2, *net2.shape[2:]) * (net2 > 0)
    dh1, dw2, db2 = layers["conv_gradients"](dnet2, h1, w2, 1, 1)
    dnet1 = layers["max_pool_gradient"](dh1, switches1, *net1.shape[2:]) * (net1 > 0)
    _, dw1, db1 = layers["conv_gradients"](dnet1, x, w1, 1, 1)
    return loss, [dw1, db1, dw2, db2, dw3, db3]


def train_network(layers, weights, x, t, rate, batch_size, epochs, generator):
    deltas = [torch.zeros_like(w) for w in weights]
    steps, step = epochs * -(-len(x) // batch_size), 0  # batches, rounded up
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=generator).split(batch_size):
            _, gradients = network_gradients(layers, weights, x[batch], t[batch])
            now = rate * (1 - (step + 1) / steps)
            deltas = [0.9 * delta - now * gradient for delta, gradient in zip(deltas, gradients, strict=True)]
            weights = [w + delta for w, delta in zip(weights, deltas, strict=True)]
            step += 1
    return weights


# %% mistake="no_shuffle" exercise="digit_network" fails="digit_network:training" hint="from the generator"
# the pictures in the order they lie in
def network_gradients(layers, weights, x, t):
    w1, b1, w2, b2, w3, b3 = weights
    net1 = layers["conv"](x, w1, b1, 1, 1)
    h1, switches1 = layers["max_pool"](net1.relu(), 2, 2)
    net2 = layers["conv"](h1, w2, b2, 1, 1)
    h2, switches2 = layers["max_pool"](net2.relu(), 2, 2)
    z = h2.flatten(1) @ w3.T + b3
    loss = torch.nn.functional.cross_entropy(z, t)

    dz = (z.softmax(1) - torch.nn.functional.one_hot(t, z.shape[1])) / len(x)
    dw3, db3 = dz.T @ h2.flatten(1), dz.sum(0)
    dh2 = (dz @ w3).reshape(h2.shape)
    dnet2 = layers["max_pool_gradient"](dh2, switches2, *net2.shape[2:]) * (net2 > 0)
    dh1, dw2, db2 = layers["conv_gradients"](dnet2, h1, w2, 1, 1)
    dnet1 = layers["max_pool_gradient"](dh1, switches1, *net1.shape[2:]) * (net1 > 0)
    _, dw1, db1 = layers["conv_gradients"](dnet1, x, w1, 1, 1)
    return loss, [dw1, db1, dw2, db2, dw3, db3]


def train_network(layers, weights, x, t, rate, batch_size, epochs, generator):
    deltas = [torch.zeros_like(w) for w in weights]
    steps, step = epochs * -(-len(x) // batch_size), 0  # batches, rounded up
    for _ in range(epochs):
        for batch in torch.arange(len(x)).split(batch_size):
            _, gradients = network_gradients(layers, weights, x[batch], t[batch])
            now = rate * (1 - step / steps)
            deltas = [0.9 * delta - now * gradient for delta, gradient in zip(deltas, gradients, strict=True)]
            weights = [w + delta for w, delta in zip(weights, deltas, strict=True)]
            step += 1
    return weights


# %% mistake="global_randomness" exercise="digit_network" fails="digit_network:training" hint="generator=generator"
# draws from the global generator
def network_gradients(layers, weights, x, t):
    w1, b1, w2, b2, w3, b3 = weights
    net1 = layers["conv"](x, w1, b1, 1, 1)
    h1, switches1 = layers["max_pool"](net1.relu(), 2, 2)
    net2 = layers["conv"](h1, w2, b2, 1, 1)
    h2, switches2 = layers["max_pool"](net2.relu(), 2, 2)
    z = h2.flatten(1) @ w3.T + b3
    loss = torch.nn.functional.cross_entropy(z, t)

    dz = (z.softmax(1) - torch.nn.functional.one_hot(t, z.shape[1])) / len(x)
    dw3, db3 = dz.T @ h2.flatten(1), dz.sum(0)
    dh2 = (dz @ w3).reshape(h2.shape)
    dnet2 = layers["max_pool_gradient"](dh2, switches2, *net2.shape[2:]) * (net2 > 0)
    dh1, dw2, db2 = layers["conv_gradients"](dnet2, h1, w2, 1, 1)
    dnet1 = layers["max_pool_gradient"](dh1, switches1, *net1.shape[2:]) * (net1 > 0)
    _, dw1, db1 = layers["conv_gradients"](dnet1, x, w1, 1, 1)
    return loss, [dw1, db1, dw2, db2, dw3, db3]


def train_network(layers, weights, x, t, rate, batch_size, epochs, generator):
    deltas = [torch.zeros_like(w) for w in weights]
    steps, step = epochs * -(-len(x) // batch_size), 0  # batches, rounded up
    for _ in range(epochs):
        for batch in torch.randperm(len(x)).split(batch_size):
            _, gradients = network_gradients(layers, weights, x[batch], t[batch])
            now = rate * (1 - step / steps)
            deltas = [0.9 * delta - now * gradient for delta, gradient in zip(deltas, gradients, strict=True)]
            weights = [w + delta for w, delta in zip(weights, deltas, strict=True)]
            step += 1
    return weights


# %% mistake="old_weights" exercise="digit_network" fails="digit_network:training" hint="at the new weights"
# takes every gradient at the start
def network_gradients(layers, weights, x, t):
    w1, b1, w2, b2, w3, b3 = weights
    net1 = layers["conv"](x, w1, b1, 1, 1)
    h1, switches1 = layers["max_pool"](net1.relu(), 2, 2)
    net2 = layers["conv"](h1, w2, b2, 1, 1)
    h2, switches2 = layers["max_pool"](net2.relu(), 2, 2)
    z = h2.flatten(1) @ w3.T + b3
    loss = torch.nn.functional.cross_entropy(z, t)

    dz = (z.softmax(1) - torch.nn.functional.one_hot(t, z.shape[1])) / len(x)
    dw3, db3 = dz.T @ h2.flatten(1), dz.sum(0)
    dh2 = (dz @ w3).reshape(h2.shape)
    dnet2 = layers["max_pool_gradient"](dh2, switches2, *net2.shape[2:]) * (net2 > 0)
    dh1, dw2, db2 = layers["conv_gradients"](dnet2, h1, w2, 1, 1)
    dnet1 = layers["max_pool_gradient"](dh1, switches1, *net1.shape[2:]) * (net1 > 0)
    _, dw1, db1 = layers["conv_gradients"](dnet1, x, w1, 1, 1)
    return loss, [dw1, db1, dw2, db2, dw3, db3]


def train_network(layers, weights, x, t, rate, batch_size, epochs, generator):
    start = weights
    deltas = [torch.zeros_like(w) for w in weights]
    steps, step = epochs * -(-len(x) // batch_size), 0  # batches, rounded up
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=generator).split(batch_size):
            _, gradients = network_gradients(layers, start, x[batch], t[batch])
            now = rate * (1 - step / steps)
            deltas = [0.9 * delta - now * gradient for delta, gradient in zip(deltas, gradients, strict=True)]
            weights = [w + delta for w, delta in zip(weights, deltas, strict=True)]
            step += 1
    return weights


# %% mistake="one_epoch" exercise="digit_network" fails="digit_network:training" hint="Δ = 0.9"
# returns inside of the loop
def network_gradients(layers, weights, x, t):
    w1, b1, w2, b2, w3, b3 = weights
    net1 = layers["conv"](x, w1, b1, 1, 1)
    h1, switches1 = layers["max_pool"](net1.relu(), 2, 2)
    net2 = layers["conv"](h1, w2, b2, 1, 1)
    h2, switches2 = layers["max_pool"](net2.relu(), 2, 2)
    z = h2.flatten(1) @ w3.T + b3
    loss = torch.nn.functional.cross_entropy(z, t)

    dz = (z.softmax(1) - torch.nn.functional.one_hot(t, z.shape[1])) / len(x)
    dw3, db3 = dz.T @ h2.flatten(1), dz.sum(0)
    dh2 = (dz @ w3).reshape(h2.shape)
    dnet2 = layers["max_pool_gradient"](dh2, switches2, *net2.shape[2:]) * (net2 > 0)
    dh1, dw2, db2 = layers["conv_gradients"](dnet2, h1, w2, 1, 1)
    dnet1 = layers["max_pool_gradient"](dh1, switches1, *net1.shape[2:]) * (net1 > 0)
    _, dw1, db1 = layers["conv_gradients"](dnet1, x, w1, 1, 1)
    return loss, [dw1, db1, dw2, db2, dw3, db3]


def train_network(layers, weights, x, t, rate, batch_size, epochs, generator):
    deltas = [torch.zeros_like(w) for w in weights]
    steps, step = epochs * -(-len(x) // batch_size), 0  # batches, rounded up
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=generator).split(batch_size):
            _, gradients = network_gradients(layers, weights, x[batch], t[batch])
            now = rate * (1 - step / steps)
            deltas = [0.9 * delta - now * gradient for delta, gradient in zip(deltas, gradients, strict=True)]
            weights = [w + delta for w, delta in zip(weights, deltas, strict=True)]
            step += 1
        return weights


# %% mistake="returns_nothing" exercise="digit_network" fails="digit_network:training" hint="six new weights"
# trains and keeps it
def network_gradients(layers, weights, x, t):
    w1, b1, w2, b2, w3, b3 = weights
    net1 = layers["conv"](x, w1, b1, 1, 1)
    h1, switches1 = layers["max_pool"](net1.relu(), 2, 2)
    net2 = layers["conv"](h1, w2, b2, 1, 1)
    h2, switches2 = layers["max_pool"](net2.relu(), 2, 2)
    z = h2.flatten(1) @ w3.T + b3
    loss = torch.nn.functional.cross_entropy(z, t)

    dz = (z.softmax(1) - torch.nn.functional.one_hot(t, z.shape[1])) / len(x)
    dw3, db3 = dz.T @ h2.flatten(1), dz.sum(0)
    dh2 = (dz @ w3).reshape(h2.shape)
    dnet2 = layers["max_pool_gradient"](dh2, switches2, *net2.shape[2:]) * (net2 > 0)
    dh1, dw2, db2 = layers["conv_gradients"](dnet2, h1, w2, 1, 1)
    dnet1 = layers["max_pool_gradient"](dh1, switches1, *net1.shape[2:]) * (net1 > 0)
    _, dw1, db1 = layers["conv_gradients"](dnet1, x, w1, 1, 1)
    return loss, [dw1, db1, dw2, db2, dw3, db3]


def train_network(layers, weights, x, t, rate, batch_size, epochs, generator):
    deltas = [torch.zeros_like(w) for w in weights]
    steps, step = epochs * -(-len(x) // batch_size), 0  # batches, rounded up
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=generator).split(batch_size):
            _, gradients = network_gradients(layers, weights, x[batch], t[batch])
            now = rate * (1 - step / steps)
            deltas = [0.9 * delta - now * gradient for delta, gradient in zip(deltas, gradients, strict=True)]
            weights = [w + delta for w, delta in zip(weights, deltas, strict=True)]
            step += 1
