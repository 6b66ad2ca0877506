"""Language and theme of the viewer: the account's choice, else a cookie, else what the browser asks.

The language lives in a cookie, so that a page knows it before the account is read; logging in brings it up to date.
"""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import translation
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from crm.core.models.people import Theme, User

_LANGUAGES = {code for code, _name in settings.LANGUAGES}
_YEAR = 31_536_000
# In a visitor's session: the language chosen before logging in, which is newer than the account's.
_CHOSEN = "language_chosen"


class LanguageMiddleware:
    """Activates the cookie's language or the browser's; the account's own is applied when it is saved to the cookie."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        chosen = request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME, "")
        language = chosen if chosen in _LANGUAGES else translation.get_language_from_request(request)
        translation.activate(language)
        request.LANGUAGE_CODE = translation.get_language()  # type: ignore[attr-defined]
        response = self.get_response(request)
        response.headers.setdefault("Content-Language", translation.get_language() or "en")
        return response


@require_POST
def save(request: HttpRequest) -> HttpResponse:
    """Store `language` and/or `theme` from the form in a cookie and, when logged in, on the account."""
    target = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(target, allowed_hosts={request.get_host()}, require_https=request.is_secure()):
        target = "/"
    response = HttpResponseRedirect(target)
    language, theme = request.POST.get("language", ""), request.POST.get("theme", "")
    changed: dict[str, str] = {}
    if language in _LANGUAGES:
        _remember(request, response, language)
        changed["locale"] = language
        if not request.user.is_authenticated:
            request.session[_CHOSEN] = language
    if theme in Theme.values:
        response.set_cookie("theme", theme, max_age=_YEAR, samesite="Lax", secure=request.is_secure())
        changed["theme"] = theme
    if changed and request.user.is_authenticated:
        User.objects.filter(pk=request.user.pk).update(**changed)
    return response


def follow_account(request: HttpRequest, response: HttpResponse) -> None:
    """Bring the browser's language and the account's together after logging in: what was chosen on the way in, else the account's."""
    chosen = request.session.pop(_CHOSEN, "")
    if chosen:
        User.objects.filter(username=request.user.get_username()).update(locale=chosen)
    elif getattr(request.user, "locale", "") in _LANGUAGES:
        _remember(request, response, request.user.locale)  # type: ignore[union-attr]


def _remember(request: HttpRequest, response: HttpResponse, language: str) -> None:
    response.set_cookie(settings.LANGUAGE_COOKIE_NAME, language, max_age=_YEAR, samesite="Lax", secure=request.is_secure())
