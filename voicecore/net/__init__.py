"""Sockets: WebSocket clients and servers, the HTTP port, HTTP requests.

Level 2: the only package that touches sockets, TLS, httpx, httpcore, h11 and trio-websocket.
Rule 1: foreign errors are mapped here, once, to voicecore.errors.
Rule 2: every wait has a bound; a cancelled call leaves no task and no socket.
Rule 3: a WebSocket runs on a `voicecore.world.ByteStream`, real or in memory, and on
nothing else: simulated worlds run the same code that speaks to the real peers.

Read websocket/protocol.py first, the seam; then websocket/states.py and connection.py,
which both ends are built on; then connect.py (clients) and http/server.py (accepting).
trio_ws.py is the other transport behind the same seam.
"""
