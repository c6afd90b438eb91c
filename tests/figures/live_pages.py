"""Pages that live figures stand on in the tests: one of the book, and one that stands for a notebook."""

from unmagic.figures.base import Figure

import json

PAGE = """<!doctype html><html lang="en"{html}><head><meta charset="utf-8"><title>A page</title>
<meta name="viewport" content="width=device-width, initial-scale=1"></head>
<body{body} style="margin: 8px"><main><h1>A page</h1>{figure}</main>{scripts}</body></html>"""
LOADER = '<script type="module" src="figures/loader.js"></script>'
NOTEBOOK = """<div id="output"></div><script type="module">
import figure from "./widget.mjs";
// what a widget manager gives to anywidget's module, noting what goes to the kernel
const state = %s, listeners = {};
let waiting = {};
window.sent = [];
window.model = {
  get: (key) => state[key],
  set(key, value) { waiting[key] = state[key] = value; this.tell(key); },
  tell: (key) => (listeners[`change:${key}`] ?? []).forEach((listener) => listener()),
  on: (event, listener) => (listeners[event] ??= []).push(listener),
  off: (event, listener) => (listeners[event] = listeners[event].filter((l) => l !== listener)),
  save_changes() { if (Object.keys(waiting).length) window.sent.push(waiting); waiting = {}; },
};
window.fromPython = (changes) => { for (const key in changes) { state[key] = changes[key]; window.model.tell(key); } };
window.listening = () => Object.values(listeners).flat().length;
window.stop = figure.render({ model: window.model, el: document.getElementById("output") });
</script>"""


def book_page(figure: str, html: str = "", body: str = "") -> str:
    """A page of the book with a figure's mark-up; html, body: attributes of these elements."""
    return PAGE.format(html=html, body=body, figure=figure, scripts=LOADER)


def notebook_page(figure: Figure, drop=()) -> str:
    """A page on which widget.mjs, the figure's one module, talks to a model as in a notebook; `drop` it has not."""
    state = {key: value for key, value in figure.public_state().items() if key not in drop}
    style = f"<style>{figure._css}</style>"
    return PAGE.format(html="", body="", figure=style, scripts=NOTEBOOK % json.dumps(state))
