"""Staff accounts: Django's user plus one role and the person's own language and theme."""

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils.translation import gettext_lazy as _


class Role(models.TextChoices):
    """What a person does here; crm/core/access/roles.py says what each role may do."""

    ADMIN = "admin", _("Administrator")
    MARKETER = "marketer", _("Marketer")
    ANALYST = "analyst", _("Analyst")
    AGENT = "agent", _("Support agent")


class Theme(models.TextChoices):
    AUTO = "auto", _("As the system")
    LIGHT = "light", _("Light")
    DARK = "dark", _("Dark")


class User(AbstractUser):
    """A member of staff."""

    role = models.CharField(_("role"), max_length=16, choices=Role.choices, default=Role.AGENT)
    locale = models.CharField(_("language"), max_length=16, blank=True, help_text=_("Empty: as the browser asks."))
    theme = models.CharField(_("theme"), max_length=8, choices=Theme.choices, default=Theme.AUTO)
    chat_capacity = models.PositiveSmallIntegerField(_("open chats at most"), default=8)

    class Meta(AbstractUser.Meta):
        verbose_name = _("member of staff")  # type: ignore[assignment]
        verbose_name_plural = _("staff")  # type: ignore[assignment]

    def __str__(self) -> str:
        return self.get_full_name() or self.username
