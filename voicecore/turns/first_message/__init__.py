"""The first message: asked for, protected against the user's own "hello?", heard or reported as not."""
