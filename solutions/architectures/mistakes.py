# Errors students really make in `architectures`, each with the tests that must fail and a word of its hint.


# %% mistake="no_bias" exercise="costs" fails="costs" hint="bias"
# forgets the bias of every filter
def parameters(layers, input_shape):
    shapes, counts = output_shapes(layers, input_shape), []
    for i, (kind, *sizes) in enumerate(layers):
        if kind == "conv":
            counts.append(sizes[0] * (shapes[i][0] * sizes[1] ** 2))
        elif kind == "fc":
            counts.append(sizes[0] * (math.prod(shapes[i]) + 1))
        else:
            counts.append(0)
    return counts


def multiply_adds(layers, input_shape):
    shapes, counts = output_shapes(layers, input_shape), []
    for i, (kind, *sizes) in enumerate(layers):
        if kind == "conv":
            counts.append(math.prod(shapes[i + 1]) * shapes[i][0] * sizes[1] ** 2)
        elif kind == "fc":
            counts.append(sizes[0] * math.prod(shapes[i]))
        else:
            counts.append(0)
    return counts


# %% mistake="one_bias_a_layer" exercise="costs" fails="costs" hint="bias"
# one bias for the layer, not for each filter
def parameters(layers, input_shape):
    shapes, counts = output_shapes(layers, input_shape), []
    for i, (kind, *sizes) in enumerate(layers):
        if kind == "conv":
            counts.append(sizes[0] * shapes[i][0] * sizes[1] ** 2 + 1)
        elif kind == "fc":
            counts.append(sizes[0] * (math.prod(shapes[i]) + 1))
        else:
            counts.append(0)
    return counts


def multiply_adds(layers, input_shape):
    shapes, counts = output_shapes(layers, input_shape), []
    for i, (kind, *sizes) in enumerate(layers):
        if kind == "conv":
            counts.append(math.prod(shapes[i + 1]) * shapes[i][0] * sizes[1] ** 2)
        elif kind == "fc":
            counts.append(sizes[0] * math.prod(shapes[i]))
        else:
            counts.append(0)
    return counts


# %% mistake="one_filter_for_all_channels" exercise="costs" fails="costs" hint="channels"
# a filter sees one channel only
def parameters(layers, input_shape):
    shapes, counts = output_shapes(layers, input_shape), []
    for i, (kind, *sizes) in enumerate(layers):
        if kind == "conv":
            counts.append(sizes[0] * (sizes[1] ** 2 + 1))
        elif kind == "fc":
            counts.append(sizes[0] * (math.prod(shapes[i]) + 1))
        else:
            counts.append(0)
    return counts


def multiply_adds(layers, input_shape):
    shapes, counts = output_shapes(layers, input_shape), []
    for i, (kind, *sizes) in enumerate(layers):
        if kind == "conv":
            counts.append(math.prod(shapes[i + 1]) * shapes[i][0] * sizes[1] ** 2)
        elif kind == "fc":
            counts.append(sizes[0] * math.prod(shapes[i]))
        else:
            counts.append(0)
    return counts


# %% mistake="channels_of_the_picture" exercise="costs" fails="costs" hint="layer before"
# every layer gets the picture's channels
def parameters(layers, input_shape):
    shapes, counts = output_shapes(layers, input_shape), []
    for i, (kind, *sizes) in enumerate(layers):
        if kind == "conv":
            counts.append(sizes[0] * (shapes[0][0] * sizes[1] ** 2 + 1))
        elif kind == "fc":
            counts.append(sizes[0] * (math.prod(shapes[i]) + 1))
        else:
            counts.append(0)
    return counts


def multiply_adds(layers, input_shape):
    shapes, counts = output_shapes(layers, input_shape), []
    for i, (kind, *sizes) in enumerate(layers):
        if kind == "conv":
            counts.append(math.prod(shapes[i + 1]) * shapes[i][0] * sizes[1] ** 2)
        elif kind == "fc":
            counts.append(sizes[0] * math.prod(shapes[i]))
        else:
            counts.append(0)
    return counts


# %% mistake="only_layers_with_weights" exercise="costs" fails="costs" hint="0"
# leaves out layers without parameters
def parameters(layers, input_shape):
    shapes, counts = output_shapes(layers, input_shape), []
    for i, (kind, *sizes) in enumerate(layers):
        if kind == "conv":
            counts.append(sizes[0] * (shapes[i][0] * sizes[1] ** 2 + 1))
        elif kind == "fc":
            counts.append(sizes[0] * (math.prod(shapes[i]) + 1))
    return counts


def multiply_adds(layers, input_shape):
    shapes, counts = output_shapes(layers, input_shape), []
    for i, (kind, *sizes) in enumerate(layers):
        if kind == "conv":
            counts.append(math.prod(shapes[i + 1]) * shapes[i][0] * sizes[1] ** 2)
        elif kind == "fc":
            counts.append(sizes[0] * math.prod(shapes[i]))
        else:
            counts.append(0)
    return counts


# %% mistake="fc_sees_channels_only" exercise="costs" fails="costs" hint="all numbers"
# a fully connected layer gets the channels, not all numbers
def parameters(layers, input_shape):
    shapes, counts = output_shapes(layers, input_shape), []
    for i, (kind, *sizes) in enumerate(layers):
        if kind == "conv":
            counts.append(sizes[0] * (shapes[i][0] * sizes[1] ** 2 + 1))
        elif kind == "fc":
            counts.append(sizes[0] * (shapes[i][0] + 1))
        else:
            counts.append(0)
    return counts


def multiply_adds(layers, input_shape):
    shapes, counts = output_shapes(layers, input_shape), []
    for i, (kind, *sizes) in enumerate(layers):
        if kind == "conv":
            counts.append(math.prod(shapes[i + 1]) * shapes[i][0] * sizes[1] ** 2)
        elif kind == "fc":
            counts.append(sizes[0] * math.prod(shapes[i]))
        else:
            counts.append(0)
    return counts


# %% mistake="sum_of_all" exercise="costs" fails="costs" hint="list"
# gives the sum
def parameters(layers, input_shape):
    shapes, counts = output_shapes(layers, input_shape), []
    for i, (kind, *sizes) in enumerate(layers):
        if kind == "conv":
            counts.append(sizes[0] * (shapes[i][0] * sizes[1] ** 2 + 1))
        elif kind == "fc":
            counts.append(sizes[0] * (math.prod(shapes[i]) + 1))
        else:
            counts.append(0)
    return sum(counts)


def multiply_adds(layers, input_shape):
    shapes, counts = output_shapes(layers, input_shape), []
    for i, (kind, *sizes) in enumerate(layers):
        if kind == "conv":
            counts.append(math.prod(shapes[i + 1]) * shapes[i][0] * sizes[1] ** 2)
        elif kind == "fc":
            counts.append(sizes[0] * math.prod(shapes[i]))
        else:
            counts.append(0)
    return counts


# %% mistake="builds_the_net" exercise="costs" fails="costs" hint="formula"
# lets torch count
def parameters(layers, input_shape):
    return [sum(p.numel() for p in layer.parameters()) for layer in as_torch(layers, input_shape)]


def multiply_adds(layers, input_shape):
    shapes, counts = output_shapes(layers, input_shape), []
    for i, (kind, *sizes) in enumerate(layers):
        if kind == "conv":
            counts.append(math.prod(shapes[i + 1]) * shapes[i][0] * sizes[1] ** 2)
        elif kind == "fc":
            counts.append(sizes[0] * math.prod(shapes[i]))
        else:
            counts.append(0)
    return counts


# %% mistake="flops" exercise="costs" fails="costs:multiply_adds" hint="FLOPs"
# counts multiplications and additions
def parameters(layers, input_shape):
    shapes, counts = output_shapes(layers, input_shape), []
    for i, (kind, *sizes) in enumerate(layers):
        if kind == "conv":
            counts.append(sizes[0] * (shapes[i][0] * sizes[1] ** 2 + 1))
        elif kind == "fc":
            counts.append(sizes[0] * (math.prod(shapes[i]) + 1))
        else:
            counts.append(0)
    return counts


def multiply_adds(layers, input_shape):
    shapes, counts = output_shapes(layers, input_shape), []
    for i, (kind, *sizes) in enumerate(layers):
        if kind == "conv":
            counts.append(2 * math.prod(shapes[i + 1]) * shapes[i][0] * sizes[1] ** 2)
        elif kind == "fc":
            counts.append(sizes[0] * math.prod(shapes[i]))
        else:
            counts.append(0)
    return counts


# %% mistake="at_the_inputs_places" exercise="costs" fails="costs:multiply_adds" hint="output"
# counts places of the input
def parameters(layers, input_shape):
    shapes, counts = output_shapes(layers, input_shape), []
    for i, (kind, *sizes) in enumerate(layers):
        if kind == "conv":
            counts.append(sizes[0] * (shapes[i][0] * sizes[1] ** 2 + 1))
        elif kind == "fc":
            counts.append(sizes[0] * (math.prod(shapes[i]) + 1))
        else:
            counts.append(0)
    return counts


def multiply_adds(layers, input_shape):
    shapes, counts = output_shapes(layers, input_shape), []
    for i, (kind, *sizes) in enumerate(layers):
        if kind == "conv":
            counts.append(sizes[0] * math.prod(shapes[i]) * sizes[1] ** 2)
        elif kind == "fc":
            counts.append(sizes[0] * math.prod(shapes[i]))
        else:
            counts.append(0)
    return counts


# %% mistake="work_of_biases" exercise="costs" fails="costs:multiply_adds" hint="bias"
# counts the additions of biases
def parameters(layers, input_shape):
    shapes, counts = output_shapes(layers, input_shape), []
    for i, (kind, *sizes) in enumerate(layers):
        if kind == "conv":
            counts.append(sizes[0] * (shapes[i][0] * sizes[1] ** 2 + 1))
        elif kind == "fc":
            counts.append(sizes[0] * (math.prod(shapes[i]) + 1))
        else:
            counts.append(0)
    return counts


def multiply_adds(layers, input_shape):
    shapes, counts = output_shapes(layers, input_shape), []
    for i, (kind, *sizes) in enumerate(layers):
        if kind == "conv":
            counts.append(math.prod(shapes[i + 1]) * (shapes[i][0] * sizes[1] ** 2 + 1))
        elif kind == "fc":
            counts.append(sizes[0] * math.prod(shapes[i]))
        else:
            counts.append(0)
    return counts


# %% mistake="work_is_parameters" exercise="costs" fails="costs:multiply_adds" hint="place"
# every weight used once
def parameters(layers, input_shape):
    shapes, counts = output_shapes(layers, input_shape), []
    for i, (kind, *sizes) in enumerate(layers):
        if kind == "conv":
            counts.append(sizes[0] * (shapes[i][0] * sizes[1] ** 2 + 1))
        elif kind == "fc":
            counts.append(sizes[0] * (math.prod(shapes[i]) + 1))
        else:
            counts.append(0)
    return counts


def multiply_adds(layers, input_shape):
    shapes, counts = output_shapes(layers, input_shape), []
    for i, (kind, *sizes) in enumerate(layers):
        if kind == "conv":
            counts.append(sizes[0] * shapes[i][0] * sizes[1] ** 2)
        elif kind == "fc":
            counts.append(sizes[0] * math.prod(shapes[i]))
        else:
            counts.append(0)
    return counts


# %% mistake="kernel_not_squared" exercise="costs" fails="costs" hint="64·3·3"
# a row of the kernel for the whole of it
def parameters(layers, input_shape):
    shapes, counts = output_shapes(layers, input_shape), []
    for i, (kind, *sizes) in enumerate(layers):
        if kind == "conv":
            out, kernel = sizes[:2]
            counts.append(out * (shapes[i][0] * kernel + 1))
        elif kind == "fc":
            (units,) = sizes
            counts.append(units * (math.prod(shapes[i]) + 1))
        else:
            counts.append(0)
    return counts


def multiply_adds(layers, input_shape):
    shapes, counts = output_shapes(layers, input_shape), []
    for i, (kind, *sizes) in enumerate(layers):
        if kind == "conv":
            counts.append(math.prod(shapes[i + 1]) * shapes[i][0] * sizes[1] ** 2)
        elif kind == "fc":
            (units,) = sizes
            counts.append(units * math.prod(shapes[i]))
        else:
            counts.append(0)
    return counts


# %% mistake="square_of_the_rows" exercise="costs" fails="costs:multiply_adds" hint="Rows times columns"
# takes every picture to be square
def parameters(layers, input_shape):
    shapes, counts = output_shapes(layers, input_shape), []
    for i, (kind, *sizes) in enumerate(layers):
        if kind == "conv":
            out, kernel = sizes[:2]
            counts.append(out * (shapes[i][0] * kernel**2 + 1))
        elif kind == "fc":
            (units,) = sizes
            counts.append(units * (math.prod(shapes[i]) + 1))
        else:
            counts.append(0)
    return counts


def multiply_adds(layers, input_shape):
    shapes, counts = output_shapes(layers, input_shape), []
    for i, (kind, *sizes) in enumerate(layers):
        if kind == "conv":
            counts.append(shapes[i + 1][0] * shapes[i + 1][1] ** 2 * shapes[i][0] * sizes[1] ** 2)
        elif kind == "fc":
            (units,) = sizes
            counts.append(units * math.prod(shapes[i]))
        else:
            counts.append(0)
    return counts


# %% mistake="no_momentum" exercise="memory" fails="memory" hint="momentum"
# value and gradient only
def memory(parameters, activations, batch):
    training = 4 * (2 * parameters + batch * sum(activations[1:]))
    largest = max(a + b for a, b in itertools.pairwise(activations))
    return training, 4 * (parameters + batch * largest)


# %% mistake="numbers_not_bytes" exercise="memory" fails="memory" hint="4 bytes"
# counts numbers
def memory(parameters, activations, batch):
    training = 1 * (3 * parameters + batch * sum(activations[1:]))
    largest = max(a + b for a, b in itertools.pairwise(activations))
    return training, 4 * (parameters + batch * largest)


# %% mistake="input_kept" exercise="memory" fails="memory" hint="does not count"
# counts the input among what is kept
def memory(parameters, activations, batch):
    training = 4 * (3 * parameters + batch * sum(activations))
    largest = max(a + b for a, b in itertools.pairwise(activations))
    return training, 4 * (parameters + batch * largest)


# %% mistake="batch_forgotten" exercise="memory" fails="memory" hint="Each input of the batch"
# one input's activations
def memory(parameters, activations, batch):
    training = 4 * (3 * parameters + sum(activations[1:]))
    largest = max(a + b for a, b in itertools.pairwise(activations))
    return training, 4 * (parameters + batch * largest)


# %% mistake="batch_of_parameters" exercise="memory" fails="memory" hint="parameters are there once"
# parameters for every input of the batch
def memory(parameters, activations, batch):
    training = 4 * batch * (3 * parameters + sum(activations[1:]))
    largest = max(a + b for a, b in itertools.pairwise(activations))
    return training, 4 * (parameters + batch * largest)


# %% mistake="largest_only" exercise="memory" fails="memory" hint="input with its output"
# the largest activation, without the layer's other end
def memory(parameters, activations, batch):
    training = 4 * (3 * parameters + batch * sum(activations[1:]))
    largest = max(activations)
    return training, 4 * (parameters + batch * largest)


# %% mistake="two_largest" exercise="memory" fails="memory" hint="neighbours"
# the two largest activations, wherever they are
def memory(parameters, activations, batch):
    training = 4 * (3 * parameters + batch * sum(activations[1:]))
    largest = sum(sorted(activations)[-2:])
    return training, 4 * (parameters + batch * largest)


# %% mistake="all_kept_in_testing" exercise="memory" fails="memory" hint="input with its output"
# keeps all activations in testing
def memory(parameters, activations, batch):
    training = 4 * (3 * parameters + batch * sum(activations[1:]))
    largest = max(a + b for a, b in itertools.pairwise(activations))
    return training, 4 * (parameters + batch * sum(activations))


# %% mistake="testing_one_input" exercise="memory" fails="memory" hint="every input of the batch"
# tests one input at a time
def memory(parameters, activations, batch):
    training = 4 * (3 * parameters + batch * sum(activations[1:]))
    largest = max(a + b for a, b in itertools.pairwise(activations))
    return training, 4 * (parameters + largest)


# %% mistake="first_pair_left_out" exercise="memory" fails="memory" hint="4 + 6"
# begins with the first layer's output, as the sum in training does
def memory(parameters, activations, batch):
    training = 4 * (3 * parameters + batch * sum(activations[1:]))
    largest = max(before + after for before, after in itertools.pairwise(activations[1:]))
    return training, 4 * (parameters + batch * largest)


# %% mistake="last_pair_left_out" exercise="memory" fails="memory" hint="neighbours"
# one short at the end
def memory(parameters, activations, batch):
    training = 4 * (3 * parameters + batch * sum(activations[1:]))
    largest = max(before + after for before, after in itertools.pairwise(activations[:-1]))
    return training, 4 * (parameters + batch * largest)


# %% mistake="kernel_added" exercise="receptive_fields" fails="receptive_fields" hint="k − 1"
# adds k at every layer
def receptive_fields(layers):
    side, jump, sides = 1, 1, []
    for kind, *sizes in layers:
        if kind == "fc":
            side = None
        elif kind != "relu":
            kernel, stride = sizes[1:3] if kind == "conv" else sizes
            side += kernel * jump
            jump *= stride
        sides.append(side)
    return sides


# %% mistake="no_jump" exercise="receptive_fields" fails="receptive_fields" hint="apart"
# forgets that neighbours lie apart after a stride
def receptive_fields(layers):
    side, jump, sides = 1, 1, []
    for kind, *sizes in layers:
        if kind == "fc":
            side = None
        elif kind != "relu":
            kernel, stride = sizes[1:3] if kind == "conv" else sizes
            side += kernel - 1
            jump *= stride
        sides.append(side)
    return sides


# %% mistake="jump_first" exercise="receptive_fields" fails="receptive_fields" hint="old j"
# changes the jump before it is used
def receptive_fields(layers):
    side, jump, sides = 1, 1, []
    for kind, *sizes in layers:
        if kind == "fc":
            side = None
        elif kind != "relu":
            kernel, stride = sizes[1:3] if kind == "conv" else sizes
            jump *= stride
            side += (kernel - 1) * jump
        sides.append(side)
    return sides


# %% mistake="pooling_sees_nothing" exercise="receptive_fields" fails="receptive_fields" hint="pooling"
# leaves out poolings
def receptive_fields(layers):
    side, jump, sides = 1, 1, []
    for kind, *sizes in layers:
        if kind == "fc":
            side = None
        elif kind == "conv":
            kernel, stride = sizes[1:3] if kind == "conv" else sizes
            side += (kernel - 1) * jump
            jump *= stride
        sides.append(side)
    return sides


# %% mistake="pooling_reach_left_out" exercise="receptive_fields" fails="receptive_fields" hint="pooling"
# a pooling changes the jump only
def receptive_fields(layers):
    side, jump, sides = 1, 1, []
    for kind, *sizes in layers:
        if kind == "fc":
            side = None
        elif kind != "relu":
            kernel, stride = sizes[1:3] if kind == "conv" else sizes
            side += (kernel - 1) * jump if kind == "conv" else 0
            jump *= stride
        sides.append(side)
    return sides


# %% mistake="padding_counts" exercise="receptive_fields" fails="receptive_fields" hint="padding"
# takes padding off
def receptive_fields(layers):
    side, jump, sides = 1, 1, []
    for kind, *sizes in layers:
        if kind == "fc":
            side = None
        elif kind != "relu":
            kernel, stride = sizes[1:3] if kind == "conv" else sizes
            side += (kernel - 1) * jump - (sizes[3] if kind == "conv" else 0)
            jump *= stride
        sides.append(side)
    return sides


