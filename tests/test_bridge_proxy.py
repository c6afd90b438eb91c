"""What a test sees of the student's code through the bridge: data, handles, exceptions, names."""

from unmagic import checks

import copy
import gc
import textwrap

import numpy as np
import pytest
import torch

from autograder.bridge import Bridge, Handle, InProcess, Message, SharedNames, Student, StudentError, WireError, encode
from autograder.bridge.proxy import ITEMS


def connect(source="", shared=None):
    """The bridge to a student whose cell is `source`. `.student` is its other end."""
    namespace = {"torch": torch}
    exec(compile(textwrap.dedent(source), "<cell>", "exec"), namespace)
    student = Student(namespace, SharedNames(shared), is_own_file="<cell>".__eq__)
    bridge = Bridge(InProcess(student.answer), SharedNames(shared))
    bridge.student = student
    return bridge


def student(source, name="f", shared=None):
    return connect(source, shared).get(name)


class TestData:
    def test_values_come_back_as_data_and_anew_each_time(self):
        bridge = connect("path = [torch.zeros(2), 'a', {'b': (1, 2.5, None)}]")
        first, second = bridge.get("path"), bridge.get("path")
        first[0] += 1
        assert second[0].tolist() == [0, 0]
        assert second[1:] == ["a", {"b": (1, 2.5, None)}]

    def test_arguments_are_copies_and_edits_do_not_come_back(self):
        zero = student("def f(x, box):\n    x.zero_(); box.append(1); box[0].zero_(); return x")
        x, box = torch.ones(3), [torch.ones(2)]
        assert zero(x, box=box).tolist() == [0, 0, 0]
        checks.assert_unchanged(torch.ones(3), x)
        assert (len(box), box[0].tolist()) == (1, [1, 1])

    def test_subclasses_that_lie_are_no_tensors(self):
        lie = student("""
            class Lie(torch.Tensor):
                @classmethod
                def __torch_function__(cls, function, types, args=(), kwargs=None):
                    return True
            def f(): return torch.ones(2).as_subclass(Lie)
        """)
        with pytest.raises(checks.CheckError) as error:
            checks.assert_close(lie(), torch.zeros(2))
        assert error.value.kind == "type"

    def test_gradient_mode_of_the_test_holds_in_the_students_code(self):
        bridge = connect("def f(): return torch.is_grad_enabled()")
        bridge._transport = InProcess(bridge.student.answer, torch.enable_grad)  # as in a process of its own
        modes = bridge.get("f")
        with torch.no_grad():
            assert modes() is False
        assert modes() is True

    def test_names_that_are_not_there(self):
        with pytest.raises(NameError, match="name 'g' is not defined"):
            connect().get("g")


