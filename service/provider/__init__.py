"""Logins that an identity provider (OpenID Connect) vouches for; optional, beside those with a password."""
