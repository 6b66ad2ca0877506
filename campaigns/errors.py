"""Facts that stop a campaign from being written or sent."""

from django.utils.translation import gettext_lazy as _

from crm.core.errors import Conflict, CrmError


class CampaignNotDraft(CrmError):
    code = "campaign_not_draft"
    status = 409
    message = _("Only a draft can be changed; duplicate the campaign instead.")  # type: ignore[assignment]


class CampaignNotReady(CrmError):
    """data: faults, the pre-flight's blocking findings."""

    code = "campaign_not_ready"
    status = 409
    message = _("The campaign cannot be sent yet.")  # type: ignore[assignment]


class CampaignChanged(Conflict):
    code = "campaign_changed"
    message = _("Someone changed this campaign while you had it open. Your text is still in the form: compare, then save again.")  # type: ignore[assignment]
