"""Websocket routes of the chat."""

visitor_routes: list = []
staff_routes: list = []
