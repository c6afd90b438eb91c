"""Gradients across the bridge: a backward pass here asks the student's side for a vector–Jacobian product."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from autograder.bridge.codec import WireError

Vjp = Callable[[list[torch.Tensor | None]], tuple[list[torch.Tensor | None], bool]]


class Tape:
    """A request's results on the student's side, for as long as something here may go backward through them.

    vjp(gradients)   gradients of the results (None: not wanted) to those of the inputs, and whether the student's own
                     leaves (a module's parameters) got some too
    accumulate()     adds those to the leaves' `.grad`, as `backward()` does and `torch.autograd.grad` does not
    """

    def __init__(self, vjp: Vjp, accumulate: Callable[[], Any]):
        self.vjp, self.accumulate = vjp, accumulate
        self.pending = False


def connect(tape: Tape, results: list[torch.Tensor], inputs: list[torch.Tensor]) -> list[torch.Tensor]:
    """`results`, which came without history, as functions of `inputs`, which require grad, by way of the student.

    They can be differentiated once. Without inputs they still require grad, for the sake of the student's own leaves.
    """
    # a leaf that nobody sees: only `backward()` accumulates into it, and then the student's leaves get theirs
    anchor = torch.zeros((), requires_grad=True)
    anchor.register_post_accumulate_grad_hook(lambda _: tape.accumulate() if tape.pending else None)
    with torch.enable_grad():
        return list(_Across.apply(tape, results, anchor, *inputs))


class _Across(torch.autograd.Function):
    @staticmethod
    def forward(ctx, tape: Tape, results: list[torch.Tensor], anchor: torch.Tensor, *inputs: torch.Tensor):
        ctx.set_materialize_grads(False)
        ctx.tape = tape
        ctx.like = [(tensor.shape, tensor.dtype, tensor.device) for tensor in inputs]
        return tuple(results)

    @staticmethod
    def backward(ctx, *gradients: torch.Tensor | None):
        again = torch.is_grad_enabled()
        with torch.no_grad():
            found, ctx.tape.pending = ctx.tape.vjp([None if g is None else g.detach() for g in gradients])
        for gradient, (shape, dtype, device) in zip(found, ctx.like, strict=True):
            if gradient is not None and (gradient.shape, gradient.dtype, gradient.device) != (shape, dtype, device):
                raise WireError("the student's side gave a gradient of another shape, dtype or device")
        if again:  # create_graph=True: fine as long as nobody goes backward through the gradient itself
            some = [gradient for gradient in found if gradient is not None]
            once = iter(_Once.apply(torch.zeros((), requires_grad=True), *some))
            found = [None if gradient is None else next(once) for gradient in found]
        return None, None, torch.zeros(()), *found


class _Once(torch.autograd.Function):
    """The identity for `tensors`, whose backward says what is not possible. `anchor` requires grad, so there is one."""

    @staticmethod
    def forward(ctx, anchor: torch.Tensor, *tensors: torch.Tensor):
        return tuple(tensor.clone() for tensor in tensors)

    @staticmethod
    def backward(ctx, *gradients: torch.Tensor | None):
        raise WireError(
            "a second derivative through the student's function cannot cross; compare first derivatives, or let the "
            "student's code take both"
        )
