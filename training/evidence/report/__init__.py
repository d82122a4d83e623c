"""From run folders to one page, one table and one JSON file that say what may be believed of them.

::

    reading      folders -> RunData, or a refusal that names what is missing
    assembling   RunData -> RunReport (contents): every figure, by `training.evidence`
    judging      RunReport -> the sentences that a reader sees first (wording: how figures are written)
    banners      RunReport -> what may not be missed
    figures      RunReport -> inline SVG (drawing: their one look)
    comparing    several RunReports -> the paper's figures, side by side (figures_across)
    side_by_side several RunReports -> one table, with paired differences to one of them
    rows, as_json  the same figures for programs
    page         all of it -> one HTML text
    writing      the three files, all of them or none
"""
