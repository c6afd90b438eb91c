"""What each check accepts, and what it says about what it does not."""

from unmagic import checks

import pickle

import numpy as np
import pytest
import torch

F32 = torch.float32


def failure(function, *args, **kwargs) -> checks.CheckError:
    with pytest.raises(checks.CheckError) as caught:
        function(*args, **kwargs)
    return caught.value


X = torch.tensor([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])  # (2, 3)


class TestTellsErrorsApart:
    """Each fault has its kind; the first in the order type, shape, dtype, device, NaN, value is what is reported."""

    @pytest.mark.parametrize(
        "actual, expected, kind",
        [
            pytest.param(None, X, "type", id="forgotten-return"),
            pytest.param(X.tolist(), X, "type", id="list-for-tensor"),
            pytest.param(X.numpy(), X, "type", id="array-for-tensor"),
            pytest.param("0.5", 0.5, "type", id="string-for-number"),
            pytest.param(True, 1.0, "type", id="bool-for-number"),
            pytest.param(1.0, True, "type", id="number-for-bool"),
            pytest.param(np.array([None]), X, "type", id="object-array"),
            pytest.param(X.T, X, "shape", id="transposed"),
            pytest.param(X[0, :1], 0.0, "shape", id="one-entry-for-number"),
            pytest.param(X.double(), X, "dtype", id="float64-for-float32"),
            pytest.param(X.to("meta"), X, "device", id="other-device"),
            pytest.param(X.T.double() * torch.nan, X, "shape", id="shape-before-dtype-before-nan"),
            pytest.param(X.double() * torch.nan, X, "dtype", id="dtype-before-nan"),
            pytest.param(X / X[:, :1], X, "nan", id="nan-where-finite"),
            pytest.param(X + torch.inf, X, "nan", id="infinity-where-finite"),
            pytest.param(X, X * torch.nan, "value", id="finite-where-nan-is-right"),
            pytest.param(-X / 0, X / 0, "value", id="infinity-of-other-sign"),
            pytest.param(X + 1e-3, X, "value", id="off"),
            pytest.param(X.long() + 1, X.long(), "value", id="integers-off-by-one"),
            pytest.param(torch.tensor([2**53 + 1]), torch.tensor([2**53]), "value", id="integers-above-2**53"),
            pytest.param(X > 1, X > 2, "value", id="bools"),
            pytest.param((X,), (X, X), "length", id="too-few-results"),
            pytest.param((X, X + 1), (X, X), "value", id="second-result"),
            pytest.param({"w": X}, {"b": X}, "keys", id="other-keys"),
            pytest.param({"w": X + 1}, {"w": X}, "value", id="inside-a-dict"),
        ],
    )
    def test_assert_close(self, actual, expected, kind):
        assert failure(checks.assert_close, actual, expected).kind == kind

    @pytest.mark.parametrize(
        "actual, expected",
        [
            pytest.param(X + 1e-7, X, id="rounding"),
            pytest.param(torch.nn.Parameter(X), X, id="parameter"),
            pytest.param(X.clone().requires_grad_() * 1, X, id="with-history"),
            pytest.param(X.to_sparse(), X, id="sparse"),
            pytest.param(torch.tensor(0.5), 0.5, id="scalar-tensor-for-number"),
            pytest.param(0.5, torch.tensor(0.5), id="number-for-scalar-tensor"),
            pytest.param(np.float32(0.5), 0.5, id="numpy-number"),
            pytest.param(1, 1.0, id="int-for-float"),
            pytest.param(X, X.numpy(), id="tensor-for-array"),
            pytest.param(X.double(), X.numpy(), id="dtype-is-not-judged-against-an-array"),
            pytest.param([X, 1.0], (X, 1.0), id="list-for-tuple"),
            pytest.param(X / 0, X / 0, id="nan-and-infinity-where-right"),
            pytest.param(X[:0], X[:0], id="empty"),
            pytest.param(X + 1j, X + 1j, id="complex"),
            pytest.param({"a": [X, None]}, {"a": (X, None)}, id="nested"),
        ],
    )
    def test_assert_close_accepts(self, actual, expected):
        checks.assert_close(actual, expected)

    @pytest.mark.parametrize("seed", range(20))
    def test_verdict_is_torch_testings_on_random_errors_about_the_tolerance(self, seed):
        """The oracle is torch.testing.assert_close with the same tolerances."""
        g = torch.Generator().manual_seed(seed)
        verdicts = set()
        for dtype in (torch.float32, torch.float64):
            for scale in (0.3, 0.9, 1.1, 3.0):
                wanted = torch.randn(50, generator=g, dtype=dtype)
                found = wanted + scale * (1e-3 + 1e-2 * wanted.abs()) * (2 * torch.rand(50, generator=g) - 1).round(
                    decimals=1
                )
                try:
                    torch.testing.assert_close(found, wanted, rtol=1e-2, atol=1e-3)
                    right = True
                except AssertionError:
                    right = False
                verdicts.add(right)
                if right:
                    checks.assert_close(found, wanted, rtol=1e-2, atol=1e-3)
                else:
                    assert failure(checks.assert_close, found, wanted, rtol=1e-2, atol=1e-3).kind == "value"
        assert verdicts == {True, False}


