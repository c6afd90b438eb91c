"""The codec: what goes in comes out, and whatever bytes come, nothing but a WireError and nothing beyond the caps."""

import collections
import contextlib
import dataclasses
import json
import math
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn

from autograder.bridge import LIMITS, Limits, Message, Record, WireError, decode, encode
from autograder.bridge.transport import PREFIX, frame, read_frame
from autograder.bridge.wire import DTYPES

SETTINGS = settings(max_examples=80, deadline=None, derandomize=True)
SMALL = Limits(total=1 << 16, header=1 << 14, depth=8, items=500)


def there_and_back(value, limits=LIMITS):
    return decode(*encode(value, limits=limits), limits=limits)


def raw(value):
    """A tensor or array as bytes, so that NaN equals NaN and 0.0 differs from -0.0."""
    if isinstance(value, torch.Tensor):
        value = value.detach().resolve_conj().resolve_neg().contiguous()
        return value.reshape(-1).view(torch.uint8).numpy().tobytes() if value.numel() else b""
    return value.tobytes()


def same(a, b):
    """Equal in exact type and content, all the way down."""
    if type(a) is not type(b):
        return False
    if isinstance(a, torch.Tensor):
        gradients = (a.grad is None) == (b.grad is None) and (a.grad is None or same(a.grad, b.grad))
        return (
            (a.dtype, a.shape, a.device, a.requires_grad) == (b.dtype, b.shape, b.device, b.requires_grad)
            and raw(a) == raw(b)
            and gradients
        )
    if isinstance(a, np.ndarray | np.generic):
        return (a.dtype, a.shape) == (b.dtype, b.shape) and raw(a) == raw(b)
    if isinstance(a, float):
        return math.copysign(1, a) == math.copysign(1, b) and (a == b or (math.isnan(a) and math.isnan(b)))
    if isinstance(a, complex):
        return same(a.real, b.real) and same(a.imag, b.imag)
    if isinstance(a, Record):
        return a._fields == b._fields and same(tuple(a), tuple(b))
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return len(a) == len(b) and all(same(k, m) and same(v, w) for (k, v), (m, w) in zip(a.items(), b.items()))  # noqa: B905
    if isinstance(a, slice):
        return same((a.start, a.stop, a.step), (b.start, b.stop, b.step))
    if isinstance(a, torch.Generator):
        return torch.equal(a.get_state(), b.get_state())
    return a == b


KEYS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=300), st.binary(max_size=20), st.floats(allow_nan=False)
)
BITS = st.tuples(st.sampled_from(sorted(DTYPES)), st.lists(st.integers(0, 4), max_size=4), st.integers(0, 2**32 - 1))


@st.composite
def tensors(draw):
    """Tensors of every dtype from random bits (NaN payloads included); contiguous, transposed, sliced or expanded."""
    name, shape, seed = draw(BITS)
    dtype = DTYPES[name]
    generator = torch.Generator().manual_seed(seed)
    if dtype == torch.bool:
        tensor = torch.randint(0, 2, shape, generator=generator).bool()
    else:
        size = torch.empty((), dtype=dtype).element_size()
        tensor = torch.randint(0, 256, [*shape, size], generator=generator, dtype=torch.uint8).view(dtype).squeeze(-1)
        tensor = tensor.reshape(shape)
    match draw(st.integers(0, 3)):
        case 1:
            tensor = tensor.permute(tuple(reversed(range(tensor.dim()))))
        case 2:
            tensor = tensor[None].expand(3, *shape)
        case 3 if shape:
            tensor = tensor[::2]
    return tensor.requires_grad_() if draw(st.booleans()) and (dtype.is_floating_point or dtype.is_complex) else tensor


@st.composite
def arrays(draw):
    name, shape, seed = draw(BITS.filter(lambda bits: "bfloat" not in bits[0] and "float8" not in bits[0]))
    data = np.random.default_rng(seed).integers(0, 2 if name == "bool" else 100, shape).astype(name)
    return data.T if draw(st.booleans()) else data


