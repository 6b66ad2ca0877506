"""Saved views: a name for a list page's URL state, one's own or shared."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


class SavedView(models.Model):
    """A named query string of a list page. Filters live in the URL; this only remembers and shares it."""

    page = models.CharField(max_length=40, help_text="URL name of the list, such as customers:list")
    name = models.CharField(_("name"), max_length=60)
    query = models.CharField(max_length=2000, blank=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="saved_views", verbose_name=_("owner"))
    is_shared = models.BooleanField(_("shared with everyone"), default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("saved view")
        verbose_name_plural = _("saved views")
        ordering = ["name", "id"]
        constraints = [models.UniqueConstraint(fields=["page", "owner", "name"], name="savedview_unique")]

    def __str__(self) -> str:
        return self.name
