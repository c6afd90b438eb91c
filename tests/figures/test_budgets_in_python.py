"""Budgets seen from Python: its state, nets of one's own, its still."""

from unmagic import zoo
from unmagic.figures import Budgets, budgets_still
from unmagic.style import PALETTES

import itertools

import pytest
import traitlets
from torch import nn


class TestState:
    """Settings, and what they come to."""

    def test_it_begins_with_vgg_beside_googlenet_at_their_own_sizes(self):
        figure = Budgets()
        assert (figure.first, figure.second) == ("VGG-16 (D)", "GoogLeNet")
        first, second = figure.budgets()
        assert (first.parameters, second.parameters) == (138_357_544, 6_998_552)  # as their papers' tables, counted
        assert first.rows[0].output == (64, 224, 224)

    def test_another_size_moves_work_and_memory_and_of_parameters_only_those_on_the_whole_map(self):
        small, large = Budgets("VGG-16 (D)", "VGG-16 (D)", second_side=448).budgets()
        moved = [a.name for a, b in zip(small.rows, large.rows, strict=True) if a.parameters != b.parameters]
        assert moved == ["classifier.1"]
        assert large.rows[0].activations == 4 * small.rows[0].activations
        resnet, larger = Budgets("ResNet-18", "ResNet-18", second_side=448).budgets()
        assert resnet.parameters == larger.parameters
        assert larger.macs - 512_000 == 4 * (resnet.macs - 512_000)  # all but the classifier

    @pytest.mark.parametrize(("side", "counted"), [(0, 224), (1, 32), (100, 100), (9000, 896)])
    def test_a_size_that_is_too_small_or_too_large_counts_as_its_limit(self, side, counted):
        (budget,) = Budgets("VGG-16 (D)", "", first_side=side).budgets()
        assert budget.rows[0].output == (64, counted, counted)

    def test_choosing_another_net_in_python_is_enough(self):
        figure = Budgets("LeNet-5", "")
        figure.first = "MobileNet ×1.0"
        assert figure.budgets()[0].parameters == 4_231_976

    @pytest.mark.parametrize(
        ("state", "said"),
        [
            pytest.param({"first": "ResNet"}, r"first: found 'ResNet', wanted one of LeNet-5, AlexNet", id="unknown"),
            pytest.param({"first": ""}, "first: found ''", id="no-first-net"),
            pytest.param({"second": "VGG"}, "second: found 'VGG'", id="unknown-second"),
            pytest.param({"shown": "flops"}, "shown", id="unknown-bars"),
            pytest.param({"batch": 0}, "batch", id="no-input"),
            pytest.param({"first_side": -1}, "first_side", id="negative-side"),
            pytest.param({"place": [0.5]}, "place", id="half-a-place"),
        ],
    )
    def test_a_value_out_of_range_is_an_error_that_names_it(self, state, said):
        with pytest.raises(traitlets.TraitError, match=said):
            Budgets(**state)

    def test_an_unknown_name_is_an_error_that_lists_those_there_are(self):
        with pytest.raises(TypeError, match=r"has no side; it has batch, every_module, first"):
            Budgets(side=3)