LEAVES = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.complex_numbers(), st.text(), st.binary()),
    st.text(min_size=257, max_size=400),
    *(tensors(), arrays(), arrays().filter(lambda a: a.size).map(lambda a: a.flat[0])),
    st.slices(9),
    st.builds(range, st.integers(-9, 9), st.integers(-9, 9), st.integers(1, 3)),
    st.sampled_from([..., torch.float32, torch.bool, torch.device("cpu"), torch.Size([2, 0])]),
    st.sets(KEYS, max_size=4),
    st.frozensets(st.integers(), max_size=4),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(KEYS, inner, max_size=4),
        st.dictionaries(st.text(max_size=3), inner, max_size=3).map(collections.OrderedDict),
    ),
    max_leaves=12,
)


class TestWhatGoesInComesOut:
    @SETTINGS
    @given(VALUES)
    def test_any_data(self, value):
        assert same(there_and_back(value), value)

    @pytest.mark.parametrize("name", sorted(DTYPES))
    @pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (2, 3)], ids=str)
    def test_every_dtype_and_shape(self, name, shape):
        tensor = torch.ones(shape).to(DTYPES[name])
        assert same(there_and_back(tensor), tensor)

    @pytest.mark.parametrize(
        "value",
        [
            pytest.param(2**63, id="just above 64 bits"),
            pytest.param(-(10**5000), id="more digits than Python parses in decimal"),
            pytest.param(float("nan"), id="nan"),
            pytest.param(-0.0, id="minus zero"),
            pytest.param(complex(float("inf"), -0.0), id="infinite complex"),
            pytest.param("\ud800 half a surrogate", id="lone surrogate"),
            pytest.param("\ud800" * 300, id="long lone surrogates"),
            pytest.param(np.float64(0.1), id="a NumPy float, which is a subclass of float"),
            pytest.param(np.zeros(()), id="array without axes"),
            pytest.param(np.zeros((0, 3)), id="array without entries"),
            pytest.param(torch.ones(2, dtype=torch.cfloat).conj(), id="lazily conjugated"),
            pytest.param(torch.arange(6).view(2, 3).T, id="transposed"),
        ],
    )
    def test_edge_cases(self, value):
        assert same(there_and_back(value), value)

    def test_a_parameter_stays_one_and_keeps_its_gradient(self):
        parameter = nn.Parameter(torch.ones(2))
        parameter.grad = torch.tensor([1.0, 2.0])
        back = there_and_back([parameter, nn.Parameter(torch.ones(1), requires_grad=False)])
        assert same(back[0], parameter)
        assert type(back[1]) is nn.Parameter
        assert not back[1].requires_grad

    def test_a_generator_is_a_copy_of_its_state(self):
        generator = torch.Generator().manual_seed(3)
        torch.rand(5, generator=generator)
        back = there_and_back(generator)
        assert torch.equal(torch.rand(4, generator=back), torch.rand(4, generator=generator))

    def test_named_tuples_are_tuples_with_names(self):
        Pair = collections.namedtuple("Pair", "left right")
        mine, torchs = there_and_back([Pair(1, [2]), torch.tensor([1.0, 3.0]).max(0)])
        assert (type(mine), mine, mine.right, mine._fields) == (Record, (1, [2]), [2], ("left", "right"))
        assert (torchs.values, torchs.indices) == (3, 1)
        assert same(there_and_back(mine), mine)
        with pytest.raises(AttributeError, match="no field 'middle'; it has left, right"):
            mine.middle  # noqa: B018

    def test_one_tensor_sent_twice_stays_one_and_is_sent_once(self):
        tensor = torch.zeros(1000)
        first, second = there_and_back([tensor, tensor])
        assert first is second
        assert len(encode([tensor, tensor]).body) < 1.5 * tensor.nbytes

    def test_views_of_one_memory_come_out_apart(self):
        base = torch.arange(6.0)
        left, right = there_and_back([base[:4], base[2:]])
        left.zero_()
        assert right.tolist() == [2, 3, 4, 5]

    def test_what_comes_out_is_a_copy(self):
        tensor, array = torch.zeros(2), np.zeros(2)
        out = there_and_back([tensor, array])
        out[0] += 1
        out[1] += 1
        assert tensor.sum() == array.sum() == 0

    def test_big_endian_arrays_come_out_in_the_machines_order(self):
        back = there_and_back(np.array([1, 2], dtype=">i4"))
        assert (back.dtype, back.tolist()) == (np.dtype("int32"), [1, 2])


