"""The lab `architectures`: its solutions against torch, torchvision and the zoo, and what holds for this lab alone."""

from unmagic import zoo
from unmagic.zoo.binary import BinaryConv2d
from unmagic.zoo.densenet import DenseNet
from unmagic.zoo.googlenet import TABLE, Inception, NaiveInception
from unmagic.zoo.highway import HighwayLayer

import math

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from autograder.audit.variants import model_answers
from autograder.examiner import examine
from autograder.labs import load_lab
from autograder.labs.names import names_of
from autograder.release import solved_notebook, student_notebook
from autograder.single import grade_notebook

LAB = load_lab("architectures")  # of the fixture `lab`


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def set_alike(ours: nn.Module, theirs: nn.Module, names: dict[str, str]) -> None:
    """Random values in all weights and buffers, the same in both; `names`: of our layers, and what they call them."""
    state = {key: torch.rand(value.shape, generator=seeded(1)) + 0.1 for key, value in ours.state_dict().items()}
    ours.load_state_dict(state)
    theirs.load_state_dict({f"{names[k.rpartition('.')[0]]}.{k.rpartition('.')[2]}": v for k, v in state.items()})


class TestBudgets:
    """Exercises 1 to 3, against `zoo.budget`, which is itself compared with a kept counter."""

    @settings(deadline=None, max_examples=30)
    @given(data=st.data())
    def test_parameters_work_memory_and_fields_are_the_zoos_on_any_list_of_layers(self, lab, data):
        layers = []
        for _ in range(data.draw(st.integers(1, 4))):
            if data.draw(st.booleans()):
                layers += [("conv", data.draw(st.integers(1, 9)), *(data.draw(st.integers(1, 3)) for _ in "ks"), 1)]
                layers += [("relu",)]
            else:
                layers.append(("pool", data.draw(st.integers(1, 2)), data.draw(st.integers(1, 2))))
        layers += [("fc", 5), ("relu",), ("fc", 3)]
        shape = (data.draw(st.integers(1, 4)), 40, 37)
        net = lab.as_torch(layers, shape)
        found = zoo.budget(net, shape)
        weights = [sum(p.numel() for p in layer.parameters()) for layer in net]
        assert lab.parameters(layers, shape) == weights and sum(weights) == found.parameters
        assert [m for m in lab.multiply_adds(layers, shape) if m] == [row.macs for row in found.rows if row.macs]
        sizes = [math.prod(shape), *(row.activations for row in found.rows)]
        assert lab.memory(found.parameters, sizes, 1) == (found.training_bytes, found.testing_bytes)
        sides = [row.receptive_field for row in found.rows if row.kind in ("Conv2d", "MaxPool2d")]
        kept = [
            side
            for side, layer in zip(lab.receptive_fields(layers), layers, strict=True)
            if layer[0] in ("conv", "pool")
        ]
        assert kept == sides

    def test_vgg_16_costs_what_its_paper_and_torchvision_say(self, lab):
        assert sum(lab.parameters(lab.VGG16, (3, 224, 224))) == 138_357_544
        with torch.device("meta"):
            net = zoo.VGG("D")
        assert sum(lab.multiply_adds(lab.VGG16, (3, 224, 224))) == zoo.budget(net, (3, 224, 224)).macs

    def test_a_field_is_as_wide_as_the_gradient_of_one_output_reaches(self, lab):
        layers = [("conv", 2, 3, 2, 0), ("pool", 2, 2), ("conv", 1, 4, 1, 0), ("conv", 1, 3, 3, 0)]
        x = torch.ones(1, 1, 99, 99, requires_grad=True)
        y = x
        for kind, *sizes in layers:
            if kind == "conv":
                y = F.conv2d(y, torch.ones(sizes[0], y.shape[1], sizes[1], sizes[1]), stride=sizes[2])
            else:
                y = F.avg_pool2d(y, *sizes)
        y[0, 0, 1, 1].backward()
        assert int((x.grad[0, 0] != 0).any(dim=0).sum()) == lab.receptive_fields(layers)[-1]


