"""Knowledge articles: the only thing the assistant may quote."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class ArticleState(models.TextChoices):
    DRAFT = "draft", _("Draft")
    PUBLISHED = "published", _("Published")
    ARCHIVED = "archived", _("Archived")


class Article(models.Model):
    """A subject the shop answers, with one text per language."""

    slug = models.SlugField(_("key"), max_length=80, unique=True)
    intents = models.JSONField(_("answers these intents"), default=list, blank=True)
    state = models.CharField(_("state"), max_length=10, choices=ArticleState.choices, default=ArticleState.PUBLISHED)
    is_demo = models.BooleanField(default=False, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = _("article")
        verbose_name_plural = _("articles")
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.slug


class ArticleText(models.Model):
    """The article in one language; version grows with each edit and is cited with every answer."""

    article = models.ForeignKey(Article, on_delete=models.CASCADE, related_name="texts", verbose_name=_("article"))
    language = models.CharField(_("language"), max_length=16)
    title = models.CharField(_("title"), max_length=200)
    body = models.TextField(_("text"), help_text=_("Markdown; the first paragraph is the answer the assistant quotes"))
    version = models.PositiveIntegerField(_("version"), default=1)
    last_used_at = models.DateTimeField(_("last quoted"), null=True, blank=True)

    class Meta:
        verbose_name = _("article text")
        verbose_name_plural = _("article texts")
        ordering = ["article", "language"]
        constraints = [models.UniqueConstraint(fields=["article", "language"], name="articletext_unique")]

    def __str__(self) -> str:
        return self.title
