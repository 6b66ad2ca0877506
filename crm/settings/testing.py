"""Settings of the test run: the same embedded services, quick password hashes, tasks run by the test that needs them."""

from crm.settings import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
CRM_OUTBOX = True
# A task enqueued during a test runs at once in the same process unless the test starts a real worker.
CELERY_TASK_ALWAYS_EAGER = True
CELERY_TASK_EAGER_PROPAGATES = True