class TestHandles:
    OBJECTS = """
        class Box:
            def __init__(self, items): self.items = items
            def __len__(self): return len(self.items)
            def __getitem__(self, key): return self.items[key]
            def __setitem__(self, key, value): self.items[key] = value
            def __contains__(self, value): return value in self.items
            def __add__(self, other): return Box(self.items + (other.items if isinstance(other, Box) else [other]))
            __radd__ = __add__
            def __neg__(self): return Box([-item for item in self.items])
            def __lt__(self, other): return len(self) < len(other)
            def __eq__(self, other): return True
            def __bool__(self): return True
            def __float__(self): return float(sum(self.items))
            def __str__(self): return f"box of {self.items}"
            def __enter__(self): self.items.append("open"); return self
            def __exit__(self, *error): self.items.append("closed")
            def first(self, default=None): return self.items[0] if self.items else default
    """

    @pytest.fixture
    def Box(self):
        return student(self.OBJECTS, "Box")

    def test_are_called_indexed_and_asked_for_attributes_and_methods(self, Box):
        box = Box([1, 2, 3])
        assert type(box) is Handle
        assert (len(box), box[0], box[1:], 2 in box, box.items) == (3, 1, [2, 3], True, [1, 2, 3])
        assert (box.first(), Box([]).first(default=7)) == (1, 7)
        box[0] = 5
        box.name = "mine"
        assert (box.first(), box.name) == (5, "mine")

    def test_calculate(self, Box):
        box = 1 + Box([2]) + Box([3])
        assert ((-box).items, float(box), str(box), Box([1]) < box) == ([-2, -1, -3], 6.0, "box of [2, 1, 3]", True)

    def test_iterate_by_index_and_unpack(self, Box):
        assert list(Box([1, 2])) == [1, 2]
        a, b = Box([1, 2])
        assert (a, b) == (1, 2)

    def test_work_as_contexts(self, Box):
        box = Box([])
        with box as opened:
            assert opened == box
            assert box.items == ["open"]
        assert box.items == ["open", "closed"]

    def test_are_equal_only_when_they_stand_for_the_same_object(self, Box):
        box = Box([1])
        assert box != Box([1])
        assert box != [1]
        assert box == Box([box])[0]
        assert box is Box([box])[0]

    def test_have_no_truth_of_their_own(self, Box):
        with pytest.raises(WireError, match="the truth of <the student's object Box> is not asked for"):
            bool(Box([1]))

    def test_belong_to_the_students_classes_and_to_no_other(self, Box):
        assert isinstance(Box([1]), Box)
        assert not isinstance([1], Box)
        assert not isinstance(Box([1]), torch.nn.Module)

    def test_are_copied_over_there(self, Box):
        box = Box([[1]])
        deep, shallow = copy.deepcopy(box), copy.copy(box)
        box[0] = [2]
        assert (deep.items, shallow.items) == ([[1]], [[2]])

    def test_do_not_look_like_arrays_or_numbers(self, Box):
        assert not hasattr(Box([1]), "__array__")
        with pytest.raises(checks.CheckError, match="object of type Handle"):
            checks.assert_close(Box([1]), torch.ones(1))

    def test_go_back_as_the_objects_they_stand_for(self):
        bridge = connect("def make(): return object.__new__(type('T', (), {}))\ndef same(a, b): return a is b")
        made = bridge.get("make")()
        assert bridge.get("same")(made, made) is True

    def test_of_another_connection_cannot_cross(self, Box):
        with pytest.raises(WireError, match="argument 1: a handle of another connection"):
            student("def f(x): return x")(Box([1]))

    def test_are_forgotten_over_there_when_nobody_here_holds_them(self):
        bridge = connect("class T: pass")
        make = bridge.get("T")
        made = [make() for _ in range(10)]
        assert len(bridge.student._objects) == 11
        del made
        gc.collect()
        bridge.names()
        assert len(bridge.student._objects) == 1

    def test_a_handle_that_was_sent_twice_outlives_its_first_copy(self):
        bridge = connect("class T:\n    x = 3\nt = T()\nkeep = [t]")
        first = bridge.get("t")
        again = bridge.get("keep")[0]
        assert first is again
        del first
        gc.collect()
        assert again.x == 3

    def test_a_handle_that_is_dropped_while_it_comes_again_stays_alive(self):
        bridge = connect("class T:\n    x = 3\nt = T()")
        held = [bridge.get("t")]
        exchange = bridge._transport.exchange

        def drop_meanwhile(request):
            held.clear()
            gc.collect()
            return exchange(request)

        bridge._transport.exchange = drop_meanwhile
        again = bridge.get("t")
        bridge.names()  # tells the other side of the first copy's end
        assert again.x == 3

    def test_a_handle_nobody_knows_is_a_wire_error(self):
        bridge = connect("class T: pass")
        made = bridge.get("T")()
        bridge.student._objects.clear()
        with pytest.raises(WireError, match="does not know"):
            made.x  # noqa: B018


class TestIterators:
    def test_give_items_one_at_a_time(self):
        bridge = connect("""
            given = []
            def f():
                n = 0
                while True:
                    given.append(n)
                    yield torch.tensor(n)
                    n += 1
        """)
        numbers = bridge.get("f")()
        assert [int(next(numbers)), int(next(numbers))] == [0, 1]
        assert bridge.get("given") == [0, 1]

    def test_end(self):
        once = student("def f(n): yield from range(n)")
        assert list(once(3)) == [0, 1, 2]
        assert [list(once(0)), sum(once(4)), list(zip(once(2), "ab", strict=True))] == [[], 6, [(0, "a"), (1, "b")]]

    def test_that_never_end_are_ended(self, monkeypatch):
        monkeypatch.setattr("autograder.bridge.proxy.ITEMS", 50)
        with pytest.raises(StudentError, match="more than 50 items"):
            list(student("def f():\n    while True: yield 0")())
        assert ITEMS >= 10_000

    def test_raise_what_the_students_code_raised(self):
        bad = student("def f():\n    yield 1\n    raise KeyError('gone')")()
        assert next(bad) == 1
        with pytest.raises(KeyError):
            next(bad)


