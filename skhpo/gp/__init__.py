"""The mathematics of BayesSearch: arrays in, arrays out.

Scores are losses here, smaller is better. A *model point* has one entry for each
column of a :class:`~skhpo.gp.domain.Domain`; its *features* are what the kernel takes
distances of. NumPy and SciPy are all that is needed.
"""
