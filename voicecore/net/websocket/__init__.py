"""WebSocket connections, both ends, over one frame codec or over trio-websocket."""
