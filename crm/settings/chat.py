"""Settings of the chat's doors: what one address and one widget may ask, and what may be attached."""

from crm.settings import env
from crm.settings.base import CRM_PRODUCTION, DEFAULT_FROM_EMAIL

# Visitors' sockets one address may have open, over all web processes (support.sharing).
CRM_CHAT_ADDRESS_SOCKETS = env.integer("CRM_CHAT_ADDRESS_SOCKETS", 200, minimum=1)

# Visitors' messages a second from one address and into one widget, for long and over all web processes; bursts are 15 times that.
CRM_CHAT_ADDRESS_RATE = env.integer("CRM_CHAT_ADDRESS_RATE", 20, minimum=1)
CRM_CHAT_WIDGET_RATE = env.integer("CRM_CHAT_WIDGET_RATE", 200, minimum=1)

# Largest attached file in bytes, and how many of them one conversation may hold. 0 switches attaching off.
CRM_CHAT_FILE_BYTES = env.integer("CRM_CHAT_FILE_BYTES", 5_000_000, minimum=0)
CRM_CHAT_FILES = env.integer("CRM_CHAT_FILES", 20, minimum=0)

# Address that visitors answer mails at: the conversation is added as reply+TOKEN@…, so its mailbox must take such
# addresses. Outside production `reply` at the domain of CRM_MAIL_FROM; in production empty until set, and then nothing
# is mailed to visitors, because they could not answer.
CRM_INBOUND_MAIL_ADDRESS = env.text("CRM_INBOUND_MAIL_ADDRESS", "" if CRM_PRODUCTION else f"reply@{DEFAULT_FROM_EMAIL.strip(' >').rpartition('@')[2]}")
# Where the SMTP door for these answers listens; port 0: `manage.py up` takes a free one.
CRM_INBOUND_MAIL_HOST = env.text("CRM_INBOUND_MAIL_HOST", "127.0.0.1")
CRM_INBOUND_MAIL_PORT = env.integer("CRM_INBOUND_MAIL_PORT", 0, minimum=0, maximum=65535)
# Largest mail taken, in bytes.
CRM_INBOUND_MAIL_BYTES = env.integer("CRM_INBOUND_MAIL_BYTES", 10_000_000, minimum=10_000)
# Seconds an answer waits for the visitor's page to receive it before it is mailed.
CRM_CHAT_MAIL_AFTER_SECONDS = env.integer("CRM_CHAT_MAIL_AFTER_SECONDS", 120, minimum=5)

# Whether webhooks may call addresses of this machine and its network, which anybody who edits webhooks could then probe.
CRM_WEBHOOK_PRIVATE = env.boolean("CRM_WEBHOOK_PRIVATE", False)