class TestBlueprint:
    """Exercise 4."""

    @settings(deadline=None, max_examples=100)
    @given(
        stages=st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.integers(0, 3)), max_size=3),
        head=st.none() | st.integers(0, 3),
    )
    def test_what_is_written_is_read(self, lab, stages, head):
        text, layers = "INPUT", ["INPUT"]
        for n, pool, m in stages:
            text += f" -> [[CONV -> RELU]*{n}{' -> POOL' if pool else ''}]*{m}"
            layers += (["CONV", "RELU"] * n + ["POOL"] * pool) * m
        if head is not None:
            text += f" -> [FC -> RELU]*{head}"
            layers += ["FC", "RELU"] * head
        assert lab.blueprint(f"{text} -> FC") == [*layers, "FC"]

    @settings(deadline=None, max_examples=200)
    @given(data=st.data())
    def test_whatever_is_wrong_the_first_wrong_token_is_pointed_at(self, lab, data):
        """A prefix of a right text, and then a token that may not follow: no right text begins so."""
        tokens = ["INPUT", "CONV", "RELU", "POOL", "FC", "->", "[", "]", "*", "7", "?", "Conv"]
        right = [token for token, _ in lab.tokens_of("INPUT->[[CONV->RELU]*2->POOL]*3->[FC->RELU]*2->FC")][:-1]
        place = data.draw(st.integers(0, len(right) - 1))
        text = " ".join([*right[:place], data.draw(st.sampled_from(tokens)), *right[place:]])
        try:
            lab.blueprint(text)
        except ValueError as error:
            column = int(str(error).partition("column ")[2].partition(":")[0])
            assert column in [start for _, start in lab.tokens_of(text)]
            assert column >= len(" ".join(right[:place]))
            marked = str(error).splitlines()[1].index("^")
            assert marked == column
        else:
            pytest.fail(f"accepted: {text}")

    @pytest.mark.parametrize("text", ["INPUT -> FC the end", "INPUT -> [FC -> RELU]*a number -> FC", "INPUT -> FC end"])
    def test_words_of_its_own_messages_are_no_tokens(self, lab, text):
        with pytest.raises(ValueError, match="column"):
            lab.blueprint(text)


