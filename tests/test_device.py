"""Where the course computes, and seeds."""

import unmagic
from unmagic.seeding import derive_seed

import random

import numpy as np
import pytest
import torch


class TestDevice:
    def test_cpu_by_name(self, monkeypatch):
        monkeypatch.setenv("UNMAGIC_DEVICE", "cpu")
        assert unmagic.device() == torch.device("cpu")

    @pytest.mark.parametrize("cuda, mps, chosen", [(True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")])
    def test_chooses_what_is_there(self, monkeypatch, cuda, mps, chosen):
        monkeypatch.delenv("UNMAGIC_DEVICE", raising=False)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        assert unmagic.device() == torch.device(chosen)

    def test_a_numbered_gpu(self, monkeypatch):
        monkeypatch.setenv("UNMAGIC_DEVICE", "cuda:1")
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
        assert unmagic.device() == torch.device("cuda:1")

    @pytest.mark.parametrize("name", ["gpu", "cuda:x", "meta", "cpu;"])
    def test_an_unknown_name_is_a_clear_error(self, monkeypatch, name):
        monkeypatch.setenv("UNMAGIC_DEVICE", name)
        with pytest.raises(ValueError, match=f"UNMAGIC_DEVICE is '{name}'.*\n Wanted: cpu, cuda"):
            unmagic.device()

    def test_a_device_that_is_not_there_is_a_clear_error(self, monkeypatch):
        monkeypatch.setenv("UNMAGIC_DEVICE", "cuda:3")
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
        with pytest.raises(RuntimeError, match=r"has 1 device\(s\) of type cuda"):
            unmagic.device()


class TestSeeds:
    def draw(self):
        return random.random(), np.random.rand(), torch.rand(1).item()

    def test_everything_repeats(self):
        own = unmagic.seed_everything(3)
        first = self.draw(), torch.rand(1, generator=own).item()
        own = unmagic.seed_everything(3)
        assert (self.draw(), torch.rand(1, generator=own).item()) == first
        unmagic.seed_everything(4)
        assert all(a != b for a, b in zip(self.draw(), first[0], strict=True))

    @pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "3", True])
    def test_refuses_what_is_no_seed(self, seed):
        with pytest.raises(ValueError, match="wanted an integer from 0"):
            unmagic.seed_everything(seed)

    def test_derived_seeds_fit_every_generator_and_differ(self):
        seeds = [derive_seed("a", i) for i in range(200)]
        assert len(set(seeds)) == 200 and all(0 <= s < 2**63 for s in seeds)
        torch.Generator().manual_seed(max(seeds))