class TestNetsOfOnesOwn:
    """`nets` and `input_shape`."""

    def net(self, out=4):
        return nn.Sequential(nn.Conv2d(3, out, 3), nn.ReLU(), nn.Flatten(), nn.Linear(out * 36, 2))

    def test_they_come_first_and_are_shown(self):
        net = self.net()
        figure = Budgets(nets={"mine": net}, input_shape=(3, 8, 8))
        assert (figure.first, figure.second) == ("mine", "")
        assert figure.budgets() == (zoo.budget(net, (3, 8, 8)),)
        assert [name for name, _ in figure.layer_lists] == ["mine", *Budgets.names()]

    def test_two_are_shown_beside_each_other(self):
        figure = Budgets(nets={"a": self.net(), "b": self.net(5), "c": self.net(6)}, input_shape=(3, 8, 8))
        assert (figure.first, figure.second) == ("a", "b")

    def test_one_can_stand_beside_a_net_of_the_zoo_and_each_has_its_shape(self):
        nets = {"mine": self.net(), "other": nn.Conv2d(1, 2, 3)}
        figure = Budgets("other", "ResNet-18", nets=nets, input_shape={"mine": (3, 8, 8), "other": (1, 20, 30)})
        assert [budget.rows[0].output for budget in figure.budgets()] == [(2, 18, 28), (64, 112, 112)]

    @pytest.mark.parametrize(
        ("shape", "problem", "said"),
        [
            pytest.param(None, TypeError, "need input_shape", id="no-shape"),
            pytest.param((3, 9, 9), ValueError, "'mine': the net cannot take an input of 3×9×9", id="no-fit"),
            pytest.param((8, 8), ValueError, r"'mine': input_shape: found \(8, 8\)", id="two-numbers"),
            pytest.param({"other": (3, 8, 8)}, ValueError, "has none for 'mine'", id="shape-of-another"),
        ],
    )
    def test_what_is_missing_or_does_not_fit_is_said(self, shape, problem, said):
        with pytest.raises(problem, match=said):
            Budgets(nets={"mine": self.net()}, input_shape=shape)

    def test_a_name_of_the_zoo_is_taken(self):
        with pytest.raises(ValueError, match="named 'ResNet-18'; wanted a name that the zoo has not"):
            Budgets(nets={"ResNet-18": self.net()}, input_shape=(3, 8, 8))


class TestStill:
    """For readers without scripts."""

    def test_its_words_say_both_nets_and_their_totals(self):
        words = Budgets("VGG-16 (D)", "ResNet-18").still().alternative
        assert "VGG-16 (D) has 138,357,544 parameters, 74% of them in classifier.1" in words
        assert "ResNet-18 has 11,689,512 parameters" in words
        assert "Bars of the multiply–adds layer by layer" in words

    def test_a_bar_is_a_layer_with_weights_and_all_that_follows_it(self):
        (budget,) = Budgets("ResNet-18", "").budgets()
        groups = budgets_still.grouped(budget.rows)
        assert len(groups) == 18 + 3  # and the projections where sizes change
        assert all(group[0].macs and not any(row.macs for row in group[1:]) for group in groups)
        assert list(itertools.chain(*groups)) == list(budget.rows)
        assert sum(budgets_still.heights(budget, "activations", False, 2)) == 8 * sum(
            r.activations for r in budget.rows
        )

    @pytest.mark.parametrize("shown", budgets_still.LABELS)
    def test_each_net_has_its_bars_and_its_memory(self, shown):
        figure = Budgets("LeNet-5", "AlexNet", shown=shown, batch=4)
        budgets = figure.budgets()
        nets = list(zip(("LeNet-5", "AlexNet"), budgets, strict=True))
        drawn = budgets_still.draw(nets, shown, "dark", log=False, every_module=True, batch=4)
        first, second, memory = drawn.axes
        for axes, budget, colour in ((first, budgets[0], "blue"), (second, budgets[1], "orange")):
            assert [bar.get_height() for bar in axes.patches] == budgets_still.heights(budget, shown, True, 4)
            assert axes.patches[0].get_facecolor()[:3] == pytest.approx(
                [int(PALETTES["dark"][colour][k : k + 2], 16) / 255 for k in (1, 3, 5)]
            )
        ends = [max(bar.get_x() + bar.get_width() for bar in memory.patches[k : k + 4]) for k in (0, 4, 8, 12)]
        kept = [budget.training_bytes - 12 * budget.parameters for budget in budgets]
        assert ends[0] == budgets[0].training_bytes + 3 * kept[0]
        assert ends[2] == budgets[1].training_bytes + 3 * kept[1]
        assert ends[1] == 4 * budgets[0].testing_bytes - 3 * 4 * budgets[0].parameters
