"""Support: conversations as durable, ordered rows; knowledge; labelled examples; tickets; the assistant's choices; teams,
service levels and webhooks."""

from support.models.assist import Suggestion
from support.models.attachment import Attachment
from support.models.cluster import QuestionCluster
from support.models.conversation import Conversation, Message, Tag, Team
from support.models.knowledge import Article, ArticleText
from support.models.labels import IntentExample
from support.models.mail import ConversationMail
from support.models.policy import PolicyChoice
from support.models.saved import CannedReply, Macro, Mention
from support.models.service import BusinessCalendar, ServicePolicy, ServiceTarget
from support.models.team import DeskState, Draft, Presence, TeamSource
from support.models.ticket import Ticket, TicketEntry
from support.models.visitor import TokenRevocation
from support.models.webhook import Webhook, WebhookDelivery

__all__ = [
    "Article",
    "ArticleText",
    "Attachment",
    "BusinessCalendar",
    "CannedReply",
    "Conversation",
    "ConversationMail",
    "DeskState",
    "Draft",
    "IntentExample",
    "Macro",
    "Mention",
    "Message",
    "PolicyChoice",
    "Presence",
    "QuestionCluster",
    "ServicePolicy",
    "ServiceTarget",
    "Suggestion",
    "Tag",
    "Team",
    "TeamSource",
    "Ticket",
    "TicketEntry",
    "TokenRevocation",
    "Webhook",
    "WebhookDelivery",
]
