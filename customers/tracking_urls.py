"""Addresses of the tracking surface: each call by its name, by the browser library's letter, with or without a slash."""

from django.urls import path, re_path

from customers import tracking
from customers.models.activity import ActivityKind

_LETTERS = {"identify": "i", "track": "t", "page": "p", "screen": "s", "group": "g", "alias": "a", "batch": "b"}

app_name = "tracking"
urlpatterns = []
for _name, _letter in _LETTERS.items():
    _view = tracking.endpoint("" if _name == "batch" else ActivityKind(_name).value)
    urlpatterns += [path(_name, _view, name=_name), path(f"{_name}/", _view), path(_letter, _view), path(f"{_letter}/", _view)]
# The rest of the room answers in JSON too: clients cannot read a page.
urlpatterns.append(re_path(r"", tracking.unknown))
