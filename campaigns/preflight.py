"""What to look at before sending: findings that block, and findings a person should have seen."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from campaigns import facts, merge
from campaigns.audiences import Audience
from campaigns.models import Campaign, CampaignText

LANGUAGE_NAMES: dict[str, str | Promise] = {"en": gettext_lazy("English"), "zh-hans": gettext_lazy("Chinese")}
# Below this many people on one side no realistic effect would show.
SMALLEST_GROUP = 50


@dataclass(frozen=True, slots=True)
class Finding:
    """tone: success, warning or danger.  Only danger blocks."""

    code: str
    tone: str
    text: str

    @property
    def is_blocking(self) -> bool:
        return self.tone == "danger"


def check(*, campaign: Campaign, audience: Audience, texts: Sequence[CampaignText] | None = None) -> tuple[Finding, ...]:
    """Return every finding, blocking ones first. At most one query, none where no price or product is stated.

    texts: the campaign's texts where the caller has them loaded.
    """
    texts = list(campaign.texts.all()) if texts is None else texts
    findings = [*_of_texts(campaign, texts), *_of_audience(campaign, audience, [text.language for text in texts if text.is_approved])]
    order = {"danger": 0, "warning": 1, "success": 2}
    return tuple(sorted(findings, key=lambda finding: order[finding.tone]))


def _of_texts(campaign: Campaign, texts: Sequence[CampaignText]) -> list[Finding]:
    if not texts:
        return [Finding("no_text", "danger", _("There is no text yet."))]
    findings: list[Finding] = []
    faults = facts.check_written(texts={text.language: (text.subject, text.body) for text in texts}, goal=campaign.goal)
    for text in texts:
        name = str(LANGUAGE_NAMES.get(text.language, text.language))
        if not text.is_approved:
            findings.append(
                Finding("not_approved", "danger", _("The %(language)s text was written by a model and nobody has approved it.") % {"language": name})
            )
        try:
            merge.parse(text.subject, subject=True)
            bare = merge.without_fallback(text.subject) + merge.without_fallback(text.body)
        except (merge.UnknownField, merge.MalformedField) as error:
            findings.append(Finding(error.code, "danger", f"{name}: {error.text}"))
            continue
        words = _("%(language)s: customers without a value for {{ %(field)s }} will be left out. Give words to use instead: {{ %(field)s|… }}.")
        findings += [Finding("no_fallback", "warning", words % {"language": name, "field": field}) for field in dict.fromkeys(bare)]
        findings += [Finding(fault.code, "warning", f"{name}: {fault.label}: {fault.text}") for fault in faults[text.language]]
    if not any(finding.is_blocking for finding in findings):
        findings.append(Finding("text_ready", "success", _("Texts are in order.")))
    return findings


def _of_audience(campaign: Campaign, audience: Audience, languages: list[str]) -> list[Finding]:
    if campaign.segment_id is None:
        return [Finding("no_segment", "danger", _("No segment is chosen."))]
    findings: list[Finding] = []
    if not audience.to_send:
        findings.append(Finding("nobody", "danger", _("Nobody in this segment can be written to.")))
    elsewhere = sum(1 for one in audience.treated if not _speaks(audience.members[one].locale, audience.languages[one]))
    if elsewhere and languages:
        findings.append(
            Finding(
                "other_language",
                "warning",
                ngettext(
                    "%(n)s customer gets the mail in another language than their own.",
                    "%(n)s customers get the mail in another language than their own.",
                    elsewhere,
                )
                % {"n": elsewhere},
            )
        )
    if audience.to_send and not campaign.holdout_percent:
        findings.append(Finding("no_holdout", "warning", _("Nobody is held out, so the report cannot say whether the campaign caused anything.")))
    elif audience.to_send and min(audience.held_out, audience.to_send) < SMALLEST_GROUP:
        findings.append(
            Finding("small_holdout", "warning", _("Only %(n)s held out: the effect will probably stay “not clear yet”.") % {"n": audience.held_out})
        )
    if audience.to_send:
        findings.append(
            Finding(
                "audience_ready",
                "success",
                ngettext("%(n)s customer can be written to.", "%(n)s customers can be written to.", audience.to_send) % {"n": audience.to_send},
            )
        )
    return findings


def _speaks(locale: str, language: str) -> bool:
    """Whether the mail's language is the customer's own; nothing known counts as yes."""
    return not locale or not language or locale.lower().replace("_", "-").split("-")[0] == language.split("-")[0]