class Sneaky(int):
    pass


class TensorThatLies(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        return True


class TestWhatMayNotCross:
    @pytest.mark.parametrize(
        "value, message",
        [
            pytest.param(Sneaky(3), "an object of type 'Sneaky'", id="subclass of int"),
            pytest.param(torch.ones(2).as_subclass(TensorThatLies), "type 'TensorThatLies'", id="subclass of Tensor"),
            pytest.param(np.ma.array([1]), "an object of type 'MaskedArray'", id="subclass of ndarray"),
            pytest.param(collections.Counter("a"), "an object of type 'Counter'", id="subclass of dict"),
            pytest.param(np.array([{}]), "an object of type 'ndarray'", id="array of objects"),
            pytest.param(torch.eye(2).to_sparse(), "an object of type 'Tensor'", id="sparse"),
            pytest.param(torch.empty(2, device="meta"), "an object of type 'Tensor'", id="meta"),
            pytest.param(lambda x: x, "the function .*lambda", id="function"),
            pytest.param(Sneaky, "the class 'Sneaky'", id="class"),
            pytest.param(1 << (1 << 17), "an integer of 131073 bits", id="huge integer"),
        ],
    )
    def test_is_a_wire_error_that_says_what_was_found(self, value, message):
        with pytest.raises(WireError, match=message):
            encode(value)

    def test_the_error_knows_the_way_to_the_value(self):
        with pytest.raises(WireError) as error:
            encode({"a": [0, (1, {"b": Sneaky()})]})
        assert error.value.path == ("a", 1, 1, "b")

    def test_tensors_inside_a_transform(self):
        with pytest.raises(WireError, match=r"inside torch\.func"):
            torch.func.vmap(encode)(torch.ones(3))

    def test_a_list_that_holds_itself(self):
        value = []
        value.append(value)
        with pytest.raises(WireError, match="nested more than 64 deep"):
            encode(value)

    def test_a_list_that_doubles_thirty_times(self):
        value = []
        for _ in range(30):
            value = [value, value]
        with pytest.raises(WireError, match="more than 500 values"):
            encode(value, limits=dataclasses.replace(SMALL, depth=64))

    def test_an_expanded_tensor_is_refused_before_it_is_written_out(self):
        with pytest.raises(WireError, match="4000000000000 bytes in all"):
            encode(torch.zeros(()).expand(10**6, 10**6))


def message(value, tensors=(), body=b""):
    return Message(json.dumps({"tensors": list(tensors), "value": value}).encode(), body)


BODY = encode(torch.arange(3.0)).body
ENTRY = ["tensor", "float32", "cpu", 0, None]


class TestHostileBytes:
    @pytest.mark.parametrize(
        "bad",
        [
            pytest.param(Message(b"", b""), id="nothing"),
            pytest.param(Message(b"[]", b""), id="no object"),
            pytest.param(Message(b'{"tensors": [], "value": NaN}', b""), id="a number JSON does not have"),
            pytest.param(Message(b'{"tensors": [], "value": 1e999}', b""), id="a float too large"),
            pytest.param(Message(b'{"tensors": [], "value": ' + b"9" * 5000 + b"}", b""), id="an integer too long"),
            pytest.param(Message(b'{"tensors": [], "value": "\xff"}', b""), id="no ASCII"),
            pytest.param(message({"a": 1}), id="an object as value"),
            pytest.param(message([]), id="no kind"),
            pytest.param(message([["list"]]), id="a list as kind"),
            pytest.param(message(["eval", "1"]), id="unknown kind"),
            pytest.param(message(["int", "__import__('os')"]), id="an integer that is code"),
            pytest.param(message(["float", "1e5"]), id="a float in words"),
            pytest.param(message(["dict", 1, 2, 1, 3]), id="the same key twice"),
            pytest.param(message(["dict", ["list"], 2]), id="a key without hash"),
            pytest.param(message(["dict", 1]), id="a key without value"),
            pytest.param(message(["set", 1, 1]), id="the same entry twice"),
            pytest.param(message(["record", ["a"], 1, 2]), id="names that do not fit"),
            pytest.param(message(["range", 0, 1, 0]), id="a step of zero"),
            pytest.param(message(["size", "a"]), id="a size of strings"),
            pytest.param(message(["dtype", "qint8"]), id="another dtype"),
            pytest.param(message(["device", "meta"]), id="another device"),
            pytest.param(message(["handle", 1]), id="a handle"),
            pytest.param(message(["name", "torch:relu"]), id="a name"),
            pytest.param(message(["generator", "cpu", 0], [ENTRY], BODY), id="a generator's state that is none"),
            pytest.param(message(["tensor", 0]), id="no such tensor"),
            pytest.param(message(["tensor", -1], [ENTRY], BODY), id="a tensor counted from the end"),
            pytest.param(message(["array", 0], [ENTRY], BODY), id="a tensor called an array"),
            pytest.param(message(None, [ENTRY, ENTRY], BODY), id="fewer tensors than announced"),
            pytest.param(message(None, [], BODY), id="more tensors than announced"),
            pytest.param(message(None, [["tensor", "float64", "cpu", 0, None]], BODY), id="another dtype than sent"),
            pytest.param(message(None, [["tensor", "int32", "cpu", 1, None]], BODY), id="int with a gradient"),
            pytest.param(message(None, [["tensor", "float32", "cpu", 1, 0]], BODY), id="its own gradient"),
            pytest.param(message(None, [["pickle", "float32"]], BODY), id="unknown kind of tensor"),
            pytest.param(message(None, [ENTRY], BODY[:-1]), id="body cut off"),
            pytest.param(message(None, [ENTRY], b"\xff" * 8 + BODY[8:]), id="body whose header has no end"),
        ],
    )
    def test_is_a_wire_error(self, bad):
        with pytest.raises(WireError):
            decode(*bad)

    def test_a_bool_is_true_or_false(self):
        sent = encode(torch.tensor([True, False]))
        with pytest.raises(WireError, match="neither true nor false"):
            decode(sent.header, sent.body[:-1] + b"\2")

    @SETTINGS
    @given(st.binary(max_size=300), st.binary(max_size=100))
    @example(b'{"tensors":[],"value":' + b"[" * 250, b"")
    @example(b'"' * 300, b"")
    @example(b'{"tensors":[],"value":"\\', b"")
    def test_random_bytes(self, header, body):
        with pytest.raises(WireError):
            decode(header, body)

    @settings(SETTINGS, max_examples=150)
    @given(VALUES, st.data())
    def test_mutated_messages_give_a_value_or_a_wire_error(self, value, data):
        header, body = map(bytearray, encode(value))
        for _ in range(data.draw(st.integers(1, 4))):
            part = body if body and data.draw(st.booleans()) else header
            at = data.draw(st.integers(0, len(part) - 1))
            match data.draw(st.integers(0, 2)):
                case 0:
                    part[at] = data.draw(st.integers(0, 255))
                case 1 if len(part) > 1:
                    del part[at]
                case _:
                    part[at:at] = data.draw(st.sampled_from([b"[", b"]", b",", b'"', b"9", b"\\", b"-1", b"null"]))
        with contextlib.suppress(WireError):
            decode(bytes(header), bytes(body))

    @pytest.mark.parametrize(
        "header, reason",
        [
            pytest.param(b'{"tensors":[],"value":' + b"[" * 100 + b"]" * 100 + b"}", "8 deep", id="deep"),
            pytest.param(b'{"tensors":[],"value":["list"' + b",0" * 5000 + b"]}", "500 values", id="many"),
            pytest.param(b'{"tensors":[],"value":["list"' + b",[]" * 5000 + b"]}", "500 values", id="many empty"),
            pytest.param(
                b'{"tensors":[],"value":' + b'{"a":' * 1000 + b"0" + b"}" * 1001, "without tensors", id="deep objects"
            ),
            pytest.param(b" " * 20000, "20000", id="long"),
        ],
    )
    def test_structure_is_refused_before_it_is_built(self, header, reason, monkeypatch):
        monkeypatch.setattr(json, "loads", lambda *args, **kwargs: pytest.fail("parsed"))
        with pytest.raises(WireError, match=reason):
            decode(header, limits=SMALL)

    def test_brackets_and_commas_in_strings_are_no_structure(self):
        text = '",[[[[[[[[[[[[[[[[[[[[{{{\\'
        assert there_and_back([text] * 100, SMALL) == [text] * 100

    @pytest.mark.parametrize("shape", [[2**62, 0], [0, 2**40, 2**40], [1] * 40, [2**63]], ids=str)
    def test_shapes_that_no_memory_holds(self, shape):
        head = json.dumps({"0": {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]}}).encode()
        with pytest.raises(WireError):
            decode(*message(["tensor", 0], [ENTRY], len(head).to_bytes(8, "little") + head))


