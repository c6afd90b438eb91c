"""Stands in for marking where only the pool is looked at; imported by worker processes, so it imports little."""

import os
import sys
import time


def mark(task) -> str:
    """The student's name; "killer" ends its process instead."""
    if task.student == "killer":
        time.sleep(0.5)  # so that another is being marked when it happens
        os._exit(1)
    return task.student


def about_me(_) -> dict:
    """What a worker is, told before it has done anything."""
    before = "torch" in sys.modules
    import torch

    from autograder.sandbox.provisioner import parent_of_kernels

    time.sleep(0.5)  # the other worker gets something to do as well
    place = parent_of_kernels(cold=True)
    return {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "torch_before": before,
        "threads": torch.get_num_threads(),
        "folder": str(place.folder),
        "place": place.number,
    }
