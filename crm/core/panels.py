"""Which app fills which slot of a shared page, known by URL name so that lower apps need not know higher ones."""

from dataclasses import dataclass

from django.urls import reverse
from django.utils.functional import Promise


@dataclass(frozen=True, slots=True)
class Panel:
    """One section of a page that loads itself from `url_name`. `permission` is a roles.py string."""

    slot: str
    title: str | Promise
    url_name: str
    order: int
    permission: str


_panels: list[Panel] = []


def register(*, slot: str, title: str | Promise, url_name: str, order: int, permission: str) -> None:
    """Add a panel; called from an app's ready(). Registering the same URL for the same slot twice counts once."""
    if not any(panel.slot == slot and panel.url_name == url_name for panel in _panels):
        _panels.append(Panel(slot, title, url_name, order, permission))


def for_slot(slot: str, may: "frozenset[str] | set[str]") -> list[Panel]:
    """Return the slot's panels the viewer (holding the permission strings `may`) can see, in order."""
    return sorted((panel for panel in _panels if panel.slot == slot and panel.permission in may), key=lambda panel: panel.order)


@dataclass(frozen=True, slots=True)
class PanelLink:
    """A panel of one page, with the address it loads itself from; templates hand it to components/panel.html."""

    id: str
    title: str
    url: str


def links(slot: str, may: "frozenset[str] | set[str]", pk: int) -> list[PanelLink]:
    """Return the slot's panels as the page of the row `pk` prints them."""
    return [PanelLink(f"panel-{panel.url_name.replace(':', '-')}", str(panel.title), reverse(panel.url_name, args=[pk])) for panel in for_slot(slot, may)]
