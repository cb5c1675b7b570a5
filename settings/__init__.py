"""What the user may decide, and where the decision is read from."""
