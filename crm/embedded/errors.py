"""What can go wrong with the local stack; each text is one line that says what to change."""


class EmbeddedError(Exception):
    """The local PostgreSQL or Redis cannot be used; the text is one line naming the cause and the fix."""


class BinariesMissing(EmbeddedError):
    """The programs of a service are not installed."""


class ServiceFailed(EmbeddedError):
    """A service was started and did not become ready."""


class PlaceRefused(EmbeddedError):
    """A folder the local stack needs cannot be created or belongs to somebody else."""
