# Errors students really make in `visualization`, each with the tests that must fail and a word of its hint.


# %% mistake="hooks_stay" exercise="record" fails="record:hooks_off" hint="Take every hook off"
# right numbers, and a hook for ever
def record(net, layers, x):
    kept = {}
    for name in layers:
        net.get_submodule(name).register_forward_hook(
            lambda m, i, o, name=name: kept.__setitem__(name, o.detach().clone())
        )
    with torch.no_grad():
        net(x)
    return {name: kept[name] for name in layers}


# %% mistake="no_finally" exercise="record" fails="record:hooks_off" hint="finally"
# takes the hooks off, unless the net raises
def record(net, layers, x):
    kept, hooks = {}, []
    for name in layers:
        layer = net.get_submodule(name)
        hooks.append(layer.register_forward_hook(lambda m, i, o, name=name: kept.__setitem__(name, o.detach().clone())))
    with torch.no_grad():
        net(x)
    for hook in hooks:
        hook.remove()
    return {name: kept[name] for name in layers}


# %% mistake="hung_before_try" exercise="record" fails="record:hooks_off" hint="inside of `try`"
# the first hook stays when the second name does not exist
def record(net, layers, x):
    kept = {}
    hooks = [
        net.get_submodule(name).register_forward_hook(
            lambda m, i, o, name=name: kept.__setitem__(name, o.detach().clone())
        )
        for name in layers
    ]
    try:
        with torch.no_grad():
            net(x)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: kept[name] for name in layers}


# %% mistake="only_the_last_hook_off" exercise="record" fails="record:hooks_off" hint="Take every hook off"
# one variable for all handles
def record(net, layers, x):
    kept = {}
    try:
        for name in layers:
            hook = net.get_submodule(name).register_forward_hook(
                lambda m, i, o, name=name: kept.__setitem__(name, o.detach().clone())
            )
        with torch.no_grad():
            net(x)
    finally:
        hook.remove()
    return {name: kept[name] for name in layers}


# %% mistake="clears_everybodys_hooks" exercise="record" fails="record:hooks_off" hint="your own hooks"
# empties the net's own table of hooks
def record(net, layers, x):
    kept = {}
    try:
        for name in layers:
            net.get_submodule(name).register_forward_hook(
                lambda m, i, o, name=name: kept.__setitem__(name, o.detach().clone())
            )
        with torch.no_grad():
            net(x)
    finally:
        for module in net.modules():
            module._forward_hooks.clear()
    return {name: kept[name] for name in layers}


# %% mistake="swallows_the_error" exercise="record" fails="record:hooks_off" hint="swallow"
# except, where finally is meant
def record(net, layers, x):
    kept, hooks = dict.fromkeys(layers), []
    try:
        for name in layers:
            layer = net.get_submodule(name)
            hooks.append(
                layer.register_forward_hook(lambda m, i, o, name=name: kept.__setitem__(name, o.detach().clone()))
            )
        with torch.no_grad():
            net(x)
    except Exception:
        print("the net failed")
    for hook in hooks:
        hook.remove()
    return kept


# %% mistake="no_copy" exercise="record" fails="record" hint="Keep a copy"
# what it kept is written over by a ReLU that works in place
def record(net, layers, x):
    kept, hooks = dict.fromkeys(layers), []
    try:
        for name in layers:
            layer = net.get_submodule(name)
            hooks.append(layer.register_forward_hook(lambda m, i, o, name=name: kept.__setitem__(name, o.detach())))
        with torch.no_grad():
            net(x)
    finally:
        for hook in hooks:
            hook.remove()
    return kept


# %% mistake="late_binding" exercise="record" fails="record" hint="remember its name"
# all hooks write under the last name: a closure sees the variable, not its value
def record(net, layers, x):
    kept, hooks = dict.fromkeys(layers, torch.zeros(2, 6, 8, 8)), []
    try:
        for name in layers:

            def hook(module, inputs, output):
                kept[name] = output.detach().clone()

            hooks.append(net.get_submodule(name).register_forward_hook(hook))
        with torch.no_grad():
            net(x)
    finally:
        for hook in hooks:
            hook.remove()
    return kept


# %% mistake="the_input" exercise="record" fails="record" hint="puts out"
# takes what comes in
def record(net, layers, x):
    kept, hooks = dict.fromkeys(layers), []
    try:
        for name in layers:
            layer = net.get_submodule(name)
            hooks.append(
                layer.register_forward_hook(lambda m, i, o, name=name: kept.__setitem__(name, i[0].detach().clone()))
            )
        with torch.no_grad():
            net(x)
    finally:
        for hook in hooks:
            hook.remove()
    return kept


# %% mistake="order_of_the_net" exercise="record" fails="record" hint="in their order"
# entries come as the layers run
def record(net, layers, x):
    kept, hooks = {}, []
    try:
        for name in layers:
            layer = net.get_submodule(name)
            hooks.append(
                layer.register_forward_hook(lambda m, i, o, name=name: kept.__setitem__(name, o.detach().clone()))
            )
        with torch.no_grad():
            net(x)
    finally:
        for hook in hooks:
            hook.remove()
    return kept


# %% mistake="a_list" exercise="record" fails="record" hint="One entry for each name"
# no names
def record(net, layers, x):
    kept, hooks = dict.fromkeys(layers), []
    try:
        for name in layers:
            layer = net.get_submodule(name)
            hooks.append(
                layer.register_forward_hook(lambda m, i, o, name=name: kept.__setitem__(name, o.detach().clone()))
            )
        with torch.no_grad():
            net(x)
    finally:
        for hook in hooks:
            hook.remove()
    return list(kept.values())


# %% mistake="graph_kept" exercise="record" fails="record" hint="Detach"
# the whole graph stays in memory with every activation
def record(net, layers, x):
    kept, hooks = dict.fromkeys(layers), []
    try:
        for name in layers:
            layer = net.get_submodule(name)
            hooks.append(layer.register_forward_hook(lambda m, i, o, name=name: kept.__setitem__(name, o.clone())))
        net(x)
    finally:
        for hook in hooks:
            hook.remove()
    return kept


# %% mistake="training_mode_on" exercise="record" fails="record:hooks_off" hint="leave mode"
# puts the net into training mode, and leaves it there
def record(net, layers, x):
    kept, hooks = dict.fromkeys(layers), []
    net.train()
    try:
        for name in layers:
            layer = net.get_submodule(name)
            hooks.append(
                layer.register_forward_hook(lambda m, i, o, name=name: kept.__setitem__(name, o.detach().clone()))
            )
        with torch.no_grad():
            net(x)
    finally:
        for hook in hooks:
            hook.remove()
    return kept


# %% mistake="freezes_the_net" exercise="record" fails="record:hooks_off" hint="leave mode and weights"
# switches gradients off for good
def record(net, layers, x):
    kept, hooks = dict.fromkeys(layers), []
    net.requires_grad_(False)
    try:
        for name in layers:
            layer = net.get_submodule(name)
            hooks.append(layer.register_forward_hook(lambda m, i, o, name=name: kept.__setitem__(name, o.clone())))
        net(x)
    finally:
        for hook in hooks:
            hook.remove()
    return kept


# %% mistake="library" exercise="record" fails="record" hint="Hang the hooks yourself"
# the course has that already
def record(net, layers, x):
    with look.recording(net, layers) as seen, torch.no_grad():
        net(x)
    return {name: seen[name].clone() for name in layers}


# %% mistake="one_run_a_layer" exercise="record" fails="record:hooks_off" hint="run the net once"
# runs the net again for each layer
def record(net: torch.nn.Module, layers: list[str], x: Tensor) -> dict[str, Tensor]:
    kept = {}
    handles = []

    def keeper(name):
        def hook(module, inputs, output):
            kept[name] = output.detach().clone()

        return hook

    try:
        for name in layers:
            handles.append(net.get_submodule(name).register_forward_hook(keeper(name)))
            with torch.no_grad():
                net(x)
    finally:
        for handle in handles:
            handle.remove()
    return {name: kept[name] for name in layers}


# %% mistake="every_hook_takes_the_last_name" exercise="record" fails="record" hint="remember its own name"
# a lambda made in the loop looks the name up when it is called
def record(net: torch.nn.Module, layers: list[str], x: Tensor) -> dict[str, Tensor]:
    kept = {}
    handles = []

    try:
        for name in layers:
            handles.append(
                net.get_submodule(name).register_forward_hook(lambda m, i, o: kept.update({name: o.detach().clone()}))
            )
        with torch.no_grad():
            net(x)
    finally:
        for handle in handles:
            handle.remove()
    return {name: kept[name] for name in layers}


# %% mistake="mean_of_batches" exercise="dead_units" fails="dead_units" hint="mean of the batches"
# batches of other sizes count the same
def sparsity(batches):
    return sum((a == 0).float().mean().item() for a in batches) / len(batches)


def dead_units(batches):
    return torch.stack([(a == 0).transpose(0, 1).flatten(1).all(1) for a in batches]).all(0)


# %% mistake="active_share" exercise="dead_units" fails="dead_units" hint="Zeros over activations"
# counts what is not 0
def sparsity(batches):
    return sum((a != 0).sum().item() for a in batches) / sum(a.numel() for a in batches)


def dead_units(batches):
    return torch.stack([(a == 0).transpose(0, 1).flatten(1).all(1) for a in batches]).all(0)


# %% mistake="below_zero_counts" exercise="dead_units" fails="dead_units" hint="exactly 0"
# <= 0
def sparsity(batches):
    return sum((a <= 0).sum().item() for a in batches) / sum(a.numel() for a in batches)


def dead_units(batches):
    return torch.stack([(a == 0).transpose(0, 1).flatten(1).all(1) for a in batches]).all(0)


# %% mistake="nearly_zero_counts" exercise="dead_units" fails="dead_units" hint="exactly 0"
# with a tolerance that nobody asked for
def sparsity(batches):
    return sum((a.abs() < 1e-6).sum().item() for a in batches) / sum(a.numel() for a in batches)


def dead_units(batches):
    return torch.stack([(a == 0).transpose(0, 1).flatten(1).all(1) for a in batches]).all(0)


# %% mistake="a_tensor" exercise="dead_units" fails="dead_units" hint=".item()"
# no Python number
def sparsity(batches):
    return sum((a == 0).sum() for a in batches) / sum(a.numel() for a in batches)


def dead_units(batches):
    return torch.stack([(a == 0).transpose(0, 1).flatten(1).all(1) for a in batches]).all(0)


# %% mistake="images_counted" exercise="dead_units" fails="dead_units" hint="Every activation counts"
# divides by the number of images and channels
def sparsity(batches):
    return sum((a == 0).sum().item() for a in batches) / sum(a.shape[0] * a.shape[1] for a in batches)


def dead_units(batches):
    return torch.stack([(a == 0).transpose(0, 1).flatten(1).all(1) for a in batches]).all(0)


# %% mistake="dead_in_some_batch" exercise="dead_units" fails="dead_units:dead" hint="in every batch"
# dead in one batch is not dead
def sparsity(batches):
    return sum((a == 0).sum().item() for a in batches) / sum(a.numel() for a in batches)


def dead_units(batches):
    return torch.stack([(a == 0).transpose(0, 1).flatten(1).all(1) for a in batches]).any(0)


# %% mistake="dead_somewhere" exercise="dead_units" fails="dead_units:dead" hint="at every place"
# any zero makes a unit dead
def sparsity(batches):
    return sum((a == 0).sum().item() for a in batches) / sum(a.numel() for a in batches)


def dead_units(batches):
    return torch.stack([(a == 0).transpose(0, 1).flatten(1).any(1) for a in batches]).all(0)


# %% mistake="last_batch_only" exercise="dead_units" fails="dead_units:dead" hint="in every batch"
# overwritten in the loop
def sparsity(batches):
    return sum((a == 0).sum().item() for a in batches) / sum(a.numel() for a in batches)


def dead_units(batches):
    for a in batches:
        dead = (a == 0).transpose(0, 1).flatten(1).all(1)
    return dead


# %% mistake="dead_images" exercise="dead_units" fails="dead_units:dead" hint="second axis"
# looks over all axes but the first
def sparsity(batches):
    return sum((a == 0).sum().item() for a in batches) / sum(a.numel() for a in batches)


def dead_units(batches):
    return (torch.cat(batches) == 0).flatten(1).all(1)


# %% mistake="sum_is_zero" exercise="dead_units" fails="dead_units:dead" hint="−1, is life"
# takes a sum that is not above 0 for death
def sparsity(batches):
    return sum((a == 0).sum().item() for a in batches) / sum(a.numel() for a in batches)


def dead_units(batches):
    return torch.stack([a.transpose(0, 1).flatten(1).sum(1) for a in batches]).sum(0) <= 0


# %% mistake="maps_only" exercise="dead_units" fails="dead_units:dead" hint="no rows and columns"
# rows and columns that a linear layer does not have
def sparsity(batches):
    return sum((a == 0).sum().item() for a in batches) / sum(a.numel() for a in batches)


def dead_units(batches):
    return torch.stack([(a == 0).all(3).all(2).all(0) for a in batches]).all(0)


# %% mistake="numbers_not_bools" exercise="dead_units" fails="dead_units:dead" hint="True or False"
# 1.0 for dead
def sparsity(batches):
    return sum((a == 0).sum().item() for a in batches) / sum(a.numel() for a in batches)


def dead_units(batches):
    return torch.stack([(a == 0).transpose(0, 1).flatten(1).all(1) for a in batches]).all(0).float()


# %% mistake="sum_cancels" exercise="dead_units" fails="dead_units:dead" hint="sum can be 0"
# +1 and −1 add up to 0
def sparsity(batches):
    zeros = total = 0
    for b in batches:
        zeros += (b == 0).sum().item()
        total += b.numel()
    return zeros / total


def dead_units(batches):
    return sum(b.sum([d for d in range(b.ndim) if d != 1]) for b in batches) == 0


# %% mistake="one_sided_basis" exercise="filter_health" fails="filter_health" hint="B·w·Bᵀ"
# transforms the rows and not the columns
def filter_scores(w):
    k, energy = w.shape[-1], w.square().sum((1, 2, 3))
    safe = torch.where(energy > 0, energy, 1)
    u = torch.arange(k, device=w.device)
    waves = cosines(k, w.dtype) @ w
    noise = (waves.square() * (u[:, None] + u > k - 1)).sum((1, 2, 3)) / safe
    flat = k * k * w.mean((2, 3)).square().sum(1) / safe
    v = w.flatten(1) - w.flatten(1).mean(1, keepdim=True)
    length = v.norm(dim=1, keepdim=True)
    unit = v / torch.where(length > 0, length, 1)
    alike = (unit @ unit.T).abs().fill_diagonal_(0).amax(1)
    dead = (energy.sqrt() < 0.01 * energy.sqrt().median()).to(w.dtype)
    return {"noise": noise, "flat": flat, "alike": alike, "dead": dead}


def diagnose(w):
    scores = filter_scores(w)
    return next((name for name, limit in AILMENTS.items() if scores[name].mean() > limit), "healthy")


# %% mistake="too_many_frequencies" exercise="filter_health" fails="filter_health" hint="u + v > k − 1"
# u + v >= k − 1 takes the middle frequencies in
def filter_scores(w):
    k, energy = w.shape[-1], w.square().sum((1, 2, 3))
    safe = torch.where(energy > 0, energy, 1)
    u, B = torch.arange(k, device=w.device), cosines(k, w.dtype)
    noise = ((B @ w @ B.T).square() * (u[:, None] + u >= k - 1)).sum((1, 2, 3)) / safe
    flat = k * k * w.mean((2, 3)).square().sum(1) / safe
    v = w.flatten(1) - w.flatten(1).mean(1, keepdim=True)
    length = v.norm(dim=1, keepdim=True)
    unit = v / torch.where(length > 0, length, 1)
    alike = (unit @ unit.T).abs().fill_diagonal_(0).amax(1)
    dead = (energy.sqrt() < 0.01 * energy.sqrt().median()).to(w.dtype)
    return {"noise": noise, "flat": flat, "alike": alike, "dead": dead}


def diagnose(w):
    scores = filter_scores(w)
    return next((name for name, limit in AILMENTS.items() if scores[name].mean() > limit), "healthy")


# %% mistake="energy_not_squared" exercise="filter_health" fails="filter_health" hint="squared"
# absolute values for squares in the noise
def filter_scores(w):
    k, energy = w.shape[-1], w.square().sum((1, 2, 3))
    safe = torch.where(energy > 0, energy, 1)
    u, B = torch.arange(k, device=w.device), cosines(k, w.dtype)
    noise = ((B @ w @ B.T).abs() * (u[:, None] + u > k - 1)).sum((1, 2, 3)) / safe
    flat = k * k * w.mean((2, 3)).square().sum(1) / safe
    v = w.flatten(1) - w.flatten(1).mean(1, keepdim=True)
    length = v.norm(dim=1, keepdim=True)
    unit = v / torch.where(length > 0, length, 1)
    alike = (unit @ unit.T).abs().fill_diagonal_(0).amax(1)
    dead = (energy.sqrt() < 0.01 * energy.sqrt().median()).to(w.dtype)
    return {"noise": noise, "flat": flat, "alike": alike, "dead": dead}


def diagnose(w):
    scores = filter_scores(w)
    return next((name for name, limit in AILMENTS.items() if scores[name].mean() > limit), "healthy")


