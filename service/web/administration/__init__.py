"""The pages of an administrator: accounts, API keys and the audit of the organisation."""
