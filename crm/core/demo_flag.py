"""Whether the demo shop's data is in this installation; asked on every page, so remembered for a while."""

from django.core.cache import cache

from crm.core.models import Source

_KEY = "demo-present"
_SECONDS = 300


def demo_present() -> bool:
    """Return True while a source marked as demo exists. One query at most every five minutes."""
    known = cache.get(_KEY)
    if known is None:
        known = Source.objects.filter(is_demo=True).exists()
        cache.set(_KEY, known, _SECONDS)
    return bool(known)


def forget() -> None:
    """Have the next page look again; called after seeding and after removal."""
    cache.delete(_KEY)
