"""Rows of the kernel: staff and sources."""

import factory
from factory.django import DjangoModelFactory

from crm.core.models import Source, User
from crm.core.models.people import Role


class UserFactory(DjangoModelFactory):
    """A member of staff who logs in with the password 'correct horse'."""

    class Meta:
        model = User
        skip_postgeneration_save = True

    username = factory.Sequence(lambda n: f"staff{n}")
    email = factory.LazyAttribute(lambda user: f"{user.username}@team.example")
    role = Role.AGENT
    password = factory.django.Password("correct horse")


class SourceFactory(DjangoModelFactory):
    """A shop that sends facts."""

    class Meta:
        model = Source

    name = factory.Sequence(lambda n: f"Shop {n}")
    write_key = factory.Sequence(lambda n: f"wk_test_{n:06d}")
    allowed_origins = ["https://shop.example"]
    locale = "en"
    currency = "CNY"
