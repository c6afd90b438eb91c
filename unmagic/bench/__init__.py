"""How long the course's computations take, here: `python -m unmagic.bench`.

Needs what `import unmagic` needs and no more, so it runs from a checkout on a bare GPU machine.
"""
