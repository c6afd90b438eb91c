"""The trained nets: each loads, is as good as its row says, is small, and can be made again."""

from unmagic import data, look, trained, zoo
from unmagic.train import evaluate
from unmagic.trained import __main__ as command
from unmagic.trained import making
from unmagic.trained.augmentation import AUGMENTATIONS, redrawn, turned
from unmagic.trained.files import read, weights_path
from unmagic.trained.making import TEST_SHAPES, make, note
from unmagic.trained.recipes import RECIPES, Recipe

import dataclasses
import json
import subprocess
import sys

import pytest
import safetensors.torch
import torch
from torch import nn

ROWS = {row["name"]: row for row in trained.table()}
LIVE = {nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d, nn.AdaptiveAvgPool2d, nn.Flatten, nn.Linear}


@pytest.fixture(scope="module")
def test_split():
    scenes = data.shapes(TEST_SHAPES, split="test")
    return {"digits": tuple(data.digits("test")), "shapes": (scenes.images, scenes.labels)}


def test_every_recipe_has_a_file_and_a_row_and_nothing_else_lies_there():
    assert trained.names() == list(RECIPES) == list(ROWS)
    folder = weights_path("x").parent
    assert {path.name for path in folder.iterdir()} == {f"{name}.safetensors" for name in RECIPES}


def test_a_file_is_under_one_megabyte_and_all_together_under_six():
    sizes = {name: weights_path(name).stat().st_size for name in RECIPES}
    assert max(sizes.values()) < 1_000_000 and sum(sizes.values()) < 6_000_000
    assert sizes == {name: row["bytes"] for name, row in ROWS.items()}


@pytest.mark.parametrize("name", RECIPES)
def test_a_net_is_as_accurate_as_its_row_says(name, test_split):
    net, row, recipe = trained.load(name), ROWS[name], RECIPES[name]
    assert not net.training and {p.dtype for p in net.parameters()} == {torch.float32}
    images, labels = test_split[recipe.data]
    found = evaluate(net, (images, labels))["accuracy"]
    assert abs(found - row["accuracy"]) * len(labels) < 1.5  # one image: another machine rounds differently
    assert (row["data"], row["epochs"], row["seed"]) == (recipe.data, recipe.epochs, recipe.seed)
    assert (row["images"], row["learning_rate"]) == (recipe.images, recipe.learning_rate)
    budget = zoo.budget(net, tuple(images.shape[1:]))
    assert (row["parameters"], row["multiply_adds"]) == (budget.parameters, budget.macs)


@pytest.mark.parametrize(("name", "most"), [("digits_live", 15_000), ("shapes_live", 55_000)])
def test_a_live_net_is_of_layers_that_a_page_knows_and_small(name, most):
    net = trained.load(name)
    assert type(net) is nn.Sequential and {type(layer) for layer in net} == LIVE
    assert [type(layer) for layer in net][-3:] == [nn.AdaptiveAvgPool2d, nn.Flatten, nn.Linear]  # so that CAM works
    assert ROWS[name]["parameters"] <= most


def test_training_against_an_attack_pays_under_that_attack(test_split):
    """The rows' robust accuracies by look.fgsm, on a part: the robust net keeps what the other loses."""
    images, labels = (part[:500] for part in test_split["shapes"])
    found = {}
    for name in ("shapes_live", "shapes_robust"):
        net, row = trained.load(name), ROWS[name]
        found[name] = evaluate(net, (look.fgsm(net, images, labels, row["epsilon"]), labels))["accuracy"]
        assert found[name] == pytest.approx(row["robust_accuracy"], abs=0.05)
    assert found["shapes_robust"] > found["shapes_live"] + 0.2
    assert str(RECIPES["shapes_robust"].build()) == str(RECIPES["shapes_live"].build())


