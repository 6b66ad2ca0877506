"""Who may do what: staff roles here, partners' API keys in crm/core/api."""
