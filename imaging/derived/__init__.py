"""Maps of a scan, one value a voxel of the cube: how strong its slow fluctuations are, and how alike.

::

    amplitude.py    ALFF and both kinds of fALFF, and the band-passed signal that the next two compare
    homogeneity.py  ReHo: a voxel with its neighbours
    mirror.py       VMHC: a voxel with its mirror image
    maps.py         all of them in one order
    tissue_maps.py  grey matter, white matter and fluid, of a T1-weighted image of the same head
"""
