"""The way in, and the page on which somebody minds their own account: their name, address and password."""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.forms import PasswordChangeForm
from django.contrib.auth.password_validation import password_validators_help_texts
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from crm.core import audit, preferences
from crm.core.access.roles import require
from crm.core.models import User


class LogIn(LoginView):
    """The login page; whoever comes in finds the language of their account, also in a browser they have never used."""

    redirect_authenticated_user = True

    def form_valid(self, form: Any) -> HttpResponse:
        response: HttpResponse = super().form_valid(form)
        preferences.follow_account(self.request, response)
        return response


class AccountForm(forms.ModelForm):
    """What others see of a member of staff; role and user name are an administrator's business."""

    class Meta:
        model = User
        fields = ("first_name", "last_name", "email")
        help_texts = {"first_name": gettext_lazy("Colleagues see the name, and visitors in the chat.")}


class PasswordForm(PasswordChangeForm):
    """The old password and the new one twice."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The page begins with the name; nobody comes for the password first.
        self.fields["old_password"].widget.attrs.pop("autofocus", None)
        # Django gives a list of rules, which cannot stand in the paragraph under a field.
        self.fields["new_password1"].help_text = " ".join(password_validators_help_texts())


@require_http_methods(["GET", "POST"])
@require("home.view")
def account(request: HttpRequest) -> HttpResponse:
    """The viewer's own name and address, and the form for another password."""
    user: User = request.user  # type: ignore[assignment]
    # A copy of the row: a refused form must not change the name in the page's own head.
    form = AccountForm(request.POST or None, instance=User.objects.get(pk=user.pk))
    if request.method == "POST":
        if not form.is_valid():
            return _page(request, form=form, status=422)
        form.save()
        if form.changed_data:
            audit.record(actor=user, action="user.change", target=user, data={"fields": list(form.changed_data)})
        messages.success(request, _("Saved."))
        return HttpResponseRedirect(reverse("core:account"))
    return _page(request, form=form)


@require_http_methods(["GET", "POST"])
@require("home.view")
def password(request: HttpRequest) -> HttpResponse:
    """Set another password; this browser stays logged in and every other one has to log in again."""
    if request.method == "GET":
        # A refused form leaves this address in the browser; asking for it again, or switching the language, must not fail.
        return HttpResponseRedirect(reverse("core:account"))
    user: User = request.user  # type: ignore[assignment]
    form = PasswordForm(user, request.POST)
    if not form.is_valid():
        return _page(request, password_form=form, status=422)
    form.save()
    update_session_auth_hash(request, user)
    audit.record(actor=user, action="user.password", target=user)
    messages.success(request, _("The password is changed. Other browsers have to log in again."))
    return HttpResponseRedirect(reverse("core:account"))


def _page(request: HttpRequest, *, form: AccountForm | None = None, password_form: PasswordForm | None = None, status: int = 200) -> HttpResponse:
    user: User = request.user  # type: ignore[assignment]
    context = {"form": form or AccountForm(instance=user), "password_form": password_form or PasswordForm(user)}
    return render(request, "account.html", context, status=status)
