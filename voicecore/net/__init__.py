"""Sockets: WebSocket dialling, the server port, HTTP requests, the disk.

Level 2: the only package that touches sockets, TLS, httpx, httpcore, h11 and trio-websocket.
Rule 1: foreign errors are mapped here, once, to voicecore.errors.
Rule 2: every wait has a bound; a cancelled call leaves no task and no socket.
Rule 3: a WebSocket stands on a `voicecore.world.ByteStream`, real or in memory, and on
nothing else: what simulated worlds run is what speaks to the real peers.

Read websocket.py first, the seam; then connection.py, which both ends are built on;
then connect.py (dialling) and server.py (accepting).
"""
