"""The shared cache: verified bytes of objects by their content, and the files and folders that are made of them.

Files are the truth. Nothing in here depends on a lock, an index or a clock in order to be right: bytes are verified
before they get a name, a name appears with all of its bytes or not at all, and what is found is looked at before it is
used. Locks only spare work that would be done twice.
"""
