"""What a run tells people and programs about itself."""
