"""Trains a net by its recipe, and writes its file and its row of the table."""

from unmagic import data, zoo
from unmagic.look import adversarial, fgsm
from unmagic.train import Data, evaluate, fit
from unmagic.trained.augmentation import AUGMENTATIONS
from unmagic.trained.files import read, weights_path
from unmagic.trained.recipes import RECIPES, Recipe

import json
import os
import typing
from pathlib import Path

import torch
from torch import nn

TEST_SHAPES = 2000  # images of the test split that accuracies are of; of digits, all 300
OPTIMIZERS = {"sgd": None, "adam": torch.optim.Adam}  # None: fit's own
EPSILON = 4 / 255  # of the attack in the table


def images_of(recipe: Recipe, split: str) -> Data:
    """Images and labels of a split, as the recipe wants them."""
    if recipe.data == "digits":
        found = data.digits(split)
        return (found.images[: recipe.images], found.labels[: recipe.images]) if split == "train" else tuple(found)
    scenes = data.shapes(recipe.images if split == "train" else TEST_SHAPES, split=split)
    return scenes.images, scenes.labels


def trained(recipe: Recipe, *, progress: bool = True) -> nn.Module:
    """The net after its training, on the CPU in one thread, so that the same machine gives the same net again."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            net = recipe.build()
            if recipe.begins is not None:
                net.load_state_dict(read(weights_path(recipe.begins)))
            fit(
                net,
                images_of(recipe, "train"),
                recipe.epochs,
                objective=None if recipe.epsilon is None else adversarial(recipe.epsilon),
                learning_rate=recipe.learning_rate,
                optimizer=OPTIMIZERS[recipe.optimizer],
                batch_size=recipe.batch_size,
                augment=AUGMENTATIONS.get(recipe.augmentation),
                seed=recipe.seed,
                device="cpu",
                progress=progress,
            )
    finally:
        torch.set_num_threads(threads)
    return net


def make(name: str, weights: Path, recipe: Recipe | None = None, *, progress: bool = True) -> dict[str, typing.Any]:
    """Train a net, write its weights in float16 into the folder `weights`, and give its row of the table.

    The accuracies are of what was written, read back.
    """
    try:
        from safetensors.torch import save_file
    except ImportError:
        raise ImportError(
            "unmagic.trained: `pip install safetensors` to write weights; reading needs nothing."
        ) from None
    recipe = RECIPES[name] if recipe is None else recipe
    net = trained(recipe, progress=progress)
    halves = {key: v.half() if v.is_floating_point() else v for key, v in net.state_dict().items()}
    weights.mkdir(parents=True, exist_ok=True)
    path = weights / f"{name}.safetensors"
    partial = path.with_name(f"{path.name}.part")
    save_file({key: value.contiguous() for key, value in halves.items()}, partial)
    partial.chmod(0o644)  # safetensors writes for the owner alone; a sandbox's ordinary user reads these too
    os.replace(partial, path)
    net.load_state_dict(read(path))
    images, labels = images_of(recipe, "test")
    budget = zoo.budget(net, tuple(images.shape[1:]))
    return {
        "name": name,
        "data": recipe.data,
        "parameters": budget.parameters,
        "multiply_adds": budget.macs,
        "accuracy": evaluate(net, (images, labels))["accuracy"],
        "robust_accuracy": robust_accuracy(net, (images, labels), EPSILON),
        "epsilon": EPSILON,
        "images": recipe.images,
        "epochs": recipe.epochs,
        "learning_rate": recipe.learning_rate,
        "optimizer": recipe.optimizer,
        "seed": recipe.seed,
        "bytes": path.stat().st_size,
    }


def robust_accuracy(net: nn.Module, test: Data, epsilon: float) -> float:
    """Accuracy (0 to 1) on images that FGSM has moved by ε."""
    images, labels = test
    parts = zip(images.split(250), labels.split(250), strict=True)
    moved = torch.cat([fgsm(net, x, y, epsilon) for x, y in parts])
    return evaluate(net, (moved, labels))["accuracy"]


def note(row: dict[str, typing.Any], accuracies: Path) -> None:
    """Put a row into the table, in the place of the net's last one, in the order of the recipes."""
    rows = {old["name"]: old for old in (json.loads(accuracies.read_text()) if accuracies.exists() else [])}
    rows[row["name"]] = row
    ordered = [rows[name] for name in RECIPES if name in rows]
    partial = accuracies.with_name(f"{accuracies.name}.part")
    partial.write_text(json.dumps(ordered, indent=1) + "\n")
    os.replace(partial, accuracies)