class TestExceptions:
    @pytest.mark.parametrize(
        "kind", [ValueError, KeyError, OSError, SyntaxError, NotImplementedError, ZeroDivisionError]
    )
    def test_of_builtin_types_are_of_that_type_here(self, kind):
        bad = student(f"def f(): raise {kind.__name__}('too big')")
        with pytest.raises(kind) as error:
            bad()
        assert isinstance(error.value, StudentError)
        assert (type(error.value).__name__, error.value.type_name) == (kind.__name__, kind.__name__)
        assert "too big" in str(error.value)

    def test_satisfy_assert_raises(self):
        check = student("def f(n):\n    if n < 1: raise ValueError(f'n is {n}; wanted 1 or more')\n    return n")
        checks.assert_raises(ValueError, check, 0, match="n is 0")
        with pytest.raises(checks.CheckError, match="f: raised no error"):
            checks.assert_raises(ValueError, check, 1)
        with pytest.raises(checks.CheckError, match="Found TypeError"):
            checks.assert_raises(ValueError, check, "a")

    def test_of_the_students_own_types_keep_their_name_and_their_builtin_base(self):
        bad = student("class TooBig(ValueError): pass\ndef f(): raise TooBig('9')")
        with pytest.raises(ValueError) as error:
            bad()
        assert error.value.type_name == "TooBig"

    @pytest.mark.parametrize("kind", ["SystemExit", "GeneratorExit", "Exception", "UnicodeDecodeError"])
    def test_that_would_end_more_than_the_test_are_student_errors_only(self, kind):
        args = "'utf-8', b'', 0, 1, 'x'" if kind.startswith("Unicode") else "'x'"
        with pytest.raises(StudentError) as error:
            student(f"def f(): raise {kind}({args})")()
        assert error.value.type_name == kind
        assert not isinstance(error.value, SystemExit | GeneratorExit)

    def test_cannot_pretend_to_be_a_check_or_the_wire(self):
        for name in ("CheckError", "WireError"):
            with pytest.raises(StudentError) as error:
                student(f"class {name}(AssertionError): pass\ndef f(): raise {name}('x')")()
            assert not isinstance(error.value, checks.CheckError | WireError)

    def test_carry_the_students_own_lines_only(self):
        bad = student("def inner(x):\n    return torch.ones(2) @ x\ndef f(x):\n    return inner(x)")
        with pytest.raises(RuntimeError) as error:
            bad(torch.ones(3))
        assert [frame[:3] for frame in error.value.frames] == [("<cell>", 4, "f"), ("<cell>", 2, "inner")]

    def test_whose_message_raises_still_arrive(self):
        bad = student("class E(Exception):\n    def __str__(self): raise ValueError\ndef f(): raise E")
        with pytest.raises(StudentError, match="its message cannot be read"):
            bad()

    def test_have_their_message_cut(self):
        with pytest.raises(ValueError) as error:
            student("def f(): raise ValueError('x' * 10**6)")()
        assert len(str(error.value)) == 2000

    def test_an_answer_that_cannot_be_sent_is_the_students_error(self):
        deep = student("def f():\n    x = []\n    x.append(x)\n    return x")
        with pytest.raises(StudentError, match="the result cannot be sent: nested more than 64 deep"):
            deep()


