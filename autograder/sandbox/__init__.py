"""Walls around a hand-in: its kernel sees a read-only system, its own small folder, and nothing else.

`linux.py` the system calls, `limits.py` what a hand-in may use, `walls.py` the outer walls that a warm parent lives in,
`parent.py` the warm parent itself (runs inside), `client.py` asks it for kernels, `provisioner.py` gives them to
Jupyter.
"""