class TestMessages:
    def test_value_says_worst_entry_its_index_the_tolerance_and_the_hint(self):
        found = X.clone()
        found[1, 0], found[0, 1] = 3.5, 1.01
        error = failure(checks.assert_close, found, X, rtol=0.0, atol=0.25, name="loss", hint="take the mean")
        assert str(error) == (
            "loss: 1 of 6 entries are wrong.\n"
            " Worst at [1, 0]: found 3.5, wanted 3 (off by 0.5, allowed 0.25)."
            " Tolerance: atol 0.25 + rtol 0 × |wanted|.\n"
            " Hint: take the mean"
        )
        assert (error.kind, error.name, error.hint) == ("value", "loss", "take the mean")

    def test_worst_is_relative_to_what_is_allowed_there(self):
        wanted = torch.tensor([1000.0, 1.0])
        assert "at [1]" in str(failure(checks.assert_close, wanted + torch.tensor([1.0, 0.5]), wanted))

    @pytest.mark.parametrize(
        "actual, expected, says",
        [
            pytest.param(X * 2, X, "Everywhere about 2 × what is wanted.", id="factor"),
            pytest.param(-X, X, "Everywhere about -1 × what is wanted.", id="sign"),
            pytest.param(X + 1, X, "Everywhere about 1 more than what is wanted.", id="shift"),
            pytest.param(X * 0, X, "Every entry found is 0.", id="zeros"),
            pytest.param(X[:, :2].T, X[:, :2], "It is the transpose of what is wanted.", id="transpose"),
            pytest.param(X.T, X, "It looks transposed.", id="transposed-shape"),
            pytest.param(X[None], X, "They differ by axes of length 1", id="extra-axis"),
            pytest.param(X[:, :2], X, "Found (2, 2), wanted (2, 3). Axis 1 differs.", id="axis"),
            pytest.param(X[0], X, "Found 1 axes, wanted 2.", id="number-of-axes"),
            pytest.param(X * torch.nan, X, "6 of 6 entries are not-a-number", id="nan"),
            pytest.param(None, X, "is a `return` missing?", id="none"),
        ],
    )
    def test_says_what_it_looks_like(self, actual, expected, says):
        assert says in str(failure(checks.assert_close, actual, expected))

    def test_a_random_answer_resembles_nothing(self):
        g = torch.Generator().manual_seed(0)
        error = failure(checks.assert_close, torch.randn(5, 5, generator=g), torch.randn(5, 5, generator=g))
        assert len(str(error).splitlines()) == 2

    def test_entries_of_containers_are_named(self):
        error = failure(checks.assert_close, {"grad": (X, X + 1)}, {"grad": (X, X)}, name="step")
        assert error.name == "step['grad'][1]" and str(error).startswith("step['grad'][1]: ")

    def test_error_survives_pickling(self):
        error = failure(checks.assert_close, X + 1, X, name="loss", hint="mean")
        again = pickle.loads(pickle.dumps(error))
        assert (str(again), again.kind, again.name, again.hint) == (str(error), "value", "loss", "mean")


class Liar:
    """Equal to everything, true, and of every shape."""

    shape, dtype, device, ndim = (2, 3), F32, torch.device("cpu"), 2
    __class__ = torch.Tensor  # isinstance is fooled by this

    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False

    def __hash__(self):
        return hash("w")

    def __bool__(self):
        return True

    def __repr__(self):
        raise AssertionError("a check called code of the object it judges")


