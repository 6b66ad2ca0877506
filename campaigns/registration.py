"""Everything this app contributes to the shared registries, in one visible list."""


def register() -> None:
    """Fill the registries; called once from the app's ready()."""
