"""TCP and TLS byte streams."""
