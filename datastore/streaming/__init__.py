"""Streams of training data: an order that depends on nothing but commit, seed and epoch, and a place in it."""
