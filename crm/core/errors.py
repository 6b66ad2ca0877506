"""The base of every error the domain raises: a fact with a code, a message for people, and data."""

from django.utils.translation import gettext, gettext_noop


class CrmError(Exception):
    """Something a caller asked for cannot be done; doors turn it into an answer once.

    Subclasses set `code` (stable, snake_case), `status` (the HTTP status a door answers with) and `message`, marked with
    gettext_noop where a person may read it: `text` is in the language that is active when the error is raised.
    """

    code = "error"
    status = 400
    message = gettext_noop("The request cannot be carried out.")

    def __init__(self, message: str = "", **data: object) -> None:
        self.text = message or gettext(str(self.message))
        super().__init__(self.text)
        self.data = data


class NotFound(CrmError):
    code = "not_found"
    status = 404
    message = gettext_noop("There is no such thing, or you may not see it.")


class Conflict(CrmError):
    code = "conflict"
    status = 409
    message = gettext_noop("This was changed by someone else in the meantime.")
