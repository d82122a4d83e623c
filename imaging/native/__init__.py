"""From what the scanner wrote to a scan in template space, in the order of the Athena pipeline."""
