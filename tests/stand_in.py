"""Stands in for marking where only the pool is looked at; imported by worker processes, so it imports little."""

import os
import time


def mark(task) -> str:
    """The student's name; "killer" ends its process instead."""
    if task.student == "killer":
        time.sleep(0.5)  # so that another is being marked when it happens
        os._exit(1)
    return task.student
