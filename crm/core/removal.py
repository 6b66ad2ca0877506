"""Taking the demo shop out again.

The kernel knows no demo; whoever seeds it (crm/demo) adds the function that removes it to `removers` in its app's
ready(). Each takes `progress(done, total, message)` and returns {what: rows removed}.
"""

from collections.abc import Callable

from django.utils.translation import gettext_noop

from crm.core.errors import CrmError

Progress = Callable[[int, int, str], None]
removers: list[Callable[[Progress], dict[str, int]]] = []


class NothingToRemove(CrmError):
    code = "no_demo_data"
    status = 409
    message = gettext_noop("There is no demo data in this installation.")


def remove(progress: Progress) -> dict[str, int]:
    """Run every remover and return the rows removed per kind. Safe to run again after an interruption."""
    removed: dict[str, int] = {}
    for remover in removers:
        for what, rows in remover(progress).items():
            removed[what] = removed.get(what, 0) + rows
    return removed
