"""Which events of the lower apps this app hears; each body enqueues one task."""


def connect() -> None:
    """Subscribe; called once from the app's ready()."""
