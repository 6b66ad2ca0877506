"""Campaigns: what is sent to whom, the ledger that makes a second send impossible, and what came of it."""

from campaigns.models.campaign import Campaign, CampaignText
from campaigns.models.delivery import Delivery, Engagement

__all__ = ["Campaign", "CampaignText", "Delivery", "Engagement"]
