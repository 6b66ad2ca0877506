"""Websocket routes of the chat."""

from django.urls import re_path

from support.consumers import AgentConsumer, VisitorConsumer

visitor_routes = [re_path(r"^$", VisitorConsumer.as_asgi())]
staff_routes = [re_path(r"^inbox/$", AgentConsumer.as_asgi())]
