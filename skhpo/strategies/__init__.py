"""Who is tried next: one file for each way of proposing candidates."""