class TestFrames:
    def reader(self, data, asked=None):
        position = 0

        def read(size):
            nonlocal position
            if asked is not None:
                asked.append(size)
            part = data[position : position + size]
            position += size
            return part

        return read

    def test_a_message_is_read_as_it_was_written(self):
        sent = encode({"x": torch.arange(3)})
        assert read_frame(self.reader(b"".join(frame(sent)) + b"next")) == sent

    @pytest.mark.parametrize(
        "prefix, reason",
        [
            pytest.param(PREFIX.pack(b"HTTP", 1, 2, 0), "magic b'HTTP'", id="magic"),
            pytest.param(PREFIX.pack(b"UNMG", 9, 2, 0), "version 9", id="version"),
            pytest.param(PREFIX.pack(b"UNMG", 1, 2**32 - 1, 0), "4294967295", id="header"),
            pytest.param(PREFIX.pack(b"UNMG", 1, 2, 2**64 - 1), "18446744073709551615", id="body"),
            pytest.param(PREFIX.pack(b"UNMG", 1, 2, 0)[:-3], "15 of 18 bytes", id="cut off"),
        ],
    )
    def test_a_wrong_prefix_is_refused_before_more_is_read(self, prefix, reason):
        asked = []
        with pytest.raises(WireError, match=reason):
            read_frame(self.reader(prefix, asked))
        assert asked == [PREFIX.size]

    def test_a_message_that_ends_early(self):
        data = b"".join(frame(encode(list(range(10)))))
        for cut in range(len(data)):
            with pytest.raises(WireError, match="the other side ended"):
                read_frame(self.reader(data[:cut]))


class TestLimits:
    @pytest.mark.parametrize(
        "value, limit",
        [
            pytest.param([[[[]]]], {"depth": 3}, id="depth"),
            pytest.param([0] * 10, {"items": 10}, id="items"),
            pytest.param(["x" * 200] * 10, {"header": 1000}, id="header"),
            pytest.param(torch.zeros(1000), {"total": 3999}, id="total"),
            pytest.param("x" * 5000, {"total": 4999}, id="total of a string"),
        ],
    )
    def test_sender_and_receiver_refuse_the_same(self, value, limit):
        limits = dataclasses.replace(LIMITS, **limit)
        with pytest.raises(WireError):
            encode(value, limits=limits)
        if "items" not in limit and "depth" not in limit:  # counted roughly by the receiver, see below
            with pytest.raises(WireError):
                decode(*encode(value), limits=limits)

    def test_decoding_allocates_no_more_than_a_small_multiple_of_the_message(self):
        sent = encode([torch.zeros(1 << 18), "x" * (1 << 20), list(range(10_000))])
        tracemalloc.start()
        decode(*sent)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 3 * sum(map(len, sent))
