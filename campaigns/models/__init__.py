"""Campaigns: what is sent to whom, the ledger that makes a second send impossible, and what came of it."""

from campaigns.models.campaign import Campaign, CampaignState, CampaignText
from campaigns.models.delivery import Arm, Delivery, DeliveryState, Engagement, EngagementKind
from campaigns.models.draft import CopyDraft, DraftOutcome

__all__ = ["Arm", "Campaign", "CampaignState", "CampaignText", "CopyDraft", "Delivery", "DeliveryState", "DraftOutcome", "Engagement", "EngagementKind"]
