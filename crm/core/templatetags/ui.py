"""Small parts of a template: icons, links that change one URL parameter, initials, the tone of a state."""

import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote
from xml.etree.ElementTree import tostring

import heroicons
from django import template
from django.contrib.messages.storage.base import Message
from django.contrib.staticfiles import finders
from django.forms.boundfield import BoundField
from django.template import Context
from django.template.base import Parser, Token
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language

register = template.Library()

UNDO_TAG = "undo="

# Words of states, stages and outcomes, by the tone a badge gives them. Anything else is neutral.
_TONES = {
    "success": "done active sent delivered published promoted champion ok subscribed granted open_now online resolved completed loyal paid healthy answered positive yes",
    "warning": "waiting paused at_risk risk snoozed pending scheduled held stale degraded late partial bounced reactivating unclear",
    "danger": "failed error lapsed lost churned complained blocked withdrawn rejected corrupt missing overdue negative refunded returned unsubscribed",
    "info": "running sending new growing open assigned importing training reactivated shipped packed one_time",
    "ai": "draft_by_model suggested predicted bot",
}
_TONE_OF = {word: tone for tone, words in _TONES.items() for word in words.split()}


@lru_cache(maxsize=256)
def _icon(name: str, size: int, label: str) -> SafeString:
    svg = heroicons._load_icon("outline", name)
    inner = "".join(tostring(path, encoding="unicode").strip() for path in svg).replace(' xmlns="http://www.w3.org/2000/svg"', "")
    told = f'role="img" aria-label="{escape(label)}"' if label else 'aria-hidden="true"'
    return mark_safe(  # noqa: S308 - paths from the icon package, the label is escaped
        f'<svg class="icon" width="{size}" height="{size}" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.6" {told}>{inner}</svg>'
    )


@register.simple_tag
def icon(name: str, *, size: int = 20, label: str = "") -> SafeString:
    """Return a heroicons outline icon as inline SVG, silent unless it has a label.

    Raises heroicons.IconDoesNotExist for an unknown name, so that a typing error shows in the first test.
    """
    return _icon(str(name), int(size), str(label))


@register.simple_tag
@lru_cache(maxsize=1)
def favicon() -> str:
    """Return the icon of the browser tab as a data address, which saves every first page one request."""
    found = finders.find("icons/favicon.svg")
    return f"data:image/svg+xml,{quote(Path(found).read_text(encoding='utf-8'))}" if found else "data:,"


@register.simple_tag(takes_context=True)
def query_with(context: Context, **changes: object) -> str:
    """Return the current query string with parameters set, or dropped where the value is None or empty.

    A changed filter starts again at the first page, so `page` goes unless it is itself given.
    """
    query = context["request"].GET.copy()
    if "page" not in changes:
        query.pop("page", None)
    for name, value in changes.items():
        if value is None or value == "":
            query.pop(name, None)
        else:
            query[name] = str(value)
    encoded = query.urlencode()
    return f"?{encoded}" if encoded else "?"


class RememberNode(template.Node):
    """Prints its content and keeps the words under a name."""

    def __init__(self, name: str, nodelist: template.NodeList) -> None:
        self.name, self.nodelist = name, nodelist

    def render(self, context: Context) -> SafeString:
        words = self.nodelist.render(context)
        context[self.name] = mark_safe(words.strip())  # noqa: S308 - rendered a moment ago, escaping included
        return words


@register.tag
def remember(parser: Parser, token: Token) -> RememberNode:
    """Print what stands between {% remember "name" %} and {% endremember %}, and set the variable to it.

    Django prints a block once; base.html needs the title a second time, as the heading of pages that give no other.
    """
    _tag, name = token.split_contents()
    nodelist = parser.parse(("endremember",))
    parser.delete_first_token()
    return RememberNode(name.strip("\"'"), nodelist)


@register.simple_tag(takes_context=True)
def is_current(context: Context, section: str) -> bool:
    """Return whether the page belongs to a section of the rail.

    A section is the namespace of its URLs (nav_active), or "core:job" for all names that start so: the shared app
    serves several sections.
    """
    if ":" not in section:
        return bool(context.get("nav_active") == section)
    match = getattr(context.get("request"), "resolver_match", None)
    return bool(match and match.view_name and match.view_name.startswith(section))


@register.filter
def initials(name: object) -> str:
    """Return one or two letters for an avatar: the last Han character pair's first, or first letters of two words."""
    words = str(name or "").replace("@", " ").replace(".", " ").split()
    if not words:
        return "?"
    first = words[0][0]
    if unicodedata.east_asian_width(first) in "WF":
        return first
    return (first + (words[-1][0] if len(words) > 1 and "@" not in str(name) else "")).upper()


@register.filter
def listed(words: Iterable[object]) -> str:
    """Return the words as a list in the reader's language: 英文、简体中文."""
    return ("、" if (get_language() or "").startswith("zh") else ", ").join(map(str, words))


@register.filter
def tone_for(state: object) -> str:
    """Return the badge tone of a state word: success, warning, danger, info, ai or neutral."""
    word = str(getattr(state, "value", state) or "").lower().replace("-", "_").replace(" ", "_")
    return _TONE_OF.get(word, "neutral")


@register.filter
def script_lang(text: object) -> str:
    """Return the HTML language of a text whose language nobody stated, by its script: zh-Hans with Han characters, else en."""
    return "zh-Hans" if any("\u4e00" <= letter <= "\u9fff" for letter in str(text)) else "en"


@register.filter
def undo_url(message: Message) -> str:
    """Return the path a message's Undo posts to, given as extra_tags="undo=/path/", or nothing."""
    return next((tag.removeprefix(UNDO_TAG) for tag in (message.extra_tags or "").split() if tag.startswith(UNDO_TAG)), "")


@register.filter
def described(bound: BoundField) -> BoundField | SafeString:
    """Return the field's control with the ids of its help and errors wired for screen readers."""
    ids = [f"{bound.id_for_label}-help"] if bound.help_text else []
    attrs: dict[str, str | bool] = {}
    if bound.errors:
        ids.append(f"{bound.id_for_label}-error")
        attrs["aria-invalid"] = "true"
    if ids:
        attrs["aria-describedby"] = " ".join(ids)
    return bound.as_widget(attrs=attrs)


@register.filter
def widget_kind(bound: BoundField) -> str:
    """Return check, choices or control: how components/field.html lays the field out."""
    name = type(bound.field.widget).__name__
    if name == "CheckboxInput":
        return "check"
    return "choices" if name in {"RadioSelect", "CheckboxSelectMultiple"} else "control"
