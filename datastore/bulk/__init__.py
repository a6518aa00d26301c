"""Many objects in one go: their requests are in flight together, whatever their number and sizes."""
