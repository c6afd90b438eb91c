"""What every worker needs, imported once: by the process that workers are forked from, before it forks any."""

import gc

import torch

import autograder.ahead
import autograder.isolated
import autograder.marking
import autograder.pool
import autograder.sandbox.provisioner  # noqa: F401

torch.set_num_threads(1)  # the same sums in the same order as in a sandbox, and a core for each worker
gc.collect()
gc.freeze()  # the workers' garbage collectors leave these pages shared
