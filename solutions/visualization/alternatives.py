# Right answers to `visualization`, written differently. Each must get full marks on every seed.


# %% alternative="exit_stack" exercise="record"
# contextlib takes the hooks off
def record(net, layers, x):
    import contextlib

    kept = {}
    with contextlib.ExitStack() as stack, torch.inference_mode(False), torch.no_grad():
        for name in layers:

            def hook(module, inputs, output, name=name):
                kept[name] = output.clone()

            handle = dict(net.named_modules())[name].register_forward_hook(hook)
            stack.callback(handle.remove)
        net(x)
    return {name: kept[name] for name in layers}


# %% alternative="one_dict_of_modules" exercise="record"
# one hook for all layers; names are looked up by module
def record(net: torch.nn.Module, layers: list[str], x: Tensor) -> dict[str, Tensor]:
    names = {module: name for name, module in net.named_modules() if name in layers}
    unknown = set(layers) - set(names.values())
    if unknown:
        raise ValueError(f"no layers {unknown}")
    seen = {}

    def hook(module, inputs, output):
        seen[names[module]] = torch.empty_like(output).copy_(output).detach()

    handles = [module.register_forward_hook(hook) for module in names]
    try:
        net(x)
    finally:
        [handle.remove() for handle in handles]
    return {name: seen[name] for name in layers}


# %% alternative="copy_of_the_net" exercise="record"
# hooks on a copy need no taking off
def record(net, layers, x):
    import copy

    twin, kept = copy.deepcopy(net), {}
    for name in layers:
        keep = lambda m, i, o, name=name: kept.update({name: o.detach().clone()})  # noqa: E731
        twin.get_submodule(name).register_forward_hook(keep)
    with torch.no_grad():
        twin(x)
    return {name: kept[name] for name in layers}


# %% alternative="other_forward" exercise="record"
# no hooks at all: each layer's forward is replaced for one run
def record(net, layers, x):
    kept, modules = {}, [net.get_submodule(name) for name in layers]

    def keeping(name, forward):
        def new(*arguments):
            output = forward(*arguments)
            kept[name] = output.detach().clone()
            return output

        return new

    try:
        for name, module in zip(layers, modules, strict=True):
            module.forward = keeping(name, module.forward)
        with torch.inference_mode():
            net(x)
    finally:
        for module in modules:
            module.__dict__.pop("forward", None)
    return {name: kept[name].clone() for name in layers}


# %% alternative="concatenated" exercise="dead_units"
# all batches in one tensor
def sparsity(batches):
    everything = torch.cat([a.flatten() for a in batches])
    return 1 - (torch.count_nonzero(everything) / len(everything)).item()


def dead_units(batches):
    everything = torch.cat([a.flatten(2) if a.dim() > 2 else a[:, :, None] for a in batches])  # (N, C, P)
    return everything.abs().amax(dim=(0, 2)) == 0


# %% alternative="python_loops" exercise="dead_units"
# channel by channel
def sparsity(batches):
    zeros = everything = 0
    for a in batches:
        zeros += int((a == 0).sum())
        everything += a.numel()
    return zeros / everything


def dead_units(batches):
    dead = [all(bool((a[:, c] == 0).all()) for a in batches) for c in range(batches[0].shape[1])]
    return torch.tensor(dead, device=batches[0].device)


