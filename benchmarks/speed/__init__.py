"""What the scripts on speed share."""
