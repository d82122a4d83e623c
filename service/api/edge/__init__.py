"""What stands between a connection and the application: limits, counts, ids and the parsing of bodies."""
