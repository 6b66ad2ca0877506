"""What the campaign forms take in."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from campaigns.copywriting import LANGUAGES
from campaigns.models import Campaign
from campaigns.preflight import LANGUAGE_NAMES
from customers.models import Segment


class NewCampaignForm(forms.ModelForm):  # type: ignore[type-arg]
    """A name, an audience, a goal; the rest has sensible defaults."""

    segment = forms.ModelChoiceField(label=_("Segment"), queryset=Segment.objects.order_by("name", "pk"), required=False, empty_label=_("No segment yet"))

    class Meta:
        model = Campaign
        fields = ["name", "segment", "goal"]
        widgets = {"goal": forms.Textarea(attrs={"rows": 3})}


class CampaignForm(forms.ModelForm):  # type: ignore[type-arg]
    """The editor's settings. The texts stand beside it as subject_<language> and body_<language>."""

    segment = forms.ModelChoiceField(label=_("Segment"), queryset=Segment.objects.order_by("name", "pk"), required=False, empty_label=_("No segment yet"))
    version = forms.IntegerField(widget=forms.HiddenInput)
    holdout_percent = forms.IntegerField(
        label=_("Held out, %"), min_value=0, max_value=50, help_text=_("Left out by chance, so that the report can tell what the campaign caused.")
    )
    attribution_days = forms.IntegerField(label=_("Orders count for, days"), min_value=1, max_value=90)

    class Meta:
        model = Campaign
        fields = ["name", "goal", "segment", "holdout_percent", "attribution_days", "with_recommendations"]
        widgets = {"goal": forms.Textarea(attrs={"rows": 2})}

    def values(self) -> dict[str, Any]:
        """Return the cleaned settings as the domain names them."""
        data = self.cleaned_data
        return {
            "name": data["name"],
            "goal": data["goal"],
            "segment_id": data["segment"].pk if data["segment"] else None,
            "holdout_percent": data["holdout_percent"],
            "attribution_days": data["attribution_days"],
            "with_recommendations": data["with_recommendations"],
        }


class TestSendForm(forms.Form):
    """Where a test mail goes and as whom."""

    to = forms.EmailField(label=_("Send a test to"))
    language = forms.ChoiceField(label=_("Language"), choices=[(code, LANGUAGE_NAMES[code]) for code in LANGUAGES])
    customer = forms.IntegerField(min_value=1)
