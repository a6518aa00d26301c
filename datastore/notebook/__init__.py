"""What a notebook shows of the values of this package; nothing here does I/O."""
