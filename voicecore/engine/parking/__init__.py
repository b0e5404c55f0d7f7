"""Sessions that are opened while the phone rings, and adopted at pick-up."""
