"""The embedded versioned store: many repos with shared content on one local disk."""
