"""What a request brings about, whether it came over REST or from a page."""
