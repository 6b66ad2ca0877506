"""Django's admin without the scripts a page has no use for.

Django sends jQuery, XRegExp and the slug writers to every admin page; a change list needs none of them. Mixed in where
classes are registered, so that other packages' admins are as light as ours.
"""

import re
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import JSONField, URLField
from django.http import HttpRequest, HttpResponseBase

# What fills slugs from titles, and its table of scripts: 60 kB for fields that few forms have.
SLUG_SCRIPTS = frozenset({"urlify.js", "prepopulate.js", "prepopulate_init.js", "xregexp.min.js", "xregexp.js"})


class FilledJSON(forms.JSONField):
    """A list or table left empty is what a new row begins with; the column takes no null."""

    def clean(self, value: Any) -> Any:
        found = super().clean(value)
        return self.initial() if found is None and callable(self.initial) else found


class LightPages:
    """A ModelAdmin's pages with the scripts they use."""

    prepopulated_fields: Any
    list_editable: Any

    @property
    def media(self) -> forms.Media:
        whole: forms.Media = super().media  # type: ignore[misc]
        if self.prepopulated_fields:
            return whole
        return forms.Media(css=whole._css, js=[path for path in whole._js if str(path).rsplit("/", 1)[-1] not in SLUG_SCRIPTS])  # type: ignore[attr-defined]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponseBase:
        # Editable lists hold widgets, and a list in a pop-up window reports back: both need everything.
        if not self.list_editable and "_popup" not in request.GET:
            extra_context = {"media": forms.Media(js=["admin/js/actions.js"]), **(extra_context or {})}
        answer: HttpResponseBase = super().changelist_view(request, extra_context)  # type: ignore[misc]
        return answer

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if isinstance(db_field, URLField):
            kwargs.setdefault("assume_scheme", "https")
        if isinstance(db_field, JSONField) and not db_field.null:
            kwargs.setdefault("form_class", FilledJSON)
        return super().formfield_for_dbfield(db_field, request, **kwargs)  # type: ignore[misc]

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Return what the address fills in; Django ends in an error where what should be the number of a row is none."""
        given: dict[str, Any] = super().get_changeform_initial_data(request)  # type: ignore[misc]
        relations = {field.name for field in self.model._meta.get_fields() if field.is_relation}  # type: ignore[attr-defined]
        return {name: value for name, value in given.items() if name not in relations or _are_numbers(value)}


def _are_numbers(value: Any) -> bool:
    return all(re.fullmatch("[0-9]{1,18}", str(each)) for each in (value if isinstance(value, list) else [value]))


class LightAdminSite(admin.AdminSite):
    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        given = admin_class or admin.ModelAdmin
        light = (
            given if issubclass(given, LightPages) else type(given.__name__, (LightPages, given), {"__module__": given.__module__, "__doc__": given.__doc__})
        )
        super().register(model_or_iterable, light, **options)
