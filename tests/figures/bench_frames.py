"""How long a frame takes in Chromium while the start is dragged: `python tests/figures/bench_frames.py`.

60 frames a second leave 16.7 ms to each. Two times are told: between frames (requestAnimationFrame, which waits for the
screen) and what the figure itself computes in a frame (its own tick).
"""

from unmagic.figures import STATIC, DescentRace
from unmagic.figures.base import Still
from unmagic.figures.descent_race import PRESETS

import http.server
import os
import threading
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import sync_playwright

# Wraps requestAnimationFrame to time each callback, then drags the start in a circle for `frames` frames.
DRAG = """async (frames) => {
  const canvas = document.querySelector(".surface"), box = canvas.getBoundingClientRect();
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
  return { between, own, draws: document.querySelector(".unmagic-live").dataset.mapDraws };
}"""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def main(frames: int = 240) -> None:
    os.environ["UNMAGIC_BOOK"] = "1"
    DescentRace.still = lambda self: Still("a still", "data:,", "data:,")
    with TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        (folder / "figures").symlink_to(STATIC)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=["--no-sandbox", "--disable-quic"]
        )
        print(f"{'surface':<12} {'screen':>9}  between frames: median, 95 %   own work: median, 95 %   maps painted")
        for surface in PRESETS:
            markup = DescentRace(surface).markup()
            loader = '<script type="module" src="figures/loader.js"></script>'
            (folder / "page.html").write_text(f"<!doctype html><meta charset=utf-8>{markup}{loader}", encoding="utf-8")
            for scale in (1, 2):
                page = browser.new_page(viewport={"width": 900, "height": 900}, device_scale_factor=scale)
                page.goto(f"http://127.0.0.1:{server.server_port}/page.html")
                page.wait_for_selector("[data-map-draws]")
                page.wait_for_timeout(500)
                told = page.evaluate(DRAG, frames)
                times = []
                for part in ("between", "own"):
                    ordered = sorted(told[part])
                    times += [ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.95)]]
                print(
                    f"{surface:<12} {scale:>8}×  {times[0]:>12.1f} ms {times[1]:>8.1f} ms"
                    f" {times[2]:>14.1f} ms {times[3]:>6.1f} ms   {told['draws']:>9}"
                )
                page.close()
        browser.close()
        server.shutdown()


if __name__ == "__main__":
    main()
