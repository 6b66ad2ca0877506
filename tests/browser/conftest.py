"""What the browser tests share: the accessibility check, and a window that keeps account of what a page does."""

import importlib.resources
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import BrowserContext, Page

AXE = (importlib.resources.files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
AXE_TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
# What a cold visit has to wait for; parts that fill or refresh themselves afterwards come as Fetch or XHR.
AT_LOAD = frozenset({"Document", "Stylesheet", "Script", "Image", "Font", "Manifest"})


@dataclass(slots=True)
class Visit:
    """What one cold visit did. bytes_of: largest answer of each address, headers included, compressed as sent."""

    bytes_of: dict[str, int] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def wire_bytes(self) -> int:
        """Bytes of the page and all it loads; what it asks for again, as on a machine too busy for silence, counts once."""
        return sum(self.bytes_of.values())

    @property
    def at_load(self) -> list[str]:
        """Addresses the page itself needs, without data: and blob:."""
        return [url for kind, url in self.requests if kind in AT_LOAD]


@contextmanager
def watched(context: BrowserContext, own: str | tuple[str, ...]) -> Iterator[tuple[Page, Visit]]:
    """Open a tab with an empty cache whose errors, requests and bytes are written down; `own` are our addresses."""
    page, visit = context.new_page(), Visit()
    page.on("pageerror", lambda error: visit.faults.append(f"script error: {error}"))
    page.on("console", lambda said: visit.faults.append(f"console: {said.text}") if said.type == "error" else None)
    line = context.new_cdp_session(page)
    line.send("Network.enable")
    line.send("Network.setCacheDisabled", {"cacheDisabled": True})

    address: dict[str, str] = {}

    def asked(event: dict[str, Any]) -> None:
        url = address[event["requestId"]] = event["request"]["url"]
        if url.startswith(("data:", "blob:", "about:")):
            return
        visit.requests.append((event.get("type", ""), url))
        if not url.startswith(own):
            visit.faults.append(f"foreign request: {url}")

    def arrived(event: dict[str, Any]) -> None:
        url = address.get(event["requestId"], event["requestId"])
        visit.bytes_of[url] = max(visit.bytes_of.get(url, 0), int(event["encodedDataLength"]))

    line.on("Network.requestWillBeSent", asked)
    line.on("Network.loadingFinished", arrived)
    yield page, visit
    page.close()


def axe_findings(page: Page) -> list[str]:
    """Run axe-core over the page as it stands and return one line per finding, worst elements named."""
    # evaluate goes through the browser's own door, so the page's content policy stays as it is.
    page.evaluate(AXE)
    result = page.evaluate("tags => window.axe.run(document, {runOnly: {type: 'tag', values: tags}, resultTypes: ['violations']})", list(AXE_TAGS))
    return [f"{finding['id']}: {finding['help']}: {[node['html'][:160] for node in finding['nodes'][:3]]}" for finding in result["violations"]]
