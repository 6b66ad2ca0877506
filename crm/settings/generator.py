"""Settings of the text generator and of sending: which model drafts, within what budget, and how often people hear from us."""

from crm.settings import env

# Who drafts texts: composer (no language model, puts stated facts together), remote (OpenAI-compatible server), local (transformers).
CRM_GENERATOR = env.text("CRM_GENERATOR", "composer")
if CRM_GENERATOR not in {"composer", "remote", "local"}:
    raise env.BadSetting(f"CRM_GENERATOR={CRM_GENERATOR!r} is unknown; write composer, remote or local.")
# remote: base address up to and including /v1.  local: not used.
CRM_GENERATOR_URL = env.text("CRM_GENERATOR_URL").rstrip("/")
if CRM_GENERATOR == "remote" and not CRM_GENERATOR_URL.startswith(("http://", "https://")):
    raise env.BadSetting(f"CRM_GENERATOR_URL={CRM_GENERATOR_URL!r} is not an address; write one such as http://127.0.0.1:11434/v1.")
# remote: the model's name at the server.  local: folder or hub id of a causal language model.
CRM_GENERATOR_MODEL = env.text("CRM_GENERATOR_MODEL")
if CRM_GENERATOR != "composer" and not CRM_GENERATOR_MODEL:
    raise env.BadSetting("CRM_GENERATOR_MODEL is not set; write the model's name (remote) or its folder (local).")
# remote: bearer token, empty for servers that want none.
CRM_GENERATOR_KEY = env.text("CRM_GENERATOR_KEY")
# Seconds one draft may take before it is given up.
CRM_GENERATOR_SECONDS = env.integer("CRM_GENERATOR_SECONDS", 60, minimum=1, maximum=600)
# Tokens one draft may be long.
CRM_GENERATOR_TOKENS = env.integer("CRM_GENERATOR_TOKENS", 800, minimum=16, maximum=8192)

# Marketing messages one person may get within CRM_FREQUENCY_DAYS; 0 sets no cap.
CRM_FREQUENCY_CAP = env.integer("CRM_FREQUENCY_CAP", 2, minimum=0, maximum=100)
# Length of the window the cap looks back over, days.
CRM_FREQUENCY_DAYS = env.integer("CRM_FREQUENCY_DAYS", 7, minimum=1, maximum=365)
# Sends to more people than this ask for the campaign's name to be typed.
CRM_SEND_CONFIRM_ABOVE = env.integer("CRM_SEND_CONFIRM_ABOVE", 1000, minimum=0)
# Seconds one step of an SMTP conversation may take.
CRM_SMTP_TIMEOUT_SECONDS = env.integer("CRM_SMTP_TIMEOUT_SECONDS", 30, minimum=1, maximum=300)
