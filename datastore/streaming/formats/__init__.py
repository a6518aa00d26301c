"""The formats that a stream reads, each in a module of its own."""
