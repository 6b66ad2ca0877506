"""The embedded default: no language model. The caller's own function puts stated facts together, and says so."""

from collections.abc import Callable, Mapping

# Raised with the sentences: stored with every text so that old ones can be told apart.
VERSION = 1
ORIGIN = f"composer:{VERSION}"

Compose = Callable[[], Mapping[str, object]]
