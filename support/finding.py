"""Full-text search over conversations: words in any language, Chinese by neighbouring characters."""

import re

from django.contrib.postgres.search import SearchQueryField
from django.db.models import BooleanField, Func, Q, QuerySet
from django.db.models.expressions import RawSQL

from crm.core.models import User
from support import teams
from support.models import Conversation, Message, Ticket
from support.models.conversation import Grams

LONGEST = 100
_HAN = re.compile(r"[\u3400-\u9fff]+")


def matching_messages(query: str) -> "QuerySet[Message]":
    """Return messages that hold every word of the query; the last letters of a word may be missing.

    A run of Han characters must stand in the text as written. Uses the index on support_grams(text).
    """
    query = query.replace("\x00", " ").strip()[:LONGEST]
    # The same function that made the index takes the query apart; each part is quoted by PostgreSQL itself.
    parts = RawSQL(
        "(SELECT coalesce(string_agg(quote_literal(gram) || ':*', ' & '), '')::tsquery FROM unnest(tsvector_to_array(support_grams(%s))) AS gram)",
        [query],
        output_field=SearchQueryField(),
    )
    found = Message.objects.filter(Func(Grams("text"), parts, arg_joiner=" @@ ", template="%(expressions)s", output_field=BooleanField()))
    for run in _HAN.findall(query):
        found = found.filter(text__contains=run)
    return found


def matching(query: str) -> Q:
    """Return the condition on conversations: said in it, or in the visitor's name, address or customer."""
    query = query.replace("\x00", " ").strip()[:LONGEST]
    named = Q(visitor_name__icontains=query) | Q(visitor_email__iexact=query) | Q(customer__name__icontains=query) | Q(customer__email__iexact=query)
    return named | Q(pk__in=matching_messages(query).values("conversation")) | Q(tags__name__iexact=query)


def conversations(*, query: str, viewer: User) -> "QuerySet[Conversation]":
    """Return the conversations the viewer may see that hold the query, each once."""
    return teams.conversations_for(viewer).filter(pk__in=Conversation.objects.filter(matching(query)).values("pk"))


def tickets(*, query: str, viewer: User) -> "QuerySet[Ticket]":
    """Return the tickets the viewer may see whose subject, text, customer or order number holds the query."""
    query = query.replace("\x00", " ").strip()[:LONGEST]
    match = Q(subject__icontains=query) | Q(body__icontains=query) | Q(customer__name__icontains=query) | Q(orders__external_id__iexact=query)
    if query.lstrip("#").isdecimal() and len(query) < 10:
        match |= Q(pk=int(query.lstrip("#")))
    return teams.tickets_for(viewer).filter(match).distinct()
