"""What this app tells the house."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class CampaignReady:
    """A campaign's ledger is written and waits to be sent. cause: launch or resume."""

    campaign_id: int
    job_id: int
    at: datetime
    cause: str


@dataclass(frozen=True, slots=True)
class DraftWanted:
    """Someone asked the generator for texts."""

    campaign_id: int
    job_id: int
    at: datetime
    cause: str