# %% mistake="flat_without_k2" exercise="filter_health" fails="filter_health" hint="k²"
# the mean's square once, where k² pixels have it
def filter_scores(w):
    k, energy = w.shape[-1], w.square().sum((1, 2, 3))
    safe = torch.where(energy > 0, energy, 1)
    u, B = torch.arange(k, device=w.device), cosines(k, w.dtype)
    noise = ((B @ w @ B.T).square() * (u[:, None] + u > k - 1)).sum((1, 2, 3)) / safe
    flat = w.mean((2, 3)).square().sum(1) / safe
    v = w.flatten(1) - w.flatten(1).mean(1, keepdim=True)
    length = v.norm(dim=1, keepdim=True)
    unit = v / torch.where(length > 0, length, 1)
    alike = (unit @ unit.T).abs().fill_diagonal_(0).amax(1)
    dead = (energy.sqrt() < 0.01 * energy.sqrt().median()).to(w.dtype)
    return {"noise": noise, "flat": flat, "alike": alike, "dead": dead}


def diagnose(w):
    scores = filter_scores(w)
    return next((name for name, limit in AILMENTS.items() if scores[name].mean() > limit), "healthy")


# %% mistake="flat_of_the_whole_filter" exercise="filter_health" fails="filter_health" hint="each channel"
# the mean over channels too: colours cancel
def filter_scores(w):
    k, energy = w.shape[-1], w.square().sum((1, 2, 3))
    safe = torch.where(energy > 0, energy, 1)
    u, B = torch.arange(k, device=w.device), cosines(k, w.dtype)
    noise = ((B @ w @ B.T).square() * (u[:, None] + u > k - 1)).sum((1, 2, 3)) / safe
    flat = w[0].numel() * w.mean((1, 2, 3)).square() / safe
    v = w.flatten(1) - w.flatten(1).mean(1, keepdim=True)
    length = v.norm(dim=1, keepdim=True)
    unit = v / torch.where(length > 0, length, 1)
    alike = (unit @ unit.T).abs().fill_diagonal_(0).amax(1)
    dead = (energy.sqrt() < 0.01 * energy.sqrt().median()).to(w.dtype)
    return {"noise": noise, "flat": flat, "alike": alike, "dead": dead}


def diagnose(w):
    scores = filter_scores(w)
    return next((name for name, limit in AILMENTS.items() if scores[name].mean() > limit), "healthy")


# %% mistake="alike_with_itself" exercise="filter_health" fails="filter_health" hint="compared with itself"
# every filter is like itself
def filter_scores(w):
    k, energy = w.shape[-1], w.square().sum((1, 2, 3))
    safe = torch.where(energy > 0, energy, 1)
    u, B = torch.arange(k, device=w.device), cosines(k, w.dtype)
    noise = ((B @ w @ B.T).square() * (u[:, None] + u > k - 1)).sum((1, 2, 3)) / safe
    flat = k * k * w.mean((2, 3)).square().sum(1) / safe
    v = w.flatten(1) - w.flatten(1).mean(1, keepdim=True)
    length = v.norm(dim=1, keepdim=True)
    unit = v / torch.where(length > 0, length, 1)
    alike = (unit @ unit.T).abs().amax(1)
    dead = (energy.sqrt() < 0.01 * energy.sqrt().median()).to(w.dtype)
    return {"noise": noise, "flat": flat, "alike": alike, "dead": dead}


def diagnose(w):
    scores = filter_scores(w)
    return next((name for name, limit in AILMENTS.items() if scores[name].mean() > limit), "healthy")


# %% mistake="mean_kept_in_alike" exercise="filter_health" fails="filter_health" hint="mean is off"
# cosines of filters with their means in
def filter_scores(w):
    k, energy = w.shape[-1], w.square().sum((1, 2, 3))
    safe = torch.where(energy > 0, energy, 1)
    u, B = torch.arange(k, device=w.device), cosines(k, w.dtype)
    noise = ((B @ w @ B.T).square() * (u[:, None] + u > k - 1)).sum((1, 2, 3)) / safe
    flat = k * k * w.mean((2, 3)).square().sum(1) / safe
    v = w.flatten(1)
    length = v.norm(dim=1, keepdim=True)
    unit = v / torch.where(length > 0, length, 1)
    alike = (unit @ unit.T).abs().fill_diagonal_(0).amax(1)
    dead = (energy.sqrt() < 0.01 * energy.sqrt().median()).to(w.dtype)
    return {"noise": noise, "flat": flat, "alike": alike, "dead": dead}


def diagnose(w):
    scores = filter_scores(w)
    return next((name for name, limit in AILMENTS.items() if scores[name].mean() > limit), "healthy")


# %% mistake="opposites_differ" exercise="filter_health" fails="filter_health" hint="nor the sign"
# no absolute value: a filter and its negative are as good as one
def filter_scores(w):
    k, energy = w.shape[-1], w.square().sum((1, 2, 3))
    safe = torch.where(energy > 0, energy, 1)
    u, B = torch.arange(k, device=w.device), cosines(k, w.dtype)
    noise = ((B @ w @ B.T).square() * (u[:, None] + u > k - 1)).sum((1, 2, 3)) / safe
    flat = k * k * w.mean((2, 3)).square().sum(1) / safe
    v = w.flatten(1) - w.flatten(1).mean(1, keepdim=True)
    length = v.norm(dim=1, keepdim=True)
    unit = v / torch.where(length > 0, length, 1)
    alike = (unit @ unit.T).fill_diagonal_(0).amax(1)
    dead = (energy.sqrt() < 0.01 * energy.sqrt().median()).to(w.dtype)
    return {"noise": noise, "flat": flat, "alike": alike, "dead": dead}


def diagnose(w):
    scores = filter_scores(w)
    return next((name for name, limit in AILMENTS.items() if scores[name].mean() > limit), "healthy")


# %% mistake="zero_over_zero" exercise="filter_health" fails="filter_health" hint="0/0"
# not-a-number where a filter is 0
def filter_scores(w):
    k, energy = w.shape[-1], w.square().sum((1, 2, 3))
    u, B = torch.arange(k, device=w.device), cosines(k, w.dtype)
    noise = ((B @ w @ B.T).square() * (u[:, None] + u > k - 1)).sum((1, 2, 3)) / energy
    flat = k * k * w.mean((2, 3)).square().sum(1) / energy
    v = w.flatten(1) - w.flatten(1).mean(1, keepdim=True)
    unit = v / v.norm(dim=1, keepdim=True)
    alike = (unit @ unit.T).abs().fill_diagonal_(0).amax(1)
    dead = (energy.sqrt() < 0.01 * energy.sqrt().median()).to(w.dtype)
    return {"noise": noise, "flat": flat, "alike": alike, "dead": dead}


def diagnose(w):
    scores = filter_scores(w)
    return next((name for name, limit in AILMENTS.items() if scores[name].mean() > limit), "healthy")


# %% mistake="dead_by_the_mean" exercise="filter_health" fails="filter_health" hint="a median, no mean"
# a hundredth of the mean length
def filter_scores(w):
    k, energy = w.shape[-1], w.square().sum((1, 2, 3))
    safe = torch.where(energy > 0, energy, 1)
    u, B = torch.arange(k, device=w.device), cosines(k, w.dtype)
    noise = ((B @ w @ B.T).square() * (u[:, None] + u > k - 1)).sum((1, 2, 3)) / safe
    flat = k * k * w.mean((2, 3)).square().sum(1) / safe
    v = w.flatten(1) - w.flatten(1).mean(1, keepdim=True)
    length = v.norm(dim=1, keepdim=True)
    unit = v / torch.where(length > 0, length, 1)
    alike = (unit @ unit.T).abs().fill_diagonal_(0).amax(1)
    dead = (energy.sqrt() < 0.01 * energy.sqrt().mean()).to(w.dtype)
    return {"noise": noise, "flat": flat, "alike": alike, "dead": dead}


def diagnose(w):
    scores = filter_scores(w)
    return next((name for name, limit in AILMENTS.items() if scores[name].mean() > limit), "healthy")


# %% mistake="dead_by_the_energy" exercise="filter_health" fails="filter_health" hint="root of the energy"
# a hundredth of the energy is a tenth of the length
def filter_scores(w):
    k, energy = w.shape[-1], w.square().sum((1, 2, 3))
    safe = torch.where(energy > 0, energy, 1)
    u, B = torch.arange(k, device=w.device), cosines(k, w.dtype)
    noise = ((B @ w @ B.T).square() * (u[:, None] + u > k - 1)).sum((1, 2, 3)) / safe
    flat = k * k * w.mean((2, 3)).square().sum(1) / safe
    v = w.flatten(1) - w.flatten(1).mean(1, keepdim=True)
    length = v.norm(dim=1, keepdim=True)
    unit = v / torch.where(length > 0, length, 1)
    alike = (unit @ unit.T).abs().fill_diagonal_(0).amax(1)
    dead = (energy < 0.01 * energy.median()).to(w.dtype)
    return {"noise": noise, "flat": flat, "alike": alike, "dead": dead}


def diagnose(w):
    scores = filter_scores(w)
    return next((name for name, limit in AILMENTS.items() if scores[name].mean() > limit), "healthy")


# %% mistake="dead_is_a_bool" exercise="filter_health" fails="filter_health" hint="also `dead`"
# True where a number is wanted
def filter_scores(w):
    k, energy = w.shape[-1], w.square().sum((1, 2, 3))
    safe = torch.where(energy > 0, energy, 1)
    u, B = torch.arange(k, device=w.device), cosines(k, w.dtype)
    noise = ((B @ w @ B.T).square() * (u[:, None] + u > k - 1)).sum((1, 2, 3)) / safe
    flat = k * k * w.mean((2, 3)).square().sum(1) / safe
    v = w.flatten(1) - w.flatten(1).mean(1, keepdim=True)
    length = v.norm(dim=1, keepdim=True)
    unit = v / torch.where(length > 0, length, 1)
    alike = (unit @ unit.T).abs().fill_diagonal_(0).amax(1)
    return {"noise": noise, "flat": flat, "alike": alike, "dead": energy.sqrt() < 0.01 * energy.sqrt().median()}


def diagnose(w):
    scores = filter_scores(w)
    return next((name for name, limit in AILMENTS.items() if scores[name].float().mean() > limit), "healthy")


# %% mistake="worst_filter_decides" exercise="filter_health" fails="filter_health:diagnose" hint="mean"
# one ill filter makes the whole layer ill
def filter_scores(w):
    k, energy = w.shape[-1], w.square().sum((1, 2, 3))
    safe = torch.where(energy > 0, energy, 1)
    u, B = torch.arange(k, device=w.device), cosines(k, w.dtype)
    noise = ((B @ w @ B.T).square() * (u[:, None] + u > k - 1)).sum((1, 2, 3)) / safe
    flat = k * k * w.mean((2, 3)).square().sum(1) / safe
    v = w.flatten(1) - w.flatten(1).mean(1, keepdim=True)
    length = v.norm(dim=1, keepdim=True)
    unit = v / torch.where(length > 0, length, 1)
    alike = (unit @ unit.T).abs().fill_diagonal_(0).amax(1)
    dead = (energy.sqrt() < 0.01 * energy.sqrt().median()).to(w.dtype)
    return {"noise": noise, "flat": flat, "alike": alike, "dead": dead}


def diagnose(w):
    scores = filter_scores(w)
    return next((name for name, limit in AILMENTS.items() if scores[name].max() > limit), "healthy")


# %% mistake="largest_score" exercise="filter_health" fails="filter_health:diagnose" hint="first in the order"
# the largest mean, whatever the limits
def filter_scores(w):
    k, energy = w.shape[-1], w.square().sum((1, 2, 3))
    safe = torch.where(energy > 0, energy, 1)
    u, B = torch.arange(k, device=w.device), cosines(k, w.dtype)
    noise = ((B @ w @ B.T).square() * (u[:, None] + u > k - 1)).sum((1, 2, 3)) / safe
    flat = k * k * w.mean((2, 3)).square().sum(1) / safe
    v = w.flatten(1) - w.flatten(1).mean(1, keepdim=True)
    length = v.norm(dim=1, keepdim=True)
    unit = v / torch.where(length > 0, length, 1)
    alike = (unit @ unit.T).abs().fill_diagonal_(0).amax(1)
    dead = (energy.sqrt() < 0.01 * energy.sqrt().median()).to(w.dtype)
    return {"noise": noise, "flat": flat, "alike": alike, "dead": dead}


def diagnose(w):
    means = {name: score.mean().item() for name, score in filter_scores(w).items()}
    worst = max(means, key=means.get)
    return worst if means[worst] > AILMENTS[worst] else "healthy"


# %% mistake="at_the_limit" exercise="filter_health" fails="filter_health:diagnose" hint="not above"
# >= for >
def filter_scores(w):
    k, energy = w.shape[-1], w.square().sum((1, 2, 3))
    safe = torch.where(energy > 0, energy, 1)
    u, B = torch.arange(k, device=w.device), cosines(k, w.dtype)
    noise = ((B @ w @ B.T).square() * (u[:, None] + u > k - 1)).sum((1, 2, 3)) / safe
    flat = k * k * w.mean((2, 3)).square().sum(1) / safe
    v = w.flatten(1) - w.flatten(1).mean(1, keepdim=True)
    length = v.norm(dim=1, keepdim=True)
    unit = v / torch.where(length > 0, length, 1)
    alike = (unit @ unit.T).abs().fill_diagonal_(0).amax(1)
    dead = (energy.sqrt() < 0.01 * energy.sqrt().median()).to(w.dtype)
    return {"noise": noise, "flat": flat, "alike": alike, "dead": dead}


def diagnose(w):
    scores = filter_scores(w)
    return next((name for name, limit in AILMENTS.items() if scores[name].mean() >= limit), "healthy")


# %% mistake="too_few_frequencies" exercise="filter_health" fails="filter_health" hint="u + v is 2, 3, 3 and 2"
# counts u and v from 1
def filter_scores(w):
    k = w.shape[-1]
    energy = (w**2).sum((1, 2, 3))
    safe = torch.where(energy > 0, energy, torch.ones_like(energy))
    B = cosines(k, w.dtype)
    F = B @ w @ B.T
    u = torch.arange(k, device=w.device)
    high = (u[:, None] + u[None]) > k
    noise = ((F**2) * high).sum((1, 2, 3)) / safe
    flat = k**2 * (w.mean((2, 3)) ** 2).sum(1) / safe
    v = w.flatten(1)
    v = v - v.mean(1, keepdim=True)
    n = v.norm(dim=1, keepdim=True)
    v = torch.where(n > 0, v / n, torch.zeros_like(v))
    cos = (v @ v.T).abs()
    cos.fill_diagonal_(0)
    alike = cos.max(1).values
    length = energy.sqrt()
    dead = (length < length.median() / 100).to(w.dtype)
    return {"noise": noise, "flat": flat, "alike": alike, "dead": dead}


def diagnose(w):
    s = filter_scores(w)
    for name, limit in AILMENTS.items():
        if s[name].mean() > limit:
            return name
    return "healthy"


# %% mistake="centres_in_place" exercise="filter_health" fails="filter_health" hint="Compute with copies"
# takes the means off the weight itself
def filter_scores(w):
    k = w.shape[-1]
    energy = (w**2).sum((1, 2, 3))
    safe = torch.where(energy > 0, energy, torch.ones_like(energy))
    B = cosines(k, w.dtype)
    F = B @ w @ B.T
    u = torch.arange(k, device=w.device)
    high = (u[:, None] + u[None]) > k - 1
    noise = ((F**2) * high).sum((1, 2, 3)) / safe
    flat = k**2 * (w.mean((2, 3)) ** 2).sum(1) / safe
    v = w.flatten(1)
    v -= v.mean(1, keepdim=True)
    n = v.norm(dim=1, keepdim=True)
    v = torch.where(n > 0, v / n, torch.zeros_like(v))
    cos = (v @ v.T).abs()
    cos.fill_diagonal_(0)
    alike = cos.max(1).values
    length = energy.sqrt()
    dead = (length < length.median() / 100).to(w.dtype)
    return {"noise": noise, "flat": flat, "alike": alike, "dead": dead}


def diagnose(w):
    s = filter_scores(w)
    for name, limit in AILMENTS.items():
        if s[name].mean() > limit:
            return name
    return "healthy"


# %% mistake="likeness_on_average" exercise="filter_health" fails="filter_health" hint="the largest with another filter"
# the mean of the cosines instead of the largest
def filter_scores(w):
    k = w.shape[-1]
    energy = (w**2).sum((1, 2, 3))
    safe = torch.where(energy > 0, energy, torch.ones_like(energy))
    B = cosines(k, w.dtype)
    F = B @ w @ B.T
    u = torch.arange(k, device=w.device)
    high = (u[:, None] + u[None]) > k - 1
    noise = ((F**2) * high).sum((1, 2, 3)) / safe
    flat = k**2 * (w.mean((2, 3)) ** 2).sum(1) / safe
    v = w.flatten(1)
    v = v - v.mean(1, keepdim=True)
    n = v.norm(dim=1, keepdim=True)
    v = torch.where(n > 0, v / n, torch.zeros_like(v))
    cos = (v @ v.T).abs()
    cos.fill_diagonal_(0)
    alike = cos.mean(1)
    length = energy.sqrt()
    dead = (length < length.median() / 100).to(w.dtype)
    return {"noise": noise, "flat": flat, "alike": alike, "dead": dead}


