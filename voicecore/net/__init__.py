"""Sockets: WebSocket dialling, the server port, HTTP requests, the disk.

Level 2: the only room that touches trio-websocket, httpx, httpcore, h11, wsproto and TLS.
Rule 1: foreign errors are mapped here, once, to voicecore.errors.
Rule 2: every wait has a bound; a cancelled call leaves no task and no socket.
Read websocket.py first (dialling), then server.py (accepting).
"""
