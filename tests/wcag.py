"""What axe-core finds on a page in the browser."""

from axe_playwright_python.sync_playwright import Axe

_OPTIONS = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]},
    "resultTypes": ["violations"],  # what passes is not described node by node
    "preload": False,  # it would fetch style sheets itself, from wrong addresses
}


def violations(page, context: dict | str | None = None) -> list[str]:
    """Violations of WCAG 2.1 A and AA, one line each: rule, what it says, where. `context`: axe's, else the page."""
    found = Axe().run(page, context=context, options=_OPTIONS).response
    return [
        f"{violation['id']}: {violation['help']} at {node['target']}: {node.get('failureSummary', '')}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]