def diagnose(w):
    s = filter_scores(w)
    for name, limit in AILMENTS.items():
        if s[name].mean() > limit:
            return name
    return "healthy"


# %% mistake="furthest_above" exercise="filter_health" fails="filter_health:diagnose" hint="furthest above"
# of several ailments the one furthest above its limit
def filter_scores(w):
    k = w.shape[-1]
    energy = (w**2).sum((1, 2, 3))
    safe = torch.where(energy > 0, energy, torch.ones_like(energy))
    B = cosines(k, w.dtype)
    F = B @ w @ B.T
    u = torch.arange(k, device=w.device)
    high = (u[:, None] + u[None]) > k - 1
    noise = ((F**2) * high).sum((1, 2, 3)) / safe
    flat = k**2 * (w.mean((2, 3)) ** 2).sum(1) / safe
    v = w.flatten(1)
    v = v - v.mean(1, keepdim=True)
    n = v.norm(dim=1, keepdim=True)
    v = torch.where(n > 0, v / n, torch.zeros_like(v))
    cos = (v @ v.T).abs()
    cos.fill_diagonal_(0)
    alike = cos.max(1).values
    length = energy.sqrt()
    dead = (length < length.median() / 100).to(w.dtype)
    return {"noise": noise, "flat": flat, "alike": alike, "dead": dead}


def diagnose(w):
    scores = filter_scores(w)
    above = {name: (scores[name].mean() - limit).item() for name, limit in AILMENTS.items()}
    worst = max(above, key=above.get)
    return worst if above[worst] > 0 else "healthy"


# %% mistake="backward_fills_the_weights" exercise="saliency" fails="saliency" hint=".grad"
# backward() leaves a gradient in every weight
def saliency(net, x, classes):
    x = x.detach().clone().requires_grad_()
    net(x).gather(1, classes[:, None]).sum().backward()
    return x.grad.abs().amax(1)


# %% mistake="gradients_of_the_callers_image" exercise="saliency" fails="saliency" hint="Ask a copy"
# x itself asks for gradients from now on
def saliency(net, x, classes):
    x.requires_grad_()
    (slope,) = torch.autograd.grad(net(x).gather(1, classes[:, None]).sum(), x)
    return slope.abs().amax(1)


# %% mistake="maximum_before_absolute" exercise="saliency" fails="saliency" hint="first .abs()"
# the largest slope, not the largest size
def saliency(net, x, classes):
    x = x.detach().clone().requires_grad_()
    (slope,) = torch.autograd.grad(net(x).gather(1, classes[:, None]).sum(), x)
    return slope.amax(1).abs()


# %% mistake="sum_over_channels" exercise="saliency" fails="saliency" hint="no sum"
# adds the channels up
def saliency(net, x, classes):
    x = x.detach().clone().requires_grad_()
    (slope,) = torch.autograd.grad(net(x).gather(1, classes[:, None]).sum(), x)
    return slope.abs().sum(1)


# %% mistake="mean_over_channels" exercise="saliency" fails="saliency" hint="no mean"
# a common variant, not the paper's
def saliency(net, x, classes):
    x = x.detach().clone().requires_grad_()
    (slope,) = torch.autograd.grad(net(x).gather(1, classes[:, None]).sum(), x)
    return slope.abs().mean(1)


# %% mistake="probability" exercise="saliency" fails="saliency" hint="before the softmax"
# the slope of the probability
def saliency(net, x, classes):
    x = x.detach().clone().requires_grad_()
    (slope,) = torch.autograd.grad(net(x).softmax(1).gather(1, classes[:, None]).sum(), x)
    return slope.abs().amax(1)


# %% mistake="loss" exercise="saliency" fails="saliency" hint="before the softmax"
# the slope of the loss
def saliency(net, x, classes):
    x = x.detach().clone().requires_grad_()
    (slope,) = torch.autograd.grad(torch.nn.functional.cross_entropy(net(x), classes, reduction="sum"), x)
    return slope.abs().amax(1)


# %% mistake="mean_over_the_batch" exercise="saliency" fails="saliency" hint="a mean would divide"
# every slope is divided by N
def saliency(net, x, classes):
    x = x.detach().clone().requires_grad_()
    (slope,) = torch.autograd.grad(net(x).gather(1, classes[:, None]).mean(), x)
    return slope.abs().amax(1)


# %% mistake="columns_of_all" exercise="saliency" fails="saliency" hint="own class"
# scores[:, classes] takes every class for every image
def saliency(net, x, classes):
    x = x.detach().clone().requires_grad_()
    (slope,) = torch.autograd.grad(net(x)[:, classes].sum(), x)
    return slope.abs().amax(1)


# %% mistake="best_class" exercise="saliency" fails="saliency" hint="asked for"
# explains what the net says, not what was asked
def saliency(net, x, classes):
    x = x.detach().clone().requires_grad_()
    (slope,) = torch.autograd.grad(net(x).amax(1).sum(), x)
    return slope.abs().amax(1)


# %% mistake="channels_kept" exercise="saliency" fails="saliency" hint="(N, H, W)"
# a map for each channel
def saliency(net, x, classes):
    x = x.detach().clone().requires_grad_()
    (slope,) = torch.autograd.grad(net(x).gather(1, classes[:, None]).sum(), x)
    return slope.abs()


# %% mistake="library" exercise="saliency" fails="saliency" hint="yourself"
# the course has that already
def saliency(net, x, classes):
    return look.saliency(net, x, classes)


# %% mistake="training_mode" exercise="saliency" fails="saliency" hint="Mode and weights"
# switches to training mode "because we need gradients"
def saliency(net, x, classes):
    x = x.detach().clone().requires_grad_(True)
    net.train()
    scores = net(x)
    s = scores.gather(1, classes[:, None]).sum()
    (g,) = torch.autograd.grad(s, x)
    return g.abs().max(dim=1).values


# %% mistake="score_not_probability" exercise="occlusion" fails="occlusion" hint="softmax"
# no softmax
def occlusion(net, x, classes, window, stride=1, fill=0.5, batch_size=256):
    rows, columns = (x.shape[2] - window) // stride + 1, (x.shape[3] - window) // stride + 1
    maps = []
    for image, c in zip(x, classes, strict=True):
        covered = image.repeat(rows * columns, 1, 1, 1)
        for p in range(rows * columns):
            i, j = p // columns * stride, p % columns * stride
            covered[p, :, i : i + window, j : j + window] = fill
        with torch.no_grad():
            maps.append(torch.cat([net(part)[:, c] for part in covered.split(batch_size)]).reshape(rows, columns))
    return torch.stack(maps)


# %% mistake="one_call_a_place" exercise="occlusion" fails="occlusion:batched" hint="for each place"
# right, and slow
def occlusion(net, x, classes, window, stride=1, fill=0.5, batch_size=256):
    rows, columns = (x.shape[2] - window) // stride + 1, (x.shape[3] - window) // stride + 1
    maps = x.new_zeros(len(x), rows, columns)
    for n in range(len(x)):
        for a in range(rows):
            for b in range(columns):
                covered = x[n : n + 1].clone()
                covered[:, :, a * stride : a * stride + window, b * stride : b * stride + window] = fill
                with torch.no_grad():
                    maps[n, a, b] = net(covered).softmax(1)[0, classes[n]]
    return maps


# %% mistake="everything_at_once" exercise="occlusion" fails="occlusion:batched" hint="covered.split(batch_size)"
# forgets batch_size
def occlusion(net, x, classes, window, stride=1, fill=0.5, batch_size=256):
    rows, columns = (x.shape[2] - window) // stride + 1, (x.shape[3] - window) // stride + 1
    maps = []
    for image, c in zip(x, classes, strict=True):
        covered = image.repeat(rows * columns, 1, 1, 1)
        for p in range(rows * columns):
            i, j = p // columns * stride, p % columns * stride
            covered[p, :, i : i + window, j : j + window] = fill
        with torch.no_grad():
            maps.append(net(covered).softmax(1)[:, c].reshape(rows, columns))
    return torch.stack(maps)