def test_the_plain_twin_is_the_residual_net_without_shortcuts():
    plain, residual = trained.load("shapes_plain"), trained.load("shapes_resnet")
    assert [name for name, _ in plain.named_parameters()] == [name for name, _ in residual.named_parameters()]
    recipes = RECIPES["shapes_plain"], RECIPES["shapes_resnet"]
    assert len({(r.images, r.epochs, r.learning_rate, r.augmentation, r.seed) for r in recipes}) == 1


def test_the_page_s_digits_survive_a_reader_s_pen(test_split):
    """Moved, turned, thick or thin: other draws of the augmentation on images that were never trained on."""
    net, (images, labels) = trained.load("digits_live"), test_split["digits"]
    torch.manual_seed(1)
    drawn = torch.cat([redrawn(images) for _ in range(4)])
    assert evaluate(net, (drawn, labels.repeat(4)))["accuracy"] > 0.95
    for sideways in (-1, 1):
        moved = torch.roll(images, sideways, dims=3)
        assert evaluate(net, (moved, labels))["accuracy"] > 0.95


class TestLoading:
    def test_an_unknown_name_lists_those_there_are(self):
        with pytest.raises(ValueError, match=r"no net 'shapes_resnt'; there are digits_live, .*shapes_resnet"):
            trained.load("shapes_resnt")

    def test_a_missing_file_says_how_to_make_it(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"`python -m unmagic.trained lost` makes it"):
            read(tmp_path / "lost.safetensors")

    @pytest.mark.parametrize("name", RECIPES)
    def test_files_are_read_as_safetensors_reads_them(self, name):
        ours, theirs = read(weights_path(name)), safetensors.torch.load_file(weights_path(name))
        assert ours.keys() == theirs.keys()
        for key, wanted in theirs.items():
            torch.testing.assert_close(ours[key], wanted, rtol=0, atol=0)

    def test_draws_no_random_number_and_each_net_is_one_of_its_own(self):
        torch.manual_seed(7)
        wanted = torch.rand(3)
        torch.manual_seed(7)
        first, second = trained.load("digits_live"), trained.load("digits_live")
        assert torch.equal(torch.rand(3), wanted)
        with torch.no_grad():
            first[0].weight.zero_()
        assert second[0].weight.abs().sum() > 0

    def test_needs_torch_alone(self):
        """Labs run where neither safetensors nor a progress bar is installed."""
        code = """
import sys
sys.modules.update(dict.fromkeys(["safetensors", "tqdm", "IPython"]))
from unmagic import trained
print(len(trained.table()), sum(p.numel() for p in trained.load("shapes_live").parameters()))
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.stdout.split() == [str(len(RECIPES)), str(ROWS["shapes_live"]["parameters"])], done.stderr


class TestAugmentation:
    def test_turned_gives_each_of_the_eight_ways_to_lay_a_square(self):
        image = torch.arange(9.0).view(1, 1, 3, 3)
        torch.manual_seed(0)
        found = {tuple(x.flatten().tolist()) for x in turned(image.expand(200, 1, 3, 3))}
        mirrored = [image, image.flip(3)]
        assert found == {tuple(torch.rot90(x, k, (2, 3)).flatten().tolist()) for x in mirrored for k in range(4)}

    def test_redrawn_stays_an_image_and_makes_strokes_thicker_and_thinner(self, test_split):
        images = test_split["digits"][0]
        torch.manual_seed(0)
        drawn = redrawn(images)
        assert drawn.shape == images.shape and drawn.min() >= 0 and drawn.max() <= 1
        ink = drawn.sum(dim=(1, 2, 3)) / images.sum(dim=(1, 2, 3))
        assert (ink < 0.8).any() and (ink > 1.2).any()
        kept = (drawn == images).flatten(1).all(dim=1).float().mean()
        assert 0.15 < kept < 0.35


class TestMaking:
    TINY = dataclasses.replace(RECIPES["digits_live"], images=128, epochs=2)

    def test_the_same_seed_gives_the_same_file_and_another_seed_another(self, tmp_path):
        torch.manual_seed(3)
        rows = [
            make("digits_live", tmp_path / str(number), dataclasses.replace(self.TINY, seed=seed), progress=False)
            for number, seed in enumerate((0, 0, 1))
        ]
        files = [(tmp_path / str(number) / "digits_live.safetensors").read_bytes() for number in range(3)]
        assert rows[0] == rows[1] and files[0] == files[1] != files[2]
        assert rows[0].keys() == ROWS["digits_live"].keys()

    def test_the_command_writes_the_net_and_its_row_in_the_order_of_the_recipes(self, tmp_path, monkeypatch, capsys):
        for name in ("digits_live", "shapes_mobilenet"):
            recipe = dataclasses.replace(RECIPES[name], images=128, epochs=1)
            monkeypatch.setitem(RECIPES, name, recipe)
        monkeypatch.setattr("unmagic.trained.making.TEST_SHAPES", 250)
        note({"name": "shapes_mobilenet", "accuracy": -1.0}, tmp_path / "accuracies.json")
        note({"name": "shapes_robust"}, tmp_path / "accuracies.json")
        assert command.main(["shapes_mobilenet", "digits_live", "--folder", str(tmp_path)]) == 0
        rows = json.loads((tmp_path / "accuracies.json").read_text())
        assert [row["name"] for row in rows] == ["digits_live", "shapes_mobilenet", "shapes_robust"]
        assert 0 <= rows[1]["accuracy"] <= 1 and rows[1]["bytes"] > 0
        assert {path.name for path in (tmp_path / "weights").iterdir()} == {
            "digits_live.safetensors",
            "shapes_mobilenet.safetensors",
        }
        printed = capsys.readouterr()
        assert "shapes_mobilenet: accuracy" in printed.out and "1 epochs of 128 images" in printed.err

    def test_the_command_trains_nothing_when_a_name_is_unknown(self, tmp_path, capsys):
        with pytest.raises(SystemExit):
            command.main(["digits_live", "shapes_lnet", "--folder", str(tmp_path)])
        assert "no recipe for shapes_lnet; there are digits_live" in capsys.readouterr().err
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("name", RECIPES)
    def test_a_recipe_is_what_the_training_is_given(self, name, monkeypatch):
        recipe, given = RECIPES[name], {}

        def fit(net, images, epochs, **options):
            given.update(options, net=net, images=images, epochs=epochs)

        monkeypatch.setattr(making, "images_of", lambda recipe, split: (recipe.data, recipe.images, split))
        monkeypatch.setattr(making, "fit", fit)
        making.trained(recipe, progress=False)
        objective, net = given.pop("objective"), given.pop("net")
        assert given == {
            "images": (recipe.data, recipe.images, "train"),
            "epochs": recipe.epochs,
            "learning_rate": recipe.learning_rate,
            "optimizer": {"sgd": None, "adam": torch.optim.Adam}[recipe.optimizer],
            "batch_size": recipe.batch_size,
            "augment": {None: None, "redrawn": redrawn, "turned": turned}[recipe.augmentation],
            "seed": recipe.seed,
            "device": "cpu",
            "progress": False,
        }
        torch.manual_seed(recipe.seed)
        begun = recipe.build() if recipe.begins is None else trained.load(recipe.begins)
        assert all(map(torch.equal, net.state_dict().values(), begun.state_dict().values()))
        assert (objective is None) == (recipe.epsilon is None)
        if objective is not None:
            images, labels = torch.rand(4, 3, 32, 32), torch.arange(4)
            losses = [o(begun.eval(), images, labels)[0] for o in (objective, look.adversarial(recipe.epsilon))]
            assert losses[0].equal(losses[1])

    def test_a_recipe_takes_as_many_images_as_it_says(self):
        for name in ("digits_live", "shapes_live"):
            few = dataclasses.replace(RECIPES[name], images=40)
            assert [len(part) for part in making.images_of(few, "train")] == [40, 40]

    def test_recipes_are_plain_data(self):
        for recipe in RECIPES.values():
            assert isinstance(recipe, Recipe) and recipe.data in ("digits", "shapes")
            assert recipe.augmentation in {None, *AUGMENTATIONS}
