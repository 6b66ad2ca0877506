"""The base of every error the domain raises: a fact with a code, a message for people, and data."""


class CrmError(Exception):
    """Something a caller asked for cannot be done; doors turn it into an answer once.

    Subclasses set `code` (stable, snake_case), `status` (the HTTP status a door answers with) and `message`.
    """

    code = "error"
    status = 400
    message = "The request cannot be carried out."

    def __init__(self, message: str = "", **data: object) -> None:
        super().__init__(message or str(self.message))
        self.text = message or str(self.message)
        self.data = data


class NotFound(CrmError):
    code = "not_found"
    status = 404
    message = "There is no such thing, or you may not see it."


class Conflict(CrmError):
    code = "conflict"
    status = 409
    message = "This was changed by someone else in the meantime."
