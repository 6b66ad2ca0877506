"""What the knowledge pages show: the articles, whether the assistant may quote them, and what they lack."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Prefetch, Q
from django.utils.functional import Promise
from django.utils.safestring import SafeString
from django.utils.translation import get_language

from support import intents, knowledge, labels
from support.language import LANGUAGES, html_lang
from support.models import Article, ArticleText
from support.models.knowledge import ArticleState
from support.models.labels import OUT_OF_SCOPE
from support.threads import LANGUAGE_NAMES


@dataclass(frozen=True, slots=True)
class Row:
    slug: str
    title: str
    title_lang: str
    state: str
    state_label: str | Promise
    intents: list[str]
    languages: list[str | Promise]
    missing: list[str | Promise]
    versions: str
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class KnowledgePage:
    rows: list[Row]
    query: str
    drafts: int
    uncovered: list[tuple[str, str]]


def knowledge_page(*, query: str) -> KnowledgePage:
    """Return all articles, or those whose title or text holds the query, with the intents none is listed for. Two queries."""
    language = get_language() or "en"
    texts = ArticleText.objects.order_by("language")
    found = Article.objects.prefetch_related(Prefetch("texts", texts)).order_by("slug")
    everything = list(found)
    query = query.replace("\x00", " ").strip()[:100]
    shown = (
        list(found.filter(Q(texts__title__icontains=query) | Q(texts__body__icontains=query) | Q(slug__icontains=query)).distinct()) if query else everything
    )
    covered = {name for article in everything if article.state == ArticleState.PUBLISHED for name in article.intents}
    plain = {intents.GREETING, intents.THANKS, intents.TALK_TO_PERSON, intents.COMPLAINT}
    return KnowledgePage(
        rows=[_row(article, language) for article in shown],
        query=query,
        drafts=sum(article.state == ArticleState.DRAFT for article in everything),
        uncovered=[(name, intents.name(name, language)) for name in intents.SHIPPED if name not in covered | plain],
    )


def _row(article: Article, language: str) -> Row:
    texts = {text.language: text for text in article.texts.all()}
    first = texts.get(language) or next(iter(texts.values()), None)
    used = [text.last_used_at for text in texts.values() if text.last_used_at]
    return Row(
        slug=article.slug,
        title=first.title if first else article.slug,
        title_lang=html_lang(first.language) if first else "",
        state=article.state,
        state_label=ArticleState(article.state).label,
        intents=[intents.name(name, language) for name in article.intents],
        languages=[LANGUAGE_NAMES[name] for name in LANGUAGES if name in texts],
        missing=[LANGUAGE_NAMES[name] for name in LANGUAGES if name not in texts],
        # One number where all languages stand at it.
        versions=" · ".join(dict.fromkeys(str(texts[name].version) for name in LANGUAGES if name in texts)),
        last_used_at=max(used, default=None),
    )


@dataclass(frozen=True, slots=True)
class TextForm:
    """One language's text as its form shows it. quoted: what the assistant would say; preview: the public page."""

    language: str
    html_lang: str
    name: str | Promise
    title: str
    body: str
    version: int
    quoted: str
    preview: SafeString


@dataclass(frozen=True, slots=True)
class EditPage:
    article: Article | None
    title: str
    texts: list[TextForm]
    choices: list[tuple[str, str]]
    listed: list[str]
    states: list[tuple[str, str | Promise]]
    public_url: str


def edit_page(*, slug: str) -> EditPage:
    """Return an article with a form per language. Raises ArticleMissing. Three queries."""
    article = Article.objects.prefetch_related("texts").filter(slug=slug).first()
    if article is None:
        raise knowledge.ArticleMissing
    texts = {text.language: text for text in article.texts.all()}
    language = get_language() or "en"
    shown = texts.get(language) or next(iter(texts.values()), None)
    return EditPage(
        article=article,
        title=shown.title if shown else slug,
        texts=[_form(name, texts.get(name)) for name in LANGUAGES],
        choices=_choices(language),
        listed=list(article.intents),
        states=[*ArticleState.choices],
        public_url=knowledge.url_of(slug, language) if article.state == ArticleState.PUBLISHED and texts else "",
    )


def new_page(*, title: str, intent: str) -> EditPage:
    """Return an empty form for a new article. One query."""
    choices = _choices(get_language() or "en")
    known = {name for name, _shown in choices}
    return EditPage(None, title.strip()[:200], [], choices, [intent] if intent in known else [], [], "")


def _choices(language: str) -> list[tuple[str, str]]:
    return [(name, shown) for name, shown in intents.choices(language, frozenset(labels.known_labels())) if name != OUT_OF_SCOPE]


def _form(language: str, text: ArticleText | None) -> TextForm:
    name = LANGUAGE_NAMES[language]
    if text is None:
        return TextForm(language, html_lang(language), name, "", "", 0, "", SafeString(""))
    return TextForm(
        language, html_lang(language), name, text.title, text.body, text.version, knowledge.first_paragraph(text.body), knowledge.as_html(text.body)
    )