# %% alternative="loops_in_float64" exercise="filter_health"
# filter by filter, in float64 inside
def filter_scores(w):
    count, C, k, _ = w.shape
    B = cosines(k, torch.float64)
    found = {name: torch.zeros(count, dtype=w.dtype, device=w.device) for name in ("noise", "flat", "alike", "dead")}
    lengths = w.double().flatten(1).norm(dim=1)
    for o in range(count):
        one = w[o].double()
        energy = (one**2).sum().item()
        found["dead"][o] = float(lengths[o] < lengths.median() / 100)
        if energy == 0:
            continue
        high = sum(
            (B @ one[c] @ B.T)[u, v].item() ** 2 for c in range(C) for u in range(k) for v in range(k) if u + v >= k
        )
        found["noise"][o] = high / energy
        found["flat"][o] = sum(k * k * one[c].mean().item() ** 2 for c in range(C)) / energy
        mine = one.flatten() - one.mean()
        cosines_found = [0.0]
        for p in range(count):
            other = w[p].double().flatten() - w[p].double().mean()
            if p != o and mine.norm() > 0 and other.norm() > 0:
                cosines_found.append(abs((mine @ other / mine.norm() / other.norm()).item()))
        found["alike"][o] = max(cosines_found)
    return found


def diagnose(w):
    scores = {name: score.double().mean().item() for name, score in filter_scores(w).items()}
    if scores["dead"] > 0.25:
        return "dead"
    if scores["flat"] > 0.5:
        return "flat"
    if scores["alike"] > 0.8:
        return "alike"
    return "noise" if scores["noise"] > 0.3 else "healthy"


# %% alternative="einsum" exercise="filter_health"
# einsum and normalize
def filter_scores(w):
    k = w.shape[-1]
    waves = torch.einsum("ui,ocij,vj->ocuv", cosines(k, w.dtype), w, cosines(k, w.dtype))
    order = torch.arange(k, device=w.device)
    mask = (order[:, None] + order[None, :]) >= k
    energy = (w**2).flatten(1).sum(1)
    scores = {
        "noise": (waves**2).masked_fill(~mask, 0).flatten(1).sum(1) / energy,
        "flat": (k * w.mean((2, 3))).pow(2).sum(1) / energy,
    }
    scores = {name: score.nan_to_num(nan=0.0) for name, score in scores.items()}
    unit = torch.nn.functional.normalize(w.flatten(1) - w.mean((1, 2, 3))[:, None], dim=1)
    likeness = (unit @ unit.T).abs()
    likeness[range(len(w)), range(len(w))] = 0
    length = w.flatten(1).norm(dim=1)
    return {**scores, "alike": likeness.max(1).values, "dead": (length < length.median() / 100).type_as(w)}


def diagnose(w):
    ill = [name for name in AILMENTS if filter_scores(w)[name].mean().item() > AILMENTS[name]]
    return ill[0] if ill else "healthy"


# %% alternative="one_image_at_a_time" exercise="saliency"
# a backward pass for each image
def saliency(net, x, classes):
    maps = []
    for image, wish in zip(x, classes.tolist(), strict=True):
        leaf = image[None].clone().detach().requires_grad_(True)
        (slope,) = torch.autograd.grad(net(leaf)[0, wish], leaf)
        maps.append(slope[0].abs().max(dim=0).values)
    return torch.stack(maps)


# %% alternative="vector_product" exercise="saliency"
# one-hot rows as the vector of the vector–Jacobian product
def saliency(net, x, classes):
    leaf = x.clone().requires_grad_()
    scores = net(leaf)
    rows = torch.nn.functional.one_hot(classes, scores.shape[1]).to(scores.dtype)
    (slope,) = torch.autograd.grad(scores, leaf, rows)
    return torch.maximum(slope, -slope).amax(1)


# %% alternative="vmap_of_grad" exercise="saliency"
# each image's own slope, by torch.func, with the weights handed over as data
def saliency(net, x, classes):
    values = dict(net.named_parameters()) | dict(net.named_buffers())

    def score(image, wish):
        return torch.func.functional_call(net, values, (image[None],))[0].gather(0, wish[None])[0]

    return torch.func.vmap(torch.func.grad(score))(x, classes).abs().amax(1).detach()


# %% alternative="backward_to_the_image_only" exercise="saliency"
# backward(inputs=…) fills no weight's .grad
def saliency(net, x, classes):
    x = x.detach().clone().requires_grad_()
    net(x)[torch.arange(len(x)), classes].sum().backward(inputs=[x])
    return x.grad.abs().max(dim=1).values


