"""The report of one prediction: everything that a reader needs to judge it, as one HTML file and as a PDF.

:mod:`service.report.gathering` puts a finished prediction into words, :mod:`service.report.charts` draws it,
:mod:`service.report.page` and :mod:`service.report.pdf` lay the same contents out. Both load nothing from
anywhere, and whatever was typed or came with a file is text in them. The PDF's compiler is loaded with the
first PDF.
"""

from service.report.contents import Report, ReportPicture
from service.report.gathering import ReportNotReadyError, gather

__all__ = ["Report", "ReportNotReadyError", "ReportPicture", "gather"]
