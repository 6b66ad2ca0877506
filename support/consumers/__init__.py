"""Websocket doors of the chat: visitors and agents. They validate, call the domain in a thread, and pass rows on.

A socket is never the source of truth. Each one remembers the highest number its client was told about and, whenever a
hint arrives or the client asks, sends everything above it: the line that came with the hint where it is the next one,
else from the rows. Nothing here runs a model.
"""

from support.consumers.agent import AgentConsumer
from support.consumers.base import THREADS, ChatConsumer, in_thread, pool
from support.consumers.visitor import VisitorConsumer

__all__ = ["THREADS", "AgentConsumer", "ChatConsumer", "VisitorConsumer", "in_thread", "pool"]