# %% alternative="masks_by_comparison" exercise="occlusion"
# no loop over places: a mask by comparing indices, and torch.where
def occlusion(net, x, classes, window, stride=1, fill=0.5, batch_size=256):
    N, _, H, W = x.shape
    tops = torch.arange(0, H - window + 1, stride, device=x.device)
    lefts = torch.arange(0, W - window + 1, stride, device=x.device)
    i, j = torch.arange(H, device=x.device), torch.arange(W, device=x.device)
    rows = (i >= tops[:, None]) & (i < tops[:, None] + window)  # (rows, H)
    columns = (j >= lefts[:, None]) & (j < lefts[:, None] + window)  # (columns, W)
    cover = rows[:, None, :, None] & columns[None, :, None, :]  # (rows, columns, H, W)
    covered = x[:, None].masked_fill(cover.flatten(0, 1)[None, :, None], fill)  # (N, places, C, H, W)
    wishes = classes[:, None].expand(N, len(tops) * len(lefts)).flatten()
    found = []
    with torch.no_grad():
        for part, wish in zip(covered.flatten(0, 1).split(batch_size), wishes.split(batch_size), strict=True):
            found.append(net(part).softmax(1)[range(len(part)), wish])
    return torch.cat(found).reshape(N, len(tops), len(lefts))


