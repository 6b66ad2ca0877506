"""Support: conversations as durable, ordered rows; knowledge; labelled examples; tickets; the assistant's choices."""

from support.models.assist import Suggestion
from support.models.attachment import Attachment
from support.models.conversation import Conversation, Message
from support.models.knowledge import Article, ArticleText
from support.models.labels import IntentExample
from support.models.policy import PolicyChoice
from support.models.ticket import Ticket

__all__ = ["Article", "ArticleText", "Attachment", "Conversation", "IntentExample", "Message", "PolicyChoice", "Suggestion", "Ticket"]
