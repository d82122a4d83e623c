"""What ``/metrics`` shows."""
