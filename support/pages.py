"""What the visitor's pages show; the console's are in inbox.py, threads.py, context.py and ticket_pages.py."""

from dataclasses import dataclass
from datetime import datetime

from django.utils.safestring import SafeString
from django.utils.translation import gettext

from crm.core.models import Source
from support import knowledge, queueing
from support.language import html_lang

# In their own words, for the visitor's switch.
_OWN_NAMES = {"en": "EN", "zh-hans": "中文"}


@dataclass(frozen=True, slots=True)
class LanguageChoice:
    code: str
    html_lang: str
    name: str
    is_current: bool


@dataclass(frozen=True, slots=True)
class Score:
    value: int
    word: str


@dataclass(frozen=True, slots=True)
class WidgetPage:
    """words: what chat-widget.js says, in the page's language. hours: until or from when people are there, '' where always."""

    key: str
    shop: str
    hours: str
    colour: str
    origins: str
    html_lang: str
    languages: list[LanguageChoice]
    scores: list[Score]
    words: dict[str, str]


def widget_page(*, source: Source, language: str, origins: list[str], now: datetime) -> WidgetPage:
    """Return the widget's page in the active language. One query."""
    words = {
        "assistant": gettext("Assistant"),
        "automatic": gettext("Automatic assistant"),
        "agent": gettext("A colleague of the shop"),
        "person": gettext("{name}, a person"),
        "you": gettext("You"),
        "joined": gettext("{name} is here now."),
        "queued": gettext("A person will be with you soon"),
        "closed": gettext("This conversation was closed."),
        "reopened": gettext("This conversation was opened again."),
        "source": gettext("Source:"),
        "version": gettext("version {n}"),
        "none": gettext("None of these"),
        "sending": gettext("Sending…"),
        "waiting": gettext("Not sent yet, trying again…"),
        "failed": gettext("Not sent"),
        "retry": gettext("Try again"),
        "sent": gettext("Sent"),
        "delivered": gettext("Delivered"),
        "read": gettext("Read"),
        "typing": gettext("Typing…"),
        "thanks": gettext("Thank you for the rating."),
        "refused": gettext("This chat cannot be used on this website."),
        "text_too_long": gettext("too long"),
        "file_too_large": gettext("too large"),
        "file_type_bad": gettext("only pictures, PDF and plain text"),
        "too_many_files": gettext("too many files"),
        "mail_kept": gettext("Thank you. If you leave, our answer comes by e-mail."),
        "email_bad": gettext("That is not an e-mail address one can write to."),
        "unavailable": gettext("Not saved, please try again."),
        "too_fast": gettext("too many messages at once"),
    }
    choices = [LanguageChoice(code, html_lang(code), name, code == language) for code, name in _OWN_NAMES.items()]
    scores = [gettext("Very bad"), gettext("Bad"), gettext("Okay"), gettext("Good"), gettext("Very good")]
    return WidgetPage(
        key=source.write_key,
        shop=source.name,
        hours=queueing.hours_words(now=now, language=language),
        colour=source.brand_colour,
        origins=" ".join(origins),
        html_lang=html_lang(language),
        languages=choices,
        scores=[Score(value, word) for value, word in enumerate(scores, start=1)],
        words=words,
    )


@dataclass(frozen=True, slots=True)
class ArticlePage:
    title: str
    body: SafeString
    version: int
    updated_at: datetime
    html_lang: str


def article_page(*, slug: str, language: str) -> ArticlePage:
    """Return a published article for the public. Raises ArticleMissing. Runs one query."""
    text = knowledge.page_text(slug=slug, language=language)
    return ArticlePage(text.title, knowledge.as_html(text.body), text.version, text.article.updated_at, html_lang(text.language))
