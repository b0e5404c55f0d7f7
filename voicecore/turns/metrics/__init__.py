"""What is measured of turns, from the facts alone."""
