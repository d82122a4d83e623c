"""What `restnet serve` needs in the place of other servers: supervision, a file broker, first logins."""