# %% mistake="fc_ignored" exercise="receptive_fields" fails="receptive_fields" hint="None"
# a fully connected layer sees what came in
def receptive_fields(layers):
    side, jump, sides = 1, 1, []
    for kind, *sizes in layers:
        if kind not in ("relu", "fc"):
            kernel, stride = sizes[1:3] if kind == "conv" else sizes
            side += (kernel - 1) * jump
            jump *= stride
        sides.append(side)
    return sides


# %% mistake="none_for_fc_only" exercise="receptive_fields" fails="receptive_fields" hint="after it"
# a ReLU behind a fully connected layer sees the old field
def receptive_fields(layers):
    side, jump, sides = 1, 1, []
    for kind, *sizes in layers:
        if kind == "fc":
            sides.append(None)
            continue
        elif kind != "relu":
            kernel, stride = sizes[1:3] if kind == "conv" else sizes
            side += (kernel - 1) * jump
            jump *= stride
        sides.append(side)
    return sides


# %% mistake="stage_not_repeated" exercise="blueprint" fails="blueprint" hint="outer number"
# reads the outer number and forgets it
def blueprint(text):
    tokens = tokens_of(text)

    def take(*wanted):
        token, column = tokens[0]
        if ("a number" if token.isdecimal() else token) not in wanted:
            raise ValueError(f"column {column}: found {token}, wanted {' or '.join(wanted)}")
        del tokens[0]
        return token

    def times(part):
        take("*")
        return part * int(take("a number"))

    layers = [take("INPUT")]
    take("->")
    opening = ("[", "FC")
    while take(*opening) == "[":
        if take(*opening) == "FC":
            take("->"), take("RELU"), take("]")
            layers += times(["FC", "RELU"])
            opening = ("FC",)
        else:
            take("CONV"), take("->"), take("RELU"), take("]")
            stage = times(["CONV", "RELU"])
            if take("->", "]") == "->":
                stage.append(take("POOL"))
                take("]")
            times(stage)
            layers += stage
        take("->")
    take("the end")
    return [*layers, "FC"]


# %% mistake="pool_inside" exercise="blueprint" fails="blueprint" hint="inner number"
# a pooling after every convolution
def blueprint(text):
    tokens = tokens_of(text)

    def take(*wanted):
        token, column = tokens[0]
        if ("a number" if token.isdecimal() else token) not in wanted:
            raise ValueError(f"column {column}: found {token}, wanted {' or '.join(wanted)}")
        del tokens[0]
        return token

    def times(part):
        take("*")
        return part * int(take("a number"))

    layers = [take("INPUT")]
    take("->")
    opening = ("[", "FC")
    while take(*opening) == "[":
        if take(*opening) == "FC":
            take("->"), take("RELU"), take("]")
            layers += times(["FC", "RELU"])
            opening = ("FC",)
        else:
            take("CONV"), take("->"), take("RELU"), take("]")
            take("*")
            n = int(take("a number"))
            stage = ["CONV", "RELU"]
            if take("->", "]") == "->":
                stage.append(take("POOL"))
                take("]")
            stage = stage * n
            layers += times(stage)
        take("->")
    take("the end")
    return [*layers, "FC"]


# %% mistake="pool_always" exercise="blueprint" fails="blueprint" hint="without pooling"
# adds a pooling that is not there
def blueprint(text):
    tokens = tokens_of(text)

    def take(*wanted):
        token, column = tokens[0]
        if ("a number" if token.isdecimal() else token) not in wanted:
            raise ValueError(f"column {column}: found {token}, wanted {' or '.join(wanted)}")
        del tokens[0]
        return token

    def times(part):
        take("*")
        return part * int(take("a number"))

    layers = [take("INPUT")]
    take("->")
    opening = ("[", "FC")
    while take(*opening) == "[":
        if take(*opening) == "FC":
            take("->"), take("RELU"), take("]")
            layers += times(["FC", "RELU"])
            opening = ("FC",)
        else:
            take("CONV"), take("->"), take("RELU"), take("]")
            stage = times(["CONV", "RELU"])
            stage.append("POOL")
            if take("->", "]") == "->":
                take("POOL")
                take("]")
            layers += times(stage)
        take("->")
    take("the end")
    return [*layers, "FC"]


# %% mistake="last_fc_forgotten" exercise="blueprint" fails="blueprint" hint="shortest"
# the last layer is missing
def blueprint(text):
    tokens = tokens_of(text)

    def take(*wanted):
        token, column = tokens[0]
        if ("a number" if token.isdecimal() else token) not in wanted:
            raise ValueError(f"column {column}: found {token}, wanted {' or '.join(wanted)}")
        del tokens[0]
        return token

    def times(part):
        take("*")
        return part * int(take("a number"))

    layers = [take("INPUT")]
    take("->")
    opening = ("[", "FC")
    while take(*opening) == "[":
        if take(*opening) == "FC":
            take("->"), take("RELU"), take("]")
            layers += times(["FC", "RELU"])
            opening = ("FC",)
        else:
            take("CONV"), take("->"), take("RELU"), take("]")
            stage = times(["CONV", "RELU"])
            if take("->", "]") == "->":
                stage.append(take("POOL"))
                take("]")
            layers += times(stage)
        take("->")
    take("the end")
    return layers


# %% mistake="one_stage" exercise="blueprint" fails="blueprint" hint="Several stages"
# after a stage only a head may come
def blueprint(text):
    tokens = tokens_of(text)

    def take(*wanted):
        token, column = tokens[0]
        if ("a number" if token.isdecimal() else token) not in wanted:
            raise ValueError(f"column {column}: found {token}, wanted {' or '.join(wanted)}")
        del tokens[0]
        return token

    def times(part):
        take("*")
        return part * int(take("a number"))

    layers = [take("INPUT")]
    take("->")
    opening = ("[", "FC")
    while take(*opening) == "[":
        if take(*opening) == "FC":
            take("->"), take("RELU"), take("]")
            layers += times(["FC", "RELU"])
            opening = ("FC",)
        else:
            take("CONV"), take("->"), take("RELU"), take("]")
            stage = times(["CONV", "RELU"])
            if take("->", "]") == "->":
                stage.append(take("POOL"))
                take("]")
            layers += times(stage)
            opening = ("FC",) if tokens[1][0] == "FC" else ("[", "FC")
            if tokens[1:3] and tokens[1][0] == "[" and tokens[2][0] == "[":
                raise ValueError(f"column {tokens[2][1]}: found [, wanted FC")
        take("->")
    take("the end")
    return [*layers, "FC"]


# %% mistake="expands_without_reading" exercise="blueprint" fails="blueprint:errors" hint="cannot stand"
# a search for patterns, which skips what it does not know
def blueprint(text):
    layers = ["INPUT"]
    squeezed = text.replace(" ", "").replace("->", " ")
    for n, pool, m, k in re.findall(r"\[\[CONV RELU\]\*(\d+)( POOL)?\]\*(\d+)|\[FC RELU\]\*(\d+)", squeezed):
        if k:
            layers += ["FC", "RELU"] * int(k)
        else:
            layers += (["CONV", "RELU"] * int(n) + ["POOL"] * bool(pool)) * int(m)
    return [*layers, "FC"]


# %% mistake="column_from_one" exercise="blueprint" fails="blueprint:errors" hint="tokens_of"
# counts columns from 1
def blueprint(text):
    tokens = tokens_of(text)

    def take(*wanted):
        token, column = tokens[0]
        if ("a number" if token.isdecimal() else token) not in wanted:
            raise ValueError(f"column {column + 1}: found {token}, wanted {' or '.join(wanted)}")
        del tokens[0]
        return token

    def times(part):
        take("*")
        return part * int(take("a number"))

    layers = [take("INPUT")]
    take("->")
    opening = ("[", "FC")
    while take(*opening) == "[":
        if take(*opening) == "FC":
            take("->"), take("RELU"), take("]")
            layers += times(["FC", "RELU"])
            opening = ("FC",)
        else:
            take("CONV"), take("->"), take("RELU"), take("]")
            stage = times(["CONV", "RELU"])
            if take("->", "]") == "->":
                stage.append(take("POOL"))
                take("]")
            layers += times(stage)
        take("->")
    take("the end")
    return [*layers, "FC"]


# %% mistake="number_of_the_token" exercise="blueprint" fails="blueprint:errors" hint="tokens_of"
# says which token it is, not where it begins
def blueprint(text):
    tokens = tokens_of(text)

    def take(*wanted):
        token, column = tokens[0]
        column = len(tokens_of(text)) - len(tokens)
        if ("a number" if token.isdecimal() else token) not in wanted:
            raise ValueError(f"column {column}: found {token}, wanted {' or '.join(wanted)}")
        del tokens[0]
        return token

    def times(part):
        take("*")
        return part * int(take("a number"))

    layers = [take("INPUT")]
    take("->")
    opening = ("[", "FC")
    while take(*opening) == "[":
        if take(*opening) == "FC":
            take("->"), take("RELU"), take("]")
            layers += times(["FC", "RELU"])
            opening = ("FC",)
        else:
            take("CONV"), take("->"), take("RELU"), take("]")
            stage = times(["CONV", "RELU"])
            if take("->", "]") == "->":
                stage.append(take("POOL"))
                take("]")
            layers += times(stage)
        take("->")
    take("the end")
    return [*layers, "FC"]


# %% mistake="points_at_the_token_before" exercise="blueprint" fails="blueprint:errors" hint="first token"
# points at the last token that was right
def blueprint(text):
    tokens = tokens_of(text)
    last = [0]

    def take(*wanted):
        token, column = tokens[0]
        if ("a number" if token.isdecimal() else token) not in wanted:
            raise ValueError(f"column {last[0]}: found {token}, wanted {' or '.join(wanted)}")
        last[0] = column
        del tokens[0]
        return token

    def times(part):
        take("*")
        return part * int(take("a number"))

    layers = [take("INPUT")]
    take("->")
    opening = ("[", "FC")
    while take(*opening) == "[":
        if take(*opening) == "FC":
            take("->"), take("RELU"), take("]")
            layers += times(["FC", "RELU"])
            opening = ("FC",)
        else:
            take("CONV"), take("->"), take("RELU"), take("]")
            stage = times(["CONV", "RELU"])
            if take("->", "]") == "->":
                stage.append(take("POOL"))
                take("]")
            layers += times(stage)
        take("->")
    take("the end")
    return [*layers, "FC"]


# %% mistake="says_nothing_of_what_is_wanted" exercise="blueprint" fails="blueprint:errors" hint="could stand"
# an error without advice
def blueprint(text):
    tokens = tokens_of(text)

    def take(*wanted):
        token, column = tokens[0]
        if ("a number" if token.isdecimal() else token) not in wanted:
            raise ValueError(f"column {column}: {token} is wrong")
        del tokens[0]
        return token

    def times(part):
        take("*")
        return part * int(take("a number"))

    layers = [take("INPUT")]
    take("->")
    opening = ("[", "FC")
    while take(*opening) == "[":
        if take(*opening) == "FC":
            take("->"), take("RELU"), take("]")
            layers += times(["FC", "RELU"])
            opening = ("FC",)
        else:
            take("CONV"), take("->"), take("RELU"), take("]")
            stage = times(["CONV", "RELU"])
            if take("->", "]") == "->":
                stage.append(take("POOL"))
                take("]")
            layers += times(stage)
        take("->")
    take("the end")
    return [*layers, "FC"]


# %% mistake="offers_the_first_only" exercise="blueprint" fails="blueprint:errors" hint="every token"
# names one of the tokens that could stand there
def blueprint(text):
    tokens = tokens_of(text)

    def take(*wanted):
        token, column = tokens[0]
        if ("a number" if token.isdecimal() else token) not in wanted:
            raise ValueError(f"column {column}: found {token}, wanted {wanted[0]}")
        del tokens[0]
        return token

    def times(part):
        take("*")
        return part * int(take("a number"))

    layers = [take("INPUT")]
    take("->")
    opening = ("[", "FC")
    while take(*opening) == "[":
        if take(*opening) == "FC":
            take("->"), take("RELU"), take("]")
            layers += times(["FC", "RELU"])
            opening = ("FC",)
        else:
            take("CONV"), take("->"), take("RELU"), take("]")
            stage = times(["CONV", "RELU"])
            if take("->", "]") == "->":
                stage.append(take("POOL"))
                take("]")
            layers += times(stage)
        take("->")
    take("the end")
    return [*layers, "FC"]


# %% mistake="text_goes_on" exercise="blueprint" fails="blueprint:errors" hint="text ends"
# stops reading at the last layer
def blueprint(text):
    tokens = tokens_of(text)

    def take(*wanted):
        token, column = tokens[0]
        if ("a number" if token.isdecimal() else token) not in wanted:
            raise ValueError(f"column {column}: found {token}, wanted {' or '.join(wanted)}")
        del tokens[0]
        return token

    def times(part):
        take("*")
        return part * int(take("a number"))

    layers = [take("INPUT")]
    take("->")
    opening = ("[", "FC")
    while take(*opening) == "[":
        if take(*opening) == "FC":
            take("->"), take("RELU"), take("]")
            layers += times(["FC", "RELU"])
            opening = ("FC",)
        else:
            take("CONV"), take("->"), take("RELU"), take("]")
            stage = times(["CONV", "RELU"])
            if take("->", "]") == "->":
                stage.append(take("POOL"))
                take("]")
            layers += times(stage)
        take("->")
    return [*layers, "FC"]


# %% mistake="head_twice" exercise="blueprint" fails="blueprint:errors" hint="After a head"
# allows several heads, and stages after them
def blueprint(text):
    tokens = tokens_of(text)

    def take(*wanted):
        token, column = tokens[0]
        if ("a number" if token.isdecimal() else token) not in wanted:
            raise ValueError(f"column {column}: found {token}, wanted {' or '.join(wanted)}")
        del tokens[0]
        return token

    def times(part):
        take("*")
        return part * int(take("a number"))

    layers = [take("INPUT")]
    take("->")
    opening = ("[", "FC")
    while take(*opening) == "[":
        if take(*opening) == "FC":
            take("->"), take("RELU"), take("]")
            layers += times(["FC", "RELU"])
        else:
            take("CONV"), take("->"), take("RELU"), take("]")
            stage = times(["CONV", "RELU"])
            if take("->", "]") == "->":
                stage.append(take("POOL"))
                take("]")
            layers += times(stage)
        take("->")
    take("the end")
    return [*layers, "FC"]


# %% mistake="syntax_error" exercise="blueprint" fails="blueprint:errors" hint="ValueError"
# another kind of error
def blueprint(text):
    tokens = tokens_of(text)

    def take(*wanted):
        token, column = tokens[0]
        if ("a number" if token.isdecimal() else token) not in wanted:
            raise SyntaxError(f"column {column}: found {token}, wanted {' or '.join(wanted)}")
        del tokens[0]
        return token

    def times(part):
        take("*")
        return part * int(take("a number"))

    layers = [take("INPUT")]
    take("->")
    opening = ("[", "FC")
    while take(*opening) == "[":
        if take(*opening) == "FC":
            take("->"), take("RELU"), take("]")
            layers += times(["FC", "RELU"])
            opening = ("FC",)
        else:
            take("CONV"), take("->"), take("RELU"), take("]")
            stage = times(["CONV", "RELU"])
            if take("->", "]") == "->":
                stage.append(take("POOL"))
                take("]")
            layers += times(stage)
        take("->")
    take("the end")
    return [*layers, "FC"]


# %% mistake="prints_and_goes_on" exercise="blueprint" fails="blueprint:errors" hint="Point at"
# prints what is wrong and goes on
def blueprint(text):
    tokens = tokens_of(text)

    def take(*wanted):
        token, column = tokens[0]
        if ("a number" if token.isdecimal() else token) not in wanted:
            print(f"column {column}: found {token}, wanted {' or '.join(wanted)}")
            return wanted[-1]
        del tokens[0]
        return token

    def times(part):
        take("*")
        return part * int(take("a number"))

    layers = [take("INPUT")]
    take("->")
    opening = ("[", "FC")
    while take(*opening) == "[":
        if take(*opening) == "FC":
            take("->"), take("RELU"), take("]")
            layers += times(["FC", "RELU"])
            opening = ("FC",)
        else:
            take("CONV"), take("->"), take("RELU"), take("]")
            stage = times(["CONV", "RELU"])
            if take("->", "]") == "->":
                stage.append(take("POOL"))
                take("]")
            layers += times(stage)
        take("->")
    take("the end")
    return [*layers, "FC"]


# %% mistake="pointwise_without_inputs" exercise="separable" fails="separable" hint="pair"
# the pointwise step has one weight for each output channel (as the article has it)
def separable_weights(fi, fo, k):
    return k * k * fi * fo, k * k * fi + fo


def separable_saves(fo, k):
    return k * k + fo < k * k * fo


def full_kernel(depthwise, pointwise):
    return pointwise[:, :, None, None] * depthwise


# %% mistake="pointwise_of_kernels" exercise="separable" fails="separable" hint="1×1"
# the pointwise step has kernels of k×k
def separable_weights(fi, fo, k):
    return k * k * fi * fo, k * k * fi + k * k * fi * fo


def separable_saves(fo, k):
    return k * k + fo < k * k * fo


def full_kernel(depthwise, pointwise):
    return pointwise[:, :, None, None] * depthwise


# %% mistake="pointwise_three_times" exercise="separable" fails="separable" hint="pair"
# three weights for each pair, the article's 99,456
def separable_weights(fi, fo, k):
    return k * k * fi * fo, k * k * fi + 3 * fi * fo


def separable_saves(fo, k):
    return k * k + fo < k * k * fo


def full_kernel(depthwise, pointwise):
    return pointwise[:, :, None, None] * depthwise


# %% mistake="with_biases" exercise="separable" fails="separable" hint="no biases"
# counts biases
def separable_weights(fi, fo, k):
    return k * k * fi * fo + fo, k * k * fi + fi * fo


def separable_saves(fo, k):
    return k * k + fo < k * k * fo


def full_kernel(depthwise, pointwise):
    return pointwise[:, :, None, None] * depthwise


# %% mistake="exchanged" exercise="separable" fails="separable" hint="full count comes first"
# the separable count first
def separable_weights(fi, fo, k):
    return k * k * fi + fi * fo, k * k * fi * fo


def separable_saves(fo, k):
    return k * k + fo < k * k * fo


def full_kernel(depthwise, pointwise):
    return pointwise[:, :, None, None] * depthwise


# %% mistake="always_saves" exercise="separable" fails="separable" hint="never saves"
# believes the advertisement
def separable_weights(fi, fo, k):
    return k * k * fi * fo, k * k * fi + fi * fo


def separable_saves(fo, k):
    return True


def full_kernel(depthwise, pointwise):
    return pointwise[:, :, None, None] * depthwise


# %% mistake="saves_but_for_one_by_one" exercise="separable" fails="separable" hint="output channel"
# forgets the case of one output channel
def separable_weights(fi, fo, k):
    return k * k * fi * fo, k * k * fi + fi * fo


def separable_saves(fo, k):
    return k > 1


def full_kernel(depthwise, pointwise):
    return pointwise[:, :, None, None] * depthwise


# %% mistake="ratio_not_truth" exercise="separable" fails="separable" hint="True or False"
# gives how much it saves
def separable_weights(fi, fo, k):
    return k * k * fi * fo, k * k * fi + fi * fo


def separable_saves(fo, k):
    return (k * k + fo) / (k * k * fo)


def full_kernel(depthwise, pointwise):
    return pointwise[:, :, None, None] * depthwise


# %% mistake="outputs_and_inputs_exchanged" exercise="separable" fails="separable:kernel" hint="output channel"
# (fi, fo, k, k)
def separable_weights(fi, fo, k):
    return k * k * fi * fo, k * k * fi + fi * fo


def separable_saves(fo, k):
    return k * k + fo < k * k * fo


