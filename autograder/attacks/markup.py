"""Attacks on whoever reads: HTML, SVG, JavaScript and markdown in cells, outputs, file and student names."""

from autograder.attacks.kinds import WRONG, HandIn

_ALIVE = "<script>document.title='pwned'</script><img src=x onerror=\"document.title='pwned'\">"
_PRINTED = WRONG["total"].replace("    return", f"    print({_ALIVE!r})\n    return")

ATTACKS = (
    HandIn("a script that is printed", "markup", _PRINTED),
    HandIn(
        "HTML, SVG and JavaScript as outputs",
        "markup",
        "from IPython.display import HTML, SVG, Javascript, Markdown, Latex, display\n"
        f"for kind in (HTML, Javascript, Markdown, Latex): display(kind({_ALIVE!r}))\n"
        'display(SVG(\'<svg xmlns="http://www.w3.org/2000/svg" onload="document.title=1"></svg>\'))\n'
        "display({'application/vnd.jupyter.widget-view+json': {'model_id': 'x'}, "
        f"'application/javascript': {_ALIVE!r}, 'text/html': {_ALIVE!r}}}, raw=True)\n" + WRONG["total"],
    ),
    HandIn(
        "a picture that is a page",
        "markup",
        "import base64\nfrom IPython.display import display\n"
        f"display({{'image/png': base64.b64encode({_ALIVE!r}.encode()).decode(), "
        f"'image/svg+xml': {_ALIVE!r}, 'image/jpeg': '\"><script>'}}, raw=True)\n" + WRONG["total"],
    ),
    HandIn(
        "markup in an exception",
        "markup",
        f"def total(x):\n    raise type('<b onclick=alert(1)>', (ValueError,), {{}})({_ALIVE!r})",
    ),
    HandIn(
        "markup where the error's hint stands",
        "markup",
        f"def total(x):\n    raise type('CheckError', (AssertionError,), {{'kind': {_ALIVE!r}, 'hint': {_ALIVE!r}}})({_ALIVE!r})",
    ),
    HandIn(
        "markup in markdown cells",
        "markup",
        markdown=(
            _ALIVE,
            "[a](javascript:alert(1)) ![b](javascript:alert(2)) <iframe srcdoc='<script>alert(3)</script>'></iframe>",
            "`[a](javascript:alert(1))`\n\n```\n\n<script>alert(2)</script>\n\n```\n<svg/onload=alert(4)>",
        ),
    ),
    HandIn("markup in a comment of the answer", "markup", f"# {_ALIVE}\n# </pre></code><script>\n{WRONG['total']}"),
    HandIn("a student whose name is markup", "markup", student="<img src=x onerror=alert(1)> & '\"co"),
    HandIn("a student whose name is a formula", "markup", student="=HYPERLINK('http:')"),
    HandIn(
        "orders to the terminal",
        "markup",
        "print('\\x1b]0;pwned\\x07\\x1b[2J\\x1b[31mred\\x1b]8;;http://evil\\x07link\\x1b]8;;\\x07')\n" + WRONG["total"],
    ),
)
