"""HTTP: the server of webhooks, and the client of REST interfaces."""