# %% mistake="short_last_batch_dropped" exercise="occlusion" fails="occlusion:batched" hint="a short last one"
# whole batches only
def occlusion(net, x, classes, window, stride=1, fill=0.5, batch_size=256):
    rows, columns = (x.shape[2] - window) // stride + 1, (x.shape[3] - window) // stride + 1
    maps = []
    for image, c in zip(x, classes, strict=True):
        covered = image.repeat(rows * columns, 1, 1, 1)
        for p in range(rows * columns):
            i, j = p // columns * stride, p % columns * stride
            covered[p, :, i : i + window, j : j + window] = fill
        size = min(batch_size, len(covered))
        with torch.no_grad():
            parts = [net(covered[k * size : (k + 1) * size]) for k in range(len(covered) // size)]
        maps.append(torch.cat(parts).softmax(1)[:, c].reshape(rows, columns))
    return torch.stack(maps)


# %% mistake="covers_pile_up" exercise="occlusion" fails="occlusion" hint="fresh copy"
# the next square is laid on the image that is covered already
def occlusion(net, x, classes, window, stride=1, fill=0.5, batch_size=256):
    rows, columns = (x.shape[2] - window) // stride + 1, (x.shape[3] - window) // stride + 1
    maps = []
    for image, c in zip(x, classes, strict=True):
        canvas, covered = image.clone(), []
        for p in range(rows * columns):
            i, j = p // columns * stride, p % columns * stride
            canvas[:, i : i + window, j : j + window] = fill
            covered.append(canvas.clone())
        covered = torch.stack(covered)
        with torch.no_grad():
            maps.append(
                torch.cat([net(part).softmax(1)[:, c] for part in covered.split(batch_size)]).reshape(rows, columns)
            )
    return torch.stack(maps)


# %% mistake="covers_the_callers_image" exercise="occlusion" fails="occlusion" hint="Cover copies"
# expand, where a copy is needed: the first image is painted over before it is copied
def occlusion(net, x, classes, window, stride=1, fill=0.5, batch_size=256):
    rows, columns = (x.shape[2] - window) // stride + 1, (x.shape[3] - window) // stride + 1
    maps = []
    for image, c in zip(x, classes, strict=True):
        covered = image.repeat(rows * columns, 1, 1, 1)
        for p in range(rows * columns):
            i, j = p // columns * stride, p % columns * stride
            covered[p, :, i : i + window, j : j + window] = fill
        with torch.no_grad():
            found = torch.cat([net(part).softmax(1)[:, c] for part in covered.split(batch_size)])
        maps.append(found.reshape(rows, columns))
        image[:, :window, :window] = fill
    return torch.stack(maps)


# %% mistake="stride_ignored" exercise="occlusion" fails="occlusion" hint="(6 − 2)//2 + 1"
# every place
def occlusion(net, x, classes, window, stride=1, fill=0.5, batch_size=256):
    rows, columns = x.shape[2] - window + 1, x.shape[3] - window + 1
    maps = []
    for image, c in zip(x, classes, strict=True):
        covered = image.repeat(rows * columns, 1, 1, 1)
        for p in range(rows * columns):
            i, j = p // columns, p % columns
            covered[p, :, i : i + window, j : j + window] = fill
        with torch.no_grad():
            found = torch.cat([net(part).softmax(1)[:, c] for part in covered.split(batch_size)])
        maps.append(found.reshape(rows, columns))
    return torch.stack(maps)


# %% mistake="stride_of_the_count_only" exercise="occlusion" fails="occlusion" hint="place (1, 0)"
# as many places as wanted, but one pixel apart
def occlusion(net, x, classes, window, stride=1, fill=0.5, batch_size=256):
    rows, columns = (x.shape[2] - window) // stride + 1, (x.shape[3] - window) // stride + 1
    maps = []
    for image, c in zip(x, classes, strict=True):
        covered = image.repeat(rows * columns, 1, 1, 1)
        for p in range(rows * columns):
            i, j = p // columns, p % columns
            covered[p, :, i : i + window, j : j + window] = fill
        with torch.no_grad():
            found = torch.cat([net(part).softmax(1)[:, c] for part in covered.split(batch_size)])
        maps.append(found.reshape(rows, columns))
    return torch.stack(maps)


# %% mistake="columns_first" exercise="occlusion" fails="occlusion" hint="(6 − 2)//2 + 1 rows"
# exchanges rows and columns of the map
def occlusion(net, x, classes, window, stride=1, fill=0.5, batch_size=256):
    rows, columns = (x.shape[2] - window) // stride + 1, (x.shape[3] - window) // stride + 1
    maps = []
    for image, c in zip(x, classes, strict=True):
        covered = image.repeat(rows * columns, 1, 1, 1)
        for p in range(rows * columns):
            i, j = p % rows * stride, p // rows * stride
            covered[p, :, i : i + window, j : j + window] = fill
        with torch.no_grad():
            found = torch.cat([net(part).softmax(1)[:, c] for part in covered.split(batch_size)])
        maps.append(found.reshape(columns, rows))
    return torch.stack(maps)


# %% mistake="first_channel_covered" exercise="occlusion" fails="occlusion" hint="all channels"
# the square is transparent for the other colours
def occlusion(net, x, classes, window, stride=1, fill=0.5, batch_size=256):
    rows, columns = (x.shape[2] - window) // stride + 1, (x.shape[3] - window) // stride + 1
    maps = []
    for image, c in zip(x, classes, strict=True):
        covered = image.repeat(rows * columns, 1, 1, 1)
        for p in range(rows * columns):
            i, j = p // columns * stride, p % columns * stride
            covered[p, 0, i : i + window, j : j + window] = fill
        with torch.no_grad():
            found = torch.cat([net(part).softmax(1)[:, c] for part in covered.split(batch_size)])
        maps.append(found.reshape(rows, columns))
    return torch.stack(maps)


# %% mistake="class_of_the_first" exercise="occlusion" fails="occlusion" hint="own class"
# classes[0] for all images
def occlusion(net, x, classes, window, stride=1, fill=0.5, batch_size=256):
    rows, columns = (x.shape[2] - window) // stride + 1, (x.shape[3] - window) // stride + 1
    maps = []
    for image in x:
        covered = image.repeat(rows * columns, 1, 1, 1)
        for p in range(rows * columns):
            i, j = p // columns * stride, p % columns * stride
            covered[p, :, i : i + window, j : j + window] = fill
        with torch.no_grad():
            found = torch.cat([net(part).softmax(1)[:, classes[0]] for part in covered.split(batch_size)])
        maps.append(found.reshape(rows, columns))
    return torch.stack(maps)


# %% mistake="always_grey" exercise="occlusion" fails="occlusion" hint="Only the square at place (1, 0)"
# ignores fill
def occlusion(net, x, classes, window, stride=1, fill=0.5, batch_size=256):
    rows, columns = (x.shape[2] - window) // stride + 1, (x.shape[3] - window) // stride + 1
    maps = []
    for image, c in zip(x, classes, strict=True):
        covered = image.repeat(rows * columns, 1, 1, 1)
        for p in range(rows * columns):
            i, j = p // columns * stride, p % columns * stride
            covered[p, :, i : i + window, j : j + window] = 0.5
        with torch.no_grad():
            found = torch.cat([net(part).softmax(1)[:, c] for part in covered.split(batch_size)])
        maps.append(found.reshape(rows, columns))
    return torch.stack(maps)


# %% mistake="drop_of_probability" exercise="occlusion" fails="occlusion" hint="Only the square at place (1, 0)"
# how much it falls, where the probability was asked for
def occlusion(net, x, classes, window, stride=1, fill=0.5, batch_size=256):
    rows, columns = (x.shape[2] - window) // stride + 1, (x.shape[3] - window) // stride + 1
    maps = []
    for image, c in zip(x, classes, strict=True):
        covered = image.repeat(rows * columns, 1, 1, 1)
        for p in range(rows * columns):
            i, j = p // columns * stride, p % columns * stride
            covered[p, :, i : i + window, j : j + window] = fill
        with torch.no_grad():
            found = torch.cat([net(part).softmax(1)[:, c] for part in covered.split(batch_size)])
            maps.append(net(image[None]).softmax(1)[0, c] - found.reshape(rows, columns))
    return torch.stack(maps)


# %% mistake="parts_of_squares" exercise="occlusion" fails="occlusion" hint="whole squares only"
# a last column of squares that stick out of the image
def occlusion(net, x, classes, window, stride=1, fill=0.5, batch_size=256):
    N, _, H, W = x.shape
    rows = (H - window) // stride + 1
    cols = -(-(W - window) // stride) + 1
    covered = []
    for a in range(rows):
        for b in range(cols):
            y = x.clone()
            y[:, :, a * stride : a * stride + window, b * stride : b * stride + window] = fill
            covered.append(y)
    covered = torch.cat(covered)
    wish = classes.repeat(rows * cols)
    out = []
    with torch.no_grad():
        for part, c in zip(covered.split(batch_size), wish.split(batch_size)):
            p = net(part).softmax(1)
            out.append(p.gather(1, c[:, None])[:, 0])
    return torch.cat(out).reshape(rows, cols, N).permute(2, 0, 1)


# %% mistake="squares_everywhere" exercise="occlusion" fails="occlusion" hint="whole square lies inside"
# a place for each multiple of the stride, also at the border
def occlusion(net, x, classes, window, stride=1, fill=0.5, batch_size=256):
    N, _, H, W = x.shape
    rows = H // stride
    cols = W // stride
    covered = []
    for a in range(rows):
        for b in range(cols):
            y = x.clone()
            y[:, :, a * stride : a * stride + window, b * stride : b * stride + window] = fill
            covered.append(y)
    covered = torch.cat(covered)
    wish = classes.repeat(rows * cols)
    out = []
    with torch.no_grad():
        for part, c in zip(covered.split(batch_size), wish.split(batch_size)):
            p = net(part).softmax(1)
            out.append(p.gather(1, c[:, None])[:, 0])
    return torch.cat(out).reshape(rows, cols, N).permute(2, 0, 1)


# %% mistake="bias_added" exercise="cam" fails="cam" hint="no bias"
# the bias belongs to the score, not to each place
def cam(net, x, classes):
    with torch.no_grad():
        maps = torch.einsum("nk,nkij->nij", net[-1].weight[classes], net[:-3](x))
        return maps + net[-1].bias[classes][:, None, None]


# %% mistake="divided_by_places" exercise="cam" fails="cam" hint="no division"
# the mean is taken by the reader, not here
def cam(net, x, classes):
    with torch.no_grad():
        maps = torch.einsum("nk,nkij->nij", net[-1].weight[classes], net[:-3](x))
        return maps / maps[0].numel()


# %% mistake="relu" exercise="cam" fails="cam" hint="no ReLU"
# that is Grad-CAM's
def cam(net, x, classes):
    with torch.no_grad():
        return torch.einsum("nk,nkij->nij", net[-1].weight[classes], net[:-3](x)).relu()


# %% mistake="first_class" exercise="cam" fails="cam" hint="that image's class"
# one class for all
def cam(net, x, classes):
    with torch.no_grad():
        return torch.einsum("k,nkij->nij", net[-1].weight[classes[0]], net[:-3](x))


# %% mistake="mean_over_channels" exercise="cam" fails="cam" hint="no division"
# averages over the maps
def cam(net, x, classes):
    with torch.no_grad():
        return (net[-1].weight[classes][:, :, None, None] * net[:-3](x)).mean(1)


# %% mistake="pooled_maps" exercise="cam" fails="cam" hint="before the pooling"
# net[:-2] has pooled already
def cam(net, x, classes):
    with torch.no_grad():
        return torch.einsum("nk,nkij->nij", net[-1].weight[classes], net[:-2](x))


# %% mistake="graph_kept" exercise="cam" fails="cam" hint="no_grad"
# the weights are part of the graph
def cam(net, x, classes):
    return torch.einsum("nk,nkij->nij", net[-1].weight[classes], net[:-3](x))


# %% mistake="unweighted" exercise="cam" fails="cam" hint="speaks against"
# the plain sum of the maps
def cam(net, x, classes):
    with torch.no_grad():
        return net[:-3](x).sum(1)


# %% mistake="strongest_map" exercise="cam" fails="cam" hint="no largest map"
# the largest of the weighted maps instead of their sum
def cam(net, x, classes):
    with torch.no_grad():
        f = net[:-3](x)
        w = net[-1].weight[classes]
        return (w[:, :, None, None] * f).amax(1)


# %% mistake="sum_of_slopes" exercise="grad_cam" fails="grad_cam" hint="not their sum"
# the slides' version
def grad_cam(net, layer, x, classes):
    kept = []
    hook = net.get_submodule(layer).register_forward_hook(lambda m, i, o: kept.append(o))
    try:
        scores = net(x.clone().requires_grad_())
    finally:
        hook.remove()
    (slope,) = torch.autograd.grad(scores.gather(1, classes[:, None]).sum(), kept[0])
    return (slope.sum((2, 3), keepdim=True) * kept[0]).sum(1).relu().detach()


# %% mistake="no_relu" exercise="grad_cam" fails="grad_cam" hint="ends with a ReLU"
# keeps what speaks against the class
def grad_cam(net, layer, x, classes):
    kept = []
    hook = net.get_submodule(layer).register_forward_hook(lambda m, i, o: kept.append(o))
    try:
        scores = net(x.clone().requires_grad_())
    finally:
        hook.remove()
    (slope,) = torch.autograd.grad(scores.gather(1, classes[:, None]).sum(), kept[0])
    return (slope.mean((2, 3), keepdim=True) * kept[0]).sum(1).detach()


# %% mistake="relu_before_the_sum" exercise="grad_cam" fails="grad_cam" hint="then the ReLU"
# nothing can speak against anything
def grad_cam(net, layer, x, classes):
    kept = []
    hook = net.get_submodule(layer).register_forward_hook(lambda m, i, o: kept.append(o))
    try:
        scores = net(x.clone().requires_grad_())
    finally:
        hook.remove()
    (slope,) = torch.autograd.grad(scores.gather(1, classes[:, None]).sum(), kept[0])
    return (slope.mean((2, 3), keepdim=True) * kept[0]).relu().sum(1).detach()


# %% mistake="place_by_place" exercise="grad_cam" fails="grad_cam" hint="rows and columns"
# slope times map at each place: another method, gradient × input
def grad_cam(net, layer, x, classes):
    kept = []
    hook = net.get_submodule(layer).register_forward_hook(lambda m, i, o: kept.append(o))
    try:
        scores = net(x.clone().requires_grad_())
    finally:
        hook.remove()
    (slope,) = torch.autograd.grad(scores.gather(1, classes[:, None]).sum(), kept[0])
    return (slope * kept[0]).sum(1).relu().detach()


# %% mistake="mean_over_the_batch_too" exercise="grad_cam" fails="grad_cam" hint="each image with its own class"
# one weight for all images
def grad_cam(net, layer, x, classes):
    kept = []
    hook = net.get_submodule(layer).register_forward_hook(lambda m, i, o: kept.append(o))
    try:
        scores = net(x.clone().requires_grad_())
    finally:
        hook.remove()
    (slope,) = torch.autograd.grad(scores.gather(1, classes[:, None]).sum(), kept[0])
    return (slope.mean((0, 2, 3), keepdim=True) * kept[0]).sum(1).relu().detach()


# %% mistake="of_the_probability" exercise="grad_cam" fails="grad_cam" hint="before the softmax"
# softmax first
def grad_cam(net, layer, x, classes):
    kept = []
    hook = net.get_submodule(layer).register_forward_hook(lambda m, i, o: kept.append(o))
    try:
        scores = net(x.clone().requires_grad_()).softmax(1)
    finally:
        hook.remove()
    (slope,) = torch.autograd.grad(scores.gather(1, classes[:, None]).sum(), kept[0])
    return (slope.mean((2, 3), keepdim=True) * kept[0]).sum(1).relu().detach()


# %% mistake="mean_over_maps" exercise="grad_cam" fails="grad_cam" hint="weighted sum"
# a mean for the sum over k
def grad_cam(net, layer, x, classes):
    kept = []
    hook = net.get_submodule(layer).register_forward_hook(lambda m, i, o: kept.append(o))
    try:
        scores = net(x.clone().requires_grad_())
    finally:
        hook.remove()
    (slope,) = torch.autograd.grad(scores.gather(1, classes[:, None]).sum(), kept[0])
    return (slope.mean((2, 3), keepdim=True) * kept[0]).mean(1).relu().detach()


# %% mistake="graph_kept" exercise="grad_cam" fails="grad_cam" hint="Detach"
# a map with a graph behind it
def grad_cam(net, layer, x, classes):
    kept = []
    hook = net.get_submodule(layer).register_forward_hook(lambda m, i, o: kept.append(o))
    try:
        scores = net(x.clone().requires_grad_())
    finally:
        hook.remove()
    (slope,) = torch.autograd.grad(scores.gather(1, classes[:, None]).sum(), kept[0], retain_graph=True)
    return (slope.mean((2, 3), keepdim=True) * kept[0]).sum(1).relu()


# %% mistake="hook_stays" exercise="grad_cam" fails="grad_cam:left_as_found" hint="Take the hook off"
# nobody takes it off
def grad_cam(net, layer, x, classes):
    kept = []
    net.get_submodule(layer).register_forward_hook(lambda m, i, o: kept.append(o))
    scores = net(x.clone().requires_grad_())
    (slope,) = torch.autograd.grad(scores.gather(1, classes[:, None]).sum(), kept[0])
    return (slope.mean((2, 3), keepdim=True) * kept[0]).sum(1).relu().detach()


# %% mistake="no_finally" exercise="grad_cam" fails="grad_cam:left_as_found" hint="finally"
# it stays when the net raises
def grad_cam(net, layer, x, classes):
    kept = []
    hook = net.get_submodule(layer).register_forward_hook(lambda m, i, o: kept.append(o))
    scores = net(x.clone().requires_grad_())
    hook.remove()
    (slope,) = torch.autograd.grad(scores.gather(1, classes[:, None]).sum(), kept[0])
    return (slope.mean((2, 3), keepdim=True) * kept[0]).sum(1).relu().detach()


# %% mistake="backward_fills_the_weights" exercise="grad_cam" fails="grad_cam:left_as_found" hint="weights' .grad"
# backward(), and retain_grad for the maps
def grad_cam(net, layer, x, classes):
    kept = []
    hook = net.get_submodule(layer).register_forward_hook(lambda m, i, o: kept.append(o))
    try:
        scores = net(x.clone().requires_grad_())
    finally:
        hook.remove()
    kept[0].retain_grad()
    scores.gather(1, classes[:, None]).sum().backward()
    return (kept[0].grad.mean((2, 3), keepdim=True) * kept[0]).sum(1).relu().detach()


# %% mistake="graph_of_the_weights" exercise="grad_cam" fails="grad_cam:left_as_found" hint="No weight asks"
# a frozen net has no graph, unless the image begins one
def grad_cam(net, layer, x, classes):
    kept = []
    hook = net.get_submodule(layer).register_forward_hook(lambda m, i, o: kept.append(o))
    try:
        scores = net(x)
    finally:
        hook.remove()
    (slope,) = torch.autograd.grad(scores.gather(1, classes[:, None]).sum(), kept[0])
    return (slope.mean((2, 3), keepdim=True) * kept[0]).sum(1).relu().detach()


# %% mistake="thaws_the_net" exercise="grad_cam" fails="grad_cam:left_as_found" hint="should not do so now"
# makes all weights ask for gradients
def grad_cam(net, layer, x, classes):
    net.requires_grad_(True)
    kept = []
    hook = net.get_submodule(layer).register_forward_hook(lambda m, i, o: kept.append(o))
    try:
        scores = net(x)
    finally:
        hook.remove()
    (slope,) = torch.autograd.grad(scores.gather(1, classes[:, None]).sum(), kept[0])
    return (slope.mean((2, 3), keepdim=True) * kept[0]).sum(1).relu().detach()


# %% mistake="maps_detached" exercise="grad_cam" fails="grad_cam" hint="not detached"
# keeps a detached copy, as in exercise 1
def grad_cam(net, layer, x, classes):
    kept = {}

    def hook(module, inputs, output):
        kept["f"] = output.detach().clone()

    x = x.detach().clone().requires_grad_()
    handle = net.get_submodule(layer).register_forward_hook(hook)
    try:
        scores = net(x)
    finally:
        handle.remove()
    f = kept["f"]
    (g,) = torch.autograd.grad(scores.gather(1, classes[:, None]).sum(), f)
    alpha = g.mean((2, 3), keepdim=True)
    return (alpha * f).sum(1).relu().detach()


# %% mistake="maps_cloned" exercise="grad_cam" fails="grad_cam" hint="not cloned"
# keeps a copy, from which no way leads to the score
def grad_cam(net, layer, x, classes):
    kept = {}

    def hook(module, inputs, output):
        kept["f"] = output.clone()

    x = x.detach().clone().requires_grad_()
    handle = net.get_submodule(layer).register_forward_hook(hook)
    try:
        scores = net(x)
    finally:
        handle.remove()
    f = kept["f"]
    (g,) = torch.autograd.grad(scores.gather(1, classes[:, None]).sum(), f)
    alpha = g.mean((2, 3), keepdim=True)
    return (alpha * f).sum(1).relu().detach()


# %% mistake="layers_by_number" exercise="grad_cam" fails="grad_cam" hint="layer is a name"
# takes the name of a layer for its number
def grad_cam(net, layer, x, classes):
    kept = {}

    def hook(module, inputs, output):
        kept["f"] = output

    x = x.detach().clone().requires_grad_()
    handle = net[int(layer)].register_forward_hook(hook)
    try:
        scores = net(x)
    finally:
        handle.remove()
    f = kept["f"]
    (g,) = torch.autograd.grad(scores.gather(1, classes[:, None]).sum(), f)
    alpha = g.mean((2, 3), keepdim=True)
    return (alpha * f).sum(1).relu().detach()


# %% mistake="largest_absolute_value" exercise="map_scores" fails="map_scores" hint="not of the largest absolute"
# what speaks most against the class wins
def pointing_game(maps, masks):
    return masks.flatten(1).gather(1, maps.abs().flatten(1).argmax(1)[:, None])[:, 0].to(maps.dtype)


def best_iou(maps, masks, thresholds):
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    found = [(maps - low) / (high - low).clamp_min(1e-12) > t for t in thresholds]
    return torch.stack([(f & masks).sum((1, 2)) / (f | masks).sum((1, 2)) for f in found]).amax(0)


def energy_inside(maps, masks):
    positive = maps.relu()
    return (positive * masks).sum((1, 2)) / positive.sum((1, 2)).clamp_min(1e-12)


# %% mistake="mean_of_the_game" exercise="map_scores" fails="map_scores" hint="not their mean"
# one number for the whole batch
def pointing_game(maps, masks):
    return masks.flatten(1).gather(1, maps.flatten(1).argmax(1)[:, None]).float().mean()


def best_iou(maps, masks, thresholds):
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    found = [(maps - low) / (high - low).clamp_min(1e-12) > t for t in thresholds]
    return torch.stack([(f & masks).sum((1, 2)) / (f | masks).sum((1, 2)) for f in found]).amax(0)


def energy_inside(maps, masks):
    positive = maps.relu()
    return (positive * masks).sum((1, 2)) / positive.sum((1, 2)).clamp_min(1e-12)


# %% mistake="peak_of_the_batch" exercise="map_scores" fails="map_scores" hint="of each map"
# one peak for all maps
def pointing_game(maps, masks):
    return masks.flatten(1)[:, maps.amax(0).flatten().argmax()].to(maps.dtype)


def best_iou(maps, masks, thresholds):
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    found = [(maps - low) / (high - low).clamp_min(1e-12) > t for t in thresholds]
    return torch.stack([(f & masks).sum((1, 2)) / (f | masks).sum((1, 2)) for f in found]).amax(0)


def energy_inside(maps, masks):
    positive = maps.relu()
    return (positive * masks).sum((1, 2)) / positive.sum((1, 2)).clamp_min(1e-12)


# %% mistake="game_in_bools" exercise="map_scores" fails="map_scores" hint="1 and 0"
# True for 1
def pointing_game(maps, masks):
    return masks.flatten(1).gather(1, maps.flatten(1).argmax(1)[:, None])[:, 0]


def best_iou(maps, masks, thresholds):
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    found = [(maps - low) / (high - low).clamp_min(1e-12) > t for t in thresholds]
    return torch.stack([(f & masks).sum((1, 2)) / (f | masks).sum((1, 2)) for f in found]).amax(0)


def energy_inside(maps, masks):
    positive = maps.relu()
    return (positive * masks).sum((1, 2)) / positive.sum((1, 2)).clamp_min(1e-12)


# %% mistake="any_peak" exercise="map_scores" fails="map_scores" hint="the largest value"
# any place above the mean that lies on the object is enough
def pointing_game(maps, masks):
    high = maps >= maps.mean((1, 2), keepdim=True)
    return (high & masks).flatten(1).any(1).to(maps.dtype)


def best_iou(maps, masks, thresholds):
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    found = [(maps - low) / (high - low).clamp_min(1e-12) > t for t in thresholds]
    return torch.stack([(f & masks).sum((1, 2)) / (f | masks).sum((1, 2)) for f in found]).amax(0)


def energy_inside(maps, masks):
    positive = maps.relu()
    return (positive * masks).sum((1, 2)) / positive.sum((1, 2)).clamp_min(1e-12)


# %% mistake="at_the_threshold" exercise="map_scores" fails="map_scores:iou" hint="Above, not at"
# >= takes the whole image at 0
def pointing_game(maps, masks):
    return masks.flatten(1).gather(1, maps.flatten(1).argmax(1)[:, None])[:, 0].to(maps.dtype)


def best_iou(maps, masks, thresholds):
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    found = [(maps - low) / (high - low).clamp_min(1e-12) >= t for t in thresholds]
    return torch.stack([(f & masks).sum((1, 2)) / (f | masks).sum((1, 2)) for f in found]).amax(0)


def energy_inside(maps, masks):
    positive = maps.relu()
    return (positive * masks).sum((1, 2)) / positive.sum((1, 2)).clamp_min(1e-12)


# %% mistake="last_threshold" exercise="map_scores" fails="map_scores:iou" hint="not the last"
# overwritten in the loop
def pointing_game(maps, masks):
    return masks.flatten(1).gather(1, maps.flatten(1).argmax(1)[:, None])[:, 0].to(maps.dtype)


def best_iou(maps, masks, thresholds):
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    found = [(maps - low) / (high - low).clamp_min(1e-12) > t for t in thresholds]
    return [(f & masks).sum((1, 2)) / (f | masks).sum((1, 2)) for f in found][-1]


def energy_inside(maps, masks):
    positive = maps.relu()
    return (positive * masks).sum((1, 2)) / positive.sum((1, 2)).clamp_min(1e-12)


# %% mistake="not_scaled" exercise="map_scores" fails="map_scores:iou" hint="smallest and largest"
# thresholds for numbers from 0 to 1, maps from anywhere
def pointing_game(maps, masks):
    return masks.flatten(1).gather(1, maps.flatten(1).argmax(1)[:, None])[:, 0].to(maps.dtype)


def best_iou(maps, masks, thresholds):
    found = [maps > t for t in thresholds]
    return torch.stack([(f & masks).sum((1, 2)) / (f | masks).sum((1, 2)) for f in found]).amax(0)


def energy_inside(maps, masks):
    positive = maps.relu()
    return (positive * masks).sum((1, 2)) / positive.sum((1, 2)).clamp_min(1e-12)


# %% mistake="divided_by_the_largest" exercise="map_scores" fails="map_scores:iou" hint="smallest and largest"
# scales from 0, wherever the map begins
def pointing_game(maps, masks):
    return masks.flatten(1).gather(1, maps.flatten(1).argmax(1)[:, None])[:, 0].to(maps.dtype)


def best_iou(maps, masks, thresholds):
    found = [maps / maps.amax((1, 2), keepdim=True) > t for t in thresholds]
    return torch.stack([(f & masks).sum((1, 2)) / (f | masks).sum((1, 2)) for f in found]).amax(0)


def energy_inside(maps, masks):
    positive = maps.relu()
    return (positive * masks).sum((1, 2)) / positive.sum((1, 2)).clamp_min(1e-12)


# %% mistake="scaled_by_the_batch" exercise="map_scores" fails="map_scores:iou" hint="Each map is scaled"
# one smallest and one largest value for all maps
def pointing_game(maps, masks):
    return masks.flatten(1).gather(1, maps.flatten(1).argmax(1)[:, None])[:, 0].to(maps.dtype)


def best_iou(maps, masks, thresholds):
    scaled = (maps - maps.min()) / (maps.max() - maps.min()).clamp_min(1e-12)
    return torch.stack(
        [((scaled > t) & masks).sum((1, 2)) / ((scaled > t) | masks).sum((1, 2)) for t in thresholds]
    ).amax(0)


def energy_inside(maps, masks):
    positive = maps.relu()
    return (positive * masks).sum((1, 2)) / positive.sum((1, 2)).clamp_min(1e-12)


# %% mistake="over_the_object_only" exercise="map_scores" fails="map_scores:iou" hint="3 in either"
# divides by the object: recall, no IoU
def pointing_game(maps, masks):
    return masks.flatten(1).gather(1, maps.flatten(1).argmax(1)[:, None])[:, 0].to(maps.dtype)


def best_iou(maps, masks, thresholds):
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    found = [(maps - low) / (high - low).clamp_min(1e-12) > t for t in thresholds]
    return torch.stack([(f & masks).sum((1, 2)) / masks.sum((1, 2)) for f in found]).amax(0)


def energy_inside(maps, masks):
    positive = maps.relu()
    return (positive * masks).sum((1, 2)) / positive.sum((1, 2)).clamp_min(1e-12)


# %% mistake="union_counted_twice" exercise="map_scores" fails="map_scores:iou" hint="2 in both, 3 in either"
# the sum of the two areas
def pointing_game(maps, masks):
    return masks.flatten(1).gather(1, maps.flatten(1).argmax(1)[:, None])[:, 0].to(maps.dtype)


def best_iou(maps, masks, thresholds):
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    found = [(maps - low) / (high - low).clamp_min(1e-12) > t for t in thresholds]
    return torch.stack([(f & masks).sum((1, 2)) / (f.sum((1, 2)) + masks.sum((1, 2))) for f in found]).amax(0)


def energy_inside(maps, masks):
    positive = maps.relu()
    return (positive * masks).sum((1, 2)) / positive.sum((1, 2)).clamp_min(1e-12)


# %% mistake="below_zero_counts" exercise="map_scores" fails="map_scores:energy" hint="below 0 counts as 0"
# absolute values: what speaks against the class is energy too
def pointing_game(maps, masks):
    return masks.flatten(1).gather(1, maps.flatten(1).argmax(1)[:, None])[:, 0].to(maps.dtype)


def best_iou(maps, masks, thresholds):
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    found = [(maps - low) / (high - low).clamp_min(1e-12) > t for t in thresholds]
    return torch.stack([(f & masks).sum((1, 2)) / (f | masks).sum((1, 2)) for f in found]).amax(0)


def energy_inside(maps, masks):
    return (maps.abs() * masks).sum((1, 2)) / maps.abs().sum((1, 2)).clamp_min(1e-12)


# %% mistake="cut_in_place" exercise="map_scores" fails="map_scores:energy" hint="in a copy"
# relu_ cuts the caller's map
def pointing_game(maps, masks):
    return masks.flatten(1).gather(1, maps.flatten(1).argmax(1)[:, None])[:, 0].to(maps.dtype)


def best_iou(maps, masks, thresholds):
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    found = [(maps - low) / (high - low).clamp_min(1e-12) > t for t in thresholds]
    return torch.stack([(f & masks).sum((1, 2)) / (f | masks).sum((1, 2)) for f in found]).amax(0)


def energy_inside(maps, masks):
    maps.relu_()
    return (maps * masks).sum((1, 2)) / maps.sum((1, 2)).clamp_min(1e-12)


# %% mistake="energy_zero_over_zero" exercise="map_scores" fails="map_scores:energy" hint="0/0"
# a map without anything above 0 is not-a-number
def pointing_game(maps, masks):
    return masks.flatten(1).gather(1, maps.flatten(1).argmax(1)[:, None])[:, 0].to(maps.dtype)


def best_iou(maps, masks, thresholds):
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    found = [(maps - low) / (high - low).clamp_min(1e-12) > t for t in thresholds]
    return torch.stack([(f & masks).sum((1, 2)) / (f | masks).sum((1, 2)) for f in found]).amax(0)


def energy_inside(maps, masks):
    positive = maps.relu()
    return (positive * masks).sum((1, 2)) / positive.sum((1, 2))


# %% mistake="guarded_by_one" exercise="map_scores" fails="map_scores:energy" hint="how bright"
# clamp_min(1) makes faint maps look bad
def pointing_game(maps, masks):
    return masks.flatten(1).gather(1, maps.flatten(1).argmax(1)[:, None])[:, 0].to(maps.dtype)


def best_iou(maps, masks, thresholds):
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    found = [(maps - low) / (high - low).clamp_min(1e-12) > t for t in thresholds]
    return torch.stack([(f & masks).sum((1, 2)) / (f | masks).sum((1, 2)) for f in found]).amax(0)


def energy_inside(maps, masks):
    positive = maps.relu()
    return (positive * masks).sum((1, 2)) / positive.sum((1, 2)).clamp_min(1)


# %% mistake="any_of_equals" exercise="map_scores" fails="map_scores" hint="the first counts"
# of equal largest values any may lie on the object
def pointing_game(maps, masks):
    top = maps == maps.amax((1, 2), keepdim=True)
    return (top & masks).flatten(1).any(1).to(maps.dtype)


def best_iou(maps, masks, thresholds):
    low = maps.amin((1, 2), keepdim=True)
    high = maps.amax((1, 2), keepdim=True)
    span = high - low
    scaled = torch.where(span > 0, (maps - low) / span, torch.zeros_like(maps))
    best = torch.zeros(len(maps), dtype=maps.dtype, device=maps.device)
    for t in thresholds:
        above = scaled > t
        both = (above & masks).sum((1, 2))
        either = (above | masks).sum((1, 2))
        best = torch.maximum(best, (both / either).to(maps.dtype))
    return best


def energy_inside(maps, masks):
    p = maps.clamp(min=0)
    total = p.sum((1, 2))
    inside = (p * masks).sum((1, 2))
    return torch.where(total > 0, inside / total, torch.zeros_like(total))


# %% mistake="column_by_column" exercise="map_scores" fails="map_scores" hint="row by row"
# of equals the first, but reads down the columns
def pointing_game(maps, masks):
    i = maps.mT.flatten(1).argmax(1)
    return masks.mT.flatten(1).gather(1, i[:, None])[:, 0].to(maps.dtype)


def best_iou(maps, masks, thresholds):
    low = maps.amin((1, 2), keepdim=True)
    high = maps.amax((1, 2), keepdim=True)
    span = high - low
    scaled = torch.where(span > 0, (maps - low) / span, torch.zeros_like(maps))
    best = torch.zeros(len(maps), dtype=maps.dtype, device=maps.device)
    for t in thresholds:
        above = scaled > t
        both = (above & masks).sum((1, 2))
        either = (above | masks).sum((1, 2))
        best = torch.maximum(best, (both / either).to(maps.dtype))
    return best


def energy_inside(maps, masks):
    p = maps.clamp(min=0)
    total = p.sum((1, 2))
    inside = (p * masks).sum((1, 2))
    return torch.where(total > 0, inside / total, torch.zeros_like(total))


# %% mistake="downhill" exercise="class_model" fails="class_model" hint="Climb"
# descends, as one always does
def class_model(net, classes, start, decay, steps, rate):
    x = start.clone()
    for _ in range(steps):
        x.requires_grad_()
        score = net(x).gather(1, classes[:, None]).sum() - decay * x.square().sum()
        x = (x - rate * torch.autograd.grad(score, x)[0]).detach()
    return x


# %% mistake="norm_not_squared" exercise="class_model" fails="class_model" hint="square of the length"
# ‖I‖ for ‖I‖²
def class_model(net, classes, start, decay, steps, rate):
    x = start.clone()
    for _ in range(steps):
        x.requires_grad_()
        score = net(x).gather(1, classes[:, None]).sum() - decay * (x.square().flatten(1).sum(1) + 1e-12).sqrt().sum()
        x = (x + rate * torch.autograd.grad(score, x)[0]).detach()
    return x


# %% mistake="decay_forgotten" exercise="class_model" fails="class_model" hint="pulls back"
# no price for brightness
def class_model(net, classes, start, decay, steps, rate):
    x = start.clone()
    for _ in range(steps):
        x.requires_grad_()
        score = net(x).gather(1, classes[:, None]).sum()
        x = (x + rate * torch.autograd.grad(score, x)[0]).detach()
    return x


# %% mistake="decay_pushes" exercise="class_model" fails="class_model" hint="pulls back"
# the wrong sign before λ
def class_model(net, classes, start, decay, steps, rate):
    x = start.clone()
    for _ in range(steps):
        x.requires_grad_()
        score = net(x).gather(1, classes[:, None]).sum() + decay * x.square().sum()
        x = (x + rate * torch.autograd.grad(score, x)[0]).detach()
    return x


# %% mistake="probability" exercise="class_model" fails="class_model" hint="before the softmax"
# climbs the logarithm of the probability
def class_model(net, classes, start, decay, steps, rate):
    x = start.clone()
    for _ in range(steps):
        x.requires_grad_()
        score = net(x).log_softmax(1).gather(1, classes[:, None]).sum() - decay * x.square().sum()
        x = (x + rate * torch.autograd.grad(score, x)[0]).detach()
    return x


# %% mistake="cut_to_images" exercise="class_model" fails="class_model" hint="Do not cut"
# clamps after each step
def class_model(net, classes, start, decay, steps, rate):
    x = start.clone()
    for _ in range(steps):
        x.requires_grad_()
        score = net(x).gather(1, classes[:, None]).sum() - decay * x.square().sum()
        x = (x + rate * torch.autograd.grad(score, x)[0]).detach().clamp(0, 1)
    return x


# %% mistake="mean_over_the_batch" exercise="class_model" fails="class_model" hint="as if it were alone"
# the more images, the slower they climb
def class_model(net, classes, start, decay, steps, rate):
    x = start.clone()
    for _ in range(steps):
        x.requires_grad_()
        score = net(x).gather(1, classes[:, None]).mean() - decay * x.square().sum() / len(x)
        x = (x + rate * torch.autograd.grad(score, x)[0]).detach()
    return x


# %% mistake="weights_get_gradients" exercise="class_model" fails="class_model" hint="Only the image learns"
# backward()
def class_model(net, classes, start, decay, steps, rate):
    x = start.clone()
    for _ in range(steps):
        x = x.detach().requires_grad_()
        (net(x).gather(1, classes[:, None]).sum() - decay * x.square().sum()).backward()
        x = x + rate * x.grad
    return x.detach()


# %% mistake="climbs_with_the_start" exercise="class_model" fails="class_model" hint="with a copy"
# changes the caller's image
def class_model(net, classes, start, decay, steps, rate):
    x = start
    for _ in range(steps):
        x.requires_grad_()
        score = net(x).gather(1, classes[:, None]).sum() - decay * x.square().sum()
        (slope,) = torch.autograd.grad(score, x)
        with torch.no_grad():
            x += rate * slope
        x.requires_grad_(False)
    return x.clone()


# %% mistake="first_class_only" exercise="class_model" fails="class_model" hint="own class"
# one class for all images
def class_model(net, classes, start, decay, steps, rate):
    x = start.clone()
    for _ in range(steps):
        x.requires_grad_()
        score = net(x)[:, classes[0]].sum() - decay * x.square().sum()
        x = (x + rate * torch.autograd.grad(score, x)[0]).detach()
    return x


# %% mistake="optimizer" exercise="class_model" fails="class_model" hint="One line of plain ascent"
# Adam takes other steps
def class_model(net, classes, start, decay, steps, rate):
    x = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([x], lr=rate, maximize=True)
    for _ in range(steps):
        score = net(x).gather(1, classes[:, None]).sum() - decay * x.square().sum()
        (x.grad,) = torch.autograd.grad(score, x)
        optimizer.step()
    return x.detach()


# %% mistake="one_step_short" exercise="class_model" fails="class_model" hint="after the last step"
# returns the image before the last step
def class_model(net, classes, start, decay, steps, rate):
    v = start.detach().clone()
    for _ in range(steps - 1):
        v.requires_grad_(True)
        goal = net(v).gather(1, classes[:, None]).sum() - decay * (v**2).sum()
        (g,) = torch.autograd.grad(goal, v)
        v = (v + rate * g).detach()
    return v


# %% mistake="from_black" exercise="class_model" fails="class_model" hint="Begin at start"
# begins at 0, whatever start is
def class_model(net, classes, start, decay, steps, rate):
    v = torch.zeros_like(start)
    for _ in range(steps):
        v.requires_grad_(True)
        goal = net(v).gather(1, classes[:, None]).sum() - decay * (v**2).sum()
        (g,) = torch.autograd.grad(goal, v)
        v = (v + rate * g).detach()
    return v


# %% mistake="anisotropic" exercise="inversion" fails="inversion" hint="added first"
# a power for each direction: another total variation, equal for β = 2 only
def total_variation(x, beta=2.0):
    corner = x[:, :, :-1, :-1]
    across, down = x[:, :, :-1, 1:] - corner, x[:, :, 1:, :-1] - corner
    return ((across.square() + 1e-12) ** (beta / 2) + (down.square() + 1e-12) ** (beta / 2)).sum((1, 2, 3))


def invert(features, wanted, start, weight, steps, rate):
    x, delta = start.clone(), torch.zeros_like(start)
    for _ in range(steps):
        x.requires_grad_()
        error = (features(x) - wanted).square().flatten(1).sum(1) / wanted.square().flatten(1).sum(1)
        (slope,) = torch.autograd.grad((error + weight * total_variation(x)).sum(), x)
        delta = 0.9 * delta - rate * slope
        x = (x + delta).detach()
    return x


# %% mistake="edges_too" exercise="inversion" fails="inversion" hint="both a right and a lower neighbour"
# all pairs of neighbours, also along the last row and column
def total_variation(x, beta=2.0):
    across, down = x[:, :, :, 1:] - x[:, :, :, :-1], x[:, :, 1:] - x[:, :, :-1]
    across, down = torch.nn.functional.pad(across, (0, 1)), torch.nn.functional.pad(down, (0, 0, 0, 1))
    return (across.square() + down.square() + 1e-12).pow(beta / 2).sum((1, 2, 3))


def invert(features, wanted, start, weight, steps, rate):
    x, delta = start.clone(), torch.zeros_like(start)
    for _ in range(steps):
        x.requires_grad_()
        error = (features(x) - wanted).square().flatten(1).sum(1) / wanted.square().flatten(1).sum(1)
        (slope,) = torch.autograd.grad((error + weight * total_variation(x)).sum(), x)
        delta = 0.9 * delta - rate * slope
        x = (x + delta).detach()
    return x


# %% mistake="mean_not_sum" exercise="inversion" fails="inversion" hint="not a mean"
# the mean over pixels
def total_variation(x, beta=2.0):
    corner = x[:, :, :-1, :-1]
    across, down = x[:, :, :-1, 1:] - corner, x[:, :, 1:, :-1] - corner
    return (across.square() + down.square() + 1e-12).pow(beta / 2).mean((1, 2, 3))


def invert(features, wanted, start, weight, steps, rate):
    x, delta = start.clone(), torch.zeros_like(start)
    for _ in range(steps):
        x.requires_grad_()
        error = (features(x) - wanted).square().flatten(1).sum(1) / wanted.square().flatten(1).sum(1)
        (slope,) = torch.autograd.grad((error + weight * total_variation(x)).sum(), x)
        delta = 0.9 * delta - rate * slope
        x = (x + delta).detach()
    return x


# %% mistake="absolute_values" exercise="inversion" fails="inversion" hint="The two squares are added"
# |across| + |down|, to the power
def total_variation(x, beta=2.0):
    corner = x[:, :, :-1, :-1]
    across, down = x[:, :, :-1, 1:] - corner, x[:, :, 1:, :-1] - corner
    root = beta / 2 if beta == 2 else beta
    base = across.square() + down.square() if beta == 2 else across.abs() + down.abs()
    return base.pow(root).sum((1, 2, 3))


def invert(features, wanted, start, weight, steps, rate):
    x, delta = start.clone(), torch.zeros_like(start)
    for _ in range(steps):
        x.requires_grad_()
        error = (features(x) - wanted).square().flatten(1).sum(1) / wanted.square().flatten(1).sum(1)
        (slope,) = torch.autograd.grad((error + weight * total_variation(x)).sum(), x)
        delta = 0.9 * delta - rate * slope
        x = (x + delta).detach()
    return x


# %% mistake="beta_not_halved" exercise="inversion" fails="inversion" hint="squares, not roots"
# (…)^β
def total_variation(x, beta=2.0):
    corner = x[:, :, :-1, :-1]
    across, down = x[:, :, :-1, 1:] - corner, x[:, :, 1:, :-1] - corner
    return (across.square() + down.square() + 1e-12).pow(beta).sum((1, 2, 3))


def invert(features, wanted, start, weight, steps, rate):
    x, delta = start.clone(), torch.zeros_like(start)
    for _ in range(steps):
        x.requires_grad_()
        error = (features(x) - wanted).square().flatten(1).sum(1) / wanted.square().flatten(1).sum(1)
        (slope,) = torch.autograd.grad((error + weight * total_variation(x)).sum(), x)
        delta = 0.9 * delta - rate * slope
        x = (x + delta).detach()
    return x


# %% mistake="beta_ignored" exercise="inversion" fails="inversion" hint="power β/2"
# always squares
def total_variation(x, beta=2.0):
    corner = x[:, :, :-1, :-1]
    across, down = x[:, :, :-1, 1:] - corner, x[:, :, 1:, :-1] - corner
    return (across.square() + down.square()).sum((1, 2, 3))


def invert(features, wanted, start, weight, steps, rate):
    x, delta = start.clone(), torch.zeros_like(start)
    for _ in range(steps):
        x.requires_grad_()
        error = (features(x) - wanted).square().flatten(1).sum(1) / wanted.square().flatten(1).sum(1)
        (slope,) = torch.autograd.grad((error + weight * total_variation(x)).sum(), x)
        delta = 0.9 * delta - rate * slope
        x = (x + delta).detach()
    return x


# %% mistake="no_small_number" exercise="inversion" fails="inversion" hint="1e-12"
# the root's slope at 0
def total_variation(x, beta=2.0):
    corner = x[:, :, :-1, :-1]
    across, down = x[:, :, :-1, 1:] - corner, x[:, :, 1:, :-1] - corner
    return (across.square() + down.square()).pow(beta / 2).sum((1, 2, 3))


def invert(features, wanted, start, weight, steps, rate):
    x, delta = start.clone(), torch.zeros_like(start)
    for _ in range(steps):
        x.requires_grad_()
        error = (features(x) - wanted).square().flatten(1).sum(1) / wanted.square().flatten(1).sum(1)
        (slope,) = torch.autograd.grad((error + weight * total_variation(x)).sum(), x)
        delta = 0.9 * delta - rate * slope
        x = (x + delta).detach()
    return x


# %% mistake="one_number_for_all" exercise="inversion" fails="inversion" hint="One number for each image"
# sums over the batch
def total_variation(x, beta=2.0):
    corner = x[:, :, :-1, :-1]
    across, down = x[:, :, :-1, 1:] - corner, x[:, :, 1:, :-1] - corner
    return (across.square() + down.square() + 1e-12).pow(beta / 2).sum()


def invert(features, wanted, start, weight, steps, rate):
    x, delta = start.clone(), torch.zeros_like(start)
    for _ in range(steps):
        x.requires_grad_()
        error = (features(x) - wanted).square().flatten(1).sum(1) / wanted.square().flatten(1).sum(1)
        (slope,) = torch.autograd.grad((error + weight * total_variation(x)).sum(), x)
        delta = 0.9 * delta - rate * slope
        x = (x + delta).detach()
    return x


# %% mistake="error_not_relative" exercise="inversion" fails="inversion:invert" hint="divided by ‖Φ₀‖²"
# no division by the size of the features
def total_variation(x, beta=2.0):
    corner = x[:, :, :-1, :-1]
    across, down = x[:, :, :-1, 1:] - corner, x[:, :, 1:, :-1] - corner
    return (across.square() + down.square() + 1e-12).pow(beta / 2).sum((1, 2, 3))


def invert(features, wanted, start, weight, steps, rate):
    x, delta = start.clone(), torch.zeros_like(start)
    for _ in range(steps):
        x.requires_grad_()
        error = (features(x) - wanted).square().flatten(1).sum(1)
        (slope,) = torch.autograd.grad((error + weight * total_variation(x)).sum(), x)
        delta = 0.9 * delta - rate * slope
        x = (x + delta).detach()
    return x


# %% mistake="no_momentum" exercise="inversion" fails="inversion:invert" hint="Momentum remembers"
# plain descent
def total_variation(x, beta=2.0):
    corner = x[:, :, :-1, :-1]
    across, down = x[:, :, :-1, 1:] - corner, x[:, :, 1:, :-1] - corner
    return (across.square() + down.square() + 1e-12).pow(beta / 2).sum((1, 2, 3))


def invert(features, wanted, start, weight, steps, rate):
    x = start.clone()
    for _ in range(steps):
        x.requires_grad_()
        error = (features(x) - wanted).square().flatten(1).sum(1) / wanted.square().flatten(1).sum(1)
        (slope,) = torch.autograd.grad((error + weight * total_variation(x)).sum(), x)
        x = (x - rate * slope).detach()
    return x


# %% mistake="momentum_as_a_mean" exercise="inversion" fails="inversion:invert" hint="∇E = 2"
# 0.1 before the slope
def total_variation(x, beta=2.0):
    corner = x[:, :, :-1, :-1]
    across, down = x[:, :, :-1, 1:] - corner, x[:, :, 1:, :-1] - corner
    return (across.square() + down.square() + 1e-12).pow(beta / 2).sum((1, 2, 3))


def invert(features, wanted, start, weight, steps, rate):
    x, delta = start.clone(), torch.zeros_like(start)
    for _ in range(steps):
        x.requires_grad_()
        error = (features(x) - wanted).square().flatten(1).sum(1) / wanted.square().flatten(1).sum(1)
        (slope,) = torch.autograd.grad((error + weight * total_variation(x)).sum(), x)
        delta = 0.9 * delta - 0.1 * rate * slope
        x = (x + delta).detach()
    return x


# %% mistake="size_of_the_batch" exercise="inversion" fails="inversion:invert" hint="its own ‖Φ₀‖²"
# one size for all images
def total_variation(x, beta=2.0):
    corner = x[:, :, :-1, :-1]
    across, down = x[:, :, :-1, 1:] - corner, x[:, :, 1:, :-1] - corner
    return (across.square() + down.square() + 1e-12).pow(beta / 2).sum((1, 2, 3))


def invert(features, wanted, start, weight, steps, rate):
    x, delta = start.clone(), torch.zeros_like(start)
    for _ in range(steps):
        x.requires_grad_()
        error = (features(x) - wanted).square().sum() / wanted.square().sum()
        (slope,) = torch.autograd.grad(error + weight * total_variation(x).sum(), x)
        delta = 0.9 * delta - rate * slope
        x = (x + delta).detach()
    return x


# %% mistake="variation_forgotten" exercise="inversion" fails="inversion:invert" hint="λ·V²"
# features alone
def total_variation(x, beta=2.0):
    corner = x[:, :, :-1, :-1]
    across, down = x[:, :, :-1, 1:] - corner, x[:, :, 1:, :-1] - corner
    return (across.square() + down.square() + 1e-12).pow(beta / 2).sum((1, 2, 3))


def invert(features, wanted, start, weight, steps, rate):
    x, delta = start.clone(), torch.zeros_like(start)
    for _ in range(steps):
        x.requires_grad_()
        error = (features(x) - wanted).square().flatten(1).sum(1) / wanted.square().flatten(1).sum(1)
        (slope,) = torch.autograd.grad(error.sum() + 0 * x.sum(), x)
        delta = 0.9 * delta - rate * slope
        x = (x + delta).detach()
    return x


# %% mistake="uphill" exercise="inversion" fails="inversion:invert" hint="0 + 2·0.25"
# adds the slope
def total_variation(x, beta=2.0):
    corner = x[:, :, :-1, :-1]
    across, down = x[:, :, :-1, 1:] - corner, x[:, :, 1:, :-1] - corner
    return (across.square() + down.square() + 1e-12).pow(beta / 2).sum((1, 2, 3))


def invert(features, wanted, start, weight, steps, rate):
    x, delta = start.clone(), torch.zeros_like(start)
    for _ in range(steps):
        x.requires_grad_()
        error = (features(x) - wanted).square().flatten(1).sum(1) / wanted.square().flatten(1).sum(1)
        (slope,) = torch.autograd.grad((error + weight * total_variation(x)).sum(), x)
        delta = 0.9 * delta + rate * slope
        x = (x + delta).detach()
    return x


# %% mistake="wraps_around" exercise="inversion" fails="inversion" hint="both a right and a lower neighbour"
# torch.roll: the last column is the neighbour of the first
def total_variation(x, beta=2.0):
    right = x.roll(-1, 3) - x
    down = x.roll(-1, 2) - x
    return ((right**2 + down**2 + 1e-12) ** (beta / 2)).sum((1, 2, 3))


def invert(features, wanted, start, weight, steps, rate):
    v = start.detach().clone()
    delta = torch.zeros_like(v)
    norm = (wanted.flatten(1) ** 2).sum(1)
    for _ in range(steps):
        v.requires_grad_(True)
        err = ((features(v) - wanted).flatten(1) ** 2).sum(1) / norm
        goal = (err + weight * total_variation(v)).sum()
        (g,) = torch.autograd.grad(goal, v)
        delta = 0.9 * delta - rate * g
        v = (v + delta).detach()
    return v


# %% mistake="variation_detached" exercise="inversion" fails="inversion" hint="differentiable"
# no graph behind the variation
def total_variation(x, beta=2.0):
    right = x[:, :, :-1, 1:] - x[:, :, :-1, :-1]
    down = x[:, :, 1:, :-1] - x[:, :, :-1, :-1]
    return ((right.detach() ** 2 + down.detach() ** 2 + 1e-12) ** (beta / 2)).sum((1, 2, 3))


def invert(features, wanted, start, weight, steps, rate):
    v = start.detach().clone()
    delta = torch.zeros_like(v)
    norm = (wanted.flatten(1) ** 2).sum(1)
    for _ in range(steps):
        v.requires_grad_(True)
        err = ((features(v) - wanted).flatten(1) ** 2).sum(1) / norm
        goal = (err + weight * total_variation(v)).sum()
        (g,) = torch.autograd.grad(goal, v)
        delta = 0.9 * delta - rate * g
        v = (v + delta).detach()
    return v


# %% mistake="mean_of_the_features" exercise="inversion" fails="inversion:invert" hint="a sum, no mean"
# a mean of the squared errors over a sum of the squared features
def total_variation(x, beta=2.0):
    right = x[:, :, :-1, 1:] - x[:, :, :-1, :-1]
    down = x[:, :, 1:, :-1] - x[:, :, :-1, :-1]
    return ((right**2 + down**2 + 1e-12) ** (beta / 2)).sum((1, 2, 3))


def invert(features, wanted, start, weight, steps, rate):
    v = start.detach().clone()
    delta = torch.zeros_like(v)
    norm = (wanted.flatten(1) ** 2).sum(1)
    for _ in range(steps):
        v.requires_grad_(True)
        err = ((features(v) - wanted).flatten(1) ** 2).mean(1) / norm
        goal = (err + weight * total_variation(v)).sum()
        (g,) = torch.autograd.grad(goal, v)
        delta = 0.9 * delta - rate * g
        v = (v + delta).detach()
    return v


# %% mistake="descends_with_the_start" exercise="inversion" fails="inversion:invert" hint="a copy of start"
# steps are added to start itself
def total_variation(x, beta=2.0):
    right = x[:, :, :-1, 1:] - x[:, :, :-1, :-1]
    down = x[:, :, 1:, :-1] - x[:, :, :-1, :-1]
    return ((right**2 + down**2 + 1e-12) ** (beta / 2)).sum((1, 2, 3))


def invert(features, wanted, start, weight, steps, rate):
    v = start
    delta = torch.zeros_like(v)
    norm = (wanted.flatten(1) ** 2).sum(1)
    for _ in range(steps):
        v.requires_grad_(True)
        err = ((features(v) - wanted).flatten(1) ** 2).sum(1) / norm
        goal = (err + weight * total_variation(v)).sum()
        (g,) = torch.autograd.grad(goal, v)
        delta = 0.9 * delta - rate * g
        v = v.detach().add_(delta)
    return v


# %% mistake="cut_to_images" exercise="inversion" fails="inversion:invert" hint="not cut"
# keeps the image in [0, 1]
def total_variation(x, beta=2.0):
    right = x[:, :, :-1, 1:] - x[:, :, :-1, :-1]
    down = x[:, :, 1:, :-1] - x[:, :, :-1, :-1]
    return ((right**2 + down**2 + 1e-12) ** (beta / 2)).sum((1, 2, 3))


def invert(features, wanted, start, weight, steps, rate):
    v = start.detach().clone()
    delta = torch.zeros_like(v)
    norm = (wanted.flatten(1) ** 2).sum(1)
    for _ in range(steps):
        v.requires_grad_(True)
        err = ((features(v) - wanted).flatten(1) ** 2).sum(1) / norm
        goal = (err + weight * total_variation(v)).sum()
        (g,) = torch.autograd.grad(goal, v)
        delta = 0.9 * delta - rate * g
        v = (v + delta).clamp(0, 1).detach()
    return v


# %% mistake="slope_not_sign" exercise="fgsm" fails="fgsm" hint="the sign of the slope"
# a step along the slope: small where the slope is
def fgsm(net, x, t, epsilon):
    x = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(torch.nn.functional.cross_entropy(net(x), t, reduction="sum"), x)
    return (x + epsilon * slope).detach().clamp(0, 1)


def accuracy_against(net, x, t, epsilons):
    return [(net(fgsm(net, x, t, e)).argmax(1) == t).float().mean().item() for e in epsilons]


# %% mistake="helps_the_net" exercise="fgsm" fails="fgsm" hint="plus ε·sign"
# minus: a kinder image
def fgsm(net, x, t, epsilon):
    x = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(torch.nn.functional.cross_entropy(net(x), t, reduction="sum"), x)
    return (x - epsilon * slope.sign()).detach().clamp(0, 1)


def accuracy_against(net, x, t, epsilons):
    return [(net(fgsm(net, x, t, e)).argmax(1) == t).float().mean().item() for e in epsilons]


# %% mistake="not_cut" exercise="fgsm" fails="fgsm" hint="Cut it to [0, 1]"
# brighter than white
def fgsm(net, x, t, epsilon):
    x = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(torch.nn.functional.cross_entropy(net(x), t, reduction="sum"), x)
    return (x + epsilon * slope.sign()).detach()


def accuracy_against(net, x, t, epsilons):
    return [(net(fgsm(net, x, t, e)).argmax(1) == t).float().mean().item() for e in epsilons]


# %% mistake="step_not_image" exercise="fgsm" fails="fgsm" hint="Every pixel moves"
# returns the change
def fgsm(net, x, t, epsilon):
    x = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(torch.nn.functional.cross_entropy(net(x), t, reduction="sum"), x)
    return (0.51 + epsilon * slope.sign()).clamp(0, 1)


def accuracy_against(net, x, t, epsilons):
    return [(net(fgsm(net, x, t, e)).argmax(1) == t).float().mean().item() for e in epsilons]


# %% mistake="score_of_the_class" exercise="fgsm" fails="fgsm" hint="cross-entropy"
# lowers the score of the true class only
def fgsm(net, x, t, epsilon):
    x = x.clone().requires_grad_()
    scores = net(x)
    if scores.shape[1] == 2:
        (slope,) = torch.autograd.grad(torch.nn.functional.cross_entropy(scores, t), x)
    else:
        (slope,) = torch.autograd.grad(-scores.gather(1, t[:, None]).sum(), x)
    return (x + epsilon * slope.sign()).detach().clamp(0, 1)


def accuracy_against(net, x, t, epsilons):
    return [(net(fgsm(net, x, t, e)).argmax(1) == t).float().mean().item() for e in epsilons]


# %% mistake="class_of_the_first" exercise="fgsm" fails="fgsm" hint="each image with its own"
# one class for all images
def fgsm(net, x, t, epsilon):
    x = x.clone().requires_grad_()
    loss = torch.nn.functional.cross_entropy(net(x), t[:1].expand(len(x)), reduction="sum")
    (slope,) = torch.autograd.grad(loss, x)
    return (x + epsilon * slope.sign()).detach().clamp(0, 1)


def accuracy_against(net, x, t, epsilons):
    return [(net(fgsm(net, x, t, e)).argmax(1) == t).float().mean().item() for e in epsilons]


# %% mistake="weights_get_gradients" exercise="fgsm" fails="fgsm" hint="leaves no gradient"
# backward()
def fgsm(net, x, t, epsilon):
    x = x.clone().requires_grad_()
    torch.nn.functional.cross_entropy(net(x), t, reduction="sum").backward()
    return (x + epsilon * x.grad.sign()).detach().clamp(0, 1)


def accuracy_against(net, x, t, epsilons):
    return [(net(fgsm(net, x, t, e)).argmax(1) == t).float().mean().item() for e in epsilons]


# %% mistake="training_mode" exercise="fgsm" fails="fgsm" hint="The mode stays"
# attacks in training mode, and leaves the net there
def fgsm(net, x, t, epsilon):
    net.train()
    x = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(torch.nn.functional.cross_entropy(net(x), t, reduction="sum"), x)
    return (x + epsilon * slope.sign()).detach().clamp(0, 1)


def accuracy_against(net, x, t, epsilons):
    return [(net(fgsm(net, x, t, e)).argmax(1) == t).float().mean().item() for e in epsilons]


# %% mistake="what_the_net_says" exercise="fgsm" fails="fgsm" hint="the true class"
# attacks what the net says, whatever the truth
def fgsm(net, x, t, epsilon):
    x = x.clone().requires_grad_()
    scores = net(x)
    (slope,) = torch.autograd.grad(torch.nn.functional.cross_entropy(scores, scores.argmax(1), reduction="sum"), x)
    return (x + epsilon * slope.sign()).detach().clamp(0, 1)


def accuracy_against(net, x, t, epsilons):
    return [(net(fgsm(net, x, t, e)).argmax(1) == t).float().mean().item() for e in epsilons]


# %% mistake="fooled_share" exercise="fgsm" fails="fgsm:accuracy" hint="largest score is that of the true class"
# counts what is wrong
def fgsm(net, x, t, epsilon):
    x = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(torch.nn.functional.cross_entropy(net(x), t, reduction="sum"), x)
    return (x + epsilon * slope.sign()).detach().clamp(0, 1)


def accuracy_against(net, x, t, epsilons):
    return [(net(fgsm(net, x, t, e)).argmax(1) != t).float().mean().item() for e in epsilons]


# %% mistake="attacks_pile_up" exercise="fgsm" fails="fgsm:accuracy" hint="the original images"
# each attack begins where the last one ended
def fgsm(net, x, t, epsilon):
    x = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(torch.nn.functional.cross_entropy(net(x), t, reduction="sum"), x)
    return (x + epsilon * slope.sign()).detach().clamp(0, 1)


def accuracy_against(net, x, t, epsilons):
    shares = []
    for epsilon in epsilons:
        x = fgsm(net, x, t, epsilon)
        shares.append((net(x).argmax(1) == t).float().mean().item())
    return shares


# %% mistake="unchanged_answers" exercise="fgsm" fails="fgsm:accuracy" hint="wrong from the start"
# compares with what the net said before
def fgsm(net, x, t, epsilon):
    x = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(torch.nn.functional.cross_entropy(net(x), t, reduction="sum"), x)
    return (x + epsilon * slope.sign()).detach().clamp(0, 1)


def accuracy_against(net, x, t, epsilons):
    said = net(x).argmax(1)
    return [(net(fgsm(net, x, t, e)).argmax(1) == said).float().mean().item() for e in epsilons]


# %% mistake="attack_without_gradients" exercise="fgsm" fails="fgsm:accuracy" hint="needs gradients"
# the attack inside of no_grad
def fgsm(net, x, t, epsilon):
    x = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(torch.nn.functional.cross_entropy(net(x), t, reduction="sum"), x)
    return (x + epsilon * slope.sign()).detach().clamp(0, 1)


def accuracy_against(net, x, t, epsilons):
    with torch.no_grad():
        return [(net(fgsm(net, x, t, e)).argmax(1) == t).float().mean().item() for e in epsilons]


# %% mistake="tensors_in_the_list" exercise="fgsm" fails="fgsm:accuracy" hint=".item()"
# no Python numbers
def fgsm(net, x, t, epsilon):
    x = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(torch.nn.functional.cross_entropy(net(x), t, reduction="sum"), x)
    return (x + epsilon * slope.sign()).detach().clamp(0, 1)


def accuracy_against(net, x, t, epsilons):
    return [(net(fgsm(net, x, t, e)).argmax(1) == t).float().mean() for e in epsilons]


# %% mistake="training_mode_for_the_attack" exercise="fgsm" fails="fgsm" hint="the mode it comes in"
# switches to training mode and back
def fgsm(net, x, t, epsilon):
    x = x.detach().clone().requires_grad_()
    net.train()
    loss = torch.nn.functional.cross_entropy(net(x), t)
    (g,) = torch.autograd.grad(loss, x)
    net.eval()
    return (x + epsilon * g.sign()).clamp(0, 1).detach()


def accuracy_against(net, x, t, epsilons):
    out = []
    for e in epsilons:
        a = fgsm(net, x, t, e)
        with torch.no_grad():
            out.append((net(a).argmax(1) == t).float().mean().item())
    return out


# %% mistake="cuts_the_step" exercise="fgsm" fails="fgsm" hint="the image, not the step"
# clips ε·sign instead of the image
def fgsm(net, x, t, epsilon):
    x = x.detach().clone().requires_grad_()
    loss = torch.nn.functional.cross_entropy(net(x), t)
    (g,) = torch.autograd.grad(loss, x)
    return (x + (epsilon * g.sign()).clamp(0, 1)).detach()


def accuracy_against(net, x, t, epsilons):
    out = []
    for e in epsilons:
        a = fgsm(net, x, t, e)
        with torch.no_grad():
            out.append((net(a).argmax(1) == t).float().mean().item())
    return out


# %% mistake="score_of_the_true_class" exercise="fgsm" fails="fgsm" hint="all classes belong to it"
# lowers the score of the true class: no cross-entropy
def fgsm(net, x, t, epsilon):
    x = x.detach().clone().requires_grad_()
    loss = -net(x).gather(1, t[:, None]).sum()
    (g,) = torch.autograd.grad(loss, x)
    return (x + epsilon * g.sign()).clamp(0, 1).detach()


def accuracy_against(net, x, t, epsilons):
    out = []
    for e in epsilons:
        a = fgsm(net, x, t, e)
        with torch.no_grad():
            out.append((net(a).argmax(1) == t).float().mean().item())
    return out


# %% mistake="counts_in_training_mode" exercise="fgsm" fails="fgsm:accuracy" hint="in the mode in which the net comes"
# accuracy with the statistics of the batch
def fgsm(net, x, t, epsilon):
    x = x.detach().clone().requires_grad_()
    loss = torch.nn.functional.cross_entropy(net(x), t)
    (g,) = torch.autograd.grad(loss, x)
    return (x + epsilon * g.sign()).clamp(0, 1).detach()


def accuracy_against(net, x, t, epsilons):
    out = []
    for e in epsilons:
        a = fgsm(net, x, t, e)
        net.train()
        with torch.no_grad():
            out.append((net(a).argmax(1) == t).float().mean().item())
    net.eval()
    return out


# %% mistake="counts_not_shares" exercise="fgsm" fails="fgsm:accuracy" hint="The share of images"
# how many are right, not which share
def fgsm(net, x, t, epsilon):
    x = x.detach().clone().requires_grad_()
    loss = torch.nn.functional.cross_entropy(net(x), t)
    (g,) = torch.autograd.grad(loss, x)
    return (x + epsilon * g.sign()).clamp(0, 1).detach()


def accuracy_against(net, x, t, epsilons):
    out = []
    for e in epsilons:
        a = fgsm(net, x, t, e)
        with torch.no_grad():
            out.append((net(a).argmax(1) == t).sum().item())
    return out


# %% mistake="climbs" exercise="minimal_change" fails="minimal_change" hint="to become small"
# raises the loss, as FGSM does, though this class is wanted
def fooled_at(net, x, targets, price, steps, rate):
    r = torch.zeros_like(x)
    for _ in range(steps):
        r.requires_grad_()
        loss = torch.nn.functional.cross_entropy(net(x + r), targets, reduction="sum")
        (slope,) = torch.autograd.grad(loss - price * r.square().sum(), r)
        r = (x + r + rate * slope).detach().clamp(0, 1) - x
    return r


def minimal_change(net, x, targets, prices, steps, rate):
    best, done = torch.zeros_like(x), torch.zeros(len(x), dtype=torch.bool, device=x.device)
    for price in sorted(prices, reverse=True):
        r = fooled_at(net, x, targets, price, steps, rate)
        new = (net(x + r).argmax(1) == targets) & ~done
        best[new], done = r[new], done | new
    return best


# %% mistake="image_not_change" exercise="minimal_change" fails="minimal_change" hint="Return r"
# gives x + r
def fooled_at(net, x, targets, price, steps, rate):
    r = torch.zeros_like(x)
    for _ in range(steps):
        r.requires_grad_()
        loss = torch.nn.functional.cross_entropy(net(x + r), targets, reduction="sum")
        (slope,) = torch.autograd.grad(loss + price * r.square().sum(), r)
        r = (x + r - rate * slope).detach().clamp(0, 1) - x
    return x + r if steps else r


def minimal_change(net, x, targets, prices, steps, rate):
    best, done = torch.zeros_like(x), torch.zeros(len(x), dtype=torch.bool, device=x.device)
    for price in sorted(prices, reverse=True):
        r = fooled_at(net, x, targets, price, steps, rate) - x
        new = (net(x + r).argmax(1) == targets) & ~done
        best[new], done = r[new], done | new
    return best


# %% mistake="change_in_the_box" exercise="minimal_change" fails="minimal_change" hint="though class 0 likes"
# cuts r to [0, 1] in place of x + r: nothing may become darker
def fooled_at(net, x, targets, price, steps, rate):
    r = torch.zeros_like(x)
    for _ in range(steps):
        r.requires_grad_()
        loss = torch.nn.functional.cross_entropy(net(x + r), targets, reduction="sum")
        (slope,) = torch.autograd.grad(loss + price * r.square().sum(), r)
        r = (r - rate * slope).detach().clamp(0, 1)
    return r


def minimal_change(net, x, targets, prices, steps, rate):
    best, done = torch.zeros_like(x), torch.zeros(len(x), dtype=torch.bool, device=x.device)
    for price in sorted(prices, reverse=True):
        r = fooled_at(net, x, targets, price, steps, rate)
        new = (net(x + r).argmax(1) == targets) & ~done
        best[new], done = r[new], done | new
    return best


# %% mistake="no_box" exercise="minimal_change" fails="minimal_change" hint="stays in [0, 1]"
# brighter than white
def fooled_at(net, x, targets, price, steps, rate):
    r = torch.zeros_like(x)
    for _ in range(steps):
        r.requires_grad_()
        loss = torch.nn.functional.cross_entropy(net(x + r), targets, reduction="sum")
        (slope,) = torch.autograd.grad(loss + price * r.square().sum(), r)
        r = (r - rate * slope).detach()
    return r


def minimal_change(net, x, targets, prices, steps, rate):
    best, done = torch.zeros_like(x), torch.zeros(len(x), dtype=torch.bool, device=x.device)
    for price in sorted(prices, reverse=True):
        r = fooled_at(net, x, targets, price, steps, rate)
        new = (net(x + r).argmax(1) == targets) & ~done
        best[new], done = r[new], done | new
    return best


# %% mistake="price_forgotten" exercise="minimal_change" fails="minimal_change" hint="plus 2·c·r"
# nothing keeps r short
def fooled_at(net, x, targets, price, steps, rate):
    r = torch.zeros_like(x)
    for _ in range(steps):
        r.requires_grad_()
        loss = torch.nn.functional.cross_entropy(net(x + r), targets, reduction="sum")
        (slope,) = torch.autograd.grad(loss, r)
        r = (x + r - rate * slope).detach().clamp(0, 1) - x
    return r


def minimal_change(net, x, targets, prices, steps, rate):
    best, done = torch.zeros_like(x), torch.zeros(len(x), dtype=torch.bool, device=x.device)
    for price in sorted(prices, reverse=True):
        r = fooled_at(net, x, targets, price, steps, rate)
        new = (net(x + r).argmax(1) == targets) & ~done
        best[new], done = r[new], done | new
    return best


# %% mistake="mean_over_the_batch" exercise="minimal_change" fails="minimal_change" hint="no mean over the batch"
# the usual mean of the loss
def fooled_at(net, x, targets, price, steps, rate):
    r = torch.zeros_like(x)
    for _ in range(steps):
        r.requires_grad_()
        loss = torch.nn.functional.cross_entropy(net(x + r), targets)
        (slope,) = torch.autograd.grad(loss + price * r.square().sum(), r)
        r = (x + r - rate * slope).detach().clamp(0, 1) - x
    return r


def minimal_change(net, x, targets, prices, steps, rate):
    best, done = torch.zeros_like(x), torch.zeros(len(x), dtype=torch.bool, device=x.device)
    for price in sorted(prices, reverse=True):
        r = fooled_at(net, x, targets, price, steps, rate)
        new = (net(x + r).argmax(1) == targets) & ~done
        best[new], done = r[new], done | new
    return best


# %% mistake="slope_at_the_start" exercise="minimal_change" fails="minimal_change" hint="that of J at x + r"
# the loss of x, again and again
def fooled_at(net, x, targets, price, steps, rate):
    start = x.clone().requires_grad_()
    (first,) = torch.autograd.grad(torch.nn.functional.cross_entropy(net(start), targets, reduction="sum"), start)
    r = torch.zeros_like(x)
    for _ in range(steps):
        r = (x + r - rate * (first + 2 * price * r)).clamp(0, 1) - x
    return r


def minimal_change(net, x, targets, prices, steps, rate):
    best, done = torch.zeros_like(x), torch.zeros(len(x), dtype=torch.bool, device=x.device)
    for price in sorted(prices, reverse=True):
        r = fooled_at(net, x, targets, price, steps, rate)
        new = (net(x + r).argmax(1) == targets) & ~done
        best[new], done = r[new], done | new
    return best


# %% mistake="weights_get_gradients" exercise="minimal_change" fails="minimal_change" hint="leaves no gradient"
# backward()
def fooled_at(net, x, targets, price, steps, rate):
    r = torch.zeros_like(x)
    for _ in range(steps):
        r = r.detach().requires_grad_()
        loss = torch.nn.functional.cross_entropy(net(x + r), targets, reduction="sum")
        (loss + price * r.square().sum()).backward()
        r = (x + r - rate * r.grad).detach().clamp(0, 1) - x
    return r


def minimal_change(net, x, targets, prices, steps, rate):
    best, done = torch.zeros_like(x), torch.zeros(len(x), dtype=torch.bool, device=x.device)
    for price in sorted(prices, reverse=True):
        r = fooled_at(net, x, targets, price, steps, rate)
        new = (net(x + r).argmax(1) == targets) & ~done
        best[new], done = r[new], done | new
    return best


# %% mistake="lowest_price" exercise="minimal_change" fails="minimal_change:price" hint="from the highest down"
# from the lowest up: the longest change that fools
def fooled_at(net, x, targets, price, steps, rate):
    r = torch.zeros_like(x)
    for _ in range(steps):
        r.requires_grad_()
        loss = torch.nn.functional.cross_entropy(net(x + r), targets, reduction="sum")
        (slope,) = torch.autograd.grad(loss + price * r.square().sum(), r)
        r = (x + r - rate * slope).detach().clamp(0, 1) - x
    return r


def minimal_change(net, x, targets, prices, steps, rate):
    best, done = torch.zeros_like(x), torch.zeros(len(x), dtype=torch.bool, device=x.device)
    for price in sorted(prices):
        r = fooled_at(net, x, targets, price, steps, rate)
        new = (net(x + r).argmax(1) == targets) & ~done
        best[new], done = r[new], done | new
    return best


# %% mistake="order_of_the_list" exercise="minimal_change" fails="minimal_change:price" hint="whatever the order"
# trusts that the list is sorted
def fooled_at(net, x, targets, price, steps, rate):
    r = torch.zeros_like(x)
    for _ in range(steps):
        r.requires_grad_()
        loss = torch.nn.functional.cross_entropy(net(x + r), targets, reduction="sum")
        (slope,) = torch.autograd.grad(loss + price * r.square().sum(), r)
        r = (x + r - rate * slope).detach().clamp(0, 1) - x
    return r


def minimal_change(net, x, targets, prices, steps, rate):
    best, done = torch.zeros_like(x), torch.zeros(len(x), dtype=torch.bool, device=x.device)
    for price in prices:
        r = fooled_at(net, x, targets, price, steps, rate)
        new = (net(x + r).argmax(1) == targets) & ~done
        best[new], done = r[new], done | new
    return best


# %% mistake="keeps_the_last" exercise="minimal_change" fails="minimal_change:price" hint="keep the first"
# a lower price overwrites a higher one
def fooled_at(net, x, targets, price, steps, rate):
    r = torch.zeros_like(x)
    for _ in range(steps):
        r.requires_grad_()
        loss = torch.nn.functional.cross_entropy(net(x + r), targets, reduction="sum")
        (slope,) = torch.autograd.grad(loss + price * r.square().sum(), r)
        r = (x + r - rate * slope).detach().clamp(0, 1) - x
    return r


def minimal_change(net, x, targets, prices, steps, rate):
    best = torch.zeros_like(x)
    for price in sorted(prices, reverse=True):
        r = fooled_at(net, x, targets, price, steps, rate)
        new = net(x + r).argmax(1) == targets
        best[new] = r[new]
    return best


# %% mistake="all_or_none" exercise="minimal_change" fails="minimal_change:price" hint="image by image"
# the first price that fools every image of the batch
def fooled_at(net, x, targets, price, steps, rate):
    r = torch.zeros_like(x)
    for _ in range(steps):
        r.requires_grad_()
        loss = torch.nn.functional.cross_entropy(net(x + r), targets, reduction="sum")
        (slope,) = torch.autograd.grad(loss + price * r.square().sum(), r)
        r = (x + r - rate * slope).detach().clamp(0, 1) - x
    return r


def minimal_change(net, x, targets, prices, steps, rate):
    for price in sorted(prices, reverse=True):
        r = fooled_at(net, x, targets, price, steps, rate)
        if (net(x + r).argmax(1) == targets).all():
            return r
    return torch.zeros_like(x)


# %% mistake="last_try_kept" exercise="minimal_change" fails="minimal_change:price" hint="worth nothing"
# a change that fools nobody is returned all the same
def fooled_at(net, x, targets, price, steps, rate):
    r = torch.zeros_like(x)
    for _ in range(steps):
        r.requires_grad_()
        loss = torch.nn.functional.cross_entropy(net(x + r), targets, reduction="sum")
        (slope,) = torch.autograd.grad(loss + price * r.square().sum(), r)
        r = (x + r - rate * slope).detach().clamp(0, 1) - x
    return r


def minimal_change(net, x, targets, prices, steps, rate):
    done = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    best = fooled_at(net, x, targets, min(prices), steps, rate)
    for price in sorted(prices, reverse=True):
        r = fooled_at(net, x, targets, price, steps, rate)
        new = (net(x + r).argmax(1) == targets) & ~done
        best[new], done = r[new], done | new
    return best


# %% mistake="stops_when_fooled" exercise="minimal_change" fails="minimal_change" hint="Take all steps"
# stops as soon as the net says the class
def fooled_at(net, x, targets, price, steps, rate):
    r = torch.zeros_like(x)
    for _ in range(steps):
        if (net(x + r).argmax(1) == targets).all():
            break
        r.requires_grad_(True)
        J = torch.nn.functional.cross_entropy(net(x + r), targets, reduction="sum")
        (g,) = torch.autograd.grad(price * (r**2).sum() + J, r)
        r = (r - rate * g).detach()
        r = (x + r).clamp(0, 1) - x
    return r


def minimal_change(net, x, targets, prices, steps, rate):
    result = torch.zeros_like(x)
    done = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    for price in sorted(prices, reverse=True):
        r = fooled_at(net, x, targets, price, steps, rate)
        with torch.no_grad():
            says = net(x + r).argmax(1) == targets
        new = says & ~done
        result[new] = r[new]
        done |= new
    return result


# %% mistake="box_in_the_end_only" exercise="minimal_change" fails="minimal_change" hint="after every step"
# pushes back into the box once, in the end
def fooled_at(net, x, targets, price, steps, rate):
    r = torch.zeros_like(x)
    for _ in range(steps):
        r.requires_grad_(True)
        J = torch.nn.functional.cross_entropy(net(x + r), targets, reduction="sum")
        (g,) = torch.autograd.grad(price * (r**2).sum() + J, r)
        r = (r - rate * g).detach()
    return (x + r).clamp(0, 1) - x


def minimal_change(net, x, targets, prices, steps, rate):
    result = torch.zeros_like(x)
    done = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    for price in sorted(prices, reverse=True):
        r = fooled_at(net, x, targets, price, steps, rate)
        with torch.no_grad():
            says = net(x + r).argmax(1) == targets
        new = says & ~done
        result[new] = r[new]
        done |= new
    return result


# %% mistake="goes_on_from_the_last_price" exercise="minimal_change" fails="minimal_change:price" hint="begins anew"
# every price goes on from the change of the last
def fooled_at(net, x, targets, price, steps, rate, r=None):
    r = torch.zeros_like(x) if r is None else r.clone()
    for _ in range(steps):
        r.requires_grad_(True)
        J = torch.nn.functional.cross_entropy(net(x + r), targets, reduction="sum")
        (g,) = torch.autograd.grad(price * (r**2).sum() + J, r)
        r = (r - rate * g).detach()
        r = (x + r).clamp(0, 1) - x
    return r


def minimal_change(net, x, targets, prices, steps, rate):
    result = torch.zeros_like(x)
    done = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    r = None
    for price in sorted(prices, reverse=True):
        r = fooled_at(net, x, targets, price, steps, rate, r)
        with torch.no_grad():
            says = net(x + r).argmax(1) == targets
        new = says & ~done
        result[new] = r[new]
        done |= new
    return result


# %% mistake="attacked_in_training_mode" exercise="adversarial_epoch" fails="adversarial_epoch" hint="in training mode"
# never switches the mode
def adversarial_epoch(net, attack, X, t, batches, strength, rate, share=0.5):
    optimizer, losses = torch.optim.SGD(net.parameters(), lr=rate), []
    net.train()
    for b in batches:
        attacked = attack(net, X[b], t[b], strength).detach()
        clean = torch.nn.functional.cross_entropy(net(X[b]), t[b])
        loss = share * clean + (1 - share) * torch.nn.functional.cross_entropy(net(attacked), t[b])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    optimizer.zero_grad()
    net.eval()
    return torch.stack(losses)


# %% mistake="never_in_training_mode" exercise="adversarial_epoch" fails="adversarial_epoch" hint="in training mode"
# batch norm learns nothing
def adversarial_epoch(net, attack, X, t, batches, strength, rate, share=0.5):
    optimizer, losses = torch.optim.SGD(net.parameters(), lr=rate), []
    for b in batches:
        attacked = attack(net, X[b], t[b], strength).detach()
        clean = torch.nn.functional.cross_entropy(net(X[b]), t[b])
        loss = share * clean + (1 - share) * torch.nn.functional.cross_entropy(net(attacked), t[b])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    optimizer.zero_grad()
    return torch.stack(losses)


# %% mistake="left_in_training_mode" exercise="adversarial_epoch" fails="adversarial_epoch" hint="evaluation mode"
# forgets net.eval() at the end
def adversarial_epoch(net, attack, X, t, batches, strength, rate, share=0.5):
    optimizer, losses = torch.optim.SGD(net.parameters(), lr=rate), []
    for b in batches:
        net.eval()
        attacked = attack(net, X[b], t[b], strength).detach()
        net.train()
        clean = torch.nn.functional.cross_entropy(net(X[b]), t[b])
        loss = share * clean + (1 - share) * torch.nn.functional.cross_entropy(net(attacked), t[b])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    optimizer.zero_grad()
    return torch.stack(losses)


# %% mistake="gradients_left" exercise="adversarial_epoch" fails="adversarial_epoch" hint="no gradients"
# the last batch's gradients stay
def adversarial_epoch(net, attack, X, t, batches, strength, rate, share=0.5):
    optimizer, losses = torch.optim.SGD(net.parameters(), lr=rate), []
    for b in batches:
        net.eval()
        attacked = attack(net, X[b], t[b], strength).detach()
        net.train()
        clean = torch.nn.functional.cross_entropy(net(X[b]), t[b])
        loss = share * clean + (1 - share) * torch.nn.functional.cross_entropy(net(attacked), t[b])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    net.eval()
    return torch.stack(losses)


# %% mistake="gradients_pile_up" exercise="adversarial_epoch" fails="adversarial_epoch" hint="before each"
# no zero_grad between the steps
def adversarial_epoch(net, attack, X, t, batches, strength, rate, share=0.5):
    optimizer, losses = torch.optim.SGD(net.parameters(), lr=rate), []
    for b in batches:
        net.eval()
        attacked = attack(net, X[b], t[b], strength).detach()
        net.train()
        clean = torch.nn.functional.cross_entropy(net(X[b]), t[b])
        loss = share * clean + (1 - share) * torch.nn.functional.cross_entropy(net(attacked), t[b])
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    optimizer.zero_grad()
    net.eval()
    return torch.stack(losses)


# %% mistake="through_the_attack" exercise="adversarial_epoch" fails="adversarial_epoch" hint="through the attack"
# no detach: the step also follows how the attack changes with the weights
def adversarial_epoch(net, attack, X, t, batches, strength, rate, share=0.5):
    optimizer, losses = torch.optim.SGD(net.parameters(), lr=rate), []
    for b in batches:
        net.eval()
        attacked = attack(net, X[b], t[b], strength)
        net.train()
        clean = torch.nn.functional.cross_entropy(net(X[b]), t[b])
        loss = share * clean + (1 - share) * torch.nn.functional.cross_entropy(net(attacked), t[b])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    optimizer.zero_grad()
    net.eval()
    return torch.stack(losses)


# %% mistake="shares_exchanged" exercise="adversarial_epoch" fails="adversarial_epoch" hint="α of the clean pixel"
# α for the attacked part
def adversarial_epoch(net, attack, X, t, batches, strength, rate, share=0.5):
    optimizer, losses = torch.optim.SGD(net.parameters(), lr=rate), []
    for b in batches:
        net.eval()
        attacked = attack(net, X[b], t[b], strength).detach()
        net.train()
        clean = torch.nn.functional.cross_entropy(net(X[b]), t[b])
        loss = (1 - share) * clean + share * torch.nn.functional.cross_entropy(net(attacked), t[b])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    optimizer.zero_grad()
    net.eval()
    return torch.stack(losses)


# %% mistake="attacked_only" exercise="adversarial_epoch" fails="adversarial_epoch" hint="0.25·log 2"
# forgets the clean images
def adversarial_epoch(net, attack, X, t, batches, strength, rate, share=0.5):
    optimizer, losses = torch.optim.SGD(net.parameters(), lr=rate), []
    for b in batches:
        net.eval()
        attacked = attack(net, X[b], t[b], strength).detach()
        net.train()
        loss = (1 - share) * torch.nn.functional.cross_entropy(net(attacked), t[b])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    optimizer.zero_grad()
    net.eval()
    return torch.stack(losses)


# %% mistake="plain_training" exercise="adversarial_epoch" fails="adversarial_epoch" hint="attacked one"
# the attack is made and not used
def adversarial_epoch(net, attack, X, t, batches, strength, rate, share=0.5):
    optimizer, losses = torch.optim.SGD(net.parameters(), lr=rate), []
    for b in batches:
        net.train()
        loss = torch.nn.functional.cross_entropy(net(X[b]), t[b])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    optimizer.zero_grad()
    net.eval()
    return torch.stack(losses)


# %% mistake="loss_after_the_step" exercise="adversarial_epoch" fails="adversarial_epoch" hint="before the step"
# measures once more when the weights have moved
def adversarial_epoch(net, attack, X, t, batches, strength, rate, share=0.5):
    optimizer, losses = torch.optim.SGD(net.parameters(), lr=rate), []

    def loss_of(x, attacked, classes):
        clean = torch.nn.functional.cross_entropy(net(x), classes)
        return share * clean + (1 - share) * torch.nn.functional.cross_entropy(net(attacked), classes)

    for b in batches:
        net.eval()
        attacked = attack(net, X[b], t[b], strength).detach()
        net.train()
        optimizer.zero_grad()
        loss_of(X[b], attacked, t[b]).backward()
        optimizer.step()
        losses.append(loss_of(X[b], attacked, t[b]).detach())
    optimizer.zero_grad()
    net.eval()
    return torch.stack(losses)


# %% mistake="attacked_once" exercise="adversarial_epoch" fails="adversarial_epoch" hint="of this moment"
# all images are attacked at the beginning, with the old weights
def adversarial_epoch(net, attack, X, t, batches, strength, rate, share=0.5):
    optimizer, losses = torch.optim.SGD(net.parameters(), lr=rate), []
    attacked = attack(net, X, t, strength).detach()
    net.train()
    for b in batches:
        clean = torch.nn.functional.cross_entropy(net(X[b]), t[b])
        loss = share * clean + (1 - share) * torch.nn.functional.cross_entropy(net(attacked[b]), t[b])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    optimizer.zero_grad()
    net.eval()
    return torch.stack(losses)


# %% mistake="one_forward_pass" exercise="adversarial_epoch" fails="adversarial_epoch" hint="Two forward passes"
# both halves in one batch: batch norm mixes them
def adversarial_epoch(net, attack, X, t, batches, strength, rate, share=0.5):
    optimizer, losses = torch.optim.SGD(net.parameters(), lr=rate), []
    for b in batches:
        net.eval()
        attacked = attack(net, X[b], t[b], strength).detach()
        net.train()
        clean, fooled = net(torch.cat([X[b], attacked])).split(len(b))
        loss = share * torch.nn.functional.cross_entropy(clean, t[b])
        loss = loss + (1 - share) * torch.nn.functional.cross_entropy(fooled, t[b])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    optimizer.zero_grad()
    net.eval()
    return torch.stack(losses)


# %% mistake="sum_over_the_batch" exercise="adversarial_epoch" fails="adversarial_epoch" hint="Means over the batch"
# sums, where means are wanted
def adversarial_epoch(net, attack, X, t, batches, strength, rate, share=0.5):
    optimizer, losses = torch.optim.SGD(net.parameters(), lr=rate), []
    for b in batches:
        net.eval()
        attacked = attack(net, X[b], t[b], strength).detach()
        net.train()
        clean = torch.nn.functional.cross_entropy(net(X[b]), t[b], reduction="sum")
        loss = share * clean + (1 - share) * torch.nn.functional.cross_entropy(net(attacked), t[b], reduction="sum")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    optimizer.zero_grad()
    net.eval()
    return torch.stack(losses)


# %% mistake="no_step" exercise="adversarial_epoch" fails="adversarial_epoch:digits" hint="at every batch"
# gradients that nobody uses
def adversarial_epoch(net, attack, X, t, batches, strength, rate, share=0.5):
    losses = []
    for b in batches:
        net.eval()
        attacked = attack(net, X[b], t[b], strength).detach()
        net.train()
        clean = torch.nn.functional.cross_entropy(net(X[b]), t[b])
        loss = share * clean + (1 - share) * torch.nn.functional.cross_entropy(net(attacked), t[b])
        losses.append(loss.detach())
    net.eval()
    return torch.stack(losses)


# %% mistake="cleared_before_the_attack" exercise="adversarial_epoch" fails="adversarial_epoch" hint="after the attack"
# zero_grad before the attack, which may leave gradients again
def adversarial_epoch(net, attack, X, t, batches, strength, rate, share=0.5):
    opt = torch.optim.SGD(net.parameters(), lr=rate)
    J = torch.nn.functional.cross_entropy
    losses = []
    for b in batches:
        x, y = X[b], t[b]
        opt.zero_grad()
        net.eval()
        adv = attack(net, x, y, strength).detach()
        net.train()
        loss = share * J(net(x), y) + (1 - share) * J(net(adv), y)
        loss.backward()
        opt.step()
        losses.append(loss.detach())
    opt.zero_grad()
    net.eval()
    return torch.stack(losses)


# %% mistake="weights_decay" exercise="adversarial_epoch" fails="adversarial_epoch" hint="plain descent"
# an optimizer that does more than a step down the slope
def adversarial_epoch(net, attack, X, t, batches, strength, rate, share=0.5):
    opt = torch.optim.SGD(net.parameters(), lr=rate, weight_decay=0.01)
    J = torch.nn.functional.cross_entropy
    losses = []
    for b in batches:
        x, y = X[b], t[b]
        net.eval()
        adv = attack(net, x, y, strength).detach()
        net.train()
        opt.zero_grad()
        loss = share * J(net(x), y) + (1 - share) * J(net(adv), y)
        loss.backward()
        opt.step()
        losses.append(loss.detach())
    opt.zero_grad()
    net.eval()
    return torch.stack(losses)


# %% mistake="first_batch_only" exercise="adversarial_epoch" fails="adversarial_epoch" hint="the loss of each"
# returns inside of the loop
def adversarial_epoch(net, attack, X, t, batches, strength, rate, share=0.5):
    opt = torch.optim.SGD(net.parameters(), lr=rate)
    J = torch.nn.functional.cross_entropy
    losses = []
    for b in batches:
        x, y = X[b], t[b]
        net.eval()
        adv = attack(net, x, y, strength).detach()
        net.train()
        opt.zero_grad()
        loss = share * J(net(x), y) + (1 - share) * J(net(adv), y)
        loss.backward()
        opt.step()
        losses.append(loss.detach())
        break
    opt.zero_grad()
    net.eval()
    return torch.stack(losses)