def full_kernel(depthwise, pointwise):
    return (pointwise[:, :, None, None] * depthwise).transpose(0, 1)


# %% mistake="sums_the_channels" exercise="separable" fails="separable:kernel" hint="pair"
# a sum over the input channels, as if only the result counted
def separable_weights(fi, fo, k):
    return k * k * fi * fo, k * k * fi + fi * fo


def separable_saves(fo, k):
    return k * k + fo < k * k * fo


def full_kernel(depthwise, pointwise):
    return torch.einsum("oc,ckl->okl", pointwise, depthwise)


# %% mistake="kernel_turned" exercise="separable" fails="separable:kernel" hint="scaled by"
# thinks that a convolution turns its kernel
def separable_weights(fi, fo, k):
    return k * k * fi * fo, k * k * fi + fi * fo


def separable_saves(fo, k):
    return k > 1 and fo > 1  # k² + fo < k²·fo is (k² − 1)(fo − 1) > 1


def full_kernel(depthwise, pointwise):
    return pointwise[:, :, None, None] * depthwise.flip(1, 2)


# %% mistake="side_of_2n" exercise="vgg_stage" fails="vgg_stage" hint="2n + 1"
# forgets the place in the middle
def stack_or_single(channels, n):
    side = 2 * n
    return side, 9 * n * channels**2, side**2 * channels**2


def vgg_stage(in_channels, out_channels, n):
    layers = []
    for place in range(n):
        layers.append(nn.Conv2d(out_channels if place else in_channels, out_channels, 3, padding=1))
        layers.append(nn.ReLU())
    return nn.Sequential(*layers, nn.MaxPool2d(2))


# %% mistake="row_of_one" exercise="vgg_stage" fails="vgg_stage" hint="n layers"
# the weights of one 3×3
def stack_or_single(channels, n):
    side = 2 * n + 1
    return side, 9 * channels**2, side**2 * channels**2


def vgg_stage(in_channels, out_channels, n):
    layers = []
    for place in range(n):
        layers.append(nn.Conv2d(out_channels if place else in_channels, out_channels, 3, padding=1))
        layers.append(nn.ReLU())
    return nn.Sequential(*layers, nn.MaxPool2d(2))


# %% mistake="channels_once" exercise="vgg_stage" fails="vgg_stage" hint="pair of channels"
# C for C²
def stack_or_single(channels, n):
    side = 2 * n + 1
    return side, 9 * n * channels, side**2 * channels


def vgg_stage(in_channels, out_channels, n):
    layers = []
    for place in range(n):
        layers.append(nn.Conv2d(out_channels if place else in_channels, out_channels, 3, padding=1))
        layers.append(nn.ReLU())
    return nn.Sequential(*layers, nn.MaxPool2d(2))


# %% mistake="always_from_the_input" exercise="vgg_stage" fails="vgg_stage:module" hint="first changes"
# every convolution gets in_channels
def stack_or_single(channels, n):
    side = 2 * n + 1
    return side, 9 * n * channels**2, side**2 * channels**2


def vgg_stage(in_channels, out_channels, n):
    layers = []
    for place in range(n):
        layers.append(nn.Conv2d(in_channels, out_channels, 3, padding=1))
        layers.append(nn.ReLU())
    return nn.Sequential(*layers, nn.MaxPool2d(2))


# %% mistake="no_padding" exercise="vgg_stage" fails="vgg_stage:module" hint="Padding 1"
# sides shrink
def stack_or_single(channels, n):
    side = 2 * n + 1
    return side, 9 * n * channels**2, side**2 * channels**2


def vgg_stage(in_channels, out_channels, n):
    layers = []
    for place in range(n):
        layers.append(nn.Conv2d(out_channels if place else in_channels, out_channels, 3))
        layers.append(nn.ReLU())
    return nn.Sequential(*layers, nn.MaxPool2d(2))


# %% mistake="relu_once" exercise="vgg_stage" fails="vgg_stage:module" hint="every"
# one ReLU at the end
def stack_or_single(channels, n):
    side = 2 * n + 1
    return side, 9 * n * channels**2, side**2 * channels**2


def vgg_stage(in_channels, out_channels, n):
    layers = []
    for place in range(n):
        layers.append(nn.Conv2d(out_channels if place else in_channels, out_channels, 3, padding=1))
    return nn.Sequential(*layers, nn.ReLU(), nn.MaxPool2d(2))


# %% mistake="no_last_relu" exercise="vgg_stage" fails="vgg_stage:module" hint="also the last"
# ReLUs between the convolutions only
def stack_or_single(channels, n):
    side = 2 * n + 1
    return side, 9 * n * channels**2, side**2 * channels**2


def vgg_stage(in_channels, out_channels, n):
    layers = []
    for place in range(n):
        layers.append(nn.Conv2d(out_channels if place else in_channels, out_channels, 3, padding=1))
        if place < n - 1:
            layers.append(nn.ReLU())
    return nn.Sequential(*layers, nn.MaxPool2d(2))


# %% mistake="average" exercise="vgg_stage" fails="vgg_stage:module" hint="maximum"
# mean pooling
def stack_or_single(channels, n):
    side = 2 * n + 1
    return side, 9 * n * channels**2, side**2 * channels**2


def vgg_stage(in_channels, out_channels, n):
    layers = []
    for place in range(n):
        layers.append(nn.Conv2d(out_channels if place else in_channels, out_channels, 3, padding=1))
        layers.append(nn.ReLU())
    return nn.Sequential(*layers, nn.AvgPool2d(2))


# %% mistake="pooling_every_time" exercise="vgg_stage" fails="vgg_stage:module" hint="one pooling"
# a pooling after every convolution
def stack_or_single(channels, n):
    side = 2 * n + 1
    return side, 9 * n * channels**2, side**2 * channels**2


def vgg_stage(in_channels, out_channels, n):
    layers = []
    for place in range(n):
        layers.append(nn.Conv2d(out_channels if place else in_channels, out_channels, 3, padding=1))
        layers += [nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers)


# %% mistake="no_bias" exercise="vgg_stage" fails="vgg_stage:module" hint="bias"
# convolutions without bias, as before batch norm
def stack_or_single(channels, n):
    side = 2 * n + 1
    return side, 9 * n * channels**2, side**2 * channels**2


def vgg_stage(in_channels, out_channels, n):
    layers = []
    for place in range(n):
        layers.append(nn.Conv2d(out_channels if place else in_channels, out_channels, 3, padding=1, bias=False))
        layers.append(nn.ReLU())
    return nn.Sequential(*layers, nn.MaxPool2d(2))


# %% mistake="naive_drops_pooling" exercise="inception" fails="inception" hint="keeps the channels"
# forgets the pooling's channels
def inception_counts(channels, sizes, reduced):
    n1, r3, n3, r5, n5, p = sizes
    layers = [(channels, n1, 1), (channels, n3, 3), (channels, n5, 5)]
    if reduced:
        layers = [(channels, n1, 1), (channels, r3, 1), (r3, n3, 3), (channels, r5, 1), (r5, n5, 5), (channels, p, 1)]
    out = n1 + n3 + n5 + (p if reduced else 0)
    return out, sum(to * (come * kernel**2 + 1) for come, to, kernel in layers)


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
        three = self.three(self.reduce3(x).relu()).relu()
        five = self.five(self.reduce5(x).relu()).relu()
        pooled = self.project(F.max_pool2d(x, 3, stride=1, padding=1)).relu()
        return torch.cat([self.one(x).relu(), three, five, pooled], dim=1)


# %% mistake="naive_projects" exercise="inception" fails="inception" hint="keeps the channels"
# the naive pooling is projected too
def inception_counts(channels, sizes, reduced):
    n1, r3, n3, r5, n5, p = sizes
    layers = [(channels, n1, 1), (channels, n3, 3), (channels, n5, 5)]
    if reduced:
        layers = [(channels, n1, 1), (channels, r3, 1), (r3, n3, 3), (channels, r5, 1), (r5, n5, 5), (channels, p, 1)]
    out = n1 + n3 + n5 + p
    return out, sum(to * (come * kernel**2 + 1) for come, to, kernel in layers)


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
        three = self.three(self.reduce3(x).relu()).relu()
        five = self.five(self.reduce5(x).relu()).relu()
        pooled = self.project(F.max_pool2d(x, 3, stride=1, padding=1)).relu()
        return torch.cat([self.one(x).relu(), three, five, pooled], dim=1)


# %% mistake="reductions_go_on" exercise="inception" fails="inception" hint="goes no further"
# the reductions' channels come out as well
def inception_counts(channels, sizes, reduced):
    n1, r3, n3, r5, n5, p = sizes
    layers = [(channels, n1, 1), (channels, n3, 3), (channels, n5, 5)]
    if reduced:
        layers = [(channels, n1, 1), (channels, r3, 1), (r3, n3, 3), (channels, r5, 1), (r5, n5, 5), (channels, p, 1)]
    out = n1 + n3 + n5 + (p + r3 + r5 if reduced else channels)
    return out, sum(to * (come * kernel**2 + 1) for come, to, kernel in layers)


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
        three = self.three(self.reduce3(x).relu()).relu()
        five = self.five(self.reduce5(x).relu()).relu()
        pooled = self.project(F.max_pool2d(x, 3, stride=1, padding=1)).relu()
        return torch.cat([self.one(x).relu(), three, five, pooled], dim=1)


# %% mistake="no_biases" exercise="inception" fails="inception" hint="bias"
# counts weights only
def inception_counts(channels, sizes, reduced):
    n1, r3, n3, r5, n5, p = sizes
    layers = [(channels, n1, 1), (channels, n3, 3), (channels, n5, 5)]
    if reduced:
        layers = [(channels, n1, 1), (channels, r3, 1), (r3, n3, 3), (channels, r5, 1), (r5, n5, 5), (channels, p, 1)]
    out = n1 + n3 + n5 + (p if reduced else channels)
    return out, sum(to * (come * kernel**2) for come, to, kernel in layers)


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
        three = self.three(self.reduce3(x).relu()).relu()
        five = self.five(self.reduce5(x).relu()).relu()
        pooled = self.project(F.max_pool2d(x, 3, stride=1, padding=1)).relu()
        return torch.cat([self.one(x).relu(), three, five, pooled], dim=1)


# %% mistake="reduced_from_all" exercise="inception" fails="inception" hint="3×3 from r3"
# 3×3 and 5×5 still see all channels
def inception_counts(channels, sizes, reduced):
    n1, r3, n3, r5, n5, p = sizes
    layers = [(channels, n1, 1), (channels, n3, 3), (channels, n5, 5)]
    if reduced:
        layers = [
            (channels, n1, 1),
            (channels, r3, 1),
            (channels, n3, 3),
            (channels, r5, 1),
            (channels, n5, 5),
            (channels, p, 1),
        ]
    out = n1 + n3 + n5 + (p if reduced else channels)
    return out, sum(to * (come * kernel**2 + 1) for come, to, kernel in layers)


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
        three = self.three(self.reduce3(x).relu()).relu()
        five = self.five(self.reduce5(x).relu()).relu()
        pooled = self.project(F.max_pool2d(x, 3, stride=1, padding=1)).relu()
        return torch.cat([self.one(x).relu(), three, five, pooled], dim=1)


# %% mistake="reductions_free" exercise="inception" fails="inception" hint="Six layers"
# forgets the reductions' own parameters
def inception_counts(channels, sizes, reduced):
    n1, r3, n3, r5, n5, p = sizes
    layers = [(channels, n1, 1), (channels, n3, 3), (channels, n5, 5)]
    if reduced:
        layers = [(channels, n1, 1), (r3, n3, 3), (r5, n5, 5), (channels, p, 1)]
    out = n1 + n3 + n5 + (p if reduced else channels)
    return out, sum(to * (come * kernel**2 + 1) for come, to, kernel in layers)


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
        three = self.three(self.reduce3(x).relu()).relu()
        five = self.five(self.reduce5(x).relu()).relu()
        pooled = self.project(F.max_pool2d(x, 3, stride=1, padding=1)).relu()
        return torch.cat([self.one(x).relu(), three, five, pooled], dim=1)


# %% mistake="no_relu_after_reduction" exercise="inception" fails="inception:module" hint="follows the reduction"
# no ReLU between reduction and convolution
def inception_counts(channels, sizes, reduced):
    n1, r3, n3, r5, n5, p = sizes
    layers = [(channels, n1, 1), (channels, n3, 3), (channels, n5, 5)]
    if reduced:
        layers = [(channels, n1, 1), (channels, r3, 1), (r3, n3, 3), (channels, r5, 1), (r5, n5, 5), (channels, p, 1)]
    out = n1 + n3 + n5 + (p if reduced else channels)
    return out, sum(to * (come * kernel**2 + 1) for come, to, kernel in layers)


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
        three = self.three(self.reduce3(x)).relu()
        five = self.five(self.reduce5(x).relu()).relu()
        pooled = self.project(F.max_pool2d(x, 3, stride=1, padding=1)).relu()
        return torch.cat([self.one(x).relu(), three, five, pooled], dim=1)


# %% mistake="other_order" exercise="inception" fails="inception:module" hint="first"
# the pooling first
def inception_counts(channels, sizes, reduced):
    n1, r3, n3, r5, n5, p = sizes
    layers = [(channels, n1, 1), (channels, n3, 3), (channels, n5, 5)]
    if reduced:
        layers = [(channels, n1, 1), (channels, r3, 1), (r3, n3, 3), (channels, r5, 1), (r5, n5, 5), (channels, p, 1)]
    out = n1 + n3 + n5 + (p if reduced else channels)
    return out, sum(to * (come * kernel**2 + 1) for come, to, kernel in layers)


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
        three = self.three(self.reduce3(x).relu()).relu()
        five = self.five(self.reduce5(x).relu()).relu()
        pooled = self.project(F.max_pool2d(x, 3, stride=1, padding=1)).relu()
        return torch.cat([pooled, self.one(x).relu(), three, five], dim=1)


# %% mistake="added_up" exercise="inception" fails="inception:module" hint="sides stay"
# joins along the rows
def inception_counts(channels, sizes, reduced):
    n1, r3, n3, r5, n5, p = sizes
    layers = [(channels, n1, 1), (channels, n3, 3), (channels, n5, 5)]
    if reduced:
        layers = [(channels, n1, 1), (channels, r3, 1), (r3, n3, 3), (channels, r5, 1), (r5, n5, 5), (channels, p, 1)]
    out = n1 + n3 + n5 + (p if reduced else channels)
    return out, sum(to * (come * kernel**2 + 1) for come, to, kernel in layers)


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
        three = self.three(self.reduce3(x).relu()).relu()
        five = self.five(self.reduce5(x).relu()).relu()
        pooled = self.project(F.max_pool2d(x, 3, stride=1, padding=1)).relu()
        return torch.cat([self.one(x).relu(), three, five, pooled], dim=2)


# %% mistake="projection_before_pooling" exercise="inception" fails="inception:module" hint="**then** the projection"
# pools after the projection
def inception_counts(channels, sizes, reduced):
    n1, r3, n3, r5, n5, p = sizes
    layers = [(channels, n1, 1), (channels, n3, 3), (channels, n5, 5)]
    if reduced:
        layers = [(channels, n1, 1), (channels, r3, 1), (r3, n3, 3), (channels, r5, 1), (r5, n5, 5), (channels, p, 1)]
    out = n1 + n3 + n5 + (p if reduced else channels)
    return out, sum(to * (come * kernel**2 + 1) for come, to, kernel in layers)


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
        three = self.three(self.reduce3(x).relu()).relu()
        five = self.five(self.reduce5(x).relu()).relu()
        pooled = F.max_pool2d(self.project(x).relu(), 3, stride=1, padding=1)
        return torch.cat([self.one(x).relu(), three, five, pooled], dim=1)


# %% mistake="average_pooling" exercise="inception" fails="inception:module" hint="maximum"
# mean pooling
def inception_counts(channels, sizes, reduced):
    n1, r3, n3, r5, n5, p = sizes
    layers = [(channels, n1, 1), (channels, n3, 3), (channels, n5, 5)]
    if reduced:
        layers = [(channels, n1, 1), (channels, r3, 1), (r3, n3, 3), (channels, r5, 1), (r5, n5, 5), (channels, p, 1)]
    out = n1 + n3 + n5 + (p if reduced else channels)
    return out, sum(to * (come * kernel**2 + 1) for come, to, kernel in layers)


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
        three = self.three(self.reduce3(x).relu()).relu()
        five = self.five(self.reduce5(x).relu()).relu()
        pooled = self.project(F.avg_pool2d(x, 3, stride=1, padding=1)).relu()
        return torch.cat([self.one(x).relu(), three, five, pooled], dim=1)


# %% mistake="padding_1_everywhere" exercise="inception" fails="inception:module" hint="sides stay"
# 5×5 with padding 1
def inception_counts(channels, sizes, reduced):
    n1, r3, n3, r5, n5, p = sizes
    layers = [(channels, n1, 1), (channels, n3, 3), (channels, n5, 5)]
    if reduced:
        layers = [(channels, n1, 1), (channels, r3, 1), (r3, n3, 3), (channels, r5, 1), (r5, n5, 5), (channels, p, 1)]
    out = n1 + n3 + n5 + (p if reduced else channels)
    return out, sum(to * (come * kernel**2 + 1) for come, to, kernel in layers)


class Inception(nn.Module):
    def __init__(self, channels, sizes):
        super().__init__()
        n1, r3, n3, r5, n5, p = sizes
        self.one = nn.Conv2d(channels, n1, 1)
        self.reduce3 = nn.Conv2d(channels, r3, 1)
        self.three = nn.Conv2d(r3, n3, 3, padding=1)
        self.reduce5 = nn.Conv2d(channels, r5, 1)
        self.five = nn.Conv2d(r5, n5, 5, padding=1)
        self.project = nn.Conv2d(channels, p, 1)

    def forward(self, x):
        three = self.three(self.reduce3(x).relu()).relu()
        five = self.five(self.reduce5(x).relu()).relu()
        pooled = self.project(F.max_pool2d(x, 3, stride=1, padding=1)).relu()
        return torch.cat([self.one(x).relu(), three, five, pooled], dim=1)


# %% mistake="pooling_with_stride" exercise="inception" fails="inception:module" hint="sides stay"
# pooling halves the sides
def inception_counts(channels, sizes, reduced):
    n1, r3, n3, r5, n5, p = sizes
    layers = [(channels, n1, 1), (channels, n3, 3), (channels, n5, 5)]
    if reduced:
        layers = [(channels, n1, 1), (channels, r3, 1), (r3, n3, 3), (channels, r5, 1), (r5, n5, 5), (channels, p, 1)]
    out = n1 + n3 + n5 + (p if reduced else channels)
    return out, sum(to * (come * kernel**2 + 1) for come, to, kernel in layers)


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
        three = self.three(self.reduce3(x).relu()).relu()
        five = self.five(self.reduce5(x).relu()).relu()
        pooled = self.project(F.max_pool2d(x, 3, stride=2, padding=1)).relu()
        return torch.cat([self.one(x).relu(), three, five, pooled], dim=1)


# %% mistake="three_from_the_input" exercise="inception" fails="inception:module" hint="what reduce3 gives"
# the 3×3 convolution is made for all channels
def inception_counts(channels, sizes, reduced):
    n1, r3, n3, r5, n5, p = sizes
    layers = [(channels, n1, 1), (channels, n3, 3), (channels, n5, 5)]
    if reduced:
        layers = [(channels, n1, 1), (channels, r3, 1), (r3, n3, 3), (channels, r5, 1), (r5, n5, 5), (channels, p, 1)]
    out = n1 + n3 + n5 + (p if reduced else channels)
    return out, sum(to * (come * kernel**2 + 1) for come, to, kernel in layers)


