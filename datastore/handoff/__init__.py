"""Gives engines that read by themselves what they need to read versioned data."""