class TestCheaper:
    """Exercises 5 to 9."""

    def test_the_errata_s_separable_counts(self, lab):
        assert lab.separable_weights(128, 256, 3) == (294_912, 33_920)
        assert lab.separable_weights(128, 256, 1) == (32_768, 32_896)

    @given(fi=st.integers(1, 30), fo=st.integers(1, 30), k=st.integers(1, 7))
    def test_separable_counts_are_those_of_torchs_layers(self, lab, fi, fo, k):
        with torch.device("meta"):
            full = nn.Conv2d(fi, fo, k, bias=False)
            steps = nn.Sequential(nn.Conv2d(fi, fi, k, groups=fi, bias=False), nn.Conv2d(fi, fo, 1, bias=False))
        counts = tuple(sum(p.numel() for p in net.parameters()) for net in (full, steps))
        assert lab.separable_weights(fi, fo, k) == counts
        assert lab.separable_saves(fo, k) == (counts[1] < counts[0])

    @pytest.mark.parametrize(("fi", "fo", "k"), [(1, 1, 1), (3, 5, 3), (4, 2, 2)])
    def test_the_full_kernel_does_what_the_two_steps_do(self, lab, fi, fo, k):
        x, depthwise, pointwise = drawn(2, fi, 6, 7), drawn(fi, k, k, seed=1), drawn(fo, fi, seed=2)
        steps = F.conv2d(F.conv2d(x, depthwise[:, None], groups=fi), pointwise[:, :, None, None])
        torch.testing.assert_close(F.conv2d(x, lab.full_kernel(depthwise, pointwise)), steps)

    def test_vgg_stages_are_those_of_the_zoo(self, lab):
        ready = zoo.VGG("D", hidden=8).features
        stages = nn.Sequential(*(lab.vgg_stage(*sizes) for sizes in ((3, 64, 2), (64, 128, 2), (128, 256, 3))))
        mine, theirs = list(stages.parameters()), list(ready.parameters())
        assert [p.shape for p in mine] == [p.shape for p in theirs[: len(mine)]]
        with torch.no_grad():
            for a, b in zip(mine, theirs, strict=False):
                b.copy_(a)
        x = torch.rand(1, 3, 16, 16, generator=seeded())
        torch.testing.assert_close(stages(x), ready[:17](x))

    @pytest.mark.parametrize("place", TABLE)
    def test_inception_counts_are_those_of_the_zoos_modules(self, lab, place):
        sizes = TABLE[place]
        with torch.device("meta"):
            modules = {True: Inception(192, sizes), False: NaiveInception(192, sizes[0], sizes[2], sizes[4])}
        for reduced, module in modules.items():
            wanted = module.out_channels, sum(p.numel() for p in module.parameters())
            assert lab.inception_counts(192, sizes, reduced) == wanted

    def test_module_3a_grows_naively_and_shrinks_reduced(self, lab):
        assert lab.inception_counts(192, TABLE["3a"], False) == (416, 387_296)
        assert lab.inception_counts(192, TABLE["3a"], True) == (256, 163_696)

    def test_inception_is_the_zoos(self, lab):
        names = {"one": "one.0", "reduce3": "three.0.0", "three": "three.1.0"}
        names |= {"reduce5": "five.0.0", "five": "five.1.0", "project": "pool.1.0"}
        ours, theirs = lab.Inception(6, (3, 2, 5, 1, 4, 2)), Inception(6, (3, 2, 5, 1, 4, 2))
        set_alike(ours, theirs, names)
        x = torch.randn(2, 6, 5, 7, generator=seeded(2))
        torch.testing.assert_close(ours(x), theirs(x))

    @pytest.mark.parametrize(("channels", "filters", "groups"), [(1, 1, 1), (6, 4, 2), (4, 8, 4), (9, 3, 3)])
    @pytest.mark.parametrize(("k", "padding"), [(1, 0), (3, 1), (2, 3)])
    def test_groups_are_torchs_and_so_are_their_gradients(self, lab, channels, filters, groups, k, padding):
        x, w = drawn(2, channels, 5, 4), drawn(filters, channels // groups, k, k, seed=1)
        leaves = [v.clone().requires_grad_() for v in (x, w)]
        found = lab.grouped_conv2d(lab.convolve, *leaves, groups, padding)
        wanted = F.conv2d(x, w, padding=padding, groups=groups)
        torch.testing.assert_close(found, wanted)
        torch.testing.assert_close(F.conv2d(x, lab.block_kernel(w, groups), padding=padding), wanted)
        assert torch.autograd.gradcheck(
            lambda x, w: lab.grouped_conv2d(lab.convolve, x, w, groups, padding), leaves, fast_mode=True
        )

    @pytest.mark.parametrize("shape", [(1, 1, 1, 1), (3, 2, 3, 3), (4, 1, 2, 5)])
    def test_binary_filters_and_their_gradient_are_the_zoos(self, lab, shape):
        layer = BinaryConv2d(shape[1], shape[0], 1).double()
        layer.weight = nn.Parameter(1.5 * drawn(*shape))
        wanted, grad = layer.binary_weight(), drawn(*shape, seed=1)
        wanted.backward(grad)
        torch.testing.assert_close(lab.binary_filters(layer.weight.detach()), wanted.detach())
        torch.testing.assert_close(lab.binary_filters_gradient(grad, layer.weight.detach()), layer.weight.grad)

    def test_no_other_scale_comes_closer_in_squares(self, lab):
        w = drawn(5, 3, 3, 3)
        best = lab.binary_filters(w)
        errors = [((w - factor * best) ** 2).sum(dim=(1, 2, 3)) for factor in (0.9, 0.99, 1.0, 1.01, 1.1)]
        assert torch.stack(errors).argmin(dim=0).eq(2).all()

    def test_packed_bytes_are_those_that_numpy_packs(self, lab):
        for shape in ((1, 1, 1, 1), (2, 3, 3, 3), (7, 5, 1, 3)):
            packed = len(np.packbits(lab.binary_filters(drawn(*shape)).numpy() > 0))
            assert lab.packed_bytes(shape) == packed + 4 * shape[0]


class TestWaysAround:
    """Exercises 10 to 12."""

    @pytest.mark.parametrize(("in_channels", "width", "stride"), [(4, 4, 1), (3, 4, 1), (4, 4, 2), (16, 4, 1)])
    @pytest.mark.parametrize("kind", ["BasicBlock", "Bottleneck"])
    def test_blocks_are_torchvisions(self, lab, kind, in_channels, width, stride):
        ours = getattr(lab, kind)(in_channels, width, stride)
        theirs_kind = getattr(torchvision.models.resnet, kind)
        out, down = width * theirs_kind.expansion, None
        if stride != 1 or in_channels != out:
            down = nn.Sequential(nn.Conv2d(in_channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))
        theirs = theirs_kind(in_channels, width, stride, down)
        names = {f"conv{i}": f"conv{i}" for i in (1, 2, 3)} | {f"norm{i}": f"bn{i}" for i in (1, 2, 3)}
        set_alike(ours, theirs, names | {"shortcut.0": "downsample.0", "shortcut.1": "downsample.1"})
        x = torch.randn(2, in_channels, 6, 5, generator=seeded(2))
        for mode in (True, False):
            torch.testing.assert_close(ours.train(mode)(x), theirs.train(mode)(x))

    def test_a_net_of_new_blocks_begins_as_the_identity_and_passes_gradients_on_whole(self, lab):
        net = nn.Sequential(*(lab.BasicBlock(4, 4) for _ in range(25)), *(lab.Bottleneck(4, 1) for _ in range(25)))
        x = torch.rand(2, 4, 5, 5, generator=seeded()).add(0.1).requires_grad_()
        y = net(x)
        torch.testing.assert_close(y, x)
        (slope,) = torch.autograd.grad(y.sum(), x)
        torch.testing.assert_close(slope, torch.ones_like(x))

    def test_the_highway_layer_is_the_zoos_with_its_two_limits(self, lab):
        ours, theirs = lab.HighwayLayer(5), HighwayLayer(5)
        theirs.load_state_dict(ours.state_dict())
        x = torch.randn(7, 5, generator=seeded())
        torch.testing.assert_close(ours(x), theirs(x))
        assert torch.equal(ours.gate.bias, torch.full((5,), -2.0))
        for bias, limit in ((-200.0, x), (200.0, ours.transform(x).relu())):
            nn.init.constant_(ours.gate.bias, bias)
            torch.testing.assert_close(ours(x), limit)

    @given(bias=st.floats(-8, 4), depth=st.integers(1, 60))
    def test_carried_and_its_inverse(self, lab, bias, depth):
        share = lab.carried(bias, depth)
        assert share == pytest.approx(
            (1 - torch.sigmoid(torch.tensor(bias, dtype=torch.float64))).item() ** depth, rel=1e-9
        )
        if 1e-12 < share < 1 - 1e-12:
            assert lab.gate_bias_for(share, depth) == pytest.approx(bias, abs=1e-3)

    def test_dense_shapes_are_those_of_densenet_121(self, lab):
        with torch.device("meta"):
            net = DenseNet()
        shapes, channels = [], 64
        for layers in (6, 12, 24, 16):
            shapes += lab.dense_shapes(channels, 32, layers, True)
            channels = (channels + 32 * layers) // 2
        found = [
            tuple(m.weight.shape) for name, m in net.named_modules() if isinstance(m, nn.Conv2d) and ".new." in name
        ]
        assert shapes == found

    def test_a_dense_block_adds_maps_and_its_gradients_pass_gradcheck(self, lab):
        x = drawn(2, 3, 4, 5)
        weights = [drawn(2, 3 + 2 * i, 3, 3, seed=i) / 3 for i in range(3)]
        found = lab.dense_block(x, weights)
        for i, w in enumerate(weights):
            end = 3 + 2 * i
            layer = nn.Sequential(nn.ReLU(), nn.Conv2d(end, 2, 3, padding=1, bias=False)).double()
            layer[1].weight = nn.Parameter(w)
            torch.testing.assert_close(found[:, end : end + 2], layer(found[:, :end]).detach())
        leaves = [v.clone().requires_grad_() for v in (x, *weights)]
        assert torch.autograd.gradcheck(lambda x, *ws: lab.dense_block(x, list(ws)), leaves, fast_mode=True)


class TestDoesItMatter:
    """Exercises 13 and 14."""

    def test_paths_are_the_terms_of_the_product(self, lab):
        for blocks in range(6):
            terms = [0] * (blocks + 1)
            for number in range(2**blocks):
                terms[number.bit_count()] += 1
            assert lab.paths(blocks) == terms
            assert lab.paths(blocks + 2, 2) == terms

    def test_a_lesion_is_a_branch_that_gives_0_and_leaves_no_hook(self, lab):
        net = lab.shared_net()
        hooks = sum(len(m._forward_hooks) for m in net.modules())
        x = drawn(100, 2, 5, 5).float()
        t = net(x).argmax(dim=1)
        found = lab.lesion_study(lab.shared_net, x, t)
        assert sum(len(m._forward_hooks) for m in net.modules()) == hooks
        assert found[0] == 1
        for place, share in enumerate(found[1:]):
            without = lab.small_net()
            block = lab.blocks_of(without)[place]
            block.forward = lambda x, block=block: block.shortcut(x).relu()
            assert share == pytest.approx((without(x).argmax(dim=1) == t).float().mean().item())

    def test_the_trained_net_stays_above_chance_without_any_one_block_and_some_hardly_matter(self, lab):
        whole, *without = lab.lesion_study(lab.trained_net, lab.lesion_pictures.images, lab.lesion_pictures.labels)
        assert whole > 0.6
        assert min(without) > 0.15  # of ten classes
        assert max(without) > whole - 0.1

    @pytest.mark.parametrize("seed", [0, 1, 2])
    def test_the_gap_is_there_at_42_layers_and_small_at_6_whatever_the_seed(self, lab, seed):
        gaps = {}
        for depth in (6, 42):
            twins = lab.make_twins(depth, 8, seeded(seed))
            losses = lab.train_twins(twins, lab.digits_x, lab.digits_t, lab.batches_of(32, 60, seed), 0.05)
            gaps[depth] = lab.gap(losses, 10)
        assert gaps[42] > 0.4
        assert gaps[6] < gaps[42] - 0.2

    def test_twins_differ_in_their_shortcuts_alone(self, lab):
        residual, plain = lab.make_twins(10, 4, seeded(3))
        for (name, a), (other, b) in zip(residual.state_dict().items(), plain.state_dict().items(), strict=True):
            assert name == other and torch.equal(a, b) and a.data_ptr() != b.data_ptr()
        for a, b in zip(residual.blocks, plain.blocks, strict=True):
            assert isinstance(a.shortcut, nn.Identity) and b.shortcut is None


class TestLab:
    """The lab as a whole."""

    def test_the_solutions_get_all_points_that_tests_give_in_the_students_own_notebook(self):
        answers = model_answers(LAB)
        examination = examine(LAB, answers, seed="any", bridge=False)
        assert {result.grade_id: result.message for result in examination.results if not result.ok} == {}
        assert examination.points == 32
        assert LAB.points == 35

    def test_untouched_stubs_say_that_they_are_not_done_and_nothing_else(self):
        released = {
            cell.metadata["nbgrader"]["grade_id"]: cell.source
            for cell in student_notebook(LAB).cells
            if "nbgrader" in cell.metadata
        }
        stubs = {exercise: released[LAB.solution(exercise).grade_id] for exercise in LAB.exercises}
        for bridge in (False, True):
            results = examine(LAB, stubs, seed="any", bridge=bridge).results
            assert {result.grade_id: result.kind for result in results} == {
                cell.grade_id: "not_done" for cell in LAB.tests()
            }

    def test_no_tests_cell_uses_the_answer_to_another_exercise(self):
        for exercise in LAB.exercises:
            assert {cell.exercise for cell in LAB.dependents(exercise)} == {exercise}

    def test_tests_leave_the_names_of_set_up_cells_and_of_answers_alone(self):
        taken = {cell.name: names_of(cell.source).defined for cell in LAB.cells if cell.kind in ("setup", "solution")}
        taken = frozenset().union(*taken.values())
        for cell in LAB.tests():
            assert not names_of(cell.source).defined & taken, cell.name

    @pytest.mark.slow
    def test_a_solved_hand_in_gets_full_marks_in_isolation(self):
        result = grade_notebook(solved_notebook(LAB), LAB)
        assert result.state == "graded"
        assert result.points == 32
