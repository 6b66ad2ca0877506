"""The kernel's tables: people who work here, keys, jobs, model versions, the audit trail."""

from crm.core.models.audit import AuditEntry
from crm.core.models.jobs import Job
from crm.core.models.keys import ApiKey, IdempotencyRecord, Source
from crm.core.models.learning import DriftReading, ModelVersion
from crm.core.models.people import User
from crm.core.models.views import SavedView

__all__ = ["ApiKey", "AuditEntry", "DriftReading", "IdempotencyRecord", "Job", "ModelVersion", "SavedView", "Source", "User"]
