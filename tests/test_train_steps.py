"""What happens inside an epoch of `fit`: the images, the rate, the modes, the precision, the random draws."""

from unmagic import data
from unmagic.train import evaluate, fit

import numpy as np
import pytest
import torch
from torch import nn

OPTIONS = {"device": "cpu", "progress": False, "learning_rate": 0.1, "batch_size": 64}


@pytest.fixture(scope="module")
def digits():
    train, validation = data.digits("train"), data.digits("validation")
    return (train.images, train.labels), (validation.images, validation.labels)


def net(*between):
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), *between, nn.ReLU(), nn.Linear(32, 10))


def test_each_epoch_meets_every_image_once_in_an_order_of_its_own(digits):
    batches = []
    fit(net(), digits[0], 2, augment=lambda images: batches.append(images) or images, **OPTIONS)
    assert [len(batch) for batch in batches] == 2 * [*[64] * 18, 45]  # 1,197 images
    first, second = (torch.cat(part).flatten(1).tolist() for part in (batches[:19], batches[19:]))
    assert sorted(first) == sorted(second) == sorted(digits[0][0].flatten(1).tolist()) and first != second


def test_the_history_is_the_mean_over_images_also_where_the_last_batch_is_smaller(digits):
    """At a rate of 0 nothing moves, so the epoch's mean is that of one pass over all."""
    model, (images, labels) = net(), digits[0]
    with torch.no_grad():
        logits = model(images)
    loss = nn.CrossEntropyLoss(label_smoothing=0.2)
    options = OPTIONS | {"learning_rate": 0.0, "batch_size": 500}
    history = fit(model, digits[0], 1, validation=digits[0], loss=loss, **options)
    assert history["loss"] == pytest.approx([loss(logits, labels).item()], rel=1e-6)
    assert history["validation_loss"] == pytest.approx([loss(logits, labels).item()], rel=1e-6)
    assert history["accuracy"] == history["validation_accuracy"] == [(logits.argmax(1) == labels).double().mean()]


def test_the_rate_rises_for_a_twentieth_of_the_steps_and_falls_along_a_cosine(digits):
    made, rates = [], []

    def sgd(parameters, lr):
        made.append(torch.optim.SGD(parameters, lr=lr))
        return made[0]

    def note(images):
        rates.append(made[0].param_groups[0]["lr"])
        return images

    fit(net(), digits[0], 10, optimizer=sgd, augment=note, **OPTIONS)  # 190 steps, of which 9 rise
    falling = 0.05 * (1 + np.cos(np.pi * np.arange(181) / 181))
    np.testing.assert_allclose(rates, [*np.linspace(0.1 / 9, 0.1, 9), *falling], rtol=1e-9)


def test_a_net_trains_in_training_mode_and_is_judged_in_evaluation_mode(digits):
    """Whatever mode it comes in: batch norm's statistics move in training alone, dropout drops in training alone."""
    model = net(nn.BatchNorm1d(32), nn.Dropout(0.5)).eval()
    seen = []
    model[3].register_forward_hook(lambda layer, given, result: seen.append((layer.training, len(result))))
    fit(model, digits[0], 1, validation=digits[1], **OPTIONS)
    assert seen[:19] == [*[(True, 64)] * 18, (True, 45)] and {training for training, _ in seen[19:]} == {False}
    statistics = model[2].running_mean.clone()
    assert statistics.abs().sum() > 0 and not model.training
    model.train()
    one, other = evaluate(model, digits[1]), evaluate(model, digits[1])
    assert one == other and model.training and model[2].running_mean.equal(statistics)


@pytest.mark.parametrize(("asked", "dtype"), [(True, torch.bfloat16), (False, torch.float32), (None, torch.float32)])
def test_half_precision_is_used_in_training_and_validation_where_it_is_asked_for(asked, dtype, digits):
    model, seen = net(), set()
    model[-1].register_forward_hook(lambda layer, given, logits: seen.add((layer.training, logits.dtype)))
    fit(model, digits[0], 1, validation=digits[1], mixed_precision=asked, **OPTIONS)
    assert seen == {(True, dtype), (False, dtype)}
    assert {p.dtype for p in model.parameters()} == {torch.float32}


class Stopped(Exception):
    """In the place of a power cut."""


def stopping_after(steps):
    """An augmentation that lets so many steps pass."""
    left = iter(range(steps))

    def augment(images):
        if next(left, None) is None:
            raise Stopped
        return images

    return augment


def test_a_run_that_draws_random_numbers_goes_on_with_those_it_would_have_drawn(digits, tmp_path):
    def noisy():
        return net(nn.BatchNorm1d(32), nn.Dropout(0.5))

    whole, again, path = noisy(), noisy(), tmp_path / "net.pt"
    torch.manual_seed(1)
    wanted = fit(whole, digits[0], 3, **OPTIONS)
    half = noisy()
    torch.manual_seed(1)
    with pytest.raises(Stopped):
        fit(half, digits[0], 3, checkpoint=path, augment=stopping_after(30), **OPTIONS)
    torch.manual_seed(99)  # another process would not be where the first one was
    assert fit(again, digits[0], 3, checkpoint=path, **OPTIONS) == wanted
    for ours, theirs in zip(again.state_dict().values(), whole.state_dict().values(), strict=True):
        assert ours.equal(theirs)


def test_a_run_that_is_stopped_while_it_waits_for_the_best_stops_where_it_would_have(digits, tmp_path):
    """The file remembers the best weights and how long nothing was better: 2 epochs a time, until it ends."""
    few = (digits[0][0][:40], digits[0][1][:40])  # one step an epoch
    options = OPTIONS | {"validation": digits[1], "patience": 3}
    whole = net()
    wanted = fit(whole, few, 200, **options)
    assert 6 < len(wanted["loss"]) < 200
    for _ in range(200):
        again = net()
        try:
            found = fit(again, few, 200, checkpoint=tmp_path / "net.pt", augment=stopping_after(2), **options)
            break
        except Stopped:
            pass
    assert found == wanted
    assert evaluate(again, digits[1])["loss"] == pytest.approx(min(wanted["validation_loss"]), rel=1e-5)
    for ours, theirs in zip(again.parameters(), whole.parameters(), strict=True):
        assert ours.equal(theirs)
