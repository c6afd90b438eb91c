"""What axe-core finds on a page in the browser."""

from axe_playwright_python.sync_playwright import Axe

_OPTIONS = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]},
    "resultTypes": ["violations"],  # what passes is not described node by node
    "preload": False,  # it would fetch style sheets itself, from wrong addresses
}
# Tokens of code in the same colours on the same ground have one contrast: the first of each kind is looked at, the
# others are not painted meanwhile. A chapter has twelve thousand tokens of two dozen kinds; axe takes seconds for them.
_HIDE = """() => {
  const kinds = new Set(), grounds = new Map();
  const ground = (element) => {
    if (!element) return "";
    if (!grounds.has(element)) {
      const { backgroundColor, backgroundImage, opacity } = getComputedStyle(element);
      grounds.set(element, [ground(element.parentElement), backgroundColor, backgroundImage, opacity].join());
    }
    return grounds.get(element);
  };
  const repeated = [...document.querySelectorAll(".highlight pre span")].filter((token) => {
    const { color, fontSize, fontWeight, textShadow } = getComputedStyle(token);
    const kind = [ground(token), color, fontSize, fontWeight, textShadow].join();
    return !token.firstElementChild && kinds.size === kinds.add(kind).size;
  });
  for (const token of repeated) token.classList.add("seen-by-axe");
  const style = document.createElement("style");
  style.textContent = ".seen-by-axe { visibility: hidden !important }";
  document.head.append(style);
  return () => {
    for (const token of repeated) token.classList.remove("seen-by-axe");
    style.remove();
  };
}"""


def violations(page, context: dict | str | None = None) -> list[str]:
    """Violations of WCAG 2.1 A and AA, one line each: rule, what it says, where. `context`: axe's, else the page."""
    show = page.evaluate_handle(_HIDE)
    try:
        found = Axe().run(page, context=context, options=_OPTIONS).response
    finally:
        show.evaluate("(show) => show()")
    return [
        f"{violation['id']}: {violation['help']} at {node['target']}: {node.get('failureSummary', '')}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]
