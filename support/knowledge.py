"""Knowledge articles: the only thing the assistant quotes, always with title and version; and the shipped ones."""

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path
from urllib.parse import quote

from django.db import transaction
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from crm.core.errors import NotFound
from support.language import LANGUAGES
from support.models import Article, ArticleText, IntentExample
from support.models.knowledge import ArticleState
from support.models.labels import OUT_OF_SCOPE, ExampleOrigin

_HERE = Path(__file__).resolve().parent
_BOLD = re.compile(r"\*\*(.+?)\*\*")
_LINK = re.compile(r"\[([^\]]+)\]\((https?://[^\s)]+)\)")
_BULLET = re.compile(r"^\s*(?:[-*]|\d+[.)])\s+")


class ArticleMissing(NotFound):
    code = "article_missing"
    message = "There is no such article."


@dataclass(frozen=True, slots=True)
class Quote:
    """What may be said, and where it stands: paragraphs of an article as plain text, with their source."""

    text: str
    text_id: int
    slug: str
    title: str
    version: int
    url: str

    def source(self) -> dict[str, object]:
        """Return the source as it is kept with the message that quotes it."""
        return {"article": self.slug, "title": self.title, "version": self.version, "url": self.url}


@dataclass(frozen=True, slots=True)
class Loaded:
    """How many rows load_shipped added."""

    articles: int
    texts: int
    examples: int


def quote_for(*, intent: str, language: str) -> Quote | None:
    """Return the published article that answers the intent, in the language or else any; None where nothing does.

    Runs one query.
    """
    texts = ArticleText.objects.filter(article__state=ArticleState.PUBLISHED, article__intents__contains=[intent]).select_related("article")
    ordered = sorted(texts, key=lambda text: (text.language != language, text.article.slug, text.pk))
    for text in ordered:
        if said := first_paragraph(text.body):
            return Quote(said, text.pk, text.article.slug, text.title, text.version, url_of(text.article.slug, text.language))
    return None


def url_of(slug: str, language: str) -> str:
    """Return the path of the public page; spelt here because the domain does not know URL names of doors."""
    return f"/help/{quote(slug)}/?lang={language}"


def mark_quoted(*, text_id: int, at: datetime) -> None:
    ArticleText.objects.filter(pk=text_id).update(last_used_at=at)


def page_text(*, slug: str, language: str) -> ArticleText:
    """Return a published article's text in the language or else any. Raises ArticleMissing. Runs one query."""
    texts = ArticleText.objects.filter(article__slug=slug, article__state=ArticleState.PUBLISHED).select_related("article")
    found = sorted(texts, key=lambda text: (text.language != language, text.pk))
    if not found:
        raise ArticleMissing
    return found[0]


def first_paragraph(body: str) -> str:
    """Return the first paragraph without Markdown marks: what the assistant quotes."""
    return next((whole for _, whole in passages(body)), "")


def passages(body: str) -> list[tuple[str, str]]:
    """Return each paragraph with what is said when it is quoted: a list comes with the line that announces it, and the line with it."""
    found = paragraphs(body)
    groups: list[list[str]] = []
    for said in found:
        if groups and (groups[-1][-1].endswith((":", "：")) or (_BULLET.match(said) and _BULLET.match(groups[-1][-1]))):
            groups[-1].append(said)
        else:
            groups.append([said])
    return [(said, "\n".join(group)) for group in groups for said in group]


def paragraphs(body: str) -> list[str]:
    """Return the blocks of an article without Markdown marks; tables and lone headings are not quotable."""
    blocks = (block.strip() for block in re.split(r"\n\s*\n", body.strip()))
    plain = (_LINK.sub(r"\1 (\2)", _BOLD.sub(r"\1", block)) for block in blocks if block and not block.startswith("|"))
    return [block.lstrip("# ").strip() for block in plain if block.strip("# \n") and not (block.startswith("#") and "\n" not in block)]


def as_html(body: str) -> SafeString:
    """Return the article's Markdown as HTML: paragraphs, headings, lists, tables, bold and links. All else is text."""
    parts = []
    for block in re.split(r"\n\s*\n", body.strip()):
        for kind, lines in groupby(filter(str.strip, block.splitlines()), key=_kind_of):
            parts.append(_MARKUP[kind](list(lines)))
    return mark_safe("\n".join(parts))  # noqa: S308  (every piece of text went through escape)


