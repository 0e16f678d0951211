"""How a candidate gets its score."""
