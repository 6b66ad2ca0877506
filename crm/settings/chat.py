"""Settings of the chat's doors: what one address and one widget may ask of a web process, and what may be attached."""

from crm.settings import env

# Visitors' sockets one address may have open in one web process.
CRM_CHAT_ADDRESS_SOCKETS = env.integer("CRM_CHAT_ADDRESS_SOCKETS", 200, minimum=1)

# Visitors' messages a second from one address and into one widget, for long and per web process; bursts are 15 times that.
CRM_CHAT_ADDRESS_RATE = env.integer("CRM_CHAT_ADDRESS_RATE", 20, minimum=1)
CRM_CHAT_WIDGET_RATE = env.integer("CRM_CHAT_WIDGET_RATE", 200, minimum=1)

# Largest attached file in bytes, and how many of them one conversation may hold. 0 switches attaching off.
CRM_CHAT_FILE_BYTES = env.integer("CRM_CHAT_FILE_BYTES", 5_000_000, minimum=0)
CRM_CHAT_FILES = env.integer("CRM_CHAT_FILES", 20, minimum=0)

# Whether webhooks may call addresses of this machine and its network, which anybody who edits webhooks could then probe.
CRM_WEBHOOK_PRIVATE = env.boolean("CRM_WEBHOOK_PRIVATE", False)
