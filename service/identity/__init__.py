"""Who may use the service: accounts, their keys and their logins; nothing here knows of HTTP."""
