"""Adapters to storage services, one module each; they never import each other."""