# %% alternative="batches_by_hand" exercise="occlusion"
# places in a list, batches by slicing
@torch.no_grad()
def occlusion(net, x, classes, window, stride=1, fill=0.5, batch_size=256):
    places = [
        (a, b) for a in range(0, x.shape[2] - window + 1, stride) for b in range(0, x.shape[3] - window + 1, stride)
    ]
    result = []
    for n in range(len(x)):
        chances = []
        for first in range(0, len(places), batch_size):
            chosen = places[first : first + batch_size]
            batch = torch.stack([x[n]] * len(chosen))
            for k, (a, b) in enumerate(chosen):
                batch[k, :, a : a + window, b : b + window] = fill
            scores = net(batch)
            chances += [torch.exp(scores - scores.logsumexp(1, keepdim=True))[:, classes[n]]]
        result.append(torch.cat(chances))
    return torch.stack(result).reshape(len(x), -1, (x.shape[3] - window) // stride + 1)


# %% alternative="windows_of_copies" exercise="occlusion"
# writes into the views that unfold gives
def occlusion(net, x, classes, window, stride=1, fill=0.5, batch_size=256):
    n, (rows, columns) = len(x), ((side - window) // stride + 1 for side in x.shape[2:])
    copies = x[:, None].repeat(1, rows * columns, 1, 1, 1)
    windows = copies.unfold(3, window, stride).unfold(4, window, stride)  # (N, places, C, rows, columns, w, w)
    for place in range(rows * columns):
        windows[:, place, :, place // columns, place % columns] = fill
    with torch.no_grad():
        chances = torch.cat([net(part).log_softmax(1).exp() for part in copies.flatten(0, 1).split(batch_size)])
    wishes = classes.repeat_interleave(rows * columns)
    return chances.gather(1, wishes[:, None]).view(n, rows, columns)


# %% alternative="one_by_one_convolution" exercise="cam"
# the classifier moved before the pooling: a convolution of 1×1, then the class's channel
def cam(net, x, classes):
    with torch.no_grad():
        every = torch.nn.functional.conv2d(net[:-3](x), net[-1].weight[:, :, None, None])  # (N, classes, h, w)
        return every[torch.arange(len(x), device=x.device), classes]


# %% alternative="loops" exercise="cam"
# the sum, letter by letter
def cam(net, x, classes):
    maps = x
    for layer in list(net)[:-3]:
        maps = layer(maps)
    maps = maps.detach()
    weight = net[-1].weight.detach()
    result = torch.zeros_like(maps[:, 0])
    for n in range(len(x)):
        for k in range(maps.shape[1]):
            result[n] += weight[classes[n], k] * maps[n, k]
    return result


# %% alternative="classifier_at_each_place" exercise="cam"
# the linear layer, asked at each place, less its bias
def cam(net, x, classes):
    with torch.no_grad():
        scores = net[-1](net[:-3](x).permute(0, 2, 3, 1)) - net[-1].bias  # (N, h, w, classes)
    return torch.stack([of_one[..., wish] for of_one, wish in zip(scores, classes, strict=True)])


# %% alternative="replaced_output" exercise="grad_cam"
# the hook puts a leaf in the place of the maps, so that the graph begins there
def grad_cam(net, layer, x, classes):
    leaves = []

    def hook(module, inputs, output):
        leaves.append(output.detach().clone().requires_grad_())
        return leaves[0].clone()

    handle = net.get_submodule(layer).register_forward_hook(hook)
    try:
        scores = net(x)
    finally:
        handle.remove()
    wanted = scores[torch.arange(len(x), device=x.device), classes]
    (slope,) = torch.autograd.grad(wanted.sum(), leaves)
    with torch.no_grad():
        return torch.relu((slope.mean((-2, -1), keepdim=True) * leaves[0]).sum(1))


# %% alternative="context_manager" exercise="grad_cam"
# a hook on the named module, image by image
def grad_cam(net, layer, x, classes):
    module = dict(net.named_modules())[layer]
    pictures = []
    for image, wish in zip(x, classes, strict=True):
        maps = []
        handle = module.register_forward_hook(lambda *arguments, maps=maps: maps.append(arguments[2]))
        try:
            score = net(image[None].clone().requires_grad_())[0, wish]
        finally:
            handle.remove()
        (slope,) = torch.autograd.grad(score, maps[0])
        alpha = slope[0].flatten(1).mean(1)
        pictures.append(torch.tensordot(alpha, maps[0][0].detach(), dims=1).clamp_min(0))
    return torch.stack(pictures)


# %% alternative="both_kinds_of_hooks" exercise="grad_cam"
# a forward hook for the maps, a backward hook for the slopes
def grad_cam(net, layer, x, classes):
    kept, module = {}, net.get_submodule(layer)
    hooks = [
        module.register_forward_hook(lambda m, i, o: kept.update(maps=o.detach().clone())),
        module.register_full_backward_hook(lambda m, i, o: kept.update(slope=o[0])),
    ]
    try:
        x = x.detach().clone().requires_grad_()
        torch.autograd.grad(net(x).gather(1, classes[:, None]).sum(), x)
    finally:
        for hook in hooks:
            hook.remove()
    return (kept["slope"].mean((2, 3), keepdim=True) * kept["maps"]).sum(1).relu()


# %% alternative="loops" exercise="map_scores"
# image by image
def pointing_game(maps, masks):
    hits = []
    for one, mask in zip(maps, masks, strict=True):
        place = int(one.argmax())
        hits.append(float(mask[place // one.shape[1], place % one.shape[1]]))
    return torch.tensor(hits, dtype=maps.dtype, device=maps.device)


def best_iou(maps, masks, thresholds):
    best = []
    for one, mask in zip(maps, masks, strict=True):
        low, high = one.min(), one.max()
        scaled = (one - low) / (high - low) if high > low else torch.zeros_like(one)
        shares = [0.0]
        for threshold in thresholds:
            above = scaled > threshold
            shares.append((above & mask).sum().item() / (above | mask).sum().item())
        best.append(max(shares))
    return torch.tensor(best, dtype=maps.dtype, device=maps.device)


def energy_inside(maps, masks):
    shares = []
    for one, mask in zip(maps, masks, strict=True):
        positive = one[one > 0].sum().item()
        shares.append(one[mask & (one > 0)].sum().item() / positive if positive else 0.0)
    return torch.tensor(shares, dtype=maps.dtype, device=maps.device)


# %% alternative="all_thresholds_at_once" exercise="map_scores"
# one axis for thresholds
def pointing_game(maps, masks):
    return masks.flatten(1)[torch.arange(len(maps), device=maps.device), maps.flatten(1).argmax(1)].type_as(maps)


def best_iou(maps, masks, thresholds):
    flat = maps.flatten(1) - maps.flatten(1).min(1, keepdim=True).values
    scaled = (flat / flat.max(1, keepdim=True).values).nan_to_num(0.0)
    levels = torch.tensor(thresholds, dtype=maps.dtype, device=maps.device)
    above = scaled > levels[:, None, None]  # (T, N, P)
    truth = masks.flatten(1)
    return ((above & truth).sum(2) / (above | truth).sum(2)).amax(0).to(maps.dtype)


def energy_inside(maps, masks):
    positive = torch.clamp(maps, min=0)
    share = torch.where(masks, positive, 0).sum((1, 2)) / positive.sum((1, 2))
    return torch.where(share.isnan(), 0, share)


# %% alternative="numpy" exercise="map_scores"
# NumPy's places, and nan_to_num for 0/0
def pointing_game(maps, masks):
    found = [mask.flatten()[int(m.cpu().numpy().argmax())].item() for m, mask in zip(maps, masks, strict=True)]
    return torch.tensor(found, dtype=maps.dtype, device=maps.device)


def best_iou(maps, masks, thresholds):
    best = []
    for m, mask in zip(maps, masks, strict=True):
        scaled = ((m - m.min()) / (m.max() - m.min())).nan_to_num()
        best.append(max((((scaled > t) & mask).sum() / ((scaled > t) | mask).sum()).item() for t in thresholds))
    return torch.tensor(best, dtype=maps.dtype, device=maps.device)


def energy_inside(maps, masks):
    positive = maps * (maps > 0)
    return ((positive * masks).sum((-2, -1)) / positive.sum((-2, -1))).nan_to_num()


# %% alternative="slope_in_two_parts" exercise="class_model"
# the slope of −λ‖I‖² is known: −2λI
def class_model(net, classes, start, decay, steps, rate):
    x = start.clone()
    rows = torch.arange(len(x), device=x.device)
    for _ in range(steps):
        leaf = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(net(leaf)[rows, classes].sum(), leaf)
        x = x + rate * (slope - 2 * decay * x)
    return x


# %% alternative="in_place" exercise="class_model"
# one leaf that is moved in place
def class_model(net, classes, start, decay, steps, rate):
    x = start.detach().clone().requires_grad_(True)
    for _ in range(steps):
        loss = decay * (x * x).sum() - net(x)[range(len(x)), classes].sum()
        gradient = torch.autograd.grad(loss, [x])[0]
        with torch.no_grad():
            x -= rate * gradient
    return x.detach()


# %% alternative="diff_and_hypot" exercise="inversion"
# torch.diff, and one image at a time
def total_variation(x, beta=2.0):
    across, down = torch.diff(x, dim=3)[:, :, :-1], torch.diff(x, dim=2)[:, :, :, :-1]
    return torch.sqrt(across**2 + down**2 + 1e-12).pow(beta).flatten(1).sum(1)


def invert(features, wanted, start, weight, steps, rate):
    found = []
    for target, first in zip(wanted, start, strict=True):
        x, delta = first[None].clone(), 0
        for _ in range(steps):
            leaf = x.clone().requires_grad_()
            error = ((features(leaf)[0] - target) ** 2).sum() / (target**2).sum()
            (slope,) = torch.autograd.grad(error + weight * total_variation(leaf)[0], leaf)
            delta = 0.9 * delta - rate * slope
            x = x + delta
        found.append(x[0])
    return torch.stack(found)


# %% alternative="velocity" exercise="inversion"
# the step size outside of what is remembered: the same for a constant rate; images moved in place
def total_variation(x, beta=2.0):
    square = (x[..., :-1, 1:] - x[..., :-1, :-1]) ** 2 + (x[..., 1:, :-1] - x[..., :-1, :-1]) ** 2
    return ((square + 1e-12) ** (beta / 2)).sum(dim=(-3, -2, -1))


def invert(features, wanted, start, weight, steps, rate):
    x = start.detach().clone().requires_grad_()
    velocity = torch.zeros_like(start)
    size = wanted.pow(2).reshape(len(wanted), -1).sum(1)
    for _ in range(steps):
        difference = (features(x) - wanted).reshape(len(wanted), -1)
        objective = (difference.pow(2).sum(1) / size + weight * total_variation(x)).sum()
        velocity = 0.9 * velocity + torch.autograd.grad(objective, x)[0]
        with torch.no_grad():
            x -= rate * velocity
    return x.detach()


# %% alternative="windows" exercise="inversion"
# neighbours by unfold, which needs two rows and columns; momentum as torch.optim writes it
def total_variation(x, beta=2.0):
    corners = x.unfold(2, 2, 1).unfold(3, 2, 1)  # (N, C, H − 1, W − 1, 2, 2)
    across, down = corners[..., 0, 1] - corners[..., 0, 0], corners[..., 1, 0] - corners[..., 0, 0]
    return (across**2 + down**2 + 1e-12).pow(beta / 2).flatten(1).sum(1)


def invert(features, wanted, start, weight, steps, rate):
    def error(x):
        off = torch.linalg.vector_norm((features(x) - wanted).flatten(1), dim=1) ** 2
        return (off / wanted.flatten(1).pow(2).sum(1) + weight * total_variation(x)).sum()

    x, velocity = start.clone(), 0.0
    for _ in range(steps):
        velocity = 0.9 * velocity + torch.func.grad(error)(x)
        x = x - rate * velocity
    return x.detach()


# %% alternative="log_probability" exercise="fgsm"
# down the log-probability of the true class; image by image
def fgsm(net, x, t, epsilon):
    attacked = []
    for image, wish in zip(x, t, strict=True):
        leaf = image[None].detach().clone().requires_grad_()
        (slope,) = torch.autograd.grad(net(leaf).log_softmax(1)[0, wish], leaf)
        attacked.append(torch.clip(image - epsilon * torch.sign(slope[0]), 0.0, 1.0))
    return torch.stack(attacked)


def accuracy_against(net, x, t, epsilons):
    shares = []
    for epsilon in epsilons:
        attacked = fgsm(net, x, t, epsilon)
        right = sum(int(net(a[None]).argmax() == c) for a, c in zip(attacked, t, strict=True))
        shares.append(right / len(x))
    return shares


# %% alternative="mean_loss" exercise="fgsm"
# the mean's slope has the same sign; the image is cut by minimum and maximum
def fgsm(net, x, t, epsilon):
    leaf = x.detach().clone()
    leaf.requires_grad = True
    loss = torch.nn.CrossEntropyLoss()(net(leaf), t)
    direction = torch.autograd.grad(loss, leaf)[0].sign()
    return torch.minimum(torch.maximum(x + epsilon * direction, torch.zeros_like(x)), torch.ones_like(x))


def accuracy_against(net, x, t, epsilons):
    def share(epsilon):
        return (net(fgsm(net, x, t, epsilon)).argmax(-1) == t).double().mean().item()

    return list(map(share, epsilons))


# %% alternative="walks_the_image" exercise="minimal_change"
# moves the image itself, and takes the difference at the end
def fooled_at(net, x, targets, price, steps, rate):
    image = x.clone()
    for _ in range(steps):
        leaf = image.clone().requires_grad_()
        chance = net(leaf).log_softmax(1).gather(1, targets[:, None]).sum()
        (slope,) = torch.autograd.grad(-chance, leaf)
        image = (image - rate * (slope + 2 * price * (image - x))).clip(0, 1)
    return image - x


def minimal_change(net, x, targets, prices, steps, rate):
    best = torch.zeros_like(x)
    for price in sorted(prices):  # from the lowest up: a higher price that fools overwrites
        r = fooled_at(net, x, targets, price, steps, rate)
        fooled = (net(x + r).argmax(1) == targets)[:, None, None, None]
        best = torch.where(fooled, r, best)
    return best


# %% alternative="image_by_image" exercise="minimal_change"
# stops at the first price that fools
def fooled_at(net, x, targets, price, steps, rate):
    r = torch.zeros_like(x)
    for _ in range(steps):
        leaf = r.clone().requires_grad_()
        losses = torch.nn.functional.cross_entropy(net(x + leaf), targets, reduction="none")
        objective = losses + price * leaf.flatten(1).pow(2).sum(1)
        gradient = torch.autograd.grad(objective.sum(), leaf)[0]
        r = torch.clamp(x + r - rate * gradient, 0, 1) - x
    return r


def minimal_change(net, x, targets, prices, steps, rate):
    found = []
    for n in range(len(x)):
        for price in sorted(prices)[::-1]:
            r = fooled_at(net, x[n : n + 1], targets[n : n + 1], price, steps, rate)
            if net(x[n : n + 1] + r).argmax() == targets[n]:
                break
        else:
            r = torch.zeros_like(x[n : n + 1])
        found.append(r)
    return torch.cat(found)


# %% alternative="vmap_and_where" exercise="minimal_change"
# each image's own slope by torch.func; the box as limits of r; prices upwards, and the last that fools
def fooled_at(net, x, targets, price, steps, rate):
    def loss(r, image, wish):
        return price * (r * r).sum() + torch.nn.functional.cross_entropy(net((image + r)[None]), wish[None])

    slope, r = torch.func.vmap(torch.func.grad(loss)), torch.zeros_like(x)
    for _ in range(steps):
        r = torch.clamp(r - rate * slope(r, x, targets), -x, 1 - x).detach()
    return r


def minimal_change(net, x, targets, prices, steps, rate):
    best = torch.zeros_like(x)
    for price in sorted(prices):
        r = fooled_at(net, x, targets, price, steps, rate)
        with torch.no_grad():
            fooled = net(x + r).argmax(1) == targets
        best = torch.where(fooled[:, None, None, None], r, best)
    return best


# %% alternative="by_hand" exercise="adversarial_epoch"
# no optimizer: slopes by autograd, weights moved in place
def adversarial_epoch(net, attack, X, t, batches, strength, rate, share=0.5):
    losses = []
    for batch in batches:
        x, classes = X[batch], t[batch]
        net.train(False)
        with torch.enable_grad():
            attacked = attack(net, x, classes, strength).detach()
        net.train(True)
        J = torch.nn.CrossEntropyLoss()
        loss = share * J(net(x), classes) + (1 - share) * J(net(attacked), classes)
        weights = list(net.parameters())
        slopes = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            for weight, slope in zip(weights, slopes, strict=True):
                weight.sub_(rate * slope)
        losses.append(loss.item())
    net.eval()
    for weight in net.parameters():
        weight.grad = None
    return torch.tensor(losses, device=X.device)


# %% alternative="two_backward_passes" exercise="adversarial_epoch"
# each part of the loss is sent back as it comes; gradients add up
def adversarial_epoch(net, attack, X, t, batches, strength, rate, share=0.5):
    optimizer = torch.optim.SGD(net.parameters(), rate)
    losses = torch.zeros(len(batches), device=X.device)
    for number, batch in enumerate(batches):
        attacked = attack(net.eval(), X[batch], t[batch], strength).detach()
        optimizer.zero_grad()
        net.train()
        for part, images_now in ((share, X[batch]), (1 - share, attacked)):
            loss = part * torch.nn.functional.cross_entropy(net(images_now), t[batch])
            loss.backward()
            losses[number] += loss.detach()
        optimizer.step()
    net.zero_grad()
    net.eval()
    return losses
