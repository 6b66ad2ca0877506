"""The text of an HTML mail: what a reader would see, with quotations marked by '> ', and nothing that runs or loads."""

import re
from html.parser import HTMLParser

_SILENT = frozenset({"script", "style", "head", "title", "template", "noscript", "svg", "object", "iframe"})
# Blocks that stand on lines of their own, and those set apart by an empty line.
_BLOCKS = frozenset({"div", "tr", "table", "li", "section", "article", "form", "dd", "dt"})
_PARAGRAPHS = frozenset({"p", "ul", "ol", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "blockquote", "hr"})
# Elements in which mail programs put what is quoted, by class or id.
_QUOTING = re.compile(
    r"gmail_quote|yahoo_quoted|moz-cite-prefix|divRplyFwdMsg|appendonsend|OLK_SRC_BODY_SECTION|protonmail_quote|ntes_.{0,40}quote|qmbox_quote"
)
_EMPTY = frozenset({"br", "hr", "img", "input", "meta", "link", "area", "base", "col", "wbr"})
# What a head may hold; anything else ends it, whether the mail says </head> or not.
_HEAD = frozenset({"html", "head", "base", "link", "meta", "script", "style", "title", "template", "noscript"})
# Comments and declarations, as browsers find their ends. The standard parser raises for odd ones.
_UNSHOWN = re.compile(r"<!--(?:-?>|.*?(?:--!?>|\Z))|<[!?][^>]*(?:>|\Z)", re.DOTALL)
# Nesting and length beyond what anybody writes; a mail is cut there instead of taking a worker's time.
DEEPEST, LONGEST = 400, 400_000


def text_of(markup: str) -> str:
    """Return the readable text of the markup, lines broken at blocks. Never raises; stops at LONGEST characters."""
    reader = _Reader()
    reader.feed(_finished(_UNSHOWN.sub("", markup[:LONGEST])))
    reader.close()
    return reader.text()


def _finished(markup: str) -> str:
    """Return the markup with what begins like a tag and never ends as plain text.

    The standard parser reads on to the end for each such beginning: a mail made of them would hold up all others for hours.
    """
    end = markup.rfind(">") + 1
    return markup[:end] + markup[end:].replace("<", "&lt;")


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[tuple[str, bool]] = []
        self._silent = self._quoted = 0
        # Of each line: whether it is quoted, and its pieces.
        self._lines: list[tuple[bool, list[str]]] = [(False, [])]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _HEAD:
            self._leave_head()
        if tag in _EMPTY or len(self._open) >= DEEPEST:
            self._break(tag)
            return
        quotes = tag == "blockquote" or any(name in {"class", "id"} and _QUOTING.search(value or "") for name, value in attrs)
        self._open.append((tag, quotes))
        self._silent += tag in _SILENT
        self._quoted += quotes
        self._break("p" if quotes else tag)

    def handle_endtag(self, tag: str) -> None:
        at = next((place for place in range(len(self._open) - 1, -1, -1) if self._open[place][0] == tag), None)
        if at is None:
            return
        for name, quotes in self._open[at:]:
            self._silent -= name in _SILENT
            self._quoted -= quotes
        ends_quote = any(quotes for _, quotes in self._open[at:])
        del self._open[at:]
        self._break("p" if ends_quote else tag)

    def _leave_head(self) -> None:
        if self._open and self._open[-1][0] == "head":
            self.handle_endtag("head")

    def handle_data(self, data: str) -> None:
        if data.strip():
            self._leave_head()
        if not self._silent:
            self._lines[-1][1].append(data)

    def _break(self, tag: str) -> None:
        """Begin the line that a tag asks for; what is empty already is used, but for the line a <br> leaves."""
        if tag != "br" and tag not in _BLOCKS and tag not in _PARAGRAPHS:
            return
        if tag == "br" or "".join(self._lines[-1][1]).strip():
            self._lines.append((self._quoted > 0, []))
        else:
            self._lines[-1][1].clear()
        if tag in _PARAGRAPHS:
            self._lines.append((self._quoted > 0, []))
        self._lines[-1] = (self._quoted > 0, self._lines[-1][1])

    def text(self) -> str:
        lines: list[str] = []
        for is_quoted, parts in self._lines:
            line = re.sub(r"[ \t\r\n\f\u00a0]+", " ", "".join(parts)).strip()
            # An empty line separates; more than one says no more than one.
            if line:
                lines.append(f"> {line}" if is_quoted else line)
            elif lines and lines[-1]:
                lines.append("")
        return "\n".join(lines).strip()
