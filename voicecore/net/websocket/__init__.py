"""WebSocket connections, accepted and dialled, over one frame codec."""
