"""Support: conversations as durable, ordered rows; knowledge; labelled examples; tickets."""

from support.models.conversation import Conversation, Message
from support.models.knowledge import Article, ArticleText
from support.models.labels import IntentExample
from support.models.ticket import Ticket

__all__ = ["Article", "ArticleText", "Conversation", "IntentExample", "Message", "Ticket"]
