"""E-mail continuity: what staff writes reaches a visitor who left, and the visitor's answer lands in the conversation."""