class TestNames:
    """Functions and classes that both sides have cross by name; nothing else that is no data does."""

    def square(x):  # as a set-up cell defines it
        return x * x

    class Config:
        pass

    SHARED = {"square": square, "Config": Config, "points": torch.ones(2)}  # noqa: RUF012

    @pytest.mark.parametrize(
        "value",
        [
            pytest.param(square, id="function of a set-up cell"),
            pytest.param(Config, id="class of a set-up cell"),
            pytest.param(torch.tanh, id="torch function in C"),
            pytest.param(torch.nn.functional.relu, id="torch function in Python"),
            pytest.param(torch.nn.functional.conv2d, id="torch function documented in Python"),
            pytest.param(torch.linalg.norm, id="torch.linalg"),
            pytest.param(torch.special.expit, id="torch.special"),
            pytest.param(torch.Tensor.sum, id="method of Tensor"),
            pytest.param(torch.Tensor, id="Tensor"),
            pytest.param(torch.nn.Linear, id="torch class"),
            pytest.param(torch.optim.SGD, id="optimizer"),
            pytest.param(checks.assert_close, id="unmagic function"),
        ],
    )
    def test_what_crosses_by_name(self, value):
        seen = []
        connect(shared=self.SHARED)
        keep = connect("def f(x): seen(x)", shared=self.SHARED)
        keep.student.namespace["seen"] = seen.append
        keep.get("f")(value)
        assert seen[0] is value

    def test_a_shared_function_is_called_over_there(self):
        apply = student("def f(g, x): return g(x)", shared=self.SHARED)
        assert apply(self.SHARED["square"], 3) == 9
        assert apply(torch.tanh, torch.zeros(1)).tolist() == [0]

    @pytest.mark.parametrize(
        "value, found",
        [
            pytest.param(lambda x: x, "the function .*<lambda>.* Define it in a set-up cell", id="lambda"),
            pytest.param(connect, "the function 'connect'", id="function of a test"),
            pytest.param(StudentError, "the class 'StudentError'", id="class of elsewhere"),
            pytest.param(torch.nn.Linear(1, 1), "an object of type 'Linear'", id="object"),
            pytest.param(len, "an object of type 'builtin_function_or_method'", id="builtin"),
            pytest.param(np, "an object of type 'module'", id="module"),
        ],
    )
    def test_what_does_not(self, value, found):
        f = student("def f(*args, **kwargs): return 1", shared=self.SHARED)
        with pytest.raises(WireError, match=f"argument 2: {found}"):
            f(1, value)
        with pytest.raises(WireError, match=r"argument 'rule'\[0\]\['a'\]: "):
            f(rule=[{"a": value}])

    @pytest.mark.parametrize(
        "name",
        [
            "setup:nothing",
            "setup:points",
            "os:system",
            "torch:os.system",
            "torch.nn.modules.linear:F.relu",
            "torch:nn",
            3,
            "",
        ],
    )
    def test_other_names_are_not_resolved(self, name):
        with pytest.raises(LookupError, match="there is no function or class"):
            SharedNames(self.SHARED).resolve(name)

    def test_the_student_cannot_name_anything_back(self):
        bridge = connect()
        bridge._transport.exchange = lambda message: Message(
            b'{"tensors":[],"value":["tuple","value",["name","torch:tanh"],1]}', b""
        )
        with pytest.raises(WireError, match="only the trusted side may"):
            bridge.names()


class TestAnswersThatLie:
    """Whatever the student's side sends, the trusted side raises WireError or StudentError, or has plain data."""

    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param(None, id="nothing"),
            pytest.param(("value", 1), id="too short"),
            pytest.param(("value", 1, "tape"), id="no tape"),
            pytest.param(("raised", [], "x", [], True), id="no name"),
            pytest.param(("raised", ["ValueError"], 3, [], True), id="no message"),
        ],
    )
    def test_unknown_forms(self, answer):
        bridge = connect()
        bridge._transport.exchange = lambda message: encode(answer)
        with pytest.raises(WireError, match="an answer in an unknown form"):
            bridge.names()

    @pytest.mark.parametrize(
        "use",
        [
            pytest.param(len, id="len"),
            pytest.param(str, id="str"),
            pytest.param(float, id="float"),
            pytest.param(next, id="next"),
            pytest.param(lambda handle: 1 in handle, id="in"),
            pytest.param(lambda handle: isinstance(1, handle), id="isinstance"),
        ],
    )
    def test_claims_of_another_type(self, use):
        bridge = connect("class T: pass")
        made = bridge.get("T")
        bridge._transport.exchange = lambda message: encode(("value", torch.ones(1), 1))
        with pytest.raises(WireError):
            use(made)

    def test_handles_in_unknown_forms(self):
        bridge = connect()
        for node in (b'"1","object","T",""', b'1,"verdict","T",""', b'1,"object",2,""', b"1"):
            value = b'{"tensors":[],"value":["tuple","value",["handle",' + node + b"],1]}"
            bridge._transport.exchange = lambda message, value=value: Message(value, b"")
            with pytest.raises(WireError):
                bridge.names()

    def test_a_request_inside_a_request_is_refused(self):
        bridge = connect("def f(): return back()")
        bridge.student.namespace["back"] = bridge.names
        with pytest.raises(WireError, match="cannot call back"):
            bridge.get("f")()