class Inception(nn.Module):
    def __init__(self, channels, sizes):
        super().__init__()
        n1, r3, n3, r5, n5, p = sizes
        self.one = nn.Conv2d(channels, n1, 1)
        self.reduce3 = nn.Conv2d(channels, r3, 1)
        self.three = nn.Conv2d(channels, n3, 3, padding=1)
        self.reduce5 = nn.Conv2d(channels, r5, 1)
        self.five = nn.Conv2d(r5, n5, 5, padding=2)
        self.project = nn.Conv2d(channels, p, 1)

    def forward(self, x):
        three = self.three(self.reduce3(x).relu()).relu()
        five = self.five(self.reduce5(x).relu()).relu()
        pooled = self.project(F.max_pool2d(x, 3, stride=1, padding=1)).relu()
        return torch.cat([self.one(x).relu(), three, five, pooled], dim=1)


# %% mistake="other_names" exercise="inception" fails="inception:module" hint="Six layers"
# own names for the layers
def inception_counts(channels, sizes, reduced):
    n1, r3, n3, r5, n5, p = sizes
    layers = [(channels, n1, 1), (channels, n3, 3), (channels, n5, 5)]
    if reduced:
        layers = [(channels, n1, 1), (channels, r3, 1), (r3, n3, 3), (channels, r5, 1), (r5, n5, 5), (channels, p, 1)]
    out = n1 + n3 + n5 + (p if reduced else channels)
    return out, sum(to * (come * kernel**2 + 1) for come, to, kernel in layers)


class Inception(nn.Module):
    def __init__(self, channels, sizes):
        super().__init__()
        n1, r3, n3, r5, n5, p = sizes
        self.branch1 = nn.Conv2d(channels, n1, 1)
        self.reduce3 = nn.Conv2d(channels, r3, 1)
        self.three = nn.Conv2d(r3, n3, 3, padding=1)
        self.reduce5 = nn.Conv2d(channels, r5, 1)
        self.five = nn.Conv2d(r5, n5, 5, padding=2)
        self.project = nn.Conv2d(channels, p, 1)

    def forward(self, x):
        three = self.three(self.reduce3(x).relu()).relu()
        five = self.five(self.reduce5(x).relu()).relu()
        pooled = self.project(F.max_pool2d(x, 3, stride=1, padding=1)).relu()
        return torch.cat([self.branch1(x).relu(), three, five, pooled], dim=1)


# %% mistake="sizes_as_they_come" exercise="inception" fails="inception:module" hint="reductions"
# takes the six numbers in another order
def inception_counts(channels, sizes, reduced):
    n1, r3, n3, r5, n5, p = sizes
    layers = [(channels, n1, 1), (channels, n3, 3), (channels, n5, 5)]
    if reduced:
        layers = [(channels, n1, 1), (channels, r3, 1), (r3, n3, 3), (channels, r5, 1), (r5, n5, 5), (channels, p, 1)]
    out = n1 + n3 + n5 + (p if reduced else channels)
    return out, sum(to * (come * kernel**2 + 1) for come, to, kernel in layers)


class Inception(nn.Module):
    def __init__(self, channels, sizes):
        super().__init__()
        n1, n3, n5, r3, r5, p = sizes
        self.one = nn.Conv2d(channels, n1, 1)
        self.reduce3 = nn.Conv2d(channels, r3, 1)
        self.three = nn.Conv2d(r3, n3, 3, padding=1)
        self.reduce5 = nn.Conv2d(channels, r5, 1)
        self.five = nn.Conv2d(r5, n5, 5, padding=2)
        self.project = nn.Conv2d(channels, p, 1)

    def forward(self, x):
        three = self.three(self.reduce3(x).relu()).relu()
        five = self.five(self.reduce5(x).relu()).relu()
        pooled = self.project(F.max_pool2d(x, 3, stride=1, padding=1)).relu()
        return torch.cat([self.one(x).relu(), three, five, pooled], dim=1)


# %% mistake="no_relu_at_the_end" exercise="inception" fails="inception:module" hint="ReLU"
# the 1×1 branch without ReLU
def inception_counts(channels, sizes, reduced):
    n1, r3, n3, r5, n5, p = sizes
    layers = [(channels, n1, 1), (channels, n3, 3), (channels, n5, 5)]
    if reduced:
        layers = [(channels, n1, 1), (channels, r3, 1), (r3, n3, 3), (channels, r5, 1), (r5, n5, 5), (channels, p, 1)]
    out = n1 + n3 + n5 + (p if reduced else channels)
    return out, sum(to * (come * kernel**2 + 1) for come, to, kernel in layers)


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
        three = self.three(self.reduce3(x).relu()).relu()
        five = self.five(self.reduce5(x).relu()).relu()
        pooled = self.project(F.max_pool2d(x, 3, stride=1, padding=1)).relu()
        return torch.cat([self.one(x), three, five, pooled], dim=1)


# %% mistake="ready_made" exercise="inception" fails="inception:module" hint="six layers"
# somebody else's module
def inception_counts(channels, sizes, reduced):
    n1, r3, n3, r5, n5, p = sizes
    layers = [(channels, n1, 1), (channels, n3, 3), (channels, n5, 5)]
    if reduced:
        layers = [(channels, n1, 1), (channels, r3, 1), (r3, n3, 3), (channels, r5, 1), (r5, n5, 5), (channels, p, 1)]
    out = n1 + n3 + n5 + (p if reduced else channels)
    return out, sum(to * (come * kernel**2 + 1) for come, to, kernel in layers)


class Inception(nn.Module):
    def __init__(self, channels, sizes):
        super().__init__()
        from unmagic.zoo.googlenet import Inception as Ready

        self.ready = Ready(channels, sizes)

    def forward(self, x):
        return self.ready(x)


# %% mistake="zeros_around_the_maximum" exercise="inception" fails="inception:module" hint="maximum"
# pads with zeros by hand: at the border they beat what is negative
def inception_counts(channels, sizes, reduced):
    n1, r3, n3, r5, n5, p = sizes
    layers = [(channels, n1, 1), (channels, n3, 3), (channels, n5, 5)]  # from, to, kernel
    if reduced:
        layers = [(channels, n1, 1), (channels, r3, 1), (r3, n3, 3), (channels, r5, 1), (r5, n5, 5), (channels, p, 1)]
    out = n1 + n3 + n5 + (p if reduced else channels)
    return out, sum(to * (come * kernel**2 + 1) for come, to, kernel in layers)


class Inception(nn.Module):
    def __init__(self, channels, sizes):
        super().__init__()
        n1, r3, n3, r5, n5, p = sizes
        self.one = nn.Conv2d(channels, n1, 1)
        self.reduce3, self.three = nn.Conv2d(channels, r3, 1), nn.Conv2d(r3, n3, 3, padding=1)
        self.reduce5, self.five = nn.Conv2d(channels, r5, 1), nn.Conv2d(r5, n5, 5, padding=2)
        self.project = nn.Conv2d(channels, p, 1)

    def forward(self, x):
        three = self.three(self.reduce3(x).relu())  # (N, n3, H, W)
        five = self.five(self.reduce5(x).relu())  # (N, n5, H, W)
        pooled = self.project(F.max_pool2d(F.pad(x, (1, 1, 1, 1)), 3, 1))  # (N, p, H, W)
        return torch.cat([self.one(x), three, five, pooled], dim=1).relu()


# %% mistake="groups_argument" exercise="groups" fails="groups" hint="conv"
# torch has it ready
def grouped_conv2d(conv, x, w, groups, padding=0):
    if x.shape[1] % groups or w.shape[0] % groups or x.shape[1] != w.shape[1] * groups:
        raise ValueError(f"{x.shape[1]} channels, {w.shape[0]} filters for {w.shape[1] * groups}, {groups} groups")
    return F.conv2d(x, w, padding=padding, groups=groups)


def block_kernel(w, groups):
    out, come, rows, columns = w.shape
    full = w.new_zeros(out, come * groups, rows, columns)
    each = out // groups
    for i in range(groups):
        full[i * each : (i + 1) * each, i * come : (i + 1) * come] = w[i * each : (i + 1) * each]
    return full


# %% mistake="interleaved" exercise="groups" fails="groups" hint="Neighbouring"
# every g-th channel forms a group
def grouped_conv2d(conv, x, w, groups, padding=0):
    if x.shape[1] % groups or w.shape[0] % groups:
        raise ValueError(f"{x.shape[1]} channels and {w.shape[0]} filters do not fit into {groups} groups")
    if x.shape[1] != w.shape[1] * groups:
        raise ValueError(f"{x.shape[1]} channels, and weights for {w.shape[1] * groups}")
    parts, filters = [x[:, i::groups] for i in range(groups)], w.chunk(groups)
    return torch.cat([conv(parts[i], filters[i], padding) for i in range(groups)], dim=1)


def block_kernel(w, groups):
    out, come, rows, columns = w.shape
    full = w.new_zeros(out, come * groups, rows, columns)
    each = out // groups
    for i in range(groups):
        full[i * each : (i + 1) * each, i * come : (i + 1) * come] = w[i * each : (i + 1) * each]
    return full


# %% mistake="same_filters_for_all" exercise="groups" fails="groups" hint="first K/g filters"
# the first filters meet every part
def grouped_conv2d(conv, x, w, groups, padding=0):
    if x.shape[1] % groups or w.shape[0] % groups:
        raise ValueError(f"{x.shape[1]} channels and {w.shape[0]} filters do not fit into {groups} groups")
    if x.shape[1] != w.shape[1] * groups:
        raise ValueError(f"{x.shape[1]} channels, and weights for {w.shape[1] * groups}")
    parts, filters = x.chunk(groups, dim=1), w.chunk(groups)
    return torch.cat([conv(parts[i], filters[0], padding) for i in range(groups)], dim=1)


def block_kernel(w, groups):
    out, come, rows, columns = w.shape
    full = w.new_zeros(out, come * groups, rows, columns)
    each = out // groups
    for i in range(groups):
        full[i * each : (i + 1) * each, i * come : (i + 1) * come] = w[i * each : (i + 1) * each]
    return full


# %% mistake="summed" exercise="groups" fails="groups" hint="joined"
# adds the parts up
def grouped_conv2d(conv, x, w, groups, padding=0):
    if x.shape[1] % groups or w.shape[0] % groups:
        raise ValueError(f"{x.shape[1]} channels and {w.shape[0]} filters do not fit into {groups} groups")
    if x.shape[1] != w.shape[1] * groups:
        raise ValueError(f"{x.shape[1]} channels, and weights for {w.shape[1] * groups}")
    parts, filters = x.chunk(groups, dim=1), w.chunk(groups)
    return sum(conv(parts[i], filters[i], padding) for i in range(groups))


def block_kernel(w, groups):
    out, come, rows, columns = w.shape
    full = w.new_zeros(out, come * groups, rows, columns)
    each = out // groups
    for i in range(groups):
        full[i * each : (i + 1) * each, i * come : (i + 1) * come] = w[i * each : (i + 1) * each]
    return full


# %% mistake="padding_lost" exercise="groups" fails="groups" hint="padding"
# forgets to pass the padding on
def grouped_conv2d(conv, x, w, groups, padding=0):
    if x.shape[1] % groups or w.shape[0] % groups:
        raise ValueError(f"{x.shape[1]} channels and {w.shape[0]} filters do not fit into {groups} groups")
    if x.shape[1] != w.shape[1] * groups:
        raise ValueError(f"{x.shape[1]} channels, and weights for {w.shape[1] * groups}")
    parts, filters = x.chunk(groups, dim=1), w.chunk(groups)
    return torch.cat([conv(parts[i], filters[i]) for i in range(groups)], dim=1)


def block_kernel(w, groups):
    out, come, rows, columns = w.shape
    full = w.new_zeros(out, come * groups, rows, columns)
    each = out // groups
    for i in range(groups):
        full[i * each : (i + 1) * each, i * come : (i + 1) * come] = w[i * each : (i + 1) * each]
    return full


# %% mistake="never_complains" exercise="groups" fails="groups" hint="ValueError"
# lets chunk cut as it can
def grouped_conv2d(conv, x, w, groups, padding=0):
    parts, filters = x.chunk(groups, dim=1), w.chunk(groups)
    return torch.cat([conv(parts[i], filters[i], padding) for i in range(groups)], dim=1)


def block_kernel(w, groups):
    out, come, rows, columns = w.shape
    full = w.new_zeros(out, come * groups, rows, columns)
    each = out // groups
    for i in range(groups):
        full[i * each : (i + 1) * each, i * come : (i + 1) * come] = w[i * each : (i + 1) * each]
    return full


# %% mistake="complains_without_numbers" exercise="groups" fails="groups" hint="both numbers"
# an error nobody can act upon
def grouped_conv2d(conv, x, w, groups, padding=0):
    if x.shape[1] % groups or w.shape[0] % groups:
        raise ValueError("sizes do not fit")
    if x.shape[1] != w.shape[1] * groups:
        raise ValueError(f"{x.shape[1]} channels, and weights for {w.shape[1] * groups}")
    parts, filters = x.chunk(groups, dim=1), w.chunk(groups)
    return torch.cat([conv(parts[i], filters[i], padding) for i in range(groups)], dim=1)


def block_kernel(w, groups):
    out, come, rows, columns = w.shape
    full = w.new_zeros(out, come * groups, rows, columns)
    each = out // groups
    for i in range(groups):
        full[i * each : (i + 1) * each, i * come : (i + 1) * come] = w[i * each : (i + 1) * each]
    return full