def _kind_of(line: str) -> str:
    if line.startswith("#"):
        return "heading"
    if line.lstrip().startswith("|"):
        return "table"
    if found := _BULLET.match(line):
        return "numbered" if found.group().strip()[0].isdigit() else "bulleted"
    return "paragraph"


def _listed(tag: str, lines: list[str]) -> str:
    return f"<{tag}>" + "".join(f"<li>{_inline(_BULLET.sub('', line))}</li>" for line in lines) + f"</{tag}>"


def _table(lines: list[str]) -> str:
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines if not re.fullmatch(r"[\s|:-]+", line)]
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{_inline(cell)}</th>' for cell in rows[0])
    cells = "".join("<tr>" + "".join(f"<td>{_inline(cell)}</td>" for cell in row) + "</tr>" for row in rows[1:])
    return f'<div class="table-wrap"><table class="table"><thead><tr>{head}</tr></thead><tbody>{cells}</tbody></table></div>'


_MARKUP: dict[str, Callable[[list[str]], str]] = {
    "heading": lambda lines: "".join(f"<h2>{_inline(line.lstrip('# '))}</h2>" for line in lines),
    "table": _table,
    "bulleted": lambda lines: _listed("ul", lines),
    "numbered": lambda lines: _listed("ol", lines),
    "paragraph": lambda lines: "<p>" + "<br>".join(_inline(line) for line in lines) + "</p>",
}


def _inline(text: str) -> str:
    return _LINK.sub(r'<a href="\2" rel="noopener nofollow">\1</a>', _BOLD.sub(r"<strong>\1</strong>", escape(text)))


def load_shipped(*, now: datetime, is_demo: bool = False, publish: bool = True) -> Loaded:
    """Bring the articles and labelled utterances that come with the product into the database; existing ones stay.

    An article somebody edited or removed text from is not touched. Examples are added only where a language has no
    shipped ones yet, so that those a shop deleted do not come back.
    publish: False brings articles as drafts: they state the demo shop's prices and terms, and drafts are never quoted.
    """
    with transaction.atomic():
        articles, texts = _load_articles(is_demo, ArticleState.PUBLISHED if publish else ArticleState.DRAFT)
        return Loaded(articles, texts, sum(_load_examples(language, now) for language in LANGUAGES))


def _load_articles(is_demo: bool, state: ArticleState) -> tuple[int, int]:
    made = texts = 0
    for path in sorted((_HERE / "articles").glob("*.md")):
        slug, language = path.stem.rsplit(".", 1)
        head, body = _front_matter(path.read_text(encoding="utf-8"))
        intents = [label.strip() for label in head["intents"].strip("[]").split(",") if label.strip()]
        article, is_new = Article.objects.get_or_create(slug=slug, defaults={"intents": intents, "is_demo": is_demo, "state": state})
        _, text_is_new = ArticleText.objects.get_or_create(article=article, language=language, defaults={"title": head["title"], "body": body})
        made, texts = made + is_new, texts + text_is_new
    return made, texts


def _front_matter(content: str) -> tuple[dict[str, str], str]:
    _, head, body = content.split("---\n", 2)
    pairs = (line.partition(":") for line in head.strip().splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}, body.strip()


def _load_examples(language: str, now: datetime) -> int:
    if IntentExample.objects.filter(origin=ExampleOrigin.SHIPPED, language=language).exists():
        return 0
    rows = [(row["text"], row["label"]) for row in _rows(f"intents.{language}.csv")]
    rows += [(row["text"], OUT_OF_SCOPE) for row in _rows(f"out_of_scope.{language}.csv")]
    examples = [
        IntentExample(text=text, label=label, language=language, origin=ExampleOrigin.SHIPPED, created_at=now)
        for text, label in dict.fromkeys((text.strip(), label.strip()) for text, label in rows)
    ]
    return len(IntentExample.objects.bulk_create(examples, batch_size=500))


def _rows(name: str) -> list[dict[str, str]]:
    with (_HERE / "examples" / name).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))
