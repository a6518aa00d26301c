"""The fsspec file system behind `ds://`; `system` has the class, the other modules its parts."""
