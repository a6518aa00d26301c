"""Commits of one repo made anew in another, which may be in another kind of store.

Written against the contract alone (`datastore.provider`): `origins` tells which commits of two repos are the same one,
`relating` what one branch has that another lacks, `carrying` makes one commit anew, `replicate` a branch of them. How
it works, and why so: docs/decisions/008-push-pull.md.
"""
