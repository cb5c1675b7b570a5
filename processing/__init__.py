"""What happens to one image."""