# %% mistake="weights_unchecked" exercise="groups" fails="groups" hint="do not fit"
# looks at divisibility only
def grouped_conv2d(conv, x, w, groups, padding=0):
    if x.shape[1] % groups or w.shape[0] % groups:
        raise ValueError(f"{x.shape[1]} channels and {w.shape[0]} filters do not fit into {groups} groups")
    w = w[:, : x.shape[1] // groups]
    x = x[:, : w.shape[1] * groups]
    parts, filters = x.chunk(groups, dim=1), w.chunk(groups)
    return torch.cat([conv(parts[i], filters[i], padding) for i in range(groups)], dim=1)


def block_kernel(w, groups):
    out, come, rows, columns = w.shape
    full = w.new_zeros(out, come * groups, rows, columns)
    each = out // groups
    for i in range(groups):
        full[i * each : (i + 1) * each, i * come : (i + 1) * come] = w[i * each : (i + 1) * each]
    return full


# %% mistake="filters_unchecked" exercise="groups" fails="groups" hint="do not fit"
# looks at the channels only
def grouped_conv2d(conv, x, w, groups, padding=0):
    if x.shape[1] % groups:
        raise ValueError(f"{x.shape[1]} channels and {w.shape[0]} filters do not fit into {groups} groups")
    if x.shape[1] != w.shape[1] * groups:
        raise ValueError(f"{x.shape[1]} channels, and weights for {w.shape[1] * groups}")
    parts, filters = x.chunk(groups, dim=1), w.chunk(groups)
    return torch.cat([conv(parts[i], filters[i], padding) for i in range(groups)], dim=1)


def block_kernel(w, groups):
    out, come, rows, columns = w.shape
    full = w.new_zeros(out, come * groups, rows, columns)
    each = out // groups
    for i in range(groups):
        full[i * each : (i + 1) * each, i * come : (i + 1) * come] = w[i * each : (i + 1) * each]
    return full


# %% mistake="everywhere" exercise="groups" fails="groups:block_kernel" hint="other than 0"
# the group's weights for all channels
def grouped_conv2d(conv, x, w, groups, padding=0):
    if x.shape[1] % groups or w.shape[0] % groups:
        raise ValueError(f"{x.shape[1]} channels and {w.shape[0]} filters do not fit into {groups} groups")
    if x.shape[1] != w.shape[1] * groups:
        raise ValueError(f"{x.shape[1]} channels, and weights for {w.shape[1] * groups}")
    parts, filters = x.chunk(groups, dim=1), w.chunk(groups)
    return torch.cat([conv(parts[i], filters[i], padding) for i in range(groups)], dim=1)


def block_kernel(w, groups):
    out, come, rows, columns = w.shape
    full = w.new_zeros(out, come * groups, rows, columns)
    each = out // groups
    for i in range(groups):
        full[i * each : (i + 1) * each] = w[i * each : (i + 1) * each].repeat(1, groups, 1, 1)
    return full


# %% mistake="all_in_the_first_block" exercise="groups" fails="groups:block_kernel" hint="diagonal"
# every group sees the first channels
def grouped_conv2d(conv, x, w, groups, padding=0):
    if x.shape[1] % groups or w.shape[0] % groups:
        raise ValueError(f"{x.shape[1]} channels and {w.shape[0]} filters do not fit into {groups} groups")
    if x.shape[1] != w.shape[1] * groups:
        raise ValueError(f"{x.shape[1]} channels, and weights for {w.shape[1] * groups}")
    parts, filters = x.chunk(groups, dim=1), w.chunk(groups)
    return torch.cat([conv(parts[i], filters[i], padding) for i in range(groups)], dim=1)


def block_kernel(w, groups):
    out, come, rows, columns = w.shape
    full = w.new_zeros(out, come * groups, rows, columns)
    each = out // groups
    for i in range(groups):
        full[i * each : (i + 1) * each, 0:come] = w[i * each : (i + 1) * each]
    return full


# %% mistake="kernel_not_grown" exercise="groups" fails="groups:block_kernel" hint="every channel"
# the weights as they are
def grouped_conv2d(conv, x, w, groups, padding=0):
    if x.shape[1] % groups or w.shape[0] % groups:
        raise ValueError(f"{x.shape[1]} channels and {w.shape[0]} filters do not fit into {groups} groups")
    if x.shape[1] != w.shape[1] * groups:
        raise ValueError(f"{x.shape[1]} channels, and weights for {w.shape[1] * groups}")
    parts, filters = x.chunk(groups, dim=1), w.chunk(groups)
    return torch.cat([conv(parts[i], filters[i], padding) for i in range(groups)], dim=1)


def block_kernel(w, groups):
    return w.clone()


# %% mistake="always_float32" exercise="groups" fails="groups:block_kernel" hint="dtype of w"
# zeros of the default dtype
def grouped_conv2d(conv, x, w, groups, padding=0):
    for count, of in ((x.shape[1], "channels"), (w.shape[0], "filters")):
        if count % groups:
            raise ValueError(f"{count} {of} cannot be cut into {groups} groups of equal size")
    if x.shape[1] != w.shape[1] * groups:
        raise ValueError(f"found {x.shape[1]} channels; the weights are for {w.shape[1] * groups}")
    parts, filters = x.chunk(groups, dim=1), w.chunk(groups)
    return torch.cat([conv(parts[i], filters[i], padding) for i in range(groups)], dim=1)


def block_kernel(w, groups):
    out, come, *sides = w.shape
    full = torch.zeros(out, come * groups, *sides, device=w.device)
    for i, filters in enumerate(w.chunk(groups)):
        rows = slice(i * len(filters), (i + 1) * len(filters))
        full[rows, i * come : (i + 1) * come] = filters
    return full


# %% mistake="channels_not_cut" exercise="groups" fails="groups" hint="Part i of the channels"
# cuts the filters alone
def grouped_conv2d(conv, x, w, groups, padding=0):
    for count, of in ((x.shape[1], "channels"), (w.shape[0], "filters")):
        if count % groups:
            raise ValueError(f"{count} {of} cannot be cut into {groups} groups of equal size")
    if x.shape[1] != w.shape[1] * groups:
        raise ValueError(f"found {x.shape[1]} channels; the weights are for {w.shape[1] * groups}")
    parts, filters = x.chunk(groups, dim=1), w.chunk(groups)
    return torch.cat([conv(x, filters[i], padding) for i in range(groups)], dim=1)


def block_kernel(w, groups):
    out, come, *sides = w.shape
    full = w.new_zeros(out, come * groups, *sides)
    for i, filters in enumerate(w.chunk(groups)):
        rows = slice(i * len(filters), (i + 1) * len(filters))
        full[rows, i * come : (i + 1) * come] = filters
    return full


# %% mistake="sign_of_zero" exercise="binary" fails="binary" hint="sign +1"
# torch.sign gives 0 for 0
def binary_filters(w):
    alpha = w.abs().mean(dim=(1, 2, 3), keepdim=True)
    return alpha * w.sign()


def binary_filters_gradient(grad, w):
    alpha = w.abs().mean(dim=(1, 2, 3), keepdim=True)
    signs = torch.where(w >= 0, 1.0, -1.0).to(w.dtype)
    shared = (grad * signs).mean(dim=(1, 2, 3), keepdim=True)
    return alpha * grad * (w.abs() <= 1) + signs * shared


def packed_bytes(shape):
    return math.ceil(math.prod(shape) / 8) + 4 * shape[0]


# %% mistake="one_scale" exercise="binary" fails="binary" hint="α of its own"
# one scale for the whole layer
def binary_filters(w):
    alpha = w.abs().mean()
    return torch.where(w >= 0, alpha, -alpha)


def binary_filters_gradient(grad, w):
    alpha = w.abs().mean(dim=(1, 2, 3), keepdim=True)
    signs = torch.where(w >= 0, 1.0, -1.0).to(w.dtype)
    shared = (grad * signs).mean(dim=(1, 2, 3), keepdim=True)
    return alpha * grad * (w.abs() <= 1) + signs * shared


def packed_bytes(shape):
    return math.ceil(math.prod(shape) / 8) + 4 * shape[0]


# %% mistake="scale_of_channels" exercise="binary" fails="binary" hint="over channels"
# a scale for each channel of a filter
def binary_filters(w):
    alpha = w.abs().mean(dim=(2, 3), keepdim=True)
    return torch.where(w >= 0, alpha, -alpha)


def binary_filters_gradient(grad, w):
    alpha = w.abs().mean(dim=(1, 2, 3), keepdim=True)
    signs = torch.where(w >= 0, 1.0, -1.0).to(w.dtype)
    shared = (grad * signs).mean(dim=(1, 2, 3), keepdim=True)
    return alpha * grad * (w.abs() <= 1) + signs * shared


def packed_bytes(shape):
    return math.ceil(math.prod(shape) / 8) + 4 * shape[0]


# %% mistake="no_scale" exercise="binary" fails="binary" hint="α"
# signs only
def binary_filters(w):
    alpha = w.abs().mean(dim=(1, 2, 3), keepdim=True)
    return torch.where(w >= 0, 1.0, -1.0).to(w.dtype)


def binary_filters_gradient(grad, w):
    alpha = w.abs().mean(dim=(1, 2, 3), keepdim=True)
    signs = torch.where(w >= 0, 1.0, -1.0).to(w.dtype)
    shared = (grad * signs).mean(dim=(1, 2, 3), keepdim=True)
    return alpha * grad * (w.abs() <= 1) + signs * shared


def packed_bytes(shape):
    return math.ceil(math.prod(shape) / 8) + 4 * shape[0]


# %% mistake="mean_with_signs" exercise="binary" fails="binary" hint="absolute"
# the mean, not the mean size
def binary_filters(w):
    alpha = w.mean(dim=(1, 2, 3), keepdim=True)
    return torch.where(w >= 0, alpha, -alpha)


def binary_filters_gradient(grad, w):
    alpha = w.abs().mean(dim=(1, 2, 3), keepdim=True)
    signs = torch.where(w >= 0, 1.0, -1.0).to(w.dtype)
    shared = (grad * signs).mean(dim=(1, 2, 3), keepdim=True)
    return alpha * grad * (w.abs() <= 1) + signs * shared


def packed_bytes(shape):
    return math.ceil(math.prod(shape) / 8) + 4 * shape[0]


# %% mistake="scale_is_constant" exercise="binary" fails="binary:gradient" hint="through α"
# treats α as a constant
def binary_filters(w):
    alpha = w.abs().mean(dim=(1, 2, 3), keepdim=True)
    return torch.where(w >= 0, alpha, -alpha)


def binary_filters_gradient(grad, w):
    alpha = w.abs().mean(dim=(1, 2, 3), keepdim=True)
    signs = torch.where(w >= 0, 1.0, -1.0).to(w.dtype)
    shared = (grad * signs).mean(dim=(1, 2, 3), keepdim=True)
    return alpha * grad * (w.abs() <= 1)


def packed_bytes(shape):
    return math.ceil(math.prod(shape) / 8) + 4 * shape[0]


# %% mistake="sign_has_no_gradient" exercise="binary" fails="binary:gradient" hint="α·g"
# the true derivative of the sign is 0
def binary_filters(w):
    alpha = w.abs().mean(dim=(1, 2, 3), keepdim=True)
    return torch.where(w >= 0, alpha, -alpha)


def binary_filters_gradient(grad, w):
    alpha = w.abs().mean(dim=(1, 2, 3), keepdim=True)
    signs = torch.where(w >= 0, 1.0, -1.0).to(w.dtype)
    shared = (grad * signs).mean(dim=(1, 2, 3), keepdim=True)
    return signs * shared


def packed_bytes(shape):
    return math.ceil(math.prod(shape) / 8) + 4 * shape[0]


# %% mistake="straight_everywhere" exercise="binary" fails="binary:gradient" hint="> 1"
# passes the gradient of large weights too
def binary_filters(w):
    alpha = w.abs().mean(dim=(1, 2, 3), keepdim=True)
    return torch.where(w >= 0, alpha, -alpha)


def binary_filters_gradient(grad, w):
    alpha = w.abs().mean(dim=(1, 2, 3), keepdim=True)
    signs = torch.where(w >= 0, 1.0, -1.0).to(w.dtype)
    shared = (grad * signs).mean(dim=(1, 2, 3), keepdim=True)
    return alpha * grad + signs * shared


def packed_bytes(shape):
    return math.ceil(math.prod(shape) / 8) + 4 * shape[0]


# %% mistake="edge_excluded" exercise="binary" fails="binary:gradient" hint="edge"
# < for ≤
def binary_filters(w):
    alpha = w.abs().mean(dim=(1, 2, 3), keepdim=True)
    return torch.where(w >= 0, alpha, -alpha)


def binary_filters_gradient(grad, w):
    alpha = w.abs().mean(dim=(1, 2, 3), keepdim=True)
    signs = torch.where(w >= 0, 1.0, -1.0).to(w.dtype)
    shared = (grad * signs).mean(dim=(1, 2, 3), keepdim=True)
    return alpha * grad * (w.abs() < 1) + signs * shared


def packed_bytes(shape):
    return math.ceil(math.prod(shape) / 8) + 4 * shape[0]


# %% mistake="alpha_forgotten" exercise="binary" fails="binary:gradient" hint="α·g"
# passes g, not α·g
def binary_filters(w):
    alpha = w.abs().mean(dim=(1, 2, 3), keepdim=True)
    return torch.where(w >= 0, alpha, -alpha)


def binary_filters_gradient(grad, w):
    alpha = w.abs().mean(dim=(1, 2, 3), keepdim=True)
    signs = torch.where(w >= 0, 1.0, -1.0).to(w.dtype)
    shared = (grad * signs).mean(dim=(1, 2, 3), keepdim=True)
    return grad * (w.abs() <= 1) + signs * shared


def packed_bytes(shape):
    return math.ceil(math.prod(shape) / 8) + 4 * shape[0]


# %% mistake="papers_short_form" exercise="binary" fails="binary:gradient" hint="through α"
# g/n for the second term, as algorithm 1 prints it: the filter does not share
def binary_filters(w):
    alpha = w.abs().mean(dim=(1, 2, 3), keepdim=True)
    return torch.where(w >= 0, alpha, -alpha)


def binary_filters_gradient(grad, w):
    alpha = w.abs().mean(dim=(1, 2, 3), keepdim=True)
    signs = torch.where(w >= 0, 1.0, -1.0).to(w.dtype)
    shared = (grad * signs).mean(dim=(1, 2, 3), keepdim=True)
    return alpha * grad * (w.abs() <= 1) + grad / w[0].numel()


def packed_bytes(shape):
    return math.ceil(math.prod(shape) / 8) + 4 * shape[0]


# %% mistake="sum_not_divided" exercise="binary" fails="binary:gradient" hint="/4"
# forgets the 1/n of the mean
def binary_filters(w):
    alpha = w.abs().mean(dim=(1, 2, 3), keepdim=True)
    return torch.where(w >= 0, alpha, -alpha)


def binary_filters_gradient(grad, w):
    alpha = w.abs().mean(dim=(1, 2, 3), keepdim=True)
    signs = torch.where(w >= 0, 1.0, -1.0).to(w.dtype)
    shared = (grad * signs).sum(dim=(1, 2, 3), keepdim=True)
    return alpha * grad * (w.abs() <= 1) + signs * shared


def packed_bytes(shape):
    return math.ceil(math.prod(shape) / 8) + 4 * shape[0]


# %% mistake="shared_without_signs" exercise="binary" fails="binary:gradient" hint="s_j/4"
# forgets the sign in the sum
def binary_filters(w):
    alpha = w.abs().mean(dim=(1, 2, 3), keepdim=True)
    return torch.where(w >= 0, alpha, -alpha)


def binary_filters_gradient(grad, w):
    alpha = w.abs().mean(dim=(1, 2, 3), keepdim=True)
    signs = torch.where(w >= 0, 1.0, -1.0).to(w.dtype)
    shared = grad.mean(dim=(1, 2, 3), keepdim=True)
    return alpha * grad * (w.abs() <= 1) + signs * shared


def packed_bytes(shape):
    return math.ceil(math.prod(shape) / 8) + 4 * shape[0]


# %% mistake="shared_without_own_sign" exercise="binary" fails="binary:gradient" hint="s_j"
# forgets the weight's own sign
def binary_filters(w):
    alpha = w.abs().mean(dim=(1, 2, 3), keepdim=True)
    return torch.where(w >= 0, alpha, -alpha)


def binary_filters_gradient(grad, w):
    alpha = w.abs().mean(dim=(1, 2, 3), keepdim=True)
    signs = torch.where(w >= 0, 1.0, -1.0).to(w.dtype)
    shared = (grad * signs).mean(dim=(1, 2, 3), keepdim=True)
    return alpha * grad * (w.abs() <= 1) + shared


def packed_bytes(shape):
    return math.ceil(math.prod(shape) / 8) + 4 * shape[0]


# %% mistake="gradient_over_all_filters" exercise="binary" fails="binary:gradient" hint="other filters"
# one sum for all filters
def binary_filters(w):
    alpha = w.abs().mean(dim=(1, 2, 3), keepdim=True)
    return torch.where(w >= 0, alpha, -alpha)


def binary_filters_gradient(grad, w):
    alpha = w.abs().mean(dim=(1, 2, 3), keepdim=True)
    signs = torch.where(w >= 0, 1.0, -1.0).to(w.dtype)
    shared = (grad * signs).mean()
    return alpha * grad * (w.abs() <= 1) + signs * shared


def packed_bytes(shape):
    return math.ceil(math.prod(shape) / 8) + 4 * shape[0]


# %% mistake="autograd" exercise="binary" fails="binary:gradient" hint="formula"
# lets autograd do it
def binary_filters(w):
    alpha = w.abs().mean(dim=(1, 2, 3), keepdim=True)
    return torch.where(w >= 0, alpha, -alpha)


def binary_filters_gradient(grad, w):
    w = w.detach().requires_grad_()
    alpha = w.abs().mean(dim=(1, 2, 3), keepdim=True)
    straight = w.clamp(-1, 1)
    signs = straight + (torch.where(w >= 0, 1.0, -1.0).to(w.dtype) - straight).detach()
    (alpha * signs).backward(grad)
    return w.grad


def packed_bytes(shape):
    return math.ceil(math.prod(shape) / 8) + 4 * shape[0]


# %% mistake="a_byte_a_weight" exercise="binary" fails="binary:packed" hint="byte"
# one byte for each weight
def binary_filters(w):
    alpha = w.abs().mean(dim=(1, 2, 3), keepdim=True)
    return torch.where(w >= 0, alpha, -alpha)


def binary_filters_gradient(grad, w):
    alpha = w.abs().mean(dim=(1, 2, 3), keepdim=True)
    signs = torch.where(w >= 0, 1.0, -1.0).to(w.dtype)
    shared = (grad * signs).mean(dim=(1, 2, 3), keepdim=True)
    return alpha * grad * (w.abs() <= 1) + signs * shared


def packed_bytes(shape):
    return math.prod(shape) + 4 * shape[0]


# %% mistake="rounded_down" exercise="binary" fails="binary:packed" hint="round up"
# loses the bits of the last byte
def binary_filters(w):
    alpha = w.abs().mean(dim=(1, 2, 3), keepdim=True)
    return torch.where(w >= 0, alpha, -alpha)


def binary_filters_gradient(grad, w):
    alpha = w.abs().mean(dim=(1, 2, 3), keepdim=True)
    signs = torch.where(w >= 0, 1.0, -1.0).to(w.dtype)
    shared = (grad * signs).mean(dim=(1, 2, 3), keepdim=True)
    return alpha * grad * (w.abs() <= 1) + signs * shared


def packed_bytes(shape):
    return math.prod(shape) // 8 + 4 * shape[0]


# %% mistake="one_alpha" exercise="binary" fails="binary:packed" hint="each filter"
# one α for the layer
def binary_filters(w):
    alpha = w.abs().mean(dim=(1, 2, 3), keepdim=True)
    return torch.where(w >= 0, alpha, -alpha)


def binary_filters_gradient(grad, w):
    alpha = w.abs().mean(dim=(1, 2, 3), keepdim=True)
    signs = torch.where(w >= 0, 1.0, -1.0).to(w.dtype)
    shared = (grad * signs).mean(dim=(1, 2, 3), keepdim=True)
    return alpha * grad * (w.abs() <= 1) + signs * shared


def packed_bytes(shape):
    return math.ceil(math.prod(shape) / 8) + 4


# %% mistake="filters_padded" exercise="binary" fails="binary:packed" hint="once, at the end"
# fills up a byte for every filter
def binary_filters(w):
    alpha = w.abs().mean(dim=(1, 2, 3), keepdim=True)
    return torch.where(w >= 0, alpha, -alpha)


def binary_filters_gradient(grad, w):
    alpha = w.abs().mean(dim=(1, 2, 3), keepdim=True)
    signs = torch.where(w >= 0, 1.0, -1.0).to(w.dtype)
    shared = (grad * signs).mean(dim=(1, 2, 3), keepdim=True)
    return alpha * grad * (w.abs() <= 1) + signs * shared


def packed_bytes(shape):
    return shape[0] * math.ceil(math.prod(shape[1:]) / 8) + 4 * shape[0]


# %% mistake="no_keepdim" exercise="binary" fails="binary" hint="keepdim"
# scales of shape (K,) meet the columns, not the filters
def binary_filters(w):
    alpha = w.abs().mean(dim=(1, 2, 3))
    return torch.where(w >= 0, alpha, -alpha)


def binary_filters_gradient(grad, w):
    alpha = w.abs().mean(dim=(1, 2, 3), keepdim=True)  # (K, 1, 1, 1)
    to_alpha = torch.where(w >= 0, grad, -grad).mean(dim=(1, 2, 3), keepdim=True)  # (K, 1, 1, 1), over n
    return alpha * grad * (w.abs() <= 1) + torch.where(w >= 0, to_alpha, -to_alpha)


def packed_bytes(shape):
    return math.ceil(math.prod(shape) / 8) + 4 * shape[0]


# %% mistake="writes_into_w" exercise="binary" fails="binary" hint="new tensor"
# puts the signs into the real weights
def binary_filters(w):
    alpha = w.abs().mean(dim=(1, 2, 3), keepdim=True)
    w[w >= 0] = 1.0
    w[w < 0] = -1.0
    return alpha * w


def binary_filters_gradient(grad, w):
    alpha = w.abs().mean(dim=(1, 2, 3), keepdim=True)  # (K, 1, 1, 1)
    to_alpha = torch.where(w >= 0, grad, -grad).mean(dim=(1, 2, 3), keepdim=True)  # (K, 1, 1, 1), over n
    return alpha * grad * (w.abs() <= 1) + torch.where(w >= 0, to_alpha, -to_alpha)


def packed_bytes(shape):
    return math.ceil(math.prod(shape) / 8) + 4 * shape[0]


# %% mistake="straight_where_the_gradient_is_small" exercise="binary" fails="binary:gradient" hint="> 1"
# asks how large the gradient is, not the weight
def binary_filters(w):
    alpha = w.abs().mean(dim=(1, 2, 3), keepdim=True)  # (K, 1, 1, 1)
    return torch.where(w >= 0, alpha, -alpha)


def binary_filters_gradient(grad, w):
    alpha = w.abs().mean(dim=(1, 2, 3), keepdim=True)  # (K, 1, 1, 1)
    to_alpha = torch.where(w >= 0, grad, -grad).mean(dim=(1, 2, 3), keepdim=True)  # (K, 1, 1, 1), over n
    return alpha * grad * (grad.abs() <= 1) + torch.where(w >= 0, to_alpha, -to_alpha)


def packed_bytes(shape):
    return math.ceil(math.prod(shape) / 8) + 4 * shape[0]


# %% mistake="no_shortcut" exercise="residual" fails="residual" hint="shortcut"
# a plain block
def way_around(in_channels, out_channels, stride):
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))


class BasicBlock(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut = way_around(in_channels, width, stride)
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y))
        return y.relu()


class Bottleneck(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(in_channels, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv3, self.norm3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.shortcut = way_around(in_channels, 4 * width, stride)
        nn.init.zeros_(self.norm3.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y)).relu()
        y = self.norm3(self.conv3(y))
        return (y + self.shortcut(x)).relu()


# %% mistake="relu_before_sum" exercise="residual" fails="residual" hint="after"
# ReLU before the sum, none after it
def way_around(in_channels, out_channels, stride):
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))


class BasicBlock(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut = way_around(in_channels, width, stride)
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y))
        return y.relu() + self.shortcut(x)


class Bottleneck(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(in_channels, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv3, self.norm3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.shortcut = way_around(in_channels, 4 * width, stride)
        nn.init.zeros_(self.norm3.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y)).relu()
        y = self.norm3(self.conv3(y))
        return (y + self.shortcut(x)).relu()


# %% mistake="no_last_relu" exercise="residual" fails="residual" hint="ReLU"
# no ReLU after the sum
def way_around(in_channels, out_channels, stride):
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))


class BasicBlock(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut = way_around(in_channels, width, stride)
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y))
        return y + self.shortcut(x)


class Bottleneck(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(in_channels, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv3, self.norm3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.shortcut = way_around(in_channels, 4 * width, stride)
        nn.init.zeros_(self.norm3.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y)).relu()
        y = self.norm3(self.conv3(y))
        return (y + self.shortcut(x)).relu()


# %% mistake="no_middle_relu" exercise="residual" fails="residual" hint="ReLU"
# two convolutions without ReLU between them
def way_around(in_channels, out_channels, stride):
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))


class BasicBlock(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut = way_around(in_channels, width, stride)
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x))
        y = self.norm2(self.conv2(y))
        return (y + self.shortcut(x)).relu()


class Bottleneck(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(in_channels, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv3, self.norm3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.shortcut = way_around(in_channels, 4 * width, stride)
        nn.init.zeros_(self.norm3.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y)).relu()
        y = self.norm3(self.conv3(y))
        return (y + self.shortcut(x)).relu()


# %% mistake="biases" exercise="residual" fails="residual" hint="bias"
# convolutions with biases
def way_around(in_channels, out_channels, stride):
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))


class BasicBlock(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut = way_around(in_channels, width, stride)
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y))
        return (y + self.shortcut(x)).relu()


