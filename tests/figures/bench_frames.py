"""How long a frame takes in Chromium while a reader drags: `python tests/figures/bench_frames.py`.

In the race of descent the start is dragged, in the signals through depth the sliders of n·Var(w) and of the width; in
looking inside a line is drawn without rest; in Budgets the ring is dragged over the picture, and the sliders of the
input's size, of the layer and of the batch go through their range.

60 frames a second leave 16.7 ms to each. Two times are told: between frames (requestAnimationFrame, which waits for the
screen) and what the figure itself computes in a frame (its own tick).
"""

from unmagic.figures import STATIC, Budgets, DescentRace, LookingInside, SignalsThroughDepth
from unmagic.figures.base import Still
from unmagic.figures.descent_race import PRESETS

import http.server
import os
import threading
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import sync_playwright

# Wraps requestAnimationFrame to time each callback, then drags the start, pen or ring in a circle for `frames` frames.
DRAG = """async (frames) => {
  const canvas = document.querySelector(".surface, .drawing canvas, .first .sight");
  const box = canvas.getBoundingClientRect();
  const own = [], between = [];
  const real = window.requestAnimationFrame.bind(window);
  window.requestAnimationFrame = (f) => real((time) => {
    const before = performance.now();
    f(time);
    own.push(performance.now() - before);
  });
  const fire = (type, k) => {
    const clientX = box.left + box.width * (0.5 + 0.35 * Math.cos(k / 15));
    const clientY = box.top + box.height * (0.5 + 0.35 * Math.sin(k / 15));
    canvas.dispatchEvent(new PointerEvent(type, { bubbles: true, button: 0, pointerId: 1, clientX, clientY }));
  };
  Element.prototype.setPointerCapture = () => {};
  fire("pointerdown", 0);
  let last = null;
  for (let k = 1; k <= frames; k++) {
    fire("pointermove", k);
    const now = await new Promise(real);
    if (last !== null) between.push(now - last);
    last = now;
  }
  fire("pointerup", frames);
  const { mapDraws, passes, coverings } = document.querySelector(".unmagic-live").dataset;
  const network = coverings === undefined ? "" : `${passes} + ${coverings} occlusions`;
  return { between, own, draws: mapDraws ?? network };
}"""

# The same for a slider, which goes through its range and back.
SLIDE = """async ([label, frames]) => {
  const root = document.querySelector(".unmagic-live");
  const named = [...root.querySelectorAll("label")].find((l) => l.textContent === label);
  const range = document.getElementById(named.htmlFor);
  const own = [], between = [];
  const real = window.requestAnimationFrame.bind(window);
  window.requestAnimationFrame = (f) => real((time) => {
    const before = performance.now();
    f(time);
    own.push(performance.now() - before);
  });
  const passes = () => Number(root.dataset.passes);
  const before = passes();
  let last = null;
  for (let k = 1; k <= frames; k++) {
    const way = 0.5 - 0.4 * Math.cos(k / 40);
    range.value = Number(range.min) + way * (range.max - range.min);
    range.dispatchEvent(new Event("input", { bubbles: true }));
    const now = await new Promise(real);
    if (last !== null) between.push(now - last);
    last = now;
  }
  return { between, own, draws: before >= 0 ? `${passes() - before} of ${frames}` : "" };
}"""
BUDGETS = [("VGG-16 (D)", "GoogLeNet"), ("DenseNet-121", "ResNet-152")]  # the first shown, and the longest
SIGNALS = [("n·Var(w)", 64, 20), ("n·Var(w)", 64, 50), ("n·Var(w)", 256, 50), ("Width n", 64, 20)]


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def main(frames: int = 240) -> None:
    os.environ["UNMAGIC_BOOK"] = "1"
    for figure in (Budgets, DescentRace, LookingInside, SignalsThroughDepth):
        figure.still = lambda self: Still("a still", "data:,", "data:,")
    with TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        (folder / "figures").symlink_to(STATIC)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=["--no-sandbox", "--disable-quic"]
        )
        print(f"{'figure':<40} between frames: median, 95 %   own work: median, 95 %   maps painted or passes")
        address = f"http://127.0.0.1:{server.server_port}/page.html"

        def measure(name, figure, ready, scale, code, argument):
            loader = '<script type="module" src="figures/loader.js"></script>'
            page_text = f"<!doctype html><meta charset=utf-8>{figure.markup()}{loader}"
            (folder / "page.html").write_text(page_text, encoding="utf-8")
            page = browser.new_page(viewport={"width": 900, "height": 900}, device_scale_factor=scale)
            page.goto(address)
            page.wait_for_selector(ready)
            page.wait_for_timeout(500)
            told = page.evaluate(code, argument)
            times = []
            for part in ("between", "own"):
                ordered = sorted(told[part])
                times += [ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.95)]]
            print(
                f"{name + f', screen {scale}×':<40} {times[0]:>12.1f} ms {times[1]:>8.1f} ms"
                f" {times[2]:>14.1f} ms {times[3]:>6.1f} ms   {told['draws']:>12}"
            )
            page.close()

        for surface in PRESETS:
            for scale in (1, 2):
                measure(f"race on {surface}", DescentRace(surface), "[data-map-draws]", scale, DRAG, frames)
        for net in ("digits", "shapes"):
            for scale in (1, 2):
                measure(f"looking inside, {net}", LookingInside(net), "[data-coverings]", scale, DRAG, frames)
        for label, width, depth in SIGNALS:
            figure = SignalsThroughDepth(width=width, depth=depth)
            measure(f"{label}, {width} units, {depth} layers", figure, "[data-passes]", 2, SLIDE, [label, frames])
        for nets in BUDGETS:
            told = ".budgets-verdict p"
            measure(f"ring, {nets[0]}", Budgets(*nets), told, 2, DRAG, frames)
            for label in ("Input", "Look at layer", "Batch, for memory"):
                measure(f"{label}, {nets[0]}", Budgets(*nets), told, 2, SLIDE, [label, frames])
        browser.close()
        server.shutdown()


if __name__ == "__main__":
    main()
