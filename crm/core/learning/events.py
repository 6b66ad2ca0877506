"""What the learning kernel tells the apps."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class ModelSwitched:
    """A person put another version into service, so what was computed with the former one is out of date."""

    task: str
    version: int
    at: datetime
    cause: str
