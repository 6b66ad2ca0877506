"""Forms of the customer and segment pages."""

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from crm.core.models import SavedView
from customers.models import Customer, Segment

LONGEST_TAG = 50


class CustomerForm(forms.ModelForm):
    """Who the person is; everything else on the row is computed or comes from the shop."""

    class Meta:
        model = Customer
        fields = ("name", "email", "phone", "locale", "country", "city", "gender", "birth_date")
        widgets = {
            "birth_date": forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
            "locale": forms.Select(choices=[("", _("unknown")), *settings.LANGUAGES]),
        }

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        # A shop may use codes we have no name for; the menu must not lose them on saving.
        current = self.instance.locale
        choices = self.fields["locale"].widget.choices
        if current and current not in dict(choices):
            self.fields["locale"].widget.choices = [*choices, (current, current)]


class TagForm(forms.Form):
    """One tag to add."""

    tag = forms.CharField(label=_("Tag"), max_length=LONGEST_TAG, strip=True)

    def clean_tag(self) -> str:
        tag = str(self.cleaned_data["tag"])
        if "," in tag:
            raise ValidationError(_("A tag cannot contain a comma."))
        return tag


class ViewForm(forms.Form):
    """A name for the list as it is filtered now."""

    name = forms.CharField(label=_("Name"), max_length=SavedView._meta.get_field("name").max_length, strip=True)
    is_shared = forms.BooleanField(label=_("Share with everyone"), required=False)


class SegmentForm(forms.ModelForm):
    """What a segment is called; its rule comes from the builder."""

    class Meta:
        model = Segment
        fields = ("name", "description")
        widgets = {"description": forms.TextInput()}
