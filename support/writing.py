"""Writing knowledge articles: new ones, changed texts (each change a new version), and what may be quoted."""

import re
from collections.abc import Sequence

from django.db import IntegrityError, transaction
from django.utils.text import slugify
from django.utils.translation import gettext_noop

from crm.core import audit
from crm.core.errors import CrmError
from crm.core.models import User
from support import labels
from support.knowledge import ArticleMissing, first_paragraph
from support.language import LANGUAGES
from support.models import Article, ArticleText
from support.models.knowledge import ArticleState

LONGEST_TITLE, LONGEST_BODY = 200, 20_000


class ArticleBad(CrmError):
    code = "article_bad"
    status = 422
    message = gettext_noop("A text needs a title of at most 200 and a first paragraph; at most 20,000 characters in all.")


class ArticleStateBad(CrmError):
    code = "article_state_bad"
    status = 422
    message = gettext_noop("An article without a text cannot be published.")


def create(*, title: str, intents: Sequence[str], by: User) -> Article:
    """Return a new draft without texts; its key is made from the title. Raises LabelUnknown or ArticleBad."""
    title = title.strip()
    if not title or len(title) > LONGEST_TITLE:
        raise ArticleBad
    _check(intents)
    # A Chinese title leaves nothing of a key; the intent says what it is about, else a plain word does.
    stem = slugify(title)[:60].strip("-") or re.sub(r"[^a-z0-9_-]", "", intents[0])[:60] if slugify(title) or intents else "article"
    with transaction.atomic():
        for number in range(1, 1000):
            slug = stem if number == 1 else f"{stem}-{number}"
            if not Article.objects.filter(slug=slug).exists():
                break
        try:
            with transaction.atomic():
                article = Article.objects.create(slug=slug, intents=list(intents), state=ArticleState.DRAFT)
        except IntegrityError:
            raise ArticleBad from None
        audit.record(actor=by, action="article.create", target=article, data={"intents": list(intents)})
    return article


def write(*, slug: str, language: str, title: str, body: str, by: User) -> ArticleText:
    """Store the text in a language and return it; unchanged words keep their version. Raises ArticleMissing or ArticleBad."""
    title, body = title.replace("\x00", "").strip(), body.replace("\x00", "").replace("\r\n", "\n").strip()
    if language not in LANGUAGES or not title or not first_paragraph(body) or len(title) > LONGEST_TITLE or len(body) > LONGEST_BODY:
        raise ArticleBad
    with transaction.atomic():
        article = _locked(slug)
        text, is_new = ArticleText.objects.get_or_create(article=article, language=language, defaults={"title": title, "body": body})
        if not is_new and (text.title, text.body) != (title, body):
            text.title, text.body, text.version = title, body, text.version + 1
            text.save(update_fields=["title", "body", "version"])
            article.save(update_fields=["updated_at"])
            audit.record(actor=by, action="article.write", target=article, data={"language": language, "version": text.version})
        return text


def list_for(*, slug: str, intents: Sequence[str], by: User) -> Article:
    """Say which intents the article answers. Raises ArticleMissing or LabelUnknown."""
    _check(intents)
    with transaction.atomic():
        article = _locked(slug)
        if article.intents != list(intents):
            before, article.intents = article.intents, list(intents)
            article.save(update_fields=["intents", "updated_at"])
            audit.record(actor=by, action="article.intents", target=article, data={"from": before, "to": article.intents})
        return article


def set_state(*, slug: str, state: str, by: User) -> Article:
    """Publish, withdraw or archive. Raises ArticleMissing or ArticleStateBad."""
    with transaction.atomic():
        article = _locked(slug)
        if state not in ArticleState.values or (state == ArticleState.PUBLISHED and not article.texts.exists()):
            raise ArticleStateBad
        if article.state != state:
            before, article.state = article.state, state
            article.save(update_fields=["state", "updated_at"])
            audit.record(actor=by, action="article.state", target=article, data={"from": before, "to": state})
        return article


def publish_all(*, by: User) -> int:
    """Publish every draft that has a text; returns how many."""
    with transaction.atomic():
        drafts = Article.objects.select_for_update().filter(state=ArticleState.DRAFT, pk__in=ArticleText.objects.values("article"))
        numbers = list(drafts.values_list("pk", flat=True))
        Article.objects.filter(pk__in=numbers).update(state=ArticleState.PUBLISHED)
        if numbers:
            audit.record(actor=by, action="article.publish_all", data={"articles": len(numbers)})
        return len(numbers)


def _check(intents: Sequence[str]) -> None:
    if not set(intents) <= labels.known_labels():
        raise labels.LabelUnknown


def _locked(slug: str) -> Article:
    article = Article.objects.select_for_update().filter(slug=slug).first()
    if article is None:
        raise ArticleMissing
    return article
