"""REST under ``/api/v1``; loads no torch, so a web process starts in about a second and stays small."""
