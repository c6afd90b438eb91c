"""Gradients across the bridge, compared with the same function in this process."""

import gc

import pytest
import torch
from test_bridge_proxy import connect

from autograder.bridge import WireError

SOURCE = """
def bowl(w, X):
    return torch.tanh(X @ w[:2] + w[2]).square().mean()

def several(x, y=None):
    return {"sum": x.sum() + y.prod(), "parts": (x * y, x.detach() + 1), "steps": 3}

def same(x):
    return x

def in_place(x):
    x *= 2
    return x

def unused(x, y):
    return x * 2

def wave(z):
    return (z * z.conj()).real.sum() + (z ** 2).imag.sum()

def read_gradient(x):
    return x.grad * 2

def constant(x):
    return torch.ones(2)

class Net(torch.nn.Module):
    def __init__(self, n):
        super().__init__()
        self.inner = torch.nn.Linear(n, 1, dtype=torch.float64)
        self.drop = torch.nn.Dropout(0.5)

    def forward(self, x):
        return self.drop(self.inner(x))
"""


@pytest.fixture
def bridge():
    return connect(SOURCE)


@pytest.fixture
def local():
    names = {"torch": torch}
    exec(SOURCE, names)
    return names


def numbers(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype).requires_grad_()


class TestFunctions:
    def test_gradients_are_those_of_the_same_function_here(self, bridge, local):
        grads = []
        for bowl in (bridge.get("bowl"), local["bowl"]):
            w, X = numbers(3), numbers(5, 2, seed=1)
            loss = bowl(w, X)
            (3 * loss).backward()
            grads.append((loss.detach(), w.grad, X.grad))
        assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True))

    @pytest.mark.parametrize(
        "name, inputs",
        [
            pytest.param("bowl", [(3,), (4, 2)], id="two inputs"),
            pytest.param("several", [(3,), (3,)], id="a dict of results"),
            pytest.param("same", [(2, 2)], id="the argument itself"),
            pytest.param("unused", [(2,), (2,)], id="an input without influence"),
        ],
    )
    def test_gradcheck(self, bridge, name, inputs):
        function = bridge.get(name)

        def tensors_of(*args):
            result = function(*args)
            return (result["sum"], result["parts"][0]) if type(result) is dict else result

        assert torch.autograd.gradcheck(tensors_of, [numbers(*shape, seed=n) for n, shape in enumerate(inputs)])

    def test_gradcheck_of_complex_numbers(self, bridge):
        z = torch.randn(3, dtype=torch.complex128, generator=torch.Generator().manual_seed(0)).requires_grad_()
        assert torch.autograd.gradcheck(bridge.get("wave"), z)

    def test_a_wrong_gradient_is_found(self):
        wrong = connect("""
            class Wrong(torch.autograd.Function):
                @staticmethod
                def forward(ctx, x): return x * x
                @staticmethod
                def backward(ctx, g): return g
            f = Wrong.apply
        """).get("f")
        with pytest.raises(RuntimeError, match="Jacobian mismatch"):
            torch.autograd.gradcheck(wrong, numbers(2))

    def test_which_results_require_grad_is_as_here(self, bridge, local):
        for several in (bridge.get("several"), local["several"]):
            result = several(numbers(2), y=numbers(2))
            assert [t.requires_grad for t in (result["sum"], *result["parts"])] == [True, True, False]
        assert not bridge.get("constant")(numbers(2)).requires_grad
        with torch.no_grad():
            assert not bridge.get("bowl")(numbers(3), numbers(2, 2)).requires_grad

    def test_inputs_with_a_history_may_be_changed_in_place_and_leaves_may_not(self, bridge):
        w = numbers(2)
        bridge.get("in_place")(w * 3).sum().backward()
        assert w.grad.tolist() == [6, 6]
        with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
            bridge.get("in_place")(w)

    def test_calls_chain(self, bridge):
        w = numbers(2)
        double = bridge.get("unused")
        double(double(w, w), w).sum().backward()
        assert w.grad.tolist() == [4, 4]

    def test_one_backward_after_another_adds_up(self, bridge):
        w = numbers(2)
        result = bridge.get("unused")(w, w)
        result.sum().backward()
        bridge.get("unused")(w, w).sum().backward()
        assert w.grad.tolist() == [4, 4]

    def test_the_gradient_of_an_argument_is_seen_over_there(self, bridge):
        w = numbers(2)
        w.grad = torch.ones(2, dtype=torch.float64)
        assert bridge.get("read_gradient")(w).tolist() == [2, 2]

    def test_a_second_derivative_is_refused_with_the_reason(self, bridge):
        w = numbers(3)
        loss = bridge.get("bowl")(w, numbers(4, 2).detach())
        (slope,) = torch.autograd.grad(loss, w, create_graph=True)
        assert slope.shape == (3,)
        with pytest.raises(WireError, match="a second derivative through the student's function cannot cross"):
            slope.sum().backward()

    def test_the_graph_over_there_is_forgotten_with_the_result(self, bridge):
        w = numbers(2)
        results = [bridge.get("unused")(w, w) for _ in range(5)]
        assert len(bridge.student._tapes) == 5
        del results
        gc.collect()
        bridge.names()
        assert len(bridge.student._tapes) == 0

    @pytest.mark.parametrize("lie", ["[torch.zeros(7)]", "[torch.zeros(3)]", "['x']", "[]", "None"])
    def test_gradients_of_another_form_are_refused(self, bridge, lie):
        w = numbers(3)
        loss = bridge.get("bowl")(w, numbers(4, 2).detach())
        (tape,) = bridge.student._tapes.values()
        tape.vjp = lambda gradients: (eval(lie), False)
        with pytest.raises((WireError, ValueError)):
            loss.backward()
        assert w.grad is None


class TestModules:
    def test_state_parameters_and_mode(self, bridge):
        net = bridge.get("Net")(3)
        assert list(net.state_dict()) == ["inner.weight", "inner.bias"]
        net.load_state_dict({"inner.weight": torch.ones(1, 3), "inner.bias": torch.zeros(1)})
        assert [p.tolist() for p in net.parameters()] == [[[1, 1, 1]], [0]]
        assert all(type(p) is torch.nn.Parameter for _, p in net.named_parameters())
        assert (net.eval().training, net.train().training) == (False, True)
        assert net.eval()(torch.ones(2, 3, dtype=torch.float64)).tolist() == [[3], [3]]

    def test_backward_reaches_the_students_parameters_and_grad_does_not(self, bridge):
        net = bridge.get("Net")(2).eval()
        x = numbers(4, 2)
        torch.autograd.grad(net(x).sum(), x)
        assert net.inner.weight.grad is None
        net(x).sum().backward()
        torch.testing.assert_close(net.inner.weight.grad, x.detach().sum(0, keepdim=True))
        torch.testing.assert_close(x.grad, net.inner.weight.detach().expand(4, 2))
        net(x.detach()).sum().backward()
        torch.testing.assert_close(net.inner.weight.grad, 2 * x.detach().sum(0, keepdim=True))
        net.zero_grad()
        assert net.inner.weight.grad is None