class LyingTensor(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return torch.tensor(True)


class LyingFloat(float):
    def __eq__(self, other):
        return True

    __hash__ = float.__hash__


class LyingList(list):
    def __len__(self):
        return 1

    def __iter__(self):
        return iter([1.0])


LYING_TENSOR = torch.zeros(2, 3).as_subclass(LyingTensor)


class TestIsNotFooled:
    """Objects that answer for themselves are errors of kind "type", and nothing of theirs is called."""

    @pytest.mark.parametrize("value", [Liar(), LYING_TENSOR, LyingFloat(1.0)], ids=["object", "tensor", "float"])
    @pytest.mark.parametrize(
        "check",
        [
            pytest.param(lambda v: checks.assert_close(v, X), id="close"),
            pytest.param(lambda v: checks.assert_close(v, 1.0), id="close-number"),
            pytest.param(lambda v: checks.assert_close([v], [1.0]), id="close-list"),
            pytest.param(lambda v: checks.assert_equal(v, "w"), id="equal-string"),
            pytest.param(lambda v: checks.assert_equal(v, None), id="equal-none"),
            pytest.param(lambda v: checks.assert_equal({v}, {"w"}), id="equal-set"),
            pytest.param(lambda v: checks.assert_shape(v, (2, 3)), id="shape"),
            pytest.param(lambda v: checks.assert_dtype(v, F32), id="dtype"),
            pytest.param(lambda v: checks.assert_device(v, "cpu"), id="device"),
            pytest.param(lambda v: checks.assert_finite(v), id="finite"),
            pytest.param(lambda v: checks.assert_in_range(v, 0, 1), id="range"),
            pytest.param(lambda v: checks.assert_true(v, "no"), id="true"),
        ],
    )
    def test_by_value(self, check, value):
        assert failure(check, value).kind == "type"

    def test_by_a_key_that_equals_every_key(self):
        assert failure(checks.assert_equal, {Liar(): 1}, {"w": 1}).kind == "keys"

    def test_by_a_list_that_hides_its_entries(self):
        assert failure(checks.assert_close, LyingList([2.0]), [1.0]).kind == "value"

    def test_by_attributes_hung_on_a_true_tensor(self):
        wrong = X + 1
        for method in ("detach", "cpu", "to", "sub", "double", "__sub__"):
            setattr(wrong, method, lambda *args, **kwargs: X)
        assert failure(checks.assert_close, wrong, X).kind == "value"


class TestAssertEqual:
    @pytest.mark.parametrize(
        "value", ["mean", None, 3, (1, 2), torch.Size([2]), {"a", 1}, {1: [X]}, F32, b"x", slice(3)]
    )
    def test_accepts_itself(self, value):
        checks.assert_equal(value, value)

    @pytest.mark.parametrize(
        "actual, expected, kind",
        [
            ("mean", "sum", "value"),
            ([1, 2], (1, 2), "type"),
            ((1, 2), (2, 1), "value"),
            ({1}, {2}, "value"),
            (1.0, 1.0 + 1e-12, "value"),
            (X + 1e-6, X, "value"),
            (3, None, "type"),
        ],
    )
    def test_refuses(self, actual, expected, kind):
        assert failure(checks.assert_equal, actual, expected).kind == kind


class TestSmallChecks:
    def test_shape_takes_any_length_where_none_is_given(self):
        checks.assert_shape(X, (None, 3))
        checks.assert_shape(X[0], 3)
        checks.assert_shape(0.5, ())
        assert "wanted (any, 4)" in str(failure(checks.assert_shape, X, (None, 4)))

    def test_dtype_and_device(self):
        checks.assert_dtype(X, F32)
        checks.assert_device(X, "cpu")
        assert failure(checks.assert_dtype, X.long(), F32).kind == "dtype"
        assert failure(checks.assert_device, X, "cuda").kind == "device"

    def test_finite(self):
        checks.assert_finite(X)
        assert "at [0, 0]: nan" in str(failure(checks.assert_finite, X / X))
        assert failure(checks.assert_finite, torch.inf).kind == "nan"

    def test_range_includes_its_ends_and_an_open_side(self):
        checks.assert_in_range(X, 0, 5)
        checks.assert_in_range(7, 0, None)
        assert (
            str(failure(checks.assert_in_range, X, 0, 4, name="p"))
            == "p: out of range.\n Found 5 at [1, 2], wanted 0 to 4."
        )
        assert failure(checks.assert_in_range, -1, 0, None).kind == "range"
        assert failure(checks.assert_in_range, torch.nan, 0, 1).kind == "nan"

    def test_true_takes_truth_values_only(self):
        for truth in (True, np.True_, torch.tensor(True)):
            checks.assert_true(truth, "no")
        assert str(failure(checks.assert_true, X.sum() < 0, "the loss is negative", hint="square it")).endswith(
            "square it"
        )
        assert failure(checks.assert_true, 1, "no").kind == "type"

    def test_unchanged(self):
        before = X.clone()
        checks.assert_unchanged(before, X)
        error = failure(checks.assert_unchanged, before, X + 1, name="w", hint="do not use +=")
        assert error.kind == "changed" and "w: your function changed its argument" in str(error)
        assert failure(checks.assert_unchanged, X, X.double()).kind == "changed"


class TestAssertRaises:
    def test_accepts_the_error_with_the_words(self):
        checks.assert_raises(ValueError, int, "x", match="invalid literal")

    def test_says_which_error_came_instead(self):
        error = failure(checks.assert_raises, KeyError, int, "x", hint="look the name up")
        assert error.kind == "raises" and "Found ValueError: invalid" in str(error) and "Wanted KeyError" in str(error)

    def test_refuses_silence_and_other_words(self):
        assert "raised no error" in str(failure(checks.assert_raises, ValueError, int, "3"))
        assert "does not say enough" in str(failure(checks.assert_raises, ValueError, int, "x", match="positive"))

    def test_an_unwritten_stub_does_not_count_as_a_runtime_error(self):
        def stub():
            raise NotImplementedError

        assert failure(checks.assert_raises, RuntimeError, stub).kind == "raises"
        checks.assert_raises(NotImplementedError, stub)
