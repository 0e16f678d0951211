"""What users construct."""
