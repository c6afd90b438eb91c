"""The rule "by hand means by hand", and counted torch operations."""

from unmagic import checks
from unmagic.checks.by_hand import cells_known

import pytest
import torch

IMPORTS = "import torch\nfrom torch import nn\nimport torch.nn.functional as F\n"
RULE = ("torch.nn.functional.conv2d", "torch.conv2d", "torch.nn.Conv2d", "torch.autograd", ".backward")


def judged(*cells: str, name: str = "conv", without: tuple[str, ...] = RULE) -> str:
    """The line that breaks the rule; "" when none does."""
    with cells_known([IMPORTS, *cells]):
        try:
            checks.assert_by_hand(name, without=without, hint="Write the loop.")
        except checks.CheckError as error:
            assert error.kind == "by_hand" and error.hint == "Write the loop."
            return str(error)
    return ""


@pytest.mark.parametrize(
    "line",
    [
        "return F.conv2d(x, w)",
        "return torch.nn.functional.conv2d(x, w)",
        "return nn.functional.conv2d(x, w)",
        "return torch.conv2d(x, w)",
        "return nn.Conv2d(1, 1, 3)(x)",
        "return nn.modules.conv.Conv2d(1, 1, 3)(x)",
        "return torch.autograd.grad(x, w)",
        "y = (x * w).sum(); y.backward(); return w.grad",
        "return getattr(F, 'conv2d')(x, w)",
        "f = F.conv2d; return f(x, w)",
        "import torch.nn.functional as G; return G.conv2d(x, w)",
        "from torch.nn.functional import conv2d; return conv2d(x, w)",
        "from torch import autograd as a; return a.grad(x, w)",
    ],
)
def test_each_way_to_write_a_forbidden_call_is_found_with_its_line(line):
    message = judged(f"def conv(x, w):\n    # own work\n    {line}\n")
    assert "line 3" in message and "by hand" in message


@pytest.mark.parametrize(
    "cell",
    [
        "def conv(x, w):\n    return (x * w).sum()",
        "def conv(x, w):\n    '''As torch.nn.functional.conv2d, by hand; F.conv2d'''\n    return x",
        "def conv2d(x, w):\n    return x * w\n\ndef conv(x, w):\n    return conv2d(x, w)",  # a function of their own
        "def conv(x, w):\n    return F.relu(x)",
        "def unused(x, w):\n    return F.conv2d(x, w)\n\ndef conv(x, w):\n    return x",
        "conv2d = 3\nclass conv:\n    conv2d = conv2d",
    ],
)
def test_what_only_looks_like_a_forbidden_call_passes(cell):
    assert judged(cell) == ""


def test_a_helper_in_another_cell_is_looked_at_and_named():
    message = judged("def helper(x, w):\n    return F.conv2d(x, w)", "def conv(x, w):\n    return helper(x, w)")
    assert "`helper`, which `conv` uses" in message and "line 2" in message


def test_the_latest_version_of_a_cell_counts():
    early, late = "def conv(x, w):\n    return F.conv2d(x, w)", "def conv(x, w):\n    return x * w"
    assert judged(early, late) == ""
    assert judged(late, early)


def test_an_alias_made_by_assignment_in_another_cell_is_followed():
    assert judged("G = nn.functional", "def conv(x, w):\n    return G.conv2d(x, w)")
    assert judged("slide = torch.nn.functional.conv2d", "def conv(x, w):\n    return slide(x, w)")


def test_an_argument_is_not_a_global_of_the_same_name_in_another_cell():
    test = "for width in (1, 2):\n    expected = F.conv2d(x, w)"
    assert judged("def conv(x, width):\n    expected = x * width\n    return expected", test) == ""
    assert judged("def conv(x):\n    return expected + width", test)


def test_magics_hide_nothing_and_broken_cells_are_passed_over():
    assert judged("%time\ndef conv(x, w):\n    return F.conv2d(x, w)")
    assert judged("%%time\n!ls\ndef conv(x, w):\n    return F.conv2d(x, w)")
    assert judged("def broken(:", "def conv(x, w):\n    return x") == ""


def test_a_name_that_no_cell_defines_is_said_to_be_missing():
    assert "no cell that defines `conv`" in judged("x = 1")


def test_outside_of_a_notebook_the_rule_says_that_it_cannot_be_checked():
    with pytest.raises(RuntimeError, match="Run the lab as a notebook"):
        checks.assert_by_hand("conv", without=RULE)


def test_in_a_notebook_the_source_is_what_was_run():
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    try:
        shell.run_cell(IMPORTS + "from unmagic import checks", store_history=True)
        shell.run_cell("def conv(x, w):\n    return F.conv2d(x, w)", store_history=True)
        test = f"checks.assert_by_hand('conv', without={RULE!r})"
        assert "line 2 of its cell" in str(shell.run_cell(test).error_in_exec)
        shell.run_cell("def conv(x, w):\n    return x * w", store_history=True)
        assert shell.run_cell(test).success
    finally:
        InteractiveShell.clear_instance()


def test_a_loop_over_rows_makes_more_calls_the_higher_the_image_and_one_expression_does_not():
    def rows(x):
        return torch.stack([row.sum() for row in x])

    for height in (4, 40):
        image = torch.ones(height, 3)
        value, calls = checks.torch_calls(rows, image)
        assert value.equal(image.sum(1)) and calls >= height
        assert checks.torch_calls(torch.Tensor.sum, image, dim=1)[1] == 1


def test_what_a_counted_call_raises_is_raised():
    with pytest.raises(ZeroDivisionError):
        checks.torch_calls(lambda: 1 / 0)
