"""What a refused or failed request is answered with."""