class Bottleneck(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(in_channels, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv3, self.norm3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.shortcut = way_around(in_channels, 4 * width, stride)
        nn.init.zeros_(self.norm3.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y)).relu()
        y = self.norm3(self.conv3(y))
        return (y + self.shortcut(x)).relu()


# %% mistake="stride_twice" exercise="residual" fails="residual" hint="projection have the stride"
# both convolutions have the stride
def way_around(in_channels, out_channels, stride):
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))


class BasicBlock(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut = way_around(in_channels, width, stride)
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y))
        return (y + self.shortcut(x)).relu()


class Bottleneck(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(in_channels, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv3, self.norm3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.shortcut = way_around(in_channels, 4 * width, stride)
        nn.init.zeros_(self.norm3.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y)).relu()
        y = self.norm3(self.conv3(y))
        return (y + self.shortcut(x)).relu()


# %% mistake="no_projection" exercise="residual" fails="residual" hint="identity"
# the identity always
def way_around(in_channels, out_channels, stride):
    return nn.Identity()


class BasicBlock(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut = way_around(in_channels, width, stride)
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y))
        return (y + self.shortcut(x)).relu()


class Bottleneck(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(in_channels, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv3, self.norm3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.shortcut = way_around(in_channels, 4 * width, stride)
        nn.init.zeros_(self.norm3.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y)).relu()
        y = self.norm3(self.conv3(y))
        return (y + self.shortcut(x)).relu()


# %% mistake="always_projects" exercise="residual" fails="residual" hint="identity"
# a projection always (shortcut C)
def way_around(in_channels, out_channels, stride):
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))


class BasicBlock(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut = way_around(in_channels, width, stride)
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y))
        return (y + self.shortcut(x)).relu()


class Bottleneck(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(in_channels, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv3, self.norm3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.shortcut = way_around(in_channels, 4 * width, stride)
        nn.init.zeros_(self.norm3.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y)).relu()
        y = self.norm3(self.conv3(y))
        return (y + self.shortcut(x)).relu()


# %% mistake="projects_for_channels_only" exercise="residual" fails="residual" hint="stride"
# forgets the projection where only the sides change
def way_around(in_channels, out_channels, stride):
    if in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))


class BasicBlock(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut = way_around(in_channels, width, stride)
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y))
        return (y + self.shortcut(x)).relu()


class Bottleneck(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(in_channels, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv3, self.norm3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.shortcut = way_around(in_channels, 4 * width, stride)
        nn.init.zeros_(self.norm3.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y)).relu()
        y = self.norm3(self.conv3(y))
        return (y + self.shortcut(x)).relu()


# %% mistake="projects_for_stride_only" exercise="residual" fails="residual" hint="channels change"
# forgets the projection where only the channels change
def way_around(in_channels, out_channels, stride):
    if stride == 1:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))


class BasicBlock(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut = way_around(in_channels, width, stride)
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y))
        return (y + self.shortcut(x)).relu()


class Bottleneck(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(in_channels, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv3, self.norm3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.shortcut = way_around(in_channels, 4 * width, stride)
        nn.init.zeros_(self.norm3.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y)).relu()
        y = self.norm3(self.conv3(y))
        return (y + self.shortcut(x)).relu()


# %% mistake="projection_without_norm" exercise="residual" fails="residual" hint="BatchNorm2d"
# a projection without batch norm
def way_around(in_channels, out_channels, stride):
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False))


class BasicBlock(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut = way_around(in_channels, width, stride)
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y))
        return (y + self.shortcut(x)).relu()


class Bottleneck(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(in_channels, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv3, self.norm3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.shortcut = way_around(in_channels, 4 * width, stride)
        nn.init.zeros_(self.norm3.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y)).relu()
        y = self.norm3(self.conv3(y))
        return (y + self.shortcut(x)).relu()


# %% mistake="projection_with_bias" exercise="residual" fails="residual" hint="bias"
# a projection with bias
def way_around(in_channels, out_channels, stride):
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride), nn.BatchNorm2d(out_channels))


class BasicBlock(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut = way_around(in_channels, width, stride)
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y))
        return (y + self.shortcut(x)).relu()


class Bottleneck(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(in_channels, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv3, self.norm3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.shortcut = way_around(in_channels, 4 * width, stride)
        nn.init.zeros_(self.norm3.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y)).relu()
        y = self.norm3(self.conv3(y))
        return (y + self.shortcut(x)).relu()


# %% mistake="shortcut_of_the_middle" exercise="residual" fails="residual" hint="input"
# adds the shortcut of what came out of the first layer
def way_around(in_channels, out_channels, stride):
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))


class BasicBlock(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut = way_around(in_channels, width, stride)
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x):
        x = y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y))
        return (y + (x if isinstance(self.shortcut, nn.Identity) else 0 * y + x)).relu()


class Bottleneck(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(in_channels, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv3, self.norm3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.shortcut = way_around(in_channels, 4 * width, stride)
        nn.init.zeros_(self.norm3.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y)).relu()
        y = self.norm3(self.conv3(y))
        return (y + self.shortcut(x)).relu()


# %% mistake="hidden_from_the_module" exercise="residual" fails="residual" hint="names"
# layers in a plain list, where nobody finds them
def way_around(in_channels, out_channels, stride):
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))


class BasicBlock(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.second = [nn.Conv2d(width, width, 3, padding=1, bias=False).to(here), nn.BatchNorm2d(width).to(here)]
        self.shortcut = way_around(in_channels, width, stride)
        nn.init.zeros_(self.second[1].weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()
        y = self.second[1](self.second[0](y))
        return (y + self.shortcut(x)).relu()


class Bottleneck(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(in_channels, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv3, self.norm3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.shortcut = way_around(in_channels, 4 * width, stride)
        nn.init.zeros_(self.norm3.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y)).relu()
        y = self.norm3(self.conv3(y))
        return (y + self.shortcut(x)).relu()


# %% mistake="not_widened" exercise="residual" fails="residual:bottleneck" hint="4·width"
# the last 1×1 gives width channels
def way_around(in_channels, out_channels, stride):
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))


class BasicBlock(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut = way_around(in_channels, width, stride)
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y))
        return (y + self.shortcut(x)).relu()


class Bottleneck(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(in_channels, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv3, self.norm3 = nn.Conv2d(width, width, 1, bias=False), nn.BatchNorm2d(width)
        self.shortcut = way_around(in_channels, width, stride)
        nn.init.zeros_(self.norm3.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y)).relu()
        y = self.norm3(self.conv3(y))
        return (y + self.shortcut(x)).relu()


# %% mistake="stride_in_the_first" exercise="residual" fails="residual:bottleneck" hint="not in conv1"
# the stride where the paper had it
def way_around(in_channels, out_channels, stride):
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))


class BasicBlock(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut = way_around(in_channels, width, stride)
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y))
        return (y + self.shortcut(x)).relu()


class Bottleneck(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(in_channels, width, 1, stride, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv3, self.norm3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.shortcut = way_around(in_channels, 4 * width, stride)
        nn.init.zeros_(self.norm3.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y)).relu()
        y = self.norm3(self.conv3(y))
        return (y + self.shortcut(x)).relu()


# %% mistake="bottleneck_identity_by_width" exercise="residual" fails="residual:bottleneck" hint="4·width"
# compares in_channels with width
def way_around(in_channels, out_channels, stride):
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))


class BasicBlock(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut = way_around(in_channels, width, stride)
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y))
        return (y + self.shortcut(x)).relu()


class Bottleneck(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(in_channels, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv3, self.norm3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.shortcut = way_around(in_channels, width if in_channels == width and stride == 1 else 4 * width, stride)
        nn.init.zeros_(self.norm3.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y)).relu()
        y = self.norm3(self.conv3(y))
        return (y + self.shortcut(x)).relu()


# %% mistake="bottleneck_no_second_relu" exercise="residual" fails="residual:bottleneck" hint="after norm2"
# no ReLU after the 3×3
def way_around(in_channels, out_channels, stride):
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))


class BasicBlock(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut = way_around(in_channels, width, stride)
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y))
        return (y + self.shortcut(x)).relu()


class Bottleneck(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(in_channels, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv3, self.norm3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.shortcut = way_around(in_channels, 4 * width, stride)
        nn.init.zeros_(self.norm3.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y))
        y = self.norm3(self.conv3(y))
        return (y + self.shortcut(x)).relu()


# %% mistake="bottleneck_no_shortcut" exercise="residual" fails="residual:bottleneck" hint="shortcut"
# forgets the way around
def way_around(in_channels, out_channels, stride):
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))


class BasicBlock(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut = way_around(in_channels, width, stride)
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y))
        return (y + self.shortcut(x)).relu()


class Bottleneck(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(in_channels, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv3, self.norm3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.shortcut = way_around(in_channels, 4 * width, stride)
        nn.init.zeros_(self.norm3.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y)).relu()
        y = self.norm3(self.conv3(y))
        return y.relu()


# %% mistake="ordinary_start" exercise="residual" fails="residual:identity" hint="**last**"
# γ begins at 1 everywhere
def way_around(in_channels, out_channels, stride):
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))


class BasicBlock(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut = way_around(in_channels, width, stride)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y))
        return (y + self.shortcut(x)).relu()


class Bottleneck(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(in_channels, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv3, self.norm3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.shortcut = way_around(in_channels, 4 * width, stride)
        nn.init.zeros_(self.norm3.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y)).relu()
        y = self.norm3(self.conv3(y))
        return (y + self.shortcut(x)).relu()


# %% mistake="bottleneck_ordinary_start" exercise="residual" fails="residual:identity" hint="**last**"
# the bottleneck's γ begins at 1
def way_around(in_channels, out_channels, stride):
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))


class BasicBlock(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut = way_around(in_channels, width, stride)
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y))
        return (y + self.shortcut(x)).relu()


class Bottleneck(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(in_channels, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv3, self.norm3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.shortcut = way_around(in_channels, 4 * width, stride)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y)).relu()
        y = self.norm3(self.conv3(y))
        return (y + self.shortcut(x)).relu()


# %% mistake="convolution_zero" exercise="residual" fails="residual:identity" hint="Only the last γ"
# the last convolution begins with zeros as well
def way_around(in_channels, out_channels, stride):
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))


class BasicBlock(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut = way_around(in_channels, width, stride)
        nn.init.zeros_(self.norm2.weight)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y))
        return (y + self.shortcut(x)).relu()


class Bottleneck(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(in_channels, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv3, self.norm3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.shortcut = way_around(in_channels, 4 * width, stride)
        nn.init.zeros_(self.norm3.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y)).relu()
        y = self.norm3(self.conv3(y))
        return (y + self.shortcut(x)).relu()


# %% mistake="projection_zero_too" exercise="residual" fails="residual:identity" hint="projection"
# the projection's γ begins at 0 as well
def way_around(in_channels, out_channels, stride):
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    norm = nn.BatchNorm2d(out_channels)
    nn.init.zeros_(norm.weight)
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), norm)


class BasicBlock(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut = way_around(in_channels, width, stride)
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y))
        return (y + self.shortcut(x)).relu()


class Bottleneck(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(in_channels, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv3, self.norm3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.shortcut = way_around(in_channels, 4 * width, stride)
        nn.init.zeros_(self.norm3.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y)).relu()
        y = self.norm3(self.conv3(y))
        return (y + self.shortcut(x)).relu()


# %% mistake="writes_into_its_input" exercise="residual" fails="residual" hint="block's input"
# += on the shortcut, which is x itself where it is the identity
def way_around(in_channels, out_channels, stride):
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    convolution = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels))


