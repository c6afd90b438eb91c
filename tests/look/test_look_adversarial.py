"""Adversarial training through `unmagic.train.fit`: what it buys, over three seeds."""

from unmagic import data, look
from unmagic.train import fit

import pytest
import torch
from torch import nn

EPSILON = 0.1


@pytest.fixture(scope="module")
def digits():
    return tuple(
        (part.images.reshape(-1, 1, 8, 8), part.labels) for part in (data.digits("train"), data.digits("validation"))
    )


def trained(train, seed, **options):
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(192, 10)
    )
    fit(net, train, 8, seed=seed, device="cpu", progress=False, learning_rate=0.05, **options)
    return net


def accuracy(net, images, labels):
    with torch.no_grad():
        return (net(images).argmax(1) == labels).float().mean().item()


def test_training_against_the_attack_keeps_more_answers_under_it_on_every_seed(digits):
    train, (images, labels) = digits
    for seed in range(3):
        standard = trained(train, seed)
        robust = trained(train, seed, objective=look.adversarial(EPSILON))
        for attack in (look.fgsm, look.pgd):
            kept = [accuracy(net, attack(net, images, labels, EPSILON), labels) for net in (standard, robust)]
            assert kept[1] > kept[0] + 0.1
        assert accuracy(robust, images, labels) > 0.9