class BasicBlock(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut = way_around(in_channels, width, stride)
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()  # (N, width, H/stride, W/stride)
        shortcut = self.shortcut(x)
        shortcut += self.norm2(self.conv2(y))
        return shortcut.relu()


class Bottleneck(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(in_channels, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv3, self.norm3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.shortcut = way_around(in_channels, 4 * width, stride)
        nn.init.zeros_(self.norm3.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()  # (N, width, H, W)
        y = self.norm2(self.conv2(y)).relu()  # (N, width, H/stride, W/stride)
        return (self.norm3(self.conv3(y)) + self.shortcut(x)).relu()


# %% mistake="stride_in_the_second" exercise="residual" fails="residual" hint="conv2 has none"
# the stride stands in the other convolution: the shape is the same
def way_around(in_channels, out_channels, stride):
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    convolution = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels))


class BasicBlock(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut = way_around(in_channels, width, stride)
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()  # (N, width, H/stride, W/stride)
        return (self.norm2(self.conv2(y)) + self.shortcut(x)).relu()


class Bottleneck(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(in_channels, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv3, self.norm3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.shortcut = way_around(in_channels, 4 * width, stride)
        nn.init.zeros_(self.norm3.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()  # (N, width, H, W)
        y = self.norm2(self.conv2(y)).relu()  # (N, width, H/stride, W/stride)
        return (self.norm3(self.conv3(y)) + self.shortcut(x)).relu()


# %% mistake="projection_without_stride" exercise="residual" fails="residual" hint="projection have the stride"
# the 1×1 gives all places
def way_around(in_channels, out_channels, stride):
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    convolution = nn.Conv2d(in_channels, out_channels, 1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels))


class BasicBlock(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut = way_around(in_channels, width, stride)
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()  # (N, width, H/stride, W/stride)
        return (self.norm2(self.conv2(y)) + self.shortcut(x)).relu()


class Bottleneck(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(in_channels, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv3, self.norm3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.shortcut = way_around(in_channels, 4 * width, stride)
        nn.init.zeros_(self.norm3.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()  # (N, width, H, W)
        y = self.norm2(self.conv2(y)).relu()  # (N, width, H/stride, W/stride)
        return (self.norm3(self.conv3(y)) + self.shortcut(x)).relu()


# %% mistake="relu_of_the_shortcut" exercise="residual" fails="residual" hint="none before"
# a ReLU on both ways before the sum
def way_around(in_channels, out_channels, stride):
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    convolution = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels))


class BasicBlock(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut = way_around(in_channels, width, stride)
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()  # (N, width, H/stride, W/stride)
        return (self.norm2(self.conv2(y)) + self.shortcut(x).relu()).relu()


class Bottleneck(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(in_channels, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv3, self.norm3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.shortcut = way_around(in_channels, 4 * width, stride)
        nn.init.zeros_(self.norm3.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()  # (N, width, H, W)
        y = self.norm2(self.conv2(y)).relu()  # (N, width, H/stride, W/stride)
        return (self.norm3(self.conv3(y)) + self.shortcut(x)).relu()


# %% mistake="first_gamma_zero" exercise="residual" fails="residual:identity" hint="Only the last γ"
# the γ of the first batch norm: what passes is β alone, so the block begins as the identity too, but dead
def way_around(in_channels, out_channels, stride):
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    convolution = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels))


class BasicBlock(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut = way_around(in_channels, width, stride)
        nn.init.zeros_(self.norm1.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()  # (N, width, H/stride, W/stride)
        return (self.norm2(self.conv2(y)) + self.shortcut(x)).relu()


class Bottleneck(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(in_channels, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv3, self.norm3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.shortcut = way_around(in_channels, 4 * width, stride)
        nn.init.zeros_(self.norm3.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()  # (N, width, H, W)
        y = self.norm2(self.conv2(y)).relu()  # (N, width, H/stride, W/stride)
        return (self.norm3(self.conv3(y)) + self.shortcut(x)).relu()


# %% mistake="frozen_at_the_start" exercise="residual" fails="residual:identity" hint="trained from there"
# sets γ to 0 for good
def way_around(in_channels, out_channels, stride):
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    convolution = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels))


class BasicBlock(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut = way_around(in_channels, width, stride)
        self.norm2.weight = nn.Parameter(torch.zeros(width), requires_grad=False)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()  # (N, width, H/stride, W/stride)
        return (self.norm2(self.conv2(y)) + self.shortcut(x)).relu()


class Bottleneck(nn.Module):
    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(in_channels, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv3, self.norm3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.shortcut = way_around(in_channels, 4 * width, stride)
        nn.init.zeros_(self.norm3.weight)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()  # (N, width, H, W)
        y = self.norm2(self.conv2(y)).relu()  # (N, width, H/stride, W/stride)
        return (self.norm3(self.conv3(y)) + self.shortcut(x)).relu()


# %% mistake="bias_not_set" exercise="highway" fails="highway" hint="gate_bias"
# torch's own start of the bias
class HighwayLayer(nn.Module):
    def __init__(self, width, gate_bias=-2.0):
        super().__init__()
        self.transform, self.gate = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x):
        T = torch.sigmoid(self.gate(x))
        H = torch.relu(self.transform(x))
        return T * H + (1 - T) * x


def carried(gate_bias, depth):
    return (1 / (1 + math.exp(gate_bias))) ** depth


def gate_bias_for(share, depth):
    return math.log(share ** (-1 / depth) - 1)


# %% mistake="bias_of_the_transform" exercise="highway" fails="highway" hint="gate"
# sets the other bias
class HighwayLayer(nn.Module):
    def __init__(self, width, gate_bias=-2.0):
        super().__init__()
        self.transform, self.gate = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.constant_(self.transform.bias, gate_bias)

    def forward(self, x):
        T = torch.sigmoid(self.gate(x))
        H = torch.relu(self.transform(x))
        return T * H + (1 - T) * x


def carried(gate_bias, depth):
    return (1 / (1 + math.exp(gate_bias))) ** depth


def gate_bias_for(share, depth):
    return math.log(share ** (-1 / depth) - 1)


# %% mistake="both_biases" exercise="highway" fails="highway" hint="gate's alone"
# sets both biases
class HighwayLayer(nn.Module):
    def __init__(self, width, gate_bias=-2.0):
        super().__init__()
        self.transform, self.gate = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.constant_(self.gate.bias, gate_bias)
        nn.init.constant_(self.transform.bias, gate_bias)

    def forward(self, x):
        T = torch.sigmoid(self.gate(x))
        H = torch.relu(self.transform(x))
        return T * H + (1 - T) * x


def carried(gate_bias, depth):
    return (1 / (1 + math.exp(gate_bias))) ** depth


def gate_bias_for(share, depth):
    return math.log(share ** (-1 / depth) - 1)


# %% mistake="residual" exercise="highway" fails="highway" hint="nothing of x"
# adds x whole, as a residual net does
class HighwayLayer(nn.Module):
    def __init__(self, width, gate_bias=-2.0):
        super().__init__()
        self.transform, self.gate = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.constant_(self.gate.bias, gate_bias)

    def forward(self, x):
        T = torch.sigmoid(self.gate(x))
        H = torch.relu(self.transform(x))
        return T * H + x


def carried(gate_bias, depth):
    return (1 / (1 + math.exp(gate_bias))) ** depth


def gate_bias_for(share, depth):
    return math.log(share ** (-1 / depth) - 1)


# %% mistake="gate_turned" exercise="highway" fails="highway" hint="identity"
# carries where it should transform
class HighwayLayer(nn.Module):
    def __init__(self, width, gate_bias=-2.0):
        super().__init__()
        self.transform, self.gate = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.constant_(self.gate.bias, gate_bias)

    def forward(self, x):
        T = torch.sigmoid(self.gate(x))
        H = torch.relu(self.transform(x))
        return (1 - T) * H + T * x


def carried(gate_bias, depth):
    return (1 / (1 + math.exp(gate_bias))) ** depth


def gate_bias_for(share, depth):
    return math.log(share ** (-1 / depth) - 1)


# %% mistake="relu_over_all" exercise="highway" fails="highway" hint="without a ReLU"
# a ReLU over the sum
class HighwayLayer(nn.Module):
    def __init__(self, width, gate_bias=-2.0):
        super().__init__()
        self.transform, self.gate = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.constant_(self.gate.bias, gate_bias)

    def forward(self, x):
        T = torch.sigmoid(self.gate(x))
        H = torch.relu(self.transform(x))
        return torch.relu(T * H + (1 - T) * x)


def carried(gate_bias, depth):
    return (1 / (1 + math.exp(gate_bias))) ** depth


def gate_bias_for(share, depth):
    return math.log(share ** (-1 / depth) - 1)


# %% mistake="no_relu" exercise="highway" fails="highway" hint="relu"
# H without ReLU
class HighwayLayer(nn.Module):
    def __init__(self, width, gate_bias=-2.0):
        super().__init__()
        self.transform, self.gate = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.constant_(self.gate.bias, gate_bias)

    def forward(self, x):
        T = torch.sigmoid(self.gate(x))
        H = self.transform(x)
        return T * H + (1 - T) * x


def carried(gate_bias, depth):
    return (1 / (1 + math.exp(gate_bias))) ** depth


def gate_bias_for(share, depth):
    return math.log(share ** (-1 / depth) - 1)


# %% mistake="one_gate_for_all" exercise="highway" fails="highway" hint="unit by unit"
# one gate for all units
class HighwayLayer(nn.Module):
    def __init__(self, width, gate_bias=-2.0):
        super().__init__()
        self.transform, self.gate = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.constant_(self.gate.bias, gate_bias)

    def forward(self, x):
        T = torch.sigmoid(self.gate(x)).mean(dim=1, keepdim=True)
        H = torch.relu(self.transform(x))
        return T * H + (1 - T) * x


def carried(gate_bias, depth):
    return (1 / (1 + math.exp(gate_bias))) ** depth


def gate_bias_for(share, depth):
    return math.log(share ** (-1 / depth) - 1)


# %% mistake="always_minus_two" exercise="highway" fails="highway" hint="gate_bias"
# the default written into the code
class HighwayLayer(nn.Module):
    def __init__(self, width, gate_bias=-2.0):
        super().__init__()
        self.transform, self.gate = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.constant_(self.gate.bias, -2.0)

    def forward(self, x):
        T = torch.sigmoid(self.gate(x))
        H = torch.relu(self.transform(x))
        return T * H + (1 - T) * x


def carried(gate_bias, depth):
    return (1 / (1 + math.exp(gate_bias))) ** depth


def gate_bias_for(share, depth):
    return math.log(share ** (-1 / depth) - 1)


# %% mistake="share_of_the_gate" exercise="highway" fails="highway:carried" hint="not carried"
# σ(b), what is transformed
class HighwayLayer(nn.Module):
    def __init__(self, width, gate_bias=-2.0):
        super().__init__()
        self.transform, self.gate = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.constant_(self.gate.bias, gate_bias)

    def forward(self, x):
        T = torch.sigmoid(self.gate(x))
        H = torch.relu(self.transform(x))
        return T * H + (1 - T) * x


def carried(gate_bias, depth):
    return (1 / (1 + math.exp(-gate_bias))) ** depth


def gate_bias_for(share, depth):
    return math.log(share ** (-1 / depth) - 1)


# %% mistake="times_depth" exercise="highway" fails="highway:carried" hint="to the power"
# divides by the depth
class HighwayLayer(nn.Module):
    def __init__(self, width, gate_bias=-2.0):
        super().__init__()
        self.transform, self.gate = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.constant_(self.gate.bias, gate_bias)

    def forward(self, x):
        T = torch.sigmoid(self.gate(x))
        H = torch.relu(self.transform(x))
        return T * H + (1 - T) * x


def carried(gate_bias, depth):
    return (1 / (1 + math.exp(gate_bias))) / depth


def gate_bias_for(share, depth):
    return math.log(share ** (-1 / depth) - 1)


# %% mistake="sign_of_the_bias" exercise="highway" fails="highway:carried" hint="negative"
# a positive bias, which transforms
class HighwayLayer(nn.Module):
    def __init__(self, width, gate_bias=-2.0):
        super().__init__()
        self.transform, self.gate = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.constant_(self.gate.bias, gate_bias)

    def forward(self, x):
        T = torch.sigmoid(self.gate(x))
        H = torch.relu(self.transform(x))
        return T * H + (1 - T) * x


def carried(gate_bias, depth):
    return (1 / (1 + math.exp(gate_bias))) ** depth


def gate_bias_for(share, depth):
    return -math.log(share ** (-1 / depth) - 1)


# %% mistake="root_forgotten" exercise="highway" fails="highway:carried" hint="root"
# one layer's bias for any depth
class HighwayLayer(nn.Module):
    def __init__(self, width, gate_bias=-2.0):
        super().__init__()
        self.transform, self.gate = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.constant_(self.gate.bias, gate_bias)

    def forward(self, x):
        T = torch.sigmoid(self.gate(x))
        H = torch.relu(self.transform(x))
        return T * H + (1 - T) * x


def carried(gate_bias, depth):
    return (1 / (1 + math.exp(gate_bias))) ** depth


def gate_bias_for(share, depth):
    return math.log(1 / share - 1)


# %% mistake="share_divided" exercise="highway" fails="highway:carried" hint="root"
# shares what is lost evenly: s/L
class HighwayLayer(nn.Module):
    def __init__(self, width, gate_bias=-2.0):
        super().__init__()
        self.transform, self.gate = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.constant_(self.gate.bias, gate_bias)

    def forward(self, x):
        T = torch.sigmoid(self.gate(x))
        H = torch.relu(self.transform(x))
        return T * H + (1 - T) * x


def carried(gate_bias, depth):
    return (1 / (1 + math.exp(gate_bias))) ** depth


def gate_bias_for(share, depth):
    return math.log(depth / share - 1)


# %% mistake="exchanged" exercise="dense_block" fails="dense_block" hint="out, in"
# (in, out, 3, 3)
def dense_shapes(channels, growth, layers, bottleneck=False):
    shapes = []
    for i in range(layers):
        come = channels + i * growth
        if bottleneck:
            shapes.append((4 * growth, come, 1, 1))
            come = 4 * growth
        shapes.append((come, growth, 3, 3))
    return shapes


def dense_block(x, weights):
    for w in weights:
        x = torch.cat([x, F.conv2d(x.relu(), w, padding=1)], dim=1)
    return x


# %% mistake="no_growth" exercise="dense_block" fails="dense_block" hint="adds k"
# every layer gets C channels
def dense_shapes(channels, growth, layers, bottleneck=False):
    shapes = []
    for i in range(layers):
        come = channels
        if bottleneck:
            shapes.append((4 * growth, come, 1, 1))
            come = 4 * growth
        shapes.append((growth, come, 3, 3))
    return shapes


def dense_block(x, weights):
    for w in weights:
        x = torch.cat([x, F.conv2d(x.relu(), w, padding=1)], dim=1)
    return x


# %% mistake="previous_only" exercise="dense_block" fails="dense_block" hint="adds k"
# every layer gets what the one before gave
def dense_shapes(channels, growth, layers, bottleneck=False):
    shapes = []
    for i in range(layers):
        come = growth if i else channels
        if bottleneck:
            shapes.append((4 * growth, come, 1, 1))
            come = 4 * growth
        shapes.append((growth, come, 3, 3))
    return shapes


def dense_block(x, weights):
    for w in weights:
        x = torch.cat([x, F.conv2d(x.relu(), w, padding=1)], dim=1)
    return x


# %% mistake="bottleneck_of_k" exercise="dense_block" fails="dense_block" hint="4k"
# a bottleneck of k channels
def dense_shapes(channels, growth, layers, bottleneck=False):
    shapes = []
    for i in range(layers):
        come = channels + i * growth
        if bottleneck:
            shapes.append((growth, come, 1, 1))
            come = growth
        shapes.append((growth, come, 3, 3))
    return shapes


def dense_block(x, weights):
    for w in weights:
        x = torch.cat([x, F.conv2d(x.relu(), w, padding=1)], dim=1)
    return x


# %% mistake="bottleneck_added_to_the_block" exercise="dense_block" fails="dense_block" hint="Only the k"
# the bottleneck's channels go into the block as well
def dense_shapes(channels, growth, layers, bottleneck=False):
    shapes = []
    for i in range(layers):
        come = channels + i * growth * (5 if bottleneck else 1)
        if bottleneck:
            shapes.append((4 * growth, come, 1, 1))
            come = 4 * growth
        shapes.append((growth, come, 3, 3))
    return shapes


def dense_block(x, weights):
    for w in weights:
        x = torch.cat([x, F.conv2d(x.relu(), w, padding=1)], dim=1)
    return x


# %% mistake="bottleneck_three_by_three" exercise="dense_block" fails="dense_block" hint="1×1"
# a 3×3 bottleneck
def dense_shapes(channels, growth, layers, bottleneck=False):
    shapes = []
    for i in range(layers):
        come = channels + i * growth
        if bottleneck:
            shapes.append((4 * growth, come, 3, 3))
            come = 4 * growth
        shapes.append((growth, come, 3, 3))
    return shapes


def dense_block(x, weights):
    for w in weights:
        x = torch.cat([x, F.conv2d(x.relu(), w, padding=1)], dim=1)
    return x


# %% mistake="new_maps_only" exercise="dense_block" fails="dense_block:forward" hint="stays"
# passes on the new maps only
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
    new = [x]
    for w in weights:
        new.append(F.conv2d(torch.cat(new, dim=1).relu(), w, padding=1))
    return torch.cat(new[1:], dim=1)


# %% mistake="relu_after" exercise="dense_block" fails="dense_block:forward" hint="before"
# ReLU after the convolution
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
    for w in weights:
        x = torch.cat([x, F.conv2d(x, w, padding=1).relu()], dim=1)
    return x


# %% mistake="no_relu" exercise="dense_block" fails="dense_block:forward" hint="ReLU"
# no ReLU at all
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
    for w in weights:
        x = torch.cat([x, F.conv2d(x, w, padding=1)], dim=1)
    return x


# %% mistake="relu_kept" exercise="dense_block" fails="dense_block:forward" hint="not through the ReLU"
# what came in goes through the ReLU and stays so
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
    for w in weights:
        x = x.relu()
        x = torch.cat([x, F.conv2d(x, w, padding=1)], dim=1)
    return x


# %% mistake="new_ones_first" exercise="dense_block" fails="dense_block:forward" hint="first"
# the new maps come first
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
    maps = [x]
    for w in weights:
        maps.append(F.conv2d(torch.cat(maps, dim=1).relu(), w, padding=1))
    return torch.cat(maps[::-1], dim=1)


# %% mistake="no_padding" exercise="dense_block" fails="dense_block:forward" hint="Padding 1"
# the new maps are smaller than the old
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
    for w in weights:
        x = torch.cat([x, F.conv2d(x.relu(), w)], dim=1)  # (N, C + (i + 1)·k, H, W)
    return x


# %% mistake="joined_as_pictures" exercise="dense_block" fails="dense_block:forward" hint="dim=1"
# joins along the pictures, the default of torch.cat
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
    for w in weights:
        x = torch.cat([x, F.conv2d(x.relu(), w, padding=1)])  # (N, C + (i + 1)·k, H, W)
    return x


# %% mistake="added_up" exercise="dense_block" fails="dense_block:forward" hint="nothing is added up"
# takes it for a residual block
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
    for w in weights:
        x = x + F.conv2d(x.relu(), w, padding=1)  # (N, C + (i + 1)·k, H, W)
    return x


# %% mistake="one_path_each" exercise="lesions" fails="lesions" hint="n over k"
# all lengths equally often
def paths(blocks, cut=0):
    left = blocks - cut
    return [1 for k in range(left + 1)]


def lesion_study(build, x, t):
    net = build()

    @torch.no_grad()
    def accuracy():
        return (net(x).argmax(dim=1) == t).float().mean().item()

    shares = [accuracy()]
    for block in blocks_of(net):
        hook = block.residual.register_forward_hook(lambda module, inputs, output: torch.zeros_like(output))
        shares.append(accuracy())
        hook.remove()
    return shares


# %% mistake="shortest_forgotten" exercise="lesions" fails="lesions" hint="Around it"
# forgets the path around everything
def paths(blocks, cut=0):
    left = blocks - cut
    return [math.comb(left, k) for k in range(1, left + 1)]


def lesion_study(build, x, t):
    net = build()

    @torch.no_grad()
    def accuracy():
        return (net(x).argmax(dim=1) == t).float().mean().item()

    shares = [accuracy()]
    for block in blocks_of(net):
        hook = block.residual.register_forward_hook(lambda module, inputs, output: torch.zeros_like(output))
        shares.append(accuracy())
        hook.remove()
    return shares


# %% mistake="cut_ignored" exercise="lesions" fails="lesions" hint="gone"
# as if nothing were cut
def paths(blocks, cut=0):
    left = blocks
    return [math.comb(left, k) for k in range(left + 1)]


def lesion_study(build, x, t):
    net = build()

    @torch.no_grad()
    def accuracy():
        return (net(x).argmax(dim=1) == t).float().mean().item()

    shares = [accuracy()]
    for block in blocks_of(net):
        hook = block.residual.register_forward_hook(lambda module, inputs, output: torch.zeros_like(output))
        shares.append(accuracy())
        hook.remove()
    return shares


# %% mistake="floats" exercise="lesions" fails="lesions" hint="exactly"
# factorials divided as floats
def paths(blocks, cut=0):
    left = blocks - cut
    return [math.factorial(left) / math.factorial(k) / math.factorial(left - k) for k in range(left + 1)]


def lesion_study(build, x, t):
    net = build()

    @torch.no_grad()
    def accuracy():
        return (net(x).argmax(dim=1) == t).float().mean().item()

    shares = [accuracy()]
    for block in blocks_of(net):
        hook = block.residual.register_forward_hook(lambda module, inputs, output: torch.zeros_like(output))
        shares.append(accuracy())
        hook.remove()
    return shares


# %% mistake="not_restored" exercise="lesions" fails="lesions:study" hint="take off"
# hooks stay, so that the lesions add up
def paths(blocks, cut=0):
    left = blocks - cut
    return [math.comb(left, k) for k in range(left + 1)]


def lesion_study(build, x, t):
    net = build()

    @torch.no_grad()
    def accuracy():
        return (net(x).argmax(dim=1) == t).float().mean().item()

    shares = [accuracy()]
    for block in blocks_of(net):
        hook = block.residual.register_forward_hook(lambda module, inputs, output: torch.zeros_like(output))
        shares.append(accuracy())
    return shares


# %% mistake="block_as_identity" exercise="lesions" fails="lesions:study" hint="shortcut and the ReLU stay"
# the whole block is skipped where sizes allow
def paths(blocks, cut=0):
    left = blocks - cut
    return [math.comb(left, k) for k in range(left + 1)]


def lesion_study(build, x, t):
    net = build()

    @torch.no_grad()
    def accuracy():
        return (net(x).argmax(dim=1) == t).float().mean().item()

    shares = [accuracy()]
    for block in blocks_of(net):
        hook = block.register_forward_hook(lambda module, inputs, output: torch.zeros_like(output))
        shares.append(accuracy())
        hook.remove()
    return shares


# %% mistake="branch_kept" exercise="lesions" fails="lesions:study" hint="residual branch gives 0"
# cuts the shortcut instead
def paths(blocks, cut=0):
    left = blocks - cut
    return [math.comb(left, k) for k in range(left + 1)]


def lesion_study(build, x, t):
    net = build()

    @torch.no_grad()
    def accuracy():
        return (net(x).argmax(dim=1) == t).float().mean().item()

    shares = [accuracy()]
    for block in blocks_of(net):
        hook = block.shortcut.register_forward_hook(lambda module, inputs, output: torch.zeros_like(output))
        shares.append(accuracy())
        hook.remove()
    return shares


# %% mistake="whole_forgotten" exercise="lesions" fails="lesions:study" hint="whole net"
# no entry for the whole net
def paths(blocks, cut=0):
    left = blocks - cut
    return [math.comb(left, k) for k in range(left + 1)]


def lesion_study(build, x, t):
    net = build()

    @torch.no_grad()
    def accuracy():
        return (net(x).argmax(dim=1) == t).float().mean().item()

    shares = []
    for block in blocks_of(net):
        hook = block.residual.register_forward_hook(lambda module, inputs, output: torch.zeros_like(output))
        shares.append(accuracy())
        hook.remove()
    return shares


# %% mistake="errors_not_accuracy" exercise="lesions" fails="lesions:study" hint="share of pictures"
# the share of errors
def paths(blocks, cut=0):
    left = blocks - cut
    return [math.comb(left, k) for k in range(left + 1)]


def lesion_study(build, x, t):
    net = build()

    @torch.no_grad()
    def accuracy():
        return (net(x).argmax(dim=1) != t).float().mean().item()

    shares = [accuracy()]
    for block in blocks_of(net):
        hook = block.residual.register_forward_hook(lambda module, inputs, output: torch.zeros_like(output))
        shares.append(accuracy())
        hook.remove()
    return shares


# %% mistake="numbers_not_shares" exercise="lesions" fails="lesions:study" hint="share"
# counts right answers
def paths(blocks, cut=0):
    left = blocks - cut
    return [math.comb(left, k) for k in range(left + 1)]


def lesion_study(build, x, t):
    net = build()

    @torch.no_grad()
    def accuracy():
        return (net(x).argmax(dim=1) == t).sum().item()

    shares = [accuracy()]
    for block in blocks_of(net):
        hook = block.residual.register_forward_hook(lambda module, inputs, output: torch.zeros_like(output))
        shares.append(accuracy())
        hook.remove()
    return shares


# %% mistake="branch_becomes_identity" exercise="lesions" fails="lesions:study" hint="gives 0"
# the branch gives its input where sizes allow, which doubles it
def paths(blocks, cut=0):
    left = blocks - cut
    return [math.comb(left, k) for k in range(left + 1)]


def lesion_study(build, x, t):
    net = build()

    @torch.no_grad()
    def accuracy():
        return (net(x).argmax(dim=1) == t).float().mean().item()

    shares = [accuracy()]
    for block in blocks_of(net):
        hook = block.residual.register_forward_hook(
            lambda module, inputs, output: inputs[0] if inputs[0].shape == output.shape else torch.zeros_like(output)
        )
        shares.append(accuracy())
        hook.remove()
    return shares


# %% mistake="weights_zeroed_for_good" exercise="lesions" fails="lesions:study" hint="take off"
# sets weights to 0 and leaves them so
def paths(blocks, cut=0):
    left = blocks - cut
    return [math.comb(left, k) for k in range(left + 1)]


def lesion_study(build, x, t):
    net = build()

    @torch.no_grad()
    def accuracy():
        return (net(x).argmax(dim=1) == t).float().mean().item()

    shares = [accuracy()]
    for block in blocks_of(net):
        norm = block.residual[-1][1]
        kept = norm.weight.detach().clone(), norm.bias.detach().clone()
        nn.init.zeros_(norm.weight)
        nn.init.zeros_(norm.bias)
        shares.append(accuracy())
        with torch.no_grad():
            norm.weight.copy_(kept[0])
    return shares


# %% mistake="one_number_for_all" exercise="lesions" fails="lesions" hint="for each length"
# counts all paths together
def paths(blocks, cut=0):
    left = blocks - cut
    return 2**left


def lesion_study(build, x, t):
    net = build()

    @torch.no_grad()
    def accuracy():
        return (net(x).argmax(dim=1) == t).float().mean().item()

    shares = [accuracy()]
    for block in blocks_of(net):
        hook = block.residual.register_forward_hook(lambda module, inputs, output: torch.zeros_like(output))
        shares.append(accuracy())
        hook.remove()
    return shares


# %% mistake="classes_of_the_pictures" exercise="lesions" fails="lesions:study" hint="dim=1"
# the largest over the pictures, not over the classes
def paths(blocks, cut=0):
    left = blocks - cut
    return [math.comb(left, k) for k in range(left + 1)]


def lesion_study(build, x, t):
    net = build()

    @torch.no_grad()
    def accuracy():
        return (net(x).argmax(dim=0) == t).float().mean().item()

    shares = [accuracy()]
    for block in blocks_of(net):
        hook = block.residual.register_forward_hook(lambda module, inputs, output: torch.zeros_like(output))
        shares.append(accuracy())
        hook.remove()
    return shares


# %% mistake="scale_only" exercise="lesions" fails="lesions:study" hint="gives 0"
# sets γ to 0 and forgets β
def paths(blocks, cut=0):
    left = blocks - cut
    return [math.comb(left, k) for k in range(left + 1)]


def lesion_study(build, x, t):
    net = build()

    @torch.no_grad()
    def accuracy():
        return (net(x).argmax(dim=1) == t).float().mean().item()

    shares = [accuracy()]
    for block in blocks_of(net):
        scale = block.residual[-1][1].weight
        kept = scale.detach().clone()
        nn.init.zeros_(scale)
        shares.append(accuracy())
        with torch.no_grad():
            scale.copy_(kept)
    return shares


# %% mistake="in_training_mode" exercise="lesions" fails="lesions:study" hint="ready for testing"
# batch norm with the statistics of these pictures
def paths(blocks, cut=0):
    left = blocks - cut
    return [math.comb(left, k) for k in range(left + 1)]


def lesion_study(build, x, t):
    net = build().train()

    @torch.no_grad()
    def accuracy():
        return (net(x).argmax(dim=1) == t).float().mean().item()

    shares = [accuracy()]
    for block in blocks_of(net):
        hook = block.residual.register_forward_hook(lambda module, inputs, output: torch.zeros_like(output))
        shares.append(accuracy())
        hook.remove()
    return shares


# %% mistake="gradients_switched_off" exercise="lesions" fails="lesions:study" hint="trained as before"
# switches gradients off in the net itself, and leaves them off
def paths(blocks, cut=0):
    left = blocks - cut
    return [math.comb(left, k) for k in range(left + 1)]


def lesion_study(build, x, t):
    net = build().requires_grad_(False)

    @torch.no_grad()
    def accuracy():
        return (net(x).argmax(dim=1) == t).float().mean().item()

    shares = [accuracy()]
    for block in blocks_of(net):
        hook = block.residual.register_forward_hook(lambda module, inputs, output: torch.zeros_like(output))
        shares.append(accuracy())
        hook.remove()
    return shares


# %% mistake="own_weights_each" exercise="twins" fails="twins" hint="Copy"
# two draws from the generator
def make_twins(depth, width, generator):
    residual = TwinNet(depth, width, True, generator)
    plain = TwinNet(depth, width, False, generator)
    return residual.to(here), plain.to(here)


def train_twins(twins, x, t, batches, rate):
    rows = []
    for net in twins:
        net.train()
        optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9)
        losses = []
        for batch in batches:
            loss = F.cross_entropy(net(x[batch]), t[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        rows.append(torch.stack(losses))
    return torch.stack(rows)


def gap(losses, last):
    residual, plain = losses[:, -last:].mean(dim=1).tolist()
    return plain - residual


# %% mistake="shared_weights" exercise="twins" fails="twins" hint="weights of its own"
# the twins share their modules
def make_twins(depth, width, generator):
    residual = TwinNet(depth, width, True, generator)
    plain = TwinNet(depth, width, False, generator)
    plain.stem, plain.classifier = residual.stem, residual.classifier
    for ours, theirs in zip(plain.blocks, residual.blocks):
        ours.residual = theirs.residual
    return residual.to(here), plain.to(here)


def train_twins(twins, x, t, batches, rate):
    rows = []
    for net in twins:
        net.train()
        optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9)
        losses = []
        for batch in batches:
            loss = F.cross_entropy(net(x[batch]), t[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        rows.append(torch.stack(losses))
    return torch.stack(rows)


def gap(losses, last):
    residual, plain = losses[:, -last:].mean(dim=1).tolist()
    return plain - residual


# %% mistake="exchanged" exercise="twins" fails="twins" hint="shortcuts=True"
# the plain twin first
def make_twins(depth, width, generator):
    residual = TwinNet(depth, width, True, generator)
    plain = TwinNet(depth, width, False, generator)
    plain.load_state_dict(residual.state_dict())
    return plain.to(here), residual.to(here)


def train_twins(twins, x, t, batches, rate):
    rows = []
    for net in twins:
        net.train()
        optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9)
        losses = []
        for batch in batches:
            loss = F.cross_entropy(net(x[batch]), t[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        rows.append(torch.stack(losses))
    return torch.stack(rows)


def gap(losses, last):
    residual, plain = losses[:, -last:].mean(dim=1).tolist()
    return plain - residual


# %% mistake="both_residual" exercise="twins" fails="twins" hint="shortcuts=False"
# two residual nets
def make_twins(depth, width, generator):
    residual = TwinNet(depth, width, True, generator)
    plain = TwinNet(depth, width, True, generator)
    plain.load_state_dict(residual.state_dict())
    return residual.to(here), plain.to(here)


def train_twins(twins, x, t, batches, rate):
    rows = []
    for net in twins:
        net.train()
        optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9)
        losses = []
        for batch in batches:
            loss = F.cross_entropy(net(x[batch]), t[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        rows.append(torch.stack(losses))
    return torch.stack(rows)


def gap(losses, last):
    residual, plain = losses[:, -last:].mean(dim=1).tolist()
    return plain - residual


# %% mistake="own_generator" exercise="twins" fails="twins" hint="other seeds"
# ignores the generator
def make_twins(depth, width, generator):
    residual = TwinNet(depth, width, True, torch.Generator().manual_seed(0))
    plain = TwinNet(depth, width, False, generator)
    plain.load_state_dict(residual.state_dict())
    return residual.to(here), plain.to(here)


def train_twins(twins, x, t, batches, rate):
    rows = []
    for net in twins:
        net.train()
        optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9)
        losses = []
        for batch in batches:
            loss = F.cross_entropy(net(x[batch]), t[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        rows.append(torch.stack(losses))
    return torch.stack(rows)


def gap(losses, last):
    residual, plain = losses[:, -last:].mean(dim=1).tolist()
    return plain - residual


# %% mistake="one_row" exercise="twins" fails="twins:training" hint="row for each twin"
# the losses of both in one row
def make_twins(depth, width, generator):
    residual = TwinNet(depth, width, True, generator)
    plain = TwinNet(depth, width, False, generator)
    plain.load_state_dict(residual.state_dict())
    return residual.to(here), plain.to(here)


def train_twins(twins, x, t, batches, rate):
    rows = []
    for net in twins:
        net.train()
        optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9)
        losses = []
        for batch in batches:
            loss = F.cross_entropy(net(x[batch]), t[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        rows.append(torch.stack(losses))
    return torch.cat(rows)


def gap(losses, last):
    residual, plain = losses[:, -last:].mean(dim=1).tolist()
    return plain - residual


# %% mistake="graph_kept" exercise="twins" fails="twins:training" hint="detach"
# keeps the graph
def make_twins(depth, width, generator):
    residual = TwinNet(depth, width, True, generator)
    plain = TwinNet(depth, width, False, generator)
    plain.load_state_dict(residual.state_dict())
    return residual.to(here), plain.to(here)


def train_twins(twins, x, t, batches, rate):
    rows = []
    for net in twins:
        net.train()
        optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9)
        losses = []
        for batch in batches:
            loss = F.cross_entropy(net(x[batch]), t[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss)
        rows.append(torch.stack(losses))
    return torch.stack(rows)


def gap(losses, last):
    residual, plain = losses[:, -last:].mean(dim=1).tolist()
    return plain - residual


# %% mistake="loss_after_the_step" exercise="twins" fails="twins:training" hint="before its step"
# measures after the step
def make_twins(depth, width, generator):
    residual = TwinNet(depth, width, True, generator)
    plain = TwinNet(depth, width, False, generator)
    plain.load_state_dict(residual.state_dict())
    return residual.to(here), plain.to(here)


def train_twins(twins, x, t, batches, rate):
    rows = []
    for net in twins:
        net.train()
        optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9)
        losses = []
        for batch in batches:
            loss = F.cross_entropy(net(x[batch]), t[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(F.cross_entropy(net(x[batch]), t[batch]).detach())
        rows.append(torch.stack(losses))
    return torch.stack(rows)


def gap(losses, last):
    residual, plain = losses[:, -last:].mean(dim=1).tolist()
    return plain - residual


# %% mistake="evaluation_mode" exercise="twins" fails="twins:training" hint="net.train()"
# leaves the nets in the mode they are in
def make_twins(depth, width, generator):
    residual = TwinNet(depth, width, True, generator)
    plain = TwinNet(depth, width, False, generator)
    plain.load_state_dict(residual.state_dict())
    return residual.to(here), plain.to(here)


def train_twins(twins, x, t, batches, rate):
    rows = []
    for net in twins:
        optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9)
        losses = []
        for batch in batches:
            loss = F.cross_entropy(net(x[batch]), t[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        rows.append(torch.stack(losses))
    return torch.stack(rows)


def gap(losses, last):
    residual, plain = losses[:, -last:].mean(dim=1).tolist()
    return plain - residual


# %% mistake="no_momentum" exercise="twins" fails="twins:training" hint="Momentum 0.9"
# plain descent
def make_twins(depth, width, generator):
    residual = TwinNet(depth, width, True, generator)
    plain = TwinNet(depth, width, False, generator)
    plain.load_state_dict(residual.state_dict())
    return residual.to(here), plain.to(here)


def train_twins(twins, x, t, batches, rate):
    rows = []
    for net in twins:
        net.train()
        optimizer = torch.optim.SGD(net.parameters(), lr=rate)
        losses = []
        for batch in batches:
            loss = F.cross_entropy(net(x[batch]), t[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        rows.append(torch.stack(losses))
    return torch.stack(rows)


def gap(losses, last):
    residual, plain = losses[:, -last:].mean(dim=1).tolist()
    return plain - residual


# %% mistake="gradients_add_up" exercise="twins" fails="twins:training" hint="set to zero"
# forgets zero_grad
def make_twins(depth, width, generator):
    residual = TwinNet(depth, width, True, generator)
    plain = TwinNet(depth, width, False, generator)
    plain.load_state_dict(residual.state_dict())
    return residual.to(here), plain.to(here)


def train_twins(twins, x, t, batches, rate):
    rows = []
    for net in twins:
        net.train()
        optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9)
        losses = []
        for batch in batches:
            loss = F.cross_entropy(net(x[batch]), t[batch])
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        rows.append(torch.stack(losses))
    return torch.stack(rows)


def gap(losses, last):
    residual, plain = losses[:, -last:].mean(dim=1).tolist()
    return plain - residual


# %% mistake="new_optimizer_every_step" exercise="twins" fails="twins:training" hint="momentum"
# momentum begins anew at every step
def make_twins(depth, width, generator):
    residual = TwinNet(depth, width, True, generator)
    plain = TwinNet(depth, width, False, generator)
    plain.load_state_dict(residual.state_dict())
    return residual.to(here), plain.to(here)


def train_twins(twins, x, t, batches, rate):
    rows = []
    for net in twins:
        net.train()
        optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9)
        losses = []
        for batch in batches:
            optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9)
            loss = F.cross_entropy(net(x[batch]), t[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        rows.append(torch.stack(losses))
    return torch.stack(rows)


def gap(losses, last):
    residual, plain = losses[:, -last:].mean(dim=1).tolist()
    return plain - residual


# %% mistake="whole_data" exercise="twins" fails="twins:training" hint="batch"
# every step on all digits
def make_twins(depth, width, generator):
    residual = TwinNet(depth, width, True, generator)
    plain = TwinNet(depth, width, False, generator)
    plain.load_state_dict(residual.state_dict())
    return residual.to(here), plain.to(here)


def train_twins(twins, x, t, batches, rate):
    rows = []
    for net in twins:
        net.train()
        optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9)
        losses = []
        for batch in batches:
            loss = F.cross_entropy(net(x), t)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        rows.append(torch.stack(losses))
    return torch.stack(rows)


def gap(losses, last):
    residual, plain = losses[:, -last:].mean(dim=1).tolist()
    return plain - residual


# %% mistake="first_twin_twice" exercise="twins" fails="twins:training" hint="optimizer of its own"
# steps the residual twin's weights only
def make_twins(depth, width, generator):
    residual = TwinNet(depth, width, True, generator)
    plain = TwinNet(depth, width, False, generator)
    plain.load_state_dict(residual.state_dict())
    return residual.to(here), plain.to(here)


def train_twins(twins, x, t, batches, rate):
    rows = []
    for net in twins:
        net.train()
        optimizer = torch.optim.SGD(twins[0].parameters(), lr=rate, momentum=0.9)
        losses = []
        for batch in batches:
            loss = F.cross_entropy(net(x[batch]), t[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        rows.append(torch.stack(losses))
    return torch.stack(rows)


def gap(losses, last):
    residual, plain = losses[:, -last:].mean(dim=1).tolist()
    return plain - residual


# %% mistake="no_step_after_the_last" exercise="twins" fails="twins:training" hint="after the last batch"
# stops before the last step
def make_twins(depth, width, generator):
    residual = TwinNet(depth, width, True, generator)
    plain = TwinNet(depth, width, False, generator)
    plain.load_state_dict(residual.state_dict())
    return residual.to(here), plain.to(here)


def train_twins(twins, x, t, batches, rate):
    rows = []
    for net in twins:
        net.train()
        optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9)
        losses = []
        for batch in batches:
            loss = F.cross_entropy(net(x[batch]), t[batch])
            optimizer.zero_grad()
            loss.backward()
            if len(losses) < len(batches) - 1:
                optimizer.step()
            losses.append(loss.detach())
        rows.append(torch.stack(losses))
    return torch.stack(rows)


def gap(losses, last):
    residual, plain = losses[:, -last:].mean(dim=1).tolist()
    return plain - residual


# %% mistake="copies_trained" exercise="twins" fails="twins:training" hint="not copies"
# trains copies of the twins
def make_twins(depth, width, generator):
    residual = TwinNet(depth, width, True, generator)
    plain = TwinNet(depth, width, False, generator)
    plain.load_state_dict(residual.state_dict())
    return residual.to(here), plain.to(here)


def train_twins(twins, x, t, batches, rate):
    rows = []
    import copy

    for net in copy.deepcopy(list(twins)):
        net.train()
        optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9)
        losses = []
        for batch in batches:
            loss = F.cross_entropy(net(x[batch]), t[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        rows.append(torch.stack(losses))
    return torch.stack(rows)


def gap(losses, last):
    residual, plain = losses[:, -last:].mean(dim=1).tolist()
    return plain - residual


# %% mistake="gap_turned" exercise="twins" fails="twins:gap" hint="plain row minus"
# residual minus plain
def make_twins(depth, width, generator):
    residual = TwinNet(depth, width, True, generator)
    plain = TwinNet(depth, width, False, generator)
    plain.load_state_dict(residual.state_dict())
    return residual.to(here), plain.to(here)


def train_twins(twins, x, t, batches, rate):
    rows = []
    for net in twins:
        net.train()
        optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9)
        losses = []
        for batch in batches:
            loss = F.cross_entropy(net(x[batch]), t[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        rows.append(torch.stack(losses))
    return torch.stack(rows)


def gap(losses, last):
    residual, plain = losses[:, -last:].mean(dim=1).tolist()
    return residual - plain


# %% mistake="first_steps" exercise="twins" fails="twins:gap" hint="last steps"
# the first steps
def make_twins(depth, width, generator):
    residual = TwinNet(depth, width, True, generator)
    plain = TwinNet(depth, width, False, generator)
    plain.load_state_dict(residual.state_dict())
    return residual.to(here), plain.to(here)


def train_twins(twins, x, t, batches, rate):
    rows = []
    for net in twins:
        net.train()
        optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9)
        losses = []
        for batch in batches:
            loss = F.cross_entropy(net(x[batch]), t[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        rows.append(torch.stack(losses))
    return torch.stack(rows)


def gap(losses, last):
    residual, plain = losses[:, :last].mean(dim=1).tolist()
    return plain - residual


# %% mistake="all_steps" exercise="twins" fails="twins:gap" hint="last steps"
# all steps
def make_twins(depth, width, generator):
    residual = TwinNet(depth, width, True, generator)
    plain = TwinNet(depth, width, False, generator)
    plain.load_state_dict(residual.state_dict())
    return residual.to(here), plain.to(here)


def train_twins(twins, x, t, batches, rate):
    rows = []
    for net in twins:
        net.train()
        optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9)
        losses = []
        for batch in batches:
            loss = F.cross_entropy(net(x[batch]), t[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        rows.append(torch.stack(losses))
    return torch.stack(rows)


def gap(losses, last):
    residual, plain = losses.mean(dim=1).tolist()
    return plain - residual


# %% mistake="absolute_gap" exercise="twins" fails="twins:gap" hint="sign"
# the size of the difference
def make_twins(depth, width, generator):
    residual = TwinNet(depth, width, True, generator)
    plain = TwinNet(depth, width, False, generator)
    plain.load_state_dict(residual.state_dict())
    return residual.to(here), plain.to(here)


def train_twins(twins, x, t, batches, rate):
    rows = []
    for net in twins:
        net.train()
        optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9)
        losses = []
        for batch in batches:
            loss = F.cross_entropy(net(x[batch]), t[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        rows.append(torch.stack(losses))
    return torch.stack(rows)


def gap(losses, last):
    residual, plain = losses[:, -last:].mean(dim=1).tolist()
    return abs(plain - residual)


# %% mistake="weight_decay" exercise="twins" fails="twins:training" hint="weight decay"
# the settings of every tutorial
def make_twins(depth, width, generator):
    residual = TwinNet(depth, width, True, generator)
    plain = TwinNet(depth, width, False, generator)
    plain.load_state_dict(residual.state_dict())
    return residual.to(here), plain.to(here)


def train_twins(twins, x, t, batches, rate):
    rows = []
    for net in twins:
        net.train()
        optimizer, losses = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9, weight_decay=5e-4), []
        for batch in batches:
            loss = F.cross_entropy(net(x[batch]), t[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        rows.append(torch.stack(losses))
    return torch.stack(rows)


def gap(losses, last):
    residual, plain = losses[:, -last:].mean(dim=1).tolist()
    return plain - residual


# %% mistake="one_net_only" exercise="twins" fails="twins" hint="return residual, plain"
# gives the residual twin alone
def make_twins(depth, width, generator):
    residual = TwinNet(depth, width, True, generator)
    plain = TwinNet(depth, width, False, generator)
    plain.load_state_dict(residual.state_dict())
    return residual.to(here)


def train_twins(twins, x, t, batches, rate):
    rows = []
    for net in twins:
        net.train()
        optimizer, losses = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9), []
        for batch in batches:
            loss = F.cross_entropy(net(x[batch]), t[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        rows.append(torch.stack(losses))
    return torch.stack(rows)


def gap(losses, last):
    residual, plain = losses[:, -last:].mean(dim=1).tolist()
    return plain - residual


# %% mistake="order_of_its_own" exercise="twins" fails="twins:training" hint="first batch"
# draws an order of its own for each twin
def make_twins(depth, width, generator):
    residual = TwinNet(depth, width, True, generator)
    plain = TwinNet(depth, width, False, generator)
    plain.load_state_dict(residual.state_dict())
    return residual.to(here), plain.to(here)


def train_twins(twins, x, t, batches, rate):
    rows = []
    for net in twins:
        net.train()
        optimizer, losses = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9), []
        for batch in [batches[i] for i in torch.randperm(len(batches))]:
            loss = F.cross_entropy(net(x[batch]), t[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        rows.append(torch.stack(losses))
    return torch.stack(rows)


def gap(losses, last):
    residual, plain = losses[:, -last:].mean(dim=1).tolist()
    return plain - residual
